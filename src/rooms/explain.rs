//! Why a gear is as it is: which limits bind, what one more of each would buy, and what came second.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde::Serialize;

use crate::base::error::Error;
use crate::base::rounding::{ROUNDING, equal};
use crate::base::units::{Accuracy, Factor, Megabytes, Millis};
use crate::facts::{Ask, Facts};
use crate::plan::{Gear, Plan};
use crate::problem::{GoalKind, Problem};

use super::{Choice, Opened, Room};

/// By how much times and memory are loosened.
const TENTH_MORE: f64 = 1.1;

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
    /// Price of its machines for an hour, where they are rented.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd_per_hour: Option<f64>,
    /// What each limit costs; those that change nothing when loosened do not bind.
    pub limits: Vec<LimitPrice>,
    /// The best plan that gives up one of the chosen allotments; absent where there is none.
    pub runner_up: Option<RunnerUp>,
}

/// What loosening one limit by a step would buy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LimitPrice {
    /// The key in the problem file.
    pub key: Cow<'static, str>,
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
    /// Change of the price of the machines, where they are rented.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_change_usd_per_hour: Option<f64>,
    /// Change of the objective.
    pub objective_gain: f64,
}

/// The plan that came second.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunnerUp {
    /// Cores of each variant in use; where machines are rented, of each variant on each kind, called like `cnn_m-small`.
    pub cores: Vec<(String, u32)>,
    /// Its average accuracy.
    pub accuracy: f64,
    /// Price of its machines for an hour, where they are rented.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd_per_hour: Option<f64>,
    /// Its objective; the difference to the chosen one is why it lost.
    pub objective: f64,
}

/// Explains gears of a plan by solving its problem again at the highest load of each; the facts are worked in once.
///
/// # Errors
/// [`Error::Input`] for missing facts; for a gear alone, [`Error::Unsupported`] where there is no such gear or it is not what its
/// problem gives.
pub fn explain(
    room: &dyn Room,
    plan: &Plan,
    problem: &Problem,
    facts: &Facts,
    gears: &[usize],
) -> Result<Vec<Result<Explanation, Error>>, Error> {
    let ask = Ask::new(problem, facts).with_parts(&plan.provenance.capacity_parts);
    let moved = loosened(&ask.problem);
    let asks: Vec<Ask<'_>> = moved.iter().map(|moved| ask.moved(moved.problem.clone())).collect();
    let opened = room.open(&ask)?;
    let looser = asks.iter().map(|ask| room.open(ask)).collect::<Result<Vec<_>, _>>()?;
    let explainer = Explainer { plan, problem: &ask.problem, opened, looser: moved.iter().zip(looser).collect() };
    Ok(gears.iter().map(|&gear| explainer.gear(gear)).collect())
}

/// A problem with its facts worked in, and the same with each limit loosened.
struct Explainer<'a> {
    plan: &'a Plan,
    problem: &'a Problem,
    opened: Box<dyn Opened + 'a>,
    looser: Vec<(&'a Moved, Box<dyn Opened + 'a>)>,
}

impl Explainer<'_> {
    fn gear(&self, index: usize) -> Result<Explanation, Error> {
        let gear = self.plan.gears.get(index).ok_or_else(|| Error::Unsupported {
            what: format!("the plan has no gear {index}"),
            hint: format!("gears are 0 to {}", self.plan.gears.len().saturating_sub(1)),
        })?;
        let load = gear.up_to_rps.get();
        let best = self.opened.best_at(load)?.filter(|best| self.is_what_runs(gear, best));
        let best = best.ok_or_else(|| not_what_it_gives(index, load))?;
        let price = |(moved, looser): &(&Moved, Box<dyn Opened + '_>)| -> Result<LimitPrice, Error> {
            let found = looser.best_at(load)?;
            let objective = |choice: &Choice| self.opened.worth(choice);
            Ok(moved.price(&best, found.as_ref().unwrap_or(&best), objective))
        };
        Ok(Explanation {
            gear: index,
            load_rps: load,
            objective: best.objective,
            accuracy: best.accuracy,
            cores: best.cores(),
            cost_usd_per_hour: best.usd_per_hour,
            limits: self.looser.iter().map(price).collect::<Result<_, _>>()?,
            runner_up: self.opened.second_best(&best, load)?.map(|second| RunnerUp {
                cores: second.cores_of.clone(),
                accuracy: second.accuracy,
                cost_usd_per_hour: second.usd_per_hour,
                objective: second.objective,
            }),
        })
    }

    /// Tells whether a gear is as good as the best choice: of equals the plan may have taken another.
    fn is_what_runs(&self, gear: &Gear, best: &Choice) -> bool {
        let close = |claimed: f64, found: f64| (claimed - found).abs() <= ROUNDING || equal(claimed, found);
        let objective = gear.certificate.as_ref().map(|certificate| certificate.objective);
        let is_as_good = objective.is_none_or(|claimed| close(claimed, best.objective));
        // The other goals have a second criterion: cores, or the accuracy.
        if self.problem.goal.kind == GoalKind::Weighted && objective.is_some() {
            return is_as_good;
        }
        let accuracy = gear.claims.accuracy.map(|claim| claim.value.get());
        let is_as_accurate = accuracy.is_none_or(|claimed| close(claimed, best.accuracy));
        let costs_as_much = match best.usd_per_hour {
            Some(usd) => gear.claims.cost_usd_per_hour.is_none_or(|claimed| equal(claimed.get(), usd)),
            None => gear.claims.cores.is_none_or(|claimed| claimed == best.cores()),
        };
        is_as_good && is_as_accurate && costs_as_much
    }
}

/// Says that a gear cannot be explained because solving again gives another one.
fn not_what_it_gives(gear: usize, load: f64) -> Error {
    Error::Unsupported {
        what: format!("gear {gear} is not what its problem alone gives at {load} requests/s"),
        hint: "it was made from a running plan, or plan, problem or facts have changed since: solve again".to_owned(),
    }
}

/// A limit, and the problem with it loosened.
struct Moved {
    key: Cow<'static, str>,
    value: f64,
    loosened_to: f64,
    problem: Problem,
}

impl Moved {
    /// Returns what the looser limit buys: the best within it beside the best within the limits as they are.
    fn price(&self, best: &Choice, found: &Choice, objective: impl Fn(&Choice) -> f64) -> LimitPrice {
        let accuracy_gain = found.accuracy - best.accuracy;
        let cores_change = i64::from(found.cores()) - i64::from(best.cores());
        let change = |(found, best): (f64, f64)| if equal(found, best) { 0.0 } else { found - best };
        let cost_change = found.usd_per_hour.zip(best.usd_per_hour).map(change);
        let saves = cost_change.map_or(cores_change < 0, |change| change < 0.0);
        LimitPrice {
            key: self.key.clone(),
            value: self.value,
            loosened_to: self.loosened_to,
            binds: accuracy_gain > ROUNDING || saves,
            accuracy_gain,
            cores_change,
            cost_change_usd_per_hour: cost_change,
            objective_gain: objective(found) - objective(best),
        }
    }
}

/// Returns the problem with each of its limits loosened by a step.
fn loosened(problem: &Problem) -> Vec<Moved> {
    let kinds = 0..problem.inventory.machines.len();
    let cores = kinds.is_empty().then(|| one_more_core(problem, problem.core_budget()));
    let machines = kinds.flat_map(|kind| [Some(one_more_machine(problem, kind)), more_memory(problem, kind)]);
    let others = [Some(later(problem)), less_accurate(problem)];
    let all = std::iter::once(cores).chain(machines).chain(others).flatten();
    all.map(|moved| priced_alike(problem, moved)).collect()
}

/// A larger inventory must not make what is used of it look cheaper.
fn priced_alike(problem: &Problem, mut moved: Moved) -> Moved {
    let whole = |of: &Problem| match !of.inventory.rents_whole() {
        true => f64::from(of.core_budget()),
        false => of.inventory.usd_per_hour(),
    };
    let (before, after) = (whole(problem), whole(&moved.problem));
    if problem.goal.kind == GoalKind::Weighted && before > 0.0 {
        let mut weights = problem.goal.weights.unwrap_or_default();
        weights.resource = Factor::saturating(weights.resource.get() * after / before);
        moved.problem.goal.weights = Some(weights);
    }
    moved
}

fn one_more_core(problem: &Problem, cores: u32) -> Moved {
    let key = match problem.goal.cores_at_most.map(|most| most.cmp(&problem.inventory.cores)) {
        None | Some(Ordering::Greater) => "inventory.cores",
        Some(Ordering::Less) => "goal.cores_at_most",
        Some(Ordering::Equal) => "inventory.cores and goal.cores_at_most",
    };
    let (value, loosened_to) = (f64::from(cores), f64::from(cores + 1));
    Moved { key: Cow::Borrowed(key), value, loosened_to, problem: problem.with_cores(cores + 1) }
}

fn one_more_machine(problem: &Problem, kind: usize) -> Moved {
    let mut moved = problem.clone();
    let machines = &mut moved.inventory.machines[kind].at_most;
    *machines += 1;
    let loosened_to = f64::from(*machines);
    let key = Cow::Owned(format!("inventory.machines[{kind}].at_most"));
    Moved { key, value: loosened_to - 1.0, loosened_to, problem: moved }
}

/// A tenth more memory in every machine of a kind.
fn more_memory(problem: &Problem, kind: usize) -> Option<Moved> {
    let value = problem.inventory.machines[kind].memory_mb?.get();
    let mut moved = problem.clone();
    moved.inventory.machines[kind].memory_mb = Some(Megabytes::saturating(value * TENTH_MORE));
    let key = Cow::Owned(format!("inventory.machines[{kind}].memory_mb"));
    Some(Moved { key, value, loosened_to: value * TENTH_MORE, problem: moved })
}

/// A tenth more time.
fn later(problem: &Problem) -> Moved {
    let (value, mut moved) = (problem.slo.latency_ms.get(), problem.clone());
    moved.slo.latency_ms = Millis::saturating(value * TENTH_MORE);
    Moved { key: Cow::Borrowed("slo.latency_ms"), value, loosened_to: value * TENTH_MORE, problem: moved }
}

/// One point less.
fn less_accurate(problem: &Problem) -> Option<Moved> {
    let least = problem.goal.accuracy_at_least?.get();
    let lower = Accuracy::saturating(least - 0.01);
    let mut moved = problem.clone();
    moved.goal.accuracy_at_least = Some(lower);
    let key = Cow::Borrowed("goal.accuracy_at_least");
    Some(Moved { key, value: least, loosened_to: lower.get(), problem: moved })
}
