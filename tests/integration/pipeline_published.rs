//! IPA's program on measured facts: the same optimum as enumeration at every load, and what it refuses.

use std::path::Path;

use planner::Findings;
use planner::base::codec::from_value;
use planner::facts::Facts;
use planner::plan::{Plan, Tolerance, check};
use planner::planners::solve;
use planner::problem::Problem;
use planner::rooms::{Answer, Context};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

const BASE_RPS: f64 = 500.0;
const BATCH_WEIGHT: f64 = 1e-5;

fn facts() -> Facts {
    let profile = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json");
    Facts::load(&[profile]).expect("the shipped profile loads")
}

fn problem(change: impl FnOnce(&mut Value)) -> Problem {
    read(change).expect("a good problem").0
}

fn read(change: impl FnOnce(&mut Value)) -> Result<(Problem, Findings), Findings> {
    let mut value = json!({
        "format": "planner.problem/1", "name": "test", "room": "pipeline", "formulation": "published", "profiles": ["x"],
        "stages": [
            { "name": "detect", "variants": ["mlp_s", "cnn_s", "cnn_m"] },
            { "name": "classify", "variants": ["cnn_l", "early_exit"] }
        ],
        "workload": { "max_rps": 6000.0 }, "slo": { "quantile": 0.99, "latency_ms": 12.0 },
        "inventory": { "cores": 6, "price_usd_per_core_hour": 0.05 },
        "goal": { "kind": "weighted", "weights": { "accuracy": 1.0, "resource": 0.5 } },
        "published": { "base_rps": BASE_RPS, "batch_weight": BATCH_WEIGHT }
    });
    change(&mut value);
    from_value(value)
}

fn planned(problem: &Problem, facts: &Facts) -> Option<Plan> {
    assert!(!problem.validate().has_errors(), "{}", problem.validate());
    match solve(problem, facts, Context::default()).expect("a proof") {
        Answer::Plan(mut plan) => {
            plan.provenance.problem = Some(problem.clone());
            Some(*plan)
        }
        Answer::Infeasible(_) => None,
    }
}

/// One way to run a stage in the paper's words.
struct Way {
    accuracy: f64,
    cores: f64,
    batch: f64,
    mean_s: f64,
}

/// Lists what each stage can choose from, from the profile alone.
fn ways(problem: &Problem, facts: &Facts) -> Vec<Vec<Way>> {
    let stage_s = problem.slo.latency_ms.get() / 1e3 / problem.stages().len() as f64;
    let of_variant = |name: &String| {
        let curve = facts.curve(name, "cpu").expect("measured");
        let mean_s = |cores, batch| curve.at(cores, batch).expect("measured").law.mean_ms() / 1e3;
        let sustains = |&cores: &u32| {
            curve
                .batches(cores)
                .iter()
                .any(|&batch| mean_s(cores, batch) <= stage_s && f64::from(batch) / mean_s(cores, batch) >= BASE_RPS)
        };
        let base = curve.cores().into_iter().find(sustains);
        let accuracy = facts.variant(name).expect("known").accuracy.value.get();
        let way = |cores: u32, batch: u32| Way {
            accuracy,
            cores: f64::from(cores),
            batch: f64::from(batch),
            mean_s: mean_s(cores, batch),
        };
        let all = base.map(|cores| curve.batches(cores).into_iter().map(|batch| way(cores, batch)).collect::<Vec<_>>());
        all.unwrap_or_default()
    };
    problem.stages().iter().map(|stage| stage.variants.iter().flat_map(of_variant).collect()).collect()
}

/// Tries everything at one load.
fn enumerated(problem: &Problem, ways: &[Vec<Way>], load: f64) -> Option<f64> {
    let budget = f64::from(problem.core_budget());
    let weights = problem.goal.weights.expect("weighted");
    let mut best: Option<f64> = None;
    for first in &ways[0] {
        for second in &ways[1] {
            let both = [first, second];
            let delay: f64 = both.iter().map(|way| way.mean_s + (way.batch - 1.0) / load).sum();
            let cores: f64 =
                both.iter().map(|way| (load * way.mean_s / way.batch - 1e-9).ceil().max(1.0) * way.cores).sum();
            if delay > problem.slo.latency_ms.get() / 1e3 || cores > budget {
                continue;
            }
            let batches: f64 = both.iter().map(|way| way.batch).sum();
            let value = weights.accuracy.get() * first.accuracy * second.accuracy
                - weights.resource.get() * cores / budget
                - BATCH_WEIGHT * batches;
            best = Some(best.map_or(value, |best: f64| best.max(value)));
        }
    }
    best
}

/// Problems that differ in SLO, cores and weights.
fn drawn(rng: &mut ChaCha8Rng) -> Problem {
    let (slo, cores): (f64, u32) = (rng.random_range(0.6..8.0), rng.random_range(2..6));
    let (resource, max): (f64, f64) = (rng.random_range(0.02..1.0), rng.random_range(500.0..16_000.0));
    problem(|value| {
        value["slo"]["latency_ms"] = json!(slo);
        value["inventory"]["cores"] = json!(cores);
        value["goal"]["weights"]["resource"] = json!(resource);
        value["workload"]["max_rps"] = json!(max);
    })
}

#[test]
fn every_load_is_worth_what_enumeration_finds() {
    let facts = facts();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let (mut feasible, mut infeasible) = (0, 0);
    for _ in 0..40 {
        let problem = drawn(&mut rng);
        let ways = ways(&problem, &facts);
        let most = problem.workload.max_rps.get();
        let Some(plan) = planned(&problem, &facts) else {
            infeasible += 1;
            let loads = (1..=1000).map(|k| most * f64::from(k) / 1000.0);
            let mut refused = loads.filter(|&load| enumerated(&problem, &ways, load).is_none());
            assert!(refused.next().is_some(), "enumeration carries every load of {problem:?}");
            continue;
        };
        feasible += 1;
        // Random loads, and loads just below and above every breakpoint.
        let borders = plan.gears.iter().map(|gear| gear.up_to_rps.get());
        let beside = borders.flat_map(|load| [load * (1.0 - 1e-6), load * (1.0 + 1e-6)]);
        let random: Vec<f64> = (0..60).map(|_| rng.random_range(0.002 * most..most)).collect();
        for load in beside.filter(|load| *load <= most).chain(random) {
            let gear = &plan.gears[plan.gear_at(load)];
            let claimed = gear.certificate.as_ref().expect("certified").objective;
            let truth = enumerated(&problem, &ways, load).expect("the plan carries it");
            assert!((claimed - truth).abs() < 1e-9, "at {load} of {most}: {claimed}, enumeration {truth}");
        }
    }
    assert!(feasible >= 10 && infeasible >= 5, "{feasible} and {infeasible} are too one-sided");
}

#[test]
fn published_plans_pass_their_check_and_are_the_same_twice() {
    let facts = facts();
    let problem = problem(|_| {});
    let plan = planned(&problem, &facts).expect("feasible");
    assert!(plan.gears.len() > 2);
    assert_eq!(planned(&problem, &facts), Some(plan.clone()));
    let findings = check(&plan, &facts, Some(&problem), Tolerance::default());
    // The paper's row adds up means: its plans may break a tail that they never looked at, and nothing else.
    for finding in &findings.0 {
        let is_tail = finding.code.as_str() == "limit-broken" && finding.cause.contains("ms");
        assert!(finding.severity < planner::Severity::Error || is_tail, "{finding}");
    }
}

#[test]
fn what_the_paper_does_not_know_is_refused() {
    let refused = |change: fn(&mut Value), key: &str| {
        let findings = read(change).map_or_else(|refused| refused, |(_, noted)| noted);
        assert!(findings.0.iter().any(|finding| finding.key == key), "{key} in {findings}");
    };
    refused(|value| value["stages"][1]["calls"] = json!(3.0), "stages[1].calls");
    refused(|value| value["goal"] = json!({ "kind": "most-accurate" }), "goal.kind");
    refused(
        |value| {
            let third = json!({ "name": "beside", "variants": ["linear"], "after": ["detect"] });
            value["stages"].as_array_mut().expect("stages").push(third);
        },
        "stages[2].after",
    );
    refused(|value| value["published"]["fit_cores"] = json!([1, 2]), "published.fit_cores");
    let heavy = problem(|value| value["published"]["batch_weight"] = json!(0.1));
    assert!(solve(&heavy, &facts(), Context::default()).is_err(), "a batch that outweighs a core");
}
