//! The report of `OpenVINO`'s benchmark_app: one configuration a report, as CSV with semicolons or as JSON; a file may hold
//! several reports of CSV, one after the other.
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
    place: String,
    setup: BTreeMap<String, String>,
    results: BTreeMap<String, String>,
}

pub(super) fn rows(text: &str, path: &Path) -> Result<Rows, Findings> {
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    let reports = if is_json { vec![from_json(text, path)?] } else { from_csv(text) };
    let mut found = Rows::default();
    let mut findings = Findings::default();
    for report in &reports {
        match one_row(report) {
            Ok(row) => found.add(row),
            Err(finding) => findings.push(finding),
        }
    }
    findings.or(found)
}

fn one_row(report: &Report) -> Result<Row, Finding> {
    if report.results.is_empty() {
        let action = "name the benchmark_report.csv or .json that `benchmark_app -report_type no_counters` writes";
        return Err(Finding::error(Code::MissingField, "Execution results", "there is no such section", action));
    }
    if let Some(error) = report.results.get("error") {
        return Err(Finding::error(Code::BadData, "error", format!("the run failed: {error}"), "run it again"));
    }
    alone(report)?;
    row(report)
}

/// Returns the reports of a file: another begins where a section comes again after the results of the last.
fn from_csv(text: &str) -> Vec<Report> {
    let mut reports = vec![Report::default()];
    let mut section = None;
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        let report = reports.last_mut().expect("there is a first report");
        match line.split_once(';') {
            None if line.is_empty() => {}
            None => {
                section = Some(line);
                let begins_anew =
                    matches!(line, "Command line parameters" | "Configuration setup" | "Execution results");
                if begins_anew && !report.results.is_empty() {
                    reports.push(Report { place: format!("report from line {number}"), ..Report::default() });
                }
            }
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
    reports
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
    Ok(Report { place: String::new(), setup: section("configuration_setup"), results: section("execution_results") })
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
    let batch = batch(&report.setup)?;
    let times = times(&report.results)?;
    let throughput = number(&report.results, &["throughput"])?;
    let device = report.setup.get("target device").or(report.setup.get("target_device"));
    let topology = report.setup.get("topology").filter(|name| !name.is_empty());
    let iterations = number(&report.results, &["total number of iterations", "iterations_num"])?;
    Ok(Row {
        place: report.place.clone(),
        variant: topology.cloned(),
        batch,
        device: device.map(|name| name.to_lowercase()),
        count: iterations.map(|count| count as u64),
        load_time_ms: load_time(&report.results)?,
        // Where the batch is open, the samples that the tool counted were not of the batch that the user tells.
        throughput_rps: throughput.filter(|_| batch.is_some() || times.mean.is_none()),
        times,
        ..Row::default()
    })
}

/// Returns the batch; `None` where a model leaves it open, which the file writes as `?`.
fn batch(setup: &BTreeMap<String, String>) -> Result<Option<u32>, Finding> {
    let is_open = ["batch size", "batch_size"].iter().any(|key| setup.get(*key).is_some_and(|batch| batch == "?"));
    let told = if is_open { None } else { number(setup, &["batch size", "batch_size"])? };
    told.map(|batch| whole(batch, "batch size")).transpose()
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
