//! Planning with trials as cuts: plan, try every gear, take away from the capacities that a failing gear rests on, again.
//!
//! A cut in the sense of Benders: the plan that failed is no longer possible, capacities only fall, so the loop ends.

use std::collections::BTreeMap;

use super::solve::once;
use super::{Answer, Room};
use crate::base::error::Error;
use crate::base::units::Share;
use crate::facts::{Ask, Parts};
use crate::plan::{GearTried, Plan};
use crate::simulate::{Broken, Effort, GearTrial, Measured, hold_claims, repair};

/// Rounds of cuts before giving up.
const MOST_ROUNDS: usize = 12;

/// Solves with every gear tried; the plan's certificates say what the trials saw.
pub(super) fn solve(room: &dyn Room, ask: &Ask<'_>, mut parts: Parts, effort: Effort) -> Result<Answer, Error> {
    for _ in 0..MOST_ROUNDS {
        let planned = once(room, ask, &parts)?;
        let Answer::Plan(mut plan) = planned else { return Ok(planned) };
        let world = Measured::new(&plan, &ask.facts)?;
        let mut trials = repair(&plan, &world, effort);
        if trials.iter().all(|trial| trial.part >= 1.0) {
            certify(&mut plan, &trials, effort);
            for Broken { gear, trial } in hold_claims(&mut plan, &ask.facts, effort, &trials)? {
                trials[gear] = trial;
            }
        }
        if trials.iter().all(|trial| trial.part >= 1.0) {
            plan.provenance.seed = effort.seed;
            plan.provenance.capacity_parts = parts;
            return Ok(Answer::Plan(plan));
        }
        cut(&plan, &trials, &mut parts);
    }
    let message = format!("after {MOST_ROUNDS} rounds of cuts some gear still breaks its SLO in simulation");
    Err(Error::Solver { solver: "tail repair", message })
}

/// Takes from every variant of a failing gear what its trial asks for; of several failing gears the worst counts.
fn cut(plan: &Plan, trials: &[GearTrial], parts: &mut BTreeMap<String, f64>) {
    let mut worst: BTreeMap<&str, f64> = BTreeMap::new();
    for (gear, trial) in plan.gears.iter().zip(trials).filter(|(_, trial)| trial.part < 1.0) {
        for lane in gear.stages.iter().flat_map(|stage| &stage.lanes) {
            let part = worst.entry(&lane.variant).or_insert(1.0);
            *part = part.min(trial.part);
        }
    }
    for (variant, part) in worst {
        *parts.entry(variant.to_owned()).or_insert(1.0) *= part;
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
