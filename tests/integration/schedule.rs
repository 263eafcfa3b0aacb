//! Schedules of a known day: never worth less than greedy or one gear, every period carried, and the whole as planned.

use std::path::Path;

use planner::base::codec::{from_value, to_bytes};
use planner::base::units::{Millis, Rate};
use planner::facts::Facts;
use planner::plan::{Plan, Tolerance, check};
use planner::planners::schedule;
use planner::problem::Problem;
use planner::simulate::{Measured, Settings, replicate};
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
        "format": "planner.problem/1", "risk": "none", "name": "day", "room": "variant-set", "profiles": ["x"],
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

fn planned(problem: &Problem, facts: &Facts) -> Plan {
    schedule(problem, facts, &day(), 20.0).expect("solvable").expect("carried")
}

#[test]
fn a_schedule_is_worth_no_less_than_greedy_or_one_gear() {
    let weighted = json!({ "kind": "weighted", "weights": { "accuracy": 1.0, "resource": 0.05 } });
    let cheapest = json!({ "kind": "cheapest", "accuracy_at_least": 0.9 });
    for (goal, load_time) in [(&weighted, None), (&weighted, Some(60e3)), (&cheapest, Some(20e3))] {
        let (problem, facts) = (problem(goal), facts(load_time));
        let plan = planned(&problem, &facts);
        let findings = check(&plan, &facts, Some(&problem), Tolerance::default());
        assert!(!findings.has_errors(), "{findings}");
        let day = plan.day.expect("worked out");
        assert!(day.total.value >= day.greedy.value - 1e-12, "{:?}", day.total);
        if let Some(one) = day.one_gear {
            assert!(day.total.value >= one.value - 1e-12, "{one:?}");
        }
        assert_eq!(plan.periods.len(), 30);
        if load_time.is_some() {
            let (total, greedy) = (day.total, day.greedy);
            assert!(total.changes < greedy.changes && total.value > greedy.value + 1e-6, "{total:?} {greedy:?}");
        }
        assert_eq!(to_bytes(&planned(&problem, &facts)), to_bytes(&plan), "twice the same");
    }
}

/// A simulation follows the clock: as many changes as the day has, and every period's gear in time.
#[test]
fn a_schedule_is_followed_in_simulation() {
    let weighted = json!({ "kind": "weighted", "weights": { "accuracy": 1.0, "resource": 0.05 } });
    let facts = facts(Some(10e3));
    let plan = planned(&problem(&weighted), &facts);
    let total = plan.day.expect("worked out").total;
    let settings = Settings {
        arrivals: Arrivals::of_file(&root().join("traces/day.csv")).expect("shipped").scaled(9_000.0, 1.0),
        duration: std::time::Duration::from_secs_f64(day().length_s()),
        warmup: std::time::Duration::ZERO,
        seed: 5,
    };
    let world = Measured::new(&plan, &facts).expect("measured");
    let report = replicate(&plan, &world, &settings, 2);
    assert_eq!(report.changes.len(), total.changes, "{:?}", report.changes);
    assert!(total.changes > 0, "nothing is followed where nothing changes");
    assert!(report.whole.slo_met, "{} late", report.whole.violation_share);
    let accuracy = report
        .gears
        .iter()
        .zip(&plan.gears)
        .map(|(seen, gear)| gear.claims.accuracy.expect("claimed").value.get() * seen.summary.arrived as f64);
    let seen = accuracy.sum::<f64>() / report.whole.arrived as f64;
    assert!((seen - total.accuracy.get()).abs() < 2e-3, "{seen} for {}", total.accuracy);
}

#[test]
fn periods_that_cannot_be_followed_are_refused() {
    let weighted = json!({ "kind": "weighted", "weights": { "accuracy": 1.0, "resource": 0.05 } });
    let good = planned(&problem(&weighted), &facts(None));
    type Break = fn(&mut Plan);
    let breaks: [(&str, Break); 6] = [
        ("periods[0].from_ms", |plan| plan.periods[0].from_ms = Millis::saturating(1.0)),
        ("periods[2].from_ms", |plan| plan.periods[2].from_ms = plan.periods[1].from_ms),
        ("periods[1].gear", |plan| plan.periods[1].gear = plan.gears.len()),
        ("periods[1].gear", |plan| plan.periods[1].highest_rps = Rate::saturating(1e9)),
        ("gears[0].under_way_at_most", |plan| plan.gears[0].under_way_at_most = Some(3)),
        ("day", |plan| {
            plan.periods.clear();
            plan.gears.truncate(1);
        }),
    ];
    for (key, break_it) in breaks {
        let mut plan = good.clone();
        break_it(&mut plan);
        let findings = plan.validate();
        assert!(findings.0.iter().any(|finding| finding.key == key), "{key}: {findings}");
    }
    // Gears of a day may be in any order; gears by load may not.
    let mut plan = good;
    assert!(plan.gears.len() > 1);
    plan.gears.reverse();
    let last = plan.gears.len() - 1;
    plan.periods.iter_mut().for_each(|period| period.gear = last - period.gear);
    assert!(!plan.validate().has_errors(), "{}", plan.validate());
    assert!(plan.without_periods().validate().has_errors());
}

#[test]
fn a_day_that_nothing_carries_has_no_schedule() {
    let most = problem(&json!({ "kind": "most-accurate" }));
    let flood = RecordedLoad::of_rates(vec![100.0, 1e9], 1.0);
    assert_eq!(schedule(&most, &facts(None), &flood, 1.0).expect("solvable"), None);
}

#[test]
fn strict_transitions_hold_between_periods() {
    let weighted = json!({ "kind": "weighted", "weights": { "accuracy": 1.0, "resource": 0.05 } });
    let facts = facts(None);
    let mut free = problem(&weighted);
    free.inventory.cores = 2;
    let mut strict = free.clone();
    strict.goal.strict_transitions = true;
    let (free, plan) = (planned(&free, &facts), planned(&strict, &facts));
    assert!(!free.overlaps(&strict.inventory).is_empty(), "nothing is ruled out");
    assert_eq!(plan.overlaps(&strict.inventory), []);
    let value = |plan: &Plan| plan.day.expect("worked out").total.value;
    assert!(value(&plan) <= value(&free) + 1e-12);
    let findings = check(&plan, &facts, Some(&strict), Tolerance::default());
    assert!(!findings.has_errors(), "{findings}");
}
