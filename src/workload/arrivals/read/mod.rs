//! Reading recordings. Nothing is guessed: what a column holds follows from its name, and what is not understood is refused.
//!
//! ```text
//! bytes ─▶ text ─▶ table: CSV, JSON Lines, one time a line ─▶ columns: load, times, steps ─▶ lines ─▶ Trace or Timestamps
//! ```

mod columns;
mod lines;
mod table;
mod time;

use std::path::Path;

use super::Arrivals;
use crate::base::error::Error;
use crate::base::files;
use crate::base::finding::{Code, Finding, Findings};
use crate::base::text::decoded;
use columns::{Columns, Load, When};
use lines::{Clock, Lines};
use table::Table;

/// The most that a recording may unpack to: 512 MiB. Text takes most of the memory while it is read.
const LARGEST: u64 = 512 << 20;

/// Reads a recording.
pub fn load(path: &Path) -> Result<Arrivals, Error> {
    let bytes = files::unpacked_at_most(path, files::read(path)?, LARGEST).map_err(|error| {
        let cause = format!("cannot be unpacked: {error}");
        let action = "its name or its first bytes say gzip: give a whole file that unpacks to at most 512 MiB";
        Findings::from(Finding::error(Code::Syntax, "", cause, action)).in_file(path)
    })?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(parse(&bytes, &name).map_err(|findings| findings.in_file(path))?)
}

/// Reads the text of a recording.
pub fn parse(bytes: &[u8], name: &str) -> Result<Arrivals, Findings> {
    let text = decoded(bytes)?;
    let table = Table::open(&text)?;
    let (columns, has_names) = columns_of(&table)?;
    let mut lines = Lines::new(&table, &columns);
    table.rows(has_names, |line, row| lines.take(line, row))?;
    lines.recording(name)
}

/// Returns what the columns hold, and whether the first line names them: a single column of rates or times needs no name.
fn columns_of(table: &Table<'_>) -> Result<(Columns, bool), Findings> {
    let first = &table.first;
    if Columns::knows_any(first) {
        return Ok((Columns::of(first)?, true));
    }
    match first.iter().next() {
        Some(_) if first.len() > 1 => Err(columns::unknown(first)),
        None | Some("") => Err(lines::empty()),
        Some(cell) if table.is_times() || Clock::of(cell, None).is_some() => {
            Ok((Columns::Arrivals { column: 0, unit_ns: None }, false))
        }
        Some(cell) if cell.parse::<f64>().is_ok() => {
            let load = Load::Rate { per_ns: 1_000_000_000 };
            Ok((Columns::Loads { when: When::EachSecond, column: 0, load, only: None }, false))
        }
        Some(_) => Err(columns::unknown(first)),
    }
}

#[cfg(test)]
mod tests;
