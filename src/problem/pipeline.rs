//! What a problem says of a pipeline: its stages, and how accurate the whole is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::units::Factor;

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

/// How accurate a pipeline is as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum PipelineAccuracy {
    /// The accuracies of the stages multiply, as if their errors were independent (IPA's PAS).
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
