//! The room on machines that are rented whole: the best fleet, and within a fleet the most accurate choice that packs.

use std::sync::Arc;

use crate::base::rounding::keeps_within;
use crate::facts::Facts;
use crate::optimize::Objective;
use crate::optimize::choice::placed::{Placed, Site};
use crate::optimize::choice::{Alternative, Choice, ChoiceGoal, labels};
use crate::optimize::fleet::shape::Shapes;
use crate::optimize::fleet::{self, Best, FleetKind, Within, cost_of};
use crate::optimize::pack::Size;
use crate::problem::Problem;
use crate::rooms::configurations::Configuration;
use crate::rooms::hardware::{self, Packing, facts_of_kinds, kinds, size};

use super::blend::Portion;
use super::climb::{Chosen, Model, keeps_up};
use super::ways::Way;

/// What there is to rent, and what each way takes of it.
#[derive(Debug, Clone)]
pub(super) struct OnMachines {
    kinds: Vec<FleetKind>,
    /// The facts that hold on each kind.
    facts: Vec<Facts>,
    /// Sizes of replicas, each on a kind.
    classes: Vec<(usize, Size)>,
    shapes: Shapes,
}

impl OnMachines {
    pub fn new(problem: &Problem, facts: &Facts, ways: &[Vec<Way>]) -> Self {
        let of_kinds = facts_of_kinds(problem, facts);
        let on = Self { kinds: kinds(problem), facts: of_kinds, classes: Vec::new(), shapes: Shapes::new(&[], &[]) };
        let classes = problem.stages().iter().zip(ways).flat_map(|(stage, ways)| {
            let on = &on;
            ways.iter().map(move |way| on.class(problem, &stage.variants[way.variant], &way.configuration))
        });
        let mut classes: Vec<(usize, Size)> = classes.collect();
        classes.sort_unstable_by_key(|(kind, size)| (*kind, size.cores, size.memory));
        classes.dedup();
        let shapes = Shapes::new(&classes, &on.kinds);
        Self { classes, shapes, ..on }
    }

    /// Returns the kind of a way to run a variant, and the size of one replica.
    fn class(&self, problem: &Problem, variant: &str, way: &Configuration) -> (usize, Size) {
        let kind = problem.inventory.machines.iter().position(|kind| way.machine.as_ref() == Some(&kind.name));
        let kind = kind.expect("every way is on a kind of the problem");
        (kind, Size { count: 0, ..size(&self.facts[kind], variant, way) })
    }

    /// Returns the least that replicas cost: their part of the machine, by cores or by memory.
    fn share(&self, (kind, size): (usize, Size), replicas: u32) -> f64 {
        let FleetKind { space, price, .. } = self.kinds[kind];
        let of_cores = f64::from(size.cores) / f64::from(space.cores);
        let of_memory = if space.memory == u64::MAX { 0.0 } else { size.memory as f64 / space.memory as f64 };
        f64::from(replicas) * of_cores.max(of_memory) * price
    }

    fn all(&self) -> Vec<u32> {
        self.kinds.iter().map(|kind| kind.at_most).collect()
    }

    /// Packs the lanes of a gear.
    pub fn pack(&self, problem: &Problem, lanes: &[(String, Configuration)]) -> Packing {
        hardware::pack(problem, &self.facts, lanes).expect("only what packs is chosen")
    }

    /// Returns the best choice of every level of an objective at a load, with the price of its machines; most have one.
    pub fn levels(&self, model: &Model<'_>, objective: Objective, load: f64) -> Option<Vec<Chosen>> {
        let at_load = AtLoad::new(self, model, load)?;
        let levels = objective.first_level().into_iter().chain([objective]);
        levels.map(|level| fleet::best(&self.kinds, level, &at_load).map(chosen)).collect()
    }

    /// Returns the choices at a load that no fleet as cheap beats in accuracy, the cheapest first.
    pub fn frontier(&self, model: &Model<'_>, load: f64) -> Vec<Chosen> {
        let at_load = AtLoad::new(self, model, load);
        at_load.iter().flat_map(|at_load| fleet::frontier(&self.kinds, at_load)).map(chosen).collect()
    }
}

fn chosen(best: Best<Vec<usize>>) -> Chosen {
    let stages = best.choice.iter().map(|&way| vec![Portion { way, share: 1.0 }]).collect();
    Chosen { value: best.value, accuracy: best.accuracy, cost: best.cost, stages }
}

/// The program at one load.
struct AtLoad<'a> {
    on: &'a OnMachines,
    choice: Choice<Placed>,
    /// Which way each alternative stands for.
    kept: Vec<Vec<usize>>,
    /// The highest accuracy within shares of machines that cost so much: no fleet gives more for its price.
    stairs: Vec<(f64, f64)>,
}

impl<'a> AtLoad<'a> {
    fn new(on: &'a OnMachines, model: &Model<'_>, load: f64) -> Option<Self> {
        let site = Arc::new(on.site(on.all()));
        let (mut stages, mut kept) = (Vec::new(), Vec::new());
        for ((ways, accuracies), task) in model.ways.iter().zip(&model.accuracies).zip(model.problem.stages()) {
            let able = (0..ways.len()).filter(|&index| keeps_up(&ways[index], load));
            let able: Vec<usize> = able.collect();
            let alternative = |&index: &usize| {
                let way = &ways[index];
                let (class, replicas) = (
                    on.class(model.problem, &task.variants[way.variant], &way.configuration),
                    way.configuration.replicas,
                );
                let place = on.classes.iter().position(|other| *other == class).expect("all classes are there");
                Alternative {
                    accuracy: accuracies[way.variant],
                    cost: on.share(class, replicas),
                    delay: Placed::new(model.responses(way, load), &[(place, replicas)], Arc::clone(&site)),
                    blend: way.variant,
                }
            };
            let all: Vec<Alternative<Placed>> = able.iter().map(alternative).collect();
            let best = labels::worth_keeping(&all);
            stages.push(best.iter().map(|&index| all[index].clone()).collect::<Vec<_>>());
            kept.push(best.iter().map(|&index| able[index]).collect());
        }
        let whole = cost_of(&on.kinds, &on.all());
        let choice = Choice {
            stages,
            walk: model.walk.clone(),
            metric: model.metric.clone(),
            goal: ChoiceGoal::MostAccurate { cost_at_most: whole },
            limit: model.problem.slo.quantile.get(),
        };
        let stairs: Vec<(f64, f64)> =
            labels::frontier(&choice, whole).iter().map(|picked| (picked.cost, picked.accuracy)).collect();
        (!stairs.is_empty()).then_some(Self { on, choice, kept, stairs })
    }
}

impl OnMachines {
    fn site(&self, fleet: Vec<u32>) -> Site {
        Site { classes: self.classes.clone(), kinds: self.kinds.clone(), fleet, shapes: self.shapes.clone() }
    }
}

impl Within for AtLoad<'_> {
    type Choice = Vec<usize>;

    fn bound(&self, fleet: &[u32]) -> f64 {
        let cost = cost_of(&self.on.kinds, fleet);
        let within = self.stairs.partition_point(|(least, _)| keeps_within(*least, cost));
        within.checked_sub(1).map_or(f64::NEG_INFINITY, |stair| self.stairs[stair].1)
    }

    fn most_accurate(&self, fleet: &[u32], floor: f64) -> Option<(f64, Vec<usize>)> {
        let site = Arc::new(self.on.site(fleet.to_vec()));
        let moved = |of: &Alternative<Placed>| Alternative { delay: of.delay.on(&site), ..of.clone() };
        let choice = Choice {
            stages: self.choice.stages.iter().map(|stage| stage.iter().map(moved).collect()).collect(),
            goal: ChoiceGoal::MostAccurate { cost_at_most: cost_of(&self.on.kinds, fleet) },
            ..self.choice.clone()
        };
        let found = labels::solve(&choice).filter(|found| found.accuracy >= floor)?;
        let picks = found.picks.iter().zip(&self.kept).map(|(&pick, kept)| kept[pick]).collect();
        Some((found.accuracy, picks))
    }
}
