//! The command engine, with the documented example and with children that do not keep to the rules.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use planner::base::codec::load;
use planner::measure::engines::command::Spoken;
use planner::measure::engines::{Engine, Session};
use planner::measure::host::{allowed_cores, pin_to};
use planner::profile::Profile;
use planner::tensor::{Named, Tensor};

use super::{SAMPLES, profile, small_family};

const MINUTE: Duration = Duration::from_secs(60);

fn example() -> String {
    format!("python3 '{}/examples/command_engine.py'", env!("CARGO_MANIFEST_DIR"))
}

fn batch(samples: usize, size: usize) -> Vec<Named> {
    vec![Named::new("", Tensor::floats([samples, size], vec![0.5; samples * size]))]
}

/// A child for `sh` that answers `about` and `open` as it should, and does `body` for each run.
fn child(body: &str) -> String {
    format!(
        r#"while read -r line; do case "$line" in
        '{{"about"'*) echo '{{"about": {{"name": "t", "version": "1"}}}}';;
        '{{"open"'*) echo '{{"opened": {{}}}}';;
        *) {body};;
        esac; done"#
    )
}

fn opened(command: &str, limit: Duration) -> Box<dyn Session> {
    let engine = Spoken::start(command, "cpu", limit).expect("it answers `about`");
    engine.open(Path::new("any"), &[], 1).expect("it answers `open`")
}

#[test]
fn the_documented_example_profiles_a_family() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let models = small_family(folder.path());
    let path = folder.path().join("p.json");
    let (code, stderr) =
        profile(&models, &path, &["--engine", "command", "--command", &example(), "--device", "python"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(!stderr.contains("contended") && !stderr.contains("no new one could be started"), "{stderr}");
    let profile = load::<Profile>(&path).expect("a sound profile").document;
    let variant = profile.variant("linear").expect("measured");
    assert_eq!(variant.engine, "command linear.py 1.0");
    assert_eq!((variant.accuracy.value.get(), variant.accuracy.samples), (1.0, u64::from(SAMPLES)));
    let seen: Vec<_> = profile.points.iter().map(|point| (point.batch, point.device.as_str(), point.cpu_ms)).collect();
    assert_eq!(seen, [(1, "python", None), (4, "python", None)]);
}

#[test]
fn the_example_answers_to_the_last_digit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = folder.path().join("m.json");
    fs::write(&model, "[[0.5, 1, 2], [-1, 0, 4]]").expect("writable");
    let engine = Spoken::start(&example(), "cpu", MINUTE).expect("python3 is there");
    assert_eq!((engine.name(), engine.version().as_str()), ("command", "linear.py 1.0"));
    let mut session = engine.open(&model, &[], 1).expect("a model");
    let run = session.run(&[Named::new("", Tensor::floats([2, 2], vec![1.0, 0.5, 0.0, 0.25]))]).expect("it runs");
    assert_eq!(run.outputs[0].tensor, Tensor::floats([2, 2], vec![2.5, 1.0, 1.0, 0.0]));
    let error = engine.open(Path::new("nowhere.json"), &[], 1).err().expect("no such file").to_string();
    assert!(error.contains("error[bad-model]: nowhere.json: command: FileNotFoundError"), "{error}");
}

#[test]
fn the_page_shows_the_example_as_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/engines.md")).expect("readable");
    let example = fs::read_to_string(root.join("examples/command_engine.py")).expect("readable");
    assert!(
        page.contains(&format!("```python\n{example}```\n")),
        "copy examples/command_engine.py into docs/engines.md"
    );
}

#[test]
fn answers_that_are_none_are_told() {
    for (body, said) in [
        ("echo hello", "answered `run` with `hello`"),
        ("echo", "answered `run` with ``"),
        (r#"echo '{"scores": [NaN, 1], "classes": 2}'"#, "JSON, which has no NaN or Infinity"),
        (r#"echo '{"scores": [1e39, 1], "classes": 2}'"#, "number out of range"),
        (r#"echo '{"scores": [0, 1, 2], "classes": 2}'"#, "3 scores for 1 samples of 2 classes"),
        (r#"echo '{"scores": [0, 1], "classes": 18446744073709551615}'"#, "2 scores for 1 samples"),
        (r#"echo '{"scores": [0, 1]}'"#, "missing field `classes`"),
        (r#"echo '{"scores": [0, 1], "classes": 2, "wall_ms": -1}'"#, "`wall_ms` is -1, which is no time"),
        (r#"echo '{"scores": [0, 1], "classes": 2, "wall_ms": 0.0}'"#, "`wall_ms` is 0, which is no time"),
        (r#"echo '{"scores": [0, 1], "classes": 2, "wall_ms": 5e-324}'"#, "which is no time"),
        (r#"echo '{"scores": [0, 1], "classes": 2, "wall_ms": 2e9}'"#, "but it answered within 60 s"),
        (r#"echo '{"error": "out of memory"}'"#, "engine command: out of memory"),
        (r"printf '\377\n'", "with what is no text"),
        ("exit 3", "ended before it answered `run`"),
        ("exec >&-; sleep 100", "ended before it answered `run`"),
    ] {
        let error = opened(&child(body), MINUTE).run(&batch(1, 2)).expect_err(body).to_string();
        assert!(error.starts_with("engine command: ") && error.contains(said), "{body}: {error}");
    }
}

#[test]
fn a_child_that_is_none_is_told() {
    for (command, said) in [
        ("exit 1", "`exit 1` ended before it answered `about`"),
        ("read -r line; echo '{}'", "answered `about` with `{}`: missing field `about`"),
        ("planner-has-no-such-program", "ended before it answered `about`"),
    ] {
        let error = Spoken::start(command, "cpu", MINUTE).expect_err(command).to_string();
        assert!(error.contains(said), "{command}: {error}");
    }
}

/// Neither a child that reads and does not answer, nor one that does not even read, is waited for.
#[test]
fn a_child_that_hangs_is_ended() {
    let limit = Duration::from_secs(1);
    for (body, input) in [("sleep 100", batch(1, 2)), ("sleep 100 | cat", batch(1, 2)), ("sleep 100", batch(64, 4096))]
    {
        let begin = Instant::now();
        let mut session = opened(&child(body), limit);
        // The second batch is larger than a pipe holds: the child reads the first run only.
        let error = session.run(&input).expect_err(body).to_string();
        assert!(error.contains("did not answer `run` within 1 s and was ended"), "{body}: {error}");
        let error = session.run(&input).expect_err("it was ended").to_string();
        assert!(error.contains("ended before it answered"), "{body}: {error}");
        drop(session);
        assert!(begin.elapsed() < Duration::from_secs(50), "{body}");
    }
}

#[test]
fn the_round_trip_counts_where_the_child_does_not_tell() {
    let answer = r#"sleep 0.02; echo '{"scores": [0, 1], "classes": 2}'"#;
    let run = opened(&child(answer), MINUTE).run(&batch(1, 2)).expect("it runs");
    assert!(run.wall >= Duration::from_millis(20), "{:?}", run.wall);
    let answer = r#"sleep 0.02; echo '{"scores": [0, 1], "classes": 2, "wall_ms": 1.5}'"#;
    let run = opened(&child(answer), MINUTE).run(&batch(1, 2)).expect("it runs");
    assert_eq!(run.wall, Duration::from_micros(1500));
}

/// The child sits on the cores of the thread that opened it, and ends with its session, and what it started with it.
#[test]
fn a_child_inherits_the_cores_and_ends_with_its_session() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (status, helper) = (folder.path().join("status"), folder.path().join("helper"));
    let body = format!(
        "cat /proc/$$/status > '{}'; sleep 100 & echo $! > '{}'; echo '{{\"scores\": [0, 1], \"classes\": 2}}'",
        status.display(),
        helper.display()
    );
    let core = *allowed_cores().last().expect("a core");
    let pinned = pin_to(&[core]).expect("allowed");
    let mut session = opened(&child(&body), MINUTE);
    drop(pinned);
    session.run(&batch(1, 2)).expect("it runs");
    let status = fs::read_to_string(status).expect("the child has written it");
    assert!(status.contains(&format!("Cpus_allowed_list:\t{core}\n")), "{status}");
    let shell = status.lines().find_map(|line| line.strip_prefix("Pid:\t")).expect("it has a number").to_owned();
    let helper = fs::read_to_string(helper).expect("the child has written it").trim().to_owned();
    assert!(runs(&shell) && runs(&helper));
    drop(session);
    assert!(!runs(&shell), "the child is ended and reaped");
    // Nobody but init reaps the helper, so it may stay for a moment as a zombie.
    let begin = Instant::now();
    while runs(&helper) {
        assert!(begin.elapsed() < Duration::from_secs(10), "what the child started is ended");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Tells whether a process is there and no zombie.
fn runs(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}
