//! Speed of the search for one alternative a stage: `cargo bench --bench choice`.

use planner::optimize::choice::{Alternative, Choice, Goal, Metric, Walk, labels};

fn main() {
    divan::main();
}

/// What the paper measures: stages × variants × batches, dearer variants more accurate, larger batches slower and leaner.
#[derive(Debug, Clone, Copy)]
struct Size {
    stages: u32,
    variants: u32,
    batches: u32,
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} x {} x {}", self.stages, self.variants, self.batches)
    }
}

const fn size(stages: u32, variants: u32, batches: u32) -> Size {
    Size { stages, variants, batches }
}

/// A number from 0 to 1 that looks random and is the same every time.
fn noise(seed: u32) -> f64 {
    let mixed = seed.wrapping_mul(2_654_435_761) ^ (seed >> 3).wrapping_mul(40_503);
    f64::from(mixed.wrapping_mul(2_246_822_519) >> 8) / f64::from(1 << 24)
}

/// A pipeline at 20 requests/s.
fn pipeline(size: Size, metric: Metric, tightness: f64) -> Choice<f64> {
    pipeline_at(20.0, size, metric, tightness)
}

/// A pipeline at a load: replicas are whole, the first request of a batch waits for the last.
fn pipeline_at(load: f64, size: Size, metric: Metric, tightness: f64) -> Choice<f64> {
    let alternative = |stage: u32, variant: u32, batch: u32| {
        let own = noise(977 * stage + 31 * variant + 7);
        let weight = f64::from(variant + 1) * (0.8 + 0.4 * own);
        let samples = f64::from(1 << batch);
        let latency = 0.03 * weight * (0.3 + 0.7 * samples) * (0.95 + 0.1 * noise(stage + 13 * batch + variant));
        let cores = f64::from(1 + variant / 3);
        let replicas = (load * latency / samples).ceil();
        let rank = f64::from(variant) / f64::from(size.variants.max(2) - 1);
        let accuracy = if metric == Metric::Product { 0.6 + 0.38 * rank.powf(0.5) } else { rank };
        let delay = latency + (samples - 1.0) / load;
        Alternative { accuracy, cost: 0.5 * replicas * cores + 1e-6 * samples, delay, blend: 0 }
    };
    let stage = |stage: u32| {
        let pairs = (0..size.variants).flat_map(|variant| (0..size.batches).map(move |batch| (variant, batch)));
        pairs.map(|(variant, batch)| alternative(stage, variant, batch)).collect::<Vec<_>>()
    };
    let stages: Vec<Vec<Alternative<f64>>> = (0..size.stages).map(stage).collect();
    let ends = |of: fn(f64, f64) -> f64, start: f64| {
        stages.iter().map(|stage| stage.iter().map(|a| a.delay).fold(start, of)).sum::<f64>()
    };
    let (least, most) = (ends(f64::min, f64::INFINITY), ends(f64::max, 0.0));
    Choice {
        walk: Walk::chain(stages.len()),
        stages,
        metric,
        goal: Goal::Weighted { accuracy: 10.0 },
        limit: least + tightness * (most - least),
    }
}

/// Sums of ranks (PAS'), as in the paper's table of decision times, where 9 x 9 x 3 takes Gurobi 2.22 s.
#[divan::bench(args = [size(9, 9, 3), size(20, 20, 7)])]
fn sum(bencher: divan::Bencher<'_, '_>, size: Size) {
    let choices = [0.05, 0.15, 0.4].map(|tightness| pipeline(size, Metric::Sum, tightness));
    bencher.counter(3usize).bench_local(|| choices.each_ref().map(|choice| labels::solve(divan::black_box(choice))));
}

/// Products of accuracies (PAS).
#[divan::bench(args = [size(5, 8, 4), size(9, 9, 3)])]
fn product(bencher: divan::Bencher<'_, '_>, size: Size) {
    let choices = [0.05, 0.15, 0.4].map(|tightness| pipeline(size, Metric::Product, tightness));
    bencher.counter(3usize).bench_local(|| choices.each_ref().map(|choice| labels::solve(divan::black_box(choice))));
}

/// A ladder of a thousand loads, 0.1 to 100 requests/s, of a pipeline as large as the paper's video pipeline, from nothing.
#[divan::bench]
fn thousand_loads_2x5x3(bencher: divan::Bencher<'_, '_>) {
    bencher.bench_local(|| {
        let at = |step: i32| pipeline_at(f64::from(step) / 10.0, size(2, 5, 3), Metric::Sum, 0.15);
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
    let choices = [0.05, 0.15, 0.4].map(|tightness| pipeline(size, Metric::Sum, tightness));
    bencher.counter(3usize).bench_local(|| choices.each_ref().map(|choice| labels::solve(divan::black_box(choice))));
}
