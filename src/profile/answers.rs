//! What every variant answered to every labelled sample, and how certain it was.
//!
//! The file is a gzipped CSV: `label`, then for each variant `<variant>_pred` and `<variant>_certainty`. Where answers are no
//! classes it is `sample`, then `<variant>_score` and `<variant>_certainty`. Samples stand in the same order for every variant,
//! so that correlation of hardness between variants is kept.

use std::io::Write;
use std::path::Path;

use flate2::{Compression, GzBuilder};
use serde::{Deserialize, Serialize};

use crate::base::files;
use crate::base::finding::{Code, Finding, Findings};

/// One variant's answer to one sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SampleAnswer {
    /// Class number that scored best; 0 where answers are no classes.
    pub predicted: u32,
    /// Certainty, 0 to 1; 0 where nobody tells.
    pub certainty: f32,
    /// How right it is, 0 to 1, where that is not whether the class is the label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
}

impl SampleAnswer {
    /// Returns a class as an answer, which is right where it is the label.
    #[must_use]
    pub const fn new(predicted: u32, certainty: f32) -> Self {
        Self { predicted, certainty, score: None }
    }

    /// Returns an answer that is so right, 0 to 1.
    #[must_use]
    pub const fn scored(score: f32, certainty: f32) -> Self {
        Self { predicted: 0, certainty, score: Some(score) }
    }

    /// Returns how right it is for a sample of this label, 0 to 1.
    #[must_use]
    pub fn score(&self, label: u32) -> f64 {
        self.score.map_or(f64::from(u8::from(self.predicted == label)), f64::from)
    }

    /// Tells whether it is wholly right for a sample of this label.
    #[must_use]
    pub fn is_right(&self, label: u32) -> bool {
        self.score.map_or(self.predicted == label, |score| score >= 1.0)
    }

    /// Returns a certainty as its shortest decimals say it: 0.8, not 0.800000011920929.
    ///
    /// # Panics
    /// Never: the decimals of a number are a number.
    #[must_use]
    pub fn decimal(certainty: f32) -> f64 {
        certainty.to_string().parse().expect("the decimals of a number are a number")
    }

    /// Returns the least and the greatest number that somebody may take for a certainty: half a unit in the last place of 32
    /// bits to either side, within which lie its own decimals, those of a file that it was read from, and its 64-bit form.
    #[must_use]
    pub fn read_as(certainty: f32) -> (f64, f64) {
        let halfway = |other: f32| f64::midpoint(certainty.into(), other.into());
        (halfway(certainty.next_down()), halfway(certainty.next_up()))
    }
}

/// Labels and answers of a family of variants on one set of samples.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answers {
    /// True class of each sample; 0 where answers are no classes.
    pub labels: Vec<u32>,
    /// For each variant its name and one answer per sample.
    pub variants: Vec<(String, Vec<SampleAnswer>)>,
}

impl Answers {
    /// Returns the number of samples.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.labels.len()
    }

    /// Returns the answers of a variant.
    #[must_use]
    pub fn of(&self, variant: &str) -> Option<&[SampleAnswer]> {
        self.variants.iter().find(|(name, _)| name == variant).map(|(_, answers)| answers.as_slice())
    }

    /// Returns how many samples a variant answers wholly rightly.
    #[must_use]
    pub fn correct(&self, variant: &str) -> Option<u64> {
        let answers = self.of(variant)?;
        Some(answers.iter().zip(&self.labels).filter(|(answer, label)| answer.is_right(**label)).count() as u64)
    }

    /// Tells whether answers are scores and not classes.
    fn is_scored(&self) -> bool {
        self.variants.iter().flat_map(|(_, answers)| answers).any(|answer| answer.score.is_some())
    }

    /// Returns the gzipped CSV; the same answers give the same bytes.
    ///
    /// # Panics
    /// Never: writing to memory does not fail.
    #[must_use]
    pub fn to_csv_gz(&self) -> Vec<u8> {
        let gz = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
        let mut csv = csv::Writer::from_writer(gz);
        let is_scored = self.is_scored();
        let (first, answer) = if is_scored { ("sample", "score") } else { ("label", "pred") };
        let mut header = vec![first.to_owned()];
        for (name, _) in &self.variants {
            header.extend([format!("{name}_{answer}"), format!("{name}_certainty")]);
        }
        csv.write_record(&header).expect("memory takes all bytes");
        for (sample, label) in self.labels.iter().enumerate() {
            let mut row = vec![if is_scored { sample.to_string() } else { label.to_string() }];
            for (_, answers) in &self.variants {
                let answer = answers[sample];
                let said = if is_scored { answer.score(*label).to_string() } else { answer.predicted.to_string() };
                row.extend([said, format!("{:.5}", answer.certainty)]);
            }
            csv.write_record(&row).expect("memory takes all bytes");
        }
        let mut gz = csv.into_inner().map_err(|error| error.to_string()).expect("memory takes all bytes");
        gz.flush().expect("memory takes all bytes");
        gz.finish().expect("memory takes all bytes")
    }

    /// Reads a gzipped CSV of answers.
    ///
    /// # Errors
    /// Findings with the line and column that cannot be understood.
    pub fn from_csv_gz(bytes: &[u8], file: &Path) -> Result<Self, Findings> {
        let text = files::unpack(bytes).map_err(|error| {
            let action = "answers are a gzipped CSV; measure them again with `planner profile`";
            let cause = format!("cannot be unpacked: {error}");
            Findings::from(Finding::error(Code::Syntax, "", cause, action)).in_file(file)
        })?;
        parse(&text).map_err(|finding| Findings::from(finding).in_file(file))
    }
}

fn parse(text: &[u8]) -> Result<Answers, Finding> {
    let syntax = |key: String, cause: String| {
        let action = "columns are `label`, then `<variant>_pred`, `<variant>_certainty`, or `sample`, then `<variant>_score`, \
                      `<variant>_certainty`";
        Finding::error(Code::Syntax, key, cause, action)
    };
    let mut csv = csv::Reader::from_reader(text);
    let header = csv.headers().map_err(|error| syntax("header".into(), error.to_string()))?.clone();
    let mut columns = header.iter();
    let ending = match columns.next() {
        Some("label") => "_pred",
        Some("sample") => "_score",
        _ => return Err(syntax("header".into(), "the first column is neither `label` nor `sample`".into())),
    };
    let is_scored = ending == "_score";
    let mut answers = Answers::default();
    while let Some(prediction) = columns.next() {
        let name = prediction
            .strip_suffix(ending)
            .filter(|name| columns.next() == Some(format!("{name}_certainty").as_str()))
            .ok_or_else(|| syntax("header".into(), format!("column `{prediction}` and its neighbour are no pair")))?;
        answers.variants.push((name.to_owned(), Vec::new()));
    }
    for (index, record) in csv.records().enumerate() {
        let line = index + 2;
        let record = record.map_err(|error| syntax(format!("line {line}"), error.to_string()))?;
        let class = |column: usize| {
            record[column].parse::<u32>().map_err(|_| {
                syntax(format!("line {line}, {}", &header[column]), format!("`{}` is no class number", &record[column]))
            })
        };
        let share = |column: usize| {
            record[column].parse::<f32>().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| {
                syntax(format!("line {line}, {}", &header[column]), format!("`{}` is not from 0 to 1", &record[column]))
            })
        };
        answers.labels.push(if is_scored { 0 } else { class(0)? });
        for (variant, (_, of_variant)) in answers.variants.iter_mut().enumerate() {
            let (pred, sure) = (1 + 2 * variant, 2 + 2 * variant);
            let certainty = share(sure)?;
            of_variant.push(if is_scored {
                SampleAnswer::scored(share(pred)?, certainty)
            } else {
                SampleAnswer::new(class(pred)?, certainty)
            });
        }
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::{Answers, SampleAnswer};
    use std::path::Path;

    fn two_variants() -> Answers {
        let answer = SampleAnswer::new;
        Answers {
            labels: vec![3, 1, 4],
            variants: vec![
                ("small".into(), vec![answer(3, 0.5), answer(2, 0.25), answer(4, 1.0)]),
                ("large_2".into(), vec![answer(3, 0.75), answer(1, 0.125), answer(4, 0.0)]),
            ],
        }
    }

    #[test]
    fn survives_the_round_trip_byte_for_byte() {
        let bytes = two_variants().to_csv_gz();
        let read = Answers::from_csv_gz(&bytes, Path::new("a.csv.gz")).expect("own bytes are readable");
        assert_eq!(read, two_variants());
        assert_eq!(read.to_csv_gz(), bytes);
    }

    #[test]
    fn scores_survive_the_round_trip_too() {
        let scored =
            [(0.25, 0.5), (1.0, 0.0)].map(|(score, certainty)| SampleAnswer::scored(score, certainty)).to_vec();
        let answers = Answers { labels: vec![0, 0], variants: vec![("a".into(), scored)] };
        let read = Answers::from_csv_gz(&answers.to_csv_gz(), Path::new("a.csv.gz")).expect("own bytes are readable");
        assert_eq!((read.correct("a"), &read), (Some(1), &answers));
    }

    #[test]
    fn counts_right_answers() {
        assert_eq!(two_variants().correct("small"), Some(2));
        assert_eq!(two_variants().correct("large_2"), Some(3));
        assert_eq!(two_variants().correct("absent"), None);
    }

    #[test]
    fn names_the_line_and_column_that_is_wrong() {
        let text = "label,a_pred,a_certainty\n1,1,0.5\n2,2,1.5\n";
        let finding = super::parse(text.as_bytes()).expect_err("1.5 is no certainty");
        assert_eq!(finding.key, "line 3, a_certainty");
    }
}
