//! Schedules of a known day: never worth less than greedy or one gear, every period carried, and the whole as planned.

use std::path::Path;

use planner::base::codec::{from_value, to_bytes};
use planner::facts::Facts;
use planner::planners::solve;
use planner::problem::Problem;
use planner::rooms::{Answer, Context, Schedule};
use planner::simulate::{Controller, Measured, Settings, replicate_under};
use planner::workload::Arrivals;
use planner::workload::RecordedLoad;
use serde_json::{Value, json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn facts(load_time_ms: Option<f64>) -> Facts {
    let mut profile = planner::base::codec::load(&root().join("profiles/digits.json")).expect("shipped");
    if let Some(ms) = load_time_ms {
        let document: &mut planner::profile::Profile = &mut profile.document;
        for variant in &mut document.variants {
            variant.load_time_ms = planner::base::units::Millis::saturating(ms);
        }
    }
    Facts::of(vec![(profile, None)]).expect("one profile")
}

fn problem(goal: &Value) -> Problem {
    let value = json!({
        "format": "planner.problem/1", "name": "day", "room": "variant-set", "profiles": ["x"],
        "variants": ["mlp_s", "cnn_s", "cnn_m", "early_exit", "cnn_l"],
        "workload": { "max_rps": 12000.0 }, "slo": { "quantile": 0.99, "latency_ms": 10.0 },
        "inventory": { "cores": 4, "price_usd_per_core_hour": 0.05 }, "goal": goal
    });
    from_value(value).expect("a good problem").0
}

fn day() -> RecordedLoad {
    let trace = Arrivals::of_file(&root().join("traces/day.csv")).expect("shipped").scaled(9_000.0, 1.0);
    RecordedLoad::of_arrivals(&trace).expect("a recording")
}

#[test]
fn a_schedule_is_worth_no_less_than_greedy_or_one_gear() {
    let weighted = json!({ "kind": "weighted", "weights": { "accuracy": 1.0, "resource": 0.05 } });
    let cheapest = json!({ "kind": "cheapest", "accuracy_at_least": 0.9 });
    let day = day();
    for (goal, load_time) in [(&weighted, None), (&weighted, Some(60e3)), (&cheapest, Some(20e3))] {
        let schedule = Schedule::of(planner::planners::room_of(&problem).expect("it plans"), &problem(goal), &facts(load_time), &day, 20.0).expect("solvable").expect("carried");
        assert!(!schedule.validate().has_errors(), "{}", schedule.validate());
        assert!(schedule.total.value >= schedule.greedy.value - 1e-12, "{:?}", schedule.total);
        if let Some(one) = schedule.one_gear {
            assert!(schedule.total.value >= one.value - 1e-12, "{one:?}");
        }
        assert_eq!(schedule.periods.len(), 30);
        if load_time.is_some() {
            let (total, greedy) = (schedule.total, schedule.greedy);
            assert!(total.changes < greedy.changes && total.value > greedy.value + 1e-6, "{total:?} {greedy:?}");
        }
        let again = Schedule::of(planner::planners::room_of(&problem).expect("it plans"), &problem(goal), &facts(load_time), &day, 20.0).expect("solvable").expect("carried");
        assert_eq!(to_bytes(&again), to_bytes(&schedule), "twice the same");
    }
}

/// A simulation follows the timetable: as many changes as the schedule has, and every period's gear in time.
#[test]
fn a_schedule_is_followed_in_simulation() {
    let (problem, facts, day) = (
        problem(&json!({ "kind": "weighted", "weights": { "accuracy": 1.0, "resource": 0.05 } })),
        facts(Some(10e3)),
        day(),
    );
    let schedule = Schedule::of(planner::planners::room_of(&problem).expect("it plans"), &problem, &facts, &day, 20.0).expect("solvable").expect("carried");
    let Answer::Plan(beside) = solve(&problem, &facts, Context::default()).expect("solvable") else {
        panic!("the peak is carried")
    };
    let (plan, timetable) = schedule.as_plan(&beside);
    let settings = Settings {
        arrivals: Arrivals::of_file(&root().join("traces/day.csv")).expect("shipped").scaled(9_000.0, 1.0),
        duration: std::time::Duration::from_secs_f64(day.length_s()),
        warmup: std::time::Duration::ZERO,
        seed: 5,
    };
    let world = Measured::new(&plan, &facts).expect("measured");
    let controller = Controller::Timetable(std::sync::Arc::new(timetable));
    let report = replicate_under(controller, &plan, &world, &settings, 2);
    assert_eq!(report.changes.len(), schedule.total.changes, "{:?}", report.changes);
    assert!(schedule.total.changes > 0, "nothing is followed where nothing changes");
    assert!(report.whole.slo_met, "{} late", report.whole.violation_share);
    let accuracy = report
        .gears
        .iter()
        .zip(&schedule.gears)
        .map(|(seen, gear)| gear.claims.accuracy.expect("claimed").value.get() * seen.summary.arrived as f64);
    let seen = accuracy.sum::<f64>() / report.whole.arrived as f64;
    assert!((seen - schedule.total.accuracy.get()).abs() < 2e-3, "{seen} for {}", schedule.total.accuracy);
}

#[test]
fn what_cannot_be_scheduled_is_said() {
    let most = problem(&json!({ "kind": "lexicographic", "order": ["cores"] }));
    let error = Schedule::of(planner::planners::room_of(&problem).expect("it plans"), &most, &facts(None), &day(), 20.0).expect_err("no one value").to_string();
    assert!(error.contains("lexicographic"), "{error}");
    let most = problem(&json!({ "kind": "most-accurate" }));
    let flood = RecordedLoad::of_rates(vec![100.0, 1e9], 1.0);
    assert_eq!(Schedule::of(planner::planners::room_of(&problem).expect("it plans"), &most, &facts(None), &flood, 1.0).expect("solvable"), None);
}
