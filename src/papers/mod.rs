//! The published formulations that the rooms are compared with, each on our facts and as its paper has it.
//!
//! They stand beside the rooms and use what rooms share; no room knows its published twin: [`crate::planners`] picks between them.

pub mod cascadeserve;
pub mod infadapter;
pub mod ipa;
