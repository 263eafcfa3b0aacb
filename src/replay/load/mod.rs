//! A variant under load: how long requests take that come on their own schedule, and what rate meets an SLO.
//!
//! ```text
//! schedule ──▶ Queue ──▶ Pull: one for each replica or connection ──▶ calls ──▶ LoadRun ──▶ search ──▶ Capacity
//! drawn before           WorkerBench: the workers of a plan of one lane, real engine, real time
//!                        ScriptedBench: given times on a virtual clock
//! ```
//!
//! Profiles tell the *service time* of calls that follow each other (closed loop). Here requests arrive whether or not
//! the last one is answered (open loop), and latency counts from the moment at which a request was meant to arrive: a
//! server that stalls makes all those late that arrive meanwhile (no coordinated omission; Tene 2013).
//!
//! This file holds the nouns of `planner.load/1`; each verb is a sibling file.

mod bench;
mod judge;
mod lane;
mod play;
mod queue;
mod schedule;
mod scripted;
mod search;
mod settings;
mod validate;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::codec::Document;
use crate::base::finding::Findings;
use crate::base::units::{Factor, Millis, Rate, Share};
use crate::problem::Slo;
use crate::profile::Host;
use crate::stats::{Histogram, Latency};

pub use play::{LoadOutcome, load_test, measure_load};
pub use queue::{Bench, Call, Played, Requests, RunLimits, RunSpec};
pub(super) use queue::{Pull, Queue};
pub(super) use schedule::Queries;
pub use schedule::poisson;
pub use scripted::ScriptedBench;
pub use settings::{LoadSettings, MOST_REQUESTS, OfferedRates, fewest_requests};

/// The name and version of the format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LoadFormat {
    /// The only version so far.
    #[default]
    #[serde(rename = "planner.load/1")]
    V1,
}

/// One variant under one kind of load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadTest {
    /// Always `planner.load/1`.
    pub format: LoadFormat,
    /// What the variant does, in a word.
    pub task: String,
    /// Name of the variant.
    pub variant: String,
    /// The model file, relative to the model list.
    pub file: PathBuf,
    /// SHA-256 of the model file, in hexadecimal.
    pub sha256: String,
    /// The engine that ran it, with its version.
    pub engine: String,
    /// `cpu`, or the name of an accelerator.
    pub device: String,
    /// The kind of load.
    pub scenario: Scenario,
    /// Who served it.
    pub service: LoadService,
    /// The objective that runs were judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slo: Option<Slo>,
    /// What was played, in the order of time.
    pub runs: Vec<LoadRun>,
    /// Between which rates the capacity lies; only of `server` with an SLO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// The machine that sent the requests, and that served them unless a server elsewhere did.
    pub host: Host,
    /// How and when it was measured.
    pub provenance: LoadProvenance,
}

impl Document for LoadTest {
    const FORMAT: &'static str = "planner.load/1";
    const NOUN: &'static str = "load";

    fn rules(&self) -> Findings {
        self.validate()
    }
}

/// The kinds of load, in the words of MLPerf Inference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// `SingleStream`: one query of one sample after the other; the metric is the 90th percentile of the latency.
    SingleStream,
    /// `MultiStream`: one query of several samples after the other; the metric is the 99th percentile of the latency.
    MultiStream,
    /// `Server`: queries of one sample arrive as a Poisson process; the metric is the highest rate that meets the SLO.
    #[default]
    Server,
    /// `Offline`: all samples are there at once; the metric is samples per second.
    Offline,
}

impl Scenario {
    /// Returns MLPerf's own word.
    #[must_use]
    pub const fn mlperf(self) -> &'static str {
        match self {
            Self::SingleStream => "SingleStream",
            Self::MultiStream => "MultiStream",
            Self::Server => "Server",
            Self::Offline => "Offline",
        }
    }

    /// Tells whether a query is sent only when the one before it is answered.
    #[must_use]
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::SingleStream | Self::MultiStream)
    }
}

/// Who serves the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadService {
    /// Threads of one replica, each pinned to a core of its own; of a server what the user says.
    #[schemars(range(min = 1))]
    pub cores: u32,
    /// Sessions that serve at the same time: replicas on this machine, or connections to a server.
    #[schemars(range(min = 1))]
    pub sessions: u32,
    /// Whether each has cores of its own on this machine; those of a server have not.
    pub pinned: bool,
    /// Most requests that a session takes from the queue together.
    #[schemars(range(min = 1))]
    pub batch: u32,
    /// Samples in one query.
    #[schemars(range(min = 1))]
    pub samples_per_query: u32,
}

/// What was seen of one stretch of requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadRun {
    /// The rate of the Poisson process; only of `server`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered_rps: Option<Rate>,
    /// Requests that the schedule held in the time it took; chance makes it differ from `offered_rps`. Only of `server`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drawn_rps: Option<Rate>,
    /// Answers per second, from the end of the warm-up to the last of them.
    pub achieved_rps: Rate,
    /// Answered samples per second.
    pub samples_per_s: Rate,
    /// Requests that count: those after the warm-up.
    pub requests: u64,
    /// Of these, those that were answered.
    pub answered: u64,
    /// Of these, those that ended in an error or took longer than the engine may.
    pub failed: u64,
    /// Of these, those that were never sent because the run was ended early.
    pub unsent: u64,
    /// Requests before these, which do not count.
    pub warmup: u64,
    /// Why the run ended.
    pub ended: Ended,
    /// Time from the intended arrival to the answer, of those that were answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Every one of these times, so that any quantile can be computed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<Histogram>,
    /// Whether answers kept up with arrivals: all were sent, and answered at 95 % of the drawn rate at least. Only of
    /// `server`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sustained: Option<bool>,
    /// How the run stands to the SLO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<Judged>,
    /// How late the generator itself was: from the moment at which a request was due and a session free until it was
    /// sent.
    pub lag: Lag,
    /// Part of the requests that were due while every session was busy, and waited.
    pub queued: Share,
    /// Mean number of requests that a session took together.
    pub mean_batch: Factor,
    /// What was seen of the host.
    pub conditions: LoadConditions,
    /// What the first request that failed was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_error: Option<String>,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// All requests were sent.
    Complete,
    /// More requests were late or had failed than the SLO allows of all.
    Late,
    /// A request had waited for as long as the whole schedule.
    Overflow,
    /// Half of the requests had failed.
    Failing,
}

/// How a run stands to the SLO. A request that failed counts as late.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Judged {
    /// Requests that were answered too late.
    pub late: u64,
    /// Part of the requests that were sent which were late or failed.
    pub late_share: Share,
    /// Whether those that were late, failed or never sent are at most a part 1 − quantile of all.
    pub met: bool,
    /// Whether the 95 % interval of the quantile lies on one side of the SLO.
    pub certain: bool,
}

/// How late requests were sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lag {
    /// Median.
    pub p50_ms: Millis,
    /// 99th percentile.
    pub p99_ms: Millis,
    /// Longest.
    pub max_ms: Millis,
    /// Whether it is more than a twentieth of the latency's 99th percentile: then the generator is part of what was
    /// measured, and the run is not to be trusted.
    pub too_much: bool,
}

/// What was seen of the host during a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadConditions {
    /// Times that the kernel took the processor away from threads of this process.
    pub involuntary_switches: u64,
    /// Part of the time in which runnable threads of the machine waited for a processor (PSI), where the kernel tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_pressure: Option<Share>,
    /// Processor time stolen by the hypervisor, as a part of the machine's time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steal: Option<Share>,
}

/// Between which of the tried rates the capacity lies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// Highest rate below every rate that missed the SLO which met it; absent where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub met_rps: Option<Rate>,
    /// The highest of these at which chance does not explain that it was met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certain_rps: Option<Rate>,
    /// Lowest rate that missed it; absent where none did, and the capacity is at least `met_rps`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed_rps: Option<Rate>,
}

/// How and when the load was played.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadProvenance {
    /// Program and version.
    pub tool: String,
    /// When it ended, RFC 3339.
    pub measured_at: String,
    /// The model list, relative to this file.
    pub models: PathBuf,
    /// SHA-256 of the model list.
    pub models_sha256: String,
    /// Digest of images and labels that the samples came from.
    pub data_sha256: String,
    /// Shortest time of a run, the warm-up not counted.
    pub duration_ms: Millis,
    /// Fewest requests of a run, the warm-up not counted.
    pub fewest_requests: u64,
    /// Time of the warm-up of a run.
    pub warmup_ms: Millis,
    /// Step of the search for the capacity, relative to the rate; absent where rates were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Share>,
    /// Seed of the schedule and of the choice of samples.
    pub seed: u64,
}
