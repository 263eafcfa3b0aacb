//! What runs at one load, and what that comes to.

use std::collections::BTreeMap;

use super::change_cost::PoolsUp;
use super::configurations::Configuration;
use super::frontier::FrontierPoint;
use super::gears::{Decoded, pools_up};
use super::goal;
use super::hardware::cores_of;
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
    /// Returns a gear that is worth so much as a choice; the cost is in cores, or the price of machines for an hour.
    pub(crate) fn new(problem: &Problem, decoded: Decoded, objective: f64, accuracy: f64, cost: f64) -> Self {
        let of_lane = |lane: &(String, Configuration)| {
            let (variant, configuration) = lane;
            let name = match &configuration.machine {
                Some(kind) => format!("{variant}-{kind}"),
                None => variant.clone(),
            };
            (name, cores_of(problem, std::slice::from_ref(lane)))
        };
        Self {
            objective,
            accuracy,
            usd_per_hour: problem.inventory.rents_whole().then_some(cost),
            cores_of: decoded.lanes.iter().map(of_lane).collect(),
            pools: pools_up(problem, &decoded),
            gear: decoded.gear,
            lanes: decoded.lanes,
        }
    }

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

/// Returns the best of some choices: the one that is worth most, and of equals the most accurate.
pub(super) fn best_of(choices: impl Iterator<Item = Choice>) -> Option<Choice> {
    choices.max_by(|a, b| a.objective.total_cmp(&b.objective).then(a.accuracy.total_cmp(&b.accuracy)))
}
