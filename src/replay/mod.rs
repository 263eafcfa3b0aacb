//! The real-time bench: a plan is tried with real models, a real engine and real time. It is no serving system: requests
//! come from a process or a trace, never from a network.
//!
//! ```text
//!                              dispatch                            one thread a replica, pinned to its own cores
//! replay     the walk of a plan pushes: queues, stages, gears ──▶  ┌─────────────────────────────────────────────┐
//!            arrivals of a process or a trace                      │ worker pool: an engine session of each      │
//! load test  replicas pull from one queue, drawn before      ◀──   │ hosted variant, samples of the model store  │
//!            a plan of one lane, and a search for the rate         └─────────────────────────────────────────────┘
//! ```
//!
//! A replay walks the plan as the [simulation](crate::simulate) does; [`load`] plays a schedule to a plan of one lane, and
//! searches the rate that meets an SLO. Both count latency from the moment at which a request was meant to arrive.
//!
//! - `core_assignment` finds cores for every replica, or says what is missing.
//! - `model_store` finds the model files and the samples.
//! - `worker` is the thread of one replica, `worker_pool` all of them, `waiting` how they wait.
//! - `servers` is what the walk sees of them; `overhead` what that costs.
//! - `compare` puts claim, simulation and replay side by side.

mod compare;
mod core_assignment;
pub mod load;
mod model_store;
mod overhead;
mod servers;
mod waiting;
mod worker;
mod worker_pool;

use crate::base::error::Error;
use crate::measure::engines::Engine;
use crate::measure::host::{Pinned, on_time, pin_to, usable_cores};
use crate::plan::Plan;
use crate::simulate::engine::Engine as Walker;
use crate::simulate::walk::Walk;
use crate::simulate::{CallTimes, Report, Settings, World};

use servers::RealServers;
use waiting::Waiting;
use worker_pool::{Equipment, WorkerPool};

pub use compare::{Reports, Row, compare};
pub use core_assignment::{CoreAssignment, only_gear};
pub use model_store::ModelStore;
pub use overhead::{Overhead, Spread};

/// What a replay saw, and what the bench itself cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// What happened to the requests.
    pub report: Report,
    /// What the bench added to their response times.
    pub overhead: Overhead,
    /// How long each call kept its replica, from the decision to serve until that was seen to be done.
    pub calls: CallTimes,
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
    store: &ModelStore,
    engine: &dyn Engine,
    settings: &Settings,
) -> Result<Replayed, Error> {
    let allowed = usable_cores();
    let cores = CoreAssignment::new(plan, &allowed)?;
    let free = cores.free(&allowed);
    let _on_time = on_time();
    let _pinned: Option<Pinned> = if free.is_empty() { None } else { Some(pin_to(&free)?) };
    let waiting = Waiting::spin_if(!free.is_empty());
    std::thread::scope(|scope| {
        let walk = Walk::new(plan, world);
        let workers = WorkerPool::start(scope, plan, &cores, Equipment { store, engine, waiting })?;
        let servers = RealServers::new(workers, store.samples(), waiting);
        let (trial, servers) = Walker::new(plan, &walk, servers, settings, settings.seed).run();
        let report = trial.report(&[], plan, settings);
        let (overhead, calls) = servers.finish()?;
        Ok(Replayed { report, overhead, calls })
    })
}
