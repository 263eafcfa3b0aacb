//! All replicas as the walk sees them: real time, real calls.

use std::time::{Duration, Instant};

use super::overhead::{Overhead, OverheadTimes};
use super::waiting::Waiting;
use super::worker::{Message, Served, Task};
use super::worker_pool::WorkerPool;
use crate::base::error::Error;
use crate::simulate::Start;
use crate::simulate::ids::{PoolId, Table, VariantId};
use crate::simulate::servers::{Servers, Wake, Work};
use crate::simulate::walk::nanos;
use crate::simulate::{CallTimes, Source};
use crate::stats::Dice;

/// The replicas of all pools, and the clock of the trial.
pub struct RealServers {
    workers: WorkerPool,
    replicas: Table<PoolId, Vec<Replica>>,
    samples: u32,
    begin: Instant,
    waiting: Waiting,
    /// Answers of the call that was done last.
    answers: Vec<(f32, bool)>,
    failed: Option<Error>,
    overhead: OverheadTimes,
    seen: CallTimes,
}

#[derive(Debug, Clone, Copy, Default)]
struct Replica {
    open: bool,
    /// How often it was told to come up and has not said that it is; it may have been closed since.
    opening: u32,
    busy: bool,
}

impl RealServers {
    /// Returns the servers of a pool whose replicas are all down; requests are drawn from so many samples.
    pub fn new(workers: WorkerPool, samples: u32, waiting: Waiting) -> Self {
        let replicas = workers.sizes().map(|size| vec![Replica::default(); size]).collect();
        Self {
            workers,
            replicas,
            samples,
            begin: Instant::now(),
            waiting,
            answers: Vec::new(),
            failed: None,
            overhead: OverheadTimes::default(),
            seen: CallTimes::new(),
        }
    }

    /// Ends the threads of all replicas; returns what the bench cost and how long calls took.
    ///
    /// # Errors
    /// What kept a replica from serving.
    pub fn finish(self) -> Result<(Overhead, CallTimes), Error> {
        let overhead = self.overhead.spread(self.waiting == Waiting::Spin);
        self.failed.map_or(Ok((overhead, self.seen)), Err)
    }

    fn now(&self) -> u64 {
        nanos(self.begin.elapsed())
    }

    /// Tells whether every replica that is wanted is up; one that was given up while it loaded is not waited for.
    fn are_up(&self) -> bool {
        self.replicas.0.iter().flatten().all(|replica| !replica.open || replica.opening == 0)
    }

    fn heard(&mut self, message: Message) -> Option<Wake> {
        match message {
            Message::Up((pool, replica)) => {
                self.replicas[pool][replica].opening -= 1;
                self.are_up().then(|| Wake::Up(self.now()))
            }
            Message::Served((pool, replica), served) => {
                self.replicas[pool][replica].busy = false;
                Some(self.done(pool, served))
            }
            Message::Pulled(_) => None,
            Message::Failed(error) => {
                self.failed.get_or_insert(error);
                Some(Wake::Failed)
            }
        }
    }

    fn done(&mut self, pool: PoolId, served: Served) -> Wake {
        self.overhead.hand_over.push(served.began - served.sent);
        self.overhead.hand_back.push(served.ended.elapsed());
        self.answers = served.answers;
        let key = (served.variant, pool, served.samples);
        self.seen.entry(key).or_default().push(served.sent.elapsed());
        Wake::Done(self.now(), served.work)
    }
}

impl Servers for RealServers {
    const SOURCE: Source = Source::Replay;

    fn samples(&self) -> u32 {
        self.samples
    }

    /// Replicas go down from the last one; one that is serving finishes first.
    fn hold(&mut self, pool: PoolId, replicas: u32) {
        for (index, replica) in self.replicas[pool].iter_mut().enumerate() {
            let wanted = index < replicas as usize;
            if wanted != replica.open {
                replica.open = wanted;
                replica.opening += u32::from(wanted);
                self.workers.tell((pool, index), if wanted { Task::Open } else { Task::Close });
            }
        }
    }

    fn open(&mut self) {
        while !self.are_up() && self.failed.is_none() {
            let message = self.workers.hear();
            self.heard(message);
        }
        self.begin = Instant::now();
    }

    /// The plan's facts are set aside: replicas load for as long as they do.
    fn up_at(&mut self, _: u64) -> Option<u64> {
        self.are_up().then(|| self.now())
    }

    /// What is done comes before what is due, so that no replica idles while arrivals are looked at late.
    fn wait(&mut self, until: u64) -> Wake {
        if self.failed.is_some() {
            return Wake::Failed;
        }
        let due = self.begin + Duration::from_nanos(until);
        while let Some(message) = self.workers.hear_until(due, self.waiting) {
            if let Some(wake) = self.heard(message) {
                return wake;
            }
        }
        let now = self.now();
        self.overhead.lag.push(Duration::from_nanos(now.saturating_sub(until)));
        Wake::Reached(now)
    }

    fn begin(
        &mut self,
        work: Work,
        variant: VariantId,
        pool: PoolId,
        samples: impl ExactSizeIterator<Item = u32>,
        _: Start,
        _: &mut Dice,
    ) -> Option<u64> {
        let task = Task::Serve { work, variant, samples: samples.collect(), sent: Instant::now() };
        let free = self.replicas[pool].iter().position(|replica| replica.open && !replica.busy);
        let replica = free.expect("the walk begins a call only where fewer replicas are busy than are up");
        self.replicas[pool][replica].busy = true;
        self.workers.tell((pool, replica), task);
        None
    }

    fn answer(&self, position: usize, _: VariantId, _: u32) -> Option<(f32, bool)> {
        self.answers.get(position).copied()
    }
}
