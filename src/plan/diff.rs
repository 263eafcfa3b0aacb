//! Two plans side by side: what changes at which load.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Claims, Gear, Plan, Resource, Stage};

/// What changes between two plans, over all loads of either.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanDiff {
    /// Name of the first plan.
    pub before: String,
    /// Name of the second plan.
    pub after: String,
    /// Whether both do the same at every load, claim the same, and judge and change gears by the same rules.
    pub same: bool,
    /// The loads cut where either plan changes gear.
    pub ranges: Vec<GearDiff>,
}

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

/// Compares two plans load by load.
#[must_use]
pub fn diff(before: &Plan, after: &Plan) -> PlanDiff {
    let mut borders: Vec<f64> = before.gears.iter().chain(&after.gears).map(|gear| gear.up_to_rps.get()).collect();
    borders.sort_by(f64::total_cmp);
    borders.dedup();
    let mut from = 0.0;
    let mut ranges = Vec::new();
    for to in borders {
        let (old, new) = (side(before, to), side(after, to));
        let same = content(before, old.as_ref()) == content(after, new.as_ref());
        ranges.push(GearDiff { from_rps: from, to_rps: to, before: old, after: new, same });
        from = to;
    }
    let whole = |plan: &Plan| (plan.slo, plan.switch, plan.transfers.clone());
    let same = ranges.iter().all(|range| range.same) && whole(before) == whole(after);
    PlanDiff { before: before.name.clone(), after: after.name.clone(), same, ranges }
}

/// All that a gear does and claims: what pools are and how many replicas are up, the stages, the claims.
#[derive(PartialEq)]
struct Content<'a> {
    pools: BTreeMap<&'a str, (&'a Resource, &'a [String], u32)>,
    stages: &'a [Stage],
    claims: &'a Claims,
}

fn content<'a>(plan: &'a Plan, side: Option<&Side>) -> Option<Content<'a>> {
    let gear = &plan.gears[side?.gear];
    let up = plan.placement.iter().filter(|pool| gear.replicas_of(pool) > 0);
    let pools = up.map(|pool| (pool.name.as_str(), (&pool.on, pool.hosts.as_slice(), gear.replicas_of(pool))));
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
        cost_usd_per_hour: gear.claims.cost_usd_per_hour.map(crate::units::Usd::get),
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
