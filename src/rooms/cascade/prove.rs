//! From the best placement to one whose accuracy over requests is proved.
//!
//! The search aims above the target by less and less, so that its plans are a path from accurate to cheap that was fixed
//! before anybody looked at the samples of the proof; the last whose proof holds is taken (§5.6).

use super::envelope::{EnvelopeStep, LoadShares};
use super::plan::{BestPlacement, Planning, Switched};
use crate::base::error::Error;
use crate::base::finding::Findings;
use crate::base::rounding::{SUMS, equal, keeps_within};
use crate::base::units::{Accuracy, Share};
use crate::plan::{Against, Proof};
use crate::problem::{CascadeSettings, GoalKind, Problem};
use crate::rooms::exits::{Cascade, Mixture, Records, Target, Tested, test_mixture};
use crate::rooms::{Conflict, ConflictingLimit};

/// Accuracy above the target that plans of the path to be proved aim at far from it, the most accurate first.
const FAR: [f64; 4] = [0.05, 0.04, 0.03, 0.02];
/// From here on the path goes down in small steps; the last plan is the best one itself.
const NEAR: f64 = 0.015;
/// Such a step.
const STEP: f64 = 0.0005;

/// Samples to prove on, and what is to be proved.
pub(super) struct Proving {
    /// Samples that played no part in the choice of cascades.
    pub records: Records,
    /// What is to be proved; absent where the problem asks for no accuracy.
    target: Option<Target>,
    /// The accuracy in numbers that the search aims at.
    least: f64,
}

impl Proving {
    /// Returns what a problem wants proved; its accuracies are those of [`asked`].
    ///
    /// # Errors
    /// A finding where nobody knows the reference.
    pub(super) fn new(problem: &Problem, settings: &CascadeSettings, records: Records) -> Result<Self, Findings> {
        let absolute = target(problem);
        let target = match &settings.reference {
            Some(name) => Some(Target::Within { reference: records.index_of(name)?, loss: settings.loss() }),
            None => absolute.map(Target::Accuracy),
        };
        Ok(Self { records, target, least: absolute.unwrap_or(0.0) })
    }
}

/// Returns the accuracy over requests that a problem asks for in numbers.
pub(super) fn target(problem: &Problem) -> Option<f64> {
    problem.goal.mean_accuracy_at_least.or(problem.goal.accuracy_at_least).map(Accuracy::get)
}

/// Returns a problem that asks in numbers for what it asks for relative to a reference: what that is right in on the samples of
/// the search, less the allowed loss.
///
/// # Errors
/// A finding where nobody knows the reference.
pub(super) fn asked(problem: &Problem, settings: &CascadeSettings, search_on: &Records) -> Result<Problem, Findings> {
    let mut asked = problem.clone();
    if let Some(name) = &settings.reference {
        let right = &search_on.models[search_on.index_of(name)?].right;
        let accuracy = right.iter().filter(|right| **right).count() as f64 / right.len().max(1) as f64;
        if problem.goal.kind != GoalKind::MostAccurate {
            asked.goal.mean_accuracy_at_least = Some(Accuracy::saturating(accuracy - settings.loss()));
        }
    }
    Ok(asked)
}

/// Returns the accuracies above the target that the path aims at, in falling order.
fn margins() -> Vec<f64> {
    let near = (1..=(NEAR / STEP).round() as u32).rev().map(|step| STEP * f64::from(step));
    FAR.into_iter().chain(near).collect()
}

impl Planning<'_> {
    /// Walks from plans that aim above the target down to the target itself and returns the last whose accuracy over requests
    /// is proved on the samples kept for that; the limits in conflict where not even the first is.
    pub(super) fn proved(
        &self,
        problem: &Problem,
        load: &LoadShares,
        best: Switched,
        proving: &Proving,
    ) -> Result<Result<Switched, Conflict>, Error> {
        let Some(target) = proving.target else { return Ok(Ok(best)) };
        let (mut proved, mut failed): (Option<Switched>, Option<Tested>) = (None, None);
        // The most accurate plan has none above it. Of what costs the same one is enough: it is the most accurate at that price.
        let margins = if problem.goal.kind == GoalKind::MostAccurate { Vec::new() } else { margins() };
        let mut objective = f64::NEG_INFINITY;
        for margin in margins {
            let Some(next) = self.best_above(problem, load, proving.least + margin)? else { continue };
            if equal(next.objective, objective) {
                continue;
            }
            objective = next.objective;
            let next = self.switched(problem, load, next);
            // What changes of gear cost the target itself need not be tested: that is known without the samples of the proof.
            if next.accuracy() < proving.least - SUMS {
                continue;
            }
            let tested = self.test(&next, &proving.records, target);
            if !tested.holds {
                failed = Some(tested);
                break;
            }
            proved = Some(next);
        }
        if failed.is_none() {
            let tested = self.test(&best, &proving.records, target);
            if tested.holds {
                // Where changes of gear made the best aim higher, the path may end below it.
                let better = proved.filter(|proved| !keeps_within(proved.best.objective, best.best.objective));
                return Ok(Ok(better.unwrap_or(best)));
            }
            failed = Some(tested);
        }
        Ok(proved.ok_or_else(|| not_proved(problem, &self.settings, target, proving.records.samples(), failed)))
    }

    /// Returns what is proved of a placement's gears as they take turns: what was asked for, and the accuracy over requests in numbers.
    pub(super) fn proof(&self, best: &Switched) -> Option<Proof> {
        let Proving { records, target, .. } = self.proving.as_ref()?;
        let low_of = |target: Target| self.test(best, records, target).low;
        let against = match target {
            Some(Target::Within { reference, loss }) => Some(Against {
                variant: records.models[*reference].name.clone(),
                loss_at_most: Share::saturating(*loss),
                difference_low: low_of(Target::Within { reference: *reference, loss: *loss }),
            }),
            _ => None,
        };
        let asked = match target {
            Some(Target::Accuracy(least)) => Some(*least),
            _ => None,
        };
        // Without a number to prove, the bet is on what was seen.
        let wanted = asked.unwrap_or_else(|| self.test(best, records, Target::Accuracy(0.0)).estimate);
        Some(Proof {
            accuracy_at_least: asked.map(Accuracy::saturating),
            against,
            low: Accuracy::saturating(low_of(Target::Accuracy(wanted))),
            delta: self.settings.delta,
            samples: records.samples() as u64,
        })
    }

    /// Tests the accuracy over requests of a placement's gears, as they take turns in time, as the one quantity that it is.
    fn test(&self, of: &Switched, proof_on: &Records, target: Target) -> Tested {
        let Switched { best: BestPlacement { model, found, .. }, answered, .. } = of;
        let of_step =
            |(step, weight): (&EnvelopeStep, &f64)| (*weight, &model.cascades[model.rated[step.rated].cascade]);
        let mixture: Vec<(f64, &Cascade)> = found.steps.iter().zip(answered).map(of_step).collect();
        let mixture: &Mixture<'_> = &mixture;
        test_mixture(mixture, proof_on, target, self.settings.delta.get())
    }
}

/// Says what would have to change so that an accuracy can be proved.
fn not_proved(
    problem: &Problem,
    settings: &CascadeSettings,
    target: Target,
    samples: usize,
    failed: Option<Tested>,
) -> Conflict {
    let low = failed.map(|tested| tested.low);
    let accuracy = match target {
        Target::Within { loss, .. } => {
            let key = if settings.loss_at_most.is_some() { "cascade.loss_at_most" } else { "cascade.reference" };
            ConflictingLimit::new(key, loss, low.map(|low| -low))
        }
        Target::Accuracy(least) => {
            let key = if problem.goal.mean_accuracy_at_least.is_some() {
                "goal.mean_accuracy_at_least"
            } else {
                "goal.accuracy_at_least"
            };
            ConflictingLimit::new(key, least, low)
        }
    };
    let more = failed.and_then(|tested| tested.more_samples);
    let samples = ConflictingLimit::new(
        "labelled samples to prove it on (`cascade.certify`)",
        samples as f64,
        more.map(|more| (samples as u64 + more) as f64),
    );
    Conflict { limits: vec![accuracy, samples], in_trials: false }
}
