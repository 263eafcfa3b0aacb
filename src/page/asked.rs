//! What was asked, and by what facts it was answered.

use super::words::{UNKNOWN, counted, length, listed, ms, percent, quantile, rps};
use super::{Block, Given, Table, text};
use crate::page::plot::text::{number, rounded};
use crate::plan::Plan;
use crate::problem::{Criterion, Goal, GoalKind, Machine, PipelineAccuracy, Problem};
use crate::profile::Profile;

pub(crate) fn blocks(given: &Given<'_>) -> Vec<Block> {
    let plan = given.plan;
    let mut terms = vec![
        ("Latency objective", format!("{} within {}", quantile(&plan.slo), ms(plan.slo.latency_ms.get()))),
        ("Load", given.problem.map_or_else(|| kept(plan), |problem| rps(problem.workload.max_rps.get()))),
    ];
    match given.problem {
        Some(problem) => terms.extend(of_problem(problem)),
        None => terms.push(("Goal", "not known: the plan keeps no problem".to_owned())),
    }
    terms.push(("Room", format!("{}: {}", plan.provenance.room.as_str(), plan.provenance.room.question())));
    terms.push(("Changing gears", switch(plan)));
    let terms = terms.into_iter().map(|(name, meaning)| (name.to_owned(), meaning)).collect();
    let mut blocks = vec![Block::Terms(terms)];
    match given.facts {
        Ok(facts) => blocks.push(profiles(facts.profiles.iter().map(|profile| &profile.document))),
        Err(why) => blocks.push(text(format!("The measured facts are not known: {why}."))),
    }
    blocks
}

fn kept(plan: &Plan) -> String {
    format!("{}, the highest that a gear carries", rps(plan.max_rps()))
}

fn of_problem(problem: &Problem) -> Vec<(&'static str, String)> {
    let mut terms = vec![("Goal", goal(problem)), ("Inventory", inventory(problem))];
    if !problem.stages().is_empty() {
        terms.push(("Stages", stages(problem)));
        terms.push(("Accuracy of the whole", accuracy(problem)));
    } else if let Some(variants) = problem.allowed_variants() {
        terms.push(("Variants", listed(&variants.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>())));
    }
    if let Some(risk) = problem.risk {
        terms.push(("Risk", format!("{} that facts were wrong and the objective is not kept", percent(risk.get()))));
    }
    if problem.room.is_published() {
        terms.push(("Formulation", "published: the paper's own model, without waiting in it".to_owned()));
    }
    terms
}

fn inventory(problem: &Problem) -> String {
    let inventory = &problem.inventory;
    let each = |price: f64| match price {
        0.0 => String::new(),
        price => format!(" at {} USD an hour each", rounded(price)),
    };
    if inventory.machines.is_empty() {
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
    if !problem.inventory.machines.is_empty() {
        return goal_on_machines(problem);
    }
    match goal.kind {
        GoalKind::MostAccurate => format!("most accurate on at most {}", counted(problem.core_budget(), "core")),
        GoalKind::Cheapest => {
            let least = goal.accuracy_at_least.map_or_else(|| UNKNOWN.to_owned(), |least| percent(least.get()));
            format!("fewest cores with an accuracy of at least {least} at every load")
        }
        GoalKind::Lexicographic => levels(goal),
        GoalKind::Fastest => "shortest response time with the asked accuracy".to_owned(),
        GoalKind::Weighted => {
            let weights = goal.weights.unwrap_or_default();
            format!(
                "highest {} × accuracy − {} × part of the cores in use − {} × load time",
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

/// Where machines are rented whole, money is what counts in place of cores.
fn goal_on_machines(problem: &Problem) -> String {
    let goal = &problem.goal;
    match goal.kind {
        GoalKind::MostAccurate => "most accurate on the machines there are; of those the cheapest".to_owned(),
        GoalKind::Cheapest => {
            let least = goal.accuracy_at_least.map_or_else(|| UNKNOWN.to_owned(), |least| percent(least.get()));
            format!("least money with an accuracy of at least {least} at every load")
        }
        GoalKind::Lexicographic => levels(goal),
        GoalKind::Fastest => "shortest response time with the asked accuracy".to_owned(),
        GoalKind::Weighted => {
            let weights = goal.weights.unwrap_or_default();
            let (accuracy, resource) = (number(weights.accuracy.get()), number(weights.resource.get()));
            format!("highest {accuracy} × accuracy − {resource} × cost as a part of that of all machines")
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
        PipelineAccuracy::Product => "the product of the stages', as if their errors were independent".to_owned(),
        PipelineAccuracy::Measured { combinations } => {
            format!("measured from end to end for {}", length(combinations, "combination"))
        }
    }
}

fn switch(plan: &Plan) -> String {
    let switch = plan.switch;
    if plan.gears.len() == 1 {
        return "there is one gear".to_owned();
    }
    let part = |share: crate::base::units::Share| super::words::about(share.get());
    let seconds = |time: crate::base::units::Millis| format!("{}\u{a0}s", rounded(time.get() / 1e3));
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
        "up at once where the rate of {} is above {} of what the gear carries; down where it stays below {} of the lower \
         gear's for {}",
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
