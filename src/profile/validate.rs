//! The rules that hold between the fields of a profile, each a small function.

use std::collections::BTreeSet;

use super::{Point, Profile, Stopped};
use crate::base::finding::{Code, Finding, Findings, Severity};
use crate::base::near;
use crate::stats::{Histogram, Latency};

/// How many times as long a call may be after a pause at most.
const MOST_TIMES: f64 = 1e3;

impl Profile {
    /// Returns everything that is wrong or doubtful in the profile.
    #[must_use]
    pub fn validate(&self) -> Findings {
        let mut findings = Findings::default();
        has_variants(self, &mut findings);
        variant_names_are_unique(self, &mut findings);
        points_are_unique(self, &mut findings);
        for (index, point) in self.points.iter().enumerate() {
            let key = format!("points[{index}]");
            point_names_a_variant(self, point, &key, &mut findings);
            quantiles_increase(&point.latency, &key, &mut findings);
            if let Some(histogram) = &point.histogram {
                // Of an imported point it counts millionths.
                let is_imported = point.conditions.stopped == Stopped::Imported;
                let calls = if is_imported { histogram.calls() } else { point.count };
                if histogram_counts(histogram, calls, &key, &mut findings) {
                    histogram_has_the_mean(point, histogram, &key, &mut findings);
                }
            }
            throughput_follows_from_latency(point, &key, &mut findings);
            calls_as_served_are_no_faster(point, &key, &mut findings);
        }
        glimpses_name_variants(self, &mut findings);
        accuracies_lie_in_their_intervals(self, &mut findings);
        host_was_quiet(self, &mut findings);
        points_fit_the_host(self, &mut findings);
        nothing_failed(self, &mut findings);
        findings
    }
}

/// A container's quota takes the time of cores away that its affinity mask still shows.
fn points_fit_the_host(profile: &Profile, findings: &mut Findings) {
    let most = profile.host.cores_allowed;
    let busy = |point: &Point| point.cores.saturating_mul(1 + point.co_runners);
    // Only the work of this machine has a CPU time.
    let beyond = profile.points.iter().filter(|point| point.cpu_ms.is_some() && busy(point) > most).count();
    if most > 0 && beyond > 0 {
        let cause = format!(
            "{beyond} points keep more cores busy than the host gives the time of ({most}): calls are throttled"
        );
        let action = "measure on fewer --cores, or raise the container's CPU limit";
        findings.push(
            Finding::error(Code::Contended, "host.cores_allowed", cause, action).with_severity(Severity::Warning),
        );
    }
}

fn nothing_failed(profile: &Profile, findings: &mut Findings) {
    for (index, failure) in profile.failures.iter().enumerate() {
        let at = failure.point.map(|key| format!(" at batch {} on {} cores", key.batch, key.cores)).unwrap_or_default();
        let cause = format!("`{}`{at} could not be measured: {}", failure.variant, failure.cause);
        let action = "mend the model or leave it out of the list; `--resume` tries again";
        let finding = Finding::error(Code::MeasurementFailed, format!("failures[{index}]"), cause, action);
        findings.push(finding.with_severity(Severity::Warning));
    }
}

fn has_variants(profile: &Profile, findings: &mut Findings) {
    // A profile without points is what an interrupted measurement leaves at first; who needs points says which.
    let lists = [
        ("variants", profile.variants.is_empty(), Severity::Error),
        ("points", profile.points.is_empty(), Severity::Warning),
    ];
    for (key, empty, severity) in lists {
        if empty {
            let action = "measure with `planner profile`; `--resume` completes an interrupted one";
            findings.push(Finding::error(Code::Empty, key, "nothing was measured", action).with_severity(severity));
        }
    }
}

fn variant_names_are_unique(profile: &Profile, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for (index, variant) in profile.variants.iter().enumerate() {
        if !seen.insert(&variant.name) {
            let cause = format!("`{}` names two variants", variant.name);
            findings.push(Finding::error(
                Code::DuplicateName,
                format!("variants[{index}].name"),
                cause,
                "rename one of them",
            ));
        }
    }
}

fn points_are_unique(profile: &Profile, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for (index, point) in profile.points.iter().enumerate() {
        if !seen.insert((&point.variant, point.batch, point.cores, &point.device, point.co_runners)) {
            let cause = format!(
                "`{}` at batch {} on {} cores of {} with {} co-runners is measured twice",
                point.variant, point.batch, point.cores, point.device, point.co_runners
            );
            findings.push(Finding::error(
                Code::DuplicateName,
                format!("points[{index}]"),
                cause,
                "keep one of the two",
            ));
        }
    }
}

fn point_names_a_variant(profile: &Profile, point: &Point, key: &str, findings: &mut Findings) {
    names_a_variant(profile, &point.variant, key, findings);
}

fn names_a_variant(profile: &Profile, name: &str, key: &str, findings: &mut Findings) {
    if profile.variant(name).is_none() {
        let known: Vec<_> = profile.variants.iter().map(|variant| variant.name.as_str()).collect();
        let cause = format!("no variant is called `{name}`");
        let action = near::hint(name, known.iter().copied(), format!("variants are {}", known.join(", ")));
        findings.push(Finding::error(Code::UnknownName, format!("{key}.variant"), cause, action));
    }
}

fn glimpses_name_variants(profile: &Profile, findings: &mut Findings) {
    for (index, glimpse) in profile.glimpses.iter().enumerate() {
        let key = format!("glimpses[{index}]");
        names_a_variant(profile, &glimpse.variant, &key, findings);
        let p50 = glimpse.p50;
        if p50.low_ms.get() <= 0.0 || p50.low_ms > p50.value_ms || p50.value_ms > p50.high_ms {
            let cause = "the median is not positive, or not within its interval";
            findings.push(Finding::error(Code::Inconsistent, format!("{key}.p50"), cause, "measure the point again"));
        }
    }
}

pub(crate) fn quantiles_increase(latency: &Latency, key: &str, findings: &mut Findings) {
    let quantiles = [latency.p50, latency.p90, latency.p95, latency.p99, latency.p999];
    let mut ladder = vec![latency.min_ms.get()];
    ladder.extend(quantiles.iter().map(|quantile| quantile.value_ms.get()));
    ladder.push(latency.max_ms.get());
    let inside =
        quantiles.iter().all(|quantile| quantile.low_ms <= quantile.value_ms && quantile.value_ms <= quantile.high_ms);
    if !ladder.is_sorted() || !inside || latency.mean_ms.get() <= 0.0 {
        let cause = format!("min, quantiles and max do not increase: {ladder:?}, or an interval misses its value");
        findings.push(Finding::error(Code::Inconsistent, format!("{key}.latency"), cause, "measure the point again"));
    }
}

/// Tells whether a histogram holds so many calls, at least one, in buckets that increase.
pub(crate) fn histogram_counts(histogram: &Histogram, count: u64, key: &str, findings: &mut Findings) -> bool {
    let calls = histogram.calls();
    let ordered = histogram.value_ns.is_sorted_by(|a, b| a < b);
    let holds = calls == count && calls > 0 && histogram.value_ns.len() == histogram.count.len() && ordered;
    if !holds {
        let cause = format!("the histogram holds {calls} calls in {} buckets, not {count}", histogram.count.len());
        findings.push(Finding::error(Code::Inconsistent, format!("{key}.histogram"), cause, "measure the point again"));
    }
    holds
}

/// The histogram and the latency are of the same calls; buckets round by 1 %.
fn histogram_has_the_mean(point: &Point, histogram: &Histogram, key: &str, findings: &mut Findings) {
    let (seen, said) = (histogram.distribution().mean_ms(), point.latency.mean_ms.get());
    if point.count > 0 && said > 0.0 && (seen / said - 1.0).abs() > 0.02 {
        let cause = format!("the histogram's mean is {seen} ms, the point's {said} ms");
        findings.push(Finding::error(Code::Inconsistent, format!("{key}.histogram"), cause, "measure the point again"));
    }
}

/// Nothing makes a call faster than in a row, and a stretch has at least its own call.
fn calls_as_served_are_no_faster(point: &Point, key: &str, findings: &mut Findings) {
    let pace = point.pace.into_iter().flat_map(|pace| {
        [Some(("pace.after_pause", pace.after_pause)), pace.after_other.map(|other| ("pace.after_other", other))]
    });
    for (name, ratio) in pace.flatten() {
        let is_sound =
            1.0 <= ratio.low && ratio.low <= ratio.value && ratio.value <= ratio.high && ratio.value <= MOST_TIMES;
        if !is_sound {
            let cause = format!("{} ({} to {}) is no factor with its interval", ratio.value, ratio.low, ratio.high);
            let action = format!("a factor from 1 to {MOST_TIMES} between its ends; measure the point again");
            findings.push(Finding::error(Code::OutOfRange, format!("{key}.{name}"), cause, action));
        }
    }
    if let Some(calls) = point.stretch_calls.filter(|calls| calls.get() < 1.0) {
        let cause = format!("{calls} calls are less than one");
        findings.push(Finding::error(Code::OutOfRange, format!("{key}.stretch_calls"), cause, "at least 1"));
    }
    let (medians, blocks) = (point.block_p50_ms.len(), point.conditions.blocks as usize);
    if medians > 0 && medians != blocks {
        let cause = format!("{medians} medians of {blocks} blocks");
        findings.push(Finding::error(
            Code::Inconsistent,
            format!("{key}.block_p50_ms"),
            cause,
            "measure the point again",
        ));
    }
}

fn throughput_follows_from_latency(point: &Point, key: &str, findings: &mut Findings) {
    let expected = 1e3 * f64::from(point.batch) / point.latency.mean_ms.get();
    if (point.throughput_rps.get() / expected - 1.0).abs() > 1e-6 {
        let cause = format!("throughput is {} but batch ÷ mean latency is {expected}", point.throughput_rps);
        findings.push(Finding::error(
            Code::Inconsistent,
            format!("{key}.throughput_rps"),
            cause,
            "measure the point again",
        ));
    }
}

fn accuracies_lie_in_their_intervals(profile: &Profile, findings: &mut Findings) {
    for (index, variant) in profile.variants.iter().enumerate() {
        let fact = &variant.accuracy;
        if fact.low > fact.value || fact.value > fact.high {
            let cause = format!("{} is not inside {} to {}", fact.value, fact.low, fact.high);
            let key = format!("variants[{index}].accuracy");
            findings.push(Finding::error(Code::Inconsistent, key, cause, "count the answers again"));
        }
    }
}

fn host_was_quiet(profile: &Profile, findings: &mut Findings) {
    let contended = profile.points.iter().filter(|point| point.conditions.contended).count();
    let glimpsed = profile.glimpses.iter().filter(|glimpse| glimpse.contended).count();
    if glimpsed > 0 {
        let cause = format!("{glimpsed} of {} glimpses were taken on a disturbed host", profile.glimpses.len());
        let action = "measure again on a quiet machine";
        findings.push(Finding::error(Code::Contended, "glimpses", cause, action).with_severity(Severity::Warning));
    }
    if contended > 0 {
        let cause = format!("{contended} of {} points were measured on a disturbed host", profile.points.len());
        let action = "measure again on a quiet machine: `planner profile --resume --retry-contended`";
        findings.push(Finding::error(Code::Contended, "points", cause, action).with_severity(Severity::Warning));
    }
}
