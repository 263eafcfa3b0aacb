//! Drift without labels: inputs have changed when another part of the requests goes on than on the labelled samples.
//!
//! Two alarms on one number a stage, the part of its requests that it sends on (φ). A window's part is held against limits at z
//! standard errors; a cumulative sum finds small changes that last. Neither needs anybody to know what is right.
//! After `systems/cascade.md`, §5.6.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Gear, Passage, Plan};
use crate::base::finding::{Code, Finding, Findings};
use crate::base::units::Share;
use crate::facts::Facts;

/// Requests in a window, at the stage.
const WINDOW: u32 = 1_000;
/// Standard errors that a window's part may be off (z).
const DEVIATIONS: f64 = 4.0;
/// Change of the part that the cumulative sums should find.
const CHANGE: f64 = 0.05;
/// Requests between false alarms of a cumulative sum, on average.
const REQUESTS_BETWEEN_ALARMS: f64 = 1e6;

/// What one stage is expected to send on, and when to worry.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// Part of the requests at this stage that go on, as counted on the labelled samples.
    pub onward: Share,
    /// Requests of a window.
    #[schemars(range(min = 1))]
    pub requests: u32,
    /// A window with a smaller part is an alarm.
    pub low: Share,
    /// A window with a larger part is an alarm.
    pub high: Share,
    /// What the cumulative sums forgive each request: half the change that is to be found.
    pub slack: Share,
    /// A cumulative sum beyond this is an alarm.
    #[schemars(range(min = 0.0))]
    pub sum_at_most: f64,
}

impl Watch {
    /// Returns what to watch at every stage of a chain but the last, whose reach was counted on so many samples.
    ///
    /// The limits allow for the error of that count too: `φ ± z √(φ (1 − φ) (1/n + 1/N))`, with the n of the window and the N
    /// samples that got to the stage. Where all or none of them went on, the variance is that of half a sample.
    #[must_use]
    pub fn of_reach(reach: &[f64], samples: u64) -> Vec<Self> {
        reach.windows(2).map(|pair| Self::of_stage(pair[0], pair[1], samples)).collect()
    }

    fn of_stage(reach: f64, next: f64, samples: u64) -> Self {
        let counted = (reach * samples as f64).max(1.0);
        let onward = if reach > 0.0 { next / reach } else { 0.0 };
        let at_least_seen = 0.5 / counted;
        let spread = onward.clamp(at_least_seen, (1.0 - at_least_seen).max(at_least_seen));
        let variance = spread * (1.0 - spread);
        let error = DEVIATIONS * (variance * (1.0 / f64::from(WINDOW) + 1.0 / counted)).sqrt();
        let slack = CHANGE / 2.0;
        Self {
            onward: Share::saturating(onward),
            requests: WINDOW,
            low: Share::saturating(onward - error),
            high: Share::saturating(onward + error),
            slack: Share::saturating(slack),
            sum_at_most: limit(slack, variance.sqrt(), REQUESTS_BETWEEN_ALARMS),
        }
    }

    /// Returns the cumulative sums, upwards and downwards, after one more request; both begin at 0.
    #[must_use]
    pub fn sums(&self, (up, down): (f64, f64), went_on: bool) -> (f64, f64) {
        let (off, slack) = (f64::from(u8::from(went_on)) - self.onward.get(), self.slack.get());
        ((up + off - slack).max(0.0), (down - off - slack).max(0.0))
    }

    /// Tells whether a window in which so many requests went on is within the limits.
    #[must_use]
    pub fn expects(&self, went_on: u32) -> bool {
        let part = f64::from(went_on) / f64::from(self.requests);
        (self.low.get()..=self.high.get()).contains(&part)
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

impl Gear {
    /// Writes down what to watch at the stages, where requests may leave early and the facts tell how many do.
    pub fn watch(&mut self, facts: &Facts) {
        let Some(passage) = Passage::of(self, facts) else { return };
        let watches = Watch::of_reach(&passage.reach, passage.samples());
        for (stage, watch) in self.stages.iter_mut().zip(watches).filter(|(stage, _)| stage.exit.is_some()) {
            stage.watch = Some(watch);
        }
    }
}

/// Recomputes what a plan watches from the facts.
pub(super) fn check(plan: &Plan, gear: usize, facts: &Facts, tolerance: f64, findings: &mut Findings) {
    let gear_of = &plan.gears[gear];
    if gear_of.stages.iter().all(|stage| stage.watch.is_none()) {
        return;
    }
    let Some(passage) = Passage::of(gear_of, facts) else { return };
    for (place, (stage, reach)) in gear_of.stages.iter().zip(passage.reach.windows(2)).enumerate() {
        let truth = if reach[0] > 0.0 { reach[1] / reach[0] } else { 0.0 };
        if let Some(watch) = stage.watch.filter(|watch| (watch.onward.get() - truth).abs() > tolerance) {
            let key = format!("gears[{gear}].stages[{place}].watch.onward");
            let cause = format!("claims {}, recomputed {truth}", watch.onward);
            findings.push(Finding::error(Code::ClaimRefuted, key, cause, "solve again, or correct the claim"));
        }
    }
}

/// The rules within a watch.
pub(super) fn validate(gear: &Gear, key: &str, findings: &mut Findings) {
    for (place, stage) in gear.stages.iter().enumerate() {
        let Some(watch) = &stage.watch else { continue };
        let key = format!("{key}.stages[{place}].watch");
        if stage.exit.is_none() || place + 1 == gear.stages.len() {
            let cause = format!("nobody leaves early after `{}`", stage.name);
            findings.push(Finding::error(Code::NoEffect, key.clone(), cause, "remove it, or give the stage an exit"));
        }
        if watch.low > watch.onward || watch.onward > watch.high {
            let cause = format!("{} is not between {} and {}", watch.onward, watch.low, watch.high);
            findings.push(Finding::error(Code::Order, key.clone(), cause, "low, onward and high ascend"));
        }
        if watch.requests == 0 || watch.sum_at_most <= 0.0 {
            let action = "at least 1 request, and a sum above 0";
            findings.push(Finding::error(Code::OutOfRange, key, "an alarm at all times", action));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Watch, limit};
    use crate::stats::Dice;

    #[test]
    fn a_stage_is_held_against_what_it_got() {
        let seen = Watch::of_reach(&[1.0, 0.4, 0.1], 10_000);
        assert_eq!(seen.len(), 2);
        let onward = |place: usize| seen[place].onward.get();
        assert!((onward(0) - 0.4).abs() < 1e-12 && (onward(1) - 0.25).abs() < 1e-12);
        let error = 4.0 * (0.25_f64 * 0.75 * (1.0 / 1_000.0 + 1.0 / 4_000.0)).sqrt();
        assert!((seen[1].high.get() - 0.25 - error).abs() < 1e-12 && (0.25 - seen[1].low.get() - error).abs() < 1e-12);
        assert!(seen[0].expects(400) && seen[0].expects(440) && !seen[0].expects(330) && !seen[0].expects(470));
        let none = Watch::of_reach(&[1.0, 0.0, 0.0], 100);
        let works = |watch: &Watch| watch.high.get() > 0.0 && watch.sum_at_most.is_finite() && watch.sum_at_most > 0.0;
        assert!(none.iter().all(works), "{none:?}");
    }

    /// Alarms without a change are as rare as asked, within the error of the approximation, and a change is found soon.
    #[test]
    fn cumulative_sums_are_quiet_until_something_changes() {
        let (slack, requests) = (0.05, 20_000.0);
        let usual = Watch::of_reach(&[1.0, 0.3, 0.1], 10_000)[0];
        let sum_at_most = limit(slack, (0.3_f64 * 0.7).sqrt(), requests);
        let watch = Watch { slack: crate::base::units::Share::saturating(slack), sum_at_most, ..usual };
        let until_alarm = |part: f64, seed| {
            let (mut dice, mut sums, mut requests) = (Dice::new(13, seed), (0.0, 0.0), 0_u32);
            while sums.0 <= watch.sum_at_most && requests < 1_000_000 {
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
