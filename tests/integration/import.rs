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
    assert_eq!((service.trust, service.law.mean_ms()), (Trust::Imported, 49.7));
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
        (Tool::PerfAnalyzer, "Concurrency,Inferences/Second\n2,10\n", "no row was measured with one request in flight"),
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
    run(&["--cores", "2", "--accuracy", "Model1=0.93"]).code(0).stdout("").stderr(contains("take every call to last"));
    let profile = load::<Profile>(out.as_ref()).expect("it loads");
    assert_eq!(profile.document.points.len(), 1);
    assert!(profile.document.provenance.models.ends_with("benchmark_report.csv"));
}
