//! What validation and checks see: findings, always all of them at once.

use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Declares the codes once, for Rust, JSON and `docs/errors.md`.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident => $text:literal,)+) => {
        /// The kind of a finding; `docs/errors.md` explains each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum Code {
            $($(#[doc = $doc])+ #[serde(rename = $text)] $name,)+
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Returns the code as it is printed.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

codes! {
    /// A file cannot be read.
    Unreadable => "unreadable",
    /// A file is not well-formed JSON, TOML or CSV.
    Syntax => "syntax",
    /// The `format` key is missing or names another format or version.
    Format => "format",
    /// A key that the format does not know.
    UnknownField => "unknown-field",
    /// A key that must be there is not.
    MissingField => "missing-field",
    /// A value of the wrong type.
    WrongType => "wrong-type",
    /// A number outside its range, or not finite.
    OutOfRange => "out-of-range",
    /// A word that is none of the allowed ones.
    UnknownWord => "unknown-word",
    /// Two things share a name that must be unique.
    DuplicateName => "duplicate-name",
    /// A name refers to nothing.
    UnknownName => "unknown-name",
    /// A list that must not be empty is.
    Empty => "empty",
    /// Shares of a stage do not sum to 1.
    ShareSum => "share-sum",
    /// A sequence that must increase does not.
    Order => "order",
    /// Replicas in a gear exceed the placement.
    TooManyReplicas => "too-many-replicas",
    /// A lane uses a variant that its pool does not host.
    NotHosted => "not-hosted",
    /// A batch, hold or exit that cannot work as written.
    BadLane => "bad-lane",
    /// Stages that wait for each other in a circle, or for a later one.
    StageOrder => "stage-order",
    /// A fact that a plan or a problem needs was not measured.
    NotMeasured => "not-measured",
    /// Quantiles, counts or intervals of a point contradict each other.
    Inconsistent => "inconsistent",
    /// A goal lacks the limit it needs, or has one that it does not use.
    GoalLimit => "goal-limit",
    /// Another digest than the one recorded: the facts have changed.
    FactsChanged => "facts-changed",
    /// A claim that recomputation does not confirm.
    ClaimRefuted => "claim-refuted",
    /// A claim that no closed form can recompute; simulate it.
    ClaimUnchecked => "claim-unchecked",
    /// The plan breaks a limit of its problem.
    LimitBroken => "limit-broken",
    /// A pool that is offered as much work as its replicas can do, or more.
    Overloaded => "overloaded",
    /// A change of gear that needs more at once than the inventory has.
    TransientResources => "transient-resources",
    /// A point that was measured on a disturbed host.
    Contended => "contended",
    /// A number rests on interpolation or on hardware beyond the measured host.
    Interpolated => "interpolated",
    /// A variant, or one of its points, that crashed, took too long or ran out of memory while it was measured.
    MeasurementFailed => "measurement-failed",
    /// A model file that the engine cannot run.
    BadModel => "bad-model",
    /// Calibration data that does not fit the model or its labels.
    BadData => "bad-data",
    /// A setting that does nothing in this context.
    NoEffect => "no-effect",
    /// A trial needs something that this machine lacks.
    MissingResource => "missing-resource",
    /// Two profiles were not measured alike, so that comparing them says less.
    Incomparable => "incomparable",
    /// A problem that had a plan has none any more.
    InfeasibleNow => "infeasible-now",
    /// A plan is worse than it was, by more than is allowed.
    Worse => "worse",
    /// Another plan than before, of the same value.
    OtherPlan => "other-plan",
    /// A plan is better than it was, by more than would be allowed the other way.
    Better => "better",
    /// Nothing but the record of how a plan was made differs.
    OnlyProvenance => "only-provenance",
    /// A load generator that sent late, so that it is part of what was measured.
    Lagged => "lagged",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Worth a look; nothing is refused.
    Warning,
    /// The input is refused, or the check has failed.
    Error,
}

impl Severity {
    /// Returns the word as it is printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One thing that validation or a check saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The kind of finding.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// The file as the user named it; empty where there is none.
    pub file: PathBuf,
    /// The key inside the file, like `gears[2].stages[0].lanes`; empty for the whole file.
    pub key: String,
    /// What is wrong, with the value that was found.
    pub cause: String,
    /// What to do about it, or what is allowed.
    pub action: String,
}

impl Finding {
    /// Returns an error at `key`; [`Findings::in_file`] adds the file.
    pub fn error(code: Code, key: impl Into<String>, cause: impl Into<String>, action: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            file: PathBuf::new(),
            key: key.into(),
            cause: cause.into(),
            action: action.into(),
        }
    }

    /// Returns the same finding with another severity.
    #[must_use]
    pub fn with_severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]: ", self.severity.as_str(), self.code)?;
        if !self.file.as_os_str().is_empty() {
            write!(f, "{}: ", self.file.display())?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.cause)?;
        if !self.action.is_empty() {
            write!(f, "\n  hint: {}", self.action)?;
        }
        Ok(())
    }
}

/// A list of findings in the order of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// Adds one finding.
    pub fn push(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    /// Adds all findings of another list.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Returns the findings with `file` on each that names none.
    #[must_use]
    pub fn in_file(mut self, file: &Path) -> Self {
        for finding in self.0.iter_mut().filter(|finding| finding.file.as_os_str().is_empty()) {
            finding.file = file.to_owned();
        }
        self
    }

    /// Tells whether any finding is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// Returns `value` where no finding is an error, otherwise all findings.
    ///
    /// # Errors
    /// The findings themselves.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.has_errors() { Err(self) } else { Ok(value) }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            finding.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Findings {}

impl From<Finding> for Findings {
    fn from(finding: Finding) -> Self {
        Self(vec![finding])
    }
}
