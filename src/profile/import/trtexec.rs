//! What NVIDIA's trtexec prints: one performance summary a run, times of a call of the whole batch, and calls per second.
//!
//! By default it copies the next inputs while a call computes, so that latencies overlap; such numbers are refused, because
//! throughput and latency then say more than one request in flight.

use super::{QUANTILES, Row, Rows, positive};
use crate::base::finding::{Code, Finding, Findings};

pub(super) fn rows(text: &str) -> Result<Rows, Findings> {
    let mut found = Rows::default();
    let mut row: Option<Row> = None;
    for (line, number) in text.lines().zip(1..) {
        if line.contains("=== Performance summary ===") {
            row.replace(Row { device: Some("gpu".to_owned()), place: format!("line {number}"), ..Row::default() })
                .into_iter()
                .for_each(|row| found.add(row));
        }
        let Some(row) = &mut row else { continue };
        // `H2D Latency` and `End-to-End Host Latency` are of something else.
        let told = line.rsplit("] ").next().unwrap_or(line).trim();
        if let Some(rate) = told.strip_prefix("Throughput: ") {
            row.calls_per_s = positive(rate.trim_end_matches(" qps"), &format!("line {number}, Throughput"))?;
        } else if let Some(times) = told.strip_prefix("Latency: ") {
            take_times(row, times, &format!("line {number}, Latency"))?;
        }
    }
    row.into_iter().for_each(|row| found.add(row));
    if found.rows.is_empty() && found.untimed.is_empty() {
        let action = "keep what trtexec prints: `trtexec … --noDataTransfers > FILE`";
        return Err(Finding::error(Code::MissingField, "Performance summary", "there is no such line", action).into());
    }
    Ok(found)
}

/// Reads `min = 2.8 ms, …, percentile(99%) = 4.8 ms`.
fn take_times(row: &mut Row, times: &str, place: &str) -> Result<(), Finding> {
    for (name, value) in times.split(", ").filter_map(|part| part.split_once(" = ")) {
        let ms = positive(value.trim_end_matches(" ms"), place)?;
        let percent =
            if name == "median" { "50" } else { name.trim_start_matches("percentile(").trim_end_matches("%)") };
        match (name, QUANTILES.iter().position(|known| *known == percent)) {
            ("min", _) => row.times.min = ms,
            ("max", _) => row.times.max = ms,
            ("mean", _) => row.times.mean = ms,
            (_, Some(index)) => row.times.quantiles[index] = ms,
            _ => {}
        }
    }
    Ok(())
}
