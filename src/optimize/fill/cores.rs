//! Variants side by side on the cores of one host.

use super::{Ladder, Rung, at_load};
use crate::base::error::Error;
use crate::base::rounding::ROUNDING;
use crate::optimize::side_by_side::{Found, SideBySide, Step, WorthIt};
use crate::optimize::{Highest, Instance, Item, Objective, Reach, Solution, enumerate};

const METHOD: &str = "exact: dynamic programme over piecewise linear functions of the load";

/// Items on the cores of one host.
pub(crate) struct Cores {
    /// The integer program with nothing running.
    instance: Instance,
    /// What each item holds now, for the loads up to one, the lowest loads first.
    held: Vec<(f64, Vec<u32>)>,
}

impl Cores {
    pub(crate) fn new(items: Vec<Item>, budget: u32, held: Vec<(f64, Vec<u32>)>) -> Self {
        Self { instance: Instance { items, budget, objective: Objective::MostAccurate }, held }
    }

    /// Returns the integer program beside what serves a load now.
    fn at(&self, objective: Objective, load: f64) -> Instance {
        let mut instance = Instance { objective, ..self.instance.clone() };
        // Beyond what runs its last gear is what is up.
        if let Some((_, held)) = self.held.iter().find(|(up_to, _)| *up_to >= load).or(self.held.last()) {
            instance.items.iter_mut().zip(held).for_each(|(item, held)| item.current_cores = *held);
        }
        instance
    }

    /// Returns the loads, increasing, between which the same is running; the last is the highest that is planned for.
    fn ranges(&self, most: f64) -> Vec<f64> {
        let mut ranges: Vec<f64> = self.held.iter().map(|(up_to, _)| up_to.min(most)).chain([most]).collect();
        ranges.dedup();
        ranges
    }

    fn cores(&self, item: usize, pick: usize) -> u32 {
        pick.checked_sub(1).map_or(0, |option| self.instance.items[item].options[option].cores)
    }

    fn cores_of(&self, picks: &[usize]) -> Vec<u32> {
        picks.iter().enumerate().map(|(item, &pick)| self.cores(item, pick)).collect()
    }

    fn found(&self, solution: &Solution) -> Found {
        let pick = |(item, cores): (&Item, &u32)| {
            item.options.iter().position(|option| option.cores == *cores).map_or(0, |option| option + 1)
        };
        let all: u32 = solution.cores.iter().sum();
        Found {
            value: solution.value,
            accuracy: solution.accuracy,
            cost: f64::from(all),
            fleet: vec![all],
            choice: self.instance.items.iter().zip(&solution.cores).map(pick).collect(),
        }
    }
}

impl SideBySide for Cores {
    fn method(&self) -> &'static str {
        METHOD
    }

    fn best(&self, objective: Objective, load: f64) -> Option<Found> {
        at_load::solve(&self.at(objective, load), load).map(|solution| self.found(&solution))
    }

    fn best_without(&self, item: usize, option: usize, objective: Objective, load: f64) -> Option<Found> {
        let mut instance = self.at(objective, load);
        let given_up = self.cores(item, option + 1);
        instance.items[item].options.retain(|option| option.cores != given_up);
        at_load::solve(&instance, load).map(|solution| self.found(&solution))
    }

    fn filled(&self, picks: &[usize], load: f64) -> Option<(f64, Vec<f64>)> {
        self.instance.filled(&self.cores_of(picks), load)
    }

    /// Takes a core less than the last point used, again and again.
    fn frontier(&self, load: f64) -> Vec<Found> {
        let mut instance = self.instance.clone();
        let mut points = Vec::new();
        while let Some(best) = at_load::solve(&instance, load) {
            let cores: u32 = best.cores.iter().sum();
            points.push(self.found(&best));
            if cores <= 1 {
                break;
            }
            instance.budget = cores - 1;
        }
        points.reverse();
        points
    }

    fn highest(&self, objective: Objective, most: f64) -> Highest {
        let instance = Instance { objective, ..self.instance.clone() };
        Highest::proved(Ladder::between(0.0, most, &instance).max_load())
    }

    fn reaches(&self, objective: Objective, load: f64) -> Reach {
        let instance = Instance { objective, ..self.instance.clone() };
        if at_load::solve(&instance, load).is_some() { Reach::Carried } else { Reach::NotCarried }
    }

    fn steps(&self, objective: Objective, most: f64, loss: f64) -> Result<Option<Vec<Step>>, Error> {
        let (mut steps, mut carried) = (Vec::new(), 0.0);
        for until in self.ranges(most) {
            let instance = self.at(objective, until);
            let ladder = Ladder::between(carried, until, &instance);
            for rung in ladder.rungs(until).iter().filter(|rung| rung.to > carried * (1.0 + ROUNDING)) {
                for up_to in borders(rung, rung.from.max(carried), loss) {
                    let solution = instance.evaluate(&rung.solution.cores, up_to).expect("less load always fits");
                    let bound = proved(&ladder, &solution, up_to)?;
                    steps.push(Step { up_to, found: self.found(&solution), bound });
                }
            }
            carried = ladder.max_load().min(until);
            if carried < until * (1.0 - ROUNDING) {
                return Ok(None);
            }
        }
        Ok(Some(steps))
    }

    fn every(&self, load: f64, worth_it: &WorthIt<'_>, most: usize) -> Option<Vec<Found>> {
        let worth_it = |accuracy, cores| worth_it(accuracy, f64::from(cores));
        let all = enumerate::every(&self.instance, load, most, worth_it)?;
        Some(all.iter().map(|solution| self.found(solution)).collect())
    }

    fn prices_loading(&self) -> bool {
        true
    }

    #[cfg(feature = "milp")]
    fn second_opinion(&self, objective: Objective, load: f64) -> Result<Option<Option<f64>>, Error> {
        let highs = crate::optimize::milp::solve(&self.at(objective, load), load)?;
        Ok(Some(highs.map(|milp| milp.solution.value)))
    }
}

/// Returns the bound of a solution that is worth as much.
fn proved(ladder: &Ladder<'_>, solution: &Solution, load: f64) -> Result<f64, Error> {
    let bound = ladder.bound_at(load).unwrap_or(solution.value).max(solution.value);
    if bound - solution.value > ROUNDING * ladder.instance().objective.unit() {
        let message = format!("at {load} requests/s the plan is worth {}, its bound {bound}", solution.value);
        return Err(Error::Solver { solver: "own search", message });
    }
    Ok(bound)
}

/// Returns the loads, increasing, at which to cut a rung so that the accuracy at the lower end of each part exceeds
/// that of the part's fixed shares by at most `loss`.
fn borders(rung: &Rung, from: f64, loss: f64) -> Vec<f64> {
    let mut loads = vec![rung.to];
    // Accuracy at load λ is slope + intercept ÷ λ: the next border down is where it has risen by `loss`.
    let mass = rung.accuracy_intercept;
    let next_below = |load: f64| if mass > 0.0 && loss > 0.0 { mass / (mass / load + loss) } else { 0.0 };
    let mut next = next_below(rung.to);
    while next > from * (1.0 + ROUNDING) && next > 0.0 {
        loads.push(next);
        next = next_below(next);
    }
    loads.reverse();
    loads
}
