//! Damaged input: every reader is given files that are nearly right, and must answer or refuse: no panic, little memory, little time.
//!
//! Seeds are the shipped files and small ones of every kind. Documents are damaged where their structure is (a value, a key, an entry of
//! a list), tables in their lines and cells, and all of them in their bytes. Rounds are drawn by a seed, so that each can be played again.
//!
//! | variable | what it does | default |
//! |---|---|---|
//! | `DAMAGE_ROUNDS` | damaged files for each seed file | 12 |
//! | `DAMAGE_SEED` | first seed of the rounds | 19 |
//! | `DAMAGE_ONLY` | only readers whose name has this in it | all |
//!
//! By hand, for hours: `DAMAGE_ROUNDS=100000 DAMAGE_SEED=1 cargo test --test damage -- --nocapture`.

// One of the seeds is made by the engine.
#![cfg(feature = "rten")]
#![expect(unsafe_code, reason = "an allocator that counts is an unsafe trait")]
#![expect(clippy::print_stderr, reason = "says how much was tried, and what was under way where a round never ends")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use planner::base::codec::load;
use planner::base::units::Accuracy;
use planner::facts::Facts;
use planner::measure::host::cpu_time;
use planner::plan::{self, Plan, Tolerance};
use planner::problem::Problem;
use planner::profile::import::{Declared, Foreign, Tool, import};
use planner::profile::{Answers, ModelList};
use planner::replay::load::LoadTest;
use planner::review::Manifest;
use planner::rooms::Frontiers;
use planner::rooms::exits::Records;
use planner::simulate::Report;
use planner::workload::{Arrivals, RecordedLoad};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// Bytes that a reader may hold at the same time.
const MOST_MEMORY: usize = 1 << 30;
/// CPU time that a reader may take for a file below a megabyte; how long it waits for a core is not its fault.
const MOST_TIME: Duration = Duration::from_secs(10);
/// Bytes of a damaged file.
const MOST_BYTES: usize = 1 << 20;

/// The system's allocator, which knows how much is held, and the most since it was asked last.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn more(bytes: usize) {
    let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST.fetch_max(held, Ordering::Relaxed);
}

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        more(layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Something that reads a file, and tells whether it took it.
struct Reader {
    name: &'static str,
    /// Ending of the files that it reads.
    ending: &'static str,
    seeds: Vec<Vec<u8>>,
    read: fn(&Path) -> bool,
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the shipped files with an ending that lie in a folder, none of them large.
fn shipped(folder: &str, ending: &str) -> Vec<Vec<u8>> {
    let files = fs::read_dir(repository().join(folder)).expect("a folder of the repository");
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("readable").path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(ending));
    files.sort();
    let bytes = files.iter().map(|file| fs::read(file).expect("readable"));
    bytes.filter(|bytes| bytes.len() < MOST_BYTES / 2).collect()
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Returns documents in JSON that were written in TOML.
fn as_json(seeds: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let value = |bytes: Vec<u8>| -> Value { toml::from_str(&String::from_utf8(bytes).expect("text")).expect("TOML") };
    seeds.into_iter().map(|bytes| value(bytes).to_string().into_bytes()).collect()
}

fn readers() -> Vec<Reader> {
    let problems = || shipped("problems", ".toml");
    let plans = [shipped("plans", ".json"), shipped("plans/samples", ".json")].concat();
    vec![
        Reader { name: "plan", ending: "json", seeds: plans, read: read_plan },
        Reader {
            name: "problem",
            ending: "json",
            seeds: as_json(problems()),
            read: |path| load::<Problem>(path).is_ok(),
        },
        Reader {
            name: "problem in TOML",
            ending: "toml",
            seeds: problems(),
            read: |path| load::<Problem>(path).is_ok(),
        },
        Reader { name: "profile", ending: "json", seeds: profiles(), read: read_profile },
        Reader {
            name: "model list",
            ending: "json",
            seeds: as_json(shipped("models/digits", ".toml")),
            read: |path| load::<ModelList>(path).is_ok(),
        },
        Reader {
            name: "manifest",
            ending: "json",
            seeds: as_json(shipped("", "planner.ci.toml")),
            read: |path| load::<Manifest>(path).is_ok(),
        },
        Reader { name: "report", ending: "json", seeds: made("report"), read: |path| load::<Report>(path).is_ok() },
        Reader {
            name: "frontiers",
            ending: "json",
            seeds: made("frontiers"),
            read: |path| load::<Frontiers>(path).is_ok(),
        },
        Reader { name: "load test", ending: "json", seeds: made("load"), read: |path| load::<LoadTest>(path).is_ok() },
        Reader { name: "answers", ending: "csv", seeds: answers(), read: read_answers },
        Reader {
            name: "answers, gzipped",
            ending: "csv.gz",
            seeds: shipped("profiles", ".csv.gz"),
            read: read_answers,
        },
        Reader {
            name: "trace",
            ending: "csv",
            seeds: [shipped("traces", ".csv"), texts(&TRACES)].concat(),
            read: read_trace,
        },
        Reader {
            name: "day",
            ending: "csv",
            seeds: [shipped("traces", ".csv"), texts(&TRACES)].concat(),
            read: read_day,
        },
        Reader { name: "imports", ending: "csv", seeds: shipped("tests/fixtures/import", ""), read: read_import },
    ]
}

/// Traces of each form that docs/formats/traces.md names.
const TRACES: [&str; 12] = [
    "queries\n7\n8\n",
    "second,queries\r\n0,7\r\n1,8\r\n",
    "day,hour,calls\n6,23,3600\n7,0,7200\n",
    "timestamp,requests\n2031-05-04 10:00,120\n2031-05-04 10:01,60\n",
    "time_local;requests/s\n04/May/2031:10:00:00 +0200;2,5\n04/May/2031:10:00:30 +0200;1\n",
    "sep=;\n\"Series\";\"Time\";\"Value\"\nall;2031-05-04T10:00:00+02:00;4\nall;2031-05-04T10:00:02+02:00;8\n",
    "{\"ts\": \"2031-05-04 10:00:00\", \"requests\": 4}\n{\"requests\": 8, \"ts\": \"2031-05-04 10:00:02\"}\n",
    "HashOwner,HashApp,HashFunction,Trigger,1,2,3\na,b,c,http,60,0,30\na,b,d,timer,0,120,30\n",
    "arrival_time\n0.1\n0.25\n3\n",
    "timestamp_ms,rps\n1900000000000,1\n1900000010020,2\n1900000020000,3\n",
    "Timestamp,User Count,Type,Name,Requests/s\n1900000000,5,,Aggregated,3\n1900000001,5,,Aggregated,4.5\n",
    "::1 - - [04/May/2031:10:00:00 +0200] \"GET / HTTP/1.1\" 200 1\n::1 - - [04/May/2031:10:00:02 +0200] \"GET / HTTP/1.1\" 200 1\n",
];

/// Returns the shipped profiles without the answers beside them.
fn profiles() -> Vec<Vec<u8>> {
    let alone = |bytes: Vec<u8>| {
        let mut profile: Value = serde_json::from_slice(&bytes).expect("JSON");
        let keys = profile.as_object_mut().expect("a profile");
        keys.remove("answers");
        keys.remove("calibration");
        profile.to_string().into_bytes()
    };
    shipped("profiles", ".json").into_iter().map(alone).collect()
}

fn answers() -> Vec<Vec<u8>> {
    texts(&["label,a_pred,a_certainty,b_pred,b_certainty\n1,1,0.5,0,0.25\n0,0,1,0,0.125\n"])
}

/// Returns a document that the program writes: those of its kind are not shipped.
fn made(what: &str) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("made.json");
    let mut command = assert_cmd::Command::cargo_bin("planner").expect("built");
    command.current_dir(repository()).env_remove("PLANNER_HEADERS");
    match what {
        "report" => command.args(["simulate", "plans/samples/cascade.json", "--rps", "50", "--duration-s", "2"]),
        "frontiers" => command.args(["solve", "problems/digits.toml", "--frontier", "--at", "100,2000"]),
        "load" => command.args([
            "profile",
            "load",
            "models/digits/models.toml",
            "--variant",
            "cnn_s",
            "--scenario",
            "single-stream",
            "--requests",
            "20",
            "--duration-s",
            "0.01",
            "--warm-up-s",
            "0",
        ]),
        other => panic!("nothing makes {other}"),
    };
    let output = command.arg("-o").arg(&file).output().expect("it runs");
    vec![fs::read(&file).unwrap_or_else(|_| panic!("{what}: {}", String::from_utf8_lossy(&output.stderr)))]
}

/// A plan is read, and what it claims is recomputed from the facts that it names.
fn read_plan(path: &Path) -> bool {
    let Ok(plan) = load::<Plan>(path) else { return false };
    let facts =
        Facts::load(&["profiles/digits.json", "profiles/ocr-detector.json"].map(|name| repository().join(name)));
    let facts = facts.expect("the shipped profiles are sound");
    let _ = plan::check(&plan.document, &facts, plan.document.provenance.problem.as_ref(), Tolerance::default());
    true
}

/// A profile is read, with what plans draw from it.
fn read_profile(path: &Path) -> bool {
    let Ok(facts) = Facts::load(&[path.to_owned()]) else { return false };
    let profile = &facts.profiles[0].document;
    for variant in &profile.variants {
        let Some(curve) = planner::profile::Curve::of(profile, &variant.name, "cpu") else { continue };
        for (cores, batch) in [(1, 1), (2, 3), (7, 40)] {
            if let Some(service) = curve.at(cores, batch) {
                assert!(!service.law.mean_ms().is_nan(), "a mean of {} is no time", variant.name);
            }
        }
    }
    true
}

fn read_answers(path: &Path) -> bool {
    let bytes = fs::read(path).expect("just written");
    let records = Records::from_csv(&bytes, path).is_ok();
    Answers::from_csv_gz(&bytes, path).is_ok() || records
}

/// A trace is read, said in words, checked, and its first arrivals are played.
fn read_trace(path: &Path) -> bool {
    let Ok(arrivals) = Arrivals::of_file(path) else { return false };
    let _ = arrivals.reading();
    if arrivals.validate().has_errors() {
        return false;
    }
    arrivals.source(1).take(10_000).count();
    true
}

fn read_day(path: &Path) -> bool {
    let Ok(day) = RecordedLoad::read(path, 1.0, 1e6) else { return false };
    let _ = (day.document.histogram(), day.document.peak_rps());
    true
}

/// Whatever the file is, each tool's reader is asked: people name the wrong one.
fn read_import(path: &Path) -> bool {
    let declared = Declared {
        task: "t".into(),
        variants: Vec::new(),
        batches: vec![1],
        cores: Some(2),
        device: None,
        accuracies: vec![(None, Accuracy::saturating(0.9))],
        load_time_ms: None,
        memory_mb: None,
        tool: "test".into(),
    };
    let bytes = fs::read(path).expect("just written");
    let tools =
        [Tool::PerfAnalyzer, Tool::ModelAnalyzer, Tool::BenchmarkApp, Tool::AiPerf, Tool::GuideLlm, Tool::Trtexec];
    let mut taken = false;
    for tool in tools {
        let name = if bytes.first() == Some(&b'{') { "x.json" } else { "x.csv" };
        let file = Foreign { path: name.into(), bytes: bytes.clone() };
        let Ok((profile, _)) = import(&[file], tool, &declared) else { continue };
        assert!(!profile.validate().has_errors(), "{tool:?} makes a profile that is refused: {}", profile.validate());
        taken = true;
    }
    taken
}

/// Numbers at the borders of what types hold, and beyond.
const NUMBERS: [&str; 22] = [
    "0",
    "-0.0",
    "-1",
    "1",
    "0.5",
    "1.0000001",
    "1e-9",
    "5e-324",
    "1e308",
    "-1e308",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "18446744073709551615",
    "1e19",
    "99999999999999999999999999",
    "1e999",
    "NaN",
    "inf",
    "0x10",
    "1_000",
    "1,5",
];

/// Words in places where others are meant.
const WORDS: [&str; 12] = [
    "",
    " ",
    "null",
    "\u{1b}[31m",
    "=1+1",
    "../../../etc/passwd",
    "/dev/zero",
    "2031-02-30 25:61:61",
    "é\u{202e}\u{fffe}",
    "planner.plan/1",
    "-",
    "true",
];

/// Returns a seed with one to four damages.
fn damaged(seed: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = match serde_json::from_slice::<Value>(seed) {
        Ok(mut document) => {
            for _ in 0..rng.random_range(1..=3) {
                damage_document(&mut document, rng);
            }
            document.to_string().into_bytes()
        }
        Err(_) => match std::str::from_utf8(seed) {
            Ok(text) => {
                let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
                for _ in 0..rng.random_range(1..=3) {
                    damage_lines(&mut lines, rng);
                }
                lines.concat().into_bytes()
            }
            Err(_) => seed.to_vec(),
        },
    };
    // Most files are damaged in what they say, not in how they are spelled.
    if rng.random_bool(0.25) || std::str::from_utf8(seed).is_err() {
        damage_bytes(&mut bytes, rng);
    }
    bytes.truncate(MOST_BYTES);
    bytes
}

/// Returns the pointers of all values but the whole.
fn places(value: &Value, pointer: &str, found: &mut Vec<String>) {
    let mut inner = |key: String, value: &Value| {
        let pointer = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
        places(value, &pointer, found);
        found.push(pointer);
    };
    match value {
        Value::Object(keys) => keys.iter().for_each(|(key, value)| inner(key.clone(), value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, value)| inner(index.to_string(), value)),
        _ => {}
    }
}

fn damage_document(document: &mut Value, rng: &mut ChaCha8Rng) {
    let mut found = Vec::new();
    places(document, "", &mut found);
    let Some(place) = found.choose(rng).cloned() else { return };
    let elsewhere = found.choose(rng).and_then(|other| document.pointer(other)).cloned();
    let (parent, key) = place.rsplit_once('/').expect("a pointer begins with a slash");
    match rng.random_range(0..8) {
        0..=2 => *document.pointer_mut(&place).expect("found") = another(elsewhere, rng),
        3 => match document.pointer_mut(parent).expect("found") {
            Value::Object(keys) => drop(keys.remove(key)),
            Value::Array(items) => drop(items.remove(key.parse().expect("an index"))),
            _ => {}
        },
        4 => {
            if let Some(Value::Array(items)) = document.pointer_mut(parent) {
                let item = items[key.parse::<usize>().expect("an index")].clone();
                let copies = *[1, 2, 100].choose(rng).expect("some");
                items.extend(std::iter::repeat_n(item, copies));
            }
        }
        5 => {
            if let Some(Value::Array(items)) = document.pointer_mut(parent) {
                items.reverse();
            }
        }
        6 => {
            if let Some(number) = document.pointer(&place).and_then(Value::as_f64) {
                let factor = *[-1.0, 0.0, 0.5, 2.0, 1e6, 1e-6].choose(rng).expect("some");
                *document.pointer_mut(&place).expect("found") = json!(number * factor);
            }
        }
        _ => {
            if let Some(Value::Object(keys)) = document.pointer_mut(parent) {
                keys.insert(format!("{key}s"), json!(1));
            }
        }
    }
}

/// Returns a value of any kind, or one from elsewhere in the document.
fn another(elsewhere: Option<Value>, rng: &mut ChaCha8Rng) -> Value {
    match rng.random_range(0..8) {
        0..=2 => serde_json::from_str(NUMBERS.choose(rng).expect("some")).unwrap_or(json!(1e300)),
        3 => json!(WORDS.choose(rng).expect("some")),
        4 => json!("x".repeat(100_000)),
        5 => [json!([]), json!({}), Value::Null, json!(true)].choose(rng).expect("some").clone(),
        6 => (0..*[3, 60, 120].choose(rng).expect("some")).fold(json!(1), |inner, _| json!([inner])),
        _ => elsewhere.unwrap_or(Value::Null),
    }
}

fn damage_lines(lines: &mut Vec<String>, rng: &mut ChaCha8Rng) {
    if lines.is_empty() {
        return;
    }
    let (one, other) = (rng.random_range(0..lines.len()), rng.random_range(0..lines.len()));
    match rng.random_range(0..8) {
        0 => drop(lines.remove(one)),
        1 => lines.insert(one, lines[other].clone()),
        2 => lines.swap(one, other),
        3 => {
            let line = lines[one].clone();
            let copies = (MOST_BYTES / 4 / line.len().max(1)).min(20_000);
            lines.extend(std::iter::repeat_n(line, copies));
        }
        4..=6 => {
            let separator = if lines[one].contains(';') {
                ';'
            } else if lines[one].contains('=') {
                '='
            } else {
                ','
            };
            let mut cells: Vec<String> = lines[one].trim_end().split(separator).map(str::to_owned).collect();
            let cell = rng.random_range(0..cells.len());
            match rng.random_range(0..4) {
                0 => drop(cells.remove(cell)),
                1 => cells.insert(cell, cells[cell].clone()),
                2 => cells[cell] = (*WORDS.choose(rng).expect("some")).to_owned(),
                _ => cells[cell] = (*NUMBERS.choose(rng).expect("some")).to_owned(),
            }
            lines[one] = cells.join(&separator.to_string()) + "\n";
        }
        _ => {
            let (from, to) = *[(',', ';'), (',', '\t'), ('.', ','), (' ', 'T'), ('\n', '\r'), ('"', '\'')]
                .choose(rng)
                .expect("some");
            lines.iter_mut().for_each(|line| *line = line.replace(from, &to.to_string()));
        }
    }
}

fn damage_bytes(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    if bytes.is_empty() {
        return;
    }
    let place = rng.random_range(0..bytes.len());
    match rng.random_range(0..7) {
        0 => bytes.truncate(place),
        1 => bytes[place] ^= 1 << rng.random_range(0..8),
        2 => bytes.insert(place, 0),
        3 => drop(bytes.splice(0..0, [0xef, 0xbb, 0xbf])),
        4 => {
            let units: Vec<u16> = String::from_utf8_lossy(bytes).encode_utf16().collect();
            *bytes = [0xfeff].into_iter().chain(units).flat_map(u16::to_le_bytes).collect();
        }
        5 => bytes.iter_mut().skip(place).take(8).for_each(|byte| *byte = rng.random()),
        _ => drop(bytes.drain(place..(place + rng.random_range(1..40)).min(bytes.len()))),
    }
}

fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

/// What is read now, and since when: a watcher ends a test whose reader never comes back.
static NOW: Mutex<Option<(String, Instant)>> = Mutex::new(None);

fn watch() {
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let now = NOW.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((round, _)) = now.as_ref().filter(|(_, since)| since.elapsed() > 6 * MOST_TIME) {
                eprintln!("{round} never comes back");
                std::process::abort();
            }
        }
    });
}

#[test]
fn damaged_files_are_read_or_refused_in_bounded_time_and_memory() {
    let (rounds, first) = (number("DAMAGE_ROUNDS", 12), number("DAMAGE_SEED", 19));
    let only = std::env::var("DAMAGE_ONLY").unwrap_or_default();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut faults = Vec::new();
    watch();
    for reader in readers().into_iter().filter(|reader| reader.name.contains(&only)) {
        assert!(!reader.seeds.is_empty(), "{} has no seed", reader.name);
        let path = folder.path().join("damaged").with_extension(reader.ending);
        let (mut taken, mut slowest, mut largest) = (0, Duration::ZERO, 0);
        for (file, seed) in reader.seeds.iter().enumerate() {
            for round in 0..rounds {
                // Each round can be played alone.
                let mut rng =
                    ChaCha8Rng::seed_from_u64(first.wrapping_mul(1_000_003).wrapping_add(round * 1_009 + file as u64));
                fs::write(&path, damaged(seed, &mut rng)).expect("writable");
                let name = format!("{}, seed file {file}, round {round} of seed {first}", reader.name);
                let (begin, worked) = (Instant::now(), cpu_time());
                *NOW.lock().unwrap_or_else(PoisonError::into_inner) = Some((name.clone(), begin));
                let held = HELD.load(Ordering::Relaxed);
                MOST.store(held, Ordering::Relaxed);
                let outcome = catch_unwind(AssertUnwindSafe(|| (reader.read)(&path)));
                let (took, most) =
                    (cpu_time().saturating_sub(worked), MOST.load(Ordering::Relaxed).saturating_sub(held));
                *NOW.lock().unwrap_or_else(PoisonError::into_inner) = None;
                (slowest, largest) = (slowest.max(took), largest.max(most));
                taken += u64::from(*outcome.as_ref().unwrap_or(&false));
                let fault = match outcome {
                    Err(_) => "panics".to_owned(),
                    Ok(_) if took > MOST_TIME => format!("takes {took:?}"),
                    Ok(_) if most > MOST_MEMORY => format!("holds {} MB", most >> 20),
                    Ok(_) => continue,
                };
                let kept = std::env::temp_dir().join(format!(
                    "damaged-{}-{file}-{round}-{first}.{}",
                    reader.name.replace([' ', ','], "-"),
                    reader.ending
                ));
                fs::copy(&path, &kept).expect("writable");
                faults.push(format!("{name} {fault}: {}", kept.display()));
            }
        }
        let all = reader.seeds.len() as u64 * rounds;
        eprintln!("{}: {all} files, {taken} taken, at most {slowest:.1?} and {} MB", reader.name, largest >> 20);
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
