//! Changes of gear within the inventory, where a problem forbids others (`goal.strict_transitions`).
//!
//! A change needs the replicas of both gears at once. Of the gears of a plan those are kept with which the goal loses least and
//! of which any two fit at once; the highest always stays.

use std::collections::BTreeMap;

use super::change_cost::PoolsUp;
use super::gears::{load_weights, switch_rule, worth_by_claims};
use super::hardware::{MEGABYTE, facts_of_kinds, space};
use crate::facts::{Ask, Facts};
use crate::optimize::few;
use crate::optimize::levels::Levels;
use crate::optimize::pack::{self, Size};
use crate::plan::{Plan, Pool};
use crate::problem::{Machine, Problem};

/// Returns a plan with the gears that a problem's strict transitions allow; as it is where it does not ask for any.
pub(super) fn kept(ask: &Ask<'_>, plan: Plan) -> Plan {
    let (problem, facts) = (ask.problem.as_ref(), ask.facts.as_ref());
    if !problem.goal.strict_transitions {
        return plan;
    }
    let up: Vec<PoolsUp> = (0..plan.gears.len()).map(|gear| pools_of(&plan, gear)).collect();
    let ends: Vec<f64> = plan.gears.iter().map(|gear| gear.up_to_rps.get()).collect();
    let values: Vec<Levels> = plan.gears.iter().map(|gear| worth_by_claims(problem, gear, 0.0)).collect();
    let of_kinds = facts_of_kinds(problem, facts);
    // Packing takes time, so that every pair is looked at once.
    let fits: Vec<Vec<bool>> =
        up.iter().map(|low| up.iter().map(|high| fit_at_once(problem, &of_kinds, low, high)).collect()).collect();
    let kept = few::keep_compatible(&values, &load_weights(facts, &ends), |low, high| fits[low][high]);
    if kept.len() == plan.gears.len() {
        return plan;
    }
    let gears = kept.iter().map(|&gear| plan.gears[gear].clone()).collect();
    let mut plan = Plan { gears, ..plan };
    shrink(&mut plan);
    plan.switch = switch_rule(problem, facts, &plan.placement, &plan.gears);
    plan
}

/// Leaves only the replicas that some gear needs.
fn shrink(plan: &mut Plan) {
    let gears = &plan.gears;
    let needed = |pool: &Pool| gears.iter().map(|gear| gear.replicas_of(pool)).max().unwrap_or(0);
    let most: BTreeMap<String, u32> = plan.placement.iter().map(|pool| (pool.name.clone(), needed(pool))).collect();
    // A gear that does not name a pool has all of it up.
    for gear in &mut plan.gears {
        gear.replicas = plan.placement.iter().map(|pool| (pool.name.clone(), gear.replicas_of(pool))).collect();
        gear.replicas.retain(|name, _| most[name] > 0);
    }
    plan.placement.iter_mut().for_each(|pool| pool.replicas = most[&pool.name]);
    plan.placement.retain(|pool| pool.replicas > 0);
}

fn pools_of(plan: &Plan, gear: usize) -> PoolsUp {
    let up = |pool: &Pool| (pool.name.clone(), (pool.clone(), plan.gears[gear].replicas_of(pool)));
    plan.placement.iter().map(up).collect()
}

/// Tells whether the replicas of two gears fit into the inventory at once; those of a pool that both use count once. A replica
/// takes the memory of its largest measured batch. `facts_of` are the facts that hold on each kind of machine.
pub(super) fn fit_at_once(problem: &Problem, facts_of: &[Facts], one: &PoolsUp, other: &PoolsUp) -> bool {
    let mut both: BTreeMap<&String, (&Pool, u32)> = BTreeMap::new();
    for (name, (pool, up)) in one.iter().chain(other) {
        let known = both.entry(name).or_insert((pool, 0));
        known.1 = known.1.max(*up);
    }
    if !problem.inventory.rents_whole() {
        let cores: u32 = both.values().map(|(pool, up)| pool.on.cores() * up).sum();
        return cores <= problem.inventory.cores;
    }
    problem.inventory.machines.iter().zip(facts_of).all(|(kind, facts)| {
        let here = both.values().filter(|(pool, _)| pool.machine.as_ref() == Some(&kind.name));
        let sizes: Vec<Size> = here.map(|(pool, up)| size(facts, kind, pool, *up)).collect();
        pack::fewest(&sizes, space(kind), kind.at_most).is_some()
    })
}

fn size(facts: &Facts, kind: &Machine, pool: &Pool, count: u32) -> Size {
    let memory_mb = |host: &String| facts.measured(host).memory_at(u32::MAX).0.get();
    let memory_mb: f64 = if kind.memory_mb.is_some() { pool.hosts.iter().map(memory_mb).sum() } else { 0.0 };
    Size { cores: pool.on.cores(), memory: (memory_mb * MEGABYTE).ceil() as u64, count }
}
