//! What a plan states beside what it does: prices, certificates, proofs, safety margins and drift limits must be those that its
//! inputs give. Recomputing sees that they agree with each other; only solving again tells whether they are true.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::base::finding::{Code, Finding};
use crate::plan::{Plan, Provenance};

/// How far a number may be from the one that is made again: relative, and what a difference of equals rounds to.
const RELATIVE: f64 = 1e-4;
const ROUNDING: f64 = 1e-12;

/// Returns where a plan first states something else than the plan that its inputs give, which does the same.
pub(super) fn misstated(committed: &Plan, again: &Plan) -> Option<Finding> {
    let mut differences = Vec::new();
    compare("", Some(&stated(committed)), Some(&stated(again)), &mut differences);
    let (key, cause) = differences.first()?;
    let more = match differences.len() {
        1 => String::new(),
        count => format!(", and {} more differences", count - 1),
    };
    Some(Finding::error(Code::ClaimRefuted, key.clone(), format!("{cause}{more}"), "solve again"))
}

/// Returns what a plan states, without names, how it was found, and what trials say: `simulate::check` makes those again.
fn stated(plan: &Plan) -> Value {
    let mut plan = plan.clone();
    plan.name.clear();
    let head_room = plan.provenance.head_room.take();
    plan.provenance = Provenance { head_room, ..Provenance::of_room(plan.provenance.room) };
    for gear in &mut plan.gears {
        gear.claims.latency = None;
        if let Some(certificate) = &mut gear.certificate {
            // The gap is the difference of two numbers that are compared, and may be no more than their rounding.
            (certificate.gap, certificate.trial) = (0.0, None);
        }
    }
    serde_json::to_value(plan).expect("a plan is JSON")
}

fn compare(key: &str, claimed: Option<&Value>, truth: Option<&Value>, found: &mut Vec<(String, String)>) {
    match (claimed, truth) {
        (Some(Value::Object(claimed)), Some(Value::Object(truth))) => {
            for name in claimed.keys().chain(truth.keys()).collect::<BTreeSet<_>>() {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                compare(&key, claimed.get(name), truth.get(name), found);
            }
        }
        (Some(Value::Array(claimed)), Some(Value::Array(truth))) => {
            for index in 0..claimed.len().max(truth.len()) {
                compare(&format!("{key}[{index}]"), claimed.get(index), truth.get(index), found);
            }
        }
        (Some(claimed), Some(truth)) if is_same(claimed, truth) => {}
        (Some(claimed), Some(truth)) => {
            found.push((key.to_owned(), format!("claims {claimed}, its inputs give {truth}")))
        }
        (Some(claimed), None) => {
            found.push((key.to_owned(), format!("claims {claimed}, its inputs give nothing here")))
        }
        (None, Some(truth)) => found.push((key.to_owned(), format!("is missing, its inputs give {truth}"))),
        (None, None) => {}
    }
}

fn is_same(claimed: &Value, truth: &Value) -> bool {
    let (Some(one), Some(other)) = (claimed.as_f64(), truth.as_f64()) else { return claimed == truth };
    (one - other).abs() <= (RELATIVE * one.abs().max(other.abs())).max(ROUNDING)
}
