//! Engines outside this process: answers that must be exact, and others that do not keep to the rules.

mod command;
#[cfg(feature = "oip")]
pub mod oip;

use std::fs;
use std::path::{Path, PathBuf};

/// Four classes; a sample of 2 × 2 pixels is of the class of its only bright one.
pub const SAMPLES: u32 = 40;

/// Writes a model list with one variant called `linear`, whose scores are the pixels, and its data. Returns the list.
pub fn small_family(folder: &Path) -> PathBuf {
    let labels: Vec<u8> = (0..SAMPLES).map(|sample| (sample * 7 % 4) as u8).collect();
    let pixels = labels.iter().flat_map(|&label| (0..4).map(move |pixel| if pixel == label { 255 } else { 0 }));
    fs::write(folder.join("images.idx"), idx(&[SAMPLES, 2, 2], pixels)).expect("writable");
    fs::write(folder.join("labels.idx"), idx(&[SAMPLES], labels.iter().copied())).expect("writable");
    fs::write(folder.join("linear.json"), "[[0,1,0,0,0],[0,0,1,0,0],[0,0,0,1,0],[0,0,0,0,1]]").expect("writable");
    let list = "format = \"planner.models/1\"\ntask = \"bright\"\n\
                [data]\nimages = \"images.idx\"\nlabels = \"labels.idx\"\n\
                [[variants]]\nname = \"linear\"\nfile = \"linear.json\"\n";
    let path = folder.join("models.toml");
    fs::write(&path, list).expect("writable");
    path
}

fn idx(sizes: &[u32], bytes: impl Iterator<Item = u8>) -> Vec<u8> {
    let magic = [0, 0, 8, sizes.len() as u8];
    magic.into_iter().chain(sizes.iter().flat_map(|size| size.to_be_bytes())).chain(bytes).collect()
}

/// Runs `planner profile` quickly and returns its exit code and what it wrote to stderr.
pub fn profile(models: &Path, into: &Path, engine: &[&str]) -> (i32, String) {
    let mut command = assert_cmd::Command::cargo_bin("planner").expect("built");
    command.arg("profile").arg(models).arg("-o").arg(into).args(["--batches", "1,4", "--cores", "1"]);
    let output = command.args(["--budget-ms", "5"]).args(engine).output().expect("it runs");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Options are refused where the chosen engine would not look at them, and engines that are not told enough.
#[test]
fn options_without_their_engine_are_refused_with_a_hint() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let models = small_family(folder.path());
    for (arguments, said) in [
        (&["--command", "cat"][..], "--command means nothing with --engine rten\n  hint: leave --command away"),
        (&["--device", "cuda:0"], "--device means nothing with --engine rten"),
        (&["--engine", "command"], "--engine command does not say which\n  hint: pass --command 'python3"),
        (
            &["--url", "http://h"],
            "--url means nothing with --engine rten\n  hint: leave --url away, or pass --engine oip",
        ),
        (&["--engine", "command", "--command", "cat", "--engine-timeout-s", "0"], "a positive number of seconds"),
        (&["--engine", "command", "--command", "cat", "--device", "a b"], "a device is one word"),
    ] {
        let (code, stderr) = profile(&models, &folder.path().join("p.json"), arguments);
        assert_eq!(code, 2, "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
}

/// ONNX Runtime falls back to the CPU where it lacks a device, unless it is told not to: then a profile would lie.
#[cfg(feature = "ort")]
#[test]
#[expect(clippy::print_stderr, reason = "says why a test that passes tried nothing")]
fn a_device_that_is_not_there_is_refused_with_a_hint() {
    if std::env::var_os("ORT_DYLIB_PATH").is_none() {
        eprintln!("not tried: ORT_DYLIB_PATH names no ONNX Runtime library (scripts/onnxruntime fetches one)");
        return;
    }
    if Path::new("/dev/nvidia0").exists() {
        eprintln!("not tried: this machine has an accelerator");
        return;
    }
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits/models.toml");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (device, said) in [
        ("cuda:0", "engine ort: cuda:0 cannot be used: "),
        ("tensorrt:1", "engine ort: tensorrt:1 cannot be used: "),
        ("cuda", "no device `cuda`\n  hint: devices are cpu, cuda:0"),
        ("tpu:0", "no device `tpu:0`"),
    ] {
        let path = folder.path().join("p.json");
        let (code, stderr) = profile(&models, &path, &["--engine", "ort", "--device", device]);
        assert_eq!(code, 2, "{device}: {stderr}");
        assert!(stderr.contains(said) && stderr.contains("hint: "), "{device}: {stderr}");
        assert!(!path.exists(), "{device}");
    }
}

/// Two processes that write one profile would each overwrite what the other measured.
#[test]
fn a_profile_that_another_process_writes_is_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (models, into) = (small_family(folder.path()), folder.path().join("p.json"));
    let journal = fs::File::create(folder.path().join("p.json.blocks")).expect("writable");
    journal.lock().expect("nobody else has it");
    let engine = ["--engine", "command", "--command", "python3 examples/command_engine.py"];
    let (code, stderr) = profile(&models, &into, &engine);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("another process is writing") && stderr.contains("p.json"), "{stderr}");
    assert!(!into.exists());
    journal.unlock().expect("it was locked");
    let (code, stderr) = profile(&models, &into, &engine);
    assert_eq!(code, 0, "{stderr}");
    assert!(!folder.path().join("p.json.blocks").exists());
}
