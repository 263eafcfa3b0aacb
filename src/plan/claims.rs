//! What a plan promises, and how that is known.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::units::{Accuracy, Millis, Share, Usd};
use crate::problem::{GoalKind, Problem, RoomName};
use crate::profile::Trust;

/// What a gear promises at its highest rate. A claim left out is not made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Part of requests answered rightly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<AccuracyClaim>,
    /// Response time at the SLO's quantile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencyClaim>,
    /// Price of the gear at its highest rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd_per_hour: Option<Usd>,
    /// Cores that are up (of pools on cores and machines).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
    /// Machines that are rented, by kind.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub machines: BTreeMap<String, u32>,
    /// Busy part of each pool's replicas.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub utilisation: BTreeMap<String, Share>,
}

/// A claimed accuracy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccuracyClaim {
    /// Expected part of requests answered rightly.
    pub value: Accuracy,
    /// Lower end of the 95 % interval, from the labelled samples.
    pub low: Accuracy,
    /// Upper end of the 95 % interval.
    pub high: Accuracy,
    /// The least trusted number it rests on.
    pub trust: Trust,
}

/// A claimed response time at the SLO's quantile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatencyClaim {
    /// The response time.
    pub value_ms: Millis,
    /// The least trusted number it rests on; `simulated` at best where trials say it.
    pub trust: Trust,
    /// The trials that say it; absent where a closed form does, which trials did not contradict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<LatencyTried>,
}

/// What trials of a gear, alone at its highest rate, say of its response time at the SLO's quantile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatencyTried {
    /// Lower end of the 95 % interval.
    pub low_ms: Millis,
    /// Upper end of the 95 % interval.
    pub high_ms: Millis,
    /// Requests over all trials.
    pub requests: u64,
    /// Independent trials.
    pub trials: u32,
    /// Seed of the first trial.
    pub seed: u64,
}

/// An accuracy over requests that was proved on labelled samples which played no part in the choice of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// What was to be proved; absent where the problem asks for no accuracy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_at_least: Option<Accuracy>,
    /// The variant that the accuracy was measured against; absent where it was measured by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<Against>,
    /// What the accuracy exceeds with confidence 1 − δ.
    pub low: Accuracy,
    /// Probability that it is below all the same (δ), over the draw of the samples.
    pub delta: Share,
    /// Samples that the proof rests on.
    pub samples: u64,
}

/// An accuracy that was proved relative to that of a variant which answers everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Against {
    /// The variant.
    pub variant: String,
    /// How much less accurate the plan may be (ε).
    pub loss_at_most: Share,
    /// What the difference of the accuracies, plan less variant, exceeds with confidence 1 − δ.
    pub difference_low: f64,
}

/// How good a gear is, and how that is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Value of the goal at the gear's highest rate; higher is better.
    pub objective: f64,
    /// No plan of this problem can be better than this at that rate.
    pub bound: f64,
    /// bound − objective.
    pub gap: f64,
    /// The goal whose value the objective is; of a goal in levels that of its second level. Absent in plans from before it was
    /// stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<GoalKind>,
    /// What the objective is counted in; absent as `goal` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<ObjectiveUnit>,
    /// The search that proved it.
    pub method: String,
    /// What a simulation of the gear at its highest rate saw; absent where none was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<GearTried>,
}

impl Certificate {
    /// Returns the certificate of an objective that a search held against a bound.
    #[must_use]
    pub fn new(objective: f64, bound: f64, method: String) -> Self {
        Self { objective, bound, gap: bound - objective, goal: None, unit: None, method, trial: None }
    }

    /// Returns the same certificate with what its objective means under a problem.
    #[must_use]
    pub fn stated_for(self, problem: &Problem) -> Self {
        let goal = problem.goal.valued_as();
        Self { goal: Some(goal), unit: Some(ObjectiveUnit::of(problem, goal)), ..self }
    }
}

/// What an objective is counted in. Higher is better: what is spent or waited counts below 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectiveUnit {
    /// The part of requests answered rightly.
    Accuracy,
    /// The weighted sum of the goal `weighted`.
    WeightedSum,
    /// Cores in use as a part of those that the goal may use.
    PartOfCores,
    /// The price of the machines in use as a part of that of everything in the inventory.
    PartOfPrice,
    /// Cores: where no price is given, a core costs 1.
    Cores,
    /// Dollars an hour.
    UsdPerHour,
    /// The response time at the SLO's quantile, in milliseconds.
    Ms,
}

impl ObjectiveUnit {
    /// Returns the unit of a goal's value. Cascades count money itself; what other rooms spend is a part of the budget.
    fn of(problem: &Problem, goal: GoalKind) -> Self {
        let inventory = &problem.inventory;
        match goal {
            GoalKind::MostAccurate => Self::Accuracy,
            GoalKind::Weighted => Self::WeightedSum,
            GoalKind::Fastest => Self::Ms,
            GoalKind::Cheapest | GoalKind::Lexicographic => match problem.room.name() {
                RoomName::Cascade if inventory.rents_whole() || inventory.prices_cores() => Self::UsdPerHour,
                RoomName::Cascade => Self::Cores,
                _ if inventory.rents_whole() => Self::PartOfPrice,
                _ => Self::PartOfCores,
            },
        }
    }
}

/// What a simulation of a gear, alone at its highest rate, saw.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GearTried {
    /// Requests over all trials.
    pub requests: u64,
    /// Independent trials.
    pub trials: u32,
    /// Seed of the first trial.
    pub seed: u64,
    /// Share of violations.
    pub violation_share: Share,
    /// Upper end of its 95 % interval.
    pub violation_high: Share,
    /// What the SLO allows less that upper end.
    pub margin: Share,
}
