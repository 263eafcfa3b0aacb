//! Requests that the simulator tries in a second, on one core.

use std::collections::BTreeMap;
use std::time::Duration;

use divan::counter::ItemsCount;
use planner::base::units::Millis;
use planner::plan::Plan;
use planner::simulate::{Settings, Textbook, TextbookLaw, simulate};
use planner::workload::{Arrivals, MmppState};
use serde_json::{Value, json};

fn main() {
    divan::main();
}

fn plan(pools: &Value, stages: &Value) -> Plan {
    serde_json::from_value(json!({
        "format": "planner.plan/1", "name": "bench", "slo": { "quantile": 0.99, "latency_ms": 10 },
        "placement": pools, "gears": [{ "up_to_rps": 20000, "stages": stages }],
        "switch": { "window_ms": 1000, "up": 0.9, "down": 0.8, "dwell_ms": 10000, "drain": "own-gear" },
        "provenance": { "tool": "by hand", "room": "cascade", "seed": 0, "inputs": [] }
    }))
    .expect("a valid plan")
}

fn laws(names: &[&str]) -> BTreeMap<String, TextbookLaw> {
    names.iter().map(|&name| (name.to_owned(), TextbookLaw::Exponential { mean_ms: 0.1 })).collect()
}

fn settings(rate_rps: f64, seconds: u64) -> Settings {
    Settings {
        arrivals: Arrivals::Poisson { rate_rps },
        duration: Duration::from_secs(seconds),
        warmup: Duration::ZERO,
        seed: 1,
    }
}

#[divan::bench(sample_count = 5)]
fn one_stage(bencher: divan::Bencher<'_, '_>) {
    let pools = json!([{ "name": "p", "on": { "kind": "cores", "cores": 1 }, "replicas": 1, "hosts": ["a"] }]);
    let stages = json!([{ "name": "s", "dispatch": "share", "lanes": [{ "variant": "a", "pool": "p" }] }]);
    let plan = plan(&pools, &stages);
    let world = Textbook::new(&plan, &laws(&["a"])).expect("every variant has a law");
    let settings = settings(7_000.0, 300);
    bencher.counter(ItemsCount::new(2_100_000_u64)).bench(|| simulate(&plan, &world, &settings));
}

/// Three stages with batches and exits, in three gears between which a bursty load changes every second or so.
#[divan::bench(sample_count = 5)]
fn cascade_of_three_with_batches_and_gears(bencher: divan::Bencher<'_, '_>) {
    let pool =
        |name: &str| json!({ "name": name, "on": { "kind": "cores", "cores": 1 }, "replicas": 2, "hosts": [name] });
    let stage = |name: &str, exit: Value| {
        json!({ "name": name, "dispatch": "share", "exit": exit,
                "lanes": [{ "variant": name, "pool": name, "batch": 8, "hold_ms": 0.5 }] })
    };
    let exit = |least: f64| json!({ "certainty_at_least": least });
    let gear = |up_to_rps: f64, least: f64| {
        let stages = json!([stage("a", exit(least)), stage("b", exit(least)), stage("c", Value::Null)]);
        json!({ "up_to_rps": up_to_rps, "stages": stages })
    };
    let mut plan = plan(&json!([pool("a"), pool("b"), pool("c")]), &json!([]));
    let gears = json!([gear(8_000.0, 0.8), gear(14_000.0, 0.5), gear(30_000.0, 0.2)]);
    plan.gears = serde_json::from_value(gears).expect("valid gears");
    plan.switch.window_ms = Millis::saturating(100.0);
    plan.switch.dwell_ms = Millis::saturating(500.0);
    let answers: Vec<_> = (0..1_000_u16).map(|sample| (f32::from(sample) / 1_000.0, sample % 10 > 0)).collect();
    let world = Textbook::new(&plan, &laws(&["a", "b", "c"])).expect("every variant has a law");
    let world = (0..3).fold(world, |world, variant| world.with_answers(variant, answers.clone()));
    let state = |rate_rps| MmppState { rate_rps, mean_s: 1.0 };
    let arrivals = Arrivals::Mmpp { states: vec![state(5_000.0), state(15_000.0), state(25_000.0)] };
    let settings = Settings { arrivals, ..settings(0.0, 100) };
    let seen = simulate(&plan, &world, &settings);
    assert!(seen.changes.len() > 50, "{} gear changes", seen.changes.len());
    bencher.counter(ItemsCount::new(seen.whole.arrived)).bench(|| simulate(&plan, &world, &settings));
}
