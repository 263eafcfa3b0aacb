//! `planner profile export`: a profile as a flat table.

use std::path::PathBuf;

use crate::Error;
use crate::base::codec::load;
use crate::profile::Profile;
use crate::profile::export::to_csv;

use super::{Answer, Output, say_findings};

/// Write a profile as a table, one row a point
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  planner profile export profiles/digits.json -o digits.csv")]
pub struct Args {
    /// The profile
    profile: PathBuf,
    /// CSV, or Parquet where the name ends in .parquet; `-` is CSV on stdout
    #[command(flatten)]
    output: Output,
}

/// What the table is written as.
enum Kind {
    Csv,
    Parquet,
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    let kind = kind(&args.output)?;
    args.output.check([&args.profile])?;
    let profile = load::<Profile>(&args.profile)?;
    say_findings(&profile.findings);
    let bytes = match kind {
        Kind::Csv => to_csv(&profile.document),
        Kind::Parquet => parquet(&profile.document)?,
    };
    args.output.write(&bytes)?;
    Ok(Answer::Yes)
}

fn kind(output: &Output) -> Result<Kind, Error> {
    let extension = output.output.extension().and_then(|extension| extension.to_str());
    match extension {
        _ if output.is_stdout() => Ok(Kind::Csv),
        Some("csv") => Ok(Kind::Csv),
        Some("parquet") if cfg!(feature = "polars") => Ok(Kind::Parquet),
        Some("parquet") => Err(no_parquet()),
        _ => Err(Error::Unsupported {
            what: format!("{} ends in neither .csv nor .parquet", output.output.display()),
            hint: "name the file like points.csv".to_owned(),
        }),
    }
}

fn no_parquet() -> Error {
    Error::Unsupported {
        what: "this build writes no Parquet".to_owned(),
        hint: "name a .csv file, or build with `--features polars`".to_owned(),
    }
}

#[cfg(feature = "polars")]
fn parquet(profile: &Profile) -> Result<Vec<u8>, Error> {
    use crate::frames::{profile_points, write_parquet};
    let refused = |error: &dyn std::fmt::Display| Error::Unsupported {
        what: format!("no Parquet: {error}"),
        hint: "name a .csv file".to_owned(),
    };
    let mut frame = profile_points(profile).map_err(|error| refused(&error))?;
    let mut bytes = Vec::new();
    write_parquet(&mut frame, &mut bytes).map_err(|error| refused(&error))?;
    Ok(bytes)
}

#[cfg(not(feature = "polars"))]
fn parquet(_: &Profile) -> Result<Vec<u8>, Error> {
    Err(no_parquet())
}
