//! Tail repair: what part of its rate each gear can really carry, as simulation says.
//!
//! Closed forms approximate; a gear is trusted once trials at its highest rate keep the SLO with their interval. Where
//! they do not, the highest part of the rate at which they do is found by bisection; planning again with capacities
//! multiplied by that part is a cut that removes the failing gear and is monotone, so the loop of planning and trying
//! ends.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{QuantileTried, Report, Settings, World, replicate};
use crate::base::units::Share;
use crate::plan::{Gear, GearTried, HoldsUpTo, LatencyTried, Plan};
use crate::workload::Arrivals;

/// Steps of the bisection: the part is known to 1/64.
const BISECTIONS: usize = 6;
/// Least part that is looked for; a gear that fails even there has no repair.
const LEAST_PART: f64 = 0.25;
/// Part of what is late beyond the SLO that a pool must answer for to be at fault.
const EASED: f64 = 0.2;
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

/// The most requests and trials that a file may ask for: it must not ask for days.
pub(super) const MOST_REQUESTS: u64 = 100_000_000;
pub(super) const MOST_TRIALS: u32 = 1_000;

impl Effort {
    /// Tells whether trials of this effort can be made.
    #[must_use]
    pub fn is_feasible(self) -> bool {
        self.requests <= MOST_REQUESTS && (2..=MOST_TRIALS).contains(&self.trials)
    }
}

impl From<&GearTried> for Effort {
    fn from(&GearTried { requests, trials, seed, .. }: &GearTried) -> Self {
        Self { requests, trials, seed }
    }
}

impl From<&LatencyTried> for Effort {
    fn from(&LatencyTried { requests, trials, seed, .. }: &LatencyTried) -> Self {
        Self { requests, trials, seed }
    }
}

impl From<&HoldsUpTo> for Effort {
    fn from(&HoldsUpTo { requests, trials, seed, .. }: &HoldsUpTo) -> Self {
        Self { requests, trials, seed }
    }
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
    /// Pools that have a part in what is late: with twice the replicas less is, or their queue grows without end. All that are used
    /// where none can be told; none where nothing needs repair.
    pub at_fault: BTreeSet<String>,
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

/// Tries one gear of a plan, alone, and where it breaks its SLO finds out what would mend it.
#[must_use]
pub fn repair_gear<W: World + Sync>(plan: &Plan, gear: &Gear, world: &W, effort: Effort) -> GearTrial {
    let alone = alone(plan, gear);
    let run = |part: f64| try_at(&alone, world, effort, part * gear.up_to_rps.get());
    let first = run(1.0);
    let mut trial = GearTrial {
        violation_share: first.whole.violation_share.get(),
        violation_high: high(&first),
        latency: QuantileTried::of(&first),
        part: 1.0,
        utilisation: utilisation(&first),
        at_fault: BTreeSet::new(),
    };
    if keeps(&first) {
        return trial;
    }
    trial.at_fault = at_fault(&alone, &first, |relieved| try_at(relieved, world, effort, gear.up_to_rps.get()));
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

/// Returns the pools without which less would be late: each is given twice its replicas in turn, and all else stays.
fn at_fault(alone: &Plan, first: &Report, try_relieved: impl Fn(&Plan) -> Report) -> BTreeSet<String> {
    let used: BTreeSet<&str> = used_pools(first).collect();
    let endless = first.endless_queues().map(|pool| pool.name.as_str());
    let excess = high(first) - (1.0 - first.slo.quantile.get());
    let helps = |name: &&str| {
        let report = try_relieved(&relieved(alone, name));
        excess > 0.0 && high(&report) <= high(first) - EASED * excess
    };
    let mut found: BTreeSet<&str> = endless.collect();
    if used.len() > 1 {
        found.extend(used.iter().copied().filter(helps));
    }
    let found = if found.is_empty() { used } else { found };
    found.into_iter().map(str::to_owned).collect()
}

/// Returns the plan of a gear with twice the replicas of one pool.
fn relieved(alone: &Plan, name: &str) -> Plan {
    let mut relieved = alone.clone();
    for pool in relieved.placement.iter_mut().filter(|pool| pool.name == name) {
        let up = 2 * alone.gears[0].replicas_of(pool);
        pool.replicas = pool.replicas.max(up);
        relieved.gears[0].replicas.insert(pool.name.clone(), up);
    }
    relieved
}

fn used_pools(report: &Report) -> impl Iterator<Item = &str> {
    report.pools.iter().filter(|pool| pool.calls > 0).map(|pool| pool.name.as_str())
}

/// Tries the plan of a gear alone at a rate.
pub(super) fn try_at<W: World + Sync>(alone: &Plan, world: &W, effort: Effort, rate_rps: f64) -> Report {
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

pub(super) fn high(report: &Report) -> f64 {
    report.intervals.map_or(1.0, |intervals| intervals.violation_share.high)
}

fn keeps(report: &Report) -> bool {
    high(report) <= 1.0 - report.slo.quantile.get() + 1e-12 && report.endless_queues().next().is_none()
}

fn utilisation(report: &Report) -> BTreeMap<String, Share> {
    let used = report.pools.iter().filter(|pool| pool.calls > 0);
    used.map(|pool| (pool.name.clone(), pool.utilisation)).collect()
}
