//! A good day may hide a bad minute: the worst window stands beside the whole, and counts where the SLO names a window.

use std::collections::BTreeMap;
use std::time::Duration;

use planner::plan::Plan;
use planner::simulate::{Report, Settings, Textbook, TextbookLaw, replicate};
use planner::workload::{Arrivals, Trace};
use serde_json::{Value, json};

const MINUTE: Duration = Duration::from_secs(60);

fn plan(window_s: Option<f64>) -> Plan {
    let mut slo = json!({ "quantile": 0.9, "latency_ms": 200 });
    if let Some(window_s) = window_s {
        slo["window_s"] = json!(window_s);
    }
    let plan: Plan = serde_json::from_value(json!({
        "format": "planner.plan/1", "name": "day", "slo": slo,
        "placement": [{ "name": "a", "on": { "kind": "cores", "cores": 1 }, "replicas": 1, "hosts": ["a"] }],
        "gears": [{ "up_to_rps": 50, "stages":
            [{ "name": "a", "dispatch": "share", "lanes": [{ "variant": "a", "pool": "a" }] }] }],
        "switch": { "window_ms": 1000, "up": 0.9, "down": 0.5, "dwell_ms": 3000, "drain": "own-gear" },
        "provenance": { "tool": "by hand", "room": "variant-set", "seed": 0, "inputs": [] }
    }))
    .expect("a plan");
    assert!(plan.validate().0.is_empty(), "{}", plan.validate());
    plan
}

/// Tries a server of 50 requests/s for so many minutes, each with its rate.
fn tried(window_s: Option<f64>, rates: Vec<f64>) -> Report {
    let plan = plan(window_s);
    let law = BTreeMap::from([("a".to_owned(), TextbookLaw::Constant { ms: 20.0 })]);
    let world = Textbook::new(&plan, &law).expect("the variant has a law");
    let duration = MINUTE * rates.len() as u32;
    let arrivals = Arrivals::Trace(Trace { step: MINUTE, ..Trace::new("day", rates) });
    replicate(&plan, &world, &Settings { arrivals, duration, warmup: Duration::ZERO, seed: 1 }, 2)
}

fn day_with_one_bad_minute() -> Vec<f64> {
    (0..200).map(|minute| if minute == 120 { 60.0 } else { 10.0 }).collect()
}

#[test]
fn a_bad_minute_of_a_good_day_is_told_and_breaks_the_slo_where_that_names_a_window() {
    for (window_s, whole_met) in [(None, true), (Some(60.0), false)] {
        let report = tried(window_s, day_with_one_bad_minute());
        let worst = report.worst_window.expect("requests arrived");
        assert_eq!((worst.start_ms.get(), worst.length_ms.get()), (120.0 * 60e3, 60e3));
        assert!(!worst.slo_met && worst.violation_low.get() > 0.5, "{worst:?}");
        assert!((3000..8400).contains(&worst.arrived), "one or two trials of 60 requests/s: {}", worst.arrived);
        assert!(report.whole.violation_share.get() < 0.05, "the day is fine: {}", report.whole.violation_share);
        assert_eq!(report.whole.slo_met, whole_met, "{window_s:?}");
    }
}

#[test]
fn in_longer_windows_the_bad_minute_is_small() {
    let report = tried(Some(6000.0), day_with_one_bad_minute());
    assert!(report.whole.slo_met, "{:?}", report.worst_window);
}

#[test]
fn windows_of_few_requests_do_not_break_the_slo_by_chance() {
    // Half a request a minute: many windows have one request, and one late request of one is all of them.
    let report = tried(Some(60.0), (0..4000).map(|minute| if minute % 40 == 0 { 20.0 } else { 0.02 }).collect());
    let worst = report.worst_window.expect("requests arrived");
    assert!(report.whole.slo_met && worst.slo_met, "{worst:?}");
}

#[test]
fn a_window_of_the_slo_is_a_second_or_longer() {
    let mut short: Value = serde_json::to_value(plan(Some(60.0))).expect("plain data");
    short["slo"]["window_s"] = json!(0.5);
    let short: Plan = serde_json::from_value(short).expect("structurally sound");
    let found = short.validate();
    assert!(found.has_errors() && found.to_string().contains("slo.window_s"), "{found}");
}
