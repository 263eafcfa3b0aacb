//! Baselines that are the room's own planner with less freedom: those of problems on machines, and those of pipelines.
//!
//! - on machines one variant at a time: the same facts, prices, packing and closed form of capacity as the planner's;
//! - *fa2-low*, *fa2-high*: one variant for each stage, the least or the most accurate, with the fewest cores, or the cheapest
//!   machines, that carry the load;
//! - *rim N*: N replicas of each stage at every load, with the most accurate variants that carry it.

use std::collections::BTreeMap;

use super::baselines::{Baseline, Kind, Rules, threshold};
use super::hardware::widen;
use super::pipeline;
use super::variant_set::{OnMachines, Parts, VariantSet, variants_of};
use super::{Answer, Context, Planner};
use crate::base::error::Error;
use crate::base::units::{Accuracy, Rate};
use crate::facts::Facts;
use crate::plan::{Gear, Plan, Pool};
use crate::problem::{Formulation, GoalKind, Problem};
use crate::simulate::Controller;

/// Replicas of each stage that RIM is tried with.
pub(super) const RIM_REPLICAS: std::ops::RangeInclusive<u32> = 1..=4;

/// Part of what a variant can carry at most that is asked of it: no rounding takes that away.
const NEARLY: f64 = 1.0 - 1e-6;

/// Returns the baselines of a kind of a variant set on machines.
pub(super) fn on_machines(
    kind: Kind,
    plan: &Plan,
    (problem, facts): (&Problem, &Facts),
    rules: Rules,
) -> Result<Vec<Baseline>, Error> {
    let facts = &facts.without_load();
    let maker = Maker { plan, problem: &up_to_the_peak_of(plan, problem), facts, rules };
    match kind {
        Kind::Switching => maker.switching(),
        Kind::SwitchingPlus => maker.switching_plus(),
        single => maker.one_variant_each(single),
    }
}

/// Returns the baselines of a kind of a pipeline, on cores or on machines.
pub(super) fn pipelines(kind: Kind, plan: &Plan, problem: &Problem, facts: &Facts) -> Result<Vec<Baseline>, Error> {
    let facts = &facts.without_load();
    let problem = up_to_the_peak_of(plan, problem);
    let made = |name: String, made: Plan| Baseline {
        name,
        plan: Plan { switch: plan.switch, provenance: plan.provenance.clone(), ..made },
        controller: Controller::Switch,
    };
    if kind == Kind::Rim {
        let mut found = Vec::new();
        for replicas in RIM_REPLICAS {
            let rim = pipeline::plan_with_replicas(&most_accurate(&problem), facts, replicas)?;
            found.extend(rim.map(|plan| made(format!("rim {replicas}"), plan)));
        }
        return Ok(found);
    }
    let (name, most) = if kind == Kind::Fa2High { ("fa2-high", true) } else { ("fa2-low", false) };
    let fixed = cheapest(&problem.with_variants(&pipeline::one_each(&problem, facts, most)));
    match pipeline::Pipeline.plan(&fixed, facts, Context::default())? {
        Answer::Plan(plan) => Ok(vec![made(name.to_owned(), *plan)]),
        Answer::Infeasible(_) => Ok(Vec::new()),
    }
}

/// Returns the problem for the peak that a plan carries, with a gear wherever the best changes, in our own words.
fn up_to_the_peak_of(plan: &Plan, problem: &Problem) -> Problem {
    let mut moved = problem.clone();
    moved.workload.max_rps = Rate::saturating(plan.max_rps());
    moved.goal.gears_at_most = None;
    moved.formulation = Formulation::TailAware;
    moved
}

fn cheapest(problem: &Problem) -> Problem {
    let mut moved = problem.clone();
    moved.goal.kind = GoalKind::Cheapest;
    moved.goal.accuracy_at_least = Some(Accuracy::saturating(0.0));
    moved
}

fn most_accurate(problem: &Problem) -> Problem {
    let mut moved = problem.clone();
    moved.goal.kind = GoalKind::MostAccurate;
    moved.goal.accuracy_at_least = None;
    moved
}

/// Makes the baselines of one plan on machines.
struct Maker<'a> {
    plan: &'a Plan,
    problem: &'a Problem,
    facts: &'a Facts,
    rules: Rules,
}

impl Maker<'_> {
    /// Plans a problem with one variant alone; where it cannot carry the peak, for what it can where the rules keep it.
    fn alone(&self, problem: &Problem, variant: &str) -> Result<Option<Plan>, Error> {
        let mut asked = Problem { variants: Some(vec![variant.to_owned()]), ..problem.clone() };
        if self.rules.overloaded {
            let most = OnMachines::new(&asked, self.facts, &Parts::new())?.max_load(f64::INFINITY) * NEARLY;
            if most <= 0.0 {
                return Ok(None);
            }
            asked.workload.max_rps = Rate::saturating(asked.workload.max_rps.get().min(most));
        }
        match VariantSet.plan(&asked, self.facts, Context::default())? {
            Answer::Plan(plan) => Ok(Some(*plan)),
            Answer::Infeasible(_) => Ok(None),
        }
    }

    fn one_variant_each(&self, kind: Kind) -> Result<Vec<Baseline>, Error> {
        let cheapest = cheapest(self.problem);
        let mut found = Vec::new();
        for variant in variants_of(self.problem, self.facts)? {
            let Some(mut plan) = self.alone(&cheapest, &variant)? else { continue };
            if kind == Kind::Single {
                let last = plan.gears.len() - 1;
                plan.gears.drain(..last);
            }
            let (word, switch, controller) = match kind {
                Kind::AutoscaledOracle => ("oracle", self.plan.switch, Controller::Lookahead(self.rules.look_ahead)),
                Kind::AutoscaledReactive => ("reactive", self.plan.switch, Controller::Switch),
                Kind::AutoscaledThreshold => ("threshold", threshold(self.plan.switch), Controller::Switch),
                _ => ("single", self.plan.switch, Controller::Switch),
            };
            let plan = Plan { switch, provenance: self.plan.provenance.clone(), ..plan };
            found.push(Baseline { name: format!("{word} {variant}"), plan, controller });
        }
        Ok(found)
    }

    /// On all that can be rented, each variant that is more accurate than all that carry more.
    fn switching(&self) -> Result<Vec<Baseline>, Error> {
        let moved = most_accurate(self.problem);
        let mut most: Vec<(f64, f64, Plan)> = Vec::new();
        for variant in variants_of(self.problem, self.facts)? {
            let mut asked = Problem { variants: Some(vec![variant.clone()]), ..moved.clone() };
            let load = OnMachines::new(&asked, self.facts, &Parts::new())?.max_load(f64::INFINITY) * NEARLY;
            if load <= 0.0 {
                continue;
            }
            asked.workload.max_rps = Rate::saturating(load);
            let accuracy = self.facts.variant(&variant).map_or(0.0, |variant| variant.accuracy.value.get());
            if let Answer::Plan(plan) = VariantSet.plan(&asked, self.facts, Context::default())? {
                most.push((load, accuracy, *plan));
            }
        }
        most.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut kept: Vec<(f64, f64, Plan)> = Vec::new();
        for next in most {
            if kept.last().is_none_or(|last| next.1 > last.1) {
                kept.push(next);
            }
        }
        kept.reverse();
        let peak = self.plan.max_rps();
        let needed = kept.iter().position(|(load, ..)| *load >= peak).map_or(kept.len(), |last| last + 1);
        kept.truncate(needed);
        let gears = kept.iter().map(|(load, _, plan)| (*load, plan, plan.gears.len() - 1));
        Ok(self.together("switching", gears.collect()))
    }

    /// At every load the one variant that is best by the problem's goal. One variant's accuracy is the same at every load, so
    /// that the best is the same from one of all their borders to the next.
    fn switching_plus(&self) -> Result<Vec<Baseline>, Error> {
        let mut plans = Vec::new();
        for variant in variants_of(self.problem, self.facts)? {
            plans.extend(self.alone(self.problem, &variant)?);
        }
        let mut ends: Vec<f64> = plans.iter().flat_map(|plan| &plan.gears).map(|gear| gear.up_to_rps.get()).collect();
        ends.sort_by(f64::total_cmp);
        ends.dedup();
        let value = |gear: &Gear| gear.certificate.as_ref().map_or(f64::NEG_INFINITY, |proof| proof.objective);
        let best_at = |end: f64| {
            let carry = plans.iter().filter_map(|plan| {
                let gear = plan.gears.iter().position(|gear| gear.up_to_rps.get() >= end)?;
                Some((end, plan, gear))
            });
            carry.reduce(
                |best, next| {
                    if value(&next.1.gears[next.2]) > value(&best.1.gears[best.2]) { next } else { best }
                },
            )
        };
        Ok(self.together("ms+", ends.into_iter().filter_map(best_at).collect()))
    }

    /// Puts gears of several plans together, each up to a load, the lowest first; nothing where there are none.
    fn together(&self, name: &str, parts: Vec<(f64, &Plan, usize)>) -> Vec<Baseline> {
        let mut pools: BTreeMap<String, Pool> = BTreeMap::new();
        for (_, of, gear) in &parts {
            for pool in &of.placement {
                let up = of.gears[*gear].replicas_of(pool);
                if up > 0 {
                    widen(&mut pools, Pool { replicas: up, ..pool.clone() });
                }
            }
        }
        let mut gears: Vec<Gear> = Vec::new();
        for (end, of, gear) in &parts {
            let of = &of.gears[*gear];
            let replicas = pools.keys().map(|name| (name.clone(), of.replicas.get(name).copied().unwrap_or(0)));
            let gear = Gear { up_to_rps: Rate::saturating(*end), replicas: replicas.collect(), ..of.clone() };
            match gears.last_mut().filter(|last| last.replicas == gear.replicas) {
                Some(last) => *last = gear,
                None => gears.push(gear),
            }
        }
        if gears.is_empty() {
            return Vec::new();
        }
        let plan = Plan { gears, placement: pools.into_values().collect(), transfers: Vec::new(), ..self.plan.clone() };
        vec![Baseline { name: name.to_owned(), plan, controller: Controller::Switch }]
    }
}
