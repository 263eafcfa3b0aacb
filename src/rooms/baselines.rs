//! What people do without a planner, as plans of their own, so that one simulator compares them all.
//!
//! Every baseline is a room's own planner with a freedom taken away: the same facts at the same risk, SLO, peak, hardware and
//! prices, the same batching and the same closed form of capacity.
//!
//! - *single*: one variant on the cheapest hardware that carries the peak, all day;
//! - *autoscaled*: one variant whose replicas follow the load, by an oracle that sees the near future, by the plan's own
//!   switch rule (reactive), or as Kubernetes' horizontal pod autoscaler does (80 % of capacity, a look every 15 s, down
//!   after 300 s);
//! - *switching*: all hardware for one variant at a time, the most accurate that carries the load;
//! - *ms+*: one variant at a time on the cheapest hardware that carries the load, the best by the problem's own goal (model
//!   switching plus, InfAdapter's strongest rival);
//! - *static cascade*: the most accurate cascade that carries the peak, all day;
//! - *static*: the plan's last gear, all day;
//! - *fa2-low*, *fa2-high*: one variant for each stage, the least or the most accurate, on the cheapest hardware that carries
//!   the load;
//! - *rim N*: N replicas of each stage at every load, with the most accurate variants that carry it.

use std::time::Duration;

use super::gears::{best_of, merged};
use super::{Cascades, Freedom, Planned, Room};
use crate::base::error::Error;
use crate::base::units::{Accuracy, Millis, Rate, Share};
use crate::facts::{Ask, Facts};
use crate::plan::{Plan, Switch};
use crate::problem::{CascadeSettings, GoalKind, Problem, RoomSettings};
use crate::simulate::Controller;

/// Replicas of each stage that RIM is tried with.
pub(super) const RIM_REPLICAS: std::ops::RangeInclusive<u32> = 1..=4;
/// Part of what a variant can carry at most that is asked of it: no rounding takes that away.
const NEARLY: f64 = 1.0 - 1e-6;
/// How many times the asked load a single variant is asked for, to find what it carries at most.
const BEYOND: f64 = 1e3;

/// A kind of baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BaselineKind {
    /// One variant, sized for the peak.
    Single,
    /// One variant, scaled by an oracle.
    AutoscaledOracle,
    /// One variant, scaled by the plan's switch rule.
    AutoscaledReactive,
    /// One variant, scaled as Kubernetes does.
    AutoscaledThreshold,
    /// The most accurate single variant that carries the load on all hardware.
    Switching,
    /// The single variant that is best by the problem's goal, on the cheapest hardware that carries the load.
    SwitchingPlus,
    /// The most accurate cascade that carries the peak, at every load.
    StaticCascade,
    /// The plan's last gear at every load.
    Static,
    /// The least accurate variant of each stage, on the cheapest hardware that carries the load (FA2-low).
    Fa2Low,
    /// The most accurate variant of each stage, on the cheapest hardware that carries the load (FA2-high).
    Fa2High,
    /// So many replicas of each stage, with the most accurate variants that carry the load (RIM).
    Rim,
}

impl BaselineKind {
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

    /// Returns every kind that a room has.
    pub fn of_room(room: &dyn Room) -> Vec<Self> {
        let freedoms = room.freedoms();
        let has = |kind: &Self| kind.taken().is_none_or(|taken| freedoms.contains(&taken));
        Self::ALL.into_iter().filter(has).collect()
    }

    /// Returns the freedom that is taken away; any room's plan has a last gear.
    const fn taken(self) -> Option<Freedom> {
        match self {
            Self::Static => None,
            Self::StaticCascade => Some(Freedom::Exits),
            Self::Fa2Low | Self::Fa2High => Some(Freedom::StageVariants),
            Self::Rim => Some(Freedom::Replicas),
            _ => Some(Freedom::Variants),
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
pub struct BaselineRules {
    /// How far oracles see.
    pub look_ahead: Duration,
    /// Keep variants that cannot carry the plan's peak: they get all hardware, and break their SLO when it comes.
    pub overloaded: bool,
}

/// Returns the baselines of a kind for the peak that a plan carries; those that cannot carry it are left out, unless the
/// rules keep them.
///
/// # Errors
/// As `solve`; [`Error::Unsupported`] where the room lacks the freedom that the kind takes away.
pub fn baselines(
    room: &dyn Room,
    kind: BaselineKind,
    plan: &Plan,
    problem: &Problem,
    facts: &Facts,
    rules: BaselineRules,
) -> Result<Vec<Baseline>, Error> {
    if let Some(taken) = kind.taken().filter(|taken| !room.freedoms().contains(taken)) {
        return Err(Error::Unsupported {
            what: format!(
                "plans of the room `{}` do not have the freedom that this baseline takes away: {}",
                problem.room.name().as_str(),
                taken.as_str()
            ),
            hint: "leave it out, or ask for `all`".to_owned(),
        });
    }
    let at_risk = Ask::new(problem, facts);
    let ask = at_risk.without_load();
    let asked = unproved(&up_to_the_peak_of(plan, &ask.problem));
    let maker = Maker { room, plan, asked, ask: &ask, rules };
    match kind {
        BaselineKind::Static => Ok(vec![maker.last_gear()]),
        BaselineKind::StaticCascade => maker.static_cascade(),
        BaselineKind::Switching => maker.switching(),
        BaselineKind::SwitchingPlus => maker.switching_plus(),
        BaselineKind::Fa2Low => maker.one_variant_a_stage("fa2-low", false),
        BaselineKind::Fa2High => maker.one_variant_a_stage("fa2-high", true),
        BaselineKind::Rim => maker.fixed_replicas(),
        single => maker.one_variant_each(single),
    }
}

/// Returns the problem for the peak that a plan carries, with a gear wherever the best changes, in our own words.
fn up_to_the_peak_of(plan: &Plan, problem: &Problem) -> Problem {
    let mut moved = problem.clone();
    moved.workload.max_rps = Rate::saturating(plan.max_rps());
    moved.goal.gears_at_most = None;
    moved.room = problem.room.tail_aware();
    moved
}

/// Returns the problem without anything to prove: rivals prove nothing.
fn unproved(problem: &Problem) -> Problem {
    let mut moved = problem.clone();
    if let RoomSettings::Cascade(settings) = &mut moved.room {
        *settings = CascadeSettings { certify: false, reference: None, loss_at_most: None, ..settings.clone() };
    }
    moved
}

/// Returns the problem of the cheapest plan, however accurate.
pub(super) fn cheapest(problem: &Problem) -> Problem {
    let mut moved = problem.clone();
    moved.goal.kind = GoalKind::Cheapest;
    moved.goal.accuracy_at_least = Some(Accuracy::saturating(0.0));
    moved.goal.mean_accuracy_at_least = None;
    moved.goal.cores_at_most = None;
    moved
}

/// Returns the problem of the most accurate plan on all hardware.
pub(super) fn most_accurate(problem: &Problem) -> Problem {
    let mut moved = cheapest(problem);
    moved.goal.kind = GoalKind::MostAccurate;
    moved.goal.accuracy_at_least = None;
    moved
}

/// Returns for each stage its most or its least accurate variant.
///
/// # Errors
/// A finding where a variant was not measured.
pub(super) fn one_a_stage(ask: &Ask<'_>, problem: &Problem, most: bool) -> Result<Vec<String>, Error> {
    let sign = if most { 1.0 } else { -1.0 };
    let mut names = Vec::new();
    for stage in problem.stages() {
        let mut best: Option<(f64, &String)> = None;
        for name in &stage.variants {
            let accuracy = sign * ask.accuracy(name)?;
            if best.is_none_or(|(known, _)| accuracy >= known) {
                best = Some((accuracy, name));
            }
        }
        names.extend(best.map(|(_, name)| name.clone()));
    }
    Ok(names)
}

/// Returns the problem of a pipeline with so many replicas of every stage.
pub(super) fn with_replicas(problem: &Problem, replicas: u32) -> Problem {
    let mut moved = problem.clone();
    if let RoomSettings::Pipeline(settings) = &mut moved.room {
        settings.replicas = Some(replicas);
    }
    moved
}

/// Makes the baselines of one plan.
struct Maker<'a> {
    room: &'a dyn Room,
    plan: &'a Plan,
    /// The problem for the peak that the plan carries.
    asked: Problem,
    ask: &'a Ask<'a>,
    rules: BaselineRules,
}

impl Maker<'_> {
    fn last_gear(&self) -> Baseline {
        let gears = self.plan.gears.last().cloned().into_iter().collect();
        let plan = Plan { gears, ..self.plan.clone() };
        Baseline { name: "static: the plan's last gear".to_owned(), plan, controller: Controller::Switch }
    }

    /// Returns the room's plan of a problem; `None` where some load is not carried.
    fn planned(&self, room: &dyn Room, ask: &Ask<'_>) -> Result<Option<Plan>, Error> {
        Ok(match room.open(ask)?.plan()? {
            Planned::Plan(plan) => Some(Plan { slo: ask.problem.slo, ..*plan }),
            Planned::NotCarried | Planned::Conflict(_) => None,
        })
    }

    /// Returns a baseline that changes gears by the plan's own rule.
    fn named(&self, name: String, made: Plan) -> Baseline {
        let plan = Plan { switch: self.plan.switch, provenance: self.plan.provenance.clone(), ..made };
        Baseline { name, plan, controller: Controller::Switch }
    }

    /// Plans a problem with one variant alone. Where it cannot carry the peak it is planned for what it can, if it is to be kept.
    fn alone(&self, problem: &Problem, variant: &String, keep: bool) -> Result<Option<Plan>, Error> {
        let mut asked = problem.clone();
        if keep {
            let most = self.most_alone(&asked, variant)?;
            if most <= 0.0 {
                return Ok(None);
            }
            asked.workload.max_rps = Rate::saturating(asked.workload.max_rps.get().min(most));
        }
        self.planned(self.room, &self.ask.moved(asked).only(std::slice::from_ref(variant)))
    }

    /// Returns the highest load that a variant carries alone, also beyond what is asked for.
    fn most_alone(&self, asked: &Problem, variant: &String) -> Result<f64, Error> {
        let ask = self.ask.only(std::slice::from_ref(variant));
        let mut beyond = asked.clone();
        beyond.workload.max_rps = Rate::saturating(BEYOND * asked.workload.max_rps.get());
        Ok(self.room.open(&ask)?.max_load(&beyond)?.load * NEARLY)
    }

    fn one_variant_each(&self, kind: BaselineKind) -> Result<Vec<Baseline>, Error> {
        let cheapest = cheapest(&self.asked);
        let mut found = Vec::new();
        for variant in self.ask.variants()? {
            let Some(mut plan) = self.alone(&cheapest, &variant, self.rules.overloaded)? else { continue };
            if kind == BaselineKind::Single {
                let last = plan.gears.len() - 1;
                plan.gears.drain(..last);
            } else {
                plan = self.room.with_replicas_that_follow(plan, self.ask);
            }
            let (word, switch, controller) = match kind {
                BaselineKind::AutoscaledOracle => {
                    ("oracle", self.plan.switch, Controller::Lookahead(self.rules.look_ahead))
                }
                BaselineKind::AutoscaledReactive => ("reactive", self.plan.switch, Controller::Switch),
                BaselineKind::AutoscaledThreshold => ("threshold", threshold(self.plan.switch), Controller::Switch),
                _ => ("single", self.plan.switch, Controller::Switch),
            };
            let plan = Plan { switch, provenance: self.plan.provenance.clone(), ..plan };
            found.push(Baseline { name: format!("{word} {variant}"), plan, controller });
        }
        Ok(found)
    }

    /// On all that there is, each variant that is more accurate than all that carry more.
    fn switching(&self) -> Result<Vec<Baseline>, Error> {
        let moved = most_accurate(&self.asked);
        if let Some(alone) = self.room.one_variant_at_a_time(&moved) {
            return self.of_room("switching", alone);
        }
        let mut most: Vec<(f64, f64, Plan)> = Vec::new();
        for variant in self.ask.variants()? {
            let mut asked = moved.clone();
            let load = self.most_alone(&asked, &variant)?;
            if load <= 0.0 {
                continue;
            }
            asked.workload.max_rps = Rate::saturating(load);
            let ask = self.ask.moved(asked);
            if let Some(plan) = self.planned(self.room, &ask.only(std::slice::from_ref(&variant)))? {
                most.push((load, self.ask.accuracy(&variant)?, plan));
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
        if let Some(alone) = self.room.one_variant_at_a_time(&self.asked) {
            return self.of_room("ms+", alone);
        }
        let mut plans = Vec::new();
        for variant in self.ask.variants()? {
            plans.extend(self.alone(&self.asked, &variant, true)?);
        }
        let mut ends: Vec<f64> = plans.iter().flat_map(|plan| &plan.gears).map(|gear| gear.up_to_rps.get()).collect();
        ends.sort_by(f64::total_cmp);
        ends.dedup();
        let carries = ends.last().is_some_and(|most| *most >= self.plan.max_rps() * NEARLY);
        if !carries && !self.rules.overloaded {
            return Ok(Vec::new());
        }
        Ok(self.together("ms+", ends.into_iter().filter_map(|end| best_of(&self.asked, &plans, end)).collect()))
    }

    /// The room `cascade` on the same hardware, with one gear.
    fn static_cascade(&self) -> Result<Vec<Baseline>, Error> {
        let mut asked = most_accurate(&self.asked);
        asked.goal.gears_at_most = Some(1);
        if !matches!(asked.room, RoomSettings::Cascade(_)) {
            let variants = Some(self.ask.variants()?);
            asked.room = RoomSettings::Cascade(CascadeSettings {
                variants,
                certify: false,
                max_length: 2,
                ..Default::default()
            });
        }
        let plan = match self.planned(&Cascades, &self.ask.moved(asked)) {
            Ok(plan) => plan,
            // A cascade needs certainties, which not every profile has.
            Err(Error::Input(_)) => None,
            Err(other) => return Err(other),
        };
        let name = |plan: &Plan| {
            let stages: Vec<&str> = plan.gears[0].stages.iter().map(|stage| stage.name.as_str()).collect();
            format!("static cascade {}", stages.join(" > "))
        };
        Ok(plan.map(|plan| self.named(name(&plan), plan)).into_iter().collect())
    }

    fn one_variant_a_stage(&self, name: &str, most: bool) -> Result<Vec<Baseline>, Error> {
        let fixed = one_a_stage(self.ask, &self.asked, most)?;
        let plan = self.planned(self.room, &self.ask.moved(cheapest(&self.asked)).only(&fixed))?;
        Ok(plan.map(|plan| self.named(name.to_owned(), plan)).into_iter().collect())
    }

    fn fixed_replicas(&self) -> Result<Vec<Baseline>, Error> {
        let mut found = Vec::new();
        for replicas in RIM_REPLICAS {
            let asked = with_replicas(&most_accurate(&self.asked), replicas);
            let plan = self.planned(self.room, &self.ask.moved(asked))?;
            found.extend(plan.map(|plan| self.named(format!("rim {replicas}"), plan)));
        }
        Ok(found)
    }

    /// Returns the room's own plan of a problem, which changes gears by its own rule.
    fn of_room(&self, name: &str, problem: Problem) -> Result<Vec<Baseline>, Error> {
        let plan = self.planned(self.room, &self.ask.moved(problem))?;
        let named = |plan: Plan| Baseline {
            name: name.to_owned(),
            plan: Plan { provenance: self.plan.provenance.clone(), ..plan },
            controller: Controller::Switch,
        };
        Ok(plan.map(named).into_iter().collect())
    }

    /// Puts gears of several plans together, each up to a load, the lowest first; nothing where there are none.
    fn together(&self, name: &str, parts: Vec<(f64, &Plan, usize)>) -> Vec<Baseline> {
        let (placement, gears) = merged(&parts);
        if gears.is_empty() {
            return Vec::new();
        }
        let plan = Plan { gears, placement, transfers: Vec::new(), ..self.plan.clone() };
        vec![Baseline { name: name.to_owned(), plan, controller: Controller::Switch }]
    }
}

/// Returns the rule of Kubernetes' horizontal pod autoscaler.
fn threshold(switch: Switch) -> Switch {
    Switch {
        window_ms: Millis::saturating(15e3),
        up: Share::saturating(0.8),
        down: Share::saturating(0.8),
        dwell_ms: Millis::saturating(300e3),
        ..switch
    }
}
