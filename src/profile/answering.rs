//! What a variant answers: every labelled sample once, judged by its scores.

use super::engine::{Engine, Run, bad_model};
use super::host::pin;
use super::measure::{Attendant, Settings};
use super::models::Family;
use super::sample::wilson;
use super::{AccuracyFact, Answer, CertaintyMeasure, Trust, Variant};
use crate::error::Error;
use crate::units::Accuracy;

/// Samples in one call while answering.
const ANSWER_BATCH: usize = 50;

/// Loads a variant and lets it answer every sample.
pub fn answer(
    family: &Family,
    engine: &dyn Engine,
    settings: &Settings,
    index: usize,
    attendant: &mut dyn Attendant,
) -> Result<(Variant, Vec<Answer>), Error> {
    let entry = &family.list.variants[index];
    let file = family.folder.join(&entry.file);
    let cores = settings.cores.first().copied().unwrap_or(1);
    let cost = attendant.footprint(engine, family, index, cores)?;

    let _pinned = pin(cores)?;
    let mut session = engine.open(&file, entry.output.as_deref(), cores)?;
    let samples = family.samples.labels.len();
    let mut answers = Vec::with_capacity(samples);
    for start in (0..samples).step_by(ANSWER_BATCH) {
        let batch = family.samples.batch(start..(start + ANSWER_BATCH).min(samples));
        let numbers = start..start + batch.samples();
        let judged = judge_all(&session.run(&batch)?, numbers, settings.certainty);
        answers.extend(judged.map_err(|cause| bad_model(engine.name(), &file, cause))?);
    }
    let right = answers.iter().zip(&family.samples.labels).filter(|(a, label)| a.predicted == **label).count();
    let (low, high) = wilson(right as u64, samples as u64);
    let variant = Variant {
        name: entry.name.clone(),
        file: entry.file.clone(),
        sha256: family.model_sha256[index].clone(),
        engine: format!("{} {}", engine.name(), engine.version()),
        accuracy: AccuracyFact {
            value: Accuracy::saturating(right as f64 / samples as f64),
            low,
            high,
            samples: samples as u64,
            trust: Trust::Measured,
        },
        load_time_ms: cost.load_time_ms,
        memory_mb: cost.memory_mb,
    };
    Ok((variant, answers))
}

/// Returns the answers of one call to the samples of these numbers, or why its scores are none.
pub(crate) fn judge_all(
    run: &Run,
    samples: impl ExactSizeIterator<Item = usize>,
    measure: CertaintyMeasure,
) -> Result<Vec<Answer>, String> {
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
fn judge(scores: &[f32], measure: CertaintyMeasure) -> Option<Answer> {
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
    Some(Answer { predicted: best as u32, certainty: certainty as f32 })
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
