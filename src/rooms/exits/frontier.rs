//! The cascades worth keeping (§5.2): no other is as accurate with no more load on any model.
//!
//! Mean work is no fixed number, for it depends on batches and placement. Loads by model are: whatever prices come to stand on
//! the models later, the best cascade is among those that are undominated in (accuracy, calls of each model). So the search for
//! cascades is done once.
//!
//! With a loss allowed, a cascade is dropped where a kept one has no more load on any model and is at most that much less
//! accurate. Candidates come in ascending order of their total load, so that what may stand for one has been decided before, and
//! losses never add up.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rayon::iter::{IntoParallelIterator, IntoParallelRefIterator, ParallelIterator};

use super::score::{Score, Scorer, SearchGrid};
use super::{Cascade, Record, Records};

/// Part of an accuracy's standard error that thinning the cascades may cost.
const THINNED: f64 = 0.5;
/// Cuts of a model that are looked at between the neighbours of a kept cut, in a refinement.
const FINE_CUTS: usize = 24;
/// Most refinements; each looks around what the one before found.
const REFINEMENTS: usize = 3;

/// Returns the cascades that no other beats, the most accurate first.
///
/// For every cascade on the search's grid there is one that asks no model more often and is at most `loss_at_most` less
/// accurate (a part of the samples); the most accurate is kept in any case. Thresholds between the grid's are not tried: each would
/// be one more trade of calls for accuracy that nothing beats, so that there is no end of them. [`path`] does, once prices say
/// what a call is worth.
#[must_use]
pub fn frontier(records: &Records, search: SearchGrid, loss_at_most: f64) -> Vec<Cascade> {
    let scorer = Scorer::new(records, search);
    let slack = (loss_at_most.max(0.0) * records.samples() as f64) as u32;
    // One half is spent within each sequence of models, where order makes thinning cheap, the other half among all.
    let (within, among) = (slack / 2, slack - slack / 2);
    let of_sequence = |sequence: &Vec<usize>| {
        let mut scores = Vec::new();
        scorer.score(sequence, &mut scores);
        thin_sequence(&mut scores, within);
        scores
    };
    let candidates: Vec<Score> = scorer.sequences().par_iter().flat_map_iter(of_sequence).collect();
    thin(records, &candidates, among).iter().map(|score| scorer.cascade(score)).collect()
}

/// Returns the accuracy that thinning may cost: half of what chance leaves open at the best model's accuracy.
#[must_use]
pub fn thinning_loss(records: &Records) -> f64 {
    let samples = records.samples().max(1) as f64;
    let right = |model: &Record| model.right.iter().filter(|right| **right).count() as f64 / samples;
    let best = records.models.iter().map(right).fold(0.5, f64::max);
    THINNED * (best * (1.0 - best) / samples).sqrt()
}

/// Returns what is kept of cascades and of those with thresholds around theirs, again and again while that changes anything.
fn refined(scorer: &Scorer<'_>, mut kept: Vec<Score>, keep: impl Fn(Vec<Score>) -> Vec<Score>) -> Vec<Score> {
    for _ in 0..REFINEMENTS {
        let fine = |score: &Score| {
            let mut scores = Vec::new();
            if score.stages == 3 {
                let models = [0, 1, 2].map(|place| usize::from(score.models[place]));
                let cuts = [0, 1].map(|place| scorer.around(models[place], score.cuts[place], FINE_CUTS));
                scorer.score_at(&models, cuts, &mut scores);
                thin_sequence(&mut scores, 0);
            }
            scores
        };
        let around: Vec<Score> = kept.par_iter().flat_map_iter(fine).collect();
        let finer = keep([kept.as_slice(), &around].concat());
        let found_nothing = finer == kept;
        kept = finer;
        if found_nothing {
            break;
        }
    }
    kept
}

/// Drops the scores of one sequence that another one of it stands for, or one of the shorter cascades that it begins with.
///
/// Scores come in ascending order of reach of the second member, then of the third, then of the fourth. The most accurate of
/// the sequence is kept whatever the slack.
fn thin_sequence(scores: &mut Vec<Score>, slack: u32) {
    scores.retain(|score| score.helps);
    let most = scores.iter().map(|score| score.right).max();
    let slack_of = |score: &Score| if Some(score.right) == most { 0 } else { slack };
    match scores.first().map(|score| score.stages) {
        Some(2 | 3) => {
            let mut stairs = Stairs::default();
            scores.retain(|score| stairs.takes(score.reached[2], score.right, slack_of(score)));
        }
        Some(4) => thin_fours(scores, slack_of),
        _ => {}
    }
}

/// As [`thin_sequence`], for four members: first among those with the same first cut, where nothing is lost, then among all.
fn thin_fours(scores: &mut Vec<Score>, slack_of: impl Fn(&Score) -> u32) {
    let mut same_cut = (0, Stairs::default());
    scores.retain(|score| {
        if same_cut.0 != score.cuts[0] {
            same_cut = (score.cuts[0], Stairs::default());
        }
        same_cut.1.takes(score.reached[3], score.right, 0)
    });
    let mut kept = Group::default();
    scores.retain(|score| {
        let reached = &score.reached[1..];
        let is_kept = !kept.stands_for(score.right, reached, slack_of(score));
        if is_kept {
            kept.insert(score.right, reached.into());
        }
        is_kept
    });
}

/// The kept ones of scores that come in order, ascending in reach of the last member and in right answers: nobody who is
/// behind is less right.
#[derive(Default)]
struct Stairs(Vec<(u32, u32)>);

impl Stairs {
    /// Takes a score in, unless one that reaches the last member no more often is at most `slack` less right.
    fn takes(&mut self, reach: u32, right: u32, slack: u32) -> bool {
        let stairs = &mut self.0;
        let behind = stairs.partition_point(|&(other, _)| other <= reach);
        if stairs[..behind].last().is_some_and(|&(_, best)| best + slack >= right) {
            return false;
        }
        let worse = stairs[behind..].iter().take_while(|&&(_, other)| other <= right).count();
        let same = usize::from(behind > 0 && stairs[behind - 1].0 == reach);
        stairs.splice(behind - same..behind + worse, [(reach, right)]);
        true
    }
}

/// The kept cascades that call the same models.
#[derive(Default)]
struct Group {
    /// Right answers, descending.
    right: Vec<u32>,
    /// Calls of each model of the records, in the same order.
    calls: Vec<Box<[u32]>>,
}

impl Group {
    fn stands_for(&self, right: u32, calls: &[u32], slack: u32) -> bool {
        let accurate = self.right.partition_point(|&other| other + slack >= right);
        self.calls[..accurate].iter().any(|others| others.iter().zip(calls).all(|(other, own)| other <= own))
    }

    fn insert(&mut self, right: u32, calls: Box<[u32]>) {
        let place = self.right.partition_point(|&other| other >= right);
        self.right.insert(place, right);
        self.calls.insert(place, calls);
    }
}

/// Returns the scores that no kept one stands for, the most accurate first.
fn thin(records: &Records, candidates: &[Score], slack: u32) -> Vec<Score> {
    let mut order: Vec<(Score, Box<[u32]>)> =
        candidates.into_par_iter().map(|score| (*score, calls(records, score))).collect();
    let rank = |(score, calls): &(Score, Box<[u32]>)| {
        let total: u64 = calls.iter().map(|&count| u64::from(count)).sum();
        (total, Reverse(score.right), score.stages, score.models, score.cuts)
    };
    order.sort_by_cached_key(rank);
    let best = order.iter().map(|(score, _)| score.right).max();
    // What calls other models besides cannot stand for it, so only groups within the same models are asked.
    let mut groups: BTreeMap<Vec<bool>, Group> = BTreeMap::new();
    let mut kept = Vec::new();
    let mut has_best = false;
    for (score, calls) in order {
        let models: Vec<bool> = calls.iter().map(|&count| count > 0).collect();
        let within = |others: &[bool]| others.iter().zip(&models).all(|(other, own)| *own || !other);
        let is_first_best = !has_best && Some(score.right) == best;
        let mut within_them = groups.iter().filter(|(others, _)| within(others));
        if !is_first_best && within_them.any(|(_, group)| group.stands_for(score.right, &calls, slack)) {
            continue;
        }
        has_best |= is_first_best;
        groups.entry(models).or_default().insert(score.right, calls);
        kept.push(score);
    }
    // Stable, so that the lighter of equals stays first.
    kept.sort_by_key(|score| Reverse(score.right));
    kept
}

/// Returns the calls of each model, all samples together.
fn calls(records: &Records, score: &Score) -> Box<[u32]> {
    let mut calls = vec![0; records.models.len()];
    for (&model, reached) in score.models.iter().zip(score.reached).take(usize::from(score.stages)) {
        calls[usize::from(model)] += reached;
    }
    calls.into()
}

/// Returns the work of a cascade for one request, where a call of each model takes so much.
#[must_use]
pub fn work(records: &Records, cascade: &Cascade, work_of: &[f64]) -> f64 {
    records.calls(cascade).iter().zip(work_of).map(|(calls, work)| calls * work).sum()
}

/// Returns the cascades that no other on the search's grid beats in accuracy and work, nor between the grid's thresholds around
/// those that are kept; the most accurate first, the order in which they are proved.
#[must_use]
pub fn path(records: &Records, search: SearchGrid, work_of: &[f64]) -> Vec<Cascade> {
    let scorer = Scorer::new(records, search);
    let work = |score: &Score| {
        let calls = calls(records, score);
        calls.iter().zip(work_of).map(|(&calls, work)| f64::from(calls) * work).sum::<f64>()
    };
    let of_sequence = |sequence: &Vec<usize>| {
        let mut scores = Vec::new();
        scorer.score(sequence, &mut scores);
        scores.retain(|score| score.helps);
        stairs(scores, work)
    };
    let of_sequences: Vec<Score> = scorer.sequences().par_iter().flat_map_iter(of_sequence).collect();
    let kept = refined(&scorer, stairs(of_sequences, work), |candidates| stairs(candidates, work));
    kept.iter().rev().map(|score| scorer.cascade(score)).collect()
}

/// Returns the scores that are more right than all with less work, in ascending order of work.
fn stairs(scores: Vec<Score>, work: impl Fn(&Score) -> f64) -> Vec<Score> {
    let mut by_work: Vec<(f64, Score)> = scores.into_iter().map(|score| (work(&score), score)).collect();
    by_work.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.right.cmp(&a.1.right)));
    let mut best = None;
    by_work.retain(|(_, score)| {
        let is_better = best.is_none_or(|best| score.right > best);
        best = best.max(Some(score.right));
        is_better
    });
    by_work.into_iter().map(|(_, score)| score).collect()
}

#[cfg(test)]
mod tests {
    use super::super::score::tests::by_chance;
    use super::super::{Cascade, Member, Records, Scorer, SearchGrid};
    use super::{frontier, path, work};
    use crate::stats::Dice;

    /// Every cascade at every distinct threshold, by counting.
    fn all(records: &Records, longest: usize) -> Vec<Cascade> {
        let thresholds = |model: usize| {
            let mut distinct = records.models[model].certainty.clone();
            distinct.sort_by(f64::total_cmp);
            distinct.dedup();
            distinct
        };
        let mut chains: Vec<Vec<Member>> = vec![Vec::new()];
        let mut cascades = Vec::new();
        while let Some(chain) = chains.pop() {
            for model in 0..records.models.len() {
                if chain.iter().any(|member| member.model == model) {
                    continue;
                }
                let with = |exit_at| [chain.as_slice(), &[Member { model, exit_at }]].concat();
                cascades.push(records.evaluate(&with(None)));
                if chain.len() + 1 < longest {
                    chains.extend(thresholds(model).into_iter().map(|threshold| with(Some(threshold))));
                }
            }
        }
        cascades
    }

    fn beats(records: &Records, better: &Cascade, worse: &Cascade, loss: f64) -> bool {
        let (one, other) = (records.calls(better), records.calls(worse));
        better.accuracy + loss + 1e-12 >= worse.accuracy && one.iter().zip(&other).all(|(one, other)| one <= other)
    }

    #[test]
    fn the_frontier_is_that_of_enumeration() {
        let mut dice = Dice::new(4, 0);
        for trial in 0..40 {
            let longest: u32 = if trial < 30 { 3 } else { 4 };
            let levels = if longest == 4 { 3 } else { [4, 10][trial % 2] };
            let records = by_chance(&mut dice, longest, 12 + trial, levels);
            let search = SearchGrid { longest: longest as usize, quantiles: 100, even: 0 };
            let kept = frontier(&records, search, 0.0);
            let point = |cascade: &Cascade| (cascade.accuracy, records.calls(cascade));
            let all = all(&records, longest as usize);
            for cascade in &all {
                assert!(kept.iter().any(|other| beats(&records, other, cascade, 0.0)), "trial {trial}: {cascade:?}");
            }
            for (place, cascade) in kept.iter().enumerate() {
                assert!(all.iter().any(|other| point(other) == point(cascade)), "trial {trial}: nobody is {cascade:?}");
                let beaten =
                    kept.iter().enumerate().any(|(at, other)| at != place && beats(&records, other, cascade, 0.0));
                assert!(!beaten, "trial {trial}: {cascade:?} is beaten");
            }
        }
    }

    #[test]
    fn thinning_loses_no_more_than_allowed_and_keeps_the_best() {
        let mut dice = Dice::new(5, 0);
        for (samples, loss, longest, quantiles) in
            [(300, 0.01, 3, 15), (500, 0.02, 3, 15), (400, 0.05, 3, 15), (300, 0.02, 4, 6)]
        {
            let records = by_chance(&mut dice, 4, samples, 1_000);
            let search = SearchGrid { longest, quantiles, even: 0 };
            let (exact, thinned) = (frontier(&records, search, 0.0), frontier(&records, search, loss));
            assert!(thinned.len() < exact.len(), "{} of {}", thinned.len(), exact.len());
            assert_eq!(thinned[0].accuracy, exact[0].accuracy);
            assert_eq!(thinned, frontier(&records, search, loss), "twice gives the same");
            let scorer = Scorer::new(&records, search);
            let mut scores = Vec::new();
            scorer.sequences().iter().for_each(|sequence| scorer.score(sequence, &mut scores));
            for cascade in scores.iter().map(|score| scorer.cascade(score)) {
                assert!(thinned.iter().any(|kept| beats(&records, kept, &cascade, loss)), "{loss}: {cascade:?}");
            }
        }
    }

    #[test]
    fn the_frontier_is_never_below_random_cascades_on_an_even_grid() {
        let mut dice = Dice::new(6, 0);
        let records = by_chance(&mut dice, 4, 1_000, 100_000);
        let kept = frontier(&records, SearchGrid { quantiles: 15, ..SearchGrid::default() }, 0.0);
        // For some prices of the models: works, ascending, each with the best accuracy up to it.
        let stairs = |work_of: &[f64; 4]| {
            let of = |cascade: &Cascade| (work(&records, cascade, work_of), cascade.accuracy);
            let mut stairs: Vec<(f64, f64)> = kept.iter().map(of).collect();
            stairs.sort_by(|a, b| a.0.total_cmp(&b.0));
            let mut best = 0.0_f64;
            stairs.iter_mut().for_each(|(_, accuracy)| {
                best = best.max(*accuracy);
                *accuracy = best;
            });
            stairs
        };
        let prices: Vec<[f64; 4]> = (0..5).map(|_| [0; 4].map(|_| 0.1 + dice.unit())).collect();
        let prices: Vec<_> = prices.iter().map(|work_of| (work_of, stairs(work_of))).collect();
        for _ in 0..50_000 {
            let mut models = vec![0, 1, 2, 3];
            (1..4).rev().for_each(|last| models.swap(last, dice.below(last as u32 + 1) as usize));
            models.truncate(2 + dice.below(2) as usize);
            let last = models.len() - 1;
            let member =
                |(place, model)| Member { model, exit_at: (place < last).then(|| f64::from(dice.below(20)) / 19.0) };
            let cascade = records.evaluate(&models.into_iter().enumerate().map(member).collect::<Vec<_>>());
            for (work_of, stairs) in &prices {
                let limit = work(&records, &cascade, *work_of) + 1e-12;
                let within = stairs.partition_point(|(work, _)| *work <= limit);
                assert!(within > 0 && stairs[within - 1].1 >= cascade.accuracy, "{cascade:?}");
            }
        }
    }

    #[test]
    fn the_path_has_the_best_accuracy_for_every_work() {
        let mut dice = Dice::new(7, 0);
        for trial in 0..10 {
            let records = by_chance(&mut dice, 3, 40, [5, 1_000][trial % 2]);
            let work_of = [1.0, 2.0 + dice.unit(), 5.0 * dice.unit()];
            let path = path(&records, SearchGrid { longest: 3, quantiles: 100, even: 0 }, &work_of);
            let all = all(&records, 3);
            for cascade in &all {
                let limit = work(&records, cascade, &work_of) + 1e-12;
                let best = path.iter().find(|other| work(&records, other, &work_of) <= limit);
                assert!(best.is_some_and(|best| best.accuracy >= cascade.accuracy), "trial {trial}: {cascade:?}");
            }
            assert!(path.windows(2).all(|pair| pair[0].accuracy > pair[1].accuracy));
        }
    }
}
