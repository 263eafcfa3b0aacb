//! What a goal is worth, once for all rooms.

use crate::base::rounding::SUMS;
use crate::base::units::Accuracy;
use crate::optimize::Objective;
use crate::problem::{GoalKind, Problem};

/// Returns what the searches make best for a problem's goal.
pub(super) fn objective(problem: &Problem) -> Objective {
    match problem.goal.kind {
        GoalKind::MostAccurate | GoalKind::Fastest => Objective::MostAccurate,
        GoalKind::Lexicographic => {
            let tolerances = problem.goal.tolerances.unwrap_or_default();
            match problem.goal.valued_as() {
                GoalKind::MostAccurate => Objective::CoresThenAccuracy { tolerance: tolerances.cores },
                _ => Objective::AccuracyThenCores { tolerance: tolerances.accuracy.get() },
            }
        }
        GoalKind::Cheapest => {
            Objective::Cheapest { accuracy_at_least: problem.goal.accuracy_at_least.map_or(0.0, Accuracy::get) }
        }
        GoalKind::Weighted => {
            let weights = problem.goal.weights.unwrap_or_default();
            Objective::Weighted {
                accuracy: weights.accuracy.get(),
                resource: weights.resource.get(),
                loading: weights.loading.get(),
            }
        }
    }
}

/// Returns a cost, dollars an hour where machines are rented whole and else cores, as a part of all that the goal may spend.
pub(crate) fn part(problem: &Problem, cost: f64) -> f64 {
    let budget = problem.budget();
    if budget > 0.0 { cost / budget } else { 0.0 }
}

/// Returns what an accuracy is worth that takes a part of everything there is, without what loading costs.
pub(crate) fn value(problem: &Problem, accuracy: f64, used: f64) -> f64 {
    match problem.goal.valued_as() {
        GoalKind::MostAccurate | GoalKind::Fastest => accuracy,
        GoalKind::Cheapest | GoalKind::Lexicographic => -used,
        GoalKind::Weighted => {
            let weights = problem.goal.weights.unwrap_or_default();
            weights.accuracy.get() * accuracy - weights.resource.get() * used
        }
    }
}

/// Tells whether an accuracy is as high as the goal asks for.
pub(super) fn is_accurate_enough(problem: &Problem, accuracy: f64) -> bool {
    let limits = [problem.goal.mean_accuracy_at_least, problem.goal.accuracy_at_least];
    limits.into_iter().flatten().all(|least| accuracy >= least.get() - SUMS)
}
