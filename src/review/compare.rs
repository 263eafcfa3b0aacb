//! Two plans for the same load, metric by metric: what got worse, by more than is allowed, and whether that is noise.

use serde::Serialize;

use super::Allowances;
use super::follow::change_alike;
use crate::base::finding::Code;
use crate::plan::{Period, Plan, Side, diff};

/// What plans are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// The goal's own value; higher is better.
    Objective,
    /// Part of requests answered rightly; higher is better.
    Accuracy,
    /// USD an hour, or cores where they have no price; lower is better.
    Cost,
    /// Milliseconds at the SLO's quantile; lower is better.
    Latency,
    /// Requests/s; higher is better.
    MaxLoad,
}

impl Metric {
    /// Returns the metric as people read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Objective => "objective",
            Self::Accuracy => "accuracy",
            Self::Cost => "cost",
            Self::Latency => "latency",
            Self::MaxLoad => "highest load",
        }
    }

    /// Returns the unit, as it stands behind a number.
    pub(super) const fn unit(self) -> &'static str {
        match self {
            Self::Latency => " ms",
            Self::MaxLoad => " requests/s",
            _ => "",
        }
    }

    const fn higher_is_better(self) -> bool {
        matches!(self, Self::Objective | Self::Accuracy | Self::MaxLoad)
    }
}

/// What changed in one metric, at the load where it changed most.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricChange {
    /// What changed.
    pub metric: Metric,
    /// [`Code::Worse`], [`Code::Better`], or [`Code::FactsChanged`] where it is worse within noise.
    pub class: Code,
    /// The change begins above this load.
    pub from_rps: f64,
    /// And holds, not everywhere, up to this one.
    pub to_rps: f64,
    /// Gears of the plan before in which it changed.
    pub gears: Vec<usize>,
    /// What it was where it changed most.
    pub before: f64,
    /// What it is there.
    pub after: f64,
    /// How much it may get worse.
    pub allowed: f64,
}

/// A plan, and what its gears' latencies are where all facts are as fast as they can be.
pub(super) struct Fast<'a> {
    /// The plan for the facts as fast as they can be.
    pub plan: &'a Plan,
    /// The latency of a gear of the plan of now under those facts.
    pub latency_ms: &'a dyn Fn(usize) -> Option<f64>,
}

/// Compares the plan of now with the one before. Objectives are comparable only where the goal is the same.
pub(super) fn compare(
    before: &Plan,
    after: &Plan,
    fast: &Fast<'_>,
    same_goal: bool,
    allow: &Allowances,
) -> Vec<MetricChange> {
    if let (Some(old), Some(new)) = (before.day, after.day) {
        let at_best = fast.plan.day.map(|day| day.total.value);
        let change = change_of_day(after, (old.total.value, new.total.value), at_best, allow);
        return change.filter(|_| same_goal).into_iter().collect();
    }
    let mut changes = Vec::new();
    for range in diff(before, after).ranges {
        let (Some(old), Some(new)) = (&range.before, &range.after) else { continue };
        let best = side_at(fast.plan, range.to_rps);
        let mut look = |metric: Metric, then: Option<f64>, now: Option<f64>, at_best: Option<f64>| {
            let (Some(before), Some(after)) = (then, now) else { return };
            if let Some(class) = class(metric, before, after, at_best, allow) {
                let allowed = allowance(metric, before, allow);
                let (from_rps, to_rps, gears) = (range.from_rps, range.to_rps, vec![old.gear]);
                changes.push(MetricChange { metric, class, from_rps, to_rps, gears, before, after, allowed });
            }
        };
        if same_goal {
            let of = |plan: &Plan, side: &Side| Some(plan.gears[side.gear].certificate.as_ref()?.objective);
            let at_best = best.as_ref().and_then(|side| of(fast.plan, side));
            look(Metric::Objective, of(before, old), of(after, new), at_best);
        }
        look(Metric::Accuracy, old.accuracy, new.accuracy, best.as_ref().and_then(|side| side.accuracy));
        let priced = [old, new].iter().all(|side| side.cost_usd_per_hour.is_some_and(|usd| usd > 0.0));
        let cost = |side: &Side| if priced { side.cost_usd_per_hour } else { side.cores.map(f64::from) };
        look(Metric::Cost, cost(old), cost(new), best.as_ref().and_then(cost));
        look(Metric::Latency, old.latency_ms, new.latency_ms, (fast.latency_ms)(new.gear));
    }
    let (old, new) = (before.max_rps(), after.max_rps());
    if let Some(class) = class(Metric::MaxLoad, old, new, Some(fast.plan.max_rps()), allow) {
        let allowed = allowance(Metric::MaxLoad, old, allow);
        let (from_rps, to_rps) = (old.min(new), old.max(new));
        let change = MetricChange {
            metric: Metric::MaxLoad,
            class,
            from_rps,
            to_rps,
            gears: vec![],
            before: old,
            after: new,
            allowed,
        };
        changes.push(change);
    }
    gathered(changes)
}

/// Compares what a day was worth with what it is worth now.
fn change_of_day(
    plan: &Plan,
    (before, after): (f64, f64),
    at_best: Option<f64>,
    allow: &Allowances,
) -> Option<MetricChange> {
    let metric = Metric::Objective;
    let class = class(metric, before, after, at_best, allow)?;
    let allowed = allowance(metric, before, allow);
    Some(MetricChange { metric, class, from_rps: 0.0, to_rps: plan.max_rps(), gears: vec![], before, after, allowed })
}

/// Tells whether two plans do the same at every load, or in every period, whatever they claim.
pub(super) fn do_the_same(before: &Plan, after: &Plan) -> bool {
    if !before.periods.is_empty() {
        let does = |plan: &Plan, gear: usize| (plan.gears[gear].replicas.clone(), plan.gears[gear].stages.clone());
        let same = |(one, other): (&Period, &Period)| {
            one.from_ms == other.from_ms && does(before, one.gear) == does(after, other.gear)
        };
        return before.periods.len() == after.periods.len() && before.periods.iter().zip(&after.periods).all(same);
    }
    let lanes = |side: &Option<Side>| side.as_ref().map(|side| side.lanes.clone());
    let same = |range: &crate::plan::GearDiff| lanes(&range.before) == lanes(&range.after);
    diff(before, after).ranges.iter().all(same) && change_alike(before, after)
}

fn side_at(plan: &Plan, load: f64) -> Option<Side> {
    diff(plan, plan).ranges.into_iter().find(|range| range.to_rps >= load)?.after
}

fn allowance(metric: Metric, before: f64, allow: &Allowances) -> f64 {
    let of = match metric {
        Metric::Objective => allow.objective,
        Metric::Accuracy => allow.accuracy,
        Metric::Cost => allow.cost,
        Metric::Latency => allow.latency,
        Metric::MaxLoad => allow.max_load,
    };
    of.of(before)
}

fn class(metric: Metric, before: f64, after: f64, at_best: Option<f64>, allow: &Allowances) -> Option<Code> {
    let allowed = allowance(metric, before, allow);
    let worse_by = |now: f64| if metric.higher_is_better() { before - now } else { now - before };
    if worse_by(after) > allowed {
        let is_noise = at_best.is_some_and(|best| worse_by(best) <= allowed);
        return Some(if is_noise { Code::FactsChanged } else { Code::Worse });
    }
    (worse_by(after) < -allowed).then_some(Code::Better)
}

/// Puts changes of one metric and class together, in the order in which they were first met.
fn gathered(changes: Vec<MetricChange>) -> Vec<MetricChange> {
    let mut gathered: Vec<MetricChange> = Vec::new();
    for change in changes {
        let same = |other: &&mut MetricChange| other.metric == change.metric && other.class == change.class;
        let Some(sum) = gathered.iter_mut().find(same) else {
            gathered.push(change);
            continue;
        };
        sum.to_rps = change.to_rps;
        sum.gears.extend(&change.gears);
        sum.gears.dedup();
        if (change.after - change.before).abs() > (sum.after - sum.before).abs() {
            (sum.before, sum.after, sum.allowed) = (change.before, change.after, change.allowed);
        }
    }
    gathered
}
