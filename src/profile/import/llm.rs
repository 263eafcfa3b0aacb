//! Results of load generators for language models: AIPerf's `profile_export_aiperf.json` and GuideLLM's `benchmarks.json`.
//!
//! A call is a request from its first byte to its last, of whatever lengths of input and output were asked for: a plan made
//! of it holds for such requests alone.

use std::path::Path;

use serde_json::Value;

use super::{QUANTILES, Row, Rows, Times};
use crate::base::codec::parse_value;
use crate::base::error::Error;
use crate::base::finding::{Code, Finding, Findings};

/// Reads AIPerf's aggregates: one run a file, latencies in milliseconds.
pub(super) fn aiperf(text: &str, path: &Path) -> Result<Rows, Findings> {
    let value = json(text, path)?;
    let latency =
        at(&value, &["request_latency"]).ok_or_else(|| missing("request_latency", "profile_export_aiperf.json"))?;
    let unit = at(latency, &["unit"]).and_then(Value::as_str).unwrap_or_default();
    if unit != "ms" {
        let cause = format!("the unit is `{unit}`, not `ms`");
        return Err(Finding::error(Code::UnknownWord, "request_latency.unit", cause, "export it as AIPerf does").into());
    }
    let concurrency = at(&value, &["input_config", "loadgen", "concurrency"]).and_then(Value::as_f64);
    if concurrency != Some(1.0) {
        let cause = concurrency.map_or("the file does not tell it".to_owned(), |number| format!("it was {number}"));
        let action = "measure with `--concurrency 1`: with more, latencies hold waiting";
        return Err(Finding::error(Code::BadData, "input_config.loadgen.concurrency", cause, action).into());
    }
    let model =
        at(&value, &["input_config", "endpoint", "model_names"]).and_then(|names| names.get(0)).and_then(Value::as_str);
    let mut found = Rows::default();
    found.add(Row {
        variant: model.map(str::to_owned),
        count: number(&value, &["request_count", "avg"]).map(|count| count as u64),
        calls_per_s: number(&value, &["request_throughput", "avg"]),
        times: times(latency, latency, "avg", 1.0),
        ..requests()
    });
    Ok(found)
}

/// Reads GuideLLM's benchmarks: several runs a file, latencies in seconds.
pub(super) fn guidellm(text: &str, path: &Path) -> Result<Rows, Findings> {
    let value = json(text, path)?;
    let runs = at(&value, &["benchmarks"])
        .and_then(Value::as_array)
        .ok_or_else(|| missing("benchmarks", "benchmarks.json"))?;
    let mut found = Rows::default();
    for (index, run) in runs.iter().enumerate() {
        let strategy = at(run, &["config", "strategy"]).or_else(|| at(run, &["args", "strategy"]));
        let kind = strategy.and_then(|strategy| at(strategy, &["type_"])).and_then(Value::as_str);
        let streams = strategy.and_then(|strategy| number(strategy, &["streams"]));
        if kind != Some("synchronous") && (kind, streams) != (Some("concurrent"), Some(1.0)) {
            found.crowded += 1;
            continue;
        }
        let metrics = |name: &str| at(run, &["metrics", name, "successful"]);
        let latency = metrics("request_latency").unwrap_or(&Value::Null);
        found.add(Row {
            place: format!("benchmarks[{index}]"),
            count: number(latency, &["count"]).map(|count| count as u64),
            calls_per_s: metrics("requests_per_second").and_then(|rate| number(rate, &["mean"])),
            times: times(latency, latency.get("percentiles").unwrap_or(&Value::Null), "mean", 1e3),
            ..requests()
        });
    }
    Ok(found)
}

/// Returns a row of requests of one sample each.
fn requests() -> Row {
    Row { batch: Some(1), ..Row::default() }
}

/// Returns the times of a metric in milliseconds, with the percentiles that lie in a table of their own.
fn times(metric: &Value, percentiles: &Value, mean: &str, to_ms: f64) -> Times {
    let ms = |table: &Value, key: &str| number(table, &[key]).map(|time| time * to_ms);
    let names = QUANTILES.map(|percent| format!("p{}", percent.replace('.', "")));
    Times {
        mean: ms(metric, mean),
        min: ms(metric, "min"),
        max: ms(metric, "max"),
        quantiles: names.map(|name| ms(percentiles, &name)),
    }
}

/// Returns a number above 0; tools round, so that 0 is something too small to tell.
fn number(value: &Value, keys: &[&str]) -> Option<f64> {
    at(value, keys)?.as_f64().filter(|number| *number > 0.0)
}

fn at<'a>(value: &'a Value, keys: &[&str]) -> Option<&'a Value> {
    keys.iter().try_fold(value, |value, key| value.get(key))
}

fn json(text: &str, path: &Path) -> Result<Value, Findings> {
    parse_value(&path.with_extension("json"), text.as_bytes()).map_err(|error| match error {
        Error::Input(findings) => findings,
        other => Finding::error(Code::Syntax, "", other.to_string(), "").into(),
    })
}

fn missing(key: &str, file: &str) -> Findings {
    Finding::error(Code::MissingField, key, "there is no such key", format!("name the tool's {file}")).into()
}
