//! What a risk costs: the plan with it beside the plan without.

use super::{Answer, Context, solve};
use crate::base::error::Error;
use crate::base::units::Share;
use crate::facts::{AtRisk, Facts};
use crate::plan::{AtPeak, Gear, HeadRoom, Plan};
use crate::problem::Problem;

/// Records in a plan's provenance what keeping its risk costs at the highest load that was asked for.
///
/// # Errors
/// As [`solve`], for the plan without the risk.
pub(super) fn say(
    plan: &mut Plan,
    problem: &Problem,
    facts: &Facts,
    context: Context<'_>,
    at_risk: &AtRisk,
) -> Result<(), Error> {
    let peak = problem.workload.max_rps.get();
    let at_peak = |plan: &Plan| of_gear(&plan.gears[plan.gear_at(peak)]);
    let without = solve(&Problem { risk: None, ..problem.clone() }, facts, context)?;
    plan.provenance.head_room = Some(HeadRoom {
        risk: problem.risk.unwrap_or(Share::ZERO),
        peak_factor: at_risk.peak_factor,
        latency_factors: at_risk.latency_factors.clone(),
        with: of_gear(&plan.gears[plan.gears.len() - 1]),
        without: match &without {
            Answer::Plan(without) => Some(at_peak(without)),
            Answer::Infeasible(_) => None,
        },
    });
    Ok(())
}

fn of_gear(gear: &Gear) -> AtPeak {
    AtPeak {
        load_rps: gear.up_to_rps,
        cores: gear.claims.cores,
        accuracy: gear.claims.accuracy.map(|claim| claim.value),
    }
}
