//! The plan of a load test: one variant on one pool, one lane, no hold.

use std::collections::BTreeMap;

use super::LoadSettings;
use super::search::HIGHEST_RPS;
use crate::base::units::{Factor, Millis, Rate, Share, Usd};
use crate::plan::{Claims, Dispatch, Gear, Lane, Plan, PlanFormat, Pool, Provenance, Stage, Switch};
use crate::problem::{Resource, RoomName, Slo};

impl LoadSettings {
    /// Returns the plan that serves a variant: up to which rate it does is what the test asks, so it claims every rate.
    pub(crate) fn plan(&self, variant: &str) -> Plan {
        let variant = variant.to_owned();
        let pool = Pool {
            name: variant.clone(),
            on: Resource::Cores { cores: self.service.cores, price_usd_per_core_hour: Usd::default() },
            machine: None,
            replicas: self.service.sessions,
            hosts: vec![variant.clone()],
        };
        let lane = Lane {
            variant: variant.clone(),
            pool: pool.name.clone(),
            batch: self.service.batch,
            hold_ms: Millis::default(),
            share: None,
            queue_limit: None,
            drop_after_ms: None,
        };
        let stage = Stage {
            name: variant.clone(),
            after: Vec::new(),
            calls: Factor::saturating(1.0),
            dispatch: Dispatch::Share,
            lanes: vec![lane],
            exit: None,
            watch: None,
        };
        let gear = Gear {
            up_to_rps: Rate::saturating(HIGHEST_RPS),
            replicas: BTreeMap::new(),
            packing: Vec::new(),
            under_way_at_most: None,
            window_ms: None,
            stages: vec![stage],
            claims: Claims::default(),
            certificate: None,
        };
        let any = Slo { quantile: Share::default(), latency_ms: Millis::saturating(f64::MAX), window_s: None };
        Plan {
            format: PlanFormat::V1,
            name: variant,
            slo: self.slo.unwrap_or(any),
            machines: Vec::new(),
            placement: vec![pool],
            transfers: Vec::new(),
            periods: Vec::new(),
            day: None,
            gears: vec![gear],
            switch: Switch::default(),
            proof: None,
            provenance: Provenance { seed: self.seed, ..Provenance::of_room(RoomName::VariantSet) },
        }
    }
}
