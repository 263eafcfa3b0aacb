//! Two profiles side by side: which points became slower or faster, and which variants more or less accurate.
//!
//! A point changed where chance does not explain the difference of the two series (after Holm's correction for all points
//! together, at 5 %) *and* the medians differ by more than a threshold. The first keeps noise from being news, the second
//! keeps differences from being news that nobody would act on.
//!
//! The calls of one start of a variant are fast or slow together, so chance is judged twice: by the calls, and by how far the starts within
//! both profiles differ ([`Starts`]). What differs between whole campaigns, hours apart, no test of two profiles can see. The
//! threshold must cover that.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use schemars::JsonSchema;
use serde::Serialize;

use super::starts::StartsApart;
use super::{Answers, Host, Point, Profile, Starts, Stopped, Variant};
use crate::base::finding::{Code, Finding, Findings, Severity};
use crate::base::units::{Accuracy, Share};
use crate::stats::Histogram;
use crate::stats::effect::{Effect, Ratio, effect, holm, mcnemar};

/// Probability of one or more false alarms among all points of two profiles of the same law.
const FALSE_ALARMS: f64 = 0.05;

/// One of the two profiles, with its answers where they are at hand.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The profile.
    pub profile: &'a Profile,
    /// What its variants answered, for the comparison sample by sample.
    pub answers: Option<&'a Answers>,
}

/// What counts as a change, and as a regression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Part by which a median must differ to matter.
    pub threshold: Share,
    /// Whether a slower point counts where one of both hosts was disturbed.
    pub strict: bool,
}

/// Everything that changed between two profiles of a task.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Comparison {
    /// Whether a point is slower beyond the threshold, or a variant less accurate.
    pub regression: bool,
    /// Part by which a median had to differ to matter.
    pub threshold: Share,
    /// How many points ended how.
    pub counts: Counts,
    /// Every point of both profiles, in the order of the first.
    pub points: Vec<PointChange>,
    /// Every variant of both profiles, in the order of the first.
    pub variants: Vec<VariantChange>,
    /// Points that only the first profile has.
    pub only_before: Vec<PointKey>,
    /// Points that only the second profile has.
    pub only_after: Vec<PointKey>,
    /// What makes the comparison say less.
    pub findings: Vec<Finding>,
}

/// How many points ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counts {
    /// Points of both profiles.
    pub points: usize,
    /// Slower beyond the threshold, contended ones among them.
    pub slower: usize,
    /// Slower beyond the threshold on a disturbed host.
    pub slower_contended: usize,
    /// Faster beyond the threshold.
    pub faster: usize,
    /// Neither slower nor faster.
    pub alike: usize,
    /// Without the calls to judge by.
    pub not_judged: usize,
}

/// What makes a point the same point in two profiles.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct PointKey {
    /// Name of the variant.
    pub variant: String,
    /// Samples in one call.
    pub batch: u32,
    /// Threads, each on a core of its own.
    pub cores: u32,
    /// `cpu`, or the name of an accelerator.
    pub device: String,
    /// Busy neighbours.
    pub co_runners: u32,
}

/// One point before and after.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PointChange {
    /// Which point.
    #[serde(flatten)]
    pub key: PointKey,
    /// Median before.
    pub p50_before_ms: f64,
    /// Median after.
    pub p50_after_ms: f64,
    /// Medians, after ÷ before.
    pub p50_ratio: Ratio,
    /// 99th percentiles, after ÷ before.
    pub p99_ratio: Ratio,
    /// Effect size and significance; absent where a histogram is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// Probability of so large a difference of medians where starts differ as they were seen to; absent for
    /// profiles without starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_p_value: Option<f64>,
    /// The larger of both p-values, raised for having tested all points together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p_value_holm: Option<f64>,
    /// Whether one of both was measured on a disturbed host.
    pub contended: bool,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a point's latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Significant, and the median grew beyond the threshold.
    Slower,
    /// Significant, and the median shrank beyond the threshold.
    Faster,
    /// Nothing that chance does not explain, or nothing that matters.
    Alike,
    /// One of the profiles has no histogram of the point.
    NotJudged,
}

/// One variant before and after.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct VariantChange {
    /// Name of the variant.
    pub variant: String,
    /// Accuracy before.
    pub accuracy_before: Accuracy,
    /// Accuracy after.
    pub accuracy_after: Accuracy,
    /// How the accuracies were compared.
    pub judged_by: AccuracyTest,
    /// Whether the difference is more than chance.
    pub verdict: AccuracyVerdict,
    /// Load times, after ÷ before; absent where the first is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_time_ratio: Option<f64>,
    /// Memory, after ÷ before; absent where the first is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_ratio: Option<f64>,
}

/// How two accuracies were compared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum AccuracyTest {
    /// Sample by sample: McNemar's exact test.
    Paired {
        /// Samples that were right before and are wrong now.
        lost: u64,
        /// Samples that were wrong before and are right now.
        won: u64,
        /// The p-value, raised for having tested all variants together.
        p_value_holm: f64,
    },
    /// By whether the 95 % intervals overlap, which is cautious.
    Intervals,
    /// Not at all: a number that somebody declared has no interval.
    Declared,
}

/// What became of a variant's accuracy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AccuracyVerdict {
    /// Significantly lower.
    Lower,
    /// Significantly higher.
    Higher,
    /// Nothing that chance does not explain.
    Alike,
    /// Declared, not counted.
    NotJudged,
}

impl PointKey {
    fn of(point: &Point) -> Self {
        let Point { variant, batch, cores, device, co_runners, .. } = point;
        Self { variant: variant.clone(), batch: *batch, cores: *cores, device: device.clone(), co_runners: *co_runners }
    }
}

impl Display for PointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} batch {} cores {}", self.variant, self.batch, self.cores)?;
        if self.device != "cpu" {
            write!(f, " on {}", self.device)?;
        }
        if self.co_runners > 0 {
            write!(f, ", {} co-runners", self.co_runners)?;
        }
        Ok(())
    }
}

impl Comparison {
    /// Returns the slower point whose median grew most; one on a quiet host where there is any.
    #[must_use]
    pub fn worst(&self) -> Option<&PointChange> {
        let slower = self.points.iter().filter(|point| point.verdict == Verdict::Slower);
        slower.max_by(|a, b| b.contended.cmp(&a.contended).then(a.p50_ratio.value.total_cmp(&b.p50_ratio.value)))
    }
}

/// Compares two profiles of one task.
///
/// # Errors
/// Findings where they are of different tasks, or have no point in common.
pub fn compare(before: Side<'_>, after: Side<'_>, bounds: Bounds) -> Result<Comparison, Findings> {
    does_one_task(before.profile, after.profile)?;
    let pairs = pairs(before.profile, after.profile)?;
    let points = point_changes(&pairs, Starts::of(&[before.profile, after.profile]), bounds.threshold);
    let variants = variant_changes(before, after);
    let counts = counts(&points);
    let slower = counts.slower - if bounds.strict { 0 } else { counts.slower_contended };
    let less_accurate = variants.iter().any(|variant| variant.verdict == AccuracyVerdict::Lower);
    Ok(Comparison {
        regression: slower > 0 || less_accurate,
        threshold: bounds.threshold,
        counts,
        findings: findings(before, after, &points),
        points,
        variants,
        only_before: missing(before.profile, after.profile),
        only_after: missing(after.profile, before.profile),
    })
}

fn does_one_task(before: &Profile, after: &Profile) -> Result<(), Finding> {
    if before.task == after.task {
        return Ok(());
    }
    let cause = format!("`{}` and `{}` are different tasks", before.task, after.task);
    Err(Finding::error(Code::Inconsistent, "task", cause, "compare profiles of one task"))
}

/// Returns the points of both profiles, in the order of the first.
fn pairs<'a>(before: &'a Profile, after: &'a Profile) -> Result<Vec<(&'a Point, &'a Point)>, Finding> {
    let there: BTreeMap<_, _> = after.points.iter().map(|point| (PointKey::of(point), point)).collect();
    let pairs: Vec<_> =
        before.points.iter().filter_map(|point| Some((point, *there.get(&PointKey::of(point))?))).collect();
    if pairs.is_empty() {
        let cause = "no variant, batch, cores, device and co-runners are in both profiles";
        let action = "measure both with the same model list, `--batches`, `--cores` and `--co-runners`";
        return Err(Finding::error(Code::Empty, "points", cause, action));
    }
    Ok(pairs)
}

fn missing(here: &Profile, there: &Profile) -> Vec<PointKey> {
    let known: Vec<PointKey> = there.points.iter().map(PointKey::of).collect();
    here.points.iter().map(PointKey::of).filter(|key| !known.contains(key)).collect()
}

/// Returns the calls of a point; an imported one has only percentiles.
fn calls(point: &Point) -> Option<&Histogram> {
    point.histogram.as_ref().filter(|_| point.conditions.stopped != Stopped::Imported)
}

/// What the calls of a point tell, and what its starts.
type Tests = (Option<Effect>, Option<StartsApart>);

fn point_changes(pairs: &[(&Point, &Point)], starts: Option<Starts>, threshold: Share) -> Vec<PointChange> {
    let tests: Vec<Tests> = pairs
        .iter()
        .map(|(before, after)| {
            let of_calls = || effect(calls(before)?, calls(after)?);
            (of_calls(), starts.and_then(|starts| starts.apart(before, after)))
        })
        .collect();
    let larger =
        |(calls, starts): &Tests| calls.map(|calls| calls.p_value.max(starts.map_or(0.0, |starts| starts.p_value)));
    let mut raised = holm(&tests.iter().filter_map(larger).collect::<Vec<f64>>()).into_iter();
    let change = |(&(before, after), (effect, apart)): (&(&Point, &Point), Tests)| {
        let p_value_holm = effect.and_then(|_| raised.next());
        let p50_ratio =
            Ratio::of(before.latency.p50, after.latency.p50).at_least(apart.map_or(0.0, |apart| apart.half));
        PointChange {
            key: PointKey::of(before),
            p50_before_ms: before.latency.p50.value_ms.get(),
            p50_after_ms: after.latency.p50.value_ms.get(),
            p50_ratio,
            p99_ratio: Ratio::of(before.latency.p99, after.latency.p99),
            effect,
            starts_p_value: apart.map(|apart| apart.p_value),
            p_value_holm,
            contended: before.conditions.contended || after.conditions.contended,
            verdict: verdict(effect.zip(p_value_holm), p50_ratio.value, threshold.get()),
        }
    };
    pairs.iter().zip(tests).map(change).collect()
}

/// Swapping the profiles swaps slower and faster, so the threshold divides on the way down.
fn verdict(judged: Option<(Effect, f64)>, ratio: f64, threshold: f64) -> Verdict {
    match judged {
        None => Verdict::NotJudged,
        Some((_, p_value)) if p_value > FALSE_ALARMS => Verdict::Alike,
        Some((effect, _)) if effect.slower_probability > 0.5 && ratio > 1.0 + threshold => Verdict::Slower,
        Some((effect, _)) if effect.slower_probability < 0.5 && ratio < 1.0 / (1.0 + threshold) => Verdict::Faster,
        Some(_) => Verdict::Alike,
    }
}

fn counts(points: &[PointChange]) -> Counts {
    let count = |verdict| points.iter().filter(|point| point.verdict == verdict).count();
    let contended = points.iter().filter(|point| point.verdict == Verdict::Slower && point.contended);
    Counts {
        points: points.len(),
        slower: count(Verdict::Slower),
        slower_contended: contended.count(),
        faster: count(Verdict::Faster),
        alike: count(Verdict::Alike),
        not_judged: count(Verdict::NotJudged),
    }
}

fn variant_changes(before: Side<'_>, after: Side<'_>) -> Vec<VariantChange> {
    let pairs: Vec<(&Variant, &Variant)> = before
        .profile
        .variants
        .iter()
        .filter_map(|variant| Some((variant, after.profile.variant(&variant.name)?)))
        .collect();
    let mut tests: Vec<AccuracyTest> = pairs.iter().map(|(old, new)| accuracy_test(old, new, before, after)).collect();
    raise_p_values(&mut tests);
    pairs.iter().zip(tests).map(|((old, new), test)| variant_change(old, new, test)).collect()
}

/// Returns how two accuracies can be compared; the p-value is that of the variant alone.
fn accuracy_test(old: &Variant, new: &Variant, before: Side<'_>, after: Side<'_>) -> AccuracyTest {
    if let Some((lost, won)) = changed_answers(&old.name, before.answers, after.answers) {
        return AccuracyTest::Paired { lost, won, p_value_holm: mcnemar(lost, won) };
    }
    let counted = old.accuracy.samples > 0 && new.accuracy.samples > 0;
    if counted { AccuracyTest::Intervals } else { AccuracyTest::Declared }
}

/// Returns how many samples are wrong now and were right, and right now and were wrong; `None` where the samples differ.
fn changed_answers(variant: &str, before: Option<&Answers>, after: Option<&Answers>) -> Option<(u64, u64)> {
    let (before, after) = (before?, after?);
    if before.labels != after.labels {
        return None;
    }
    let (mut lost, mut won) = (0, 0);
    for ((old, new), label) in before.of(variant)?.iter().zip(after.of(variant)?).zip(&before.labels) {
        match (old.is_right(*label), new.is_right(*label)) {
            (true, false) => lost += 1,
            (false, true) => won += 1,
            _ => {}
        }
    }
    Some((lost, won))
}

fn raise_p_values(tests: &mut [AccuracyTest]) {
    let mut p_values: Vec<&mut f64> = tests
        .iter_mut()
        .filter_map(|test| match test {
            AccuracyTest::Paired { p_value_holm, .. } => Some(p_value_holm),
            AccuracyTest::Intervals | AccuracyTest::Declared => None,
        })
        .collect();
    let raised = holm(&p_values.iter().map(|p_value| **p_value).collect::<Vec<_>>());
    for (p_value, raised) in p_values.iter_mut().zip(raised) {
        **p_value = raised;
    }
}

fn variant_change(old: &Variant, new: &Variant, test: AccuracyTest) -> VariantChange {
    let ratio = |old: f64, new: f64| (old > 0.0).then_some(new / old);
    let (was, is) = (&old.accuracy, &new.accuracy);
    let (lower, higher) = match test {
        AccuracyTest::Paired { lost, won, p_value_holm } => {
            let certain = p_value_holm <= FALSE_ALARMS;
            (certain && lost > won, certain && won > lost)
        }
        AccuracyTest::Intervals => (is.high < was.low, is.low > was.high),
        AccuracyTest::Declared => (false, false),
    };
    VariantChange {
        variant: old.name.clone(),
        accuracy_before: was.value,
        accuracy_after: is.value,
        judged_by: test,
        verdict: match (test, lower, higher) {
            (AccuracyTest::Declared, ..) => AccuracyVerdict::NotJudged,
            (_, true, _) => AccuracyVerdict::Lower,
            (_, _, true) => AccuracyVerdict::Higher,
            _ => AccuracyVerdict::Alike,
        },
        load_time_ratio: ratio(old.load_time_ms.get(), new.load_time_ms.get()),
        memory_ratio: ratio(old.memory_mb.get(), new.memory_mb.get()),
    }
}

fn findings(before: Side<'_>, after: Side<'_>, points: &[PointChange]) -> Vec<Finding> {
    let mut findings = other_hosts(&before.profile.host, &after.profile.host);
    findings.extend(other_models(before.profile, after.profile));
    findings.extend(other_samples(before, after));
    findings.extend(disturbed(points));
    findings.extend(without_calls(points));
    findings
}

fn warning(key: impl Into<String>, cause: String, action: &str) -> Finding {
    Finding::error(Code::Incomparable, key, cause, action).with_severity(Severity::Warning)
}

/// A difference of latencies may be one of the machines.
fn other_hosts(before: &Host, after: &Host) -> Vec<Finding> {
    let text = |host: &Host| {
        let told = |value: Option<String>| value.unwrap_or_else(|| "not told".to_owned());
        [
            ("cpu", host.cpu.clone()),
            ("cpu_flags", host.cpu_flags.join(" ")),
            ("cores_visible", host.cores_visible.to_string()),
            ("cores_allowed", host.cores_allowed.to_string()),
            ("threads_per_core", told(host.threads_per_core.map(|threads| threads.to_string()))),
            ("governor", told(host.governor.clone())),
            ("kernel", host.kernel.clone()),
            ("libraries", host.libraries.join(", ")),
            ("thread_variables", host.thread_variables.join(", ")),
        ]
    };
    let pairs = text(before).into_iter().zip(text(after));
    pairs
        .filter(|((_, old), (_, new))| old != new)
        .map(|((key, old), (_, new))| {
            let cause = format!("`{old}` before, `{new}` after");
            warning(format!("host.{key}"), cause, "latencies may differ for that alone; measure both alike")
        })
        .collect()
}

/// Another engine or model may be what the comparison is about, so that is a note.
fn other_models(before: &Profile, after: &Profile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for old in &before.variants {
        let Some(new) = after.variant(&old.name) else { continue };
        if old.engine != new.engine {
            let cause = format!("{}: `{}` before, `{}` after", old.name, old.engine, new.engine);
            findings.push(warning("variants.engine", cause, "").with_severity(Severity::Note));
        }
        if old.sha256 != new.sha256 {
            let cause = format!("{}: another model file under the same name", old.name);
            findings.push(warning("variants.sha256", cause, "").with_severity(Severity::Note));
        }
    }
    findings
}

fn other_samples(before: Side<'_>, after: Side<'_>) -> Option<Finding> {
    let (old, new) = (before.answers?, after.answers?);
    (old.labels != new.labels).then(|| {
        let cause = "the profiles were measured on other labelled samples".to_owned();
        warning("answers", cause, "accuracies are compared by their intervals, which sees large differences only")
    })
}

fn disturbed(points: &[PointChange]) -> Option<Finding> {
    let contended = points.iter().filter(|point| point.contended).count();
    (contended > 0).then(|| {
        let cause = format!("{contended} of {} points were measured on a disturbed host", points.len());
        let action = "they count as no regression without --strict; measure again with `--resume --retry-contended`";
        Finding::error(Code::Contended, "points", cause, action).with_severity(Severity::Warning)
    })
}

fn without_calls(points: &[PointChange]) -> Option<Finding> {
    let silent = points.iter().filter(|point| point.verdict == Verdict::NotJudged).count();
    (silent > 0).then(|| {
        let cause = format!("{silent} of {} points hold no calls in one of the profiles", points.len());
        let action = "their ratios are shown, but nobody can tell them from chance; imported points have none";
        warning("points.histogram", cause, action)
    })
}
