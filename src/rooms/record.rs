//! How a plan was made, as its provenance keeps it.

use std::path::Path;

use crate::base::codec::Loaded;
use crate::base::paths::relative;
use crate::facts::Facts;
use crate::plan::{DayCut, Input, InputRole, Plan};
use crate::problem::Problem;
use crate::workload::RecordedLoad;

/// Records what a plan that will lie in `folder` was made from: files with their digests, and the problem as it was solved.
pub fn record(plan: &mut Plan, folder: &Path, problem: &Loaded<Problem>, facts: &Facts, from: Option<&Loaded<Plan>>) {
    let mut inputs = vec![Input::of(InputRole::Problem, problem, folder)];
    inputs.extend(facts.profiles.iter().map(|profile| Input::of_profile(profile, folder)));
    inputs.extend(facts.recorded.as_ref().map(|trace| Input::of(InputRole::Trace, trace, folder)));
    inputs.extend(from.map(|plan| Input::of(InputRole::Plan, plan, folder)));
    let profiles = facts.profiles.iter().map(|profile| relative(&profile.path, folder)).collect();
    plan.provenance.inputs = inputs;
    let mut asked = Problem { profiles, ..problem.document.clone() };
    asked.workload.trace = facts.recorded.as_ref().map(|trace| relative(&trace.path, folder));
    plan.provenance.problem = Some(asked);
}

/// Records the day that a plan which will lie in `folder` is for, so that it can be made again.
pub fn record_day(plan: &mut Plan, folder: &Path, day: &Loaded<RecordedLoad>, cut: DayCut) {
    plan.provenance.inputs.push(Input::of(InputRole::Day, day, folder));
    plan.provenance.day = Some(cut);
}
