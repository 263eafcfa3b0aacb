//! The latency surfaces of a family, from few points: what was not measured is predicted, with how unsure that is.
//!
//! A Gaussian process (Rasmussen and Williams 2006, chapter 2) on the logarithm of the median latency over cores × batch ×
//! busy neighbours. Its covariance is a sum of three:
//!
//! - a *level* of each variant, of which nothing is known before;
//! - *physics*: the covariance of ln L under random laws `L = o + b·(p + (1 − p) ÷ min(c, b·g))` for b samples on c cores,
//!   that is an overhead o, a serial part p (Amdahl) and work that one sample can spread over g cores at most;
//! - *roughness*: a Matérn 3/2 process in octaves of cores and batch: caches, vector widths, kernels picked by size.
//!
//! Physics and roughness are shared among variants in part, the more so the closer their latencies are: what one variant
//! shows, the others need not be measured for. How much is shared, how rough surfaces are and how far roughness reaches
//! are averaged over a fixed list, each with its evidence (marginal likelihood).

use std::collections::BTreeMap;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::{Glimpse, Point, Stopped};
use crate::profile::Key;
use crate::stats::Quantile;
use crate::stats::gauss::{Factor, Matrix, dot};

/// The normal quantile of a two-sided 95 % interval.
const Z95: f64 = 1.959_963_984_540_054;
/// Variance of a level: anything from nanoseconds to hours.
const ANY_LEVEL: f64 = 100.0;
/// What a second run of a point differs by, beside what its calls tell (relative).
const LUCK: f64 = 0.02;
/// Roughness that no surface is without: what the habits of few points rule out may still come.
const LEAST_ROUGHNESS: f64 = 0.03;
/// Points that choose the habits, spread over all that were measured: evidence costs n³.
const POINTS_FOR_HABITS: usize = 96;
/// Habits that predictions are averaged over.
const HABITS_KEPT: usize = 8;
/// Roughness that is likely before anything is seen, and the standard deviation of its logarithm.
const LIKELY_ROUGHNESS: (f64, f64) = (0.12, 1.0);

/// A configuration of a variant: index of the variant, and what of it.
pub type Spot = (usize, Key);

/// What was measured at a spot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// Where.
    pub spot: Spot,
    /// Median latency of a call of the whole batch, in milliseconds.
    pub median_ms: f64,
    /// Standard error of the median, relative to it.
    pub error: f64,
}

impl Seen {
    /// Returns what a point tells of the variant of that index: its median, or its mean where it was imported.
    #[must_use]
    pub fn of(variant: usize, point: &Point) -> Self {
        let spot = (variant, Key::of(point));
        if point.histogram.is_none() || point.conditions.stopped == Stopped::Imported {
            return Self { spot, median_ms: point.latency.mean_ms.get(), error: LUCK };
        }
        Self { spot, median_ms: point.latency.p50.value_ms.get(), error: error_of(point.latency.p50) }
    }

    /// Returns what a glimpse tells of the variant of that index.
    #[must_use]
    pub fn at_a_glimpse(variant: usize, glimpse: &Glimpse) -> Self {
        Self { spot: (variant, glimpse.key()), median_ms: glimpse.p50.value_ms.get(), error: error_of(glimpse.p50) }
    }
}

/// Returns the standard error of a median, relative to it, from its interval.
fn error_of(median: Quantile) -> f64 {
    (median.high_ms.get() - median.low_ms.get()) / 2.0 / Z95 / median.value_ms.get()
}

/// A median latency that was not measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Predicted {
    /// The median latency in milliseconds; half of the prediction lies above.
    pub median_ms: f64,
    /// Standard deviation of its logarithm: 0.05 means ± 10 % in 95 of 100 cases.
    pub spread: f64,
}

impl Predicted {
    /// Returns the latency that is so many standard deviations below the prediction.
    #[must_use]
    pub fn at_best_ms(&self, deviations: f64) -> f64 {
        self.median_ms * (-deviations * self.spread).exp()
    }
}

/// The latency surfaces of a family on one device.
#[derive(Debug, Clone)]
pub struct Surface {
    spots: Vec<Spot>,
    /// Expected ln ms of each spot.
    mean: Vec<f64>,
    /// Covariance of the ln ms of all spots.
    covariance: Matrix,
}

impl Surface {
    /// Returns the surfaces over some spots after some measurements, or `None` where nothing was measured.
    ///
    /// Takes 384 × n³ ÷ 6 multiplications for n measurements (no more than 96 count), and 8 × n × m² for m spots.
    #[must_use]
    pub fn of(seen: &[Seen], spots: &[Spot]) -> Option<Self> {
        let seen: Vec<Seen> = seen.iter().filter(|point| point.median_ms > 0.0).copied().collect();
        if seen.is_empty() {
            return None;
        }
        let ground = Ground::of(seen.iter().map(|point| point.spot.1).chain(spots.iter().map(|spot| spot.1)));
        let size = sizes(&seen, spots);
        let few: Vec<Seen> = seen.iter().step_by(seen.len().div_ceil(POINTS_FOR_HABITS)).copied().collect();
        let habits = likely_habits(&few, &ground, &size);
        let part = |(weight, habit)| Some((weight, Model::new(&ground, &size, habit).posterior(&seen, spots)?));
        let parts: Vec<(f64, Posterior)> = habits.into_par_iter().filter_map(part).collect();
        (!parts.is_empty()).then(|| Self::average(spots, &parts))
    }

    /// Mixes posteriors by weight: their covariances, and what their means differ by.
    fn average(spots: &[Spot], parts: &[(f64, Posterior)]) -> Self {
        let total: f64 = parts.iter().map(|(weight, _)| weight).sum();
        let mut mean = vec![0.0; spots.len()];
        for (weight, part) in parts {
            mean.iter_mut().zip(&part.mean).for_each(|(sum, value)| *sum += weight / total * value);
        }
        let mut covariance = vec![vec![0.0; spots.len()]; spots.len()];
        for (weight, part) in parts {
            let off: Vec<f64> = part.mean.iter().zip(&mean).map(|(own, common)| own - common).collect();
            for (i, row) in covariance.iter_mut().enumerate() {
                for (j, sum) in row.iter_mut().enumerate() {
                    *sum += weight / total * (part.covariance[i][j] + off[i] * off[j]);
                }
            }
        }
        Self { spots: spots.to_vec(), mean, covariance }
    }

    /// Returns the prediction at each spot, in the order in which they were given.
    #[must_use]
    pub fn predictions(&self) -> Vec<(Spot, Predicted)> {
        let at = |(index, spot): (usize, &Spot)| {
            let spread = self.covariance[index][index].max(0.0).sqrt();
            (*spot, Predicted { median_ms: self.mean[index].exp(), spread })
        };
        self.spots.iter().enumerate().map(at).collect()
    }

    /// Returns the standard deviations of all spots, and how they shrink as spots are measured.
    pub(crate) fn doubt(&self) -> Doubt {
        Doubt { covariance: self.covariance.clone() }
    }
}

/// How unsure a surface is, and how much less so after one more measurement.
#[derive(Debug, Clone)]
pub(crate) struct Doubt {
    covariance: Matrix,
}

impl Doubt {
    /// Returns the variance of a spot.
    pub(crate) fn variance(&self, spot: usize) -> f64 {
        self.covariance[spot][spot].max(0.0)
    }

    /// Returns the variance of a spot once another is measured with such an error.
    pub(crate) fn variance_after(&self, spot: usize, measured: usize, error: f64) -> f64 {
        let shared = self.covariance[spot][measured];
        let variance = self.variance(measured) + error * error + LUCK * LUCK;
        (self.covariance[spot][spot] - shared * shared / variance).max(0.0)
    }

    /// Takes a spot as measured with such an error; by what value does not matter for the doubt.
    pub(crate) fn measure(&mut self, measured: usize, error: f64) {
        let column: Vec<f64> = self.covariance.iter().map(|row| row[measured]).collect();
        let variance = self.variance(measured) + error * error + LUCK * LUCK;
        for (row, shared) in self.covariance.iter_mut().zip(&column) {
            row.iter_mut().zip(&column).for_each(|(value, other)| *value -= shared * other / variance);
        }
    }
}

/// What is the same for all habits: prior mean and covariances of every (cores, batch, neighbours).
struct Ground {
    index: BTreeMap<Key, usize>,
    prior: Vec<f64>,
    physics: Matrix,
    octaves: Matrix,
}

impl Ground {
    fn of(keys: impl Iterator<Item = Key>) -> Self {
        let mut index = BTreeMap::new();
        for key in keys {
            let next = index.len();
            index.entry(key).or_insert(next);
        }
        let mut keys: Vec<(usize, Key)> = index.iter().map(|(&key, &at)| (at, key)).collect();
        keys.sort_unstable();
        let laws: Vec<[Centred; 2]> =
            keys.iter().map(|&(_, key)| [Centred::of(alone(key)), Centred::of(beside(key))]).collect();
        let covariance = |a: &[Centred; 2], b: &[Centred; 2]| -> f64 {
            a.iter().zip(b).map(|(x, y)| dot(&x.values, &y.values) / x.values.len() as f64).sum()
        };
        Self {
            prior: laws.iter().map(|both| both.iter().map(|part| part.mean).sum()).collect(),
            physics: laws.iter().map(|a| laws.iter().map(|b| covariance(a, b)).collect()).collect(),
            octaves: keys.iter().map(|a| keys.iter().map(|b| octaves(a.1, b.1)).collect()).collect(),
            index,
        }
    }
}

/// Values less their mean.
struct Centred {
    mean: f64,
    values: Vec<f64>,
}

impl Centred {
    fn of(mut values: Vec<f64>) -> Self {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter_mut().for_each(|value| *value -= mean);
        Self { mean, values }
    }
}

/// Returns ln L(cores, batch) ÷ L(1, 1) without neighbours under each law that physics allows.
fn alone(key: Key) -> Vec<f64> {
    let (b, c) = (f64::from(key.batch), f64::from(key.cores));
    let mut logs = Vec::new();
    for overhead in (-5..=10).map(f64::from).map(f64::exp2) {
        for serial in [0.0, 0.03, 0.1, 0.3, 0.6, 1.0] {
            for cores_of_a_sample in [1.0, 4.0, f64::INFINITY] {
                let work = b * (serial + (1.0 - serial) / c.min(b * cores_of_a_sample));
                logs.push(((overhead + work) / (overhead + 1.0)).ln());
            }
        }
    }
    logs
}

/// Returns by how much each neighbour may slow a call down, as a logarithm.
fn beside(key: Key) -> Vec<f64> {
    [0.0, 0.1, 0.3, 1.0].map(|each: f64| (1.0 + each * f64::from(key.co_runners)).ln()).to_vec()
}

/// Returns the distance of two configurations in octaves of cores, batch and busy processors.
pub(crate) fn octaves(a: Key, b: Key) -> f64 {
    let place = |key: Key| [key.batch, key.cores, 1 + key.co_runners].map(|number| f64::from(number).log2());
    place(a).iter().zip(place(b)).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt()
}

/// Returns log₂ of each variant's latency at the smallest configuration that was measured; the mean of all for others.
fn sizes(seen: &[Seen], spots: &[Spot]) -> Vec<f64> {
    let most = seen.iter().map(|point| point.spot.0).chain(spots.iter().map(|spot| spot.0)).max().unwrap_or(0);
    let smallest = |variant: usize| {
        let own = seen.iter().filter(|point| point.spot.0 == variant);
        own.min_by_key(|point| point.spot.1).map(|point| point.median_ms.log2())
    };
    let known: Vec<Option<f64>> = (0..=most).map(smallest).collect();
    let count = known.iter().flatten().count().max(1) as f64;
    let mean = known.iter().flatten().sum::<f64>() / count;
    known.into_iter().map(|size| size.unwrap_or(mean)).collect()
}

/// What surfaces of a family have in common, and how rough they are.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Habit {
    /// Correlation of two variants' physics.
    physics_shared: f64,
    /// Standard deviation of the roughness of the fastest variant.
    roughness: f64,
    /// Correlation of two variants' roughness.
    roughness_shared: f64,
    /// Octaves over which roughness hangs together.
    reach: f64,
    /// Octaves of latency over which variants are alike.
    kinship: f64,
    /// How roughness fades with the latency of a variant: its power.
    fading: f64,
}

/// Returns all habits that are weighed against each other.
fn habits() -> Vec<Habit> {
    let mut habits = Vec::new();
    for physics_shared in [0.7, 0.97] {
        for roughness in [0.05, 0.1, 0.2, 0.4] {
            for roughness_shared in [0.0, 0.5, 0.9] {
                for reach in [1.0, 3.0] {
                    for kinship in [3.0, f64::INFINITY] {
                        for fading in [0.0, 0.2, 0.4, 0.6] {
                            habits.push(Habit { physics_shared, roughness, roughness_shared, reach, kinship, fading });
                        }
                    }
                }
            }
        }
    }
    habits
}

/// Returns the most likely habits after some measurements, with weights; ties keep the order of the list.
fn likely_habits(seen: &[Seen], ground: &Ground, size: &[f64]) -> Vec<(f64, Habit)> {
    let score = |habit: Habit| {
        let likely = ((habit.roughness / LIKELY_ROUGHNESS.0).ln() / LIKELY_ROUGHNESS.1).powi(2) / -2.0;
        (Model::new(ground, size, habit).evidence(seen).map_or(f64::NEG_INFINITY, |evidence| evidence + likely), habit)
    };
    let mut all: Vec<(f64, Habit)> = habits().into_par_iter().map(score).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all.truncate(HABITS_KEPT);
    let best = all[0].0;
    all.into_iter().map(|(score, habit)| ((score - best).exp(), habit)).collect()
}

/// A Gaussian process with fixed habits, whose covariances are products of tables.
struct Model<'a> {
    ground: &'a Ground,
    /// Of two variants, what their physics share.
    physics_shared: Matrix,
    /// Of two variants, the covariance of their roughness at one configuration.
    roughness: Matrix,
    /// Of two configurations, how roughness hangs together.
    matern: Matrix,
}

/// Mean and covariance of ln ms at some spots.
struct Posterior {
    mean: Vec<f64>,
    covariance: Matrix,
}

impl<'a> Model<'a> {
    fn new(ground: &'a Ground, size: &[f64], habit: Habit) -> Self {
        let least = size.iter().copied().fold(f64::INFINITY, f64::min);
        let rough = |size: f64| {
            let faded = habit.roughness * (-habit.fading * (size - least)).exp2();
            faded.hypot(LEAST_ROUGHNESS)
        };
        let rough: Vec<f64> = size.iter().map(|&size| rough(size)).collect();
        let of_two = |shared: f64, a: usize, b: usize| {
            if a == b { 1.0 } else { shared * (-(size[a] - size[b]).abs() / habit.kinship).exp() }
        };
        let matern = |octaves: &f64| {
            let steps = 3f64.sqrt() * octaves / habit.reach;
            (1.0 + steps) * (-steps).exp()
        };
        let table = |of: &dyn Fn(usize, usize) -> f64| -> Matrix {
            (0..size.len()).map(|a| (0..size.len()).map(|b| of(a, b)).collect()).collect()
        };
        Self {
            ground,
            physics_shared: table(&|a, b| of_two(habit.physics_shared, a, b)),
            roughness: table(&|a, b| of_two(habit.roughness_shared, a, b) * rough[a] * rough[b]),
            matern: ground.octaves.iter().map(|row| row.iter().map(matern).collect()).collect(),
        }
    }

    /// Returns the place of a spot in the tables.
    fn place(&self, spot: Spot) -> (usize, usize) {
        (spot.0, self.ground.index[&spot.1])
    }

    fn covariance(&self, (a, i): (usize, usize), (b, j): (usize, usize)) -> f64 {
        let level = if a == b { ANY_LEVEL } else { 0.0 };
        level + self.physics_shared[a][b] * self.ground.physics[i][j] + self.roughness[a][b] * self.matern[i][j]
    }

    /// Returns the factor of the covariance of what was measured, and the whitened departures from the prior.
    fn conditioned(&self, seen: &[Seen]) -> Option<(Factor, Vec<f64>)> {
        let places: Vec<_> = seen.iter().map(|point| self.place(point.spot)).collect();
        let row = |(i, point): (usize, &Seen)| {
            let mut row: Vec<f64> = places[..=i].iter().map(|&other| self.covariance(places[i], other)).collect();
            row[i] += point.error.powi(2) + LUCK * LUCK;
            row
        };
        let factor = Factor::of(seen.iter().enumerate().map(row).collect())?;
        let prior = |point: &Seen| self.ground.prior[self.ground.index[&point.spot.1]];
        let departures: Vec<f64> = seen.iter().map(|point| point.median_ms.ln() - prior(point)).collect();
        let white = factor.whiten(&departures);
        Some((factor, white))
    }

    /// Returns the logarithm of the probability of what was measured, up to a constant.
    fn evidence(&self, seen: &[Seen]) -> Option<f64> {
        let (factor, white) = self.conditioned(seen)?;
        Some(-dot(&white, &white) / 2.0 - factor.half_log_determinant())
    }

    fn posterior(&self, seen: &[Seen], spots: &[Spot]) -> Option<Posterior> {
        let (factor, white) = self.conditioned(seen)?;
        let of_seen: Vec<_> = seen.iter().map(|point| self.place(point.spot)).collect();
        let places: Vec<_> = spots.iter().map(|&spot| self.place(spot)).collect();
        let column = |&place: &(usize, usize)| {
            let with: Vec<f64> = of_seen.iter().map(|&point| self.covariance(point, place)).collect();
            factor.whiten(&with)
        };
        let columns: Vec<Vec<f64>> = places.iter().map(column).collect();
        let mean = spots.iter().zip(&columns);
        let row = |i: usize| {
            let known = |j: usize| dot(&columns[i], &columns[j]);
            (0..spots.len()).map(|j| self.covariance(places[i], places[j]) - known(j)).collect()
        };
        Some(Posterior {
            mean: mean
                .map(|(spot, column)| self.ground.prior[self.ground.index[&spot.1]] + dot(column, &white))
                .collect(),
            covariance: (0..spots.len()).map(row).collect(),
        })
    }
}
