//! Frontiers at several loads with what others would choose beside them: the format `planner.frontier/1`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FrontierPoint;
use super::baselines::best_alone;
use super::frontier::{frontier, of_fleet, of_variants};
use super::pipeline;
use super::replanned::RIM_REPLICAS;
use super::variant_set::{Model, OnMachines, Parts, variants_of};
use crate::base::codec::Document;
use crate::base::error::Error;
use crate::base::finding::{Code, Finding, Findings};
use crate::base::units::{Accuracy, Rate, Usd};
use crate::facts::{AtRisk, Facts};
use crate::problem::{Formulation, GoalKind, Problem, Room, Slo};

/// The name and version of the format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FrontierFormat {
    /// The only version so far.
    #[default]
    #[serde(rename = "planner.frontier/1")]
    V1,
}

/// What accuracy cores buy, load by load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Frontiers {
    /// Always `planner.frontier/1`.
    pub format: FrontierFormat,
    /// The problem's name.
    pub name: String,
    /// The latency objective that every choice keeps.
    pub slo: Slo,
    /// Choices: by load, then by who chose, then by cores.
    pub choices: Vec<FrontierChoice>,
}

impl Document for Frontiers {
    const FORMAT: &'static str = "planner.frontier/1";
    const NOUN: &'static str = "frontier";

    fn rules(&self) -> Findings {
        self.validate()
    }
}

/// One choice at one load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FrontierChoice {
    /// The load.
    pub load_rps: Rate,
    /// Who chose.
    pub by: Chooser,
    /// Cores in use.
    pub cores: u32,
    /// What they cost; where machines are rented, what those cost.
    pub cost_usd_per_hour: Usd,
    /// Machines of each kind, where they are rented.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub machines: BTreeMap<String, u32>,
    /// Accuracy over requests.
    pub accuracy: Accuracy,
    /// Cores of each variant in use.
    pub cores_of: BTreeMap<String, u32>,
}

/// Who chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Chooser {
    /// The exact frontier: no choice has fewer cores and is as accurate.
    Frontier,
    /// `variant-set`: the exact frontier of the published formulation.
    Published,
    /// `variant-set`: one variant alone on the fewest cores that carry the load.
    Single,
    /// `variant-set`: the single variant that is best by the problem's goal (model switching plus).
    MsPlus,
    /// `pipeline`: the least accurate variant of each stage on the fewest cores.
    Fa2Low,
    /// `pipeline`: the most accurate variant of each stage on the fewest cores.
    Fa2High,
    /// `pipeline`: the most accurate choice with so many replicas of every stage, from 1 to 4.
    Rim,
}

impl Chooser {
    /// Returns the name that tables carry.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Frontier => "frontier",
            Self::Published => "published",
            Self::Single => "single",
            Self::MsPlus => "ms-plus",
            Self::Fa2Low => "fa2-low",
            Self::Fa2High => "fa2-high",
            Self::Rim => "rim",
        }
    }
}

impl Frontiers {
    /// Returns the frontier of a problem at each of these loads, with what others would choose from the same facts; those that
    /// find no choice, or lack a fact, are left out.
    ///
    /// # Errors
    /// As [`frontier`].
    pub fn of(problem: &Problem, facts: &Facts, parts: &Parts, loads: &[f64]) -> Result<Self, Error> {
        if let Some(at_risk) = AtRisk::of(problem, facts) {
            return Self::of(&at_risk.problem, &at_risk.facts, parts, loads);
        }
        let price = problem.inventory.price_usd_per_core_hour.get();
        let mut choices = Vec::new();
        for &load in loads {
            let own = frontier(problem, facts, parts, load)?.into_iter().map(|point| (Chooser::Frontier, point));
            let others = match problem.room {
                Room::Pipeline => of_pipelines(problem, facts, parts, load)?,
                _ if !problem.inventory.rents_whole() => of_single_variants(problem, facts, parts, load)?,
                _ => of_variants_on_machines(problem, facts, parts, load)?,
            };
            choices.extend(own.chain(others).map(|(by, point)| FrontierChoice {
                load_rps: Rate::saturating(load),
                by,
                cores: point.cores,
                cost_usd_per_hour: Usd::saturating(
                    point.cost_usd_per_hour.unwrap_or_else(|| f64::from(point.cores) * price),
                ),
                machines: point.machines,
                accuracy: Accuracy::saturating(point.accuracy),
                cores_of: point.cores_of.into_iter().collect(),
            }));
        }
        Ok(Self { format: FrontierFormat::V1, name: problem.name.clone(), slo: problem.slo, choices })
    }

    /// Returns the loads, in order.
    #[must_use]
    pub fn loads(&self) -> Vec<f64> {
        let mut loads: Vec<f64> = self.choices.iter().map(|choice| choice.load_rps.get()).collect();
        loads.dedup();
        loads
    }

    /// Returns everything that is wrong between the fields.
    #[must_use]
    pub fn validate(&self) -> Findings {
        let mut findings = Findings::default();
        if self.choices.is_empty() {
            findings.push(Finding::error(Code::Empty, "choices", "there is no choice", "at least one"));
        }
        findings
    }

    /// Returns the choices as CSV with a header.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut text = "load_rps,by,cores,cost_usd_per_hour,accuracy,cores_of,machines\n".to_owned();
        for choice in &self.choices {
            let each = |of: &BTreeMap<String, u32>| {
                of.iter().map(|(name, count)| format!("{name}:{count}")).collect::<Vec<_>>().join(" ")
            };
            let row = [
                choice.load_rps.to_string(),
                choice.by.as_str().to_owned(),
                choice.cores.to_string(),
                choice.cost_usd_per_hour.to_string(),
                choice.accuracy.to_string(),
                each(&choice.cores_of),
                each(&choice.machines),
            ];
            text.push_str(&row.join(","));
            text.push('\n');
        }
        text
    }
}

fn of_single_variants(
    problem: &Problem,
    facts: &Facts,
    parts: &Parts,
    load: f64,
) -> Result<Vec<(Chooser, FrontierPoint)>, Error> {
    let model = Model::new(problem, facts, parts)?;
    let point = |name: &str, cores: u32, accuracy: f64| {
        FrontierPoint::on_cores(cores, accuracy, vec![(name.to_owned(), cores)])
    };
    let mut found = Vec::new();
    let asked = Problem { formulation: Formulation::Published, ..problem.clone() };
    match Model::new(&asked, facts, parts) {
        Ok(published) => {
            found.extend(of_variants(published.instance, load).into_iter().map(|point| (Chooser::Published, point)));
        }
        // Its line needs batch 1 on one core, which not every profile has.
        Err(Error::Input(_)) => {}
        Err(other) => return Err(other),
    }
    for (item, ways) in model.instance.items.iter().zip(&model.candidates) {
        if let Some(way) = ways.iter().find(|way| way.capacity >= load) {
            found.push((Chooser::Single, point(&item.name, way.cores(), item.accuracy)));
        }
    }
    if let Some((name, way)) = best_alone(&model, load) {
        let accuracy = facts.variant(&name).map_or(0.0, |variant| variant.accuracy.value.get());
        found.push((Chooser::MsPlus, point(&name, way.cores(), accuracy)));
    }
    Ok(found)
}

/// Each variant alone on the cheapest fleet, and the one that is best by the goal; the published formulation knows cores only.
fn of_variants_on_machines(
    problem: &Problem,
    facts: &Facts,
    parts: &Parts,
    load: f64,
) -> Result<Vec<(Chooser, FrontierPoint)>, Error> {
    let mut found = Vec::new();
    let mut best: Option<(f64, FrontierPoint)> = None;
    for variant in variants_of(problem, facts)? {
        let mut alone = Problem { variants: Some(vec![variant]), ..problem.clone() };
        let own = OnMachines::new(&alone, facts, parts)?;
        if let Some(chosen) = own.best_at(load)
            && best.as_ref().is_none_or(|(value, _)| chosen.value > *value)
        {
            best = Some((chosen.value, of_fleet(&own, &chosen, load)));
        }
        alone.goal.kind = GoalKind::Cheapest;
        alone.goal.accuracy_at_least = None;
        let cheapest = OnMachines::new(&alone, facts, parts)?;
        found.extend(cheapest.best_at(load).map(|chosen| (Chooser::Single, of_fleet(&cheapest, &chosen, load))));
    }
    found.extend(best.map(|(_, point)| (Chooser::MsPlus, point)));
    Ok(found)
}

fn of_pipelines(
    problem: &Problem,
    facts: &Facts,
    parts: &Parts,
    load: f64,
) -> Result<Vec<(Chooser, FrontierPoint)>, Error> {
    let mut found = Vec::new();
    for (chooser, most) in [(Chooser::Fa2Low, false), (Chooser::Fa2High, true)] {
        let fixed = pipeline::one_each(problem, facts, most);
        let cheapest = pipeline::frontier(&problem.with_variants(&fixed), facts, parts, load)?.into_iter().next();
        found.extend(cheapest.map(|point| (chooser, point)));
    }
    for replicas in RIM_REPLICAS {
        let fixed = pipeline::with_replicas(problem, facts, parts, load, replicas)?;
        found.extend(fixed.map(|point| (Chooser::Rim, point)));
    }
    Ok(found)
}
