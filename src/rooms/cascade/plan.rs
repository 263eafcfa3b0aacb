//! The planner of the room: cascades, placement, gears, proof and switching put together.

use super::envelope::{self, Load, Step};
use super::model::Model;
use super::search::{Aim, Found};
use super::survival::{Runner, survivors};
use super::{Cascade, Mixture, Records, Search, Target, Tested, decode, frontier, published, split, test_mixture};
use crate::error::Error;
use crate::facts::Facts;
use crate::optimize::LOAD_SLACK;
use crate::plan::{Certificate, Plan, Proof, Turns};
use crate::problem::{CascadeSettings, Formulation, GoalKind, Problem};
use crate::rooms::variant_set::variants_of;
use crate::rooms::{Answer, Conflict, ConflictingLimit, Context, Planner, conflict};
use crate::units::{Accuracy, Millis};

/// Part of the samples that is searched on where the accuracy is proved; the proof has the others.
const SEARCH_PART: f64 = 0.5;
/// Seed of the halves.
const SEED: u64 = 42;
/// Accuracy above the target that plans of the path to be proved aim at, the most accurate first.
const MARGINS: [f64; 10] = [0.05, 0.04, 0.03, 0.02, 0.015, 0.01, 0.0075, 0.005, 0.0025, 0.0];
/// Part of an accuracy's standard error that thinning the cascades may cost.
const THINNED: f64 = 0.5;
/// How exactly the lowest response time is found.
const FASTEST_WITHIN: f64 = 0.01;

/// The planner of the room.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cascades;

impl Planner for Cascades {
    fn plan(&self, problem: &Problem, facts: &Facts, context: Context<'_>) -> Result<Answer, Error> {
        is_supported(problem, &context)?;
        if problem.formulation == Formulation::Published {
            return as_published(problem, facts);
        }
        let room = Room::new(problem, facts, &context)?;
        let load = room.load(problem.workload.max_rps.get());
        let best = match problem.goal.kind {
            GoalKind::Fastest => room.fastest(problem, &load)?,
            _ => room.best(problem, &load)?,
        };
        let Some(best) = best else { return Ok(Answer::Infeasible(conflict::find(problem, &room)?)) };
        let best = match (&room.proof_on, target(problem)) {
            (Some(proof_on), Some(least)) => match room.proved(problem, &load, best, proof_on, least)? {
                Ok(best) => best,
                Err(conflict) => return Ok(Answer::Infeasible(conflict)),
            },
            _ => best,
        };
        Ok(Answer::Plan(Box::new(room.decoded(problem, &load, &best))))
    }
}

/// What there is to plan with.
struct Room<'a> {
    facts: &'a Facts,
    names: Vec<String>,
    parts: Vec<f64>,
    cascades: Vec<Cascade>,
    /// Samples that played no part in the choice of cascades; absent where nothing is to be proved.
    proof_on: Option<Records>,
    settings: CascadeSettings,
}

/// A placement with the model that it was found in, and how good it is.
struct Best {
    model: Model,
    found: Found,
    objective: f64,
    bound: f64,
}

impl<'a> Room<'a> {
    fn new(problem: &Problem, facts: &'a Facts, context: &Context<'_>) -> Result<Self, Error> {
        let names = variants_of(problem, facts)?;
        let part = |name: &String| context.capacity_parts.and_then(|parts| parts.get(name)).copied().unwrap_or(1.0);
        let parts = names.iter().map(part).collect();
        let records = Records::of_facts(facts, &names)?;
        let settings = problem.cascade.unwrap_or_default();
        let (search_on, proof_on) = if settings.certify {
            let (search_on, proof_on) = split(&records, SEARCH_PART, SEED);
            (search_on, Some(proof_on))
        } else {
            (records.clone(), None)
        };
        let search = Search { longest: settings.max_length as usize, ..Search::default() };
        let mut cascades = frontier(&search_on, search, loss(&search_on));
        // How many get to a stage needs no labels: all samples tell.
        for cascade in &mut cascades {
            cascade.reach = records.evaluate(&cascade.members).reach;
        }
        Ok(Self { facts, names, parts, cascades, proof_on, settings })
    }

    fn load(&self, max_rps: f64) -> Load {
        Load::of(&self.facts.load_up_to(max_rps), max_rps)
    }

    fn model(&self, problem: &Problem) -> Result<Model, Error> {
        Model::new(problem, self.facts, self.names.clone(), self.cascades.clone(), &self.parts)
    }

    /// Returns the best placement for the goals that a placement decides.
    fn best(&self, problem: &Problem, load: &Load) -> Result<Option<Best>, Error> {
        let model = self.model(problem)?;
        let aim = Aim::of(problem);
        let found = model.solve(problem, load, aim);
        Ok(found.map(|found| {
            let (objective, bound) = match aim {
                Aim::MostAccurate => (found.accuracy, found.accuracy_bound),
                Aim::Cheapest { .. } => (-found.price, -found.price_bound),
            };
            Best { model, found, objective, bound }
        }))
    }

    /// Returns the most accurate placement within the shortest response time in which the asked accuracy can be had.
    fn fastest(&self, problem: &Problem, load: &Load) -> Result<Option<Best>, Error> {
        let least = problem.goal.mean_accuracy_at_least.map_or(0.0, Accuracy::get);
        let within = |latency_ms: f64| -> Result<Option<(Model, Found)>, Error> {
            let mut faster = problem.clone();
            faster.slo.latency_ms = Millis::saturating(latency_ms);
            let model = self.model(&faster)?;
            let found = model.solve(&faster, load, Aim::MostAccurate);
            Ok(found.filter(|found| found.accuracy >= least - 1e-12).map(|found| (model, found)))
        };
        let (mut refused, mut kept) = (0.0, problem.slo.latency_ms.get());
        let Some(mut best) = within(kept)? else { return Ok(None) };
        while kept - refused > FASTEST_WITHIN * kept {
            let middle = 0.5 * (refused + kept);
            match within(middle)? {
                Some(found) => (kept, best) = (middle, found),
                None => refused = middle,
            }
        }
        Ok(Some(Best { model: best.0, found: best.1, objective: -kept, bound: -refused }))
    }

    /// Walks from plans that aim above the target down to the target itself and returns the last whose accuracy over requests
    /// is proved on the samples kept for that; the limits in conflict where not even the first is.
    fn proved(
        &self,
        problem: &Problem,
        load: &Load,
        best: Best,
        proof_on: &Records,
        least: f64,
    ) -> Result<Result<Best, Conflict>, Error> {
        let (mut proved, mut failed): (Option<Best>, Option<Tested>) = (None, None);
        for margin in MARGINS {
            let mut higher = problem.clone();
            higher.goal.mean_accuracy_at_least = Some(Accuracy::saturating(least + margin));
            let next = match (problem.goal.kind, margin) {
                (_, 0.0) => None,
                (GoalKind::Fastest, _) => self.fastest(&higher, load)?,
                _ => self.best(&higher, load)?,
            };
            let Some(next) = next else { continue };
            let tested = self.test(&next, load, proof_on, least);
            if !tested.holds {
                failed = Some(tested);
                break;
            }
            proved = Some(next);
        }
        if failed.is_none() {
            let tested = self.test(&best, load, proof_on, least);
            if tested.holds {
                return Ok(Ok(best));
            }
            failed = Some(tested);
        }
        Ok(proved.ok_or_else(|| not_proved(problem, least, proof_on.samples(), failed)))
    }

    /// Tests the accuracy over requests of a placement's gears as the one quantity that it is.
    fn test(&self, best: &Best, load: &Load, proof_on: &Records, least: f64) -> Tested {
        let steps = &best.found.steps;
        let weights = envelope::weights(steps, load);
        let of_step =
            |(step, weight): (&Step, &f64)| (*weight, &best.model.cascades[best.model.rated[step.rated].cascade]);
        let mixture: Vec<(f64, &Cascade)> = steps.iter().zip(&weights).map(of_step).collect();
        let mixture: &Mixture<'_> = &mixture;
        test_mixture(mixture, proof_on, Target::Accuracy(least), self.settings.delta.get())
    }

    fn decoded(&self, problem: &Problem, load: &Load, best: &Best) -> Plan {
        let mut found = best.found.clone();
        let mut plan = decode::plan(problem, self.facts, &best.model, &found);
        if let Some(recorded) = &self.facts.recorded {
            let kept = survivors(
                &runners(&plan, &best.model, &found, self.facts),
                &recorded.document,
                window_s(&plan),
                problem.slo.latency_ms.get(),
            );
            let enough = envelope::accuracy_of(&kept, load) >= target(problem).unwrap_or(0.0);
            if kept.len() < found.steps.len() && enough {
                found.steps = kept;
                plan = decode::plan(problem, self.facts, &best.model, &found);
            }
        }
        let how =
            if found.is_exact { "exact: every placement scored" } else { "local search over placements, with a bound" };
        // What fewer gears lose is part of the gap.
        let objective = match problem.goal.kind {
            GoalKind::MostAccurate => envelope::accuracy_of(&found.steps, load),
            _ => best.objective,
        };
        for gear in &mut plan.gears {
            gear.certificate = Some(Certificate {
                objective,
                bound: best.bound,
                gap: best.bound - objective,
                method: format!("{how}; gears are the envelope of what cascades carry"),
                trial: None,
            });
        }
        let least = target(problem);
        plan.proof = self.proof_on.as_ref().zip(least).map(|(proof_on, least)| {
            let survivors = Best { model: best.model.clone(), found: found.clone(), objective: 0.0, bound: 0.0 };
            let tested = self.test(&survivors, load, proof_on, least);
            Proof {
                accuracy_at_least: Some(Accuracy::saturating(least)),
                low: Accuracy::saturating(tested.low),
                delta: self.settings.delta,
                samples: proof_on.samples() as u64,
            }
        });
        plan
    }

    fn carries_up_to(&self, problem: &Problem, max_rps: f64) -> Result<bool, Error> {
        let load = self.load(max_rps);
        let found = if problem.goal.kind == GoalKind::Fastest {
            self.fastest(problem, &load)?
        } else {
            self.best(problem, &load)?
        };
        Ok(found.is_some())
    }
}

/// Returns the accuracy over requests that the goal asks for.
fn target(problem: &Problem) -> Option<f64> {
    problem.goal.mean_accuracy_at_least.or(problem.goal.accuracy_at_least).map(Accuracy::get)
}

/// Returns the accuracy that thinning may cost: half of what chance leaves open at the best model's accuracy.
pub(super) fn loss(records: &Records) -> f64 {
    let samples = records.samples().max(1) as f64;
    let right = |model: &super::Record| model.right.iter().filter(|right| **right).count() as f64 / samples;
    let best = records.models.iter().map(right).fold(0.5, f64::max);
    THINNED * (best * (1.0 - best) / samples).sqrt()
}

fn window_s(plan: &Plan) -> f64 {
    plan.switch.window_ms.get() / 1e3
}

fn runners(plan: &Plan, model: &Model, found: &Found, facts: &Facts) -> Vec<Runner> {
    let of_step = |(step, gear): (&Step, &crate::plan::Gear)| Runner {
        step: *step,
        keeps_up_rps: model.rated[step.rated].keeps_up(&found.counts),
        latency_ms: Turns::of(plan, gear, facts).map_or(f64::INFINITY, |turns| turns.latency_ms),
    };
    found.steps.iter().zip(&plan.gears).map(of_step).collect()
}

/// Says what would have to change so that an accuracy can be proved.
fn not_proved(problem: &Problem, least: f64, samples: usize, failed: Option<Tested>) -> Conflict {
    let key = if problem.goal.mean_accuracy_at_least.is_some() {
        "goal.mean_accuracy_at_least"
    } else {
        "goal.accuracy_at_least"
    };
    let more = failed.and_then(|tested| tested.more_samples);
    let limits = vec![
        ConflictingLimit { key: key.into(), asked: least, would_have_to_be: failed.map(|tested| tested.low) },
        ConflictingLimit {
            key: "labelled samples to prove it on (`cascade.certify`)".into(),
            asked: samples as f64,
            would_have_to_be: more.map(|more| (samples as u64 + more) as f64),
        },
    ];
    Conflict { limits }
}

impl conflict::Carries for Room<'_> {
    fn max_load(&self, problem: &Problem, most: f64) -> Result<f64, Error> {
        let model = self.model(problem)?;
        let counts: Vec<u32> = model.devices.iter().map(|device| device.at_most).collect();
        let ceiling = model.rated.iter().map(|rated| rated.at_most(&counts)).fold(0.0, f64::max).min(most);
        if ceiling <= 0.0 || self.carries_up_to(problem, ceiling)? {
            return Ok(ceiling);
        }
        let (mut carried, mut refused) = (0.0, ceiling);
        while refused - carried > 1e-6 * ceiling {
            let middle = 0.5 * (carried + refused);
            if self.carries_up_to(problem, middle)? { carried = middle } else { refused = middle }
        }
        Ok(carried)
    }

    fn carries(&self, problem: &Problem) -> Result<bool, Error> {
        self.carries_up_to(problem, problem.workload.max_rps.get() * (1.0 - LOAD_SLACK))
    }
}

/// Plans with CascadeServe's own ring, whose failure proves nothing.
fn as_published(problem: &Problem, facts: &Facts) -> Result<Answer, Error> {
    match published::plan(problem, facts, &published::Settings::of(problem))? {
        Some(plan) => Ok(Answer::Plan(Box::new(plan))),
        None => Err(Error::Solver {
            solver: "CascadeServe as published",
            message: "its ring found no plan, which is no proof that there is none; leave `formulation` out".to_owned(),
        }),
    }
}

fn is_supported(problem: &Problem, context: &Context<'_>) -> Result<(), Error> {
    let refused = |what: &str, hint: &str| Err(Error::Unsupported { what: what.to_owned(), hint: hint.to_owned() });
    if problem.goal.kind == GoalKind::Weighted {
        return refused(
            "the room `cascade` does not weigh accuracy against cores",
            "set `goal.kind` to `cheapest`, `most-accurate` or `fastest`",
        );
    }
    if problem.goal.kind == GoalKind::Lexicographic {
        return refused(
            "the room `cascade` has no levels of goals",
            "set `goal.kind` to `cheapest`, `most-accurate` or `fastest`",
        );
    }
    if context.verify {
        return refused(
            "HiGHS cannot verify plans of the room `cascade` from the command line",
            "leave out --verify; tests hold the search against HiGHS and against every placement",
        );
    }
    if context.from.is_some() {
        return refused("the room `cascade` does not price moving from a running plan", "leave out --from");
    }
    Ok(())
}
