//! Schedules against enumeration: every allotment in every period, with shares of the period's own rate.

use std::collections::BTreeMap;
use std::path::Path;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::{Model, VariantSet};
use crate::base::codec::{from_value, load};
use crate::base::units::Millis;
use crate::facts::{Ask, Facts};
use crate::plan::{Tolerance, check};
use crate::problem::{Criterion, GoalKind, Problem};
use crate::profile::Profile;
use crate::rooms::configurations::configurations;
use crate::rooms::schedule;
use crate::workload::RecordedLoad;

const VARIANTS: [&str; 3] = ["mlp_s", "cnn_m", "cnn_l"];
const PERIOD_S: f64 = 60.0;

/// The digits with load times of which changes can be told, in seconds.
fn facts(load_s: [f64; 3]) -> Facts {
    let mut profile =
        load::<Profile>(&Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json")).expect("shipped");
    for (name, seconds) in VARIANTS.iter().zip(load_s) {
        let mut variants = profile.document.variants.iter_mut();
        variants.find(|variant| variant.name == *name).expect("there").load_time_ms = Millis::saturating(1e3 * seconds);
    }
    Facts::of(vec![(profile, None)]).expect("one profile")
}

fn drawn(rng: &mut ChaCha8Rng) -> Problem {
    let goal = match rng.random_range(0..5) {
        0 => json!({ "kind": "weighted", "weights": { "accuracy": 1.0, "resource": rng.random_range(0.0..0.3) } }),
        1 => json!({ "kind": "cheapest", "accuracy_at_least": rng.random_range(0.75..0.93) }),
        2 => json!({ "kind": "most-accurate" }),
        3 => json!({ "kind": "lexicographic", "order": ["accuracy", "cores"],
                     "tolerances": { "accuracy": rng.random_range(0.0..0.03) } }),
        _ => json!({ "kind": "lexicographic", "order": ["cores", "accuracy"],
                     "tolerances": { "cores": rng.random_range(0..=1) } }),
    };
    from_value(json!({
        "format": "planner.problem/1", "risk": "none", "name": "day", "room": "variant-set", "profiles": ["x"], "variants": VARIANTS,
        "workload": { "max_rps": 9000.0 }, "slo": { "quantile": 0.99, "latency_ms": 12.0 },
        "inventory": { "cores": rng.random_range(2..=4), "price_usd_per_core_hour": 0.05 }, "goal": goal
    }))
    .expect("a good problem")
    .0
}

/// An allotment: replicas and cores of each by variant, and how accurate it is at each rate that it carries.
struct Fleet {
    pools: BTreeMap<(usize, u32), u32>,
    cores: u32,
    accuracies: Vec<Option<f64>>,
}

/// Returns the highest accuracy at a load with these capacities, over a grid of shares.
fn on_a_grid(capacities: &[f64], accuracies: &[f64], load: f64) -> f64 {
    let steps = 20;
    let parts = (0..=steps).flat_map(|a| (0..=steps - a).map(move |b| [a, b, steps - a - b]));
    let right = parts.filter_map(|parts| {
        let share = parts.map(|part| f64::from(part) / f64::from(steps));
        let fits = share.iter().zip(capacities).all(|(share, capacity)| share * load <= capacity + 1e-9);
        fits.then(|| share.iter().zip(accuracies).map(|(share, accuracy)| share * accuracy).sum::<f64>())
    });
    right.fold(f64::NEG_INFINITY, f64::max)
}

fn fleets(ask: &Ask<'_>, rates: &[f64]) -> Vec<Fleet> {
    let model = Model::new(ask, configurations).expect("measured");
    let items = &model.items;
    let accuracies: Vec<f64> = items.iter().map(|(name, _)| ask.accuracy(name).expect("known")).collect();
    let mut all = vec![Vec::new()];
    for (_, configurations) in items {
        let with = |before: &Vec<Option<usize>>| {
            let options = std::iter::once(None).chain((0..configurations.len()).map(Some));
            options.map(|option| [before.clone(), vec![option]].concat()).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(with).collect();
    }
    let fleet = |picks: Vec<Option<usize>>| {
        let mut pools = BTreeMap::new();
        let (mut cores, mut capacities) = (0, Vec::new());
        for (item, pick) in picks.iter().enumerate() {
            let way = pick.map(|pick| &items[item].1[pick]);
            cores += way.map_or(0, |way| way.cores());
            capacities.push(way.map_or(0.0, |way| way.capacity));
            pools.extend(way.map(|way| ((item, way.cores_each), way.replicas)));
        }
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by(|&a, &b| accuracies[b].total_cmp(&accuracies[a]));
        let accuracy = |&rate: &f64| {
            let (mut left, mut right) = (rate, 0.0);
            for &item in &order {
                let taken = capacities[item].min(left);
                (left, right) = (left - taken, right + taken * accuracies[item]);
            }
            let accuracy = (left <= 1e-9 * rate).then_some(right / rate);
            assert!(on_a_grid(&capacities, &accuracies, rate) <= accuracy.unwrap_or(f64::NEG_INFINITY) + 1e-9);
            accuracy
        };
        Fleet { cores, accuracies: rates.iter().map(accuracy).collect(), pools }
    };
    all.into_iter().map(fleet).filter(|fleet| fleet.cores <= ask.problem.core_budget()).collect()
}

/// Core-seconds of a change: what starts is up beside the old for the longest load, what leaves for the SLO.
fn taken(from: &Fleet, to: &Fleet, load_s: [f64; 3], slo_s: f64) -> f64 {
    let beyond = |these: &Fleet, others: &Fleet| -> (u32, f64) {
        let (mut cores, mut longest) = (0, 0.0);
        for (pool, up) in &these.pools {
            let more = up.saturating_sub(others.pools.get(pool).copied().unwrap_or(0));
            if more > 0 {
                (cores, longest) = (cores + more * pool.1, f64::max(longest, load_s[pool.0]));
            }
        }
        (cores, longest)
    };
    let (starts, load_s) = beyond(to, from);
    f64::from(starts) * load_s + f64::from(beyond(from, to).0) * slo_s
}

/// What a day is worth level by level, from its definition.
fn levels(problem: &Problem, accuracy: f64, used: f64) -> [f64; 2] {
    let weights = problem.goal.weights.unwrap_or_default();
    match problem.goal.valued_as() {
        GoalKind::Weighted => [weights.accuracy.get() * accuracy - weights.resource.get() * used, -used],
        GoalKind::Cheapest => [-used, accuracy],
        _ => [accuracy, -used],
    }
}

#[test]
fn no_day_is_worth_more_than_its_schedule() {
    let mut rng = ChaCha8Rng::seed_from_u64(117);
    let (mut carried, mut stayed) = (0, 0);
    for instance in 0..40 {
        let problem = drawn(&mut rng);
        let longest = [0.001, 1.0, 20.0, 200.0][rng.random_range(0..4)];
        let load_s = [0.2, 0.5, 1.0].map(|part| longest * part);
        let rates: Vec<f64> = (0..3).map(|_| rng.random_range(300.0..9000.0)).collect();
        let facts = facts(load_s);
        let ask = Ask::new(&problem, &facts);
        let fleets = fleets(&ask, &rates);
        let (requests, seconds): (f64, f64) = (rates.iter().sum::<f64>() * PERIOD_S, 3.0 * PERIOD_S);
        let allowed: Vec<Vec<usize>> = (0..3).map(|period| allowed(&problem, &fleets, period)).collect();
        let mut best: Option<[f64; 2]> = None;
        for day in every_day(&allowed) {
            let accuracy: f64 = (0..3)
                .map(|period| {
                    fleets[day[period]].accuracies[period].expect("allowed") * rates[period] * PERIOD_S / requests
                })
                .sum();
            let up: f64 = day.iter().map(|&fleet| f64::from(fleets[fleet].cores) * PERIOD_S).sum();
            let paid: f64 = day.windows(2).map(|pair| taken(&fleets[pair[0]], &fleets[pair[1]], load_s, 0.012)).sum();
            let value = levels(&problem, accuracy, (up + paid) / seconds / f64::from(problem.core_budget()));
            if best.is_none_or(|best| value[0] > best[0] + 1e-12 || value[0] > best[0] - 1e-12 && value[1] > best[1]) {
                best = Some(value);
            }
        }
        let found = schedule(&VariantSet, &problem, &facts, &RecordedLoad::of_rates(rates, PERIOD_S), PERIOD_S);
        let found = found.expect("solvable");
        let name = format!("instance {instance}, {:?}", problem.goal);
        assert_eq!(found.is_some(), best.is_some(), "{name}");
        let (Some(plan), Some(best)) = (found, best) else { continue };
        let findings = check(&plan, &facts, Some(&problem), Tolerance::default());
        assert!(!findings.has_errors(), "{name}: {findings}");
        let day = plan.day.expect("worked out");
        let used =
            (day.total.core_hours + day.total.change_core_hours) * 3600.0 / seconds / f64::from(problem.core_budget());
        let value = levels(&problem, day.total.accuracy.get(), used);
        assert!(
            (value[0] - best[0]).abs() < 1e-9 && (value[1] - best[1]).abs() < 1e-9,
            "{name}: {value:?} for {best:?}, {day:?}"
        );
        assert!((day.bound.expect("known") - day.total.value).abs() < 1e-9, "{name}: {day:?}");
        for period in &plan.periods {
            let gear = &plan.gears[period.gear];
            let lanes = gear.stages[0].lanes.iter();
            assert!(lanes.clone().all(|lane| lane.share.is_some_and(|share| share.get() > 0.0)), "{name}");
        }
        carried += 1;
        stayed += usize::from(day.total.changes < day.greedy.changes);
    }
    assert!(carried > 20 && stayed > 3, "{carried} carried, {stayed} stayed where greedy changes");
}

/// Returns every sequence of one fleet a period.
fn every_day(allowed: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut days = vec![Vec::new()];
    for period in allowed {
        days = days.iter().flat_map(|day| period.iter().map(move |&fleet| [&day[..], &[fleet]].concat())).collect();
    }
    days
}

/// Returns the fleets that the first level of the goal lets a period take.
fn allowed(problem: &Problem, fleets: &[Fleet], period: usize) -> Vec<usize> {
    let carry: Vec<usize> = (0..fleets.len()).filter(|&fleet| fleets[fleet].accuracies[period].is_some()).collect();
    let accuracy = |fleet: usize| fleets[fleet].accuracies[period].expect("it carries");
    let most = carry.iter().map(|&fleet| accuracy(fleet)).fold(f64::NEG_INFINITY, f64::max);
    let fewest = carry.iter().map(|&fleet| fleets[fleet].cores).min().unwrap_or(0);
    let goal = &problem.goal;
    let tolerances = goal.tolerances.unwrap_or_default();
    let is_allowed = |&fleet: &usize| match (goal.kind, goal.order.first()) {
        (GoalKind::Lexicographic, Some(Criterion::Cores)) => fleets[fleet].cores <= fewest + tolerances.cores,
        (GoalKind::Lexicographic, _) => accuracy(fleet) >= most - tolerances.accuracy.get() - 1e-12,
        _ => goal.accuracy_at_least.is_none_or(|least| accuracy(fleet) >= least.get() - 1e-12),
    };
    carry.into_iter().filter(is_allowed).collect()
}
