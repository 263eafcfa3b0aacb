//! `planner init`: the files to begin with, for the models in a folder.

mod survey;
mod text;

use std::path::PathBuf;

use planner::Error;
use planner::format::{Document, schema};
use planner::problem::Problem;
use planner::profile::ModelList;
use planner::profile::host::allowed_cores;

use super::schema::file;
use super::{Answer, Output, print, write_all};
use survey::Survey;

/// Write a commented model list and problem for the ONNX models in a folder
///
/// models.toml is for `planner profile`, problem.toml for `planner solve`. Schemas go to .planner beside them, so that an
/// editor that knows `#:schema` lines (Taplo, Even Better TOML) completes and checks keys offline.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  planner init models/digits -o .
  planner profile models.toml -o profile.json
  planner solve problem.toml -o plan.json")]
pub struct Args {
    /// The folder with the ONNX files, and the samples to judge them by where there are any
    folder: PathBuf,
    /// Write the files into this folder [default: the folder with the models]
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Replace files that exist
    #[arg(long)]
    overwrite: bool,
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    let output = Output { output: args.output.clone().unwrap_or(args.folder.clone()), overwrite: args.overwrite };
    output.folder("the files")?;
    let survey = Survey::of(&args.folder, &output.output)?;
    let files = [
        schema_file::<ModelList>(),
        schema_file::<Problem>(),
        (PathBuf::from(text::MODELS), text::models(&survey).into_bytes()),
        (PathBuf::from(text::PROBLEM), text::problem(&survey, allowed_cores().len()).into_bytes()),
    ];
    write_all(&output.output, &files, output.overwrite)?;
    print(text::next(&survey, &output.output).as_bytes())?;
    Ok(Answer::Yes)
}

/// Schemas lie beside the files: that works offline, and for the version that wrote them.
fn schema_file<T: Document>() -> (PathBuf, Vec<u8>) {
    let (name, bytes) = file(T::NOUN, schema::<T>);
    (PathBuf::from(text::SCHEMAS).join(name), bytes)
}
