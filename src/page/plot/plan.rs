//! What a plan claims, against load.

use std::ops::Range;

use super::stack::{Axis, Panel, Stack};
use crate::page::formatting::{number, objective};
use crate::plan::{Claims, Gear, GearDiff, Plan, Side, diff};

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

/// Returns the panels of two plans: what the second claims, over what the first did.
pub fn beside(before: &Plan, after: &Plan) -> Stack {
    let ranges = diff(before, after).ranges;
    let panel = |label: &'static str, axis: Axis, of: fn(&Side) -> Option<f64>| {
        let values =
            |pick: fn(&GearDiff) -> &Option<Side>| ranges.iter().map(|range| of(pick(range).as_ref()?)).collect();
        Panel { label, values: values(|range| &range.after), earlier: values(|range| &range.before), limit: None, axis }
    };
    let mut panels = vec![
        panel("accuracy", Axis::Part, |side| side.accuracy),
        Panel { limit: latency(after).limit, ..panel("latency, ms", Axis::FromZero, |side| side.latency_ms) },
        panel("cost, USD/h", Axis::FromZero, |side| side.cost_usd_per_hour.filter(|usd| *usd > 0.0)),
        panel("cores up", Axis::Whole, |side| side.cores.map(f64::from)),
    ];
    panels.retain(|panel| panel.values.iter().chain(&panel.earlier).any(Option::is_some));
    let moved =
        ranges.iter().filter(|range| !do_the_same(range)).map(|range| range.to_rps - range.from_rps).sum::<f64>();
    let all = ranges.last().map_or(1.0, |range| range.to_rps);
    Stack {
        title: format!(
            "{} against {}: different at {:.0} % of the loads",
            after.name,
            before.name,
            100.0 * moved / all
        ),
        note: "Thick: after. Thin and grey: before. Shaded: loads where the lanes differ.".to_owned(),
        x_label: "load, requests/s",
        spans: ranges.iter().map(|range| range.from_rps..range.to_rps).collect(),
        bands: differing(&ranges),
        panels,
    }
}

fn do_the_same(range: &GearDiff) -> bool {
    let lanes = |side: &Option<Side>| side.as_ref().map(|side| side.lanes.clone());
    lanes(&range.before) == lanes(&range.after)
}

/// Returns bands that take turns: the same, different, the same again; every other one is shaded.
fn differing(ranges: &[GearDiff]) -> Vec<(Range<f64>, String)> {
    let mut bands: Vec<(Range<f64>, String)> = vec![(0.0..0.0, String::new())];
    for range in ranges {
        let is_shaded = bands.len().is_multiple_of(2);
        match bands.last_mut() {
            Some((last, _)) if is_shaded != do_the_same(range) => last.end = range.to_rps,
            _ => bands.push((range.from_rps..range.to_rps, String::new())),
        }
    }
    bands
}

/// Returns the loads at which each gear is at work.
pub fn spans(plan: &Plan) -> Vec<Range<f64>> {
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
    Panel { label: "accuracy", values, earlier: Vec::new(), limit: None, axis: Axis::Part }
}

fn latency(plan: &Plan) -> Panel {
    let values = claims(plan, |claims| claims.latency.map(|claim| claim.value_ms.get()));
    let asked = plan.slo.latency_ms.get();
    let name = format!("SLO: {}", objective(&plan.slo));
    Panel { label: "latency, ms", values, earlier: Vec::new(), limit: Some((asked, name)), axis: Axis::FromZero }
}

/// Returns the claimed price; the claimed cores where all is free; the replicas that are up where neither is claimed.
fn cost(plan: &Plan) -> Panel {
    let price = claims(plan, |claims| claims.cost_usd_per_hour.map(f64::from));
    if price.iter().flatten().any(|usd| *usd > 0.0) {
        return Panel { label: "cost, USD/h", values: price, earlier: Vec::new(), limit: None, axis: Axis::FromZero };
    }
    let cores = claims(plan, |claims| claims.cores.map(f64::from));
    if cores.iter().any(Option::is_some) {
        return Panel { label: "cores up", values: cores, earlier: Vec::new(), limit: None, axis: Axis::Whole };
    }
    let up = |gear: &Gear| plan.placement.iter().map(|pool| f64::from(gear.replicas_of(pool))).sum();
    let values = plan.gears.iter().map(|gear| Some(up(gear))).collect();
    Panel { label: "replicas up", values, earlier: Vec::new(), limit: None, axis: Axis::Whole }
}

fn claims(plan: &Plan, of: impl Fn(&Claims) -> Option<f64>) -> Vec<Option<f64>> {
    plan.gears.iter().map(|gear| of(&gear.claims)).collect()
}
