//! What a plan claims, against load.

use std::ops::Range;

use super::stack::{Axis, Panel, Stack};
use super::text::{number, rounded};
use crate::plan::{Claims, Gear, Plan};

/// Returns the panels of a plan: claimed accuracy, latency at the SLO's quantile, and cost or cores.
pub fn over_load(plan: &Plan) -> Stack {
    let spans = spans(plan);
    let bands = spans.iter().cloned().enumerate().map(|(index, span)| (span, index.to_string())).collect();
    let mut panels = vec![accuracy(plan), latency(plan), cost(plan)];
    panels.retain(|panel| panel.values.iter().any(Option::is_some));
    Stack {
        title: title(plan),
        note: "Claims of each gear at its highest rate. Bands are gears, numbered as in the plan's list.".to_owned(),
        x_label: "load, requests/s",
        spans,
        bands,
        panels,
    }
}

fn spans(plan: &Plan) -> Vec<Range<f64>> {
    let ends = plan.gears.iter().map(|gear| gear.up_to_rps.get());
    let starts = std::iter::once(0.0).chain(ends.clone());
    starts.zip(ends).map(|(start, end)| start..end).collect()
}

fn title(plan: &Plan) -> String {
    let gears =
        if plan.gears.len() == 1 { "1 gear carries".to_owned() } else { format!("{} gears carry", plan.gears.len()) };
    let claimed = |gear: &Gear| gear.claims.accuracy.map(|claim| claim.value.get());
    let accuracy = match (plan.gears.first().and_then(claimed), plan.gears.last().and_then(claimed)) {
        (Some(first), Some(last)) if plan.gears.len() > 1 => format!(", accuracy {first:.3} → {last:.3}"),
        (Some(only), _) => format!(", accuracy {only:.3}"),
        _ => String::new(),
    };
    format!("{}: {gears} {} requests/s{accuracy}", plan.name, number(plan.max_rps().round()))
}

fn accuracy(plan: &Plan) -> Panel {
    let values = claims(plan, |claims| claims.accuracy.map(|claim| claim.value.get()));
    Panel { label: "accuracy", values, limit: None, axis: Axis::Part }
}

fn latency(plan: &Plan) -> Panel {
    let values = claims(plan, |claims| claims.latency.map(|claim| claim.value_ms.get()));
    let asked = plan.slo.latency_ms.get();
    let name = format!("SLO: p{} within {} ms", number(plan.slo.quantile.get() * 100.0), rounded(asked));
    Panel { label: "latency, ms", values, limit: Some((asked, name)), axis: Axis::FromZero }
}

/// Returns the claimed price; the claimed cores where all is free; the replicas that are up where neither is claimed.
fn cost(plan: &Plan) -> Panel {
    let price = claims(plan, |claims| claims.cost_usd_per_hour.map(f64::from));
    if price.iter().flatten().any(|usd| *usd > 0.0) {
        return Panel { label: "cost, $/h", values: price, limit: None, axis: Axis::FromZero };
    }
    let cores = claims(plan, |claims| claims.cores.map(f64::from));
    if cores.iter().any(Option::is_some) {
        return Panel { label: "cores up", values: cores, limit: None, axis: Axis::Whole };
    }
    let up = |gear: &Gear| plan.placement.iter().map(|pool| f64::from(gear.replicas_of(pool))).sum();
    let values = plan.gears.iter().map(|gear| Some(up(gear))).collect();
    Panel { label: "replicas up", values, limit: None, axis: Axis::Whole }
}

fn claims(plan: &Plan, of: impl Fn(&Claims) -> Option<f64>) -> Vec<Option<f64>> {
    plan.gears.iter().map(|gear| of(&gear.claims)).collect()
}
