//! The ring against every placement and every assignment of small instances, in its own model of the world.

use super::place::{places, work};
use super::{RingInstance, RingModel, RingPlan, RingSettings, assign, balance, batching, ring, search};
use crate::rooms::exits::{Cascade, Record, Records};
use crate::stats::Dice;

const SAMPLES: usize = 120;

fn settings() -> RingSettings {
    RingSettings { samples: 400, longest: 2, thresholds: 5, ranges: 3, simulated_s: 0.5, ..RingSettings::default() }
}

/// Three models, the slower the better, certain where they are right more often than where they are wrong.
fn records(dice: &mut Dice) -> Records {
    let hard: Vec<f64> = (0..SAMPLES).map(|_| dice.unit()).collect();
    let model = |(index, name): (usize, &str)| {
        let margin: Vec<f64> =
            hard.iter().map(|hard| 0.45 + 0.12 * index as f64 - hard * 0.7 + 0.3 * (dice.unit() - 0.5)).collect();
        Record {
            name: name.to_owned(),
            right: margin.iter().map(|margin| *margin > 0.0).collect(),
            certainty: margin.iter().map(|margin| (2.0 * margin.abs()).min(1.0)).collect(),
            ..Record::default()
        }
    };
    Records { models: ["s", "m", "l"].into_iter().enumerate().map(model).collect() }
}

fn instance<'a>(records: &'a Records, dice: &mut Dice) -> RingInstance<'a> {
    let model = |index: i32| {
        let (first, each) = (0.5 + dice.unit(), 0.3 * 3_f64.powi(index) * (0.7 + 0.6 * dice.unit()));
        RingModel {
            memory_mb: 1.0 + f64::from(index),
            batch_ms: (1..=8).map(|b| first + each * f64::from(b)).collect(),
        }
    };
    let models = (0..3).map(model).collect();
    let (memory_mb, max_rps) = (3.0 + f64::from(dice.below(4)), 200.0 + 5_000.0 * dice.unit());
    let limit_ms = 12.0 + 40.0 * dice.unit();
    RingInstance { records, models, devices: 2, memory_mb, max_rps, quantile: 0.95, limit_ms }
}

/// Tells whether a placement serves a cascade at a rate, as the ring itself would find.
fn serves(
    instance: &RingInstance<'_>,
    cascade: &Cascade,
    holds: &[Vec<bool>],
    rate: f64,
    settings: &RingSettings,
) -> bool {
    let (work, places) = (work(instance, cascade, rate, settings), places(cascade, holds));
    let busiest = balance::utilisation(&work, &places);
    if busiest > 1.0 {
        return false;
    }
    let shares = balance::shares(&work, &places, busiest);
    batching::trigger(instance, cascade, &shares, rate, settings).is_some()
}

/// Returns the best expected accuracy over all placements that fit, each range with the best of all cascades there.
fn optimum(instance: &RingInstance<'_>, cascades: &[Cascade], settings: &RingSettings) -> Option<f64> {
    let weights = assign::weights(settings.ranges, settings.zipf);
    let holds = |set: usize| (0..3).map(|model| set >> model & 1 == 1).collect::<Vec<bool>>();
    let size =
        |set: usize| (0..3).filter(|model| set >> model & 1 == 1).map(|m| instance.models[m].memory_mb).sum::<f64>();
    let mut best: Option<f64> = None;
    for first in 1..8 {
        for second in
            (first..8).filter(|&second| size(first) <= instance.memory_mb && size(second) <= instance.memory_mb)
        {
            let placement = [holds(first), holds(second)];
            let of_range = |range: usize| {
                let rate = instance.max_rps * (range + 1) as f64 / settings.ranges as f64;
                let serving = cascades.iter().filter(|cascade| serves(instance, cascade, &placement, rate, settings));
                serving.map(|cascade| cascade.accuracy).reduce(f64::max)
            };
            let accuracies: Option<Vec<f64>> = (0..settings.ranges).map(of_range).collect();
            let expected =
                accuracies.map(|all| weights.iter().zip(all).map(|(weight, accuracy)| weight * accuracy).sum());
            best = best.into_iter().chain(expected).reduce(f64::max);
        }
    }
    best
}

fn is_sound(instance: &RingInstance<'_>, found: &RingPlan, settings: &RingSettings) {
    for held in &found.holds {
        let memory: f64 =
            instance.models.iter().zip(held).filter(|(_, held)| **held).map(|(model, _)| model.memory_mb).sum();
        assert!(memory <= instance.memory_mb, "{memory} of {}", instance.memory_mb);
    }
    for gear in &found.gears {
        for (member, shares) in gear.cascade.members.iter().zip(&gear.shares) {
            assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
            let at_home = shares.iter().zip(&found.holds).all(|(&share, held)| share == 0.0 || held[member.model]);
            assert!(at_home, "{shares:?} where {:?}", found.holds);
        }
        let seen = batching::simulate(instance, &gear.cascade, &gear.shares, gear.up_to_rps, gear.trigger, settings);
        assert!(seen.tail_ms <= instance.limit_ms, "{} ms", seen.tail_ms);
    }
}

#[test]
fn the_ring_never_beats_the_optimum_of_its_own_model() {
    let (mut planned, mut impossible, mut gave_up, mut short) = (0, 0, 0, 0);
    for seed in 0..48 {
        let mut dice = Dice::new(seed, 77);
        let records = records(&mut dice);
        let instance = instance(&records, &mut dice);
        let settings = settings();
        let cascades = search(&instance, &settings);
        let best = optimum(&instance, &cascades, &settings);
        match (ring(&instance, &cascades, &settings), best) {
            (Some(found), Some(best)) => {
                is_sound(&instance, &found, &settings);
                let expected = found.expected_accuracy(&settings);
                assert!(expected <= best + 1e-12, "seed {seed}: {expected} beats {best}");
                planned += 1;
                short += u32::from(expected < best - 1e-9);
            }
            (Some(_), None) => panic!("seed {seed}: a plan where there is none"),
            (None, Some(_)) => gave_up += 1,
            (None, None) => impossible += 1,
        }
    }
    let seen =
        format!("{planned} plans, {short} of them below the optimum; {impossible} impossible; gave up {gave_up} times");
    assert!(planned > 16 && impossible > 0, "{seen}");
}

#[test]
fn cascades_are_unbeaten_and_the_same_for_a_seed() {
    let mut dice = Dice::new(3, 77);
    let records = records(&mut dice);
    let instance = instance(&records, &mut dice);
    let settings = settings();
    let cascades = search(&instance, &settings);
    assert_eq!(cascades, search(&instance, &settings));
    let work = |cascade: &Cascade| super::search::work_ms(&instance, cascade, settings.load_batch);
    for pair in cascades.windows(2) {
        assert!(pair[0].accuracy > pair[1].accuracy && work(&pair[0]) > work(&pair[1]), "{pair:?}");
    }
    let alone =
        |model: usize| records.models[model].right.iter().filter(|right| **right).count() as f64 / SAMPLES as f64;
    let best = (0..3).map(alone).fold(0.0, f64::max);
    assert!(cascades[0].accuracy >= best, "never below the best single model");
    let cheapest =
        (0..3).map(|model| instance.models[model].sample_ms(settings.load_batch)).fold(f64::INFINITY, f64::min);
    assert!((work(&cascades[cascades.len() - 1]) - cheapest).abs() < 1e-12, "and down to the cheapest");
}

#[test]
fn what_cannot_be_is_impossible() {
    let mut dice = Dice::new(1, 77);
    let records = records(&mut dice);
    let easy = RingInstance { memory_mb: 10.0, limit_ms: 50.0, max_rps: 100.0, ..instance(&records, &mut dice) };
    let settings = settings();
    let solve = |instance: &RingInstance<'_>| ring(instance, &search(instance, &settings), &settings);
    assert!(solve(&easy).is_some());
    for (what, hard) in [
        ("load", RingInstance { max_rps: 1e6, ..easy.clone() }),
        ("latency", RingInstance { limit_ms: 0.1, ..easy.clone() }),
        ("memory", RingInstance { memory_mb: 0.5, ..easy.clone() }),
        ("devices", RingInstance { devices: 0, ..easy.clone() }),
    ] {
        assert!(solve(&hard).is_none(), "{what}");
    }
}
