//! IPA as published (JSys 2024, section 4): `program` is its integer program for one load, `from_profile` that program on measured
//! facts at every load.

mod from_profile;
mod program;

pub use from_profile::IpaRoom;
pub use program::{
    AccuracyMetric, Adapter, BatchPoint, Decision, Deployed, IpaInstance, IpaStage, IpaVariant, IpaWeights,
};
