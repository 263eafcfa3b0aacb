//! A plan for a known day: which gear in which period, where changing has a price.
//!
//! ```text
//! recorded day ─▶ periods ─▶ frontier at each highest rate ─▶ shortest path over what is up ─▶ gear of each period
//! ```
//!
//! What a day is worth is the goal's value with accuracy averaged over requests and cores over time, less the price of
//! changes: their core-seconds ([`super::change_cost`]) count as if they were up.

use std::collections::BTreeMap;

use super::Room;
use super::change_cost::{PoolsUp, core_seconds};
use super::hardware::widen;
use crate::base::error::Error;
use crate::base::rounding::ROUNDING;
use crate::base::units::{Accuracy, Millis, Rate};
use crate::facts::{Ask, Facts};
use crate::optimize::path;
use crate::plan::{Day, DayTotal, Gear, Period, Plan, PlanFormat, Pool, Provenance, Switch};
use crate::problem::{GoalKind, Problem};
use crate::workload::RecordedLoad;

/// What a core counts where the goal does not price it, as a part of what accuracy counts: among equally accurate days the one with fewer core-hours is best.
const LEAST_WEIGHT: f64 = 1e-6;

/// A gear that may be chosen, with the pools that are up.
struct DayChoice {
    gear: Gear,
    pools: PoolsUp,
    accuracy: f64,
    cores: f64,
    /// Part of everything there is, by price.
    used: f64,
}

/// Returns the best plan of a problem's goal for a recorded day, with a gear for each period, or `None` where some period cannot
/// be carried. The plan's inputs are left to the caller.
///
/// # Errors
/// As [`solve`](super::solve()); [`Error::Unsupported`] for goals that have no value over a day.
pub fn schedule(
    room: &dyn Room,
    problem: &Problem,
    facts: &Facts,
    day: &RecordedLoad,
    period_s: f64,
) -> Result<Option<Plan>, Error> {
    room.asks(problem).or(())?;
    let at_risk = Ask::new(problem, facts);
    // Gears are priced here, period by period, and not by the trace.
    let ask = at_risk.without_load();
    let problem = ask.problem.as_ref();
    let weights = Weights::new(problem)?;
    let spans = spans(day, period_s);
    let choices = best_at_every_rate(room, &ask, &spans)?;
    let change = |from: &DayChoice, to: &DayChoice| core_seconds(&ask.facts, &problem.slo, &from.pools, &to.pools);
    let days = Days::new(&choices, &weights, spans, change);
    let Some((_, chosen)) = path::best(&days.values, &days.prices) else { return Ok(None) };
    let chosen = days.choices_of(&chosen);
    let alone = (0..choices.len()).filter_map(|choice| days.total(&vec![choice; days.spans.len()]));
    let one_gear = alone.reduce(|best, next| if next.value > best.value { next } else { best });
    let greedy = path::greedy(&days.values).and_then(|greedy| days.total(&days.choices_of(&greedy)));
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
        machines: problem.inventory.machines.clone(),
        placement,
        transfers: Vec::new(),
        gears,
        switch: Switch::default(),
        periods: days.spans.iter().zip(&chosen).map(period).collect(),
        day: Some(Day { total, greedy, one_gear }),
        proof: None,
        provenance: Provenance::of_room(problem.room.name()),
    }))
}

/// Returns the pools and gears that are used, in increasing order of load and cores, and the place of each choice among the
/// gears.
fn decoded(choices: &[DayChoice], chosen: &[usize]) -> (Vec<Pool>, Vec<Gear>, BTreeMap<usize, usize>) {
    let mut used: Vec<usize> = chosen.to_vec();
    let by_load = |choice: &usize| (choices[*choice].gear.up_to_rps.get(), choices[*choice].cores, *choice);
    used.sort_by(|a, b| by_load(a).partial_cmp(&by_load(b)).expect("rates and cores are finite"));
    used.dedup();
    let mut placement: BTreeMap<String, Pool> = BTreeMap::new();
    for (pool, up) in used.iter().flat_map(|&choice| choices[choice].pools.values()) {
        widen(&mut placement, Pool { replicas: *up, ..pool.clone() });
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

/// The periods of a day with what each set of pools is worth in each, and each change between two. What is up changes at a
/// price; how it is shared does not.
struct Days<'a> {
    choices: &'a [DayChoice],
    weights: &'a Weights,
    spans: Vec<Span>,
    requests: f64,
    seconds: f64,
    /// By period and set of pools, the best choice with these; none where they do not carry the period.
    best: Vec<Vec<Option<usize>>>,
    /// What that is worth.
    values: Vec<Vec<Option<f64>>>,
    /// Core-seconds of the changes from one set of pools to another.
    changes: Vec<Vec<f64>>,
    /// Their prices, in units of the value.
    prices: Vec<Vec<f64>>,
    /// The set of pools of each choice.
    set_of: Vec<usize>,
}

impl<'a> Days<'a> {
    fn new(
        choices: &'a [DayChoice],
        weights: &'a Weights,
        spans: Vec<Span>,
        change: impl Fn(&DayChoice, &DayChoice) -> f64,
    ) -> Self {
        let requests = spans.iter().map(|span| span.requests).sum();
        let seconds = spans.iter().map(|span| span.seconds).sum();
        let up = |choice: &DayChoice| -> BTreeMap<String, u32> {
            choice.pools.iter().map(|(name, (_, up))| (name.clone(), *up)).collect()
        };
        let mut sets: BTreeMap<BTreeMap<String, u32>, usize> = BTreeMap::new();
        let (mut first, mut set_of) = (Vec::new(), Vec::new());
        for (index, choice) in choices.iter().enumerate() {
            let next = sets.len();
            let set = *sets.entry(up(choice)).or_insert(next);
            if set == next {
                first.push(index);
            }
            set_of.push(set);
        }
        let taken = |&from: &usize| first.iter().map(|&to| change(&choices[from], &choices[to])).collect();
        let changes: Vec<Vec<f64>> = first.iter().map(taken).collect();
        let price = |taken: &f64| weights.core * taken / seconds;
        let prices = changes.iter().map(|row| row.iter().map(price).collect()).collect();
        let mut days = Self {
            choices,
            weights,
            spans,
            requests,
            seconds,
            best: Vec::new(),
            values: Vec::new(),
            changes,
            prices,
            set_of,
        };
        days.best = days.spans.iter().map(|span| days.best_in(span, first.len())).collect();
        let value = |(span, best): (&Span, &Vec<Option<usize>>)| -> Vec<Option<f64>> {
            best.iter().map(|choice| days.value(span, (*choice)?)).collect()
        };
        days.values = days.spans.iter().zip(&days.best).map(value).collect();
        days
    }

    /// Returns for each set of pools the choice that is worth most in a period.
    fn best_in(&self, span: &Span, sets: usize) -> Vec<Option<usize>> {
        let mut best: Vec<Option<(f64, usize)>> = vec![None; sets];
        for (choice, &set) in self.set_of.iter().enumerate() {
            if let Some(value) = self.value(span, choice)
                && best[set].is_none_or(|(known, _)| value > known)
            {
                best[set] = Some((value, choice));
            }
        }
        best.into_iter().map(|best| best.map(|(_, choice)| choice)).collect()
    }

    /// Returns what a choice is worth in a period; `None` where it does not carry it as accurately as asked.
    fn value(&self, span: &Span, choice: usize) -> Option<f64> {
        let choice = &self.choices[choice];
        let carries = choice.gear.up_to_rps.get() >= span.highest && choice.accuracy >= self.weights.least_accuracy;
        let accurate = self.weights.accuracy * choice.accuracy * span.requests / self.requests;
        carries.then(|| accurate - self.weights.resource * choice.used * span.seconds / self.seconds)
    }

    /// Returns the best choice of each period with the chosen pools.
    fn choices_of(&self, sets: &[usize]) -> Vec<usize> {
        let chosen = |(best, &set): (&Vec<Option<usize>>, &usize)| best[set].expect("only what carries is chosen");
        self.best.iter().zip(sets).map(chosen).collect()
    }

    /// Returns what the day comes to with one choice a period; `None` where one does not carry its period.
    fn total(&self, chosen: &[usize]) -> Option<DayTotal> {
        let pairs = || self.spans.iter().zip(chosen.iter().map(|&choice| &self.choices[choice]));
        let own: f64 =
            self.spans.iter().zip(chosen).map(|(span, &choice)| self.value(span, choice)).sum::<Option<f64>>()?;
        let sets: Vec<usize> = chosen.iter().map(|&choice| self.set_of[choice]).collect();
        let paid = |of: &[Vec<f64>]| sets.windows(2).map(|pair| of[pair[0]][pair[1]]).sum::<f64>();
        Some(DayTotal {
            value: own - paid(&self.prices),
            accuracy: Accuracy::saturating(
                pairs().map(|(span, choice)| choice.accuracy * span.requests / self.requests).sum(),
            ),
            core_hours: pairs().map(|(span, choice)| choice.cores * span.seconds / 3600.0).sum(),
            change_core_hours: paid(&self.changes) / 3600.0,
            changes: chosen.windows(2).filter(|pair| pair[0] != pair[1]).count(),
        })
    }
}

/// What a day's accuracy and hardware count.
struct Weights {
    accuracy: f64,
    /// Everything there is, all day.
    resource: f64,
    /// One core all day.
    core: f64,
    least_accuracy: f64,
}

impl Weights {
    fn new(problem: &Problem) -> Result<Self, Error> {
        let (accuracy, resource) = match problem.goal.kind {
            GoalKind::MostAccurate => (1.0, LEAST_WEIGHT),
            GoalKind::Cheapest => (LEAST_WEIGHT, 1.0),
            GoalKind::Weighted => {
                let weights = problem.goal.weights.unwrap_or_default();
                (weights.accuracy.get(), weights.resource.get().max(LEAST_WEIGHT * weights.accuracy.get()))
            }
            GoalKind::Lexicographic | GoalKind::Fastest => {
                return Err(Error::Unsupported {
                    what: "a lexicographic goal, or `fastest`, has no one value to add up over a day".to_owned(),
                    hint: "schedule with `weighted`, `cheapest` or `most-accurate`".to_owned(),
                });
            }
        };
        let least_accuracy = problem.goal.accuracy_at_least.map_or(0.0, Accuracy::get);
        Ok(Self { accuracy, resource, core: resource / f64::from(problem.core_budget()), least_accuracy })
    }
}

/// Returns the frontier of the room at every rate that some period asks for, the highest first. This is all that a day asks of a
/// room.
///
/// Rates closer together than the part of accuracy that a gear may give away by fixed shares are one.
fn best_at_every_rate(room: &dyn Room, ask: &Ask<'_>, spans: &[Span]) -> Result<Vec<DayChoice>, Error> {
    let problem = ask.problem.as_ref();
    let opened = room.open(ask)?;
    let mut rates: Vec<f64> = spans.iter().map(|span| span.highest).filter(|rate| *rate > 0.0).collect();
    rates.sort_by(|a, b| b.total_cmp(a));
    rates.dedup_by(|next, kept| *next > *kept * (1.0 - problem.goal.gear_loss_at_most.get()));
    let mut all = Vec::new();
    for rate in rates {
        for choice in opened.frontier(rate)? {
            all.push(DayChoice {
                accuracy: choice.accuracy,
                cores: f64::from(choice.cores()),
                used: choice.used(problem),
                pools: choice.pools,
                gear: choice.gear,
            });
        }
    }
    Ok(all)
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
            Some(span) if at - span.from < period_s * (1.0 - ROUNDING) => {
                span.seconds += day.step_s();
                span.highest = span.highest.max(rate);
                span.requests += rate * day.step_s();
            }
            _ => spans.push(Span { from: at, seconds: day.step_s(), highest: rate, requests: rate * day.step_s() }),
        }
    }
    spans
}
