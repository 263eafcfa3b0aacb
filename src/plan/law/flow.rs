//! How long responses take by the closed forms, as distributions on a grid of 256 steps up to the SLO, rounded up: every
//! quantile is an upper bound, so these decide what keeps the SLO.

use super::estimate::{Burst, Queue};
use crate::base::units::Share;
use crate::stats::{Distribution, GridDistribution};

/// Steps of the grid.
pub const STEPS: usize = 256;

/// Busy part of a lane's replicas up to which it keeps up. Service times are known to no better than a thousandth, and a queue
/// that is closer to its limit does not come to rest within millions of calls.
const MOST_BUSY: f64 = 0.999;

impl Queue<'_> {
    /// Returns the distribution of responses at a rate, on a grid that ends at `span_ms`.
    #[must_use]
    pub fn responses(&self, rate_rps: f64, span_ms: f64) -> GridDistribution {
        if self.utilisation(rate_rps) >= 1.0 {
            return GridDistribution::never(STEPS);
        }
        let fill = if self.batch > 1 { self.hold_ms } else { 0.0 };
        responses(self.service, self.wait(rate_rps), fill, span_ms)
    }
}

/// Returns the distribution of fill + wait + service, the wait being positive so often and then exponential with such a mean.
fn responses(service: &Distribution, (waits, mean_wait): (f64, f64), fill: f64, span_ms: f64) -> GridDistribution {
    let step = span_ms / STEPS as f64;
    let fade = |ms: f64| if mean_wait > 0.0 { (-ms / mean_wait).exp() } else { 0.0 };
    let per_step = fade(step);
    // P(late) = Σ p·[service > t] + Σ p·waits·exp(−(t − service) ÷ mean wait): the second sum fades from step to step.
    let (mut unserved, mut waiting) = (1.0, 0.0);
    let mut atoms = service.atoms().iter().peekable();
    GridDistribution::from_upper_ends(STEPS, |k| {
        let left = step * k as f64 - fill;
        waiting *= per_step;
        while let Some(&(service, p)) = atoms.next_if(|(service, _)| *service <= left) {
            unserved -= p;
            waiting += p * waits * fade(left - service);
        }
        (1.0 - unserved - waiting).clamp(0.0, 1.0)
    })
}

/// One lane of a stage with what it is given: a part of the stage's calls, on replicas of its own.
#[derive(Debug, Clone, Copy)]
pub struct Flow<'a> {
    /// Distribution of one call of a full batch.
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

    /// Returns the replicas that calls keep busy at a rate of requests where all batches are full: no lane can do with fewer,
    /// and one that is offered as many as it has or more has a queue that grows without end.
    #[must_use]
    pub fn offered(&self, rate_rps: f64) -> f64 {
        rate_rps / 1e3 * self.calls * self.share * self.service.mean_ms() / f64::from(self.batch)
    }

    /// Tells whether the lane serves calls faster than they come at a rate of requests. However many of its requests may be
    /// late, a lane of a plan must: else they are never answered.
    #[must_use]
    pub fn keeps_up(&self, rate_rps: f64) -> bool {
        self.utilisation(rate_rps) <= MOST_BUSY
    }

    /// Returns the busy part of the replicas at a rate of requests, as a plan claims it: never more than all of the time.
    #[must_use]
    pub fn busy(&self, rate_rps: f64) -> Share {
        Share::saturating(self.utilisation(rate_rps))
    }

    /// Returns the time that calls ask for, as a part of that of the replicas, at a rate of requests: above 1 where they ask for
    /// more than there is.
    #[must_use]
    pub fn utilisation(&self, rate_rps: f64) -> f64 {
        if self.calls <= 1.0 {
            return self.queue().utilisation(rate_rps * self.share * self.calls);
        }
        self.numbers().iter().map(|(calls, part)| part * self.burst(*calls).utilisation(rate_rps * self.share)).sum()
    }

    /// Returns the distribution of the time until all calls of one request are done; of none where a request may make none.
    #[must_use]
    pub fn responses(&self, rate_rps: f64, span_ms: f64) -> GridDistribution {
        if self.calls <= 1.0 {
            let some = self.queue().responses(rate_rps * self.share * self.calls, span_ms);
            return if self.calls < 1.0 { some.or(self.calls, &GridDistribution::at_once(STEPS)) } else { some };
        }
        if self.utilisation(rate_rps) >= 1.0 {
            return GridDistribution::never(STEPS);
        }
        let [(few, part), (more, _)] = self.numbers();
        let mean = self.numbers().iter().map(|(calls, part)| part * self.burst(*calls).batches).sum();
        let wait = Burst { batches: mean, ..self.burst(more) }.wait(rate_rps * self.share);
        let of = |calls: u32| {
            let rounds = calls.div_ceil(self.batch).div_ceil(self.servers);
            let is_full = calls.is_multiple_of(self.batch);
            responses(&self.service.repeated(rounds), wait, if is_full { 0.0 } else { self.hold_ms }, span_ms)
        };
        if part < 1.0 { of(few).or(part, &of(more)) } else { of(few) }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::{Flow, STEPS};
    use crate::plan::law::estimate::Queue;
    use crate::stats::{Distribution, GridDistribution};

    const SPAN: f64 = 512.0;

    fn queue(service: &Distribution, servers: u32) -> Queue<'_> {
        Queue { service, servers, batch: 1, hold_ms: 0.0 }
    }

    #[test]
    fn the_distribution_of_a_queue_is_its_tail_at_every_step() {
        let service = Distribution::new(vec![(7.0, 0.5), (20.0, 0.3), (61.5, 0.2)]);
        for (servers, rate) in [(1, 30.0), (2, 70.0), (4, 100.0)] {
            let queue = queue(&service, servers);
            let responses = queue.responses(rate, SPAN);
            for k in 0..=STEPS {
                let found = responses.at_most(k);
                let truth = 1.0 - queue.tail(rate, SPAN * k as f64 / STEPS as f64);
                assert!((found - truth).abs() < 1e-9, "{servers} servers, step {k}: {} {truth}", found);
            }
        }
    }

    #[test]
    fn more_replicas_are_never_later() {
        let mut dice = ChaCha8Rng::seed_from_u64(41);
        let mut compared = 0;
        for case in 0..3_000 {
            let atoms =
                (0..dice.random_range(1..=4)).map(|_| (dice.random_range(1.0..90.0), dice.random_range(0.01..1.0)));
            let service = Distribution::new(atoms.collect());
            let calls = [0.03, 0.4, 1.0, 1.7, 4.7, 12.0][dice.random_range(0..6)];
            let batch = [1, 1, 2, 8][dice.random_range(0..4)];
            let hold_ms = if batch > 1 { SPAN / 16.0 } else { 0.0 };
            let servers = dice.random_range(1..=12);
            let few = Flow { service: &service, servers, batch, hold_ms, calls, share: 1.0 };
            let more = Flow { servers: servers + dice.random_range(1..=3), ..few };
            let full = 1.0 / few.offered(1.0) * f64::from(servers);
            let rate = full * dice.random_range(0.05..1.1);
            assert!(more.keeps_up(rate) || !few.keeps_up(rate), "{case}: {more:?} does not keep up with {rate}");
            assert!(more.responses(rate, SPAN).no_later_than(&few.responses(rate, SPAN)), "{case}: {more:?} at {rate}");
            compared += u32::from(few.keeps_up(rate));
        }
        assert!(compared > 1_500, "{compared} keep up");
    }

    #[test]
    fn two_exponential_responses_in_a_row_make_an_erlang() {
        // M/M/1 responses are exponential: two at 40/s in a row are Erlang-2.
        let n = 4000;
        let atom = |i: i32| (-10.0 * (1.0 - (f64::from(i) + 0.5) / f64::from(n)).ln(), 1.0);
        let service = Distribution::new((0..n).map(atom).collect());
        let one = queue(&service, 1).responses(60.0, SPAN);
        let both = one.then(&one);
        for ms in [50.0f64, 100.0, 200.0] {
            let x = 40.0 * ms / 1e3;
            let truth = 1.0 - (-x).exp() * (1.0 + x);
            let k = (ms / SPAN * STEPS as f64) as usize;
            // Never above the truth, and no more than two steps behind it.
            assert!(both.at_most(k) <= truth + 0.004 && both.at_most(k + 2) >= truth - 0.004, "{ms} ms");
        }
        assert!((both.in_time() - one.in_time_before(&one)).abs() < 1e-12);
        let sum_of_quantiles = 2.0 * one.upper_quantile_ms(0.99, SPAN).expect("in time");
        assert!(both.upper_quantile_ms(0.99, SPAN).expect("in time") < 0.8 * sum_of_quantiles);
    }

    #[test]
    fn side_by_side_is_the_later_one() {
        let (fast, slow) = (Distribution::constant(10.0), Distribution::constant(100.0));
        let of = |service| queue(service, 1).responses(0.0, SPAN);
        assert_eq!(of(&fast).beside(&of(&slow)).upper_quantile_ms(0.99, SPAN), Some(100.0));
        assert!(of(&fast).no_later_than(&of(&slow)) && !of(&slow).no_later_than(&of(&fast)));
        assert_eq!(GridDistribution::never(STEPS).upper_quantile_ms(0.5, SPAN), None);
    }
}
