//! A program that judges: it is given a folder and prints a line for each sample.
//!
//! ```text
//! FOLDER/outputs.npz    the outputs of the model, by name; the first dimension counts samples
//! FOLDER/labels.npy     the labels, where there are any
//! FOLDER/samples.npy    the number of each sample in the data
//!        │
//!  command FOLDER ──stdout──▶ sample,score[,certainty]
//!                             0,1,0.93
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::profile::SampleAnswer;
use crate::tensor::{Data, Named, Tensor, joined, to_npy, to_npz};

/// Most bytes of outputs that wait for the program.
const MOST_BYTES: u64 = 1 << 30;

/// The outputs of all calls, until the program judges them.
#[derive(Debug, Default)]
pub struct Gathered {
    numbers: Vec<usize>,
    outputs: BTreeMap<String, Vec<Tensor>>,
    bytes: u64,
}

impl Gathered {
    /// Keeps the outputs of one call for these samples.
    ///
    /// # Errors
    /// Where they are too many.
    pub fn add(&mut self, numbers: &[usize], outputs: Vec<Named>) -> Result<(), String> {
        for output in outputs {
            // A call may be filled up to a fixed batch.
            let tensor = match output.tensor.samples() > numbers.len() && !output.tensor.shape().is_empty() {
                true => output.tensor.rows(0..numbers.len()),
                false => output.tensor,
            };
            self.bytes += tensor.bytes();
            self.outputs.entry(output.name).or_default().push(tensor);
        }
        self.numbers.extend(numbers);
        if self.bytes > MOST_BYTES {
            return Err(
                "the outputs of all samples take more than 1 GiB; give fewer samples, or name one `output`".to_owned()
            );
        }
        Ok(())
    }

    /// Lets the program judge, which is started in the folder of the model list, and returns its answers in the order of the samples.
    ///
    /// # Errors
    /// Why there are none.
    pub fn judged_by(self, command: &str, here: &Path, labels: Option<&Tensor>) -> Result<Vec<SampleAnswer>, String> {
        let folder = tempfile::tempdir().map_err(|error| format!("no folder for the judge: {error}"))?;
        let write = |name: &str, bytes: Vec<u8>| {
            fs::write(folder.path().join(name), bytes).map_err(|error| format!("{name} cannot be written: {error}"))
        };
        let outputs: BTreeMap<&str, Tensor> = self
            .outputs
            .iter()
            .map(|(name, parts)| {
                Ok((name.as_str(), joined(parts).ok_or(format!("the output {name} changes its shape between calls"))?))
            })
            .collect::<Result<_, String>>()?;
        write("outputs.npz", to_npz(outputs.iter().map(|(name, tensor)| (*name, tensor))))?;
        let count = self.numbers.len();
        let numbers = Data::I64(self.numbers.iter().map(|&number| number as i64).collect());
        write("samples.npy", to_npy(&Tensor::new(vec![count], numbers).expect("one number each")))?;
        if let Some(labels) = labels {
            write("labels.npy", to_npy(&labels.rows(self.numbers.iter().copied())))?;
        }
        let line = format!("{command} \"$0\"");
        let here = if here.as_os_str().is_empty() { Path::new(".") } else { here };
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(&line).arg(folder.path()).current_dir(here).stdin(Stdio::null()).stderr(Stdio::inherit());
        let ran = shell.output();
        let ran = ran.map_err(|error| format!("`{command}` cannot be started: {error}"))?;
        if !ran.status.success() {
            return Err(format!("`{command}` ended with {}; its own words, if any, stand above", ran.status));
        }
        let text = String::from_utf8(ran.stdout).map_err(|_| format!("`{command}` printed what is no text"))?;
        read(&text, &self.numbers).map_err(|cause| format!("`{command}` {cause}"))
    }
}

/// Reads `sample,score[,certainty]`, a line for each sample, with or without these words in the first line.
fn read(text: &str, numbers: &[usize]) -> Result<Vec<SampleAnswer>, String> {
    let mut answers: BTreeMap<usize, SampleAnswer> = BTreeMap::new();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    for line in lines.filter(|line| !line.starts_with("sample")) {
        let shown: String = line.chars().take(80).collect();
        let share = |text: &str| text.trim().parse::<f32>().ok().filter(|share| (0.0..=1.0).contains(share));
        let cells: Vec<&str> = line.split(',').collect();
        let (sample, score, certainty) = match cells[..] {
            [sample, score] => (sample.trim().parse().ok(), share(score), Some(0.0)),
            [sample, score, certainty] => (sample.trim().parse().ok(), share(score), share(certainty)),
            _ => return Err(format!("printed `{shown}`; a line is sample,score or sample,score,certainty")),
        };
        let (Some(sample), Some(score), Some(certainty)) = (sample, score, certainty) else {
            return Err(format!("printed `{shown}`; scores and certainties are from 0 to 1"));
        };
        if answers.insert(sample, SampleAnswer::scored(score, certainty)).is_some() {
            return Err(format!("judged sample {sample} twice"));
        }
    }
    let answer = |number: &usize| answers.get(number).copied().ok_or_else(|| format!("did not judge sample {number}"));
    let judged = numbers.iter().map(answer).collect::<Result<Vec<_>, String>>()?;
    match answers.len() > judged.len() {
        true => Err(format!("judged {} samples, and there are {}", answers.len(), judged.len())),
        false => Ok(judged),
    }
}
