//! Variants side by side on machines that are rented whole: from the highest load down, one step at a time.
//!
//! ```text
//! best fleet at the highest load ─▶ step ─▶ highest load below at which a better or cheaper choice exists ─┐
//!              ▲                                                                                            │
//!              └────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Every step is proved best at its highest load. Less load never makes the best worse, so the border to the next step is
//! found by bisection: below it a choice is cheaper, or more accurate by more than may be lost.

use super::mix::{FleetItem, Looks, Mix, Squad};
use super::{best, cost_of, frontier};
use crate::base::error::Error;
use crate::base::rounding::{ROUNDING, SUMS, keeps_within};
use crate::optimize::side_by_side::{Found, SideBySide, Step};
use crate::optimize::{Highest, Objective, Reach};

/// Steps of the bisection for a border.
const STEPS: usize = 32;
/// The lowest load that is planned for, as a part of the highest.
const LOWEST: f64 = 1e-3;
/// What a question for the highest load may look at before it stays open: a second or two.
const MOST_LOOKS: u64 = 100_000_000;

const METHOD: &str =
    "exact: every fleet within stock that a bound lets pass, the cheapest first; labels over variants; packed exactly";

impl SideBySide for Mix {
    fn method(&self) -> &'static str {
        METHOD
    }

    fn best(&self, objective: Objective, load: f64) -> Option<Found> {
        best(self.kinds(), objective, &self.at(load))
    }

    fn best_without(&self, item: usize, option: usize, objective: Objective, load: f64) -> Option<Found> {
        let mut items = self.items().to_vec();
        let options = &self.items()[item].options;
        let cores = |option: &Squad| option.size.cores * option.size.count;
        let kept: Vec<usize> =
            (0..options.len()).filter(|&index| cores(&options[index]) != cores(&options[option])).collect();
        items[item] = FleetItem { options: kept.iter().map(|&index| options[index]).collect(), ..items[item].clone() };
        let mut found = Mix::new(items, self.kinds().to_vec()).best(objective, load)?;
        if let Some(pick) = found.choice[item].checked_sub(1) {
            found.choice[item] = kept[pick] + 1;
        }
        Some(found)
    }

    fn filled(&self, picks: &[usize], load: f64) -> Option<(f64, Vec<f64>)> {
        self.evaluate(picks, load)
    }

    fn frontier(&self, load: f64) -> Vec<Found> {
        frontier(self.kinds(), &self.at(load))
    }

    fn highest(&self, objective: Objective, most: f64) -> Highest {
        self.highest_load(most, objective.least_accuracy(), Looks::at_most(MOST_LOOKS))
    }

    fn reaches(&self, objective: Objective, load: f64) -> Reach {
        Mix::reaches(self, load, objective.least_accuracy(), Looks::at_most(MOST_LOOKS))
    }

    fn steps(&self, objective: Objective, most: f64, loss: f64) -> Result<Option<Vec<Step>>, Error> {
        let Some(highest) = self.best(objective, most) else { return Ok(None) };
        let below = Below { mix: self, objective, loss, lowest: most * LOWEST };
        let mut steps = Vec::new();
        let mut next = Some((most, highest));
        while let Some((up_to, found)) = next {
            next = below.next(up_to, &found);
            steps.push(Step { up_to, bound: found.value, found });
        }
        steps.reverse();
        Ok(Some(steps))
    }
}

/// What is worth a step of its own below another.
struct Below<'a> {
    mix: &'a Mix,
    objective: Objective,
    /// Accuracy that may be lost.
    loss: f64,
    /// The lowest load that is planned for.
    lowest: f64,
}

impl Below<'_> {
    /// Returns the highest load below one at which another step is worth it, with the best choice there; `None` where
    /// none is down to the lowest load.
    fn next(&self, load: f64, found: &Found) -> Option<(f64, Found)> {
        let better = |at: f64| self.mix.best(self.objective, at).filter(|other| self.is_worth_it(other, found));
        if load <= self.lowest {
            return None;
        }
        let mut low = (self.lowest, better(self.lowest)?);
        let mut high = load;
        for _ in 0..STEPS {
            // What is better here stays so up to the highest load that it carries.
            let until = self.stays_worth_it(&low.1, found, low.0, high);
            low.0 = until;
            if high - low.0 <= 1e-6 * high {
                break;
            }
            // Mostly nothing is better right beyond; then the border is exact.
            let just = (low.0 * (1.0 + 1e-7)).min(high);
            let Some(beyond) = better(just) else { break };
            let middle = 0.5 * (just + high);
            if let Some(other) = better(middle) {
                low = (middle, other);
            } else {
                high = middle;
                low = (just, beyond);
            }
        }
        // At the very border rounding may take away what is there just below it.
        [0.0, ROUNDING, 2e-6].into_iter().find_map(|part| {
            let at = low.0 * (1.0 - part);
            Some((at, better(at)?))
        })
    }

    /// Returns the highest load up to `most` at which a choice is still worth a step of its own.
    fn stays_worth_it(&self, other: &Found, found: &Found, from: f64, most: f64) -> f64 {
        let holds = |load: f64| self.revalued(other, load).is_some_and(|other| self.is_worth_it(&other, found));
        let (mut low, mut high) = (from, most);
        for _ in 0..48 {
            let middle = 0.5 * (low + high);
            if holds(middle) { low = middle } else { high = middle }
        }
        low
    }

    /// Returns a choice at another load.
    fn revalued(&self, of: &Found, load: f64) -> Option<Found> {
        let (accuracy, _) = self.mix.evaluate(&of.choice, load)?;
        let value = match self.objective {
            Objective::Cheapest { accuracy_at_least } if accuracy < accuracy_at_least - SUMS => return None,
            Objective::Cheapest { .. } | Objective::AccuracyThenCores { .. } => of.value,
            Objective::MostAccurate | Objective::CoresThenAccuracy { .. } => accuracy,
            Objective::Weighted { accuracy: weight, .. } => of.value + weight * (accuracy - of.accuracy),
        };
        Some(Found { value, accuracy, ..of.clone() })
    }

    /// Tells whether another choice is cheaper as the goal sees it, or better by more than the goal lets pass.
    fn is_worth_it(&self, other: &Found, found: &Found) -> bool {
        let cheaper = !keeps_within(found.cost, other.cost);
        match self.objective {
            Objective::Cheapest { .. } => {
                cheaper || (keeps_within(other.cost, found.cost) && other.accuracy > found.accuracy + self.loss)
            }
            Objective::MostAccurate => {
                other.accuracy > found.accuracy + self.loss || (other.accuracy >= found.accuracy - ROUNDING && cheaper)
            }
            Objective::Weighted { accuracy, resource, .. } => {
                let least = (accuracy * self.loss).min(0.5 * resource * self.smallest_part());
                other.value > found.value + least + ROUNDING * self.objective.unit()
            }
            // What is dearer is only better where the other is no longer accurate enough.
            Objective::AccuracyThenCores { .. } | Objective::CoresThenAccuracy { .. } => {
                cheaper || other.accuracy > found.accuracy + self.loss
            }
        }
    }

    /// Returns the price of the cheapest machine that costs anything ÷ the price of everything there is.
    fn smallest_part(&self) -> f64 {
        let kinds = self.mix.kinds();
        let prices = kinds.iter().map(|kind| kind.price).filter(|price| *price > 0.0);
        let all: Vec<u32> = kinds.iter().map(|kind| kind.at_most).collect();
        prices.fold(f64::INFINITY, f64::min) / cost_of(kinds, &all)
    }
}
