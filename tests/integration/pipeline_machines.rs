//! The room `pipeline` on machines: the search within a fleet against enumeration, and the best fleet against trying each.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use planner::base::codec::from_value;
use planner::facts::Facts;
use planner::optimize::choice::placed::{Placed, Site};
use planner::optimize::choice::{Alternative, Choice, ChoiceGoal, ChoiceMetric, SeriesParallel, enumerate, labels};
use planner::optimize::fleet::FleetKind;
use planner::optimize::pack::{Size, Space};
use planner::plan::law::estimate::Queue;
use planner::plan::{Gear, Plan, Tolerance, check};
use planner::planners;
use planner::planners::{baselines, explain, solve};
use planner::problem::Problem;
use planner::rooms::{Answer, BaselineKind, BaselineRules, Chooser, Context};
use planner::stats::Distribution;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// A small instance: up to three stages, replicas of a few sizes on up to two kinds.
fn instance(dice: &mut ChaCha8Rng) -> Choice<Placed> {
    let kinds: Vec<FleetKind> = (0..dice.random_range(1..=2))
        .map(|_| FleetKind {
            space: Space {
                cores: dice.random_range(2..=4),
                memory: if dice.random_bool(0.5) { dice.random_range(3..=7) } else { u64::MAX },
            },
            at_most: 9,
            price: 1.0,
        })
        .collect();
    let size = |dice: &mut ChaCha8Rng| {
        let kind = dice.random_range(0..kinds.len());
        (kind, Size { cores: dice.random_range(1..=3), memory: dice.random_range(0..=4), count: 0 })
    };
    let classes: Vec<(usize, Size)> = (0..4).map(|_| size(dice)).collect();
    let fleet: Vec<u32> = kinds.iter().map(|_| dice.random_range(0..=3)).collect();
    let site = Arc::new(Site::new(classes, kinds).with_fleet(&fleet));
    let alternative = |dice: &mut ChaCha8Rng| {
        let service = Distribution::constant(dice.random_range(1.0..40.0));
        let servers = dice.random_range(1..=3);
        let queue = Queue { service: &service, servers, batch: 1, hold_ms: 0.0 };
        let law = queue.responses(10.0, 100.0);
        Alternative {
            accuracy: dice.random_range(0.5..1.0),
            cost: dice.random_range(0.0..4.0),
            delay: Placed::new(law, &[(dice.random_range(0..4), servers)], Arc::clone(&site)),
            blend: 0,
        }
    };
    let stages = dice.random_range(1..=3);
    let stage = |dice: &mut ChaCha8Rng| (0..dice.random_range(1..=6)).map(|_| alternative(dice)).collect();
    Choice {
        stages: (0..stages).map(|_| stage(dice)).collect(),
        walk: SeriesParallel::chain(stages),
        metric: ChoiceMetric::Product,
        goal: match dice.random_range(0..3) {
            0 => ChoiceGoal::Weighted { accuracy: dice.random_range(1.0..20.0) },
            1 => ChoiceGoal::Cheapest { accuracy_at_least: dice.random_range(0.2..0.8) },
            _ => ChoiceGoal::MostAccurate { cost_at_most: dice.random_range(1.0..12.0) },
        },
        limit: dice.random_range(0.8..0.999),
    }
}

#[test]
fn labels_that_must_pack_find_what_enumeration_finds() {
    let mut dice = ChaCha8Rng::seed_from_u64(11);
    let mut solved = 0;
    for round in 0..800 {
        let choice = instance(&mut dice);
        let kept: Vec<Vec<usize>> = choice.stages.iter().map(|stage| labels::worth_keeping(stage)).collect();
        let pruned = Choice {
            stages: choice
                .stages
                .iter()
                .zip(&kept)
                .map(|(stage, kept)| kept.iter().map(|&index| stage[index].clone()).collect())
                .collect(),
            ..choice.clone()
        };
        let truth = enumerate(&choice).map(|found| found.value);
        for found in [labels::solve(&choice), labels::solve(&pruned)] {
            let found = found.map(|found| found.value);
            match (found, truth) {
                (None, None) => {}
                (Some(found), Some(truth)) => assert!((found - truth).abs() < 1e-9, "{round}: {found} for {truth}"),
                other => panic!("{round}: {other:?}"),
            }
        }
        solved += u32::from(truth.is_some());
    }
    assert!(solved > 200, "{solved}");
}

fn facts() -> Facts {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    Facts::load(&[root.join("profiles/digits.json")]).expect("the shipped profile loads")
}

fn problem(stock: [u32; 2], max_rps: f64, goal: &Value) -> Problem {
    let machines = [
        json!({ "name": "small", "cores": 2, "memory_mb": 7, "at_most": stock[0], "price_usd_per_hour": 0.1 }),
        json!({ "name": "large", "cores": 3, "at_most": stock[1], "price_usd_per_hour": 0.13 }),
    ];
    let machines: Vec<&Value> =
        machines.iter().zip(stock).filter(|(_, stock)| *stock > 0).map(|(kind, _)| kind).collect();
    let value = json!({
        "format": "planner.problem/1", "risk": "none", "name": "test", "room": "pipeline", "profiles": ["x/digits.json"],
        "stages": [
            { "name": "detect", "variants": ["mlp_s", "mlp_m"] },
            { "name": "classify", "variants": ["cnn_s", "cnn_m"], "calls": 2.0 }
        ],
        "workload": { "max_rps": max_rps }, "slo": { "quantile": 0.99, "latency_ms": 8.0 },
        "inventory": { "machines": machines }, "goal": goal
    });
    from_value(value).expect("a good problem").0
}

fn last_gear(problem: &Problem, facts: &Facts) -> Option<Gear> {
    match solve(problem, facts, Context::default()).expect("a proof") {
        Answer::Plan(plan) => plan.gears.last().cloned(),
        Answer::Infeasible(_) => None,
    }
}

fn accuracy(gear: &Gear) -> f64 {
    gear.claims.accuracy.expect("claimed").value.get()
}

fn cost(gear: &Gear) -> f64 {
    gear.claims.cost_usd_per_hour.expect("claimed").get()
}

/// Every fleet by itself, as the whole stock of the goal `most-accurate`: the cheapest that is accurate enough must be what
/// `cheapest` finds, and the best by value what `weighted` finds.
#[test]
fn the_best_fleet_is_that_of_trying_each() {
    let facts = facts();
    let (stock, max_rps) = ([2, 2], 2_500.0);
    let most_accurate = json!({ "kind": "most-accurate" });
    let mut fleets = Vec::new();
    for small in 0..=stock[0] {
        for large in 0..=stock[1] {
            let price = f64::from(small) * 0.1 + f64::from(large) * 0.13;
            if small + large > 0
                && let Some(gear) = last_gear(&problem([small, large], max_rps, &most_accurate), &facts)
            {
                assert!(cost(&gear) <= price + 1e-9, "pays for more than there is");
                fleets.push((price, accuracy(&gear)));
            }
        }
    }
    assert!(fleets.len() > 2, "{fleets:?}");
    let least: f64 = fleets.iter().map(|fleet| fleet.1).fold(f64::INFINITY, f64::min);
    let most: f64 = fleets.iter().map(|fleet| fleet.1).fold(0.0, f64::max);
    for accuracy_at_least in [least, 0.5 * (least + most), most - 1e-6] {
        let goal = json!({ "kind": "cheapest", "accuracy_at_least": accuracy_at_least });
        let found = last_gear(&problem(stock, max_rps, &goal), &facts).expect("feasible");
        let able = fleets.iter().filter(|fleet| fleet.1 >= accuracy_at_least - 1e-9).map(|fleet| fleet.0);
        let truth = able.fold(f64::INFINITY, f64::min);
        assert!((cost(&found) - truth).abs() < 1e-9, "{accuracy_at_least}: {} for {truth}", cost(&found));
    }
    for resource in [0.02, 0.2, 1.0] {
        let goal = json!({ "kind": "weighted", "weights": { "accuracy": 1.0, "resource": resource, "loading": 0.0 } });
        let found = last_gear(&problem(stock, max_rps, &goal), &facts).expect("feasible");
        let value = |fleet: &(f64, f64)| fleet.1 - resource * fleet.0 / (2.0 * 0.1 + 2.0 * 0.13);
        let truth = fleets.iter().map(value).fold(f64::NEG_INFINITY, f64::max);
        let objective = found.certificate.expect("certified").objective;
        assert!((objective - truth).abs() < 1e-9, "{resource}: {objective} for {truth}");
    }
}

#[test]
fn every_plan_of_a_pipeline_on_machines_passes_its_check() {
    let facts = facts();
    for goal in [json!({ "kind": "cheapest", "accuracy_at_least": 0.6 }), json!({ "kind": "most-accurate" })] {
        let problem = problem([2, 2], 2_500.0, &goal);
        let Answer::Plan(mut plan) = solve(&problem, &facts, Context::default()).expect("a proof") else {
            panic!("{goal}: infeasible")
        };
        plan.provenance.problem = Some(problem.clone());
        let plan: Plan = *plan;
        let findings = check(&plan, &facts, Some(&problem), Tolerance::default());
        assert!(!findings.has_errors(), "{goal}: {findings}");
        assert!(plan.gears.iter().all(|gear| !gear.packing.is_empty()));
    }
}

/// What an explanation says of one more machine, or of a looser SLO, is what solving with it gives; the frontier holds the plan; and FA2
/// and RIM are plans that carry the peak and are no better than the frontier.
#[test]
fn pipelines_on_machines_are_explained_and_compared() {
    let facts = facts();
    for goal in [json!({ "kind": "cheapest", "accuracy_at_least": 0.7 }), json!({ "kind": "most-accurate" })] {
        let problem = problem([2, 2], 2_500.0, &goal);
        let Answer::Plan(mut plan) = solve(&problem, &facts, Context::default()).expect("a proof") else {
            panic!("{goal}: infeasible")
        };
        plan.provenance.problem = Some(problem.clone());
        let last = plan.gears.len() - 1;
        let gear = &plan.gears[last];
        let why = explain(&plan, &problem, &facts, last).expect("it is what its problem gives");
        assert!((why.cost_usd_per_hour.expect("rented") - cost(gear)).abs() < 1e-9, "{goal}: {why:?}");
        assert_eq!(Some(why.cores), gear.claims.cores, "{goal}");
        assert!(why.runner_up.as_ref().is_none_or(|second| second.objective <= why.objective + 1e-9), "{why:?}");
        for limit in &why.limits {
            let mut moved = problem.clone();
            match &*limit.key {
                "inventory.machines[0].at_most" => moved.inventory.machines[0].at_most += 1,
                "inventory.machines[1].at_most" => moved.inventory.machines[1].at_most += 1,
                "inventory.machines[0].memory_mb" => {
                    moved.inventory.machines[0].memory_mb =
                        Some(planner::base::units::Megabytes::saturating(limit.loosened_to));
                }
                "slo.latency_ms" => moved.slo.latency_ms = planner::base::units::Millis::saturating(limit.loosened_to),
                _ => moved.goal.accuracy_at_least = Some(planner::base::units::Accuracy::saturating(limit.loosened_to)),
            }
            let found = last_gear(&moved, &facts).expect("looser limits never refuse");
            let change = limit.cost_change_usd_per_hour.expect("rented");
            assert!((cost(&found) - cost(gear) - change).abs() < 1e-9, "{goal}: {limit:?}");
            assert!((accuracy(&found) - accuracy(gear) - limit.accuracy_gain).abs() < 1e-9, "{goal}: {limit:?}");
        }
        let found = planners::frontiers(&problem, &facts, &BTreeMap::new(), &[2_500.0]).expect("the room has one");
        let own = |usd: f64| {
            let within = found.choices.iter().filter(|choice| choice.by == Chooser::Frontier);
            let within = within.filter(|choice| choice.cost_usd_per_hour.get() <= usd + 1e-9);
            within.map(|choice| choice.accuracy.get()).fold(0.0, f64::max)
        };
        assert!((own(cost(gear)) - accuracy(gear)).abs() < 1e-9, "{goal}: the plan is on the frontier");
        for choice in &found.choices {
            assert!(own(choice.cost_usd_per_hour.get()) >= choice.accuracy.get() - 1e-9, "{choice:?} beats it");
        }
        let rules = BaselineRules { look_ahead: std::time::Duration::from_secs(60), overloaded: false };
        let mut names = Vec::new();
        for kind in BaselineKind::of_room(planners::room_of(&problem).expect("it plans")) {
            for baseline in baselines(kind, &plan, &problem, &facts, rules).expect("facts are there") {
                assert!(!baseline.plan.validate().has_errors(), "{}", baseline.plan.validate());
                assert!(baseline.plan.max_rps() >= 2_500.0 - 1e-6, "{} carries the peak", baseline.name);
                names.push(baseline.name);
            }
        }
        assert!(names.contains(&"fa2-low".to_owned()) && names.iter().any(|name| name.starts_with("rim")), "{names:?}");
    }
}
