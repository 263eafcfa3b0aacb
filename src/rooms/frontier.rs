//! What accuracy each number of cores buys at one load: the Pareto frontier that the chosen plan is a point of.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::error::Error;
use crate::facts::{AtRisk, Facts};
use crate::optimize::fill::at_load;
use crate::optimize::{Instance, Objective};
use crate::problem::{Problem, Room};

use super::pipeline;
use super::variant_set::{Found, Model, OnMachines, Parts};

/// A choice that no other beats in both cores and accuracy; where machines are rented, in both money and accuracy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FrontierPoint {
    /// Cores in use.
    pub cores: u32,
    /// Price of the machines for an hour, where they are rented.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd_per_hour: Option<f64>,
    /// Machines of each kind, where they are rented.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub machines: BTreeMap<String, u32>,
    /// Accuracy over requests.
    pub accuracy: f64,
    /// Cores of each variant in use, in the order of the facts or of the stages; where machines are rented, of each variant on
    /// each kind, called like `cnn_m-small`.
    pub cores_of: Vec<(String, u32)>,
}

/// Returns the frontier of a problem at a load, the fewest cores, or the cheapest machines, first; `parts` as in
/// [`Context`](super::Context).
///
/// Neither the problem's goal nor its least accuracy plays a part, only its inventory and SLO. Every point is proved: it is
/// the most accurate choice within its cores, or within its money.
///
/// # Errors
/// [`Error::Unsupported`] for rooms that do not plan yet; [`Error::Input`] for missing facts.
pub fn frontier(problem: &Problem, facts: &Facts, parts: &Parts, load_rps: f64) -> Result<Vec<FrontierPoint>, Error> {
    if let Some(at_risk) = AtRisk::of(problem, facts) {
        return frontier(&at_risk.problem, &at_risk.facts, parts, load_rps);
    }
    match problem.room {
        Room::VariantSet if !problem.inventory.machines.is_empty() => {
            Ok(on_machines(&OnMachines::new(problem, facts, parts)?, load_rps))
        }
        Room::VariantSet => Ok(of_variants(Model::new(problem, facts, parts)?.instance, load_rps)),
        Room::Pipeline => pipeline::frontier(problem, facts, parts, load_rps),
        other => Err(Error::Unsupported {
            what: format!("there is no frontier of cores against accuracy in the room `{}` yet", other.as_str()),
            hint: "problems of `variant-set` and `pipeline` have one".to_owned(),
        }),
    }
}

/// Takes a core less than the last point used, again and again.
pub(super) fn of_variants(mut instance: Instance, load: f64) -> Vec<FrontierPoint> {
    instance.objective = Objective::MostAccurate;
    let mut points: Vec<FrontierPoint> = Vec::new();
    while let Some(best) = at_load::solve(&instance, load) {
        let cores: u32 = best.cores.iter().sum();
        let used = instance.items.iter().zip(&best.cores).filter(|(_, cores)| **cores > 0);
        let cores_of = used.map(|(item, cores)| (item.name.clone(), *cores)).collect();
        points.push(FrontierPoint::on_cores(cores, best.accuracy, cores_of));
        if cores <= 1 {
            break;
        }
        instance.budget = cores - 1;
    }
    points.reverse();
    points
}

impl FrontierPoint {
    /// Returns a choice on cores of the inventory.
    pub(super) const fn on_cores(cores: u32, accuracy: f64, cores_of: Vec<(String, u32)>) -> Self {
        Self { cores, cost_usd_per_hour: None, machines: BTreeMap::new(), accuracy, cores_of }
    }
}

fn on_machines(model: &OnMachines<'_>, load: f64) -> Vec<FrontierPoint> {
    model.frontier(load).iter().map(|found| of_fleet(model, found, load)).collect()
}

/// Returns a choice on machines.
pub(super) fn of_fleet(model: &OnMachines<'_>, found: &Found, load: f64) -> FrontierPoint {
    let cores_of = model.cores_of(found, load);
    FrontierPoint {
        cores: cores_of.iter().map(|(_, cores)| cores).sum(),
        cost_usd_per_hour: Some(found.cost),
        machines: model.machines_of(found),
        accuracy: found.accuracy,
        cores_of,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::of_variants;
    use crate::optimize::{Allotment, Instance, Item, Objective, enumerate};

    fn instance(dice: &mut ChaCha8Rng) -> Instance {
        let budget = dice.random_range(2..=8);
        let item = |index: u32, dice: &mut ChaCha8Rng| {
            let mut capacity = 0.0;
            let mut option = |cores: u32| {
                capacity += dice.random_range(1.0..20.0);
                Allotment { cores, capacity }
            };
            let options = (1..=budget).map(&mut option).collect();
            let accuracy = dice.random_range(0.5..1.0);
            Item { name: format!("m{index}"), accuracy, load_time: 1.0, current_cores: 0, options }
        };
        let count = dice.random_range(1..=4);
        let items = (0..count).map(|index| item(index, dice)).collect();
        Instance { items, budget, objective: Objective::MostAccurate }
    }

    #[test]
    fn no_allotment_beats_the_frontier_and_every_point_is_one() {
        let mut dice = ChaCha8Rng::seed_from_u64(42);
        let mut points = 0;
        for case in 0..300 {
            let instance = instance(&mut dice);
            let load = dice.random_range(1.0..60.0);
            let all = RefCell::new(Vec::new());
            let some = enumerate::best(&instance, load, |solution| {
                all.borrow_mut().push((solution.cores.iter().sum::<u32>(), solution.accuracy));
                true
            });
            let all: Vec<(u32, f64)> = all.into_inner();
            let found = of_variants(instance, load);
            assert_eq!(found.is_empty(), some.is_none(), "case {case}");
            for budget in 1..=8 {
                let most = |points: &[(u32, f64)]| {
                    points.iter().filter(|of| of.0 <= budget).map(|of| of.1).fold(f64::NEG_INFINITY, f64::max)
                };
                let own: Vec<(u32, f64)> = found.iter().map(|point| (point.cores, point.accuracy)).collect();
                let (own, truth) = (most(&own), most(&all));
                assert!(own == truth || (own - truth).abs() < 1e-12, "case {case}, {budget} cores: {own} {truth}");
            }
            let strictly =
                |pair: &[super::FrontierPoint]| pair[0].cores < pair[1].cores && pair[0].accuracy < pair[1].accuracy;
            assert!(found.windows(2).all(strictly), "case {case}: {found:?}");
            points += found.len();
        }
        assert!(points > 350, "only {points} points: the instances test nothing");
    }
}
