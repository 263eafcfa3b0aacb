//! How a plan was found, and from what.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HeadRoom, HoldsUpTo};
use crate::base::codec::Loaded;
use crate::base::paths::relative;
use crate::base::units::Factor;
use crate::problem::{Problem, RoomName};
use crate::profile::Profile;

/// How a plan was found, and from what. The only place for facts about the making.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Program and version, or `by hand`.
    pub tool: String,
    /// The room that planned it.
    pub room: RoomName,
    /// Seed of whatever was random.
    pub seed: u64,
    /// Files that it was made from, relative to the plan.
    pub inputs: Vec<Input>,
    /// Part of a variant's capacity that was used because trials asked for a cut, or of that of one configuration, which is called
    /// by its pool and the replicas, like `cnn_s-1c x 2`; all of it where not named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capacity_parts: BTreeMap<String, f64>,
    /// What the risk that was taken costs; absent where facts were taken as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_room: Option<HeadRoom>,
    /// By how much load and service times may grow; absent where nothing was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds_up_to: Option<HoldsUpTo>,
    /// How the recorded day was cut into periods; absent where the plan has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<DayCut>,
    /// The problem as it was solved, after `--set`; its paths are relative to the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

impl Provenance {
    /// Returns that this program planned it in a room; the caller records from what.
    #[must_use]
    pub fn of_room(room: RoomName) -> Self {
        Self {
            tool: concat!("planner ", env!("CARGO_PKG_VERSION")).to_owned(),
            room,
            seed: 0,
            inputs: Vec::new(),
            capacity_parts: BTreeMap::new(),
            head_room: None,
            holds_up_to: None,
            day: None,
            problem: None,
        }
    }
}

/// How a recorded day was cut into the periods of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DayCut {
    /// What the rates of the trace were multiplied by.
    pub scale: Factor,
    /// Length of a period, in seconds.
    pub period_s: Factor,
}

/// A file that a plan was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// What it is.
    pub role: InputRole,
    /// Where it is, relative to the plan.
    pub path: PathBuf,
    /// SHA-256 of the file, in hexadecimal; empty in plans written by hand.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sha256: String,
    /// The host that measured a profile, in brief.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// SHA-256 of the model file of each variant of a profile, in hexadecimal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, String>,
}

impl Input {
    /// Returns a problem, a trace or a plan as an input of a plan that lies in `folder`.
    #[must_use]
    pub fn of<T>(role: InputRole, loaded: &Loaded<T>, folder: &Path) -> Self {
        let path = relative(&loaded.path, folder);
        Self { role, path, sha256: loaded.sha256.clone(), host: None, models: BTreeMap::new() }
    }

    /// Returns a profile as an input of a plan that lies in `folder`.
    #[must_use]
    pub fn of_profile(loaded: &Loaded<Profile>, folder: &Path) -> Self {
        let known = loaded.document.variants.iter().filter(|variant| !variant.sha256.is_empty());
        Self {
            host: loaded.document.host.brief(),
            models: known.map(|variant| (variant.name.clone(), variant.sha256.clone())).collect(),
            ..Self::of(InputRole::Profile, loaded, folder)
        }
    }
}

/// What an input of a plan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InputRole {
    /// A planning problem.
    Problem,
    /// Measured facts.
    Profile,
    /// The recorded load.
    Trace,
    /// The trace of the day that the periods are of.
    Day,
    /// The running plan that this one was planned to follow.
    Plan,
}
