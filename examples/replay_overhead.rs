//! What the bench adds to a response time: an engine that takes exactly a millisecond, one idle replica. First the plan is
//! walked, as `planner replay` does; then the replica pulls from a queue, as in `planner profile load`.
//!
//! `cargo run --release --example replay_overhead [SECONDS]`. Run it on a quiet machine.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use planner::base::units::Rate;
use planner::measure::engines::{Engine, Run, Session};
use planner::plan::Plan;
use planner::profile::{DataFiles, Family, ModelList, ModelsFormat, VariantFile};
use planner::replay::load::{LoadService, LoadSettings, OfferedRates, Scenario, load_test};
use planner::replay::{ModelStore, Spread, replay};
use planner::simulate::{Settings, Textbook, TextbookLaw};
use planner::tensor::{Named, Samples, Tensor};
use planner::workload::Arrivals;
use serde_json::json;

/// The time of every call.
const CALL: Duration = Duration::from_millis(1);

struct Punctual;

impl Engine for Punctual {
    fn name(&self) -> &'static str {
        "punctual"
    }

    fn version(&self) -> String {
        "1".to_owned()
    }

    fn open(&self, _: &Path, _: &[&str], _: u32) -> Result<Box<dyn Session>, planner::Error> {
        Ok(Box::new(Self))
    }
}

impl Session for Punctual {
    fn run(&mut self, _: &[Named]) -> Result<Run, planner::Error> {
        let begin = Instant::now();
        while begin.elapsed() < CALL {
            std::hint::spin_loop();
        }
        Ok(Run::of_scores(vec![1.0, 0.0], 2, CALL))
    }
}

#[expect(clippy::print_stdout, reason = "the answer of the example")]
fn main() -> anyhow::Result<()> {
    let seconds = std::env::args().nth(1).map_or(Ok(10.0), |text| text.parse().context("SECONDS is a number"))?;
    let stages = json!([{ "name": "s", "dispatch": "share", "lanes": [{ "variant": "v", "pool": "p" }] }]);
    let plan: Plan = serde_json::from_value(json!({
        "format": "planner.plan/1", "name": "overhead", "slo": { "quantile": 0.99, "latency_ms": 10 },
        "placement": [{ "name": "p", "on": { "kind": "cores", "cores": 1 }, "replicas": 1, "hosts": ["v"] }],
        "gears": [{ "up_to_rps": 1000, "stages": stages }],
        "switch": { "window_ms": 1000, "up": 0.9, "down": 0.8, "dwell_ms": 10000, "drain": "own-gear" },
        "provenance": { "tool": "by hand", "room": "cascade", "seed": 0, "inputs": [] }
    }))?;
    let data = DataFiles::labelled("", "");
    let variants = vec![VariantFile::new("v", "v")];
    let store = ModelStore::new(vec![Family {
        list: ModelList { format: ModelsFormat::V1, task: "t".into(), data, judge: None, variants },
        folder: PathBuf::new(),
        list_sha256: String::new(),
        model_sha256: vec![String::new()],
        samples: Samples::labelled(Tensor::floats([1, 1], vec![0.0]), vec![0]),
        calibration: None,
    }]);
    let laws = [("v".to_owned(), TextbookLaw::Constant { ms: 1.0 })].into();
    let world = Textbook::new(&plan, &laws)?;
    // Every fifth millisecond: the replica is always idle.
    let settings = Settings {
        arrivals: Arrivals::Constant { rate_rps: 200.0 },
        duration: Duration::from_secs_f64(seconds),
        warmup: Duration::from_millis(200),
        seed: 1,
    };
    let trial = replay(&plan, &world, &store, &Punctual, &settings)?;
    let times = trial.report.whole.latency.context("nothing was answered")?;
    let show = |name: &str, spread: &Spread| {
        println!("{name:12} p50 {:7.1} µs  p99 {:7.1} µs", spread.p50_ms.get() * 1e3, spread.p99_ms.get() * 1e3);
    };
    show("lag", &trial.overhead.lag);
    show("hand over", &trial.overhead.hand_over);
    show("hand back", &trial.overhead.hand_back);
    let added = |ms: f64| (ms - 1.0) * 1e3;
    println!("response − 1 ms: p50 {:.1} µs  p99 {:.1} µs", added(times.p50_ms.get()), added(times.p99_ms.get()));
    println!("the bench had a core to itself: {}", trial.overhead.own_core);

    let pulled = LoadSettings {
        scenario: Scenario::Server,
        service: LoadService { cores: 1, sessions: 1, pinned: true, batch: 1, samples_per_query: 1 },
        // A tenth of the capacity: few requests find the replica busy.
        rates: OfferedRates::Given(vec![Rate::new(100.0)?]),
        slo: None,
        duration: settings.duration,
        fewest: 1,
        warmup: settings.warmup,
        seed: settings.seed,
        context: planner::measure::MeasureContext::default(),
    };
    let run = load_test(&store, "v", &Punctual, &pulled, &mut |_| ())?.runs.remove(0);
    let times = run.latency.context("nothing was answered")?;
    println!("pulled: lag p50 {:.1} µs  p99 {:.1} µs", run.lag.p50_ms.get() * 1e3, run.lag.p99_ms.get() * 1e3);
    println!("response − 1 ms: p50 {:.1} µs  min {:.1} µs", added(times.p50.value_ms.get()), added(times.min_ms.get()));
    Ok(())
}
