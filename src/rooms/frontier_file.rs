//! Frontiers at several loads with what others would choose beside them: the format `planner.frontier/1`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::baselines::{RIM_REPLICAS, one_a_stage, with_replicas};
use super::{Choice, Freedom, Opened, Room, goal};
use crate::base::codec::Document;
use crate::base::error::Error;
use crate::base::finding::{Code, Finding, Findings};
use crate::base::units::{Accuracy, Rate, Usd};
use crate::facts::{Ask, Facts, Parts};
use crate::problem::{Problem, Slo};

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
    /// The frontier of the room's published formulation.
    Published,
    /// One variant alone on the fewest cores, or the cheapest machines, that carry the load.
    Single,
    /// The single variant that is best by the problem's goal (model switching plus).
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
    /// Returns the frontier of a problem at each of these loads, with what the paper and others would choose from the same facts; those that
    /// find no choice, or lack a fact, are left out.
    ///
    /// # Errors
    /// As [`frontier`](super::frontier()).
    pub fn new(
        (room, paper): (&dyn Room, Option<&dyn Room>),
        problem: &Problem,
        facts: &Facts,
        parts: &Parts,
        loads: &[f64],
    ) -> Result<Self, Error> {
        let ask = Ask::new(problem, facts).with_parts(parts);
        let price = problem.inventory.price_usd_per_core_hour.get();
        let mut choices = Vec::new();
        let own = room.open(&ask)?;
        let published = paper.map(|paper| left_out(paper.open(&ask))).transpose()?.flatten();
        let rivals = Rival::all(room, &ask)?;
        let without = rivals.iter().map(|rival| room.open(&rival.ask)).collect::<Result<Vec<_>, _>>()?;
        for &load in loads {
            let mut found: Vec<(Chooser, Choice)> =
                own.frontier(load)?.into_iter().map(|choice| (Chooser::Frontier, choice)).collect();
            if let Some(theirs) = published.as_ref().map(|published| left_out(published.frontier(load))).transpose()? {
                found.extend(theirs.into_iter().flatten().map(|choice| (Chooser::Published, choice)));
            }
            let mut theirs = Vec::new();
            for (rival, opened) in rivals.iter().zip(&without) {
                theirs.extend(rival.choice(opened.frontier(load)?));
            }
            theirs.extend(ms_plus(own.as_ref(), &ask.problem, &theirs));
            found.extend(theirs);
            choices.extend(found.into_iter().map(|(by, choice)| FrontierChoice {
                load_rps: Rate::saturating(load),
                by,
                cores: choice.cores(),
                cost_usd_per_hour: Usd::saturating(
                    choice.usd_per_hour.unwrap_or_else(|| f64::from(choice.cores()) * price),
                ),
                machines: choice.machines().clone(),
                accuracy: Accuracy::saturating(choice.accuracy),
                cores_of: choice.cores_of.into_iter().collect(),
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

/// A rival that chooses at every load from a frontier of its own.
struct Rival<'a> {
    by: Chooser,
    ask: Ask<'a>,
    /// Takes the most accurate choice; else the cheapest.
    most_accurate: bool,
}

impl<'a> Rival<'a> {
    /// Returns the room's own planner with each of its freedoms taken away in turn.
    ///
    /// # Errors
    /// A finding where a variant was not measured.
    fn all(room: &dyn Room, ask: &'a Ask<'a>) -> Result<Vec<Self>, Error> {
        let cheapest = |by, ask| Self { by, ask, most_accurate: false };
        let mut all = Vec::new();
        for freedom in room.freedoms() {
            match freedom {
                Freedom::Variants => {
                    let alone = |variant| cheapest(Chooser::Single, ask.only(&[variant]));
                    all.extend(ask.variants()?.into_iter().map(alone));
                }
                Freedom::StageVariants => {
                    for (by, most) in [(Chooser::Fa2Low, false), (Chooser::Fa2High, true)] {
                        all.push(cheapest(by, ask.only(&one_a_stage(ask, &ask.problem, most)?)));
                    }
                }
                Freedom::Replicas => all.extend(RIM_REPLICAS.map(|replicas| Self {
                    by: Chooser::Rim,
                    ask: ask.moved(with_replicas(&ask.problem, replicas)),
                    most_accurate: true,
                })),
                Freedom::Exits => {}
            }
        }
        Ok(all)
    }

    /// Returns its choice on a frontier, which is the cheapest first.
    fn choice(&self, frontier: Vec<Choice>) -> Option<(Chooser, Choice)> {
        let mut frontier = frontier.into_iter();
        let choice = if self.most_accurate { frontier.next_back() } else { frontier.next() };
        choice.map(|choice| (self.by, choice))
    }
}

/// Returns of the single variants the one that is best by the goal of a room that was opened.
fn ms_plus(own: &dyn Opened, problem: &Problem, rivals: &[(Chooser, Choice)]) -> Option<(Chooser, Choice)> {
    let single = |(by, choice): &&(Chooser, Choice)| {
        *by == Chooser::Single && goal::is_accurate_enough(problem, choice.accuracy)
    };
    let valued = rivals.iter().filter(single).map(|(_, choice)| (own.worth(choice), choice));
    let best = valued.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map(|(_, choice)| (Chooser::MsPlus, choice.clone()))
}

/// Returns nothing where a paper has no answer: its model rests on points that not every profile has, and knows some goals only.
fn left_out<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(Error::Input(_) | Error::Unsupported { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}
