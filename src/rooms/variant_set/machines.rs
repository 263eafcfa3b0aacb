//! The room on machines: variants on kinds that are rented whole, from the highest load down, one gear at a time.
//!
//! ```text
//! (variant, kind) × cores × batch × replicas ─▶ best fleet at the highest load ─▶ gear ─▶ highest load below at which a
//!                                                        ▲                        better or cheaper choice exists ─┐
//!                                                        └────────────────────────────────────────────────────────┘
//! ```
//!
//! Every gear is proved best at its highest load. Less load never makes the best worse, so the border to the next gear is
//! found by bisection: below it a choice is cheaper, or better by more than the goal's `gear_loss_at_most`.

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::latency;
use crate::base::error::Error;
use crate::base::rounding::{ROUNDING, SUMS, keeps_within};
use crate::base::units::{Accuracy, Millis};
use crate::facts::{Ask, Facts, not_measured};
use crate::optimize::fleet::mix::{FleetItem, Looks, Mix, Squad, worth_keeping};
use crate::optimize::fleet::{self, Best};
use crate::optimize::{Highest, Objective, Reach};
use crate::plan::{Certificate, Gear};
use crate::problem::{GoalKind, Machine, Problem};
use crate::rooms::configurations::Configuration;
use crate::rooms::gears::{Decoded, assemble, pools_up};
use crate::rooms::hardware::{facts_of_kinds, kinds, pack, size};
use crate::rooms::{Choice, Opened, Planned, goal, one_stage};

/// Steps of the bisection for a border.
const STEPS: usize = 32;
/// The lowest load that is planned for, as a part of the highest.
const LOWEST: f64 = 1e-3;

/// What a question of the conflict analysis may look at before it stays open: a second or two.
const MOST_LOOKS: u64 = 100_000_000;

/// The device whose replicas take cores.
const CPU: &str = "cpu";

const METHOD: &str =
    "exact: every fleet within stock that a bound lets pass, the cheapest first; labels over variants; packed exactly";

/// A problem on machines with its facts worked in.
pub(super) struct OnMachines<'a> {
    ask: &'a Ask<'a>,
    problem: &'a Problem,
    /// The facts that hold on each kind.
    facts: Vec<Facts>,
    /// For each item its variant and the configurations that its options stand for.
    items: Vec<(String, Vec<Configuration>)>,
    mix: Mix,
    objective: Objective,
}

/// A choice: for each item 0 where it is left out, else the index of its option plus one.
type Found = Best<Vec<usize>>;

impl<'a> OnMachines<'a> {
    pub fn new(ask: &'a Ask<'a>) -> Result<Self, Error> {
        let (problem, facts) = (ask.problem.as_ref(), ask.facts.as_ref());
        let names = ask.variants()?;
        let of_kinds = facts_of_kinds(problem, facts);
        let (mut items, mut options) = (Vec::new(), Vec::new());
        for name in &names {
            let accuracy = ask.accuracy(name)?;
            let mut is_known = false;
            for (index, (kind, facts)) in problem.inventory.machines.iter().zip(&of_kinds).enumerate() {
                is_known |= facts.curve(name, &kind.device).is_some();
                let mut ways = ways(ask, facts, kind, name);
                ways.retain(|(_, way)| ask.may_run(name, way.cores()));
                let (squads, configurations): (Vec<Squad>, Vec<Configuration>) = ways.into_iter().unzip();
                if !squads.is_empty() {
                    options.push(FleetItem { accuracy, kind: index, options: squads });
                    items.push((name.clone(), configurations));
                }
            }
            if !is_known {
                return Err(not_measured(name, "any point on a device of `inventory.machines`"));
            }
        }
        let mix = Mix::new(options, kinds(problem));
        Ok(Self { ask, problem, facts: of_kinds, items, mix, objective: goal::objective(problem) })
    }

    /// Returns the best choice at a load.
    fn best_of(&self, load: f64) -> Option<Found> {
        fleet::best(self.mix.kinds(), self.objective, &self.mix.at(load))
    }

    /// Returns the least accuracy that the goal asks for.
    fn least_accuracy(&self) -> f64 {
        match self.objective {
            Objective::Cheapest { accuracy_at_least } => accuracy_at_least,
            _ => 0.0,
        }
    }

    /// Returns the best choice at a load that does not give an item so many cores as this option has.
    fn best_without(&self, item: usize, pick: usize, load: f64) -> Option<Found> {
        let mut items = self.mix.items().to_vec();
        let options = &self.mix.items()[item].options;
        let cores = |option: &Squad| option.size.cores * option.size.count;
        let given_up = cores(&options[pick - 1]);
        let kept: Vec<usize> = (0..options.len()).filter(|&index| cores(&options[index]) != given_up).collect();
        items[item].options = kept.iter().map(|&index| options[index]).collect();
        let mix = Mix::new(items, self.mix.kinds().to_vec());
        let mut found = fleet::best(mix.kinds(), self.objective, &mix.at(load))?;
        if let Some(pick) = found.choice[item].checked_sub(1) {
            found.choice[item] = kept[pick] + 1;
        }
        Some(found)
    }

    /// Returns the item of a lane, and its option plus one.
    fn pick_of(&self, (variant, way): &(String, Configuration)) -> Option<(usize, usize)> {
        self.items.iter().enumerate().find_map(|(item, (name, ways))| {
            let pick = ways.iter().position(|other| other == way).filter(|_| name == variant)?;
            Some((item, pick + 1))
        })
    }

    /// Returns the cores of each variant on each kind, called like `cnn_m-small`; what is given nothing to do is not up, and
    /// accelerators have none.
    fn cores_of(&self, found: &Found, load: f64) -> Vec<(String, u32)> {
        let (_, quotas) = self.mix.evaluate(&found.choice, load).expect("it carries the load");
        let up = found.choice.iter().enumerate().filter(|(item, pick)| **pick > 0 && quotas[*item] > 0.0);
        let of_item = |(item, pick): (usize, &usize)| {
            let (variant, ways) = &self.items[item];
            let kind = &self.problem.inventory.machines[self.mix.items()[item].kind];
            let cores = if kind.device == CPU { ways[pick - 1].cores() } else { 0 };
            (format!("{variant}-{}", kind.name), cores)
        };
        up.map(of_item).collect()
    }

    /// Returns the gears up to a load, or `None` where it cannot be carried.
    fn gears(&self, most: f64) -> Result<Option<Vec<Decoded>>, Error> {
        let mut gears = Vec::new();
        let Some(best) = self.best_of(most) else { return Ok(None) };
        let (mut load, mut found) = (most, best);
        loop {
            gears.push(if self.problem.goal.wants_low_latency() {
                self.least_latency(load, &found)?
            } else {
                self.gear(load, &found)
            });
            let Some((border, next)) = self.next_below(load, &found, most * LOWEST) else { break };
            (load, found) = (border, next);
        }
        gears.reverse();
        Ok(Some(gears))
    }

    /// Returns the gear of the shortest SLO that is kept with the accuracy and the price that the levels before latency leave.
    fn least_latency(&self, load: f64, found: &Found) -> Result<Decoded, Error> {
        let first = self.objective.first_level();
        let first = first.and_then(|first| fleet::best(self.mix.kinds(), first, &self.mix.at(load)));
        let first = first.as_ref().unwrap_or(found);
        let of_cores = matches!(self.objective, Objective::CoresThenAccuracy { .. });
        let (best, cheapest) = if of_cores { (found, first) } else { (first, found) };
        let tolerances = self.problem.goal.tolerances.unwrap_or_default();
        let cost_at_most = cheapest.cost + f64::from(tolerances.cores) * self.problem.inventory.cheapest_core_price();
        let mut moved = self.problem.clone();
        moved.goal.kind = GoalKind::Cheapest;
        moved.goal.accuracy_at_least = Some(Accuracy::saturating(best.accuracy - tolerances.accuracy.get()));
        let (mut low, mut high) = (0.0, self.problem.slo.latency_ms.get());
        let mut gear = self.gear(load, found);
        for _ in 0..latency::STEPS {
            let middle = 0.5 * (low + high);
            moved.slo.latency_ms = Millis::saturating(middle);
            let ask = self.ask.moved(moved.clone());
            let tight = OnMachines::new(&ask)?;
            match tight.best_of(load).filter(|kept| keeps_within(kept.cost, cost_at_most)) {
                Some(kept) => {
                    let value = if of_cores { kept.accuracy } else { kept.value };
                    (high, gear) = (middle, tight.gear(load, &Found { value, ..kept }));
                }
                None => low = middle,
            }
        }
        Ok(gear)
    }

    /// Returns the highest load below one at which another gear is worth it, with the best choice there; `None` where
    /// none is down to the lowest load.
    fn next_below(&self, load: f64, found: &Found, lowest: f64) -> Option<(f64, Found)> {
        let better = |at: f64| self.best_of(at).filter(|other| self.is_worth_a_gear(other, found));
        if load <= lowest {
            return None;
        }
        let mut low = (lowest, better(lowest)?);
        let mut high = load;
        for _ in 0..STEPS {
            // What is better here stays so up to the highest load that it carries.
            let until = self.stays_worth(&low.1, found, low.0, high);
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

    /// Returns the highest load up to `most` at which a choice is still worth a gear of its own.
    fn stays_worth(&self, other: &Found, found: &Found, from: f64, most: f64) -> f64 {
        let holds = |load: f64| self.revalued(other, load).is_some_and(|other| self.is_worth_a_gear(&other, found));
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
            Objective::Cheapest { accuracy_at_least } if accuracy < accuracy_at_least - SUMS => {
                return None;
            }
            Objective::Cheapest { .. } | Objective::AccuracyThenCores { .. } => of.value,
            Objective::MostAccurate | Objective::CoresThenAccuracy { .. } => accuracy,
            Objective::Weighted { accuracy: weight, .. } => of.value + weight * (accuracy - of.accuracy),
        };
        Some(Found { value, accuracy, ..of.clone() })
    }

    /// Tells whether another choice is cheaper as the goal sees it, or better by more than the goal lets pass.
    fn is_worth_a_gear(&self, other: &Found, found: &Found) -> bool {
        let loss = self.problem.goal.gear_loss_at_most.get();
        let cheaper = !keeps_within(found.cost, other.cost);
        match self.objective {
            Objective::Cheapest { .. } => {
                cheaper || (keeps_within(other.cost, found.cost) && other.accuracy > found.accuracy + loss)
            }
            Objective::MostAccurate => {
                other.accuracy > found.accuracy + loss || (other.accuracy >= found.accuracy - ROUNDING && cheaper)
            }
            Objective::Weighted { accuracy, resource, .. } => {
                let least = (accuracy * loss).min(0.5 * resource * self.smallest_part());
                other.value > found.value + least + ROUNDING * self.objective.unit()
            }
            // What is dearer is only better where the other is no longer accurate enough.
            Objective::AccuracyThenCores { .. } | Objective::CoresThenAccuracy { .. } => {
                cheaper || other.accuracy > found.accuracy + loss
            }
        }
    }

    /// Returns the price of the cheapest machine that costs anything ÷ the price of everything there is.
    fn smallest_part(&self) -> f64 {
        let prices = self.mix.kinds().iter().map(|kind| kind.price).filter(|price| *price > 0.0);
        prices.fold(f64::INFINITY, f64::min) / self.problem.inventory.usd_per_hour()
    }

    fn choice(&self, found: &Found, load: f64) -> Choice {
        let decoded = self.gear(load, found);
        let pools = pools_up(self.problem, &decoded);
        let Decoded { gear, lanes } = decoded;
        Choice {
            objective: found.value,
            accuracy: found.accuracy,
            usd_per_hour: Some(found.cost),
            cores_of: self.cores_of(found, load),
            gear,
            pools,
            lanes,
        }
    }

    fn gear(&self, load: f64, found: &Found) -> Decoded {
        let (_, quotas) = self.mix.evaluate(&found.choice, load).expect("it carries the load");
        let mut chosen = Vec::new();
        for (index, &pick) in found.choice.iter().enumerate().filter(|(_, pick)| **pick > 0) {
            let (variant, configurations) = &self.items[index];
            chosen.push((variant.clone(), configurations[pick - 1].clone(), quotas[index]));
        }
        // A variant that is given nothing to do is not brought up.
        chosen.retain(|(_, _, quota)| *quota > 0.0);
        let certificate = Certificate::new(found.value, found.value, METHOD.to_owned());
        let mut decoded = one_stage::gear(self.ask, chosen, load, Some(certificate));
        let packing = pack(self.problem, &self.facts, &decoded.lanes).expect("only what packs is chosen");
        packing.apply_to(&mut decoded.gear);
        decoded
    }
}

impl Opened for OnMachines<'_> {
    fn plan(&self) -> Result<Planned, Error> {
        let gears = self.gears(self.problem.workload.max_rps.get())?;
        Ok(gears.map_or(Planned::NotCarried, |gears| Planned::Plan(Box::new(assemble(self.ask, gears)))))
    }

    fn max_load(&self, problem: &Problem) -> Result<Highest, Error> {
        let ask = self.ask.moved(problem.clone());
        let moved = OnMachines::new(&ask)?;
        Ok(moved.mix.highest_load(problem.workload.max_rps.get(), moved.least_accuracy(), Looks::at_most(MOST_LOOKS)))
    }

    fn carries(&self, problem: &Problem) -> Result<Reach, Error> {
        let ask = self.ask.moved(problem.clone());
        let moved = OnMachines::new(&ask)?;
        Ok(moved.mix.reaches(problem.workload.max_rps.get(), moved.least_accuracy(), Looks::at_most(MOST_LOOKS)))
    }

    fn best_at(&self, load: f64) -> Result<Option<Choice>, Error> {
        Ok(self.best_of(load).map(|found| self.choice(&found, load)))
    }

    fn second_best(&self, best: &Choice, load: f64) -> Result<Option<Choice>, Error> {
        let used = best.lanes.iter().filter_map(|lane| self.pick_of(lane));
        let seconds = used.filter_map(|(item, pick)| self.best_without(item, pick, load));
        let second = seconds.max_by(|a, b| a.value.total_cmp(&b.value).then(a.accuracy.total_cmp(&b.accuracy)));
        Ok(second.map(|second| self.choice(&second, load)))
    }

    fn frontier(&self, load: f64) -> Result<Vec<Choice>, Error> {
        let points = fleet::frontier(self.mix.kinds(), &self.mix.at(load));
        Ok(points.iter().map(|found| self.choice(found, load)).collect())
    }

    fn worth(&self, choice: &Choice) -> f64 {
        goal::value(self.problem, choice.accuracy, choice.used(self.problem))
    }

    fn gear_with(&self, choice: &Choice, load: f64) -> Result<Option<Gear>, Error> {
        let used: Vec<(usize, usize)> = choice.lanes.iter().filter_map(|lane| self.pick_of(lane)).collect();
        let mut picks = vec![0; self.items.len()];
        used.iter().for_each(|&(item, pick)| picks[item] = pick);
        let carried = self.mix.evaluate(&picks, load);
        let gear = |(_, quotas): (f64, Vec<f64>)| {
            one_stage::gear_with(self.ask, choice, used.iter().map(|&(item, _)| quotas[item]), load)
        };
        Ok(carried.map(gear))
    }
}

/// Returns what may run of a variant on a kind, with the configurations.
fn ways(ask: &Ask<'_>, facts: &Facts, kind: &Machine, variant: &str) -> Vec<(Squad, Configuration)> {
    let problem = ask.problem.as_ref();
    let Some(curve) = facts.curve(variant, &kind.device) else { return Vec::new() };
    let highest = problem.workload.max_rps.get();
    let usable: Vec<(u32, u32)> = curve.usable().into_iter().filter(|(cores, _)| *cores <= kind.cores).collect();
    let of_spot = |(cores, batch): (u32, u32)| {
        let mut ways: Vec<(Squad, Configuration)> = Vec::new();
        let Some(service) = curve.at(cores, batch) else { return ways };
        let fewest = problem.inventory.min_cores_per_variant.div_ceil(cores).max(1);
        for replicas in fewest..=kind.all_cores() / cores {
            let mut configuration = Configuration::new(service.clone(), cores, replicas, batch, &problem.slo);
            configuration.machine = Some(kind.name.clone());
            configuration.capacity *= configuration.part(ask, variant);
            let squad = Squad { size: size(facts, variant, &configuration), capacity: configuration.capacity };
            let is_enough = configuration.capacity >= highest * (1.0 + ROUNDING);
            ways.push((squad, configuration));
            if is_enough {
                break;
            }
        }
        ways
    };
    worth_keeping(usable.into_par_iter().flat_map_iter(of_spot).collect())
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use serde_json::json;

    use super::super::VariantSet;
    use crate::facts::Facts;
    use crate::optimize::pack::Size;
    use crate::problem::Problem;
    use crate::rooms::configurations::Configuration;
    use crate::rooms::enumerated::{self, Packed, Whole, combinations, drawn, with_goal};
    use crate::rooms::hardware::{facts_of_kinds, size};

    const VARIANTS: [&str; 4] = ["mlp_s", "cnn_s", "cnn_m", "early_exit"];
    /// More choices than this are not enumerated.
    const MOST_CHOICES: usize = 6000;

    /// A variant on a kind of machine, with everything that it may get.
    struct Item {
        accuracy: f64,
        kind: usize,
        /// Sizes and capacities.
        options: Vec<(Size, f64)>,
    }

    fn items(problem: &Problem, facts: &Facts, variants: &[&str]) -> Vec<Item> {
        let mut items = Vec::new();
        for (kind, (machine, facts)) in
            problem.inventory.machines.iter().zip(facts_of_kinds(problem, facts)).enumerate()
        {
            for variant in variants {
                let curve = facts.curve(variant, "cpu").expect("measured");
                let mut options = Vec::new();
                for (cores, batch) in curve.usable().into_iter().filter(|(cores, _)| *cores <= machine.cores) {
                    for replicas in 1..=machine.all_cores() / cores {
                        let service = curve.at(cores, batch).expect("measured");
                        let way = Configuration::new(service, cores, replicas, batch, &problem.slo);
                        options.push((size(&facts, variant, &way), way.capacity));
                    }
                }
                items.push(Item {
                    accuracy: facts.variant(variant).expect("known").accuracy.value.get(),
                    kind,
                    options,
                });
            }
        }
        items.sort_by(|a, b| b.accuracy.total_cmp(&a.accuracy));
        items
    }

    /// Returns every choice that carries the load within stock, or `None` where there are too many to go through.
    fn everything(problem: &Problem, facts: &Facts, variants: &[&str], load: f64) -> Option<Vec<Whole>> {
        let items = items(problem, facts, variants);
        let sizes: Vec<usize> = items.iter().map(|item| item.options.len() + 1).collect();
        if sizes.iter().product::<usize>() > MOST_CHOICES {
            return None;
        }
        let mut packed = Packed::new(problem);
        let of_picks = |picks: Vec<usize>| {
            let (mut left, mut mass) = (load, 0.0);
            let mut classes = Vec::new();
            for (item, option) in items.iter().zip(&picks).filter_map(|(item, pick)| Some((item, pick.checked_sub(1)?)))
            {
                let (size, capacity) = item.options[option];
                let taken = f64::min(left, capacity);
                left -= taken;
                mass += taken * item.accuracy;
                classes.push((item.kind, size));
            }
            if left > 1e-9 * load { None } else { packed.whole(mass / load, classes) }
        };
        Some(combinations(&sizes).filter_map(of_picks).collect())
    }

    /// The best of each goal, and the frontier, are what enumeration over replicas, and over fleets with an exact packing, finds.
    #[test]
    fn variant_sets_on_machines_equal_enumeration() {
        let mut dice = ChaCha8Rng::seed_from_u64(63);
        let (mut tried, mut feasible, mut larger) = (0, 0, 0);
        while tried < 520 {
            let (mut value, facts) = drawn(&mut dice);
            let first = dice.random_range(0..VARIANTS.len());
            let variants = &VARIANTS[first..(first + dice.random_range(1..=3)).min(VARIANTS.len())];
            value["room"] = json!("variant-set");
            value["variants"] = json!(variants);
            let problem = with_goal(&value, json!({ "kind": "most-accurate" }));
            let load = problem.workload.max_rps.get();
            let Some(all) = everything(&problem, &facts, variants, load) else { continue };
            tried += 1;
            feasible += u32::from(!all.is_empty());
            let name = format!("problem {tried}: {value}");
            larger += u32::from(enumerated::agrees(&VariantSet, &mut dice, &value, &facts, &all, &name) > 1);
        }
        assert!(feasible > 200 && larger > 40, "{feasible} have a plan, {larger} a frontier of several points");
    }
}
