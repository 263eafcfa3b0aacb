//! What to play, and the orders that follow from it.

use std::time::Duration;

use super::queue::{Limits, Order, Requests};
use super::{LoadSlo, Scenario, Seating, poisson};
use crate::base::units::{Rate, Share};
use crate::measure::Context;
use crate::stats::sample::FEWEST_CALLS;

/// Requests that are expected beyond the quantile.
const BEYOND: f64 = 10.0;

/// What a load test plays.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadSettings {
    /// The kind of load.
    pub scenario: Scenario,
    /// Who serves it.
    pub seating: Seating,
    /// Most requests that a session takes together.
    pub batch: u32,
    /// Samples in one query.
    pub samples_per_query: u32,
    /// What the scenario `server` asks.
    pub aim: Aim,
    /// The objective that runs are judged by.
    pub slo: Option<LoadSlo>,
    /// Shortest time of a run, the warm-up not counted.
    pub duration: Duration,
    /// Fewest requests of a run, the warm-up not counted.
    pub fewest: u64,
    /// Time of each run whose requests do not count.
    pub warmup: Duration,
    /// Seed of the schedule and of the choice of samples.
    pub seed: u64,
    /// What the caller knows of paths, clock and environment; answers are none.
    pub context: Context,
}

/// What is asked of a server.
#[derive(Debug, Clone, PartialEq)]
pub enum Aim {
    /// How it does at these rates.
    Rates(Vec<Rate>),
    /// The highest rate that meets the SLO, to within this part of it.
    Capacity(Share),
}

/// Returns how many requests a run needs to judge a quantile: ten beyond it, and no fewer than 100 in all.
///
/// MLPerf asks for far more (270,336 for the 99th percentile), so that submissions differ by what they measure.
#[must_use]
pub fn fewest_requests(quantile: Share) -> u64 {
    let needed = (BEYOND / (1.0 - quantile.get()).max(1e-9)).round();
    (needed as u64).max(FEWEST_CALLS as u64)
}

impl LoadSettings {
    /// Returns the order of a Poisson process at a rate.
    pub(crate) fn at_rate(&self, rate: Rate) -> Order {
        let due = poisson(rate.get(), self.warmup, self.duration, self.fewest, self.seed);
        let counted = due.iter().filter(|due| **due >= self.warmup).count();
        let patience = due.last().copied().unwrap_or_default();
        let limits = self.slo.map_or(Limits { patience, ..Limits::NONE }, |slo| Limits {
            latency: slo.latency_ms.duration(),
            allowed: allowed(counted as u64, slo.quantile),
            patience,
        });
        Order { requests: Requests::At(due), warmup: self.warmup, batch: self.batch, limits }
    }

    /// Returns the order of queries that follow each other.
    pub(crate) fn in_turn(&self) -> Order {
        let requests = Requests::AfterEachOther { lasting: self.warmup + self.duration, fewest: self.fewest };
        Order { requests, warmup: self.warmup, batch: 1, limits: Limits::NONE }
    }

    /// Returns the order of all samples at once, as many as keep the sessions busy for the whole time where a call takes
    /// about `service`.
    pub(crate) fn at_once(&self, service: Duration, sessions: u32) -> Order {
        let calls = self.duration.as_secs_f64() / service.as_secs_f64().max(1e-9) * f64::from(sessions);
        let samples = (calls * f64::from(self.batch)).min(MOST_REQUESTS) as u64;
        let due = vec![Duration::ZERO; samples.max(self.fewest) as usize];
        Order { requests: Requests::At(due), warmup: Duration::ZERO, batch: self.batch, limits: Limits::NONE }
    }
}

/// Most requests of one run.
pub(crate) const MOST_REQUESTS: f64 = 1e7;

/// Returns how many of some requests may be late.
pub(crate) fn allowed(requests: u64, quantile: Share) -> u64 {
    // 1 − 0.99 is 0.010000000000000009 in floating point, and 100 times that no less than 1.
    (requests as f64 * (1.0 - quantile.get()) + 1e-9).floor() as u64
}

#[cfg(test)]
mod tests {
    use super::{allowed, fewest_requests};
    use crate::base::units::Share;

    #[test]
    fn quantiles_need_requests_beyond_them() {
        let share = |q| Share::new(q).expect("a share");
        assert_eq!([0.5, 0.9, 0.99, 0.999].map(|q| fewest_requests(share(q))), [100, 100, 1_000, 10_000]);
        assert_eq!([0.5, 0.9, 0.99, 1.0].map(|q| allowed(100, share(q))), [50, 10, 1, 0]);
    }
}
