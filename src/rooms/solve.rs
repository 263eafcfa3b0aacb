//! From a problem to its answer: the room's plan, tried in simulation, or the limits that rule one out.

use std::collections::BTreeMap;

use super::{Conflict, Planned, Room, conflict, loading, safety_margin, strict, tried, verify};
use crate::base::error::Error;
use crate::base::watch::Watch;
use crate::facts::{Ask, Facts, Parts};
use crate::plan::Plan;
use crate::problem::{Problem, Risk};
use crate::simulate::{Effort, hold_claims, holds_up_to};

/// A room's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A plan that carries every load up to the asked one.
    Plan(Box<Plan>),
    /// Proof that there is none.
    Infeasible(Conflict),
}

/// What a planner may know beside the problem.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    /// The plan that is running now: moving away from it costs load time.
    pub from: Option<&'a Plan>,
    /// Solve every gear again through HiGHS and refuse to answer where the two disagree.
    pub verify: bool,
    /// Try every gear in simulation: claims of latency are held against the trials, and where a gear fails, plan again with less of
    /// the capacities that it uses. Plans of published methods are held against trials only, as their papers cut nothing.
    pub trial: Option<Effort>,
    /// Part of each variant's capacity that may be used; default: all of it.
    pub capacity_parts: Option<&'a BTreeMap<String, f64>>,
    /// Where long work reports its steps: rounds of trials, and limits that are looked at where there is no plan.
    pub watch: Watch<'a>,
}

/// Solves a problem in a room.
///
/// # Errors
/// [`Error::Input`] where facts are missing or the room cannot plan what is asked, [`Error::Solver`] where no proof was reached.
pub fn solve(room: &dyn Room, problem: &Problem, facts: &Facts, context: Context<'_>) -> Result<Answer, Error> {
    let mut answer = answered(room, problem, facts, context)?;
    if let (Some(effort), Answer::Plan(plan)) = (context.trial, &mut answer) {
        plan.provenance.holds_up_to = Some(holds_up_to(plan, facts, problem.workload.max_rps, effort)?);
    }
    Ok(answer)
}

/// Answers a problem, with what its risk costs.
fn answered(room: &dyn Room, problem: &Problem, facts: &Facts, context: Context<'_>) -> Result<Answer, Error> {
    let running = context.from.map_or_else(Vec::new, Plan::running);
    let ask = Ask::new(problem, facts).with_running(running).with_watch(context.watch);
    let parts = context.capacity_parts.cloned().unwrap_or_default();
    let is_cut = room.cuts().is_some() && !problem.room.is_published();
    let mut answer = match context.trial.filter(|_| is_cut) {
        Some(effort) => tried::solve(room, &ask, parts.clone(), effort)?,
        None => once(room, &ask, &parts)?,
    };
    // Parts that are given are the cuts of earlier trials: the proof is held against what they cost, as then.
    if let (None, false, Answer::Plan(plan)) = (context.trial, parts.is_empty(), &mut answer) {
        tried::bound(room, &ask, &Parts::new(), plan)?;
    }
    if let (Some(effort), Answer::Plan(plan)) = (context.trial.filter(|_| !is_cut), &mut answer) {
        hold_claims(plan, &ask.facts, effort, &[])?;
    }
    match &mut answer {
        Answer::Plan(plan) => {
            // The goal may have looked for a shorter one, to which trials held the gears.
            if plan.slo != problem.slo {
                plan.slo = problem.slo;
                if let Some(effort) = context.trial.filter(|_| is_cut) {
                    tried::certify_anew(plan, &ask, effort)?;
                }
            }
            if context.verify {
                verify::verify(room, &ask, plan)?;
            }
            if let Some(margin) = &ask.margin {
                let unbuffered = Problem { risk: Some(Risk::None), ..problem.clone() };
                let without = answered(room, &unbuffered, facts, context)?;
                safety_margin::record(plan, problem, margin, &without);
            }
        }
        Answer::Infeasible(conflict) => {
            conflict.at_peak_of(ask.margin.as_ref().map_or(1.0, |margin| margin.peak_factor));
        }
    }
    Ok(answer)
}

/// Plans once with these parts of the variants' capacities.
pub(super) fn once(room: &dyn Room, ask: &Ask<'_>, parts: &Parts) -> Result<Answer, Error> {
    let ask = ask.clone().with_parts(parts);
    let opened = room.open(&ask)?;
    let planned =
        if loading::counts(&ask) && !opened.prices_loading() { loading::plan(room, &ask)? } else { opened.plan()? };
    Ok(match planned {
        Planned::Plan(plan) => Answer::Plan(Box::new(strict::kept(&ask, *plan))),
        Planned::NotCarried => Answer::Infeasible(conflict::find(&ask, opened.as_ref())?),
        Planned::Conflict(conflict) => Answer::Infeasible(conflict),
    })
}
