//! From the ladder of optimal allotments to the gears of a plan.

use std::ops::Range;

use crate::base::error::Error;
use crate::base::rounding::ROUNDING;
use crate::facts::Ask;
use crate::optimize::Solution;
use crate::optimize::fill::{Ladder, Rung};
use crate::plan::Certificate;

use super::latency;
use super::on_cores::{Configurations, Model};
use crate::rooms::Choice;
use crate::rooms::gears::{Decoded, pools_up};
use crate::rooms::one_stage;

/// Returns a gear for every range of loads in (from, until], cut finer where fixed shares would give away accuracy.
pub(super) fn gears(
    ask: &Ask<'_>,
    configurations: Configurations,
    model: &Model,
    ladder: &Ladder<'_>,
    Range { start: from, end: until }: Range<f64>,
) -> Result<Vec<Decoded>, Error> {
    let problem = &ask.problem;
    let mut decoded = Vec::new();
    for rung in ladder.rungs(until).iter().filter(|rung| rung.to > from * (1.0 + ROUNDING)) {
        for load in borders(rung, rung.from.max(from), problem.goal.gear_loss_at_most.get()) {
            let instance = ladder.instance();
            let solution = instance.evaluate(&rung.solution.cores, load).expect("less load always fits");
            let bound = ladder.bound_at(load).unwrap_or(solution.value).max(solution.value);
            if bound - solution.value > ROUNDING * instance.objective.unit() {
                let message = format!("at {load} requests/s the plan is worth {}, its bound {bound}", solution.value);
                return Err(Error::Solver { solver: "own search", message });
            }
            if problem.goal.wants_low_latency() {
                let (tight, solution) = latency::least(ask, configurations, model, &solution, load)?;
                let certificate = Certificate::new(solution.value, solution.value, format!("{METHOD}{THEN_LATENCY}"));
                decoded.push(of_solution(ask, &tight, &solution, load, certificate));
            } else {
                let certificate = Certificate::new(solution.value, bound, METHOD.to_owned());
                decoded.push(of_solution(ask, model, &solution, load, certificate));
            }
        }
    }
    Ok(decoded)
}

fn proved(solution: &Solution) -> Certificate {
    Certificate::new(solution.value, solution.value, METHOD.to_owned())
}

/// Returns a solution of the program as a choice.
pub(super) fn choice(ask: &Ask<'_>, model: &Model, solution: &Solution, load: f64) -> Choice {
    let decoded = of_solution(ask, model, solution, load, proved(solution));
    let pools = pools_up(&ask.problem, &decoded);
    let Decoded { gear, lanes } = decoded;
    Choice {
        objective: solution.value,
        accuracy: solution.accuracy,
        usd_per_hour: None,
        cores_of: lanes.iter().map(|(variant, way)| (variant.clone(), way.cores())).collect(),
        gear,
        pools,
        lanes,
    }
}

const METHOD: &str = "exact: dynamic programme over piecewise linear functions of the load";

/// What the last level of a lexicographic goal adds.
const THEN_LATENCY: &str = "; then the shortest SLO that is kept, by bisection over exact solutions";

/// Returns the loads, increasing, at which to cut a rung so that the accuracy at the lower end of each part exceeds
/// that of the part's fixed shares by at most `loss`.
fn borders(rung: &Rung, from: f64, loss: f64) -> Vec<f64> {
    let mut loads = vec![rung.to];
    // Accuracy at load λ is slope + intercept ÷ λ: the next border down is where it has risen by `loss`.
    let mass = rung.accuracy_intercept;
    let next_below = |load: f64| if mass > 0.0 && loss > 0.0 { mass / (mass / load + loss) } else { 0.0 };
    let mut next = next_below(rung.to);
    while next > from * (1.0 + ROUNDING) && next > 0.0 {
        loads.push(next);
        next = next_below(next);
    }
    loads.reverse();
    loads
}

/// Returns the gear of a solution of the program.
fn of_solution(ask: &Ask<'_>, model: &Model, solution: &Solution, load: f64, certificate: Certificate) -> Decoded {
    let mut chosen = Vec::new();
    for (index, &cores) in solution.cores.iter().enumerate().filter(|(_, cores)| **cores > 0) {
        let found = model.configurations[index].iter().find(|configuration| configuration.cores() == cores);
        let configuration = found.expect("the program only offers configurations");
        chosen.push((model.instance.items[index].name.clone(), configuration.clone(), solution.quotas[index]));
    }
    one_stage::gear(ask, chosen, load, Some(certificate))
}
