//! Pipelines that the bench `choice` and `examples/growth` time.

use planner::optimize::choice::{Alternative, Choice, ChoiceGoal, ChoiceMetric, SeriesParallel};

/// A number from 0 to 1 that looks random and is the same every time.
fn noise(seed: u32) -> f64 {
    let mixed = seed.wrapping_mul(2_654_435_761) ^ (seed >> 3).wrapping_mul(40_503);
    f64::from(mixed.wrapping_mul(2_246_822_519) >> 8) / f64::from(1 << 24)
}

/// What the paper measures: stages × variants × batches, dearer variants more accurate, larger batches slower and leaner.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Stages in a row.
    pub stages: u32,
    /// Variants of each.
    pub variants: u32,
    /// Batches of each variant, powers of two.
    pub batches: u32,
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} x {} x {}", self.stages, self.variants, self.batches)
    }
}

/// Returns a size.
pub const fn size(stages: u32, variants: u32, batches: u32) -> Size {
    Size { stages, variants, batches }
}

/// A pipeline at a load: replicas are whole, the first request of a batch waits for the last.
pub fn pipeline_at(load: f64, size: Size, metric: ChoiceMetric, tightness: f64) -> Choice<f64> {
    let alternative = |stage: u32, variant: u32, batch: u32| {
        let own = noise(977 * stage + 31 * variant + 7);
        let weight = f64::from(variant + 1) * (0.8 + 0.4 * own);
        let samples = f64::from(1 << batch);
        let latency = 0.03 * weight * (0.3 + 0.7 * samples) * (0.95 + 0.1 * noise(stage + 13 * batch + variant));
        let cores = f64::from(1 + variant / 3);
        let replicas = (load * latency / samples).ceil();
        let rank = f64::from(variant) / f64::from(size.variants.max(2) - 1);
        let accuracy = if metric == ChoiceMetric::Product { 0.6 + 0.38 * rank.powf(0.5) } else { rank };
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
        walk: SeriesParallel::chain(stages.len()),
        stages,
        metric,
        goal: ChoiceGoal::Weighted { accuracy: 10.0 },
        limit: least + tightness * (most - least),
    }
}
