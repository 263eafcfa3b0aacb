//! From a choice to a gear of the plan.

use std::collections::BTreeMap;

use super::climb::{Model, Step};
use crate::facts::Facts;
use crate::plan::{Certificate, Claims, Dispatch, Gear, Stage, pipeline_accuracy};
use crate::rooms::gears::{Decoded, lane};
use crate::units::{Rate, Share, Usd};

const METHOD: &str = "exact: labels over laws of response times on a grid of 1/256 of the SLO";

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
    let certificate = Certificate { objective, bound: objective, gap: 0.0, method: METHOD.to_owned(), trial: None };
    let mut gear = Gear {
        up_to_rps: Rate::saturating(step.up_to),
        replicas: BTreeMap::new(),
        claims: claims(model, step, &stages),
        stages,
        certificate: Some(certificate),
    };
    gear.claims.accuracy = pipeline_accuracy(&gear, problem, facts);
    Decoded { gear, lanes }
}

fn claims(model: &Model<'_>, step: &Step, stages: &[Stage]) -> Claims {
    let ways = || (0..stages.len()).map(|stage| model.way(&step.picked, stage));
    let cores: u32 = ways().map(|way| way.candidate.cores()).sum();
    let price = model.problem.inventory.price_usd_per_core_hour.get();
    let utilisation = stages
        .iter()
        .zip(ways())
        .map(|(stage, way)| (stage.lanes[0].pool.clone(), Share::saturating(way.flow().utilisation(step.up_to))));
    Claims {
        accuracy: None,
        latency: None,
        cost_usd_per_hour: Some(Usd::saturating(f64::from(cores) * price)),
        cores: Some(cores),
        utilisation: utilisation.collect(),
    }
}
