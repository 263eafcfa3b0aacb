//! The last level of a lexicographic goal: the shortest latency with the accuracy and the cores that the levels before leave.
//!
//! That is the shortest SLO that some plan keeps at the load, found by bisection; every step is an exact solution. Every
//! lane then keeps it, and so does their mixture.

use super::on_cores::{Configurations, Model};
use crate::base::error::Error;
use crate::base::units::{Accuracy, Millis};
use crate::facts::Ask;
use crate::optimize::fill::at_load;
use crate::optimize::{Instance, Solution};
use crate::problem::{Criterion, GoalKind};

/// Steps of the bisection: the SLO is found to 1/16,384 of what was asked for.
pub(super) const STEPS: usize = 14;

/// Returns the model of the shortest SLO and the best solution within it; `solution` is that of the levels before.
///
/// # Errors
/// As [`Model::new`].
pub(super) fn least(
    ask: &Ask<'_>,
    configurations: Configurations,
    model: &Model,
    solution: &Solution,
    load: f64,
) -> Result<(Model, Solution), Error> {
    let problem = &ask.problem;
    let of_first = |instance: &Instance| at_load::solve(&instance.first_level()?, load);
    let first = of_first(&model.instance).unwrap_or_else(|| solution.clone());
    let tolerances = problem.goal.tolerances.unwrap_or_default();
    let (best, fewest) = match problem.goal.order.first() {
        Some(Criterion::Cores) => (solution, &first),
        _ => (&first, solution),
    };
    let mut moved = problem.as_ref().clone();
    moved.goal.kind = GoalKind::Cheapest;
    moved.goal.accuracy_at_least = Some(Accuracy::saturating(best.accuracy - tolerances.accuracy.get()));
    let cores = fewest.cores.iter().sum::<u32>() + tolerances.cores;
    moved.goal.cores_at_most = Some(cores.min(problem.core_budget()));
    let (mut low, mut high) = (0.0, problem.slo.latency_ms.get());
    let mut found = (model.clone(), solution.clone());
    for _ in 0..STEPS {
        let middle = 0.5 * (low + high);
        moved.slo.latency_ms = Millis::saturating(middle);
        let mut tight = Model::new(&ask.moved(moved.clone()), configurations)?;
        let kept = at_load::solve(&tight.instance, load);
        tight.instance = Instance { items: tight.instance.items, ..model.instance.clone() };
        match kept.and_then(|kept| tight.instance.evaluate(&kept.cores, load)) {
            Some(kept) => (high, found) = (middle, (tight, kept)),
            None => low = middle,
        }
    }
    Ok(found)
}
