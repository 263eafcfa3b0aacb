//! A review in the forms that people and CI systems read. JSON is the review itself.

mod github;
mod junit;
mod markdown;
mod sarif;

use std::path::Path;

pub use github::github;
pub use junit::junit;
pub use markdown::markdown;
pub use sarif::sarif;

use super::{Entry, Review, Verdict};
use crate::base::finding::Finding;

/// Returns the outcome in one sentence.
#[must_use]
pub fn verdict(review: &Review) -> String {
    let files = review.entries.len();
    let count = |verdict: Verdict| match review.count(verdict) {
        0 => None,
        count => Some(format!("{count} {}", verdict.as_str())),
    };
    let counts: Vec<String> = [Verdict::Unusable, Verdict::Failed, Verdict::Noted, Verdict::Confirmed]
        .into_iter()
        .filter_map(count)
        .collect();
    let noun = if files == 1 { "file" } else { "files" };
    let recomputed = review.recomputed().map_or_else(String::new, |words| format!("; recomputed {words}"));
    let counts = if counts.is_empty() { "nothing to check".to_owned() } else { counts.join(", ") };
    format!("{files} {noun}: {counts}{recomputed}")
}

/// Returns a path as systems on all platforms read it.
fn slashed(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

/// Returns the file that a finding is about: its own, or the entry's.
fn file_of<'a>(entry: &'a Entry, finding: &'a Finding) -> &'a Path {
    if finding.file.as_os_str().is_empty() { &entry.file } else { &finding.file }
}

/// Returns a finding's place and cause in one text.
fn said(finding: &Finding) -> String {
    if finding.key.is_empty() { finding.cause.clone() } else { format!("{}: {}", finding.key, finding.cause) }
}
