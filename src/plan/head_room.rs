//! What a plan keeps in hand: what a chosen risk costs, and how much more it carries than was asked for.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::units::{Accuracy, Factor, Rate, Share};

/// What a plan keeps in hand because facts may be wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeadRoom {
    /// The probability that is left that the SLO is broken at some load.
    pub risk: Share,
    /// Whether the problem does not say how much.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_default: bool,
    /// How much another profile is taken to differ, as a standard deviation of latency relative to it: the largest of all profiles.
    #[serde(default)]
    pub profile_error: Factor,
    /// What the highest load was multiplied by.
    pub peak_factor: f64,
    /// What the laws of each variant were multiplied by: the largest factor of its points.
    pub latency_factors: BTreeMap<String, f64>,
    /// The last gear.
    pub with: AtPeak,
    /// The gear for the highest load that was asked for, of the plan that takes all facts as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without: Option<AtPeak>,
}

/// What a gear takes and gives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AtPeak {
    /// Its highest load.
    pub load_rps: Rate,
    /// Cores that are up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
    /// Part of requests answered rightly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
}

/// By which share load and service times may grow, one without the other, before the plan breaks its SLO in simulation: the last
/// whole percent that keeps it, at most 1. Facts are taken as they were measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldsUpTo {
    /// The highest load that was asked for, beyond which the load grows.
    pub max_rps: Rate,
    /// Share by which the load may grow.
    pub load: Factor,
    /// Share by which the service times of all calls may grow, each gear at its highest rate.
    pub service_times: Factor,
    /// Requests of each simulation, over all its trials.
    pub requests: u64,
    /// Independent trials of each simulation.
    pub trials: u32,
    /// Seed of the first trial.
    pub seed: u64,
    /// Whether slow calls came in stretches, as `simulate --stretches` draws them: where the profile tells how long those last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stretches: bool,
}

impl HoldsUpTo {
    /// Returns the shares by which load and service times may grow, in words.
    #[must_use]
    pub fn in_words(&self) -> [String; 2] {
        [self.load, self.service_times].map(|share| {
            // Beyond twice as much nothing is looked for.
            let or_more = if share.get() < 1.0 { "" } else { " or more" };
            format!("+{:.0} %{or_more}", 100.0 * share.get())
        })
    }
}
