//! By which share load and service times may grow before a plan breaks its SLO, found by simulation.
//!
//! ```text
//! load            the gear that serves it, at ever higher rates beyond the highest that was asked for ──┐
//!                                                                                                       ├─▶ the last whole percent
//! service times   every gear at its highest rate, with ever slower calls: the gear that breaks first  ──┘    that keeps the SLO
//! ```
//!
//! More load or slower calls answer nothing earlier, so the percent is found by bisection. That nothing more is carried as planned
//! is what other trials tell; these say how much more is. Facts are taken as they were measured, whatever risk was asked for, and slow
//! calls come in stretches where that was measured.

use super::ids::{PoolId, VariantId};
use super::repair::{alone, try_at};
use super::{Effort, Measured, Start, World};
use crate::base::error::Error;
use crate::base::units::{Factor, Rate};
use crate::facts::Facts;
use crate::plan::{Gear, HoldsUpTo, Plan};
use crate::stats::Dice;

/// Percent beyond which nothing is looked for.
const MOST: u32 = 100;
/// Part of the requests of a trial that a step of the bisection takes: all steps together are to cost about as much as the trials.
const PART: u64 = 4;

/// Finds out by which share the load and the service times may grow before a plan breaks its SLO; `effort` is that of the plan's
/// trials. Takes a simulation for each gear, and seven for the load and for each gear that breaks before those that were looked at.
///
/// # Errors
/// [`Error::Input`] for facts that were not measured.
pub fn holds_up_to(plan: &Plan, facts: &Facts, max_rps: Rate, effort: Effort) -> Result<HoldsUpTo, Error> {
    let step = Effort { requests: effort.requests.div_ceil(PART), ..effort };
    found_with(plan, facts, max_rps, step)
}

/// Makes the simulations of a plan's record again and returns what they say.
///
/// # Errors
/// As [`holds_up_to`].
pub(super) fn found_again(plan: &Plan, facts: &Facts, said: &HoldsUpTo) -> Result<HoldsUpTo, Error> {
    found_with(plan, facts, said.max_rps, said.into())
}

fn found_with(plan: &Plan, facts: &Facts, max_rps: Rate, effort: Effort) -> Result<HoldsUpTo, Error> {
    // Slow calls come in stretches where the profile tells how long those last: that is what a reserve is for.
    let stretched = Measured::new(plan, facts)?.with_stretches(plan, facts);
    let stretches = stretched.is_ok();
    let measured = stretched.or_else(|_| Measured::new(plan, facts))?;
    let keeps = |gear: &Gear, rate_rps: f64, slower: u32| {
        let world = Slower { world: &measured, factor: grown(slower) };
        try_at(&alone(plan, gear), &world, effort, rate_rps).whole.slo_met
    };
    let load = last_kept(MOST, |percent| {
        let rate = max_rps.get() * grown(percent);
        keeps(&plan.gears[plan.gear_at(rate)], rate, 0)
    });
    let mut service_times = MOST;
    for gear in tightest_first(plan) {
        if !keeps(gear, gear.up_to_rps.get(), service_times) {
            service_times = last_kept(service_times - 1, |percent| keeps(gear, gear.up_to_rps.get(), percent));
        }
        if service_times == 0 {
            break;
        }
    }
    let share = |percent: u32| Factor::saturating(f64::from(percent) / 100.0);
    Ok(HoldsUpTo {
        max_rps,
        load: share(load),
        service_times: share(service_times),
        requests: effort.requests,
        trials: effort.trials,
        seed: effort.seed,
        stretches,
    })
}

fn grown(percent: u32) -> f64 {
    1.0 + f64::from(percent) / 100.0
}

/// Returns the last percent up to `most` that keeps the SLO; 0 where none does.
fn last_kept(most: u32, keeps: impl Fn(u32) -> bool) -> u32 {
    let (mut kept, mut broken) = (0, most + 1);
    while broken - kept > 1 {
        let middle = kept + (broken - kept) / 2;
        if keeps(middle) { kept = middle } else { broken = middle }
    }
    kept
}

/// Returns the gears, those first that claim the longest latency: once one of them set the percent, most others take one look.
fn tightest_first(plan: &Plan) -> Vec<&Gear> {
    let claimed = |gear: &&Gear| gear.claims.latency.map_or(f64::INFINITY, |claim| claim.value_ms.get());
    let mut gears: Vec<&Gear> = plan.gears.iter().collect();
    gears.sort_by(|one, other| claimed(other).total_cmp(&claimed(one)));
    gears
}

/// A world whose calls take so many times as long; loading does not.
struct Slower<'a, W> {
    world: &'a W,
    factor: f64,
}

impl<W: World> World for Slower<'_, W> {
    #[inline]
    fn service_ns(&self, variant: VariantId, pool: PoolId, batch: u32, dice: &mut Dice) -> u64 {
        (self.world.service_ns(variant, pool, batch, dice) as f64 * self.factor).round() as u64
    }

    fn stretched_ns(&self, variant: VariantId, pool: PoolId, batch: u32, start: Start) -> Option<u64> {
        let time = self.world.stretched_ns(variant, pool, batch, start)?;
        Some((time as f64 * self.factor).round() as u64)
    }

    fn slowdown(&self, variant: VariantId, pool: PoolId, neighbours: u32) -> Option<f64> {
        self.world.slowdown(variant, pool, neighbours)
    }

    fn mean_service_ns(&self, variant: VariantId, pool: PoolId, batch: u32) -> f64 {
        self.world.mean_service_ns(variant, pool, batch) * self.factor
    }

    fn answer(&self, variant: VariantId, sample: u32) -> Option<(f32, bool)> {
        self.world.answer(variant, sample)
    }

    fn samples(&self) -> u32 {
        self.world.samples()
    }

    fn load_ns(&self, variant: VariantId) -> u64 {
        self.world.load_ns(variant)
    }
}

#[cfg(test)]
mod tests {
    use super::last_kept;

    #[test]
    fn the_last_percent_that_keeps_the_slo_is_found() {
        for (most, truth) in [(100, 0), (100, 1), (100, 9), (100, 100), (1, 1), (1, 0), (0, 0)] {
            assert_eq!(last_kept(most, |percent| percent <= truth), truth, "{most}");
        }
    }
}
