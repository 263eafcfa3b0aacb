//! The gear table of a placement: the upper envelope of what its cascades carry and how accurate they are.
//!
//! Given the devices, the best gear at a rate is the most accurate cascade that carries it. Going down from the most accurate
//! one, every cascade that carries more than all before is a step; the steps' rates are the borders of the gears. Nothing
//! is discretised and nothing iterates.

use super::placement::Rated;
use crate::base::rounding::{ROUNDING, SUMS};
use crate::optimize::few;
use crate::optimize::levels::Levels;
use crate::workload::RecordedLoad;

/// What is asked: rates, and the part of all requests that comes at each.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::rooms) struct LoadShares {
    /// Rates in increasing order, the last being the highest that must be carried, each with its part of the requests.
    pub rates: Vec<(f64, f64)>,
}

impl LoadShares {
    /// Returns the recorded load as far as it is carried; what goes beyond the highest rate counts at it.
    pub(in crate::rooms) fn new(recorded: &RecordedLoad, max_rps: f64) -> Self {
        let (mut rates, beyond): (Vec<_>, Vec<_>) =
            recorded.histogram().into_iter().partition(|(rate, _)| *rate < max_rps);
        rates.push((max_rps, beyond.iter().map(|(_, weight)| weight).sum()));
        Self { rates }
    }

    /// Returns the highest rate.
    pub(in crate::rooms) fn max_rps(&self) -> f64 {
        self.rates.last().map_or(0.0, |(rate, _)| *rate)
    }

    /// Returns the part of the requests that comes at rates above the first and up to the second.
    pub(in crate::rooms) fn between(&self, above: f64, up_to: f64) -> f64 {
        let inside = |rate: f64| !carries(above, rate) && carries(up_to, rate);
        self.rates.iter().filter(|(rate, _)| inside(*rate)).map(|(_, weight)| weight).sum()
    }
}

/// Tells whether a capacity carries a rate, but for rounding.
fn carries(capacity: f64, rate: f64) -> bool {
    rate <= capacity * (1.0 + ROUNDING)
}

/// A step of the envelope.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::rooms) struct EnvelopeStep {
    /// Index into the rated cascades.
    pub rated: usize,
    /// The highest rate that it serves.
    pub up_to: f64,
    /// Its accuracy.
    pub accuracy: f64,
}

/// Returns the accuracy over all requests that devices give, from cascades in falling order of accuracy; `None` where they do
/// not carry the highest rate. O(rates + cascades): a cascade that cannot carry the next rate is passed over at once.
pub(in crate::rooms) fn accuracy(
    rated: &[Rated],
    load: &LoadShares,
    at_most: impl Fn(&Rated) -> f64,
    most: impl Fn(&Rated) -> f64,
) -> Option<f64> {
    let (mut rates, mut sum) = (load.rates.iter().peekable(), 0.0);
    for rated in rated {
        let &(next, _) = rates.peek()?;
        if !carries(at_most(rated), *next) {
            continue;
        }
        let capacity = most(rated);
        while let Some((_, weight)) = rates.next_if(|(rate, _)| carries(capacity, *rate)) {
            sum += weight * rated.accuracy;
        }
        if rates.peek().is_none() {
            return Some(sum);
        }
    }
    None
}

/// Returns the steps of the envelope up to the highest rate, the most accurate first.
pub(in crate::rooms) fn steps(rated: &[Rated], load: &LoadShares, most: impl Fn(&Rated) -> f64) -> Vec<EnvelopeStep> {
    let max = load.max_rps();
    let mut steps: Vec<EnvelopeStep> = Vec::new();
    for (index, cascade) in rated.iter().enumerate() {
        let carried = steps.last().map_or(0.0, |step| step.up_to);
        if carries(carried, max) {
            break;
        }
        let capacity = most(cascade).min(max);
        if capacity > carried * (1.0 + ROUNDING) {
            // Of equally accurate ones that which carries more serves alone.
            steps.pop_if(|last| last.accuracy <= cascade.accuracy + SUMS);
            steps.push(EnvelopeStep { rated: index, up_to: capacity, accuracy: cascade.accuracy });
        }
    }
    steps
}

/// Returns the part of the requests that each step serves.
pub(in crate::rooms) fn weights(steps: &[EnvelopeStep], load: &LoadShares) -> Vec<f64> {
    let from = std::iter::once(0.0).chain(steps.iter().map(|step| step.up_to));
    from.zip(steps).map(|(from, step)| load.between(from, step.up_to)).collect()
}

/// Returns the accuracy over all requests of a table of gears.
pub(in crate::rooms) fn accuracy_of(steps: &[EnvelopeStep], load: &LoadShares) -> f64 {
    weights(steps, load).iter().zip(steps).map(|(weight, step)| weight * step.accuracy).sum()
}

/// Keeps at most so many steps with the least loss over requests, and none that serves nobody but the last.
pub(in crate::rooms) fn at_most(steps: &[EnvelopeStep], load: &LoadShares, most: Option<u32>) -> Vec<EnvelopeStep> {
    let mut used = Vec::new();
    for (index, (step, weight)) in steps.iter().zip(weights(steps, load)).enumerate() {
        if weight > 0.0 || index + 1 == steps.len() {
            used.push(*step);
        }
    }
    let Some(most) = most else { return used };
    let values: Vec<Levels> = used.iter().map(|step| step.accuracy.into()).collect();
    if used.len() <= most as usize {
        return used;
    }
    let free = |_: usize, _: usize| Levels::default();
    few::keep(&values, &weights(&used, load), most as usize, free).into_iter().map(|index| used[index]).collect()
}
