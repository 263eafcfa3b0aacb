//! An engine that is somebody's own program: a child process that speaks JSON lines (`docs/engines.md`).
//!
//! ```text
//! {"about": {}}                                         ▶  {"about": {"name": "...", "version": "..."}}
//! {"open": {"model": "...", "output": null, "cores": 1}} ▶  {"opened": {}}
//! {"run": {"shape": [2, 4], "data": [...]}}             ▶  {"scores": [...], "classes": 10, "wall_ms": 1.5}
//! ```
//!
//! One child asks who it is, then one child serves each session. A child is ended as soon as it breaks the rules, and
//! with its session.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::engine::{Batch, Engine, Run, Session, checked, refused_model, shown};
use crate::error::Error;

const NAME: &str = "command";

/// A program of the user's, started once for each session.
#[derive(Debug, Clone)]
pub struct Spoken {
    command: String,
    limit: Duration,
    device: String,
    version: String,
}

impl Spoken {
    /// Starts the command once to ask who it is. Every answer may take as long as `limit`.
    ///
    /// `command` is a line for `sh`; `device` is what points will say they were measured on.
    ///
    /// # Errors
    /// [`Error::Engine`] where it cannot be started, or does not answer as it should.
    pub fn start(command: &str, device: &str, limit: Duration) -> Result<Self, Error> {
        let mut child = Child::start(command, limit)?;
        let (answer, _) = child.ask::<AboutAnswer>(&Ask::About {}).map_err(Trouble::of_engine)?;
        let version = format!("{} {}", answer.about.name, answer.about.version);
        Ok(Self { command: command.to_owned(), limit, device: device.to_owned(), version })
    }
}

impl Engine for Spoken {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn device(&self) -> String {
        self.device.clone()
    }

    fn works_here(&self) -> bool {
        false
    }

    fn open(&self, model: &Path, output: Option<&str>, cores: u32) -> Result<Box<dyn Session>, Error> {
        let mut child = Child::start(&self.command, self.limit)?;
        match child.ask::<OpenedAnswer>(&Ask::Open { model, output, cores }) {
            Ok(_) => Ok(Box::new(SpokenSession { child })),
            Err(Trouble::Refused(cause)) => {
                Err(refused_model(NAME, model, cause, "the command says so itself; check the file and the command"))
            }
            Err(trouble) => Err(trouble.of_engine()),
        }
    }
}

struct SpokenSession {
    child: Child,
}

impl Session for SpokenSession {
    fn run(&mut self, input: &Batch) -> Result<Run, Error> {
        let ask = Ask::Run { shape: &input.shape, data: &input.data };
        let (answer, round_trip) = self.child.ask::<ScoresAnswer>(&ask).map_err(Trouble::of_engine)?;
        let wall = answer.wall_ms.map_or(Ok(round_trip), wall_of)?;
        checked(NAME, Run { scores: answer.scores, classes: answer.classes, wall }, input.samples())
    }
}

fn wall_of(ms: f64) -> Result<Duration, Error> {
    Duration::try_from_secs_f64(ms / 1e3).map_err(|_| failed(format!("`wall_ms` is {ms}, which is no time")))
}

fn failed(message: String) -> Error {
    Error::Engine { engine: NAME, message }
}

/// What a child is asked.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Ask<'a> {
    About {},
    Open { model: &'a Path, output: Option<&'a str>, cores: u32 },
    Run { shape: &'a [usize], data: &'a [f32] },
}

impl Ask<'_> {
    const fn word(&self) -> &'static str {
        match self {
            Self::About {} => "about",
            Self::Open { .. } => "open",
            Self::Run { .. } => "run",
        }
    }
}

#[derive(Deserialize)]
struct AboutAnswer {
    about: About,
}

#[derive(Deserialize)]
struct About {
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct OpenedAnswer {
    #[serde(rename = "opened")]
    _opened: IgnoredAny,
}

#[derive(Deserialize)]
struct ScoresAnswer {
    scores: Vec<f32>,
    classes: usize,
    wall_ms: Option<f64>,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: String,
}

/// Why there is no answer.
enum Trouble {
    /// The child says that it cannot.
    Refused(String),
    /// The child does not keep to the rules.
    Broken(String),
}

impl Trouble {
    fn of_engine(self) -> Error {
        match self {
            Self::Refused(message) | Self::Broken(message) => failed(message),
        }
    }
}

/// What came back for one line: the answer and the time from the first byte out to the last byte in.
type Heard = io::Result<(String, Duration)>;

/// A running child. A thread of its own talks to it, so that the time limit holds whether the child does not write or
/// does not even read.
struct Child {
    process: std::process::Child,
    command: String,
    limit: Duration,
    lines: Sender<String>,
    heard: Receiver<Heard>,
    ended: bool,
}

impl Child {
    /// Starts a child, which inherits the affinity mask of this thread, as does the thread that talks to it.
    fn start(command: &str, limit: Duration) -> Result<Self, Error> {
        let refused = |error: io::Error| failed(format!("`{command}` cannot be started: {error}"));
        // A group of its own, so that ending it also ends what the shell has started.
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command).process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = shell.spawn().map_err(refused)?;
        let to = process.stdin.take().expect("stdin was asked to be a pipe");
        let from = process.stdout.take().expect("stdout was asked to be a pipe");
        let (lines, asked) = channel();
        let (answers, heard) = channel();
        let child = Self { process, command: command.to_owned(), limit, lines, heard, ended: false };
        let talker = thread::Builder::new().name("command".to_owned());
        talker.spawn(move || talk(to, from, &asked, &answers)).map_err(refused)?;
        Ok(child)
    }

    /// Asks for an answer, with the time it took. A child that breaks the rules is ended.
    fn ask<T: DeserializeOwned>(&mut self, ask: &Ask<'_>) -> Result<(T, Duration), Trouble> {
        let answer = self.line(ask).and_then(|(line, time)| Ok((self.read(ask, &line)?, time)));
        if matches!(answer, Err(Trouble::Broken(_))) {
            self.end();
        }
        answer
    }

    fn line(&self, ask: &Ask<'_>) -> Result<(String, Duration), Trouble> {
        let broken = |what: String| Trouble::Broken(format!("`{}` {what}", self.command));
        let mut line = serde_json::to_string(ask).map_err(|error| broken(format!("cannot be asked: {error}")))?;
        line.push('\n');
        let word = ask.word();
        // Where the talker has gone, so has what it sends with: the next line says so.
        let _ = self.lines.send(line);
        match self.heard.recv_timeout(self.limit) {
            Ok(Ok((line, time))) if !line.is_empty() => Ok((line, time)),
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                Err(broken(format!("answered `{word}` with what is no text: {error}")))
            }
            Ok(_) | Err(RecvTimeoutError::Disconnected) => Err(broken(format!(
                "ended before it answered `{word}`\n  hint: its own words, if any, stand above; \
                 docs/engines.md shows a complete example"
            ))),
            Err(RecvTimeoutError::Timeout) => Err(broken(format!(
                "did not answer `{word}` within {} s and was ended\n  hint: it must flush stdout after each answer; \
                 where it needs longer, pass --engine-timeout-s",
                self.limit.as_secs_f64()
            ))),
        }
    }

    fn read<T: DeserializeOwned>(&self, ask: &Ask<'_>, line: &str) -> Result<T, Trouble> {
        if let Ok(ErrorAnswer { error }) = serde_json::from_str(line) {
            return Err(Trouble::Refused(error));
        }
        serde_json::from_str(line).map_err(|error| {
            let hint = if error.is_data() {
                "docs/engines.md shows every answer"
            } else {
                "an answer is one line of JSON, which has no NaN or Infinity; everything else goes to stderr"
            };
            let (shown, word) = (shown(line.trim_end()), ask.word());
            Trouble::Broken(format!("`{}` answered `{word}` with `{shown}`: {error}\n  hint: {hint}", self.command))
        })
    }

    /// Ends the child and all that it has started.
    fn end(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        // It may have ended by itself; waiting is right in any case, and nobody can do anything about a refusal.
        if let Ok(group) = i32::try_from(self.process.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.process.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}

/// Passes lines to a child and answers back until nobody asks any more. Ending the child ends every wait in here.
fn talk(mut to: ChildStdin, from: ChildStdout, asked: &Receiver<String>, answers: &Sender<Heard>) {
    let mut from = BufReader::new(from);
    for ask in asked {
        let begin = Instant::now();
        let mut line = String::new();
        let outcome = to.write_all(ask.as_bytes()).and_then(|()| from.read_line(&mut line));
        if answers.send(outcome.map(|_| (line, begin.elapsed()))).is_err() {
            return;
        }
    }
}
