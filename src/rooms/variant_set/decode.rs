//! From the ladder of optimal allotments to the gears of a plan.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::base::error::Error;
use crate::base::rounding::ROUNDING;
use crate::base::units::{Accuracy, Rate, Share, Usd};
use crate::facts::{Ask, Facts};
use crate::optimize::Solution;
use crate::optimize::fill::{Ladder, Rung};
use crate::plan::{AccuracyClaim, Certificate, Claims, Gear, Lane};
use crate::profile::Trust;

use super::latency;
use super::on_cores::{Candidates, Model};
use crate::rooms::Choice;
use crate::rooms::candidates::Candidate;
use crate::rooms::gears::{Decoded, lane, level_shares, one_stage, pools_up};
use crate::rooms::hardware::cores_of;

/// Returns a gear for every range of loads in (from, until], cut finer where fixed shares would give away accuracy.
pub(super) fn gears(
    ask: &Ask<'_>,
    candidates: Candidates,
    model: &Model,
    ladder: &Ladder<'_>,
    Range { start: from, end: until }: Range<f64>,
) -> Result<Vec<Decoded>, Error> {
    let problem = &ask.problem;
    let mut decoded = Vec::new();
    for rung in ladder.rungs(until).iter().filter(|rung| rung.to > from * (1.0 + ROUNDING)) {
        for load in borders(rung, rung.from.max(from), problem.goal.gear_loss_at_most.get()) {
            let instance = ladder.instance();
            let solution = instance.evaluate(&rung.solution.cores, load).expect("less load always fits");
            let bound = ladder.bound_at(load).unwrap_or(solution.value).max(solution.value);
            if bound - solution.value > ROUNDING * instance.objective.unit() {
                let message = format!("at {load} requests/s the plan is worth {}, its bound {bound}", solution.value);
                return Err(Error::Solver { solver: "own search", message });
            }
            if problem.goal.wants_low_latency() {
                let (tight, solution) = latency::least(ask, candidates, model, &solution, load)?;
                let certificate = Certificate::new(solution.value, solution.value, format!("{METHOD}{THEN_LATENCY}"));
                decoded.push(of_solution(ask, &tight, &solution, load, certificate));
            } else {
                let certificate = Certificate::new(solution.value, bound, METHOD.to_owned());
                decoded.push(of_solution(ask, model, &solution, load, certificate));
            }
        }
    }
    Ok(decoded)
}

fn proved(solution: &Solution) -> Certificate {
    Certificate::new(solution.value, solution.value, METHOD.to_owned())
}

/// Returns a solution of the program as a choice.
pub(super) fn choice(ask: &Ask<'_>, model: &Model, solution: &Solution, load: f64) -> Choice {
    let decoded = of_solution(ask, model, solution, load, proved(solution));
    let pools = pools_up(&ask.problem, &decoded);
    let Decoded { gear, lanes } = decoded;
    Choice {
        objective: solution.value,
        accuracy: solution.accuracy,
        usd_per_hour: None,
        cores_of: lanes.iter().map(|(variant, way)| (variant.clone(), way.cores())).collect(),
        gear,
        pools,
        lanes,
    }
}

const METHOD: &str = "exact: dynamic programme over piecewise linear functions of the load";

/// What the last level of a lexicographic goal adds.
const THEN_LATENCY: &str = "; then the shortest SLO that is kept, by bisection over exact solutions";

/// Returns the loads, increasing, at which to cut a rung so that the accuracy at the lower end of each part exceeds
/// that of the part's fixed shares by at most `loss`.
fn borders(rung: &Rung, from: f64, loss: f64) -> Vec<f64> {
    let mut loads = vec![rung.to];
    // Accuracy at load λ is slope + intercept ÷ λ: the next border down is where it has risen by `loss`.
    let mass = rung.accuracy_intercept;
    let next_below = |load: f64| if mass > 0.0 && loss > 0.0 { mass / (mass / load + loss) } else { 0.0 };
    let mut next = next_below(rung.to);
    while next > from * (1.0 + ROUNDING) && next > 0.0 {
        loads.push(next);
        next = next_below(next);
    }
    loads.reverse();
    loads
}

/// Returns the gear of a solution of the program.
fn of_solution(ask: &Ask<'_>, model: &Model, solution: &Solution, load: f64, certificate: Certificate) -> Decoded {
    let mut chosen = Vec::new();
    for (index, &cores) in solution.cores.iter().enumerate().filter(|(_, cores)| **cores > 0) {
        let found = model.candidates[index].iter().find(|candidate| candidate.cores() == cores);
        let candidate = found.expect("the program only offers candidates");
        chosen.push((model.instance.items[index].name.clone(), candidate.clone(), solution.quotas[index]));
    }
    gear(ask, chosen, load, certificate)
}

/// Returns the gear in which these ways carry these parts of the load.
pub(super) fn gear(
    ask: &Ask<'_>,
    chosen: Vec<(String, Candidate, f64)>,
    load: f64,
    certificate: Certificate,
) -> Decoded {
    let mut lanes: Vec<Lane> = chosen.iter().map(|(name, way, quota)| lane(name, way, quota / load)).collect();
    let chosen: Vec<(String, Candidate)> = chosen.into_iter().map(|(name, way, _)| (name, way)).collect();
    level_shares(&mut lanes);
    let gear = Gear {
        up_to_rps: Rate::saturating(load),
        replicas: BTreeMap::new(),
        packing: Vec::new(),
        under_way_at_most: None,
        window_ms: None,
        claims: claims(ask, &lanes, &chosen, load),
        stages: vec![one_stage(lanes)],
        certificate: Some(certificate),
    };
    Decoded { gear, lanes: chosen }
}

fn claims(ask: &Ask<'_>, lanes: &[Lane], chosen: &[(String, Candidate)], load: f64) -> Claims {
    let share = |lane: &Lane| lane.share.map_or(0.0, f64::from);
    let queues: Vec<_> = lanes.iter().zip(chosen).map(|(lane, (_, way))| (share(lane), way.queue())).collect();
    let cores = cores_of(&ask.problem, chosen);
    let price = ask.problem.inventory.price_usd_per_core_hour.get();
    let utilisation = lanes.iter().zip(&queues);
    Claims {
        accuracy: accuracy_claim(&ask.facts, lanes),
        latency: None,
        cost_usd_per_hour: Some(Usd::saturating(f64::from(cores) * price)),
        cores: Some(cores),
        machines: BTreeMap::new(),
        utilisation: utilisation
            .map(|(lane, (share, queue))| (lane.pool.clone(), Share::saturating(queue.utilisation(share * load))))
            .collect(),
    }
}

/// Mixes the variants' accuracies and intervals by share (the interval is that of the worst case: all errors align).
fn accuracy_claim(facts: &Facts, lanes: &[Lane]) -> Option<AccuracyClaim> {
    let mut sums = [0.0; 3];
    let mut trust = Trust::Measured;
    for lane in lanes {
        let fact = &facts.variant(&lane.variant)?.accuracy;
        let share = lane.share.map_or(1.0, f64::from);
        for (sum, part) in sums.iter_mut().zip([fact.low, fact.value, fact.high]) {
            *sum += share * part.get();
        }
        trust = trust.max(fact.trust);
    }
    let [low, value, high] = sums.map(Accuracy::saturating);
    Some(AccuracyClaim { value, low, high, trust })
}
