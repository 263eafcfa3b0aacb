//! A trial bench for plans: a plan is walked as in the [simulation](crate::simulate), but the models, the engine and the
//! time are real. It is no serving system: requests come from a law or a trace, never from a network.
//!
//! ```text
//!  this thread                                   one thread a replica, pinned to its own cores
//!  arrivals, queues, gears ──(variant, samples)──▶ engine session of each hosted variant
//!                          ◀──(class, certainty)──
//! ```
//!
//! - `seats` finds cores for every replica, or says what is missing.
//! - `shelf` finds the model files and the samples.
//! - `crew` is the thread of each replica, and what the walk sees of them.
//! - `compare` puts claim, simulation and replay side by side.

mod compare;
mod crew;
mod gauge;
mod seats;
mod shelf;
mod worker;

use serde::Serialize;

use crate::base::error::Error;
use crate::measure::engines::Engine;
use crate::measure::host::{Pinned, allowed_cores, on_time, pin_to};
use crate::plan::Plan;
use crate::simulate::engine::Engine as Walker;
use crate::simulate::walk::Walk;
use crate::simulate::{CallTimes, Report, Settings, World};

pub use compare::{Reports, Row, compare};
pub use gauge::Spread;
pub use seats::{Seats, only_gear};
pub use shelf::Shelf;

/// What a replay saw, and what the bench itself cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// What happened to the requests.
    pub report: Report,
    /// What the bench added to their response times.
    pub overhead: Overhead,
    /// How long each call kept its replica, from the decision to serve until that was seen to be done.
    pub calls: CallTimes,
}

/// What the bench adds to response times; the sum is part of every response time in the report.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Overhead {
    /// From the moment that an arrival or another planned event was due until it was looked at.
    pub lag: Spread,
    /// From the decision to serve a batch until its replica's thread begins.
    pub hand_over: Spread,
    /// From the end of a batch in its replica's thread until that is looked at.
    pub hand_back: Spread,
    /// Whether a core was free of replicas, on which the walk waited out its last microseconds without sleeping.
    pub own_core: bool,
}

/// Tries a plan, which must have been validated, on this machine; `world` knows the mean times that `deadline` expects.
///
/// Takes the warm-up and the duration of `settings` in real time, and before that the time to open the models.
///
/// # Errors
/// Findings where this machine lacks what the plan needs; [`Error::Engine`] or findings where a model fails.
pub fn replay<W: World>(
    plan: &Plan,
    world: &W,
    shelf: &Shelf,
    engine: &dyn Engine,
    settings: &Settings,
) -> Result<Trial, Error> {
    let cores = allowed_cores();
    let seats = Seats::of(plan, &cores)?;
    shelf.vet(plan, engine)?;
    let free = seats.free(&cores);
    let _on_time = on_time();
    let _pinned: Option<Pinned> = if free.is_empty() { None } else { Some(pin_to(&free)?) };
    std::thread::scope(|scope| {
        let walk = Walk::new(plan, world);
        let crew = crew::Crew::hire(scope, plan, &seats, shelf, engine, !free.is_empty())?;
        let (trial, crew) = Walker::new(plan, &walk, crew, settings, settings.seed).run();
        let report = trial.report(&[], plan, settings);
        let (overhead, calls) = crew.dismiss()?;
        Ok(Trial { report, overhead, calls })
    })
}
