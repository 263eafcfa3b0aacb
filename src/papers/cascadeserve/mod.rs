//! CascadeServe's own planner (arXiv 2406.14424, §4 and Algorithm 1), on our facts: the thing to compare with.
//!
//! ```text
//! SP1 search ─▶ SP2 assign ─▶ SP3 place ─▶ SP4 batching ─▶ plan
//!                   ◀── error ──── ◀── error ───
//! ```
//!
//! Four submodules, each of which keeps the others' answers: random cascades, one for every range of loads, a placement with
//! shares, and a trigger for the first model's batches. An error goes back one submodule, and where the first has no way out
//! the objective is impossible. Every error takes something away for good, so that the ring ends; it proves nothing.
//!
//! Paper and released code differ. What is done here, and what we changed:
//!
//! - *ranges*: equal parts of the load (paper), not one for every whole rate (code);
//! - *loads*: time of a sample in a batch of [`RingSettings::load_batch`]: 16 as in the code, 1 as in the paper;
//! - *pruning*: memory freed ÷ memory over, cut at 1 (code; the paper's Equation 4 as printed rewards what stays over);
//!   every range must stay feasible (paper; the code looks at the last range only);
//! - *balancing*: the smallest highest utilisation is computed exactly, where both lower a limit in steps;
//! - *triggers*: throughput by the code's formula, then the simulated tail at evenly spaced arrivals (paper and code); all
//!   devices are simulated, not the first alone;
//! - *search*: once for a problem, each drawn cascade scored once; the published loop scores doubles again.

mod assign;
mod balance;
mod batching;
mod decode;
mod place;
mod search;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;

use crate::base::error::Error;
use crate::base::rounding::ROUNDING;
use crate::base::units::Certainty;
use crate::facts::Ask;
use crate::optimize::Highest;
use crate::plan::Plan;
use crate::problem::Problem;
use crate::rooms::cascade::what_runs;
use crate::rooms::exits::{Cascade, Records};
use crate::rooms::{Cascades, Choice, Cut, Freedom, Opened, Planned, Room, goal};
use assign::Assigned;

pub use decode::plan;
use place::{RingPlacement, Stuck};
pub use search::{random, search};

/// What the published planner plans with.
#[derive(Debug, Clone, PartialEq)]
pub struct RingInstance<'a> {
    /// Answers of every model.
    pub records: &'a Records,
    /// What each model takes, in the order of the records.
    pub models: Vec<RingModel>,
    /// Identical devices.
    pub devices: usize,
    /// Memory of a device; infinite where it does not matter.
    pub memory_mb: f64,
    /// The highest rate.
    pub max_rps: f64,
    /// Part of the requests that must be answered within [`limit_ms`](Self::limit_ms).
    pub quantile: f64,
    /// The latency objective.
    pub limit_ms: f64,
}

/// What a model takes on a device.
#[derive(Debug, Clone, PartialEq)]
pub struct RingModel {
    /// Memory of its weights.
    pub memory_mb: f64,
    /// Mean time of a batch of 1, 2, … samples, up to the largest that may be formed.
    pub batch_ms: Vec<f64>,
}

impl RingModel {
    /// Returns the time of a batch, or of the largest that may be formed.
    #[must_use]
    pub fn time_ms(&self, batch: usize) -> f64 {
        self.batch_ms[batch.clamp(1, self.largest()) - 1]
    }

    /// Returns the largest batch that may be formed.
    #[must_use]
    pub fn largest(&self) -> usize {
        self.batch_ms.len()
    }

    /// Returns the time of a sample in a batch of this size, or in the largest that may be formed.
    #[must_use]
    pub fn sample_ms(&self, batch: usize) -> f64 {
        let batch = batch.clamp(1, self.largest());
        self.time_ms(batch) / batch as f64
    }
}

/// The published planner's own settings.
#[derive(Debug, Clone, PartialEq)]
pub struct RingSettings {
    /// Seed of the search.
    pub seed: u64,
    /// Random cascades (50,000 in the released code).
    pub samples: u32,
    /// Most models in one cascade (3 in the released code).
    pub longest: usize,
    /// Evenly spaced thresholds from 0 up (20 in the released code).
    pub thresholds: u32,
    /// The highest threshold (0.4 for BERT, 0.3 for `HellaSwag`, 1 for `WikiText` in the released code).
    pub highest_threshold: f64,
    /// Ranges of loads (only drawn in the paper).
    pub ranges: usize,
    /// Exponent of the assumed law of loads: the share of time of range r is as 1 ÷ r^z (Zipf).
    pub zipf: f64,
    /// Batch whose time, shared out among its samples, gives loads and mean work: 16 in the released code, 1 in the paper.
    pub load_batch: usize,
    /// Time that a trigger is simulated for (10 s in the released code).
    pub simulated_s: f64,
}

impl Default for RingSettings {
    fn default() -> Self {
        Self {
            seed: 42,
            samples: 50_000,
            longest: 3,
            thresholds: 20,
            highest_threshold: 1.0,
            ranges: 10,
            zipf: 1.0,
            load_batch: 16,
            simulated_s: 10.0,
        }
    }
}

impl RingSettings {
    /// Returns the settings of a problem, the released ones where it gives none.
    #[must_use]
    pub fn from_problem(problem: &Problem) -> Self {
        let given = problem.cascade().and_then(|settings| settings.published);
        let usual = Self::default();
        Self {
            highest_threshold: given
                .and_then(|of| of.highest_threshold)
                .map_or(usual.highest_threshold, Certainty::get),
            ranges: given.and_then(|of| of.load_ranges).map_or(usual.ranges, |ranges| ranges as usize),
            ..usual
        }
    }
}

/// A plan of the published planner.
#[derive(Debug, Clone, PartialEq)]
pub struct RingPlan {
    /// For each device the models that it holds.
    pub holds: Vec<Vec<bool>>,
    /// One gear for every range, by increasing load.
    pub gears: Vec<RingGear>,
}

/// What the published planner does in one range of loads.
#[derive(Debug, Clone, PartialEq)]
pub struct RingGear {
    /// The highest rate of the range.
    pub up_to_rps: f64,
    /// The cascade.
    pub cascade: Cascade,
    /// For each member of the cascade the share of its requests that every device gets.
    pub shares: Vec<Vec<f64>>,
    /// Least number of waiting requests at which the first member begins; later members begin with one.
    pub trigger: usize,
}

impl RingPlan {
    /// Returns the accuracy that the planner expects: over time, by its assumed law of loads.
    #[must_use]
    pub fn expected_accuracy(&self, settings: &RingSettings) -> f64 {
        let weights = assign::weights(self.gears.len(), settings.zipf);
        weights.iter().zip(&self.gears).map(|(weight, gear)| weight * gear.cascade.accuracy).sum()
    }
}

/// The published planner as a room: its ring, whose failure proves nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct CascadeServeRoom;

impl Room for CascadeServeRoom {
    fn open<'a>(&self, ask: &'a Ask<'a>) -> Result<Box<dyn Opened + 'a>, Error> {
        Ok(Box::new(Ring { ask, plan: OnceCell::new() }))
    }

    /// It has no capacities that a failing trial could cut.
    fn cuts(&self) -> Option<Cut> {
        None
    }

    /// The ring is a heuristic.
    fn is_exact(&self) -> bool {
        false
    }

    fn counts_on_small_batches(&self) -> bool {
        true
    }

    fn freedoms(&self) -> &[Freedom] {
        Cascades.freedoms()
    }
}

/// The ring with an ask worked in. Of what it has no answer of its own, our planner tells on the same facts.
struct Ring<'a> {
    ask: &'a Ask<'a>,
    /// Its plan, once it has been asked for.
    plan: OnceCell<Option<Plan>>,
}

impl Ring<'_> {
    fn found(&self) -> Result<Option<Plan>, Error> {
        if let Some(known) = self.plan.get() {
            return Ok(known.clone());
        }
        let names: Vec<String> = self.ask.variants()?.into_iter().filter(|name| self.ask.may_start(name)).collect();
        let problem = self.ask.problem.with_variants(&names);
        let settings = RingSettings::from_problem(&problem);
        let found = plan(&problem, &self.ask.facts, &settings)?;
        Ok(self.plan.get_or_init(|| found).clone())
    }
}

impl Ring<'_> {
    /// Returns what the ring's plan does at a load, valued by the goal: its own objective is another one.
    fn valued(&self, plan: &Plan, load: f64) -> Choice {
        let choice = what_runs(&self.ask.problem, plan, load);
        Choice { objective: self.worth(&choice), ..choice }
    }
}

impl Opened for Ring<'_> {
    fn plan(&self) -> Result<Planned, Error> {
        let found = self.found()?.ok_or_else(|| Error::Solver {
            solver: "CascadeServe as published",
            message: "its ring found no plan, which is no proof that there is none; leave `formulation` out".to_owned(),
        })?;
        Ok(Planned::Plan(Box::new(found)))
    }

    fn max_load(&self, problem: &Problem) -> Result<Highest, Error> {
        let ask = self.ask.moved(Problem { room: problem.room.tail_aware(), ..problem.clone() });
        Cascades.open(&ask)?.max_load(&ask.problem)
    }

    fn best_at(&self, load: f64) -> Result<Option<Choice>, Error> {
        let found = self.found()?.filter(|plan| load <= plan.max_rps() * (1.0 + ROUNDING));
        Ok(found.map(|plan| self.valued(&plan, load)))
    }

    fn second_best(&self, _: &Choice, _: f64) -> Result<Option<Choice>, Error> {
        Ok(None)
    }

    /// Its one choice.
    fn frontier(&self, load: f64) -> Result<Vec<Choice>, Error> {
        Ok(self.best_at(load)?.into_iter().collect())
    }

    fn worth(&self, choice: &Choice) -> f64 {
        goal::value(&self.ask.problem, choice.accuracy, choice.used(&self.ask.problem))
    }
}

/// Runs the ring for a latency objective, over cascades that were found before; `None` where it says impossible.
///
/// Takes one placement and one trigger search for every error; errors are at most ranges × cascades × replicas.
#[must_use]
pub fn ring(instance: &RingInstance<'_>, cascades: &[Cascade], settings: &RingSettings) -> Option<RingPlan> {
    let mut assigned = Assigned::new(instance, cascades, settings)?;
    loop {
        assigned.fit_the_devices(instance, settings)?;
        match placed_with_triggers(instance, &assigned, settings) {
            Ok(found) => return Some(found),
            Err(stuck) => assigned.give_way(stuck)?,
        }
    }
}

/// SP3 and SP4: a placement under which every range has a trigger. Where a range has none, its bottleneck model keeps one
/// replica more; where that cannot be, the error goes back to SP2.
fn placed_with_triggers(
    instance: &RingInstance<'_>,
    assigned: &Assigned<'_>,
    settings: &RingSettings,
) -> Result<RingPlan, Stuck> {
    let mut keep = vec![1; instance.models.len()];
    let mut known: Option<Stuck> = None;
    loop {
        let RingPlacement { holds, shares } =
            place::place(instance, assigned, &keep, settings).map_err(|stuck| known.unwrap_or(stuck))?;
        let mut gears = Vec::new();
        for (range, shares) in shares.into_iter().enumerate() {
            let (cascade, rate) = (assigned.cascade(range), assigned.rate(range));
            let Some(trigger) = batching::trigger(instance, cascade, &shares, rate, settings) else { break };
            gears.push(RingGear { up_to_rps: rate, cascade: cascade.clone(), shares, trigger });
        }
        let range = gears.len();
        if range == assigned.ranges() {
            return Ok(RingPlan { holds, gears });
        }
        let stuck = Stuck::Range(range);
        let bottleneck = place::bottleneck(instance, assigned.cascade(range), &holds, settings);
        let replicas = holds.iter().filter(|held| held[bottleneck]).count();
        if replicas == instance.devices {
            return Err(stuck);
        }
        keep[bottleneck] = replicas + 1;
        known = Some(stuck);
    }
}
