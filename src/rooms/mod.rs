//! The planners: each room turns a problem and its facts into a plan, or says which limits conflict.
//!
//! ```text
//! problem, facts ─▶ Ask ─▶ room.open ─▶ Opened: best at a load, highest load, frontier, plan
//!                                          └─▶ explain, conflict, frontiers, schedules, baselines, relevance
//! ```
//!
//! [`Room`] is what a planner has to be; everything below the arrow is written once over it. Each room is a folder.

mod baselines;
pub mod cascade;
mod change_cost;
mod choice;
pub(crate) mod configurations;
mod conflict;
#[cfg(test)]
mod enumerated;
pub mod exits;
mod explain;
pub(crate) mod fastest;
mod frontier;
mod frontier_file;
pub(crate) mod gears;
pub(crate) mod goal;
mod hardware;
mod least_latency;
mod loading;
mod one_stage;
mod one_variant;
pub mod pipeline;
mod record;
mod relevance;
mod safety_margin;
mod schedule;
mod solve;
mod strict;
mod switch;
mod tried;
pub(crate) mod variant_set;
mod verify;

use crate::base::error::Error;
use crate::base::rounding::keeps_within;
use crate::facts::Ask;
use crate::optimize::{Highest, Reach};
use crate::plan::{Gear, Plan};
use crate::problem::Problem;

pub use baselines::{Baseline, BaselineKind, BaselineRules, baselines};
pub use cascade::Cascades;
pub use choice::Choice;
pub use conflict::{Conflict, ConflictingLimit};
pub use explain::{Explanation, LimitPrice, RunnerUp, explain};
pub use frontier::{FrontierPoint, frontier};
pub use frontier_file::{Chooser, FrontierChoice, FrontierFormat, Frontiers};
pub use pipeline::Pipeline;
pub use record::{record, record_day};
pub use relevance::{PointKey, Relevance, Skipped, hopeful, relevance};
pub use schedule::schedule;
pub use solve::{Answer, Context, solve};
pub use variant_set::VariantSet;

/// A planner.
pub trait Room: Sync {
    /// Works the facts of an ask in.
    ///
    /// # Errors
    /// [`Error::Input`] where facts are missing.
    fn open<'a>(&self, ask: &'a Ask<'a>) -> Result<Box<dyn Opened + 'a>, Error>;

    /// Returns what of its capacities can be cut where a trial fails, to plan again; `None` where that changes nothing.
    fn cuts(&self) -> Option<Cut> {
        Some(Cut::Configurations)
    }

    /// Tells whether the room's choices are proved to be best.
    fn is_exact(&self) -> bool {
        true
    }

    /// Tells whether the room counts on batches that are not full, so that its plans rest on all sizes up to a lane's.
    fn counts_on_small_batches(&self) -> bool {
        false
    }

    /// Returns the freedoms that the room has and its rivals lack.
    fn freedoms(&self) -> &[Freedom] {
        &[]
    }

    /// Returns the problem whose plans run one variant at a time; `None` where plans of one variant each can be put together.
    fn one_variant_at_a_time(&self, problem: &Problem) -> Option<Problem> {
        let _ = problem;
        None
    }

    /// Returns the plan of one variant alone with a gear for every number of replicas, for rivals whose replicas follow the load.
    fn with_replicas_that_follow(&self, plan: Plan, ask: &Ask<'_>) -> Plan {
        let _ = ask;
        plan
    }
}

/// What trials that fail can cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The capacity of a variant, in whatever way it runs.
    Variants,
    /// The capacity of one way to run a variant.
    Configurations,
}

/// A room with the facts of one ask worked in.
///
/// What is best at a load stays possible at every lower one.
pub trait Opened {
    /// Plans for every load up to the asked one. The plan's inputs are left to the caller.
    ///
    /// # Errors
    /// [`Error::Solver`] where no proof was reached.
    fn plan(&self) -> Result<Planned, Error>;

    /// Returns the highest load, up to the asked one, that some plan carries; 0 where none carries any. `problem` is the ask's,
    /// with limits moved.
    ///
    /// # Errors
    /// As [`Room::open`].
    fn max_load(&self, problem: &Problem) -> Result<Highest, Error>;

    /// Tells whether some plan carries all that a problem asks for; `problem` is the ask's, with limits moved.
    ///
    /// # Errors
    /// As [`Room::open`].
    fn carries(&self, problem: &Problem) -> Result<Reach, Error> {
        Ok(self.max_load(problem)?.reach(problem.workload.max_rps.get()))
    }

    /// Returns what the best plan does at a load; `None` where it is not carried.
    ///
    /// # Errors
    /// As [`Opened::plan`].
    fn best_at(&self, load: f64) -> Result<Option<Choice>, Error>;

    /// Returns the best choice at a load that is not another one: it gives up one of its configurations. `None` where the load
    /// is not carried without any of them.
    ///
    /// # Errors
    /// As [`Opened::plan`].
    fn second_best(&self, best: &Choice, load: f64) -> Result<Option<Choice>, Error>;

    /// Returns the choices at a load that no other beats in both price and accuracy, the cheapest first. Neither the goal nor
    /// its least accuracy plays a part.
    ///
    /// # Errors
    /// As [`Opened::plan`].
    fn frontier(&self, load: f64) -> Result<Vec<Choice>, Error>;

    /// Returns what a choice, perhaps one of a problem that was moved, is worth by the goal of this ask.
    fn worth(&self, choice: &Choice) -> f64;

    /// Returns the gear that the pools of a choice do best at another load; `None` where they do not carry it. Pools that it gives
    /// nothing to do have no lane; where what a pool does is not told by its name, that is the gear as it was.
    ///
    /// # Errors
    /// As [`Opened::plan`].
    fn gear_with(&self, choice: &Choice, load: f64) -> Result<Option<Gear>, Error> {
        Ok(keeps_within(load, choice.gear.up_to_rps.get()).then(|| choice.gear.clone()))
    }

    /// Returns every choice at a load that is `worth_it` by its accuracy and the part of everything there is that it takes. What
    /// is worth it stays so with more accuracy and with less taken. `None` where there are more than `most`, or the room
    /// cannot list them.
    ///
    /// # Errors
    /// As [`Opened::plan`].
    fn every(&self, load: f64, worth_it: &WorthIt<'_>, most: usize) -> Result<Option<Vec<Choice>>, Error> {
        let _ = (load, worth_it, most);
        Ok(None)
    }

    /// Tells whether the search prices load times of what starts or resizes.
    fn prices_loading(&self) -> bool {
        false
    }

    /// Returns the best value of the goal at a load by another solver, whose own answer may be that nothing carries it; `None`
    /// where there is no other solver that can tell.
    ///
    /// # Errors
    /// [`Error::Solver`] where it stops without a proof.
    fn second_opinion(&self, load: f64) -> Result<Option<Option<f64>>, Error> {
        let _ = load;
        Ok(None)
    }
}

/// Tells whether an accuracy is worth a part of everything there is.
pub type WorthIt<'a> = dyn Fn(f64, f64) -> bool + 'a;

/// What planning for all loads comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Planned {
    /// A plan that carries every load up to the asked one.
    Plan(Box<Plan>),
    /// Some load is not carried: the limits in conflict are still to be found.
    NotCarried,
    /// The loads are carried, but these limits conflict with each other.
    Conflict(Conflict),
}

/// A freedom of a room. A baseline is the room's own planner with one taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freedom {
    /// Several variants of one task, side by side or at different loads.
    Variants,
    /// Other exits at other loads.
    Exits,
    /// Several variants for a stage.
    StageVariants,
    /// Other numbers of replicas for other stages.
    Replicas,
}

impl Freedom {
    /// Returns what the room may choose, for messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Variants => "several variants of one task",
            Self::Exits => "other exits at other loads",
            Self::StageVariants => "several variants for a stage",
            Self::Replicas => "other numbers of replicas for other stages",
        }
    }
}
