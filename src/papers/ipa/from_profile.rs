//! The published program on measured facts, at every load.
//!
//! A variant keeps its base cores (the fewest that sustain [`Published::base_rps`] within an equal part of the SLO), a
//! batch takes its mean time, and the program of [`super::program`] is solved for each load. A choice is worth the same
//! wherever it is possible: up to the highest load that its replicas carry, and down to the load at which its batches no
//! longer fill in time. Replicas change at multiples of a replica's throughput only. So between two such multiples the
//! best choice at the upper end stays the best down to its own lowest load, and the breakpoints found that way are exact.
//!
//! ```text
//! multiples of h ──▶ range (lo, hi] ──▶ best at hi ──▶ lowest load of that choice ──▶ best just below it ─ ─ ▶ lo
//! ```

use std::collections::BTreeMap;

use super::program::{AccuracyMetric, Adapter, BatchPoint, Deployed, IpaInstance, IpaStage, IpaVariant, IpaWeights};
use crate::base::error::Error;
use crate::base::finding::{Code, Finding};
use crate::base::rounding::{ROUNDING, keeps_within};
use crate::base::units::{Rate, Usd};
use crate::facts::{Ask, Facts, not_measured};
use crate::optimize::Highest;
use crate::optimize::choice::{Alternative, Choice, ChoiceGoal, ChoiceMetric, Picked, SeriesParallel, labels};
use crate::plan::{Certificate, Claims, Dispatch, Gear, Stage, pipeline_accuracy};
use crate::problem::{Ipa, Problem, RoomSettings, Task};
use crate::rooms;
use crate::rooms::configurations::Configuration;
use crate::rooms::gears::{Decoded, assemble, lane};
use crate::rooms::{Cut, Opened, Planned, Room};

const METHOD: &str = "exact: labels over the published program, range by range of the load";

/// The lowest load that is planned for, as a part of the highest; below it no batch ever fills.
const LOWEST: f64 = 1e-3;
/// Steps of the bisection for the highest load of a choice.
const STEPS: usize = 48;

/// What is best for the loads above `from` up to `up_to`.
#[derive(Debug, Clone, PartialEq)]
struct Range {
    from: f64,
    up_to: f64,
    objective: f64,
    accuracy: f64,
    /// What each stage gets.
    stages: Vec<Deployed>,
}

/// The published planner as a room.
#[derive(Debug, Clone, Copy, Default)]
pub struct IpaRoom;

impl Room for IpaRoom {
    fn open<'a>(&self, ask: &'a Ask<'a>) -> Result<Box<dyn Opened + 'a>, Error> {
        Ok(Box::new(AsPublished { ask, program: Program::new(ask)? }))
    }

    fn cuts(&self) -> Option<Cut> {
        Some(Cut::Variants)
    }

    fn freedoms(&self) -> &[rooms::Freedom] {
        rooms::Pipeline.freedoms()
    }
}

/// The published program with an ask worked in.
struct AsPublished<'a> {
    ask: &'a Ask<'a>,
    program: Program,
}

impl AsPublished<'_> {
    fn choice(&self, range: &Range) -> rooms::Choice {
        let decoded = gear(&self.ask.problem, &self.ask.facts, range);
        let cores: u32 = range.stages.iter().map(|stage| stage.cores).sum();
        rooms::Choice::new(&self.ask.problem, decoded, range.objective, range.accuracy, f64::from(cores))
    }
}

impl Opened for AsPublished<'_> {
    fn plan(&self) -> Result<Planned, Error> {
        let most = self.ask.problem.workload.max_rps.get();
        if self.program.max_load(most) < most {
            return Ok(Planned::NotCarried);
        }
        let gears =
            self.program.ladder(most).iter().map(|range| gear(&self.ask.problem, &self.ask.facts, range)).collect();
        Ok(Planned::Plan(Box::new(assemble(self.ask, gears))))
    }

    fn max_load(&self, problem: &Problem) -> Result<Highest, Error> {
        let program = Program::new(&self.ask.moved(problem.clone()))?;
        Ok(Highest::proved(program.max_load(problem.workload.max_rps.get())))
    }

    fn best_at(&self, load: f64) -> Result<Option<rooms::Choice>, Error> {
        Ok(self.program.best_at(load).map(|range| self.choice(&range)))
    }

    fn second_best(&self, best: &rooms::Choice, load: f64) -> Result<Option<rooms::Choice>, Error> {
        let seconds = best.lanes.iter().filter_map(|(variant, way)| {
            let range = self.program.without(variant, way.cores_each).best_at(load)?;
            Some(self.choice(&range))
        });
        Ok(seconds.max_by(|a, b| a.objective.total_cmp(&b.objective)))
    }

    fn frontier(&self, load: f64) -> Result<Vec<rooms::Choice>, Error> {
        Ok(self.program.undominated(load).iter().map(|range| self.choice(range)).collect())
    }

    fn worth(&self, choice: &rooms::Choice) -> f64 {
        choice.objective
    }
}

/// The published program of a problem, without its load.
struct Program {
    pipeline: IpaInstance,
    /// Cores that all stages may have together.
    budget: u32,
}

impl Program {
    /// Works the facts into the program; a variant of which trials asked for a cut carries that much less.
    ///
    /// # Errors
    /// Findings where a variant was not measured, or where a batch would weigh as much as a core.
    pub fn new(ask: &Ask<'_>) -> Result<Self, Error> {
        let problem = ask.problem.as_ref();
        let (settings, fixed) = match &problem.room {
            RoomSettings::Pipeline(settings) => (settings.published.unwrap_or_default(), settings.replicas),
            _ => (Ipa::default(), None),
        };
        let sla_ms = problem.slo.latency_ms.get();
        let stage_ms = sla_ms / problem.stages().len() as f64;
        let budget = problem.core_budget();
        let weights = problem.goal.weights.unwrap_or_default();
        let stages = problem.stages().iter().map(|task| stage(ask, task, (settings, fixed), stage_ms));
        let pipeline = IpaInstance {
            arrival_rate_rps: problem.workload.max_rps.get(),
            sla_s: sla_ms / 1e3,
            weights: IpaWeights {
                alpha: weights.accuracy.get(),
                beta: weights.resource.get() / f64::from(budget),
                delta: settings.batch_weight.get(),
            },
            accuracy_metric: AccuracyMetric::Product,
            batch_sizes: None,
            max_replicas: budget,
            stages: stages.collect::<Result<_, _>>()?,
        };
        let program = Self { pipeline, budget };
        let IpaWeights { beta, delta, .. } = program.pipeline.weights;
        if beta <= delta * program.largest_batches() {
            let cause = format!("{delta} for each sample in a batch outweighs a core, which weighs {beta}");
            let action = "lower it, or raise `goal.weights.resource`: the paper has 1e-6 beside 0.5 for a core";
            return Err(Finding::error(Code::OutOfRange, "published.batch_weight", cause, action).into());
        }
        Ok(program)
    }

    /// Returns the best choice at a load within the cores, or `None` where there is none.
    fn best_at(&self, load: f64) -> Option<Range> {
        let pipeline = IpaInstance { arrival_rate_rps: load, ..self.pipeline.clone() };
        let (choice, deployed) = pipeline.program(Adapter::Ipa);
        let stages = |picked: &Picked| -> Vec<Deployed> {
            deployed.iter().zip(&picked.picks).map(|(stage, &pick)| stage[pick].clone()).collect()
        };
        let fits = |picked: &Picked| stages(picked).iter().map(|stage| stage.cores).sum::<u32>() <= self.budget;
        let best = labels::solve(&choice)?;
        // Where the best of all takes too many cores, the best that fits lies on the frontier of accuracy and cost.
        let best = if fits(&best) {
            best
        } else {
            let affordable = labels::frontier(&choice, self.affordable()).into_iter().filter(fits);
            let valued = affordable.filter_map(|picked| choice.evaluate(&picked.picks));
            valued.reduce(|a, b| if b.value > a.value { b } else { a })?
        };
        let stages = stages(&best);
        let (from, up_to) = self.carried(&stages);
        Some(Range { from, up_to, objective: best.value, accuracy: best.accuracy, stages })
    }

    /// Returns the program without a variant.
    fn without(&self, variant: &str, cores: u32) -> Self {
        let mut pipeline = self.pipeline.clone();
        for stage in &mut pipeline.stages {
            stage.variants.retain(|other| other.name != variant || other.cores != cores);
        }
        Self { pipeline, budget: self.budget }
    }

    /// Returns the choices at a load that no other beats in both cost and accuracy, the cheapest first.
    fn undominated(&self, load: f64) -> Vec<Range> {
        let pipeline = IpaInstance { arrival_rate_rps: load, ..self.pipeline.clone() };
        let (choice, deployed) = pipeline.program(Adapter::Ipa);
        let range = |picked: Picked| {
            let stages: Vec<Deployed> =
                deployed.iter().zip(&picked.picks).map(|(stage, &pick)| stage[pick].clone()).collect();
            let fits = stages.iter().map(|stage| stage.cores).sum::<u32>() <= self.budget;
            let (from, up_to) = self.carried(&stages);
            fits.then(|| Range {
                from,
                up_to: up_to.min(load),
                objective: picked.value,
                accuracy: picked.accuracy,
                stages,
            })
        };
        labels::frontier(&choice, self.affordable()).into_iter().filter_map(range).collect()
    }

    /// Returns the cost of all cores, with room for the batches of a choice that uses them all. A core more costs more than
    /// that, since it outweighs all batches.
    fn affordable(&self) -> f64 {
        let IpaWeights { beta, delta, .. } = self.pipeline.weights;
        beta * f64::from(self.budget) + delta * self.largest_batches()
    }

    /// Returns the sum of the largest batches of the stages.
    fn largest_batches(&self) -> f64 {
        let largest = |stage: &IpaStage| {
            stage.variants.iter().flat_map(|variant| &variant.profile).map(|point| point.batch).max().unwrap_or(0)
        };
        self.pipeline.stages.iter().map(largest).map(f64::from).sum()
    }

    fn point(&self, stage: usize, deployed: &Deployed) -> BatchPoint {
        let variants = &self.pipeline.stages[stage].variants;
        let variant = variants.iter().find(|variant| variant.name == deployed.variant);
        let points = variant.into_iter().flat_map(|variant| &variant.profile);
        *points.into_iter().find(|point| point.batch == deployed.batch).expect("the program only offers its points")
    }

    /// Returns the lowest load at which the batches fill in time and the highest that the replicas carry.
    fn carried(&self, stages: &[Deployed]) -> (f64, f64) {
        let (mut spare_s, mut waiting, mut most) = (self.pipeline.sla_s, 0.0, f64::INFINITY);
        for (index, deployed) in stages.iter().enumerate() {
            let point = self.point(index, deployed);
            spare_s -= point.latency_s;
            waiting += f64::from(deployed.batch - 1);
            most = most.min(f64::from(deployed.replicas) * point.throughput_rps);
        }
        let least = if waiting == 0.0 { 0.0 } else { waiting / spare_s };
        (least, most)
    }

    /// Returns the loads up to `most` at which some stage may need a replica more, the highest first.
    fn borders(&self, most: f64) -> Vec<f64> {
        let mut borders = vec![most];
        for variant in self.pipeline.stages.iter().flat_map(|stage| &stage.variants) {
            for point in &variant.profile {
                let loads = (1..=self.budget / variant.cores).map(|n| f64::from(n) * point.throughput_rps);
                borders.extend(loads.take_while(|load| *load < most));
            }
        }
        borders.sort_by(|a, b| b.total_cmp(a));
        borders.dedup();
        borders
    }

    /// Returns the lowest load that is planned for.
    fn least(&self) -> f64 {
        self.pipeline.arrival_rate_rps * LOWEST
    }

    /// Returns the highest load up to `most` below which every load can be carried, down to the lowest that is planned for.
    ///
    /// What carries a load and has replicas for a higher one carries all between: batches only fill faster. So it goes up
    /// from load to load in steps as long as they can be.
    fn max_load(&self, most: f64) -> f64 {
        let mut load = self.least();
        if !self.carries(load, load) {
            return 0.0;
        }
        while load < most {
            let reached = self.reach(load * (1.0 + ROUNDING), most);
            if reached <= load {
                return load;
            }
            load = reached;
        }
        most
    }

    /// Returns the highest load up to `most` for which some choice has replicas and whose batches fill in time at `load`; 0
    /// where none carries `load`.
    fn reach(&self, load: f64, most: f64) -> f64 {
        if !self.carries(load, load) {
            return 0.0;
        }
        if most.is_finite() && self.carries(load, most) {
            return most;
        }
        let mut low = load;
        let mut high = 2.0 * load;
        while self.carries(load, high) {
            (low, high) = (high, 2.0 * high);
        }
        for _ in 0..STEPS {
            let middle = 0.5 * (low + high);
            if self.carries(load, middle) { low = middle } else { high = middle }
        }
        low.min(most)
    }

    /// Tells whether some choice within the cores has replicas for `most` and fills its batches in time at `load`.
    fn carries(&self, load: f64, most: f64) -> bool {
        let alternative = |variant: &IpaVariant, point: &BatchPoint| {
            Some(Alternative {
                accuracy: 0.0,
                cost: variant.replicas_for(point, most)? * f64::from(variant.cores),
                delay: point.latency_s + f64::from(point.batch - 1) / load,
                blend: 0,
            })
        };
        let of_stage = |stage: &IpaStage| {
            let points = stage.variants.iter().flat_map(|variant| {
                variant.profile.iter().filter_map(|point| alternative(variant, point)).collect::<Vec<_>>()
            });
            points.collect()
        };
        let choice = Choice {
            stages: self.pipeline.stages.iter().map(of_stage).collect(),
            walk: SeriesParallel::chain(self.pipeline.stages.len()),
            metric: ChoiceMetric::Sum,
            goal: ChoiceGoal::Cheapest { accuracy_at_least: 0.0 },
            limit: self.pipeline.sla_s,
        };
        labels::solve(&choice).is_some_and(|picked| keeps_within(picked.cost, f64::from(self.budget)))
    }

    /// Returns the best choices for all loads up to `most`, the lowest first; each of them can be carried.
    fn ladder(&self, most: f64) -> Vec<Range> {
        let least = self.least();
        let borders = self.borders(most);
        let ends = borders.iter().skip(1).copied().chain([least]);
        let mut ranges: Vec<Range> = Vec::new();
        for (&hi, lo) in borders.iter().zip(ends).filter(|(hi, _)| **hi > least) {
            let lo = lo.max(least);
            let mut load = hi;
            while load > lo {
                let Some(best) = self.best_at(load) else { break };
                let (from, up_to) = (best.from.max(lo), load);
                // Rounding may put the lowest load of a choice just above the load that it was found for.
                load = if best.from > lo { best.from.min(load) * (1.0 - ROUNDING) } else { lo };
                match ranges.last_mut() {
                    Some(last) if last.stages == best.stages => last.from = from,
                    _ => ranges.push(Range { from, up_to, ..best }),
                }
            }
        }
        ranges.reverse();
        ranges
    }
}

/// Returns what the published program sees of a stage: every variant at its base cores, with `fixed` replicas where those are given.
fn stage(ask: &Ask<'_>, task: &Task, (settings, fixed): (Ipa, Option<u32>), stage_ms: f64) -> Result<IpaStage, Error> {
    let facts = ask.facts.as_ref();
    facts.require_variants(&task.variants)?;
    facts.require_one_task(&task.variants)?;
    let mut variants = Vec::new();
    for name in &task.variants {
        let curve = facts.curve(name, "cpu").ok_or_else(|| not_measured(name, "any point on `cpu`"))?;
        let part = ask.part(name);
        let points = |cores: u32| -> Vec<BatchPoint> {
            let batches = curve.usable().into_iter().filter(|at| at.0 == cores).map(|at| at.1);
            let point = |batch: u32| {
                let mean_ms = curve.at(cores, batch)?.law.mean_ms();
                let throughput_rps = part * 1e3 * f64::from(batch) / mean_ms;
                Some(BatchPoint { batch, latency_s: mean_ms / 1e3, throughput_rps })
            };
            batches.filter_map(point).collect()
        };
        let sustains = |points: &[BatchPoint]| {
            let enough = |point: &BatchPoint| point.throughput_rps >= part * settings.base_rps.get();
            points.iter().any(|point| enough(point) && point.latency_s <= stage_ms / 1e3)
        };
        let base = curve.cores().into_iter().map(|cores| (cores, points(cores))).find(|(_, points)| sustains(points));
        let Some((cores, profile)) = base.filter(|_| ask.is_allowed(name)) else { continue };
        let replicas = if ask.may_start(name) {
            fixed
        } else {
            // It may stay as it is, where that is a number of such replicas.
            let held = ask.limit.as_ref().and_then(|limit| limit.held.get(name)).filter(|held| *held % cores == 0);
            let Some(held) = held.filter(|held| fixed.is_none_or(|fixed| fixed * cores == **held)) else { continue };
            Some(held / cores)
        };
        let accuracy = ask.accuracy(name)?;
        variants.push(IpaVariant { name: name.clone(), cores, accuracy, norm_accuracy: None, profile, replicas });
    }
    Ok(IpaStage { name: task.name.clone(), variants })
}

fn gear(problem: &Problem, facts: &Facts, range: &Range) -> Decoded {
    let mut stages = Vec::new();
    let mut lanes = Vec::new();
    let mut utilisation = BTreeMap::new();
    for (task, deployed) in problem.stages().iter().zip(&range.stages) {
        let way = configuration(facts, deployed, range.from);
        let lane = lane(&deployed.variant, &way, 1.0);
        utilisation.insert(lane.pool.clone(), way.flow(task.calls.get(), 1.0).busy(range.up_to));
        stages.push(Stage {
            name: task.name.clone(),
            after: task.after.clone(),
            calls: task.calls,
            dispatch: Dispatch::Share,
            lanes: vec![lane],
            exit: None,
            watch: None,
        });
        lanes.push((deployed.variant.clone(), way));
    }
    let cores: u32 = range.stages.iter().map(|stage| stage.cores).sum();
    let price = problem.inventory.price_usd_per_core_hour.get();
    let mut gear = Gear {
        up_to_rps: Rate::saturating(range.up_to),
        replicas: BTreeMap::new(),
        packing: Vec::new(),
        under_way_at_most: None,
        window_ms: None,
        stages,
        claims: Claims {
            accuracy: None,
            latency: None,
            cost_usd_per_hour: Some(Usd::saturating(f64::from(cores) * price)),
            cores: Some(cores),
            machines: BTreeMap::new(),
            utilisation,
        },
        certificate: Some(Certificate::new(range.objective, range.objective, METHOD.to_owned())),
    };
    gear.claims.accuracy = pipeline_accuracy(&gear, problem, facts);
    Decoded { gear, lanes }
}

/// Returns how a stage runs: a batch is held for as long as it takes to fill at the lowest load, where that is longest.
fn configuration(facts: &Facts, deployed: &Deployed, lowest_load: f64) -> Configuration {
    let cores_each = deployed.cores / deployed.replicas;
    let service = facts.curve(&deployed.variant, "cpu").and_then(|curve| curve.at(cores_each, deployed.batch));
    let mut configuration = Configuration {
        cores_each,
        replicas: deployed.replicas,
        batch: deployed.batch,
        hold_ms: 1e3 * f64::from(deployed.batch - 1) / lowest_load.max(f64::MIN_POSITIVE),
        capacity: 0.0,
        service: service.expect("the program only offers what was measured"),
        machine: None,
    };
    configuration.capacity = configuration.queue().saturation_rps();
    configuration
}
