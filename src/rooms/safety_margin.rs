//! What a risk costs: the plan with it beside the plan without.

use super::Answer;
use crate::facts::Margin;
use crate::plan::{AtPeak, Gear, HeadRoom, Plan};
use crate::problem::Problem;

/// Records in a plan's provenance what keeping its risk costs at the highest load that was asked for.
pub(super) fn record(plan: &mut Plan, problem: &Problem, margin: &Margin, without: &Answer) {
    let peak = problem.workload.max_rps.get();
    plan.provenance.head_room = Some(HeadRoom {
        risk: margin.risk,
        is_default: margin.is_default,
        profile_error: margin.profile_error,
        peak_factor: margin.peak_factor,
        latency_factors: margin.latency_factors.clone(),
        with: of_gear(&plan.gears[plan.gears.len() - 1]),
        without: match without {
            Answer::Plan(without) => Some(of_gear(&without.gears[without.gear_at(peak)])),
            Answer::Infeasible(_) => None,
        },
    });
}

fn of_gear(gear: &Gear) -> AtPeak {
    AtPeak {
        load_rps: gear.up_to_rps,
        cores: gear.claims.cores,
        accuracy: gear.claims.accuracy.map(|claim| claim.value),
    }
}
