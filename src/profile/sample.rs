//! Statistics of repeated calls: quantiles with intervals, moments, and when to stop.

use std::time::Duration;

use super::{Latency, Quantile};
use crate::units::{Accuracy, Millis};

/// Calls below which a narrow interval is luck, and the p99 would be the maximum.
pub const FEWEST_CALLS: usize = 100;

/// The normal quantile of a two-sided 95 % interval.
const Z95: f64 = 1.959_963_984_540_054;

/// Returns moments and quantiles of some times.
///
/// # Panics
/// Where there is no time.
#[must_use]
pub fn latency(walls: &[Duration]) -> Latency {
    let sorted = sorted_ms(walls);
    let n = sorted.len() as f64;
    let mean = sorted.iter().sum::<f64>() / n;
    let variance = sorted.iter().map(|ms| (ms - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    let ms = Millis::saturating;
    Latency {
        mean_ms: ms(mean),
        std_ms: ms(variance.sqrt()),
        min_ms: ms(sorted[0]),
        max_ms: ms(sorted[sorted.len() - 1]),
        p50: quantile(&sorted, 0.5),
        p90: quantile(&sorted, 0.9),
        p95: quantile(&sorted, 0.95),
        p99: quantile(&sorted, 0.99),
        p999: quantile(&sorted, 0.999),
    }
}

/// Tells whether the half-width of the median's interval is at most `precision` of the median.
#[must_use]
pub fn is_precise(walls: &[Duration], precision: f64) -> bool {
    if walls.len() < FEWEST_CALLS {
        return false;
    }
    let median = quantile(&sorted_ms(walls), 0.5);
    (median.high_ms.get() - median.low_ms.get()) / 2.0 <= precision * median.value_ms.get()
}

/// Returns the Wilson score interval (95 %) of a part, as (low, high).
///
/// Wilson (1927): the shares that a normal test at 5 % would not reject. Without samples it is 0 to 1.
#[must_use]
pub fn wilson(hits: u64, samples: u64) -> (Accuracy, Accuracy) {
    if samples == 0 {
        return (Accuracy::ZERO, Accuracy::saturating(1.0));
    }
    let (n, p) = (samples as f64, hits as f64 / samples as f64);
    let z2 = Z95 * Z95;
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z95 * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt() / (1.0 + z2 / n);
    // Rounding must not push an end past the value itself, where all or none are hits.
    (Accuracy::saturating((centre - half).min(p)), Accuracy::saturating((centre + half).max(p)))
}

fn sorted_ms(walls: &[Duration]) -> Vec<f64> {
    let mut sorted: Vec<f64> = walls.iter().map(|wall| wall.as_secs_f64() * 1e3).collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Nearest rank, with the order statistics that bound the quantile in 95 % of all series.
fn quantile(sorted: &[f64], q: f64) -> Quantile {
    let n = sorted.len();
    let rank = nearest_rank(n, q);
    let (low, high) = interval_ranks(n, q);
    let at = |rank: usize| Millis::saturating(sorted[rank.clamp(1, n) - 1]);
    Quantile { value_ms: at(rank), low_ms: at(low.min(rank)), high_ms: at(high.max(rank)) }
}

fn nearest_rank(n: usize, q: f64) -> usize {
    // 0.99 × 100 is 99.00000000000001 in floating point: that is rank 99, not 100.
    ((q * n as f64 - 1e-9).ceil() as usize).clamp(1, n)
}

/// Returns the ranks l and u with P(X(l) ≤ quantile) and P(quantile ≤ X(u)) at least 97.5 % each, cut to 1..=n.
///
/// The number of samples below the quantile is binomial(n, q); its law is summed exactly.
fn interval_ranks(n: usize, q: f64) -> (usize, usize) {
    let (count, odds) = (n as f64, (q / (1.0 - q)).ln());
    let mut log_mass = count * (1.0 - q).ln();
    let mut below = 0.0;
    let mut low = 1;
    for k in 0..n {
        below += log_mass.exp();
        if below <= 0.025 {
            low = k + 1;
        }
        if below >= 0.975 {
            return (low, k + 1);
        }
        log_mass += ((count - k as f64) / (k as f64 + 1.0)).ln() + odds;
    }
    (low, n)
}

#[cfg(test)]
mod tests {
    use super::{interval_ranks, is_precise, latency, nearest_rank, wilson};
    use std::time::Duration;

    fn millis(range: std::ops::RangeInclusive<u64>) -> Vec<Duration> {
        range.rev().map(Duration::from_millis).collect()
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let seen = latency(&millis(1..=100));
        assert_eq!((seen.p50.value_ms.get(), seen.p99.value_ms.get(), seen.p999.value_ms.get()), (50.0, 99.0, 100.0));
        assert_eq!((seen.min_ms.get(), seen.max_ms.get(), seen.mean_ms.get()), (1.0, 100.0, 50.5));
        assert!((seen.std_ms.get() - 29.011_49).abs() < 1e-4);
        assert_eq!((nearest_rank(1, 0.999), nearest_rank(1000, 0.999)), (1, 999));
    }

    /// Conover, Practical Nonparametric Statistics: the median of 100 lies between ranks 40 and 61 (95 %).
    #[test]
    fn median_interval_is_that_of_the_binomial_table() {
        assert_eq!(interval_ranks(100, 0.5), (40, 61));
        assert_eq!(interval_ranks(10, 0.5), (2, 9));
    }

    #[test]
    fn an_unbounded_tail_ends_at_the_maximum() {
        assert_eq!(interval_ranks(50, 0.99).1, 50);
        assert_eq!(interval_ranks(1, 0.5), (1, 1));
    }

    #[test]
    fn intervals_of_long_series_neither_vanish_nor_overflow() {
        let (low, high) = interval_ranks(50_000, 0.5);
        assert!((24_770..=24_790).contains(&low) && (25_210..=25_230).contains(&high), "{low} {high}");
    }

    #[test]
    fn stops_when_narrow_and_not_before_the_fewest() {
        let steady = vec![Duration::from_millis(5); super::FEWEST_CALLS - 1];
        assert!(!is_precise(&steady, 0.5));
        assert!(is_precise(&[steady, vec![Duration::from_millis(5)]].concat(), 0.01));
        assert!(!is_precise(&millis(1..=100), 0.1));
        assert!(is_precise(&millis(1..=100), 0.25));
    }

    /// Wilson's interval of 81 in 263, Newcombe (1998), table I: 0.2553 to 0.3662.
    #[test]
    fn wilson_is_that_of_newcombe() {
        let (low, high) = wilson(81, 263);
        assert!((low.get() - 0.2553).abs() < 5e-5 && (high.get() - 0.3662).abs() < 5e-5, "{low} {high}");
        assert_eq!(wilson(20, 20).1.get(), 1.0);
        assert_eq!((wilson(0, 0).0.get(), wilson(0, 0).1.get()), (0.0, 1.0));
    }
}
