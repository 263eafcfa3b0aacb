//! Speed of the variant-set search: `cargo bench --bench variant_set`.

use planner::optimize::fill::Ladder;
use planner::optimize::{Allotment, Instance, Item, Objective};

fn main() {
    divan::main();
}

/// Variants like InfAdapter's ResNets: dearer ones are more accurate and scale worse.
fn instance(variants: u32, budget: u32) -> Instance {
    let item = |index: u32| {
        let weight = f64::from(index + 1);
        let capacity = |cores: u32| f64::from(cores) * 25.0 / weight - 0.37 * weight;
        Item {
            name: format!("m{index}"),
            accuracy: 0.65 + 0.3 * weight / f64::from(variants + 1),
            load_time: 6.0 + 0.5 * weight,
            current_cores: if index == 1 { 4 } else { 0 },
            options: (1..=budget)
                .map(|cores| Allotment { cores, capacity: capacity(cores) })
                .filter(|option| option.capacity > 0.0)
                .collect(),
        }
    };
    let objective = Objective::Weighted { accuracy: 1.0, resource: 0.05, loading: 0.001 };
    Instance { items: (0..variants).map(item).collect(), budget, objective }
}

/// All loads at once, from nothing: the dynamic programme with its load-time levels.
#[divan::bench(args = [(5, 20), (8, 20), (12, 64)])]
fn every_load(bencher: divan::Bencher<'_, '_>, (variants, budget): (u32, u32)) {
    let instance = instance(variants, budget);
    bencher.bench_local(|| Ladder::solve(divan::black_box(&instance)).max_load());
}

/// One load, from nothing: a low, a middle and the highest load of the instance, which carries 489 requests/s.
#[divan::bench(args = [50.0, 250.0, 480.0])]
fn one_load_5x20(bencher: divan::Bencher<'_, '_>, load: f64) {
    let instance = instance(5, 20);
    bencher.bench_local(|| Ladder::only_at(load, divan::black_box(&instance)).at(load));
}

/// A ladder of a thousand loads, from nothing: each load solved to its plan.
#[divan::bench]
fn thousand_loads_5x20(bencher: divan::Bencher<'_, '_>) {
    let instance = instance(5, 20);
    bencher.bench_local(|| {
        let ladder = Ladder::solve(divan::black_box(&instance));
        let top = ladder.max_load();
        (1..=1000)
            .filter_map(|step| ladder.at(top * f64::from(step) / 1000.0))
            .map(|solution| solution.value)
            .sum::<f64>()
    });
}
