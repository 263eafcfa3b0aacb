//! From chosen ways to run variants to the lanes, pools and gears of a plan: what every room needs.

use std::collections::BTreeMap;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::change_cost::{PoolsUp, core_seconds, load_ms};
use super::configurations::Configuration;
use crate::base::rounding::equal;
use crate::base::units::{Millis, Rate, Share, Usd};
use crate::facts::{Ask, Facts};
use crate::optimize::few;
use crate::optimize::levels::Levels;
use crate::plan::{Gear, Lane, Plan, PlanFormat, Pool, Provenance, Switch, latency_claim};
use crate::problem::{GoalKind, HardwareKind, Problem};

use super::hardware::{pool, pool_name, widen};
use super::{goal, switch};

/// Part of the weight that loads have which the trace does not hold: they too must be carried well.
const UNSEEN: f64 = 1e-3;

/// A gear with the pools that it needs.
pub(crate) struct Decoded {
    /// The gear, but for the replicas of its pools.
    pub gear: Gear,
    /// Every lane's variant and how it runs.
    pub lanes: Vec<(String, Configuration)>,
}

/// Puts the gears together, at most as many as the goal allows: pools as large as any gear needs. What they claim of the
/// latency is worked out here, from the walk as it is written down.
pub(crate) fn assemble(ask: &Ask<'_>, decoded: Vec<Decoded>) -> Plan {
    let (problem, facts) = (ask.problem.as_ref(), ask.facts.as_ref());
    let decoded = worth_keeping(problem, facts, without_idle_borders(problem, decoded));
    let mut pools: BTreeMap<String, Pool> = BTreeMap::new();
    for (variant, way) in decoded.iter().flat_map(|gear| &gear.lanes) {
        widen(&mut pools, pool(problem, variant, way));
    }
    let placement: Vec<Pool> = pools.into_values().collect();
    let mut gears: Vec<Gear> = Vec::new();
    for Decoded { mut gear, lanes } in decoded {
        for pool in &placement {
            let up = lanes.iter().filter(|(variant, way)| pool_name(variant, way) == pool.name);
            gear.replicas.insert(pool.name.clone(), up.map(|(_, way)| way.replicas).sum());
        }
        gear.certificate = gear.certificate.map(|certificate| certificate.stated_for(problem));
        gears.push(gear);
    }
    let switch = switch_rule(problem, facts, &placement, &gears);
    with_latencies(plan_of(problem, placement, gears, switch), facts)
}

/// Returns a plan whose gears claim their latency, each at its highest load.
pub(super) fn with_latencies(mut plan: Plan, facts: &Facts) -> Plan {
    let claims: Vec<_> = (0..plan.gears.len()).into_par_iter().map(|gear| latency_claim(&plan, gear, facts)).collect();
    plan.gears.iter_mut().zip(claims).for_each(|(gear, claim)| gear.claims.latency = claim);
    plan
}

/// Returns a plan of a problem with these pools and gears.
pub(super) fn plan_of(problem: &Problem, placement: Vec<Pool>, gears: Vec<Gear>, switch: Switch) -> Plan {
    Plan {
        format: PlanFormat::V1,
        name: problem.name.clone(),
        slo: problem.slo,
        machines: problem.inventory.machines.clone(),
        switch,
        placement,
        transfers: Vec::new(),
        periods: Vec::new(),
        day: None,
        proof: None,
        gears,
        provenance: Provenance::of_room(problem.room.name()),
    }
}

/// Leaves out every gear that is worth, answers rightly and costs as much as the next: that one carries more, so that nothing is
/// gained by the change. A goal that looks at latency may still prefer the one to the other.
fn without_idle_borders(problem: &Problem, gears: Vec<Decoded>) -> Vec<Decoded> {
    if problem.goal.wants_low_latency() {
        return gears;
    }
    let mut kept: Vec<Decoded> = Vec::new();
    for next in gears {
        if kept.last().is_some_and(|last| are_alike(&last.gear, &next.gear)) {
            kept.pop();
        }
        kept.push(next);
    }
    kept
}

fn are_alike(one: &Gear, other: &Gear) -> bool {
    let objective = |gear: &Gear| gear.certificate.as_ref().map_or(0.0, |certificate| certificate.objective);
    let accuracy = |gear: &Gear| gear.claims.accuracy.map_or(0.0, |claim| claim.value.get());
    let usd = |gear: &Gear| gear.claims.cost_usd_per_hour.map_or(0.0, Usd::get);
    equal(usd(one), usd(other))
        && one.claims.cores == other.claims.cores
        && equal(accuracy(one), accuracy(other))
        && equal(objective(one), objective(other))
}

/// Returns the switch rule of a plan: that of the trace, where there is one.
pub(in crate::rooms) fn switch_rule(problem: &Problem, facts: &Facts, placement: &[Pool], gears: &[Gear]) -> Switch {
    let changes = |pool: &&Pool| gears.windows(2).any(|pair| pair[0].replicas_of(pool) != pair[1].replicas_of(pool));
    let ready_ms = |pool: &Pool| {
        let boot_ms = pool.on.boot_ms().get() + boot_ms(problem, pool.machine.as_deref());
        pool.hosts.iter().map(|variant| boot_ms + load_ms(facts, variant)).fold(0.0, f64::max)
    };
    let load_ms = placement.iter().filter(changes).map(ready_ms).fold(0.0, f64::max);
    let ends: Vec<f64> = gears.iter().map(|gear| gear.up_to_rps.get()).collect();
    let recorded = facts.recorded.as_ref().map(|trace| &trace.document);
    switch::rule(&ends, load_ms, recorded, problem.goal.changes_per_hour())
}

/// Keeps the gears with which the goal loses least, at most as many as it allows. The loads of one that is left out are served
/// by the next one kept, which carries more. What is lost of the goal's second level counts where the first ties.
///
/// Loads count by the requests that the trace has at them, or all alike where there is none. With a trace changes have a price
/// where cores have one, so that a gear is left out where that saves more than it loses:
///
/// ```text
/// core-seconds that a border takes a second  =  changes across it a second × core-seconds of a change
/// ```
///
/// A change over several gears pays every border between them.
fn worth_keeping(problem: &Problem, facts: &Facts, gears: Vec<Decoded>) -> Vec<Decoded> {
    let most = problem.goal.gears_at_most.map_or(gears.len(), |most| most as usize);
    let recorded = facts.recorded.as_ref().map(|trace| &trace.document);
    if most >= gears.len() && recorded.is_none() {
        return gears;
    }
    let ends = ends_of(&gears);
    let weights = load_weights(facts, &ends);
    let crossings = recorded.map(|load| {
        let rule =
            switch::rule(&ends, slowest_ready_ms(problem, facts, &gears), Some(load), problem.goal.changes_per_hour());
        let rates = load.play(rule.window_ms.get() / 1e3, switch::SEED);
        let across = |&end: &f64| switch::changes(&[end, f64::MAX], &rule, &rates) as f64 / load.length_s();
        ends.iter().map(across).collect::<Vec<f64>>()
    });
    let budget = f64::from(problem.core_budget());
    let up: Vec<PoolsUp> = gears.iter().map(|gear| pools_up(problem, gear)).collect();
    let change = |from: usize, to: usize| core_seconds(facts, &problem.slo, &up[from], &up[to]);
    let border = |low: usize, high: usize| {
        let Some(crossings) = &crossings else { return Levels::default() };
        // As often up as down, but for one.
        let taken = crossings[low] * 0.5 * (change(low, high) + change(high, low));
        goal::levels(problem, 0.0, taken / budget, 0.0) * -1.0
    };
    let values: Vec<Levels> = gears.iter().map(|decoded| worth(problem, facts, decoded)).collect();
    let kept = few::keep(&values, &weights, most, border);
    gears.into_iter().enumerate().filter(|(index, _)| kept.contains(index)).map(|(_, gear)| gear).collect()
}

/// Returns how much the loads of gears up to these ends count: by the requests that the trace has at them, or all alike where there
/// is none.
pub(super) fn load_weights(facts: &Facts, ends: &[f64]) -> Vec<f64> {
    let from = std::iter::once(0.0).chain(ends.iter().copied());
    let all = ends.last().copied().unwrap_or(1.0);
    let widths = from.zip(ends).map(|(from, to)| (to - from) / all);
    match facts.recorded.as_ref().map(|trace| &trace.document) {
        None => widths.collect(),
        Some(load) => {
            let seen = load.requests_in(ends).into_iter();
            seen.zip(widths).map(|(seen, width)| (1.0 - UNSEEN) * seen + UNSEEN * width).collect()
        }
    }
}

/// Returns what a gear is worth beside others, by the levels of the goal.
fn worth(problem: &Problem, facts: &Facts, decoded: &Decoded) -> Levels {
    let latency = if problem.goal.wants_low_latency() { latency_alone(problem, facts, decoded) } else { 0.0 };
    worth_by_claims(problem, &decoded.gear, latency)
}

/// Returns the latency that a gear claims at its highest load, as a part of the SLO's.
fn latency_alone(problem: &Problem, facts: &Facts, decoded: &Decoded) -> f64 {
    let up = pools_up(problem, decoded);
    let mut gear = decoded.gear.clone();
    gear.replicas = up.iter().map(|(name, (_, up))| (name.clone(), *up)).collect();
    let placement = up.into_values().map(|(pool, up)| Pool { replicas: up, ..pool }).collect();
    let claim = latency_claim(&plan_of(problem, placement, vec![gear], Switch::default()), 0, facts);
    claim.map_or(1.0, |claim| claim.value_ms.get() / problem.slo.latency_ms.get())
}

/// Returns what a gear is worth by the levels of the goal; its objective knows what loading costs, too.
pub(super) fn worth_by_claims(problem: &Problem, gear: &Gear, latency: f64) -> Levels {
    let accuracy = gear.claims.accuracy.map_or(0.0, |claim| claim.value.get());
    let cost = if problem.inventory.rents_whole() {
        gear.claims.cost_usd_per_hour.map_or(0.0, Usd::get)
    } else {
        f64::from(gear.claims.cores.unwrap_or(0))
    };
    let mut worth = goal::levels(problem, accuracy, goal::part(problem, cost), latency);
    if let (GoalKind::Weighted, Some(certificate)) = (problem.goal.kind, &gear.certificate) {
        worth.0[0] = certificate.objective / goal::weights_in_all(problem);
    }
    worth
}

fn ends_of(gears: &[Decoded]) -> Vec<f64> {
    gears.iter().map(|decoded| decoded.gear.up_to_rps.get()).collect()
}

/// Returns the pools that a gear uses, each with the replicas of all its lanes.
pub(crate) fn pools_up(problem: &Problem, decoded: &Decoded) -> PoolsUp {
    let mut pools = PoolsUp::new();
    for (variant, way) in &decoded.lanes {
        let pool = pool(problem, variant, way);
        pools.entry(pool.name.clone()).or_insert((pool, 0)).1 += way.replicas;
    }
    pools
}

fn slowest_ready_ms(problem: &Problem, facts: &Facts, gears: &[Decoded]) -> f64 {
    let lanes = gears.iter().flat_map(|gear| &gear.lanes);
    lanes.map(|(variant, way)| boot_ms(problem, way.machine.as_deref()) + load_ms(facts, variant)).fold(0.0, f64::max)
}

/// Returns how long machines of a kind take to boot; none on the host's cores.
fn boot_ms(problem: &Problem, kind: Option<&str>) -> f64 {
    match problem.inventory.kind(kind) {
        HardwareKind::Device(machine) | HardwareKind::Machine(machine) => machine.boot_ms.map_or(0.0, Millis::get),
        HardwareKind::Cores { .. } | HardwareKind::Function(_) => 0.0,
    }
}

pub(crate) fn lane(variant: &str, configuration: &Configuration, share: f64) -> Lane {
    Lane {
        variant: variant.to_owned(),
        pool: pool_name(variant, configuration),
        batch: configuration.batch,
        hold_ms: Millis::saturating(configuration.hold_ms),
        share: Some(Share::saturating(share)),
        queue_limit: None,
        drop_after_ms: None,
    }
}

/// Makes the shares sum to 1 exactly as far as rounding allows, by giving the rest to the largest.
pub(crate) fn level_shares(lanes: &mut [Lane]) {
    let sum: f64 = lanes.iter().filter_map(|lane| lane.share).map(f64::from).sum();
    let largest = lanes.iter_mut().filter_map(|lane| lane.share.as_mut()).max_by(|a, b| a.get().total_cmp(&b.get()));
    if let Some(share) = largest {
        *share = Share::saturating(share.get() + 1.0 - sum);
    }
}

/// Puts gears of several plans together, each up to a load, the lowest first. Returns the pools as large as any gear needs, and
/// the gears; neighbours that do the same are one.
pub(super) fn merged(parts: &[(f64, &Plan, usize)]) -> (Vec<Pool>, Vec<Gear>) {
    let mut pools: BTreeMap<String, Pool> = BTreeMap::new();
    for (_, of, gear) in parts {
        for pool in &of.placement {
            let up = of.gears[*gear].replicas_of(pool);
            if up > 0 {
                widen(&mut pools, Pool { replicas: up, ..pool.clone() });
            }
        }
    }
    let mut gears: Vec<Gear> = Vec::new();
    for (end, of, gear) in parts {
        let up = |name: &String| of.pool(name).map_or(0, |pool| of.gears[*gear].replicas_of(pool));
        let replicas = pools.keys().map(|name| (name.clone(), up(name))).collect();
        let gear = Gear { up_to_rps: Rate::saturating(*end), replicas, ..of.gears[*gear].clone() };
        match gears.last_mut().filter(|last| last.replicas == gear.replicas && last.stages == gear.stages) {
            Some(last) => *last = gear,
            None => gears.push(gear),
        }
    }
    (pools.into_values().collect(), gears)
}

/// Returns the gear that is worth most by a problem's goal among those of some plans that carry a load, with its plan.
pub(super) fn best_of<'a>(problem: &Problem, plans: &'a [Plan], end: f64) -> Option<(f64, &'a Plan, usize)> {
    let carry = plans.iter().filter_map(|plan| {
        let gear = plan.gears.iter().position(|gear| gear.up_to_rps.get() >= end)?;
        Some((worth_by_claims(problem, &plan.gears[gear], 0.0), (end, plan, gear)))
    });
    carry.reduce(Levels::better).map(|(_, best)| best)
}
