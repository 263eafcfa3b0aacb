//! Replays full grids through the chooser and prints how much less would have been measured, and how well.
//!
//! `cargo run --release --example adaptive`

#[path = "../tests/integration/adaptive/experiment.rs"]
mod experiment;

use experiment::{Bench, Way};

#[expect(clippy::print_stdout, reason = "the answer of the example")]
fn main() {
    for bench in [Bench::digits(), Bench::heavier(1), Bench::heavier(2), Bench::heavier(3)] {
        println!("{}: the plan's own points take {:.2} × less time", bench.name, bench.most_saved());
        for way in [Way::Within(0.05), Way::Within(0.1), Way::WithinAndFor(0.05), Way::WithinAndFor(0.1), Way::For] {
            println!("{} {way:?}: {}", bench.name, bench.run(way));
        }
    }
}
