//! What the profiler itself costs: all that is left of its time when the calls' own time is taken away.
//!
//! `cargo bench --bench profile` prints a table. Divan times whole functions; here the engine says how much of the time
//! was its own, so the loop is written by hand. The engine is a fake: its calls either spin for a millisecond, or return
//! at once and say that they took one, or time nothing at all.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use planner::Error;
use planner::base::units::Share;
use planner::measure::engines::{Engine, Run, Session, samples_of};
use planner::measure::{
    Apart, Attendant, Block, Enough, Here, Lab, Limits, MeasureContext, MeasureEvent, MeasureSettings, measure, serve,
};
use planner::profile::{CertaintyMeasure, Family, Key, Profile};
use planner::tensor::Named;

const CALL: Duration = Duration::from_millis(1);
/// Blocks of a point and its fewest calls, as `planner profile` has them where nobody says otherwise.
const BLOCKS: u32 = 3;
const FEWEST: usize = 134;
const BUDGET: Duration = Duration::from_millis(300);
const KEY: Key = Key { cores: 1, batch: 1, co_runners: 0 };
const ROUNDS: usize = 11;

/// What the calls of the fake engine do.
#[derive(Clone, Copy)]
enum Calls {
    Spin,
    /// Say that they took [`CALL`] and up to 5 % more at random, and longer from call to call by this part of it.
    Claim {
        drift: f64,
    },
    /// Time nothing: what they report is the reading of the clock.
    TimeNothing,
}

struct Fake {
    calls: Calls,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    made: AtomicU64,
    own_ns: AtomicU64,
}

struct FakeSession {
    calls: Calls,
    counts: Arc<Counts>,
}

impl Fake {
    fn new(calls: Calls) -> Self {
        Self { calls, counts: Arc::default() }
    }

    /// Does some work; returns the time that was not the calls' own, and their number.
    fn beside<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<(Duration, u64, T), Error> {
        let Counts { made, own_ns } = &*self.counts;
        made.store(0, Ordering::Relaxed);
        own_ns.store(0, Ordering::Relaxed);
        let begin = Instant::now();
        let gave = work()?;
        let elapsed = begin.elapsed();
        let own = Duration::from_nanos(own_ns.load(Ordering::Relaxed));
        Ok((elapsed.saturating_sub(own), made.load(Ordering::Relaxed), gave))
    }
}

impl Engine for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn version(&self) -> String {
        "1".to_owned()
    }

    fn open(&self, _: &Path, _: &[&str], _: u32) -> Result<Box<dyn Session>, Error> {
        Ok(Box::new(FakeSession { calls: self.calls, counts: Arc::clone(&self.counts) }))
    }
}

impl Session for FakeSession {
    fn run(&mut self, inputs: &[Named]) -> Result<Run, Error> {
        let number = self.counts.made.fetch_add(1, Ordering::Relaxed);
        let begin = Instant::now();
        let wall = match self.calls {
            Calls::Spin => {
                while begin.elapsed() < CALL {}
                let wall = begin.elapsed();
                self.counts.own_ns.fetch_add(wall.as_nanos() as u64, Ordering::Relaxed);
                wall
            }
            Calls::Claim { drift } => {
                let noise = (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 / f64::from(1 << 24);
                CALL.mul_f64(1.0 + 0.05 * noise + drift * number as f64)
            }
            Calls::TimeNothing => begin.elapsed(),
        };
        Ok(Run::of_scores(vec![0.0; 10 * samples_of(inputs)], 10, wall))
    }
}

/// All blocks of a point, never narrow enough: each spends its part of the budget.
fn point(lab: &dyn Lab, budget: Duration) -> Result<Vec<Block>, Error> {
    let enough = Enough { fewest: FEWEST, ..Enough::spent(budget / BLOCKS) };
    let mut visit = lab.visit(0, 1)?;
    let mut blocks = Vec::new();
    for _ in 0..BLOCKS {
        blocks.push(visit.block(KEY, 1, &blocks, enough)?);
    }
    Ok(blocks)
}

struct Silent;

impl Attendant for Silent {
    fn tell(&mut self, _: MeasureEvent<'_>) {}

    fn save(&mut self, _: &Profile) -> Result<(), Error> {
        Ok(())
    }
}

/// A whole profile of one variant at one batch, answers to one sample included.
fn whole(family: &Family, engine: &dyn Engine) -> Result<Profile, Error> {
    let settings = MeasureSettings {
        batches: vec![KEY.batch],
        cores: vec![KEY.cores],
        co_runners: vec![KEY.co_runners],
        precision: Share::ZERO,
        tail_precision: None,
        blocks: BLOCKS,
        budget: BUDGET.into(),
        certainty: CertaintyMeasure::default(),
        seed: 42,
        retry_contended: false,
        context: MeasureContext::default(),
    };
    Ok(measure(family, &Here::new(family, engine), &settings, None, &mut Silent)?.0)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Returns the median time beside the calls over some rounds, and the calls of a round.
fn beside<T>(fake: &Fake, rounds: usize, work: impl Fn() -> Result<T, Error>) -> Result<(Duration, u64), Error> {
    let seen = (0..rounds).map(|_| fake.beside(&work)).collect::<Result<Vec<_>, _>>()?;
    Ok((median(seen.iter().map(|(time, ..)| *time).collect()), seen[0].1))
}

#[expect(clippy::print_stdout, reason = "the answer of a bench")]
fn row(what: &str, calls: u64, beside: Duration, calls_last: Duration) {
    let micros = beside.as_secs_f64() * 1e6 / calls as f64;
    let share = 1e-4 * micros / calls_last.as_secs_f64();
    println!("| {what} | {calls} | {:.3} | {micros:.3} | {share:.3} % |", beside.as_secs_f64() * 1e3);
}

#[expect(clippy::print_stdout, reason = "the answer of a bench")]
fn report(family: &Family) -> Result<(), Error> {
    println!("| what | calls | ms beside the calls | µs a call | of 1 ms |\n|---|---|---|---|---|");
    for millis in [300, 3_000, 30_000, 150_000] {
        for (law, drift) in [("steady", 0.0), ("drifting", 0.3)] {
            let fake = Fake::new(Calls::Claim { drift: drift / millis as f64 });
            let rounds = if millis > 3_000 { 3 } else { ROUNDS };
            let lab = Here::new(family, &fake);
            let (time, calls) = beside(&fake, rounds, || point(&lab, Duration::from_millis(millis)))?;
            row(&format!("a point of 3 blocks, {law}"), calls, time, CALL);
        }
    }
    let spin = Fake::new(Calls::Spin);
    let (time, calls) = beside(&spin, ROUNDS, || point(&Here::new(family, &spin), BUDGET))?;
    row("a point of 3 blocks, calls that spin", calls, time, CALL);
    let (time, calls) = beside(&spin, ROUNDS, || whole(family, &spin))?;
    row("a profile of that point, calls that spin", calls, time, CALL);
    let empty = Fake::new(Calls::Claim { drift: 0.0 });
    let (time, calls) = beside(&empty, ROUNDS, || point(&Here::new(family, &empty), Duration::ZERO))?;
    row("three blocks of the fewest calls", calls, time, CALL);
    let nothing = Fake::new(Calls::TimeNothing);
    let mut walls = point(&Here::new(family, &nothing), Duration::from_millis(1))?.remove(0).walls_ns;
    walls.sort_unstable();
    println!(
        "\nA call of nothing is reported to last {} ns (p50), {} ns (p99).",
        walls[walls.len() / 2],
        walls[walls.len() * 99 / 100]
    );

    // The child counts its calls in a process of its own, so both sides are compared with calls that return at once.
    let program = std::env::current_exe().map_err(|error| Error::io("find", Path::new("this program"), error))?;
    let command = |_: usize, _: u32| {
        let mut command = Command::new(&program);
        command.arg("worker");
        command
    };
    let limits = Limits { time: Duration::from_secs(60), memory: None };
    let timed = |lab: &dyn Lab| {
        let once = || {
            let begin = Instant::now();
            point(lab, BUDGET).map(|_| begin.elapsed())
        };
        (0..ROUNDS).map(|_| once()).collect::<Result<_, Error>>().map(median)
    };
    let here = timed(&Here::new(family, &empty))?;
    let apart = timed(&Apart::new(family, &empty, &command, limits))?;
    let extra = apart.saturating_sub(here).as_secs_f64() * 1e3;
    println!("A process of its own for a visit of three blocks, 300 calls: {extra:.3} ms.");
    Ok(())
}

fn main() -> Result<(), Error> {
    let mut family = Family::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits/models.toml"))?;
    if std::env::args().nth(1).is_some_and(|word| word == "worker") {
        let fake = Fake::new(Calls::Claim { drift: 0.0 });
        let (jobs, replies) = (std::io::stdin().lock(), std::io::stdout().lock());
        return serve(Here::new(&family, &fake), (0, 1), None, jobs, replies)
            .map_err(|error| Error::io("serve", &PathBuf::from("stdin"), error));
    }
    family.list.variants.truncate(1);
    // Answering all samples is no part of the comparison.
    family.samples = family.samples.chosen(&[0]);
    report(&family)
}
