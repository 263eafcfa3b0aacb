//! `planner simulate`: what would happen if a plan served a load.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use planner::facts::Facts;
use planner::format::{load, to_bytes};
use planner::plan::Plan;
use planner::simulate::{Arrivals, Measured, Report, Settings, Summary, Trace, simulate};
use planner::units::Millis;
use planner::{Code, Error, Finding};

use super::{Answer, Layout, Output, print, say_findings, table};

/// Part of the plan's highest rate that is tried where none is given.
const DEFAULT_LOAD: f64 = 0.8;
/// Time that is tried where neither a time nor a trace is given, in seconds.
const DEFAULT_SECONDS: f64 = 60.0;

/// Try a plan in an event simulation; exit 1 where it breaks its SLO
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plan
    plan: PathBuf,
    /// Offer this many requests per second (default: 80 % of what the plan carries)
    #[arg(long, value_name = "R", conflicts_with = "trace")]
    rps: Option<f64>,
    /// Offer a trace: requests per second, one number a line or the last column of a CSV, plain or gzipped
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Multiply the rates of the trace
    #[arg(long, value_name = "X", requires = "trace", default_value_t = 1.0)]
    scale: f64,
    /// How arrivals at a fixed rate are spaced; a trace is Poisson in each second
    #[arg(long, default_value = "poisson", conflicts_with = "trace")]
    arrivals: Spacing,
    /// Simulate this long, in seconds (default: 60, or the length of the trace)
    #[arg(long, value_name = "SECONDS")]
    duration_s: Option<f64>,
    /// Serve this long before counting, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    warmup_s: f64,
    /// Seed of everything random
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Use these profiles in place of those that the plan names
    #[arg(long, value_name = "FILE", num_args = 1..)]
    profile: Vec<PathBuf>,
    /// How the report is printed; a file is always JSON
    #[arg(long, default_value = "table")]
    format: Layout,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Spacing {
    Poisson,
    Constant,
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    args.output.check()?;
    let plan = load::<Plan>(&args.plan)?;
    say_findings(&plan.findings);
    let facts =
        if args.profile.is_empty() { Facts::of_plan(&plan.document, &args.plan)? } else { Facts::load(&args.profile)? };
    let world = Measured::new(&plan.document, &facts).map_err(|findings| findings.in_file(&args.plan))?;
    let report = simulate(&plan.document, &world, &settings(args, &plan.document)?);
    if !args.output.is_stdout() {
        args.output.write(&to_bytes(&report))?;
    }
    match (args.format, args.output.is_stdout()) {
        (Layout::Json, true) => print(&to_bytes(&report))?,
        (Layout::Json, false) => {}
        (Layout::Table, _) => print(text(&report).as_bytes())?,
    }
    Ok(if report.whole.slo_met { Answer::Yes } else { Answer::No })
}

fn settings(args: &Args, plan: &Plan) -> Result<Settings, Error> {
    let arrivals = arrivals(args, plan)?;
    let seconds = match (args.duration_s, &arrivals) {
        (Some(seconds), _) => positive("--duration-s", seconds)?,
        (None, Arrivals::Trace(trace)) => trace.seconds() as f64,
        (None, _) => DEFAULT_SECONDS,
    };
    let time = |name, seconds| {
        Duration::try_from_secs_f64(seconds).map_err(|_| bad_number(name, seconds, "a time of at least 0 seconds"))
    };
    Ok(Settings {
        arrivals,
        duration: time("--duration-s", seconds)?,
        warmup: time("--warmup-s", args.warmup_s)?,
        seed: args.seed,
    })
}

fn arrivals(args: &Args, plan: &Plan) -> Result<Arrivals, Error> {
    if let Some(path) = &args.trace {
        return Ok(Arrivals::Trace(Trace::load(path, positive("--scale", args.scale)?)?));
    }
    let rate_rps = positive("--rps", args.rps.unwrap_or_else(|| DEFAULT_LOAD * plan.max_rps()))?;
    Ok(match args.arrivals {
        Spacing::Poisson => Arrivals::Poisson { rate_rps },
        Spacing::Constant => Arrivals::Constant { rate_rps },
    })
}

fn positive(name: &str, number: f64) -> Result<f64, Error> {
    let is_positive = number.is_finite() && number > 0.0;
    if is_positive { Ok(number) } else { Err(bad_number(name, number, "a finite number above 0")) }
}

fn bad_number(name: &str, number: f64, action: &str) -> Error {
    Finding::error(Code::OutOfRange, name, format!("{number} cannot be simulated"), action).into()
}

/// Returns a report as people read it.
pub fn text(report: &Report) -> String {
    format!("{}\n\n{}\n\n{}\n", gears(report), pools(report), verdict(report))
}

fn gears(report: &Report) -> comfy_table::Table {
    let mut gears = table(&["gear", "up to rps", "time", "requests", "p50 ms", "p95 ms", "p99 ms", "late", "accuracy"]);
    for (index, gear) in report.gears.iter().enumerate() {
        let range = format!("{:.1}", gear.up_to_rps.get());
        gears.add_row(row(index.to_string(), range, gear.time_share.get(), &gear.summary));
    }
    gears.add_row(row("all".to_owned(), String::new(), 1.0, &report.whole));
    gears
}

fn row(name: String, range: String, time: f64, summary: &Summary) -> Vec<String> {
    let ms = |pick: fn(&planner::simulate::ResponseTimes) -> Millis| {
        summary.latency.as_ref().map_or_else(|| "–".to_owned(), |times| format!("{:.3}", pick(times).get()))
    };
    vec![
        name,
        range,
        format!("{:.0} %", time * 100.0),
        summary.arrived.to_string(),
        ms(|times| times.p50_ms),
        ms(|times| times.p95_ms),
        ms(|times| times.p99_ms),
        format!("{:.3} %", summary.violation_share.get() * 100.0),
        summary.accuracy.map_or_else(|| "–".to_owned(), |accuracy| format!("{:.4}", accuracy.get())),
    ]
}

fn pools(report: &Report) -> comfy_table::Table {
    let mut pools = table(&["pool", "busy", "replicas", "waiting", "calls", "batch", "USD/h"]);
    for pool in &report.pools {
        pools.add_row(vec![
            pool.name.clone(),
            format!("{:.1} %", pool.utilisation.get() * 100.0),
            format!("{:.2}", pool.mean_replicas),
            format!("{:.3}", pool.mean_waiting),
            pool.calls.to_string(),
            format!("{:.2}", pool.mean_batch),
            format!("{:.4}", pool.cost_usd_per_hour.get()),
        ]);
    }
    pools
}

fn verdict(report: &Report) -> String {
    let word = if report.whole.slo_met { "meets" } else { "breaks" };
    let slo = report.slo;
    let in_time = 100.0 * (1.0 - report.whole.violation_share.get());
    format!(
        "{} {word} its SLO under {}: {in_time:.3} % within {} ms, {:.2} % asked; {} gear changes; {:.4} USD/h",
        report.plan,
        report.arrivals,
        slo.latency_ms,
        slo.quantile.get() * 100.0,
        report.changes.len(),
        report.cost_usd_per_hour(),
    )
}
