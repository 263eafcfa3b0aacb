//! Why a gear of a pipeline is as it is: its problem solved again at the gear's highest load, and with each limit loosened.

use super::climb::{Chosen, Model};
use crate::error::Error;
use crate::facts::Facts;
use crate::plan::Plan;
use crate::problem::{GoalKind, Problem};
use crate::rooms::explain::{Explanation, LimitPrice, Moved, RunnerUp, loosened, not_what_it_gives};

/// How far a gear's objective and accuracy may be from those that are found again.
const CLOSE: f64 = 1e-9;

/// Explains gears, each by itself; the facts are worked in once.
pub(in crate::rooms) fn explain(
    plan: &Plan,
    problem: &Problem,
    facts: &Facts,
    gears: &[usize],
) -> Result<Vec<Result<Explanation, Error>>, Error> {
    let parts = &plan.provenance.capacity_parts;
    let moved: Vec<Moved> = loosened(problem).into_iter().map(|moved| priced_alike(problem, moved)).collect();
    let looser = moved.iter().map(|moved| Ok((moved, Model::new(&moved.problem, facts, parts)?)));
    let looser: Vec<(&Moved, Model<'_>)> = looser.collect::<Result<_, Error>>()?;
    let model = Model::new(problem, facts, parts)?;
    Ok(gears.iter().map(|&gear| explained(plan, &model, &looser, gear)).collect())
}

fn explained(
    plan: &Plan,
    model: &Model<'_>,
    looser: &[(&Moved, Model<'_>)],
    index: usize,
) -> Result<Explanation, Error> {
    let gear = &plan.gears[index];
    let load = gear.up_to_rps.get();
    let claimed = (gear.claims.accuracy.map(|claim| claim.value.get()), gear.claims.cores);
    let is_gear = |best: &Chosen| {
        claimed.0.is_none_or(|accuracy| (accuracy - best.accuracy).abs() <= CLOSE)
            && claimed.1.is_none_or(|cores| (f64::from(cores) - best.cost).abs() <= CLOSE)
    };
    let best = model.best_at(load).filter(is_gear).ok_or_else(|| not_what_it_gives(index, load))?;
    Ok(Explanation {
        gear: index,
        load_rps: load,
        objective: model.objective(&best),
        accuracy: best.accuracy,
        cores: best.cost.round() as u32,
        limits: looser.iter().map(|(moved, looser)| price(model, moved, looser, load, &best)).collect(),
        runner_up: runner_up(model, load, &best),
    })
}

/// A larger budget must not make the same cores look cheaper.
fn priced_alike(problem: &Problem, mut moved: Moved) -> Moved {
    let scale = f64::from(moved.problem.core_budget()) / f64::from(problem.core_budget());
    if problem.goal.kind == GoalKind::Weighted {
        let mut weights = problem.goal.weights.unwrap_or_default();
        weights.resource = crate::units::Factor::saturating(weights.resource.get() * scale);
        moved.problem.goal.weights = Some(weights);
    }
    moved
}

/// Returns what a looser limit would buy beside the best choice within the limits as they are.
fn price(model: &Model<'_>, moved: &Moved, looser: &Model<'_>, load: f64, best: &Chosen) -> LimitPrice {
    let found = looser.best_at(load).unwrap_or_else(|| best.clone());
    let accuracy_gain = found.accuracy - best.accuracy;
    let cores_change = (found.cost - best.cost).round() as i64;
    LimitPrice {
        key: moved.key,
        value: moved.value,
        loosened_to: moved.loosened_to,
        binds: accuracy_gain > CLOSE || cores_change < 0,
        accuracy_gain,
        cores_change,
        objective_gain: model.objective(&found) - model.objective(best),
    }
}

/// Returns the best choice that gives up one lane's variant on so many cores.
fn runner_up(model: &Model<'_>, load: f64, best: &Chosen) -> Option<RunnerUp> {
    let seconds = model.all_lanes(best).filter_map(|(stage, chosen)| {
        let (variant, cores) = (chosen.variant, chosen.candidate.cores());
        let mut without = model.clone();
        without.ways[stage].retain(|way| way.variant != variant || way.candidate.cores() != cores);
        let picked = without.best_at(load)?;
        let cores = without
            .all_lanes(&picked)
            .map(|(stage, way)| (model.problem.stages[stage].variants[way.variant].clone(), way.candidate.cores()));
        Some(RunnerUp { cores: cores.collect(), accuracy: picked.accuracy, objective: model.objective(&picked) })
    });
    seconds.max_by(|a, b| a.objective.total_cmp(&b.objective).then(a.accuracy.total_cmp(&b.accuracy)))
}
