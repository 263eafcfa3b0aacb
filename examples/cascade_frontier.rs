//! Holds our frontier of a record file against CascadeServe's 50,000 random cascades on an even grid, and every score against counting
//! sample by sample; prints one JSON line for each file.
//!
//! `cargo run --release --example cascade_frontier -- SAMPLES RECORDS.csv.gz …`. A random cascade is above the frontier where no cascade of
//! ours is as accurate while it calls no model more often.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use planner::papers::cascadeserve::{RingSettings, random};
use planner::rooms::exits::{Cascade, Records, SearchGrid, frontier};
use rayon::iter::{IntoParallelIterator, IntoParallelRefIterator, ParallelIterator};
use serde_json::json;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [samples, files @ ..] = arguments.as_slice() else {
        bail!("usage: cascade_frontier SAMPLES RECORDS.csv.gz …")
    };
    let settings = RingSettings { samples: samples.parse()?, ..RingSettings::default() };
    for file in files {
        let records = Records::load(Path::new(file)).map_err(|error| anyhow!("{error}"))?;
        let start = Instant::now();
        let ours = frontier(&records, SearchGrid::default(), 0.0);
        let ours_s = start.elapsed().as_secs_f64();
        let recounted = ours.par_iter().filter(|cascade| records.evaluate(&cascade.members) != **cascade).count();
        let start = Instant::now();
        let drawn = random(records.models.len(), &settings);
        let scored: Vec<Cascade> = drawn.into_par_iter().map(|members| records.evaluate(&members)).collect();
        let random_s = start.elapsed().as_secs_f64();
        let calls: Vec<Vec<f64>> = ours.iter().map(|cascade| records.calls(cascade)).collect();
        // The accuracy of the best of ours that calls no model more often, less that of the random one.
        let lead = |cascade: &Cascade| {
            let own = records.calls(cascade);
            let no_more = |of: &Vec<f64>| of.iter().zip(&own).all(|(ours, theirs)| *ours <= theirs + 1e-12);
            let matching = ours.iter().zip(&calls).filter(|(_, of)| no_more(of)).map(|(ours, _)| ours.accuracy);
            matching.fold(f64::NEG_INFINITY, f64::max) - cascade.accuracy
        };
        let leads: Vec<f64> = scored.par_iter().map(lead).collect();
        let above = leads.iter().filter(|lead| **lead < -1e-12).count();
        let worst = leads.iter().copied().fold(f64::INFINITY, f64::min);
        say(&json!({
            "file": file, "samples": records.samples(), "frontier": ours.len(), "recounted_differently": recounted,
            "random": scored.len(), "above": above, "least_lead": worst, "frontier_s": ours_s, "random_s": random_s,
        }));
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the answer of an example")]
fn say(answer: &serde_json::Value) {
    println!("{answer}");
}
