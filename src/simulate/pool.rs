//! The moving part of a pool: who is up, who is busy, who waits, and what it has cost.

use super::growth::Growth;
use super::rent::Leases;
use super::report::PoolReport;
use super::tally::{Losses, Lost};
use super::walk::PoolWalk;
use crate::base::units::{Millis, Share, Usd};
use crate::problem::Billing;

/// A number that changes in steps, and its integral over time.
///
/// The integral up to `T` of a step function is `value(T) × T − Σ t × change(t)`, so each change costs one addition.
#[derive(Debug, Default, Clone, Copy)]
struct Level {
    value: u32,
    /// −Σ t × change(t), in nanoseconds; `i128` as a long trial with a long queue leaves 64 bits.
    changes: i128,
}

impl Level {
    const fn of(value: u32) -> Self {
        Self { value, changes: 0 }
    }

    #[inline]
    fn rises(&mut self, now: u64, by: u32) {
        self.value += by;
        self.changes -= i128::from(now) * i128::from(by);
    }

    #[inline]
    fn falls(&mut self, now: u64, by: u32) {
        self.value -= by;
        self.changes += i128::from(now) * i128::from(by);
    }

    #[inline]
    fn set(&mut self, now: u64, value: u32) {
        if value >= self.value { self.rises(now, value - self.value) } else { self.falls(now, self.value - value) }
    }

    /// Returns the integral since the last restart.
    fn area(&self, now: u64) -> i128 {
        i128::from(now) * i128::from(self.value) + self.changes
    }

    /// Forgets the integral so far.
    fn restart(&mut self, now: u64) {
        self.changes = -(i128::from(now) * i128::from(self.value));
    }
}

/// The state of one pool and its time integrals, in units of nanoseconds.
#[derive(Debug, Default)]
pub struct Pool {
    /// Replicas that take new calls.
    up: u32,
    /// Replicas that are serving; above `up` while surplus ones finish.
    busy: Level,
    /// Replicas that take new calls or still serve.
    held: Level,
    /// Replicas that were asked for and cannot serve yet.
    starting: Level,
    /// Calls that wait.
    waiting: Level,
    /// Calls in service.
    serving: Level,
    /// Mean work of the calls that wait, in nanoseconds of one replica.
    pub queued_ns: f64,
    /// Mean work of the calls in service, in full.
    pub begun_ns: f64,
    /// When each idle function instance became idle, oldest first.
    idle_since: Vec<u64>,
    /// When what is up was rented.
    leases: Leases,
    counted: Counted,
    /// How often 1, 2, … calls were served together.
    batch_sizes: Vec<u64>,
    /// Calls that waited at the end of each window.
    waiting_at_ends: Vec<u32>,
    /// How the queues of trials put together grew.
    growth: Growth,
    /// The time integrals of trials put together.
    areas: Areas,
}

/// What is counted one by one.
#[derive(Debug, Default, Clone, Copy)]
struct Counted {
    calls: u64,
    batches: u64,
    /// Calls that found no place to wait, or came too late to be served.
    lost: Losses,
    waited_ns: u128,
    per_call_usd: f64,
    max_waiting: u32,
}

/// What is integrated over time.
#[derive(Debug, Default, Clone, Copy)]
struct Areas {
    waiting: i128,
    serving: i128,
    busy: i128,
    held: i128,
    starting: i128,
    /// Time of replicas that was paid and not used.
    unused: i128,
}

impl Pool {
    /// Returns an idle pool whose lanes serve at most `batch` calls together.
    pub fn new(up: u32, batch: u32, billing: Option<Billing>) -> Self {
        let (held, leases) = (Level::of(up), Leases::new(billing, up));
        Self { up, held, leases, batch_sizes: vec![0; batch as usize], ..Self::default() }
    }

    /// Returns the number of replicas that are serving.
    #[inline]
    pub const fn busy(&self) -> u32 {
        self.busy.value
    }

    /// Forgets what was counted so far: the warm-up is over.
    pub fn restart(&mut self, now: u64) {
        for level in [&mut self.busy, &mut self.held, &mut self.starting, &mut self.waiting, &mut self.serving] {
            level.restart(now);
        }
        self.leases.restart();
        self.counted = Counted { max_waiting: self.waiting.value, ..Counted::default() };
        self.batch_sizes.fill(0);
    }

    /// A window of the report is over.
    pub fn ends_window(&mut self) {
        self.waiting_at_ends.push(self.waiting.value);
    }

    /// The trial is over: closes the time integrals.
    pub fn close(&mut self, now: u64) {
        self.growth = Growth::of(&self.waiting_at_ends);
        self.areas = Areas {
            waiting: self.waiting.area(now),
            serving: self.serving.area(now),
            busy: self.busy.area(now),
            held: self.held.area(now),
            starting: self.starting.area(now),
            unused: i128::from(self.leases.unused_ns()),
        };
    }

    /// Adds what another trial counted; both are closed.
    pub fn absorb(&mut self, other: &Self) {
        let (own, others) = (&mut self.areas, &other.areas);
        own.waiting += others.waiting;
        own.serving += others.serving;
        own.busy += others.busy;
        own.held += others.held;
        own.starting += others.starting;
        own.unused += others.unused;
        self.growth.absorb(other.growth);
        let (own, others) = (&mut self.counted, &other.counted);
        own.calls += others.calls;
        own.batches += others.batches;
        own.lost.absorb(others.lost);
        own.waited_ns += others.waited_ns;
        own.per_call_usd += others.per_call_usd;
        own.max_waiting = own.max_waiting.max(others.max_waiting);
        self.batch_sizes.iter_mut().zip(&other.batch_sizes).for_each(|(own, other)| *own += other);
    }

    /// Returns the replicas that take new calls.
    pub const fn up(&self) -> u32 {
        self.up
    }

    /// Returns the calls that wait.
    #[inline]
    pub const fn waiting(&self) -> u32 {
        self.waiting.value
    }

    /// So many replicas take new calls from now on.
    pub fn holds(&mut self, now: u64, up: u32) {
        self.up = up;
        self.held.set(now, up.max(self.busy.value));
    }

    /// So many replicas are being started.
    pub fn starts(&mut self, now: u64, replicas: u32) {
        self.starting.set(now, replicas);
    }

    /// What is up, finishes or starts is what is rented from now on; called once a change is complete.
    pub fn bills(&mut self, now: u64) {
        self.leases.hold(now, self.held.value + self.starting.value);
    }

    /// Tells whether a replica could take a call now.
    #[inline]
    pub const fn has_free(&self) -> bool {
        self.busy.value < self.up
    }

    /// A call joins the queue.
    #[inline]
    pub fn joins(&mut self, now: u64, work_ns: f64) {
        self.waiting.rises(now, 1);
        self.queued_ns += work_ns;
    }

    /// Notes how many wait; called once all that could be served is.
    #[inline]
    pub fn notes_waiting(&mut self) {
        self.counted.max_waiting = self.counted.max_waiting.max(self.waiting.value);
    }

    /// Calls leave the queue; they waited so long in sum.
    #[inline]
    pub fn leave_queue(&mut self, now: u64, calls: u32, work_ns: f64, waited_ns: u64) {
        self.waiting.falls(now, calls);
        // Sums of floats drift; an empty queue has no work.
        self.queued_ns = if self.waiting.value == 0 { 0.0 } else { self.queued_ns - work_ns };
        self.counted.waited_ns += u128::from(waited_ns);
    }

    /// A call that waited is sent away.
    pub fn turns_away(&mut self, why: Lost) {
        self.counted.lost.add(why);
    }

    /// A replica begins some calls, which wait no longer.
    #[inline]
    pub fn begins(&mut self, now: u64, calls: u32, mean_ns: f64) {
        self.serving.rises(now, calls);
        self.busy.rises(now, 1);
        self.begun_ns += mean_ns;
        self.counted.calls += u64::from(calls);
        self.counted.batches += 1;
        self.batch_sizes[calls as usize - 1] += 1;
    }

    /// A replica has finished.
    #[inline]
    pub fn ends(&mut self, now: u64, calls: u32, mean_ns: f64) {
        self.serving.falls(now, calls);
        self.busy.falls(now, 1);
        if self.busy.value >= self.up {
            self.held.set(now, self.busy.value);
            self.bills(now);
        }
        self.begun_ns = if self.busy.value == 0 { 0.0 } else { self.begun_ns - mean_ns };
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
        self.counted.per_call_usd += usd;
    }

    /// Returns what the pool has cost from the beginning of counting until now.
    pub fn cost_so_far_usd(&self, walk: &PoolWalk, now: u64) -> f64 {
        let unused = i128::from(self.leases.unused_ns());
        self.cost_of(walk, self.held.area(now) + self.starting.area(now) + unused)
    }

    /// Returns what the pool has cost; it is closed.
    pub fn cost_usd(&self, walk: &PoolWalk) -> f64 {
        self.cost_of(walk, self.areas.held + self.areas.starting + self.areas.unused)
    }

    fn cost_of(&self, walk: &PoolWalk, billed_ns: i128) -> f64 {
        walk.on.usd_per_hour() * billed_ns as f64 / 3.6e12 + self.counted.per_call_usd
    }

    /// Returns what the pool did in `time_ns`; it is closed.
    pub fn report(&self, walk: &PoolWalk, time_ns: u64) -> PoolReport {
        let (areas, counted) = (&self.areas, &self.counted);
        let mean = |sum: i128| sum as f64 / time_ns.max(1) as f64;
        let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
        let queued = counted.calls + counted.lost.dropped;
        PoolReport {
            name: walk.name.clone(),
            utilisation: Share::saturating(ratio(areas.busy as f64, areas.held as f64)),
            mean_replicas: mean(areas.held + areas.starting),
            mean_waiting: mean(areas.waiting),
            max_waiting: counted.max_waiting,
            grows_without_end: self.growth.is_endless(),
            mean_present: mean(areas.waiting + areas.serving),
            mean_wait_ms: Millis::saturating(ratio(counted.waited_ns as f64, queued as f64) / 1e6),
            calls: counted.calls,
            refused: counted.lost.refused,
            dropped: counted.lost.dropped,
            mean_batch: ratio(counted.calls as f64, counted.batches as f64),
            batch_sizes: self.batch_sizes.clone(),
            cost_usd_per_hour: Usd::saturating(self.cost_usd(walk) * 3.6e12 / time_ns.max(1) as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Level, Pool};

    #[test]
    fn a_level_integrates_what_it_was() {
        let mut level = Level::of(2);
        level.rises(10, 3);
        level.falls(14, 4);
        // 2 × 10 + 5 × 4 + 1 × 6.
        assert_eq!(level.area(20), 46);
        level.restart(20);
        level.set(25, 7);
        assert_eq!(level.area(30), 5 + 35);
    }

    #[test]
    fn surplus_replicas_are_held_until_they_finish() {
        let mut pool = Pool::new(2, 1, None);
        pool.begins(0, 1, 1.0);
        pool.begins(0, 1, 1.0);
        pool.holds(10, 1);
        pool.ends(30, 1, 1.0);
        pool.ends(40, 1, 1.0);
        pool.close(50);
        // Two until 30, then the one that stays up.
        assert_eq!((pool.areas.held, pool.areas.busy), (2 * 30 + 20, 30 + 40));
    }
}
