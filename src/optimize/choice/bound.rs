//! Upper bounds on what a partial choice can still become: Lagrange multipliers on delay and on the goal's limit.
//!
//! With multipliers μ on the delay and ν on the goal's limit, nothing that completes a label is worth more than
//!
//! ```text
//! weighted sum       α·A − C − μ·(T − limit)
//! cheapest           −C + ν·(f(A) − f(x)) − μ·(T − limit)
//! most accurate      f(A) − ν·(C − budget) − μ·(T − limit)
//! ```
//!
//! each the sum of a number per stage, where f is the logarithm if accuracies multiply. The weighted product is no such
//! sum; its bound is `max k·A_rest − W_rest` over the corners of the hull of what the other stages can reach (W being cost
//! and priced delay), where k is α times the label's own accuracy. A corner of two stages together is made of corners of
//! each, so hulls are multiplied without loss. Any μ, ν ≥ 0 are valid; those that make the bound of everything least are
//! sought by bisection.

use super::{ChoiceGoal, ChoiceMetric};
use crate::base::rounding::{NOISE, ROUNDING, keeps_within};

/// Accuracies below this count as this much where logarithms are taken.
const LEAST_ACCURACY: f64 = 1e-300;
/// Steps of a bisection for a multiplier.
const STEPS: usize = 40;
/// Where a bisection for a multiplier begins, and where it gives up, in its unit.
const LOWEST_PRICE: f64 = 1e-6;
const HIGHEST_PRICE: f64 = 1e15;
/// Turns of the bisections where there are two multipliers.
const TURNS: usize = 4;

/// What the bound sees of an alternative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Traits {
    pub accuracy: f64,
    pub cost: f64,
    pub seconds: f64,
}

/// The goal with its multipliers.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    goal: ChoiceGoal,
    multiplies: bool,
    limit: f64,
    delay_price: f64,
    limit_price: f64,
    /// What the values of a weighted goal are made of.
    unit: f64,
    count: usize,
    stages: Vec<StageBest>,
}

/// The best of each kind that a stage offers.
#[derive(Debug, Clone)]
struct StageBest {
    score: f64,
    accuracy: f64,
    cost: f64,
    /// Corners (accuracy, cost + priced delay), both increasing; only where the weighted product asks for them.
    hull: Vec<(f64, f64)>,
}

/// The best that the stages can give that a label does not hold yet.
#[derive(Debug, Clone)]
pub(super) struct Rest {
    score: f64,
    accuracy: f64,
    cost: f64,
    hull: Vec<(f64, f64)>,
}

impl Bound {
    /// Finds good multipliers. `limit` is that of the delay, `None` where delays do not add up; `guess` is about the
    /// accuracy of the best choice.
    pub fn new(
        goal: ChoiceGoal,
        metric: &ChoiceMetric,
        limit: Option<f64>,
        guess: f64,
        stages: &[Vec<Traits>],
    ) -> Self {
        let multiplies = *metric == ChoiceMetric::Product;
        // A multiplier is sought around a value of the goal for each unit of what it prices.
        let most = |of: fn(&Traits) -> f64| -> f64 {
            stages.iter().map(|stage| stage.iter().map(|traits| of(traits).abs()).fold(0.0, f64::max)).sum()
        };
        let cost = most(|of| of.cost);
        let (unit, limit_unit) = match goal {
            ChoiceGoal::Weighted { accuracy: weight } => (weight.abs() * most(|of| of.accuracy) + cost, 1.0),
            ChoiceGoal::Cheapest { .. } => (cost, cost),
            ChoiceGoal::MostAccurate { .. } => (1.0, one_or(cost).recip()),
        };
        let mut bound = Self {
            goal,
            multiplies,
            limit: limit.unwrap_or(0.0),
            delay_price: 0.0,
            limit_price: 0.0,
            unit,
            count: stages.len(),
            stages: Vec::new(),
        };
        let has_limit = !matches!(goal, ChoiceGoal::Weighted { .. });
        for _ in 0..if has_limit { TURNS } else { 1 } {
            if has_limit {
                bound.limit_price = bisect(limit_unit, |price| {
                    let picked = Self { limit_price: price, ..bound.clone() }.greedy(stages, guess);
                    bound.slack_of(&picked) >= 0.0
                });
            }
            if let Some(limit) = limit {
                bound.delay_price = bisect(unit / one_or(limit), |price| {
                    let picked = Self { delay_price: price, ..bound.clone() }.greedy(stages, guess);
                    picked.iter().map(|picked| picked.seconds).sum::<f64>() <= limit
                });
            }
        }
        bound.stages = stages.iter().map(|stage| bound.best_of(stage)).collect();
        bound
    }

    /// Returns what a whole choice is worth inside the search, or `None` where it breaks the goal's limit.
    pub fn worth(&self, accuracy: f64, cost: f64) -> Option<f64> {
        let value = self.goal.value(accuracy, cost)?;
        Some(if matches!(self.goal, ChoiceGoal::MostAccurate { .. }) { self.additive(accuracy) } else { value })
    }

    /// Returns how much more than the worth of the best choice a promise may be by rounding alone.
    pub fn noise(&self, best: f64) -> f64 {
        NOISE
            * match self.goal {
                ChoiceGoal::Weighted { .. } => self.unit,
                ChoiceGoal::Cheapest { .. } => best.abs(),
                ChoiceGoal::MostAccurate { .. } => 1.0 + best.abs(),
            }
    }

    /// Returns the best that the stages can give that are not inside.
    pub fn rest(&self, inside: &[bool]) -> Rest {
        let none = Rest { score: 0.0, accuracy: 0.0, cost: 0.0, hull: vec![(1.0, 0.0)] };
        let outside = self.stages.iter().zip(inside).filter(|(_, inside)| !**inside).map(|(stage, _)| stage);
        outside.fold(none, |rest, stage| Rest {
            score: rest.score + stage.score,
            accuracy: rest.accuracy + stage.accuracy,
            cost: rest.cost + stage.cost,
            hull: if stage.hull.is_empty() { rest.hull } else { product_hull(&rest.hull, &stage.hull) },
        })
    }

    /// Returns a value that nothing exceeds that completes these numbers; −∞ where the goal's limit cannot hold.
    pub fn promise(&self, of: Traits, rest: &Rest) -> f64 {
        if !self.may_hold(of, rest) {
            return f64::NEG_INFINITY;
        }
        if let Some(weight) = self.product_weight() {
            let slope = weight * of.accuracy;
            let best = rest.hull.iter().map(|corner| slope * corner.0 - corner.1).fold(f64::NEG_INFINITY, f64::max);
            return best - of.cost - self.delay_price * (of.seconds - self.limit);
        }
        self.score(of, f64::NAN) + rest.score + self.constant()
    }

    fn product_weight(&self) -> Option<f64> {
        match self.goal {
            ChoiceGoal::Weighted { accuracy } if self.multiplies => Some(accuracy),
            _ => None,
        }
    }

    /// Tells whether the goal's limit can hold with the best of the rest.
    fn may_hold(&self, of: Traits, rest: &Rest) -> bool {
        match self.goal {
            ChoiceGoal::Weighted { .. } => true,
            ChoiceGoal::Cheapest { accuracy_at_least } => {
                let least = self.least(accuracy_at_least);
                self.additive(of.accuracy) + rest.accuracy >= least - ROUNDING * (1.0 + least.abs())
            }
            ChoiceGoal::MostAccurate { cost_at_most } => keeps_within(of.cost + rest.cost, cost_at_most),
        }
    }

    /// Returns the asked accuracy as labels add it up; one of 0 asks for nothing, however many stages have none.
    fn least(&self, asked: f64) -> f64 {
        let stages = if self.multiplies && asked <= LEAST_ACCURACY { self.count as f64 } else { 1.0 };
        stages * self.additive(asked)
    }

    fn additive(&self, accuracy: f64) -> f64 {
        if self.multiplies { accuracy.max(LEAST_ACCURACY).ln() } else { accuracy }
    }

    /// Returns the part of the bound that no stage changes.
    fn constant(&self) -> f64 {
        let of_goal = match self.goal {
            ChoiceGoal::Weighted { .. } => 0.0,
            ChoiceGoal::Cheapest { accuracy_at_least } => -self.limit_price * self.least(accuracy_at_least),
            // A limit that costs nothing may be infinite.
            ChoiceGoal::MostAccurate { .. } if self.limit_price == 0.0 => 0.0,
            ChoiceGoal::MostAccurate { cost_at_most } => self.limit_price * cost_at_most,
        };
        of_goal + self.delay_price * self.limit
    }

    /// Returns a stage's part of the bound; of the weighted product, what it is near the guessed accuracy.
    fn score(&self, of: Traits, guess: f64) -> f64 {
        let (gain, loss) = match self.goal {
            ChoiceGoal::Weighted { accuracy } if self.multiplies => (accuracy * guess, 1.0),
            ChoiceGoal::Weighted { accuracy } => (accuracy, 1.0),
            ChoiceGoal::Cheapest { .. } => (self.limit_price, 1.0),
            ChoiceGoal::MostAccurate { .. } => (1.0, self.limit_price),
        };
        gain * self.additive(of.accuracy) - loss * of.cost - self.delay_price * of.seconds
    }

    fn best_of(&self, stage: &[Traits]) -> StageBest {
        let most = |of: &dyn Fn(&Traits) -> f64| stage.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
        let corners = || upper_hull(stage.iter().map(|of| (of.accuracy, self.priced(*of))).collect());
        StageBest {
            score: most(&|of| self.score(*of, 1.0)),
            accuracy: most(&|of| self.additive(of.accuracy)),
            cost: -most(&|of| -of.cost),
            hull: self.product_weight().map(|_| corners()).unwrap_or_default(),
        }
    }

    fn priced(&self, of: Traits) -> f64 {
        of.cost + self.delay_price * of.seconds
    }

    /// Returns the alternative of each stage that the multipliers prefer.
    fn greedy(&self, stages: &[Vec<Traits>], guess: f64) -> Vec<Traits> {
        let best = |stage: &Vec<Traits>| {
            let scored = stage.iter().map(|of| (self.score(*of, guess), *of));
            scored.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, of)| of)
        };
        stages.iter().filter_map(best).collect()
    }

    /// Returns by how much a choice keeps within the goal's limit; negative where it does not.
    fn slack_of(&self, picked: &[Traits]) -> f64 {
        match self.goal {
            ChoiceGoal::Weighted { .. } => 0.0,
            ChoiceGoal::Cheapest { accuracy_at_least } => {
                picked.iter().map(|of| self.additive(of.accuracy)).sum::<f64>() - self.least(accuracy_at_least)
            }
            ChoiceGoal::MostAccurate { cost_at_most } => cost_at_most - picked.iter().map(|of| of.cost).sum::<f64>(),
        }
    }
}

/// Returns a number that others are measured by; 1 where it is none.
fn one_or(unit: f64) -> f64 {
    if unit > 0.0 && unit.is_finite() { unit } else { 1.0 }
}

/// Returns about the smallest price, in this unit, at which a limit holds, which holds at every larger one; 0 where it always
/// does, or at no price.
fn bisect(unit: f64, holds: impl Fn(f64) -> bool) -> f64 {
    if holds(0.0) {
        return 0.0;
    }
    let mut high = LOWEST_PRICE * one_or(unit);
    let highest = HIGHEST_PRICE * one_or(unit);
    while !holds(high) {
        high *= 16.0;
        if high > highest {
            return 0.0;
        }
    }
    let mut low = high / 16.0;
    for _ in 0..STEPS {
        let middle = 0.5 * (low + high);
        if holds(middle) { high = middle } else { low = middle }
    }
    high
}

/// Returns the corners (accuracy, cost) that are best at some slope above 0: both increase, cost ever faster.
fn upper_hull(mut points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let mut hull: Vec<(f64, f64)> = Vec::new();
    for point in points {
        while hull.last().is_some_and(|last| last.1 >= point.1) {
            hull.pop();
        }
        while let [.., before, last] = hull.as_slice() {
            let rises_slower = (last.1 - before.1) * (point.0 - last.0) >= (point.1 - last.1) * (last.0 - before.0);
            if !rises_slower {
                break;
            }
            hull.pop();
        }
        hull.push(point);
    }
    hull
}

fn product_hull(one: &[(f64, f64)], other: &[(f64, f64)]) -> Vec<(f64, f64)> {
    upper_hull(one.iter().flat_map(|a| other.iter().map(|b| (a.0 * b.0, a.1 + b.1))).collect())
}

#[cfg(test)]
mod tests {
    use super::{Bound, ChoiceGoal, ChoiceMetric, Traits, product_hull, upper_hull};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Puts the traits of some alternatives together.
    fn together(metric: &ChoiceMetric, picked: impl Iterator<Item = Traits>) -> Traits {
        let product = *metric == ChoiceMetric::Product;
        let none = Traits { accuracy: f64::from(u8::from(product)), cost: 0.0, seconds: 0.0 };
        picked.fold(none, |sum, of| Traits {
            accuracy: if product { sum.accuracy * of.accuracy } else { sum.accuracy + of.accuracy },
            cost: sum.cost + of.cost,
            seconds: sum.seconds + of.seconds,
        })
    }

    /// Whatever part of a choice is made, no completion that keeps the limits is worth more than was promised. Where accuracies
    /// multiply none is 0: that makes all choices alike.
    #[test]
    fn no_completion_is_worth_more_than_promised() {
        let mut dice = ChaCha8Rng::seed_from_u64(5);
        let (mut completions, mut tight) = (0, 0);
        for instance in 0..600 {
            let count = dice.random_range(2..=4_usize);
            let mut draw = |most: f64| (dice.random_range(0.0..most) * 8.0_f64).round() / 8.0;
            let stages: Vec<Vec<Traits>> = (0..count)
                .map(|_| {
                    (0..3)
                        .map(|_| Traits { accuracy: draw(0.875) + 0.125, cost: draw(4.0), seconds: draw(2.0) })
                        .collect()
                })
                .collect();
            let metric = if instance % 2 == 0 { ChoiceMetric::Sum } else { ChoiceMetric::Product };
            let limit = (instance % 4 < 2).then(|| draw(2.0 * count as f64));
            let goal = match instance % 3 {
                0 => ChoiceGoal::Weighted { accuracy: draw(8.0) },
                1 => ChoiceGoal::Cheapest { accuracy_at_least: draw(1.0) },
                _ => ChoiceGoal::MostAccurate { cost_at_most: draw(3.0 * count as f64) },
            };
            let bound = Bound::new(goal, &metric, limit, draw(1.0), &stages);
            for picks in 0..3_usize.pow(count as u32) {
                let pick = |stage: usize| stages[stage][picks / 3_usize.pow(stage as u32) % 3];
                let whole = together(&metric, (0..count).map(pick));
                let Some(worth) = bound.worth(whole.accuracy, whole.cost) else { continue };
                if limit.is_some_and(|limit| whole.seconds > limit) {
                    continue;
                }
                for inside in 0..1_usize << count {
                    let inside: Vec<bool> = (0..count).map(|stage| inside >> stage & 1 == 1).collect();
                    let part = together(&metric, (0..count).filter(|&stage| inside[stage]).map(pick));
                    let promise = bound.promise(part, &bound.rest(&inside));
                    assert!(
                        promise >= worth - bound.noise(worth) - 1e-12,
                        "{instance}: {promise} for {worth}, {inside:?}"
                    );
                    completions += 1;
                    tight += u32::from(promise <= worth + 0.5);
                }
            }
        }
        assert!(completions > 50_000 && tight > completions / 10, "{tight} of {completions} promises are tight");
    }

    #[test]
    fn a_hull_keeps_what_is_best_at_some_slope() {
        let points = vec![(0.5, 1.0), (0.6, 5.0), (0.7, 2.0), (0.9, 9.0), (0.4, 3.0)];
        assert_eq!(upper_hull(points), [(0.5, 1.0), (0.7, 2.0), (0.9, 9.0)]);
    }

    #[test]
    fn hulls_multiply_without_loss() {
        let one = vec![(0.5, 1.0), (0.6, 1.4), (0.7, 2.0), (0.9, 9.0)];
        let other = vec![(0.3, 0.5), (0.65, 1.1), (0.8, 4.0), (0.95, 4.5)];
        let all: Vec<(f64, f64)> = one.iter().flat_map(|a| other.iter().map(move |b| (a.0 * b.0, a.1 + b.1))).collect();
        let hull = product_hull(&upper_hull(one), &upper_hull(other));
        for slope in [0.1, 1.0, 5.0, 20.0, 100.0] {
            let best = |points: &[(f64, f64)]| points.iter().map(|p| slope * p.0 - p.1).fold(f64::MIN, f64::max);
            assert!((best(&all) - best(&hull)).abs() < 1e-12);
        }
    }
}
