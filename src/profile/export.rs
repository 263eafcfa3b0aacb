//! A profile as one flat table, a row a point, for people who live in spreadsheets and data frames.

use super::{Point, Profile, Stopped, Variant};
use crate::stats::Latency;

/// One column: a name that carries the unit, and a value for each point in file order.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The name, like `p99_ms`.
    pub name: String,
    /// The values.
    pub values: Values,
}

/// The values of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Words.
    Texts(Vec<String>),
    /// Whole numbers.
    Counts(Vec<u64>),
    /// Numbers; absent where they were not measured.
    Numbers(Vec<Option<f64>>),
    /// Yes or no.
    Flags(Vec<bool>),
}

impl Values {
    /// Returns a value as text; one that is absent is empty.
    fn text(&self, row: usize) -> String {
        match self {
            // A spreadsheet takes a text that begins so for a formula.
            Self::Texts(texts) if texts[row].starts_with(['=', '+', '-', '@', '\t', '\r']) => {
                format!("'{}", texts[row])
            }
            Self::Texts(texts) => texts[row].clone(),
            Self::Counts(counts) => counts[row].to_string(),
            Self::Numbers(numbers) => numbers[row].map(|number| number.to_string()).unwrap_or_default(),
            Self::Flags(flags) => flags[row].to_string(),
        }
    }
}

/// Returns the table of a profile; what belongs to a variant or the host is repeated for each of its points.
#[must_use]
pub fn columns(profile: &Profile) -> Vec<Column> {
    let table = Table { profile };
    let mut columns = table.configuration();
    columns.extend(table.latency());
    columns.extend(table.conditions());
    columns.extend(table.variant_and_host());
    columns
}

/// Returns the table as CSV with a header.
///
/// # Panics
/// Never: writing to memory does not fail.
#[must_use]
pub fn to_csv(profile: &Profile) -> Vec<u8> {
    let columns = columns(profile);
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(columns.iter().map(|column| &column.name)).expect("memory takes all bytes");
    for row in 0..profile.points.len() {
        csv.write_record(columns.iter().map(|column| column.values.text(row))).expect("memory takes all bytes");
    }
    csv.into_inner().map_err(|error| error.to_string()).expect("memory takes all bytes")
}

struct Table<'a> {
    profile: &'a Profile,
}

impl Table<'_> {
    fn configuration(&self) -> Vec<Column> {
        vec![
            self.texts("variant", |point| point.variant.clone()),
            self.counts("batch", |point| u64::from(point.batch)),
            self.counts("cores", |point| u64::from(point.cores)),
            self.texts("device", |point| point.device.clone()),
            self.counts("co_runners", |point| u64::from(point.co_runners)),
            self.counts("count", |point| point.count),
        ]
    }

    fn latency(&self) -> Vec<Column> {
        let moment = |name: &str, of: fn(&Latency) -> f64| self.numbers(name, |point| Some(of(&point.latency)));
        let mut columns = vec![
            moment("mean_ms", |latency| latency.mean_ms.get()),
            moment("std_ms", |latency| latency.std_ms.get()),
            moment("min_ms", |latency| latency.min_ms.get()),
            moment("max_ms", |latency| latency.max_ms.get()),
        ];
        for (index, name) in ["p50", "p90", "p95", "p99", "p999"].into_iter().enumerate() {
            let quantile = |point: &Point| {
                let Latency { p50, p90, p95, p99, p999, .. } = point.latency;
                [p50, p90, p95, p99, p999][index]
            };
            columns.push(self.numbers(&format!("{name}_ms"), |point| Some(quantile(point).value_ms.get())));
            columns.push(self.numbers(&format!("{name}_low_ms"), |point| Some(quantile(point).low_ms.get())));
            columns.push(self.numbers(&format!("{name}_high_ms"), |point| Some(quantile(point).high_ms.get())));
        }
        columns
    }

    fn conditions(&self) -> Vec<Column> {
        let flags = self.profile.points.iter().map(|point| point.conditions.contended).collect();
        vec![
            self.numbers("throughput_rps", |point| Some(point.throughput_rps.get())),
            self.numbers("cpu_ms", |point| point.cpu_ms.map(f64::from)),
            self.texts("stopped", |point| stopped(point.conditions.stopped).to_owned()),
            Column { name: "contended".to_owned(), values: Values::Flags(flags) },
        ]
    }

    fn variant_and_host(&self) -> Vec<Column> {
        let of = |name: &str, number: fn(&Variant) -> f64| self.numbers(name, |point| self.variant(point).map(number));
        let text = |name: &str, text: fn(&Variant) -> String| {
            self.texts(name, |point| self.variant(point).map(text).unwrap_or_default())
        };
        vec![
            of("accuracy", |variant| variant.accuracy.value.get()),
            of("accuracy_low", |variant| variant.accuracy.low.get()),
            of("accuracy_high", |variant| variant.accuracy.high.get()),
            text("accuracy_trust", |variant| variant.accuracy.trust.to_string()),
            of("load_time_ms", |variant| variant.load_time_ms.get()),
            of("memory_mb", |variant| variant.memory_mb.get()),
            text("engine", |variant| variant.engine.clone()),
            self.texts("host_cpu", |_| self.profile.host.cpu.clone()),
        ]
    }

    fn variant(&self, point: &Point) -> Option<&Variant> {
        self.profile.variant(&point.variant)
    }

    fn texts(&self, name: &str, of: impl Fn(&Point) -> String) -> Column {
        Column { name: name.to_owned(), values: Values::Texts(self.profile.points.iter().map(of).collect()) }
    }

    fn counts(&self, name: &str, of: impl Fn(&Point) -> u64) -> Column {
        Column { name: name.to_owned(), values: Values::Counts(self.profile.points.iter().map(of).collect()) }
    }

    fn numbers(&self, name: &str, of: impl Fn(&Point) -> Option<f64>) -> Column {
        Column { name: name.to_owned(), values: Values::Numbers(self.profile.points.iter().map(of).collect()) }
    }
}

/// The word that the profile's JSON has.
const fn stopped(stopped: Stopped) -> &'static str {
    match stopped {
        Stopped::Interval => "interval",
        Stopped::Budget => "budget",
        Stopped::Imported => "imported",
    }
}
