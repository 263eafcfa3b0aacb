//! The room `cascade` (CascadeServe): which cascade of variants, placement and batching at every load: a gear plan.
//!
//! ```text
//! undominated cascades ─▶ placement and gears: an exact envelope ─▶ proof ─▶ plan
//! ```
//!
//! Cascades and the proof of their accuracy are those of [`super::exits`]; CascadeServe's own planner is [`crate::papers::cascadeserve`].

pub(in crate::rooms) mod baselines;
mod decode;
mod envelope;
mod latency;
mod model;
mod placement;
mod plan;
mod prove;
mod search;
mod survival;
mod switching;
#[cfg(test)]
mod tests;

pub(crate) use decode::claims;
pub(crate) use latency::{Device, devices};
pub use plan::Cascades;
pub(crate) use plan::what_runs;
