//! The command line of `planner`.

mod cli;

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::process::ExitCode;

use clap::Parser;

use cli::voice::{self, Voice};

/// Exit code where it could not be done, for whatever reason.
const NOT_DONE: u8 = 2;

fn main() -> ExitCode {
    set_hook(Box::new(voice::say_bug));
    ExitCode::from(guarded(answer))
}

/// Returns the exit code of `run`; one that panics could not be done.
fn guarded(run: impl FnOnce() -> u8) -> u8 {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        voice::say_failed_by_bug(NOT_DONE);
        NOT_DONE
    })
}

fn answer() -> u8 {
    let arguments = voice::first(std::env::args_os().collect());
    let cli = match cli::Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            Voice::of_arguments(&arguments).set();
            voice::say_usage(&error);
            return error.exit_code() as u8;
        }
    };
    cli.voice.set();
    match cli.run() {
        Ok(answer) => {
            let exit = u8::from(answer == cli::Answer::No);
            voice::say_done(exit);
            exit
        }
        Err(error) => {
            voice::say_failed(NOT_DONE, &error);
            NOT_DONE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{NOT_DONE, guarded};

    #[test]
    fn a_panic_ends_as_what_could_not_be_done() {
        assert_eq!(guarded(|| panic!("on purpose")), NOT_DONE);
        assert_eq!(guarded(|| 1), 1);
    }
}
