//! The planners: each room turns a problem and its facts into a plan, or says which limits conflict.

mod baselines;
pub mod cascade;
mod conflict;
mod explain;
mod frontier;
mod frontier_file;
mod gears;
mod hardware;
mod head_room;
pub mod pipeline;
mod record;
mod relevance;
mod replanned;
mod schedule;
mod static_cascade;
mod switch;
mod tried;
mod variant_set;

use std::collections::BTreeMap;

use crate::base::error::Error;
use crate::facts::{AtRisk, Facts};
use crate::plan::Plan;
use crate::problem::{Formulation, Problem, Room};
use crate::simulate::Effort;

pub use baselines::{Baseline, Kind as BaselineKind, Rules as BaselineRules, baselines};
pub use cascade::Cascades;
pub use explain::{Explanation, LimitPrice, RunnerUp, explain, explain_all};
pub use frontier::{FrontierPoint, frontier};
pub use frontier_file::{Chooser, FrontierChoice, FrontierFormat, Frontiers};
pub use pipeline::Pipeline;
pub use record::record;
pub use relevance::{Configuration, Relevance, Skipped, hopeful, relevance};
pub use schedule::{DayTotal, Period, Schedule, ScheduleFormat};
pub use variant_set::{Published, VariantSet, published_capacity};

/// A room's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A plan that carries every load up to the asked one.
    Plan(Box<Plan>),
    /// Proof that there is none.
    Infeasible(Conflict),
}

/// Why there is no plan: limits that cannot hold together, each with what it would have to become.
///
/// The set is minimal: without any one of them there is a plan.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Conflict {
    /// The limits in conflict.
    pub limits: Vec<ConflictingLimit>,
}

impl Conflict {
    /// Puts the rate in the user's words, where it was planned for so many times the peak.
    fn at_peak_of(&mut self, factor: f64) {
        for limit in self.limits.iter_mut().filter(|limit| limit.key == "workload.max_rps") {
            limit.asked /= factor;
            limit.would_have_to_be = limit.would_have_to_be.map(|rate| rate / factor);
        }
    }
}

/// A limit in conflict with others.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ConflictingLimit {
    /// The key in the problem file.
    pub key: std::borrow::Cow<'static, str>,
    /// What it asks for.
    pub asked: f64,
    /// The nearest value that admits a plan while all else stays; absent where no value that was looked at does (cores
    /// are looked at up to 8 times the asked ones and up to 256, machines up to 64).
    pub would_have_to_be: Option<f64>,
}

/// What a planner may know beside the problem.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    /// The plan that is running now: moving away from it costs load time.
    pub from: Option<&'a Plan>,
    /// Solve every gear again through HiGHS and refuse to answer where the two disagree.
    pub verify: bool,
    /// Try every gear in simulation, and plan again with less of the capacities that a failing gear uses.
    pub trial: Option<Effort>,
    /// Part of each variant's capacity that may be used; all of it where left out or not named.
    pub capacity_parts: Option<&'a BTreeMap<String, f64>>,
}

/// A room.
pub trait Planner {
    /// Returns a plan with its proof, or the conflict that rules one out. The plan's inputs are left to the caller.
    ///
    /// # Errors
    /// [`Error::Input`] where facts are missing, [`Error::Solver`] where no proof was reached.
    fn plan(&self, problem: &Problem, facts: &Facts, context: Context<'_>) -> Result<Answer, Error>;
}

/// Solves a problem in its room.
///
/// # Errors
/// As [`Planner::plan`]; [`Error::Unsupported`] for rooms that do not plan yet.
pub fn solve(problem: &Problem, facts: &Facts, context: Context<'_>) -> Result<Answer, Error> {
    if let Some(at_risk) = AtRisk::of(problem, facts) {
        let mut answer = solve(&at_risk.problem, &at_risk.facts, context)?;
        match &mut answer {
            Answer::Plan(plan) => head_room::say(plan, problem, facts, context, &at_risk)?,
            Answer::Infeasible(conflict) => conflict.at_peak_of(at_risk.peak_factor),
        }
        return Ok(answer);
    }
    // CascadeServe as published has no capacities that a failing trial could cut.
    let cannot_cut = problem.room == Room::Cascade && problem.formulation == Formulation::Published;
    match context.trial.filter(|_| !cannot_cut) {
        Some(effort) => tried::solve(problem, facts, context, effort),
        None => solve_once(problem, facts, context),
    }
}

fn solve_once(problem: &Problem, facts: &Facts, context: Context<'_>) -> Result<Answer, Error> {
    match problem.room {
        Room::VariantSet => VariantSet.plan(problem, facts, context),
        Room::Pipeline => Pipeline.plan(problem, facts, context),
        Room::Cascade => Cascades.plan(problem, facts, context),
        other => Err(Error::Unsupported {
            what: format!("the room `{}` does not plan yet", other.as_str()),
            hint: "`variant-set`, `pipeline` and `cascade` do; plans of every room can be simulated".to_owned(),
        }),
    }
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.limits.as_slice() {
            [_] => writeln!(f, "infeasible: this limit cannot hold")?,
            _ => writeln!(f, "infeasible: these limits cannot hold together; changing any one as shown admits a plan")?,
        }
        for (index, limit) in self.limits.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "  {} = {}", limit.key, limit.asked)?;
            match limit.would_have_to_be {
                Some(value) => write!(f, "  would have to be {value}")?,
                None => write!(f, "  no value that was looked at helps while all else stays")?,
            }
        }
        Ok(())
    }
}
