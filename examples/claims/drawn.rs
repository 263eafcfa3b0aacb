//! Problems drawn at random over the digit classifiers, and profiles of theirs whose calls are rarely, but much, slower.
#![allow(dead_code, reason = "a test draws from some of the rooms")]

use planner::profile::Profile;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// Measured calls that one stands for in a profile with stalls, so that a rare one can be counted.
const CALLS: u64 = 10_000;

/// Adds to every point calls that stall: from one in ten thousand to one in two hundred, ten to three hundred times as long.
pub fn add_stalls(profile: &mut Profile, rng: &mut ChaCha8Rng) {
    let often = 10f64.powf(rng.random_range(-4.0..-2.3));
    let times = 10f64.powf(rng.random_range(1.0..2.5));
    for point in &mut profile.points {
        let Some(histogram) = &mut point.histogram else { continue };
        let calls: u64 = histogram.count.iter().sum::<u64>() * CALLS;
        histogram.count.iter_mut().for_each(|count| *count *= CALLS);
        let longest = histogram.value_ns.last().copied().unwrap_or(0);
        histogram.value_ns.push(((point.latency.mean_ms.get() * 1e6 * times) as u64).max(longest + 1));
        histogram.count.push((calls as f64 * often).ceil() as u64);
    }
}

fn quantile(rng: &mut ChaCha8Rng) -> f64 {
    if rng.random_bool(0.5) { 0.99 } else { 0.95 }
}

/// Draws a problem of the room `variant-set` over the digit classifiers.
pub fn variant_set(rng: &mut ChaCha8Rng) -> Value {
    let goal = match rng.random_range(0..3) {
        0 => json!({ "kind": "weighted" }),
        1 => json!({ "kind": "cheapest", "accuracy_at_least": rng.random_range(0.7..0.94) }),
        _ => json!({ "kind": "most-accurate" }),
    };
    json!({
        "format": "planner.problem/1", "risk": "none", "name": "drawn", "room": "variant-set", "profiles": ["x"],
        "workload": { "max_rps": 10f64.powf(rng.random_range(2.5..4.3)) },
        "slo": { "quantile": quantile(rng), "latency_ms": rng.random_range(3.0..40.0) },
        "inventory": { "cores": rng.random_range(3..=10), "price_usd_per_core_hour": 0.05 }, "goal": goal
    })
}

/// Draws a problem of the room `pipeline`: two or three stages in a row or side by side, some with several calls a request.
pub fn pipeline(rng: &mut ChaCha8Rng) -> Value {
    let calls = rng.random_range(1.0..5.0);
    let mut stages = vec![
        json!({ "name": "detect", "variants": ["mlp_s", "mlp_m"] }),
        json!({ "name": "read", "variants": ["cnn_s", "cnn_m", "cnn_l"], "calls": calls }),
    ];
    if rng.random_bool(0.5) {
        let part = rng.random_range(0.3..1.0);
        stages.push(json!({ "name": "side", "variants": ["early_exit"], "after": ["detect"], "calls": part }));
    }
    json!({
        "format": "planner.problem/1", "risk": "none", "name": "drawn", "room": "pipeline", "profiles": ["x"], "stages": stages,
        "workload": { "max_rps": rng.random_range(200.0..1500.0) },
        "slo": { "quantile": quantile(rng), "latency_ms": rng.random_range(6.0..30.0) },
        "inventory": { "cores": rng.random_range(5..=9), "price_usd_per_core_hour": 0.05 },
        "goal": { "kind": "weighted", "weights": { "accuracy": 1.0, "resource": 0.05, "loading": 0.0 } }
    })
}

/// Draws a problem of the room `cascade`: on one core, or several whose replicas share the requests.
pub fn cascade(rng: &mut ChaCha8Rng) -> Value {
    let all = ["mlp_s", "mlp_m", "cnn_s", "cnn_m", "cnn_l"];
    let first = rng.random_range(0..3);
    let goal = match rng.random_range(0..2) {
        0 => json!({ "kind": "cheapest", "accuracy_at_least": rng.random_range(0.7..0.93) }),
        _ => json!({ "kind": "most-accurate", "gears_at_most": 4 }),
    };
    json!({
        "format": "planner.problem/1", "risk": "none", "name": "drawn", "room": "cascade", "profiles": ["x"],
        "variants": all[first..first + 3],
        "workload": { "max_rps": 10f64.powf(rng.random_range(2.3..3.8)) },
        "slo": { "quantile": quantile(rng), "latency_ms": rng.random_range(4.0..40.0) },
        "inventory": { "cores": rng.random_range(1..=4), "price_usd_per_core_hour": 0.05 },
        "goal": goal, "cascade": { "certify": false, "max_length": 2 }
    })
}
