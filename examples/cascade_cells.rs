//! Tries every system of docs/systems/cascade.md on one family, one trace and several latency limits, and prints one JSON line for
//! every (system, devices, limit): what `scripts/experiments/cascade` makes its cells of.
//!
//! `cargo run --release --example cascade_cells -- PROBLEM TRACE SCALE LIMITS_MS ACCURACIES [MOST] [HIGHEST_THRESHOLD]`, lists by commas. Each
//! single variant is tried on fewer and more devices until the fewest that keep the limit are known; ours and the static
//! cascade are planned once for each accuracy; switching and CascadeServe as published for each number of devices.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use planner::facts::Facts;
use planner::format::load;
use planner::plan::{Gear, Plan};
use planner::problem::{GoalKind, Problem};
use planner::rooms::cascade::published;
use planner::rooms::{Answer, BaselineKind as Kind, BaselineRules, Context, baselines, solve};
use planner::simulate::{Arrivals, Controller, Effort, Measured, Report, Settings, replicate_under};
use planner::units::{Accuracy, Millis, Rate};
use serde_json::json;

/// How far oracles look, and how full they pack devices: parts of the closed form's capacity.
const LOOK_AHEAD_S: [u64; 4] = [5, 10, 60, 300];
const PACKING: [f64; 3] = [0.8, 0.9, 1.0];
/// Requests for a gear's trial, and trials.
const EFFORT: Effort = Effort { requests: 40_000, trials: 2, seed: 11 };

struct Bench {
    problem: Problem,
    facts: Facts,
    arrivals: Arrivals,
    settings: published::Settings,
    most: u32,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [problem, trace, scale, limits, accuracies, rest @ ..] = arguments.as_slice() else {
        bail!("usage: cascade_cells PROBLEM TRACE SCALE LIMITS_MS ACCURACIES [MOST] [HIGHEST_THRESHOLD]");
    };
    let numbers = |list: &str| list.split(',').map(|number| Ok(number.parse()?)).collect::<Result<Vec<f64>>>();
    let path = Path::new(problem);
    let problem = load::<Problem>(path)?.document;
    let folder = path.parent().unwrap_or(Path::new(""));
    let facts = Facts::of_problem(&problem, folder)?;
    let arrivals = Arrivals::of_file(Path::new(trace))?.scaled(scale.parse()?, 1.0);
    let most = rest.first().map_or(Ok(16), |most| most.parse())?;
    let highest_threshold = rest.get(1).map_or(Ok(1.0), |highest| highest.parse())?;
    let settings = published::Settings { highest_threshold, ..published::Settings::default() };
    let bench = Bench { problem, facts, arrivals, settings, most };
    for limit in numbers(limits)? {
        bench.singles(limit)?;
        bench.switching(limit)?;
        bench.published(limit)?;
        for &accuracy in &numbers(accuracies)? {
            bench.ours(limit, accuracy)?;
        }
    }
    Ok(())
}

impl Bench {
    /// Returns the problem with another limit and number of devices.
    fn within(&self, limit: f64, devices: u32) -> Problem {
        let mut problem = self.problem.clone();
        problem.slo.latency_ms = Millis::saturating(limit);
        problem.inventory.machines.iter_mut().for_each(|machine| machine.at_most = devices);
        problem
    }

    fn try_out(&self, plan: &Plan, controller: Controller) -> Result<Report> {
        let world = Measured::new(plan, &self.facts).map_err(|findings| anyhow::anyhow!("{findings}"))?;
        let duration = Duration::from_secs_f64(self.arrivals.length_s().context("a trace has an end")?);
        let settings = Settings { arrivals: self.arrivals.clone(), duration, warmup: Duration::ZERO, seed: 5 };
        Ok(replicate_under(controller, plan, &world, &settings, 1))
    }

    /// Every variant alone: fixed devices, scaled by an oracle, scaled by what was just seen.
    fn singles(&self, limit: f64) -> Result<()> {
        let problem = self.within(limit, self.most);
        let rules = BaselineRules { look_ahead: Duration::ZERO, overloaded: true };
        let like = like(&problem);
        for baseline in baselines(Kind::Single, &like, &problem, &self.facts, rules)? {
            let plan = baseline.plan;
            let [gear] = plan.gears.as_slice() else { bail!("one gear") };
            let each = gear.up_to_rps.get() / f64::from(plan.placement[0].replicas);
            let on = |devices: u32| {
                let mut plan = plan.clone();
                plan.placement[0].replicas = devices;
                plan.gears[0].up_to_rps = problem.workload.max_rps;
                plan
            };
            let (mut broken, mut kept): (u32, Option<(u32, Report)>) = (0, None);
            let mut next = plan.placement[0].replicas.clamp(1, self.most);
            loop {
                let report = self.try_out(&on(next), Controller::Switch)?;
                if report.whole.slo_met {
                    kept = Some((next, report))
                } else {
                    broken = next
                }
                let fewest = kept.as_ref().map_or(self.most + 1, |(devices, _)| *devices);
                if broken + 1 >= fewest {
                    break;
                }
                next = if kept.is_some() { (broken + fewest) / 2 } else { broken + 1 };
            }
            if let Some((devices, report)) = kept {
                say("single", &baseline.name, limit, None, f64::from(devices), &report, 0.0);
            }
            for packing in PACKING {
                let scaled = packed(&plan, &problem, each * packing);
                let report = self.try_out(&scaled, Controller::Switch)?;
                say("reactive", &baseline.name, limit, None, devices_of(&report), &report, 0.0);
                for ahead in LOOK_AHEAD_S {
                    let report = self.try_out(&scaled, Controller::Lookahead(Duration::from_secs(ahead)))?;
                    let name = format!("{} T={ahead}s packing={packing}", baseline.name);
                    say("oracle", &name, limit, None, devices_of(&report), &report, 0.0);
                }
            }
        }
        Ok(())
    }

    fn switching(&self, limit: f64) -> Result<()> {
        let rules = BaselineRules { look_ahead: Duration::ZERO, overloaded: true };
        for devices in 1..=self.most {
            let problem = self.within(limit, devices);
            for baseline in baselines(Kind::Switching, &like(&problem), &problem, &self.facts, rules)? {
                let report = self.try_out(&baseline.plan, baseline.controller)?;
                say("ms+", &baseline.name, limit, None, f64::from(devices), &report, 0.0);
            }
        }
        Ok(())
    }

    fn published(&self, limit: f64) -> Result<()> {
        for devices in 1..=self.most {
            let mut problem = self.within(limit, devices);
            problem.goal.kind = GoalKind::MostAccurate;
            (problem.goal.accuracy_at_least, problem.goal.mean_accuracy_at_least) = (None, None);
            let start = Instant::now();
            let plan = published::plan(&problem, &self.facts, &self.settings)?;
            let seconds = start.elapsed().as_secs_f64();
            if let Some(plan) = plan {
                let report = self.try_out(&plan, Controller::Switch)?;
                say("published", "cascadeserve as published", limit, None, f64::from(devices), &report, seconds);
            }
        }
        Ok(())
    }

    /// Our plan for an accuracy over requests, and our planner held to one cascade.
    fn ours(&self, limit: f64, accuracy: f64) -> Result<()> {
        for (system, gears_at_most) in [("ours", None), ("static cascade", Some(1))] {
            let mut problem = self.within(limit, self.most);
            problem.goal.kind = GoalKind::Cheapest;
            problem.goal.accuracy_at_least = None;
            problem.goal.mean_accuracy_at_least = Some(Accuracy::saturating(accuracy));
            problem.goal.gears_at_most = gears_at_most;
            let start = Instant::now();
            let answer = solve(&problem, &self.facts, Context { trial: Some(EFFORT), ..Context::default() })?;
            let seconds = start.elapsed().as_secs_f64();
            if let Answer::Plan(plan) = answer {
                let report = self.try_out(&plan, Controller::Switch)?;
                let devices: u32 = plan.placement.iter().map(|pool| pool.replicas).sum();
                say(system, system, limit, Some(accuracy), f64::from(devices), &report, seconds);
            }
        }
        Ok(())
    }
}

/// Returns a plan that only says which load baselines must carry.
fn like(problem: &Problem) -> Plan {
    let gear = Gear {
        up_to_rps: problem.workload.max_rps,
        replicas: std::collections::BTreeMap::new(),
        stages: Vec::new(),
        claims: planner::plan::Claims::default(),
        certificate: None,
    };
    Plan {
        format: planner::plan::PlanFormat::V1,
        name: problem.name.clone(),
        slo: problem.slo,
        placement: Vec::new(),
        transfers: Vec::new(),
        gears: vec![gear],
        switch: planner::plan::Switch::default(),
        provenance: planner::plan::Provenance {
            tool: "cascade_cells".to_owned(),
            room: problem.room,
            seed: 0,
            inputs: Vec::new(),
            capacity_parts: std::collections::BTreeMap::new(),
            problem: None,
        },
    }
}

/// Returns one gear for each number of devices, each of which serves so much.
fn packed(plan: &Plan, problem: &Problem, each: f64) -> Plan {
    let needed = (problem.workload.max_rps.get() / each).ceil().max(1.0) as u32;
    let mut scaled = plan.clone();
    let pool = &mut scaled.placement[0];
    pool.replicas = needed;
    let with = |replicas: u32| Gear {
        up_to_rps: Rate::saturating(each * f64::from(replicas)),
        replicas: [(pool.name.clone(), replicas)].into(),
        ..plan.gears[0].clone()
    };
    scaled.gears = (1..=needed).map(with).collect();
    scaled
}

/// Returns the mean number of devices that were paid for.
fn devices_of(report: &Report) -> f64 {
    report.pools.iter().map(|pool| pool.mean_replicas).sum()
}

#[expect(clippy::print_stdout, reason = "the answer of an example")]
fn say(system: &str, name: &str, limit: f64, asked: Option<f64>, devices: f64, report: &Report, seconds: f64) {
    let p95 = report.whole.latency.map(|times| times.p95_ms);
    let row = json!({
        "system": system, "name": name, "limit_ms": limit, "asked_accuracy": asked, "devices": devices,
        "slo_met": report.whole.slo_met, "late": report.whole.violation_share, "p95_ms": p95,
        "accuracy": report.whole.accuracy, "changes_per_hour": report.gear_changes_per_hour, "plan_s": seconds,
    });
    println!("{row}");
}
