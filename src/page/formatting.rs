//! Numbers and lists as the page writes them.

use crate::base::units::Millis;
use crate::plan::{Gear, Lane, Plan, Pool};
use crate::problem::Resource;
use crate::problem::Slo;

/// Stands for a value that is unknown.
pub(crate) const UNKNOWN: &str = "–";

/// Returns a number with a comma between thousands and without needless zeros.
pub(crate) fn number(value: f64) -> String {
    let digits = format!("{:.6}", value.abs());
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let sign = if value < 0.0 { "−" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}", grouped(whole))
}

/// Returns a number as text carries it: whole from 100 up, otherwise three significant digits.
pub(crate) fn rounded(value: f64) -> String {
    if value == 0.0 || value.abs() >= 100.0 {
        return number(value.round());
    }
    let scale = 10f64.powf(2.0 - value.abs().log10().floor());
    number((value * scale).round() / scale)
}

fn grouped(whole: &str) -> String {
    let mut text = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a part of 1 in percent.
pub(crate) fn percent(part: f64) -> String {
    format!("{:.2}\u{a0}%", 100.0 * part)
}

/// Returns a part of 1 in percent without needless figures.
pub(crate) fn about(part: f64) -> String {
    format!("{}\u{a0}%", rounded(100.0 * part))
}

/// Returns a difference of parts of 1 in points.
pub(crate) fn points(difference: f64) -> String {
    format!("{}\u{a0}points", rounded(100.0 * difference))
}

/// Returns a time.
pub(crate) fn ms(time: f64) -> String {
    if time.is_finite() { format!("{}\u{a0}ms", rounded(time)) } else { "unbounded".to_owned() }
}

/// Returns a time in seconds.
pub(crate) fn seconds(time: Millis) -> String {
    format!("{}\u{a0}s", rounded(time.get() / 1e3))
}

/// Returns a rate.
pub(crate) fn rps(rate: f64) -> String {
    format!("{}\u{a0}requests/s", rounded(rate))
}

/// Returns a price.
pub(crate) fn usd(price: f64) -> String {
    format!("{}\u{a0}USD/h", rounded(price))
}

/// Returns a number with its noun, in the plural where there is not one.
pub(crate) fn counted(count: impl Into<u64>, noun: &str) -> String {
    let count = count.into();
    format!("{}\u{a0}{noun}{}", number(count as f64), if count == 1 { "" } else { "s" })
}

/// Returns the length of a list with its noun.
pub(crate) fn length<T>(list: &[T], noun: &str) -> String {
    counted(list.len() as u64, noun)
}

/// Returns `a, b and c`.
pub(crate) fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Returns the numbers of gears in words, runs as `3 to 7`.
pub(crate) fn gears_named(indices: &[usize]) -> String {
    let runs = indices.chunk_by(|a, b| a + 1 == *b).filter_map(|run| Some((run.first()?, run.last()?)));
    let words: Vec<String> = runs
        .map(|(first, last)| match last - first {
            0 => first.to_string(),
            1 => format!("{first} and {last}"),
            _ => format!("{first} to {last}"),
        })
        .collect();
    format!("{} {}", if indices.len() == 1 { "gear" } else { "gears" }, listed(&words))
}

/// Returns one number, or the lowest and the highest.
pub(crate) fn range(values: impl IntoIterator<Item = f64>, write: impl Fn(f64) -> String) -> Option<String> {
    let (low, high) = ends(values)?;
    let (low, high) = (write(low), write(high));
    Some(if low == high { low } else { format!("{} to {high}", bare(&low, &high)) })
}

/// Returns the lowest and the highest.
pub(crate) fn ends(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().fold(None, |ends, value| {
        let (low, high) = ends.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })
}

/// Returns the first without its unit where the second has the same.
fn bare(low: &str, high: &str) -> String {
    match (low.split_once('\u{a0}'), high.split_once('\u{a0}')) {
        (Some((number, unit)), Some((_, other))) if unit == other => number.to_owned(),
        _ => low.to_owned(),
    }
}

/// Returns the quantile of an SLO as `p99`.
pub(crate) fn quantile(slo: &Slo) -> String {
    format!("p{}", number(100.0 * slo.quantile.get()))
}

/// Returns an SLO as `p99 within 50 ms`, with its window as `p99 within 50 ms in every 60 s`.
pub(crate) fn objective(slo: &Slo) -> String {
    let window = slo.window_s.map_or_else(String::new, |window| format!(" in every {}\u{a0}s", rounded(window.get())));
    format!("{} within {}{window}", quantile(slo), ms(slo.latency_ms.get()))
}

/// Returns what one replica of a pool runs on.
pub(crate) fn resource(on: &Resource) -> String {
    match on {
        Resource::Cores { cores, .. } => counted(*cores, "core"),
        Resource::Gpu { device, .. } => format!("the accelerator {device}"),
        Resource::Vm { cores, .. } => format!("a machine of {}", counted(*cores, "core")),
        Resource::Function { cores, memory_mb, .. } => {
            format!("a function of {}\u{a0}MB ({})", number(memory_mb.get()), counted(*cores, "core"))
        }
    }
}

/// Returns how many replicas of a pool a gear has up, and on what: `2 replicas on 1 core each`.
pub(crate) fn replicas(gear: &Gear, pool: &Pool) -> String {
    let up = gear.replicas_of(pool);
    match &pool.on {
        Resource::Function { .. } => format!("up to {}", counted(up, "function instance")),
        Resource::Vm { cores, .. } => {
            format!("{} of {}{}", counted(up, "machine"), counted(*cores, "core"), if up == 1 { "" } else { " each" })
        }
        on => format!("{} on {}{}", counted(up, "replica"), resource(on), if up == 1 { "" } else { " each" }),
    }
}

/// Returns how a lane batches; empty where it serves one call at a time.
fn batching(lane: &Lane) -> String {
    match (lane.batch, lane.hold_ms.get()) {
        (1, _) => String::new(),
        (batch, 0.0) => format!("batches of up to {batch}"),
        (batch, hold) => format!("batches of up to {batch}, batch timeout {}", ms(hold)),
    }
}

/// Returns a lane's variant with where it runs: `cnn_m (1 replica on 1 core, batches of up to 16)`.
pub(crate) fn lane(plan: &Plan, gear: &Gear, lane: &Lane) -> String {
    let up = plan.pool(&lane.pool).map(|pool| replicas(gear, pool));
    let batch = Some(batching(lane)).filter(|batch| !batch.is_empty());
    let details: Vec<String> = up.into_iter().chain(batch).collect();
    format!("{} ({})", lane.variant, details.join(", "))
}

/// Returns the first letter of a sentence in capitals.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
