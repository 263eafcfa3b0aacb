//! What variants answer: every sample once, judged by the scores, and what bringing each up costs. Where answers are no
//! classes, like a detector's map, the model list says how often they were right elsewhere.

use std::path::Path;

use super::lab::{Answered, Half, Lab, Surveyed};
use crate::base::codec;
use crate::base::error::Error;
use crate::base::finding::{Code, Finding, Findings, Severity};
use crate::base::units::Accuracy;
use crate::measure::engines::full_name;
use crate::measure::grid::{cause_of, of_variant, same_model};
use crate::measure::judge::class_labels;
use crate::measure::{Attendant, Earlier, MeasureEvent, MeasureSettings};
use crate::profile::{
    AccuracyFact, Answers, AnswersFile, CertaintyMeasure, Failure, PartOf, Profile, SampleAnswer, Trust, Variant,
};
use crate::profile::{CountedAccuracy, Family};
use crate::stats::sample::{wilson, wilson_mean};
use crate::tensor::Samples;

/// Answers to the samples that accuracy is stated on, and to those that thresholds are chosen on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Halves {
    /// Accuracy is stated on these.
    pub test: Answers,
    /// Thresholds are chosen on these, where they are kept apart.
    pub calibration: Option<Answers>,
}

impl Halves {
    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Answers> {
        std::iter::once(&mut self.test).chain(&mut self.calibration)
    }
}

/// Lets every variant answer, as far as that was not done earlier, and puts it into the profile. Returns the answers, and for
/// each entry of the list the batch that it takes, where that is fixed.
pub(crate) fn answer_all(
    family: &Family,
    lab: &dyn Lab,
    settings: &MeasureSettings,
    earlier: Option<&Earlier>,
    profile: &mut Profile,
    attendant: &mut dyn Attendant,
) -> Result<(Halves, Vec<Option<u32>>), Error> {
    let mut halves = truth(family, lab, settings, earlier)?;
    let (mut errors, mut fixed) = (Vec::new(), Vec::new());
    for (index, entry) in family.list.variants.iter().enumerate() {
        let known = earlier.and_then(|earlier| known_variant(earlier, family, index));
        let surveyed = lab.survey(index);
        fixed.push(surveyed.as_ref().ok().and_then(|surveyed| surveyed.fixed_batch));
        let outcome = surveyed.and_then(|surveyed| {
            for note in notes_of(&entry.name, &surveyed, &settings.batches) {
                attendant.tell(MeasureEvent::Noted(&note));
            }
            known.map_or_else(|| answer(family, lab, settings, &halves, (index, &surveyed)), Ok)
        });
        match outcome {
            Ok(Judged { variant, halves: answered, notes }) => {
                for note in &notes {
                    attendant.tell(MeasureEvent::Noted(note));
                }
                attendant.tell(MeasureEvent::Answered(&variant));
                profile.variants.push(variant);
                for (answers, of_half) in halves.iter_mut().zip(answered) {
                    answers.variants.push((entry.name.clone(), of_half));
                }
            }
            Err(error) => {
                let failure = Failure { variant: entry.name.clone(), point: None, cause: cause_of(&error) };
                errors.push(of_variant(error)?);
                attendant.tell(MeasureEvent::Failed(&failure));
                profile.failures.push(failure);
            }
        }
    }
    if profile.variants.is_empty() {
        return Err(all_of(errors));
    }
    let file = |file: &Path, answers: &Answers| answers_file(file, settings.certainty, answers);
    profile.answers = family.list.is_judged().then(|| file(&settings.context.answers, &halves.test));
    profile.calibration = halves.calibration.as_ref().map(|answers| file(&settings.context.calibration, answers));
    Ok((halves, fixed))
}

/// Returns notes on a variant before it runs.
fn notes_of(name: &str, surveyed: &Surveyed, batches: &[u32]) -> Vec<Finding> {
    let note =
        |cause: String, action: &str| Finding::error(Code::BadModel, "", cause, action).with_severity(Severity::Note);
    let mut notes: Vec<Finding> = surveyed.notes.iter().map(|cause| note(format!("{name}: {cause}"), "")).collect();
    if let Some(fixed) = surveyed.fixed_batch.filter(|fixed| batches != [*fixed]) {
        let others: Vec<String> = batches.iter().filter(|batch| **batch != fixed).map(u32::to_string).collect();
        let cause = format!(
            "{name} takes exactly {fixed} at once: it is measured with batch {fixed} only, not with {}",
            others.join(", ")
        );
        let action = format!("pass --batches {fixed}, or export the model with a batch dimension that is not fixed");
        notes.push(note(cause, &action));
    }
    notes
}

/// A variant that was judged.
struct Judged {
    variant: Variant,
    /// Its answers to each half.
    halves: Vec<Vec<SampleAnswer>>,
    notes: Vec<Finding>,
}

const LABELS: &str = "labels are class numbers from 0; [judge] says what else counts as right";

/// Returns the labels of both halves: the given ones, or what the reference answers.
fn truth(
    family: &Family,
    lab: &dyn Lab,
    settings: &MeasureSettings,
    earlier: Option<&Earlier>,
) -> Result<Halves, Error> {
    let settings_of_judge = family.list.judge_settings();
    let labels = |half, samples: &Samples| -> Result<Answers, Error> {
        let labels = match (family.list.reference(), earlier) {
            _ if !family.list.is_judged() => Vec::new(),
            (None, _) => class_labels(&settings_of_judge, samples)
                .map_err(|cause| Findings::from(Finding::error(Code::BadData, "data.labels", cause, LABELS)))?,
            (Some(_), Some(earlier)) => match half {
                Half::Test => earlier.answers.test.labels.clone(),
                Half::Calibration => {
                    earlier.answers.calibration.as_ref().map(|answers| answers.labels.clone()).unwrap_or_default()
                }
            },
            (Some(name), None) => {
                let index = family.list.variants.iter().position(|entry| entry.name == name).unwrap_or(0);
                let answered = lab.answers(index, first_cores(settings), half, settings.certainty)?;
                answered.answers.iter().map(|answer| answer.predicted).collect()
            }
        };
        Ok(Answers { labels, variants: Vec::new() })
    };
    let calibration = family.calibration.as_ref().map(|samples| labels(Half::Calibration, samples));
    Ok(Halves { test: labels(Half::Test, &family.samples)?, calibration: calibration.transpose()? })
}

/// Loads a variant and judges it; returns its answers to each half.
fn answer(
    family: &Family,
    lab: &dyn Lab,
    settings: &MeasureSettings,
    truth: &Halves,
    (index, surveyed): (usize, &Surveyed),
) -> Result<Judged, Error> {
    let entry = &family.list.variants[index];
    let batches = surveyed.fixed_batch.map_or_else(|| settings.batches.clone(), |batch| vec![batch]);
    let cost = lab.footprint(index, first_cores(settings), &batches)?;
    let Judgement { accuracy, part_of, halves, notes } = match &entry.accuracy {
        Some(counted) => counted_elsewhere(counted),
        None if family.list.is_judged() => judgement(family, lab, settings, truth, index)?,
        None => Judgement::without_answers(AccuracyFact::unknown()),
    };
    let variant = Variant {
        name: entry.name.clone(),
        file: entry.file.clone(),
        sha256: family.model_sha256[index].clone(),
        part_of,
        engine: full_name(lab.engine()),
        accuracy,
        load_time_ms: cost.load_time_ms,
        cold_load_time_ms: cost.cold_load_time_ms,
        memory_mb: cost.memory.loaded_mb,
        memory_of_batches: cost.memory.batches,
    };
    Ok(Judged { variant, halves, notes })
}

/// What a variant's answers are worth.
struct Judgement {
    accuracy: AccuracyFact,
    part_of: Option<PartOf>,
    /// Answers to each half; none where nothing here judges them.
    halves: Vec<Vec<SampleAnswer>>,
    notes: Vec<Finding>,
}

impl Judgement {
    /// Returns an accuracy that does not come from answers.
    const fn without_answers(accuracy: AccuracyFact) -> Self {
        Self { accuracy, part_of: None, halves: Vec::new(), notes: Vec::new() }
    }
}

/// Takes over what was counted elsewhere: answers that are no classes cannot be judged here.
fn counted_elsewhere(counted: &CountedAccuracy) -> Judgement {
    let source = Some(counted.source.clone());
    let accuracy = AccuracyFact { source, ..share_right(counted.right, counted.of, Trust::Imported) };
    Judgement::without_answers(accuracy)
}

/// Lets a variant answer every sample, and counts what is right.
fn judgement(
    family: &Family,
    lab: &dyn Lab,
    settings: &MeasureSettings,
    truth: &Halves,
    index: usize,
) -> Result<Judgement, Error> {
    let half = |half| lab.answers(index, first_cores(settings), half, settings.certainty);
    let Answered { answers, passes_bytes, receives_bytes, classes } = half(Half::Test)?;
    let agrees_with = family.list.reference().map(str::to_owned);
    let accuracy = AccuracyFact { agrees_with, ..mean_score(&answers, &truth.test.labels) };
    let part_of = family.list.variants[index].part.as_ref().map(|part| PartOf {
        network: part.network.clone(),
        exit: part.exit,
        runs: part.runs,
        receives_bytes,
        passes_bytes,
    });
    let name = &family.list.variants[index].name;
    let notes = [beyond_classes(name, &truth.test.labels, classes), below_chance(name, &accuracy, classes)];
    let mut halves = vec![answers];
    if truth.calibration.is_some() {
        halves.push(half(Half::Calibration)?.answers);
    }
    Ok(Judgement { accuracy, part_of, halves, notes: notes.into_iter().flatten().collect() })
}

/// Warns of labels that no class of the model has.
fn beyond_classes(name: &str, labels: &[u32], classes: Option<u64>) -> Option<Finding> {
    let classes = classes?;
    let most = labels.iter().max().copied().filter(|&most| u64::from(most) >= classes)?;
    let count = labels.iter().filter(|label| u64::from(**label) >= classes).count();
    let cause = format!(
        "{name}: labels go up to {most}, and the model has classes 0 to {}: {count} of {} samples cannot be right",
        classes.saturating_sub(1),
        labels.len()
    );
    let action = "are labels counted from 1, or of another set of classes?";
    Some(Finding::error(Code::BadData, "", cause, action).with_severity(Severity::Warning))
}

/// Warns of an accuracy that guessing would reach.
fn below_chance(name: &str, accuracy: &AccuracyFact, classes: Option<u64>) -> Option<Finding> {
    let classes = classes?;
    let chance = 1.0 / classes as f64;
    (accuracy.high.get() < chance).then(|| {
        let AccuracyFact { value, samples, .. } = accuracy;
        let cause = format!(
            "{name}: accuracy {:.4} on {samples} samples is less than guessing among {classes} classes would reach",
            value.get()
        );
        let action = "are labels shifted by one, in another order than the samples, or inputs scaled otherwise than in training?";
        Finding::error(Code::BadData, "", cause, action).with_severity(Severity::Warning)
    })
}

/// Returns the accuracy that answers have: their mean score.
fn mean_score(answers: &[SampleAnswer], labels: &[u32]) -> AccuracyFact {
    let scores = || answers.iter().zip(labels).map(|(answer, label)| answer.score(*label));
    if scores().all(|score| score == 0.0 || score == 1.0) {
        return share_right(scores().sum::<f64>() as u64, answers.len() as u64, Trust::Measured);
    }
    let mean = scores().sum::<f64>() / answers.len() as f64;
    let (low, high) = wilson_mean(mean, answers.len() as u64);
    let fact = share_right(0, answers.len() as u64, Trust::Measured);
    AccuracyFact { value: Accuracy::saturating(mean), low, high, ..fact }
}

/// Returns the accuracy of so many right answers.
fn share_right(right: u64, of: u64, trust: Trust) -> AccuracyFact {
    let (low, high) = wilson(right, of);
    let value = Accuracy::saturating(right as f64 / of as f64);
    AccuracyFact { value, low, high, samples: of, trust, agrees_with: None, source: None }
}

fn first_cores(settings: &MeasureSettings) -> u32 {
    settings.cores.first().copied().unwrap_or(1)
}

/// Returns one error for a measurement in which everything has failed: all findings, or the first other failure.
fn all_of(errors: Vec<Error>) -> Error {
    let mut findings = Findings::default();
    for error in errors {
        match error {
            Error::Input(more) => findings.extend(more),
            other => return other,
        }
    }
    Error::Input(findings)
}

fn known_variant(earlier: &Earlier, family: &Family, index: usize) -> Option<Judged> {
    let name = &family.list.variants[index].name;
    let variant = earlier.profile.variant(name).filter(|_| same_model(Some(earlier), family, name))?;
    if let Some(counted) = &family.list.variants[index].accuracy {
        // The list may have been counted anew since.
        let variant = Variant { accuracy: counted_elsewhere(counted).accuracy, ..variant.clone() };
        return Some(Judged { variant, halves: Vec::new(), notes: Vec::new() });
    }
    if !family.list.is_judged() {
        return Some(Judged { variant: variant.clone(), halves: Vec::new(), notes: Vec::new() });
    }
    let mut halves = vec![earlier.answers.test.of(name)?.to_vec()];
    if family.calibration.is_some() {
        halves.push(earlier.answers.calibration.as_ref()?.of(name)?.to_vec());
    }
    Some(Judged { variant: variant.clone(), halves, notes: Vec::new() })
}

fn answers_file(file: &Path, certainty: CertaintyMeasure, answers: &Answers) -> AnswersFile {
    let sha256 = codec::sha256(&answers.to_csv_gz());
    AnswersFile { file: file.to_owned(), sha256, samples: answers.samples() as u64, certainty }
}
