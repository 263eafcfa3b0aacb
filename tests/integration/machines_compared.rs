//! Machines that are rented whole: why a gear is as it is, what every price buys, and what others would rent.

use std::collections::BTreeMap;

use planner::optimize::Objective;
use planner::optimize::fleet::mix::Mix;
use planner::plan::{Gear, Tolerance, check};
use planner::planners;
use planner::planners::{baselines, explain, frontier, solve};
use planner::rooms::{Answer, BaselineKind, BaselineRules, Chooser, Context};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::machines::{eased, facts, goals, instance, planned, problem, try_everything, two_kinds};

/// Every price that an explanation names is that of solving again, one more machine among them; the runner-up gives up something that
/// the gear has, and is worth no more.
#[test]
fn explanations_on_machines_say_what_solving_again_gives() {
    let facts = facts();
    let mut priced = 0;
    for goal in goals() {
        let problem = problem(20_000.0, &two_kinds(), &goal);
        let plan = planned(&problem, &facts).expect("feasible");
        for (index, gear) in plan.gears.iter().enumerate() {
            let why = explain(&plan, &problem, &facts, index).expect("it is what its problem gives");
            let objective = gear.certificate.as_ref().expect("proved").objective;
            assert!((why.objective - objective).abs() < 1e-9, "{goal} gear {index}: {why:?}");
            let usd = |gear: &Gear| gear.claims.cost_usd_per_hour.expect("claimed").get();
            let own = why.cost_usd_per_hour.expect("rented");
            assert!((own - usd(gear)).abs() < 1e-9 && Some(why.cores) == gear.claims.cores, "{goal} gear {index}");
            let keys: Vec<&str> = why.limits.iter().map(|limit| &*limit.key).collect();
            assert_eq!(
                keys[..4],
                [
                    "inventory.machines[0].at_most",
                    "inventory.machines[0].memory_mb",
                    "inventory.machines[1].at_most",
                    "slo.latency_ms"
                ]
            );
            for limit in &why.limits {
                let mut moved = problem.clone();
                moved.workload.max_rps = gear.up_to_rps;
                eased(&mut moved, &limit.key, limit.loosened_to);
                // A larger stock makes the same machines look cheaper to a weighted goal: prices stay those of the problem.
                if let Some(weights) = &mut moved.goal.weights {
                    let whole = moved.inventory.usd_per_hour() / problem.inventory.usd_per_hour();
                    weights.resource = planner::base::units::Factor::saturating(weights.resource.get() * whole);
                }
                let context = Context { capacity_parts: Some(&plan.provenance.capacity_parts), ..Context::default() };
                let Answer::Plan(again) = solve(&moved, &facts, context).expect("solved") else {
                    panic!("looser limits never refuse")
                };
                let best = again.gears.last().expect("a gear");
                let change = limit.cost_change_usd_per_hour.expect("rented");
                let accuracy = best.claims.accuracy.expect("claimed").value.get();
                let weighs = goal["kind"] == "weighted";
                assert!(weighs || (usd(best) - own - change).abs() < 1e-9, "{goal} gear {index}: {limit:?}");
                let gain = accuracy - why.accuracy - limit.accuracy_gain;
                assert!(weighs || gain.abs() < 1e-9, "{goal} gear {index}: {limit:?} {gain}");
                let objective = best.certificate.as_ref().expect("proved").objective;
                let is_priced = goal["kind"] == "cheapest" && limit.key.ends_with("at_most");
                assert!(
                    is_priced || (objective - why.objective - limit.objective_gain).abs() < 1e-9,
                    "{goal} gear {index}: {limit:?}"
                );
                priced += usize::from(limit.binds);
            }
            if let Some(second) = &why.runner_up {
                assert!(second.objective <= why.objective + 1e-9, "{goal} gear {index}: {second:?}");
            }
        }
    }
    assert!(priced > 3, "{priced} limits bind");
}

/// The frontier of price and accuracy is what trying everything leaves: of drawn instances, and of a problem, whose plans are on it.
#[test]
fn the_frontier_on_machines_is_what_nothing_beats() {
    let mut dice = ChaCha8Rng::seed_from_u64(3);
    let mut points = 0;
    for round in 0..300 {
        let (items, kinds, load) = instance(&mut dice);
        let mix = Mix::new(items.clone(), kinds.clone());
        let found = planner::optimize::fleet::frontier(&kinds, &mix.at(load));
        let whole: f64 = kinds.iter().map(|kind| f64::from(kind.at_most) * kind.price).sum();
        for pair in found.windows(2) {
            assert!(pair[0].cost < pair[1].cost && pair[0].accuracy < pair[1].accuracy, "round {round}: {pair:?}");
        }
        let most = try_everything(&items, &kinds, Objective::MostAccurate, load);
        assert_eq!(found.last().map(|best| best.accuracy).is_some(), most.is_some(), "round {round}");
        let Some((accuracy, ..)) = most else { continue };
        assert!((found[found.len() - 1].accuracy - accuracy).abs() < 1e-9, "round {round}");
        // Each point is the cheapest of its accuracy, and nothing cheaper than the next is more accurate than this one.
        for (index, best) in found.iter().enumerate() {
            let objective = Objective::Cheapest { accuracy_at_least: best.accuracy - 1e-9 };
            let (_, _, cost) = try_everything(&items, &kinds, objective, load).expect("it is one");
            assert!((cost - best.cost).abs() < 1e-9, "round {round}: {cost} for {best:?}");
            if let Some(next) = found.get(index + 1) {
                let objective = Objective::Cheapest { accuracy_at_least: best.accuracy + 1e-8 };
                let (_, _, cost) = try_everything(&items, &kinds, objective, load).expect("the next is one");
                assert!((cost - next.cost).abs() < 1e-9 || whole == 0.0, "round {round}: {cost} for {next:?}");
            }
        }
        points += found.len();
    }
    assert!(points > 250, "{points} points");
    let facts = facts();
    for goal in &goals()[1..] {
        let problem = problem(20_000.0, &two_kinds(), goal);
        let plan = planned(&problem, &facts).expect("feasible");
        let parts = &plan.provenance.capacity_parts;
        let points = frontier(&problem, &facts, parts, 20_000.0).expect("the room has one");
        let claims = &plan.gears.last().expect("a gear").claims;
        let (usd, accuracy) =
            (claims.cost_usd_per_hour.expect("claimed").get(), claims.accuracy.expect("claimed").value);
        let is_on_it = points.iter().any(|point| {
            (point.cost_usd_per_hour.expect("rented") - usd).abs() < 1e-9
                && (point.accuracy - accuracy.get()).abs() < 1e-9
                && point.machines == claims.machines
        });
        assert!(is_on_it, "{goal}: {usd} {accuracy} is not on {points:?}");
    }
}

/// Everybody who chooses from the same machines is beaten or met by the frontier, and every baseline carries the peak on machines
/// that there are.
#[test]
fn others_on_machines_pack_and_do_not_beat_the_frontier() {
    let facts = facts();
    let problem = problem(9_000.0, &two_kinds(), &goals()[0]);
    let found = planners::frontiers(&problem, &facts, &BTreeMap::new(), &[9_000.0]).expect("the room has one");
    let own = |usd: f64| {
        let within = found.choices.iter().filter(|choice| choice.by == Chooser::Frontier);
        let within = within.filter(|choice| choice.cost_usd_per_hour.get() <= usd + 1e-9);
        within.map(|choice| choice.accuracy.get()).fold(0.0, f64::max)
    };
    let others = || found.choices.iter().filter(|choice| choice.by != Chooser::Frontier);
    assert!(others().any(|choice| choice.by == Chooser::MsPlus) && others().count() > 3, "{found:?}");
    for choice in others() {
        assert!(!choice.machines.is_empty(), "{choice:?}");
        assert!(own(choice.cost_usd_per_hour.get()) >= choice.accuracy.get() - 1e-9, "{choice:?} beats the frontier");
    }
    let mut plan = planned(&problem, &facts).expect("feasible");
    plan.provenance.problem = Some(problem.clone());
    let rules = BaselineRules { look_ahead: std::time::Duration::from_secs(60), overloaded: false };
    let mut seen = 0;
    for kind in BaselineKind::of_room(planners::room_of(&problem).expect("it plans")) {
        for baseline in baselines(kind, &plan, &problem, &facts, rules).expect("facts are there") {
            let findings = check(&baseline.plan, &facts, None, Tolerance::default());
            let packs = findings.0.iter().all(|finding| !finding.to_string().contains("machine"));
            assert!(packs && !baseline.plan.validate().has_errors(), "{}: {findings}", baseline.name);
            assert!(baseline.plan.max_rps() >= 9_000.0 * (1.0 - 1e-5), "{} carries the peak", baseline.name);
            // The cascade's machines are devices, each a pool of its own.
            let is_packed =
                kind == BaselineKind::StaticCascade || baseline.plan.gears.iter().all(|gear| !gear.packing.is_empty());
            assert!(is_packed, "{}", baseline.name);
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen} baselines");
}
