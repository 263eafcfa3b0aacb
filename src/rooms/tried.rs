//! Planning with trials as cuts: plan, try every gear, take away from the capacities that a failing gear rests on, again.
//!
//! A cut in the sense of Benders: the plan that failed is no longer possible, capacities only fall, so the loop ends. A gear
//! that claims more than its SLO is cut in the same way before anything is tried: the closed forms that the search goes by let it
//! pass, the better estimate that claims rest on does not.

use std::collections::BTreeMap;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::{Answer, Context, solve_once};
use crate::error::Error;
use crate::facts::Facts;
use crate::plan::{GearTried, Plan, latency_ms};
use crate::problem::{Formulation, Problem};
use crate::simulate::{Effort, GearTrial, Measured, repair};
use crate::units::{Rate, Share};

/// Rounds of cuts before giving up.
const MOST_ROUNDS: usize = 12;
/// Steps of the bisection for the rate at which a claim is within the SLO.
const CLAIM_BISECTIONS: usize = 7;
/// Least part that a claim may cut to at once.
const LEAST_PART: f64 = 0.25;

/// Solves with every gear tried; the plan's certificates say what the trials saw.
pub(super) fn solve(problem: &Problem, facts: &Facts, context: Context<'_>, effort: Effort) -> Result<Answer, Error> {
    let mut parts: BTreeMap<String, f64> = context.capacity_parts.cloned().unwrap_or_default();
    for _ in 0..MOST_ROUNDS {
        let planned = claimed(problem, facts, Context { capacity_parts: Some(&parts), ..context })?;
        let Answer::Plan(mut plan) = planned else { return Ok(planned) };
        parts.clone_from(&plan.provenance.capacity_parts);
        let world = Measured::new(&plan, facts)?;
        let trials = repair(&plan, &world, effort);
        if trials.iter().all(|trial| trial.part >= 1.0) {
            certify(&mut plan, &trials, effort);
            plan.provenance.seed = effort.seed;
            plan.provenance.capacity_parts = parts;
            return Ok(Answer::Plan(plan));
        }
        cut(&plan, &trials.iter().map(|trial| trial.part).collect::<Vec<_>>(), &mut parts);
    }
    let message = format!("after {MOST_ROUNDS} rounds of cuts some gear still breaks its SLO in simulation");
    Err(Error::Solver { solver: "tail repair", message })
}

/// Solves with every gear's claim within the SLO; the plan keeps the cuts that this took.
pub(super) fn claimed(problem: &Problem, facts: &Facts, context: Context<'_>) -> Result<Answer, Error> {
    let mut parts: BTreeMap<String, f64> = context.capacity_parts.cloned().unwrap_or_default();
    for _ in 0..MOST_ROUNDS {
        let planned = solve_once(problem, facts, Context { capacity_parts: Some(&parts), ..context })?;
        let Answer::Plan(mut plan) = planned else { return Ok(planned) };
        let kept: Vec<f64> = (0..plan.gears.len()).into_par_iter().map(|gear| kept(&plan, gear, facts)).collect();
        // The paper's own capacities are what they are.
        if problem.formulation == Formulation::Published || kept.iter().all(|part| *part >= 1.0) {
            plan.provenance.capacity_parts = parts;
            return Ok(Answer::Plan(plan));
        }
        cut(&plan, &kept, &mut parts);
    }
    let message = format!("after {MOST_ROUNDS} rounds of cuts some gear still claims more than its SLO");
    Err(Error::Solver { solver: "tail repair", message })
}

/// Returns about the highest part of a gear's rate at which what it claims is within the SLO; 1 where it is so already.
fn kept(plan: &Plan, gear: usize, facts: &Facts) -> f64 {
    let slo = plan.slo.latency_ms.get();
    if plan.gears[gear].claims.latency.is_some_and(|claim| claim.value_ms.get() <= slo) {
        return 1.0;
    }
    let mut at = plan.clone();
    let mut keeps = |part: f64| {
        at.gears[gear].up_to_rps = Rate::saturating(part * plan.gears[gear].up_to_rps.get());
        latency_ms(&at, gear, facts).is_none_or(|ms| ms <= slo)
    };
    if keeps(1.0) {
        return 1.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..CLAIM_BISECTIONS {
        let middle = 0.5 * (low + high);
        if keeps(middle) { low = middle } else { high = middle }
    }
    low.max(LEAST_PART)
}

/// Takes from every variant of a failing gear what its trial asks for; of several failing gears the worst counts.
fn cut(plan: &Plan, kept: &[f64], parts: &mut BTreeMap<String, f64>) {
    let mut worst: BTreeMap<&str, f64> = BTreeMap::new();
    for (gear, kept) in plan.gears.iter().zip(kept).filter(|(_, kept)| **kept < 1.0) {
        for lane in gear.stages.iter().flat_map(|stage| &stage.lanes) {
            let part = worst.entry(&lane.variant).or_insert(1.0);
            *part = part.min(*kept);
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
