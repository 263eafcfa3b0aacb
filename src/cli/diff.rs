//! `planner diff`: two plans side by side.

use std::path::PathBuf;

use planner::Error;
use planner::format::{load, to_bytes};
use planner::plan::{self, GearDiff, Plan, PlanDiff};

use super::{Answer, Layout, print, table};

/// Compare two plans load by load
///
/// Exit status 1 when they differ.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  planner diff plans/old.json plans/new.json")]
pub struct Args {
    /// The first plan
    before: PathBuf,
    /// The second plan
    after: PathBuf,
    /// How to print the difference
    #[arg(long, value_enum, default_value_t)]
    format: Layout,
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    let before = load::<Plan>(&args.before)?;
    let after = load::<Plan>(&args.after)?;
    let diff = plan::diff(&before.document, &after.document);
    match args.format {
        Layout::Json => print(&to_bytes(&diff))?,
        Layout::Table => print(describe(&diff).as_bytes())?,
    }
    Ok(if diff.same { Answer::Yes } else { Answer::No })
}

fn describe(diff: &PlanDiff) -> String {
    if diff.same {
        return "the plans do and claim the same at every load\n".to_owned();
    }
    let mut rows = table(&["rps", "before", "after", "accuracy", "latency ms", "cores", "usd/h"]);
    for range in diff.ranges.iter().filter(|range| !range.same) {
        rows.add_row(row(range));
    }
    format!("{rows}\n")
}

fn row(range: &GearDiff) -> [String; 7] {
    let lanes =
        |side: &Option<plan::Side>| side.as_ref().map_or("not carried".to_owned(), |side| side.lanes.join("\n"));
    let change = |digits: usize, of: &dyn Fn(&plan::Side) -> Option<f64>| match (
        range.before.as_ref().and_then(of),
        range.after.as_ref().and_then(of),
    ) {
        (Some(old), Some(new)) => format!("{old:.digits$} → {new:.digits$}"),
        _ => "–".to_owned(),
    };
    [
        format!("{:.1} to {:.1}", range.from_rps, range.to_rps),
        lanes(&range.before),
        lanes(&range.after),
        change(4, &|side| side.accuracy),
        change(2, &|side| side.latency_ms),
        change(0, &|side| side.cores.map(f64::from)),
        change(4, &|side| side.cost_usd_per_hour),
    ]
}
