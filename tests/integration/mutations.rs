//! The gate against changes that nobody meant: every number of the shipped plans moved, every list entry removed, doubled and
//! swapped, every claim left out. `planner check .` must say so, or the change must be one that harms nobody.
//!
//! | outcome | what it means |
//! |---|---|
//! | refused | the plan does not load |
//! | failed | an error: exit status 1 |
//! | told | another warning or note than of the plan as it is; simulation keeps the SLO, or it would be an error |
//! | survived | nothing; only of the kinds in [`HARMLESS`] |

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use planner::base::codec::{Document, load};
use planner::base::finding::Severity;
use planner::facts::Facts;
use planner::plan::{self, Plan, Tolerance};
use planner::review::{Entry, Manifest, Verdict, review};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::{Number, Value};

/// What may survive, and why it harms nobody: part of the place, the change (any where empty), and the reason.
const HARMLESS: [(&str, &str, &str); 6] = [
    (
        "by hand:",
        "",
        "a plan by hand claims nothing and is made from nothing: what keeps its SLO in simulation is as good a plan",
    ),
    ("capacity_parts", "", "how the plan was found; solving again with it gives the same plan"),
    ("provenance.seed", "", "how the plan was found; the planner draws nothing"),
    ("holds_up_to.", "", "another effort of the trials, which say the same when they are made again with it"),
    ("provenance.inputs", "swapped", "the order of the inputs says nothing"),
    ("certificate.trial", "left out", "a plan that says nothing of trials, as if solved without; the review tries it"),
];

/// Factors that numbers are moved by, with their names.
const FACTORS: [(&str, f64); 4] = [("-20 %", 0.8), ("-5 %", 0.95), ("+5 %", 1.05), ("+20 %", 1.2)];

/// A shipped plan with one change.
struct Mutant {
    place: String,
    change: &'static str,
    document: Value,
}

/// What became of a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Refused,
    Failed,
    Told,
    Survived,
}

/// A copy of the repository's plans beside its profiles and problems.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for shared in ["profiles", "problems", "traces"] {
            std::os::unix::fs::symlink(repository().join(shared), folder.path().join(shared))
                .expect("a link can be made");
        }
        fs::create_dir_all(folder.path().join("plans/samples")).expect("writable");
        Self { folder }
    }

    /// Returns what becomes of each of these mutants of a shipped plan.
    fn outcomes(&self, plan: &str, mutants: &[Mutant]) -> Vec<Outcome> {
        let near = self.folder.path().join(plan);
        let path = |index: usize| near.with_file_name(format!("{index:05}.json"));
        let shipped = load::<Plan>(&repository().join(plan)).expect("shipped plans load");
        let facts = Facts::of_plan(&shipped.document, &shipped.path).expect("its facts load");
        let mut outcomes = vec![Outcome::Failed; mutants.len()];
        // What is refused, or refuted in closed form, needs no trials.
        let mut slow: Vec<usize> = Vec::new();
        for (index, mutant) in mutants.iter().enumerate() {
            write(&path(index), &mutant.document);
            match load::<Plan>(&path(index)) {
                Err(_) => outcomes[index] = Outcome::Refused,
                Ok(changed) => {
                    let problem = shipped.document.provenance.problem.as_ref();
                    let found = plan::check(&changed.document, &facts, problem, Tolerance::default());
                    if !found.has_errors() {
                        slow.push(index);
                    }
                }
            }
        }
        write(&near, &serde_json::to_value(&shipped.document).expect("a plan is JSON"));
        let files: Vec<PathBuf> = std::iter::once(near.clone()).chain(slow.iter().map(|&index| path(index))).collect();
        let entries = review(&Manifest::default(), &files, None, &|_| {}).entries;
        let (as_it_is, changed) = entries.split_first().expect("the shipped plan");
        assert!(as_it_is.verdict < Verdict::Failed, "{plan} is not what its inputs give: {:?}", as_it_is.findings);
        for (&index, entry) in slow.iter().zip(changed) {
            outcomes[index] = outcome(as_it_is, entry);
        }
        outcomes
    }
}

fn outcome(as_it_is: &Entry, entry: &Entry) -> Outcome {
    let said = |entry: &Entry| -> BTreeSet<(Severity, String, String)> {
        entry.findings.iter().map(|found| (found.severity, found.key.clone(), found.cause.clone())).collect()
    };
    match entry.verdict {
        Verdict::Failed | Verdict::Unusable => Outcome::Failed,
        _ if said(entry).is_subset(&said(as_it_is)) => Outcome::Survived,
        _ => Outcome::Told,
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn write(path: &Path, document: &Value) {
    write_text(path, &document.to_string());
}

fn write_text(path: &Path, text: &str) {
    fs::write(path, text).expect("writable");
}

/// Returns the shipped plans, by their way from the root.
fn shipped() -> Vec<String> {
    let mut plans = Vec::new();
    for folder in ["plans", "plans/samples"] {
        for item in fs::read_dir(repository().join(folder)).expect("a folder") {
            let path = item.expect("readable").path();
            if path.extension().is_some_and(|ending| ending == "json") {
                plans.push(format!("{folder}/{}", path.file_name().expect("a name").to_string_lossy()));
            }
        }
    }
    plans.sort();
    plans
}

/// Returns every change of a shipped plan.
fn mutants(plan: &str) -> Vec<Mutant> {
    let text = fs::read_to_string(repository().join(plan)).expect("readable");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(document["format"], Plan::FORMAT);
    let by_hand = if document["provenance"]["tool"] == "by hand" { "by hand: " } else { "" };
    let mut places = Vec::new();
    walk(&document, String::new(), &mut places);
    let mut mutants = Vec::new();
    for pointer in places {
        for (change, value) in changes(document.pointer(&pointer).expect("walked")) {
            let mut changed = document.clone();
            *changed.pointer_mut(&pointer).expect("walked") = value;
            let place = format!("{by_hand}{}", pointer.trim_start_matches('/').replace('/', "."));
            mutants.push(Mutant { place, change, document: changed });
        }
        // Whatever may be left out of what a plan promises.
        if let Some((parent, key)) =
            pointer.rsplit_once('/').filter(|(parent, _)| parent.contains("claims") || parent.contains("certificate"))
        {
            let mut changed = document.clone();
            let Some(Value::Object(keys)) = changed.pointer_mut(parent) else { continue };
            keys.remove(key);
            let place = format!("{by_hand}{}", pointer.trim_start_matches('/').replace('/', "."));
            mutants.push(Mutant { place, change: "left out", document: changed });
        }
    }
    mutants
}

/// Collects the pointers of all values, but for the whole.
fn walk(value: &Value, pointer: String, places: &mut Vec<String>) {
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(keys) => keys.iter().map(|(key, value)| (escaped(key), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (key, value) in inner {
        let pointer = format!("{pointer}/{key}");
        places.push(pointer.clone());
        walk(value, pointer, places);
    }
}

/// Returns what a number or a list is changed to.
fn changes(value: &Value) -> Vec<(&'static str, Value)> {
    let changed = match value {
        Value::Number(number) => FACTORS.map(|(name, factor)| (name, Value::Number(moved(number, factor)))).into(),
        Value::Array(items) => entries_changed(items),
        _ => Vec::new(),
    };
    changed.into_iter().filter(|(_, changed)| changed != value).collect()
}

/// Moves a number; a whole one by one at least.
fn moved(number: &Number, factor: f64) -> Number {
    let value = number.as_f64().expect("a number");
    if number.is_f64() {
        return Number::from_f64(value * factor).expect("finite");
    }
    let step = (value * (factor - 1.0)).abs().ceil().copysign(factor - 1.0);
    if value == 0.0 { number.clone() } else { Number::from((value + step) as i64) }
}

fn entries_changed(items: &[Value]) -> Vec<(&'static str, Value)> {
    let changed = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut items = items.to_vec();
        change(&mut items);
        Value::Array(items)
    };
    let mut all = Vec::new();
    for index in 0..items.len() {
        all.push(("removed", changed(&|items| drop(items.remove(index)))));
        all.push(("doubled", changed(&|items| items.insert(index, items[index].clone()))));
        if index + 1 < items.len() {
            all.push(("swapped", changed(&|items| items.swap(index, index + 1))));
        }
    }
    all
}

/// Tells whether a survivor is of a kind that harms nobody.
fn is_harmless(place: &str, change: &str) -> bool {
    HARMLESS.iter().any(|(part, only, _)| place.contains(part) && (only.is_empty() || *only == change))
}

/// Returns a place without the numbers in it: what is alike is counted together.
fn kind(place: &str) -> String {
    let parts = place.split('.').map(|part| if part.parse::<usize>().is_ok() { "*" } else { part });
    parts.collect::<Vec<_>>().join(".")
}

/// Applies the chosen changes of every shipped plan, writes `mutations.txt` of what became of them by kind, and expects no harmful survivor.
fn holds_against(choose: impl Fn(Vec<Mutant>) -> Vec<Mutant>) {
    let bench = Bench::new();
    let mut table: BTreeMap<(String, &str), [usize; 4]> = BTreeMap::new();
    let (mut harmful, mut sums) = (Vec::new(), [0; 4]);
    for plan in shipped() {
        let mutants = choose(mutants(&plan));
        for (mutant, outcome) in mutants.iter().zip(bench.outcomes(&plan, &mutants)) {
            table.entry((kind(&mutant.place), mutant.change)).or_default()[outcome as usize] += 1;
            sums[outcome as usize] += 1;
            if outcome == Outcome::Survived && !is_harmless(&mutant.place, mutant.change) {
                harmful.push(format!("{plan}: {} {}", mutant.place, mutant.change));
            }
        }
    }
    let mut text = format!("refused, failed, told, survived: {sums:?}\n");
    for ((kind, change), counts) in table.iter().filter(|(_, counts)| counts[2] + counts[3] > 0) {
        text += &format!("{kind} {change}: {counts:?}\n");
    }
    write_text(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutations.txt"), &text);
    assert!(harmful.is_empty(), "{} harmful survivors:\n{}", harmful.len(), harmful.join("\n"));
}

/// A few changes of each plan, drawn by a seed.
#[test]
fn no_drawn_change_harms_unsaid() {
    holds_against(|mut mutants| {
        mutants.shuffle(&mut ChaCha8Rng::seed_from_u64(19));
        mutants.truncate(super::draws(DRAWN) as usize);
        mutants
    });
}

#[test]
#[ignore = "hours: every change, `cargo test --release --test integration mutations -- --ignored; the table is in `target/tmp/mutations.txt``"]
fn no_change_harms_unsaid() {
    holds_against(|mutants| mutants);
}

/// Changes of each plan in the everyday test.
const DRAWN: u64 = 12;
