//! What the lines of a recording hold, and everything that is wrong with them.

use std::time::Duration;

use csv::StringRecord;

use super::columns::{Columns, Load, When};
use super::table::Table;
use super::time::{decimal_ns, line_time, moment};
use crate::base::finding::{Code, Finding, Findings};
use crate::workload::{Arrivals, Timestamps, Trace};

/// Bad lines that are named; of more only the number is said.
const MOST_NAMED: usize = 20;
/// Most lines: a year of seconds, in a quarter of a gigabyte.
const MOST_LINES: usize = 1 << 25;
/// Longest recording of arrival times, in nanoseconds: up to here (104 days) `f64` holds every nanosecond.
const LONGEST_NS: i64 = 1 << 53;
/// Numbers from here on count from 1970, in nanoseconds: this is September 2001, and no recording is 31 years long.
const EPOCH_NS: i64 = 1_000_000_000_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;
/// Part of a step by which a line may come early or late, as where somebody asked for a number now and then.
const JITTER: i64 = 10;

/// How the times of a column are written, as its first cell tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Clock {
    /// Dates and times, all with an offset from UTC or all without.
    Text { has_zone: bool },
    /// Numbers of a unit, from the start of the recording or from 1970.
    Number { unit_ns: u64, from_1970: bool },
}

impl Clock {
    /// Understands a time; a number without a unit only where it can be nothing but a time of our days.
    pub fn of(cell: &str, unit_ns: Option<u64>) -> Option<Self> {
        if let Some(moment) = line_time(cell) {
            return Some(Self::Text { has_zone: moment.has_zone });
        }
        let from_1970 =
            |unit_ns: u64| decimal_ns(cell, unit_ns).is_some_and(|ns| i64::try_from(ns).is_ok_and(|ns| ns >= EPOCH_NS));
        match unit_ns {
            Some(unit_ns) => decimal_ns(cell, unit_ns).map(|_| Self::Number { unit_ns, from_1970: from_1970(unit_ns) }),
            // Of two units that lie a factor of 1,000 apart, at most one gives a time between 2001 and 2262.
            None => [SECOND_NS, 1_000_000, 1_000, 1]
                .into_iter()
                .find(|&unit_ns| from_1970(unit_ns))
                .map(|unit_ns| Self::Number { unit_ns, from_1970: true }),
        }
    }

    fn read(self, cell: &str) -> Option<i64> {
        match self {
            Self::Text { has_zone } => moment(cell)
                .or_else(|| line_time(cell))
                .filter(|moment| moment.has_zone == has_zone)
                .map(|moment| moment.ns),
            Self::Number { unit_ns, from_1970 } => {
                let ns = i64::try_from(decimal_ns(cell, unit_ns)?).ok()?;
                (!from_1970 || ns >= EPOCH_NS).then_some(ns)
            }
        }
    }

    /// Returns the start of a recording whose first time this is.
    const fn start(self, first_ns: i64) -> i64 {
        match self {
            Self::Number { from_1970: false, .. } => 0,
            _ => first_ns,
        }
    }

    const fn expected(self) -> &'static str {
        match self {
            Self::Text { has_zone: true } => "a date and time with its offset from UTC, as in the first line",
            Self::Text { has_zone: false } => {
                "a date and time like 2023-11-16 18:17:03.97996, without offset as in the first line"
            }
            Self::Number { from_1970: true, .. } => "a time since 1970 in the unit of the first line",
            Self::Number { .. } => "a time since the start in the unit that the name says, like 1250.5",
        }
    }
}

/// The lines that were read.
pub struct Lines<'a> {
    columns: &'a Columns,
    names: Vec<String>,
    form: &'static str,
    clock: Option<Clock>,
    /// Loads as they stand there, or arrival times in nanoseconds.
    loads: Vec<f64>,
    times_ns: Vec<i64>,
    steps: Steps,
    commas: Commas,
    findings: Findings,
    bad: usize,
}

/// Times of the lines of loads: the first, the last, and the step between the first two.
#[derive(Default)]
struct Steps {
    first_ns: Option<i64>,
    last_ns: i64,
    step_ns: Option<i64>,
}

/// What was seen of commas in numbers.
#[derive(Default)]
struct Commas {
    allowed: bool,
    point: bool,
    comma: bool,
    /// A line whose comma may divide thousands; none once a comma was seen that cannot.
    doubtful: Option<(u64, String)>,
    sure: bool,
}

impl<'a> Lines<'a> {
    pub fn new(table: &Table<'_>, columns: &'a Columns) -> Self {
        let step_ns = match columns {
            Columns::Loads { when: When::Steps(steps), .. } => steps.iter().map(|&(_, unit_ns)| unit_ns as i64).min(),
            _ => None,
        };
        Self {
            names: table.first.iter().map(str::to_owned).collect(),
            form: table.form(),
            loads: if let &Columns::Minutes { from } = columns {
                vec![0.0; table.first.len() - from]
            } else {
                Vec::new()
            },
            columns,
            clock: None,
            times_ns: Vec::new(),
            steps: Steps { step_ns, ..Steps::default() },
            commas: Commas { allowed: table.may_have_decimal_commas(), ..Commas::default() },
            findings: Findings::default(),
            bad: 0,
        }
    }

    /// Takes a line; returns whether there is room for another.
    pub fn take(&mut self, line: u64, row: &StringRecord) -> bool {
        if row.len() != self.names.len() {
            let cause = format!("cells in this line: {}, in the first: {}", row.len(), self.names.len());
            self.complain(
                line,
                Code::Syntax,
                cause,
                "every line has as many cells as the first; quote those that hold a separator",
            );
            return true;
        }
        match self.columns {
            &Columns::Arrivals { column, unit_ns } => {
                if let Some(time_ns) = self.time(line, column, unit_ns, &row[column]) {
                    self.take_arrival(line, &row[column], time_ns);
                }
            }
            &Columns::Minutes { from } => self.take_minutes(line, from, row),
            // Locust writes a line for each of its requests and one for all.
            Columns::Loads { only: Some(name), .. } if !matches!(&row[*name], "Aggregated" | "Total") => {}
            &Columns::Loads { ref when, column, load, .. } => {
                self.take_step(line, when, row);
                let number =
                    self.number(line, column, &row[column]).filter(|&number| self.is_load(line, load, column, number));
                self.loads.extend(number);
            }
        }
        let has_room = self.loads.len().max(self.times_ns.len()) < MOST_LINES;
        if !has_room {
            self.complain(line, Code::OutOfRange, format!("more than {MOST_LINES} lines"), "split the recording");
        }
        has_room
    }

    fn time(&mut self, line: u64, column: usize, unit_ns: Option<u64>, cell: &str) -> Option<i64> {
        let cell = if self.commas.allowed { cell.replace(',', ".") } else { cell.to_owned() };
        let Some(clock) = self.clock.or_else(|| Clock::of(&cell, unit_ns)) else {
            let cause = format!("`{cell}` in `{}` of this {} is no time that is known", self.names[column], self.form);
            let action =
                "like 2023-11-16 18:17:03.97996; a number needs its unit in the name, like timestamp_ms or timestamp_s";
            self.complain(line, Code::Syntax, cause, action);
            return None;
        };
        self.clock = Some(clock);
        let time = clock.read(&cell);
        if time.is_none() {
            self.complain(line, Code::Syntax, format!("`{cell}` is not such a time"), clock.expected());
        }
        time
    }

    fn take_arrival(&mut self, line: u64, cell: &str, time_ns: i64) {
        if self.times_ns.last().is_some_and(|&last| time_ns < last) {
            self.complain(line, Code::Order, format!("{cell} is before the line above"), "sort the lines by time");
        }
        self.times_ns.push(time_ns);
    }

    /// Adds the minutes of one function to those of all.
    fn take_minutes(&mut self, line: u64, from: usize, row: &StringRecord) {
        for column in from..row.len() {
            if let Some(number) = self.number(line, column, &row[column]) {
                self.loads[column - from] += number;
            }
        }
    }

    /// Sees that the times of a series go up by one step, for else it is not known how long a line holds.
    fn take_step(&mut self, line: u64, when: &When, row: &StringRecord) {
        let time_ns = match when {
            When::EachSecond => return,
            When::Time(column, unit_ns) => self.time(line, *column, *unit_ns, &row[*column]),
            When::Steps(steps) => self.steps_ns(line, steps, row),
        };
        let Some(time_ns) = time_ns else { return };
        if self.steps.first_ns.is_none() {
            self.steps = Steps { first_ns: Some(time_ns), last_ns: time_ns, ..self.steps };
            return;
        }
        let since_ns = time_ns.saturating_sub(std::mem::replace(&mut self.steps.last_ns, time_ns));
        if since_ns > 0 {
            self.steps.step_ns.get_or_insert(since_ns);
        }
        let step_ns = self.steps.step_ns.unwrap_or(since_ns);
        if since_ns > 0 && (since_ns - step_ns).abs() <= step_ns / JITTER {
            return;
        }
        let named = when.columns().map(|column| format!("`{}` {}", self.names[column], &row[column]));
        let comes = match since_ns {
            ..0 => "before the line above".to_owned(),
            0 => "at the same time as the line above".to_owned(),
            _ => format!("{} s after the line above; the step is {} s", seconds(since_ns), seconds(step_ns)),
        };
        let cause = format!("{} comes {comes}", named.collect::<Vec<_>>().join(", "));
        let action = "one line for each step of time in order, with 0 where nothing came; one series in a file";
        self.complain(line, Code::Order, cause, action);
    }

    /// Returns the time that the numbers of several steps add up to.
    fn steps_ns(&mut self, line: u64, steps: &[(usize, u64)], row: &StringRecord) -> Option<i64> {
        let mut sum = Some(0_i64);
        for &(column, unit_ns) in steps {
            let whole = row[column].parse::<u32>().ok().map(|number| i64::from(number).saturating_mul(unit_ns as i64));
            if whole.is_none() {
                let cause = format!("`{}` in `{}` is no number of a step", &row[column], self.names[column]);
                self.complain(line, Code::Syntax, cause, "a whole number");
            }
            sum = sum.zip(whole).map(|(sum, whole)| sum.saturating_add(whole));
        }
        sum
    }

    /// Reads a number that is finite and not negative.
    fn number(&mut self, line: u64, column: usize, cell: &str) -> Option<f64> {
        const ACTION: &str = "a finite number of at least 0; 0 where nothing came";
        let text = self.commas.plain(line, cell);
        match text.as_deref().map(str::parse::<f64>) {
            Some(Ok(number)) if number.is_finite() && number >= 0.0 => return Some(number),
            Some(Ok(_)) => self.complain(
                line,
                Code::OutOfRange,
                format!("`{cell}` in `{}` is no load", self.names[column]),
                ACTION,
            ),
            _ => {
                self.complain(line, Code::Syntax, format!("`{cell}` in `{}` is no number", self.names[column]), ACTION)
            }
        }
        None
    }

    /// Refuses a part of a request in a column that does not say what it counts.
    fn is_load(&mut self, line: u64, load: Load, column: usize, number: f64) -> bool {
        let is_count = load != Load::Value || number.fract() == 0.0;
        if !is_count {
            let cause = format!("{number} in `{}` is no number of requests", self.names[column]);
            self.complain(line, Code::Inconsistent, cause, "name the column `rps` or `requests`, whichever it holds");
        }
        is_count
    }

    fn complain(&mut self, line: u64, code: Code, cause: String, action: &str) {
        self.bad += 1;
        if self.bad <= MOST_NAMED {
            self.findings.push(Finding::error(code, format!("line {line}"), cause, action));
        }
    }

    /// Returns the recording, or everything that is wrong with it.
    pub fn recording(mut self, name: &str) -> Result<Arrivals, Findings> {
        if let Some((line, cell)) = self.commas.doubtful.take().filter(|_| !self.commas.sure) {
            let cause = format!("`{cell}` may be a decimal or have a comma between thousands");
            self.complain(line, Code::Inconsistent, cause, "write decimals with a point and thousands without a comma");
        }
        if self.bad > MOST_NAMED {
            let cause = format!("{} more mistakes of this kind", self.bad - MOST_NAMED);
            self.findings.push(Finding::error(Code::Syntax, "", cause, "correct those above first"));
        }
        std::mem::take(&mut self.findings).or(())?;
        match self.columns {
            Columns::Arrivals { .. } => self.arrivals(name),
            Columns::Minutes { .. } => self.trace(name, 60 * SECOND_NS, Load::Count),
            Columns::Loads { load, .. } => {
                let (load, step_ns) = (*load, self.step_ns()?);
                self.trace(name, step_ns, load)
            }
        }
    }

    /// Returns the step of a series: on average, where its times jitter.
    fn step_ns(&self) -> Result<u64, Findings> {
        match (self.columns, self.steps.step_ns) {
            (Columns::Loads { when: When::EachSecond, .. }, _) => Ok(SECOND_NS),
            (Columns::Loads { when: When::Steps(_), .. }, Some(step_ns)) => Ok(step_ns as u64),
            (_, Some(_)) => {
                let steps = (self.loads.len().max(2) - 1) as u64;
                Ok(self.steps.last_ns.saturating_sub(self.steps.first_ns.unwrap_or(0)) as u64 / steps)
            }
            _ if self.loads.is_empty() => Err(empty()),
            _ => {
                let action = "two lines or more, or a column `second` or `minute` in place of the times";
                Err(Finding::error(Code::Empty, "", "one line with a time does not tell how long it holds", action)
                    .into())
            }
        }
    }

    fn trace(mut self, name: &str, step_ns: u64, load: Load) -> Result<Arrivals, Findings> {
        if self.loads.is_empty() {
            return Err(empty());
        }
        let per_ns = if let Load::Rate { per_ns } = load { per_ns } else { step_ns };
        let per_s = per_ns as f64 / SECOND_NS as f64;
        self.loads.iter_mut().for_each(|load| *load /= per_s);
        Ok(Arrivals::Trace(Trace { step: Duration::from_nanos(step_ns), ..Trace::new(name, self.loads) }))
    }

    fn arrivals(self, name: &str) -> Result<Arrivals, Findings> {
        let (Some(&first), Some(&last), Some(clock)) = (self.times_ns.first(), self.times_ns.last(), self.clock) else {
            return Err(empty());
        };
        let start = clock.start(first);
        let length_ns = last.saturating_sub(start);
        if length_ns > LONGEST_NS {
            let days = length_ns / 86_400_000_000_000;
            let cause = format!("the last arrival comes {days} days after the start; at most 104 can be simulated");
            let action = "times count from the start of the trace, or from 1970, in the unit that the name says";
            return Err(Finding::error(Code::OutOfRange, "", cause, action).into());
        }
        if self.names.len() > 1
            && let Some(step_ns) = regular_step(&self.times_ns)
        {
            let cause = format!(
                "a line every {} s, as in a time series, but no column is known to count requests",
                seconds(step_ns)
            );
            let action = format!(
                "name it `requests` or `rps` (columns are {}); where each line is one request, leave the times alone",
                self.names.join(", ")
            );
            return Err(Finding::error(Code::UnknownName, "line 1", cause, action).into());
        }
        let times_ns = self.times_ns.into_iter().map(|time| (time - start) as u64).collect();
        Ok(Arrivals::Timestamps(Timestamps::new(name, times_ns)))
    }
}

impl Commas {
    /// Returns a number with a point; `None` where its comma may not be there.
    fn plain(&mut self, line: u64, cell: &str) -> Option<String> {
        self.point |= cell.contains('.');
        let Some((whole, part)) = cell.split_once(',') else {
            return Some(cell.to_owned()).filter(|_| !(self.comma && self.point));
        };
        self.comma = true;
        if part.len() == 3 && (1..=3).contains(&whole.len()) && !whole.starts_with('0') {
            self.doubtful.get_or_insert_with(|| (line, cell.to_owned()));
        } else {
            self.sure = true;
        }
        (self.allowed && !self.point).then(|| format!("{whole}.{part}"))
    }
}

/// Returns the step of times that nearly all follow each other by the same: requests do not come so.
fn regular_step(times_ns: &[i64]) -> Option<i64> {
    let mut gaps: Vec<i64> = times_ns.windows(2).map(|pair| pair[1] - pair[0]).collect();
    if gaps.len() < 2 {
        return None;
    }
    let middle = gaps.len() / 2;
    let step = *gaps.select_nth_unstable(middle).1;
    let near = gaps.iter().filter(|&&gap| (gap - step).abs() <= step / 10).count();
    (step > 0 && near * 10 >= gaps.len() * 9).then_some(step)
}

fn seconds(ns: i64) -> f64 {
    ns as f64 / SECOND_NS as f64
}

/// Returns what is wrong with a recording of nothing.
pub fn empty() -> Findings {
    Finding::error(
        Code::Empty,
        "",
        "the trace has no line with a rate, a count or a time",
        "one a line, below its name",
    )
    .into()
}
