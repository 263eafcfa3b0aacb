//! Exact optimisation, beside the rooms: our own search, the same problem as a MILP, and enumeration as the oracle.

pub mod choice;
pub mod enumerate;
pub mod few;
pub mod fill;
pub mod fleet;
pub mod levels;
pub mod lp;
#[cfg(feature = "milp")]
pub mod milp;
pub mod pack;
pub mod path;
pub(crate) mod side_by_side;
mod stairs;

use crate::base::rounding::{ROUNDING, SUMS};

/// A variant as the integer program sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Name, for people.
    pub name: String,
    /// Part of its answers that are right (a_m in InfAdapter).
    pub accuracy: f64,
    /// Time to start or resize it (rt_m); any unit, the same for all.
    pub load_time: f64,
    /// Cores that it holds now (n'_m); 0 where it is not running.
    pub current_cores: u32,
    /// What it can carry, by increasing cores; leaving it out is always possible.
    pub options: Vec<Allotment>,
}

/// Cores given to a variant, and the rate that it then carries (th_m(n)).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Allotment {
    /// Cores.
    pub cores: u32,
    /// Highest rate within the SLO, in requests per second.
    pub capacity: f64,
}

/// What to make best (section 1 of the paper, and ours).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Objective {
    /// `accuracy·AA − resource·RC − loading·LC`, with `RC` relative to the core budget and `LC` to the longest load time.
    Weighted {
        /// Weight of the average accuracy.
        accuracy: f64,
        /// Weight of the part of the budget in use.
        resource: f64,
        /// Weight of the longest load among variants that start or resize.
        loading: f64,
    },
    /// Fewest cores with an average accuracy of at least this; the value is −cores ÷ budget.
    Cheapest {
        /// The least average accuracy.
        accuracy_at_least: f64,
    },
    /// Highest average accuracy; the value is the accuracy. Among equals the fewest cores.
    MostAccurate,
    /// Highest average accuracy, then the fewest cores that give away at most `tolerance` of it; the value is −cores ÷ budget.
    AccuracyThenCores {
        /// Accuracy that may be given away.
        tolerance: f64,
    },
    /// Fewest cores, then the highest average accuracy on at most `tolerance` more; the value is the accuracy.
    CoresThenAccuracy {
        /// Cores that may be added.
        tolerance: u32,
    },
}

impl Objective {
    /// Returns the first level of a lexicographic objective; `None` for other objectives.
    #[must_use]
    pub const fn first_level(self) -> Option<Self> {
        match self {
            Self::AccuracyThenCores { .. } => Some(Self::MostAccurate),
            Self::CoresThenAccuracy { .. } => Some(Self::Cheapest { accuracy_at_least: 0.0 }),
            _ => None,
        }
    }

    /// Returns the least average accuracy that it asks for.
    pub(crate) const fn least_accuracy(self) -> f64 {
        match self {
            Self::Cheapest { accuracy_at_least } => accuracy_at_least,
            _ => 0.0,
        }
    }

    /// Returns what the objective's values are made of, as the unit of what they may differ by rounding: the weights, which are
    /// the user's choice; 1 where values are parts of one.
    pub(crate) const fn unit(self) -> f64 {
        match self {
            Self::Weighted { accuracy, resource, loading } => accuracy + resource + loading,
            _ => 1.0,
        }
    }
}

/// The integer program of the room `variant-set`, for any load.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// The variants, in the order of the user.
    pub items: Vec<Item>,
    /// Cores for all of them (B).
    pub budget: u32,
    /// What to make best.
    pub objective: Objective,
}

/// Cores for every variant and the rate that each carries.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// Value of the objective; higher is better.
    pub value: f64,
    /// Average accuracy over requests (AA).
    pub accuracy: f64,
    /// Cores of each item, in the order of the instance (n_m).
    pub cores: Vec<u32>,
    /// Rate of each item (λ_m); they sum to the load.
    pub quotas: Vec<f64>,
}

/// Whether a load is carried, as far as was looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Some choice carries it.
    Carried,
    /// No choice carries it.
    NotCarried,
    /// The search was cut short.
    Unknown,
}

/// The highest load that is carried, as far as was looked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Highest {
    /// A load that is carried, in requests per second; 0 where none is.
    pub load: f64,
    /// Whether no higher load is carried, or the search was cut short.
    pub is_proved: bool,
}

impl Highest {
    /// Returns a load of which it is known that no higher one is carried.
    #[must_use]
    pub const fn proved(load: f64) -> Self {
        Self { load, is_proved: true }
    }

    /// Tells whether it is as high as a load.
    pub(crate) fn reach(self, load: f64) -> Reach {
        match self {
            Self { load: highest, .. } if highest >= load * (1.0 - ROUNDING) => Reach::Carried,
            Self { is_proved: true, .. } => Reach::NotCarried,
            Self { .. } => Reach::Unknown,
        }
    }
}

/// Tells whether two solvers found the same best value of a goal, rounding aside, or both that there is none.
#[must_use]
pub fn agree(one: Option<f64>, other: Option<f64>, objective: Objective) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => (one - other).abs() <= ROUNDING * objective.unit(),
        (None, None) => true,
        _ => false,
    }
}

impl Instance {
    /// Returns the solution with these cores at this load: quotas filled most accurate first, which is optimal as only
    /// the average accuracy depends on them. `None` where capacity or accuracy does not suffice, or cores are too many.
    #[must_use]
    pub fn evaluate(&self, cores: &[u32], load: f64) -> Option<Solution> {
        if cores.iter().sum::<u32>() > self.budget {
            return None;
        }
        let (accuracy, quotas) = self.filled(cores, load)?;
        let value = self.value(cores, accuracy)?;
        Some(Solution { value, accuracy, cores: cores.to_vec(), quotas })
    }

    /// Returns the average accuracy and the rate of each item with these cores at this load, whatever the objective; `None` where
    /// capacity does not suffice.
    pub(crate) fn filled(&self, cores: &[u32], load: f64) -> Option<(f64, Vec<f64>)> {
        let mut quotas = vec![0.0; self.items.len()];
        let mut left = load;
        for index in self.by_accuracy() {
            quotas[index] = left.min(self.items[index].capacity(cores[index])?);
            left -= quotas[index];
        }
        if left > load * ROUNDING {
            return None;
        }
        let mass: f64 = self.items.iter().zip(&quotas).map(|(item, quota)| item.accuracy * quota).sum();
        Some((mass / (load - left.max(0.0)), quotas))
    }

    /// Returns the indices of the items, the most accurate first; the order of the user decides between equals.
    #[must_use]
    pub fn by_accuracy(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.items.len()).collect();
        order.sort_by(|&a, &b| self.items[b].accuracy.total_cmp(&self.items[a].accuracy));
        order
    }

    /// Returns the longest load time of all items (the scale of LC).
    #[must_use]
    pub fn longest_load(&self) -> f64 {
        self.items.iter().map(|item| item.load_time).fold(0.0, f64::max)
    }

    /// Returns the first level of a lexicographic objective as a program of its own; `None` for other objectives.
    #[must_use]
    pub fn first_level(&self) -> Option<Self> {
        Some(Self { objective: self.objective.first_level()?, ..self.clone() })
    }

    /// Returns the second level of a lexicographic objective, given an optimum of the first.
    #[must_use]
    pub fn second_level(&self, first: &Solution) -> Self {
        match self.objective {
            Objective::AccuracyThenCores { tolerance } => {
                let objective = Objective::Cheapest { accuracy_at_least: first.accuracy - tolerance };
                Self { objective, ..self.clone() }
            }
            Objective::CoresThenAccuracy { tolerance } => {
                let budget = self.budget.min(first.cores.iter().sum::<u32>() + tolerance);
                Self { objective: Objective::MostAccurate, budget, ..self.clone() }
            }
            _ => self.clone(),
        }
    }

    fn value(&self, cores: &[u32], accuracy: f64) -> Option<f64> {
        let used = f64::from(cores.iter().sum::<u32>()) / f64::from(self.budget);
        match self.objective {
            Objective::MostAccurate | Objective::CoresThenAccuracy { .. } => Some(accuracy),
            Objective::AccuracyThenCores { .. } => Some(-used),
            Objective::Cheapest { accuracy_at_least } => (accuracy >= accuracy_at_least - SUMS).then_some(-used),
            Objective::Weighted { accuracy: weight, resource, loading } => {
                Some(weight * accuracy - (resource * used + loading * self.loading(cores)))
            }
        }
    }

    /// Returns LC: the longest load time among items that start or resize ÷ the longest of all. Removal is free.
    fn loading(&self, cores: &[u32]) -> f64 {
        let changed = self.items.iter().zip(cores).filter(|&(item, &n)| n > 0 && n != item.current_cores);
        let longest = changed.map(|(item, _)| item.load_time).fold(0.0, f64::max);
        let scale = self.longest_load();
        if scale > 0.0 { longest / scale } else { 0.0 }
    }
}

impl Item {
    /// Returns what the item carries on that many cores: 0 on none, `None` where it is no option.
    fn capacity(&self, cores: u32) -> Option<f64> {
        if cores == 0 {
            return Some(0.0);
        }
        self.options.iter().find(|option| option.cores == cores).map(|option| option.capacity)
    }
}
