//! Which rate still meets an SLO: up by doubling, down by halving, then between by bisection.

use std::time::Duration;

use super::{Capacity, LoadRun};
use crate::base::error::Error;
use crate::base::units::Rate;

/// Part of the rate of calls that follow each other at which the search begins.
const FIRST: f64 = 0.5;
/// Part of it below which no rate is tried: there requests hardly ever find another in their way.
const LOWEST: f64 = 0.02;
/// Highest rate that is tried: far above what a thread can send.
pub(crate) const HIGHEST_RPS: f64 = 1e6;

/// Tries rates until the lowest that missed the SLO is within `resolution` of the highest that met it, or none is left to
/// try. `service` is about the time of one call.
///
/// Takes about log₂ of how far the capacity is from the first rate, and then about log₂(1 ÷ `resolution`) runs.
pub(crate) fn search(
    service: Duration,
    resolution: f64,
    mut run_at: impl FnMut(Rate) -> Result<LoadRun, Error>,
) -> Result<Vec<LoadRun>, Error> {
    let in_turn = 1.0 / service.as_secs_f64().max(1e-9);
    let (mut met, mut missed) = (None::<f64>, None::<f64>);
    let (mut runs, mut rate) = (Vec::new(), (FIRST * in_turn).min(HIGHEST_RPS));
    loop {
        let run = run_at(Rate::saturating(rate))?;
        *if is_met(&run) { &mut met } else { &mut missed } = Some(rate);
        runs.push(run);
        rate = match (met, missed) {
            (Some(met), Some(missed)) if missed > met * (1.0 + resolution) => (met * missed).sqrt(),
            (Some(met), None) if met < HIGHEST_RPS => (2.0 * met).min(HIGHEST_RPS),
            (None, Some(missed)) if missed > LOWEST * in_turn => missed / 2.0,
            _ => return Ok(runs),
        };
    }
}

/// Returns between which rates of some runs the capacity lies. A rate that met the SLO above one that missed it was lucky.
pub(crate) fn capacity(runs: &[LoadRun]) -> Capacity {
    let rates = |wanted: &dyn Fn(&LoadRun) -> bool| {
        runs.iter().filter(|run| wanted(run)).filter_map(|run| run.offered_rps).collect::<Vec<Rate>>()
    };
    let missed = rates(&|run| !is_met(run)).into_iter().min_by(|a, b| a.get().total_cmp(&b.get()));
    let is_below = |run: &LoadRun| missed.is_none_or(|missed| run.offered_rps.is_some_and(|rate| rate < missed));
    let highest = |rates: Vec<Rate>| rates.into_iter().max_by(|a, b| a.get().total_cmp(&b.get()));
    Capacity {
        met_rps: highest(rates(&|run| is_met(run) && is_below(run))),
        certain_rps: highest(rates(&|run| is_met(run) && is_below(run) && run.judged.is_some_and(|it| it.certain))),
        missed_rps: missed,
    }
}

fn is_met(run: &LoadRun) -> bool {
    run.judged.is_some_and(|judged| judged.met)
}
