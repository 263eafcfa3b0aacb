//! Whether what a plan was made from is still what it was.

use super::{Input, InputRole, Plan};
use crate::base::finding::{Code, Finding, Findings, Severity};
use crate::facts::Facts;

/// Compares the profiles and the trace that the plan was made from, as its provenance records them, with those of today: the
/// bytes, the host that measured and the model files.
#[must_use]
pub fn facts_changed(plan: &Plan, facts: &Facts) -> Findings {
    let mut findings = Findings::default();
    let inputs = plan.provenance.inputs.iter().enumerate();
    let recorded = inputs.filter(|(_, input)| input.role == InputRole::Profile && !input.sha256.is_empty());
    for (index, input) in recorded {
        if facts.profiles.iter().any(|profile| profile.sha256 == input.sha256) {
            continue;
        }
        let key = format!("provenance.inputs[{index}]");
        let mut changed = |cause: String| {
            let finding = Finding::error(Code::FactsChanged, &key, cause, "solve again, or restore the profile");
            findings.push(finding.with_severity(Severity::Warning));
        };
        changed(format!("{} has changed since the plan was made", input.path.display()));
        let Some(today) = facts.profiles.iter().find(|profile| profile.path.file_name() == input.path.file_name())
        else {
            continue;
        };
        if let (Some(then), Some(now)) = (&input.host, today.document.host.brief())
            && *then != now
        {
            changed(format!("the plan is for {then}; the profile was measured on {now}"));
        }
        let now = |name: &str| today.document.variant(name).map(|variant| variant.sha256.as_str());
        let other = input.models.iter().filter(|(name, then)| now(name).is_some_and(|now| now != then.as_str()));
        let names: Vec<String> = other.map(|(name, _)| format!("`{name}`")).collect();
        if !names.is_empty() {
            let are = if names.len() == 1 { "is another model file" } else { "are other model files" };
            changed(format!("{} {are} than the plan was made with", names.join(", ")));
        }
    }
    if let (Some((index, then)), Some(now)) = (of_role(plan, InputRole::Trace), &facts.recorded)
        && then.sha256 != now.sha256
    {
        let cause = format!("{} has changed since the plan was made", then.path.display());
        let key = format!("provenance.inputs[{index}]");
        let finding = Finding::error(Code::FactsChanged, key, cause, "solve again, or restore the trace");
        findings.push(finding.with_severity(Severity::Warning));
    }
    findings
}

/// Returns the first input of a role that has a digest, with its place.
fn of_role(plan: &Plan, role: InputRole) -> Option<(usize, &Input)> {
    let mut inputs = plan.provenance.inputs.iter().enumerate();
    inputs.find(|(_, input)| input.role == role && !input.sha256.is_empty())
}
