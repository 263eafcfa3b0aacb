//! From waits to responses: how many find a replica free, and when the last call of a request is done.

use super::chain::{Chain, LEAST};
use super::grid::{Bins, FINE, Grid, few, latest};
use super::wait::{Waiting, Waits};

/// Returns the law of responses.
pub fn of(waiting: &Waiting<'_>, chain: &Chain) -> Bins {
    let lane = waiting.lane;
    let (mut busy, idle) = (waiting.busy(chain), waiting.idle(chain));
    let (while_busy, while_idle) = (while_busy(waiting, chain), sum(&idle));
    let all = while_busy + while_idle;
    let part_busy = while_busy / all;
    let mut ends = Ends { waiting, mass: Grid::empty() };
    let is_burst = lane.arrivals.most_batches(lane.batch) > 1;
    if lane.servers == 1 {
        add(&mut busy, 1.0, &idle);
        scale(&mut busy, 1.0 / all);
        ends.add(&busy, &[]);
        return ends.mass;
    }
    let free = free_replicas(waiting, part_busy);
    let none_free = (1.0 - free.iter().sum::<f64>()).clamp(0.0, 1.0);
    scale(&mut busy, none_free / while_busy);
    if is_burst {
        let between = lane.station.full().mean_ms() / lane.servers as f64;
        let beside = lane.arrivals.most_batches(lane.batch).min(lane.servers);
        let earlier: Vec<f64> = (1..beside).map(|batch| batch as f64 * between).collect();
        ends.add(&busy, &earlier);
        let total: f64 = free.iter().sum();
        for (running, p) in free.iter().enumerate() {
            ends.add_where_free(running, (1.0 - none_free) * p / total);
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

/// Returns how often so many replicas run, up to all but one: M^[X]/M/c, where X is the batches of a request, at the use of the
/// fast replica. What comes to each number of running replicas is what leaves it: n π_n = λ Σ_{j<n} π_j P(X > n − 1 − j).
fn free_replicas(waiting: &Waiting<'_>, part_busy: f64) -> Vec<f64> {
    let lane = waiting.lane;
    let batches: Vec<(usize, f64)> =
        lane.arrivals.numbers().map(|(calls, p)| (calls.div_ceil(lane.batch), p)).collect();
    let servers = lane.servers as f64;
    let load = servers * part_busy / batches.iter().map(|(count, p)| *count as f64 * p).sum::<f64>();
    let mut often = vec![1.0];
    for running in 1..lane.servers {
        let more_than = |count: usize| batches.iter().filter(|batch| batch.0 > count).map(|batch| batch.1).sum::<f64>();
        let comes: f64 = often.iter().enumerate().map(|(from, p)| p * more_than(running - 1 - from)).sum();
        often.push(load * comes / running as f64);
    }
    // On average c − c·use replicas are free, which sets the scale.
    let free: f64 = often.iter().enumerate().map(|(running, p)| (servers - running as f64) * p).sum();
    often.iter().map(|p| p * servers * (1.0 - part_busy) / free).collect()
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

    /// Adds requests of several batches that come while so many replicas run, fewer than there are.
    fn add_where_free(&mut self, running: usize, mass: f64) {
        let lane = self.waiting.lane;
        let mean_ms = lane.station.full().mean_ms();
        let between = mean_ms / lane.servers as f64;
        for (calls, p) in lane.arrivals.numbers() {
            let batches = calls.div_ceil(lane.batch);
            let own = calls - (batches - 1) * lane.batch;
            let wait_for = (running + batches).saturating_sub(lane.servers);
            let begins = match (running, wait_for) {
                (_, 0) => 0.0,
                (0, _) => ((batches - 1) / lane.servers) as f64 * mean_ms,
                _ => (wait_for as f64 - 0.5) * between,
            };
            let mut waits = self.waiting.none();
            self.waiting.settle(&mut waits, own, begins, if own < lane.batch { lane.hold_ms } else { 0.0 }, mass * p);
            for size in 1..waits.len() {
                let bins = std::mem::replace(&mut waits[size], Grid::empty());
                let total: f64 = bins.iter().sum();
                if total < LEAST {
                    continue;
                }
                let step = |(step, p): (usize, &f64)| self.waiting.grid.step * step as f64 * p;
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
}
