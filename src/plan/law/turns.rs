//! Response times and utilisation of a gear whose replicas serve several queues in turn, or whose requests leave early.

use std::collections::BTreeMap;

use super::cycle::{Cycle, TURNS, Visit, cycle};
use crate::facts::Facts;
use crate::plan::{Dispatch, Gear, Passage, Plan, Pool, Stage};
use crate::profile::Trust;

/// What a gear's replicas do at its highest rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Turns<'a> {
    /// Response time on the longest way, in milliseconds: two turns on every pool that a request moves to.
    pub latency_ms: f64,
    /// Busy part of the replicas of each pool that is used, at most.
    pub busy: BTreeMap<&'a str, f64>,
    /// The least trusted service time.
    pub trust: Trust,
}

impl<'a> Turns<'a> {
    /// Returns the turns of a chain of stages; `None` where nobody knows a closed form: calls that are held, refused or
    /// dropped, times on the way, fan-out, or lanes that are picked by the state of the queues. Infinite where a pool cannot
    /// keep up.
    #[must_use]
    pub fn of(plan: &'a Plan, gear: &'a Gear, facts: &Facts) -> Option<Self> {
        if !plan.transfers.is_empty() || !gear.is_chain() || !gear.stages.iter().all(is_plain) {
            return None;
        }
        let passage = Passage::of(gear, facts)?;
        let stays = stays_in_proportion(gear);
        if gear.stages[1..].iter().any(|stage| stage.dispatch == Dispatch::Stay && stage.lanes.len() > 1) && !stays {
            return None;
        }
        let mut queues: BTreeMap<&str, Vec<(Visit, f64)>> = BTreeMap::new();
        let mut trust = Trust::Measured;
        for (stage, reach) in gear.stages.iter().zip(&passage.reach) {
            for (lane, share) in stage.lanes.iter().zip(stage.shares()?) {
                let pool = plan.pool(&lane.pool)?;
                trust = trust.max(facts.service(&lane.variant, &pool.on, lane.batch)?.trust);
                let visit = visit(&lane.variant, pool, lane.batch, facts)?;
                let rate = gear.up_to_rps.get() * reach * share / f64::from(gear.replicas_of(pool));
                queues.entry(&pool.name).or_default().push((visit, rate));
            }
        }
        let cycles: BTreeMap<&str, Option<Cycle>> =
            queues.iter().map(|(pool, queues)| (*pool, cycle(queues))).collect();
        let length = |pool: &str| cycles[pool].map_or(f64::INFINITY, |cycle| cycle.length_ms);
        let latency_ms = TURNS * longest_way(gear, stays, length);
        let busy = cycles.iter().map(|(pool, cycle)| (*pool, cycle.map_or(1.0, |cycle| cycle.busy))).collect();
        Some(Self { latency_ms, busy, trust })
    }
}

/// Returns what visits to a lane take.
fn visit(variant: &str, pool: &Pool, batch: u32, facts: &Facts) -> Option<Visit> {
    let mean = |batch| Some(facts.service(variant, &pool.on, batch)?.law.mean_ms());
    Some(Visit::over(&(1..=batch).map(mean).collect::<Option<Vec<f64>>>()?))
}

fn is_plain(stage: &Stage) -> bool {
    let is_plain = |lane: &crate::plan::Lane| {
        lane.hold_ms.get() == 0.0 && lane.queue_limit.is_none() && lane.drop_after_ms.is_none()
    };
    stage.calls.get() == 1.0 && stage.lanes.iter().all(is_plain)
}

/// Tells whether every later stage stays on the pools of the first, in the first's proportions.
fn stays_in_proportion(gear: &Gear) -> bool {
    let lanes = |stage: &Stage| -> Vec<(String, Option<u64>)> {
        let mut lanes: Vec<_> =
            stage.lanes.iter().map(|lane| (lane.pool.clone(), lane.share.map(|share| share.get().to_bits()))).collect();
        lanes.sort();
        lanes
    };
    let first = lanes(&gear.stages[0]);
    gear.stages[1..].iter().all(|stage| stage.dispatch == Dispatch::Stay && lanes(stage) == first)
}

/// Returns the largest sum of turns over all ways through the stages; a pool where a request is already adds none.
fn longest_way(gear: &Gear, stays: bool, length: impl Fn(&str) -> f64) -> f64 {
    let mut longest: BTreeMap<&str, f64> = BTreeMap::new();
    for (index, stage) in gear.stages.iter().enumerate() {
        let onward = |pool: &str| {
            let step = |(from, so_far): (&&str, &f64)| match () {
                () if *from == pool => *so_far,
                () if stays => 0.0,
                () => so_far + length(pool),
            };
            if index == 0 { length(pool) } else { longest.iter().map(step).fold(0.0, f64::max) }
        };
        longest = stage.lanes.iter().map(|lane| (lane.pool.as_str(), onward(&lane.pool))).collect();
    }
    longest.into_values().fold(0.0, f64::max)
}
