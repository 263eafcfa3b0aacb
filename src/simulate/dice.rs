//! Randomness that is the same on every machine: `ChaCha8`, which is specified, in numbered streams of one seed.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rand_distr::{Distribution, Exp1};

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// Returns a stream; streams of one seed are independent of each other.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut source = ChaCha8Rng::seed_from_u64(seed);
        source.set_stream(stream);
        Self(source)
    }

    /// Returns 64 random bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Returns a number from 0 up to, and without, 1.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Returns an exponential number with mean 1, above 0.
    ///
    /// By the ziggurat method, which multiplies where a logarithm would be taken; only one draw in some hundred needs a
    /// function of the mathematical library.
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
