//! The command line: one file a command, an `Args` whose doc comments are the help, and a `run` of one screen.
//!
//! stdout is the answer; progress, warnings and hints go to stderr. Exit 0 yes, 1 the answer is no, 2 it could not be done.

mod check;
mod compare;
mod completions;
mod diff;
mod engine;
mod explain;
mod export;
mod frontier;
mod import;
mod init;
mod load;
mod load_test;
mod man;
mod measure_less;
mod plot;
mod profile;
mod program;
mod replay;
mod report;
mod schedule;
mod schema;
mod simulate;
mod solve;
mod values;
mod voice;
mod worker;

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::base::text::shown;
use crate::base::{files, near};
use crate::facts::Facts;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

pub use program::main;
use voice::{Voice, say, say_findings};

/// Plan ML inference serving offline: measure variants, solve for a plan, try it before anybody depends on it
///
/// Exit status: 0 yes, 1 the answer is no (infeasible, findings, refuted), 2 it could not be done
#[derive(Debug, Parser)]
#[command(name = "planner", version, max_term_width = 100)]
#[command(after_help = "Example:
  planner profile models/digits/models.toml -o profiles/mine.json
  planner solve problems/digits.toml -o plans/mine.json
  planner simulate plans/mine.json")]
struct Cli {
    /// How this run speaks
    #[command(flatten)]
    pub voice: Voice,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Solve(solve::Args),
    Check(check::Args),
    Completions(completions::Args),
    Diff(diff::Args),
    Explain(explain::Args),
    Init(init::Args),
    Man(man::Args),
    Plot(plot::Args),
    Profile(Box<profile::Args>),
    Replay(replay::Args),
    Report(report::Args),
    Schema(schema::Args),
    Simulate(simulate::Args),
    #[command(hide = true)]
    Worker(worker::Args),
}

/// What a command that could be done answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Exit code 0.
    Yes,
    /// Exit code 1.
    No,
    /// Exit code 2, and the answer says why.
    Undone,
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// Whatever kept it from being done.
    pub fn run(self) -> Result<Answer, Error> {
        match self.command {
            Command::Solve(args) => solve::run(&args),
            Command::Check(args) => check::run(&args),
            Command::Completions(args) => completions::run(&args),
            Command::Diff(args) => diff::run(&args),
            Command::Explain(args) => explain::run(&args),
            Command::Init(args) => init::run(&args),
            Command::Man(args) => man::run(&args),
            Command::Plot(args) => plot::run(&args),
            Command::Profile(args) => profile::run(&args),
            Command::Replay(args) => replay::run(&args),
            Command::Report(args) => report::run(&args),
            Command::Schema(args) => schema::run(&args),
            Command::Simulate(args) => simulate::run(&args),
            Command::Worker(args) => worker::run(&args),
        }
    }
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// Where a result file goes.
#[derive(Debug, Clone, clap::Args)]
pub struct Output {
    /// Write the result to this file; `-` is stdout
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
    /// Replace the file where it exists
    #[arg(long)]
    pub overwrite: bool,
}

impl Output {
    /// Tells whether the result goes to stdout.
    pub fn is_stdout(&self) -> bool {
        self.output == Path::new("-")
    }

    /// Returns the folder that the result will lie in, the current one for stdout.
    pub fn beside(&self) -> &Path {
        if self.is_stdout() { Path::new("") } else { self.output.parent().unwrap_or(Path::new("")) }
    }

    /// Refuses early, before any work, to replace a file that was not meant to be replaced, and never replaces an input.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the file exists and `--overwrite` was not given, or is one of the inputs.
    pub fn check<'a>(&self, inputs: impl IntoIterator<Item = &'a PathBuf>) -> Result<(), Error> {
        if self.is_stdout() {
            return Ok(());
        }
        is_no_input(&self.output, inputs)?;
        let folder = self.output.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.map_or(Ok(()), is_folder)?;
        if self.overwrite { Ok(()) } else { is_free(&[&self.output]) }
    }

    /// Refuses to replace a profile or a trace that was read.
    ///
    /// # Errors
    /// As [`Output::check`].
    pub fn check_facts(&self, facts: &Facts) -> Result<(), Error> {
        let profiles = facts.profiles.iter().map(|profile| &profile.path);
        is_no_input(&self.output, profiles.chain(facts.recorded.iter().map(|trace| &trace.path)))
    }

    /// Refuses stdout where the result is several files.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where no folder is named.
    pub fn folder(&self, what: &str) -> Result<(), Error> {
        if !self.is_stdout() {
            return Ok(());
        }
        Err(Error::Unsupported {
            what: format!("{what} go to a folder: stdout cannot take several files"),
            hint: "name a folder: -o FOLDER".to_owned(),
        })
    }

    /// Writes the result, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] where the system refuses.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        if self.is_stdout() { print(bytes) } else { files::write_atomic(&self.output, bytes) }
    }
}

/// Refuses to write over a file that is read.
fn is_no_input<'a>(output: &Path, inputs: impl IntoIterator<Item = &'a PathBuf>) -> Result<(), Error> {
    let Ok(target) = output.canonicalize() else { return Ok(()) };
    let is_target = |input: &&PathBuf| input.canonicalize().is_ok_and(|input| input == target);
    match inputs.into_iter().find(is_target) {
        None => Ok(()),
        Some(input) => Err(Error::Unsupported {
            what: format!("{} is an input: writing {} would destroy it", input.display(), output.display()),
            hint: "name another file".to_owned(),
        }),
    }
}

/// Refuses a folder that is not there.
fn is_folder(folder: &Path) -> Result<(), Error> {
    if folder.is_dir() {
        return Ok(());
    }
    Err(Error::Unsupported {
        what: format!("there is no folder {}", folder.display()),
        hint: near::path(folder)
            .map_or("create it first".to_owned(), |found| format!("did you mean {}?", found.display())),
    })
}

/// Refuses files that are there already, all of them at once.
fn is_free(files: &[&Path]) -> Result<(), Error> {
    let taken: Vec<String> = files.iter().filter(|file| file.exists()).map(|file| file.display().to_string()).collect();
    if taken.is_empty() {
        return Ok(());
    }
    let exist = if taken.len() == 1 { "exists" } else { "exist" };
    Err(Error::Unsupported {
        what: format!("{} {exist} already", taken.join(", ")),
        hint: "name another place, or pass --overwrite".to_owned(),
    })
}

/// Writes several files into a folder that is there: all are checked before the first is written, and where one cannot be
/// written, those that were not there before are removed again. A file that would not change is no reason to refuse.
///
/// # Errors
/// [`Error::Unsupported`] where files are there and may not be replaced; [`Error::Io`] where the system refuses.
pub fn write_all(folder: &Path, files: &[(PathBuf, Vec<u8>)], overwrite: bool) -> Result<(), Error> {
    is_folder(folder)?;
    let files: Vec<(PathBuf, &[u8])> = files.iter().map(|(name, bytes)| (folder.join(name), &bytes[..])).collect();
    let differs = |path: &Path, bytes: &[u8]| files::read(path).map_or(true, |there| there != bytes);
    let changed = files.iter().filter(|(path, bytes)| differs(path, bytes));
    let changed: Vec<(&Path, &[u8])> = changed.map(|(path, bytes)| (path.as_path(), *bytes)).collect();
    if !overwrite {
        is_free(&changed.iter().map(|(path, _)| *path).collect::<Vec<_>>())?;
    }
    let mut added = Vec::new();
    let written = changed.iter().try_for_each(|(path, bytes)| {
        let parent = path.parent().unwrap_or(folder);
        if !parent.exists() {
            std::fs::create_dir(parent).map_err(|error| Error::io("create", parent, error))?;
            added.push(parent);
        }
        let is_new = !path.exists();
        files::write_atomic(path, bytes)?;
        added.extend(is_new.then_some(*path));
        Ok(())
    });
    if written.is_err() {
        // The first error is the one to report.
        for path in added.iter().rev() {
            let _ = if path.is_dir() { std::fs::remove_dir(path) } else { std::fs::remove_file(path) };
        }
    }
    written
}

/// Returns the command line as people see it, without what only this program calls.
pub fn visible() -> clap::Command {
    let whole = Cli::command();
    let shown: Vec<_> = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    let text = |text: Option<&clap::builder::StyledStr>| text.cloned().unwrap_or_default();
    clap::Command::new("planner")
        .version(env!("CARGO_PKG_VERSION"))
        .about(text(whole.get_about()))
        .long_about(text(whole.get_long_about()))
        .after_help(text(whole.get_after_help()))
        .args(whole.get_arguments().cloned())
        .subcommand_required(true)
        .subcommands(shown)
}

/// Prints the answer to stdout; a reader that has gone away is no error.
///
/// # Errors
/// [`Error::Io`] where the system refuses.
pub fn print(bytes: &[u8]) -> Result<(), Error> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::io("write to", Path::new("stdout"), error))
        }
        _ => Ok(()),
    }
}

/// Prints an answer in words; control characters of names that it holds are escaped.
///
/// # Errors
/// As [`print`].
pub fn print_text(text: &str) -> Result<(), Error> {
    print(shown(text).as_bytes())
}

/// Returns a number with so many decimals, and one that would lose its figures by that with three of them.
pub fn figures(number: f64, decimals: usize) -> String {
    let needed = (2.0 - number.abs().log10().floor()).max(0.0);
    let is_small = decimals > 0 && number != 0.0 && number.abs() < 10f64.powi(1 - decimals as i32);
    let decimals = if is_small { needed as usize } else { decimals };
    format!("{number:.decimals$}")
}

/// Returns an empty table in the house style: columns without borders.
pub fn table(header: &[&str]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header.iter().copied());
    table
}

#[cfg(test)]
mod tests {
    use super::{Cli, visible};
    use clap::{Command, CommandFactory};

    #[test]
    fn small_numbers_keep_their_figures() {
        let cases = [
            (3512.04, 1, "3512.0"),
            (0.0, 1, "0.0"),
            (0.0281, 1, "0.0281"),
            (1.25e-7, 4, "0.000000125"),
            (2.5, 4, "2.5000"),
            (2.0, 0, "2"),
        ];
        for (number, decimals, text) in cases {
            assert_eq!(super::figures(number, decimals), text);
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_ends_with_an_example() {
        fn look(command: &Command, seen: &mut usize) {
            let end = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(end.starts_with("Example:\n  planner "), "{} has no example", command.get_name());
            *seen += 1;
            command.get_subcommands().for_each(|below| look(below, seen));
        }
        let mut seen = 0;
        look(&visible(), &mut seen);
        assert!(seen > 15, "{seen} commands");
    }
}
