//! Importing: the columns of each tool become points, only calls that waited for nobody are taken over, and what a file
//! does not tell is asked for.

use std::path::{Path, PathBuf};

use planner::base::codec::load;
use planner::base::units::Accuracy;
use planner::profile::import::{Declared, Foreign, Tool, import};
use planner::profile::{Curve, Profile, Stopped, Trust};
use planner::{Code, Findings};
use predicates::str::contains;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import").join(name)
}

fn declared() -> Declared {
    Declared {
        task: "rank".into(),
        variants: Vec::new(),
        batches: Vec::new(),
        cores: Some(4),
        device: None,
        accuracies: vec![(None, Accuracy::saturating(0.9))],
        load_time_ms: None,
        memory_mb: None,
        tool: "test".into(),
    }
}

fn imported(names: &[&str], from: Tool, declared: &Declared) -> Result<(Profile, Findings), Findings> {
    let file = |name: &&str| Foreign { path: name.into(), bytes: std::fs::read(fixture(name)).expect("a fixture") };
    import(&names.iter().map(file).collect::<Vec<_>>(), from, declared)
}

fn text(text: &str, from: Tool, declared: &Declared) -> String {
    let file = Foreign { path: "x.csv".into(), bytes: text.into() };
    import(&[file], from, declared).expect_err("it is not good").to_string()
}

/// Returns mean, min, p50, p90, p95, p99, p999 and max.
fn times(profile: &Profile, point: usize) -> [f64; 8] {
    let l = profile.points[point].latency;
    let ladder = [l.p50, l.p90, l.p95, l.p99, l.p999].map(|quantile| quantile.value_ms.get());
    [l.mean_ms.get(), l.min_ms.get(), ladder[0], ladder[1], ladder[2], ladder[3], ladder[4], l.max_ms.get()]
}

fn codes(findings: &Findings) -> Vec<(Code, &str)> {
    findings.0.iter().map(|finding| (finding.code, finding.key.as_str())).collect()
}

#[test]
fn perf_analyzer_gives_one_point_a_file() {
    let more = Declared { variants: vec!["ranker".into()], batches: vec![1, 8], ..declared() };
    let files = ["perf_analyzer.csv", "perf_analyzer_b8.csv"];
    let (profile, findings) = imported(&files, Tool::PerfAnalyzer, &more).expect("good files");
    let keys: Vec<_> = profile.points.iter().map(|point| (point.batch, point.cores)).collect();
    assert_eq!(keys, [(1, 4), (8, 4)], "rows of concurrency 2 and 4 are left out");
    // The first file tells no mean: 80 calls a second, one after another, take 12.5 ms each.
    assert_eq!(times(&profile, 0), [12.5, 12.3, 12.3, 13.9, 14.4, 16.2, 16.2, 16.2]);
    assert_eq!(times(&profile, 1), [49.7, 49.0, 49.0, 52.0, 53.5, 56.0, 56.0, 56.0]);
    assert_eq!(profile.points[0].conditions.stopped, Stopped::Imported);
    assert_eq!(profile.points[0].latency.p99.low_ms, profile.points[0].latency.p99.high_ms);
    let fact = &profile.variants[0].accuracy;
    assert_eq!((fact.trust, fact.samples, fact.low), (Trust::Declared, 0, fact.high));
    let expected = [
        (Code::NoEffect, ""),
        (Code::NotMeasured, "points"),
        (Code::NotMeasured, "variants.load_time_ms"),
        (Code::NotMeasured, "variants.memory_mb"),
    ];
    assert_eq!(codes(&findings), expected);
    let service = Curve::of(&profile, "ranker", "cpu").expect("points").at(4, 8).expect("imported");
    assert_eq!(service.trust, Trust::Imported);
    assert!((service.law.mean_ms() - 49.7).abs() < 1e-3, "{}", service.law.mean_ms());
}

/// What plans draw from: each percentile that the tool told, and the mean, which another part of the file may tell.
#[test]
fn imported_points_keep_their_percentiles_and_their_mean() {
    let more = Declared { variants: vec!["ranker".into()], batches: vec![1, 8], ..declared() };
    let files = ["perf_analyzer.csv", "perf_analyzer_b8.csv"];
    let (profile, _) = imported(&files, Tool::PerfAnalyzer, &more).expect("good files");
    for (batch, mean, quantiles) in [(1, 12.5, [12.3, 13.9, 14.4, 16.2]), (8, 49.7, [49.0, 52.0, 53.5, 56.0])] {
        let law = Curve::of(&profile, "ranker", "cpu").expect("points").at(4, batch).expect("imported").law;
        let seen = [0.5, 0.9, 0.95, 0.99].map(|share| law.quantile_ms(share));
        assert_eq!(seen, quantiles, "batch {batch}");
        assert!((law.mean_ms() - mean).abs() < 1e-3 * mean, "batch {batch}: {}", law.mean_ms());
    }
    // The fastest and the slowest call are told here, and no percentile but the median.
    let (profile, _) = imported(&["benchmark_report.csv"], Tool::BenchmarkApp, &declared()).expect("a good file");
    let law = Curve::of(&profile, "Model1", "cpu").expect("points").at(4, 8).expect("imported").law;
    assert_eq!([0.1, 0.5, 1.0].map(|share| law.quantile_ms(share)), [0.39, 0.51, 9.08]);
    assert!((law.mean_ms() - 0.91).abs() < 1e-3);
}

#[test]
fn rows_that_contradict_themselves_are_refused_with_their_line() {
    struct Case {
        file: &'static str,
        batch: u32,
        words: &'static str,
    }
    let head = "Concurrency,Inferences/Second,p50 latency,p90 latency,p99 latency,Avg latency\n";
    let cases = [
        // Calls of 8 samples, of which only the throughput knows.
        Case { file: "1,160,49000,52000,56000,\n", batch: 1, words: "follows from throughput and batch" },
        Case { file: "1,20,49000,52000,56000,\n", batch: 8, words: "follows from throughput and batch" },
        Case { file: "1,20,49000,52000,56000,49700\n", batch: 8, words: "0.12 requests in flight, not one" },
        Case { file: "1,160,49000,52000,56000,49700\n", batch: 1, words: "7.95 requests in flight, not one" },
        Case { file: "1,,49000,52000,56000,20000\n", batch: 1, words: "a mean of 20.0000 ms is told" },
        Case { file: "1,,49000,52000,56000,60000\n", batch: 1, words: "a mean of 60.0000 ms is told" },
    ];
    for Case { file, batch, words } in cases {
        let declared = Declared { variants: vec!["r".into()], batches: vec![batch], ..declared() };
        let error = text(&format!("{head}{file}"), Tool::PerfAnalyzer, &declared);
        assert!(error.contains(words) && error.contains("line 2"), "{file}: {error}");
    }
}

#[test]
fn rows_without_a_time_are_left_out_with_their_line() {
    let declared = Declared { variants: vec!["r".into()], batches: vec![1], ..declared() };
    let file = Foreign { path: "x.csv".into(), bytes: "Concurrency,Inferences/Second\n1,50\n2,0\n1,0\n".into() };
    let (profile, findings) = import(&[file], Tool::PerfAnalyzer, &declared).expect("one good row");
    assert_eq!(profile.points.len(), 1);
    assert!(findings.to_string().contains("x.csv: line 4: tells neither"), "{findings}");
}

#[test]
fn model_analyzer_tells_the_memory() {
    let head = "Model,Batch,Concurrency,Model Config Path,Instance Group,Throughput (infer/sec),RAM Usage (MB)";
    let file = format!("{head}\nm,1,1,m_config_0,1:CPU,50,700\nm,2,1,m_config_0,1:CPU,60,812.5\n");
    let file = Foreign { path: "x.csv".into(), bytes: file.into() };
    let (profile, _) = import(std::slice::from_ref(&file), Tool::ModelAnalyzer, &declared()).expect("a good file");
    assert_eq!(profile.variants[0].memory_mb.get(), 812.5, "the most of all rows");
}

#[test]
fn reports_in_one_file_are_several_points() {
    let report = |batch: &str, throughput: u32| {
        let setup =
            format!("Configuration setup\ntopology;t\nbatch size;{batch}\nnumber of parallel infer requests;1\n");
        format!("{setup}\nExecution results\nlatency (ms);7.5\navg latency;8\nthroughput;{throughput}\n\n")
    };
    let one = |text: String, declared: &Declared| {
        import(&[Foreign { path: "x.csv".into(), bytes: text.into() }], Tool::BenchmarkApp, declared)
    };
    let (profile, _) = one(report("1", 120) + &report("4", 480), &declared()).expect("two reports");
    assert_eq!(profile.points.iter().map(|point| point.batch).collect::<Vec<_>>(), [1, 4]);
    let error = one(report("1", 120) + &report("1", 121), &declared()).expect_err("twice the same").to_string();
    assert!(error.contains("measured twice"), "{error}");
    // A model that takes any batch does not tell which it was.
    let eight = Declared { batches: vec![8], ..declared() };
    assert_eq!(one(report("?", 960), &eight).expect("declared").0.points[0].batch, 8);
    assert!(one(report("?", 960), &declared()).expect_err("not declared").to_string().contains("--batch N"));
}

#[test]
fn text_of_windows_is_read() {
    let text = std::fs::read_to_string(fixture("benchmark_report.json")).expect("a fixture");
    let utf16 = [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    for bytes in [format!("\u{feff}{text}").into_bytes(), utf16] {
        let file = Foreign { path: "x.json".into(), bytes };
        let (profile, _) = import(&[file], Tool::BenchmarkApp, &declared()).expect("a byte order mark");
        assert_eq!(profile.points[0].count, 846);
    }
}

#[test]
fn trtexec_gives_a_point_a_summary_unless_calls_overlap() {
    let log = |qps: f64| {
        format!(
            "[01/02/2031-10:00:00] [I] Average on 10 runs - GPU latency: 4.1 ms\n\
             [01/02/2031-10:00:00] [I] === Performance summary ===\n\
             [01/02/2031-10:00:00] [I] Throughput: {qps} qps\n\
             [01/02/2031-10:00:00] [I] Latency: min = 3.9 ms, max = 6.2 ms, mean = 4.1 ms, median = 4.05 ms, \
             percentile(90%) = 4.3 ms, percentile(95%) = 4.4 ms, percentile(99%) = 5.1 ms\n\
             [01/02/2031-10:00:00] [I] H2D Latency: min = 1 ms, max = 1 ms, mean = 1 ms, median = 1 ms\n"
        )
    };
    let declared = Declared { variants: vec!["net".into()], batches: vec![16], cores: None, ..declared() };
    let file = |text: String| [Foreign { path: "x.txt".into(), bytes: text.into() }];
    let (profile, _) = import(&file(log(240.0)), Tool::Trtexec, &declared).expect("a good log");
    let point = &profile.points[0];
    assert_eq!((point.device.as_str(), point.batch, profile.variants[0].engine.as_str()), ("gpu", 16, "tensorrt"));
    assert_eq!(times(&profile, 0), [4.1, 3.9, 4.05, 4.3, 4.4, 5.1, 6.2, 6.2]);
    assert!((point.throughput_rps.get() - 16_000.0 / 4.1).abs() < 1e-6);
    let error = import(&file(log(330.0)), Tool::Trtexec, &declared).expect_err("copies overlap").to_string();
    assert!(error.contains("requests in flight, not one"), "{error}");
    assert!(text("nothing", Tool::Trtexec, &declared).contains("there is no such line"));
}

#[test]
fn aiperf_and_guidellm_give_requests_that_follow_each_other() {
    let aiperf = |concurrency: u32| {
        format!(
            r#"{{"request_throughput": {{"unit": "requests/sec", "avg": 1.9}}, "request_count": {{"avg": 57.0}},
            "request_latency": {{"unit": "ms", "avg": 520, "min": 400, "p50": 510, "p90": 560, "p95": 580, "p99": 640, "max": 700}},
            "input_config": {{"loadgen": {{"concurrency": {concurrency}}}, "endpoint": {{"model_names": ["llm"]}}}}}}"#
        )
    };
    let file = |text: String| [Foreign { path: "x.json".into(), bytes: text.into() }];
    let (profile, _) = import(&file(aiperf(1)), Tool::AiPerf, &declared()).expect("a good file");
    assert_eq!((profile.points[0].variant.as_str(), profile.points[0].batch, profile.points[0].count), ("llm", 1, 57));
    assert_eq!(times(&profile, 0), [520.0, 400.0, 510.0, 560.0, 580.0, 640.0, 700.0, 700.0]);
    assert!(import(&file(aiperf(4)), Tool::AiPerf, &declared()).expect_err("four").to_string().contains("it was 4"));

    let run = |strategy: &str| {
        format!(
            r#"{{"config": {{"strategy": {strategy}}}, "metrics": {{
            "requests_per_second": {{"successful": {{"mean": 1.9}}}},
            "request_latency": {{"successful": {{"mean": 0.52, "min": 0.4, "max": 0.7, "count": 57,
            "percentiles": {{"p50": 0.51, "p90": 0.56, "p95": 0.58, "p99": 0.64, "p999": 0.69}}}}}}}}}}"#
        )
    };
    let runs = [
        r#"{"type_": "synchronous"}"#,
        r#"{"type_": "concurrent", "streams": 8}"#,
        r#"{"type_": "constant", "rate": 2}"#,
    ];
    let report = format!(r#"{{"benchmarks": [{}]}}"#, runs.map(run).join(", "));
    let named = Declared { variants: vec!["llm".into()], ..declared() };
    let (profile, findings) = import(&file(report), Tool::GuideLlm, &named).expect("a good file");
    assert_eq!((profile.points.len(), profile.points[0].count), (1, 57));
    let seen = times(&profile, 0);
    assert!(
        (seen[0] - 520.0).abs() < 1e-9 && (seen[5] - 640.0).abs() < 1e-9 && (seen[6] - 690.0).abs() < 1e-9,
        "{seen:?}"
    );
    assert!(findings.to_string().contains("2 rows were measured with more than one request"), "{findings}");
}

#[test]
fn model_analyzer_gives_one_variant_a_configuration() {
    let (profile, _) =
        imported(&["metrics-model-inference.csv"], Tool::ModelAnalyzer, &declared()).expect("a good file");
    let keys: Vec<_> = profile.points.iter().map(|p| (p.variant.as_str(), p.batch, p.device.as_str())).collect();
    let expected = [("ranker_config_0", 1, "gpu"), ("ranker_config_0", 8, "gpu"), ("ranker_config_default", 1, "gpu")];
    assert_eq!(keys, expected);
    // 200 calls a second, one after another; the quantiles between median and p99 are unknown, so they take the p99.
    assert_eq!(times(&profile, 0), [5.0, 5.0, 5.0, 6.4, 6.4, 6.4, 6.4, 6.4]);
    assert_eq!(times(&profile, 1)[0], 8.0, "eight samples a call");

    let chosen = Declared { variants: vec!["ranker_config_default".into()], cores: None, ..declared() };
    let (profile, _) = imported(&["metrics-model-inference.csv"], Tool::ModelAnalyzer, &chosen).expect("chosen");
    assert_eq!((profile.points.len(), profile.points[0].cores), (1, 1), "an accelerator is measured with one core");
    let unknown = Declared { variants: vec!["rankr".into()], ..declared() };
    let error = imported(&["metrics-model-inference.csv"], Tool::ModelAnalyzer, &unknown).expect_err("a misspelt name");
    assert!(error.to_string().contains("there are ranker_config_0, ranker_config_default"), "{error}");
}

/// `benchmark_report.csv` and `.json` were written by the Python package, 2026.4; the other as the C++ sample writes it.
#[test]
fn benchmark_app_tells_everything_but_accuracy_and_cores() {
    let (profile, findings) =
        imported(&["benchmark_report.csv"], Tool::BenchmarkApp, &declared()).expect("a good file");
    let point = &profile.points[0];
    // An ONNX file whose graph has no name is called so by OpenVINO.
    assert_eq!((point.variant.as_str(), point.batch, point.device.as_str(), point.count), ("Model1", 8, "cpu", 1_030));
    assert_eq!(times(&profile, 0), [0.91, 0.39, 0.51, 9.08, 9.08, 9.08, 9.08, 9.08]);
    let load_time_ms = profile.variants[0].load_time_ms.get();
    assert!((load_time_ms - (36.21 + 6.20 + 164.72 + 6.93)).abs() < 1e-9, "{load_time_ms}");
    assert_eq!(codes(&findings), [(Code::NotMeasured, "points"), (Code::NotMeasured, "variants.memory_mb")]);

    let (profile, _) = imported(&["benchmark_report.json"], Tool::BenchmarkApp, &declared()).expect("a good file");
    assert_eq!((profile.points[0].batch, profile.points[0].count), (8, 846));
    assert_eq!(times(&profile, 0), [1.06, 0.42, 1.06, 5.12, 5.12, 5.12, 7.16, 7.16], "only the p99 was asked for");
    let load_time_ms = profile.variants[0].load_time_ms.get();
    assert!((load_time_ms - (45.01 + 11.34 + 201.45 + 7.63)).abs() < 1e-9, "{load_time_ms}");

    let (profile, _) = imported(&["benchmark_report_cpp.json"], Tool::BenchmarkApp, &declared()).expect("a good file");
    assert_eq!((profile.points[0].device.as_str(), profile.points[0].count), ("gpu", 30_000));
    assert_eq!(times(&profile, 0), [2.0, 1.8, 2.0, 3.1, 3.1, 3.1, 7.7, 7.7], "`latency_median` is the 99th percentile");
    assert_eq!(profile.variants[0].load_time_ms.get(), 958.5);
}

#[test]
fn what_a_file_does_not_tell_is_asked_for_all_at_once() {
    let nothing = Declared { cores: None, accuracies: Vec::new(), ..declared() };
    let error = imported(&["perf_analyzer.csv"], Tool::PerfAnalyzer, &nothing).expect_err("too little").to_string();
    for word in ["--variant NAME", "--batch N", "--cores N", "perf_analyzer.csv"] {
        assert!(error.contains(word), "{word}: {error}");
    }
    let no_accuracy = Declared { accuracies: vec![(Some("other".into()), Accuracy::ZERO)], ..declared() };
    let error = imported(&["benchmark_report.csv"], Tool::BenchmarkApp, &no_accuracy).expect_err("no accuracy");
    assert!(error.to_string().contains("--accuracy Model1=VALUE"), "{error}");
}

#[test]
fn what_holds_waiting_or_is_no_such_file_is_refused_in_words() {
    let good = Declared { variants: vec!["r".into()], batches: vec![1], ..declared() };
    let cases = [
        (Tool::PerfAnalyzer, "Request Rate,Inferences/Second\n10,10\n", "at a request rate"),
        (
            Tool::PerfAnalyzer,
            "Concurrency,Inferences/Second\n2,10\n",
            "no row tells the time of calls with one request in flight",
        ),
        (Tool::PerfAnalyzer, "Model,Batch\na,1\n", "there is no column `Concurrency`"),
        (Tool::PerfAnalyzer, "Concurrency,Inferences/Second,p50 latency\n1,10,fast\n", "line 2, p50 latency: `fast`"),
        (Tool::PerfAnalyzer, "Concurrency,Inferences/Second\n1,0\n", "neither mean latency nor throughput"),
        (Tool::PerfAnalyzer, "Concurrency,Inferences/Second,p50 latency,p90 latency\n1,10,9,8\n", "do not increase"),
        (Tool::ModelAnalyzer, "Concurrency\n1\n", "metrics-model-inference.csv"),
        (Tool::BenchmarkApp, "layerName;execStatus\na;b\n", "no such section"),
        (Tool::BenchmarkApp, "Execution results\nerror;no such device\n", "the run failed: no such device"),
        (
            Tool::BenchmarkApp,
            "Configuration setup\nnumber of parallel infer requests;4\n\nExecution results\nthroughput;10\n",
            "4 requests in flight",
        ),
    ];
    for (tool, file, expected) in cases {
        let good = if tool == Tool::ModelAnalyzer { declared() } else { good.clone() };
        let error = text(file, tool, &good);
        assert!(error.contains(expected), "{file:?}: {error}");
    }
}

#[test]
fn the_command_writes_a_profile_that_loads() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("p.json");
    let [csv, out] = [fixture("benchmark_report.csv"), out].map(|path| path.to_str().expect("plain").to_owned());
    let run = |more: &[&str]| {
        let base = ["profile", "import", &csv, "--from", "benchmark-app", "-o", &out, "--task", "rank"];
        assert_cmd::Command::cargo_bin("planner").expect("built").args(base).args(more).assert()
    };
    run(&["--cores", "2"]).code(2).stderr(contains("--accuracy Model1=VALUE"));
    run(&["--cores", "2", "--accuracy", "Model1=93"]).code(2).stderr(contains("from 0 to 1"));
    run(&["--cores", "2", "--accuracy", "0.9", "--batch", "1,2"])
        .code(2)
        .stderr(contains("--batch names 2 for 1 files"));
    run(&["--cores", "2", "--accuracy", "Model1=0.93"])
        .code(0)
        .stdout("")
        .stderr(contains("a distribution through its percentiles"));
    let profile = load::<Profile>(out.as_ref()).expect("it loads");
    assert_eq!(profile.document.points.len(), 1);
    assert!(profile.document.provenance.models.ends_with("benchmark_report.csv"));
}
