//! From chosen ways to run variants to the lanes, pools and gears of a plan: what every room needs.

use std::collections::BTreeMap;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::variant_set::Candidate;
use crate::facts::Facts;
use crate::optimize::few;
use crate::plan::{Gear, Lane, Plan, PlanFormat, Pool, Provenance, Resource, Switch, latency_claim};
use crate::problem::Problem;
use crate::units::{Millis, Share, Usd};

/// Requests that a window should see: their number is then known to about a fifth.
const REQUESTS_TO_TELL_A_RATE: f64 = 25.0;
/// Longest window: what changes faster is not followed.
const LONGEST_WINDOW_MS: f64 = 30e3;

/// A gear with the pools that it needs.
pub(super) struct Decoded {
    /// The gear, but for the replicas of its pools.
    pub gear: Gear,
    /// Every lane's variant and how it runs.
    pub lanes: Vec<(String, Candidate)>,
}

/// Puts the gears together, at most as many as the goal allows: pools as large as any gear needs. What they claim of the
/// latency is worked out here, from the walk as it is written down.
pub(super) fn assemble(problem: &Problem, facts: &Facts, decoded: Vec<Decoded>) -> Plan {
    let decoded = at_most(problem.goal.gears_at_most, decoded);
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
        gears.push(gear);
    }
    let mut plan = Plan {
        format: PlanFormat::V1,
        name: problem.name.clone(),
        slo: problem.slo,
        machines: problem.inventory.machines.clone(),
        placement,
        transfers: Vec::new(),
        switch: switch(&gears),
        proof: None,
        gears,
        provenance: Provenance {
            tool: concat!("planner ", env!("CARGO_PKG_VERSION")).to_owned(),
            room: problem.room,
            seed: 0,
            inputs: Vec::new(),
            capacity_parts: BTreeMap::new(),
            problem: None,
        },
    };
    let claims: Vec<_> = (0..plan.gears.len()).into_par_iter().map(|gear| latency_claim(&plan, gear, facts)).collect();
    plan.gears.iter_mut().zip(claims).for_each(|(gear, claim)| gear.claims.latency = claim);
    plan
}

/// Keeps the gears with which the goal loses least, every load counting alike. The loads of one that is left out are served by
/// the next one kept, which carries more.
fn at_most(most: Option<u32>, gears: Vec<Decoded>) -> Vec<Decoded> {
    let Some(most) = most else { return gears };
    let value = |decoded: &Decoded| decoded.gear.certificate.as_ref().map_or(0.0, |certificate| certificate.objective);
    let ends = || gears.iter().map(|decoded| decoded.gear.up_to_rps.get());
    let widths: Vec<f64> = std::iter::once(0.0).chain(ends()).zip(ends()).map(|(from, to)| to - from).collect();
    let kept = few::keep(&gears.iter().map(value).collect::<Vec<_>>(), &widths, most as usize);
    gears.into_iter().enumerate().filter(|(index, _)| kept.contains(index)).map(|(_, gear)| gear).collect()
}

/// Returns the switch rule: windows of a second, or so long that some requests tell the rate of the lowest gear, and three
/// windows of a low rate before a change down.
pub(super) fn switch(gears: &[Gear]) -> Switch {
    let lowest = gears.first().map_or(f64::INFINITY, |gear| gear.up_to_rps.get());
    let usual = Switch::default();
    let window_ms = (1e3 * REQUESTS_TO_TELL_A_RATE / lowest).clamp(usual.window_ms.get(), LONGEST_WINDOW_MS);
    Switch {
        window_ms: Millis::saturating(window_ms),
        dwell_ms: Millis::saturating(usual.dwell_ms.get().max(3.0 * window_ms)),
        ..usual
    }
}

pub(super) fn lane(variant: &str, candidate: &Candidate, share: f64) -> Lane {
    Lane {
        variant: variant.to_owned(),
        pool: pool_name(variant, candidate),
        batch: candidate.batch,
        hold_ms: Millis::saturating(candidate.hold_ms),
        share: Some(Share::saturating(share)),
        queue_limit: None,
        drop_after_ms: None,
    }
}

/// Makes the shares sum to 1 exactly as far as rounding allows, by giving the rest to the largest.
pub(super) fn level_shares(lanes: &mut [Lane]) {
    let sum: f64 = lanes.iter().filter_map(|lane| lane.share).map(f64::from).sum();
    let largest = lanes.iter_mut().filter_map(|lane| lane.share.as_mut()).max_by(|a, b| a.get().total_cmp(&b.get()));
    if let Some(share) = largest {
        *share = Share::saturating(share.get() + 1.0 - sum);
    }
}

/// Returns the pool of a variant that runs in one way.
pub(super) fn pool(problem: &Problem, variant: &str, candidate: &Candidate) -> Pool {
    let kind =
        candidate.machine.as_ref().and_then(|name| problem.inventory.machines.iter().find(|kind| kind.name == *name));
    let on = match kind {
        // A machine is paid whole, so what runs on it costs nothing by itself.
        Some(kind) if kind.device != "cpu" => {
            Resource::Gpu { device: kind.device.clone(), price_usd_per_hour: Usd::ZERO }
        }
        Some(_) => Resource::Cores { cores: candidate.cores_each, price_usd_per_core_hour: Usd::ZERO },
        None => Resource::Cores {
            cores: candidate.cores_each,
            price_usd_per_core_hour: problem.inventory.price_usd_per_core_hour,
        },
    };
    Pool {
        name: pool_name(variant, candidate),
        on,
        machine: candidate.machine.clone(),
        replicas: candidate.replicas,
        hosts: vec![variant.to_owned()],
    }
}

/// Returns the cores that ways to run variants take together; accelerators have none.
pub(super) fn cores_of(problem: &Problem, ways: &[(String, Candidate)]) -> u32 {
    let on_cores =
        |(variant, way): &&(String, Candidate)| matches!(pool(problem, variant, way).on, Resource::Cores { .. });
    ways.iter().filter(on_cores).map(|(_, way)| way.cores()).sum()
}

/// Adds a pool, or widens the one of its name to as many replicas.
pub(super) fn widen(pools: &mut BTreeMap<String, Pool>, pool: Pool) {
    let known = pools.entry(pool.name.clone()).or_insert_with(|| pool.clone());
    known.replicas = known.replicas.max(pool.replicas);
}

pub(super) fn pool_name(variant: &str, candidate: &Candidate) -> String {
    match &candidate.machine {
        Some(kind) => format!("{variant}-{kind}-{}c", candidate.cores_each),
        None => format!("{variant}-{}c", candidate.cores_each),
    }
}
