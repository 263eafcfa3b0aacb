//! Agreement of models as a member of a cascade: the plurality answers, and its share of the votes is the certainty.
//!
//! An ensemble is a record like any other, so that scoring knows nothing of it; it costs what its models cost together.

use super::{Record, Records};
use crate::base::finding::{Code, Finding};

impl Records {
    /// Returns the models behind a record: itself, or those that vote.
    pub fn voters(&self, model: usize) -> impl Iterator<Item = usize> + '_ {
        let votes_of = &self.models[model].votes_of;
        votes_of.iter().copied().chain(votes_of.is_empty().then_some(model))
    }

    /// Tells whether two records rest on a common model, so that no cascade may hold both.
    #[must_use]
    pub fn share_a_model(&self, one: usize, other: usize) -> bool {
        self.voters(one).any(|model| self.voters(other).any(|voter| voter == model))
    }

    /// Adds the vote of some models and returns its index. Among classes with equally many votes, that of the model named
    /// first wins, so name the best first.
    ///
    /// # Errors
    /// A finding where there are fewer than two models, one of them twice or an ensemble itself, or where the records do not
    /// tell what was answered.
    ///
    /// # Panics
    /// Where a model is not in the records.
    pub fn add_ensemble(&mut self, models: &[usize]) -> Result<usize, Finding> {
        let records: Vec<&Record> = models.iter().map(|&model| &self.models[model]).collect();
        let name = records.iter().map(|record| record.name.as_str()).collect::<Vec<_>>().join("+");
        let refuse = |code, cause: &str, action: &str| Err(Finding::error(code, name.clone(), cause, action));
        let stands_twice = models.iter().enumerate().any(|(place, model)| models[..place].contains(model));
        if models.len() < 2 || stands_twice || records.iter().any(|record| !record.votes_of.is_empty()) {
            return refuse(Code::Inconsistent, "these do not make a vote", "name two or more models, each once");
        }
        if records.iter().any(|record| record.predicted.len() != record.right.len()) {
            let action = "use records with `<model>_pred`, not `<model>_correct`";
            return refuse(Code::NotMeasured, "who answered what was not recorded, only who was right", action);
        }
        let mut ensemble = Record { name, votes_of: models.to_vec(), ..Record::default() };
        for sample in 0..self.samples() {
            let votes = |record: &Record| {
                records.iter().filter(|other| other.predicted[sample] == record.predicted[sample]).count()
            };
            // The last of equals is what `max_by_key` returns.
            let chosen = records.iter().rev().max_by_key(|record| votes(record)).expect("two or more vote");
            ensemble.right.push(chosen.right[sample]);
            ensemble.predicted.push(chosen.predicted[sample]);
            ensemble.certainty.push(votes(chosen) as f64 / records.len() as f64);
        }
        self.models.push(ensemble);
        Ok(self.models.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cascade, Member, Record, Records};

    fn family() -> Records {
        let labels = [1, 2, 3, 4];
        let record = |(name, predicted): (&str, [u32; 4])| Record {
            name: name.into(),
            right: predicted.iter().zip(labels).map(|(class, label)| *class == label).collect(),
            certainty: vec![0.5; 4],
            predicted: predicted.to_vec(),
            votes_of: Vec::new(),
        };
        Records { models: [("a", [1, 2, 9, 7]), ("b", [1, 2, 3, 8]), ("c", [1, 5, 3, 9])].map(record).to_vec() }
    }

    #[test]
    fn the_plurality_answers_and_the_first_wins_a_tie() {
        let mut records = family();
        let vote = records.add_ensemble(&[0, 1, 2]).expect("three models");
        let ensemble = &records.models[vote];
        assert_eq!((ensemble.name.as_str(), ensemble.predicted.as_slice()), ("a+b+c", [1, 2, 3, 7].as_slice()));
        assert_eq!(ensemble.right, [true, true, true, false]);
        assert_eq!(ensemble.certainty, [1.0, 2.0 / 3.0, 2.0 / 3.0, 1.0 / 3.0]);
        let members = vec![Member { model: vote, exit_at: None }];
        assert_eq!(records.calls(&Cascade { members, accuracy: 0.75, reach: vec![1.0] }), [1.0, 1.0, 1.0, 0.0]);
        assert!(records.share_a_model(vote, 1) && records.share_a_model(1, vote) && !records.share_a_model(0, 1));
    }

    #[test]
    fn what_is_no_vote_is_refused() {
        let mut records = family();
        let vote = records.add_ensemble(&[0, 1]).expect("two models");
        for models in [vec![0], vec![0, 0], vec![vote, 2]] {
            assert!(records.add_ensemble(&models).is_err(), "{models:?}");
        }
        records.models[0].predicted.clear();
        assert!(records.add_ensemble(&[0, 1]).is_err());
    }
}
