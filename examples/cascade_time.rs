//! Times our planner and CascadeServe's, as published, on the same problem and facts, in one run; prints one JSON line.
//!
//! `cargo run --release --example cascade_time -- PROBLEM [REPEATS] [HIGHEST_THRESHOLD]`. Facts are loaded before the clock starts; medians
//! of the repeats, one repeat of the ring where it takes longer than two seconds. Nothing is simulated by ours; the ring's own simulation
//! is part of its search for triggers.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use planner::base::codec::load;
use planner::facts::Facts;
use planner::papers::cascadeserve;
use planner::planners::solve;
use planner::problem::Problem;
use planner::rooms::{Answer, Context};
use serde_json::json;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [problem, rest @ ..] = arguments.as_slice() else {
        bail!("usage: cascade_time PROBLEM [REPEATS] [HIGHEST_THRESHOLD]")
    };
    let path = Path::new(problem);
    let problem = load::<Problem>(path)?.document;
    let folder = path.parent().unwrap_or(Path::new(""));
    let facts = Facts::of_problem(&problem, folder)?;
    let repeats = rest.first().map_or(Ok(5), |repeats| repeats.parse())?;
    let highest_threshold = rest.get(1).map_or(Ok(1.0), |highest| highest.parse())?;
    let settings = cascadeserve::RingSettings { highest_threshold, ..cascadeserve::RingSettings::default() };
    let (ours_ms, ours) = median_ms(repeats, || Ok(solve(&problem, &facts, Context::default())?))?;
    let (ring_ms, ring) = median_ms(repeats, || Ok(cascadeserve::plan(&problem, &facts, &settings)?))?;
    let gears = match &ours {
        Answer::Plan(plan) => plan.gears.len(),
        Answer::Infeasible(_) => 0,
    };
    say(&json!({ "ours_ms": ours_ms, "gears": gears, "ring_ms": ring_ms, "ring_found": ring.is_some() }));
    Ok(())
}

/// Returns the median time of some repeats, and the last answer; what takes long is not repeated.
fn median_ms<T>(repeats: usize, mut run: impl FnMut() -> Result<T>) -> Result<(f64, T)> {
    let mut times = Vec::new();
    loop {
        let start = Instant::now();
        let answer = run()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        if times.len() >= repeats || times[0] > 2e3 {
            times.sort_by(f64::total_cmp);
            return Ok((times[times.len() / 2], answer));
        }
    }
}

#[expect(clippy::print_stdout, reason = "the answer of an example")]
fn say(answer: &serde_json::Value) {
    println!("{answer}");
}
