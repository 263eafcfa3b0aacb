//! Machines that are rented whole: the search against trying everything, laws, and plans from the shipped profile.

use std::path::Path;
use std::time::Duration;

use planner::base::codec::from_value;
use planner::facts::{Facts, Serving};
use planner::optimize::Objective;
use planner::optimize::fleet::mix::{FleetItem, Mix, Squad};
use planner::optimize::fleet::{FleetKind, Within, best};
use planner::optimize::pack::{Size, Space};
use planner::plan::{Plan, Tolerance, check};
use planner::planners::solve;
use planner::problem::Problem;
use planner::rooms::{Answer, Conflict, Context};
use planner::simulate::{Measured, Settings, simulate};
use planner::workload::Arrivals;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// A small instance: items, kinds and a load.
pub fn instance(dice: &mut ChaCha8Rng) -> (Vec<FleetItem>, Vec<FleetKind>, f64) {
    let kinds: Vec<FleetKind> = (0..dice.random_range(1..=2))
        .map(|_| FleetKind {
            space: Space {
                cores: dice.random_range(3..=5),
                memory: if dice.random_bool(0.4) { dice.random_range(3..=9) } else { u64::MAX },
            },
            at_most: dice.random_range(1..=3),
            price: f64::from(dice.random_range(0..=6)),
        })
        .collect();
    let item = |dice: &mut ChaCha8Rng| {
        let option = |dice: &mut ChaCha8Rng| {
            let size = Size {
                cores: dice.random_range(1..=3),
                memory: dice.random_range(0..=5),
                count: dice.random_range(1..=3),
            };
            let cores = f64::from(size.cores * size.count);
            Squad { size, capacity: cores * dice.random_range(1.0..5.0) }
        };
        FleetItem {
            accuracy: f64::from(dice.random_range(5..=10)) / 10.0,
            kind: dice.random_range(0..kinds.len()),
            options: (0..dice.random_range(1..=4)).map(|_| option(dice)).collect(),
        }
    };
    let items = (0..dice.random_range(1..=4)).map(|_| item(dice)).collect();
    (items, kinds, dice.random_range(1.0..25.0))
}

/// Tells whether these replicas have a place on so many machines, by trying every place of each.
fn fits(replicas: &[(u32, u64)], machines: &mut [Space]) -> bool {
    let Some(&(cores, memory)) = replicas.first() else { return true };
    (0..machines.len()).any(|index| {
        let free = machines[index];
        if free.cores < cores || free.memory < memory {
            return false;
        }
        machines[index] = Space { cores: free.cores - cores, memory: free.memory - memory };
        let all_fit = fits(&replicas[1..], machines);
        machines[index] = free;
        all_fit
    })
}

/// Returns the fewest machines of a kind for what is picked on it; `None` beyond stock.
fn machines_for(items: &[FleetItem], picks: &[usize], index: usize, kind: &FleetKind) -> Option<u32> {
    let chosen = items.iter().zip(picks).filter(|(item, pick)| item.kind == index && **pick > 0);
    let sizes = chosen.map(|(item, pick)| item.options[pick - 1].size);
    let replicas: Vec<(u32, u64)> =
        sizes.flat_map(|size| std::iter::repeat_n((size.cores, size.memory), size.count as usize)).collect();
    (0..=kind.at_most).find(|&machines| fits(&replicas, &mut vec![kind.space; machines as usize]))
}

/// The oracle: every pick of every item, packed by trying every place. Returns (value, accuracy, cost).
pub fn try_everything(
    items: &[FleetItem],
    kinds: &[FleetKind],
    objective: Objective,
    load: f64,
) -> Option<(f64, f64, f64)> {
    let again = |objective: Objective, cost_at_most: f64| within_a_price(items, kinds, objective, load, cost_at_most);
    match objective {
        Objective::AccuracyThenCores { tolerance } => {
            let (_, accuracy, _) = again(Objective::MostAccurate, f64::INFINITY)?;
            again(Objective::Cheapest { accuracy_at_least: accuracy - tolerance }, f64::INFINITY)
        }
        Objective::CoresThenAccuracy { tolerance } => {
            let (_, _, cost) = again(Objective::Cheapest { accuracy_at_least: 0.0 }, f64::INFINITY)?;
            let prices = kinds.iter().map(|kind| kind.price / f64::from(kind.space.cores));
            again(Objective::MostAccurate, cost + f64::from(tolerance) * prices.fold(f64::INFINITY, f64::min))
        }
        other => again(other, f64::INFINITY),
    }
}

/// The same of choices that cost no more than this, where the goal has one level.
fn within_a_price(
    items: &[FleetItem],
    kinds: &[FleetKind],
    objective: Objective,
    load: f64,
    cost_at_most: f64,
) -> Option<(f64, f64, f64)> {
    let whole: f64 = kinds.iter().map(|kind| f64::from(kind.at_most) * kind.price).sum();
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by(|&a, &b| items[b].accuracy.total_cmp(&items[a].accuracy));
    let count: usize = items.iter().map(|item| item.options.len() + 1).product();
    let mut best: Option<(f64, f64, f64)> = None;
    for mut code in 0..count {
        let picks: Vec<usize> = items
            .iter()
            .map(|item| {
                let pick = code % (item.options.len() + 1);
                code /= item.options.len() + 1;
                pick
            })
            .collect();
        let (mut left, mut mass) = (load, 0.0);
        for &index in order.iter().filter(|&&index| picks[index] > 0) {
            let taken = left.min(items[index].options[picks[index] - 1].capacity);
            left -= taken;
            mass += items[index].accuracy * taken;
        }
        if left > 1e-9 * load {
            continue;
        }
        let machines: Option<Vec<u32>> =
            kinds.iter().enumerate().map(|(index, kind)| machines_for(items, &picks, index, kind)).collect();
        let Some(machines) = machines else { continue };
        let cost: f64 = machines.iter().zip(kinds).map(|(count, kind)| f64::from(*count) * kind.price).sum();
        if cost > cost_at_most + 1e-9 {
            continue;
        }
        let used = if whole > 0.0 { cost / whole } else { 0.0 };
        let accuracy = mass / load;
        let value = match objective {
            Objective::MostAccurate => accuracy,
            Objective::Cheapest { accuracy_at_least } if accuracy < accuracy_at_least - 1e-12 => continue,
            Objective::Cheapest { .. } => -used,
            Objective::Weighted { accuracy: weight, resource, .. } => weight * accuracy - resource * used,
            Objective::AccuracyThenCores { .. } | Objective::CoresThenAccuracy { .. } => {
                unreachable!("taken apart above")
            }
        };
        let second = |accuracy: f64, cost: f64| if objective == Objective::MostAccurate { -cost } else { accuracy };
        let wins = best.is_none_or(|(known, known_accuracy, known_cost)| {
            value > known + 1e-9
                || ((value - known).abs() <= 1e-9 && second(accuracy, cost) > second(known_accuracy, known_cost) + 1e-9)
        });
        if wins {
            best = Some((value, accuracy, cost));
        }
    }
    best
}

fn objectives(dice: &mut ChaCha8Rng) -> [Objective; 3] {
    [
        Objective::MostAccurate,
        Objective::Cheapest { accuracy_at_least: dice.random_range(0.5..1.0) },
        Objective::Weighted { accuracy: 1.0, resource: dice.random_range(0.0..1.0), loading: 0.0 },
    ]
}

#[test]
fn the_best_fleet_is_that_of_trying_everything() {
    let mut dice = ChaCha8Rng::seed_from_u64(42);
    let (mut solved, mut fragmented) = (0, 0);
    for round in 0..600 {
        let (items, kinds, load) = instance(&mut dice);
        let mix = Mix::new(items.clone(), kinds.clone());
        let levels = [
            Objective::AccuracyThenCores { tolerance: [0.0, 0.05][round % 2] },
            Objective::CoresThenAccuracy { tolerance: [0, 2][round % 2] },
        ];
        for objective in objectives(&mut dice).into_iter().chain(levels) {
            let found = best(&kinds, objective, &mix.at(load));
            let truth = try_everything(&items, &kinds, objective, load);
            let numbers = found.as_ref().map(|best| (best.value, best.accuracy, best.cost));
            match (numbers, truth) {
                (None, None) => {}
                (Some(found), Some(truth)) => {
                    solved += 1;
                    assert!((found.0 - truth.0).abs() < 1e-9, "round {round}, {objective:?}: {found:?} for {truth:?}");
                    if !matches!(objective, Objective::Weighted { .. }) {
                        assert!(
                            (found.1 - truth.1).abs() < 1e-9,
                            "round {round}, {objective:?}: {found:?} for {truth:?}"
                        );
                        assert!(
                            (found.2 - truth.2).abs() < 1e-9,
                            "round {round}, {objective:?}: {found:?} for {truth:?}"
                        );
                    }
                }
                other => panic!("round {round}, {objective:?}: {other:?}"),
            }
            let Some(found) = found else { continue };
            for (index, kind) in kinds.iter().enumerate() {
                let machines = machines_for(&items, &found.choice, index, kind);
                assert!(machines.is_some_and(|machines| machines <= found.fleet[index]), "round {round} does not pack");
                let size = |(item, &pick): (&FleetItem, &usize)| {
                    if pick > 0 && item.kind == index {
                        item.options[pick - 1].size.cores * item.options[pick - 1].size.count
                    } else {
                        0
                    }
                };
                let cores: u32 = items.iter().zip(&found.choice).map(size).sum();
                fragmented += u32::from(machines.is_some_and(|machines| cores.div_ceil(kind.space.cores) < machines));
            }
        }
    }
    // The instances are not all trivial: many are feasible, and in many the sums alone would promise too much.
    assert!(solved > 600 && fragmented > 50, "{solved} solved, {fragmented} fragmented");
}

/// Of every fleet within stock: what can be enumerated within it is no more accurate than the bound.
#[test]
fn no_fleet_carries_more_than_its_bound() {
    let mut dice = ChaCha8Rng::seed_from_u64(43);
    let (mut tight, mut refused) = (0, 0);
    for round in 0..250 {
        let (items, kinds, load) = instance(&mut dice);
        let mix = Mix::new(items.clone(), kinds.clone());
        let count: u32 = kinds.iter().map(|kind| kind.at_most + 1).product();
        for mut code in 0..count {
            let mut stock = kinds.clone();
            for kind in &mut stock {
                let machines = code % (kind.at_most + 1);
                code /= kind.at_most + 1;
                kind.at_most = machines;
            }
            let fleet: Vec<u32> = stock.iter().map(|kind| kind.at_most).collect();
            let bound = mix.at(load).bound(&fleet, f64::NEG_INFINITY);
            refused += u32::from(bound == f64::NEG_INFINITY);
            if let Some((accuracy, ..)) = try_everything(&items, &stock, Objective::MostAccurate, load) {
                assert!(bound >= accuracy - 1e-12, "round {round}, {fleet:?}: {accuracy} is above {bound}");
                tight += u32::from(bound <= accuracy + 1e-9);
            }
        }
    }
    assert!(tight > 50 && refused > 50, "{tight} bounds are tight, {refused} refuse a fleet");
}

#[test]
fn more_machines_and_lower_prices_never_hurt() {
    let mut dice = ChaCha8Rng::seed_from_u64(7);
    for round in 0..200 {
        let (items, kinds, load) = instance(&mut dice);
        let [most_accurate, cheapest, _] = objectives(&mut dice);
        let of =
            |kinds: &[FleetKind], objective| best(kinds, objective, &Mix::new(items.clone(), kinds.to_vec()).at(load));
        let mut more = kinds.clone();
        more[0].at_most += 1;
        let mut dearer = kinds.clone();
        dearer[0].price += 1.0;
        if let Some(before) = of(&kinds, cheapest) {
            assert!(of(&more, cheapest).is_some_and(|after| after.cost <= before.cost + 1e-9), "round {round}");
            assert!(of(&dearer, cheapest).is_some_and(|after| after.cost >= before.cost - 1e-9), "round {round}");
        }
        if let Some(before) = of(&kinds, most_accurate) {
            let after = of(&more, most_accurate);
            assert!(after.is_some_and(|after| after.accuracy >= before.accuracy - 1e-9), "round {round}");
        }
    }
}

pub fn facts() -> Facts {
    let profile = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json");
    Facts::load(&[profile]).expect("the shipped profile loads")
}

pub fn problem(max_rps: f64, inventory: &Value, goal: &Value) -> Problem {
    let value = json!({
        "format": "planner.problem/1", "risk": "none", "name": "test", "room": "variant-set", "profiles": ["x/digits.json"],
        "workload": { "max_rps": max_rps }, "slo": { "quantile": 0.99, "latency_ms": 10 },
        "inventory": inventory, "goal": goal
    });
    from_value(value).expect("a good problem").0
}

pub fn two_kinds() -> Value {
    json!({ "machines": [
        { "name": "small", "cores": 2, "memory_mb": 7, "at_most": 3, "price_usd_per_hour": 0.09 },
        { "name": "large", "cores": 4, "at_most": 1, "price_usd_per_hour": 0.16 },
    ] })
}

pub fn goals() -> [Value; 3] {
    [
        json!({ "kind": "weighted", "weights": { "accuracy": 1.0, "resource": 0.05, "loading": 0.0 } }),
        json!({ "kind": "cheapest", "accuracy_at_least": 0.93 }),
        json!({ "kind": "most-accurate" }),
    ]
}

pub fn planned(problem: &Problem, facts: &Facts) -> Result<Plan, Conflict> {
    match solve(problem, facts, Context::default()).expect("a proof") {
        Answer::Plan(plan) => Ok(*plan),
        Answer::Infeasible(conflict) => Err(conflict),
    }
}

#[test]
fn every_plan_on_machines_packs_and_passes_its_check() {
    let facts = facts();
    for goal in goals() {
        for max_rps in [300.0, 20_000.0] {
            let problem = problem(max_rps, &two_kinds(), &goal);
            let Ok(plan) = planned(&problem, &facts) else { panic!("{goal} {max_rps}: infeasible") };
            let findings = check(&plan, &facts, Some(&problem), Tolerance::default());
            assert!(!findings.has_errors(), "{goal} {max_rps}: {findings}");
            assert_eq!(plan.max_rps(), max_rps);
            assert!(plan.gears.iter().all(|gear| !gear.packing.is_empty() && !gear.claims.machines.is_empty()));
            let again = planned(&problem, &facts).expect("as before");
            assert_eq!(plan, again, "{goal}: another plan the second time");
        }
    }
}

/// What an objective means stands beside it; boot and billing change neither decisions nor what a gear claims to cost.
#[test]
fn certificates_say_what_they_count_and_bills_leave_decisions_alone() {
    use planner::plan::ObjectiveUnit::{Accuracy, PartOfCores, PartOfPrice, WeightedSum};
    let facts = facts();
    let cores = json!({ "cores": 4, "price_usd_per_core_hour": 0.04 });
    let mut billed = two_kinds();
    billed["machines"][0]["boot_ms"] = json!(60_000);
    billed["machines"][0]["billing"] = json!({ "step_s": 3600 });
    for (goal, [on_cores, on_machines]) in
        goals().iter().zip([[WeightedSum; 2], [PartOfCores, PartOfPrice], [Accuracy; 2]])
    {
        let plan = |inventory: &Value| planned(&problem(300.0, inventory, goal), &facts).expect("feasible");
        for (inventory, unit) in [(&cores, on_cores), (&two_kinds(), on_machines)] {
            for gear in plan(inventory).gears {
                let certificate = gear.certificate.expect("certified");
                let kind = serde_json::to_value(certificate.goal.expect("stated")).expect("a word");
                assert_eq!((&kind, certificate.unit), (&goal["kind"], Some(unit)));
            }
        }
        let (plain, slow) = (plan(&two_kinds()), plan(&billed));
        assert_eq!(plain.gears, slow.gears, "{goal}");
        assert_eq!(slow.machines[0].boot_ms.expect("given").get(), 60_000.0);
        let problem = problem(300.0, &billed, goal);
        assert!(!check(&slow, &facts, Some(&problem), Tolerance::default()).has_errors());
        let changed = check(&plain, &facts, Some(&problem), Tolerance::default());
        assert!(changed.has_errors(), "the plan has other kinds than the problem");
    }
}

/// A gear that nothing takes the plan out of costs in simulation what its machines cost.
#[test]
fn a_gear_that_stays_pays_the_rent_that_it_claims() {
    let facts = facts();
    let plan = planned(&problem(20_000.0, &two_kinds(), &goals()[0]), &facts).expect("feasible");
    for gear in &plan.gears {
        let alone = Plan { gears: vec![gear.clone()], ..plan.clone() };
        let settings = Settings {
            arrivals: Arrivals::Constant { rate_rps: gear.up_to_rps.get() },
            duration: Duration::from_secs(1),
            warmup: Duration::from_millis(100),
            seed: 1,
        };
        let report = simulate(&alone, &Measured::new(&alone, &facts).expect("measured"), &settings);
        let claimed = gear.claims.cost_usd_per_hour.expect("claimed").get();
        assert!(claimed > 0.0 && (report.cost_usd_per_hour() / claimed - 1.0).abs() < 1e-9, "{claimed}: {report:?}");
    }
}

/// Every gear costs no more than the one above it, and solving at its highest load alone gives the same value.
#[test]
fn gears_are_what_their_loads_alone_give() {
    let facts = facts();
    let mut compared = 0;
    for goal in goals() {
        let plan = planned(&problem(20_000.0, &two_kinds(), &goal), &facts).expect("feasible");
        for gear in &plan.gears {
            let alone = planned(&problem(gear.up_to_rps.get(), &two_kinds(), &goal), &facts).expect("feasible");
            // A claim beyond the SLO cuts capacities of the whole plan: then the two are of different problems.
            if alone.provenance.capacity_parts != plan.provenance.capacity_parts {
                continue;
            }
            compared += 1;
            let value = |gear: &planner::plan::Gear| gear.certificate.as_ref().expect("certified").objective;
            let best = value(alone.gears.last().expect("a gear"));
            assert!((value(gear) - best).abs() < 1e-9, "{goal} at {}", gear.up_to_rps);
        }
        if goal["kind"] == "cheapest" {
            let costs: Vec<f64> =
                plan.gears.iter().map(|gear| gear.claims.cost_usd_per_hour.expect("claimed").get()).collect();
            assert!(costs.is_sorted() && costs.len() > 1, "{costs:?}");
        }
    }
    assert!(compared > 4, "{compared} gears compared");
}

/// One core a machine at the price of a core is the plain inventory, as far as replicas of one core go.
#[test]
fn machines_of_one_core_are_cores() {
    let facts = facts();
    let mut compared = 0;
    for goal in goals() {
        let cores = json!({ "cores": 6, "price_usd_per_core_hour": 0.04 });
        let machines = json!({ "machines": [
            { "name": "core", "cores": 1, "at_most": 6, "price_usd_per_hour": 0.04 } ] });
        // At most one core a replica on both sides: what was measured on two is left out.
        let mut of_one = facts.profiles[0].clone();
        of_one.document.points.retain(|point| point.cores == 1);
        let facts = Facts::of(vec![(of_one, None)]).expect("one profile");
        for max_rps in [500.0, 9_000.0] {
            let on_cores = planned(&problem(max_rps, &cores, &goal), &facts);
            let on_machines = planned(&problem(max_rps, &machines, &goal), &facts);
            let numbers = |plan: Result<Plan, Conflict>| {
                plan.ok().filter(|plan| plan.provenance.capacity_parts.is_empty()).map(|plan| {
                    let gear = plan.gears.last().expect("a gear").clone();
                    (gear.certificate.expect("certified").objective, gear.claims.cores, gear.claims.cost_usd_per_hour)
                })
            };
            let (plain, rented) = (numbers(on_cores), numbers(on_machines));
            let (Some(plain), Some(rented)) = (plain, rented) else { continue };
            compared += 1;
            assert!((plain.0 - rented.0).abs() < 1e-9, "{goal} {max_rps}: {plain:?} for {rented:?}");
            assert_eq!(plain.1, rented.1, "{goal} {max_rps}");
            let cost =
                |numbers: (f64, Option<u32>, Option<planner::base::units::Usd>)| numbers.2.expect("claimed").get();
            assert!((cost(plain) - cost(rented)).abs() < 1e-9, "{goal} {max_rps}");
        }
    }
    assert!(compared > 2, "{compared} plans compared");
}

/// Returns the errors of a check as `key: cause`.
fn errors(plan: &Plan, facts: &Facts, problem: Option<&Problem>) -> String {
    check(plan, facts, problem, Tolerance::default()).to_string()
}

#[test]
fn a_packing_that_was_tampered_with_is_refuted() {
    let facts = facts();
    let problem = problem(20_000.0, &two_kinds(), &goals()[1]);
    let sound = planned(&problem, &facts).expect("feasible");
    let last = sound.gears.len() - 1;
    let tampered = |change: &dyn Fn(&mut Plan)| {
        let mut plan = sound.clone();
        change(&mut plan);
        errors(&plan, &facts, Some(&problem))
    };
    let homeless = tampered(&|plan| plan.gears[last].packing[0].count += 1);
    assert!(homeless.contains("have a place on a machine"), "{homeless}");
    let narrow = tampered(&|plan| plan.machines.iter_mut().for_each(|kind| kind.cores = 1));
    assert!(narrow.contains("cores, a machine"), "{narrow}");
    let full = tampered(&|plan| {
        let one_mb = Some(planner::base::units::Megabytes::saturating(1.0));
        plan.machines.iter_mut().for_each(|kind| kind.memory_mb = one_mb);
    });
    assert!(full.contains("MB, a machine"), "{full}");
    let cheap = tampered(&|plan| plan.gears[last].claims.cost_usd_per_hour = Some(planner::base::units::Usd::ZERO));
    assert!(cheap.contains("claims.cost_usd_per_hour"), "{cheap}");
    let few = tampered(&|plan| plan.machines.iter_mut().for_each(|kind| kind.at_most = 0));
    assert!(few.contains("are rented, there are 0"), "{few}");
    let lying = tampered(&|plan| {
        plan.gears[last].claims.machines.insert("small".to_owned(), 99);
    });
    assert!(lying.contains("claims.machines"), "{lying}");
    let nowhere = tampered(&|plan| plan.placement[0].machine = Some("huge".to_owned()));
    assert!(nowhere.contains("no kind of machine is called `huge`"), "{nowhere}");
}

#[test]
fn stock_and_memory_are_limits_in_conflict() {
    let facts = facts();
    for (max_rps, memory_mb, wanted) in
        [(100.0, 3.0, "inventory.machines[0].memory_mb"), (40_000.0, 99.0, "inventory.machines[0].at_most")]
    {
        let little = json!({ "machines": [
            { "name": "tiny", "cores": 2, "memory_mb": memory_mb, "at_most": 1, "price_usd_per_hour": 0.1 } ] });
        let refused = problem(max_rps, &little, &json!({ "kind": "cheapest", "accuracy_at_least": 0.92 }));
        let conflict = planned(&refused, &facts).expect_err("too little");
        assert!(conflict.limits.iter().any(|limit| limit.key == wanted), "{conflict}");
        each_way_out_works(&refused, &conflict, &facts);
    }
}

fn each_way_out_works(refused: &Problem, conflict: &Conflict, facts: &Facts) {
    for limit in &conflict.limits {
        let Some(value) = limit.would_have_to_be else { continue };
        let mut moved = refused.clone();
        eased(&mut moved, &limit.key, value);
        assert!(planned(&moved, facts).is_ok(), "{} = {value} does not help", limit.key);
    }
}

/// Moves a limit of a problem, by its key.
pub fn eased(problem: &mut Problem, key: &str, value: f64) {
    match key {
        "workload.max_rps" => problem.workload.max_rps = planner::base::units::Rate::saturating(value),
        "slo.latency_ms" => problem.slo.latency_ms = planner::base::units::Millis::saturating(value),
        "goal.accuracy_at_least" => {
            problem.goal.accuracy_at_least = Some(planner::base::units::Accuracy::saturating(value));
        }
        "inventory.machines[0].at_most" => problem.inventory.machines[0].at_most = value as u32,
        "inventory.machines[1].at_most" => problem.inventory.machines[1].at_most = value as u32,
        "inventory.machines[0].memory_mb" => {
            problem.inventory.machines[0].memory_mb = Some(planner::base::units::Megabytes::saturating(value));
        }
        other => panic!("no such limit: {other}"),
    }
}

/// Two kinds of CPU with a profile each of the same variants: a pool's times are those of its kind.
#[test]
fn each_kind_has_its_own_facts() {
    let of = |file: &str, slower: f64| {
        let mut profile = facts().profiles[0].clone();
        profile.path = file.into();
        for point in &mut profile.document.points {
            let times = |ms: planner::base::units::Millis| planner::base::units::Millis::saturating(ms.get() * slower);
            point.latency.mean_ms = times(point.latency.mean_ms);
            point.latency.p50.value_ms = times(point.latency.p50.value_ms);
            for ns in point.histogram.iter_mut().flat_map(|histogram| &mut histogram.value_ns) {
                *ns = (*ns as f64 * slower) as u64;
            }
        }
        profile
    };
    let inventory = json!({ "machines": [
        { "name": "old", "cores": 4, "at_most": 4, "price_usd_per_hour": 0.1, "profiles": ["old.json"] },
        { "name": "new", "cores": 4, "at_most": 4, "price_usd_per_hour": 0.15, "profiles": ["new.json"] },
    ] });
    let mut problem = problem(2_000.0, &json!({ "cores": 1 }), &goals()[1]);
    problem.profiles = vec!["old.json".into(), "new.json".into()];
    problem.inventory = serde_json::from_value(inventory).expect("an inventory");
    assert!(problem.validate().0.is_empty(), "{}", problem.validate());
    let profiles = || vec![(of("old.json", 4.0), None), (of("new.json", 1.0), None)];
    assert!(Facts::of(profiles()).is_err(), "without kinds nobody knows which of the two holds");
    let facts = Facts::of_kinds(profiles(), &problem.inventory.machines, Serving::of(&problem))
        .expect("a profile for each kind");
    problem.workload.max_rps = planner::base::units::Rate::saturating(20_000.0);
    let plan = planned(&problem, &facts).expect("feasible");
    let findings = check(&plan, &facts, Some(&problem), Tolerance::default());
    assert!(!findings.has_errors(), "{findings}");
    // Four times as slow for two thirds of the price: at this load the new kind alone is worth it.
    assert!(plan.gears.last().expect("a gear").claims.machines.contains_key("new"), "{:?}", plan.gears.last());
    let mut swapped = plan;
    swapped.machines[0].profiles = vec!["new.json".to_owned()];
    swapped.machines[1].profiles = vec!["old.json".to_owned()];
    assert!(check(&swapped, &facts, None, Tolerance::default()).has_errors(), "facts of another kind pass");
}

/// A plan on machines whose gears differ in what their machines hold and in their replicas of `cnn_s`.
fn packed_plan(packings: [Value; 2], replicas: [u32; 2]) -> Plan {
    let gear = |index: usize| {
        json!({
            "up_to_rps": 100.0 * (index + 1) as f64, "replicas": { "mlp_s": 1, "cnn_s": replicas[index] },
            "packing": packings[index], "stages": [{ "name": "digits", "dispatch": "share", "lanes": [
                { "variant": "mlp_s", "pool": "mlp_s", "share": 0.5 }, { "variant": "cnn_s", "pool": "cnn_s", "share": 0.5 }
            ] }]
        })
    };
    let pool = |name: &str| json!({ "name": name, "replicas": 2, "hosts": [name], "machine": "m", "on": { "kind": "cores", "cores": 1 } });
    let plan = json!({
        "format": "planner.plan/1", "name": "packed", "slo": { "quantile": 0.99, "latency_ms": 50.0 },
        "machines": [{ "name": "m", "cores": 2, "at_most": 3, "price_usd_per_hour": 1.0, "boot_ms": 7000.0 }],
        "placement": [pool("mlp_s"), pool("cnn_s")], "gears": [gear(0), gear(1)],
        "switch": { "window_ms": 1000.0, "up": 0.9, "down": 0.8, "dwell_ms": 10000.0, "drain": "own-gear" },
        "provenance": { "tool": "by hand", "room": "variant-set", "seed": 0, "inputs": [] }
    });
    from_value(plan).expect("a good plan").0
}

#[test]
fn a_change_that_puts_replicas_on_more_machines_waits_for_their_boot() {
    let facts = facts();
    let machine = |count: u32, replicas: &[(&str, u32)]| {
        let held: serde_json::Map<_, _> = replicas.iter().map(|(name, up)| ((*name).to_owned(), json!(up))).collect();
        json!({ "machine": "m", "count": count, "replicas": held })
    };
    let both = json!([machine(1, &[("mlp_s", 1), ("cnn_s", 1)])]);
    let apart = json!([machine(1, &[("mlp_s", 1)]), machine(1, &[("cnn_s", 1)])]);
    let grown = json!([machine(1, &[("mlp_s", 1), ("cnn_s", 1)]), machine(1, &[("cnn_s", 1)])]);
    let load_ms = |names: &[&str]| {
        names.iter().map(|name| facts.variant(name).expect("there").load_time_ms.get()).fold(0.0, f64::max)
    };
    let cases = [
        ("apart", [both.clone(), apart.clone()], [1, 1], 7000.0 + load_ms(&["mlp_s", "cnn_s"])),
        ("one more", [both.clone(), grown], [1, 2], 7000.0 + load_ms(&["cnn_s"])),
        ("together", [apart, both.clone()], [1, 1], 0.0),
        ("the same", [both.clone(), both], [1, 1], 0.0),
    ];
    for (name, packings, replicas, wait_ms) in cases {
        let plan = packed_plan(packings, replicas);
        let settings = Settings {
            arrivals: Arrivals::Step { from_rps: 60.0, to_rps: 150.0, at_s: 20.0 },
            duration: Duration::from_secs(60),
            warmup: Duration::ZERO,
            seed: 3,
        };
        let report = simulate(&plan, &Measured::new(&plan, &facts).expect("measured"), &settings);
        assert_eq!(report.changes.len(), 1, "{name}");
        let waited_ms = report.changes[0].waited_ms.get();
        assert!((waited_ms - wait_ms).abs() < 1e-3, "{name}: {waited_ms} for {wait_ms}");
    }
}
