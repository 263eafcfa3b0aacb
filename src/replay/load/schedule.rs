//! When requests are due: drawn before anything is sent, so that no answer can move them.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rand_distr::{Distribution, Exp1};

/// The stream of the gaps; samples have streams of their own from 1 on.
const GAPS: u64 = 0;

/// Returns the arrivals of a Poisson process: as long as the warm-up and the duration together, and then until there are
/// `fewest` after the warm-up.
///
/// One seed gives the same gaps at every rate, in units of the mean gap: what differs between rates is the rate. Rates
/// are above 0.
#[must_use]
pub fn poisson(rate_rps: f64, warmup: Duration, duration: Duration, fewest: u64, seed: u64) -> Vec<Duration> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(GAPS);
    let (begin, end) = (warmup.as_secs_f64(), (warmup + duration).as_secs_f64());
    let (mut now, mut counted, mut due) = (0.0, 0, Vec::new());
    loop {
        let gap: f64 = Exp1.sample(&mut random);
        now += gap / rate_rps;
        if now >= end && counted >= fewest {
            return due;
        }
        counted += u64::from(now >= begin);
        due.push(Duration::from_secs_f64(now));
    }
}

/// What queries are made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Queries {
    /// Samples in each.
    pub samples: u32,
    /// Seed of their choice.
    pub seed: u64,
}

impl Queries {
    /// Returns the numbers of the samples, of so many known, of the queries at some places of a run: those of one place
    /// are always the same.
    pub fn samples(self, places: &[(usize, Duration)], known: usize) -> Vec<u32> {
        let each = u64::from(self.samples);
        let of_place = |&(place, _): &(usize, Duration)| {
            (0..each).map(move |sample| sample_of(place as u64 * each + sample, known, self.seed) as u32)
        };
        places.iter().flat_map(of_place).collect()
    }
}

/// Returns the number of the sample of a place in a run, below `samples`.
fn sample_of(place: u64, samples: usize, seed: u64) -> usize {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(place + 1);
    (random.next_u64() % samples as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::{poisson, sample_of};
    use std::time::Duration;

    #[test]
    fn a_seed_gives_the_same_gaps_at_every_rate() {
        let second = Duration::from_secs(1);
        let slow = poisson(100.0, second, 10 * second, 0, 42);
        assert_eq!(slow, poisson(100.0, second, 10 * second, 0, 42));
        assert_ne!(slow, poisson(100.0, second, 10 * second, 0, 43));
        let fast = poisson(200.0, second, 10 * second, 0, 42);
        for (slow, fast) in slow.iter().zip(&fast) {
            assert!((slow.as_secs_f64() / fast.as_secs_f64() - 2.0).abs() < 1e-5);
        }
        let long = poisson(100.0, second, second, 5_000, 42);
        assert_eq!(long.iter().filter(|due| **due >= second).count(), 5_000);
    }

    #[test]
    fn gaps_are_exponential() {
        let due = poisson(1_000.0, Duration::ZERO, Duration::from_secs(100), 0, 7);
        let mut gaps: Vec<f64> = due.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1e3).collect();
        let count = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / count;
        assert!((mean - 1.0).abs() < 4.0 / count.sqrt(), "{mean}");
        gaps.sort_by(f64::total_cmp);
        // Kolmogorov and Smirnov's distance, at 0.1 %.
        let law = |gap: f64| 1.0 - (-gap).exp();
        let distance =
            gaps.iter().enumerate().map(|(rank, &gap)| (law(gap) - rank as f64 / count).abs()).fold(0.0, f64::max);
        assert!(distance < 1.95 / count.sqrt(), "{distance}");
    }

    #[test]
    fn samples_are_those_of_their_seed() {
        let drawn = |seed| (0..50).map(|place| sample_of(place, 10, seed)).collect::<Vec<_>>();
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
        assert!((0..10).all(|sample| drawn(1).contains(&sample)));
    }
}
