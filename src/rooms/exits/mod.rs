//! Exits: models or stages in turn, a request leaving with the first answer that is certain enough. Shared by the rooms that have them.
//!
//! ```text
//! records ─▶ every cascade scored ─▶ undominated in (accuracy, reach) ─▶ proof on samples that played no part
//! ```
//!
//! This file holds the nouns; each verb is a sibling file. Nothing here knows of placements or loads: that is the rooms' own.

mod certify;
mod evaluate;
mod frontier;
mod read;
mod recount;
mod score;
mod threshold;

pub use certify::{Certified, Mixture, Target, Tested, certify, spaced, split, test_mixture};
pub use frontier::{frontier, path, thinning_loss, work};
pub(in crate::rooms) use recount::recount;
pub use score::{LONGEST, Score, Scorer, SearchGrid};

/// What every model of a family answered to the same samples, in the same order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Records {
    /// One record a model, in the order of the facts.
    pub models: Vec<Record>,
}

/// What one model answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// The model's name.
    pub name: String,
    /// Whether each sample was answered rightly.
    pub right: Vec<bool>,
    /// How certain the model was of each answer, 0 to 1. Thresholds are compared with exactly these numbers.
    pub certainty: Vec<f64>,
    /// The class that was answered; empty where the records tell only right or wrong.
    pub predicted: Vec<u32>,
    /// What the certainties were recorded with; thresholds are found so that its rounding does not matter.
    pub precision: Precision,
}

/// How exactly certainties are recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Precision {
    /// 64-bit numbers, compared as they are.
    #[default]
    Double,
    /// 32-bit numbers, as engines answer them; whoever reads them may hold them in 64 bits or as decimals.
    Single,
}

/// Models in turn; a request leaves with the first answer that is certain enough.
#[derive(Debug, Clone, PartialEq)]
pub struct Cascade {
    /// The members; no model stands twice.
    pub members: Vec<Member>,
    /// Part of the samples answered rightly.
    pub accuracy: f64,
    /// Part of the samples that get to each member (φ); the first is 1.
    pub reach: Vec<f64>,
}

/// One member of a cascade.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Member {
    /// Index into [`Records::models`].
    pub model: usize,
    /// A request leaves here when the certainty is at least this (τ); `None` for the last, where all leave.
    pub exit_at: Option<f64>,
}
