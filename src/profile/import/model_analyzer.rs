//! Model Analyzer's `metrics-model-inference.csv`: one row a configuration, batch and concurrency.
//!
//! Columns as `result_table_manager.py` and the record types have them: `Model`, `Batch`, `Concurrency`,
//! `Model Config Path`, `Instance Group`, `Throughput (infer/sec)`, `p99 Latency (ms)`; others as the user chose them.

use super::{QUANTILES, Row, Rows, Sheet, Times, whole};
use crate::base::finding::{Code, Finding, Findings};
use crate::base::near;

/// What names a serving configuration of a model.
const CONFIGURATION: &str = "Model Config Path";

pub(super) fn rows(text: &str, wanted: &[String]) -> Result<Rows, Findings> {
    let sheet = Sheet::parse(text)?;
    let action = "name Model Analyzer's metrics-model-inference.csv";
    sheet.must_have(&["Batch", "Concurrency", CONFIGURATION, "Throughput (infer/sec)"], action)?;
    are_there(&sheet, wanted)?;
    let mut found = Rows::default();
    for row in 0..sheet.records.len() {
        let name = sheet.text(row, CONFIGURATION).unwrap_or_default();
        if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == name) {
            continue;
        }
        if sheet.number(row, "Concurrency")? == Some(1.0) {
            found.add(one_row(&sheet, row, name)?);
        } else {
            found.crowded += 1;
        }
    }
    Ok(found)
}

fn are_there(sheet: &Sheet, wanted: &[String]) -> Result<(), Findings> {
    let mut known: Vec<_> = (0..sheet.records.len()).filter_map(|row| sheet.text(row, CONFIGURATION)).collect();
    known.sort_unstable();
    known.dedup();
    let mut findings = Findings::default();
    for name in wanted.iter().filter(|name| !known.contains(&name.as_str())) {
        let cause = format!("no configuration is called `{name}`");
        findings.push(Finding::error(
            Code::UnknownName,
            CONFIGURATION,
            cause,
            near::hint(name, known.iter().copied(), format!("there are {}", known.join(", "))),
        ));
    }
    findings.or(())
}

fn one_row(sheet: &Sheet, row: usize, name: &str) -> Result<Row, Finding> {
    let mut times = Times { mean: sheet.number(row, "Avg Latency (ms)")?, ..Times::default() };
    for (time, percent) in times.quantiles.iter_mut().zip(QUANTILES) {
        *time = sheet.number(row, &format!("p{percent} Latency (ms)"))?;
    }
    let place = format!("{}, Batch", sheet.place(row));
    let batch = sheet.number(row, "Batch")?.map(|number| whole(number, &place)).transpose()?;
    let device = sheet.text(row, "Instance Group").filter(|group| group.contains("GPU")).map(|_| "gpu".to_owned());
    let memory = if device.is_some() { "GPU Memory Usage (MB)" } else { "RAM Usage (MB)" };
    Ok(Row {
        place: sheet.place(row),
        memory_mb: sheet.number(row, memory)?,
        variant: Some(name.to_owned()),
        batch,
        device,
        throughput_rps: sheet.number(row, "Throughput (infer/sec)")?,
        times,
        ..Row::default()
    })
}
