//! The integer program of the room `pipeline`, for delays in seconds.
//!
//! ```text
//! y_so ∈ {0, 1}, Σ_o y_so = 1         one alternative for every stage
//! T_s ≥ T_before + Σ_o l_so·y_so      for every stage and every one that it waits for; T_s ≤ limit
//! ```
//!
//! Products are written without loss: with `P_0 = 1`, `Σ_o p_so = P_{s−1}`, `p_so ≤ y_so` and `P_s = Σ_o a_so·p_so`, the
//! chosen alternative carries all of `P_{s−1}`, for accuracies of at most 1. A measured table becomes one variable for
//! every combination of blends that is at most the part of each of its blends.

use good_lp::solvers::highs::HighsProblem;
use good_lp::{Expression, ProblemVariables, SolverModel, Variable, constraint, variable};

use super::{failure, prove};
use crate::base::error::Error;
use crate::optimize::choice::{Alternative, Choice, ChoiceGoal, ChoiceMetric, Picked, SeriesParallel, Table};

/// Solves the program, or returns `None` where HiGHS proves that no choice keeps all limits.
///
/// # Errors
/// [`Error::Solver`] where HiGHS stops without a proof.
pub fn solve(choice: &Choice<f64>) -> Result<Option<Picked>, Error> {
    let of_one = in_parts_of_one(choice);
    let Some(picks) = picks(&of_one)? else { return Ok(None) };
    choice.evaluate(&picks).map(Some).ok_or_else(|| failure(format!("picks {picks:?} break a limit")))
}

/// Returns the same program with delays as parts of the limit and costs as parts of all of them, since HiGHS's tolerances are
/// absolute.
fn in_parts_of_one(choice: &Choice<f64>) -> Choice<f64> {
    let positive = |unit: f64| if unit > 0.0 { unit } else { 1.0 };
    let dearest = |stage: &Vec<Alternative<f64>>| stage.iter().map(|of| of.cost).fold(0.0, f64::max);
    let costs: f64 = choice.stages.iter().map(dearest).sum();
    let time = positive(choice.limit);
    let (money, goal) = match choice.goal {
        ChoiceGoal::Weighted { accuracy } => {
            let money = positive(accuracy + costs);
            (money, ChoiceGoal::Weighted { accuracy: accuracy / money })
        }
        ChoiceGoal::MostAccurate { cost_at_most } => {
            (positive(costs), ChoiceGoal::MostAccurate { cost_at_most: cost_at_most / positive(costs) })
        }
        goal @ ChoiceGoal::Cheapest { .. } => (positive(costs), goal),
    };
    let scaled = |of: &Alternative<f64>| Alternative { cost: of.cost / money, delay: of.delay / time, ..of.clone() };
    let stages = choice.stages.iter().map(|stage| stage.iter().map(scaled).collect()).collect();
    Choice { stages, goal, limit: choice.limit / time, ..choice.clone() }
}

fn picks(choice: &Choice<f64>) -> Result<Option<Vec<usize>>, Error> {
    let mut variables = ProblemVariables::new();
    let binaries = |variables: &mut ProblemVariables, count: usize| -> Vec<Variable> {
        (0..count).map(|_| variables.add(variable().binary())).collect()
    };
    let picked: Vec<Vec<Variable>> = choice.stages.iter().map(|stage| binaries(&mut variables, stage.len())).collect();
    let mut rows = Vec::new();
    for stage in &picked {
        rows.push(constraint!(stage.iter().copied().sum::<Expression>() == 1.0));
    }
    let accuracy = match &choice.metric {
        ChoiceMetric::Sum => sum(choice, &picked, |of| of.accuracy),
        ChoiceMetric::Product => product(choice, &picked, &mut variables, &mut rows),
        ChoiceMetric::Table(table) => looked_up(choice, table, &picked, &mut variables, &mut rows),
    };
    let end = finish(choice, &choice.walk, &picked, &mut variables, &mut rows, Expression::from(0.0));
    rows.push(constraint!(end <= choice.limit));
    let cost = sum(choice, &picked, |of| of.cost);
    let goal = match choice.goal {
        ChoiceGoal::Weighted { accuracy: weight } => weight * accuracy - cost,
        ChoiceGoal::Cheapest { accuracy_at_least } => {
            rows.push(constraint!(accuracy >= accuracy_at_least));
            -cost
        }
        ChoiceGoal::MostAccurate { cost_at_most } => {
            if cost_at_most.is_finite() {
                rows.push(constraint!(cost <= cost_at_most));
            }
            accuracy
        }
    };
    let mut model: HighsProblem = good_lp::highs(variables.maximise(goal));
    for row in rows {
        model.add_constraint(row);
    }
    let Some(proved) = prove(model)? else { return Ok(None) };
    let mut rest = proved.columns.as_slice();
    let mut picks = Vec::new();
    for stage in &picked {
        let (own, others) = rest.split_at(stage.len());
        rest = others;
        picks.push(own.iter().position(|y| *y > 0.5).unwrap_or(0));
    }
    Ok(Some(picks))
}

fn sum(choice: &Choice<f64>, picked: &[Vec<Variable>], of: impl Fn(&Alternative<f64>) -> f64) -> Expression {
    let rows = choice.stages.iter().zip(picked);
    rows.flat_map(|(stage, row)| stage.iter().zip(row).map(|(alternative, &y)| of(alternative) * y)).sum()
}

fn product(
    choice: &Choice<f64>,
    picked: &[Vec<Variable>],
    variables: &mut ProblemVariables,
    rows: &mut Vec<good_lp::Constraint>,
) -> Expression {
    let mut so_far = Expression::from(1.0);
    for (stage, row) in choice.stages.iter().zip(picked) {
        let carried: Vec<Variable> = stage.iter().map(|_| variables.add(variable().min(0.0).max(1.0))).collect();
        rows.push(constraint!(carried.iter().copied().sum::<Expression>() == so_far));
        rows.extend(carried.iter().zip(row).map(|(&carried, &y)| constraint!(carried <= y)));
        so_far = stage.iter().zip(&carried).map(|(alternative, &carried)| alternative.accuracy * carried).sum();
    }
    so_far
}

fn looked_up(
    choice: &Choice<f64>,
    table: &Table,
    picked: &[Vec<Variable>],
    variables: &mut ProblemVariables,
    rows: &mut Vec<good_lp::Constraint>,
) -> Expression {
    let mut all = Expression::from(0.0);
    let mut accuracy = Expression::from(0.0);
    for (blends, of) in table.entries() {
        let part = variables.add(variable().min(0.0).max(1.0));
        for ((stage, row), blend) in choice.stages.iter().zip(picked).zip(blends) {
            let same = stage.iter().zip(row).filter(|(alternative, _)| alternative.blend == blend);
            let uses: Expression = same.map(|(_, &y)| y).sum();
            rows.push(constraint!(part <= uses));
        }
        all += part;
        accuracy += of * part;
    }
    rows.push(constraint!(all == 1.0));
    accuracy
}

/// Returns when a part of the walk is done that begins at `begin`.
fn finish(
    choice: &Choice<f64>,
    walk: &SeriesParallel,
    picked: &[Vec<Variable>],
    variables: &mut ProblemVariables,
    rows: &mut Vec<good_lp::Constraint>,
    begin: Expression,
) -> Expression {
    match walk {
        SeriesParallel::Stage(stage) => {
            let pairs = choice.stages[*stage].iter().zip(&picked[*stage]);
            begin + pairs.map(|(alternative, &y)| alternative.delay * y).sum::<Expression>()
        }
        SeriesParallel::Series(parts) => {
            parts.iter().fold(begin, |begin, part| finish(choice, part, picked, variables, rows, begin))
        }
        SeriesParallel::Parallel(parts) => {
            let end = variables.add(variable().min(0.0));
            for part in parts {
                let own = finish(choice, part, picked, variables, rows, begin.clone());
                rows.push(constraint!(own <= end));
            }
            end.into()
        }
    }
}
