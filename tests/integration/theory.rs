//! The simulator answers to queueing theory before it answers to us.

use std::collections::BTreeMap;
use std::time::Duration;

use planner::plan::Plan;
use planner::simulate::{Effort, Report, Settings, Textbook, TextbookLaw, repair, replicate, simulate};
use planner::stats::Dice;
use planner::workload::{Arrivals, Trace};
use serde_json::{Value, json};

/// A plan with one gear.
fn plan(pools: &Value, stages: &Value) -> Plan {
    geared(pools, &json!([{ "up_to_rps": 1000, "stages": stages }]))
}

fn geared(pools: &Value, gears: &Value) -> Plan {
    let plan: Plan = serde_json::from_value(json!({
        "format": "planner.plan/1", "name": "theory", "slo": { "quantile": 0.9, "latency_ms": 100 },
        "placement": pools, "gears": gears,
        "switch": { "window_ms": 1000, "up": 0.9, "down": 0.5, "dwell_ms": 3000, "drain": "own-gear" },
        "provenance": { "tool": "by hand", "room": "cascade", "seed": 0, "inputs": [] }
    }))
    .expect("a plan");
    assert!(plan.validate().0.is_empty(), "{}", plan.validate());
    plan
}

fn pool(name: &str, replicas: u32) -> Value {
    json!({ "name": name, "on": { "kind": "cores", "cores": 1 }, "replicas": replicas, "hosts": [name] })
}

fn stage(name: &str) -> Value {
    json!({ "name": name, "dispatch": "share", "lanes": [{ "variant": name, "pool": name }] })
}

fn world(plan: &Plan, laws: &[(&str, TextbookLaw)]) -> Textbook {
    let laws: BTreeMap<_, _> = laws.iter().map(|&(name, law)| (name.to_owned(), law)).collect();
    Textbook::new(plan, &laws).expect("every variant has a law")
}

fn settings(rate_rps: f64, requests: f64) -> Settings {
    Settings {
        arrivals: Arrivals::Poisson { rate_rps },
        duration: Duration::from_secs_f64(requests / rate_rps),
        warmup: Duration::from_secs(10),
        seed: 5,
    }
}

fn mean_ms(report: &Report) -> f64 {
    report.whole.latency.expect("requests were answered").mean_ms.get()
}

fn close(what: &str, seen: f64, wanted: f64) {
    assert!((seen / wanted - 1.0).abs() < 0.01, "{what}: {seen} against {wanted}");
}

const EXPONENTIAL: TextbookLaw = TextbookLaw::Exponential { mean_ms: 1.0 };

#[test]
fn one_server_waits_as_pollaczek_and_khinchine_say() {
    struct Case {
        name: &'static str,
        law: TextbookLaw,
        /// E[S²] ÷ E[S]², with E[S] = 1 ms.
        second_moment: f64,
    }
    let hyper = TextbookLaw::HyperExponential { share: 0.5, first_ms: 0.5, second_ms: 1.5 };
    let cases = [
        Case { name: "M/M/1", law: EXPONENTIAL, second_moment: 2.0 },
        Case { name: "M/D/1", law: TextbookLaw::Constant { ms: 1.0 }, second_moment: 1.0 },
        Case { name: "M/H2/1", law: hyper, second_moment: 2.5 },
    ];
    let plan = plan(&json!([pool("a", 1)]), &json!([stage("a")]));
    for case in cases {
        let report = simulate(&plan, &world(&plan, &[("a", case.law)]), &settings(700.0, 4e6));
        let wait = 0.7 * case.second_moment / (2.0 * 0.3);
        close(case.name, mean_ms(&report) - 1.0, wait);
        close("utilisation", report.pools[0].utilisation.get(), 0.7);
    }
}

#[test]
fn four_servers_wait_as_erlang_c_says() {
    let plan = plan(&json!([pool("a", 4)]), &json!([stage("a")]));
    let report = simulate(&plan, &world(&plan, &[("a", EXPONENTIAL)]), &settings(3200.0, 6e6));
    let offered: f64 = 3.2;
    let terms: Vec<f64> = (0..5).map(|k| offered.powi(k) / (1..=k).map(f64::from).product::<f64>()).collect();
    let tail = terms[4] / (1.0 - 0.8);
    let must_wait = tail / (terms[..4].iter().sum::<f64>() + tail);
    close("mean wait", mean_ms(&report) - 1.0, must_wait / (4.0 - 3.2));
}

/// Erlang's loss formula holds whatever the law of the service times: only their mean counts.
#[test]
fn calls_spill_as_erlang_b_says_whatever_the_law() {
    let function = json!({
        "name": "b", "hosts": ["a"], "replicas": 1000,
        "on": { "kind": "function", "cores": 1, "memory_mb": 1000, "cold_start_ms": 0, "keep_alive_ms": 1000,
                "price_usd_per_gb_second": 0.00002, "price_usd_per_million_calls": 0.2 }
    });
    let stages = json!([{ "name": "s", "dispatch": "spill",
        "lanes": [{ "variant": "a", "pool": "a" }, { "variant": "a", "pool": "b" }] }]);
    let plan = plan(&json!([pool("a", 3), function]), &stages);
    // B(c, a) = a B(c−1, a) ÷ (c + a B(c−1, a)).
    let blocked = (1..=3).fold(1.0, |b, c| 2.0 * b / (f64::from(c) + 2.0 * b));
    let hyper = TextbookLaw::HyperExponential { share: 0.5, first_ms: 0.5, second_ms: 1.5 };
    for law in [EXPONENTIAL, TextbookLaw::Constant { ms: 1.0 }, hyper] {
        let report = simulate(&plan, &world(&plan, &[("a", law)]), &settings(2000.0, 3e6));
        let calls: Vec<_> = report.pools.iter().map(|pool| pool.calls as f64).collect();
        close(&format!("spilled under {law:?}"), calls[1] / (calls[0] + calls[1]), blocked);
        assert!(report.pools[1].cost_usd_per_hour.get() > 0.0);
    }
}

/// One server that takes up to four waiting calls together, each batch exponential: with μ r⁵ − (λ+μ) r + λ = 0 inside
/// (0, 1), P(busy, n wait) = A rⁿ and P(idle) = A μ/λ (Neuts' general bulk service rule with thresholds 1 and 4).
#[test]
fn batches_wait_as_the_bulk_service_queue_says() {
    let batched = json!({ "name": "a", "dispatch": "share", "lanes": [{ "variant": "a", "pool": "a", "batch": 4 }] });
    let plan = plan(&json!([pool("a", 1)]), &json!([batched]));
    let report = simulate(&plan, &world(&plan, &[("a", EXPONENTIAL)]), &settings(2500.0, 8e6));
    let (lambda, mu) = (2.5, 1.0);
    let (mut low, mut high) = (0.0_f64, 1.0 - 1e-6);
    for _ in 0..100 {
        let r = 0.5 * (low + high);
        if mu * r.powi(5) - (lambda + mu) * r + lambda > 0.0 { low = r } else { high = r }
    }
    let r = low;
    let busy_and_none_wait = 1.0 / (1.0 / (1.0 - r) + mu / lambda);
    let waiting = busy_and_none_wait * r / (1.0 - r).powi(2);
    close("mean waiting", report.pools[0].mean_waiting, waiting);
    close("mean response", mean_ms(&report), waiting / lambda + 1.0 / mu);
    close("busy", report.pools[0].utilisation.get(), 1.0 - busy_and_none_wait * mu / lambda);
}

/// Burke: what leaves one exponential server is a Poisson process again, so each queue of a tandem is M/M/1.
#[test]
fn a_tandem_is_two_queues_on_their_own() {
    let plan = plan(&json!([pool("a", 1), pool("b", 1)]), &json!([stage("a"), stage("b")]));
    let laws = [("a", EXPONENTIAL), ("b", TextbookLaw::Exponential { mean_ms: 0.8 })];
    let report = simulate(&plan, &world(&plan, &laws), &settings(700.0, 6e6));
    close("response", mean_ms(&report), 1.0 / (1.0 - 0.7) + 1.0 / (1.25 - 0.7));
    close("present in a", report.pools[0].mean_present, 0.7 / 0.3);
    close("present in b", report.pools[1].mean_present, 0.56 / 0.44);
}

/// The response of M/M/1 is exponential with rate μ − λ.
#[test]
fn quantiles_are_those_of_the_exponential_law() {
    let plan = plan(&json!([pool("a", 1)]), &json!([stage("a")]));
    let report = simulate(&plan, &world(&plan, &[("a", EXPONENTIAL)]), &settings(700.0, 8e6));
    let times = report.whole.latency.expect("answered");
    for (seen, q) in [(times.p50_ms, 0.5_f64), (times.p90_ms, 0.9), (times.p95_ms, 0.95), (times.p99_ms, 0.99)] {
        close(&format!("quantile {q}"), seen.get(), -(1.0 - q).ln() / 0.3);
    }
}

#[test]
fn littles_law_holds_on_every_pool() {
    let batched = json!({ "name": "b", "dispatch": "share",
        "lanes": [{ "variant": "b", "pool": "b", "batch": 4, "hold_ms": 2 }] });
    let mut last = stage("c");
    last["lanes"][0]["queue_limit"] = json!(3);
    last["lanes"][0]["drop_after_ms"] = json!(30);
    let plan = plan(&json!([pool("a", 2), pool("b", 1), pool("c", 1)]), &json!([stage("a"), batched, last]));
    let laws = ["a", "b", "c"].map(|name| (name, EXPONENTIAL));
    let report = simulate(&plan, &world(&plan, &laws), &settings(1000.0, 2e6));
    let present: f64 = report.pools[..2].iter().map(|pool| pool.mean_present).sum();
    assert!(present > 3.0 && report.pools[1].mean_batch > 1.5);
    for pool in &report.pools {
        // Waiting: calls that were not refused × the time that each waited, which is summed up call by call.
        let queued = (pool.calls + pool.dropped) as f64 / report.duration_ms.get();
        close(&format!("L = λW of what waits in {}", pool.name), pool.mean_waiting, queued * pool.mean_wait_ms.get());
        // In service: calls × 1 ms, whatever the batch.
        let served = pool.calls as f64 / report.duration_ms.get();
        close(&format!("L = λW of what {} serves", pool.name), pool.mean_present - pool.mean_waiting, served);
    }
    let lost = report.whole.refused + report.whole.dropped;
    assert!(lost > 0 && report.whole.arrived == report.whole.answered + lost + report.whole.unfinished);
    assert!(report.whole.violations >= lost);
}

/// M/M/1 with room for K: a full house has probability (1 − ρ) ρᴷ ÷ (1 − ρᴷ⁺¹), and who finds it leaves.
#[test]
fn a_full_queue_refuses_as_m_m_1_k_says() {
    let mut limited = stage("a");
    limited["lanes"][0]["queue_limit"] = json!(4);
    let plan = plan(&json!([pool("a", 1)]), &json!([limited]));
    for rho in [0.7_f64, 1.3] {
        let report = simulate(&plan, &world(&plan, &[("a", EXPONENTIAL)]), &settings(1e3 * rho, 3e6));
        let full = (1.0 - rho) * rho.powi(5) / (1.0 - rho.powi(6));
        close("refused", report.whole.refused as f64 / report.whole.arrived as f64, full);
        assert_eq!((report.whole.refused, report.pools[0].max_waiting), (report.pools[0].refused, 4));
    }
}

/// Without room to wait, Erlang's loss formula: B(3, 2) = 4/19, whatever the law.
#[test]
fn no_queue_loses_as_erlang_b_says() {
    let mut limited = stage("a");
    limited["lanes"][0]["queue_limit"] = json!(0);
    let plan = plan(&json!([pool("a", 3)]), &json!([limited]));
    for law in [EXPONENTIAL, TextbookLaw::Constant { ms: 1.0 }] {
        let report = simulate(&plan, &world(&plan, &[("a", law)]), &settings(2000.0, 3e6));
        close("lost", report.whole.refused as f64 / report.whole.arrived as f64, 4.0 / 19.0);
        assert!((mean_ms(&report) - 1.0).abs() < 0.01, "nobody waits: {}", mean_ms(&report));
    }
}

/// M/M/1 with a constant patience τ until service (Barrer 1957): with the density λ P₀ e^(−(μ−λ)x) of the work ahead below
/// τ and λ P₀ e^(−(μ−λ)τ) e^(−μ(x−τ)) above, who finds more than τ is lost.
#[test]
fn late_calls_are_dropped_as_impatient_customers_leave() {
    let mut impatient = stage("a");
    impatient["lanes"][0]["drop_after_ms"] = json!(3);
    let plan = plan(&json!([pool("a", 1)]), &json!([impatient]));
    for lambda in [0.8_f64, 1.4] {
        let report = simulate(&plan, &world(&plan, &[("a", EXPONENTIAL)]), &settings(1e3 * lambda, 4e6));
        let (mu, tau) = (1.0_f64, 3.0);
        let below = lambda * (1.0 - (-(mu - lambda) * tau).exp()) / (mu - lambda);
        let above = lambda / mu * (-(mu - lambda) * tau).exp();
        close("dropped", report.whole.dropped as f64 / report.whole.arrived as f64, above / (1.0 + below + above));
        assert_eq!(report.whole.dropped, report.pools[0].dropped);
    }
}

#[test]
fn the_way_between_pools_takes_its_time() {
    let mut plan = plan(&json!([pool("a", 99), pool("b", 99)]), &json!([stage("a"), stage("b")]));
    let ways =
        json!([{ "to": "a", "ms": 2 }, { "from": "a", "to": "b", "ms": 5.5 }, { "from": "b", "to": "a", "ms": 70 }]);
    plan.transfers = serde_json::from_value(ways).expect("transfers");
    assert!(plan.validate().0.is_empty(), "{}", plan.validate());
    let ms = |ms| TextbookLaw::Constant { ms };
    let report = simulate(&plan, &world(&plan, &[("a", ms(1.0)), ("b", ms(3.0))]), &settings(100.0, 1e5));
    assert_eq!(mean_ms(&report), 11.5);
    // Nobody is in a pool while on the way.
    close("present in b", report.pools[1].mean_present, 0.3);
}

/// With calls so short that one instance serves them all, a start is cold where the gap before it outlasts the keep-alive.
#[test]
fn functions_start_cold_after_their_keep_alive() {
    let function = json!({
        "name": "f", "hosts": ["a"], "replicas": 1000,
        "on": { "kind": "function", "cores": 1, "memory_mb": 2000, "cold_start_ms": 40, "keep_alive_ms": 1000,
                "price_usd_per_gb_second": 0.1, "price_usd_per_million_calls": 1000 }
    });
    let lane = json!({ "name": "s", "dispatch": "share", "lanes": [{ "variant": "a", "pool": "f" }] });
    let plan = plan(&json!([function]), &json!([lane]));
    let report = simulate(&plan, &world(&plan, &[("a", TextbookLaw::Constant { ms: 1e-3 })]), &settings(0.5, 1e6));
    let cold = (mean_ms(&report) - 1e-3) / 40.0;
    close("cold starts", cold, (-0.5_f64).exp());
    // Cold starts are paid: 41 ms begun × 2 GB × 0.1 USD, warm calls 1 ms, each call 0.001 USD.
    let call = 0.001 + 2.0 * 0.1 * (cold * 41.0 + (1.0 - cold)) / 1e3;
    close("price", report.pools[0].cost_usd_per_hour.get(), call * 0.5 * 3600.0);
}

/// A machine is paid from the asking: 1.5 s of loading and 5 s of boot before it serves.
#[test]
fn machines_boot_on_their_owners_bill() {
    let machine = json!({ "name": "b", "hosts": ["b"], "replicas": 2,
        "on": { "kind": "vm", "cores": 1, "boot_ms": 5000, "price_usd_per_hour": 3600 } });
    let gears = json!([
        { "up_to_rps": 100, "replicas": { "b": 0 }, "stages": [stage("a")] },
        { "up_to_rps": 500, "replicas": { "a": 0 }, "stages": [stage("b")] }
    ]);
    let plan = geared(&json!([pool("a", 1), machine]), &gears);
    let world = world(&plan, &[("a", EXPONENTIAL), ("b", EXPONENTIAL)]).with_load_ms(1500.0);
    let settings = Settings {
        arrivals: Arrivals::Step { from_rps: 40.0, to_rps: 300.0, at_s: 20.0 },
        duration: Duration::from_secs(60),
        warmup: Duration::ZERO,
        seed: 1,
    };
    let report = simulate(&plan, &world, &settings);
    let change = report.changes[0];
    assert_eq!((change.from, change.to, change.at_ms.get(), change.waited_ms.get()), (0, 1, 27_500.0, 6500.0));
    // Two machines at a dollar a second from 21 s on, over a minute.
    close("bill in USD/h", report.pools[1].cost_usd_per_hour.get(), 2.0 * 39.0 / 60.0 * 3600.0);
    close("machines", report.pools[1].mean_replicas, 2.0 * 39.0 / 60.0);
}

/// Two machines serve until the rate falls at 20 s and are given back before 30 s, whatever the bill says of the time.
fn given_back_between_20_and_30_s() -> Settings {
    Settings {
        arrivals: Arrivals::Step { from_rps: 300.0, to_rps: 10.0, at_s: 20.0 },
        duration: Duration::from_secs(60),
        warmup: Duration::ZERO,
        seed: 1,
    }
}

fn constant_world(plan: &Plan) -> Textbook {
    let ms = TextbookLaw::Constant { ms: 1.0 };
    world(plan, &[("a", ms), ("b", ms)]).with_load_ms(1500.0)
}

/// At a dollar a second each, over a minute: steps of 10 s are paid whole, and no less than the least time.
#[test]
fn machines_of_a_pool_are_billed_by_the_step_and_for_the_least_time() {
    for (billing, paid_s) in [(json!({ "step_s": 10 }), 30.0), (json!({ "step_s": 1, "least_s": 45 }), 45.0)] {
        for on in [
            json!({ "kind": "vm", "cores": 1, "boot_ms": 0, "price_usd_per_hour": 3600, "billing": billing }),
            json!({ "kind": "gpu", "device": "cpu", "price_usd_per_hour": 3600, "billing": billing }),
        ] {
            let machine = json!({ "name": "b", "hosts": ["b"], "replicas": 2, "on": on });
            let gears = json!([
                { "up_to_rps": 100, "replicas": { "b": 0 }, "stages": [stage("a")] },
                { "up_to_rps": 500, "replicas": { "a": 0 }, "stages": [stage("b")] }
            ]);
            let plan = geared(&json!([pool("a", 1), machine]), &gears);
            let report = simulate(&plan, &constant_world(&plan), &given_back_between_20_and_30_s());
            assert_eq!((report.changes.len(), report.changes[0].to), (1, 0));
            let usd_per_hour = report.pools[1].cost_usd_per_hour.get();
            assert!((usd_per_hour - 2.0 * paid_s / 60.0 * 3600.0).abs() < 1e-6, "{billing}: {usd_per_hour}");
        }
    }
}

/// The same of machines that replicas are packed onto.
#[test]
fn packed_machines_are_billed_by_the_step_and_boot_on_the_bill() {
    let machines = json!([{ "name": "m", "cores": 1, "at_most": 2, "price_usd_per_hour": 3600, "boot_ms": 5000,
        "billing": { "step_s": 10 } }]);
    let b =
        json!({ "name": "b", "hosts": ["b"], "replicas": 2, "machine": "m", "on": { "kind": "cores", "cores": 1 } });
    let gears = json!([
        { "up_to_rps": 100, "replicas": { "b": 0 }, "stages": [stage("a")] },
        { "up_to_rps": 500, "replicas": { "a": 0 }, "stages": [stage("b")],
          "packing": [{ "machine": "m", "count": 2, "replicas": { "b": 1 } }] }
    ]);
    let mut plan = geared(&json!([pool("a", 1), pool("b", 2)]), &gears_without_packing(&gears));
    plan.machines = serde_json::from_value(machines).expect("machines");
    plan.placement[1] = serde_json::from_value(b).expect("a pool");
    plan.gears = serde_json::from_value(gears).expect("gears");
    assert!(plan.validate().0.is_empty(), "{}", plan.validate());
    let down = simulate(&plan, &constant_world(&plan), &given_back_between_20_and_30_s());
    close("given back", down.machines_usd_per_hour.get(), 2.0 * 30.0 / 60.0 * 3600.0);
    let up = Settings {
        arrivals: Arrivals::Step { from_rps: 10.0, to_rps: 300.0, at_s: 20.0 },
        ..given_back_between_20_and_30_s()
    };
    let up = simulate(&plan, &constant_world(&plan), &up);
    // Asked for at 21 s; 5 s of boot and 1.5 s of loading. What goes on beyond the trial is paid as far as it goes.
    let change = up.changes[0];
    assert_eq!((change.to, change.at_ms.get(), change.waited_ms.get()), (1, 27_500.0, 6500.0));
    close("asked for", up.machines_usd_per_hour.get(), 2.0 * 39.0 / 60.0 * 3600.0);
}

fn gears_without_packing(gears: &Value) -> Value {
    let mut gears = gears.clone();
    gears.as_array_mut().expect("gears").iter_mut().for_each(|gear| {
        gear.as_object_mut().expect("a gear").remove("packing");
    });
    gears
}

/// Whatever a plan does to its requests, each is answered, refused, dropped or still there.
#[test]
fn nobody_gets_lost_in_random_plans() {
    let mut dice = Dice::new(11, 0);
    for case in 0..60 {
        let (plan, world) = anything(&mut dice);
        let settings = Settings { seed: case, ..settings(400.0, 2e4) };
        let report = simulate(&plan, &world, &settings);
        let whole = &report.whole;
        assert_eq!(
            whole.arrived,
            whole.answered + whole.refused + whole.dropped + whole.unfinished,
            "{}",
            serde_json::to_string(&plan).expect("a plan")
        );
        assert!(whole.unfinished < 400 && whole.arrived > 10_000, "{whole:?}");
        assert_eq!(report, simulate(&plan, &world, &settings));
    }
}

/// Draws a plan of one gear: up to four stages in any order that waits for earlier ones, several lanes, limits, ways.
fn anything(dice: &mut Dice) -> (Plan, Textbook) {
    let names = ["a", "b", "c", "d"];
    let mut stages = Vec::new();
    for index in 0..1 + dice.below(4) as usize {
        let mut lanes = Vec::new();
        for lane in 0..1 + dice.below(2) as usize {
            let name = names[(index + lane) % 4];
            let mut lane = json!({ "variant": name, "pool": name, "batch": 1 + dice.below(3) });
            if dice.unit() < 0.5 {
                lane["queue_limit"] = json!(3 + dice.below(5));
            }
            if dice.unit() < 0.5 {
                lane["drop_after_ms"] = json!(5.0 + 20.0 * dice.unit());
            }
            if lane["batch"].as_u64() > Some(1) && dice.unit() < 0.5 {
                lane["hold_ms"] = json!(2.0 * dice.unit());
            }
            lanes.push(lane);
        }
        let dispatch = ["share", "spill", "deadline"][dice.below(3) as usize];
        if dispatch == "share" && lanes.len() > 1 {
            lanes[0]["share"] = json!(0.5);
            lanes[1]["share"] = json!(0.5);
        }
        let mut stage = json!({ "name": names[index], "dispatch": dispatch, "lanes": lanes });
        if dice.unit() < 0.4 {
            stage["calls"] = json!(0.5 + 2.0 * dice.unit());
        }
        if index > 1 {
            let first = dice.below(index as u32) as usize;
            let second = dice.below(index as u32) as usize;
            let after = if first == second { vec![names[first]] } else { vec![names[first], names[second]] };
            stage["after"] = json!(after);
        }
        stages.push(stage);
    }
    let last = stages.len() - 1;
    for stage in &mut stages[..last] {
        if dice.unit() < 0.3 {
            stage["exit"] = json!({ "certainty_at_least": 0.5 });
        }
    }
    let pools = names.map(|name| pool(name, 2));
    let mut plan = plan(&json!(pools), &json!(stages));
    let ways =
        json!([{ "to": "a", "ms": 1 }, { "from": "a", "to": "b", "ms": 2 }, { "from": "b", "to": "c", "ms": 0 }]);
    plan.transfers = serde_json::from_value(ways).expect("transfers");
    let laws = names.map(|name| (name, EXPONENTIAL));
    let answers = (0..100_u8).map(|sample| (f32::from(sample) / 100.0, sample % 3 > 0)).collect::<Vec<_>>();
    let world = (0..4).fold(world(&plan, &laws), |world, variant| world.with_answers(variant, answers.clone()));
    (plan, world)
}

#[test]
fn requests_leave_a_cascade_by_their_own_certainty() {
    let mut first = stage("a");
    first["exit"] = json!({ "certainty_at_least": 0.25 });
    let plan = plan(&json!([pool("a", 1), pool("b", 1)]), &json!([first, stage("b")]));
    // One sample in four is hard; easy ones are right, hard ones are right only with `b`.
    let of_a = (0..100_u8).map(|sample| (f32::from(sample) / 100.0, sample >= 25)).collect();
    let of_b = (0..100_u8).map(|sample| (1.0, sample < 25)).collect();
    let world = world(&plan, &[("a", EXPONENTIAL), ("b", EXPONENTIAL)]).with_answers(0, of_a).with_answers(1, of_b);
    let report = simulate(&plan, &world, &settings(200.0, 5e5));
    let reach = &report.gears[0].summary.reach;
    assert_eq!(reach[0].get(), 1.0);
    close("reach", reach[1].get(), 0.25);
    assert_eq!(report.whole.accuracy.expect("answers are known").get(), 1.0);
}

#[test]
fn forks_wait_for_both_branches_and_fan_out_for_all_calls() {
    let mut left = stage("b");
    left["after"] = json!(["a"]);
    left["calls"] = json!(2.5);
    let mut right = stage("c");
    right["after"] = json!(["a"]);
    let mut join = stage("d");
    join["after"] = json!(["b", "c"]);
    let pools = json!([pool("a", 99), pool("b", 99), pool("c", 99), pool("d", 99)]);
    let plan = plan(&pools, &json!([stage("a"), left, right, join]));
    let ms = |ms| TextbookLaw::Constant { ms };
    let world = world(&plan, &[("a", ms(1.0)), ("b", ms(2.0)), ("c", ms(5.0)), ("d", ms(1.0))]);
    let report = simulate(&plan, &world, &settings(100.0, 1e5));
    assert_eq!(mean_ms(&report), 7.0);
    close("calls", report.pools[1].calls as f64 / report.pools[0].calls as f64, 2.5);
}

#[test]
fn deadlines_send_calls_to_faster_variants_as_the_queue_grows() {
    let both = json!({ "name": "p", "on": { "kind": "cores", "cores": 1 }, "replicas": 1, "hosts": ["slow", "fast"] });
    let stages = json!([{ "name": "s", "dispatch": "deadline",
        "lanes": [{ "variant": "slow", "pool": "p" }, { "variant": "fast", "pool": "p" }] }]);
    let plan = plan(&json!([both]), &stages);
    let ms = |ms| TextbookLaw::Constant { ms };
    let of = |right| vec![(1.0, right)];
    let world =
        world(&plan, &[("slow", ms(40.0)), ("fast", ms(1.0))]).with_answers(0, of(true)).with_answers(1, of(false));
    let slow_share = |rate| {
        let report = simulate(&plan, &world, &settings(rate, 1e5));
        assert!(report.whole.slo_met, "{rate} rps: {}", report.whole.violation_share);
        report.whole.accuracy.expect("answers are known").get()
    };
    let (quiet, busy) = (slow_share(2.0), slow_share(200.0));
    assert!(quiet > 0.99 && busy < 0.3 && busy > 0.01, "{quiet}, {busy}");
}

#[test]
fn the_same_seed_gives_the_same_report() {
    let plan = plan(&json!([pool("a", 1)]), &json!([stage("a")]));
    let world = world(&plan, &[("a", EXPONENTIAL)]);
    let with_seed = |seed| simulate(&plan, &world, &Settings { seed, ..settings(700.0, 1e4) });
    assert_eq!(with_seed(1), with_seed(1));
    assert_ne!(with_seed(1).whole, with_seed(2).whole);
}

#[test]
fn replications_are_the_same_on_any_number_of_threads() {
    let plan = plan(&json!([pool("a", 1)]), &json!([stage("a")]));
    let world = world(&plan, &[("a", EXPONENTIAL)]);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| replicate(&plan, &world, &settings(700.0, 2e5), 8))
    };
    let report = on(1);
    assert_eq!(report, on(3));
    let alone = simulate(&plan, &world, &settings(700.0, 2e5));
    assert!(report.whole.arrived > 7 * alone.whole.arrived && alone.intervals.is_none());
}

/// Of 100 intervals of 95 %, about 95 hold the truth; 10 or more misses have odds of 3 %, 13 or more of 0.2 %.
#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    let plan = plan(&json!([pool("a", 1)]), &json!([stage("a")]));
    let world = world(&plan, &[("a", EXPONENTIAL)]);
    let holds = |k: u64| {
        let settings = Settings { seed: 1000 * k, ..settings(500.0, 2e4) };
        let mean = replicate(&plan, &world, &settings, 5).intervals.expect("five trials").mean_ms;
        mean.low < 2.0 && 2.0 < mean.high
    };
    let held = (0..100).filter(|&k| holds(k)).count();
    assert!((88..100).contains(&held), "{held} of 100");
}

#[test]
fn gears_follow_a_step_and_break_nothing() {
    let lane = |name: &str| json!([stage(name)]);
    let gears = json!([
        { "up_to_rps": 100, "replicas": { "b": 0 }, "stages": lane("a") },
        { "up_to_rps": 500, "replicas": { "a": 0 }, "stages": lane("b") }
    ]);
    let plan = geared(&json!([pool("a", 1), pool("b", 2)]), &gears);
    let world = world(&plan, &[("a", EXPONENTIAL), ("b", EXPONENTIAL)]).with_load_ms(1500.0);
    let rates = [vec![40.0; 20], vec![300.0; 20], vec![20.0; 20]].concat();
    let trace = Trace::new("step", rates);
    let settings = Settings {
        arrivals: Arrivals::Trace(trace),
        duration: Duration::from_secs(60),
        warmup: Duration::ZERO,
        seed: 1,
    };
    let report = simulate(&plan, &world, &settings);
    let seen: Vec<_> = report.changes.iter().map(|c| (c.from, c.to, c.at_ms.get(), c.waited_ms.get())).collect();
    // Up: known at 21 s, up at 22.5 s. Down: low from 40 s to 43 s, then `a` loads.
    assert_eq!(seen, [(0, 1, 22_500.0, 1500.0), (1, 0, 44_500.0, 1500.0)]);
    assert_eq!(report.whole.unfinished + report.whole.answered, report.whole.arrived);
    assert!(report.whole.slo_met && report.whole.unfinished < 3);
    assert_eq!(report.windows.len(), 60);
    assert_eq!((report.windows[10].gear, report.windows[30].gear, report.windows[50].gear), (0, 1, 0));
}

/// M/M/1 at μ = 100/s keeps p99 ≤ 100 ms up to λ = 100 − ln(100)/0.1 = 53.9/s: repair finds that, less its interval.
#[test]
fn repair_finds_the_rate_that_keeps_the_tail() {
    let gears = json!([{ "up_to_rps": 45, "stages": [stage("a")] }, { "up_to_rps": 62, "stages": [stage("a")] }]);
    let mut plan = geared(&json!([pool("a", 1)]), &gears);
    plan.slo = serde_json::from_value(json!({ "quantile": 0.99, "latency_ms": 100 })).expect("an objective");
    let world = world(&plan, &[("a", TextbookLaw::Exponential { mean_ms: 10.0 })]);
    let trials = repair(&plan, &world, Effort { requests: 1_000_000, trials: 5, seed: 3 });
    assert!(trials[0].part >= 1.0 && trials[0].violation_high < 0.01, "{:?}", trials[0]);
    let found = 62.0 * trials[1].part;
    assert!(found > 0.95 * 53.95 && found < 1.01 * 53.95, "{found}");
    assert!((trials[1].utilisation["a"].get() - found / 100.0).abs() < 0.01, "{:?}", trials[1]);
}
