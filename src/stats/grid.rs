//! Distributions of times on a grid of equal steps: how times add up when what counts is a quantile.
//!
//! The quantile of a sum is not the sum of quantiles, so distributions are convolved. What is beyond the last step never
//! arrives; times that are put together are taken to be independent. There are two ways to put a time on the grid:
//!
//! | | a time between two steps | what a quantile is |
//! |---|---|---|
//! | [`GridDistribution::from_upper_ends`] | counts at the later one | an upper bound, off by at most one step for each distribution that went into it |
//! | [`GridDistribution::from_bins`] | is shared out so that its mean stays ([`Grid::put`]) | an estimate, read between steps |

use crate::base::rounding::{ROUNDING, SUMS};

/// The distribution of a time on a grid. Those that are put together have the same number of steps.
#[derive(Debug, Clone, PartialEq)]
pub struct GridDistribution {
    /// P(time ≤ k steps) for k from 0 to the last step.
    cdf: Vec<f64>,
}

impl GridDistribution {
    /// Returns the distribution that counts every time at the upper end of its step, from P(time ≤ k steps).
    #[must_use]
    pub fn from_upper_ends(steps: usize, at_most: impl FnMut(usize) -> f64) -> Self {
        Self { cdf: (0..=steps).map(at_most).collect() }
    }

    /// Returns the distribution with the probability of each step, to which times were shared out so that their means stay.
    #[must_use]
    pub fn from_bins(bins: &[f64]) -> Self {
        let sums = bins.iter().scan(0.0, |sum, p| {
            *sum += p;
            Some(*sum)
        });
        Self { cdf: sums.collect() }
    }

    /// Returns the distribution of something that takes no time.
    #[must_use]
    pub fn at_once(steps: usize) -> Self {
        Self { cdf: vec![1.0; steps + 1] }
    }

    /// Returns the distribution of something that is never done.
    #[must_use]
    pub fn never(steps: usize) -> Self {
        Self { cdf: vec![0.0; steps + 1] }
    }

    /// Returns the number of steps.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.cdf.len() - 1
    }

    /// Returns the distribution of this and then the other.
    #[must_use]
    pub fn then(&self, next: &Self) -> Self {
        let mut cdf = vec![0.0; self.cdf.len()];
        for (step, p) in self.masses() {
            for (sum, late) in cdf[step..].iter_mut().zip(&next.cdf) {
                *sum += p * late;
            }
        }
        Self { cdf }
    }

    /// Returns the distribution of the later of two that begin together.
    #[must_use]
    pub fn beside(&self, other: &Self) -> Self {
        self.joined(other, |a, b| a * b)
    }

    /// Returns the distribution of one that is this with a probability and the other else.
    #[must_use]
    pub fn or(&self, share: f64, other: &Self) -> Self {
        self.joined(other, |a, b| share * a + (1.0 - share) * b)
    }

    /// Returns a distribution that is nowhere later than either.
    #[must_use]
    pub fn earliest(&self, other: &Self) -> Self {
        self.joined(other, f64::max)
    }

    fn joined(&self, other: &Self, join: impl Fn(f64, f64) -> f64) -> Self {
        Self { cdf: self.cdf.iter().zip(&other.cdf).map(|(own, other)| join(*own, *other)).collect() }
    }

    /// Tells whether this is nowhere later than the other (first-order stochastic dominance).
    #[must_use]
    pub fn no_later_than(&self, other: &Self) -> bool {
        self.cdf.iter().zip(&other.cdf).rev().all(|(own, other)| own >= other)
    }

    /// Returns the probability of at most so many steps.
    #[must_use]
    pub fn at_most(&self, step: usize) -> f64 {
        self.cdf[step]
    }

    /// Returns the probability of a time within the grid.
    #[must_use]
    pub fn in_time(&self) -> f64 {
        self.cdf[self.steps()]
    }

    /// Returns the same of this and then the other, without their distribution.
    #[must_use]
    pub fn in_time_before(&self, next: &Self) -> f64 {
        let last = next.steps();
        self.masses().map(|(step, p)| p * next.cdf[last - step]).sum()
    }

    /// Returns the first step by which the asked part is there, in milliseconds; `None` beyond the grid, which ends at
    /// `span_ms`. Of times that count at upper ends this is never below the truth.
    #[must_use]
    pub fn upper_quantile_ms(&self, quantile: f64, span_ms: f64) -> Option<f64> {
        let step = self.cdf.iter().position(|p| *p >= quantile - SUMS)?;
        Some(span_ms * step as f64 / self.steps() as f64)
    }

    /// Returns the time that the asked part does not exceed, in milliseconds; `None` beyond the grid, which ends at `span_ms`.
    /// The mass of a step is spread over half a step to both sides, as fits times that were shared out.
    #[must_use]
    pub fn interpolated_quantile_ms(&self, quantile: f64, span_ms: f64) -> Option<f64> {
        let step = self.cdf.iter().position(|p| *p >= quantile - ROUNDING)?;
        let before = step.checked_sub(1).map_or(0.0, |before| self.cdf[before]);
        let mass = self.cdf[step] - before;
        let part = if mass > 0.0 { (quantile - before) / mass } else { 0.5 };
        Some(span_ms / self.steps() as f64 * (step as f64 - 0.5 + part.clamp(0.0, 1.0)).max(0.0))
    }

    /// Returns each step with the probability of exactly it.
    fn masses(&self) -> impl Iterator<Item = (usize, f64)> {
        let before = std::iter::once(0.0).chain(self.cdf.iter().copied());
        self.cdf.iter().zip(before).map(|(at, before)| at - before).enumerate().filter(|(_, p)| *p > 0.0)
    }
}

/// A probability for each step of a grid from 0 to the last; what is beyond is missing.
pub(crate) type Bins = Vec<f64>;

/// The steps of a grid, for sums of probabilities that keep means: what [`GridDistribution::from_bins`] is made from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    /// Milliseconds of a step.
    pub step_ms: f64,
    /// Number of steps.
    pub steps: usize,
}

impl Grid {
    /// Returns a grid that ends at `span_ms`.
    pub fn new(span_ms: f64, steps: usize) -> Self {
        Self { step_ms: span_ms / steps as f64, steps }
    }

    /// Returns bins without any probability.
    pub fn empty(self) -> Bins {
        vec![0.0; self.steps + 1]
    }

    /// Returns the nearest step, at most the last.
    pub fn nearest(self, ms: f64) -> usize {
        ((ms / self.step_ms).round() as usize).min(self.steps)
    }

    /// Adds a mass at a time.
    pub fn put(self, bins: &mut [f64], ms: f64, mass: f64) {
        let (low, part) = self.place(ms);
        for (at, share) in [(low, 1.0 - part), (low + 1, part)] {
            if let Some(bin) = bins.get_mut(at) {
                *bin += mass * share;
            }
        }
    }

    /// Adds the distribution of one time and then another, atoms being (milliseconds, probability).
    pub fn add_sum(self, sum: &mut [f64], bins: &[f64], atoms: &[(f64, f64)]) {
        for &(ms, p) in atoms {
            let (low, part) = self.place(ms);
            for (at, share) in [(low, p * (1.0 - part)), (low + 1, p * part)] {
                let Some(to) = sum.get_mut(at..) else { continue };
                to.iter_mut().zip(bins).for_each(|(to, from)| *to += share * from);
            }
        }
    }

    /// Returns the distribution of one time and then another.
    pub fn sum(self, bins: &[f64], atoms: &[(f64, f64)]) -> Bins {
        let mut sum = self.empty();
        self.add_sum(&mut sum, bins, atoms);
        sum
    }

    fn place(self, ms: f64) -> (usize, f64) {
        let at = ms / self.step_ms;
        (at as usize, at.fract())
    }
}

#[cfg(test)]
mod tests {
    use super::{Grid, GridDistribution};

    /// Two distributions of whole steps on a grid of ten.
    fn drawn() -> [GridDistribution; 2] {
        [
            [0.0, 0.5, 0.25, 0.0, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            [0.25, 0.0, 0.5, 0.0, 0.0, 0.125, 0.0, 0.0, 0.0, 0.0, 0.0],
        ]
        .map(|bins| GridDistribution::from_bins(&bins))
    }

    #[test]
    fn both_ways_onto_the_grid_agree_at_its_steps() {
        let at_most = [0.0, 0.5, 0.75, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        let [one, _] = drawn();
        assert_eq!(one, GridDistribution::from_upper_ends(10, |step| at_most[step]));
        assert_eq!((one.steps(), one.in_time()), (10, 1.0));
    }

    #[test]
    fn a_sum_is_that_of_all_pairs() {
        let [one, other] = drawn();
        let both = one.then(&other);
        for step in 0..=10 {
            let pairs = (0..=step).map(|own| {
                let p = one.cdf[own] - if own > 0 { one.cdf[own - 1] } else { 0.0 };
                p * other.cdf[step - own]
            });
            assert_eq!(both.cdf[step], pairs.sum::<f64>(), "step {step}");
        }
        assert_eq!(both.in_time(), one.in_time_before(&other));
        assert_eq!(one.then(&GridDistribution::at_once(10)), one);
        assert_eq!(one.then(&GridDistribution::never(10)), GridDistribution::never(10));
    }

    #[test]
    fn the_later_of_two_and_a_mixture_lie_around_both() {
        let [one, other] = drawn();
        let (later, mixture, earliest) = (one.beside(&other), one.or(0.5, &other), one.earliest(&other));
        for step in 0..=10 {
            assert_eq!(later.cdf[step], one.cdf[step] * other.cdf[step]);
            assert_eq!(mixture.cdf[step], 0.5 * (one.cdf[step] + other.cdf[step]));
        }
        assert!(earliest.no_later_than(&one) && earliest.no_later_than(&other) && one.no_later_than(&later));
        assert!(!one.no_later_than(&other) && !other.no_later_than(&one));
    }

    #[test]
    fn a_quantile_is_read_at_the_upper_end_or_between_steps() {
        let [one, other] = drawn();
        assert_eq!(one.upper_quantile_ms(0.5, 20.0), Some(2.0));
        assert_eq!(one.upper_quantile_ms(0.6, 20.0), Some(4.0));
        // Half the mass of the first step, spread from 1 to 3 ms.
        assert_eq!(one.interpolated_quantile_ms(0.25, 20.0), Some(2.0));
        assert_eq!(one.interpolated_quantile_ms(0.5, 20.0), Some(3.0));
        assert_eq!((other.upper_quantile_ms(0.9, 20.0), other.interpolated_quantile_ms(0.9, 20.0)), (None, None));
    }

    #[test]
    fn times_between_steps_keep_their_mean() {
        let grid = Grid::new(20.0, 10);
        let mut bins = grid.empty();
        grid.put(&mut bins, 4.5, 0.5);
        grid.put(&mut bins, 11.0, 0.5);
        let mean = |bins: &[f64]| bins.iter().enumerate().map(|(step, p)| grid.step_ms * step as f64 * p).sum::<f64>();
        assert!((mean(&bins) - 7.75).abs() < 1e-12, "{bins:?}");
        let later = grid.sum(&bins, &[(1.0, 0.5), (3.5, 0.5)]);
        assert!((mean(&later) - 10.0).abs() < 1e-12 && (later.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{later:?}");
    }
}
