//! The embedded engine: rten, in pure Rust.

mod forms;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rten::{Model, NodeId, RunOptions, ThreadPool, Value, ValueOrView};
use rten_tensor::TensorView;
use rten_tensor::prelude::{AsView, Layout};

use crate::base::error::Error;
use crate::measure::engines::{Engine, Run, Session, bad_model};
use crate::profile::onnx::{Graph, intact};
use crate::tensor::{DType, Data, Named, Tensor};

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

    /// rten takes the lengths in an ONNX file on trust, and computes some operators wrongly without a word.
    fn vet(&self, model: &Path, outputs: &[&str]) -> Result<(), Error> {
        if model.extension().is_none_or(|ending| ending != "onnx") {
            return Ok(());
        }
        intact(model)?;
        forms::refused(&Graph::read(model)?, outputs).map_or(Ok(()), |why| Err(bad_model(NAME, model, why)))
    }

    /// rten has 32-bit floats, 32-bit and 8-bit whole numbers. What it widens in silence, it does not take: the times would be
    /// those of another model.
    fn holds(&self, declared: DType) -> Option<DType> {
        match declared {
            DType::F32 | DType::I32 | DType::I8 | DType::U8 => Some(declared),
            DType::I64 | DType::Bool => Some(DType::I32),
            _ => None,
        }
    }

    fn open(&self, file: &Path, outputs: &[&str], cores: u32) -> Result<Box<dyn Session>, Error> {
        let model = Model::load_file(file).map_err(|error| bad_model(NAME, file, error))?;
        let node = |name: &str| model.node_id(name).map_err(|error| bad_model(NAME, file, format!("{name}: {error}")));
        let name = |id: NodeId| model.node_info(id).and_then(|node| node.name().map(str::to_owned)).unwrap_or_default();
        let all: Vec<String> = match outputs {
            [] => model.output_ids().iter().map(|&id| name(id)).collect(),
            some => some.iter().map(|&name| name.to_owned()).collect(),
        };
        let outputs = all.into_iter().map(|name| Ok((node(&name)?, name))).collect::<Result<_, Error>>()?;
        let pool = Arc::new(ThreadPool::with_num_threads(cores as usize));
        let inputs = model.input_ids().to_vec();
        Ok(Box::new(RtenSession { model, inputs, outputs, pool }))
    }
}

struct RtenSession {
    model: Model,
    inputs: Vec<NodeId>,
    /// What is read.
    outputs: Vec<(NodeId, String)>,
    pool: Arc<ThreadPool>,
}

impl Session for RtenSession {
    fn run(&mut self, inputs: &[Named]) -> Result<Run, Error> {
        let values = inputs.iter().map(|input| view(&input.tensor)).collect::<Result<Vec<_>, Error>>()?;
        let inputs = self.inputs.iter().copied().zip(values).collect();
        let ids: Vec<NodeId> = self.outputs.iter().map(|(id, _)| *id).collect();
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&self.pool)));
        let begin = Instant::now();
        let outputs = self.model.run(inputs, &ids, Some(options));
        let wall = begin.elapsed();
        let outputs = outputs.map_err(|error| {
            failed(format!(
                "{error}\n  hint: --engine ort takes every operator: scripts/onnxruntime fetches its library"
            ))
        })?;
        let named = |((_, name), value): (&(NodeId, String), Value)| Ok(Named::new(name.clone(), tensor(name, value)?));
        let outputs = self.outputs.iter().zip(outputs).map(named).collect::<Result<_, Error>>()?;
        Ok(Run { outputs, wall })
    }
}

fn failed(message: String) -> Error {
    Error::Engine { engine: NAME, message }
}

fn view(tensor: &Tensor) -> Result<ValueOrView<'_>, Error> {
    let shape = tensor.shape();
    Ok(match tensor.data() {
        Data::F32(values) => TensorView::from_data(shape, values.as_slice()).into(),
        Data::I32(values) => TensorView::from_data(shape, values.as_slice()).into(),
        Data::I8(values) => TensorView::from_data(shape, values.as_slice()).into(),
        Data::U8(values) => TensorView::from_data(shape, values.as_slice()).into(),
        data => return Err(failed(format!("it does not take {}", data.dtype()))),
    })
}

fn tensor(name: &str, value: Value) -> Result<Tensor, Error> {
    let (shape, data) = match value {
        Value::FloatTensor(values) => (values.shape().to_vec(), Data::F32(values.to_vec())),
        Value::Int32Tensor(values) => (values.shape().to_vec(), Data::I32(values.to_vec())),
        Value::Int8Tensor(values) => (values.shape().to_vec(), Data::I8(values.to_vec())),
        Value::UInt8Tensor(values) => (values.shape().to_vec(), Data::U8(values.to_vec())),
        _ => return Err(failed(format!("the output {name} is no tensor that it can hand out"))),
    };
    Tensor::new(shape, data).ok_or_else(|| failed(format!("the output {name} has another shape than it says")))
}
