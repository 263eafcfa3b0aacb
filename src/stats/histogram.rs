//! Measured times as a histogram, and the distribution that queues and simulations read off it.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Times in buckets of at most 1 % width (HDR, two significant figures), empty buckets left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Histogram {
    /// Middle of each bucket in nanoseconds, increasing.
    pub value_ns: Vec<u64>,
    /// Calls in each bucket.
    pub count: Vec<u64>,
}

impl Histogram {
    /// Returns the histogram of some measured times. Times above 2 hours count as 2 hours.
    #[must_use]
    pub fn of(samples: &[Duration]) -> Self {
        const HIGHEST_NS: u64 = 7_200_000_000_000;
        let mut hdr = hdrhistogram::Histogram::<u64>::new_with_bounds(1, HIGHEST_NS, 2)
            .expect("1 < 2 × 1 ≤ highest and two figures are allowed");
        for sample in samples {
            hdr.saturating_record(u64::try_from(sample.as_nanos()).unwrap_or(u64::MAX).max(1));
        }
        let (value_ns, count) = hdr
            .iter_recorded()
            .map(|bucket| (hdr.median_equivalent(bucket.value_iterated_to()), bucket.count_at_value()))
            .unzip();
        Self { value_ns, count }
    }

    /// Returns the number of calls.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.count.iter().fold(0, |sum, calls| sum.saturating_add(*calls))
    }

    /// Returns the distribution that draws a bucket with its share of the calls.
    #[must_use]
    pub fn distribution(&self) -> Distribution {
        let total = self.calls();
        let atoms = self.value_ns.iter().zip(&self.count).map(|(&ns, &n)| (ns as f64 / 1e6, n as f64 / total as f64));
        Distribution::new(atoms.collect())
    }
}

/// A distribution of times in milliseconds on finitely many values.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// Shared: there are many ways to run a variant, and they have the same times.
    atoms: Arc<[(f64, f64)]>,
    mean: f64,
    scv: f64,
}

impl Distribution {
    /// Returns the distribution with these (milliseconds, probability) atoms; probabilities are normalised.
    ///
    /// # Panics
    /// Where there is no atom with positive probability.
    #[must_use]
    pub fn new(mut atoms: Vec<(f64, f64)>) -> Self {
        atoms.retain(|&(_, p)| p > 0.0);
        assert!(!atoms.is_empty(), "a distribution has at least one atom");
        atoms.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total: f64 = atoms.iter().map(|&(_, p)| p).sum();
        for atom in &mut atoms {
            atom.1 /= total;
        }
        let mean: f64 = atoms.iter().map(|&(t, p)| t * p).sum();
        let variance: f64 = atoms.iter().map(|&(t, p)| (t - mean).powi(2) * p).sum();
        let scv = if mean > 0.0 { variance / (mean * mean) } else { 0.0 };
        Self { atoms: atoms.into(), mean, scv }
    }

    /// Returns the distribution of a time that is always the same.
    #[must_use]
    pub fn constant(ms: f64) -> Self {
        Self::new(vec![(ms, 1.0)])
    }

    /// Returns the values and their probabilities, in increasing order of value.
    #[must_use]
    pub fn atoms(&self) -> &[(f64, f64)] {
        &self.atoms
    }

    /// Returns the law of so many independent times in a row, on at most 512 atoms of equal width, each at its upper end.
    #[must_use]
    pub fn repeated(&self, times: u32) -> Self {
        let mut sum = self.clone();
        for _ in 1..times {
            let pairs = sum.atoms.iter().flat_map(|a| self.atoms.iter().map(|b| (a.0 + b.0, a.1 * b.1)));
            sum = Self::coarse(pairs.collect());
        }
        sum
    }

    /// Returns a distribution on at most 512 atoms, none below what it stands for.
    fn coarse(atoms: Vec<(f64, f64)>) -> Self {
        const ATOMS: usize = 512;
        if atoms.len() <= ATOMS {
            return Self::new(atoms);
        }
        let most = atoms.iter().map(|atom| atom.0).fold(0.0, f64::max);
        let mut bins = vec![0.0; ATOMS];
        for (ms, p) in atoms {
            let bin = (ms / most * ATOMS as f64).ceil() as usize;
            bins[bin.clamp(1, ATOMS) - 1] += p;
        }
        Self::new(bins.into_iter().enumerate().map(|(bin, p)| (most * (bin + 1) as f64 / ATOMS as f64, p)).collect())
    }

    /// Returns the mean in milliseconds.
    #[must_use]
    pub const fn mean_ms(&self) -> f64 {
        self.mean
    }

    /// Returns the squared coefficient of variation: variance ÷ mean².
    #[must_use]
    pub const fn scv(&self) -> f64 {
        self.scv
    }

    /// Returns the smallest value that at least a share `q` of the draws does not exceed.
    #[must_use]
    pub fn quantile_ms(&self, q: f64) -> f64 {
        let mut reached = 0.0;
        for &(t, p) in self.atoms() {
            reached += p;
            if reached >= q - 1e-12 {
                return t;
            }
        }
        self.atoms.last().expect("never empty").0
    }

    /// Returns the same shape with every value multiplied by `factor`.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        // Normalising again would change the last digits of probabilities.
        if factor == 1.0 {
            return self.clone();
        }
        Self::new(self.atoms.iter().map(|&(t, p)| (t * factor, p)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{Distribution, Histogram};
    use std::time::Duration;

    #[test]
    fn keeps_times_within_one_percent() {
        let samples: Vec<_> = (1..=10_000).map(|us| Duration::from_micros(us * 7)).collect();
        let distribution = Histogram::of(&samples).distribution();
        for q in [0.01, 0.5, 0.9, 0.99, 0.999] {
            let truth = 70.0 * q;
            let seen = distribution.quantile_ms(q);
            assert!((seen / truth - 1.0).abs() < 0.01, "q {q}: {seen} against {truth}");
        }
        assert!((distribution.mean_ms() / 35.0035 - 1.0).abs() < 0.005);
        // A uniform law on 0..b has SCV 1/3.
        assert!((distribution.scv() - 1.0 / 3.0).abs() < 0.01);
    }

    #[test]
    fn a_constant_does_not_vary() {
        let constant = Distribution::constant(3.0);
        assert_eq!((constant.mean_ms(), constant.scv(), constant.quantile_ms(0.999)), (3.0, 0.0, 3.0));
    }
}
