//! What a gear claims of its latency beside what trials at its highest rate say.

use std::time::Duration;

use super::repair::alone;
use super::{Interval, Measured, Report, Settings, replicate};
use crate::base::error::Error;
use crate::facts::Facts;
use crate::plan::{Plan, latency_ms};
use crate::workload::Arrivals;

/// Part of a trial that warms up, beside what is counted.
const WARMUP: f64 = 0.1;
/// What each further round has more requests.
const MORE: f64 = 3.0;

/// How sure a comparison is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sureness {
    /// Half of the 95 % interval, relative to the quantile, below which nothing more is simulated.
    pub half: f64,
    /// Requests of the first round, over all trials.
    pub least: f64,
    /// Requests after which it ends anyway.
    pub most: f64,
    /// Independent trials, at least 2.
    pub trials: u32,
    /// Seed of the first trial.
    pub seed: u64,
}

impl Default for Sureness {
    /// Returns 4 % to either side or 900,000 requests, by eight trials.
    fn default() -> Self {
        Self { half: 0.04, least: 1e5, most: 9e5, trials: 8, seed: 11 }
    }
}

/// A gear's claim beside trials, with Poisson arrivals as claims are made for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClaimTried {
    /// The rate: the gear's highest.
    pub rate_rps: f64,
    /// What the gear claims of the SLO's quantile, in milliseconds; absent where nothing can be claimed.
    pub claimed_ms: Option<f64>,
    /// What trials say of it, in milliseconds.
    pub simulated_ms: f64,
    /// Its 95 % interval.
    pub interval_ms: Interval,
    /// 95 % interval of the share of late requests.
    pub late: Interval,
}

impl ClaimTried {
    /// Returns by how much the claim is above what was simulated, relative.
    #[must_use]
    pub fn off(&self) -> Option<f64> {
        self.claimed_ms.map(|claimed| claimed / self.simulated_ms - 1.0)
    }

    /// Tells whether the SLO is kept with the interval: `None` where it is open, as the border lies inside.
    #[must_use]
    pub fn keeps(&self, plan: &Plan) -> Option<bool> {
        let allowed = 1.0 - plan.slo.quantile.get() + 1e-12;
        match (self.late.low <= allowed, self.late.high <= allowed) {
            (_, true) => Some(true),
            (false, _) => Some(false),
            _ => None,
        }
    }
}

/// Tries one gear alone at its highest rate, with more and more requests until the interval is narrow.
///
/// # Errors
/// [`Error::Input`] for facts that nobody measured; [`Error::Unsupported`] for an SLO of which trials have no interval.
pub fn try_claim(plan: &Plan, gear: usize, facts: &Facts, sure: Sureness) -> Result<ClaimTried, Error> {
    let alone = alone(plan, &plan.gears[gear]);
    let world = Measured::new(&alone, facts)?;
    let rate_rps = plan.gears[gear].up_to_rps.get();
    let claimed_ms = latency_ms(plan, gear, facts);
    let trials = sure.trials.max(2);
    let mut requests = sure.least;
    loop {
        let each = requests / f64::from(trials) / rate_rps;
        let settings = Settings {
            arrivals: Arrivals::Poisson { rate_rps },
            duration: Duration::from_secs_f64(each),
            warmup: Duration::from_secs_f64(WARMUP * each),
            seed: sure.seed,
        };
        let report = replicate(&alone, &world, &settings, trials);
        let (simulated_ms, interval_ms) = quantile(&report)?;
        let late = report.intervals.map_or(Interval { low: 0.0, high: 1.0 }, |of| of.violation_share);
        let half = 0.5 * (interval_ms.high - interval_ms.low) / simulated_ms;
        if half <= sure.half || requests >= sure.most {
            return Ok(ClaimTried { rate_rps, claimed_ms, simulated_ms, interval_ms, late });
        }
        requests *= MORE;
    }
}

/// Returns the SLO's quantile of a report with its interval.
fn quantile(report: &Report) -> Result<(f64, Interval), Error> {
    let seen = report.whole.latency.zip(report.intervals).and_then(|(latency, intervals)| {
        let of = [
            (0.5, latency.p50_ms, intervals.p50_ms),
            (0.95, latency.p95_ms, intervals.p95_ms),
            (0.99, latency.p99_ms, intervals.p99_ms),
        ];
        let asked = of.into_iter().find(|(quantile, ..)| (quantile - report.slo.quantile.get()).abs() < 1e-9);
        asked.map(|(_, simulated, interval)| (simulated.get(), interval))
    });
    seen.ok_or_else(|| Error::Unsupported {
        what: format!("trials have no interval of the quantile {}", report.slo.quantile.get()),
        hint: "they have that of 0.5, 0.95 and 0.99".to_owned(),
    })
}
