//! Frontiers at several loads with what others would choose beside them: the format `planner.frontier/1`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FrontierPoint;
use super::baselines::best_alone;
use super::frontier::{frontier, of_variants};
use super::pipeline;
use super::variant_set::{Model, Parts};
use crate::error::Error;
use crate::facts::{AtRisk, Facts};
use crate::finding::{Code, Finding, Findings};
use crate::problem::{Formulation, Problem, Room, Slo};
use crate::units::{Accuracy, Rate, Usd};

/// Replicas of every stage that RIM is tried with.
const RIM_REPLICAS: std::ops::RangeInclusive<u32> = 1..=4;

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
    /// What they cost.
    pub cost_usd_per_hour: Usd,
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
                _ => of_single_variants(problem, facts, parts, load)?,
            };
            choices.extend(own.chain(others).map(|(by, point)| FrontierChoice {
                load_rps: Rate::saturating(load),
                by,
                cores: point.cores,
                cost_usd_per_hour: Usd::saturating(f64::from(point.cores) * price),
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
        let mut text = "load_rps,by,cores,cost_usd_per_hour,accuracy,cores_of\n".to_owned();
        for choice in &self.choices {
            let of: Vec<String> = choice.cores_of.iter().map(|(name, cores)| format!("{name}:{cores}")).collect();
            let row = [
                choice.load_rps.to_string(),
                choice.by.as_str().to_owned(),
                choice.cores.to_string(),
                choice.cost_usd_per_hour.to_string(),
                choice.accuracy.to_string(),
                of.join(" "),
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
    let point = |name: &str, cores: u32, accuracy: f64| FrontierPoint {
        cores,
        accuracy,
        cores_of: vec![(name.to_owned(), cores)],
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

fn of_pipelines(
    problem: &Problem,
    facts: &Facts,
    parts: &Parts,
    load: f64,
) -> Result<Vec<(Chooser, FrontierPoint)>, Error> {
    let accuracy = |name: &String| facts.variant(name).map_or(0.0, |variant| variant.accuracy.value.get());
    let mut found = Vec::new();
    for (chooser, sign) in [(Chooser::Fa2Low, -1.0), (Chooser::Fa2High, 1.0)] {
        let best = |names: &[String]| {
            names.iter().max_by(|a, b| (sign * accuracy(a)).total_cmp(&(sign * accuracy(b)))).cloned()
        };
        let fixed: Vec<Vec<String>> =
            problem.stages.iter().map(|stage| best(&stage.variants).into_iter().collect()).collect();
        let cheapest = pipeline::frontier(&problem.with_variants(&fixed), facts, parts, load)?.into_iter().next();
        found.extend(cheapest.map(|point| (chooser, point)));
    }
    for replicas in RIM_REPLICAS {
        let fixed = pipeline::with_replicas(problem, facts, parts, load, replicas)?;
        found.extend(fixed.map(|point| (Chooser::Rim, point)));
    }
    Ok(found)
}
