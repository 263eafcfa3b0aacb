//! Load tests: on a virtual clock against queueing theory, and through the program with real engines.

use std::fs;
use std::path::Path;
use std::time::Duration;

use planner::Error;
use planner::base::codec::load;
use planner::base::units::{Millis, Rate, Share};
use planner::measure::MeasureContext;
use planner::problem::Slo;
use planner::replay::load::{
    Bench, Capacity, Ended, LoadOutcome, LoadRun, LoadService, LoadSettings, LoadTest, OfferedRates, Played, RunSpec,
    Scenario, ScriptedBench, measure_load, poisson,
};

use super::engines::small_family;

const MS: Duration = Duration::from_millis(1);

const SERVICE: LoadService = LoadService { cores: 1, sessions: 1, pinned: false, batch: 1, samples_per_query: 1 };

/// A server that takes the same time for every call.
fn constant(wall: Duration) -> ScriptedBench {
    ScriptedBench { walls: vec![wall], sessions: 1, timeout: Duration::MAX }
}

fn settings(rates: OfferedRates, slo: Option<(f64, f64)>, requests: u64) -> LoadSettings {
    LoadSettings {
        scenario: Scenario::Server,
        service: SERVICE,
        rates,
        slo: slo.map(|(quantile, ms)| Slo {
            quantile: share(quantile),
            latency_ms: Millis::saturating(ms),
            window_s: None,
        }),
        duration: Duration::ZERO,
        fewest: requests,
        warmup: 100 * MS,
        seed: 42,
        context: MeasureContext::default(),
    }
}

fn share(number: f64) -> Share {
    Share::new(number).expect("a share")
}

fn rates(rates: &[f64]) -> OfferedRates {
    OfferedRates::Given(rates.iter().map(|&rate| Rate::new(rate).expect("a rate")).collect())
}

fn outcome(bench: &mut dyn Bench, settings: &LoadSettings) -> LoadOutcome {
    measure_load(bench, settings, &mut |_| ()).expect("a script plays everything")
}

fn run(bench: &mut dyn Bench, settings: &LoadSettings) -> LoadRun {
    outcome(bench, settings).runs.remove(0)
}

/// The law of the wait in M/D/1 (Erlang 1909), in service times: P(W ≤ t).
fn waits_at_most(t: f64, load: f64) -> f64 {
    let mut sum = 0.0;
    for k in 0..=t.floor() as u32 {
        let x = load * (t - f64::from(k));
        let factorial: f64 = (1..=k).map(f64::from).product();
        sum += (-x).powi(k as i32) / factorial * x.exp();
    }
    (1.0 - load) * sum
}

/// Returns where an increasing function reaches a value.
fn where_it_is(value: f64, (mut low, mut high): (f64, f64), law: impl Fn(f64) -> f64) -> f64 {
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        *if law(middle) < value { &mut low } else { &mut high } = middle;
    }
    low
}

/// Pollaczek and Khinchine: the mean wait is ρ s ÷ 2 (1 − ρ) where service takes s, always; and Erlang's law of the wait.
#[test]
fn a_constant_server_answers_to_queueing_theory() {
    const SEEDS: u32 = 30;
    for (load, held_by_luck) in [(0.5, 26), (0.7, 26)] {
        let mean = 1.0 + load / (2.0 * (1.0 - load));
        let p99 = 1.0 + where_it_is(0.99, (0.0, 12.0), |t| waits_at_most(t, load));
        let latencies: Vec<_> = (0..SEEDS)
            .map(|seed| {
                let settings = LoadSettings { seed: seed.into(), ..settings(rates(&[1e3 * load]), None, 20_000) };
                run(&mut constant(MS), &settings).latency.expect("answered")
            })
            .collect();
        let means: Vec<f64> = latencies.iter().map(|latency| latency.mean_ms.get()).collect();
        let seen = means.iter().sum::<f64>() / f64::from(SEEDS);
        let variance = means.iter().map(|mean| (mean - seen).powi(2)).sum::<f64>() / f64::from(SEEDS - 1);
        let error = (variance / f64::from(SEEDS)).sqrt();
        assert!((seen - mean).abs() < 4.0 * error && error < 0.01 * mean, "ρ {load}: {seen} ± {error}, {mean} wanted");
        let holds = |truth: f64, interval: planner::stats::Quantile| {
            interval.low_ms.get() <= truth && truth <= interval.high_ms.get()
        };
        let held = latencies.iter().filter(|latency| holds(p99, latency.p99)).count();
        assert!(held >= held_by_luck, "ρ {load}: {held} of {SEEDS} intervals hold the p99 {p99}");
    }
}

/// Erlang C: with two servers and exponential service, a share C of the requests waits, on average 1 ÷ (2 μ − λ).
#[test]
fn two_sessions_share_one_queue() {
    let marks = poisson(1.0, Duration::ZERO, Duration::from_secs(300_000), 0, 7);
    let walls: Vec<Duration> = marks.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000).collect();
    let mut bench = ScriptedBench { walls, sessions: 2, timeout: Duration::MAX };
    let load: f64 = 0.7;
    let latency = run(&mut bench, &settings(rates(&[2e3 * load]), None, 250_000)).latency.expect("answered");
    let offered = 2.0 * load;
    let waiting = offered.powi(2) / 2.0 / (1.0 - load);
    let wait = waiting / (1.0 + offered + waiting) / (2.0 - offered);
    assert!((latency.mean_ms.get() / (1.0 + wait) - 1.0).abs() < 0.03, "{} against {}", latency.mean_ms, 1.0 + wait);
}

#[test]
fn the_search_finds_the_capacity_of_a_constant_server() {
    for (quantile, slo_ms) in [(0.99, 5.0), (0.9, 3.0), (0.99, 2.5)] {
        // More load, longer waits: where the chance of an answer in time falls to the quantile.
        let in_time = |load: f64| -waits_at_most(slo_ms - 1.0, load);
        let truth = 1e3 * where_it_is(-quantile, (0.0, 0.99), in_time);
        let asked = settings(OfferedRates::Search(share(0.02)), Some((quantile, slo_ms)), 50_000);
        let outcome = outcome(&mut constant(MS), &asked);
        let Capacity { met_rps: Some(met), missed_rps: Some(missed), .. } = outcome.capacity.expect("asked") else {
            panic!("{:?}", outcome.capacity);
        };
        let (met, missed) = (met.get(), missed.get());
        assert!(met < missed && missed <= 1.02 * met * (1.0 + 1e-12), "{met} to {missed}");
        assert!(met <= 1.03 * truth && missed >= truth / 1.03, "{met} to {missed}, {truth} in theory");
        assert!(outcome.runs.len() <= 10, "{} runs", outcome.runs.len());
    }
}

#[test]
fn a_second_replica_never_hurts() {
    let found = |sessions| {
        let mut bench = ScriptedBench { sessions, ..constant(MS) };
        let asked = settings(OfferedRates::Search(share(0.05)), Some((0.99, 4.0)), 5_000);
        outcome(&mut bench, &asked).capacity.and_then(|capacity| capacity.met_rps).expect("met").get()
    };
    let found = [1, 2, 4].map(found);
    assert!(found[1] > 1.9 * found[0] && found[2] > 1.9 * found[1], "{found:?}");
}

/// A stall of a second delays all that were meant to come meanwhile, although none of them was sent.
#[test]
fn a_stall_shows_in_all_requests_that_it_delays() {
    let mut walls = vec![MS; 2_000];
    walls[500] = 1_000 * MS;
    let mut bench = ScriptedBench { walls, sessions: 1, timeout: Duration::MAX };
    let open = run(&mut bench, &settings(rates(&[100.0]), Some((0.5, 100.0)), 1_500));
    let delayed = open.judged.expect("an SLO").late;
    let due = poisson(100.0, 100 * MS, Duration::ZERO, 1_500, 42);
    let begin = due[500];
    let within = |time: Duration| due[500..].iter().filter(|due| **due < begin + time).count() as u64;
    assert!((within(900 * MS)..=within(1_200 * MS)).contains(&delayed) && delayed > 70, "{delayed} delayed");
    assert!(open.latency.expect("answered").p95.value_ms.get() > 100.0);

    let in_turn = LoadSettings { scenario: Scenario::SingleStream, ..settings(rates(&[]), Some((0.5, 100.0)), 1_500) };
    let closed = run(&mut bench, &in_turn);
    assert_eq!(closed.judged.expect("an SLO").late, 1, "calls that follow each other see one slow call");
    assert_eq!(closed.latency.expect("answered").p99.value_ms.get(), 1.0);
}

#[test]
fn where_no_rate_meets_the_slo_it_says_so_soon() {
    let asked = settings(OfferedRates::Search(share(0.05)), Some((0.99, 10.0)), 1_000);
    let outcome = outcome(&mut constant(20 * MS), &asked);
    let capacity = outcome.capacity.expect("asked");
    assert_eq!((capacity.met_rps, capacity.certain_rps), (None, None));
    assert!(capacity.missed_rps.expect("missed").get() <= 1.0);
    for run in &outcome.runs {
        assert_eq!((run.ended, run.answered), (Ended::Late, 11), "ten of a thousand may be late");
        let judged = run.judged.expect("an SLO");
        assert!(!judged.met && judged.certain && judged.late_share.get() == 1.0, "{judged:?}");
    }
}

#[test]
fn a_rate_that_overflows_ends_within_twice_its_time() {
    let run = run(&mut constant(MS), &settings(rates(&[10_000.0]), None, 10_000));
    assert_eq!((run.ended, run.sustained), (Ended::Overflow, Some(false)));
    assert!((900.0..1_010.0).contains(&run.achieved_rps.get()) && run.unsent > 5_000, "{run:?}");
    assert_eq!(run.answered + run.unsent, run.requests);
}

#[test]
fn what_fails_is_late_however_soon() {
    let mut walls = vec![MS; 50];
    walls[49] = 100 * MS;
    let mut bench = ScriptedBench { walls, sessions: 1, timeout: 2 * MS };
    let run = run(&mut bench, &settings(rates(&[10.0]), Some((0.9, 10.0)), 1_000));
    assert_eq!((run.failed, run.answered, run.ended), (20, 980, Ended::Complete));
    let judged = run.judged.expect("an SLO");
    assert_eq!((judged.late, judged.late_share.get(), judged.met, judged.certain), (0, 0.02, true, true));
    assert_eq!(run.first_error.as_deref(), Some("timed out"));

    let mut dead = ScriptedBench { timeout: MS / 2, ..constant(MS) };
    let run = self::run(&mut dead, &settings(rates(&[10.0]), None, 1_000));
    assert_eq!((run.failed, run.answered, run.ended, run.latency), (19, 0, Ended::Failing, None));
}

#[test]
fn the_other_scenarios_mean_what_mlperf_means() {
    let batches = LoadSettings {
        scenario: Scenario::Offline,
        service: LoadService { batch: 8, ..SERVICE },
        ..settings(rates(&[]), None, 100)
    };
    let offline = run(&mut constant(MS), &batches);
    assert_eq!((offline.requests, offline.warmup), (100, 0));
    assert!((offline.samples_per_s.get() - 100.0 / 0.013).abs() < 1e-6, "13 calls of 8 samples at most: {offline:?}");
    assert_eq!(offline.offered_rps, None);

    let streams = LoadSettings {
        scenario: Scenario::MultiStream,
        service: LoadService { samples_per_query: 8, ..SERVICE },
        duration: 500 * MS,
        ..settings(rates(&[]), None, 100)
    };
    let multi = run(&mut constant(MS), &streams);
    assert_eq!((multi.requests, multi.warmup), (500, 100), "the time is longer than the fewest queries need");
    assert!(
        (multi.samples_per_s.get() - 8_000.0).abs() < 1e-6
            && multi.latency.expect("answered").p99.value_ms.get() == 1.0
    );
}

#[test]
fn the_same_seed_gives_the_same_runs() {
    let asked = |seed| LoadSettings { seed, ..settings(rates(&[300.0, 700.0]), Some((0.99, 5.0)), 2_000) };
    let played = |seed| outcome(&mut constant(MS), &asked(seed));
    assert_eq!(played(1), played(1));
    assert_ne!(played(1), played(2));
}

/// A generator that sends half a service time late.
struct Sluggish(ScriptedBench);

impl Bench for Sluggish {
    fn sessions(&self) -> u32 {
        self.0.sessions()
    }

    fn service(&self) -> Duration {
        self.0.service()
    }

    fn play(&mut self, spec: RunSpec) -> Result<Played, Error> {
        let mut played = self.0.play(spec)?;
        for call in &mut played.calls {
            (call.sent, call.ended) = (call.sent + MS / 2, call.ended + MS / 2);
        }
        Ok(played)
    }
}

#[test]
fn a_generator_that_lags_is_not_trusted() {
    let asked = settings(rates(&[100.0]), None, 1_000);
    assert!(!run(&mut constant(MS), &asked).lag.too_much);
    let lag = run(&mut Sluggish(constant(MS)), &asked).lag;
    assert!(lag.too_much && lag.p50_ms.get() == 0.5, "{lag:?}");
}

/// Runs `planner profile load` and returns its exit code, stdout and stderr.
fn planner(models: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = assert_cmd::Command::cargo_bin("planner").expect("built");
    let output = command.args(["profile", "load"]).arg(models).args(arguments).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// A short run.
const SHORT: [&str; 6] = ["--duration-s", "0.2", "--warm-up-s", "0.1", "--requests", "100"];

#[cfg(feature = "rten")]
#[test]
fn a_real_model_is_put_under_load() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits/models.toml");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("load.json");
    let file = path.to_str().expect("text");
    let rates = [&["--variant", "linear", "--rates", "100,200:300:100", "-o", file], &SHORT[..]].concat();
    let (code, stdout, stderr) = planner(&models, &rates);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("rates sustained"), "{stdout}");
    let loaded = load::<LoadTest>(&path).expect("a sound file");
    let test = loaded.document;
    assert_eq!((test.variant.as_str(), test.scenario, test.runs.len()), ("linear", Scenario::Server, 3));
    let due = poisson(300.0, 100 * MS, 200 * MS, 100, 42);
    assert_eq!(test.runs[2].requests, due.iter().filter(|due| **due >= 100 * MS).count() as u64);
    assert_eq!(test.runs[2].answered, test.runs[2].requests);
    assert!(test.capacity.is_none() && !test.sha256.is_empty() && !test.provenance.measured_at.is_empty());

    let (code, _, stderr) = planner(&models, &rates);
    assert!(code == 2 && stderr.contains("exists already"), "{stderr}");
    let (code, stdout, stderr) =
        planner(&models, &[&["--variant", "linear", "--slo-ms", "0.0001", "--format", "json"], &SHORT[..]].concat());
    assert_eq!(code, 1, "nothing answers in 100 ns: {stderr}");
    let test: LoadTest = serde_json::from_str(&stdout).expect("JSON alone on stdout");
    assert!(test.capacity.is_some_and(|capacity| capacity.met_rps.is_none()));
    for scenario in ["single-stream", "multi-stream", "offline"] {
        let (code, stdout, stderr) =
            planner(&models, &[&["--variant", "linear", "--scenario", scenario], &SHORT[..]].concat());
        assert!(code == 0 && stdout.contains("Stream: p9") | stdout.contains("samples/s"), "{stdout}{stderr}");
    }
}

/// An engine that believes the length of 32 TB would end this process.
#[cfg(feature = "rten")]
#[test]
fn a_damaged_model_is_a_finding_and_not_the_end() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let damaged = [&[0x12, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x08][..], b"planner"].concat();
    std::fs::write(folder.path().join("m.onnx"), damaged).expect("writable");
    let list = format!(
        "format = \"planner.models/1\"\ntask = \"t\"\n[data]\nimages = \"{0}/test-images.idx.gz\"\n\
         labels = \"{0}/test-labels.idx.gz\"\n[[variants]]\nname = \"m\"\nfile = \"m.onnx\"\n",
        shipped.display()
    );
    let models = folder.path().join("models.toml");
    std::fs::write(&models, list).expect("writable");
    let (code, _, stderr) = planner(&models, &["--variant", "m", "--rates", "10"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("bad-model") && stderr.contains("m.onnx") && stderr.contains("a length in it"), "{stderr}");
}

#[test]
fn bad_options_are_findings() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let models = small_family(folder.path());
    let command: &[&str] = &["--engine", "command", "--command", "cat"];
    for (arguments, said) in [
        (&["--variant", "x"][..], "error[missing-field]: --rates: neither rates nor an SLO"),
        (&["--variant", "x", "--rates", "0"], "error[out-of-range]: --rates: 0 is no rate"),
        (&["--variant", "x", "--rates", "1:2"], "`1:2` is no rate, and no range"),
        (&["--variant", "x", "--rates", "1e9"], "at most 1e7 requests"),
        (&["--variant", "x", "--slo-ms", "-1"], "error[out-of-range]: --slo-ms: -1"),
        (&["--variant", "x", "--slo-ms", "5", "--quantile", "1"], "error[out-of-range]: --quantile: 1"),
        (&["--variant", "x", "--slo-ms", "5", "--resolution", "0"], "error[out-of-range]: --resolution: 0"),
        (&["--variant", "x", "--rates", "5", "--duration-s", "-1"], "error[out-of-range]: --duration-s: -1"),
        (&["--variant", "x", "--rates", "5", "--warm-up-s", "inf"], "error[out-of-range]: --warm-up-s: inf"),
        (&["--variant", "x", "--rates", "5", "--in-flight", "2"], "error[no-effect]: --in-flight: does nothing"),
        (&["--variant", "x", "--scenario", "offline", "--rates", "5"], "error[no-effect]: --rates: does nothing"),
        (&["--variant", "x", "--scenario", "offline", "--slo-ms", "5"], "error[no-effect]: --slo-ms: does nothing"),
        (&["--variant", "x", "--scenario", "single-stream", "--replicas", "2"], "error[no-effect]: --replicas"),
    ] {
        let (code, _, stderr) = planner(&models, &[arguments, command].concat());
        assert!(code == 2 && stderr.contains(said), "{arguments:?}: {stderr}");
    }
    let (_, _, stderr) = planner(
        &models,
        &[&["--variant", "x", "--duration-s", "-1", "--slo-ms", "0", "--in-flight", "3"], command].concat(),
    );
    assert_eq!(stderr.matches("error[").count(), 3, "all at once: {stderr}");
}

/// An engine in the shell: answers four scores, 5 ms after each question.
const ENGINE: &str = r#"while read -r line; do case "$line" in
*about*) echo '{"about": {"name": "sh", "version": "1"}}';;
*open*) echo '{"opened": {}}';;
*) sleep 0.005; echo '{"scores": [1, 0, 0, 0], "classes": 4}';;
esac; done"#;

#[test]
fn a_program_is_put_under_load() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (models, path) = (small_family(folder.path()), folder.path().join("load.json"));
    let engine = ["--engine", "command", "--command", ENGINE, "--variant", "linear"];
    let file = path.to_str().expect("text");
    let (code, _, stderr) = planner(&models, &[&engine[..], &["--rates", "20", "-o", file], &SHORT[..]].concat());
    assert_eq!(code, 0, "{stderr}");
    let test = load::<LoadTest>(&path).expect("a sound file").document;
    assert_eq!(test.engine, "command sh 1");
    assert!(test.runs[0].latency.expect("answered").min_ms.get() >= 5.0, "the sleep is part of every latency");

    let (code, _, stderr) = planner(&models, &[&engine[..4], &["--variant", "nobody", "--rates", "20"]].concat());
    assert!(code == 2 && stderr.contains("error[unknown-name]") && stderr.contains("variants are linear"), "{stderr}");
}

/// A program that stops answering: its requests fail at the time-out, it is started again, and the run ends.
#[test]
fn a_program_that_hangs_now_and_then_is_started_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (models, path) = (small_family(folder.path()), folder.path().join("load.json"));
    // Each process hangs at its thirtieth line.
    let hanging = ENGINE.replace("do case", "do n=$((n+1)); [ \"$n\" = 30 ] && sleep 600; case");
    let engine = ["--engine", "command", "--command", &hanging, "--engine-timeout-s", "0.5", "--variant", "linear"];
    let file = path.to_str().expect("text");
    let (code, stdout, stderr) = planner(&models, &[&engine[..], &["--rates", "20", "-o", file], &SHORT[..]].concat());
    assert_eq!(code, 0, "{stderr}");
    let run = load::<LoadTest>(&path).expect("a sound file").document.runs.remove(0);
    assert!((3..=5).contains(&run.failed), "{} failed", run.failed);
    assert_eq!((run.ended, run.answered + run.failed), (Ended::Complete, run.requests));
    assert!(stdout.contains("first error: ") && stdout.contains("did not answer `run` within 0.5 s"), "{stdout}");
}

#[cfg(feature = "oip")]
#[test]
fn a_server_is_asked_over_several_connections_and_may_hang() {
    use super::engines::oip::{Server, linear, served_family};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    let folder = tempfile::tempdir().expect("a temporary folder");
    let (models, path) = (served_family(folder.path()), folder.path().join("load.json"));
    let file = path.to_str().expect("text");
    let slow = Server::start(|request, body| {
        if request.starts_with("POST") {
            std::thread::sleep(20 * MS);
        }
        linear(request, body)
    });
    let engine = ["--engine", "oip", "--variant", "linear", "--in-flight", "16", "-o", file, "--url"];
    let (code, _, stderr) =
        planner(&models, &[&engine[..], &[slow.url.as_str(), "--rates", "200"], &SHORT[..]].concat());
    assert_eq!(code, 0, "{stderr}");
    let run = load::<LoadTest>(&path).expect("a sound file").document.runs.remove(0);
    // One connection carries 50 requests a second at most.
    assert!(run.achieved_rps.get() > 100.0 && run.failed == 0, "{run:?}");

    let asked = AtomicUsize::new(0);
    let dying = Server::start(move |request, body| {
        let dead = request.starts_with("POST") && asked.fetch_add(1, Ordering::SeqCst) > 200;
        if dead { None } else { linear(request, body) }
    });
    let begin = Instant::now();
    let hanging = [dying.url.as_str(), "--overwrite", "--engine-timeout-s", "0.3", "--slo-ms", "50", "--rates", "200"];
    let brief = ["--requests", "500", "--warm-up-s", "0.1", "--duration-s", "0.2"];
    let (code, stdout, stderr) = planner(&models, &[&engine[..], &hanging[..], &brief].concat());
    assert!(begin.elapsed() < Duration::from_secs(30));
    assert_eq!(code, 1, "no rate meets the SLO: {stderr}");
    let run = load::<LoadTest>(&path).expect("a sound file").document.runs.remove(0);
    assert!(run.failed >= 6 && run.unsent > 0 && run.ended == Ended::Late, "{run:?}");
    assert!(stdout.contains("did not answer within 0.3 s"), "{stdout}");
}

#[test]
fn load_tests_that_contradict_themselves_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (models, path) = (small_family(folder.path()), folder.path().join("load.json"));
    let file = path.to_str().expect("text");
    let engine = ["--engine", "command", "--command", ENGINE, "--variant", "linear", "--rates", "50", "-o", file];
    assert_eq!(planner(&models, &[&engine[..], &SHORT[..]].concat()).0, 0);
    let sound = fs::read_to_string(&path).expect("written");
    let requests = load::<LoadTest>(&path).expect("sound").document.runs[0].requests;
    for (from, to, code) in [
        (format!("\"requests\": {requests}"), "\"requests\": 7".to_owned(), "inconsistent"),
        ("\"scenario\": \"server\"".to_owned(), "\"scenario\": \"offline\"".to_owned(), "inconsistent"),
        ("\"seed\"".to_owned(), "\"sead\"".to_owned(), "unknown-field"),
        ("planner.load/1".to_owned(), "planner.load/2".to_owned(), "format"),
    ] {
        assert!(sound.contains(&from), "{from}");
        fs::write(&path, sound.replace(&from, &to)).expect("writable");
        let error = load::<LoadTest>(&path).expect_err(&from).to_string();
        assert!(error.contains(&format!("error[{code}]")), "{error}");
    }
}
