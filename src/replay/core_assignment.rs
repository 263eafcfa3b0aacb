//! Which cores each replica is pinned to, or what this machine lacks.

use crate::base::finding::{Code, Finding, Findings};
use crate::plan::{Gear, Plan};
use crate::problem::Resource;

/// The cores of every replica: replicas that are up in the same gear share none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreAssignment {
    /// For each pool of the placement and each of its replicas, the numbers of its cores; none where it runs elsewhere.
    pub pools: Vec<Vec<Vec<usize>>>,
}

/// Returns the plan with that gear alone, and without the pools that are down in it; `None` where there is no such gear.
#[must_use]
pub fn only_gear(plan: &Plan, index: usize) -> Option<Plan> {
    let mut gear = plan.gears.get(index)?.clone();
    let placement: Vec<_> = plan.placement.iter().filter(|pool| gear.replicas_of(pool) > 0).cloned().collect();
    gear.replicas.retain(|name, _| placement.iter().any(|pool| pool.name == *name));
    let stays = |name: &String| placement.iter().any(|pool| pool.name == *name);
    let mut transfers = plan.transfers.clone();
    transfers.retain(|transfer| stays(&transfer.to) && transfer.from.as_ref().is_none_or(stays));
    Some(Plan { gears: vec![gear], placement, transfers, ..plan.without_periods() })
}

impl CoreAssignment {
    /// Assigns some of these cores to every replica. Replica after replica, in the order of the placement, takes the first
    /// cores that are not assigned to a replica which is up in one of the same gears.
    ///
    /// # Errors
    /// A finding for every pool that is neither on cores nor on machines, and where the cores are too few.
    pub fn new(plan: &Plan, cores: &[usize]) -> Result<Self, Findings> {
        let mut findings = Findings::default();
        pools_are_on_cores(plan, &mut findings);
        gears_fit(plan, cores.len(), &mut findings);
        findings.or(())?;
        let mut taken: Vec<Assigned> = Vec::new();
        for (pool, of_pool) in plan.placement.iter().enumerate() {
            let most = plan.gears.iter().map(|gear| gear.replicas_of(of_pool)).max().unwrap_or(0);
            for replica in 0..most {
                let up = plan.gears.iter().map(|gear| gear.replicas_of(of_pool) > replica).collect();
                taken.push(assign(pool, up, of_pool.on.cores() as usize, &taken, cores).ok_or_else(|| narrow(cores))?);
            }
        }
        let of_pool = |pool| taken.iter().filter(|one| one.pool == pool).map(|one| one.cores.clone()).collect();
        Ok(Self { pools: (0..plan.placement.len()).map(of_pool).collect() })
    }

    /// Returns an assignment of no cores: the replicas run in another process or on another machine.
    #[must_use]
    pub fn elsewhere(plan: &Plan) -> Self {
        Self { pools: plan.placement.iter().map(|pool| vec![Vec::new(); pool.replicas as usize]).collect() }
    }

    /// Returns those of these cores that are assigned to no replica.
    #[must_use]
    pub fn free(&self, cores: &[usize]) -> Vec<usize> {
        let taken = |core: &usize| self.pools.iter().flatten().any(|assigned| assigned.contains(core));
        cores.iter().copied().filter(|core| !taken(core)).collect()
    }
}

/// A replica, the gears in which it is up, and its cores.
struct Assigned {
    pool: usize,
    up: Vec<bool>,
    cores: Vec<usize>,
}

fn assign(pool: usize, up: Vec<bool>, wanted: usize, taken: &[Assigned], cores: &[usize]) -> Option<Assigned> {
    let meets = |other: &&Assigned| up.iter().zip(&other.up).any(|(here, there)| *here && *there);
    let is_free = |core: &usize| !taken.iter().filter(meets).any(|other| other.cores.contains(core));
    let cores: Vec<usize> = cores.iter().copied().filter(is_free).take(wanted).collect();
    (cores.len() == wanted).then_some(Assigned { pool, up, cores })
}

fn pools_are_on_cores(plan: &Plan, findings: &mut Findings) {
    for (index, pool) in plan.placement.iter().enumerate() {
        let what = match &pool.on {
            // The host stands in for a machine with so many cores.
            Resource::Cores { .. } | Resource::Vm { .. } => continue,
            Resource::Gpu { device, .. } => format!("an accelerator `{device}`"),
            Resource::Function { .. } => "functions".to_owned(),
        };
        let cause = format!("pool `{}` is on {what}; a replay has the cores of this machine", pool.name);
        let action = "simulate the plan, or replay a gear that has only pools on cores with --gear";
        findings.push(Finding::error(Code::MissingResource, format!("placement[{index}].on"), cause, action));
    }
}

fn cores_of(plan: &Plan, gear: &Gear) -> usize {
    let cores = plan.placement.iter().map(|pool| u64::from(gear.replicas_of(pool)) * u64::from(pool.on.cores()));
    usize::try_from(cores.sum::<u64>()).unwrap_or(usize::MAX)
}

fn gears_fit(plan: &Plan, cores: usize, findings: &mut Findings) {
    let needs: Vec<usize> = plan.gears.iter().map(|gear| cores_of(plan, gear)).collect();
    let most = needs.iter().copied().max().unwrap_or(0);
    if most <= cores {
        return;
    }
    let too_large = needs.iter().filter(|&&need| need > cores).count();
    let fitting: Vec<_> = (0..needs.len()).filter(|&gear| needs[gear] <= cores).map(|gear| gear.to_string()).collect();
    let cause = format!(
        "{too_large} of {} gears need more than the {cores} cores that this process may use, up to {most}",
        needs.len()
    );
    let action = if fitting.is_empty() {
        "replay it on a larger machine, or plan for this one".to_owned()
    } else {
        format!("replay one gear that fits with --gear: {}", fitting.join(", "))
    };
    findings.push(Finding::error(Code::MissingResource, "gears", cause, action));
}

fn narrow(cores: &[usize]) -> Findings {
    let cause = format!("each gear fits on {} cores, but no replica can keep its cores through all gears", cores.len());
    Finding::error(Code::MissingResource, "gears", cause, "replay one gear with --gear, or use more cores").into()
}

#[cfg(test)]
mod tests {
    use super::{CoreAssignment, only_gear};
    use crate::plan::Plan;
    use serde_json::{Value, json};

    fn plan(on: &Value, gears: &[[u32; 2]]) -> Plan {
        let gear = |(index, up): (usize, &[u32; 2])| {
            let lane =
                |pool: &str| json!({ "name": pool, "dispatch": "share", "lanes": [{ "variant": "v", "pool": pool }] });
            json!({ "up_to_rps": index + 1, "replicas": { "a": up[0], "b": up[1] }, "stages": [lane("a")] })
        };
        serde_json::from_value(json!({
            "format": "planner.plan/1", "name": "p", "slo": { "quantile": 0.99, "latency_ms": 10 },
            "placement": [{ "name": "a", "on": on, "replicas": 9, "hosts": ["v"] },
                          { "name": "b", "on": on, "replicas": 9, "hosts": ["v"] }],
            "gears": gears.iter().enumerate().map(gear).collect::<Vec<_>>(),
            "switch": { "window_ms": 1000, "up": 0.9, "down": 0.8, "dwell_ms": 10000, "drain": "own-gear" },
            "provenance": { "tool": "by hand", "room": "cascade", "seed": 0, "inputs": [] }
        }))
        .expect("a plan")
    }

    #[test]
    fn replicas_of_different_gears_share_cores() {
        let cores = json!({ "kind": "cores", "cores": 2 });
        let assignment = CoreAssignment::new(&plan(&cores, &[[1, 0], [0, 2]]), &[3, 5, 6, 8, 9]).expect("they fit");
        assert_eq!(assignment.pools, [vec![vec![3, 5]], vec![vec![3, 5], vec![6, 8]]]);
        assert_eq!(assignment.free(&[3, 5, 6, 8, 9]), [9]);
    }

    #[test]
    fn a_machine_is_so_many_cores_of_the_host() {
        let vm = json!({ "kind": "vm", "cores": 2, "boot_ms": 1000, "price_usd_per_hour": 0.1 });
        let assignment = CoreAssignment::new(&plan(&vm, &[[1, 1]]), &[0, 1, 2, 3]).expect("they fit");
        assert_eq!(assignment.pools, [vec![vec![0, 1]], vec![vec![2, 3]]]);
        assert!(CoreAssignment::new(&plan(&vm, &[[2, 1]]), &[0, 1, 2, 3]).is_err(), "three machines of two cores");
    }

    #[test]
    fn says_what_is_missing_and_which_gears_fit() {
        let cores = json!({ "kind": "cores", "cores": 1 });
        let message =
            CoreAssignment::new(&plan(&cores, &[[1, 0], [2, 2], [0, 2]]), &[0, 1]).expect_err("four").to_string();
        assert!(message.contains("1 of 3 gears") && message.contains("up to 4") && message.contains("--gear: 0, 2"));
        let gpu = json!({ "kind": "gpu", "device": "h200" });
        let message = CoreAssignment::new(&plan(&gpu, &[[1, 0]]), &[0, 1]).expect_err("no such thing").to_string();
        assert!(message.contains("missing-resource") && message.contains("`h200`"), "{message}");
    }

    #[test]
    fn one_gear_drops_the_pools_that_are_down_in_it() {
        let cores = json!({ "kind": "cores", "cores": 1 });
        let plan = plan(&cores, &[[2, 2], [1, 0]]);
        let one = only_gear(&plan, 1).expect("there are two");
        assert_eq!((one.placement.len(), one.gears.len(), one.max_rps()), (1, 1, 2.0));
        assert!(CoreAssignment::new(&one, &[0]).is_ok());
        assert_eq!(only_gear(&plan, 2), None);
    }
}
