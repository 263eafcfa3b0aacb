//! The integer program of the room `variant-set`.

use good_lp::{Expression, ProblemVariables, SolverModel, Variable, constraint, variable};

use super::{failure, prove};
use crate::base::error::Error;
use crate::optimize::{Allotment, Instance, Item, Objective, Solution};

/// What HiGHS found, with its proof.
#[derive(Debug, Clone, PartialEq)]
pub struct Milp {
    /// The best solution, evaluated exactly from its integer part.
    pub solution: Solution,
    /// HiGHS's bound on the objective; no plan is better.
    pub bound: f64,
}

/// Solves the instance at one load, or returns `None` where HiGHS proves that no plan exists.
///
/// # Errors
/// [`Error::Solver`] where HiGHS stops without a proof.
pub fn solve(instance: &Instance, load: f64) -> Result<Option<Milp>, Error> {
    if let Some(first) = instance.first_level() {
        let Some(first) = solve(&first, load)? else { return Ok(None) };
        return solve(&instance.second_level(&first.solution), load);
    }
    let mut variables = ProblemVariables::new();
    // chosen[m][o]: item m gets its option o.   share[m]: its part of the load.   longest: LC.
    let chosen: Vec<Vec<Variable>> = instance
        .items
        .iter()
        .map(|item| item.options.iter().map(|_| variables.add(variable().binary())).collect())
        .collect();
    let share: Vec<Variable> = instance.items.iter().map(|_| variables.add(variable().min(0.0).max(1.0))).collect();
    let longest = variables.add(variable().min(0.0));

    let cores = sum(instance, &chosen, |_, option| f64::from(option.cores));
    let accuracy: Expression = instance.items.iter().zip(&share).map(|(item, &share)| item.accuracy * share).sum();
    let used = cores.clone() / f64::from(instance.budget);
    // HiGHS's tolerances are absolute: its objective is a part of the weights.
    let unit = instance.objective.unit();
    let unit = if unit > 0.0 { unit } else { 1.0 };
    let goal = match instance.objective {
        Objective::MostAccurate | Objective::CoresThenAccuracy { .. } => accuracy.clone(),
        Objective::Cheapest { .. } | Objective::AccuracyThenCores { .. } => -used,
        Objective::Weighted { accuracy: weight, resource, loading } => {
            let part = 1.0 / unit;
            part * weight * accuracy.clone() - part * resource * used - part * loading * longest
        }
    };

    let mut model = good_lp::highs(variables.maximise(goal));
    model.add_constraint(constraint!(cores <= instance.budget));
    model.add_constraint(constraint!(share.iter().copied().sum::<Expression>() == 1.0));
    if let Objective::Cheapest { accuracy_at_least } = instance.objective {
        model.add_constraint(constraint!(accuracy >= accuracy_at_least));
    }
    let scale = instance.longest_load();
    for (item, (chosen, &share)) in instance.items.iter().zip(chosen.iter().zip(&share)) {
        let pairs = || item.options.iter().zip(chosen.iter().copied());
        let capacity: Expression = pairs().map(|(option, y)| option.capacity / load * y).sum();
        let changed: Expression =
            pairs().filter(|(option, _)| option.cores != item.current_cores).map(|(_, y)| y).sum();
        model.add_constraint(constraint!(chosen.iter().copied().sum::<Expression>() <= 1.0));
        model.add_constraint(constraint!(share <= capacity));
        if scale > 0.0 {
            model.add_constraint(constraint!(longest >= item.load_time / scale * changed));
        }
    }

    let Some(proved) = prove(model)? else { return Ok(None) };
    let mut rest = proved.columns.as_slice();
    let mut picked = Vec::new();
    for item in &instance.items {
        let (own, others) = rest.split_at(item.options.len());
        rest = others;
        picked.push(item.options.iter().zip(own).find(|(_, y)| **y > 0.5).map_or(0, |(option, _)| option.cores));
    }
    let solution = instance
        .evaluate(&picked, load)
        .ok_or_else(|| failure(format!("cores {picked:?} do not carry {load} requests/s")))?;
    Ok(Some(Milp { solution, bound: unit * proved.bound }))
}

fn sum(instance: &Instance, chosen: &[Vec<Variable>], weight: impl Fn(&Item, &Allotment) -> f64) -> Expression {
    let rows = instance.items.iter().zip(chosen);
    rows.flat_map(|(item, row)| item.options.iter().zip(row).map(|(option, &y)| weight(item, option) * y)).sum()
}
