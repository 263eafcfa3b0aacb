//! The rules that hold between the fields of a problem, each a small function.

use std::collections::BTreeSet;

use super::{GoalKind, Problem};
use crate::finding::{Code, Finding, Findings, Severity};

impl Problem {
    /// Returns everything that is wrong in the problem itself; facts are looked at when it meets its profiles.
    #[must_use]
    pub fn validate(&self) -> Findings {
        let mut findings = Findings::default();
        lists_are_not_empty(self, &mut findings);
        variants_are_unique(self, &mut findings);
        limits_are_positive(self, &mut findings);
        goal_has_its_limits(self, &mut findings);
        cores_fit_the_inventory(self, &mut findings);
        findings
    }
}

fn lists_are_not_empty(problem: &Problem, findings: &mut Findings) {
    if problem.profiles.is_empty() {
        let action = "name at least one profile; `planner profile` makes one";
        findings.push(Finding::error(Code::Empty, "profiles", "no profile is named", action));
    }
    if problem.variants.as_ref().is_some_and(Vec::is_empty) {
        let action = "name at least one variant, or leave the key out to use all";
        findings.push(Finding::error(Code::Empty, "variants", "no variant may be used", action));
    }
    if problem.published.as_ref().is_some_and(|published| published.fit_cores.len() < 2) {
        let action = "a line needs two core counts; the paper uses [1, 2, 4, 8, 16]";
        findings.push(Finding::error(Code::Empty, "published.fit_cores", "fewer than two core counts", action));
    }
}

fn variants_are_unique(problem: &Problem, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for (index, name) in problem.variants.iter().flatten().enumerate() {
        if !seen.insert(name) {
            let cause = format!("`{name}` is named twice");
            findings.push(Finding::error(Code::DuplicateName, format!("variants[{index}]"), cause, "name it once"));
        }
    }
}

fn limits_are_positive(problem: &Problem, findings: &mut Findings) {
    let checks = [
        ("workload.max_rps", problem.workload.max_rps.get(), f64::INFINITY, "a rate above 0"),
        ("slo.latency_ms", problem.slo.latency_ms.get(), f64::INFINITY, "a time above 0"),
        ("slo.quantile", problem.slo.quantile.get(), 1.0, "a part between 0 and 1, both excluded, like 0.99"),
    ];
    for (key, value, below, allowed) in checks {
        if value <= 0.0 || value >= below {
            findings.push(Finding::error(Code::OutOfRange, key, format!("{value} asks for nothing"), allowed));
        }
    }
}

fn goal_has_its_limits(problem: &Problem, findings: &mut Findings) {
    let goal = &problem.goal;
    let uses = [
        ("goal.weights", goal.weights.is_some(), GoalKind::Weighted, "weighted"),
        ("goal.accuracy_at_least", goal.accuracy_at_least.is_some(), GoalKind::Cheapest, "cheapest"),
        ("goal.cores_at_most", goal.cores_at_most.is_some(), GoalKind::MostAccurate, "most-accurate"),
    ];
    for (key, given, kind, name) in uses {
        if given && goal.kind != kind {
            let cause = format!("only `kind = \"{name}\"` uses this key");
            findings.push(Finding::error(Code::GoalLimit, key, cause, "remove the key or change the kind"));
        }
    }
    if goal.kind == GoalKind::Cheapest && goal.accuracy_at_least.is_none() {
        let action = "say how accurate the plan must be, like `accuracy_at_least = 0.9`";
        findings.push(Finding::error(Code::GoalLimit, "goal.accuracy_at_least", "`cheapest` needs it", action));
    }
}

fn cores_fit_the_inventory(problem: &Problem, findings: &mut Findings) {
    let cores = problem.inventory.cores;
    if problem.inventory.min_cores_per_variant > cores {
        let cause = format!(
            "{} cores for each variant, but the inventory has {cores}",
            problem.inventory.min_cores_per_variant
        );
        findings.push(Finding::error(Code::OutOfRange, "inventory.min_cores_per_variant", cause, "ask for fewer"));
    }
    if problem.goal.cores_at_most.is_some_and(|most| most > cores) {
        let cause = format!("the inventory has only {cores} cores");
        findings.push(
            Finding::error(Code::NoEffect, "goal.cores_at_most", cause, "lower it, or raise `inventory.cores`")
                .with_severity(Severity::Warning),
        );
    }
}
