//! The room `variant-set` (InfAdapter): which variants side by side, how many cores each, what share of traffic each.
//!
//! ```text
//! measured service times ─▶ capacity of (variant, cores) within the SLO ─▶ exact search on the inventory ─▶ gears
//! ```
//!
//! `model` turns facts into items with options and the search's choices into gears; the search itself is
//! [`crate::optimize::side_by_side`], whether cores are shared out or machines are rented whole. The paper's own model of
//! capacity is [`crate::papers::infadapter`].

mod model;
#[cfg(test)]
mod on_machines;
#[cfg(test)]
mod tests;

use super::choice::best_of;
use super::fastest::Fastest;
use super::{Choice, Freedom, Opened, Planned, Room, WorthIt, goal, one_stage};
use crate::base::error::Error;
use crate::facts::Ask;
use crate::optimize::{Highest, Reach};
use crate::plan::Gear;
use crate::problem::Problem;
use crate::rooms::configurations::configurations;
use crate::rooms::gears::assemble;

pub(crate) use model::Model;

/// The planner of the room.
#[derive(Debug, Clone, Copy, Default)]
pub struct VariantSet;

impl Room for VariantSet {
    fn open<'a>(&self, ask: &'a Ask<'a>) -> Result<Box<dyn Opened + 'a>, Error> {
        match Fastest::of(&Self, ask) {
            Some(fastest) => Ok(fastest),
            None => Ok(Box::new(Model::new(ask, configurations)?)),
        }
    }

    fn freedoms(&self) -> &[Freedom] {
        &[Freedom::Variants, Freedom::Exits]
    }
}

impl Opened for Model<'_> {
    fn plan(&self) -> Result<Planned, Error> {
        let problem = &self.ask.problem;
        let (most, loss) = (problem.workload.max_rps.get(), problem.goal.gear_loss_at_most.get());
        let Some(steps) = self.search.steps(self.objective(), most, loss)? else { return Ok(Planned::NotCarried) };
        let gears = steps.iter().map(|step| self.gear_of_step(step)).collect::<Result<_, Error>>()?;
        Ok(Planned::Plan(Box::new(assemble(self.ask, gears))))
    }

    fn max_load(&self, problem: &Problem) -> Result<Highest, Error> {
        let moved = self.ask.moved(problem.clone());
        Ok(self.with_ask(&moved)?.search.highest(goal::objective(problem), problem.workload.max_rps.get()))
    }

    fn carries(&self, problem: &Problem) -> Result<Reach, Error> {
        let moved = self.ask.moved(problem.clone());
        Ok(self.with_ask(&moved)?.search.reaches(goal::objective(problem), problem.workload.max_rps.get()))
    }

    fn best_at(&self, load: f64) -> Result<Option<Choice>, Error> {
        Ok(self.search.best(self.objective(), load).map(|found| self.choice(&found, load)))
    }

    fn second_best(&self, best: &Choice, load: f64) -> Result<Option<Choice>, Error> {
        let without = |(item, option)| self.search.best_without(item, option, self.objective(), load);
        let seconds = best.lanes.iter().filter_map(|lane| without(self.option_of(lane)?));
        Ok(best_of(seconds.map(|found| self.choice(&found, load))))
    }

    fn frontier(&self, load: f64) -> Result<Vec<Choice>, Error> {
        Ok(self.search.frontier(load).iter().map(|found| self.choice(found, load)).collect())
    }

    fn worth(&self, choice: &Choice) -> f64 {
        goal::value(&self.ask.problem, choice.accuracy, choice.used(&self.ask.problem))
    }

    fn prices_loading(&self) -> bool {
        self.search.prices_loading()
    }

    fn gear_with(&self, choice: &Choice, load: f64) -> Result<Option<Gear>, Error> {
        let used: Vec<(usize, usize)> = choice.lanes.iter().filter_map(|lane| self.option_of(lane)).collect();
        let mut picks = vec![0; self.items.len()];
        used.iter().for_each(|&(item, option)| picks[item] = option + 1);
        let gear = |(_, quotas): (f64, Vec<f64>)| {
            one_stage::gear_with(self.ask, choice, used.iter().map(|&(item, _)| quotas[item]), load)
        };
        Ok(self.search.filled(&picks, load).map(gear))
    }

    fn every(&self, load: f64, worth_it: &WorthIt<'_>, most: usize) -> Result<Option<Vec<Choice>>, Error> {
        let worth_it = |accuracy: f64, cost: f64| worth_it(accuracy, goal::part(&self.ask.problem, cost));
        let all = self.search.every(load, &worth_it, most);
        Ok(all.map(|all| all.iter().map(|found| self.choice(found, load)).collect()))
    }

    fn second_opinion(&self, load: f64) -> Result<Option<Option<f64>>, Error> {
        self.search.second_opinion(self.objective(), load)
    }
}
