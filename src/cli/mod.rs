//! The command line: one file a command, an `Args` whose doc comments are the help, and a `run` of one screen.
//!
//! stdout is the answer; progress, warnings and hints go to stderr. Exit 0 yes, 1 the answer is no, 2 it could not be done.

mod check;
mod compare;
mod diff;
mod engine;
mod explain;
mod export;
mod import;
mod load;
mod load_test;
mod measure_less;
mod paths;
mod plot;
mod profile;
mod replay;
mod report;
mod schema;
mod simulate;
mod solve;
mod worker;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand, ValueEnum};
use planner::{Error, Findings, format};

/// Plan ML inference serving offline: measure variants, solve for a plan, try it before anybody depends on it
///
/// Exit status: 0 yes, 1 the answer is no (infeasible, findings, refuted), 2 it could not be done
#[derive(Debug, Parser)]
#[command(name = "planner", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Solve(solve::Args),
    Check(check::Args),
    Diff(diff::Args),
    Explain(explain::Args),
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
            Command::Diff(args) => diff::run(&args),
            Command::Explain(args) => explain::run(&args),
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

    /// Refuses early, before any work, to replace a file that was not meant to be replaced.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the file exists and `--overwrite` was not given.
    pub fn check(&self) -> Result<(), Error> {
        if self.is_stdout() {
            return Ok(());
        }
        let folder = self.output.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            return Err(Error::Unsupported {
                what: format!("there is no folder {}", folder.display()),
                hint: "create it first".to_owned(),
            });
        }
        if self.overwrite || !self.output.exists() {
            return Ok(());
        }
        Err(Error::Unsupported {
            what: format!("{} exists already", self.output.display()),
            hint: "name another file, or pass --overwrite".to_owned(),
        })
    }

    /// Writes the result, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] where the system refuses.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        if self.is_stdout() { print(bytes) } else { format::write_atomic(&self.output, bytes) }
    }
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

/// Says something to the user beside the answer, on stderr.
pub fn say(message: impl std::fmt::Display) {
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(std::io::stderr(), "{message}");
}

/// Says warnings and notes, if any, on stderr.
pub fn say_findings(findings: &Findings) {
    if !findings.0.is_empty() {
        say(findings);
    }
}

/// Tells whether progress bars make sense.
pub fn on_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Returns an empty table in the house style: columns without borders.
pub fn table(header: &[&str]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header.iter().copied());
    table
}
