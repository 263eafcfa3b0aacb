//! From a problem and its facts to the published planner's instance, and from what it found to a plan like any other.
//!
//! Devices that hold the same models become one pool, whose queues they share: kinder than the published runtime, where every
//! server has its own. The plan format has no trigger; a trigger of `b` becomes a hold of the time in which `b − 1` requests come
//! at the range's highest rate, which also bounds the wait that the published runtime leaves open. Samples stay on their device
//! where every device holds all models, else they go by the shares.

use std::collections::BTreeMap;

use super::{RingGear, RingInstance, RingModel, RingPlan, RingSettings, ring, search};
use crate::base::error::Error;
use crate::base::units::{Accuracy, Certainty, Factor, Millis, Rate, Share};
use crate::facts::{Ask, Facts};
use crate::plan::{Claims, Dispatch, Drain, Exit, Gear, Lane, Plan, PlanFormat, Pool, Provenance, Stage, Switch};
use crate::problem::Resource;
use crate::problem::{GoalKind, Problem};
use crate::rooms::cascade::{Device, claims, devices};
use crate::rooms::exits::{Cascade, Records};
use crate::rooms::gears::level_shares;

/// The published runtime looks at the load every 100 ms.
const WINDOW_MS: f64 = 100.0;
/// It changes down once no more than 1 ÷ 8 s of arrivals wait (α = 8).
const DWELL_MS: f64 = 125.0;

/// Plans as published. Goal `most-accurate`: on all devices. Goal `cheapest`: the paper has no such goal and runs its planner for 1,
/// 2, 3, … devices; the first plan that is accurate enough by the planner's own expectation is taken. `None` where the ring says
/// impossible, which proves nothing.
///
/// # Errors
/// [`Error::Unsupported`] for several kinds of devices, which the paper does not know, and for goal `weighted`; findings for
/// facts that are missing.
pub fn plan(problem: &Problem, facts: &Facts, settings: &RingSettings) -> Result<Option<Plan>, Error> {
    let names = Ask::new(problem, facts).variants()?;
    let records = Records::from_facts(facts, &names)?;
    let device = only_device(problem)?;
    let instance = instance(problem, facts, &names, &records, &device);
    let (least, mean) = (problem.goal.accuracy_at_least, problem.goal.mean_accuracy_at_least);
    let (least, mean) = (least.map_or(0.0, Accuracy::get), mean.map_or(0.0, Accuracy::get));
    let mut cascades = search(&instance, settings);
    cascades.retain(|cascade| cascade.accuracy >= least);
    let most = device.at_most as usize;
    let counts = match problem.goal.kind {
        GoalKind::MostAccurate => most..=most,
        GoalKind::Cheapest => 1..=most,
        GoalKind::Weighted | GoalKind::Fastest | GoalKind::Lexicographic => {
            return Err(refused("this goal", "set `goal.kind` to `cheapest` or `most-accurate`"));
        }
    };
    for devices in counts {
        let instance = RingInstance { devices, ..instance.clone() };
        let found = ring(&instance, &cascades, settings);
        if let Some(found) = found.filter(|found| found.expected_accuracy(settings) >= mean) {
            return Ok(Some(decoded(problem, facts, &names, &instance, &device, &found)));
        }
    }
    Ok(None)
}

fn refused(what: &str, hint: &str) -> Error {
    Error::Unsupported { what: format!("CascadeServe as published does not know {what}"), hint: hint.to_owned() }
}

fn only_device(problem: &Problem) -> Result<Device, Error> {
    let [device] = <[Device; 1]>::try_from(devices(problem))
        .map_err(|_| refused("several kinds of devices", "leave one kind under `inventory.machines`"))?;
    Ok(device)
}

/// Returns the instance of a problem on all devices of a kind.
fn instance<'a>(
    problem: &Problem,
    facts: &Facts,
    names: &[String],
    records: &'a Records,
    device: &Device,
) -> RingInstance<'a> {
    let model = |name: &String| RingModel {
        memory_mb: facts.measured(name).memory_mb.get(),
        batch_ms: batch_ms(facts, name, &device.on, problem.slo.latency_ms.get()),
    };
    RingInstance {
        records,
        models: names.iter().map(model).collect(),
        devices: device.at_most as usize,
        memory_mb: device.memory_mb,
        max_rps: problem.workload.max_rps.get(),
        quantile: problem.slo.quantile.get(),
        limit_ms: problem.slo.latency_ms.get(),
    }
}

/// Returns the mean times of batches 1, 2, … as far as they were measured and keep the limit; a batch of one always.
fn batch_ms(facts: &Facts, name: &str, on: &Resource, limit_ms: f64) -> Vec<f64> {
    let Some(curve) = facts.curve(name, on.device()) else { return vec![f64::INFINITY] };
    let mean = |batch: u32| curve.at(on.cores(), batch).map(|service| service.law.mean_ms());
    let first = mean(1).unwrap_or(f64::INFINITY);
    std::iter::once(first).chain((2..).map_while(mean).take_while(|ms| *ms <= limit_ms)).collect()
}

/// Devices that hold the same models.
struct Alike {
    name: String,
    holds: Vec<bool>,
    devices: Vec<usize>,
}

fn decoded(
    problem: &Problem,
    facts: &Facts,
    names: &[String],
    instance: &RingInstance<'_>,
    device: &Device,
    found: &RingPlan,
) -> Plan {
    let pools = alike(found, names.len(), &device.name);
    let gears = found.gears.iter().map(|gear| gear_of(gear, names, instance, &pools)).collect();
    let pool = |alike: &Alike| Pool {
        name: alike.name.clone(),
        on: device.on.clone(),
        machine: None,
        replicas: alike.devices.len() as u32,
        hosts: names.iter().zip(&alike.holds).filter(|(_, held)| **held).map(|(name, _)| name.clone()).collect(),
    };
    let mut plan = Plan {
        format: PlanFormat::V1,
        name: problem.name.clone(),
        slo: problem.slo,
        machines: Vec::new(),
        placement: pools.iter().map(pool).collect(),
        transfers: Vec::new(),
        periods: Vec::new(),
        day: None,
        gears,
        proof: None,
        switch: Switch {
            window_ms: Millis::saturating(WINDOW_MS),
            up: Share::saturating(1.0),
            down: Share::saturating(1.0),
            dwell_ms: Millis::saturating(DWELL_MS),
            drain: Drain::OwnGear,
        },
        provenance: Provenance::of_room(problem.room.name()),
    };
    let claims: Vec<Claims> = plan.gears.iter().map(|gear| claims(&plan, gear, facts)).collect();
    plan.gears.iter_mut().zip(claims).for_each(|(gear, claims)| gear.claims = claims);
    plan
}

/// Groups devices by the models that they hold and that any gear uses.
fn alike(found: &RingPlan, models: usize, device: &str) -> Vec<Alike> {
    let uses = |cascade: &Cascade, model: usize| cascade.members.iter().any(|member| member.model == model);
    let is_used: Vec<bool> =
        (0..models).map(|model| found.gears.iter().any(|gear| uses(&gear.cascade, model))).collect();
    let mut groups: BTreeMap<Vec<bool>, Vec<usize>> = BTreeMap::new();
    for (index, held) in found.holds.iter().enumerate() {
        let holds: Vec<bool> = held.iter().zip(&is_used).map(|(&held, &used)| held && used).collect();
        if holds.contains(&true) {
            groups.entry(holds).or_default().push(index);
        }
    }
    let numbered = groups.len() > 1;
    let name = |place: usize| if numbered { format!("{device}-{}", place + 1) } else { device.to_owned() };
    let of = |(place, (holds, devices))| Alike { name: name(place), holds, devices };
    groups.into_iter().enumerate().map(of).collect()
}

fn gear_of(gear: &RingGear, names: &[String], instance: &RingInstance<'_>, pools: &[Alike]) -> Gear {
    let members = &gear.cascade.members;
    let everywhere = pools.iter().all(|pool| members.iter().all(|member| pool.holds[member.model]));
    let stage = |(place, member): (usize, &crate::rooms::exits::Member)| {
        let share = |pool: &Alike| pool.devices.iter().map(|&device| gear.shares[place][device]).sum::<f64>();
        let lane = |pool: &Alike| {
            let others = if place == 0 { gear.trigger - 1 } else { 0 };
            Lane {
                variant: names[member.model].clone(),
                pool: pool.name.clone(),
                batch: instance.models[member.model].largest() as u32,
                hold_ms: Millis::saturating(others as f64 / (gear.up_to_rps * share(pool)) * 1e3),
                share: Some(Share::saturating(share(pool))),
                queue_limit: None,
                drop_after_ms: None,
            }
        };
        let mut lanes: Vec<Lane> = pools.iter().filter(|pool| share(pool) > 0.0).map(lane).collect();
        level_shares(&mut lanes);
        let stays = place > 0 && everywhere && lanes.len() > 1;
        Stage {
            name: names[member.model].clone(),
            after: Vec::new(),
            calls: Factor::saturating(1.0),
            dispatch: if stays { Dispatch::Stay } else { Dispatch::Share },
            lanes,
            exit: member.exit_at.map(|least| Exit { certainty_at_least: Certainty::saturating(least) }),
            watch: None,
        }
    };
    Gear {
        up_to_rps: Rate::saturating(gear.up_to_rps),
        replicas: BTreeMap::new(),
        packing: Vec::new(),
        under_way_at_most: None,
        window_ms: None,
        stages: members.iter().enumerate().map(stage).collect(),
        claims: Claims::default(),
        certificate: None,
    }
}
