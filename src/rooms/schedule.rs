//! A plan for a known day: which gear in which period, where changing has a price.
//!
//! ```text
//! best choices within every budget: all Pareto options at every load
//! recorded day ─▶ periods ─▶ options that carry the period's highest rate ─▶ shortest path ─▶ gear of each period
//! ```
//!
//! What a day is worth is the goal's value with accuracy averaged over requests and cores over time, less the price of
//! changes: their core-seconds ([`super::change_cost`]) count as if they were up.

use std::collections::BTreeMap;

use super::change_cost::{PoolsUp, core_seconds};
use super::{Answer, Context, solve};
use crate::base::error::Error;
use crate::base::units::{Accuracy, Millis, Rate};
use crate::facts::Facts;
use crate::optimize::path;
use crate::plan::{Day, DayTotal, Gear, Period, Plan, PlanFormat, Pool, Provenance, Switch};
use crate::problem::{GoalKind, Problem};
use crate::workload::RecordedLoad;

/// What a core counts where the goal does not price it: among equally accurate days the one with fewer core-hours is best.
const LEAST_WEIGHT: f64 = 1e-6;

/// A gear that may be chosen, with the pools that are up.
struct Choice {
    gear: Gear,
    pools: PoolsUp,
    accuracy: f64,
    cores: f64,
}

/// Returns the best plan of a problem's goal for a recorded day, with a gear for each period, or `None` where some period cannot
/// be carried. The plan's inputs are left to the caller.
///
/// # Errors
/// As [`solve`]; [`Error::Unsupported`] for goals that have no value over a day.
pub fn schedule(problem: &Problem, facts: &Facts, day: &RecordedLoad, period_s: f64) -> Result<Option<Plan>, Error> {
    super::machines::refuse(problem, "a schedule")?;
    let weights = Weights::of(problem)?;
    let choices = best_within_every_budget(problem, facts, day.peak_rps())?;
    let change = |from: &Choice, to: &Choice| core_seconds(facts, &problem.slo, &from.pools, &to.pools);
    let days = Days::new(&choices, &weights, spans(day, period_s), change);
    let Some((_, chosen)) = path::best(&days.values, &days.prices) else { return Ok(None) };
    let alone = (0..choices.len()).filter_map(|choice| days.total(&vec![choice; days.spans.len()]));
    let one_gear = alone.reduce(|best, next| if next.value > best.value { next } else { best });
    let greedy = path::greedy(&days.values).and_then(|greedy| days.total(&greedy));
    let (Some(total), Some(greedy)) = (days.total(&chosen), greedy) else { return Ok(None) };
    let (placement, gears, place) = decoded(&choices, &chosen);
    let period = |(span, choice): (&Span, &usize)| Period {
        from_ms: Millis::saturating(1e3 * span.from),
        highest_rps: Rate::saturating(span.highest),
        gear: place[choice],
    };
    Ok(Some(Plan {
        format: PlanFormat::V1,
        name: problem.name.clone(),
        slo: problem.slo,
        machines: Vec::new(),
        placement,
        transfers: Vec::new(),
        gears,
        switch: Switch::default(),
        periods: days.spans.iter().zip(&chosen).map(period).collect(),
        day: Some(Day { total, greedy, one_gear }),
        proof: None,
        provenance: Provenance::of_room(problem.room),
    }))
}

/// Returns the pools and gears that are used, in increasing order of load and cores, and the place of each choice among the
/// gears.
fn decoded(choices: &[Choice], chosen: &[usize]) -> (Vec<Pool>, Vec<Gear>, BTreeMap<usize, usize>) {
    let mut used: Vec<usize> = chosen.to_vec();
    let by_load = |choice: &usize| (choices[*choice].gear.up_to_rps.get(), choices[*choice].cores, *choice);
    used.sort_by(|a, b| by_load(a).partial_cmp(&by_load(b)).expect("rates and cores are finite"));
    used.dedup();
    let mut placement: BTreeMap<String, Pool> = BTreeMap::new();
    for (name, (pool, up)) in used.iter().flat_map(|&choice| &choices[choice].pools) {
        let known = placement.entry(name.clone()).or_insert_with(|| Pool { replicas: *up, ..pool.clone() });
        known.replicas = known.replicas.max(*up);
    }
    let gear = |&choice: &usize| {
        let up = |name: &String| choices[choice].pools.get(name).map_or(0, |(_, up)| *up);
        // What was proved, and when it was to change, held for the plan that the gear is from.
        Gear {
            replicas: placement.keys().map(|name| (name.clone(), up(name))).collect(),
            under_way_at_most: None,
            window_ms: None,
            certificate: None,
            ..choices[choice].gear.clone()
        }
    };
    let gears = used.iter().map(gear).collect();
    let place = used.iter().enumerate().map(|(place, &choice)| (choice, place)).collect();
    (placement.into_values().collect(), gears, place)
}

/// The periods of a day with what each choice is worth in each, and each change between two.
struct Days<'a> {
    choices: &'a [Choice],
    spans: Vec<Span>,
    requests: f64,
    /// By period and choice; none where the choice does not carry the period.
    values: Vec<Vec<Option<f64>>>,
    /// Core-seconds of the changes from one choice to another.
    changes: Vec<Vec<f64>>,
    /// Their prices, in units of the value.
    prices: Vec<Vec<f64>>,
}

impl<'a> Days<'a> {
    fn new(
        choices: &'a [Choice],
        weights: &Weights,
        spans: Vec<Span>,
        change: impl Fn(&Choice, &Choice) -> f64,
    ) -> Self {
        let requests: f64 = spans.iter().map(|span| span.requests).sum();
        let seconds: f64 = spans.iter().map(|span| span.seconds).sum();
        let value = |span: &Span, choice: &Choice| {
            let carries = choice.gear.up_to_rps.get() >= span.highest && choice.accuracy >= weights.least_accuracy;
            let accurate = weights.accuracy * choice.accuracy * span.requests / requests;
            carries.then(|| accurate - weights.core * choice.cores * span.seconds / seconds)
        };
        let values = spans.iter().map(|span| choices.iter().map(|choice| value(span, choice)).collect()).collect();
        let changes: Vec<Vec<f64>> =
            choices.iter().map(|from| choices.iter().map(|to| change(from, to)).collect()).collect();
        let prices =
            changes.iter().map(|row| row.iter().map(|taken| weights.core * taken / seconds).collect()).collect();
        Self { choices, spans, requests, values, changes, prices }
    }

    /// Returns what the day comes to with one choice a period; `None` where one does not carry its period.
    fn total(&self, chosen: &[usize]) -> Option<DayTotal> {
        let pairs = || self.spans.iter().zip(chosen.iter().map(|&choice| &self.choices[choice]));
        Some(DayTotal {
            value: path::worth(&self.values, &self.prices, chosen)?,
            accuracy: Accuracy::saturating(
                pairs().map(|(span, choice)| choice.accuracy * span.requests / self.requests).sum(),
            ),
            core_hours: pairs().map(|(span, choice)| choice.cores * span.seconds / 3600.0).sum(),
            change_core_hours: chosen.windows(2).map(|pair| self.changes[pair[0]][pair[1]] / 3600.0).sum(),
            changes: chosen.windows(2).filter(|pair| pair[0] != pair[1]).count(),
        })
    }
}

/// What a day's accuracy and cores count.
struct Weights {
    accuracy: f64,
    /// One core all day.
    core: f64,
    least_accuracy: f64,
}

impl Weights {
    fn of(problem: &Problem) -> Result<Self, Error> {
        let budget = f64::from(problem.core_budget());
        let (accuracy, resource) = match problem.goal.kind {
            GoalKind::MostAccurate => (1.0, LEAST_WEIGHT),
            GoalKind::Cheapest => (LEAST_WEIGHT, 1.0),
            GoalKind::Weighted => {
                let weights = problem.goal.weights.unwrap_or_default();
                (weights.accuracy.get(), weights.resource.get().max(LEAST_WEIGHT))
            }
            GoalKind::Lexicographic | GoalKind::Fastest => {
                return Err(Error::Unsupported {
                    what: "a lexicographic goal, or `fastest`, has no one value to add up over a day".to_owned(),
                    hint: "schedule with `weighted`, `cheapest` or `most-accurate`".to_owned(),
                });
            }
        };
        let least_accuracy = problem.goal.accuracy_at_least.map_or(0.0, Accuracy::get);
        Ok(Self { accuracy, core: resource / budget, least_accuracy })
    }
}

/// Returns the gears of the most accurate plans within every number of cores: all that is worth choosing at any load. This is
/// all that a day asks of a room.
fn best_within_every_budget(problem: &Problem, facts: &Facts, peak: f64) -> Result<Vec<Choice>, Error> {
    let mut all = Vec::new();
    // Gears are priced here, period by period, and not by the trace.
    let facts = &facts.without_load();
    for cores in 1..=problem.core_budget() {
        let mut asked = problem.clone();
        asked.goal.kind = GoalKind::MostAccurate;
        asked.goal.accuracy_at_least = None;
        asked.goal.weights = None;
        asked.goal.gears_at_most = None;
        asked.goal.cores_at_most = Some(cores);
        asked.workload.max_rps = Rate::saturating(peak);
        if cores < asked.inventory.min_cores_per_variant {
            continue;
        }
        let plan = match solve(&asked, facts, Context::default())? {
            Answer::Plan(plan) => Some(plan),
            Answer::Infeasible(conflict) => {
                let rate = conflict.limits.iter().find(|limit| limit.key == "workload.max_rps");
                match rate.and_then(|limit| limit.would_have_to_be).filter(|rate| *rate > 0.0) {
                    None => None,
                    Some(rate) => {
                        asked.workload.max_rps = Rate::saturating(rate * (1.0 - 1e-6));
                        match solve(&asked, facts, Context::default())? {
                            Answer::Plan(plan) => Some(plan),
                            Answer::Infeasible(_) => None,
                        }
                    }
                }
            }
        };
        let gears = plan.iter().flat_map(|plan| plan.gears.iter().filter_map(move |gear| choice(plan, gear)));
        for option in gears {
            let same = |other: &Choice| other.gear.up_to_rps == option.gear.up_to_rps && other.cores == option.cores;
            if !all.iter().any(same) {
                all.push(option);
            }
        }
    }
    Ok(all)
}

fn choice(plan: &Plan, gear: &Gear) -> Option<Choice> {
    let pools = plan.placement.iter().map(|pool| (pool.name.clone(), (pool.clone(), gear.replicas_of(pool))));
    Some(Choice {
        pools: pools.filter(|(_, (_, up))| *up > 0).collect(),
        accuracy: gear.claims.accuracy?.value.get(),
        cores: f64::from(gear.claims.cores?),
        gear: gear.clone(),
    })
}

/// A period of the recorded day.
struct Span {
    from: f64,
    seconds: f64,
    highest: f64,
    requests: f64,
}

/// Cuts a day into periods.
fn spans(day: &RecordedLoad, period_s: f64) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for (index, &rate) in day.rates().iter().enumerate() {
        let at = index as f64 * day.step_s();
        match spans.last_mut() {
            Some(span) if at - span.from < period_s * (1.0 - 1e-9) => {
                span.seconds += day.step_s();
                span.highest = span.highest.max(rate);
                span.requests += rate * day.step_s();
            }
            _ => spans.push(Span { from: at, seconds: day.step_s(), highest: rate, requests: rate * day.step_s() }),
        }
    }
    spans
}
