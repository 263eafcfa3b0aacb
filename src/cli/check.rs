//! `planner check`: does what was committed still hold?

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::base::codec;
use crate::base::codec::{Document, load, to_bytes};
use crate::base::files;
use crate::plan::{self, Plan, Tolerance};
use crate::review::{self, Entry, Manifest, Review, Revision, Verdict, show};
use crate::simulate;
use crate::{Code, Error, Severity};

use super::solve::{facts_of, problem_of};
use super::values::part;
use super::voice::Progress;
use super::{Answer, is_no_input, print, print_text, say, table};

/// Check committed plans: recompute every claim, solve again, compare, and try them in simulation
///
/// A plan alone is recomputed from its facts and problem in closed form, without the solver. A folder, or a manifest
/// (`planner.ci.toml`), is gone through whole: every file is validated, every plan recomputed, solved again, compared with
/// what was committed and tried with a fixed seed.
///
/// Exit status 1 when something is refuted, infeasible or worse than allowed; 2 when a file cannot be used.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  planner check plans/digits.json
  planner check . --format table --format junit=planner.xml --format markdown=summary.md")]
pub struct Args {
    /// A plan, a folder or a manifest
    #[arg(default_value = ".")]
    path: PathBuf,
    /// How to print what was found, and where to: table, json, junit, sarif, github or markdown; several may be given
    #[arg(long = "format", value_name = "FORMAT[=FILE]", default_value = "table", value_parser = wanted)]
    formats: Vec<Wanted>,
    /// Solve again and write plans that are not what their inputs give
    #[arg(long, conflicts_with = "base")]
    update: bool,
    /// Compare with what this version makes of the inputs at this git revision, in place of the committed plans
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    /// Class of differences that fails beside those of the manifest, like `facts-changed`
    #[arg(long, value_name = "CLASS", value_parser = class)]
    fail_on: Vec<Code>,
    /// One plan: the problem to check against; the one kept in the plan where left out
    #[arg(long, value_name = "FILE")]
    problem: Option<PathBuf>,
    /// One plan: profiles to check against; those named in the plan where left out
    #[arg(long, value_name = "FILE")]
    profile: Vec<PathBuf>,
    /// One plan: relative tolerance for times and prices
    #[arg(long, default_value_t = Tolerance::default().relative, value_parser = part)]
    tolerance: f64,
}

/// A form of the answer and where it goes; stdout where left out.
#[derive(Debug, Clone)]
struct Wanted {
    form: Form,
    file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    Table,
    Json,
    Junit,
    Sarif,
    Github,
    Markdown,
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    let alone = args.base.is_none() && !args.update && is_plan(&args.path);
    let review = if alone { one_plan(args)? } else { everything(args)? };
    for wanted in &args.formats {
        let text = shown(&review, wanted.form, alone);
        match &wanted.file {
            Some(file) => {
                is_no_input(file, review.entries.iter().map(|entry| &entry.file).chain([&args.path]))?;
                files::write_atomic(file, text.as_bytes())?;
            }
            None if matches!(wanted.form, Form::Table | Form::Github) => print_text(&text)?,
            None => print(text.as_bytes())?,
        }
    }
    Ok(match review.verdict() {
        Verdict::Confirmed | Verdict::Noted => Answer::Yes,
        Verdict::Failed => Answer::No,
        Verdict::Unusable => Answer::Undone,
    })
}

/// Tells whether a path is that of one plan; whatever is wrong with it is told later.
fn is_plan(path: &Path) -> bool {
    let format =
        |path: &Path| Some(codec::parse_value(path, &files::read(path).ok()?).ok()?["format"].as_str()?.to_owned());
    path.is_file() && format(path).is_none_or(|format| format == Plan::FORMAT || !format.starts_with("planner."))
}

/// Recomputes every claim of one plan.
fn one_plan(args: &Args) -> Result<Review, Error> {
    let plan = load::<Plan>(&args.path)?;
    let problem = problem_of(&plan, args.problem.as_deref())?;
    let facts = facts_of(&plan, &args.profile)?;
    let tolerance = Tolerance { relative: args.tolerance, ..Tolerance::default() };
    let mut findings = simulate::check(&plan.document, &facts, problem.as_ref(), tolerance);
    findings.extend(plan::facts_changed(&plan.document, &facts));
    let recomputed = review::recomputed(&plan.document, &findings.0);
    let entry = Entry::of(args.path.clone(), Plan::NOUN, findings.in_file(&args.path).0);
    Ok(Review::of(vec![Entry { recomputed, ..entry }]))
}

/// Goes through a folder or a manifest.
fn everything(args: &Args) -> Result<Review, Error> {
    let (mut manifest, files) = review::find(&args.path)?;
    manifest.fail_on.extend(&args.fail_on);
    let base = args.base.as_deref().map(|name| Revision::open(name, &args.path)).transpose()?;
    let mut review = reviewed(&manifest, &files, base.as_ref());
    if let Some(base) = &base {
        review.entries.extend(review::gone(&manifest, &args.path, base)?);
        review.entries.sort_by(|one, other| one.file.cmp(&other.file));
    }
    if args.update && update(&review, &manifest)? > 0 {
        review = reviewed(&manifest, &files, None);
    }
    Ok(review)
}

fn reviewed(manifest: &Manifest, files: &[PathBuf], base: Option<&Revision>) -> Review {
    let mut progress = Progress::new();
    progress.begin(files.len() as u64);
    let progress = Mutex::new(progress);
    let advance = |_: &Path| progress.lock().unwrap_or_else(PoisonError::into_inner).advance();
    review::review(manifest, files, base, &advance)
}

/// Writes anew every plan that is not what its inputs give, and returns how many those were.
fn update(review: &Review, manifest: &Manifest) -> Result<usize, Error> {
    let mut written = 0;
    let plans = review.entries.iter().filter(|entry| entry.noun == Plan::NOUN && entry.verdict != Verdict::Unusable);
    for entry in plans.filter(|entry| !entry.findings.is_empty() && entry.solved_again) {
        let committed = load::<Plan>(&entry.file)?;
        match review::remake(&committed, manifest)? {
            Some(plan) if plan == committed.document => {}
            Some(plan) => {
                files::write_atomic(&entry.file, &to_bytes(&plan))?;
                say(format!("wrote {}", entry.file.display()));
                written += 1;
            }
            None => say(format!("kept {}: its inputs have no plan", entry.file.display())),
        }
    }
    Ok(written)
}

fn shown(review: &Review, form: Form, alone: bool) -> String {
    match form {
        Form::Table if alone => listed(review),
        Form::Table => tabled(review),
        Form::Json => String::from_utf8_lossy(&to_bytes(review)).into_owned(),
        Form::Junit => show::junit(review),
        Form::Sarif => String::from_utf8_lossy(&to_bytes(&show::sarif(review))).into_owned(),
        Form::Github => show::github(review),
        Form::Markdown => show::markdown(review),
    }
}

fn listed(review: &Review) -> String {
    let findings = || review.entries.iter().flat_map(|entry| &entry.findings);
    let list: String = findings().map(|finding| format!("{finding}\n")).collect();
    let verdict = if review.verdict() >= Verdict::Failed { "refuted" } else { "confirmed" };
    let counts = [Severity::Error, Severity::Warning, Severity::Note].map(|severity| {
        let count = findings().filter(|finding| finding.severity == severity).count();
        let noun = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
    });
    let recomputed = review.recomputed().map_or_else(String::new, |words| format!("; recomputed {words}"));
    format!("{list}{verdict}: {}{recomputed}\n", counts.join(", "))
}

fn tabled(review: &Review) -> String {
    let mut rows = table(&["file", "is a", "solved again", "verdict", "worst"]);
    for entry in &review.entries {
        let worst = entry.findings.first().map_or("", |finding| finding.code.as_str());
        let again = if entry.solved_again { "yes" } else { "–" };
        rows.add_row([&entry.file.display().to_string(), entry.noun, again, entry.verdict.as_str(), worst]);
    }
    let findings = review.entries.iter().flat_map(|entry| &entry.findings);
    let list: String = findings.map(|finding| format!("{finding}\n")).collect();
    let gap = if list.is_empty() { "" } else { "\n" };
    format!("{rows}\n{gap}{list}\n{}\n", show::verdict(review))
}

fn wanted(text: &str) -> Result<Wanted, String> {
    let (form, file) = text.split_once('=').map_or((text, None), |(form, file)| (form, Some(PathBuf::from(file))));
    let form = <Form as clap::ValueEnum>::from_str(form, false)
        .map_err(|_| format!("`{form}` is none of table, json, junit, sarif, github, markdown"))?;
    Ok(Wanted { form, file })
}

fn class(text: &str) -> Result<Code, String> {
    let class = Manifest::CLASSES.iter().find(|class| class.as_str() == text);
    let words: Vec<&str> = Manifest::CLASSES.iter().map(|class| class.as_str()).collect();
    class.copied().ok_or_else(|| format!("`{text}` is none of {}", words.join(", ")))
}
