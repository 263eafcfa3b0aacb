//! What everything stands on: checked numbers, findings, errors, reading and writing documents, graphs. Knows nothing of
//! planning.

pub mod codec;
pub mod error;
pub mod files;
pub mod finding;
pub mod graph;
pub(crate) mod json;
pub mod near;
pub mod paths;
pub(crate) mod rounding;
pub mod text;
pub mod units;
pub mod watch;
