//! `planner plot`: pictures of profiles, plans and reports.

use std::path::{Path, PathBuf};

use planner::format::{self, Document};
use planner::plan::Plan;
use planner::plot::{Figure, html, png, svg};
use planner::profile::Profile;
use planner::simulate::Report;
use planner::{Code, Error, Finding, Findings};

use super::{Answer, Output, say, say_findings};

/// Draw a profile, a plan or a report as SVG, PNG or an HTML page
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The profile, plan or report; its `format` key tells which
    file: PathBuf,
    /// Write the picture to this file; its extension, `.svg`, `.png` or `.html` (one page that needs nothing else), tells the kind
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace the file where it exists
    #[arg(long)]
    overwrite: bool,
}

/// A kind of picture.
#[derive(Clone, Copy)]
pub enum Kind {
    Svg,
    Png,
    Html,
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    let kind = kind(&args.output)?;
    let output = Output { output: args.output.clone(), overwrite: args.overwrite };
    output.check()?;
    output.write(&picture(&args.file, kind)?)?;
    say(format!("wrote {}", args.output.display()));
    Ok(Answer::Yes)
}

/// Returns the kind of picture that a file's name asks for.
pub fn kind(output: &Path) -> Result<Kind, Error> {
    match output.extension().and_then(|extension| extension.to_str()) {
        Some("svg") => Ok(Kind::Svg),
        Some("png") => Ok(Kind::Png),
        Some("html") => Ok(Kind::Html),
        _ => Err(Error::Unsupported {
            what: format!("{} names no kind of picture", output.display()),
            hint: "end the name of the output in .svg, .png or .html".to_owned(),
        }),
    }
}

fn picture(file: &Path, kind: Kind) -> Result<Vec<u8>, Error> {
    let value = format::parse_value(file, &format::read(file)?)?;
    match value["format"].as_str() {
        Some(Profile::FORMAT) => draw(Figure::ProfileCurves(&load(file)?), kind),
        Some(Plan::FORMAT) => draw(Figure::PlanOverLoad(&load(file)?), kind),
        Some(Report::FORMAT) => draw(Figure::ReportOverTime(&load(file)?), kind),
        other => Err(unknown(file, other)),
    }
}

fn load<T: Document>(file: &Path) -> Result<T, Error> {
    let loaded = format::load::<T>(file)?;
    say_findings(&loaded.findings);
    Ok(loaded.document)
}

/// Returns the bytes of a picture.
pub fn draw(figure: Figure<'_>, kind: Kind) -> Result<Vec<u8>, Error> {
    match kind {
        Kind::Svg => svg(figure).map(String::into_bytes),
        Kind::Png => png(figure),
        Kind::Html => html(figure).map(String::into_bytes),
    }
}

fn unknown(file: &Path, found: Option<&str>) -> Error {
    let cause = found.map_or("there is no `format` key".to_owned(), |found| format!("`{found}` cannot be drawn"));
    let action = format!("{}, {} and {} can be drawn", Profile::FORMAT, Plan::FORMAT, Report::FORMAT);
    Findings::from(Finding::error(Code::Format, "format", cause, action)).in_file(file).into()
}
