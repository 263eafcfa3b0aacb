//! Why a gear of the room is as it is: its problem solved again at the gear's highest load, and with each limit loosened.

use super::machines::{self, Found};
use super::{Model, Parts};
use crate::base::error::Error;
use crate::facts::Facts;
use crate::optimize::fill::at_load;
use crate::optimize::{Instance, Item, Objective, Solution};
use crate::plan::Plan;
use crate::problem::Problem;
use crate::rooms::explain::{CLOSE, Comes, Explanation, Moved, RunnerUp, loosened, models_of, not_what_it_gives};

/// Explains gears, each by itself; the facts are worked in once.
pub(in crate::rooms) fn explain(
    plan: &Plan,
    problem: &Problem,
    facts: &Facts,
    gears: &[usize],
) -> Result<Vec<Result<Explanation, Error>>, Error> {
    let parts = &plan.provenance.capacity_parts;
    let moved = loosened(problem);
    if !problem.inventory.rents_whole() {
        let explainer = OnCores::new(plan, (problem, &moved), facts, parts)?;
        return Ok(gears.iter().map(|&gear| explainer.gear(gear)).collect());
    }
    let looser = models_of(&moved, |problem| machines::Model::new(problem, facts, parts))?;
    let explainer = OnMachines { plan, model: machines::Model::new(problem, facts, parts)?, looser };
    Ok(gears.iter().map(|&gear| explainer.gear(gear)).collect())
}

/// A problem on cores, and the same with each limit loosened, with the facts worked in.
struct OnCores<'a> {
    plan: &'a Plan,
    instance: Instance,
    looser: Vec<(&'a Moved, Instance)>,
}

impl<'a> OnCores<'a> {
    fn new(
        plan: &'a Plan,
        (problem, moved): (&Problem, &'a [Moved]),
        facts: &Facts,
        parts: &Parts,
    ) -> Result<Self, Error> {
        let instance = |problem: &Problem| Model::new(problem, facts, parts).map(|model| model.instance);
        Ok(Self { plan, instance: instance(problem)?, looser: models_of(moved, instance)? })
    }

    fn gear(&self, gear: usize) -> Result<Explanation, Error> {
        let load = self.plan.gears[gear].up_to_rps.get();
        let instance = &self.instance;
        let best = at_load::solve(instance, load)
            .and_then(|best| what_runs(self.plan, gear, instance, load).filter(|gear| as_good(gear, &best, instance)));
        let best = best.ok_or_else(|| not_what_it_gives(gear, load))?;
        let price = |(moved, looser): &(&Moved, Instance)| {
            let found = at_load::solve(looser, load);
            moved.price(self.comes(&best), self.comes(found.as_ref().unwrap_or(&best)))
        };
        Ok(Explanation {
            gear,
            load_rps: load,
            objective: best.value,
            accuracy: best.accuracy,
            cores: best.cores.iter().sum(),
            cost_usd_per_hour: None,
            limits: self.looser.iter().map(price).collect(),
            runner_up: runner_up(instance, load, &best),
        })
    }

    fn comes(&self, solution: &Solution) -> Comes {
        let cores: u32 = solution.cores.iter().sum();
        let objective = match self.instance.objective {
            // By the cores that there are, whatever the budget of the solution's own program.
            Objective::Cheapest { .. } | Objective::AccuracyThenCores { .. } => {
                -f64::from(cores) / f64::from(self.instance.budget)
            }
            _ => solution.value,
        };
        Comes { accuracy: solution.accuracy, cores, usd_per_hour: None, objective }
    }
}

/// Returns the solution that a gear is; `None` where its cores do not carry the load.
fn what_runs(plan: &Plan, gear: usize, instance: &Instance, load: f64) -> Option<Solution> {
    let gear = &plan.gears[gear];
    let up = |item: &Item| {
        let pools = plan.placement.iter().filter(|pool| pool.hosts.contains(&item.name));
        pools.map(|pool| gear.replicas_of(pool) * pool.on.cores()).sum()
    };
    instance.evaluate(&instance.items.iter().map(up).collect::<Vec<_>>(), load)
}

/// Tells whether a solution is as good as the best one: of equals the plan may have taken another.
fn as_good(found: &Solution, best: &Solution, instance: &Instance) -> bool {
    let close = |a: f64, b: f64| (a - b).abs() <= CLOSE;
    // The other goals have a second criterion: cores, or the accuracy.
    let weighs = matches!(instance.objective, Objective::Weighted { .. });
    let cores = |solution: &Solution| solution.cores.iter().sum::<u32>();
    let second = cores(found) == cores(best) && close(found.accuracy, best.accuracy);
    close(found.value, best.value) && (weighs || second)
}

/// Returns the best solution that gives up one of the chosen allotments.
fn runner_up(instance: &Instance, load: f64, best: &Solution) -> Option<RunnerUp> {
    let used = best.cores.iter().enumerate().filter(|(_, cores)| **cores > 0);
    let seconds = used.filter_map(|(index, &cores)| {
        let mut without = instance.clone();
        without.items[index].options.retain(|option| option.cores != cores);
        at_load::solve(&without, load)
    });
    let second = seconds.max_by(|a, b| a.value.total_cmp(&b.value).then(a.accuracy.total_cmp(&b.accuracy)))?;
    let named = instance.items.iter().zip(&second.cores).filter(|(_, cores)| **cores > 0);
    Some(RunnerUp {
        cores: named.map(|(item, &cores)| (item.name.clone(), cores)).collect(),
        accuracy: second.accuracy,
        cost_usd_per_hour: None,
        objective: second.value,
    })
}

/// A problem on machines, and the same with each limit loosened.
struct OnMachines<'a> {
    plan: &'a Plan,
    model: machines::Model<'a>,
    looser: Vec<(&'a Moved, machines::Model<'a>)>,
}

impl OnMachines<'_> {
    fn gear(&self, gear: usize) -> Result<Explanation, Error> {
        let load = self.plan.gears[gear].up_to_rps.get();
        let (model, running) = (&self.model, &self.plan.gears[gear]);
        let best = model.best_at(load).and_then(|best| {
            model.of_gear(self.plan, running, load).filter(|gear| model.are_equally_good(gear, &best))
        });
        let best = best.ok_or_else(|| not_what_it_gives(gear, load))?;
        let comes = self.comes(model, &best, load);
        let price = |(moved, looser): &(&Moved, machines::Model<'_>)| {
            let found = looser.best_at(load).map_or(comes, |found| self.comes(looser, &found, load));
            moved.price(comes, found)
        };
        Ok(Explanation {
            gear,
            load_rps: load,
            objective: best.value,
            accuracy: best.accuracy,
            cores: comes.cores,
            cost_usd_per_hour: Some(best.cost),
            limits: self.looser.iter().map(price).collect(),
            runner_up: self.runner_up(&best, load),
        })
    }

    /// Returns what a choice of a model comes to, by the prices and the goal of the problem that is explained.
    fn comes(&self, of: &machines::Model<'_>, found: &Found, load: f64) -> Comes {
        let cores = of.cores_of(found, load).iter().map(|(_, cores)| cores).sum();
        let objective = self.model.value(found.accuracy, found.cost);
        Comes { accuracy: found.accuracy, cores, usd_per_hour: Some(found.cost), objective }
    }

    /// Returns the best choice that gives up one variant on so many cores of a kind.
    fn runner_up(&self, best: &Found, load: f64) -> Option<RunnerUp> {
        let used = (0..best.choice.len()).filter(|&item| best.choice[item] > 0);
        let seconds = used.filter_map(|item| self.model.best_without(item, best.choice[item], load));
        let second = seconds.max_by(|a, b| a.value.total_cmp(&b.value).then(a.accuracy.total_cmp(&b.accuracy)))?;
        Some(RunnerUp {
            cores: self.model.cores_of(&second, load),
            accuracy: second.accuracy,
            cost_usd_per_hour: Some(second.cost),
            objective: second.value,
        })
    }
}
