//! Lexicographic goals: level after level by enumeration and by HiGHS, and the plans of both rooms against their frontiers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use planner::base::codec::{Loaded, from_value};
use planner::base::finding::{Code, Findings};
use planner::base::units::{Millis, Rate};
use planner::facts::Facts;
use planner::optimize::fill::{Ladder, at_load};
use planner::optimize::{Instance, Objective, enumerate};
use planner::plan::{Plan, Tolerance, check};
use planner::planners::{explain_all, frontier, schedule, solve};
use planner::problem::{Criterion, GoalKind, Problem, RoomSettings};
use planner::rooms::{Answer, Context, FrontierPoint};
use planner::simulate::Effort;
use planner::workload::RecordedLoad;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::variant_set::random_instance;

const SLACK: f64 = 1e-9;

fn cores(cores: &[u32]) -> u32 {
    cores.iter().sum()
}

/// The random instances of the room's own tests, under both orders and several tolerances.
fn lexicographic(seed: u64) -> (Instance, Vec<f64>) {
    let (instance, loads) = random_instance(seed);
    let objective = match seed % 5 {
        0 => Objective::AccuracyThenCores { tolerance: 0.0 },
        1 => Objective::AccuracyThenCores { tolerance: 0.013 },
        2 => Objective::AccuracyThenCores { tolerance: 0.08 },
        3 => Objective::CoresThenAccuracy { tolerance: 0 },
        _ => Objective::CoresThenAccuracy { tolerance: 2 },
    };
    (Instance { objective, ..instance }, loads)
}

/// What both levels come to, straight from their definition: every allotment is looked at twice.
fn by_definition(instance: &Instance, load: f64) -> Option<(f64, u32)> {
    let accurate = Instance { objective: Objective::MostAccurate, ..instance.clone() };
    let all = RefCell::new(Vec::new());
    enumerate::best(&accurate, load, |solution| {
        all.borrow_mut().push((solution.accuracy, cores(&solution.cores)));
        true
    })?;
    let all: Vec<(f64, u32)> = all.into_inner();
    let most = all.iter().map(|of| of.0).fold(f64::NEG_INFINITY, f64::max);
    let fewest = all.iter().map(|of| of.1).min()?;
    match instance.objective {
        Objective::AccuracyThenCores { tolerance } => {
            let near = all.iter().filter(|of| of.0 >= most - tolerance - 1e-12);
            near.copied().min_by(|a, b| a.1.cmp(&b.1).then(b.0.total_cmp(&a.0)))
        }
        Objective::CoresThenAccuracy { tolerance } => {
            let near = all.iter().filter(|of| of.1 <= fewest + tolerance);
            near.copied().max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)))
        }
        _ => unreachable!("only lexicographic instances are made"),
    }
}

#[test]
fn level_after_level_equals_enumeration_at_every_load() {
    let mut feasible = 0;
    for seed in 0..600 {
        let (instance, loads) = lexicographic(seed);
        let ladder = Ladder::solve(&instance);
        for load in loads {
            let name = format!("seed {seed} load {load}");
            let truth = by_definition(&instance, load);
            for found in [at_load::solve(&instance, load), ladder.at(load)] {
                let Some((accuracy, fewest)) = truth else {
                    assert_eq!(found, None, "{name}");
                    continue;
                };
                let found = found.unwrap_or_else(|| panic!("{name}: enumeration finds one"));
                match instance.objective {
                    Objective::AccuracyThenCores { .. } => assert_eq!(cores(&found.cores), fewest, "{name}"),
                    _ => assert!((found.accuracy - accuracy).abs() <= SLACK, "{name}: {found:?} {accuracy}"),
                }
                feasible += 1;
            }
        }
    }
    assert!(feasible > 1_500, "only {feasible} feasible cases");
}

/// Inside every range the range's cores are those of the definition: the breakpoints are exact.
#[test]
fn breakpoints_of_levels_are_exact() {
    for seed in 0..150 {
        let (instance, _) = lexicographic(seed);
        let ladder = Ladder::solve(&instance);
        for rung in ladder.rungs(f64::INFINITY) {
            for part in [0.002, 0.4, 0.99] {
                let load = rung.from + part * (rung.to - rung.from);
                let (accuracy, fewest) = by_definition(&instance, load).expect("inside the ladder");
                let kept = instance.evaluate(&rung.solution.cores, load).expect("less load always fits");
                match instance.objective {
                    Objective::AccuracyThenCores { .. } => {
                        assert_eq!(cores(&kept.cores), fewest, "seed {seed} load {load}");
                    }
                    _ => assert!((kept.accuracy - accuracy).abs() <= SLACK, "seed {seed} load {load}"),
                }
            }
        }
    }
}

#[cfg(feature = "milp")]
#[test]
fn highs_agrees_level_after_level() {
    for seed in 0..200 {
        let (instance, loads) = lexicographic(seed);
        let highs = planner::optimize::milp::solve(&instance, loads[0]).expect("HiGHS answers");
        let ours = at_load::solve(&instance, loads[0]);
        let (highs, ours) = (highs.map(|milp| milp.solution.value), ours.map(|solution| solution.value));
        match (highs, ours) {
            (Some(highs), Some(ours)) => assert!((highs - ours).abs() <= 1e-9, "seed {seed}: {highs} {ours}"),
            (highs, ours) => assert_eq!(highs, ours, "seed {seed}"),
        }
    }
}

fn facts() -> Facts {
    Facts::load(&[Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json")]).expect("shipped")
}

fn problem(room: &str, order: &Value, tolerances: &Value) -> Problem {
    let mut value = json!({
        "format": "planner.problem/1", "risk": "none", "name": "test", "room": room, "profiles": ["x"],
        "workload": { "max_rps": 600.0 }, "slo": { "quantile": 0.99, "latency_ms": 12.0 },
        "inventory": { "cores": 6, "price_usd_per_core_hour": 0.05 },
        "goal": { "kind": "lexicographic", "order": order, "tolerances": tolerances }
    });
    if room == "pipeline" {
        value["stages"] = json!([
            { "name": "detect", "variants": ["mlp_s", "mlp_m"] },
            { "name": "classify", "variants": ["cnn_s", "cnn_m", "cnn_l"], "calls": 2.0 }
        ]);
    } else {
        value["workload"]["max_rps"] = json!(9000.0);
    }
    from_value(value).expect("a good problem").0
}

fn planned(problem: &Problem, facts: &Facts) -> Plan {
    match solve(problem, facts, Context::default()).expect("solvable") {
        Answer::Plan(plan) => *plan,
        Answer::Infeasible(conflict) => panic!("{conflict}"),
    }
}

/// What a lexicographic goal takes of a frontier.
fn picked<'a>(points: &'a [FrontierPoint], first: &str, tolerances: (f64, u32)) -> &'a FrontierPoint {
    let most = points.iter().map(|point| point.accuracy).fold(0.0, f64::max);
    let fewest = points.iter().map(|point| point.cores).min().expect("not empty");
    if first == "accuracy" {
        let near = points.iter().filter(|point| point.accuracy >= most - tolerances.0 - SLACK);
        near.min_by_key(|point| point.cores).expect("the most accurate is one")
    } else {
        let near = points.iter().filter(|point| point.cores <= fewest + tolerances.1);
        near.max_by(|a, b| a.accuracy.total_cmp(&b.accuracy)).expect("the cheapest is one")
    }
}

#[test]
fn plans_of_both_rooms_are_points_of_the_frontier() {
    let facts = facts();
    for room in ["variant-set", "pipeline"] {
        for (order, tolerances) in
            [("accuracy", (0.0, 0)), ("accuracy", (0.02, 0)), ("cores", (0.0, 0)), ("cores", (0.0, 2))]
        {
            let other = if order == "accuracy" { "cores" } else { "accuracy" };
            let given = json!({ "accuracy": tolerances.0, "cores": tolerances.1 });
            let problem = problem(room, &json!([order, other]), &given);
            let plan = planned(&problem, &facts);
            let findings = check(&plan, &facts, Some(&problem), Tolerance::default());
            assert!(!findings.has_errors(), "{room} {order} {tolerances:?}: {findings}");
            for (index, gear) in plan.gears.iter().enumerate() {
                let name = format!("{room} {order} {tolerances:?} gear {index}");
                let load = gear.up_to_rps.get() * (1.0 - 1e-7);
                let points = frontier(&problem, &facts, &BTreeMap::new(), load).expect("both rooms have one");
                let wanted = picked(&points, order, tolerances);
                assert_eq!(gear.claims.cores, Some(wanted.cores), "{name}");
                let claimed = gear.claims.accuracy.expect("claimed").value.get();
                assert!((claimed - wanted.accuracy).abs() < 1e-6, "{name}: {claimed} {wanted:?}");
            }
        }
    }
}

/// On machines money stands in place of cores: a tolerance of cores is that many at the lowest price of one.
#[test]
fn plans_on_machines_are_points_of_the_frontier() {
    let facts = facts();
    let inventory = json!({ "machines": [
        { "name": "small", "cores": 1, "at_most": 3, "price_usd_per_hour": 0.05 },
        { "name": "large", "cores": 2, "at_most": 2, "price_usd_per_hour": 0.09 }
    ] });
    let core = 0.045;
    for room in ["variant-set", "pipeline"] {
        for (order, tolerances) in
            [("accuracy", (0.0, 0)), ("accuracy", (0.02, 0)), ("cores", (0.0, 0)), ("cores", (0.0, 2))]
        {
            let other = if order == "accuracy" { "cores" } else { "accuracy" };
            let given = json!({ "accuracy": tolerances.0, "cores": tolerances.1 });
            let mut problem = problem(room, &json!([order, other]), &given);
            problem.inventory = serde_json::from_value(inventory.clone()).expect("machines");
            let plan = planned(&problem, &facts);
            let findings = check(&plan, &facts, Some(&problem), Tolerance::default());
            assert!(!findings.has_errors(), "{room} {order} {tolerances:?}: {findings}");
            for (index, gear) in plan.gears.iter().enumerate() {
                let name = format!("{room} {order} {tolerances:?} gear {index}");
                let points = frontier(&problem, &facts, &BTreeMap::new(), gear.up_to_rps.get()).expect("both have one");
                let cost = |point: &FrontierPoint| point.cost_usd_per_hour.expect("machines are paid");
                let most = points.iter().map(|point| point.accuracy).fold(0.0, f64::max);
                let least = points.iter().map(cost).fold(f64::INFINITY, f64::min);
                let wanted = if order == "accuracy" {
                    let near = points.iter().filter(|point| point.accuracy >= most - tolerances.0 - SLACK);
                    near.min_by(|a, b| cost(a).total_cmp(&cost(b)))
                } else {
                    let most = least + f64::from(tolerances.1) * core + SLACK;
                    let near = points.iter().filter(|point| cost(point) <= most);
                    near.max_by(|a, b| a.accuracy.total_cmp(&b.accuracy))
                };
                let wanted = wanted.expect("the first level has one");
                let claimed = gear.claims.cost_usd_per_hour.expect("claimed").get();
                assert!((claimed - cost(wanted)).abs() < SLACK, "{name}: {claimed} {wanted:?}");
                let claimed = gear.claims.accuracy.expect("claimed").value.get();
                assert!((claimed - wanted.accuracy).abs() < 1e-6, "{name}: {claimed} {wanted:?}");
            }
        }
    }
}

/// What latency may cost.
const TOLERANCE: f64 = 0.01;

/// A last level of latency keeps accuracy and cores within the tolerances, and no claim is slower than without it.
#[test]
fn the_last_level_makes_latency_shorter() {
    let facts = facts();
    let machines = json!({ "machines": [{ "name": "m", "cores": 2, "at_most": 3, "price_usd_per_hour": 0.1 }] });
    for (room, on_machines) in [("variant-set", false), ("pipeline", false), ("variant-set", true), ("pipeline", true)]
    {
        let given = json!({ "accuracy": TOLERANCE, "cores": if on_machines { 2 } else { 1 } });
        let asked = |order: &Value| {
            let mut problem = problem(room, order, &given);
            if on_machines {
                problem.inventory = serde_json::from_value(machines.clone()).expect("machines");
            }
            problem
        };
        let without = planned(&asked(&json!(["accuracy", "cores"])), &facts);
        let asked = asked(&json!(["accuracy", "cores", "latency"]));
        let with = planned(&asked, &facts);
        let findings = check(&with, &facts, Some(&asked), Tolerance::default());
        assert!(!findings.has_errors(), "{room}: {findings}");
        assert_eq!(with.gears.len(), without.gears.len(), "{room}");
        let mut gained = 0;
        for (index, (with, without)) in with.gears.iter().zip(&without.gears).enumerate() {
            let name = format!("{room} gear {index}");
            let cores = |gear: &planner::plan::Gear| gear.claims.cores.expect("claimed");
            let usd = |gear: &planner::plan::Gear| gear.claims.cost_usd_per_hour.expect("claimed").get();
            let spared = if on_machines { 0.1 } else { 0.05 };
            assert!(usd(with) <= usd(without) + spared + 1e-9, "{name}: {} {}", usd(with), usd(without));
            assert!(on_machines || cores(with) <= cores(without) + 1, "{name}: {} {}", cores(with), cores(without));
            let accuracy = |gear: &planner::plan::Gear| gear.claims.accuracy.expect("claimed").value.get();
            assert!(accuracy(with) >= accuracy(without) - TOLERANCE - 1e-9, "{name}");
            let latency = |gear: &planner::plan::Gear| gear.claims.latency.expect("claimed").value_ms.get();
            assert!(latency(with) <= latency(without) + 0.06, "{name}: {} {}", latency(with), latency(without));
            gained += usize::from(latency(with) < latency(without) * 0.999);
        }
        assert!(gained > 0, "{room}: latency is never shorter: the level does nothing");
    }
}

/// The fastest plan is as accurate as asked and within the SLO that it says; nothing is carried within one that is 2 % shorter.
#[test]
fn the_fastest_plan_of_every_room_is_as_accurate_as_asked_and_none_is_much_faster() {
    let facts = facts();
    let machines = json!({ "machines": [{ "name": "m", "cores": 2, "at_most": 3, "price_usd_per_hour": 0.1 }] });
    for (room, least, on_machines) in
        [("variant-set", 0.93, false), ("pipeline", 0.8, false), ("variant-set", 0.93, true), ("pipeline", 0.8, true)]
    {
        let mut problem = problem(room, &json!(["accuracy", "cores"]), &json!({}));
        problem.goal =
            serde_json::from_value(json!({ "kind": "fastest", "accuracy_at_least": least })).expect("a goal");
        problem.workload.max_rps = Rate::saturating(400.0);
        if on_machines {
            problem.inventory = serde_json::from_value(machines.clone()).expect("machines");
        }
        let name = format!("{room}, on machines: {on_machines}");
        assert!(!problem.validate().has_errors(), "{name}: {}", problem.validate());
        let tried = Context { trial: Some(Effort { requests: 20_000, trials: 2, seed: 1 }), ..Context::default() };
        let Answer::Plan(plan) = solve(&problem, &facts, tried).expect("an answer") else { panic!("{name}: carried") };
        let findings = check(&plan, &facts, Some(&problem), Tolerance::default());
        assert!(!findings.has_errors(), "{name}: {findings}");
        assert_eq!(plan.slo, problem.slo, "{name}");
        let certificate = plan.gears[0].certificate.clone().expect("certified");
        let kept_ms = -certificate.objective;
        assert!(kept_ms > 0.0 && kept_ms < problem.slo.latency_ms.get() && certificate.bound > certificate.objective);
        for gear in &plan.gears {
            assert_eq!(gear.certificate.as_ref().map(|certificate| certificate.objective), Some(-kept_ms), "{name}");
            assert!(gear.claims.accuracy.expect("claimed").value.get() >= least - SLACK, "{name}");
            assert!(gear.claims.latency.expect("claimed").value_ms.get() <= 1.1 * kept_ms, "{name}: {gear:?}");
        }
        let mut within = problem.clone();
        within.goal.kind = GoalKind::Cheapest;
        let mut is_carried = |latency_ms: f64| {
            within.slo.latency_ms = Millis::saturating(latency_ms);
            let context = Context { capacity_parts: Some(&plan.provenance.capacity_parts), ..Context::default() };
            matches!(solve(&within, &facts, context).expect("an answer"), Answer::Plan(_))
        };
        assert!(is_carried(kept_ms) && !is_carried(0.98 * kept_ms), "{name}: {kept_ms}");
        for gear in explain_all(&plan, &problem, &facts).expect("as solved") {
            let explanation = gear.expect("as its problem gives");
            assert_eq!(explanation.objective, -kept_ms, "{name}");
        }
        let day = RecordedLoad::of_rates(vec![100.0, 400.0, 200.0, 0.0], 60.0);
        let scheduled = schedule(&problem, &facts, &day, 60.0).expect("an answer").expect("every minute is carried");
        assert_eq!(scheduled.periods.len(), 4, "{name}");
        for gear in &scheduled.gears {
            assert!(gear.claims.accuracy.expect("claimed").value.get() >= least - SLACK, "{name}");
        }
        // What cannot be carried names its limits, as for any goal.
        problem.workload.max_rps = Rate::saturating(1e9);
        let answer = solve(&problem, &facts, Context::default()).expect("an answer");
        assert!(matches!(answer, Answer::Infeasible(conflict) if !conflict.limits.is_empty()), "{name}");
    }
}

/// A problem of a room with a goal in levels, on cores or on machines.
fn drawn(rng: &mut ChaCha8Rng, room: &str, on_machines: bool) -> Problem {
    let mut all = ["mlp_s", "mlp_m", "cnn_s", "cnn_m", "cnn_l", "early_exit"].map(str::to_owned).to_vec();
    while all.len() > 4 {
        all.swap_remove(rng.random_range(0..all.len()));
    }
    let goal = match rng.random_range(0..4) {
        0 => json!({ "kind": "most-accurate" }),
        1 => json!({ "kind": "cheapest", "accuracy_at_least": rng.random_range(0.6..0.75) }),
        2 => json!({ "kind": "lexicographic", "order": ["accuracy", "cores"],
                     "tolerances": { "accuracy": rng.random_range(0.0..0.03) } }),
        _ => json!({ "kind": "lexicographic", "order": ["cores", "accuracy"],
                     "tolerances": { "cores": rng.random_range(0..=2) } }),
    };
    let inventory = if on_machines {
        json!({ "machines": [
            { "name": "small", "cores": 1, "at_most": 3, "price_usd_per_hour": 0.05 },
            { "name": "large", "cores": 2, "at_most": 2, "price_usd_per_hour": 0.09 }
        ] })
    } else {
        json!({ "cores": rng.random_range(4..=7), "price_usd_per_core_hour": 0.05 })
    };
    let (most_rps, stages) = match room {
        "pipeline" => (
            rng.random_range(1500.0..3000.0),
            json!([
                { "name": "first", "variants": all[..2] }, { "name": "second", "variants": all[2..] }
            ]),
        ),
        _ => (rng.random_range(3000.0..9000.0), json!([])),
    };
    let mut value = json!({
        "format": "planner.problem/1", "risk": "none", "name": "drawn", "room": room, "profiles": ["x"],
        "workload": { "max_rps": most_rps }, "slo": { "quantile": 0.99, "latency_ms": rng.random_range(10.0..40.0) },
        "inventory": inventory, "goal": goal
    });
    if room == "pipeline" {
        value["stages"] = stages;
    } else {
        value["variants"] = json!(all);
    }
    from_value(value).expect("a good problem").0
}

/// Returns the accuracy over requests of a load, and what the gears cost on average, in dollars an hour.
fn over_the_day(plan: &Plan, load: &RecordedLoad) -> (f64, f64) {
    let (mut right, mut cost) = (0.0, 0.0);
    for &rate in load.rates() {
        let claims = &plan.gears[plan.gear_at(rate)].claims;
        right += rate * claims.accuracy.expect("claimed").value.get();
        cost += claims.cost_usd_per_hour.expect("claimed").get();
    }
    (right / load.rates().iter().sum::<f64>(), cost / load.rates().len() as f64)
}

/// What a trace merges is worth as much: changes here take a thousandth of a core-second, so that hardly any gear is in vain.
#[test]
fn a_trace_makes_no_day_worse_at_any_level_of_the_goal() {
    let plain = facts();
    let mut rng = ChaCha8Rng::seed_from_u64(93);
    let (mut feasible, mut cheaper_below) = (0, 0);
    for instance in 0..60 {
        let (room, on_machines) =
            [("variant-set", false), ("pipeline", false), ("variant-set", true), ("pipeline", true)][instance % 4];
        let problem = drawn(&mut rng, room, on_machines);
        let max_rps = problem.workload.max_rps.get();
        let (phase, depth) = (rng.random_range(0.0..6.0), rng.random_range(0.3..0.49));
        let rate = |step: i32| max_rps * (0.5 + depth * (phase + f64::from(step) / 60.0).sin());
        let load = RecordedLoad::of_rates((0..400).map(rate).collect(), 30.0);
        let recorded = Loaded {
            document: load.clone(),
            findings: Findings::default(),
            path: "day.csv".into(),
            sha256: String::new(),
        };
        let mut traced = plain.clone();
        traced.recorded = Some(recorded);
        let Answer::Plan(without) = solve(&problem, &plain, Context::default()).expect("solvable") else { continue };
        let with = planned(&problem, &traced);
        let (with_trace, without_trace) = (over_the_day(&with, &load), over_the_day(&without, &load));
        let name = format!("instance {instance}, {room}, {:?}: {with_trace:?} {without_trace:?}", problem.goal);
        let cost_counts_first =
            problem.goal.kind == GoalKind::Cheapest || problem.goal.order.first() == Some(&Criterion::Cores);
        let dearer = with_trace.1 > without_trace.1 * (1.0 + 1e-4);
        if cost_counts_first {
            assert!(!dearer, "{name}");
        } else {
            assert!(with_trace.0 >= without_trace.0 - 1e-9, "{name}");
            assert!(!dearer || with_trace.0 > without_trace.0 + 1e-6, "{name}");
        }
        feasible += 1;
        let costs = |gear: &planner::plan::Gear| gear.claims.cost_usd_per_hour.map(f64::from);
        let same = |pair: &[planner::plan::Gear]| {
            pair[0].claims.accuracy == pair[1].claims.accuracy && costs(&pair[0]) < costs(&pair[1])
        };
        cheaper_below += u32::from(with.gears.windows(2).any(same));
    }
    assert!(feasible > 30 && cheaper_below > 8, "{feasible} feasible, {cheaper_below} with a tie in the first level");
}

/// Replicas of both gears are up during a change: strict transitions leave no change that needs more than the inventory has.
#[test]
fn strict_transitions_rule_out_changes_beyond_the_inventory() {
    let facts = facts();
    let mut rng = ChaCha8Rng::seed_from_u64(618);
    let (mut feasible, mut beyond) = (0, 0);
    for instance in 0..32 {
        let (room, on_machines) =
            [("variant-set", false), ("pipeline", false), ("variant-set", true), ("pipeline", true)][instance % 4];
        let mut problem = drawn(&mut rng, room, on_machines);
        // High loads on little hardware.
        problem.workload.max_rps = Rate::saturating(problem.workload.max_rps.get() * rng.random_range(1.0..5.0));
        problem.inventory.cores = problem.inventory.cores.min(rng.random_range(2..=4));
        if rng.random_bool(0.5) {
            let weighted = json!({ "kind": "weighted", "weights": { "accuracy": 1.0, "resource": 0.02 } });
            problem.goal = serde_json::from_value(weighted).expect("a goal");
        }
        let mut strict = problem.clone();
        strict.goal.strict_transitions = true;
        let Answer::Plan(plan) = solve(&problem, &facts, Context::default()).expect("solvable") else { continue };
        let kept = planned(&strict, &facts);
        let name = format!("instance {instance}, {room}, {:?}", problem.goal);
        let findings = check(&kept, &facts, Some(&strict), Tolerance::default());
        assert!(!findings.has_errors(), "{name}: {findings}");
        assert_eq!(kept.overlaps(&strict.inventory), [], "{name}");
        assert_eq!(kept.max_rps(), plan.max_rps(), "{name}");
        let warned = check(&plan, &facts, Some(&problem), Tolerance::default());
        let is_warned = warned.0.iter().any(|finding| finding.code == Code::TransientResources);
        assert_eq!(is_warned, !plan.overlaps(&problem.inventory).is_empty(), "{name}");
        assert!(is_warned || on_machines || kept.gears == plan.gears, "{name}");
        if is_warned {
            let refuted = check(&plan, &facts, Some(&strict), Tolerance::default());
            assert!(refuted.has_errors() && kept.gears.len() < plan.gears.len(), "{name}");
        }
        feasible += 1;
        beyond += usize::from(is_warned);
    }
    assert!(feasible > 10 && beyond > 4, "{feasible} feasible, {beyond} with changes beyond the inventory");
}

/// The same in the room `cascade`, where one placement serves all loads.
#[test]
fn the_last_level_of_a_cascade_makes_latency_shorter() {
    let facts = facts();
    let mut gained = 0;
    for (order, cores) in [(["accuracy", "cores"], 3), (["cores", "accuracy"], 3), (["accuracy", "cores"], 4)] {
        let given = json!({ "accuracy": TOLERANCE, "cores": 1 });
        let asked = |order: &Value| {
            let mut problem = problem("cascade", order, &given);
            problem.workload.max_rps = Rate::saturating(5000.0);
            problem.inventory.cores = cores;
            if let RoomSettings::Cascade(settings) = &mut problem.room {
                settings.certify = false;
                settings.variants = Some(["mlp_s", "cnn_s", "cnn_m", "cnn_l"].map(str::to_owned).to_vec());
            }
            problem
        };
        let without = planned(&asked(&json!(order)), &facts);
        let levels = asked(&json!([order[0], order[1], "latency"]));
        let with = planned(&levels, &facts);
        let findings = check(&with, &facts, Some(&levels), Tolerance::default());
        assert!(!findings.has_errors(), "{order:?}: {findings}");
        let cost = |plan: &Plan| plan.gears[0].claims.cost_usd_per_hour.expect("claimed").get();
        assert!(cost(&with) <= cost(&without) + 0.05 + 1e-9, "{order:?}: {} {}", cost(&with), cost(&without));
        let slowest = |plan: &Plan| {
            let latencies = plan.gears.iter().map(|gear| gear.claims.latency.expect("claimed").value_ms.get());
            latencies.fold(0.0, f64::max)
        };
        assert!(slowest(&with) <= slowest(&without) * 1.01, "{order:?}: {} {}", slowest(&with), slowest(&without));
        gained += usize::from(slowest(&with) < slowest(&without) * 0.98);
    }
    assert!(gained > 0, "latency is never shorter: the level does nothing");
}
