//! Who leaves early, and whether every reader of a plan agrees on that.

use super::{Exit, Gear};
use crate::base::finding::{Code, Finding, Findings, Severity};
use crate::facts::Facts;
use crate::profile::SampleAnswer;

impl Exit {
    /// Tells whether a request with an answer of this certainty leaves; both are compared as 32-bit numbers.
    #[inline]
    #[must_use]
    pub fn releases(&self, certainty: f32) -> bool {
        certainty >= self.certainty_at_least.get() as f32
    }

    /// Tells whether runtimes that hold the certainty as a 32-bit number, as that in 64 bits or as decimals agree on that.
    fn is_clear(&self, certainty: f32) -> bool {
        let threshold = self.certainty_at_least.get();
        let leaves = self.releases(certainty);
        [f64::from(certainty), SampleAnswer::decimal(certainty)].iter().all(|held| (*held >= threshold) == leaves)
    }
}

/// Warns of thresholds at which the samples' certainties are compared one way by some runtimes and another way by others.
pub(super) fn check(gear: &Gear, key: &str, facts: &Facts, findings: &mut Findings) {
    for (place, stage) in gear.stages.iter().enumerate() {
        let Some(exit) = stage.exit else { continue };
        let answers = stage.lanes.iter().filter_map(|lane| facts.answers(&lane.variant)?.of(&lane.variant));
        let (mut samples, mut unclear) = (0, 0);
        for answer in answers.flatten() {
            samples += 1;
            unclear += usize::from(!exit.is_clear(answer.certainty));
        }
        if unclear > 0 {
            let cause = format!(
                "{unclear} of {samples} recorded certainties equal {} within 32-bit rounding: runtimes differ in who leaves",
                exit.certainty_at_least
            );
            let key = format!("{key}.stages[{place}].exit.certainty_at_least");
            let action = "solve again, or put it between two recorded certainties";
            findings.push(Finding::error(Code::BadLane, key, cause, action).with_severity(Severity::Warning));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;
    use crate::base::units::Certainty;

    #[test]
    fn readers_agree_on_a_threshold_between_certainties_and_on_one_that_32_bits_hold() {
        let is_clear = |threshold: f64, certainty: f32| {
            Exit { certainty_at_least: Certainty::saturating(threshold) }.is_clear(certainty)
        };
        for (threshold, certainty) in [(0.5, 0.4), (0.5, 0.6), (0.5, 0.5), (1.0, 1.0), (0.0, 0.0), (0.75, 0.8)] {
            assert!(is_clear(threshold, certainty), "{threshold} {certainty}");
        }
        // In 64 bits 0.8 widened is above 0.8, and 0.7 widened below 0.7.
        for (threshold, certainty) in [(f64::from(0.8_f32), 0.8), (0.7, 0.7)] {
            assert!(!is_clear(threshold, certainty), "{threshold} {certainty}");
        }
    }
}
