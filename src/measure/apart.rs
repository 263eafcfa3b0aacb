//! The laboratory in child processes: a variant that crashes, hangs or eats up the memory takes nobody along.
//!
//! ```text
//! Apart (this process)                             serve (a child: one variant)
//!   visit ──▶ start, {"block": {...}}  ──stdin──▶    Here::visit, Visit::block
//!         ◀── {"block": {...}}         ◀─stdout──
//! ```
//!
//! Every child begins with nothing loaded, so the time and memory that it takes are those of a new replica.

use std::fs::{self, File};
use std::io::{self, BufRead, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::block::{Block, Enough};
use super::lab::{Answered, Footprint, Half, Here, Lab, Memory, Surveyed, Visit};
use crate::base::error::Error;
use crate::base::finding::{Finding, Findings};
use crate::base::units::{Megabytes, Millis};
use crate::measure::engines::{Engine, shown};
use crate::measure::line_protocol::{Silence, Talk};
use crate::profile::{CertaintyMeasure, Key};
use crate::profile::{Family, onnx};

/// Times that a variant is brought up, with the page cache and without; the median counts.
const LOADS: usize = 3;

/// What a child may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Longest time for one answer, block or load.
    pub time: Duration,
    /// Most memory that it may write to; no limit but the machine's where absent.
    pub memory: Option<Megabytes>,
}

/// What a child is asked to do with its variant.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Job {
    Shape {},
    Load { shape: Option<Vec<usize>> },
    Memory { batches: Vec<u32>, shape: Option<Vec<usize>> },
    Answers { half: Half, certainty: CertaintyMeasure },
    Block { key: Key, seed: u64, earlier: Vec<Block>, enough: Enough },
}

/// What it says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Reply {
    Shape(Option<Vec<usize>>),
    Load(Millis),
    Memory(Memory),
    Answers(Answered),
    Block(Block),
    Refused(Vec<Finding>),
    Failed(String),
    Unsupported { what: String, hint: String },
}

/// The laboratory in child processes.
pub struct Apart<'a> {
    family: &'a Family,
    engine: &'a dyn Engine,
    /// Returns the command that starts a child for the variant at this place of the list, on so many cores.
    command: &'a dyn Fn(usize, u32) -> Command,
    limits: Limits,
}

impl<'a> Apart<'a> {
    /// Returns a laboratory whose children are started by `command`, given the variant's place in the list and a number
    /// of cores. A child calls [`serve`].
    #[must_use]
    pub const fn new(
        family: &'a Family,
        engine: &'a dyn Engine,
        command: &'a dyn Fn(usize, u32) -> Command,
        limits: Limits,
    ) -> Self {
        Self { family, engine, command, limits }
    }

    fn child(&self, index: usize, cores: u32) -> Result<Child<'_>, Error> {
        let talk = Talk::start(&mut (self.command)(index, cores), self.limits.time)
            .map_err(|error| self.failed(format!("no process of its own can be started: {error}")))?;
        Ok(Child { lab: self, talk })
    }

    fn failed(&self, message: String) -> Error {
        Error::Engine { engine: self.engine.name(), message }
    }

    /// Brings a variant up in new processes and returns the median time.
    fn load_time(
        &self,
        (index, cores): (usize, u32),
        shape: Option<&Vec<usize>>,
        before: impl Fn(),
    ) -> Result<Millis, Error> {
        let mut times = Vec::new();
        for _ in 0..LOADS {
            before();
            match self.child(index, cores)?.ask(&Job::Load { shape: shape.cloned() })? {
                Reply::Load(time) => times.push(time),
                other => return Err(self.odd(&other)),
            }
        }
        times.sort_by(|a, b| a.get().total_cmp(&b.get()));
        Ok(times[LOADS / 2])
    }

    /// Returns the shape in which a later stage receives one sample; nothing for all else.
    fn received_shape(&self, index: usize, cores: u32) -> Result<Option<Vec<usize>>, Error> {
        if self.family.stages_before(index).is_empty() {
            return Ok(None);
        }
        match self.child(index, cores)?.ask(&Job::Shape {})? {
            Reply::Shape(shape) => Ok(shape),
            other => Err(self.odd(&other)),
        }
    }

    fn odd(&self, reply: &Reply) -> Error {
        let reply = serde_json::to_string(reply).unwrap_or_default();
        self.failed(format!("its process answered something else: {}", shown(&reply)))
    }

    /// Says how a child ended, and what that usually means.
    fn end_of(&self, status: Option<ExitStatus>) -> String {
        let limit = self.limits.memory.map(|most| format!(" of {} MB", most.get())).unwrap_or_default();
        match status.and_then(|status| status.signal()).map(Signal::try_from) {
            Some(Ok(Signal::SIGABRT)) => {
                format!("its process was aborted (SIGABRT), as happens where the memory{limit} runs out")
            }
            Some(Ok(Signal::SIGKILL)) => {
                "its process was killed (SIGKILL), as the kernel does where memory runs out".to_owned()
            }
            Some(Ok(signal)) => format!("its process crashed ({signal})"),
            _ => {
                let how = status.map_or_else(|| "unexpectedly".to_owned(), |status| format!("with {status}"));
                format!("its process ended {how}")
            }
        }
    }
}

struct Child<'a> {
    lab: &'a Apart<'a>,
    talk: Talk,
}

impl Child<'_> {
    fn ask(&mut self, job: &Job) -> Result<Reply, Error> {
        let lab = self.lab;
        let line = serde_json::to_string(job).map_err(|error| lab.failed(error.to_string()))?;
        let (answer, _) = self.talk.ask(line).map_err(|silence| {
            lab.failed(match silence {
                Silence::TimedOut => {
                    format!("its process took longer than {} s and was ended", lab.limits.time.as_secs_f64())
                }
                Silence::NoText(error) => format!("its process answered what is no text: {error}"),
                Silence::Ended(status) => lab.end_of(status),
            })
        })?;
        match serde_json::from_str(&answer) {
            Ok(Reply::Refused(findings)) => Err(Findings(findings).into()),
            Ok(Reply::Failed(message)) => Err(lab.failed(message)),
            Ok(Reply::Unsupported { what, hint }) => Err(Error::Unsupported { what, hint }),
            Ok(reply) => Ok(reply),
            Err(error) => Err(lab.failed(format!("its process answered `{}`: {error}", shown(&answer)))),
        }
    }
}

impl Lab for Apart<'_> {
    fn engine(&self) -> &dyn Engine {
        self.engine
    }

    /// Looks at the file only, unless the engine alone can tell: nothing is run in this process.
    fn survey(&self, index: usize) -> Result<Surveyed, Error> {
        Here::new(self.family, self.engine).survey(index)
    }

    fn footprint(&self, index: usize, cores: u32, batches: &[u32]) -> Result<Footprint, Error> {
        // A stage is brought up in a process that has not seen those before it.
        let shape = self.received_shape(index, cores)?;
        let job = Job::Memory { batches: batches.to_vec(), shape: shape.clone() };
        let memory = match self.child(index, cores)?.ask(&job)? {
            Reply::Memory(memory) => memory,
            other => return Err(self.odd(&other)),
        };
        let load_time_ms = self.load_time((index, cores), shape.as_ref(), || ())?;
        // A server read the file long ago.
        let file = self.family.folder.join(&self.family.list.variants[index].file);
        // Weights that lie in files of their own belong to the model.
        let files = [onnx::external_files(&file), vec![file]].concat();
        let forget_all = || files.iter().try_for_each(|file| forget(file));
        let reads = self.engine.reads_files() && forget_all().is_ok();
        let cold = reads.then(|| self.load_time((index, cores), shape.as_ref(), || drop(forget_all()))).transpose()?;
        Ok(Footprint { load_time_ms, cold_load_time_ms: cold, memory })
    }

    fn answers(&self, index: usize, cores: u32, half: Half, certainty: CertaintyMeasure) -> Result<Answered, Error> {
        match self.child(index, cores)?.ask(&Job::Answers { half, certainty })? {
            Reply::Answers(answered) => Ok(answered),
            other => Err(self.odd(&other)),
        }
    }

    fn visit(&self, index: usize, cores: u32) -> Result<Box<dyn Visit + '_>, Error> {
        Ok(Box::new(VisitApart(self.child(index, cores)?)))
    }
}

struct VisitApart<'a>(Child<'a>);

impl Visit for VisitApart<'_> {
    fn block(&mut self, key: Key, seed: u64, earlier: &[Block], enough: Enough) -> Result<Block, Error> {
        match self.0.ask(&Job::Block { key, seed, earlier: earlier.to_vec(), enough })? {
            Reply::Block(block) => Ok(block),
            other => Err(self.0.lab.odd(&other)),
        }
    }
}

/// Drops a file from the page cache, so that the next who reads it waits for the disk.
fn forget(file: &Path) -> io::Result<()> {
    let file = File::open(file)?;
    // Pages that are not on the disk yet cannot be dropped.
    file.sync_all()?;
    Ok(posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?)
}

/// Does the jobs that come in lines for one variant on so many cores, and answers each in a line, until nobody asks any
/// more.
///
/// # Errors
/// What the system says where it cannot limit itself or nobody hears the answers.
pub fn serve(
    lab: Here<'_>,
    (index, cores): (usize, u32),
    memory: Option<Megabytes>,
    jobs: impl BufRead,
    mut replies: impl Write,
) -> io::Result<()> {
    if let Some(most) = memory {
        let bytes = (most.get() * 1e6) as u64;
        setrlimit(Resource::RLIMIT_DATA, bytes, bytes)?;
    }
    // Where the machine runs out of memory, this process goes before the one that keeps the results.
    let _ = fs::write("/proc/self/oom_score_adj", "900");
    let mut visit = None;
    for line in jobs.lines() {
        let outcome = match serde_json::from_str(&line?)? {
            Job::Shape {} => lab.received_shape(index, cores).map(Reply::Shape),
            Job::Load { shape } => lab.load_time(index, cores, shape.as_deref()).map(Reply::Load),
            Job::Memory { batches, shape } => lab.memory(index, cores, &batches, shape.as_deref()).map(Reply::Memory),
            Job::Answers { half, certainty } => lab.answers(index, cores, half, certainty).map(Reply::Answers),
            Job::Block { key, seed, earlier, enough } => {
                // All blocks share one opened variant.
                let opened = match visit.take() {
                    Some(opened) => Ok(opened),
                    None => lab.visit(index, cores),
                };
                opened.and_then(|mut opened| {
                    let block = opened.block(key, seed, &earlier, enough)?;
                    visit = Some(opened);
                    Ok(Reply::Block(block))
                })
            }
        };
        say(&mut replies, outcome)?;
    }
    Ok(())
}

fn say(replies: &mut impl Write, outcome: Result<Reply, Error>) -> io::Result<()> {
    let reply = outcome.unwrap_or_else(|error| match error {
        Error::Input(findings) => Reply::Refused(findings.0),
        Error::Engine { message, .. } => Reply::Failed(message),
        Error::Unsupported { what, hint } => Reply::Unsupported { what, hint },
        other => Reply::Failed(other.to_string()),
    });
    serde_json::to_writer(&mut *replies, &reply)?;
    replies.write_all(b"\n")?;
    replies.flush()
}
