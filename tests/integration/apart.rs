//! Variants in processes of their own: what crashes, hangs or eats up the memory is told of, and the rest goes on.

use std::fs;
use std::path::Path;

use planner::profile::Profile;
#[cfg(feature = "rten")]
use planner::profile::{Answers, Runs, Trust};

/// A command engine in Python that behaves as its model file says.
const ENGINE: &str = r#"
import json, os, sys, time
mood = ""
for line in sys.stdin:
    ask = json.loads(line)
    if "about" in ask:
        answer = {"about": {"name": "moody", "version": "1"}}
    elif "open" in ask:
        mood = open(ask["open"]["model"]).read().strip()
        answer = {"opened": {}}
    else:
        samples = ask["run"]["shape"][0]
        if mood == "crash" or (mood == "crash at 2" and samples == 2):
            os.abort()
        if mood == "hang":
            time.sleep(60)
        answer = {"scores": [0.0, 1.0] * samples, "classes": 2, "wall_ms": 0.1}
    print(json.dumps(answer), flush=True)
"#;

/// Measures a list of variants with `extra` arguments; returns the exit code, the profile where there is one, and stderr.
fn profile(folder: &Path, list: &str, extra: &[&str]) -> (i32, Option<Profile>, String) {
    let (models, profile) = (folder.join("models.toml"), folder.join("p.json"));
    fs::write(&models, list).expect("writable");
    let mut command = assert_cmd::Command::cargo_bin("planner").expect("built");
    command.arg("profile").arg(&models).arg("-o").arg(&profile).args(["--overwrite", "--cores", "1", "--blocks", "2"]);
    let output = command.args(["--budget-ms", "2"]).args(extra).output().expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let profile = fs::read(&profile).ok().map(|bytes| serde_json::from_slice(&bytes).expect("a profile"));
    (output.status.code().unwrap_or(-1), profile, stderr)
}

/// Returns the head of a list: the digits, with more lines under `[data]`.
#[cfg(feature = "rten")]
fn head(data: &str) -> String {
    let digits = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits");
    format!(
        "format = \"planner.models/1\"\ntask = \"t\"\n[data]\nimages = {:?}\n{data}\n",
        digits.join("test-images.idx.gz")
    )
}

#[cfg(feature = "rten")]
fn labels() -> String {
    format!("labels = {:?}", Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits/test-labels.idx.gz"))
}

#[test]
fn what_fails_is_told_of_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("engine.py"), ENGINE).expect("writable");
    // Two samples of one pixel: a program in Python takes its time for each number.
    fs::write(folder.path().join("images"), [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 255]).expect("writable");
    fs::write(folder.path().join("labels"), [0, 0, 8, 1, 0, 0, 0, 2, 0, 1]).expect("writable");
    let data = "[data]\nimages = \"images\"\nlabels = \"labels\"\n";
    let mut list = format!("format = \"planner.models/1\"\ntask = \"t\"\n{data}");
    for (name, mood) in [("good", "good"), ("half", "crash at 2"), ("hanging", "hang"), ("crashing", "crash")] {
        fs::write(folder.path().join(name), mood).expect("writable");
        list += &format!("[[variants]]\nname = \"{name}\"\nfile = \"{name}\"\n");
    }
    let command = format!("python3 {}", folder.path().join("engine.py").display());
    let extra = ["--batches", "1,2,4", "--engine", "command", "--command", &command, "--time-limit-s", "6"];
    let (code, profile, stderr) = self::profile(folder.path(), &list, &extra);
    assert_eq!(code, 1, "{stderr}");
    let profile = profile.expect("the rest is there");
    let points: Vec<_> = profile.points.iter().map(|point| (point.variant.as_str(), point.batch)).collect();
    assert_eq!(points, [("good", 1), ("good", 2), ("good", 4)], "what is not known at batch 2 has no footprint");
    let failed: Vec<_> = profile.failures.iter().map(|failure| failure.variant.as_str()).collect();
    assert_eq!(failed, ["half", "hanging", "crashing"]);
    assert!(profile.failures[1].cause.contains("longer than 6 s"), "{:?}", profile.failures);
    assert!(stderr.contains("warning[measurement-failed]: failures[0]"), "{stderr}");
    let variant = profile.variant("good").expect("measured");
    assert!(variant.memory_mb.get() > 3.0, "the command's own process counts: {variant:?}");
    assert_eq!(variant.memory_of_batches.iter().map(|memory| memory.batch).collect::<Vec<_>>(), [1, 2, 4]);
}

/// Batches that do not fit are given up, the others stand; without the limit all are measured.
#[cfg(feature = "rten")]
#[test]
fn memory_limits_end_the_variant_and_not_the_measurement() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits");
    let entry =
        |name: &str| format!("[[variants]]\nname = \"{name}\"\nfile = {:?}\n", model.join(format!("{name}.onnx")));
    let list = head(&labels()) + &entry("linear") + &entry("cnn_m");
    let limited = ["--batches", "1,2000", "--memory-limit-mb", "60"];
    let (code, profile, stderr) = self::profile(folder.path(), &list, &limited);
    assert_eq!(code, 1, "{stderr}");
    let profile = profile.expect("the rest is there");
    assert_eq!(profile.variants.iter().map(|variant| variant.name.as_str()).collect::<Vec<_>>(), ["linear"]);
    assert!(profile.failures[0].cause.contains("the memory of 60 MB runs out"), "{:?}", profile.failures);

    let (code, profile, stderr) = self::profile(folder.path(), &list, &["--batches", "1,500"]);
    assert_eq!(code, 0, "{stderr}");
    let profile = profile.expect("all of it");
    for variant in &profile.variants {
        let [one, many] = variant.memory_of_batches.as_slice() else { panic!("two batches: {variant:?}") };
        assert!(one.steady_mb <= many.steady_mb && many.steady_mb <= many.peak_mb, "{variant:?}");
        assert!(variant.cold_load_time_ms.is_some_and(|time| time.get() > 0.0), "{variant:?}");
    }
}

/// A network in one file with three outputs, and the same network in three files: the same answers at every exit.
#[cfg(feature = "rten")]
#[test]
fn exits_and_stages_answer_alike() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits").join(name);
    let mut list = head(&(labels() + "\ncalibration_share = 0.25"));
    list += &format!("[[variants]]\nname = \"whole\"\nfile = {:?}\n", model("early_exit.onnx"));
    list += "exits = [\"logits_exit0\", \"logits_exit1\", \"logits\"]\n[[variants]]\nname = \"cut\"\n";
    for (number, (exit, passes)) in
        [("logits_exit0", "passes = \"features\""), ("logits_exit1", "passes = \"features\""), ("logits", "")]
            .into_iter()
            .enumerate()
    {
        let file = model(&format!("early_exit_seg{number}.onnx"));
        list += &format!("[[variants.stages]]\nname = \"s{number}\"\nfile = {file:?}\nexit = \"{exit}\"\n{passes}\n");
    }
    let (code, profile, stderr) = self::profile(folder.path(), &list, &["--batches", "1"]);
    assert_eq!(code, 0, "{stderr}");
    let profile = profile.expect("all of it");
    let read = |name: &str| {
        let file = folder.path().join(name);
        Answers::from_csv_gz(&fs::read(&file).expect("written"), &file).expect("answers")
    };
    let halves = [read("p.answers.csv.gz"), read("p.calibration.csv.gz")];
    assert_eq!(halves.each_ref().map(Answers::samples), [1500, 500]);
    for (number, exit) in ["logits_exit0", "logits_exit1", "logits"].into_iter().enumerate() {
        for half in &halves {
            let (whole, cut) = (half.of(&format!("whole.{exit}")), half.of(&format!("cut.s{number}")));
            let pairs = || whole.into_iter().flatten().zip(cut.into_iter().flatten());
            assert_eq!(pairs().count(), half.samples());
            assert!(pairs().all(|(a, b)| a.predicted == b.predicted && (a.certainty - b.certainty).abs() < 1e-4));
        }
    }
    let parts: Vec<_> = profile.variants.iter().filter_map(|variant| variant.part_of.as_ref()).collect();
    let seen: Vec<_> =
        parts.iter().map(|part| (part.exit, part.runs, part.receives_bytes, part.passes_bytes)).collect();
    let (through, alone) = (Runs::Through, Runs::Alone);
    // 28 × 28, then 16 × 14 × 14, then 48 × 7 × 7 numbers of 4 bytes.
    let wanted = [
        (0, through, 3136, None),
        (1, through, 3136, None),
        (2, through, 3136, None),
        (0, alone, 3136, Some(12_544)),
        (1, alone, 12_544, Some(9408)),
        (2, alone, 9408, None),
    ];
    assert_eq!(seen, wanted);
    let whole: Vec<_> = profile.variants.iter().map(planner::profile::Variant::is_whole).collect();
    assert_eq!(whole, [true, true, true, true, false, false], "later stages answer nobody by themselves");
}

/// Without labels the reference's answers count as right, and the profile says so.
#[cfg(feature = "rten")]
#[test]
fn without_labels_agreement_is_measured_and_named_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits").join(name);
    let mut list = head("reference = \"large\"");
    for (name, file) in [("small", "cnn_s.onnx"), ("large", "cnn_m.onnx")] {
        list += &format!("[[variants]]\nname = \"{name}\"\nfile = {:?}\n", model(file));
    }
    let (code, profile, stderr) = self::profile(folder.path(), &list, &["--batches", "1"]);
    assert_eq!(code, 0, "{stderr}");
    let profile = profile.expect("all of it");
    let small = &profile.variant("small").expect("measured").accuracy;
    let large = &profile.variant("large").expect("measured").accuracy;
    assert_eq!((large.value.get(), large.agrees_with.as_deref()), (1.0, Some("large")));
    assert_eq!((small.trust, small.agrees_with.as_deref()), (Trust::Measured, Some("large")));
    assert!((0.8..0.95).contains(&small.value.get()), "{small:?}");
}
