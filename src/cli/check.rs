//! `planner check`: recompute every claim of a plan.

use std::path::PathBuf;

use planner::format::{load, to_bytes};
use planner::plan::{self, Plan, Tolerance};
use planner::{Error, Severity};

use super::solve::{facts_of, problem_of};
use super::{Answer, Layout, print};

/// Recompute every claim of a plan from its facts and problem, without the solver
///
/// Exit status 1 when a claim is refuted or a limit is broken.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  planner check plans/digits.json")]
pub struct Args {
    /// The plan
    plan: PathBuf,
    /// The problem to check against; the one kept in the plan where left out
    #[arg(long, value_name = "FILE")]
    problem: Option<PathBuf>,
    /// Profiles to check against; those named in the plan where left out
    #[arg(long, value_name = "FILE")]
    profile: Vec<PathBuf>,
    /// Relative tolerance for times and prices
    #[arg(long, default_value_t = Tolerance::default().relative, value_parser = tolerance)]
    tolerance: f64,
    /// How to print the findings
    #[arg(long, value_enum, default_value_t)]
    format: Layout,
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    let plan = load::<Plan>(&args.plan)?;
    let problem = problem_of(&plan, args.problem.as_deref())?;
    let facts = facts_of(&plan, &args.profile)?;
    let tolerance = Tolerance { relative: args.tolerance, ..Tolerance::default() };
    let mut findings = plan::check(&plan.document, &facts, problem.as_ref(), tolerance);
    findings.extend(plan::facts_changed(&plan.document, &facts));
    let findings = findings.in_file(&args.plan);
    let count = |severity| findings.0.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings, notes) = (count(Severity::Error), count(Severity::Warning), count(Severity::Note));
    match args.format {
        Layout::Json => print(&to_bytes(&findings.0))?,
        Layout::Table => {
            let list = if findings.0.is_empty() { String::new() } else { format!("{findings}\n") };
            let verdict = if errors == 0 { "confirmed" } else { "refuted" };
            let gears = plan.document.gears.len();
            let counts = [counted(errors, "error"), counted(warnings, "warning"), counted(notes, "note")].join(", ");
            print(format!("{list}{verdict}: {}, {counts}\n", counted(gears, "gear")).as_bytes())?;
        }
    }
    Ok(if errors == 0 { Answer::Yes } else { Answer::No })
}

fn tolerance(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    let sound = (0.0..=1.0).contains(&number);
    if sound { Ok(number) } else { Err(format!("{number} is no part from 0 to 1")) }
}

/// Returns a number with its noun, in the plural where there is not one.
fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
