//! From waits to responses: how many find a replica free, and when the last call of a request is done.

use super::atoms::{FINE, few, latest};
use super::chain::{Chain, LEAST, Lane};
use super::wait::{Waiting, Waits};
use crate::stats::Bins;

/// Returns the distribution of responses.
pub fn of(waiting: &Waiting<'_>, chain: &Chain) -> Bins {
    let lane = waiting.lane;
    let idle = waiting.idle(chain);
    let (while_busy, while_idle) = (while_busy(waiting, chain), sum(&idle));
    let all = while_busy + while_idle;
    let part_busy = while_busy / all;
    let several = Several::of(lane, part_busy);
    let (mut busy, came) = waiting.busy(chain, &several.odds);
    let mut ends = Ends { waiting, mass: waiting.grid.empty() };
    let is_burst = lane.arrivals.most_batches(lane.batch) > 1;
    let left = lane.station.queue_left();
    if lane.servers == 1 {
        scale(&mut busy, left / all);
        add(&mut busy, 1.0 / all, &idle);
        if left < 1.0 {
            let undisturbed = waiting.undisturbed();
            add(&mut busy, (1.0 - left) * part_busy / sum(&undisturbed), &undisturbed);
        }
        ends.add(&busy, &[]);
        return ends.mass;
    }
    let free = &several.free;
    let none_free = left * (1.0 - free.iter().sum::<f64>()).clamp(0.0, 1.0);
    scale(&mut busy, none_free / came);
    if is_burst {
        let between = lane.station.full().mean_ms() / lane.servers as f64;
        let beside = lane.arrivals.most_batches(lane.batch).min(lane.servers);
        let earlier: Vec<f64> = (1..beside).map(|batch| batch as f64 * between).collect();
        ends.add(&busy, &earlier);
        let part = (1.0 - none_free) / free.iter().sum::<f64>();
        for (calls, p) in lane.arrivals.numbers() {
            ends.add_where_free(calls, p * part, free);
        }
    } else {
        let undisturbed = waiting.undisturbed();
        add(&mut busy, 1.0 / all, &idle);
        add(&mut busy, (part_busy - none_free) / sum(&undisturbed), &undisturbed);
        ends.add(&busy, &[]);
    }
    ends.mass
}

fn sum(waits: &Waits) -> f64 {
    waits.iter().flatten().sum()
}

fn add(waits: &mut Waits, part: f64, others: &Waits) {
    waits.iter_mut().flatten().zip(others.iter().flatten()).for_each(|(sum, p)| *sum += part * p);
}

fn scale(waits: &mut Waits, factor: f64) {
    waits.iter_mut().flatten().for_each(|p| *p *= factor);
}

/// Returns how many requests come while the fast replica serves one batch, on average.
fn while_busy(waiting: &Waiting<'_>, chain: &Chain) -> f64 {
    let lane = waiting.lane;
    let mean = |times: &[(f64, f64)]| times.iter().map(|(ms, p)| ms * p).sum::<f64>();
    let partial: f64 = chain.partial.iter().zip(&lane.times).map(|(p, times)| p * mean(times)).sum();
    lane.arrivals.rate * (partial + chain.left.iter().sum::<f64>() * mean(lane.full()))
}

/// What several replicas make of the fast one's queue, where X is the batches of a request: `M^[X]`/M/c beside `M^[X]`/M/1 at the
/// use of the fast replica. What comes to each number in the system is what leaves it, n π_n = λ Σ_{j<n} π_j P(X > n − 1 − j) with
/// c in place of n from n = c on.
struct Several {
    /// How often so many replicas run, up to all but one.
    free: Vec<f64>,
    /// By the batches that wait while all run, how much likelier that is than in front of the fast replica, up to a factor: a
    /// request that comes to free replicas leaves less of itself waiting.
    odds: Vec<f64>,
}

/// Batches that wait up to which odds are known; beyond, both laws fade alike.
const MOST_WAITING: usize = 64;

impl Several {
    fn of(lane: &Lane<'_>, part_busy: f64) -> Self {
        if lane.servers == 1 {
            return Self { free: Vec::new(), odds: vec![1.0] };
        }
        let batches: Vec<(usize, f64)> =
            lane.arrivals.numbers().map(|(calls, p)| (calls.div_ceil(lane.batch), p)).collect();
        let servers = lane.servers as f64;
        let load = servers * part_busy / batches.iter().map(|(count, p)| *count as f64 * p).sum::<f64>();
        let more_than = |count: usize| batches.iter().filter(|batch| batch.0 > count).map(|batch| batch.1).sum::<f64>();
        let most_batches = batches.iter().map(|(count, _)| *count).max().unwrap_or(0);
        let law = |running: &dyn Fn(usize) -> f64, most: usize| {
            let mut often = vec![1.0];
            for number in 1..=most {
                let near = number.saturating_sub(most_batches)..number;
                let comes: f64 = near.map(|from| often[from] * more_than(number - 1 - from)).sum();
                often.push(load * comes / running(number));
            }
            often
        };
        let several = law(&|number| servers.min(number as f64), lane.servers + MOST_WAITING);
        let fast = law(&|_| servers, 1 + MOST_WAITING);
        // Nobody waits behind so many that neither law can tell.
        let odds_of = |(several, fast): (&f64, &f64)| if *fast > 0.0 { several / fast } else { 1.0 };
        let odds = several[lane.servers..].iter().zip(&fast[1..]).map(odds_of).collect();
        // On average c − c·use replicas are free, which sets the scale.
        let few = &several[..lane.servers];
        let free: f64 = few.iter().enumerate().map(|(running, p)| (servers - running as f64) * p).sum();
        Self { free: few.iter().map(|p| p * servers * (1.0 - part_busy) / free).collect(), odds }
    }
}

/// Collects responses.
struct Ends<'a> {
    waiting: &'a Waiting<'a>,
    mass: Bins,
}

impl Ends<'_> {
    /// Adds requests with these waits for their last batch, others of their batches having begun so much earlier.
    fn add(&mut self, waits: &Waits, earlier: &[f64]) {
        let station = self.waiting.lane.station;
        let others = few(station.full(), FINE);
        for (size, bins) in waits.iter().enumerate().skip(1).filter(|(_, bins)| bins.iter().sum::<f64>() > LEAST) {
            let own = few(&station.services[size - 1], FINE);
            let last = if earlier.is_empty() { own } else { latest(&own, &others, earlier) };
            self.waiting.grid.add_sum(&mut self.mass, bins, &last);
        }
    }

    /// Adds requests of so many calls that find replicas free, `free` being how often so many run.
    fn add_where_free(&mut self, calls: usize, mass: f64, free: &[f64]) {
        let lane = self.waiting.lane;
        let batches = calls.div_ceil(lane.batch);
        // Where all their batches begin at once it makes no difference how many run.
        let at_once = (lane.servers + 1).saturating_sub(batches).min(free.len());
        self.add_beside(calls, 0, mass * free[..at_once].iter().sum::<f64>());
        for (running, p) in free.iter().enumerate().skip(at_once) {
            self.add_beside(calls, running, mass * p);
        }
    }

    /// Adds requests of so many calls that come while so many replicas run, fewer than there are.
    fn add_beside(&mut self, calls: usize, running: usize, mass: f64) {
        let lane = self.waiting.lane;
        let mean_ms = lane.station.full().mean_ms();
        let between = mean_ms / lane.servers as f64;
        let batches = calls.div_ceil(lane.batch);
        let own = calls - (batches - 1) * lane.batch;
        let wait_for = (running + batches).saturating_sub(lane.servers);
        let begins = match (running, wait_for) {
            (_, 0) => 0.0,
            (0, _) => ((batches - 1) / lane.servers) as f64 * mean_ms,
            _ => (wait_for as f64 - 0.5) * between,
        };
        let mut waits = self.waiting.none();
        self.waiting.settle(&mut waits, own, begins, if own < lane.batch { lane.hold_ms } else { 0.0 }, mass);
        for size in 1..waits.len() {
            let bins = std::mem::replace(&mut waits[size], self.waiting.grid.empty());
            let total: f64 = bins.iter().sum();
            if total < LEAST {
                continue;
            }
            let step = |(step, p): (usize, &f64)| self.waiting.grid.step_ms * step as f64 * p;
            let wait = bins.iter().enumerate().map(step).sum::<f64>() / total;
            let earlier: Vec<f64> = if running == 0 {
                (1..=(batches - 1) % lane.servers).map(|_| wait - begins).collect()
            } else {
                let of = |batch: usize| if batch < wait_for { batch as f64 * between } else { wait };
                (1..batches.min(lane.servers)).map(of).collect()
            };
            let mut one = self.waiting.none();
            one[size] = bins;
            self.add(&one, &earlier);
        }
    }
}
