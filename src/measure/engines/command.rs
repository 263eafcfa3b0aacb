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

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::base::error::Error;
use crate::measure::engines::{Engine, Run, Session, checked, refused_model, samples_of, shown};
use crate::measure::line_protocol::{Silence, Talk};
use crate::tensor::{DType, Data, Named};

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

    /// Only numbers that JSON lists as 32-bit floats go to the program.
    fn holds(&self, declared: DType) -> Option<DType> {
        (declared == DType::F32).then_some(declared)
    }

    fn open(&self, model: &Path, outputs: &[&str], cores: u32) -> Result<Box<dyn Session>, Error> {
        let output = outputs.first().copied();
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
    fn run(&mut self, inputs: &[Named]) -> Result<Run, Error> {
        let [Named { tensor, .. }] = inputs else {
            return Err(failed(format!("a program is given one input, not {}", inputs.len())));
        };
        let Data::F32(data) = tensor.data() else {
            return Err(failed(format!("a program is given float32, not {}", tensor.dtype())));
        };
        let ask = Ask::Run { shape: tensor.shape(), data };
        let (answer, round_trip) = self.child.ask::<ScoresAnswer>(&ask).map_err(Trouble::of_engine)?;
        let wall = answer.wall_ms.map_or(Ok(round_trip), |ms| wall_of(ms, self.child.limit))?;
        let scores = checked(NAME, (answer.scores, answer.classes), samples_of(inputs))?;
        Ok(Run { outputs: vec![Named::new("", scores)], wall })
    }
}

/// Returns the time that a child says its call took: some time, and no more than it had.
fn wall_of(ms: f64, limit: Duration) -> Result<Duration, Error> {
    let wall = Duration::try_from_secs_f64(ms / 1e3).ok().filter(|wall| !wall.is_zero());
    let wall = wall.ok_or_else(|| failed(format!("`wall_ms` is {ms}, which is no time")))?;
    if wall > limit {
        return Err(failed(format!("`wall_ms` is {ms}, but it answered within {} s", limit.as_secs_f64())));
    }
    Ok(wall)
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

/// The user's program, running.
struct Child {
    talk: Talk,
    command: String,
    limit: Duration,
}

impl Child {
    /// Starts a child, which inherits the affinity mask of this thread.
    fn start(command: &str, limit: Duration) -> Result<Self, Error> {
        let talk = Talk::start(Command::new("sh").arg("-c").arg(command), limit)
            .map_err(|error| failed(format!("`{command}` cannot be started: {error}")))?;
        Ok(Self { talk, command: command.to_owned(), limit })
    }

    /// Asks for an answer, with the time it took. A child that breaks the rules is ended.
    fn ask<T: DeserializeOwned>(&mut self, ask: &Ask<'_>) -> Result<(T, Duration), Trouble> {
        let answer = self.line(ask).and_then(|(line, time)| Ok((self.read(ask, &line)?, time)));
        if matches!(answer, Err(Trouble::Broken(_))) {
            self.talk.end();
        }
        answer
    }

    fn line(&mut self, ask: &Ask<'_>) -> Result<(String, Duration), Trouble> {
        let word = ask.word();
        let line = serde_json::to_string(ask);
        let answer = line.map_err(|error| format!("cannot be asked: {error}")).and_then(|line| {
            self.talk.ask(line).map_err(|silence| match silence {
                Silence::NoText(error) => format!("answered `{word}` with what is no text: {error}"),
                Silence::Ended(_) => format!(
                    "ended before it answered `{word}`\n  hint: its own words, if any, stand above; \
                     docs/engines.md shows a complete example"
                ),
                Silence::TimedOut => format!(
                    "did not answer `{word}` within {} s and was ended\n  hint: it must flush stdout after each answer; \
                     where it needs longer, pass --engine-timeout-s",
                    self.limit.as_secs_f64()
                ),
            })
        });
        answer.map_err(|what| Trouble::Broken(format!("`{}` {what}", self.command)))
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
}
