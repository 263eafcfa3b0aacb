//! Compares calls through the profiler's ONNX Runtime engine with calls of a session of the same library, slice by slice: where
//! the host's speed drifts by more than what is asked for, only neighbours in time can be compared.
//!
//! `cargo run --release --example paired_ort -- LIBRARY models/digits/models.toml` opens every variant in two processes on the
//! same cores, and gives each in turn a slice of 25 ms, 60 times, in an order that alternates. Prints a Markdown table: the
//! median of the slices' medians, and of their ratios with its 95 % interval. Exit code 1 where an interval of calls of
//! 0.1 ms or more lies beyond 3 %.

mod raw;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use planner::measure::engines::ort::Ort;
use planner::measure::engines::{Engine, Scripted};
use planner::measure::host::pin;
use planner::measure::wiring::Wiring;
use planner::profile::{CertaintyMeasure, Family};
use planner::stats::sample;
use raw::{called, opened};

const SLICE: Duration = Duration::from_millis(25);
const SLICES: usize = 60;
/// Calls at the beginning of a slice that do not count: the other side's threads may still spin.
const FIRST: usize = 3;
const ALLOWED: f64 = 0.03;

/// Returns the median of the calls of a slice, in milliseconds.
fn slice(mut call: impl FnMut() -> anyhow::Result<Duration>) -> anyhow::Result<f64> {
    let (mut walls, begin) = (Vec::new(), Instant::now());
    while begin.elapsed() < SLICE || walls.len() < 2 * FIRST {
        walls.push(call()?);
    }
    Ok(sample::latency(&walls[FIRST..]).p50.value_ms.get())
}

/// A process that has a model open and makes a slice of calls whenever it is asked.
struct Side {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Side {
    fn open(side: &str, arguments: &[String]) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg(side).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (asks, answers) = (child.stdin.take().context("piped")?, child.stdout.take().context("piped")?);
        Ok(Self { child, asks, answers: BufReader::new(answers) })
    }

    fn slice(&mut self) -> anyhow::Result<f64> {
        self.asks.write_all(b"\n")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        line.trim().parse().with_context(|| format!("it said {line:?}"))
    }

    fn close(mut self) -> anyhow::Result<()> {
        drop(self.asks);
        self.child.wait()?;
        Ok(())
    }
}

/// Answers every line with a slice, as one of the sides.
#[expect(clippy::print_stdout, reason = "the answer of a side")]
fn answer(is_ours: bool, arguments: &[String]) -> anyhow::Result<()> {
    let [library, models, name, threads, batch] = arguments else { anyhow::bail!("a side needs five arguments") };
    let family = Family::load(Path::new(models))?;
    let entry = family.list.variants.iter().find(|entry| entry.name == *name).context("unknown variant")?;
    let (file, threads) = (family.folder.join(&entry.file), threads.parse()?);
    let _pinned = pin(threads)?;
    let numbers = vec![0; batch.parse()?];
    // The raw side loads the library by itself, and a process does so once.
    let (ours, none) =
        (is_ours.then(|| Ort::load(Some(Path::new(library)))).transpose()?, Scripted { walls: vec![], scores: vec![] });
    let engine: &dyn Engine = ours.as_ref().map_or(&none, |ours| ours);
    let wiring = Wiring::new(&family, engine, (entry, entry), &family.samples, CertaintyMeasure::default())?;
    let inputs = wiring.feeder.batch(&numbers);
    let mut call: Box<dyn FnMut() -> anyhow::Result<Duration>> = if is_ours {
        let mut session = wiring.open(&family, engine, entry, threads)?;
        Box::new(move || Ok(session.run(&inputs)?.wall))
    } else {
        let mut session = opened(Path::new(library), &file, threads)?;
        let input = inputs[0].tensor.clone();
        let data = input.to_f32().context("the raw side takes floats")?;
        Box::new(move || called(&mut session, input.shape(), &data))
    };
    for line in std::io::stdin().lines() {
        line?;
        println!("{}", slice(&mut call)?);
    }
    Ok(())
}

/// Medians of planner's slices, of the raw ones, and of their ratios, with the ends of its interval.
fn compared(arguments: &[String]) -> anyhow::Result<[f64; 5]> {
    let mut sides = [Side::open("--ours", arguments)?, Side::open("--raw", arguments)?];
    let mut seen = [Vec::new(), Vec::new()];
    for turn in 0..SLICES {
        for side in [turn % 2, 1 - turn % 2] {
            seen[side].push(sides[side].slice()?);
        }
    }
    sides.into_iter().try_for_each(Side::close)?;
    let [a, b] = seen;
    let ratios: Vec<Duration> = a.iter().zip(&b).map(|(a, b)| Duration::from_secs_f64(a / b)).collect();
    let of = sample::latency(&ratios).p50;
    let median = |mut numbers: Vec<f64>| {
        numbers.sort_by(f64::total_cmp);
        numbers[numbers.len() / 2]
    };
    Ok([median(a), median(b), of.value_ms.get() / 1e3, of.low_ms.get() / 1e3, of.high_ms.get() / 1e3])
}

#[expect(clippy::print_stdout, reason = "the answer of an example")]
fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("--ours") => return answer(true, &arguments[1..]),
        Some("--raw") => return answer(false, &arguments[1..]),
        _ => {}
    }
    let [library, models] = arguments.as_slice() else { anyhow::bail!("usage: paired_ort LIBRARY MODELS.toml") };
    let family = Family::load(Path::new(models))?;
    let mut worst: f64 = 0.0;
    println!("| variant | batch | threads | p50 ms, planner | the raw session | ratio | 95 % interval |");
    println!("|---|---|---|---|---|---|---|");
    for entry in &family.list.variants {
        for (threads, batch) in [(1, 1), (1, 8), (2, 1), (2, 8)] {
            let side = [library.clone(), models.clone(), entry.name.clone(), threads.to_string(), batch.to_string()];
            let [own, other, ratio, low, high] = compared(&side)?;
            if own >= 0.1 {
                worst = worst.max(low - 1.0).max(1.0 - high);
            }
            let name = &entry.name;
            println!("| {name} | {batch} | {threads} | {own:.4} | {other:.4} | {ratio:.3} | {low:.3} to {high:.3} |");
        }
    }
    ensure!(worst <= ALLOWED, "an interval lies {:.1} % beyond", 100.0 * worst);
    Ok(())
}
