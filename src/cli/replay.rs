//! `planner replay`: a plan on this machine, with the real engine, models and time.

use std::path::PathBuf;

use crate::base::codec::{load, to_bytes};
use crate::facts::Facts;
use crate::measure::engines::model_files;
use crate::plan::Plan;
use crate::replay::{ModelStore, Overhead, Row, Spread, compare, only_gear, replay};
use crate::simulate::{Measured, Report, simulate};
use crate::{Code, Error, Finding};
use serde::Serialize;

use super::engine::EngineChoice;
use super::load::{Load, Usual};
use super::{Answer, Layout, Output, print, print_text, say, say_findings, table};

/// Try a plan on this machine, with real models in real time, beside its simulation; exit 1 where it breaks its SLO
///
/// A trial bench, not a serving system: requests are made up here, each with a labelled sample.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  planner replay plans/cascade-digits.json --duration-s 10")]
pub struct Args {
    /// The plan
    plan: PathBuf,
    /// Try this gear alone, counted from 0 (default: the whole plan); the report then has no other, and calls it 0
    #[arg(long, value_name = "N")]
    gear: Option<usize>,
    #[command(flatten)]
    load: Load,
    /// Use these profiles in place of those that the plan names
    #[arg(long, value_name = "FILE")]
    profile: Vec<PathBuf>,
    /// Use these model lists in place of those that the profiles name
    #[arg(long, value_name = "FILE")]
    models: Vec<PathBuf>,
    #[command(flatten)]
    engine: EngineChoice,
    /// How the result is printed; a file takes the report alone, as JSON
    #[arg(long, default_value = "table")]
    format: Layout,
    #[command(flatten)]
    output: Output,
}

/// Everything that a replay gives, for programs.
#[derive(Debug, Serialize)]
struct Outcome<'a> {
    report: &'a Report,
    simulated: &'a Report,
    comparison: &'a [Row],
    overhead: Overhead,
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    args.output.check([&args.plan].into_iter().chain(&args.profile).chain(&args.models).chain(args.load.trace()))?;
    let plan = load::<Plan>(&args.plan)?;
    say_findings(&plan.findings);
    let plan = chosen(args, plan.document)?;
    let facts = if args.profile.is_empty() {
        Facts::of_plan(&plan, &args.plan)?
    } else {
        Facts::load_for(&plan, &args.profile)?
    };
    args.output.check_facts(&facts)?;
    let world = Measured::new(&plan, &facts).map_err(|findings| findings.in_file(&args.plan))?;
    let settings = args.load.settings(&plan, &Usual { trace: None, seconds: 10.0, warmup_s: 1.0 })?;
    let engine = args.engine.open()?;
    let models = model_files(engine.as_ref());
    let store = if args.models.is_empty() {
        ModelStore::from_facts(&facts, models)?
    } else {
        ModelStore::load(&args.models, models)?
    };
    let store = store.with_certainty(facts.certainty()?);
    say_findings(&store.differences(&facts, engine.as_ref()));
    if cfg!(debug_assertions) {
        say("this is a debug build, in which the embedded engine takes several times as long");
    }
    let trial = replay(&plan, &world, &store, engine.as_ref(), &settings).map_err(|error| in_plan(error, args))?;
    let simulated = simulate(&plan, &world, &settings);
    let as_served = simulate(&plan, &world.with_calls(&trial.calls), &settings);
    let comparison = compare(&plan, [&simulated, &as_served, &trial.report]);
    if !args.output.is_stdout() {
        args.output.write(&to_bytes(&trial.report))?;
    }
    let (report, overhead) = (&trial.report, trial.overhead);
    match args.format {
        Layout::Json => {
            print(&to_bytes(&Outcome { report, simulated: &simulated, comparison: &comparison, overhead }))?
        }
        Layout::Table => print_text(&text(report, &comparison, &overhead))?,
    }
    Ok(if report.whole.slo_met { Answer::Yes } else { Answer::No })
}

fn in_plan(error: Error, args: &Args) -> Error {
    match error {
        Error::Input(findings) => Error::Input(findings.in_file(&args.plan)),
        other => other,
    }
}

fn chosen(args: &Args, plan: Plan) -> Result<Plan, Error> {
    let Some(index) = args.gear else { return Ok(plan) };
    only_gear(&plan, index).ok_or_else(|| {
        let action = format!("gears of this plan are 0 to {}", plan.gears.len() - 1);
        Finding::error(Code::UnknownName, "--gear", format!("there is no gear {index}"), action).into()
    })
}

fn text(report: &Report, comparison: &[Row], overhead: &Overhead) -> String {
    let bench = bench(overhead);
    format!("{}\n{}\n\n{bench}\n", super::simulate::text(report), comparison_table(comparison))
}

fn comparison_table(rows: &[Row]) -> comfy_table::Table {
    let mut comparison =
        table(&["of", "measure", "claim", "simulated", "as served", "measured", "off by", "off as served"]);
    let number = |number: Option<f64>| number.map_or_else(|| "–".to_owned(), sized);
    for row in rows {
        let off = |simulated: Option<f64>| {
            let pair = simulated.zip(row.measured).filter(|(simulated, _)| *simulated > 0.0);
            pair.map_or_else(|| "–".to_owned(), |(s, m)| format!("{:+.1} %", (m / s - 1.0) * 100.0))
        };
        comparison.add_row(vec![
            row.of.clone(),
            row.measure.clone(),
            number(row.claim),
            number(row.simulated),
            number(row.as_served),
            number(row.measured),
            off(row.simulated),
            off(row.as_served),
        ]);
    }
    comparison
}

/// Returns a number as its size asks for.
fn sized(number: f64) -> String {
    if number >= 100.0 { format!("{number:.1}") } else { format!("{number:.4}") }
}

fn bench(overhead: &Overhead) -> String {
    let us = |spread: &Spread| format!("{:.0}", spread.p50_ms.get() * 1e3);
    let p99 = |spread: &Spread| format!("{:.0}", spread.p99_ms.get() * 1e3);
    let Overhead { lag, hand_over, hand_back, own_core } = overhead;
    format!(
        "the bench itself, median (p99): arrivals seen {} ({}) µs late, calls begun after {} ({}) µs, answers seen after {} \
         ({}) µs; {}",
        us(lag),
        p99(lag),
        us(hand_over),
        p99(hand_over),
        us(hand_back),
        p99(hand_back),
        if *own_core { "it had a core to itself" } else { "it shared the cores of the replicas" }
    )
}
