//! The rules of kinds of hardware: machines and functions, and what the room plans on.

use std::collections::BTreeSet;

use super::super::{Billing, Function, GoalKind, HardwareFamily, Machine, Problem, RoomName};
use crate::base::finding::{Code, Finding, Findings, Severity};
use crate::base::near;

/// Most fleets that the search looks at: the product, over kinds, of the numbers of machines that may be rented.
const MOST_FLEETS: u64 = 100_000;

/// Longest step and least time of a bill, in seconds: a year.
const LONGEST_BILL_S: f64 = 366.0 * 86_400.0;

/// Returns what is wrong in the kinds of hardware, and with keys that do not go with them.
pub(super) fn are_sound(problem: &Problem, findings: &mut Findings) {
    the_room_plans_on_them(problem, findings);
    names_are_distinct(problem, findings);
    for (index, function) in problem.inventory.functions.iter().enumerate() {
        function_is_sound(function, &format!("inventory.functions[{index}]"), findings);
    }
    let kinds = &problem.inventory.machines;
    if !problem.inventory.rents_whole() {
        return;
    }
    rooms_know_machines(problem, findings);
    plain_keys_are_left_out(problem, findings);
    for (index, kind) in kinds.iter().enumerate() {
        let key = |of: &str| format!("inventory.machines[{index}].{of}");
        if let Some(billing) = &kind.billing {
            bills_are_short(billing, &key("billing"), findings);
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

/// Hardware that the room, or its published formulation, does not plan on: one finding for each family.
fn the_room_plans_on_them(problem: &Problem, findings: &mut Findings) {
    let known = problem.plans_on();
    let given: BTreeSet<HardwareFamily> = problem.inventory.kinds().map(|kind| kind.family()).collect();
    let of = if problem.room.is_published() { "the published formulation of the room" } else { "the room" };
    let names: Vec<&str> = known.iter().map(|family| family.as_str()).collect();
    for family in given.into_iter().filter(|family| !known.contains(family)) {
        let cause = format!("{of} `{}` does not plan on {}", problem.room.name().as_str(), family.as_str());
        let action = format!("it plans on {}", names.join(", "));
        findings.push(Finding::error(Code::NoEffect, family.key(), cause, action));
    }
}

fn names_are_distinct(problem: &Problem, findings: &mut Findings) {
    let inventory = &problem.inventory;
    let machines = inventory.machines.iter().map(|kind| &kind.name).enumerate().map(|of| ("machines", of));
    let functions = inventory.functions.iter().map(|kind| &kind.name).enumerate().map(|of| ("functions", of));
    let mut seen = BTreeSet::new();
    for (list, (index, name)) in machines.chain(functions) {
        if !seen.insert(name) {
            let key = format!("inventory.{list}[{index}].name");
            let cause = format!("another kind is called `{name}`");
            findings.push(Finding::error(Code::DuplicateName, key, cause, "call it something else"));
        }
    }
}

fn bills_are_short(billing: &Billing, key: &str, findings: &mut Findings) {
    for (of, seconds) in [("step_s", billing.step_s), ("least_s", billing.least_s)] {
        if seconds.get() > LONGEST_BILL_S {
            let cause = format!("must be at most a year, found {seconds} s");
            findings.push(Finding::error(Code::OutOfRange, format!("{key}.{of}"), cause, "seconds, like 60 or 3600"));
        }
    }
}

fn function_is_sound(function: &Function, key: &str, findings: &mut Findings) {
    let mut refuse = |of: &str, code: Code, cause: &str, action: &str| {
        findings.push(Finding::error(code, format!("{key}.{of}"), cause.to_owned(), action));
    };
    if function.price_usd_per_gb_second.get() <= 0.0 {
        let action = "give the price of one gigabyte for one second, like 0.0000166667";
        refuse(
            "price_usd_per_gb_second",
            Code::OutOfRange,
            "must be greater than 0: a function is paid by use",
            action,
        );
    }
    let sizes = &function.memory_mb;
    if sizes.is_empty() {
        refuse("memory_mb", Code::Empty, "a function needs at least one memory size", "list them, like [1769, 3538]");
    }
    if sizes.windows(2).any(|pair| pair[0] >= pair[1]) {
        refuse("memory_mb", Code::OutOfRange, "sizes must increase", "list each size once, the smallest first");
    }
    if sizes.iter().any(|size| size.get() <= 0.0 || function.cores_of(*size) == 0) {
        let cause = "a size must be worth at least one core: profiles are measured on whole cores";
        refuse("memory_mb", Code::OutOfRange, cause, "leave smaller sizes out, or lower `memory_mb_per_core`");
    }
    if function.memory_mb_per_core.is_some_and(|each| each.get() <= 0.0) {
        refuse("memory_mb_per_core", Code::OutOfRange, "must be greater than 0", "a size like 1769, or leave it out");
    }
    if function.concurrency_at_most == 0 {
        refuse("concurrency_at_most", Code::OutOfRange, "must be at least 1", "the most calls at once, like 1000");
    }
}

fn rooms_know_machines(problem: &Problem, findings: &mut Findings) {
    let trusting = problem.inventory.machines.iter().any(|kind| !kind.profiles.is_empty());
    if problem.room.name() == RoomName::Cascade && trusting {
        let cause = "the room `cascade` takes every profile to hold on every kind";
        let action = "leave `profiles` of the kinds out, and name one profile of each variant";
        findings.push(Finding::error(Code::NoEffect, "inventory.machines", cause, action));
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::Problem;

    fn found(room: &str, inventory: &Value) -> Vec<String> {
        let value = json!({
            "format": "planner.problem/1", "name": "test", "room": room, "profiles": ["p.json"],
            "workload": { "max_rps": 10 }, "slo": { "quantile": 0.9, "latency_ms": 100 },
            "inventory": inventory, "goal": { "kind": "most-accurate" }
        });
        let problem: Problem = serde_json::from_value(value).expect("a problem");
        let findings = problem.validate();
        findings.0.iter().map(|finding| format!("{} {}", finding.code.as_str(), finding.key)).collect()
    }

    fn function() -> Value {
        json!({ "name": "f", "memory_mb": [1769, 3538], "memory_mb_per_core": 1769, "cold_start_ms": 150,
                "price_usd_per_gb_second": 0.0000166667, "price_usd_per_million_calls": 0.2,
                "keep_alive_ms": 300000, "concurrency_at_most": 1000 })
    }

    #[test]
    fn sound_kinds_have_no_findings() {
        let machine = json!({ "name": "m", "cores": 2, "at_most": 9, "price_usd_per_hour": 0.1, "boot_ms": 100000,
                              "billing": { "step_s": 1, "least_s": 60 } });
        assert!(found("offload", &json!({ "machines": [machine], "functions": [function()] })).is_empty());
        assert!(found("variant-set", &json!({ "machines": [machine] })).is_empty());
    }

    #[test]
    fn what_is_wrong_in_kinds_is_found_all_at_once() {
        let machine = json!({ "name": "f", "cores": 2, "at_most": 9, "price_usd_per_hour": 0.1,
                              "billing": { "step_s": 1e9, "least_s": 1e9 } });
        let mut empty = function();
        empty["memory_mb"] = json!([]);
        empty["price_usd_per_gb_second"] = json!(0);
        empty["concurrency_at_most"] = json!(0);
        let mut small = function();
        small["name"] = json!("g");
        small["memory_mb"] = json!([512, 512]);
        let seen = found("offload", &json!({ "machines": [machine], "functions": [empty, small] }));
        assert_eq!(
            seen,
            [
                "duplicate-name inventory.functions[0].name",
                "out-of-range inventory.functions[0].price_usd_per_gb_second",
                "empty inventory.functions[0].memory_mb",
                "out-of-range inventory.functions[0].concurrency_at_most",
                "out-of-range inventory.functions[1].memory_mb",
                "out-of-range inventory.functions[1].memory_mb",
                "out-of-range inventory.machines[0].billing.step_s",
                "out-of-range inventory.machines[0].billing.least_s",
            ]
        );
    }

    #[test]
    fn a_room_refuses_the_families_that_it_does_not_plan_on() {
        let both = json!({ "cores": 2, "functions": [function(), function()] });
        let refused = "no-effect inventory.functions".to_owned();
        for room in ["variant-set", "cascade", "dropout"] {
            assert!(found(room, &both).contains(&refused), "{room}");
        }
        assert!(!found("offload", &both).contains(&refused));
    }
}
