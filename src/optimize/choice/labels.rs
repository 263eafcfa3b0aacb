//! The exact search: labels (delay, cost, accuracy) of partial choices, merged along the walk.
//!
//! A label is dropped where another one of the same stages is no worse in all three (a dominated label cannot be part of
//! a better choice: delays, costs and accuracies combine monotonically), where it cannot keep within the limit even with
//! the earliest rest, and where its bound (`bound.rs`) is not above the best choice that is known. A first pass that keeps only the
//! most promising labels finds a choice; the second keeps all that might beat it, and so proves the optimum.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::bound::{Bound, Traits};
use super::{Alternative, Choice, ChoiceGoal, ChoiceMetric, Delay, Picked, SeriesParallel, Table};
use crate::base::rounding::ROUNDING;

/// Labels that the first pass keeps of each part of the walk.
const FIRST_WIDTH: usize = 24;

/// A choice for some of the stages.
#[derive(Debug, Clone)]
pub struct Label<D> {
    /// Delay of these stages.
    pub delay: D,
    /// Their accuracies, summed or multiplied.
    pub accuracy: f64,
    /// Their cost.
    pub cost: f64,
    promise: f64,
    trail: u32,
}

/// Where a label comes from.
#[derive(Debug, Clone, Copy)]
enum Trail {
    Pick { stage: usize, alternative: usize },
    Both(u32, u32),
}

/// Labels of a part of the walk, and the stages of it.
struct Part<D> {
    labels: Vec<Label<D>>,
    inside: Vec<bool>,
}

/// How many labels of a part of the walk the searches that share it may hold: their number can grow exponentially with the stages.
#[derive(Debug, Clone)]
pub struct LabelLimit {
    most: usize,
    was_hit: Arc<AtomicBool>,
}

impl LabelLimit {
    /// Lets searches hold so many labels.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, was_hit: Arc::default() }
    }

    /// Tells whether a search gave up: its `None` says nothing then.
    #[must_use]
    pub fn was_hit(&self) -> bool {
        self.was_hit.load(Ordering::Relaxed)
    }

    fn hit(&self) {
        self.was_hit.store(true, Ordering::Relaxed);
    }
}

/// Finds the best choice, or `None` where no choice keeps all limits. Exact; among equals the one found first, which
/// depends on the order of the alternatives only.
#[must_use]
pub fn solve<D: Delay>(choice: &Choice<D>) -> Option<Picked> {
    solve_within(choice, &LabelLimit::new(usize::MAX))
}

/// As [`solve`], with a limit on the labels; `None` too where it was hit.
#[must_use]
pub fn solve_within<D: Delay>(choice: &Choice<D>, limit: &LabelLimit) -> Option<Picked> {
    let best = optimum(choice, limit)?;
    if matches!(choice.metric, ChoiceMetric::Table(_)) {
        return Some(best);
    }
    // Among equals: the most accurate of the cheapest, the cheapest of the most accurate.
    let second = match choice.goal {
        ChoiceGoal::Weighted { .. } => return Some(best),
        ChoiceGoal::Cheapest { .. } => ChoiceGoal::MostAccurate { cost_at_most: best.cost },
        ChoiceGoal::MostAccurate { .. } => ChoiceGoal::Cheapest { accuracy_at_least: best.accuracy },
    };
    let refined = optimum(&Choice { goal: second, ..choice.clone() }, limit);
    Some(refined.and_then(|refined| choice.evaluate(&refined.picks)).unwrap_or(best))
}

/// Returns every choice within a cost that no other one beats in both accuracy and cost, the cheapest first: the exact
/// Pareto frontier.
#[must_use]
pub fn frontier<D: Delay>(choice: &Choice<D>, cost_at_most: f64) -> Vec<Picked> {
    frontier_within(choice, cost_at_most, &LabelLimit::new(usize::MAX))
}

/// As [`frontier`], with a limit on the labels; ends early where it was hit.
#[must_use]
pub fn frontier_within<D: Delay>(choice: &Choice<D>, cost_at_most: f64, limit: &LabelLimit) -> Vec<Picked> {
    let mut found: Vec<Picked> = Descent::new(choice.clone(), cost_at_most, limit).collect();
    found.dedup_by(|next, last| next.accuracy >= last.accuracy);
    found.reverse();
    found
}

/// The choices that no other one beats in both accuracy and cost, the most accurate first, by the ε-constraint method: the
/// most accurate within a cost, then within just less than what that took.
#[derive(Debug, Clone)]
pub(crate) struct Descent<D> {
    choice: Choice<D>,
    /// What the next may cost; `None` after one that is free.
    budget: Option<f64>,
    limit: LabelLimit,
}

impl<D: Delay> Descent<D> {
    /// Starts with the most accurate choice within a cost, whatever the goal of the choice.
    pub(crate) fn new(choice: Choice<D>, cost_at_most: f64, limit: &LabelLimit) -> Self {
        Self { choice, budget: Some(cost_at_most), limit: limit.clone() }
    }
}

impl<D: Delay> Iterator for Descent<D> {
    type Item = Picked;

    fn next(&mut self) -> Option<Picked> {
        self.choice.goal = ChoiceGoal::MostAccurate { cost_at_most: self.budget.take()? };
        let next = solve_within(&self.choice, &self.limit)?;
        if let ChoiceMetric::Table(table) = &mut self.choice.metric {
            // Nothing as accurate costs less: it need not be looked at again.
            let done = table.accuracies.iter_mut().filter(|accuracy| **accuracy >= next.accuracy);
            done.for_each(|accuracy| *accuracy = f64::NEG_INFINITY);
        }
        // Below what the slack of comparisons would let in again.
        self.budget = (next.cost > 0.0).then_some(next.cost * (1.0 - 2.0 * ROUNDING));
        Some(next)
    }
}

fn optimum<D: Delay>(choice: &Choice<D>, limit: &LabelLimit) -> Option<Picked> {
    if limit.was_hit() || choice.stages.iter().any(Vec::is_empty) {
        return None;
    }
    let picks = match (&choice.metric, choice.goal) {
        (ChoiceMetric::Table(table), _) => return by_table(choice, table, limit),
        (ChoiceMetric::Sum, ChoiceGoal::Weighted { accuracy }) => search_all(&collapsed(choice, accuracy), limit),
        _ => search_all(choice, limit),
    };
    picks.and_then(|picks| choice.evaluate(&picks))
}

/// Searches one combination of blends after another, the most promising first: within one the accuracy is a constant and
/// the least cost is sought. Among equals the most accurate of the cheapest, and the cheapest of the most accurate.
fn by_table<D: Delay>(choice: &Choice<D>, table: &Table, limit: &LabelLimit) -> Option<Picked> {
    let of_blend = |stage: &[Alternative<D>], size: usize| -> Vec<Vec<usize>> {
        let with = |blend| (0..stage.len()).filter(|&index| stage[index].blend == blend).collect();
        (0..size).map(with).collect()
    };
    let kept: Vec<Vec<Vec<usize>>> =
        choice.stages.iter().zip(&table.sizes).map(|(stage, &size)| of_blend(stage, size)).collect();
    let cheapest = |(kept, stage): (&Vec<Vec<usize>>, &Vec<Alternative<D>>)| -> Vec<f64> {
        let least = |kept: &Vec<usize>| kept.iter().map(|&index| stage[index].cost).fold(f64::INFINITY, f64::min);
        kept.iter().map(least).collect()
    };
    let least: Vec<Vec<f64>> = kept.iter().zip(&choice.stages).map(cheapest).collect();
    let promise = |(blends, accuracy): (Vec<usize>, f64)| {
        let cost: f64 = blends.iter().zip(&least).map(|(&blend, least)| least[blend]).sum();
        let value = choice.goal.value(accuracy, cost).filter(|_| accuracy.is_finite() && cost.is_finite())?;
        Some((value, blends))
    };
    let mut promising: Vec<(f64, Vec<usize>)> = table.entries().filter_map(promise).collect();
    promising.sort_by(|a, b| b.0.total_cmp(&a.0));
    // The labels of each blend of each stage, made once where they are needed.
    let leaves: Vec<Vec<OnceCell<Vec<Label<D>>>>> =
        table.sizes.iter().map(|&size| vec![OnceCell::new(); size]).collect();
    let mut best: Option<Picked> = None;
    for (promise, blends) in promising {
        if best.as_ref().is_some_and(|best| promise < best.value - choice.goal.rounding(best.accuracy, best.cost)) {
            break;
        }
        let part = Choice {
            stages: Vec::new(),
            walk: choice.walk.clone(),
            metric: ChoiceMetric::Sum,
            goal: ChoiceGoal::Weighted { accuracy: 1.0 },
            limit: choice.limit,
        };
        let of_stage = |(stage, &blend): (usize, &usize)| -> &[Label<D>] {
            leaves[stage][blend].get_or_init(|| by_cost(&choice.stages[stage], &kept[stage][blend]))
        };
        let leaves: Vec<&[Label<D>]> = blends.iter().enumerate().map(of_stage).collect();
        let Some(found) = search(&part, &leaves, limit) else { continue };
        let kept = kept.iter().zip(&blends).map(|(kept, &blend)| &kept[blend]);
        let picks: Vec<usize> = found.iter().zip(kept).map(|(&pick, kept)| kept[pick]).collect();
        if let Some(found) = choice.evaluate(&picks)
            && best.as_ref().is_none_or(|best| is_better(choice.goal, &found, best))
        {
            best = Some(found);
        }
    }
    best
}

/// Returns the labels of some alternatives whose accuracy is their cost, taken from nothing.
fn by_cost<D: Delay>(stage: &[Alternative<D>], kept: &[usize]) -> Vec<Label<D>> {
    let of_cost = |&index: &usize| Alternative { accuracy: -stage[index].cost, cost: 0.0, ..stage[index].clone() };
    leaf(&kept.iter().map(of_cost).collect::<Vec<_>>())
}

/// Tells whether a choice is worth more than the best so far, or as much and better in what the goal leaves open.
fn is_better(goal: ChoiceGoal, found: &Picked, best: &Picked) -> bool {
    let gain = found.value - best.value;
    if gain.abs() > goal.rounding(best.accuracy, best.cost) {
        return gain > 0.0;
    }
    match goal {
        ChoiceGoal::Weighted { .. } => gain > 0.0,
        ChoiceGoal::Cheapest { .. } => found.accuracy > best.accuracy,
        ChoiceGoal::MostAccurate { .. } => found.cost < best.cost,
    }
}

/// Returns the same problem with accuracy and cost in one number, where both add up: labels then have two criteria.
fn collapsed<D: Delay>(choice: &Choice<D>, weight: f64) -> Choice<D> {
    let one = |of: &Alternative<D>| Alternative { accuracy: weight * of.accuracy - of.cost, cost: 0.0, ..of.clone() };
    Choice {
        stages: choice.stages.iter().map(|stage| stage.iter().map(one).collect()).collect(),
        goal: ChoiceGoal::Weighted { accuracy: 1.0 },
        ..choice.clone()
    }
}

fn search_all<D: Delay>(choice: &Choice<D>, limit: &LabelLimit) -> Option<Vec<usize>> {
    let leaves: Vec<Vec<Label<D>>> = choice.stages.iter().map(|stage| leaf(stage)).collect();
    search(choice, &leaves.iter().map(Vec::as_slice).collect::<Vec<_>>(), limit)
}

/// Searches from the labels of each stage on; `None` too where the limit was hit.
fn search<D: Delay>(choice: &Choice<D>, leaves: &[&[Label<D>]], limit: &LabelLimit) -> Option<Vec<usize>> {
    let mut first = Search::new(choice, leaves, limit, FIRST_WIDTH, None);
    first.run();
    let mut proved = first.best.take();
    if first.is_cut {
        let mut second = Search::new(choice, leaves, limit, usize::MAX, proved);
        second.run();
        proved = second.best;
    }
    proved.filter(|_| !limit.was_hit()).map(|best| best.picks)
}

/// Returns the labels of one stage, without those that another one beats; their trail is the index of the alternative.
fn leaf<D: Delay>(stage: &[Alternative<D>]) -> Vec<Label<D>> {
    let label = |(index, of): (usize, &Alternative<D>)| Label {
        delay: of.delay.clone(),
        accuracy: of.accuracy,
        cost: of.cost,
        promise: f64::INFINITY,
        trail: index as u32,
    };
    let mut labels: Vec<Label<D>> = stage.iter().enumerate().map(label).collect();
    D::keep_undominated(&mut labels);
    labels
}

/// Returns the alternatives of one stage that no other of the same blend beats, whatever the rest of the walk; the first of equals.
#[must_use]
pub fn worth_keeping<D: Delay>(stage: &[Alternative<D>]) -> Vec<usize> {
    let blends: std::collections::BTreeSet<usize> = stage.iter().map(|of| of.blend).collect();
    let mut kept = Vec::new();
    for blend in blends {
        let of_blend: Vec<usize> = (0..stage.len()).filter(|&index| stage[index].blend == blend).collect();
        let alternatives: Vec<Alternative<D>> = of_blend.iter().map(|&index| stage[index].clone()).collect();
        kept.extend(leaf(&alternatives).iter().map(|label| of_blend[label.trail as usize]));
    }
    kept.sort_unstable();
    kept
}

/// The best whole choice so far.
#[derive(Debug, Clone)]
struct Incumbent {
    worth: f64,
    accuracy: f64,
    picks: Vec<usize>,
}

struct Search<'a, D> {
    choice: &'a Choice<D>,
    leaves: &'a [&'a [Label<D>]],
    limit: &'a LabelLimit,
    bound: Bound,
    earliest: Vec<D>,
    /// Labels to keep of each part.
    width: usize,
    /// Whether any was dropped for it.
    is_cut: bool,
    best: Option<Incumbent>,
    trails: Vec<Trail>,
}

impl<'a, D: Delay> Search<'a, D> {
    fn new(
        choice: &'a Choice<D>,
        leaves: &'a [&'a [Label<D>]],
        limit: &'a LabelLimit,
        width: usize,
        best: Option<Incumbent>,
    ) -> Self {
        let stages: Vec<Vec<Traits>> = leaves.iter().map(|leaf| leaf.iter().map(traits).collect()).collect();
        let adds_up =
            choice.walk.is_chain() && leaves.iter().copied().flatten().all(|label| label.delay.additive().is_some());
        // Where accuracies multiply, multipliers depend on how accurate the best choice is.
        let most = || stages.iter().map(|stage| stage.iter().map(|of| of.accuracy).fold(0.0, f64::max)).product();
        let guess = best.as_ref().map_or_else(most, |best| best.accuracy);
        let earliest = |leaf: &&[Label<D>]| {
            let delays = leaf.iter().map(|label| label.delay.clone());
            delays.reduce(|a, b| a.earliest(&b)).expect("no stage is empty")
        };
        Self {
            choice,
            leaves,
            limit,
            bound: Bound::new(choice.goal, &choice.metric, adds_up.then_some(choice.limit), guess, &stages),
            earliest: leaves.iter().map(earliest).collect(),
            width,
            is_cut: false,
            best,
            trails: Vec::new(),
        }
    }

    fn run(&mut self) {
        let choice = self.choice;
        let whole = self.part(&choice.walk, None);
        for label in &whole.labels {
            self.offer(label.accuracy, label.cost, |search| search.picks_of(label.trail));
        }
    }

    /// Returns the labels of a part of the walk; `around` is the earliest delay of what goes before and after it.
    fn part(&mut self, walk: &SeriesParallel, around: Option<&D>) -> Part<D> {
        match walk {
            SeriesParallel::Stage(stage) => self.stage(*stage, around),
            SeriesParallel::Series(parts) => self.series(parts, around),
            SeriesParallel::Parallel(parts) => {
                let mut parts = parts.iter();
                let first = self.part(parts.next().expect("a walk has a stage"), around);
                parts.fold(first, |sum, next| {
                    let next = self.part(next, around);
                    self.merge(&sum, &next, D::beside, around)
                })
            }
        }
    }

    fn series(&mut self, parts: &[SeriesParallel], around: Option<&D>) -> Part<D> {
        let earliest: Vec<D> = parts
            .iter()
            .map(|part| part.fold(&|stage: usize| self.earliest[stage].clone(), D::then, D::beside))
            .collect();
        let chain =
            |delays: &mut dyn Iterator<Item = &D>| delays.cloned().chain(around.cloned()).reduce(|a, b| a.then(&b));
        let mut sum: Option<Part<D>> = None;
        for (place, walk) in parts.iter().enumerate() {
            let others =
                chain(&mut earliest.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, delay)| delay));
            let next = self.part(walk, others.as_ref());
            let later = chain(&mut earliest[place + 1..].iter());
            sum = Some(match sum {
                None => next,
                Some(sum) => self.merge(&sum, &next, D::then, later.as_ref()),
            });
        }
        sum.expect("a walk has a stage")
    }

    fn stage(&mut self, stage: usize, around: Option<&D>) -> Part<D> {
        let mut inside = vec![false; self.leaves.len()];
        inside[stage] = true;
        let rest = self.bound.rest(&inside);
        let mut labels = Vec::new();
        for label in self.leaves[stage] {
            let promise = self.bound.promise(traits(label), &rest);
            if self.may_win(promise) && self.fits(&label.delay, around) {
                self.trails.push(Trail::Pick { stage, alternative: label.trail as usize });
                labels.push(Label { promise, trail: self.trails.len() as u32 - 1, ..label.clone() });
            }
        }
        Part { labels, inside }
    }

    /// Joins every label of one part with every label of another.
    fn merge(&mut self, one: &Part<D>, other: &Part<D>, join: fn(&D, &D) -> D, around: Option<&D>) -> Part<D> {
        let inside: Vec<bool> = one.inside.iter().zip(&other.inside).map(|(a, b)| *a || *b).collect();
        let rest = self.bound.rest(&inside);
        let is_whole = inside.iter().all(|inside| *inside);
        let mut joined = Vec::new();
        for a in &one.labels {
            for b in &other.labels {
                let (accuracy, cost) = (self.joined_accuracy(a, b), a.cost + b.cost);
                let seconds = a.delay.additive().zip(b.delay.additive()).map_or(0.0, |(a, b)| a + b);
                let promise = self.bound.promise(Traits { accuracy, cost, seconds }, &rest);
                if !self.may_win(promise) {
                    continue;
                }
                let delay = join(&a.delay, &b.delay);
                if !self.fits(&delay, around) {
                    continue;
                }
                if is_whole {
                    self.offer(accuracy, cost, |search| {
                        let mut picks = search.picks_of(a.trail);
                        search.fill(b.trail, &mut picks);
                        picks
                    });
                    continue;
                }
                if joined.len() >= self.limit.most {
                    self.limit.hit();
                    return Part { labels: Vec::new(), inside };
                }
                joined.push((Label { delay, accuracy, cost, promise, trail: 0 }, Trail::Both(a.trail, b.trail)));
            }
        }
        Part { labels: self.kept(joined), inside }
    }

    /// Drops labels that another one beats, and in the first pass all but the most promising.
    fn kept(&mut self, joined: Vec<(Label<D>, Trail)>) -> Vec<Label<D>> {
        let mut trails = Vec::with_capacity(joined.len());
        let mut labels: Vec<Label<D>> = Vec::with_capacity(joined.len());
        for (index, (label, trail)) in joined.into_iter().enumerate() {
            labels.push(Label { trail: index as u32, ..label });
            trails.push(trail);
        }
        D::keep_undominated(&mut labels);
        if labels.len() > self.width {
            labels.sort_by(|a, b| b.promise.total_cmp(&a.promise));
            labels.truncate(self.width);
            self.is_cut = true;
        }
        for label in &mut labels {
            self.trails.push(trails[label.trail as usize]);
            label.trail = self.trails.len() as u32 - 1;
        }
        labels
    }

    fn joined_accuracy(&self, a: &Label<D>, b: &Label<D>) -> f64 {
        match self.choice.metric {
            ChoiceMetric::Product => a.accuracy * b.accuracy,
            ChoiceMetric::Sum | ChoiceMetric::Table(_) => a.accuracy + b.accuracy,
        }
    }

    fn fits(&self, delay: &D, around: Option<&D>) -> bool {
        around.map_or_else(|| delay.fits(self.choice.limit), |around| delay.fits_before(around, self.choice.limit))
    }

    fn may_win(&self, promise: f64) -> bool {
        let beats = |best: &Incumbent| promise > best.worth + self.bound.noise(best.worth);
        self.best.as_ref().is_none_or(beats) && promise > f64::NEG_INFINITY
    }

    /// Takes a whole choice that keeps within the delay if it is better than the best so far.
    fn offer(&mut self, accuracy: f64, cost: f64, picks: impl Fn(&Self) -> Vec<usize>) {
        let Some(worth) = self.bound.worth(accuracy, cost) else { return };
        if self.best.as_ref().is_none_or(|best| worth > best.worth) {
            self.best = Some(Incumbent { worth, accuracy, picks: picks(self) });
        }
    }

    fn picks_of(&self, trail: u32) -> Vec<usize> {
        let mut picks = vec![0; self.leaves.len()];
        self.fill(trail, &mut picks);
        picks
    }

    fn fill(&self, trail: u32, picks: &mut [usize]) {
        match self.trails[trail as usize] {
            Trail::Pick { stage, alternative } => picks[stage] = alternative,
            Trail::Both(one, other) => {
                self.fill(one, picks);
                self.fill(other, picks);
            }
        }
    }
}

fn traits<D: Delay>(label: &Label<D>) -> Traits {
    Traits { accuracy: label.accuracy, cost: label.cost, seconds: label.delay.additive().unwrap_or(0.0) }
}

/// Removes labels of seconds that another one beats or equals: a sweep by delay over a staircase of cost and accuracy.
pub(super) fn keep_undominated_seconds(labels: &mut Vec<Label<f64>>) {
    let order = |a: &Label<f64>, b: &Label<f64>| {
        (a.delay.total_cmp(&b.delay)).then(a.cost.total_cmp(&b.cost)).then(b.accuracy.total_cmp(&a.accuracy))
    };
    labels.sort_by(order);
    // Of everything no later: costs increasing, and the highest accuracy at no more than each.
    let mut stairs: Vec<(f64, f64)> = Vec::new();
    labels.retain(|label| {
        let place = stairs.partition_point(|stair| stair.0 <= label.cost);
        if place > 0 && stairs[place - 1].1 >= label.accuracy {
            return false;
        }
        let end = place + stairs[place..].partition_point(|stair| stair.1 <= label.accuracy);
        stairs.splice(place..end, [(label.cost, label.accuracy)]);
        true
    });
}

/// Removes labels of any delay that another one beats or equals, by comparing each with all that are kept.
pub(super) fn keep_undominated_pairwise<D: Delay>(labels: &mut Vec<Label<D>>, no_later: impl Fn(&D, &D) -> bool) {
    labels.sort_by(|a, b| a.cost.total_cmp(&b.cost).then(b.accuracy.total_cmp(&a.accuracy)));
    let mut kept: Vec<Label<D>> = Vec::new();
    for label in labels.drain(..) {
        let beaten = |other: &Label<D>| other.accuracy >= label.accuracy && no_later(&other.delay, &label.delay);
        if !kept.iter().any(beaten) {
            kept.push(label);
        }
    }
    *labels = kept;
}
