//! Records from measured answers, and from record files in two public formats.
//!
//! - `label,<model>_pred,<model>_certainty,…`: class numbers, and a certainty from 0 to 1. Our own answers files are of this kind.
//! - `sample,<model>_correct,<model>_logprob,…`: 0 or 1, and a natural logarithm whose exponential is the certainty. Columns
//!   `<model>_latency_ms` and `<model>_cost_usd` may stand between; they tell nothing about answers and are passed over.
//!
//! Files may be gzipped. Numbers keep all digits of the file, so that a threshold that a person reads in it means the same here.

use std::path::Path;

use super::{Precision, Record, Records};
use crate::base::error::Error;
use crate::base::files;
use crate::base::finding::{Code, Finding, Findings};
use crate::facts::Facts;
use crate::profile::{Answers, SampleAnswer};

const COLUMNS: &str = "columns are `label`, then `<model>_pred`, `<model>_certainty`; or `sample`, then `<model>_correct`, `<model>_logprob`";

impl Records {
    /// Returns the records of measured answers, one for each variant.
    #[must_use]
    pub fn from_answers(answers: &Answers) -> Self {
        let variants = answers.variants.iter();
        let of = |(name, of_variant): &(String, Vec<SampleAnswer>)| Record {
            name: name.clone(),
            right: of_variant.iter().zip(&answers.labels).map(|(answer, label)| answer.is_right(*label)).collect(),
            certainty: of_variant.iter().map(|answer| SampleAnswer::decimal(answer.certainty)).collect(),
            predicted: of_variant.iter().map(|answer| answer.predicted).collect(),
            precision: Precision::Single,
        };
        Self { models: variants.map(of).collect() }
    }

    /// Returns the records of variants in their order, on the samples that accuracy is stated on.
    ///
    /// # Errors
    /// Findings for each variant without answers, for certainties that were measured in different ways, and for variants that
    /// answered other samples than the first.
    pub fn from_facts(facts: &Facts, variants: &[String]) -> Result<Self, Findings> {
        let mut findings = facts.certainty().err().unwrap_or_default();
        let records = Self::of_variants(variants, |name| facts.answers(name), &mut findings);
        findings.or(records)
    }

    /// Returns the records of variants to search on and those to prove on: the calibration samples and the others where the
    /// profiles keep them apart for all variants, otherwise two halves drawn by the seed. The proof's stand in an order that
    /// chance decided.
    ///
    /// # Errors
    /// As [`Records::from_facts`].
    pub fn halves(facts: &Facts, variants: &[String], seed: u64) -> Result<(Self, Self), Findings> {
        let stated = Self::from_facts(facts, variants)?;
        if variants.iter().any(|name| facts.calibration(name).is_none()) {
            return Ok(super::split(&stated, 0.5, seed));
        }
        let mut findings = Findings::default();
        let search = Self::of_variants(variants, |name| facts.calibration(name), &mut findings);
        let (_, proof) = super::split(&stated, 0.0, seed);
        findings.or((search, proof))
    }

    fn of_variants<'a>(
        variants: &[String],
        answers_of: impl Fn(&str) -> Option<&'a Answers>,
        findings: &mut Findings,
    ) -> Self {
        let (mut records, mut labels) = (Self::default(), None);
        for name in variants {
            let Some(answers) = answers_of(name) else {
                let cause = format!("nobody recorded what `{name}` answers");
                findings.push(Finding::error(Code::NotMeasured, "profiles", cause, "profile it with labelled samples"));
                continue;
            };
            if *labels.get_or_insert(&answers.labels) != &answers.labels {
                let cause = format!("`{name}` answered other samples than `{}`", variants[0]);
                let action = "profile all variants on the same labelled samples";
                findings.push(Finding::error(Code::Inconsistent, "profiles", cause, action));
            }
            records.models.extend(Self::from_answers(answers).models.into_iter().filter(|record| record.name == *name));
        }
        records
    }

    /// Loads a record file.
    ///
    /// # Errors
    /// [`Error::Input`] where the file cannot be read or understood.
    pub fn load(path: &Path) -> Result<Self, Error> {
        Ok(Self::from_csv(&files::read(path)?, path)?)
    }

    /// Reads a record file, gzipped or plain.
    ///
    /// # Errors
    /// A finding for each column that is wrong, with the first line that is.
    pub fn from_csv(bytes: &[u8], file: &Path) -> Result<Self, Findings> {
        let parsed = match files::unpacked(file, bytes.to_vec()) {
            Err(error) => Err(syntax("", format!("cannot be unpacked: {error}")).into()),
            Ok(text) => parse(&text),
        };
        parsed.map_err(|findings| findings.in_file(file))
    }
}

fn syntax(key: impl Into<String>, cause: String) -> Finding {
    Finding::error(Code::Syntax, key, cause, COLUMNS)
}

/// The two columns of a model, by their places.
struct Pair {
    name: String,
    answer: usize,
    certainty: usize,
}

fn parse(text: &[u8]) -> Result<Records, Findings> {
    let mut csv = csv::Reader::from_reader(text);
    let header = csv.headers().map_err(|error| syntax("header", error.to_string()))?.clone();
    let of_labels = match header.get(0) {
        Some("label") => true,
        Some("sample") => false,
        other => {
            let cause = format!("the first column is `{}`, neither `label` nor `sample`", other.unwrap_or_default());
            return Err(syntax("header", cause).into());
        }
    };
    let pairs = pairs(&header, of_labels)?;
    let rows: Vec<csv::StringRecord> =
        csv.records().collect::<Result<_, _>>().map_err(|error| syntax("", error.to_string()))?;
    if rows.is_empty() {
        return Err(
            Finding::error(Code::Empty, "", "there is no sample", "a line for each sample follows the header").into()
        );
    }
    let mut table = Table { header: &header, rows: &rows, findings: Findings::default() };
    let models = if of_labels {
        let labels = table.column(0, "class number", class);
        pairs.into_iter().map(|pair| of_classes(&mut table, pair, &labels)).collect()
    } else {
        pairs.into_iter().map(|pair| of_marks(&mut table, pair)).collect()
    };
    table.findings.or(Records { models })
}

fn of_classes(table: &mut Table<'_>, pair: Pair, labels: &[u32]) -> Record {
    let predicted = table.column(pair.answer, "class number", class);
    let certainty =
        table.column(pair.certainty, "number from 0 to 1", |cell| number(cell).filter(|c| (0.0..=1.0).contains(c)));
    let right = predicted.iter().zip(labels).map(|(class, label)| class == label).collect();
    Record { name: pair.name, right, certainty, predicted, ..Record::default() }
}

fn of_marks(table: &mut Table<'_>, pair: Pair) -> Record {
    let mark = |cell: &str| match cell {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    };
    let right = table.column(pair.answer, "0 or 1", mark);
    let certainty = table.column(pair.certainty, "logarithm of a probability", |cell| {
        number(cell).filter(|logarithm| *logarithm <= 0.0).map(f64::exp)
    });
    Record { name: pair.name, right, certainty, ..Record::default() }
}

fn class(cell: &str) -> Option<u32> {
    cell.parse().ok()
}

fn number(cell: &str) -> Option<f64> {
    cell.parse().ok()
}

/// Finds the columns of every model, and tells of every column that belongs to none.
fn pairs(header: &csv::StringRecord, of_labels: bool) -> Result<Vec<Pair>, Findings> {
    let (answer, certainty) = if of_labels { ("_pred", "_certainty") } else { ("_correct", "_logprob") };
    let mut findings = Findings::default();
    let mut pairs: Vec<Pair> = Vec::new();
    for (place, column) in header.iter().enumerate().skip(1) {
        let passed_over = !of_labels && (column.ends_with("_latency_ms") || column.ends_with("_cost_usd"));
        let other_end = if column.ends_with(answer) { certainty } else { answer };
        let Some(name) = column.strip_suffix(answer).or_else(|| column.strip_suffix(certainty)) else {
            if !passed_over {
                findings.push(syntax("header", format!("column `{column}` belongs to no model")));
            }
            continue;
        };
        if header.iter().take(place).any(|before| before == column) {
            let cause = format!("column `{column}` stands twice");
            findings.push(Finding::error(Code::DuplicateName, "header", cause, "give every model its own name"));
            continue;
        }
        match header.iter().position(|other| other.strip_suffix(other_end) == Some(name)) {
            None => {
                findings.push(syntax("header", format!("column `{column}` lacks its neighbour `{name}{other_end}`")))
            }
            Some(other) if other_end == certainty => {
                pairs.push(Pair { name: name.to_owned(), answer: place, certainty: other });
            }
            Some(_) => {}
        }
    }
    if pairs.is_empty() && !findings.has_errors() {
        findings.push(Finding::error(Code::Empty, "header", "there is no model", COLUMNS));
    }
    findings.or(pairs)
}

struct Table<'a> {
    header: &'a csv::StringRecord,
    rows: &'a [csv::StringRecord],
    findings: Findings,
}

impl Table<'_> {
    /// Returns a column of cells as `parse` understands them; what it does not understand is one finding for the column.
    fn column<T: Default>(&mut self, place: usize, what: &str, parse: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let (mut bad, mut first) = (0, None);
        let mut understood = |(index, row): (usize, &csv::StringRecord)| {
            parse(&row[place]).unwrap_or_else(|| {
                first.get_or_insert((index, row[place].to_owned()));
                bad += 1;
                T::default()
            })
        };
        let column = self.rows.iter().enumerate().map(&mut understood).collect();
        if let Some((index, cell)) = first {
            let line = self.rows[index].position().map_or(index as u64 + 2, csv::Position::line);
            let more = if bad > 1 { format!(", and {} more like it", bad - 1) } else { String::new() };
            let cause = format!("`{cell}` is no {what}{more}");
            self.findings.push(syntax(format!("line {line}, {}", &self.header[place]), cause));
        }
        column
    }
}

#[cfg(test)]
mod tests {
    use super::super::Records;
    use super::parse;

    #[test]
    fn both_formats_are_read() {
        let records =
            parse(b"label,a_pred,a_certainty,b_pred,b_certainty\n1,1,0.41396,2,1\n3,0,0,3,0.5\n").expect("a file");
        assert_eq!(records.models.iter().map(|record| record.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(records.models[0].right, [true, false]);
        assert_eq!(records.models[0].certainty, [0.41396, 0.0]);
        assert_eq!(records.models[1].predicted, [2, 3]);
        let text = b"sample,m_correct,m_logprob,m_latency_ms,m_cost_usd\n0,1,-0.5,3.5,0.1\n1,0,-inf,3.5,0.1\n";
        let records = parse(text).expect("a file");
        assert_eq!((records.models[0].right.as_slice(), records.samples()), ([true, false].as_slice(), 2));
        assert_eq!(records.models[0].certainty, [(-0.5f64).exp(), 0.0]);
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        struct Case {
            text: &'static str,
            keys: &'static [&'static str],
        }
        for case in [
            Case { text: "", keys: &["header"] },
            Case { text: "id,a_pred,a_certainty\n", keys: &["header"] },
            Case { text: "label\n1\n", keys: &["header"] },
            Case { text: "label,a_pred,a_certainty\n", keys: &[""] },
            Case { text: "label,a_pred,b_certainty,c\n1,1,1,1\n", keys: &["header", "header", "header"] },
            Case { text: "label,a_pred,a_certainty,a_pred,a_certainty\n1,1,1,1,1\n", keys: &["header", "header"] },
            Case { text: "label,a_pred,a_certainty\n1,1\n", keys: &[""] },
            Case {
                text: "label,a_pred,a_certainty\n1,1,0.5\n2,x,1.5\n-1,y,nan\n",
                keys: &["line 4, label", "line 3, a_pred", "line 3, a_certainty"],
            },
            Case {
                text: "sample,a_correct,a_logprob\n0,2,0.5\n1,1,-1\n",
                keys: &["line 2, a_correct", "line 2, a_logprob"],
            },
            Case { text: "sample,a_pred,a_certainty\n0,1,1\n", keys: &["header", "header"] },
        ] {
            let findings = parse(case.text.as_bytes()).expect_err(case.text);
            let keys: Vec<&str> = findings.0.iter().map(|finding| finding.key.as_str()).collect();
            assert_eq!(keys, case.keys, "{}", case.text);
        }
    }

    #[test]
    fn a_damaged_archive_is_a_finding() {
        let findings = Records::from_csv(&[0x1f, 0x8b, 8, 0], "cut.csv.gz".as_ref()).expect_err("cut off");
        assert_eq!(findings.0[0].file.to_str(), Some("cut.csv.gz"));
    }
}
