//! The planner of the room: cascades, placement, gears, proof and switching put together.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use super::envelope::{self, EnvelopeStep, LoadShares};
use super::model::CascadeModel;
use super::prove::{self, Proving, target};
use super::search::{FoundPlacement, PlacementAim};
use super::{baselines, decode};
use crate::base::error::Error;
use crate::base::rounding::{ROUNDING, SUMS, keeps_within};
use crate::base::units::{Accuracy, Millis};
use crate::facts::Ask;
use crate::optimize::Highest;
use crate::plan::{Certificate, Plan, Pool};
use crate::problem::{CascadeSettings, GoalKind, Problem, Resource, RoomSettings};
use crate::rooms::exits::{Cascade, Records, SearchGrid, frontier, recount, thinning_loss};
use crate::rooms::{Choice, Cut, Freedom, Opened, Planned, Room, fastest, goal};
use crate::workload::RecordedLoad;

/// Seed of the halves.
const SEED: u64 = 42;
/// Accuracy above the target that the search aims at where changes of gear would cost a plan the target itself.
const MARGINS: [f64; 9] = [0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05];
/// A point of the frontier is more accurate than the one before by more than this, which rounding may make.
const MORE_ACCURATE: f64 = 1e-9;

/// The planner of the room.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cascades;

impl Room for Cascades {
    fn open<'a>(&self, ask: &'a Ask<'a>) -> Result<Box<dyn Opened + 'a>, Error> {
        Ok(Box::new(Planning::new(ask)?))
    }

    /// Replicas serve several variants in turn.
    fn cuts(&self) -> Option<Cut> {
        Some(Cut::Variants)
    }

    fn counts_on_small_batches(&self) -> bool {
        true
    }

    fn freedoms(&self) -> &[Freedom] {
        &[Freedom::Variants, Freedom::Exits]
    }

    /// The placement holds for all gears, so that variants take turns on it.
    fn one_variant_at_a_time(&self, problem: &Problem) -> Option<Problem> {
        let mut alone = problem.clone();
        if let RoomSettings::Cascade(settings) = &mut alone.room {
            settings.max_length = 1;
        }
        Some(alone)
    }

    fn with_replicas_that_follow(&self, plan: Plan, ask: &Ask<'_>) -> Plan {
        baselines::following(plan, ask)
    }
}

impl Opened for Planning<'_> {
    /// One placement serves all loads, so that whoever asks about one of them asks for the same plan.
    fn plan(&self) -> Result<Planned, Error> {
        if let Some(known) = self.planned.get() {
            return Ok(known.clone());
        }
        let planned = self.solved()?;
        Ok(self.planned.get_or_init(|| planned).clone())
    }

    fn max_load(&self, problem: &Problem) -> Result<Highest, Error> {
        let most = problem.workload.max_rps.get();
        let model = self.model(problem)?;
        let counts: Vec<u32> = model.devices.iter().map(|device| device.at_most).collect();
        let ceiling = model.rated.iter().map(|rated| rated.at_most(&counts)).fold(0.0, f64::max).min(most);
        if ceiling <= 0.0 || self.carries_up_to(problem, ceiling)? {
            return Ok(Highest::proved(ceiling));
        }
        let (mut carried, mut refused) = (0.0, ceiling);
        while refused - carried > 1e-6 * ceiling {
            let middle = 0.5 * (carried + refused);
            if self.carries_up_to(problem, middle)? { carried = middle } else { refused = middle }
        }
        Ok(Highest::proved(carried))
    }

    /// The placement is that for all loads: what is best at one is the gear that serves it.
    fn best_at(&self, load: f64) -> Result<Option<Choice>, Error> {
        Ok(match self.plan()? {
            Planned::Plan(plan) => Some(self.choice(&plan, load)),
            Planned::NotCarried | Planned::Conflict(_) => None,
        })
    }

    fn second_best(&self, best: &Choice, load: f64) -> Result<Option<Choice>, Error> {
        let used = best.gear.stages.iter().flat_map(|stage| &stage.lanes).map(|lane| &lane.variant);
        let used: BTreeSet<&String> = used.collect();
        let mut second: Option<Choice> = None;
        for given_up in used.into_iter().filter(|_| self.names.len() > 1) {
            let kept: Vec<String> = self.names.iter().filter(|name| *name != given_up).cloned().collect();
            let ask = self.ask.only(&kept);
            let found = Planning::new(&ask)?.best_at(load)?;
            let is_better = |found: &Choice| second.as_ref().is_none_or(|second| found.objective > second.objective);
            second = found.filter(is_better).or(second);
        }
        Ok(second)
    }

    /// One load, and every price at which more accuracy can be had.
    fn frontier(&self, load: f64) -> Result<Vec<Choice>, Error> {
        let alone = LoadShares::new(&RecordedLoad::of_rates(vec![load], 1.0), load);
        let undominated = self.undominated(&self.asked, &alone)?;
        let plan =
            |best: &BestPlacement| named_by_hosts(decode::plan(&self.asked, &self.ask.facts, &best.model, &best.found));
        Ok(undominated.iter().map(|best| self.choice(&plan(best), load)).collect())
    }

    fn worth(&self, choice: &Choice) -> f64 {
        choice.objective
    }
}

/// The room with an ask worked in.
pub(super) struct Planning<'a> {
    ask: &'a Ask<'a>,
    /// The problem with accuracies in numbers.
    asked: Problem,
    names: Vec<String>,
    parts: Vec<f64>,
    cascades: Vec<Cascade>,
    /// Absent where nothing is to be proved.
    pub(super) proving: Option<Proving>,
    pub(super) settings: CascadeSettings,
    /// The plan, once it has been asked for.
    planned: OnceCell<Planned>,
}

/// A placement with the model that it was found in, and how good it is.
pub(super) struct BestPlacement {
    pub(super) model: CascadeModel,
    pub(super) found: FoundPlacement,
    pub(super) objective: f64,
    bound: f64,
}

/// The placement of the shortest SLO that it keeps.
struct Shortest {
    model: CascadeModel,
    found: FoundPlacement,
    /// The SLO that it keeps, in milliseconds.
    kept_ms: f64,
    /// The longest that nothing kept, in milliseconds.
    refused_ms: f64,
}

/// A placement as its gears take turns in time.
pub(super) struct Switched {
    /// With the gears that stay.
    pub(super) best: BestPlacement,
    /// As it is written down, but for certificates, proof and what is watched.
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

impl<'a> Planning<'a> {
    pub(super) fn new(ask: &'a Ask<'a>) -> Result<Self, Error> {
        let (problem, facts) = (ask.problem.as_ref(), ask.facts.as_ref());
        let mut names = ask.variants()?;
        let is_up = |name: &String| ask.limit.as_ref().is_some_and(|limit| limit.held.contains_key(name));
        names.retain(|name| ask.may_start(name) || ask.is_allowed(name) && is_up(name));
        let parts = names.iter().map(|name| ask.part(name)).collect();
        let records = Records::from_facts(facts, &names)?;
        let settings = problem.cascade().cloned().unwrap_or_default();
        let (search_on, proof_on) = if settings.certify {
            let (search_on, proof_on) = Records::halves(facts, &names, SEED)?;
            (search_on, Some(proof_on))
        } else {
            (records.clone(), None)
        };
        let asked = prove::asked(problem, &settings, &search_on)?;
        let proving = proof_on.map(|proof_on| Proving::new(&asked, &settings, proof_on)).transpose()?;
        let grid = SearchGrid { longest: settings.max_length as usize, ..SearchGrid::default() };
        let mut cascades = frontier(&search_on, grid, thinning_loss(&search_on));
        if settings.certify {
            records.settle(cascades.iter_mut().flat_map(|cascade| &mut cascade.members));
            // How many get to a stage needs no labels: all samples tell.
            recount(&records, &mut cascades);
        }
        Ok(Self { ask, asked, names, parts, cascades, proving, settings, planned: OnceCell::new() })
    }

    /// Plans for every load up to the asked one.
    fn solved(&self) -> Result<Planned, Error> {
        let problem = &self.asked;
        let load = self.load(problem.workload.max_rps.get());
        let Some(best) = self.found(problem, &load)? else { return Ok(Planned::NotCarried) };
        let best = self.as_accurate_when_switched(problem, &load, best)?;
        let best = match &self.proving {
            Some(proving) => match self.proved(problem, &load, best, proving)? {
                Ok(best) => best,
                Err(conflict) => return Ok(Planned::Conflict(conflict)),
            },
            None => best,
        };
        Ok(Planned::Plan(Box::new(self.certified(problem, &best))))
    }

    fn load(&self, max_rps: f64) -> LoadShares {
        LoadShares::new(&self.ask.facts.load_up_to(max_rps), max_rps)
    }

    fn model(&self, problem: &Problem) -> Result<CascadeModel, Error> {
        CascadeModel::new(problem, &self.ask.facts, self.names.clone(), self.cascades.clone(), &self.parts)
    }

    /// Returns the best placement for a problem's goal.
    fn found(&self, problem: &Problem, load: &LoadShares) -> Result<Option<BestPlacement>, Error> {
        match problem.goal.kind {
            GoalKind::Fastest => self.fastest(problem, load),
            GoalKind::Weighted => self.weighted(problem, load),
            GoalKind::Lexicographic => self.in_levels(problem, load),
            GoalKind::Cheapest | GoalKind::MostAccurate => self.best(problem, load),
        }
    }

    /// Returns the best placement for the goals that a placement decides.
    fn best(&self, problem: &Problem, load: &LoadShares) -> Result<Option<BestPlacement>, Error> {
        let model = self.model(problem)?;
        let aim = PlacementAim::from_goal(problem);
        let found = model.solve(problem, load, aim);
        Ok(found.map(|found| {
            let (objective, bound) = match aim {
                PlacementAim::MostAccurate => (found.accuracy, found.accuracy_bound),
                PlacementAim::Cheapest { .. } => (-found.price, -found.price_bound),
            };
            BestPlacement { model, found, objective, bound }
        }))
    }

    /// Returns the placements that no other beats in both price and accuracy over requests, the cheapest first.
    fn undominated(&self, problem: &Problem, load: &LoadShares) -> Result<Vec<BestPlacement>, Error> {
        let mut points: Vec<BestPlacement> = Vec::new();
        let mut asked = problem.clone();
        asked.goal.kind = GoalKind::Cheapest;
        asked.goal.accuracy_at_least = None;
        asked.goal.mean_accuracy_at_least = None;
        while let Some(best) = self.best(&asked, load)? {
            asked.goal.mean_accuracy_at_least = Some(Accuracy::saturating(best.found.accuracy + MORE_ACCURATE));
            // Of placements at one price the last is the most accurate.
            if points.last().is_some_and(|last| best.found.price <= last.found.price) {
                points.pop();
            }
            let is_perfect = best.found.accuracy + MORE_ACCURATE > 1.0;
            points.push(best);
            if is_perfect {
                break;
            }
        }
        Ok(points)
    }

    /// Returns the placement that is worth most where accuracy and price have weights: it lies on the frontier.
    fn weighted(&self, problem: &Problem, load: &LoadShares) -> Result<Option<BestPlacement>, Error> {
        let whole = problem.inventory.whole_price();
        let worth = |accuracy: f64, price: f64| {
            let used = if whole > 0.0 { price / whole } else { 0.0 };
            goal::value(problem, accuracy, used)
        };
        let valued = self.undominated(problem, load)?.into_iter().map(|best| BestPlacement {
            objective: worth(best.found.accuracy, best.found.price),
            bound: worth(best.found.accuracy_bound, best.found.price_bound),
            ..best
        });
        let valued: Vec<BestPlacement> = valued.collect();
        let bound = valued.iter().map(|best| best.bound).fold(f64::NEG_INFINITY, f64::max);
        let best = valued.into_iter().reduce(|best, next| if next.objective > best.objective { next } else { best });
        Ok(best.map(|best| BestPlacement { bound, ..best }))
    }

    /// Returns the best placement of a goal in levels: what the first gives away within its tolerance is spent on the second.
    fn in_levels(&self, problem: &Problem, load: &LoadShares) -> Result<Option<BestPlacement>, Error> {
        let tolerances = problem.goal.tolerances.unwrap_or_default();
        let points = self.undominated(problem, load)?;
        let (Some(cheapest), Some(finest)) = (points.first(), points.last()) else { return Ok(None) };
        let (price, accuracy) = (cheapest.found.price, finest.found.accuracy);
        let core = problem.inventory.cheapest_core_price();
        let first_is_accuracy = problem.goal.valued_as() != GoalKind::MostAccurate;
        let allowed = |best: &BestPlacement| {
            if first_is_accuracy {
                best.found.accuracy >= accuracy - tolerances.accuracy.get() - SUMS
            } else {
                best.found.price <= price + f64::from(tolerances.cores) * core * (1.0 + ROUNDING)
            }
        };
        let of_level = |best: BestPlacement| {
            let (objective, bound) = if first_is_accuracy {
                (-best.found.price, -best.found.price_bound)
            } else {
                (best.found.accuracy, best.found.accuracy_bound)
            };
            BestPlacement { objective, bound, ..best }
        };
        let best = points.into_iter().filter(allowed);
        // Increasing in both: the cheapest of those allowed is the first, the most accurate the last.
        let best = if first_is_accuracy { best.into_iter().next() } else { best.into_iter().next_back() };
        let Some(best) = best.map(of_level) else { return Ok(None) };
        if !problem.goal.wants_low_latency() {
            return Ok(Some(best));
        }
        let (accuracy, price) =
            if first_is_accuracy { (accuracy, best.found.price) } else { (best.found.accuracy, price) };
        let mut asked = problem.clone();
        asked.goal.kind = GoalKind::Cheapest;
        asked.goal.mean_accuracy_at_least = Some(Accuracy::saturating(accuracy - tolerances.accuracy.get()));
        let price_at_most = price + f64::from(tolerances.cores) * core;
        let is_enough = |found: &FoundPlacement| keeps_within(found.price, price_at_most);
        let shortest = self.shortest(&asked, load, PlacementAim::from_goal(&asked), is_enough)?;
        Ok(Some(shortest.map_or(best, |shortest| {
            let Shortest { model, found, .. } = shortest;
            let objective = if first_is_accuracy { -found.price } else { found.accuracy };
            // What the levels before give away for latency is no gap.
            BestPlacement { model, found, objective, bound: objective }
        })))
    }

    /// Returns the most accurate placement within the shortest response time in which the asked accuracy can be had.
    fn fastest(&self, problem: &Problem, load: &LoadShares) -> Result<Option<BestPlacement>, Error> {
        let least = problem.goal.mean_accuracy_at_least.map_or(0.0, Accuracy::get);
        let is_enough = |found: &FoundPlacement| found.accuracy >= least - SUMS;
        let shortest = self.shortest(problem, load, PlacementAim::MostAccurate, is_enough)?;
        Ok(shortest.map(|Shortest { model, found, kept_ms, refused_ms }| BestPlacement {
            model,
            found,
            objective: -kept_ms,
            bound: -refused_ms,
        }))
    }

    /// Returns the placement of the shortest SLO for which the best of an aim is enough, by bisection.
    fn shortest(
        &self,
        problem: &Problem,
        load: &LoadShares,
        aim: PlacementAim,
        is_enough: impl Fn(&FoundPlacement) -> bool,
    ) -> Result<Option<Shortest>, Error> {
        let within = |latency_ms: f64| -> Result<Option<(CascadeModel, FoundPlacement)>, Error> {
            let mut faster = problem.clone();
            faster.slo.latency_ms = Millis::saturating(latency_ms);
            let model = self.model(&faster)?;
            let found = model.solve(&faster, load, aim);
            Ok(found.filter(&is_enough).map(|found| (model, found)))
        };
        let (mut refused_ms, mut kept_ms) = (0.0, problem.slo.latency_ms.get());
        let Some(mut best) = within(kept_ms)? else { return Ok(None) };
        while kept_ms - refused_ms > fastest::WITHIN * kept_ms {
            let middle = 0.5 * (refused_ms + kept_ms);
            match within(middle)? {
                Some(found) => (kept_ms, best) = (middle, found),
                None => refused_ms = middle,
            }
        }
        Ok(Some(Shortest { model: best.0, found: best.1, kept_ms, refused_ms }))
    }

    /// Returns the best placement that aims at an accuracy over requests.
    pub(super) fn best_above(
        &self,
        problem: &Problem,
        load: &LoadShares,
        least: f64,
    ) -> Result<Option<BestPlacement>, Error> {
        let mut higher = problem.clone();
        higher.goal.mean_accuracy_at_least = Some(Accuracy::saturating(least));
        self.found(&higher, load)
    }

    /// Returns the best placement as its gears take turns, or one that aims higher where changes of gear cost it the asked
    /// accuracy over requests; the best itself where none keeps that.
    fn as_accurate_when_switched(
        &self,
        problem: &Problem,
        load: &LoadShares,
        best: BestPlacement,
    ) -> Result<Switched, Error> {
        let best = self.switched(problem, load, best);
        let least = target(problem).unwrap_or(0.0);
        // What the search takes for enough is enough here too: rounding must not make a plan dearer.
        let is_enough = |one: &Switched| one.accuracy() >= least - SUMS;
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
    pub(super) fn switched(&self, problem: &Problem, load: &LoadShares, best: BestPlacement) -> Switched {
        let BestPlacement { model, mut found, objective, bound } = best;
        let mut plan = decode::without_rule(problem, &self.ask.facts, &model, &found);
        let of = |kept: &[usize]| -> Vec<EnvelopeStep> { kept.iter().map(|&gear| found.steps[gear]).collect() };
        let least = target(problem).unwrap_or(0.0);
        let enough = |kept: &[usize]| envelope::accuracy_of(&of(kept), load) >= least;
        let decided = decode::decided(problem, &self.ask.facts, &model, &found, &plan, enough);
        if decided.kept.len() < found.steps.len() {
            found.steps = of(&decided.kept);
            plan = decode::without_rule(problem, &self.ask.facts, &model, &found);
        }
        decided.rule.write(&mut plan);
        let answered = decided.answered.unwrap_or_else(|| envelope::weights(&found.steps, load));
        Switched { best: BestPlacement { model, found, objective, bound }, plan, answered }
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
        let lost = if best.found.accuracy - objective > ROUNDING && problem.goal.kind == GoalKind::MostAccurate {
            "; changes between them, as played on the trace, are part of the gap"
        } else {
            ""
        };
        for gear in &mut plan.gears {
            let method = format!("{how}; gears are the envelope of what cascades carry{lost}");
            gear.certificate = Some(Certificate::new(objective, best.bound, method).stated_for(problem));
            gear.watch(&self.ask.facts);
        }
        plan.proof = self.proof(switched);
        plan
    }

    fn choice(&self, plan: &Plan, load: f64) -> Choice {
        what_runs(&self.asked, plan, load)
    }

    fn carries_up_to(&self, problem: &Problem, max_rps: f64) -> Result<bool, Error> {
        let load = self.load(max_rps);
        Ok(self.found(problem, &load)?.is_some())
    }
}

/// Returns what a plan on devices does at a load.
pub(crate) fn what_runs(problem: &Problem, plan: &Plan, load: f64) -> Choice {
    let gear = plan.gears[plan.gear_at(load)].clone();
    let usd_per_hour = gear.claims.cost_usd_per_hour.map(|usd| usd.get());
    let accelerated = |pool: &Pool| matches!(pool.on, Resource::Gpu { .. });
    let cores = |pool: &Pool| if accelerated(pool) { 0 } else { gear.replicas_of(pool) * pool.on.cores() };
    Choice {
        objective: gear.certificate.as_ref().map_or(f64::NAN, |certificate| certificate.objective),
        accuracy: gear.claims.accuracy.map_or(f64::NAN, |claim| claim.value.get()),
        usd_per_hour: usd_per_hour.filter(|_| problem.inventory.rents_whole()),
        cores_of: plan.placement.iter().map(|pool| (pool.name.clone(), cores(pool))).collect(),
        pools: plan.placement.iter().map(|pool| (pool.name.clone(), (pool.clone(), gear.replicas_of(pool)))).collect(),
        lanes: Vec::new(),
        gear,
    }
}

/// Returns a plan whose pools are called by what they hold too, so that those of several placements differ.
fn named_by_hosts(mut plan: Plan) -> Plan {
    let names: BTreeMap<String, String> = plan
        .placement
        .iter()
        .map(|pool| (pool.name.clone(), format!("{}-{}", pool.name, pool.hosts.join("+"))))
        .collect();
    plan.placement.iter_mut().for_each(|pool| pool.name.clone_from(&names[&pool.name]));
    for gear in &mut plan.gears {
        gear.replicas =
            std::mem::take(&mut gear.replicas).into_iter().map(|(name, up)| (names[&name].clone(), up)).collect();
        let utilisation = std::mem::take(&mut gear.claims.utilisation);
        gear.claims.utilisation = utilisation.into_iter().map(|(name, busy)| (names[&name].clone(), busy)).collect();
        for lane in gear.stages.iter_mut().flat_map(|stage| &mut stage.lanes) {
            lane.pool.clone_from(&names[&lane.pool]);
        }
    }
    plan
}
