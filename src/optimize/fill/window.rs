//! How many cores may be worth it, for all of a plan and for each variant: what is beyond need not be looked at.
//!
//! Loads are cut into sections. In the section from `l` to `u` some allotments are known, whose worth at `u` the best exceeds at
//! every load of the section; and with a price μ on the load row (Lagrange) no plan is worth more than
//!
//! ```text
//! μ + Σ_j max over allotments (n, cap) of variant j:  max(0, w_acc·a_j − μ)·min(1, cap ÷ l) − w_res·n ÷ B
//! ```
//!
//! Where forcing an allotment into the sum takes the bound below what is known, no optimum in the section has it.

use super::at_load;
use crate::base::rounding::ROUNDING;
use crate::optimize::{Allotment, Instance, Item, Objective};

/// With fewer cores the search is quicker than the look for what it need not look at.
const LEAST_BUDGET: u32 = 64;
/// Sections of the loads.
const SECTIONS: u32 = 64;
/// Steps of the bisection for the price of load.
const STEPS: usize = 32;

/// The most cores that may be worth it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    /// For all variants together.
    pub budget: u32,
    /// For each variant.
    pub of_item: Vec<u32>,
}

impl Window {
    /// Leaves nothing out.
    pub fn whole(instance: &Instance) -> Self {
        Self { budget: instance.budget, of_item: vec![instance.budget; instance.items.len()] }
    }

    /// Looks at the optima at all loads up to one.
    pub fn up_to(most: f64, instance: &Instance) -> Self {
        let whole = Self::whole(instance);
        match instance.objective {
            _ if instance.budget < LEAST_BUDGET || !most.is_finite() => whole,
            Objective::Weighted { accuracy, resource, .. } => weighted(most, instance, [accuracy, resource]),
            // What carries the highest load so accurately does so at every load.
            Objective::Cheapest { .. } => at_load::solve(instance, most).map_or(whole, |best| {
                let budget = best.cores.iter().sum();
                Self { budget, of_item: vec![budget; instance.items.len()] }
            }),
            _ => whole,
        }
    }
}

/// Joins what may be worth it in each section.
fn weighted(most: f64, instance: &Instance, weights: [f64; 2]) -> Window {
    let mut window = Window { budget: 0, of_item: vec![0; instance.items.len()] };
    for section in 0..SECTIONS {
        let [from, to] = [section, section + 1].map(|end| most * f64::from(end) / f64::from(SECTIONS));
        let of_section = Section::new(instance, weights, from, to);
        window.budget = window.budget.max(of_section.budget());
        for (most, item) in window.of_item.iter_mut().zip(&instance.items) {
            *most = (*most).max(of_section.most_cores(item));
        }
    }
    window
}

/// The loads between two, with the bound and what is known there.
struct Section<'a> {
    instance: &'a Instance,
    weights: [f64; 2],
    /// The lowest load.
    from: f64,
    load_price: f64,
    bound: f64,
    /// What the best is worth at least; −∞ where nothing is known.
    known: f64,
}

impl<'a> Section<'a> {
    fn new(instance: &'a Instance, weights: [f64; 2], from: f64, to: f64) -> Self {
        // No allotment carries so little that it would be full at a load just above 0.
        let from = from.max(to * ROUNDING);
        let mut section = Self { instance, weights, from, load_price: 0.0, bound: 0.0, known: f64::NEG_INFINITY };
        // The best allotments carry the load where its price is low, and not where it is high: the bound is least in between.
        let most = weights.iter().sum::<f64>();
        let (mut low, mut high) = (-most, most);
        for _ in 0..STEPS {
            section.load_price = 0.5 * (low + high);
            let best: Vec<Allotment> = instance.items.iter().map(|item| section.best_of(item)).collect();
            section.known = section.known.max(section.completed(&best, to));
            let shares: f64 = best.iter().map(|option| section.share(option)).sum();
            if shares >= 1.0 { low = section.load_price } else { high = section.load_price }
        }
        let gains = instance.items.iter().map(|item| section.gain(item, &section.best_of(item)));
        section.bound = section.load_price + gains.sum::<f64>();
        section
    }

    /// Returns what allotments are worth at a load where one variant gets what the others leave over; −∞ where none can.
    fn completed(&self, of: &[Allotment], load: f64) -> f64 {
        let carried: f64 = of.iter().map(|option| option.capacity).sum();
        let worth = |(index, own): (usize, &Allotment)| {
            let needed = load - (carried - own.capacity);
            let mut cores: Vec<u32> = of.iter().map(|option| option.cores).collect();
            cores[index] = match self.instance.items[index].options.iter().find(|option| option.capacity >= needed) {
                _ if needed <= 0.0 => 0,
                found => found?.cores,
            };
            Some(self.instance.evaluate(&cores, load)?.value)
        };
        of.iter().enumerate().filter_map(worth).fold(f64::NEG_INFINITY, f64::max)
    }

    /// Returns the part of the lowest load that an allotment carries.
    fn share(&self, option: &Allotment) -> f64 {
        if option.capacity >= self.from { 1.0 } else { option.capacity / self.from }
    }

    /// Returns the part of the bound that an allotment has.
    fn gain(&self, item: &Item, option: &Allotment) -> f64 {
        let [accuracy, resource] = self.weights;
        let cost = resource * f64::from(option.cores) / f64::from(self.instance.budget);
        (accuracy * item.accuracy - self.load_price).max(0.0) * self.share(option) - cost
    }

    /// Returns the allotment of a variant that gains most; nothing gains 0.
    fn best_of(&self, item: &Item) -> Allotment {
        let gains = item.options.iter().map(|option| (*option, self.gain(item, option)));
        let best = (Allotment { cores: 0, capacity: 0.0 }, 0.0);
        gains.fold(best, |best, next| if next.1 > best.1 { next } else { best }).0
    }

    /// Tells whether what takes this much from the bound may be worth it.
    fn may_be_best(&self, loss: f64) -> bool {
        self.bound - loss >= self.known - ROUNDING * self.weights.iter().sum::<f64>()
    }

    /// Returns the most cores of a variant that may be worth it.
    fn most_cores(&self, item: &Item) -> u32 {
        let most = self.gain(item, &self.best_of(item));
        let may_be_best = |option: &&Allotment| self.may_be_best(most - self.gain(item, option));
        item.options.iter().rev().find(may_be_best).map_or(0, |option| option.cores)
    }

    /// Returns the most cores that may be worth it for all variants together, as if all answers came from the most accurate.
    fn budget(&self) -> u32 {
        let [accuracy, resource] = self.weights;
        let most_accurate = self.instance.items.iter().map(|item| item.accuracy).fold(0.0, f64::max);
        let all = self.instance.budget;
        let is_too_many = |cores: &u32| {
            let worth = accuracy * most_accurate - resource * f64::from(*cores) / f64::from(all);
            !self.may_be_best(self.bound - worth)
        };
        (0..all).rev().map(|cores| cores + 1).find(|cores| !is_too_many(cores)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::Window;
    use crate::optimize::fill::Ladder;
    use crate::optimize::{Allotment, Instance, Item, Objective};

    fn drawn(dice: &mut ChaCha8Rng) -> Instance {
        let budget = 100;
        let item = |index: usize, dice: &mut ChaCha8Rng| {
            let accuracy = dice.random_range(0.5..1.0);
            let each: f64 = 100.0 * (1.05 - accuracy) * dice.random_range(0.7..1.4);
            let option = |cores: u32| Allotment { cores, capacity: each * f64::from(cores).powf(1.02) };
            let options = (1..=budget).map(option).collect();
            let load_time = dice.random_range(0.0..1.0);
            Item { name: format!("v{index}"), accuracy, load_time, current_cores: 0, options }
        };
        let items = (0..4).map(|index| item(index, dice)).collect();
        let objective = match dice.random_range(0..3) {
            0 => Objective::Cheapest { accuracy_at_least: dice.random_range(0.5..0.9) },
            _ => Objective::Weighted { accuracy: 1.0, resource: dice.random_range(0.0..0.3), loading: 0.01 },
        };
        Instance { items, budget, objective }
    }

    /// No optimum at any load takes more, and the window lets some cores out.
    #[test]
    fn optima_of_all_loads_are_within_the_window() {
        let mut dice = ChaCha8Rng::seed_from_u64(77);
        let (mut closed, mut all) = (0, 0);
        for round in 0..60 {
            let instance = drawn(&mut dice);
            let whole = Ladder::within(&Window::whole(&instance), 0.0, f64::INFINITY, &instance);
            let most = whole.max_load() * dice.random_range(0.2..1.1);
            let window = Window::up_to(most, &instance);
            for rung in whole.rungs(most) {
                let cores = &rung.solution.cores;
                assert!(cores.iter().sum::<u32>() <= window.budget, "round {round}: {cores:?} {window:?}");
                assert!(
                    cores.iter().zip(&window.of_item).all(|(own, most)| own <= most),
                    "round {round}: {cores:?} {window:?}"
                );
            }
            let narrow = Ladder::within(&window, 0.0, most, &instance);
            assert_eq!(narrow.rungs(most), whole.rungs(most), "round {round}");
            closed += u32::from(window.of_item.iter().any(|most| *most < instance.budget));
            all += 1;
        }
        assert!(2 * closed > all, "{closed} of {all}");
    }
}
