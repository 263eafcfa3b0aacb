//! The integer programs through HiGHS: the second opinion. The only folder that names a solver crate.
//!
//! Written in `good_lp`, which reads like the formula; solved through `highs`, which tells bound and nodes.

mod choice;
mod fill;
mod gears;

use good_lp::solvers::highs::HighsProblem;
use highs::HighsModelStatus;

use crate::base::error::Error;

pub use choice::solve as solve_choice;
pub use fill::{Milp, solve};
pub use gears::{Gears, Way, solve as solve_gears};

/// What HiGHS found: the value of every variable in the order in which they were added, and its bound.
struct Proved {
    columns: Vec<f64>,
    bound: f64,
}

/// Solves to proven optimality on one thread, or returns `None` where HiGHS proves that nothing keeps the rows.
fn prove(mut model: HighsProblem) -> Result<Option<Proved>, Error> {
    model.set_verbose(false);
    let mut model = model.into_inner();
    for option in ["mip_rel_gap", "mip_abs_gap"] {
        model.set_option(option, 0.0);
    }
    for option in ["mip_feasibility_tolerance", "primal_feasibility_tolerance", "dual_feasibility_tolerance"] {
        model.set_option(option, 1e-10);
    }
    model.set_option("threads", 1);
    let solved = model.try_solve().map_err(|status| failure(format!("{status:?}")))?;
    match solved.status() {
        HighsModelStatus::Optimal => {}
        HighsModelStatus::Infeasible => return Ok(None),
        other => return Err(failure(format!("stopped with {other:?}"))),
    }
    let bound = solved.double_info_value(c"mip_dual_bound").map_err(|status| failure(format!("{status:?}")))?;
    Ok(Some(Proved { columns: solved.get_solution().columns().to_vec(), bound }))
}

fn failure(message: String) -> Error {
    Error::Solver { solver: "HiGHS", message }
}
