//! From a choice to a gear of the plan.

use std::collections::BTreeMap;

use super::climb::{Model, Step};
use crate::facts::Facts;
use crate::plan::{Certificate, Claims, Dispatch, Gear, LatencyClaim, Stage, pipeline_accuracy};
use crate::profile::Trust;
use crate::rooms::gears::{Decoded, cores_of, lane};
use crate::rooms::variant_set::Candidate;
use crate::units::{Millis, Rate, Share, Usd};

const METHOD: &str = "exact: labels over laws of response times on a grid of 1/256 of the SLO";

const ON_MACHINES: &str = "every fleet within stock that a bound lets pass, the cheapest first, packed exactly";

/// Returns the gear that a step of the ladder stands for.
pub(super) fn gear(model: &Model<'_>, facts: &Facts, step: &Step) -> Decoded {
    let problem = model.problem;
    let mut stages = Vec::new();
    let mut lanes = Vec::new();
    for (index, task) in problem.stages.iter().enumerate() {
        let way = model.way(&step.picked, index);
        let variant = &task.variants[way.variant];
        stages.push(Stage {
            name: task.name.clone(),
            after: task.after.clone(),
            calls: task.calls,
            dispatch: Dispatch::Share,
            lanes: vec![lane(variant, &way.candidate, 1.0)],
            exit: None,
        });
        lanes.push((variant.clone(), way.candidate.clone()));
    }
    let objective = model.objective(&step.picked);
    let method = if model.machines.is_some() { format!("{METHOD}; {ON_MACHINES}") } else { METHOD.to_owned() };
    let certificate = Certificate { objective, bound: objective, gap: 0.0, method, trial: None };
    let mut gear = Gear {
        up_to_rps: Rate::saturating(step.up_to),
        replicas: BTreeMap::new(),
        packing: Vec::new(),
        claims: claims(model, step, &stages, &lanes),
        stages,
        certificate: Some(certificate),
    };
    gear.claims.accuracy = pipeline_accuracy(&gear, problem, facts);
    if let Some(machines) = &model.machines {
        machines.pack(problem, &lanes).put_into(&mut gear);
    }
    Decoded { gear, lanes }
}

fn claims(model: &Model<'_>, step: &Step, stages: &[Stage], lanes: &[(String, Candidate)]) -> Claims {
    let slo = model.problem.slo;
    let ways = || (0..stages.len()).map(|stage| model.way(&step.picked, stage));
    let law = model.end_to_end(&step.picked, step.up_to);
    let latency = law.quantile_ms(slo.quantile.get(), slo.latency_ms.get());
    let trust = ways().map(|way| way.candidate.service.trust).max().unwrap_or(Trust::Measured);
    let cores = cores_of(model.problem, lanes);
    let price = model.problem.inventory.price_usd_per_core_hour.get();
    let utilisation = stages
        .iter()
        .zip(ways())
        .map(|(stage, way)| (stage.lanes[0].pool.clone(), Share::saturating(way.flow().utilisation(step.up_to))));
    Claims {
        accuracy: None,
        latency: latency.map(|value| LatencyClaim { value_ms: Millis::saturating(value), trust }),
        cost_usd_per_hour: Some(Usd::saturating(f64::from(cores) * price)),
        cores: Some(cores),
        machines: BTreeMap::new(),
        utilisation: utilisation.collect(),
    }
}
