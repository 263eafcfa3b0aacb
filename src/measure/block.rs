//! A stretch of calls of one point, and the point that its stretches make.
//!
//! A point is measured in blocks, in random order among those of all points, so that a host that drifts hits all alike.
//! In each block the warm-up is found from the calls themselves. Before and after it a fixed piece of arithmetic, the
//! probe, says how fast the core is just then.
//!
//! A point is contended where somebody else used the machine in one of its blocks: at one thread, the median or the mean
//! wall time exceeds 1.2 × CPU time per call; with more, the kernel took the processor away more often than the engine's
//! own hand-offs explain (see `disturbed`); in the median block, the probe was 1.25 times as slow as at best in the whole
//! profile; or others took more than a twentieth of the machine's processor time, on whatever core: they share caches and
//! memory.

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::energy::Meter;
use super::host::{Counters, Ticks, cpu_time};
use super::pace::{Round, pace_of};
use crate::base::error::Error;
use crate::base::units::{Factor, Joules, Millis, Rate, Share};
use crate::measure::engines::Session;
use crate::profile::Key;
use crate::profile::{Conditions, Energy, Glimpse, Point, Stopped};
use crate::stats::Histogram;
use crate::stats::sample::{
    FEWEST_CALLS as CALLS_TO_CORRELATE, correlation_time, independent, is_precise, latency, warm_up,
};
use crate::tensor::Named;

/// Calls of a block, whatever the budget.
const FEWEST_CALLS: usize = 5;
/// Calls that are thrown away before the first that counts.
const FIRST_CALLS: u64 = 3;
/// Calls of a glimpse, where they are short: the first ones of a few microseconds are up to twice as slow as the later ones.
const MOST_CALLS_OF_A_GLIMPSE: usize = 200;
/// How much slower than at best the probe may be.
const SLOW_PROBE: f64 = 1.25;
/// How much of the machine's processor time others may use.
const OTHERS_MAY_USE: f64 = 0.05;

/// A stretch of calls of one point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// Name of the variant.
    pub variant: String,
    /// What of it was measured.
    pub key: Key,
    /// Wall time of each call in nanoseconds, without the warm-up.
    pub walls_ns: Vec<u64>,
    /// Calls thrown away as warm-up.
    pub warmup: u64,
    /// CPU time of one call in nanoseconds.
    pub cpu_ns: f64,
    /// Whether the asked intervals were narrow enough at its end.
    pub precise: bool,
    /// Times that the kernel took the processor away.
    pub involuntary_switches: u64,
    /// Microseconds in which runnable threads of the machine waited, where the kernel tells.
    pub pressure_us: Option<f64>,
    /// What the machine did from the first call to the last of whatever kind, where the kernel tells.
    #[serde(default)]
    pub machine: Option<MachineUse>,
    /// Length of the block.
    pub elapsed_us: f64,
    /// Joules that were counted meanwhile, of one call, and by what.
    #[serde(default)]
    pub energy: Option<Energy>,
    /// Time of the probe, the slower of before and after, in nanoseconds.
    pub probe_ns: u64,
    /// Whether it is a glimpse, and all that was called of its point.
    #[serde(default)]
    pub glimpse: bool,
    /// How much longer calls took after pauses and other variants' calls, round by round.
    #[serde(default)]
    pub pace: Vec<Round>,
}

/// What a machine did during a block.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MachineUse {
    ticks: Ticks,
    /// Processor time of this process, in microseconds.
    own_us: f64,
    elapsed_us: f64,
}

impl MachineUse {
    /// Does some work and tells what the machine did meanwhile, where the kernel tells.
    pub fn during<T>(work: impl FnOnce() -> T) -> (T, Option<Self>) {
        let (before, begin) = (Counters::now(), Instant::now());
        let done = work();
        let (elapsed, after) = (begin.elapsed(), Counters::now());
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let used = |ticks| Self { ticks, own_us: micros(after.cpu - before.cpu), elapsed_us: micros(elapsed) };
        (done, after.ticks_since(&before).map(used))
    }
}

/// When a block has seen enough.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Enough {
    /// Time for its calls.
    pub budget: Duration,
    /// Calls that are thrown away before the first that counts.
    pub thrown_away: u64,
    /// Calls that are made whatever the budget.
    pub least: usize,
    /// Calls after which it ends whatever the intervals.
    pub most: Option<usize>,
    /// Fewest calls that an early end needs.
    pub fewest: usize,
    /// Fewest independent calls that an early end needs, of the 99th percentile and together with those of earlier blocks.
    pub independent: usize,
    /// Asked half-width of the median's interval, relative to the median.
    pub precision: f64,
    /// The same of the 99th percentile, where it is asked for.
    pub tail_precision: Option<f64>,
}

impl Enough {
    /// Spends a budget, whatever the intervals are meanwhile.
    #[must_use]
    pub const fn spent(budget: Duration) -> Self {
        Self {
            budget,
            thrown_away: FIRST_CALLS,
            least: FEWEST_CALLS,
            most: None,
            fewest: FEWEST_CALLS,
            independent: 0,
            precision: 0.0,
            tail_precision: None,
        }
    }

    /// A few calls for a median, where a point may take so long in all: 6 at least, whose fastest and slowest bound the
    /// median in 97 of 100 cases.
    #[must_use]
    pub fn glimpse(budget: Duration) -> Self {
        let few = Self { thrown_away: 1, least: 6, most: Some(MOST_CALLS_OF_A_GLIMPSE), ..Self::spent(budget / 60) };
        // The interval is looked at once, at the end.
        Self { fewest: MOST_CALLS_OF_A_GLIMPSE, ..few }
    }

    /// Tells whether only a glimpse is asked for.
    pub(crate) const fn is_glimpse(&self) -> bool {
        self.most.is_some()
    }

    fn is_precise(&self, walls: &[Duration]) -> bool {
        is_precise(walls, 0.5, self.precision)
            && self.tail_precision.is_none_or(|most| is_precise(walls, 0.99, most))
            && (self.independent == 0 || independent(walls, 0.99) >= self.independent)
    }

    fn is_spent(&self, spent: Duration, calls: usize) -> bool {
        spent >= self.budget && calls >= self.least || self.most.is_some_and(|most| calls >= most)
    }
}

/// Calls a model until it is known well enough together with the earlier blocks, or the budget is spent.
///
/// # Errors
/// [`Error::Engine`] where the engine fails.
pub fn measure_block(
    session: &mut dyn Session,
    inputs: &[Vec<Named>],
    (variant, key): (&str, Key),
    earlier: &[Block],
    enough: Enough,
    meter: Option<&Meter>,
) -> Result<Block, Error> {
    let probe_before = probe();
    for call in 0..enough.thrown_away {
        session.run(&inputs[call as usize % inputs.len()])?;
    }
    let mut so_far: Vec<Duration> = earlier.iter().flat_map(Block::walls).collect();
    let energy_before = meter.and_then(Meter::read);
    let (before, begin) = (Counters::now(), Instant::now());
    let calls = repeat(session, inputs, &mut so_far, enough)?;
    let (elapsed, after) = (begin.elapsed(), Counters::now());
    let energy = meter.zip(energy_before).and_then(|(meter, before)| {
        let joules = meter.joules(&before, &meter.read()?)? / calls.walls.len() as f64;
        Some(Energy { joules: Joules::saturating(joules), source: meter.source() })
    });
    let cut = calls.warmup;
    Ok(Block {
        variant: variant.to_owned(),
        key,
        walls_ns: calls.walls[cut..].iter().map(|wall| u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX)).collect(),
        warmup: enough.thrown_away + cut as u64,
        cpu_ns: calls.cpu.as_nanos() as f64 / calls.walls.len() as f64,
        precise: calls.precise,
        involuntary_switches: after.involuntary_since(&before),
        pressure_us: after.pressure_us_since(&before),
        machine: None,
        elapsed_us: elapsed.as_secs_f64() * 1e6,
        energy,
        probe_ns: probe_before.max(probe()),
        glimpse: enough.is_glimpse(),
        pace: Vec::new(),
    })
}

/// Takes the best of three times of a fixed piece of arithmetic, about 30 µs each: the core's speed just then, in
/// nanoseconds.
fn probe() -> u64 {
    let once = || {
        let begin = Instant::now();
        let mut number = black_box(1_u64);
        for _ in 0..20_000 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        }
        black_box(number);
        begin.elapsed()
    };
    (0..3).map(|_| once()).min().map_or(0, |best| best.as_nanos() as u64)
}

struct Calls {
    walls: Vec<Duration>,
    /// How many of them are warm-up.
    warmup: usize,
    cpu: Duration,
    precise: bool,
}

/// Calls in stretches that grow with the number of calls. CPU time is read around a stretch, so that neither reading it
/// nor looking at the interval counts as work. `so_far` gets the calls that are past the warm-up.
fn repeat(
    session: &mut dyn Session,
    inputs: &[Vec<Named>],
    so_far: &mut Vec<Duration>,
    enough: Enough,
) -> Result<Calls, Error> {
    let mut calls = Calls { walls: Vec::new(), warmup: 0, cpu: Duration::ZERO, precise: false };
    let (mut spent, others) = (Duration::ZERO, so_far.len());
    loop {
        let look_at = (calls.walls.len() * 5 / 4).max(enough.fewest.max(enough.least));
        let cpu = cpu_time();
        while calls.walls.len() < look_at && !enough.is_spent(spent, calls.walls.len()) {
            let wall = session.run(&inputs[calls.walls.len() % inputs.len()])?.wall;
            spent += wall;
            calls.walls.push(wall);
        }
        calls.cpu += cpu_time().saturating_sub(cpu);
        so_far.truncate(others);
        calls.warmup = warm_up(&calls.walls);
        so_far.extend(&calls.walls[calls.warmup..]);
        let was_precise = calls.precise;
        calls.precise = enough.is_precise(so_far);
        // One look may find the interval narrow by chance; stopping then would make intervals miss the truth more often.
        if (was_precise && calls.precise) || enough.is_spent(spent, calls.walls.len()) {
            return Ok(calls);
        }
    }
}

impl Block {
    fn walls(&self) -> impl Iterator<Item = Duration> + '_ {
        self.walls_ns.iter().map(|&ns| Duration::from_nanos(ns))
    }

    pub(crate) fn median(&self) -> Duration {
        let mut walls_ns = self.walls_ns.clone();
        let middle = walls_ns.len() / 2;
        Duration::from_nanos(*walls_ns.select_nth_unstable(middle).1)
    }

    /// Returns what a glimpse saw; whether it was disturbed can only be told where the calls are made in this process.
    pub(crate) fn glimpse(&self, device: String, works_here: bool) -> Glimpse {
        let walls: Vec<Duration> = self.walls().collect();
        Glimpse {
            variant: self.variant.clone(),
            batch: self.key.batch,
            cores: self.key.cores,
            device,
            co_runners: self.key.co_runners,
            count: walls.len() as u64,
            p50: latency(&walls).p50,
            contended: works_here && self.key.co_runners == 0 && self.is_disturbed(),
        }
    }

    /// Tells whether others must have been running.
    pub(crate) fn is_disturbed(&self) -> bool {
        if self.key.cores == 1 {
            let mean = self.walls_ns.iter().sum::<u64>() as f64 / self.walls_ns.len() as f64;
            return mean.max(self.median().as_nanos() as f64) > 1.2 * self.cpu_ns;
        }
        // The kernel counts through the warm-up too, but for the calls that were thrown away before.
        let calls = (self.walls_ns.len() as u64 + self.warmup).saturating_sub(FIRST_CALLS);
        disturbed(self.involuntary_switches, self.key.cores, calls, self.elapsed_us / 1e3)
    }
}

/// Tells whether others must have been running, from the involuntary switches during some calls.
///
/// An engine that hands each call to a pool on the same pinned core preempts its caller twice a call, on a quiet machine
/// too (seen with rten: 60 switches in 30 calls), and so it may on each further core. Beyond that, half a switch a call is noise, and so is one in 8 ms:
/// sharing a core with another busy thread costs one in each scheduler slice of 4 ms.
fn disturbed(switches: u64, cores: u32, calls: u64, milliseconds: f64) -> bool {
    let calls = calls as f64;
    switches as f64 > 2.0 * f64::from(cores) * calls + (calls / 2.0).max(milliseconds / 8.0)
}

/// Puts the blocks of one point together; `best_probe_ns` is the fastest probe of the whole profile.
///
/// # Panics
/// Where there is no block.
#[must_use]
pub fn point_of(blocks: &[Block], best_probe_ns: u64) -> Point {
    let Block { variant, key, .. } = &blocks[0];
    let walls: Vec<Duration> = blocks.iter().flat_map(Block::walls).collect();
    let latency = latency(&walls);
    let calls = |block: &Block| block.walls_ns.len() as f64;
    let cpu_ns = blocks.iter().map(|block| block.cpu_ns * calls(block)).sum::<f64>() / walls.len() as f64;
    let elapsed_us: f64 = blocks.iter().map(|block| block.elapsed_us).sum();
    let pressure_us: Option<f64> = blocks.iter().map(|block| block.pressure_us).sum();
    let slowdown = slowdown(blocks, best_probe_ns);
    let others = others_busy(blocks);
    let alone = key.co_runners == 0;
    Point {
        variant: variant.clone(),
        batch: key.batch,
        cores: key.cores,
        device: crate::profile::cpu(),
        co_runners: key.co_runners,
        count: walls.len() as u64,
        latency,
        throughput_rps: Rate::saturating(1e3 * f64::from(key.batch) / latency.mean_ms.get()),
        cpu_ms: alone.then(|| Millis::saturating(cpu_ns / 1e6)),
        energy: if alone { energy_of(blocks) } else { None },
        histogram: Some(Histogram::of(&walls)),
        block_p50_ms: blocks.iter().map(|block| block.median().into()).collect(),
        stretch_calls: stretch_calls(blocks, latency.p90.value_ms),
        pace: pace_of(blocks.iter().flat_map(|block| &block.pace)),
        conditions: Conditions {
            blocks: blocks.len() as u32,
            warmup: blocks.iter().map(|block| block.warmup).sum(),
            stopped: if blocks[blocks.len() - 1].precise { Stopped::Interval } else { Stopped::Budget },
            involuntary_switches: blocks.iter().map(|block| block.involuntary_switches).sum(),
            cpu_pressure: pressure_us.map(|us| Share::saturating(us / elapsed_us)),
            probe_slowdown: Some(Factor::saturating(slowdown)),
            others_busy: others.map(|(seen, _)| Share::saturating(seen)),
            contended: alone
                && (slowdown > SLOW_PROBE
                    || others.is_some_and(|(_, at_least)| at_least > OTHERS_MAY_USE)
                    || blocks.iter().any(Block::is_disturbed)),
        },
    }
}

/// Returns the part of the machine's processor time that others used during some blocks, and the least that it can have been:
/// each reading of the clock ticks may be one off. Nothing where the kernel does not tell.
fn others_busy(blocks: &[Block]) -> Option<(f64, f64)> {
    let machine: Vec<MachineUse> = blocks.iter().map(|block| block.machine).collect::<Option<_>>()?;
    let sum = |of: fn(&MachineUse) -> f64| machine.iter().map(of).sum::<f64>();
    let (busy, all) = (sum(|seen| seen.ticks.busy), sum(|seen| seen.ticks.all));
    let processor_us = sum(|seen| seen.elapsed_us * seen.ticks.processors);
    if all <= 0.0 || processor_us <= 0.0 {
        return None;
    }
    let used = busy / all - sum(|seen| seen.own_us) / processor_us;
    Some((used.max(0.0), used - 2.0 * blocks.len() as f64 / all))
}

/// Returns how many calls in a row tell as much as one, in the mean over blocks; nothing where no block is long enough
/// to tell.
fn stretch_calls(blocks: &[Block], limit: Millis) -> Option<Factor> {
    let of_block = |block: &Block| {
        let walls: Vec<Duration> = block.walls().collect();
        let calls = walls.len() as f64;
        (walls.len() >= CALLS_TO_CORRELATE).then(|| (calls * correlation_time(&walls, limit.duration()), calls))
    };
    let sums = blocks.iter().filter_map(of_block).reduce(|a, b| (a.0 + b.0, a.1 + b.1));
    sums.map(|(stretches, calls)| Factor::saturating(stretches / calls))
}

/// Returns the energy of one call over all blocks, where all of them were counted.
fn energy_of(blocks: &[Block]) -> Option<Energy> {
    let source = blocks[0].energy?.source;
    let calls: f64 = blocks.iter().map(|block| block.walls_ns.len() as f64).sum();
    let joules = blocks.iter().map(|block| Some(block.energy?.joules.get() * block.walls_ns.len() as f64));
    Some(Energy { joules: Joules::saturating(joules.sum::<Option<f64>>()? / calls), source })
}

/// Returns how much slower than at best the probe was in the median block.
fn slowdown(blocks: &[Block], best_probe_ns: u64) -> f64 {
    let mut probes: Vec<u64> = blocks.iter().map(|block| block.probe_ns).collect();
    probes.sort_unstable();
    probes[probes.len() / 2] as f64 / best_probe_ns.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::{Enough, disturbed, repeat};
    use crate::measure::engines::{Engine, Scripted};
    use crate::stats::sample::FEWEST_CALLS;
    use crate::tensor::{Named, Tensor};
    use std::path::Path;
    use std::time::Duration;

    fn scripted(walls: &[u64], budget_ms: u64, precision: f64) -> super::Calls {
        let walls = walls.iter().map(|&ms| Duration::from_millis(ms)).collect();
        let engine = Scripted { walls, scores: vec![0.0, 1.0] };
        let mut session = engine.open(Path::new("any"), &[], 1).expect("a script always opens");
        let input = [vec![Named::new("", Tensor::floats([1, 1], vec![0.0]))]];
        let budget = Duration::from_millis(budget_ms);
        let enough = Enough { fewest: FEWEST_CALLS, precision, ..Enough::spent(budget) };
        repeat(session.as_mut(), &input, &mut Vec::new(), enough).expect("a script never fails")
    }

    #[test]
    fn own_hand_offs_are_no_disturbance_and_lost_slices_are() {
        assert!(!disturbed(60, 1, 30, 0.6) && disturbed(80, 1, 30, 0.6));
        assert!(!disturbed(20, 1, 5, 400.0) && disturbed(100, 1, 5, 400.0));
    }

    #[test]
    fn steady_calls_stop_at_the_second_look_that_tells() {
        let calls = scripted(&[5], 1_000_000, 0.02);
        assert_eq!((calls.walls.len(), calls.precise), (FEWEST_CALLS * 5 / 4, true));
    }

    #[test]
    fn unsteady_calls_spend_the_budget() {
        let calls = scripted(&[1, 9], 1_000, 0.02);
        assert_eq!((calls.walls.len(), calls.precise), (200, false));
    }

    #[test]
    fn a_glimpse_is_a_few_calls() {
        let calls = |ms: u64| {
            let engine = Scripted { walls: vec![Duration::from_millis(ms)], scores: vec![0.0, 1.0] };
            let mut session = engine.open(Path::new("any"), &[], 1).expect("a script always opens");
            let input = [vec![Named::new("", Tensor::floats([1, 1], vec![0.0]))]];
            let enough = Enough::glimpse(Duration::from_millis(300));
            repeat(session.as_mut(), &input, &mut Vec::new(), enough).expect("a script never fails").walls.len()
        };
        assert_eq!([calls(0), calls(1), calls(30)], [200, 6, 6]);
    }

    #[test]
    fn slow_calls_are_made_five_times_whatever_the_budget() {
        let calls = scripted(&[1_000], 10, 0.02);
        assert_eq!((calls.walls.len(), calls.precise), (5, false));
    }
}
