//! Moving away from a running plan in rooms whose search does not price load times.
//!
//! What a goal pays for is the *longest* load among the variants that start or resize. So there are as many cases as load times:
//! in each, variants that take longer keep the cores that they hold, and the room plans as ever.
//!
//! ```text
//! best with loading = max over load times t of ( best while nothing slower than t loads − weight · t ÷ longest )
//! ```
//!
//! Exact at every load at which some case changes its gear, since the room's own answers are.

use super::gears::{best_of, merged, switch_rule};
use super::{Planned, Room};
use crate::base::error::Error;
use crate::base::units::Rate;
use crate::facts::{Ask, LoadLimit, Running};
use crate::plan::{Gear, Plan};
use crate::problem::{GoalKind, Problem};

/// The load up to which a gear of a plan is best, the plan, and the gear's place in it.
type BestGear = (f64, Plan, usize);

/// Tells whether the ask prices what a room's search does not: load times of what starts beside something that runs.
pub(super) fn counts(ask: &Ask<'_>) -> bool {
    !ask.running.is_empty() && ask.problem.goal.kind == GoalKind::Weighted && weight(&ask.problem) > 0.0
}

fn weight(problem: &Problem) -> f64 {
    problem.goal.weights.unwrap_or_default().loading.get()
}

/// Plans for every load, each range of what runs now by itself.
pub(super) fn plan(room: &dyn Room, ask: &Ask<'_>) -> Result<Planned, Error> {
    let most = ask.problem.workload.max_rps.get();
    let mut cases: Vec<BestGear> = Vec::new();
    let mut from = 0.0;
    for (index, running) in ask.running.iter().enumerate() {
        // Beyond what runs its last gear is what is up.
        let is_last = index + 1 == ask.running.len();
        let until = if is_last { most } else { running.up_to_rps.min(most) };
        if until <= from {
            continue;
        }
        let Some(best) = best_of_cases(room, ask, running, from..until)? else { return Ok(Planned::NotCarried) };
        cases.extend(best);
        from = until;
    }
    let parts: Vec<(f64, &Plan, usize)> = cases.iter().map(|(end, plan, gear)| (*end, plan, *gear)).collect();
    let (placement, gears) = merged(&parts);
    let switch = switch_rule(&ask.problem, &ask.facts, &placement, &gears);
    let first = cases.into_iter().next().map(|(_, plan, _)| plan);
    Ok(first.map_or(Planned::NotCarried, |plan| Planned::Plan(Box::new(Plan { placement, gears, switch, ..plan }))))
}

/// Returns, for every load in a range at which some case changes its gear, the best gear with its plan; `None` where some load
/// is not carried.
fn best_of_cases(
    room: &dyn Room,
    ask: &Ask<'_>,
    running: &Running,
    loads: std::ops::Range<f64>,
) -> Result<Option<Vec<BestGear>>, Error> {
    let mut asked = ask.problem.as_ref().clone();
    asked.workload.max_rps = Rate::saturating(loads.end);
    let mut times = Vec::new();
    for variant in ask.variants()? {
        times.push(ask.load_time_ms(&variant)?);
    }
    let longest = times.iter().copied().fold(0.0, f64::max);
    times.push(0.0);
    times.sort_by(f64::total_cmp);
    times.dedup();
    let mut plans = Vec::new();
    for most_ms in times {
        let limit = LoadLimit { most_ms, held: running.cores.clone() };
        let case = Ask { limit: Some(limit), ..ask.moved(asked.clone()) };
        match room.open(&case).and_then(|opened| opened.plan()) {
            Ok(Planned::Plan(mut plan)) => {
                for index in 0..plan.gears.len() {
                    let loading = longest_load(&case, &plan, index)? / longest.max(f64::MIN_POSITIVE);
                    charge(&mut plan.gears[index], weight(&ask.problem) * loading);
                }
                plans.push(*plan);
            }
            // Nothing that is left was measured, or nothing that is left carries the load.
            Ok(Planned::NotCarried | Planned::Conflict(_)) | Err(Error::Input(_)) => {}
            Err(other) => return Err(other),
        }
    }
    let mut ends: Vec<f64> = plans.iter().flat_map(|plan| &plan.gears).map(|gear| gear.up_to_rps.get()).collect();
    ends.retain(|end| *end > loads.start);
    ends.sort_by(f64::total_cmp);
    ends.dedup();
    let best = ends.into_iter().map(|end| best_of(&asked, &plans, end)).collect::<Option<Vec<_>>>();
    let owned = |(end, plan, gear): (f64, &Plan, usize)| (end, plan.clone(), gear);
    Ok(best.filter(|best| !best.is_empty()).map(|best| best.into_iter().map(owned).collect()))
}

/// Returns the longest load among the variants of a gear that start or resize.
fn longest_load(case: &Ask<'_>, plan: &Plan, index: usize) -> Result<f64, Error> {
    let gear = &plan.gears[index];
    let held = case.limit.as_ref().map(|limit| &limit.held);
    let mut longest: f64 = 0.0;
    for variant in gear.stages.iter().flat_map(|stage| &stage.lanes).map(|lane| &lane.variant) {
        let hosts = plan.placement.iter().filter(|pool| pool.hosts.contains(variant));
        let cores: u32 = hosts.map(|pool| gear.replicas_of(pool) * pool.on.cores()).sum();
        if held.and_then(|held| held.get(variant)) != Some(&cores) {
            longest = longest.max(case.load_time_ms(variant)?);
        }
    }
    Ok(longest)
}

fn charge(gear: &mut Gear, loading: f64) {
    if let Some(certificate) = &mut gear.certificate {
        certificate.objective -= loading;
        certificate.bound -= loading;
        certificate.method.push_str("; the longest load of what starts: every case");
    }
}
