//! The bench with a real engine in real time: the workers of a plan of one lane pull from one queue.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::queue::{Bench, Call, Played, Queue, Requests, RunLimits, RunSpec};
use super::{LoadConditions, LoadService, LoadSettings, Queries};
use crate::base::error::Error;
use crate::base::units::Share;
use crate::measure::engines::Engine;
use crate::measure::host::{Counters, usable_cores};
use crate::plan::Plan;
use crate::replay::waiting::Waiting;
use crate::replay::worker::{Message, Place, Task};
use crate::replay::worker_pool::{Equipment, WorkerPool};
use crate::replay::{CoreAssignment, ModelStore};
use crate::simulate::ids::{Id, PoolId};

/// Calls that are thrown away before one is timed, after the one with which a session opens.
const FIRST_CALLS: usize = 2;
/// Calls after these that tell how long one takes.
const TRIED_CALLS: usize = 5;
/// Time between a task and its beginning, in which every thread gets hold of it.
const NOTICE: Duration = Duration::from_millis(5);

/// Opens a variant of the store in as many sessions as the settings say, works with them, and closes them again.
///
/// # Errors
/// What keeps a session from being opened or the work from being done.
pub fn with_workers<T>(
    store: &ModelStore,
    variant: &str,
    engine: &dyn Engine,
    settings: &LoadSettings,
    work: impl FnOnce(&mut WorkerBench) -> Result<T, Error>,
) -> Result<T, Error> {
    let plan = settings.plan(variant);
    let cores = cores(&plan, settings.service)?;
    // Between runs workers sleep: this thread draws and judges meanwhile, and has no core to itself.
    let equipment = Equipment { store, engine, waiting: Waiting::Sleep };
    let queries = Queries { samples: settings.service.samples_per_query, seed: settings.seed };
    std::thread::scope(|scope| {
        let workers = WorkerPool::start(scope, &plan, &cores, equipment)?;
        work(&mut WorkerBench::open(workers, queries)?)
    })
}

/// Returns the cores of each session; none where they are not here.
fn cores(plan: &Plan, service: LoadService) -> Result<CoreAssignment, Error> {
    if !service.pinned {
        return Ok(CoreAssignment::elsewhere(plan));
    }
    let (allowed, LoadService { cores, sessions, .. }) = (usable_cores(), service);
    CoreAssignment::new(plan, &allowed).map_err(|_| Error::Unsupported {
        what: format!("{sessions} replicas on {cores} cores each do not fit: this process may use {}", allowed.len()),
        hint: "lower --cores or --replicas, or widen the affinity mask (taskset) or the container's CPU limit"
            .to_owned(),
    })
}

/// The workers of one lane, all of them up.
pub struct WorkerBench {
    workers: WorkerPool,
    places: Vec<Place>,
    queries: Queries,
    service: Duration,
}

impl WorkerBench {
    /// Brings workers up one after the other, so that none is timed while others warm up.
    fn open(workers: WorkerPool, queries: Queries) -> Result<Self, Error> {
        let sessions = workers.sizes().next().unwrap_or(0);
        let places: Vec<Place> = (0..sessions).map(|replica| (PoolId::of(0), replica)).collect();
        let mut bench = Self { workers, places, queries, service: Duration::MAX };
        for place in bench.places.clone() {
            bench.workers.tell(place, Task::Open);
            bench.hear()?;
            bench.service = bench.service.min(bench.time_of_a_call(place)?);
        }
        Ok(bench)
    }

    /// Returns the median time of some calls of one worker that follow each other, after some that warm it up.
    fn time_of_a_call(&self, place: Place) -> Result<Duration, Error> {
        let requests = Requests::AfterEachOther { lasting: Duration::ZERO, fewest: (FIRST_CALLS + TRIED_CALLS) as u64 };
        let spec = RunSpec { requests, warmup: Duration::ZERO, batch: 1, limits: RunLimits::NONE };
        let calls = self.pull(&[place], &Queue::new(spec), Instant::now())?;
        if let Some(failure) = calls.iter().find_map(|call| call.failure.as_ref()) {
            return Err(Error::Engine { engine: "load", message: format!("a first call failed: {failure}") });
        }
        let mut times: Vec<Duration> = calls[FIRST_CALLS..].iter().map(|call| call.ended - call.sent).collect();
        times.sort_unstable();
        Ok(times[times.len() / 2])
    }

    /// Has some workers pull from a queue until it is empty; returns their calls.
    fn pull(&self, places: &[Place], queue: &Arc<Queue>, begin: Instant) -> Result<Vec<Call>, Error> {
        for &place in places {
            self.workers.tell(place, Task::Pull { queue: Arc::clone(queue), begin, queries: self.queries });
        }
        let mut calls = Vec::new();
        for _ in places {
            calls.extend(self.hear()?);
        }
        Ok(calls)
    }

    /// Waits until a worker has done its task; returns the calls that it made.
    fn hear(&self) -> Result<Vec<Call>, Error> {
        match self.workers.hear() {
            Message::Failed(error) => Err(error),
            Message::Pulled(calls) => Ok(calls),
            Message::Up(_) | Message::Served(..) => Ok(Vec::new()),
        }
    }
}

impl Bench for WorkerBench {
    fn sessions(&self) -> u32 {
        self.places.len() as u32
    }

    fn service(&self) -> Duration {
        self.service
    }

    fn play(&mut self, spec: RunSpec) -> Result<Played, Error> {
        let (queue, before, begin) = (Queue::new(spec), Counters::now(), Instant::now() + NOTICE);
        let calls = self.pull(&self.places, &queue, begin)?;
        let conditions = seen(&before, &Counters::now(), begin.elapsed());
        Ok(Played { calls, ended: queue.ended(), conditions })
    }
}

fn seen(before: &Counters, after: &Counters, elapsed: Duration) -> LoadConditions {
    LoadConditions {
        involuntary_switches: after.involuntary_since(before),
        cpu_pressure: after.pressure_us_since(before).map(|us| Share::saturating(us / 1e6 / elapsed.as_secs_f64())),
        steal: after.steal_since(before),
    }
}
