//! Whether a plan follows a load as well as the plan that its inputs give: the rule that changes gear, played.
//!
//! Each gear is tried alone elsewhere. Here the load moves: as the problem's trace does, or, where there is none, in a step and on a
//! ramp up to the highest rate.

use std::time::Duration;

use crate::base::finding::Findings;
use crate::facts::Facts;
use crate::plan::{Gear, Plan};
use crate::simulate::{Measured, Report, Settings, simulate};
use crate::workload::{Arrivals, RecordedLoad, Trace};

/// Requests of a trial, about; one that takes five times as many is not made.
const MOST_REQUESTS: f64 = 1e7;
/// Seconds at the highest rate, at least and at most.
const AT_THE_TOP_S: (f64, f64) = (5.0, 30.0);
/// Windows that are followed at most: a rule that looks more seldom is tried as if it looked so often.
const LONGEST_WINDOW_S: f64 = 300.0;
/// A recording that lasts longer is not played.
const LONGEST_RECORDING_S: f64 = 1e6;
/// How much more may be late than of the plan solved again: as a part of all requests, and as a part of what is late of that one.
const MORE: f64 = 0.01;
const MORE_OF_IT: f64 = 0.25;

/// How much more is late of one plan than of another while a load moves.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Behind {
    pub load: String,
    pub late: f64,
    pub late_again: f64,
}

/// Tells whether two plans change gear alike.
pub(super) fn change_alike(one: &Plan, other: &Plan) -> bool {
    let rule = |gear: &Gear| (gear.window_ms, gear.under_way_at_most);
    one.switch == other.switch && one.gears.iter().map(rule).eq(other.gears.iter().map(rule))
}

/// Plays both plans on the same loads; nothing where the committed one follows all of them as well.
///
/// # Errors
/// Findings for facts that were not measured.
pub(super) fn behind(committed: &Plan, again: &Plan, facts: &Facts) -> Result<Option<Behind>, Findings> {
    if committed.gears.len() < 2 || !committed.periods.is_empty() {
        return Ok(None);
    }
    let (world, world_again) = (Measured::new(committed, facts)?, Measured::new(again, facts)?);
    let allowed = 1.0 - committed.slo.quantile.get();
    for settings in loads(committed, facts.recorded.as_ref().map(|recorded| &recorded.document)) {
        let late = late_of(&simulate(committed, &world, &settings));
        if late <= allowed {
            continue;
        }
        let late_again = late_of(&simulate(again, &world_again, &settings));
        if late > late_again * (1.0 + MORE_OF_IT) + MORE {
            return Ok(Some(Behind { load: settings.arrivals.describe(), late, late_again }));
        }
    }
    Ok(None)
}

fn late_of(report: &Report) -> f64 {
    report.whole.violation_share.get()
}

/// Returns how a plan is tried: on the recorded load where that is short enough, else on a step and a ramp.
fn loads(plan: &Plan, recorded: Option<&RecordedLoad>) -> Vec<Settings> {
    let settings = |arrivals: Arrivals, seconds: f64| Settings {
        arrivals,
        duration: Duration::from_secs_f64(seconds),
        warmup: Duration::ZERO,
        seed: 42,
    };
    let is_short = |load: &&RecordedLoad| {
        load.mean_rps() * load.length_s() <= MOST_REQUESTS && load.length_s() <= LONGEST_RECORDING_S
    };
    if let Some(load) = recorded.filter(is_short) {
        let trace = Trace::new("the problem's trace", load.per_second().collect());
        return vec![settings(Arrivals::Trace(trace), load.length_s())];
    }
    let (lowest, most) = (0.5 * plan.gears[0].up_to_rps.get(), plan.max_rps());
    // The first gear is that for the first window, so the step comes after it.
    let windows = plan.gears.iter().map(|gear| gear.window_ms.unwrap_or(plan.switch.window_ms).get() / 1e3);
    let window_s = windows.fold(0.0, f64::max).min(LONGEST_WINDOW_S);
    let (at_s, top_s) = (1.5 * window_s + 5.0, (MOST_REQUESTS / most).clamp(AT_THE_TOP_S.0, AT_THE_TOP_S.1));
    let step = Arrivals::Step { from_rps: lowest, to_rps: most, at_s };
    let ramp = Arrivals::Ramp { from_rps: lowest, to_rps: most, over_s: at_s };
    let is_short = |arrivals: &Arrivals| arrivals.initial_rate(at_s + top_s) * (at_s + top_s) <= 5.0 * MOST_REQUESTS;
    [step, ramp].into_iter().filter(is_short).map(|arrivals| settings(arrivals, at_s + top_s)).collect()
}
