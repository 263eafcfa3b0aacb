//! Statistics of repeated calls: quantiles with intervals, moments, warm-up, and when to stop.
//!
//! Calls follow each other on one machine, so they are not independent. The number of calls below a quantile is binomial
//! where they are; where they are not, its variance is larger by the integrated autocorrelation time τ of "is this call
//! below", and n calls tell as much as n ÷ τ independent ones.

use std::time::Duration;

use super::{Latency, Quantile};
use crate::base::units::{Accuracy, Millis};

/// Calls below which a narrow interval is luck, and the p99 would be the maximum.
pub const FEWEST_CALLS: usize = 100;

/// The normal quantile of a two-sided 95 % interval.
const Z95: f64 = 1.959_963_984_540_054;
/// What each end of a 95 % interval may miss.
const TAIL: f64 = 0.025;

/// Returns moments and quantiles of some times, in the order in which they were measured.
///
/// # Panics
/// Where there is no time.
#[must_use]
pub fn latency(walls: &[Duration]) -> Latency {
    let series = Series::of(walls);
    let sorted = &series.sorted;
    let n = sorted.len() as f64;
    let mean = sorted.iter().sum::<f64>() / n;
    let variance = sorted.iter().map(|ms| (ms - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    let ms = Millis::saturating;
    Latency {
        mean_ms: ms(mean),
        std_ms: ms(variance.sqrt()),
        min_ms: ms(sorted[0]),
        max_ms: ms(sorted[sorted.len() - 1]),
        p50: series.quantile(0.5),
        p90: series.quantile(0.9),
        p95: series.quantile(0.95),
        p99: series.quantile(0.99),
        p999: series.quantile(0.999),
    }
}

/// Returns the 95 % interval (Wilson) of the part of times that are at most `limit`, as (low, high).
#[must_use]
pub fn part_within(walls: &[Duration], limit: Duration) -> (Accuracy, Accuracy) {
    let limit_ms = limit.as_secs_f64() * 1e3;
    let independent = walls.len() as f64 / Series::of(walls).correlation_time(limit_ms);
    let within = walls.iter().filter(|wall| **wall <= limit).count() as f64 / walls.len().max(1) as f64;
    wilson((independent * within).round() as u64, independent.round() as u64)
}

/// Returns how many independent calls the upper end of a quantile's interval needs: one lies beyond the quantile in all but
/// 2.5 % of series.
#[must_use]
pub fn calls_to_bound(q: f64) -> usize {
    (TAIL.ln() / q.ln()).ceil() as usize
}

/// Tells whether the half-width of a quantile's interval is at most `precision` of the quantile.
#[must_use]
pub fn is_precise(walls: &[Duration], q: f64, precision: f64) -> bool {
    if walls.len() < FEWEST_CALLS.max(calls_to_bound(q)) {
        return false;
    }
    let quantile = Series::of(walls).quantile(q);
    (quantile.high_ms.get() - quantile.low_ms.get()) / 2.0 <= precision * quantile.value_ms.get()
}

/// Returns how many independent times tell as much of a quantile as these: n ÷ τ.
#[must_use]
pub fn independent(walls: &[Duration], q: f64) -> usize {
    let series = Series::of(walls);
    if series.sorted.is_empty() { 0 } else { series.independent(series.sorted[nearest_rank(walls.len(), q) - 1]) }
}

/// Returns how many times that follow each other tell as much as one independent one of whether a time is within a limit: the
/// integrated autocorrelation time, at least 1.
#[must_use]
pub fn correlation_time(walls: &[Duration], limit: Duration) -> f64 {
    Series::of(walls).correlation_time(limit.as_secs_f64() * 1e3)
}

/// Returns how many calls at the beginning belong to the warm-up: the cut at which the standard error of the mean of
/// what remains is least (MSER, White 1997), no later than half way.
///
/// Times beyond three interquartile ranges above the third quartile count as that: an outlier is no warm-up.
#[must_use]
pub fn warm_up(walls: &[Duration]) -> usize {
    let series = Series::of(walls);
    let n = series.times.len();
    if n < 8 {
        return 0;
    }
    let (low, high) = (series.sorted[n / 4], series.sorted[3 * n / 4]);
    let most = high + 3.0 * (high - low);
    let (mut sum, mut squares, mut best) = (0.0, 0.0, (f64::INFINITY, 0));
    for (cut, time) in series.times.iter().enumerate().rev() {
        let time = time.min(most);
        sum += time;
        squares += time * time;
        let left = (n - cut) as f64;
        let error = (squares - sum * sum / left).max(0.0) / (left * left);
        if cut <= n / 2 && error <= best.0 {
            best = (error, cut);
        }
    }
    best.1
}

/// Times in milliseconds, as they came and sorted.
struct Series {
    times: Vec<f64>,
    sorted: Vec<f64>,
}

impl Series {
    fn of(walls: &[Duration]) -> Self {
        let times: Vec<f64> = walls.iter().map(|wall| wall.as_secs_f64() * 1e3).collect();
        let mut sorted = times.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        Self { times, sorted }
    }

    /// Nearest rank, with the order statistics that bound the quantile in 95 % of all series; between two of them by the
    /// part of the probability (Nyblom 1992).
    fn quantile(&self, q: f64) -> Quantile {
        let n = self.sorted.len();
        let value = self.sorted[nearest_rank(n, q) - 1];
        let independent = self.independent(value);
        let (low, high) = interval_ranks(independent, q);
        let stretch = n as f64 / independent as f64;
        let ms = Millis::saturating;
        let low = self.at_rank(low * stretch).min(value);
        // The maximum of a shorter series stands for the maximum of this one.
        let high = if high >= independent as f64 { self.sorted[n - 1] } else { self.at_rank(high * stretch) };
        Quantile { value_ms: ms(value), low_ms: ms(low), high_ms: ms(high.max(value)) }
    }

    fn independent(&self, limit: f64) -> usize {
        let n = self.sorted.len();
        ((n as f64 / self.correlation_time(limit)).round() as usize).clamp(1, n)
    }

    fn at_rank(&self, rank: f64) -> f64 {
        let rank = rank.clamp(1.0, self.sorted.len() as f64);
        let below = self.sorted[rank as usize - 1];
        let above = self.sorted[(rank as usize).min(self.sorted.len() - 1)];
        below + rank.fract() * (above - below)
    }

    /// Returns τ = 1 + 2 Σ ρₖ of "the time is at most `limit`", at least 1: pairs of autocorrelations are summed as long
    /// as they are positive and beyond chance (Geyer 1992, initial positive sequence).
    fn correlation_time(&self, limit: f64) -> f64 {
        let below = Marks::of(self.times.iter().map(|time| *time <= limit));
        let count = self.times.len();
        let (n, mean) = (count as f64, below.among_first(count) as f64 / count as f64);
        let variance = mean * (1.0 - mean);
        if variance <= 0.0 || count < FEWEST_CALLS {
            return 1.0;
        }
        // Σ (aᵢ − m)(aᵢ₊ₗ − m) over the pairs of a lag, multiplied out: the aᵢ are 0 or 1, so the sums are counts.
        let correlation = |lag: usize| {
            let earlier = below.among_first(count - lag);
            let later = below.among_first(count) - below.among_first(lag);
            let both = below.pairs(lag) as f64;
            (both - mean * (earlier + later) as f64 + mean * mean * (count - lag) as f64) / n / variance
        };
        let (mut sum, mut lags) = (1.0, 0.0);
        for lag in (1..count / 4).step_by(2) {
            let pair = correlation(lag) + correlation(lag + 1);
            sum += 2.0 * pair.max(0.0);
            lags += 2.0;
            if pair <= std::f64::consts::SQRT_2 / n.sqrt() {
                break;
            }
        }
        sum * cautious(lags, n)
    }
}

/// Returns by how much a correlation time that was found from so many lags of n times is raised, for two reasons:
/// autocorrelations around the series' own mean are too small by about τ ÷ n each, and what is estimated has an error of
/// its own, so that the interval is Student's with n ÷ (2 lags + 1) degrees of freedom and not the normal one.
fn cautious(lags: f64, n: f64) -> f64 {
    let part = (2.0 * lags + 1.0) / n;
    let student = 1.0 + (Z95 * Z95 + 1.0) / 4.0 * part;
    student * student / (1.0 - part).max(0.5)
}

/// Which times of a series have a property, 64 to a word: a series that drifts has thousands of lags, each of which
/// looks at all pairs.
struct Marks {
    /// And a last one without marks.
    words: Vec<u64>,
    /// Marks among the first so many times.
    counts: Vec<usize>,
}

impl Marks {
    fn of(marks: impl ExactSizeIterator<Item = bool>) -> Self {
        let mut words = vec![0; marks.len().div_ceil(64) + 1];
        let mut counts = vec![0];
        for (place, mark) in marks.enumerate() {
            words[place / 64] |= u64::from(mark) << (place % 64);
            counts.push(counts[place] + usize::from(mark));
        }
        Self { words, counts }
    }

    fn among_first(&self, times: usize) -> usize {
        self.counts[times]
    }

    /// Counts the marked times that are followed by another marked one so many places later.
    fn pairs(&self, lag: usize) -> u64 {
        let (skipped, shift) = (lag / 64, lag % 64);
        let later = &self.words[skipped..];
        // Shifting by 64 is not defined, so it is done in two steps.
        let shifted = later.iter().zip(&later[1..]).map(|(word, next)| (word >> shift) | (next << 1 << (63 - shift)));
        self.words.iter().zip(shifted).map(|(word, later)| u64::from((word & later).count_ones())).sum()
    }
}

/// Returns the Wilson score interval (95 %) of a part, as (low, high).
///
/// Wilson (1927): the shares that a normal test at 5 % would not reject. Without samples it is 0 to 1.
#[must_use]
pub fn wilson(hits: u64, samples: u64) -> (Accuracy, Accuracy) {
    if samples == 0 {
        return (Accuracy::ZERO, Accuracy::saturating(1.0));
    }
    wilson_mean(hits as f64 / samples as f64, samples)
}

/// Returns the 95 % interval of the mean of numbers from 0 to 1, of which so many have this mean.
///
/// Wilson's interval with the mean in place of the share: numbers from 0 to 1 vary at most as much as zeros and ones of the same
/// mean, so it is never too narrow for that.
#[must_use]
pub fn wilson_mean(mean: f64, samples: u64) -> (Accuracy, Accuracy) {
    if samples == 0 {
        return (Accuracy::ZERO, Accuracy::saturating(1.0));
    }
    let (n, p) = (samples as f64, mean);
    let z2 = Z95 * Z95;
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z95 * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt() / (1.0 + z2 / n);
    // Rounding must not push an end past the value itself, where all or none are hits.
    (Accuracy::saturating((centre - half).min(p)), Accuracy::saturating((centre + half).max(p)))
}

/// Returns the share that hits exceed with confidence 1 − δ (Clopper and Pearson 1934, one-sided): the largest share at which
/// so many hits or more have a probability of at most δ. Exact: the binomial law is summed.
///
/// # Panics
/// Where there are more hits than samples.
#[must_use]
pub fn clopper_pearson_low(hits: u64, samples: u64, delta: f64) -> f64 {
    assert!(hits <= samples, "{hits} of {samples} samples");
    if hits == 0 {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, hits as f64 / samples as f64);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if at_least(hits, samples, middle) <= delta { low = middle } else { high = middle }
    }
    low
}

/// Returns the probability of `hits` or more among so many independent samples, each of which is one with probability `share`.
#[must_use]
pub fn at_least(hits: u64, samples: u64, share: f64) -> f64 {
    if hits == 0 || share >= 1.0 {
        return 1.0;
    }
    if share <= 0.0 {
        return 0.0;
    }
    let (n, odds) = (samples as f64, share / (1.0 - share));
    // The tail that begins beyond the mode falls term by term, so it can be cut where terms vanish.
    let sum = |mut term: f64, mut hits: f64, up: bool| {
        let mut sum = 0.0;
        while term > sum * f64::EPSILON / 4.0 && term > 0.0 {
            sum += term;
            term *= if up { (n - hits) / (hits + 1.0) * odds } else { hits / (n - hits + 1.0) / odds };
            hits += if up { 1.0 } else { -1.0 };
        }
        sum
    };
    if hits as f64 > n * share {
        sum(binomial(hits, samples, share), hits as f64, true).min(1.0)
    } else {
        (1.0 - sum(binomial(hits - 1, samples, share), (hits - 1) as f64, false)).max(0.0)
    }
}

/// Returns the probability of exactly `hits`, by Loader's saddle-point form (2000), which loses no digits to large factorials.
fn binomial(hits: u64, samples: u64, share: f64) -> f64 {
    let (k, n) = (hits as f64, samples as f64);
    if hits == 0 {
        return (n * (-share).ln_1p()).exp();
    }
    if hits == samples {
        return (n * share.ln()).exp();
    }
    // ln n! minus Stirling's formula.
    let error = |n: f64| {
        if n < 16.0 {
            let factorial: f64 = (1..=n as u32).map(|factor| f64::from(factor).ln()).sum();
            return factorial - (n + 0.5) * n.ln() + n - 0.5 * std::f64::consts::TAU.ln();
        }
        let square = n * n;
        (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - 1.0 / 1680.0 / square) / square) / square) / n
    };
    let deviance = |seen: f64, expected: f64| seen * (seen / expected).ln() + expected - seen;
    let exponent = error(n) - error(k) - error(n - k) - deviance(k, n * share) - deviance(n - k, n * (1.0 - share));
    (exponent - 0.5 * (std::f64::consts::TAU * k * (n - k) / n).ln()).exp()
}

fn nearest_rank(n: usize, q: f64) -> usize {
    // 0.99 × 100 is 99.00000000000001 in floating point: that is rank 99, not 100.
    ((q * n as f64 - 1e-9).ceil() as usize).clamp(1, n)
}

/// Returns the ranks, with fractions, below and above which the quantile of `n` independent samples is in 2.5 % of all
/// cases each; 1 and `n` where the samples are too few.
///
/// The number of samples below the quantile is binomial(n, q); its law is summed exactly.
fn interval_ranks(n: usize, q: f64) -> (f64, f64) {
    let (count, odds) = (n as f64, (q / (1.0 - q)).ln());
    let mut log_mass = count * (1.0 - q).ln();
    let (mut below, mut low) = (0.0, None);
    for k in 0..n {
        let (before, rank) = (below, k as f64);
        below += log_mass.exp();
        // The quantile is under the sample of rank k + 1 with probability P(at most k below) = `below`.
        if low.is_none() && below > TAIL {
            low = Some((rank + (TAIL - before) / (below - before)).max(1.0));
        }
        // It is above that sample with probability 1 − `below`.
        if below >= 1.0 - TAIL {
            let part = (below - (1.0 - TAIL)) / (below - before);
            return (low.unwrap_or(1.0), (rank + 1.0 - part).clamp(1.0, count));
        }
        log_mass += ((count - rank) / (rank + 1.0)).ln() + odds;
    }
    (low.unwrap_or(1.0), count)
}

#[cfg(test)]
mod tests {
    use super::{Marks, Series, at_least, clopper_pearson_low, interval_ranks, is_precise, latency};
    use super::{nearest_rank, warm_up, wilson};
    use crate::stats::Dice;
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

    /// Conover, Practical Nonparametric Statistics: the median of 100 lies between ranks 40 and 61 in at least 95 %.
    #[test]
    fn median_interval_is_inside_that_of_the_binomial_table() {
        let (low, high) = interval_ranks(100, 0.5);
        assert!((40.0..41.0).contains(&low) && (60.0..=61.0).contains(&high), "{low} {high}");
        let (low, high) = interval_ranks(10, 0.5);
        assert!((2.0..3.0).contains(&low) && (8.0..=9.0).contains(&high), "{low} {high}");
    }

    #[test]
    fn an_unbounded_tail_ends_at_the_maximum() {
        assert_eq!(interval_ranks(50, 0.99).1, 50.0);
        assert_eq!(interval_ranks(1, 0.5), (1.0, 1.0));
    }

    #[test]
    fn intervals_of_long_series_neither_vanish_nor_overflow() {
        let (low, high) = interval_ranks(50_000, 0.5);
        assert!((24_770.0..=24_790.0).contains(&low) && (25_210.0..=25_230.0).contains(&high), "{low} {high}");
    }

    /// An AR(1) series of signs that repeats its last with probability (1 + ρ)/2 has τ = (1 + ρ) ÷ (1 − ρ).
    #[test]
    fn correlation_time_is_that_of_a_repeating_series() {
        let mut dice = Dice::new(1, 0);
        for rho in [0.0, 0.5, 0.9] {
            let mut last = 1;
            let mut draw = || {
                if dice.unit() > (1.0 + rho) / 2.0 {
                    last = 3 - last;
                }
                Duration::from_millis(last)
            };
            let seen = Series::of(&(0..50_000).map(|_| draw()).collect::<Vec<_>>()).correlation_time(1.0);
            let wanted = (1.0 + rho) / (1.0 - rho);
            assert!((seen / wanted - 1.0).abs() < 0.1, "ρ {rho}: {seen} for {wanted}");
        }
    }

    #[test]
    fn pairs_of_marks_are_counted_at_every_lag() {
        let mut dice = Dice::new(3, 0);
        let marks: Vec<bool> = (0..200).map(|_| dice.unit() < 0.4).collect();
        let seen = Marks::of(marks.iter().copied());
        for lag in 0..200 {
            let wanted = marks.iter().zip(&marks[lag..]).filter(|(earlier, later)| **earlier && **later).count();
            assert_eq!(seen.pairs(lag), wanted as u64, "lag {lag}");
        }
        assert_eq!(seen.among_first(200), marks.iter().filter(|mark| **mark).count());
    }

    #[test]
    fn warm_up_ends_where_the_series_settles() {
        let mut dice = Dice::new(2, 0);
        let mut settled =
            |n: usize| (0..n).map(|_| Duration::from_micros(1000 + u64::from(dice.below(50)))).collect::<Vec<_>>();
        let steady = settled(400);
        assert!(warm_up(&steady) < 100, "{}", warm_up(&steady));
        let falling: Vec<_> = (0..40).map(|k| Duration::from_micros(3000 - 50 * k)).collect();
        let cut = warm_up(&[falling, settled(400)].concat());
        assert!((35..80).contains(&cut), "{cut}");
        let mut with_outlier = settled(400);
        with_outlier[150] = Duration::from_millis(500);
        assert!(warm_up(&with_outlier) < 150, "an outlier is no warm-up");
        assert_eq!((warm_up(&steady[..3]), warm_up(&[Duration::from_millis(5); 100])), (0, 0));
    }

    #[test]
    fn stops_when_narrow_and_not_before_the_fewest() {
        let steady = vec![Duration::from_millis(5); super::FEWEST_CALLS - 1];
        assert!(!is_precise(&steady, 0.5, 0.5));
        assert!(is_precise(&[steady, vec![Duration::from_millis(5)]].concat(), 0.5, 0.01));
        assert!(!is_precise(&millis(1..=100), 0.5, 0.05));
        assert!(is_precise(&millis(1..=100), 0.5, 0.99));
    }

    /// Wilson's interval of 81 in 263, Newcombe (1998), table I: 0.2553 to 0.3662.
    #[test]
    fn wilson_is_that_of_newcombe() {
        let (low, high) = wilson(81, 263);
        assert!((low.get() - 0.2553).abs() < 5e-5 && (high.get() - 0.3662).abs() < 5e-5, "{low} {high}");
        assert_eq!(wilson(20, 20).1.get(), 1.0);
        assert_eq!((wilson(0, 0).0.get(), wilson(0, 0).1.get()), (0.0, 1.0));
    }

    /// Tails of few samples are sums of products of small numbers, which can be taken directly.
    #[test]
    fn binomial_tails_are_those_of_their_definition() {
        for samples in [1_u32, 2, 7, 30, 55] {
            for share in [0.01, 0.3, 0.5, 0.93] {
                let choose = |k: u32| (0..k).map(|j| f64::from(samples - j) / f64::from(j + 1)).product::<f64>();
                let mass =
                    |k: u32| choose(k) * f64::powi(share, k as i32) * f64::powi(1.0 - share, (samples - k) as i32);
                for hits in 0..=samples {
                    let wanted: f64 = (hits..=samples).map(mass).sum();
                    let seen = at_least(u64::from(hits), u64::from(samples), share);
                    assert!(
                        (seen - wanted).abs() <= 1e-12 + 1e-9 * wanted,
                        "{hits} of {samples} at {share}: {seen}, {wanted}"
                    );
                }
            }
        }
        assert_eq!((at_least(3, 5, 0.0), at_least(3, 5, 1.0)), (0.0, 1.0));
    }

    /// All of n are hits: the bound is δ^(1/n). One of n: 1 − (1 − δ)^(1/n). In between the beta quantile, here by the law itself.
    #[test]
    fn clopper_pearson_is_exact() {
        for n in [1, 10, 1_000, 62_774] {
            let root = 1.0 / n as f64;
            assert!((clopper_pearson_low(n, n, 0.05) - f64::powf(0.05, root)).abs() < 1e-12);
            assert!((clopper_pearson_low(1, n, 0.05) - (1.0 - f64::powf(0.95, root))).abs() < 1e-12);
            assert_eq!(clopper_pearson_low(0, n, 0.05), 0.0);
        }
        for (hits, n) in [(85, 100), (7_000, 8_000), (55_000, 62_774)] {
            let low = clopper_pearson_low(hits, n, 0.05);
            assert!((at_least(hits, n, low) - 0.05).abs() < 1e-9 && low < hits as f64 / n as f64);
        }
    }
}
