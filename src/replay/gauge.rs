//! How long something of the bench itself takes.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::base::units::Millis;

/// Longer times count as an hour, in nanoseconds.
const HIGHEST_NS: u64 = 3_600_000_000_000;

/// Median and tail of a time; quantiles within 1 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// How often it was seen.
    pub count: u64,
    /// Median.
    pub p50_ms: Millis,
    /// 99th percentile.
    pub p99_ms: Millis,
    /// Longest.
    pub max_ms: Millis,
}

/// Gathers times.
#[derive(Debug)]
pub struct Gauge(Histogram<u64>);

impl Gauge {
    pub fn new() -> Self {
        Self(Histogram::new_with_bounds(1, HIGHEST_NS, 2).expect("1 < 2 × 1 ≤ highest and two figures are allowed"))
    }

    /// Adds a time in nanoseconds.
    pub fn add(&mut self, ns: u64) {
        self.0.saturating_record(ns.max(1));
    }

    pub fn spread(&self) -> Spread {
        let ms = |ns: u64| Millis::saturating(ns as f64 / 1e6);
        Spread {
            count: self.0.len(),
            p50_ms: ms(self.0.value_at_quantile(0.5)),
            p99_ms: ms(self.0.value_at_quantile(0.99)),
            max_ms: ms(self.0.max()),
        }
    }
}
