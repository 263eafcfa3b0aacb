//! What must hold of the accuracy over the requests of all loads together.

use super::check::{Checker, Tolerance};
use super::{Gear, Plan};
use crate::base::finding::{Code, Finding, Findings};
use crate::base::units::Accuracy;
use crate::facts::Facts;
use crate::problem::Problem;

/// Recomputes the accuracy over all requests where the problem asks for some, and sees that a proof of it is kept.
pub(super) fn check(plan: &Plan, facts: &Facts, problem: &Problem, tolerance: Tolerance, findings: &mut Findings) {
    is_consistent(plan, problem, findings);
    is_accurate(plan, facts, problem, tolerance, findings);
}

/// Returns the least accuracy over all requests that a problem asks for; one that is relative to a reference by that variant's.
fn least(problem: &Problem, facts: &Facts) -> Option<f64> {
    let relative = problem.cascade().and_then(|settings| {
        let reference = facts.variant(settings.reference.as_ref()?)?;
        Some(reference.accuracy.value.get() - settings.loss())
    });
    problem.goal.mean_accuracy_at_least.map(Accuracy::get).or(relative)
}

fn is_accurate(plan: &Plan, facts: &Facts, problem: &Problem, tolerance: Tolerance, findings: &mut Findings) {
    let Some(least) = least(problem, facts) else { return };
    let ends: Vec<f64> = plan.gears.iter().map(|gear| gear.up_to_rps.get()).collect();
    let parts = facts.load_up_to(problem.workload.max_rps.get()).requests_in(&ends);
    let of_gear = |(gear, part): (&Gear, &f64)| {
        let checker = Checker { plan, gear, facts, problem: Some(problem), tolerance, key: String::new() };
        Some(part * checker.expected_accuracy()?)
    };
    let truth: Option<f64> = plan.gears.iter().zip(&parts).map(of_gear).sum();
    if let Some(truth) = truth.filter(|truth| *truth < least - tolerance.absolute) {
        let cause = format!("accuracy over the requests of all loads is {truth:.4}, at least {least} was asked for");
        findings.push(Finding::error(Code::LimitBroken, "gears", cause, "solve again"));
    }
}

/// A proof must agree with itself and with the problem; only `solve` can prove it again.
fn is_consistent(plan: &Plan, problem: &Problem, findings: &mut Findings) {
    let Some(proof) = &plan.proof else { return };
    let mut broken = |key: &str, cause: String| {
        findings.push(Finding::error(Code::LimitBroken, key, cause, "solve again"));
    };
    let asked = problem.goal.mean_accuracy_at_least.or(problem.goal.accuracy_at_least);
    for (what, least) in [("what it is to prove", proof.accuracy_at_least), ("what was asked for", asked)] {
        if let Some(least) = least.filter(|least| proof.low < *least) {
            broken("proof.low", format!("{} is proved, {least} is {what}", proof.low));
        }
    }
    let settings = problem.cascade().filter(|settings| settings.certify && settings.reference.is_some());
    let asked = settings.map(|settings| settings.loss());
    match (&proof.against, asked) {
        (None, Some(_)) => broken("proof.against", "nothing is proved against the reference".to_owned()),
        (Some(against), asked) => {
            let allowed = against.loss_at_most.get().min(asked.unwrap_or(f64::INFINITY));
            if against.difference_low < -allowed {
                let low = against.difference_low;
                broken("proof.against.difference_low", format!("{low} is proved, {} is allowed", -allowed));
            }
        }
        (None, None) => {}
    }
}
