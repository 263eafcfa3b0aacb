//! Frontiers with what others choose: nobody who chooses from the same facts beats one, in either room.

use std::collections::BTreeMap;
use std::path::Path;

use planner::base::codec::{from_value, to_bytes};
use planner::facts::Facts;
use planner::page::plot::{Figure, svg};
use planner::planners;
use planner::problem::Problem;
use planner::rooms::{Chooser, FrontierChoice, Frontiers};
use serde_json::json;

fn facts() -> Facts {
    Facts::load(&[Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json")]).expect("shipped")
}

fn problem(room: &str) -> Problem {
    let mut value = json!({
        "format": "planner.problem/1", "risk": "none", "name": "test", "room": room, "profiles": ["x"],
        "workload": { "max_rps": 500.0 }, "slo": { "quantile": 0.99, "latency_ms": 12.0 },
        "inventory": { "cores": 8, "price_usd_per_core_hour": 0.05 }, "goal": { "kind": "most-accurate" }
    });
    if room == "pipeline" {
        value["stages"] = json!([
            { "name": "detect", "variants": ["mlp_s", "mlp_m"] },
            { "name": "classify", "variants": ["cnn_s", "cnn_m", "cnn_l"], "calls": 2.0 }
        ]);
    }
    from_value(value).expect("a good problem").0
}

#[test]
fn nobody_beats_the_frontier() {
    let facts = facts();
    let asked = [
        ("variant-set", vec![Chooser::Published, Chooser::Single, Chooser::MsPlus], [2_000.0, 9_000.0]),
        ("pipeline", vec![Chooser::Fa2Low, Chooser::Fa2High, Chooser::Rim], [200.0, 500.0]),
    ];
    for (room, others, loads) in asked {
        let found = planners::frontiers(&problem(room), &facts, &BTreeMap::new(), &loads).expect("both rooms have one");
        assert_eq!(found.loads(), loads, "{room}");
        for by in others {
            assert!(found.choices.iter().any(|choice| choice.by == by), "{room}: no {by:?}");
        }
        let of = |load: f64, by: Chooser| {
            let of = move |choice: &&FrontierChoice| choice.load_rps.get() == load && choice.by == by;
            found.choices.iter().filter(of)
        };
        for choice in found.choices.iter().filter(|choice| choice.by != Chooser::Frontier) {
            // Capacities of the published formulation are another model's.
            if choice.by == Chooser::Published {
                continue;
            }
            let within = of(choice.load_rps.get(), Chooser::Frontier).filter(|own| own.cores <= choice.cores);
            let most = within.map(|own| own.accuracy.get()).fold(0.0, f64::max);
            assert!(most >= choice.accuracy.get() - 1e-9, "{room}: {choice:?} beats {most}");
        }
        let lines = found.to_csv().lines().count();
        assert_eq!(lines, found.choices.len() + 1, "{room}");
        let value = serde_json::from_slice(&to_bytes(&found)).expect("JSON");
        assert_eq!(from_value::<Frontiers>(value).expect("its own schema").0, found, "{room}");
        let picture = svg(Figure::Frontiers(&found)).expect("drawn");
        assert!(picture.contains("cost, USD/h") && picture.contains("accuracy"), "{room}");
    }
}
