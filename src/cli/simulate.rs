//! `planner simulate`: what would happen if a plan served a load.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Error;
use crate::base::codec::{Loaded, load, to_bytes};
use crate::base::finding::Findings;
use crate::base::units::Millis;
use crate::facts::Facts;
use crate::plan::{Plan, facts_changed};
use crate::planners;
use crate::planners::baselines;
use crate::problem::Problem;
use crate::rooms::{BaselineKind as Kind, BaselineRules};
use crate::simulate::{Interval, Measured, PoolReport, Report, Settings, Summary, replicate, replicate_under};
use clap::ValueEnum;

use super::load::{Load, Usual};
use super::solve::{facts_of, problem_of, say_pace};
use super::{Answer, Layout, Output, figures, print, print_text, say_findings, table};

/// Try a plan in an event simulation; exit 1 where it breaks its SLO
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  planner simulate plans/digits.json --trace traces/day.csv --scale 34000 -o report.json")]
pub struct Args {
    /// The plan
    plan: PathBuf,
    #[command(flatten)]
    load: Load,
    /// Independent trials, with seeds from --seed on; two or more give intervals
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    replications: u32,
    /// Let busy replicas on cores slow each other down, as `planner profile --co-runners` measured
    #[arg(long)]
    contention: bool,
    /// Let slow calls come in stretches, as long as `planner profile` measured, in place of drawing each call by itself
    #[arg(long)]
    stretches: bool,
    /// Print what people do without a planner beside the plan, on the same facts and arrivals
    #[arg(long, value_name = "KIND", value_enum, num_args = 1.., value_delimiter = ',')]
    baseline: Vec<Baseline>,
    /// How far the oracle of --baseline sees
    #[arg(long, value_name = "S", default_value_t = 60, requires = "baseline", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    look_ahead_s: u64,
    /// Also compare single variants that cannot carry the plan's peak, on all cores
    #[arg(long, requires = "baseline")]
    overloaded: bool,
    /// The problem, for --baseline; the one kept in the plan where left out
    #[arg(long, value_name = "FILE", requires = "baseline")]
    problem: Option<PathBuf>,
    /// Use these profiles in place of those that the plan names
    #[arg(long, value_name = "FILE")]
    profile: Vec<PathBuf>,
    /// How the report is printed; a file is always JSON
    #[arg(long, default_value = "table")]
    format: Layout,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Baseline {
    /// One variant, sized for the peak
    Single,
    /// One variant, scaled by an oracle that sees --look-ahead-s ahead
    Oracle,
    /// One variant, scaled by the plan's own switch rule
    Reactive,
    /// One variant, scaled as Kubernetes' horizontal pod autoscaler does
    Threshold,
    /// The most accurate single variant that carries the load on all cores
    Switching,
    /// The single variant that is best by the problem's goal, with the fewest cores that carry the load (MS+)
    MsPlus,
    /// The most accurate cascade of two variants that carries the peak, at every load
    Cascade,
    /// The plan's last gear at every load
    Static,
    /// Of a pipeline: the least accurate variant of each stage, with the fewest cores that carry the load (FA2-low)
    Fa2Low,
    /// Of a pipeline: the most accurate variant of each stage, with the fewest cores that carry the load (FA2-high)
    Fa2High,
    /// Of a pipeline: 1 to 4 replicas of each stage, with the most accurate variants that carry the load (RIM)
    Rim,
    /// All of these that the problem has
    All,
}

impl Baseline {
    fn kinds(self, problem: &Problem) -> Result<Vec<Kind>, Error> {
        Ok(match self {
            Self::Single => vec![Kind::Single],
            Self::Oracle => vec![Kind::AutoscaledOracle],
            Self::Reactive => vec![Kind::AutoscaledReactive],
            Self::Threshold => vec![Kind::AutoscaledThreshold],
            Self::Switching => vec![Kind::Switching],
            Self::MsPlus => vec![Kind::SwitchingPlus],
            Self::Cascade => vec![Kind::StaticCascade],
            Self::Static => vec![Kind::Static],
            Self::Fa2Low => vec![Kind::Fa2Low],
            Self::Fa2High => vec![Kind::Fa2High],
            Self::Rim => vec![Kind::Rim],
            Self::All => Kind::of_room(planners::room_of(problem)?),
        })
    }
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    args.output.check([&args.plan].into_iter().chain(&args.profile).chain(args.load.trace()))?;
    let plan = load::<Plan>(&args.plan)?;
    say_findings(&plan.findings);
    let facts = facts_of(&plan, &args.profile)?;
    args.output.check_facts(&facts)?;
    say_findings(&facts_changed(&plan.document, &facts).in_file(&args.plan));
    say_pace(&facts);
    let world = world(args, &plan.document, &facts).map_err(|findings| findings.in_file(&args.plan))?;
    let usual = Usual { trace: own_trace(&plan), seconds: 60.0, warmup_s: 0.0 };
    let settings = args.load.settings(&plan.document, &usual)?;
    let report = replicate(&plan.document, &world, &settings, args.replications);
    if report.whole.arrived == 0 {
        return Err(Error::Unsupported {
            what: format!("no request arrived in {} ms: nothing was tried", report.duration_ms),
            hint: "raise the rate or the duration".to_owned(),
        });
    }
    if !args.output.is_stdout() {
        args.output.write(&to_bytes(&report))?;
    }
    let others = others(args, &plan, &facts, &settings)?;
    let own = Tried::of(report.plan.clone(), &plan.document, report);
    match (args.format, args.output.is_stdout()) {
        (Layout::Json, true) if others.is_empty() => print(&to_bytes(&own.report))?,
        (Layout::Json, _) if !others.is_empty() => print(&to_bytes(&side_by_side_json(&own, &others)))?,
        (Layout::Json, _) => {}
        (Layout::Table, _) => print_text(&format!("{}{}", text(&own.report), side_by_side(&own, &others)))?,
    }
    Ok(if own.report.whole.slo_met { Answer::Yes } else { Answer::No })
}

/// Returns the trace that the plan's problem names, with the factor of its rates.
fn own_trace(plan: &Loaded<Plan>) -> Option<(PathBuf, f64)> {
    let workload = &plan.document.provenance.problem.as_ref()?.workload;
    let path = plan.path.parent().unwrap_or(Path::new("")).join(workload.trace.as_ref()?);
    Some((path, workload.trace_scale.map_or(1.0, f64::from)))
}

fn world(args: &Args, plan: &Plan, facts: &Facts) -> Result<Measured, Findings> {
    let mut world = Measured::new(plan, facts)?;
    if args.contention {
        world = world.with_contention(plan, facts)?;
    }
    if args.stretches { world.with_stretches(plan, facts) } else { Ok(world) }
}

/// A plan that was tried, as it stands beside others.
struct Tried {
    name: String,
    report: Report,
    /// What its gears claim, by the requests that came in each: what is known of pipelines, whose answers nobody counted.
    claimed_accuracy: Option<f64>,
}

impl Tried {
    fn of(name: String, plan: &Plan, report: Report) -> Self {
        let claimed = plan.gears.iter().zip(&report.gears).map(|(gear, seen)| {
            let requests = seen.summary.arrived as f64;
            // Nobody needs to know of a gear that was never in.
            if requests == 0.0 { Some(0.0) } else { Some(gear.claims.accuracy?.value.get() * requests) }
        });
        let right: Option<f64> = claimed.sum();
        let claimed_accuracy = right.map(|right| right / report.whole.arrived.max(1) as f64);
        Self { name, report, claimed_accuracy }
    }

    /// Returns the accuracy in words: counted, or else claimed.
    fn accuracy(&self) -> String {
        match (self.report.whole.accuracy, self.claimed_accuracy) {
            (Some(counted), _) => format!("{:.4}", counted.get()),
            (None, Some(claimed)) => format!("{claimed:.4} claimed"),
            (None, None) => "–".to_owned(),
        }
    }
}

/// Tries the baselines that were asked for.
fn others(args: &Args, plan: &Loaded<Plan>, facts: &Facts, settings: &Settings) -> Result<Vec<Tried>, Error> {
    let Some(problem) = problem_of(plan, args.problem.as_deref())?.filter(|_| !args.baseline.is_empty()) else {
        return if args.baseline.is_empty() { Ok(Vec::new()) } else { Err(no_problem()) };
    };
    let mut kinds = BTreeSet::new();
    for baseline in &args.baseline {
        kinds.extend(baseline.kinds(&problem)?);
    }
    let rules = BaselineRules { look_ahead: Duration::from_secs(args.look_ahead_s), overloaded: args.overloaded };
    // Baselines know no day.
    let by_rate = plan.document.without_periods();
    let mut reports = Vec::new();
    for kind in kinds {
        for baseline in baselines(kind, &by_rate, &problem, facts, rules)? {
            let world = world(args, &baseline.plan, facts)?;
            let report = replicate_under(baseline.controller, &baseline.plan, &world, settings, args.replications);
            reports.push(Tried::of(baseline.name, &baseline.plan, report));
        }
    }
    Ok(reports)
}

fn no_problem() -> Error {
    Error::Unsupported {
        what: "baselines need the problem, and the plan keeps none".to_owned(),
        hint: "name it with --problem".to_owned(),
    }
}

/// Returns the plan beside its baselines; nothing where there are none.
fn side_by_side(own: &Tried, others: &[Tried]) -> String {
    if others.is_empty() {
        return String::new();
    }
    let mut rows = table(&["", "accuracy", "late", "p99 ms", "USD/h", "against plan", "changes/h"]);
    let ours = own.report.cost_usd_per_hour();
    for tried in std::iter::once(own).chain(others) {
        let other = &tried.report;
        let p99 = other.whole.latency.map_or_else(|| "–".to_owned(), |times| format!("{:.2}", times.p99_ms.get()));
        let verdict = if other.whole.slo_met { "" } else { " breaks" };
        rows.add_row([
            tried.name.clone(),
            tried.accuracy(),
            format!("{:.3} %{verdict}", other.whole.violation_share.get() * 100.0),
            p99,
            figures(other.cost_usd_per_hour(), 4),
            if ours > 0.0 {
                format!("{:+.0} %", (other.cost_usd_per_hour() / ours - 1.0) * 100.0)
            } else {
                String::new()
            },
            format!("{:.0}", other.gear_changes_per_hour),
        ]);
    }
    format!("\n{rows}\n")
}

fn side_by_side_json(own: &Tried, others: &[Tried]) -> serde_json::Value {
    let claimed = |tried: &Tried| tried.claimed_accuracy;
    let named = |tried: &Tried| serde_json::json!({ "name": tried.name, "report": tried.report, "claimed_accuracy": claimed(tried) });
    let baselines: Vec<_> = others.iter().map(named).collect();
    serde_json::json!({ "report": own.report, "claimed_accuracy": claimed(own), "baselines": baselines })
}

pub fn text(report: &Report) -> String {
    format!("{}\n\n{}\n\n{}\n", gears(report), pools(report), verdict(report))
}

fn gears(report: &Report) -> comfy_table::Table {
    let mut gears = table(&["gear", "up to rps", "time", "requests", "p50 ms", "p95 ms", "p99 ms", "late", "accuracy"]);
    for (index, gear) in report.gears.iter().enumerate() {
        let range = figures(gear.up_to_rps.get(), 1);
        gears.add_row(row(index.to_string(), range, gear.time_share.get(), &gear.summary));
    }
    gears.add_row(row("all".to_owned(), String::new(), 1.0, &report.whole));
    gears
}

fn row(name: String, range: String, time: f64, summary: &Summary) -> Vec<String> {
    let ms = |pick: fn(&crate::simulate::ResponseTimes) -> Millis| {
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
            figures(pool.cost_usd_per_hour.get(), 4),
        ]);
    }
    pools
}

fn verdict(report: &Report) -> String {
    let word = if report.whole.slo_met { "meets" } else { "breaks" };
    let slo = report.slo;
    let in_time = 100.0 * (1.0 - report.whole.violation_share.get());
    format!(
        "{} {word} its SLO under {}: {in_time:.3} % within {} ms, {:.2} % asked{}; {:.0} gear changes an hour; {} USD/h{}{}{}{}",
        report.plan,
        report.arrivals,
        slo.latency_ms,
        slo.quantile.get() * 100.0,
        lost(&report.whole),
        report.gear_changes_per_hour,
        figures(report.cost_usd_per_hour(), 4),
        worst_window(report),
        endless(report),
        certainty(report),
        drift(report),
    )
}

/// Returns a line about the worst window; nothing where the trial was no longer than one.
fn worst_window(report: &Report) -> String {
    let Some(worst) = report.worst_window.filter(|worst| worst.length_ms < report.duration_ms) else {
        return String::new();
    };
    let verdict = match (worst.slo_met, worst.is_open(&report.slo)) {
        (false, _) => "breaks the SLO",
        (true, true) => "chance may explain it",
        (true, false) => "meets the SLO",
    };
    format!(
        "\nworst window of {} s: {:.3} % of {} requests late from {} s on, {verdict}{}",
        worst.length_ms.get() / 1e3,
        100.0 * worst.violation_share.get(),
        worst.arrived,
        worst.start_ms.get() / 1e3,
        if report.slo.window_s.is_some() { "" } else { " (set `slo.window_s` to have it count)" },
    )
}

/// Returns a line for each pool whose queue grows without end: its requests are never answered, however few they are.
fn endless(report: &Report) -> String {
    let line = |pool: &PoolReport| {
        format!(
            "
the queue of `{}` grows without end: calls come faster than its replicas serve them",
            pool.name
        )
    };
    report.endless_queues().map(line).collect()
}

/// Returns a line for each stage that sent on another part of its requests than the plan expects; nothing where none did.
fn drift(report: &Report) -> String {
    let mut lines = String::new();
    for (gear, seen) in report.gears.iter().enumerate().flat_map(|(at, gear)| gear.drift.iter().map(move |of| (at, of)))
    {
        let Some(onward) = seen.onward.filter(|_| seen.window_alarms + seen.sum_alarms > 0) else { continue };
        lines += &format!(
            "\ndrift: gear {gear} sends {:.1} % on after `{}`, {:.1} % expected: {} of {} windows and {} cumulative sums raised an alarm",
            100.0 * onward.get(),
            seen.stage,
            100.0 * seen.expected.get(),
            seen.window_alarms,
            seen.windows,
            seen.sum_alarms,
        );
    }
    lines
}

/// Returns who was turned away; nothing where nobody was.
fn lost(whole: &Summary) -> String {
    match (whole.refused, whole.dropped) {
        (0, 0) => String::new(),
        (refused, dropped) => format!("; {refused} refused and {dropped} dropped"),
    }
}

/// Returns how far the numbers can be trusted, where several trials tell.
fn certainty(report: &Report) -> String {
    let Some(intervals) = &report.intervals else { return String::new() };
    let range = |of: Interval, scale: f64, digits: usize| {
        format!("{:.digits$} to {:.digits$}", of.low * scale, of.high * scale)
    };
    let accuracy = intervals.accuracy.map(|of| format!(", accuracy {}", range(of, 1.0, 4))).unwrap_or_default();
    format!(
        "\n95 % intervals of {} trials: p99 {} ms, late {} %{accuracy}, {} USD/h",
        report.replications,
        range(intervals.p99_ms, 1.0, 3),
        range(intervals.violation_share, 100.0, 3),
        range(intervals.cost_usd_per_hour, 1.0, 4),
    )
}
