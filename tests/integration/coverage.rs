//! The profiler's intervals hold the truth as often as they say, whatever the law of the times.
//!
//! An engine that draws its times from a law whose quantiles are known is profiled a thousand times.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use planner::Error;
use planner::base::units::{Millis, Share};
use planner::measure::engines::{Engine, Run, Session, samples_of};
use planner::measure::{Attendant, Here, MeasureContext, MeasureEvent, MeasureSettings, measure};
use planner::profile::{CertaintyMeasure, Family, Profile};
use planner::stats::Dice;
use planner::tensor::Named;

/// Times in milliseconds with a median of 1, as a function of a standard normal number.
#[derive(Clone, Copy)]
struct Law {
    name: &'static str,
    ms: fn(f64) -> f64,
    /// Correlation of one call's normal number with the next one's.
    rho: f64,
}

const LAWS: [Law; 4] = [
    Law { name: "lognormal", ms: |z| (0.3 * z).exp(), rho: 0.0 },
    // Pareto with exponent 2.5, whose variance exists and whose kurtosis does not: (1 − Φ)^(−1/2.5), median 1.
    Law { name: "pareto", ms: |z| ((1.0 - phi(z)) / 0.5).powf(-0.4), rho: 0.0 },
    // One call in ten takes five times as long.
    Law { name: "two modes", ms: |z| (0.05 * z).exp() * if z > 1.2816 { 5.0 } else { 1.0 }, rho: 0.0 },
    Law { name: "autocorrelated", ms: |z| (0.3 * z).exp(), rho: 0.6 },
];

/// The standard normal law (Abramowitz and Stegun 26.2.17, error below 7.5e-8).
fn phi(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - phi(-z);
    }
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let poly =
        t * (0.319_381_530 + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    1.0 - (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * poly
}

/// An engine for tests whose calls take times drawn from a law; each session draws on.
struct Drawn {
    law: Law,
    seed: u64,
    sessions: AtomicU64,
}

struct Drawing {
    law: Law,
    dice: Dice,
    last: f64,
}

impl Engine for Drawn {
    fn name(&self) -> &'static str {
        "drawn"
    }

    fn is_real(&self) -> bool {
        false
    }

    fn version(&self) -> String {
        "1".to_owned()
    }

    fn open(&self, _: &Path, _: &[&str], _: u32) -> Result<Box<dyn Session>, Error> {
        let mut dice = Dice::new(self.seed, self.sessions.fetch_add(1, Ordering::Relaxed));
        let last = normal(&mut dice);
        Ok(Box::new(Drawing { law: self.law, dice, last }))
    }
}

/// Box and Muller.
fn normal(dice: &mut Dice) -> f64 {
    (-2.0 * (1.0 - dice.unit()).ln()).sqrt() * (2.0 * std::f64::consts::PI * dice.unit()).cos()
}

impl Session for Drawing {
    fn run(&mut self, inputs: &[Named]) -> Result<Run, Error> {
        let rho = self.law.rho;
        self.last = rho * self.last + (1.0 - rho * rho).sqrt() * normal(&mut self.dice);
        let wall = Duration::from_secs_f64((self.law.ms)(self.last) / 1e3);
        Ok(Run::of_scores([0.0, 1.0].repeat(samples_of(inputs)), 2, wall))
    }
}

struct Nobody;

impl Attendant for Nobody {
    fn tell(&mut self, _: MeasureEvent<'_>) {}

    fn save(&mut self, _: &Profile) -> Result<(), Error> {
        Ok(())
    }
}

/// Profiles the law and returns for p50 and p99 whether the interval holds the truth.
fn holds(family: &Family, law: Law, seed: u64, precision: f64) -> [bool; 2] {
    let settings = MeasureSettings {
        batches: vec![1],
        cores: vec![1],
        co_runners: vec![0],
        precision: Share::new(precision).expect("a share"),
        tail_precision: None,
        budget: Millis::new(1500.0).expect("a time"),
        blocks: 3,
        certainty: CertaintyMeasure::default(),
        seed,
        retry_contended: false,
        context: MeasureContext::default(),
    };
    let engine = Drawn { law, seed, sessions: AtomicU64::new(0) };
    let (profile, _) = measure(family, &Here::new(family, &engine), &settings, None, &mut Nobody).expect("measurable");
    let latency = &profile.points[0].latency;
    [(latency.p50, 0.0), (latency.p99, 2.326_347_874)].map(|(quantile, z)| {
        let truth = (law.ms)(z);
        quantile.low_ms.get() <= truth && truth <= quantile.high_ms.get()
    })
}

fn family() -> Family {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits/models.toml");
    let mut family = Family::load(&list).expect("the shipped list is sound");
    family.list.variants.truncate(1);
    family
}

/// Profiles of each law, half of which stop early; PLANNER_COVERAGE asks for more.
fn each() -> u64 {
    std::env::var("PLANNER_COVERAGE").ok().and_then(|text| text.parse().ok()).unwrap_or(500)
}

/// Of 2,000 intervals of 95 %, 93 to 97 % hold the truth: half of the profiles spend their budget, half stop early. With
/// 1,000, chance alone would be a third of that margin.
#[test]
fn intervals_of_a_thousand_profiles_hold_the_truth() {
    let (each, family) = (each(), family());
    let (mut all, mut seen) = ([0; 2], Vec::new());
    for law in LAWS {
        // For the whole budget and the early end: of p50 and p99.
        let mut held = [[0; 2]; 2];
        for seed in 0..each {
            let early = seed % 2;
            let holds = holds(&family, law, seed, 0.04 * early as f64);
            held[early as usize].iter_mut().zip(holds).for_each(|(held, holds)| *held += u64::from(holds));
        }
        seen.push(format!("{}: whole budget and early end, each p50 and p99: {held:?} of {}", law.name, each / 2));
        let held = [0, 1].map(|which| held[0][which] + held[1][which]);
        // 455 of 500 is 4.1 standard deviations below what 95 % would give.
        assert!(held.iter().all(|&held| held >= each * 91 / 100), "{}: {held:?} of {each}", law.name);
        all.iter_mut().zip(held).for_each(|(all, held)| *all += held);
    }
    let right = each * 4 * 93 / 100..=each * 4 * 97 / 100;
    assert!(all.iter().all(|held| right.contains(held)), "p50 and p99: {all:?} of {}; {seen:#?}", 4 * each);
}
