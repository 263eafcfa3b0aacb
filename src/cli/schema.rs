//! `planner schema`: the JSON Schemas of the project's files.

use clap::ValueEnum;
use planner::Error;
use planner::format::{schema, to_bytes};
use planner::plan::Plan;
use planner::problem::Problem;
use planner::profile::load::LoadTest;
use planner::profile::{ModelList, Profile};
use planner::review::Manifest;
use planner::simulate::Report;

use super::{Answer, print};

/// Print the JSON Schema of a file format
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The format
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Ci,
    Load,
    Models,
    Profile,
    Problem,
    Plan,
    Report,
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    let schema = match args.format {
        Format::Ci => schema::<Manifest>(),
        Format::Load => schema::<LoadTest>(),
        Format::Models => schema::<ModelList>(),
        Format::Profile => schema::<Profile>(),
        Format::Problem => schema::<Problem>(),
        Format::Plan => schema::<Plan>(),
        Format::Report => schema::<Report>(),
    };
    print(&to_bytes(&schema))?;
    Ok(Answer::Yes)
}
