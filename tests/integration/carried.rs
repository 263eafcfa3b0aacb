//! Carried means carried: drawn problems of every room, solved for all loads. Every plan passes its check at once, no lane is offered
//! more than its replicas can do, and no two neighbouring gears are as accurate as each other at the same price.

use std::path::Path;
use std::time::Duration;

use planner::base::codec::{from_value, load};
use planner::facts::Facts;
use planner::plan::{Gear, Plan, Tolerance, check};
use planner::planners::solve;
use planner::problem::Problem;
use planner::profile::Profile;
use planner::rooms::{Answer, Context};
use planner::simulate::{Effort, Measured, Settings, replicate};
use planner::workload::Arrivals;
use planner::{Code, Finding, Severity};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

const VARIANTS: [&str; 6] = ["linear", "mlp_s", "cnn_s", "cnn_m", "early_exit", "cnn_l"];

/// The shipped profile as it is: cascades plan from what variants answered.
fn with_answers() -> Facts {
    Facts::load(&[Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json")])
        .expect("the shipped profile loads")
}

fn facts() -> Facts {
    facts_of(2, &[1, 4])
}

/// The shipped profile with few variants, on so many cores at most and in these batches.
fn facts_of(most_cores: u32, batches: &[u32]) -> Facts {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json");
    let mut profile = load::<Profile>(&path).expect("the shipped profile loads");
    profile.document.variants.retain(|variant| VARIANTS.contains(&variant.name.as_str()));
    let known = |name: &String| VARIANTS.contains(&name.as_str());
    let kept = |batch: u32, cores: u32| batches.contains(&batch) && cores <= most_cores;
    profile.document.points.retain(|point| known(&point.variant) && kept(point.batch, point.cores));
    Facts::of(vec![(profile, None)]).expect("one profile")
}

fn goal(rng: &mut ChaCha8Rng, accuracies: std::ops::Range<f64>, levels: bool) -> Value {
    match rng.random_range(0..if levels { 4 } else { 3 }) {
        0 => json!({ "kind": "cheapest", "accuracy_at_least": rng.random_range(accuracies) }),
        1 => json!({ "kind": "most-accurate" }),
        2 => {
            json!({ "kind": "weighted", "weights": { "accuracy": 1.0, "resource": rng.random_range(0.0..1.0), "loading": 0.0 } })
        }
        _ => json!({ "kind": "lexicographic", "order": ["cores", "accuracy"] }),
    }
}

fn machines(rng: &mut ChaCha8Rng) -> Value {
    json!([
        { "name": "small", "cores": 2, "memory_mb": 7, "at_most": rng.random_range(1..=3), "price_usd_per_hour": 0.1 },
        { "name": "large", "cores": 3, "at_most": rng.random_range(0..=2) + 1, "price_usd_per_hour": 0.13 }
    ])
}

/// Draws a problem of a room. Its later stages may be visited by fewer requests than may be late.
fn drawn(rng: &mut ChaCha8Rng, room: &str, on_machines: bool) -> Problem {
    let quantile = [0.9, 0.95, 0.99][rng.random_range(0..3)];
    let rate = match room {
        "pipeline" => 2.5..4.6,
        "variant-set" => 3.0..5.4,
        _ => 2.5..4.8,
    };
    let mut value = json!({
        "format": "planner.problem/1", "risk": "none", "name": "drawn", "room": room, "profiles": ["x"],
        "workload": { "max_rps": 10f64.powf(rng.random_range(rate)) },
        "slo": { "quantile": quantile, "latency_ms": 10f64.powf(rng.random_range(0.0..1.5)) },
        "inventory": { "cores": rng.random_range(2..=6), "price_usd_per_core_hour": 0.05 },
    });
    if on_machines {
        value["inventory"] = json!({ "machines": machines(rng) });
    }
    match room {
        "pipeline" => {
            let calls = |rng: &mut ChaCha8Rng| [1.0, 2.0, 0.3, 0.08, 0.04, 0.01][rng.random_range(0..6)];
            let mut stages = vec![
                json!({ "name": "first", "variants": ["mlp_s", "cnn_s"] }),
                json!({ "name": "second", "variants": ["cnn_m", "cnn_l"], "calls": calls(rng) }),
            ];
            if rng.random_bool(0.3) {
                stages.push(
                    json!({ "name": "third", "variants": ["early_exit"], "after": ["first"], "calls": calls(rng) }),
                );
                stages.push(json!({ "name": "last", "variants": ["linear"], "after": ["second", "third"] }));
            }
            value["stages"] = json!(stages);
            value["goal"] = goal(rng, 0.5..0.95, !on_machines);
        }
        "variant-set" => {
            value["variants"] = json!(VARIANTS[rng.random_range(1..4)..]);
            value["goal"] = goal(rng, 0.7..0.95, !on_machines);
        }
        _ => {
            let first = rng.random_range(1..4);
            value["variants"] = json!(VARIANTS[first..first + 3]);
            value["cascade"] = json!({ "certify": false, "max_length": 2 });
            value["inventory"]["cores"] = json!(rng.random_range(1..=3));
            value["goal"] = match rng.random_range(0..2) {
                0 => json!({ "kind": "most-accurate", "gears_at_most": 4 }),
                _ => {
                    json!({ "kind": "cheapest", "mean_accuracy_at_least": rng.random_range(0.7..0.93), "gears_at_most": 4 })
                }
            };
        }
    }
    from_value(value.clone()).unwrap_or_else(|findings| panic!("{value}: {findings}")).0
}

fn errors(plan: &Plan, problem: &Problem, facts: &Facts) -> Vec<Finding> {
    let found = check(plan, facts, Some(problem), Tolerance::default());
    found.0.into_iter().filter(|finding| finding.severity == Severity::Error).collect()
}

/// Returns the work that each lane of a gear is offered at its highest rate, as a part of what its replicas can do in full batches.
fn offered(plan: &Plan, gear: &Gear, facts: &Facts) -> Vec<(f64, f64)> {
    let stages = gear.stages.iter().flat_map(|stage| stage.lanes.iter().map(move |lane| (stage.calls.get(), lane)));
    let of_lane = |(calls, lane): (f64, &planner::plan::Lane)| {
        let pool = plan.pool(&lane.pool).expect("placed");
        let service = facts.service_on(plan, pool, &lane.variant, lane.batch).expect("measured").law.mean_ms();
        let part = calls * lane.share.map_or(1.0, f64::from) * service / f64::from(lane.batch) / 1e3;
        (calls, gear.up_to_rps.get() * part / f64::from(gear.replicas_of(pool)))
    };
    stages.map(of_lane).collect()
}

/// Solves so many drawn problems; returns how many have a plan, and in how many gears a stage that few requests visit is the
/// limit.
fn all_hold(room: &str, on_machines: bool, problems: u64) -> (usize, usize) {
    let (known, single) = (if room == "cascade" { with_answers() } else { facts() }, facts_of(2, &[1]));
    let (mut plans, mut limits) = (0, 0);
    for seed in 0..super::draws(problems) {
        // Batches of several calls make the search of a pipeline slow.
        let facts = if room == "pipeline" && seed % 10 > 0 { &single } else { &known };
        let problem = drawn(&mut ChaCha8Rng::seed_from_u64(seed), room, on_machines);
        let name = format!("{room}, on machines {on_machines}, seed {seed}");
        let Answer::Plan(mut plan) = solve(&problem, facts, Context::default()).expect("an answer") else { continue };
        plans += 1;
        plan.provenance.problem = Some(problem.clone());
        let errors = errors(&plan, &problem, facts);
        assert!(errors.is_empty(), "{name}: {errors:?}");
        if room == "cascade" {
            continue;
        }
        for gear in &plan.gears {
            for (calls, offered) in offered(&plan, gear, facts) {
                assert!(offered < 1.0, "{name}: up to {} requests/s, offered {offered}", gear.up_to_rps);
                let few = calls <= 1.0 - problem.slo.quantile.get();
                limits += usize::from(few && offered > 0.9);
            }
        }
        for pair in plan.gears.windows(2) {
            let worth = |gear: &Gear| {
                let accuracy = gear.claims.accuracy.expect("claimed").value.get();
                (
                    (accuracy * 1e9).round(),
                    gear.claims.cost_usd_per_hour.map(|usd| (usd.get() * 1e9).round()),
                    gear.claims.cores,
                )
            };
            assert!(worth(&pair[0]) != worth(&pair[1]), "{name}: nothing is gained beyond {}", pair[0].up_to_rps);
        }
    }
    (plans, limits)
}

#[test]
fn plans_of_variant_sets_hold() {
    assert!(all_hold("variant-set", false, 200).0 > 80);
}

#[test]
fn plans_of_variant_sets_on_machines_hold() {
    assert!(all_hold("variant-set", true, 60).0 > 25);
}

#[test]
fn plans_of_pipelines_hold() {
    let (plans, limits) = all_hold("pipeline", false, 250);
    assert!(plans > 150 && limits >= 5, "{plans} plans, few requests are the limit in {limits} gears");
}

#[test]
fn plans_of_pipelines_on_machines_hold() {
    let (plans, limits) = all_hold("pipeline", true, 100);
    assert!(plans > 30 && limits > 3, "{plans} plans, few requests are the limit in {limits} gears");
}

#[test]
fn plans_of_cascades_hold() {
    assert!(all_hold("cascade", false, 60).0 > 25);
}

#[test]
fn a_rare_stage_that_cannot_keep_up_is_found_by_check_and_by_simulation() {
    // Every 25th request makes a call that takes 0.73 ms: work for more than one replica.
    let value = json!({
        "format": "planner.problem/1", "risk": "none", "name": "rare", "room": "pipeline", "profiles": ["x"],
        "stages": [
            { "name": "look", "variants": ["mlp_s"] },
            { "name": "look again", "variants": ["cnn_l"], "calls": 0.04 }
        ],
        "workload": { "max_rps": 40000.0 }, "slo": { "quantile": 0.95, "latency_ms": 20.0 },
        "inventory": { "cores": 6, "price_usd_per_core_hour": 0.05 },
        "goal": { "kind": "cheapest", "accuracy_at_least": 0.5 }
    });
    let (problem, facts) = (from_value::<Problem>(value).expect("a good problem").0, facts_of(1, &[1]));
    let Answer::Plan(mut plan) = solve(&problem, &facts, Context::default()).expect("an answer") else {
        panic!("six cores carry it")
    };
    plan.gears = plan.gears.split_off(plan.gears.len() - 1);
    let settings = Settings {
        arrivals: Arrivals::Poisson { rate_rps: 40000.0 },
        duration: Duration::from_secs(3),
        warmup: Duration::ZERO,
        seed: 1,
    };
    let tried = |plan: &Plan| replicate(plan, &Measured::new(plan, &facts).expect("measured"), &settings, 2);
    let overloaded = |plan: &Plan| {
        let found = check(plan, &facts, Some(&problem), Tolerance::default());
        found.0.iter().any(|finding| finding.code == Code::Overloaded && finding.severity == Severity::Error)
    };
    let report = tried(&plan);
    assert!(
        report.whole.slo_met && report.endless_queues().next().is_none() && !overloaded(&plan),
        "{:?}",
        report.pools
    );
    // With one replica fewer are late than may be, and those are never answered.
    let pool = plan.gears[0].stages[1].lanes[0].pool.clone();
    assert_eq!(plan.gears[0].replicas.insert(pool.clone(), 1), Some(2));
    let report = tried(&plan);
    let endless: Vec<&str> = report.endless_queues().map(|pool| pool.name.as_str()).collect();
    assert_eq!(endless, [pool.as_str()], "{:?}", report.pools);
    assert!(report.whole.violation_share.get() < 0.05 && !report.whole.slo_met && overloaded(&plan));
}

#[test]
fn a_plan_that_trials_cut_is_optimal_only_if_no_better_one_keeps_its_slo() {
    let facts = facts_of(2, &[1]);
    let effort = Effort { requests: 2000, trials: 4, seed: 5 };
    let (mut cut, mut narrow) = (0, 0);
    for seed in 0..16 {
        let problem = drawn(&mut ChaCha8Rng::seed_from_u64(1000 + seed), "pipeline", false);
        let planned = |trial: Option<Effort>| match solve(&problem, &facts, Context { trial, ..Context::default() }) {
            Ok(Answer::Plan(plan)) => Some(*plan),
            other => {
                assert!(matches!(other, Ok(Answer::Infeasible(_))), "seed {seed}: {other:?}");
                None
            }
        };
        let (Some(raw), Some(mut tried)) = (planned(None), planned(Some(effort))) else { continue };
        tried.provenance.problem = Some(problem.clone());
        let errors = errors(&tried, &problem, &facts);
        assert!(errors.is_empty(), "seed {seed}: {errors:?}");
        let parts = &tried.provenance.capacity_parts;
        cut += usize::from(!parts.is_empty());
        narrow += usize::from(parts.keys().any(|key| key.contains(" x ")));
        let last = |plan: &Plan| plan.gears.last().and_then(|gear| gear.certificate.clone()).expect("certified");
        let (untried, tried) = (last(&raw), last(&tried));
        if problem.goal.kind != planner::problem::GoalKind::Lexicographic && tried.relative_gap() == 0.0 {
            let slack = 1e-9 * untried.objective.abs();
            assert!(tried.objective >= untried.objective - slack, "seed {seed}: {tried:?} for {untried:?}");
        }
    }
    assert!(cut > 3 && narrow > 3, "{cut} plans cut, {narrow} of them narrowly");
}
