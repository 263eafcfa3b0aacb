//! Which columns of a recording are understood: by their names and units alone, never by where they stand.

use csv::StringRecord;

use crate::base::finding::{Code, Finding, Findings};

/// Columns that hold requests per second.
const RATES: &[&str] = &["rps", "rate_rps", "rate", "load", "qps", "tps", "reqps"];
/// Columns that hold requests in a line's step of time; with `/s`, `_per_minute` and so on they are rates.
const COUNTS: &[&str] = &[
    "queries",
    "requests",
    "invocations",
    "count",
    "hits",
    "calls",
    "arrivals",
    "request_count",
    "requestcount",
    "req",
    "reqs",
];
/// Columns that hold requests in a line's step where the line's time stands beside them; alone they could be anything.
const VALUES: &[&str] = &["value", "metric_value", "sum", "samplecount"];
/// Columns that number the steps; several add up.
const STEPS: &[&str] = &["second", "minute", "hour", "day"];
/// Columns that hold a time; with `_ms` and so on, a number of such units.
const TIMES: &[&str] = &[
    "timestamp",
    "time",
    "datetime",
    "date_time",
    "date",
    "arrival",
    "arrival_time",
    "ts",
    "epoch",
    "unix_time",
    "time_local",
];
/// Units of time, with their nanoseconds.
const UNITS: &[(&[&str], u64)] = &[
    (&["ns", "nanoseconds"], 1),
    (&["us", "microseconds"], 1_000),
    (&["ms", "milliseconds"], 1_000_000),
    (&["s", "sec", "second", "seconds"], 1_000_000_000),
    (&["min", "minute", "minutes"], 60_000_000_000),
    (&["h", "hour", "hours"], 3_600_000_000_000),
    (&["day", "days"], 86_400_000_000_000),
];
/// The first columns of Azure Functions' invocations of 2019; the minutes of a day follow, as names `1`, `2`, and so on.
const AZURE: [&str; 4] = ["hashowner", "hashapp", "hashfunction", "trigger"];

/// What one column holds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Meaning {
    Load(Load),
    Step { unit_ns: u64 },
    Time { unit_ns: Option<u64> },
}

/// What the numbers of a line mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Load {
    /// Requests in so many nanoseconds.
    Rate { per_ns: u64 },
    /// Requests in the line's step.
    Count,
    /// Requests in the line's step, if they are whole numbers: the name does not tell.
    Value,
}

/// What tells when a line begins.
#[derive(Debug, Clone, PartialEq)]
pub enum When {
    /// Nothing: each line is a second.
    EachSecond,
    /// Numbered steps: columns with their units, the shortest of which is the step.
    Steps(Vec<(usize, u64)>),
    /// A column of times, and the unit in its name.
    Time(usize, Option<u64>),
}

impl When {
    /// Returns the columns that it rests on.
    pub fn columns(&self) -> impl Iterator<Item = usize> {
        let (time, steps): (_, &[(usize, u64)]) = match self {
            Self::EachSecond => (None, &[]),
            Self::Time(column, _) => (Some(*column), &[]),
            Self::Steps(steps) => (None, steps),
        };
        time.into_iter().chain(steps.iter().map(|&(column, _)| column))
    }
}

/// Which columns are read.
#[derive(Debug, Clone, PartialEq)]
pub enum Columns {
    /// Rates or counts, line after line.
    Loads { when: When, column: usize, load: Load, only: Option<usize> },
    /// One arrival a line.
    Arrivals { column: usize, unit_ns: Option<u64> },
    /// A function a line, and from this column on a minute a column.
    Minutes { from: usize },
}

impl Columns {
    /// Understands the names of the columns.
    pub fn of(names: &StringRecord) -> Result<Self, Findings> {
        if let Some(from) = minutes(names) {
            return Ok(Self::Minutes { from });
        }
        let known: Vec<(usize, Meaning)> =
            names.iter().enumerate().filter_map(|(index, name)| Some((index, meaning(name)?))).collect();
        let steps: Vec<_> = known.iter().filter_map(|&(at, meant)| Some((at, step(meant)?))).collect();
        let times: Vec<_> = known.iter().filter_map(|&(at, meant)| Some((at, time(meant)?))).collect();
        let loads: Vec<_> = known.iter().filter_map(|&(at, meant)| Some((at, load(meant)?))).collect();
        let quoted =
            |columns: &[usize]| columns.iter().map(|&at| format!("`{}`", &names[at])).collect::<Vec<_>>().join(", ");
        let several = |columns: &[usize]| {
            let cause = format!("each of {} could be meant", quoted(columns));
            Err(Finding::error(Code::Inconsistent, "line 1", cause, "remove or rename all but one").into())
        };
        let whens: Vec<usize> = steps.iter().map(|&(at, _)| at).chain(times.iter().map(|&(at, _)| at)).collect();
        if times.len() > 1 || !times.is_empty() && !steps.is_empty() {
            return several(&whens);
        }
        match (&loads[..], times.first()) {
            ([], None) => Err(unknown(names)),
            ([], Some(&(column, unit_ns))) => Ok(Self::Arrivals { column, unit_ns }),
            (&[(column, load)], time) => {
                let when = match time {
                    Some(&(column, unit_ns)) => When::Time(column, unit_ns),
                    None if steps.is_empty() => When::EachSecond,
                    None => When::Steps(steps),
                };
                if when == When::EachSecond && (names.len() > 1 || load == Load::Value) {
                    return Err(timeless(names, column));
                }
                Ok(Self::Loads { when, column, load, only: locust(names) })
            }
            _ => several(&loads.iter().map(|&(at, _)| at).collect::<Vec<_>>()),
        }
    }

    /// Tells whether any of the names is known.
    pub fn knows_any(names: &StringRecord) -> bool {
        minutes(names).is_some() || names.iter().any(|name| meaning(name).is_some())
    }
}

/// Returns what is wrong with a first line in which nothing is known.
pub fn unknown(names: &StringRecord) -> Findings {
    let cause = format!("the first line, `{}`, names nothing that is known", shown(names));
    let action = format!(
        "name the columns; known are rates ({}), counts ({}; with a time also {}), steps ({}) and times ({}; numbers with their \
         unit, like timestamp_ms)",
        RATES.join(", "),
        COUNTS.join(", "),
        VALUES.join(", "),
        STEPS.join(", "),
        TIMES.join(", "),
    );
    Finding::error(Code::UnknownName, "line 1", cause, action).into()
}

/// Returns what is wrong with a load beside columns that do not say how long it holds.
fn timeless(names: &StringRecord, column: usize) -> Findings {
    let cause = format!("no column of `{}` tells how long a line of `{}` holds", shown(names), &names[column]);
    let action = format!(
        "name the column of times or steps ({}, {}); a column of rates or requests alone has one line a second",
        STEPS.join(", "),
        TIMES.join(", ")
    );
    Finding::error(Code::MissingField, "line 1", cause, action).into()
}

/// Returns the beginning of a line: the rest could be megabytes.
fn shown(names: &StringRecord) -> String {
    const MOST: usize = 80;
    let line = names.iter().collect::<Vec<_>>().join(",");
    let short: String = line.chars().take(MOST).collect();
    if short.len() < line.len() { format!("{short}…") } else { short }
}

/// Returns the first column of minutes of Azure Functions' invocations of 2019.
fn minutes(names: &StringRecord) -> Option<usize> {
    let is_azure = names.iter().zip(AZURE).all(|(name, known)| name.eq_ignore_ascii_case(known));
    let numbered = names.iter().skip(AZURE.len()).zip(1..).all(|(name, minute)| name == i32::to_string(&minute));
    (is_azure && numbered && names.len() > AZURE.len()).then_some(AZURE.len())
}

/// Returns the column that tells the total of Locust's history from its parts.
fn locust(names: &StringRecord) -> Option<usize> {
    let has_rate = names.iter().any(|name| name == "Requests/s");
    names.iter().position(|name| name == "Name").filter(|_| has_rate)
}

fn meaning(name: &str) -> Option<Meaning> {
    let name = plain(name);
    let is_in = |list: &[&str]| list.contains(&name.as_str());
    if is_in(RATES) {
        return Some(Meaning::Load(Load::Rate { per_ns: unit("s")? }));
    }
    if is_in(COUNTS) {
        return Some(Meaning::Load(Load::Count));
    }
    if is_in(VALUES) {
        return Some(Meaning::Load(Load::Value));
    }
    if is_in(STEPS) {
        return Some(Meaning::Step { unit_ns: unit(&name)? });
    }
    if is_in(TIMES) {
        return Some(Meaning::Time { unit_ns: None });
    }
    if let Some((noun, per)) = name.split_once('/') {
        let per_ns = unit(per).filter(|_| COUNTS.contains(&noun))?;
        return Some(Meaning::Load(Load::Rate { per_ns }));
    }
    let (noun, of) = name.rsplit_once('_')?;
    TIMES.contains(&noun).then_some(Meaning::Time { unit_ns: Some(unit(of)?) })
}

/// Returns a name as the lists have it: `Time (ms)` is `time_ms`, `Requests per second` is `requests/second`.
fn plain(name: &str) -> String {
    let name = name.trim().trim_start_matches(['@', '_']).trim_end_matches("(*)").trim_end_matches("()");
    let words = name.to_lowercase().replace([' ', '-'], "_").replace("_(", "_").replace('(', "_").replace(')', "");
    words.replace("_per_", "/")
}

fn unit(name: &str) -> Option<u64> {
    UNITS.iter().find(|(names, _)| names.contains(&name)).map(|&(_, ns)| ns)
}

const fn step(meant: Meaning) -> Option<u64> {
    if let Meaning::Step { unit_ns } = meant { Some(unit_ns) } else { None }
}

const fn time(meant: Meaning) -> Option<Option<u64>> {
    if let Meaning::Time { unit_ns } = meant { Some(unit_ns) } else { None }
}

const fn load(meant: Meaning) -> Option<Load> {
    if let Meaning::Load(load) = meant { Some(load) } else { None }
}
