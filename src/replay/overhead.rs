//! What the bench itself costs.

use std::time::Duration;

use serde::Serialize;

use crate::base::units::Millis;

/// Median and tail of a time, by the nearest rank.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
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

impl Spread {
    /// Returns the spread of some times, in any order; zero where there are none.
    #[must_use]
    pub fn from_times(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |quantile: f64| {
            let rank = (quantile * times.len() as f64).ceil() as usize;
            Millis::from(times.get(rank.saturating_sub(1)).copied().unwrap_or_default())
        };
        Self { count: times.len() as u64, p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1.0) }
    }
}

/// What the bench adds to response times; the sum is part of every response time in the report.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Overhead {
    /// From the moment that an arrival or another planned event was due until it was looked at.
    pub lag: Spread,
    /// From the decision to serve a batch until its replica's thread begins.
    pub hand_over: Spread,
    /// From the end of a batch in its replica's thread until that is looked at.
    pub hand_back: Spread,
    /// Whether a core was free of replicas, on which the walk waited out its last microseconds without sleeping.
    pub own_core: bool,
}

/// The times that an [`Overhead`] is made of.
#[derive(Debug, Default)]
pub struct OverheadTimes {
    pub lag: Vec<Duration>,
    pub hand_over: Vec<Duration>,
    pub hand_back: Vec<Duration>,
}

impl OverheadTimes {
    pub fn spread(self, own_core: bool) -> Overhead {
        let [lag, hand_over, hand_back] = [self.lag, self.hand_over, self.hand_back].map(Spread::from_times);
        Overhead { lag, hand_over, hand_back, own_core }
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;
    use std::time::Duration;

    #[test]
    fn quantiles_are_nearest_ranks() {
        let spread = Spread::from_times((1..=200).rev().map(Duration::from_millis).collect());
        assert_eq!([spread.p50_ms, spread.p99_ms, spread.max_ms].map(|ms| ms.get()), [100.0, 198.0, 200.0]);
        assert_eq!((spread.count, Spread::from_times(Vec::new())), (200, Spread::default()));
    }
}
