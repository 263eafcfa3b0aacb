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
use crate::tensor::Batch;

/// What one call gave, and how long it took.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Scores of each class for each sample, row-major.
    pub scores: Vec<f32>,
    /// Classes in each row.
    pub classes: usize,
    /// What goes on to the next stage of the network, where the session was opened as a stage that passes something on.
    pub passed: Option<Batch>,
    /// Wall time of the call as the engine measured it.
    pub wall: Duration,
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

    /// Refuses a file that would end this process where it is opened; whoever opens models in a process that must live
    /// asks first.
    ///
    /// # Errors
    /// A finding for such a file.
    fn vet(&self, _model: &Path) -> Result<(), Error> {
        Ok(())
    }

    /// Opens a model on `cores` threads, which inherit the caller's affinity mask.
    ///
    /// `output` names the output with the scores; without it, it is the model's only or first one.
    ///
    /// # Errors
    /// A finding where the file is no model or has no such output; [`Error::Engine`] where the engine fails.
    fn open(&self, model: &Path, output: Option<&str>, cores: u32) -> Result<Box<dyn Session>, Error>;

    /// Opens a stage of an early-exit network, whose output `passes` goes on to the next stage.
    ///
    /// # Errors
    /// As [`Engine::open`]; [`Error::Unsupported`] where the engine has scores only.
    fn open_stage(
        &self,
        _model: &Path,
        _exit: Option<&str>,
        _passes: &str,
        _cores: u32,
    ) -> Result<Box<dyn Session>, Error> {
        Err(Error::Unsupported {
            what: format!("engine {} gives scores only, and a stage passes something on", self.name()),
            hint: "profile networks in stages with --engine rten or ort".to_owned(),
        })
    }
}

/// An opened model.
pub trait Session {
    /// Runs one batch.
    ///
    /// # Errors
    /// [`Error::Engine`] where the engine fails.
    fn run(&mut self, input: &Batch) -> Result<Run, Error>;
}

/// Returns the engine's name and version, as files carry it.
#[must_use]
pub fn full_name(engine: &dyn Engine) -> String {
    format!("{} {}", engine.name(), engine.version())
}

/// Returns the finding that a file is no model this engine can run.
#[must_use]
pub fn bad_model(engine: &str, model: &Path, cause: impl std::fmt::Display) -> Error {
    let action = format!("it must be an ONNX classifier that {engine} can run, with one input and scores per class");
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

/// Returns what another process answered to a call, where it has as many scores as it should.
pub(crate) fn checked(engine: &'static str, run: Run, samples: usize) -> Result<Run, Error> {
    if run.classes.checked_mul(samples) == Some(run.scores.len()) {
        return Ok(run);
    }
    let (scores, classes) = (run.scores.len(), run.classes);
    let message = format!(
        "it answered {scores} scores for {samples} samples of {classes} classes; every sample has a score for each class"
    );
    Err(Error::Engine { engine, message })
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

    fn open(&self, _: &Path, _: Option<&str>, _: u32) -> Result<Box<dyn Session>, Error> {
        Ok(Box::new(ScriptedSession { script: self.clone(), calls: 0 }))
    }
}

struct ScriptedSession {
    script: Scripted,
    calls: usize,
}

impl Session for ScriptedSession {
    fn run(&mut self, input: &Batch) -> Result<Run, Error> {
        let wall = self.script.walls[self.calls % self.script.walls.len()];
        self.calls += 1;
        let scores = self.script.scores.repeat(input.samples());
        Ok(Run { scores, classes: self.script.scores.len(), passed: None, wall })
    }
}
