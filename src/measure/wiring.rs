//! How a variant is wired up: what goes in, and which of its outputs mean what.

use std::path::Path;

use super::engines::{Engine, Session, bad_model};
use super::feeding::{Feeder, Pantry};
use super::judge::Judge;
use crate::base::error::Error;
use crate::profile::onnx;
use crate::profile::{CertaintyMeasure, Family, VariantFile};
use crate::tensor::{Samples, Signature};

/// What a variant is fed and how it is judged.
#[derive(Debug)]
pub struct Wiring<'a> {
    pub feeder: Feeder<'a>,
    pub judge: Judge<'a>,
}

impl<'a> Wiring<'a> {
    /// Wires a variant up for some samples, which enter at `first`: itself, or the first stage of its network.
    ///
    /// # Errors
    /// Findings where the data do not fit the model, or none of its outputs can be judged.
    pub fn new(
        family: &'a Family,
        engine: &'a dyn Engine,
        (first, entry): (&'a VariantFile, &'a VariantFile),
        samples: &'a Samples,
        measure: CertaintyMeasure,
    ) -> Result<Self, Error> {
        let (enters, file) = (family.folder.join(&first.file), family.folder.join(&entry.file));
        let pantry = Pantry { samples, data: &family.list.data, names: &first.inputs, engine };
        let taken = signature(engine, &enters)?;
        let feeder = Feeder::new(&taken, pantry).map_err(|findings| findings.in_file(&enters))?;
        let given = if enters == file { taken } else { signature(engine, &file)? };
        let judge = Judge::new(&family.list, entry, &given, samples, measure)
            .map_err(|cause| bad_model(engine.name(), &file, cause))?;
        Ok(Self { feeder, judge })
    }

    /// Opens a variant for what is read of it.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn open(
        &self,
        family: &Family,
        engine: &dyn Engine,
        entry: &VariantFile,
        cores: u32,
    ) -> Result<Box<dyn Session>, Error> {
        let passes = entry.part.as_ref().and_then(|part| part.passes.as_deref());
        let reads = self.judge.reads().iter().map(String::as_str).chain(passes);
        let mut outputs: Vec<&str> = Vec::new();
        for name in reads.filter(|name| !name.is_empty()) {
            if !outputs.contains(&name) {
                outputs.push(name);
            }
        }
        engine.open(&family.folder.join(&entry.file), &outputs, cores)
    }
}

/// Returns what a model takes and gives: as its file says, or else as the engine does.
///
/// # Errors
/// Whatever keeps the engine from opening it.
pub fn signature(engine: &dyn Engine, file: &Path) -> Result<Signature, Error> {
    let of_file = if engine.reads_files() { onnx::signature(file).ok() } else { None };
    match of_file {
        Some(signature) => Ok(signature),
        None => engine.signature(file),
    }
}
