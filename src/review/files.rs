//! Finding the files of a review, and loading whatever they are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Entry, Manifest, Revision, of_class};
use crate::base::codec::{Document, Loaded, load, parse_value};
use crate::base::error::Error;
use crate::base::files::read;
use crate::base::finding::{Code, Finding, Findings, Severity};
use crate::plan::Plan;
use crate::problem::Problem;
use crate::profile::{ModelList, Profile};
use crate::replay::load::LoadTest;
use crate::simulate::Report;

/// Name of a manifest in its folder.
const MANIFEST: &str = "planner.ci.toml";

/// A file of this project.
pub(super) enum Known {
    Plan(Box<Loaded<Plan>>),
    Profile(Box<Loaded<Profile>>),
    /// Whatever only has to be well-formed.
    Other(&'static str, Findings),
}

/// Finds the files that `path` asks for: a manifest and what it names, a folder that holds one, any other folder with all
/// that lies in it, or one file. Returns them in the order of their names, and the manifest.
///
/// # Errors
/// [`Error::Input`] for a manifest that is none, and for names that are not there.
pub fn find(path: &Path) -> Result<(Manifest, Vec<PathBuf>), Error> {
    let inside = path.join(MANIFEST);
    let manifest = if inside.is_file() { &inside } else { path };
    if !manifest.is_file() || parse_value(manifest, &read(manifest)?)?["format"] != Manifest::FORMAT {
        let mut files = Vec::new();
        listed(path, &mut BTreeSet::new(), &mut files)?;
        files.sort();
        return Ok((Manifest::default(), files));
    }
    let named = load::<Manifest>(manifest)?.document;
    let folder = manifest.parent().unwrap_or(Path::new(""));
    let (mut files, mut seen) = (Vec::new(), BTreeSet::new());
    let mut findings = Findings::default();
    for (key, paths) in [("profiles", &named.profiles), ("problems", &named.problems), ("plans", &named.plans)] {
        for (index, path) in paths.iter().enumerate() {
            let path = folder.join(path);
            let path = path.strip_prefix(".").map_or(path.clone(), Path::to_owned);
            if path.exists() {
                listed(&path, &mut seen, &mut files)?;
            } else {
                let cause = format!("there is no {}", path.display());
                let action = "paths are relative to the manifest";
                findings.push(Finding::error(Code::Unreadable, format!("{key}[{index}]"), cause, action));
            }
        }
    }
    files.sort();
    files.dedup();
    findings.in_file(manifest).or((named, files)).map_err(Error::from)
}

/// Returns an entry for each plan that the revision has where plans are looked for, by today's manifest or by that of then, and
/// that is gone today.
///
/// # Errors
/// As [`Revision::file`].
pub fn gone(manifest: &Manifest, path: &Path, base: &Revision) -> Result<Vec<Entry>, Error> {
    let of_manifest = if path.is_dir() { path.join(MANIFEST) } else { path.to_owned() };
    let then = base.file(&of_manifest)?.and_then(|then| load::<Manifest>(&then).ok()).map(|then| then.document.plans);
    let named = manifest.plans.iter().chain(then.iter().flatten());
    let folder = of_manifest.parent().unwrap_or(Path::new(""));
    let beside = |path: &PathBuf| {
        let path = folder.join(path);
        path.strip_prefix(".").map_or(path.clone(), Path::to_owned)
    };
    let mut below: Vec<PathBuf> = named.map(beside).collect();
    if below.is_empty() {
        below.push(path.to_owned());
    }
    let entry = |file: PathBuf| {
        let cause = format!("`{}` has this plan, it is gone now", base.name);
        let finding = of_class(manifest, Code::OtherPlan, "", cause, "restore it, or see that nothing deploys it");
        let severity = finding.severity.max(Severity::Warning);
        Entry::of(file.clone(), Plan::NOUN, Findings::from(finding.with_severity(severity)).in_file(&file).0)
    };
    Ok(base.gone(&below)?.into_iter().map(entry).collect())
}

/// Adds a file itself, or every JSON and TOML file below a folder; what is hidden stays so. What was `seen` by its real name is
/// passed over, so that links are followed once.
fn listed(path: &Path, seen: &mut BTreeSet<PathBuf>, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let io = |error| Error::io("read", path, error);
    if !path.is_dir() {
        read(path)?;
        if seen.insert(path.canonicalize().map_err(io)?) {
            files.push(path.to_owned());
        }
        return Ok(());
    }
    if !seen.insert(path.canonicalize().map_err(io)?) {
        return Ok(());
    }
    let items: Result<Vec<PathBuf>, _> =
        fs::read_dir(path).map_err(io)?.map(|item| item.map(|item| item.path())).collect();
    let mut items = items.map_err(io)?;
    // What is there by itself comes before links to it.
    items.sort_by_key(|item| (item.is_symlink(), item.clone()));
    for item in items {
        // What CI systems are told of is named from the root of the repository.
        let item = item.strip_prefix(".").map_or(item.clone(), Path::to_owned);
        let hidden = item.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let ours = item.extension().is_some_and(|extension| extension == "json" || extension == "toml");
        if !hidden && (item.is_dir() || ours) {
            listed(&item, seen, files)?;
        }
    }
    Ok(())
}

/// Loads a file as what its `format` key says; `None` where it is not of this project.
///
/// What is no JSON or TOML is somebody else's, as a `tsconfig.json` with comments is, unless it says `planner.` somewhere: a plan with
/// the marks of a merge in it must not be passed over. Nobody can tell whose an empty file is.
pub(super) fn load_known(path: &Path) -> Result<Option<Known>, Error> {
    fn other<T: Document>(path: &Path) -> Result<Known, Error> {
        Ok(Known::Other(T::NOUN, load::<T>(path)?.findings))
    }
    let bytes = read(path)?;
    let value = match parse_value(path, &bytes) {
        Err(_) if !bytes.is_empty() && !mentions_planner(&bytes) => return Ok(None),
        parsed => parsed?,
    };
    let Some(format) = value["format"].as_str().filter(|format| format.starts_with("planner.")) else {
        return Ok(None);
    };
    let known = match format {
        Plan::FORMAT => Known::Plan(Box::new(load(path)?)),
        Profile::FORMAT => Known::Profile(Box::new(load(path)?)),
        Problem::FORMAT => other::<Problem>(path)?,
        ModelList::FORMAT => other::<ModelList>(path)?,
        LoadTest::FORMAT => other::<LoadTest>(path)?,
        Report::FORMAT => other::<Report>(path)?,
        Manifest::FORMAT => other::<Manifest>(path)?,
        _ => {
            let cause = format!("this version knows no `{format}`");
            let finding = Finding::error(Code::Format, "format", cause, "see docs/formats");
            return Err(Findings::from(finding).in_file(path).into());
        }
    };
    Ok(Some(known))
}

/// Tells whether a text names one of our formats, in whatever encoding it came.
fn mentions_planner(bytes: &[u8]) -> bool {
    const WORD: &[u8] = b"planner.";
    let letters: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    letters.windows(WORD.len()).any(|window| window == WORD)
}
