//! Mixtures: two ways side by side in a stage, each with a fixed part of its calls.
//!
//! ```text
//! accuracy s·a + (1 − s)·b       cost the sum       distribution s·F_a(s·λ) + (1 − s)·F_b((1 − s)·λ)
//! ```
//!
//! Parts are eighths at every load, so what can be chosen does not depend on the load and breakpoints stay exact. Of the ways
//! of one variant at one part only those can be in a best mixture that no other beats in cost and responses: the mixture depends on
//! them through these alone, and monotonically.

use super::climb::{Chosen, Model, keeps_up};
use super::ways::Way;
use crate::base::rounding::{ROUNDING, keeps_within};
use crate::optimize::choice::{Alternative, ChoiceMetric, Table};
use crate::problem::{Problem, Task};
use crate::stats::GridDistribution;

/// Parts of a stage's calls that a lane may get are multiples of 1 ÷ this.
pub(super) const PARTS: u32 = 8;

/// A way and the part of the stage's calls that it gets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Portion {
    /// Index of the way in its stage.
    pub way: usize,
    /// Part of the calls, 1 where the way is alone.
    pub share: f64,
}

/// What a stage may do at a load.
pub(super) struct Offer {
    pub portions: Vec<Portion>,
    pub alternative: Alternative<GridDistribution>,
}

/// Tells whether any stage may be a mixture.
pub(super) fn mixes(problem: &Problem) -> bool {
    problem.stages().iter().any(may_mix)
}

fn may_mix(stage: &Task) -> bool {
    stage.lanes_at_most > 1
}

/// Returns everything that a stage may be of its variants, as parts: each variant alone, and every pair of two by eighths
/// where that is allowed.
fn blends(stage: &Task) -> Vec<Vec<f64>> {
    let count = stage.variants.len();
    let of = |parts: &[(usize, u32)]| {
        let mut blend = vec![0.0; count];
        parts.iter().for_each(|&(variant, eighths)| blend[variant] = f64::from(eighths) / f64::from(PARTS));
        blend
    };
    let alone = (0..count).map(|variant| of(&[(variant, PARTS)]));
    let pairs = (0..count).flat_map(|one| (one + 1..count).map(move |other| (one, other)));
    let mixed = pairs.flat_map(|(one, other)| (1..PARTS).map(move |part| [(one, part), (other, PARTS - part)]));
    alone.chain(mixed.filter(|_| may_mix(stage)).map(|parts| of(&parts))).collect()
}

/// Returns the index of a pair among the blends of a stage, the first having the lower index.
fn blend_of(variants: usize, (one, part): (usize, u32), other: usize) -> usize {
    if one == other {
        return one;
    }
    let pairs_before = (0..one).map(|first| variants - 1 - first).sum::<usize>() + other - one - 1;
    variants + pairs_before * (PARTS as usize - 1) + part as usize - 1
}

/// Returns the table of accuracies with all blends that stages may be.
pub(super) fn with_blends(problem: &Problem, table: &Table) -> Table {
    table.blended(&problem.stages().iter().map(blends).collect::<Vec<_>>())
}

/// Tells what a whole choice must promise to be of interest, from the best one without mixtures.
pub(super) enum Bar<'a> {
    /// It may be worth as much as this one, which may not exist.
    Best(Option<&'a Chosen>),
    /// It may be more accurate than any of these that cost no more.
    Frontier(&'a [Chosen]),
}

/// Returns the mixtures of a stage at a load that may be part of a choice that clears the bar; `beside` is the least cost of the other
/// stages.
pub(super) fn of_stage(model: &Model<'_>, (stage, beside): (usize, f64), load: f64, bar: &Bar<'_>) -> Vec<Offer> {
    let task = &model.problem.stages()[stage];
    if !may_mix(task) {
        return Vec::new();
    }
    let ways = &model.ways[stage];
    let variants = task.variants.len();
    let sorted: Vec<Vec<Vec<Lane>>> = (1..PARTS)
        .map(|part| (0..variants).map(|variant| lanes(model, stage, variant, load, part)).collect())
        .collect();
    let mut offers = Vec::new();
    for one in 0..variants {
        for other in one..variants {
            for part in 1..PARTS {
                // The same variant in two ways: which is called the first makes no difference.
                if one == other && 2 * part > PARTS {
                    continue;
                }
                let share = f64::from(part) / f64::from(PARTS);
                let (accuracies, blend) = (&model.accuracies[stage], blend_of(variants, (one, part), other));
                let accuracy = share * accuracies[one] + (1.0 - share) * accuracies[other];
                let most_accurate = model.accuracy_at_best(stage, accuracy, blend);
                for a in &sorted[part as usize - 1][one] {
                    for b in &sorted[(PARTS - part) as usize - 1][other] {
                        let cost = a.cost + b.cost;
                        if is_one_pool(&ways[a.way], &ways[b.way]) || !clears(model, bar, cost + beside, most_accurate)
                        {
                            continue;
                        }
                        let delay = a.responses.or(share, &b.responses);
                        let portion = |lane: &Lane, share: f64| Portion { way: lane.way, share };
                        offers.push(Offer {
                            portions: vec![portion(a, share), portion(b, 1.0 - share)],
                            alternative: Alternative { accuracy, cost, delay, blend },
                        });
                    }
                }
            }
        }
    }
    offers
}

/// A way at its part of the load.
struct Lane {
    way: usize,
    cost: f64,
    responses: GridDistribution,
}

/// Returns the ways of a variant that no other beats at this part of the load, the cheapest first, without those that alone make
/// too many requests late.
fn lanes(model: &Model<'_>, stage: usize, variant: usize, load: f64, part: u32) -> Vec<Lane> {
    let share = f64::from(part) / f64::from(PARTS);
    let late = 1.0 - model.problem.slo.quantile.get();
    let ways = model.ways[stage].iter().enumerate().filter(|(_, way)| way.variant == variant);
    let lane = |(index, way): (usize, &Way)| {
        if !keeps_up(way, share * load) {
            return None;
        }
        let responses = model.responses(way, share * load);
        let in_time = share * (1.0 - responses.in_time()) <= late + ROUNDING;
        in_time.then_some(Lane { way: index, cost: way.cost, responses })
    };
    let mut all: Vec<Lane> = ways.filter_map(lane).collect();
    all.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    let mut kept: Vec<Lane> = Vec::new();
    for lane in all {
        let way = |lane: &Lane| &model.ways[stage][lane.way];
        let beats = |other: &Lane| way(other).fits_for(way(&lane)) && other.responses.no_later_than(&lane.responses);
        if !kept.iter().any(beats) {
            kept.push(lane);
        }
    }
    kept
}

/// Tells whether two ways would share a pool: then nobody knows how long either waits.
fn is_one_pool(one: &Way, other: &Way) -> bool {
    let pool = |of: &Way| (of.variant, of.configuration.cores_each);
    pool(one) == pool(other) && one.configuration.machine == other.configuration.machine
}

fn clears(model: &Model<'_>, bar: &Bar<'_>, cost: f64, accuracy: f64) -> bool {
    if !keeps_within(cost, model.most_cost()) {
        return false;
    }
    match bar {
        Bar::Best(best) => model.goal().value(accuracy, cost).is_some_and(|value| {
            let slack = model.goal().rounding(accuracy, cost);
            best.is_none_or(|best| {
                model.goal().value(best.accuracy, best.cost).is_none_or(|known| value >= known - slack)
            })
        }),
        Bar::Frontier(points) => !points.iter().any(|point| point.cost <= cost && point.accuracy >= accuracy),
    }
}

/// Returns the highest accuracy of the whole that each blend of each stage allows, where it was measured.
pub(super) fn best_of_blends(metric: &ChoiceMetric) -> Vec<Vec<f64>> {
    let ChoiceMetric::Table(table) = metric else { return Vec::new() };
    let mut best: Vec<Vec<f64>> = table.sizes.iter().map(|&size| vec![0.0; size]).collect();
    for (blends, accuracy) in table.entries() {
        for (of, blend) in best.iter_mut().zip(blends) {
            of[blend] = f64::max(of[blend], accuracy);
        }
    }
    best
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use serde_json::json;

    use super::super::climb::Model;
    use super::{Offer, PARTS, Portion, is_one_pool};
    use crate::facts::Facts;
    use crate::optimize::choice::{Alternative, Choice, enumerate};
    use crate::problem::Problem;
    use crate::rooms::enumerated::draws;

    fn drawn(rng: &mut ChaCha8Rng) -> Problem {
        let goal = match rng.random_range(0..3) {
            0 => json!({ "kind": "weighted", "weights": { "accuracy": 1.0, "resource": 0.05, "loading": 0.0 } }),
            1 => json!({ "kind": "cheapest", "accuracy_at_least": rng.random_range(0.5..0.9) }),
            _ => json!({ "kind": "most-accurate" }),
        };
        let second = if rng.random_bool(0.12) { 2 } else { 1 };
        let accuracy = rng.random_bool(0.5).then(|| {
            let pairs = ["mlp_m", "early_exit"].iter().flat_map(|a| ["cnn_m", "cnn_l"].map(|b| (*a, b)));
            let combinations: Vec<_> = pairs
                .map(|(a, b)| json!({ "variants": [a, b], "right": rng.random_range(50..100), "of": 100 }))
                .collect();
            json!({ "kind": "measured", "combinations": combinations })
        });
        let mut value = json!({
            "format": "planner.problem/1", "risk": "none", "name": "drawn", "room": "pipeline", "profiles": ["x"],
            "stages": [
                { "name": "first", "variants": ["mlp_m", "early_exit"], "lanes_at_most": 2 },
                { "name": "second", "variants": ["cnn_m", "cnn_l"], "lanes_at_most": second }
            ],
            "workload": { "max_rps": 4000.0 },
            "slo": { "quantile": 0.99, "latency_ms": rng.random_range(6.0..30.0) },
            "inventory": { "cores": rng.random_range(3..=8), "price_usd_per_core_hour": 0.05 }, "goal": goal
        });
        if let Some(accuracy) = accuracy {
            value["accuracy"] = accuracy;
        }
        serde_json::from_value(value).expect("a problem")
    }

    /// Everything that a stage of two variants can be, whatever it is worth.
    pub fn everything(model: &Model<'_>, stage: usize, load: f64) -> Vec<Offer> {
        let ways = &model.ways[stage];
        let accuracy = |index: usize| model.accuracies[stage][ways[index].variant];
        let cost = |index: usize| ways[index].cost;
        let alone = |index: usize| Offer {
            portions: vec![Portion { way: index, share: 1.0 }],
            alternative: Alternative {
                accuracy: accuracy(index),
                cost: cost(index),
                delay: model.responses(&ways[index], load),
                blend: ways[index].variant,
            },
        };
        let mut all: Vec<_> = (0..ways.len()).map(alone).collect();
        if model.problem.stages()[stage].lanes_at_most < 2 {
            return all;
        }
        for one in 0..ways.len() {
            for other in (0..ways.len()).filter(|&other| !is_one_pool(&ways[one], &ways[other])) {
                for part in (1..PARTS).filter(|_| ways[one].variant <= ways[other].variant) {
                    let share = f64::from(part) / f64::from(PARTS);
                    // Two variants: blends 2 to 8 are the eighths of the first.
                    let is_same = ways[one].variant == ways[other].variant;
                    let lane = |index: usize, share: f64| model.responses(&ways[index], share * load);
                    all.push(Offer {
                        portions: vec![Portion { way: one, share }, Portion { way: other, share: 1.0 - share }],
                        alternative: Alternative {
                            accuracy: share * accuracy(one) + (1.0 - share) * accuracy(other),
                            cost: cost(one) + cost(other),
                            delay: lane(one, share).or(share, &lane(other, 1.0 - share)),
                            blend: if is_same { ways[one].variant } else { 1 + part as usize },
                        },
                    });
                }
            }
        }
        all
    }

    #[test]
    fn mixtures_of_ways_equal_enumeration() {
        let profile = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json");
        let facts = Facts::load(&[profile]).expect("the shipped profile loads");
        let mut rng = ChaCha8Rng::seed_from_u64(17);
        let (mut feasible, mut better) = (0, 0);
        for instance in 0..draws(900) {
            let problem = drawn(&mut rng);
            let load = 10f64.powf(rng.random_range(2.5..3.7));
            let ask = crate::facts::Ask::new(&problem, &facts);
            let mut model = Model::new(&ask).expect("known");
            for (stage, ways) in model.ways.iter_mut().enumerate() {
                let most = if problem.stages()[stage].lanes_at_most > 1 { 3 } else { 2 };
                while ways.len() > most {
                    ways.swap_remove(rng.random_range(0..ways.len()));
                }
            }
            let alternatives = |stage| everything(&model, stage, load).into_iter().map(|offer| offer.alternative);
            let stages = (0..2).map(|stage| alternatives(stage).collect()).collect();
            let truth = enumerate(&Choice { stages, ..model.outline() });
            let budget = f64::from(problem.core_budget());
            let truth = truth.filter(|truth| truth.cost <= budget + 1e-9);
            let found = model.best_of(load);
            // The weighted goal knows no budget: where its best is beyond, enumeration says nothing.
            let is_weighted = matches!(model.goal(), crate::optimize::choice::ChoiceGoal::Weighted { .. });
            if truth.is_none() && is_weighted {
                continue;
            }
            assert_eq!(found.is_some(), truth.is_some(), "instance {instance}");
            let (Some(found), Some(truth)) = (found, truth) else { continue };
            feasible += 1;
            assert!((found.value - truth.value).abs() < 1e-9, "instance {instance}: {found:?} against {truth:?}");
            better += u32::from(found.stages.iter().any(|lanes| lanes.len() > 1));
        }
        assert!(feasible > 100 && better > 4, "{feasible} feasible, {better} with mixtures");
    }
}
