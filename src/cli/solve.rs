//! `planner solve`: a problem becomes a plan.

use std::path::{Path, PathBuf};

use crate::base::codec;
use crate::base::codec::{Loaded, load, to_bytes};
use crate::base::files;
use crate::base::watch::Watch;
use crate::facts::{Ask, Facts};
use crate::plan::{AtPeak, HeadRoom, HoldsUpTo, InputRole, Optimality, Plan};
use crate::planners;
use crate::problem::{GoalKind, Problem};
use crate::rooms::{self, Context};
use crate::simulate::Effort;
use crate::{Code, Error, Finding, Findings, Severity};

use super::values::positive;
use super::voice::Progress;
use super::{Answer, Output, figures, frontier, print, print_text, say, say_findings, schedule, table};

/// Independent trials of each gear, for an interval.
const TRIALS: u32 = 5;
/// Seed of the first trial.
const SEED: u64 = 42;

/// Solve a problem: turn profiles, workload, SLO, inventory and goal into a plan
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  planner solve problems/digits.toml -o plans/mine.json")]
pub struct Args {
    /// The problem (TOML or JSON, `planner.problem/1`)
    problem: PathBuf,
    /// Change a key of the problem, like `workload.max_rps=500`; the last one wins
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The plan that is running now: starting or resizing variants costs load time (goal `weighted`)
    #[arg(long, value_name = "PLAN")]
    from: Option<PathBuf>,
    /// Solve every gear again through HiGHS and refuse to answer where the two disagree
    #[arg(long)]
    verify: bool,
    /// Requests that every gear is tried with in simulation, at its highest rate; 0 tries nothing
    ///
    /// Where a gear breaks the SLO, capacities are cut and the problem is solved again, but for published formulations, as the
    /// papers do not. Where trials contradict a computed latency, the plan claims what they say.
    #[arg(long, value_name = "REQUESTS", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(..=100_000_000))]
    trial: u64,
    /// Write the exact Pareto frontier, accuracy against cores and cost, in place of a plan: CSV where the output ends in
    /// .csv, else JSON (`planner.frontier/1`), with what others would choose beside it
    ///
    /// Neither the goal nor its least accuracy plays a part. Every point is proved: no choice within its cores is more
    /// accurate. Nothing is tried in simulation.
    #[arg(long, conflicts_with_all = ["from", "verify", "dry_run"])]
    frontier: bool,
    /// Loads of the frontier, in requests per second [default: the highest that is planned for]
    #[arg(long, value_name = "RPS", value_delimiter = ',', requires = "frontier", value_parser = positive)]
    at: Vec<f64>,
    /// Plan for this recorded day: the plan says which gear serves in which period, where changing gears costs the load time of
    /// what starts and the drain of what leaves
    #[arg(long, value_name = "TRACE", conflicts_with_all = ["from", "verify", "dry_run", "frontier"])]
    schedule: Option<PathBuf>,
    /// Multiply the rates of the day [default: the problem's `workload.trace_scale`, or 1]
    #[arg(long, value_name = "X", requires = "schedule", value_parser = positive)]
    schedule_scale: Option<f64>,
    /// Length of a period of the schedule, in seconds
    #[arg(long, value_name = "S", requires = "schedule", default_value_t = 60.0, value_parser = positive)]
    period_s: f64,
    /// Allow only changes of gear that fit into the inventory, old and new replicas together (`goal.strict_transitions`)
    #[arg(long)]
    strict_transitions: bool,
    /// Load and validate everything, print the resolved problem, and stop
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: Output,
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    args.output.check([&args.problem])?;
    let mut problem = resolved(&args.problem, &args.set)?;
    problem.document.goal.strict_transitions |= args.strict_transitions;
    say_findings(&problem.findings);
    let facts = Facts::of_problem(&problem.document, args.problem.parent().unwrap_or(Path::new("")))?;
    args.output.check_facts(&facts)?;
    for profile in &facts.profiles {
        say_findings(&profile.findings);
    }
    if let Some(trace) = &facts.recorded {
        say_findings(&trace.findings);
    }
    say_pace(&facts);
    if args.frontier {
        return frontier::write(&problem.document, &facts, &args.at, &args.output);
    }
    let effort = Effort { requests: args.trial, trials: TRIALS, seed: SEED };
    let trial = (args.trial > 0).then_some(effort);
    if let Some(trace) = &args.schedule {
        let scale = args.schedule_scale.or(problem.document.workload.trace_scale.map(f64::from)).unwrap_or(1.0);
        let day = schedule::Recorded { trace, scale, period_s: args.period_s, trial };
        return schedule::write(&problem, &facts, day, &args.output);
    }
    let from = args.from.as_deref().map(load::<Plan>).transpose()?;
    if args.dry_run {
        print(&to_bytes(&problem.document))?;
        return Ok(Answer::Yes);
    }
    if let Some(plan) = from.as_ref().filter(|_| problem.document.goal.kind != GoalKind::Weighted) {
        let cause = "only the goal `weighted` prices load time; the running plan is not looked at";
        let finding =
            Finding::error(Code::NoEffect, "--from", cause, "leave it out, or set `goal.kind = \"weighted\"`");
        say_findings(&Findings::from(finding.with_severity(Severity::Warning)).in_file(&plan.path));
    }
    let from = from.filter(|_| problem.document.goal.kind == GoalKind::Weighted);
    let progress = Progress::new();
    let tell = |step: &str| progress.tell_at_times(step);
    let from_plan = from.as_ref().map(|plan| &plan.document);
    let watch = Watch::new(&tell);
    let context = Context { from: from_plan, verify: args.verify, trial, watch, ..Context::default() };
    let answer = planners::solve(&problem.document, &facts, context);
    drop(progress);
    let mut plan = match answer? {
        rooms::Answer::Plan(plan) => *plan,
        rooms::Answer::Infeasible(conflict) => {
            print_text(&format!("{conflict}\n{}", default_risk(&problem.document, &facts)))?;
            return Ok(Answer::No);
        }
    };
    say_findings(&slo_is_kept(&plan, &problem.document).in_file(&args.problem));
    say_findings(&plan.transitions(&problem.document).in_file(&args.problem));
    if args.verify {
        say_findings(&not_verified(&plan).in_file(&args.problem));
    }
    rooms::record(&mut plan, args.output.beside(), &problem, &facts, from.as_ref());
    args.output.write(&to_bytes(&plan))?;
    if !args.output.is_stdout() {
        print_text(&summary(&plan))?;
    }
    Ok(Answer::Yes)
}

/// Warns where a gear claims more than the SLO allows: a published formulation may, and ours where no trial was made, or none that
/// tells.
fn slo_is_kept(plan: &Plan, problem: &Problem) -> Findings {
    let mut findings = Findings::default();
    let (key, action) = match problem.room.is_published() {
        true => ("formulation", "use `formulation = \"tail-aware\"`, or lower `published.capacity_factor`"),
        false => (
            "slo.latency_ms",
            "try more requests (`--trial`): where a gear breaks its SLO in trials, its capacities are cut",
        ),
    };
    let claims = plan.gears.iter().enumerate().filter_map(|(index, gear)| Some((index, gear.claims.latency?)));
    for (index, claim) in claims.filter(|(_, claim)| claim.value_ms.get() > plan.slo.latency_ms.get() * (1.0 + 1e-4)) {
        let cause =
            format!("gear {index} claims {:.3} ms, the SLO is {} ms", claim.value_ms.get(), plan.slo.latency_ms);
        let finding = Finding::error(Code::LimitBroken, key, cause, action);
        findings.push(finding.with_severity(Severity::Warning));
    }
    findings
}

/// Warns of gears that no second solver could tell of.
fn not_verified(plan: &Plan) -> Findings {
    let method = |gear: &crate::plan::Gear| gear.certificate.as_ref().map_or(String::new(), |of| of.method.clone());
    let unseen = plan.gears.iter().filter(|gear| !method(gear).contains("HiGHS agrees")).count();
    if unseen == 0 {
        return Findings::default();
    }
    let cause = format!("{unseen} of {} gears have no integer program that HiGHS could solve", plan.gears.len());
    let action = "their own certificates stand; tests hold the search against enumeration";
    let finding = Finding::error(Code::NoEffect, "--verify", cause, action);
    Findings::from(finding.with_severity(Severity::Warning))
}

/// Loads a problem and applies `--set`.
fn resolved(path: &Path, set: &[String]) -> Result<Loaded<Problem>, Error> {
    let bytes = files::read(path)?;
    let mut value = codec::parse_value(path, &bytes)?;
    for assignment in set {
        assign(&mut value, assignment)?;
    }
    let (document, findings) = codec::from_value(value).map_err(|findings| findings.in_file(path))?;
    Ok(Loaded { document, findings: findings.in_file(path), path: path.to_owned(), sha256: codec::sha256(&bytes) })
}

/// Sets `a.b.c=value` in a JSON value; a value that is not JSON is a string.
fn assign(value: &mut serde_json::Value, assignment: &str) -> Result<(), Error> {
    let wrong = |cause: String| -> Error {
        Finding::error(Code::Syntax, "--set", cause, "write `--set path.to.key=value`").into()
    };
    let (key, text) = assignment.split_once('=').ok_or_else(|| wrong(format!("`{assignment}` has no `=`")))?;
    let mut place = value;
    for part in key.split('.') {
        let table =
            place.as_object_mut().ok_or_else(|| wrong(format!("`{key}` goes through a value that is no table")))?;
        place = table.entry(part).or_insert_with(|| serde_json::json!({}));
    }
    *place = serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::from(text));
    Ok(())
}

fn summary(plan: &Plan) -> String {
    let mut rows = table(&["gear", "up to rps", "lanes", "accuracy", "latency ms", "cores", "usd/h"]);
    let side = crate::plan::diff(plan, plan);
    let number = |value: Option<f64>, digits: usize| value.map_or("–".into(), |value| figures(value, digits));
    for range in side.ranges {
        let Some(gear) = range.after else { continue };
        rows.add_row([
            gear.gear.to_string(),
            figures(range.to_rps, 1),
            gear.lanes.join("\n"),
            number(gear.accuracy, 4),
            number(gear.latency_ms, 2),
            gear.cores.map_or("–".into(), |cores| cores.to_string()),
            number(gear.cost_usd_per_hour, 4),
        ]);
    }
    let optimality = Optimality::of(plan);
    let tried = plan.gears.iter().filter_map(|gear| gear.certificate.as_ref()?.trial);
    let worst = tried.map(|trial| trial.violation_high.get()).fold(f64::NAN, f64::max);
    let tried = if worst.is_nan() {
        String::new()
    } else {
        let allowed = 100.0 * (1.0 - plan.slo.quantile.get());
        format!("; tried: at most {:.2} % late in any gear, {allowed:.2} % allowed", 100.0 * worst)
    };
    let cut = &plan.provenance.capacity_parts;
    let cut: Vec<_> = cut.iter().map(|(name, part)| format!("{name} {:.0} %", 100.0 * part)).collect();
    let cut = if cut.is_empty() { String::new() } else { format!("\ncapacity used after trials: {}", cut.join(", ")) };
    let head_room = plan.provenance.head_room.as_ref().map(kept_in_hand).unwrap_or_default();
    let proof = plan.proof.as_ref().map_or_else(String::new, |proof| {
        let (low, sure) = (proof.low.get(), 100.0 * (1.0 - proof.delta.get()));
        let samples = proof.samples;
        let against = proof.against.as_ref().map_or_else(String::new, |against| {
            format!(" and at most {:.4} below `{}`", (-against.difference_low).max(0.0), against.variant)
        });
        format!(
            "\naccuracy over requests: at least {low:.4}{against}, {sure:.0} % sure, by {samples} samples that chose nothing"
        )
    });
    let holds = plan.provenance.holds_up_to.map(reserve).unwrap_or_default();
    format!("{rows}\n{optimality}{tried}{cut}{proof}{head_room}{holds}\n")
}

/// Says by how much load and service times may grow.
fn reserve(holds: HoldsUpTo) -> String {
    let [load, service_times] = holds.in_words();
    let stretches = if holds.stretches { ", with slow calls in stretches" } else { "" };
    format!("\nholds up to {load} load, {service_times} service time, in simulation{stretches}")
}

/// Says how much longer than in a row calls are taken to be.
pub fn say_pace(facts: &Facts) {
    if let Some((least, most)) = facts.pace() {
        say(format!(
            "calls are taken to be {least:.2} to {most:.2} times as long as measured in a row: that is how they are served"
        ));
    }
}

/// Says that there may be a plan without the risk that a problem takes by default; nothing where it takes none so.
fn default_risk(problem: &Problem, facts: &Facts) -> String {
    let margin = Ask::new(problem, facts).margin.filter(|margin| margin.is_default);
    margin.map_or_else(String::new, |margin| {
        format!("facts are taken at the default risk of {}; `risk = \"none\"` takes them as they are\n", margin.risk)
    })
}

/// Says what a chosen risk costs.
fn kept_in_hand(room: &HeadRoom) -> String {
    let (least, most) = room
        .latency_factors
        .values()
        .fold((f64::INFINITY, 1.0_f64), |(least, most), factor| (least.min(*factor), most.max(*factor)));
    let at = |peak: &AtPeak| {
        let cores = peak.cores.map_or("–".into(), |cores| cores.to_string());
        let accuracy = peak.accuracy.map_or("–".into(), |accuracy| format!("{:.4}", accuracy.get()));
        format!("accuracy {accuracy} on {cores} cores at {} requests/s", figures(peak.load_rps.get(), 1))
    };
    let without = room.without.as_ref().map_or("no plan".to_owned(), at);
    format!(
        "\nrisk {}{}, profile error {}: calls may take {least:.3} to {most:.3} times as long and the peak be {:.3} times as high: {}; without: {without}",
        room.risk,
        if room.is_default { " (default; `risk = \"none\"` takes facts as they are)" } else { "" },
        room.profile_error,
        room.peak_factor,
        at(&room.with)
    )
}

/// Loads the problem that a plan was made from: the given file, the one kept in the plan, or the one that it names.
pub fn problem_of(plan: &Loaded<Plan>, given: Option<&Path>) -> Result<Option<Problem>, Error> {
    let kept = &plan.document.provenance.problem;
    let file = given.map(Path::to_owned).or_else(|| if kept.is_some() { None } else { named_problem(plan) });
    file.map_or_else(|| Ok(kept.clone()), |file| Ok(Some(load::<Problem>(&file)?.document)))
}

/// Returns the problem file that a plan names, where it is there.
fn named_problem(plan: &Loaded<Plan>) -> Option<PathBuf> {
    let input = plan.document.provenance.inputs.iter().find(|input| input.role == InputRole::Problem)?;
    Some(plan.path.parent()?.join(&input.path)).filter(|file| file.is_file())
}

/// Loads the facts of a plan: the given profiles, or those named in the plan.
pub fn facts_of(plan: &Loaded<Plan>, given: &[PathBuf]) -> Result<Facts, Error> {
    let facts = if given.is_empty() {
        Facts::of_plan(&plan.document, &plan.path)?
    } else {
        Facts::load_for(&plan.document, given)?.with_load_of(&plan.document, &plan.path)?
    };
    if facts.profiles.is_empty() {
        let action = "name one with --profile";
        let finding = Finding::error(Code::NotMeasured, "provenance.inputs", "the plan names no profile", action);
        return Err(Findings::from(finding).in_file(&plan.path).into());
    }
    Ok(facts)
}
