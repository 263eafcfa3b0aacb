//! Which engine runs the models.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::Error;
use crate::measure::engines::Engine;
#[cfg(feature = "oip")]
use crate::measure::engines::oip::{Header, Oip};
use clap::ValueEnum;

use super::values::seconds;

/// The variable that holds headers, one a line.
const HEADERS: &str = "PLANNER_HEADERS";

/// The engine that the user chose.
#[derive(Debug, Clone, clap::Args)]
pub struct EngineChoice {
    /// What runs the models
    #[arg(long, value_enum, default_value_t)]
    engine: EngineName,
    /// With --engine ort: the ONNX Runtime library (scripts/onnxruntime fetches one)
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH", hide_env_values = true)]
    ort_lib: Option<PathBuf>,
    /// With --engine command: a line for the shell that starts the program, like 'python3 my_engine.py'
    #[arg(long, value_name = "LINE")]
    command: Option<String>,
    /// With --engine oip: the server's root, like http://localhost:8000
    #[arg(long)]
    url: Option<String>,
    /// With --engine oip: a header of every request, like 'Authorization: Bearer TOKEN'; may be repeated. The variable
    /// takes one a line and keeps secrets out of the list of processes
    #[arg(long = "header", value_name = "NAME: VALUE", env = HEADERS, hide_env_values = true, value_delimiter = '\n')]
    headers: Vec<String>,
    /// What computes, which points carry: with --engine ort cuda:N or tensorrt:N, with command or oip any name
    /// [default: cpu]
    #[arg(long, value_name = "NAME", value_parser = device)]
    device: Option<String>,
    /// With --engine command or oip: longest time for one answer
    #[arg(long, value_name = "S", default_value = "60", value_parser = seconds)]
    engine_timeout_s: Duration,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum EngineName {
    /// Embedded, in pure Rust
    #[default]
    Rten,
    /// ONNX Runtime, from the library that --ort-lib names
    Ort,
    /// A program of your own that speaks JSON lines (docs/engines.md)
    Command,
    /// A running server that speaks the Open Inference Protocol (docs/engines.md)
    Oip,
}

impl EngineName {
    fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

impl EngineChoice {
    /// Makes the engine ready.
    ///
    /// # Errors
    /// [`Error::Engine`] where the engine cannot be reached or loaded; [`Error::Unsupported`] where this build lacks it,
    /// or an option is for another engine.
    pub fn open(&self) -> Result<Box<dyn Engine>, Error> {
        self.check()?;
        let device = self.device.as_deref().unwrap_or("cpu");
        match self.engine {
            #[cfg(feature = "rten")]
            EngineName::Rten => Ok(Box::new(crate::measure::engines::rten::Rten)),
            #[cfg(feature = "ort")]
            EngineName::Ort => {
                Ok(Box::new(crate::measure::engines::ort::Ort::load(self.ort_lib.as_deref())?.on(device)?))
            }
            EngineName::Command => {
                let command = needed("command", self.command.as_deref(), "--command 'python3 my_engine.py'")?;
                Ok(Box::new(crate::measure::engines::command::Spoken::start(command, device, self.engine_timeout_s)?))
            }
            #[cfg(feature = "oip")]
            EngineName::Oip => {
                let url = needed("oip", self.url.as_deref(), "--url http://localhost:8000")?;
                let lines = self.headers.iter().filter(|line| !line.trim().is_empty());
                let headers = lines.map(|line| Header::parse(line)).collect::<Result<Vec<_>, _>>()?;
                Ok(Box::new(Oip::connect(url, &headers, device, self.engine_timeout_s)?))
            }
            #[cfg(not(all(feature = "rten", feature = "ort", feature = "oip")))]
            other => Err(Error::Unsupported {
                what: format!("this build has no engine {}", other.word()),
                hint: "build with `--features rten,ort,oip`".to_owned(),
            }),
        }
    }

    /// Refuses options that the chosen engine would not look at.
    fn check(&self) -> Result<(), Error> {
        let given = [
            ("--command", self.command.is_some(), &[EngineName::Command][..]),
            ("--url", self.url.is_some(), &[EngineName::Oip]),
            ("--device", self.device.is_some(), &[EngineName::Ort, EngineName::Command, EngineName::Oip]),
        ];
        let wrong = given.into_iter().find(|(_, given, takers)| *given && !takers.contains(&self.engine));
        let Some((option, _, takers)) = wrong else { return Ok(()) };
        let words: Vec<_> = takers.iter().map(|taker| format!("--engine {}", taker.word())).collect();
        Err(Error::Unsupported {
            what: format!("{option} means nothing with --engine {}", self.engine.word()),
            hint: format!("leave {option} away, or pass {}", words.join(" or ")),
        })
    }

    /// Tells whether the engine is a server, whose cores nobody here chooses.
    pub fn is_server(&self) -> bool {
        self.engine == EngineName::Oip
    }

    /// Lets another process choose the same engine.
    pub fn apply_to(&self, command: &mut Command) {
        command.args(["--engine", &self.engine.word()]);
        // Everybody may read another process's arguments, but not its environment.
        command.env(HEADERS, self.headers.join("\n"));
        let mut add = |name: &str, value: Option<OsString>| {
            if let Some(value) = value {
                command.arg(name).arg(value);
            }
        };
        add("--ort-lib", self.ort_lib.clone().map(OsString::from));
        add("--command", self.command.clone().map(OsString::from));
        add("--url", self.url.clone().map(OsString::from));
        add("--device", self.device.clone().map(OsString::from));
        add("--engine-timeout-s", Some(self.engine_timeout_s.as_secs_f64().to_string().into()));
    }
}

fn needed<'a>(engine: &str, value: Option<&'a str>, example: &str) -> Result<&'a str, Error> {
    value.ok_or_else(|| Error::Unsupported {
        what: format!("--engine {engine} does not say which"),
        hint: format!("pass {example}; docs/engines.md tells the rest"),
    })
}

fn device(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty() && text.chars().all(|letter| letter.is_ascii_graphic());
    is_name.then(|| text.to_owned()).ok_or_else(|| "a device is one word, like cpu or cuda:0".to_owned())
}
