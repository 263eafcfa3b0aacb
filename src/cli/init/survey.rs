//! What is in the folder: models with what they take and give, and samples.

use std::fs;
use std::path::{Path, PathBuf};

use crate::profile::onnx::signature;
use crate::tensor::{DType, Port, Samples, Signature, read_samples};
use crate::{Code, Error, Finding, Findings};

use crate::base::paths::{plain, relative};

/// Everything that the files are written from.
pub struct Survey {
    /// What the family is called: the name of its folder.
    pub name: String,
    /// The models, in the order of their names.
    pub models: Vec<Model>,
    /// Samples to judge them by.
    pub data: Option<Data>,
}

/// One ONNX file.
pub struct Model {
    /// Name of the variant.
    pub name: String,
    /// The file, as the list names it.
    pub file: PathBuf,
    pub signature: Signature,
    /// Why it is no variant of this family.
    pub misfit: Option<String>,
}

/// Samples, as the list names them.
pub struct Data {
    pub test: Files,
    /// Others, to choose thresholds on.
    pub calibration: Option<Files>,
}

/// Images, and the class of each where somebody knows.
pub struct Files {
    pub images: PathBuf,
    pub labels: Option<PathBuf>,
}

impl Survey {
    /// Looks through a folder; paths are as a list in `output` names them.
    ///
    /// # Errors
    /// Findings for a folder without models and for every file that is broken.
    pub fn of(folder: &Path, output: &Path) -> Result<Self, Error> {
        let names = names(folder)?;
        let mut findings = Findings::default();
        let mut keep = |error: Error| match error {
            Error::Input(more) => findings.extend(more),
            other => findings.push(Finding::error(Code::Unreadable, "", other.to_string(), "")),
        };
        let files = names.iter().filter(|name| name.ends_with(".onnx"));
        let models = files.filter_map(|name| match signature(&folder.join(name)) {
            Ok(signature) => Some((name, signature)),
            Err(error) => {
                keep(error);
                None
            }
        });
        let models: Vec<_> = models.collect();
        let data = data(&names);
        let samples = data.as_ref().and_then(|data| {
            let labels = data.test.labels.as_ref().map(|labels| folder.join(labels));
            read_samples(&folder.join(&data.test.images), labels.as_deref()).map_err(keep).ok()
        });
        findings.or(())?;
        if models.is_empty() {
            let cause = "there is no file whose name ends in .onnx";
            let finding = Finding::error(Code::Empty, "", cause, "name the folder that holds the models");
            return Err(Findings::from(finding).in_file(folder).into());
        }
        let taken = taken(&models, samples.as_ref());
        let placed = |file: &Path| relative(&folder.join(file), output);
        let model = |(name, signature): (&String, Signature)| Model {
            name: name.trim_end_matches(".onnx").to_owned(),
            file: placed(Path::new(name)),
            misfit: misfit(&signature, &taken),
            signature,
        };
        let files = |files: Files| Files { images: placed(&files.images), labels: files.labels.as_deref().map(placed) };
        Ok(Self {
            name: name_of(folder),
            models: models.into_iter().map(model).collect(),
            data: data.map(|data| Data { test: files(data.test), calibration: data.calibration.map(files) }),
        })
    }

    /// Returns the models that can stand in for each other.
    pub fn variants(&self) -> impl Iterator<Item = &Model> {
        self.models.iter().filter(|model| model.misfit.is_none())
    }
}

impl Model {
    /// Returns the output with the scores, where there are several: the last that gives one row a sample, as the last exit
    /// of a network does.
    pub fn scores(&self) -> Option<&Port> {
        let outputs = &self.signature.outputs;
        let is_row = |output: &&Port| output.shape.as_ref().is_some_and(|shape| shape.len() == 2);
        let rows = outputs.iter().rev().find(is_row);
        (outputs.len() > 1).then(|| rows.or(outputs.first())).flatten()
    }
}

fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let unreadable = |error: std::io::Error| {
        let action = match crate::base::near::path(folder) {
            Some(found) => format!("did you mean {}?", found.display()),
            None => "name a folder with ONNX files".to_owned(),
        };
        let finding = Finding::error(Code::Unreadable, "", format!("cannot be read: {error}"), action);
        Findings::from(finding).in_file(folder)
    };
    let entries = fs::read_dir(folder).map_err(unreadable)?;
    // A name that is not UTF-8 cannot stand in a TOML file.
    let names = entries.filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose());
    let mut names = names.collect::<Result<Vec<String>, _>>().map_err(unreadable)?;
    names.sort_unstable();
    Ok(names)
}

/// Finds images with their labels by their names, and tells which are for calibration.
fn data(names: &[String]) -> Option<Data> {
    let is_images = |name: &&String| name.contains("images") && (name.ends_with(".idx") || name.ends_with(".idx.gz"));
    let files = |name: &String| {
        let labels = name.replace("images", "labels");
        Files { images: name.into(), labels: names.contains(&labels).then(|| labels.into()) }
    };
    let calibrates = |name: &&String| ["calib", "train", "valid"].iter().any(|word| name.contains(word));
    let (others, mut tests): (Vec<&String>, Vec<&String>) = names.iter().filter(is_images).partition(calibrates);
    tests.sort_by_key(|name| !name.contains("test"));
    let test = tests.first().or(others.first())?;
    let test_files = files(test);
    let is_like = |files: &Files| files.labels.is_some() == test_files.labels.is_some();
    let calibration = others.iter().filter(|name| *name != test).map(|name| files(name)).find(is_like);
    Some(Data { test: test_files, calibration })
}

/// Returns the shape of the samples, or of what most models take where there are none.
fn taken(models: &[(&String, Signature)], samples: Option<&Samples>) -> Option<Vec<u64>> {
    if let Some(samples) = samples {
        return Some(samples.arrays[0].tensor.shape().iter().skip(1).map(|&size| size as u64).collect());
    }
    let shapes: Vec<Vec<u64>> = models.iter().filter_map(|(_, signature)| signature.inputs[0].sample()).collect();
    let count = |shape: &Vec<u64>| shapes.iter().filter(|other| *other == shape).count();
    // The first of those that as many take.
    shapes.iter().rev().max_by_key(|shape| count(shape)).cloned()
}

/// Says why a model cannot answer the samples; nothing where it can, or where nobody knows.
fn misfit(signature: &Signature, taken: &Option<Vec<u64>>) -> Option<String> {
    let input = &signature.inputs[0];
    if signature.inputs.len() > 1 {
        let names: Vec<_> = signature.inputs.iter().map(|input| input.name.as_str()).collect();
        return Some(format!("it has {} inputs ({}); a variant has one", names.len(), names.join(", ")));
    }
    if input.element.dtype() != Some(DType::F32) {
        return Some(format!("it takes {}; a variant takes float32", input.element));
    }
    let (sample, taken) = (input.sample()?, taken.as_ref()?);
    let sizes = |sizes: &[u64]| sizes.iter().map(u64::to_string).collect::<Vec<_>>().join(" × ");
    (sample != *taken).then(|| format!("it takes {} a sample; the others take {}", sizes(&sample), sizes(taken)))
}

fn name_of(folder: &Path) -> String {
    let name = plain(folder).ok().and_then(|folder| Some(folder.file_name()?.to_string_lossy().into_owned()));
    name.unwrap_or_else(|| "models".to_owned())
}

#[cfg(test)]
mod tests {
    use super::data;

    #[test]
    fn samples_are_found_by_their_names() {
        let found = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let text = |file: super::Files| {
                let labels = file.labels.map_or("-".to_owned(), |labels| labels.display().to_string());
                format!("{} {labels}", file.images.display())
            };
            data(&names).map(|data| (text(data.test), data.calibration.map(text)))
        };
        let pair = |word: &str| format!("{word}-images.idx.gz {word}-labels.idx.gz");
        assert_eq!(found(&["a.onnx"]), None);
        assert_eq!(found(&["images.idx"]), Some(("images.idx -".to_owned(), None)));
        let all = ["calib-images.idx.gz", "calib-labels.idx.gz", "test-images.idx.gz", "test-labels.idx.gz"];
        assert_eq!(found(&all), Some((pair("test"), Some(pair("calib")))));
        assert_eq!(found(&all[..2]), Some((pair("calib"), None)));
        assert_eq!(found(&all[1..]), Some((pair("test"), None)));
    }
}
