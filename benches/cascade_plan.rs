//! Speed of planning in the room `cascade`, without trials: `cargo bench --bench cascade_plan`.
//!
//! The digits' service times with made-up answers: model m knows a part of the samples, and is the more certain the better it
//! knows them. Machines hold about half of the models, so that there are dozens of patterns and the search is a climb.

use planner::base::codec::{from_value, load};
use planner::facts::Facts;
use planner::planners::solve;
use planner::problem::Problem;
use planner::profile::{Answers, Profile, SampleAnswer};
use planner::rooms::{Answer as Plans, Context};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The digits, the cheapest first.
const MODELS: [&str; 8] = ["linear", "mlp_s", "cnn_s", "mlp_m", "cnn_m", "early_exit", "cnn_l", "cnn_l_int8"];

fn main() {
    divan::main();
}

/// Models, machines, most gears, samples.
type Size = (usize, u32, u32, usize);

fn family((models, _, _, samples): Size) -> Facts {
    let mut profile = load::<Profile>("profiles/digits.json".as_ref()).expect("the shipped profile loads");
    profile.document.variants.retain(|variant| MODELS[..models].contains(&variant.name.as_str()));
    profile.document.points.retain(|point| MODELS[..models].contains(&point.variant.as_str()));
    let mut dice = ChaCha8Rng::seed_from_u64(42);
    let hardness: Vec<f64> = (0..samples).map(|_| dice.random_range(0.0..1.0_f64)).collect();
    let answer = |place: usize, hard: f64, dice: &mut ChaCha8Rng| {
        let knows = 0.6 + 0.05 * place as f64 - hard + dice.random_range(-0.2..0.2);
        let certainty = (0.5 + knows + dice.random_range(-0.15..0.15)).clamp(0.0, 1.0);
        SampleAnswer::new(u32::from(knows < -0.2), certainty as f32)
    };
    let of = |place: usize, dice: &mut ChaCha8Rng| hardness.iter().map(|hard| answer(place, *hard, dice)).collect();
    let variants =
        MODELS[..models].iter().enumerate().map(|(place, name)| ((*name).to_owned(), of(place, &mut dice))).collect();
    Facts::of(vec![(profile, Some(Answers { labels: vec![0; samples], variants }))]).expect("names are unique")
}

fn problem((_, machines, gears, _): Size) -> Problem {
    let value = serde_json::json!({
        "format": "planner.problem/1", "name": "bench", "room": "cascade", "profiles": ["x"],
        "workload": { "max_rps": 4000.0 * f64::from(machines) }, "slo": { "quantile": 0.95, "latency_ms": 20.0 },
        "inventory": { "cores": machines, "machines": [
            { "name": "small", "cores": 1, "memory_mb": 13.0, "at_most": machines, "price_usd_per_hour": 0.05 }
        ] },
        "goal": { "kind": "most-accurate", "gears_at_most": gears }, "cascade": { "certify": false }
    });
    from_value(value).expect("a good problem").0
}

#[divan::bench(sample_count = 3, sample_size = 1, args = [
    (8, 16, 64, 16_000), (4, 16, 64, 16_000), (6, 16, 64, 16_000), (8, 4, 64, 16_000), (8, 8, 64, 16_000), (8, 32, 64, 16_000),
    (8, 16, 4, 16_000), (8, 16, 16, 16_000), (8, 16, 64, 2_000), (8, 16, 64, 64_000),
])]
fn planning(bencher: divan::Bencher<'_, '_>, size: Size) {
    let (facts, problem) = (family(size), problem(size));
    bencher.bench_local(|| match solve(&problem, &facts, Context::default()) {
        Ok(Plans::Plan(plan)) => plan.gears.len(),
        other => panic!("{other:?}"),
    });
}
