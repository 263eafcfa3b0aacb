//! What is right: the keys of `[judge]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::finding::{Code, Finding, Findings};

/// How outputs become a score from 0 to 1 and a certainty from 0 to 1 for each sample.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JudgeSettings {
    /// Default: `top-1`.
    #[serde(default)]
    pub kind: JudgeKind,
    /// With `top-k`: how many best classes count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub k: Option<u32>,
    /// With `label`: the output with the probabilities of its classes; without it there is no certainty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<String>,
    /// With `binary` and `multi-label`: the score from which a label counts as given. Default: 0.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// With `multi-label`: whether a sample counts only where all its labels are right. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exact: bool,
    /// With `number`: how far an answer may be from the label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absolute: Option<f64>,
    /// With `number`: the same, as a part of the label's size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative: Option<f64>,
    /// With `command`: a line for `sh`; it is given a folder as its last argument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// With `reference`: the variant whose answers count as right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// What counts as right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JudgeKind {
    /// The best class of one row of scores is the label.
    #[default]
    #[serde(rename = "top-1")]
    TopOne,
    /// The label is among the `k` best classes.
    #[serde(rename = "top-k")]
    TopK,
    /// The model's own label output equals the label.
    Label,
    /// One score a sample against the label, 0 or 1.
    Binary,
    /// One score for each label that a sample may have.
    MultiLabel,
    /// A number within a tolerance of the label.
    Number,
    /// All elements equal the label's.
    Exact,
    /// A program says so.
    Command,
    /// The best class is that of another variant.
    Reference,
    /// Accuracy is unknown.
    None,
}

impl JudgeKind {
    /// Returns its word in the model list.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TopOne => "top-1",
            Self::TopK => "top-k",
            Self::Label => "label",
            Self::Binary => "binary",
            Self::MultiLabel => "multi-label",
            Self::Number => "number",
            Self::Exact => "exact",
            Self::Command => "command",
            Self::Reference => "reference",
            Self::None => "none",
        }
    }
}

impl JudgeSettings {
    /// Returns everything that is wrong between the keys.
    pub(super) fn validate(&self, findings: &mut Findings) {
        use JudgeKind as Kind;
        let mut bad = |code, key: &str, cause: String, action: &str| {
            findings.push(Finding::error(code, format!("judge.{key}"), cause, action));
        };
        let kind = self.kind.as_str();
        let keys: [(&str, bool, &[Kind]); 8] = [
            ("k", self.k.is_some(), &[Kind::TopK]),
            ("scores", self.scores.is_some(), &[Kind::Label]),
            ("threshold", self.threshold.is_some(), &[Kind::Binary, Kind::MultiLabel]),
            ("exact", self.exact, &[Kind::MultiLabel]),
            ("absolute", self.absolute.is_some(), &[Kind::Number]),
            ("relative", self.relative.is_some(), &[Kind::Number]),
            ("command", self.command.is_some(), &[Kind::Command]),
            ("variant", self.variant.is_some(), &[Kind::Reference]),
        ];
        for (key, is_there, kinds) in keys {
            if is_there && !kinds.contains(&self.kind) {
                let wanted = kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" and ");
                bad(Code::NoEffect, key, format!("`{kind}` does not read it"), &format!("it belongs to {wanted}"));
            }
        }
        let missing: Option<(&str, &str)> = match self.kind {
            Kind::TopK if self.k.is_none() => Some(("k", "say how many best classes count, like k = 5")),
            Kind::Number if self.absolute.is_none() && self.relative.is_none() => {
                Some(("absolute", "say how far an answer may be off, as `absolute` or `relative`"))
            }
            Kind::Command if self.command.as_ref().is_none_or(|command| command.trim().is_empty()) => {
                Some(("command", "name the program, like command = \"python3 judge.py\""))
            }
            Kind::Reference if self.variant.is_none() => {
                Some(("variant", "name the variant whose answers count as right"))
            }
            _ => None,
        };
        if let Some((key, action)) = missing {
            bad(Code::MissingField, key, format!("`{kind}` needs it"), action);
        }
        if self.k == Some(0) {
            bad(Code::OutOfRange, "k", "0 classes are none".to_owned(), "give 1 or more");
        }
        for (key, number) in [("absolute", self.absolute), ("relative", self.relative)] {
            if let Some(number) = number.filter(|number| !number.is_finite() || *number < 0.0) {
                bad(Code::OutOfRange, key, format!("must be 0 or more, found {number}"), "give a tolerance like 0.01");
            }
        }
        if let Some(number) = self.threshold.filter(|number| !number.is_finite()) {
            bad(Code::OutOfRange, "threshold", format!("must be a finite number, found {number}"), "give one like 0.5");
        }
    }
}
