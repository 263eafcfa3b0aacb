//! `planner schema`: the JSON Schemas of the project's files.

use std::path::{Path, PathBuf};

use crate::Error;
use crate::base::codec::to_bytes;
use crate::formats::{Published, SCHEMAS};
use clap::builder::PossibleValuesParser;

use super::{Answer, Output, write_all};

/// Print the JSON Schema of a file format
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  planner schema problem -o problem.schema.json
  planner schema --all -o schemas")]
pub struct Args {
    /// The format
    #[arg(required_unless_present = "all", value_parser = PossibleValuesParser::new(SCHEMAS.iter().map(|published| published.noun)))]
    format: Option<String>,
    /// Write the schemas of all formats into the folder that --output names, each as FORMAT.schema.json
    #[arg(long, conflicts_with = "format", requires = "output")]
    all: bool,
    #[command(flatten)]
    output: Output,
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    let named = |published: &&Published| args.format.as_deref().is_none_or(|format| format == published.noun);
    let schemas = SCHEMAS.iter().filter(named);
    if args.all {
        args.output.folder("schemas")?;
        let files: Vec<_> = schemas.map(|published| file(Path::new(""), published)).collect();
        write_all(&args.output.output, &files, args.output.overwrite)?;
        return Ok(Answer::Yes);
    }
    args.output.check([])?;
    schemas.map(|published| to_bytes(&(published.schema)())).try_for_each(|bytes| args.output.write(&bytes))?;
    Ok(Answer::Yes)
}

/// Returns a schema as a file of a folder, as `docs/schema/` has it.
pub fn file(folder: &Path, published: &Published) -> (PathBuf, Vec<u8>) {
    (folder.join(published.file_name()), to_bytes(&(published.schema)()))
}
