//! Kinds of machines: what each has, what it costs, how many there are, and whose facts hold on it.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::units::{Megabytes, Usd};

/// A kind of machine. Machines are rented whole: what a plan pays is the number of them that its replicas are packed onto.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The name used by pools and findings.
    pub name: String,
    /// The device name that profile points carry: `cpu`, or an accelerator like `cuda:0`.
    #[serde(default = "cpu")]
    pub device: String,
    /// Cores of one machine; 1 for an accelerator.
    #[schemars(range(min = 1, max = 4096))]
    pub cores: u32,
    /// Memory of one machine; unlimited where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<Megabytes>,
    /// How many there are.
    #[schemars(range(min = 1, max = 4096))]
    pub at_most: u32,
    /// Price of one machine for an hour.
    #[serde(default)]
    pub price_usd_per_hour: Usd,
    /// File names of the profiles whose facts hold on it, like `digits.json`; all of the problem's where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
}

fn cpu() -> String {
    "cpu".to_owned()
}

impl Machine {
    /// Tells whether the facts of a profile hold on it.
    #[must_use]
    pub fn trusts(&self, profile: &Path) -> bool {
        let named = |name: &String| profile.file_name().is_some_and(|file| *file == **name);
        self.profiles.is_empty() || self.profiles.iter().any(named)
    }

    /// Returns the cores of all machines of the kind.
    #[must_use]
    pub const fn all_cores(&self) -> u32 {
        self.cores.saturating_mul(self.at_most)
    }

    /// Returns the memory of one machine in megabytes; infinite where unlimited.
    #[must_use]
    pub fn memory(&self) -> f64 {
        self.memory_mb.map_or(f64::INFINITY, Megabytes::get)
    }
}
