//! `planner profile import`: another tool's results as a profile.

use std::path::PathBuf;

use crate::Error;
use crate::base::codec::to_bytes;
use crate::base::files::read;
use crate::base::units::{Accuracy, Megabytes, Millis};
use crate::profile::import::{Declared, Foreign, Tool, import};
use clap::ValueEnum;

use super::profile::{relative_to, tool};
use super::values::{megabytes, millis, quantity};
use super::{Answer, Output, say_findings};

/// Take over what another tool measured
///
/// Only rows with one request in flight are taken over: with more, latencies hold waiting (docs/profiling.md).
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  planner profile import b1.csv b8.csv --from perf-analyzer --batch 1,8 --variant resnet50 \\
    --cores 4 --accuracy 0.76 --task imagenet -o profiles/resnet.json")]
pub struct Args {
    /// Files that the tool wrote
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The tool
    #[arg(long, value_enum)]
    from: From,
    #[command(flatten)]
    output: Output,
    /// What the variants do, in a word
    #[arg(long)]
    task: String,
    /// Name of the variant: one for all files, or one a file; for Model Analyzer the configurations to take over
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    variant: Vec<String>,
    /// Samples in one call: one for all files, or one a file
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: Vec<u32>,
    /// Cores of a replica; on an accelerator 1 where left out
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    cores: Option<u32>,
    /// `cpu`, or the name of an accelerator [default: what the file says, else cpu]
    #[arg(long)]
    device: Option<String>,
    /// How often the variant is right, 0 to 1; with NAME= for one variant of several
    #[arg(long, value_name = "[NAME=]VALUE", value_delimiter = ',', value_parser = accuracy)]
    accuracy: Vec<(Option<String>, Accuracy)>,
    /// Time to bring a variant up [default: what the file says, else 0]
    #[arg(long, value_name = "MS", value_parser = millis)]
    load_time_ms: Option<Millis>,
    /// Memory that a loaded variant takes [default: 0]
    #[arg(long, value_name = "MB", value_parser = megabytes)]
    memory_mb: Option<Megabytes>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum From {
    /// NVIDIA's perf_analyzer: the CSV of -f
    PerfAnalyzer,
    /// NVIDIA's Model Analyzer: metrics-model-inference.csv
    ModelAnalyzer,
    /// OpenVINO's benchmark_app: benchmark_report.csv or .json
    BenchmarkApp,
    /// NVIDIA's AIPerf: profile_export_aiperf.json
    Aiperf,
    /// GuideLLM: benchmarks.json
    Guidellm,
    /// NVIDIA's trtexec: what it prints
    Trtexec,
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    args.output.check(&args.files)?;
    counts_fit(args)?;
    let files = args.files.iter().map(|path| Ok(Foreign { path: path.clone(), bytes: read(path)? }));
    let files = files.collect::<Result<Vec<_>, Error>>()?;
    let (mut profile, findings) = import(&files, tool_of(args.from), &declared(args))?;
    if !args.output.is_stdout() {
        profile.provenance.models = relative_to(&args.files[0], &args.output.output);
    }
    say_findings(&findings);
    args.output.write(&to_bytes(&profile))?;
    Ok(Answer::Yes)
}

/// One word for all files, or one for each; a Model Analyzer file holds many configurations, so there it is a choice.
fn counts_fit(args: &Args) -> Result<(), Error> {
    let choice = matches!(args.from, From::ModelAnalyzer);
    let given = [("--variant", if choice { 0 } else { args.variant.len() }), ("--batch", args.batch.len())];
    match given.into_iter().find(|&(_, count)| count > 1 && count != args.files.len()) {
        None => Ok(()),
        Some((flag, count)) => Err(Error::Unsupported {
            what: format!("{flag} names {count} for {} files", args.files.len()),
            hint: "give one for all files, or one a file in their order".to_owned(),
        }),
    }
}

fn declared(args: &Args) -> Declared {
    Declared {
        task: args.task.clone(),
        variants: args.variant.clone(),
        batches: args.batch.clone(),
        cores: args.cores,
        device: args.device.clone(),
        accuracies: args.accuracy.clone(),
        load_time_ms: args.load_time_ms,
        memory_mb: args.memory_mb,
        tool: tool(),
    }
}

const fn tool_of(from: From) -> Tool {
    match from {
        From::PerfAnalyzer => Tool::PerfAnalyzer,
        From::ModelAnalyzer => Tool::ModelAnalyzer,
        From::BenchmarkApp => Tool::BenchmarkApp,
        From::Aiperf => Tool::AiPerf,
        From::Guidellm => Tool::GuideLlm,
        From::Trtexec => Tool::Trtexec,
    }
}

fn accuracy(text: &str) -> Result<(Option<String>, Accuracy), String> {
    let (name, value) = text.rsplit_once('=').map_or((None, text), |(name, value)| (Some(name.to_owned()), value));
    Ok((name, quantity(value, Accuracy::new)?))
}
