//! What accuracy each price buys at one load: the Pareto frontier that the chosen plan is a point of.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Choice, Room};
use crate::base::error::Error;
use crate::facts::{Ask, Facts, Parts};
use crate::problem::Problem;

/// A choice that no other beats in both cores and accuracy; where machines are rented, in both money and accuracy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FrontierPoint {
    /// Cores in use.
    pub cores: u32,
    /// Price of the machines for an hour, where they are rented.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd_per_hour: Option<f64>,
    /// Machines of each kind, where they are rented.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub machines: BTreeMap<String, u32>,
    /// Accuracy over requests.
    pub accuracy: f64,
    /// Cores of each variant in use, in the order of the facts or of the stages; where machines are rented, of each variant on
    /// each kind, called like `cnn_m-small`.
    pub cores_of: Vec<(String, u32)>,
}

/// Returns the frontier of a problem at a load, the fewest cores, or the cheapest machines, first; `parts` as in
/// [`Context`](super::Context).
///
/// Neither the problem's goal nor its least accuracy plays a part, only its inventory and SLO. Every point is the most accurate
/// choice within its cores, or within its money.
///
/// # Errors
/// [`Error::Input`] for missing facts.
pub fn frontier(
    room: &dyn Room,
    problem: &Problem,
    facts: &Facts,
    parts: &Parts,
    load_rps: f64,
) -> Result<Vec<FrontierPoint>, Error> {
    let ask = Ask::new(problem, facts).with_parts(parts);
    let choices = room.open(&ask)?.frontier(load_rps)?;
    Ok(choices.iter().map(Choice::point).collect())
}
