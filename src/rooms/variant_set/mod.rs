//! The room `variant-set` (InfAdapter): which variants side by side, how many cores each, what share of traffic each.
//!
//! ```text
//! measured service times ─▶ capacity of (variant, cores) within the SLO ─▶ exact ladder over all loads ─▶ gears
//! ```
//!
//! `capacity` turns facts into the integer program of [`crate::optimize`], `decode` turns its ladder into gears, `published` is the paper's own model of capacity.

mod capacity;
mod decode;
mod explain;
mod latency;
mod machines;
mod published;

use std::collections::BTreeMap;

use crate::base::error::Error;
use crate::base::finding::{Code, Finding};
use crate::facts::Facts;
use crate::optimize::fill::Ladder;
use crate::optimize::{Instance, Item, LOAD_SLACK, Objective};
use crate::plan::Plan;
use crate::problem::{Formulation, GoalKind, Problem};

use super::conflict;
use super::gears::assemble;
use super::{Answer, Context, Planner};
pub(super) use capacity::{Candidate, candidates, carries, not_measured};
pub(super) use decode::one_stage;
pub(super) use explain::explain;
pub(super) use machines::{Found, Model as OnMachines};
pub use published::{Published, capacity as published_capacity};

/// Part of each variant's capacity that may be used; all of it where a variant is not named.
pub(super) type Parts = BTreeMap<String, f64>;

/// The planner of the room.
#[derive(Debug, Clone, Copy, Default)]
pub struct VariantSet;

/// A problem with its facts worked in: what each variant can carry, and how.
#[derive(Debug, Clone)]
pub(super) struct Model {
    /// For each variant its candidates, by cores.
    pub candidates: Vec<Vec<Candidate>>,
    /// The integer program with nothing running.
    pub instance: Instance,
}

impl Planner for VariantSet {
    fn plan(&self, problem: &Problem, facts: &Facts, context: Context<'_>) -> Result<Answer, Error> {
        let all = Parts::new();
        let parts = context.capacity_parts.unwrap_or(&all);
        if problem.inventory.rents_whole() {
            return on_machines(problem, facts, context, parts);
        }
        let model = Model::new(problem, facts, parts)?;
        let max_load = problem.workload.max_rps.get();
        let mut gears = Vec::new();
        let mut carried = 0.0;
        for (until, current) in running_ranges(context.from, max_load) {
            let instance = model.instance_from(&current);
            let ladder = Ladder::between(carried, until, &instance);
            gears.extend(decode::gears(problem, facts, parts, &model, &ladder, carried..until, context.verify)?);
            carried = ladder.max_load().min(until);
            if carried < until * (1.0 - LOAD_SLACK) {
                return Ok(Answer::Infeasible(conflict::find(problem, &Carries { facts, parts })?));
            }
        }
        decode::claim_accuracy(facts, &mut gears);
        Ok(Answer::Plan(Box::new(assemble(problem, facts, gears))))
    }
}

/// Plans for machines that are rented whole.
fn on_machines(problem: &Problem, facts: &Facts, context: Context<'_>, parts: &Parts) -> Result<Answer, Error> {
    if context.verify {
        super::hardware::refuse(problem, "--verify (HiGHS)")?;
    }
    if context.from.is_some() {
        super::hardware::refuse(problem, "moving from a running plan (--from)")?;
    }
    let Some(mut gears) = machines::Model::new(problem, facts, parts)?.gears(problem.workload.max_rps.get()) else {
        return Ok(Answer::Infeasible(conflict::find(problem, &Carries { facts, parts })?));
    };
    decode::claim_accuracy(facts, &mut gears);
    Ok(Answer::Plan(Box::new(assemble(problem, facts, gears))))
}

/// What the room can carry under a problem that was moved.
struct Carries<'a> {
    facts: &'a Facts,
    parts: &'a Parts,
}

impl conflict::Carries for Carries<'_> {
    fn max_load(&self, problem: &Problem, most: f64) -> Result<f64, Error> {
        if problem.inventory.rents_whole() {
            return Ok(machines::Model::new(problem, self.facts, self.parts)?.max_load(most));
        }
        let model = Model::new(problem, self.facts, self.parts)?;
        Ok(Ladder::between(0.0, most, &model.instance).max_load())
    }
}

impl Model {
    pub(super) fn new(problem: &Problem, facts: &Facts, parts: &Parts) -> Result<Self, Error> {
        let names = variants_of(problem, facts)?;
        let mut items = Vec::new();
        let mut all = Vec::new();
        for name in names {
            let variant = facts.variant(&name).expect("variants_of returns known names");
            let mut of_variant = match problem.formulation {
                Formulation::TailAware => candidates(problem, facts, &name)?,
                Formulation::Published => published::candidates(problem, facts, &name)?,
            };
            let part = parts.get(&name).copied().unwrap_or(1.0);
            of_variant.iter_mut().for_each(|way| way.capacity *= part);
            items.push(Item {
                name,
                accuracy: variant.accuracy.value.get(),
                load_time: variant.load_time_ms.get(),
                current_cores: 0,
                options: of_variant.iter().map(Candidate::allotment).collect(),
            });
            all.push(of_variant);
        }
        let instance = Instance { items, budget: problem.core_budget(), objective: objective(problem) };
        Ok(Self { candidates: all, instance })
    }

    /// Returns the integer program where some variants hold cores already.
    fn instance_from(&self, current: &[(String, u32)]) -> Instance {
        let mut instance = self.instance.clone();
        for item in &mut instance.items {
            let held = current.iter().filter(|(name, _)| *name == item.name).map(|(_, cores)| cores);
            item.current_cores = held.sum();
        }
        instance
    }
}

/// Returns what the integer program makes best.
pub(super) fn objective(problem: &Problem) -> Objective {
    match problem.goal.kind {
        GoalKind::MostAccurate | GoalKind::Fastest => Objective::MostAccurate,
        GoalKind::Lexicographic => {
            let tolerances = problem.goal.tolerances.unwrap_or_default();
            match problem.goal.valued_as() {
                GoalKind::MostAccurate => Objective::CoresThenAccuracy { tolerance: tolerances.cores },
                _ => Objective::AccuracyThenCores { tolerance: tolerances.accuracy.get() },
            }
        }
        GoalKind::Cheapest => Objective::Cheapest {
            accuracy_at_least: problem.goal.accuracy_at_least.map_or(0.0, crate::base::units::Accuracy::get),
        },
        GoalKind::Weighted => {
            let weights = problem.goal.weights.unwrap_or_default();
            Objective::Weighted {
                accuracy: weights.accuracy.get(),
                resource: weights.resource.get(),
                loading: weights.loading.get(),
            }
        }
    }
}

/// Returns the variants that may be used, in the order of the facts.
pub(super) fn variants_of(problem: &Problem, facts: &Facts) -> Result<Vec<String>, Error> {
    // A later stage of a network answers nobody by itself.
    let whole = facts.variants().filter(|variant| variant.is_whole());
    let known: Vec<String> = whole.map(|variant| variant.name.clone()).collect();
    let Some(wanted) = &problem.variants else {
        facts.do_one_task(&known)?;
        return Ok(known);
    };
    let mut findings = crate::base::finding::Findings::default();
    for (index, name) in wanted.iter().enumerate().filter(|(_, name)| !known.contains(name)) {
        let all = format!("the profiles hold {}", known.join(", "));
        let action = crate::base::near::hint(name, known.iter().map(String::as_str), all);
        let cause = format!("no profile holds `{name}`");
        findings.push(Finding::error(Code::UnknownName, format!("variants[{index}]"), cause, action));
    }
    let used: Vec<String> = known.into_iter().filter(|name| wanted.contains(name)).collect();
    findings.or(())?;
    facts.do_one_task(&used)?;
    Ok(used)
}

/// Returns the loads up to which each gear of the running plan serves, with the cores that its variants hold then.
fn running_ranges(from: Option<&Plan>, max_load: f64) -> Vec<(f64, Vec<(String, u32)>)> {
    let Some(plan) = from else { return vec![(max_load, Vec::new())] };
    let mut ranges = Vec::new();
    for gear in &plan.gears {
        let until = gear.up_to_rps.get().min(max_load);
        if ranges.last().is_none_or(|(last, _)| *last < until) {
            let held = plan.placement.iter().flat_map(|pool| {
                let cores = gear.replicas_of(pool) * pool.on.cores();
                pool.hosts.iter().map(move |variant| (variant.clone(), cores))
            });
            ranges.push((until, held.collect()));
        }
    }
    // Beyond the running plan its last gear is what is up.
    if let Some((last, held)) = ranges.last().cloned()
        && last < max_load
    {
        ranges.push((max_load, held));
    }
    ranges
}
