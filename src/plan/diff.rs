//! Two plans side by side: what changes at which load.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Claims, Gear, Plan, Stage};
use crate::problem::Machine;
use crate::problem::Resource;

/// What changes between two plans, over all loads of either.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanDiff {
    /// Name of the first plan.
    pub before: String,
    /// Name of the second plan.
    pub after: String,
    /// Whether both do the same at every load, claim the same, and judge and change gears by the same rules.
    pub same: bool,
    /// Whether both judge and change gears by the same rules.
    pub same_rules: bool,
    /// Variants that only the second plan uses.
    pub variants_in: Vec<String>,
    /// Variants that only the first plan uses.
    pub variants_out: Vec<String>,
    /// Each metric over the loads that both carry.
    pub ratios: Vec<Ratio>,
    /// The loads cut where either plan changes gear.
    pub ranges: Vec<GearDiff>,
}

impl PlanDiff {
    /// Forgets differences of numbers below a part of them where both plans do the same: what is left is no noise.
    #[must_use]
    pub fn beyond(mut self, part: f64) -> Self {
        for range in &mut self.ranges {
            let (Some(before), Some(after)) = (&range.before, &range.after) else { continue };
            let near = |of: fn(&Side) -> Option<f64>| match (of(before), of(after)) {
                (Some(old), Some(new)) => (new - old).abs() <= part * old.abs(),
                (old, new) => old == new,
            };
            range.same |= before.lanes == after.lanes && MEASURES.iter().all(|&(_, of)| near(of));
        }
        self.ratios.retain(|ratio| (ratio.worst - 1.0).abs() > part);
        self.same = self.same_rules && self.ranges.iter().all(|range| range.same);
        self
    }
}

/// One metric of two plans.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ratio {
    /// What is compared, with its unit.
    pub metric: &'static str,
    /// Mean over the loads that both carry, every load counting alike, of the first plan.
    pub before: f64,
    /// The same of the second plan.
    pub after: f64,
    /// Second ÷ first of these means.
    pub mean: f64,
    /// Second ÷ first at the load where it is farthest from 1.
    pub worst: f64,
    /// That load.
    pub worst_at_rps: f64,
}

/// What it takes to go from one gear to another: replicas that come up and that are drained.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Move {
    /// Replicas that come up, by variant and cores, like `cnn_m-2c`, with the kind of machine where they are on one.
    pub started: BTreeMap<String, u32>,
    /// Replicas that finish what they have and go.
    pub drained: BTreeMap<String, u32>,
    /// Time until all that start have loaded; absent where a load time is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_ms: Option<f64>,
}

/// A number of a side, with its name.
type Measure = (&'static str, fn(&Side) -> Option<f64>);

/// What sides are compared by.
const MEASURES: [Measure; 4] = [
    ("accuracy", |side| side.accuracy),
    ("latency ms", |side| side.latency_ms),
    ("usd/h", |side| side.cost_usd_per_hour),
    ("cores", |side| side.cores.map(f64::from)),
];

/// What changes over one range of loads.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GearDiff {
    /// The range begins above this load.
    pub from_rps: f64,
    /// The highest load of the range.
    pub to_rps: f64,
    /// The first plan's gear; absent where it does not carry the load.
    pub before: Option<Side>,
    /// The second plan's gear; absent where it does not carry the load.
    pub after: Option<Side>,
    /// Whether both do and claim the same here.
    pub same: bool,
    /// What it takes to go from the first plan's gear to the second's, under way.
    #[serde(rename = "move")]
    pub way: Move,
}

/// One plan's gear, in brief.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    /// Index of the gear.
    pub gear: usize,
    /// Lanes in words, like `cnn_l-1c×3 b4 40%`.
    pub lanes: Vec<String>,
    /// Claimed accuracy.
    pub accuracy: Option<f64>,
    /// Claimed latency at the SLO's quantile.
    pub latency_ms: Option<f64>,
    /// Claimed price.
    pub cost_usd_per_hour: Option<f64>,
    /// Claimed cores.
    pub cores: Option<u32>,
}

/// Compares two plans load by load. `load_ms` tells how long a variant takes to come up.
#[must_use]
pub fn diff_with(before: &Plan, after: &Plan, load_ms: &dyn Fn(&str) -> Option<f64>) -> PlanDiff {
    let mut borders: Vec<f64> = before.gears.iter().chain(&after.gears).map(|gear| gear.up_to_rps.get()).collect();
    borders.sort_by(f64::total_cmp);
    borders.dedup();
    let mut from = 0.0;
    let mut ranges = Vec::new();
    for to in borders {
        let (old, new) = (side(before, to), side(after, to));
        let same = content(before, old.as_ref()) == content(after, new.as_ref());
        let way = way(before, old.as_ref(), after, new.as_ref(), load_ms);
        ranges.push(GearDiff { from_rps: from, to_rps: to, before: old, after: new, same, way });
        from = to;
    }
    // A plan whose gears all look at the rate for the same time has the same rules whatever the number of its gears.
    let windows = |plan: &Plan| {
        let mut windows: Vec<_> = plan.gears.iter().map(|gear| plan.window_of(gear)).collect();
        windows.dedup();
        windows
    };
    let whole = |plan: &Plan| (plan.slo, plan.switch, windows(plan), plan.transfers.clone());
    let same_rules = whole(before) == whole(after);
    let (old, new) = (variants(before), variants(after));
    PlanDiff {
        before: before.name.clone(),
        after: after.name.clone(),
        same: same_rules && ranges.iter().all(|range| range.same),
        same_rules,
        variants_in: new.difference(&old).map(ToString::to_string).collect(),
        variants_out: old.difference(&new).map(ToString::to_string).collect(),
        ratios: ratios(&ranges),
        ranges,
    }
}

/// Compares two plans load by load, where load times are not known.
///
/// ```
/// use planner::{Plan, diff, load};
///
/// let plan = load::<Plan>("plans/digits.json".as_ref())?.document;
/// let mut other = plan.clone();
/// assert!(diff(&plan, &other).same);
/// other.gears.pop();
/// assert!(!diff(&plan, &other).same);
/// # Ok::<(), planner::Error>(())
/// ```
#[must_use]
pub fn diff(before: &Plan, after: &Plan) -> PlanDiff {
    diff_with(before, after, &|_| None)
}

fn variants(plan: &Plan) -> BTreeSet<&str> {
    let lanes = plan.gears.iter().flat_map(|gear| &gear.stages).flat_map(|stage| &stage.lanes);
    lanes.map(|lane| lane.variant.as_str()).collect()
}

fn ratios(ranges: &[GearDiff]) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    for (metric, of) in MEASURES {
        let both = ranges.iter().filter_map(|range| {
            let (old, new) = (of(range.before.as_ref()?)?, of(range.after.as_ref()?)?);
            (old > 0.0).then_some((range, old, new))
        });
        let both: Vec<_> = both.collect();
        let width = |range: &GearDiff| range.to_rps - range.from_rps;
        let loads: f64 = both.iter().map(|(range, ..)| width(range)).sum();
        let mean = |pick: fn(f64, f64) -> f64| {
            both.iter().map(|(range, old, new)| width(range) * pick(*old, *new)).sum::<f64>() / loads
        };
        let far = |old: f64, new: f64| (new / old - 1.0).abs();
        let worst = both.iter().max_by(|a, b| far(a.1, a.2).total_cmp(&far(b.1, b.2)));
        if let Some((range, old, new)) = worst {
            let (before, after) = (mean(|old, _| old), mean(|_, new| new));
            ratios.push(Ratio {
                metric,
                before,
                after,
                mean: after / before,
                worst: new / old,
                worst_at_rps: range.to_rps,
            });
        }
    }
    ratios
}

/// Returns the replicas that start and those that drain. Replicas are alike that hold the same variants on the same
/// resource, whatever their pools are called.
fn way(
    before: &Plan,
    old: Option<&Side>,
    after: &Plan,
    new: Option<&Side>,
    load_ms: &dyn Fn(&str) -> Option<f64>,
) -> Move {
    let up = |plan: &Plan, side: Option<&Side>| {
        let mut up: BTreeMap<String, (u32, Vec<String>)> = BTreeMap::new();
        for pool in side.iter().flat_map(|_| &plan.placement) {
            let on = pool.machine.iter().map(String::as_str).chain([&*pool.on.brief()]).collect::<Vec<_>>().join("-");
            let name = format!("{}-{on}", pool.hosts.join("+"));
            let kind = up.entry(name).or_insert_with(|| (0, pool.hosts.clone()));
            kind.0 += side.map_or(0, |side| plan.gears[side.gear].replicas_of(pool));
        }
        up
    };
    let (old, new) = (up(before, old), up(after, new));
    let more = |than: &BTreeMap<String, (u32, Vec<String>)>, here: &BTreeMap<String, (u32, Vec<String>)>| {
        let more = here
            .iter()
            .map(|(name, (count, _))| (name.clone(), count.saturating_sub(than.get(name).map_or(0, |kind| kind.0))));
        more.filter(|(_, count)| *count > 0).collect::<BTreeMap<String, u32>>()
    };
    let started = more(&old, &new);
    // The variants of a replica load one after the other, replicas side by side.
    let of_kind = |name: &String| new[name].1.iter().map(|variant| load_ms(variant)).sum::<Option<f64>>();
    let load_ms = started.keys().map(of_kind).try_fold(0.0, |longest, ms| Some(f64::max(longest, ms?)));
    Move { drained: more(&new, &old), load_ms: load_ms.filter(|_| !started.is_empty()), started }
}

/// What a pool's replicas run on, the kind of machine, what they hold, and how many are up.
type PoolUp<'a> = (&'a Resource, Option<&'a Machine>, &'a [String], u32);

/// All that a gear does and claims: what pools are and how many replicas are up, the stages, the claims.
#[derive(PartialEq)]
struct Content<'a> {
    pools: BTreeMap<&'a str, PoolUp<'a>>,
    stages: &'a [Stage],
    claims: &'a Claims,
}

fn content<'a>(plan: &'a Plan, side: Option<&Side>) -> Option<Content<'a>> {
    let gear = &plan.gears[side?.gear];
    let up = plan.placement.iter().filter(|pool| gear.replicas_of(pool) > 0);
    let pools = up.map(|pool| {
        (pool.name.as_str(), (&pool.on, plan.machine_of(pool), pool.hosts.as_slice(), gear.replicas_of(pool)))
    });
    Some(Content { pools: pools.collect(), stages: &gear.stages, claims: &gear.claims })
}

fn side(plan: &Plan, load: f64) -> Option<Side> {
    let index = plan.gears.iter().position(|gear| gear.up_to_rps.get() >= load)?;
    let gear = &plan.gears[index];
    Some(Side {
        gear: index,
        lanes: lanes(plan, gear),
        accuracy: gear.claims.accuracy.map(|claim| claim.value.get()),
        latency_ms: gear.claims.latency.map(|claim| claim.value_ms.get()),
        cost_usd_per_hour: gear.claims.cost_usd_per_hour.map(crate::base::units::Usd::get),
        cores: gear.claims.cores,
    })
}

fn lanes(plan: &Plan, gear: &Gear) -> Vec<String> {
    let mut words = Vec::new();
    for lane in gear.stages.iter().flat_map(|stage| &stage.lanes) {
        let up = plan.pool(&lane.pool).map_or(0, |pool| gear.replicas_of(pool));
        let batch = if lane.batch > 1 { format!(" b{}", lane.batch) } else { String::new() };
        let share = lane.share.map_or_else(String::new, |share| format!(" {:.0}%", 100.0 * share.get()));
        let host = if lane.pool.starts_with(&lane.variant) { String::new() } else { format!("{}@", lane.variant) };
        words.push(format!("{host}{}×{up}{batch}{share}", lane.pool));
    }
    words
}
