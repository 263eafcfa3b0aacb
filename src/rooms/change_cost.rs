//! What a change of gear takes beyond the gears themselves, while each of them serves.
//!
//! ```text
//! core-seconds  =  cores that start × longest load time of what starts  +  cores that leave × SLO
//! ```
//!
//! The old gear serves until all that starts has loaded, so that what starts is up beside it for so long; then what leaves may
//! still answer requests, each for as long as the SLO at most. The simulator pays the same.

use std::collections::BTreeMap;

use crate::facts::Facts;
use crate::plan::Pool;
use crate::problem::Slo;

/// The pools of a gear by name, each with the replicas that are up.
pub(crate) type PoolsUp = BTreeMap<String, (Pool, u32)>;

/// Returns the core-seconds that the change from one gear to another takes.
pub(super) fn core_seconds(facts: &Facts, slo: &Slo, from: &PoolsUp, to: &PoolsUp) -> f64 {
    let starting = to.iter().filter(|(name, (_, up))| *up > up_in(from, name));
    let loading_ms =
        starting.flat_map(|(_, (pool, _))| &pool.hosts).map(|name| load_ms(facts, name)).fold(0.0, f64::max);
    (cores_beyond(to, from) * loading_ms + cores_beyond(from, to) * slo.latency_ms.get()) / 1e3
}

/// Returns how long a variant takes to load, in milliseconds.
pub(super) fn load_ms(facts: &Facts, variant: &str) -> f64 {
    facts.measured(variant).load_time_ms.get()
}

/// Returns the cores of the replicas that are up in one gear beyond those that are up in another.
fn cores_beyond(these: &PoolsUp, others: &PoolsUp) -> f64 {
    let beyond = |(name, (pool, up)): (&String, &(Pool, u32))| up.saturating_sub(up_in(others, name)) * pool.on.cores();
    f64::from(these.iter().map(beyond).sum::<u32>())
}

fn up_in(pools: &PoolsUp, name: &str) -> u32 {
    pools.get(name).map_or(0, |(_, up)| *up)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::{PoolsUp, core_seconds};
    use crate::base::codec::{from_value, load};
    use crate::base::units::Millis;
    use crate::facts::Facts;
    use crate::plan::Plan;
    use crate::profile::Profile;
    use crate::simulate::{Measured, Settings, simulate};
    use crate::workload::Arrivals;

    /// Load times of the two variants, in seconds.
    const LOAD_S: [(&str, f64); 2] = [("mlp_s", 4.0), ("cnn_s", 10.0)];
    /// Length of a period, in seconds: one change between two.
    const PERIOD_S: f64 = 60.0;

    /// The digits with load times that a change can be told by.
    fn facts() -> Facts {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json");
        let mut profile = load::<Profile>(&path).expect("shipped");
        for (name, seconds) in LOAD_S {
            let mut variants = profile.document.variants.iter_mut();
            let variant = variants.find(|variant| variant.name == name).expect("a digits variant");
            variant.load_time_ms = Millis::saturating(1e3 * seconds);
        }
        Facts::of(vec![(profile, None)]).expect("one profile")
    }

    /// A plan whose gears have so many replicas of one core of the two variants; those that are up share the requests.
    /// The second gear comes by the clock, or else by the rate.
    fn plan(replicas: [[u32; 2]; 2], by_clock: bool) -> Plan {
        let gear = |index: usize| {
            let [mlp, cnn] = replicas[index];
            let all = f64::from(mlp + cnn);
            let lane = |variant: &str, up: u32| serde_json::json!({ "variant": variant, "pool": variant, "share": f64::from(up) / all });
            let lanes: Vec<_> = [("mlp_s", mlp), ("cnn_s", cnn)]
                .into_iter()
                .filter(|(_, up)| *up > 0)
                .map(|(name, up)| lane(name, up))
                .collect();
            serde_json::json!({
                "up_to_rps": 100.0 * (index + 1) as f64, "replicas": { "mlp_s": mlp, "cnn_s": cnn },
                "stages": [{ "name": "digits", "dispatch": "share", "lanes": lanes }]
            })
        };
        let pool = |name: &str| {
            serde_json::json!({ "name": name, "replicas": 9, "hosts": [name],
                "on": { "kind": "cores", "cores": 1, "price_usd_per_core_hour": 1.0 } })
        };
        let mut value = serde_json::json!({
            "format": "planner.plan/1", "name": "change", "slo": { "quantile": 0.99, "latency_ms": 50.0 },
            "placement": [pool("mlp_s"), pool("cnn_s")], "gears": [gear(0), gear(1)],
            "switch": { "window_ms": 1000.0, "up": 0.9, "down": 0.8, "dwell_ms": 10000.0, "drain": "own-gear" },
            "provenance": { "tool": "by hand", "room": "variant-set", "seed": 0, "inputs": [] }
        });
        if by_clock {
            let period = |from_ms: f64, gear: usize| serde_json::json!({ "from_ms": from_ms, "highest_rps": 90.0, "gear": gear });
            value["periods"] = serde_json::json!([period(0.0, 0), period(1e3 * PERIOD_S, 1)]);
        }
        from_value(value).expect("a good plan").0
    }

    fn up(plan: &Plan, gear: usize) -> PoolsUp {
        let pools =
            plan.placement.iter().map(|pool| (pool.name.clone(), (pool.clone(), plan.gears[gear].replicas_of(pool))));
        pools.collect()
    }

    /// Simulates a plan that changes gear once, and returns the core-seconds beyond those of its gears while each served.
    fn measured(plan: &Plan, facts: &Facts) -> f64 {
        let settings = Settings {
            arrivals: Arrivals::Step { from_rps: 60.0, to_rps: 150.0, at_s: PERIOD_S },
            duration: Duration::from_secs_f64(2.0 * PERIOD_S),
            warmup: Duration::ZERO,
            seed: 3,
        };
        let report = simulate(plan, &Measured::new(plan, facts).expect("measured"), &settings);
        assert_eq!(report.changes.len(), 1, "{:?}", report.changes);
        let seconds = settings.duration.as_secs_f64();
        let of_gear = |gear: usize| up(plan, gear).values().map(|(_, up)| f64::from(*up)).sum::<f64>();
        let gears: f64 =
            report.gears.iter().enumerate().map(|(gear, seen)| seen.time_share.get() * of_gear(gear)).sum();
        // A core costs 1 an hour.
        let paid: f64 = report.pools.iter().map(|pool| pool.cost_usd_per_hour.get()).sum();
        seconds * (paid - gears)
    }

    #[test]
    fn the_core_seconds_of_a_change_are_those_of_simulation() {
        let facts = facts();
        // Growth, a swap for more, a swap for fewer, and both at once, each by the clock and by the rate.
        for replicas in [[[1, 0], [4, 0]], [[1, 0], [0, 3]], [[0, 3], [1, 0]], [[2, 1], [1, 3]], [[3, 2], [2, 2]]] {
            for by_clock in [true, false] {
                let plan = plan(replicas, by_clock);
                let (seen, (from, to)) = (measured(&plan, &facts), (up(&plan, 0), up(&plan, 1)));
                let expected = core_seconds(&facts, &plan.slo, &from, &to);
                let leaving = super::cores_beyond(&from, &to);
                // All that starts loads as long as the slowest; what leaves drains for the SLO at most.
                let least = expected - leaving * plan.slo.latency_ms.get() / 1e3;
                let within = least - 1e-6 <= seen && seen <= expected + 1e-6;
                assert!(within, "{replicas:?} by clock {by_clock}: {seen} for {least} to {expected}");
            }
        }
    }
}
