//! `planner solve --frontier`: what accuracy cores buy, in place of a plan.

use std::collections::BTreeMap;

use planner::Error;
use planner::facts::Facts;
use planner::format::to_bytes;
use planner::problem::Problem;
use planner::rooms::Frontiers;

use super::{Answer, Output, print, table};

/// Works out the frontier at these loads, or at the highest that is planned for, and writes it; exit 1 where nothing carries them.
pub fn write(problem: &Problem, facts: &Facts, loads: &[f64], output: &Output) -> Result<Answer, Error> {
    let highest = [problem.workload.max_rps.get()];
    let loads = if loads.is_empty() { &highest } else { loads };
    let frontiers = Frontiers::of(problem, facts, &BTreeMap::new(), loads)?;
    if frontiers.choices.is_empty() {
        print(b"infeasible: nothing carries the load within the SLO on these cores\n")?;
        return Ok(Answer::No);
    }
    let is_csv = output.output.extension().is_some_and(|extension| extension == "csv");
    let bytes = if is_csv { frontiers.to_csv().into_bytes() } else { to_bytes(&frontiers) };
    if output.is_stdout() {
        print(shown(&frontiers).as_bytes())?;
    } else {
        output.write(&bytes)?;
        print(shown(&frontiers).as_bytes())?;
    }
    Ok(Answer::Yes)
}

fn shown(frontiers: &Frontiers) -> String {
    let mut rows = table(&["rps", "by", "cores", "usd/h", "accuracy", "cores of each"]);
    for choice in &frontiers.choices {
        let of: Vec<String> = choice.cores_of.iter().map(|(name, cores)| format!("{name} {cores}")).collect();
        rows.add_row([
            format!("{:.1}", choice.load_rps.get()),
            choice.by.as_str().to_owned(),
            choice.cores.to_string(),
            format!("{:.4}", choice.cost_usd_per_hour.get()),
            format!("{:.4}", choice.accuracy.get()),
            of.join(", "),
        ]);
    }
    format!("{rows}\nevery point of the frontier is proved: no choice on so few cores is more accurate\n")
}
