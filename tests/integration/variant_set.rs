//! The room `variant-set` against independent truths: enumeration, HiGHS, the paper's instances, and laws.

use planner::optimize::fill::Ladder;
use planner::optimize::{Allotment, Instance, Item, Objective, enumerate};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const INSTANCES: u64 = 600;

/// A random instance of 1 to 4 variants on 2 to 9 cores, with every objective in turn.
fn random_instance(seed: u64) -> (Instance, Vec<f64>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let budget = rng.random_range(2..=9u32);
    let item = |rng: &mut ChaCha8Rng, index: u32| {
        let slope = rng.random_range(1.0..30.0f64);
        let first = rng.random_range(1..=2u32);
        let mut options = Vec::new();
        let mut capacity = 0.0;
        for cores in first..=budget {
            capacity += slope * rng.random_range(0.2..1.0);
            // Whole numbers make exact ties, which must be survived too.
            let rounded = if seed.is_multiple_of(3) { f64::floor(capacity) } else { capacity };
            if rng.random_bool(0.8) && rounded > 0.0 {
                options.push(Allotment { cores, capacity: rounded });
            }
        }
        let current_cores = if rng.random_bool(0.4) { rng.random_range(0..=budget) } else { 0 };
        Item {
            name: format!("m{index}"),
            accuracy: (rng.random_range(0.5..0.99f64) * 100.0).round() / 100.0,
            load_time: rng.random_range(0.5..9.0),
            current_cores,
            options,
        }
    };
    let items: Vec<Item> = (0..rng.random_range(1..=4)).map(|index| item(&mut rng, index)).collect();
    let objective = match seed % 4 {
        0 => Objective::MostAccurate,
        1 => Objective::Cheapest { accuracy_at_least: rng.random_range(0.5..0.95) },
        2 => Objective::Weighted { accuracy: 1.0, resource: 0.05, loading: 0.001 },
        _ => Objective::Weighted {
            accuracy: 1.0,
            resource: rng.random_range(0.0..0.6),
            loading: rng.random_range(0.0..0.4),
        },
    };
    let most: f64 = items.iter().flat_map(|item| item.options.last()).map(|option| option.capacity).sum();
    let loads = (0..3).map(|_| rng.random_range(0.01..1.1) * most.max(1.0)).collect();
    (Instance { items, budget, objective }, loads)
}

#[test]
fn own_search_equals_enumeration() {
    let mut feasible = 0;
    for seed in 0..INSTANCES {
        let (instance, loads) = random_instance(seed);
        let ladder = Ladder::solve(&instance);
        for load in loads {
            let truth = enumerate::solve(&instance, load);
            let ours = ladder.at(load);
            assert_eq!(
                Ladder::only_at(load, &instance).at(load),
                ours,
                "seed {seed} load {load}: alone or among others"
            );
            match (&truth, &ours) {
                (None, None) => {}
                (Some(truth), Some(ours)) => {
                    feasible += 1;
                    let gap = (truth.value - ours.value).abs();
                    assert!(gap <= 1e-9, "seed {seed} load {load}: {ours:?} against {truth:?}");
                }
                _ => panic!("seed {seed} load {load}: {ours:?} against {truth:?}"),
            }
        }
    }
    assert!(feasible > INSTANCES, "only {feasible} feasible cases: the instances test nothing");
}

#[cfg(feature = "milp")]
#[test]
fn highs_equals_enumeration() {
    use planner::optimize::milp;
    for seed in 0..INSTANCES {
        let (instance, loads) = random_instance(seed);
        for &load in &loads {
            let truth = enumerate::solve(&instance, load).map(|solution| solution.value);
            let highs = milp::solve(&instance, load).expect("HiGHS answers").map(|milp| milp.solution.value);
            match (truth, highs) {
                (Some(truth), Some(highs)) => {
                    assert!((truth - highs).abs() <= 1e-9, "seed {seed} load {load}: {highs} against {truth}");
                }
                (truth, highs) => assert_eq!(truth, highs, "seed {seed} load {load}"),
            }
        }
    }
}

#[test]
fn rungs_cover_all_loads_and_hold_the_optimum_inside() {
    for seed in 0..200 {
        let (instance, _) = random_instance(seed);
        let ladder = Ladder::solve(&instance);
        let mut from = 0.0;
        for rung in ladder.rungs(f64::INFINITY) {
            assert_eq!(rung.from, from, "seed {seed}: a hole in the ladder");
            from = rung.to;
            for part in [0.001, 0.3, 0.7, 1.0] {
                let load = rung.from + part * (rung.to - rung.from);
                let truth = enumerate::solve(&instance, load).expect("inside the ladder").value;
                let kept = instance.evaluate(&rung.solution.cores, load).expect("less load always fits").value;
                assert!((truth - kept).abs() <= 1e-9, "seed {seed} load {load}: {kept} against {truth}");
            }
        }
        assert_eq!(from, ladder.max_load(), "seed {seed}");
        let beyond = ladder.max_load() * 1.001 + 1e-6;
        assert!(enumerate::solve(&instance, beyond).is_none(), "seed {seed}: {beyond} can be carried");
    }
}

#[test]
fn more_cores_never_hurt_and_fewer_limits_never_refuse() {
    for seed in 0..INSTANCES {
        let (instance, loads) = random_instance(seed);
        let mut richer = instance.clone();
        richer.budget += 3;
        // The weighted and cheapest values count cores relative to the budget: compare at equal scale.
        let scale = f64::from(instance.budget) / f64::from(richer.budget);
        if let Objective::Weighted { resource, .. } = &mut richer.objective {
            *resource /= scale;
        }
        let mut freer = instance.clone();
        if matches!(freer.objective, Objective::Cheapest { .. }) {
            freer.objective = Objective::Cheapest { accuracy_at_least: 0.0 };
        }
        let (few, many, free) = (Ladder::solve(&instance), Ladder::solve(&richer), Ladder::solve(&freer));
        for load in loads {
            let Some(before) = few.at(load) else { continue };
            let after = many.at(load).expect("more cores still carry it");
            let value = if matches!(instance.objective, Objective::Cheapest { .. }) {
                after.value / scale
            } else {
                after.value
            };
            assert!(value >= before.value - 1e-9, "seed {seed} load {load}: {value} < {}", before.value);
            assert!(free.at(load).is_some(), "seed {seed} load {load}: dropping a limit refused");
        }
    }
}

/// The reference instances beside the repository; the paper's own optimum for each.
#[test]
fn reproduces_the_published_optimum() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/reference");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: {} is not here", folder.display());
        }
        return;
    };
    let mut solved = 0;
    for path in entries.map(|entry| entry.expect("listed").path()) {
        let text = std::fs::read_to_string(&path).expect("readable");
        let reference: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        if reference["kind"] != "infadapter" {
            continue;
        }
        let published: planner::rooms::Published = serde_json::from_value(reference["inputs"].clone()).expect("inputs");
        let instance = published.instance();
        let ours = Ladder::solve(&instance).at(published.lambda_rps);
        let expected = &reference["expected"];
        assert_eq!(ours.is_some(), expected["feasible"] == true, "{}", path.display());
        let Some(ours) = ours else { continue };
        let objective = expected["objective"].as_f64().expect("an objective");
        assert!((ours.value - objective).abs() <= 1e-9, "{}: {} against {objective}", path.display(), ours.value);
        solved += 1;
    }
    assert!(solved > 0, "no instance of kind `infadapter` in {}", folder.display());
}

/// InfAdapter §5: five ResNets (slope, intercept as fitted there), budget 20, at loads 5, 10, … 380 and three weights.
#[test]
fn the_papers_resnets_at_every_load_equal_enumeration() {
    let resnets = [
        ("resnet18", 0.69758, 6.44, 24.446237, -6.0),
        ("resnet34", 0.73314, 6.79, 13.044355, -1.0),
        ("resnet50", 0.7613, 6.82, 10.321237, -3.0),
        ("resnet101", 0.77374, 7.77, 5.090054, 0.0),
        ("resnet152", 0.78312, 8.52, 3.814516, -2.0),
    ];
    let item = |(name, accuracy, load_time, slope, intercept): (&str, f64, f64, f64, f64)| Item {
        name: name.to_owned(),
        accuracy,
        load_time,
        current_cores: 0,
        options: (2..=20)
            .map(|cores| Allotment {
                cores,
                capacity: planner::rooms::published_capacity(slope, intercept, 0.8, cores),
            })
            .filter(|option| option.capacity > 0.0)
            .collect(),
    };
    for resource in [0.0125, 0.05, 0.2] {
        let objective = Objective::Weighted { accuracy: 1.0, resource, loading: 0.001 };
        let instance = Instance { items: resnets.into_iter().map(item).collect(), budget: 20, objective };
        let ladder = Ladder::solve(&instance);
        let every = if cfg!(debug_assertions) { 25 } else { 5 };
        for load in (5..=380).step_by(every).map(f64::from) {
            let truth = enumerate::solve(&instance, load).map(|solution| solution.value);
            let ours = ladder.at(load).map(|solution| solution.value);
            match (truth, ours) {
                (Some(truth), Some(ours)) => {
                    assert!((truth - ours).abs() <= 1e-9, "load {load}: {ours} against {truth}")
                }
                (truth, ours) => assert_eq!(truth, ours, "load {load}"),
            }
        }
    }
}
