//! Randomness that is the same on every machine: PCG 64, which is specified and fast, seeded by a numbered stream of
//! `ChaCha8`, so that streams and seeds have nothing in common.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rand_distr::{Distribution, Exp1};
use rand_pcg::Pcg64;

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Dice(Pcg64);

impl Dice {
    /// Returns a stream; streams of one seed are independent of each other.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut seeder = ChaCha8Rng::seed_from_u64(seed);
        seeder.set_stream(stream);
        Self(Pcg64::from_rng(&mut seeder))
    }

    /// Returns 64 random bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Returns a number from 0 up to, and without, 1.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        unit(self.bits())
    }

    /// Returns an exponential number with mean 1, above 0.
    ///
    /// By the ziggurat method, which multiplies where a logarithm would be taken; only 2.2 % of the draws
    /// (summed from the tables) need a function of the mathematical library.
    #[inline]
    pub fn exponential(&mut self) -> f64 {
        Exp1.sample(&mut self.0)
    }

    /// Returns a number from a law.
    #[inline]
    pub fn draw(&mut self, law: &impl Distribution<f64>) -> f64 {
        law.sample(&mut self.0)
    }

    /// Returns a whole number below `n`; the bias of 2^-32 × n does not matter for samples.
    #[inline]
    pub fn below(&mut self, n: u32) -> u32 {
        (((self.bits() >> 32) * u64::from(n)) >> 32) as u32
    }
}

/// Returns a number from 0 up to, and without, 1 that looks random and follows from some numbers alone: the mixing steps of
/// `SplitMix64` (Steele, Lea and Flood 2014), one after the other.
#[inline]
pub fn unit_of(numbers: [u64; 4]) -> f64 {
    let mixed = numbers.into_iter().fold(0, |mixed: u64, number| {
        let mut bits = (mixed ^ number).wrapping_add(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    });
    unit(mixed)
}

/// Returns the number from 0 up to, and without, 1 that the leading 53 of 64 random bits make.
#[inline]
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use super::{Dice, unit_of};

    #[test]
    fn numbers_that_follow_each_other_are_mixed_evenly() {
        const DRAWS: u64 = 100_000;
        for place in 0..4 {
            let mut cells = [0.0; 10];
            let (mut before, mut product) = (0.5, 0.0);
            for number in 0..DRAWS {
                let mut numbers = [7; 4];
                numbers[place] = number;
                let unit = unit_of(numbers);
                cells[(unit * 10.0) as usize] += 10.0 / DRAWS as f64;
                product += (unit - 0.5) * (before - 0.5) * 12.0 / DRAWS as f64;
                before = unit;
            }
            assert!(cells.iter().all(|cell| (cell - 1.0_f64).abs() < 0.05), "{cells:?}");
            assert!(f64::abs(product) < 0.015, "{product}");
        }
    }

    #[test]
    fn exponential_numbers_follow_their_law() {
        const DRAWS: u32 = 4_000_000;
        let mut dice = Dice::new(1, 1);
        let numbers: Vec<f64> = (0..DRAWS).map(|_| dice.exponential()).collect();
        let mean_of = |law: fn(f64) -> f64| numbers.iter().map(|&x| law(x)).sum::<f64>() / f64::from(DRAWS);
        // Moments k! with deviation √((2k)! − k!²); quantiles up to the last ones, which the ziggurat's tail draws.
        for (moment, wanted, deviation) in
            [(mean_of(|x| x), 1.0, 1.0), (mean_of(|x| x * x), 2.0, 4.5), (mean_of(|x| x * x * x), 6.0, 26.2)]
        {
            assert!((moment - wanted).abs() < 5.0 * deviation / f64::from(DRAWS).sqrt(), "{moment} against {wanted}");
        }
        for limit in [0.001, 0.1, 1.0, 3.0, 7.0, 7.8, 9.0] {
            let above = numbers.iter().filter(|&&x| x > limit).count() as f64;
            let wanted = f64::from(DRAWS) * (-limit).exp();
            let deviation = (wanted * (1.0 - (-limit).exp())).sqrt();
            assert!((above - wanted).abs() < 5.0 * deviation, "above {limit}: {above} against {wanted}");
        }
        assert!(numbers.iter().all(|&x| x > 0.0 && x.is_finite()));
    }
}
