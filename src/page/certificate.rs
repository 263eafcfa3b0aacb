//! How good each gear is, and how that is known.

use std::collections::BTreeSet;

use super::words::{UNKNOWN, counted, percent};
use super::{Block, Given, Head, Table, text};
use crate::plan::{Certificate, Gear, Optimality, Plan};

pub(crate) fn blocks(given: &Given<'_>) -> Vec<Block> {
    let plan = given.plan;
    let methods: BTreeSet<&str> = certificates(plan).map(|(_, certificate)| certificate.method.as_str()).collect();
    if methods.is_empty() {
        return vec![text(format!(
            "{} The plan was made {}.",
            finding(plan),
            match plan.provenance.tool.as_str() {
                "by hand" => "by hand".to_owned(),
                tool => format!("by {tool}"),
            }
        ))];
    }
    let methods: Vec<&str> = methods.into_iter().collect();
    let mut blocks = vec![
        text(finding(plan)),
        text(format!(
            "Method: {}. Objective and bound are values of the goal at a gear's highest rate; higher is \
             better.",
            methods.join("; ")
        )),
    ];
    blocks.extend(cuts(plan).map(text));
    blocks.push(Block::Table(table(plan)));
    blocks
}

fn certificates(plan: &Plan) -> impl Iterator<Item = (&Gear, &Certificate)> {
    plan.gears.iter().filter_map(|gear| Some((gear, gear.certificate.as_ref()?)))
}

/// Returns what the certificates say together.
pub(crate) fn finding(plan: &Plan) -> String {
    match Optimality::of(plan) {
        Optimality::Heuristic { .. } => "Heuristic: no gear has an optimality bound.".to_owned(),
        known => {
            let gears = certificates(plan).count() as u64;
            let who = if gears == 1 { "The gear is".to_owned() } else { format!("{} are", counted(gears, "gear")) };
            format!("{who} {}.", known.brief())
        }
    }
}

fn cuts(plan: &Plan) -> Option<String> {
    let parts = &plan.provenance.capacity_parts;
    let words: Vec<String> = parts.iter().map(|(name, part)| format!("{} of {name}", percent(*part))).collect();
    (!words.is_empty()).then(|| {
        format!("Trials asked for less than the computed capacity, so the plan uses {}.", super::words::listed(&words))
    })
}

fn table(plan: &Plan) -> Table {
    let allowed = 1.0 - plan.slo.quantile.get();
    let row = |(index, gear): (usize, &Gear)| {
        let certificate = gear.certificate.as_ref();
        let value = |of: fn(&Certificate) -> f64| {
            certificate.map_or_else(|| UNKNOWN.to_owned(), |certificate| format!("{:.6}", of(certificate)))
        };
        let trial = certificate.and_then(|certificate| certificate.trial);
        let part = |of: fn(&crate::plan::GearTried) -> f64| {
            trial.as_ref().map_or_else(|| UNKNOWN.to_owned(), |trial| percent(of(trial)))
        };
        vec![
            index.to_string(),
            value(|of| of.objective),
            value(|of| of.bound),
            certificate.map_or_else(
                || UNKNOWN.to_owned(),
                |of| if of.relative_gap() == 0.0 { "0".to_owned() } else { format!("{:.0e}", of.gap) },
            ),
            trial.map_or_else(|| UNKNOWN.to_owned(), |trial| crate::page::plot::text::number(trial.requests as f64)),
            part(|trial| trial.violation_share.get()),
            part(|trial| trial.violation_high.get()),
        ]
    };
    let tried = |name: &str| Head { group: "trial when it was planned".to_owned(), ..Head::number(name) };
    Table {
        caption: format!("Certificates; {} may be late", percent(allowed)),
        heads: vec![
            Head::number("gear"),
            Head::number("objective"),
            Head::number("bound"),
            Head::number("gap"),
            tried("requests"),
            tried("late"),
            tried("late at most (95 %)"),
        ],
        rows: plan.gears.iter().enumerate().map(row).collect(),
    }
}
