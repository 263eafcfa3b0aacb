//! Committed files held against today's facts: what a team's CI asks of its `profiles/`, `problems/` and `plans/`.
//!
//! ```text
//!            ┌ files::find ─▶ load ─▶ plan ─▶ judge ─▶ recompute claims, solve again, compare, try ┐
//! manifest ──┤                        profile ─▶ is its model file still the one that was measured? ├─▶ Review ─▶ show
//!            └ base (git revision) ─▶ the inputs of then, solved by this binary ──────────────────┘
//! ```
//!
//! Every difference is a [`Finding`] of one class, named by its code: [`Code::InfeasibleNow`], [`Code::Worse`],
//! [`Code::OtherPlan`], [`Code::Better`], [`Code::FactsChanged`] or [`Code::OnlyProvenance`]. Only the first two fail
//! unless the manifest says otherwise. A value that is worse, but not where every latency is at the fast end of its
//! interval, is no more than a changed fact: the new profile does not refute the old value.

mod base;
mod compare;
mod files;
mod follow;
mod judge;
mod manifest;
mod recomputed;
pub mod show;
mod stated;

use std::path::PathBuf;

use serde::Serialize;

use crate::base::finding::{Code, Finding, Severity};

pub use base::Revision;
pub use compare::{Metric, MetricChange};
pub use files::{find, gone};
pub use judge::{remake, review};
pub use manifest::{Allowance, Allowances, Manifest, ManifestFormat, Trial};
pub use recomputed::{Recomputed, recomputed};

/// What a review found, file by file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Review {
    /// Always `planner.review/1`.
    pub format: &'static str,
    /// The revision whose inputs were solved to compare with; the committed plans where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// One entry a file, in the order of their names.
    pub entries: Vec<Entry>,
}

impl Review {
    /// Returns a review of these files.
    #[must_use]
    pub const fn of(entries: Vec<Entry>) -> Self {
        Self { format: "planner.review/1", base: None, entries }
    }

    /// Returns the worst verdict of all files.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.entries.iter().map(|entry| entry.verdict).max().unwrap_or(Verdict::Confirmed)
    }

    /// Returns how many files have this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.entries.iter().filter(|entry| entry.verdict == verdict).count()
    }

    /// Returns how much of what all plans claim was recomputed, in words; `None` where nothing was.
    #[must_use]
    pub fn recomputed(&self) -> Option<String> {
        recomputed::in_words(self.entries.iter().flat_map(|entry| &entry.recomputed))
    }
}

/// What a review found about one file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The file as it was found.
    pub file: PathBuf,
    /// What it is, like `plan`.
    pub noun: &'static str,
    /// Whether it may stay.
    pub verdict: Verdict,
    /// Whether it was solved again; plans by hand and of rooms that do not plan yet are only recomputed and tried.
    pub solved_again: bool,
    /// What is different, metric by metric.
    pub changes: Vec<MetricChange>,
    /// How much of what a plan claims was recomputed; nothing of other files, and where a plan's inputs have changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recomputed: Vec<Recomputed>,
    /// Everything that was seen, worst first.
    pub findings: Vec<Finding>,
}

impl Entry {
    /// Returns an entry with these findings, which decide on the verdict.
    #[must_use]
    pub fn of(file: PathBuf, noun: &'static str, mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let verdict = findings.first().map_or(Verdict::Confirmed, |worst| match worst.severity {
            Severity::Error => Verdict::Failed,
            Severity::Warning | Severity::Note => Verdict::Noted,
        });
        Self { file, noun, verdict, solved_again: false, changes: Vec::new(), recomputed: Vec::new(), findings }
    }

    /// Returns an entry for a file that cannot be used at all.
    fn unusable(file: PathBuf, noun: &'static str, findings: Vec<Finding>) -> Self {
        Self { verdict: Verdict::Unusable, ..Self::of(file, noun, findings) }
    }
}

/// What a review says of a file. Sorted from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing to say.
    Confirmed,
    /// Something is worth knowing; it may stay.
    Noted,
    /// It may not stay as it is.
    Failed,
    /// It cannot be read, or not be judged.
    Unusable,
}

impl Verdict {
    /// Returns the verdict in a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Noted => "noted",
            Self::Failed => "failed",
            Self::Unusable => "unusable",
        }
    }
}

/// Returns a finding of a difference's class with the severity that the manifest gives it.
fn of_class(manifest: &Manifest, code: Code, key: impl Into<String>, cause: String, action: &str) -> Finding {
    let severity = if manifest.fail_on.contains(&code) {
        Severity::Error
    } else if matches!(code, Code::InfeasibleNow | Code::Worse | Code::FactsChanged) {
        Severity::Warning
    } else {
        Severity::Note
    };
    Finding::error(code, key, cause, action).with_severity(severity)
}
