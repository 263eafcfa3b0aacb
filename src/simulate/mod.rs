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
//! - When gears change is [`GearRule`](crate::plan::GearRule)'s to say. By the clock, what a period needs is brought up before it
//!   begins, by the longest load time and a switch window.
//! - Machines are paid whole, by the gear; while it changes, of each kind as many as the one that needs more.
//! - A function is paid for its cold starts; its `replicas` are the calls that it may serve at once.
//! - Contention, where the world knows of it, is that of the moment at which a call begins; `deadline` expects none.
//! - The same plan, world, settings and seed give the same report.

mod agenda;
mod claim;
mod counts;
mod drift;
pub(crate) mod engine;
mod growth;
mod holds;
pub(crate) mod ids;
mod pool;
mod rent;
mod repair;
mod report;
pub(crate) mod servers;
mod slo_windows;
mod tally;
mod times;
pub(crate) mod trial;
pub(crate) mod walk;
mod world;

use std::time::Duration;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::plan::Plan;
use crate::workload::Arrivals;
use walk::Walk;

pub use claim::{ClaimTried, LateGear, QuantileTried, Sureness, check, hold_claims, try_claim};
pub use holds::holds_up_to;
pub use ids::{Id, PoolId, VariantId};
pub use repair::{Effort, GearTrial, repair, repair_gear, try_gear};
pub use report::{
    Change, DriftReport, GearReport, Interval, Intervals, PoolReport, Report, ReportFormat, ResponseTimes, Source,
    Summary, Window, WorstWindow,
};
pub use world::{CallTimes, Measured, Start, Textbook, TextbookLaw, World, variants_of};

/// How a plan is tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// When requests arrive; must have been validated.
    pub arrivals: Arrivals,
    /// Time that is counted.
    pub duration: Duration,
    /// Time before that, in which requests are served but not counted.
    pub warmup: Duration,
    /// Seed of everything random.
    pub seed: u64,
}

/// Who changes gears.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Controller {
    /// The plan's own rule ([`GearRule`](crate::plan::GearRule)): by rate, or by the clock where it has periods.
    #[default]
    Switch,
    /// An oracle that looks, at the end of every switch window, so far ahead and takes the gear for the highest rate
    /// that it sees, up or down at once.
    Lookahead(Duration),
}

/// Tries a plan, which must have been validated, in a world.
///
/// ```
/// use std::time::Duration;
///
/// use planner::{Arrivals, Facts, Measured, Plan, Settings, load, simulate};
///
/// let plan = load::<Plan>("plans/digits.json".as_ref())?.document;
/// let facts = Facts::load(&["profiles/digits.json".into()])?;
/// let settings = Settings {
///     arrivals: Arrivals::Poisson { rate_rps: 50.0 },
///     duration: Duration::from_secs(60),
///     warmup: Duration::from_secs(1),
///     seed: 1,
/// };
/// let report = simulate(&plan, &Measured::new(&plan, &facts)?, &settings);
/// assert!(report.whole.slo_met, "{} of requests are late", report.whole.violation_share);
/// # Ok::<(), planner::Error>(())
/// ```
///
/// Takes O(log n) for each call, n being the calls in service. Nothing is allocated once the queues have been long.
#[must_use]
pub fn simulate<W: World>(plan: &Plan, world: &W, settings: &Settings) -> Report {
    let walk = Walk::new(plan, world);
    let engine = engine::Engine::new(plan, &walk, servers::Simulated(world), settings, settings.seed);
    engine.run().0.report(&[], plan, settings)
}

/// Tries a plan several times with seeds from `settings.seed` on, side by side, and puts the trials together.
///
/// The report is the same whatever the number of threads. Fewer than one trial is one trial.
///
/// ```
/// use std::time::Duration;
///
/// use planner::{Arrivals, Facts, Measured, Plan, Settings, load, replicate};
///
/// let plan = load::<Plan>("plans/digits.json".as_ref())?.document;
/// let facts = Facts::load(&["profiles/digits.json".into()])?;
/// let settings = Settings {
///     arrivals: Arrivals::Poisson { rate_rps: 50.0 },
///     duration: Duration::from_secs(60),
///     warmup: Duration::from_secs(1),
///     seed: 1,
/// };
/// let report = replicate(&plan, &Measured::new(&plan, &facts)?, &settings, 3);
/// assert_eq!(report, replicate(&plan, &Measured::new(&plan, &facts)?, &settings, 3));
/// # Ok::<(), planner::Error>(())
/// ```
#[must_use]
pub fn replicate<W: World + Sync>(plan: &Plan, world: &W, settings: &Settings, trials: u32) -> Report {
    replicate_under(Controller::Switch, plan, world, settings, trials)
}

/// As [`replicate`], with somebody else changing gears.
#[must_use]
pub fn replicate_under<W: World + Sync>(
    controller: Controller,
    plan: &Plan,
    world: &W,
    settings: &Settings,
    trials: u32,
) -> Report {
    let seeds = (0..trials.max(1)).map(|trial| settings.seed.wrapping_add(u64::from(trial)));
    let walk = Walk::new(plan, world);
    let run = |seed| {
        let engine = engine::Engine::new(plan, &walk, servers::Simulated(world), settings, seed);
        engine.under(controller).run().0
    };
    let mut trials: Vec<trial::Trial<'_>> = seeds.collect::<Vec<_>>().into_par_iter().map(run).collect();
    let first = trials.remove(0);
    first.report(&trials, plan, settings)
}
