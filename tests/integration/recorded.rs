//! A recorded load is a fact: read with the problem, recorded with the plan, missed when it changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use planner::base::codec::{load, to_bytes};
use planner::facts::Facts;
use planner::plan::{InputRole, Plan, Switch, facts_changed};
use planner::planners::solve;
use planner::problem::Problem;
use planner::rooms::{Answer, Context, record};
use planner::simulate::{Measured, Settings, simulate};
use planner::workload::Arrivals;

/// The shipped problem with a trace of its own, in a folder; and its plan, in another.
fn solved(folder: &Path, trace: &str, scale: f64) -> (Facts, Plan, PathBuf) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("problems/digits.toml")).expect("shipped");
    let profile = root.join("profiles/digits.json");
    let text = text.replace("../profiles/digits.json", &profile.to_string_lossy());
    let workload = format!("max_rps = 40000\ntrace = \"load.csv\"\ntrace_scale = {scale}");
    fs::write(folder.join("load.csv"), trace).expect("writable");
    fs::write(folder.join("p.toml"), text.replace("max_rps = 40000", &workload)).expect("writable");
    let problem = load::<Problem>(&folder.join("p.toml")).expect("a valid problem");
    let facts = Facts::of_problem(&problem.document, folder).expect("profile and trace are there");
    let Answer::Plan(mut plan) = solve(&problem.document, &facts, Context::default()).expect("solvable") else {
        panic!("the shipped problem has a plan")
    };
    let beside = folder.join("plans");
    fs::create_dir(&beside).expect("a new folder");
    record(&mut plan, &beside, &problem, &facts, None);
    (facts, *plan, beside.join("p.json"))
}

#[test]
fn a_trace_is_read_scaled_and_recorded() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (facts, plan, path) = solved(folder.path(), "second,rps\n0,10\n1,20\n", 100.0);
    let recorded = facts.recorded.expect("the problem names one");
    assert_eq!(recorded.document.rates(), [1000.0, 2000.0]);
    assert!(recorded.findings.0.is_empty(), "{}", recorded.findings);
    let input = plan.provenance.inputs.iter().find(|input| input.role == InputRole::Trace).expect("recorded");
    assert_eq!((input.path.as_path(), &input.sha256), (Path::new("../load.csv"), &recorded.sha256));

    let again = Facts::of_plan(&plan, &path).expect("all is there").recorded.expect("the plan names it");
    assert_eq!(again.document, recorded.document);
}

/// The switch rule is that of the trace: played on it, gears change no more often than asked, and longer dwells come of fewer.
#[test]
fn gears_change_no_more_often_on_the_trace_than_asked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let day = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("traces/day.csv")).expect("shipped");
    let (facts, plan, _) = solved(folder.path(), &day, 30_000.0);
    assert_ne!(plan.switch, Switch::default(), "nothing was chosen from the trace");
    let arrivals = Arrivals::of_file(&folder.path().join("load.csv")).expect("a trace").scaled(30_000.0, 1.0);
    let duration = Duration::from_secs_f64(arrivals.length_s().expect("a recording"));
    let settings = Settings { arrivals, duration, warmup: Duration::ZERO, seed: 1 };
    let world = Measured::new(&plan, &facts).expect("measured");
    let seen = simulate(&plan, &world, &settings);
    // The day rises through all gears and falls again, in ten minutes.
    let needed = 2.0 * (plan.gears.len() - 1) as f64 * 6.0;
    assert!(seen.gear_changes_per_hour <= 1.2 * needed, "{} changes an hour", seen.gear_changes_per_hour);
}

#[test]
fn another_trace_is_another_fact() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (facts, plan, path) = solved(folder.path(), "rps\n10\n20\n", 1.0);
    assert!(facts_changed(&plan, &facts).0.is_empty());
    fs::write(folder.path().join("load.csv"), "rps\n10\n21\n").expect("writable");
    let now = Facts::of_plan(&plan, &path).expect("all is there");
    let findings = facts_changed(&plan, &now);
    assert!(findings.to_string().contains("load.csv has changed since the plan was made"), "{findings}");
}

#[test]
fn a_peak_beyond_the_plan_is_said() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (facts, _, _) = solved(folder.path(), "rps\n10\n20\n", 3000.0);
    let findings = facts.recorded.expect("the problem names one").findings;
    assert!(findings.to_string().contains("up to 60000.0 requests/s, the plan is for 40000"), "{findings}");
    assert!(!findings.has_errors());
}

/// Without a load of its own, a simulation plays the trace of the plan's problem, and says what it read.
#[test]
fn simulate_plays_the_trace_of_the_problem() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_, plan, path) = solved(folder.path(), "second,rps\n0,1\n1,2\n2,0\n", 200.0);
    fs::write(&path, to_bytes(&plan)).expect("writable");
    let run = |flags: &[&str]| {
        let mut command = assert_cmd::Command::cargo_bin("planner").expect("built");
        command.args(["simulate", "--replications", "1", "--format", "json"]).args(flags).arg(&path);
        let output = command.output().expect("it runs");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
        (report, String::from_utf8(output.stderr).expect("text"))
    };
    let (report, said) = run(&[]);
    assert_eq!((&report["arrivals"], &report["duration_ms"]), (&"load.csv × 200".into(), &3000.0.into()));
    assert!(said.contains("load.csv: 3 rates of 1 s each × 200: 3 s, 600 requests, peak 400 requests/s"), "{said}");
    assert_eq!(run(&["--rps", "50", "--duration-s", "1"]).0["arrivals"], "poisson 50 rps");
    let trace = folder.path().join("load.csv");
    let mut over = assert_cmd::Command::cargo_bin("planner").expect("built");
    over.arg("simulate").arg(&path).arg("-o").arg(&trace).arg("--overwrite");
    over.assert().code(2).stderr(predicates::str::contains("is an input"));
    assert!(fs::read_to_string(&trace).expect("kept").starts_with("second,rps"));
}

#[test]
fn what_cannot_be_a_load_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let problem = |workload: &str| {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("problems/digits.toml"));
        let text = text.expect("shipped").replace("../profiles/digits.json", "missing.json");
        let path = folder.path().join("p.toml");
        fs::write(&path, text.replace("max_rps = 40000", workload)).expect("writable");
        load::<Problem>(&path)
    };
    let zero = problem("max_rps = 1\ntrace = \"t.csv\"\ntrace_scale = 0").expect_err("no load").to_string();
    assert!(zero.contains("workload.trace_scale: a factor of 0 leaves no load"), "{zero}");
    let alone = problem("max_rps = 1\ntrace_scale = 2").expect("only doubtful").findings.to_string();
    assert!(alone.contains("no-effect") && alone.contains("there is no trace to scale"), "{alone}");
}
