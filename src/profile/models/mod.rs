//! The model list `planner.models/1`: which files do the task, and the labelled samples that judge them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Runs, onnx};
use crate::base::codec::{self, Document};
use crate::base::error::Error;
use crate::base::finding::{Code, Finding, Findings};
use crate::base::near;
use crate::base::units::Share;
use crate::stats::shuffle;
use crate::tensor::{Samples, read_arrays, read_samples};

mod data;
mod judge;

pub use data::{BatchAxis, CalibrationFiles, DataFiles, Extent, Feed, RandomFeed};
pub use judge::{JudgeKind, JudgeSettings};

/// The name and version of the model list format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ModelsFormat {
    /// The only version so far.
    #[default]
    #[serde(rename = "planner.models/1")]
    V1,
}

/// The model files of one task and the data to judge them by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelList {
    /// Always `planner.models/1`.
    pub format: ModelsFormat,
    /// What the variants do, in a word.
    pub task: String,
    /// What they are fed, and the samples to judge them by.
    pub data: DataFiles,
    /// What counts as right; default: the best class of one row of scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<JudgeSettings>,
    /// The variants.
    pub variants: Vec<VariantFile>,
}

impl Document for ModelList {
    const FORMAT: &'static str = "planner.models/1";
    const NOUN: &'static str = "models";

    fn rules(&self) -> Findings {
        self.validate()
    }
}

/// One variant of the list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VariantFile {
    /// The name used everywhere else.
    pub name: String,
    /// The ONNX file, relative to the list; empty for a network in stages.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub file: PathBuf,
    /// Output that is judged, where the model has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The name in the data of each input whose name there is another: `{ ids = "input_ids" }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, String>,
    /// Outputs of an early-exit network, the first exit first; each becomes a variant `NAME.EXIT` that runs through it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exits: Vec<String>,
    /// An early-exit network cut into files, the first stage first; each becomes a variant `NAME.STAGE` that is measured
    /// alone and answers with its exit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageFile>,
    /// How often it was right elsewhere, where answers are not classes and so nothing here can judge them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<CountedAccuracy>,
    /// What of an early-exit network it is; set where `exits` and `stages` are taken apart.
    #[serde(skip)]
    pub part: Option<Part>,
}

/// Right answers that somebody else counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CountedAccuracy {
    /// Right answers.
    pub right: u64,
    /// All answers, each independent of the others.
    #[schemars(range(min = 1))]
    pub of: u64,
    /// Who counted, and what counts as right.
    pub source: String,
}

impl CountedAccuracy {
    fn validate(&self, key: &str, findings: &mut Findings) {
        let mut bad = |code, name: &str, cause: String, action: &str| {
            findings.push(Finding::error(code, format!("{key}{name}"), cause, action));
        };
        if self.right > self.of || self.of == 0 {
            let cause = format!("{} of {} answers cannot be right", self.right, self.of);
            bad(Code::OutOfRange, ".right", cause, "count the right answers among at least one");
        }
        if self.source.trim().is_empty() {
            let action = "say who counted and what counts as right";
            bad(Code::Empty, ".source", "nobody can tell where the count comes from".to_owned(), action);
        }
    }
}

/// One stage of an early-exit network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageFile {
    /// Its name within the network.
    pub name: String,
    /// The ONNX file, relative to the list.
    pub file: PathBuf,
    /// Output with the scores, where the file has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<String>,
    /// Output that goes on to the next stage; every stage but the last has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passes: Option<String>,
}

/// What an entry is of an early-exit network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Name of the network.
    pub network: String,
    /// Number of the exit, from 0.
    pub exit: u32,
    /// Whether it runs from the input through the exit, or one stage alone.
    pub runs: Runs,
    /// Output that goes on to the next stage.
    pub passes: Option<String>,
}

fn is_empty(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

impl VariantFile {
    /// Returns a variant that is one file.
    #[must_use]
    pub fn new(name: impl Into<String>, file: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            file: file.into(),
            output: None,
            inputs: BTreeMap::new(),
            exits: Vec::new(),
            stages: Vec::new(),
            accuracy: None,
            part: None,
        }
    }

    /// Returns the variants that an entry of a list means: itself, or its exits or stages.
    fn taken_apart(self) -> Vec<Self> {
        let Self { name: network, file, output, inputs, exits, stages, accuracy, .. } = self;
        let entry = |number: usize, (name, file, output, passes), runs| Self {
            name: format!("{network}.{name}"),
            file,
            output,
            inputs: inputs.clone(),
            exits: Vec::new(),
            stages: Vec::new(),
            accuracy: None,
            part: Some(Part { network: network.clone(), exit: number as u32, runs, passes }),
        };
        if !stages.is_empty() {
            let stages = stages.into_iter().map(|stage| (stage.name, stage.file, stage.exit, stage.passes));
            return stages.enumerate().map(|(number, stage)| entry(number, stage, Runs::Alone)).collect();
        }
        if !exits.is_empty() {
            let exits = exits.into_iter().map(|exit| (exit.clone(), file.clone(), Some(exit), None));
            return exits.enumerate().map(|(number, exit)| entry(number, exit, Runs::Through)).collect();
        }
        vec![Self { name: network, file, output, inputs, exits, stages, accuracy, part: None }]
    }

    fn validate(&self, key: &str, findings: &mut Findings) {
        let mut bad = |code, name: &str, cause: &str, action: &str| {
            findings.push(Finding::error(code, format!("{key}{name}"), cause, action));
        };
        if self.name.trim().is_empty() {
            bad(Code::Empty, ".name", "the name is empty", "name the variant");
        }
        let (has_file, has_exits, has_stages) =
            (!is_empty(&self.file), !self.exits.is_empty(), !self.stages.is_empty());
        if !has_file && !has_stages {
            bad(Code::MissingField, ".file", "there is no file", "name the ONNX file, or those of its `stages`");
        }
        if has_stages && (has_file || has_exits || self.output.is_some()) {
            let action = "leave out `file`, `output` and `exits`; each stage names its own";
            bad(Code::NoEffect, ".stages", "a network in stages has no file of its own", action);
        }
        if has_exits && self.output.is_some() {
            bad(Code::NoEffect, ".output", "`exits` names the outputs already", "leave it out");
        }
        if self.accuracy.is_some() && (has_exits || has_stages) {
            let action = "list the network once as a whole, or judge its exits by labels";
            bad(Code::NoEffect, ".accuracy", "each exit has an accuracy of its own", action);
        }
        let last = self.stages.len().saturating_sub(1);
        for (number, stage) in self.stages.iter().enumerate() {
            match (&stage.passes, number == last) {
                (None, false) => {
                    let action = "name the output that the next stage takes";
                    bad(Code::MissingField, &format!(".stages[{number}].passes"), "nothing goes on", action);
                }
                (Some(_), true) => {
                    let cause = "there is no stage after the last";
                    bad(Code::NoEffect, &format!(".stages[{number}].passes"), cause, "leave it out");
                }
                _ => {}
            }
        }
        if let Some(accuracy) = &self.accuracy {
            accuracy.validate(&format!("{key}.accuracy"), findings);
        }
    }
}

impl ModelList {
    /// Returns everything that is wrong between the fields; whether files exist is for [`Family::load`].
    #[must_use]
    pub fn validate(&self) -> Findings {
        let mut findings = Findings::default();
        if self.variants.is_empty() {
            findings.push(Finding::error(
                Code::Empty,
                "variants",
                "there is no variant",
                "list at least one model file",
            ));
        }
        for (index, variant) in self.variants.iter().enumerate() {
            variant.validate(&format!("variants[{index}]"), &mut findings);
        }
        self.accuracies_have_one_origin(&mut findings);
        let parts: Vec<(usize, Vec<VariantFile>)> =
            self.variants.iter().map(|variant| variant.clone().taken_apart()).enumerate().collect();
        let mut seen = BTreeSet::new();
        for (index, part) in parts.iter().flat_map(|(index, parts)| parts.iter().map(move |part| (index, part))) {
            if !part.name.trim().is_empty() && !seen.insert(&part.name) {
                let cause = format!("`{}` names two variants", part.name);
                let key = format!("variants[{index}].name");
                findings.push(Finding::error(Code::DuplicateName, key, cause, "rename one of them"));
            }
        }
        let all: Vec<VariantFile> = parts.iter().flat_map(|(_, parts)| parts.clone()).collect();
        self.data.validate(&all, self.needs_labels(&all), &mut findings);
        if let Some(judge) = &self.judge {
            judge.validate(&mut findings);
        }
        findings
    }

    /// Tells that only labels or a reference can say which answers are right.
    fn needs_labels(&self, parts: &[VariantFile]) -> bool {
        let is_judged_otherwise = match self.judge_settings().kind {
            JudgeKind::None | JudgeKind::Reference | JudgeKind::Command => true,
            _ => self.data.is_random() && self.judge.is_none(),
        };
        !is_judged_otherwise && parts.iter().all(|variant| variant.accuracy.is_none())
    }

    /// Returns what counts as right.
    #[must_use]
    pub fn judge_settings(&self) -> JudgeSettings {
        self.judge.clone().unwrap_or_default()
    }

    /// Tells whether answers are judged here.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        match self.judge_settings().kind {
            JudgeKind::None => false,
            JudgeKind::Reference | JudgeKind::Command => true,
            _ => self.data.judge(),
        }
    }

    /// Returns the variant whose answers stand for the truth.
    #[must_use]
    pub fn reference(&self) -> Option<&str> {
        let of_judge = self.judge.as_ref().and_then(|judge| judge.variant.as_deref());
        self.data.reference.as_deref().or(of_judge)
    }

    /// Either the samples judge all variants, or all say how often they were right elsewhere.
    fn accuracies_have_one_origin(&self, findings: &mut Findings) {
        let (judge, elsewhere) = (self.data.judge(), |variant: &VariantFile| variant.accuracy.is_some());
        let some_elsewhere = self.variants.iter().any(elsewhere);
        for (index, variant) in self.variants.iter().enumerate() {
            let key = format!("variants[{index}].accuracy");
            if judge && elsewhere(variant) {
                let (cause, action) = ("the samples judge the variants", "leave out one of the two");
                findings.push(Finding::error(Code::NoEffect, key, cause, action));
            } else if !judge && some_elsewhere && !elsewhere(variant) {
                let cause = "other variants have one, and nothing here judges this one";
                findings.push(Finding::error(Code::MissingField, key, cause, "count it for every variant"));
            }
        }
    }

    fn missing_files(&self, folder: &Path, models: ModelFiles) -> Findings {
        let mut files = self.data.files();
        let here = if models == ModelFiles::Here { self.variants.as_slice() } else { &[] };
        for (index, variant) in here.iter().enumerate() {
            if variant.stages.is_empty() {
                files.push((format!("variants[{index}].file"), variant.file.as_path()));
            }
            let stages = variant.stages.iter().enumerate();
            files.extend(
                stages
                    .map(|(number, stage)| (format!("variants[{index}].stages[{number}].file"), stage.file.as_path())),
            );
        }
        let mut findings = Findings::default();
        let is_there = |key: &str, file: &Path| {
            let file = folder.join(file);
            file.is_file() || (key.ends_with("inputs") && file.is_dir())
        };
        for (key, file) in files.into_iter().filter(|(key, file)| !is_there(key, file)) {
            let cause = format!("{} is no file", folder.join(file).display());
            let action = near::path(&folder.join(file))
                .map_or("paths are relative to the model list".to_owned(), |found| {
                    format!("did you mean {}?", found.display())
                });
            findings.push(Finding::error(Code::Unreadable, key, cause, action));
        }
        findings
    }
}

/// Samples that are drawn where inputs are random.
const RANDOM_SAMPLES: usize = 64;

/// Where the model files of a list are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelFiles {
    /// On this machine: every file must exist.
    Here,
    /// On a server, which knows each model by the name of its file; none need lie here.
    Served,
}

/// A model list with its files found and its samples read.
#[derive(Debug, Clone)]
pub struct Family {
    /// The list, with its networks taken apart into exits and stages.
    pub list: ModelList,
    /// The folder that its paths are relative to.
    pub folder: PathBuf,
    /// SHA-256 of the list.
    pub list_sha256: String,
    /// SHA-256 of each variant's file, in the order of the list, empty for a file that is not here; no digests where
    /// nobody asked for them.
    pub model_sha256: Vec<String>,
    /// The samples that accuracy is stated on.
    pub samples: Samples,
    /// The samples that thresholds are chosen on, where they are kept apart.
    pub calibration: Option<Samples>,
}

impl Family {
    /// Loads a model list, its samples and the digests of its model files.
    ///
    /// # Errors
    /// Every finding about the list, then every missing file, then what is wrong with the data.
    pub fn load(path: &Path) -> Result<Self, Error> {
        Self::load_from(path, ModelFiles::Here)
    }

    /// Loads the same for models that may be elsewhere.
    ///
    /// # Errors
    /// As [`Family::load`].
    pub fn load_from(path: &Path, models: ModelFiles) -> Result<Self, Error> {
        let mut family = Self::without_digests(path, models)?;
        let digest = |variant: &VariantFile| {
            let file = family.folder.join(&variant.file);
            let elsewhere = models == ModelFiles::Served && !file.exists();
            if elsewhere { Ok(String::new()) } else { onnx::digest(&file) }
        };
        family.model_sha256 = family.list.variants.iter().map(digest).collect::<Result<_, Error>>()?;
        Ok(family)
    }

    /// Loads all but the digests, for who only runs the models.
    ///
    /// # Errors
    /// As [`Family::load`].
    pub fn without_digests(path: &Path, models: ModelFiles) -> Result<Self, Error> {
        let loaded = codec::load::<ModelList>(path)?;
        let mut list = loaded.document;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        list.missing_files(&folder, models).in_file(path).or(())?;
        list.variants = list.variants.into_iter().flat_map(VariantFile::taken_apart).collect();
        let read = |images: Option<&PathBuf>, inputs: Option<&PathBuf>, labels: Option<&PathBuf>| {
            let labels = labels.map(|file| folder.join(file));
            match (images, inputs) {
                (Some(images), _) => read_samples(&folder.join(images), labels.as_deref()),
                (None, Some(inputs)) => read_arrays(&folder.join(inputs), labels.as_deref()),
                // The rules of the list ask for one of the two.
                (None, None) => Ok(Samples::random(RANDOM_SAMPLES)),
            }
        };
        let data = &list.data;
        let all = if data.is_random() {
            Samples::random(RANDOM_SAMPLES)
        } else {
            read(data.images.as_ref(), data.inputs.as_ref(), data.labels.as_ref())?
        };
        let apart = data.calibration.as_ref();
        let apart = apart.map(|files| read(files.images.as_ref(), files.inputs.as_ref(), files.labels.as_ref()));
        let (samples, calibration) = match list.data.calibration_share {
            Some(share) => {
                let (test, calibration) = split(&all, share);
                (test, Some(calibration))
            }
            None => (all, apart.transpose()?),
        };
        Ok(Self { folder, list_sha256: loaded.sha256, model_sha256: Vec::new(), samples, calibration, list })
    }

    /// Returns the digest of all data that answers rest on.
    #[must_use]
    pub fn data_sha256(&self) -> String {
        let Some(calibration) = &self.calibration else { return self.samples.sha256.clone() };
        let share = self.list.data.calibration_share.map_or(0.0, Share::get);
        codec::sha256(format!("{} {} {share}", self.samples.sha256, calibration.sha256).as_bytes())
    }

    /// Returns the places of the stages that a stage's input goes through, the first stage first; none for all else.
    #[must_use]
    pub fn stages_before(&self, index: usize) -> Vec<usize> {
        let Some(part) = self.list.variants[index].part.as_ref().filter(|part| part.runs == Runs::Alone) else {
            return Vec::new();
        };
        let place = |exit: u32| {
            self.list.variants.iter().position(|other| {
                let other = other.part.as_ref();
                other
                    .is_some_and(|other| other.network == part.network && other.exit == exit && other.runs == part.runs)
            })
        };
        (0..part.exit).filter_map(place).collect()
    }
}

/// Sets a part of the samples apart for calibration, at random but the same every time; each half keeps its order.
/// Returns the test half, then the calibration half.
fn split(samples: &Samples, share: Share) -> (Samples, Samples) {
    let mut numbers: Vec<usize> = (0..samples.count()).collect();
    shuffle(&mut numbers, SPLIT_SEED, 0);
    let apart = (share.get() * numbers.len() as f64).round().clamp(1.0, (numbers.len() - 1).max(1) as f64) as usize;
    let mut test = numbers.split_off(apart.min(numbers.len()));
    test.sort_unstable();
    numbers.sort_unstable();
    (samples.chosen(&test), samples.chosen(&numbers))
}

/// The halves are facts of the data: no user's seed moves samples between them.
const SPLIT_SEED: u64 = 42;

#[cfg(test)]
mod tests {
    use super::{ModelList, Runs, VariantFile, split};
    use crate::base::finding::Code;
    use crate::base::units::Share;
    use crate::tensor::{Samples, Tensor};

    fn codes(data: &str, variants: &str) -> Vec<(Code, String)> {
        let text = format!(r#"{{"format":"planner.models/1","task":"t","data":{data},"variants":{variants}}}"#);
        let list: ModelList = serde_json::from_str(&text).expect("well-formed");
        list.validate().0.into_iter().map(|finding| (finding.code, finding.key)).collect()
    }

    const DATA: &str = r#"{"images":"i","labels":"l"}"#;

    #[test]
    fn names_are_unique_and_not_empty() {
        let seen = codes(DATA, r#"[{"name":"a","file":"a"},{"name":"a","file":"b"},{"name":"","file":"c"}]"#);
        assert_eq!(seen.iter().map(|(code, _)| *code).collect::<Vec<_>>(), [Code::Empty, Code::DuplicateName]);
        let seen = codes(DATA, r#"[{"name":"a","file":"a","exits":["x"]},{"name":"a.x","file":"b"}]"#);
        assert_eq!(seen, [(Code::DuplicateName, "variants[1].name".to_owned())]);
    }

    #[test]
    fn stages_pass_something_on_except_the_last() {
        let seen = codes(
            DATA,
            r#"[{"name":"a","stages":[{"name":"s","file":"a"},{"name":"t","file":"b","passes":"c"}]},{"name":"b"}]"#,
        );
        let keys: Vec<_> = seen.iter().map(|(_, key)| key.as_str()).collect();
        assert_eq!(keys, ["variants[0].stages[0].passes", "variants[0].stages[1].passes", "variants[1].file"]);
    }

    #[test]
    fn something_says_which_answers_are_right() {
        let one = r#"[{"name":"a","file":"a"}]"#;
        let cases = [
            (r#"{"images":"i"}"#, Code::MissingField),
            (r#"{"images":"i","labels":"l","reference":"a"}"#, Code::NoEffect),
            (r#"{"images":"i","reference":"b"}"#, Code::UnknownName),
            (r#"{"images":"i","labels":"l","calibration":{"images":"c"}}"#, Code::MissingField),
            (r#"{"images":"i","labels":"l","calibration_share":1.0}"#, Code::OutOfRange),
        ];
        for (data, code) in cases {
            assert_eq!(codes(data, one).iter().map(|(code, _)| *code).collect::<Vec<_>>(), [code], "{data}");
        }
        assert_eq!(codes(r#"{"images":"i","reference":"a","calibration_share":0.5}"#, one), []);
    }

    #[test]
    fn accuracy_is_judged_here_or_counted_elsewhere() {
        let counted = r#""accuracy":{"right":2,"of":3,"source":"s"}"#;
        let one = |accuracy: &str| format!(r#"[{{"name":"a","file":"f",{accuracy}}}]"#);
        let (two, exits) = (
            format!(r#"[{{"name":"a","file":"f",{counted}}},{{"name":"b","file":"g"}}]"#),
            one(&format!(r#""exits":["x"],{counted}"#)),
        );
        let nonsense = one(r#""accuracy":{"right":4,"of":3,"source":" "}"#);
        let key = |key: &str| format!("variants[{key}");
        let images = r#"{"images":"i"}"#;
        let cases = [
            (images, one(counted), vec![]),
            (images, two, vec![(Code::MissingField, key("1].accuracy"))]),
            (DATA, one(counted), vec![(Code::NoEffect, key("0].accuracy"))]),
            (images, exits, vec![(Code::NoEffect, key("0].accuracy")), (Code::MissingField, "data.labels".to_owned())]),
            (
                images,
                nonsense,
                vec![(Code::OutOfRange, key("0].accuracy.right")), (Code::Empty, key("0].accuracy.source"))],
            ),
            (
                r#"{"images":"i","calibration_share":0.5}"#,
                one(counted),
                vec![(Code::NoEffect, "data.calibration_share".to_owned())],
            ),
        ];
        for (data, variants, wanted) in cases {
            assert_eq!(codes(data, &variants), wanted, "{data} {variants}");
        }
    }

    #[test]
    fn networks_are_taken_apart() {
        let entry: VariantFile =
            serde_json::from_str(r#"{"name":"n","file":"f","exits":["x","y"]}"#).expect("well-formed");
        let parts = entry.taken_apart();
        let seen: Vec<_> = parts.iter().map(|part| (part.name.as_str(), part.output.as_deref())).collect();
        assert_eq!(seen, [("n.x", Some("x")), ("n.y", Some("y"))]);
        assert!(parts.iter().all(|part| part.part.as_ref().is_some_and(|part| part.runs == Runs::Through)));
    }

    #[test]
    fn halves_share_no_sample_and_lose_none() {
        let pixels = Tensor::floats([101], (0..101_u8).map(f32::from).collect());
        let samples = Samples::labelled(pixels, (0..101).collect());
        let (test, calibration) = split(&samples, Share::new(0.25).expect("a share"));
        assert_eq!((test.count(), calibration.count()), (76, 25));
        let (of_test, of_calibration) = (test.classes().expect("classes"), calibration.classes().expect("classes"));
        assert!(of_test.is_sorted() && test.arrays[0].tensor.number(3) == Some(of_test[3].into()));
        let mut all = [of_test, of_calibration].concat();
        all.sort_unstable();
        assert_eq!(Some(all), samples.classes());
    }
}
