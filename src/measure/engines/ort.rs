//! ONNX Runtime, from a library that the user names.

use std::path::Path;
use std::time::Instant;

use ort::environment::Environment;
use ort::ep::{CUDA, ExecutionProviderDispatch, TensorRT};
use ort::session::Session as OrtRuntimeSession;
use ort::session::builder::SessionBuilder;
use ort::value::TensorRef;

use crate::base::error::Error;
use crate::measure::engines::{Engine, Run, Session, bad_model};
use crate::tensor::Batch;

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

    fn open(&self, file: &Path, output: Option<&str>, cores: u32) -> Result<Box<dyn Session>, Error> {
        self.open_with(file, output, None, cores)
    }

    fn open_stage(&self, file: &Path, exit: Option<&str>, passes: &str, cores: u32) -> Result<Box<dyn Session>, Error> {
        self.open_with(file, exit, Some(passes), cores)
    }
}

impl Ort {
    fn open_with(
        &self,
        file: &Path,
        exit: Option<&str>,
        passes: Option<&str>,
        cores: u32,
    ) -> Result<Box<dyn Session>, Error> {
        let bad = |cause: String| bad_model(NAME, file, cause);
        let session = self
            .builder()?
            .with_intra_threads(cores as usize)
            .map_err(|error| bad(error.to_string()))?
            .with_inter_threads(1)
            .map_err(|error| bad(error.to_string()))?
            .commit_from_file(file)
            .map_err(|error| bad(error.to_string()))?;
        let names: Vec<_> = session.outputs().iter().map(|outlet| outlet.name().to_owned()).collect();
        let place = |name: &str| {
            let found = names.iter().position(|known| known == name);
            found.ok_or_else(|| bad(format!("no output is called {name}; there are {}", names.join(", "))))
        };
        let exit = exit.map_or(Ok(0), place)?;
        let passes = passes.map(place).transpose()?;
        Ok(Box::new(OrtSession { session, exit, passes }))
    }
}

struct OrtSession {
    session: OrtRuntimeSession,
    /// Place of the scores among the outputs.
    exit: usize,
    /// Place of what goes on to the next stage.
    passes: Option<usize>,
}

impl Session for OrtSession {
    fn run(&mut self, input: &Batch) -> Result<Run, Error> {
        let failed = |error: ort::Error| Error::Engine { engine: NAME, message: error.to_string() };
        let tensor = TensorRef::from_array_view((input.shape.clone(), input.data.as_slice())).map_err(failed)?;
        let begin = Instant::now();
        let outputs = self.session.run(ort::inputs![tensor]);
        let wall = begin.elapsed();
        let outputs = outputs.map_err(failed)?;
        let tensor = |place: usize| {
            let (shape, data) = outputs[place].try_extract_tensor::<f32>().map_err(failed)?;
            let shape = shape.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect();
            Ok::<Batch, Error>(Batch { shape, data: data.to_vec() })
        };
        let scores = tensor(self.exit)?;
        let passed = self.passes.map(tensor).transpose()?;
        Ok(Run { classes: scores.shape.iter().skip(1).product(), scores: scores.data, passed, wall })
    }
}
