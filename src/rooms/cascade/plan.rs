//! The planner of the room: cascades, placement, gears, proof and switching put together.

use super::envelope::{self, Load, Step};
use super::model::Model;
use super::prove::{self, Proving, target};
use super::rules::recount;
use super::search::{Aim, Found, SLACK};
use super::{Cascade, Records, Search, decode, frontier, published};
use crate::base::error::Error;
use crate::base::units::{Accuracy, Millis};
use crate::facts::Facts;
use crate::optimize::LOAD_SLACK;
use crate::plan::{Certificate, Plan};
use crate::problem::{CascadeSettings, Formulation, GoalKind, Problem};
use crate::rooms::variant_set::variants_of;
use crate::rooms::{Answer, Context, Planner, conflict};

/// Seed of the halves.
const SEED: u64 = 42;
/// Part of an accuracy's standard error that thinning the cascades may cost.
const THINNED: f64 = 0.5;
/// Accuracy above the target that the search aims at where changes of gear would cost a plan the target itself.
const MARGINS: [f64; 9] = [0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05];
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
        let problem = &room.asked;
        let load = room.load(problem.workload.max_rps.get());
        let Some(best) = room.found(problem, &load)? else {
            return Ok(Answer::Infeasible(conflict::find(problem, &room)?));
        };
        let best = room.as_accurate_when_switched(problem, &load, best)?;
        let best = match &room.proving {
            Some(proving) => match room.proved(problem, &load, best, proving)? {
                Ok(best) => best,
                Err(conflict) => return Ok(Answer::Infeasible(conflict)),
            },
            None => best,
        };
        Ok(Answer::Plan(Box::new(room.certified(problem, &best))))
    }
}

/// What there is to plan with.
pub(super) struct Room<'a> {
    facts: &'a Facts,
    /// The problem with accuracies in numbers.
    asked: Problem,
    names: Vec<String>,
    parts: Vec<f64>,
    cascades: Vec<Cascade>,
    /// Absent where nothing is to be proved.
    pub(super) proving: Option<Proving>,
    pub(super) settings: CascadeSettings,
}

/// A placement with the model that it was found in, and how good it is.
pub(super) struct Best {
    pub(super) model: Model,
    pub(super) found: Found,
    pub(super) objective: f64,
    bound: f64,
}

/// A placement as its gears take turns in time.
pub(super) struct Switched {
    /// With the gears that stay.
    pub(super) best: Best,
    /// As it is written down, but for certificates and proof.
    plan: Plan,
    /// Part of the requests that each gear answers.
    pub(super) answered: Vec<f64>,
}

impl Switched {
    /// Returns the accuracy over requests.
    pub(super) fn accuracy(&self) -> f64 {
        self.best.found.steps.iter().zip(&self.answered).map(|(step, part)| part * step.accuracy).sum()
    }
}

impl<'a> Room<'a> {
    fn new(problem: &Problem, facts: &'a Facts, context: &Context<'_>) -> Result<Self, Error> {
        let names = variants_of(problem, facts)?;
        let part = |name: &String| context.capacity_parts.and_then(|parts| parts.get(name)).copied().unwrap_or(1.0);
        let parts = names.iter().map(part).collect();
        let records = Records::of_facts(facts, &names)?;
        let settings = problem.cascade.clone().unwrap_or_default();
        let (search_on, proof_on) = if settings.certify {
            let (search_on, proof_on) = Records::halves(facts, &names, SEED)?;
            (search_on, Some(proof_on))
        } else {
            (records.clone(), None)
        };
        let asked = prove::asked(problem, &settings, &search_on)?;
        let proving = proof_on.map(|proof_on| Proving::new(&asked, &settings, proof_on)).transpose()?;
        let search = Search { longest: settings.max_length as usize, ..Search::default() };
        let mut cascades = frontier(&search_on, search, loss(&search_on));
        if settings.certify {
            // How many get to a stage needs no labels: all samples tell.
            recount(&records, &mut cascades);
        }
        Ok(Self { facts, asked, names, parts, cascades, proving, settings })
    }

    fn load(&self, max_rps: f64) -> Load {
        Load::of(&self.facts.load_up_to(max_rps), max_rps)
    }

    fn model(&self, problem: &Problem) -> Result<Model, Error> {
        Model::new(problem, self.facts, self.names.clone(), self.cascades.clone(), &self.parts)
    }

    /// Returns the best placement for a problem's goal.
    fn found(&self, problem: &Problem, load: &Load) -> Result<Option<Best>, Error> {
        match problem.goal.kind {
            GoalKind::Fastest => self.fastest(problem, load),
            _ => self.best(problem, load),
        }
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

    /// Returns the best placement that aims at an accuracy over requests.
    pub(super) fn best_above(&self, problem: &Problem, load: &Load, least: f64) -> Result<Option<Best>, Error> {
        let mut higher = problem.clone();
        higher.goal.mean_accuracy_at_least = Some(Accuracy::saturating(least));
        self.found(&higher, load)
    }

    /// Returns the best placement as its gears take turns, or one that aims higher where changes of gear cost it the asked
    /// accuracy over requests; the best itself where none keeps that.
    fn as_accurate_when_switched(&self, problem: &Problem, load: &Load, best: Best) -> Result<Switched, Error> {
        let best = self.switched(problem, load, best);
        let least = target(problem).unwrap_or(0.0);
        // What the search takes for enough is enough here too: rounding must not make a plan dearer.
        let is_enough = |one: &Switched| one.accuracy() >= least - SLACK;
        if is_enough(&best) {
            return Ok(best);
        }
        for margin in MARGINS {
            let higher = self.best_above(problem, load, least + margin)?;
            if let Some(higher) = higher.map(|higher| self.switched(problem, load, higher)).filter(is_enough) {
                return Ok(higher);
            }
        }
        Ok(best)
    }

    /// Returns a placement with the gears that stay with its rule, its plan, and the part of the requests that each gear answers:
    /// as the rule was played on the recorded load, or as the loads are without one.
    pub(super) fn switched(&self, problem: &Problem, load: &Load, best: Best) -> Switched {
        let Best { model, mut found, objective, bound } = best;
        let mut plan = decode::without_rule(problem, self.facts, &model, &found);
        let of = |kept: &[usize]| -> Vec<Step> { kept.iter().map(|&gear| found.steps[gear]).collect() };
        let least = target(problem).unwrap_or(0.0);
        let enough = |kept: &[usize]| envelope::accuracy_of(&of(kept), load) >= least;
        let decided = decode::decided(problem, self.facts, &model, &found, &plan, enough);
        if decided.kept.len() < found.steps.len() {
            found.steps = of(&decided.kept);
            plan = decode::without_rule(problem, self.facts, &model, &found);
        }
        decided.rule.write(&mut plan);
        let answered = decided.answered.unwrap_or_else(|| envelope::weights(&found.steps, load));
        Switched { best: Best { model, found, objective, bound }, plan, answered }
    }

    /// Returns the plan with what is known about how good it is.
    fn certified(&self, problem: &Problem, switched: &Switched) -> Plan {
        let (best, mut plan) = (&switched.best, switched.plan.clone());
        let how = if best.found.is_exact {
            "exact: every placement scored"
        } else {
            "local search over placements, with a bound"
        };
        let objective = match problem.goal.kind {
            GoalKind::MostAccurate => switched.accuracy(),
            _ => best.objective,
        };
        let lost = if best.found.accuracy - objective > 1e-9 && problem.goal.kind == GoalKind::MostAccurate {
            "; changes between them, as played on the trace, are part of the gap"
        } else {
            ""
        };
        for gear in &mut plan.gears {
            let method = format!("{how}; gears are the envelope of what cascades carry{lost}");
            gear.certificate = Some(Certificate::new(objective, best.bound, method).stated_for(problem));
        }
        plan.proof = self.proof(switched);
        plan
    }

    fn carries_up_to(&self, problem: &Problem, max_rps: f64) -> Result<bool, Error> {
        let load = self.load(max_rps);
        Ok(self.found(problem, &load)?.is_some())
    }
}

/// Returns the accuracy that thinning may cost: half of what chance leaves open at the best model's accuracy.
pub(super) fn loss(records: &Records) -> f64 {
    let samples = records.samples().max(1) as f64;
    let right = |model: &super::Record| model.right.iter().filter(|right| **right).count() as f64 / samples;
    let best = records.models.iter().map(right).fold(0.5, f64::max);
    THINNED * (best * (1.0 - best) / samples).sqrt()
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
