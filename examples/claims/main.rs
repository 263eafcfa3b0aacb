//! Holds what plans claim of their latency against long simulations, gear by gear, each alone at its highest rate with Poisson
//! arrivals.
//!
//! ```text
//! cargo run --release --example claims -- [--requests N] [NAME=]FILE …
//! cargo run --release --example claims -- [--requests N] --drawn PROBLEMS [--seed S]
//! ```
//!
//! A file is a plan, or a problem that is solved first. `--drawn` draws so many problems of each room, half of them over profiles
//! with rare stalls, and solves them as `planner solve` does. Prints a row of a Markdown table for each gear: what it claims of the
//! SLO's quantile and by what, what the simulation says with its 95 % interval, how much higher the claim is, and whether late
//! requests are as few as the SLO allows; then a row for each kind of plan: the median and the worst, how many claims are off by more
//! than 15 %, and how many for sure, from the whole interval of the simulation. Exit code 1 where one is for sure.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use planner::base::codec::{from_value, load};
use planner::facts::{Facts, load_answers};
use planner::plan::Plan;
use planner::planners::solve;
use planner::problem::Problem;
use planner::profile::{Profile, Trust};
use planner::rooms::{Answer, Context};
use planner::simulate::{ClaimTried, Effort, Sureness, try_claim};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

mod drawn;

/// How far a claim may be from what is simulated.
const CLOSE: f64 = 0.15;
/// The trials of `planner solve`.
const EFFORT: Effort = Effort { requests: 200_000, trials: 5, seed: 42 };

fn main() -> Result<ExitCode> {
    let mut files = Vec::new();
    let (mut requests, mut problems, mut seed) = (2e6, 0, 1);
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut number = || given.next().with_context(|| format!("{argument} needs a number"));
        match argument.as_str() {
            "--requests" => requests = number()?.parse()?,
            "--drawn" => problems = number()?.parse()?,
            "--seed" => seed = number()?.parse()?,
            _ => files.push(argument),
        }
    }
    if files.is_empty() && problems == 0 {
        bail!("usage: claims [--requests N] ([NAME=]FILE … | --drawn PROBLEMS [--seed S])");
    }
    let mut table = Table {
        sure: Sureness { half: 0.0, least: requests, most: requests, ..Sureness::default() },
        off: BTreeMap::new(),
    };
    for given in &files {
        let (name, path) = given.split_once('=').unwrap_or((given, given));
        let path = Path::new(path);
        if path.extension().is_some_and(|extension| extension == "toml") {
            let problem = load::<Problem>(path)?.document;
            let facts = Facts::of_problem(&problem, path.parent().unwrap_or(Path::new("")))?;
            table.solved(name, &problem, &facts)?;
        } else {
            let plan = load::<Plan>(path)?.document;
            table.gears(name, &plan, &Facts::of_plan(&plan, path)?)?;
        }
    }
    table.drawn(problems, seed)?;
    Ok(table.summary())
}

/// The rows so far.
struct Table {
    sure: Sureness,
    /// By how much each claim is off, and by how much at least, by kind of plan.
    off: BTreeMap<String, Vec<(f64, f64)>>,
}

impl Table {
    fn drawn(&mut self, problems: u32, seed: u64) -> Result<()> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json");
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let rooms = [drawn::variant_set as fn(&mut ChaCha8Rng) -> Value, drawn::pipeline, drawn::cascade];
        for number in 0..problems {
            for (room, draw) in ["variant-set", "pipeline", "cascade"].iter().zip(rooms) {
                let mut profile = load::<Profile>(&path)?;
                let stalls = number % 2 == 1;
                if stalls {
                    drawn::add_stalls(&mut profile.document, &mut rng);
                }
                let answers = load_answers(&profile)?;
                let facts = Facts::of(vec![(profile, answers)]).map_err(planner::Error::from)?;
                let problem: Problem = from_value(draw(&mut rng)).map_err(planner::Error::from)?.0;
                let name = format!("{room} {number}{}", if stalls { ", stalls" } else { "" });
                self.solved(&name, &problem, &facts)?;
            }
        }
        Ok(())
    }

    fn solved(&mut self, name: &str, problem: &Problem, facts: &Facts) -> Result<()> {
        let why = match solve(problem, facts, Context { trial: Some(EFFORT), ..Context::default() }) {
            Ok(Answer::Plan(plan)) => return self.gears(name, &plan, facts),
            Ok(Answer::Infeasible(_)) => "infeasible".to_owned(),
            Err(error) => error.to_string(),
        };
        say(&format!("| {name} | {why} |"));
        Ok(())
    }

    fn gears(&mut self, name: &str, plan: &Plan, facts: &Facts) -> Result<()> {
        for gear in 0..plan.gears.len() {
            let tried = try_claim(plan, gear, facts, self.sure)?;
            // A drawn problem's number tells no kind.
            let kind: String = name.chars().filter(|sign| !sign.is_ascii_digit()).collect();
            self.off.entry(kind).or_default().extend(tried.off().map(|off| (off.abs(), at_least_off(&tried))));
            say(&row(name, plan, gear, &tried));
        }
        Ok(())
    }

    fn summary(self) -> ExitCode {
        say("| plans | claims | off by (median) | off by (worst) | more than 15 % | for sure |");
        let mut sure = 0;
        for (kind, mut off) in self.off.into_iter().filter(|(_, off)| !off.is_empty()) {
            off.sort_by(|a, b| a.0.total_cmp(&b.0));
            let percent = |place: usize| 100.0 * off[place].0;
            let far = off.iter().filter(|off| off.0 > CLOSE).count();
            let for_sure = off.iter().filter(|off| off.1 > CLOSE).count();
            let (median, worst) = (percent(off.len() / 2), percent(off.len() - 1));
            say(&format!("| {kind} | {} | {median:.1} % | {worst:.1} % | {far} | {for_sure} |", off.len()));
            sure += for_sure;
        }
        if sure > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

/// Returns by how much a claim is off from the nearest number that the simulation allows.
fn at_least_off(tried: &ClaimTried) -> f64 {
    let claimed = tried.claimed_ms.unwrap_or(tried.simulated_ms);
    let near = claimed.clamp(tried.interval_ms.low, tried.interval_ms.high);
    (claimed / near - 1.0).abs()
}

fn row(name: &str, plan: &Plan, gear: usize, tried: &ClaimTried) -> String {
    let claim = plan.gears[gear].claims.latency;
    let by = claim.map_or(Trust::Measured, |claim| claim.trust);
    let by = if claim.is_some_and(|claim| claim.trial.is_some()) { "simulated".to_owned() } else { by.to_string() };
    format!(
        "| {name} | {gear} | {:.2} | {} | {by} | {:.3} | {:.3} to {:.3} | {} | {} |",
        tried.rate_rps,
        tried.claimed_ms.map_or_else(|| "–".to_owned(), |ms| format!("{ms:.3}")),
        tried.simulated_ms,
        tried.interval_ms.low,
        tried.interval_ms.high,
        tried.off().map_or_else(|| "–".to_owned(), |off| format!("{:+.1} %", 100.0 * off)),
        tried.keeps(plan).map_or("open", |keeps| if keeps { "kept" } else { "broken" }),
    )
}

#[expect(clippy::print_stdout, reason = "the table is the answer")]
fn say(line: &str) {
    println!("{line}");
}
