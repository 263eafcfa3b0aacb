//! The problem, and the facts that the plan was made from.

use super::formatting::{UNKNOWN, about, counted, length, listed, number, objective, percent, rounded, rps, seconds};
use super::{Block, Given, Table, text};
use crate::plan::{HeadRoom, Plan};
use crate::problem::{Criterion, Goal, GoalKind, Machine, PipelineAccuracy, Problem};
use crate::profile::Profile;

pub(crate) fn blocks(given: &Given<'_>) -> Vec<Block> {
    let plan = given.plan;
    let mut terms = vec![
        ("SLO", objective(&plan.slo)),
        ("Load", given.problem.map_or_else(|| kept(plan), |problem| rps(problem.workload.max_rps.get()))),
    ];
    match given.problem {
        Some(problem) => terms.extend(of_problem(problem)),
        None => terms.push(("Goal", "unknown: the plan does not contain its problem".to_owned())),
    }
    terms.extend(plan.provenance.head_room.as_ref().map(|taken| ("Risk", risk(taken))));
    terms.push(("Room", format!("{}: {}", plan.provenance.room.as_str(), plan.provenance.room.question())));
    terms.push(("Switch rule", switch(plan)));
    let terms = terms.into_iter().map(|(name, meaning)| (name.to_owned(), meaning)).collect();
    let mut blocks = vec![Block::Terms(terms)];
    match given.facts {
        Ok(facts) => blocks.push(profiles(facts.profiles.iter().map(|profile| &profile.document))),
        Err(why) => blocks.push(text(format!("The measured facts are unknown: {why}."))),
    }
    blocks
}

fn kept(plan: &Plan) -> String {
    format!("{}, the highest rate of any gear", rps(plan.max_rps()))
}

/// Says what risk the plan takes.
fn risk(taken: &HeadRoom) -> String {
    let by = if taken.is_default { ", by default" } else { "" };
    format!("{} probability that measurement errors break the SLO{by}", percent(taken.risk.get()))
}

fn of_problem(problem: &Problem) -> Vec<(&'static str, String)> {
    let mut terms = vec![("Goal", goal(problem)), ("Inventory", inventory(problem))];
    if !problem.stages().is_empty() {
        terms.push(("Stages", stages(problem)));
        terms.push(("End-to-end accuracy", accuracy(problem)));
    } else if let Some(variants) = problem.allowed_variants() {
        terms.push(("Variants", listed(&variants.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>())));
    }
    if problem.room.is_published() {
        terms.push(("Formulation", "published: the paper's own model, which ignores waiting".to_owned()));
    }
    terms
}

fn inventory(problem: &Problem) -> String {
    let inventory = &problem.inventory;
    let each = |price: f64| match price {
        0.0 => String::new(),
        price => format!(" at {} USD an hour each", rounded(price)),
    };
    if !inventory.rents_whole() {
        return format!("{}{}", counted(inventory.cores, "core"), each(inventory.price_usd_per_core_hour.get()));
    }
    let kind = |kind: &Machine| {
        let memory = kind.memory_mb.map_or(String::new(), |memory| format!(" and {}\u{a0}MB", number(memory.get())));
        let price = each(kind.price_usd_per_hour.get());
        format!("up to {} {} of {}{memory}{price}", kind.at_most, kind.name, counted(kind.cores, "core"))
    };
    listed(&inventory.machines.iter().map(kind).collect::<Vec<_>>())
}

fn goal(problem: &Problem) -> String {
    let goal = &problem.goal;
    if problem.inventory.rents_whole() {
        return goal_on_machines(problem);
    }
    match goal.kind {
        GoalKind::MostAccurate => format!("most accurate on at most {}", counted(problem.core_budget(), "core")),
        GoalKind::Cheapest => {
            let least = goal.accuracy_at_least.map_or_else(|| UNKNOWN.to_owned(), |least| percent(least.get()));
            format!("fewest cores with an accuracy of at least {least} at every load")
        }
        GoalKind::Lexicographic => levels(goal),
        GoalKind::Fastest => "shortest response time at the required accuracy".to_owned(),
        GoalKind::Weighted => {
            let weights = goal.weights.unwrap_or_default();
            format!(
                "maximize {} × accuracy − {} × share of the cores in use − {} × load time",
                number(weights.accuracy.get()),
                number(weights.resource.get()),
                number(weights.loading.get())
            )
        }
    }
}

fn levels(goal: &Goal) -> String {
    let level = |criterion: &Criterion| match criterion {
        Criterion::Accuracy => "the highest accuracy",
        Criterion::Cores => "the fewest cores",
        Criterion::Latency => "the shortest latency",
    };
    goal.order.iter().map(level).collect::<Vec<_>>().join(", then ")
}

/// Where machines are rented whole, the goal counts money instead of cores.
fn goal_on_machines(problem: &Problem) -> String {
    let goal = &problem.goal;
    match goal.kind {
        GoalKind::MostAccurate => "most accurate within the inventory, then cheapest".to_owned(),
        GoalKind::Cheapest => {
            let least = goal.accuracy_at_least.map_or_else(|| UNKNOWN.to_owned(), |least| percent(least.get()));
            format!("lowest cost with an accuracy of at least {least} at every load")
        }
        GoalKind::Lexicographic => levels(goal),
        GoalKind::Fastest => "shortest response time at the required accuracy".to_owned(),
        GoalKind::Weighted => {
            let weights = goal.weights.unwrap_or_default();
            let (accuracy, resource) = (number(weights.accuracy.get()), number(weights.resource.get()));
            format!("maximize {accuracy} × accuracy − {resource} × cost as a share of the cost of all machines")
        }
    }
}

fn stages(problem: &Problem) -> String {
    let stage = |stage: &crate::problem::Task| {
        let calls = stage.calls.get();
        let calls = if calls == 1.0 { String::new() } else { format!(", {} calls a request", number(calls)) };
        format!("{} ({}{calls})", stage.name, stage.variants.join(", "))
    };
    problem.stages().iter().map(stage).collect::<Vec<_>>().join(" → ")
}

fn accuracy(problem: &Problem) -> String {
    match problem.accuracy_of_stages() {
        PipelineAccuracy::Product => "the product of the stages' accuracies, assuming independent errors".to_owned(),
        PipelineAccuracy::Measured { combinations } => {
            format!("measured end to end for {}", length(combinations, "combination"))
        }
    }
}

fn switch(plan: &Plan) -> String {
    let switch = plan.switch;
    if plan.gears.len() == 1 {
        return "none: the plan has one gear".to_owned();
    }
    let part = |share: crate::base::units::Share| about(share.get());
    let windows = || plan.gears.iter().map(|gear| plan.window_of(gear));
    let shorter = |a, b| if b < a { b } else { a };
    let longer = |a, b| if b > a { b } else { a };
    let window = match (windows().reduce(shorter), windows().reduce(longer)) {
        (Some(shortest), Some(longest)) if shortest < longest => {
            format!("{} to {}, by gear,", seconds(shortest), seconds(longest))
        }
        (shortest, _) => seconds(shortest.unwrap_or(switch.window_ms)),
    };
    format!(
        "up as soon as the rate over {} exceeds {} of the gear's highest rate; down after it stays below {} of the lower \
         gear's highest rate for {}",
        window,
        part(switch.up),
        part(switch.down),
        seconds(switch.dwell_ms)
    )
}

fn profiles<'a>(profiles: impl Iterator<Item = &'a Profile>) -> Block {
    let heads = ["profile", "variants", "points", "host", "cores used", "measured"];
    let row = |profile: &Profile| {
        let at = &profile.provenance.measured_at;
        vec![
            profile.task.clone(),
            profile.variants.len().to_string(),
            profile.points.len().to_string(),
            profile.host.cpu.clone(),
            profile.host.cores_allowed.to_string(),
            at.split_once('T').map_or_else(|| UNKNOWN.to_owned(), |(day, _)| day.to_owned()),
        ]
    };
    let mut heads: Vec<_> = heads.into_iter().map(super::Head::number).collect();
    for index in [0, 3, 5] {
        heads[index].words = true;
    }
    Block::Table(Table { caption: "Measured facts".to_owned(), heads, rows: profiles.map(row).collect() })
}
