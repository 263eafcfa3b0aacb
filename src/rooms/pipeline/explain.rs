//! Why a gear of a pipeline is as it is: its problem solved again at the gear's highest load, and with each limit loosened.

use super::climb::{Chosen, Model};
use crate::base::error::Error;
use crate::base::rounding::{ROUNDING, equal};
use crate::facts::Facts;
use crate::plan::{Gear, Plan};
use crate::problem::Problem;
use crate::rooms::explain::{Comes, Explanation, Moved, RunnerUp, loosened, models_of, not_what_it_gives};

/// Explains gears, each by itself; the facts are worked in once.
pub(in crate::rooms) fn explain(
    plan: &Plan,
    problem: &Problem,
    facts: &Facts,
    gears: &[usize],
) -> Result<Vec<Result<Explanation, Error>>, Error> {
    let parts = &plan.provenance.capacity_parts;
    let moved = loosened(problem);
    let looser = models_of(&moved, |problem| Model::new(problem, facts, parts))?;
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
    let best = model.best_at(load).filter(|best| is_gear(gear, comes(model, best)));
    let best = best.ok_or_else(|| not_what_it_gives(index, load))?;
    let own = comes(model, &best);
    let price = |(moved, looser): &(&Moved, Model<'_>)| {
        let found = looser.best_at(load).map_or(own, |found| Comes {
            // By the prices and the goal of the problem that is explained.
            objective: model.objective(&found),
            ..comes(looser, &found)
        });
        moved.price(own, found)
    };
    Ok(Explanation {
        gear: index,
        load_rps: load,
        objective: own.objective,
        accuracy: own.accuracy,
        cores: own.cores,
        cost_usd_per_hour: own.usd_per_hour,
        limits: looser.iter().map(price).collect(),
        runner_up: runner_up(model, load, &best),
    })
}

/// Tells whether a gear claims what a choice comes to.
fn is_gear(gear: &Gear, comes: Comes) -> bool {
    let accuracy = gear.claims.accuracy.map(|claim| claim.value.get());
    let is_as_accurate = accuracy.is_none_or(|claimed| (claimed - comes.accuracy).abs() <= ROUNDING);
    let costs_as_much = match comes.usd_per_hour {
        Some(usd) => gear.claims.cost_usd_per_hour.is_none_or(|claimed| equal(claimed.get(), usd)),
        None => gear.claims.cores.is_none_or(|claimed| claimed == comes.cores),
    };
    is_as_accurate && costs_as_much
}

fn comes(model: &Model<'_>, chosen: &Chosen) -> Comes {
    Comes {
        accuracy: chosen.accuracy,
        cores: model.cores_of(chosen).iter().map(|(_, cores)| cores).sum(),
        usd_per_hour: model.machines.is_some().then_some(chosen.cost),
        objective: model.objective(chosen),
    }
}

/// Returns the best choice that gives up one lane's variant on so many cores.
fn runner_up(model: &Model<'_>, load: f64, best: &Chosen) -> Option<RunnerUp> {
    let seconds = model.all_lanes(best).filter_map(|(stage, chosen)| {
        let (variant, cores) = (chosen.variant, chosen.candidate.cores());
        let mut without = model.clone();
        without.ways[stage].retain(|way| way.variant != variant || way.candidate.cores() != cores);
        let picked = without.best_at(load)?;
        let second = comes(&without, &picked);
        Some(RunnerUp {
            cores: without.cores_of(&picked),
            accuracy: second.accuracy,
            cost_usd_per_hour: second.usd_per_hour,
            objective: second.objective,
        })
    });
    seconds.max_by(|a, b| a.objective.total_cmp(&b.objective).then(a.accuracy.total_cmp(&b.accuracy)))
}
