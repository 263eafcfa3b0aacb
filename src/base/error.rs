//! Why something could not be done.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::finding::{Finding, Findings};

/// Why something could not be done. Bad input comes as findings, all at once.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user's files are not as they should be.
    #[error("{0}")]
    Input(Findings),
    /// The operating system refused a file operation.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was tried, like `read`.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// An inference engine failed.
    #[error("engine {engine}: {message}")]
    Engine {
        /// Name of the engine.
        engine: &'static str,
        /// What it said.
        message: String,
    },
    /// A solver failed or gave up.
    #[error("solver {solver}: {message}")]
    Solver {
        /// Name of the solver.
        solver: &'static str,
        /// What it said.
        message: String,
    },
    /// A picture could not be drawn.
    #[error("cannot draw the picture: {0}")]
    Plot(String),
    /// Asked for something that this build or this version does not do.
    #[error("{what}\n  hint: {hint}")]
    Unsupported {
        /// What was asked for.
        what: String,
        /// What to do in its place.
        hint: String,
    },
}

impl Error {
    /// Returns an input/output error that names the operation and the file.
    pub fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { operation, path: path.to_owned(), source }
    }
}

impl From<Findings> for Error {
    fn from(findings: Findings) -> Self {
        Self::Input(findings)
    }
}

impl From<Finding> for Error {
    fn from(finding: Finding) -> Self {
        Self::Input(finding.into())
    }
}
