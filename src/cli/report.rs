//! `planner report`: a plan on one page, for people who review it.

use std::path::{Path, PathBuf};

use crate::base::codec::{Loaded, load};
use crate::facts::Facts;
use crate::page::{Given, Page, Trials, html, markdown, page, try_gears};
use crate::plan::Plan;
use crate::simulate::{Effort, Measured, Report};
use crate::{Code, Error, Finding, Findings};
use clap::ValueEnum;

use super::solve::{facts_of, problem_of};
use super::{Answer, Output, say, say_findings};

/// Independent trials that the requests of a gear are spread over.
const TRIALS: u32 = 5;

/// Write a plan as one page to review: self-contained HTML, or Markdown
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  planner report plans/digits.json -o digits.html")]
pub struct Args {
    /// The plan
    plan: PathBuf,
    /// The problem [default: the one in the plan]
    #[arg(long, value_name = "FILE")]
    problem: Option<PathBuf>,
    /// Profiles [default: those named in the plan]
    #[arg(long, value_name = "FILE")]
    profile: Vec<PathBuf>,
    /// A report of `planner simulate -o` to show instead of simulating each gear at its highest rate
    #[arg(long, value_name = "FILE", conflicts_with_all = ["requests", "seed"])]
    simulated: Option<PathBuf>,
    /// A report of `planner replay -o` to show beside it
    #[arg(long, value_name = "FILE")]
    replayed: Option<PathBuf>,
    /// Simulated requests for each gear, at its highest rate; 0 simulates nothing
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(..=1_000_000_000))]
    requests: u64,
    /// Seed of the first trial
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// What to write [default: what the name of the output ends in; Markdown on stdout]
    #[arg(long, value_enum)]
    format: Option<Kind>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// One self-contained page
    Html,
    /// Text with tables; figures are described in words
    Markdown,
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    let kind = kind(args)?;
    args.output.check(
        [&args.plan]
            .into_iter()
            .chain([&args.problem, &args.simulated, &args.replayed].into_iter().flatten())
            .chain(&args.profile),
    )?;
    let plan = load::<Plan>(&args.plan)?;
    say_findings(&plan.findings);
    let text = match kind {
        Kind::Html => html(&written(args, &plan)?),
        Kind::Markdown => markdown(&written(args, &plan)?),
    };
    args.output.write(text.as_bytes())?;
    if !args.output.is_stdout() {
        say(format!("wrote {}", args.output.output.display()));
    }
    Ok(Answer::Yes)
}

fn kind(args: &Args) -> Result<Kind, Error> {
    let extension = args.output.output.extension().and_then(|extension| extension.to_str());
    match (args.format, extension) {
        (Some(kind), _) => Ok(kind),
        (None, Some("html")) => Ok(Kind::Html),
        (None, Some("md")) => Ok(Kind::Markdown),
        (None, _) if args.output.is_stdout() => Ok(Kind::Markdown),
        (None, _) => Err(Error::Unsupported {
            what: format!("{} names no kind of page", args.output.output.display()),
            hint: "end the name of the output in .html or .md, or pass --format".to_owned(),
        }),
    }
}

fn written(args: &Args, plan: &Loaded<Plan>) -> Result<Page, Error> {
    let problem = problem_of(plan, args.problem.as_deref())?;
    let facts = known_facts(args, plan)?;
    let simulated = simulated(args, &plan.document, &facts)?;
    let replayed = args.replayed.as_deref().map(|path| trials(&plan.document, path)).transpose()?;
    Ok(page(&Given {
        plan: &plan.document,
        problem: problem.as_ref(),
        facts: facts.as_ref().map_err(String::as_str),
        simulated: simulated.as_ref().map_err(String::as_str),
        replayed: replayed.as_ref(),
    }))
}

/// Loads the facts, or says why they are not known; profiles that the user names must be there.
fn known_facts(args: &Args, plan: &Loaded<Plan>) -> Result<Result<Facts, String>, Error> {
    match facts_of(plan, &args.profile) {
        Ok(facts) => Ok(Ok(facts)),
        Err(error) if args.profile.is_empty() => Ok(Err(why(&error.to_string()))),
        Err(error) => Err(error),
    }
}

/// Tries every gear, or loads a report that was given; otherwise says why nothing was tried.
fn simulated(args: &Args, plan: &Plan, facts: &Result<Facts, String>) -> Result<Result<Trials, String>, Error> {
    if let Some(path) = &args.simulated {
        return trials(plan, path).map(Ok);
    }
    if args.requests == 0 {
        return Ok(Err("--requests is 0".to_owned()));
    }
    let facts = match facts {
        Ok(facts) => facts,
        Err(why) => return Ok(Err(why.clone())),
    };
    let effort = Effort { requests: args.requests, trials: TRIALS, seed: args.seed };
    Ok(match Measured::new(plan, facts) {
        Ok(world) => Ok(try_gears(plan, &world, effort)),
        Err(findings) => Err(why(&findings.to_string())),
    })
}

fn trials(plan: &Plan, path: &Path) -> Result<Trials, Error> {
    let report = load::<Report>(path)?;
    say_findings(&report.findings);
    Trials::of(plan, &report.document).ok_or_else(|| {
        let cause = format!("no gear of the plan `{}` has the highest rate of one of these", plan.name);
        let finding = Finding::error(Code::Inconsistent, "gears", cause, "name a report of this plan");
        Findings::from(finding).in_file(path).into()
    })
}

/// Returns the first line of what went wrong, as a part of a sentence.
fn why(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
}
