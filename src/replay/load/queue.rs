//! The queue in front of the sessions, and the one step that each of them repeats.
//!
//! An idle session takes the next request that is not taken, in order, and waits until it is due; so requests are served
//! first come, first served, by whichever session is free first, and no dispatcher stands between. A step asks a [`Pull`]
//! for time and service: a worker has real ones, a script virtual ones.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::{Ended, LoadConditions};
use crate::base::error::Error;

/// Failures before which a run does not end for failing.
const FAILURES: u64 = 20;

/// When requests are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requests {
    /// At these times, whatever happens (open loop); increasing.
    At(Vec<Duration>),
    /// Each when the one before is answered (closed loop), for at least so long and at least so many.
    AfterEachOther {
        /// Shortest time, the warm-up included.
        lasting: Duration,
        /// Fewest requests after the warm-up.
        fewest: u64,
    },
}

/// What ends a run early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunLimits {
    /// Latency above which a request is late.
    pub latency: Duration,
    /// How many requests may be late or fail.
    pub allowed: u64,
    /// How long a request may wait for a session.
    pub patience: Duration,
}

impl RunLimits {
    /// No limits.
    pub const NONE: Self = Self { latency: Duration::MAX, allowed: u64::MAX, patience: Duration::MAX };
}

/// What one run plays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSpec {
    /// When requests are sent.
    pub requests: Requests,
    /// Requests that are due before this do not count.
    pub warmup: Duration,
    /// Most requests that a session takes together.
    pub batch: u32,
    /// What ends it early.
    pub limits: RunLimits,
}

/// One call of a session. Times count from the beginning of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The requests, by their places in the schedule, each with the time at which it was due.
    pub requests: Vec<(usize, Duration)>,
    /// When the session was free to take them.
    pub free: Duration,
    /// When it sent them.
    pub sent: Duration,
    /// When it had the answer, or the error.
    pub ended: Duration,
    /// What went wrong, if anything did.
    pub failure: Option<String>,
}

/// What became of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Played {
    /// The calls of all sessions, in any order.
    pub calls: Vec<Call>,
    /// Why there were no more.
    pub ended: Ended,
    /// What was seen of the host, by those who look at one.
    pub conditions: LoadConditions,
}

/// Something that plays runs, each from a quiet start.
pub trait Bench {
    /// Returns how many requests it serves at the same time.
    fn sessions(&self) -> u32;

    /// Returns about how long one call takes that nothing waits for.
    fn service(&self) -> Duration;

    /// Plays a run.
    ///
    /// # Errors
    /// What keeps the bench from playing at all; a call that fails is part of what was played.
    fn play(&mut self, spec: RunSpec) -> Result<Played, Error>;
}

/// A session that pulls requests: it knows the time, waits and serves.
pub(crate) trait Pull {
    /// Returns the time since the beginning of the run.
    fn now(&self) -> Duration;

    /// Waits until a time, or not at all where it has passed.
    fn wait_until(&mut self, due: Duration);

    /// Serves the requests of these places together.
    fn serve(&mut self, places: &[(usize, Duration)]) -> Result<(), String>;
}

/// The requests that no session has taken, and the reasons to send no more.
#[derive(Debug)]
pub(crate) struct Queue {
    spec: RunSpec,
    next: AtomicUsize,
    counted: AtomicU64,
    bad: AtomicU64,
    failed: AtomicU64,
    done: AtomicU64,
    stopped: AtomicBool,
    ended: OnceLock<Ended>,
}

impl Queue {
    pub fn new(spec: RunSpec) -> Arc<Self> {
        Arc::new(Self {
            spec,
            next: AtomicUsize::new(0),
            counted: AtomicU64::new(0),
            bad: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            done: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            ended: OnceLock::new(),
        })
    }

    /// Lets one session take requests, wait until the first is due, and serve them; `None` where none are left.
    pub fn step(&self, session: &mut impl Pull) -> Option<Call> {
        let free = session.now();
        let first = self.take(free)?;
        session.wait_until(first.1);
        let mut requests = vec![first];
        self.take_more(session.now(), &mut requests);
        let sent = session.now();
        let failure = session.serve(&requests).err();
        let call = Call { requests, free, sent, ended: session.now(), failure };
        self.note(&call);
        Some(call)
    }

    /// Returns why no more requests were sent.
    pub fn ended(&self) -> Ended {
        self.ended.get().copied().unwrap_or(Ended::Complete)
    }

    fn take(&self, free: Duration) -> Option<(usize, Duration)> {
        if self.stopped.load(Ordering::Relaxed) {
            return None;
        }
        match &self.spec.requests {
            Requests::At(due) => {
                let place = self.next.fetch_add(1, Ordering::Relaxed);
                due.get(place).map(|&due| (place, due))
            }
            Requests::AfterEachOther { lasting, fewest } => {
                let enough = free >= *lasting && self.counted.load(Ordering::Relaxed) >= *fewest;
                (!enough).then(|| (self.next.fetch_add(1, Ordering::Relaxed), free))
            }
        }
    }

    /// Takes those that are due by now too, as many as a call may hold.
    fn take_more(&self, now: Duration, requests: &mut Vec<(usize, Duration)>) {
        let Requests::At(due) = &self.spec.requests else { return };
        while requests.len() < self.spec.batch as usize && !self.stopped.load(Ordering::Relaxed) {
            let is_due = |place: usize| due.get(place).is_some_and(|&due| due <= now).then_some(place + 1);
            let Ok(place) = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_due) else { return };
            requests.push((place, due[place]));
        }
    }

    /// Ends the run where this call shows that it should.
    fn note(&self, call: &Call) {
        let limits = self.spec.limits;
        let requests = call.requests.len() as u64;
        let is_bad = |due: Duration| call.failure.is_some() || call.ended.saturating_sub(due) > limits.latency;
        let counted = call.requests.iter().filter(|(_, due)| *due >= self.spec.warmup);
        let bad = counted.clone().filter(|(_, due)| is_bad(*due)).count() as u64;
        let longest = call.requests.iter().map(|&(_, due)| call.sent.saturating_sub(due)).max().unwrap_or_default();
        let add = |counter: &AtomicU64, more: u64| counter.fetch_add(more, Ordering::Relaxed) + more;
        add(&self.counted, counted.count() as u64);
        let done = add(&self.done, requests);
        let failed = add(&self.failed, if call.failure.is_some() { requests } else { 0 });
        if add(&self.bad, bad) > limits.allowed {
            self.stop(Ended::Late);
        } else if failed >= FAILURES && 2 * failed >= done {
            self.stop(Ended::Failing);
        } else if longest > limits.patience {
            self.stop(Ended::Overflow);
        }
    }

    fn stop(&self, why: Ended) {
        // The first reason stands.
        let _ = self.ended.set(why);
        self.stopped.store(true, Ordering::Relaxed);
    }
}
