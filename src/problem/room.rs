//! The rooms: which planner answers a problem, and what only that planner is asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::units::{Certainty, Factor, Rate, Share};

/// The planners by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RoomName {
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

impl RoomName {
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

    /// Returns what the room's plans answer.
    #[must_use]
    pub const fn question(self) -> &'static str {
        match self {
            Self::VariantSet => "which variants side by side, with how many cores and what share of traffic",
            Self::Pipeline => "which variant, cores, batch and replicas for each stage",
            Self::Cascade => "which cascade of variants, placement and batching at every load",
            Self::Dropout => "how much of one network to compute for a query",
            Self::Offload => "which stages on machines, which on functions",
        }
    }
}

/// Which planner answers, with the keys that only it has.
#[derive(Debug, Clone, PartialEq)]
pub enum RoomSettings {
    /// Variants side by side.
    VariantSet(VariantSetSettings),
    /// A chain or graph of tasks.
    Pipeline(PipelineSettings),
    /// A cascade of variants with gears.
    Cascade(CascadeSettings),
    /// One network, a chosen part of its nodes; does not plan yet.
    Dropout,
    /// An early-exit network over machines and functions; does not plan yet.
    Offload,
}

impl RoomSettings {
    /// Returns the room's name.
    #[must_use]
    pub const fn name(&self) -> RoomName {
        match self {
            Self::VariantSet(_) => RoomName::VariantSet,
            Self::Pipeline(_) => RoomName::Pipeline,
            Self::Cascade(_) => RoomName::Cascade,
            Self::Dropout => RoomName::Dropout,
            Self::Offload => RoomName::Offload,
        }
    }

    /// Tells whether the paper's own model of the problem is solved (`formulation = "published"`).
    #[must_use]
    pub const fn is_published(&self) -> bool {
        match self {
            Self::VariantSet(settings) => settings.published.is_some(),
            Self::Pipeline(settings) => settings.published.is_some(),
            Self::Cascade(settings) => settings.published.is_some(),
            Self::Dropout | Self::Offload => false,
        }
    }

    /// Returns the same room with the paper's own model of the problem; `None` where there is none.
    #[must_use]
    pub fn as_published(&self) -> Option<Self> {
        let mut theirs = self.clone();
        match &mut theirs {
            Self::VariantSet(settings) => settings.published = Some(settings.published.clone().unwrap_or_default()),
            Self::Pipeline(settings) => settings.published = Some(settings.published.unwrap_or_default()),
            Self::Cascade(settings) => settings.published = Some(settings.published.unwrap_or_default()),
            Self::Dropout | Self::Offload => return None,
        }
        Some(theirs)
    }

    /// Returns the same room with our own model of the problem.
    #[must_use]
    pub fn tail_aware(&self) -> Self {
        let mut ours = self.clone();
        match &mut ours {
            Self::VariantSet(settings) => settings.published = None,
            Self::Pipeline(settings) => settings.published = None,
            Self::Cascade(settings) => settings.published = None,
            Self::Dropout | Self::Offload => {}
        }
        ours
    }
}

/// Settings of the room `variant-set`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VariantSetSettings {
    /// Variants that may be used; all of the profiles where none are named.
    pub variants: Option<Vec<String>>,
    /// InfAdapter's own model of capacity in place of ours.
    pub published: Option<InfAdapter>,
}

/// Settings of the room `pipeline`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PipelineSettings {
    /// What a request passes through.
    pub stages: Vec<Task>,
    /// How accurate the whole is; the product of its stages where absent.
    pub accuracy: Option<PipelineAccuracy>,
    /// So many replicas of every stage at every load (RIM); default: as many as each needs.
    pub replicas: Option<u32>,
    /// IPA's own program in place of ours.
    pub published: Option<Ipa>,
}

impl PipelineSettings {
    /// Keeps only these variants, and the accuracies of their combinations.
    pub(super) fn keep_variants(&mut self, names: &[String]) {
        for stage in &mut self.stages {
            stage.variants.retain(|name| names.contains(name));
        }
        if let Some(PipelineAccuracy::Measured { combinations }) = &mut self.accuracy {
            combinations.retain(|of| of.variants.iter().all(|name| names.contains(name)));
        }
    }
}

/// Settings of the room `cascade`.
#[derive(Debug, Clone, PartialEq)]
pub struct CascadeSettings {
    /// Variants that may be used; all of the profiles where none are named.
    pub variants: Option<Vec<String>>,
    /// Whether the accuracy over requests is proved, on samples that the search does not see.
    pub certify: bool,
    /// Probability of a wrong proof (δ).
    pub delta: Share,
    /// Most models of a cascade.
    pub max_length: u32,
    /// The variant that accuracy is measured against, in place of a least accuracy in numbers.
    pub reference: Option<String>,
    /// How much less accurate than the reference the plan may be over the requests of all loads (ε); default: 0.
    pub loss_at_most: Option<Share>,
    /// CascadeServe's own planner in place of ours.
    pub published: Option<CascadeServe>,
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
        Self {
            variants: None,
            certify: true,
            delta: Share::saturating(0.05),
            max_length: 3,
            reference: None,
            loss_at_most: None,
            published: None,
        }
    }
}

/// InfAdapter's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct InfAdapter {
    /// Safety factor on the fitted capacity line (0.8 in the paper).
    pub capacity_factor: Share,
    /// Cores at which capacity is taken before the line is fitted (1, 2, 4, 8, 16 in the paper).
    pub fit_cores: Vec<u32>,
}

impl Default for InfAdapter {
    fn default() -> Self {
        Self { capacity_factor: Share::saturating(0.8), fit_cores: vec![1, 2, 4, 8, 16] }
    }
}

/// IPA's settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ipa {
    /// The rate that a replica's base cores must sustain (4 in the paper's configurations).
    pub base_rps: Rate,
    /// Weight of one sample in a batch (δ, 1e-6 in the paper).
    pub batch_weight: Factor,
}

impl Default for Ipa {
    fn default() -> Self {
        Self { base_rps: Rate::saturating(4.0), batch_weight: Factor::saturating(1e-6) }
    }
}

/// CascadeServe's settings.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CascadeServe {
    /// The highest of its evenly spaced thresholds; default: 1 (0.4 for BERT, 0.3 for HellaSwag in the paper's code).
    pub highest_threshold: Option<Certainty>,
    /// Equal parts into which the load is cut, each with a gear of its own; default: 10.
    pub load_ranges: Option<u32>,
}

/// A stage of the pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// A name, unique in the problem.
    pub name: String,
    /// Variants that may serve it.
    pub variants: Vec<String>,
    /// Stages that must have finished; the stage before it in the list where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// Mean number of calls that one request makes here (fan-out), all at once.
    #[serde(default = "one_call", skip_serializing_if = "is_one_call")]
    pub calls: Factor,
    /// Most lanes that may share the stage's calls: 1, or 2 for mixtures of two ways by eighths of the calls. A stage with
    /// several calls a request has one.
    #[serde(default = "one_lane", skip_serializing_if = "is_one_lane")]
    #[schemars(range(min = 1, max = 2))]
    pub lanes_at_most: u32,
}

const fn one_lane() -> u32 {
    1
}

const fn is_one_lane(lanes: &u32) -> bool {
    *lanes == 1
}

fn one_call() -> Factor {
    Factor::saturating(1.0)
}

fn is_one_call(calls: &Factor) -> bool {
    *calls == one_call()
}

/// Returns how accurate a stage is over all requests that is so accurate for those that it answers: where a request makes `calls`
/// there on average, fewer than one, the others skip the stage and are not wrong for it. Several calls of one request count as one:
/// the accuracy is the part of calls that are answered rightly.
pub(crate) fn accuracy_over_requests(calls: Factor, accuracy: f64) -> f64 {
    if calls.get() >= 1.0 { accuracy } else { 1.0 - calls.get() * (1.0 - accuracy) }
}

/// How accurate a pipeline is as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum PipelineAccuracy {
    /// The accuracies of the stages multiply, as if their errors were independent (IPA's PAS). Requests that skip a stage are not
    /// wrong for it: one that a part c of them visits counts as 1 − c·(1 − a).
    #[default]
    Product,
    /// It was measured from end to end, for every combination of variants.
    Measured {
        /// One entry for each combination of a variant a stage.
        combinations: Vec<Combination>,
    },
}

/// Requests that one combination of variants answered rightly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Combination {
    /// The variant of each stage, in the order of the stages.
    pub variants: Vec<String>,
    /// Samples answered rightly.
    pub right: u64,
    /// Samples.
    #[schemars(range(min = 1))]
    pub of: u64,
}
