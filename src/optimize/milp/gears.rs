//! The integer program of the room `cascade`: placement, gears and flows at once (§5.4 of its notes).
//!
//! ```text
//! Σ_w x_rw = 1                                          one way for every rate
//! Σ_p y_rwmp = x_rw                                     every call of a member goes somewhere
//! Σ_w Σ_m q_r need_wmp y_rwmp ≤ n_p                     devices of each slot
//! Σ_{p of d} n_p ≤ most_d                               devices of each kind
//! Σ_r ω_r Σ_w a_w x_rw ≥ A                              accuracy over requests
//! n whole, x 0 or 1, y ≥ 0;  minimise Σ_p price_p n_p, or maximise the accuracy
//! ```

use good_lp::{Expression, ProblemVariables, SolverModel, Variable, constraint, variable};

use super::prove;
use crate::base::error::Error;

/// A way to serve requests at any rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    /// Part of requests answered rightly.
    pub accuracy: f64,
    /// For each member, then for each slot, the devices that a request a second asks for where all its calls of the member go
    /// there; infinite where they cannot.
    pub needs: Vec<Vec<f64>>,
}

/// What devices hold and what is asked of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Gears {
    /// Rates, each with its part of the requests.
    pub rates: Vec<(f64, f64)>,
    /// Ways to choose from.
    pub ways: Vec<Way>,
    /// The kind of device of each slot.
    pub slots: Vec<usize>,
    /// How many devices of each kind there are, and the price of one; near 1, for the tolerances of HiGHS are absolute.
    pub devices: Vec<(u32, f64)>,
    /// The least accuracy over requests at the lowest price; the highest accuracy where left out.
    pub accuracy_at_least: Option<f64>,
}

/// Returns the lowest price, or the highest accuracy over requests; `None` where HiGHS proves that nothing keeps all limits.
///
/// # Errors
/// [`Error::Solver`] where HiGHS stops without a proof.
pub fn solve(gears: &Gears) -> Result<Option<f64>, Error> {
    let mut variables = ProblemVariables::new();
    let counts: Vec<Variable> = gears
        .slots
        .iter()
        .map(|&device| variables.add(variable().integer().min(0.0).max(f64::from(gears.devices[device].0))))
        .collect();
    let mut rows = Vec::new();
    let mut accuracy = Expression::from(0.0);
    for &(rate, weight) in &gears.rates {
        let chosen: Vec<Variable> = gears.ways.iter().map(|_| variables.add(variable().binary())).collect();
        rows.push(constraint!(chosen.iter().copied().sum::<Expression>() == 1.0));
        let mut asked = vec![Expression::from(0.0); counts.len()];
        for (way, &chosen) in gears.ways.iter().zip(&chosen) {
            accuracy += weight * way.accuracy * chosen;
            for needs in &way.needs {
                let mut all = Expression::from(0.0);
                for (slot, need) in needs.iter().enumerate().filter(|(_, need)| need.is_finite()) {
                    let part = variables.add(variable().min(0.0));
                    all += part;
                    asked[slot] += rate * need * part;
                }
                rows.push(constraint!(all == chosen));
            }
        }
        rows.extend(asked.into_iter().zip(&counts).map(|(asked, &count)| constraint!(asked <= count)));
    }
    for (kind, (most, _)) in gears.devices.iter().enumerate() {
        let of_kind = gears.slots.iter().zip(&counts).filter(|(device, _)| **device == kind);
        let devices: Expression = of_kind.map(|(_, &count)| Expression::from(count)).sum();
        rows.push(constraint!(devices <= f64::from(*most)));
    }
    let price: Expression =
        gears.slots.iter().zip(&counts).map(|(&device, &count)| gears.devices[device].1 * count).sum();
    let goal = match gears.accuracy_at_least {
        Some(least) => {
            rows.push(constraint!(accuracy >= least));
            -price
        }
        None => accuracy,
    };
    let mut model = good_lp::highs(variables.maximise(goal));
    for row in rows {
        model.add_constraint(row);
    }
    let proved = prove(model)?;
    Ok(proved.map(|proved| proved.bound.abs()))
}
