//! When requests arrive: distributions in figures, recorded traces, and the load that a plan is made for.

pub mod arrivals;
mod recorded;

pub use arrivals::{Arrivals, MmppState, Source as ArrivalTimes, Timestamps, Trace};
pub use recorded::RecordedLoad;
