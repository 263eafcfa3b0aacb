//! Kinds of functions: what sizes there are, what a call costs, and how long instances stay warm.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Resource;
use crate::base::units::{Megabytes, Millis, Usd};

/// A kind of function: paid by the call, for the memory that it asks for while it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// The name used by pools and findings.
    pub name: String,
    /// Memory sizes that it can be given, smallest first.
    #[serde(default)]
    pub memory_mb: Vec<Megabytes>,
    /// Memory that comes with one core, like 1769; every size has one core where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mb_per_core: Option<Megabytes>,
    /// Price of one gigabyte for one second.
    #[serde(default)]
    pub price_usd_per_gb_second: Usd,
    /// Price of one million calls; default: 0.
    #[serde(default)]
    pub price_usd_per_million_calls: Usd,
    /// Time that a call waits where no warm instance is free.
    pub cold_start_ms: Millis,
    /// Time that an idle instance stays warm.
    pub keep_alive_ms: Millis,
    /// Most calls that are served at once.
    #[schemars(range(min = 1, max = 1000000))]
    pub concurrency_at_most: u32,
}

impl Function {
    /// Returns the cores that a memory size is worth: whole ones, as profiles are measured on those.
    #[must_use]
    pub fn cores_of(&self, memory: Megabytes) -> u32 {
        self.memory_mb_per_core.map_or(1, |each| (memory.get() / each.get()) as u32)
    }

    /// Returns its smallest size with at least so many cores; its largest where none has.
    ///
    /// # Panics
    /// Where the problem was not validated and it has no size.
    #[must_use]
    pub fn with_cores(&self, cores: u32) -> Resource {
        let enough = self.memory_mb.iter().find(|size| self.cores_of(**size) >= cores);
        let memory_mb = *enough.or(self.memory_mb.last()).expect("validated: a function has a memory size");
        Resource::Function {
            cores: self.cores_of(memory_mb),
            memory_mb,
            cold_start_ms: self.cold_start_ms,
            keep_alive_ms: self.keep_alive_ms,
            price_usd_per_gb_second: self.price_usd_per_gb_second,
            price_usd_per_million_calls: self.price_usd_per_million_calls,
        }
    }
}
