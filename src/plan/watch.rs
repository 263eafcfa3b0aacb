//! The drift detector, without labels: inputs have changed when another part of the requests goes on than on the labelled samples.
//!
//! Two alarms on one number a stage, the part of its requests that it sends on (φ). A window's part is held against limits; two
//! cumulative sums, upwards and downwards, find smaller changes that last, and escalations that stop. Neither needs labels.
//! After `systems/cascade.md`, §5.6.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Gear, Passage, Plan};
use crate::base::finding::{Code, Finding, Findings};
use crate::base::rounding::equal;
use crate::base::units::Share;
use crate::facts::Facts;
use crate::stats::Cusum;

/// Requests in a window, at the stage.
const WINDOW: u32 = 1_000;
/// Part of the windows that may be beyond either limit without a change: that of four standard errors of a normal number.
const WINDOW_TAIL: f64 = 3.2e-5;
/// The odds of going on change by this factor, up or down, where the cumulative sums are quickest to see it.
const ODDS: f64 = 1.5;
/// Requests between false alarms of a cumulative sum, on average.
const REQUESTS_BETWEEN_ALARMS: f64 = 1e6;

/// What one stage is expected to send on, and when to worry.
///
/// A runtime follows the cumulative sums in a few lines, from the numbers here alone; both begin at 0, and again after an alarm:
///
/// ```text
/// went_on = 1 where the request goes on, else 0
/// up   = max(0, up + went_on - onward - slack)
/// down = max(0, down + onward - went_on - slack_down)
/// alarm where up > sum_at_most or down > sum_down_at_most
/// ```
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
    /// What the upward sum forgives each request, beside the expected part.
    pub slack: Share,
    /// An upward sum beyond this is an alarm.
    #[schemars(range(min = 0.0))]
    pub sum_at_most: f64,
    /// What the downward sum forgives each request; default: `slack`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack_down: Option<Share>,
    /// A downward sum beyond this is an alarm; default: `sum_at_most`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub sum_down_at_most: Option<f64>,
}

impl Watch {
    /// Returns what to watch at every stage of a chain but the last, whose reach was counted on so many samples.
    ///
    /// The limits of a window allow for the error of that count too. Where all or none of the samples went on, the sums take half a
    /// sample for that of which there was none.
    #[must_use]
    pub fn of_reach(reach: &[f64], samples: u64) -> Vec<Self> {
        reach.windows(2).map(|pair| Self::of_stage(pair[0], pair[1], samples)).collect()
    }

    fn of_stage(reach: f64, next: f64, samples: u64) -> Self {
        Self::of_part(
            if reach > 0.0 { next / reach } else { 0.0 },
            (reach * samples as f64).max(1.0),
            REQUESTS_BETWEEN_ALARMS,
        )
    }

    /// Returns what to watch where this part of so many samples went on.
    fn of_part(onward: f64, counted: f64, between_alarms: f64) -> Self {
        let at_least_seen = 0.5 / counted;
        let part = onward.clamp(at_least_seen, 1.0 - at_least_seen);
        // Downwards the events are the requests that leave.
        let [up, down] = [part, 1.0 - part].map(|part| Cusum::new(part, ODDS, between_alarms));
        let (low, high) = window_limits(onward, counted);
        Self {
            onward: Share::saturating(onward),
            requests: WINDOW,
            low,
            high,
            slack: Share::saturating(up.reference - onward),
            sum_at_most: up.limit,
            slack_down: Some(Share::saturating(down.reference - (1.0 - onward))),
            sum_down_at_most: Some(down.limit),
        }
    }

    /// Returns the cumulative sums, upwards and downwards, after one more request; both begin at 0.
    #[must_use]
    pub fn sums(&self, (up, down): (f64, f64), went_on: bool) -> (f64, f64) {
        let off = f64::from(u8::from(went_on)) - self.onward.get();
        ((up + off - self.slack.get()).max(0.0), (down - off - self.slack_down().get()).max(0.0))
    }

    /// Tells whether cumulative sums are an alarm.
    #[must_use]
    pub fn alarms(&self, (up, down): (f64, f64)) -> bool {
        up > self.sum_at_most || down > self.sum_down_at_most()
    }

    /// Tells whether a window in which so many requests went on is within the limits.
    #[must_use]
    pub fn expects(&self, went_on: u32) -> bool {
        let part = f64::from(went_on) / f64::from(self.requests);
        (self.low.get()..=self.high.get()).contains(&part)
    }

    fn slack_down(&self) -> Share {
        self.slack_down.unwrap_or(self.slack)
    }

    fn sum_down_at_most(&self) -> f64 {
        self.sum_down_at_most.unwrap_or(self.sum_at_most)
    }

    /// Returns the limits by name, for a comparison.
    fn limits(&self) -> [(&'static str, f64); 7] {
        [
            ("requests", self.requests.into()),
            ("low", self.low.get()),
            ("high", self.high.get()),
            ("slack", self.slack.get()),
            ("sum_at_most", self.sum_at_most),
            ("slack_down", self.slack_down().get()),
            ("sum_down_at_most", self.sum_down_at_most()),
        ]
    }
}

/// Returns the parts of a window beyond which it is an alarm, where this part of so many samples went on: halfway between two
/// numbers of requests, so rounding does not matter.
///
/// The true part is known as well as the samples tell (Jeffreys' prior), so the number in a window is beta-binomial, whose
/// tails are summed exactly: a normal approximation is wrong for rare events.
fn window_limits(onward: f64, counted: f64) -> (Share, Share) {
    let (on, off) = (onward * counted + 0.5, (1.0 - onward) * counted + 0.5);
    let low = least_likely(on, off);
    let high = WINDOW - least_likely(off, on);
    let part = |requests: f64| Share::saturating(requests / f64::from(WINDOW));
    (part(f64::from(low) - 0.5), part(f64::from(high) + 0.5))
}

/// Returns the smallest number of requests of a window that is not too small: fewer are less likely than [`WINDOW_TAIL`].
fn least_likely(on: f64, off: f64) -> u32 {
    let window = f64::from(WINDOW);
    // ln P(0) = Σ ln (off + i) ÷ (on + off + i); then P(x + 1) ÷ P(x) = (n − x)(on + x) ÷ ((x + 1)(off + n − x − 1)).
    let mut log: f64 = (0..WINDOW).map(f64::from).map(|i| ((off + i) / (on + off + i)).ln()).sum();
    let mut tail = 0.0;
    for requests in 0..WINDOW {
        tail += log.exp();
        if tail > WINDOW_TAIL {
            return requests;
        }
        let x = f64::from(requests);
        log += ((window - x) * (on + x) / ((x + 1.0) * (off + window - x - 1.0))).ln();
    }
    WINDOW
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
    let expected = Watch::of_reach(&passage.reach, passage.samples());
    for (place, (stage, expected)) in gear_of.stages.iter().zip(expected).enumerate() {
        let Some(watch) = stage.watch else { continue };
        let key = format!("gears[{gear}].stages[{place}].watch");
        let refuted = |key, cause| Finding::error(Code::ClaimRefuted, key, cause, "solve again, or correct the claim");
        let (onward, truth) = (watch.onward.get(), expected.onward.get());
        if (onward - truth).abs() > tolerance {
            findings.push(refuted(format!("{key}.onward"), format!("claims {onward}, recomputed {truth}")));
            continue;
        }
        let both = watch.limits().into_iter().zip(expected.limits());
        let differ = both.filter(|((_, claimed), (_, truth))| !equal(*claimed, *truth));
        let differ: Vec<String> =
            differ.map(|((name, claimed), (_, truth))| format!("`{name}` is {claimed}, recomputed {truth}")).collect();
        if !differ.is_empty() {
            findings.push(refuted(key, differ.join("; ")));
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
        if watch.requests == 0 || watch.sum_at_most <= 0.0 || watch.sum_down_at_most() <= 0.0 {
            let action = "at least 1 request, and a sum above 0";
            findings.push(Finding::error(Code::OutOfRange, key, "an alarm at all times", action));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Watch;
    use crate::stats::Dice;

    #[test]
    fn a_stage_is_held_against_what_it_got() {
        let seen = Watch::of_reach(&[1.0, 0.4, 0.1], 10_000);
        assert_eq!(seen.len(), 2);
        let onward = |place: usize| seen[place].onward.get();
        assert!((onward(0) - 0.4).abs() < 1e-12 && (onward(1) - 0.25).abs() < 1e-12);
        // Near one half of many the tails are those of a normal number.
        let error = 4.0 * (0.25_f64 * 0.75 * (1.0 / 1_000.0 + 1.0 / 4_000.0)).sqrt();
        let (low, high) = (seen[1].low.get(), seen[1].high.get());
        assert!((0.25 - low - error).abs() < 3e-3 && (high - 0.25 - error).abs() < 3e-3, "{low} {high} {error}");
        assert!(seen[0].expects(400) && seen[0].expects(440) && !seen[0].expects(330) && !seen[0].expects(470));
        assert!((1000.0 * low).fract() == 0.5 && (1000.0 * high).fract() == 0.5, "{low} {high}");
    }

    #[test]
    fn all_and_none_can_be_watched() {
        let none = Watch::of_reach(&[1.0, 0.0, 0.0], 100)[0];
        let all = Watch::of_reach(&[1.0, 1.0], 100)[0];
        let until = |watch: &Watch, went_on: bool| {
            let mut sums = (0.0, 0.0);
            (1..1_000).find(|_| {
                sums = watch.sums(sums, went_on);
                watch.alarms(sums)
            })
        };
        assert_eq!((until(&none, false), until(&all, true)), (None, None), "as expected");
        assert!(
            until(&none, true).is_some_and(|requests| requests < 50)
                && until(&all, false).is_some_and(|seen| seen < 50)
        );
        assert!(none.expects(0) && !none.expects(200) && all.expects(1000) && !all.expects(800));
    }

    /// A part that goes on, and after how many requests on average a change of it is seen: the table of `docs/systems/cascade.md`.
    const SEEN: [(f64, [f64; 3]); 5] = [
        // Halved, doubled, none at all.
        (0.005, [8_600.0, 3_600.0, 3_660.0]),
        (0.02, [2_700.0, 1_130.0, 1_100.0]),
        (0.05, [1_220.0, 520.0, 490.0]),
        (0.2, [330.0, 135.0, 140.0]),
        (0.5, [126.0, 58.0, 58.0]),
    ];

    /// Returns the mean number of requests until an alarm of a sum.
    fn until_alarm(watch: &Watch, part: f64, alarms: u32, dice: &mut Dice) -> f64 {
        let mut requests = 0_u64;
        for _ in 0..alarms {
            let mut sums = (0.0, 0.0);
            while !watch.alarms(sums) {
                sums = watch.sums(sums, dice.unit() < part);
                requests += 1;
            }
        }
        requests as f64 / f64::from(alarms)
    }

    #[test]
    fn halving_doubling_and_stopping_are_seen() {
        for (part, seen) in SEEN {
            let watch = Watch::of_part(part, 1e9, 1e6);
            let mut dice = Dice::new(13, 0);
            for (now, seen) in [part / 2.0, 2.0 * part, 0.0].into_iter().zip(seen) {
                let after = until_alarm(&watch, now, 300, &mut dice);
                assert!((after / seen - 1.0).abs() < 0.1, "{part} becomes {now}: {after}, {seen} in the table");
            }
        }
    }

    /// Two sums, each with a false alarm in so many requests, raise one in half as many.
    #[test]
    fn false_alarms_are_as_rare_as_stated() {
        for (part, _) in SEEN {
            let watch = Watch::of_part(part, 1e9, 2e4);
            let between = until_alarm(&watch, part, 100, &mut Dice::new(14, 0));
            assert!((0.7e4..1.4e4).contains(&between), "{part}: {between}");
        }
    }
}
