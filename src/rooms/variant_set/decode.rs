//! From the ladder of optimal allotments to the gears of a plan.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::base::error::Error;
use crate::base::units::{Accuracy, Factor, Rate, Share, Usd};
use crate::facts::Facts;
use crate::optimize::fill::{Ladder, Rung};
use crate::optimize::{LOAD_SLACK, Solution};
use crate::plan::{AccuracyClaim, Certificate, Claims, Dispatch, Gear, Lane, Stage};
use crate::problem::Problem;
use crate::profile::Trust;

use super::capacity::Candidate;
use super::{Model, Parts, latency};
use crate::rooms::gears::{Decoded, lane, level_shares};
use crate::rooms::hardware::cores_of;

/// Name of the room's only stage.
const STAGE: &str = "answer";

/// Returns a gear for every range of loads in (from, until], cut finer where fixed shares would give away accuracy.
pub(super) fn gears(
    problem: &Problem,
    facts: &Facts,
    parts: &Parts,
    model: &Model,
    ladder: &Ladder<'_>,
    loads: Range<f64>,
    verify: bool,
) -> Result<Vec<Decoded>, Error> {
    let Range { start: from, end: until } = loads;
    let mut decoded = Vec::new();
    for rung in ladder.rungs(until).iter().filter(|rung| rung.to > from * (1.0 + LOAD_SLACK)) {
        for load in borders(rung, rung.from.max(from), problem.goal.gear_loss_at_most.get()) {
            let instance = ladder.instance();
            let solution = instance.evaluate(&rung.solution.cores, load).expect("less load always fits");
            let bound = ladder.bound_at(load).unwrap_or(solution.value).max(solution.value);
            if bound - solution.value > 1e-9 {
                let message = format!("at {load} requests/s the plan is worth {}, its bound {bound}", solution.value);
                return Err(Error::Solver { solver: "own search", message });
            }
            let method = if verify { verified(ladder, load, solution.value)? } else { METHOD.to_owned() };
            if problem.goal.wants_low_latency() {
                let (tight, solution) = latency::least(problem, facts, parts, model, &solution, load)?;
                let certificate = Certificate::new(solution.value, solution.value, format!("{method}{THEN_LATENCY}"));
                decoded.push(of_solution(problem, &tight, &solution, load, certificate));
            } else {
                let certificate = Certificate::new(solution.value, bound, method);
                decoded.push(of_solution(problem, model, &solution, load, certificate));
            }
        }
    }
    Ok(decoded)
}

const METHOD: &str = "exact: dynamic programme over piecewise linear functions of the load";

/// What the last level of a lexicographic goal adds.
const THEN_LATENCY: &str = "; then the shortest SLO that is kept, by bisection over exact solutions";

#[cfg(feature = "milp")]
fn verified(ladder: &Ladder<'_>, load: f64, value: f64) -> Result<String, Error> {
    let highs = crate::optimize::milp::solve(ladder.instance(), load)?.map(|milp| milp.solution.value);
    if highs.is_some_and(|highs| (highs - value).abs() <= 1e-9) {
        return Ok(format!("{METHOD}; HiGHS agrees"));
    }
    let message = format!("at {load} requests/s HiGHS finds {highs:?}, the own search {value}");
    Err(Error::Solver { solver: "HiGHS", message })
}

#[cfg(not(feature = "milp"))]
fn verified(_: &Ladder<'_>, _: f64, _: f64) -> Result<String, Error> {
    Err(Error::Unsupported {
        what: "this build has no MILP solver to verify with".to_owned(),
        hint: "build with `--features milp`".to_owned(),
    })
}

/// Returns the loads, increasing, at which to cut a rung so that the accuracy at the lower end of each part exceeds
/// that of the part's fixed shares by at most `loss`.
fn borders(rung: &Rung, from: f64, loss: f64) -> Vec<f64> {
    let mut loads = vec![rung.to];
    // Accuracy at load λ is slope + intercept ÷ λ: the next border down is where it has risen by `loss`.
    let mass = rung.accuracy_intercept;
    let next_below = |load: f64| if mass > 0.0 && loss > 0.0 { mass / (mass / load + loss) } else { 0.0 };
    let mut next = next_below(rung.to);
    while next > from * (1.0 + LOAD_SLACK) && next > 0.0 {
        loads.push(next);
        next = next_below(next);
    }
    loads.reverse();
    loads
}

/// Returns the gear of a solution of the program.
fn of_solution(problem: &Problem, model: &Model, solution: &Solution, load: f64, certificate: Certificate) -> Decoded {
    let mut chosen = Vec::new();
    for (index, &cores) in solution.cores.iter().enumerate().filter(|(_, cores)| **cores > 0) {
        let found = model.candidates[index].iter().find(|candidate| candidate.cores() == cores);
        let candidate = found.expect("the program only offers candidates");
        chosen.push((model.instance.items[index].name.clone(), candidate.clone(), solution.quotas[index]));
    }
    gear(problem, chosen, load, certificate)
}

/// Returns the gear in which these ways carry these parts of the load.
pub(super) fn gear(
    problem: &Problem,
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
        claims: claims(problem, &lanes, &chosen, load),
        stages: vec![one_stage(lanes)],
        certificate: Some(certificate),
    };
    Decoded { gear, lanes: chosen }
}

/// Returns the room's only stage.
pub(in crate::rooms) fn one_stage(lanes: Vec<Lane>) -> Stage {
    Stage {
        name: STAGE.to_owned(),
        after: Vec::new(),
        calls: Factor::saturating(1.0),
        dispatch: Dispatch::Share,
        lanes,
        exit: None,
        watch: None,
    }
}

fn claims(problem: &Problem, lanes: &[Lane], chosen: &[(String, Candidate)], load: f64) -> Claims {
    let share = |lane: &Lane| lane.share.map_or(0.0, f64::from);
    let queues: Vec<_> = lanes.iter().zip(chosen).map(|(lane, (_, way))| (share(lane), way.queue())).collect();
    let cores = cores_of(problem, chosen);
    let price = problem.inventory.price_usd_per_core_hour.get();
    let utilisation = lanes.iter().zip(&queues);
    Claims {
        accuracy: None,
        latency: None,
        cost_usd_per_hour: Some(Usd::saturating(f64::from(cores) * price)),
        cores: Some(cores),
        machines: BTreeMap::new(),
        utilisation: utilisation
            .map(|(lane, (share, queue))| (lane.pool.clone(), Share::saturating(queue.utilisation(share * load))))
            .collect(),
    }
}

/// Adds what the labelled samples say to the claims of gears.
pub(super) fn claim_accuracy(facts: &Facts, decoded: &mut [Decoded]) {
    for Decoded { gear, .. } in decoded {
        gear.claims.accuracy = accuracy_claim(facts, &gear.stages[0].lanes);
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
