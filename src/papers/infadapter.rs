//! InfAdapter's own model of capacity (EuroMLSys 2023): a straight line over cores, with a safety factor.
//!
//! `th_m(n) = slope·n + intercept` is fitted by least squares to measured capacities; the intercept is clamped to at most
//! 0 and truncated toward zero; `capacity = floor(factor · th_m(n))` for at least the fewest cores. Differs from the
//! released code in one point on purpose: spare capacity is allowed in every variant, not only in the lightest.

use crate::base::error::Error;
use crate::facts::Facts;
use crate::optimize::{Allotment, Instance, Item, Objective};
use crate::plan::law::estimate::Queue;
use crate::problem::Problem;
use crate::rooms::variant_set::{Candidate, not_measured};

/// Returns the published capacity of `cores` cores, in whole requests per second.
#[must_use]
pub fn capacity(slope: f64, intercept: f64, factor: f64, cores: u32) -> f64 {
    (factor * (slope * f64::from(cores) + intercept)).floor().max(0.0)
}

/// Returns the published way to run a variant on each number of cores: one worker a core, one call at a time.
pub(crate) fn candidates(problem: &Problem, facts: &Facts, variant: &str) -> Result<Vec<Candidate>, Error> {
    let settings = problem.published.clone().unwrap_or_default();
    let service = facts
        .curve(variant, "cpu")
        .and_then(|curve| curve.at(1, 1))
        .ok_or_else(|| not_measured(variant, "batch 1 on 1 core of `cpu`"))?;
    let measured = settings.fit_cores.iter().map(|&cores| {
        let queue = Queue { service: &service.law, servers: cores, batch: 1, hold_ms: 0.0 };
        (f64::from(cores), queue.capacity_rps(&problem.slo))
    });
    let (slope, intercept) = line(&measured.collect::<Vec<_>>());
    let cores = problem.inventory.min_cores_per_variant..=problem.core_budget();
    let candidate = |n: u32| Candidate {
        cores_each: 1,
        replicas: n,
        batch: 1,
        hold_ms: 0.0,
        capacity: capacity(slope, intercept.min(0.0).trunc(), settings.capacity_factor.get(), n),
        service: service.clone(),
        machine: None,
    };
    Ok(cores.map(candidate).filter(|candidate| candidate.capacity > 0.0).collect())
}

/// Fits slope and intercept by least squares.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    let (mean_x, mean_y) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let covariance: f64 = points.iter().map(|p| (p.0 - mean_x) * (p.1 - mean_y)).sum();
    let variance: f64 = points.iter().map(|p| (p.0 - mean_x).powi(2)).sum();
    let slope = if variance > 0.0 { covariance / variance } else { 0.0 };
    (slope, mean_y - slope * mean_x)
}

/// An instance as the paper's adapter sees it at one decision; the format of the reference instances.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub struct InfAdapterInstance {
    /// Load (λ).
    pub lambda_rps: f64,
    /// Cores for all variants (B).
    pub core_budget: u32,
    /// Fewest cores of a deployed variant.
    pub min_cores: u32,
    /// Safety factor on the line.
    pub capacity_coef: f64,
    /// Weights of the objective.
    pub weights: InfAdapterWeights,
    /// Cores that variants hold now (n'_m).
    #[serde(default)]
    pub current_cores: std::collections::BTreeMap<String, u32>,
    /// The variants.
    pub variants: Vec<InfAdapterVariant>,
}

/// Weights of the published objective.
#[derive(Debug, Clone, Copy, PartialEq, serde::Deserialize)]
pub struct InfAdapterWeights {
    /// Weight of AA.
    pub accuracy: f64,
    /// Weight of RC.
    pub resource: f64,
    /// Weight of LC.
    pub loading: f64,
}

/// A variant of a published instance.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub struct InfAdapterVariant {
    /// Name.
    pub name: String,
    /// a_m, 0 to 1.
    pub accuracy: f64,
    /// rt_m, in seconds.
    pub load_time_s: f64,
    /// Slope of th_m, requests per second for each core.
    pub th_slope: f64,
    /// Intercept of th_m, requests per second.
    pub th_intercept: f64,
}

impl InfAdapterInstance {
    /// Returns the integer program of the instance.
    #[must_use]
    pub fn instance(&self) -> Instance {
        let item = |variant: &InfAdapterVariant| Item {
            name: variant.name.clone(),
            accuracy: variant.accuracy,
            load_time: variant.load_time_s,
            current_cores: self.current_cores.get(&variant.name).copied().unwrap_or(0),
            options: (self.min_cores..=self.core_budget)
                .map(|cores| Allotment {
                    cores,
                    capacity: capacity(variant.th_slope, variant.th_intercept, self.capacity_coef, cores),
                })
                .filter(|option| option.capacity > 0.0)
                .collect(),
        };
        Instance {
            items: self.variants.iter().map(item).collect(),
            budget: self.core_budget,
            objective: Objective::Weighted {
                accuracy: self.weights.accuracy,
                resource: self.weights.resource,
                loading: self.weights.loading,
            },
        }
    }
}
