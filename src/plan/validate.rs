//! The rules that hold between the fields of a plan, each a small function.

use std::collections::BTreeSet;
use std::ops::Add;

use super::{Gear, Input, InputRole, Plan, Stage};
use crate::base::finding::{Code, Finding, Findings, Severity};
use crate::base::near;
use crate::base::units::Millis;

/// How far the shares of a stage may be from 1 in sum.
const SHARE_TOLERANCE: f64 = 1e-6;
/// Most calls that one request makes in a stage.
const MOST_CALLS: f64 = 1000.0;
/// Shortest switch window.
const SHORTEST_WINDOW_MS: f64 = 1.0;

impl Plan {
    /// Returns everything that is wrong in the plan itself; facts and claims are looked at by `check`.
    #[must_use]
    pub fn validate(&self) -> Findings {
        let mut findings = Findings::default();
        lists_are_not_empty(self, &mut findings);
        pools_are_unique(self, &mut findings);
        super::packing::names_are_known(self, &mut findings);
        transfers_join_pools(self, &mut findings);
        objective_is_possible(self, &mut findings);
        gears_are_in_order(self, &mut findings);
        super::periods::validate(self, &mut findings);
        for (index, gear) in self.gears.iter().enumerate() {
            let key = format!("gears[{index}]");
            replicas_fit_the_placement(self, gear, &key, &mut findings);
            stage_names_are_unique(gear, &key, &mut findings);
            super::watch::validate(gear, &key, &mut findings);
            for (index, stage) in gear.stages.iter().enumerate() {
                let key = format!("{key}.stages[{index}]");
                stages_wait_for_earlier_ones(gear, index, &key, &mut findings);
                lanes_find_their_variant(self, gear, stage, &key, &mut findings);
                shares_sum_to_one(stage, &key, &mut findings);
                the_last_stage_answers(gear, index, &key, &mut findings);
            }
        }
        switch_leaves_a_band(self, &mut findings);
        inputs_are_named_once(self, &mut findings);
        the_problem_is_sound(self, &mut findings);
        findings
    }
}

/// Several profiles may be inputs; of everything else a plan has one.
fn inputs_are_named_once(plan: &Plan, findings: &mut Findings) {
    let inputs = &plan.provenance.inputs;
    for (index, input) in inputs.iter().enumerate() {
        let repeats = |earlier: &Input| {
            earlier.role == input.role && (input.role != InputRole::Profile || earlier.path == input.path)
        };
        if let Some(first) = inputs[..index].iter().position(repeats) {
            let cause = format!("{} repeats what provenance.inputs[{first}] is", input.path.display());
            let action = "name each profile once, and at most one problem, trace, day and plan";
            let key = format!("provenance.inputs[{index}]");
            findings.push(Finding::error(Code::DuplicateName, key, cause, action));
        }
    }
}

/// What a plan was made for is solved again by whoever checks it.
fn the_problem_is_sound(plan: &Plan, findings: &mut Findings) {
    let Some(problem) = &plan.provenance.problem else { return };
    let errors = problem.validate().0.into_iter().filter(|finding| finding.severity == Severity::Error);
    findings.extend(Findings(
        errors.map(|finding| Finding { key: format!("provenance.problem.{}", finding.key), ..finding }).collect(),
    ));
}

fn lists_are_not_empty(plan: &Plan, findings: &mut Findings) {
    let mut lists =
        vec![("placement".to_owned(), plan.placement.is_empty()), ("gears".to_owned(), plan.gears.is_empty())];
    for (index, pool) in plan.placement.iter().enumerate() {
        lists.push((format!("placement[{index}].hosts"), pool.hosts.is_empty()));
    }
    for (index, gear) in plan.gears.iter().enumerate() {
        lists.push((format!("gears[{index}].stages"), gear.stages.is_empty()));
        for (stage_index, stage) in gear.stages.iter().enumerate() {
            lists.push((format!("gears[{index}].stages[{stage_index}].lanes"), stage.lanes.is_empty()));
        }
    }
    for (key, empty) in lists {
        if empty {
            findings.push(Finding::error(
                Code::Empty,
                key,
                "the list is empty",
                "a plan needs at least one entry here",
            ));
        }
    }
}

fn pools_are_unique(plan: &Plan, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for (index, pool) in plan.placement.iter().enumerate() {
        if !seen.insert(&pool.name) {
            let cause = format!("`{}` names two pools", pool.name);
            findings.push(Finding::error(Code::DuplicateName, format!("placement[{index}].name"), cause, "rename one"));
        }
    }
}

fn transfers_join_pools(plan: &Plan, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for (index, transfer) in plan.transfers.iter().enumerate() {
        let key = format!("transfers[{index}]");
        for (end, name) in [("from", transfer.from.as_ref()), ("to", Some(&transfer.to))] {
            if let Some(name) = name.filter(|name| plan.pool(name).is_none()) {
                findings.push(unknown_pool(plan, name, format!("{key}.{end}")));
            }
        }
        if !seen.insert((&transfer.from, &transfer.to)) {
            let from = transfer.from.as_deref().unwrap_or("outside");
            let cause = format!("the way from `{from}` to `{}` is named twice", transfer.to);
            findings.push(Finding::error(Code::DuplicateName, key, cause, "name it once"));
        }
    }
}

fn objective_is_possible(plan: &Plan, findings: &mut Findings) {
    if plan.slo.latency_ms.get() <= 0.0 {
        let action = "a time above 0";
        findings.push(Finding::error(Code::OutOfRange, "slo.latency_ms", "no answer takes no time", action));
    }
    if plan.slo.quantile.get() <= 0.0 || plan.slo.quantile.get() >= 1.0 {
        let action = "a part between 0 and 1, both excluded, like 0.99";
        findings.push(Finding::error(Code::OutOfRange, "slo.quantile", plan.slo.quantile.to_string(), action));
    }
    findings.extend(plan.slo.window_is_long_enough());
}

fn gears_are_in_order(plan: &Plan, findings: &mut Findings) {
    let by_clock = !plan.periods.is_empty();
    let mut before = 0.0;
    for (index, gear) in plan.gears.iter().enumerate() {
        let rate = gear.up_to_rps.get();
        if rate <= before && !by_clock {
            let cause = format!("{rate} is not above {before}, where the gear begins");
            let action = "sort the gears by load; each carries more than the one before";
            findings.push(Finding::error(Code::Order, format!("gears[{index}].up_to_rps"), cause, action));
        }
        before = rate;
        if gear.under_way_at_most.is_some() && (by_clock || index + 1 == plan.gears.len()) {
            let key = format!("gears[{index}].under_way_at_most");
            let cause = if by_clock { "gears change by the clock" } else { "there is no next gear to call" };
            findings.push(Finding::error(Code::NoEffect, key, cause, "remove it"));
        }
        if let Some(window_ms) = gear.window_ms {
            window_is_long_enough(window_ms, format!("gears[{index}].window_ms"), findings);
        }
    }
}

fn replicas_fit_the_placement(plan: &Plan, gear: &Gear, key: &str, findings: &mut Findings) {
    for (name, &up) in &gear.replicas {
        let key = format!("{key}.replicas.{name}");
        match plan.pool(name) {
            None => findings.push(unknown_pool(plan, name, key)),
            Some(pool) if up > pool.replicas => {
                let cause = format!("{up} replicas are up, but the placement has {}", pool.replicas);
                findings.push(Finding::error(
                    Code::TooManyReplicas,
                    key,
                    cause,
                    "raise the placement or lower the gear",
                ));
            }
            Some(_) => {}
        }
    }
}

fn unknown_pool(plan: &Plan, name: &str, key: String) -> Finding {
    let known: Vec<_> = plan.placement.iter().map(|pool| pool.name.as_str()).collect();
    let action = near::hint(name, known.iter().copied(), format!("pools are {}", known.join(", ")));
    Finding::error(Code::UnknownName, key, format!("no pool is called `{name}`"), action)
}

fn stage_names_are_unique(gear: &Gear, key: &str, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for (index, stage) in gear.stages.iter().enumerate() {
        if !seen.insert(&stage.name) {
            let cause = format!("`{}` names two stages", stage.name);
            let key = format!("{key}.stages[{index}].name");
            findings.push(Finding::error(Code::DuplicateName, key, cause, "rename one"));
        }
    }
}

fn stages_wait_for_earlier_ones(gear: &Gear, index: usize, key: &str, findings: &mut Findings) {
    for name in &gear.stages[index].after {
        if !gear.stages[..index].iter().any(|stage| stage.name == *name) {
            let cause = format!("`{name}` is no earlier stage of this gear");
            let action = "list the stages so that each comes after those it waits for";
            findings.push(Finding::error(Code::StageOrder, format!("{key}.after"), cause, action));
        }
    }
    let after = &gear.stages[index].after;
    if let Some(twice) = (1..after.len()).find(|&later| after[..later].contains(&after[later])) {
        let cause = format!("`{}` is named twice", after[twice]);
        findings.push(Finding::error(Code::DuplicateName, format!("{key}.after"), cause, "name it once"));
    }
    let calls = gear.stages[index].calls.get();
    if calls <= 0.0 || calls > MOST_CALLS {
        let cause = format!("a request makes {calls} calls here");
        let action = format!("a number above 0, at most {MOST_CALLS}");
        findings.push(Finding::error(Code::OutOfRange, format!("{key}.calls"), cause, action));
    }
}

fn lanes_find_their_variant(plan: &Plan, gear: &Gear, stage: &Stage, key: &str, findings: &mut Findings) {
    for (index, lane) in stage.lanes.iter().enumerate() {
        let key = format!("{key}.lanes[{index}]");
        let Some(pool) = plan.pool(&lane.pool) else {
            findings.push(unknown_pool(plan, &lane.pool, format!("{key}.pool")));
            continue;
        };
        if !pool.hosts.contains(&lane.variant) {
            let cause = format!("pool `{}` does not host `{}`", pool.name, lane.variant);
            let action = format!("it hosts {}", pool.hosts.join(", "));
            findings.push(Finding::error(Code::NotHosted, format!("{key}.variant"), cause, action));
        }
        if gear.replicas_of(pool) == 0 {
            let cause = format!("pool `{}` has no replica up in this gear", pool.name);
            findings.push(Finding::error(Code::BadLane, format!("{key}.pool"), cause, "bring one up or drop the lane"));
        }
        if lane.hold_ms.get() > 0.0 && lane.queue_limit.is_some_and(|limit| limit < lane.batch) {
            let cause = "calls are refused before a batch is full, so every batch waits out its hold";
            let action = format!("at least {}, the lane's batch", lane.batch);
            findings.push(Finding::error(Code::BadLane, format!("{key}.queue_limit"), cause, action));
        }
        if lane.drop_after_ms.is_some_and(|limit| limit <= lane.hold_ms) {
            let cause = format!("a call that was held for {} ms would be dropped", lane.hold_ms);
            let action = "a time above the hold, like the SLO's";
            findings.push(Finding::error(Code::BadLane, format!("{key}.drop_after_ms"), cause, action));
        }
        if lane.batch == 1 && lane.hold_ms.get() > 0.0 {
            let cause = format!("holds {} ms for companions but serves one call at a time", lane.hold_ms);
            let action = "raise `batch` or remove `hold_ms`";
            findings.push(Finding::error(Code::BadLane, format!("{key}.hold_ms"), cause, action));
        }
    }
}

fn shares_sum_to_one(stage: &Stage, key: &str, findings: &mut Findings) {
    let given = stage.lanes.iter().filter(|lane| lane.share.is_some()).count();
    if !stage.dispatch.looks_at_shares() {
        if given > 0 {
            let cause = "only `share` and `stay` look at shares";
            findings.push(Finding::error(Code::NoEffect, format!("{key}.lanes"), cause, "remove the shares"));
        }
        return;
    }
    // A lone lane takes everything, said or not.
    if given == 0 && stage.lanes.len() == 1 {
        return;
    }
    let sum = stage.lanes.iter().filter_map(|lane| lane.share).map(f64::from).fold(0.0, f64::add);
    if given < stage.lanes.len() || (sum - 1.0).abs() > SHARE_TOLERANCE {
        let cause = format!("{given} of {} lanes have a share, in sum {sum}", stage.lanes.len());
        findings.push(Finding::error(
            Code::ShareSum,
            format!("{key}.lanes"),
            cause,
            "give every lane a share, 1 in sum",
        ));
    }
}

fn the_last_stage_answers(gear: &Gear, index: usize, key: &str, findings: &mut Findings) {
    if index + 1 == gear.stages.len() && gear.stages[index].exit.is_some() {
        let cause = "nothing comes after the last stage, so nobody can leave early";
        findings.push(Finding::error(Code::BadLane, format!("{key}.exit"), cause, "remove the exit"));
    }
}

fn window_is_long_enough(window_ms: Millis, key: String, findings: &mut Findings) {
    if window_ms.get() < SHORTEST_WINDOW_MS {
        let cause = "a rate needs some time to be measured";
        findings.push(Finding::error(Code::OutOfRange, key, cause, "at least 1 ms"));
    }
}

fn switch_leaves_a_band(plan: &Plan, findings: &mut Findings) {
    let switch = &plan.switch;
    window_is_long_enough(switch.window_ms, "switch.window_ms".to_owned(), findings);
    if switch.down > switch.up {
        let cause = format!("changes down at {} but up at {} of a border: it would swing", switch.down, switch.up);
        findings.push(Finding::error(Code::Order, "switch.down", cause, "lower `down` to `up` or less"));
    }
    if switch.up.get() <= 0.0 {
        findings.push(Finding::error(Code::OutOfRange, "switch.up", "0 calls the last gear always", "a part above 0"));
    }
}
