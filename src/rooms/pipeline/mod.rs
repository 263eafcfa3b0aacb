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
mod latency;
mod machines;
mod ways;

use super::{Choice, Freedom, Opened, Planned, Room};
use crate::base::error::Error;
use crate::facts::Ask;
use crate::optimize::choice::ChoiceGoal;
use crate::optimize::{Highest, Reach};
use crate::plan::Gear;
use crate::problem::{Problem, RoomSettings};
use crate::rooms::configurations::Configuration;
use crate::rooms::gears::{Decoded, assemble, pools_up};
use climb::{Chosen, MOST_LABELS, Model, Step};

/// The planner of the room.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pipeline;

impl Room for Pipeline {
    fn open<'a>(&self, ask: &'a Ask<'a>) -> Result<Box<dyn Opened + 'a>, Error> {
        let replicas = match &ask.problem.room {
            RoomSettings::Pipeline(settings) => settings.replicas,
            _ => None,
        };
        let mut model = Model::new(ask)?;
        if let Some(replicas) = replicas {
            model.keep_replicas(replicas);
        }
        Ok(Box::new(model))
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
        let seconds = best.lanes.iter().filter_map(without);
        self.within_limit(
            seconds.max_by(|a, b| a.objective.total_cmp(&b.objective).then(a.accuracy.total_cmp(&b.accuracy))),
        )
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

    fn gear(&self, step: Step) -> Result<Decoded, Error> {
        if !self.problem.goal.wants_low_latency() {
            return Ok(decode::gear(self, &step));
        }
        let (tight, step) = latency::least(self, step)?;
        Ok(decode::gear(&tight, &step))
    }

    fn choice(&self, chosen: Chosen, load: f64) -> Choice {
        let (accuracy, cores_of) = (chosen.accuracy, self.cores_of(&chosen));
        let (objective, cost) = (self.objective(&chosen), chosen.cost);
        let decoded = decode::gear(self, &Step { up_to: load, chosen });
        let pools = pools_up(self.problem, &decoded);
        let Decoded { gear, lanes } = decoded;
        Choice {
            objective,
            accuracy,
            usd_per_hour: self.machines.is_some().then_some(cost),
            cores_of,
            gear,
            pools,
            lanes,
        }
    }
}
