//! Thresholds of cascades, read from the plan's file as any runtime would: whoever counts the recorded decimals against them, with
//! numbers of 32 or of 64 bits, sees the claimed accuracy and the claimed part that goes on.

use std::path::Path;

use planner::base::codec::{from_value, to_bytes};
use planner::facts::Facts;
use planner::plan::{Plan, Tolerance, check};
use planner::planners::solve;
use planner::problem::Problem;
use planner::profile::{Answers, SampleAnswer};
use planner::rooms::{Answer, Context};
use planner::stats::Dice;
use serde_json::{Value, json};

const VARIANTS: [&str; 3] = ["mlp_s", "cnn_s", "cnn_m"];
const SAMPLES: usize = 500;

/// Certainties as files hold them, and the answers that go with them.
struct Recorded {
    texts: Vec<Vec<String>>,
    answers: Answers,
}

impl Recorded {
    /// Variants of rising accuracy, whose answers are the more often right the more certain they are.
    fn new(written: impl Fn(f64) -> String, seed: u64) -> Self {
        let mut dice = Dice::new(seed, 0);
        let mut variant = |skill: f64| {
            let sure: Vec<f64> = (0..SAMPLES).map(|_| dice.unit()).collect();
            let texts: Vec<String> = sure.iter().map(|&sure| written(sure)).collect();
            let answer = |(text, sure): (&String, &f64)| {
                let is_wrong = dice.unit() > skill * (0.6 + 0.5 * sure);
                SampleAnswer::new(u32::from(is_wrong), text.parse().expect("a number"))
            };
            let answers: Vec<SampleAnswer> = texts.iter().zip(&sure).map(answer).collect();
            (texts, answers)
        };
        let (texts, of): (Vec<_>, Vec<_>) = [0.75, 0.85, 0.95].map(&mut variant).into_iter().unzip();
        let variants = VARIANTS.iter().map(|name| (*name).to_owned()).zip(of).collect();
        Self { texts, answers: Answers { labels: vec![0; SAMPLES], variants } }
    }

    fn facts(&self) -> Facts {
        let profile = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json");
        let shipped = Facts::load(&[profile]).expect("the shipped profile loads");
        Facts::of(vec![(shipped.profiles[0].clone(), Some(self.answers.clone()))]).expect("names are unique")
    }

    /// Counts what a gear of a plan file says: the accuracy, and the part of each stage's samples that goes on.
    fn counted(&self, gear: &Value, leaves: fn(&str, &str) -> bool) -> (f64, Vec<f64>) {
        let stages = gear["stages"].as_array().expect("stages");
        let (mut right, mut reached) = (0, vec![0_u32; stages.len() + 1]);
        for sample in 0..SAMPLES {
            for (place, stage) in stages.iter().enumerate() {
                reached[place] += 1;
                let name = stage["lanes"][0]["variant"].as_str().expect("a name");
                let variant = VARIANTS.iter().position(|known| *known == name).expect("known");
                let least = &stage["exit"]["certainty_at_least"];
                if least.is_null() || leaves(&self.texts[variant][sample], &least.to_string()) {
                    right += u32::from(self.answers.variants[variant].1[sample].predicted == 0);
                    break;
                }
            }
        }
        let on = reached.windows(2).map(|pair| f64::from(pair[1]) / f64::from(pair[0])).collect();
        (f64::from(right) / SAMPLES as f64, on)
    }
}

/// Compares as 64-bit numbers.
fn in_double(certainty: &str, least: &str) -> bool {
    certainty.parse::<f64>().expect("a number") >= least.parse().expect("a number")
}

/// Compares as 32-bit numbers.
fn in_single(certainty: &str, least: &str) -> bool {
    certainty.parse::<f32>().expect("a number") >= least.parse().expect("a number")
}

/// Compares the 32-bit number of an engine with the 64-bit number of a file.
fn widened(certainty: &str, least: &str) -> bool {
    f64::from(certainty.parse::<f32>().expect("a number")) >= least.parse().expect("a number")
}

fn problem(certify: bool) -> Problem {
    let value = json!({
        "format": "planner.problem/1", "risk": "none", "name": "test", "room": "cascade", "profiles": ["x"], "variants": VARIANTS,
        "workload": { "max_rps": 9000.0 }, "slo": { "quantile": 0.95, "latency_ms": 20.0 },
        "inventory": { "cores": 2, "price_usd_per_core_hour": 0.05 },
        "goal": { "kind": "most-accurate", "gears_at_most": 6 }, "cascade": { "certify": certify }
    });
    from_value(value).expect("a good problem").0
}

#[test]
fn counting_the_file_gives_the_claims_whatever_numbers_the_reader_uses() {
    let votes = |of: f64| move |sure: f64| format!("{}", (sure * of).round() / of);
    let softmax = |sure: f64| format!("{}", (1.0 / (1.0 + (-9.0 * sure).exp())) as f32);
    let mut writers: Vec<Box<dyn Fn(f64) -> String>> =
        vec![Box::new(votes(5.0)), Box::new(votes(3.0)), Box::new(softmax)];
    for places in 1..=9 {
        writers.push(Box::new(move |sure| format!("{sure:.places$}")));
    }
    let mut gone_on = 0;
    for (kind, written) in writers.iter().enumerate() {
        let recorded = Recorded::new(written, kind as u64);
        let facts = recorded.facts();
        for certify in [false, true] {
            let asked = problem(certify);
            let answer = solve(&asked, &facts, Context::default()).expect("facts are there");
            let Answer::Plan(plan) = answer else { panic!("kind {kind}: a plan") };
            let found = check(&plan, &facts, None, Tolerance::default()).to_string();
            assert!(!found.contains("certainty_at_least"), "kind {kind}: {found}");
            let file: Value = serde_json::from_slice(&to_bytes(&*plan)).expect("a plan file");
            for gear in file["gears"].as_array().expect("gears").iter().filter(|gear| gear["stages"][1].is_object()) {
                for leaves in [in_double, in_single, widened] {
                    let (accuracy, on) = recorded.counted(gear, leaves);
                    let claimed = gear["claims"]["accuracy"]["value"].as_f64().expect("a claim");
                    assert!((accuracy - claimed).abs() < 1e-9, "kind {kind}: {accuracy} counted, {claimed} claimed");
                    for (stage, on) in gear["stages"].as_array().expect("stages").iter().zip(on) {
                        let Some(claimed) = stage["watch"]["onward"].as_f64() else { continue };
                        assert!((on - claimed).abs() < 1e-9, "kind {kind}: {on} counted, {claimed} claimed");
                        gone_on += 1;
                    }
                }
            }
        }
    }
    assert!(gone_on > 100, "{gone_on}");
}

#[test]
fn a_threshold_that_runtimes_read_differently_is_warned_of() {
    let recorded = Recorded::new(|sure| format!("{}", (sure * 5.0).round() / 5.0), 1);
    let facts = recorded.facts();
    let Answer::Plan(mut plan) = solve(&problem(false), &facts, Context::default()).expect("facts are there") else {
        panic!("a plan")
    };
    let found = |plan: &Plan| check(plan, &facts, None, Tolerance::default()).to_string();
    assert!(!found(&plan).contains("bad-lane"), "{}", found(&plan));
    let exits = plan.gears.iter_mut().flat_map(|gear| &mut gear.stages).filter_map(|stage| stage.exit.as_mut());
    for exit in exits {
        exit.certainty_at_least = planner::base::units::Certainty::saturating(0.6_f32.into());
    }
    assert!(found(&plan).contains("warning[bad-lane]"), "{}", found(&plan));
}
