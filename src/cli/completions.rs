//! `planner completions`: what a shell needs to complete commands and flags.

use crate::Error;
use clap_complete::{Shell, generate};

use super::{Answer, Output, visible};

/// Print the completions of a shell; docs/cli.md says where each shell looks for them
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  planner completions bash -o ~/.local/share/bash-completion/completions/planner")]
pub struct Args {
    /// The shell
    shell: Shell,
    #[command(flatten)]
    output: Output,
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    args.output.check([])?;
    let mut script = Vec::new();
    generate(args.shell, &mut visible(), "planner", &mut script);
    args.output.write(&script)?;
    Ok(Answer::Yes)
}
