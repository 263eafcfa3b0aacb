//! Plans do not depend on the units that prices, weights, rates and times are given in.

use std::path::Path;

use planner::base::codec::from_value;
use planner::facts::Facts;
use planner::optimize::choice::{Alternative, Choice, ChoiceGoal, ChoiceMetric, SeriesParallel, Table, labels};
use planner::optimize::fill::{Ladder, at_load};
use planner::optimize::fleet::mix::{FleetItem, Mix, Squad};
use planner::optimize::fleet::{self, FleetKind};
use planner::optimize::{Allotment, Instance, Objective};
use planner::plan::Plan;
use planner::plan::law::estimate::Queue;
use planner::planners::frontier;
use planner::planners::solve;
use planner::problem::Problem;
use planner::rooms::{Answer, Context};
use planner::stats::Distribution;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::machines;
use crate::variant_set::random_instance;

/// From far below to far above what anybody pays.
const UNITS: [f64; 5] = [1e-12, 1e-9, 1e-3, 1e6, 1e12];

fn facts() -> Facts {
    let profile = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json");
    Facts::load(&[profile]).expect("the shipped profile loads")
}

/// A problem of each room on two kinds of machines, with its prices in some unit.
fn problem(room: &str, goal: &Value, unit: f64) -> Problem {
    let max_rps = match room {
        "variant-set" => 15_000.0,
        "pipeline" => 6000.0,
        _ => 2500.0,
    };
    let mut value = json!({
        "format": "planner.problem/1", "risk": "none", "name": "test", "room": room, "profiles": ["x/digits.json"],
        "workload": { "max_rps": max_rps }, "slo": { "quantile": 0.99, "latency_ms": 8.0 },
        "inventory": { "machines": [
            { "name": "small", "cores": 2, "memory_mb": 7, "at_most": 3, "price_usd_per_hour": 0.1 * unit },
            { "name": "large", "cores": 3, "at_most": 2, "price_usd_per_hour": 0.13 * unit }
        ] },
        "goal": goal
    });
    match room {
        "pipeline" => {
            value["stages"] = json!([
                { "name": "detect", "variants": ["mlp_s", "mlp_m"] },
                { "name": "classify", "variants": ["cnn_s", "cnn_m"], "calls": 2.0 }
            ]);
        }
        "cascade" => {
            value["variants"] = json!(["mlp_s", "cnn_s", "cnn_m"]);
            value["cascade"] = json!({ "certify": false });
            value["inventory"]["cores"] = json!(8);
        }
        _ => {}
    }
    from_value(value).expect("a good problem").0
}

fn planned(problem: &Problem, facts: &Facts) -> Plan {
    match solve(problem, facts, Context::default()).expect("a proof") {
        Answer::Plan(plan) => *plan,
        Answer::Infeasible(conflict) => panic!("infeasible: {conflict}"),
    }
}

/// What a plan decides: everything but what it claims to cost.
fn decisions(plan: &Plan) -> Value {
    let mut gears = serde_json::to_value(&plan.gears).expect("a plan is JSON");
    for gear in gears.as_array_mut().expect("gears") {
        gear["claims"]["cost_usd_per_hour"] = Value::Null;
        gear["certificate"] = Value::Null;
    }
    gears
}

#[test]
fn plans_on_machines_do_not_depend_on_the_unit_of_prices() {
    let facts = facts();
    let weighted = json!({ "kind": "weighted", "weights": { "accuracy": 1.0, "resource": 0.1, "loading": 0.0 } });
    let cheapest = json!({ "kind": "cheapest", "accuracy_at_least": 0.9 });
    let cheapest_over_requests = json!({ "kind": "cheapest", "mean_accuracy_at_least": 0.92 });
    let most_accurate = json!({ "kind": "most-accurate" });
    let cases = [
        ("variant-set", vec![&weighted, &cheapest, &most_accurate]),
        ("pipeline", [&weighted, &json!({ "kind": "cheapest", "accuracy_at_least": 0.75 }), &most_accurate].to_vec()),
        ("cascade", vec![&cheapest_over_requests, &most_accurate]),
    ]
    .map(|(room, goals)| (room, goals.into_iter().cloned().collect::<Vec<Value>>()));
    for (room, goals) in cases {
        for goal in goals {
            let usual = planned(&problem(room, &goal, 1.0), &facts);
            let cost = |plan: &Plan| {
                plan.gears.iter().map(|gear| gear.claims.cost_usd_per_hour.expect("claimed").get()).sum::<f64>()
            };
            for unit in UNITS {
                let plan = planned(&problem(room, &goal, unit), &facts);
                assert_eq!(decisions(&plan), decisions(&usual), "{room}, {goal}, {unit}");
                let ratio = cost(&plan) / (unit * cost(&usual));
                assert!((ratio - 1.0).abs() < 1e-9, "{room}, {goal}, {unit}: {ratio}");
            }
        }
    }
}

#[test]
fn frontiers_on_machines_do_not_depend_on_the_unit_of_prices() {
    let facts = facts();
    for room in ["variant-set", "pipeline"] {
        let points = |unit: f64| {
            let problem = problem(room, &json!({ "kind": "most-accurate" }), unit);
            let load = problem.workload.max_rps.get();
            let points = frontier(&problem, &facts, &std::collections::BTreeMap::new(), load).expect("it has one");
            points.into_iter().map(|point| (point.machines, point.accuracy, point.cores_of)).collect::<Vec<_>>()
        };
        let usual = points(1.0);
        assert!(usual.len() > 1, "{room}: {usual:?}");
        for unit in UNITS {
            assert_eq!(points(unit), usual, "{room}, {unit}");
        }
    }
}

#[test]
fn fleets_do_not_depend_on_the_units_of_prices_weights_and_rates() {
    let mut dice = ChaCha8Rng::seed_from_u64(8);
    let mut solved = 0;
    for round in 0..150 {
        let (items, kinds, load) = machines::instance(&mut dice);
        let (accuracy_at_least, resource) = (dice.random_range(0.5..1.0), dice.random_range(0.0..1.0));
        let found = |unit: f64, per: f64| {
            let squad = |of: &Squad| Squad { capacity: of.capacity * per, ..*of };
            let item = |of: &FleetItem| FleetItem { options: of.options.iter().map(squad).collect(), ..of.clone() };
            let kinds: Vec<FleetKind> = kinds.iter().map(|of| FleetKind { price: of.price * unit, ..*of }).collect();
            let mix = Mix::new(items.iter().map(item).collect(), kinds.clone());
            let goals = [
                Objective::MostAccurate,
                Objective::Cheapest { accuracy_at_least },
                Objective::Weighted { accuracy: unit, resource: resource * unit, loading: 0.0 },
            ];
            let best =
                goals.map(|goal| fleet::best(&kinds, goal, &mix.at(load * per)).map(|best| (best.fleet, best.choice)));
            let points = fleet::frontier(&kinds, &mix.at(load * per));
            (best, points.into_iter().map(|best| (best.fleet, best.choice)).collect::<Vec<_>>())
        };
        let usual = found(1.0, 1.0);
        solved += usize::from(usual.0[0].is_some());
        for unit in UNITS {
            // Rates by powers of two: sums of capacities that tie by chance go on to do so.
            for per in [1.0, 2f64.powi(-40), 2f64.powi(40)] {
                assert_eq!(found(unit, per), usual, "round {round}, prices × {unit}, rates × {per}");
            }
        }
    }
    assert!(solved > 50, "{solved}");
}

/// Draws a chain of stages without ties.
fn chain(seed: u64) -> Choice<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let count = rng.random_range(1..=4);
    let mut alternative = |index: usize| Alternative {
        accuracy: rng.random_range(0.3..1.0),
        cost: rng.random_range(0.1..8.0),
        delay: rng.random_range(0.1..3.0),
        blend: index % 2,
    };
    let stages = (0..count).map(|_| (0..6).map(&mut alternative).collect()).collect();
    let metric = match seed % 3 {
        0 => ChoiceMetric::Sum,
        1 => ChoiceMetric::Product,
        _ => {
            let accuracies = (0..1 << count).map(|_| rng.random_range(0.0..1.0)).collect();
            ChoiceMetric::Table(Table { sizes: vec![2; count], accuracies })
        }
    };
    let goal = match seed / 3 % 3 {
        0 => ChoiceGoal::Weighted { accuracy: rng.random_range(1.0..30.0) },
        1 => ChoiceGoal::Cheapest { accuracy_at_least: rng.random_range(0.1..0.6) },
        _ => ChoiceGoal::MostAccurate { cost_at_most: rng.random_range(2.0..5.0) * count as f64 },
    };
    Choice {
        stages,
        walk: SeriesParallel::chain(count),
        metric,
        goal,
        limit: rng.random_range(1.0..2.0) * count as f64,
    }
}

/// The same with costs and their weight in one unit, and times in another.
fn in_units(choice: &Choice<f64>, money: f64, time: f64) -> Choice<f64> {
    let one = |of: &Alternative<f64>| Alternative { cost: of.cost * money, delay: of.delay * time, ..of.clone() };
    let goal = match choice.goal {
        ChoiceGoal::Weighted { accuracy } => ChoiceGoal::Weighted { accuracy: accuracy * money },
        ChoiceGoal::MostAccurate { cost_at_most } => ChoiceGoal::MostAccurate { cost_at_most: cost_at_most * money },
        goal @ ChoiceGoal::Cheapest { .. } => goal,
    };
    let stages = choice.stages.iter().map(|stage| stage.iter().map(one).collect()).collect();
    Choice { stages, goal, limit: choice.limit * time, ..choice.clone() }
}

#[test]
fn choices_of_a_pipeline_do_not_depend_on_the_units_of_costs_and_times() {
    let mut solved = 0;
    for seed in 0..360 {
        let choice = chain(seed);
        let picks = |choice: &Choice<f64>| labels::solve(choice).map(|found| found.picks);
        let frontier = |choice: &Choice<f64>| {
            labels::frontier(choice, f64::INFINITY).into_iter().map(|found| found.picks).collect::<Vec<_>>()
        };
        let usual = (picks(&choice), frontier(&choice));
        solved += usize::from(usual.0.is_some());
        for unit in UNITS {
            let other = in_units(&choice, unit, unit.recip());
            assert_eq!((picks(&other), frontier(&other)), usual, "seed {seed}, costs × {unit}");
            #[cfg(feature = "milp")]
            if seed < 60 {
                let highs = planner::optimize::milp::solve_choice(&other).expect("solves");
                let (own, highs) = (labels::solve(&other).map(|own| own.value), highs.map(|highs| highs.value));
                assert_eq!(own.is_some(), highs.is_some(), "seed {seed}, costs × {unit}");
                let scale = other.goal.value(1.0, 0.0).unwrap_or(0.0).abs().max(unit);
                let off = own.zip(highs).map_or(0.0, |(own, highs)| (own - highs).abs());
                assert!(off <= 1e-7 * scale, "seed {seed}, costs × {unit}: {own:?} against {highs:?}");
            }
        }
    }
    assert!(solved > 150, "{solved}");
}

#[test]
fn sets_of_variants_do_not_depend_on_the_units_of_weights_and_rates() {
    let mut solved = 0;
    for seed in (0..300).filter(|seed| seed % 3 != 0) {
        let (instance, loads) = random_instance(seed);
        let in_units = |unit: f64, per: f64| {
            let mut other = instance.clone();
            for item in &mut other.items {
                let options = item.options.iter();
                item.options = options.map(|of| Allotment { capacity: of.capacity * per, ..*of }).collect();
            }
            if let Objective::Weighted { accuracy, resource, loading } = instance.objective {
                let [accuracy, resource, loading] = [accuracy, resource, loading].map(|weight| weight * unit);
                other.objective = Objective::Weighted { accuracy, resource, loading };
            }
            other
        };
        let found = |instance: &Instance, per: f64| {
            let ladder = Ladder::solve(instance);
            let at = |load: &f64| {
                let cores = |found: Option<planner::optimize::Solution>| found.map(|found| found.cores);
                (cores(ladder.at(load * per)), cores(at_load::solve(instance, load * per)))
            };
            let rungs = ladder.rungs(f64::INFINITY).into_iter().map(|rung| rung.solution.cores).collect::<Vec<_>>();
            (loads.iter().map(at).collect::<Vec<_>>(), rungs)
        };
        let usual = found(&instance, 1.0);
        solved += usual.0.iter().filter(|found| found.0.is_some()).count();
        for unit in UNITS {
            let per = unit.recip();
            assert_eq!(found(&in_units(unit, per), per), usual, "seed {seed}, weights × {unit}, rates × {per}");
        }
    }
    assert!(solved > 150, "{solved}");
}

/// Rates and times scaled together are another clock: what a queue carries is the same on it.
#[test]
fn queues_do_not_depend_on_the_clock() {
    let slo = |unit: f64| planner::problem::Slo {
        quantile: planner::base::units::Share::saturating(0.99),
        latency_ms: planner::base::units::Millis::saturating(40.0 * unit),
        window_s: None,
    };
    let on = |unit: f64| {
        let service = Distribution::new(vec![(7.0 * unit, 0.5), (20.0 * unit, 0.3), (25.0 * unit, 0.2)]);
        let queue = Queue { service: &service, servers: 2, batch: 4, hold_ms: 3.0 * unit };
        let capacity = queue.capacity_rps(&slo(unit)) * unit;
        let responses = queue.responses(0.9 * capacity / unit, 60.0 * unit);
        (capacity, responses.upper_quantile_ms(0.99, 1.0).expect("in time"))
    };
    let usual = on(1.0);
    assert!(usual.0 > 0.0);
    for unit in UNITS {
        let (capacity, quantile) = on(unit);
        assert!((capacity / usual.0 - 1.0).abs() < 1e-9, "{unit}: {capacity} for {}", usual.0);
        assert!((quantile - usual.1).abs() <= 1.0 / 256.0 + 1e-12, "{unit}: {quantile} for {}", usual.1);
    }
}
