//! The rules that hold between the fields of a problem, each a small function.

use std::collections::BTreeSet;

use super::{Formulation, GoalKind, Problem};
use crate::finding::{Code, Finding, Findings, Severity};

/// Below this the number of gears grows without end.
const LEAST_GEAR_LOSS: f64 = 1e-4;
/// Most cores at which the published line is fitted.
const MOST_FIT_CORES: u32 = 1024;

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
        gears_stay_countable(self, &mut findings);
        published_settings_work(self, &mut findings);
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

fn gears_stay_countable(problem: &Problem, findings: &mut Findings) {
    let loss = problem.goal.gear_loss_at_most.get();
    if loss < LEAST_GEAR_LOSS {
        let cause = format!("{loss} would cut the loads into gears without end");
        let action = format!("at least {LEAST_GEAR_LOSS}");
        findings.push(Finding::error(Code::OutOfRange, "goal.gear_loss_at_most", cause, action));
    }
}

fn published_settings_work(problem: &Problem, findings: &mut Findings) {
    let Some(published) = &problem.published else { return };
    if problem.formulation != Formulation::Published {
        let action = "add `formulation = \"published\"`, or remove the table";
        let finding = Finding::error(Code::NoEffect, "published", "only the published formulation uses it", action);
        findings.push(finding.with_severity(Severity::Warning));
    }
    let distinct: BTreeSet<u32> = published.fit_cores.iter().copied().collect();
    if distinct.len() < 2 || distinct.iter().any(|cores| !(1..=MOST_FIT_CORES).contains(cores)) {
        let cause = format!("no line goes through {:?}", published.fit_cores);
        let action = format!("two or more different numbers from 1 to {MOST_FIT_CORES}, like [1, 2, 4, 8, 16]");
        findings.push(Finding::error(Code::OutOfRange, "published.fit_cores", cause, action));
    }
    if published.capacity_factor.get() <= 0.0 {
        let cause = "a factor of 0 leaves no capacity";
        findings.push(Finding::error(Code::OutOfRange, "published.capacity_factor", cause, "a part above 0, like 0.8"));
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
