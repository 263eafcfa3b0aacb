//! Measured facts, with the host they were measured on. No later step edits them.
//!
//! ```text
//! models.toml ──▶ measure ──▶ Profile { variants, points, answers, host }
//!                   │                      │
//!                 Engine               Curve: latency of (cores, batch) inside the measured range
//! ```
//!
//! This file holds the nouns of `planner.profile/1`; each verb is a sibling file.

mod answers;
pub mod compare;
mod curve;
pub mod export;
pub mod import;
mod models;
pub mod onnx;
mod starts;
mod surface;
pub(crate) mod validate;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::codec::Document;
use crate::base::finding::Findings;
use crate::base::units::{Accuracy, Factor, Joules, Megabytes, Millis, Rate, Share};
use crate::stats::effect::Ratio;
use crate::stats::{Histogram, Latency, Quantile};

pub use answers::{Answers, SampleAnswer};
pub use curve::{Bound, Calibration, Curve, Hole, Residual, Service};
pub use models::{
    BatchAxis, CalibrationFiles, CountedAccuracy, DataFiles, Extent, Family, Feed, JudgeKind, JudgeSettings,
    ModelFiles, ModelList, ModelsFormat, Part, RandomFeed, StageFile, VariantFile,
};
pub use starts::Starts;
pub(crate) use surface::Doubt;
pub use surface::{Predicted, Seen, Spot, Surface};

impl AccuracyFact {
    /// Returns the accuracy of a variant that nothing judges: anything from 0 to 1.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            value: Accuracy::ZERO,
            low: Accuracy::ZERO,
            high: Accuracy::saturating(1.0),
            samples: 0,
            trust: Trust::Unknown,
            agrees_with: None,
            source: None,
        }
    }

    /// Tells whether anybody knows it.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.trust != Trust::Unknown
    }
}

/// The name and version of the profile format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProfileFormat {
    /// The only version so far.
    #[default]
    #[serde(rename = "planner.profile/1")]
    V1,
}

/// Everything measured about a family of variants that do one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Always `planner.profile/1`.
    pub format: ProfileFormat,
    /// What the variants do, in a word; variants of one task can stand in for each other.
    pub task: String,
    /// The variants, in the order of the model list.
    pub variants: Vec<Variant>,
    /// One measured point for each variant × batch × cores × device.
    pub points: Vec<Point>,
    /// Configurations of which only a few calls were made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub glimpses: Vec<Glimpse>,
    /// What could not be measured, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
    /// Points of the grid that were left out on purpose, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedPoint>,
    /// Where the per-sample answers are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<AnswersFile>,
    /// Where the answers to other samples are kept, for choosing thresholds on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<AnswersFile>,
    /// The machine that measured.
    pub host: Host,
    /// How and when it was measured.
    pub provenance: ProfileProvenance,
}

impl Document for Profile {
    const FORMAT: &'static str = "planner.profile/1";
    const NOUN: &'static str = "profile";

    fn rules(&self) -> Findings {
        self.validate()
    }
}

/// One model file that does the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// The name used everywhere else.
    pub name: String,
    /// The model file, relative to the model list.
    pub file: PathBuf,
    /// SHA-256 of the model file, in hexadecimal; empty for imported facts.
    pub sha256: String,
    /// What it is of an early-exit network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<PartOf>,
    /// The engine that measured it.
    pub engine: String,
    /// How often it is right.
    pub accuracy: AccuracyFact,
    /// Time to bring the variant up in a new process: read the file, build the session, answer the first call. The file
    /// was read before, so it comes from the page cache.
    pub load_time_ms: Millis,
    /// The same where the file comes from the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold_load_time_ms: Option<Millis>,
    /// Resident memory that a new process gains by then.
    pub memory_mb: Megabytes,
    /// Resident memory that it gains while it serves, by batch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub memory_of_batches: Vec<BatchMemory>,
}

impl Variant {
    /// Returns the memory that a replica takes while it serves such batches, at most, and whether that was measured: the
    /// peak of the smallest measured batch that is no smaller, else the largest number that is known.
    #[must_use]
    pub fn memory_at(&self, batch: u32) -> (Megabytes, bool) {
        let peaks = || self.memory_of_batches.iter();
        let of_larger = peaks().filter(|memory| memory.batch >= batch).min_by_key(|memory| memory.batch);
        let most = peaks().map(|memory| memory.peak_mb.get()).fold(self.memory_mb.get(), f64::max);
        let known = of_larger.map(|memory| memory.peak_mb.get().max(self.memory_mb.get()));
        (Megabytes::saturating(known.unwrap_or(most)), known.is_some())
    }

    /// Tells whether it answers a request by itself; a later stage of a network needs those before it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.part_of.as_ref().is_none_or(|part| part.runs == Runs::Through || part.exit == 0)
    }
}

/// What a variant is of an early-exit network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartOf {
    /// Name of the network.
    pub network: String,
    /// Number of the exit that answers, from 0.
    pub exit: u32,
    /// What its points measure.
    pub runs: Runs,
    /// Bytes of one sample as the stage receives it.
    pub receives_bytes: u64,
    /// Bytes of one sample that it passes on to the next stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passes_bytes: Option<u64>,
}

/// What the points of a part of an early-exit network measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Runs {
    /// The network from its input through the exit.
    Through,
    /// One stage alone.
    Alone,
}

/// Resident memory that a new process gains while a variant serves batches of one size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchMemory {
    /// Samples in one call.
    pub batch: u32,
    /// After a few calls.
    pub steady_mb: Megabytes,
    /// At most, during these calls.
    pub peak_mb: Megabytes,
}

/// Something that could not be measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Name of the variant.
    pub variant: String,
    /// The point; absent where the variant does not come up or does not answer at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<Key>,
    /// What happened.
    pub cause: String,
}

/// A point that was not measured on purpose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SkippedPoint {
    /// Name of the variant.
    pub variant: String,
    /// The point.
    pub point: Key,
    /// Median latency that the measured points predict for it; absent with co-runners and where they predict none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_p50_ms: Option<Millis>,
    /// Why it was not measured.
    pub cause: String,
}

/// An accuracy with its interval and its origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccuracyFact {
    /// Right answers ÷ samples.
    pub value: Accuracy,
    /// Lower end of the 95 % interval (Wilson score).
    pub low: Accuracy,
    /// Upper end of the 95 % interval (Wilson score).
    pub high: Accuracy,
    /// Samples behind it; 0 where it was declared.
    pub samples: u64,
    /// Where it comes from.
    pub trust: Trust,
    /// Where there were no labels: the variant whose answers count as right, so that this is an agreement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agrees_with: Option<String>,
    /// Where it was counted elsewhere: by whom, and what counts as right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Where a number comes from. Sorted from most to least trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// Measured on the host named in the profile.
    Measured,
    /// Read from a simulation that draws measured times. Only a plan's claims of latency are.
    Simulated,
    /// A median of a few calls, with a tail like that of measured points.
    Glimpsed,
    /// Read off the curve between measured points.
    Interpolated,
    /// Beyond what was measured.
    Extrapolated,
    /// Taken over from another tool's result.
    Imported,
    /// Stated by the user.
    Declared,
    /// Not known: an accuracy that nothing judges.
    Unknown,
}

impl std::fmt::Display for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Measured => "measured",
            Self::Simulated => "simulated",
            Self::Glimpsed => "glimpsed",
            Self::Interpolated => "interpolated",
            Self::Extrapolated => "extrapolated",
            Self::Imported => "imported",
            Self::Declared => "declared",
            Self::Unknown => "unknown",
        })
    }
}

/// One measured configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Name of the variant.
    pub variant: String,
    /// Samples in one call.
    #[schemars(range(min = 1))]
    pub batch: u32,
    /// Intra-op threads, each pinned to a core of its own.
    #[schemars(range(min = 1))]
    pub cores: u32,
    /// `cpu`, or the name of an accelerator.
    #[serde(default = "cpu")]
    pub device: String,
    /// Busy neighbours while it was measured: each calls the same variant with the same batch on as many cores of its own.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub co_runners: u32,
    /// Calls measured, warm-up not counted.
    #[schemars(range(min = 1))]
    pub count: u64,
    /// Wall time of one call of the whole batch.
    pub latency: Latency,
    /// Samples per second of one replica that never waits: batch ÷ mean latency.
    pub throughput_rps: Rate,
    /// CPU time of one call, over all threads; absent where neighbours used some too, and where another process or an
    /// accelerator did the work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<Millis>,
    /// Energy of one call, idle power included; absent where nothing counts it or neighbours used some too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy: Option<Energy>,
    /// Every measured call, so that any quantile can be computed again; of an imported point the distribution through its
    /// percentiles, in millionths of the calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<Histogram>,
    /// Median wall time of the calls of each block: a block is a start of the variant in a process of its own, so these tell how
    /// far the next start may differ. Empty if not recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub block_p50_ms: Vec<Millis>,
    /// How many calls in a row tell as much as one, as slow stretches hang over many: the integrated autocorrelation time of "is this call
    /// among the slowest tenth", at least 1; absent where it was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stretch_calls: Option<Factor>,
    /// How much longer calls take as a plan makes them; absent if not measured, and for calls so long that it does not
    /// matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
    /// What was seen of the host while measuring.
    pub conditions: Conditions,
}

/// How much longer calls take as a plan makes them than one right after the other: factors on the times of a point, 1 or more.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// After a pause, in which the replica slept.
    pub after_pause: Ratio,
    /// After a call of another variant on the same cores; absent where the family has no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_other: Option<Ratio>,
}

/// A configuration of which a few calls were made: enough for its median, and for nothing beyond that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Glimpse {
    /// Name of the variant.
    pub variant: String,
    /// Samples in one call.
    #[schemars(range(min = 1))]
    pub batch: u32,
    /// Intra-op threads, each pinned to a core of its own.
    #[schemars(range(min = 1))]
    pub cores: u32,
    /// `cpu`, or the name of an accelerator.
    #[serde(default = "cpu")]
    pub device: String,
    /// Busy neighbours, as those of a point.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub co_runners: u32,
    /// Calls that count.
    #[schemars(range(min = 1))]
    pub count: u64,
    /// Median wall time of one call of the whole batch; with fewer than 6 calls its interval is too narrow.
    pub p50: Quantile,
    /// Whether somebody else was using the machine, each of the times that it was tried.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub contended: bool,
}

impl Glimpse {
    /// Returns what of the variant was looked at.
    #[must_use]
    pub const fn key(&self) -> Key {
        Key { cores: self.cores, batch: self.batch, co_runners: self.co_runners }
    }
}

pub(crate) fn cpu() -> String {
    "cpu".to_owned()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What is measured of a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Intra-op threads.
    pub cores: u32,
    /// Samples in one call.
    pub batch: u32,
    /// Busy neighbours.
    pub co_runners: u32,
}

impl Key {
    /// Returns the key of a measured point.
    #[must_use]
    pub const fn of(point: &Point) -> Self {
        Self { cores: point.cores, batch: point.batch, co_runners: point.co_runners }
    }
}

/// Why measuring stopped, and how quiet the host was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    /// Stretches in which it was measured, in random order among those of other points; 0 where nobody tells.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub blocks: u32,
    /// Calls thrown away as warm-up, over all blocks.
    pub warmup: u64,
    /// Why no more calls were made.
    pub stopped: Stopped,
    /// Times that the kernel took the processor away from the measuring threads.
    pub involuntary_switches: u64,
    /// Part of the time in which runnable threads of the machine waited for a processor (PSI), where the kernel tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_pressure: Option<Share>,
    /// How many times as long a fixed piece of arithmetic took around the median block as at best in the whole profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_slowdown: Option<Factor>,
    /// Part of the machine's processor time, over all cores, that other processes used meanwhile, where the kernel tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others_busy: Option<Share>,
    /// Whether somebody else was using the machine; such a point is not to be trusted. Not told with co-runners.
    pub contended: bool,
}

/// Energy of one call.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Energy {
    /// What the source counted while the calls went on ÷ calls.
    pub joules: Joules,
    /// What counted it.
    pub source: EnergySource,
}

/// What counts energy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EnergySource {
    /// All processor packages of the machine (RAPL, through powercap).
    Rapl,
    /// The accelerator that computes (NVML).
    Nvml,
}

/// Why measuring a point stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stopped {
    /// The asked intervals became narrow enough.
    Interval,
    /// The time budget was spent.
    Budget,
    /// Not measured here: an imported point.
    Imported,
}

/// Where the per-sample answers are kept, and what they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswersFile {
    /// Gzipped CSV beside the profile, relative to it.
    pub file: PathBuf,
    /// SHA-256 of that file, in hexadecimal.
    pub sha256: String,
    /// Samples, the same and in the same order for every variant.
    pub samples: u64,
    /// How certainty was measured.
    pub certainty: CertaintyMeasure,
}

/// How the certainty of an answer is measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CertaintyMeasure {
    /// Probability of the best class minus that of the second best (after a softmax of the outputs).
    #[default]
    TopOneMinusTopTwo,
    /// Probability of the best class.
    MaxProbability,
    /// 1 − entropy of the probabilities ÷ the largest entropy that so many classes can have.
    Entropy,
}

/// The machine that measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// CPU model name.
    pub cpu: String,
    /// Instruction-set flags that matter for inference, sorted.
    pub cpu_flags: Vec<String>,
    /// Cores that the machine has.
    pub cores_visible: u32,
    /// Cores that the measuring process was allowed to use (affinity, cgroup quota).
    pub cores_allowed: u32,
    /// Hardware threads on each core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads_per_core: Option<u32>,
    /// NUMA nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numa_nodes: Option<u32>,
    /// Frequency governor, where the kernel tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub governor: Option<String>,
    /// Memory of the machine.
    pub memory_mb: Megabytes,
    /// Operating system and kernel release.
    pub kernel: String,
    /// Engine and library versions, `name version`, sorted.
    pub libraries: Vec<String>,
    /// Environment variables that steer thread counts, `NAME=value`, sorted.
    pub thread_variables: Vec<String>,
    /// Load average over one minute when measuring began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_average: Option<Factor>,
    /// Processor time stolen by the hypervisor while measuring, as a part of the machine's time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steal: Option<Share>,
}

/// How and when a profile was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileProvenance {
    /// Program and version.
    pub tool: String,
    /// When measuring ended, RFC 3339; empty where it was not measured by this program.
    pub measured_at: String,
    /// The model list, relative to the profile.
    pub models: PathBuf,
    /// SHA-256 of the model list.
    pub models_sha256: String,
    /// Digest of images and labels that gave the answers.
    pub data_sha256: String,
    /// Largest time spent on one point.
    pub budget_ms: Millis,
    /// Asked half-width of the median's interval, relative to the median.
    pub precision: Share,
    /// The same of the 99th percentile, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail_precision: Option<Share>,
    /// Blocks in which each point was measured; 0 where nobody tells.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub blocks: u32,
    /// Seed of the choice of inputs.
    pub seed: u64,
}

impl Host {
    /// Returns the host in a few words, or `None` where nobody told.
    #[must_use]
    pub fn brief(&self) -> Option<String> {
        let cores = if self.cores_allowed == 1 { "core" } else { "cores" };
        (!self.cpu.is_empty()).then(|| format!("{}, {} {cores}", self.cpu, self.cores_allowed))
    }
}

impl Profile {
    /// Returns the variant of that name.
    ///
    /// ```
    /// use planner::{Profile, load};
    ///
    /// let profile = load::<Profile>("profiles/digits.json".as_ref())?.document;
    /// for variant in &profile.variants {
    ///     assert_eq!(profile.variant(&variant.name), Some(variant));
    ///     println!("{}: accuracy {}, loads in {} ms", variant.name, variant.accuracy.value, variant.load_time_ms);
    /// }
    /// # Ok::<(), planner::Error>(())
    /// ```
    #[must_use]
    pub fn variant(&self, name: &str) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.name == name)
    }

    /// Returns the measured points of a variant, in file order.
    pub fn points_of<'a>(&'a self, variant: &'a str) -> impl Iterator<Item = &'a Point> {
        self.points.iter().filter(move |point| point.variant == variant)
    }
}
