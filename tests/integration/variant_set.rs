//! The room `variant-set` against independent truths: enumeration, HiGHS, the paper's instances, and laws.

use planner::optimize::fill::{Ladder, at_load};
use planner::optimize::{Allotment, Instance, Item, Objective, Solution, enumerate};
use planner::papers::infadapter::{self, InfAdapterInstance, InfAdapterVariant};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const INSTANCES: u64 = 600;

/// Seeds of the instances that the search at one load is tried on.
const OTHER_SEEDS: std::ops::Range<u64> = 10_000..12_000;

/// A random instance of 1 to 4 variants on 2 to 9 cores, with every objective in turn.
pub fn random_instance(seed: u64) -> (Instance, Vec<f64>) {
    random(seed, 4, 9)
}

/// A random instance of up to 9 variants on up to 40 cores, too many to enumerate.
fn larger_instance(seed: u64) -> (Instance, Vec<f64>) {
    random(seed, 9, 40)
}

fn random(seed: u64, most_variants: u32, most_cores: u32) -> (Instance, Vec<f64>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let budget = rng.random_range(2..=most_cores);
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
    let items: Vec<Item> = (0..rng.random_range(1..=most_variants)).map(|index| item(&mut rng, index)).collect();
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

/// Both solutions are equally good, or there is none for either.
fn assert_same(ours: &Option<Solution>, truth: &Option<Solution>, name: &str) {
    match (ours, truth) {
        (None, None) => {}
        (Some(a), Some(b)) => assert!((a.value - b.value).abs() <= 1e-9, "{name}: {a:?} against {b:?}"),
        _ => panic!("{name}: {ours:?} against {truth:?}"),
    }
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
                Ladder::between(load, load, &instance).at(load),
                ours,
                "seed {seed} load {load}: alone or among others"
            );
            assert_same(&ours, &truth, &format!("seed {seed} load {load}"));
            feasible += u64::from(truth.is_some());
        }
    }
    assert!(feasible > INSTANCES, "only {feasible} feasible cases: the instances test nothing");
}

/// The search at one load on instances of its own: enumeration and the ladder say the same of each.
#[test]
fn search_at_one_load_equals_enumeration_and_ladder() {
    let mut feasible = 0;
    for seed in OTHER_SEEDS {
        let (instance, loads) = random_instance(seed);
        for load in loads {
            let name = format!("seed {seed} load {load}");
            let ours = at_load::solve(&instance, load);
            assert_same(&ours, &Ladder::between(load, load, &instance).at(load), &name);
            assert_same(&ours, &enumerate::solve(&instance, load), &name);
            feasible += usize::from(ours.is_some());
        }
    }
    assert!(feasible > 2_500, "only {feasible} feasible cases: the instances test nothing");
}

/// Where several solutions are equally accurate the one with the fewest cores is taken; of equally cheap ones the most
/// accurate.
#[test]
fn search_at_one_load_breaks_ties_as_the_goals_say() {
    let cores = |solution: &Solution| solution.cores.iter().sum::<u32>();
    for seed in OTHER_SEEDS.filter(|seed| seed % 4 < 2) {
        let (instance, loads) = random_instance(seed);
        for load in loads {
            let Some(ours) = at_load::solve(&instance, load) else { continue };
            let accuracy_at_least = ours.accuracy - 1e-11;
            let cheapest = Instance { objective: Objective::Cheapest { accuracy_at_least }, ..instance.clone() };
            let cheapest = enumerate::solve(&cheapest, load).expect("ours is one");
            assert_eq!(cores(&ours), cores(&cheapest), "seed {seed} load {load}: {ours:?} against {cheapest:?}");
            let within = Instance { budget: cores(&ours), objective: Objective::MostAccurate, ..instance.clone() };
            let most = enumerate::solve(&within, load).expect("ours is one");
            assert!((ours.accuracy - most.accuracy).abs() <= 1e-9, "seed {seed} load {load}: {ours:?}, {most:?}");
        }
    }
}

#[cfg(feature = "milp")]
#[test]
fn search_at_one_load_equals_highs() {
    use planner::optimize::milp;
    for seed in OTHER_SEEDS {
        let (instance, loads) = random_instance(seed);
        let highs = milp::solve(&instance, loads[0]).expect("HiGHS answers").map(|milp| milp.solution);
        assert_same(&at_load::solve(&instance, loads[0]), &highs, &format!("seed {seed} load {}", loads[0]));
    }
}

/// Instances too large to enumerate: up to 9 variants on up to 40 cores.
#[test]
fn search_at_one_load_equals_the_ladder_on_larger_instances() {
    for seed in 0..200 {
        let (instance, loads) = larger_instance(seed);
        for load in loads {
            let ladder = Ladder::between(load, load, &instance).at(load);
            assert_same(&at_load::solve(&instance, load), &ladder, &format!("seed {seed} load {load}"));
        }
    }
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
    let files = entries.map(|entry| entry.expect("listed").path());
    for path in files.filter(|path| path.extension().is_some_and(|end| end == "json")) {
        let text = std::fs::read_to_string(&path).expect("readable");
        let reference: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        if reference["kind"] != "infadapter" {
            continue;
        }
        let published: InfAdapterInstance = serde_json::from_value(reference["inputs"].clone()).expect("inputs");
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

/// A published instance whose variants carry what a table says.
fn of_tables(variants: serde_json::Value, lambda_rps: f64, core_budget: u32) -> Instance {
    let inputs = serde_json::json!({
        "lambda_rps": lambda_rps, "core_budget": core_budget, "min_cores": 1, "capacity_coef": 0.8,
        "weights": { "accuracy": 1.0, "resource": 0.05, "loading": 0.001 }, "current_cores": { "m0": 4, "m1": 2 },
        "variants": variants,
    });
    serde_json::from_value::<InfAdapterInstance>(inputs).expect("inputs").instance()
}

/// On 5 of 6 cores: `m1` on 4 carries 9.5 of 12, the rest goes to `m0` on 1. No factor, no rounding, no size between those of
/// the tables.
#[test]
fn capacity_table_is_taken_as_it_stands() {
    let tables = serde_json::json!([
        { "name": "m0", "accuracy": 0.7, "load_time_s": 2, "capacity_table": { "1": 3.75, "4": 16.5 } },
        { "name": "m1", "accuracy": 0.9, "load_time_s": 4, "capacity_table": { "2": 4.25, "4": 9.5, "16": 30 } },
    ]);
    let best = at_load::solve(&of_tables(tables, 12.0, 6), 12.0).expect("5 cores carry it");
    assert_eq!((best.cores, best.quotas), (vec![1, 4], vec![2.5, 9.5]));
    let value = (2.5 * 0.7 + 9.5 * 0.9) / 12.0 - 0.05 * 5.0 / 6.0 - 0.001;
    assert!((best.value - value).abs() < 1e-12, "{} against {value}", best.value);
}

/// Tables may have holes and may fall: more cores need not carry more.
#[test]
fn capacity_tables_are_solved_as_by_enumeration() {
    let mut feasible = 0;
    for seed in 0..500 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let variant = |rng: &mut ChaCha8Rng, index: u32| {
            let sizes: Vec<u32> = (1..=8).filter(|_| rng.random_bool(0.6)).collect();
            let capacity = |cores: u32, rng: &mut ChaCha8Rng| f64::from(cores) * rng.random_range(1.0..9.0f64);
            let table: serde_json::Map<String, serde_json::Value> =
                sizes.into_iter().map(|cores| (cores.to_string(), capacity(cores, rng).into())).collect();
            serde_json::json!({
                "name": format!("m{index}"), "accuracy": rng.random_range(0.5..0.99f64),
                "load_time_s": rng.random_range(0.5..9.0f64), "capacity_table": table,
            })
        };
        let variants: Vec<serde_json::Value> = (0..3).map(|index| variant(&mut rng, index)).collect();
        let load = rng.random_range(1.0..60.0);
        let instance = of_tables(variants.into(), load, 9);
        let (ours, truth) = (at_load::solve(&instance, load), enumerate::solve(&instance, load));
        assert_eq!(ours.is_some(), truth.is_some(), "seed {seed}");
        if let (Some(ours), Some(truth)) = (ours, truth) {
            assert!((ours.value - truth.value).abs() < 1e-12, "seed {seed}: {ours:?} against {truth:?}");
            feasible += 1;
        }
    }
    assert!(feasible > 100, "{feasible}");
}

#[test]
fn a_variant_with_a_line_and_a_table_or_with_neither_is_refused() {
    for keys in ["{}", r#"{"th_slope": 1}"#, r#"{"th_slope": 1, "th_intercept": 0, "capacity_table": {"1": 2}}"#] {
        let mut variant: serde_json::Value = serde_json::from_str(keys).expect("JSON");
        variant["name"] = "a".into();
        variant["accuracy"] = 0.5.into();
        variant["load_time_s"] = 1.into();
        let refused = serde_json::from_value::<InfAdapterVariant>(variant).expect_err(keys);
        assert!(refused.to_string().contains("`a` needs either"), "{refused}");
    }
}

/// InfAdapter's published instance: five ResNets (slope, intercept, accuracy and load time as released), 20 cores.
fn published_resnets(resource: f64) -> Instance {
    let resnets = [
        ("resnet18", 0.69758, 6.44, 24.446237, -6.0),
        ("resnet34", 0.73314, 6.79, 13.044355, -1.0),
        ("resnet50", 0.7613, 6.82, 10.321237, -3.0),
        ("resnet101", 0.77374, 7.77, 5.090054, 0.0),
        ("resnet152", 0.78312, 8.52, 3.814516, -2.0),
    ];
    let capacity = |slope, intercept, cores| infadapter::capacity(slope, intercept, 0.8, cores);
    let item = |(name, accuracy, load_time, slope, intercept): (&str, f64, f64, f64, f64)| Item {
        name: name.to_owned(),
        accuracy,
        load_time,
        current_cores: 0,
        options: (2..=20)
            .map(|cores| Allotment { cores, capacity: capacity(slope, intercept, cores) })
            .filter(|option| option.capacity > 0.0)
            .collect(),
    };
    let objective = Objective::Weighted { accuracy: 1.0, resource, loading: 0.001 };
    Instance { items: resnets.into_iter().map(item).collect(), budget: 20, objective }
}

/// InfAdapter §5: the optimum at loads 5, 10, … 380 for three weights of resources, by both searches.
///
/// The released program also demands that every variant but the lightest is full. That is not reproduced: it misses the
/// optimum at some loads, and no load at which it beats us is there.
#[test]
fn infadapter_section_5_published_optimum_in_all_228_cases_equals_enumeration() {
    let (mut cases, mut missed) = (0, 0);
    for resource in [0.0125, 0.05, 0.2] {
        let instance = published_resnets(resource);
        let ladder = Ladder::solve(&instance);
        for load in (5..=380).step_by(5).map(f64::from) {
            let name = format!("weight {resource} load {load}");
            let truth = enumerate::solve(&instance, load);
            assert_same(&at_load::solve(&instance, load), &truth, &name);
            assert_same(&ladder.at(load), &truth, &name);
            let full = |solution: &Solution| {
                let mut heavier = instance.items.iter().zip(solution.cores.iter().zip(&solution.quotas)).skip(1);
                let capacity = |item: &Item, cores| item.options.iter().find(|option| option.cores == cores).copied();
                let spare = |(item, (&cores, &quota)): (&Item, (&u32, &f64))| {
                    capacity(item, cores).is_some_and(|option| option.capacity > quota)
                };
                !heavier.any(spare)
            };
            let released = enumerate::best(&instance, load, full).map_or(f64::NEG_INFINITY, |solution| solution.value);
            let ours = truth.expect("20 cores carry it").value;
            assert!(released <= ours + 1e-12, "{name}: the released program finds {released}, we {ours}");
            missed += usize::from(released < ours - 1e-9);
            cases += 1;
        }
    }
    assert_eq!(cases, 228);
    assert!(missed > 0, "the released program's defect shows nowhere");
}
