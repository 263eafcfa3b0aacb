//! Cascades of one and two models with thresholds at parts of the first one's certainties.

use super::{Cascade, Member};
use crate::error::Error;
use crate::facts::Facts;
use crate::rooms::variant_set::not_measured;

/// Thresholds for each pair.
const THRESHOLDS: usize = 63;

/// Returns every model alone and every ordered pair at each threshold.
pub(super) fn cascades(facts: &Facts, names: &[String]) -> Result<Vec<Cascade>, Error> {
    let mut answers = Vec::new();
    for name in names {
        let of = facts.answers(name).ok_or_else(|| not_measured(name, "answers"))?;
        let list = of.of(name).unwrap_or_default();
        answers.push(
            list.iter().zip(&of.labels).map(|(a, label)| (a.certainty, a.predicted == *label)).collect::<Vec<_>>(),
        );
    }
    let samples = answers.first().map_or(0, Vec::len) as f64;
    let right = |list: &Vec<(f32, bool)>| list.iter().filter(|(_, right)| *right).count() as f64 / samples;
    let mut all: Vec<Cascade> = answers
        .iter()
        .enumerate()
        .map(|(model, list)| Cascade {
            members: vec![Member { model, exit_at: None }],
            accuracy: right(list),
            reach: vec![1.0],
        })
        .collect();
    for (first, list) in answers.iter().enumerate() {
        let mut sorted: Vec<f32> = list.iter().map(|(certainty, _)| *certainty).collect();
        sorted.sort_by(f32::total_cmp);
        let mut thresholds: Vec<f32> = (1..=THRESHOLDS).map(|k| sorted[k * sorted.len() / (THRESHOLDS + 1)]).collect();
        thresholds.dedup();
        for (second, others) in answers.iter().enumerate().filter(|(second, _)| *second != first) {
            for &least in &thresholds {
                let on = list.iter().filter(|(certainty, _)| *certainty < least).count() as f64 / samples;
                let is_right = |(own, other): (&(f32, bool), &(f32, bool))| if own.0 < least { other.1 } else { own.1 };
                let accuracy = list.iter().zip(others).filter(|pair| is_right(*pair)).count() as f64 / samples;
                let members = vec![
                    Member { model: first, exit_at: Some(f64::from(least)) },
                    Member { model: second, exit_at: None },
                ];
                all.push(Cascade { members, accuracy, reach: vec![1.0, on] });
            }
        }
    }
    Ok(all)
}
