//! `planner schema`: the JSON Schemas of the project's files.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use planner::Error;
use planner::format::{SCHEMAS, to_bytes};

use super::{Answer, Output, write_all};

/// Print the JSON Schema of a file format
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  planner schema problem -o problem.schema.json
  planner schema --all -o schemas")]
pub struct Args {
    /// The format
    #[arg(required_unless_present = "all", value_parser = PossibleValuesParser::new(SCHEMAS.iter().map(|(noun, _)| *noun)))]
    format: Option<String>,
    /// Write the schemas of all formats into the folder that --output names, each as FORMAT.schema.json
    #[arg(long, conflicts_with = "format", requires = "output")]
    all: bool,
    #[command(flatten)]
    output: Output,
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    let named = |noun: &str| args.format.as_deref().is_none_or(|format| format == noun);
    let files = SCHEMAS.iter().filter(|(noun, _)| named(noun)).map(|(noun, schema)| file(noun, *schema));
    let files: Vec<(PathBuf, Vec<u8>)> = files.collect();
    if args.all {
        args.output.folder("schemas")?;
        write_all(&args.output.output, &files, args.output.overwrite)?;
        return Ok(Answer::Yes);
    }
    args.output.check()?;
    files.iter().try_for_each(|(_, bytes)| args.output.write(bytes))?;
    Ok(Answer::Yes)
}

/// Returns the name and the bytes of a schema, as `docs/schema/` has them.
pub fn file(noun: &str, schema: fn() -> serde_json::Value) -> (PathBuf, Vec<u8>) {
    (PathBuf::from(format!("{noun}.schema.json")), to_bytes(&schema()))
}
