//! Workflow commands: GitHub shows each as an annotation on the file.

use super::{Review, file_of, said, slashed};
use crate::base::finding::Severity;

/// Returns a review as GitHub workflow commands, a line a finding.
#[must_use]
pub fn github(review: &Review) -> String {
    let mut text = String::new();
    for entry in &review.entries {
        for finding in &entry.findings {
            let level = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Note => "notice",
            };
            let file = property(&slashed(file_of(entry, finding)));
            let title = property(&format!("planner: {}", finding.code));
            let mut message = said(finding);
            if !finding.action.is_empty() {
                message += &format!("\nhint: {}", finding.action);
            }
            text += &format!("::{level} file={file},line=1,title={title}::{}\n", data(&message));
        }
    }
    text
}

/// Escapes a message as the runner asks for.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property, which also ends at a colon or comma.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
