//! What a delay must be able to do for the search, and the two there are: seconds that add up, and distributions that are
//! convolved.

use super::labels::{Label, keep_undominated_pairwise, keep_undominated_seconds};
use crate::base::rounding::{SUMS, keeps_within};
use crate::stats::GridDistribution;

/// How long something takes: a number, or a distribution.
pub trait Delay: Clone {
    /// Returns the delay of this and then the other.
    #[must_use]
    fn then(&self, next: &Self) -> Self;

    /// Returns the delay until both are done that begin together.
    #[must_use]
    fn beside(&self, other: &Self) -> Self;

    /// Tells whether the delay keeps within a limit.
    fn fits(&self, limit: f64) -> bool;

    /// Tells whether this and then the other keep within a limit.
    fn fits_before(&self, rest: &Self, limit: f64) -> bool {
        self.then(rest).fits(limit)
    }

    /// Returns a delay that is no later than any of these.
    #[must_use]
    fn earliest(&self, other: &Self) -> Self;

    /// Returns what may be added up over a chain and must then stay below the limit; `None` where there is no such number.
    fn additive(&self) -> Option<f64>;

    /// Removes labels that another one beats or equals in delay, cost and accuracy.
    fn keep_undominated(labels: &mut Vec<Label<Self>>);
}

impl Delay for f64 {
    fn then(&self, next: &Self) -> Self {
        self + next
    }

    fn beside(&self, other: &Self) -> Self {
        self.max(*other)
    }

    fn fits(&self, limit: f64) -> bool {
        keeps_within(*self, limit)
    }

    fn earliest(&self, other: &Self) -> Self {
        self.min(*other)
    }

    fn additive(&self) -> Option<f64> {
        Some(*self)
    }

    fn keep_undominated(labels: &mut Vec<Label<Self>>) {
        keep_undominated_seconds(labels);
    }
}

/// The limit is the part of responses that must be there by the end of the grid.
impl Delay for GridDistribution {
    fn then(&self, next: &Self) -> Self {
        self.then(next)
    }

    fn beside(&self, other: &Self) -> Self {
        self.beside(other)
    }

    fn fits(&self, limit: f64) -> bool {
        self.in_time() >= limit - SUMS
    }

    fn fits_before(&self, rest: &Self, limit: f64) -> bool {
        self.in_time_before(rest) >= limit - SUMS
    }

    fn earliest(&self, other: &Self) -> Self {
        self.earliest(other)
    }

    fn additive(&self) -> Option<f64> {
        None
    }

    fn keep_undominated(labels: &mut Vec<Label<Self>>) {
        keep_undominated_pairwise(labels, Self::no_later_than);
    }
}
