//! Laws of response times on a grid: how delays of stages add up when what counts is a quantile.
//!
//! The quantile of a sum is not the sum of quantiles, so laws are convolved. A law is its distribution function at 256
//! steps up to the SLO; what lies between two steps counts at the later one, what is beyond the last never arrives. So
//! every quantile is an upper bound, off by at most one step for each law that went into it (*grid bound*). Stages are
//! taken to be independent.

use super::estimate::{Burst, Queue};
use crate::base::rounding::SUMS;
use crate::stats::Distribution;

/// Steps of the grid.
pub const STEPS: usize = 256;

/// The law of a response time.
#[derive(Debug, Clone, PartialEq)]
pub struct Law {
    /// P(response ≤ k steps) for k from 0 to [`STEPS`].
    cdf: Vec<f64>,
}

impl Law {
    /// Returns the law of a queue's responses at a rate, on a grid that ends at `span_ms`.
    #[must_use]
    pub fn of_queue(queue: &Queue<'_>, rate_rps: f64, span_ms: f64) -> Self {
        if queue.utilisation(rate_rps) >= 1.0 {
            return Self::never();
        }
        let fill = if queue.batch > 1 { queue.hold_ms } else { 0.0 };
        Self::of_response(queue.service, queue.wait(rate_rps), fill, span_ms)
    }

    /// Returns the law of fill + wait + service, the wait being positive so often and then exponential with such a mean.
    fn of_response(service: &Distribution, (waits, mean_wait): (f64, f64), fill: f64, span_ms: f64) -> Self {
        let step = span_ms / STEPS as f64;
        let fade = |ms: f64| if mean_wait > 0.0 { (-ms / mean_wait).exp() } else { 0.0 };
        let per_step = fade(step);
        // P(late) = Σ p·[service > t] + Σ p·waits·exp(−(t − service) ÷ mean wait): the second sum fades from step to step.
        let (mut unserved, mut waiting) = (1.0, 0.0);
        let mut atoms = service.atoms().iter().peekable();
        let cdf = (0..=STEPS).map(|k| {
            let left = step * k as f64 - fill;
            waiting *= per_step;
            while let Some(&(service, p)) = atoms.next_if(|(service, _)| *service <= left) {
                unserved -= p;
                waiting += p * waits * fade(left - service);
            }
            (1.0 - unserved - waiting).clamp(0.0, 1.0)
        });
        Self { cdf: cdf.collect() }
    }

    /// Returns the law of something that takes no time.
    #[must_use]
    pub fn at_once() -> Self {
        Self { cdf: vec![1.0; STEPS + 1] }
    }

    /// Returns the law of something that is never done in time.
    #[must_use]
    pub fn never() -> Self {
        Self { cdf: vec![0.0; STEPS + 1] }
    }

    /// Returns the law of this and then the other.
    #[must_use]
    pub fn then(&self, next: &Self) -> Self {
        let mut cdf = vec![0.0; STEPS + 1];
        for (k, p) in self.masses() {
            for (sum, late) in cdf[k..].iter_mut().zip(&next.cdf) {
                *sum += p * late;
            }
        }
        Self { cdf }
    }

    /// Returns the law of the later of two that begin together.
    #[must_use]
    pub fn beside(&self, other: &Self) -> Self {
        Self { cdf: self.cdf.iter().zip(&other.cdf).map(|(a, b)| a * b).collect() }
    }

    /// Returns the law of one that is this with a probability and the other else.
    #[must_use]
    pub fn or(&self, share: f64, other: &Self) -> Self {
        Self { cdf: self.cdf.iter().zip(&other.cdf).map(|(a, b)| share * a + (1.0 - share) * b).collect() }
    }

    /// Returns a law that is nowhere later than either.
    #[must_use]
    pub fn earliest(&self, other: &Self) -> Self {
        Self { cdf: self.cdf.iter().zip(&other.cdf).map(|(a, b)| a.max(*b)).collect() }
    }

    /// Tells whether this is nowhere later than the other (first-order stochastic dominance).
    #[must_use]
    pub fn no_later_than(&self, other: &Self) -> bool {
        self.cdf.iter().zip(&other.cdf).rev().all(|(own, other)| own >= other)
    }

    /// Returns the probability of a response within the grid.
    #[must_use]
    pub fn in_time(&self) -> f64 {
        self.cdf[STEPS]
    }

    /// Returns the same of this and then the other, without their law.
    #[must_use]
    pub fn in_time_before(&self, next: &Self) -> f64 {
        self.masses().map(|(k, p)| p * next.cdf[STEPS - k]).sum()
    }

    /// Returns the first step by which the asked part of responses is there, in milliseconds; `None` beyond the grid.
    #[must_use]
    pub fn quantile_ms(&self, quantile: f64, span_ms: f64) -> Option<f64> {
        let reaches = |p: &f64| *p >= quantile - SUMS;
        self.cdf.iter().position(reaches).map(|k| span_ms * k as f64 / STEPS as f64)
    }

    /// Returns each step with the probability of exactly it.
    fn masses(&self) -> impl Iterator<Item = (usize, f64)> {
        let before = std::iter::once(0.0).chain(self.cdf.iter().copied());
        self.cdf.iter().zip(before).map(|(at, before)| at - before).enumerate().filter(|(_, p)| *p > 0.0)
    }
}

/// One lane of a stage with what it is given: a part of the stage's calls, on replicas of its own.
#[derive(Debug, Clone, Copy)]
pub struct Flow<'a> {
    /// Law of one call of a full batch.
    pub service: &'a Distribution,
    /// Replicas.
    pub servers: u32,
    /// Most calls served together.
    pub batch: u32,
    /// Longest time that the first call waits for companions, in milliseconds.
    pub hold_ms: f64,
    /// Calls that a request makes at the stage, on average.
    pub calls: f64,
    /// Part of them that this lane gets.
    pub share: f64,
}

impl Flow<'_> {
    fn queue(&self) -> Queue<'_> {
        Queue { service: self.service, servers: self.servers, batch: self.batch, hold_ms: self.hold_ms }
    }

    fn burst(&self, calls: u32) -> Burst<'_> {
        Burst { service: self.service, servers: self.servers, batches: f64::from(calls.div_ceil(self.batch)) }
    }

    /// Returns the two numbers of calls that a request makes, each with its part of the requests.
    fn numbers(&self) -> [(u32, f64); 2] {
        let (few, more) = (self.calls.floor(), self.calls.fract());
        [(few as u32, 1.0 - more), (few as u32 + 1, more)]
    }

    /// Returns the busy part of the replicas at a rate of requests.
    #[must_use]
    pub fn utilisation(&self, rate_rps: f64) -> f64 {
        if self.calls <= 1.0 {
            return self.queue().utilisation(rate_rps * self.share * self.calls);
        }
        self.numbers().iter().map(|(calls, part)| part * self.burst(*calls).utilisation(rate_rps * self.share)).sum()
    }

    /// Returns the law of the time until all calls of one request are done; of none where a request may make none.
    #[must_use]
    pub fn law(&self, rate_rps: f64, span_ms: f64) -> Law {
        if self.calls <= 1.0 {
            let law = Law::of_queue(&self.queue(), rate_rps * self.share * self.calls, span_ms);
            return if self.calls < 1.0 { law.or(self.calls, &Law::at_once()) } else { law };
        }
        if self.utilisation(rate_rps) >= 1.0 {
            return Law::never();
        }
        let [(few, part), (more, _)] = self.numbers();
        let mean = self.numbers().iter().map(|(calls, part)| part * self.burst(*calls).batches).sum();
        let wait = Burst { batches: mean, ..self.burst(more) }.wait(rate_rps * self.share);
        let law = |calls: u32| {
            let rounds = calls.div_ceil(self.batch).div_ceil(self.servers);
            let is_full = calls.is_multiple_of(self.batch);
            Law::of_response(&self.service.repeated(rounds), wait, if is_full { 0.0 } else { self.hold_ms }, span_ms)
        };
        if part < 1.0 { law(few).or(part, &law(more)) } else { law(few) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Law, STEPS};
    use crate::plan::law::estimate::Queue;
    use crate::stats::Distribution;

    const SPAN: f64 = 512.0;

    fn queue(service: &Distribution, servers: u32) -> Queue<'_> {
        Queue { service, servers, batch: 1, hold_ms: 0.0 }
    }

    #[test]
    fn a_queue_s_law_is_its_tail_at_every_step() {
        let service = Distribution::new(vec![(7.0, 0.5), (20.0, 0.3), (61.5, 0.2)]);
        for (servers, rate) in [(1, 30.0), (2, 70.0), (4, 100.0)] {
            let queue = queue(&service, servers);
            let law = Law::of_queue(&queue, rate, SPAN);
            for k in 0..=STEPS {
                let truth = 1.0 - queue.tail(rate, SPAN * k as f64 / STEPS as f64);
                assert!((law.cdf[k] - truth).abs() < 1e-9, "{servers} servers, step {k}: {} {truth}", law.cdf[k]);
            }
        }
    }

    #[test]
    fn two_exponential_responses_in_a_row_make_an_erlang() {
        // M/M/1 responses are exponential: two at 40/s in a row are Erlang-2.
        let n = 4000;
        let atom = |i: i32| (-10.0 * (1.0 - (f64::from(i) + 0.5) / f64::from(n)).ln(), 1.0);
        let service = Distribution::new((0..n).map(atom).collect());
        let one = Law::of_queue(&queue(&service, 1), 60.0, SPAN);
        let both = one.then(&one);
        for ms in [50.0f64, 100.0, 200.0] {
            let x = 40.0 * ms / 1e3;
            let truth = 1.0 - (-x).exp() * (1.0 + x);
            let k = (ms / SPAN * STEPS as f64) as usize;
            // Never above the truth, and no more than two steps behind it.
            assert!(both.cdf[k] <= truth + 0.004 && both.cdf[k + 2] >= truth - 0.004, "{ms} ms");
        }
        assert!((both.in_time() - one.in_time_before(&one)).abs() < 1e-12);
        let sum_of_quantiles = 2.0 * one.quantile_ms(0.99, SPAN).expect("in time");
        assert!(both.quantile_ms(0.99, SPAN).expect("in time") < 0.8 * sum_of_quantiles);
    }

    #[test]
    fn side_by_side_is_the_later_one() {
        let (fast, slow) = (Distribution::constant(10.0), Distribution::constant(100.0));
        let law = |service| Law::of_queue(&queue(service, 1), 0.0, SPAN);
        assert_eq!(law(&fast).beside(&law(&slow)).quantile_ms(0.99, SPAN), Some(100.0));
        assert!(law(&fast).no_later_than(&law(&slow)) && !law(&slow).no_later_than(&law(&fast)));
        assert_eq!(Law::never().quantile_ms(0.5, SPAN), None);
    }
}
