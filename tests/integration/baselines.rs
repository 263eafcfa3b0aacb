//! What people do without a planner: sound plans that carry the peak, told apart by what they cost and how right they are.

use std::path::Path;
use std::time::Duration;

use planner::facts::Facts;
use planner::format::load;
use planner::plan::Plan;
use planner::problem::Problem;
use planner::rooms::{Baseline, BaselineKind as Kind, baselines};
use planner::simulate::{Arrivals, Measured, Report, Settings, replicate_under};

struct Bench {
    plan: Plan,
    problem: Problem,
    facts: Facts,
}

fn bench() -> Bench {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("plans/digits.json");
    let plan = load::<Plan>(&path).expect("valid").document;
    let facts = Facts::of_plan(&plan, &path).expect("the shipped profile");
    let problem = load::<Problem>(&root.join("problems/digits.toml")).expect("valid").document;
    Bench { plan, problem, facts }
}

impl Bench {
    fn all(&self, kind: Kind) -> Vec<Baseline> {
        baselines(kind, &self.plan, &self.problem, &self.facts, Duration::from_secs(60)).expect("facts are there")
    }

    fn tried(&self, baseline: &Baseline, arrivals: Arrivals, seconds: u64) -> Report {
        let world = Measured::new(&baseline.plan, &self.facts).expect("measured");
        let settings =
            Settings { arrivals, duration: Duration::from_secs(seconds), warmup: Duration::from_secs(2), seed: 7 };
        replicate_under(baseline.controller, &baseline.plan, &world, &settings, 2)
    }
}

#[test]
fn every_baseline_is_a_sound_plan_within_the_cores() {
    let bench = bench();
    let mut seen = 0;
    for baseline in Kind::ALL.into_iter().flat_map(|kind| bench.all(kind)) {
        assert!(baseline.plan.validate().0.is_empty(), "{}: {}", baseline.name, baseline.plan.validate());
        for gear in &baseline.plan.gears {
            let cores = |pool: &planner::plan::Pool| pool.on.cores() * gear.replicas_of(pool);
            let up: u32 = baseline.plan.placement.iter().map(cores).sum();
            assert!(up <= bench.problem.core_budget(), "{}: {up} cores", baseline.name);
        }
        assert!(baseline.plan.max_rps() >= bench.plan.max_rps(), "{} carries the peak", baseline.name);
        seen += 1;
    }
    assert!(seen > 10, "{seen} baselines");
}

#[test]
fn what_stays_all_day_keeps_the_tail_at_the_peak() {
    let bench = bench();
    let peak = || Arrivals::Poisson { rate_rps: bench.plan.max_rps() };
    for baseline in [Kind::Single, Kind::Static, Kind::StaticCascade].into_iter().flat_map(|kind| bench.all(kind)) {
        let report = bench.tried(&baseline, peak(), 20);
        assert!(report.whole.slo_met, "{}: {} late", baseline.name, report.whole.violation_share);
    }
}

/// The most accurate pair is found by trying all: here once more, by counting answers.
#[test]
fn the_static_cascade_is_as_right_as_its_samples_say() {
    let bench = bench();
    let [cascade] = <[Baseline; 1]>::try_from(bench.all(Kind::StaticCascade)).expect("one cascade");
    let stages = &cascade.plan.gears[0].stages;
    let (first, second) = (&stages[0].lanes[0].variant, &stages[1].lanes[0].variant);
    let least = stages[0].exit.expect("it exits").certainty_at_least.get();
    let answers = bench.facts.answers(first).expect("answers");
    let pairs = answers.of(first).into_iter().flatten().zip(answers.of(second).into_iter().flatten());
    let right = pairs.zip(&answers.labels).filter(|((small, large), label)| {
        let answer = if f64::from(small.certainty) >= least { small } else { large };
        answer.predicted == **label
    });
    let counted = right.count() as f64 / answers.samples() as f64;
    let report = bench.tried(&cascade, Arrivals::Poisson { rate_rps: 20_000.0 }, 10);
    let seen = report.whole.accuracy.expect("known").get();
    assert!((seen - counted).abs() < 0.002, "{seen} against {counted}");
    let accuracy = |single: &Baseline| {
        let host = &single.plan.placement[0].hosts[0];
        bench.facts.variant(host).expect("known").accuracy.value.get()
    };
    let alone = bench.all(Kind::Single).iter().map(accuracy).fold(0.0, f64::max);
    assert!(counted >= alone, "a cascade beats any variant that carries the peak alone");
}

#[test]
fn scaling_costs_less_than_staying_and_foresight_breaks_least() {
    let bench = bench();
    let load = || Arrivals::Step { from_rps: 4_000.0, to_rps: 30_000.0, at_s: 100.0 };
    let of = |kind: Kind| {
        let named = |baseline: &Baseline| baseline.name.ends_with("cnn_m");
        let baseline = bench.all(kind).into_iter().find(named).expect("cnn_m carries the peak");
        bench.tried(&baseline, load(), 150)
    };
    let (single, oracle, reactive) = (of(Kind::Single), of(Kind::AutoscaledOracle), of(Kind::AutoscaledReactive));
    assert!(oracle.cost_usd_per_hour() < single.cost_usd_per_hour());
    assert!(reactive.cost_usd_per_hour() < oracle.cost_usd_per_hour(), "who looks ahead scales before the step");
    assert!(oracle.whole.violations <= reactive.whole.violations, "and is not surprised by it");
    assert!(reactive.whole.violations > 0 && single.whole.slo_met && oracle.whole.slo_met);
    assert_eq!((single.changes.len(), oracle.changes.len()), (0, 1));
}
