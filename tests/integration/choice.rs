//! The search for one alternative a stage against enumeration and HiGHS, and against the laws of the design.

use planner::optimize::choice::{
    Alternative, Choice, ChoiceGoal, ChoiceMetric, SeriesParallel, Table, enumerate, labels,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const INSTANCES: u64 = 2400;

fn walk(rng: &mut ChaCha8Rng, stages: usize) -> SeriesParallel {
    let graphs: &[&[&[usize]]] = match stages {
        3 => &[&[&[], &[0], &[0]], &[&[], &[], &[0, 1]], &[&[], &[0], &[1]], &[&[], &[], &[]]],
        4 => &[&[&[], &[0], &[0], &[1, 2]], &[&[], &[], &[0], &[1]], &[&[], &[0], &[1], &[2]]],
        _ => return SeriesParallel::chain(stages),
    };
    let graph = graphs[rng.random_range(0..graphs.len())];
    SeriesParallel::from_predecessors(&graph.iter().map(|after| after.to_vec()).collect::<Vec<_>>())
        .expect("series-parallel")
}

/// Draws an instance of up to four stages with a few alternatives; small numbers on a grid, so that ties happen.
fn draw(seed: u64) -> Choice<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let count = rng.random_range(1..=4);
    let blends = rng.random_range(1..=3);
    let on_grid = seed.is_multiple_of(3);
    let number = |rng: &mut ChaCha8Rng, high: f64| {
        let value: f64 = rng.random_range(0.0..high);
        if on_grid { (value * 10.0).round() / 10.0 } else { value }
    };
    let stages: Vec<Vec<Alternative<f64>>> = (0..count)
        .map(|_| {
            let alternatives = rng.random_range(1..=6);
            let mut alternative = |index: usize| Alternative {
                accuracy: number(&mut rng, 1.0),
                cost: number(&mut rng, 8.0),
                delay: number(&mut rng, 3.0),
                blend: index % blends,
            };
            (0..alternatives).map(&mut alternative).collect()
        })
        .collect();
    let metric = match seed % 5 {
        0 => ChoiceMetric::Table(Table {
            sizes: vec![blends; count],
            accuracies: (0..blends.pow(count as u32)).map(|_| rng.random_range(0.0..1.0)).collect(),
        }),
        1 | 2 => ChoiceMetric::Sum,
        _ => ChoiceMetric::Product,
    };
    let goal = match rng.random_range(0..3) {
        0 => ChoiceGoal::Weighted { accuracy: rng.random_range(0.0..30.0) },
        1 => ChoiceGoal::Cheapest {
            accuracy_at_least: rng.random_range(0.0..0.8) * if seed % 5 == 1 { 2.0 } else { 1.0 },
        },
        _ => ChoiceGoal::MostAccurate { cost_at_most: rng.random_range(0.0..8.0) * count as f64 },
    };
    let walk = walk(&mut rng, count);
    let limit = rng.random_range(0.3..1.6) * count as f64;
    Choice { stages, walk, metric, goal, limit }
}

fn value(found: Option<&planner::optimize::choice::Picked>) -> f64 {
    found.map_or(f64::NEG_INFINITY, |found| found.value)
}

#[test]
fn labels_equal_enumeration() {
    let mut infeasible = 0;
    for seed in 0..INSTANCES {
        let choice = draw(seed);
        let (found, truth) = (labels::solve(&choice), enumerate(&choice));
        infeasible += u32::from(truth.is_none());
        assert_eq!(found.is_some(), truth.is_some(), "seed {seed}: {choice:?}");
        assert!((value(found.as_ref()) - value(truth.as_ref())).abs() < 1e-9 || truth.is_none(), "seed {seed}");
        if let Some(found) = found {
            assert_eq!(choice.evaluate(&found.picks), Some(found), "seed {seed}: what is said of the picks holds");
        }
    }
    assert!((200..1800).contains(&infeasible), "{infeasible} infeasible: both answers must occur");
}

#[cfg(feature = "milp")]
#[test]
fn highs_equals_the_labels() {
    for seed in 0..INSTANCES {
        let choice = draw(seed);
        let own = labels::solve(&choice);
        let highs = planner::optimize::milp::solve_choice(&choice).expect("solves");
        assert_eq!(own.is_some(), highs.is_some(), "seed {seed}");
        let off = value(own.as_ref()) - value(highs.as_ref());
        assert!(own.is_none() || off.abs() < 1e-6, "seed {seed}: {own:?} against {highs:?}");
    }
}

#[test]
fn among_equals_the_goal_s_other_side_decides() {
    for seed in 0..INSTANCES {
        let choice = draw(seed);
        let Some(found) = labels::solve(&choice) else { continue };
        let equals = every(&choice).into_iter().filter(|other| (other.value - found.value).abs() < 1e-9);
        let best = match choice.goal {
            ChoiceGoal::Weighted { .. } => continue,
            ChoiceGoal::Cheapest { .. } => equals.map(|other| other.accuracy - found.accuracy).fold(0.0, f64::max),
            ChoiceGoal::MostAccurate { .. } => equals.map(|other| found.cost - other.cost).fold(0.0, f64::max),
        };
        assert!(best < 1e-6, "seed {seed}: {found:?} is beaten by {best}");
    }
}

/// Returns all choices that keep the limits.
fn every(choice: &Choice<f64>) -> Vec<planner::optimize::choice::Picked> {
    let mut all = vec![Vec::new()];
    for stage in &choice.stages {
        all = all
            .iter()
            .flat_map(|picks: &Vec<usize>| (0..stage.len()).map(|pick| [&picks[..], &[pick]].concat()))
            .collect();
    }
    all.iter().filter_map(|picks| choice.evaluate(picks)).collect()
}

#[test]
fn the_frontier_is_what_nothing_beats() {
    for seed in 0..600 {
        let choice = Choice { goal: ChoiceGoal::MostAccurate { cost_at_most: f64::INFINITY }, ..draw(seed) };
        let all = every(&choice);
        let beaten = |one: &planner::optimize::choice::Picked| {
            let beats = |other: &planner::optimize::choice::Picked| {
                other.accuracy >= one.accuracy
                    && other.cost <= one.cost
                    && (other.accuracy > one.accuracy + 1e-7 || other.cost < one.cost - 1e-7)
            };
            all.iter().any(beats)
        };
        let mut truth: Vec<(f64, f64)> =
            all.iter().filter(|one| !beaten(one)).map(|one| (one.cost, one.accuracy)).collect();
        truth.sort_by(|a, b| a.0.total_cmp(&b.0));
        truth.dedup_by(|a, b| (a.0 - b.0).abs() < 1e-7);
        let found: Vec<(f64, f64)> =
            labels::frontier(&choice, f64::INFINITY).iter().map(|one| (one.cost, one.accuracy)).collect();
        assert_eq!(found.len(), truth.len(), "seed {seed}: {found:?} against {truth:?}");
        for (found, truth) in found.iter().zip(&truth) {
            assert!(
                (found.0 - truth.0).abs() < 1e-7 && (found.1 - truth.1).abs() < 1e-7,
                "seed {seed}: {found:?} {truth:?}"
            );
        }
    }
}

#[test]
fn looser_limits_never_hurt() {
    for seed in 0..INSTANCES {
        let choice = draw(seed);
        let before = value(labels::solve(&choice).as_ref());
        let later = Choice { limit: choice.limit * 1.3, ..choice.clone() };
        assert!(value(labels::solve(&later).as_ref()) >= before - 1e-9, "seed {seed}: more time");
        let goal = match choice.goal {
            ChoiceGoal::Weighted { .. } => continue,
            ChoiceGoal::Cheapest { accuracy_at_least } => {
                ChoiceGoal::Cheapest { accuracy_at_least: accuracy_at_least * 0.8 }
            }
            ChoiceGoal::MostAccurate { cost_at_most } => ChoiceGoal::MostAccurate { cost_at_most: cost_at_most + 1.0 },
        };
        let looser = Choice { goal, ..choice };
        assert!(value(labels::solve(&looser).as_ref()) >= before - 1e-9, "seed {seed}: a looser goal");
    }
}

/// The same instance where stages may also be mixtures of two of their alternatives, by quarters; delays are mixed too.
fn with_mixtures(choice: &Choice<f64>) -> Choice<f64> {
    const PARTS: usize = 4;
    let mut mixed = choice.clone();
    let mut blends: Vec<Vec<Vec<f64>>> = Vec::new();
    for (stage, alternatives) in mixed.stages.iter_mut().enumerate() {
        let count = match &choice.metric {
            ChoiceMetric::Table(table) => table.sizes[stage],
            _ => alternatives.iter().map(|alternative| alternative.blend + 1).max().unwrap_or(1),
        };
        let alone = |blend: usize| (0..count).map(|other| f64::from(u8::from(other == blend))).collect::<Vec<f64>>();
        let mut of_stage: Vec<Vec<f64>> = (0..count).map(alone).collect();
        let pure = alternatives.clone();
        // Three alternatives are enough for pairs, and few enough to enumerate.
        for (index, one) in pure.iter().take(3).enumerate() {
            for other in &pure[index + 1..pure.len().min(3)] {
                for part in 1..PARTS {
                    let share = part as f64 / PARTS as f64;
                    let mut blend = vec![0.0; count];
                    blend[one.blend] += share;
                    blend[other.blend] += 1.0 - share;
                    let known = of_stage.iter().position(|known| *known == blend).unwrap_or(of_stage.len());
                    if known == of_stage.len() {
                        of_stage.push(blend);
                    }
                    alternatives.push(Alternative {
                        accuracy: share * one.accuracy + (1.0 - share) * other.accuracy,
                        cost: one.cost + other.cost,
                        delay: share * one.delay + (1.0 - share) * other.delay,
                        blend: known,
                    });
                }
            }
        }
        blends.push(of_stage);
    }
    if let ChoiceMetric::Table(table) = &choice.metric {
        mixed.metric = ChoiceMetric::Table(table.blended(&blends));
    }
    mixed
}

#[test]
fn mixtures_equal_enumeration_and_never_hurt() {
    let mut better = 0;
    for seed in 0..600 {
        let choice = draw(seed);
        if choice.stages.len() > 3 {
            continue;
        }
        let mixed = with_mixtures(&choice);
        let (alone, found, truth) = (labels::solve(&choice), labels::solve(&mixed), enumerate(&mixed));
        assert_eq!(found.is_some(), truth.is_some(), "seed {seed}");
        assert!((value(found.as_ref()) - value(truth.as_ref())).abs() < 1e-9 || truth.is_none(), "seed {seed}");
        assert!(value(found.as_ref()) >= value(alone.as_ref()) - 1e-9, "seed {seed}: worse for more to choose from");
        better += u32::from(value(found.as_ref()) > value(alone.as_ref()) + 1e-9);
    }
    assert!(better > 5, "{better}: mixtures must matter somewhere");
}

#[cfg(feature = "milp")]
#[test]
fn highs_equals_the_labels_with_mixtures() {
    for seed in 0..300 {
        let choice = draw(seed);
        if choice.stages.len() > 1 + usize::from(seed.is_multiple_of(5)) {
            continue;
        }
        let choice = with_mixtures(&choice);
        let (own, highs) = (labels::solve(&choice), planner::optimize::milp::solve_choice(&choice).expect("solves"));
        assert_eq!(own.is_some(), highs.is_some(), "seed {seed}");
        let off = value(own.as_ref()) - value(highs.as_ref());
        assert!(own.is_none() || off.abs() < 1e-6, "seed {seed}: {own:?} against {highs:?}");
    }
}

#[test]
fn a_blended_table_is_the_mean_over_its_combinations() {
    let table = Table { sizes: vec![2, 2], accuracies: vec![0.9, 0.6, 0.5, 0.8] };
    let blends = [vec![vec![1.0, 0.0], vec![0.25, 0.75]], vec![vec![0.0, 1.0], vec![0.5, 0.5]]];
    let blended = table.blended(&blends);
    assert_eq!(blended.sizes, [2, 2]);
    // 0.25·(0.9 + 0.6) ÷ 2 + 0.75·(0.5 + 0.8) ÷ 2 = 0.675, and the like.
    let truth = [0.6, 0.75, 0.75, 0.675];
    assert!(blended.accuracies.iter().zip(truth).all(|(a, b)| (a - b).abs() < 1e-12), "{blended:?}");
}
