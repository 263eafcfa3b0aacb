//! The embedded engine: rten, in pure Rust.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rten::{Model, NodeId, RunOptions, ThreadPool};
use rten_tensor::prelude::{AsView, Layout};
use rten_tensor::{Tensor, TensorView};

use crate::base::error::Error;
use crate::measure::engines::{Engine, Run, Session, bad_model};
use crate::profile::onnx::intact;
use crate::tensor::Batch;

const NAME: &str = "rten";

/// The engine that is always there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rten;

impl Engine for Rten {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> String {
        // rten does not tell its version at run time; Cargo.toml pins the minor version.
        "0.27".to_owned()
    }

    /// rten takes the lengths in an ONNX file on trust.
    fn vet(&self, model: &Path) -> Result<(), Error> {
        if model.extension().is_some_and(|ending| ending == "onnx") { intact(model) } else { Ok(()) }
    }

    fn open(&self, file: &Path, output: Option<&str>, cores: u32) -> Result<Box<dyn Session>, Error> {
        open(file, output, None, cores)
    }

    fn open_stage(&self, file: &Path, exit: Option<&str>, passes: &str, cores: u32) -> Result<Box<dyn Session>, Error> {
        open(file, exit, Some(passes), cores)
    }
}

fn open(file: &Path, exit: Option<&str>, passes: Option<&str>, cores: u32) -> Result<Box<dyn Session>, Error> {
    let model = Model::load_file(file).map_err(|error| bad_model(NAME, file, error))?;
    let first = |ids: &[NodeId], what: &str| ids.first().copied().ok_or_else(|| bad_model(NAME, file, what));
    let node = |name: &str| model.node_id(name).map_err(|error| bad_model(NAME, file, format!("{name}: {error}")));
    let input = first(model.input_ids(), "the model has no input")?;
    let exit = exit.map_or_else(|| first(model.output_ids(), "the model has no output"), node)?;
    let outputs = std::iter::once(Ok(exit)).chain(passes.map(node)).collect::<Result<_, _>>()?;
    let pool = Arc::new(ThreadPool::with_num_threads(cores as usize));
    Ok(Box::new(RtenSession { model, input, outputs, pool }))
}

struct RtenSession {
    model: Model,
    input: NodeId,
    /// The scores, then what goes on to the next stage, if anything does.
    outputs: Vec<NodeId>,
    pool: Arc<ThreadPool>,
}

impl Session for RtenSession {
    fn run(&mut self, input: &Batch) -> Result<Run, Error> {
        let failed = |message: String| Error::Engine { engine: NAME, message };
        let view = TensorView::from_data(input.shape.as_slice(), input.data.as_slice());
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&self.pool)));
        let begin = Instant::now();
        let outputs = self.model.run(vec![(self.input, view.into())], &self.outputs, Some(options));
        let wall = begin.elapsed();
        let mut outputs = outputs.map_err(|error| failed(error.to_string()))?.into_iter();
        let mut next = |what: &str| -> Result<Option<Tensor<f32>>, Error> {
            let tensor = outputs.next().map(|output| output.try_into());
            tensor.transpose().map_err(|_| failed(format!("{what} are not 32-bit floats")))
        };
        let scores = next("the scores")?.ok_or_else(|| failed("it gave no scores".to_owned()))?;
        let passed = next("the numbers that go on")?;
        Ok(Run {
            classes: scores.shape().iter().skip(1).product(),
            scores: scores.to_vec(),
            passed: passed.map(|tensor| Batch { shape: tensor.shape().to_vec(), data: tensor.to_vec() }),
            wall,
        })
    }
}
