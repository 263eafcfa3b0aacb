//! What a simulation or a replay saw: the nouns of `planner.report/1`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::codec::Document;
use crate::base::finding::Findings;
use crate::base::units::{Accuracy, Millis, Rate, Share, Usd};
use crate::problem::Slo;

/// The name and version of the report format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReportFormat {
    /// The only version so far.
    #[default]
    #[serde(rename = "planner.report/1")]
    V1,
}

/// Everything that was counted while a plan was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Always `planner.report/1`.
    pub format: ReportFormat,
    /// Name of the plan that was tried.
    pub plan: String,
    /// How it was tried.
    pub source: Source,
    /// Arrivals in words, like `poisson 200 rps` or a trace's file name.
    pub arrivals: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Independent trials that are put together here, with seeds from `seed` on.
    #[schemars(range(min = 1))]
    pub replications: u32,
    /// Time that each trial counted.
    pub duration_ms: Millis,
    /// The latency objective that requests were judged by.
    pub slo: Slo,
    /// All requests together.
    pub whole: Summary,
    /// The window in which the SLO was kept worst, of `slo.window_s` or else of a minute; absent where no request arrived and in reports
    /// from before it was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_window: Option<WorstWindow>,
    /// How far the whole can be trusted; absent for a single trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intervals: Option<Intervals>,
    /// Requests by the gear under which they arrived, in the order of the plan.
    pub gears: Vec<GearReport>,
    /// Price per hour of machines that are rented whole, averaged over the trials.
    #[serde(default, skip_serializing_if = "is_free")]
    pub machines_usd_per_hour: Usd,
    /// What each pool did, in the order of the placement.
    pub pools: Vec<PoolReport>,
    /// Gear changes per hour, over all trials.
    pub gear_changes_per_hour: f64,
    /// Gear changes of the first trial, in the order of time.
    pub changes: Vec<Change>,
    /// The trials cut into equal windows of time; numbers are of all trials, the gear is the first one's.
    pub windows: Vec<Window>,
}

impl Document for Report {
    const FORMAT: &'static str = "planner.report/1";
    const NOUN: &'static str = "report";

    fn rules(&self) -> Findings {
        Findings::default()
    }
}

/// 95 % intervals of what independent trials say together, as wide as the trials' own numbers are apart (Student's t).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Intervals {
    /// Of the mean response time.
    pub mean_ms: Interval,
    /// Of the median.
    pub p50_ms: Interval,
    /// Of the 95th percentile.
    pub p95_ms: Interval,
    /// Of the 99th percentile.
    pub p99_ms: Interval,
    /// Of the quantile that the SLO asks for. Absent in reports from before it was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_slo_quantile_ms: Option<Interval>,
    /// Of the share of violations.
    pub violation_share: Interval,
    /// Of the accuracy; absent without per-sample answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Interval>,
    /// Of the price per hour.
    pub cost_usd_per_hour: Interval,
}

/// An interval, in the unit of what it is of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// How a plan was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// By event simulation.
    Simulation,
    /// On real engines, in real time.
    Replay,
}

/// What happened to a group of requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Requests that arrived.
    pub arrived: u64,
    /// Requests that were answered before the trial ended.
    pub answered: u64,
    /// Requests still under way at the end; those older than the SLO count as violations.
    pub unfinished: u64,
    /// Requests that a full queue refused; they count as violations.
    pub refused: u64,
    /// Requests that were dropped because they waited too long; they count as violations.
    pub dropped: u64,
    /// Answers per second over the whole trial.
    pub throughput_rps: Rate,
    /// Response times of answered requests, from arrival to answer; absent where none was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<ResponseTimes>,
    /// Requests that were not answered within the SLO's time.
    pub violations: u64,
    /// Violations ÷ requests that arrived.
    pub violation_share: Share,
    /// Whether the SLO's quantile was kept: the share of violations is at most 1 − quantile. For the whole also that no queue grows
    /// without end, as its requests are never answered, however few they are, and that the worst window keeps the SLO where it names one.
    pub slo_met: bool,
    /// Part of answered requests that were right; absent without per-sample answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
    /// For each stage of the gear, the part of requests that got there; empty for the whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reach: Vec<Share>,
    /// For each stage of the gear, the part of requests that left early there; empty for the whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exits: Vec<Share>,
}

/// Response times of a group of requests. Quantiles are within 1 % (HDR, two significant figures).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResponseTimes {
    /// Arithmetic mean.
    pub mean_ms: Millis,
    /// Median.
    pub p50_ms: Millis,
    /// 90th percentile.
    pub p90_ms: Millis,
    /// 95th percentile.
    pub p95_ms: Millis,
    /// 99th percentile.
    pub p99_ms: Millis,
    /// 99.9th percentile.
    pub p999_ms: Millis,
    /// Slowest.
    pub max_ms: Millis,
    /// The quantile that the SLO asks for.
    pub at_slo_quantile_ms: Millis,
}

/// What happened under one gear.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GearReport {
    /// The gear's highest rate.
    pub up_to_rps: Rate,
    /// Part of the time in which it routed requests.
    pub time_share: Share,
    /// Its requests.
    pub summary: Summary,
    /// What was seen at the stages that the plan watches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<DriftReport>,
}

/// What was seen at a watched stage: whether as many requests went on as the plan expects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DriftReport {
    /// Name of the stage.
    pub stage: String,
    /// Part of its requests that the plan expects to go on.
    pub expected: Share,
    /// Part that went on; absent where no request passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onward: Option<Share>,
    /// Full windows that passed.
    pub windows: u64,
    /// Windows whose part was outside the plan's limits.
    pub window_alarms: u64,
    /// Times that a cumulative sum went beyond its limit; it begins anew then.
    pub sum_alarms: u64,
}

/// What one pool did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolReport {
    /// Name of the pool.
    pub name: String,
    /// Busy time ÷ time that replicas were up.
    pub utilisation: Share,
    /// Mean number of replicas that were up or starting.
    pub mean_replicas: f64,
    /// Mean number of calls waiting.
    pub mean_waiting: f64,
    /// Most calls that ever waited.
    pub max_waiting: u32,
    /// Whether calls came faster than they were served for as long as a trial lasted: in its second half some always waited, and
    /// ever more of them, by more than chance explains.
    #[serde(default, skip_serializing_if = "is_false")]
    pub grows_without_end: bool,
    /// Mean number of calls waiting or in service.
    pub mean_present: f64,
    /// Mean time that a call waited until it was served or dropped.
    pub mean_wait_ms: Millis,
    /// Calls served.
    pub calls: u64,
    /// Calls that found no place to wait.
    pub refused: u64,
    /// Calls that had waited too long when a replica was free.
    pub dropped: u64,
    /// Mean calls served together.
    pub mean_batch: f64,
    /// How often 1, 2, … calls were served together.
    pub batch_sizes: Vec<u64>,
    /// Price per hour, averaged over the trials.
    pub cost_usd_per_hour: Usd,
}

/// A change of gear.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// When the new gear began to route requests.
    pub at_ms: Millis,
    /// Index of the old gear.
    pub from: u32,
    /// Index of the new gear.
    pub to: u32,
    /// Time from the decision until its replicas were up.
    pub waited_ms: Millis,
}

/// One window of the trial; requests count where they arrived.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Start of the window.
    pub start_ms: Millis,
    /// Arrivals per second.
    pub rate_rps: Rate,
    /// Gear that routed requests at the end of the window.
    pub gear: u32,
    /// 99th percentile of the response times; absent where nothing was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<Millis>,
    /// Requests that were not answered within the SLO's time.
    pub violations: u64,
    /// Part of answered requests that were right; absent without per-sample answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
    /// Price per hour of the replicas that were up.
    pub cost_usd_per_hour: Usd,
}

/// The window with the largest share of late requests that is sure, of all trials together; requests count where they arrived.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorstWindow {
    /// Start of the window.
    pub start_ms: Millis,
    /// Length of each window; longer than asked where a trial has more than 100,000 of them. The last one may be shorter.
    pub length_ms: Millis,
    /// Requests that arrived.
    pub arrived: u64,
    /// Requests that were not answered within the SLO's time.
    pub violations: u64,
    /// Violations ÷ requests that arrived.
    pub violation_share: Share,
    /// The share of violations that is sure: with 95 % confidence for all windows together the lower bound of each (Clopper and
    /// Pearson, Bonferroni).
    pub violation_low: Share,
    /// Whether chance alone may explain its violations: the share that is sure is at most 1 − quantile.
    pub slo_met: bool,
}

impl WorstWindow {
    /// Tells whether more of its requests are late than an SLO allows, though not for sure.
    pub(crate) fn is_open(&self, slo: &Slo) -> bool {
        self.slo_met && self.violation_share.get() > 1.0 - slo.quantile.get() + 1e-12
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_free(price: &Usd) -> bool {
    *price == Usd::ZERO
}

impl Report {
    /// Returns the pools whose queue grows without end.
    pub fn endless_queues(&self) -> impl Iterator<Item = &PoolReport> {
        self.pools.iter().filter(|pool| pool.grows_without_end)
    }

    /// Returns the price per hour of all pools and machines, averaged over the trial.
    #[must_use]
    pub fn cost_usd_per_hour(&self) -> f64 {
        let pools: f64 = self.pools.iter().map(|pool| pool.cost_usd_per_hour.get()).sum();
        pools + self.machines_usd_per_hour.get()
    }
}
