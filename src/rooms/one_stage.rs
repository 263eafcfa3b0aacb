//! Gears whose walk has one stage, where variants side by side share the load.

use std::collections::BTreeMap;

use super::Choice;
use super::configurations::Configuration;
use super::gears::{Decoded, lane, level_shares};
use super::hardware::cores_of;
use crate::base::units::{Accuracy, Factor, Rate, Usd};
use crate::facts::{Ask, Facts};
use crate::plan::{AccuracyClaim, Certificate, Claims, Dispatch, Gear, Lane, Stage};
use crate::profile::Trust;

/// Returns the gear in which these ways carry these parts of the load.
pub(super) fn gear(
    ask: &Ask<'_>,
    chosen: Vec<(String, Configuration, f64)>,
    load: f64,
    certificate: Option<Certificate>,
) -> Decoded {
    let mut lanes: Vec<Lane> = chosen.iter().map(|(name, way, quota)| lane(name, way, quota / load)).collect();
    let chosen: Vec<(String, Configuration)> = chosen.into_iter().map(|(name, way, _)| (name, way)).collect();
    level_shares(&mut lanes);
    let gear = Gear {
        up_to_rps: Rate::saturating(load),
        replicas: BTreeMap::new(),
        packing: Vec::new(),
        under_way_at_most: None,
        window_ms: None,
        claims: claims(ask, &lanes, &chosen, load),
        stages: vec![stage(lanes)],
        certificate,
    };
    Decoded { gear, lanes: chosen }
}

/// Returns the gear in which the lanes of a choice carry these parts of another load; those of nothing are left out.
pub(super) fn gear_with(ask: &Ask<'_>, choice: &Choice, quotas: impl IntoIterator<Item = f64>, load: f64) -> Gear {
    let lanes = choice.lanes.iter().cloned().zip(quotas).filter(|(_, quota)| *quota > 0.0);
    let chosen = lanes.map(|((name, way), quota)| (name, way, quota)).collect();
    gear(ask, chosen, load, None).gear
}

fn claims(ask: &Ask<'_>, lanes: &[Lane], chosen: &[(String, Configuration)], load: f64) -> Claims {
    let share = |lane: &Lane| lane.share.map_or(0.0, f64::from);
    let busy = |(lane, (_, way)): (&Lane, &(String, Configuration))| {
        (lane.pool.clone(), way.flow(1.0, share(lane)).busy(load))
    };
    let cores = cores_of(&ask.problem, chosen);
    let price = ask.problem.inventory.price_usd_per_core_hour.get();
    Claims {
        accuracy: accuracy_claim(&ask.facts, lanes),
        latency: None,
        cost_usd_per_hour: Some(Usd::saturating(f64::from(cores) * price)),
        cores: Some(cores),
        machines: BTreeMap::new(),
        utilisation: lanes.iter().zip(chosen).map(busy).collect(),
    }
}

/// Mixes the variants' accuracies and intervals by share (the interval is that of the worst case: all errors align).
fn accuracy_claim(facts: &Facts, lanes: &[Lane]) -> Option<AccuracyClaim> {
    let mut sums = [0.0; 3];
    let mut trust = Trust::Measured;
    for lane in lanes {
        let fact = &facts.variant(&lane.variant)?.accuracy;
        let share = lane.share.map_or(1.0, f64::from);
        for (sum, part) in sums.iter_mut().zip([fact.low, fact.value, fact.high]) {
            *sum += share * part.get();
        }
        trust = trust.max(fact.trust);
    }
    let [low, value, high] = sums.map(Accuracy::saturating);
    Some(AccuracyClaim { value, low, high, trust })
}

/// Returns the only stage of a walk that has one.
fn stage(lanes: Vec<Lane>) -> Stage {
    Stage {
        name: "answer".to_owned(),
        after: Vec::new(),
        calls: Factor::saturating(1.0),
        dispatch: Dispatch::Share,
        lanes,
        exit: None,
        watch: None,
    }
}
