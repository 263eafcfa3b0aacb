//! Measuring: counts that must be exact, resuming, and refusals.

use std::fs;
use std::path::Path;
use std::time::Duration;

use planner::base::units::{Millis, Share};
use planner::measure::engines::{Engine, Scripted};
#[cfg(feature = "rten")]
use planner::measure::wiring::Wiring;
use planner::measure::{
    Attendant, Block, Earlier, Halves, Here, MeasureContext, MeasureEvent, MeasureSettings, Wave, measure,
};
use planner::profile::{CertaintyMeasure, CountedAccuracy, DataFiles, Family, Profile, Spot, Trust};

fn digits() -> Family {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits/models.toml");
    Family::load(&list).expect("the shipped list is sound")
}

fn settings(batches: &[u32]) -> MeasureSettings {
    MeasureSettings {
        batches: batches.to_vec(),
        cores: vec![1],
        co_runners: vec![0],
        precision: Share::new(0.05).expect("a share"),
        tail_precision: None,
        blocks: 1,
        budget: Millis::new(5.0).expect("a time"),
        certainty: CertaintyMeasure::default(),
        seed: 42,
        retry_contended: false,
        context: MeasureContext::default(),
    }
}

fn script() -> Scripted {
    Scripted { walls: [2, 4].map(Duration::from_millis).to_vec(), scores: vec![0.0, 1.0, 0.0] }
}

/// Counts points to measure, points kept, and saves.
#[derive(Default)]
struct Counter {
    measured: usize,
    kept: usize,
    saves: usize,
}

impl Attendant for Counter {
    fn tell(&mut self, event: MeasureEvent<'_>) {
        if let MeasureEvent::Begun { points, kept, .. } = event {
            (self.measured, self.kept) = (points, kept);
        }
    }

    fn save(&mut self, _: &Profile) -> Result<(), planner::Error> {
        self.saves += 1;
        Ok(())
    }
}

/// Measures and returns the result with the numbers of measured and kept points and of saves, one more than points.
fn measured(
    family: &Family,
    engine: &dyn Engine,
    settings: &MeasureSettings,
    earlier: Option<(Profile, Halves)>,
) -> ((Profile, Halves), [usize; 3]) {
    let mut counter = Counter::default();
    let earlier = earlier.map(|(profile, answers)| Earlier { profile, answers, blocks: Vec::new() });
    let result = measure(family, &Here::new(family, engine), settings, earlier, &mut counter);
    (result.expect("measurable"), [counter.measured, counter.kept, counter.saves])
}

/// Where the list says how often variants were right elsewhere, nothing here judges them, and the profile says who did.
#[test]
fn counted_accuracies_are_taken_over_and_nothing_is_answered() {
    let mut family = digits();
    family.list.variants.truncate(2);
    family.list.data = DataFiles { labels: None, calibration: None, ..family.list.data };
    family.samples.labels = None;
    family.calibration = None;
    let source = "somebody, lines read exactly".to_owned();
    for (variant, right) in family.list.variants.iter_mut().zip([266, 291]) {
        variant.accuracy = Some(CountedAccuracy { right, of: 300, source: source.clone() });
    }
    // A map of one score and of no class is no answer that could be judged.
    let script = Scripted { scores: vec![0.0], ..script() };
    let ((profile, answers), [.., saves]) = measured(&family, &script, &settings(&[1]), None);
    assert_eq!((&profile.answers, &answers, saves), (&None, &Halves::default(), 3));
    let fact = &profile.variants[0].accuracy;
    assert_eq!((fact.samples, fact.trust, fact.source.as_ref()), (300, Trust::Imported, Some(&source)));
    let (low, value, high) = (fact.low.get(), fact.value.get(), fact.high.get());
    assert!(low < value && value < high && (value - 266.0 / 300.0).abs() < 1e-12, "{fact:?}");

    // What was counted anew since is taken over, and no point is measured again.
    family.list.variants[0].accuracy = Some(CountedAccuracy { right: 300, of: 300, source });
    let ((again, _), seen) = measured(&family, &script, &settings(&[1]), Some((profile.clone(), answers)));
    assert_eq!((again.variants[0].accuracy.value.get(), seen), (1.0, [0, 2, 1]));
    assert_eq!(again.points, profile.points);
}

#[test]
fn a_script_gives_its_own_statistics() {
    let mut family = digits();
    family.list.variants.truncate(1);
    let ((profile, answers), _) = measured(&family, &script(), &settings(&[1, 8]), None);
    let point = &profile.points[1];
    assert_eq!((point.batch, point.count), (8, 5), "five calls, although two of them spend the budget");
    assert_eq!(point.latency.p50.value_ms.get(), 4.0);
    assert!((point.throughput_rps.get() - 8e3 / point.latency.mean_ms.get()).abs() < 1e-9);
    assert!(point.conditions.contended, "a script takes no CPU time, so it looks as if it waited");
    let ones = family.samples.classes().expect("classes").iter().filter(|label| **label == 1).count() as u64;
    assert_eq!(answers.test.correct("linear"), Some(ones));
    assert!(!profile.validate().has_errors(), "{}", profile.validate());
}

#[test]
fn resuming_measures_only_what_is_missing() {
    let mut family = digits();
    family.list.variants.truncate(2);
    let (first, seen) = measured(&family, &script(), &settings(&[1]), None);
    assert_eq!(seen, [2, 0, 3]);
    let (second, seen) = measured(&family, &script(), &settings(&[1, 2]), Some(first.clone()));
    assert_eq!(seen, [2, 2, 3]);
    assert_eq!(second.0.points.iter().map(|point| point.batch).collect::<Vec<_>>(), [1, 2, 1, 2]);
    assert_eq!(second.1, first.1);

    let retry = MeasureSettings { retry_contended: true, ..settings(&[1, 2]) };
    let (_, seen) = measured(&family, &script(), &retry, Some(second));
    assert_eq!(seen, [4, 0, 5], "all points of a script look contended");

    family.model_sha256[0] = "another file".into();
    let (_, seen) = measured(&family, &script(), &settings(&[1]), Some(first));
    assert_eq!(seen, [1, 1, 2], "a changed model is measured again");
}

/// Asks for so many of the missing points at a glimpse, then for so many in full.
struct Glancing {
    glimpsed: usize,
    full: usize,
    waves: usize,
    /// Blocks that were kept.
    journal: Vec<Block>,
}

impl Attendant for Glancing {
    fn tell(&mut self, _: MeasureEvent<'_>) {}

    fn save(&mut self, _: &Profile) -> Result<(), planner::Error> {
        Ok(())
    }

    fn keep(&mut self, block: &Block) -> Result<(), planner::Error> {
        self.journal.push(block.clone());
        Ok(())
    }

    fn choose(&mut self, missing: &[Spot], _: &Profile) -> Result<Wave, planner::Error> {
        self.waves += 1;
        let first = |wave, count| missing.iter().take(if self.waves == wave { count } else { 0 }).copied().collect();
        Ok(Wave { glimpsed: first(1, self.glimpsed), full: first(2, self.full) })
    }
}

#[test]
fn glimpses_are_kept_as_such_until_the_point_is_measured_and_survive_a_kill() {
    let mut family = digits();
    family.list.variants.truncate(2);
    let run = |glimpsed, full, earlier| {
        let mut attendant = Glancing { glimpsed, full, waves: 0, journal: Vec::new() };
        let script = script();
        let lab = Here::new(&family, &script);
        let (profile, answers) =
            measure(&family, &lab, &settings(&[1, 8]), earlier, &mut attendant).expect("measurable");
        (profile, answers, attendant.journal)
    };
    let (profile, answers, journal) = run(4, 0, None);
    assert_eq!((profile.points.len(), profile.glimpses.len(), journal.len()), (0, 4, 4));
    let glimpse = &profile.glimpses[1];
    assert_eq!((glimpse.variant.as_str(), glimpse.batch, glimpse.count), ("linear", 8, 6));
    assert_eq!((glimpse.p50.low_ms.get(), glimpse.p50.high_ms.get()), (2.0, 4.0));
    assert!(!profile.validate().has_errors(), "{}", profile.validate());

    // A kill leaves a profile without them and the journal.
    let empty = Profile { glimpses: Vec::new(), ..profile.clone() };
    let earlier = Earlier { profile: empty, answers: answers.clone(), blocks: journal };
    let (resumed, ..) = run(0, 0, Some(earlier));
    assert_eq!(resumed.glimpses, profile.glimpses);
    let (further, ..) = run(0, 1, Some(Earlier { profile: resumed, answers, blocks: Vec::new() }));
    assert_eq!((further.points.len(), further.glimpses.len()), (1, 3));
    assert!(further.points[0].variant == "linear" && further.points[0].batch == 1 && further.points[0].count == 5);
}

#[test]
fn resuming_with_other_settings_is_refused() {
    let family = digits();
    let (first, _) = measured(&family, &script(), &settings(&[1]), None);
    let other = MeasureSettings { seed: 7, ..settings(&[1]) };
    let (profile, answers) = first;
    let earlier = Earlier { profile, answers, blocks: Vec::new() };
    let error = measure(&family, &Here::new(&family, &script()), &other, Some(earlier), &mut Counter::default());
    assert!(error.expect_err("another seed").to_string().contains("another seed"));
}

#[test]
fn nonsense_scores_are_a_finding() {
    let mut family = digits();
    family.list.variants.truncate(1);
    let engine = Scripted { scores: vec![0.0, f32::NAN], ..script() };
    let error = measure(&family, &Here::new(&family, &engine), &settings(&[1]), None, &mut Counter::default());
    let message = error.expect_err("NaN is no score").to_string();
    assert!(message.contains("bad-model") && message.contains("sample 0 are not finite"), "{message}");
}

/// Neighbours are sessions of their own on cores of their own: with a script they cost nothing and disturb nothing.
#[test]
fn co_runners_are_an_axis_of_their_own() {
    if planner::measure::host::allowed_cores().len() < 2 {
        return;
    }
    let mut family = digits();
    family.list.variants.truncate(1);
    let both = MeasureSettings { co_runners: vec![0, 1], ..settings(&[1]) };
    let ((profile, _), _) = measured(&family, &script(), &both, None);
    let seen: Vec<_> = profile.points.iter().map(|point| (point.co_runners, point.cpu_ms.is_some())).collect();
    assert_eq!(seen, [(0, true), (1, false)]);
    assert!(!profile.points[1].conditions.contended, "nobody can tell neighbours from strangers");
    assert!(!profile.validate().has_errors(), "{}", profile.validate());
    let many = MeasureSettings { co_runners: vec![5_000], ..both };
    let error = measure(&family, &Here::new(&family, &script()), &many, None, &mut Counter::default());
    assert!(error.expect_err("no machine is that large").to_string().contains("5001 cores"));
}

#[cfg(feature = "rten")]
#[test]
fn accuracy_is_a_direct_count_to_the_last_sample() {
    let mut family = digits();
    family.list.variants.retain(|variant| ["linear", "cnn_s", "mlp_m", "early_exit"].contains(&variant.name.as_str()));
    let rten = planner::measure::engines::rten::Rten;
    let quick = MeasureSettings { budget: Millis::new(1.0).expect("a time"), ..settings(&[1]) };
    let ((profile, answers), _) = measured(&family, &rten, &quick, None);
    for entry in &family.list.variants {
        // One sample a call and the plain best score: another road to the same count.
        let file = family.folder.join(&entry.file);
        let wiring =
            Wiring::new(&family, &rten, (entry, entry), &family.samples, CertaintyMeasure::default()).expect("it fits");
        let mut session = rten.open(&file, &[&wiring.judge.reads()[0]], 1).expect("a sound model");
        let mut right = 0;
        for (number, label) in family.samples.classes().expect("classes").iter().enumerate() {
            let scores = session.run(&wiring.feeder.batch(&[number])).expect("it runs").outputs[0]
                .tensor
                .to_f32()
                .expect("floats");
            let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).expect("ten classes");
            right += u64::from(best as u32 == *label);
        }
        assert_eq!(answers.test.correct(&entry.name), Some(right), "{}", entry.name);
        let accuracy = &profile.variant(&entry.name).expect("measured").accuracy;
        assert_eq!(accuracy.value.get(), right as f64 / 2000.0, "{}", entry.name);
    }
}

/// The same models through two engines: the same answers, certainties within float tolerance.
#[cfg(all(feature = "rten", feature = "ort"))]
#[test]
#[expect(clippy::print_stderr, reason = "says why a test that passes compared nothing")]
fn onnx_runtime_and_rten_answer_alike() {
    let Some(library) = std::env::var_os("ORT_DYLIB_PATH") else {
        eprintln!("not compared: ORT_DYLIB_PATH names no ONNX Runtime library (scripts/onnxruntime fetches one)");
        return;
    };
    let mut family = digits();
    // The quantised model rounds differently in each engine; the others are plain float arithmetic.
    family.list.variants.retain(|variant| ["linear", "cnn_m", "early_exit"].contains(&variant.name.as_str()));
    let quick = MeasureSettings { budget: Millis::new(1.0).expect("a time"), ..settings(&[1]) };
    let ort = planner::measure::engines::ort::Ort::load(Some(Path::new(&library))).expect("a library");
    let ((_, by_rten), _) = measured(&family, &planner::measure::engines::rten::Rten, &quick, None);
    let ((_, by_ort), _) = measured(&family, &ort, &quick, None);
    for entry in &family.list.variants {
        let pairs =
            by_rten.test.of(&entry.name).into_iter().flatten().zip(by_ort.test.of(&entry.name).into_iter().flatten());
        let mut compared = 0;
        for (sample, (a, b)) in pairs.enumerate() {
            assert_eq!(a.predicted, b.predicted, "{} sample {sample}", entry.name);
            assert!((a.certainty - b.certainty).abs() < 1e-3, "{} sample {sample}: {a:?} {b:?}", entry.name);
            compared += 1;
        }
        assert_eq!(compared, 2000);
    }
}

/// Returns a model list with these names and files, on the samples of the digits.
#[cfg(feature = "rten")]
fn list_of(variants: &[(&str, &Path)]) -> String {
    let digits = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits");
    let data = [digits.join("test-images.idx.gz"), digits.join("test-labels.idx.gz")];
    let head = format!(
        "format = \"planner.models/1\"\ntask = \"t\"\n[data]\nimages = {:?}\nlabels = {:?}\n",
        data[0], data[1]
    );
    let entry = |(name, file): &(&str, &Path)| format!("[[variants]]\nname = {name:?}\nfile = {file:?}\n");
    head + &variants.iter().map(entry).collect::<String>()
}

/// Whatever the moment of the kill, `--resume` goes on and no finished block is measured again.
#[cfg(feature = "rten")]
#[test]
fn a_killed_measurement_loses_at_most_the_block_under_way() {
    use std::process::{Command, Stdio};

    let folder = tempfile::tempdir().expect("a temporary folder");
    let digits = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits");
    let list = list_of(&[("a", &digits.join("mlp_s.onnx")), ("b", &digits.join("cnn_s.onnx"))]);
    let (models, profile) = (folder.path().join("models.toml"), folder.path().join("p.json"));
    let journal = folder.path().join("p.json.blocks");
    fs::write(&models, list).expect("writable");
    let start = || {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin("planner"));
        command.arg("profile").arg(&models).arg("-o").arg(&profile).arg("--resume");
        command.args(["--batches", "1,2,4", "--cores", "1", "--budget-ms", "600", "--precision", "0.00001"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
    };
    let whole_lines = || {
        let text = fs::read_to_string(&journal).unwrap_or_default();
        text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut before: Vec<String> = Vec::new();
    let mut kills = 0;
    for wait_ms in [300, 700, 900, 1100, 800, 1000, 1300] {
        let mut child = start();
        std::thread::sleep(Duration::from_millis(wait_ms));
        if child.try_wait().expect("it can be asked").is_some() {
            break;
        }
        child.kill().expect("it can be killed");
        child.wait().expect("it is gone");
        kills += 1;
        let now = whole_lines();
        assert!(now.len() >= before.len() && now[..before.len()] == before[..], "kept blocks stay as they were");
        before = now;
    }
    assert!(kills >= 2, "it was killed {kills} times");
    assert!(start().wait().expect("it ends").success());
    let profile: Profile = serde_json::from_slice(&fs::read(&profile).expect("written")).expect("a profile");
    assert!(!profile.validate().has_errors(), "{}", profile.validate());
    let seen: Vec<_> = profile.points.iter().map(|p| (p.variant.as_str(), p.batch, p.conditions.blocks)).collect();
    assert_eq!(seen, [("a", 1, 3), ("a", 2, 3), ("a", 4, 3), ("b", 1, 3), ("b", 2, 3), ("b", 4, 3)]);
    assert!(!journal.exists(), "a complete profile needs no journal");
}

#[cfg(feature = "rten")]
#[test]
fn a_file_that_is_no_model_is_a_finding_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let list = list_of(&[("bad", Path::new("bad.onnx"))]);
    let (models, profile) = (folder.path().join("models.toml"), folder.path().join("p.json"));
    fs::write(&models, list).expect("writable");
    fs::write(folder.path().join("bad.onnx"), "this is no model").expect("writable");
    let mut command = assert_cmd::Command::cargo_bin("planner").expect("built");
    let run = command.arg("profile").arg(&models).arg("-o").arg(&profile).assert().code(2);
    let stderr = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    assert!(stderr.contains("error[bad-model]") && stderr.contains("bad.onnx"), "{stderr}");
    let left: Vec<_> =
        fs::read_dir(folder.path()).expect("readable").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left.len(), 2, "only the list and the bad file: {left:?}");
}

#[test]
fn missing_files_are_told_all_at_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let list = "format = \"planner.models/1\"\ntask = \"t\"\n[data]\nimages = \"i\"\nlabels = \"l\"\n\
                [[variants]]\nname = \"a\"\nfile = \"a.onnx\"\n";
    let path = folder.path().join("models.toml");
    fs::write(&path, list).expect("writable");
    let message = Family::load(&path).expect_err("no file exists").to_string();
    for key in ["data.images", "data.labels", "variants[0].file"] {
        assert!(message.contains(key), "{message}");
    }
}
