//! What variants answer: every sample once, judged by the scores, and what bringing each up costs. Where answers are no
//! classes, like a detector's map, the model list says how often they were right elsewhere.

use std::path::Path;

use super::lab::{Answered, Half, Lab};
use crate::base::codec;
use crate::base::error::Error;
use crate::base::finding::Findings;
use crate::base::units::Accuracy;
use crate::measure::engines::{Run, full_name};
use crate::measure::grid::{cause_of, of_variant, same_model};
use crate::measure::{Attendant, Earlier, MeasureEvent, MeasureSettings};
use crate::profile::{
    AccuracyFact, Answers, AnswersFile, CertaintyMeasure, Failure, PartOf, Profile, SampleAnswer, Trust, Variant,
};
use crate::profile::{CountedAccuracy, Family};
use crate::stats::sample::wilson;

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

/// Lets every variant answer, as far as that was not done earlier, and puts it into the profile.
pub(crate) fn answer_all(
    family: &Family,
    lab: &dyn Lab,
    settings: &MeasureSettings,
    earlier: Option<&Earlier>,
    profile: &mut Profile,
    attendant: &mut dyn Attendant,
) -> Result<Halves, Error> {
    let mut halves = truth(family, lab, settings, earlier)?;
    let mut errors = Vec::new();
    for (index, entry) in family.list.variants.iter().enumerate() {
        let known = earlier.and_then(|earlier| known_variant(earlier, family, index));
        let outcome = match known {
            Some(known) => Ok(known),
            None => answer(family, lab, settings, &halves, index),
        };
        match outcome {
            Ok((variant, answered)) => {
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
    profile.answers = family.list.data.judge().then(|| file(&settings.context.answers, &halves.test));
    profile.calibration = halves.calibration.as_ref().map(|answers| file(&settings.context.calibration, answers));
    Ok(halves)
}

/// Returns the labels of both halves: the given ones, or what the reference answers.
fn truth(
    family: &Family,
    lab: &dyn Lab,
    settings: &MeasureSettings,
    earlier: Option<&Earlier>,
) -> Result<Halves, Error> {
    let labels = |half, given: &[u32]| -> Result<Answers, Error> {
        let labels = match (&family.list.data.reference, earlier) {
            (None, _) => given.to_vec(),
            (Some(_), Some(earlier)) => match half {
                Half::Test => earlier.answers.test.labels.clone(),
                Half::Calibration => {
                    earlier.answers.calibration.as_ref().map(|answers| answers.labels.clone()).unwrap_or_default()
                }
            },
            (Some(name), None) => {
                let index = family.list.variants.iter().position(|entry| entry.name == *name).unwrap_or(0);
                let answered = lab.answers(index, first_cores(settings), half, settings.certainty)?;
                answered.answers.iter().map(|answer| answer.predicted).collect()
            }
        };
        Ok(Answers { labels, variants: Vec::new() })
    };
    let calibration = family.calibration.as_ref().map(|samples| labels(Half::Calibration, &samples.labels));
    Ok(Halves { test: labels(Half::Test, &family.samples.labels)?, calibration: calibration.transpose()? })
}

/// Loads a variant and judges it; returns its answers to each half.
fn answer(
    family: &Family,
    lab: &dyn Lab,
    settings: &MeasureSettings,
    truth: &Halves,
    index: usize,
) -> Result<(Variant, Vec<Vec<SampleAnswer>>), Error> {
    let entry = &family.list.variants[index];
    let cost = lab.footprint(index, first_cores(settings), &settings.batches)?;
    let Judgement { accuracy, part_of, halves } = match &entry.accuracy {
        Some(counted) => counted_elsewhere(counted),
        None => judgement(family, lab, settings, truth, index)?,
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
    Ok((variant, halves))
}

/// What a variant's answers are worth.
struct Judgement {
    accuracy: AccuracyFact,
    part_of: Option<PartOf>,
    /// Answers to each half; none where nothing here judges them.
    halves: Vec<Vec<SampleAnswer>>,
}

/// Takes over what was counted elsewhere: answers that are no classes cannot be judged here.
fn counted_elsewhere(counted: &CountedAccuracy) -> Judgement {
    let source = Some(counted.source.clone());
    let accuracy = AccuracyFact { source, ..share_right(counted.right, counted.of, Trust::Imported) };
    Judgement { accuracy, part_of: None, halves: Vec::new() }
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
    let Answered { answers, passes_bytes, receives_bytes } = half(Half::Test)?;
    let right = answers.iter().zip(&truth.test.labels).filter(|(answer, label)| answer.predicted == **label).count();
    let agrees_with = family.list.data.reference.clone();
    let accuracy = AccuracyFact { agrees_with, ..share_right(right as u64, answers.len() as u64, Trust::Measured) };
    let part_of = family.list.variants[index].part.as_ref().map(|part| PartOf {
        network: part.network.clone(),
        exit: part.exit,
        runs: part.runs,
        receives_bytes,
        passes_bytes,
    });
    let mut halves = vec![answers];
    if truth.calibration.is_some() {
        halves.push(half(Half::Calibration)?.answers);
    }
    Ok(Judgement { accuracy, part_of, halves })
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

fn known_variant(earlier: &Earlier, family: &Family, index: usize) -> Option<(Variant, Vec<Vec<SampleAnswer>>)> {
    let name = &family.list.variants[index].name;
    let variant = earlier.profile.variant(name).filter(|_| same_model(Some(earlier), family, name))?;
    if let Some(counted) = &family.list.variants[index].accuracy {
        // The list may have been counted anew since.
        return Some((Variant { accuracy: counted_elsewhere(counted).accuracy, ..variant.clone() }, Vec::new()));
    }
    let mut halves = vec![earlier.answers.test.of(name)?.to_vec()];
    if family.calibration.is_some() {
        halves.push(earlier.answers.calibration.as_ref()?.of(name)?.to_vec());
    }
    Some((variant.clone(), halves))
}

fn answers_file(file: &Path, certainty: CertaintyMeasure, answers: &Answers) -> AnswersFile {
    let sha256 = codec::sha256(&answers.to_csv_gz());
    AnswersFile { file: file.to_owned(), sha256, samples: answers.samples() as u64, certainty }
}

/// Returns the answers of one call to the samples of these numbers, or why its scores are none.
pub(crate) fn judge_all(
    run: &Run,
    samples: impl ExactSizeIterator<Item = usize>,
    measure: CertaintyMeasure,
) -> Result<Vec<SampleAnswer>, String> {
    if run.classes < 2 || run.scores.len() != run.classes * samples.len() {
        return Err(format!("{} scores for {} samples are no classes", run.scores.len(), samples.len()));
    }
    let answer = |(sample, scores): (usize, &[f32])| {
        judge(scores, measure).ok_or_else(|| format!("the scores of sample {sample} are not finite: {scores:?}"))
    };
    samples.zip(run.scores.chunks_exact(run.classes)).map(answer).collect()
}

/// Returns the best class and how certain it is, by the probabilities that a softmax makes of the scores; nothing where a
/// score is not finite.
///
/// The lower class number wins a tie.
fn judge(scores: &[f32], measure: CertaintyMeasure) -> Option<SampleAnswer> {
    if scores.iter().any(|score| !score.is_finite()) {
        return None;
    }
    let mut best = 0;
    for (class, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = class;
        }
    }
    let weights: Vec<f64> = scores.iter().map(|&score| f64::from(score - scores[best]).exp()).collect();
    let total: f64 = weights.iter().sum();
    let certainty = match measure {
        CertaintyMeasure::TopOneMinusTopTwo => {
            let others = weights.iter().enumerate().filter(|(class, _)| *class != best);
            (1.0 - others.map(|(_, &weight)| weight).fold(0.0, f64::max)) / total
        }
        CertaintyMeasure::MaxProbability => 1.0 / total,
        CertaintyMeasure::Entropy => {
            let chances = weights.iter().map(|weight| weight / total).filter(|chance| *chance > 0.0);
            let entropy: f64 = chances.map(|chance| -chance * chance.ln()).sum();
            (1.0 - entropy / (scores.len() as f64).ln()).clamp(0.0, 1.0)
        }
    };
    Some(SampleAnswer { predicted: best as u32, certainty: certainty as f32 })
}

#[cfg(test)]
mod tests {
    use super::{CertaintyMeasure, judge};

    #[test]
    fn judges_by_softmax_and_refuses_nonsense() {
        // Probabilities 1/5, 3/5, 1/5.
        let scores = [0.0, 3.0_f32.ln(), 0.0];
        let entropy = -(0.6 * 0.6_f64.ln() + 0.4 * 0.2_f64.ln());
        let measures = [
            (CertaintyMeasure::TopOneMinusTopTwo, 0.4),
            (CertaintyMeasure::MaxProbability, 0.6),
            (CertaintyMeasure::Entropy, 1.0 - entropy / 3f64.ln()),
        ];
        for (measure, wanted) in measures {
            let answer = judge(&scores, measure).expect("finite");
            assert_eq!(answer.predicted, 1);
            assert!((f64::from(answer.certainty) - wanted).abs() < 1e-6, "{measure:?}: {}", answer.certainty);
            let even = judge(&[2.0, 2.0], measure).expect("finite");
            assert_eq!(even.predicted, 0, "the lower class wins a tie");
            assert!(judge(&[1.0, f32::NAN], measure).is_none() && judge(&[f32::INFINITY, 0.0], measure).is_none());
        }
    }
}
