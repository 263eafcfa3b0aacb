//! The rows of a recording: cells between commas, semicolons or tabs, JSON Lines, or one time a line.

use csv::{ReaderBuilder, StringRecord, Trim};
use serde_json::{Map, Value};

use super::time::line_time;
use crate::base::finding::{Code, Finding, Findings};
use crate::base::json;

/// A recording, understood as far as its first line tells.
pub struct Table<'a> {
    text: &'a str,
    /// Lines before the text, which name the separator.
    lines_before: u64,
    shape: Shape,
    /// The names of the columns, or the first row where there are none.
    pub first: StringRecord,
}

/// How a line is divided.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    /// Into cells, at a separator.
    Cells(u8),
    /// Into values, by the keys of the first object.
    JsonLines,
    /// Not at all: each line begins with a time, or holds one in brackets as access logs do.
    Times,
}

impl<'a> Table<'a> {
    /// Divides the first line.
    pub fn open(text: &'a str) -> Result<Self, Findings> {
        // Excel and Grafana may name the separator in a line of its own.
        let named = text.strip_prefix("sep=").and_then(|rest| rest.split_once('\n'));
        let lines_before = u64::from(named.is_some());
        let (text, named) = named.map_or((text, None), |(name, rest)| (rest, name.bytes().next()));
        let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
        if line.starts_with('{') {
            let keys = object(line).map_err(|_| no_json_lines("one JSON document"))?.into_iter().map(|(key, _)| key);
            return Ok(Self { text, lines_before, shape: Shape::JsonLines, first: keys.collect() });
        }
        if line_time(line).is_some() {
            return Ok(Self { text, lines_before, shape: Shape::Times, first: StringRecord::from(vec![line]) });
        }
        if line.starts_with('[') {
            return Err(no_json_lines("a JSON list").into());
        }
        let separator = named.unwrap_or_else(|| separator(line));
        let mut first = StringRecord::new();
        cells(text, separator).read_record(&mut first).map_err(|error| unreadable(&error))?;
        Ok(Self { text, lines_before, shape: Shape::Cells(separator), first })
    }

    /// Tells whether a comma may stand in a number, because it does not divide the cells.
    pub fn may_have_decimal_commas(&self) -> bool {
        matches!(self.shape, Shape::Cells(b';' | b'\t'))
    }

    /// Tells whether the first row has numbers in place of names.
    pub fn is_times(&self) -> bool {
        self.shape == Shape::Times
    }

    /// Returns the form of the file in a word.
    pub fn form(&self) -> &'static str {
        match self.shape {
            Shape::Cells(b';') => "CSV with semicolons",
            Shape::Cells(b'\t') => "CSV with tabs",
            Shape::Cells(_) => "CSV",
            Shape::JsonLines => "JSON Lines",
            Shape::Times => "one time a line",
        }
    }

    /// Hands over the rows below the names with their lines, until `take` has had enough.
    pub fn rows(&self, has_names: bool, mut take: impl FnMut(u64, &StringRecord) -> bool) -> Result<(), Findings> {
        let Shape::Cells(separator) = self.shape else { return self.lines(take) };
        let mut reader = cells(self.text, separator);
        let mut record = StringRecord::new();
        let mut skips = has_names;
        while reader.read_record(&mut record).map_err(|error| unreadable(&error))? {
            let is_blank = record.len() == 1 && record[0].is_empty();
            let line = record.position().map_or(0, |position| line_at(position, self.text.as_bytes()));
            if !is_blank && !std::mem::take(&mut skips) && !take(self.lines_before + line, &record) {
                break;
            }
        }
        Ok(())
    }

    fn lines(&self, mut take: impl FnMut(u64, &StringRecord) -> bool) -> Result<(), Findings> {
        let lines = self.text.lines().map(str::trim).zip(self.lines_before + 1..).filter(|(line, _)| !line.is_empty());
        for (line, number) in lines {
            let row = if self.shape == Shape::Times {
                StringRecord::from(vec![line])
            } else {
                let syntax =
                    |cause| Finding::error(Code::Syntax, format!("line {number}"), cause, "one JSON object a line");
                let mut values = object(line).map_err(syntax)?;
                self.first.iter().map(|key| values.remove(key).map_or_else(String::new, cell)).collect()
            };
            if !take(number, &row) {
                break;
            }
        }
        Ok(())
    }
}

fn cells(text: &str, separator: u8) -> csv::Reader<&[u8]> {
    let mut builder = ReaderBuilder::new();
    builder.has_headers(false).flexible(true).trim(Trim::All).delimiter(separator).from_reader(text.as_bytes())
}

/// Returns what divides a line: a tab or a semicolon where there is one outside quotes, else a comma.
fn separator(line: &str) -> u8 {
    let outside: String = line.split('"').step_by(2).collect();
    *b"\t;".iter().find(|&&separator| outside.contains(char::from(separator))).unwrap_or(&b',')
}

fn object(line: &str) -> Result<Map<String, Value>, String> {
    match json::parse(line) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("it is no object".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Returns a JSON value as a cell of CSV would hold it.
fn cell(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn no_json_lines(seen: &str) -> Finding {
    let action = "a trace is CSV or JSON Lines, one object a line: `jq -c '.[]'` writes a list so";
    Finding::error(Code::Syntax, "line 1", format!("the file is {seen}"), action)
}

/// Returns the line of a record; its position is that of the blank lines before it.
fn line_at(position: &csv::Position, bytes: &[u8]) -> u64 {
    let from = usize::try_from(position.byte()).unwrap_or(usize::MAX).min(bytes.len());
    let blank = bytes[from..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + blank.filter(|&&byte| byte == b'\n').count() as u64
}

fn unreadable(error: &csv::Error) -> Findings {
    Finding::error(Code::Syntax, "", error.to_string(), "the file must be CSV or JSON Lines, plain or gzipped").into()
}
