//! Why a gear is as it is: which limits bind, what one more of each would buy, and what came second.

use std::cmp::Ordering;

use serde::Serialize;

use crate::error::Error;
use crate::facts::{AtRisk, Facts};
use crate::optimize::fill::at_load;
use crate::optimize::{Instance, Item, Objective, Solution};
use crate::plan::Plan;
use crate::problem::{Problem, Room};
use crate::units::{Accuracy, Millis};

use super::pipeline;
use super::variant_set::Model;

/// Why a gear is as it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// Index of the gear.
    pub gear: usize,
    /// The load that is explained: the gear's highest.
    pub load_rps: f64,
    /// Value of the goal at that load.
    pub objective: f64,
    /// Average accuracy at that load.
    pub accuracy: f64,
    /// Cores in use.
    pub cores: u32,
    /// What each limit costs; those that change nothing when loosened do not bind.
    pub limits: Vec<LimitPrice>,
    /// The best plan that gives up one of the chosen allotments; absent where there is none.
    pub runner_up: Option<RunnerUp>,
}

/// What loosening one limit by a step would buy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LimitPrice {
    /// The key in the problem file.
    pub key: &'static str,
    /// Its value.
    pub value: f64,
    /// The looser value that was tried.
    pub loosened_to: f64,
    /// Whether the gear would change for the better.
    pub binds: bool,
    /// Change of the accuracy.
    pub accuracy_gain: f64,
    /// Change of the cores in use.
    pub cores_change: i64,
    /// Change of the objective.
    pub objective_gain: f64,
}

/// The plan that came second.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunnerUp {
    /// Cores of each variant in use.
    pub cores: Vec<(String, u32)>,
    /// Its average accuracy.
    pub accuracy: f64,
    /// Its objective; the difference to the chosen one is why it lost.
    pub objective: f64,
}

/// Explains one gear of a plan by solving its problem again at the gear's highest load.
///
/// # Errors
/// [`Error::Unsupported`] for rooms that do not plan yet or a gear that does not exist; [`Error::Input`] for missing facts.
pub fn explain(plan: &Plan, problem: &Problem, facts: &Facts, gear: usize) -> Result<Explanation, Error> {
    if gear >= plan.gears.len() {
        return Err(Error::Unsupported {
            what: format!("the plan has no gear {gear}"),
            hint: format!("gears are 0 to {}", plan.gears.len().saturating_sub(1)),
        });
    }
    explain_gears(plan, problem, facts, &[gear])?.remove(0)
}

/// Explains every gear of a plan, each as [`explain`] does; the facts are worked in once.
///
/// # Errors
/// As [`explain`], for all gears together where it is for none in particular.
pub fn explain_all(plan: &Plan, problem: &Problem, facts: &Facts) -> Result<Vec<Result<Explanation, Error>>, Error> {
    explain_gears(plan, problem, facts, &(0..plan.gears.len()).collect::<Vec<_>>())
}

fn explain_gears(
    plan: &Plan,
    problem: &Problem,
    facts: &Facts,
    gears: &[usize],
) -> Result<Vec<Result<Explanation, Error>>, Error> {
    super::machines::refuse(problem, "an explanation")?;
    if let Some(at_risk) = AtRisk::of(problem, facts) {
        return explain_gears(plan, &at_risk.problem, &at_risk.facts, gears);
    }
    match problem.room {
        Room::VariantSet => {
            let explainer = Explainer::new(plan, problem, facts)?;
            Ok(gears.iter().map(|&gear| explainer.gear(gear)).collect())
        }
        Room::Pipeline => pipeline::explain(plan, problem, facts, gears),
        other => Err(Error::Unsupported {
            what: format!("plans of the room `{}` cannot be explained yet", other.as_str()),
            hint: "plans of `variant-set` and `pipeline` can".to_owned(),
        }),
    }
}

/// Says that a gear cannot be explained because solving again gives another one.
pub(super) fn not_what_it_gives(gear: usize, load: f64) -> Error {
    Error::Unsupported {
        what: format!("gear {gear} is not what its problem alone gives at {load} requests/s"),
        hint: "it was made from a running plan, or plan, problem or facts have changed since: solve again".to_owned(),
    }
}

/// Returns the problem with each of its limits loosened by a step.
pub(super) fn loosened(problem: &Problem) -> Vec<Moved> {
    let moved = [Some(one_more_core(problem, problem.core_budget())), Some(later(problem)), less_accurate(problem)];
    moved.into_iter().flatten().collect()
}

/// A problem, and the same with each limit loosened, with the facts worked in.
struct Explainer<'a> {
    plan: &'a Plan,
    cores: u32,
    instance: Instance,
    looser: Vec<Looser>,
}

impl<'a> Explainer<'a> {
    fn new(plan: &'a Plan, problem: &Problem, facts: &Facts) -> Result<Self, Error> {
        let instance = |problem: &Problem| Ok(Model::new(problem, facts, &plan.provenance.capacity_parts)?.instance);
        let cores = problem.core_budget();
        let looser = loosened(problem).into_iter().map(|moved| Looser::of(moved, cores, instance));
        Ok(Self { plan, cores, instance: instance(problem)?, looser: looser.collect::<Result<_, Error>>()? })
    }

    fn gear(&self, gear: usize) -> Result<Explanation, Error> {
        let load = self.plan.gears[gear].up_to_rps.get();
        let instance = &self.instance;
        let best = at_load::solve(instance, load)
            .and_then(|best| what_runs(self.plan, gear, instance, load).filter(|gear| as_good(gear, &best, instance)));
        let best = best.ok_or_else(|| not_what_it_gives(gear, load))?;
        Ok(Explanation {
            gear,
            load_rps: load,
            objective: best.value,
            accuracy: best.accuracy,
            cores: best.cores.iter().sum(),
            limits: self.looser.iter().map(|looser| looser.price(load, &best, self.cores)).collect(),
            runner_up: runner_up(instance, load, &best),
        })
    }
}

/// Returns the solution that a gear is; `None` where its cores do not carry the load.
fn what_runs(plan: &Plan, gear: usize, instance: &Instance, load: f64) -> Option<Solution> {
    let gear = &plan.gears[gear];
    let up = |item: &Item| {
        let pools = plan.placement.iter().filter(|pool| pool.hosts.contains(&item.name));
        pools.map(|pool| gear.replicas_of(pool) * pool.on.cores()).sum()
    };
    instance.evaluate(&instance.items.iter().map(up).collect::<Vec<_>>(), load)
}

/// Tells whether a solution is as good as the best one: of equals the plan may have taken another.
fn as_good(found: &Solution, best: &Solution, instance: &Instance) -> bool {
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-9;
    // The other goals have a second criterion: cores, or the accuracy.
    let weighs = matches!(instance.objective, Objective::Weighted { .. });
    let cores = |solution: &Solution| solution.cores.iter().sum::<u32>();
    let second = cores(found) == cores(best) && close(found.accuracy, best.accuracy);
    close(found.value, best.value) && (weighs || second)
}

/// A limit, and the problem with it loosened.
pub(super) struct Moved {
    pub key: &'static str,
    pub value: f64,
    pub loosened_to: f64,
    pub problem: Problem,
}

fn one_more_core(problem: &Problem, cores: u32) -> Moved {
    let key = match problem.goal.cores_at_most.map(|most| most.cmp(&problem.inventory.cores)) {
        None | Some(Ordering::Greater) => "inventory.cores",
        Some(Ordering::Less) => "goal.cores_at_most",
        Some(Ordering::Equal) => "inventory.cores and goal.cores_at_most",
    };
    Moved { key, value: f64::from(cores), loosened_to: f64::from(cores + 1), problem: problem.with_cores(cores + 1) }
}

/// A tenth more time.
fn later(problem: &Problem) -> Moved {
    let (value, mut moved) = (problem.slo.latency_ms.get(), problem.clone());
    moved.slo.latency_ms = Millis::saturating(value * 1.1);
    Moved { key: "slo.latency_ms", value, loosened_to: value * 1.1, problem: moved }
}

/// One point less.
fn less_accurate(problem: &Problem) -> Option<Moved> {
    let least = problem.goal.accuracy_at_least?.get();
    let lower = Accuracy::saturating(least - 0.01);
    let mut moved = problem.clone();
    moved.goal.accuracy_at_least = Some(lower);
    Some(Moved { key: "goal.accuracy_at_least", value: least, loosened_to: lower.get(), problem: moved })
}

/// A limit, and the integer program with it loosened.
struct Looser {
    key: &'static str,
    value: f64,
    loosened_to: f64,
    instance: Instance,
}

impl Looser {
    fn of(
        moved: Moved,
        old_budget: u32,
        instance: impl Fn(&Problem) -> Result<Instance, Error>,
    ) -> Result<Self, Error> {
        let mut instance = instance(&moved.problem)?;
        // A larger budget must not make the same cores look cheaper.
        let scale = f64::from(instance.budget) / f64::from(old_budget);
        if let Objective::Weighted { resource, .. } = &mut instance.objective {
            *resource *= scale;
        }
        Ok(Self { key: moved.key, value: moved.value, loosened_to: moved.loosened_to, instance })
    }

    /// Returns what the looser limit would buy beside the best solution within the limits as they are.
    fn price(&self, load: f64, best: &Solution, old_budget: u32) -> LimitPrice {
        let found = at_load::solve(&self.instance, load).unwrap_or_else(|| best.clone());
        let cores = |solution: &Solution| i64::from(solution.cores.iter().sum::<u32>());
        let accuracy_gain = found.accuracy - best.accuracy;
        let cores_change = cores(&found) - cores(best);
        LimitPrice {
            key: self.key,
            value: self.value,
            loosened_to: self.loosened_to,
            binds: accuracy_gain > 1e-9 || cores_change < 0,
            accuracy_gain,
            cores_change,
            objective_gain: match self.instance.objective {
                Objective::Cheapest { .. } | Objective::AccuracyThenCores { .. } => {
                    -cores_change as f64 / f64::from(old_budget)
                }
                _ => found.value - best.value,
            },
        }
    }
}

/// Returns the best solution that gives up one of the chosen allotments.
fn runner_up(instance: &Instance, load: f64, best: &Solution) -> Option<RunnerUp> {
    let used = best.cores.iter().enumerate().filter(|(_, cores)| **cores > 0);
    let seconds = used.filter_map(|(index, &cores)| {
        let mut without = instance.clone();
        without.items[index].options.retain(|option| option.cores != cores);
        at_load::solve(&without, load)
    });
    let second = seconds.max_by(|a, b| a.value.total_cmp(&b.value).then(a.accuracy.total_cmp(&b.accuracy)))?;
    let named = instance.items.iter().zip(&second.cores).filter(|(_, cores)| **cores > 0);
    Some(RunnerUp {
        cores: named.map(|(item, &cores)| (item.name.clone(), cores)).collect(),
        accuracy: second.accuracy,
        objective: second.value,
    })
}
