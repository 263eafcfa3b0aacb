//! What is said beside the answer, all of it on stderr: notes, progress, findings, and how it ended.
//!
//! One voice for all commands: words for people, or with `--json` one event a line (`docs/formats/events.md`). `--quiet`
//! leaves out notes and progress. The word that tells how grave something is has a colour on a terminal; `anstream` takes it
//! away where stderr is none, or `NO_COLOR` or `TERM=dumb` asks for that.

use std::backtrace::Backtrace;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::base::text::shown;
use crate::{Error, Finding, Findings, Severity};
use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// How this run speaks.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Voice {
    /// Leave out progress and notes; warnings and errors stay
    #[arg(short, long, global = true, help_heading = "Global options")]
    quiet: bool,
    /// Tell progress, findings and the end on stderr as JSON events, one a line
    #[arg(long, global = true, help_heading = "Global options")]
    json: bool,
}

/// Set once, before anything is said.
static VOICE: OnceLock<Voice> = OnceLock::new();

/// What `--json` tells, one to a line. `docs/formats/events.md` explains each.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Event<'a> {
    Note { text: &'a str },
    Progress { text: &'a str, done: u64, of: Option<u64> },
    Finding { finding: &'a Finding },
    Bug { text: &'a str },
    Done { exit: u8 },
    Failed { exit: u8, error: &'a str, hint: Option<&'a str> },
}

impl Voice {
    /// Makes this the voice of the whole run; only the first call counts.
    pub fn set(self) {
        VOICE.get_or_init(|| self);
    }

    /// Returns the voice of arguments that could not be parsed: its flags stand [`first`].
    pub fn of_arguments(arguments: &[OsString]) -> Self {
        let mut given = arguments.iter().skip(1).take_while(|argument| is_flag(argument));
        Self { quiet: false, json: given.any(|argument| argument == "--json") }
    }

    fn of_this_run() -> Self {
        VOICE.get().copied().unwrap_or_default()
    }
}

/// Returns the arguments with the flags of the voice before the command: `profile --json compare` means what
/// `profile compare --json` does, but clap refuses options between `profile` and a command below it.
pub fn first(arguments: Vec<OsString>) -> Vec<OsString> {
    let end = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    let (before, after) = arguments.split_at(end);
    let (program, given) = before.split_at(before.len().min(1));
    let (flags, others): (Vec<_>, Vec<_>) = given.iter().partition(|argument| is_flag(argument));
    program.iter().chain(flags).chain(others).chain(after).cloned().collect()
}

fn is_flag(argument: &OsStr) -> bool {
    ["-q", "--quiet", "--json"].iter().any(|flag| argument == *flag)
}

/// Says something worth knowing.
pub fn say(text: impl Display) {
    let voice = Voice::of_this_run();
    if !voice.quiet {
        speak(voice, &shown(&text.to_string()), |text| Event::Note { text });
    }
}

/// Says findings, all but notes where quiet was asked for.
pub fn say_findings(findings: &Findings) {
    let voice = Voice::of_this_run();
    for finding in findings.0.iter().filter(|finding| !voice.quiet || finding.severity != Severity::Note) {
        speak(voice, &graded(finding.severity, &finding.to_string()), |_| Event::Finding { finding });
    }
}

/// Says that it was done, to programs alone: people see the answer.
pub fn say_done(exit: u8) {
    if Voice::of_this_run().json {
        line(&json(&Event::Done { exit }));
    }
}

/// Says why it could not be done.
pub fn say_failed(exit: u8, error: &Error) {
    let voice = Voice::of_this_run();
    if let Error::Input(findings) = error {
        say_findings(findings);
        if voice.json {
            line(&json(&Event::Failed { exit, error: "the input is not as it should be", hint: None }));
        }
        return;
    }
    let text = error.to_string();
    let (error, hint) =
        text.split_once("\n  hint: ").map_or((text.as_str(), None), |(error, hint)| (error, Some(hint)));
    speak(voice, &graded(Severity::Error, &format!("error: {text}")), |_| Event::Failed { exit, error, hint });
}

/// Says what is wrong with the arguments, and what `--help` and `--version` ask for.
pub fn say_usage(error: &clap::Error) {
    if error.use_stderr() && Voice::of_this_run().json {
        let text = error.render().to_string();
        let text = text.split("\n\nUsage:").next().unwrap_or(&text).trim().trim_start_matches("error: ");
        line(&json(&Event::Failed { exit: error.exit_code() as u8, error: text, hint: None }));
    } else {
        // Nobody is left to tell when stdout or stderr is closed.
        let _ = error.print();
    }
}

/// Says in one sentence that the program, or the engine built into it, has failed itself, and shows a stack only to who asks for it.
pub fn say_bug(panic: &PanicHookInfo<'_>) {
    let what = panic.payload_as_str().unwrap_or("of unknown kind");
    let place = panic.location().map(|place| format!(" ({place})")).unwrap_or_default();
    let (whose, hint) = if panic.location().is_some_and(|place| is_of_engine(place.file())) {
        (
            "the engine rten cannot run this model",
            "another engine may, like `--engine onnxruntime`; docs/engines.md lists them",
        )
    } else {
        ("this is a bug in planner", "please report this line with the command; RUST_BACKTRACE=1 shows the way there")
    };
    let text = format!("{whose}: {what}{place}");
    let words = graded(Severity::Error, &format!("error: {text}\n  hint: {hint}"));
    speak(Voice::of_this_run(), &words, |_| Event::Bug { text: &text });
    if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
        line(&Backtrace::force_capture().to_string());
    }
}

/// Tells whether a source file is of rten or one of its parts, whose folders carry a version, like `rten-gemm-0.27.0`.
fn is_of_engine(file: &str) -> bool {
    file.split(['/', '\\']).any(|folder| folder.starts_with("rten-"))
}

/// Says that a bug has ended it, to programs alone: people have read it already.
pub fn say_failed_by_bug(exit: u8) {
    if Voice::of_this_run().json {
        line(&json(&Event::Failed { exit, error: "a bug in planner", hint: None }));
    }
}

/// Tells how far something is: a bar on a terminal, lines or events elsewhere.
pub struct Progress {
    bar: Option<ProgressBar>,
    done: u64,
    of: Option<u64>,
    told: Mutex<Instant>,
}

/// Time between lines of what a command is doing, off a terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(5);

impl Progress {
    pub fn new() -> Self {
        let Voice { quiet, json } = Voice::of_this_run();
        let dumb = std::env::var_os("TERM").is_some_and(|kind| kind == "dumb");
        let draws = !quiet && !json && !dumb && std::io::stderr().is_terminal();
        Self { bar: draws.then(ProgressBar::no_length), done: 0, of: None, told: Mutex::new(Instant::now()) }
    }

    /// Says how many steps there are.
    pub fn begin(&mut self, steps: u64) {
        self.of = Some(steps);
        if let Some(bar) = &self.bar {
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {eta} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_length(steps);
        }
    }

    /// One step more is done.
    pub fn advance(&mut self) {
        self.done += 1;
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// Says what is being done; off a terminal every few seconds at most, so that short commands say nothing.
    pub fn tell_at_times(&self, text: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if self.bar.is_some() || told.elapsed() >= BETWEEN_LINES {
            *told = Instant::now();
            self.tell(text);
        }
    }

    /// Says what has just been seen.
    pub fn tell(&self, text: impl Display) {
        let voice = Voice::of_this_run();
        match &self.bar {
            Some(bar) => bar.set_message(shown(&text.to_string()).into_owned()),
            None if voice.quiet => {}
            None => {
                speak(voice, &shown(&text.to_string()), |text| Event::Progress { text, done: self.done, of: self.of });
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Writes the words, or the event that stands for them.
fn speak<'a>(voice: Voice, words: &'a str, event: impl FnOnce(&'a str) -> Event<'a>) {
    if voice.json { line(&json(&event(words))) } else { line(words) }
}

fn line(text: &str) {
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(anstream::stderr(), "{text}");
}

fn json(event: &Event<'_>) -> String {
    serde_json::to_string(event).expect("events hold only text and whole numbers")
}

/// Colours the word with which a text begins.
fn graded(severity: Severity, text: &str) -> String {
    let colour = match severity {
        Severity::Error => AnsiColor::Red,
        Severity::Warning => AnsiColor::Yellow,
        Severity::Note => AnsiColor::Cyan,
    };
    let style = Style::new().bold().fg_color(Some(colour.into()));
    let text = shown(text);
    let (word, rest) = text.split_at_checked(severity.as_str().len()).unwrap_or(("", &text));
    format!("{style}{word}{style:#}{rest}")
}

#[cfg(test)]
mod tests {
    use super::{Event, graded, json};
    use crate::{Code, Finding, Severity};

    #[test]
    fn flags_of_the_voice_come_first() {
        let words = |line: &str| line.split(' ').map(Into::into).collect::<Vec<std::ffi::OsString>>();
        for (given, meant) in [
            ("planner profile --json compare a b -q", "planner --json -q profile compare a b"),
            ("planner solve p -- --json", "planner solve p -- --json"),
            ("planner", "planner"),
        ] {
            assert_eq!(super::first(words(given)), words(meant));
        }
    }

    #[test]
    fn a_panic_of_the_engine_is_told_from_one_of_planner() {
        for (file, is_of_engine) in [
            ("/home/a/.cargo/registry/src/index.crates.io-1/rten-0.27.0/src/graph.rs", true),
            ("rten-gemm-0.27.0/src/lib.rs", true),
            ("src/measure/engines/rten.rs", false),
            ("/home/a/.cargo/registry/src/index.crates.io-1/planner-0.1.0/src/tensor/mod.rs", false),
        ] {
            assert_eq!(super::is_of_engine(file), is_of_engine, "{file}");
        }
    }

    #[test]
    fn every_event_is_explained() {
        let page = include_str!("../../docs/formats/events.md");
        let finding = Finding::error(Code::Empty, "", "", "");
        let events = [
            Event::Note { text: "" },
            Event::Progress { text: "", done: 1, of: None },
            Event::Finding { finding: &finding },
            Event::Bug { text: "" },
            Event::Done { exit: 0 },
            Event::Failed { exit: 2, error: "", hint: None },
        ];
        for event in events {
            let value: serde_json::Value = serde_json::from_str(&json(&event)).expect("JSON");
            let row = format!("| `{}` |", value["event"].as_str().expect("a name"));
            let row = page.lines().find(|line| line.starts_with(&row)).expect("a row of the page");
            for key in value.as_object().expect("a table").keys().filter(|key| *key != "event") {
                assert!(row.contains(&format!("`{key}`")) || row.contains(key), "{row}: {key}");
            }
        }
    }

    #[test]
    fn only_the_first_word_is_coloured() {
        let text = graded(Severity::Warning, "warning[empty]: error: x");
        assert!(text.ends_with("[empty]: error: x") && text.contains("warning"), "{text:?}");
        assert_eq!(anstream::adapter::strip_str(&text).to_string(), "warning[empty]: error: x");
    }
}
