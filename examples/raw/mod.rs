//! A session of ONNX Runtime as anybody opens one, beside which planner's engine is held.

use std::path::Path;
use std::time::{Duration, Instant};

use ort::session::Session;
use ort::value::TensorRef;

/// Opens a model of a library on so many threads.
pub fn opened(library: &Path, file: &Path, threads: u32) -> anyhow::Result<Session> {
    let failed = |error: ort::Error<ort::session::builder::SessionBuilder>| anyhow::anyhow!("{error}");
    let environment = ort::environment::init_from(library)?.with_name("raw").build()?;
    let builder = Session::builder(&environment).map_err(|error| anyhow::anyhow!("{error}"))?;
    let builder = builder.with_intra_threads(threads as usize).map_err(failed)?;
    let mut builder = builder.with_inter_threads(1).map_err(failed)?;
    builder.commit_from_file(file).map_err(|error| anyhow::anyhow!("{error}"))
}

/// Calls the model once, and returns how long that took.
pub fn called(session: &mut Session, shape: &[usize], data: &[f32]) -> anyhow::Result<Duration> {
    let tensor = TensorRef::from_array_view((shape.to_vec(), data))?;
    let begin = Instant::now();
    let outputs = session.run(ort::inputs![tensor]);
    let wall = begin.elapsed();
    drop(outputs?);
    Ok(wall)
}
