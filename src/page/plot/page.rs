//! A picture as one HTML page that needs nothing else: the SVG inside it, and the numbers of a report in tables.

use std::fmt::Write;

use super::{Figure, svg};
use crate::base::error::Error;
use crate::base::units::Millis;
use crate::simulate::{Report, ResponseTimes, Summary};

const STYLE: &str = "body{font:14px/1.5 system-ui,sans-serif;max-width:980px;margin:24px auto;padding:0 12px;color:#222}\
                     svg{max-width:100%;height:auto}table{border-collapse:collapse;margin:16px 0}\
                     th,td{padding:3px 12px 3px 0;text-align:right;border-bottom:1px solid #ddd}\
                     th:first-child,td:first-child{text-align:left}caption{text-align:left;font-weight:600}";

/// Draws a figure as a self-contained HTML page.
///
/// # Errors
/// As [`svg`].
pub fn html(figure: Figure<'_>) -> Result<String, Error> {
    let (title, tables) = match figure {
        Figure::PlanOverLoad(plan) => (format!("Plan {}", plan.name), String::new()),
        Figure::PlansOverLoad(before, after) => (format!("Plan {} against {}", after.name, before.name), String::new()),
        Figure::ProfileCurves(profile) => (format!("Profile {}", profile.task), String::new()),
        Figure::Frontiers(frontiers) => (format!("Frontier of {}", frontiers.name), String::new()),
        Figure::ReportOverTime(report) => (format!("Trial of {}", report.plan), tables(report)),
    };
    let (title, picture) = (escaped(&title), svg(figure)?);
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><title>{title}</title><style>{STYLE}</style></head>\n\
         <body>\n{picture}\n{tables}</body></html>\n"
    ))
}

fn tables(report: &Report) -> String {
    let mut gears = vec![row("all", 1.0, &report.whole)];
    let of_gears = report.gears.iter().enumerate();
    gears.extend(of_gears.map(|(index, gear)| row(&index.to_string(), gear.time_share.get(), &gear.summary)));
    let pools = report.pools.iter().map(|pool| {
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
    });
    let heads = ["gear", "time", "requests", "p50 ms", "p95 ms", "p99 ms", "late", "accuracy"];
    let of_pools = ["pool", "busy", "replicas", "waiting", "most waiting", "calls", "batch", "USD/h"];
    let mut text = table(&format!("Requests, {} trial(s)", report.replications), &heads, gears);
    text += &table("Pools", &of_pools, pools.collect());
    text
}

fn row(name: &str, time: f64, summary: &Summary) -> Vec<String> {
    let ms = |pick: fn(&ResponseTimes) -> Millis| {
        summary.latency.as_ref().map_or_else(|| "–".to_owned(), |times| format!("{:.3}", pick(times).get()))
    };
    vec![
        name.to_owned(),
        format!("{:.0} %", 100.0 * time),
        summary.arrived.to_string(),
        ms(|times| times.p50_ms),
        ms(|times| times.p95_ms),
        ms(|times| times.p99_ms),
        format!("{:.3} %", 100.0 * summary.violation_share.get()),
        summary.accuracy.map_or_else(|| "–".to_owned(), |accuracy| format!("{:.4}", accuracy.get())),
    ]
}

fn table(caption: &str, heads: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut text = format!("<table><caption>{}</caption>\n<tr>", escaped(caption));
    for head in heads {
        let _ = write!(text, "<th>{head}</th>");
    }
    for row in rows {
        text += "</tr>\n<tr>";
        for cell in row {
            let _ = write!(text, "<td>{}</td>", escaped(&cell));
        }
    }
    text + "</tr></table>\n"
}

/// Returns a text as HTML carries it, also inside an attribute.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
