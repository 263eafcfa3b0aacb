//! `planner footprint`: what bringing one variant up costs, measured in a process that has loaded nothing before.
//!
//! `planner profile` starts it for every variant; people have no use for it, so the help does not list it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use planner::Error;
use planner::profile::{Family, Footprint, footprint};

use super::engine::EngineChoice;
use super::{Answer, print};

/// Measure what bringing one variant up costs
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
    #[command(flatten)]
    engine: EngineChoice,
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    let engine = args.engine.open()?;
    let family = Family::load(&args.models)?;
    if args.index >= family.list.variants.len() {
        let what = format!("the list has {} variants, none at place {}", family.list.variants.len(), args.index);
        return Err(Error::Unsupported { what, hint: "places count from 0".to_owned() });
    }
    let cost = footprint(engine.as_ref(), &family, args.index, args.cores)?;
    print(&planner::format::to_bytes(&cost))?;
    Ok(Answer::Yes)
}

/// Runs the command in a new process of this program; `None` where that fails, for whatever reason.
pub fn in_new_process(models: &Path, engine: &EngineChoice, index: usize, cores: u32) -> Option<Footprint> {
    let mut command = Command::new(std::env::current_exe().ok()?);
    command.arg("footprint").arg(models).args(engine.arguments());
    command.arg("--index").arg(index.to_string()).arg("--cores").arg(cores.to_string());
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    serde_json::from_slice(&output.stdout).ok()
}
