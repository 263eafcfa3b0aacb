//! The rules of kinds of machines.

use std::collections::BTreeSet;

use super::super::{GoalKind, Machine, Problem, RoomName};
use crate::base::finding::{Code, Finding, Findings, Severity};
use crate::base::near;

/// Most fleets that the search looks at: the product, over kinds, of the numbers of machines that may be rented.
const MOST_FLEETS: u64 = 100_000;

/// Returns what is wrong in the kinds of machines, and with keys that do not go with them.
pub(super) fn are_sound(problem: &Problem, findings: &mut Findings) {
    let kinds = &problem.inventory.machines;
    if kinds.is_empty() {
        return;
    }
    rooms_know_machines(problem, findings);
    plain_keys_are_left_out(problem, findings);
    let mut seen = BTreeSet::new();
    for (index, kind) in kinds.iter().enumerate() {
        let key = |of: &str| format!("inventory.machines[{index}].{of}");
        if !seen.insert(&kind.name) {
            let cause = format!("another kind is called `{}`", kind.name);
            findings.push(Finding::error(Code::DuplicateName, key("name"), cause, "call it something else"));
        }
        for (of, number) in [("cores", kind.cores), ("at_most", kind.at_most)] {
            if number == 0 {
                findings.push(Finding::error(Code::OutOfRange, key(of), "0 is no machine", "at least 1"));
            }
        }
        profiles_are_the_problems(problem, kind, &key("profiles"), findings);
    }
    let fleets = kinds.iter().map(|kind| u64::from(kind.at_most) + 1).fold(1, u64::saturating_mul);
    if fleets > MOST_FLEETS && problem.room.name() != RoomName::Cascade {
        let cause = format!("{fleets} fleets are within stock, more than can be looked at one by one");
        let action = format!("lower `at_most`, or leave kinds out: at most {MOST_FLEETS}");
        findings.push(Finding::error(Code::OutOfRange, "inventory.machines", cause, action));
    }
    let needs_prices = problem.goal.kind != GoalKind::MostAccurate && problem.room.name() != RoomName::Cascade;
    if needs_prices && problem.inventory.usd_per_hour() <= 0.0 {
        let cause = "every machine is free, so no plan is cheaper than another";
        let action = "give at least one kind `price_usd_per_hour`";
        findings.push(Finding::error(Code::OutOfRange, "inventory.machines", cause, action));
    }
}

fn rooms_know_machines(problem: &Problem, findings: &mut Findings) {
    let refuse = |cause: String| {
        let action = "give `inventory.cores` in place of machines";
        Finding::error(Code::NoEffect, "inventory.machines", cause, action)
    };
    if !matches!(problem.room.name(), RoomName::VariantSet | RoomName::Pipeline | RoomName::Cascade) {
        findings.push(refuse(format!("the room `{}` does not plan machines", problem.room.name().as_str())));
    }
    let trusting = problem.inventory.machines.iter().any(|kind| !kind.profiles.is_empty());
    if problem.room.name() == RoomName::Cascade && trusting {
        let cause = "the room `cascade` takes every profile to hold on every kind";
        let action = "leave `profiles` of the kinds out, and name one profile of each variant";
        findings.push(Finding::error(Code::NoEffect, "inventory.machines", cause, action));
    }
    if problem.room.is_published() && problem.room.name() != RoomName::Cascade {
        findings.push(refuse("the published formulation knows cores only".to_owned()));
    }
    if problem.goal.kind == GoalKind::Lexicographic {
        findings.push(refuse("a goal in levels counts cores, where machines are rented whole".to_owned()));
    }
}

/// Cores and their price say nothing beside machines; in the rooms that pack, stock is the only limit.
fn plain_keys_are_left_out(problem: &Problem, findings: &mut Findings) {
    let packs = matches!(problem.room.name(), RoomName::VariantSet | RoomName::Pipeline);
    let price = problem.inventory.price_usd_per_core_hour.get() > 0.0;
    let keys = [
        ("inventory.cores", problem.inventory.cores > 0, "the machines say how many cores there are"),
        ("inventory.price_usd_per_core_hour", price, "machines are rented whole, at `price_usd_per_hour`"),
        ("goal.cores_at_most", problem.goal.cores_at_most.is_some() && packs, "machines are limited by `at_most`"),
    ];
    let severity = if packs { Severity::Error } else { Severity::Warning };
    for (key, _, cause) in keys.into_iter().filter(|(_, given, _)| *given) {
        let finding = Finding::error(Code::NoEffect, key, cause, "remove the key, or [[inventory.machines]]");
        findings.push(finding.with_severity(severity));
    }
    for (index, _) in problem.stages().iter().enumerate().filter(|(_, stage)| stage.lanes_at_most > 1) {
        let key = format!("stages[{index}].lanes_at_most");
        let cause = "mixtures within a stage are not planned on machines";
        findings.push(Finding::error(Code::NoEffect, key, cause, "remove the key, or [[inventory.machines]]"));
    }
    let loading = problem.goal.weights.is_some_and(|weights| weights.loading.get() > 0.0);
    if loading && packs {
        let cause = "load times are not weighed where machines are packed";
        let finding = Finding::error(Code::NoEffect, "goal.weights.loading", cause, "set it to 0");
        findings.push(finding.with_severity(Severity::Warning));
    }
}

fn profiles_are_the_problems(problem: &Problem, kind: &Machine, key: &str, findings: &mut Findings) {
    let files: Vec<String> = problem
        .profiles
        .iter()
        .filter_map(|path| path.file_name())
        .map(|file| file.to_string_lossy().into_owned())
        .collect();
    for name in &kind.profiles {
        let same = files.iter().filter(|file| *file == name).count();
        if same != 1 {
            let cause = if same == 0 {
                format!("`{name}` is no file name under `profiles`")
            } else {
                format!("{same} files under `profiles` are called `{name}`")
            };
            let known = format!("they are {}", files.join(", "));
            let action = near::hint(name, files.iter().map(String::as_str), known);
            findings.push(Finding::error(Code::UnknownName, key, cause, action));
        }
    }
}
