//! `planner worker`: runs one variant for `planner profile`, in a process of its own that may crash.
//!
//! People have no use for it, so the help does not list it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;
use crate::base::units::Megabytes;
use crate::measure::engines::model_files;
use crate::measure::{Here, serve};
use crate::profile::Family;

use super::Answer;
use super::engine::EngineChoice;
use super::values::megabytes;

/// Run one variant for another process
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model list (`planner.models/1`)
    models: PathBuf,
    /// Place of the variant in the list, from 0
    #[arg(long)]
    index: usize,
    /// Threads, each pinned to a core of its own
    #[arg(long)]
    cores: u32,
    /// Most memory that this process may write to
    #[arg(long, value_name = "MB", value_parser = megabytes)]
    memory_limit_mb: Option<Megabytes>,
    #[command(flatten)]
    engine: EngineChoice,
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    let engine = args.engine.open()?;
    let family = Family::without_digests(&args.models, model_files(engine.as_ref()))?;
    if args.index >= family.list.variants.len() {
        let what = format!("the list has {} variants, none at place {}", family.list.variants.len(), args.index);
        return Err(Error::Unsupported { what, hint: "places count from 0".to_owned() });
    }
    let lab = Here::new(&family, engine.as_ref());
    let (jobs, replies) = (std::io::stdin().lock(), std::io::stdout().lock());
    serve(lab, (args.index, args.cores), args.memory_limit_mb, jobs, replies)
        .map_err(|error| Error::io("serve", Path::new("stdin"), error))?;
    Ok(Answer::Yes)
}

/// Returns the command that starts a worker of this program.
pub fn command(
    program: &Path,
    models: &Path,
    engine: &EngineChoice,
    memory_limit: Option<Megabytes>,
    (index, cores): (usize, u32),
) -> Command {
    let mut command = Command::new(program);
    engine.apply_to(command.arg("worker").arg(models));
    command.arg("--index").arg(index.to_string()).arg("--cores").arg(cores.to_string());
    command.args(memory_limit.map(|most| format!("--memory-limit-mb={}", most.get())));
    command
}
