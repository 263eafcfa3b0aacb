//! Exits by odd rules, counted with bit sets (§5.1): two-sided thresholds, and thresholds by answered class.
//!
//! `Y` are the samples that a member answers rightly, `F` those that go on; 64 samples a machine word. With three members the
//! right answers are `|(Y1 \ F1) ∪ (Y2 ∩ F1 \ F2) ∪ (Y3 ∩ F1 ∩ F2)|`.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use rayon::iter::{IntoParallelRefMutIterator, ParallelIterator};

use super::{Cascade, Member, Records};

/// When a sample leaves at a member.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// Certainty of at least this.
    AtLeast(f64),
    /// Certainty below the first or of at least the second: what is surely wrong need not go on either, where going on is dear.
    Outside(f64, f64),
    /// Certainty of at least the number of the answered class; a class without a number goes on.
    ByClass(Vec<f64>),
    /// Always.
    Always,
}

/// A set of samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// Returns the set of the samples that are marked.
    #[must_use]
    pub fn of(marks: impl IntoIterator<Item = bool>) -> Self {
        let mut words = Vec::new();
        for (place, mark) in marks.into_iter().enumerate() {
            if place % 64 == 0 {
                words.push(0);
            }
            words[place / 64] |= u64::from(mark) << (place % 64);
        }
        Self { words }
    }

    /// Returns the number of samples in the set.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

/// A member of a cascade as two sets: who is answered rightly, and who goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    right: Bits,
    goes_on: Bits,
}

impl Records {
    /// Returns a member with its rule as sets.
    ///
    /// # Panics
    /// Where the model is not in the records, or thresholds by class are asked of records without classes.
    #[must_use]
    pub fn gate(&self, model: usize, rule: &Rule) -> Gate {
        let record = &self.models[model];
        let leaves = |sample: usize| {
            let certainty = record.certainty[sample];
            match rule {
                Rule::AtLeast(threshold) => certainty >= *threshold,
                Rule::Outside(low, high) => certainty < *low || certainty >= *high,
                Rule::ByClass(thresholds) => {
                    thresholds.get(record.predicted[sample] as usize).is_some_and(|threshold| certainty >= *threshold)
                }
                Rule::Always => true,
            }
        };
        let goes_on = Bits::of((0..self.samples()).map(|sample| !leaves(sample)));
        Gate { right: Bits::of(record.right.iter().copied()), goes_on }
    }
}

/// Returns the samples answered rightly, and those that get to each member; all leave at the last, whatever its rule.
#[must_use]
pub fn through<G: Borrow<Gate>>(gates: &[G], samples: u64) -> (u64, Vec<u64>) {
    let words = gates.first().map_or(0, |gate| gate.borrow().right.words.len());
    let (mut right, mut reached) = (0_u64, vec![0_u64; gates.len()]);
    for word in 0..words {
        let in_word = (samples - 64 * word as u64).min(64);
        let mut here = if in_word == 64 { u64::MAX } else { (1 << in_word) - 1 };
        for (place, (gate, reached)) in gates.iter().map(Borrow::borrow).zip(&mut reached).enumerate() {
            *reached += u64::from(here.count_ones());
            let goes_on = if place + 1 < gates.len() { gate.goes_on.words[word] } else { 0 };
            right += u64::from((here & gate.right.words[word] & !goes_on).count_ones());
            here &= goes_on;
        }
    }
    (right, reached)
}

/// Counts again, on other samples than those that they were scored on, how many get to each member of cascades. O(samples ÷ 64)
/// a cascade.
pub(super) fn recount(records: &Records, cascades: &mut [Cascade]) {
    let mut gates: BTreeMap<(usize, u64), Gate> = BTreeMap::new();
    for member in cascades.iter().flat_map(|cascade| &cascade.members) {
        let rule = member.exit_at.map_or(Rule::Always, Rule::AtLeast);
        gates.entry(key(*member)).or_insert_with(|| records.gate(member.model, &rule));
    }
    let samples = records.samples() as u64;
    cascades.par_iter_mut().for_each(|cascade| {
        let gates: Vec<&Gate> = cascade.members.iter().map(|member| &gates[&key(*member)]).collect();
        let reached = through(&gates, samples).1;
        cascade.reach.iter_mut().zip(reached).skip(1).for_each(|(reach, count)| {
            *reach = count as f64 / samples.max(1) as f64;
        });
    });
}

/// Certainties are compared as they are: what is no number leaves always.
fn key(member: Member) -> (usize, u64) {
    (member.model, member.exit_at.map_or(u64::MAX, f64::to_bits))
}

#[cfg(test)]
mod tests {
    use super::super::score::tests::by_chance;
    use super::super::{Member, Search, frontier};
    use super::{Rule, recount, through};
    use crate::stats::Dice;

    #[test]
    fn plain_thresholds_are_those_of_the_definition() {
        let mut dice = Dice::new(14, 0);
        for samples in [1, 63, 64, 65, 300] {
            let records = by_chance(&mut dice, 3, samples, 20);
            let (first, second) = (dice.unit(), dice.unit());
            let gates = [(0, Rule::AtLeast(first)), (2, Rule::AtLeast(second)), (1, Rule::Always)]
                .map(|(m, r)| records.gate(m, &r));
            let member = |model, exit_at| Member { model, exit_at };
            let wanted = records.evaluate(&[member(0, Some(first)), member(2, Some(second)), member(1, None)]);
            let (right, reached) = through(&gates, samples as u64);
            let part = |count: u64| count as f64 / samples as f64;
            assert_eq!(
                (part(right), reached.into_iter().map(part).collect::<Vec<_>>()),
                (wanted.accuracy, wanted.reach)
            );
        }
    }

    #[test]
    fn counting_again_is_counting_sample_by_sample() {
        let mut dice = Dice::new(16, 0);
        let (search_on, records) = (by_chance(&mut dice, 3, 200, 50), by_chance(&mut dice, 3, 333, 50));
        let mut cascades = frontier(&search_on, Search { quantiles: 5, ..Search::default() }, 0.0);
        recount(&records, &mut cascades);
        for cascade in &cascades {
            assert_eq!(cascade.reach, records.evaluate(&cascade.members).reach, "{cascade:?}");
        }
    }

    #[test]
    fn odd_rules_are_those_of_counting() {
        let records = by_chance(&mut Dice::new(15, 0), 2, 500, 50);
        let by_class = vec![0.9, 0.4, 0.6];
        let record = &records.models[0];
        for rule in [Rule::Outside(0.3, 0.7), Rule::ByClass(by_class.clone())] {
            let leaves = |sample: usize| match &rule {
                Rule::Outside(low, high) => !(*low..*high).contains(&record.certainty[sample]),
                _ => by_class.get(record.predicted[sample] as usize).is_some_and(|&t| record.certainty[sample] >= t),
            };
            let (mut right, mut reached) = (0, 0);
            for sample in 0..500 {
                reached += u64::from(!leaves(sample));
                right += u64::from(records.models[usize::from(!leaves(sample))].right[sample]);
            }
            let gates = [records.gate(0, &rule), records.gate(1, &Rule::Always)];
            assert_eq!(through(&gates, 500), (right, vec![500, reached]), "{rule:?}");
        }
    }
}
