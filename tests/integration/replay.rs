//! The replay: counts add up, time is real and counted from the intended arrival, answers are those of the run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use planner::Error;
use planner::measure::engines::{Engine, Run, Session};
use planner::plan::Plan;
use planner::profile::{DataFiles, Family, ModelList, ModelsFormat, VariantFile};
use planner::replay::{ModelStore, Replayed, compare, replay};
use planner::simulate::{Settings, Textbook, TextbookLaw, simulate, variants_of};
use planner::tensor::{Data, Named, Samples, Tensor};
use planner::workload::{Arrivals, Trace};
use serde_json::{Value, json};

/// Easy samples have class 0, hard ones class 1; the input is 1 for easy ones.
const EASY: [bool; 10] = [true, true, false, true, false, true, true, true, false, true];

/// An engine that takes the time it is told. Variant `small` guesses at hard samples, and says so; others are sure and right.
struct Slow {
    /// Time of a call, whatever the batch.
    call: Duration,
    /// Time to open a model.
    open: Duration,
    /// The call, counted from 1, at which a session fails.
    fails_at: Option<u32>,
}

impl Slow {
    const fn new(call_ms: u64, open_ms: u64) -> Self {
        Self { call: Duration::from_millis(call_ms), open: Duration::from_millis(open_ms), fails_at: None }
    }
}

struct SlowSession {
    call: Duration,
    guesses: bool,
    calls: u32,
    fails_at: Option<u32>,
}

impl Engine for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn version(&self) -> String {
        "1".to_owned()
    }

    fn open(&self, model: &Path, _: &[&str], _: u32) -> Result<Box<dyn Session>, Error> {
        sleep(self.open);
        let guesses = model.ends_with("small");
        Ok(Box::new(SlowSession { call: self.call, guesses, calls: 0, fails_at: self.fails_at }))
    }
}

impl Session for SlowSession {
    fn run(&mut self, inputs: &[Named]) -> Result<Run, Error> {
        self.calls += 1;
        if Some(self.calls) == self.fails_at {
            return Err(Error::Engine { engine: "slow", message: "out of breath".to_owned() });
        }
        sleep(self.call);
        let scores = |easy: &f32| match (*easy > 0.0, self.guesses) {
            (true, _) => [9.0, 0.0],
            (false, true) => [0.1, 0.0],
            (false, false) => [0.0, 9.0],
        };
        let Data::F32(data) = inputs[0].tensor.data() else { panic!("floats were given") };
        Ok(Run::of_scores(data.iter().flat_map(scores).collect(), 2, self.call))
    }
}

/// What `small` and the others answer, as a simulation is told.
fn answers(variant: &str) -> Vec<(f32, bool)> {
    EASY.iter().map(|&easy| if easy || variant != "small" { (0.999, true) } else { (0.05, false) }).collect()
}

fn store() -> ModelStore {
    let files = DataFiles::labelled("", "");
    let variants = ["small", "large"].map(|name| VariantFile::new(name, name)).to_vec();
    ModelStore::new(vec![Family {
        list: ModelList { format: ModelsFormat::V1, task: "t".to_owned(), data: files, judge: None, variants },
        folder: PathBuf::new(),
        list_sha256: String::new(),
        model_sha256: vec![String::new(); 2],
        samples: Samples::labelled(
            Tensor::floats([EASY.len(), 1], EASY.iter().map(|&easy| f32::from(u8::from(easy))).collect()),
            EASY.iter().map(|&easy| u32::from(!easy)).collect(),
        ),
        calibration: None,
    }])
}

/// Pools are on one core each and have one replica; gears are `(up to rps, pools that are up, stages)`.
fn plan(pools: &[(&str, &[&str])], gears: &[(f64, &[&str], Value)]) -> Plan {
    let pool = |(name, hosts): &(&str, &[&str])| json!({ "name": name, "on": { "kind": "cores", "cores": 1 }, "replicas": 1, "hosts": hosts });
    let gear = |(rate, up, stages): &(f64, &[&str], Value)| {
        let replicas: BTreeMap<_, _> = pools.iter().map(|(name, _)| (name, u8::from(up.contains(name)))).collect();
        json!({ "up_to_rps": rate, "replicas": replicas, "stages": stages })
    };
    serde_json::from_value(json!({
        "format": "planner.plan/1", "name": "trial", "slo": { "quantile": 0.9, "latency_ms": 50 },
        "placement": pools.iter().map(pool).collect::<Vec<_>>(),
        "gears": gears.iter().map(gear).collect::<Vec<_>>(),
        "switch": { "window_ms": 200, "up": 0.9, "down": 0.8, "dwell_ms": 10000, "drain": "own-gear" },
        "provenance": { "tool": "by hand", "room": "cascade", "seed": 0, "inputs": [] }
    }))
    .expect("a valid plan")
}

fn one_stage(variant: &str, pool: &str, batch: u32, hold_ms: f64) -> Value {
    let lane = json!({ "variant": variant, "pool": pool, "batch": batch, "hold_ms": hold_ms });
    json!([{ "name": "only", "dispatch": "share", "lanes": [lane] }])
}

fn cascade(pool: &str) -> Value {
    json!([
        { "name": "first", "dispatch": "share", "lanes": [{ "variant": "small", "pool": pool }],
          "exit": { "certainty_at_least": 0.5 } },
        { "name": "last", "dispatch": "share", "lanes": [{ "variant": "large", "pool": pool }] }
    ])
}

/// A world whose answers are those of [`Slow`]; nothing of it is random, so requests draw the same samples everywhere.
fn world(plan: &Plan, ms: f64) -> Textbook {
    let names = variants_of(plan);
    let laws = names.iter().map(|&name| (name.to_owned(), TextbookLaw::Constant { ms })).collect();
    let world = Textbook::new(plan, &laws).expect("every variant has a law");
    names.iter().enumerate().fold(world, |world, (index, name)| world.with_answers(index, answers(name)))
}

fn settings(arrivals: Arrivals, ms: u64) -> Settings {
    Settings { arrivals, duration: Duration::from_millis(ms), warmup: Duration::ZERO, seed: 7 }
}

fn tried(plan: &Plan, engine: &Slow, settings: &Settings) -> Replayed {
    let world = world(plan, engine.call.as_secs_f64() * 1e3);
    let trial = replay(plan, &world, &store(), engine, settings).expect("replayable");
    let whole = &trial.report.whole;
    let arrivals = settings.arrivals.source(settings.seed);
    let due = arrivals.take_while(|&at| u128::from(at) < settings.duration.as_nanos()).count();
    assert_eq!(whole.arrived, due as u64, "everything that was due has arrived");
    assert_eq!(whole.answered + whole.unfinished, whole.arrived);
    trial
}

#[test]
fn a_cascade_exits_by_the_answers_of_the_run() {
    let plan = plan(&[("p", &["small", "large"])], &[(100.0, &["p"], cascade("p"))]);
    // 49 requests are due; the last half second is quiet, so that even a busy machine answers them all.
    let trace = Trace::new("t", vec![50.0, 0.0]);
    let settings = settings(Arrivals::Trace(trace), 2_000);
    let trial = tried(&plan, &Slow::new(2, 0), &settings);
    let (whole, gear) = (&trial.report.whole, &trial.report.gears[0].summary);
    assert_eq!(whole.unfinished, 0);
    assert_eq!(whole.accuracy.expect("judged").get(), 1.0, "`small` errs only where it is not certain");
    let simulated = simulate(&plan, &world(&plan, 2.0), &settings);
    assert_eq!(gear.reach, simulated.gears[0].summary.reach, "the same samples are hard in both");
    let reach = gear.reach[1].get();
    assert!((0.1..0.6).contains(&reach), "three samples in ten are hard: {reach}");
    let calls = whole.arrived as f64 * (1.0 + reach);
    assert!((trial.report.pools[0].calls as f64 - calls).abs() < 1e-6);
    let times = whole.latency.expect("answered");
    assert!(times.p50_ms.get() >= 2.0 && times.max_ms.get() >= 4.0, "two calls of 2 ms: {times:?}");
    assert_eq!(trial.overhead.hand_over.count, trial.report.pools[0].calls);

    let rows = compare(&plan, [&simulated, &simulated, &trial.report]);
    let row = rows.iter().find(|row| row.measure == "reach of last").expect("a row for each stage");
    assert_eq!((row.claim, row.simulated, row.measured), (None, Some(reach), Some(reach)));
}

#[test]
fn latency_counts_from_the_intended_arrival() {
    // One replica answers at most 50 of 100 requests a second: request n arrives at 10 n and is done at 20 n + 10 ms or later.
    let plan = plan(&[("p", &["large"])], &[(100.0, &["p"], one_stage("large", "p", 1, 0.0))]);
    let trial = tried(&plan, &Slow::new(20, 0), &settings(Arrivals::Constant { rate_rps: 100.0 }, 600));
    let whole = &trial.report.whole;
    assert_eq!(whole.arrived, 59);
    assert!((5..=30).contains(&whole.answered), "{} answers in 600 ms of 20 ms each", whole.answered);
    let times = whole.latency.expect("answered");
    let least = 10.0 * whole.answered as f64;
    assert!(times.max_ms.get() >= least, "{} answers, yet the slowest took {} ms", whole.answered, times.max_ms);
    assert!(!whole.slo_met && whole.violations >= 40, "what waits at the end is late: {}", whole.violations);
    assert!(trial.report.pools[0].utilisation.get() > 0.8);
    assert!(trial.report.pools[0].mean_waiting > 5.0);
}

#[test]
fn calls_that_wait_together_are_served_together() {
    let plan = plan(&[("p", &["large"])], &[(400.0, &["p"], one_stage("large", "p", 4, 1_000.0))]);
    let trial = tried(&plan, &Slow::new(1, 0), &settings(Arrivals::Constant { rate_rps: 200.0 }, 500));
    let pool = &trial.report.pools[0];
    assert_eq!(pool.mean_batch, 4.0, "the hold is longer than the trial");
    assert!(pool.calls >= 80, "{} calls", pool.calls);
    let times = trial.report.whole.latency.expect("answered");
    assert!(times.max_ms.get() >= 16.0, "the first of four waits for three more, 5 ms each: {times:?}");
}

#[test]
fn gears_change_when_their_replicas_have_loaded() {
    let gears: [(f64, &[&str], Value); 2] =
        [(60.0, &["a"], one_stage("large", "a", 1, 0.0)), (300.0, &["b"], one_stage("small", "b", 1, 0.0))];
    let plan = plan(&[("a", &["large"]), ("b", &["small"])], &gears);
    let trace = Trace::new("step", vec![20.0, 150.0]);
    let trial = tried(&plan, &Slow::new(1, 40), &settings(Arrivals::Trace(trace), 2_000));
    let report = &trial.report;
    let change = report.changes.first().expect("150 requests a second are no load for the first gear");
    assert_eq!((change.from, change.to), (0, 1));
    assert!(change.waited_ms.get() >= 41.0, "a model opens in 40 ms and answers in 1: {}", change.waited_ms);
    assert!(change.at_ms.get() >= 1_241.0, "the load rises after a second, a window takes 200 ms: {}", change.at_ms);
    let served: Vec<_> = report.gears.iter().map(|gear| gear.summary.answered).collect();
    assert!(served[0] > 10 && served[1] > 10, "both gears serve: {served:?}");
    assert!(report.pools.iter().all(|pool| pool.calls > 0));
}

#[test]
fn an_engine_that_fails_ends_the_trial() {
    let plan = plan(&[("p", &["large"])], &[(100.0, &["p"], one_stage("large", "p", 1, 0.0))]);
    let settings = settings(Arrivals::Constant { rate_rps: 50.0 }, 60_000);
    for call in [1, 5] {
        let engine = Slow { fails_at: Some(call), ..Slow::new(1, 0) };
        let error = replay(&plan, &world(&plan, 1.0), &store(), &engine, &settings);
        assert!(error.expect_err("it fails").to_string().contains("out of breath"), "call {call}");
    }
}

#[test]
fn a_variant_without_a_model_is_refused() {
    let plan = plan(&[("p", &["huge"])], &[(100.0, &["p"], one_stage("huge", "p", 1, 0.0))]);
    let settings = settings(Arrivals::Constant { rate_rps: 50.0 }, 60_000);
    let error = replay(&plan, &world(&plan, 1.0), &store(), &Slow::new(1, 0), &settings);
    let message = error.expect_err("nobody has it").to_string();
    assert!(message.contains("unknown-name") && message.contains("`huge`"), "{message}");
}

#[cfg(feature = "rten")]
#[test]
fn what_this_machine_lacks_is_named() {
    struct Case {
        arguments: &'static [&'static str],
        says: &'static [&'static str],
    }
    let cases = [
        Case {
            arguments: &["plans/samples/offload.json"],
            says: &["missing-resource", "pool `functions` is on functions", "2 of 2 gears need more than the"],
        },
        Case { arguments: &["plans/digits.json", "--gear", "99"], says: &["there is no gear 99", "0 to 18"] },
        Case {
            arguments: &["plans/cascade-digits.json", "--rps", "0"],
            says: &["out-of-range", "no request would come"],
        },
    ];
    for case in cases {
        let mut command = assert_cmd::Command::cargo_bin("planner").expect("built");
        command.current_dir(env!("CARGO_MANIFEST_DIR")).arg("replay").args(case.arguments);
        let run = command.assert().code(2);
        let stderr = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
        assert!(case.says.iter().all(|says| stderr.contains(says)), "{:?}: {stderr}", case.arguments);
    }
}

/// The shipped cascade on the real engine: what leaves early, and how often it is right, is what the profile counted.
#[cfg(feature = "rten")]
#[test]
#[expect(clippy::print_stderr, reason = "says why a test that passes replayed nothing")]
fn the_digits_cascade_answers_as_it_was_profiled() {
    use planner::base::codec::load;
    use planner::facts::Facts;
    use planner::measure::host::allowed_cores;
    use planner::simulate::Measured;

    if allowed_cores().len() < 2 {
        eprintln!("not replayed: the cascade needs two cores");
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/cascade-digits.json");
    let plan = load::<Plan>(&path).expect("it is valid").document;
    let facts = Facts::of_plan(&plan, &path).expect("its profile is there");
    let store = ModelStore::from_facts(&facts, planner::profile::ModelFiles::Here).expect("its models are there");
    let rten = planner::measure::engines::rten::Rten;
    assert!(store.differences(&facts, &rten).0.is_empty(), "the shipped models are the profiled ones");
    // Constant times draw nothing, so that this world and the replay see the same samples.
    let names = variants_of(&plan);
    let laws = names.iter().map(|&name| (name.to_owned(), TextbookLaw::Constant { ms: 0.1 })).collect();
    let mut world = Textbook::new(&plan, &laws).expect("every variant has a law");
    for (index, name) in names.iter().enumerate() {
        let answers = facts.answers(name).expect("profiled with samples");
        let judged = answers.of(name).into_iter().flatten().zip(&answers.labels);
        world = world.with_answers(index, judged.map(|(a, label)| (a.certainty, a.predicted == *label)).collect());
    }
    // A quiet end lets even a machine that is busy with other tests answer everything.
    let trace = Trace::new("t", vec![100.0, 100.0, 0.0, 0.0, 0.0]);
    let settings = settings(Arrivals::Trace(trace), 5_000);
    let simulated = simulate(&plan, &world, &settings);
    let trial = replay(&plan, &world, &store, &rten, &settings).expect("two cores carry it");
    let (whole, wanted) = (&trial.report.whole, &simulated.whole);
    assert_eq!((whole.arrived, whole.unfinished), (wanted.arrived, 0), "nothing is lost");
    assert!(whole.arrived > 150);
    // The times of the calls are those that kept the replica busy, and a simulation can draw from them.
    let busy_ms = trial.calls.values().flatten().map(|wall| wall.as_secs_f64() * 1e3).sum::<f64>();
    let (seen, told) = (busy_ms / trial.report.duration_ms.get(), trial.report.pools[0].utilisation.get());
    assert!((seen / told - 1.0).abs() < 0.02, "busy {seen} by the calls, {told} by the report");
    let own = Measured::new(&plan, &facts).expect("profiled").with_calls(&trial.calls);
    assert_eq!(simulate(&plan, &own, &settings).whole.arrived, whole.arrived);
    // Certainties stand in the profile with five digits: one sample on the edge of the threshold may fall either way.
    let one = 1.5 / whole.arrived as f64;
    let (seen, known) = (whole.accuracy.expect("judged").get(), wanted.accuracy.expect("judged").get());
    assert!((seen - known).abs() <= one, "accuracy {seen}, of the same samples as profiled {known}");
    let reach = |report: &planner::simulate::Report| report.gears[0].summary.reach[1].get();
    assert!((reach(&trial.report) - reach(&simulated)).abs() <= one);
    assert!((0.25..0.38).contains(&reach(&trial.report)), "31 % of all samples go on to the last stage");
    let times = whole.latency.expect("answered");
    assert!(times.p50_ms.get() > 0.01 && times.max_ms.get() > 0.3, "a network needs its time: {times:?}");
}

/// From the outside: the claims stand beside what was seen, and `--gear` takes what fits out of what does not.
#[cfg(feature = "rten")]
#[test]
fn claims_stand_beside_what_was_measured() {
    let mut command = assert_cmd::Command::cargo_bin("planner").expect("built");
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.args([
        "replay",
        "plans/digits.json",
        "--gear",
        "4",
        "--rps",
        "100",
        "--duration-s",
        "1",
        "--format",
        "json",
    ]);
    let run = command.assert();
    let output = run.get_output();
    // A busy machine may break the SLO, which is an answer too.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(result["report"]["source"], "replay");
    assert_eq!(result["simulated"]["source"], "simulation");
    assert_eq!(result["report"]["whole"]["arrived"], result["simulated"]["whole"]["arrived"], "the same arrivals");
    let rows = result["comparison"].as_array().expect("rows");
    let claim = |measure: &str| rows.iter().find(|row| row["measure"] == measure).map(|row| row["claim"].as_f64());
    let text = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/plans/digits.json")).expect("shipped");
    let plan: Value = serde_json::from_slice(&text).expect("JSON");
    let claims = &plan["gears"][4]["claims"];
    assert_eq!(claim("p99_ms"), Some(claims["latency"]["value_ms"].as_f64()));
    assert_eq!(claim("p50_ms"), Some(None), "no median is claimed");
    assert_eq!(claim("accuracy"), Some(claims["accuracy"]["value"].as_f64()));
    let utilisation = claims["utilisation"].as_object().and_then(|pools| pools.values().next()?.as_f64());
    assert_eq!(claim("utilisation"), Some(utilisation));
    assert!(result["overhead"]["lag"]["p50_ms"].is_number());
}
