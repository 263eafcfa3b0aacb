//! ONNX Runtime, from a library that the user names.

use std::path::Path;
use std::time::Instant;

use ort::environment::Environment;
use ort::ep::{CUDA, ExecutionProviderDispatch, TensorRT};
use ort::memory::Allocator;
use ort::session::builder::SessionBuilder;
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session as OrtRuntimeSession, SessionInputValue};
use ort::value::{
    DynValue, IntoTensorElementType, Outlet, PrimitiveTensorElementType, Tensor as OrtTensor, TensorElementType,
    TensorRef, ValueType,
};

use crate::base::error::Error;
use crate::measure::engines::{Engine, Run, Session, bad_model};
use crate::tensor::{DType, Data, Element, Named, Port, Signature, Size, Tensor};

const NAME: &str = "ort";

/// ONNX Runtime, on the CPU or on an accelerator.
#[derive(Debug, Clone)]
pub struct Ort {
    environment: Environment,
    version: String,
    device: String,
}

impl Ort {
    /// Loads the library; once in a process.
    ///
    /// # Errors
    /// [`Error::Engine`] with a hint where there is no library at that path, or it is none.
    pub fn load(library: Option<&Path>) -> Result<Self, Error> {
        const HINT: &str = "\n  hint: scripts/onnxruntime fetches the library and prints its path for --ort-lib or \
                            ORT_DYLIB_PATH (so does `pip install onnxruntime`, under capi/); or use --engine rten";
        let failed = |message: String| Error::Engine { engine: NAME, message: message + HINT };
        let library = library.ok_or_else(|| failed("no ONNX Runtime library was named".to_owned()))?;
        let builder = ort::environment::init_from(library)
            .map_err(|error| failed(format!("{} cannot be loaded: {error}", library.display())))?;
        let environment = builder.with_name("planner").build().map_err(|error| failed(error.to_string()))?;
        // "ORT Build Info: git-branch=..., git-commit-id=..., ..." names the build exactly.
        let build = ort::info().trim_start_matches("ORT Build Info: ");
        let version = release_of(library).map_or_else(|| build.to_owned(), |release| format!("{release} ({build})"));
        Ok(Self { environment, version, device: crate::profile::cpu() })
    }

    /// Chooses what computes: `cpu`, `cuda:0`, `tensorrt:0`, or another number than 0.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for another device; [`Error::Engine`] with a hint where library or machine lack it.
    pub fn on(self, device: &str) -> Result<Self, Error> {
        if device == self.device {
            return Ok(self);
        }
        let version = format!("{} on {device}", self.version);
        let chosen = Self { version, device: device.to_owned(), ..self };
        // Asking for it now says at once what is missing.
        chosen.builder()?;
        Ok(chosen)
    }

    fn builder(&self) -> Result<SessionBuilder, Error> {
        const HINT: &str = "\n  hint: it needs an NVIDIA driver, a library that was built for it (`scripts/onnxruntime --gpu` \
                            fetches one), and the CUDA and cuDNN libraries where the system finds them; without \
                            --device the CPU computes";
        let failed = |message: String| Error::Engine { engine: NAME, message };
        let builder = OrtRuntimeSession::builder(&self.environment).map_err(|error| failed(error.to_string()))?;
        let providers = providers(&self.device)?;
        builder
            .with_execution_providers(providers)
            .map_err(|error| failed(format!("{} cannot be used: {error}{HINT}", self.device)))
    }
}

/// Returns what to ask ONNX Runtime for. It would fall back to the CPU without a word, and the profile would lie.
fn providers(device: &str) -> Result<Vec<ExecutionProviderDispatch>, Error> {
    if device == crate::profile::cpu() {
        return Ok(Vec::new());
    }
    let unknown = || Error::Unsupported {
        what: format!("ONNX Runtime is given no device `{device}`"),
        hint: "devices are cpu, cuda:0, tensorrt:0, and other numbers of accelerators".to_owned(),
    };
    let (kind, number) = device.split_once(':').ok_or_else(unknown)?;
    let number = i32::from(number.parse::<u8>().map_err(|_| unknown())?);
    let cuda = CUDA::default().with_device_id(number).build().error_on_failure();
    match kind {
        "cuda" => Ok(vec![cuda]),
        // What TensorRT cannot run goes to CUDA.
        "tensorrt" => Ok(vec![TensorRT::default().with_device_id(number).build().error_on_failure(), cuda]),
        _ => Err(unknown()),
    }
}

/// Returns the release that the library's file name ends in, like 1.32.0; the library itself does not tell it safely.
fn release_of(library: &Path) -> Option<String> {
    let file = library.canonicalize().ok()?;
    let (_, release) = file.file_name()?.to_str()?.split_once(".so.")?;
    Some(release.to_owned())
}

impl Engine for Ort {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn device(&self) -> String {
        self.device.clone()
    }

    fn signature(&self, file: &Path) -> Result<Signature, Error> {
        Ok(self.opened(file, &[], 1)?.signature)
    }

    fn open(&self, file: &Path, outputs: &[&str], cores: u32) -> Result<Box<dyn Session>, Error> {
        Ok(Box::new(self.opened(file, outputs, cores)?))
    }
}

impl Ort {
    fn opened(&self, file: &Path, outputs: &[&str], cores: u32) -> Result<OrtSession, Error> {
        let bad = |cause: String| bad_model(NAME, file, cause);
        let session = self
            .builder()?
            .with_intra_threads(cores as usize)
            .map_err(|error| bad(error.to_string()))?
            .with_inter_threads(1)
            .map_err(|error| bad(error.to_string()))?
            .commit_from_file(file)
            .map_err(|error| bad(error.to_string()))?;
        let given: Vec<Port> = session.outputs().iter().map(port).collect();
        let names = || given.iter().map(|port| port.name.as_str()).collect::<Vec<_>>().join(", ");
        for wanted in outputs {
            match given.iter().find(|port| port.name == *wanted) {
                None => return Err(bad(format!("no output is called {wanted}; there are {}", names()))),
                Some(port) => {
                    port.element.dtype().ok_or_else(|| bad(not_a_tensor(port)))?;
                }
            }
        }
        let is_wanted = |port: &&Port| {
            let is_named = outputs.is_empty() || outputs.contains(&port.name.as_str());
            is_named && port.element.dtype().is_some()
        };
        let outputs: Vec<Port> = given.iter().filter(is_wanted).cloned().collect();
        let selector = outputs.iter().fold(OutputSelector::no_default(), |all, port| all.with(&port.name));
        let options = RunOptions::new().map_err(failed)?.with_outputs(selector);
        let inputs = session.inputs().iter().map(port).collect();
        Ok(OrtSession { session, signature: Signature { inputs, outputs }, options })
    }
}

/// Says why an output cannot be read, and what avoids it.
fn not_a_tensor(port: &Port) -> String {
    format!(
        "the output {} is a {}, not a tensor; skl2onnx gives tensors with options={{'zipmap': False}}",
        port.name, port.element
    )
}

fn failed(error: ort::Error) -> Error {
    Error::Engine { engine: NAME, message: error.to_string() }
}

struct OrtSession {
    session: OrtRuntimeSession,
    /// What the model takes, and what of its outputs is read.
    signature: Signature,
    /// Which outputs are given.
    options: RunOptions<HasSelectedOutputs>,
}

impl Session for OrtSession {
    fn run(&mut self, inputs: &[Named]) -> Result<Run, Error> {
        let values = inputs.iter().map(value).collect::<Result<Vec<SessionInputValue<'_>>, _>>().map_err(failed)?;
        let begin = Instant::now();
        let outputs = self.session.run_with_options(values.as_slice(), &self.options);
        let wall = begin.elapsed();
        let outputs = outputs.map_err(failed)?;
        let named = |port: &Port| {
            let value = outputs
                .get(&port.name)
                .ok_or_else(|| Error::Engine { engine: NAME, message: format!("it gave no output {}", port.name) })?;
            Ok(Named::new(port.name.clone(), tensor(value).map_err(failed)?))
        };
        let outputs = self.signature.outputs.iter().map(named).collect::<Result<_, Error>>()?;
        Ok(Run { outputs, wall })
    }
}

/// Returns an input as ONNX Runtime sees it, without a copy where there is one element or more.
fn value(input: &Named) -> Result<SessionInputValue<'_>, ort::Error> {
    fn view<'a, T>(shape: &[usize], values: &'a [T]) -> Result<SessionInputValue<'a>, ort::Error>
    where
        T: PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static,
    {
        if values.is_empty() {
            return Ok(OrtTensor::<T>::new(&Allocator::default(), shape.to_vec())?.into());
        }
        Ok(TensorRef::from_array_view((shape.to_vec(), values))?.into())
    }
    let shape = input.tensor.shape();
    match input.tensor.data() {
        Data::F16(values) => view(shape, values),
        Data::BF16(values) => view(shape, values),
        Data::F32(values) => view(shape, values),
        Data::F64(values) => view(shape, values),
        Data::I8(values) => view(shape, values),
        Data::U8(values) => view(shape, values),
        Data::I16(values) => view(shape, values),
        Data::U16(values) => view(shape, values),
        Data::I32(values) => view(shape, values),
        Data::U32(values) => view(shape, values),
        Data::I64(values) => view(shape, values),
        Data::U64(values) => view(shape, values),
        Data::Bool(values) => view(shape, values),
        Data::String(texts) => Ok(OrtTensor::from_string_array((shape.to_vec(), texts.as_slice()))?.into()),
    }
}

/// Copies an output.
fn tensor(value: &DynValue) -> Result<Tensor, ort::Error> {
    fn copy<T: PrimitiveTensorElementType + IntoTensorElementType + Clone>(
        value: &DynValue,
        data: impl Fn(Vec<T>) -> Data,
    ) -> Result<(Vec<i64>, Data), ort::Error> {
        let (shape, values) = value.try_extract_tensor::<T>()?;
        Ok((shape.to_vec(), data(values.to_vec())))
    }
    let ValueType::Tensor { ty, .. } = value.dtype() else {
        return Err(ort::Error::new(format!("an output is {}, not a tensor", value.dtype())));
    };
    let (shape, data) = match dtype(*ty) {
        Some(DType::F16) => copy(value, Data::F16)?,
        Some(DType::BF16) => copy(value, Data::BF16)?,
        Some(DType::F32) => copy(value, Data::F32)?,
        Some(DType::F64) => copy(value, Data::F64)?,
        Some(DType::I8) => copy(value, Data::I8)?,
        Some(DType::U8) => copy(value, Data::U8)?,
        Some(DType::I16) => copy(value, Data::I16)?,
        Some(DType::U16) => copy(value, Data::U16)?,
        Some(DType::I32) => copy(value, Data::I32)?,
        Some(DType::U32) => copy(value, Data::U32)?,
        Some(DType::I64) => copy(value, Data::I64)?,
        Some(DType::U64) => copy(value, Data::U64)?,
        Some(DType::Bool) => copy(value, Data::Bool)?,
        Some(DType::String) => {
            let (shape, texts) = value.try_extract_strings()?;
            (shape.to_vec(), Data::String(texts))
        }
        None => return Err(ort::Error::new(format!("an output has elements {ty}"))),
    };
    let shape = shape.into_iter().map(|size| usize::try_from(size).unwrap_or(0)).collect();
    Tensor::new(shape, data).ok_or_else(|| ort::Error::new("an output has another shape than it says"))
}

fn port(outlet: &Outlet) -> Port {
    let (element, shape) = match outlet.dtype() {
        ValueType::Tensor { ty, shape, dimension_symbols } => {
            let size = |(&size, name): (&i64, &String)| match u64::try_from(size) {
                Ok(size) => Size::Fixed(size),
                Err(_) if name.is_empty() => Size::Unknown,
                Err(_) => Size::Named(name.clone()),
            };
            let element = dtype(*ty).map_or_else(|| Element::Other(ty.to_string()), Element::Tensor);
            (element, Some(shape.iter().zip(dimension_symbols.iter()).map(size).collect()))
        }
        ValueType::Sequence(_) => (Element::Other("sequence".to_owned()), None),
        ValueType::Map { .. } => (Element::Other("map".to_owned()), None),
        ValueType::Optional(_) => (Element::Other("optional".to_owned()), None),
    };
    Port { name: outlet.name().to_owned(), element, shape }
}

const fn dtype(kind: TensorElementType) -> Option<DType> {
    Some(match kind {
        TensorElementType::Float16 => DType::F16,
        TensorElementType::Bfloat16 => DType::BF16,
        TensorElementType::Float32 => DType::F32,
        TensorElementType::Float64 => DType::F64,
        TensorElementType::Int8 => DType::I8,
        TensorElementType::Uint8 => DType::U8,
        TensorElementType::Int16 => DType::I16,
        TensorElementType::Uint16 => DType::U16,
        TensorElementType::Int32 => DType::I32,
        TensorElementType::Uint32 => DType::U32,
        TensorElementType::Int64 => DType::I64,
        TensorElementType::Uint64 => DType::U64,
        TensorElementType::Bool => DType::Bool,
        TensorElementType::String => DType::String,
        _ => return None,
    })
}
