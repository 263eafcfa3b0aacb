//! Drift without labels (§5.6): inputs have changed when another part of the requests goes on than on the samples.
//!
//! Two alarms on one number a stage, the part of its requests that it sends on (φ). A window's part is held against limits at z
//! standard errors; a cumulative sum finds small changes that last. Neither needs anybody to know what is right.

use super::Cascade;

/// What one stage is expected to send on, and when to worry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Watch {
    /// Part of the requests at this stage that go on.
    pub expected: f64,
    /// A window with a smaller part is an alarm.
    pub low: f64,
    /// A window with a larger part is an alarm.
    pub high: f64,
    /// What the cumulative sums forgive a request: half the change that is to be found.
    pub slack: f64,
    /// A cumulative sum beyond this is an alarm.
    pub limit: f64,
}

/// How watchful to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Watchfulness {
    /// Requests in a window, at the stage.
    pub window: u64,
    /// Standard errors that a window's part may be off (z).
    pub deviations: f64,
    /// Change of the part that the cumulative sums should find.
    pub change: f64,
    /// Requests between false alarms of a cumulative sum, on average.
    pub requests_between_alarms: f64,
}

impl Default for Watchfulness {
    fn default() -> Self {
        Self { window: 1_000, deviations: 4.0, change: 0.05, requests_between_alarms: 1e6 }
    }
}

/// Returns what to watch at every stage of a cascade but the last, whose reach was counted on so many samples.
///
/// The limits allow for the error of that count too: `φ ± z √(φ (1 − φ) (1/n + 1/N))`, with the n of the window and the N samples
/// that got to the stage. Where all or none of them went on, the variance is that of half a sample.
#[must_use]
pub fn watch(cascade: &Cascade, samples: usize, how: Watchfulness) -> Vec<Watch> {
    let of_stage = |pair: &[f64]| {
        let counted = (pair[0] * samples as f64).max(1.0);
        let expected = if pair[0] > 0.0 { pair[1] / pair[0] } else { 0.0 };
        let at_least_seen = 0.5 / counted;
        let spread = expected.clamp(at_least_seen, (1.0 - at_least_seen).max(at_least_seen));
        let variance = spread * (1.0 - spread);
        let error = how.deviations * (variance * (1.0 / how.window.max(1) as f64 + 1.0 / counted)).sqrt();
        let (low, high) = ((expected - error).max(0.0), (expected + error).min(1.0));
        let slack = how.change / 2.0;
        Watch { expected, low, high, slack, limit: limit(slack, variance.sqrt(), how.requests_between_alarms) }
    };
    cascade.reach.windows(2).map(of_stage).collect()
}

impl Watch {
    /// Returns by how many standard errors the part of a window is off; both counts are of requests at the stage.
    #[must_use]
    pub fn deviations(&self, went_on: u64, of: u64) -> f64 {
        let variance = self.expected * (1.0 - self.expected) / of.max(1) as f64;
        (went_on as f64 / of.max(1) as f64 - self.expected) / variance.sqrt().max(f64::MIN_POSITIVE)
    }

    /// Returns the cumulative sums, upwards and downwards, after one more request; both begin at 0.
    #[must_use]
    pub fn sums(&self, (up, down): (f64, f64), went_on: bool) -> (f64, f64) {
        let off = f64::from(u8::from(went_on)) - self.expected;
        ((up + off - self.slack).max(0.0), (down - off - self.slack).max(0.0))
    }
}

/// Returns the limit at which a one-sided cumulative sum raises a false alarm about once in so many requests.
///
/// Siegmund (1985): in standard deviations, with slack k and b = limit + 1.166, `(e^{2kb} − 2kb − 1) ÷ 2k²` requests.
fn limit(slack: f64, deviation: f64, requests: f64) -> f64 {
    let k = slack / deviation;
    let between = |b: f64| ((2.0 * k * b).exp() - 2.0 * k * b - 1.0) / (2.0 * k * k);
    let (mut low, mut high) = (1.166, 1e9);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if between(middle) < requests { low = middle } else { high = middle }
    }
    (high - 1.166) * deviation
}

#[cfg(test)]
mod tests {
    use super::super::Cascade;
    use super::{Watchfulness, watch};
    use crate::simulate::Dice;

    fn cascade(reach: [f64; 3]) -> Cascade {
        Cascade { members: Vec::new(), accuracy: 0.9, reach: reach.to_vec() }
    }

    #[test]
    fn a_stage_is_held_against_what_it_got() {
        let seen =
            watch(&cascade([1.0, 0.4, 0.1]), 10_000, Watchfulness { deviations: 3.0, ..Watchfulness::default() });
        assert_eq!(seen.len(), 2);
        assert!((seen[0].expected - 0.4).abs() < 1e-12 && (seen[1].expected - 0.25).abs() < 1e-12);
        let error = 3.0 * (0.25_f64 * 0.75 * (1.0 / 1_000.0 + 1.0 / 4_000.0)).sqrt();
        assert!((seen[1].high - 0.25 - error).abs() < 1e-12 && (0.25 - seen[1].low - error).abs() < 1e-12);
        assert!((seen[0].deviations(430, 1_000) - 0.03 / (0.24f64 / 1_000.0).sqrt()).abs() < 1e-12);
        let none = watch(&cascade([1.0, 0.0, 0.0]), 100, Watchfulness::default());
        assert!(none.iter().all(|watch| watch.high > 0.0 && watch.limit.is_finite() && watch.limit > 0.0), "{none:?}");
    }

    /// Alarms without a change are as rare as asked, within the error of the approximation, and a change is found soon.
    #[test]
    fn cumulative_sums_are_quiet_until_something_changes() {
        let how = Watchfulness { requests_between_alarms: 20_000.0, change: 0.1, ..Watchfulness::default() };
        let until_alarm = |part: f64, seed| {
            let watch = watch(&cascade([1.0, 0.3, 0.1]), 10_000, how)[0];
            let (mut dice, mut sums, mut requests) = (Dice::new(13, seed), (0.0, 0.0), 0_u32);
            while sums.0 <= watch.limit && requests < 1_000_000 {
                sums = watch.sums(sums, dice.unit() < part);
                requests += 1;
            }
            f64::from(requests)
        };
        let mean = |part| (0..200).map(|seed| until_alarm(part, seed)).sum::<f64>() / 200.0;
        let (quiet, changed) = (mean(0.3), mean(0.4));
        assert!((10_000.0..40_000.0).contains(&quiet), "{quiet}");
        assert!(changed < 300.0, "{changed}");
    }
}
