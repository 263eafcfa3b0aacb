//! What replicas run on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Billing;
use crate::base::units::{Megabytes, Millis, Usd};

/// What one replica runs on, and what it costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Resource {
    /// Cores of a machine that is there anyway.
    Cores {
        /// Cores of one replica; one call at a time uses them all.
        #[schemars(range(min = 1))]
        cores: u32,
        /// Price of one core for an hour.
        #[serde(default)]
        price_usd_per_core_hour: Usd,
    },
    /// An accelerator.
    Gpu {
        /// The device name that profile points carry.
        device: String,
        /// Price of one accelerator for an hour.
        #[serde(default)]
        price_usd_per_hour: Usd,
        /// Time from asking for it until replicas can load on it; it is paid from the asking. Default: it is up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        boot_ms: Option<Millis>,
        /// How its time is billed; to the moment where left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        billing: Option<Billing>,
    },
    /// A virtual machine that boots before it serves and is paid while it is up.
    Vm {
        /// Cores that serve one call.
        #[schemars(range(min = 1))]
        cores: u32,
        /// Time from asking for the machine to its first call; it is paid from the asking.
        boot_ms: Millis,
        /// Price of one machine for an hour.
        price_usd_per_hour: Usd,
        /// How its time is billed; to the moment where left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        billing: Option<Billing>,
    },
    /// A function: as many calls at once as `replicas` allows, paid by the call.
    Function {
        /// Cores that its memory size is worth.
        #[schemars(range(min = 1))]
        cores: u32,
        /// Memory that is paid for.
        memory_mb: Megabytes,
        /// Time that a call waits where no warm instance is free.
        cold_start_ms: Millis,
        /// Time that an idle instance stays warm.
        keep_alive_ms: Millis,
        /// Price of one gigabyte for one second.
        price_usd_per_gb_second: Usd,
        /// Price of one million calls.
        price_usd_per_million_calls: Usd,
    },
}

impl Resource {
    /// Returns the device name that profile points carry.
    #[must_use]
    pub fn device(&self) -> &str {
        match self {
            Self::Gpu { device, .. } => device,
            Self::Cores { .. } | Self::Vm { .. } | Self::Function { .. } => "cpu",
        }
    }

    /// Returns the cores that serve one call; an accelerator is measured with one.
    #[must_use]
    pub const fn cores(&self) -> u32 {
        match self {
            Self::Cores { cores, .. } | Self::Vm { cores, .. } | Self::Function { cores, .. } => *cores,
            Self::Gpu { .. } => 1,
        }
    }

    /// Returns the resource in a word, like `2c`.
    #[must_use]
    pub fn brief(&self) -> String {
        match self {
            Self::Cores { cores, .. } => format!("{cores}c"),
            Self::Gpu { device, .. } => device.clone(),
            Self::Vm { cores, .. } => format!("vm-{cores}c"),
            Self::Function { cores, .. } => format!("function-{cores}c"),
        }
    }

    /// Returns what one replica costs for an hour while it is up; a function costs nothing until it is called.
    #[must_use]
    pub fn usd_per_hour(&self) -> f64 {
        match self {
            Self::Cores { cores, price_usd_per_core_hour } => f64::from(*cores) * price_usd_per_core_hour.get(),
            Self::Gpu { price_usd_per_hour, .. } | Self::Vm { price_usd_per_hour, .. } => price_usd_per_hour.get(),
            Self::Function { .. } => 0.0,
        }
    }

    /// Returns how the time of a replica is billed, where not to the moment.
    #[must_use]
    pub const fn billing(&self) -> Option<Billing> {
        match self {
            Self::Gpu { billing, .. } | Self::Vm { billing, .. } => *billing,
            Self::Cores { .. } | Self::Function { .. } => None,
        }
    }

    /// Returns the time from asking for a replica until variants can load on it.
    #[must_use]
    pub fn boot_ms(&self) -> Millis {
        match self {
            Self::Gpu { boot_ms, .. } => boot_ms.unwrap_or_default(),
            Self::Vm { boot_ms, .. } => *boot_ms,
            Self::Cores { .. } | Self::Function { .. } => Millis::ZERO,
        }
    }

    /// Returns what one call that keeps an instance busy for `busy_ms` costs; only functions are paid by the call.
    #[must_use]
    pub fn usd_per_call(&self, busy_ms: f64) -> f64 {
        match self {
            Self::Function { memory_mb, price_usd_per_gb_second, price_usd_per_million_calls, .. } => {
                let gb_seconds = memory_mb.get() / 1e3 * busy_ms.ceil() / 1e3;
                gb_seconds * price_usd_per_gb_second.get() + price_usd_per_million_calls.get() / 1e6
            }
            Self::Cores { .. } | Self::Gpu { .. } | Self::Vm { .. } => 0.0,
        }
    }
}
