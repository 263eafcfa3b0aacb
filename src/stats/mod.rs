//! Statistics of times: quantiles with intervals, tests, histograms, distributions, and the random numbers of everything
//! that is drawn.

mod cusum;
mod dice;
pub mod effect;
pub mod gauss;
mod grid;
mod histogram;
pub mod sample;
mod shuffle;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::units::Millis;

pub use cusum::Cusum;
pub use dice::{Dice, unit_of};
pub use grid::GridDistribution;
pub(crate) use grid::{Bins, Grid};
pub use histogram::{Distribution, Histogram};
pub use shuffle::shuffle;

/// Wall time of a call: moments and quantiles.
///
/// Quantiles are order statistics (nearest rank) of all calls; with fewer than 100 calls the p99 is the maximum.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// Arithmetic mean.
    pub mean_ms: Millis,
    /// Standard deviation.
    pub std_ms: Millis,
    /// Fastest call.
    pub min_ms: Millis,
    /// Slowest call.
    pub max_ms: Millis,
    /// Median.
    pub p50: Quantile,
    /// 90th percentile.
    pub p90: Quantile,
    /// 95th percentile.
    pub p95: Quantile,
    /// 99th percentile.
    pub p99: Quantile,
    /// 99.9th percentile.
    pub p999: Quantile,
}

/// A quantile with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quantile {
    /// The nearest-rank estimate.
    pub value_ms: Millis,
    /// Lower end of the 95 % interval, from order statistics.
    pub low_ms: Millis,
    /// Upper end of the 95 % interval; equals the maximum where the calls are too few to bound it.
    pub high_ms: Millis,
}
