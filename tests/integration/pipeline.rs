//! The room `pipeline`: plans that pass their check, exact breakpoints, laws of the design, and the paper's instances.

use std::path::Path;
use std::time::Duration;

use planner::base::codec::{from_value, load, to_bytes};
use planner::base::units::{Accuracy, Millis};
use planner::facts::Facts;
use planner::optimize::choice::{Alternative, Choice, ChoiceGoal, ChoiceMetric, SeriesParallel, enumerate, labels};
use planner::papers::ipa::{Adapter, IpaInstance};
use planner::plan::law::estimate::Queue;
use planner::plan::{Plan, Tolerance, check};
use planner::planners::{explain, solve};
use planner::problem::{Problem, RoomSettings};
use planner::rooms::{Answer, Conflict, Context};
use planner::simulate::{Effort, Measured, Settings, replicate};
use planner::stats::{Distribution, GridDistribution};
use planner::workload::Arrivals;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

fn facts() -> Facts {
    let profile = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json");
    Facts::load(&[profile]).expect("the shipped profile loads")
}

/// Two stages in a row, the second with three calls a request.
fn chain() -> Value {
    json!([
        { "name": "detect", "variants": ["mlp_s", "mlp_m"] },
        { "name": "classify", "variants": ["cnn_s", "cnn_m", "cnn_l"], "calls": 3.0 }
    ])
}

/// One stage, then two side by side, then one that waits for both and is reached by most requests only.
fn diamond() -> Value {
    json!([
        { "name": "detect", "variants": ["linear", "mlp_s"] },
        { "name": "left", "variants": ["mlp_m"], "after": ["detect"] },
        { "name": "right", "variants": ["cnn_s", "cnn_m"], "after": ["detect"], "calls": 1.5 },
        { "name": "join", "variants": ["cnn_l"], "after": ["left", "right"], "calls": 0.7 }
    ])
}

fn problem(stages: &Value, goal: &Value) -> Problem {
    let value = json!({
        "format": "planner.problem/1", "risk": "none", "name": "test", "room": "pipeline", "profiles": ["x"], "stages": stages,
        "workload": { "max_rps": 600.0 }, "slo": { "quantile": 0.99, "latency_ms": 12.0 },
        "inventory": { "cores": 8, "price_usd_per_core_hour": 0.05 }, "goal": goal
    });
    from_value(value).expect("a good problem").0
}

fn goals() -> [Value; 3] {
    [
        json!({ "kind": "weighted", "weights": { "accuracy": 1.0, "resource": 0.05, "loading": 0.0 } }),
        json!({ "kind": "cheapest", "accuracy_at_least": 0.3 }),
        json!({ "kind": "most-accurate" }),
    ]
}

fn planned(problem: &Problem, facts: &Facts) -> Result<Plan, Conflict> {
    answered(problem, facts, Context::default())
}

fn answered(problem: &Problem, facts: &Facts, context: Context<'_>) -> Result<Plan, Conflict> {
    assert!(!problem.validate().has_errors(), "{}", problem.validate());
    match solve(problem, facts, context).expect("a proof") {
        Answer::Plan(mut plan) => {
            plan.provenance.problem = Some(problem.clone());
            Ok(*plan)
        }
        Answer::Infeasible(conflict) => Err(conflict),
    }
}

/// Returns the objective of the gear that serves a load.
fn objective(plan: &Plan, load: f64) -> f64 {
    plan.gears[plan.gear_at(load)].certificate.as_ref().expect("certified").objective
}

#[test]
fn every_plan_passes_its_check_and_is_the_same_twice() {
    let facts = facts();
    for stages in [chain(), diamond()] {
        for goal in goals() {
            let problem = problem(&stages, &goal);
            let plan = planned(&problem, &facts).unwrap_or_else(|conflict| panic!("{goal}: {conflict}"));
            let findings = check(&plan, &facts, Some(&problem), Tolerance::default());
            assert!(!findings.has_errors(), "{goal}: {findings}");
            assert!(findings.0.iter().all(|finding| finding.code.as_str() != "claim-unchecked"), "{goal}: {findings}");
            assert_eq!(plan.max_rps(), 600.0);
            let again = planned(&problem, &facts).expect("as before");
            assert_eq!(to_bytes(&plan), to_bytes(&again), "{goal}: another plan the second time");
        }
    }
}

#[test]
fn gears_change_exactly_where_the_optimum_does() {
    let facts = facts();
    for goal in goals() {
        let whole = problem(&chain(), &goal);
        let plan = planned(&whole, &facts).expect("feasible");
        let mut loads: Vec<f64> = (1..=12).map(|step| 49.9 * f64::from(step)).collect();
        loads.extend(plan.gears.iter().flat_map(|gear| [0.9999, 1.0001].map(|part| part * gear.up_to_rps.get())));
        for load in loads.into_iter().filter(|load| *load <= 600.0) {
            let mut alone = whole.clone();
            alone.workload.max_rps = planner::base::units::Rate::saturating(load);
            let best = planned(&alone, &facts).expect("less load fits too");
            let (here, there) = (objective(&plan, load), objective(&best, load));
            assert!((here - there).abs() < 1e-9, "{goal} at {load}: {here} in the ladder, {there} alone");
        }
    }
}

#[test]
fn looser_limits_never_hurt() {
    let facts = facts();
    for stages in [chain(), diamond()] {
        for goal in goals() {
            let tight = problem(&stages, &goal);
            let plan = planned(&tight, &facts).expect("feasible");
            let mut later = tight.clone();
            later.slo.latency_ms = planner::base::units::Millis::saturating(24.0);
            let more = planned(&later, &facts).expect("more time fits too");
            let mut cores = tight.clone();
            cores.inventory.cores = 12;
            let wide = planned(&cores, &facts).expect("more cores fit too");
            for load in [10.0, 100.0, 250.0, 400.0, 600.0] {
                assert!(objective(&more, load) >= objective(&plan, load) - 1e-9, "{goal} {load}: more time");
                // Objectives are relative to the cores that there are, but for the accuracy alone.
                if tight.goal.kind == planner::problem::GoalKind::MostAccurate {
                    assert!(objective(&wide, load) >= objective(&plan, load) - 1e-9, "{goal} {load}: more cores");
                }
            }
        }
    }
}

#[test]
fn tried_gears_keep_the_slo_and_claims_are_near_what_is_simulated() {
    let facts = facts();
    let effort = Effort { requests: 60_000, trials: 4, seed: 42 };
    let mut off = Vec::new();
    for stages in [chain(), diamond()] {
        let problem = problem(&stages, &goals()[0]);
        let plan = answered(&problem, &facts, Context { trial: Some(effort), ..Context::default() }).expect("feasible");
        for gear in &plan.gears {
            let trial = gear.certificate.as_ref().and_then(|certificate| certificate.trial).expect("tried");
            assert!(trial.violation_high.get() <= 0.01 + 1e-12, "{trial:?}");
            let alone = Plan { gears: vec![gear.clone()], ..plan.clone() };
            let world = Measured::new(&alone, &facts).expect("measured");
            let settings = Settings {
                arrivals: Arrivals::Poisson { rate_rps: gear.up_to_rps.get() },
                duration: Duration::from_secs(60),
                warmup: Duration::from_secs(5),
                seed: 7,
            };
            let report = replicate(&alone, &world, &settings, 4);
            let simulated = report.whole.latency.expect("answers").p99_ms.get();
            let claimed = gear.claims.latency.expect("claimed").value_ms.get();
            off.push((claimed / simulated, gear.up_to_rps.get()));
        }
    }
    // Never far below what happens; waiting for companions makes claims safe rather than close.
    assert!(off.iter().all(|(ratio, _)| *ratio > 0.85), "{off:?}");
}

#[test]
fn a_measured_table_takes_the_place_of_the_product() {
    let facts = facts();
    let goal = json!({ "kind": "most-accurate" });
    let mut problem = problem(&chain(), &goal);
    let plan = planned(&problem, &facts).expect("feasible");
    let variants = |plan: &Plan| -> Vec<String> {
        plan.gears[0].stages.iter().map(|stage| stage.lanes[0].variant.clone()).collect()
    };
    assert_eq!(variants(&plan), ["mlp_m", "cnn_l"]);
    let right = |detect: &str, classify: &str| match (detect, classify) {
        ("mlp_s", "cnn_m") => 95,
        (_, "cnn_l") => 90,
        _ => 60,
    };
    let pairs =
        ["mlp_s", "mlp_m"].iter().flat_map(|detect| ["cnn_s", "cnn_m", "cnn_l"].map(|classify| (detect, classify)));
    let combinations: Vec<Value> = pairs
        .map(
            |(detect, classify)| json!({ "variants": [detect, classify], "right": right(detect, classify), "of": 100 }),
        )
        .collect();
    let RoomSettings::Pipeline(settings) = &mut problem.room else { panic!("a pipeline") };
    settings.accuracy =
        serde_json::from_value(json!({ "kind": "measured", "combinations": combinations })).expect("known");
    let plan = planned(&problem, &facts).expect("feasible");
    assert_eq!(variants(&plan), ["mlp_s", "cnn_m"]);
    let claim = plan.gears[0].claims.accuracy.expect("claimed");
    assert!((claim.value.get() - 0.95).abs() < 1e-12 && claim.low < claim.value && claim.value < claim.high);
    let findings = check(&plan, &facts, Some(&problem), Tolerance::default());
    assert!(!findings.has_errors(), "{findings}");
}

#[test]
fn a_refusal_names_the_smallest_conflict_and_what_would_help() {
    let facts = facts();
    let mut problem = problem(&chain(), &goals()[1]);
    problem.slo.latency_ms = planner::base::units::Millis::saturating(0.05);
    let conflict = planned(&problem, &facts).expect_err("nothing is that fast");
    let keys: Vec<_> = conflict.limits.iter().map(|limit| &*limit.key).collect();
    assert_eq!(keys, ["slo.latency_ms"]);
    let nearest = conflict.limits[0].would_have_to_be.expect("some latency admits a plan");
    problem.slo.latency_ms = planner::base::units::Millis::saturating(nearest);
    assert!(planned(&problem, &facts).is_ok(), "{nearest} ms");
    problem.slo.latency_ms = planner::base::units::Millis::saturating(nearest * 0.99);
    assert!(planned(&problem, &facts).is_err(), "{nearest} ms is the nearest");
}

/// Draws stages whose alternatives are response times of queues.
fn laws(seed: u64) -> Choice<GridDistribution> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let count = rng.random_range(1..=4usize);
    let stages: Vec<Vec<Alternative<GridDistribution>>> = (0..count)
        .map(|_| {
            let alternatives = rng.random_range(1..=5);
            (0..alternatives)
                .map(|index| {
                    let mean = rng.random_range(2.0..40.0);
                    let service = Distribution::new(vec![(mean, 0.8), (mean * rng.random_range(1.0..4.0), 0.2)]);
                    let servers = rng.random_range(1..=3);
                    let queue = Queue { service: &service, servers, batch: 1, hold_ms: 0.0 };
                    let rate = queue.saturation_rps() * rng.random_range(0.1..0.9);
                    Alternative {
                        accuracy: rng.random_range(0.3..1.0),
                        cost: f64::from(rng.random_range(1..=6)),
                        delay: queue.responses(rate, 200.0),
                        blend: index,
                    }
                })
                .collect()
        })
        .collect();
    let walk = match (count, seed % 2) {
        (4, 0) => SeriesParallel::from_predecessors(&[vec![], vec![0], vec![0], vec![1, 2]]).expect("a diamond"),
        (3, 0) => SeriesParallel::from_predecessors(&[vec![], vec![0], vec![0]]).expect("a fork"),
        _ => SeriesParallel::chain(count),
    };
    let metric = if seed.is_multiple_of(3) { ChoiceMetric::Sum } else { ChoiceMetric::Product };
    let goal = match rng.random_range(0..3) {
        0 => ChoiceGoal::Weighted { accuracy: rng.random_range(1.0..60.0) },
        1 => ChoiceGoal::Cheapest { accuracy_at_least: rng.random_range(0.0..0.8) },
        _ => ChoiceGoal::MostAccurate { cost_at_most: rng.random_range(1.0..6.0) * count as f64 },
    };
    Choice { stages, walk, metric, goal, limit: 0.95 }
}

#[test]
fn labels_over_laws_equal_enumeration() {
    let mut feasible = 0;
    for seed in 0..500 {
        let choice = laws(seed);
        let (found, truth) = (labels::solve(&choice), enumerate(&choice));
        assert_eq!(found.is_some(), truth.is_some(), "seed {seed}");
        if let (Some(found), Some(truth)) = (found, truth) {
            feasible += 1;
            assert!((found.value - truth.value).abs() < 1e-9, "seed {seed}: {found:?} against {truth:?}");
        }
    }
    assert!((150..450).contains(&feasible), "{feasible}: both answers must occur");
}

#[test]
#[expect(clippy::print_stderr, reason = "says why a test that passes solved nothing")]
fn published_decisions_of_the_reference_instances() {
    for (name, objective) in [("ipa-01", -1.000_009), ("ipa-03", 4.209_414)] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../shared/data/reference/{name}.json"));
        let Ok(bytes) = std::fs::read(&file) else {
            eprintln!("skipped: {} is missing", file.display());
            continue;
        };
        let reference: Value = serde_json::from_slice(&bytes).expect("JSON");
        let published: IpaInstance = serde_json::from_value(reference["inputs"].clone()).expect("an instance");
        let decision = published.solve().expect("feasible");
        assert!((decision.objective - objective).abs() < 1e-6, "{name}: {decision:?}");
        for (stage, expected) in decision.stages.iter().zip(reference["expected"]["config"].as_array().expect("a list"))
        {
            assert_eq!(json!(stage.variant), expected["variant"], "{name}");
            assert_eq!(
                (json!(stage.batch), json!(stage.replicas)),
                (expected["batch"].clone(), expected["replicas"].clone())
            );
        }
        for adapter in [Adapter::Fa2Low, Adapter::Fa2High, Adapter::Rim(3)] {
            let Some(other) = published.decide(adapter) else { continue };
            // RIM cannot take fewer replicas, FA2 no other variant: nobody beats the optimum over everything.
            assert!(other.objective <= decision.objective + 1e-9, "{name}: {adapter:?} {other:?}");
        }
        assert!(published.decide(Adapter::Rim(1)).is_none_or(|rim| rim.stages.iter().all(|stage| stage.replicas == 1)));
        assert!(IpaInstance { sla_s: 0.01, ..published }.solve().is_none(), "{name}: nothing is that fast");
    }
}

/// What an explanation says of a looser limit is what solving with it gives, and nothing it names is better than the plan.
#[test]
fn explanations_say_what_solving_again_gives() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/ocr.json");
    let plan = load::<Plan>(&path).expect("valid").document;
    let facts = Facts::of_plan(&plan, &path).expect("its profiles are there");
    let problem = plan.provenance.problem.clone().expect("kept");
    let mut priced = 0;
    for (index, gear) in plan.gears.iter().enumerate() {
        let why = explain(&plan, &problem, &facts, index).expect("it is what its problem gives");
        let objective = gear.certificate.as_ref().expect("proved").objective;
        assert!((why.objective - objective).abs() < 1e-9, "{why:?}");
        assert!(why.runner_up.is_none_or(|second| second.objective <= objective + 1e-9), "gear {index}");
        for limit in &why.limits {
            let mut moved = problem.clone();
            moved.workload.max_rps = gear.up_to_rps;
            match &*limit.key {
                "inventory.cores" => moved.inventory.cores += 1,
                "slo.latency_ms" => moved.slo.latency_ms = Millis::saturating(limit.loosened_to),
                _ => moved.goal.accuracy_at_least = Some(Accuracy::saturating(limit.loosened_to)),
            }
            let context = Context { capacity_parts: Some(&plan.provenance.capacity_parts), ..Context::default() };
            let Answer::Plan(again) = solve(&moved, &facts, context).expect("solved") else {
                panic!("looser limits never refuse");
            };
            let claims = &again.gears.last().expect("a gear").claims;
            let accuracy = claims.accuracy.expect("claimed").value.get();
            assert_eq!(
                i64::from(claims.cores.expect("claimed")),
                i64::from(why.cores) + limit.cores_change,
                "{limit:?}"
            );
            assert!((accuracy - why.accuracy - limit.accuracy_gain).abs() < 1e-9, "{limit:?}");
            priced += usize::from(limit.binds);
        }
    }
    assert!(priced > 0, "some limit binds in some gear");
}

/// Two stages of two variants each that may be mixed.
fn mixable(lanes_at_most: u32) -> Value {
    json!([
        { "name": "first", "variants": ["mlp_m", "early_exit"], "lanes_at_most": lanes_at_most },
        { "name": "second", "variants": ["cnn_m", "cnn_l"], "lanes_at_most": lanes_at_most }
    ])
}

#[test]
fn mixtures_in_a_stage_are_checked_tried_and_explained_and_never_hurt() {
    let facts = facts();
    let effort = Effort { requests: 60_000, trials: 4, seed: 42 };
    for goal in [&goals()[2], &json!({ "kind": "cheapest", "accuracy_at_least": 0.877 })] {
        let whole = |lanes| {
            let mut whole = problem(&mixable(lanes), goal);
            whole.workload.max_rps = planner::base::units::Rate::saturating(4800.0);
            whole.inventory.cores = 4;
            whole
        };
        let (alone, mixed) = (whole(1), whole(2));
        let (one, two) = (planned(&alone, &facts), planned(&mixed, &facts).expect("feasible"));
        if let Ok(one) = &one {
            for load in (1..=24).map(|step| 200.0 * f64::from(step)) {
                let (one, two) = (objective(one, load), objective(&two, load));
                assert!(two >= one - 1e-9, "{goal} at {load}: {two} with mixtures, {one} without");
            }
        }
        let tried = answered(&mixed, &facts, Context { trial: Some(effort), ..Context::default() }).expect("feasible");
        for plan in [&two, &tried] {
            let findings = check(plan, &facts, Some(&mixed), Tolerance::default());
            assert!(!findings.has_errors(), "{goal}: {findings}");
            assert!(findings.0.iter().all(|finding| finding.code.as_str() != "claim-unchecked"), "{goal}: {findings}");
        }
        let is_mixed = |gear: &planner::plan::Gear| gear.stages.iter().any(|stage| stage.lanes.len() > 1);
        let gear = two.gears.iter().position(is_mixed).unwrap_or_else(|| panic!("{goal}: nothing is mixed"));
        let why = explain(&two, &mixed, &facts, gear).expect("it is what its problem gives");
        assert!(why.runner_up.is_none_or(|second| second.objective <= why.objective + 1e-9), "{goal}");
        // Without leave to mix, the same plan as ever.
        let plain = problem(&mixable(1), goal);
        assert_eq!(serde_json::to_value(&plain).expect("JSON")["stages"][0].get("lanes_at_most"), None);
    }
}

#[test]
fn several_calls_do_not_mix() {
    let mut stages = mixable(2);
    stages[1]["calls"] = json!(3.0);
    stages[0]["lanes_at_most"] = json!(3);
    let findings = serde_json::from_value::<Problem>(json!({
        "format": "planner.problem/1", "risk": "none", "name": "test", "room": "pipeline", "profiles": ["x"], "stages": stages,
        "workload": { "max_rps": 600.0 }, "slo": { "quantile": 0.99, "latency_ms": 12.0 },
        "inventory": { "cores": 8, "price_usd_per_core_hour": 0.05 }, "goal": goals()[2]
    }))
    .expect("a problem")
    .validate();
    let keys: Vec<_> = findings.0.iter().map(|finding| finding.key.as_str()).collect();
    assert_eq!(keys, ["stages[0].lanes_at_most", "stages[1].lanes_at_most"], "{findings}");
}
