//! What is asked: profiles, workload, SLO, inventory, goal and the room that answers.
//!
//! This file holds the nouns of `planner.problem/1`, written by hand in TOML (JSON is accepted).

mod file;
mod function;
mod inventory;
mod machine;
mod resource;
mod risk;
mod room;
mod validate;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::codec::Document;
use crate::base::finding::Findings;
use crate::base::units::{Accuracy, Factor, Millis, Rate, Seconds, Share};

use file::{ForeignKey, ProblemFile};
pub use function::Function;
pub use inventory::{HardwareFamily, HardwareKind, Inventory};
pub use machine::{Billing, Machine};
pub use resource::Resource;
pub use risk::Risk;
pub(crate) use room::accuracy_over_requests;
pub use room::{
    CascadeServe, CascadeSettings, Combination, InfAdapter, Ipa, PipelineAccuracy, PipelineSettings, RoomName,
    RoomSettings, Task, VariantSetSettings,
};

/// A planning problem.
///
/// A room's own keys stand in its [`RoomSettings`]: what one room does not have cannot be asked of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "ProblemFile", into = "ProblemFile")]
pub struct Problem {
    /// A name for people; the plan carries it.
    pub name: String,
    /// Which planner answers, and its settings.
    pub room: RoomSettings,
    /// Profiles to plan with, relative to the problem's file.
    pub profiles: Vec<PathBuf>,
    /// The load to plan for.
    pub workload: Workload,
    /// The latency objective.
    pub slo: Slo,
    /// What may be used, and what it costs.
    pub inventory: Inventory,
    /// What to make best.
    pub goal: Goal,
    /// The probability that may be left that the SLO is broken at some load because facts were wrong. Default: 0.05 where a
    /// profile tells how far its starts differ, and none elsewhere and for published formulations.
    pub risk: Option<Risk>,
    /// How much another profile of the same variants differs, as a standard deviation of latency relative to it, on top of the
    /// profile's own intervals. Default: as far as the starts within the profile differ, 0.04 at least; 0
    /// where it keeps none.
    pub profile_error: Option<Factor>,
    /// Keys of the file that its room does not have.
    pub(crate) foreign: Vec<ForeignKey>,
}

impl Document for Problem {
    const FORMAT: &'static str = "planner.problem/1";
    const NOUN: &'static str = "problem";

    fn rules(&self) -> Findings {
        self.validate()
    }
}

impl Problem {
    /// Returns for each stage the indices of the stages that it waits for.
    ///
    /// # Panics
    /// Where the problem was not validated and `after` names an unknown stage.
    #[must_use]
    pub fn predecessors(&self) -> Vec<Vec<usize>> {
        let stages: Vec<_> = self.stages().iter().map(|stage| (stage.name.as_str(), &stage.after[..])).collect();
        crate::base::graph::predecessors(&stages)
    }

    /// Returns the stages of a pipeline; none in other rooms.
    #[must_use]
    pub fn stages(&self) -> &[Task] {
        match &self.room {
            RoomSettings::Pipeline(settings) => &settings.stages,
            _ => &[],
        }
    }

    /// Returns how accurate a pipeline is as a whole.
    #[must_use]
    pub fn accuracy_of_stages(&self) -> &PipelineAccuracy {
        match &self.room {
            RoomSettings::Pipeline(PipelineSettings { accuracy: Some(accuracy), .. }) => accuracy,
            _ => &PipelineAccuracy::Product,
        }
    }

    /// Returns the settings of the room `cascade`; `None` in other rooms.
    #[must_use]
    pub fn cascade(&self) -> Option<&CascadeSettings> {
        match &self.room {
            RoomSettings::Cascade(settings) => Some(settings),
            _ => None,
        }
    }

    /// Returns the variants that may be used, where the problem names them.
    #[must_use]
    pub fn allowed_variants(&self) -> Option<Vec<&str>> {
        match &self.room {
            RoomSettings::VariantSet(VariantSetSettings { variants, .. })
            | RoomSettings::Cascade(CascadeSettings { variants, .. }) => {
                variants.as_ref().map(|names| names.iter().map(String::as_str).collect())
            }
            RoomSettings::Pipeline(settings) => {
                Some(settings.stages.iter().flat_map(|stage| &stage.variants).map(String::as_str).collect())
            }
            RoomSettings::Dropout | RoomSettings::Offload => None,
        }
    }

    /// Returns the problem with only these variants.
    #[must_use]
    pub fn with_variants(&self, names: &[String]) -> Self {
        let mut fixed = self.clone();
        match &mut fixed.room {
            RoomSettings::VariantSet(settings) => settings.variants = Some(names.to_vec()),
            RoomSettings::Cascade(settings) => settings.variants = Some(names.to_vec()),
            RoomSettings::Pipeline(settings) => settings.keep_variants(names),
            RoomSettings::Dropout | RoomSettings::Offload => {}
        }
        fixed
    }

    /// Returns the problem with a budget of at least so many cores.
    #[must_use]
    pub fn with_cores(&self, cores: u32) -> Self {
        let mut moved = self.clone();
        moved.inventory.cores = moved.inventory.cores.max(cores);
        moved.goal.cores_at_most = moved.goal.cores_at_most.map(|most| most.max(cores));
        moved
    }
}

/// The load to plan for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// The highest rate that the plan must carry.
    pub max_rps: Rate,
    /// A recorded load, relative to this file: how often each rate is asked for, and how fast rates change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<PathBuf>,
    /// What the recorded rates are multiplied by; 1 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_scale: Option<Factor>,
    /// `risk`: how far the real peak may be from `max_rps`, as a standard deviation relative to it; 0 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast_error: Option<Factor>,
}

/// A latency objective: a quantile of the response times and its limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slo {
    /// The part of requests that must be answered in time, like 0.99.
    pub quantile: Share,
    /// Time from arrival to answer.
    pub latency_ms: Millis,
    /// Length of the windows of time in each of which the quantile must be kept, beside the whole. Default: the whole alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_s: Option<Seconds>,
}

/// What to make best, and the limits beside the SLO.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Goal {
    /// What to make best.
    pub kind: GoalKind,
    /// `weighted`: how much each term counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Weights>,
    /// `cheapest`: the least accuracy over requests, at every load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_at_least: Option<Accuracy>,
    /// `cheapest` in the room `cascade`: the least accuracy over the requests of all loads together, each rate weighing as
    /// much as requests came at it in the trace; every rate holds equally long where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_accuracy_at_least: Option<Accuracy>,
    /// `most-accurate`: the most cores that may be used; the whole inventory where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub cores_at_most: Option<u32>,
    /// `lexicographic`: what is made best first, second and third.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<Criterion>,
    /// `lexicographic`: what each level may give away for those after it; nothing where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerances: Option<Tolerances>,
    /// Most gears that the plan may have; as many as the optimum changes where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub gears_at_most: Option<u32>,
    /// Whether the replicas of any two gears between which the plan may change must fit into the inventory at once.
    #[serde(default, skip_serializing_if = "is_false")]
    pub strict_transitions: bool,
    /// How often an hour the plan should change gear on the trace at most: the dwell is as long as that takes; 60 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes_per_hour_at_most: Option<Factor>,
    /// How much accuracy a gear may give away below its highest load because its shares are fixed.
    #[serde(default = "one_point")]
    pub gear_loss_at_most: Factor,
}

impl Goal {
    /// Returns the kind of goal whose value a gear's objective has: of a lexicographic goal, that of its second level.
    #[must_use]
    pub fn valued_as(&self) -> GoalKind {
        match (self.kind, self.order.first()) {
            (GoalKind::Lexicographic, Some(Criterion::Cores)) => GoalKind::MostAccurate,
            (GoalKind::Lexicographic, _) => GoalKind::Cheapest,
            (other, _) => other,
        }
    }

    /// Tells whether the last level makes latency best.
    #[must_use]
    pub fn wants_low_latency(&self) -> bool {
        self.kind == GoalKind::Lexicographic && self.order.contains(&Criterion::Latency)
    }

    /// Returns how often an hour the plan should change gear on the trace at most.
    #[must_use]
    pub fn changes_per_hour(&self) -> f64 {
        self.changes_per_hour_at_most.map_or(CHANGES_PER_HOUR, Factor::get)
    }
}

/// Changes of gear an hour on the trace where the problem does not say.
const CHANGES_PER_HOUR: f64 = 60.0;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

fn one_point() -> Factor {
    Factor::saturating(0.01)
}

/// What a goal makes best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GoalKind {
    /// The published objective: accuracy − resource − loading, each with its weight.
    Weighted,
    /// Fewest cores with at least the asked accuracy; among those the most accurate.
    Cheapest,
    /// Most accurate within the cores; among those the fewest cores.
    MostAccurate,
    /// `cascade`: the shortest response time within the devices with at least the asked accuracy; the SLO's at most.
    Fastest,
    /// The first of `order` is made best, then the second within its tolerance, and so on.
    Lexicographic,
}

/// What a level of a lexicographic goal makes best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Criterion {
    /// The highest accuracy over requests.
    Accuracy,
    /// The fewest cores.
    Cores,
    /// The shortest time in which the SLO's part of the requests is answered, at the gear's highest load.
    Latency,
}

/// What each level of a lexicographic goal may give away for those after it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tolerances {
    /// Accuracy below the best.
    #[serde(default)]
    pub accuracy: Factor,
    /// Cores above the fewest.
    #[serde(default)]
    pub cores: u32,
}

/// Weights of the published objective `accuracy·AA − (resource·RC + loading·LC)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// Weight of the average accuracy AA (0 to 1).
    #[serde(default = "default_accuracy_weight")]
    pub accuracy: Factor,
    /// Weight of RC, the part of the core budget in use.
    #[serde(default = "default_resource_weight")]
    pub resource: Factor,
    /// Weight of LC, the longest load time among variants that start or resize ÷ the longest of all.
    #[serde(default = "default_loading_weight")]
    pub loading: Factor,
}

fn default_accuracy_weight() -> Factor {
    Factor::saturating(1.0)
}

fn default_resource_weight() -> Factor {
    Factor::saturating(0.05)
}

fn default_loading_weight() -> Factor {
    Factor::saturating(0.001)
}

impl Default for Weights {
    /// Returns the published weights: 1, 0.05, 0.001.
    fn default() -> Self {
        Self {
            accuracy: default_accuracy_weight(),
            resource: default_resource_weight(),
            loading: default_loading_weight(),
        }
    }
}
