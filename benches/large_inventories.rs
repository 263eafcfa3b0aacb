//! Speed of planning where there is much to plan on: `cargo bench --bench large_inventories`.
//!
//! Whole plans of the shipped problems with their room's own rules, nothing tried in simulation; the highest load grows with the
//! cores. Asked: 1,024 cores of digits in 5 s.

use std::path::Path;

use planner::base::units::Rate;
use planner::rooms::Context;
use planner::{Facts, Problem, load, solve};

fn main() {
    divan::main();
}

#[divan::bench(args = [64, 256, 1024], sample_count = 1, sample_size = 1)]
fn digits(bencher: divan::Bencher<'_, '_>, cores: u32) {
    plan(bencher, "digits", cores, 1_464.0);
}

#[divan::bench(args = [64, 256, 1024], sample_count = 1, sample_size = 1)]
fn ocr(bencher: divan::Bencher<'_, '_>, cores: u32) {
    plan(bencher, "ocr", cores, 0.6);
}

fn plan(bencher: divan::Bencher<'_, '_>, name: &str, cores: u32, rps_per_core: f64) {
    let problems = Path::new(env!("CARGO_MANIFEST_DIR")).join("problems");
    let shipped = load::<Problem>(&problems.join(format!("{name}.toml"))).expect("a good problem").document;
    let facts = Facts::of_problem(&shipped, &problems).expect("its facts load");
    let mut problem = shipped;
    problem.inventory.cores = cores;
    problem.workload.max_rps = Rate::saturating(f64::from(cores) * rps_per_core);
    bencher.bench_local(|| solve(divan::black_box(&problem), &facts, Context::default()));
}
