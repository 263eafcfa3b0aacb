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
mod explain;
mod latency;
mod machines;
mod ways;

use std::collections::BTreeMap;

use crate::base::error::Error;
use crate::facts::Facts;
use crate::papers::ipa;
use crate::plan::Plan;
use crate::problem::{Formulation, Problem};

use super::conflict;
use super::gears::assemble;
use super::variant_set::{Candidate, Parts};
use super::{Answer, Context, FrontierPoint, Planner};
use climb::{Chosen, Model};
pub(super) use explain::explain;
use ways::Way;

/// The planner of the room.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pipeline;

impl Planner for Pipeline {
    fn plan(&self, problem: &Problem, facts: &Facts, context: Context<'_>) -> Result<Answer, Error> {
        is_supported(&context)?;
        let all = Parts::new();
        let parts = context.capacity_parts.unwrap_or(&all);
        if problem.formulation == Formulation::Published {
            // papers:
            return match ipa::plan(problem, facts, parts)? {
                Some(plan) => Ok(Answer::Plan(Box::new(plan))),
                None => Ok(Answer::Infeasible(conflict::find(problem, &Carries { facts, parts })?)),
            };
        }
        let model = Model::new(problem, facts, parts)?;
        let Some(steps) = model.climb(problem.workload.max_rps.get()) else {
            return Ok(Answer::Infeasible(conflict::find(problem, &Carries { facts, parts })?));
        };
        let gear = |step| {
            if !problem.goal.wants_low_latency() {
                return Ok(decode::gear(&model, facts, &step));
            }
            let (tight, step) = latency::least(&model, facts, parts, step)?;
            Ok(decode::gear(&tight, facts, &step))
        };
        let gears = steps.into_iter().map(gear).collect::<Result<_, Error>>()?;
        let plan: Plan = assemble(problem, facts, gears);
        Ok(Answer::Plan(Box::new(plan)))
    }
}

/// Returns the plan with so many replicas of every stage at every load (RIM); `None` where they do not carry the peak.
pub(super) fn plan_with_replicas(problem: &Problem, facts: &Facts, replicas: u32) -> Result<Option<Plan>, Error> {
    let mut model = Model::new(problem, facts, &Parts::new())?;
    model.keep_replicas(replicas);
    let Some(steps) = model.climb(problem.workload.max_rps.get()) else { return Ok(None) };
    let gears = steps.iter().map(|step| decode::gear(&model, facts, step)).collect();
    Ok(Some(assemble(problem, facts, gears)))
}

/// Returns for each stage its most or its least accurate variant, alone.
pub(super) fn one_each(problem: &Problem, facts: &Facts, most: bool) -> Vec<Vec<String>> {
    let accuracy = |name: &String| facts.variant(name).map_or(0.0, |variant| variant.accuracy.value.get());
    let sign = if most { 1.0 } else { -1.0 };
    let best =
        |names: &[String]| names.iter().max_by(|a, b| (sign * accuracy(a)).total_cmp(&(sign * accuracy(b)))).cloned();
    problem.stages.iter().map(|stage| best(&stage.variants).into_iter().collect()).collect()
}

/// What the room can carry under a problem that was moved.
struct Carries<'a> {
    facts: &'a Facts,
    parts: &'a Parts,
}

impl conflict::Carries for Carries<'_> {
    fn max_load(&self, problem: &Problem, most: f64) -> Result<f64, Error> {
        if problem.formulation == Formulation::Published {
            // papers:
            return ipa::max_load(problem, self.facts, self.parts, most);
        }
        Ok(Model::new(problem, self.facts, self.parts)?.max_load(most))
    }
}

/// Returns what accuracy each number of cores buys at a load.
pub(super) fn frontier(
    problem: &Problem,
    facts: &Facts,
    parts: &Parts,
    load: f64,
) -> Result<Vec<FrontierPoint>, Error> {
    let model = Model::new(problem, facts, parts)?;
    Ok(model.frontier(load).iter().map(|chosen| point(&model, chosen)).collect())
}

/// Returns the most accurate choice with so many replicas of every stage (RIM); `None` where none keeps within SLO and cores.
pub(super) fn with_replicas(
    problem: &Problem,
    facts: &Facts,
    parts: &Parts,
    load: f64,
    replicas: u32,
) -> Result<Option<FrontierPoint>, Error> {
    let mut model = Model::new(problem, facts, parts)?;
    model.keep_replicas(replicas);
    Ok(model.frontier(load).last().map(|chosen| point(&model, chosen)))
}

fn point(model: &Model<'_>, chosen: &Chosen) -> FrontierPoint {
    let cores_of = model.cores_of(chosen);
    let machines = match &model.machines {
        Some(machines) => machines.pack(model.problem, &lanes(model, chosen)).machines,
        None => BTreeMap::new(),
    };
    FrontierPoint {
        cores: cores_of.iter().map(|(_, cores)| cores).sum(),
        cost_usd_per_hour: model.machines.is_some().then_some(chosen.cost),
        machines,
        accuracy: chosen.accuracy,
        cores_of,
    }
}

fn lanes(model: &Model<'_>, chosen: &Chosen) -> Vec<(String, Candidate)> {
    let variants = |stage: usize| &model.problem.stages[stage].variants;
    let lane = |(stage, way): (usize, &Way)| (variants(stage)[way.variant].clone(), way.candidate.clone());
    model.all_lanes(chosen).map(lane).collect()
}

fn is_supported(context: &Context<'_>) -> Result<(), Error> {
    let refused = |what: &str, hint: &str| Err(Error::Unsupported { what: what.to_owned(), hint: hint.to_owned() });
    if context.verify {
        return refused(
            "HiGHS cannot verify plans of the room `pipeline`: quantiles of sums of laws are no linear rows",
            "leave out --verify; tests hold the search against enumeration, and against HiGHS where delays add up",
        );
    }
    if context.from.is_some() {
        return refused("the room `pipeline` does not price moving from a running plan", "leave out --from");
    }
    Ok(())
}
