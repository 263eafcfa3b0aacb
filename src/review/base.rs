//! Another git revision's files, brought into a folder of their own as they are asked for.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::base::codec::load;
use crate::base::error::Error;
use crate::base::files::write_atomic;
use crate::base::paths::plain;
use crate::plan::{InputRole, Plan};
use crate::problem::Problem;
use crate::profile::Profile;

/// A revision of the git repository that a path lies in.
#[derive(Debug)]
pub struct Revision {
    /// As the user named it.
    pub name: String,
    root: PathBuf,
    folder: TempDir,
}

impl Revision {
    /// Opens a revision of the repository that `near` lies in.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where git, the repository or the revision is not there.
    pub fn open(name: &str, near: &Path) -> Result<Self, Error> {
        let near = plain(near).map_err(|error| Error::io("find", near, error))?;
        let folder = if near.is_dir() { near.as_path() } else { near.parent().unwrap_or(Path::new("/")) };
        let root = git(folder, &["rev-parse", "--show-toplevel"])?;
        let root = PathBuf::from(String::from_utf8_lossy(&root).trim_end());
        git(&root, &["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{name}^{{commit}}")]).map_err(
            |_| Error::Unsupported {
                what: format!("{} has no revision `{name}`", root.display()),
                hint: "name a branch, tag or commit that was fetched; CI often fetches one commit only".to_owned(),
            },
        )?;
        let folder =
            tempfile::tempdir().map_err(|error| Error::io("create", Path::new("a temporary folder"), error))?;
        Ok(Self { name: name.to_owned(), root, folder })
    }

    /// Returns where a file of today lies as it was then, with all that it names; `None` where it was not there.
    ///
    /// # Errors
    /// [`Error::Input`] where it or what it names cannot be used, [`Error::Io`] where it cannot be kept.
    pub fn file(&self, path: &Path) -> Result<Option<PathBuf>, Error> {
        let Some(inside) = self.inside(path) else { return Ok(None) };
        let Some(then) = self.fetch(&inside)? else { return Ok(None) };
        self.fetch_named(&inside, &then)?;
        Ok(Some(then))
    }

    /// Returns where a folder of today lies as it was then, with the JSON and TOML files in it.
    ///
    /// # Errors
    /// As [`Self::file`].
    pub fn folder(&self, path: &Path) -> Result<Option<PathBuf>, Error> {
        let Some(inside) = self.inside(path) else { return Ok(None) };
        for name in self.listed(&inside)? {
            self.file(&self.root.join(name))?;
        }
        Ok(Some(self.folder.path().join(inside)).filter(|folder| folder.is_dir()))
    }

    /// Returns the plans of then that lie below these paths and are gone today, each as it was below its path.
    ///
    /// # Errors
    /// As [`Self::file`].
    pub fn gone(&self, below: &[PathBuf]) -> Result<BTreeSet<PathBuf>, Error> {
        let mut gone = BTreeSet::new();
        for path in below {
            let Some(inside) = self.inside(path) else { continue };
            for name in self.listed(&inside)?.iter().filter(|name| !self.root.join(name).exists()) {
                let then = self.fetch(name)?;
                if then.is_some_and(|then| load::<Plan>(&then).is_ok()) {
                    let below = name.strip_prefix(&inside).ok().filter(|below| !below.as_os_str().is_empty());
                    gone.insert(below.map_or_else(|| path.clone(), |below| path.join(below)));
                }
            }
        }
        Ok(gone)
    }

    /// Returns the way of a path from the root of the repository.
    fn inside(&self, path: &Path) -> Option<PathBuf> {
        let root = fs::canonicalize(&self.root).ok()?;
        let path = plain(path).ok()?;
        // The repository may have been reached through a link; what was deleted since has no real path itself.
        let real = fs::canonicalize(path.parent()?)
            .map_or_else(|_| path.clone(), |parent| parent.join(path.file_name().unwrap_or_default()));
        [real, path]
            .iter()
            .find_map(|path| path.strip_prefix(&root).or(path.strip_prefix(&self.root)).ok().map(Path::to_owned))
    }

    /// Returns the JSON and TOML files below a path, from the root of the repository.
    fn listed(&self, inside: &Path) -> Result<Vec<PathBuf>, Error> {
        let below = Some(slashed(inside)).filter(|below| !below.is_empty()).unwrap_or_else(|| ".".to_owned());
        let listed = git(&self.root, &["ls-tree", "-r", "-z", "--name-only", &self.name, "--", &below])?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let ours = |name: &&str| name.ends_with(".json") || name.ends_with(".toml");
        Ok(listed.split('\0').filter(ours).map(PathBuf::from).collect())
    }

    /// Brings one file.
    fn fetch(&self, inside: &Path) -> Result<Option<PathBuf>, Error> {
        let then = self.folder.path().join(inside);
        if then.exists() {
            return Ok(Some(then));
        }
        let object = format!("{}:{}", self.name, slashed(inside));
        if git(&self.root, &["cat-file", "-t", &object]).ok().is_none_or(|kind| kind != b"blob\n") {
            return Ok(None);
        }
        let bytes = git(&self.root, &["cat-file", "blob", &object])?;
        let parent = then.parent().unwrap_or(self.folder.path());
        fs::create_dir_all(parent).map_err(|error| Error::io("create", parent, error))?;
        write_atomic(&then, &bytes)?;
        Ok(Some(then))
    }

    /// Brings the files that a plan, a problem or a profile names, as far as they were there.
    fn fetch_named(&self, inside: &Path, then: &Path) -> Result<(), Error> {
        let beside = |named: &Path| tidy(&inside.parent().unwrap_or(Path::new("")).join(named));
        let mut named: Vec<PathBuf> = Vec::new();
        if let Ok(plan) = load::<Plan>(then) {
            let inputs = plan.document.provenance.inputs.iter();
            named.extend(inputs.filter(|input| input.role != InputRole::Plan).filter_map(|input| beside(&input.path)));
        } else if let Ok(problem) = load::<Problem>(then) {
            let problem = &problem.document;
            named.extend(problem.profiles.iter().chain(&problem.workload.trace).filter_map(|path| beside(path)));
        } else if let Ok(profile) = load::<Profile>(then) {
            let answers = [&profile.document.answers, &profile.document.calibration];
            named.extend(answers.into_iter().flatten().filter_map(|answers| beside(&answers.file)));
        }
        for inside in named {
            if let Some(then) = self.fetch(&inside)? {
                self.fetch_named(&inside, &then)?;
            }
        }
        Ok(())
    }
}

/// Returns a path from the root without `.` and `..`; `None` where it leaves the repository.
fn tidy(path: &Path) -> Option<PathBuf> {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if !tidy.pop() {
                    return None;
                }
            }
            other => tidy.push(other),
        }
    }
    Some(tidy)
}

/// Returns a path as git spells it.
fn slashed(path: &Path) -> String {
    path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect::<Vec<_>>().join("/")
}

fn git(folder: &Path, arguments: &[&str]) -> Result<Vec<u8>, Error> {
    let refused = |what: String| Error::Unsupported {
        what,
        hint: "comparing with a revision needs git, and files that lie in a repository".to_owned(),
    };
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output();
    let output = output.map_err(|error| refused(format!("git cannot be started: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(refused(format!("git {}: {said}", arguments.first().copied().unwrap_or_default())));
    }
    Ok(output.stdout)
}
