//! What plans claim of their latency against what simulation says, gear by gear at the highest rate: within 15 %, and within the SLO.

use std::path::{Path, PathBuf};

use planner::base::codec::{from_value, load};
use planner::base::units::Millis;
use planner::facts::Facts;
use planner::plan::law::response::Station;
use planner::plan::{LatencyClaim, Plan, Tolerance, latency_ms};
use planner::planners::solve;
use planner::problem::Problem;
use planner::profile::{Profile, Trust};
use planner::rooms::{Answer, Context};
use planner::simulate::{Effort, Sureness, check, try_claim};
use planner::stats::Distribution;
use planner::{Code, Findings};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

#[path = "../../examples/claims/drawn.rs"]
mod drawn;

/// How far a claim may be from what is simulated.
const CLOSE: f64 = 0.15;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Tries every gear and returns those whose claim is off, or that do not keep the SLO with the trial's interval where that is asked;
/// prints the table (`cargo test claims -- --nocapture`).
#[expect(clippy::print_stdout, reason = "the table of docs/systems")]
fn off(name: &str, plan: &Plan, facts: &Facts, must_keep: bool) -> Vec<String> {
    let mut off = Vec::new();
    for gear in 0..plan.gears.len() {
        let tried = try_claim(plan, gear, facts, Sureness::default()).expect("facts are there");
        let ratio = tried.off().expect("a walk that has a law");
        let half = 50.0 * (tried.interval_ms.high - tried.interval_ms.low) / tried.simulated_ms;
        let late = 100.0 * tried.late.high;
        let keeps = tried.keeps(plan).map_or("open", |keeps| if keeps { "yes" } else { "no" });
        let said = format!(
            "| {name} | {gear} | {:.5} | {:.5} | {:.5} ± {half:.1} % | {:+.1} % | {late:.2} % | {keeps} |",
            tried.rate_rps,
            tried.claimed_ms.unwrap_or(f64::NAN),
            tried.simulated_ms,
            100.0 * ratio
        );
        println!("{said}");
        if ratio.abs() > CLOSE || must_keep && tried.keeps(plan) != Some(true) {
            off.push(said);
        }
    }
    off
}

#[test]
fn shipped_plans_keep_their_slo_and_claims_are_near_what_is_simulated() {
    let mut all = Vec::new();
    for name in ["digits", "ocr", "digits-machines", "ocr-machines"] {
        let path = file(&format!("plans/{name}.json"));
        let plan = load::<Plan>(&path).expect("valid").document;
        let facts = Facts::of_plan(&plan, &path).expect("its profiles are there");
        all.extend(off(name, &plan, &facts, true));
    }
    assert!(all.is_empty(), "{all:#?}");
}

fn planned(value: Value, facts: &Facts) -> Option<Plan> {
    let problem: Problem = from_value(value).expect("a good problem").0;
    match solve(&problem, facts, Context::default()).expect("a proof") {
        Answer::Plan(mut plan) => {
            plan.provenance.problem = Some(problem);
            Some(*plan)
        }
        Answer::Infeasible(_) => None,
    }
}

#[test]
fn claims_of_drawn_plans_are_near_what_is_simulated() {
    let facts = Facts::load(&[file("profiles/digits.json")]).expect("the shipped profile loads");
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut all = Vec::new();
    let (mut plans, mut gears) = (0, 0);
    for (name, draw, problems) in
        [("variant-set", drawn::variant_set as fn(&mut ChaCha8Rng) -> Value, 5), ("pipeline", drawn::pipeline, 5)]
    {
        for _ in 0..problems {
            let Some(mut plan) = planned(draw(&mut rng), &facts) else { continue };
            // Of a long ladder every so many gears.
            let every = plan.gears.len().div_ceil(5);
            let kept = plan.gears.iter().rev().step_by(every).rev();
            plan.gears = kept.cloned().collect();
            gears += plan.gears.len();
            plans += 1;
            all.extend(off(name, &plan, &facts, false));
        }
    }
    assert!(plans >= 7 && gears >= 25, "{plans} plans with {gears} gears");
    assert!(all.is_empty(), "{all:#?}");
}

/// Trials with few requests, as tests run them.
const TRIALS: Effort = Effort { requests: 100_000, trials: 5, seed: 3 };

fn tried(value: Value, facts: &Facts) -> (Problem, Plan) {
    let problem: Problem = from_value(value).expect("a good problem").0;
    let answer = solve(&problem, facts, Context { trial: Some(TRIALS), ..Context::default() });
    let Answer::Plan(plan) = answer.expect("a proof") else { panic!("no plan") };
    (problem, *plan)
}

#[test]
fn a_claim_does_not_depend_on_the_limit_of_the_slo() {
    for name in ["digits", "ocr", "digits-machines"] {
        let path = file(&format!("plans/{name}.json"));
        let mut plan = load::<Plan>(&path).expect("valid").document;
        let facts = Facts::of_plan(&plan, &path).expect("its profiles are there");
        let last = plan.gears.len() - 1;
        let of = |plan: &Plan| latency_ms(plan, last, &facts).expect("a closed form");
        let limit = plan.slo.latency_ms.get();
        let claimed = of(&plan);
        for factor in [0.01, 30.0, 1e4] {
            plan.slo.latency_ms = Millis::saturating(limit * factor);
            assert!((of(&plan) - claimed).abs() <= 1e-12 * claimed, "{name}, {factor}: {} {claimed}", of(&plan));
        }
    }
}

#[test]
fn a_cascade_claims_what_trials_say_and_check_makes_them_again() {
    let facts = Facts::load(&[file("profiles/digits.json")]).expect("the shipped profile loads");
    let (problem, mut plan) = tried(
        json!({
            "format": "planner.problem/1", "risk": "none", "name": "few", "room": "cascade", "profiles": ["x"],
            "variants": ["mlp_s", "cnn_l"], "workload": { "max_rps": 900 },
            "slo": { "quantile": 0.95, "latency_ms": 12 }, "inventory": { "cores": 1 },
            "goal": { "kind": "most-accurate", "gears_at_most": 1 }, "cascade": { "certify": false, "max_length": 2 }
        }),
        &facts,
    );
    let claim = plan.gears[0].claims.latency.expect("a claim");
    let trial = claim.trial.expect("the bound of two turns is far above");
    assert_eq!((claim.trust, trial.trials, trial.seed), (Trust::Simulated, 5, 3));
    assert!(trial.low_ms <= claim.value_ms && claim.value_ms <= trial.high_ms, "{claim:?}");
    let sure = Sureness { least: 2e5, most: 2e5, ..Sureness::default() };
    let other = try_claim(&plan, 0, &facts, sure).expect("facts are there");
    assert!(other.off().expect("a claim").abs() < 0.1, "{other:?}");
    let confirmed = check(&plan, &facts, Some(&problem), Tolerance::default());
    assert!(!confirmed.has_errors(), "{confirmed}");
    let unchecked = |findings: &Findings| findings.0.iter().any(|finding| finding.code == Code::ClaimUnchecked);
    assert!(!unchecked(&confirmed) && unchecked(&planner::plan::check(&plan, &facts, None, Tolerance::default())));
    plan.gears[0].claims.latency =
        Some(LatencyClaim { value_ms: Millis::saturating(claim.value_ms.get() * 0.99), ..claim });
    let refuted = check(&plan, &facts, Some(&problem), Tolerance::default());
    assert!(refuted.0.iter().any(|finding| finding.code == Code::ClaimRefuted), "{refuted}");
}

#[test]
fn rare_stalls_are_in_the_claim_of_one_replica() {
    let mut profile = load::<Profile>(&file("profiles/digits.json")).expect("the shipped profile loads");
    for histogram in profile.document.points.iter_mut().filter_map(|point| point.histogram.as_mut()) {
        let calls: u64 = histogram.count.iter().sum();
        histogram.count.iter_mut().for_each(|count| *count *= 3000);
        histogram.value_ns.push(40_000_000);
        histogram.count.push(calls);
    }
    let facts = Facts::of(vec![(profile, None)]).expect("one profile");
    let plan = planned(
        json!({
            "format": "planner.problem/1", "risk": "none", "name": "stalls", "room": "variant-set", "profiles": ["x"],
            "variants": ["mlp_s"], "workload": { "max_rps": 6000 }, "slo": { "quantile": 0.99, "latency_ms": 200 },
            "inventory": { "cores": 1 }, "goal": { "kind": "most-accurate" }
        }),
        &facts,
    )
    .expect("a plan");
    assert_eq!(plan.gears.len(), 1);
    let sure = Sureness { half: 0.0, least: 1e6, most: 1e6, ..Sureness::default() };
    let tried = try_claim(&plan, 0, &facts, sure).expect("facts are there");
    let claimed = tried.claimed_ms.expect("a claim");
    assert!(claimed > 10.0 && tried.off().is_some_and(|off| off.abs() < 0.15), "{tried:?}");
}

#[test]
fn no_gear_claims_beyond_its_slo_where_a_risk_is_kept() {
    let facts = Facts::load(&[file("profiles/digits.json")]).expect("the shipped profile loads");
    let (_, plan) = tried(
        json!({
            "format": "planner.problem/1", "name": "at-risk", "room": "pipeline", "profiles": ["x"],
            "risk": 0.1, "profile_error": 0.04,
            "stages": [{ "name": "find", "variants": ["mlp_s"] }, { "name": "read", "variants": ["cnn_s", "cnn_m"], "calls": 3.5 }],
            "workload": { "max_rps": 300 }, "slo": { "quantile": 0.95, "latency_ms": 9 },
            "inventory": { "cores": 4 }, "goal": { "kind": "most-accurate", "gears_at_most": 2 }
        }),
        &facts,
    );
    for gear in &plan.gears {
        let claim = gear.claims.latency.expect("a claim");
        assert!(claim.value_ms <= plan.slo.latency_ms, "{claim:?}");
    }
}

/// Returns an exponential law as many equal atoms.
fn exponential(mean_ms: f64) -> Distribution {
    let n = 10_000;
    Distribution::new((0..n).map(|i| (-mean_ms * (1.0 - (f64::from(i) + 0.5) / f64::from(n)).ln(), 1.0)).collect())
}

#[test]
fn textbook_queues_have_their_textbook_quantiles() {
    let station = |service: Distribution, servers: u32, rate_rps: f64| Station {
        services: vec![service],
        servers,
        hold_ms: 0.0,
        rate_rps,
        calls: 1.0,
        arrivals_scv: 1.0,
    };
    // M/M/1 at 70 of 100 requests/s: responses are exponential with 30/s.
    let truth = 100f64.ln() / 30.0 * 1e3;
    let found =
        station(exponential(10.0), 1, 70.0).response(400.0).interpolated_quantile_ms(0.99, 400.0).expect("inside");
    assert!((found / truth - 1.0).abs() < 0.02, "M/M/1: {found} against {truth}");
    // M/M/3 at 240 of 300: P(R > t) = (1 − C)·exp(−μ t) + C·(η exp(−μ t) − μ exp(−η t)) ÷ (η − μ), with η = 60/s.
    let waits = planner::plan::law::estimate::erlang_c(3, 2.4);
    let tail = |ms: f64| {
        let (mu, eta, t) = (100.0, 60.0, ms / 1e3);
        let exp = |rate: f64| f64::exp(-rate * t);
        (1.0 - waits) * exp(mu) + waits * (eta * exp(mu) - mu * exp(eta)) / (eta - mu)
    };
    let found =
        station(exponential(10.0), 3, 240.0).response(200.0).interpolated_quantile_ms(0.99, 200.0).expect("inside");
    assert!((tail(found) / 0.01 - 1.0).abs() < 0.05, "M/M/3: {found} is exceeded by {}", tail(found));
    // M/D/1 at half use: P(wait ≤ t) = (1 − ρ) Σ_k (−λ(t − kD))^k ÷ k! · exp(λ(t − kD)) (Erlang 1909), here for t below 2D.
    let (rate, service) = (0.05, 10.0);
    let within = |t: f64| {
        let term = |k: i32| {
            let x = rate * (t - f64::from(k) * service);
            if x < 0.0 { 0.0 } else { (-x).powi(k) / f64::from((1..=k).product::<i32>()) * x.exp() }
        };
        0.5 * (0..=4).map(term).sum::<f64>()
    };
    let found = station(Distribution::constant(service), 1, 50.0)
        .response(80.0)
        .interpolated_quantile_ms(0.95, 80.0)
        .expect("inside");
    assert!((within(found - service) - 0.95).abs() < 0.003, "M/D/1: {found} is kept by {}", within(found - service));
}

#[test]
fn responses_keep_the_laws_of_the_design() {
    let services: Vec<Distribution> = (1..=8).map(|k| Distribution::constant(2.0 + 0.5 * f64::from(k))).collect();
    let p99 = |servers: u32, rate_rps: f64, hold_ms: f64| {
        let station = Station { services: services.clone(), servers, hold_ms, rate_rps, calls: 1.0, arrivals_scv: 1.0 };
        station.response(60.0).interpolated_quantile_ms(0.99, 60.0).unwrap_or(f64::INFINITY)
    };
    for rate in [100.0, 400.0, 900.0, 1300.0] {
        for hold in [0.0, 1.0, 6.0] {
            let by_servers = [1, 2, 3, 5].map(|servers| p99(servers, rate, hold));
            assert!(by_servers.windows(2).all(|pair| pair[1] <= pair[0] * 1.02), "{rate} {hold}: {by_servers:?}");
        }
    }
    // Nobody waits at a trickle: the hold, and a call alone.
    assert!((p99(2, 1e-3, 6.0) - 8.5).abs() < 0.1, "{}", p99(2, 1e-3, 6.0));
    // Full batches at once, and nobody else.
    assert!(p99(1, 2000.0, 6.0).is_infinite());
}

#[test]
fn a_busy_stage_sets_the_pace_for_the_next() {
    let station = |servers: u32, rate_rps: f64, calls: f64, arrivals_scv: f64| Station {
        services: vec![Distribution::constant(10.0)],
        servers,
        hold_ms: 0.0,
        rate_rps,
        calls,
        arrivals_scv,
    };
    // Behind an idle replica a Poisson stream stays one; behind a busy one whose calls all last as long, requests come evenly.
    assert!((station(1, 0.01, 1.0, 1.0).departures_scv() - 1.0).abs() < 1e-3);
    let paced = [20.0, 60.0, 90.0].map(|rate| station(1, rate, 1.0, 1.0).departures_scv());
    assert!(paced[0] > paced[1] && paced[1] > paced[2] && paced[2] > 0.0, "{paced:?}");
    // The more evenly requests come the less they wait, on one replica and several, with one call and with more than replicas.
    for (servers, rate, calls) in [(1, 60.0, 1.0), (3, 45.0, 4.7), (2, 60.0, 2.5)] {
        let p95 = |scv: f64| {
            station(servers, rate, calls, scv)
                .response(400.0)
                .interpolated_quantile_ms(0.95, 400.0)
                .expect("inside the grid")
        };
        let all = [1.0, 0.7, 0.4, 0.1].map(p95);
        assert!(all.windows(2).all(|pair| pair[1] <= pair[0] + 1e-9), "{servers} {rate} {calls}: {all:?}");
        assert!(all[3] < all[0], "{servers} {rate} {calls}: {all:?}");
    }
}
