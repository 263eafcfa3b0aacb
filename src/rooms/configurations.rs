//! What a variant can carry within the SLO on a number of cores, and how: replicas × cores × batch × hold.

use crate::base::error::Error;
use crate::facts::{Ask, configuration_key, not_measured};
use crate::optimize::Allotment;
use crate::plan::law::estimate::Queue;
use crate::plan::law::flow::Flow;
use crate::problem::Slo;
use crate::profile::Service;
use crate::rooms::hardware::pool_name;

/// A way to run a variant: so many replicas of so many cores, with a batch rule.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Configuration {
    /// Cores of one replica.
    pub cores_each: u32,
    /// Replicas.
    pub replicas: u32,
    /// Most calls served together.
    pub batch: u32,
    /// Longest wait of the first call for companions.
    pub hold_ms: f64,
    /// Highest rate within the SLO.
    pub capacity: f64,
    /// Measured law of a full batch.
    pub service: Service,
    /// The kind of machine that it runs on; cores of the inventory where there are no machines.
    pub machine: Option<String>,
}

impl Configuration {
    pub(crate) fn cores(&self) -> u32 {
        self.cores_each * self.replicas
    }

    pub(crate) fn allotment(&self) -> Allotment {
        Allotment { cores: self.cores(), capacity: self.capacity }
    }

    pub(crate) fn queue(&self) -> Queue<'_> {
        Queue { service: &self.service.law, servers: self.replicas, batch: self.batch, hold_ms: self.hold_ms }
    }

    /// Returns what a lane that runs in this way is given of a load: calls of each request, and its part of them.
    pub(crate) fn flow(&self, calls: f64, share: f64) -> Flow<'_> {
        let Self { replicas, batch, hold_ms, service, .. } = self;
        Flow { service: &service.law, servers: *replicas, batch: *batch, hold_ms: *hold_ms, calls, share }
    }

    /// Returns the part of the capacity that trials left of a variant run in this way.
    pub(crate) fn part(&self, ask: &Ask<'_>, variant: &str) -> f64 {
        if ask.parts.is_empty() {
            return 1.0;
        }
        let own = ask.parts.get(&configuration_key(&pool_name(variant, self), self.replicas));
        ask.part(variant) * own.copied().unwrap_or(1.0)
    }

    /// Works out the capacity of a way to run a variant.
    pub(crate) fn new(service: Service, cores_each: u32, replicas: u32, batch: u32, slo: &Slo) -> Self {
        let capacity = queue(&service, replicas, batch).capacity_rps(slo);
        Self::of_capacity(capacity, service, (cores_each, batch, replicas))
    }

    fn of_capacity(capacity: f64, service: Service, (cores_each, batch, replicas): (u32, u32, u32)) -> Self {
        let hold_ms = queue(&service, replicas, batch).hold_ms;
        Self { cores_each, replicas, batch, hold_ms, capacity, service, machine: None }
    }
}

/// The hold is the mean service time ÷ replicas: at saturation that is the time in which a batch fills.
fn queue(service: &Service, servers: u32, batch: u32) -> Queue<'_> {
    let hold_ms = if batch > 1 { service.law.mean_ms() / f64::from(servers) } else { 0.0 };
    Queue { service: &service.law, servers, batch, hold_ms }
}

/// Returns the ways to run a variant that are worth their cores: increasing in cores and in the capacity that trials left.
///
/// Only (cores, batch) pairs enter that were measured, or filled in from the family's surface where the profile has holes;
/// a replica never has more cores than were measured.
pub(crate) fn configurations(ask: &Ask<'_>, variant: &str) -> Result<Vec<Configuration>, Error> {
    let problem = &ask.problem;
    let curve = ask.facts.curve(variant, "cpu").ok_or_else(|| not_measured(variant, "any point on `cpu`"))?;
    let services: Vec<(u32, u32, Service)> = (curve.usable().into_iter())
        .filter_map(|(cores, batch)| Some((cores, batch, curve.at(cores, batch)?)))
        .collect();
    let mut kept: Vec<Configuration> = Vec::new();
    for total in problem.inventory.min_cores_per_variant.max(1)..=problem.core_budget() {
        if !ask.may_run(variant, total) {
            continue;
        }
        for (cores, batch, service) in services.iter().filter(|(cores, ..)| total % cores == 0) {
            let least = kept.last().map_or(0.0, |best| best.capacity);
            let replicas = total / cores;
            // Nearly every way carries less than the best so far, trials or not, which one look tells.
            let Some(capacity) = queue(service, replicas, *batch).capacity_above(least, &problem.slo) else { continue };
            let mut better = Configuration::of_capacity(capacity, service.clone(), (*cores, *batch, replicas));
            better.capacity *= better.part(ask, variant);
            if better.capacity > least {
                kept.pop_if(|last| last.cores() == total);
                kept.push(better);
            }
        }
    }
    Ok(kept)
}
