//! Planning with trials as cuts: plan, try every gear, take away from what a failing gear rests on, again.
//!
//! ```text
//! plan ─▶ try every gear ─▶ all keep the SLO ─▶ the plan, held against the best without cuts
//!  ▲            └─ some are late ─▶ cut the configurations that are at fault ─┐
//!  └──────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A cut is as narrow as what the trial showed: one way to run a variant, with so many replicas, and of the ways of a gear only those
//! that would be late less often with more replicas. After many rounds of those, whole variants are cut. A cut may still take away what
//! would have kept the SLO in another gear. So certificates are held against what the plan would be worth without any cut: nothing is
//! called optimal that only a cut makes so.

use std::collections::BTreeMap;

use super::goal;
use super::solve::once;
use super::{Answer, Choice, Conflict, Cut, Opened, Room};
use crate::base::error::Error;
use crate::base::rounding::equal;
use crate::base::units::Share;
use crate::facts::{Ask, Parts, configuration_key};
use crate::plan::{Gear, GearTried, Plan};
use crate::problem::{GoalKind, Problem, Slo};
use crate::simulate::{Effort, GearTrial, LateGear, Measured, hold_claims, repair_gear};

/// Rounds of narrow cuts before whole variants are cut.
const NARROW_ROUNDS: usize = 8;
/// Rounds of cuts before the answer is what was carried.
const MOST_ROUNDS: usize = 16;
/// Times that a cut of the same configuration doubles its effect.
const MOST_DOUBLINGS: u32 = 4;

const HOW: &str = "; held against the best without the cuts that trials asked for";

/// Solves with every gear tried; the plan's certificates say what the trials saw.
pub(super) fn solve(room: &dyn Room, ask: &Ask<'_>, parts: Parts, effort: Effort) -> Result<Answer, Error> {
    let Some(narrowest) = room.cuts() else { return once(room, ask, &parts) };
    let mut cuts = Cuts { parts: parts.clone(), times: BTreeMap::new() };
    let mut known = Vec::new();
    let mut carried: f64 = 0.0;
    for round in 0..MOST_ROUNDS {
        let mut plan = match once(room, ask, &cuts.parts)? {
            Answer::Plan(plan) => plan,
            Answer::Infeasible(conflict) if cuts.parts == parts => return Ok(Answer::Infeasible(conflict)),
            Answer::Infeasible(conflict) => return Ok(Answer::Infeasible(conflict.in_trials(carried))),
        };
        ask.watch.tell(|| format!("trying {} gears, round {} of at most {MOST_ROUNDS}", plan.gears.len(), round + 1));
        let mut trials = tried(&plan, ask, effort, &mut known)?;
        if trials.iter().all(|trial| trial.part >= 1.0) {
            certify(&mut plan, &trials, effort);
            for LateGear { gear, effort } in hold_claims(&mut plan, &ask.facts, effort, &trials)? {
                let longer = repair_gear(&plan, &plan.gears[gear], &Measured::new(&plan, &ask.facts)?, effort);
                if longer.part < 1.0 {
                    trials[gear] = longer;
                }
            }
        }
        if trials.iter().all(|trial| trial.part >= 1.0) {
            if cuts.parts != parts {
                bound(room, ask, &parts, &mut plan)?;
            }
            plan.provenance.seed = effort.seed;
            plan.provenance.capacity_parts = cuts.parts;
            return Ok(Answer::Plan(plan));
        }
        let of_gear = |(gear, trial): (&Gear, &GearTrial)| trial.part * gear.up_to_rps.get();
        carried = plan.gears.iter().zip(&trials).map(of_gear).fold(carried, f64::max);
        cuts.take(&plan, &trials, if round < NARROW_ROUNDS { narrowest } else { Cut::Variants });
    }
    Ok(Answer::Infeasible(Conflict::of_rate(ask.problem.workload.max_rps.get()).in_trials(carried)))
}

/// Tries every gear of a plan that no earlier plan had.
fn tried(
    plan: &Plan,
    ask: &Ask<'_>,
    effort: Effort,
    known: &mut Vec<(Slo, Gear, GearTrial)>,
) -> Result<Vec<GearTrial>, Error> {
    let world = Measured::new(plan, &ask.facts)?;
    let trial = |gear: &Gear| {
        if let Some((.., trial)) = known.iter().find(|(slo, other, _)| *slo == plan.slo && do_the_same(other, gear)) {
            return trial.clone();
        }
        let trial = repair_gear(plan, gear, &world, effort);
        known.push((plan.slo, gear.clone(), trial.clone()));
        trial
    };
    Ok(plan.gears.iter().map(trial).collect())
}

/// Tells whether two gears serve the same rate in the same way.
fn do_the_same(one: &Gear, other: &Gear) -> bool {
    let mut pools = one.stages.iter().flat_map(|stage| &stage.lanes).map(|lane| &lane.pool);
    one.up_to_rps == other.up_to_rps
        && one.stages == other.stages
        && pools.all(|pool| one.replicas.get(pool) == other.replicas.get(pool))
}

/// What trials took away.
struct Cuts {
    parts: Parts,
    /// How often each part was cut: what fails again is cut by more.
    times: BTreeMap<String, u32>,
}

impl Cuts {
    /// Takes from what is at fault in failing gears what their trials ask for; of several the most.
    fn take(&mut self, plan: &Plan, trials: &[GearTrial], cut: Cut) {
        let mut worst: BTreeMap<String, f64> = BTreeMap::new();
        for (gear, trial) in plan.gears.iter().zip(trials).filter(|(_, trial)| trial.part < 1.0) {
            let lanes = gear.stages.iter().flat_map(|stage| &stage.lanes);
            for lane in lanes.filter(|lane| trial.at_fault.contains(&lane.pool)) {
                let up = plan.pool(&lane.pool).map_or(0, |pool| gear.replicas_of(pool));
                let key = match cut {
                    Cut::Configurations => configuration_key(&lane.pool, up),
                    Cut::Variants => lane.variant.clone(),
                };
                let part = worst.entry(key).or_insert(1.0);
                *part = part.min(trial.part);
            }
        }
        for (key, part) in worst {
            let times = self.times.entry(key.clone()).or_insert(0);
            *self.parts.entry(key).or_insert(1.0) *= part.powi(1 << *times);
            *times = (*times + 1).min(MOST_DOUBLINGS);
        }
    }
}

fn certify(plan: &mut Plan, trials: &[GearTrial], effort: Effort) {
    let allowed = 1.0 - plan.slo.quantile.get();
    for (gear, trial) in plan.gears.iter_mut().zip(trials) {
        if let Some(certificate) = &mut gear.certificate {
            certificate.trial = Some(GearTried {
                requests: effort.requests,
                trials: effort.trials,
                seed: effort.seed,
                violation_share: Share::saturating(trial.violation_share),
                violation_high: Share::saturating(trial.violation_high),
                margin: Share::saturating(allowed - trial.violation_high),
            });
        }
    }
}

/// Holds the gears of a plan against the best choices without the cuts.
pub(super) fn bound(room: &dyn Room, ask: &Ask<'_>, parts: &Parts, plan: &mut Plan) -> Result<(), Error> {
    let uncut = ask.clone().with_parts(parts);
    let opened: Box<dyn Opened + '_> = room.open(&uncut)?;
    for gear in &mut plan.gears {
        let Some(best) = opened.best_at(gear.up_to_rps.get())? else { continue };
        let bound = if is_at_level(&ask.problem, gear, &best) { best.objective } else { most(&ask.problem) };
        if let Some(certificate) = gear.certificate.as_mut().filter(|own| bound > own.bound && !equal(bound, own.bound))
        {
            certificate.bound = bound;
            certificate.gap = bound - certificate.objective;
            certificate.method.push_str(HOW);
        }
    }
    Ok(())
}

/// Tells whether a gear is as good as another choice in the first level of a goal in levels, so that the second can be compared.
fn is_at_level(problem: &Problem, gear: &Gear, best: &Choice) -> bool {
    if problem.goal.kind != GoalKind::Lexicographic {
        return true;
    }
    match problem.goal.valued_as() {
        GoalKind::MostAccurate => gear.claims.cores.is_none_or(|cores| cores <= best.cores()),
        _ => gear.claims.accuracy.is_none_or(|claim| equal(claim.value.get(), best.accuracy)),
    }
}

/// Returns what no choice is worth more than, whatever carries the load.
fn most(problem: &Problem) -> f64 {
    goal::value(problem, 1.0, 0.0)
}
