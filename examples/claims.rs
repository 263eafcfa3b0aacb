//! Holds what plans claim of their latency against simulation, gear by gear, each alone at its highest rate with Poisson arrivals.
//!
//! `cargo run --release --example claims -- [NAME=]PLAN.json …` prints a row of a Markdown table for each gear: what it claims of the SLO's
//! quantile, what trials say with its 95 % interval, and whether late requests, with theirs, are as few as the SLO allows. A gear
//! that leaves that open has the border inside its interval. Exit code 1 where a gear breaks its SLO or a claim is off by more than 15 %.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use planner::base::codec::load;
use planner::facts::Facts;
use planner::plan::Plan;
use planner::simulate::{Sureness, try_claim};

/// How far a claim may be from what is simulated.
const CLOSE: f64 = 0.15;

fn main() -> Result<ExitCode> {
    let plans: Vec<String> = std::env::args().skip(1).collect();
    if plans.is_empty() {
        bail!("usage: claims [NAME=]PLAN.json …");
    }
    let mut code = ExitCode::SUCCESS;
    for given in &plans {
        let (name, path) = given.split_once('=').unwrap_or((given, given));
        let plan = load::<Plan>(Path::new(path))?.document;
        let facts = Facts::of_plan(&plan, Path::new(path))?;
        for gear in 0..plan.gears.len() {
            let tried = try_claim(&plan, gear, &facts, Sureness::default())?;
            let keeps = tried.keeps(&plan);
            if keeps == Some(false) || tried.off().is_none_or(|off| off.abs() > CLOSE) {
                code = ExitCode::FAILURE;
            }
            say(&format!(
                "| {name} | {gear} | {:.2} | {} | {:.2} | {:.2} to {:.2} | {} | {:.3} to {:.3} % | {} | {} |",
                tried.rate_rps,
                tried.claimed_ms.map_or_else(|| "–".to_owned(), |ms| format!("{ms:.2}")),
                tried.simulated_ms,
                tried.interval_ms.low,
                tried.interval_ms.high,
                plan.slo.latency_ms,
                100.0 * tried.late.low,
                100.0 * tried.late.high,
                keeps.map_or("open", |keeps| if keeps { "kept" } else { "broken" }),
                tried.off().map_or_else(|| "–".to_owned(), |off| format!("{:+.1} %", 100.0 * off)),
            ));
        }
    }
    Ok(code)
}

#[expect(clippy::print_stdout, reason = "the table is the answer")]
fn say(line: &str) {
    println!("{line}");
}
