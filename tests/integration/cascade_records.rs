//! Cascades on the public record sets of `../shared/data/cascade`, which are left out where they are missing: they are not kept in
//! this repository.

use std::path::{Path, PathBuf};

use planner::rooms::exits::{Cascade, Member, Records, Scorer, SearchGrid, Target, certify, path, spaced, split};
use planner::stats::Dice;

const DATA: &str = "../shared/data/cascade";

/// Returns a record file, or says that it is not there.
#[expect(clippy::print_stderr, reason = "a test that is left out says so")]
fn file(name: &str) -> Option<PathBuf> {
    let path = Path::new(DATA).join(name);
    if !path.exists() {
        eprintln!("left out: {} is missing", path.display());
    }
    path.exists().then_some(path)
}

/// Ties by the thousand (google), certainties of 0 from `-inf`, and up to 64,727 samples.
#[test]
fn fast_scores_are_those_of_counting_on_public_sets() {
    for name in [
        "frugalml_ferplus",
        "frugalml_digit",
        "frugalml_imdb",
        "llmchain_mmlu_llama_test",
        "llmchain_triviaqa_llama_test",
    ] {
        let Some(file) = file(&format!("{name}.csv.gz")) else { continue };
        let records = Records::load(&file).expect("a record file");
        let scorer = Scorer::new(&records, SearchGrid { longest: 4, quantiles: 9, even: 5 });
        let mut scores = Vec::new();
        scorer.sequences().iter().for_each(|sequence| scorer.score(sequence, &mut scores));
        let mut dice = Dice::new(1, 0);
        for _ in 0..60 {
            let fast = scorer.cascade(&scores[dice.below(scores.len() as u32) as usize]);
            assert_eq!(fast, records.evaluate(&fast.members), "{name}");
        }
    }
}

/// Accuracies that the authors' tables state, recomputed into `index.csv` of the data.
#[test]
fn single_models_are_as_accurate_as_published() {
    for (name, model, accuracy) in [
        ("frugalml_ferplus", "microsoft", 0.813_935),
        ("frugalml_command", "microsoft", 0.945_726),
        ("llmchain_mmlu_llama_test", "llama3.1-405b", 0.851_731),
    ] {
        let Some(file) = file(&format!("{name}.csv.gz")) else { continue };
        let records = Records::load(&file).expect("a record file");
        let model = records.index_of(model).expect("a model of the file");
        let seen = records.evaluate(&[Member { model, exit_at: None }]).accuracy;
        assert!((seen - accuracy).abs() < 1e-6, "{name}: {seen}");
    }
}

/// 200 random re-splits at δ = 5 %: the proved choice misses its target in at most 5 % and two standard errors, and the choice by
/// what seems good enough in far more, or the proof would prove nothing. `scripts/experiments/cascade-guarantee` does more sets.
#[test]
fn a_proof_misses_no_more_often_than_it_says() {
    const SPLITS: u64 = 200;
    const LOSS: f64 = 0.01;
    let Some(file) = file("frugalml_rafdb.csv.gz") else { return };
    let records = Records::load(&file).expect("a record file");
    let reference = records.index_of("microsoft").expect("the best by itself");
    let search = SearchGrid { longest: 2, quantiles: 20, even: 0 };
    let prices = [0.001, 5.0, 10.0, 15.0];
    let target = records.evaluate(&[Member { model: reference, exit_at: None }]).accuracy - LOSS;
    let missed = |cascade: Option<&Cascade>| {
        u64::from(cascade.is_some_and(|cascade| records.evaluate(&cascade.members).accuracy < target))
    };
    let (mut uncertified, mut certified, mut proofs) = (0, 0, 0);
    for seed in 0..SPLITS {
        let (known, _) = split(&records, 2_000.0 / records.samples() as f64, seed);
        let seems: Vec<Cascade> = path(&known, search, &prices);
        uncertified += missed(seems.iter().rfind(|cascade| cascade.accuracy >= target));
        let (to_search, to_prove) = split(&known, 0.5, seed);
        let steps = spaced(&path(&to_search, search, &prices), 25);
        let proof = certify(&steps, &to_prove, Target::Within { reference, loss: LOSS }, 0.05);
        proofs += u64::from(proof.chosen.is_some());
        certified += missed(proof.chosen.map(|place| &steps[place]));
    }
    let most = SPLITS as f64 * 0.05 + 2.0 * (SPLITS as f64 * 0.05 * 0.95).sqrt();
    assert!(certified as f64 <= most, "{certified} of {SPLITS} proofs were wrong");
    assert!(uncertified as f64 > 2.0 * most, "{uncertified} of {SPLITS} without a proof");
    assert!(proofs > 0, "nothing was ever proved");
}
