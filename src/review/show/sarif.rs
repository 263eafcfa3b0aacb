//! SARIF 2.1.0: what GitHub's code scanning and editors read.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Review, file_of, said, slashed};
use crate::base::finding::{Code, Severity};

/// Returns a review as a SARIF log with one run.
#[must_use]
pub fn sarif(review: &Review) -> Value {
    let findings =
        || review.entries.iter().flat_map(|entry| entry.findings.iter().map(move |finding| (entry, finding)));
    let codes: BTreeSet<Code> = findings().map(|(_, finding)| finding.code).collect();
    let rules: Vec<Value> = codes
        .iter()
        .map(|code| json!({ "id": code.as_str(), "help": { "text": format!("docs/errors.md#{}", code.as_str()) } }))
        .collect();
    let results = findings().map(|(entry, finding)| {
        let mut text = said(finding);
        if !finding.action.is_empty() {
            text += &format!(" ({})", finding.action);
        }
        json!({
            "ruleId": finding.code.as_str(),
            "ruleIndex": codes.iter().position(|code| *code == finding.code),
            "level": match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Note => "note",
            },
            "message": { "text": text },
            "locations": [{
                "physicalLocation": {
                    "artifactLocation": { "uri": uri(&slashed(file_of(entry, finding))) },
                    "region": { "startLine": 1 },
                },
                "logicalLocations": [{ "fullyQualifiedName": finding.key, "kind": "member" }],
            }],
        })
    });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "planner", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "results": results.collect::<Vec<Value>>(),
        }],
    })
}

/// Escapes what a URI cannot hold as it is.
fn uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    path.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
