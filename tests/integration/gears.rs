//! The room `cascade`: plans that pass their check, keep their SLO in simulation and obey the laws of the design.

use std::path::Path;
use std::time::Duration;

use planner::base::codec::{from_value, load, to_bytes};
use planner::facts::Facts;
use planner::plan::{Dispatch, Plan, Tolerance, check};
use planner::planners::solve;
use planner::problem::{CascadeSettings, Problem, RoomSettings};
use planner::rooms::{Answer, Context};
use planner::simulate::{Measured, Settings, simulate};
use planner::workload::{Arrivals, Trace};
use serde_json::{Value, json};

fn facts() -> Facts {
    let profile = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json");
    Facts::load(&[profile]).expect("the shipped profile loads")
}

fn problem(max_rps: f64, latency_ms: f64, inventory: &Value, goal: &Value) -> Problem {
    let value = json!({
        "format": "planner.problem/1", "risk": "none", "name": "test", "room": "cascade", "profiles": ["x"],
        "variants": ["mlp_s", "cnn_s", "cnn_m", "cnn_l"],
        "workload": { "max_rps": max_rps }, "slo": { "quantile": 0.95, "latency_ms": latency_ms },
        "inventory": inventory, "goal": goal, "cascade": { "certify": false }
    });
    from_value(value).expect("a good problem").0
}

fn cores(cores: u32) -> Value {
    json!({ "cores": cores, "price_usd_per_core_hour": 0.05 })
}

fn most_accurate() -> Value {
    json!({ "kind": "most-accurate", "gears_at_most": 6 })
}

fn planned(problem: &Problem, facts: &Facts) -> Option<Plan> {
    match solve(problem, facts, Context::default()).expect("facts are there") {
        Answer::Plan(plan) => Some(*plan),
        Answer::Infeasible(_) => None,
    }
}

fn objective(plan: &Plan) -> f64 {
    plan.gears[0].certificate.as_ref().expect("every gear has one").objective
}

/// Two kinds of machines, one too small for all models.
fn machines() -> Value {
    json!({ "cores": 4, "machines": [
        { "name": "small", "cores": 1, "memory_mb": 6.5, "at_most": 3, "price_usd_per_hour": 0.05 },
        { "name": "large", "cores": 2, "at_most": 1, "price_usd_per_hour": 0.12 }
    ] })
}

#[test]
fn every_plan_passes_its_check_and_is_the_same_twice() {
    let facts = facts();
    let goals = [
        most_accurate(),
        json!({ "kind": "cheapest", "accuracy_at_least": 0.93 }),
        json!({ "kind": "cheapest", "mean_accuracy_at_least": 0.94 }),
        json!({ "kind": "cheapest", "mean_accuracy_at_least": 0.94, "accuracy_at_least": 0.92 }),
    ];
    for (inventory, goal) in
        [cores(4), machines()].iter().flat_map(|inventory| goals.iter().map(move |goal| (inventory, goal)))
    {
        let problem = problem(6000.0, 10.0, inventory, goal);
        let plan = planned(&problem, &facts).unwrap_or_else(|| panic!("{goal} can be had on {inventory}"));
        let findings = check(&plan, &facts, Some(&problem), Tolerance::default());
        assert!(!findings.has_errors(), "{goal} on {inventory}: {findings}");
        assert_eq!(Some(to_bytes(&plan)), planned(&problem, &facts).map(|plan| to_bytes(&plan)), "{goal}");
        assert!(plan.gears.windows(2).all(|pair| {
            let accuracy = |gear: &planner::plan::Gear| gear.claims.accuracy.map(|claim| claim.value);
            accuracy(&pair[0]) > accuracy(&pair[1])
        }));
    }
}

#[test]
fn a_gear_at_its_highest_rate_keeps_its_slo_and_its_reach() {
    let facts = facts();
    for inventory in [cores(2), machines()] {
        let plan = planned(&problem(5000.0, 10.0, &inventory, &most_accurate()), &facts).expect("a plan");
        for (index, gear) in plan.gears.iter().enumerate() {
            let alone = Plan { gears: vec![gear.clone()], ..plan.clone() };
            let world = Measured::new(&alone, &facts).expect("all was measured");
            let settings = Settings {
                arrivals: Arrivals::Poisson { rate_rps: gear.up_to_rps.get() },
                duration: Duration::from_secs_f64(30_000.0 / gear.up_to_rps.get()),
                warmup: Duration::from_millis(500),
                seed: 42,
            };
            let report = simulate(&alone, &world, &settings);
            let late = report.whole.violation_share.get();
            assert!(late <= 0.05, "gear {index} on {inventory}: {late} late");
            let seen = report.whole.accuracy.map_or(0.0, f64::from);
            let claimed = gear.claims.accuracy.expect("a claim").value.get();
            assert!((seen - claimed).abs() < 0.006, "gear {index}: {seen} seen, {claimed} claimed");
            for (pool, busy) in &gear.claims.utilisation {
                let seen = report.pools.iter().find(|of| of.name == *pool).expect("the pool").utilisation.get();
                assert!(seen <= busy.get() + 0.05, "gear {index}, {pool}: {seen} busy, {busy} claimed");
            }
        }
    }
}

#[test]
fn more_cores_and_more_time_never_hurt() {
    let facts = facts();
    let value = |count: u32, latency_ms: f64| {
        planned(&problem(9000.0, latency_ms, &cores(count), &most_accurate()), &facts).map(|plan| objective(&plan))
    };
    let by_cores: Vec<Option<f64>> = (1..=4).map(|count| value(count, 10.0)).collect();
    assert!(by_cores.is_sorted() && by_cores[3].is_some(), "{by_cores:?}");
    let by_time: Vec<Option<f64>> = [2.0, 4.0, 8.0, 16.0].map(|ms| value(2, ms)).to_vec();
    assert!(by_time.is_sorted(), "{by_time:?}");
    let price = |least: f64| {
        let goal = json!({ "kind": "cheapest", "mean_accuracy_at_least": least });
        planned(&problem(9000.0, 10.0, &cores(8), &goal), &facts).map_or(f64::INFINITY, |plan| -objective(&plan))
    };
    let prices: Vec<f64> = [0.7, 0.9, 0.94, 0.948].map(price).to_vec();
    assert!(prices.is_sorted() && prices[0] < prices[3], "{prices:?}");
}

#[test]
fn a_target_that_is_met_exactly_makes_no_plan_dearer() {
    let facts = facts();
    for (count, gears) in (1..=4).flat_map(|count| [1, 2, 3, 6].map(|gears| (count, gears))) {
        let goal = json!({ "kind": "most-accurate", "gears_at_most": gears });
        let Some(best) = planned(&problem(6000.0, 10.0, &cores(count), &goal), &facts) else { continue };
        let goal = json!({ "kind": "cheapest", "gears_at_most": gears, "mean_accuracy_at_least": objective(&best) });
        let exact = planned(&problem(6000.0, 10.0, &cores(8), &goal), &facts).expect("it was had on fewer cores");
        let price = -objective(&exact);
        assert!(price <= 0.05 * f64::from(count) + 1e-9, "{gears} gears on {count} cores: {price} USD an hour");
    }
}

#[test]
fn the_fastest_plan_is_as_accurate_as_asked_and_no_plan_is_much_faster() {
    let facts = facts();
    let goal = json!({ "kind": "fastest", "mean_accuracy_at_least": 0.94 });
    let asked = problem(6000.0, 10.0, &cores(2), &goal);
    let plan = planned(&asked, &facts).expect("a plan");
    let findings = check(&plan, &facts, Some(&asked), Tolerance::default());
    assert!(!findings.has_errors(), "{findings}");
    let latency_ms = -objective(&plan);
    assert!(latency_ms < 9.0, "{latency_ms}");
    let claims = plan.gears.iter().filter_map(|gear| gear.claims.latency).map(|claim| claim.value_ms.get());
    assert!(claims.fold(0.0, f64::max) <= latency_ms * (1.0 + 1e-6));
    // A little less time, and the accuracy cannot be had.
    let faster =
        problem(6000.0, latency_ms * 0.97, &cores(2), &json!({ "kind": "cheapest", "mean_accuracy_at_least": 0.94 }));
    assert!(planned(&faster, &facts).is_none());
}

/// Returns the problem with the room's usual settings.
fn certified(mut problem: Problem) -> Problem {
    problem.room = RoomSettings::Cascade(CascadeSettings::default());
    problem
}

#[test]
fn an_accuracy_is_proved_or_the_samples_that_it_takes_are_named() {
    let facts = facts();
    let asked = |least: f64| {
        let goal = json!({ "kind": "cheapest", "mean_accuracy_at_least": least });
        certified(problem(3000.0, 10.0, &cores(4), &goal))
    };
    let plan = planned(&asked(0.9), &facts).expect("0.9 is far below the best");
    let proof = plan.proof.as_ref().expect("a proof");
    assert!(proof.low.get() >= 0.9 && proof.samples == 1000, "{proof:?}");
    let findings = check(&plan, &facts, Some(&asked(0.9)), Tolerance::default());
    assert!(!findings.has_errors(), "{findings}");
    match solve(&asked(0.945), &facts, Context::default()).expect("facts are there") {
        Answer::Infeasible(conflict) => assert!(conflict.to_string().contains("labelled samples"), "{conflict}"),
        Answer::Plan(plan) => panic!("a thousand samples cannot prove it: {:?}", plan.proof),
    }
}

#[test]
fn keys_that_the_room_does_not_act_on_are_refused() {
    let cases = [
        (json!({ "room": "variant-set", "cascade": {} }), "cascade"),
        (json!({ "formulation": "published", "goal": { "kind": "fastest" } }), "goal.kind"),
        (json!({ "cascade": { "delta": 0.0 } }), "cascade.delta"),
        (json!({ "cascade": { "max_length": 9 } }), "max_length"),
        (json!({ "goal": { "kind": "most-accurate", "mean_accuracy_at_least": 0.9 } }), "goal.mean_accuracy_at_least"),
        (json!({ "goal": { "kind": "cheapest" } }), "goal.accuracy_at_least"),
        (json!({ "cascade": { "loss_at_most": 0.1 } }), "cascade.loss_at_most"),
        (json!({ "cascade": { "reference": "cnn_x" } }), "cascade.reference"),
        (
            json!({ "cascade": { "reference": "cnn_l" }, "goal": { "kind": "cheapest", "mean_accuracy_at_least": 0.9 } }),
            "goal.mean_accuracy_at_least",
        ),
    ];
    for (change, key) in cases {
        let mut value = serde_json::to_value(problem(1.0, 10.0, &cores(1), &most_accurate())).expect("a problem");
        value.as_object_mut().expect("a table").remove("cascade");
        for (name, new) in change.as_object().expect("a table") {
            value[name] = new.clone();
        }
        let refused = from_value::<Problem>(value).expect_err("refused").to_string();
        assert!(refused.contains(key), "{change}: {refused}");
    }
}

#[test]
fn requests_stay_where_they_began_on_machines_of_several_kinds() {
    let roomy = json!({ "cores": 4, "machines": [
        { "name": "small", "cores": 1, "at_most": 2, "price_usd_per_hour": 0.05 },
        { "name": "large", "cores": 2, "at_most": 1, "price_usd_per_hour": 0.12 }
    ] });
    let plan = planned(&problem(9000.0, 10.0, &roomy, &most_accurate()), &facts()).expect("a plan");
    assert!(!plan.validate().has_errors(), "{}", plan.validate());
    let stages = plan.gears.iter().flat_map(|gear| &gear.stages[1..]).filter(|stage| stage.lanes.len() > 1);
    let stays: Vec<Dispatch> = stages.map(|stage| stage.dispatch).collect();
    assert!(stays.contains(&Dispatch::Stay), "{stays:?}");
}

#[test]
fn an_impossible_problem_says_why() {
    let goal = json!({ "kind": "cheapest", "accuracy_at_least": 0.94 });
    let conflict = match solve(&problem(60_000.0, 10.0, &cores(2), &goal), &facts(), Context::default()) {
        Ok(Answer::Infeasible(conflict)) => conflict,
        other => panic!("{other:?}"),
    };
    let keys: Vec<&str> = conflict.limits.iter().map(|limit| &*limit.key).collect();
    assert!(keys.contains(&"workload.max_rps") && keys.contains(&"inventory.cores"), "{conflict}");
    for limit in conflict.limits.iter().filter(|limit| limit.key == "workload.max_rps") {
        let less = limit.would_have_to_be.expect("some load is carried") * 0.999;
        assert!(planned(&problem(less, 10.0, &cores(2), &goal), &facts()).is_some(), "{less}");
    }
}

#[test]
fn the_shipped_plan_is_what_its_problem_gives() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shipped = load::<Plan>(&root.join("plans/gears-digits.json")).expect("a good plan").document;
    let problem = load::<Problem>(&root.join("problems/cascade-digits.toml")).expect("a good problem").document;
    let facts = Facts::of_problem(&problem, &root.join("problems")).expect("its facts load");
    let context = Context { capacity_parts: Some(&shipped.provenance.capacity_parts), ..Context::default() };
    let Ok(Answer::Plan(again)) = solve(&problem, &facts, context) else { panic!("a plan") };
    let gears = |plan: &Plan| -> Vec<Value> {
        // Trials certify and claim latencies; `check` makes those again.
        let strip = |gear: &planner::plan::Gear| {
            let mut stripped = planner::plan::Gear { certificate: None, ..gear.clone() };
            stripped.claims.latency = None;
            stripped
        };
        plan.gears.iter().map(|gear| serde_json::to_value(strip(gear)).expect("a gear")).collect()
    };
    assert_eq!((gears(&again), &again.placement), (gears(&shipped), &shipped.placement));
    assert_eq!(again.switch, shipped.switch);
}

/// Asks for accuracy relative to a variant.
fn relative(loss: f64) -> Problem {
    let mut value = serde_json::to_value(problem(3000.0, 10.0, &cores(4), &most_accurate())).expect("a problem");
    value["goal"] = json!({ "kind": "cheapest" });
    value["cascade"] = json!({ "reference": "cnn_l", "loss_at_most": loss });
    from_value(value).expect("a good problem").0
}

#[test]
fn an_accuracy_is_proved_against_a_reference() {
    let facts = facts();
    let asked = relative(0.02);
    let plan = planned(&asked, &facts).expect("2 points are much");
    let proof = plan.proof.clone().expect("a proof");
    let against = proof.against.clone().expect("it is relative");
    assert!(against.variant == "cnn_l" && against.difference_low >= -0.02, "{against:?}");
    assert!(proof.accuracy_at_least.is_none() && proof.low.get() > 0.85, "{proof:?}");
    let found = |plan: &Plan| check(plan, &facts, Some(&asked), Tolerance::default());
    assert!(!found(&plan).has_errors(), "{}", found(&plan));
    let mut forged = plan.clone();
    forged.proof.as_mut().and_then(|proof| proof.against.as_mut()).expect("it is relative").difference_low = -0.03;
    assert!(found(&forged).to_string().contains("difference_low"), "{}", found(&forged));
    forged.proof = None;
    assert!(!found(&forged).has_errors(), "nothing is said of what is not claimed");
    // Fewer disagreements make a sharper test than the number by itself.
    let reference = facts.variant("cnn_l").expect("it is there").accuracy.value.get();
    let goal = json!({ "kind": "cheapest", "mean_accuracy_at_least": reference - 0.01 });
    let absolute = certified(problem(3000.0, 10.0, &cores(4), &goal));
    assert!(planned(&relative(0.01), &facts).is_some() && planned(&absolute, &facts).is_none());
    // What nobody can prove is told with what it takes.
    match solve(&relative(0.0), &facts, Context::default()).expect("facts are there") {
        Answer::Infeasible(conflict) => assert!(conflict.to_string().contains("cascade."), "{conflict}"),
        Answer::Plan(plan) => assert!(plan.proof.expect("a proof").against.expect("one").difference_low >= 0.0),
    }
}

/// Returns the facts with every certainty multiplied.
fn less_certain(by: f32) -> Facts {
    let facts = facts();
    let mut answers = facts.answers("cnn_l").expect("they were recorded").clone();
    let all = answers.variants.iter_mut().flat_map(|(_, of)| of);
    all.for_each(|answer| answer.certainty *= by);
    Facts::of(vec![(facts.profiles[0].clone(), Some(answers))]).expect("names are unique")
}

#[test]
fn inputs_that_have_changed_raise_alarms_and_others_none() {
    let facts = facts();
    let plan = planned(&problem(5000.0, 10.0, &cores(2), &most_accurate()), &facts).expect("a plan");
    let alarms = |facts: &Facts| {
        let world = Measured::new(&plan, facts).expect("all was measured");
        let settings = Settings {
            arrivals: Arrivals::Poisson { rate_rps: 3000.0 },
            duration: Duration::from_secs(20),
            warmup: Duration::ZERO,
            seed: 42,
        };
        let report = simulate(&plan, &world, &settings);
        let seen = report.gears.iter().flat_map(|gear| &gear.drift);
        seen.fold((0, 0, 0), |sum, of| (sum.0 + of.windows, sum.1 + of.window_alarms, sum.2 + of.sum_alarms))
    };
    let (windows, in_windows, sums) = alarms(&facts);
    assert!(windows >= 50 && in_windows == 0 && sums == 0, "{windows} windows, {in_windows} and {sums} alarms");
    let (windows, in_windows, sums) = alarms(&less_certain(0.7));
    assert!(in_windows * 2 > windows && sums > 50, "{windows} windows, {in_windows} and {sums} alarms");
    let mut forged = plan.clone();
    let stages = forged.gears.iter_mut().flat_map(|gear| &mut gear.stages);
    let watch = stages.filter_map(|stage| stage.watch.as_mut()).next().expect("stages with exits are watched");
    watch.onward = watch.high;
    let found = check(&forged, &facts, None, Tolerance::default()).to_string();
    assert!(found.contains("watch.onward"), "{found}");
}

/// A plan whose gears look at the rate every five seconds.
fn slow_to_look(facts: &Facts) -> Plan {
    let mut plan = planned(&problem(5000.0, 10.0, &cores(1), &most_accurate()), facts).expect("a plan");
    assert!(plan.gears.len() > 1, "one gear changes nothing");
    plan.switch.window_ms = planner::base::units::Millis::saturating(5e3);
    plan.gears.iter_mut().for_each(|gear| gear.window_ms = None);
    plan
}

/// The part of the requests that is late where the rate goes from the first gear's to the last's, and back, every ten seconds.
fn late_in_steps(plan: &Plan, facts: &Facts) -> f64 {
    let world = Measured::new(plan, facts).expect("all was measured");
    let rates = [plan.gears[0].up_to_rps.get() * 0.8, plan.max_rps() * 0.95];
    let rates = (0..40).map(|second| rates[usize::from(second % 20 >= 10)]).collect();
    let settings = Settings {
        arrivals: Arrivals::Trace(Trace::new("steps", rates)),
        duration: Duration::from_secs(40),
        warmup: Duration::ZERO,
        seed: 42,
    };
    simulate(plan, &world, &settings).whole.violation_share.get()
}

#[test]
fn a_backlog_calls_the_next_gear_in_the_middle_of_a_window() {
    let facts = facts();
    let mut plan = slow_to_look(&facts);
    let with = late_in_steps(&plan, &facts);
    plan.gears.iter_mut().for_each(|gear| gear.under_way_at_most = None);
    let without = late_in_steps(&plan, &facts);
    assert!(with < 0.02 && without > 0.1, "{with} and {without} late");
}

#[test]
fn a_gear_looks_at_the_rate_for_a_time_of_its_own() {
    let facts = facts();
    let mut plan = slow_to_look(&facts);
    plan.gears.iter_mut().for_each(|gear| gear.under_way_at_most = None);
    let slow = late_in_steps(&plan, &facts);
    // Only the last gear, which nothing follows, still looks every five seconds.
    let follows = plan.gears.len() - 1;
    plan.gears[..follows]
        .iter_mut()
        .for_each(|gear| gear.window_ms = Some(planner::base::units::Millis::saturating(100.0)));
    let quick = late_in_steps(&plan, &facts);
    // A rise comes before a window of 5 s ends as often as after half of it; what piles up in 0.1 s takes some tenths more to go.
    assert!(quick < 0.1 * slow && slow > 0.3, "{quick} and {slow} late");
    let found = planner::plan::diff(&slow_to_look(&facts), &plan);
    assert!(!found.same_rules, "windows are part of the rules");
}
