//! Measuring less: which points to measure next, and when what is left is predicted well enough.
//!
//! ```text
//! first wave ──▶ Surface ──▶ is the median point that is left predicted within the asked error? ──▶ stop
//!                  ▲                               │ no
//!                  └───────── next wave ◀──────────┘
//! ```
//!
//! The next point is the one that takes most doubt off all points for the time it costs (active learning after Cohn,
//! Ghahramani and Jordan 1996), where doubt is what a standard deviation exceeds the asked error by. Two checks keep the
//! surface honest:
//!
//! - some points, drawn by chance, are measured in the first wave, and kept from the surface: as long as their
//!   median error is above the asked one by more than chance explains, measuring goes on;
//! - every other point is predicted before it is measured, and by as much as predictions miss more than they said, all
//!   doubt is raised.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::block::Key;
use super::surface::{Doubt, Predicted, Seen, Spot, Surface};
use crate::units::{Millis, Share};

/// Points measured only to judge: one of so many of the grid, and no fewer than [`FEWEST_JUDGES`].
const GRID_PER_JUDGE: usize = 32;
/// Fewest points measured only to judge.
const FEWEST_JUDGES: usize = 6;
/// Seed of their draw.
const SEED: u64 = 42;
/// Points of a wave: one of so many of the grid, for each round of predicting and opening models costs time too.
const GRID_PER_WAVE: usize = 40;
/// Points predicted first below which it is not known how well predictions do.
const FEWEST_FORETOLD: usize = 6;
/// How much less sure predictions are taken to be until that is known.
const UNKNOWN_CALIBRATION: f64 = 1.5;
/// What opening a model, warming up and probing the host cost, in milliseconds.
const OVERHEAD_MS: f64 = 20.0;
/// The median of |x| for x normal with standard deviation 1.
const MEDIAN_MISS: f64 = 0.674_489_750_196_082;
/// Standard error of the median of n such |x|, relative to it and times √n: 1 ÷ (2 × density at the median × median).
const MEDIAN_ERROR: f64 = 1.166;

/// When to stop, and what a point costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Aim {
    /// Relative error within which the median of points not measured is to be predicted.
    pub error: Share,
    /// Largest time of the calls of one point.
    pub budget: Millis,
    /// Calls of a point where the budget allows.
    pub calls: u32,
}

/// How the surface predicts points that were drawn by chance, measured, and kept from it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct HeldOut {
    /// Points held out.
    pub points: usize,
    /// Median of |predicted ÷ measured − 1|.
    pub median: f64,
    /// Mean of the same.
    pub mean: f64,
    /// Largest.
    pub worst: f64,
}

/// A point that was not measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeftOut {
    /// Which.
    pub spot: Spot,
    /// What it is taken for; its spread is calibrated.
    pub predicted: Predicted,
}

/// What measuring less came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Points measured.
    pub measured: usize,
    /// Points that were not, in the order of the grid.
    pub left_out: Vec<LeftOut>,
    /// Errors seen on points that were held out.
    pub held_out: HeldOut,
    /// Root mean square error, in predicted standard deviations, of all points that were predicted before they counted;
    /// standard deviations are multiplied by it where it is above 1.
    pub calibration: f64,
    /// Median error to expect of the points that were not measured.
    pub expected_error: f64,
}

/// Chooses what to measure, wave by wave. The same measurements give the same choices.
#[derive(Debug, Clone)]
pub struct Chooser {
    grid: Vec<Spot>,
    aim: Aim,
    /// Predictions of every point, made before it was measured.
    foretold: BTreeMap<Spot, Predicted>,
    /// Predicted and measured median of points that were predicted first.
    judged: BTreeMap<Spot, (Predicted, f64)>,
    /// Points that are measured only to judge; drawn with the first wave.
    judges: Vec<Spot>,
    /// Predicted and measured median of those, after the last look.
    verdicts: Vec<(Predicted, f64)>,
}

impl Chooser {
    /// Returns a chooser over the full grid.
    #[must_use]
    pub fn new(grid: &[Spot], aim: Aim) -> Self {
        Self {
            grid: grid.to_vec(),
            aim,
            foretold: BTreeMap::new(),
            judged: BTreeMap::new(),
            judges: Vec::new(),
            verdicts: Vec::new(),
        }
    }

    /// Returns what to measure next; nothing once the rest is predicted within the asked error.
    ///
    /// `relevance` says how much a point counts, 0 for one that no plan could use: such a point is never chosen, and how
    /// well it is predicted does not matter.
    pub fn next(&mut self, measured: &[Seen], relevance: &dyn Fn(Spot) -> f64) -> Vec<Spot> {
        self.judge(measured);
        let mut first = self.first_wave(measured, relevance);
        if !first.is_empty() {
            self.judges = self.draw(measured, &first, relevance);
            first.extend(&self.judges);
            return first;
        }
        let Some(surface) = self.look(measured) else { return Vec::new() };
        let left: Vec<usize> =
            self.left(measured).into_iter().filter(|&index| relevance(self.grid[index]) > 0.0).collect();
        let asked = self.aim.error.get();
        let held_out = self.held_out();
        // So few points tell their median error within a standard error of 1.17 ÷ √n of it, if errors are normal.
        let refuted = held_out.median > asked * (1.0 + MEDIAN_ERROR / (held_out.points.max(1) as f64).sqrt());
        let is_enough = self.expected_error(&left) <= asked && !refuted;
        if is_enough && self.judged.len() >= FEWEST_FORETOLD {
            return Vec::new();
        }
        self.most_telling(surface.doubt(), left, relevance)
    }

    /// Says what is predicted of the points that were not measured, and how well.
    pub fn outcome(&mut self, measured: &[Seen]) -> Outcome {
        self.judge(measured);
        let _surface = self.look(measured);
        let left = self.left(measured);
        let calibration = self.calibration();
        let left_out = left.iter().filter_map(|&index| {
            let predicted = *self.foretold.get(&self.grid[index])?;
            let spread = predicted.spread * calibration;
            Some(LeftOut { spot: self.grid[index], predicted: Predicted { spread, ..predicted } })
        });
        Outcome {
            measured: self.grid.len() - left.len(),
            left_out: left_out.collect(),
            held_out: self.held_out(),
            calibration,
            expected_error: self.expected_error(&left),
        }
    }

    /// Returns by what standard deviations are to be multiplied for predictions to be as sure as they say, at least 1.
    #[must_use]
    pub fn calibration(&self) -> f64 {
        if self.judged.len() < FEWEST_FORETOLD {
            return UNKNOWN_CALIBRATION;
        }
        let all = self.judged.values().chain(&self.verdicts);
        let squares: Vec<f64> =
            all.map(|(predicted, truth)| ((predicted.median_ms / truth).ln() / predicted.spread).powi(2)).collect();
        (squares.iter().sum::<f64>() / squares.len() as f64).sqrt().max(1.0)
    }

    /// Takes down how points that were foretold came out.
    fn judge(&mut self, measured: &[Seen]) {
        for point in measured {
            if let Some(predicted) = self.foretold.remove(&point.spot) {
                self.judged.insert(point.spot, (predicted, point.median_ms));
            }
        }
    }

    /// Foretells all points that are left and those that judge, from all others.
    fn look(&mut self, measured: &[Seen]) -> Option<Surface> {
        let (judges, seen): (Vec<Seen>, Vec<Seen>) =
            measured.iter().partition(|point| self.judges.contains(&point.spot));
        let surface = Surface::of(&seen, &self.grid)?;
        let mut predictions: BTreeMap<Spot, Predicted> = surface.predictions().into_iter().collect();
        let verdict = |judge: &Seen| Some((*predictions.get(&judge.spot)?, judge.median_ms));
        self.verdicts = judges.iter().filter_map(verdict).collect();
        predictions.retain(|spot, _| measured.iter().all(|point| point.spot != *spot));
        self.foretold = predictions;
        Some(surface)
    }

    fn left(&self, measured: &[Seen]) -> Vec<usize> {
        let is_left = |index: &usize| measured.iter().all(|point| point.spot != self.grid[*index]);
        (0..self.grid.len()).filter(is_left).collect()
    }

    /// Returns the smallest configuration of every variant, which is cheap and says how heavy it is, and the largest of
    /// every other one, which says what batches and cores are worth in this family.
    fn first_wave(&self, measured: &[Seen], relevance: &dyn Fn(Spot) -> f64) -> Vec<Spot> {
        let mut variants: Vec<usize> = self.grid.iter().map(|spot| spot.0).collect();
        variants.dedup();
        let mut wave = Vec::new();
        for (place, variant) in variants.into_iter().enumerate() {
            let own: Vec<Spot> =
                self.grid.iter().filter(|spot| spot.0 == variant && relevance(**spot) > 0.0).copied().collect();
            let small = own.iter().copied().min_by_key(|spot| spot.1);
            let large = own.iter().copied().max_by_key(|spot| spot.1).filter(|_| place % 2 == 0);
            wave.extend(small.into_iter().chain(large.filter(|spot| Some(*spot) != small)));
        }
        // Only where nothing of this variant is known yet: a measurement that goes on needs no beginning.
        wave.retain(|spot| measured.iter().all(|point| point.spot.0 != spot.0));
        wave
    }

    /// Draws the points that are measured only to judge from those that matter and are not in the first wave.
    fn draw(&self, measured: &[Seen], first: &[Spot], relevance: &dyn Fn(Spot) -> f64) -> Vec<Spot> {
        let others = self.left(measured).into_iter().map(|index| self.grid[index]);
        let mut others: Vec<Spot> = others.filter(|spot| !first.contains(spot) && relevance(*spot) > 0.0).collect();
        let wanted = (self.grid.len() / GRID_PER_JUDGE).max(FEWEST_JUDGES).min(others.len() / 4);
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        for place in 0..wanted {
            let chosen = place + (rng.next_u64() % (others.len() - place) as u64) as usize;
            others.swap(place, chosen);
        }
        others.truncate(wanted);
        others
    }

    /// Returns the median error to expect of some points of the grid.
    fn expected_error(&self, left: &[usize]) -> f64 {
        let mut spreads: Vec<f64> =
            left.iter().filter_map(|&index| Some(self.foretold.get(&self.grid[index])?.spread)).collect();
        spreads.sort_by(f64::total_cmp);
        spreads.get(spreads.len() / 2).map_or(0.0, |median| self.calibration() * MEDIAN_MISS * median)
    }

    fn held_out(&self) -> HeldOut {
        let miss = |(predicted, truth): &(Predicted, f64)| (predicted.median_ms / truth - 1.0).abs();
        let mut misses: Vec<f64> = self.verdicts.iter().map(miss).collect();
        misses.sort_by(f64::total_cmp);
        let Some(&worst) = misses.last() else { return HeldOut::default() };
        let count = misses.len() as f64;
        HeldOut {
            points: misses.len(),
            median: misses[misses.len() / 2],
            mean: misses.iter().sum::<f64>() / count,
            worst,
        }
    }

    /// Returns a wave, greedily: each point as if those before it were measured.
    fn most_telling(&self, mut doubt: Doubt, mut left: Vec<usize>, relevance: &dyn Fn(Spot) -> f64) -> Vec<Spot> {
        let mut wave = Vec::new();
        for _ in 0..self.grid.len().div_ceil(GRID_PER_WAVE) {
            let worth = |&index: &usize| self.relief(&doubt, &left, index, relevance) / self.cost_ms(index);
            // The first of equals, for the sake of the same choice every time.
            let best = left.iter().map(|index| (worth(index), *index)).reduce(|a, b| if b.0 > a.0 { b } else { a });
            let Some((_, index)) = best else { break };
            doubt.measure(index);
            left.retain(|other| *other != index);
            wave.push(self.grid[index]);
        }
        wave
    }

    /// Returns how much doubt measuring a point takes off all that are left.
    fn relief(&self, doubt: &Doubt, left: &[usize], measured: usize, relevance: &dyn Fn(Spot) -> f64) -> f64 {
        let calibration = self.calibration();
        let beyond = |variance: f64| (calibration * variance.sqrt() - self.aim.error.get()).max(0.0);
        let of = |&index: &usize| {
            let after = if index == measured { 0.0 } else { beyond(doubt.variance_after(index, measured)) };
            relevance(self.grid[index]) * (beyond(doubt.variance(index)) - after)
        };
        left.iter().map(of).sum()
    }

    fn cost_ms(&self, index: usize) -> f64 {
        let call = self.foretold.get(&self.grid[index]).map_or(0.0, |predicted| predicted.median_ms);
        OVERHEAD_MS + self.aim.budget.get().min(f64::from(self.aim.calls) * call)
    }
}

/// Returns every variant × cores × batch × co-runners, in that order.
#[must_use]
pub fn full_grid(variants: usize, cores: &[u32], batches: &[u32], co_runners: &[u32]) -> Vec<Spot> {
    let mut grid = Vec::new();
    for variant in 0..variants {
        for &cores in cores {
            for &batch in batches {
                grid.extend(co_runners.iter().map(|&co_runners| (variant, Key { cores, batch, co_runners })));
            }
        }
    }
    grid
}
