//! The room `pipeline` (IPA): for each stage of a pipeline which variant, cores, batch and replicas, so that the latency
//! from end to end holds.
//!
//! ```text
//! measured service times ─▶ ways to run each stage ─▶ law of each at this load ─▶ exact choice ─▶ gear up to the load
//!                                   (once)                    ▲                                    │ that it carries
//!                                                             └────────────── next load ◀──────────┘
//! ```
//!
//! `ways` lists what a stage can choose from, `blend` mixes two of them, `climb` goes from the lowest load to the highest
//! one gear at a time, `decode` writes them down; the paper's own program is [`crate::papers::ipa`].

mod blend;
mod climb;
mod decode;
mod machines;
mod ways;

use super::choice::best_of;
use super::fastest::Fastest;
use super::{Choice, Freedom, Opened, Planned, Room};
use crate::base::error::Error;
use crate::base::rounding::keeps_within;
use crate::facts::Ask;
use crate::optimize::choice::ChoiceGoal;
use crate::optimize::{Highest, Reach};
use crate::plan::Gear;
use crate::problem::Problem;
use crate::rooms::configurations::Configuration;
use crate::rooms::gears::{Decoded, assemble};
use crate::rooms::least_latency::{self, Level};
use climb::{Chosen, MOST_LABELS, Model, Step};

/// Steps of the bisection for the shortest SLO: it is found to the grid of response times, 1/256 of what was asked for.
const LATENCY_STEPS: u32 = 8;

/// The planner of the room.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pipeline;

impl Room for Pipeline {
    fn open<'a>(&self, ask: &'a Ask<'a>) -> Result<Box<dyn Opened + 'a>, Error> {
        match Fastest::of(&Self, ask) {
            Some(fastest) => Ok(fastest),
            None => Ok(Box::new(Model::new(ask)?)),
        }
    }

    fn freedoms(&self) -> &[Freedom] {
        &[Freedom::StageVariants, Freedom::Replicas]
    }
}

impl Opened for Model<'_> {
    fn plan(&self) -> Result<Planned, Error> {
        let steps = self.within_limit(self.climb(self.problem.workload.max_rps.get()))?;
        let Some(steps) = steps else { return Ok(Planned::NotCarried) };
        let gears = steps.into_iter().map(|step| self.gear(step)).collect::<Result<_, Error>>()?;
        Ok(Planned::Plan(Box::new(assemble(self.ask, gears))))
    }

    fn max_load(&self, problem: &Problem) -> Result<Highest, Error> {
        let ask = self.ask.moved(problem.clone());
        let model = Model::new(&ask)?;
        let load = model.highest_load();
        Ok(Highest { load, is_proved: !model.limit.was_hit() })
    }

    fn carries(&self, problem: &Problem) -> Result<Reach, Error> {
        let ask = self.ask.moved(problem.clone());
        let model = Model::new(&ask)?;
        let is_carried = model.carries(problem.workload.max_rps.get());
        Ok(match is_carried {
            true => Reach::Carried,
            false if model.limit.was_hit() => Reach::Unknown,
            false => Reach::NotCarried,
        })
    }

    fn best_at(&self, load: f64) -> Result<Option<Choice>, Error> {
        Ok(self.within_limit(self.best_of(load))?.map(|chosen| self.choice(chosen, load)))
    }

    fn second_best(&self, best: &Choice, load: f64) -> Result<Option<Choice>, Error> {
        let without = |(variant, way): &(String, Configuration)| {
            let mut model = self.clone();
            for (task, ways) in self.problem.stages().iter().zip(&mut model.ways) {
                ways.retain(|other| {
                    task.variants[other.variant] != *variant || other.configuration.cores() != way.cores()
                });
            }
            model.best_of(load).map(|chosen| model.choice(chosen, load))
        };
        self.within_limit(best_of(best.lanes.iter().filter_map(without)))
    }

    fn frontier(&self, load: f64) -> Result<Vec<Choice>, Error> {
        let undominated = self.within_limit(self.all_undominated(load))?;
        Ok(undominated.into_iter().map(|chosen| self.choice(chosen, load)).collect())
    }

    fn worth(&self, choice: &Choice) -> f64 {
        super::goal::value(self.problem, choice.accuracy, choice.used(self.problem))
    }

    fn gear_with(&self, choice: &Choice, load: f64) -> Result<Option<Gear>, Error> {
        let chosen = self.chosen_of(choice);
        if !blend::mixes(self.problem) {
            let gear = || decode::gear(self, &Step { up_to: load, chosen: chosen.clone() }).gear;
            return Ok(self.keeps(&chosen, load).then(gear));
        }
        // The parts of a mixture are chosen anew.
        let model = self.with_ways_of(&chosen);
        let most_accurate = model.with_goal(ChoiceGoal::MostAccurate { cost_at_most: f64::INFINITY });
        let best = self.within_limit(most_accurate.best_of_level(load))?;
        Ok(best.map(|chosen| decode::gear(&model, &Step { up_to: load, chosen }).gear))
    }
}

impl Model<'_> {
    /// Returns what was found, unless a search gave up on the way.
    fn within_limit<T>(&self, found: T) -> Result<T, Error> {
        if !self.limit.was_hit() {
            return Ok(found);
        }
        let (stages, ways) = (self.ways.len(), self.ways.iter().map(Vec::len).max().unwrap_or(0));
        Err(Error::Unsupported {
            what: format!(
                "no proof within {MOST_LABELS} partial choices of part of the pipeline: it has {stages} stages with up to {ways} ways \
                 to run each"
            ),
            hint: "fewer stages, variants, batch sizes or cores; a slo.latency_ms far above what the stages need rules out more; \
                   or plan parts of the pipeline by themselves"
                .to_owned(),
        })
    }

    /// Returns the gear of a step: that of the shortest SLO, where the goal's last level makes latency best.
    fn gear(&self, step: Step) -> Result<Decoded, Error> {
        if !self.problem.goal.wants_low_latency() {
            return Ok(decode::gear(self, &step));
        }
        let load = step.up_to;
        let level = |of: &Chosen| Level { accuracy: of.accuracy, cost: of.cost };
        let first = self.best_of_level(load);
        let levels = [level(first.as_ref().unwrap_or(&step.chosen)), level(&step.chosen)];
        let shortest = least_latency::shortest(self.ask, levels, LATENCY_STEPS, |ask, cost_at_most| {
            let tight = Model::new(ask)?;
            let kept = tight.best_of_level(load).filter(|kept| keeps_within(kept.cost, cost_at_most));
            Ok(kept.map(|chosen| {
                let found = self.running_like(tight);
                decode::gear(&found, &Step { up_to: load, chosen })
            }))
        });
        Ok(shortest?.unwrap_or_else(|| decode::gear(self, &step)))
    }

    fn choice(&self, chosen: Chosen, load: f64) -> Choice {
        let (objective, accuracy, cost) = (self.objective(&chosen), chosen.accuracy, chosen.cost);
        let decoded = decode::gear(self, &Step { up_to: load, chosen });
        Choice::new(self.problem, decoded, objective, accuracy, cost)
    }
}
