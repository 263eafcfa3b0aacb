//! Variants side by side, on cores that are shared out or on machines that are rented whole: the same questions of both.
//!
//! Cores of one host are one kind of hardware with one dimension, of which any number may be taken; so a search of its own
//! answers for all loads at once ([`fill`](super::fill)). Machines come whole and replicas must pack
//! ([`fleet`](super::fleet)). Whoever asks sees items with options, and costs in the unit of the hardware.

use super::fleet::Best;
use super::{Highest, Objective, Reach};
use crate::base::error::Error;

/// What every item gets: 0 where it is left out, else the index of its option plus one.
pub(crate) type Found = Best<Vec<usize>>;

/// The best choice for the loads up to one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    /// The highest of these loads.
    pub up_to: f64,
    /// The choice, valued there.
    pub found: Found,
    /// No choice is worth more there.
    pub bound: f64,
}

/// Tells whether an accuracy is worth a cost.
pub(crate) type WorthIt<'a> = dyn Fn(f64, f64) -> bool + 'a;

/// Items and the hardware that they share.
pub(crate) trait SideBySide {
    /// Returns how choices are found and proved.
    fn method(&self) -> &'static str;

    /// Returns the best choice at a load, or `None` where none carries it.
    fn best(&self, objective: Objective, load: f64) -> Option<Found>;

    /// Returns the best choice at a load that does not give an item so many cores as one of its options has.
    fn best_without(&self, item: usize, option: usize, objective: Objective, load: f64) -> Option<Found>;

    /// Returns the average accuracy of a choice and the rate of each item, filled the most accurate first; `None` where it does
    /// not carry the load.
    fn filled(&self, picks: &[usize], load: f64) -> Option<(f64, Vec<f64>)>;

    /// Returns the choices at a load that no other beats in both cost and accuracy, the cheapest first.
    fn frontier(&self, load: f64) -> Vec<Found>;

    /// Returns the highest load up to `most` that some choice carries as the objective asks.
    fn highest(&self, objective: Objective, most: f64) -> Highest;

    /// Tells whether some choice carries a load as the objective asks.
    fn reaches(&self, objective: Objective, load: f64) -> Reach;

    /// Returns the best choices for all loads up to `most`, the lowest first; a step's accuracy at its lower end exceeds that at its
    /// upper one by about `loss` at most. `None` where some load is not carried.
    ///
    /// # Errors
    /// [`Error::Solver`] where a choice is worth less than its bound.
    fn steps(&self, objective: Objective, most: f64, loss: f64) -> Result<Option<Vec<Step>>, Error>;

    /// Returns every choice at a load that is `worth_it`; `None` where there are more than `most`, or they cannot be listed.
    fn every(&self, load: f64, worth_it: &WorthIt<'_>, most: usize) -> Option<Vec<Found>> {
        let _ = (load, worth_it, most);
        None
    }

    /// Tells whether load times of what starts or resizes count.
    fn prices_loading(&self) -> bool {
        false
    }

    /// Returns the best value at a load by another solver, whose own answer may be that nothing carries it; `None` where there is
    /// no other solver.
    ///
    /// # Errors
    /// [`Error::Solver`] where it stops without a proof.
    fn second_opinion(&self, objective: Objective, load: f64) -> Result<Option<Option<f64>>, Error> {
        let _ = (objective, load);
        Ok(None)
    }
}
