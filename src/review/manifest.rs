//! What a team wants checked, and how much may change: the nouns of `planner.ci/1`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::codec::Document;
use crate::base::finding::{Code, Finding, Findings};
use crate::base::units::{Factor, Share};

/// The name and version of the manifest format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ManifestFormat {
    /// The only version so far.
    #[default]
    #[serde(rename = "planner.ci/1")]
    V1,
}

/// Which files are checked, and how much may get worse. Everything but `format` may be left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always `planner.ci/1`.
    pub format: ManifestFormat,
    /// Profiles, or folders of them, relative to this file.
    #[serde(default)]
    pub profiles: Vec<PathBuf>,
    /// Problems, or folders of them, relative to this file.
    #[serde(default)]
    pub problems: Vec<PathBuf>,
    /// Plans, or folders of them, relative to this file. Each names its problem and its profiles.
    #[serde(default)]
    pub plans: Vec<PathBuf>,
    /// How much each metric may get worse.
    #[serde(default)]
    pub allow: Allowances,
    /// Part by which latencies of two runs of one profile differ beyond their intervals.
    #[serde(default = "usual_noise")]
    pub noise: Share,
    /// How plans are tried in simulation.
    #[serde(default)]
    pub trial: Trial,
    /// Classes of differences that fail.
    #[serde(default = "failing")]
    pub fail_on: Vec<Code>,
}

impl Document for Manifest {
    const FORMAT: &'static str = "planner.ci/1";
    const NOUN: &'static str = "manifest";

    fn rules(&self) -> Findings {
        self.validate()
    }
}

/// Five parts in a hundred: what two runs on one virtual machine differed by in the median.
fn usual_noise() -> Share {
    Share::saturating(0.05)
}

fn failing() -> Vec<Code> {
    vec![Code::InfeasibleNow, Code::Worse]
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            format: ManifestFormat::V1,
            profiles: Vec::new(),
            problems: Vec::new(),
            plans: Vec::new(),
            allow: Allowances::default(),
            noise: usual_noise(),
            trial: Trial::default(),
            fail_on: failing(),
        }
    }
}

impl Manifest {
    /// The classes of differences, as `fail_on` may name them.
    pub const CLASSES: [Code; 6] =
        [Code::InfeasibleNow, Code::Worse, Code::OtherPlan, Code::Better, Code::FactsChanged, Code::OnlyProvenance];

    /// Returns every rule between fields that is broken.
    #[must_use]
    pub fn validate(&self) -> Findings {
        let mut findings = Findings::default();
        for (index, code) in self.fail_on.iter().enumerate().filter(|(_, code)| !Self::CLASSES.contains(code)) {
            let words: Vec<&str> = Self::CLASSES.iter().map(|class| class.as_str()).collect();
            let cause = format!("`{code}` is no class of differences");
            let action = format!("one of {}", words.join(", "));
            findings.push(Finding::error(Code::UnknownWord, format!("fail_on[{index}]"), cause, action));
        }
        findings
    }
}

/// How much each metric may get worse before it fails. It never matters how much one gets better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Allowances {
    /// The goal's own value at a gear's highest rate.
    pub objective: Allowance,
    /// Part of requests answered rightly.
    pub accuracy: Allowance,
    /// Price of an hour, or cores where they have no price.
    pub cost: Allowance,
    /// Response time at the SLO's quantile.
    pub latency: Allowance,
    /// The highest rate that the plan carries.
    pub max_load: Allowance,
}

impl Default for Allowances {
    fn default() -> Self {
        let relative = |part: f64| Allowance { relative: Factor::saturating(part), ..Allowance::default() };
        let absolute = |amount: f64| Allowance { absolute: Factor::saturating(amount), ..Allowance::default() };
        Self {
            objective: absolute(0.001),
            accuracy: absolute(0.001),
            cost: relative(0.01),
            latency: relative(0.1),
            max_load: relative(1e-6),
        }
    }
}

/// How much a number may get worse: the larger of both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Allowance {
    /// As a part of what it was.
    pub relative: Factor,
    /// In its own unit.
    pub absolute: Factor,
}

impl Allowance {
    /// Returns how much a number may get worse, in its own unit.
    #[must_use]
    pub fn of(self, before: f64) -> f64 {
        (self.relative.get() * before.abs()).max(self.absolute.get())
    }
}

/// How every gear is tried, alone at its highest rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Trial {
    /// Requests for each gear, over five trials; 0 tries nothing.
    #[schemars(range(max = 100_000_000))]
    pub requests: u64,
    /// The same while `--update` solves again; as many as `planner solve` by default.
    #[schemars(range(max = 100_000_000))]
    pub solve_requests: u64,
    /// Seed of the first trial.
    pub seed: u64,
}

impl Default for Trial {
    fn default() -> Self {
        Self { requests: 10_000, solve_requests: 200_000, seed: 42 }
    }
}
