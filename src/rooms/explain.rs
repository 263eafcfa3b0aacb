//! Why a gear is as it is: which limits bind, what one more of each would buy, and what came second.

use serde::Serialize;

use crate::error::Error;
use crate::facts::Facts;
use crate::optimize::fill::Ladder;
use crate::optimize::{Instance, Solution};
use crate::plan::Plan;
use crate::problem::{Problem, Room};
use crate::units::Millis;

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
    let Some(load) = plan.gears.get(gear).map(|gear| gear.up_to_rps.get()) else {
        return Err(Error::Unsupported {
            what: format!("the plan has no gear {gear}"),
            hint: format!("gears are 0 to {}", plan.gears.len().saturating_sub(1)),
        });
    };
    if problem.room != Room::VariantSet {
        return Err(Error::Unsupported {
            what: format!("plans of the room `{}` cannot be explained yet", problem.room.as_str()),
            hint: "plans of variant-set can".to_owned(),
        });
    }
    let instance = Model::new(problem, facts)?.instance;
    let Some(best) = Ladder::only_at(load, &instance).at(load) else {
        return Err(Error::Unsupported {
            what: format!("no plan carries {load} requests/s any more"),
            hint: "the facts or the problem have changed: run `planner solve` again".to_owned(),
        });
    };
    Ok(Explanation {
        gear,
        load_rps: load,
        objective: best.value,
        accuracy: best.accuracy,
        cores: best.cores.iter().sum(),
        limits: prices(problem, facts, load, &best)?,
        runner_up: runner_up(&instance, load, &best),
    })
}

fn prices(problem: &Problem, facts: &Facts, load: f64, best: &Solution) -> Result<Vec<LimitPrice>, Error> {
    let mut looser = Vec::new();
    let mut with = |key, value: f64, loosened_to: f64, change: &dyn Fn(&mut Problem)| {
        let mut moved = problem.clone();
        change(&mut moved);
        looser.push((key, value, loosened_to, moved));
    };
    let cores = problem.inventory.cores;
    let one_more = |moved: &mut Problem| {
        moved.inventory.cores += 1;
        moved.goal.cores_at_most = moved.goal.cores_at_most.map(|most| most + 1);
    };
    with("inventory.cores", f64::from(cores), f64::from(cores + 1), &one_more);
    let latency = problem.slo.latency_ms.get();
    with("slo.latency_ms", latency, latency * 1.1, &|moved| moved.slo.latency_ms = Millis::saturating(latency * 1.1));
    if let Some(least) = problem.goal.accuracy_at_least {
        let lower = crate::units::Accuracy::saturating(least.get() - 0.01);
        let change = move |moved: &mut Problem| moved.goal.accuracy_at_least = Some(lower);
        with("goal.accuracy_at_least", least.get(), lower.get(), &change);
    }
    looser
        .into_iter()
        .map(|(key, value, loosened_to, moved)| price(key, value, loosened_to, &moved, facts, load, best))
        .collect()
}

fn price(
    key: &'static str,
    value: f64,
    loosened_to: f64,
    moved: &Problem,
    facts: &Facts,
    load: f64,
    best: &Solution,
) -> Result<LimitPrice, Error> {
    let instance = Model::new(moved, facts)?.instance;
    let found = Ladder::only_at(load, &instance).at(load).unwrap_or_else(|| best.clone());
    let cores = |solution: &Solution| i64::from(solution.cores.iter().sum::<u32>());
    let accuracy_gain = found.accuracy - best.accuracy;
    let cores_change = cores(&found) - cores(best);
    Ok(LimitPrice {
        key,
        value,
        loosened_to,
        binds: accuracy_gain > 1e-9 || cores_change < 0,
        accuracy_gain,
        cores_change,
        objective_gain: found.value - best.value,
    })
}

/// Returns the best solution that gives up one of the chosen allotments.
fn runner_up(instance: &Instance, load: f64, best: &Solution) -> Option<RunnerUp> {
    let used = best.cores.iter().enumerate().filter(|(_, cores)| **cores > 0);
    let seconds = used.filter_map(|(index, &cores)| {
        let mut without = instance.clone();
        without.items[index].options.retain(|option| option.cores != cores);
        Ladder::only_at(load, &without).at(load)
    });
    let second = seconds.max_by(|a, b| a.value.total_cmp(&b.value).then(a.accuracy.total_cmp(&b.accuracy)))?;
    let named = instance.items.iter().zip(&second.cores).filter(|(_, cores)| **cores > 0);
    Some(RunnerUp {
        cores: named.map(|(item, &cores)| (item.name.clone(), cores)).collect(),
        accuracy: second.accuracy,
        objective: second.value,
    })
}
