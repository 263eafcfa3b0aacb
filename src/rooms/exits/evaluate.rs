//! One cascade on records, sample by sample: the definition that every faster way must equal.

use super::{Cascade, Member, Record, Records};
use crate::base::finding::{Code, Finding};
use crate::base::near;

impl Records {
    /// Returns the number of samples.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.models.first().map_or(0, |record| record.right.len())
    }

    /// Returns the index of a model.
    ///
    /// # Errors
    /// A finding with the near word where no record has that name.
    pub fn index_of(&self, name: &str) -> Result<usize, Finding> {
        let names = || self.models.iter().map(|record| record.name.as_str());
        names().position(|known| known == name).ok_or_else(|| {
            let known = names().collect::<Vec<_>>().join(", ");
            let action = near::hint(name, names(), format!("the records hold {known}"));
            Finding::error(Code::UnknownName, "models", format!("no record is of `{name}`"), action)
        })
    }

    /// Returns a cascade with its accuracy and reach, counted sample by sample.
    ///
    /// A sample leaves at the first member whose certainty is at least its threshold, and at the last in any case. Without
    /// samples the accuracy is 0 and nobody gets past the first.
    ///
    /// # Panics
    /// Where there is no member, or one that the records do not hold.
    #[must_use]
    pub fn evaluate(&self, members: &[Member]) -> Cascade {
        let (mut right, mut reached) = (0_usize, vec![0_usize; members.len()]);
        for sample in 0..self.samples() {
            let stage = self.exit(members, sample);
            reached[..=stage].iter_mut().for_each(|count| *count += 1);
            right += usize::from(self.models[members[stage].model].right[sample]);
        }
        let samples = self.samples().max(1) as f64;
        let mut reach: Vec<f64> = reached.iter().map(|&count| count as f64 / samples).collect();
        reach[0] = 1.0;
        Cascade { members: members.to_vec(), accuracy: right as f64 / samples, reach }
    }

    /// Returns whether a cascade answers each sample rightly.
    #[must_use]
    pub fn right(&self, members: &[Member]) -> Vec<bool> {
        let of = |sample| self.models[members[self.exit(members, sample)].model].right[sample];
        (0..self.samples()).map(of).collect()
    }

    /// Returns the place of the member at which a sample leaves.
    fn exit(&self, members: &[Member], sample: usize) -> usize {
        let leaves = |member: &Member| {
            member.exit_at.is_none_or(|threshold| self.models[member.model].certainty[sample] >= threshold)
        };
        members.iter().position(leaves).unwrap_or(members.len() - 1)
    }

    /// Returns the calls of each model for one request, on average.
    #[must_use]
    pub fn calls(&self, cascade: &Cascade) -> Vec<f64> {
        let mut calls = vec![0.0; self.models.len()];
        for (member, reach) in cascade.members.iter().zip(&cascade.reach) {
            calls[member.model] += reach;
        }
        calls
    }

    /// Returns the same records of some of the samples, in the given order.
    ///
    /// # Panics
    /// Where there is no such sample.
    #[must_use]
    pub fn select(&self, samples: &[usize]) -> Self {
        fn pick<T: Copy>(all: &[T], samples: &[usize]) -> Vec<T> {
            if all.is_empty() { Vec::new() } else { samples.iter().map(|&sample| all[sample]).collect() }
        }
        let of = |record: &Record| Record {
            name: record.name.clone(),
            right: pick(&record.right, samples),
            certainty: pick(&record.certainty, samples),
            predicted: pick(&record.predicted, samples),
            precision: record.precision,
        };
        Self { models: self.models.iter().map(of).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Member, Record, Records};

    fn record(name: &str, right: [u8; 4], certainty: [f64; 4]) -> Record {
        let right = right.iter().map(|&bit| bit == 1).collect();
        Record { name: name.into(), right, certainty: certainty.into(), ..Record::default() }
    }

    #[test]
    fn a_sample_leaves_where_it_is_certain_enough() {
        let records = Records {
            models: vec![record("a", [1, 0, 1, 0], [0.9, 0.5, 0.4, 0.1]), record("b", [0, 1, 1, 1], [0.5; 4])],
        };
        let cascade = records.evaluate(&[Member { model: 0, exit_at: Some(0.5) }, Member { model: 1, exit_at: None }]);
        assert_eq!((cascade.accuracy, cascade.reach.as_slice()), (0.75, [1.0, 0.5].as_slice()));
        assert_eq!(records.right(&cascade.members), [true, false, true, true]);
        assert_eq!(records.calls(&cascade), [1.0, 0.5]);
        let alone = records.evaluate(&[Member { model: 0, exit_at: None }]);
        assert_eq!((alone.accuracy, alone.reach.as_slice()), (0.5, [1.0].as_slice()));
        let swapped = records.select(&[3, 0]);
        assert_eq!((swapped.models[0].right.as_slice(), swapped.samples()), ([false, true].as_slice(), 2));
    }

    #[test]
    fn an_unknown_model_is_told_with_the_near_word() {
        let records = Records { models: vec![record("small", [1; 4], [1.0; 4])] };
        let finding = records.index_of("smal").expect_err("there is none");
        assert_eq!(finding.action, "did you mean `small`?");
        assert_eq!(records.index_of("small"), Ok(0));
    }
}
