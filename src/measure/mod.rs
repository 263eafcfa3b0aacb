//! How profiles are made: engines, blocks of calls in processes of their own, and pilot calls.

pub mod adaptive;
pub(crate) mod answering;
mod apart;
mod block;
mod energy;
pub mod engines;
pub mod feeding;
mod grid;
pub mod host;
pub mod judge;
mod lab;
mod line_protocol;
mod pace;
mod quota;
pub mod wiring;

pub use adaptive::Wave;
pub use answering::Halves;
pub use apart::{Apart, Limits, serve};
pub use block::{Block, Enough};
pub use grid::{Attendant, CALLS_FOR_A_TAIL, Earlier, MeasureContext, MeasureEvent, MeasureSettings, measure};
pub use lab::{Footprint, Half, Here, Lab, Surveyed, Visit};
