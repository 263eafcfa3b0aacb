//! The last level of a lexicographic goal: the shortest latency with the accuracy and the cost that the levels before leave.
//!
//! That is the shortest SLO that some choice keeps at the load, found by bisection; every step is an exact solution. Every
//! lane then keeps it, and so does their mixture.

use super::gears::Decoded;
use super::goal;
use crate::base::error::Error;
use crate::base::units::{Accuracy, Millis};
use crate::facts::Ask;
use crate::problem::{Criterion, GoalKind};

/// What is best by one level of the goal; the cost is in cores, or the price of machines for an hour.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level {
    pub accuracy: f64,
    pub cost: f64,
}

/// Returns the gear of the shortest SLO that is kept, `None` where only the asked one is: within so many steps of bisection, where
/// the first and the second level of the goal are worth this.
///
/// `keep` is asked for the cheapest choice, with the accuracy and the SLO of an ask and within a cost.
///
/// # Errors
/// As `keep`.
pub(super) fn shortest(
    ask: &Ask<'_>,
    [first, second]: [Level; 2],
    steps: u32,
    keep: impl Fn(&Ask<'_>, f64) -> Result<Option<Decoded>, Error>,
) -> Result<Option<Decoded>, Error> {
    let problem = ask.problem.as_ref();
    let (finest, cheapest) = match problem.goal.order.first() {
        Some(Criterion::Cores) => (second, first),
        _ => (first, second),
    };
    let tolerances = problem.goal.tolerances.unwrap_or_default();
    let cost_at_most = (cheapest.cost + goal::cost_of_cores(problem, tolerances.cores)).min(problem.budget());
    let mut moved = problem.clone();
    moved.goal.kind = GoalKind::Cheapest;
    moved.goal.accuracy_at_least = Some(Accuracy::saturating(finest.accuracy - tolerances.accuracy.get()));
    if !problem.inventory.rents_whole() {
        moved.goal.cores_at_most = Some(cost_at_most as u32);
    }
    let (mut low, mut high) = (0.0, problem.slo.latency_ms.get());
    let mut shortest = None;
    for _ in 0..steps {
        let middle = 0.5 * (low + high);
        moved.slo.latency_ms = Millis::saturating(middle);
        match keep(&ask.moved(moved.clone()), cost_at_most)? {
            Some(kept) => (high, shortest) = (middle, Some(kept)),
            None => low = middle,
        }
    }
    Ok(shortest)
}
