//! SP3: everything everywhere, pruned greedily until it fits into memory.

use super::assign::Assigned;
use super::balance;
use super::{RingInstance, RingSettings};
use crate::rooms::exits::Cascade;

/// Least utilisation that relief is divided by.
const IDLE: f64 = 1e-9;

/// Why a submodule has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stuck {
    /// This range cannot be served.
    Range(usize),
    /// The models in use do not fit into memory, whatever the loads.
    Memory,
}

/// Who holds what, and how loads are shared out.
pub(super) struct RingPlacement {
    /// For each device the models that it holds.
    pub holds: Vec<Vec<bool>>,
    /// For each range and each member of its cascade the share of every device.
    pub shares: Vec<Vec<Vec<f64>>>,
}

/// Prunes replicas by utility, memory relief ÷ highest utilisation afterwards, until no device holds too much.
///
/// `keep` is the fewest replicas of each model in use. Takes O(replicas²) looks at every range.
pub(super) fn place(
    instance: &RingInstance<'_>,
    assigned: &Assigned<'_>,
    keep: &[usize],
    settings: &RingSettings,
) -> Result<RingPlacement, Stuck> {
    let is_used = |model: usize| (0..assigned.ranges()).any(|range| uses(assigned.cascade(range), model));
    let least: Vec<usize> = (0..keep.len()).map(|model| if is_used(model) { keep[model] } else { 0 }).collect();
    let mut holds = vec![vec![true; instance.models.len()]; instance.devices];
    while let Some(over) = over(instance, &holds) {
        let (device, model) = best_to_prune(instance, assigned, &least, &mut holds, &over, settings)?;
        holds[device][model] = false;
    }
    let (highest, range) = highest(instance, assigned, &holds, settings);
    if highest > 1.0 {
        return Err(Stuck::Range(range));
    }
    let shares = |range: usize| {
        let cascade = assigned.cascade(range);
        let (work, places) = (work(instance, cascade, assigned.rate(range), settings), places(cascade, &holds));
        balance::shares(&work, &places, balance::utilisation(&work, &places))
    };
    let shares = (0..assigned.ranges()).map(shares).collect();
    Ok(RingPlacement { holds, shares })
}

/// Returns the model of a cascade whose replicas have most to do.
pub(super) fn bottleneck(
    instance: &RingInstance<'_>,
    cascade: &Cascade,
    holds: &[Vec<bool>],
    settings: &RingSettings,
) -> usize {
    let busy = |(member, work): (usize, f64)| {
        let model = cascade.members[member].model;
        (model, work / holds.iter().filter(|held| held[model]).count().max(1) as f64)
    };
    let all = work(instance, cascade, 1.0, settings).into_iter().enumerate().map(busy);
    all.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(model, _)| model)
}

/// Returns by how much each device holds too much, or `None` where none does.
fn over(instance: &RingInstance<'_>, holds: &[Vec<bool>]) -> Option<Vec<f64>> {
    let of = |held: &Vec<bool>| {
        let models = instance.models.iter().zip(held).filter(|(_, held)| **held);
        (models.map(|(model, _)| model.memory_mb).sum::<f64>() - instance.memory_mb).max(0.0)
    };
    let over: Vec<f64> = holds.iter().map(of).collect();
    over.iter().any(|&over| over > 0.0).then_some(over)
}

fn best_to_prune(
    instance: &RingInstance<'_>,
    assigned: &Assigned<'_>,
    least: &[usize],
    holds: &mut [Vec<bool>],
    over: &[f64],
    settings: &RingSettings,
) -> Result<(usize, usize), Stuck> {
    let all_over: f64 = over.iter().sum();
    let replicas = |holds: &[Vec<bool>], model: usize| holds.iter().filter(|held| held[model]).count();
    let mut best: Option<(f64, usize, usize)> = None;
    let mut least_bad: Option<(f64, usize)> = None;
    for device in (0..holds.len()).filter(|&device| over[device] > 0.0) {
        for model in 0..least.len() {
            let relief = instance.models[model].memory_mb.min(over[device]) / all_over;
            if !holds[device][model] || relief <= 0.0 || replicas(holds, model) <= least[model] {
                continue;
            }
            holds[device][model] = false;
            let (highest, range) = highest(instance, assigned, holds, settings);
            holds[device][model] = true;
            if highest > 1.0 {
                if least_bad.is_none_or(|(other, _)| highest < other) {
                    least_bad = Some((highest, range));
                }
                continue;
            }
            let utility = relief / highest.max(IDLE);
            if best.is_none_or(|(other, _, _)| utility > other) {
                best = Some((utility, device, model));
            }
        }
    }
    match (best, least_bad) {
        (Some((_, device, model)), _) => Ok((device, model)),
        (None, Some((_, range))) => Err(Stuck::Range(range)),
        (None, None) => Err(Stuck::Memory),
    }
}

/// Returns the highest utilisation over all ranges, and the range that has it.
fn highest(
    instance: &RingInstance<'_>,
    assigned: &Assigned<'_>,
    holds: &[Vec<bool>],
    settings: &RingSettings,
) -> (f64, usize) {
    let of = |range: usize| {
        let cascade = assigned.cascade(range);
        let work = work(instance, cascade, assigned.rate(range), settings);
        (balance::utilisation(&work, &places(cascade, holds)), range)
    };
    // Of equals the highest load.
    (0..assigned.ranges()).map(of).max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, 0))
}

/// Returns what each member asks for at a rate, in device seconds a second.
pub(super) fn work(instance: &RingInstance<'_>, cascade: &Cascade, rate: f64, settings: &RingSettings) -> Vec<f64> {
    let of = |(member, reach): (&crate::rooms::exits::Member, &f64)| {
        rate * reach * instance.models[member.model].sample_ms(settings.load_batch) / 1e3
    };
    cascade.members.iter().zip(&cascade.reach).map(of).collect()
}

/// Returns for each member which devices hold it.
pub(super) fn places(cascade: &Cascade, holds: &[Vec<bool>]) -> Vec<Vec<bool>> {
    cascade.members.iter().map(|member| holds.iter().map(|held| held[member.model]).collect()).collect()
}

fn uses(cascade: &Cascade, model: usize) -> bool {
    cascade.members.iter().any(|member| member.model == model)
}
