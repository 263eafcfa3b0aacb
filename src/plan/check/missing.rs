//! Claims that are not made although the facts tell what they would be: what is not claimed is not confirmed.

use super::Checker;
use crate::base::finding::{Code, Finding, Findings, Severity};
use crate::plan::{InputRole, Plan};

impl Checker<'_> {
    /// Finds the claims that a gear of a plan with a problem leaves out. Plans by hand, without one, claim what they like.
    pub(super) fn missing(&self, findings: &mut Findings) {
        if !names_a_problem(self.plan) {
            return;
        }
        let claims = &self.gear.claims;
        let missing = [
            ("accuracy", claims.accuracy.is_none() && self.expected_accuracy().is_some()),
            ("latency", claims.latency.is_none() && self.expected_latency().is_some_and(f64::is_finite)),
            ("cost_usd_per_hour", claims.cost_usd_per_hour.is_none() && self.expected_cost().is_some()),
            ("cores", claims.cores.is_none()),
        ];
        for (name, _) in missing.iter().filter(|(_, is_missing)| *is_missing) {
            let (key, cause) = (format!("{}.claims.{name}", self.key), "the claim is missing");
            findings.push(Finding::error(Code::MissingField, key, cause, "solve again"));
        }
    }
}

/// Warns where a plan that was solved does not say for what: neither keeps the problem nor names its file, or only one of both.
pub(super) fn problem(plan: &Plan, findings: &mut Findings) {
    // A plan that was not written yet names nothing.
    let is_written = !plan.provenance.inputs.is_empty();
    let is_solved = is_written && plan.gears.iter().any(|gear| gear.certificate.is_some());
    let (key, cause, action) = match (plan.provenance.problem.is_some(), names_a_file(plan)) {
        (true, false) if is_written => (
            "provenance.inputs",
            "the plan keeps a problem and names no problem file, so nothing tells whether that is still what is asked",
            "solve it again from the problem's file",
        ),
        (false, named) if named || is_solved => (
            "provenance.problem",
            "the plan keeps no problem, so nothing tells whether goal, SLO and inventory are those it was solved for",
            "solve it again",
        ),
        _ => return,
    };
    findings.push(Finding::error(Code::MissingField, key, cause, action).with_severity(Severity::Warning));
}

fn names_a_problem(plan: &Plan) -> bool {
    plan.provenance.problem.is_some() || names_a_file(plan)
}

fn names_a_file(plan: &Plan) -> bool {
    plan.provenance.inputs.iter().any(|input| input.role == InputRole::Problem)
}
