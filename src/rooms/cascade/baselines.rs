//! What people do on devices without cascades or without gears: the room's own planner with less freedom.
//!
//! Facts, closed form of capacity, batches and memory are the planner's; only the cascades that it may choose from, or the
//! number of its gears, are fewer.

use super::decode;
use super::envelope::LoadShares;
use super::model::CascadeModel;
use super::search::PlacementAim;
use crate::base::error::Error;
use crate::base::units::{Accuracy, Rate};
use crate::facts::Facts;
use crate::plan::{Gear, Plan};
use crate::problem::{GoalKind, Problem};
use crate::rooms::exits::{Cascade, Member, Records, SearchGrid, frontier, thinning_loss};
use crate::rooms::gears::switch_rule;
use crate::rooms::variant_set::variants_of;

/// The cheapest placement, however accurate.
const ANY_ACCURACY: PlacementAim = PlacementAim::Cheapest { accuracy_at_least: 0.0 };

/// Returns one variant on the fewest devices of one kind that carry the highest rate, the cheapest kind; on all devices of a kind
/// where none carry it and `overloaded` asks for it.
pub(in crate::rooms) fn single(
    problem: &Problem,
    facts: &Facts,
    variant: &str,
    overloaded: bool,
) -> Result<Option<Plan>, Error> {
    let moved = cheapest(problem, Some(1));
    let mut best: Option<(f64, Plan)> = None;
    for of_kind in one_kind_each(&moved) {
        let model = alone(&of_kind, facts, variant)?;
        let max_rps = problem.workload.max_rps.get();
        let most: f64 = model.rated.first().map_or(0.0, |rated| rated.carries(&most_of(&model)));
        let carried = if overloaded { max_rps.min(most) } else { max_rps };
        let Some(found) = (carried > 0.0)
            .then(|| model.solve(&of_kind, &LoadShares::new(&facts.load_up_to(carried), carried), ANY_ACCURACY))
            .flatten()
        else {
            continue;
        };
        if best.as_ref().is_none_or(|(price, _)| found.price < *price) {
            best = Some((found.price, decode::plan(&of_kind, facts, &model, &found)));
        }
    }
    Ok(best.map(|(_, plan)| plan))
}

/// Returns one variant whose devices follow the load, from one up to those of [`single`].
pub(in crate::rooms) fn autoscaled(
    problem: &Problem,
    facts: &Facts,
    variant: &str,
    overloaded: bool,
) -> Result<Option<Plan>, Error> {
    let Some(mut plan) = single(problem, facts, variant, overloaded)? else { return Ok(None) };
    let ([gear], [pool]) = (plan.gears.as_slice(), plan.placement.as_slice()) else { return Ok(None) };
    let each = gear.up_to_rps.get() / f64::from(pool.replicas);
    let with = |replicas: u32| Gear {
        up_to_rps: Rate::saturating(each * f64::from(replicas)),
        replicas: [(pool.name.clone(), replicas)].into(),
        ..gear.clone()
    };
    let gears: Vec<Gear> = (1..=pool.replicas).map(with).collect();
    // Devices load a variant when they come up: the house's rule reckons with that.
    plan.switch = switch_rule(problem, facts, &plan.placement, &gears);
    plan.gears = gears;
    Ok(Some(plan))
}

/// Returns on all devices the most accurate single variant that carries the load at each rate (model switching).
pub(in crate::rooms) fn switching(problem: &Problem, facts: &Facts) -> Result<Option<Plan>, Error> {
    let names = variants_of(problem, facts)?;
    let moved = most_accurate(problem, problem.goal.gears_at_most);
    let singles = (0..names.len()).map(|model| lone(facts, &names, model)).collect();
    planned(&moved, facts, names, singles)
}

/// Returns the planner's own answer to the problem where every gear is one variant alone (MS+).
pub(in crate::rooms) fn switching_plus(problem: &Problem, facts: &Facts) -> Result<Option<Plan>, Error> {
    let names = variants_of(problem, facts)?;
    let singles = (0..names.len()).map(|model| lone(facts, &names, model)).collect();
    planned(problem, facts, names, singles)
}

/// Returns on all devices the most accurate cascade that carries the highest rate, at every load.
pub(in crate::rooms) fn static_cascade(problem: &Problem, facts: &Facts) -> Result<Option<Plan>, Error> {
    let names = variants_of(problem, facts)?;
    let records = Records::from_facts(facts, &names)?;
    let longest = problem.cascade.clone().unwrap_or_default().max_length as usize;
    let cascades = frontier(&records, SearchGrid { longest, ..SearchGrid::default() }, thinning_loss(&records));
    planned(&most_accurate(problem, Some(1)), facts, names, cascades)
}

fn planned(
    problem: &Problem,
    facts: &Facts,
    names: Vec<String>,
    cascades: Vec<Cascade>,
) -> Result<Option<Plan>, Error> {
    let parts = vec![1.0; names.len()];
    let model = CascadeModel::new(problem, facts, names, cascades, &parts)?;
    let max_rps = problem.workload.max_rps.get();
    let found =
        model.solve(problem, &LoadShares::new(&facts.load_up_to(max_rps), max_rps), PlacementAim::from_goal(problem));
    Ok(found.map(|found| decode::plan(problem, facts, &model, &found)))
}

fn alone(problem: &Problem, facts: &Facts, variant: &str) -> Result<CascadeModel, Error> {
    let names = vec![variant.to_owned()];
    let cascade = lone(facts, &names, 0);
    CascadeModel::new(problem, facts, names, vec![cascade], &[1.0])
}

fn lone(facts: &Facts, names: &[String], model: usize) -> Cascade {
    let accuracy = facts.variant(&names[model]).map_or(0.0, |variant| variant.accuracy.value.get());
    Cascade { members: vec![Member { model, exit_at: None }], accuracy, reach: vec![1.0] }
}

fn most_of(model: &CascadeModel) -> Vec<u32> {
    model.slots.iter().map(|slot| model.devices[slot.device].at_most).collect()
}

/// Returns the problem once for each kind of machine, with that kind alone.
fn one_kind_each(problem: &Problem) -> Vec<Problem> {
    let with = |machine: &crate::problem::Machine| {
        let mut moved = problem.clone();
        moved.inventory.machines = vec![machine.clone()];
        moved
    };
    match problem.inventory.machines.as_slice() {
        [] => vec![problem.clone()],
        machines => machines.iter().map(with).collect(),
    }
}

fn cheapest(problem: &Problem, gears_at_most: Option<u32>) -> Problem {
    let mut moved = problem.clone();
    moved.goal.kind = GoalKind::Cheapest;
    moved.goal.accuracy_at_least = Some(Accuracy::saturating(0.0));
    moved.goal.mean_accuracy_at_least = None;
    moved.goal.cores_at_most = None;
    moved.goal.gears_at_most = gears_at_most;
    moved
}

fn most_accurate(problem: &Problem, gears_at_most: Option<u32>) -> Problem {
    let mut moved = cheapest(problem, gears_at_most);
    moved.goal.kind = GoalKind::MostAccurate;
    moved.goal.accuracy_at_least = None;
    moved
}
