//! The second opinion: every gear solved again by another solver.

use super::{Room, goal};
use crate::base::error::Error;
use crate::facts::Ask;
use crate::optimize::agree;
use crate::plan::Plan;

/// Solves every gear's load again through HiGHS where the room has such a program, and writes into the certificates that it
/// agrees.
///
/// # Errors
/// [`Error::Solver`] where the two disagree.
pub(super) fn verify(room: &dyn Room, ask: &Ask<'_>, plan: &mut Plan) -> Result<(), Error> {
    let parts = plan.provenance.capacity_parts.clone();
    let ask = ask.clone().with_parts(&parts);
    let opened = room.open(&ask)?;
    for gear in &mut plan.gears {
        let load = gear.up_to_rps.get();
        let Some(other) = opened.second_opinion(load)? else { continue };
        let own = opened.best_at(load)?.map(|choice| choice.objective);
        if !agree(own, other, goal::objective(&ask.problem)) {
            let message = format!("at {load} requests/s HiGHS finds {other:?}, the own search {own:?}");
            return Err(Error::Solver { solver: "HiGHS", message });
        }
        if let Some(certificate) = &mut gear.certificate {
            certificate.method.push_str("; HiGHS agrees");
        }
    }
    Ok(())
}
