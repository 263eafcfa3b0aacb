//! The search over placements: how many devices of each kind hold which pattern.
//!
//! Where the vectors of counts are few enough all are scored, each exactly ([`super::envelope`]): the answer is proved.
//! Beyond that devices are moved from pattern to pattern while it helps, and a bound says how much better any placement could
//! be: every cascade carries at most what it would on devices that all hold what is best for it alone.

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::envelope::{self, EnvelopeStep, LoadShares};
use super::placement::{Rated, Slot, used};
use crate::base::rounding::SUMS;
use crate::base::units::Accuracy;
use crate::optimize::fleet::fleets;
use crate::problem::{GoalKind, Problem};

/// Vectors of counts that are scored one by one.
const MOST_VECTORS: f64 = 1e6;
/// Cascades times vectors that are scored one by one.
pub(in crate::rooms) const MOST_SCORES: f64 = 3e8;

/// What to make best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::rooms) enum PlacementAim {
    /// The lowest price with at least this accuracy over requests; among equals fewer devices, then the more accurate.
    Cheapest {
        /// The least accuracy over requests.
        accuracy_at_least: f64,
    },
    /// The highest accuracy over requests; among equals the lower price, then fewer devices.
    MostAccurate,
}

impl PlacementAim {
    /// Returns what a problem's goal makes best where a placement decides it.
    pub(in crate::rooms) fn from_goal(problem: &Problem) -> Self {
        match problem.goal.kind {
            GoalKind::Cheapest => {
                Self::Cheapest { accuracy_at_least: problem.goal.mean_accuracy_at_least.map_or(0.0, Accuracy::get) }
            }
            _ => Self::MostAccurate,
        }
    }
}

/// What is searched.
pub(in crate::rooms) struct PlacementSearch<'a> {
    /// Cascades in falling order of accuracy.
    pub rated: &'a [Rated],
    /// Patterns of devices.
    pub slots: &'a [Slot],
    /// How many devices of each kind there are, and the price of one.
    pub devices: &'a [(u32, f64)],
    /// What must be carried.
    pub load: &'a LoadShares,
    /// Most gears.
    pub gears_at_most: Option<u32>,
    /// What to make best.
    pub aim: PlacementAim,
    /// Cascades times vectors of counts up to which all are scored.
    pub most_scores: f64,
}

/// A placement with its gears.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::rooms) struct FoundPlacement {
    /// Devices of each slot.
    pub counts: Vec<u32>,
    /// The gears.
    pub steps: Vec<EnvelopeStep>,
    /// Price of all devices for an hour.
    pub price: f64,
    /// Accuracy over requests.
    pub accuracy: f64,
    /// What no placement's accuracy over requests exceeds, at the price where that is limited by the aim.
    pub accuracy_bound: f64,
    /// What no placement that keeps all limits falls below.
    pub price_bound: f64,
    /// Whether every placement was scored.
    pub is_exact: bool,
}

/// How good a placement is; larger is better.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
struct Worth(f64, f64, f64);

impl PlacementSearch<'_> {
    /// Returns the best placement; `None` where none was found that keeps all limits.
    pub(in crate::rooms) fn solve(&self) -> Option<FoundPlacement> {
        let is_exact = self.vectors() <= MOST_VECTORS && self.vectors() * self.rated.len() as f64 <= self.most_scores;
        let counts = if is_exact { self.best_of_all() } else { self.climb() }?;
        Some(self.found(counts, is_exact))
    }

    /// Returns the number of vectors of counts.
    fn vectors(&self) -> f64 {
        let patterns = |device: usize| self.slots.iter().filter(|slot| slot.device == device).count();
        let of = |(device, (most, _)): (usize, &(u32, f64))| {
            // C(most + patterns, patterns)
            (1..=patterns(device)).fold(1.0, |product, k| product * f64::from(*most + k as u32) / k as f64)
        };
        self.devices.iter().enumerate().map(of).product()
    }

    fn price(&self, counts: &[u32]) -> f64 {
        self.slots.iter().zip(counts).map(|(slot, &count)| self.devices[slot.device].1 * f64::from(count)).sum()
    }

    fn of_device(&self, counts: &[u32]) -> Vec<u32> {
        let mut sums = vec![0; self.devices.len()];
        for (slot, count) in self.slots.iter().zip(counts) {
            sums[slot.device] += count;
        }
        sums
    }

    /// Returns the accuracy over requests on these devices, with as many gears as the envelope has.
    fn accuracy(&self, counts: &[u32]) -> Option<f64> {
        let (of_device, used) = (self.of_device(counts), used(counts));
        let at_most = |rated: &Rated| rated.at_most(&of_device);
        envelope::accuracy(self.rated, self.load, at_most, |rated| rated.carries_on(&used))
    }

    fn steps(&self, counts: &[u32]) -> Vec<EnvelopeStep> {
        let steps = envelope::steps(self.rated, self.load, |rated| rated.carries(counts));
        envelope::at_most(&steps, self.load, self.gears_at_most)
    }

    fn is_enough(&self, accuracy: f64) -> bool {
        match self.aim {
            PlacementAim::Cheapest { accuracy_at_least } => accuracy >= accuracy_at_least - SUMS,
            PlacementAim::MostAccurate => true,
        }
    }

    fn worth(&self, counts: &[u32], accuracy: f64) -> Option<Worth> {
        let devices = f64::from(counts.iter().sum::<u32>());
        self.is_enough(accuracy).then(|| match self.aim {
            PlacementAim::Cheapest { .. } => Worth(-self.price(counts), -devices, accuracy),
            PlacementAim::MostAccurate => Worth(accuracy, -self.price(counts), -devices),
        })
    }

    fn best_of_all(&self) -> Option<Vec<u32>> {
        let mut counts = vec![0; self.slots.len()];
        let mut best: Option<(Worth, Vec<u32>)> = None;
        self.every(0, &mut counts, &mut best);
        best.map(|(_, counts)| counts)
    }

    /// Scores every vector that agrees with `counts` before `slot`, and keeps the best.
    fn every(&self, slot: usize, counts: &mut Vec<u32>, best: &mut Option<(Worth, Vec<u32>)>) {
        if slot == counts.len() {
            self.consider(counts, best);
            return;
        }
        let device = self.slots[slot].device;
        let taken: u32 = (0..slot).filter(|&other| self.slots[other].device == device).map(|other| counts[other]).sum();
        for count in 0..=self.devices[device].0 - taken {
            counts[slot] = count;
            self.every(slot + 1, counts, best);
        }
        counts[slot] = 0;
    }

    fn consider(&self, counts: &[u32], best: &mut Option<(Worth, Vec<u32>)>) {
        // What is dearer need not be scored.
        if let (PlacementAim::Cheapest { .. }, Some((Worth(price, ..), _))) = (self.aim, &*best)
            && !is_as_good(-self.price(counts), *price)
        {
            return;
        }
        let is_best = |worth: &Worth| best.as_ref().is_none_or(|(other, _)| is_better(*worth, *other));
        let of = |accuracy: f64| self.worth(counts, accuracy).filter(is_best);
        // Fewer gears only lose: what does not win with all of them need not be looked at again.
        let with_all = self.accuracy(counts).and_then(of);
        let worth = match self.gears_at_most {
            Some(_) => with_all.and_then(|_| of(envelope::accuracy_of(&self.steps(counts), self.load))),
            None => with_all,
        };
        if let Some(worth) = worth {
            *best = Some((worth, counts.to_vec()));
        }
    }

    /// Moves devices from pattern to pattern while it helps, for every number of devices of each kind that could do.
    fn climb(&self) -> Option<Vec<u32>> {
        let mut best: Option<(Worth, Vec<u32>)> = None;
        for of_device in self.fleets() {
            if !self.relaxed(&of_device).is_some_and(|bound| self.is_enough(bound)) {
                continue;
            }
            if let Some(counts) = self.climb_within(&of_device) {
                self.consider(&counts, &mut best);
            }
            if matches!(self.aim, PlacementAim::Cheapest { .. }) && best.is_some() {
                break;
            }
        }
        best.map(|(_, counts)| counts)
    }

    /// Returns the numbers of devices of each kind to look at, the cheapest first; all devices where price does not count.
    fn fleets(&self) -> Vec<Vec<u32>> {
        if self.aim == PlacementAim::MostAccurate {
            return vec![self.devices.iter().map(|(most, _)| *most).collect()];
        }
        fleets(self.devices).into_iter().map(|(_, fleet)| fleet).collect()
    }

    fn climb_within(&self, of_device: &[u32]) -> Option<Vec<u32>> {
        // Begin where every kind of device holds one pattern, the best of those.
        let mut starts: Vec<Vec<u32>> = vec![vec![0; self.slots.len()]];
        for (device, &count) in of_device.iter().enumerate() {
            let own: Vec<usize> = (0..self.slots.len()).filter(|&slot| self.slots[slot].device == device).collect();
            let with = |counts: &Vec<u32>, slot: usize| {
                let mut counts = counts.clone();
                counts[slot] = count;
                counts
            };
            starts = starts
                .iter()
                .flat_map(|counts| own.iter().map(|&slot| with(counts, slot)).collect::<Vec<_>>())
                .collect();
        }
        let mut best = starts.into_iter().max_by(|a, b| self.hill(a).total_cmp(&self.hill(b)))?;
        let mut height = self.hill(&best);
        loop {
            let neighbours: Vec<Vec<u32>> = self.neighbours(&best).collect();
            let scored: Vec<(f64, Vec<u32>)> =
                neighbours.into_par_iter().map(|counts| (self.hill(&counts), counts)).collect();
            let better = scored.into_iter().max_by(|a, b| a.0.total_cmp(&b.0));
            match better.filter(|(other, _)| *other > height + SUMS) {
                Some((other, counts)) => (height, best) = (other, counts),
                None => return Some(best),
            }
        }
    }

    fn neighbours<'a>(&'a self, counts: &'a [u32]) -> impl Iterator<Item = Vec<u32>> + 'a {
        let pairs = (0..counts.len()).flat_map(move |from| (0..counts.len()).map(move |to| (from, to)));
        let same = move |&(from, to): &(usize, usize)| {
            from != to && counts[from] > 0 && self.slots[from].device == self.slots[to].device
        };
        pairs.filter(same).map(move |(from, to)| {
            let mut counts = counts.to_vec();
            counts[from] -= 1;
            counts[to] += 1;
            counts
        })
    }

    /// Returns the accuracy over requests, or, where the highest rate is not carried, how far it is from that: below 0.
    fn hill(&self, counts: &[u32]) -> f64 {
        self.accuracy(counts).unwrap_or_else(|| {
            let most = self.rated.iter().map(|rated| rated.carries(counts)).fold(0.0, f64::max);
            most / self.load.max_rps() - 1.0
        })
    }

    /// Returns an accuracy over requests that no placement of so many devices exceeds; `None` where none carries the load.
    fn relaxed(&self, of_device: &[u32]) -> Option<f64> {
        let most = |rated: &Rated| rated.at_most(of_device);
        envelope::accuracy(self.rated, self.load, most, most)
    }

    /// Returns the price below which no fleet can keep all limits, as far as the relaxation tells.
    fn price_bound(&self) -> f64 {
        let enough = |fleet: &&(f64, Vec<u32>)| self.relaxed(&fleet.1).is_some_and(|bound| self.is_enough(bound));
        fleets(self.devices).iter().find(enough).map_or(f64::INFINITY, |(price, _)| *price)
    }

    fn found(&self, counts: Vec<u32>, is_exact: bool) -> FoundPlacement {
        let steps = self.steps(&counts);
        let (accuracy, price) = (envelope::accuracy_of(&steps, self.load), self.price(&counts));
        let (mut accuracy_bound, mut price_bound) = (accuracy, price);
        if !is_exact {
            match self.aim {
                PlacementAim::MostAccurate => {
                    let all: Vec<u32> = self.devices.iter().map(|(most, _)| *most).collect();
                    accuracy_bound = self.relaxed(&all).unwrap_or(accuracy).max(accuracy);
                }
                PlacementAim::Cheapest { .. } => price_bound = self.price_bound().min(price),
            }
        }
        FoundPlacement { counts, steps, price, accuracy, accuracy_bound, price_bound, is_exact }
    }
}

/// Tells whether one placement is worth more than another, rounding aside.
fn is_better(Worth(a, b, c): Worth, Worth(x, y, z): Worth) -> bool {
    for (one, other) in [(a, x), (b, y), (c, z)] {
        match (is_as_good(one, other), is_as_good(other, one)) {
            (true, true) => {}
            (better, _) => return better,
        }
    }
    false
}

/// Tells whether a number is no smaller than another of its unit, rounding aside.
fn is_as_good(one: f64, other: f64) -> bool {
    one >= other - SUMS * other.abs()
}
