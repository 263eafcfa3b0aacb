//! Whether every pool can do the work that it is offered: where it cannot, its queue grows for as long as the load lasts, however
//! few of the requests meet it.

use std::collections::BTreeMap;

use super::law::Passage;
use super::law::flow::Flow;
use super::{Gear, Plan};
use crate::base::finding::{Code, Finding, Findings, Severity};
use crate::base::rounding::SUMS;
use crate::facts::Facts;

/// Finds pools that are offered as much as their replicas can do, or more. The papers reckon with batches that always fill, so
/// that for their plans it is a warning.
pub(super) fn check(plan: &Plan, gear: &Gear, facts: &Facts, key: &str, findings: &mut Findings) {
    let published = plan.provenance.problem.as_ref().is_some_and(|problem| problem.room.is_published());
    let severity = if published { Severity::Warning } else { Severity::Error };
    for (pool, offered) in offered(plan, gear, facts).unwrap_or_default() {
        let up = plan.pool(pool).map_or(0, |pool| gear.replicas_of(pool));
        if offered < f64::from(up) * (1.0 - SUMS) {
            continue;
        }
        let cause = format!(
            "`{pool}` is offered work for {offered:.3} replicas at {} requests/s and has {up}: its queue grows without end",
            gear.up_to_rps
        );
        let finding = Finding::error(Code::Overloaded, key, cause, "solve again, or bring up more replicas");
        findings.push(finding.with_severity(severity));
    }
}

/// Returns how many replicas of each pool the calls keep busy at the gear's highest rate, with all batches full; `None` where it is
/// not known how many requests get to a stage. Lanes that turn calls away, or are picked by the state of queues, count nothing.
fn offered<'a>(plan: &Plan, gear: &'a Gear, facts: &Facts) -> Option<BTreeMap<&'a str, f64>> {
    let mut offered = BTreeMap::new();
    for (stage, reach) in gear.stages.iter().zip(reach(gear, facts)?) {
        for (lane, share) in stage.lanes.iter().zip(stage.shares().into_iter().flatten()) {
            let pool = plan.pool(&lane.pool)?;
            if lane.queue_limit.is_some() || lane.drop_after_ms.is_some() {
                continue;
            }
            let service = facts.service_on(plan, pool, &lane.variant, lane.batch)?.law;
            let (servers, batch, hold_ms) = (gear.replicas_of(pool), lane.batch, lane.hold_ms.get());
            let flow = Flow { service: &service, servers, batch, hold_ms, calls: stage.calls.get(), share };
            *offered.entry(lane.pool.as_str()).or_insert(0.0) += flow.offered(reach * gear.up_to_rps.get());
        }
    }
    Some(offered)
}

/// Returns the part of the requests that gets to each stage.
fn reach(gear: &Gear, facts: &Facts) -> Option<Vec<f64>> {
    if gear.stages.iter().all(|stage| stage.exit.is_none()) {
        return Some(vec![1.0; gear.stages.len()]);
    }
    Some(Passage::of(gear, facts)?.reach)
}
