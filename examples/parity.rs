//! Compares `planner`'s profiler with a loop written by hand around the same engine.
//!
//! `cargo run --release --example parity -- models/digits/models.toml` measures every variant at batch 1 and 8 on one core
//! both ways, in turn, several rounds of each, and prints samples per second and their ratio (median of the rounds, as
//! these machines drift). Exit code 1 where a ratio is off by more than 10 %.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use planner::base::units::Share;
use planner::measure::engines::rten::Rten;
use planner::measure::host::pin;
use planner::measure::wiring::Wiring;
use planner::measure::{Attendant, Here, MeasureContext, MeasureEvent, MeasureSettings, measure};
use planner::profile::{CertaintyMeasure, Family, Profile};
use rten::{Model, RunOptions, ThreadPool};
use rten_tensor::TensorView;

const ROUNDS: usize = 5;
const BUDGET: Duration = Duration::from_millis(300);
const ALLOWED: f64 = 0.1;

/// Keeps nothing: only the profile that is returned counts.
struct Silent;

impl Attendant for Silent {
    fn tell(&mut self, _: MeasureEvent<'_>) {}

    fn save(&mut self, _: &Profile) -> Result<(), planner::Error> {
        Ok(())
    }
}

/// Samples per second of the plainest loop: one model, one pool of one thread, one input again and again.
fn by_hand(file: &Path, output: Option<&str>, input: &[f32], shape: &[usize]) -> anyhow::Result<f64> {
    let _pinned = pin(1)?;
    let model = Model::load_file(file)?;
    let output = output.map_or(Ok(model.output_ids()[0]), |name| model.node_id(name))?;
    let pool = std::sync::Arc::new(ThreadPool::with_num_threads(1));
    let run = || {
        let options = RunOptions::default().with_thread_pool(Some(pool.clone()));
        let view = TensorView::from_data(shape, input);
        model.run(vec![(model.input_ids()[0], view.into())], &[output], Some(options))
    };
    let warm_until = Instant::now() + BUDGET / 10;
    while Instant::now() < warm_until {
        run()?;
    }
    let (mut calls, start) = (0, Instant::now());
    while start.elapsed() < BUDGET || calls < 5 {
        run()?;
        calls += 1;
    }
    Ok(f64::from(calls) * shape[0] as f64 / start.elapsed().as_secs_f64())
}

fn profiled(family: &Family, batch: u32) -> anyhow::Result<f64> {
    let settings = MeasureSettings {
        batches: vec![batch],
        cores: vec![1],
        co_runners: vec![0],
        // Never narrow enough: the whole budget is spent, as by hand.
        precision: Share::ZERO,
        tail_precision: None,
        blocks: 1,
        budget: BUDGET.into(),
        certainty: CertaintyMeasure::default(),
        seed: 42,
        retry_contended: false,
        context: MeasureContext::default(),
    };
    let (profile, _) = measure(family, &Here::new(family, &Rten), &settings, None, &mut Silent)?;
    Ok(profile.points[0].throughput_rps.get())
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

#[expect(clippy::print_stdout, reason = "the answer of an example")]
fn main() -> anyhow::Result<()> {
    let list = std::env::args().nth(1).context("usage: parity MODELS.toml")?;
    let family = Family::load(&PathBuf::from(list))?;
    let mut worst: f64 = 0.0;
    println!("{:12} {:>5} {:>12} {:>12} {:>7}", "variant", "batch", "profiler/s", "by hand/s", "ratio");
    for entry in &family.list.variants {
        let file = family.folder.join(&entry.file);
        let mut alone = family.clone();
        alone.list.variants.retain(|variant| variant.name == entry.name);
        // Answering all samples is no part of the comparison.
        alone.samples = alone.samples.chosen(&[0]);
        for batch in [1, 8] {
            let wiring = Wiring::new(&alone, &Rten, (entry, entry), &alone.samples, CertaintyMeasure::default())?;
            let input = wiring.feeder.batch(&vec![0; batch]).remove(0).tensor;
            let data = input.to_f32().context("the digits are floats")?;
            let (mut ours, mut hand) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                ours.push(profiled(&alone, batch as u32)?);
                hand.push(by_hand(&file, entry.output.as_deref(), &data, input.shape())?);
            }
            let ratio = median(ours.iter().zip(&hand).map(|(ours, hand)| ours / hand).collect());
            worst = worst.max((ratio - 1.0).abs());
            println!("{:12} {batch:5} {:12.0} {:12.0} {ratio:7.3}", entry.name, median(ours), median(hand));
        }
    }
    anyhow::ensure!(worst <= ALLOWED, "the worst ratio is off by {:.1} %", worst * 100.0);
    Ok(())
}
