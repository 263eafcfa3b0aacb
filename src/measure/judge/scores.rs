//! Scores of classes: the best one, and how certain it is.

use crate::profile::{CertaintyMeasure, SampleAnswer};

/// How far the sum of probabilities may be from 1: 16-bit floats of a thousand classes are off by less.
const SUM_MAY_BE_OFF: f64 = 1e-3;

/// Returns the best class and how certain it is, by the probabilities that scores are, or that a softmax makes of them.
///
/// The lower class number wins a tie. Scores are finite.
pub fn class_of(scores: &[f32], measure: CertaintyMeasure) -> SampleAnswer {
    let mut best = 0;
    for (class, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = class;
        }
    }
    let weights: Vec<f64> = if are_probabilities(scores) {
        scores.iter().map(|&score| f64::from(score) / f64::from(scores[best])).collect()
    } else {
        scores.iter().map(|&score| f64::from(score - scores[best]).exp()).collect()
    };
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
    SampleAnswer::new(best as u32, certainty as f32)
}

/// Tells whether a row is probabilities already: a second softmax would level them out.
fn are_probabilities(scores: &[f32]) -> bool {
    let sum: f64 = scores.iter().map(|&score| f64::from(score)).sum();
    scores.iter().all(|score| *score >= 0.0) && (sum - 1.0).abs() <= SUM_MAY_BE_OFF
}

/// Returns how many classes score better than this one; of equal ones the lower numbers do.
pub fn rank_of(scores: &[f32], class: usize) -> usize {
    let own = scores[class];
    scores.iter().enumerate().filter(|&(other, &score)| score > own || (score == own && other < class)).count()
}

/// Returns how far a score is from the threshold, scaled to 0..1. Where the threshold is a probability, scores are, and nothing is
/// returned for another; where it is not, scores are logits and are as far apart as a sigmoid makes them.
pub fn distance(score: f64, threshold: f64) -> Option<f64> {
    if threshold <= 0.0 || threshold >= 1.0 {
        return Some(((score - threshold).abs() / 2.0).tanh());
    }
    let most = if score >= threshold { 1.0 - threshold } else { threshold };
    (0.0..=1.0).contains(&score).then(|| (score - threshold).abs() / most)
}
