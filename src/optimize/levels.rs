//! Values in levels: the first decides, the next where it ties, rounding aside.

use std::iter::Sum;
use std::ops::{Add, Mul, Sub};

use crate::base::rounding::SUMS;

/// Levels that a value has.
const LEVELS: usize = 3;

/// A value in levels, each a part of one; higher is better.
///
/// Values add up level by level, so that what several steps or periods are worth is the sum of what each is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Levels(pub [f64; LEVELS]);

impl Levels {
    /// Tells whether this is worth more than another value.
    #[must_use]
    pub fn beats(self, other: Self) -> bool {
        let differs = |(own, other): &(f64, f64)| (own - other).abs() > SUMS;
        self.0.into_iter().zip(other.0).find(differs).is_some_and(|(own, other)| own > other)
    }

    /// Returns the larger of two values; this one of equals.
    pub(crate) fn max(self, other: Self) -> Self {
        if other.beats(self) { other } else { self }
    }

    /// Returns the smaller of two values; this one of equals.
    pub(crate) fn min(self, other: Self) -> Self {
        if self.beats(other) { other } else { self }
    }

    /// Returns the better of two values with what they stand for; the first of equals.
    #[must_use]
    pub fn better<T>(best: (Self, T), next: (Self, T)) -> (Self, T) {
        if next.0.beats(best.0) { next } else { best }
    }
}

/// A value with one level.
impl From<f64> for Levels {
    fn from(value: f64) -> Self {
        Self([value, 0.0, 0.0])
    }
}

impl Add for Levels {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|level| self.0[level] + other.0[level]))
    }
}

impl Sub for Levels {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + other * -1.0
    }
}

impl Mul<f64> for Levels {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        Self(self.0.map(|level| level * factor))
    }
}

impl Sum for Levels {
    fn sum<I: Iterator<Item = Self>>(values: I) -> Self {
        values.fold(Self::default(), Add::add)
    }
}
