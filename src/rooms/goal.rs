//! What a goal is worth, once for all rooms.

use crate::base::rounding::SUMS;
use crate::base::units::Accuracy;
use crate::optimize::Objective;
use crate::optimize::levels::Levels;
use crate::problem::{Criterion, GoalKind, Problem};

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

/// Returns so many cores as a part of all that the goal may spend; on machines they cost what the cheapest ones do.
pub(super) fn part_of_cores(problem: &Problem, cores: u32) -> f64 {
    part(problem, cost_of_cores(problem, cores))
}

/// Returns what so many cores cost: themselves, or on machines what the cheapest ones do.
pub(super) fn cost_of_cores(problem: &Problem, cores: u32) -> f64 {
    let price = if problem.inventory.rents_whole() { problem.inventory.cheapest_core_price() } else { 1.0 };
    f64::from(cores) * price
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

/// Returns what an accuracy with a part of everything there is, and a latency as a part of the SLO's, is worth by the levels of
/// a goal, without what loading costs. Sums of them are worth the sum: a day is judged as a load is.
pub(super) fn levels(problem: &Problem, accuracy: f64, used: f64, latency: f64) -> Levels {
    Levels(match problem.goal.kind {
        GoalKind::MostAccurate | GoalKind::Fastest => [accuracy, -used, 0.0],
        GoalKind::Cheapest => [-used, accuracy, 0.0],
        // Weights may be 0: then what they leave out decides between equals.
        GoalKind::Weighted => [value(problem, accuracy, used) / weights_in_all(problem), -used, accuracy],
        GoalKind::Lexicographic => {
            let latency = if problem.goal.wants_low_latency() { -latency } else { 0.0 };
            match problem.goal.order.first() {
                Some(Criterion::Cores) => [-used, accuracy, latency],
                _ => [accuracy, -used, latency],
            }
        }
    })
}

/// Returns the weights of the goal in sum: the unit of its value.
pub(super) fn weights_in_all(problem: &Problem) -> f64 {
    match objective(problem) {
        weighted @ Objective::Weighted { .. } => weighted.unit().max(f64::MIN_POSITIVE),
        _ => 1.0,
    }
}

/// Tells whether an accuracy is as high as the goal asks for.
pub(super) fn is_accurate_enough(problem: &Problem, accuracy: f64) -> bool {
    let limits = [problem.goal.mean_accuracy_at_least, problem.goal.accuracy_at_least];
    limits.into_iter().flatten().all(|least| accuracy >= least.get() - SUMS)
}
