//! How accurate a pipeline is whose stages do different tasks.

use super::{AccuracyClaim, Gear, Lane};
use crate::base::units::Accuracy;
use crate::facts::Facts;
use crate::problem::{PipelineAccuracy, Problem, accuracy_over_requests};
use crate::profile::Trust;
use crate::stats::sample::wilson;

/// Returns the accuracy of a gear's walk by the problem's rule, or `None` where a fact is missing or a dispatch depends
/// on the state of the queues.
///
/// Ends of the interval combine as if all errors aligned: the product, or the mean, of the ends.
#[must_use]
pub fn of_pipeline(gear: &Gear, problem: &Problem, facts: &Facts) -> Option<AccuracyClaim> {
    let shares: Vec<Vec<(&str, f64)>> = gear.stages.iter().map(|stage| shares(&stage.lanes)).collect::<Option<_>>()?;
    let mut trust = Trust::Measured;
    let ends = match problem.accuracy_of_stages() {
        PipelineAccuracy::Product => {
            let mut product = [1.0; 3];
            for (stage, of) in shares.iter().zip(&gear.stages) {
                let mut mean = [0.0; 3];
                for (variant, share) in stage {
                    let fact = &facts.variant(variant)?.accuracy;
                    trust = trust.max(fact.trust);
                    let ends = [fact.low, fact.value, fact.high];
                    mean.iter_mut().zip(ends).for_each(|(mean, end)| *mean += share * end.get());
                }
                product
                    .iter_mut()
                    .zip(mean)
                    .for_each(|(product, mean)| *product *= accuracy_over_requests(of.calls, mean));
            }
            product
        }
        PipelineAccuracy::Measured { combinations } => {
            // Counted by somebody else, and written into the problem.
            trust = Trust::Imported;
            let mut mean = [0.0; 3];
            for combination in combinations {
                let share_of = |(stage, variant): (&Vec<(&str, f64)>, &String)| -> f64 {
                    stage.iter().filter(|(name, _)| name == variant).map(|(_, share)| share).sum()
                };
                let share: f64 = shares.iter().zip(&combination.variants).map(share_of).product();
                let (low, high) = wilson(combination.right, combination.of);
                let ends = [low.get(), combination.right as f64 / combination.of as f64, high.get()];
                mean.iter_mut().zip(ends).for_each(|(mean, end)| *mean += share * end);
            }
            mean
        }
    };
    let [low, value, high] = ends.map(Accuracy::saturating);
    Some(AccuracyClaim { value, low, high, trust })
}

fn shares(lanes: &[Lane]) -> Option<Vec<(&str, f64)>> {
    if let [lane] = lanes {
        return Some(vec![(&lane.variant, 1.0)]);
    }
    lanes.iter().map(|lane| Some((lane.variant.as_str(), lane.share?.get()))).collect()
}
