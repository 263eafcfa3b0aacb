//! What a trial saw, against time.

use std::ops::Range;

use super::stack::{Axis, Panel, Stack};
use crate::page::formatting::{number, objective, rounded};
use crate::simulate::{Report, Source, Window};

/// Returns the panels of a report: rate, gear, latency with the SLO, accuracy, cost where anything costs.
pub fn over_time(report: &Report) -> Stack {
    let spans = spans(report);
    let mut panels = vec![rate(report), gear(report), latency(report), accuracy(report), cost(report)];
    panels.retain(|panel| panel.values.iter().any(Option::is_some));
    Stack { title: title(report), note: note(report), x_label: "time, s", bands: bands(report, &spans), spans, panels }
}

/// Returns where each window holds, in seconds: to the start of the next one, or to the end of the trial.
fn spans(report: &Report) -> Vec<Range<f64>> {
    let starts = report.windows.iter().map(|window| window.start_ms.get() / 1e3);
    let ends = starts.clone().skip(1).chain([report.duration_ms.get() / 1e3]);
    starts.zip(ends).map(|(start, end)| start..end.max(start)).collect()
}

/// Returns one band for each run of windows under the same gear.
fn bands(report: &Report, spans: &[Range<f64>]) -> Vec<(Range<f64>, String)> {
    let mut bands: Vec<(Range<f64>, String)> = Vec::new();
    for (window, span) in report.windows.iter().zip(spans) {
        let name = window.gear.to_string();
        match bands.last_mut() {
            Some((band, last)) if *last == name => band.end = span.end,
            _ => bands.push((span.clone(), name)),
        }
    }
    bands
}

fn title(report: &Report) -> String {
    let late = rounded(report.whole.violation_share.get() * 100.0);
    let verdict = if report.whole.slo_met { "keeps the SLO" } else { "breaks the SLO" };
    let accuracy = report.whole.accuracy.map(|part| format!(", accuracy {:.3}", part.get())).unwrap_or_default();
    format!("{} {verdict}: {late} % of requests late{accuracy}", report.plan)
}

fn note(report: &Report) -> String {
    let source = match report.source {
        Source::Simulation => "Simulated",
        Source::Replay => "Replayed on real engines",
    };
    let requests = number(report.whole.arrived as f64);
    format!("{source}: {}, {requests} requests. Bands are gears, numbered as in the plan's list.", report.arrivals)
}

fn rate(report: &Report) -> Panel {
    let values = each(report, |window| Some(window.rate_rps.get()));
    Panel { label: "rate, requests/s", values, earlier: Vec::new(), limit: None, axis: Axis::FromZero }
}

fn gear(report: &Report) -> Panel {
    let values = each(report, |window| Some(f64::from(window.gear)));
    Panel { label: "gear", values, earlier: Vec::new(), limit: None, axis: Axis::Whole }
}

fn latency(report: &Report) -> Panel {
    let values = each(report, |window| window.p99_ms.map(f64::from));
    let asked = report.slo.latency_ms.get();
    let name = format!("SLO: {}", objective(&report.slo));
    Panel { label: "p99, ms", values, earlier: Vec::new(), limit: Some((asked, name)), axis: Axis::FromZero }
}

fn accuracy(report: &Report) -> Panel {
    let values = each(report, |window| window.accuracy.map(f64::from));
    Panel { label: "accuracy", values, earlier: Vec::new(), limit: None, axis: Axis::Part }
}

fn cost(report: &Report) -> Panel {
    let costs = report.cost_usd_per_hour() > 0.0;
    let values = each(report, |window| costs.then(|| window.cost_usd_per_hour.get()));
    Panel { label: "cost, USD/h", values, earlier: Vec::new(), limit: None, axis: Axis::FromZero }
}

fn each(report: &Report, of: impl Fn(&Window) -> Option<f64>) -> Vec<Option<f64>> {
    report.windows.iter().map(of).collect()
}
