//! Every plan is tried before anybody depends on it: an event simulation of any plan, whatever room it came from.
//!
//! ```text
//! Arrivals ─▶ request ─▶ stage ─▶ lane queue ─▶ pool replica ─▶ exit or next stage ─▶ Report
//!                                    World: service times, answers, load times
//! ```
//!
//! What a plan's fields mean is written in [`plan`](crate::plan); here they are acted upon. Where they leave room:
//!
//! - A request that leaves early while parallel calls are under way is answered; those calls are served all the same.
//! - Calls in service count in full when `deadline` expects a wait.
//! - The replicas that a next gear needs come up together, when the slowest is up; one change at a time is under way.
//! - Down goes one gear at a time, each after its own dwell.
//! - A function is paid for its cold starts; its `replicas` are the calls that it may serve at once.
//! - The same plan, world, settings and seed give the same report.

mod agenda;
mod arrivals;
mod counts;
mod dice;
pub(crate) mod engine;
pub(crate) mod ids;
mod pool;
mod report;
pub(crate) mod servers;
mod shift;
mod tally;
mod walk;
mod world;

use std::time::Duration;

use crate::plan::Plan;

pub use arrivals::{Arrivals, Source as ArrivalTimes, Trace};
pub use dice::Dice;
pub use ids::{Id, PoolId, VariantId};
pub use report::{Change, GearReport, PoolReport, Report, ReportFormat, ResponseTimes, Source, Summary, Window};
pub use world::{Measured, Textbook, TextbookLaw, World, variants_of};

/// How a plan is tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// When requests arrive.
    pub arrivals: Arrivals,
    /// Time that is counted.
    pub duration: Duration,
    /// Time before that, in which requests are served but not counted.
    pub warmup: Duration,
    /// Seed of everything random.
    pub seed: u64,
}

/// Tries a plan, which must have been validated, in a world.
///
/// Takes O(log n) for each call, n being the calls in service. Nothing is allocated once the queues have been long.
#[must_use]
pub fn simulate<W: World>(plan: &Plan, world: &W, settings: &Settings) -> Report {
    engine::Engine::new(plan, world, servers::Simulated(world), settings).run(settings).0
}
