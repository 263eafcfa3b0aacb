//! The moving part of a pool: who is up, who is busy, who waits, and what it has cost.

use super::report::PoolReport;
use super::walk::PoolWalk;
use crate::units::{Share, Usd};

/// The state of one pool and its time integrals, in units of nanoseconds.
#[derive(Debug, Default)]
pub struct Pool {
    /// Replicas that take new calls.
    pub up: u32,
    /// Replicas that were asked for and cannot serve yet.
    pub starting: u32,
    /// Replicas that are serving; above `up` while surplus ones finish.
    pub busy: u32,
    /// Calls that wait.
    pub waiting: u32,
    /// Calls in service.
    serving: u32,
    /// Mean work of the calls that wait, in nanoseconds of one replica.
    pub queued_ns: f64,
    /// Mean work of the calls in service, in full.
    pub begun_ns: f64,
    /// When each idle function instance became idle, oldest first.
    idle_since: Vec<u64>,
    touched: u64,
    sums: Sums,
    /// How often 1, 2, … calls were served together.
    batch_sizes: Vec<u64>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Sums {
    waiting: u128,
    present: u128,
    busy: u128,
    up: u128,
    billed: u128,
    calls: u64,
    batches: u64,
    per_call_usd: f64,
    max_waiting: u32,
}

impl Pool {
    /// Returns an idle pool whose lanes serve at most `batch` calls together.
    pub fn new(up: u32, batch: u32) -> Self {
        Self { up, batch_sizes: vec![0; batch as usize], ..Self::default() }
    }

    /// Brings the integrals up to `now`; called before every change of state.
    #[inline]
    pub fn touch(&mut self, now: u64) {
        let time = now - self.touched;
        if time == 0 {
            return;
        }
        self.touched = now;
        let time = u128::from(time);
        let up = u128::from(self.up.max(self.busy));
        self.sums.max_waiting = self.sums.max_waiting.max(self.waiting);
        self.sums.waiting += time * u128::from(self.waiting);
        self.sums.present += time * u128::from(self.waiting + self.serving);
        self.sums.busy += time * u128::from(self.busy);
        self.sums.up += time * up;
        self.sums.billed += time * (up + u128::from(self.starting));
    }

    /// Forgets what was counted so far: the warm-up is over.
    pub fn restart(&mut self, now: u64) {
        self.touch(now);
        self.sums = Sums { max_waiting: self.waiting, ..Sums::default() };
        self.batch_sizes.fill(0);
    }

    /// Adds what another trial counted.
    pub fn absorb(&mut self, other: &Self) {
        let (own, other_sums) = (&mut self.sums, &other.sums);
        own.waiting += other_sums.waiting;
        own.present += other_sums.present;
        own.busy += other_sums.busy;
        own.up += other_sums.up;
        own.billed += other_sums.billed;
        own.calls += other_sums.calls;
        own.batches += other_sums.batches;
        own.per_call_usd += other_sums.per_call_usd;
        own.max_waiting = own.max_waiting.max(other_sums.max_waiting);
        self.batch_sizes.iter_mut().zip(&other.batch_sizes).for_each(|(own, other)| *own += other);
    }

    /// Tells whether a replica could take a call now.
    #[inline]
    pub const fn has_free(&self) -> bool {
        self.busy < self.up
    }

    /// A call joins the queue.
    #[inline]
    pub fn joins(&mut self, now: u64, work_ns: f64) {
        self.touch(now);
        self.waiting += 1;
        self.queued_ns += work_ns;
    }

    /// Some calls leave the queue together and are served.
    #[inline]
    pub fn begins(&mut self, now: u64, calls: u32, work_ns: f64, mean_ns: f64) {
        self.touch(now);
        self.waiting -= calls;
        self.serving += calls;
        self.busy += 1;
        // Sums of floats drift; an empty queue has no work.
        self.queued_ns = if self.waiting == 0 { 0.0 } else { self.queued_ns - work_ns };
        self.begun_ns += mean_ns;
        self.sums.calls += u64::from(calls);
        self.sums.batches += 1;
        self.batch_sizes[calls as usize - 1] += 1;
    }

    /// A replica has finished.
    #[inline]
    pub fn ends(&mut self, now: u64, calls: u32, mean_ns: f64) {
        self.touch(now);
        self.serving -= calls;
        self.busy -= 1;
        self.begun_ns = if self.busy == 0 { 0.0 } else { self.begun_ns - mean_ns };
    }

    /// Takes the instance that was used last, if it is still warm; older ones are colder.
    pub fn takes_warm(&mut self, now: u64, keep_ns: u64) -> bool {
        match self.idle_since.pop() {
            Some(since) if now - since <= keep_ns => true,
            _ => {
                self.idle_since.clear();
                false
            }
        }
    }

    /// A function instance becomes idle.
    pub fn idles(&mut self, now: u64) {
        self.idle_since.push(now);
    }

    /// Adds the price of one call.
    pub fn pays(&mut self, usd: f64) {
        self.sums.per_call_usd += usd;
    }

    /// Returns what the pool has cost since counting began.
    pub fn cost_usd(&self, walk: &PoolWalk) -> f64 {
        walk.on.usd_per_hour() * self.sums.billed as f64 / 3.6e12 + self.sums.per_call_usd
    }

    /// Returns what the pool did in `time_ns`.
    pub fn report(&self, walk: &PoolWalk, time_ns: u64) -> PoolReport {
        let sums = &self.sums;
        let mean = |sum: u128| sum as f64 / time_ns.max(1) as f64;
        let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
        PoolReport {
            name: walk.name.clone(),
            utilisation: Share::saturating(ratio(sums.busy as f64, sums.up as f64)),
            mean_replicas: mean(sums.billed),
            mean_waiting: mean(sums.waiting),
            max_waiting: sums.max_waiting,
            mean_present: mean(sums.present),
            calls: sums.calls,
            mean_batch: ratio(sums.calls as f64, sums.batches as f64),
            batch_sizes: self.batch_sizes.clone(),
            cost_usd_per_hour: Usd::saturating(self.cost_usd(walk) * 3.6e12 / time_ns.max(1) as f64),
        }
    }
}
