//! Proof of accuracy on samples that played no part in the search (§5.6).
//!
//! The cheapest of thousands of cascades whose accuracy seems high enough is also the luckiest. So the search fixes an order, from
//! the most accurate to the cheapest, and the proof walks down it on other samples, tests each at level δ, and stops at the first
//! that fails. Since the order was fixed beforehand no δ is divided (fixed-sequence testing): what is chosen misses its target
//! with probability at most δ, over the draw of the samples.
//!
//! A candidate is a mixture: the cascades of a plan's gears by their parts of the requests, so that a plan is one quantity and
//! one test; a cascade by itself is a mixture of one.

use super::{Cascade, Records};
use crate::stats::sample::{at_least, clopper_pearson_low};
use crate::stats::shuffle;

/// What is to be proved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// The accuracy is at least this.
    Accuracy(f64),
    /// The accuracy is at most `loss` below that of a reference model.
    Within {
        /// Index into [`Records::models`].
        reference: usize,
        /// Part of the samples (ε).
        loss: f64,
    },
}

/// Cascades with the part of the requests that each answers, in sum 1.
pub type Mixture<'a> = [(f64, &'a Cascade)];

/// What a proof found out about one candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tested {
    /// Accuracy on the samples of the proof; beside a reference the difference to it.
    pub estimate: f64,
    /// What the accuracy, or the difference, exceeds with confidence 1 − δ.
    pub low: f64,
    /// Whether the target is proved.
    pub holds: bool,
    /// About how many more samples would prove it, were the estimate right; absent where it holds, and where the estimate
    /// itself misses the target: no number of samples proves what is not so.
    pub more_samples: Option<u64>,
}

/// The outcome of a walk down a path of candidates.
#[derive(Debug, Clone, PartialEq)]
pub struct Certified {
    /// The last candidate of which the target is proved; `None` where not even the first is: fall back to the reference.
    pub chosen: Option<usize>,
    /// The tests in the order of the path; the last may have failed.
    pub tested: Vec<Tested>,
    /// Samples of the proof.
    pub samples: usize,
    /// Probability of a wrong proof (δ).
    pub delta: f64,
}

/// Returns records in two parts, drawn by chance: those to search on, and those to prove on.
///
/// # Panics
/// Where `search_part` is no part.
#[must_use]
pub fn split(records: &Records, search_part: f64, seed: u64) -> (Records, Records) {
    assert!((0.0..=1.0).contains(&search_part), "{search_part} is no part");
    let mut order: Vec<usize> = (0..records.samples()).collect();
    shuffle(&mut order, seed, 0);
    let (search, proof) = order.split_at((search_part * records.samples() as f64).round() as usize);
    (records.select(search), records.select(proof))
}

/// Returns at most `most` of a path's cascades, its ends among them, evenly spaced: a step of the walk costs nothing but time,
/// yet neighbours hardly differ.
#[must_use]
pub fn spaced(path: &[Cascade], most: usize) -> Vec<Cascade> {
    if path.len() <= most.max(1) {
        return path.to_vec();
    }
    let last = (most - 1).max(1);
    (0..most).map(|place| path[place * (path.len() - 1) / last].clone()).collect()
}

/// Walks down a path of cascades, the most accurate first, and returns the last that provably keeps the target.
///
/// The samples must be in an order that chance decided, as [`split`] leaves them, and no part of the search.
#[must_use]
pub fn certify(path: &[Cascade], proof: &Records, target: Target, delta: f64) -> Certified {
    let mut certified = Certified { chosen: None, tested: Vec::new(), samples: proof.samples(), delta };
    for (place, cascade) in path.iter().enumerate() {
        let tested = test_mixture(&[(1.0, cascade)], proof, target, delta);
        certified.tested.push(tested);
        if !tested.holds {
            break;
        }
        certified.chosen = Some(place);
    }
    certified
}

/// Tests one candidate: by the binomial law where it is one cascade with a target of its own, by betting otherwise.
#[must_use]
pub fn test_mixture(mixture: &Mixture<'_>, proof: &Records, target: Target, delta: f64) -> Tested {
    let mut values = vec![0.0; proof.samples()];
    for (part, cascade) in mixture {
        for (value, right) in values.iter_mut().zip(proof.right(&cascade.members)) {
            *value += part * f64::from(u8::from(right));
        }
    }
    match target {
        Target::Accuracy(wanted) if mixture.len() == 1 => {
            let (hits, samples) = (values.iter().sum::<f64>().round() as u64, values.len() as u64);
            let low = clopper_pearson_low(hits, samples, delta);
            tested(&values, wanted, delta, at_least(hits, samples, wanted) <= delta, low)
        }
        Target::Accuracy(wanted) => bet(&values, 0.0, wanted, delta),
        Target::Within { reference, loss } => {
            for (value, right) in values.iter_mut().zip(&proof.models[reference].right) {
                *value -= f64::from(u8::from(*right));
            }
            bet(&values, -1.0, -loss, delta)
        }
    }
}

fn tested(values: &[f64], wanted: f64, delta: f64, holds: bool, low: f64) -> Tested {
    let samples = values.len() as f64;
    let estimate = values.iter().sum::<f64>() / samples.max(1.0);
    let variance = values.iter().map(|value| (value - estimate).powi(2)).sum::<f64>() / samples.max(1.0);
    // §5.6: n ≈ 2 κ ln(1/δ) ÷ gap², with κ the variance; and so many that a bettor who never loses gets rich.
    let gap = estimate - wanted;
    let needed = (2.0 * variance / gap + 2.0) * (1.0 / delta).ln() / gap;
    let more_samples = (!holds && gap > 0.0).then(|| (needed - samples).max(1.0).ceil() as u64);
    Tested { estimate, low, holds, more_samples }
}

/// Tests that the mean of values exceeds `wanted` by betting on it (Waudby-Smith and Ramdas 2024).
///
/// Whoever starts with 1 and stakes the part λᵢ on every value has Π (1 + λᵢ (xᵢ − wanted)), which is not expected to grow where
/// the mean is at most `wanted`; that it ever exceeds 1/δ then has a probability of at most δ (Ville). Stakes are chosen from
/// earlier values alone: λᵢ = √(2 ln(1/δ) ÷ (n vᵢ₋₁)) with the variance v so far, so that the proof adapts to how seldom a cascade
/// and its reference disagree, and at most what leaves half the capital after the worst value, `lowest`.
fn bet(values: &[f64], lowest: f64, wanted: f64, delta: f64) -> Tested {
    // The worst value cannot take anything where nothing less than it is asked.
    let most = if wanted > lowest { 0.5 / (wanted - lowest) } else { f64::MAX };
    let (mut stakes, mut sum, mut squares) = (Vec::with_capacity(values.len()), 0.0, 0.25);
    for (before, value) in values.iter().enumerate() {
        let variance = squares / (before as f64 + 1.0);
        stakes.push((2.0 * (1.0 / delta).ln() / (values.len() as f64 * variance)).sqrt().min(most));
        sum += value;
        let mean = (wanted + sum) / (before as f64 + 2.0);
        squares += (value - mean).powi(2);
    }
    let gets_rich = |mean: f64| {
        let mut capital = 1.0;
        values.iter().zip(&stakes).any(|(value, stake)| {
            capital *= 1.0 + stake * (value - mean);
            capital >= 1.0 / delta
        })
    };
    let holds = wanted < lowest || gets_rich(wanted);
    // The stakes do not depend on the mean that is doubted, so capital falls with it; up to here it stays positive.
    let (mut low, mut high) = if holds { (wanted, (2.0 * wanted - lowest).min(1.0)) } else { (lowest, wanted) };
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if gets_rich(middle) { low = middle } else { high = middle }
    }
    tested(values, wanted, delta, holds, low)
}

#[cfg(test)]
mod tests {
    use super::super::score::tests::by_chance;
    use super::super::{Cascade, Member, Record, Records};
    use super::{Target, bet, certify, spaced, split, test_mixture};
    use crate::stats::Dice;

    const DELTA: f64 = 0.05;

    /// A model that is right with some probability, and another that mostly agrees with it.
    fn two(dice: &mut Dice, samples: usize, accuracy: f64, disagree: f64) -> Records {
        let reference: Vec<bool> = (0..samples).map(|_| dice.unit() < accuracy).collect();
        let other = reference.iter().map(|&right| right ^ (dice.unit() < disagree)).collect();
        let record = |right| Record { right, certainty: vec![1.0; samples], ..Record::default() };
        Records { models: vec![record(reference), record(other)] }
    }

    fn alone(records: &Records, model: usize) -> Cascade {
        records.evaluate(&[Member { model, exit_at: None }])
    }

    /// At the very border the target is not so, and must be proved in at most 5 % of all draws; away from it nearly always.
    #[test]
    fn false_proofs_are_as_rare_as_promised_and_true_ones_are_found() {
        let trials = 2_000;
        let share = |target: Target, accuracy: f64, disagree: f64, mixed: bool| {
            let mut dice = Dice::new(8, 0);
            let proved = |_: &i32| {
                let records = two(&mut dice, 1_000, accuracy, disagree);
                let (one, other) = (alone(&records, 0), alone(&records, 1));
                let mixture = if mixed { vec![(0.5, &one), (0.5, &other)] } else { vec![(1.0, &other)] };
                test_mixture(&mixture, &records, target, DELTA).holds
            };
            (0..trials).filter(proved).count() as f64 / f64::from(trials)
        };
        // Right where the reference is right and they agree, or it is wrong and they do not: a + κ (1 − 2 a).
        let most = DELTA + 3.0 * (DELTA * (1.0 - DELTA) / f64::from(trials)).sqrt();
        let (accuracy, disagree) = (0.8, 0.1);
        let (of_other, difference) = (0.74, 0.06);
        for (target, mixed) in [
            (Target::Accuracy(of_other), false),
            (Target::Within { reference: 0, loss: difference }, false),
            (Target::Accuracy(0.5 * (accuracy + of_other)), true),
            (Target::Within { reference: 0, loss: difference / 2.0 }, true),
        ] {
            let wrong = share(target, accuracy, disagree, mixed);
            assert!(wrong <= most && wrong > 0.0, "{target:?}: {wrong}");
        }
        assert!(share(Target::Accuracy(of_other - 0.05), accuracy, disagree, false) > 0.95);
        assert!(share(Target::Within { reference: 0, loss: difference + 0.04 }, accuracy, disagree, false) > 0.8);
        assert!(share(Target::Accuracy(0.77 - 0.05), accuracy, disagree, true) > 0.9);
    }

    #[test]
    fn a_bound_and_its_test_agree() {
        let mut dice = Dice::new(9, 0);
        for wanted in [0.0, 0.3, 0.6, 0.7, 0.75, 0.8] {
            let records = two(&mut dice, 800, 0.75, 0.05);
            let cascade = alone(&records, 1);
            for (mixture, target) in [
                (vec![(1.0, &cascade)], Target::Accuracy(wanted)),
                (vec![(0.3, &cascade), (0.7, &cascade)], Target::Accuracy(wanted)),
                (vec![(1.0, &cascade)], Target::Within { reference: 0, loss: 0.2 * wanted }),
            ] {
                let tested = test_mixture(&mixture, &records, target, DELTA);
                let aim = if let Target::Within { loss, .. } = target { -loss } else { wanted };
                assert_eq!(tested.low >= aim, tested.holds, "{target:?}: {tested:?}");
            }
        }
    }

    #[test]
    fn the_walk_ends_at_the_first_failure() {
        let records = two(&mut Dice::new(10, 0), 2_000, 0.9, 0.3);
        let (good, bad) = (alone(&records, 0), alone(&records, 1));
        let path = [good.clone(), good.clone(), bad, good];
        let certified = certify(&path, &records, Target::Accuracy(0.85), DELTA);
        assert_eq!((certified.chosen, certified.tested.len(), certified.samples), (Some(1), 3, 2_000));
        assert_eq!(certified.tested[2].more_samples, None, "it is worse than asked");
        let none = certify(&path[2..], &records, Target::Accuracy(0.85), DELTA);
        assert_eq!((none.chosen, none.tested.len()), (None, 1));
        let mixture = [(0.9, &path[0]), (0.1, &path[2])];
        assert!(test_mixture(&mixture, &records, Target::Accuracy(0.82), DELTA).holds);
    }

    /// The rule of thumb: with as many samples as it asks for, the proof mostly succeeds; with half of them it mostly fails.
    #[test]
    fn the_samples_that_are_said_to_be_missing_are_about_enough() {
        let target = Target::Within { reference: 0, loss: 0.02 };
        let holds = |samples: usize, seed| {
            let records = two(&mut Dice::new(11, seed), samples, 0.5, 0.06);
            test_mixture(&[(1.0, &alone(&records, 1))], &records, target, DELTA)
        };
        let told: Vec<u64> = (0..50).filter_map(|seed| holds(300, seed).more_samples).collect();
        let needed = (2.0 * 0.06 / 0.02 + 2.0) * 20f64.ln() / 0.02;
        assert!(told.len() > 25 && told.iter().any(|&more| (300.0 + more as f64 - needed).abs() < 0.5 * needed));
        let proofs = |samples: f64| (0..200).filter(|&seed| holds(samples as usize, seed).holds).count();
        assert!(
            proofs(2.0 * needed) > 150 && proofs(0.25 * needed) < 100,
            "{} {}",
            proofs(2.0 * needed),
            proofs(0.25 * needed)
        );
    }

    #[test]
    fn betting_never_says_more_than_the_values() {
        for (values, lowest, wanted) in [(vec![], 0.0, 0.5), (vec![1.0; 3], 0.0, 0.5), (vec![0.0; 1_000], -1.0, -0.01)]
        {
            let tested = bet(&values, lowest, wanted, DELTA);
            assert!(tested.low <= tested.estimate.max(lowest) + 1e-9 && tested.low >= lowest, "{values:?}: {tested:?}");
        }
        assert!(bet(&[0.0; 1_000], -1.0, -0.01, DELTA).holds, "who always agrees is as good");
        assert!(bet(&[0.0; 100], -1.0, -0.01, DELTA).more_samples.is_some_and(|more| (400..=700).contains(&more)));
    }

    #[test]
    fn halves_are_apart_and_those_of_their_seed() {
        let records = by_chance(&mut Dice::new(12, 0), 2, 101, 1_000_000);
        let (search, proof) = split(&records, 0.5, 3);
        assert_eq!((search.samples(), proof.samples()), (51, 50));
        let mut both = [search.models[0].certainty.clone(), proof.models[0].certainty.clone()].concat();
        let mut all = records.models[0].certainty.clone();
        both.sort_by(f64::total_cmp);
        all.sort_by(f64::total_cmp);
        assert_eq!(both, all);
        assert!(split(&records, 0.5, 3) == (search, proof) && split(&records, 0.5, 3) != split(&records, 0.5, 4));
    }

    #[test]
    fn a_thinned_path_keeps_its_ends() {
        let step = |place: u32| Cascade { members: Vec::new(), accuracy: f64::from(place), reach: Vec::new() };
        let path: Vec<Cascade> = (0..100).map(step).collect();
        let thinned = spaced(&path, 25);
        assert_eq!((thinned.len(), thinned[0].accuracy, thinned[24].accuracy), (25, 0.0, 99.0));
        assert_eq!(spaced(&path[..7], 25), path[..7]);
    }
}
