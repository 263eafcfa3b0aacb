//! `planner man`: manual pages, one a command, from the same words as the help.

use std::path::{Path, PathBuf};

use crate::base::near;
use crate::{Code, Error, Finding};
use clap::Command;
use clap_mangen::Man;

use super::{Answer, Output, visible, write_all};

/// Print the manual page of a command, or write all pages into a folder
///
/// Where --output names a folder, it gets the page of the command and of each command below it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  planner man profile compare | man -l -
  planner man -o ~/.local/share/man/man1")]
pub struct Args {
    /// The command, like `profile compare`; planner itself where left out
    command: Vec<String>,
    #[command(flatten)]
    output: Output,
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    let mut whole = visible().disable_help_subcommand(true);
    whole.build();
    let command = find(&whole, &args.command)?;
    if args.output.is_stdout() {
        args.output.write(&page(command)?)?;
        return Ok(Answer::Yes);
    }
    args.output.folder("manual pages")?;
    write_all(&args.output.output, &pages(command)?, args.output.overwrite)?;
    Ok(Answer::Yes)
}

fn find<'a>(whole: &'a Command, words: &[String]) -> Result<&'a Command, Error> {
    words.iter().try_fold(whole, |command, word| {
        let names = command.get_subcommands().map(Command::get_name);
        command.find_subcommand(word).ok_or_else(|| {
            let known: Vec<&str> = names.collect();
            let cause = format!("there is no command `{word}`");
            let action = near::hint(word, known.iter().copied(), format!("there are {}", known.join(", ")));
            Finding::error(Code::UnknownName, "COMMAND", cause, action).into()
        })
    })
}

/// Returns the pages of a command and of all below it.
fn pages(command: &Command) -> Result<Vec<(PathBuf, Vec<u8>)>, Error> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let mut pages = vec![(PathBuf::from(format!("{name}.1")), page(command)?)];
    for below in command.get_subcommands() {
        pages.extend(self::pages(below)?);
    }
    Ok(pages)
}

fn page(command: &Command) -> Result<Vec<u8>, Error> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut page = Vec::new();
    let man = Man::new(command.clone()).title(name).source(concat!("planner ", env!("CARGO_PKG_VERSION")));
    man.render(&mut page).map_err(|error| Error::io("draw up", Path::new("the manual page"), error))?;
    Ok(page)
}
