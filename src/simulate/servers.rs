//! The seam of a trial: what tells the time and who serves. The walk through the plan is the same on both sides.
//!
//! ```text
//!              time                    a call                         answers
//! Simulated    jumps to the next event  takes a time that is drawn     of the measured samples
//! replay       passes                   is made, and done when it is   of the call that was made
//! ```

use super::ids::{BatchId, LaneId, PoolId, RequestId, VariantId};
use super::report::Source;
use super::world::{Start, World};
use crate::stats::Dice;

/// Why a trial goes on; times are in nanoseconds from its start and never go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The moment that was waited for has come; it is now.
    Reached(u64),
    /// Before that, a replica has finished its call.
    Done(u64, Work),
    /// Before that, every replica that was asked for has come up.
    Up(u64),
    /// Nothing can go on.
    Failed,
}

/// What a replica serves at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// One call of a request.
    One(LaneId, RequestId),
    /// Calls that are listed together.
    Many(BatchId),
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
        work: Work,
        variant: VariantId,
        pool: PoolId,
        samples: impl ExactSizeIterator<Item = u32>,
        start: Start,
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
        _: Work,
        variant: VariantId,
        pool: PoolId,
        samples: impl ExactSizeIterator<Item = u32>,
        start: Start,
        dice: &mut Dice,
    ) -> Option<u64> {
        let batch = samples.len() as u32;
        let stretched = self.0.stretched_ns(variant, pool, batch, start);
        let time = stretched.unwrap_or_else(|| self.0.service_ns(variant, pool, batch, dice));
        let longer = |slowdown: f64| (time as f64 * slowdown) as i64 as u64;
        Some(self.0.slowdown(variant, pool, start.neighbours).map_or(time, longer))
    }

    #[inline]
    fn answer(&self, _: usize, variant: VariantId, sample: u32) -> Option<(f32, bool)> {
        self.0.answer(variant, sample)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::engine::Engine;
    use super::super::walk::Walk;
    use super::super::{Settings, Textbook, TextbookLaw};
    use super::{Dice, PoolId, Servers, Simulated, Source, Start, VariantId, Wake, Work};
    use crate::plan::Plan;
    use crate::workload::Arrivals;
    use serde_json::json;

    /// Sees everything five milliseconds late.
    struct Late<'a> {
        inner: Simulated<'a, Textbook>,
        now: u64,
    }

    impl Servers for Late<'_> {
        const SOURCE: Source = Source::Replay;

        fn samples(&self) -> u32 {
            self.inner.samples()
        }

        fn hold(&mut self, _: PoolId, _: u32) {}

        fn open(&mut self) {}

        fn up_at(&mut self, expected: u64) -> Option<u64> {
            Some(expected)
        }

        fn wait(&mut self, until: u64) -> Wake {
            self.now = self.now.max(until + 5_000_000);
            Wake::Reached(self.now)
        }

        fn begin(
            &mut self,
            work: Work,
            variant: VariantId,
            pool: PoolId,
            samples: impl ExactSizeIterator<Item = u32>,
            start: Start,
            dice: &mut Dice,
        ) -> Option<u64> {
            self.inner.begin(work, variant, pool, samples, start, dice)
        }

        fn answer(&self, position: usize, variant: VariantId, sample: u32) -> Option<(f32, bool)> {
            self.inner.answer(position, variant, sample)
        }
    }

    #[test]
    fn whoever_looks_late_counts_from_the_intended_arrival_all_the_same() {
        let plan: Plan = serde_json::from_value(json!({
            "format": "planner.plan/1", "name": "late", "slo": { "quantile": 0.99, "latency_ms": 10 },
            "placement": [{ "name": "p", "on": { "kind": "cores", "cores": 1 }, "replicas": 1, "hosts": ["v"] }],
            "gears": [{ "up_to_rps": 10, "stages": [{ "name": "s", "dispatch": "share",
                        "lanes": [{ "variant": "v", "pool": "p" }] }] }],
            "switch": { "window_ms": 1000, "up": 0.9, "down": 0.8, "dwell_ms": 10000, "drain": "own-gear" },
            "provenance": { "tool": "by hand", "room": "cascade", "seed": 0, "inputs": [] }
        }))
        .expect("a valid plan");
        let laws = [("v".to_owned(), TextbookLaw::Constant { ms: 1.0 })].into();
        let world = Textbook::new(&plan, &laws).expect("the variant has a law");
        // Arrivals at 333, 666 and 999 ms; the last is looked at after the end.
        let settings = Settings {
            arrivals: Arrivals::Constant { rate_rps: 1e3 / 333.0 },
            duration: Duration::from_secs(1),
            warmup: Duration::ZERO,
            seed: 1,
        };
        let late = Late { inner: Simulated(&world), now: 0 };
        let walk = Walk::new(&plan, &world);
        let (trial, _) = Engine::new(&plan, &walk, late, &settings, settings.seed).run();
        let report = trial.report(&[], &plan, &settings);
        let whole = &report.whole;
        assert_eq!((report.source, whole.arrived, whole.answered), (Source::Replay, 3, 2));
        // Looked at 5 ms late, served in 1 ms, which is looked at 5 ms late.
        let slowest = whole.latency.expect("two were answered").max_ms.get();
        assert!((slowest - 11.0).abs() < 1e-6, "{slowest}");
        assert_eq!(whole.violations, 2, "the one under way at the end is not late yet");
    }
}
