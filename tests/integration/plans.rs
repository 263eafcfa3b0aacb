//! Plans made from the shipped profile: each passes `check`, is the same twice, and a refusal says what would help.

use std::path::Path;
use std::time::Duration;

use planner::base::codec::{from_value, load, to_bytes};
use planner::facts::Facts;
use planner::plan::{Plan, Tolerance, check, diff};
use planner::planners::solve;
use planner::problem::Problem;
use planner::profile::Profile;
use planner::rooms::{Answer, Conflict, Context};
use planner::simulate::{Measured, Settings, simulate};
use planner::stats::Histogram;
use planner::workload::Arrivals;
use serde_json::{Value, json};

fn facts() -> Facts {
    let profile = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json");
    Facts::load(&[profile]).expect("the shipped profile loads")
}

fn problem(max_rps: f64, latency_ms: f64, cores: u32, goal: &Value) -> Problem {
    let value = json!({
        "format": "planner.problem/1", "risk": "none", "name": "test", "room": "variant-set", "profiles": ["x"],
        "workload": { "max_rps": max_rps }, "slo": { "quantile": 0.99, "latency_ms": latency_ms },
        "inventory": { "cores": cores, "price_usd_per_core_hour": 0.05 }, "goal": goal
    });
    from_value(value).expect("a good problem").0
}

fn goals() -> [Value; 3] {
    [
        json!({ "kind": "weighted" }),
        json!({ "kind": "cheapest", "accuracy_at_least": 0.9 }),
        json!({ "kind": "most-accurate", "cores_at_most": 5 }),
    ]
}

fn planned(problem: &Problem, facts: &Facts) -> Result<Plan, Conflict> {
    match solve(problem, facts, Context::default()).expect("a proof") {
        Answer::Plan(plan) => Ok(*plan),
        Answer::Infeasible(conflict) => Err(conflict),
    }
}

#[test]
fn every_plan_passes_its_check_and_is_the_same_twice() {
    let facts = facts();
    for goal in goals() {
        for formulation in ["tail-aware", "published"] {
            for (max_rps, latency_ms) in [(50.0, 40.0), (900.0, 25.0)] {
                let mut problem = problem(max_rps, latency_ms, 6, &goal);
                if formulation == "published" {
                    problem.room = problem.room.as_published().expect("InfAdapter");
                }
                let Ok(plan) = planned(&problem, &facts) else { panic!("{goal} {formulation} {max_rps}: infeasible") };
                let findings = check(&plan, &facts, Some(&problem), Tolerance::default());
                assert!(!findings.has_errors(), "{goal} {formulation} {max_rps}: {findings}");
                assert_eq!(plan.max_rps(), max_rps);
                let again = planned(&problem, &facts).expect("as before");
                assert_eq!(to_bytes(&plan), to_bytes(&again), "{goal}: another plan the second time");
                assert!(diff(&plan, &again).same);
                for gear in &plan.gears {
                    let certificate = gear.certificate.as_ref().expect("every gear is certified");
                    assert!(certificate.gap.abs() <= 1e-9, "{goal}: gap {}", certificate.gap);
                }
            }
        }
    }
}

#[test]
fn an_overstated_claim_is_refuted() {
    let facts = facts();
    let problem = problem(200.0, 40.0, 6, &goals()[0]);
    let mut plan = planned(&problem, &facts).expect("feasible");
    let claim = plan.gears[0].claims.accuracy.as_mut().expect("claimed");
    claim.value = planner::base::units::Accuracy::saturating(claim.value.get() + 0.01);
    claim.high = planner::base::units::Accuracy::saturating(1.0);
    plan.gears[0].claims.cores = Some(0);
    let findings = check(&plan, &facts, Some(&problem), Tolerance::default());
    let errors = findings.0.iter().filter(|finding| finding.severity == planner::base::finding::Severity::Error);
    let keys: Vec<_> = errors.map(|finding| finding.key.as_str()).collect();
    assert_eq!(keys, ["gears[0].claims.accuracy", "gears[0].claims.accuracy.high", "gears[0].claims.cores"]);
}

#[test]
fn a_claim_says_when_it_rests_on_more_cores_than_were_measured() {
    let facts = facts();
    let mut plan = planned(&problem(4000.0, 25.0, 6, &goals()[2]), &facts).expect("feasible");
    let findings = check(&plan, &facts, None, Tolerance::default());
    let notes: Vec<_> = findings.0.iter().map(|finding| finding.code.as_str()).collect();
    // Some batches are partly filled, and not every size was measured; some gears need more cores.
    assert_eq!(notes, ["interpolated", "interpolated"], "{findings}");
    for gear in &mut plan.gears {
        gear.claims.latency.as_mut().expect("claimed").trust = planner::profile::Trust::Measured;
    }
    let findings = check(&plan, &facts, None, Tolerance::default());
    assert!(findings.has_errors(), "{findings}");
    assert!(findings.0.iter().all(|finding| finding.key.ends_with("claims.latency.trust")), "{findings}");
}

#[test]
fn a_conflict_is_minimal_and_each_way_out_works() {
    let facts = facts();
    let refused = problem(30_000.0, 15.0, 2, &json!({ "kind": "cheapest", "accuracy_at_least": 0.94 }));
    let conflict = planned(&refused, &facts).expect_err("two cores cannot do that");
    assert!(conflict.limits.len() >= 2, "{conflict}");
    for limit in &conflict.limits {
        let Some(value) = limit.would_have_to_be else { continue };
        let mut eased = refused.clone();
        match &*limit.key {
            "workload.max_rps" => eased.workload.max_rps = planner::base::units::Rate::saturating(value),
            "inventory.cores" => eased.inventory.cores = value as u32,
            "slo.latency_ms" => eased.slo.latency_ms = planner::base::units::Millis::saturating(value),
            "goal.accuracy_at_least" => {
                eased.goal.accuracy_at_least = Some(planner::base::units::Accuracy::saturating(value));
            }
            other => panic!("no such limit: {other}"),
        }
        assert!(planned(&eased, &facts).is_ok(), "{} = {value} does not help", limit.key);
    }
}

#[cfg(feature = "milp")]
#[test]
fn highs_agrees_on_every_gear() {
    let facts = facts();
    let problem = problem(900.0, 25.0, 6, &goals()[0]);
    let context = Context { verify: true, ..Context::default() };
    let Answer::Plan(plan) = solve(&problem, &facts, context).expect("both agree") else { panic!("feasible") };
    assert!(
        plan.gears.iter().all(|gear| gear.certificate.as_ref().is_some_and(|c| c.method.ends_with("HiGHS agrees")))
    );
}

/// Running variants are kept when the price of loading outweighs what a change would gain.
#[test]
fn a_running_plan_is_kept_when_loading_is_dear() {
    let facts = facts();
    let running = planned(&problem(300.0, 40.0, 6, &goals()[1]), &facts).expect("feasible");
    let goal = json!({ "kind": "weighted", "weights": { "accuracy": 1.0, "resource": 0.05, "loading": 100.0 } });
    let wanted = problem(running.max_rps(), 40.0, 6, &goal);
    let context = Context { from: Some(&running), ..Context::default() };
    let Answer::Plan(plan) = solve(&wanted, &facts, context).expect("a proof") else { panic!("feasible") };
    for gear in &plan.gears {
        let held = |plan: &Plan, gear: usize| plan.gears[gear].claims.cores;
        let index = plan.gears.iter().position(|other| other == gear).expect("its own");
        let before = running.gear_at(gear.up_to_rps.get());
        assert!(held(&plan, index) <= held(&running, before), "starts something at {}", gear.up_to_rps);
    }
}

/// One number of cores may be best over loads at which different allotments of them are most accurate.
#[test]
fn the_cheapest_plan_is_the_most_accurate_among_the_cheapest() {
    let facts = facts();
    let goal = json!({ "kind": "cheapest", "accuracy_at_least": 0.9 });
    let wide = planned(&problem(10_000.0, 10.0, 8, &goal), &facts).expect("feasible");
    for max_rps in [700.0, 3000.0, 7000.0, 9000.0] {
        let alone = planned(&problem(max_rps, 10.0, 8, &goal), &facts).expect("feasible");
        let best = alone.gears.last().expect("a gear").claims.accuracy.expect("claimed").value.get();
        let given = wide.gears[wide.gear_at(max_rps)].claims.accuracy.expect("claimed").value.get();
        assert!(given >= best - 0.01 - 1e-9, "at {max_rps}: {given}, possible is {best}");
    }
}

/// Problems drawn at random with the shipped facts: every gear is at its bound and the plan passes its check.
#[test]
fn random_cheapest_plans_are_proved_and_checked() {
    let facts = facts();
    let names = ["linear", "mlp_s", "cnn_s", "mlp_m", "cnn_m", "cnn_l", "cnn_l_int8", "early_exit"];
    for seed in 0..120_u32 {
        let pick = |k: u32| (seed.wrapping_mul(2_654_435_761).wrapping_add(k * 40_503) >> 7) % 997;
        let variants: Vec<_> =
            names.iter().enumerate().filter(|(i, _)| pick(*i as u32) % 3 > 0).map(|(_, n)| *n).collect();
        if variants.is_empty() {
            continue;
        }
        let goal = json!({ "kind": "cheapest", "accuracy_at_least": 0.6 + f64::from(pick(20) % 350) / 1000.0 });
        let mut problem = problem(100.0 + f64::from(pick(21)) * 12.0, 10.0, 1 + pick(22) % 8, &goal);
        problem = problem.with_variants(&variants.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        if let Ok(plan) = planned(&problem, &facts) {
            let findings = check(&plan, &facts, Some(&problem), Tolerance::default());
            assert!(!findings.has_errors(), "{seed}: {findings}");
            assert!(plan.gears.iter().all(|gear| gear.certificate.as_ref().is_some_and(|c| c.gap.abs() <= 1e-9)));
        }
    }
}

/// What `check` must not let pass: a plan for a weaker objective, foreign variants, invented numbers.
#[test]
fn a_plan_that_was_tampered_with_is_refuted() {
    let facts = facts();
    let problem = problem(900.0, 25.0, 6, &goals()[0]);
    let sound = planned(&problem, &facts).expect("feasible");
    let refuted = |what: &str, plan: &Plan, problem: &Problem| {
        assert!(check(plan, &facts, Some(problem), Tolerance::default()).has_errors(), "{what} passes");
    };
    let mut weaker = sound.clone();
    weaker.slo.latency_ms = planner::base::units::Millis::saturating(1000.0);
    refuted("a weaker objective", &weaker, &problem);
    let mut silent = sound.clone();
    silent.slo.latency_ms = planner::base::units::Millis::saturating(0.001);
    silent.gears.iter_mut().for_each(|gear| gear.claims = planner::plan::Claims::default());
    refuted("an objective that nobody claims to keep", &silent, &problem);
    let mut proud = sound.clone();
    proud.gears[0].certificate.as_mut().expect("certified").objective = 5.0;
    proud.gears[0].certificate.as_mut().expect("certified").bound = 5.0;
    refuted("an invented objective", &proud, &problem);
    let mut certain = sound.clone();
    let claim = certain.gears[0].claims.accuracy.as_mut().expect("claimed");
    (claim.low, claim.high) = (claim.value, claim.value);
    refuted("an interval without width", &certain, &problem);
    let mut ghost = sound.clone();
    ghost.gears[0].claims.utilisation.insert("nosuch".into(), planner::base::units::Share::ZERO);
    refuted("use of a pool that is not there", &ghost, &problem);
    let narrow = problem.with_variants(&["linear".to_owned()]);
    refuted("a variant that may not be used", &sound, &narrow);
    let mut thick = problem.clone();
    thick.inventory.min_cores_per_variant = 3;
    refuted("too few cores a variant", &sound, &thick);
}

#[test]
fn plans_that_behave_differently_are_not_the_same() {
    let facts = facts();
    let plan = planned(&problem(900.0, 25.0, 6, &goals()[0]), &facts).expect("feasible");
    let differs = |change: &dyn Fn(&mut Plan)| {
        let mut other = plan.clone();
        change(&mut other);
        !diff(&plan, &other).same
    };
    let ms = planner::base::units::Millis::saturating;
    assert!(differs(&|plan| plan.slo.latency_ms = ms(1000.0)));
    assert!(differs(&|plan| plan.switch.dwell_ms = ms(1.0)));
    assert!(differs(&|plan| plan.gears[0].stages[0].lanes[0].hold_ms = ms(3.0)));
    assert!(differs(&|plan| plan.gears[0].stages[0].dispatch = planner::plan::Dispatch::Deadline));
    assert!(!differs(&|plan| plan.provenance.tool = "another".into()));
}

/// The plan under `plans/` is what `planner solve problems/digits.toml` answers, and passes its check. The same command
/// twice gives the same bytes; another machine's logarithms may differ in the last bit, and with them a cut.
#[test]
fn the_shipped_plan_is_what_its_problem_gives() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let planner = || assert_cmd::Command::cargo_bin("planner").expect("built");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let solved = || {
        let output = folder.path().join("plan.json");
        let mut command = planner();
        command.arg("solve").arg(root.join("problems/digits.toml")).arg("-o").arg(&output).arg("--overwrite");
        command.assert().code(0);
        std::fs::read(output).expect("written")
    };
    let again = solved();
    assert!(again == solved(), "another plan the second time");

    let shipped = root.join("plans/digits.json");
    let (shipped_plan, again) = (
        load::<Plan>(&shipped).expect("valid").document,
        from_value::<Plan>(serde_json::from_slice(&again).expect("JSON")).expect("valid").0,
    );
    let gears = |plan: &Plan| {
        let lanes =
            |gear: &planner::plan::Gear| gear.stages[0].lanes.iter().map(|lane| lane.pool.clone()).collect::<Vec<_>>();
        plan.gears.iter().map(lanes).collect::<Vec<_>>()
    };
    let hint = "solve again: planner solve problems/digits.toml -o plans/digits.json --overwrite";
    assert_eq!(gears(&shipped_plan), gears(&again), "{hint}");
    for (shipped, again) in shipped_plan.gears.iter().zip(&again.gears) {
        assert!((shipped.up_to_rps.get() / again.up_to_rps.get() - 1.0).abs() < 0.03, "{hint}");
    }
    let check = planner().arg("check").arg(&shipped).assert().code(0);
    let said = String::from_utf8_lossy(&check.get_output().stdout).into_owned();
    // It has more cores up than there are while gears change, which its problem does not forbid.
    let mut warnings = said.lines().filter(|line| line.starts_with("warning["));
    assert!(said.contains("0 errors, 1 warning"), "{said}");
    assert!(warnings.all(|line| line.starts_with("warning[transient-resources]")), "{said}");
}

/// With twice the time beside one neighbour, two replicas that are always busy carry half.
#[test]
fn contention_slows_what_runs_side_by_side() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut profile = load::<Profile>(&root.join("profiles/digits.json")).expect("valid");
    let of = |point: &&planner::profile::Point| point.variant == "cnn_l" && point.cores == 1 && point.batch <= 4;
    let alone: Vec<_> = profile.document.points.iter().filter(of).cloned().collect();
    let double = |point: &planner::profile::Point, neighbours: u32, times: f64| {
        let mut beside = point.clone();
        beside.co_runners = neighbours;
        beside.latency.mean_ms = planner::base::units::Millis::saturating(times * point.latency.mean_ms.get());
        beside
    };
    profile.document.points.extend(alone.iter().map(|point| double(point, 1, 2.0)));
    profile.document.points.extend(alone.iter().map(|point| double(point, 3, 4.0)));
    let facts = Facts::of(vec![(profile, None)]).expect("one profile");
    let plan: Plan = serde_json::from_value(serde_json::json!({
        "format": "planner.plan/1", "name": "beside", "slo": { "quantile": 0.99, "latency_ms": 10 },
        "placement": [{ "name": "p", "on": { "kind": "cores", "cores": 1 }, "replicas": 2, "hosts": ["cnn_l"] }],
        "gears": [{ "up_to_rps": 9000, "stages": [{ "name": "s", "dispatch": "share",
                    "lanes": [{ "variant": "cnn_l", "pool": "p", "queue_limit": 10 }] }] }],
        "switch": { "window_ms": 1000, "up": 0.9, "down": 0.8, "dwell_ms": 10000, "drain": "own-gear" },
        "provenance": { "tool": "by hand", "room": "variant-set", "seed": 0, "inputs": [] }
    }))
    .expect("a plan");
    for (seen, wanted) in facts.slowdowns_on(&plan, &plan.placement[0], "cnn_l").iter().zip([1.0, 2.0, 3.0, 4.0]) {
        assert!((seen - wanted).abs() < 1e-9, "{seen} for {wanted}");
    }
    let settings = Settings {
        arrivals: Arrivals::Poisson { rate_rps: 9_000.0 },
        duration: Duration::from_secs(20),
        warmup: Duration::from_secs(1),
        seed: 1,
    };
    let world = || Measured::new(&plan, &facts).expect("measured");
    let rate = |world: &Measured| simulate(&plan, world, &settings).whole.throughput_rps.get();
    let (free, beside) = (rate(&world()), rate(&world().with_contention(&plan, &facts).expect("measured beside one")));
    assert!((beside / free - 0.5).abs() < 0.01, "{beside} of {free}");

    let shipped = Facts::load(&[root.join("profiles/digits.json")]).expect("valid");
    let refused = Measured::new(&plan, &shipped).expect("measured").with_contention(&plan, &shipped);
    assert!(refused.expect_err("nobody measured neighbours").to_string().contains("co-runners"));
}

/// Calls of 1 or 3 ms on one replica at 200 a second. Where each is drawn by itself, Pollaczek and Khinchine say how long a request
/// waits on average; where a stretch is far longer than any queue, they say it of each length by itself.
#[test]
fn long_stretches_make_queues_as_long_as_theory_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut profile = load::<Profile>(&root.join("profiles/digits.json")).expect("valid");
    profile.document.points.retain(|point| point.variant == "cnn_l" && point.cores == 1 && point.batch == 1);
    let plan: Plan = serde_json::from_value(serde_json::json!({
        "format": "planner.plan/1", "name": "stretches", "slo": { "quantile": 0.99, "latency_ms": 100 },
        "placement": [{ "name": "p", "on": { "kind": "cores", "cores": 1 }, "replicas": 1, "hosts": ["cnn_l"] }],
        "gears": [{ "up_to_rps": 200, "stages": [{ "name": "s", "dispatch": "share",
                    "lanes": [{ "variant": "cnn_l", "pool": "p" }] }] }],
        "switch": { "window_ms": 1000, "up": 0.9, "down": 0.8, "dwell_ms": 10000, "drain": "own-gear" },
        "provenance": { "tool": "by hand", "room": "variant-set", "seed": 0, "inputs": [] }
    }))
    .expect("a plan");
    let settings = Settings {
        arrivals: Arrivals::Poisson { rate_rps: 200.0 },
        duration: Duration::from_secs(20_000),
        warmup: Duration::from_secs(10),
        seed: 1,
    };
    let facts = |calls: Option<f64>| {
        let mut profile = profile.clone();
        let point = &mut profile.document.points[0];
        point.histogram = Some(Histogram { value_ns: vec![1_000_000, 3_000_000], count: vec![1, 1] });
        point.stretch_calls = calls.map(planner::base::units::Factor::saturating);
        Facts::of(vec![(profile, None)]).expect("one profile")
    };
    let mean_ms = |world: &Measured| simulate(&plan, world, &settings).whole.latency.expect("served").mean_ms.get();
    let in_stretches = |calls: f64| {
        let facts = facts(Some(calls));
        Measured::new(&plan, &facts).expect("measured").with_stretches(&plan, &facts).expect("measured")
    };
    let one_by_one = mean_ms(&Measured::new(&plan, &facts(None)).expect("measured"));
    let alike = 2.0 + 0.2 * 5.0 / (2.0 * (1.0 - 0.4));
    assert!((one_by_one / alike - 1.0).abs() < 0.01, "{one_by_one} for {alike}");
    let short = mean_ms(&in_stretches(1e-6));
    assert!((short / alike - 1.0).abs() < 0.01, "stretches of no call: {short} for {alike}");
    let each = |ms: f64| ms + 0.2 * ms * ms / (2.0 * (1.0 - 0.2 * ms));
    let apart = 0.5 * (each(1.0) + each(3.0));
    let long = mean_ms(&in_stretches(2_000.0));
    assert!((long / apart - 1.0).abs() < 0.03, "long stretches: {long} for {apart}");

    let silent = facts(None);
    let refused = Measured::new(&plan, &silent).expect("measured").with_stretches(&plan, &silent);
    assert!(refused.expect_err("nobody measured stretches").to_string().contains("stretches of `cnn_l`"));
}

/// The closed form errs on the safe side: served at its highest rate, every gear keeps the tail and the use it claims.
#[test]
fn every_claim_of_the_shipped_plan_holds_in_simulation() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/digits.json");
    let plan = load::<Plan>(&path).expect("valid").document;
    let facts = Facts::of_plan(&plan, &path).expect("the shipped profile");
    for (index, gear) in plan.gears.iter().enumerate() {
        let alone = Plan { gears: vec![gear.clone()], ..plan.clone() };
        let world = Measured::new(&alone, &facts).expect("measured");
        let rate_rps = gear.up_to_rps.get();
        let settings = Settings {
            arrivals: Arrivals::Poisson { rate_rps },
            duration: Duration::from_secs_f64(500_000.0 / rate_rps),
            warmup: Duration::from_secs(1),
            seed: 42,
        };
        let report = simulate(&alone, &world, &settings);
        let late = report.whole.violation_share.get();
        assert!(late <= 0.01, "gear {index}: {late} late");
        for pool in report.pools.iter().filter(|pool| pool.calls > 0) {
            let (claim, seen) = (gear.claims.utilisation[&pool.name].get(), pool.utilisation.get());
            assert!(seen <= claim + 0.01, "gear {index}: {} is busy {seen}, claimed {claim}", pool.name);
        }
        let claim = gear.claims.accuracy.expect("claimed");
        let seen = report.whole.accuracy.expect("counted").get();
        assert!((seen - claim.value.get()).abs() < 0.002, "gear {index}: accuracy {seen}, claimed {}", claim.value);
    }
}

/// Fewer gears never make the goal better, one more never worse, and what is left keeps every claim.
#[test]
fn gears_can_be_capped_with_the_least_loss() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut problem = load::<Problem>(&root.join("problems/digits.toml")).expect("valid").document;
    let facts = facts();
    let worth = |plan: &Plan| {
        let mut from = 0.0;
        plan.gears.iter().fold(0.0, |sum, gear| {
            let width = gear.up_to_rps.get() - from;
            from = gear.up_to_rps.get();
            sum + width * gear.certificate.as_ref().expect("proved").objective
        })
    };
    let all = planned(&problem, &facts).expect("a plan");
    let mut before = f64::NEG_INFINITY;
    for most in 1..=all.gears.len() as u32 {
        problem.goal.gears_at_most = Some(most);
        let plan = planned(&problem, &facts).expect("a plan");
        assert!(plan.gears.len() <= most as usize && plan.max_rps() == all.max_rps());
        assert!(worth(&plan) >= before - 1e-9 && worth(&plan) <= worth(&all) + 1e-9, "{most}");
        before = worth(&plan);
        let findings = check(&plan, &facts, Some(&problem), Tolerance::default());
        assert!(!findings.has_errors(), "{most}: {findings}");
    }
    assert!((before - worth(&all)).abs() < 1e-9);
}
