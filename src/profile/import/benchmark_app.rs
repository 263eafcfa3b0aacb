//! The report of `OpenVINO`'s benchmark_app: one configuration a file, as CSV with semicolons or as JSON.
//!
//! Keys as the Python package (2026.4, whose JSON has the keys of its CSV) and the C++ sample's `main.cpp` write them;
//! each has its own words.

use std::collections::BTreeMap;
use std::path::Path;

use super::{QUANTILES, Row, Rows, Times, positive, whole};
use crate::base::codec::parse_value;
use crate::base::error::Error;
use crate::base::finding::{Code, Finding, Findings};

/// The two sections that matter, key by key.
#[derive(Default)]
struct Report {
    setup: BTreeMap<String, String>,
    results: BTreeMap<String, String>,
}

pub(super) fn rows(text: &str, path: &Path) -> Result<Rows, Findings> {
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    let report = if is_json { from_json(text, path)? } else { from_csv(text) };
    if report.results.is_empty() {
        let action = "name the benchmark_report.csv or .json that `benchmark_app -report_type no_counters` writes";
        return Err(Finding::error(Code::MissingField, "Execution results", "there is no such section", action).into());
    }
    if let Some(error) = report.results.get("error") {
        return Err(Finding::error(Code::BadData, "error", format!("the run failed: {error}"), "run it again").into());
    }
    alone(&report)?;
    Ok(Rows { rows: vec![row(&report)?], crowded: 0 })
}

fn from_csv(text: &str) -> Report {
    let mut report = Report::default();
    let mut section = None;
    for line in text.lines().map(str::trim) {
        match line.split_once(';') {
            None if line.is_empty() => {}
            None => section = Some(line),
            Some((key, value)) => {
                let (key, value) = (key.trim().to_owned(), value.trim().trim_end_matches(';').to_owned());
                match section {
                    Some("Configuration setup") => report.setup.insert(key, value),
                    Some("Execution results") => report.results.insert(key, value),
                    _ => None,
                };
            }
        }
    }
    report
}

fn from_json(text: &str, path: &Path) -> Result<Report, Findings> {
    let value = parse_value(path, text.as_bytes()).map_err(|error| match error {
        Error::Input(findings) => findings,
        other => Finding::error(Code::Syntax, "", other.to_string(), "").into(),
    })?;
    let section = |name: &str| {
        let entries = value.get(name).and_then(serde_json::Value::as_object).into_iter().flatten();
        entries.map(|(key, value)| (key.clone(), text_of(value))).collect()
    };
    Ok(Report { setup: section("configuration_setup"), results: section("execution_results") })
}

fn text_of(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// With several requests in flight, latencies hold waiting.
fn alone(report: &Report) -> Result<(), Finding> {
    let in_flight = number(&report.setup, &["number of parallel infer requests", "nireq"])?.unwrap_or(1.0);
    if in_flight <= 1.0 {
        return Ok(());
    }
    let cause = format!("it was measured with {in_flight} requests in flight, so that latencies hold waiting");
    let action = "measure with `-hint latency -nireq 1`, or `-api sync`";
    Err(Finding::error(Code::BadData, "number of parallel infer requests", cause, action))
}

fn row(report: &Report) -> Result<Row, Finding> {
    let batch = number(&report.setup, &["batch size", "batch_size"])?;
    let device = report.setup.get("target device").or(report.setup.get("target_device"));
    let topology = report.setup.get("topology").filter(|name| !name.is_empty());
    let iterations = number(&report.results, &["total number of iterations", "iterations_num"])?;
    Ok(Row {
        variant: topology.cloned(),
        batch: batch.map(|batch| whole(batch, "batch size")).transpose()?,
        device: device.map(|name| name.to_lowercase()),
        count: iterations.map(|count| count as u64),
        load_time_ms: load_time(&report.results)?,
        throughput_rps: number(&report.results, &["throughput"])?,
        times: times(&report.results)?,
    })
}

fn times(results: &BTreeMap<String, String>) -> Result<Times, Finding> {
    let mut times = Times {
        mean: number(results, &["avg latency", "Average latency (ms)", "latency_avg"])?,
        min: number(results, &["min latency", "Min latency (ms)", "latency_min"])?,
        max: number(results, &["max latency", "Max latency (ms)", "latency_max"])?,
        ..Times::default()
    };
    // In JSON the key is `latency_median` whatever percentile was asked for.
    let boundary = results.get("percentile_boundary").map_or("50", String::as_str);
    for (time, percent) in times.quantiles.iter_mut().zip(QUANTILES) {
        let mut keys = vec![format!("latency ({percent} percentile) (ms)")];
        if percent == "50" {
            keys.extend(["latency (ms)", "Median latency (ms)"].map(str::to_owned));
        }
        if percent == boundary {
            keys.push("latency_median".to_owned());
        }
        *time = number(results, &keys.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    Ok(times)
}

/// Reading, fitting to the batch, compiling (or importing) and the first call, as `planner profile` measures it; `None`
/// where it was not told.
fn load_time(results: &BTreeMap<String, String>) -> Result<Option<f64>, Finding> {
    let steps = [
        number(results, &["read model time (ms)", "read_model_time"])?,
        number(results, &["reshape model time (ms)", "reshape_model_time"])?,
        number(results, &["compile model time (ms)", "load_model_time"])?,
        number(results, &["import model time (ms)", "import_model_time"])?,
        number(results, &["first inference time (ms)", "first_inference_time"])?,
    ];
    let told: Vec<f64> = steps.into_iter().flatten().collect();
    Ok((!told.is_empty()).then(|| told.iter().sum()))
}

/// Returns the number under the first of the keys that is there.
fn number(section: &BTreeMap<String, String>, keys: &[&str]) -> Result<Option<f64>, Finding> {
    let found = keys.iter().find_map(|key| Some((key, section.get(*key)?)));
    found.map_or(Ok(None), |(key, text)| positive(text, key))
}
