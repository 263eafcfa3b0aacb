//! The model list `planner.models/1`: which files do the task, and the labelled samples that judge them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::idx::{Samples, read_samples};
use crate::error::Error;
use crate::finding::{Code, Finding, Findings};
use crate::format;

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
    /// Labelled samples.
    pub data: DataFiles,
    /// The variants.
    pub variants: Vec<VariantFile>,
}

/// Files with labelled samples, relative to the list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataFiles {
    /// Images as IDX bytes, gzipped where the name ends in `.gz`; a model sees byte ÷ 255.
    pub images: PathBuf,
    /// Class number of each image as IDX bytes, gzipped where the name ends in `.gz`.
    pub labels: PathBuf,
}

/// One variant of the list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VariantFile {
    /// The name used everywhere else.
    pub name: String,
    /// The ONNX file, relative to the list.
    pub file: PathBuf,
    /// Output with the scores, where the model has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
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
        let mut seen = BTreeSet::new();
        for (index, variant) in self.variants.iter().enumerate() {
            let key = format!("variants[{index}].name");
            if variant.name.trim().is_empty() {
                findings.push(Finding::error(Code::Empty, key, "the name is empty", "name the variant"));
            } else if !seen.insert(&variant.name) {
                let cause = format!("`{}` names two variants", variant.name);
                findings.push(Finding::error(Code::DuplicateName, key, cause, "rename one of them"));
            }
        }
        findings
    }

    fn missing_files(&self, folder: &Path) -> Findings {
        let data = [("data.images".to_owned(), &self.data.images), ("data.labels".to_owned(), &self.data.labels)];
        let variants = self.variants.iter().enumerate().map(|(i, v)| (format!("variants[{i}].file"), &v.file));
        let mut findings = Findings::default();
        for (key, file) in data.into_iter().chain(variants).filter(|(_, file)| !folder.join(file).is_file()) {
            let cause = format!("{} is no file", folder.join(file).display());
            findings.push(Finding::error(Code::Unreadable, key, cause, "paths are relative to the model list"));
        }
        findings
    }
}

/// A model list with its files found and its samples read.
#[derive(Debug, Clone)]
pub struct Family {
    /// The list.
    pub list: ModelList,
    /// The folder that its paths are relative to.
    pub folder: PathBuf,
    /// SHA-256 of the list.
    pub list_sha256: String,
    /// SHA-256 of each variant's file, in the order of the list.
    pub model_sha256: Vec<String>,
    /// The labelled samples.
    pub samples: Samples,
}

impl Family {
    /// Loads a model list, its samples and the digests of its model files.
    ///
    /// # Errors
    /// Every finding about the list, then every missing file, then what is wrong with the data.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let loaded = format::load::<ModelList>(path)?;
        let list = loaded.document;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        list.missing_files(&folder).in_file(path).or(())?;
        let samples = read_samples(&folder.join(&list.data.images), &folder.join(&list.data.labels))?;
        let digest = |variant: &VariantFile| Ok(format::sha256(&format::read(&folder.join(&variant.file))?));
        let model_sha256 = list.variants.iter().map(digest).collect::<Result<_, Error>>()?;
        Ok(Self { folder, list_sha256: loaded.sha256, model_sha256, samples, list })
    }
}

#[cfg(test)]
mod tests {
    use super::ModelList;
    use crate::finding::Code;

    #[test]
    fn names_are_unique_and_not_empty() {
        let text = r#"{"format":"planner.models/1","task":"t","data":{"images":"i","labels":"l"},
            "variants":[{"name":"a","file":"a"},{"name":"a","file":"b"},{"name":"","file":"c"}]}"#;
        let list: ModelList = serde_json::from_str(text).expect("well-formed");
        let codes: Vec<_> = list.validate().0.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, [Code::DuplicateName, Code::Empty]);
    }
}
