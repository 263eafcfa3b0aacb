//! Measuring less: which points to look at next and how closely, and when what is left is known well enough.
//!
//! ```text
//! first wave ──▶ Surface ──▶ is the median point that is left known within the asked error? ──▶ stop
//!                  ▲                               │ no
//!                  └───────── next wave ◀──────────┘
//! ```
//!
//! Points are glimpsed: a few calls, enough for a median. The next glimpse is the one that takes most doubt off all points
//! for the time it costs (active learning after Cohn, Ghahramani and Jordan 1996), where doubt is what a standard deviation
//! exceeds the asked error by. Two checks keep the surface honest:
//!
//! - some points, drawn by chance, are measured in full, and kept from the surface, which has only glimpsed them: as long
//!   as their median error is above the asked one by more than chance explains, or than what their own glimpses differ by
//!   from them, looking goes on, in the end at glimpsed points in full;
//! - every point is predicted before it is looked at, and by as much as predictions miss more than they said, all doubt is
//!   raised, of points that were glimpsed and of those that were not each by its own.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::base::units::{Millis, Share};
use crate::profile::Calibration;
use crate::profile::Key;
use crate::profile::{Doubt, Predicted, Seen, Spot, Surface};

/// Points measured only to judge: one of so many of the grid, and no fewer than [`FEWEST_JUDGES`].
const GRID_PER_JUDGE: usize = 32;
/// Fewest points measured only to judge.
const FEWEST_JUDGES: usize = 6;
/// Seed of their draw.
const SEED: u64 = 42;
/// Most points of a wave: one of so many of the grid; what they show is worth a look before the others.
const GRID_PER_WAVE: usize = 3;
/// Error of the median of a glimpse that is reckoned with before it is taken.
const GLIMPSE_ERROR: f64 = 0.02;
/// Calls of a glimpse, where the budget allows.
const GLIMPSE_CALLS: f64 = 201.0;
/// The same whatever the budget.
const LEAST_GLIMPSE_CALLS: f64 = 7.0;
/// Part of a point's budget that a glimpse may take.
const GLIMPSE_BUDGET: f64 = 1.0 / 60.0;
/// Points predicted first below which it is not known how well predictions do.
const FEWEST_FORETOLD: usize = 6;
/// How much less sure predictions are taken to be until that is known.
const UNKNOWN_CALIBRATION: f64 = 1.5;
/// What starting a process and opening a model cost, in milliseconds.
const VISIT_MS: f64 = 45.0;
/// What asking for a point, its inputs and probing the host cost.
const ASK_MS: f64 = 1.0;
/// Visits of a point that is measured in full.
const VISITS: f64 = 3.0;
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
    /// Median of |glimpsed ÷ measured − 1| of the same points: what the machine differs by from one visit to the next.
    pub visits: f64,
}

/// What to look at next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wave {
    /// Points of which a few calls are made.
    pub glimpsed: Vec<Spot>,
    /// Points that are measured in full.
    pub full: Vec<Spot>,
}

impl Wave {
    /// Tells whether there is nothing more to look at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.glimpsed.is_empty() && self.full.is_empty()
    }

    /// Keeps the points that can be looked at.
    pub fn retain(&mut self, keep: impl Fn(&Spot) -> bool) {
        self.glimpsed.retain(&keep);
        self.full.retain(&keep);
    }
}

/// What was seen so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// Points that were measured in full.
    pub full: Vec<Seen>,
    /// Points that were glimpsed.
    pub glimpsed: Vec<Seen>,
}

impl Known {
    fn is_full(&self, spot: &Spot) -> bool {
        self.full.iter().any(|point| point.spot == *spot)
    }
}

/// A point that was not measured in full.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeftOut {
    /// Which.
    pub spot: Spot,
    /// What it is taken for; its spread is calibrated.
    pub predicted: Predicted,
    /// Whether it was glimpsed.
    pub glimpsed: bool,
}

/// What measuring less came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Points measured in full.
    pub measured: usize,
    /// Points that were not, in the order of the grid.
    pub left_out: Vec<LeftOut>,
    /// Errors seen on points that were held out.
    pub held_out: HeldOut,
    /// By what doubt was raised.
    pub calibration: Calibration,
    /// Median error to expect of the points that were not measured in full.
    pub expected_error: f64,
}

/// A prediction, and what was seen then.
#[derive(Debug, Clone, Copy)]
struct Verdict {
    predicted: Predicted,
    seen: Seen,
}

impl Verdict {
    fn miss(&self) -> f64 {
        (self.predicted.median_ms / self.seen.median_ms - 1.0).abs()
    }

    /// Returns the square of the miss in predicted standard deviations. What was seen has an error of its own, which counts
    /// as the prediction's: bounds are to hold for what a measurement would say.
    fn squared(&self) -> f64 {
        ((self.predicted.median_ms / self.seen.median_ms).ln() / self.predicted.spread).powi(2)
    }
}

/// Chooses what to measure, wave by wave. The same measurements give the same choices.
#[derive(Debug, Clone)]
pub struct Chooser {
    grid: Vec<Spot>,
    aim: Aim,
    /// All glimpses, those of points that were measured in full later among them.
    glimpses: BTreeMap<Spot, Seen>,
    /// Predictions of every point, made before it was looked at more closely.
    foretold: BTreeMap<Spot, Predicted>,
    /// What was predicted of points before they were called at all.
    judged_unseen: BTreeMap<Spot, Verdict>,
    /// What was predicted of glimpsed points before they were measured in full.
    judged_glimpsed: BTreeMap<Spot, Verdict>,
    /// Points that are measured in full only to judge; drawn with the first wave.
    judges: Vec<Spot>,
    /// What is predicted of those from their glimpses and all other points, after the last look.
    verdicts: Vec<Verdict>,
}

impl Chooser {
    /// Returns a chooser over the full grid.
    #[must_use]
    pub fn new(grid: &[Spot], aim: Aim) -> Self {
        Self {
            grid: grid.to_vec(),
            aim,
            glimpses: BTreeMap::new(),
            foretold: BTreeMap::new(),
            judged_unseen: BTreeMap::new(),
            judged_glimpsed: BTreeMap::new(),
            judges: Vec::new(),
            verdicts: Vec::new(),
        }
    }

    /// Returns the first glimpses: of the smallest configuration of every variant, which is cheap and says how heavy it is,
    /// and of the largest of every other one, which says what batches and cores are worth in this family. Nothing for
    /// variants of which something is known: a measurement that goes on needs no beginning.
    #[must_use]
    pub fn begin(&self, known: &Known, relevance: &dyn Fn(Spot) -> f64) -> Wave {
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
        wave.retain(|spot| known.full.iter().chain(&known.glimpsed).all(|point| point.spot.0 != spot.0));
        Wave { glimpsed: wave, full: Vec::new() }
    }

    /// Returns what to look at next; nothing once the rest is known within the asked error.
    ///
    /// `relevance` says how much a point counts, 0 for one that no plan could use: such a point is never chosen, and how
    /// well it is known does not matter.
    pub fn next(&mut self, known: &Known, relevance: &dyn Fn(Spot) -> f64) -> Wave {
        let mut first = self.begin(known, relevance);
        if !first.is_empty() {
            self.judges = self.draw(known, &first.glimpsed, relevance);
            first.glimpsed.extend(&self.judges);
            return first;
        }
        let Some(surface) = self.look(known) else { return Wave::default() };
        let due = |spot: &&Spot| !known.is_full(spot) && relevance(**spot) > 0.0;
        let full: Vec<Spot> = self.judges.iter().filter(due).copied().collect();
        let left: Vec<usize> = self.left(known).into_iter().filter(|&at| relevance(self.grid[at]) > 0.0).collect();
        let unseen: Vec<usize> =
            left.iter().copied().filter(|&at| !self.glimpses.contains_key(&self.grid[at])).collect();
        // Where all is glimpsed, only what was measured in full can say that this is not enough.
        let is_known = unseen.is_empty() || self.expected_error(&left) <= self.most_error();
        let judged = self.judged_unseen.len() + self.judged_glimpsed.len() + self.verdicts.len();
        if is_known && !self.is_refuted() && judged >= FEWEST_FORETOLD {
            return Wave { full, ..Wave::default() };
        }
        if !unseen.is_empty() {
            return Wave { glimpsed: self.most_telling(surface.doubt(), unseen, &left, relevance), full };
        }
        if !full.is_empty() {
            return Wave { full, ..Wave::default() };
        }
        Wave { full: self.most_telling(surface.doubt(), left.clone(), &left, relevance), ..Wave::default() }
    }

    /// Says what is predicted of the points that were not measured in full, and how well.
    pub fn outcome(&mut self, known: &Known) -> Outcome {
        let _surface = self.look(known);
        let left = self.left(known);
        let left_out = left.iter().filter_map(|&index| {
            let (spot, predicted) = (self.grid[index], *self.foretold.get(&self.grid[index])?);
            let spread = predicted.spread * self.raised(&spot);
            let glimpsed = self.glimpses.contains_key(&spot);
            Some(LeftOut { spot, predicted: Predicted { spread, ..predicted }, glimpsed })
        });
        Outcome {
            measured: self.grid.len() - left.len(),
            left_out: left_out.collect(),
            held_out: self.held_out(),
            calibration: self.calibration(),
            expected_error: self.expected_error(&left),
        }
    }

    /// Returns by what standard deviations are to be multiplied for predictions to be as sure as they say, at least 1: the
    /// root mean square of misses in standard deviations.
    #[must_use]
    pub fn calibration(&self) -> Calibration {
        let of = |verdicts: Vec<&Verdict>| {
            if verdicts.len() < FEWEST_FORETOLD {
                return UNKNOWN_CALIBRATION;
            }
            let squares: f64 = verdicts.iter().map(|verdict| verdict.squared()).sum();
            (squares / verdicts.len() as f64).sqrt().max(1.0)
        };
        Calibration {
            glimpsed: of(self.judged_glimpsed.values().chain(&self.verdicts).collect()),
            unseen: of(self.judged_unseen.values().collect()),
        }
    }

    fn raised(&self, spot: &Spot) -> f64 {
        let calibration = self.calibration();
        if self.glimpses.contains_key(spot) { calibration.glimpsed } else { calibration.unseen }
    }

    /// Takes down how points that were foretold came out.
    fn judge(&mut self, known: &Known) {
        for (points, is_full) in [(&known.glimpsed, false), (&known.full, true)] {
            for &seen in points {
                let was_glimpsed = self.glimpses.contains_key(&seen.spot);
                if was_glimpsed && !is_full {
                    continue;
                }
                if let Some(predicted) = self.foretold.remove(&seen.spot) {
                    let judged = if was_glimpsed { &mut self.judged_glimpsed } else { &mut self.judged_unseen };
                    judged.insert(seen.spot, Verdict { predicted, seen });
                }
                if !is_full {
                    self.glimpses.insert(seen.spot, seen);
                }
            }
        }
        // They are judged anew at every look.
        self.judged_glimpsed.retain(|spot, _| !self.judges.contains(spot));
    }

    /// Judges what was foretold, and foretells all points that are left and those that judge, from all others.
    fn look(&mut self, known: &Known) -> Option<Surface> {
        self.judge(known);
        let (judges, mut seen): (Vec<Seen>, Vec<Seen>) =
            known.full.iter().partition(|point| self.judges.contains(&point.spot));
        let full: BTreeSet<Spot> = seen.iter().map(|point| point.spot).collect();
        seen.extend(self.glimpses.values().filter(|glimpse| !full.contains(&glimpse.spot)));
        let surface = Surface::of(&seen, &self.grid)?;
        let mut predictions: BTreeMap<Spot, Predicted> = surface.predictions().into_iter().collect();
        let verdict = |seen: &Seen| Some(Verdict { predicted: *predictions.get(&seen.spot)?, seen: *seen });
        self.verdicts = judges.iter().filter_map(verdict).collect();
        predictions.retain(|spot, _| !known.is_full(spot));
        self.foretold = predictions;
        Some(surface)
    }

    /// Returns the points of the grid that were not measured in full.
    fn left(&self, known: &Known) -> Vec<usize> {
        (0..self.grid.len()).filter(|&index| !known.is_full(&self.grid[index])).collect()
    }

    /// Draws the points that are measured only to judge from those that matter and are not in the first wave.
    fn draw(&self, known: &Known, first: &[Spot], relevance: &dyn Fn(Spot) -> f64) -> Vec<Spot> {
        let others = self.left(known).into_iter().map(|index| self.grid[index]);
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
        let calibration = self.calibration();
        let spread = |&index: &usize| {
            let spot = &self.grid[index];
            let raised = if self.glimpses.contains_key(spot) { calibration.glimpsed } else { calibration.unseen };
            Some(raised * self.foretold.get(spot)?.spread)
        };
        MEDIAN_MISS * median(left.iter().filter_map(spread).collect())
    }

    /// Tells whether points held out are off by more than was asked for and chance explains: so few points tell their
    /// median error within a standard error of 1.17 ÷ √n of it, if errors are normal.
    fn is_refuted(&self) -> bool {
        let held_out = self.held_out();
        held_out.median > self.most_error() * (1.0 + MEDIAN_ERROR / (held_out.points.max(1) as f64).sqrt())
    }

    /// Returns the error that is asked for; on a machine that does not repeat itself as well as that, what it repeats itself
    /// within: measuring more would not tell more.
    fn most_error(&self) -> f64 {
        self.aim.error.get().max(self.held_out().visits)
    }

    fn held_out(&self) -> HeldOut {
        let misses: Vec<f64> = self.verdicts.iter().map(Verdict::miss).collect();
        let Some(worst) = misses.iter().copied().reduce(f64::max) else { return HeldOut::default() };
        let mean = misses.iter().sum::<f64>() / misses.len() as f64;
        let again = |verdict: &Verdict| {
            let glimpse = self.glimpses.get(&verdict.seen.spot)?;
            Some((glimpse.median_ms / verdict.seen.median_ms - 1.0).abs())
        };
        let visits = median(self.verdicts.iter().filter_map(again).collect());
        HeldOut { points: misses.len(), median: median(misses), mean, worst, visits }
    }

    /// Returns a wave among some candidates, greedily, each as if those before it were looked at: until the median point
    /// that is left would be known within the asked error, or so many were chosen that it is time to see.
    fn most_telling(
        &self,
        mut doubt: Doubt,
        mut candidates: Vec<usize>,
        left: &[usize],
        relevance: &dyn Fn(Spot) -> f64,
    ) -> Vec<Spot> {
        let calibration = self.calibration();
        let raised: BTreeMap<usize, f64> = left
            .iter()
            .map(|&index| {
                let glimpsed = self.glimpses.contains_key(&self.grid[index]);
                (index, if glimpsed { calibration.glimpsed } else { calibration.unseen })
            })
            .collect();
        let mut wave: Vec<Spot> = Vec::new();
        let mut visited = BTreeSet::new();
        for _ in 0..self.grid.len().div_ceil(GRID_PER_WAVE) {
            let worth = |&index: &usize| self.relief(&doubt, &raised, index, relevance) / self.cost_ms(index, &visited);
            // The first of equals, for the sake of the same choice every time.
            let best =
                candidates.iter().map(|index| (worth(index), *index)).reduce(|a, b| if b.0 > a.0 { b } else { a });
            let Some((_, index)) = best else { break };
            doubt.measure(index, self.error_at(index));
            candidates.retain(|other| *other != index);
            visited.insert(self.grid[index].0);
            wave.push(self.grid[index]);
            let spreads = raised.iter().map(|(&index, raised)| raised * doubt.variance(index).sqrt());
            if MEDIAN_MISS * median(spreads.collect()) <= self.aim.error.get() {
                break;
            }
        }
        wave
    }

    /// Returns how much doubt looking at a point takes off all that are left.
    fn relief(
        &self,
        doubt: &Doubt,
        raised: &BTreeMap<usize, f64>,
        looked_at: usize,
        relevance: &dyn Fn(Spot) -> f64,
    ) -> f64 {
        let error = self.error_at(looked_at);
        let of = |(&index, raised): (&usize, &f64)| {
            let beyond = |variance: f64| (raised * variance.sqrt() - self.aim.error.get()).max(0.0);
            let after = if index == looked_at { 0.0 } else { beyond(doubt.variance_after(index, looked_at, error)) };
            relevance(self.grid[index]) * (beyond(doubt.variance(index)) - after)
        };
        raised.iter().map(of).sum()
    }

    /// Returns the error of what the next look at a point sees: that of a glimpse, and nothing once it was glimpsed.
    fn error_at(&self, index: usize) -> f64 {
        if self.glimpses.contains_key(&self.grid[index]) { 0.0 } else { GLIMPSE_ERROR }
    }

    /// Returns what the next look at a point costs, where some variants are visited anyway.
    fn cost_ms(&self, index: usize, visited: &BTreeSet<usize>) -> f64 {
        let spot = self.grid[index];
        let call = self.foretold.get(&spot).map_or(0.0, |predicted| predicted.median_ms).max(1e-6);
        let visit = if visited.contains(&spot.0) { 0.0 } else { VISIT_MS };
        let budget = self.aim.budget.get();
        if self.glimpses.contains_key(&spot) {
            return VISITS * visit + ASK_MS + budget.min(f64::from(self.aim.calls) * call);
        }
        let calls = (budget * GLIMPSE_BUDGET / call).clamp(LEAST_GLIMPSE_CALLS, GLIMPSE_CALLS);
        visit + ASK_MS + calls * call
    }
}

/// Returns the upper median; 0 where there is nothing.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(0.0)
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
