//! Measuring less, judged by grids that were measured in full. `cargo run --example adaptive` prints the same figures.

pub mod experiment;

use std::path::Path;

use experiment::{Bench, NEAR_TIE, Way, facts};
use planner::base::codec::{from_value, load};
use planner::base::units::{Millis, Rate, Share};
use planner::facts::{Facts, load_answers};
use planner::measure::adaptive::{Aim, Chooser, Known};
use planner::planners;
use planner::planners::relevance;
use planner::problem::Problem;
use planner::profile::{Bound, Curve, Key, Point, Profile, Seen, Spot, Surface, Trust};
use planner::rooms::{Answer, Context, PointKey, Skipped};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

/// Families that were drawn only after the constants of the surface were chosen.
const SEEDS: [u64; 6] = [21, 22, 23, 24, 25, 26];

#[test]
fn heavier_families_take_a_fourth_of_the_time_and_the_rest_is_within_the_asked_error() {
    let seen = SEEDS.map(|seed| Bench::heavier(seed).run(Way::Within(0.05)));
    let all = seen.each_ref().map(ToString::to_string).join("\n");
    assert!(seen.iter().all(|figures| figures.errors[0] <= 0.05), "median error\n{all}");
    let mean = seen.iter().map(|figures| figures.time_saved.ln()).sum::<f64>() / seen.len() as f64;
    assert!(mean.exp() >= 4.0, "{} × less time\n{all}", mean.exp());
    let covered = seen.iter().map(|figures| figures.covered).sum::<f64>() / seen.len() as f64;
    assert!((0.9..=1.0).contains(&covered), "95 % intervals hold {covered}\n{all}");
}

/// Two core counts and six batches leave little to guess, and the small networks of this profile jump from batch to batch;
/// without glimpses five per cent cost more than a third of the grid's time.
#[test]
fn digits_are_within_the_asked_error() {
    let bench = Bench::digits();
    for (asked, saved) in [(0.05, 4.0), (0.1, 5.0)] {
        let figures = bench.run(Way::Within(asked));
        assert!(figures.errors[0] <= asked && figures.time_saved >= saved, "{figures}");
    }
}

#[test]
fn what_a_problem_needs_gives_the_plan_of_the_full_grid() {
    for (bench, saved) in [(Bench::digits(), 2.0), (Bench::heavier(21), 4.0), (Bench::heavier(22), 4.0)] {
        let figures = bench.run(Way::For(0.0));
        assert_eq!((figures.same_plan, figures.objective_off), (1.0, 0.0), "{}: {figures}", bench.name);
        assert!(figures.time_saved >= saved, "{}: {figures}", bench.name);
        assert!(figures.time_saved <= bench.most_saved(), "{}: fewer points than the plan rests on", bench.name);
    }
    let both = Bench::heavier(23).run(Way::WithinAndFor(0.1));
    assert_eq!((both.same_plan, both.objective_off), (1.0, 0.0), "{both}");
}

/// Glimpses are drawn anew each time.
#[test]
fn a_fourth_of_the_time_gives_the_plan_of_the_full_grid_where_near_ties_are_left_out() {
    let digits = [0, 1, 2].map(|draw| Bench { draw, ..Bench::digits() });
    let heavier = [Bench::heavier(21), Bench::heavier(22)];
    for benches in [&digits[..], &heavier[..]] {
        let seen: Vec<_> = benches.iter().map(|bench| bench.run(Way::For(NEAR_TIE))).collect();
        let all = seen.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(seen.iter().all(|figures| (figures.same_plan, figures.objective_off) == (1.0, 0.0)), "{all}");
        let mean = seen.iter().map(|figures| figures.time_saved.ln()).sum::<f64>() / seen.len() as f64;
        assert!(mean.exp() >= 4.0, "{} × less time\n{all}", mean.exp());
    }
}

#[test]
fn the_same_measurements_give_the_same_choices_and_irrelevant_points_are_never_chosen() {
    let bench = Bench::heavier(21);
    let grid = bench.grid();
    let aim = Aim { error: Share::saturating(0.05), budget: Millis::saturating(300.0), calls: 100 };
    let (mut one, mut other) = (Chooser::new(&grid, aim), Chooser::new(&grid, aim));
    let relevance = |spot: Spot| f64::from(u8::from(spot.1.cores < 16));
    let (mut chosen, mut full): (Vec<Spot>, Vec<Spot>) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let known = bench.known(&full, &chosen);
        let wave = one.next(&known, &relevance);
        assert!(!wave.is_empty() && wave.glimpsed.iter().all(|spot| spot.1.cores < 16 && !chosen.contains(spot)));
        assert!(wave.full.iter().all(|spot| chosen.contains(spot)), "{:?} was never glimpsed", wave.full);
        assert_eq!(wave, other.next(&known, &relevance));
        chosen.extend(wave.glimpsed);
        full.extend(wave.full);
    }
    assert!(Chooser::new(&[], aim).next(&Known::default(), &|_| 1.0).is_empty(), "an empty grid asks for nothing");
}

#[test]
fn an_exact_law_is_found_and_a_variant_never_seen_stays_unknown() {
    let key = |cores, batch| Key { cores, batch, co_runners: 0 };
    let law = |key: Key| 2.0 + 12.0 * f64::from(key.batch) / f64::from(key.cores.min(key.batch));
    let seen: Vec<Seen> = [key(1, 1), key(1, 4), key(4, 1), key(4, 32), key(1, 32)]
        .map(|key| Seen { spot: (0, key), median_ms: law(key), error: 0.001 })
        .into();
    let surface = Surface::of(&seen, &[(0, key(2, 8)), (1, key(2, 8))]).expect("seen");
    let predicted = surface.predictions();
    let miss = predicted[0].1.median_ms / law(key(2, 8)) - 1.0;
    // Between five points that say nothing of two cores it is not surer than that, and right.
    assert!(miss.abs() < 0.1 && (0.05..0.3).contains(&predicted[0].1.spread), "{miss} {:?}", predicted[0]);
    assert!(predicted[1].1.spread > 1.0, "{:?}", predicted[1]);
    assert!(Surface::of(&[], &[(0, key(1, 1))]).is_none());
}

#[test]
fn holes_are_filled_where_the_family_is_sure_and_say_so() {
    let bench = Bench::heavier(21);
    let hole = Key { cores: 4, batch: 16, co_runners: 0 };
    let all: Vec<Spot> = bench.grid().into_iter().filter(|spot| *spot != (2, hole)).collect();
    let profile = bench.revealed(&all, &[]);
    let curve = Curve::of(&profile, "net_2", "cpu").expect("measured");
    let service = curve.at(4, 16).expect("sure enough");
    let truth = Curve::of(&bench.profile, "net_2", "cpu").expect("measured").at(4, 16).expect("measured");
    assert_eq!((service.trust, truth.trust), (Trust::Interpolated, Trust::Measured));
    assert!((service.law.mean_ms() / truth.law.mean_ms() - 1.0).abs() < 0.1);
    assert!(!curve.measured().any(|at| at == (4, 16)) && curve.usable().contains(&(4, 16)));
}

/// Where no unmeasured latency is below its bound, the plan of what is needed is worth what that of the full grid is; with near
/// ties left out, at least what that would be worth if all calls took that part more: with so much less time for so much more load.
#[test]
fn relevance_is_sound_where_its_bounds_hold() {
    for near_tie in [0.0, 0.1] {
        let (mut held, mut tried) = (0, 0);
        for seed in 0..24 {
            let bench = small(seed);
            let (holds, less) = measured_as_needed(&bench, near_tie);
            tried += 1;
            held += usize::from(holds);
            let mut slower = bench.problem.clone();
            slower.slo.latency_ms = Millis::saturating(slower.slo.latency_ms.get() / (1.0 + near_tie));
            slower.workload.max_rps = Rate::saturating(slower.workload.max_rps.get() * (1.0 + near_tie));
            let slower = planners::solve(&slower, &facts(&bench.profile), Context::default()).expect("solves");
            let at_least = is_worth_at_least(&less, &slower, near_tie);
            let same = near_tie > 0.0 || worth(&less) == worth(&slower);
            assert!(at_least && same || !holds, "seed {seed}: the bounds held and the plan is worth less");
        }
        assert!(held * 3 >= tried * 2, "the bounds held in {held} of {tried}: too few to tell");
    }
}

/// Tells whether a plan's gear at every load is worth what another's is at so much more.
fn is_worth_at_least(less: &Answer, other: &Answer, near_tie: f64) -> bool {
    let (Answer::Plan(less), Answer::Plan(other)) = (less, other) else {
        return matches!(other, Answer::Infeasible(_));
    };
    let at = |plan: &planner::plan::Plan, load: f64| {
        let gear = plan.gears.iter().find(|gear| gear.up_to_rps.get() >= load * (1.0 - 1e-9)).expect("carried");
        gear.certificate.as_ref().expect("certified").objective
    };
    let loads = (1..=100).map(|step| less.max_rps() * f64::from(step) / 100.0);
    loads.into_iter().all(|load| at(less, load) >= at(other, load * (1.0 + near_tie)) - 1e-9)
}

/// Three variants on 1, 2 and 4 cores with batches of 1, 4 and 16, under a random problem.
fn small(seed: u64) -> Bench {
    let mut bench = Bench::heavier(100 + seed);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    bench.profile.variants.truncate(3);
    let names: Vec<String> = bench.profile.variants.iter().map(|variant| variant.name.clone()).collect();
    bench.profile.points.retain(|point| {
        names.contains(&point.variant) && [1, 2, 4].contains(&point.cores) && [1, 4, 16].contains(&point.batch)
    });
    bench.problem.slo.latency_ms = Millis::saturating(rng.random_range(20.0..200.0));
    bench.problem.inventory.cores = rng.random_range(4..=12);
    bench.problem.workload.max_rps = Rate::saturating(rng.random_range(20.0..600.0));
    bench
}

/// Measures what is needed until nothing is. Returns whether all bounds held, and the answer.
fn measured_as_needed(bench: &Bench, near_tie: f64) -> (bool, Answer) {
    let grid = bench.grid();
    let names: Vec<&str> = bench.profile.variants.iter().map(|variant| variant.name.as_str()).collect();
    let asked: Vec<PointKey> = grid.iter().map(|spot| (names[spot.0].to_owned(), spot.1)).collect();
    let full = facts(&bench.profile);
    let corner = |spot: &&Spot| matches!((spot.1.cores, spot.1.batch), (1, 1) | (4, 16));
    let (mut chosen, mut holds) = (grid.iter().filter(corner).copied().collect::<Vec<Spot>>(), true);
    loop {
        let known = facts(&bench.revealed(&chosen, &[]));
        let bound = Bound { near_tie, ..Bound::of(3.0) };
        let found = relevance(&bench.problem, &known, (&asked, "cpu"), bound, Context::default()).expect("solves");
        let hopeful = known.at_best(&asked, "cpu", Bound::of(3.0));
        holds &= asked.iter().all(|(name, key)| {
            let (best, truth) = [&hopeful, &full]
                .map(|facts| facts.curve(name, "cpu").and_then(|curve| curve.at(key.cores, key.batch)).expect("filled"))
                .into();
            let no_later = |q: f64| best.law.quantile_ms(q) <= truth.law.quantile_ms(q) * (1.0 + 1e-9);
            [0.05, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0].into_iter().all(no_later)
        });
        if found.needed.is_empty() {
            assert_eq!(found.skipped.len() + chosen.len(), grid.len(), "every point is measured or has a reason");
            return (holds, found.at_best);
        }
        chosen.extend(
            found
                .needed
                .iter()
                .map(|(name, key)| (names.iter().position(|known| known == name).expect("asked for"), *key)),
        );
    }
}

/// A cascade forms batches of what waits, so its plan rests on every size up to a lane's; answers are known beforehand.
#[test]
fn plans_of_cascades_rest_on_points_that_were_measured() {
    let shipped =
        load::<Profile>(&Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json")).expect("shipped");
    let answers = load_answers(&shipped).expect("beside it");
    let variants = ["mlp_s", "cnn_s", "cnn_m"];
    let value = json!({
        "format": "planner.problem/1", "risk": "none", "name": "test", "room": "cascade", "profiles": ["x"],
        "variants": variants, "workload": { "max_rps": 2500.0 }, "slo": { "quantile": 0.95, "latency_ms": 10.0 },
        "inventory": { "cores": 1 }, "goal": { "kind": "most-accurate" }, "cascade": { "certify": false, "max_length": 2 }
    });
    let problem: Problem = from_value(value).expect("a good problem").0;
    let of_grid = |point: &&Point| {
        variants.contains(&point.variant.as_str()) && point.cores == 1 && point.co_runners == 0 && point.device == "cpu"
    };
    let grid = shipped.document.points.iter().filter(of_grid);
    let asked: Vec<PointKey> = grid.map(|point| (point.variant.clone(), Key::of(point))).collect();
    let mut known: Vec<PointKey> = asked.iter().filter(|(_, key)| [1, 32].contains(&key.batch)).cloned().collect();
    loop {
        let mut profile = shipped.clone();
        profile.document.points.retain(|point| known.contains(&(point.variant.clone(), Key::of(point))));
        let facts = Facts::of(vec![(profile, answers.clone())]).expect("one profile");
        let found = relevance(&problem, &facts, (&asked, "cpu"), Bound::of(3.0), Context::default()).expect("solves");
        if found.needed.is_empty() {
            let Answer::Plan(plan) = found.at_best else { panic!("it is carried") };
            let lanes = plan.gears.iter().flat_map(|gear| &gear.stages).flat_map(|stage| &stage.lanes);
            for lane in lanes {
                let up_to = asked.iter().filter(|(name, key)| *name == lane.variant && key.batch <= lane.batch);
                assert!(up_to.clone().count() > 0 && up_to.clone().all(|point| known.contains(point)), "{lane:?}");
            }
            break;
        }
        known.extend(found.needed);
    }
    assert!(known.len() < asked.len(), "all {} points were needed", asked.len());
}

/// Returns the highest load and the goal's value of each gear; nothing where there is no plan.
fn worth(answer: &Answer) -> Vec<(f64, Option<f64>)> {
    let Answer::Plan(plan) = answer else { return Vec::new() };
    let value = |gear: &planner::plan::Gear| gear.certificate.as_ref().map(|certificate| certificate.objective);
    plan.gears.iter().map(|gear| (gear.up_to_rps.get(), value(gear))).collect()
}

#[test]
fn skipped_points_say_why() {
    let mut bench = Bench::heavier(21);
    bench.problem.inventory.cores = 8;
    bench.problem.slo.latency_ms = Millis::saturating(120.0);
    bench.problem.workload.max_rps = Rate::saturating(10.0);
    bench.problem = bench.problem.with_variants(&["net_1".to_owned(), "net_4".to_owned()]);
    let asked: Vec<PointKey> =
        bench.grid().iter().map(|spot| (bench.profile.variants[spot.0].name.clone(), spot.1)).collect();
    let corners = |spot: &Spot| matches!((spot.1.cores, spot.1.batch), (1, 1) | (8, 128));
    let known = facts(&bench.revealed(&bench.grid().into_iter().filter(corners).collect::<Vec<_>>(), &[]));
    let bound = Bound::of(3.0);
    let found = relevance(&bench.problem, &known, (&asked, "cpu"), bound, Context::default()).expect("solves");
    let why = |name: &str, cores: u32, batch: u32| {
        let is_it =
            |skipped: &&(PointKey, Skipped)| skipped.0 == (name.to_owned(), Key { cores, batch, co_runners: 0 });
        found.skipped.iter().find(is_it).map(|skipped| skipped.1.clone())
    };
    assert_eq!(why("net_0", 2, 2), Some(Skipped::Variant));
    assert_eq!(why("net_1", 16, 1), Some(Skipped::Cores { most: 8 }));
    assert!(matches!(why("net_4", 1, 64), Some(Skipped::TooSlow { .. })), "{:?}", why("net_4", 1, 64));
    assert!(found.skipped.iter().any(|skipped| matches!(skipped.1, Skipped::NotBest { .. })));
    assert!(found.skipped.iter().all(|skipped| !skipped.1.to_string().is_empty()));
}
