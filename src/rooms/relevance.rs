//! Which configurations could change the best plan, before they are measured: `planner profile --for`.
//!
//! Every configuration that was not measured is put at its most optimistic latency, and the problem is solved exactly.
//! PointKeys in that plan must be measured. If all of them are measured, the plan is the best one: whatever the
//! others are, they are no faster than they were taken for, and no plan gets worse when a latency falls.
//!
//! A configuration that would change the plan only if it were as fast as its bound, and not if it took some per cent more, is a
//! near tie, and may be left out ([`Bound::near_tie`]): no plan is then missed that carries that much more.
//!
//! That rests on the bounds, which hold as often as so many standard deviations do; on no law having a lighter tail than
//! the lightest that was measured of its variant; and, where gears are tried in simulation, on the capacities that those trials left.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::configurations::Configuration;
use super::{Answer, Context, Room, solve};
use crate::base::error::Error;
use crate::facts::{Ask, Facts};
use crate::plan::Plan;
use crate::problem::{Problem, RoomSettings};
use crate::profile::{Bound, Key, Service, Trust};

/// What may be measured: a variant, and which of its points.
pub type PointKey = (String, Key);

/// Why a configuration need not be measured.
#[derive(Debug, Clone, PartialEq)]
pub enum Skipped {
    /// The problem does not use this variant.
    Variant,
    /// A replica would need more cores than may be used.
    Cores {
        /// Cores that may be used.
        most: u32,
    },
    /// The published formulation rests on batch 1 on one core only.
    Published,
    /// Even at its best it answers nobody in time.
    TooSlow {
        /// The median latency at its best, in milliseconds.
        at_best_ms: f64,
    },
    /// Even at its best it is in no best plan, or a near tie of what is in it.
    NotBest {
        /// The median latency at its best, in milliseconds.
        at_best_ms: f64,
        /// The part of it that it would have to be faster by to matter.
        near_tie: f64,
    },
    /// Its calls alone are in no best plan, so what neighbours do to them does not matter.
    Neighbours,
    /// Nothing carries the load, even with all that was not measured at its best.
    Infeasible,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variant => f.write_str("the problem leaves this variant out"),
            Self::Cores { most } => write!(f, "the problem may use no more than {most} cores"),
            Self::Published => f.write_str("the published formulation rests on batch 1 on 1 core alone"),
            Self::TooSlow { at_best_ms } => {
                write!(f, "even at {at_best_ms:.3} ms, its best, it answers nobody in time")
            }
            Self::NotBest { at_best_ms, near_tie: 0.0 } => {
                write!(f, "even at {at_best_ms:.3} ms, its best, it is in no best plan")
            }
            Self::NotBest { at_best_ms, near_tie } => {
                let percent = 100.0 * near_tie;
                write!(
                    f,
                    "even at {at_best_ms:.3} ms, its best, it beats the plan by less than {percent:.0} % of its time"
                )
            }
            Self::Neighbours => f.write_str("without neighbours it is in no best plan"),
            Self::Infeasible => f.write_str("no plan carries the load, even with all that is not measured at its best"),
        }
    }
}

/// What must be measured for a problem, and what need not be.
#[derive(Debug, Clone, PartialEq)]
pub struct Relevance {
    /// PointKeys in the best plan that the bounds allow, sorted; nothing once that plan is measured.
    pub needed: Vec<PointKey>,
    /// All others that were not measured, with the reason, in the order in which they were asked for.
    pub skipped: Vec<(PointKey, Skipped)>,
    /// The answer where everything that was not measured is at its best; the answer itself once nothing is needed.
    pub at_best: Answer,
}

/// Returns those of the asked configurations of a device that a plan may use and that, at their best, answer somebody in
/// time: those that a glimpse is worth, the fastest first. What nothing bounds yet comes before all.
///
/// What the first ones show may rule out those behind them, which take longest to look at.
///
/// # Errors
/// As `solve`; [`Error::Unsupported`] for rooms of which it is not known.
pub fn hopeful(
    problem: &Problem,
    facts: &Facts,
    (asked, device): (&[PointKey], &str),
    bound: Bound,
) -> Result<Vec<PointKey>, Error> {
    let at_best = facts.at_best(asked, device, bound);
    let allowed: BTreeSet<String> = Ask::new(problem, facts).variants()?.into_iter().collect();
    let admitted = |(name, key): &&PointKey| {
        let published = rests_on_one_point(problem);
        allowed.contains(name)
            && key.cores <= most_cores(problem, device)
            && key.co_runners == 0
            && (!published || (key.cores, key.batch) == (1, 1))
    };
    let mut hopeful: Vec<(f64, &PointKey)> = Vec::new();
    for asked in asked.iter().filter(admitted) {
        let (name, key) = asked;
        match at_best.curve(name, device).and_then(|curve| curve.at(key.cores, key.batch)) {
            None => hopeful.push((0.0, asked)),
            Some(service) => {
                let median_ms = service.law.quantile_ms(0.5);
                if rests_on_one_point(problem) || carries(problem, service, key.cores, key.batch) {
                    hopeful.push((median_ms, asked));
                }
            }
        }
    }
    hopeful.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(hopeful.into_iter().map(|(_, asked)| asked.clone()).collect())
}

/// Returns the most cores that a replica on a device may have.
fn most_cores(problem: &Problem, device: &str) -> u32 {
    let inventory = &problem.inventory;
    let kinds = inventory.machines.iter().filter(|kind| kind.device == device);
    if !inventory.rents_whole() { problem.core_budget() } else { kinds.map(|kind| kind.cores).max().unwrap_or(0) }
}

/// Tells whether a service time carries any load at all within the SLO, on as many replicas as there may be.
fn carries(problem: &Problem, service: Service, cores: u32, batch: u32) -> bool {
    let replicas = problem.core_budget() / cores;
    replicas > 0 && Configuration::new(service, cores, replicas, batch, &problem.slo).capacity > 0.0
}

/// Tells whether the plan rests on one measured point of each variant alone, batch 1 on one core (InfAdapter as published).
const fn rests_on_one_point(problem: &Problem) -> bool {
    matches!(&problem.room, RoomSettings::VariantSet(settings) if settings.published.is_some())
}

/// Says which of the asked configurations of a device must be measured, so many standard deviations being the bound.
///
/// Every variant that may be used must have been called somewhere: without any call nothing bounds it.
///
/// # Errors
/// As `solve`.
pub fn relevance(
    room: &dyn Room,
    problem: &Problem,
    facts: &Facts,
    (asked, device): (&[PointKey], &str),
    bound: Bound,
    context: Context<'_>,
) -> Result<Relevance, Error> {
    let mut bound = bound;
    let mut hopeful = facts.at_best(asked, device, bound);
    let allowed: BTreeSet<String> = Ask::new(problem, facts).variants()?.into_iter().collect();
    let measured = measured(facts, device);
    let mut at_best = solve(room, problem, &hopeful, context)?;
    if matches!(at_best, Answer::Infeasible(_)) && bound.near_tie > 0.0 {
        // Whether there is a plan at all is no matter of a few per cent.
        bound.near_tie = 0.0;
        hopeful = facts.at_best(asked, device, bound);
        at_best = solve(room, problem, &hopeful, context)?;
    }
    let used = match &at_best {
        Answer::Plan(plan) => used(plan, problem, &allowed),
        Answer::Infeasible(_) => BTreeSet::new(),
    };
    let (mut needed, mut skipped) = (Vec::new(), Vec::new());
    for asked in asked.iter().filter(|asked| !measured.contains(asked)) {
        let alone = (asked.0.clone(), Key { co_runners: 0, ..asked.1 });
        // A batch that is not full may be of any size.
        let most = if room.counts_on_small_batches() { u32::MAX } else { alone.1.batch };
        let largest = (alone.0.clone(), Key { batch: most, ..alone.1 });
        if used.range(&alone..=&largest).next().is_some() {
            needed.push(asked.clone());
        } else {
            let reason = if allowed.contains(&asked.0) {
                reason(problem, &hopeful, (asked, device), bound, &at_best)
            } else {
                Skipped::Variant
            };
            skipped.push((asked.clone(), reason));
        }
    }
    needed.sort();
    Ok(Relevance { needed, skipped, at_best })
}

fn measured(facts: &Facts, device: &str) -> BTreeSet<PointKey> {
    let points = facts.profiles.iter().flat_map(|profile| &profile.document.points);
    points.filter(|point| point.device == device).map(|point| (point.variant.clone(), Key::of(point))).collect()
}

/// Returns the configurations that any gear of a plan rests on.
fn used(plan: &Plan, problem: &Problem, allowed: &BTreeSet<String>) -> BTreeSet<PointKey> {
    let key = |cores, batch| Key { cores, batch, co_runners: 0 };
    if rests_on_one_point(problem) {
        // Its capacities are a line through those of every variant's batch 1 on one core.
        return allowed.iter().map(|name| (name.clone(), key(1, 1))).collect();
    }
    let cores: BTreeMap<&str, u32> = plan.placement.iter().map(|pool| (pool.name.as_str(), pool.on.cores())).collect();
    let lanes = plan.gears.iter().flat_map(|gear| &gear.stages).flat_map(|stage| &stage.lanes);
    lanes.filter_map(|lane| Some((lane.variant.clone(), key(*cores.get(lane.pool.as_str())?, lane.batch)))).collect()
}

fn reason(
    problem: &Problem,
    hopeful: &Facts,
    ((name, key), device): (&PointKey, &str),
    Bound { near_tie, .. }: Bound,
    at_best: &Answer,
) -> Skipped {
    let most = most_cores(problem, device);
    if key.cores > most {
        return Skipped::Cores { most };
    }
    if matches!(at_best, Answer::Infeasible(_)) {
        return Skipped::Infeasible;
    }
    if rests_on_one_point(problem) {
        return Skipped::Published;
    }
    let Some(service) = hopeful.curve(name, device).and_then(|curve| curve.at(key.cores, key.batch)) else {
        return Skipped::Neighbours;
    };
    let at_best_ms = service.law.quantile_ms(0.5) / (1.0 + near_tie);
    if key.co_runners > 0 || service.trust == Trust::Measured {
        return Skipped::Neighbours;
    }
    if carries(problem, service, key.cores, key.batch) {
        Skipped::NotBest { at_best_ms, near_tie }
    } else {
        Skipped::TooSlow { at_best_ms }
    }
}
