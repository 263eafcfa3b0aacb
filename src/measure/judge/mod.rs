//! What outputs are worth: for each sample an answer with a score from 0 to 1 and a certainty from 0 to 1.
//!
//! Engines know tensors only. Which outputs are read, and what they mean, is said here and nowhere else.

mod program;
mod scores;

use crate::profile::{CertaintyMeasure, JudgeKind, JudgeSettings, ModelList, SampleAnswer, VariantFile};
use crate::tensor::{DType, Data, Port, Samples, Signature, Tensor};

use super::engines::Run;
pub use program::Gathered;
use scores::{class_of, distance, rank_of};

/// Judges the outputs of one variant.
#[derive(Debug, Clone)]
pub struct Judge<'a> {
    settings: JudgeSettings,
    measure: CertaintyMeasure,
    /// The outputs that are read; the first is judged.
    reads: Vec<String>,
    labels: Option<&'a Tensor>,
    /// Labels that are text, in order: the place of each is its class number.
    words: Vec<String>,
    /// Whether outputs mean something here at all.
    is_judged: bool,
    /// What somebody should know, like which output was taken.
    pub notes: Vec<String>,
}

impl<'a> Judge<'a> {
    /// Returns the judge of a variant that gives these outputs.
    ///
    /// # Errors
    /// Why none of its outputs can be judged.
    pub fn new(
        list: &ModelList,
        entry: &VariantFile,
        signature: &Signature,
        samples: &'a Samples,
        measure: CertaintyMeasure,
    ) -> Result<Self, String> {
        let settings = list.judge_settings();
        let is_judged = list.is_judged() && entry.accuracy.is_none();
        let labels = samples.labels.as_ref();
        let mut judge =
            Self { settings, measure, reads: Vec::new(), labels, words: words(labels), is_judged, notes: Vec::new() };
        judge.reads = judge.chosen(entry.output.as_deref(), signature)?;
        Ok(judge)
    }

    /// Returns the outputs that are read; an engine need not compute others.
    #[must_use]
    pub fn reads(&self) -> &[String] {
        &self.reads
    }

    /// Tells whether a program judges, which needs all answers at once.
    #[must_use]
    pub fn program(&self) -> Option<&str> {
        self.settings.command.as_deref().filter(|_| self.is_judged && self.settings.kind == JudgeKind::Command)
    }

    /// Tells whether one call's answers can be judged by themselves.
    #[must_use]
    pub fn judges_calls(&self) -> bool {
        self.is_judged
            && self.program().is_none()
            && (self.labels.is_some() || self.settings.kind == JudgeKind::Reference)
    }

    fn chosen(&mut self, named: Option<&str>, signature: &Signature) -> Result<Vec<String>, String> {
        let tensors: Vec<&Port> = signature.outputs.iter().filter(|port| port.element.dtype().is_some()).collect();
        let all = || signature.outputs.iter().map(Port::to_string).collect::<Vec<_>>().join(", ");
        let find = |name: &str| match signature.outputs.iter().find(|port| port.name == name) {
            Some(port) if port.element.dtype().is_none() => {
                Err(format!("the output {port} is no tensor; skl2onnx gives tensors with options={{'zipmap': False}}"))
            }
            Some(_) => Ok(name.to_owned()),
            // An engine that does not tell its outputs finds them by itself.
            None if signature.outputs.iter().all(|port| port.name.is_empty()) => Ok(name.to_owned()),
            None => Err(format!("no output is called {name}; there are {}", all())),
        };
        let first = tensors.first().ok_or_else(|| {
            format!("it gives no tensor, but {}; skl2onnx gives tensors with options={{'zipmap': False}}", all())
        })?;
        if !self.is_judged {
            return named.map_or_else(
                || Ok(tensors.iter().map(|port| port.name.clone()).collect()),
                |name| Ok(vec![find(name)?]),
            );
        }
        let is_row = |port: &&&Port| {
            let is_float = port.element.dtype().is_some_and(DType::is_float);
            is_float && port.shape.as_ref().is_none_or(|shape| shape.len() == 2)
        };
        let judged = match (named, self.settings.kind) {
            (Some(name), _) => find(name)?,
            (None, JudgeKind::Command) => return Ok(tensors.iter().map(|port| port.name.clone()).collect()),
            (None, JudgeKind::Label) => {
                let is_label = |port: &&&Port| port.element.dtype().is_some_and(|dtype| !dtype.is_float());
                tensors
                    .iter()
                    .find(is_label)
                    .ok_or_else(|| format!("no output holds labels; there are {}", all()))?
                    .name
                    .clone()
            }
            (None, JudgeKind::Exact | JudgeKind::Number) => first.name.clone(),
            (None, _) if first.element.dtype().is_some_and(DType::is_float) => first.name.clone(),
            (None, _) => {
                let rows = tensors.iter().find(is_row);
                let scores = rows.ok_or_else(|| {
                    format!(
                        "the first output is {first}, which holds no scores; `output` names another: there are {}",
                        all()
                    )
                })?;
                self.notes.push(format!("the output {} is judged; `output` names another", scores.name));
                scores.name.clone()
            }
        };
        let mut reads = vec![judged];
        if let Some(scores) = &self.settings.scores {
            reads.push(find(scores)?);
        }
        Ok(reads)
    }

    /// Returns the answers of one call to the samples of these numbers.
    ///
    /// # Errors
    /// Why its outputs are no answers, with the number of the sample.
    pub fn answers(&self, run: &Run, numbers: &[usize]) -> Result<Vec<SampleAnswer>, String> {
        let output = run.output(&self.reads[0]).ok_or_else(|| format!("the output {} is missing", self.reads[0]))?;
        let rows = Rows::new(output, numbers.len())?;
        let each = numbers.iter().enumerate();
        match self.settings.kind {
            JudgeKind::TopOne | JudgeKind::Reference => {
                each.map(|(row, &sample)| self.top_one(rows.scores(row, sample)?)).collect()
            }
            JudgeKind::TopK => each.map(|(row, &sample)| self.top_k(&rows.scores(row, sample)?, sample)).collect(),
            JudgeKind::Label => {
                let scores = self.reads.get(1).and_then(|name| run.output(name));
                let scores = scores.map(|scores| Rows::new(scores, numbers.len())).transpose()?;
                each.map(|(row, &sample)| self.label(&rows, scores.as_ref(), row, sample)).collect()
            }
            JudgeKind::Binary => each.map(|(row, &sample)| self.binary(&rows.numbers(row, sample)?, sample)).collect(),
            JudgeKind::MultiLabel => {
                each.map(|(row, &sample)| self.multi_label(&rows.numbers(row, sample)?, sample)).collect()
            }
            JudgeKind::Number => each.map(|(row, &sample)| self.number(&rows.numbers(row, sample)?, sample)).collect(),
            JudgeKind::Exact => each.map(|(row, &sample)| self.exact(&rows, row, sample)).collect(),
            JudgeKind::Command | JudgeKind::None => Err("one call's answers cannot be judged by themselves".to_owned()),
        }
    }

    /// Returns how many classes the answers of a call tell apart, where they are classes.
    #[must_use]
    pub fn classes(&self, run: &Run) -> Option<u64> {
        let is_row = matches!(self.settings.kind, JudgeKind::TopOne | JudgeKind::Reference);
        let output = run.output(self.reads.first()?).filter(|_| is_row)?;
        Some(output.shape().iter().skip(1).product::<usize>() as u64)
    }

    fn top_one(&self, scores: Vec<f32>) -> Result<SampleAnswer, String> {
        Ok(class_of(&one_row(scores)?, self.measure))
    }

    fn top_k(&self, scores: &[f32], sample: usize) -> Result<SampleAnswer, String> {
        let label = self.label_rows()?.number(sample).unwrap_or(-1.0);
        let class = (label >= 0.0 && label < scores.len() as f64).then_some(label as usize);
        let class = class.ok_or_else(|| {
            format!(
                "sample {sample} has label {label}, and the model has classes 0 to {}",
                scores.len().saturating_sub(1)
            )
        })?;
        let is_near = rank_of(scores, class) < self.settings.k.unwrap_or(1) as usize;
        Ok(SampleAnswer::scored(f32::from(u8::from(is_near)), class_of(scores, self.measure).certainty))
    }

    fn label(
        &self,
        rows: &Rows<'_>,
        scores: Option<&Rows<'_>>,
        row: usize,
        sample: usize,
    ) -> Result<SampleAnswer, String> {
        if rows.size != 1 {
            return Err(format!("{} labels a sample are no label", rows.size));
        }
        let certainty = match scores {
            Some(scores) => class_of(&one_row(scores.scores(row, sample)?)?, self.measure).certainty,
            None => 0.0,
        };
        let predicted = match rows.tensor.data() {
            // What is no label of any sample is a class of its own.
            Data::String(texts) => self.words.binary_search(&texts[row]).unwrap_or(self.words.len()) as u32,
            _ => {
                let number = rows.numbers(row, sample)?[0];
                let is_class = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
                if !is_class {
                    return Err(format!("sample {sample} is answered by {number}, which is no class number"));
                }
                number as u32
            }
        };
        Ok(SampleAnswer::new(predicted, certainty))
    }

    fn binary(&self, numbers: &[f64], sample: usize) -> Result<SampleAnswer, String> {
        let [score] = numbers else {
            return Err(format!("{} scores a sample; `binary` judges one", numbers.len()));
        };
        let threshold = self.settings.threshold.unwrap_or(0.5);
        let certainty = distance(*score, threshold).ok_or_else(|| self.no_probability(sample))?;
        Ok(SampleAnswer::new(u32::from(*score >= threshold), certainty as f32))
    }

    fn multi_label(&self, numbers: &[f64], sample: usize) -> Result<SampleAnswer, String> {
        let threshold = self.settings.threshold.unwrap_or(0.5);
        let labels = self.label_of(sample, numbers.len())?;
        let right =
            numbers.iter().zip(&labels).filter(|(score, label)| (**score >= threshold) == (**label >= 0.5)).count();
        let share = right as f64 / numbers.len().max(1) as f64;
        let score = if self.settings.exact { share.floor() } else { share };
        let distances: Option<Vec<f64>> = numbers.iter().map(|&score| distance(score, threshold)).collect();
        let least = distances.ok_or_else(|| self.no_probability(sample))?.into_iter().fold(1.0, f64::min);
        Ok(SampleAnswer::scored(score as f32, least as f32))
    }

    fn no_probability(&self, sample: usize) -> String {
        let threshold = self.settings.threshold.unwrap_or(0.5);
        format!(
            "the score of sample {sample} is not from 0 to 1, as the threshold {threshold} is: are they logits? write threshold = 0.0"
        )
    }

    fn number(&self, numbers: &[f64], sample: usize) -> Result<SampleAnswer, String> {
        let labels = self.label_of(sample, numbers.len())?;
        let within = |(answer, label): (&f64, &f64)| {
            let most = self.settings.absolute.unwrap_or(0.0) + self.settings.relative.unwrap_or(0.0) * label.abs();
            (answer - label).abs() <= most
        };
        let is_right = numbers.iter().zip(&labels).all(within);
        Ok(SampleAnswer::scored(f32::from(u8::from(is_right)), 0.0))
    }

    fn exact(&self, rows: &Rows<'_>, row: usize, sample: usize) -> Result<SampleAnswer, String> {
        let labels = self.label_rows()?;
        let is_right = match (rows.tensor.data(), labels.data()) {
            (Data::String(answers), Data::String(wanted)) => {
                let size = wanted.len() / labels.samples().max(1);
                answers[row * rows.size..(row + 1) * rows.size] == wanted[sample * size..(sample + 1) * size]
            }
            _ => rows.numbers(row, sample)? == self.label_of(sample, rows.size)?,
        };
        Ok(SampleAnswer::scored(f32::from(u8::from(is_right)), 0.0))
    }

    fn label_rows(&self) -> Result<&'a Tensor, String> {
        self.labels.ok_or_else(|| "there are no labels".to_owned())
    }

    /// Returns the numbers of a sample's label, which must be as many as the answer's.
    fn label_of(&self, sample: usize, wanted: usize) -> Result<Vec<f64>, String> {
        let labels = self.label_rows()?;
        let size: usize = labels.shape()[1..].iter().product();
        if size != wanted {
            return Err(format!("the answers have {wanted} numbers a sample, the labels {size}"));
        }
        let all: Option<Vec<f64>> = (sample * size..(sample + 1) * size).map(|place| labels.number(place)).collect();
        all.ok_or_else(|| "the answers are numbers, the labels text".to_owned())
    }
}

/// The rows of an output, one for each sample.
struct Rows<'a> {
    tensor: &'a Tensor,
    /// Elements of one row.
    size: usize,
}

impl<'a> Rows<'a> {
    fn new(tensor: &'a Tensor, samples: usize) -> Result<Self, String> {
        let given = tensor.samples();
        if tensor.shape().is_empty() && samples > 1 || given < samples {
            return Err(format!(
                "an output of shape {:?} for {samples} samples; its first dimension must count them",
                tensor.shape()
            ));
        }
        Ok(Self { tensor, size: tensor.shape().iter().skip(1).product() })
    }

    /// Returns the scores of classes of a sample: one row, not a map.
    fn scores(&self, row: usize, sample: usize) -> Result<Vec<f32>, String> {
        let beyond = self.tensor.shape().iter().skip(2);
        if beyond.filter(|size| **size != 1).count() > 0 {
            let shape = self.tensor.shape();
            return Err(format!(
                "an output of {} dimensions {shape:?} is no row of class scores; count its accuracy elsewhere (`accuracy`), judge \
                 it by a program ([judge] kind = \"command\") or not at all (\"none\")",
                shape.len()
            ));
        }
        let one = self.tensor.rows([row]).to_f32().ok_or("an output of text holds no scores")?;
        if one.iter().any(|score| !score.is_finite()) {
            let count = one.iter().filter(|score| !score.is_finite()).count();
            return Err(format!("the scores of sample {sample} are not finite: {count} of {}", one.len()));
        }
        Ok(one)
    }

    fn numbers(&self, row: usize, sample: usize) -> Result<Vec<f64>, String> {
        let places = row * self.size..(row + 1) * self.size;
        let numbers: Option<Vec<f64>> = places.map(|place| self.tensor.number(place)).collect();
        let numbers = numbers.ok_or("an output of text holds no numbers")?;
        match numbers.iter().filter(|number| number.is_nan()).count() {
            0 => Ok(numbers),
            count => Err(format!("{count} of the {} numbers of sample {sample} are not a number", numbers.len())),
        }
    }
}

/// Refuses what is no row of scores of two classes or more.
fn one_row(scores: Vec<f32>) -> Result<Vec<f32>, String> {
    match scores.len() {
        0 => Err("no score a sample".to_owned()),
        1 => Err("one score a sample is no row of classes: write [judge] kind = \"binary\" where it says how likely label 1 is, or \
                  kind = \"number\" where it is a measured number"
            .to_owned()),
        _ => Ok(scores),
    }
}

/// Returns the class number of each sample's label, as the judge's kind reads it; 0 where answers are no classes.
///
/// # Errors
/// Why the labels are not what that kind compares with.
pub fn class_labels(settings: &JudgeSettings, samples: &Samples) -> Result<Vec<u32>, String> {
    let Some(labels) = &samples.labels else { return Ok(vec![0; samples.count()]) };
    match settings.kind {
        JudgeKind::TopOne | JudgeKind::Reference | JudgeKind::Binary | JudgeKind::Label => {
            if let (JudgeKind::Label, Data::String(texts)) = (settings.kind, labels.data()) {
                let words = words(Some(labels));
                return Ok(texts.iter().map(|text| words.binary_search(text).unwrap_or(0) as u32).collect());
            }
            let classes = samples.classes().ok_or_else(|| {
                format!("labels are {} of shape {:?}, not one class number a sample", labels.dtype(), labels.shape())
            })?;
            match classes.iter().position(|&class| settings.kind == JudgeKind::Binary && class > 1) {
                Some(sample) => Err(format!("sample {sample} has label {}; `binary` knows 0 and 1", classes[sample])),
                None => Ok(classes),
            }
        }
        _ => Ok(vec![0; samples.count()]),
    }
}

/// Returns the different texts among labels, in order.
fn words(labels: Option<&Tensor>) -> Vec<String> {
    let Some(Data::String(texts)) = labels.map(Tensor::data) else { return Vec::new() };
    let mut words = texts.clone();
    words.sort_unstable();
    words.dedup();
    words
}

#[cfg(test)]
mod tests;
