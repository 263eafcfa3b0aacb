//! Which replicas share a machine: the rules of a packing, seen by adding up and without solver code.

use std::collections::BTreeMap;

use super::{Gear, Packed, Plan, Pool};
use crate::base::finding::{Code, Finding, Findings, Severity};
use crate::base::near;
use crate::base::rounding::keeps_within;
use crate::base::units::Megabytes;
use crate::facts::Facts;
use crate::problem::Resource;
use crate::problem::{Machine, Problem, RoomName};

/// Finds pools whose kind of machine is not there or is of another device, and machines that hold what is not there.
pub(super) fn names_are_known(plan: &Plan, findings: &mut Findings) {
    let kinds: Vec<&str> = plan.machines.iter().map(|kind| kind.name.as_str()).collect();
    let unknown = |name: &str, key: String| {
        let known = format!("kinds are {}", kinds.join(", "));
        let action = near::hint(name, kinds.iter().copied(), known);
        Finding::error(Code::UnknownName, key, format!("no kind of machine is called `{name}`"), action)
    };
    for (index, pool) in plan.placement.iter().enumerate() {
        let Some(name) = &pool.machine else { continue };
        let key = format!("placement[{index}]");
        let Some(kind) = plan.machine_of(pool) else {
            findings.push(unknown(name, format!("{key}.machine")));
            continue;
        };
        let fits = matches!(pool.on, Resource::Cores { .. } | Resource::Gpu { .. }) && pool.on.device() == kind.device;
        if !fits {
            let cause = format!("`{name}` has the device {}, the pool is on {}", kind.device, pool.on.brief());
            findings.push(Finding::error(Code::Inconsistent, format!("{key}.on"), cause, "use the machine's device"));
        }
        if pool.on.usd_per_hour() > 0.0 {
            let cause = "a pool on machines costs nothing by itself: they are paid whole";
            findings.push(Finding::error(Code::NoEffect, format!("{key}.on"), cause, "remove its price"));
        }
    }
    for (gear_index, gear) in plan.gears.iter().enumerate() {
        for (index, packed) in gear.packing.iter().enumerate() {
            let key = format!("gears[{gear_index}].packing[{index}]");
            if !kinds.contains(&packed.machine.as_str()) {
                findings.push(unknown(&packed.machine, format!("{key}.machine")));
            }
            for name in packed.replicas.keys() {
                let is_there = plan.pool(name).is_some_and(|pool| pool.machine.as_ref() == Some(&packed.machine));
                if !is_there {
                    let cause = format!("no pool `{name}` is on machines of the kind `{}`", packed.machine);
                    let key = format!("{key}.replicas.{name}");
                    findings.push(Finding::error(Code::UnknownName, key, cause, "name a pool of that kind"));
                }
            }
        }
    }
}

/// Checks that every replica on machines has its place, and that no machine holds more than it has.
pub(super) fn check(plan: &Plan, gear: &Gear, facts: &Facts, key: &str, findings: &mut Findings) {
    for pool in plan.placement.iter().filter(|pool| pool.machine.is_some()) {
        let of_pool = |packed: &Packed| packed.count * packed.replicas.get(&pool.name).copied().unwrap_or(0);
        let (placed, up) = (gear.packing.iter().map(of_pool).sum::<u32>(), gear.replicas_of(pool));
        if placed != up {
            let cause = format!("{up} replicas of `{}` are up, {placed} have a place on a machine", pool.name);
            findings.push(Finding::error(Code::LimitBroken, format!("{key}.packing"), cause, "solve again"));
        }
    }
    for kind in &plan.machines {
        let rented: u32 = rented(gear).get(kind.name.as_str()).copied().unwrap_or(0);
        if rented > kind.at_most {
            let cause = format!("{rented} machines of the kind `{}` are rented, there are {}", kind.name, kind.at_most);
            findings.push(Finding::error(Code::LimitBroken, format!("{key}.packing"), cause, "solve again"));
        }
    }
    for (index, packed) in gear.packing.iter().enumerate() {
        let Some(kind) = plan.machines.iter().find(|kind| kind.name == packed.machine) else { continue };
        fits(plan, gear, facts, (kind, packed), &format!("{key}.packing[{index}]"), findings);
    }
    claims_agree(gear, key, findings);
}

/// Compares the kinds of a plan with those of its problem.
pub(super) fn kinds_agree(plan: &Plan, problem: &Problem, findings: &mut Findings) {
    // Devices of a cascade are pools of their own.
    if !matches!(problem.room.name(), RoomName::VariantSet | RoomName::Pipeline) {
        return;
    }
    if plan.machines != problem.inventory.machines {
        let cause = "the plan has other kinds of machines than the problem";
        findings.push(Finding::error(Code::LimitBroken, "machines", cause, "solve again"));
    }
    if plan.machines.is_empty() {
        return;
    }
    for (index, pool) in plan.placement.iter().enumerate().filter(|(_, pool)| pool.machine.is_none()) {
        let cause = format!("`{}` is on no machine, and the problem has nothing else", pool.name);
        findings.push(Finding::error(Code::LimitBroken, format!("placement[{index}]"), cause, "solve again"));
    }
}

fn rented(gear: &Gear) -> BTreeMap<&str, u32> {
    let mut rented = BTreeMap::new();
    for packed in &gear.packing {
        *rented.entry(packed.machine.as_str()).or_default() += packed.count;
    }
    rented
}

fn fits(
    plan: &Plan,
    gear: &Gear,
    facts: &Facts,
    (kind, packed): (&Machine, &Packed),
    key: &str,
    findings: &mut Findings,
) {
    let held: Vec<(&Pool, u32)> =
        packed.replicas.iter().filter_map(|(name, &count)| Some((plan.pool(name)?, count))).collect();
    let words: Vec<String> = held.iter().map(|(pool, count)| format!("{count} × {}", pool.name)).collect();
    let words = words.join(" and ");
    let cores: u32 = held.iter().map(|(pool, count)| count * pool.on.cores()).sum();
    if cores > kind.cores {
        let cause = format!("{words} take {cores} cores, a machine `{}` has {}", kind.name, kind.cores);
        findings.push(Finding::error(Code::LimitBroken, key, cause, "solve again"));
    }
    let Some(room) = kind.memory_mb.map(Megabytes::get) else { return };
    let mut unknown = false;
    let mut memory = 0.0;
    for (pool, count) in held {
        let (one, known) = memory_of(plan, gear, facts, pool);
        memory += f64::from(count) * one;
        unknown |= !known;
    }
    if !keeps_within(memory, room) {
        let cause = format!("{words} take {memory:.1} MB, a machine `{}` has {room} MB", kind.name);
        findings.push(Finding::error(Code::LimitBroken, key, cause, "solve again"));
    }
    if unknown {
        let cause = "memory while serving was not measured for some batch; what the variant takes when loaded, or at \
                     its largest measured batch, counts";
        let finding = Finding::error(Code::NotMeasured, key, cause, "profile again: memory of batches is measured now");
        findings.push(finding.with_severity(Severity::Note));
    }
}

/// Returns the memory of one replica in megabytes in a gear, all variants that it hosts together, and whether all of it
/// was measured.
fn memory_of(plan: &Plan, gear: &Gear, facts: &Facts, pool: &Pool) -> (f64, bool) {
    let lanes = || gear.stages.iter().flat_map(|stage| &stage.lanes).filter(|lane| lane.pool == pool.name);
    let of_host = |host: &String| {
        let batch = lanes().filter(|lane| lane.variant == *host).map(|lane| lane.batch).max().unwrap_or(1);
        facts.variant_on(plan, pool, host).map_or((0.0, false), |variant| {
            let (memory, known) = variant.memory_at(batch);
            (memory.get(), known)
        })
    };
    pool.hosts.iter().map(of_host).fold((0.0, true), |(sum, all), (one, known)| (sum + one, all && known))
}

fn claims_agree(gear: &Gear, key: &str, findings: &mut Findings) {
    let claimed: BTreeMap<&str, u32> =
        gear.claims.machines.iter().map(|(name, &count)| (name.as_str(), count)).collect();
    if !claimed.is_empty() && claimed != rented(gear) {
        let cause = format!("claims {claimed:?}, recomputed {:?}", rented(gear));
        let key = format!("{key}.claims.machines");
        findings.push(Finding::error(Code::ClaimRefuted, key, cause, "solve again, or correct the claim"));
    }
}
