//! `planner explain`: why a gear is as it is.

use std::path::PathBuf;

use crate::Error;
use crate::base::codec::{load, to_bytes};
use crate::plan::{Plan, facts_changed};
use crate::planners;
use crate::rooms::{Explanation, LimitPrice};

use super::solve::{facts_of, problem_of};
use super::{Answer, Layout, figures, print, print_text, say_findings, table};

/// Explain a gear: which limits bind, what loosening them would buy, and what came second
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  planner explain plans/digits.json --gear 2")]
pub struct Args {
    /// The plan
    plan: PathBuf,
    /// Index of the gear; the last one where left out
    #[arg(long)]
    gear: Option<usize>,
    /// The problem; the one kept in the plan where left out
    #[arg(long, value_name = "FILE")]
    problem: Option<PathBuf>,
    /// Profiles; those named in the plan where left out
    #[arg(long, value_name = "FILE")]
    profile: Vec<PathBuf>,
    /// How to print the explanation
    #[arg(long, value_enum, default_value_t)]
    format: Layout,
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    let plan = load::<Plan>(&args.plan)?;
    let problem = problem_of(&plan, args.problem.as_deref())?.ok_or_else(|| Error::Unsupported {
        what: "the plan keeps no problem to explain it from".to_owned(),
        hint: "name one with --problem".to_owned(),
    })?;
    let facts = facts_of(&plan, &args.profile)?;
    say_findings(&facts_changed(&plan.document, &facts).in_file(&args.plan));
    let gear = args.gear.unwrap_or(plan.document.gears.len() - 1);
    let explanation = planners::explain(&plan.document, &problem, &facts, gear)?;
    match args.format {
        Layout::Json => print(&to_bytes(&explanation))?,
        Layout::Table => print_text(&describe(&explanation))?,
    }
    Ok(Answer::Yes)
}

/// Says in a sentence what loosening a limit buys.
fn price(limit: &LimitPrice) -> String {
    let step = limit.loosened_to - limit.value;
    let step = match &*limit.key {
        "slo.latency_ms" => format!("{step:.2} ms more ({})", limit.key),
        "goal.accuracy_at_least" => format!("{:.2} points less ({})", -100.0 * step, limit.key),
        key if key.ends_with("memory_mb") => format!("{step:.2} MB more ({key})"),
        key if key.ends_with("at_most") => format!("a machine more ({key})"),
        _ => format!("{step} more ({})", limit.key),
    };
    let accuracy = (limit.accuracy_gain.abs() >= 5e-5).then(|| {
        format!(
            "{} {:.2} points",
            if limit.accuracy_gain > 0.0 { "buys" } else { "costs" },
            100.0 * limit.accuracy_gain.abs()
        )
    });
    let cores = (limit.cores_change != 0).then(|| {
        let word = if limit.cores_change < 0 { "saves" } else { "takes" };
        format!("{word} {} core{}", limit.cores_change.abs(), if limit.cores_change.abs() == 1 { "" } else { "s" })
    });
    let money = limit.cost_change_usd_per_hour.filter(|change| change.abs() >= 5e-5);
    let money = money
        .map(|change| format!("{} {} USD/h", if change < 0.0 { "saves" } else { "takes" }, figures(change.abs(), 4)));
    // What is paid where machines are rented is the machines.
    let taken = if limit.cost_change_usd_per_hour.is_some() { money } else { cores };
    let both: Vec<String> = accuracy.into_iter().chain(taken).collect();
    format!("{step} {}", if both.is_empty() { "buys less than 0.01 points".to_owned() } else { both.join(" and ") })
}

fn describe(explanation: &Explanation) -> String {
    let usd = |usd: Option<f64>| usd.map_or_else(String::new, |usd| format!(" for {} USD/h", figures(usd, 4)));
    let mut text = format!(
        "gear {} at {} requests/s: accuracy {:.4} on {} cores{}, objective {:.6}\n\n",
        explanation.gear,
        figures(explanation.load_rps, 1),
        explanation.accuracy,
        explanation.cores,
        usd(explanation.cost_usd_per_hour),
        explanation.objective
    );
    let rented = explanation.cost_usd_per_hour.is_some();
    let heads = ["limit", "is", "at", "binds", "accuracy", "cores", "objective"];
    let mut rows = table(&if rented { [&heads[..6], &["USD/h"], &heads[6..]].concat() } else { heads.to_vec() });
    for limit in &explanation.limits {
        let mut row = vec![
            limit.key.to_string(),
            limit.value.to_string(),
            format!("{:.4}", limit.loosened_to),
            if limit.binds { "yes" } else { "no" }.to_owned(),
            format!("{:+.4}", limit.accuracy_gain),
            format!("{:+}", limit.cores_change),
        ];
        row.extend(limit.cost_change_usd_per_hour.map(|change| format!("{change:+.4}")));
        row.push(format!("{:+.6}", limit.objective_gain));
        rows.add_row(row);
    }
    text.push_str(&format!("{rows}\n\n"));
    for limit in explanation.limits.iter().filter(|limit| limit.binds) {
        text.push_str(&format!("{}\n", price(limit)));
    }
    match &explanation.runner_up {
        Some(second) => {
            let cores: Vec<_> = second.cores.iter().map(|(name, cores)| format!("{name} on {cores}")).collect();
            text.push_str(&format!(
                "runner-up without one of the chosen allotments: {}; accuracy {:.4}{}, objective {:.6} ({:+.6})\n",
                cores.join(", "),
                second.accuracy,
                usd(second.cost_usd_per_hour),
                second.objective,
                second.objective - explanation.objective
            ));
        }
        None => text.push_str("no other plan carries this load\n"),
    }
    text
}
