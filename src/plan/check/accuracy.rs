//! What a gear claims of its accuracy: counted again from the answers, or mixed from what its variants were measured to be.

use super::Checker;
use crate::base::finding::{Code, Finding, Findings};
use crate::plan::law::Passage;
use crate::plan::{Lane, pipeline_accuracy};
use crate::problem::Problem;

impl Checker<'_> {
    pub(super) fn accuracy(&self, findings: &mut Findings) {
        let Some(claim) = self.gear.claims.accuracy else { return };
        match self.expected_accuracy() {
            Some(truth) if (truth - claim.value.get()).abs() <= self.tolerance.absolute => {}
            Some(truth) => findings.push(self.refuted("accuracy", claim.value.get(), truth)),
            None => findings.push(self.unchecked("accuracy")),
        }
        if !(claim.low <= claim.value && claim.value <= claim.high) {
            let cause = format!("{} is not inside {} to {}", claim.value, claim.low, claim.high);
            let key = format!("{}.claims.accuracy", self.key);
            findings.push(Finding::error(Code::Inconsistent, key, cause, "solve again"));
        }
        if let Some([low, high]) = self.expected_interval() {
            for (name, claimed, truth) in [("low", claim.low.get(), low), ("high", claim.high.get(), high)] {
                if (claimed - truth).abs() > self.tolerance.absolute {
                    findings.push(self.refuted(&format!("accuracy.{name}"), claimed, truth));
                }
            }
        }
    }

    /// Returns the problem of a pipeline, whose stages do different tasks: no stage's answer is the answer of the whole.
    pub(super) fn pipeline(&self) -> Option<&Problem> {
        self.problem.filter(|problem| !problem.stages().is_empty())
    }

    /// Mixes the ends of the variants' intervals by share; of a cascade whose answers do not hang on chance it is that of a part.
    fn expected_interval(&self) -> Option<[f64; 2]> {
        if let Some(problem) = self.pipeline() {
            let claim = pipeline_accuracy(self.gear, problem, self.facts)?;
            return Some([claim.low.get(), claim.high.get()]);
        }
        let [stage] = self.gear.stages.as_slice() else {
            let (low, high) = Passage::of(self.gear, self.facts)?.interval()?;
            return Some([low.get(), high.get()]);
        };
        let mut ends = [0.0; 2];
        for (lane, share) in stage.lanes.iter().zip(stage.shares()?) {
            let fact = &self.facts.variant(&lane.variant)?.accuracy;
            ends[0] += share * fact.low.get();
            ends[1] += share * fact.high.get();
        }
        Some(ends)
    }

    /// Counts answers sample by sample through a chain of stages; a lone stage needs only the variants' accuracies.
    pub(in crate::plan) fn expected_accuracy(&self) -> Option<f64> {
        if self.turns_away() {
            return None;
        }
        if let Some(problem) = self.pipeline() {
            return Some(pipeline_accuracy(self.gear, problem, self.facts)?.value.get());
        }
        let stages = &self.gear.stages;
        if let [stage] = stages.as_slice() {
            let shares = stage.shares()?;
            let of_lane =
                |(lane, share): (&Lane, f64)| Some(share * self.facts.variant(&lane.variant)?.accuracy.value.get());
            return stage.lanes.iter().zip(shares).map(of_lane).sum();
        }
        Some(Passage::of(self.gear, self.facts)?.accuracy())
    }
}
