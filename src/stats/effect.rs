//! How far two measured series differ, and how sure that is: closed forms, so that the same files give the same answer.
//!
//! Latencies have tails, so nothing here assumes a normal law. The effect size is the probability that a call of the one
//! series takes longer than a call of the other, ties counted half (Vargha and Delaney's A, 2000; Cliff's delta is
//! 2 A − 1), with the standard error of Brunner and Munzel (2000), which allows different spreads and ties.
//!
//! The p-value is the largest of three, because each is too small somewhere. Brunner and Munzel's raises too many alarms
//! with few calls, far out where corrections for many tests look; Wilcoxon's test of ranks does not, but takes another
//! spread for another median; and neither may undercut what so few calls can show at all.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Histogram, Quantile};

/// The part of calls that take longer after than before, and whether chance explains it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Effect {
    /// Probability that a call after takes longer than a call before, ties counted half: 0.5 is no difference.
    pub slower_probability: f64,
    /// Standard error of that probability.
    pub standard_error: f64,
    /// Probability of a difference at least so large where there is none (two-sided).
    pub p_value: f64,
}

/// A ratio with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ratio {
    /// One ÷ the other; of two profiles, after ÷ before.
    pub value: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
}

impl Ratio {
    /// Returns the geometric mean of ratios whose logarithms are given, with Student's interval.
    ///
    /// # Panics
    /// Where there are fewer than two.
    #[must_use]
    pub fn of_logs(logs: &[f64]) -> Self {
        assert!(logs.len() > 1, "one ratio has no interval");
        let n = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / n;
        let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let half = t_quantile(n - 1.0) * (variance / n).sqrt();
        Self { value: mean.exp(), low: (mean - half).exp(), high: (mean + half).exp() }
    }

    /// Returns the ratio with what lies below 1 raised to it.
    #[must_use]
    pub const fn no_less_than_one(self) -> Self {
        Self { value: self.value.max(1.0), low: self.low.max(1.0), high: self.high.max(1.0) }
    }

    /// Returns the ratio with an interval of at least so much, on the logarithmic scale, to both sides.
    #[must_use]
    pub fn at_least(self, half: f64) -> Self {
        Self { low: self.low.min(self.value * (-half).exp()), high: self.high.max(self.value * half.exp()), ..self }
    }

    /// Returns the ratio of two quantiles of independent series.
    ///
    /// The interval is recovered from the intervals of both quantiles on the logarithmic scale, by the squares of their
    /// arms (MOVER: Zou and Donner 2008). Dividing end by end would be needlessly wide.
    #[must_use]
    pub fn of(before: Quantile, after: Quantile) -> Self {
        let [old, old_low, old_high] = logarithms(before);
        let [new, new_low, new_high] = logarithms(after);
        let change = new - old;
        Self {
            value: change.exp(),
            low: (change - (new - new_low).hypot(old_high - old)).exp(),
            high: (change + (new_high - new).hypot(old - old_low)).exp(),
        }
    }
}

/// A clock tells nanoseconds at best, so that a time of 0 is one below 1 ns.
fn logarithms(quantile: Quantile) -> [f64; 3] {
    [quantile.value_ms, quantile.low_ms, quantile.high_ms].map(|ms| ms.get().max(1e-6).ln())
}

/// Calls of both series in one bucket.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    before: u64,
    after: u64,
}

/// Returns the effect between two series; calls in one bucket count as ties.
///
/// `None` where one of them holds no call.
#[must_use]
pub fn effect(before: &Histogram, after: &Histogram) -> Option<Effect> {
    let buckets = merged(before, after);
    let (n, m) = buckets.iter().fold((0, 0), |(n, m), bucket| (n + bucket.before, m + bucket.after));
    if n == 0 || m == 0 {
        return None;
    }
    let (ours, theirs) = placements(&buckets, n as f64, m as f64);
    let (_, before_variance) = mean_and_variance(&ours);
    let (slower_probability, after_variance) = mean_and_variance(&theirs);
    let parts = [before_variance / n as f64, after_variance / m as f64];
    let standard_error = (parts[0] + parts[1]).sqrt();
    let freedom = [n, m].map(|count| (count as f64 - 1.0).max(1.0));
    let p_value = brunner_munzel(slower_probability, parts, freedom)
        .max(wilcoxon(slower_probability, &buckets, n as f64, m as f64))
        .max(smallest_rank_p(n as f64, m as f64));
    Some(Effect { slower_probability, standard_error, p_value })
}

fn merged(before: &Histogram, after: &Histogram) -> Vec<Bucket> {
    let mut buckets: BTreeMap<u64, Bucket> = BTreeMap::new();
    for (&ns, &count) in before.value_ns.iter().zip(&before.count) {
        buckets.entry(ns).or_default().before += count;
    }
    for (&ns, &count) in after.value_ns.iter().zip(&after.count) {
        buckets.entry(ns).or_default().after += count;
    }
    buckets.into_values().collect()
}

/// A part of one series' calls: how many, and which part of the other series is faster (ties half).
type Placed = (f64, f64);

/// Returns, bucket by bucket, where the calls before stand among those after, and the other way round.
fn placements(buckets: &[Bucket], n: f64, m: f64) -> (Vec<Placed>, Vec<Placed>) {
    let (mut faster_before, mut faster_after) = (0.0, 0.0);
    let place = |bucket: &Bucket| {
        let (before, after) = (bucket.before as f64, bucket.after as f64);
        let placed = ((before, (faster_after + after / 2.0) / m), (after, (faster_before + before / 2.0) / n));
        faster_before += before;
        faster_after += after;
        placed
    };
    buckets.iter().map(place).unzip()
}

fn mean_and_variance(placed: &[Placed]) -> (f64, f64) {
    let count: f64 = placed.iter().map(|&(calls, _)| calls).sum();
    let mean = placed.iter().map(|&(calls, place)| calls * place).sum::<f64>() / count;
    let squares: f64 = placed.iter().map(|&(calls, place)| calls * (place - mean).powi(2)).sum();
    (mean, squares / (count - 1.0).max(1.0))
}

/// Brunner and Munzel (2000): Student's t with Satterthwaite's degrees of freedom.
fn brunner_munzel(probability: f64, parts: [f64; 2], freedom: [f64; 2]) -> f64 {
    let variance = parts[0] + parts[1];
    if variance == 0.0 {
        // All calls alike, or the two series do not overlap: then the tests by ranks decide.
        return if probability == 0.5 { 1.0 } else { 0.0 };
    }
    let t = (probability - 0.5) / variance.sqrt();
    let spread: f64 = parts.iter().zip(freedom).map(|(part, freedom)| part * part / freedom).sum();
    two_sided_t(t, variance * variance / spread)
}

/// Wilcoxon's rank sum (Mann and Whitney 1947): the spread that the probability has where both series are of one law.
fn wilcoxon(probability: f64, buckets: &[Bucket], n: f64, m: f64) -> f64 {
    /// With so many degrees of freedom Student's law is the normal one.
    const NORMAL: f64 = 1e6;
    let all = n + m;
    let tied = |bucket: &Bucket| (bucket.before + bucket.after) as f64;
    let ties: f64 = buckets.iter().map(|bucket| tied(bucket).powi(3) - tied(bucket)).sum();
    let variance = (all + 1.0 - ties / (all * (all - 1.0))) / (12.0 * n * m);
    // Rounding leaves a trace of a variance where all calls are alike.
    if variance < 1e-15 { 1.0 } else { two_sided_t((probability - 0.5) / variance.sqrt(), NORMAL) }
}

/// Returns the p-value of two series that do not overlap: no test by ranks can tell less, however few the calls.
fn smallest_rank_p(n: f64, m: f64) -> f64 {
    (2_f64.ln() + ln_gamma(n + 1.0) + ln_gamma(m + 1.0) - ln_gamma(n + m + 1.0)).exp().min(1.0)
}

/// Returns the p-values raised for having tested them all together (Holm 1979), in the same order.
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut raised = vec![0.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, &index) in order.iter().enumerate() {
        largest = largest.max(p_values[index] * (p_values.len() - rank) as f64).min(1.0);
        raised[index] = largest;
    }
    raised
}

/// Returns the exact p-value of McNemar's test: of the samples that only one of two answers rightly, how uneven the split
/// is (two-sided binomial with probability ½).
#[must_use]
pub fn mcnemar(only_before: u64, only_after: u64) -> f64 {
    let (few, all) = (only_before.min(only_after) as f64, (only_before + only_after) as f64);
    // P(X ≤ k) of a binomial is an incomplete beta function; with k = n/2 twice the tail exceeds 1.
    if all == 0.0 { 1.0 } else { (2.0 * incomplete_beta(0.5, all - few, few + 1.0)).min(1.0) }
}

/// Returns the probability that Student's t with so many degrees of freedom is at least so far from 0.
pub(crate) fn two_sided_t(t: f64, freedom: f64) -> f64 {
    incomplete_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5)
}

/// Returns the distance from 0 that Student's t keeps within in 95 % of cases.
pub(crate) fn t_quantile(freedom: f64) -> f64 {
    let (mut low, mut high) = (1.0, 1e3);
    while high - low > 1e-6 * high {
        let middle = 0.5 * (low + high);
        if two_sided_t(middle, freedom) > 0.05 { low = middle } else { high = middle }
    }
    high
}

/// The regularised incomplete beta function I_x(a, b).
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    // The fraction converges quickly below the mean only; above it the mirror image does.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let ln_front = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p();
    ln_front.exp() / (a * beta_fraction(x, a, b))
}

/// The continued fraction 1 + d1/(1 + d2/(1 + …)) of Abramowitz and Stegun 26.5.8, by Lentz's method.
fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    const MOST_TERMS: u32 = 10_000;
    let away_from_zero = |number: f64| if number.abs() < TINY { TINY } else { number };
    let (mut value, mut above, mut below) = (1.0, 1.0, 0.0);
    for term in 1..=MOST_TERMS {
        let k = f64::from(term / 2);
        let coefficient = if term % 2 == 0 {
            k * (b - k) * x / ((a + 2.0 * k - 1.0) * (a + 2.0 * k))
        } else {
            -(a + k) * (a + b + k) * x / ((a + 2.0 * k) * (a + 2.0 * k + 1.0))
        };
        below = 1.0 / away_from_zero(1.0 + coefficient * below);
        above = away_from_zero(1.0 + coefficient / above);
        let step: f64 = above * below;
        value *= step;
        if (step - 1.0).abs() < 1e-15 {
            break;
        }
    }
    value
}

/// The logarithm of the gamma function for positive numbers: Stirling's series, after shifting to where it is exact.
fn ln_gamma(mut x: f64) -> f64 {
    let mut shift = 0.0;
    while x < 10.0 {
        shift -= x.ln();
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series = (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square * (1.0 / 1680.0)))) / x;
    shift + (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series
}

#[cfg(test)]
mod tests {
    use super::{
        Ratio, brunner_munzel, effect, holm, incomplete_beta, ln_gamma, mcnemar, mean_and_variance, merged, placements,
        t_quantile, two_sided_t, wilcoxon,
    };
    use crate::base::units::Millis;
    use crate::stats::Dice;
    use crate::stats::{Histogram, Quantile};
    use std::time::Duration;

    /// Up to 255 ns every number has a bucket of its own.
    fn histogram(numbers: &[u64]) -> Histogram {
        Histogram::of(&numbers.iter().copied().map(Duration::from_nanos).collect::<Vec<_>>())
    }

    /// Tables of Student's law.
    #[test]
    fn quantiles_of_students_law_are_those_of_tables() {
        for (freedom, quantile) in [(1.0, 12.706_205), (4.0, 2.776_445), (30.0, 2.042_272), (1e6, 1.959_966)] {
            assert!((t_quantile(freedom) - quantile).abs() < 1e-4, "{freedom}: {}", t_quantile(freedom));
        }
    }

    /// The pain scores of Brunner and Munzel (2000): R's `lawstat` and `SciPy` give 3.1375, 17.683 and 0.0057862.
    #[test]
    fn brunner_and_munzel_find_what_they_published() {
        let before = histogram(&[1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 1, 1]);
        let after = histogram(&[3, 3, 4, 3, 1, 2, 3, 1, 1, 5, 4]);
        let seen = effect(&before, &after).expect("there are calls");
        assert!((seen.slower_probability - 0.788_961).abs() < 1e-6, "{seen:?}");
        assert!(((seen.slower_probability - 0.5) / seen.standard_error - 3.137_467_48).abs() < 1e-7, "{seen:?}");
        let (ours, theirs) = placements(&merged(&before, &after), 14.0, 11.0);
        let parts = [mean_and_variance(&ours).1 / 14.0, mean_and_variance(&theirs).1 / 11.0];
        let p = brunner_munzel(seen.slower_probability, parts, [13.0, 10.0]);
        assert!((p - 0.005_786_208_666).abs() < 1e-10, "{p}");
    }

    /// Placement of every call among the raw numbers of the other series, by counting all pairs.
    fn counted(ours: &[u64], theirs: &[u64]) -> Vec<f64> {
        let score = |a: u64, b: u64| if a > b { 1.0 } else { f64::from(u8::from(a == b)) / 2.0 };
        let place = |&a: &u64| theirs.iter().map(|&b| score(a, b)).sum::<f64>() / theirs.len() as f64;
        ours.iter().map(place).collect()
    }

    fn mean(numbers: &[f64]) -> f64 {
        numbers.iter().sum::<f64>() / numbers.len() as f64
    }

    fn squared_error(places: &[f64]) -> f64 {
        let squares: Vec<f64> = places.iter().map(|place| (place - mean(places)).powi(2)).collect();
        mean(&squares) / (places.len() as f64 - 1.0)
    }

    #[test]
    fn histograms_give_what_counting_all_pairs_gives() {
        let mut dice = Dice::new(5, 0);
        for case in 0..50 {
            let [before, after] = [2 + dice.below(60), 2 + dice.below(60)]
                .map(|count| (0..count).map(|_| 1 + u64::from(dice.below(4 + 5 * case))).collect::<Vec<u64>>());
            let seen = effect(&histogram(&before), &histogram(&after)).expect("there are calls");
            let (ours, theirs) = (counted(&before, &after), counted(&after, &before));
            let error = (squared_error(&ours) + squared_error(&theirs)).sqrt();
            assert!((seen.slower_probability - mean(&theirs)).abs() < 1e-12, "case {case}: {seen:?}");
            assert!((seen.standard_error - error).abs() < 1e-12, "case {case}: {seen:?} against {error}");
        }
    }

    /// By hand: of 1, 2, 2, 5 before and 2, 6, 7, 8 after, 13 + 2 halves of 16 pairs are slower after; the variance is
    /// (9 − 24 ÷ 56) ÷ 192. The normal law leaves 0.075927 beyond z = 1.774824.
    #[test]
    fn wilcoxon_counts_ties() {
        let buckets = merged(&histogram(&[1, 2, 2, 5]), &histogram(&[2, 6, 7, 8]));
        let p = wilcoxon(14.0 / 16.0, &buckets, 4.0, 4.0);
        assert!((p - 0.075_927).abs() < 2e-6, "{p}");
    }

    /// Buckets are 1 % wide: times that differ by more keep their order.
    #[test]
    fn buckets_hardly_change_the_effect() {
        let mut dice = Dice::new(6, 0);
        let mut draw = || (0..400).map(|_| 50_000 + u64::from(dice.below(20_000))).collect::<Vec<_>>();
        let (before, after) = (draw(), draw());
        let seen = effect(&histogram(&before), &histogram(&after)).expect("there are calls").slower_probability;
        let truth = mean(&counted(&after, &before));
        assert!((seen - truth).abs() < 0.005, "{seen} against {truth}");
    }

    #[test]
    fn swapping_mirrors_the_effect() {
        let (a, b) = (histogram(&[1, 2, 3, 9, 9]), histogram(&[2, 3, 4, 4, 9, 12]));
        let (there, back) = (effect(&a, &b).expect("calls"), effect(&b, &a).expect("calls"));
        assert!((there.slower_probability + back.slower_probability - 1.0).abs() < 1e-12);
        assert!((there.p_value - back.p_value).abs() < 1e-12);
    }

    #[test]
    fn few_calls_and_constants_have_honest_p_values() {
        let p = |a: &[u64], b: &[u64]| effect(&histogram(a), &histogram(b)).expect("calls").p_value;
        assert_eq!(p(&[7; 50], &[7; 50]), 1.0, "all alike");
        assert!((p(&[7], &[9]) - 1.0).abs() < 1e-12, "one call each says nothing");
        // 2 ÷ (6 over 3): the two most extreme of all 20 orders.
        assert!((p(&[1, 2, 3], &[7, 8, 9]) - 0.1).abs() < 1e-12);
        assert!(p(&[7; 50], &[9; 50]) < 1e-20, "constants that differ");
        assert!(effect(&histogram(&[]), &histogram(&[1])).is_none());
    }

    #[test]
    fn holm_raises_p_values_together() {
        let seen = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (seen, wanted) in seen.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((seen - wanted).abs() < 1e-12, "{seen} against {wanted}");
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    }

    #[test]
    fn mcnemar_is_the_exact_binomial() {
        // 2 × (1 + 10 + 45) ÷ 1024.
        assert!((mcnemar(2, 8) - 112.0 / 1024.0).abs() < 1e-12);
        assert!((mcnemar(0, 5) - 2.0 / 32.0).abs() < 1e-12);
        assert_eq!((mcnemar(4, 4), mcnemar(0, 0), mcnemar(8, 2)), (1.0, 1.0, mcnemar(2, 8)));
    }

    #[test]
    fn special_functions_match_their_tables() {
        assert!((ln_gamma(0.5) - std::f64::consts::PI.sqrt().ln()).abs() < 1e-11);
        assert!((ln_gamma(11.0) - 3_628_800_f64.ln()).abs() < 1e-11);
        assert!((incomplete_beta(0.25, 1.0, 3.0) - (1.0 - 0.75_f64.powi(3))).abs() < 1e-12);
        // Student's table: 2.228 leaves 5 % at 10 degrees of freedom; with one degree the law is Cauchy's.
        assert!((two_sided_t(2.228_138_85, 10.0) - 0.05).abs() < 1e-8);
        assert!((two_sided_t(1.0, 1.0) - 0.5).abs() < 1e-12);
        assert!((two_sided_t(1.959_963_985, 1e6) - 0.05).abs() < 1e-6);
    }

    #[test]
    fn a_ratio_is_narrower_than_its_ends_divided() {
        let quantile = |low: f64, value: f64, high: f64| {
            let [value_ms, low_ms, high_ms] = [value, low, high].map(Millis::saturating);
            Quantile { value_ms, low_ms, high_ms }
        };
        let seen = Ratio::of(quantile(9.0, 10.0, 11.0), quantile(18.0, 20.0, 22.0));
        assert!((seen.value - 2.0).abs() < 1e-12 && seen.low > 18.0 / 11.0 && seen.high < 22.0 / 9.0, "{seen:?}");
        let exact = Ratio::of(quantile(4.0, 4.0, 4.0), quantile(5.0, 5.0, 5.0));
        assert!((exact.low - 1.25).abs() < 1e-12 && (exact.high - 1.25).abs() < 1e-12);
    }
}
