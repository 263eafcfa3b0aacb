//! `planner solve --frontier`: what accuracy cores buy, in place of a plan.

use std::collections::BTreeMap;

use crate::Error;
use crate::base::codec::to_bytes;
use crate::facts::Facts;
use crate::planners;
use crate::problem::Problem;
use crate::rooms::Frontiers;

use super::{Answer, Output, figures, print_text, table};

/// Works out the frontier at these loads, or at the highest that is planned for, and writes it; exit 1 where nothing carries them.
pub fn write(problem: &Problem, facts: &Facts, loads: &[f64], output: &Output) -> Result<Answer, Error> {
    let highest = [problem.workload.max_rps.get()];
    let loads = if loads.is_empty() { &highest } else { loads };
    let frontiers = planners::frontiers(problem, facts, &BTreeMap::new(), loads)?;
    if frontiers.choices.is_empty() {
        print_text("infeasible: nothing carries the load within the SLO on what there is\n")?;
        return Ok(Answer::No);
    }
    let is_exact = planners::room_of(problem)?.is_exact();
    let is_csv = output.output.extension().is_some_and(|extension| extension == "csv");
    let bytes = if is_csv { frontiers.to_csv().into_bytes() } else { to_bytes(&frontiers) };
    if output.is_stdout() {
        print_text(&shown(&frontiers, is_exact))?;
    } else {
        output.write(&bytes)?;
        print_text(&shown(&frontiers, is_exact))?;
    }
    Ok(Answer::Yes)
}

fn shown(frontiers: &Frontiers, is_exact: bool) -> String {
    let each = |of: &BTreeMap<String, u32>| {
        of.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    };
    let rented = frontiers.choices.iter().any(|choice| !choice.machines.is_empty());
    let heads = ["rps", "by", "cores", "usd/h", "accuracy", "cores of each", "machines"];
    let mut rows = table(if rented { &heads } else { &heads[..6] });
    for choice in &frontiers.choices {
        let mut row = vec![
            figures(choice.load_rps.get(), 1),
            choice.by.as_str().to_owned(),
            choice.cores.to_string(),
            figures(choice.cost_usd_per_hour.get(), 4),
            format!("{:.4}", choice.accuracy.get()),
            each(&choice.cores_of),
        ];
        row.extend(rented.then(|| each(&choice.machines)));
        rows.add_row(row);
    }
    let so_few = if rented { "machines as cheap" } else { "so few cores" };
    if !is_exact {
        return format!("{rows}\nheuristic: no optimality bound\n");
    }
    format!("{rows}\nevery point of the frontier is proved: no choice on {so_few} is more accurate\n")
}
