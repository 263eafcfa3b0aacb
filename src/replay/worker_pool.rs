//! The threads of all replicas of a plan, and the messages to and from them.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::Scope;
use std::time::Instant;

use super::core_assignment::CoreAssignment;
use super::model_store::ModelStore;
use super::waiting::Waiting;
use super::worker::{Message, Place, Task, Worker, hosts};
use crate::base::error::Error;
use crate::measure::engines::Engine;
use crate::plan::Plan;
use crate::simulate::ids::{Id, PoolId, Table};

/// What the threads of a pool share.
#[derive(Clone, Copy)]
pub struct Equipment<'a> {
    pub store: &'a ModelStore,
    pub engine: &'a dyn Engine,
    /// How a replica that is up waits for its next task.
    pub waiting: Waiting,
}

/// One thread for each replica of each pool of a plan; the threads end when this is dropped.
#[derive(Debug)]
pub struct WorkerPool {
    tasks: Table<PoolId, Vec<Sender<Task>>>,
    messages: Receiver<Message>,
}

impl WorkerPool {
    /// Starts the thread of every replica; all are down.
    ///
    /// # Errors
    /// A finding for every variant of the plan that the store lacks, or whose model would end this process.
    pub fn start<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        plan: &'env Plan,
        cores: &'env CoreAssignment,
        equipment: Equipment<'env>,
    ) -> Result<Self, Error> {
        equipment.store.has_all(plan)?;
        equipment.store.vet(plan, equipment.engine)?;
        let (tell, messages) = channel();
        let hosts = hosts(plan);
        let start = |place: Place, cores: &'env [usize]| {
            let (tasks, receive) = channel();
            let tell = tell.clone();
            let threads = plan.placement[place.0.index()].on.cores();
            let worker = Worker { place, cores, threads, hosts: hosts[place.0].clone(), equipment };
            scope.spawn(move || worker.work(&receive, &tell));
            tasks
        };
        let of_pool = |(pool, replicas): (usize, &'env Vec<Vec<usize>>)| {
            replicas.iter().enumerate().map(|(index, cores)| start((PoolId::of(pool), index), cores)).collect()
        };
        Ok(Self { tasks: cores.pools.iter().enumerate().map(of_pool).collect(), messages })
    }

    /// Returns the number of replicas of each pool.
    pub fn sizes(&self) -> impl Iterator<Item = usize> {
        self.tasks.0.iter().map(Vec::len)
    }

    /// Gives a replica something to do.
    pub fn tell(&self, (pool, replica): Place, task: Task) {
        // A thread that is gone has said why.
        let _ = self.tasks[pool][replica].send(task);
    }

    /// Waits for the next message.
    pub fn hear(&self) -> Message {
        self.messages.recv().unwrap_or_else(|_| gone())
    }

    /// Waits for the next message until a moment; `None` where that comes first.
    pub fn hear_until(&self, due: Instant, waiting: Waiting) -> Option<Message> {
        match waiting.receive_until(&self.messages, due) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(gone()),
        }
    }
}

fn gone() -> Message {
    Message::Failed(Error::Engine { engine: "replay", message: "the threads of all replicas have ended".to_owned() })
}
