//! Replicas on hardware: the pool of a variant, what a problem's kinds are to the search, and which replicas of a gear share a
//! machine.

use std::collections::BTreeMap;

use super::configurations::Configuration;
use crate::base::units::Usd;
use crate::facts::Facts;
use crate::optimize::fleet::FleetKind;
use crate::optimize::pack::{self, Size, Space};
use crate::plan::{Gear, Packed, Pool};
use crate::problem::{HardwareFamily, Machine, Problem};

/// Bytes of a megabyte.
pub(super) const MEGABYTE: f64 = 1e6;

/// Returns the kinds of machines as the search sees them.
pub(super) fn kinds(problem: &Problem) -> Vec<FleetKind> {
    let kind =
        |kind: &Machine| FleetKind { space: space(kind), at_most: kind.at_most, price: kind.price_usd_per_hour.get() };
    problem.inventory.machines.iter().map(kind).collect()
}

/// Returns the facts that hold on each kind of machine.
pub(super) fn facts_of_kinds(problem: &Problem, facts: &Facts) -> Vec<Facts> {
    problem.inventory.machines.iter().map(|kind| facts.on(kind)).collect()
}

pub(super) fn space(kind: &Machine) -> Space {
    // A machine never has more than it says; a replica never takes less.
    let memory = kind.memory_mb.map_or(u64::MAX, |memory| (memory.get() * MEGABYTE).floor() as u64);
    Space { cores: kind.cores, memory }
}

/// Returns the size of a variant's replicas by the facts of their kind of machine.
pub(super) fn size(facts: &Facts, variant: &str, configuration: &Configuration) -> Size {
    let memory = facts.measured(variant).memory_at(configuration.batch).0.get();
    Size { cores: configuration.cores_each, memory: (memory * MEGABYTE).ceil() as u64, count: configuration.replicas }
}

/// Machines with what they hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Packing {
    /// Machines that hold the same are one entry.
    pub packed: Vec<Packed>,
    /// Machines of each kind.
    pub machines: BTreeMap<String, u32>,
    /// Their price for an hour.
    pub usd_per_hour: f64,
}

impl Packing {
    /// Writes into a gear which replicas share a machine, and claims what that costs.
    pub fn apply_to(self, gear: &mut Gear) {
        gear.claims.cost_usd_per_hour = Some(Usd::saturating(self.usd_per_hour));
        gear.claims.machines = self.machines;
        gear.packing = self.packed;
    }
}

/// Packs the lanes of a gear onto as few machines of each kind as possible; `None` where stock does not suffice.
///
/// `facts_of` are the facts that hold on each kind.
pub(super) fn pack(problem: &Problem, facts_of: &[Facts], lanes: &[(String, Configuration)]) -> Option<Packing> {
    let mut packing = Packing { packed: Vec::new(), machines: BTreeMap::new(), usd_per_hour: 0.0 };
    for (kind, facts) in problem.inventory.machines.iter().zip(facts_of) {
        let here: Vec<_> = lanes.iter().filter(|(_, way)| way.machine.as_ref() == Some(&kind.name)).collect();
        let sizes: Vec<Size> = here.iter().map(|(variant, way)| size(facts, variant, way)).collect();
        let mut machines = pack::fewest(&sizes, space(kind), kind.at_most)?;
        let count = u32::try_from(machines.len()).expect("within stock");
        if count == 0 {
            continue;
        }
        packing.usd_per_hour += f64::from(count) * kind.price_usd_per_hour.get();
        packing.machines.insert(kind.name.clone(), count);
        machines.sort_unstable_by(|a, b| b.cmp(a));
        for same in machines.chunk_by(|a, b| a == b) {
            let mut replicas: BTreeMap<String, u32> = BTreeMap::new();
            for ((variant, way), &count) in here.iter().zip(&same[0]).filter(|(_, count)| **count > 0) {
                *replicas.entry(pool_name(variant, way)).or_default() += count;
            }
            let count = u32::try_from(same.len()).expect("within stock");
            packing.packed.push(Packed { machine: kind.name.clone(), count, replicas });
        }
    }
    Some(packing)
}

/// Returns the pool of a variant that runs in one way.
pub(super) fn pool(problem: &Problem, variant: &str, configuration: &Configuration) -> Pool {
    Pool {
        name: pool_name(variant, configuration),
        on: problem.inventory.kind(configuration.machine.as_deref()).part(configuration.cores_each),
        machine: configuration.machine.clone(),
        replicas: configuration.replicas,
        hosts: vec![variant.to_owned()],
    }
}

/// Returns the cores that ways to run variants take together; accelerators have none.
pub(super) fn cores_of(problem: &Problem, ways: &[(String, Configuration)]) -> u32 {
    let kind = |way: &Configuration| problem.inventory.kind(way.machine.as_deref()).family();
    let on_cores =
        |(_, way): &&(String, Configuration)| matches!(kind(way), HardwareFamily::Cores | HardwareFamily::Machines);
    ways.iter().filter(on_cores).map(|(_, way)| way.cores()).sum()
}

/// Adds a pool, or widens the one of its name to as many replicas.
pub(super) fn widen(pools: &mut BTreeMap<String, Pool>, pool: Pool) {
    let known = pools.entry(pool.name.clone()).or_insert_with(|| pool.clone());
    known.replicas = known.replicas.max(pool.replicas);
}

pub(super) fn pool_name(variant: &str, configuration: &Configuration) -> String {
    match &configuration.machine {
        Some(kind) => format!("{variant}-{kind}-{}c", configuration.cores_each),
        None => format!("{variant}-{}c", configuration.cores_each),
    }
}
