//! From a placement and its envelope to the pools and gears of a plan.

use std::collections::BTreeMap;

use super::envelope::EnvelopeStep;
use super::model::CascadeModel;
use super::placement::Rated;
use super::search::FoundPlacement;
use super::switching::{self, Decided, Limits, Runner};
use crate::base::rounding::ROUNDING;
use crate::base::units::{Accuracy, Certainty, Factor, Millis, Rate, Share, Usd};
use crate::facts::Facts;
use crate::plan::{
    AccuracyClaim, Claims, Dispatch, Exit, Gear, Lane, LatencyClaim, Passage, Plan, PlanFormat, Pool, Provenance,
    Stage, Switch, Turns,
};
use crate::problem::Problem;
use crate::problem::Resource;
use crate::profile::Trust;
use crate::rooms::exits::Cascade;
use crate::rooms::gears::level_shares;

/// Part of a stage's calls that is not worth a lane.
const NO_SHARE: f64 = 1e-9;

/// Returns the plan of a placement that uses all of its gears.
pub(super) fn plan(problem: &Problem, facts: &Facts, model: &CascadeModel, found: &FoundPlacement) -> Plan {
    let mut plan = without_rule(problem, facts, model, found);
    let decided = decided(problem, facts, model, found, &plan, |_| false);
    decided.rule.write(&mut plan);
    plan.gears.iter_mut().for_each(|gear| gear.watch(facts));
    plan
}

/// Returns the rule of a plan, and the gears that stay with it: all, or those that survive the jumps of the recorded load where
/// those are `enough` and do better.
pub(super) fn decided(
    problem: &Problem,
    facts: &Facts,
    model: &CascadeModel,
    found: &FoundPlacement,
    plan: &Plan,
    enough: impl Fn(&[usize]) -> bool,
) -> Decided {
    let carries = |step: &EnvelopeStep| {
        let rated = &model.rated[step.rated];
        if stays(rated, found, step.up_to) {
            rated.carries_staying(&found.counts)
        } else {
            rated.carries(&found.counts)
        }
    };
    let runner = |(step, gear): (&EnvelopeStep, &Gear)| Runner {
        up_to_rps: step.up_to,
        carries_rps: carries(step),
        keeps_up_rps: model.rated[step.rated].keeps_up(&found.counts),
        latency_ms: Turns::of(plan, gear, facts).map_or(f64::INFINITY, |turns| turns.latency_ms),
        accuracy: step.accuracy,
    };
    let runners: Vec<Runner> = found.steps.iter().zip(&plan.gears).map(runner).collect();
    let recorded = facts.recorded.as_ref().map(|trace| &trace.document);
    switching::decided(&runners, Limits::of(problem), recorded, enough)
}

/// Returns the plan of a placement but for when its gears change and what they watch.
pub(super) fn without_rule(problem: &Problem, facts: &Facts, model: &CascadeModel, found: &FoundPlacement) -> Plan {
    let names = pool_names(model, &found.counts);
    let mut gears: Vec<Gear> =
        found.steps.iter().map(|step| gear(model, found, &names, step.rated, step.up_to)).collect();
    let placement = pools(model, &found.counts, &names, &gears);
    let calls_the_next = gears.len().saturating_sub(1);
    for (gear, step) in gears.iter_mut().zip(&found.steps).take(calls_the_next) {
        gear.under_way_at_most = Some(switching::under_way_at_most(step.up_to, &problem.slo));
    }
    let mut plan = Plan {
        format: PlanFormat::V1,
        name: problem.name.clone(),
        slo: problem.slo,
        machines: Vec::new(),
        switch: Switch::default(),
        placement,
        transfers: Vec::new(),
        periods: Vec::new(),
        day: None,
        gears,
        proof: None,
        provenance: Provenance::of_room(problem.room.name()),
    };
    let claims: Vec<Claims> = plan.gears.iter().map(|gear| claims(&plan, gear, facts)).collect();
    plan.gears.iter_mut().zip(claims).for_each(|(gear, claims)| gear.claims = claims);
    plan
}

/// Names the pools after their devices; several patterns on one kind of device are numbered.
fn pool_names(model: &CascadeModel, counts: &[u32]) -> Vec<String> {
    let used =
        |device: usize| (0..counts.len()).filter(move |&slot| counts[slot] > 0 && model.slots[slot].device == device);
    let name = |slot: usize| {
        let device = model.slots[slot].device;
        let base = &model.devices[device].name;
        match used(device).position(|other| other == slot) {
            Some(place) if used(device).count() > 1 => format!("{base}-{}", place + 1),
            _ => base.clone(),
        }
    };
    (0..counts.len()).map(name).collect()
}

/// Returns the pools that are used, each holding what some gear asks of it.
fn pools(model: &CascadeModel, counts: &[u32], names: &[String], gears: &[Gear]) -> Vec<Pool> {
    let lanes = || gears.iter().flat_map(|gear| &gear.stages).flat_map(|stage| &stage.lanes);
    let pool = |slot: usize| {
        let asks = |variant: &String| lanes().any(|lane| lane.pool == names[slot] && lane.variant == *variant);
        Pool {
            name: names[slot].clone(),
            on: model.devices[model.slots[slot].device].on.clone(),
            machine: None,
            replicas: counts[slot],
            hosts: model.names.iter().filter(|variant| asks(variant)).cloned().collect(),
        }
    };
    let used = (0..counts.len()).filter(|&slot| counts[slot] > 0);
    used.map(pool).filter(|pool| !pool.hosts.is_empty()).collect()
}

/// Tells whether requests stay where they began: wherever that carries what is asked.
fn stays(rated: &Rated, found: &FoundPlacement, up_to: f64) -> bool {
    rated.carries_staying(&found.counts) >= up_to * (1.0 - ROUNDING)
}

fn gear(model: &CascadeModel, found: &FoundPlacement, names: &[String], rated: usize, up_to: f64) -> Gear {
    let rated = &model.rated[rated];
    let cascade = &model.cascades[rated.cascade];
    let stays = stays(rated, found, up_to);
    let parts = if stays { staying(rated, &found.counts, cascade) } else { moving(rated, &found.counts) };
    let visits = if stays { 1 } else { cascade.members.len() };
    let stages = cascade.members.iter().enumerate().map(|(index, member)| {
        let variant = &model.names[member.model];
        let mut lanes: Vec<Lane> = parts[index]
            .iter()
            .enumerate()
            .filter(|(_, part)| **part > NO_SHARE)
            .map(|(slot, part)| Lane {
                variant: variant.clone(),
                pool: names[slot].clone(),
                batch: model.batch(visits, model.slots[slot].device, member.model),
                hold_ms: Millis::ZERO,
                share: Some(Share::saturating(*part)),
                queue_limit: None,
                drop_after_ms: None,
            })
            .collect();
        level_shares(&mut lanes);
        let follows = stays && index > 0 && lanes.len() > 1;
        Stage {
            name: variant.clone(),
            after: Vec::new(),
            calls: Factor::saturating(1.0),
            dispatch: if follows { Dispatch::Stay } else { Dispatch::Share },
            lanes,
            exit: member.exit_at.map(|least| Exit { certainty_at_least: Certainty::saturating(least) }),
            watch: None,
        }
    });
    Gear {
        up_to_rps: Rate::saturating(up_to),
        replicas: BTreeMap::new(),
        packing: Vec::new(),
        under_way_at_most: None,
        window_ms: None,
        stages: stages.collect(),
        claims: Claims::default(),
        certificate: None,
    }
}

/// Returns the same parts for every member: what each slot carries of all.
fn staying(rated: &Rated, counts: &[u32], cascade: &Cascade) -> Vec<Vec<f64>> {
    let all = rated.carries_staying(counts);
    let parts: Vec<f64> = rated.stays.iter().zip(counts).map(|(rate, &count)| rate * f64::from(count) / all).collect();
    vec![parts; cascade.members.len()]
}

fn moving(rated: &Rated, counts: &[u32]) -> Vec<Vec<f64>> {
    rated.moves.as_ref().expect("what does not stay moves").flow(counts).1
}

/// Returns what a gear promises at its highest rate, by the house's closed forms.
pub(crate) fn claims(plan: &Plan, gear: &Gear, facts: &Facts) -> Claims {
    let up = || plan.placement.iter().map(|pool| (gear.replicas_of(pool), &pool.on));
    let owned = up().filter(|(_, on)| matches!(on, Resource::Cores { .. } | Resource::Vm { .. }));
    let cores: u32 = owned.map(|(replicas, on)| replicas * on.cores()).sum();
    let price: f64 = up().map(|(replicas, on)| f64::from(replicas) * on.usd_per_hour()).sum();
    let turns = Turns::of(plan, gear, facts);
    let trust = |turns: &Turns<'_>| facts.trust_on(cores, turns.trust);
    Claims {
        accuracy: Passage::of(gear, facts).and_then(|passage| accuracy(gear, &passage, facts)),
        latency: turns.as_ref().map(|turns| LatencyClaim {
            value_ms: Millis::saturating(turns.latency_ms),
            trust: trust(turns),
            trial: None,
        }),
        cost_usd_per_hour: Some(Usd::saturating(price)),
        cores: Some(cores),
        machines: BTreeMap::new(),
        utilisation: turns.map_or_else(BTreeMap::new, |turns| {
            turns.busy.iter().map(|(pool, busy)| ((*pool).to_owned(), Share::saturating(*busy))).collect()
        }),
    }
}

/// Returns the accuracy of a gear; that of a lone variant is the variant's own, which more samples may tell.
fn accuracy(gear: &Gear, passage: &Passage, facts: &Facts) -> Option<AccuracyClaim> {
    if let [stage] = gear.stages.as_slice() {
        let fact = &facts.variant(&stage.lanes.first()?.variant)?.accuracy;
        return Some(AccuracyClaim { value: fact.value, low: fact.low, high: fact.high, trust: fact.trust });
    }
    let (low, high) = passage.interval()?;
    let facts_of = gear.stages.iter().flat_map(|stage| &stage.lanes).filter_map(|lane| facts.variant(&lane.variant));
    let trust = facts_of.map(|variant| variant.accuracy.trust).max().unwrap_or(Trust::Measured);
    Some(AccuracyClaim { value: Accuracy::saturating(passage.accuracy()), low, high, trust })
}
