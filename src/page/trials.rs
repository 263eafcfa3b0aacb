//! What a trial saw of each gear, whichever way the trial was made.

use std::collections::BTreeMap;

use super::Tone;
use super::formatting::{about, counted, number, percent, seconds};
use crate::plan::Plan;
use crate::problem::Slo;
use crate::simulate::{Effort, Interval, PoolReport, Report, Summary, World, WorstWindow, try_gear};

/// What a trial saw, gear by gear.
#[derive(Debug, Clone, PartialEq)]
pub struct Trials {
    /// How the trial was made, in a sentence.
    pub how: String,
    /// One entry a gear of the plan; nothing where no request arrived under it.
    pub gears: Vec<Option<Seen>>,
    /// The worst window of a trial of the whole plan that took several; gears tried alone have a steady load.
    pub worst_window: Option<WorstWindow>,
}

/// What a trial saw of one gear.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Requests that arrived.
    pub requests: u64,
    /// Response time at the SLO's quantile.
    pub latency_ms: Option<f64>,
    /// Its 95 % interval; known where several trials tried the gear alone.
    pub latency_interval: Option<Interval>,
    /// Part of the requests that were not answered in time.
    pub late: f64,
    /// Its 95 % interval, known as that of the latency.
    pub late_interval: Option<Interval>,
    /// Whether the SLO was kept.
    pub slo_met: bool,
    /// Pools whose queue grew without end; known where the gear was tried alone.
    pub endless: Vec<String>,
    /// Part of the answers that were right.
    pub accuracy: Option<f64>,
    /// Price; known where the gear was tried alone.
    pub cost_usd_per_hour: Option<f64>,
    /// Busy part of each pool; known where the gear was tried alone.
    pub utilisation: BTreeMap<String, f64>,
    /// For each stage the part of the requests that left there.
    pub exits: Vec<f64>,
}

/// Tries every gear alone at its highest rate.
#[must_use]
pub fn try_gears<W: World + Sync>(plan: &Plan, world: &W, effort: Effort) -> Trials {
    let tried = plan.gears.iter().map(|gear| try_gear(plan, gear, world, effort));
    let gears = tried.map(|report| seen(&report, &report.gears.first()?.summary, true)).collect();
    let how = format!(
        "Each gear alone at its highest rate: Poisson arrivals, {} requests over {} trials, seed {}.",
        number(effort.requests as f64),
        effort.trials.max(2),
        effort.seed
    );
    Trials { how, gears, worst_window: None }
}

impl Seen {
    /// Tells whether the SLO was broken, and not by chance where the trials have an interval; a queue that grows without end does.
    #[must_use]
    pub fn broke(&self, slo: &Slo) -> bool {
        let allowed = 1.0 - slo.quantile.get();
        !self.endless.is_empty() || !self.slo_met && self.late_interval.is_none_or(|late| late.low > allowed)
    }

    /// Tells whether too few requests were tried to say whether the SLO is kept.
    #[must_use]
    pub fn is_open(&self, slo: &Slo) -> bool {
        !self.slo_met && !self.broke(slo)
    }
}

impl Trials {
    /// Returns what a report saw of a plan's gears, which are found by their highest rates, so that the report may be of
    /// one gear alone; `None` where it is of none of them.
    #[must_use]
    pub fn of(plan: &Plan, report: &Report) -> Option<Self> {
        let alone = report.gears.len() == 1;
        let of_gear = |rate: f64| {
            let found = report.gears.iter().find(|gear| (gear.up_to_rps.get() / rate - 1.0).abs() < 1e-9)?;
            Some((found, seen(report, &found.summary, alone)))
        };
        let found: Vec<_> = plan.gears.iter().map(|gear| of_gear(gear.up_to_rps.get())).collect();
        if found.iter().all(Option::is_none) {
            return None;
        }
        let how = format!(
            "{}, {}, {} over {}, seed {}.",
            report.plan,
            report.arrivals,
            counted(report.whole.arrived, "request"),
            counted(report.replications, "trial"),
            report.seed
        );
        let worst_window = report.worst_window.filter(|worst| worst.length_ms < report.duration_ms);
        Some(Self { how, gears: found.into_iter().map(|found| found?.1).collect(), worst_window })
    }

    /// Says how the SLO was kept in the worst window. It must be where the SLO names a window, and is worth a look elsewhere.
    pub(crate) fn worst_window(&self, slo: &Slo, name: &str) -> Option<(Tone, String)> {
        let worst = self.worst_window?;
        let tone = match (worst.slo_met, slo.window_s) {
            (true, _) => Tone::Good,
            (false, Some(_)) => Tone::Bad,
            (false, None) => Tone::Warning,
        };
        let [length, start] = [worst.length_ms, worst.start_ms].map(seconds);
        let late = percent(worst.violation_share.get());
        let text = format!(
            "The worst window of {length} in {name} began after {start}: {late} of {} late, {} allowed{}.",
            counted(worst.arrived, "request"),
            about(1.0 - slo.quantile.get()),
            if worst.is_open(slo) { ", which chance may explain" } else { "" }
        );
        Some((tone, text))
    }

    /// Returns what was seen of a gear.
    #[must_use]
    pub fn gear(&self, index: usize) -> Option<&Seen> {
        self.gears.get(index)?.as_ref()
    }
}

/// Returns what was seen of a gear; nothing where no request arrived.
fn seen(report: &Report, summary: &Summary, alone: bool) -> Option<Seen> {
    let intervals = report.intervals.filter(|_| alone);
    let used = report.pools.iter().filter(|pool| alone && pool.calls > 0);
    let busy = |pool: &PoolReport| (pool.name.clone(), pool.utilisation.get());
    (summary.arrived > 0).then(|| Seen {
        requests: summary.arrived,
        latency_ms: summary.latency.map(|times| times.at_slo_quantile_ms.get()),
        latency_interval: intervals.and_then(|intervals| intervals.at_slo_quantile_ms),
        late: summary.violation_share.get(),
        late_interval: intervals.map(|intervals| intervals.violation_share),
        slo_met: summary.slo_met,
        endless: report.endless_queues().filter(|_| alone).map(|pool| pool.name.clone()).collect(),
        accuracy: summary.accuracy.map(f64::from),
        cost_usd_per_hour: alone.then(|| report.cost_usd_per_hour()),
        utilisation: used.map(busy).collect(),
        exits: summary.exits.iter().map(|share| share.get()).collect(),
    })
}
