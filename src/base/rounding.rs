//! What counts as rounding, in one place: how far two numbers may be apart that are equal in exact arithmetic.
//!
//! The unit of a price, a rate, a time or a weight is the user's choice. So every tolerance on such a number is a part of
//! the numbers at hand: of the two that are compared, or, where a difference of larger numbers is compared, of those.
//! Accuracies and probabilities are parts of one whatever the user chooses; only for them a tolerance may be absolute.

/// Numbers that were found in different ways, such as a product and a sum of logarithms.
pub(crate) const ROUNDING: f64 = 1e-9;

/// Sums of the same numbers in another order.
pub(crate) const SUMS: f64 = 1e-12;

/// Two partial solutions of one search: of those that differ by less, one is enough.
pub(crate) const NOISE: f64 = 1e-13;

/// Tells whether two numbers of one unit are equal.
pub(crate) fn equal(one: f64, other: f64) -> bool {
    (one - other).abs() <= ROUNDING * one.abs().min(other.abs())
}

/// Tells whether a number keeps within a limit of the same unit.
pub(crate) fn keeps_within(number: f64, limit: f64) -> bool {
    number <= limit + ROUNDING * limit.abs()
}

#[cfg(test)]
mod tests {
    use super::{equal, keeps_within};

    #[test]
    fn tolerances_do_not_depend_on_the_unit() {
        for unit in [1e-300, 1e-12, 1.0, 1e12, 1e300] {
            assert!(equal((0.1 + 0.2) * unit, 0.3 * unit) && !equal(unit, 1.001 * unit), "{unit}");
            assert!(keeps_within((0.1 + 0.2) * unit, 0.3 * unit) && !keeps_within(1.001 * unit, unit), "{unit}");
            assert!(
                keeps_within(-unit, -unit) && !keeps_within(-0.999 * unit, -unit) && keeps_within(unit, f64::INFINITY),
                "{unit}"
            );
        }
        assert!(equal(0.0, 0.0) && !equal(0.0, 1e-300) && !keeps_within(1e-300, 0.0));
    }
}
