//! What the process does around a command: arguments in, an exit code out, and one sentence where the program has a bug.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::process::ExitCode;

use clap::Parser;

use super::voice::{self, Voice};
use super::{Answer, Cli};

/// Exit code where it could not be done, for whatever reason.
const NOT_DONE: u8 = 2;

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
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
    let cli = match Cli::try_parse_from(&arguments) {
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
            let exit = match answer {
                Answer::Yes => 0,
                Answer::No => 1,
                Answer::Undone => NOT_DONE,
            };
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
    use super::{NOT_DONE, guarded, voice};
    use std::process::Command;

    #[test]
    #[ignore = "the test below runs it in a process of its own, whose hook it sets"]
    fn panics() {
        std::panic::set_hook(Box::new(voice::say_bug));
        assert_eq!(guarded(|| panic!("on purpose")), NOT_DONE);
        assert_eq!(guarded(|| 1), 1);
    }

    #[test]
    fn a_panic_is_one_sentence_and_what_could_not_be_done() {
        let said = |backtrace: &str| {
            let mut tests = Command::new(std::env::current_exe().expect("this program"));
            tests
                .args(["--exact", "cli::program::tests::panics", "--ignored", "--nocapture"])
                .env("RUST_BACKTRACE", backtrace);
            let output = tests.output().expect("it runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
            String::from_utf8_lossy(&output.stderr).into_owned()
        };
        let plain = said("0");
        assert!(plain.starts_with("error: this is a bug in planner: on purpose (src/cli/program.rs:"), "{plain}");
        assert_eq!(plain.lines().count(), 2, "a sentence and a hint: {plain}");
        assert!(said("1").lines().count() > 2, "who asks gets the stack");
    }
}
