//! InfAdapter's own model of capacity (EuroMLSys 2023): a straight line over cores, with a safety factor.
//!
//! `th_m(n) = slope·n + intercept` is fitted by least squares to measured capacities; the intercept is clamped to at most
//! 0 and truncated toward zero; `capacity = floor(factor · th_m(n))` for at least the fewest cores. Differs from the
//! released code in one point on purpose: spare capacity is allowed in every variant, not only in the lightest.

use std::collections::BTreeMap;

use crate::base::error::Error;
use crate::facts::{Ask, not_measured};
use crate::optimize::{Allotment, Instance, Item, Objective};
use crate::plan::law::estimate::Queue;
use crate::problem::{InfAdapter, RoomSettings};

use crate::rooms::configurations::Configuration;
use crate::rooms::fastest::Fastest;
use crate::rooms::variant_set::Model;
use crate::rooms::{Cut, Freedom, Opened, Room, VariantSet};

/// The published planner as a room: the same program with its capacities.
#[derive(Debug, Clone, Copy, Default)]
pub struct InfAdapterRoom;

impl Room for InfAdapterRoom {
    fn open<'a>(&self, ask: &'a Ask<'a>) -> Result<Box<dyn Opened + 'a>, Error> {
        match Fastest::of(&Self, ask) {
            Some(fastest) => Ok(fastest),
            None => Ok(Box::new(Model::new(ask, configurations)?)),
        }
    }

    /// A variant has one way to run.
    fn cuts(&self) -> Option<Cut> {
        Some(Cut::Variants)
    }

    fn freedoms(&self) -> &[Freedom] {
        VariantSet.freedoms()
    }
}

/// Returns the published capacity of `cores` cores, in whole requests per second.
#[must_use]
pub fn capacity(slope: f64, intercept: f64, factor: f64, cores: u32) -> f64 {
    (factor * (slope * f64::from(cores) + intercept)).floor().max(0.0)
}

/// Returns the published way to run a variant on each number of cores: one worker a core, one call at a time.
fn configurations(ask: &Ask<'_>, variant: &str) -> Result<Vec<Configuration>, Error> {
    let problem = &ask.problem;
    let settings = match &problem.room {
        RoomSettings::VariantSet(settings) => settings.published.clone().unwrap_or_default(),
        _ => InfAdapter::default(),
    };
    let service = ask
        .facts
        .curve(variant, "cpu")
        .and_then(|curve| curve.at(1, 1))
        .ok_or_else(|| not_measured(variant, "batch 1 on 1 core of `cpu`"))?;
    let measured = settings.fit_cores.iter().map(|&cores| {
        let queue = Queue { service: &service.law, servers: cores, batch: 1, hold_ms: 0.0 };
        (f64::from(cores), queue.capacity_rps(&problem.slo))
    });
    let (slope, intercept) = line(&measured.collect::<Vec<_>>());
    let cores = problem.inventory.min_cores_per_variant..=problem.core_budget();
    let configuration = |n: u32| Configuration {
        cores_each: 1,
        replicas: n,
        batch: 1,
        hold_ms: 0.0,
        capacity: ask.part(variant) * capacity(slope, intercept.min(0.0).trunc(), settings.capacity_factor.get(), n),
        service: service.clone(),
        machine: None,
    };
    let may_run =
        |configuration: &Configuration| configuration.capacity > 0.0 && ask.may_run(variant, configuration.cores());
    Ok(cores.map(configuration).filter(may_run).collect())
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
    /// Fewest cores of a deployed variant (default: 1).
    #[serde(default = "one_core")]
    pub min_cores: u32,
    /// Safety factor on lines (default: 1).
    #[serde(default = "no_factor")]
    pub capacity_coef: f64,
    /// Weights of the objective.
    pub weights: InfAdapterWeights,
    /// Cores that variants hold now (n'_m).
    #[serde(default)]
    pub current_cores: BTreeMap<String, u32>,
    /// The variants.
    pub variants: Vec<InfAdapterVariant>,
}

const fn one_core() -> u32 {
    1
}

const fn no_factor() -> f64 {
    1.0
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
#[serde(try_from = "VariantKeys")]
pub struct InfAdapterVariant {
    /// Name.
    pub name: String,
    /// a_m, 0 to 1.
    pub accuracy: f64,
    /// rt_m, in seconds.
    pub load_time_s: f64,
    /// th_m.
    pub capacity: InfAdapterCapacity,
}

/// What a variant of a published instance carries.
#[derive(Debug, Clone, PartialEq)]
pub enum InfAdapterCapacity {
    /// A line over cores, from which [`capacity`] follows for every number of cores.
    Line {
        /// Requests per second for each core.
        slope: f64,
        /// Requests per second.
        intercept: f64,
    },
    /// Requests per second by cores, taken as they stand; other numbers of cores are no option.
    Table(BTreeMap<u32, f64>),
}

/// The keys of a variant in a file.
#[derive(serde::Deserialize)]
struct VariantKeys {
    name: String,
    accuracy: f64,
    load_time_s: f64,
    th_slope: Option<f64>,
    th_intercept: Option<f64>,
    capacity_table: Option<BTreeMap<u32, f64>>,
}

impl TryFrom<VariantKeys> for InfAdapterVariant {
    type Error = String;

    fn try_from(keys: VariantKeys) -> Result<Self, String> {
        let VariantKeys { name, accuracy, load_time_s, th_slope, th_intercept, capacity_table } = keys;
        let capacity = match (th_slope, th_intercept, capacity_table) {
            (Some(slope), Some(intercept), None) => InfAdapterCapacity::Line { slope, intercept },
            (None, None, Some(table)) => InfAdapterCapacity::Table(table),
            _ => return Err(format!("`{name}` needs either `th_slope` and `th_intercept`, or `capacity_table`")),
        };
        Ok(Self { name, accuracy, load_time_s, capacity })
    }
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
            options: self.options(&variant.capacity),
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

    /// Returns what a variant may get: from the fewest cores of a deployed variant to all.
    fn options(&self, of: &InfAdapterCapacity) -> Vec<Allotment> {
        let cores = self.min_cores..=self.core_budget;
        let option = |(cores, capacity)| Allotment { cores, capacity };
        let options: Vec<Allotment> = match of {
            InfAdapterCapacity::Line { slope, intercept } => {
                cores.map(|n| (n, capacity(*slope, *intercept, self.capacity_coef, n))).map(option).collect()
            }
            InfAdapterCapacity::Table(table) => {
                let within = table.iter().filter(|(n, _)| cores.contains(n));
                within.map(|(&n, &capacity)| option((n, capacity))).collect()
            }
        };
        options.into_iter().filter(|option| option.capacity > 0.0).collect()
    }
}
