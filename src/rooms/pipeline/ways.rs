//! What a stage can choose from, whatever the load: every measured (variant, cores, batch) × replicas × hold.

use crate::base::error::Error;
use crate::facts::{Ask, not_measured};
use crate::plan::law::flow::Flow;
use crate::problem::{Machine, Problem, Task};
use crate::profile::Curve;
use crate::rooms::configurations::Configuration;
use crate::rooms::hardware::facts_of_kinds;

/// Holds that are tried, as parts of the SLO: the load then decides which is best, and what is best at a load stays
/// possible at every lower one, which makes the breakpoints exact.
const HOLDS: [f64; 5] = [1.0 / 64.0, 1.0 / 32.0, 1.0 / 16.0, 1.0 / 8.0, 1.0 / 4.0];

/// A way to run a stage.
#[derive(Debug, Clone)]
pub(super) struct Way {
    /// Index of the variant in its stage.
    pub variant: usize,
    /// Part of its capacity that may be used.
    pub part: f64,
    /// Calls that a request makes here.
    pub calls: f64,
    /// How.
    pub configuration: Configuration,
    /// What it costs: its cores, or on machines what its replicas weigh, which is no more than what they are packed onto costs.
    pub cost: f64,
    /// Class of its replicas, and the memory of one in bytes; of no matter where there are no machines.
    pub class: usize,
    pub memory: u64,
}

impl Way {
    pub fn flow(&self) -> Flow<'_> {
        self.configuration.flow(self.calls, 1.0)
    }

    /// Tells whether its replicas, in the pool of another way, fit wherever those of the other do.
    pub fn fits_for(&self, other: &Self) -> bool {
        let (own, others) = (&self.configuration, &other.configuration);
        own.machine == others.machine
            && own.cores_each == others.cores_each
            && own.replicas <= others.replicas
            && self.memory <= other.memory
    }
}

/// Returns every way to run a stage within the cores, or on each kind of machine within its stock.
pub(super) fn of_stage(ask: &Ask<'_>, stage: &Task) -> Result<Vec<Way>, Error> {
    let (problem, facts) = (ask.problem.as_ref(), ask.facts.as_ref());
    let of_kinds = facts_of_kinds(problem, facts);
    let mut ways = Vec::new();
    for (variant, name) in stage.variants.iter().enumerate() {
        let may_run = |configuration: &Configuration| ask.may_run(name, configuration.cores());
        let way = |configuration: Configuration| Way {
            variant,
            part: configuration.part(ask, name),
            calls: stage.calls.get(),
            cost: f64::from(configuration.cores()),
            class: 0,
            memory: 0,
            configuration,
        };
        if !problem.inventory.rents_whole() {
            let curve = facts.curve(name, "cpu").ok_or_else(|| not_measured(name, "any point on `cpu`"))?;
            ways.extend(of_curve(problem, curve, problem.core_budget(), None).filter(may_run).map(way));
            continue;
        }
        let kinds = problem.inventory.machines.iter().zip(&of_kinds);
        let on_kind = kinds.filter_map(|(kind, facts)| Some((kind, facts.curve(name, &kind.device)?)));
        let curves: Vec<(&Machine, &Curve)> = on_kind.collect();
        if curves.is_empty() {
            return Err(not_measured(name, "any point on a device of `inventory.machines`"));
        }
        for (kind, curve) in curves {
            ways.extend(of_curve(problem, curve, kind.all_cores(), Some(kind)).filter(may_run).map(way));
        }
    }
    Ok(ways)
}

/// Returns every way to run a variant within so many cores, on one machine each where there are machines.
fn of_curve<'a>(
    problem: &'a Problem,
    curve: &'a Curve,
    all_cores: u32,
    kind: Option<&'a Machine>,
) -> impl Iterator<Item = Configuration> + 'a {
    let fits = move |(cores, _): &(u32, u32)| kind.is_none_or(|kind| *cores <= kind.cores);
    let spots = curve.usable().into_iter().filter(fits);
    spots.filter_map(|(cores, batch)| Some((cores, batch, curve.at(cores, batch)?))).flat_map(
        move |(cores, batch, service)| {
            let fewest = problem.inventory.min_cores_per_variant.div_ceil(cores).max(1);
            let holds = holds(problem, batch);
            (fewest..=all_cores / cores).flat_map(move |replicas| {
                let service = service.clone();
                holds.clone().into_iter().map(move |hold_ms| {
                    let mut configuration = Configuration {
                        cores_each: cores,
                        replicas,
                        batch,
                        hold_ms,
                        capacity: 0.0,
                        service: service.clone(),
                        machine: kind.map(|kind| kind.name.clone()),
                    };
                    configuration.capacity = configuration.queue().saturation_rps();
                    configuration
                })
            })
        },
    )
}

fn holds(problem: &Problem, batch: u32) -> Vec<f64> {
    let slo = problem.slo.latency_ms.get();
    if batch == 1 { vec![0.0] } else { HOLDS.iter().map(|part| part * slo).collect() }
}
