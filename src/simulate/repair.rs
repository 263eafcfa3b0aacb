//! Tail repair: what part of its rate each gear can really carry, as simulation says.
//!
//! Closed forms approximate; a gear is trusted once trials at its highest rate keep the SLO with their interval. Where
//! they do not, the highest part of the rate at which they do is found by bisection; planning again with capacities
//! multiplied by that part is a cut that removes the failing gear and is monotone, so the loop of planning and trying
//! ends.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{QuantileTried, Report, Settings, World, replicate};
use crate::base::units::Share;
use crate::plan::{Gear, Plan};
use crate::workload::Arrivals;

/// Steps of the bisection: the part is known to 1/64.
const BISECTIONS: usize = 6;
/// Least part that is looked for; a gear that fails even there has no repair.
const LEAST_PART: f64 = 0.25;
/// Part of a trial that warms up.
const WARMUP: f64 = 0.1;
/// Longest trial: a hundred years, which the clock can tell.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// How hard gears are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Requests for each gear, over all trials.
    pub requests: u64,
    /// Independent trials, at least 2.
    pub trials: u32,
    /// Seed of the first trial.
    pub seed: u64,
}

/// What trials of one gear at its highest rate, alone, say.
#[derive(Debug, Clone, PartialEq)]
pub struct GearTrial {
    /// Share of violations.
    pub violation_share: f64,
    /// Upper end of its 95 % interval.
    pub violation_high: f64,
    /// Response time at the SLO's quantile; absent where nothing was answered.
    pub latency: Option<QuantileTried>,
    /// The highest part of the rate at which the SLO is kept with its interval: 1 where nothing needs repair, 0 where
    /// nothing helps.
    pub part: f64,
    /// Busy part of each pool that the gear uses, at that part of the rate: the cap that the tail demands.
    pub utilisation: BTreeMap<String, Share>,
}

/// Tries every gear of a plan at its highest rate, and finds what part of it those carry that break their SLO.
///
/// `world` answers for the plan itself. Gears are tried in order, trials of a gear side by side.
#[must_use]
pub fn repair<W: World + Sync>(plan: &Plan, world: &W, effort: Effort) -> Vec<GearTrial> {
    plan.gears.iter().map(|gear| repair_gear(plan, gear, world, effort)).collect()
}

/// Tries one gear of a plan, alone, at its highest rate; the report has no other gear.
#[must_use]
pub fn try_gear<W: World + Sync>(plan: &Plan, gear: &Gear, world: &W, effort: Effort) -> Report {
    try_at(&alone(plan, gear), world, effort, gear.up_to_rps.get())
}

/// Returns the plan as if this gear were its only one; pools keep their places, for the sake of the world.
pub(super) fn alone(plan: &Plan, gear: &Gear) -> Plan {
    Plan { gears: vec![gear.clone()], ..plan.without_periods() }
}

pub(super) fn repair_gear<W: World + Sync>(plan: &Plan, gear: &Gear, world: &W, effort: Effort) -> GearTrial {
    let alone = alone(plan, gear);
    let run = |part: f64| try_at(&alone, world, effort, part * gear.up_to_rps.get());
    let first = run(1.0);
    let mut trial = GearTrial {
        violation_share: first.whole.violation_share.get(),
        violation_high: high(&first),
        latency: QuantileTried::of(&first),
        part: 1.0,
        utilisation: utilisation(&first),
    };
    if keeps(&first) {
        return trial;
    }
    trial.part = 0.0;
    let (mut kept, mut broken) = (LEAST_PART, 1.0);
    let least = run(kept);
    if !keeps(&least) {
        return trial;
    }
    (trial.part, trial.utilisation) = (kept, utilisation(&least));
    for _ in 0..BISECTIONS {
        let middle = 0.5 * (kept + broken);
        let report = run(middle);
        if keeps(&report) {
            kept = middle;
            (trial.part, trial.utilisation) = (middle, utilisation(&report));
        } else {
            broken = middle;
        }
    }
    trial
}

fn try_at<W: World + Sync>(alone: &Plan, world: &W, effort: Effort, rate_rps: f64) -> Report {
    let each = effort.requests as f64 / f64::from(effort.trials.max(2)) / rate_rps;
    let settings = Settings {
        arrivals: Arrivals::Poisson { rate_rps },
        duration: time(each * (1.0 - WARMUP)),
        warmup: time(each * WARMUP),
        seed: effort.seed,
    };
    replicate(alone, world, &settings, effort.trials.max(2))
}

fn time(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST)
}

fn high(report: &Report) -> f64 {
    report.intervals.map_or(1.0, |intervals| intervals.violation_share.high)
}

fn keeps(report: &Report) -> bool {
    high(report) <= 1.0 - report.slo.quantile.get() + 1e-12
}

fn utilisation(report: &Report) -> BTreeMap<String, Share> {
    let used = report.pools.iter().filter(|pool| pool.calls > 0);
    used.map(|pool| (pool.name.clone(), pool.utilisation)).collect()
}
