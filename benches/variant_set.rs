//! Speed of the variant-set search: `cargo bench --bench variant_set`.

#[path = "instances/variant_sets.rs"]
mod variant_sets;

use planner::optimize::Objective;
use planner::optimize::fill::{Ladder, at_load};
use variant_sets::{highest, variant_set};

fn main() {
    divan::main();
}

/// All loads at once, from nothing: the dynamic programme with its load-time levels.
#[divan::bench(args = [(5, 20), (8, 20), (12, 64)])]
fn every_load(bencher: divan::Bencher<'_, '_>, (variants, budget): (u32, u32)) {
    let instance = variant_set(variants, budget);
    bencher.bench_local(|| Ladder::solve(divan::black_box(&instance)).max_load());
}

/// One load, from nothing, at 10, 50 and 98 % of the highest. Asked: 5 × 20 in 0.2 ms, 12 × 64 in 20 ms.
#[divan::bench(args = [(5, 20), (12, 64)], consts = [10, 50, 98])]
fn one_load<const PERCENT: u32>(bencher: divan::Bencher<'_, '_>, (variants, budget): (u32, u32)) {
    let instance = variant_set(variants, budget);
    let load = highest(&instance) * f64::from(PERCENT) / 100.0;
    bencher.bench_local(|| at_load::solve(divan::black_box(&instance), load));
}

/// The hardest of a hundred loads, found before it is timed.
#[divan::bench(args = [(5, 20), (12, 64)])]
fn one_load_hardest(bencher: divan::Bencher<'_, '_>, (variants, budget): (u32, u32)) {
    let instance = variant_set(variants, budget);
    let time_of = |load: f64| {
        let once = || {
            let start = std::time::Instant::now();
            divan::black_box(at_load::solve(divan::black_box(&instance), load));
            start.elapsed()
        };
        (0..3).map(|_| once()).min()
    };
    let loads = (1..=100).map(|step| highest(&instance) * f64::from(step) / 101.0);
    let hardest = loads.max_by_key(|&load| time_of(load)).unwrap_or(1.0);
    bencher.bench_local(|| at_load::solve(divan::black_box(&instance), hardest));
}

/// Growth at half of the highest load: with the variants on 32 cores, and with the cores of 8 variants.
#[divan::bench(args = [(2, 32), (4, 32), (8, 32), (12, 32), (16, 32), (8, 8), (8, 16), (8, 64), (8, 128)])]
fn one_load_growth(bencher: divan::Bencher<'_, '_>, (variants, budget): (u32, u32)) {
    let instance = variant_set(variants, budget);
    let load = highest(&instance) / 2.0;
    bencher.bench_local(|| at_load::solve(divan::black_box(&instance), load));
}

/// One load by each goal: 12 variants on 64 cores, half of the highest load.
#[divan::bench(args = ["weighted", "cheapest", "most accurate"])]
fn one_load_12x64_by_goal(bencher: divan::Bencher<'_, '_>, goal: &str) {
    let mut instance = variant_set(12, 64);
    let load = highest(&instance) / 2.0;
    instance.objective = match goal {
        "cheapest" => Objective::Cheapest { accuracy_at_least: 0.68 },
        "most accurate" => Objective::MostAccurate,
        _ => instance.objective,
    };
    bencher.bench_local(|| at_load::solve(divan::black_box(&instance), load));
}

/// The same by the dynamic programme over whole functions, cut to the one load.
#[divan::bench(args = [(5, 20), (12, 64)], consts = [10, 50, 98])]
fn one_load_by_ladder<const PERCENT: u32>(bencher: divan::Bencher<'_, '_>, (variants, budget): (u32, u32)) {
    let instance = variant_set(variants, budget);
    let load = highest(&instance) * f64::from(PERCENT) / 100.0;
    bencher.bench_local(|| Ladder::between(load, load, divan::black_box(&instance)).at(load));
}

/// A ladder of a thousand loads, from nothing: each load solved to its plan.
#[divan::bench]
fn thousand_loads_5x20(bencher: divan::Bencher<'_, '_>) {
    let instance = variant_set(5, 20);
    bencher.bench_local(|| {
        let ladder = Ladder::solve(divan::black_box(&instance));
        let top = ladder.max_load();
        (1..=1000)
            .filter_map(|step| ladder.at(top * f64::from(step) / 1000.0))
            .map(|solution| solution.value)
            .sum::<f64>()
    });
}
