//! The optimum at every load, from the lowest up, one gear at a time.
//!
//! What can be chosen does not depend on the load, and what keeps the SLO at a load keeps it at every lower one. So the
//! best value only falls as the load rises, and whatever is best at a load is best up to the highest load that it
//! carries: these are the exact breakpoints.

use std::collections::BTreeMap;

use rayon::iter::{IntoParallelIterator, IntoParallelRefIterator, ParallelIterator};

use crate::base::error::Error;
use crate::base::rounding::{ROUNDING, keeps_within};
use crate::facts::Ask;
use crate::optimize::choice::labels::{self, LabelLimit};
use crate::optimize::choice::{Alternative, Choice, ChoiceGoal, ChoiceMetric, Delay, Picked, SeriesParallel, Table};
use crate::plan::Lane;
use crate::plan::law::flow::STEPS as GRID;
use crate::problem::{GoalKind, PipelineAccuracy, PipelineSettings, Problem, RoomSettings, accuracy_over_requests};
use crate::rooms::configurations::Configuration;
use crate::rooms::goal;
use crate::stats::GridDistribution;

use super::blend::{self, Bar, Portion, mixes};
use super::machines::OnMachines;
use super::ways::{Way, of_stage};

/// Steps of the bisection for the highest load of a gear.
const STEPS: usize = 48;
/// Cost of the ways that are looked at first, as a multiple of the least that keeps up; queues take some more.
const CHEAP: f64 = 1.25;
/// Multiple of that cost at which they are looked at next.
const DEARER: f64 = 2.0;
/// Least weight of cores, as a part of that of accuracy: among equally accurate choices the one with fewer is best.
const LEAST_WEIGHT: f64 = 1e-9;
/// The lowest load that is planned for, as a part of the highest.
const LOWEST: f64 = 1e-3;
/// Partial choices that a search may hold of each part of the walk, of about 2 kB each.
pub(super) const MOST_LABELS: usize = 1 << 15;

/// A problem with its facts worked in.
#[derive(Clone)]
pub(super) struct Model<'a> {
    pub ask: &'a Ask<'a>,
    pub problem: &'a Problem,
    /// Ways to run each stage.
    pub ways: Vec<Vec<Way>>,
    pub walk: SeriesParallel,
    pub metric: ChoiceMetric,
    /// Accuracy over requests of every variant of each stage: those that skip the stage are not wrong for it.
    pub accuracies: Vec<Vec<f64>>,
    /// Highest accuracy of the whole by stage and blend; empty where accuracies multiply.
    best_of_blends: Vec<Vec<f64>>,
    /// What is rented; absent where cores of the inventory count.
    pub machines: Option<OnMachines>,
    /// The goal of a later level, in place of the problem's.
    level: Option<ChoiceGoal>,
    pub limit: LabelLimit,
}

/// The best choice for all loads up to one.
pub(super) struct Step {
    pub up_to: f64,
    pub chosen: Chosen,
}

/// What every stage does, and what that is worth.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chosen {
    pub value: f64,
    pub accuracy: f64,
    pub cost: f64,
    /// The lanes of each stage.
    pub stages: Vec<Vec<Portion>>,
}

/// The integer program at a load, and the lanes that each alternative stands for.
pub(super) struct Program {
    pub choice: Choice<GridDistribution>,
    pub portions: Vec<Vec<Vec<Portion>>>,
}

impl Program {
    fn chosen(&self, picked: &Picked) -> Chosen {
        let stages = picked.picks.iter().zip(&self.portions).map(|(&pick, portions)| portions[pick].clone()).collect();
        Chosen { value: picked.value, accuracy: picked.accuracy, cost: picked.cost, stages }
    }
}

impl<'a> Model<'a> {
    pub fn new(ask: &'a Ask<'a>) -> Result<Self, Error> {
        let (problem, facts) = (ask.problem.as_ref(), ask.facts.as_ref());
        let mut accuracies = Vec::new();
        for stage in problem.stages() {
            facts.require_variants(&stage.variants)?;
            facts.require_one_task(&stage.variants)?;
            let of_stage =
                stage.variants.iter().map(|name| Ok(accuracy_over_requests(stage.calls, ask.accuracy(name)?)));
            accuracies.push(of_stage.collect::<Result<Vec<f64>, Error>>()?);
        }
        let metric = metric(problem);
        let ways = problem.stages().iter().map(|stage| of_stage(ask, stage));
        let mut ways: Vec<Vec<Way>> = ways.collect::<Result<_, _>>()?;
        if let RoomSettings::Pipeline(PipelineSettings { replicas: Some(replicas), .. }) = &problem.room {
            ways.iter_mut().for_each(|ways| ways.retain(|way| way.configuration.replicas == *replicas));
        }
        let has_machines = problem.inventory.rents_whole();
        Ok(Self {
            machines: has_machines.then(|| OnMachines::new(problem, facts, &mut ways)),
            ways,
            walk: SeriesParallel::from_predecessors(&problem.predecessors())
                .expect("validation lets series-parallel graphs pass"),
            best_of_blends: blend::best_of_blends(&metric),
            metric,
            accuracies,
            level: None,
            limit: LabelLimit::new(MOST_LABELS),
            ask,
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
            let up_to = levels.iter().map(|chosen| self.carried(chosen, load, most)).fold(most, f64::min);
            let chosen = levels.into_iter().next_back()?;
            match steps.last_mut() {
                Some(last) if last.chosen.stages == chosen.stages => last.up_to = up_to,
                _ => steps.push(Step { up_to, chosen }),
            }
            if up_to >= most {
                return Some(steps);
            }
            load = up_to * (1.0 + ROUNDING);
        }
    }

    /// Returns about the highest load up to the asked one that can be carried.
    pub fn highest_load(&self) -> f64 {
        let asked = self.problem.workload.max_rps.get();
        if self.carries(asked) {
            return asked;
        }
        let (mut low, mut high) = (0.0, asked);
        while high - low > 1e-6 * high && high > 1e-9 * asked {
            let middle = 0.5 * (low + high);
            if self.carries(middle) { low = middle } else { high = middle }
        }
        low
    }

    /// Tells whether a load is carried within the cores, or within stock, with the accuracy that the goal asks for.
    pub fn carries(&self, load: f64) -> bool {
        let Some(machines) = &self.machines else { return self.best_of_level(load).is_some() };
        let least = goal::objective(self.problem).least_accuracy();
        let carries = |bar: Option<&Bar<'_>>| machines.carries(self, load, least, bar);
        carries(None) || mixes(self.problem) && carries(Some(&Bar::Best(None)))
    }

    /// Returns the best choice at a load that keeps within the cores, or within stock; its cost is in cores, or in money.
    pub fn best_of(&self, load: f64) -> Option<Chosen> {
        self.levels(load)?.into_iter().next_back()
    }

    /// Returns the best choice of every level of the goal at a load; most goals have one.
    fn levels(&self, load: f64) -> Option<Vec<Chosen>> {
        let problem = self.problem;
        let first = self.best_of_level(load)?;
        if problem.goal.kind != GoalKind::Lexicographic {
            return Some(vec![first]);
        }
        let tolerances = problem.goal.tolerances.unwrap_or_default();
        let next = match problem.goal.valued_as() {
            GoalKind::MostAccurate => {
                let cost_at_most = first.cost + goal::cost_of_cores(problem, tolerances.cores);
                ChoiceGoal::MostAccurate { cost_at_most: cost_at_most.min(problem.budget()) }
            }
            _ => ChoiceGoal::Cheapest { accuracy_at_least: first.accuracy - tolerances.accuracy.get() },
        };
        let second = self.with_goal(next).best_of_level(load)?;
        Some(vec![first, second])
    }

    pub fn with_goal(&self, goal: ChoiceGoal) -> Self {
        Self { level: Some(goal), ..self.clone() }
    }

    /// Returns the best choice of the goal's first level at a load.
    ///
    /// It is sought among cheap ways first, and among dearer ones as long as these may be better: most ways have many more replicas
    /// than a load needs.
    pub fn best_of_level(&self, load: f64) -> Option<Chosen> {
        if self.machines.is_some() {
            return self.best_of_ways(load, f64::INFINITY);
        }
        let budget = f64::from(self.problem.core_budget());
        let mut cost_at_most = CHEAP * self.least_cost(load);
        loop {
            let best = self.best_of_ways(load, cost_at_most);
            if cost_at_most >= budget || best.as_ref().is_some_and(|best| self.beats_dearer(best, cost_at_most)) {
                return best;
            }
            cost_at_most *= DEARER;
        }
    }

    /// Tells whether nothing that costs more than this is better, however accurate.
    fn beats_dearer(&self, best: &Chosen, cost: f64) -> bool {
        let slack = self.goal().rounding(best.accuracy, best.cost);
        let most = self.goal().value(self.most_accurate(), cost);
        best.cost <= cost && most.is_none_or(|most| most <= best.value + slack)
    }

    /// Returns an accuracy that no choice exceeds.
    fn most_accurate(&self) -> f64 {
        let most = |of: &[f64]| of.iter().copied().fold(0.0, f64::max);
        match &self.metric {
            ChoiceMetric::Table(table) => most(&table.accuracies),
            ChoiceMetric::Sum => self.accuracies.iter().map(|of| most(of)).sum(),
            ChoiceMetric::Product => self.accuracies.iter().map(|of| most(of)).product(),
        }
    }

    /// Returns the best choice of the goal's first level at a load among ways that leave room for the other stages within a cost.
    ///
    /// It is sought without mixtures first: then only mixtures that may be worth as much are looked at.
    fn best_of_ways(&self, load: f64, cost_at_most: f64) -> Option<Chosen> {
        let is_late = || !mixes(self.problem) && !self.may_be_in_time(load, cost_at_most);
        if self.limit.was_hit() || is_late() {
            return None;
        }
        let known = self.best_in(load, cost_at_most, None);
        if !mixes(self.problem) {
            return known;
        }
        let found = self.best_in(load, cost_at_most, Some(&Bar::Best(known.as_ref())));
        // Among equals the one without mixtures.
        let order = |chosen: &Chosen| (chosen.value, chosen.accuracy, -chosen.cost);
        let is_better = |found: &Chosen, known: &Chosen| {
            let of_value = self.goal().rounding(known.accuracy, known.cost);
            let of_cost = ROUNDING * known.cost;
            let (found, known) = (order(found), order(known));
            found.0 > known.0 + of_value
                || (found.0 >= known.0 - of_value
                    && found.1 >= known.1 - ROUNDING
                    && found.2 >= known.2 - of_cost
                    && (found.1 > known.1 + ROUNDING || found.2 > known.2 + of_cost))
        };
        match (found, known) {
            (Some(found), Some(known)) => Some(if is_better(&found, &known) { found } else { known }),
            (found, known) => found.or(known),
        }
    }

    /// Returns the best choice of the goal's first level; with mixtures that clear the bar, where there is one.
    fn best_in(&self, load: f64, cost_at_most: f64, bar: Option<&Bar<'_>>) -> Option<Chosen> {
        match &self.machines {
            Some(machines) => machines.best(self, load, bar),
            None => {
                let program = self.program_within(load, cost_at_most, bar);
                self.best_in_cores(&program.choice).map(|picked| program.chosen(&picked))
            }
        }
    }

    fn best_in_cores(&self, choice: &Choice<GridDistribution>) -> Option<Picked> {
        let budget = f64::from(self.problem.core_budget());
        let within = |picked: &Picked| keeps_within(picked.cost, budget);
        let ChoiceGoal::Weighted { .. } = choice.goal else {
            return labels::solve_within(choice, &self.limit).filter(within);
        };
        // The best of a goal that wants accuracy and few cores lies on the frontier, whatever the budget.
        let best = |a: Picked, b: Picked| if b.value > a.value { b } else { a };
        let found = labels::frontier_within(choice, budget, &self.limit);
        found.into_iter().filter_map(|picked| choice.evaluate(&picked.picks)).reduce(best)
    }

    /// Returns the choices at a load that no other beats in both cores (money, where machines are rented) and accuracy, the
    /// fewest cores first.
    pub fn all_undominated(&self, load: f64) -> Vec<Chosen> {
        let alone = self.frontier_in(load, None);
        if mixes(self.problem) { self.frontier_in(load, Some(&Bar::Frontier(&alone))) } else { alone }
    }

    fn frontier_in(&self, load: f64, bar: Option<&Bar<'_>>) -> Vec<Chosen> {
        match &self.machines {
            Some(machines) => machines.frontier(self, load, bar),
            None => {
                let program = self.program_within(load, f64::INFINITY, bar);
                let budget = f64::from(self.problem.core_budget());
                let points = labels::frontier_within(&program.choice, budget, &self.limit);
                points.iter().map(|picked| program.chosen(picked)).collect()
            }
        }
    }

    /// Returns the integer program at a load of ways that leave room for the other stages within a cost, with mixtures that clear
    /// the bar where there is one. What another alternative of its stage beats is left out stage by stage: a stage may have ten
    /// thousand ways.
    fn program_within(&self, load: f64, cost_at_most: f64, bar: Option<&Bar<'_>>) -> Program {
        let of_stage = |(stage, beside): (usize, f64)| {
            let (all, mut portions) = self.alternatives((stage, beside), load, cost_at_most, bar);
            let best = labels::worth_keeping(&all);
            let alternatives: Vec<_> = best.iter().map(|&index| all[index].clone()).collect();
            let portions: Vec<_> = best.iter().map(|&index| std::mem::take(&mut portions[index])).collect();
            (alternatives, portions)
        };
        let (stages, portions) = self.least_beside().into_iter().enumerate().map(of_stage).unzip();
        Program { choice: Choice { stages, ..self.outline() }, portions }
    }

    /// Tells whether the SLO may hold at a load where every stage has whatever the others leave of a cost: as if each had it all.
    ///
    /// Of ways that differ in replicas alone, the one with the most is the earliest (`more_replicas_are_never_later`), so few need
    /// to be looked at. Mixtures can be earlier than all of them.
    fn may_be_in_time(&self, load: f64, cost_at_most: f64) -> bool {
        let earliest = |(ways, beside): (&Vec<Way>, f64)| {
            let able = (0..ways.len()).filter(|&place| fits(&ways[place], cost_at_most - beside));
            let with_most = |of_kind: Vec<usize>| {
                let part = of_kind.iter().map(|&place| ways[place].part).fold(0.0, f64::max);
                Way { part, ..ways[*of_kind.last().expect("a kind has a way")].clone() }
            };
            let able = by_kind(ways, able).into_values().map(with_most).filter(|way| keeps_up(way, load));
            let able: Vec<Way> = able.collect();
            able.par_iter().map(|way| self.responses(way, load)).reduce_with(|one, other| one.earliest(&other))
        };
        let stages = self.ways.iter().zip(self.least_beside()).map(earliest);
        let Some(stages) = stages.collect::<Option<Vec<GridDistribution>>>() else { return false };
        let whole = self.walk.fold(&|stage: usize| stages[stage].clone(), Delay::then, Delay::beside);
        whole.fits(self.problem.slo.quantile.get())
    }

    /// Returns for each stage the least cost of the others.
    fn least_beside(&self) -> Vec<f64> {
        let least = |ways: &Vec<Way>| ways.iter().map(|way| way.cost).reduce(f64::min).unwrap_or(0.0);
        let least: Vec<f64> = self.ways.iter().map(least).collect();
        let all: f64 = least.iter().sum();
        least.iter().map(|least| all - least).collect()
    }

    /// Returns the integer program at a load with all that keeps up; with mixtures that clear the bar, where there is one.
    pub fn program(&self, load: f64, bar: Option<&Bar<'_>>) -> Program {
        let of_stage = |stage: (usize, f64)| self.alternatives(stage, load, f64::INFINITY, bar);
        let (stages, portions) = self.least_beside().into_iter().enumerate().map(of_stage).unzip();
        Program { choice: Choice { stages, ..self.outline() }, portions }
    }

    /// Returns what a stage can choose from where the others leave room within a cost, and the lanes that each stands for. `beside` is
    /// the least cost of the others.
    fn alternatives(
        &self,
        (stage, beside): (usize, f64),
        load: f64,
        cost_at_most: f64,
        bar: Option<&Bar<'_>>,
    ) -> (Vec<Alternative<GridDistribution>>, Vec<Vec<Portion>>) {
        let alternative = |(index, delay): (usize, GridDistribution)| {
            let way = &self.ways[stage][index];
            let (accuracy, cost) = (self.accuracies[stage][way.variant], way.cost);
            let alternative = Alternative { accuracy, cost, delay, blend: way.variant };
            (alternative, vec![Portion { way: index, share: 1.0 }])
        };
        let alone = self.able(stage, load, cost_at_most - beside).into_iter().map(alternative);
        let mixed = bar.map(|bar| blend::of_stage(self, (stage, beside), load, bar)).unwrap_or_default();
        alone.chain(mixed.into_iter().map(|offer| (offer.alternative, offer.portions))).unzip()
    }

    /// Returns the ways of a stage that keep up with a load within a cost, each with its responses; without those that have
    /// more replicas to no avail.
    pub fn able(&self, stage: usize, load: f64, room: f64) -> Vec<(usize, GridDistribution)> {
        let ways = &self.ways[stage];
        let able = (0..ways.len()).filter(|&index| fits(&ways[index], room) && keeps_up(&ways[index], load));
        let responses = |index: usize| self.responses(&ways[index], load);
        let enough = |of_kind: Vec<usize>| -> Vec<(usize, GridDistribution)> {
            let last = *of_kind.last().expect("a kind has a way");
            let earliest = responses(last);
            // More replicas are never later: what is as early as the most replicas are is enough.
            let is_late = |&index: &usize| !responses(index).no_later_than(&earliest);
            let is_uncut = of_kind.iter().all(|&index| ways[index].part == ways[last].part);
            let enough = if is_uncut { of_kind.partition_point(is_late) + 1 } else { of_kind.len() };
            of_kind[..enough].iter().map(|&index| (index, responses(index))).collect()
        };
        let kinds: Vec<Vec<usize>> = by_kind(ways, able).into_values().collect();
        let mut able: Vec<_> = kinds.into_par_iter().flat_map_iter(enough).collect();
        able.sort_unstable_by_key(|(index, _)| *index);
        able
    }

    /// Returns the integer program without anything to choose from.
    pub fn outline(&self) -> Choice<GridDistribution> {
        let (walk, metric) = (self.walk.clone(), self.metric.clone());
        Choice { stages: Vec::new(), walk, metric, goal: self.goal(), limit: self.problem.slo.quantile.get() }
    }

    /// Returns the least cost of ways that keep up with a load.
    fn least_cost(&self, load: f64) -> f64 {
        let least = |ways: &Vec<Way>| {
            let able = ways.iter().filter(|way| keeps_up(way, load));
            able.map(|way| way.cost).fold(f64::INFINITY, f64::min)
        };
        self.ways.iter().map(least).sum()
    }

    /// Returns what ways may cost together, in their unit.
    pub fn most_cost(&self) -> f64 {
        self.machines.as_ref().map_or_else(|| f64::from(self.problem.core_budget()), OnMachines::holds)
    }

    /// Returns the highest accuracy of the whole where a stage has this one and is this blend.
    pub fn accuracy_at_best(&self, stage: usize, accuracy: f64, blend: usize) -> f64 {
        if let Some(best) = self.best_of_blends.get(stage) {
            return best[blend];
        }
        let others = self.accuracies.iter().enumerate().filter(|(other, _)| *other != stage);
        accuracy * others.map(|(_, of)| of.iter().copied().fold(0.0, f64::max)).product::<f64>()
    }

    /// Returns the distribution of a way's responses; where trials asked for a cut, as if the load were higher.
    pub fn responses(&self, way: &Way, load: f64) -> GridDistribution {
        way.flow().responses(load / way.part, self.problem.slo.latency_ms.get())
    }

    /// Returns the lanes of a stage.
    pub fn lanes<'b>(&'b self, chosen: &'b Chosen, stage: usize) -> impl Iterator<Item = (&'b Way, f64)> {
        chosen.stages[stage].iter().map(move |portion| (&self.ways[stage][portion.way], portion.share))
    }

    /// Returns the distribution of a stage's responses: the mixture of its lanes'.
    fn stage_responses(&self, chosen: &Chosen, stage: usize, load: f64) -> GridDistribution {
        let mut taken = 0.0;
        let mut responses = GridDistribution::never(GRID);
        for (way, share) in self.lanes(chosen, stage) {
            taken += share;
            responses = self.responses(way, share * load).or((share / taken).min(1.0), &responses);
        }
        responses
    }

    /// Returns the highest load up to `most` at which a choice that keeps the SLO at `from` still keeps it, and every lane keeps
    /// up: fewer requests may visit a stage than may be late.
    fn carried(&self, chosen: &Chosen, from: f64, most: f64) -> f64 {
        if self.keeps(chosen, most) {
            return most;
        }
        let (mut low, mut high) = (from, most);
        for _ in 0..STEPS {
            let middle = 0.5 * (low + high);
            if self.keeps(chosen, middle) { low = middle } else { high = middle }
        }
        low
    }

    /// Tells whether a choice keeps the SLO at a load, and every lane keeps up.
    pub fn keeps(&self, chosen: &Chosen, load: f64) -> bool {
        let mut lanes = (0..chosen.stages.len()).flat_map(|stage| self.lanes(chosen, stage));
        if !lanes.all(|(way, share)| keeps_up(way, share * load)) {
            return false;
        }
        let of_stage = |stage: usize| self.stage_responses(chosen, stage, load);
        self.walk.fold(&of_stage, GridDistribution::then, GridDistribution::beside).in_time()
            >= self.problem.slo.quantile.get()
    }

    /// Returns what every stage of a choice of this model does.
    pub fn chosen_of(&self, choice: &super::Choice) -> Chosen {
        let mut lanes = choice.lanes.iter();
        let portion = |stage: usize, lane: &Lane| {
            let (variant, configuration) = lanes.next()?;
            let names = &self.problem.stages()[stage].variants;
            let is_it = |way: &Way| names[way.variant] == *variant && way.configuration == *configuration;
            let way = self.ways[stage].iter().position(is_it)?;
            Some(Portion { way, share: lane.share.map_or(1.0, f64::from) })
        };
        let mut portion = portion;
        let stages = choice.gear.stages.iter().enumerate();
        let stages =
            stages.map(|(stage, of)| of.lanes.iter().filter_map(|lane| portion(stage, lane)).collect()).collect();
        let cost = choice.usd_per_hour.unwrap_or_else(|| f64::from(choice.cores()));
        Chosen { value: choice.objective, accuracy: choice.accuracy, cost, stages }
    }

    /// Returns the same with the ways of another model.
    pub fn running_like(&self, other: Model<'_>) -> Self {
        Self { ways: other.ways, machines: other.machines, ..self.clone() }
    }

    /// Returns the same with only the ways of a choice.
    pub fn with_ways_of(&self, chosen: &Chosen) -> Self {
        let mut model = self.clone();
        for (ways, portions) in model.ways.iter_mut().zip(&chosen.stages) {
            *ways = portions.iter().map(|portion| ways[portion.way].clone()).collect();
        }
        model
    }

    pub fn goal(&self) -> ChoiceGoal {
        if let Some(level) = self.level {
            return level;
        }
        let goal = &self.problem.goal;
        let budget = self.problem.budget();
        // What there is to rent is limited by stock, not by cost.
        let cost_at_most = if self.machines.is_some() { f64::INFINITY } else { budget };
        match goal.kind {
            GoalKind::Lexicographic if goal.valued_as() == GoalKind::MostAccurate => {
                ChoiceGoal::Cheapest { accuracy_at_least: 0.0 }
            }
            GoalKind::MostAccurate | GoalKind::Fastest | GoalKind::Lexicographic => {
                ChoiceGoal::MostAccurate { cost_at_most }
            }
            GoalKind::Cheapest => ChoiceGoal::Cheapest {
                accuracy_at_least: goal.accuracy_at_least.map_or(0.0, crate::base::units::Accuracy::get),
            },
            // Divided by the weight of one core, or one dollar, so that these are the cost.
            GoalKind::Weighted => {
                let weights = goal.weights.unwrap_or_default();
                let (accuracy, resource) = (weights.accuracy.get(), weights.resource.get());
                let least = (LEAST_WEIGHT * accuracy).max(f64::MIN_POSITIVE);
                ChoiceGoal::Weighted { accuracy: accuracy / resource.max(least) * budget }
            }
        }
    }

    /// Returns what a choice is worth in the words of the problem: as the room `variant-set`, without its load time.
    pub fn objective(&self, picked: &Chosen) -> f64 {
        goal::value(self.problem, picked.accuracy, goal::part(self.problem, picked.cost))
    }
}

/// Tells whether a way keeps up with a load; where trials asked for a cut, as if the load were higher.
pub(super) fn keeps_up(way: &Way, load: f64) -> bool {
    way.flow().keeps_up(load / way.part)
}

fn fits(way: &Way, room: f64) -> bool {
    keeps_within(way.cost, room)
}

/// Returns the places of some ways together that differ in replicas alone, the fewest replicas first.
fn by_kind(ways: &[Way], places: impl Iterator<Item = usize>) -> BTreeMap<impl Ord, Vec<usize>> {
    let mut kinds: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for place in places {
        let Configuration { cores_each, batch, hold_ms, ref machine, .. } = ways[place].configuration;
        let kind = (ways[place].variant, cores_each, batch, hold_ms.to_bits(), machine.as_deref());
        kinds.entry(kind).or_default().push(place);
    }
    for of_kind in kinds.values_mut() {
        of_kind.sort_by_key(|&place| ways[place].configuration.replicas);
    }
    kinds
}

fn metric(problem: &Problem) -> ChoiceMetric {
    let PipelineAccuracy::Measured { combinations } = problem.accuracy_of_stages() else {
        return ChoiceMetric::Product;
    };
    let sizes: Vec<usize> = problem.stages().iter().map(|stage| stage.variants.len()).collect();
    let mut accuracies = vec![0.0; sizes.iter().product()];
    for combination in combinations {
        let place = problem.stages().iter().zip(&combination.variants).fold(0, |place, (stage, name)| {
            let blend = stage.variants.iter().position(|variant| variant == name);
            place * stage.variants.len() + blend.expect("validated")
        });
        accuracies[place] = combination.right as f64 / combination.of as f64;
    }
    let table = Table { sizes, accuracies };
    ChoiceMetric::Table(if mixes(problem) { blend::with_blends(problem, &table) } else { table })
}
