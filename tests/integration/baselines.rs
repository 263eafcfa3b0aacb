//! What people do without a planner: sound plans that carry the peak, told apart by what they cost and how right they are.

use std::path::Path;
use std::time::Duration;

use planner::base::codec::load;
use planner::facts::Facts;
use planner::papers::cascadeserve;
use planner::plan::Plan;
use planner::planners;
use planner::problem::{CascadeSettings, Problem, RoomSettings};

use planner::planners::{baselines, solve};
use planner::rooms::{Answer, Baseline, BaselineKind as Kind, BaselineRules, Context};
use planner::simulate::{Controller, Measured, Report, Settings, replicate_under};
use planner::workload::Arrivals;

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
        self.under(kind, BaselineRules { look_ahead: Duration::from_secs(60), overloaded: false })
    }

    fn under(&self, kind: Kind, rules: BaselineRules) -> Vec<Baseline> {
        baselines(kind, &self.plan, &self.problem, &self.facts, rules).expect("facts are there")
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
    for baseline in
        Kind::of_room(planners::room_of(&bench.problem).expect("it plans")).into_iter().flat_map(|kind| bench.all(kind))
    {
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

/// The value of the published objective for one variant on some cores, none of which is running.
fn value_alone(bench: &Bench, gear: &planner::plan::Gear, plan: &Plan) -> f64 {
    let cores: u32 = plan.placement.iter().map(|pool| pool.on.cores() * gear.replicas_of(pool)).sum();
    let weights = bench.problem.goal.weights.expect("weighted");
    let variant = bench.facts.variant(&gear.stages[0].lanes[0].variant).expect("known");
    let longest = bench.facts.variants().map(|variant| variant.load_time_ms.get()).fold(0.0, f64::max);
    weights.accuracy.get() * variant.accuracy.value.get()
        - weights.resource.get() * f64::from(cores) / f64::from(bench.problem.core_budget())
        - weights.loading.get() * variant.load_time_ms.get() / longest
}

/// InfAdapter §6, MS+: at every load one variant, and no autoscaled single variant is worth more there.
#[test]
fn model_switching_plus_is_the_best_single_variant_at_every_load() {
    let bench = bench();
    let [plus] = <[Baseline; 1]>::try_from(bench.all(Kind::SwitchingPlus)).expect("one plan");
    assert!(plus.plan.gears.len() > 3 && plus.plan.gears.iter().all(|gear| gear.stages[0].lanes.len() == 1));
    let rules = BaselineRules { look_ahead: Duration::from_secs(60), overloaded: true };
    let singles = bench.under(Kind::AutoscaledReactive, rules);
    let mut from = 0.0;
    for gear in &plus.plan.gears {
        let until = gear.up_to_rps.get();
        let ours = value_alone(&bench, gear, &plus.plan);
        for load in [from + 1e-6 * (until - from), 0.5 * (from + until), until] {
            for single in &singles {
                let carries = single.plan.gears.iter().find(|gear| gear.up_to_rps.get() >= load);
                let value = carries.map_or(f64::NEG_INFINITY, |gear| value_alone(&bench, gear, &single.plan));
                assert!(ours >= value - 1e-12, "{load}: {} is worth {value}, ms+ {ours}", single.name);
            }
        }
        from = until;
    }
}

#[test]
fn who_cannot_carry_the_peak_is_compared_on_request_with_all_cores() {
    let bench = bench();
    let rules = BaselineRules { look_ahead: Duration::from_secs(60), overloaded: true };
    let (usual, all) = (bench.all(Kind::AutoscaledThreshold), bench.under(Kind::AutoscaledThreshold, rules));
    assert_eq!(all.len(), bench.facts.variants().count());
    assert!(usual.len() < all.len() && usual.iter().all(|baseline| all.contains(baseline)));
    for baseline in all.iter().filter(|baseline| !usual.contains(baseline)) {
        assert!(baseline.plan.max_rps() < bench.plan.max_rps(), "{}", baseline.name);
    }
}

/// A cascade's baselines run on its devices, by the room's own planner with less freedom: none is more accurate over requests at
/// the price of our plan, and those that are sized for the peak carry it.
#[test]
fn baselines_of_a_cascade_run_on_its_devices() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("problems/cascade-digits.toml");
    let mut problem = load::<Problem>(&path).expect("valid").document;
    // Baselines choose on all samples.
    problem.room =
        RoomSettings::Cascade(CascadeSettings { certify: false, max_length: 2, ..CascadeSettings::default() });
    let facts = Facts::load(&[root.join("profiles/digits.json")]).expect("the shipped profile");
    let Answer::Plan(plan) = solve(&problem, &facts, Context::default()).expect("facts are there") else {
        panic!("the shipped problem has a plan")
    };
    let bench = Bench { plan: *plan, problem, facts };
    let rate = 0.8 * bench.plan.max_rps();
    let try_out = |plan: &Plan| {
        let world = Measured::new(plan, &bench.facts).expect("measured");
        let duration = Duration::from_secs(20);
        let settings =
            Settings { arrivals: Arrivals::Poisson { rate_rps: rate }, duration, warmup: Duration::ZERO, seed: 3 };
        replicate_under(Controller::Switch, plan, &world, &settings, 1)
    };
    let ours = try_out(&bench.plan).whole.accuracy.expect("known").get();
    let mut seen = 0;
    for kind in Kind::of_room(planners::room_of(&bench.problem).expect("it plans")) {
        for baseline in bench.all(kind) {
            let findings = baseline.plan.validate();
            assert!(findings.0.is_empty(), "{}: {findings}", baseline.name);
            let most: u32 = baseline.plan.placement.iter().map(|pool| pool.on.cores() * pool.replicas).sum();
            assert!(most <= bench.problem.core_budget(), "{}: {most} cores", baseline.name);
            assert!(
                baseline.plan.max_rps() >= bench.plan.max_rps() * (1.0 - 1e-9),
                "{} carries the peak",
                baseline.name
            );
            if kind == Kind::Single || kind == Kind::StaticCascade {
                let accuracy = try_out(&baseline.plan).whole.accuracy.expect("known").get();
                assert!(accuracy <= ours + 0.002, "{}: {accuracy} against {ours}", baseline.name);
            }
            seen += 1;
        }
    }
    assert!(seen > 8, "{seen} baselines");
}

/// CascadeServe as published gives a plan that everything downstream takes, and the same one each time.
#[test]
fn cascadeserve_as_published_plans_on_the_same_facts() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut problem = load::<Problem>(&root.join("problems/cascade-digits.toml")).expect("valid").document;
    problem.room = problem.room.as_published().expect("CascadeServe");
    problem.goal.gears_at_most = None;
    problem.workload.max_rps = planner::base::units::Rate::saturating(4_000.0);
    let facts = Facts::load(&[root.join("profiles/digits.json")]).expect("the shipped profile");
    let settings = cascadeserve::RingSettings {
        samples: 2_000,
        simulated_s: 1.0,
        ..cascadeserve::RingSettings::from_problem(&problem)
    };
    let plan = cascadeserve::plan(&problem, &facts, &settings).expect("facts are there").expect("a light load");
    assert!(plan.validate().0.is_empty(), "{}", plan.validate());
    assert_eq!(plan.gears.len(), 10, "one gear for each range");
    assert_eq!(Some(&plan), cascadeserve::plan(&problem, &facts, &settings).expect("facts are there").as_ref());
    problem.slo.latency_ms = planner::base::units::Millis::saturating(0.001);
    assert_eq!(cascadeserve::plan(&problem, &facts, &settings).expect("facts are there"), None);
}
