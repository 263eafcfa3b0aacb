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
//! Where the problem does not say, facts of profiles that tell how far their starts differ (`block_p50_ms`) are taken at a risk of 5 %,
//! and another profile to differ by as much as those, 4 % at least. Facts of other profiles are taken as they are said, and so
//! are all facts by published formulations.
//!
//! Claims of such a plan are made on the bounds, and so is `check`; `simulate` plays the facts as they were measured.

use std::collections::BTreeMap;

use super::{Facts, Margin};
use crate::base::units::{Factor, Rate, Share};
use crate::problem::{Problem, Risk};
use crate::profile::{Point, Profile, Starts};

/// The risk where the problem does not say.
const USUAL_RISK: f64 = 0.05;
/// How much another profile of the same variants is taken to differ, as a standard deviation, where few starts tell.
const FEW_STARTS_ERROR: f64 = 0.05;
/// The least that it is taken to be where the starts within a profile say: profiles of other hours differ by more than those. A
/// difference of more than 5 % at 18 % of the points is a standard deviation of 3.7 %.
const LEAST_PROFILE_ERROR: f64 = 0.04;
/// Degrees of freedom from which on the starts within a profile say it.
const ENOUGH_STARTS: f64 = 8.0;
/// Half a 95 % interval in standard deviations.
const Z95: f64 = 1.959_963_984_540_054;

/// A problem and its facts with the risk worked in: nothing is left to chance that was given to it.
#[derive(Debug, Clone)]
pub struct AtRisk {
    /// The problem for the higher peak, without a risk of its own.
    pub problem: Problem,
    /// The facts with every law at its bound.
    pub facts: Facts,
    /// What facts were multiplied by.
    pub margin: Margin,
}

/// How wrong facts may be.
#[derive(Debug, Clone)]
struct Chosen {
    risk: Share,
    /// Whether the problem does not say.
    is_default: bool,
    /// How much another profile is taken to differ from each one; `None` where a profile is taken as it is.
    profile_errors: Vec<Option<f64>>,
}

impl Chosen {
    /// Returns the risk of a problem, the usual one where it does not say; `None` where facts are taken as they are.
    fn of(problem: &Problem, facts: &Facts) -> Option<Self> {
        let (risk, is_default) = match problem.risk {
            Some(Risk::None) => return None,
            Some(Risk::Share(risk)) => (risk, false),
            None if problem.room.is_published() => return None,
            None => (Share::saturating(USUAL_RISK), true),
        };
        let error = |profile: &Profile| {
            let starts = Starts::of(&[profile]);
            // By default only what tells how far its starts differ is held for uncertain.
            (starts.is_some() || !is_default).then(|| profile_error(problem, starts))
        };
        let profile_errors: Vec<_> = facts.profiles.iter().map(|profile| error(&profile.document)).collect();
        let is_uncertain = !is_default || profile_errors.iter().any(Option::is_some);
        is_uncertain.then_some(Self { risk, is_default, profile_errors })
    }
}

/// Returns how much another profile of the same variants is taken to differ from one with these starts.
fn profile_error(problem: &Problem, starts: Option<Starts>) -> f64 {
    let usual = || match starts {
        None => 0.0,
        Some(starts) if starts.freedom < ENOUGH_STARTS => FEW_STARTS_ERROR,
        Some(starts) => starts.deviation.max(LEAST_PROFILE_ERROR),
    };
    problem.profile_error.map_or_else(usual, f64::from)
}

impl AtRisk {
    /// Works the risk of a problem in; `None` where facts are taken as they are.
    #[must_use]
    pub fn of(problem: &Problem, facts: &Facts) -> Option<Self> {
        let chosen = Chosen::of(problem, facts)?;
        let variants = allowed(problem, facts);
        let forecast_error = problem.workload.forecast_error.map_or(0.0, f64::from);
        let events = variants.len() + usize::from(forecast_error > 0.0);
        let deviations = normal_quantile(1.0 - chosen.risk.get() / events.max(1) as f64);
        let mut slower = facts.clone();
        let mut latency_factors = BTreeMap::new();
        let uncertain = || facts.profiles.iter().zip(&chosen.profile_errors);
        for (profile, error) in uncertain().filter_map(|(profile, error)| Some((&profile.document, (*error)?))) {
            for point in profile.points.iter().filter(|point| point.co_runners == 0) {
                let factor = (deviations * spread(point).hypot(error)).exp();
                let largest = latency_factors.entry(point.variant.clone()).or_insert(factor);
                *largest = f64::max(*largest, factor);
            }
        }
        for (curves, (profile, error)) in slower.curves.iter_mut().zip(uncertain()) {
            let Some(error) = *error else { continue };
            for ((variant, device), curve) in curves {
                let own: BTreeMap<(u32, u32), f64> = profile
                    .document
                    .points_of(variant)
                    .filter(|point| point.device == *device && point.co_runners == 0)
                    .map(|point| ((point.cores, point.batch), spread(point)))
                    .collect();
                *curve = curve.slower(deviations, error, |at| own.get(&at).copied().unwrap_or(0.0));
            }
        }
        latency_factors.retain(|name, _| variants.contains(name));
        let peak_factor = 1.0 + deviations * forecast_error;
        let mut asked = problem.clone();
        asked.risk = Some(Risk::None);
        asked.workload.max_rps = Rate::saturating(problem.workload.max_rps.get() * peak_factor);
        let Chosen { risk, is_default, profile_errors } = chosen;
        let profile_error = Factor::saturating(profile_errors.into_iter().flatten().fold(0.0, f64::max));
        let margin = Margin { risk, is_default, profile_error, peak_factor, latency_factors };
        Some(Self { problem: asked, facts: slower, margin })
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
    use std::path::Path;

    use super::{Starts, normal_quantile, profile_error};
    use crate::base::codec::{from_value, load};
    use crate::base::units::{Factor, Millis};
    use crate::problem::Problem;
    use crate::profile::Profile;

    #[test]
    fn another_profile_differs_as_the_starts_within_this_one_do() {
        let value = serde_json::json!({
            "format": "planner.problem/1", "name": "test", "room": "variant-set", "profiles": ["x"],
            "workload": { "max_rps": 10.0 }, "slo": { "quantile": 0.95, "latency_ms": 10.0 },
            "inventory": { "cores": 1 }, "goal": { "kind": "most-accurate" }
        });
        let mut problem: Problem = from_value(value).expect("a good problem").0;
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json");
        let shipped = load::<Profile>(&path).expect("the shipped profile loads").document;
        let with_starts = |starts: &[f64]| {
            let mut profile = shipped.clone();
            for point in &mut profile.points {
                let median = point.latency.p50.value_ms.get();
                point.block_p50_ms = starts.iter().map(|start| Millis::saturating(start * median)).collect();
            }
            profile
        };
        assert_eq!(profile_error(&problem, Starts::of(&[&shipped])), 0.0, "nobody recorded its starts");
        let spread = (0.1_f64.powi(2) / 2.0).sqrt();
        let seen = profile_error(&problem, Starts::of(&[&with_starts(&[1.0, 0.1_f64.exp()])]));
        assert!((seen - spread).abs() < 1e-9, "{seen} for {spread}");
        assert_eq!(
            profile_error(&problem, Starts::of(&[&with_starts(&[1.0, 1.001])])),
            0.04,
            "other hours differ by more"
        );
        problem.profile_error = Some(Factor::saturating(0.3));
        assert_eq!(
            profile_error(&problem, Starts::of(&[&with_starts(&[1.0, 1.1])])),
            0.3,
            "what the problem says counts"
        );
    }

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
