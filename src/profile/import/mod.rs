//! Other tools' results as a profile: facts that were measured elsewhere, and say so.
//!
//! A [point](Point) is the time of one call of a replica that serves one batch at a time. So only what was measured with one
//! request in flight is taken over: with more, latencies hold waiting. What a file does not tell is declared by the user
//! or filled in on the cautious side, and `docs/profiling.md` says how.

mod benchmark_app;
mod llm;
mod model_analyzer;
mod perf_analyzer;
mod through;
mod trtexec;

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{
    AccuracyFact, Conditions, Host, Point, Profile, ProfileFormat, ProfileProvenance, Stopped, Trust, Variant,
};
use crate::base::codec::sha256;
use crate::base::finding::{Code, Finding, Findings, Severity};
use crate::base::text::decoded;
use crate::base::units::{Accuracy, Megabytes, Millis, Rate, Share};
use crate::stats::{Latency, Quantile};

/// The tool whose results are taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// NVIDIA's perf_analyzer: the CSV of `-f`.
    PerfAnalyzer,
    /// NVIDIA's Model Analyzer: `metrics-model-inference.csv`.
    ModelAnalyzer,
    /// `OpenVINO`'s benchmark_app: `benchmark_report.csv` or `.json` of `-report_type`.
    BenchmarkApp,
    /// NVIDIA's AIPerf: `profile_export_aiperf.json`.
    AiPerf,
    /// GuideLLM: `benchmarks.json`.
    GuideLlm,
    /// NVIDIA's trtexec: what it prints.
    Trtexec,
}

/// A file that the tool wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// The file as the user named it.
    pub path: PathBuf,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// What the files do not tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// What the variants do.
    pub task: String,
    /// Names of the variants: one for all files or one a file. For Model Analyzer the configurations to take over.
    pub variants: Vec<String>,
    /// Samples in one call: one for all files or one a file.
    pub batches: Vec<u32>,
    /// Cores of a replica.
    pub cores: Option<u32>,
    /// `cpu`, or the name of an accelerator.
    pub device: Option<String>,
    /// Accuracy of the named variant; one without a name is that of all others.
    pub accuracies: Vec<(Option<String>, Accuracy)>,
    /// Time to bring a variant up.
    pub load_time_ms: Option<Millis>,
    /// Memory that a loaded variant takes.
    pub memory_mb: Option<Megabytes>,
    /// Program and version that imports.
    pub tool: String,
}

/// One configuration as a tool tells it; what it does not tell is absent.
#[derive(Debug, Clone, Default, PartialEq)]
struct Row {
    /// Where the file tells it, like `line 3`; empty where a file tells one.
    place: String,
    variant: Option<String>,
    batch: Option<u32>,
    device: Option<String>,
    count: Option<u64>,
    load_time_ms: Option<f64>,
    memory_mb: Option<f64>,
    /// Samples per second.
    throughput_rps: Option<f64>,
    /// Calls per second, where the tool counts those.
    calls_per_s: Option<f64>,
    times: Times,
}

impl Row {
    /// Returns the time of a call that follows from the throughput: with one request in flight, the next call begins where
    /// the last one ended.
    fn mean_of_throughput(&self) -> Option<f64> {
        let calls_per_s = self.calls_per_s.or_else(|| Some(self.throughput_rps? / f64::from(self.batch.unwrap_or(1))));
        calls_per_s.map(|rate| 1e3 / rate)
    }

    fn mean_ms(&self) -> Option<f64> {
        self.times.mean.or_else(|| self.mean_of_throughput())
    }
}

/// The times of a call in milliseconds, as far as they are known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Times {
    mean: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    /// The quantiles of [`QUANTILES`].
    quantiles: [Option<f64>; 5],
}

/// The percentiles that a profile keeps, as people write them.
const QUANTILES: [&str; 5] = ["50", "90", "95", "99", "99.9"];

/// What a file held.
#[derive(Debug, Default)]
struct Rows {
    rows: Vec<Row>,
    /// Rows left out because more than one request was in flight.
    crowded: usize,
    /// Places of rows left out because they tell no time: the run failed.
    untimed: Vec<String>,
}

impl Rows {
    /// Takes a row over, or leaves it out where it tells no time.
    fn add(&mut self, row: Row) {
        if row.times.mean.or(row.throughput_rps).or(row.calls_per_s).is_none() {
            self.untimed.push(row.place);
        } else {
            self.rows.push(row);
        }
    }

    /// Returns what was left out, and why.
    fn left_out(&self) -> Findings {
        let mut findings = Findings::default();
        if self.crowded > 0 {
            let cause = format!("{} rows were measured with more than one request in flight", self.crowded);
            let action = "they are left out: their latencies hold waiting, which a plan works out itself";
            findings.push(Finding::error(Code::NoEffect, "", cause, action).with_severity(Severity::Note));
        }
        for place in &self.untimed {
            let cause = "tells neither mean latency nor throughput above 0: left out";
            let action = "the run failed or was too short: measure it again";
            findings.push(Finding::error(Code::NoEffect, place, cause, action).with_severity(Severity::Note));
        }
        findings
    }
}

/// Returns the profile that some files of a tool tell, with what is doubtful about it.
///
/// # Errors
/// Every finding: what a file lacks or holds wrongly, and what has to be declared.
pub fn import(files: &[Foreign], from: Tool, declared: &Declared) -> Result<(Profile, Findings), Findings> {
    let mut found = Vec::new();
    let mut findings = Findings::default();
    for (index, file) in files.iter().enumerate() {
        match rows(file, from, declared, index) {
            Ok(rows) => found.push(rows),
            Err(more) => findings.extend(more.in_file(&file.path)),
        }
    }
    findings.or(())?;
    let mut findings = Findings::default();
    for (file, rows) in files.iter().zip(&found) {
        findings.extend(rows.left_out().in_file(&file.path));
    }
    let rows: Vec<Row> = found.into_iter().flat_map(|rows| rows.rows).collect();
    findings.push(doubt(&rows));
    let profile = profile(files, from, declared, &rows)?;
    let mut all = profile.validate().or(()).map(|()| findings)?;
    all.extend(unknown_costs(&profile));
    Ok((profile, all))
}

/// Reads one file and puts the declared name and batch where it tells none.
fn rows(file: &Foreign, from: Tool, declared: &Declared, index: usize) -> Result<Rows, Findings> {
    let text = decoded(&file.bytes)?;
    let mut found = match from {
        Tool::PerfAnalyzer => perf_analyzer::rows(&text)?,
        Tool::ModelAnalyzer => model_analyzer::rows(&text, &declared.variants)?,
        Tool::BenchmarkApp => benchmark_app::rows(&text, &file.path)?,
        Tool::AiPerf => llm::aiperf(&text, &file.path)?,
        Tool::GuideLlm => llm::guidellm(&text, &file.path)?,
        Tool::Trtexec => trtexec::rows(&text)?,
    };
    if found.rows.is_empty() {
        let mut findings = found.left_out();
        let cause = "no row tells the time of calls with one request in flight";
        let action = "measure with concurrency 1: with more, latencies hold waiting";
        findings.push(Finding::error(Code::Empty, "", cause, action));
        return Err(findings);
    }
    if from != Tool::ModelAnalyzer {
        let name = nth_or_only(&declared.variants, index).cloned();
        found.rows.iter_mut().for_each(|row| row.variant = name.clone().or_else(|| row.variant.take()));
    }
    let batch = nth_or_only(&declared.batches, index).copied();
    found.rows.iter_mut().for_each(|row| row.batch = row.batch.or(batch));
    let mut findings = is_complete(&found.rows, declared);
    findings.extend(Findings(found.rows.iter().filter_map(through::contradiction).collect()));
    findings.or(found)
}

/// One word for all files, or one for each.
fn nth_or_only<T>(words: &[T], index: usize) -> Option<&T> {
    if words.len() == 1 { words.first() } else { words.get(index) }
}

fn is_complete(rows: &[Row], declared: &Declared) -> Findings {
    let mut findings = Findings::default();
    let mut needs = |missing: bool, key: &str, cause: &str, action: &str| {
        if missing {
            findings.push(Finding::error(Code::MissingField, key, cause, action));
        }
    };
    let any = |lacks: fn(&Row) -> bool| rows.iter().any(lacks);
    needs(any(|row| row.variant.is_none()), "variant", "the file names no model", "name it: --variant NAME");
    needs(any(|row| row.batch.is_none()), "batch", "the file tells no batch", "give it: --batch N, one for each file");
    let on_cores = rows.iter().any(|row| device(row, declared) == "cpu");
    needs(
        on_cores && declared.cores.is_none(),
        "cores",
        "the file does not tell how many cores a replica had",
        "give them: --cores N",
    );
    findings
}

fn device(row: &Row, declared: &Declared) -> String {
    declared.device.clone().or_else(|| row.device.clone()).unwrap_or_else(|| "cpu".to_owned())
}

fn profile(files: &[Foreign], from: Tool, declared: &Declared, rows: &[Row]) -> Result<Profile, Findings> {
    let points = rows.iter().map(|row| point(row, declared)).collect::<Vec<_>>();
    let most_cores = points.iter().map(|point| point.cores).max().unwrap_or(1);
    Ok(Profile {
        format: ProfileFormat::V1,
        task: declared.task.clone(),
        variants: variants(rows, from, declared)?,
        points,
        glimpses: Vec::new(),
        failures: Vec::new(),
        skipped: Vec::new(),
        answers: None,
        calibration: None,
        host: Host {
            cpu: "unknown".to_owned(),
            cores_visible: most_cores,
            cores_allowed: most_cores,
            ..Host::default()
        },
        provenance: ProfileProvenance {
            tool: format!("{} from {}", declared.tool, from.name()),
            measured_at: String::new(),
            models: files.first().map(|file| file.path.clone()).unwrap_or_default(),
            models_sha256: sha256(&files.iter().flat_map(|file| file.bytes.iter().copied()).collect::<Vec<_>>()),
            data_sha256: String::new(),
            budget_ms: Millis::ZERO,
            precision: Share::ZERO,
            tail_precision: None,
            blocks: 0,
            seed: 0,
        },
    })
}

impl Tool {
    /// Returns the name that people know the tool by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PerfAnalyzer => "perf_analyzer",
            Self::ModelAnalyzer => "Model Analyzer",
            Self::BenchmarkApp => "benchmark_app",
            Self::AiPerf => "AIPerf",
            Self::GuideLlm => "GuideLLM",
            Self::Trtexec => "trtexec",
        }
    }

    const fn engine(self) -> &'static str {
        match self {
            Self::PerfAnalyzer | Self::ModelAnalyzer => "triton",
            Self::BenchmarkApp => "openvino",
            Self::AiPerf | Self::GuideLlm => "openai",
            Self::Trtexec => "tensorrt",
        }
    }
}

/// Returns the variants in the order in which the rows name them.
fn variants(rows: &[Row], from: Tool, declared: &Declared) -> Result<Vec<Variant>, Findings> {
    let mut seen = BTreeSet::new();
    let mut findings = Findings::default();
    let mut variants = Vec::new();
    for row in rows {
        let name = row.variant.clone().unwrap_or_default();
        if !seen.insert(name.clone()) {
            continue;
        }
        let Some(accuracy) = accuracy(&name, declared) else {
            let cause = format!("the files do not tell how often `{name}` is right");
            let action = format!("give it, from 0 to 1: --accuracy {name}=VALUE");
            findings.push(Finding::error(Code::MissingField, "accuracy", cause, action));
            continue;
        };
        let load_time = declared.load_time_ms.or(row.load_time_ms.map(Millis::saturating));
        variants.push(Variant {
            file: PathBuf::new(),
            sha256: String::new(),
            engine: from.engine().to_owned(),
            accuracy: AccuracyFact {
                value: accuracy,
                low: accuracy,
                high: accuracy,
                samples: 0,
                trust: Trust::Declared,
                agrees_with: None,
                source: None,
            },
            load_time_ms: load_time.unwrap_or_default(),
            cold_load_time_ms: None,
            memory_mb: declared.memory_mb.or(most_memory(rows, &name)).unwrap_or_default(),
            memory_of_batches: Vec::new(),
            part_of: None,
            name,
        });
    }
    findings.or(variants)
}

/// Returns the most memory that any row of a variant tells.
fn most_memory(rows: &[Row], variant: &str) -> Option<Megabytes> {
    let of_variant = rows.iter().filter(|row| row.variant.as_deref() == Some(variant));
    of_variant.filter_map(|row| row.memory_mb).max_by(f64::total_cmp).map(Megabytes::saturating)
}

fn accuracy(variant: &str, declared: &Declared) -> Option<Accuracy> {
    let of = |name: Option<&str>| declared.accuracies.iter().find(|(given, _)| given.as_deref() == name);
    of(Some(variant)).or_else(|| of(None)).map(|&(_, accuracy)| accuracy)
}

fn point(row: &Row, declared: &Declared) -> Point {
    let device = device(row, declared);
    let batch = row.batch.unwrap_or(1);
    let mean = row.mean_ms().unwrap_or_default();
    let latency = latency(mean, row.times);
    Point {
        variant: row.variant.clone().unwrap_or_default(),
        batch,
        // An accelerator is measured with one core.
        cores: declared.cores.unwrap_or(1),
        device,
        co_runners: 0,
        count: row.count.unwrap_or(1).max(1),
        throughput_rps: Rate::saturating(1e3 * f64::from(batch) / latency.mean_ms.get()),
        latency,
        cpu_ms: None,
        energy: None,
        histogram: through::histogram(mean, row.times),
        block_p50_ms: Vec::new(),
        stretch_calls: None,
        pace: None,
        conditions: Conditions {
            blocks: 0,
            probe_slowdown: None,
            others_busy: None,
            warmup: 0,
            stopped: Stopped::Imported,
            involuntary_switches: 0,
            cpu_pressure: None,
            contended: false,
        },
    }
}

/// Fills what is not known with the nearest that is, on the side of longer times: a quantile with the next larger one,
/// the median with the mean.
fn latency(mean: f64, times: Times) -> Latency {
    let known = times.quantiles.into_iter().flatten().chain(times.max);
    let slowest = known.fold(mean, f64::max);
    let mut quantiles = [slowest; 5];
    let mut above = slowest;
    for (filled, known) in quantiles.iter_mut().zip(times.quantiles).rev() {
        above = known.unwrap_or(above);
        *filled = above;
    }
    if times.quantiles[0].is_none() {
        quantiles[0] = mean.min(quantiles[1]);
    }
    let [p50, p90, p95, p99, p999] = quantiles.map(exact);
    Latency {
        mean_ms: Millis::saturating(mean),
        std_ms: Millis::ZERO,
        min_ms: Millis::saturating(times.min.unwrap_or_else(|| mean.min(quantiles[0]))),
        max_ms: Millis::saturating(times.max.unwrap_or(slowest)),
        p50,
        p90,
        p95,
        p99,
        p999,
    }
}

/// No interval is known.
fn exact(ms: f64) -> Quantile {
    let ms = Millis::saturating(ms);
    Quantile { value_ms: ms, low_ms: ms, high_ms: ms }
}

/// Says how far the rows tell the times of single calls.
fn doubt(rows: &[Row]) -> Finding {
    let (cause, action) = if rows.iter().all(|row| through::histogram(1.0, row.times).is_some()) {
        let cause = "the file holds no single calls, so plans draw them from a distribution through its percentiles";
        (
            cause,
            "nothing is known between the percentiles: measure with `planner profile` before relying on a tight SLO",
        )
    } else {
        let cause = "the file holds neither single calls nor percentiles, so plans take every call to last the mean";
        (cause, "tails are then too short: measure with `planner profile` before relying on a tight SLO")
    };
    Finding::error(Code::NotMeasured, "points", cause, action).with_severity(Severity::Warning)
}

fn unknown_costs(profile: &Profile) -> Findings {
    let mut findings = Findings::default();
    let zero = |of: fn(&Variant) -> bool| profile.variants.iter().any(of);
    for (unknown, key, flag) in [
        (zero(|variant| variant.load_time_ms == Millis::ZERO), "variants.load_time_ms", "--load-time-ms"),
        (zero(|variant| variant.memory_mb == Megabytes::ZERO), "variants.memory_mb", "--memory-mb"),
    ] {
        if unknown {
            let finding = Finding::error(Code::NotMeasured, key, "not told, taken as 0", format!("give it: {flag} X"));
            findings.push(finding.with_severity(Severity::Note));
        }
    }
    findings
}

/// A CSV file with a header, that knows where a number stands.
struct Sheet {
    header: csv::StringRecord,
    records: Vec<csv::StringRecord>,
}

impl Sheet {
    fn parse(text: &str) -> Result<Self, Finding> {
        let syntax =
            |error: csv::Error| Finding::error(Code::Syntax, "", error.to_string(), "name the tool's CSV file");
        let mut csv = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let header = csv.headers().map_err(syntax)?.clone();
        let records = csv.records().collect::<Result<_, _>>().map_err(syntax)?;
        Ok(Self { header, records })
    }

    fn has(&self, column: &str) -> bool {
        self.header.iter().any(|name| name == column)
    }

    /// Tells that the columns without which nothing can be taken over are there.
    fn must_have(&self, columns: &[&str], action: &str) -> Result<(), Findings> {
        let mut findings = Findings::default();
        for column in columns.iter().filter(|column| !self.has(column)) {
            let cause = format!("there is no column `{column}`");
            findings.push(Finding::error(Code::MissingField, *column, cause, action));
        }
        findings.or(())
    }

    /// Returns the text of a column in a row, or `None` where there is no such column or it is empty.
    fn text(&self, row: usize, column: &str) -> Option<&str> {
        let index = self.header.iter().position(|name| name == column)?;
        self.records[row].get(index).filter(|text| !text.is_empty())
    }

    /// Returns where a row stands.
    fn place(&self, row: usize) -> String {
        self.records[row].position().map_or_else(String::new, |position| format!("line {}", position.line()))
    }

    /// Returns the number of a column in a row, or `None` where there is no such column or it is empty.
    fn number(&self, row: usize, column: &str) -> Result<Option<f64>, Finding> {
        let place = || format!("{}, {column}", self.place(row));
        self.text(row, column).map_or(Ok(None), |text| positive(text, &place()))
    }
}

/// A time, a rate or a number of something. Tools round, so that 0 is something too small to tell: `None`.
fn positive(text: &str, key: &str) -> Result<Option<f64>, Finding> {
    let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
    let number = number.ok_or_else(|| {
        Finding::error(
            Code::OutOfRange,
            key,
            format!("`{text}` is no number of at least 0"),
            "correct it, or measure again",
        )
    })?;
    Ok((number > 0.0).then_some(number))
}

/// A batch is a whole number.
fn whole(number: f64, key: &str) -> Result<u32, Finding> {
    if number.fract() == 0.0 && number <= f64::from(u32::MAX) {
        return Ok(number as u32);
    }
    Err(Finding::error(Code::OutOfRange, key, format!("`{number}` is no whole number"), "correct it"))
}

#[cfg(test)]
mod tests {
    use super::{Times, latency};

    #[test]
    fn unknown_quantiles_take_the_next_larger_and_the_median_the_mean() {
        let times = Times { quantiles: [None, Some(7.0), None, Some(9.0), None], ..Times::default() };
        let seen = latency(5.0, times);
        let ladder = [seen.min_ms, seen.p50.value_ms, seen.p90.value_ms, seen.p95.value_ms, seen.p99.value_ms];
        assert_eq!(ladder.map(f64::from), [5.0, 5.0, 7.0, 9.0, 9.0]);
        assert_eq!((seen.p999.value_ms.get(), seen.max_ms.get(), seen.std_ms.get()), (9.0, 9.0, 0.0));
    }

    #[test]
    fn a_mean_alone_is_every_quantile() {
        let seen = latency(5.0, Times::default());
        assert_eq!((seen.min_ms.get(), seen.p50.value_ms.get(), seen.max_ms.get()), (5.0, 5.0, 5.0));
    }
}
