//! A risk is kept: with facts drawn as wrong as they may be, the SLO breaks no more often than was chosen.

use std::path::Path;

use planner::base::codec::from_value;
use planner::base::finding::Code;
use planner::base::units::{Factor, Rate, Share};
use planner::facts::{Ask, Facts};
use planner::plan::law::estimate::Queue;
use planner::plan::{Gear, Plan, Tolerance, check};
use planner::planners::solve;
use planner::problem::{Problem, Risk};
use planner::rooms::{Answer, Context};
use planner::simulate::{self, Effort, Measured, try_gear};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde_json::json;

const PROFILE_ERROR: f64 = 0.08;
const FORECAST_ERROR: f64 = 0.05;
const PEAK: f64 = 9_000.0;

fn facts() -> Facts {
    Facts::load(&[Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json")]).expect("shipped")
}

fn problem(risk: Option<f64>) -> Problem {
    let mut value = json!({
        "format": "planner.problem/1", "name": "risky", "room": "variant-set", "profiles": ["x"],
        "workload": { "max_rps": PEAK }, "slo": { "quantile": 0.99, "latency_ms": 10.0 },
        "inventory": { "cores": 8, "price_usd_per_core_hour": 0.05 },
        "goal": { "kind": "most-accurate", "cores_at_most": 6 }
    });
    if let Some(risk) = risk {
        value["risk"] = json!(risk);
        value["profile_error"] = json!(PROFILE_ERROR);
        value["workload"]["forecast_error"] = json!(FORECAST_ERROR);
    } else {
        value["risk"] = json!("none");
    }
    from_value(value).expect("a good problem").0
}

fn planned(problem: &Problem, facts: &Facts) -> Plan {
    match solve(problem, facts, Context::default()).expect("solvable") {
        Answer::Plan(plan) => *plan,
        Answer::Infeasible(conflict) => panic!("{conflict}"),
    }
}

/// Tells whether a gear keeps the SLO at a rate where the laws of its variants are so many times what was measured.
fn keeps(plan: &Plan, gear: &Gear, facts: &Facts, rate: f64, mut scale: impl FnMut(&str) -> f64) -> bool {
    let late = gear.stages[0].lanes.iter().map(|lane| {
        let pool = plan.pool(&lane.pool).expect("valid");
        let law =
            facts.service(&lane.variant, &pool.on, lane.batch).expect("measured").law.scaled(scale(&lane.variant));
        let servers = gear.replicas_of(pool);
        let queue = Queue { service: &law, servers, batch: lane.batch, hold_ms: lane.hold_ms.get() };
        let share = lane.share.expect("a share").get();
        share * queue.tail(share * rate, plan.slo.latency_ms.get())
    });
    late.sum::<f64>() <= 1.0 - plan.slo.quantile.get() + 1e-9
}

/// Returns the part of draws in which the gear for the peak breaks the SLO. Intervals of points are within the campaign's error.
fn failures(plan: &Plan, facts: &Facts) -> f64 {
    let mut dice = ChaCha8Rng::seed_from_u64(42);
    let gear = &plan.gears[plan.gear_at(PEAK)];
    let draws = 4_000;
    let mut failed = 0;
    for _ in 0..draws {
        let rate = PEAK * (1.0 + FORECAST_ERROR * dice.sample::<f64, _>(StandardNormal));
        // Beyond the peak that is planned for the last gear must do.
        let gear = if rate > gear.up_to_rps.get() { &plan.gears[plan.gear_at(rate)] } else { gear };
        let scale = |_: &str| (PROFILE_ERROR * dice.sample::<f64, _>(StandardNormal)).exp();
        failed += u32::from(!keeps(plan, gear, facts, rate, scale));
    }
    f64::from(failed) / f64::from(draws)
}

#[test]
fn true_facts_break_the_slo_no_more_often_than_was_chosen() {
    let facts = facts();
    for risk in [0.02, 0.1, 0.3] {
        let problem = problem(Some(risk));
        let plan = planned(&problem, &facts);
        let findings = check(&plan, &facts, Some(&problem), Tolerance::default());
        assert!(!findings.has_errors(), "{risk}: {findings}");
        let failed = failures(&plan, &facts);
        assert!(failed <= risk, "{risk}: {failed}");
    }
    // Without a risk the very same facts break it far more often: the test can fail.
    let careless = failures(&planned(&problem(None), &facts), &facts);
    assert!(careless > 0.3, "{careless}");
}

#[test]
fn head_room_is_told_and_grows_as_the_risk_shrinks() {
    let facts = facts();
    let mut before: Option<(f64, f64)> = None;
    for risk in [0.4, 0.1, 0.01] {
        let plan = planned(&problem(Some(risk)), &facts);
        let room = plan.provenance.head_room.as_ref().expect("a risk was chosen");
        let slowest = room.latency_factors.values().copied().fold(0.0, f64::max);
        assert!(room.peak_factor > 1.0 && slowest > 1.0, "{room:?}");
        assert!((plan.max_rps() / (PEAK * room.peak_factor) - 1.0).abs() < 1e-9);
        if let Some((peak, slow)) = before.replace((room.peak_factor, slowest)) {
            assert!(room.peak_factor > peak && slowest > slow, "{risk}");
        }
        let without = room.without.expect("there is a plan without it too");
        let (with, without) = (room.with.accuracy.expect("claimed"), without.accuracy.expect("claimed"));
        assert!(with <= without, "care makes nothing more accurate: {with} {without}");
    }
    assert!(planned(&problem(None), &facts).provenance.head_room.is_none());
}

/// What is asked where the problem says nothing of a risk.
fn silent() -> Problem {
    let mut silent = problem(None);
    silent.risk = None;
    silent
}

/// The shipped profile as if each variant had been started so many times.
fn started(times: usize) -> Facts {
    let mut profile = facts().profiles.remove(0);
    for point in &mut profile.document.points {
        point.block_p50_ms = vec![point.latency.p50.value_ms; times];
    }
    Facts::of(vec![(profile, None)]).expect("one profile")
}

#[test]
fn facts_whose_starts_are_known_are_taken_at_a_risk_by_default() {
    let (facts, silent) = (started(3), silent());
    let plan = planned(&silent, &facts);
    let room = plan.provenance.head_room.as_ref().expect("the facts were measured");
    assert!(room.is_default && room.peak_factor == 1.0, "{room:?}");
    assert_eq!((room.risk.get(), room.profile_error.get()), (0.05, 0.04));
    // 2.5 standard deviations of 4 %: one in eight variants may be beyond with a probability of 0.6 %.
    assert!(room.latency_factors.values().all(|factor| (1.1..1.17).contains(factor)), "{room:?}");
    assert!(!check(&plan, &facts, Some(&silent), Tolerance::default()).has_errors());
    let mut said = silent;
    (said.risk, said.profile_error) = (Some(Risk::Share(room.risk)), Some(room.profile_error));
    let gears = planned(&said, &facts).gears;
    assert_eq!(gears, plan.gears, "the default is as if it were said");
}

#[test]
fn facts_whose_starts_nobody_knows_are_taken_as_said() {
    let typed = facts();
    assert!(Ask::new(&silent(), &started(1)).margin.is_none(), "one start tells nothing of the next");
    assert!(Ask::new(&silent(), &typed).margin.is_none());
    let mut asked = silent();
    asked.risk = Some(Risk::Share(Share::saturating(0.05)));
    let at_risk = Ask::new(&asked, &typed);
    let margin = at_risk.margin.as_ref().expect("the problem says so");
    assert!(margin.profile_error.get() == 0.0 && !margin.is_default);
}

#[test]
fn published_formulations_take_facts_as_they_are() {
    let mut published = serde_json::to_value(silent()).expect("plain data");
    published["formulation"] = json!("published");
    published["goal"] = json!({ "kind": "weighted" });
    let published: Problem = from_value(published).expect("a good problem").0;
    assert!(Ask::new(&published, &started(3)).margin.is_none());
}

/// Solves with trials.
fn tried(problem: &Problem, facts: &Facts) -> Plan {
    let trial = Some(Effort { requests: 40_000, trials: 4, seed: 7 });
    match solve(problem, facts, Context { trial, ..Context::default() }).expect("solvable") {
        Answer::Plan(plan) => *plan,
        Answer::Infeasible(conflict) => panic!("{conflict}"),
    }
}

#[test]
fn a_plan_holds_up_to_the_load_at_which_simulation_breaks_it() {
    let facts = facts();
    let problem = problem(Some(0.1));
    let plan = tried(&problem, &facts);
    let holds = plan.provenance.holds_up_to.expect("it was tried");
    assert!(holds.load.get() > 0.02 && holds.service_times.get() > 0.02, "{holds:?}");
    assert_eq!((holds.max_rps.get(), holds.requests), (PEAK, 10_000));
    let world = Measured::new(&plan, &facts).expect("measured");
    for (beyond, keeps) in [(0.0, true), (0.01, false)] {
        let rate = PEAK * (1.0 + holds.load.get() + beyond);
        let gear = Gear { up_to_rps: Rate::saturating(rate), ..plan.gears[plan.gear_at(rate)].clone() };
        assert_eq!(try_gear(&plan, &gear, &world, Effort::from(&holds)).whole.slo_met, keeps, "+{beyond}");
    }
}

#[test]
fn check_makes_the_simulations_of_a_reserve_again() {
    let facts = facts();
    let problem = problem(None);
    let mut plan = tried(&problem, &facts);
    assert!(!simulate::check(&plan, &facts, Some(&problem), Tolerance::default()).has_errors());
    let holds = plan.provenance.holds_up_to.as_mut().expect("it was tried");
    holds.service_times = Factor::saturating(holds.service_times.get() + 0.01);
    let found = simulate::check(&plan, &facts, Some(&problem), Tolerance::default());
    let keys: Vec<_> = found.0.iter().filter(|finding| finding.code == Code::ClaimRefuted).map(|of| &of.key).collect();
    assert_eq!(keys, ["provenance.holds_up_to.service_times"]);
}

#[test]
fn every_law_is_at_its_bound() {
    let facts = facts();
    let asked = problem(Some(0.05));
    let at_risk = Ask::new(&asked, &facts);
    let margin = at_risk.margin.as_ref().expect("a risk was chosen");
    assert_eq!(at_risk.problem.risk, Some(Risk::None), "nothing is worked in twice");
    for variant in facts.variants() {
        let (curve, slower) = (facts.curve(&variant.name, "cpu"), at_risk.facts.curve(&variant.name, "cpu"));
        let (curve, slower) = (curve.expect("measured"), slower.expect("still there"));
        let most = margin.latency_factors[&variant.name];
        for (cores, batch) in curve.measured() {
            let median =
                |curve: &planner::profile::Curve| curve.at(cores, batch).expect("measured").law.quantile_ms(0.5);
            let factor = median(slower) / median(curve);
            assert!(factor >= (2.5 * PROFILE_ERROR).exp() && factor <= most + 1e-9, "{}: {factor}", variant.name);
        }
    }
}
