//! Drawn problems of both rooms, both formulations and all goals, read like a user's: what the plan is worth at its highest load, and
//! whether there is one at all, against trying everything that the facts allow; and every plan passes its check.

use std::path::Path;

use planner::base::codec::{from_value, load};
use planner::facts::Facts;
use planner::plan::law::estimate::Queue;
use planner::plan::law::flow::Flow;
use planner::plan::{Plan, Tolerance, check};
use planner::planners::solve;
use planner::problem::{Criterion, GoalKind, PipelineSettings, Problem, RoomSettings, VariantSetSettings};
use planner::profile::{Curve, Profile};
use planner::rooms::{Answer, Context};
use planner::stats::GridDistribution;
use planner::{Finding, Severity};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

const VARIANTS: [&str; 5] = ["mlp_s", "cnn_s", "cnn_m", "early_exit", "cnn_l"];

/// The shipped profile with few variants, and batches of 1 and 4 only: what can be enumerated.
fn facts() -> Facts {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json");
    let mut profile = load::<Profile>(&path).expect("the shipped profile loads");
    let known = |name: &String| VARIANTS.contains(&name.as_str());
    profile.document.variants.retain(|variant| known(&variant.name));
    profile.document.points.retain(|point| known(&point.variant) && [1, 4].contains(&point.batch));
    Facts::of(vec![(profile, None)]).expect("one profile")
}

/// Draws a goal, and where it has one the limit that makes some problems infeasible.
fn goal(dice: &mut ChaCha8Rng, accuracies: std::ops::Range<f64>, cores: u32) -> Value {
    let weight: f64 = dice.random_range(0.0..1.0);
    let given_away = [0.0, 0.01, 0.05][dice.random_range(0..3)];
    let tolerances = json!({ "accuracy": given_away, "cores": dice.random_range(0..=2_u32) });
    match dice.random_range(0..5) {
        0 => json!({ "kind": "cheapest", "accuracy_at_least": dice.random_range(accuracies) }),
        1 => json!({ "kind": "most-accurate", "cores_at_most": dice.random_range(1..=cores) }),
        2 => json!({ "kind": "lexicographic", "order": ["accuracy", "cores"], "tolerances": tolerances }),
        3 => json!({ "kind": "lexicographic", "order": ["cores", "accuracy"], "tolerances": tolerances }),
        _ => json!({ "kind": "weighted", "weights": { "accuracy": 1.0, "resource": weight, "loading": 0.0 } }),
    }
}

/// Draws a problem; one gear, which is that of its highest load.
fn drawn(dice: &mut ChaCha8Rng, room: &str, formulation: &str) -> Problem {
    let cores = dice.random_range(2..=5_u32);
    let is_pipeline = room == "pipeline";
    let quantile = [0.5, 0.9, 0.95, 0.99][dice.random_range(0..4)];
    let accuracies = if is_pipeline { 0.5..0.95 } else { 0.7..0.96 };
    let mut value = json!({
        "format": "planner.problem/1", "risk": "none", "name": "drawn", "room": room, "formulation": formulation, "profiles": ["x"],
        "workload": { "max_rps": 10f64.powf(dice.random_range(if is_pipeline { 2.0..4.6 } else { 3.0..5.6 })) },
        "slo": {
            "quantile": quantile,
            "latency_ms": 10f64.powf(dice.random_range(-1.0..1.2))
        },
        "inventory": { "cores": cores, "price_usd_per_core_hour": 0.05 },
        "goal": goal(dice, accuracies, cores)
    });
    if is_pipeline {
        if formulation == "published" {
            value["goal"] = json!({ "kind": "weighted", "weights":
                { "accuracy": 1.0, "resource": dice.random_range(0.01..1.0), "loading": 0.0 } });
        }
        let calls = if formulation == "published" { 1.0 } else { [1.0, 1.0, 0.6, 2.0][dice.random_range(0..4)] };
        value["stages"] = json!([
            { "name": "first", "variants": ["mlp_s", "cnn_s"] },
            { "name": "second", "variants": ["cnn_m", "early_exit", "cnn_l"], "calls": calls }
        ]);
        if formulation == "published" {
            value["published"] = json!({ "base_rps": 500.0, "batch_weight": 1e-5 });
        }
    } else {
        if value["goal"]["kind"] == "weighted" {
            value["goal"]["weights"]["loading"] = json!(dice.random_range(0.0..0.2));
        }
        value["inventory"]["min_cores_per_variant"] = json!(dice.random_range(1..=2_u32).min(cores));
        value["variants"] = json!(VARIANTS[dice.random_range(0..3)..]);
        if value["goal"]["cores_at_most"].is_number() {
            value["goal"]["cores_at_most"] = json!(cores);
        }
    }
    value["goal"]["gears_at_most"] = json!(1);
    from_value(value.clone()).unwrap_or_else(|findings| panic!("{value}: {findings}")).0
}

/// What a choice comes to.
#[derive(Debug, Clone, Copy)]
struct Worth {
    accuracy: f64,
    cores: u32,
    /// Beside what cores weigh: load times, or samples in batches.
    less: f64,
}

/// Returns the best value of the problem's goal over all choices, straight from its definition.
fn best(problem: &Problem, all: &[Worth]) -> Option<f64> {
    let budget = f64::from(problem.core_budget());
    let goal = &problem.goal;
    let used = |of: &Worth| f64::from(of.cores) / budget;
    let most = |values: &mut dyn Iterator<Item = f64>| values.reduce(f64::max);
    let tolerances = goal.tolerances.unwrap_or_default();
    let accurate = most(&mut all.iter().map(|of| of.accuracy))?;
    let fewest = all.iter().map(|of| of.cores).min()?;
    match goal.kind {
        GoalKind::MostAccurate => Some(accurate),
        GoalKind::Cheapest => {
            let least = goal.accuracy_at_least.expect("drawn").get();
            most(&mut all.iter().filter(|of| of.accuracy >= least - 1e-12).map(|of| -used(of)))
        }
        GoalKind::Lexicographic if goal.order[0] == Criterion::Accuracy => {
            let near = accurate - tolerances.accuracy.get() - 1e-12;
            most(&mut all.iter().filter(|of| of.accuracy >= near).map(|of| -used(of)))
        }
        GoalKind::Lexicographic => {
            most(&mut all.iter().filter(|of| of.cores <= fewest + tolerances.cores).map(|of| of.accuracy))
        }
        GoalKind::Weighted => {
            let weights = goal.weights.expect("drawn");
            let value = |of: &Worth| weights.accuracy.get() * of.accuracy - weights.resource.get() * used(of) - of.less;
            most(&mut all.iter().map(value))
        }
        GoalKind::Fastest => unreachable!("not drawn"),
    }
}

fn accuracy(facts: &Facts, name: &str) -> f64 {
    facts.variant(name).expect("known").accuracy.value.get()
}

fn curve<'a>(facts: &'a Facts, name: &str) -> &'a Curve {
    facts.curve(name, "cpu").expect("measured")
}

/// Returns the highest capacity of a variant on each number of cores, 0 where it cannot have them: replicas × batches as measured,
/// or the paper's line.
fn capacities(problem: &Problem, facts: &Facts, name: &str) -> Vec<f64> {
    let budget = problem.core_budget();
    let curve = curve(facts, name);
    let fewest = problem.inventory.min_cores_per_variant;
    let mut best = vec![0.0; budget as usize + 1];
    let capacity = |cores, batch, servers: u32| {
        let service = curve.at(cores, batch).expect("measured").law;
        let hold_ms = if batch > 1 { service.mean_ms() / f64::from(servers) } else { 0.0 };
        Queue { service: &service, servers, batch, hold_ms }.capacity_rps(&problem.slo)
    };
    if problem.room.is_published() {
        let points: Vec<(f64, f64)> = [1, 2, 4, 8, 16].iter().map(|&n| (f64::from(n), capacity(1, 1, n))).collect();
        let count = points.len() as f64;
        let (x, y) = (points.iter().map(|p| p.0).sum::<f64>() / count, points.iter().map(|p| p.1).sum::<f64>() / count);
        let slope = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>()
            / points.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>();
        let intercept = (y - slope * x).min(0.0).trunc();
        for cores in fewest..=budget {
            best[cores as usize] = (0.8 * (slope * f64::from(cores) + intercept)).floor().max(0.0);
        }
        return best;
    }
    for (cores, batch) in curve.measured() {
        for servers in 1..=budget / cores {
            let all = cores * servers;
            if all >= fewest {
                best[all as usize] = f64::max(best[all as usize], capacity(cores, batch, servers));
            }
        }
    }
    best
}

/// Returns every choice of the room `variant-set` that carries a load within the cores.
fn side_by_side(problem: &Problem, facts: &Facts, load: f64) -> Vec<Worth> {
    let RoomSettings::VariantSet(VariantSetSettings { variants, .. }) = &problem.room else { panic!("drawn") };
    let mut names: Vec<&String> = variants.iter().flatten().collect();
    names.sort_by(|a, b| accuracy(facts, b).total_cmp(&accuracy(facts, a)));
    let capacities: Vec<Vec<f64>> = names.iter().map(|name| capacities(problem, facts, name)).collect();
    let load_ms: Vec<f64> = names.iter().map(|name| facts.variant(name).expect("known").load_time_ms.get()).collect();
    let longest = load_ms.iter().copied().fold(0.0, f64::max);
    let budget = problem.core_budget();
    let loading = problem.goal.weights.map_or(0.0, |weights| weights.loading.get());
    let mut all = Vec::new();
    for code in 0..(budget + 1).pow(names.len() as u32) {
        let cores: Vec<u32> =
            (0..names.len() as u32).map(|place| code / (budget + 1).pow(place) % (budget + 1)).collect();
        let taken: u32 = cores.iter().sum();
        let of = |(index, &cores): (usize, &u32)| if cores == 0 { 1.0 } else { capacities[index][cores as usize] };
        if taken > budget || cores.iter().enumerate().map(of).any(|capacity| capacity <= 0.0) {
            continue;
        }
        let (mut left, mut mass) = (load, 0.0);
        for (index, &cores) in cores.iter().enumerate().filter(|(_, cores)| **cores > 0) {
            let carried = f64::min(left, capacities[index][cores as usize]);
            left -= carried;
            mass += carried * accuracy(facts, names[index]);
        }
        if left <= 1e-9 * load {
            let starting = cores.iter().zip(&load_ms).filter(|(cores, _)| **cores > 0).map(|(_, ms)| *ms);
            let less = loading * starting.fold(0.0, f64::max) / longest;
            all.push(Worth { accuracy: mass / load, cores: taken, less });
        }
    }
    all
}

/// Returns every choice of the room `pipeline`, two stages in a row, that keeps the SLO at a load within the cores.
fn in_a_row(problem: &Problem, facts: &Facts, load: f64) -> Vec<Worth> {
    let slo = problem.slo;
    let span = slo.latency_ms.get();
    let budget = problem.core_budget();
    let mut stages: Vec<Vec<(Worth, GridDistribution)>> = Vec::new();
    for task in problem.stages() {
        let mut ways = Vec::new();
        for name in &task.variants {
            let curve = curve(facts, name);
            for (cores, batch) in curve.measured() {
                let service = curve.at(cores, batch).expect("measured").law;
                let holds: &[f64] = if batch == 1 { &[0.0] } else { &[64.0, 32.0, 16.0, 8.0, 4.0] };
                for servers in 1..=budget / cores {
                    for part in holds {
                        let hold_ms = if batch == 1 { 0.0 } else { span / part };
                        let (calls, share) = (task.calls.get(), 1.0);
                        let flow = Flow { service: &service, servers, batch, hold_ms, calls, share };
                        // Who skips the stage is not wrong for it.
                        let accuracy = 1.0 - calls.min(1.0) * (1.0 - accuracy(facts, name));
                        let worth = Worth { accuracy, cores: cores * servers, less: 0.0 };
                        if flow.keeps_up(load) {
                            ways.push((worth, flow.responses(load, span)));
                        }
                    }
                }
            }
        }
        stages.push(ways);
    }
    let mut all = Vec::new();
    for (first, law) in &stages[0] {
        for (second, next) in &stages[1] {
            let cores = first.cores + second.cores;
            if cores <= budget && law.in_time_before(next) >= slo.quantile.get() - 1e-12 {
                all.push(Worth { accuracy: first.accuracy * second.accuracy, cores, less: 0.0 });
            }
        }
    }
    all
}

/// Returns every choice of IPA's own program at a load.
fn as_published(problem: &Problem, facts: &Facts, load: f64) -> Vec<Worth> {
    let RoomSettings::Pipeline(PipelineSettings { published: Some(settings), .. }) = &problem.room else {
        panic!("drawn")
    };
    let sla_s = problem.slo.latency_ms.get() / 1e3;
    // (accuracy, cores, batch, delay) of every way to run each stage.
    let mut stages: Vec<Vec<(f64, u32, f64, f64)>> = Vec::new();
    for task in problem.stages() {
        let mut ways = Vec::new();
        for name in &task.variants {
            let curve = curve(facts, name);
            let mean_s = |cores, batch| curve.at(cores, batch).expect("measured").law.mean_ms() / 1e3;
            let sustains = |cores: &u32| {
                curve.batches(*cores).iter().any(|&batch| {
                    let mean_s = mean_s(*cores, batch);
                    mean_s <= 0.5 * sla_s && f64::from(batch) / mean_s >= settings.base_rps.get()
                })
            };
            let Some(base) = curve.cores().into_iter().find(sustains) else { continue };
            for batch in curve.batches(base) {
                let replicas = (load * mean_s(base, batch) / f64::from(batch) - 1e-9).ceil().max(1.0);
                let delay = mean_s(base, batch) + (f64::from(batch) - 1.0) / load;
                ways.push((accuracy(facts, name), replicas as u32 * base, f64::from(batch), delay));
            }
        }
        stages.push(ways);
    }
    let mut all = Vec::new();
    for first in &stages[0] {
        for second in &stages[1] {
            if first.1 + second.1 <= problem.core_budget() && first.3 + second.3 <= sla_s {
                let less = settings.batch_weight.get() * (first.2 + second.2);
                all.push(Worth { accuracy: first.0 * second.0, cores: first.1 + second.1, less });
            }
        }
    }
    all
}

fn everything(problem: &Problem, facts: &Facts, load: f64) -> Vec<Worth> {
    match &problem.room {
        RoomSettings::VariantSet(_) => side_by_side(problem, facts, load),
        room if room.is_published() => as_published(problem, facts, load),
        _ => in_a_row(problem, facts, load),
    }
}

/// Returns the errors of a plan's check. The papers look at no tail (the line of capacities is a fit, mean times add up), so that
/// their plans may break one: that is no fault of the search.
fn errors(plan: &Plan, facts: &Facts, problem: &Problem) -> Vec<Finding> {
    let found = check(plan, facts, Some(problem), Tolerance::default());
    let tail = |finding: &Finding| {
        problem.room.is_published() && finding.code.as_str() == "limit-broken" && finding.cause.contains("ms")
    };
    found.0.into_iter().filter(|finding| finding.severity == Severity::Error && !tail(finding)).collect()
}

/// Solves so many drawn problems; returns how many have a plan and how many have none.
fn agrees(room: &str, formulation: &str, problems: u64) -> (u64, u64) {
    let facts = facts();
    let (mut plans, mut refused) = (0, 0);
    for seed in 0..super::draws(problems) {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let problem = drawn(&mut dice, room, formulation);
        let load = problem.workload.max_rps.get();
        let truth = best(&problem, &everything(&problem, &facts, load));
        let name = format!("{room}, {formulation}, seed {seed}");
        match solve(&problem, &facts, Context::default()).expect("a proof") {
            Answer::Plan(mut plan) => {
                plans += 1;
                plan.provenance.problem = Some(problem.clone());
                let claimed = plan.gears[0].certificate.as_ref().expect("certified").objective;
                let truth = truth.unwrap_or_else(|| panic!("{name}: enumeration finds nothing"));
                assert!((claimed - truth).abs() < 1e-9, "{name}: {claimed}, enumeration {truth}");
                let errors = errors(&plan, &facts, &problem);
                assert!(errors.is_empty(), "{name}: {errors:?}");
            }
            Answer::Infeasible(conflict) => {
                refused += 1;
                assert!(!conflict.limits.is_empty(), "{name}: refused for no reason");
                // Batches of the paper's program do not fill at low loads: there some other load is what cannot be carried.
                let mut loads = (1..=1000).map(|step| load * f64::from(step) / 1000.0);
                let is_published = formulation == "published" && room == "pipeline";
                let is_refused = |load: f64| best(&problem, &everything(&problem, &facts, load)).is_none();
                assert!(
                    truth.is_none() || is_published && loads.any(is_refused),
                    "{name}: enumeration finds {truth:?}, and we {conflict}"
                );
            }
        }
    }
    (plans, refused)
}

/// Both answers must occur often.
fn are_both(counts: (u64, u64), problems: u64) {
    assert!(counts.0.min(counts.1) * 8 > problems, "{counts:?} of {problems} is too one-sided");
}

#[test]
fn variant_sets_are_worth_what_enumeration_finds() {
    are_both(agrees("variant-set", "tail-aware", 800), super::draws(800));
}

#[test]
fn published_variant_sets_are_worth_what_enumeration_finds() {
    are_both(agrees("variant-set", "published", 400), super::draws(400));
}

#[test]
fn pipelines_are_worth_what_enumeration_finds() {
    are_both(agrees("pipeline", "tail-aware", 300), super::draws(300));
}

#[test]
fn published_pipelines_are_worth_what_enumeration_finds() {
    are_both(agrees("pipeline", "published", 300), super::draws(300));
}
