//! A plan for a known day: which gear in which period, where changing has a price.
//!
//! ```text
//! recorded day ─▶ periods ─▶ what may be up: the frontier at each highest rate ─▶ shortest path ─▶ value of a day ─┐
//!                                  ▲  all that no bound rules out, where the room can list them ◀──────────────────┘
//! ```
//!
//! Pools are up; what they do in a period is the best for its own highest rate ([`Opened::gear_with`]).
//!
//! What a day is worth is the goal's value with accuracy averaged over requests and hardware over time, less the price of
//! changes: their core-seconds ([`super::change_cost`]) count as if they were up. Levels of a goal stay levels: what the first
//! may give away it may give away in every period.
//!
//! **Bound.** Without the price of changes every period takes what is best for it; no day is worth more. So pools `S` can only be
//! up in a period of the best day if
//!
//! ```text
//! value of S in the period ≥ best value in the period − (sum of the best values − value of a known day)
//! ```
//!
//! Where the room lists all of these and they are few, the shortest path over them is the best day.

use std::collections::BTreeMap;

use super::change_cost::core_seconds;
use super::fastest::Shortest;
use super::gears::{plan_of, with_latencies};
use super::hardware::{facts_of_kinds, widen};
use super::{Choice, Opened, Room, goal, strict};
use crate::base::error::Error;
use crate::base::rounding::{ROUNDING, SUMS, keeps_within};
use crate::base::units::{Accuracy, Millis, Rate};
use crate::facts::{Ask, Facts};
use crate::optimize::levels::Levels;
use crate::optimize::path;
use crate::plan::{Day, DayTotal, Gear, Period, Plan, Pool, Switch};
use crate::problem::{Criterion, GoalKind, Problem};
use crate::workload::RecordedLoad;

/// Most different highest rates whose frontiers are all asked for; of more, those closer together than the part of accuracy that
/// a gear may give away count as one.
const MOST_RATES: usize = 100;
/// Most choices that are listed beside those of the frontiers.
const MOST_LISTED: usize = 1_000;
/// A period in which nobody asks for anything is planned for this part of the highest rate.
const IDLE: f64 = 1e-3;

/// Returns the best plan of a problem's goal for a recorded day, with a gear for each period, or `None` where some period cannot
/// be carried. The plan's inputs are left to the caller.
///
/// # Errors
/// As [`solve`](super::solve()).
pub fn schedule(
    room: &dyn Room,
    problem: &Problem,
    facts: &Facts,
    day: &RecordedLoad,
    period_s: f64,
) -> Result<Option<Plan>, Error> {
    if problem.goal.kind == GoalKind::Fastest {
        return fastest(room, problem, facts, day, period_s);
    }
    let at_risk = Ask::new(problem, facts);
    // Gears are priced here, period by period, and not by the trace.
    let ask = at_risk.without_load();
    let opened = room.open(&ask)?;
    let Some(periods) = Periods::new(&ask.problem, opened.as_ref(), spans(day, period_s))? else { return Ok(None) };
    let mut options = Options::default();
    periods.frontiers.iter().flat_map(|(_, choices)| choices).for_each(|choice| options.add(choice.clone()));
    let Some(known) = Found::new(&ask, opened.as_ref(), &periods, &options)?.map(|found| found.value) else {
        return Ok(None);
    };
    let most = periods.bound();
    let is_best = !most.beats(known) || options.add_all_within(most - known, opened.as_ref(), &periods)?;
    let found = Found::new(&ask, opened.as_ref(), &periods, &options)?.expect("more options carry no less");
    let bound = if is_best { found.value } else { most };
    let total = |chosen: &[usize]| found.total(&periods, chosen);
    let alone = found.alone().into_iter().reduce(Levels::better).map(|(_, chosen)| chosen);
    let greedy = path::greedy(&found.values).expect("every period has a choice");
    let day = Day {
        total: total(&found.chosen),
        greedy: total(&greedy),
        one_gear: alone.map(|chosen| total(&chosen)),
        bound: Some(bound.0[0] * goal::weights_in_all(&periods.goal)),
    };
    let Decoded { placement, gears, gear_of } = decoded(opened.as_ref(), &periods, &found)?;
    let period = |(span, &gear): (&Span, &usize)| Period {
        from_ms: Millis::saturating(1e3 * span.from),
        highest_rps: Rate::saturating(span.highest),
        gear,
    };
    let plan = Plan {
        periods: periods.spans.iter().zip(&gear_of).map(period).collect(),
        day: Some(day),
        ..plan_of(&ask.problem, placement, gears, Switch::default())
    };
    Ok(Some(with_latencies(plan, &ask.facts)))
}

/// Returns the most accurate day within the shortest SLO that its highest rate can keep.
fn fastest(
    room: &dyn Room,
    problem: &Problem,
    facts: &Facts,
    day: &RecordedLoad,
    period_s: f64,
) -> Result<Option<Plan>, Error> {
    let ask = Ask::new(problem, facts);
    let highest = day.rates().iter().copied().fold(IDLE * problem.workload.max_rps.get(), f64::max);
    let Some(shortest) = Shortest::new(room.open(&ask)?.as_ref(), &ask.problem, highest)? else { return Ok(None) };
    let plan = schedule(room, &shortest.within(problem), facts, day, period_s)?;
    Ok(plan.map(|plan| Plan { slo: problem.slo, ..plan }))
}

/// The pools and gears that are used.
struct Decoded {
    placement: Vec<Pool>,
    /// In increasing order of load and cores.
    gears: Vec<Gear>,
    /// The gear of each period.
    gear_of: Vec<usize>,
}

/// Returns the pools and gears that are used. Periods in which the same pools do the same have one gear, as high as any of them
/// needs.
fn decoded(opened: &dyn Opened, periods: &Periods, found: &Found<'_>) -> Result<Decoded, Error> {
    let mut placement: BTreeMap<String, Pool> = BTreeMap::new();
    let choices: Vec<usize> = found.choices_of(&found.chosen);
    for (pool, up) in choices.iter().flat_map(|&choice| found.options.choices[choice].pools.values()) {
        widen(&mut placement, Pool { replicas: *up, ..pool.clone() });
    }
    let mut gears: Vec<Gear> = Vec::new();
    let mut places = Vec::new();
    for (span, &choice) in periods.spans.iter().zip(&choices) {
        let choice = &found.options.choices[choice];
        let gear = opened.gear_with(choice, span.load)?.expect("only what carries is chosen");
        let gear = with_pools(gear, choice, &placement);
        let same = |known: &Gear| known.replicas == gear.replicas && known.stages == gear.stages;
        let place = gears.iter().position(same).unwrap_or(gears.len());
        match gears.get_mut(place) {
            None => gears.push(gear),
            Some(known) if known.up_to_rps < gear.up_to_rps => *known = gear,
            Some(_) => {}
        }
        places.push(place);
    }
    let mut order: Vec<usize> = (0..gears.len()).collect();
    order.sort_by(|&a, &b| {
        let cores = |gear: usize| gears[gear].claims.cores;
        gears[a].up_to_rps.get().total_cmp(&gears[b].up_to_rps.get()).then(cores(a).cmp(&cores(b)))
    });
    let place_of = |gear: usize| order.iter().position(|other| *other == gear).expect("an order of all");
    let gear_of = places.into_iter().map(place_of).collect();
    let gears = order.iter().map(|&gear| gears[gear].clone()).collect();
    Ok(Decoded { placement: placement.into_values().collect(), gears, gear_of })
}

/// Returns a gear with all pools of a choice up, whatever they are given to do.
fn with_pools(mut gear: Gear, choice: &Choice, placement: &BTreeMap<String, Pool>) -> Gear {
    let up = |name: &String| choice.pools.get(name).map_or(0, |(_, up)| *up);
    gear.replicas = placement.keys().map(|name| (name.clone(), up(name))).collect();
    let of_all = &choice.gear;
    gear.packing.clone_from(&of_all.packing);
    gear.claims.machines.clone_from(&of_all.claims.machines);
    gear.claims.cores = of_all.claims.cores;
    gear.claims.cost_usd_per_hour = of_all.claims.cost_usd_per_hour;
    // What was proved, and when it was to change, held for the plan that the gear is from.
    Gear { under_way_at_most: None, window_ms: None, certificate: None, ..gear }
}

/// The periods of a day, what they ask for and what is best in each.
struct Periods {
    /// The problem with the goal that counts among what the levels of the asked one allow.
    goal: Problem,
    spans: Vec<Span>,
    requests: f64,
    seconds: f64,
    /// The frontiers at different rates, the lowest first.
    frontiers: Vec<(f64, Vec<Choice>)>,
    /// What is allowed in each period.
    limits: Vec<Limits>,
    /// What no choice is worth more than in each period.
    best: Vec<Levels>,
    /// Whether every period's own rate has its frontier.
    has_all_rates: bool,
}

/// What a goal allows in a period.
#[derive(Debug, Clone, Copy)]
struct Limits {
    accuracy_at_least: f64,
    /// Part of everything there is.
    used_at_most: f64,
}

impl Limits {
    /// Returns what the first level of a goal lets pass, from a frontier.
    fn new(problem: &Problem, frontier: &[Choice]) -> Self {
        let mut limits = Self { accuracy_at_least: f64::NEG_INFINITY, used_at_most: f64::INFINITY };
        if problem.goal.kind != GoalKind::Lexicographic {
            return limits;
        }
        let (Some(cheapest), Some(finest)) = (frontier.first(), frontier.last()) else { return limits };
        let tolerances = problem.goal.tolerances.unwrap_or_default();
        if problem.goal.order.first() == Some(&Criterion::Cores) {
            limits.used_at_most = cheapest.used(problem) + goal::part_of_cores(problem, tolerances.cores);
        } else {
            limits.accuracy_at_least = finest.accuracy - tolerances.accuracy.get() - SUMS;
        }
        limits
    }

    fn allow(&self, accuracy: f64, used: f64) -> bool {
        accuracy >= self.accuracy_at_least && keeps_within(used, self.used_at_most)
    }
}

impl Periods {
    /// Asks the room for its frontiers; `None` where some rate is not carried as the goal asks for.
    fn new(problem: &Problem, opened: &dyn Opened, mut spans: Vec<Span>) -> Result<Option<Self>, Error> {
        let idle = IDLE * problem.workload.max_rps.get();
        let lowest = spans.iter().map(|span| span.highest).filter(|rate| *rate > 0.0).fold(f64::INFINITY, f64::min);
        spans.iter_mut().for_each(|span| span.load = if span.highest > 0.0 { span.highest } else { idle.min(lowest) });
        let mut rates: Vec<f64> = spans.iter().map(|span| span.load).collect();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        let has_all_rates = rates.len() <= MOST_RATES || problem.goal.kind == GoalKind::Lexicographic;
        if !has_all_rates {
            thin(&mut rates, problem.goal.gear_loss_at_most.get());
        }
        let mut frontiers = Vec::new();
        for rate in rates {
            frontiers.push((rate, opened.frontier(rate)?));
        }
        let mut goal = problem.clone();
        goal.goal.kind = problem.goal.valued_as();
        let mut periods = Self {
            requests: spans.iter().map(|span| span.requests).sum(),
            seconds: spans.iter().map(|span| span.seconds).sum(),
            limits: Vec::new(),
            best: Vec::new(),
            goal,
            spans,
            frontiers,
            has_all_rates,
        };
        for index in 0..periods.spans.len() {
            // What is best at a lower rate is worth no less.
            let below = periods.frontiers.partition_point(|(rate, _)| *rate <= periods.spans[index].load);
            let frontier = &periods.frontiers[below - 1].1;
            periods.limits.push(Limits::new(problem, frontier));
            let values =
                frontier.iter().filter_map(|choice| periods.value(index, choice.accuracy, choice.used(problem)));
            let Some(best) = values.reduce(Levels::max) else {
                return Ok(None);
            };
            periods.best.push(best);
        }
        Ok(Some(periods))
    }

    /// Returns what an accuracy with a part of everything there is is worth in a period; `None` where the goal does not allow it.
    fn value(&self, period: usize, accuracy: f64, used: f64) -> Option<Levels> {
        let span = &self.spans[period];
        let is_allowed = goal::is_accurate_enough(&self.goal, accuracy) && self.limits[period].allow(accuracy, used);
        let (requests, seconds) = (part(span.requests, self.requests), span.seconds / self.seconds);
        is_allowed.then(|| goal::levels(&self.goal, accuracy * requests, used * seconds, 0.0))
    }

    /// Returns the part of everything there is, all day, that so many core-seconds are.
    fn used_by(&self, core_seconds: f64) -> f64 {
        core_seconds / self.seconds / f64::from(self.goal.core_budget())
    }

    /// Returns what no day is worth more than: every period takes its best, and no change costs anything.
    fn bound(&self) -> Levels {
        self.best.iter().copied().sum()
    }
}

/// Keeps of increasing rates the lowest, and those that differ from the one before by more than a part.
fn thin(rates: &mut Vec<f64>, part: f64) {
    rates.dedup_by(|next, kept| *next * (1.0 - part) < *kept);
}

fn part(of: f64, all: f64) -> f64 {
    if all > 0.0 { of / all } else { 0.0 }
}

/// What may be up: choices, and the different sets of pools among them.
#[derive(Default)]
struct Options {
    choices: Vec<Choice>,
    /// The set of each choice.
    set_of: Vec<usize>,
    sets: BTreeMap<BTreeMap<String, u32>, usize>,
    /// The first choice of each set.
    first: Vec<usize>,
}

impl Options {
    /// Adds a choice, if no other does the same.
    fn add(&mut self, choice: Choice) {
        let up: BTreeMap<String, u32> = choice.pools.iter().map(|(name, (_, up))| (name.clone(), *up)).collect();
        let next = self.sets.len();
        let set = *self.sets.entry(up).or_insert(next);
        let same = |index: &usize| self.set_of[*index] == set && does_the_same(&self.choices[*index], &choice);
        if set < next && (0..self.choices.len()).any(|index| same(&index)) {
            return;
        }
        if set == next {
            self.first.push(self.choices.len());
        }
        self.set_of.push(set);
        self.choices.push(choice);
    }

    /// Adds all choices that a period can take in a day that is worth so much less than the bound; returns false, and adds
    /// nothing, where the room cannot list them.
    fn add_all_within(&mut self, gap: Levels, opened: &dyn Opened, periods: &Periods) -> Result<bool, Error> {
        if !periods.has_all_rates {
            return Ok(false);
        }
        let mut listed = Vec::new();
        for (period, span) in periods.spans.iter().enumerate() {
            let least = periods.best[period] - gap;
            let worth_it = |accuracy: f64, used: f64| {
                periods.value(period, accuracy, used).is_some_and(|value| !least.beats(value))
            };
            let Some(all) = opened.every(span.load, &worth_it, MOST_LISTED - listed.len())? else { return Ok(false) };
            listed.extend(all);
        }
        listed.into_iter().for_each(|choice| self.add(choice));
        Ok(true)
    }
}

/// Tells whether two choices with the same pools do the same at every load: they run the same variants in the same way. Where
/// replicas are devices the walk tells.
fn does_the_same(one: &Choice, other: &Choice) -> bool {
    one.lanes == other.lanes && (!one.lanes.is_empty() || one.gear.stages == other.gear.stages)
}

/// The best day with the options at hand.
struct Found<'a> {
    options: &'a Options,
    /// By period and set of pools, the best choice with these, and its accuracy.
    best: Vec<Vec<Option<(usize, f64)>>>,
    /// What that is worth; none where the pools do not carry the period.
    values: Vec<Vec<Option<Levels>>>,
    /// Core-seconds of the changes from one set of pools to another.
    changes: Vec<Vec<f64>>,
    /// None where two sets of pools must not follow each other.
    prices: Vec<Vec<Option<Levels>>>,
    value: Levels,
    /// The set of pools of each period.
    chosen: Vec<usize>,
}

impl<'a> Found<'a> {
    /// Returns the best day; `None` where some period has no option.
    fn new(ask: &Ask<'_>, opened: &dyn Opened, periods: &Periods, options: &'a Options) -> Result<Option<Self>, Error> {
        let mut best = Vec::new();
        let mut values = Vec::new();
        let mut known: BTreeMap<u64, Vec<Option<f64>>> = BTreeMap::new();
        for (period, span) in periods.spans.iter().enumerate() {
            // Rates are above 0, so their bits tell them apart.
            let accuracies = match known.get(&span.load.to_bits()) {
                Some(accuracies) => accuracies,
                None => known.entry(span.load.to_bits()).or_insert(accuracies(opened, options, span.load)?),
            };
            let mut of_sets: Vec<Option<(Levels, (usize, f64))>> = vec![None; options.first.len()];
            for (choice, &accuracy) in accuracies.iter().enumerate() {
                let used = options.choices[choice].used(&periods.goal);
                let value =
                    accuracy.and_then(|accuracy| Some((periods.value(period, accuracy, used)?, (choice, accuracy))));
                let of_set = &mut of_sets[options.set_of[choice]];
                *of_set = of_set.take().into_iter().chain(value).reduce(Levels::better);
            }
            values.push(of_sets.iter().map(|of_set| of_set.map(|(value, _)| value)).collect());
            best.push(of_sets.into_iter().map(|of_set| of_set.map(|(_, best)| best)).collect());
        }
        let pools = |set: usize| &options.choices[options.first[set]].pools;
        let change = |from: usize, to: usize| core_seconds(&ask.facts, &ask.problem.slo, pools(from), pools(to));
        let sets = 0..options.first.len();
        let changes: Vec<Vec<f64>> =
            sets.clone().map(|from| sets.clone().map(|to| change(from, to)).collect()).collect();
        let of_kinds = facts_of_kinds(&ask.problem, &ask.facts);
        let price = |from: usize, to: usize| {
            let may_follow = !ask.problem.goal.strict_transitions
                || strict::fit_at_once(&ask.problem, &of_kinds, pools(from), pools(to));
            let used = periods.used_by(changes[from][to]);
            may_follow.then(|| goal::levels(&periods.goal, 0.0, used, 0.0) * -1.0)
        };
        let prices: Vec<Vec<Option<Levels>>> =
            sets.clone().map(|from| sets.clone().map(|to| price(from, to)).collect()).collect();
        let found = path::best(&values, &prices);
        Ok(found.map(|(value, chosen)| Self { options, best, values, changes, prices, value, chosen }))
    }

    /// Returns the days that stay with one set of pools, with what each is worth.
    fn alone(&self) -> Vec<(Levels, Vec<usize>)> {
        let stays = |set: usize| {
            let chosen = vec![set; self.values.len()];
            Some((path::worth(&self.values, &self.prices, &chosen)?, chosen))
        };
        (0..self.options.first.len()).filter_map(stays).collect()
    }

    /// Returns the best choice of each period with the chosen pools.
    fn choices_of(&self, sets: &[usize]) -> Vec<usize> {
        let chosen = |(best, &set): (&Vec<Option<(usize, f64)>>, &usize)| best[set].expect("it carries the period").0;
        self.best.iter().zip(sets).map(chosen).collect()
    }

    /// Returns what a day comes to with one set of pools a period, all of which carry theirs.
    fn total(&self, periods: &Periods, sets: &[usize]) -> DayTotal {
        let (mut accuracy, mut used, mut core_hours) = (0.0, 0.0, 0.0);
        for ((span, best), &set) in periods.spans.iter().zip(&self.best).zip(sets) {
            let (choice, right) = best[set].expect("it carries the period");
            let choice = &self.options.choices[choice];
            accuracy += right * part(span.requests, periods.requests);
            used += choice.used(&periods.goal) * span.seconds / periods.seconds;
            core_hours += f64::from(choice.cores()) * span.seconds / 3600.0;
        }
        let paid: f64 = sets.windows(2).map(|pair| self.changes[pair[0]][pair[1]]).sum();
        DayTotal {
            value: goal::value(&periods.goal, accuracy, used + periods.used_by(paid)),
            accuracy: Accuracy::saturating(accuracy),
            core_hours,
            change_core_hours: paid / 3600.0,
            changes: sets.windows(2).filter(|pair| pair[0] != pair[1]).count(),
        }
    }
}

/// Returns how accurate each option is at a load; none where it does not carry it.
fn accuracies(opened: &dyn Opened, options: &Options, load: f64) -> Result<Vec<Option<f64>>, Error> {
    let accuracy = |choice: &Choice| {
        let gear = opened.gear_with(choice, load)?;
        Ok(gear.and_then(|gear| gear.claims.accuracy).map(|claim| claim.value.get()))
    };
    options.choices.iter().map(accuracy).collect()
}

/// A period of the recorded day.
struct Span {
    from: f64,
    seconds: f64,
    highest: f64,
    requests: f64,
    /// The rate that it is planned for: its highest, or a low one where that is 0.
    load: f64,
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
            _ => spans.push(Span {
                from: at,
                seconds: day.step_s(),
                highest: rate,
                requests: rate * day.step_s(),
                load: rate,
            }),
        }
    }
    spans
}
