//! What was played, in numbers.

use std::time::Duration;

use super::queue::{Call, Played, Requests, RunSpec};
use super::settings::allowed;
use super::{Ended, Judged, Lag, LoadRun};
use crate::base::units::{Factor, Rate, Share};
use crate::problem::Slo;
use crate::replay::Spread;
use crate::stats::sample::{latency, part_within};
use crate::stats::{Histogram, Latency};

/// Part of the drawn rate that answers must reach.
const KEPT_UP: f64 = 0.95;
/// Part of the latency's 99th percentile that the generator may be late itself.
const MOST_LAG: f64 = 0.05;
/// The latency of a request that failed: longer than any limit.
const NEVER: Duration = Duration::MAX;

/// One request that counts, and what became of it.
struct Request {
    place: usize,
    latency: Duration,
    failed: bool,
    lag: Duration,
    queued: bool,
}

/// Returns what a run came to; `offered` is the rate of its process, where it has one.
pub(crate) fn judge(
    spec: &RunSpec,
    played: &Played,
    offered: Option<Rate>,
    samples_per_query: u32,
    slo: Option<Slo>,
) -> LoadRun {
    let requests = counted(spec, &played.calls);
    let planned = planned(spec).unwrap_or(requests.len() as u64);
    let answered: Vec<Duration> = requests.iter().filter(|request| !request.failed).map(|r| r.latency).collect();
    let achieved = achieved(spec, &played.calls);
    let drawn = offered.and_then(|_| drawn_rps(spec));
    let latency = (!answered.is_empty()).then(|| latency(&answered));
    LoadRun {
        offered_rps: offered,
        drawn_rps: drawn,
        achieved_rps: achieved,
        samples_per_s: Rate::saturating(achieved.get() * f64::from(samples_per_query)),
        requests: planned,
        answered: answered.len() as u64,
        failed: (requests.len() - answered.len()) as u64,
        unsent: planned - requests.len() as u64,
        warmup: played.calls.iter().map(|call| call.requests.len() as u64).sum::<u64>() - requests.len() as u64,
        ended: played.ended,
        histogram: (!answered.is_empty()).then(|| Histogram::of(&answered)),
        sustained: drawn.map(|drawn| played.ended == Ended::Complete && achieved.get() >= KEPT_UP * drawn.get()),
        judged: slo.filter(|_| !requests.is_empty()).map(|slo| against(slo, &requests, planned)),
        lag: lag(&requests, latency.as_ref()),
        queued: part(requests.iter().filter(|request| request.queued).count(), requests.len()),
        mean_batch: mean_batch(&played.calls),
        conditions: played.conditions,
        first_error: first_error(&played.calls),
        latency,
    }
}

/// Returns the requests after the warm-up, in the order of the schedule.
fn counted(spec: &RunSpec, calls: &[Call]) -> Vec<Request> {
    let of_call = |call: &Call| {
        let Call { free, sent, ended, .. } = *call;
        let failed = call.failure.is_some();
        let request = move |&(place, due): &(usize, Duration)| Request {
            place,
            latency: if failed { NEVER } else { ended.saturating_sub(due) },
            failed,
            lag: sent.saturating_sub(due.max(free)),
            queued: due < free,
        };
        let counts = call.requests.iter().filter(|(_, due)| *due >= spec.warmup);
        counts.map(request).collect::<Vec<_>>()
    };
    let mut requests: Vec<Request> = calls.iter().flat_map(of_call).collect();
    requests.sort_by_key(|request| request.place);
    requests
}

/// Returns the rate of answers after the warm-up, among them those to requests that came before and had to wait.
fn achieved(spec: &RunSpec, calls: &[Call]) -> Rate {
    let after = |call: &&Call| call.ended > spec.warmup && call.failure.is_none();
    let answers: usize = calls.iter().filter(after).map(|call| call.requests.len()).sum();
    let last = calls.iter().map(|call| call.ended).max().unwrap_or_default();
    per_second(answers as u64, last.saturating_sub(spec.warmup))
}

/// Returns how many requests a schedule holds after its warm-up.
fn planned(spec: &RunSpec) -> Option<u64> {
    let Requests::At(due) = &spec.requests else { return None };
    Some(due.iter().filter(|due| **due >= spec.warmup).count() as u64)
}

fn drawn_rps(spec: &RunSpec) -> Option<Rate> {
    let Requests::At(due) = &spec.requests else { return None };
    let last = due.last()?.saturating_sub(spec.warmup);
    planned(spec).map(|planned| per_second(planned, last))
}

fn per_second(count: u64, time: Duration) -> Rate {
    // A nanosecond is the grain of the clock.
    Rate::saturating(count as f64 / time.as_secs_f64().max(1e-9))
}

fn part(some: usize, all: usize) -> Share {
    Share::saturating(some as f64 / all.max(1) as f64)
}

fn mean_batch(calls: &[Call]) -> Factor {
    let requests: usize = calls.iter().map(|call| call.requests.len()).sum();
    Factor::saturating(requests as f64 / calls.len().max(1) as f64)
}

fn first_error(calls: &[Call]) -> Option<String> {
    let failed = calls.iter().filter_map(|call| Some((call.ended, call.failure.as_ref()?)));
    failed.min_by_key(|(ended, _)| *ended).map(|(_, failure)| failure.clone())
}

/// Holds requests against an SLO. What was never sent is late; how certain that is, only those can tell that were sent.
fn against(slo: Slo, requests: &[Request], planned: u64) -> Judged {
    let (limit, quantile) = (slo.latency_ms.duration(), slo.quantile.get());
    let walls: Vec<Duration> = requests.iter().map(|request| request.latency).collect();
    let late = requests.iter().filter(|request| !request.failed && request.latency > limit).count() as u64;
    let failed = requests.iter().filter(|request| request.failed).count() as u64;
    let bad = late + failed + planned - requests.len() as u64;
    let met = bad <= allowed(planned, slo.quantile);
    let (low, high) = part_within(&walls, limit);
    Judged {
        late,
        late_share: part((late + failed) as usize, requests.len()),
        met,
        certain: if met { low.get() >= quantile } else { high.get() < quantile },
    }
}

fn lag(requests: &[Request], latency: Option<&Latency>) -> Lag {
    let Spread { p50_ms, p99_ms, max_ms, .. } =
        Spread::from_times(requests.iter().map(|request| request.lag).collect());
    let too_much = latency.is_some_and(|latency| p99_ms.get() > MOST_LAG * latency.p99.value_ms.get());
    Lag { p50_ms, p99_ms, max_ms, too_much }
}
