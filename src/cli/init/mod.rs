//! `planner init`: the files to begin with, for the models in a folder.

mod survey;
mod text;

use std::path::{Path, PathBuf};

use crate::base::codec::Document;
use crate::formats::SCHEMAS;
use crate::measure::host::usable_cores;
use crate::problem::Problem;
use crate::profile::ModelList;
use crate::{Code, Error, Finding, Findings};

use super::schema::file;
use super::{Answer, Output, is_folder, print_text, write_all};
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

/// Says for each model why it is none that can be planned with.
fn nothing_fits(survey: &Survey) -> Findings {
    let mut findings = Findings::default();
    for model in &survey.models {
        let why = model.misfit.as_deref().unwrap_or("it cannot be fed");
        let action =
            "give samples that fit, named like its inputs, or move the data away to measure with random inputs";
        findings.push(Finding::error(Code::BadData, "", format!("{}: {why}", model.name), action));
    }
    findings
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    let output = Output { output: args.output.clone().unwrap_or(args.folder.clone()), overwrite: args.overwrite };
    output.folder("the model list and the problem")?;
    if let Some(folder) = &args.output {
        is_folder(folder)?;
    }
    let survey = Survey::of(&args.folder, &output.output)?;
    if survey.variants().next().is_none() {
        return Err(nothing_fits(&survey).in_file(&args.folder).into());
    }
    // Schemas lie beside the files: that works offline, and for the version that wrote them.
    let wanted = [ModelList::NOUN, Problem::NOUN];
    let schemas = SCHEMAS.iter().filter(|published| wanted.contains(&published.noun));
    let mut files: Vec<_> = schemas.map(|published| file(Path::new(text::SCHEMAS), published)).collect();
    files.push((text::MODELS.into(), text::models(&survey).into_bytes()));
    files.push((text::PROBLEM.into(), text::problem(&survey, usable_cores().len()).into_bytes()));
    write_all(&output.output, &files, output.overwrite)?;
    print_text(&text::next(&survey, &output.output))?;
    Ok(Answer::Yes)
}
