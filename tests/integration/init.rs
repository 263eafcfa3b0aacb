//! `planner init`: what it writes is what the next commands take, and what it cannot do it says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use planner::base::codec::load;
use planner::problem::Problem;
use planner::profile::Family;
#[cfg(feature = "rten")]
use planner::profile::{ModelList, Profile};

fn planner(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::cargo_bin("planner").expect("the binary is built");
    command.current_dir(folder).args(arguments).output().expect("it runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits")
}

/// Copies shipped files into an empty folder called `digits`.
fn folder_with(names: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let digits = folder.path().join("digits");
    fs::create_dir(&digits).expect("writable");
    for name in names {
        fs::copy(shipped().join(name), digits.join(name)).expect("shipped");
    }
    (folder, digits)
}

fn listing(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("it is there");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("listed").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn the_shipped_family_becomes_a_list_and_a_problem() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let digits = shipped();
    let output = planner(folder.path(), &["init", digits.to_str().expect("UTF-8"), "-o", "."]);
    assert!(output.status.success(), "{}", stderr(&output));
    let family = Family::load(&folder.path().join("models.toml")).expect("the list is sound");
    let names: Vec<_> = family.list.variants.iter().map(|variant| variant.name.as_str()).collect();
    let wanted = ["cnn_l", "cnn_l_int8", "cnn_m", "cnn_s", "early_exit", "early_exit_seg0", "linear", "mlp_m", "mlp_s"];
    assert_eq!(names, wanted, "without the stages that take what others pass on");
    let whole = family.list.variants.iter().find(|variant| variant.name == "early_exit").expect("listed");
    assert_eq!(whole.output.as_deref(), Some("logits"));
    assert!(family.calibration.is_some() && family.list.task == "digits");
    let problem = load::<Problem>(&folder.path().join("problem.toml")).expect("the problem is sound");
    assert_eq!(problem.document.name, "digits");
    for noun in ["models", "problem"] {
        let text = fs::read_to_string(folder.path().join(format!("{noun}.toml"))).expect("written");
        let schema = text.lines().next().and_then(|line| line.strip_prefix("#:schema ")).expect("the first line");
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schema/{noun}.schema.json"));
        let (written, shipped) = (fs::read(folder.path().join(schema)), fs::read(shipped));
        assert!(written.expect("written") == shipped.expect("shipped"), "{noun}");
    }
}

/// What init writes is measured and solved as it is.
#[cfg(feature = "rten")]
#[test]
fn init_then_profile_then_solve() {
    let models = ["linear.onnx", "mlp_s.onnx", "early_exit_seg0.onnx", "early_exit_seg1.onnx"];
    let data = ["test-images.idx.gz", "test-labels.idx.gz", "calib-images.idx.gz", "calib-labels.idx.gz"];
    let (_keep, digits) = folder_with(&[&models[..], &data].concat());
    let small = ["--batches", "1,8", "--cores", "1", "--budget-ms", "20", "--blocks", "1"];
    for arguments in [
        &["init", "."][..],
        &[&["profile", "models.toml", "-o", "profile.json", "--quiet"], &small[..]].concat(),
        &["solve", "problem.toml", "-o", "plan.json", "--trial", "2000"],
        &["check", "plan.json"],
    ] {
        let output = planner(&digits, arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    }
    let texts = ["models.toml", "problem.toml"].map(|name| fs::read_to_string(digits.join(name)).expect("written"));
    // The only number of this machine is how many cores it has.
    let cores = planner::measure::host::usable_cores().len();
    let text = texts.join("\n----\n").replace(&format!("use {cores}."), "use CORES.");
    let text = text.replace(&format!("cores = {cores}\n"), "cores = CORES\n");
    insta::assert_snapshot!(text.replace(&format!("cores_at_most = {cores}\n"), "cores_at_most = CORES\n"));
}

#[test]
fn nothing_is_replaced_unless_asked_and_nothing_half_written() {
    let (_keep, digits) = folder_with(&["linear.onnx"]);
    fs::write(digits.join("problem.toml"), "mine").expect("writable");
    let refused = planner(&digits, &["init", "."]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("problem.toml exists already"), "{}", stderr(&refused));
    assert_eq!(listing(&digits), ["linear.onnx", "problem.toml"], "something was written");
    assert!(planner(&digits, &["init", ".", "--overwrite"]).status.success());
    assert!(load::<Problem>(&digits.join("problem.toml")).is_ok());
}

/// Without samples inputs are random, and nothing is said about accuracy.
#[cfg(feature = "rten")]
#[test]
fn without_samples_the_list_runs_with_random_inputs() {
    let (_keep, digits) = folder_with(&["linear.onnx"]);
    let output = planner(&digits, &["init", "."]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("without samples"));
    let text = fs::read_to_string(digits.join("models.toml")).expect("written");
    assert!(text.contains("# TODO: no samples") && text.contains("inputs = \"random\""), "{text}");
    // The list runs as it is, and says nothing about accuracy.
    let list = load::<ModelList>(&digits.join("models.toml")).expect("it is sound").document;
    assert!(list.data.is_random() && !list.is_judged());
    let small = ["--batches", "1", "--cores", "1", "--budget-ms", "5", "--blocks", "1"];
    let output = planner(&digits, &[&["profile", "models.toml", "-o", "p.json"], &small[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let profile = load::<Profile>(&digits.join("p.json")).expect("a profile").document;
    assert!(!profile.variants[0].accuracy.is_known() && profile.answers.is_none());
}

#[test]
fn what_cannot_be_done_is_said() {
    let (keep, digits) = folder_with(&["linear.onnx"]);
    fs::write(digits.join("broken.onnx"), "not a model").expect("writable");
    fs::write(digits.join("empty.onnx"), "").expect("writable");
    fs::create_dir(keep.path().join("nothing")).expect("writable");
    for (arguments, causes) in [
        (&["init", "digits"][..], &["error[bad-model]: digits/broken.onnx", "error[bad-model]: digits/empty.onnx"][..]),
        (&["init", "nothing"], &["error[empty]: nothing"]),
        (&["init", "digit"], &["error[unreadable]: digit", "did you mean digits?"]),
        (&["init", "digits", "-o", "-"], &["stdout cannot take several files"]),
        (&["init", "digits", "-o", "elsewhere"], &["there is no folder elsewhere"]),
    ] {
        let output = planner(keep.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        for cause in causes {
            assert!(stderr(&output).contains(cause), "{arguments:?}: {}", stderr(&output));
        }
    }
    assert_eq!(listing(&digits), ["broken.onnx", "empty.onnx", "linear.onnx"], "something was written");
    // Not even root may write here.
    let refused = planner(&shipped(), &["init", ".", "-o", "/proc", "--overwrite"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("/proc"), "{}", stderr(&refused));
}
