//! A plan for a known day: which gear in which period, where changing has a price. The format `planner.schedule/1`.
//!
//! ```text
//! most accurate plan within 1, 2, … cores ─▶ their gears: all Pareto options at every load
//! recorded day ─▶ periods ─▶ options that carry the period's highest rate ─▶ shortest path ─▶ gear of each period
//! ```
//!
//! What a day is worth is the goal's value with accuracy averaged over requests and cores over time, less the price of
//! changes. A change takes, in core-seconds,
//!
//! ```text
//! cores that start × the longest load time of what starts  +  cores that leave × SLO (the longest drain)
//! ```
//!
//! which count as if they were up.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Context, solve};
use crate::base::codec::Document;
use crate::base::error::Error;
use crate::base::finding::{Code, Finding, Findings};
use crate::base::units::{Accuracy, Millis, Rate};
use crate::facts::Facts;
use crate::optimize::path;
use crate::plan::{Gear, Plan, Pool, Switch};
use crate::problem::{GoalKind, Problem, Slo};
use crate::simulate::Timetable;
use crate::workload::RecordedLoad;

/// What a core counts where the goal does not price it: among equally accurate days the one with fewer core-hours is best.
const LEAST_WEIGHT: f64 = 1e-6;

/// The name and version of the format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScheduleFormat {
    /// The only version so far.
    #[default]
    #[serde(rename = "planner.schedule/1")]
    V1,
}

/// Which gear in which period of a known day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Always `planner.schedule/1`.
    pub format: ScheduleFormat,
    /// The problem's name.
    pub name: String,
    /// The latency objective that every gear keeps.
    pub slo: Slo,
    /// Length of a period; the last may be shorter.
    pub period_ms: Millis,
    /// Every pool that any gear uses.
    pub placement: Vec<Pool>,
    /// The gears in use.
    pub gears: Vec<Gear>,
    /// The periods, one after the other.
    pub periods: Vec<Period>,
    /// What the day comes to.
    pub total: DayTotal,
    /// What it would come to with the best gear of each period by itself.
    pub greedy: DayTotal,
    /// What it would come to with the best gear that carries the whole day; absent where none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_gear: Option<DayTotal>,
}

impl Document for Schedule {
    const FORMAT: &'static str = "planner.schedule/1";
    const NOUN: &'static str = "schedule";

    fn rules(&self) -> Findings {
        self.validate()
    }
}

/// A period of the day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// Begin of the period since that of the day.
    pub from_ms: Millis,
    /// The highest rate in it, which the gear carries.
    pub highest_rps: Rate,
    /// Index of its gear.
    pub gear: usize,
}

/// What a day comes to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DayTotal {
    /// Value of the goal, less the price of changes; higher is better.
    pub value: f64,
    /// Accuracy over requests.
    pub accuracy: Accuracy,
    /// Core-hours of the gears.
    pub core_hours: f64,
    /// Core-hours of changes on top.
    pub change_core_hours: f64,
    /// Changes of gear.
    pub changes: usize,
}

/// A gear that may be chosen, with the pools that are up.
struct Choosable {
    gear: Gear,
    pools: BTreeMap<String, (Pool, u32)>,
    accuracy: f64,
    cores: f64,
}

impl Schedule {
    /// Returns the best schedule of a problem's goal for a recorded day, or `None` where some period cannot be carried.
    ///
    /// # Errors
    /// As [`solve`]; [`Error::Unsupported`] for goals that have no value over a day.
    pub fn of(problem: &Problem, facts: &Facts, day: &RecordedLoad, period_s: f64) -> Result<Option<Self>, Error> {
        super::hardware::refuse(problem, "a schedule")?;
        let weights = Weighing::of(problem)?;
        let options = options(problem, facts, day.peak_rps())?;
        let spans = spans(day, period_s);
        let all: f64 = spans.iter().map(|span| span.requests).sum();
        let seconds = day.length_s();
        let value = |span: &Span, option: &Choosable| {
            let carries = option.gear.up_to_rps.get() >= span.highest && option.accuracy >= weights.least_accuracy;
            let accurate = weights.accuracy * option.accuracy * span.requests / all;
            carries.then(|| accurate - weights.core * option.cores * span.seconds / seconds)
        };
        let values: Vec<Vec<Option<f64>>> =
            spans.iter().map(|span| options.iter().map(|option| value(span, option)).collect()).collect();
        let taken = |from: &Choosable, to: &Choosable| core_seconds(facts, problem, from, to);
        let change: Vec<Vec<f64>> =
            options.iter().map(|from| options.iter().map(|to| taken(from, to)).collect()).collect();
        let price: Vec<Vec<f64>> =
            change.iter().map(|row| row.iter().map(|taken| weights.core * taken / seconds).collect()).collect();
        let Some((_, chosen)) = path::best(&values, &price) else { return Ok(None) };
        let total = |chosen: &[usize]| {
            let pairs = || spans.iter().zip(chosen);
            Some(DayTotal {
                value: path::worth(&values, &price, chosen)?,
                accuracy: Accuracy::saturating(
                    pairs().map(|(span, &option)| options[option].accuracy * span.requests / all).sum(),
                ),
                core_hours: pairs().map(|(span, &option)| options[option].cores * span.seconds / 3600.0).sum(),
                change_core_hours: chosen.windows(2).map(|pair| change[pair[0]][pair[1]] / 3600.0).sum(),
                changes: chosen.windows(2).filter(|pair| pair[0] != pair[1]).count(),
            })
        };
        let alone = (0..options.len()).filter_map(|option| total(&vec![option; spans.len()]));
        let one_gear = alone.reduce(|best, next| if next.value > best.value { next } else { best });
        let greedy = path::greedy(&values).and_then(|greedy| total(&greedy));
        let (Some(total), Some(greedy)) = (total(&chosen), greedy) else { return Ok(None) };
        let mut used: Vec<usize> = chosen.clone();
        used.sort_unstable();
        used.dedup();
        let mut placement: BTreeMap<String, Pool> = BTreeMap::new();
        for (name, (pool, up)) in used.iter().flat_map(|&option| &options[option].pools) {
            let known = placement.entry(name.clone()).or_insert_with(|| Pool { replicas: *up, ..pool.clone() });
            known.replicas = known.replicas.max(*up);
        }
        let place = |option: usize| used.binary_search(&option).expect("all chosen ones are used");
        let gear = |&option: &usize| {
            let up = |name: &String| options[option].pools.get(name).map_or(0, |(_, up)| *up);
            let replicas = placement.keys().map(|name| (name.clone(), up(name))).collect();
            Gear { replicas, ..options[option].gear.clone() }
        };
        Ok(Some(Self {
            format: ScheduleFormat::V1,
            name: problem.name.clone(),
            slo: problem.slo,
            period_ms: Millis::saturating(1e3 * period_s),
            gears: used.iter().map(gear).collect(),
            periods: spans
                .iter()
                .zip(&chosen)
                .map(|(span, &option)| Period {
                    from_ms: Millis::saturating(1e3 * span.from),
                    highest_rps: Rate::saturating(span.highest),
                    gear: place(option),
                })
                .collect(),
            placement: placement.into_values().collect(),
            total,
            greedy,
            one_gear,
        }))
    }

    /// Tells whether a higher rate never has a gear that carries less: then gears by load do the same as the schedule.
    #[must_use]
    pub fn follows_load(&self) -> bool {
        let mut by_rate: Vec<(f64, usize)> =
            self.periods.iter().map(|period| (period.highest_rps.get(), period.gear)).collect();
        by_rate.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let carries = |gear: usize| self.gears[gear].up_to_rps;
        by_rate.windows(2).all(|pair| match () {
            () if pair[0].0 == pair[1].0 => pair[0].1 == pair[1].1,
            () => carries(pair[0].1) <= carries(pair[1].1),
        })
    }

    /// Returns the schedule's gears as a plan that another one stands beside, with the timetable that changes them.
    ///
    /// Gears of a schedule need not increase in what they carry, so that the plan is for simulation only.
    #[must_use]
    pub fn as_plan(&self, beside: &Plan) -> (Plan, Timetable) {
        let plan = Plan {
            name: format!("schedule of {}", self.name),
            slo: self.slo,
            placement: self.placement.clone(),
            transfers: Vec::new(),
            gears: self.gears.clone(),
            switch: Switch::default(),
            ..beside.clone()
        };
        let period = self.period_ms.duration();
        (plan, Timetable { period, gears: self.periods.iter().map(|period| period.gear).collect() })
    }

    /// Returns everything that is wrong between the fields.
    #[must_use]
    pub fn validate(&self) -> Findings {
        let mut findings = Findings::default();
        if self.periods.is_empty() {
            findings.push(Finding::error(Code::Empty, "periods", "there is no period", "at least one"));
        }
        for (index, period) in self.periods.iter().enumerate() {
            let key = format!("periods[{index}]");
            match self.gears.get(period.gear) {
                None => {
                    let cause = format!("there is no gear {}", period.gear);
                    findings.push(Finding::error(Code::UnknownName, key, cause, "name one of `gears`"));
                }
                Some(gear) if gear.up_to_rps < period.highest_rps => {
                    let cause = format!(
                        "gear {} carries {}, {} are asked for",
                        period.gear, gear.up_to_rps, period.highest_rps
                    );
                    findings.push(Finding::error(Code::LimitBroken, key, cause, "solve again"));
                }
                Some(_) => {}
            }
        }
        findings
    }
}

/// What a day's accuracy and cores count.
struct Weighing {
    accuracy: f64,
    /// One core all day.
    core: f64,
    least_accuracy: f64,
}

impl Weighing {
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

/// Returns the gears of the most accurate plans within every number of cores: all that is worth choosing at any load.
fn options(problem: &Problem, facts: &Facts, peak: f64) -> Result<Vec<Choosable>, Error> {
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
        let gears = plan.iter().flat_map(|plan| plan.gears.iter().filter_map(move |gear| choosable(plan, gear)));
        for option in gears {
            let same = |other: &Choosable| other.gear.up_to_rps == option.gear.up_to_rps && other.cores == option.cores;
            if !all.iter().any(same) {
                all.push(option);
            }
        }
    }
    Ok(all)
}

fn choosable(plan: &Plan, gear: &Gear) -> Option<Choosable> {
    let pools = plan.placement.iter().map(|pool| (pool.name.clone(), (pool.clone(), gear.replicas_of(pool))));
    Some(Choosable {
        pools: pools.filter(|(_, (_, up))| *up > 0).collect(),
        accuracy: gear.claims.accuracy?.value.get(),
        cores: f64::from(gear.claims.cores?),
        gear: gear.clone(),
    })
}

/// Returns the core-seconds that a change of gear takes.
fn core_seconds(facts: &Facts, problem: &Problem, from: &Choosable, to: &Choosable) -> f64 {
    let more = |here: &Choosable, there: &Choosable| {
        let of = |(name, (pool, up)): (&String, &(Pool, u32))| {
            let there = there.pools.get(name).map_or(0, |(_, up)| *up);
            up.saturating_sub(there) * pool.on.cores()
        };
        f64::from(here.pools.iter().map(of).sum::<u32>())
    };
    let starts = to.pools.iter().filter(|(name, (_, up))| from.pools.get(*name).is_none_or(|(_, before)| before < up));
    let load_ms = |variant: &String| facts.variant(variant).map_or(0.0, |variant| variant.load_time_ms.get());
    let loading = starts.flat_map(|(_, (pool, _))| &pool.hosts).map(load_ms).fold(0.0, f64::max);
    (more(to, from) * loading + more(from, to) * problem.slo.latency_ms.get()) / 1e3
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
