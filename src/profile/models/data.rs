//! Where samples come from: the keys of `[data]`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::VariantFile;
use crate::base::finding::{Code, Finding, Findings};
use crate::base::near;
use crate::base::units::Share;

/// What `inputs` says where there are no data.
const RANDOM: &str = "random";
/// What a size says that is the number of samples.
const BATCH: &str = "batch";
/// What `batch_axis` says where no dimension counts samples.
const NO_AXIS: &str = "none";
/// The last dimension that can count samples.
const LAST_AXIS: u32 = 63;

/// Files with samples, relative to the list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataFiles {
    /// Images as IDX, gzipped where the name ends in `.gz`; of bytes a model sees byte ÷ 255.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<PathBuf>,
    /// In place of `images`: arrays whose first dimension counts samples, as `.npz`, `.npy`, `.idx`, `.idx.gz`,
    /// `.safetensors`, perf_analyzer's `.json`, or a folder of `.npy` named like inputs. `random` draws them from what a model
    /// takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<PathBuf>,
    /// The label of each sample, in the same order: class numbers, or what `[judge]` compares with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
    /// Where there are no labels: the variant whose answers stand for the truth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Whether floats may be rounded to the type that a model takes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cast: bool,
    /// What is to be said about an input, by its name in the data or in the model.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub feed: BTreeMap<String, Feed>,
    /// Other samples to choose thresholds on, so that accuracy is stated on samples that nothing was chosen on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationFiles>,
    /// In place of `calibration`: the part of the samples above that is set apart for it, drawn at random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration_share: Option<Share>,
}

/// Samples for calibration; labelled where the others are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CalibrationFiles {
    /// Images, as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<PathBuf>,
    /// Arrays, as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<PathBuf>,
    /// Their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
}

/// What is to be said about one input.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Feed {
    /// Zeros in this shape, of which `"batch"` stands for the number of samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zeros: Option<Vec<Extent>>,
    /// The same number, text, truth value or list of them for every call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<serde_json::Value>,
    /// Numbers drawn at random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random: Option<RandomFeed>,
    /// The number that fills a sample up to the longest of its batch, for samples of varying length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad: Option<f64>,
    /// The array of the same file that holds the length of each sample along its first dimension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lengths: Option<String>,
    /// The dimension that counts samples, from 0, or `none`; default: the first that is not fixed, or else the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_axis: Option<BatchAxis>,
}

/// Numbers drawn at random: from `low` to `high`, whole ones up to and without `high`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomFeed {
    /// The shape, of which `"batch"` stands for the number of samples; default: what the model says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Vec<Extent>>,
    /// Default: 0.
    #[serde(default)]
    pub low: f64,
    /// Default: 1 for floats, 2 for whole numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}

/// Size of one dimension of an input: a number, or `"batch"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "serde_json::Value", into = "serde_json::Value")]
pub enum Extent {
    /// Always so many.
    Fixed(u32),
    /// As many as there are samples.
    Batch,
}

impl TryFrom<serde_json::Value> for Extent {
    type Error = String;

    fn try_from(value: serde_json::Value) -> Result<Self, String> {
        let size = number_or_word(&value, u32::MAX, BATCH);
        let size = size.ok_or_else(|| format!("a size is a whole number or \"batch\", found {value}"))?;
        Ok(size.map_or(Self::Batch, Self::Fixed))
    }
}

/// Reads a whole number up to this, or a word, which is no number.
fn number_or_word(value: &serde_json::Value, most: u32, word: &str) -> Option<Option<u32>> {
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| *number <= most);
    number.map(Some).or((value.as_str() == Some(word)).then_some(None))
}

impl From<Extent> for serde_json::Value {
    fn from(extent: Extent) -> Self {
        match extent {
            Extent::Fixed(size) => size.into(),
            Extent::Batch => BATCH.into(),
        }
    }
}

impl JsonSchema for Extent {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Extent".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Size of one dimension: a number, or `batch` for the number of samples.",
            "anyOf": [{ "type": "integer", "minimum": 0, "maximum": u32::MAX }, { "const": BATCH }]
        })
    }
}

/// The dimension that counts samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "serde_json::Value", into = "serde_json::Value")]
pub enum BatchAxis {
    /// This one, from 0.
    At(u32),
    /// None: every call gets the same.
    None,
}

impl TryFrom<serde_json::Value> for BatchAxis {
    type Error = String;

    fn try_from(value: serde_json::Value) -> Result<Self, String> {
        let axis = number_or_word(&value, LAST_AXIS, NO_AXIS);
        let axis = axis.ok_or_else(|| format!("`batch_axis` is a dimension from 0 or \"none\", found {value}"))?;
        Ok(axis.map_or(Self::None, Self::At))
    }
}

impl From<BatchAxis> for serde_json::Value {
    fn from(axis: BatchAxis) -> Self {
        match axis {
            BatchAxis::At(axis) => axis.into(),
            BatchAxis::None => NO_AXIS.into(),
        }
    }
}

impl JsonSchema for BatchAxis {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "BatchAxis".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "The dimension that counts samples, from 0, or `none`.",
            "anyOf": [{ "type": "integer", "minimum": 0, "maximum": LAST_AXIS }, { "const": NO_AXIS }]
        })
    }
}

impl DataFiles {
    /// Returns one set of labelled images.
    #[must_use]
    pub fn labelled(images: impl Into<PathBuf>, labels: impl Into<PathBuf>) -> Self {
        Self { images: Some(images.into()), labels: Some(labels.into()), ..Self::default() }
    }

    /// Tells whether inputs are drawn at random.
    #[must_use]
    pub fn is_random(&self) -> bool {
        self.inputs.as_deref() == Some(Path::new(RANDOM))
    }

    /// Tells whether the samples say which answers are right.
    #[must_use]
    pub const fn judge(&self) -> bool {
        self.labels.is_some() || self.reference.is_some()
    }

    /// Returns the files that must be there, with their keys.
    pub(super) fn files(&self) -> Vec<(String, &Path)> {
        let calibration = self.calibration.as_ref();
        let inputs = self.inputs.as_ref().filter(|_| !self.is_random());
        let files = [
            ("images", self.images.as_ref()),
            ("inputs", inputs),
            ("labels", self.labels.as_ref()),
            ("calibration.images", calibration.and_then(|files| files.images.as_ref())),
            ("calibration.inputs", calibration.and_then(|files| files.inputs.as_ref())),
            ("calibration.labels", calibration.and_then(|files| files.labels.as_ref())),
        ];
        files.into_iter().filter_map(|(key, file)| Some((format!("data.{key}"), file?.as_path()))).collect()
    }

    /// Collects what is wrong; `needs_labels` tells that nothing else says which answers are right.
    pub(super) fn validate(&self, variants: &[VariantFile], needs_labels: bool, findings: &mut Findings) {
        self.one_source(findings);
        let mut bad = |code, key: &str, cause: String, action: &str| {
            findings.push(Finding::error(code, format!("data.{key}"), cause, action));
        };
        match (&self.labels, &self.reference) {
            (None, None) if needs_labels => {
                let action = "name the labels, as `reference` the variant whose answers stand for the truth, for each variant \
                              the `accuracy` that was counted elsewhere, or write [judge] kind = \"none\"";
                bad(Code::MissingField, "labels", "nothing says which answers are right".to_owned(), action);
            }
            (Some(_), Some(_)) => {
                bad(Code::NoEffect, "reference", "there are labels".to_owned(), "leave out one of the two");
            }
            (None, Some(name)) if !variants.iter().any(|variant| variant.name == *name) => {
                let known: Vec<_> = variants.iter().map(|variant| variant.name.as_str()).collect();
                let all = format!("the variants are {}", known.join(", "));
                let action = near::hint(name, known.iter().copied(), all);
                bad(Code::UnknownName, "reference", format!("no variant is called `{name}`"), &action);
            }
            _ => {}
        }
        if self.is_random() && self.labels.is_some() {
            let cause = "inputs that are drawn at random have no labels".to_owned();
            bad(Code::NoEffect, "labels", cause, "leave it out, or name a file as `inputs`");
        }
        let for_thresholds =
            [("calibration", self.calibration.is_some()), ("calibration_share", self.calibration_share.is_some())];
        for (key, _) in for_thresholds.into_iter().filter(|(_, is_there)| *is_there && !self.judge()) {
            bad(Code::NoEffect, key, "no answers are judged".to_owned(), "leave it out");
        }
        let labelled = |files: &CalibrationFiles| files.labels.is_some() == self.labels.is_some();
        if self.calibration.as_ref().is_some_and(|files| !labelled(files)) {
            let action = "give labels to both sets of samples or to none";
            bad(Code::MissingField, "calibration.labels", "one set has labels, the other has none".to_owned(), action);
        }
        if let Some(share) = self.calibration_share {
            if self.calibration.is_some() {
                let cause = "`calibration` names the samples already".to_owned();
                bad(Code::NoEffect, "calibration_share", cause, "leave it out");
            }
            if share.get() <= 0.0 || share.get() >= 1.0 {
                let action = "a part between 0 and 1, like 0.5";
                bad(Code::OutOfRange, "calibration_share", format!("{} leaves one half empty", share.get()), action);
            }
        }
        for (name, feed) in &self.feed {
            feed.validate(&format!("data.feed.{name}"), findings);
        }
    }

    /// Samples come from `images` or from `inputs`, those for calibration from the same.
    fn one_source(&self, findings: &mut Findings) {
        let mut check = |key: &str, images: bool, inputs: bool| {
            let (code, cause, action) = match (images, inputs) {
                (true, true) => (Code::NoEffect, "`images` names the samples already", "leave out one of the two"),
                (false, false) => (
                    Code::MissingField,
                    "nothing says what the models are fed",
                    "name the file with the samples as `images` (IDX) or `inputs` (.npz, .npy, ...), or write inputs = \
                     \"random\"",
                ),
                _ => return,
            };
            findings.push(Finding::error(code, format!("{key}.inputs"), cause, action));
        };
        check("data", self.images.is_some(), self.inputs.is_some());
        if let Some(calibration) = &self.calibration {
            check("data.calibration", calibration.images.is_some(), calibration.inputs.is_some());
        }
    }
}

impl Feed {
    fn validate(&self, key: &str, findings: &mut Findings) {
        let mut bad = |code, name: &str, cause: String, action: &str| {
            findings.push(Finding::error(code, format!("{key}.{name}"), cause, action));
        };
        let sources =
            [("zeros", self.zeros.is_some()), ("value", self.value.is_some()), ("random", self.random.is_some())];
        let named: Vec<&str> = sources.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| *name).collect();
        if let [first, second, ..] = named[..] {
            bad(Code::NoEffect, second, format!("`{first}` says already what it is fed"), "leave out one of the two");
        }
        if let (Some(first), true) = (named.first(), self.pad.is_some() || self.lengths.is_some()) {
            let cause = format!("`{first}` gives every sample the same length");
            bad(Code::NoEffect, if self.pad.is_some() { "pad" } else { "lengths" }, cause, "leave it out");
        }
        if self.pad.is_some() && self.lengths.is_none() && named.is_empty() {
            let cause = "nothing says how long each sample is".to_owned();
            bad(Code::MissingField, "lengths", cause, "name the array that holds the lengths");
        }
        if let Some(random) = &self.random
            && random.high.is_some_and(|high| high.is_nan() || high <= random.low)
        {
            let cause = format!("`high` must be greater than `low`, which is {}", random.low);
            bad(Code::OutOfRange, "random.high", cause, "give a greater number");
        }
    }
}
