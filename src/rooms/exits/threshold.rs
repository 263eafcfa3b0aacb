//! Where a threshold stands: between two certainties, so that every runtime splits requests where the records do.
//!
//! A runtime reads a threshold from a plan's decimals and compares it with a certainty that it holds as a 32-bit number, as that
//! widened to 64 bits, or as the decimals of a record file. These differ by up to half a unit in the last place of 32 bits. So a
//! threshold that *is* a recorded certainty splits differently from reader to reader, and one strictly between two certainties,
//! by more than their rounding, does not. Where there is no such place between two certainties, nothing is cut there.

use std::collections::BTreeMap;

use super::{Member, Precision, Record, Records};
use crate::profile::SampleAnswer;

/// Part of a gap that a threshold keeps from either end: certainties that are recorded with few digits are rounded themselves.
const KEPT_FREE: f64 = 0.25;
/// Most decimal places that a threshold is tried with.
const MOST_PLACES: usize = 17;

/// The distinct certainties of a record, ascending.
#[derive(Debug, Clone)]
pub(super) struct Levels {
    distinct: Vec<f64>,
    precision: Precision,
}

impl Levels {
    pub(super) fn new(record: &Record) -> Self {
        let mut distinct = record.certainty.clone();
        distinct.sort_unstable_by(f64::total_cmp);
        // Zero has two signs, which compare as equal.
        distinct.dedup_by(|a, b| a == b);
        Self { distinct, precision: record.precision }
    }

    /// Returns the number of distinct certainties.
    pub(super) const fn len(&self) -> usize {
        self.distinct.len()
    }

    /// Returns how many certainties are below a value: the rank of the first that is not.
    pub(super) fn rank(&self, value: f64) -> u32 {
        self.distinct.partition_point(|&known| known < value) as u32
    }

    /// Tells whether every reader can tell the certainty of this rank from the one below it.
    pub(super) fn can_cut(&self, rank: u32) -> bool {
        let (low, high) = self.gap(rank);
        low < high
    }

    /// Returns a threshold that certainties of this rank and above reach, and those below do not: well inside the gap, with as
    /// few digits as that takes.
    ///
    /// ```text
    /// below 0.61, this 0.73: 0.67 ± 0.03 ─▶ 0.7
    /// ```
    pub(super) fn threshold(&self, rank: u32) -> f64 {
        let (low, high) = self.gap(rank);
        let (from, to) = (low.max(0.0), high.min(1.0));
        let (middle, free) = (f64::midpoint(from, to), KEPT_FREE * (to - from));
        let rounded = (1..=MOST_PLACES).filter_map(|places| format!("{middle:.places$}").parse::<f64>().ok());
        let fits = |value: &f64| (from + free..=to - free).contains(value) && self.is_between(*value, (low, high));
        let found = rounded.chain([middle]).find(fits);
        // Two neighbouring 64-bit numbers have nothing between them.
        found.unwrap_or_else(|| self.distinct.get(rank as usize).copied().unwrap_or(1.0))
    }

    /// Returns the threshold itself where every reader splits these certainties alike by it, else the nearest cut's.
    fn settled(&self, threshold: f64) -> f64 {
        let rank = self.rank(threshold);
        let (low, high) = self.gap(rank);
        if self.precision == Precision::Double || self.is_between(threshold, (low, high)) {
            return threshold;
        }
        let ranks = 0..=self.len() as u32;
        let nearest = ranks.filter(|&other| self.can_cut(other)).min_by_key(|other| other.abs_diff(rank));
        nearest.map_or(threshold, |rank| self.threshold(rank))
    }

    /// Tells whether a threshold is inside a gap; at its upper end only where that is the certainty itself.
    fn is_between(&self, threshold: f64, (low, high): (f64, f64)) -> bool {
        low < threshold && (threshold < high || self.precision == Precision::Double && threshold <= high)
    }

    /// Returns the room between the certainty of a rank and the one below it, less what readers round; beyond the first and
    /// the last it has no end.
    fn gap(&self, rank: u32) -> (f64, f64) {
        let at = |rank: usize| self.distinct.get(rank).map(|&certainty| self.read_as(certainty));
        let below = (rank as usize).checked_sub(1).and_then(at);
        (below.map_or(f64::NEG_INFINITY, |(_, to)| to), at(rank as usize).map_or(f64::INFINITY, |(from, _)| from))
    }

    /// Returns the least and the greatest number that some reader takes for a certainty.
    fn read_as(&self, certainty: f64) -> (f64, f64) {
        match self.precision {
            Precision::Double => (certainty, certainty),
            Precision::Single => SampleAnswer::read_as(certainty as f32),
        }
    }
}

impl Records {
    /// Moves the thresholds that some readers would compare otherwise than others with these records' certainties into the nearest
    /// gap between those: thresholds of a fixed grid, and such as were found on other samples.
    ///
    /// It looks at no label, and a threshold that is moved passes no certainty but those that it cannot be told from. So what
    /// was chosen on other samples stays as good as chosen without these.
    pub fn settle<'a>(&self, members: impl Iterator<Item = &'a mut Member>) {
        let mut levels: BTreeMap<usize, Levels> = BTreeMap::new();
        for member in members {
            let Some(exit_at) = &mut member.exit_at else { continue };
            let levels = levels.entry(member.model).or_insert_with(|| Levels::new(&self.models[member.model]));
            *exit_at = levels.settled(*exit_at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cascade, Member, Precision, Record, Records, Scorer, SearchGrid};
    use super::Levels;
    use crate::profile::{Answers, SampleAnswer};
    use crate::stats::Dice;

    const SAMPLES: usize = 60;
    /// Forms in which threshold and certainty may be compared.
    const READERS: usize = 6;

    fn levels(certainty: &[f64], precision: Precision) -> Levels {
        Levels::new(&Record { certainty: certainty.into(), precision, ..Record::default() })
    }

    #[test]
    fn a_threshold_has_few_digits_and_keeps_away_from_both_certainties() {
        let of = |below: f64, above: f64| levels(&[above, below], Precision::Single).threshold(1);
        assert_eq!(of(0.6, 0.8), 0.7);
        assert_eq!(of(0.61, 0.73), 0.7);
        assert_eq!(of(0.0, 1.0), 0.5);
        assert_eq!(of(0.70001, 0.70002), 0.700_015, "halfway between numbers of five digits");
        assert_eq!(of(0.99999, 1.0), 0.999_995);
        assert!((2.5e-31..7.5e-31).contains(&of(0.0, 1e-30)));
        let between = of(f64::from(0.5_f32), f64::from(0.5_f32.next_up().next_up()));
        assert_eq!(between as f32, 0.5_f32.next_up(), "{between}");
    }

    #[test]
    fn neighbouring_numbers_of_32_bits_are_not_cut_and_those_of_64_bits_are() {
        let (one, next) = (0.8_f32, 0.8_f32.next_up());
        assert!(!levels(&[one.into(), next.into()], Precision::Single).can_cut(1));
        let (one, next) = (0.8_f64, 0.8_f64.next_up());
        let double = levels(&[one, next], Precision::Double);
        assert!(double.can_cut(1) && double.threshold(1) == next);
    }

    #[test]
    fn a_threshold_among_other_certainties_is_settled_beside_them() {
        let levels = levels(&[0.2, 0.4, 0.8], Precision::Single);
        assert_eq!([0.3, 0.55, 0.95, 0.1].map(|safe| levels.settled(safe)), [0.3, 0.55, 0.95, 0.1]);
        assert_eq!(levels.settled(0.8), 0.6);
        assert_eq!(levels.settled(f64::from(0.8_f32)), 0.9, "above 0.8 in 64 bits");
        assert_eq!(levels.settled(0.2), 0.1);
        let ends = super::tests::levels(&[0.0, 1.0], Precision::Single);
        assert_eq!(
            (ends.settled(0.0), ends.settled(1.0)),
            (0.0, 0.5),
            "every certainty is at least 0, whoever reads it"
        );
    }

    /// How requests are split by a runtime that reads the threshold from decimals and the certainty in one of several forms.
    fn splits(threshold: &str, certainty: &str) -> [bool; READERS] {
        let (at, at_single): (f64, f32) = (threshold.parse().expect("decimals"), threshold.parse().expect("decimals"));
        let (sure, sure_single): (f64, f32) =
            (certainty.parse().expect("decimals"), certainty.parse().expect("decimals"));
        [
            sure >= at,
            sure_single >= at_single,
            f64::from(sure_single) >= at,
            sure >= f64::from(at_single),
            sure_single >= at as f32,
            sure as f32 >= at as f32,
        ]
    }

    /// Certainties as people record them: so many decimal places, votes of a few, and all digits of 32-bit softmax values.
    fn recorded(dice: &mut Dice, kind: u32) -> String {
        match kind {
            1..=9 => format!("{:.*}", kind as usize, dice.unit()),
            10 => format!("{}", f64::from(dice.below(6)) / 5.0),
            11 => format!("{}", f64::from(dice.below(4)) / 3.0),
            12 => format!("{}", (1.0 / (1.0 + (-12.0 * dice.unit()).exp())) as f32),
            _ => format!("{}", 1.0 - f64::from(dice.below(4)) * f64::from(f32::EPSILON) / 2.0),
        }
    }

    /// Counts how many samples get to each member, from decimals.
    fn reached(cascade: &Cascade, texts: &[Vec<String>], reader: usize) -> Vec<usize> {
        let leaves = |member: &Member, sample: usize| {
            member.exit_at.is_none_or(|at| splits(&at.to_string(), &texts[member.model][sample])[reader])
        };
        let mut reached = vec![0; cascade.members.len()];
        for sample in 0..SAMPLES {
            let left = cascade.members.iter().position(|member| leaves(member, sample)).expect("all leave at the last");
            reached[..=left].iter_mut().for_each(|count| *count += 1);
        }
        reached
    }

    /// Whoever counts the file's decimals against the plan's decimals, in whatever precision, sees the claimed split.
    #[test]
    fn every_reader_counts_what_is_claimed() {
        for kind in 1..=13 {
            let mut dice = Dice::new(21, u64::from(kind));
            let mut texts = || -> Vec<String> { (0..SAMPLES).map(|_| recorded(&mut dice, kind)).collect() };
            let texts = [texts(), texts(), texts()];
            let answer = |text: &String| SampleAnswer::new(0, text.parse().expect("decimals"));
            let of = |texts: &Vec<String>| ("m".to_owned(), texts.iter().map(answer).collect());
            let answers = Answers { labels: vec![0; SAMPLES], variants: texts.iter().map(of).collect() };
            let records = Records::from_answers(&answers);
            let scorer = Scorer::new(&records, SearchGrid { longest: 3, quantiles: 5, even: 4 });
            let mut scores = Vec::new();
            scorer.sequences().iter().for_each(|sequence| scorer.score(sequence, &mut scores));
            // Of the last kind are neighbours in 32 bits, between which nothing is cut.
            assert_eq!(scores.len() > 3, kind != 13, "{kind}");
            for cascade in scores.iter().map(|score| scorer.cascade(score)) {
                let claimed: Vec<usize> =
                    cascade.reach.iter().map(|reach| (reach * SAMPLES as f64).round() as usize).collect();
                for reader in 0..READERS {
                    assert_eq!(reached(&cascade, &texts, reader), claimed, "kind {kind}, reader {reader}: {cascade:?}");
                }
            }
        }
    }

    #[test]
    fn settling_changes_no_threshold_of_records_in_64_bits() {
        let record = Record { certainty: vec![0.2, 0.5], right: vec![true; 2], ..Record::default() };
        let records = Records { models: vec![record] };
        let mut members = [Member { model: 0, exit_at: Some(0.5) }];
        records.settle(members.iter_mut());
        assert_eq!(members[0].exit_at, Some(0.5));
    }
}
