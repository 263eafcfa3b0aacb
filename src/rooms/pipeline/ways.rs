//! What a stage can choose from, whatever the load: every measured (variant, cores, batch) × replicas × hold.

use crate::error::Error;
use crate::facts::Facts;
use crate::plan::law::Flow;
use crate::problem::{Problem, Task};
use crate::rooms::variant_set::{Candidate, not_measured};

/// Holds that are tried, as parts of the SLO: the load then decides which is best, and what is best at a load stays
/// possible at every lower one, which makes the breakpoints exact.
const HOLDS: [f64; 5] = [1.0 / 64.0, 1.0 / 32.0, 1.0 / 16.0, 1.0 / 8.0, 1.0 / 4.0];

/// A way to run a stage.
#[derive(Debug, Clone)]
pub(super) struct Way {
    /// Index of the variant in its stage.
    pub variant: usize,
    /// Part of the variant's capacity that may be used.
    pub part: f64,
    /// Calls that a request makes here.
    pub calls: f64,
    /// How.
    pub candidate: Candidate,
}

impl Way {
    pub fn flow(&self) -> Flow<'_> {
        let Candidate { replicas, batch, hold_ms, service, .. } = &self.candidate;
        Flow {
            service: &service.law,
            servers: *replicas,
            batch: *batch,
            hold_ms: *hold_ms,
            calls: self.calls,
            share: 1.0,
        }
    }
}

/// Returns every way to run a stage within the cores.
pub(super) fn of_stage(
    problem: &Problem,
    facts: &Facts,
    parts: &super::Parts,
    stage: &Task,
) -> Result<Vec<Way>, Error> {
    let mut ways = Vec::new();
    for (variant, name) in stage.variants.iter().enumerate() {
        let curve = facts.curve(name, "cpu").ok_or_else(|| not_measured(name, "any point on `cpu`"))?;
        let part = parts.get(name).copied().unwrap_or(1.0);
        for (cores, batch) in curve.usable() {
            let Some(service) = curve.at(cores, batch) else { continue };
            let fewest = problem.inventory.min_cores_per_variant.div_ceil(cores).max(1);
            for replicas in fewest..=problem.core_budget() / cores {
                for hold_ms in holds(problem, batch) {
                    let mut candidate = Candidate {
                        cores_each: cores,
                        replicas,
                        batch,
                        hold_ms,
                        capacity: 0.0,
                        service: service.clone(),
                    };
                    candidate.capacity = candidate.queue().saturation_rps();
                    ways.push(Way { variant, part, calls: stage.calls.get(), candidate });
                }
            }
        }
    }
    Ok(ways)
}

fn holds(problem: &Problem, batch: u32) -> Vec<f64> {
    let slo = problem.slo.latency_ms.get();
    if batch == 1 { vec![0.0] } else { HOLDS.iter().map(|part| part * slo).collect() }
}
