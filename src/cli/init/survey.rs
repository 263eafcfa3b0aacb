//! What is in the folder: models with what they take and give, and samples.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::measure::engines::Scripted;
use crate::measure::feeding::{Feeder, Pantry};
use crate::profile::onnx::signature;
use crate::profile::{DataFiles, Extent, Feed, JudgeKind, RandomFeed};
use crate::tensor::{DType, Port, Samples, Signature, Size, Tensor, read_arrays, read_samples};
use crate::{Code, Error, Finding, Findings};

use crate::base::paths::{plain, relative};

/// Sizes that stand for what a model does not say: of pictures, and of anything else.
const GUESSES: [u32; 2] = [64, 16];

/// Everything that the files are written from.
pub struct Survey {
    /// What the family is called: the name of its folder.
    pub name: String,
    /// The models, in the order of their names.
    pub models: Vec<Model>,
    /// Samples to judge them by.
    pub data: Option<Data>,
    /// What is said about inputs that the data do not hold.
    pub feed: BTreeMap<String, Feed>,
    /// What counts as right.
    pub judge: JudgeKind,
}

/// One ONNX file.
pub struct Model {
    /// Name of the variant.
    pub name: String,
    /// The file, as the list names it.
    pub file: PathBuf,
    pub signature: Signature,
    /// The output that is judged, where there are several.
    pub output: Option<String>,
    /// Other outputs that could be meant as well.
    pub doubts: Vec<String>,
    /// Why it is no variant of this family.
    pub misfit: Option<String>,
}

/// Samples, as the list names them.
pub struct Data {
    pub test: Files,
    /// Others, to choose thresholds on.
    pub calibration: Option<Files>,
}

/// Images or arrays, and the label of each sample where it is known.
pub struct Files {
    pub inputs: PathBuf,
    /// Whether they are images, of whose bytes a model sees byte ÷ 255.
    pub are_images: bool,
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
            let read = if data.test.are_images { read_samples } else { read_arrays };
            read(&folder.join(&data.test.inputs), labels.as_deref()).map_err(keep).ok()
        });
        findings.or(())?;
        if models.is_empty() {
            let cause = "there is no file whose name ends in .onnx";
            let finding = Finding::error(Code::Empty, "", cause, "name the folder that holds the models");
            return Err(Findings::from(finding).in_file(folder).into());
        }
        let placed = |file: &Path| relative(&folder.join(file), output);
        let files = |files: Files| Files {
            inputs: placed(&files.inputs),
            labels: files.labels.as_deref().map(placed),
            ..files
        };
        let labels = samples.as_ref().and_then(|samples| samples.labels.clone());
        let fits: Vec<Fit> = models.iter().map(|(_, signature)| Fit::of(signature, samples.as_ref())).collect();
        let group = group(&models, &fits);
        let names = unique_names(&models);
        let (mut feed, mut surveyed, mut judge) = (BTreeMap::new(), Vec::new(), None);
        for (((file, signature), name), fit) in models.into_iter().zip(names).zip(fits) {
            let misfit = fit.misfit.or_else(|| {
                let own = takes(&signature);
                (own != group).then(|| format!("it takes {own}; the others take {group}"))
            });
            let (kind, output, doubts) = judged(&signature, labels.as_ref());
            if misfit.is_none() {
                feed.extend(fit.feed);
                judge = judge.or(Some(kind));
            }
            surveyed.push(Model { name, file: placed(Path::new(file)), signature, output, doubts, misfit });
        }
        Ok(Self {
            name: name_of(folder),
            models: surveyed,
            data: data.map(|data| Data { test: files(data.test), calibration: data.calibration.map(files) }),
            feed,
            judge: judge.unwrap_or(JudgeKind::None),
        })
    }

    /// Returns the models that can stand in for each other.
    pub fn variants(&self) -> impl Iterator<Item = &Model> {
        self.models.iter().filter(|model| model.misfit.is_none())
    }
}

/// How the data feed a model.
struct Fit {
    /// What must be said about inputs that the data do not hold.
    feed: BTreeMap<String, Feed>,
    misfit: Option<String>,
}

impl Fit {
    fn of(signature: &Signature, samples: Option<&Samples>) -> Self {
        let none = Samples::random(1);
        let engine = Scripted { walls: vec![Duration::ZERO], scores: Vec::new() };
        let tried = |feed: &BTreeMap<String, Feed>| {
            let inputs = Some(PathBuf::from(if samples.is_some() { "data" } else { "random" }));
            let data = DataFiles { inputs, feed: feed.clone(), ..DataFiles::default() };
            let names = BTreeMap::new();
            let pantry = Pantry { samples: samples.unwrap_or(&none), data: &data, names: &names, engine: &engine };
            Feeder::new(signature, pantry).map(|_| ())
        };
        let held =
            |port: &Port| samples.is_some_and(|samples| samples.arrays.iter().any(|array| array.name == port.name));
        let Err(first) = tried(&BTreeMap::new()) else { return Self { feed: BTreeMap::new(), misfit: None } };
        let drawn = |port: &&Port| !held(port);
        let feed: BTreeMap<String, Feed> =
            signature.inputs.iter().filter(drawn).map(|port| (port.name.clone(), guess(port))).collect();
        // A model that only random numbers feed is no model of these data.
        let is_fed = samples.is_none() || feed.len() < signature.inputs.len();
        match tried(&feed) {
            Ok(()) if is_fed => Self { feed, misfit: None },
            _ => Self { feed: BTreeMap::new(), misfit: first.0.first().map(|finding| finding.cause.clone()) },
        }
    }
}

/// Returns random numbers in the shape that a model says, or in a guessed one.
fn guess(port: &Port) -> Feed {
    let sizes = port.shape.as_deref().unwrap_or_default();
    let axis = sizes.iter().position(|size| size.fixed().is_none());
    let guess = if sizes.len() == 4 { GUESSES[0] } else { GUESSES[1] };
    let extent = |(place, size): (usize, &Size)| match size.fixed() {
        Some(size) => Extent::Fixed(u32::try_from(size).unwrap_or(u32::MAX)),
        None if axis == Some(place) => Extent::Batch,
        None => Extent::Fixed(guess),
    };
    let shape = sizes.iter().enumerate().map(extent).collect();
    Feed { random: Some(RandomFeed { shape: Some(shape), low: 0.0, high: None }), ..Feed::default() }
}

/// Says what a model takes of a sample, whatever its inputs are called.
fn takes(signature: &Signature) -> String {
    let size = |size: &Size| size.fixed().map_or("?".to_owned(), |size| size.to_string());
    let port = |port: &Port| {
        let shape = port.shape.as_deref().unwrap_or_default().iter().skip(1).map(size).collect::<Vec<_>>().join(" × ");
        format!("{} {shape}", port.element).trim_end().to_owned()
    };
    let mut ports: Vec<String> = signature.inputs.iter().map(port).collect();
    ports.sort_unstable();
    ports.join(" and ")
}

/// Returns what most of the models that can be fed take; of as many the first.
fn group(models: &[(&String, Signature)], fits: &[Fit]) -> String {
    let taken: Vec<String> = models
        .iter()
        .zip(fits)
        .filter(|(_, fit)| fit.misfit.is_none())
        .map(|((_, signature), _)| takes(signature))
        .collect();
    let count = |one: &String| taken.iter().filter(|other| *other == one).count();
    taken.iter().rev().max_by_key(|one| count(one)).cloned().unwrap_or_default()
}

/// Returns a name for each model: its file's without one `.onnx`, and none twice.
fn unique_names(models: &[(&String, Signature)]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let mut unique = |file: &str| {
        let stem = Some(file.strip_suffix(".onnx").unwrap_or(file)).filter(|stem| !stem.is_empty()).unwrap_or("model");
        let names = std::iter::once(stem.to_owned()).chain((2..).map(|number| format!("{stem}-{number}")));
        names.into_iter().find(|name| taken.insert(name.clone())).unwrap_or_default()
    };
    models.iter().map(|(file, _)| unique(file)).collect()
}

/// Says how a model's answers are judged: the kind, the output where there are several, and others that could be meant.
fn judged(signature: &Signature, labels: Option<&Tensor>) -> (JudgeKind, Option<String>, Vec<String>) {
    let named = |port: &Port| (signature.outputs.len() > 1).then(|| port.name.clone());
    let of_kind = |is_kind: &dyn Fn(DType) -> bool, rank: usize| -> Vec<&Port> {
        let fits = |port: &&Port| {
            port.element.dtype().is_some_and(is_kind) && port.shape.as_ref().is_none_or(|shape| shape.len() == rank)
        };
        signature.outputs.iter().filter(fits).collect()
    };
    let last = |port: &Port| port.shape.as_ref().and_then(|shape| shape.last()?.fixed());
    let rows = of_kind(&DType::is_float, 2);
    let Some(labels) = labels else {
        let row = rows.last().or(signature.outputs.first().as_ref()).and_then(|port| named(port));
        return (JudgeKind::None, row, Vec::new());
    };
    if labels.dtype() == DType::String {
        let words = [of_kind(&|dtype| dtype == DType::String, 1), of_kind(&|dtype| dtype == DType::String, 2)].concat();
        return words
            .first()
            .map_or((JudgeKind::None, None, Vec::new()), |port| (JudgeKind::Label, named(port), Vec::new()));
    }
    if labels.dtype().is_float() {
        return (JudgeKind::Number, rows.first().and_then(|port| named(port)), Vec::new());
    }
    let most = (0..labels.data().len()).filter_map(|place| labels.number(place)).fold(0.0, f64::max) as u64;
    if labels.shape().len() == 2 && labels.shape()[1] > 1 {
        let row = rows.iter().find(|port| last(port) == Some(labels.shape()[1] as u64));
        return row
            .map_or((JudgeKind::None, None, Vec::new()), |port| (JudgeKind::MultiLabel, named(port), Vec::new()));
    }
    let single = [of_kind(&DType::is_float, 1), rows.clone()].concat();
    let is_binary = rows.iter().all(|port| last(port) == Some(1)) && !single.is_empty() && most <= 1;
    if is_binary {
        return (JudgeKind::Binary, single.last().and_then(|port| named(port)), Vec::new());
    }
    // As many columns as there are classes tell scores from features.
    let exact: Vec<&Port> = rows.iter().copied().filter(|port| last(port) == Some(most + 1)).collect();
    let likely = if exact.is_empty() {
        rows.iter().copied().filter(|port| last(port).is_none_or(|size| size > most)).collect()
    } else {
        exact
    };
    match likely.split_last() {
        Some((scores, others)) => {
            (JudgeKind::TopOne, named(scores), others.iter().map(|port: &&Port| port.name.clone()).collect())
        }
        None => (JudgeKind::None, None, Vec::new()),
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

/// Endings of files with arrays, those that name their inputs first.
const ARRAYS: [&str; 3] = [".npz", ".safetensors", ".npy"];

/// Finds samples with their labels by their names, and tells which are for calibration.
fn data(names: &[String]) -> Option<Data> {
    let is_labels = |name: &str| ["label", "target"].iter().any(|word| name.contains(word));
    let are_images = |name: &&String| name.contains("images") && (name.ends_with(".idx") || name.ends_with(".idx.gz"));
    let with = |ending: &'static str| names.iter().filter(move |name| name.ends_with(ending) && !is_labels(name));
    let images: Vec<&String> = names.iter().filter(are_images).collect();
    let found = match images.is_empty() {
        true => ARRAYS.iter().map(|ending| with(ending).collect::<Vec<_>>()).find(|found| !found.is_empty())?,
        false => images,
    };
    let files = |name: &String| {
        let beside =
            [name.replace("images", "labels"), name.replace("samples", "labels"), name.replace("inputs", "labels")];
        let same = beside.iter().find(|labels| *labels != name && names.contains(labels)).cloned();
        let only = || {
            let mut all =
                names.iter().filter(|name| is_labels(name) && !name.ends_with(".onnx") && !name.ends_with(".toml"));
            all.next().filter(|_| all.next().is_none()).cloned()
        };
        let labels = if are_images(&name) { same } else { same.or_else(only) };
        Files { inputs: name.into(), are_images: are_images(&name), labels: labels.map(PathBuf::from) }
    };
    let calibrates = |name: &&&String| ["calib", "train", "valid"].iter().any(|word| name.contains(word));
    let (others, mut tests): (Vec<&String>, Vec<&String>) = found.iter().partition(calibrates);
    tests.sort_by_key(|name| !name.contains("test"));
    let test = tests.first().or(others.first())?;
    let test_files = files(test);
    let is_like = |files: &Files| files.labels.is_some() == test_files.labels.is_some();
    let calibration = others.iter().filter(|name| *name != test).map(|name| files(name)).find(is_like);
    Some(Data { test: test_files, calibration })
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
                format!("{} {labels}", file.inputs.display())
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
        assert_eq!(found(&["labels.npy", "samples.npz"]), Some(("samples.npz labels.npy".to_owned(), None)));
        assert_eq!(found(&["x.npy"]), Some(("x.npy -".to_owned(), None)));
    }
}
