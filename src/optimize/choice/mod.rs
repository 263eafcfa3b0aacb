//! One alternative for every stage of a walk: the integer program of the room `pipeline` (IPA, JSys 2024, section 4).
//!
//! ```text
//! best goal(A, C)    A = Σ a_s, Π a_s or a measured table    C = Σ c_s    the walk's delay within its limit
//! ```
//!
//! The load fixes what an alternative costs and how long it takes, so what is left is a multiple-choice knapsack with one
//! row of delay. [`labels`] searches it exactly, [`crate::optimize::milp`] is the second opinion, [`enumerate`] the
//! oracle. A delay is anything that can follow another and stand beside one: seconds that add up, or whole
//! distributions of response times that are convolved.

mod bound;
mod delay;
pub mod labels;
pub mod placed;

pub use crate::base::graph::SeriesParallel;
use crate::base::rounding::{ROUNDING, keeps_within};
pub use delay::Delay;

/// The integer program.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice<D> {
    /// What each stage can choose from.
    pub stages: Vec<Vec<Alternative<D>>>,
    /// Which stages follow each other and which go on side by side.
    pub walk: SeriesParallel,
    /// How the accuracies of the stages make that of the walk.
    pub metric: ChoiceMetric,
    /// What to make best.
    pub goal: ChoiceGoal,
    /// What the delay of the walk must keep within; its meaning is that of [`Delay::fits`].
    pub limit: f64,
}

/// One way to run a stage at the load that is planned for.
#[derive(Debug, Clone, PartialEq)]
pub struct Alternative<D> {
    /// Accuracy of the stage.
    pub accuracy: f64,
    /// What it costs, in the unit of the goal; at least 0.
    pub cost: f64,
    /// How long it takes.
    pub delay: D,
    /// Index into a [`Table`]: alternatives of one stage that answer alike share it, mixtures by the parts of what they mix.
    pub blend: usize,
}

/// How the accuracies of the stages make that of the walk.
#[derive(Debug, Clone, PartialEq)]
pub enum ChoiceMetric {
    /// They add up (PAS' of the paper: ranks scaled to 0..1).
    Sum,
    /// They multiply (PAS of the paper).
    Product,
    /// It was measured for every combination of blends.
    Table(Table),
}

/// Accuracy of the whole walk for every combination of its stages' blends.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Blends of each stage.
    pub sizes: Vec<usize>,
    /// Accuracies, the last stage's blend running fastest.
    pub accuracies: Vec<f64>,
}

/// What to make best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ChoiceGoal {
    /// `accuracy·A − C`.
    Weighted {
        /// Weight of the accuracy (α); costs carry theirs already.
        accuracy: f64,
    },
    /// Least cost with an accuracy of at least this, among equals the most accurate; the value is −C.
    Cheapest {
        /// The least accuracy.
        accuracy_at_least: f64,
    },
    /// Highest accuracy with a cost of at most this, among equals the cheapest; the value is A.
    MostAccurate {
        /// The largest cost.
        cost_at_most: f64,
    },
}

/// An alternative for every stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Picked {
    /// Value of the goal; higher is better.
    pub value: f64,
    /// Accuracy of the walk.
    pub accuracy: f64,
    /// Cost of the walk.
    pub cost: f64,
    /// Index of the alternative of each stage.
    pub picks: Vec<usize>,
}

impl Table {
    /// Returns the accuracy of one combination.
    #[must_use]
    pub fn accuracy(&self, blends: impl IntoIterator<Item = usize>) -> f64 {
        let place = self.sizes.iter().zip(blends).fold(0, |place, (size, blend)| place * size + blend);
        self.accuracies[place]
    }

    /// Returns the table of stages that may also be mixtures: each new blend of a stage is given as its parts of the old ones.
    ///
    /// A request meets each combination with the product of its parts, so accuracies are means.
    #[must_use]
    pub fn blended(&self, blends: &[Vec<Vec<f64>>]) -> Self {
        let sizes: Vec<usize> = blends.iter().map(Vec::len).collect();
        let count = sizes.iter().product();
        let mut blended = Self { sizes, accuracies: vec![0.0; count] };
        for place in 0..count {
            let chosen = blended.blends(place);
            let part = |old: &[usize]| -> f64 {
                old.iter().zip(&chosen).zip(blends).map(|((&old, &new), of_stage)| of_stage[new][old]).product()
            };
            blended.accuracies[place] = self.entries().map(|(old, accuracy)| part(&old) * accuracy).sum();
        }
        blended
    }

    /// Returns every combination of blends with its accuracy.
    pub fn entries(&self) -> impl Iterator<Item = (Vec<usize>, f64)> {
        self.accuracies.iter().enumerate().map(|(place, &accuracy)| (self.blends(place), accuracy))
    }

    /// Returns the combination of blends at a place of the table.
    fn blends(&self, place: usize) -> Vec<usize> {
        let mut rest = place;
        let blend = |&size: &usize| {
            let blend = rest % size;
            rest /= size;
            blend
        };
        let mut blends: Vec<usize> = self.sizes.iter().rev().map(blend).collect();
        blends.reverse();
        blends
    }
}

impl<D: Delay> Choice<D> {
    /// Returns what these picks are worth, or `None` where they break a limit.
    #[must_use]
    pub fn evaluate(&self, picks: &[usize]) -> Option<Picked> {
        let chosen: Vec<&Alternative<D>> = self.stages.iter().zip(picks).map(|(stage, &pick)| &stage[pick]).collect();
        let delay = self.walk.fold(&|stage: usize| chosen[stage].delay.clone(), D::then, D::beside);
        let cost = chosen.iter().map(|chosen| chosen.cost).sum();
        let accuracy = match &self.metric {
            ChoiceMetric::Sum => chosen.iter().map(|chosen| chosen.accuracy).sum(),
            ChoiceMetric::Product => chosen.iter().map(|chosen| chosen.accuracy).product(),
            ChoiceMetric::Table(table) => table.accuracy(chosen.iter().map(|chosen| chosen.blend)),
        };
        let value = self.goal.value(accuracy, cost).filter(|_| delay.fits(self.limit))?;
        Some(Picked { value, accuracy, cost, picks: picks.to_vec() })
    }
}

impl ChoiceGoal {
    /// Returns what an accuracy at a cost is worth, or `None` where it breaks the goal's limit.
    #[must_use]
    pub fn value(self, accuracy: f64, cost: f64) -> Option<f64> {
        match self {
            Self::Weighted { accuracy: weight } => Some(weight * accuracy - cost),
            // Accuracies of stages are parts of one, so what rounding may do to them is absolute.
            Self::Cheapest { accuracy_at_least: least } => {
                (accuracy >= least - ROUNDING * (1.0 + least.abs())).then_some(-cost)
            }
            Self::MostAccurate { cost_at_most } => keeps_within(cost, cost_at_most).then_some(accuracy),
        }
    }

    /// Returns by how much values of about such an accuracy and cost may differ by rounding.
    pub(crate) fn rounding(self, accuracy: f64, cost: f64) -> f64 {
        ROUNDING
            * match self {
                Self::Weighted { accuracy: weight } => weight * accuracy + cost,
                Self::Cheapest { .. } => cost,
                Self::MostAccurate { .. } => 1.0 + accuracy,
            }
    }
}

/// The oracle: tries everything. Takes time exponential in the stages; the first of equals wins.
#[must_use]
pub fn enumerate<D: Delay>(choice: &Choice<D>) -> Option<Picked> {
    let mut picks = vec![0; choice.stages.len()];
    let mut best: Option<Picked> = None;
    if choice.stages.iter().any(Vec::is_empty) {
        return None;
    }
    loop {
        if let Some(found) = choice.evaluate(&picks)
            && best.as_ref().is_none_or(|best| found.value > best.value)
        {
            best = Some(found);
        }
        // Counts up, the last stage fastest.
        let Some(place) = (0..picks.len()).rev().find(|&place| picks[place] + 1 < choice.stages[place].len()) else {
            return best;
        };
        picks[place] += 1;
        picks[place + 1..].fill(0);
    }
}
