//! How long a lane's requests take, solved numerically: what claims rest on.
//!
//! The closed forms of [`super::estimate`] count every hold as waited for in full and every batch as full. They are fast,
//! safe and fall with the rate, so they decide what keeps the SLO. What a lane really does is
//!
//! ```text
//! a free replica takes up to b calls once b are there, or once the oldest has waited for the hold
//! wait = max( rest of the running batch + batches ahead, min( missing companions, hold − age of the oldest ) )
//! ```
//!
//! `chain` solves what one replica that is c times as fast leaves behind whenever it begins a batch, for Poisson requests
//! of several calls each (a stream that earlier stages pace finds a smaller queue, [`Station::arrivals_scv`]); `wait` follows a request from when it comes, so the size of its batch is known with its wait, and
//! with it the distribution of its service. With c replicas fewer requests find all of them busy than find the fast one busy:
//! `M^[X]`/M/c at the same use says how many, and the others only wait for companions.
//!
//! Exact but for the grid of 1,024 steps: M/G/1 (`one`). Exact but for the grid and the few atoms that stand for a distribution:
//! `M^[X]`/G/1, batches on one replica without a hold, and M/M/c. Approximations: the fast replica for c > 1 (exact decay of the tail, as in Neuts and
//! Takahashi), the age of calls left by a full batch (gaps of a Poisson stream), leftovers beyond four batches (which fade
//! geometrically in the limit).

mod arrivals;
mod atoms;
mod chain;
mod ends;
mod one;
#[cfg(test)]
mod tests;
mod wait;

use arrivals::Arrivals;
use chain::{Chain, Lane};
use wait::Waiting;

use crate::stats::{Distribution, Grid, GridDistribution};

/// Steps of the grid.
pub const STEPS: usize = 1024;

/// Least part of its grid at which a quantile is read.
const LEAST_PART: f64 = 0.25;
/// By how much a grid grows that a quantile lies beyond: then it lies in a part that is fine enough.
const GROWS: f64 = 4.0;
/// Grids after which a quantile counts as infinite: a distribution that is settled by 10⁹ times its first grid is found before.
const MOST_GRIDS: usize = 20;

/// Returns the quantile that `of` reads from a grid that ends at a span, in milliseconds; infinite where it lies beyond all of them.
///
/// The grid follows the distribution itself, from a first guess on: what is asked of it, like an SLO, must not decide how
/// finely its times are told apart. A quantile counts where it is at least 256 steps from 0.
pub fn quantile_on_its_grid(guess_ms: f64, of: impl Fn(f64) -> Option<f64>) -> f64 {
    let mut span_ms = guess_ms;
    for _ in 0..MOST_GRIDS {
        span_ms = match of(span_ms) {
            None => span_ms * GROWS,
            // In a corner of a grid that is too long it is hardly known.
            Some(ms) if ms < LEAST_PART * span_ms => (2.0 * ms).max(8.0 * span_ms / STEPS as f64),
            Some(ms) => return ms,
        };
    }
    f64::INFINITY
}

/// Least variation of work that QNA reckons with behind a replica: more even work paces no better.
const LEAST_WORK_SCV: f64 = 0.2;

/// One lane with what comes to it.
#[derive(Debug, Clone)]
pub struct Station {
    /// Distributions of one call of 1, 2, … samples; as many as may be served together.
    pub services: Vec<Distribution>,
    /// Replicas.
    pub servers: u32,
    /// Longest time that the first call waits for companions, in milliseconds.
    pub hold_ms: f64,
    /// Requests a second.
    pub rate_rps: f64,
    /// Calls that each makes at once, at least 1 on average.
    pub calls: f64,
    /// How evenly requests come: squared coefficient of variation of the times between them, 1 of a Poisson stream.
    pub arrivals_scv: f64,
}

impl Station {
    fn arrivals(&self) -> Arrivals {
        let (few, more) = (self.calls.floor(), self.calls.fract());
        Arrivals { rate: self.rate_rps / 1e3, numbers: [(few as usize, 1.0 - more), (few as usize + 1, more)] }
    }

    /// Returns the squared coefficient of variation of the calls that a request makes.
    fn calls_scv(&self) -> f64 {
        let more = self.calls.fract();
        more * (1.0 - more) / self.calls.powi(2)
    }

    /// Returns what is left of the queue that a Poisson stream of requests would find, where they come more evenly.
    ///
    /// Mean waits go with the variance of the work that comes (Whitt's QNA, 1983): `(c_a² + c_s²) ÷ (1 + c_s²)`, c_s² being that
    /// of a request's work. Where calls are served together, most of what is waited for is the batch that runs; there it is 1.
    fn queue_left(&self) -> f64 {
        if self.services.len() > 1 || self.arrivals_scv >= 1.0 {
            return 1.0;
        }
        (self.arrivals_scv + self.work_scv()) / (1.0 + self.work_scv())
    }

    /// Returns the squared coefficient of variation of the work of a request.
    fn work_scv(&self) -> f64 {
        self.full().scv() / self.calls + self.calls_scv()
    }

    /// Returns how evenly requests leave (QNA, equation 39): a busy replica paces them. Those of batches are taken as a Poisson
    /// stream.
    #[must_use]
    pub fn departures_scv(&self) -> f64 {
        if self.services.len() > 1 {
            return 1.0;
        }
        let busy = self.full_use().min(1.0).powi(2);
        let paced = busy * (self.work_scv().max(LEAST_WORK_SCV) - 1.0) / f64::from(self.servers).sqrt();
        1.0 + (1.0 - busy) * (self.arrivals_scv - 1.0) + paced
    }

    fn full(&self) -> &Distribution {
        self.services.last().expect("a lane serves at least one call at a time")
    }

    /// Returns the busy part of the replicas if all batches were full.
    fn full_use(&self) -> f64 {
        let capacity = self.services.len() as f64 * f64::from(self.servers) / self.full().mean_ms();
        self.rate_rps / 1e3 * self.calls / capacity
    }

    /// Returns the distribution of the time until all calls of a request are done, on a grid that ends at `span_ms`.
    #[must_use]
    pub fn response(&self, span_ms: f64) -> GridDistribution {
        // Closer to saturation nothing settles within a span that anybody asks about.
        if self.full_use() > 1.0 - 1e-6 {
            return GridDistribution::never(STEPS);
        }
        let grid = Grid::new(span_ms, STEPS);
        if self.servers == 1 && self.services.len() == 1 && self.calls == 1.0 {
            return GridDistribution::from_bins(&one::responses(self, self.full_use(), grid));
        }
        let lane = Lane::of(self);
        let chain = Chain::of(&lane);
        let waiting = Waiting::new(&lane, grid);
        GridDistribution::from_bins(&ends::of(&waiting, &chain))
    }
}
