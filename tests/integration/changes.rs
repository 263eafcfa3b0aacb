//! Changes of gear in simulation, while another one is under way: timelines that were worked out by hand.

use std::path::Path;
use std::time::Duration;

use planner::base::codec::{from_value, load};
use planner::base::units::Millis;
use planner::facts::Facts;
use planner::plan::Plan;
use planner::profile::Profile;
use planner::simulate::{Measured, Report, Settings, simulate};
use planner::workload::{Arrivals, Trace};
use serde_json::json;

/// Load times, in seconds.
const LOAD_S: [(&str, f64); 2] = [("mlp_s", 4.0), ("cnn_s", 10.0)];
/// Length of a trial, in seconds.
const SECONDS: usize = 60;

fn facts() -> Facts {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json");
    let mut profile = load::<Profile>(&path).expect("shipped");
    for (name, seconds) in LOAD_S {
        let variant = profile.document.variants.iter_mut().find(|variant| variant.name == name);
        variant.expect("a digits variant").load_time_ms = Millis::saturating(1e3 * seconds);
    }
    Facts::of(vec![(profile, None)]).expect("one profile")
}

/// Gears up to 100, 200 and 400 requests/s with so many replicas of `mlp_s` and `cnn_s`, a core each that costs 1 an hour;
/// windows of 1 s, up at 90 %, down below 80 % for 3 s.
fn plan(replicas: [[u32; 2]; 3]) -> Plan {
    let gear = |(index, [mlp, cnn]): (usize, [u32; 2])| {
        let variant = if mlp > 0 { "mlp_s" } else { "cnn_s" };
        json!({
            "up_to_rps": 100.0 * f64::from(1 << index), "replicas": { "mlp_s": mlp, "cnn_s": cnn },
            "stages": [{ "name": "digits", "dispatch": "share", "lanes": [{ "variant": variant, "pool": variant }] }]
        })
    };
    let pool = |name: &str| {
        json!({ "name": name, "replicas": 9, "hosts": [name],
            "on": { "kind": "cores", "cores": 1, "price_usd_per_core_hour": 1.0 } })
    };
    let value = json!({
        "format": "planner.plan/1", "name": "changes", "slo": { "quantile": 0.99, "latency_ms": 50.0 },
        "placement": [pool("mlp_s"), pool("cnn_s")],
        "gears": replicas.into_iter().enumerate().map(gear).collect::<Vec<_>>(),
        "switch": { "window_ms": 1000.0, "up": 0.9, "down": 0.8, "dwell_ms": 3000.0, "drain": "own-gear" },
        "provenance": { "tool": "by hand", "room": "variant-set", "seed": 0, "inputs": [] }
    });
    from_value(value).expect("a good plan").0
}

/// Simulates rates that hold from a second on, the first from 0.
fn simulated(plan: &Plan, rates: &[(usize, f64)]) -> Report {
    let at = |second: usize| rates.iter().rev().find(|(from, _)| *from <= second).expect("the first is from 0").1;
    let facts = facts();
    let settings = Settings {
        arrivals: Arrivals::Trace(Trace::new("by hand", (0..SECONDS).map(at).collect())),
        duration: Duration::from_secs(SECONDS as u64),
        warmup: Duration::ZERO,
        seed: 5,
    };
    simulate(plan, &Measured::new(plan, &facts).expect("measured"), &settings)
}

/// Returns when gears changed, in seconds, from which to which, and how long the change took.
fn changes(report: &Report) -> Vec<(f64, u32, u32, f64)> {
    let seconds = |ms: Millis| (ms.get() / 1e3 * 1e6).round() / 1e6;
    let changes = report.changes.iter();
    changes.map(|change| (seconds(change.at_ms), change.from, change.to, seconds(change.waited_ms))).collect()
}

/// Returns the core-seconds that were paid.
fn core_seconds(report: &Report) -> f64 {
    report.pools.iter().map(|pool| pool.cost_usd_per_hour.get()).sum::<f64>() * SECONDS as f64
}

#[test]
fn a_higher_gear_is_asked_for_while_a_slow_one_loads() {
    // At 21 s the second gear is asked, whose replica is up at 31 s; at 24 s the third, which is up at 28 s and drops that replica.
    let plan = plan([[0, 1], [0, 2], [1, 1]]);
    let report = simulated(&plan, &[(0, 50.0), (20, 150.0), (23, 350.0)]);
    assert_eq!(changes(&report), [(28.0, 0, 2, 4.0)]);
    // One core all the time, the second's from 21 to 24 s, the third's from 24 s on.
    let paid = 60.0 + 3.0 + 36.0;
    assert!((core_seconds(&report) - paid).abs() < 1e-6, "{} for {paid}", core_seconds(&report));
}

#[test]
fn replicas_that_the_new_gear_wants_too_go_on_loading() {
    // The second `cnn_s` is asked at 21 s and kept at 24 s: it is up at 31 s, the third gear's `mlp_s` at 28 s.
    let plan = plan([[0, 1], [0, 2], [1, 2]]);
    let report = simulated(&plan, &[(0, 50.0), (20, 150.0), (23, 350.0)]);
    assert_eq!(changes(&report), [(31.0, 0, 2, 7.0)]);
    let paid = 60.0 + 39.0 + 36.0;
    assert!((core_seconds(&report) - paid).abs() < 1e-6, "{} for {paid}", core_seconds(&report));
}

#[test]
fn a_change_whose_reason_is_gone_is_abandoned() {
    // Asked at 21 s; 22 to 25 s are low for the second gear, three seconds: abandoned at 25 s, before 31 s.
    let plan = plan([[0, 1], [0, 2], [1, 1]]);
    let report = simulated(&plan, &[(0, 50.0), (20, 150.0), (22, 20.0)]);
    assert_eq!(changes(&report), []);
    let paid = 60.0 + 4.0;
    assert!((core_seconds(&report) - paid).abs() < 1e-6, "{} for {paid}", core_seconds(&report));
}

#[test]
fn a_change_down_that_loads_is_abandoned_when_the_rate_rises() {
    // From the third gear (one `mlp_s`) down to the second (`cnn_s`, 10 s) at 3 s; at 9 s the rate is back.
    let plan = plan([[0, 1], [0, 2], [1, 0]]);
    let report = simulated(&plan, &[(0, 350.0), (1, 100.0), (8, 350.0)]);
    assert_eq!(changes(&report), []);
    // The two of the second gear from 4 to 9 s.
    let paid = 60.0 + 2.0 * 5.0;
    assert!((core_seconds(&report) - paid).abs() < 1e-6, "{} for {paid}", core_seconds(&report));
}
