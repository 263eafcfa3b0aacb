//! The room on cores that are shared out: an exact ladder of allotments over all loads.

use super::decode;
use crate::base::error::Error;
use crate::base::rounding::ROUNDING;
use crate::facts::Ask;
use crate::optimize::fill::{Ladder, at_load};
use crate::optimize::{Highest, Instance, Item, Objective, Reach, Solution, enumerate};
use crate::plan::Gear;
use crate::problem::Problem;
use crate::rooms::configurations::Configuration;
use crate::rooms::gears::assemble;
use crate::rooms::{Choice, Opened, Planned, WorthIt, goal, one_stage};

/// A problem with its facts worked in: what each variant can carry, and how.
#[derive(Debug, Clone)]
pub(super) struct Model {
    /// For each variant its configurations, by cores.
    pub configurations: Vec<Vec<Configuration>>,
    /// The integer program with nothing running.
    pub instance: Instance,
}

impl Model {
    pub fn new(ask: &Ask<'_>, configurations: Configurations) -> Result<Self, Error> {
        let (mut items, mut all) = (Vec::new(), Vec::new());
        for name in ask.variants()? {
            let of_variant = configurations(ask, &name)?;
            items.push(Item {
                accuracy: ask.accuracy(&name)?,
                load_time: ask.load_time_ms(&name)?,
                current_cores: 0,
                options: of_variant.iter().map(Configuration::allotment).collect(),
                name,
            });
            all.push(of_variant);
        }
        let instance = Instance { items, budget: ask.problem.core_budget(), objective: goal::objective(&ask.problem) };
        Ok(Self { configurations: all, instance })
    }
}

/// Tells how a variant may run, increasing in cores and in capacity.
pub(crate) type Configurations = fn(&Ask<'_>, &str) -> Result<Vec<Configuration>, Error>;

/// The room with an ask worked in.
pub(crate) struct OnCores<'a> {
    ask: &'a Ask<'a>,
    configurations: Configurations,
    model: Model,
}

impl<'a> OnCores<'a> {
    pub fn new(ask: &'a Ask<'a>, configurations: Configurations) -> Result<Self, Error> {
        Ok(Self { ask, configurations, model: Model::new(ask, configurations)? })
    }

    /// Returns the integer program beside what serves a load now.
    fn instance_at(&self, load: f64) -> Instance {
        let mut instance = self.model.instance.clone();
        // Beyond what runs its last gear is what is up.
        let running = self.ask.running.iter().find(|now| now.up_to_rps >= load).or(self.ask.running.last());
        for item in &mut instance.items {
            item.current_cores = running.and_then(|now| now.cores.get(&item.name)).copied().unwrap_or(0);
        }
        instance
    }

    /// Returns the loads, increasing, between which the same is running; the last is the highest that is planned for.
    fn ranges(&self) -> Vec<f64> {
        let most = self.ask.problem.workload.max_rps.get();
        let ends = self.ask.running.iter().map(|now| now.up_to_rps.min(most));
        let mut ranges: Vec<f64> = ends.chain([most]).collect();
        ranges.dedup();
        ranges
    }

    fn choice(&self, solution: &Solution, load: f64) -> Choice {
        decode::choice(self.ask, &self.model, solution, load)
    }
}

impl Opened for OnCores<'_> {
    fn plan(&self) -> Result<Planned, Error> {
        let (mut gears, mut carried) = (Vec::new(), 0.0);
        for until in self.ranges() {
            let instance = self.instance_at(until);
            let ladder = Ladder::between(carried, until, &instance);
            gears.extend(decode::gears(self.ask, self.configurations, &self.model, &ladder, carried..until)?);
            carried = ladder.max_load().min(until);
            if carried < until * (1.0 - ROUNDING) {
                return Ok(Planned::NotCarried);
            }
        }
        Ok(Planned::Plan(Box::new(assemble(self.ask, gears))))
    }

    fn max_load(&self, problem: &Problem) -> Result<Highest, Error> {
        let model = Model::new(&self.ask.moved(problem.clone()), self.configurations)?;
        Ok(Highest::proved(Ladder::between(0.0, problem.workload.max_rps.get(), &model.instance).max_load()))
    }

    fn carries(&self, problem: &Problem) -> Result<Reach, Error> {
        let model = Model::new(&self.ask.moved(problem.clone()), self.configurations)?;
        let is_carried = at_load::solve(&model.instance, problem.workload.max_rps.get()).is_some();
        Ok(if is_carried { Reach::Carried } else { Reach::NotCarried })
    }

    fn best_at(&self, load: f64) -> Result<Option<Choice>, Error> {
        Ok(at_load::solve(&self.instance_at(load), load).map(|best| self.choice(&best, load)))
    }

    fn second_best(&self, best: &Choice, load: f64) -> Result<Option<Choice>, Error> {
        let without = |(variant, way): &(String, Configuration)| {
            let mut instance = self.instance_at(load);
            let item = instance.items.iter_mut().find(|item| item.name == *variant)?;
            item.options.retain(|option| option.cores != way.cores());
            at_load::solve(&instance, load)
        };
        let seconds = best.lanes.iter().filter_map(without);
        let second = seconds.max_by(|a, b| a.value.total_cmp(&b.value).then(a.accuracy.total_cmp(&b.accuracy)));
        Ok(second.map(|second| self.choice(&second, load)))
    }

    /// Takes a core less than the last point used, again and again.
    fn frontier(&self, load: f64) -> Result<Vec<Choice>, Error> {
        let mut instance = self.model.instance.clone();
        instance.objective = Objective::MostAccurate;
        let mut points = Vec::new();
        while let Some(best) = at_load::solve(&instance, load) {
            let cores: u32 = best.cores.iter().sum();
            points.push(self.choice(&best, load));
            if cores <= 1 {
                break;
            }
            instance.budget = cores - 1;
        }
        points.reverse();
        Ok(points)
    }

    fn worth(&self, choice: &Choice) -> f64 {
        goal::value(&self.ask.problem, choice.accuracy, choice.used(&self.ask.problem))
    }

    fn prices_loading(&self) -> bool {
        true
    }

    fn gear_with(&self, choice: &Choice, load: f64) -> Result<Option<Gear>, Error> {
        let instance = &self.model.instance;
        let way = |item: &Item| choice.lanes.iter().position(|(name, _)| *name == item.name);
        let lanes: Vec<Option<usize>> = instance.items.iter().map(way).collect();
        let cores: Vec<u32> = lanes.iter().map(|lane| lane.map_or(0, |lane| choice.lanes[lane].1.cores())).collect();
        let gear = |(_, quotas): (f64, Vec<f64>)| {
            let of_lane =
                |lane| quotas[lanes.iter().position(|item| *item == Some(lane)).expect("a lane is an item's")];
            one_stage::gear_with(self.ask, choice, (0..choice.lanes.len()).map(of_lane), load)
        };
        Ok(instance.filled(&cores, load).map(gear))
    }

    fn every(&self, load: f64, worth_it: &WorthIt<'_>, most: usize) -> Result<Option<Vec<Choice>>, Error> {
        let instance = &self.model.instance;
        let part = |cores: u32| goal::part(&self.ask.problem, f64::from(cores));
        let all = enumerate::every(instance, load, most, |accuracy, cores| worth_it(accuracy, part(cores)));
        Ok(all.map(|all| all.iter().map(|solution| self.choice(solution, load)).collect()))
    }

    #[cfg(feature = "milp")]
    fn second_opinion(&self, load: f64) -> Result<Option<Option<f64>>, Error> {
        let highs = crate::optimize::milp::solve(&self.instance_at(load), load)?;
        Ok(Some(highs.map(|milp| milp.solution.value)))
    }
}
