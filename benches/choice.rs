//! Speed of the search for one alternative a stage: `cargo bench --bench choice`.

#[path = "instances/pipelines.rs"]
mod pipelines;

use pipelines::{Size, pipeline_at, size};
use planner::optimize::choice::{Choice, ChoiceMetric, labels};

fn main() {
    divan::main();
}

/// A pipeline at 20 requests/s.
fn pipeline(size: Size, metric: ChoiceMetric, tightness: f64) -> Choice<f64> {
    pipeline_at(20.0, size, metric, tightness)
}

/// Sums of ranks (PAS'), as in the paper's table of decision times, where 9 x 9 x 3 takes Gurobi 2.22 s.
#[divan::bench(args = [size(9, 9, 3), size(20, 20, 7)])]
fn sum(bencher: divan::Bencher<'_, '_>, size: Size) {
    let choices = [0.05, 0.15, 0.4].map(|tightness| pipeline(size, ChoiceMetric::Sum, tightness));
    bencher.counter(3usize).bench_local(|| choices.each_ref().map(|choice| labels::solve(divan::black_box(choice))));
}

/// Products of accuracies (PAS).
#[divan::bench(args = [size(5, 8, 4), size(9, 9, 3)])]
fn product(bencher: divan::Bencher<'_, '_>, size: Size) {
    let choices = [0.05, 0.15, 0.4].map(|tightness| pipeline(size, ChoiceMetric::Product, tightness));
    bencher.counter(3usize).bench_local(|| choices.each_ref().map(|choice| labels::solve(divan::black_box(choice))));
}

/// A ladder of a thousand loads, 0.1 to 100 requests/s, of a pipeline as large as the paper's video pipeline, from nothing.
#[divan::bench]
fn thousand_loads_2x5x3(bencher: divan::Bencher<'_, '_>) {
    bencher.bench_local(|| {
        let at = |step: i32| pipeline_at(f64::from(step) / 10.0, size(2, 5, 3), ChoiceMetric::Sum, 0.15);
        (1..=1000).filter_map(|step| labels::solve(&at(step))).map(|picked| picked.value).sum::<f64>()
    });
}

/// Growth with each of the three sizes; the others stay at 9 x 9 x 3.
#[divan::bench(args = [
    size(3, 9, 3), size(6, 9, 3), size(12, 9, 3), size(24, 9, 3), size(48, 9, 3),
    size(9, 3, 3), size(9, 18, 3), size(9, 36, 3), size(9, 72, 3),
    size(9, 9, 1), size(9, 9, 6), size(9, 9, 12),
])]
fn growth(bencher: divan::Bencher<'_, '_>, size: Size) {
    let choices = [0.05, 0.15, 0.4].map(|tightness| pipeline(size, ChoiceMetric::Sum, tightness));
    bencher.counter(3usize).bench_local(|| choices.each_ref().map(|choice| labels::solve(divan::black_box(choice))));
}
