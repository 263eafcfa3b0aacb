//! Why no plan exists: the smallest set of limits in conflict, and what each would have to become.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::Opened;
use crate::base::error::Error;
use crate::base::units::{Accuracy, Megabytes, Millis, Rate};
use crate::facts::Ask;
use crate::optimize::Reach;
use crate::problem::Problem;

/// Why there is no plan: limits that cannot hold together, each with what it would have to become.
///
/// The set is minimal, without any one of them there is a plan, unless the search for one was cut short.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Conflict {
    /// The limits in conflict.
    pub limits: Vec<ConflictingLimit>,
    /// Whether trials say so: the closed forms know a plan, which broke its SLO in simulation, as did what was planned in its place.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub in_trials: bool,
}

/// A limit in conflict with others.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ConflictingLimit {
    /// The key in the problem file.
    pub key: Cow<'static, str>,
    /// What it asks for.
    pub asked: f64,
    /// The nearest value that is known to admit a plan while all else stays; absent where none is.
    pub would_have_to_be: Option<f64>,
    /// The loosest value that was looked at, where none is known (cores are looked at up to 8 times the asked ones and up to 256,
    /// machines up to 64).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looked_up_to: Option<f64>,
    /// Whether the search came to its limit of effort: then a nearer value, or some value, may admit a plan too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut_short: bool,
}

impl ConflictingLimit {
    /// Returns a limit with the nearest value that admits a plan, where one is known.
    pub(super) fn new(key: impl Into<Cow<'static, str>>, asked: f64, would_have_to_be: Option<f64>) -> Self {
        Self { key: key.into(), asked, would_have_to_be, looked_up_to: None, cut_short: false }
    }
}

impl std::fmt::Display for ConflictingLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} = {}", self.key, self.asked)?;
        match (self.would_have_to_be, self.looked_up_to) {
            (Some(rate), _) if self.cut_short && self.key == RATE => write!(f, "  carries at least {rate}")?,
            (Some(value), _) if self.cut_short => write!(f, "  {value} is enough")?,
            (Some(value), _) => write!(f, "  would have to be {value}")?,
            (None, Some(most)) => write!(f, "  no value up to {most} is known to help while all else stays")?,
            (None, None) => write!(f, "  no value that was looked at helps while all else stays")?,
        }
        match (self.cut_short, self.would_have_to_be) {
            (false, _) => Ok(()),
            (true, Some(_)) => f.write_str("; the search was cut short, a nearer value may do"),
            (true, None) => f.write_str("; the search was cut short"),
        }
    }
}

impl Conflict {
    /// Returns that a rate is too high, however much would be carried.
    pub(super) fn of_rate(asked: f64) -> Self {
        Self { limits: vec![ConflictingLimit::new(RATE, asked, None)], in_trials: false }
    }

    /// Returns the same where trials say so, and saw gears carry such a rate.
    pub(super) fn in_trials(mut self, carried: f64) -> Self {
        self.in_trials = true;
        for limit in self.limits.iter_mut().filter(|limit| limit.key == RATE && carried > 0.0) {
            limit.would_have_to_be = limit.would_have_to_be.map_or(Some(carried), |known| Some(known.max(carried)));
        }
        self
    }

    /// Puts the rate in the user's words, where it was planned for so many times the peak.
    pub(super) fn at_peak_of(&mut self, factor: f64) {
        for limit in self.limits.iter_mut().filter(|limit| limit.key == RATE) {
            limit.asked /= factor;
            limit.would_have_to_be = limit.would_have_to_be.map(|rate| rate / factor);
        }
    }
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let infeasible = if self.in_trials { "infeasible in simulation" } else { "infeasible" };
        match self.limits.as_slice() {
            [_] => writeln!(f, "{infeasible}: this limit cannot hold")?,
            limits if limits.iter().any(|limit| limit.cut_short) => {
                writeln!(f, "{infeasible}: these limits, perhaps not all of them, cannot hold together")?;
            }
            _ => {
                writeln!(
                    f,
                    "{infeasible}: these limits cannot hold together; changing any one as shown admits a plan"
                )?;
            }
        }
        for (index, limit) in self.limits.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "  {limit}")?;
        }
        Ok(())
    }
}

/// The key of the load that is planned for.
const RATE: &str = "workload.max_rps";

/// A latency so long that only saturation limits a replica.
const NO_LATENCY_LIMIT_MS: f64 = 1e9;

/// A load so low that only latency and accuracy limit it.
const HARDLY_ANY_LOAD: f64 = 1e-6;

/// Inventories this many times larger than the asked one are looked at, up to the second number of cores.
const MORE_CORES: (f64, f64) = (8.0, 256.0);

/// The same of machines of a kind.
const MORE_MACHINES: (f64, f64) = (8.0, 64.0);

/// Memory that no replica needs.
const NO_MEMORY_LIMIT_MB: f64 = 1e9;

/// A limit that can be dropped or moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Rate,
    Cores,
    Latency,
    Accuracy,
    /// Accuracy over the requests of all loads, in numbers or beside a reference.
    MeanAccuracy,
    /// How many machines of a kind there are.
    Stock(usize),
    /// Memory of a machine of a kind.
    Memory(usize),
}

impl Limit {
    /// Returns the limits of a problem, in the order in which they are dropped.
    fn all(problem: &Problem) -> Vec<Self> {
        let kinds = 0..problem.inventory.machines.len();
        let hardware: Vec<Self> = if kinds.is_empty() {
            vec![Self::Cores]
        } else {
            kinds.clone().map(Self::Memory).chain(kinds.map(Self::Stock)).collect()
        };
        [Self::Accuracy, Self::MeanAccuracy, Self::Latency].into_iter().chain(hardware).chain([Self::Rate]).collect()
    }

    fn key(self, problem: &Problem) -> Cow<'static, str> {
        let key = match self {
            Self::Stock(kind) => return Cow::Owned(format!("inventory.machines[{kind}].at_most")),
            Self::Memory(kind) => return Cow::Owned(format!("inventory.machines[{kind}].memory_mb")),
            Self::Rate => RATE,
            Self::Cores => match problem.goal.cores_at_most.map(|most| most.cmp(&problem.inventory.cores)) {
                None | Some(Ordering::Greater) => "inventory.cores",
                Some(_) => "inventory.cores and goal.cores_at_most",
            },
            Self::Latency => "slo.latency_ms",
            Self::Accuracy => "goal.accuracy_at_least",
            Self::MeanAccuracy if problem.cascade().is_some_and(|settings| settings.reference.is_some()) => {
                "cascade.reference less cascade.loss_at_most, as an accuracy"
            }
            Self::MeanAccuracy => "goal.mean_accuracy_at_least",
        };
        Cow::Borrowed(key)
    }

    fn asked(self, problem: &Problem) -> Option<f64> {
        match self {
            Self::Rate => Some(problem.workload.max_rps.get()),
            Self::Cores => Some(f64::from(problem.core_budget())),
            Self::Latency => Some(problem.slo.latency_ms.get()),
            Self::Accuracy => problem.goal.accuracy_at_least.map(Accuracy::get),
            Self::MeanAccuracy => problem.goal.mean_accuracy_at_least.map(Accuracy::get),
            Self::Stock(kind) => Some(f64::from(problem.inventory.machines[kind].at_most)),
            Self::Memory(kind) => problem.inventory.machines[kind].memory_mb.map(Megabytes::get),
        }
    }

    /// Returns the problem with the limit at another value.
    fn moved(self, problem: &Problem, value: f64) -> Problem {
        let mut moved = problem.clone();
        match self {
            Self::Rate => moved.workload.max_rps = Rate::saturating(value),
            Self::Cores => moved = moved.with_cores(value as u32),
            Self::Latency => moved.slo.latency_ms = Millis::saturating(value),
            Self::Accuracy => moved.goal.accuracy_at_least = Some(Accuracy::saturating(value)),
            Self::MeanAccuracy => moved.goal.mean_accuracy_at_least = Some(Accuracy::saturating(value)),
            Self::Stock(kind) => moved.inventory.machines[kind].at_most = value as u32,
            Self::Memory(kind) => moved.inventory.machines[kind].memory_mb = Some(Megabytes::saturating(value)),
        }
        moved
    }

    /// Returns the problem without the limit. Without a limit on cores any rate can be carried that a few replicas of a
    /// variant carry at all, so the rate no longer counts either.
    fn dropped(self, problem: &Problem) -> Problem {
        let mut without = self.moved(problem, self.loosest(problem));
        if self.is_hardware() {
            without = Self::Rate.moved(&without, Self::Rate.loosest(problem));
        }
        without
    }

    /// Returns the loosest value that is looked at.
    fn loosest(self, problem: &Problem) -> f64 {
        let cores = f64::from(problem.core_budget());
        match self {
            Self::Rate => HARDLY_ANY_LOAD.min(problem.workload.max_rps.get()),
            Self::Accuracy | Self::MeanAccuracy => 0.0,
            Self::Cores => (MORE_CORES.0 * cores).min(MORE_CORES.1).max(cores),
            Self::Latency => NO_LATENCY_LIMIT_MS,
            Self::Stock(kind) => {
                let stock = f64::from(problem.inventory.machines[kind].at_most);
                (MORE_MACHINES.0 * stock).min(MORE_MACHINES.1).max(stock)
            }
            Self::Memory(_) => NO_MEMORY_LIMIT_MB,
        }
    }

    /// Tells whether it says how much there is to run on, in whole pieces.
    const fn is_hardware(self) -> bool {
        matches!(self, Self::Cores | Self::Stock(_))
    }
}

/// Finds the smallest conflict by deletion: a limit whose absence leaves the problem infeasible is not part of it. One of which
/// that stays open is kept.
pub(super) fn find(ask: &Ask<'_>, room: &dyn Opened) -> Result<Conflict, Error> {
    let problem = ask.problem.as_ref();
    let mut reduced = problem.clone();
    let mut kept = Vec::new();
    for limit in Limit::all(problem).into_iter().filter(|limit| limit.asked(problem).is_some()) {
        ask.watch.tell(|| format!("no plan: would there be one without {}?", limit.key(problem)));
        let without = limit.dropped(&reduced);
        if room.carries(&without)? == Reach::NotCarried {
            reduced = without;
        } else {
            kept.push(limit);
        }
    }
    let limits = kept.into_iter().map(|limit| {
        ask.watch.tell(|| format!("no plan: what would {} have to be?", limit.key(problem)));
        nearest(limit, problem, room)
    });
    Ok(Conflict { limits: limits.collect::<Result<_, _>>()?, in_trials: false })
}

/// Returns a limit with the value nearest to the asked one that admits a plan while the other limits stay.
fn nearest(limit: Limit, problem: &Problem, room: &dyn Opened) -> Result<ConflictingLimit, Error> {
    let asked = limit.asked(problem).expect("only limits that were asked for are kept");
    let mut found = ConflictingLimit::new(limit.key(problem), asked, None);
    if limit == Limit::Rate {
        let highest = room.max_load(problem)?;
        found.would_have_to_be = Some(highest.load).filter(|&load| load > 0.0);
        found.cut_short = !highest.is_proved;
        return Ok(found);
    }
    let mut admits = |value: f64| -> Result<bool, Error> {
        let reach = room.carries(&limit.moved(problem, value))?;
        found.cut_short |= reach == Reach::Unknown;
        Ok(reach == Reach::Carried)
    };
    let loosest = limit.loosest(problem);
    if !admits(loosest)? {
        found.looked_up_to = Some(loosest);
        return Ok(found);
    }
    let (mut refused, mut admitted) = (asked, loosest);
    // Double away from the asked value first, so that few expensive instances are solved.
    if !matches!(limit, Limit::Accuracy | Limit::MeanAccuracy) {
        let mut step = asked * 1.5 + 1.0;
        while step < admitted {
            if admits(step.floor())? {
                admitted = step.floor();
            } else {
                refused = step.floor();
                step *= 1.5;
            }
        }
    }
    let fine = |a: f64, b: f64| match limit {
        limit if limit.is_hardware() => (a - b).abs() <= 1.0,
        _ => (a - b).abs() <= 1e-4 * a.abs().max(1e-3),
    };
    while !fine(refused, admitted) {
        let middle = 0.5 * (refused + admitted);
        let middle = if limit.is_hardware() { middle.floor() } else { middle };
        if admits(middle)? { admitted = middle } else { refused = middle }
    }
    found.would_have_to_be = Some(admitted);
    Ok(found)
}
