//! The shipped pipeline of two real stages: its files fit together, and where the weights are here, they run.

use std::path::{Path, PathBuf};

use planner::base::codec::load;
use planner::facts::Facts;
use planner::profile::{ModelList, Profile, Trust};

const STAGES: [(&str, u32); 2] = [("detector", 4), ("recogniser", 8)];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn list_of(stage: &str) -> PathBuf {
    root().join(format!("models/ocr/{stage}.toml"))
}

fn profile_of(stage: &str) -> Profile {
    load(&root().join(format!("profiles/ocr-{stage}.json"))).expect("shipped").document
}

#[test]
fn profiles_carry_the_counts_of_their_lists() {
    for (stage, most) in STAGES {
        let list: ModelList = load(&list_of(stage)).expect("shipped").document;
        let profile = profile_of(stage);
        assert_eq!((list.variants.len(), profile.answers.as_ref()), (3, None), "{stage}");
        for entry in &list.variants {
            let fact = &profile.variant(&entry.name).expect("measured").accuracy;
            let counted = entry.accuracy.as_ref().expect("nothing here judges them");
            assert_eq!(
                (fact.samples, fact.trust, fact.source.as_ref()),
                (counted.of, Trust::Imported, Some(&counted.source))
            );
            assert!((fact.value.get() - counted.right as f64 / counted.of as f64).abs() < 1e-12, "{}", entry.name);
            let points: Vec<_> = profile.points_of(&entry.name).map(|point| (point.cores, point.batch)).collect();
            let batches = (0..).map(|power| 1 << power).take_while(|&batch| batch <= most);
            let grid: Vec<_> =
                [1, 2].into_iter().flat_map(|cores| batches.clone().map(move |batch| (cores, batch))).collect();
            assert_eq!(points, grid, "{}", entry.name);
        }
    }
}

/// Accuracy of a pair is counted, because it is no product: the shipped counts must show that.
#[test]
fn pairs_are_those_of_the_profiles_and_no_products() {
    let profiles = STAGES.map(|(stage, _)| root().join(format!("profiles/ocr-{stage}.json")));
    let facts = Facts::load(&profiles).expect("no variant is in both");
    let accuracy = |name: &str| facts.variant(name).expect("profiled").accuracy.value.get();
    let mut pairs = csv::Reader::from_path(root().join("profiles/ocr-accuracy.csv")).expect("shipped");
    let rows: Vec<(String, String, u32, u32, f64)> = pairs.deserialize().map(|row| row.expect("a pair")).collect();
    assert_eq!(rows.len(), 9);
    let errors = rows.iter().map(|(detector, recogniser, right, of, calls)| {
        assert!(right <= of && *calls > 3.0 && *calls < 7.0, "{detector} {recogniser}");
        (accuracy(detector) * accuracy(recogniser) - f64::from(*right) / f64::from(*of)).abs()
    });
    assert!(errors.fold(0.0, f64::max) > 0.05, "the product would do");
}

#[cfg(feature = "ort")]
#[test]
#[expect(clippy::print_stderr, reason = "says why a test that passes did not measure")]
fn the_stages_run_where_their_weights_are() {
    if !root().join("models/ocr/rec_v6s.onnx").exists() {
        eprintln!("not measured: models/ocr has no weights (scripts/ocr judge fetches them)");
        return;
    }
    if std::env::var_os("ORT_DYLIB_PATH").is_none() {
        eprintln!("not measured: ORT_DYLIB_PATH names no ONNX Runtime library (scripts/onnxruntime fetches one)");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (stage, _) in STAGES {
        let output = folder.path().join(format!("{stage}.json"));
        let mut command = assert_cmd::Command::cargo_bin("planner").expect("built");
        command.arg("profile").arg(list_of(stage)).arg("-o").arg(&output).args(["--engine", "ort", "--cores", "1"]);
        command.args(["--batches", "1,2", "--blocks", "1", "--budget-ms", "1"]).assert().success();
        let profile: Profile = load(&output).expect("a profile").document;
        let shipped = profile_of(stage);
        let digests =
            |profile: &Profile| profile.variants.iter().map(|variant| variant.sha256.clone()).collect::<Vec<_>>();
        assert_eq!((profile.points.len(), digests(&profile)), (6, digests(&shipped)), "{stage}");
    }
    let files = std::fs::read_dir(folder.path()).expect("readable").count();
    assert_eq!(files, STAGES.len(), "nothing was judged, so there are no answers");
}
