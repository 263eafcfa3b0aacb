//! How requests pass a chain of stages with exits, counted sample by sample: never from assumed independence.

use crate::base::units::Accuracy;
use crate::facts::Facts;
use crate::plan::Gear;
use crate::stats::sample::wilson;

/// What the labelled samples do in a gear.
#[derive(Debug, Clone, PartialEq)]
pub struct Passage {
    /// Part of the samples that gets to each stage; the first is 1.
    pub reach: Vec<f64>,
    /// Samples answered rightly; no whole number where lanes of a stage answer differently.
    right: f64,
    samples: u64,
    /// Whether the same sample is always answered by the same variant.
    is_certain: bool,
}

impl Passage {
    /// Returns how the samples pass, or `None` where the stages are no chain, a lane is picked by the state of the queues or
    /// answers were not recorded.
    #[must_use]
    pub fn of(gear: &Gear, facts: &Facts) -> Option<Self> {
        let stages = &gear.stages;
        let first = facts.answers(&stages.first()?.lanes.first()?.variant)?;
        if !gear.is_chain() || first.samples() == 0 {
            return None;
        }
        // Per stage the answers of every lane, with its share.
        let mut lanes = Vec::new();
        for stage in stages {
            let of_lane = |(lane, share): (&crate::plan::Lane, f64)| Some((first.of(&lane.variant)?, share));
            lanes.push(stage.lanes.iter().zip(stage.shares()?).map(of_lane).collect::<Option<Vec<_>>>()?);
        }
        let (mut reach, mut right) = (vec![0.0; stages.len()], 0.0);
        for (sample, label) in first.labels.iter().enumerate() {
            let mut here = 1.0;
            for (index, (stage, lanes)) in stages.iter().zip(&lanes).enumerate() {
                reach[index] += here;
                let mut goes_on = 0.0;
                for &(answers, share) in lanes {
                    let answer = answers[sample];
                    let leaves = stage.exit.is_some_and(|exit| exit.releases(answer.certainty));
                    if leaves || index + 1 == stages.len() {
                        right += here * share * answer.score(*label);
                    } else {
                        goes_on += share;
                    }
                }
                here *= goes_on;
                if here == 0.0 {
                    break;
                }
            }
        }
        let samples = first.samples();
        reach.iter_mut().for_each(|reach| *reach /= samples as f64);
        let is_certain =
            stages.iter().all(|stage| stage.lanes.iter().all(|lane| lane.variant == stage.lanes[0].variant));
        Some(Self { reach, right, samples: samples as u64, is_certain })
    }

    /// Returns the number of samples.
    #[must_use]
    pub const fn samples(&self) -> u64 {
        self.samples
    }

    /// Returns the part of the samples that is answered rightly.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.right / self.samples as f64
    }

    /// Returns its 95 % interval; `None` where the same sample may be answered by different variants.
    #[must_use]
    pub fn interval(&self) -> Option<(Accuracy, Accuracy)> {
        self.is_certain.then(|| wilson(self.right.round() as u64, self.samples))
    }
}
