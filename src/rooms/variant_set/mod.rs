//! The room `variant-set` (InfAdapter): which variants side by side, how many cores each, what share of traffic each.
//!
//! ```text
//! measured service times ─▶ capacity of (variant, cores) within the SLO ─▶ exact ladder over all loads ─▶ gears
//! ```
//!
//! `on_cores` turns facts into the integer program of [`crate::optimize`] and its ladder into gears, `machines` does the same
//! for machines that are rented whole, `decode` writes gears down; the paper's own model of capacity is
//! [`crate::papers::infadapter`].

mod decode;
mod latency;
mod machines;
mod on_cores;
#[cfg(test)]
mod tests;

use super::{Freedom, Opened, Room};
use crate::base::error::Error;
use crate::facts::Ask;
use crate::rooms::configurations::configurations;

pub(crate) use on_cores::OnCores;

/// The planner of the room.
#[derive(Debug, Clone, Copy, Default)]
pub struct VariantSet;

impl Room for VariantSet {
    fn open<'a>(&self, ask: &'a Ask<'a>) -> Result<Box<dyn Opened + 'a>, Error> {
        if !ask.problem.inventory.rents_whole() {
            Ok(Box::new(OnCores::new(ask, configurations)?))
        } else {
            Ok(Box::new(machines::OnMachines::new(ask)?))
        }
    }

    fn freedoms(&self) -> &[Freedom] {
        &[Freedom::Variants, Freedom::Exits]
    }
}
