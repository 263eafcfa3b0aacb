//! Tests of rooms on machines against enumeration: drawn problems, and what every goal must give by trying everything.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::{Choice, Room};
use crate::base::codec::{Loaded, load};
use crate::base::units::Megabytes;
use crate::facts::{Ask, Facts};
use crate::optimize::fleet::FleetKind;
use crate::optimize::pack::{Size, by_trying};
use crate::problem::Problem;
use crate::profile::Profile;

/// Returns so many drawn problems, or as many times more as `PLANNER_DRAWS` says: thousands are for `scripts/test --all`.
pub(super) fn draws(count: u32) -> u32 {
    let times = std::env::var("PLANNER_DRAWS").ok();
    count * times.map_or(1, |times| times.parse::<u32>().expect("PLANNER_DRAWS is a number"))
}

/// A whole choice, and the fewest machines of each kind that hold it.
#[derive(Debug)]
pub(super) struct Whole {
    pub accuracy: f64,
    pub usd: f64,
    pub fleet: Vec<u32>,
}

/// Draws one to three kinds of machines, most with little memory, and facts with what replicas take of it; batches of 1 only,
/// so that choices can be enumerated. The problem has neither a room nor a goal yet.
pub(super) fn drawn(dice: &mut ChaCha8Rng) -> (Value, Facts) {
    static SHIPPED: OnceLock<Loaded<Profile>> = OnceLock::new();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json");
    let mut profile = SHIPPED.get_or_init(|| load::<Profile>(&path).expect("the shipped profile loads")).clone();
    profile.document.points.retain(|point| point.batch == 1);
    for variant in &mut profile.document.variants {
        variant.memory_mb = Megabytes::saturating(f64::from(dice.random_range(2..=14_u32)) * 10.0);
    }
    let kind = |dice: &mut ChaCha8Rng, index: usize| {
        let mut kind = json!({
            "name": format!("k{index}"), "cores": dice.random_range(1..=4), "at_most": dice.random_range(1..=3),
            "price_usd_per_hour": f64::from(dice.random_range(u32::from(index == 0)..=9)) / 70.0
        });
        if dice.random_bool(0.75) {
            kind["memory_mb"] = json!(dice.random_range(8..=30) * 10);
        }
        kind
    };
    let kinds: Vec<Value> = (0..dice.random_range(1..=3)).map(|index| kind(dice, index)).collect();
    let quantile = [0.9, 0.95, 0.99][dice.random_range(0..3)];
    let value = json!({
        "format": "planner.problem/1", "risk": "none", "name": "drawn", "profiles": ["x"],
        "workload": { "max_rps": 10f64.powf(dice.random_range(3.6..5.0)) },
        "slo": { "quantile": quantile, "latency_ms": 10f64.powf(dice.random_range(-0.7..0.9)) },
        "inventory": { "machines": kinds }
    });
    (value, Facts::of(vec![(profile, None)]).expect("one profile"))
}

pub(super) fn with_goal(value: &Value, goal: Value) -> Problem {
    let mut value = value.clone();
    value["goal"] = goal;
    let problem: Problem = serde_json::from_value(value).expect("a problem");
    assert!(!problem.validate().has_errors(), "{}", problem.validate());
    problem
}

/// Returns every way to pick one of so many in each place.
pub(super) fn combinations(sizes: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    (0..sizes.iter().product()).map(move |mut code: usize| {
        let pick = |size: &usize| {
            let pick = code % size;
            code /= size;
            pick
        };
        sizes.iter().map(pick).collect()
    })
}

/// Kind, cores, memory and number of the replicas of each class.
type Classes = Vec<(usize, u32, u64, u32)>;

/// The fewest machines of what was packed already.
pub(super) struct Packed {
    kinds: Vec<FleetKind>,
    known: BTreeMap<Classes, Option<Vec<u32>>>,
}

impl Packed {
    pub fn new(problem: &Problem) -> Self {
        Self { kinds: super::hardware::kinds(problem), known: BTreeMap::new() }
    }

    /// Returns the choice of so many replicas of each size, each on a kind, with the fewest machines by trying every place of
    /// every replica; `None` beyond stock.
    pub fn whole(&mut self, accuracy: f64, classes: Vec<(usize, Size)>) -> Option<Whole> {
        let kinds = &self.kinds;
        let mut key: Classes =
            classes.iter().map(|(kind, size)| (*kind, size.cores, size.memory, size.count)).collect();
        key.sort_unstable();
        let fewest = || {
            let of_kind = |(index, kind): (usize, &FleetKind)| {
                let here: Vec<Size> = classes.iter().filter(|(on, _)| *on == index).map(|(_, size)| *size).collect();
                by_trying::fewest(&here, kind.space, kind.at_most)
            };
            kinds.iter().enumerate().map(of_kind).collect::<Option<Vec<u32>>>()
        };
        let fleet = self.known.entry(key).or_insert_with(fewest).clone()?;
        let usd = fleet.iter().zip(kinds).map(|(&machines, kind)| f64::from(machines) * kind.price).sum();
        Some(Whole { accuracy, usd, fleet })
    }
}

pub(super) fn most(values: impl Iterator<Item = f64>) -> Option<f64> {
    values.reduce(f64::max)
}

/// Holds what a room finds for each goal, and its frontier, against everything that can be chosen; returns the points of the
/// frontier.
pub(super) fn agrees(
    room: &dyn Room,
    dice: &mut ChaCha8Rng,
    value: &Value,
    facts: &Facts,
    all: &[Whole],
    name: &str,
) -> usize {
    let load = value["workload"]["max_rps"].as_f64().expect("drawn");
    let best = |goal: Value| -> Option<Choice> {
        let problem = with_goal(value, goal);
        let ask = Ask::new(&problem, facts);
        let opened = room.open(&ask).expect("known");
        opened.best_at(load).expect("a proof")
    };
    let accurate = most(all.iter().map(|of| of.accuracy));
    let found = best(json!({ "kind": "most-accurate" })).map(|found| numbers(&found));
    same(found, accurate.and_then(|accuracy| cheapest(all, accuracy)), &format!("most-accurate, {name}"));
    let lowest = most(all.iter().map(|of| -of.accuracy)).map_or(0.2, |accuracy| -accuracy);
    let (part, spread) = (dice.random_range(0.0..1.0), accurate.unwrap_or(0.9) - lowest);
    // Between accuracies that rounding cannot tell apart, both answers are right.
    let asked = if spread > 1e-6 { part * spread + lowest } else { lowest - 1e-6 };
    let found = best(json!({ "kind": "cheapest", "accuracy_at_least": asked })).map(|found| numbers(&found));
    same(found, cheapest(all, asked), &format!("cheapest {asked}, {name}"));
    let resource = 10f64.powf(dice.random_range(-2.0..0.5));
    let weights = json!({ "accuracy": 1.0, "resource": resource, "loading": 0.0 });
    let problem = with_goal(value, json!({ "kind": "weighted", "weights": weights }));
    let worth = |usd: f64, accuracy: f64| accuracy - resource * usd / problem.inventory.usd_per_hour();
    let found = best(json!({ "kind": "weighted", "weights": weights })).map(|found| {
        let (usd, accuracy) = numbers(&found);
        (found.objective, worth(usd, accuracy))
    });
    let truth = most(all.iter().map(|of| worth(of.usd, of.accuracy))).map(|best| (best, best));
    same(found, truth, &format!("weighted {resource}, {name}"));
    let ask = Ask::new(&problem, facts);
    let opened = room.open(&ask).expect("known");
    let points = opened.frontier(load).expect("a proof");
    let mut known = f64::NEG_INFINITY;
    for point in &points {
        same(Some(numbers(point)), cheapest(all, known + 1e-8), &format!("frontier, {name}"));
        known = point.accuracy;
    }
    assert!(all.iter().all(|of| of.accuracy <= known + 1e-8), "the frontier ends at {known}, {name}");
    points.len()
}

/// Returns the least price of an accuracy, and the highest accuracy for it.
fn cheapest(all: &[Whole], accuracy_at_least: f64) -> Option<(f64, f64)> {
    let able = || all.iter().filter(|of| of.accuracy >= accuracy_at_least - 1e-9);
    let usd = -most(able().map(|of| -of.usd))?;
    Some((usd, most(able().filter(|of| of.usd <= usd + 1e-9).map(|of| of.accuracy))?))
}

/// Returns what a choice costs and how accurate it is; what it is packed onto costs no more.
fn numbers(choice: &Choice) -> (f64, f64) {
    let usd = choice.usd_per_hour.expect("rented");
    let packed = choice.gear.claims.cost_usd_per_hour.expect("claimed").get();
    assert!(packed <= usd + 1e-9, "packed onto {packed}, found for {usd}");
    (usd, choice.accuracy)
}

fn same(found: Option<(f64, f64)>, truth: Option<(f64, f64)>, name: &str) {
    match (found, truth) {
        (None, None) => {}
        (Some(found), Some(truth)) => {
            let is_near = (found.0 - truth.0).abs() < 1e-9 && (found.1 - truth.1).abs() < 1e-9;
            assert!(is_near, "{name}: {found:?}, enumeration {truth:?}");
        }
        other => panic!("{name}: found, enumeration: {other:?}"),
    }
}
