//! What a variant answers, judged by its scores.

use super::engine::Run;
use super::{Answer, CertaintyMeasure};

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
