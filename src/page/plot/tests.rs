use serde_json::{Value, json};

use super::stack::{Axis, Panel};
use super::{Figure, png, report, svg};
use crate::base::codec::{Document, from_value};
use crate::page::formatting::{number, rounded};
use crate::plan::Plan;
use crate::profile::Profile;
use crate::simulate::Report;

/// Variants with their accuracy and their latency at batch 1, 4 and 16.
const FAMILY: [(&str, f64, [f64; 3]); 9] = [
    ("linear", 0.6, [0.015, 0.03, 0.05]),
    ("mlp_s", 0.74, [0.026, 0.04, 0.09]),
    ("cnn_s", 0.85, [0.041, 0.1, 0.29]),
    ("mlp_m", 0.859, [0.049, 0.08, 0.17]),
    ("cnn_m", 0.923, [0.133, 0.5, 1.7]),
    ("early_exit_0", 0.759, [0.036, 0.08, 0.22]),
    ("early_exit", 0.946, [0.334, 1.5, 5.0]),
    ("cnn_l", 0.95, [0.898, 3.7, 14.0]),
    ("cnn_l_int8", 0.95, [1.04, 3.8, 15.2]),
];

fn parsed<T: Document>(value: Value) -> T {
    from_value(value).expect("the fixture is valid").0
}

pub(crate) fn profile() -> Profile {
    let variant = |(name, accuracy, _): &(&str, f64, [f64; 3])| {
        let accuracy = json!({
            "value": accuracy, "low": accuracy - 0.01, "high": accuracy + 0.01, "samples": 2000, "trust": "measured",
        });
        let file = format!("{name}.onnx");
        json!({
            "name": name, "file": file, "sha256": "", "engine": "rten", "accuracy": accuracy, "load_time_ms": 5.0,
            "memory_mb": 3.0,
        })
    };
    let points = FAMILY.iter().flat_map(|(name, _, times)| {
        [1, 4, 16].into_iter().zip(times).map(move |(batch, time)| point(name, batch, *time))
    });
    parsed(json!({
        "format": "planner.profile/1",
        "task": "digits",
        "variants": FAMILY.iter().map(variant).collect::<Vec<_>>(),
        "points": points.collect::<Vec<_>>(),
        "host": {
            "cpu": "Example CPU", "cpu_flags": [], "cores_visible": 2, "cores_allowed": 2, "memory_mb": 1000.0,
            "kernel": "Linux", "libraries": [], "thread_variables": [],
        },
        "provenance": {
            "tool": "planner 0", "measured_at": "", "models": "models.toml", "models_sha256": "", "data_sha256": "",
            "budget_ms": 100.0, "precision": 0.02, "seed": 42,
        },
    }))
}

fn point(variant: &str, batch: u32, time: f64) -> Value {
    let quantile = json!({ "value_ms": time, "low_ms": time, "high_ms": time });
    json!({
        "variant": variant, "batch": batch, "cores": 1, "device": "cpu", "count": 1000,
        "latency": {
            "mean_ms": time, "std_ms": 0.0, "min_ms": time, "max_ms": time,
            "p50": quantile, "p90": quantile, "p95": quantile, "p99": quantile, "p999": quantile,
        },
        "throughput_rps": f64::from(batch) * 1e3 / time,
        "conditions": { "warmup": 3, "stopped": "budget", "involuntary_switches": 0, "contended": false },
    })
}

pub(crate) fn plan() -> Plan {
    let gears: [(f64, &str, f64, f64, u32); 5] = [
        (900.0, "cnn_l", 0.950, 31.0, 1),
        (1750.0, "cnn_l", 0.950, 42.0, 2),
        (2600.0, "early_exit", 0.946, 38.5, 2),
        (2900.0, "cnn_m", 0.923, 12.0, 2),
        (4000.0, "mlp_m", 0.859, 9.0, 2),
    ];
    let gear = |(up_to, variant, accuracy, latency, cores): &(f64, &str, f64, f64, u32)| {
        json!({
            "up_to_rps": up_to,
            "replicas": { "pool": cores },
            "stages": [{ "name": "answer", "dispatch": "share",
                "lanes": [{ "variant": variant, "pool": "pool", "batch": 4, "share": 1.0 }] }],
            "claims": {
                "accuracy": { "value": accuracy, "low": accuracy - 0.01, "high": accuracy + 0.01, "trust": "measured" },
                "latency": { "value_ms": latency, "trust": "measured" },
                "cost_usd_per_hour": 0.04 * f64::from(*cores),
                "cores": cores,
            },
        })
    };
    parsed(json!({
        "format": "planner.plan/1",
        "name": "digits",
        "slo": { "quantile": 0.99, "latency_ms": 50.0 },
        "placement": [{ "name": "pool", "on": { "kind": "cores", "cores": 1 }, "replicas": 2,
            "hosts": ["cnn_l", "early_exit", "cnn_m", "mlp_m"] }],
        "gears": gears.iter().map(gear).collect::<Vec<_>>(),
        "switch": { "window_ms": 1000.0, "up": 0.9, "down": 0.8, "dwell_ms": 10000.0, "drain": "own-gear" },
        "provenance": { "tool": "by hand", "room": "variant-set", "seed": 42, "inputs": [] },
    }))
}

pub(crate) fn trial() -> Report {
    let window = |second: u32| {
        let rate = 2000.0 + 1800.0 * (f64::from(second) / 10.0).sin();
        let gear = [900.0, 1750.0, 2600.0, 2900.0].iter().filter(|end| rate > **end).count();
        let p99 = (second != 30).then_some(20.0 + rate / 110.0);
        json!({
            "start_ms": f64::from(second) * 1e3, "rate_rps": rate, "gear": gear, "p99_ms": p99, "violations": 3,
            "accuracy": 0.95 - 0.02 * gear as f64, "cost_usd_per_hour": 0.08,
        })
    };
    parsed(json!({
        "format": "planner.report/1", "plan": "digits", "source": "simulation", "arrivals": "day.csv", "seed": 42,
        "replications": 1, "gear_changes_per_hour": 0.0, "duration_ms": 60000.0, "slo": { "quantile": 0.99, "latency_ms": 50.0 },
        "whole": { "arrived": 120000, "answered": 120000, "unfinished": 0, "refused": 0, "dropped": 0, "throughput_rps": 2000.0, "violations": 180,
            "violation_share": 0.0015, "slo_met": true, "accuracy": 0.921 },
        "gears": [], "pools": [], "changes": [], "windows": (0..60).map(window).collect::<Vec<_>>(),
    }))
}

/// Also leaves the pictures in `target/plots/`, for people to look at.
#[test]
fn same_input_gives_the_same_bytes() {
    let (profile, plan, trial) = (profile(), plan(), trial());
    let figures = [
        ("profile", Figure::ProfileCurves(&profile)),
        ("plan", Figure::PlanOverLoad(&plan)),
        ("report", Figure::ReportOverTime(&trial)),
    ];
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/plots");
    std::fs::create_dir_all(&folder).expect("target is writable");
    for (name, figure) in figures {
        let (text, bytes) = (svg(figure).expect("it can be drawn"), png(figure).expect("it can be drawn"));
        assert_eq!(text, svg(figure).expect("it can be drawn"), "{name}");
        assert_eq!(bytes, png(figure).expect("it can be drawn"), "{name}");
        std::fs::write(folder.join(format!("{name}.svg")), text).expect("target is writable");
        std::fs::write(folder.join(format!("{name}.png")), bytes).expect("target is writable");
    }
}

#[test]
fn draws_what_claims_nothing_and_saw_nothing() {
    let (mut plan, mut trial, mut profile) = (plan(), trial(), profile());
    plan.gears.iter_mut().for_each(|gear| gear.claims = crate::plan::Claims::default());
    trial.windows.clear();
    profile.points.clear();
    for figure in [Figure::PlanOverLoad(&plan), Figure::ReportOverTime(&trial), Figure::ProfileCurves(&profile)] {
        svg(figure).expect("it can be drawn");
        png(figure).expect("it can be drawn");
    }
}

#[test]
fn gaps_break_lines() {
    let stack = report::over_time(&trial());
    let latency: &Panel = &stack.panels[2];
    assert_eq!((latency.label, latency.axis), ("p99, ms", Axis::FromZero));
    assert_eq!(latency.values[30], None);
    assert!(latency.values[29].is_some() && latency.values[31].is_some());
}

#[test]
fn the_title_says_what_was_found() {
    let text = svg(Figure::PlanOverLoad(&plan())).expect("it can be drawn");
    assert!(text.contains("digits: 5 gears carry 4,000 requests/s, accuracy 0.950 → 0.859"));
}

#[test]
fn numbers_read_like_numbers() {
    let cases = [(0.0, "0"), (0.5, "0.5"), (1234.0, "1,234"), (1_234_567.5, "1,234,567.5"), (-3.0, "−3")];
    for (value, expected) in cases {
        assert_eq!(number(value), expected);
    }
    for (value, expected) in [(0.0, "0"), (0.012_345, "0.0123"), (1.2345, "1.23"), (12_345.6, "12,346")] {
        assert_eq!(rounded(value), expected);
    }
}
