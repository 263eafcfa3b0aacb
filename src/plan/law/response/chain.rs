//! What a replica leaves behind each time it begins a batch: a Markov chain, solved.
//!
//! States are the sizes of batches that took all there was, and the calls left over by full ones. Beyond four batches
//! leftovers fade geometrically, as they do in the limit: with z > 1 where z^b = E z^A, A being the calls that come during a
//! full batch. One state stands for all of those.

use super::Station;
use super::arrivals::Arrivals;
use super::atoms::{ROUGH, USUAL, few};

/// Steps in which what is left of a hold is known.
const HOLD_STEPS: usize = 24;
/// Most leftovers that have a state of their own because a rare long batch leaves so many; elimination takes the cube of it.
const MOST_NEAR: usize = 192;
/// Most leftovers that are looked at.
const MOST_LEFT: usize = 4000;
/// Least probability that is looked at.
pub const LEAST: f64 = 1e-9;
/// Points that stand for the age of the oldest of calls that came during a batch.
const AGES: usize = 4;

/// A lane as the chain sees it: one replica that is as fast as all of them together.
pub struct Lane<'a> {
    pub arrivals: Arrivals,
    pub batch: usize,
    pub hold_ms: f64,
    pub servers: usize,
    pub station: &'a Station,
    /// Of every batch size, the times of the fast replica.
    pub times: Vec<Vec<(f64, f64)>>,
}

/// The chain, solved: probabilities are per batch begun.
pub struct Chain {
    /// Of batches that took all there was and were not full, by size from 1.
    pub partial: Vec<f64>,
    /// Of full batches, by the number of calls that they left.
    pub left: Vec<f64>,
    /// Of the number of calls that wait when the replica is free and may not begin, and the steps left of their hold.
    pub idle: Vec<Vec<f64>>,
}

impl<'a> Lane<'a> {
    pub fn of(station: &'a Station) -> Self {
        let batch = station.services.len();
        let fast = |(index, law)| {
            let cuts = if index + 1 == batch { USUAL } else { ROUGH };
            few(law, cuts).into_iter().map(|(ms, p)| (ms / f64::from(station.servers), p)).collect()
        };
        Self {
            arrivals: station.arrivals(),
            batch,
            hold_ms: if batch > 1 { station.hold_ms } else { 0.0 },
            servers: station.servers as usize,
            times: station.services.iter().enumerate().map(fast).collect(),
            station,
        }
    }

    /// Returns the times of a full batch.
    pub fn full(&self) -> &[(f64, f64)] {
        &self.times[self.batch - 1]
    }

    pub fn holds(&self) -> bool {
        self.hold_ms > 0.0
    }

    /// Returns the steps of the hold, the last being all of it.
    pub fn hold_steps(&self) -> usize {
        if self.holds() { HOLD_STEPS } else { 0 }
    }

    /// Returns what so many steps of the hold take.
    pub fn rest_ms(&self, steps: usize) -> f64 {
        if self.holds() { self.hold_ms * steps as f64 / HOLD_STEPS as f64 } else { 0.0 }
    }

    /// Returns how many calls come during the longest batch.
    fn come_during_the_longest(&self) -> usize {
        let longest = self.full().iter().map(|time| time.0).fold(0.0, f64::max);
        (self.arrivals.rate * self.arrivals.mean() * longest).ceil() as usize
    }

    /// Returns the factor by which leftovers fade in the limit.
    fn fade(&self) -> f64 {
        let excess = |z: f64| {
            let calls: f64 = self.arrivals.numbers().map(|(calls, p)| p * z.powf(calls as f64)).sum();
            let come: f64 = self.full().iter().map(|(ms, p)| p * (self.arrivals.rate * ms * (calls - 1.0)).exp()).sum();
            come.ln() - self.batch as f64 * z.ln()
        };
        let (mut low, mut high) = (1.0, 2.0);
        while excess(high) < 0.0 {
            high *= 2.0;
        }
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if excess(middle) < 0.0 { low = middle } else { high = middle }
        }
        1.0 / high
    }
}

impl Chain {
    /// Solves the chain of a lane whose replicas are not all busy for ever.
    pub fn of(lane: &Lane<'_>) -> Self {
        let most_calls = lane.arrivals.numbers().map(|number| number.0).max().unwrap_or(1);
        let builder = Builder {
            lane,
            near: (4 * lane.batch).max(4 * most_calls).max(24).max(lane.come_during_the_longest().min(MOST_NEAR)),
            came: lane
                .times
                .iter()
                .map(|of| of.iter().map(|time| lane.arrivals.counts(time.0, MOST_LEFT)).collect())
                .collect(),
            within: (0..=lane.hold_steps())
                .map(|steps| lane.arrivals.counts(lane.rest_ms(steps), lane.batch))
                .collect(),
        };
        let beyond = fading(lane.fade());
        let states: Vec<(usize, Vec<(usize, f64)>)> = builder.states(&beyond);
        let (rows, idles): (Vec<_>, Vec<_>) = states.iter().map(|(size, left)| builder.row(*size, left)).unzip();
        let often = stationary(rows);
        let mut idle = vec![vec![0.0; lane.hold_steps() + 1]; lane.batch];
        for (p, of) in often.iter().zip(&idles) {
            for (sum, of) in idle.iter_mut().flatten().zip(of.iter().flatten()) {
                *sum += p * of;
            }
        }
        let (partial, full) = often.split_at(lane.batch - 1);
        let (near, last) = full.split_at(builder.near);
        let left = near.iter().copied().chain(beyond.iter().map(|p| last[0] * p)).collect();
        Self { partial: partial.to_vec(), left, idle }
    }
}

/// Returns how leftovers beyond a number are spread.
fn fading(fade: f64) -> Vec<f64> {
    let terms: Vec<f64> =
        std::iter::successors(Some(1.0), |p| Some(p * fade)).take_while(|p| *p > 1e-6).take(MOST_LEFT).collect();
    let sum: f64 = terms.iter().sum();
    terms.into_iter().map(|p| p / sum).collect()
}

struct Builder<'a> {
    lane: &'a Lane<'a>,
    /// Leftovers that have a state of their own are fewer than this.
    near: usize,
    /// For each size and each of its times the law of calls that come during it.
    came: Vec<Vec<Vec<f64>>>,
    /// For each rest of the hold the law of calls that come during it.
    within: Vec<Vec<f64>>,
}

impl Builder<'_> {
    /// Returns the size and the leftovers of each state.
    fn states(&self, beyond: &[f64]) -> Vec<(usize, Vec<(usize, f64)>)> {
        let partial = (1..self.lane.batch).map(|size| (size, vec![(0, 1.0)]));
        let full = (0..self.near).map(|left| (self.lane.batch, vec![(left, 1.0)]));
        let last = beyond.iter().enumerate().map(|(more, p)| (self.near + more, *p)).collect();
        partial.chain(full).chain([(self.lane.batch, last)]).collect()
    }

    fn full_with(&self, left: usize) -> usize {
        self.lane.batch - 1 + left.min(self.near)
    }

    /// Returns where a state leads to, and how it lets the replica be idle.
    fn row(&self, size: usize, left: &[(usize, f64)]) -> (Vec<f64>, Vec<Vec<f64>>) {
        let batch = self.lane.batch;
        let mut row = vec![0.0; self.full_with(self.near) + 1];
        let mut idle = vec![vec![0.0; self.lane.hold_steps() + 1]; batch];
        for (&(ms, p), came) in self.lane.times[size - 1].iter().zip(&self.came[size - 1]) {
            for &(left, part) in left {
                // From so far the next batch is full and leaves too many to tell apart.
                if left >= batch + self.near {
                    row[self.full_with(self.near)] += p * part;
                    continue;
                }
                for (more, q) in came.iter().enumerate() {
                    let mass = p * part * q;
                    match left + more {
                        there if there >= batch => row[self.full_with(there - batch)] += mass,
                        there => self.waits(&mut idle[there], left, more, ms, mass),
                    }
                }
            }
        }
        self.begins(&mut row, &idle);
        let sum: f64 = row.iter().sum();
        row.iter_mut().for_each(|p| *p /= sum);
        (row, idle)
    }

    /// Tells how long those may still be held that wait when a batch is done.
    fn waits(&self, rests: &mut [f64], left: usize, more: usize, ms: f64, mass: f64) {
        let lane = self.lane;
        if !lane.holds() || left + more == 0 {
            rests[0] += mass;
            return;
        }
        let mut rest = |age: f64, mass: f64| {
            let at = (lane.hold_ms - age).max(0.0) / lane.hold_ms * HOLD_STEPS as f64;
            let low = (at as usize).min(HOLD_STEPS - 1);
            rests[low] += mass * (1.0 - (at - low as f64));
            rests[low + 1] += mass * (at - low as f64);
        };
        if left > 0 {
            rest(ms + lane.arrivals.age_ms(left), mass);
            return;
        }
        oldest(more as f64 / lane.arrivals.mean(), AGES).for_each(|part| rest(part * ms, mass / AGES as f64));
    }

    /// Adds the batches that begin after the replica was idle.
    fn begins(&self, row: &mut [f64], idle: &[Vec<f64>]) {
        let batch = self.lane.batch;
        for (calls, p) in self.lane.arrivals.numbers() {
            let mass = p * idle[0][0];
            if calls >= batch {
                row[self.full_with(calls - batch)] += mass;
            } else {
                self.joined(row, calls, self.lane.hold_steps(), mass);
            }
        }
        for (there, rests) in idle.iter().enumerate().skip(1) {
            rests.iter().enumerate().for_each(|(rest, mass)| self.joined(row, there, rest, *mass));
        }
    }

    fn joined(&self, row: &mut [f64], there: usize, rest: usize, mass: f64) {
        let mut left = mass;
        for (more, p) in self.within[rest].iter().enumerate().take(self.lane.batch - there) {
            row[there + more - 1] += mass * p;
            left -= mass * p;
        }
        row[self.full_with(0)] += left.max(0.0);
    }
}

/// Returns the age of the oldest of some that came at random during a time, as a part of it: points of equal weight.
pub fn oldest(count: f64, points: usize) -> impl Iterator<Item = f64> {
    (0..points).map(move |point| ((point as f64 + 0.5) / points as f64).powf(1.0 / count))
}

/// Returns how often a chain is in each state (Grassmann, Taksar and Heyman's elimination, which subtracts nothing).
fn stationary(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    for last in (1..rows.len()).rev() {
        let (before, from) = rows.split_at_mut(last);
        let row = &from[0][..last];
        let leaves: f64 = row.iter().sum();
        for to in before {
            let part = to[last] / leaves;
            to[last] = part;
            if part > 0.0 {
                to.iter_mut().zip(row).for_each(|(to, p)| *to += part * p);
            }
        }
    }
    let mut often = vec![1.0];
    for state in 1..rows.len() {
        often.push(often.iter().zip(&rows).map(|(p, row)| p * row[state]).sum());
    }
    let sum: f64 = often.iter().sum();
    often.into_iter().map(|p| p / sum).collect()
}
