//! The planner of the room: cascades, placement and gears put together.

use super::envelope::Load;
use super::model::Model;
use super::pairs::cascades;
use super::{Cascade, decode, published};
use crate::error::Error;
use crate::facts::Facts;
use crate::optimize::LOAD_SLACK;
use crate::plan::Certificate;
use crate::problem::{Formulation, GoalKind, Problem};
use crate::rooms::variant_set::variants_of;
use crate::rooms::{Answer, Context, Planner, conflict};

/// The planner of the room.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cascades;

impl Planner for Cascades {
    fn plan(&self, problem: &Problem, facts: &Facts, context: Context<'_>) -> Result<Answer, Error> {
        is_supported(problem, &context)?;
        if problem.formulation == Formulation::Published {
            return as_published(problem, facts);
        }
        let names = variants_of(problem, facts)?;
        let part = |name: &String| context.capacity_parts.and_then(|parts| parts.get(name)).copied().unwrap_or(1.0);
        let parts: Vec<f64> = names.iter().map(part).collect();
        let room = Room { facts, parts, cascades: cascades(facts, &names)?, names };
        let load = room.load(problem.workload.max_rps.get());
        let model = room.model(problem)?;
        let Some(found) = model.solve(problem, &load) else {
            return Ok(Answer::Infeasible(conflict::find(problem, &room)?));
        };
        let mut plan = decode::plan(problem, facts, &model, &found);
        let (objective, bound) = match problem.goal.kind {
            GoalKind::MostAccurate => (found.accuracy, found.accuracy_bound),
            _ => (-found.price, -found.price_bound),
        };
        let how =
            if found.is_exact { "exact: every placement scored" } else { "local search over placements, with a bound" };
        for gear in &mut plan.gears {
            gear.certificate = Some(Certificate {
                objective,
                bound,
                gap: bound - objective,
                method: format!("{how}; gears are the envelope of what cascades carry"),
                trial: None,
            });
        }
        Ok(Answer::Plan(Box::new(plan)))
    }
}

/// What the room can carry under a problem that was moved.
struct Room<'a> {
    facts: &'a Facts,
    names: Vec<String>,
    parts: Vec<f64>,
    cascades: Vec<Cascade>,
}

impl Room<'_> {
    fn model(&self, problem: &Problem) -> Result<Model, Error> {
        Model::new(problem, self.facts, self.names.clone(), self.cascades.clone(), &self.parts)
    }

    fn load(&self, max_rps: f64) -> Load {
        Load::of(&self.facts.load_up_to(max_rps), max_rps)
    }

    fn carries_up_to(&self, problem: &Problem, model: &Model, max_rps: f64) -> bool {
        model.solve(problem, &self.load(max_rps)).is_some()
    }
}

impl conflict::Carries for Room<'_> {
    fn max_load(&self, problem: &Problem, most: f64) -> Result<f64, Error> {
        let model = self.model(problem)?;
        let counts: Vec<u32> = model.devices.iter().map(|device| device.at_most).collect();
        let ceiling = model.rated.iter().map(|rated| rated.at_most(&counts)).fold(0.0, f64::max).min(most);
        if ceiling <= 0.0 || self.carries_up_to(problem, &model, ceiling) {
            return Ok(ceiling);
        }
        let (mut carried, mut refused) = (0.0, ceiling);
        while refused - carried > 1e-6 * ceiling {
            let middle = 0.5 * (carried + refused);
            if self.carries_up_to(problem, &model, middle) { carried = middle } else { refused = middle }
        }
        Ok(carried)
    }

    fn carries(&self, problem: &Problem) -> Result<bool, Error> {
        let model = self.model(problem)?;
        Ok(self.carries_up_to(problem, &model, problem.workload.max_rps.get() * (1.0 - LOAD_SLACK)))
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
            "set `goal.kind` to `cheapest` or `most-accurate`",
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
