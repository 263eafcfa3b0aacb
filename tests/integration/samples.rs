//! The plans written by hand, one for each room: they are valid, and keep their SLO on the measured digits.

use std::path::Path;
use std::time::Duration;

use planner::base::codec::load;
use planner::facts::Facts;
use planner::plan::Plan;
use planner::simulate::{Measured, Settings, simulate};
use planner::workload::Arrivals;

const ROOMS: [&str; 5] = ["variant-set", "pipeline", "cascade", "dropout", "offload"];

#[test]
#[expect(clippy::print_stderr, reason = "says why a test that passes did not simulate")]
fn every_sample_is_valid_and_keeps_its_slo() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for room in ROOMS {
        let path = root.join(format!("plans/samples/{room}.json"));
        let plan = load::<Plan>(&path).expect(room);
        assert_eq!(plan.document.provenance.room.as_str(), room);
        if !root.join("profiles/digits.json").exists() {
            eprintln!("{room}: not simulated, profiles/digits.json is not there");
            continue;
        }
        let facts = Facts::of_plan(&plan.document, &path).expect(room);
        let world = Measured::new(&plan.document, &facts).expect(room);
        let settings = Settings {
            arrivals: Arrivals::Poisson { rate_rps: 0.8 * plan.document.max_rps() },
            duration: Duration::from_secs(30),
            warmup: Duration::ZERO,
            seed: 42,
        };
        let report = simulate(&plan.document, &world, &settings);
        assert!(report.whole.slo_met, "{room}: {} late", report.whole.violation_share);
    }
}
