//! Cascades on public record sets: how often a proof fails, and how many cascades are worth keeping.
//!
//! `cargo run --release --example cascade_records -- guarantee|frontier FOLDER [REPEATS] [SET…]` reads the record files and the
//! `index.csv` with prices of `../shared/data/cascade` and prints a Markdown table. `scripts/experiments/cascade-guarantee` runs both.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use planner::rooms::exits::{
    Cascade, Member, Records, Scorer, SearchGrid, Target, certify, frontier, path, spaced, split, work,
};
use planner::stats::Dice;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

const USAGE: &str = "usage: cascade_records guarantee|frontier FOLDER [REPEATS] [SET…]";
/// Probability of a wrong proof.
const DELTA: f64 = 0.05;
/// What may be given away below the best single model.
const LOSS: f64 = 0.01;
/// Steps of a proof.
const STEPS: usize = 25;
/// Samples that planning may see; a set without twice as many is left out at that size, the smallest is always tried.
const PLANNING: [usize; 3] = [500, 2_000, 8_000];
const GUARANTEED: [&str; 8] =
    ["rafdb", "command", "shop", "imdb", "fluent", "expw", "mmlu_llama_test", "triviaqa_llama_test"];

struct Set {
    name: String,
    records: Records,
    /// US dollars for 10,000 calls of each model.
    prices: Vec<f64>,
}

impl Set {
    fn load(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let file =
            if name.contains('_') { format!("llmchain_{name}.csv.gz") } else { format!("frugalml_{name}.csv.gz") };
        let records = Records::load(&folder.join(file))?;
        let mut index = csv::Reader::from_path(folder.join("index.csv"))?;
        let rows: Vec<csv::StringRecord> = index.records().collect::<Result<_, _>>()?;
        let price = |model: &str| {
            let row = rows.iter().find(|row| row[0] == *name && row[1] == *model);
            row.and_then(|row| row[4].parse().ok()).with_context(|| format!("index.csv: no price of {model} on {name}"))
        };
        let prices = records.models.iter().map(|record| price(&record.name)).collect::<anyhow::Result<_>>()?;
        Ok(Self { name: name.to_owned(), records, prices })
    }

    /// The most accurate model by itself, on all samples: what a user would run otherwise.
    fn reference(&self) -> usize {
        let hits = |&model: &usize| self.records.models[model].right.iter().filter(|right| **right).count();
        (0..self.records.models.len()).max_by_key(hits).expect("a record file has models")
    }

    fn alone(&self, model: usize) -> Cascade {
        self.records.evaluate(&[Member { model, exit_at: None }])
    }

    fn price(&self, cascade: &Cascade) -> f64 {
        work(&self.records, cascade, &self.prices)
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, folder, rest @ ..] = arguments.as_slice() else { bail!(USAGE) };
    let repeats: u64 = rest.first().map_or(Ok(200), |repeats| repeats.parse()).context(USAGE)?;
    let named: Vec<&str> = rest.iter().skip(1).map(String::as_str).collect();
    let folder = Path::new(folder);
    match what.as_str() {
        "guarantee" => guarantee(folder, repeats, if named.is_empty() { &GUARANTEED } else { &named }),
        "frontier" => frontiers(folder, &named),
        _ => bail!(USAGE),
    }
}

/// One way to choose, over all repeats.
#[derive(Default)]
struct Tally {
    misses: u64,
    shortfall: f64,
    certified: u64,
    log_saving: f64,
}

impl Tally {
    fn add(&mut self, set: &Set, chosen: Option<&Cascade>, reference: &Cascade) {
        let on_all = chosen.map(|cascade| set.records.evaluate(&cascade.members));
        self.certified += u64::from(on_all.is_some());
        let serving = on_all.as_ref().unwrap_or(reference);
        let short = reference.accuracy - LOSS - serving.accuracy;
        // Accuracies are ratios of counts; a hair below the target is rounding.
        if short > 1e-12 {
            self.misses += 1;
            self.shortfall += short;
        }
        self.log_saving += (set.price(reference) / set.price(serving)).ln();
    }

    fn cells(&self, repeats: u64) -> String {
        let part = |count: u64| 100.0 * count as f64 / repeats as f64;
        let shortfall = if self.misses > 0 { 100.0 * self.shortfall / self.misses as f64 } else { 0.0 };
        let saving = (self.log_saving / repeats as f64).exp();
        format!("{:.1} % | {shortfall:.2} | {:.0} % | {saving:.2}×", part(self.misses), part(self.certified))
    }
}

#[expect(clippy::print_stdout, reason = "the answer of an example")]
fn guarantee(folder: &Path, repeats: u64, names: &[&str]) -> anyhow::Result<()> {
    println!("| set | planning samples | choice | misses | mean shortfall of a miss, points | certified | saving |");
    println!("|---|---|---|---|---|---|---|");
    for name in names {
        let set = Set::load(folder, name)?;
        let samples = set.records.samples();
        for planning in PLANNING.into_iter().filter(|&planning| planning == PLANNING[0] || 2 * planning <= samples) {
            let tallies = choices(&set, planning, repeats);
            for (choice, tally) in
                ["cheapest that seems good enough", "proved against the reference", "proved by the binomial law"]
                    .iter()
                    .zip(&tallies)
            {
                println!("| {name} | {planning} | {choice} | {} |", tally.cells(repeats));
            }
        }
    }
    Ok(())
}

/// The uncertified choice, the one proved relative to the reference, and the one proved by itself.
fn choices(set: &Set, planning: usize, repeats: u64) -> [Tally; 3] {
    let search = SearchGrid { longest: 3, quantiles: 20, even: 0 };
    let reference = set.reference();
    let alone = set.alone(reference);
    let target = alone.accuracy - LOSS;
    let choose = |seed: u64| {
        let part = planning as f64 / set.records.samples() as f64;
        let (known, _) = split(&set.records, part, seed);
        let point = path(&known, search, &set.prices).into_iter().rfind(|cascade| cascade.accuracy >= target);
        let (to_search, to_prove) = split(&known, 0.5, seed);
        // What is below the target where it was chosen has little hope where it was not; what is dearer than the reference
        // nobody would take.
        let is_hopeful = |cascade: &Cascade| {
            cascade.accuracy >= target && work(&to_search, cascade, &set.prices) < set.prices[reference]
        };
        let hopeful: Vec<Cascade> = path(&to_search, search, &set.prices).into_iter().filter(is_hopeful).collect();
        let steps = spaced(&hopeful, STEPS);
        let last = |target| certify(&steps, &to_prove, target, DELTA).chosen.map(|place| steps[place].clone());
        [point, last(Target::Within { reference, loss: LOSS }), last(Target::Accuracy(target))]
    };
    let chosen: Vec<[Option<Cascade>; 3]> = (0..repeats).into_par_iter().map(choose).collect();
    let mut tallies: [Tally; 3] = Default::default();
    for of_repeat in &chosen {
        for (tally, cascade) in tallies.iter_mut().zip(of_repeat) {
            tally.add(set, cascade.as_ref(), &alone);
        }
    }
    tallies
}

#[expect(clippy::print_stdout, reason = "the answer of an example")]
fn frontiers(folder: &Path, names: &[&str]) -> anyhow::Result<()> {
    let mut every = Vec::new();
    for row in csv::Reader::from_path(folder.join("index.csv"))?.records() {
        let name = row?[0].to_owned();
        if !every.contains(&name) {
            every.push(name);
        }
    }
    println!(
        "| set | models | samples | cascades scored | ms to score | kept, no loss | ms | kept, quarter of a standard error | ms | on the \
         price path | random cascades above it |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for name in every.iter().filter(|name| names.is_empty() || names.contains(&name.as_str())) {
        let set = Set::load(folder, name)?;
        let search = SearchGrid::default();
        let (scored, to_score) = timed(|| {
            let scorer = Scorer::new(&set.records, search);
            let (mut scores, mut count) = (Vec::new(), 0_usize);
            for sequence in scorer.sequences() {
                scores.clear();
                scorer.score(&sequence, &mut scores);
                count += scores.len();
            }
            count
        });
        let (exact, to_keep) = timed(|| frontier(&set.records, search, 0.0));
        let best = exact.first().map_or(0.0, |cascade| cascade.accuracy);
        let error = (best * (1.0 - best) / set.records.samples() as f64).sqrt();
        let (thinned, to_thin) = timed(|| frontier(&set.records, search, error / 4.0));
        let path = path(&set.records, search, &set.prices);
        println!(
            "| {} | {} | {} | {scored} | {to_score:.0} | {} | {to_keep:.0} | {} | {to_thin:.0} | {} | {} |",
            set.name,
            set.records.models.len(),
            set.records.samples(),
            exact.len(),
            thinned.len(),
            path.len(),
            above(&set, &exact)
        );
    }
    Ok(())
}

fn timed<T>(run: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let answer = run();
    (answer, start.elapsed().as_secs_f64() * 1e3)
}

/// Counts, of 50,000 random cascades on an even grid of 20 thresholds (the published search), those that the frontier does not
/// reach at the set's prices.
fn above(set: &Set, frontier: &[Cascade]) -> usize {
    let mut stairs: Vec<(f64, f64)> = frontier.iter().map(|cascade| (set.price(cascade), cascade.accuracy)).collect();
    stairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut best = 0.0_f64;
    for step in &mut stairs {
        best = best.max(step.1);
        step.1 = best;
    }
    let mut dice = Dice::new(1, 0);
    let mut draw = |_| {
        let mut models: Vec<usize> = (0..set.records.models.len()).collect();
        for last in (1..models.len()).rev() {
            models.swap(last, dice.below(last as u32 + 1) as usize);
        }
        models.truncate(2 + dice.below(2) as usize);
        let last = models.len() - 1;
        let threshold = |place| (place < last).then(|| f64::from(dice.below(20)) / 19.0);
        let exits: Vec<Option<f64>> = (0..models.len()).map(threshold).collect();
        models.into_iter().zip(exits).map(|(model, exit_at)| Member { model, exit_at }).collect::<Vec<_>>()
    };
    let drawn: Vec<Vec<Member>> = (0..50_000).map(&mut draw).collect();
    let is_above = |members: &Vec<Member>| {
        let cascade = set.records.evaluate(members);
        let limit = set.price(&cascade) * (1.0 + 1e-12);
        let within = stairs.partition_point(|(price, _)| *price <= limit);
        within == 0 || stairs[within - 1].1 < cascade.accuracy
    };
    drawn.into_par_iter().filter(is_above).count()
}
