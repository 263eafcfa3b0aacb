//! Replays full grids through the chooser and prints how much less would have been measured, and how well.
//!
//! `cargo run --release --example adaptive`

#[path = "../tests/integration/adaptive/experiment.rs"]
mod experiment;

use experiment::{Bench, NEAR_TIE, Way};

/// Families that were drawn only after the constants of the surface were chosen (on digits, seeds 1 to 3 and 11 to 16).
const SEEDS: [u64; 6] = [21, 22, 23, 24, 25, 26];
/// How points are chosen.
const WAYS: [Way; 5] =
    [Way::Within(0.05), Way::Within(0.1), Way::WithinAndFor(0.05), Way::For(NEAR_TIE), Way::For(0.0)];

#[expect(clippy::print_stdout, reason = "the answer of the example")]
fn main() {
    for draw in 0..8 {
        let way = Way::For(NEAR_TIE);
        println!("digits, draw {draw} of glimpses, {way:?}: {}", Bench { draw, ..Bench::digits() }.run(way));
    }
    let heavier = SEEDS.map(Bench::heavier);
    for bench in [Bench::digits()].into_iter().chain(heavier) {
        println!("{}: the plan's own points take {:.2} × less time", bench.name, bench.most_saved());
        for way in WAYS {
            println!("{} {way:?}: {}", bench.name, bench.run(way));
        }
    }
}
