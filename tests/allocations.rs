//! The simulator allocates nothing for an event once its queues have been long: counted, not believed.

#![expect(unsafe_code, reason = "an allocator that counts is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use planner::plan::Plan;
use planner::simulate::{Settings, Textbook, TextbookLaw, simulate};
use planner::workload::{Arrivals, MmppState};
use serde_json::{Value, json};

/// The system's allocator, which counts for each thread how often it was asked for memory.
struct Counting;

thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    ASKED.with(|asked| asked.set(asked.get() + 1));
}

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A cascade of three with batches, limits, a function and gears that change often.
fn plan() -> Plan {
    let pool =
        |name: &str| json!({ "name": name, "on": { "kind": "cores", "cores": 1 }, "replicas": 2, "hosts": [name] });
    let function = json!({ "kind": "function", "cores": 1, "memory_mb": 1000, "cold_start_ms": 20, "keep_alive_ms": 100,
        "price_usd_per_gb_second": 0.00002, "price_usd_per_million_calls": 0.2 });
    let stage = |name: &str, exit: Value| {
        json!({ "name": name, "dispatch": "share", "exit": exit,
                "lanes": [{ "variant": name, "pool": name, "batch": 8, "hold_ms": 0.5, "queue_limit": 100 }] })
    };
    let exit = json!({ "certainty_at_least": 0.5 });
    let last = json!({ "name": "c", "dispatch": "spill", "calls": 1.5,
        "lanes": [{ "variant": "c", "pool": "c" }, { "variant": "c", "pool": "f" }] });
    serde_json::from_value(json!({
        "format": "planner.plan/1", "name": "allocations", "slo": { "quantile": 0.99, "latency_ms": 10 },
        "placement": [pool("a"), pool("b"), pool("c"), { "name": "f", "on": function, "replicas": 50, "hosts": ["c"] }],
        "transfers": [{ "from": "b", "to": "c", "ms": 0.3 }],
        "gears": [
            { "up_to_rps": 4000, "stages": [stage("a", exit.clone()), stage("b", exit.clone()), last] },
            { "up_to_rps": 9000, "stages": [stage("a", exit), stage("b", Value::Null)] }
        ],
        "switch": { "window_ms": 100, "up": 0.9, "down": 0.8, "dwell_ms": 200, "drain": "own-gear" },
        "provenance": { "tool": "by hand", "room": "cascade", "seed": 0, "inputs": [] }
    }))
    .expect("a valid plan")
}

#[test]
fn longer_trials_allocate_no_more() {
    let plan = plan();
    assert!(plan.validate().0.is_empty(), "{}", plan.validate());
    let laws = ["a", "b", "c"].map(|name| (name.to_owned(), TextbookLaw::Exponential { mean_ms: 0.2 }));
    let answers: Vec<_> = (0..100_u8).map(|sample| (f32::from(sample) / 100.0, sample % 10 > 0)).collect();
    let world = Textbook::new(&plan, &laws.into()).expect("every variant has a law");
    let world = (0..3).fold(world, |world, variant| world.with_answers(variant, answers.clone()));
    let state = |rate_rps| MmppState { rate_rps, mean_s: 2.0 };
    let allocations = |seconds| {
        let settings = Settings {
            arrivals: Arrivals::Mmpp { states: vec![state(2500.0), state(7000.0)] },
            duration: Duration::from_secs(seconds),
            warmup: Duration::ZERO,
            seed: 1,
        };
        let before = ASKED.with(Cell::get);
        let report = simulate(&plan, &world, &settings);
        (ASKED.with(Cell::get) - before, report)
    };
    let ((short, few), (long, many)) = (allocations(20), allocations(400));
    assert!(many.whole.arrived > 10 * few.whole.arrived && many.whole.arrived > 1_000_000);
    assert!(many.changes.len() > 50 && many.pools[3].calls > 1000, "{:?}", many.pools[3]);
    // What may grow: cells of two gears in sixty windows, the list of gear changes, lists that double.
    assert!(long < short + 250, "{short} allocations in 20 s, {long} in 400 s, {} requests", many.whole.arrived);
}
