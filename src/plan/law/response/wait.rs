//! How long the last call of a request waits, and how large the batch then is that takes it.

use super::chain::{Chain, LEAST, Lane, oldest};
use crate::stats::{Bins, Grid};

/// Batches ahead from which on companions do not matter: the own batch is full before it can begin.
const FAR: usize = 3;
/// Points that stand for when a request comes during a batch.
const POINTS: usize = 6;
/// The same during a partly filled one.
const FEW_POINTS: usize = 3;
/// Points that stand for the age of the oldest companion.
const AGES: usize = 3;
/// Parts of a hold in which later requests come.
const PARTS: usize = 6;

/// Waits by the size of the batch that ends them; the first, of no calls, stays empty.
pub type Waits = Vec<Bins>;

/// The waits of one lane.
pub struct Waiting<'a> {
    pub lane: &'a Lane<'a>,
    pub grid: Grid,
    /// Probability of at most so many calls within so many steps.
    at_most: Vec<Vec<f64>>,
}

impl<'a> Waiting<'a> {
    pub fn new(lane: &'a Lane<'a>, grid: Grid) -> Self {
        let at_most = |step: usize| {
            let mut counts = lane.arrivals.counts(grid.step_ms * step as f64, lane.batch);
            counts.resize(lane.batch, 0.0);
            let mut sum = 0.0;
            counts.iter_mut().for_each(|p| {
                sum += *p;
                *p = sum;
            });
            counts
        };
        let at_most = if lane.batch > 1 { (0..=grid.steps).map(at_most).collect() } else { Vec::new() };
        Self { lane, grid, at_most }
    }

    pub fn none(&self) -> Waits {
        vec![self.grid.empty(); self.lane.batch + 1]
    }

    /// Adds a call at a place of its batch: a replica is free for the batch after `free_ms`, and the oldest call's hold
    /// is over after `rest_ms`. It begins once both are past, or once it is full and a replica is free.
    pub fn settle(&self, waits: &mut Waits, place: usize, free_ms: f64, rest_ms: f64, mass: f64) {
        if place >= self.lane.batch {
            self.grid.put(&mut waits[self.lane.batch], free_ms, mass);
        } else {
            self.settle_steps(waits, place, self.grid.nearest(free_ms), self.grid.nearest(rest_ms), mass);
        }
    }

    /// Does the same in steps of the grid, for a batch that is not full yet.
    fn settle_steps(&self, waits: &mut Waits, place: usize, free: usize, rest: usize, mass: f64) {
        let (batch, missing, latest) = (self.lane.batch, self.lane.batch - place, free.max(rest));
        let mut fewer = 0.0;
        for (bins, at_most) in waits[place..batch].iter_mut().zip(&self.at_most[latest]) {
            bins[latest] += mass * (at_most - fewer);
            fewer = *at_most;
        }
        let mut full = 1.0 - self.at_most[free][missing - 1];
        let bins = &mut waits[batch];
        bins[free] += mass * full;
        for (bin, at_most) in bins[free..=latest].iter_mut().zip(&self.at_most[free..=latest]).skip(1) {
            let now = 1.0 - at_most[missing - 1];
            *bin += mass * (now - full);
            full = now;
        }
    }

    /// Returns the waits of requests that find the fast replica busy, and how many those are in a batch's time, also of waits
    /// beyond the grid. Requests count by the batches that wait before them: `odds`, the last standing for all more.
    pub fn busy(&self, chain: &Chain, odds: &[f64]) -> (Waits, f64) {
        let mut queue = Queue::new(self, odds);
        for (index, p) in chain.partial.iter().enumerate().filter(|(_, p)| **p > LEAST) {
            for &(ms, q) in &self.lane.times[index] {
                queue.during(&[*p], ms, q, FEW_POINTS);
            }
        }
        for &(ms, q) in self.lane.full() {
            queue.during(&chain.left, ms, q, POINTS);
        }
        let all = queue.all;
        (queue.served(), all)
    }

    /// Returns the waits of requests that find the fast replica idle, or waiting for companions.
    pub fn idle(&self, chain: &Chain) -> Waits {
        let mut coming = Coming { of: self, waits: self.none(), held: self.none() };
        coming.alone(chain.idle[0][0]);
        for steps in 1..=self.lane.hold_steps() {
            let there = chain.idle.iter().map(|rests| rests[steps]).enumerate().skip(1);
            coming.join(&there.collect::<Vec<_>>(), self.lane.rest_ms(steps));
        }
        coming.settled()
    }

    /// Returns the waits of requests where a replica is always free.
    pub fn undisturbed(&self) -> Waits {
        let mut coming = Coming { of: self, waits: self.none(), held: self.none() };
        coming.alone(1.0);
        coming.settled()
    }
}

/// Who comes while a replica is free.
struct Coming<'a> {
    of: &'a Waiting<'a>,
    waits: Waits,
    /// By place in the batch those that a free replica waits for, by what is left of the hold.
    held: Vec<Bins>,
}

impl Coming<'_> {
    /// Adds a request that comes to an empty queue, and those that join it.
    fn alone(&mut self, mass: f64) {
        let lane = self.of.lane;
        let mut there = Vec::new();
        for (calls, p) in lane.arrivals.numbers() {
            self.placed(calls, lane.hold_ms, mass * p);
            if calls < lane.batch {
                there.push((calls, mass * p));
            }
        }
        self.join(&there, lane.hold_ms);
    }

    /// Adds those that come while so many calls wait for the rest of a hold, each number with its probability.
    fn join(&mut self, there: &[(usize, f64)], rest_ms: f64) {
        let lane = self.of.lane;
        let there: Vec<&(usize, f64)> = there.iter().filter(|(_, mass)| *mass > LEAST).collect();
        let Some(fewest) = there.iter().map(|(calls, _)| *calls).min().filter(|_| rest_ms > 0.0) else { return };
        let joined = |others: usize| others as f64 * lane.arrivals.mean();
        for others in (0..).take_while(|&others| fewest as f64 + joined(others) < lane.batch as f64 - 0.5) {
            for part in 0..PARTS {
                let at = |part: usize| rest_ms * part as f64 / PARTS as f64;
                let (from, to) = (at(part), at(part + 1));
                let comes = lane.arrivals.comes_within(others, to) - lane.arrivals.comes_within(others, from);
                for &&(calls, mass) in &there {
                    let have = calls as f64 + joined(others);
                    if have < lane.batch as f64 - 0.5 && mass * comes > LEAST * LEAST {
                        for (own, p) in lane.arrivals.numbers() {
                            let last = (have + own as f64).round() as usize;
                            self.placed(last, rest_ms - 0.5 * (from + to), mass * comes * p);
                        }
                    }
                }
            }
        }
    }

    /// Adds a request whose last call has this number in the queue, free replicas taking the batches before its own.
    fn placed(&mut self, number: usize, rest_ms: f64, mass: f64) {
        let lane = self.of.lane;
        let (ahead, place) = ((number - 1) / lane.batch, (number - 1) % lane.batch + 1);
        if ahead == 0 && place < lane.batch {
            self.held[place][self.of.grid.nearest(rest_ms)] += mass;
            return;
        }
        let rounds = (ahead / lane.servers) as f64 * lane.station.full().mean_ms();
        self.of.settle(&mut self.waits, place, rounds, lane.hold_ms, mass);
    }

    fn settled(mut self) -> Waits {
        for (place, rests) in self.held.iter().enumerate() {
            for (rest, mass) in rests.iter().enumerate().filter(|(_, mass)| **mass > 0.0) {
                self.of.settle_steps(&mut self.waits, place, 0, rest, *mass);
            }
        }
        self.waits
    }
}

/// Who waits behind a busy replica, by the batches ahead.
struct Queue<'a> {
    of: &'a Waiting<'a>,
    odds: &'a [f64],
    /// Requests that came.
    all: f64,
    waits: Waits,
    /// With no batch ahead and a batch of one: only what is left of the call is waited for.
    next: f64,
    /// With a few batches ahead, by place in the own batch: what is left of the call.
    near: Vec<Waits>,
    /// With more ahead.
    far: Vec<Bins>,
}

impl<'a> Queue<'a> {
    fn new(of: &'a Waiting<'a>, odds: &'a [f64]) -> Self {
        Self { of, odds, all: 0.0, waits: of.none(), next: 0.0, near: vec![of.none(); FAR], far: Vec::new() }
    }

    /// Returns how much a request counts before which so many calls wait.
    fn odds(&self, calls: usize) -> f64 {
        self.odds[(calls / self.of.lane.batch).min(self.odds.len() - 1)]
    }

    /// Adds those that come during a batch of such a time, which left so many calls behind.
    fn during(&mut self, left: &[f64], ms: f64, p: f64, points: usize) {
        let lane = self.of.lane;
        for point in 0..points {
            let past = ms * (point as f64 + 0.5) / points as f64;
            let weight = p * lane.arrivals.rate * ms / points as f64;
            let came = lane.arrivals.counts(past, left.len() + 2 * lane.batch + 4000);
            let mut ahead = vec![0.0; left.len() + came.len() - 1];
            for (number, p) in left.iter().enumerate() {
                ahead[number..].iter_mut().zip(&came).for_each(|(sum, q)| *sum += p * q);
            }
            ahead.iter_mut().enumerate().for_each(|(number, mass)| *mass *= self.odds(number));
            self.all += weight * ahead.iter().sum::<f64>();
            for (calls, q) in lane.arrivals.numbers() {
                for (number, mass) in ahead.iter().enumerate() {
                    self.join(number + calls - 1, ms - past, weight * q * mass);
                }
                // The hold only matters to the batch that is next.
                for (number, p) in left.iter().enumerate().take(lane.batch) {
                    for (more, r) in came.iter().enumerate().take((lane.batch + 1).saturating_sub(number + calls)) {
                        let place = number + more + calls;
                        let mass = weight * q * p * r * self.odds(number + more);
                        self.held(number, more, place, (past, ms - past), mass);
                    }
                }
            }
        }
    }

    /// Adds a request with so many calls before its last one to the batches that it waits for, unless it is in the next.
    fn join(&mut self, before: usize, rest: f64, mass: f64) {
        let batch = self.of.lane.batch;
        let (ahead, place) = (before / batch, before % batch + 1);
        if ahead == 0 || mass < LEAST * LEAST {
            return;
        }
        let bins = if ahead < FAR {
            &mut self.near[ahead][place]
        } else {
            if self.far.len() <= ahead {
                self.far.resize(ahead + 1, Vec::new());
            }
            let bins = &mut self.far[ahead];
            if bins.is_empty() {
                *bins = self.of.grid.empty();
            }
            bins
        };
        self.of.grid.put(bins, rest, mass);
    }

    /// Adds a request of the next batch: `left` calls were left when the replica began, `more` came since.
    fn held(&mut self, left: usize, more: usize, place: usize, (past, rest): (f64, f64), mass: f64) {
        let lane = self.of.lane;
        if lane.batch == 1 {
            self.next += mass;
            return;
        }
        if mass < LEAST * LEAST {
            return;
        }
        let mut settle = |age: f64, mass: f64| {
            self.of.settle(&mut self.waits, place, rest, (lane.hold_ms - age).max(0.0), mass);
        };
        match (left, more) {
            _ if place == lane.batch || !lane.holds() => settle(lane.hold_ms, mass),
            (0, 0) => settle(0.0, mass),
            (0, _) => oldest(more as f64 / lane.arrivals.mean(), AGES)
                .for_each(|part| settle(part * past, mass / AGES as f64)),
            _ => settle(past + lane.arrivals.age_ms(left), mass),
        }
    }

    /// Returns the waits, the batches ahead of everybody having been served.
    fn served(mut self) -> Waits {
        let (lane, grid) = (self.of.lane, self.of.grid);
        self.first_free();
        for ahead in 1..FAR {
            for place in 1..=lane.batch {
                let mut bins = std::mem::take(&mut self.near[ahead][place]);
                if bins.iter().sum::<f64>() < LEAST {
                    continue;
                }
                for _ in 0..ahead {
                    bins = grid.sum(&bins, lane.full());
                }
                let age = (place as f64 - lane.arrivals.mean()).max(0.0) / (lane.arrivals.mean() * lane.arrivals.rate);
                let rest = (lane.hold_ms - age).max(0.0);
                let rest = grid.nearest(rest);
                for (step, mass) in bins.iter().enumerate().filter(|(_, mass)| **mass > LEAST * LEAST) {
                    if place < lane.batch {
                        self.of.settle_steps(&mut self.waits, place, step, rest, *mass);
                    } else {
                        self.waits[place][step] += mass;
                    }
                }
            }
        }
        // From the back to the front, one batch at a time.
        let mut behind = grid.empty();
        for bins in self.far.iter().rev() {
            let served = if behind.iter().any(|p| *p > 0.0) { grid.sum(&behind, lane.full()) } else { behind };
            behind = served;
            behind.iter_mut().zip(bins).for_each(|(sum, p)| *sum += p);
        }
        self.waits[lane.batch].iter_mut().zip(&behind).for_each(|(sum, p)| *sum += p);
        self.waits
    }

    /// Adds those that only wait until the first of several busy replicas is free: the least of as many residual times.
    fn first_free(&mut self) {
        let law = self.of.lane.station.full();
        let servers = self.of.lane.servers as f64;
        let tail = |ms: f64| {
            let beyond: f64 = law.atoms().iter().map(|&(t, p)| p * (t - ms).max(0.0)).sum();
            (beyond / law.mean_ms()).powf(servers)
        };
        let mut before = 1.0;
        for (step, bin) in self.waits[1].iter_mut().enumerate() {
            if self.next == 0.0 || before == 0.0 {
                break;
            }
            let after = tail(self.of.grid.step_ms * (step as f64 + 0.5));
            *bin += self.next * (before - after);
            before = after;
        }
    }
}
