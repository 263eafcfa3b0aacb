//! Facts that may be wrong, at a chosen risk: every law as slow, and the peak as high, as it may be.
//!
//! With `risk = ε` a plan keeps its SLO at any one load with probability at least 1 − ε over what is not known exactly:
//!
//! ```text
//! latency of variant v   true law = measured law × exp(σ·N(0, 1)),  σ² = (half the 95 % interval of the median ÷ 1.96)² + profile_error²
//! peak                   true peak = max_rps × (1 + forecast_error·N(0, 1))
//! ```
//!
//! Each of the K variants that may be used, and the peak where its error is given, gets the part ε ÷ (K + 1) of the risk
//! (ε ÷ K without it): by Bonferroni's inequality the chance that any of them is beyond its one-sided bound is at most ε,
//! however they depend on each other. A response is nowhere earlier where a law is slower or a rate higher, so while all
//! are within their bounds the SLO holds. Counting every variant that may be used, and not only those that are, keeps the
//! rule free of circles: the bounds do not depend on the plan.
//!
//! Claims of such a plan are made on the bounds, and so is `check`; `simulate` plays the facts as they were measured.

use std::collections::BTreeMap;

use super::Facts;
use crate::base::units::Rate;
use crate::problem::Problem;
use crate::profile::Point;

/// Half a 95 % interval in standard deviations.
const Z95: f64 = 1.959_963_984_540_054;

/// A problem and its facts with the risk worked in: nothing is left to chance that was given to it.
#[derive(Debug, Clone)]
pub struct AtRisk {
    /// The problem for the higher peak, without a risk of its own.
    pub problem: Problem,
    /// The facts with every law at its bound.
    pub facts: Facts,
    /// What the peak was multiplied by.
    pub peak_factor: f64,
    /// What the laws of each variant were multiplied by: the largest factor of its points.
    pub latency_factors: BTreeMap<String, f64>,
}

impl AtRisk {
    /// Works the risk of a problem in; `None` where it asks for none.
    #[must_use]
    pub fn of(problem: &Problem, facts: &Facts) -> Option<Self> {
        let risk = problem.risk?.get();
        let variants = allowed(problem, facts);
        let forecast_error = problem.workload.forecast_error.map_or(0.0, f64::from);
        let events = variants.len() + usize::from(forecast_error > 0.0);
        let deviations = normal_quantile(1.0 - risk / events.max(1) as f64);
        let error = problem.profile_error.map_or(0.0, f64::from);
        let mut slower = facts.clone();
        let mut latency_factors = BTreeMap::new();
        for profile in facts.profiles.iter().map(|profile| &profile.document) {
            for point in profile.points.iter().filter(|point| point.co_runners == 0) {
                let factor = (deviations * spread(point).hypot(error)).exp();
                let largest = latency_factors.entry(point.variant.clone()).or_insert(factor);
                *largest = f64::max(*largest, factor);
            }
        }
        let of_profiles = slower.curves.iter_mut().zip(&facts.profiles);
        let curves = of_profiles.flat_map(|(curves, profile)| curves.iter_mut().map(move |named| (named, profile)));
        for (((variant, device), curve), profile) in curves {
            let own: BTreeMap<(u32, u32), f64> = profile
                .document
                .points_of(variant)
                .filter(|point| point.device == *device && point.co_runners == 0)
                .map(|point| ((point.cores, point.batch), spread(point)))
                .collect();
            *curve = curve.slower(deviations, error, |at| own.get(&at).copied().unwrap_or(0.0));
        }
        latency_factors.retain(|name, _| variants.contains(name));
        let peak_factor = 1.0 + deviations * forecast_error;
        let mut asked = problem.clone();
        asked.risk = None;
        asked.workload.max_rps = Rate::saturating(problem.workload.max_rps.get() * peak_factor);
        Some(Self { problem: asked, facts: slower, peak_factor, latency_factors })
    }
}

/// Returns the names of all variants that the problem may use.
fn allowed(problem: &Problem, facts: &Facts) -> Vec<String> {
    match problem.allowed_variants() {
        Some(names) => names.into_iter().map(str::to_owned).collect(),
        None => facts.variants().map(|variant| variant.name.clone()).collect(),
    }
}

/// Returns the standard deviation of a point's latency, relative, as the interval of its median tells it.
fn spread(point: &Point) -> f64 {
    let median = point.latency.p50;
    let half = 0.5 * (median.high_ms.get() - median.low_ms.get());
    if median.value_ms.get() > 0.0 { half / Z95 / median.value_ms.get() } else { 0.0 }
}

/// Returns the number that a standard normal variable stays below with this probability, never less than the truth and at
/// most 0.001 more (Abramowitz and Stegun, 26.2.23).
fn normal_quantile(probability: f64) -> f64 {
    const ERROR: f64 = 4.5e-4;
    let tail = (1.0 - probability).clamp(1e-300, 1.0);
    if tail > 0.5 {
        // By symmetry, on the safe side again.
        return 2.0 * ERROR - normal_quantile(tail);
    }
    let t = (-2.0 * tail.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    t - above / below + ERROR
}

#[cfg(test)]
mod tests {
    use super::normal_quantile;

    #[test]
    fn quantiles_of_the_normal_law_err_on_the_safe_side() {
        for (probability, truth) in
            [(0.5, 0.0), (0.9, 1.281_552), (0.95, 1.644_854), (0.99, 2.326_348), (0.9999, 3.719_016)]
        {
            let found = normal_quantile(probability);
            assert!((truth..truth + 1e-3).contains(&found), "{probability}: {found} {truth}");
        }
        let found = normal_quantile(0.1);
        assert!((-1.281_552..-1.281_552 + 1e-3).contains(&found), "{found}");
    }
}
