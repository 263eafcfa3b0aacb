//! Facts as items with options, and choices as gears.

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::base::error::Error;
use crate::base::rounding::{ROUNDING, keeps_within};
use crate::facts::{Ask, Facts, not_measured};
use crate::optimize::fill::cores::Cores;
use crate::optimize::fleet::mix::{FleetItem, Mix, Squad, worth_keeping};
use crate::optimize::side_by_side::{Found, SideBySide, Step};
use crate::optimize::{Item, Objective};
use crate::plan::Certificate;
use crate::problem::{Machine, Problem};
use crate::rooms::configurations::Configuration;
use crate::rooms::gears::Decoded;
use crate::rooms::hardware::{facts_of_kinds, kinds, pack, size};
use crate::rooms::least_latency::{self, Level};
use crate::rooms::{Choice, goal, one_stage};

/// What the last level of a lexicographic goal adds to how choices are found.
const THEN_LATENCY: &str = "; then the shortest SLO that is kept, by bisection over exact solutions";

/// Steps of that bisection: the SLO is found to 1/16,384 of what was asked for.
const STEPS: u32 = 14;

/// Tells how a variant may run on the host's cores, increasing in cores and in capacity.
pub(crate) type Configurations = fn(&Ask<'_>, &str) -> Result<Vec<Configuration>, Error>;

/// For each item, a variant on a kind of hardware, the configurations that its options stand for.
type Items = Vec<(String, Vec<Configuration>)>;

/// A problem with its facts worked in: what each variant can carry, and how.
pub(crate) struct Model<'a> {
    pub(super) ask: &'a Ask<'a>,
    configurations: Configurations,
    /// The facts that hold on each kind of machine.
    of_kinds: Vec<Facts>,
    pub(super) items: Items,
    pub(super) search: Box<dyn SideBySide>,
}

impl<'a> Model<'a> {
    pub(crate) fn new(ask: &'a Ask<'a>, configurations: Configurations) -> Result<Self, Error> {
        let of_kinds = facts_of_kinds(&ask.problem, &ask.facts);
        let (items, search): (Items, Box<dyn SideBySide>) = if ask.problem.inventory.rents_whole() {
            let (items, mix) = on_machines(ask, &of_kinds)?;
            (items, Box::new(mix))
        } else {
            let (items, cores) = on_cores(ask, configurations)?;
            (items, Box::new(cores))
        };
        Ok(Self { ask, configurations, of_kinds, items, search })
    }

    pub(super) fn with_ask<'b>(&self, ask: &'b Ask<'b>) -> Result<Model<'b>, Error> {
        Model::new(ask, self.configurations)
    }

    pub(super) fn objective(&self) -> Objective {
        goal::objective(&self.ask.problem)
    }

    /// Returns the item of a lane, and its option.
    pub(super) fn option_of(&self, (variant, configuration): &(String, Configuration)) -> Option<(usize, usize)> {
        self.items.iter().enumerate().find_map(|(item, (name, all))| {
            let option = all.iter().position(|other| name == variant && other == configuration)?;
            Some((item, option))
        })
    }

    /// Returns a choice of the search, proved best at a load.
    pub(super) fn choice(&self, found: &Found, load: f64) -> Choice {
        let certificate = Certificate::new(found.value, found.value, self.search.method().to_owned());
        let decoded = self.gear(found, load, certificate);
        Choice::new(&self.ask.problem, decoded, found.value, found.accuracy, found.cost)
    }

    /// Returns the gear of a step: that of the shortest SLO, where the goal's last level makes latency best.
    pub(super) fn gear_of_step(&self, Step { up_to, found, bound }: &Step) -> Result<Decoded, Error> {
        let problem = self.ask.problem.as_ref();
        let method = self.search.method();
        let gear = self.gear(found, *up_to, Certificate::new(found.value, *bound, method.to_owned()));
        if !problem.goal.wants_low_latency() {
            return Ok(gear);
        }
        let first = self.objective().first_level().and_then(|first| self.search.best(first, *up_to));
        let level = |of: &Found| Level { accuracy: of.accuracy, cost: of.cost };
        let levels = [level(first.as_ref().unwrap_or(found)), level(found)];
        let shortest = least_latency::shortest(self.ask, levels, STEPS, |ask, cost_at_most| {
            let tight = self.with_ask(ask)?;
            let kept = tight.search.best(tight.objective(), *up_to);
            let kept = kept.filter(|kept| keeps_within(kept.cost, cost_at_most));
            Ok(kept.map(|kept| {
                let value = goal::value(problem, kept.accuracy, goal::part(problem, kept.cost));
                tight.gear(&kept, *up_to, Certificate::new(value, value, format!("{method}{THEN_LATENCY}")))
            }))
        });
        Ok(shortest?.unwrap_or(gear))
    }

    fn gear(&self, found: &Found, load: f64, certificate: Certificate) -> Decoded {
        let (_, quotas) = self.search.filled(&found.choice, load).expect("it carries the load");
        // A variant that is given nothing to do is not brought up.
        let up =
            found.choice.iter().zip(quotas).zip(&self.items).filter(|((pick, quota), _)| **pick > 0 && *quota > 0.0);
        let chosen = up.map(|((pick, quota), (variant, configurations))| {
            (variant.clone(), configurations[pick - 1].clone(), quota)
        });
        let mut decoded = one_stage::gear(self.ask, chosen.collect(), load, Some(certificate));
        if self.ask.problem.inventory.rents_whole() {
            let packing = pack(&self.ask.problem, &self.of_kinds, &decoded.lanes).expect("only what packs is chosen");
            packing.apply_to(&mut decoded.gear);
        }
        decoded
    }
}

/// Returns each variant with what it may get of the host's cores.
fn on_cores(ask: &Ask<'_>, configurations: Configurations) -> Result<(Items, Cores), Error> {
    let (mut all, mut items) = (Vec::new(), Vec::new());
    for name in ask.variants()? {
        let of_variant = configurations(ask, &name)?;
        items.push(Item {
            accuracy: ask.accuracy(&name)?,
            load_time: ask.load_time_ms(&name)?,
            current_cores: 0,
            options: of_variant.iter().map(Configuration::allotment).collect(),
            name: name.clone(),
        });
        all.push((name, of_variant));
    }
    let held = ask.running.iter().map(|now| {
        let held = items.iter().map(|item| now.cores.get(&item.name).copied().unwrap_or(0));
        (now.up_to_rps, held.collect())
    });
    let held = held.collect();
    Ok((all, Cores::new(items, ask.problem.core_budget(), held)))
}

/// Returns each variant on each kind of machine with what it may get of it.
fn on_machines(ask: &Ask<'_>, of_kinds: &[Facts]) -> Result<(Items, Mix), Error> {
    let problem: &Problem = &ask.problem;
    let (mut all, mut items) = (Vec::new(), Vec::new());
    for name in ask.variants()? {
        let accuracy = ask.accuracy(&name)?;
        let mut is_known = false;
        for (index, (kind, facts)) in problem.inventory.machines.iter().zip(of_kinds).enumerate() {
            is_known |= facts.curve(&name, &kind.device).is_some();
            let mut squads = squads(ask, facts, kind, &name);
            squads.retain(|(_, configuration)| ask.may_run(&name, configuration.cores()));
            let (options, configurations): (Vec<Squad>, Vec<Configuration>) = squads.into_iter().unzip();
            if !options.is_empty() {
                items.push(FleetItem { accuracy, kind: index, options });
                all.push((name.clone(), configurations));
            }
        }
        if !is_known {
            return Err(not_measured(&name, "any point on a device of `inventory.machines`"));
        }
    }
    Ok((all, Mix::new(items, kinds(problem))))
}

/// Returns what may run of a variant on a kind of machine, with the configurations.
fn squads(ask: &Ask<'_>, facts: &Facts, kind: &Machine, variant: &str) -> Vec<(Squad, Configuration)> {
    let problem = ask.problem.as_ref();
    let Some(curve) = facts.curve(variant, &kind.device) else { return Vec::new() };
    let highest = problem.workload.max_rps.get();
    let usable: Vec<(u32, u32)> = curve.usable().into_iter().filter(|(cores, _)| *cores <= kind.cores).collect();
    let of_point = |(cores, batch): (u32, u32)| {
        let mut squads: Vec<(Squad, Configuration)> = Vec::new();
        let Some(service) = curve.at(cores, batch) else { return squads };
        let fewest = problem.inventory.min_cores_per_variant.div_ceil(cores).max(1);
        for replicas in fewest..=kind.all_cores() / cores {
            let mut configuration = Configuration::new(service.clone(), cores, replicas, batch, &problem.slo);
            configuration.machine = Some(kind.name.clone());
            configuration.capacity *= configuration.part(ask, variant);
            let squad = Squad { size: size(facts, variant, &configuration), capacity: configuration.capacity };
            let is_enough = configuration.capacity >= highest * (1.0 + ROUNDING);
            squads.push((squad, configuration));
            if is_enough {
                break;
            }
        }
        squads
    };
    worth_keeping(usable.into_par_iter().flat_map_iter(of_point).collect())
}
