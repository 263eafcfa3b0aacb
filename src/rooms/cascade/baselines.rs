//! Devices that follow the load: what a rival without gears does.

use crate::base::units::Rate;
use crate::facts::Ask;
use crate::plan::{Gear, Plan};
use crate::rooms::gears::switch_rule;

/// Returns the plan of one variant alone, whose devices are all up, with a gear for every number of devices; the plan itself
/// where it has several gears or several kinds of devices.
///
/// Devices serve by themselves, so each carries the same part.
pub(in crate::rooms) fn following(plan: Plan, ask: &Ask<'_>) -> Plan {
    let ([gear], [pool]) = (plan.gears.as_slice(), plan.placement.as_slice()) else { return plan };
    let each = gear.up_to_rps.get() / f64::from(pool.replicas);
    let with = |replicas: u32| Gear {
        up_to_rps: Rate::saturating(each * f64::from(replicas)),
        replicas: [(pool.name.clone(), replicas)].into(),
        ..gear.clone()
    };
    let gears: Vec<Gear> = (1..=pool.replicas).map(with).collect();
    // Devices load a variant when they come up: the house's rule reckons with that.
    let switch = switch_rule(&ask.problem, &ask.facts, &plan.placement, &gears);
    Plan { switch, gears, ..plan }
}
