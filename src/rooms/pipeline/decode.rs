//! From a choice to a gear of the plan.

use std::collections::BTreeMap;

use super::blend::mixes;
use super::climb::{Model, Step};
use super::ways::Way;
use crate::base::units::{Rate, Share, Usd};
use crate::plan::{Certificate, Claims, Dispatch, Gear, Stage, pipeline_accuracy};
use crate::problem::Task;
use crate::rooms::configurations::Configuration;
use crate::rooms::gears::{Decoded, lane};
use crate::rooms::hardware::{cores_of, pool_name};

/// What the search covers where stages may be mixtures.
const MIXED: &str = "mixtures of two ways in a stage, by eighths of its calls";
const METHOD: &str = "exact: labels over laws of response times on a grid of 1/256 of the SLO";

const ON_MACHINES: &str = "every fleet within stock that a bound lets pass, the cheapest first, packed exactly";

/// Returns the gear that a step of the ladder stands for.
pub(super) fn gear(model: &Model<'_>, step: &Step) -> Decoded {
    let problem = model.problem;
    let mut stages = Vec::new();
    let mut lanes = Vec::new();
    for (index, task) in problem.stages().iter().enumerate() {
        let mut of_stage = Vec::new();
        for (way, share) in model.lanes(&step.chosen, index) {
            let variant = &task.variants[way.variant];
            of_stage.push(lane(variant, &way.configuration, share));
            lanes.push((variant.clone(), way.configuration.clone()));
        }
        stages.push(Stage {
            name: task.name.clone(),
            after: task.after.clone(),
            calls: task.calls,
            dispatch: Dispatch::Share,
            lanes: of_stage,
            exit: None,
            watch: None,
        });
    }
    let objective = model.objective(&step.chosen);
    let mut method = METHOD.to_owned();
    for (applies, what) in [(mixes(problem), MIXED), (model.machines.is_some(), ON_MACHINES)] {
        if applies {
            method.push_str("; ");
            method.push_str(what);
        }
    }
    let mut gear = Gear {
        up_to_rps: Rate::saturating(step.up_to),
        replicas: BTreeMap::new(),
        packing: Vec::new(),
        under_way_at_most: None,
        window_ms: None,
        claims: claims(model, step, &lanes),
        stages,
        certificate: Some(Certificate::new(objective, objective, method)),
    };
    gear.claims.accuracy = pipeline_accuracy(&gear, problem, &model.ask.facts);
    if let Some(machines) = &model.machines {
        machines.pack(problem, &lanes).apply_to(&mut gear);
    }
    Decoded { gear, lanes }
}

fn claims(model: &Model<'_>, step: &Step, lanes: &[(String, Configuration)]) -> Claims {
    let cores = cores_of(model.problem, lanes);
    let price = model.problem.inventory.price_usd_per_core_hour.get();
    let used = |(stage, task): (usize, &Task)| -> Vec<(String, Share)> {
        let lanes = model.lanes(&step.chosen, stage);
        let of = |(way, share): (&Way, f64)| {
            let pool = pool_name(&task.variants[way.variant], &way.configuration);
            (pool, way.flow().busy(share * step.up_to))
        };
        lanes.map(of).collect()
    };
    let utilisation = model.problem.stages().iter().enumerate().flat_map(used);
    Claims {
        accuracy: None,
        latency: None,
        cost_usd_per_hour: Some(Usd::saturating(f64::from(cores) * price)),
        cores: Some(cores),
        machines: BTreeMap::new(),
        utilisation: utilisation.collect(),
    }
}
