//! The CSV of `perf_analyzer -f`: one row a concurrency, latencies in microseconds, no model and no batch.
//!
//! Columns as its documentation (`measurements_metrics.md`) and `report_writer.cc` have them: `Concurrency`,
//! `Inferences/Second`, components of the latency, `p50 latency` and so on; `Avg latency` with `--verbose-csv`.

use super::{QUANTILES, Row, Rows, Sheet, Times};
use crate::base::finding::{Code, Finding, Findings};

const US_PER_MS: f64 = 1e3;

pub(super) fn rows(text: &str) -> Result<Rows, Findings> {
    let sheet = Sheet::parse(text)?;
    if sheet.has("Request Rate") {
        let cause = "it was measured at a request rate, so that latencies hold waiting";
        let action = "measure with `--concurrency-range 1`";
        return Err(Finding::error(Code::BadData, "Request Rate", cause, action).into());
    }
    let action = "name the CSV that `perf_analyzer --concurrency-range 1 -f FILE.csv` writes";
    sheet.must_have(&["Concurrency", "Inferences/Second"], action)?;
    let mut found = Rows::default();
    for row in 0..sheet.records.len() {
        if sheet.number(row, "Concurrency")? == Some(1.0) {
            found.add(one_row(&sheet, row)?);
        } else {
            found.crowded += 1;
        }
    }
    Ok(found)
}

fn one_row(sheet: &Sheet, row: usize) -> Result<Row, Finding> {
    let ms = |column: &str| Ok(sheet.number(row, column)?.map(|us| us / US_PER_MS));
    let mut times = Times { mean: ms("Avg latency")?, ..Times::default() };
    for (time, percent) in times.quantiles.iter_mut().zip(QUANTILES) {
        *time = ms(&format!("p{percent} latency"))?;
    }
    let throughput_rps = sheet.number(row, "Inferences/Second")?;
    Ok(Row { place: sheet.place(row), throughput_rps, times, ..Row::default() })
}
