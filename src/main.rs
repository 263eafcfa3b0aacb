//! The command line of `planner`.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(cli::Answer::Yes) => ExitCode::SUCCESS,
        Ok(cli::Answer::No) => ExitCode::from(1),
        Ok(cli::Answer::Undone) => ExitCode::from(2),
        Err(error @ planner::Error::Input(_)) => fail(&error.to_string()),
        Err(error) => fail(&format!("error: {error}")),
    }
}

fn fail(message: &str) -> ExitCode {
    cli::say(message);
    ExitCode::from(2)
}
