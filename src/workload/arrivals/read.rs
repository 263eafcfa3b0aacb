//! Reading recordings: CSV, plain or gzipped, whose header tells what the numbers are.

use std::path::Path;
use std::time::Duration;

use csv::{ByteRecord, ReaderBuilder, Trim};

use super::time::{date_time_ns, decimal_ns};
use super::{Arrivals, Timestamps, Trace};
use crate::base::error::Error;
use crate::base::files;
use crate::base::finding::{Code, Finding, Findings};

/// Bad lines that are named; of more only the number is said.
const MOST_NAMED: usize = 20;
/// Longest recording of arrival times, in nanoseconds: up to here (104 days) `f64` holds every nanosecond.
const LONGEST_NS: u64 = 1 << 53;
/// Columns that hold requests per second.
const RATES: &[&str] = &["rps", "rate_rps", "rate", "load", "qps"];
/// Columns that hold requests in a line's step of time.
const COUNTS: &[&str] = &["queries", "requests", "invocations", "count"];
/// Columns that number the steps, with the step in seconds.
const STEPS: &[(&str, u32)] = &[("second", 1), ("minute", 60), ("hour", 3600)];
/// Columns that hold a date and a time.
const DATE_TIMES: &[&str] = &["timestamp", "arrival_time", "datetime"];
/// Columns that hold the time since the start: one of these, `_` and one of [`UNITS`].
const OFFSETS: &[&str] = &["arrival", "timestamp", "time"];
/// Units of time, with their nanoseconds.
const UNITS: &[(&str, u64)] = &[("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];
/// What the header of a trace may say.
const KNOWN_HEADERS: &str = "rates: rps, rate_rps, rate, load, qps, queries, requests, invocations, count; \
     arrival times: timestamp, arrival_time, datetime, arrival_ms (or _s, _us, _ns)";

/// Reads a recording.
pub fn load(path: &Path) -> Result<Arrivals, Error> {
    let bytes = files::unpacked(path, files::read(path)?).map_err(|error| {
        let cause = format!("cannot be unpacked: {error}");
        let action = "its name or its first bytes say gzip: give a whole file that unpacks to at most 1 GiB";
        Findings::from(Finding::error(Code::Syntax, "", cause, action)).in_file(path)
    })?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(parse(&bytes, &name).map_err(|findings| findings.in_file(path))?)
}

/// Where the numbers are, and what they mean.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Layout {
    column: usize,
    meaning: Meaning,
    /// The column that numbers the steps, where there is one.
    steps: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Meaning {
    /// Requests per second, where a number stands for `per_s` of them; each holds for `step_s`.
    Rates { step_s: u32, per_s: f64 },
    /// Time since the start.
    Offsets { unit_ns: u64 },
    /// Dates and times; the first is the start.
    DateTimes,
}

/// Reads the text of a recording.
pub fn parse(bytes: &[u8], name: &str) -> Result<Arrivals, Findings> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let reader = || {
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true).trim(Trim::All).from_reader(bytes)
    };
    let mut first = ByteRecord::new();
    if !reader().read_byte_record(&mut first).map_err(|error| unreadable(&error))? {
        return Err(empty("rate"));
    }
    let layout = Layout::of(&first)?;
    let mut lines = Lines::new(layout.is_header(&first));
    lines.read(reader(), bytes, &layout)?;
    lines.recording(layout.meaning, name)
}

impl Layout {
    /// Understands the first line, whether it is a header or has numbers already.
    fn of(first: &ByteRecord) -> Result<Self, Findings> {
        let cells: Vec<String> = first.iter().map(|cell| String::from_utf8_lossy(cell).to_lowercase()).collect();
        let last = cells.len() - 1;
        let rates = Meaning::Rates { step_s: 1, per_s: 1.0 };
        if cells[last].parse::<f64>().is_ok() {
            return Ok(Self { column: last, meaning: rates, steps: None });
        }
        if date_time_ns(&cells[0]).is_some() {
            return Ok(Self { column: 0, meaning: Meaning::DateTimes, steps: None });
        }
        let steps = cells.iter().enumerate().find_map(|(index, cell)| Some((index, of_list(STEPS, cell)?)));
        let step_s = steps.map_or(1, |(_, step_s)| step_s);
        let meant: Vec<_> = (0..=last).filter_map(|column| Some((column, meaning(&cells[column], step_s)?))).collect();
        match meant[..] {
            [(column, meaning)] => {
                let steps = steps.filter(|_| matches!(meaning, Meaning::Rates { .. })).map(|(index, _)| index);
                Ok(Self { column, meaning, steps })
            }
            [] => {
                let cause = format!("the header `{}` names nothing that is known", cells.join(","));
                Err(Finding::error(Code::UnknownName, "line 1", cause, KNOWN_HEADERS).into())
            }
            _ => {
                let names: Vec<_> = meant.iter().map(|&(column, _)| format!("`{}`", cells[column])).collect();
                let cause = format!("each of {} could be meant", names.join(", "));
                Err(Finding::error(Code::Inconsistent, "line 1", cause, "remove or rename all but one").into())
            }
        }
    }

    /// Tells whether the first line is a header: where it is none, its cell is a number or a time.
    fn is_header(&self, first: &ByteRecord) -> bool {
        let cell = first.get(self.column).map(String::from_utf8_lossy).unwrap_or_default();
        cell.parse::<f64>().is_err() && date_time_ns(&cell).is_none()
    }
}

fn meaning(column: &str, step_s: u32) -> Option<Meaning> {
    if RATES.contains(&column) {
        return Some(Meaning::Rates { step_s, per_s: 1.0 });
    }
    if COUNTS.contains(&column) {
        return Some(Meaning::Rates { step_s, per_s: f64::from(step_s) });
    }
    if DATE_TIMES.contains(&column) {
        return Some(Meaning::DateTimes);
    }
    let (noun, unit) = column.rsplit_once('_')?;
    let unit_ns = of_list(UNITS, unit)?;
    OFFSETS.contains(&noun).then_some(Meaning::Offsets { unit_ns })
}

fn of_list<T: Copy>(list: &[(&str, T)], name: &str) -> Option<T> {
    list.iter().find(|(known, _)| *known == name).map(|&(_, value)| value)
}

/// What the lines hold, and what is wrong with them.
struct Lines {
    skip_first: bool,
    rates: Vec<f64>,
    times_ns: Vec<i128>,
    last_step: Option<f64>,
    findings: Findings,
    bad: usize,
}

impl Lines {
    fn new(skip_first: bool) -> Self {
        let findings = Findings::default();
        Self { skip_first, rates: Vec::new(), times_ns: Vec::new(), last_step: None, findings, bad: 0 }
    }

    fn read(&mut self, mut reader: csv::Reader<&[u8]>, bytes: &[u8], layout: &Layout) -> Result<(), Findings> {
        let mut record = ByteRecord::new();
        while reader.read_byte_record(&mut record).map_err(|error| unreadable(&error))? {
            let is_blank = record.len() == 1 && record[0].is_empty();
            if !is_blank && !std::mem::take(&mut self.skip_first) {
                let line = record.position().map_or(0, |position| line_at(position, bytes));
                self.take(line, &record, layout);
            }
        }
        if self.bad > MOST_NAMED {
            let cause = format!("{} more mistakes of this kind", self.bad - MOST_NAMED);
            self.findings.push(Finding::error(Code::Syntax, "", cause, "correct those above first"));
        }
        Ok(())
    }

    fn take(&mut self, line: u64, record: &ByteRecord, layout: &Layout) {
        let Some(cell) = record.get(layout.column) else {
            let cause = format!("{} columns, but column {} is meant", record.len(), layout.column + 1);
            return self.complain(line, Code::Syntax, cause, "every line has the columns of the first");
        };
        let cell = String::from_utf8_lossy(cell);
        if let Some(steps) = layout.steps {
            self.take_step(line, &String::from_utf8_lossy(record.get(steps).unwrap_or_default()));
        }
        match layout.meaning {
            Meaning::Rates { per_s, .. } => self.take_rate(line, &cell, per_s),
            Meaning::Offsets { unit_ns } => match decimal_ns(&cell, unit_ns) {
                Some(time) => self.take_time(line, &cell, i128::from(time)),
                None => self.complain(
                    line,
                    Code::Syntax,
                    format!("`{cell}` is no time since the start"),
                    "a number of at least 0, like 1250.5",
                ),
            },
            Meaning::DateTimes => match date_time_ns(&cell) {
                Some(time) => self.take_time(line, &cell, time),
                None => self.complain(
                    line,
                    Code::Syntax,
                    format!("`{cell}` is no date and time"),
                    "like 2023-11-16 18:17:03.97996; a number needs its unit in the header, like timestamp_ms",
                ),
            },
        }
    }

    fn take_rate(&mut self, line: u64, cell: &str, per_s: f64) {
        const ACTION: &str = "a finite number of requests per second, at least 0";
        match cell.parse::<f64>() {
            Ok(rate) if rate.is_finite() && rate >= 0.0 => self.rates.push(rate / per_s),
            Ok(rate) => self.complain(line, Code::OutOfRange, format!("{rate} is no rate"), ACTION),
            Err(_) => self.complain(line, Code::Syntax, format!("`{cell}` is no number"), ACTION),
        }
    }

    fn take_time(&mut self, line: u64, cell: &str, time_ns: i128) {
        if self.times_ns.last().is_some_and(|&last| time_ns < last) {
            self.complain(line, Code::Order, format!("{cell} is before the line above"), "sort the lines by time");
        }
        self.times_ns.push(time_ns);
    }

    /// Sees that no step of time is left out or comes twice, for then nobody knows how long a line holds.
    fn take_step(&mut self, line: u64, cell: &str) {
        let Ok(step) = cell.parse::<f64>() else {
            return self.complain(line, Code::Syntax, format!("`{cell}` is no step of time"), "a whole number");
        };
        if let Some(last) = self.last_step.replace(step)
            && step != last + 1.0
        {
            let cause = format!("step {step} follows step {last}");
            self.complain(line, Code::Order, cause, "one line for each step of time, with 0 where nothing came");
        }
    }

    fn complain(&mut self, line: u64, code: Code, cause: String, action: &str) {
        self.bad += 1;
        if self.bad <= MOST_NAMED {
            self.findings.push(Finding::error(code, format!("line {line}"), cause, action));
        }
    }

    fn recording(mut self, meaning: Meaning, name: &str) -> Result<Arrivals, Findings> {
        if self.findings.has_errors() {
            return Err(self.findings);
        }
        if let Meaning::Rates { step_s, .. } = meaning {
            let step = Duration::from_secs(u64::from(step_s));
            let trace = Trace { step, ..Trace::new(name, self.rates) };
            return if trace.rates.is_empty() { Err(empty("rate")) } else { Ok(Arrivals::Trace(trace)) };
        }
        let (Some(&first), Some(&last)) = (self.times_ns.first(), self.times_ns.last()) else {
            return Err(empty("arrival time"));
        };
        let start = if meaning == Meaning::DateTimes { first } else { 0 };
        if last - start > i128::from(LONGEST_NS) {
            let days = (last - start) / 86_400_000_000_000;
            let cause = format!("the last arrival comes {days} days after the start; at most 104 can be simulated");
            let action = "times count from the start of the trace, in the unit that the header says";
            self.findings.push(Finding::error(Code::OutOfRange, "", cause, action));
        }
        let since_start = |&time: &i128| u64::try_from(time - start).unwrap_or(u64::MAX);
        let times_ns = self.times_ns.iter().map(since_start).collect();
        self.findings.or(Arrivals::Timestamps(Timestamps::new(name, times_ns)))
    }
}

/// Returns the line of a record; its position is that of the blank lines before it.
fn line_at(position: &csv::Position, bytes: &[u8]) -> u64 {
    let from = usize::try_from(position.byte()).unwrap_or(usize::MAX).min(bytes.len());
    let blank = bytes[from..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + blank.filter(|&&byte| byte == b'\n').count() as u64
}

fn empty(noun: &str) -> Findings {
    let article = if noun.starts_with('a') { "an" } else { "a" };
    let cause = format!("the trace has no line with {article} {noun}");
    Finding::error(Code::Empty, "", cause, format!("one {noun} a line")).into()
}

fn unreadable(error: &csv::Error) -> Findings {
    Finding::error(Code::Syntax, "", error.to_string(), "the file must be CSV, plain or gzipped").into()
}
