//! The published formulations that the rooms are compared with, each on our facts and as its paper has it.
//!
//! They stand beside the rooms and use what rooms share; a room reaches its published twin at the lines marked `papers:` alone.

pub mod cascadeserve;
pub mod infadapter;
pub mod ipa;
