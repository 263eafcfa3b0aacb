//! Kinds of machines: what each has, what it costs, how many there are, and whose facts hold on it.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HardwareKind;
use crate::base::units::{Megabytes, Millis, Seconds, Usd};

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
    /// Time from asking for a machine until replicas can load on it; it is paid from the asking. Default: it is up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_ms: Option<Millis>,
    /// How its time is billed; to the moment where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing: Option<Billing>,
    /// File names of the profiles whose facts hold on it, like `digits.json`; all of the problem's where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
}

/// How the time of what is rented is billed: a started step is paid whole, and never less than a least time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Billing {
    /// The step; default: 0, which bills to the moment.
    #[serde(default)]
    pub step_s: Seconds,
    /// The least time; default: 0.
    #[serde(default)]
    pub least_s: Seconds,
}

impl Billing {
    /// Returns the time that is paid for a rent of such a length, both in nanoseconds.
    #[must_use]
    pub fn paid_ns(&self, lasted_ns: u64) -> u64 {
        if lasted_ns == 0 {
            return 0;
        }
        let paid = lasted_ns.max(self.least_s.nanos());
        paid.checked_next_multiple_of(self.step_s.nanos().max(1)).unwrap_or(u64::MAX)
    }
}

fn cpu() -> String {
    "cpu".to_owned()
}

impl Machine {
    /// Returns the kind of hardware that it is: an accelerator, or a machine with cores.
    #[must_use]
    pub fn kind(&self) -> HardwareKind<'_> {
        if self.device == "cpu" { HardwareKind::Machine(self) } else { HardwareKind::Device(self) }
    }

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
