//! What runs at one load, and what that comes to.

use std::collections::BTreeMap;

use super::change_cost::PoolsUp;
use super::configurations::Configuration;
use super::frontier::FrontierPoint;
use super::goal;
use crate::plan::Gear;
use crate::problem::Problem;

/// What runs at one load: the gear, how good it is, and what it costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Value of the goal; higher is better.
    pub objective: f64,
    /// Accuracy over requests.
    pub accuracy: f64,
    /// Price of the machines for an hour, where they are rented whole.
    pub usd_per_hour: Option<f64>,
    /// The gear that does it, but for the replicas of its pools.
    pub gear: Gear,
    /// Cores of each lane's variant; where machines are rented, of each variant on each kind, called like `cnn_m-small`.
    pub cores_of: Vec<(String, u32)>,
    /// The pools that are up.
    pub(crate) pools: PoolsUp,
    /// Every lane's variant and how it runs; empty where replicas are devices.
    pub(crate) lanes: Vec<(String, Configuration)>,
}

impl Choice {
    /// Returns the cores in use; accelerators have none.
    #[must_use]
    pub fn cores(&self) -> u32 {
        self.gear.claims.cores.unwrap_or(0)
    }

    /// Returns the part of everything there is that it takes: by price where machines are rented whole, else by cores.
    pub(crate) fn used(&self, problem: &Problem) -> f64 {
        goal::part(problem, self.usd_per_hour.unwrap_or_else(|| f64::from(self.cores())))
    }

    /// Returns the machines of each kind, where they are rented whole.
    #[must_use]
    pub fn machines(&self) -> &BTreeMap<String, u32> {
        &self.gear.claims.machines
    }

    /// Returns the choice as a point of a frontier.
    #[must_use]
    pub fn point(&self) -> FrontierPoint {
        FrontierPoint {
            cores: self.cores(),
            cost_usd_per_hour: self.usd_per_hour,
            machines: self.machines().clone(),
            accuracy: self.accuracy,
            cores_of: self.cores_of.clone(),
        }
    }
}
