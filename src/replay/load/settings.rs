//! What to play, and the runs that follow from it.

use std::time::Duration;

use super::queue::{Requests, RunLimits, RunSpec};
use super::{LoadService, Scenario, poisson};
use crate::base::units::{Rate, Share};
use crate::measure::MeasureContext;
use crate::problem::Slo;
use crate::stats::sample::FEWEST_CALLS;

/// Requests that are expected beyond the quantile.
const BEYOND: f64 = 10.0;

/// What a load test plays.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadSettings {
    /// The kind of load.
    pub scenario: Scenario,
    /// Who serves it.
    pub service: LoadService,
    /// The rates that the scenario `server` offers.
    pub rates: OfferedRates,
    /// The objective that runs are judged by.
    pub slo: Option<Slo>,
    /// Shortest time of a run, the warm-up not counted.
    pub duration: Duration,
    /// Fewest requests of a run, the warm-up not counted.
    pub fewest: u64,
    /// Time of each run whose requests do not count.
    pub warmup: Duration,
    /// Seed of the schedule and of the choice of samples.
    pub seed: u64,
    /// What the caller knows of paths, clock and environment; a load test uses no paths of answers.
    pub context: MeasureContext,
}

/// Which rates are offered to a server.
#[derive(Debug, Clone, PartialEq)]
pub enum OfferedRates {
    /// These.
    Given(Vec<Rate>),
    /// Those that a search for the highest rate that meets the SLO tries, to within this part of it.
    Search(Share),
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
    /// Returns the run of a Poisson process at a rate.
    pub(crate) fn at_rate(&self, rate: Rate) -> RunSpec {
        let due = poisson(rate.get(), self.warmup, self.duration, self.fewest, self.seed);
        let counted = due.iter().filter(|due| **due >= self.warmup).count();
        let patience = due.last().copied().unwrap_or_default();
        let limits = self.slo.map_or(RunLimits { patience, ..RunLimits::NONE }, |slo| RunLimits {
            latency: slo.latency_ms.duration(),
            allowed: allowed(counted as u64, slo.quantile),
            patience,
        });
        RunSpec { requests: Requests::At(due), warmup: self.warmup, batch: self.service.batch, limits }
    }

    /// Returns the run of queries that follow each other.
    pub(crate) fn in_turn(&self) -> RunSpec {
        let requests = Requests::AfterEachOther { lasting: self.warmup + self.duration, fewest: self.fewest };
        RunSpec { requests, warmup: self.warmup, batch: 1, limits: RunLimits::NONE }
    }

    /// Returns the run of all samples at once, as many as keep the sessions busy for the whole time where a call takes
    /// about `service`.
    pub(crate) fn at_once(&self, service: Duration, sessions: u32) -> RunSpec {
        let calls = self.duration.as_secs_f64() / service.as_secs_f64().max(1e-9) * f64::from(sessions);
        let samples = (calls * f64::from(self.service.batch)).min(MOST_REQUESTS) as u64;
        let due = vec![Duration::ZERO; samples.max(self.fewest) as usize];
        RunSpec {
            requests: Requests::At(due),
            warmup: Duration::ZERO,
            batch: self.service.batch,
            limits: RunLimits::NONE,
        }
    }
}

/// Most requests of one run.
pub const MOST_REQUESTS: f64 = 1e7;

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
