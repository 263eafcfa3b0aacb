//! What to do: a placement that stays, and gears that change with load.
//!
//! ```text
//! request ─▶ stage ─▶ dispatch ─▶ lane (variant on a pool, with a batch rule) ─▶ exit early? ─▶ next stage ─▶ answer
//! ```
//!
//! Every room's answer is such a walk, and nothing downstream asks which room it came from. This file holds the nouns
//! of `planner.plan/1`; each verb is a sibling file.

mod accuracy;
mod changed;
mod check;
mod claims;
mod diff;
mod exit;
mod facts;
mod gear_rule;
mod head_room;
pub mod law;
mod offered;
mod optimality;
mod packing;
mod periods;
mod proof;
mod provenance;
mod transitions;
mod validate;
mod watch;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::codec::Document;
use crate::base::finding::Findings;
use crate::base::graph;
use crate::base::units::{Certainty, Factor, Millis, Rate, Share};
use crate::problem::{Machine, Resource, Slo};

pub use accuracy::of_pipeline as pipeline_accuracy;
pub use changed::facts_changed;
pub use check::{Tolerance, check, latency_ms};
pub(crate) use check::{latency_claim, latency_trust};
pub use claims::{
    AccuracyClaim, Against, Certificate, Claims, GearTried, LatencyClaim, LatencyTried, ObjectiveUnit, Proof,
};
pub use diff::{GearDiff, Move, PlanDiff, Ratio, Side, diff, diff_with};
pub use gear_rule::{GearRule, RuledGear};
pub use head_room::{AtPeak, HeadRoom, HoldsUpTo};
pub use law::{Passage, Turns};
pub use optimality::Optimality;
pub use periods::{Day, DayTotal, Period};
pub use provenance::{DayCut, Input, InputRole, Provenance};
pub use transitions::Overlap;
pub use watch::Watch;

/// The name and version of the plan format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PlanFormat {
    /// The only version so far.
    #[default]
    #[serde(rename = "planner.plan/1")]
    V1,
}

/// A decision, the claims it makes, and how it was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Always `planner.plan/1`.
    pub format: PlanFormat,
    /// A name for people.
    pub name: String,
    /// The latency objective that requests are judged by.
    pub slo: Slo,
    /// Kinds of machines that pools may be on, as the problem gives them; none where pools have resources of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub machines: Vec<Machine>,
    /// Every pool that any gear uses.
    pub placement: Vec<Pool>,
    /// Time on the way between pools; none where not named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transfers: Vec<Transfer>,
    /// What to do at which load, in increasing order of load; with `periods` in any order.
    pub gears: Vec<Gear>,
    /// When to change gear.
    pub switch: Switch,
    /// The periods of a known day, one after the other: gears change by the clock, not by the rate. The last one stays after
    /// the end of the day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub periods: Vec<Period>,
    /// What the day of `periods` comes to; absent where it was not worked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<Day>,
    /// What is proved about the accuracy over the requests of all loads; absent where nothing was proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// How the plan was found, and from what.
    pub provenance: Provenance,
}

impl Document for Plan {
    const FORMAT: &'static str = "planner.plan/1";
    const NOUN: &'static str = "plan";

    fn rules(&self) -> Findings {
        self.validate()
    }
}

/// Replicas of one kind that host the same variants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// The name used by lanes.
    pub name: String,
    /// What one replica runs on.
    pub on: Resource,
    /// The kind of machine that its replicas are packed onto: its facts hold, and it is paid whole. Its own resource, at
    /// its own price, where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// Most replicas that are ever up.
    #[schemars(range(min = 1, max = 1000000))]
    pub replicas: u32,
    /// Variants that every replica holds in memory.
    pub hosts: Vec<String>,
}

/// Time that a call spends on the way to a pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// The pool that served the request's call before; requests that have just arrived where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The pool that the call goes to.
    pub to: String,
    /// Time on the way; a call joins its queue after it.
    pub ms: Millis,
}

/// What to do up to a load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gear {
    /// The highest rate that this gear carries; the previous gear's is where it begins.
    pub up_to_rps: Rate,
    /// Replicas that are up, for each pool that is not up in full; a pool left out has all its replicas up.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replicas: BTreeMap<String, u32>,
    /// Which replicas share a machine, for pools on machines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packing: Vec<Packed>,
    /// Requests under way, of whatever gear, beyond which the next gear is called at once whatever the rate; nobody looks at
    /// them where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub under_way_at_most: Option<u32>,
    /// Length of the measurement window while this gear serves; that of `switch` where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_ms: Option<Millis>,
    /// What a request passes through.
    pub stages: Vec<Stage>,
    /// What the plan promises for this gear at its highest rate.
    #[serde(default)]
    pub claims: Claims,
    /// How good the gear is, and how that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
}

/// Machines of one kind that hold the same replicas.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Packed {
    /// The kind of machine.
    pub machine: String,
    /// How many hold the same.
    #[schemars(range(min = 1))]
    pub count: u32,
    /// Replicas on each of them, by pool.
    pub replicas: BTreeMap<String, u32>,
}

/// One step of a request's walk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// A name, unique in its gear.
    pub name: String,
    /// Stages that must have finished; the stage before it in the list where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// Mean number of calls that one request makes here (fan-out); a fraction is drawn at random.
    #[serde(default = "one_call", skip_serializing_if = "is_one_call")]
    pub calls: Factor,
    /// How a lane is picked.
    pub dispatch: Dispatch,
    /// Where calls can go.
    pub lanes: Vec<Lane>,
    /// Who leaves after this stage; nobody leaves early where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// What part of the requests is expected to go on, and when to worry that the inputs have changed; nobody watches where
    /// left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<Watch>,
}

fn one_call() -> Factor {
    Factor::saturating(1.0)
}

fn is_one_call(calls: &Factor) -> bool {
    *calls == one_call()
}

/// How a stage picks a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Dispatch {
    /// At random, with the lanes' shares.
    Share,
    /// The lane on the pool that served the request's call before; where there is none, at random with the lanes' shares.
    Stay,
    /// The first lane that has a free replica; the last lane takes what is left.
    Spill,
    /// The first lane that is expected to answer within the SLO, given what waits; the last lane where none is.
    Deadline,
}

/// A variant on a pool, with a batch rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lane {
    /// The variant that answers.
    pub variant: String,
    /// The pool that runs it.
    pub pool: String,
    /// Most calls that are served together.
    #[serde(default = "one_at_a_time")]
    #[schemars(range(min = 1, max = 65536))]
    pub batch: u32,
    /// Longest time that the first call waits for companions while a replica is free.
    #[serde(default)]
    pub hold_ms: Millis,
    /// Part of the stage's calls, for `share` dispatch; the shares of a stage sum to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
    /// Most calls that wait here; one more is refused and its request leaves unanswered. No limit where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_limit: Option<u32>,
    /// A call whose request arrived longer ago than this when a replica takes it is dropped instead, and its request
    /// leaves unanswered. Everybody is served where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop_after_ms: Option<Millis>,
}

fn one_at_a_time() -> u32 {
    1
}

/// Who leaves early.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exit {
    /// A request leaves with its answer when the certainty is at least this.
    pub certainty_at_least: Certainty,
}

/// When to change gear.
///
/// Every `window_ms` the rate of the window is measured. Up: at once, to the gear that carries the rate ÷ `up`; and in the
/// middle of a window when more requests are under way than the gear allows. Down: when the rate has stayed below `down` ×
/// the lower gear's highest rate for `dwell_ms`, and no more requests are under way than that gear allows. While a gear is
/// being prepared the rule goes on, as if that one served already.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// Length of the measurement window.
    pub window_ms: Millis,
    /// Part of a gear's highest rate at which the next gear is called.
    pub up: Share,
    /// Part of the lower gear's highest rate below which it may be taken.
    pub down: Share,
    /// Time that the rate must stay low before a change down.
    pub dwell_ms: Millis,
    /// What happens to requests that are under way.
    pub drain: Drain,
}

impl Default for Switch {
    /// Returns one-second windows, a change up at 90 %, down at 80 % after 10 s.
    fn default() -> Self {
        Self {
            window_ms: Millis::saturating(1e3),
            up: Share::saturating(0.9),
            down: Share::saturating(0.8),
            dwell_ms: Millis::saturating(1e4),
            drain: Drain::OwnGear,
        }
    }
}

/// What happens to requests that are under way at a gear change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Drain {
    /// They finish under the gear they started with.
    OwnGear,
}

impl Plan {
    /// Returns the pool of that name.
    #[must_use]
    pub fn pool(&self, name: &str) -> Option<&Pool> {
        self.placement.iter().find(|pool| pool.name == name)
    }

    /// Returns the kind of machine that a pool is on; `None` where it has a resource of its own.
    #[must_use]
    pub fn machine_of(&self, pool: &Pool) -> Option<&Machine> {
        let name = pool.machine.as_ref()?;
        self.machines.iter().find(|kind| kind.name == *name)
    }

    /// Returns the most cores of one machine that are in use in a gear. Pools that are on no machine share one.
    #[must_use]
    pub fn cores_side_by_side(&self, gear: &Gear) -> u32 {
        let cores = |pool: &Pool| match pool.on {
            Resource::Cores { cores, .. } | Resource::Vm { cores, .. } => cores,
            Resource::Gpu { .. } | Resource::Function { .. } => 0,
        };
        let own = self.placement.iter().filter(|pool| pool.machine.is_none());
        let own: u32 = own.map(|pool| gear.replicas_of(pool) * cores(pool)).sum();
        let on_one = |packed: &Packed| -> u32 {
            packed.replicas.iter().map(|(name, &count)| self.pool(name).map_or(0, |pool| count * cores(pool))).sum()
        };
        gear.packing.iter().map(on_one).max().unwrap_or(0).max(own)
    }

    /// Returns what the machines of a gear cost for an hour.
    #[must_use]
    pub fn machines_usd_per_hour(&self, gear: &Gear) -> f64 {
        let price = |name: &String| self.machines.iter().find(|kind| kind.name == *name);
        let cost = |packed: &Packed| {
            price(&packed.machine).map_or(0.0, |kind| f64::from(packed.count) * kind.price_usd_per_hour.get())
        };
        gear.packing.iter().map(cost).sum()
    }

    /// Returns the length of the measurement window while a gear serves.
    #[must_use]
    pub fn window_of(&self, gear: &Gear) -> Millis {
        gear.window_ms.unwrap_or(self.switch.window_ms)
    }

    /// Returns the index of the gear that carries `rate`: the first whose highest rate is not below it, else the last.
    #[must_use]
    pub fn gear_at(&self, rate: f64) -> usize {
        let carries = |gear: &Gear| gear.up_to_rps.get() >= rate;
        self.gears.iter().position(carries).unwrap_or(self.gears.len().saturating_sub(1))
    }

    /// Returns the highest rate that any gear carries.
    ///
    /// ```
    /// use planner::{Plan, load};
    ///
    /// let plan = load::<Plan>("plans/digits.json".as_ref())?.document;
    /// for gear in &plan.gears {
    ///     assert!(gear.up_to_rps.get() <= plan.max_rps());
    ///     println!("up to {} requests/s: {:?}", gear.up_to_rps, gear.replicas);
    /// }
    /// # Ok::<(), planner::Error>(())
    /// ```
    #[must_use]
    pub fn max_rps(&self) -> f64 {
        self.gears.iter().map(|gear| gear.up_to_rps.get()).fold(0.0, f64::max)
    }
}

impl Dispatch {
    /// Tells whether lanes are picked with shares.
    #[must_use]
    pub const fn looks_at_shares(self) -> bool {
        matches!(self, Self::Share | Self::Stay)
    }
}

impl Stage {
    /// Returns the share of each lane, or `None` where the dispatch depends on the state of the queues, or a variant on
    /// where the request was before.
    #[must_use]
    pub fn shares(&self) -> Option<Vec<f64>> {
        if self.lanes.len() == 1 {
            return Some(vec![1.0]);
        }
        let depends =
            self.dispatch == Dispatch::Stay && self.lanes.iter().any(|lane| lane.variant != self.lanes[0].variant);
        let shares = || self.lanes.iter().map(|lane| lane.share.map_or(0.0, f64::from)).collect();
        (self.dispatch.looks_at_shares() && !depends).then(shares)
    }
}

impl Gear {
    /// Returns how many replicas of a pool are up in this gear.
    #[must_use]
    pub fn replicas_of(&self, pool: &Pool) -> u32 {
        self.replicas.get(&pool.name).copied().unwrap_or(pool.replicas)
    }

    /// Tells whether every stage waits for the one before it and no other.
    #[must_use]
    pub fn is_chain(&self) -> bool {
        let follows = |(index, stage): (usize, &Stage)| {
            stage.after.is_empty() || (index > 0 && stage.after == [self.stages[index - 1].name.clone()])
        };
        self.stages.iter().enumerate().all(follows)
    }

    /// Returns for each stage the indices of the stages that it waits for.
    ///
    /// # Panics
    /// Where the gear was not validated and `after` names an unknown stage.
    #[must_use]
    pub fn predecessors(&self) -> Vec<Vec<usize>> {
        let stages: Vec<_> = self.stages.iter().map(|stage| (stage.name.as_str(), &stage.after[..])).collect();
        graph::predecessors(&stages)
    }
}
