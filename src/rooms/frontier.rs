//! What accuracy each number of cores buys at one load: the Pareto frontier that the chosen plan is a point of.

use serde::Serialize;

use crate::error::Error;
use crate::facts::Facts;
use crate::optimize::fill::at_load;
use crate::optimize::{Instance, Objective};
use crate::problem::{Problem, Room};

use super::pipeline;
use super::variant_set::{Model, Parts};

/// A choice that no other beats in both cores and accuracy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FrontierPoint {
    /// Cores in use.
    pub cores: u32,
    /// Accuracy over requests.
    pub accuracy: f64,
    /// Cores of each variant in use, in the order of the facts or of the stages.
    pub cores_of: Vec<(String, u32)>,
}

/// Returns the frontier of a problem at a load, the fewest cores first; `parts` as in [`Context`](super::Context).
///
/// Neither the problem's goal nor its least accuracy plays a part, only its inventory and SLO. Every point is proved: it is
/// the most accurate choice within its cores.
///
/// # Errors
/// [`Error::Unsupported`] for rooms that do not plan yet; [`Error::Input`] for missing facts.
pub fn frontier(problem: &Problem, facts: &Facts, parts: &Parts, load_rps: f64) -> Result<Vec<FrontierPoint>, Error> {
    super::machines::refuse(problem, "the frontier of cores")?;
    match problem.room {
        Room::VariantSet => Ok(of_variants(Model::new(problem, facts, parts)?.instance, load_rps)),
        Room::Pipeline => pipeline::frontier(problem, facts, parts, load_rps),
        other => Err(Error::Unsupported {
            what: format!("there is no frontier of cores against accuracy in the room `{}` yet", other.as_str()),
            hint: "problems of `variant-set` and `pipeline` have one".to_owned(),
        }),
    }
}

/// Takes a core less than the last point used, again and again.
fn of_variants(mut instance: Instance, load: f64) -> Vec<FrontierPoint> {
    instance.objective = Objective::MostAccurate;
    let mut points: Vec<FrontierPoint> = Vec::new();
    while let Some(best) = at_load::solve(&instance, load) {
        let cores: u32 = best.cores.iter().sum();
        let used = instance.items.iter().zip(&best.cores).filter(|(_, cores)| **cores > 0);
        let cores_of = used.map(|(item, cores)| (item.name.clone(), *cores)).collect();
        points.push(FrontierPoint { cores, accuracy: best.accuracy, cores_of });
        if cores <= 1 {
            break;
        }
        instance.budget = cores - 1;
    }
    points.reverse();
    points
}
