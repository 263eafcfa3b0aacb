//! Which engine runs the models.

use std::path::PathBuf;

use clap::ValueEnum;
use planner::Error;
use planner::profile::engine::Engine;

/// The engine that the user chose.
#[derive(Debug, Clone, clap::Args)]
pub struct EngineChoice {
    /// What runs the models
    #[arg(long, value_enum, default_value_t)]
    engine: EngineName,
    /// The ONNX Runtime library (scripts/onnxruntime fetches one)
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    ort_lib: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum EngineName {
    /// Embedded, in pure Rust
    #[default]
    Rten,
    /// ONNX Runtime, from the library that --ort-lib names
    Ort,
}

impl EngineChoice {
    /// Makes the engine ready.
    ///
    /// # Errors
    /// [`Error::Engine`] where ONNX Runtime cannot be loaded; [`Error::Unsupported`] where this build lacks the engine.
    pub fn open(&self) -> Result<Box<dyn Engine>, Error> {
        match self.engine {
            #[cfg(feature = "rten")]
            EngineName::Rten => Ok(Box::new(planner::profile::engine_rten::Rten)),
            #[cfg(feature = "ort")]
            EngineName::Ort => Ok(Box::new(planner::profile::engine_ort::Ort::load(self.ort_lib.as_deref())?)),
            #[cfg(not(all(feature = "rten", feature = "ort")))]
            other => Err(Error::Unsupported {
                what: format!("this build has no engine {other:?}"),
                hint: "build with `--features rten,ort`".to_owned(),
            }),
        }
    }

    /// Returns the arguments that choose the same engine in another process.
    pub fn arguments(&self) -> Vec<std::ffi::OsString> {
        let name = self.engine.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let library = self.ort_lib.iter().flat_map(|library| ["--ort-lib".into(), library.clone().into()]);
        ["--engine".into(), name.into()].into_iter().chain(library).collect()
    }
}
