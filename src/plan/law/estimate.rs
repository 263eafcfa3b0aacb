//! Every closed form, once: capacity, waiting, reach and cost. Solvers and `check` read the same physics from here.

use crate::problem::Slo;
use crate::stats::Distribution;

/// Returns the part of calls that find all servers busy and leave (Erlang's loss formula).
///
/// `offered` is arrival rate × mean service time. Insensitive to the service law.
#[must_use]
pub fn erlang_b(servers: u32, offered: f64) -> f64 {
    (1..=servers).fold(1.0, |blocked, k| offered * blocked / (f64::from(k) + offered * blocked))
}

/// Returns the part of calls that find all servers busy and wait (Erlang's delay formula); 1 at or above saturation.
#[must_use]
pub fn erlang_c(servers: u32, offered: f64) -> f64 {
    let c = f64::from(servers);
    if offered >= c {
        return 1.0;
    }
    let blocked = erlang_b(servers, offered);
    c * blocked / (c - offered * (1.0 - blocked))
}

/// One lane on its own replicas: Poisson calls are gathered into batches that wait for one of several servers.
///
/// The response is fill + wait + service:
/// - *fill* is bounded by the hold (no hold, no fill);
/// - a batch holds `B = min(batch, 1 + rate × hold)` calls on average, so batches come at `rate ÷ B` with squared
///   coefficient of variation `1 ÷ B` (a sum of B exponential gaps);
/// - *wait* is positive with Erlang's delay probability and then exponential with mean
///   `E[S] (1/B + SCV) ÷ (2 c (1 − ρ))` (Allen and Cunneen's GI/G/c approximation; exact for M/M/c);
/// - *service* is the measured law of a full batch, so that wait + service is its convolution with an exponential.
#[derive(Debug, Clone, Copy)]
pub struct Queue<'a> {
    /// Law of one call of a full batch.
    pub service: &'a Distribution,
    /// Replicas.
    pub servers: u32,
    /// Most calls served together.
    pub batch: u32,
    /// Longest time that the first call waits for companions, in milliseconds.
    pub hold_ms: f64,
}

impl Queue<'_> {
    /// Returns the mean number of calls in a batch.
    #[must_use]
    pub fn mean_batch(&self, rate_rps: f64) -> f64 {
        f64::from(self.batch).min(1.0 + rate_rps * self.hold_ms / 1e3)
    }

    /// Returns the busy part of the replicas; 1 and above means that the queue grows without end.
    #[must_use]
    pub fn utilisation(&self, rate_rps: f64) -> f64 {
        let batches_per_ms = rate_rps / 1e3 / self.mean_batch(rate_rps);
        batches_per_ms * self.service.mean_ms() / f64::from(self.servers)
    }

    /// Returns the highest rate that full batches can sustain.
    #[must_use]
    pub fn saturation_rps(&self) -> f64 {
        1e3 * f64::from(self.servers) * f64::from(self.batch) / self.service.mean_ms()
    }

    /// Returns how often a batch waits for a replica, and its mean wait then in milliseconds.
    #[must_use]
    pub fn wait(&self, rate_rps: f64) -> (f64, f64) {
        let (utilisation, servers) = (self.utilisation(rate_rps), f64::from(self.servers));
        let variability = 1.0 / self.mean_batch(rate_rps) + self.service.scv();
        let mean = self.service.mean_ms() * variability / (2.0 * servers * (1.0 - utilisation));
        (erlang_c(self.servers, utilisation * servers), mean)
    }

    /// Returns the probability that a response takes longer than `t_ms`.
    #[must_use]
    pub fn tail(&self, rate_rps: f64, t_ms: f64) -> f64 {
        let utilisation = self.utilisation(rate_rps);
        if utilisation >= 1.0 {
            return 1.0;
        }
        let fill = if self.batch > 1 { self.hold_ms } else { 0.0 };
        let left = t_ms - fill;
        let (waits, mean_wait) = self.wait(rate_rps);
        let late = |service: f64| {
            if service > left {
                1.0
            } else if mean_wait > 0.0 {
                waits * (-(left - service) / mean_wait).exp()
            } else {
                0.0
            }
        };
        self.service.atoms().iter().map(|&(service, p)| p * late(service)).sum()
    }

    /// Returns the highest rate at which the SLO's quantile of the responses stays within its limit; 0 where none does.
    #[must_use]
    pub fn capacity_rps(&self, slo: &Slo) -> f64 {
        self.capacity_above(0.0, slo).unwrap_or(0.0)
    }

    /// Returns the capacity where it lies above `least`: whoever looks for the best of many queues finds out with one look at
    /// the tail that a queue is not it.
    ///
    /// The tail grows with the rate, so a search between two rates finds the border; the result is on the feasible side of it.
    pub(crate) fn capacity_above(&self, least: f64, slo: &Slo) -> Option<f64> {
        let allowed = 1.0 - slo.quantile.get();
        let excess = |rate: f64| self.tail(rate, slo.latency_ms.get()) - allowed;
        let high = self.saturation_rps();
        if least >= high {
            return None;
        }
        // From 0 and not from `least`, so that a capacity does not depend on what it is compared with, to the last digit.
        (excess(least) <= 0.0).then(|| last_within(excess, (0.0, excess(0.0)), (high, 1.0 - allowed)))
    }
}

/// Returns the last place at which a function that rises is not above 0, between a place where it is not and one where it is;
/// each is given with its value. Within a 1e-14th of the higher place, and never above the truth.
///
/// A line through both ends guesses the border; the end that stays has its value halved (Illinois), and every third look is in
/// the middle, so that it never takes much longer than bisection.
fn last_within(value: impl Fn(f64) -> f64, mut low: (f64, f64), mut high: (f64, f64)) -> f64 {
    let enough = 1e-14 * high.0;
    let (mut looks, mut was_low) = (0, None);
    while high.0 - low.0 > enough {
        looks += 1;
        let place = if looks % 3 == 0 {
            f64::midpoint(low.0, high.0)
        } else {
            let guess = low.0 - low.1 * ((high.0 - low.0) / (high.1 - low.1));
            // A little away from the ends, else one that is nearly the border keeps the other far off.
            guess.clamp(low.0 + 0.4 * enough, high.0 - 0.4 * enough)
        };
        let seen = value(place);
        let is_low = seen <= 0.0;
        let (moved, stays) = if is_low { (&mut low, &mut high) } else { (&mut high, &mut low) };
        *moved = (place, seen);
        if was_low.replace(is_low) == Some(is_low) {
            stays.1 *= 0.5;
        }
    }
    low.0
}

/// A stage where each request makes several calls at once, so that batches come in bursts.
///
/// Batches that come `j` at a time have the index of dispersion `j`, so the wait of the first is positive with Erlang's
/// delay probability and then exponential with mean `E[S] (j + SCV) ÷ (2 c (1 − ρ))`: exact in the mean for one server
/// (M/G/1 with batch arrivals), and [`Queue`]'s own formula for `j = 1`. The request then takes `⌈j ÷ c⌉` rounds of service.
#[derive(Debug, Clone, Copy)]
pub struct Burst<'a> {
    /// Law of one call of a full batch.
    pub service: &'a Distribution,
    /// Replicas.
    pub servers: u32,
    /// Batches that one request brings, on average.
    pub batches: f64,
}

impl Burst<'_> {
    /// Returns the busy part of the replicas at a rate of requests.
    #[must_use]
    pub fn utilisation(&self, rate_rps: f64) -> f64 {
        rate_rps / 1e3 * self.batches * self.service.mean_ms() / f64::from(self.servers)
    }

    /// Returns how often a request waits for a replica, and its mean wait then in milliseconds.
    #[must_use]
    pub fn wait(&self, rate_rps: f64) -> (f64, f64) {
        let (utilisation, servers) = (self.utilisation(rate_rps), f64::from(self.servers));
        let variability = self.batches + self.service.scv();
        let mean = self.service.mean_ms() * variability / (2.0 * servers * (1.0 - utilisation));
        (erlang_c(self.servers, utilisation * servers), mean)
    }
}

/// Returns the smallest time that a mixture of responses exceeds with probability at most `1 − quantile`.
///
/// Each part is (share, tail), a tail being P(response > t). Within 1e-6 of the truth, relative, and never below it.
pub fn mixture_quantile_ms(parts: &[(f64, &dyn Fn(f64) -> f64)], quantile: f64) -> f64 {
    let allowed = 1.0 - quantile;
    let tail = |t: f64| parts.iter().map(|(share, tail)| share * tail(t)).sum::<f64>();
    let mut high = 1e-3;
    while tail(high) > allowed {
        high *= 2.0;
        if high > 1e12 {
            return f64::INFINITY;
        }
    }
    let mut low = 0.0;
    while high - low > 1e-6 * high {
        let middle = 0.5 * (low + high);
        if tail(middle) > allowed { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::{Queue, erlang_b, erlang_c, last_within, mixture_quantile_ms};
    use crate::base::units::{Millis, Share};
    use crate::problem::Slo;
    use crate::stats::Distribution;

    #[test]
    fn erlang_formulas_give_textbook_values() {
        // Two servers, one erlang: B = 1/5, C = 1/3.
        assert!((erlang_b(2, 1.0) - 0.2).abs() < 1e-12);
        assert!((erlang_c(2, 1.0) - 1.0 / 3.0).abs() < 1e-12);
        // One server: B = a/(1+a), C = a.
        assert!((erlang_b(1, 0.5) - 1.0 / 3.0).abs() < 1e-12);
        assert!((erlang_c(1, 0.5) - 0.5).abs() < 1e-12);
    }

    /// Exponential service as ten thousand equal atoms.
    fn exponential(mean_ms: f64) -> Distribution {
        let n = 10_000;
        let atom = |i: i32| (-mean_ms * (1.0 - (f64::from(i) + 0.5) / f64::from(n)).ln(), 1.0);
        Distribution::new((0..n).map(atom).collect())
    }

    #[test]
    fn m_m_1_response_is_exponential() {
        let service = exponential(10.0);
        let queue = Queue { service: &service, servers: 1, batch: 1, hold_ms: 0.0 };
        // μ = 100/s, λ = 70/s: P(R > t) = exp(−30 t).
        for t in [20.0, 50.0, 100.0, 150.0] {
            let truth = (-30.0 * t / 1e3f64).exp();
            let seen = queue.tail(70.0, t);
            assert!((seen / truth - 1.0).abs() < 0.01, "t {t}: {seen} against {truth}");
        }
    }

    #[test]
    fn capacity_is_where_the_quantile_meets_the_limit() {
        let service = exponential(10.0);
        let queue = Queue { service: &service, servers: 1, batch: 1, hold_ms: 0.0 };
        let slo = Slo { quantile: Share::saturating(0.99), latency_ms: Millis::saturating(100.0), window_s: None };
        // exp(−(μ−λ) t) = 0.01 → λ = 100 − ln(100)/0.1 s.
        let truth = 100.0 - 100f64.ln() / 0.1;
        assert!((queue.capacity_rps(&slo) / truth - 1.0).abs() < 0.01);
        let impossible = Slo { latency_ms: Millis::saturating(5.0), ..slo };
        assert_eq!(queue.capacity_rps(&impossible), 0.0);
    }

    #[test]
    fn the_last_place_within_is_found_in_few_looks() {
        let borders = [0.0, 1e-9, 0.3, 0.999_999, 1.0 - 1e-12];
        let shapes: [fn(f64) -> f64; 4] =
            [|x| x, f64::sinh, |x| (20.0 * x).exp() - 1.0, |x| if x > 0.0 { 0.9 } else { -1e-9 }];
        for border in borders {
            for shape in shapes {
                let looks = Cell::new(0);
                let value = |place: f64| {
                    looks.set(looks.get() + 1);
                    shape(place - border)
                };
                let found = last_within(value, (0.0, shape(-border)), (1.0, shape(1.0 - border)));
                assert!(found <= border && border - found <= 1e-13, "{found} for {border}");
                assert!(looks.get() <= 150, "{} looks for {border}", looks.get());
            }
        }
    }

    #[test]
    fn capacity_above_says_what_capacity_says() {
        let service = exponential(10.0);
        let slo = Slo { quantile: Share::saturating(0.99), latency_ms: Millis::saturating(100.0), window_s: None };
        for servers in [1, 2, 7] {
            let queue = Queue { service: &service, servers, batch: 1, hold_ms: 0.0 };
            let capacity = queue.capacity_rps(&slo);
            let from_below = queue.capacity_above(0.9 * capacity, &slo).expect("lies above");
            assert!((from_below / capacity - 1.0).abs() < 1e-12);
            assert_eq!(queue.capacity_above(1.001 * capacity, &slo), None);
        }
    }

    #[test]
    fn quantile_of_a_mixture_is_not_the_mixture_of_quantiles() {
        let tail = |rate: f64| move |t: f64| (-t * rate).exp();
        let (fast, slow) = (tail(1.0), tail(0.1));
        let q = mixture_quantile_ms(&[(0.5, &fast), (0.5, &slow)], 0.99);
        assert!((0.5 * (-q).exp() + 0.5 * (-0.1 * q).exp() - 0.01).abs() < 1e-6);
    }
}
