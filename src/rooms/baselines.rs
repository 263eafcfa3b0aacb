//! What people do without a planner, as plans of their own, so that one simulator compares them all.
//!
//! Every baseline gets the same facts, SLO, peak, cores and prices, the same batching and the same closed form of
//! capacity as the planner; it only lacks the planner's freedom:
//!
//! - *single*: one variant with the fewest cores that carry the peak, all day;
//! - *autoscaled*: one variant whose replicas follow the load, by an oracle that sees the near future, by the plan's own
//!   switch rule (reactive), or as Kubernetes' horizontal pod autoscaler does (80 % of capacity, a look every 15 s, down
//!   after 300 s);
//! - *switching*: all cores for one variant at a time, the most accurate that carries the load;
//! - *ms+*: one variant at a time with the fewest cores that carry the load, the best by the problem's own goal (model
//!   switching plus, InfAdapter's strongest rival);
//! - *cascade*: the best cascade of two variants that carries the peak, all day;
//! - *static*: the plan's last gear, all day;
//! - *fa2-low*, *fa2-high*, *rim*: a pipeline's, see [`replanned`].

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::error::Error;
use crate::base::units::{Millis, Rate, Share};
use crate::facts::Facts;
use crate::plan::{Claims, Gear, Plan, Pool, Switch};
use crate::problem::{Problem, Room};
use crate::simulate::Controller;

use super::cascade;
use super::gears::lane;
use super::hardware::{pool, pool_name, widen};
use super::replanned;
use super::static_cascade::static_cascade;
use super::variant_set::{Candidate, Model, Parts, candidates, one_stage, variants_of};

/// A kind of baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// One variant, sized for the peak.
    Single,
    /// One variant, scaled by an oracle.
    AutoscaledOracle,
    /// One variant, scaled by the plan's switch rule.
    AutoscaledReactive,
    /// One variant, scaled as Kubernetes does.
    AutoscaledThreshold,
    /// The most accurate single variant that carries the load on all cores.
    Switching,
    /// The single variant that is best by the problem's goal, with the fewest cores that carry the load.
    SwitchingPlus,
    /// The most accurate cascade of two variants that carries the peak, at every load.
    StaticCascade,
    /// The plan's last gear at every load.
    Static,
    /// `pipeline`: the least accurate variant of each stage, with the fewest cores that carry the load (FA2-low).
    Fa2Low,
    /// `pipeline`: the most accurate variant of each stage, with the fewest cores that carry the load (FA2-high).
    Fa2High,
    /// `pipeline`: so many replicas of each stage, with the most accurate variants that carry the load (RIM).
    Rim,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Single,
        Self::AutoscaledOracle,
        Self::AutoscaledReactive,
        Self::AutoscaledThreshold,
        Self::Switching,
        Self::SwitchingPlus,
        Self::StaticCascade,
        Self::Static,
        Self::Fa2Low,
        Self::Fa2High,
        Self::Rim,
    ];

    /// Returns every kind that a problem has.
    #[must_use]
    pub fn of(problem: &Problem) -> Vec<Self> {
        Self::ALL.into_iter().filter(|kind| kind.is_of(problem)).collect()
    }

    fn is_of(self, problem: &Problem) -> bool {
        let packs = problem.room != Room::Cascade && !problem.inventory.machines.is_empty();
        match self {
            Self::Static => true,
            Self::Fa2Low | Self::Fa2High | Self::Rim => problem.room == Room::Pipeline,
            Self::StaticCascade if packs => false,
            _ => problem.room != Room::Pipeline,
        }
    }
}

/// A plan to compare with, and who changes its gears.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    /// What it is, like `single cnn_l`.
    pub name: String,
    /// What it does at which load.
    pub plan: Plan,
    /// Who changes gears.
    pub controller: Controller,
}

/// What baselines are given beside the facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How far oracles see.
    pub look_ahead: Duration,
    /// Keep variants that cannot carry the plan's peak: they get all cores, and break their SLO when it comes.
    pub overloaded: bool,
}

/// Returns the baselines of a kind for the peak that a plan carries; those that cannot carry it are left out, unless the
/// rules keep them.
///
/// # Errors
/// As [`solve`](super::solve): facts that are missing.
pub fn baselines(
    kind: Kind,
    plan: &Plan,
    problem: &Problem,
    facts: &Facts,
    rules: Rules,
) -> Result<Vec<Baseline>, Error> {
    if !kind.is_of(problem) {
        let (what, hint) = match problem.room {
            Room::Pipeline => (
                "single variants, cascades and switching are no baselines of a pipeline",
                "`static`, `fa2-low`, `fa2-high` and `rim` are",
            ),
            _ if matches!(kind, Kind::StaticCascade) => {
                ("the cascade of two does not know machines (`inventory.machines`)", "leave it out, or ask for `all`")
            }
            _ => ("FA2 and RIM are baselines of a pipeline", "leave them out, or ask for `all`"),
        };
        return Err(Error::Unsupported { what: what.to_owned(), hint: hint.to_owned() });
    }
    let maker = Maker { plan, problem, facts, rules };
    match kind {
        Kind::Static => Ok(vec![maker.fixed()]),
        _ if problem.room == Room::Cascade => maker.on_devices(kind),
        _ if problem.room == Room::Pipeline => replanned::pipelines(kind, plan, problem, facts),
        _ if !problem.inventory.machines.is_empty() => replanned::on_machines(kind, plan, (problem, facts), rules),
        Kind::Switching => Ok(vec![maker.switching()?]),
        Kind::SwitchingPlus => Ok(maker.switching_plus()?.into_iter().collect()),
        Kind::StaticCascade => Ok(maker.cascade()?.into_iter().collect()),
        single => maker.one_variant_each(single),
    }
}

struct Maker<'a> {
    plan: &'a Plan,
    problem: &'a Problem,
    facts: &'a Facts,
    rules: Rules,
}

impl Maker<'_> {
    fn fixed(&self) -> Baseline {
        let gears = self.plan.gears.last().cloned().into_iter().collect();
        let plan = Plan { gears, ..self.plan.clone() };
        Baseline { name: "static: the plan's last gear".to_owned(), plan, controller: Controller::Switch }
    }

    fn cascade(&self) -> Result<Option<Baseline>, Error> {
        let plan = static_cascade(self.plan, self.problem, self.facts)?;
        let name = |plan: &Plan| {
            let hosts: Vec<_> = plan.placement.iter().flat_map(|pool| &pool.hosts).map(String::as_str).collect();
            format!("static cascade {}", hosts.join(" > "))
        };
        Ok(plan.map(|plan| Baseline { name: name(&plan), plan, controller: Controller::Switch }))
    }

    /// On the devices of a cascade's inventory, by the room's own planner with less freedom.
    fn on_devices(&self, kind: Kind) -> Result<Vec<Baseline>, Error> {
        let mut problem = self.problem.clone();
        problem.workload.max_rps = Rate::saturating(self.plan.max_rps());
        let (facts, overloaded) = (self.facts, self.rules.overloaded);
        // Each changes gear by the rule that suits its own gears.
        let named = |name: String, plan: Plan, controller: Controller| {
            let plan = Plan { provenance: self.plan.provenance.clone(), ..plan };
            Baseline { name, plan, controller }
        };
        let one = |name: &str, plan: Option<Plan>| {
            Ok(plan.map(|plan| named(name.to_owned(), plan, Controller::Switch)).into_iter().collect())
        };
        match kind {
            Kind::Switching => return one("switching", cascade::baselines::switching(&problem, facts)?),
            Kind::SwitchingPlus => return one("ms+", cascade::baselines::switching_plus(&problem, facts)?),
            Kind::StaticCascade => return one("static cascade", cascade::baselines::static_cascade(&problem, facts)?),
            _ => {}
        }
        let mut found = Vec::new();
        for variant in variants_of(&problem, facts)? {
            let (word, scales, controller) = match kind {
                Kind::AutoscaledOracle => ("oracle", true, Controller::Lookahead(self.rules.look_ahead)),
                Kind::AutoscaledReactive => ("reactive", true, Controller::Switch),
                Kind::AutoscaledThreshold => ("threshold", true, Controller::Switch),
                _ => ("single", false, Controller::Switch),
            };
            let make = if scales { cascade::baselines::autoscaled } else { cascade::baselines::single };
            let Some(mut plan) = make(&problem, facts, &variant, overloaded)? else { continue };
            if kind == Kind::AutoscaledThreshold {
                plan.switch = threshold(plan.switch);
            }
            found.push(named(format!("{word} {variant}"), plan, controller));
        }
        Ok(found)
    }

    /// On all cores, each variant that is more accurate than all that carry more.
    fn switching(&self) -> Result<Baseline, Error> {
        let mut best: Vec<(String, Candidate)> = Vec::new();
        for name in variants_of(self.problem, self.facts)? {
            best.extend(candidates(self.problem, self.facts, &name)?.pop().map(|way| (name, way)));
        }
        let accuracy = |name: &str| self.facts.variant(name).map_or(0.0, |variant| variant.accuracy.value.get());
        best.sort_by(|a, b| b.1.capacity.total_cmp(&a.1.capacity));
        let mut kept: Vec<(String, Candidate)> = Vec::new();
        for (name, way) in best {
            if kept.last().is_none_or(|(last, _)| accuracy(&name) > accuracy(last)) {
                kept.push((name, way));
            }
        }
        kept.reverse();
        let peak = self.plan.max_rps();
        let needed = kept.iter().position(|(_, way)| way.capacity >= peak).map_or(kept.len(), |last| last + 1);
        kept.truncate(needed);
        let plan = self.plan_of(each_to_its_capacity(kept), self.plan.switch);
        Ok(Baseline { name: "switching".to_owned(), plan, controller: Controller::Switch })
    }

    /// At every load the one variant that is best by the problem's goal; `None` where no variant alone can be.
    ///
    /// What a variant needs only changes at its capacities, so that the best is the same from one of all variants'
    /// capacities to the next.
    fn switching_plus(&self) -> Result<Option<Baseline>, Error> {
        let model = Model::new(self.problem, self.facts, &Parts::new())?;
        let mut ends: Vec<f64> = model.candidates.iter().flatten().map(|way| way.capacity).collect();
        ends.sort_by(f64::total_cmp);
        ends.dedup();
        let peak = self.plan.max_rps();
        let needed = ends.iter().position(|&end| end >= peak).map_or(ends.len(), |last| last + 1);
        let mut ways: Vec<(f64, String, Candidate)> = Vec::new();
        for &end in &ends[..needed] {
            let Some((variant, way)) = best_alone(&model, end) else { return Ok(None) };
            match ways.last_mut() {
                Some((last, name, kept)) if *name == variant && *kept == way => *last = end,
                _ => ways.push((end, variant, way)),
            }
        }
        let carries = ways.last().is_some_and(|way| way.0 >= peak) || self.rules.overloaded && !ways.is_empty();
        let plan = self.plan_of(ways, self.plan.switch);
        Ok(carries.then(|| Baseline { name: "ms+".to_owned(), plan, controller: Controller::Switch }))
    }

    fn one_variant_each(&self, kind: Kind) -> Result<Vec<Baseline>, Error> {
        let mut found = Vec::new();
        for name in variants_of(self.problem, self.facts)? {
            let mut ways = candidates(self.problem, self.facts, &name)?;
            let carries = ways.iter().position(|way| way.capacity >= self.plan.max_rps());
            let most = ways.len().checked_sub(1).filter(|_| self.rules.overloaded);
            let Some(enough) = carries.or(most) else { continue };
            ways.truncate(enough + 1);
            if kind == Kind::Single {
                ways.drain(..enough);
            }
            let (word, switch, controller) = match kind {
                Kind::AutoscaledOracle => ("oracle", self.plan.switch, Controller::Lookahead(self.rules.look_ahead)),
                Kind::AutoscaledReactive => ("reactive", self.plan.switch, Controller::Switch),
                Kind::AutoscaledThreshold => ("threshold", threshold(self.plan.switch), Controller::Switch),
                _ => ("single", self.plan.switch, Controller::Switch),
            };
            let plan = self.plan_of(each_to_its_capacity(ways.into_iter().map(|way| (name.clone(), way))), switch);
            found.push(Baseline { name: format!("{word} {name}"), plan, controller });
        }
        Ok(found)
    }

    /// One gear for each way, in the order given, which is that of the loads up to which they serve.
    fn plan_of(&self, ways: Vec<(f64, String, Candidate)>, switch: Switch) -> Plan {
        let mut pools: BTreeMap<String, Pool> = BTreeMap::new();
        for (_, variant, way) in &ways {
            widen(&mut pools, pool(self.problem, variant, way));
        }
        let replicas = |variant: &str, way: &Candidate| {
            let up = |name: &String| if *name == pool_name(variant, way) { way.replicas } else { 0 };
            pools.keys().map(|name| (name.clone(), up(name))).collect()
        };
        let gear = |(until, variant, way): &(f64, String, Candidate)| Gear {
            up_to_rps: Rate::saturating(*until),
            replicas: replicas(variant, way),
            packing: Vec::new(),
            under_way_at_most: None,
            window_ms: None,
            stages: vec![one_stage(vec![lane(variant, way, 1.0)])],
            claims: Claims::default(),
            certificate: None,
        };
        let gears = ways.iter().map(gear).collect();
        Plan { gears, placement: pools.into_values().collect(), transfers: Vec::new(), switch, ..self.plan.clone() }
    }
}

/// Lets every way serve as much as it can.
fn each_to_its_capacity(ways: impl IntoIterator<Item = (String, Candidate)>) -> Vec<(f64, String, Candidate)> {
    ways.into_iter().map(|(variant, way)| (way.capacity, variant, way)).collect()
}

/// Returns the variant that alone is best at a load, with the fewest cores that carry it; of equals the fewer cores.
pub(super) fn best_alone(model: &Model, load: f64) -> Option<(String, Candidate)> {
    let alone = model.candidates.iter().enumerate().filter_map(|(index, ways)| {
        let way = ways.iter().find(|way| way.capacity >= load)?;
        let mut cores = vec![0; model.candidates.len()];
        cores[index] = way.cores();
        Some((model.instance.evaluate(&cores, load)?.value, index, way))
    });
    let (_, index, way) = alone.max_by(|a, b| a.0.total_cmp(&b.0).then(b.2.cores().cmp(&a.2.cores())))?;
    Some((model.instance.items[index].name.clone(), way.clone()))
}

/// Kubernetes' horizontal pod autoscaler: a look every 15 s, down after 300 s; 80 % is what people ask of it.
pub(super) fn threshold(switch: Switch) -> Switch {
    Switch {
        window_ms: Millis::saturating(15e3),
        up: Share::saturating(0.8),
        down: Share::saturating(0.8),
        dwell_ms: Millis::saturating(300e3),
        ..switch
    }
}
