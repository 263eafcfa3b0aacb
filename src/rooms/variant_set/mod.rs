//! The room `variant-set` (InfAdapter): which variants side by side, how many cores each, what share of traffic each.
//!
//! ```text
//! measured service times ─▶ capacity of (variant, cores) within the SLO ─▶ exact ladder over all loads ─▶ gears
//! ```
//!
//! `on_cores` turns facts into the integer program of [`crate::optimize`] and its ladder into gears, `machines` does the same
//! for machines that are rented whole, `decode` writes gears down, `published` is the paper's own model of capacity.

mod decode;
mod latency;
mod machines;
mod on_cores;
mod published;

use super::{Freedom, Opened, Room};
use crate::base::error::Error;
use crate::facts::Ask;

pub use published::{Published, capacity as published_capacity};

/// The planner of the room.
#[derive(Debug, Clone, Copy, Default)]
pub struct VariantSet;

impl Room for VariantSet {
    fn open<'a>(&self, ask: &'a Ask<'a>) -> Result<Box<dyn Opened + 'a>, Error> {
        if ask.problem.inventory.machines.is_empty() {
            Ok(Box::new(on_cores::OnCores::new(ask)?))
        } else {
            Ok(Box::new(machines::OnMachines::new(ask)?))
        }
    }

    fn freedoms(&self) -> &[Freedom] {
        &[Freedom::Variants, Freedom::Exits]
    }
}
