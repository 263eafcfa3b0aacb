//! A picture as one HTML page that needs nothing else: the picture, and the numbers of a report in tables.

use super::{Figure, svg};
use crate::base::error::Error;
use crate::base::units::Millis;
use crate::page::formatting::{UNKNOWN, counted};
use crate::page::{self, Block, Head, Page, Section, Table};
use crate::simulate::{PoolReport, Report, ResponseTimes, Summary};

/// Draws a figure as a self-contained HTML page.
///
/// # Errors
/// As [`svg`].
pub fn html(figure: Figure<'_>) -> Result<String, Error> {
    let (title, tables) = match figure {
        Figure::PlanOverLoad(plan) => (format!("Plan {}", plan.name), Vec::new()),
        Figure::PlansOverLoad(before, after) => (format!("Plan {} against {}", after.name, before.name), Vec::new()),
        Figure::ProfileCurves(profile) => (format!("Profile {}", profile.task), Vec::new()),
        Figure::Frontiers(frontiers) => (format!("Frontier of {}", frontiers.name), Vec::new()),
        Figure::ReportOverTime(report) => (format!("Trial of {}", report.plan), vec![requests(report), pools(report)]),
    };
    let svg = svg(figure)?;
    let picture = page::Figure { finding: String::new(), note: String::new(), described: title.clone(), svg };
    let blocks = std::iter::once(Block::Picture(picture)).chain(tables.into_iter().map(Block::Table)).collect();
    let sections = vec![Section { id: "picture", heading: "Picture", blocks }];
    Ok(page::html(&Page { title, subtitle: String::new(), sections }))
}

fn requests(report: &Report) -> Table {
    let gears = report.gears.iter().enumerate();
    let gears = gears.map(|(index, gear)| row(&index.to_string(), gear.time_share.get(), &gear.summary));
    Table {
        caption: format!("Requests, {}", counted(report.replications, "trial")),
        heads: ["gear", "time", "requests", "p50 ms", "p95 ms", "p99 ms", "late", "accuracy"]
            .map(Head::number)
            .to_vec(),
        rows: std::iter::once(row("all", 1.0, &report.whole)).chain(gears).collect(),
    }
}

fn row(name: &str, time: f64, summary: &Summary) -> Vec<String> {
    vec![
        name.to_owned(),
        format!("{:.0} %", 100.0 * time),
        summary.arrived.to_string(),
        latency(summary, |times| times.p50_ms),
        latency(summary, |times| times.p95_ms),
        latency(summary, |times| times.p99_ms),
        format!("{:.3} %", 100.0 * summary.violation_share.get()),
        summary.accuracy.map_or_else(|| UNKNOWN.to_owned(), |accuracy| format!("{:.4}", accuracy.get())),
    ]
}

fn latency(summary: &Summary, pick: fn(&ResponseTimes) -> Millis) -> String {
    summary.latency.as_ref().map_or_else(|| UNKNOWN.to_owned(), |times| format!("{:.3}", pick(times).get()))
}

fn pools(report: &Report) -> Table {
    let heads = ["utilization", "replicas", "waiting", "most waiting", "calls", "batch", "USD/h"].map(Head::number);
    Table {
        caption: "Pools".to_owned(),
        heads: std::iter::once(Head::words("pool")).chain(heads).collect(),
        rows: report.pools.iter().map(pool_row).collect(),
    }
}

fn pool_row(pool: &PoolReport) -> Vec<String> {
    vec![
        pool.name.clone(),
        format!("{:.1} %", 100.0 * pool.utilisation.get()),
        format!("{:.2}", pool.mean_replicas),
        format!("{:.3}", pool.mean_waiting),
        pool.max_waiting.to_string(),
        pool.calls.to_string(),
        format!("{:.2}", pool.mean_batch),
        format!("{:.4}", pool.cost_usd_per_hour.get()),
    ]
}
