//! Speed of scoring and thinning cascades: `cargo bench --bench cascade`.

use planner::rooms::exits::{Record, Records, Scorer, SearchGrid, frontier};
use planner::stats::Dice;

fn main() {
    divan::main();
}

/// Models of rising accuracy on samples of a common hardness.
fn records(models: u32, samples: u32) -> Records {
    let mut dice = Dice::new(1, 0);
    let hardness: Vec<f64> = (0..samples).map(|_| dice.unit()).collect();
    let mut record = |model: u32| {
        let skill = 0.5 + 0.4 * f64::from(model + 1) / f64::from(models);
        let mut record = Record { name: format!("m{model}"), ..Record::default() };
        for hard in &hardness {
            record.right.push(dice.unit() < skill + 0.3 * (0.5 - hard));
            record.certainty.push((skill + 0.3 * (dice.unit() - 0.5) - 0.5 * hard).clamp(0.0, 1.0));
        }
        record
    };
    Records { models: (0..models).map(&mut record).collect() }
}

/// One core, records prepared: all 60 triples of 5 models × 63² thresholds on 16,000 samples. Asked: 50 ms, 5 million a second.
#[divan::bench]
fn score_all_triples(bencher: divan::Bencher<'_, '_>) {
    let records = records(5, 16_000);
    let scorer = Scorer::new(&records, SearchGrid { longest: 3, quantiles: 63, even: 0 });
    let triples: Vec<Vec<usize>> = scorer.sequences().into_iter().filter(|sequence| sequence.len() == 3).collect();
    let mut scores = Vec::new();
    triples.iter().for_each(|triple| scorer.score(triple, &mut scores));
    assert_eq!(scores.len(), 60 * 63 * 63);
    bencher.counter(divan::counter::ItemsCount::new(scores.len())).bench_local(|| {
        let mut right = 0_u64;
        for triple in &triples {
            scores.clear();
            scorer.score(divan::black_box(triple), &mut scores);
            right += scores.iter().map(|score| u64::from(score.right)).sum::<u64>();
        }
        right
    });
}

/// The same from the records on: certainties sorted, thresholds chosen.
#[divan::bench]
fn prepare(bencher: divan::Bencher<'_, '_>) {
    let records = records(5, 16_000);
    bencher.bench_local(|| Scorer::new(divan::black_box(&records), SearchGrid::default()));
}

/// What a plan needs, from the records on, all cores: loss in ten-thousandths.
#[divan::bench(args = [(5, 16_000, 0), (5, 16_000, 7), (8, 16_000, 7), (8, 16_000, 30), (8, 64_000, 7)])]
fn keep_the_frontier(bencher: divan::Bencher<'_, '_>, (models, samples, loss): (u32, u32, u32)) {
    let records = records(models, samples);
    bencher.bench_local(|| frontier(divan::black_box(&records), SearchGrid::default(), f64::from(loss) * 1e-4).len());
}
