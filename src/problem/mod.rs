//! What is asked: profiles, workload, SLO, inventory, goal and the room that answers.
//!
//! This file holds the nouns of `planner.problem/1`, written by hand in TOML (JSON is accepted).

mod function;
mod inventory;
mod machine;
mod pipeline;
mod resource;
mod validate;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::codec::Document;
use crate::base::finding::Findings;
use crate::base::units::{Accuracy, Certainty, Factor, Millis, Rate, Share};

pub use function::Function;
pub use inventory::{HardwareFamily, HardwareKind, Inventory};
pub use machine::{Billing, Machine};
pub use pipeline::{Combination, PipelineAccuracy, Task};
pub use resource::Resource;

/// The name and version of the problem format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProblemFormat {
    /// The only version so far.
    #[default]
    #[serde(rename = "planner.problem/1")]
    V1,
}

/// A planning problem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// Always `planner.problem/1`.
    pub format: ProblemFormat,
    /// A name for people; the plan carries it.
    pub name: String,
    /// Which planner answers.
    pub room: Room,
    /// The paper's model, or ours.
    #[serde(default)]
    pub formulation: Formulation,
    /// Profiles to plan with, relative to this file.
    pub profiles: Vec<PathBuf>,
    /// Variants that may be used; all of the profiles where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variants: Option<Vec<String>>,
    /// `pipeline`: what a request passes through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Task>,
    /// `pipeline`: how accurate the whole is; the product of its stages where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<PipelineAccuracy>,
    /// The load to plan for.
    pub workload: Workload,
    /// The latency objective.
    pub slo: Slo,
    /// What may be used, and what it costs.
    pub inventory: Inventory,
    /// What to make best.
    pub goal: Goal,
    /// The probability that may be left that the SLO is broken at some load because facts were wrong; facts are taken as they
    /// were measured where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Share>,
    /// `risk`: how much another profile of the same variants differs, as a standard deviation of latency relative to it, on top
    /// of the profile's own intervals; 0 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_error: Option<Factor>,
    /// Settings of the room `cascade`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cascade: Option<CascadeSettings>,
    /// Settings of `formulation = "published"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
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
        let stages: Vec<_> = self.stages.iter().map(|stage| (stage.name.as_str(), &stage.after[..])).collect();
        crate::base::graph::predecessors(&stages)
    }

    /// Returns the problem with only these variants in its stages, and the accuracies of their combinations.
    #[must_use]
    pub fn with_variants(&self, variants: &[Vec<String>]) -> Self {
        let mut fixed = self.clone();
        for (stage, variants) in fixed.stages.iter_mut().zip(variants) {
            stage.variants.clone_from(variants);
        }
        if let Some(PipelineAccuracy::Measured { combinations }) = &mut fixed.accuracy {
            let fits =
                |of: &Combination| of.variants.iter().zip(variants).all(|(name, allowed)| allowed.contains(name));
            combinations.retain(fits);
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

/// The planners of this house.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Room {
    /// Variants side by side (InfAdapter).
    VariantSet,
    /// A chain or graph of tasks (IPA).
    Pipeline,
    /// A cascade of variants with gears (CascadeServe).
    Cascade,
    /// One network, a chosen part of its nodes (SLO-NN).
    Dropout,
    /// An early-exit network over machines and functions (SERFLOW).
    Offload,
}

impl Room {
    /// Returns the room's name as files spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VariantSet => "variant-set",
            Self::Pipeline => "pipeline",
            Self::Cascade => "cascade",
            Self::Dropout => "dropout",
            Self::Offload => "offload",
        }
    }
}

/// Whose model of the problem is solved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Formulation {
    /// Ours: capacities from measured service times with waiting in the model.
    #[default]
    TailAware,
    /// The paper's: a straight line through measured capacities, one core per worker, a hand factor.
    Published,
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

/// Settings of the room `cascade`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CascadeSettings {
    /// Whether the accuracy over requests is proved, on samples that the search does not see: those that the profile does not keep
    /// apart for calibration, or a half drawn by chance where it keeps none apart.
    #[serde(default = "yes")]
    pub certify: bool,
    /// Probability of a wrong proof (δ).
    #[serde(default = "one_in_twenty")]
    pub delta: Share,
    /// Most models of a cascade.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 4))]
    pub max_length: u32,
    /// The variant that accuracy is measured against, in place of a least accuracy in numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// How much less accurate than the reference the plan may be over the requests of all loads (ε); not at all where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_at_most: Option<Share>,
}

impl CascadeSettings {
    /// Returns how much less accurate than the reference a plan may be.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.loss_at_most.map_or(0.0, Share::get)
    }
}

impl Default for CascadeSettings {
    fn default() -> Self {
        Self { certify: yes(), delta: one_in_twenty(), max_length: three(), reference: None, loss_at_most: None }
    }
}

const fn yes() -> bool {
    true
}

fn one_in_twenty() -> Share {
    Share::saturating(0.05)
}

const fn three() -> u32 {
    3
}

/// Settings of the published formulation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Safety factor on the fitted capacity line (0.8 in the paper).
    #[serde(default = "capacity_factor")]
    pub capacity_factor: Share,
    /// Cores at which capacity is taken before the line is fitted (1, 2, 4, 8, 16 in the paper).
    #[serde(default = "fit_cores")]
    pub fit_cores: Vec<u32>,
    /// `pipeline`: the rate that a replica's base cores must sustain (4 in the paper's configurations).
    #[serde(default = "base_rps")]
    pub base_rps: Rate,
    /// `pipeline`: weight of one sample in a batch (δ, 1e-6 in the paper).
    #[serde(default = "batch_weight")]
    pub batch_weight: Factor,
    /// `cascade`: the highest of its evenly spaced thresholds; 1 where left out (0.4 for BERT, 0.3 for HellaSwag in the paper's code).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub highest_threshold: Option<Certainty>,
    /// `cascade`: equal parts into which the load is cut, each with a gear of its own; 10 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub load_ranges: Option<u32>,
}

impl Published {
    /// Returns the settings of one room that differ from the paper's, which no other room uses.
    pub(super) fn keys_of(&self, room: Room) -> Vec<&'static str> {
        let paper = Self::default();
        let all = [
            ("published.capacity_factor", Room::VariantSet, self.capacity_factor != paper.capacity_factor),
            ("published.fit_cores", Room::VariantSet, self.fit_cores != paper.fit_cores),
            ("published.base_rps", Room::Pipeline, self.base_rps != paper.base_rps),
            ("published.batch_weight", Room::Pipeline, self.batch_weight != paper.batch_weight),
            ("published.highest_threshold", Room::Cascade, self.highest_threshold != paper.highest_threshold),
            ("published.load_ranges", Room::Cascade, self.load_ranges != paper.load_ranges),
        ];
        all.into_iter().filter(|(_, of, differs)| *of == room && *differs).map(|(key, ..)| key).collect()
    }
}

fn base_rps() -> Rate {
    Rate::saturating(4.0)
}

fn batch_weight() -> Factor {
    Factor::saturating(1e-6)
}

fn capacity_factor() -> Share {
    Share::saturating(0.8)
}

fn fit_cores() -> Vec<u32> {
    vec![1, 2, 4, 8, 16]
}

impl Default for Published {
    fn default() -> Self {
        Self {
            capacity_factor: capacity_factor(),
            fit_cores: fit_cores(),
            base_rps: base_rps(),
            batch_weight: batch_weight(),
            highest_threshold: None,
            load_ranges: None,
        }
    }
}
