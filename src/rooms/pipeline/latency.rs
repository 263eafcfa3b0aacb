//! The last level of a lexicographic goal: the shortest latency from end to end with the accuracy and the cores that the levels
//! before leave, as the shortest SLO that some choice keeps at the load.

use super::climb::{Model, Step};
use crate::base::error::Error;
use crate::base::units::Millis;
use crate::problem::Criterion;
use crate::rooms::goal;

/// Steps of the bisection: the SLO is found to the grid of response times, 1/256 of what was asked for.
const STEPS: usize = 8;

/// Returns the step with the choice of the shortest SLO, and the model whose ways it numbers.
///
/// # Errors
/// As [`Model::new`].
pub(super) fn least<'a>(model: &Model<'a>, step: Step) -> Result<(Model<'a>, Step), Error> {
    let problem = model.problem;
    let first = model.best_of_level(step.up_to).unwrap_or_else(|| step.chosen.clone());
    let tolerances = problem.goal.tolerances.unwrap_or_default();
    let (best, fewest) = match problem.goal.order.first() {
        Some(Criterion::Cores) => (&step.chosen, &first),
        _ => (&first, &step.chosen),
    };
    let accuracy = best.accuracy - tolerances.accuracy.get();
    let cost = (fewest.cost + goal::cost_of_cores(problem, tolerances.cores)).min(problem.budget());
    let mut moved = problem.clone();
    let (mut low, mut high) = (0.0, problem.slo.latency_ms.get());
    let (mut found, mut chosen) = (model.clone(), step.chosen.clone());
    for _ in 0..STEPS {
        let middle = 0.5 * (low + high);
        moved.slo.latency_ms = Millis::saturating(middle);
        let ask = model.ask.moved(moved.clone());
        let tight = Model::new(&ask)?;
        match tight.cheapest(step.up_to, accuracy, cost) {
            Some(kept) => {
                (high, chosen) = (middle, kept);
                (found.ways, found.machines) = (tight.ways, tight.machines);
            }
            None => low = middle,
        }
    }
    Ok((found, Step { chosen, ..step }))
}
