//! The seam of a trial: what tells the time and who serves. The walk through the plan is the same on both sides.
//!
//! ```text
//!              time                    a call                         answers
//! Simulated    jumps to the next event  takes a time that is drawn     of the measured samples
//! replay       passes                   is made, and done when it is   of the call that was made
//! ```

use super::dice::Dice;
use super::ids::{PoolId, ServiceId, VariantId};
use super::report::Source;
use super::world::World;

/// Why a trial goes on; times are in nanoseconds from its start and never go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The moment that was waited for has come; it is now.
    Reached(u64),
    /// Before that, a replica has finished its call.
    Done(u64, ServiceId),
    /// Before that, every replica that was asked for has come up.
    Up(u64),
    /// Nothing can go on.
    Failed,
}

/// What tells the time and serves calls.
pub trait Servers {
    /// What reports call such a trial.
    const SOURCE: Source;

    /// Returns the number of samples that requests are drawn from; 0 where there are none.
    fn samples(&self) -> u32;

    /// Has so many replicas of a pool up, or begins to bring them up; called again with the same number it does nothing.
    fn hold(&mut self, pool: PoolId, replicas: u32);

    /// Waits until all replicas are up; time begins.
    fn open(&mut self);

    /// Returns when all replicas asked for are up, `expected` being when the plan's facts say so; `None` where only
    /// [`Wake::Up`] will tell.
    fn up_at(&mut self, expected: u64) -> Option<u64>;

    /// Waits for a moment, or for what comes before it.
    fn wait(&mut self, until: u64) -> Wake;

    /// A replica begins a call. Returns its time in nanoseconds; `None` where only [`Wake::Done`] will tell.
    fn begin(
        &mut self,
        service: ServiceId,
        variant: VariantId,
        pool: PoolId,
        samples: impl ExactSizeIterator<Item = u32>,
        dice: &mut Dice,
    ) -> Option<u64>;

    /// Returns how certain the answer is that stands at `position` of the call just done, and whether it is right.
    fn answer(&self, position: usize, variant: VariantId, sample: u32) -> Option<(f32, bool)>;
}

/// The servers of a simulation: whatever the world says.
#[derive(Debug, Clone, Copy)]
pub struct Simulated<'a, W>(pub &'a W);

impl<W: World> Servers for Simulated<'_, W> {
    const SOURCE: Source = Source::Simulation;

    fn samples(&self) -> u32 {
        self.0.samples()
    }

    #[inline]
    fn hold(&mut self, _: PoolId, _: u32) {}

    fn open(&mut self) {}

    #[inline]
    fn up_at(&mut self, expected: u64) -> Option<u64> {
        Some(expected)
    }

    #[inline]
    fn wait(&mut self, until: u64) -> Wake {
        Wake::Reached(until)
    }

    #[inline]
    fn begin(
        &mut self,
        _: ServiceId,
        variant: VariantId,
        pool: PoolId,
        samples: impl ExactSizeIterator<Item = u32>,
        dice: &mut Dice,
    ) -> Option<u64> {
        Some(self.0.service_ns(variant, pool, samples.len() as u32, dice))
    }

    #[inline]
    fn answer(&self, _: usize, variant: VariantId, sample: u32) -> Option<(f32, bool)> {
        self.0.answer(variant, sample)
    }
}
