//! The optimum at one load: label setting over the variants, with dominance and a bound; exact, and faster than a
//! [`Ladder`](super::Ladder) where nobody asks for the other loads.
//!
//! Variants are decided the most accurate first, as that is the order of filling. A **label** is what was decided so far:
//! `R` cores taken, `l` of the load carried, `m` right answers per second. Every goal comes down to the highest
//! `weight·m − price·R` at the load λ:
//!
//! ```text
//! weighted       λ·V = w_acc·m − (w_res·λ/B)·R − w_load·λ·L      for each load-time level L, the most promising first
//! most accurate  λ·V = m, then the fewest cores that keep it
//! cheapest       the fewest cores R whose highest m is at least x·λ
//! ```
//!
//! **Dominance.** Before variant j a label is worthless beside another with `R' ≤ R`, `l' ≥ l` and
//! `m' − a_j·l' ≥ m − a_j·l`: whatever the first does with its remaining load, the other can do, and the load that it has
//! carried more would bring at most `a_j` a request.
//!
//! **Bound.** The load row is priced out at μ (Lagrange), the core row is kept whole:
//!
//! ```text
//! W_j(b) = max over allotments of variants j… within b cores:  Σ (weight·a − μ)·cap − price·n
//! label's value ≤ weight·m − price·R + μ·(λ − l) + W_j(B − R)
//! ```
//!
//! At the best μ that is the value itself but for what whole cores lose. The tables cost `variants × cores²` additions.

use super::worth_looking_at;
use crate::base::rounding::{NOISE, ROUNDING, SUMS};
use crate::optimize::stairs::Stairs;
use crate::optimize::{Allotment, Instance, Objective, Solution};

/// Prices of load that are tried at most; the search for the best one ends by itself after a few.
const MOST_PRICES: usize = 64;

/// Parts of the gap between the bound and the best known solution that are searched, one after the other.
const PARTS_OF_GAP: [f64; 4] = [1.0 / 64.0, 1.0 / 16.0, 1.0 / 4.0, 1.0];

/// Returns the best solution at a load, or `None` where there is none.
///
/// Among equals the goal `MostAccurate` takes the fewest cores, and `Cheapest` the most accurate.
#[must_use]
pub fn solve(instance: &Instance, load: f64) -> Option<Solution> {
    match instance.objective {
        Objective::Weighted { accuracy, resource, loading } => weighted(instance, load, [accuracy, resource, loading]),
        Objective::Cheapest { accuracy_at_least } => fewest_cores(instance, load, accuracy_at_least),
        Objective::AccuracyThenCores { .. } | Objective::CoresThenAccuracy { .. } => {
            let first = solve(&instance.first_level()?, load)?;
            solve(&instance.second_level(&first), load)
        }
        Objective::MostAccurate => {
            let best = Program::of_accuracy(instance, load).relaxed()?.best_above(f64::NEG_INFINITY)?;
            let most = instance.evaluate(&best, load)?;
            fewest_cores(instance, load, most.accuracy).or(Some(most))
        }
    }
}

/// Solves level by level, the one of the highest bound first, until no other can be better.
fn weighted(instance: &Instance, load: f64, [accuracy, resource, loading]: [f64; 3]) -> Option<Solution> {
    let price = resource * load / f64::from(instance.budget);
    let longest = instance.longest_load();
    let level = |threshold: f64| {
        let part = if threshold.is_finite() && longest > 0.0 { threshold / longest } else { 0.0 };
        let relaxed = Program::new(instance, load, threshold, [accuracy, price]).relaxed()?;
        let fixed = loading * part * load;
        Some((relaxed.bound() - fixed, fixed, relaxed))
    };
    let mut levels: Vec<_> = super::load_time_levels(instance).into_iter().filter_map(level).collect();
    levels.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut best: Option<Solution> = None;
    for (bound, fixed, relaxed) in levels {
        let known = best.as_ref().map_or(f64::NEG_INFINITY, |best| best.value * load);
        if bound <= known {
            break;
        }
        if let Some(cores) = relaxed.best_above(known + fixed) {
            let found = instance.evaluate(&cores, load);
            best = found.filter(|found| best.as_ref().is_none_or(|best| found.value > best.value)).or(best);
        }
    }
    best
}

/// Finds the most accurate solution with the fewest cores that are accurate enough: the bound says where to begin.
fn fewest_cores(instance: &Instance, load: f64, accuracy_at_least: f64) -> Option<Solution> {
    let program = Program::of_accuracy(instance, load);
    // Twice the slack: rounding must not cut off what is accurate enough by the last digit.
    let least = (accuracy_at_least - 2.0 * SUMS) * load;
    let whole = program.clone().relaxed()?;
    let first = (0..=program.budget).find(|&budget| whole.bound_within(budget) > least)?;
    (first..=program.budget).find_map(|budget| {
        let cores = program.within(budget).relaxed()?.best_above(least)?;
        let accurate = |solution: &Solution| solution.accuracy >= accuracy_at_least - SUMS;
        instance.evaluate(&cores, load).filter(accurate)
    })
}

/// A variant with what it may get, capacities increasing.
#[derive(Debug, Clone)]
struct Variant {
    index: usize,
    accuracy: f64,
    options: Vec<Allotment>,
}

/// The program of one load with a linear score.
#[derive(Debug, Clone)]
struct Program {
    load: f64,
    budget: usize,
    weight: f64,
    price: f64,
    items: usize,
    /// The most accurate first.
    variants: Vec<Variant>,
}

impl Program {
    fn new(instance: &Instance, load: f64, threshold: f64, [weight, price]: [f64; 2]) -> Self {
        let variant = |index: usize| Variant {
            index,
            accuracy: instance.items[index].accuracy,
            options: worth_looking_at(instance, index, threshold, load),
        };
        let variants = instance.by_accuracy().into_iter().map(variant).filter(|variant| !variant.options.is_empty());
        let (items, variants) = (instance.items.len(), variants.collect());
        Self { load, budget: instance.budget as usize, weight, price, items, variants }
    }

    /// Only right answers count.
    fn of_accuracy(instance: &Instance, load: f64) -> Self {
        Self::new(instance, load, f64::INFINITY, [1.0, 0.0])
    }

    fn within(&self, budget: usize) -> Self {
        Self { budget, ..self.clone() }
    }

    /// Returns the least load that counts as all of it: sums of capacities may fall short by rounding.
    fn needed(&self) -> f64 {
        self.load * (1.0 - ROUNDING)
    }

    /// Prices the load out; `None` where the cores do not carry it.
    ///
    /// Where the price is too high the best allotments carry less than the load, where it is too low they carry more. The
    /// tangents of both sides cross at the next price to try (Kelley's cuts), until the crossing is on the function.
    fn relaxed(self) -> Option<Relaxed> {
        let reach = Gains::new(&self, |_, option| option.capacity);
        if reach.at(0, self.budget) < self.needed() {
            return None;
        }
        let mut above = Tangent { carried: 0.0, score: 0.0 };
        let mut priced = self.cheap_enough();
        let mut enough = (priced.tangent, priced.cores.clone());
        for _ in 0..MOST_PRICES {
            let load_price = above.crossing(enough.0);
            let crossing = enough.0.at(load_price, self.load);
            priced = self.at_price(load_price);
            if priced.tangent.carried >= self.needed() {
                enough = (priced.tangent, priced.cores.clone());
            } else {
                above = priced.tangent;
            }
            if priced.tangent.at(load_price, self.load) <= crossing + self.noise() {
                break;
            }
        }
        Some(Relaxed { program: self, reach, load_price: priced.load_price, gains: priced.gains, known: enough.1 })
    }

    /// Returns a price so low that the best allotments carry the load, which the cores are known to do.
    fn cheap_enough(&self) -> Priced {
        let mut load_price = self.weight * self.variants.last().map_or(0.0, |variant| variant.accuracy);
        let mut step = self.weight + self.price;
        loop {
            let priced = self.at_price(load_price);
            if priced.tangent.carried >= self.needed() || !step.is_finite() {
                return priced;
            }
            load_price -= step;
            step *= 4.0;
        }
    }

    fn at_price(&self, load_price: f64) -> Priced {
        let worth = |variant: &Variant| self.weight * variant.accuracy;
        let paid = |option: &Allotment| self.price * f64::from(option.cores);
        let gain =
            |variant: &Variant, option: &Allotment| (worth(variant) - load_price) * option.capacity - paid(option);
        let gains = Gains::new(self, gain);
        let mut tangent = Tangent { carried: 0.0, score: 0.0 };
        let mut cores = vec![0; self.variants.len()];
        let mut budget = self.budget;
        for (position, variant) in self.variants.iter().enumerate() {
            if gains.at(position, budget) == gains.at(position + 1, budget) {
                continue;
            }
            let makes_it = |option: &&Allotment| {
                let rest = budget.checked_sub(option.cores as usize).map(|rest| gains.at(position + 1, rest));
                rest.is_some_and(|rest| rest + gain(variant, option) == gains.at(position, budget))
            };
            let option = variant.options.iter().find(makes_it).expect("the table was made from these very sums");
            cores[position] = option.cores;
            budget -= option.cores as usize;
            tangent.carried += option.capacity;
            tangent.score += worth(variant) * option.capacity - paid(option);
        }
        Priced { load_price, gains, cores, tangent }
    }

    /// Differences of scores below this are rounding: a part of what scores are made of.
    fn noise(&self) -> f64 {
        NOISE * (self.weight * self.load + self.price * self.budget as f64)
    }

    /// Returns the label of some cores, by position.
    fn follow(&self, cores: &[u32]) -> Label {
        self.variants.iter().zip(cores).fold(NOTHING, |label, (variant, &cores)| {
            let chosen = variant.options.iter().find(|option| option.cores == cores);
            chosen.map_or(label, |option| label.then(0, variant.accuracy, option, self.load))
        })
    }

    /// Returns the cores of every item of the instance, from those by position.
    fn in_order(&self, taken: &[u32]) -> Vec<u32> {
        let mut cores = vec![0; self.items];
        for (variant, &taken) in self.variants.iter().zip(taken) {
            cores[variant.index] = taken;
        }
        cores
    }

    /// Returns the score of a label that carries the load; what rounding left out counts as if nobody had asked for it.
    fn score(&self, label: &Label) -> f64 {
        self.weight * label.mass * (self.load / label.carried) - self.price * f64::from(label.cores)
    }
}

/// For every number of cores the most that the variants from a position on can gain together.
#[derive(Debug, Clone)]
struct Gains {
    budgets: usize,
    table: Vec<f64>,
}

impl Gains {
    fn new(program: &Program, gain: impl Fn(&Variant, &Allotment) -> f64) -> Self {
        let budgets = program.budget + 1;
        let mut table = vec![0.0_f64; (program.variants.len() + 1) * budgets];
        for (position, variant) in program.variants.iter().enumerate().rev() {
            let (own, rest) = table[position * budgets..].split_at_mut(budgets);
            let rest = &rest[..budgets];
            own.copy_from_slice(rest);
            for option in variant.options.iter().filter(|option| (option.cores as usize) < budgets) {
                let (cores, gain) = (option.cores as usize, gain(variant, option));
                if gain > 0.0 {
                    for (own, rest) in own[cores..].iter_mut().zip(rest) {
                        *own = own.max(rest + gain);
                    }
                }
            }
        }
        Self { budgets, table }
    }

    fn at(&self, position: usize, budget: usize) -> f64 {
        self.table[position * self.budgets + budget]
    }
}

/// A tangent of the dual function, from the allotments that are best at one price.
#[derive(Debug, Clone, Copy)]
struct Tangent {
    carried: f64,
    score: f64,
}

impl Tangent {
    fn at(self, load_price: f64, load: f64) -> f64 {
        self.score + load_price * (load - self.carried)
    }

    fn crossing(self, other: Self) -> f64 {
        (other.score - self.score) / (other.carried - self.carried)
    }
}

/// The best allotments where load has a price.
#[derive(Debug, Clone)]
struct Priced {
    load_price: f64,
    gains: Gains,
    /// By position.
    cores: Vec<u32>,
    tangent: Tangent,
}

/// A program with its bounds.
#[derive(Debug, Clone)]
struct Relaxed {
    program: Program,
    /// The most load that variants from a position on carry.
    reach: Gains,
    load_price: f64,
    gains: Gains,
    /// Allotments that carry the load, by position.
    known: Vec<u32>,
}

/// What the variants up to a position do.
#[derive(Debug, Clone, Copy)]
struct Label {
    cores: u32,
    carried: f64,
    mass: f64,
    /// The label before the last variant was decided, in its own layer.
    parent: usize,
    /// Cores of the last variant.
    took: u32,
}

const NOTHING: Label = Label { cores: 0, carried: 0.0, mass: 0.0, parent: 0, took: 0 };

impl Label {
    /// Decides the next variant.
    fn then(&self, parent: usize, accuracy: f64, option: &Allotment, load: f64) -> Self {
        let takes = option.capacity.min(load - self.carried);
        Self {
            cores: self.cores + option.cores,
            carried: self.carried + takes,
            mass: self.mass + accuracy * takes,
            parent,
            took: option.cores,
        }
    }
}

impl Relaxed {
    /// Returns a bound on the score of everything.
    fn bound(&self) -> f64 {
        self.bound_after(0, &NOTHING)
    }

    /// Returns a bound on the score of everything within fewer cores; minus infinity where they do not carry the load.
    fn bound_within(&self, budget: usize) -> f64 {
        let carries = self.reach.at(0, budget) >= self.program.needed();
        let bound = self.load_price * self.program.load + self.gains.at(0, budget);
        if carries { bound } else { f64::NEG_INFINITY }
    }

    /// Returns a bound on the score of what can become of a label; minus infinity where nothing can.
    fn bound_after(&self, position: usize, label: &Label) -> f64 {
        let program = &self.program;
        let budget = program.budget - label.cores as usize;
        let left = program.load - label.carried;
        if self.reach.at(position, budget) < left - program.load * ROUNDING {
            return f64::NEG_INFINITY;
        }
        let have = program.weight * label.mass - program.price * f64::from(label.cores);
        have + self.load_price * left + self.gains.at(position, budget)
    }

    /// Returns the cores of the best solution, in the order of the instance, if its score is above a floor.
    ///
    /// Looks close below the bound first: few labels reach that far, and what is found there is the best of all.
    fn best_above(&self, floor: f64) -> Option<Vec<u32>> {
        let known = self.program.score(&self.program.follow(&self.known));
        let gap = self.bound() - known.max(floor);
        let found = PARTS_OF_GAP.iter().find_map(|part| self.search(self.bound() - part * gap));
        let cores = found.or_else(|| (known > floor).then(|| self.known.clone()))?;
        Some(self.program.in_order(&cores))
    }

    /// Returns the best solution above a floor, by position: decides one variant after the other for all labels at once.
    fn search(&self, floor: f64) -> Option<Vec<u32>> {
        let mut best = Best { score: floor, cores: None };
        let mut layers = vec![vec![NOTHING]];
        for position in 0..self.program.variants.len() {
            let open = self.decide(position, &layers, &mut best);
            layers.push(open);
        }
        best.cores
    }

    /// Decides one variant for all labels of the last layer: offers those that carry the load, returns the others that
    /// may still become the best.
    fn decide(&self, position: usize, layers: &[Vec<Label>], best: &mut Best) -> Vec<Label> {
        let program = &self.program;
        let variant = &program.variants[position];
        let mut open = Vec::new();
        for (parent, label) in layers[position].iter().enumerate() {
            let left_out = Allotment { cores: 0, capacity: 0.0 };
            for option in std::iter::once(&left_out).chain(&variant.options) {
                if (label.cores + option.cores) as usize > program.budget {
                    break;
                }
                let next = label.then(parent, variant.accuracy, option, program.load);
                if next.carried >= program.needed() {
                    let score = program.score(&next);
                    if score > best.score + program.noise() {
                        *best = Best { score, cores: Some(taken(layers, &next)) };
                    }
                    // More cores for this variant would carry no more.
                    break;
                }
                if self.bound_after(position + 1, &next) > best.score + program.noise() {
                    open.push(next);
                }
            }
        }
        match program.variants.get(position + 1) {
            Some(next) => undominated(open, next.accuracy, program.noise()),
            None => Vec::new(),
        }
    }
}

/// The best solution so far.
#[derive(Debug, Clone)]
struct Best {
    score: f64,
    /// By position.
    cores: Option<Vec<u32>>,
}

/// Returns the cores of every variant up to the one that a label was the last to decide.
fn taken(layers: &[Vec<Label>], last: &Label) -> Vec<u32> {
    let mut label = last;
    let mut taken = Vec::with_capacity(layers.len());
    for layer in layers.iter().rev() {
        taken.push(label.took);
        label = &layer[label.parent];
    }
    taken.reverse();
    taken
}

/// Keeps the labels that no other makes worthless before a variant of this accuracy.
///
/// Fewest cores first: then what a label has carried and gained beyond this accuracy tells.
fn undominated(mut labels: Vec<Label>, accuracy: f64, noise: f64) -> Vec<Label> {
    let excess = |label: &Label| label.mass - accuracy * label.carried;
    labels.sort_unstable_by(|a, b| {
        let more = b.carried.total_cmp(&a.carried).then(excess(b).total_cmp(&excess(a)));
        a.cores.cmp(&b.cores).then(more)
    });
    let mut stairs = Stairs::default();
    labels.retain(|label| {
        let (carried, excess) = (label.carried, excess(label));
        let is_new = !stairs.reach((carried, excess - noise));
        if is_new {
            stairs.add((carried, excess));
        }
        is_new
    });
    labels
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::{Allotment, NOTHING, Program, Variant};

    fn drawn(dice: &mut ChaCha8Rng) -> Program {
        let mut variants: Vec<Variant> = (0..dice.random_range(1..=4_usize))
            .map(|index| {
                let (mut cores, mut capacity) = (0, 0.0);
                let mut option = || {
                    cores += dice.random_range(1..=3_u32);
                    capacity += dice.random_range(1.0..40.0_f64);
                    Allotment { cores, capacity }
                };
                let options = vec![option(), option(), option()];
                Variant { index, accuracy: dice.random_range(0.1..1.0), options }
            })
            .collect();
        variants.sort_by(|one, other| other.accuracy.total_cmp(&one.accuracy));
        Program {
            load: dice.random_range(10.0..150.0),
            budget: dice.random_range(2..=16),
            weight: 1.0,
            price: [0.0, dice.random_range(0.0..10.0)][dice.random_range(0..2_usize)],
            items: variants.len(),
            variants,
        }
    }

    /// Whatever is decided of the first variants, no allotment of the others is worth more than the bounds say.
    #[test]
    fn no_allotment_is_worth_more_than_its_bounds() {
        let mut dice = ChaCha8Rng::seed_from_u64(9);
        let (mut allotments, mut tight) = (0, 0);
        for instance in 0..400 {
            let program = drawn(&mut dice);
            let Some(relaxed) = program.clone().relaxed() else { continue };
            let choices = program.variants.iter().map(|variant| variant.options.len() + 1);
            for number in 0..choices.product::<usize>() {
                let mut rest = number;
                let mut labels = vec![NOTHING];
                for variant in &program.variants {
                    let none = Allotment { cores: 0, capacity: 0.0 };
                    let options: Vec<&Allotment> = std::iter::once(&none).chain(&variant.options).collect();
                    let option = options[rest % options.len()];
                    rest /= options.len();
                    labels.push(labels[labels.len() - 1].then(0, variant.accuracy, option, program.load));
                }
                let whole = labels[labels.len() - 1];
                if whole.cores as usize > program.budget || whole.carried < program.needed() {
                    continue;
                }
                let score = program.score(&whole);
                let bounds = labels.iter().enumerate().map(|(position, label)| relaxed.bound_after(position, label));
                let within = relaxed.bound_within(whole.cores as usize) + program.noise();
                for bound in bounds.chain([relaxed.bound(), within]) {
                    assert!(bound >= score - program.noise(), "{instance}: {bound} for {score}, {labels:?}");
                }
                allotments += 1;
                tight += u32::from(relaxed.bound() < 1.05 * score);
            }
        }
        assert!(allotments > 2_000 && tight > 50, "{tight} of {allotments}");
    }
}
