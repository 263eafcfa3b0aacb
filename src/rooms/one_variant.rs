//! What a new room takes: the smallest one that is worth the name, in one file, through everything that is asked of rooms.
//!
//! It runs the first variant there is, in the cheapest way that carries the load.

#![cfg(test)]

use std::path::Path;

use serde_json::json;

use super::configurations::{Configuration, configurations};
use super::gears::{Decoded, assemble};
use super::{
    Answer, Choice, Context, Frontiers, Opened, Planned, Room, explain, frontier, goal, one_stage, schedule, solve,
};
use crate::base::codec::from_value;
use crate::base::error::Error;
use crate::facts::{Ask, Facts, Parts};
use crate::optimize::Highest;
use crate::page::{self, Given, page, try_gears};
use crate::plan::{Certificate, Gear, Plan, Tolerance, check};
use crate::problem::Problem;
use crate::simulate::{Effort, Measured};
use crate::workload::RecordedLoad;

struct OneVariant;

impl Room for OneVariant {
    fn open<'a>(&self, ask: &'a Ask<'a>) -> Result<Box<dyn Opened + 'a>, Error> {
        let variant = ask.variants()?.remove(0);
        let ways = configurations(ask, &variant)?;
        Ok(Box::new(Ways { accuracy: ask.accuracy(&variant)?, variant, ways, ask }))
    }
}

/// The ways to run the variant, the cheapest first.
struct Ways<'a> {
    ask: &'a Ask<'a>,
    variant: String,
    accuracy: f64,
    ways: Vec<Configuration>,
}

impl Ways<'_> {
    /// Returns the cheapest choice beyond so many cores that carries a load.
    fn cheapest(&self, load: f64, beyond: u32) -> Option<Choice> {
        let problem = &self.ask.problem;
        let carries = |way: &&Configuration| way.cores() > beyond && way.capacity >= load;
        let way = self.ways.iter().find(carries).filter(|_| goal::is_accurate_enough(problem, self.accuracy))?;
        let objective = goal::value(problem, self.accuracy, f64::from(way.cores()) / problem.budget());
        let certificate =
            Certificate::new(objective, objective, "exact: the cheapest way of the only variant".to_owned());
        let decoded =
            one_stage::gear(self.ask, vec![(self.variant.clone(), way.clone(), load)], load, Some(certificate));
        Some(Choice::new(problem, decoded, objective, self.accuracy, f64::from(way.cores())))
    }
}

impl Opened for Ways<'_> {
    fn plan(&self) -> Result<Planned, Error> {
        let Some(Choice { gear, lanes, .. }) = self.cheapest(self.ask.problem.workload.max_rps.get(), 0) else {
            return Ok(Planned::NotCarried);
        };
        Ok(Planned::Plan(Box::new(assemble(self.ask, vec![Decoded { gear, lanes }]))))
    }

    fn max_load(&self, problem: &Problem) -> Result<Highest, Error> {
        let ask = self.ask.moved(problem.clone());
        let highest = configurations(&ask, &self.variant)?.last().map_or(0.0, |way| way.capacity);
        let is_carried = goal::is_accurate_enough(problem, self.accuracy);
        Ok(Highest::proved(if is_carried { highest.min(problem.workload.max_rps.get()) } else { 0.0 }))
    }

    fn best_at(&self, load: f64) -> Result<Option<Choice>, Error> {
        Ok(self.cheapest(load, 0))
    }

    fn second_best(&self, best: &Choice, load: f64) -> Result<Option<Choice>, Error> {
        Ok(self.cheapest(load, best.cores()))
    }

    fn frontier(&self, load: f64) -> Result<Vec<Choice>, Error> {
        Ok(self.cheapest(load, 0).into_iter().collect())
    }

    fn gear_with(&self, choice: &Choice, load: f64) -> Result<Option<Gear>, Error> {
        let carries = choice.lanes.iter().all(|(_, way)| way.capacity >= load);
        Ok(carries.then(|| one_stage::gear_with(self.ask, choice, [load], load)))
    }

    fn worth(&self, choice: &Choice) -> f64 {
        goal::value(&self.ask.problem, choice.accuracy, choice.used(&self.ask.problem))
    }
}

fn facts() -> Facts {
    let profile = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json");
    Facts::load(&[profile]).expect("the shipped profile loads")
}

fn problem(max_rps: f64) -> Problem {
    let value = json!({
        "format": "planner.problem/1", "risk": "none", "name": "one variant", "room": "variant-set", "profiles": ["digits.json"],
        "workload": { "max_rps": max_rps }, "slo": { "quantile": 0.99, "latency_ms": 40 },
        "inventory": { "cores": 4, "price_usd_per_core_hour": 0.05 }, "goal": { "kind": "cheapest", "accuracy_at_least": 0.5 }
    });
    from_value(value).expect("a good problem").0
}

const EFFORT: Effort = Effort { requests: 20_000, trials: 2, seed: 1 };

fn planned(max_rps: f64) -> Plan {
    let context = Context { trial: Some(EFFORT), ..Context::default() };
    match solve(&OneVariant, &problem(max_rps), &facts(), context).expect("an answer") {
        Answer::Plan(plan) => *plan,
        Answer::Infeasible(conflict) => panic!("{conflict}"),
    }
}

#[test]
fn its_plan_is_tried_checked_and_shown() {
    let (facts, problem, plan) = (facts(), problem(100.0), planned(100.0));
    assert_eq!(plan.gears.len(), 1);
    assert!(plan.gears[0].certificate.as_ref().is_some_and(|certificate| certificate.trial.is_some()), "tried");
    let findings = check(&plan, &facts, Some(&problem), Tolerance::default());
    assert!(!findings.has_errors(), "{findings}");
    let world = Measured::new(&plan, &facts).expect("measured");
    let trials = try_gears(&plan, &world, EFFORT);
    let given =
        Given { plan: &plan, problem: Some(&problem), facts: Ok(&facts), simulated: Ok(&trials), replayed: None };
    let text = page::markdown(&page(&given));
    assert!(text.contains(&plan.gears[0].stages[0].lanes[0].variant), "{text}");
}

#[test]
fn its_gear_is_explained_and_its_frontier_is_one_point() {
    let (facts, problem, plan) = (facts(), problem(100.0), planned(100.0));
    let explanation =
        explain(&OneVariant, &plan, &problem, &facts, &[0]).expect("as solved").remove(0).expect("a gear");
    let claims = &plan.gears[0].claims;
    assert_eq!(Some(explanation.cores), claims.cores);
    assert!(explanation.runner_up.is_none_or(|other| other.objective <= explanation.objective));
    let points = frontier(&OneVariant, &problem, &facts, &Parts::new(), 100.0).expect("a frontier");
    assert_eq!(points.iter().map(|point| Some(point.cores)).collect::<Vec<_>>(), [claims.cores]);
    let file = Frontiers::new((&OneVariant, None), &problem, &facts, &Parts::new(), &[50.0, 100.0]).expect("a file");
    assert!(file.choices.len() >= 2);
    let day = RecordedLoad::of_rates(vec![50.0, 100.0], 60.0);
    let day = schedule(&OneVariant, &problem, &facts, &day, 60.0).expect("an answer").expect("carried");
    assert_eq!(day.periods.len(), 2);
}

#[test]
fn what_it_cannot_carry_names_the_limits_in_conflict() {
    let answer = solve(&OneVariant, &problem(1e9), &facts(), Context::default()).expect("an answer");
    let Answer::Infeasible(conflict) = answer else { panic!("a billion requests a second on 4 cores") };
    assert!(conflict.limits.iter().any(|limit| limit.key == "workload.max_rps"), "{conflict}");
}
