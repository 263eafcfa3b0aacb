//! `planner plot`: pictures of profiles, plans and reports.

use std::path::{Path, PathBuf};

use crate::base::codec::{self, Document};
use crate::base::files;
use crate::page::plot::{Figure, html, png, svg};
use crate::plan::Plan;
use crate::profile::Profile;
use crate::rooms::Frontiers;
use crate::simulate::Report;
use crate::{Code, Error, Finding, Findings};
use clap::ValueEnum;

use super::{Answer, Output, say, say_findings};

/// Draw a profile, a plan, a frontier or a report as SVG, PNG or an HTML page
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  planner plot plans/digits.json -o plan.svg")]
pub struct Args {
    /// The profile, plan, frontier or report; its `format` key tells which
    file: PathBuf,
    /// The kind of picture [default: what the name of the output ends in; svg on stdout]
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    #[command(flatten)]
    output: Output,
}

/// A kind of picture.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Kind {
    /// For pages and papers
    Svg,
    /// Pixels
    Png,
    /// One page that needs nothing else
    Html,
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    let kind = args.kind.map_or_else(|| kind(&args.output), Ok)?;
    args.output.check([&args.file])?;
    args.output.write(&picture(&args.file, kind)?)?;
    if !args.output.is_stdout() {
        say(format!("wrote {}", args.output.output.display()));
    }
    Ok(Answer::Yes)
}

/// Returns the kind of picture that an output's name asks for.
pub fn kind(output: &Output) -> Result<Kind, Error> {
    match output.output.extension().and_then(|extension| extension.to_str()) {
        _ if output.is_stdout() => Ok(Kind::Svg),
        Some("svg") => Ok(Kind::Svg),
        Some("png") => Ok(Kind::Png),
        Some("html") => Ok(Kind::Html),
        _ => Err(Error::Unsupported {
            what: format!("{} names no kind of picture", output.output.display()),
            hint: "end the name of the output in .svg, .png or .html, or pass --kind".to_owned(),
        }),
    }
}

fn picture(file: &Path, kind: Kind) -> Result<Vec<u8>, Error> {
    let value = codec::parse_value(file, &files::read(file)?)?;
    match value["format"].as_str() {
        Some(Profile::FORMAT) => draw(Figure::ProfileCurves(&load(file)?), kind),
        Some(Plan::FORMAT) => draw(Figure::PlanOverLoad(&load(file)?), kind),
        Some(Frontiers::FORMAT) => draw(Figure::Frontiers(&load(file)?), kind),
        Some(Report::FORMAT) => draw(Figure::ReportOverTime(&load(file)?), kind),
        other => Err(unknown(file, other)),
    }
}

fn load<T: Document>(file: &Path) -> Result<T, Error> {
    let loaded = codec::load::<T>(file)?;
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
    let known = [Profile::FORMAT, Plan::FORMAT, Frontiers::FORMAT, Report::FORMAT];
    let action = format!("these can be drawn: {}", known.join(", "));
    Findings::from(Finding::error(Code::Format, "format", cause, action)).in_file(file).into()
}
