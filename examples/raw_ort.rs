//! The plainest loop around ONNX Runtime: what an engine does without a profiler, for `scripts/parity`.
//!
//! `cargo run --release --example raw_ort -- LIBRARY MODEL THREADS SECONDS SHAPE...` pins itself to so many cores,
//! opens the model on as many threads, and calls it with each shape (like 8x1x28x28) for a tenth of the time and then for
//! all of it. Half of the calls are timed one by one, for the median; the others only as a
//! whole, so that not even the clock is read in between. Prints JSON: for each shape `p50_ms` and `mean_ms`.

mod raw;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use ort::session::Session;
use ort::value::TensorRef;
use planner::measure::host::pin;
use raw::{called, opened};

struct Input {
    shape: Vec<usize>,
    data: Vec<f32>,
}

impl Input {
    fn of(text: &str) -> anyhow::Result<Self> {
        let shape = text.split('x').map(str::parse).collect::<Result<Vec<usize>, _>>().context(text.to_owned())?;
        let data = vec![0.5; shape.iter().product()];
        Ok(Self { shape, data })
    }
}

/// Calls the model for some time, and returns how long each call took.
fn timed(session: &mut Session, input: &Input, time: Duration) -> anyhow::Result<Vec<Duration>> {
    let (mut walls, begin) = (Vec::new(), Instant::now());
    while begin.elapsed() < time {
        walls.push(called(session, &input.shape, &input.data)?);
    }
    Ok(walls)
}

/// Makes so many calls, and returns how long they took together.
fn together(session: &mut Session, input: &Input, calls: usize) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    for _ in 0..calls {
        let tensor = TensorRef::from_array_view((input.shape.clone(), input.data.as_slice()))?;
        drop(session.run(ort::inputs![tensor])?);
    }
    Ok(begin.elapsed())
}

#[expect(clippy::print_stdout, reason = "the answer of an example")]
fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, model, threads, seconds, shapes @ ..] = arguments.as_slice() else {
        bail!("usage: raw_ort LIBRARY MODEL THREADS SECONDS SHAPE...");
    };
    let (threads, time) = (threads.parse::<u32>()?, Duration::from_secs_f64(seconds.parse()?));
    let _pinned = pin(threads)?;
    let mut session = opened(Path::new(library), Path::new(model), threads)?;
    let mut found = serde_json::Map::new();
    for shape in shapes {
        let input = Input::of(shape)?;
        timed(&mut session, &input, time / 10)?;
        let mut walls = timed(&mut session, &input, time / 2)?;
        let mean = together(&mut session, &input, walls.len())? / u32::try_from(walls.len())?;
        walls.sort_unstable();
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        found.insert(shape.clone(), serde_json::json!({"p50_ms": ms(walls[walls.len() / 2]), "mean_ms": ms(mean)}));
    }
    println!("{}", serde_json::Value::from(found));
    Ok(())
}
