//! What runs a model: the traits, and a scripted engine that makes measuring testable without a clock.

pub mod command;
#[cfg(feature = "oip")]
pub mod oip;
#[cfg(feature = "ort")]
pub mod ort;
#[cfg(feature = "rten")]
pub mod rten;

use std::path::Path;
use std::time::Duration;

use crate::base::error::Error;
use crate::base::finding::{Code, Finding, Findings};
use crate::profile::{Conditions, ModelFiles, Point};
use crate::tensor::{DType, Element, Named, Port, Signature, Tensor};

/// What one call gave, and how long it took.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The outputs that were asked for.
    pub outputs: Vec<Named>,
    /// Wall time of the call as the engine measured it.
    pub wall: Duration,
}

impl Run {
    /// Returns one output without a name: a score of each class for each sample, row-major.
    ///
    /// # Panics
    /// Where the rows are not whole.
    #[must_use]
    pub fn of_scores(scores: Vec<f32>, classes: usize, wall: Duration) -> Self {
        let rows = scores.len().checked_div(classes).unwrap_or(0);
        Self { outputs: vec![Named::new("", Tensor::floats([rows, classes], scores))], wall }
    }

    /// Returns the output of that name, or the only one, whose name an engine need not know.
    #[must_use]
    pub fn output(&self, name: &str) -> Option<&Tensor> {
        let named = self.outputs.iter().find(|output| output.name == name);
        let only = if let [only] = self.outputs.as_slice() { Some(only) } else { None };
        named.or(only.filter(|only| only.name.is_empty() || name.is_empty())).map(|output| &output.tensor)
    }
}

/// Something that runs model files, from several threads at once.
pub trait Engine: Sync {
    /// Returns the name, like `rten`.
    fn name(&self) -> &'static str;

    /// Returns the version.
    fn version(&self) -> String;

    /// Returns the name of what computes, like `cuda:0`; points carry it.
    fn device(&self) -> String {
        crate::profile::cpu()
    }

    /// Tells whether the threads of this process do the work, so that its CPU time is that of the calls.
    fn works_here(&self) -> bool {
        self.device() == crate::profile::cpu()
    }

    /// Tells whether a call takes as long as it says, so that what came before it may matter.
    fn is_real(&self) -> bool {
        true
    }

    /// Tells whether opening a model reads its file, so that where the file lies tells how long that takes.
    fn reads_files(&self) -> bool {
        true
    }

    /// Refuses a file that would end this process where it is opened, or whose outputs of these names, or all of them where there are
    /// none, would be wrong without a word. Whoever opens models in a process that must live asks first.
    ///
    /// # Errors
    /// A finding for such a file.
    fn vet(&self, _model: &Path, _outputs: &[&str]) -> Result<(), Error> {
        Ok(())
    }

    /// Returns the type in which the engine holds elements of a type that a model declares, where it takes such at all.
    fn holds(&self, declared: DType) -> Option<DType> {
        Some(declared)
    }

    /// Returns what a model takes and gives where its file does not tell: one input and one output of 32-bit floats without names,
    /// unless the engine knows better.
    ///
    /// # Errors
    /// Whatever keeps the engine from looking at the model.
    fn signature(&self, _model: &Path) -> Result<Signature, Error> {
        let port = Port { name: String::new(), element: Element::Tensor(DType::F32), shape: None };
        Ok(Signature { inputs: vec![port.clone()], outputs: vec![port] })
    }

    /// Opens a model on `cores` threads, which inherit the caller's affinity mask.
    ///
    /// `outputs` names what will be read; where it names nothing, all tensors that the model gives.
    ///
    /// # Errors
    /// A finding where the file is no model or has no such output; [`Error::Engine`] where the engine fails.
    fn open(&self, model: &Path, outputs: &[&str], cores: u32) -> Result<Box<dyn Session>, Error>;
}

/// An opened model.
pub trait Session {
    /// Runs one batch: the inputs of the model, in its order.
    ///
    /// # Errors
    /// [`Error::Engine`] where the engine fails.
    fn run(&mut self, inputs: &[Named]) -> Result<Run, Error>;
}

/// Returns the number of samples that some inputs hold, where the first dimension of the first counts them.
#[must_use]
pub fn samples_of(inputs: &[Named]) -> usize {
    inputs.first().map_or(1, |input| input.tensor.samples())
}

/// Returns the engine's name and version, as files carry it.
#[must_use]
pub fn full_name(engine: &dyn Engine) -> String {
    format!("{} {}", engine.name(), engine.version())
}

/// Returns the finding that a file is no model this engine can run.
#[must_use]
pub fn bad_model(engine: &str, model: &Path, cause: impl std::fmt::Display) -> Error {
    let action = match engine {
        "rten" => "try --engine ort: scripts/onnxruntime fetches its library and prints its path for --ort-lib",
        _ => "it must be an ONNX model that this engine can run",
    };
    refused_model(engine, model, cause, action)
}

/// Returns the finding that an engine does not run a model, and what to do about it.
pub(crate) fn refused_model(
    engine: &str,
    model: &Path,
    cause: impl std::fmt::Display,
    action: impl Into<String>,
) -> Error {
    let finding = Finding::error(Code::BadModel, "", format!("{engine}: {cause}"), action.into());
    Findings::from(finding).in_file(model).into()
}

/// Returns the scores that another process answered to a call, where it has as many as it should.
pub(crate) fn checked(
    engine: &'static str,
    (scores, classes): (Vec<f32>, usize),
    samples: usize,
) -> Result<Tensor, Error> {
    let given = scores.len();
    let shape = vec![samples, classes];
    Tensor::new(shape, crate::tensor::Data::F32(scores)).ok_or_else(|| {
        let message = format!(
            "it answered {given} scores for {samples} samples of {classes} classes; every sample has a score for each class"
        );
        Error::Engine { engine, message }
    })
}

/// Returns as much of a wrong answer as an error shows.
pub(crate) fn shown(answer: &str) -> String {
    answer.chars().take(120).collect()
}

/// Returns where the files of a model list must lie for an engine.
#[must_use]
pub fn model_files(engine: &dyn Engine) -> ModelFiles {
    if engine.reads_files() { ModelFiles::Here } else { ModelFiles::Served }
}

/// Returns a point with the engine's device on it. Where the work is done outside this process, the CPU time of this
/// process tells neither what a call costs nor whether others were in the way.
pub(crate) fn placed(engine: &dyn Engine, point: Point) -> Point {
    let point = Point { device: engine.device(), ..point };
    if engine.works_here() {
        return point;
    }
    let conditions = Conditions { contended: false, ..point.conditions };
    Point { cpu_ms: None, conditions, ..point }
}

/// An engine for tests: plays given times and scores in turn, whatever the file or the input.
#[derive(Debug, Clone, PartialEq)]
pub struct Scripted {
    /// Wall times, played in turn and from the start again.
    pub walls: Vec<Duration>,
    /// Scores of each class, the same for every sample.
    pub scores: Vec<f32>,
}

impl Engine for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn is_real(&self) -> bool {
        false
    }

    fn version(&self) -> String {
        "1".to_owned()
    }

    fn open(&self, _: &Path, _: &[&str], _: u32) -> Result<Box<dyn Session>, Error> {
        Ok(Box::new(ScriptedSession { script: self.clone(), calls: 0 }))
    }
}

struct ScriptedSession {
    script: Scripted,
    calls: usize,
}

impl Session for ScriptedSession {
    fn run(&mut self, inputs: &[Named]) -> Result<Run, Error> {
        let wall = self.script.walls[self.calls % self.script.walls.len()];
        self.calls += 1;
        Ok(Run::of_scores(self.script.scores.repeat(samples_of(inputs)), self.script.scores.len(), wall))
    }
}
