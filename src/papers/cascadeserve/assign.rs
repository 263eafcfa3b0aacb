//! SP2: one cascade for every range of loads, downgraded where an error names the range.

use super::place::Stuck;
use super::search::work_ms;
use super::{RingInstance, RingSettings};
use crate::rooms::exits::Cascade;

/// Cascades from the most accurate to the cheapest, and which of them every range has.
pub(super) struct Assigned<'a> {
    cascades: &'a [Cascade],
    chosen: Vec<usize>,
    rates: Vec<f64>,
    weights: Vec<f64>,
}

/// Returns the shares of time that the planner assumes of ranges, from the lowest load up.
pub(super) fn weights(ranges: usize, zipf: f64) -> Vec<f64> {
    let terms: Vec<f64> = (1..=ranges).map(|rank| (rank as f64).powf(-zipf)).collect();
    let sum: f64 = terms.iter().sum();
    terms.into_iter().map(|term| term / sum).collect()
}

impl<'a> Assigned<'a> {
    /// Gives every range the most accurate cascade; `None` where there is none.
    pub fn new(instance: &RingInstance<'_>, cascades: &'a [Cascade], settings: &RingSettings) -> Option<Self> {
        let count = settings.ranges.max(1);
        let rate = |range: usize| instance.max_rps * (range + 1) as f64 / count as f64;
        (!cascades.is_empty()).then(|| Self {
            cascades,
            chosen: vec![0; count],
            rates: (0..count).map(rate).collect(),
            weights: weights(count, settings.zipf),
        })
    }

    pub fn ranges(&self) -> usize {
        self.chosen.len()
    }

    pub fn cascade(&self, range: usize) -> &'a Cascade {
        &self.cascades[self.chosen[range]]
    }

    /// Returns the highest rate of a range.
    pub fn rate(&self, range: usize) -> f64 {
        self.rates[range]
    }

    /// Downgrades ranges that ask for more time than all devices have, before anybody tries to place them.
    pub fn fit_the_devices(&mut self, instance: &RingInstance<'_>, settings: &RingSettings) -> Option<()> {
        for range in 0..self.ranges() {
            let asks = |cascade: &Cascade| self.rates[range] / 1e3 * work_ms(instance, cascade, settings.load_batch);
            let fits = |&at: &usize| asks(&self.cascades[at]) <= instance.devices as f64;
            self.chosen[range] = (self.chosen[range]..self.cascades.len()).find(fits)?;
        }
        Some(())
    }

    /// Answers an error: the named range gets the next cheaper cascade; where none is named, the range for which that costs
    /// least accuracy under the assumed law of loads. `None` where nothing is cheaper.
    pub fn give_way(&mut self, stuck: Stuck) -> Option<()> {
        let can = |&range: &usize| self.chosen[range] + 1 < self.cascades.len();
        let loss = |range: usize| {
            let at = self.chosen[range];
            self.weights[range] * (self.cascades[at].accuracy - self.cascades[at + 1].accuracy)
        };
        let range = match stuck {
            Stuck::Range(range) => Some(range).filter(can),
            Stuck::Memory => (0..self.ranges()).filter(can).min_by(|&a, &b| loss(a).total_cmp(&loss(b))),
        }?;
        self.chosen[range] += 1;
        Some(())
    }
}
