//! Markdown: a job summary or a comment on a pull request.

use super::{Review, Verdict, file_of, said, slashed, verdict};
use crate::base::finding::{Finding, Severity};
use crate::base::text::shown;

/// Returns a review as Markdown: the outcome, a table of files, and what was found.
#[must_use]
pub fn markdown(review: &Review) -> String {
    let mark = if review.verdict() >= Verdict::Failed { "❌" } else { "✅" };
    let mut text = format!("## {mark} planner check: {}\n", verdict(review));
    if let Some(base) = &review.base {
        text += &format!("\nCompared with what this version makes of the inputs at `{}`.\n", code(base));
    }
    let told: Vec<_> = review.entries.iter().filter(|entry| entry.verdict != Verdict::Confirmed).collect();
    if told.is_empty() {
        return text;
    }
    text += "\n| file | verdict | first finding |\n|---|---|---|\n";
    for entry in &told {
        let first = entry.findings.first().map_or_else(String::new, |finding| cell(&said(finding)));
        text += &format!("| `{}` | {} | {first} |\n", code(&slashed(&entry.file)), entry.verdict.as_str());
    }
    for (severity, title) in [(Severity::Error, "Errors"), (Severity::Warning, "Warnings"), (Severity::Note, "Notes")] {
        let mut lines = String::new();
        for entry in &told {
            for finding in entry.findings.iter().filter(|finding| finding.severity == severity) {
                lines += &item(&slashed(file_of(entry, finding)), finding);
            }
        }
        if !lines.is_empty() {
            let open = if severity == Severity::Error { " open" } else { "" };
            text += &format!("\n<details{open}><summary>{title}</summary>\n\n{lines}\n</details>\n");
        }
    }
    text
}

fn item(file: &str, finding: &Finding) -> String {
    let hint = if finding.action.is_empty() { String::new() } else { format!(" — {}", plain(&finding.action)) };
    format!("- **{}** `{}` {}{hint}\n", finding.code, code(file), plain(&said(finding)))
}

/// Keeps a name from ending its code span or its cell.
fn code(text: &str) -> String {
    shown(text).replace('`', "'").replace('|', "\\|").replace('\n', " ")
}

/// Keeps text from being read as HTML, and on one line.
fn plain(text: &str) -> String {
    shown(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\n', " ")
}

fn cell(text: &str) -> String {
    plain(text).replace('|', "\\|")
}
