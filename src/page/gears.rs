//! Each gear in a table and in sentences.

use super::formatting::{
    UNKNOWN, about, counted, gears_named, lane, length, listed, ms, percent, points, quantile, replicas, rounded, rps,
    sentence, usd,
};
use super::{Block, Given, Head, Seen, Table, text};
use crate::base::rounding::{ROUNDING, equal};
use crate::plan::{Dispatch, Gear, Lane, Plan, Stage, diff};
use crate::planners;
use crate::rooms::{Explanation, LimitPrice, RunnerUp};

/// Pages with so few gears show all of each.
pub(crate) const FEW: usize = 3;
/// A gain of accuracy that hardly matters: a hundredth of a point.
const HARDLY: f64 = 1e-4;

/// Why the gears are as they are.
pub(crate) struct Explained {
    gears: Vec<Option<Explanation>>,
    /// Why some are not explained, each reason once, with the gears that it is about.
    missing: Vec<(String, Vec<usize>)>,
}

impl Explained {
    /// Explains every gear by solving the kept problem again, as far as its room can.
    pub fn of(given: &Given<'_>) -> Self {
        let count = given.plan.gears.len();
        let nothing =
            |why: &str| Self { gears: vec![None; count], missing: vec![(why.to_owned(), (0..count).collect())] };
        let (problem, facts) = match (given.problem, given.facts) {
            (None, _) => return nothing("the plan does not contain its problem"),
            (_, Err(why)) => return nothing(why),
            (Some(problem), Ok(facts)) => (problem, facts),
        };
        let mut explained = Self { gears: Vec::new(), missing: Vec::new() };
        let found = match planners::explain_all(given.plan, problem, facts) {
            Ok(found) => found,
            Err(error) => return nothing(&super::frontier::first_line(&error)),
        };
        for (index, found) in found.into_iter().enumerate() {
            match found {
                Ok(explanation) => explained.gears.push(Some(explanation)),
                Err(error) => {
                    explained.gears.push(None);
                    explained.miss(super::frontier::first_line(&error), index);
                }
            }
        }
        explained
    }

    fn miss(&mut self, why: String, gear: usize) {
        match self.missing.iter_mut().find(|(known, _)| *known == why) {
            Some((_, gears)) => gears.push(gear),
            None => self.missing.push((why, vec![gear])),
        }
    }
}

pub(crate) fn blocks(given: &Given<'_>, explained: &Explained) -> Vec<Block> {
    let mut blocks = vec![Block::Table(table(given.plan))];
    for (why, gears) in &explained.missing {
        let who = if gears.len() == given.plan.gears.len() { "the gears".to_owned() } else { gears_named(gears) };
        blocks.push(text(format!("The binding limits of {who} are unknown: {why}.")));
    }
    let few = given.plan.gears.len() <= FEW;
    for (index, gear) in given.plan.gears.iter().enumerate() {
        let seen = given.simulated.ok().and_then(|trials| trials.gear(index));
        let mut inside = vec![text(does(given.plan, gear, seen).join(" "))];
        inside.push(text(promises(given, index).join(" ")));
        if let Some(why) = &explained.gears[index] {
            inside.push(text(binds(why).join(" ")));
        }
        // The pictures of few gears stand beside each other in a section of their own.
        if !few {
            inside.push(Block::Figures(vec![super::walk::figure(given, index)]));
        }
        blocks.push(Block::Folded { summary: summary(given.plan, index), open: few, blocks: inside });
    }
    blocks
}

fn table(plan: &Plan) -> Table {
    let side = diff(plan, plan);
    let number = |value: Option<f64>, write: fn(f64) -> String| value.map_or_else(|| UNKNOWN.to_owned(), write);
    let rows = side.ranges.into_iter().filter_map(|range| {
        let gear = range.after?;
        Some(vec![
            gear.gear.to_string(),
            rounded(range.to_rps),
            gear.lanes.join("\n"),
            number(gear.accuracy, percent),
            number(gear.latency_ms, rounded),
            gear.cores.map_or_else(|| UNKNOWN.to_owned(), |cores| cores.to_string()),
            number(gear.cost_usd_per_hour, rounded),
        ])
    });
    Table {
        caption: "Gears; a lane is pool × replicas, batch (b) and share of the calls".to_owned(),
        heads: vec![
            Head::number("gear"),
            Head::number("up to requests/s"),
            Head::words("lanes"),
            Head::number("accuracy"),
            Head::number(format!("{}, ms", quantile(&plan.slo))),
            Head::number("cores"),
            Head::number("USD/h"),
        ],
        rows: rows.collect(),
    }
}

fn summary(plan: &Plan, index: usize) -> String {
    let gear = &plan.gears[index];
    let mut variants: Vec<String> = Vec::new();
    for lane in gear.stages.iter().flat_map(|stage| &stage.lanes) {
        if !variants.contains(&lane.variant) {
            variants.push(lane.variant.clone());
        }
    }
    let cores = gear.claims.cores.map(|cores| format!(", {}", counted(cores, "core"))).unwrap_or_default();
    let accuracy =
        gear.claims.accuracy.map(|claim| format!(", accuracy {}", percent(claim.value.get()))).unwrap_or_default();
    format!("Gear {index}, up to {}: {}{cores}{accuracy}", rps(gear.up_to_rps.get()), listed(&variants))
}

/// Returns what a gear does with a request, in sentences; also what the picture of the walk shows.
pub(crate) fn does(plan: &Plan, gear: &Gear, seen: Option<&Seen>) -> Vec<String> {
    let stages = gear.stages.iter().enumerate();
    stages.map(|(index, stage)| stage_does(plan, gear, (index, stage), seen)).collect()
}

fn stage_does(plan: &Plan, gear: &Gear, (index, stage): (usize, &Stage), seen: Option<&Seen>) -> String {
    let who = match (stage.calls.get(), index) {
        (1.0, 0) => "every request".to_owned(),
        (1.0, _) => "every request that reaches it".to_owned(),
        (calls, _) => format!("each of a request's {} calls", rounded(calls)),
    };
    let lanes = || stage.lanes.iter().map(|of| lane(plan, gear, of)).collect::<Vec<_>>();
    let what = match (stage.dispatch, stage.lanes.as_slice()) {
        (_, [only]) => format!("{who} is served by {}", lane(plan, gear, only)),
        (Dispatch::Share, of) => format!("{who} goes to a lane at random: {}", shares(&lanes(), of)),
        (Dispatch::Stay, of) => {
            format!(
                "{who} stays on the pool that served it before, or goes to a lane at random: {}",
                shares(&lanes(), of)
            )
        }
        (Dispatch::Spill, _) => {
            format!("{who} goes to the first free lane, or waits for the last: {}", lanes().join(", "))
        }
        (Dispatch::Deadline, _) => format!(
            "{who} goes to the first lane that is expected to answer within {}, or to the last: {}",
            ms(plan.slo.latency_ms.get()),
            lanes().join(", ")
        ),
    };
    let what = if gear.stages.len() == 1 { sentence(&what) } else { format!("In stage {}, {what}", stage.name) };
    format!("{what}.{}", leaves(index, stage, seen))
}

/// Returns what share of the calls each lane gets.
fn shares(names: &[String], lanes: &[Lane]) -> String {
    let share = |lane: &Lane| about(lane.share.map_or(0.0, f64::from));
    let shares = names.iter().zip(lanes).map(|(name, lane)| format!("{} to {name}", share(lane)));
    listed(&shares.collect::<Vec<_>>())
}

fn leaves(index: usize, stage: &Stage, seen: Option<&Seen>) -> String {
    let Some(exit) = stage.exit else { return String::new() };
    let part = seen.and_then(|seen| seen.exits.get(index));
    let part = part.map(|part| format!("; {} of all requests did in simulation", about(*part))).unwrap_or_default();
    format!(" Requests with a certainty of at least {} exit here{part}.", exit.certainty_at_least)
}

/// Returns what is claimed and what was measured, in sentences.
fn promises(given: &Given<'_>, index: usize) -> Vec<String> {
    let (plan, gear) = (given.plan, &given.plan.gears[index]);
    let (name, limit) = (quantile(&plan.slo), ms(plan.slo.latency_ms.get()));
    let mut claims = Vec::new();
    if let Some(claim) = gear.claims.accuracy {
        let (low, high) = (percent(claim.low.get()), percent(claim.high.get()));
        claims.push(format!("an accuracy of {} ({low} to {high})", percent(claim.value.get())));
    }
    if let Some(claim) = gear.claims.latency {
        claims.push(format!("a {name} of {} (SLO {limit})", ms(claim.value_ms.get())));
    }
    if let Some(cost) = gear.claims.cost_usd_per_hour {
        claims.push(usd(cost.get()));
    }
    let mut sentences = vec![if claims.is_empty() {
        "The gear makes no claims.".to_owned()
    } else {
        format!("At its highest rate it claims {}.", listed(&claims))
    }];
    if let Some(seen) = given.simulated.ok().and_then(|trials| trials.gear(index)) {
        let latency = seen.latency_ms.map(|time| format!(", {name} {}", ms(time))).unwrap_or_default();
        let allowed = about(1.0 - plan.slo.quantile.get());
        sentences.push(format!(
            "In simulation {} of the requests were late ({allowed} allowed){latency}.",
            percent(seen.late)
        ));
    }
    sentences
}

/// Returns what binds a gear and what came second, in sentences.
fn binds(why: &Explanation) -> Vec<String> {
    let binding: Vec<&LimitPrice> = why.limits.iter().filter(|limit| limit.binds).collect();
    let mut sentences: Vec<String> = binding.iter().map(|limit| bound(limit)).collect();
    if binding.is_empty() {
        let limits: Vec<String> = why.limits.iter().map(loosened).collect();
        sentences.push(format!("No limit binds: none of these would improve the gear: {}.", limits.join(", ")));
    }
    sentences.extend(why.runner_up.as_ref().map(|second| runner_up(why, second)));
    sentences
}

fn bound(limit: &LimitPrice) -> String {
    let mut gains = Vec::new();
    if limit.accuracy_gain > ROUNDING {
        gains.push(format!("raise the accuracy by {}", points(limit.accuracy_gain)));
    } else if limit.accuracy_gain < -ROUNDING {
        gains.push(format!("lower the accuracy by {}", points(-limit.accuracy_gain)));
    }
    // Where machines are rented, what is saved is their price.
    let saves = match (limit.cost_change_usd_per_hour, limit.cores_change) {
        (Some(change), _) if change < 0.0 => Some(format!("save {}", usd(-change))),
        (Some(change), _) if change > 0.0 => Some(format!("use {} more", usd(change))),
        (Some(_), _) | (None, 0) => None,
        (None, change) if change < 0 => Some(format!("save {}", counted(change.unsigned_abs(), "core"))),
        (None, change) => Some(format!("use {} more", counted(change.unsigned_abs(), "core"))),
    };
    let is_saving = limit.cost_change_usd_per_hour.map_or(limit.cores_change < 0, |change| change < 0.0);
    gains.extend(saves);
    let hardly = if limit.accuracy_gain < HARDLY && !is_saving { ", slightly" } else { "" };
    format!("{} binds{hardly}: {} would {}.", sentence(&named(limit)), loosened(limit), listed(&gains))
}

/// Returns a limit in words.
fn named(limit: &LimitPrice) -> String {
    match &*limit.key {
        key if key.ends_with("at_most") => format!("the limit of {} ({key})", counted(limit.value as u64, "machine")),
        key if key.ends_with("memory_mb") => format!("the memory of {} MB a machine ({key})", rounded(limit.value)),
        "slo.latency_ms" => format!("the SLO of {}", ms(limit.value)),
        "goal.accuracy_at_least" => format!("the minimum accuracy of {}", percent(limit.value)),
        _ => format!("the budget of {}", counted(limit.value as u64, "core")),
    }
}

/// Returns in words what was tried in place of a limit.
fn loosened(limit: &LimitPrice) -> String {
    match &*limit.key {
        key if key.ends_with("at_most") => format!("one more machine ({key})"),
        key if key.ends_with("memory_mb") => format!("{} MB a machine ({key})", rounded(limit.loosened_to)),
        "slo.latency_ms" => format!("{} instead of {}", ms(limit.loosened_to), ms(limit.value)),
        "goal.accuracy_at_least" => format!("an accuracy of {}", percent(limit.loosened_to)),
        _ => "one more core".to_owned(),
    }
}

fn runner_up(why: &Explanation, second: &RunnerUp) -> String {
    let cores: Vec<String> =
        second.cores.iter().map(|(name, cores)| format!("{name} on {}", counted(*cores, "core"))).collect();
    let accuracy = match second.accuracy - why.accuracy {
        difference if difference.abs() < 5e-7 => "as accurate".to_owned(),
        difference if difference < 0.0 => format!("{} less accurate", points(-difference)),
        difference => format!("{} more accurate", points(difference)),
    };
    let all: u32 = second.cores.iter().map(|(_, cores)| cores).sum();
    let cores_more = match i64::from(all) - i64::from(why.cores) {
        0 => "on the same number of cores".to_owned(),
        more if more > 0 => format!("on {} more", counted(more.unsigned_abs(), "core")),
        fewer => format!("on {} fewer", counted(fewer.unsigned_abs(), "core")),
    };
    let price = match second.cost_usd_per_hour.zip(why.cost_usd_per_hour) {
        None => String::new(),
        Some((second, own)) if equal(second, own) => " and for the same price".to_owned(),
        Some((second, own)) if second > own => format!(" and for {} more", usd(second - own)),
        Some((second, own)) => format!(" and for {} less", usd(own - second)),
    };
    format!("The runner-up is {}: {accuracy}, {cores_more}{price}.", listed(&cores))
}

/// Returns every pool that is up in a gear, in words.
pub(crate) fn up(plan: &Plan, gear: &Gear) -> String {
    let up = plan.placement.iter().filter(|pool| gear.replicas_of(pool) > 0);
    let words: Vec<String> =
        up.map(|pool| format!("{} with {} ({})", pool.name, replicas(gear, pool), pool.hosts.join(", "))).collect();
    if words.is_empty() { length(&words, "pool") } else { listed(&words) }
}
