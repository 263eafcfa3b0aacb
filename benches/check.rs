//! `planner check` over fifty problems of the shipped kind: validated, recomputed, tried, solved again and compared.
//!
//!     cargo bench --bench check

use std::fs;
use std::path::{Path, PathBuf};

use planner::base::codec::{Loaded, load, to_bytes};
use planner::base::units::Rate;
use planner::facts::Facts;
use planner::planners::solve;
use planner::problem::Problem;
use planner::review::{Manifest, find, review};
use planner::rooms::{Answer, Context, record};

/// Problems in the folder.
const PROBLEMS: u32 = 50;

fn main() {
    divan::main();
}

/// Writes problems that differ in load and cores, each with its plan, and returns their folder.
fn team() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["digits.json", "digits.answers.csv.gz"] {
        fs::copy(root.join("profiles").join(name), folder.path().join(name)).expect("writable");
    }
    let shipped = load::<Problem>(&root.join("problems/digits.toml")).expect("valid").document;
    let facts = Facts::load(&[folder.path().join("digits.json")]).expect("valid");
    for number in 0..PROBLEMS {
        let mut problem = shipped.clone();
        problem.name = format!("problem {number}");
        problem.profiles = vec![PathBuf::from("digits.json")];
        problem.workload.max_rps = Rate::saturating(20_000.0 + 300.0 * f64::from(number));
        problem.inventory.cores = 6 + number % 3;
        let path = folder.path().join(format!("problem-{number}.json"));
        fs::write(&path, to_bytes(&problem)).expect("writable");
        let Loaded { document, findings, path, sha256 } = load::<Problem>(&path).expect("valid");
        let problem = Loaded { document, findings, path, sha256 };
        let Answer::Plan(mut plan) = solve(&problem.document, &facts, Context::default()).expect("solved") else {
            continue;
        };
        record(&mut plan, folder.path(), &problem, &facts, None);
        fs::write(folder.path().join(format!("plan-{number}.json")), to_bytes(&plan)).expect("writable");
    }
    folder
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn fifty_problems(bencher: divan::Bencher<'_, '_>) {
    let folder = team();
    let (_, files) = find(folder.path()).expect("readable");
    bencher.bench_local(|| review(&Manifest::default(), &files, None, &|_| {}));
}
