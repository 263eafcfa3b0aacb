//! The optimum at every load, from the lowest up, one gear at a time.
//!
//! What can be chosen does not depend on the load, and what keeps the SLO at a load keeps it at every lower one. So the
//! best value only falls as the load rises, and whatever is best at a load is best up to the highest load that it
//! carries: these are the exact breakpoints.

use crate::error::Error;
use crate::facts::Facts;
use crate::optimize::LOAD_SLACK;
use crate::optimize::choice::{Alternative, Choice, Goal, Metric, Picked, SLACK, Table, Walk, labels};
use crate::plan::law::Law;
use crate::problem::{GoalKind, PipelineAccuracy, Problem};

use super::Parts;
use super::ways::{Way, of_stage};

/// Steps of the bisection for the highest load of a gear.
const STEPS: usize = 48;
/// Least weight of cores: among equally accurate choices the one with fewer is best.
const LEAST_WEIGHT: f64 = 1e-9;
/// The lowest load that is planned for, as a part of the highest.
const LOWEST: f64 = 1e-3;

/// A problem with its facts worked in.
#[derive(Clone)]
pub(super) struct Model<'a> {
    pub problem: &'a Problem,
    /// Ways to run each stage.
    pub ways: Vec<Vec<Way>>,
    walk: Walk,
    metric: Metric,
    accuracies: Vec<Vec<f64>>,
}

/// The best choice for all loads up to one.
pub(super) struct Step {
    pub up_to: f64,
    pub picked: Picked,
}

impl<'a> Model<'a> {
    pub fn new(problem: &'a Problem, facts: &Facts, parts: &Parts) -> Result<Self, Error> {
        let mut accuracies = Vec::new();
        for stage in &problem.stages {
            facts.know(&stage.variants)?;
            facts.do_one_task(&stage.variants)?;
            let accuracy = |name: &String| facts.variant(name).map_or(0.0, |variant| variant.accuracy.value.get());
            accuracies.push(stage.variants.iter().map(accuracy).collect());
        }
        let ways = problem.stages.iter().map(|stage| of_stage(problem, facts, parts, stage));
        Ok(Self {
            ways: ways.collect::<Result<_, _>>()?,
            walk: Walk::of(&problem.predecessors()).expect("validation lets series-parallel graphs pass"),
            metric: metric(problem),
            accuracies,
            problem,
        })
    }

    /// Returns the best choices for all loads up to `most`, or `None` where some load cannot be carried.
    pub fn climb(&self, most: f64) -> Option<Vec<Step>> {
        let mut steps: Vec<Step> = Vec::new();
        let mut load = most * LOWEST;
        loop {
            let levels = self.levels(load)?;
            // Where the best of an earlier level ends, what is best of a later one may change too.
            let up_to = levels.iter().map(|picked| self.carried(picked, load, most)).fold(most, f64::min);
            let picked = levels.into_iter().next_back()?;
            match steps.last_mut() {
                Some(last) if last.picked.picks == picked.picks => last.up_to = up_to,
                _ => steps.push(Step { up_to, picked }),
            }
            if up_to >= most {
                return Some(steps);
            }
            load = up_to * (1.0 + LOAD_SLACK);
        }
    }

    /// Returns about the highest load up to `most` that can be carried.
    pub fn max_load(&self, most: f64) -> f64 {
        let asked = self.problem.workload.max_rps.get();
        let mut high = if most.is_finite() { most } else { asked };
        if most.is_finite() && self.best_at(most).is_some() {
            return most;
        }
        while most.is_infinite() && self.best_at(high).is_some() {
            high *= 2.0;
        }
        let mut low = 0.0;
        while high - low > 1e-6 * high && high > 1e-9 * asked {
            let middle = 0.5 * (low + high);
            if self.best_at(middle).is_some() { low = middle } else { high = middle }
        }
        low
    }

    /// Returns the best choice at a load that keeps within the cores.
    pub fn best_at(&self, load: f64) -> Option<Picked> {
        self.levels(load)?.into_iter().next_back()
    }

    /// Returns the best choice of every level of the goal at a load; most goals have one.
    fn levels(&self, load: f64) -> Option<Vec<Picked>> {
        let goal = &self.problem.goal;
        let first = self.best_of_one(load)?;
        if goal.kind != GoalKind::Lexicographic {
            return Some(vec![first]);
        }
        let tolerances = goal.tolerances.unwrap_or_default();
        let next = match goal.valued_as() {
            GoalKind::MostAccurate => {
                let cost_at_most = first.cost + f64::from(tolerances.cores);
                Goal::MostAccurate { cost_at_most: cost_at_most.min(f64::from(self.problem.core_budget())) }
            }
            _ => Goal::Cheapest { accuracy_at_least: first.accuracy - tolerances.accuracy.get() },
        };
        let (choice, kept) = self.choice(load);
        let second = labels::solve(&Choice { goal: next, ..choice }).map(|picked| renumbered(picked, &kept))?;
        Some(vec![first, second])
    }

    /// Returns the cheapest choice at a load that is so accurate, within a cost.
    pub fn cheapest(&self, load: f64, accuracy_at_least: f64, cost_at_most: f64) -> Option<Picked> {
        let (choice, kept) = self.choice(load);
        let picked = labels::solve(&Choice { goal: Goal::Cheapest { accuracy_at_least }, ..choice })?;
        (picked.cost <= cost_at_most * (1.0 + SLACK)).then(|| renumbered(picked, &kept))
    }

    /// Returns the best choice of the first level of the goal.
    pub fn best_of_one(&self, load: f64) -> Option<Picked> {
        let (choice, kept) = self.choice(load);
        let budget = f64::from(self.problem.core_budget());
        let within = |picked: &Picked| picked.cost <= budget * (1.0 + SLACK);
        let Goal::Weighted { .. } = choice.goal else {
            return labels::solve(&choice).filter(within).map(|picked| renumbered(picked, &kept));
        };
        // The best of a goal that wants accuracy and few cores lies on the frontier, whatever the budget.
        let best = |a: Picked, b: Picked| if b.value > a.value { b } else { a };
        let valued = labels::frontier(&choice, budget).into_iter().filter_map(|picked| choice.evaluate(&picked.picks));
        valued.reduce(best).map(|picked| renumbered(picked, &kept))
    }

    /// Returns the choices at a load that no other beats in both cores and accuracy, the fewest cores first.
    pub fn frontier(&self, load: f64) -> Vec<Picked> {
        let (choice, kept) = self.choice(load);
        let budget = f64::from(self.problem.core_budget());
        labels::frontier(&choice, budget).into_iter().map(|picked| renumbered(picked, &kept)).collect()
    }

    /// Returns the integer program at a load, and which way each alternative stands for.
    fn choice(&self, load: f64) -> (Choice<Law>, Vec<Vec<usize>>) {
        let mut stages = Vec::new();
        let mut kept = Vec::new();
        for (ways, accuracies) in self.ways.iter().zip(&self.accuracies) {
            let able = (0..ways.len()).filter(|&index| ways[index].flow().utilisation(load / ways[index].part) < 1.0);
            let able: Vec<usize> = able.collect();
            let alternative = |&index: &usize| {
                let way = &ways[index];
                Alternative {
                    accuracy: accuracies[way.variant],
                    cost: f64::from(way.candidate.cores()),
                    delay: self.law(way, load),
                    blend: way.variant,
                }
            };
            stages.push(able.iter().map(alternative).collect());
            kept.push(able);
        }
        let (walk, metric) = (self.walk.clone(), self.metric.clone());
        (Choice { stages, walk, metric, goal: self.goal(), limit: self.problem.slo.quantile.get() }, kept)
    }

    /// Returns the law of a way's responses; where trials asked for a cut, as if the load were higher.
    fn law(&self, way: &Way, load: f64) -> Law {
        way.flow().law(load / way.part, self.problem.slo.latency_ms.get())
    }

    /// Returns the law from end to end of a choice, without the cuts that trials asked for.
    pub fn end_to_end(&self, picked: &Picked, load: f64) -> Law {
        let span = self.problem.slo.latency_ms.get();
        self.walk.fold(&|stage: usize| self.way(picked, stage).flow().law(load, span), Law::then, Law::beside)
    }

    pub fn way(&self, picked: &Picked, stage: usize) -> &Way {
        &self.ways[stage][picked.picks[stage]]
    }

    /// Returns the highest load up to `most` at which a choice that keeps the SLO at `from` still keeps it.
    fn carried(&self, picked: &Picked, from: f64, most: f64) -> f64 {
        let keeps = |load: f64| {
            let law = |stage: usize| self.law(self.way(picked, stage), load);
            self.walk.fold(&law, Law::then, Law::beside).in_time() >= self.problem.slo.quantile.get()
        };
        if keeps(most) {
            return most;
        }
        let (mut low, mut high) = (from, most);
        for _ in 0..STEPS {
            let middle = 0.5 * (low + high);
            if keeps(middle) { low = middle } else { high = middle }
        }
        low
    }

    fn goal(&self) -> Goal {
        let goal = &self.problem.goal;
        let budget = f64::from(self.problem.core_budget());
        match goal.kind {
            GoalKind::MostAccurate => Goal::MostAccurate { cost_at_most: budget },
            GoalKind::Lexicographic if goal.valued_as() == GoalKind::MostAccurate => {
                Goal::Cheapest { accuracy_at_least: 0.0 }
            }
            GoalKind::Lexicographic => Goal::MostAccurate { cost_at_most: budget },
            GoalKind::Cheapest => {
                Goal::Cheapest { accuracy_at_least: goal.accuracy_at_least.map_or(0.0, crate::units::Accuracy::get) }
            }
            // Divided by the weight of one core, so that cores are the cost.
            GoalKind::Weighted => {
                let weights = goal.weights.unwrap_or_default();
                Goal::Weighted { accuracy: weights.accuracy.get() * budget / weights.resource.get().max(LEAST_WEIGHT) }
            }
        }
    }

    /// Returns what a choice is worth in the words of the problem: as the room `variant-set`, without its load time.
    pub fn objective(&self, picked: &Picked) -> f64 {
        let used = picked.cost / f64::from(self.problem.core_budget());
        match self.problem.goal.valued_as() {
            GoalKind::MostAccurate => picked.accuracy,
            GoalKind::Cheapest | GoalKind::Lexicographic => -used,
            GoalKind::Weighted => {
                let weights = self.problem.goal.weights.unwrap_or_default();
                weights.accuracy.get() * picked.accuracy - weights.resource.get() * used
            }
        }
    }
}

fn renumbered(picked: Picked, kept: &[Vec<usize>]) -> Picked {
    let picks = picked.picks.iter().zip(kept).map(|(&pick, kept)| kept[pick]).collect();
    Picked { picks, ..picked }
}

fn metric(problem: &Problem) -> Metric {
    let Some(PipelineAccuracy::Measured { combinations }) = &problem.accuracy else { return Metric::Product };
    let sizes: Vec<usize> = problem.stages.iter().map(|stage| stage.variants.len()).collect();
    let mut accuracies = vec![0.0; sizes.iter().product()];
    for combination in combinations {
        let place = problem.stages.iter().zip(&combination.variants).fold(0, |place, (stage, name)| {
            let blend = stage.variants.iter().position(|variant| variant == name);
            place * stage.variants.len() + blend.expect("validated")
        });
        accuracies[place] = combination.right as f64 / combination.of as f64;
    }
    Metric::Table(Table { sizes, accuracies })
}
