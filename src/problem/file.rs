//! How a problem is written down: one flat table, whose keys the room either has or does not have.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::room::{
    CascadeServe, CascadeSettings, InfAdapter, Ipa, PipelineAccuracy, PipelineSettings, RoomName, RoomSettings, Task,
    VariantSetSettings,
};
use super::{Goal, Inventory, Problem, Risk, Slo, Workload};
use crate::base::units::{Certainty, Factor, Rate, Share};

/// The name and version of the problem format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProblemFormat {
    /// The only version so far.
    #[default]
    #[serde(rename = "planner.problem/1")]
    V1,
}

/// A planning problem as its file spells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Problem")]
pub(super) struct ProblemFile {
    /// Always `planner.problem/1`.
    format: ProblemFormat,
    /// A name for people; the plan carries it.
    name: String,
    /// Which planner answers.
    room: RoomName,
    /// The paper's model, or ours.
    #[serde(default)]
    formulation: Formulation,
    /// Profiles to plan with, relative to this file.
    profiles: Vec<PathBuf>,
    /// `variant-set`, `cascade`: variants that may be used. Default: all of the profiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    variants: Option<Vec<String>>,
    /// `pipeline`: what a request passes through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    stages: Vec<Task>,
    /// `pipeline`: how accurate the whole is. Default: the product of its stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accuracy: Option<PipelineAccuracy>,
    /// The load to plan for.
    workload: Workload,
    /// The latency objective.
    slo: Slo,
    /// What may be used, and what it costs.
    inventory: Inventory,
    /// What to make best.
    goal: Goal,
    /// The probability that may be left that the SLO is broken at some load because facts were wrong; `"none"` takes facts as they
    /// are. Default: 0.05 where a profile tells how far its starts differ; none elsewhere and for `formulation = "published"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    risk: Option<Risk>,
    /// `risk`: how much another profile of the same variants differs, as a standard deviation of latency relative to it, on top
    /// of the profile's own intervals. Default: as far as the starts within the profile differ, 0.04 at least; 0
    /// where it keeps none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    profile_error: Option<Factor>,
    /// Settings of the room `cascade`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cascade: Option<CascadeTable>,
    /// Settings of `formulation = "published"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    published: Option<PublishedTable>,
}

/// Whose model of the problem is solved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Formulation {
    /// Ours: capacities from measured service times with waiting in the model.
    #[default]
    TailAware,
    /// The paper's: a straight line through measured capacities, one core per worker, a hand factor.
    Published,
}

/// Settings of the room `cascade`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "CascadeSettings")]
struct CascadeTable {
    /// Whether the accuracy over requests is proved, on samples that the search does not see: those that the profile does not keep
    /// apart for calibration, or a half drawn by chance where it keeps none apart.
    certify: bool,
    /// Probability of a wrong proof (δ).
    delta: Share,
    /// Most models of a cascade.
    #[schemars(range(min = 1, max = 4))]
    max_length: u32,
    /// The variant that accuracy is measured against, in place of a least accuracy in numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    /// How much less accurate than the reference the plan may be over the requests of all loads (ε). Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    loss_at_most: Option<Share>,
}

impl Default for CascadeTable {
    fn default() -> Self {
        Self::from(&CascadeSettings::default())
    }
}

impl From<&CascadeSettings> for CascadeTable {
    fn from(settings: &CascadeSettings) -> Self {
        Self {
            certify: settings.certify,
            delta: settings.delta,
            max_length: settings.max_length,
            reference: settings.reference.clone(),
            loss_at_most: settings.loss_at_most,
        }
    }
}

/// Settings of the published formulations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Published")]
struct PublishedTable {
    /// `variant-set`: safety factor on the fitted capacity line (0.8 in the paper).
    capacity_factor: Share,
    /// `variant-set`: cores at which capacity is taken before the line is fitted (1, 2, 4, 8, 16 in the paper).
    fit_cores: Vec<u32>,
    /// `pipeline`: the rate that a replica's base cores must sustain (4 in the paper's configurations).
    base_rps: Rate,
    /// `pipeline`: weight of one sample in a batch (δ, 1e-6 in the paper).
    batch_weight: Factor,
    /// `cascade`: the highest of its evenly spaced thresholds. Default: 1 (0.4 for BERT, 0.3 for HellaSwag in the paper's code).
    #[serde(skip_serializing_if = "Option::is_none")]
    highest_threshold: Option<Certainty>,
    /// `cascade`: equal parts into which the load is cut, each with a gear of its own. Default: 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    load_ranges: Option<u32>,
}

impl Default for PublishedTable {
    fn default() -> Self {
        let InfAdapter { capacity_factor, fit_cores } = InfAdapter::default();
        let Ipa { base_rps, batch_weight } = Ipa::default();
        let CascadeServe { highest_threshold, load_ranges } = CascadeServe::default();
        Self { capacity_factor, fit_cores, base_rps, batch_weight, highest_threshold, load_ranges }
    }
}

impl PublishedTable {
    /// Returns each key that differs from the paper's, with the room that has it.
    fn given(&self) -> Vec<(&'static str, RoomName)> {
        let paper = Self::default();
        let all = [
            ("published.capacity_factor", RoomName::VariantSet, self.capacity_factor != paper.capacity_factor),
            ("published.fit_cores", RoomName::VariantSet, self.fit_cores != paper.fit_cores),
            ("published.base_rps", RoomName::Pipeline, self.base_rps != paper.base_rps),
            ("published.batch_weight", RoomName::Pipeline, self.batch_weight != paper.batch_weight),
            ("published.highest_threshold", RoomName::Cascade, self.highest_threshold != paper.highest_threshold),
            ("published.load_ranges", RoomName::Cascade, self.load_ranges != paper.load_ranges),
        ];
        all.into_iter().filter(|(_, _, differs)| *differs).map(|(key, room, _)| (key, room)).collect()
    }

    fn infadapter(&self) -> InfAdapter {
        InfAdapter { capacity_factor: self.capacity_factor, fit_cores: self.fit_cores.clone() }
    }

    const fn ipa(&self) -> Ipa {
        Ipa { base_rps: self.base_rps, batch_weight: self.batch_weight }
    }

    const fn cascadeserve(&self) -> CascadeServe {
        CascadeServe { highest_threshold: self.highest_threshold, load_ranges: self.load_ranges }
    }
}

/// A key of the file that has no effect, because the room or the formulation does not have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForeignKey {
    pub key: &'static str,
    /// What the file would have to say for the key to count, like `room = "pipeline"`.
    pub belongs_to: &'static str,
    /// Whether it changes what is asked, so that planning without it would mislead.
    pub is_error: bool,
}

impl ProblemFile {
    /// Returns the keys that are given and that the room does not have. This is the one rule about other rooms' keys.
    fn foreign(&self) -> Vec<ForeignKey> {
        const VARIANTS: &str =
            "`room = \"variant-set\"` or `room = \"cascade\"`; a pipeline names the variants of each stage";
        const PIPELINE: &str = "`room = \"pipeline\"`";
        const CASCADE: &str = "`room = \"cascade\"`";
        let room = self.room;
        let tables = [
            ("variants", VARIANTS, self.variants.is_some(), room != RoomName::Pipeline),
            ("stages", PIPELINE, !self.stages.is_empty(), room == RoomName::Pipeline),
            ("accuracy", PIPELINE, self.accuracy.is_some(), room == RoomName::Pipeline),
            ("cascade", CASCADE, self.cascade.is_some(), room == RoomName::Cascade),
        ];
        let tables = tables.into_iter().filter(|(_, _, given, own)| *given && !own);
        let tables = tables.map(|(key, belongs_to, ..)| ForeignKey { key, belongs_to, is_error: true });
        let published = self.formulation == Formulation::Published;
        let whole = self.published.is_some() && !published;
        let whole = whole.then_some(ForeignKey {
            key: "published",
            belongs_to: "`formulation = \"published\"`",
            is_error: false,
        });
        let given = self.published.iter().flat_map(PublishedTable::given);
        let keys = given.filter(|(_, of)| *of != room).map(|(key, of)| {
            let belongs_to = match of {
                RoomName::Pipeline => PIPELINE,
                RoomName::Cascade => CASCADE,
                _ => "`room = \"variant-set\"`",
            };
            ForeignKey { key, belongs_to, is_error: false }
        });
        tables.chain(whole).chain(keys).collect()
    }
}

impl From<ProblemFile> for Problem {
    fn from(file: ProblemFile) -> Self {
        let foreign = file.foreign();
        let published = (file.formulation == Formulation::Published).then(|| file.published.unwrap_or_default());
        let room = match file.room {
            RoomName::VariantSet => RoomSettings::VariantSet(VariantSetSettings {
                variants: file.variants,
                published: published.as_ref().map(PublishedTable::infadapter),
            }),
            RoomName::Pipeline => RoomSettings::Pipeline(PipelineSettings {
                stages: file.stages,
                accuracy: file.accuracy,
                replicas: None,
                published: published.as_ref().map(PublishedTable::ipa),
            }),
            RoomName::Cascade => {
                let CascadeTable { certify, delta, max_length, reference, loss_at_most } =
                    file.cascade.unwrap_or_default();
                RoomSettings::Cascade(CascadeSettings {
                    variants: file.variants,
                    certify,
                    delta,
                    max_length,
                    reference,
                    loss_at_most,
                    published: published.as_ref().map(PublishedTable::cascadeserve),
                })
            }
            RoomName::Dropout => RoomSettings::Dropout,
            RoomName::Offload => RoomSettings::Offload,
        };
        Self {
            name: file.name,
            room,
            profiles: file.profiles,
            workload: file.workload,
            slo: file.slo,
            inventory: file.inventory,
            goal: file.goal,
            risk: file.risk,
            profile_error: file.profile_error,
            foreign,
        }
    }
}

impl From<Problem> for ProblemFile {
    fn from(problem: Problem) -> Self {
        let room = problem.room.name();
        let formulation = if problem.room.is_published() { Formulation::Published } else { Formulation::TailAware };
        let (mut variants, mut stages, mut accuracy, mut cascade) = (None, Vec::new(), None, None);
        let mut table = PublishedTable::default();
        match problem.room {
            RoomSettings::VariantSet(settings) => {
                variants = settings.variants;
                if let Some(InfAdapter { capacity_factor, fit_cores }) = settings.published {
                    table = PublishedTable { capacity_factor, fit_cores, ..table };
                }
            }
            RoomSettings::Pipeline(settings) => {
                (stages, accuracy) = (settings.stages, settings.accuracy);
                if let Some(Ipa { base_rps, batch_weight }) = settings.published {
                    table = PublishedTable { base_rps, batch_weight, ..table };
                }
            }
            RoomSettings::Cascade(settings) => {
                cascade = Some(CascadeTable::from(&settings)).filter(|table| *table != CascadeTable::default());
                variants = settings.variants;
                if let Some(CascadeServe { highest_threshold, load_ranges }) = settings.published {
                    table = PublishedTable { highest_threshold, load_ranges, ..table };
                }
            }
            RoomSettings::Dropout | RoomSettings::Offload => {}
        }
        Self {
            format: ProblemFormat::V1,
            name: problem.name,
            room,
            formulation,
            profiles: problem.profiles,
            variants,
            stages,
            accuracy,
            workload: problem.workload,
            slo: problem.slo,
            inventory: problem.inventory,
            goal: problem.goal,
            risk: problem.risk,
            profile_error: problem.profile_error,
            cascade,
            published: Some(table).filter(|table| *table != PublishedTable::default()),
        }
    }
}
