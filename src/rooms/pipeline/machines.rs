//! The room on machines that are rented whole: the best fleet, and within a fleet the most accurate choice that packs.

use std::cell::RefCell;
use std::sync::Arc;

use crate::base::rounding::{SUMS, keeps_within};
use crate::facts::Facts;
use crate::optimize::Objective;
use crate::optimize::choice::labels::{self, Descent, LabelLimit};
use crate::optimize::choice::placed::{Placed, Site};
use crate::optimize::choice::{Alternative, Choice, ChoiceGoal};
use crate::optimize::fleet::{self, Best, Within};
use crate::optimize::pack::Size;
use crate::problem::{Problem, Task};
use crate::rooms::configurations::Configuration;
use crate::rooms::goal;
use crate::rooms::hardware::{self, Packing, facts_of_kinds, kinds, size};
use crate::stats::GridDistribution;

use super::blend::{Bar, Portion};
use super::climb::{Chosen, Model, Program};
use super::ways::Way;

/// What there is to rent, and what each way takes of it.
#[derive(Debug, Clone)]
pub(super) struct OnMachines {
    /// The facts that hold on each kind.
    facts: Vec<Facts>,
    /// Everything within stock.
    site: Arc<Site>,
}

impl OnMachines {
    /// Works out what there is, and what the replicas of each way weigh.
    pub fn new(problem: &Problem, facts: &Facts, ways: &mut [Vec<Way>]) -> Self {
        let facts = facts_of_kinds(problem, facts);
        let mut classes: Vec<(usize, Size)> = Vec::new();
        for (stage, way) in each_way(problem, ways) {
            classes.push(class(problem, &facts, &stage.variants[way.variant], &way.configuration));
        }
        classes.sort_unstable_by_key(|(kind, size)| (*kind, size.cores, size.memory));
        classes.dedup();
        let site = Site::new(classes, kinds(problem));
        for (stage, way) in each_way(problem, ways) {
            let (kind, size) = class(problem, &facts, &stage.variants[way.variant], &way.configuration);
            way.memory = size.memory;
            way.class = site.class(kind, size).expect("all classes are there");
            way.cost = site.weight(way.class, way.configuration.replicas);
        }
        Self { facts, site: Arc::new(site) }
    }

    /// Packs the lanes of a gear.
    pub fn pack(&self, problem: &Problem, lanes: &[(String, Configuration)]) -> Packing {
        hardware::pack(problem, &self.facts, lanes).expect("only what packs is chosen")
    }

    /// Returns what everything within stock holds, in the unit of what replicas weigh.
    pub fn holds(&self) -> f64 {
        self.site.held_by(&self.all())[0]
    }

    fn all(&self) -> Vec<u32> {
        self.site.kinds().iter().map(|kind| kind.at_most).collect()
    }

    /// Returns the best choice of the goal's first level at a load, with the price of its machines.
    pub fn best(&self, model: &Model<'_>, load: f64, bar: Option<&Bar<'_>>) -> Option<Chosen> {
        let at_load = AtLoad::new(self, model, load, bar);
        let kinds = self.site.kinds();
        let best = match model.goal() {
            ChoiceGoal::Weighted { .. } => fleet::best(kinds, goal::objective(model.problem), &at_load),
            ChoiceGoal::Cheapest { accuracy_at_least } => {
                fleet::best(kinds, Objective::Cheapest { accuracy_at_least }, &at_load)
            }
            ChoiceGoal::MostAccurate { cost_at_most } => fleet::most_accurate(kinds, &at_load, cost_at_most),
        };
        best.map(|best| at_load.chosen(&best, model.goal()))
    }

    /// Tells whether everything within stock carries a load with an accuracy of at least this.
    pub fn carries(&self, model: &Model<'_>, load: f64, accuracy_at_least: f64, bar: Option<&Bar<'_>>) -> bool {
        let floor = accuracy_at_least - SUMS;
        let at_load = AtLoad::new(self, model, load, bar);
        let all = self.all();
        at_load.bound(&all, floor) >= floor && at_load.most_accurate(&all, floor).is_some()
    }

    /// Returns the choices at a load that no fleet as cheap beats in accuracy, the cheapest first.
    pub fn frontier(&self, model: &Model<'_>, load: f64, bar: Option<&Bar<'_>>) -> Vec<Chosen> {
        let at_load = AtLoad::new(self, model, load, bar);
        let points = fleet::frontier(self.site.kinds(), &at_load);
        points.iter().map(|best| at_load.chosen(best, model.goal())).collect()
    }
}

fn each_way<'a>(problem: &'a Problem, ways: &'a mut [Vec<Way>]) -> impl Iterator<Item = (&'a Task, &'a mut Way)> {
    let stages = problem.stages().iter().zip(ways);
    stages.flat_map(|(stage, ways)| ways.iter_mut().map(move |way| (stage, way)))
}

/// Returns the kind of a way to run a variant, and the size of one replica.
fn class(problem: &Problem, facts: &[Facts], variant: &str, way: &Configuration) -> (usize, Size) {
    let kind = problem.inventory.machines.iter().position(|kind| way.machine.as_ref() == Some(&kind.name));
    let kind = kind.expect("every way is on a kind of the problem");
    (kind, Size { count: 0, ..size(&facts[kind], variant, way) })
}

/// The program at one load.
struct AtLoad<'a> {
    site: &'a Arc<Site>,
    /// What may be chosen within stock.
    choice: Choice<Placed>,
    /// The lanes that each alternative stands for.
    kept: Vec<Vec<Vec<Portion>>>,
    /// How accurate choices can be that weigh so much, by each of the site's weights.
    stairs: RefCell<Vec<Stairs>>,
    limit: LabelLimit,
}

impl<'a> AtLoad<'a> {
    fn new(on: &'a OnMachines, model: &Model<'_>, load: f64, bar: Option<&Bar<'_>>) -> Self {
        let Program { choice: Choice { stages: offered, walk, metric, limit, .. }, portions } =
            model.program(load, bar);
        let (mut stages, mut kept) = (Vec::new(), Vec::new());
        for ((offered, portions), ways) in offered.into_iter().zip(portions).zip(&model.ways) {
            let placed = |(of, portions): (Alternative<GridDistribution>, &Vec<Portion>)| {
                let replicas = |portion: &Portion| (ways[portion.way].class, ways[portion.way].configuration.replicas);
                let replicas: Vec<(usize, u32)> = portions.iter().map(replicas).collect();
                let delay = Placed::new(of.delay, &replicas, Arc::clone(&on.site));
                Alternative { accuracy: of.accuracy, cost: of.cost, delay, blend: of.blend }
            };
            let all: Vec<Alternative<Placed>> = offered.into_iter().zip(&portions).map(placed).collect();
            let best = labels::worth_keeping(&all);
            stages.push(best.iter().map(|&index| all[index].clone()).collect::<Vec<_>>());
            kept.push(best.iter().map(|&index| portions[index].clone()).collect());
        }
        let goal = ChoiceGoal::MostAccurate { cost_at_most: f64::INFINITY };
        let choice = Choice { stages, walk, metric, goal, limit };
        let stairs = Stairs::all(&choice, &on.site, &model.limit);
        Self { site: &on.site, choice, kept, stairs: RefCell::new(stairs), limit: model.limit.clone() }
    }

    fn chosen(&self, best: &Best<Vec<usize>>, goal: ChoiceGoal) -> Chosen {
        let stages = best.choice.iter().zip(&self.kept).map(|(&pick, kept)| kept[pick].clone()).collect();
        let value = goal.value(best.accuracy, best.cost).unwrap_or(f64::NEG_INFINITY);
        Chosen { value, accuracy: best.accuracy, cost: best.cost, stages }
    }
}

/// The highest accuracy of choices that weigh at most so much, worked out from the top down as far as was asked.
struct Stairs {
    below: Descent<Placed>,
    /// Least weight of each accuracy, the most accurate first.
    known: Vec<(f64, f64)>,
    is_whole: bool,
}

impl Stairs {
    /// Returns the stairs by each of a site's weights.
    fn all(choice: &Choice<Placed>, site: &Site, limit: &LabelLimit) -> Vec<Self> {
        let whole: Vec<u32> = site.kinds().iter().map(|kind| kind.at_most).collect();
        let of_weights = |(place, holds): (usize, f64)| {
            let weighed = |of: &Alternative<Placed>| Alternative { cost: of.delay.weighs()[place], ..of.clone() };
            let stages = choice.stages.iter().map(|stage| stage.iter().map(weighed).collect()).collect();
            let below = Descent::new(Choice { stages, ..choice.clone() }, holds, limit);
            Self { below, known: Vec::new(), is_whole: false }
        };
        site.held_by(&whole).into_iter().enumerate().map(of_weights).collect()
    }

    /// Returns an accuracy that nothing exceeds that weighs at most so much; not tight below the floor.
    fn at(&mut self, holds: f64, floor: f64) -> f64 {
        let known = self.known.partition_point(|(least, _)| !keeps_within(*least, holds));
        if let Some((_, accuracy)) = self.known.get(known) {
            return *accuracy;
        }
        while !self.is_whole {
            // Whatever weighs less is no more accurate.
            let least_known = self.known.last().map_or(f64::INFINITY, |(_, accuracy)| *accuracy);
            if least_known < floor {
                return least_known;
            }
            match self.below.next() {
                Some(next) => self.known.push((next.cost, next.accuracy)),
                None => self.is_whole = true,
            }
            if let Some((_, accuracy)) = self.known.last().filter(|(least, _)| keeps_within(*least, holds)) {
                return *accuracy;
            }
        }
        f64::NEG_INFINITY
    }
}

impl Within for AtLoad<'_> {
    type Choice = Vec<usize>;

    /// What packs onto the fleet weighs no more than it holds, by any of the weights; so it is no more accurate than anything that
    /// weighs so much. Shown by the test `no_fleet_carries_more_than_its_bound`.
    fn bound(&self, fleet: &[u32], floor: f64) -> f64 {
        let mut least = f64::INFINITY;
        for (stairs, holds) in self.stairs.borrow_mut().iter_mut().zip(self.site.held_by(fleet)) {
            least = least.min(stairs.at(holds, floor));
            if least < floor {
                break;
            }
        }
        least
    }

    fn most_accurate(&self, fleet: &[u32], floor: f64) -> Option<(f64, Vec<usize>)> {
        let site = Arc::new(self.site.with_fleet(fleet));
        let (mut stages, mut kept) = (Vec::new(), Vec::new());
        for stage in &self.choice.stages {
            let moved = stage.iter().map(|of| Alternative { delay: of.delay.on(&site), ..of.clone() });
            let able = moved.enumerate().filter(|(_, of)| of.delay.may_pack());
            let (picks, alternatives): (Vec<usize>, Vec<_>) = able.unzip();
            stages.push(alternatives);
            kept.push(picks);
        }
        let goal = ChoiceGoal::MostAccurate { cost_at_most: self.site.held_by(fleet)[0] };
        let found = labels::solve_within(&Choice { stages, goal, ..self.choice.clone() }, &self.limit);
        let found = found.filter(|found| found.accuracy >= floor)?;
        let picks = found.picks.iter().zip(&kept).map(|(&pick, kept)| kept[pick]).collect();
        Some((found.accuracy, picks))
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use serde_json::{Value, json};

    use super::super::Pipeline;
    use super::super::blend::tests::everything as everything_of;
    use super::super::blend::{Offer, Portion};
    use super::super::climb::{Model, keeps_up};
    use super::super::ways::Way;
    use super::{AtLoad, Within, class};
    use crate::facts::{Ask, Facts};
    use crate::optimize::choice::Choice;
    use crate::optimize::pack::Size;
    use crate::rooms::Room;
    use crate::rooms::enumerated::{self, Packed, Whole, drawn, most, with_goal};
    use crate::rooms::hardware::facts_of_kinds;

    const VARIANTS: [[&str; 2]; 3] = [["mlp_s", "cnn_s"], ["cnn_m", "early_exit"], ["mlp_m", "linear"]];
    /// More choices than this are not enumerated.
    const MOST_CHOICES: usize = 2500;

    /// Draws one to three stages, which some requests may skip, or one that may be a mixture.
    fn stages(dice: &mut ChaCha8Rng, mixes: bool) -> Value {
        if mixes {
            let calls = [1.0, 0.4][dice.random_range(0..2)];
            return json!([{ "name": "s", "variants": VARIANTS[dice.random_range(0..3)], "calls": calls, "lanes_at_most": 2 }]);
        }
        let stage = |dice: &mut ChaCha8Rng, index: usize| {
            let calls = [1.0, 1.0, 0.4, 0.03, 2.0][dice.random_range(0..5)];
            let variants = &VARIANTS[index][..dice.random_range(1..=2)];
            json!({ "name": format!("s{index}"), "variants": variants, "calls": calls })
        };
        (0..dice.random_range(1..=3)).map(|index| stage(dice, index)).collect()
    }

    /// Returns every choice that keeps the SLO within stock, or `None` where there are too many to go through: from the
    /// alternatives as they are on cores, which neither bounds nor dominance have pruned.
    fn everything(model: &Model<'_>, facts: &Facts, load: f64) -> Option<Vec<Whole>> {
        let of_stage = |(stage, ways): (usize, &Vec<Way>)| -> Vec<Offer> {
            let keeps_up = |portion: &Portion| keeps_up(&ways[portion.way], portion.share * load);
            let mut offers = everything_of(model, stage, load);
            offers.retain(|offer| offer.portions.iter().all(keeps_up));
            offers
        };
        let offers: Vec<Vec<Offer>> = model.ways.iter().enumerate().map(of_stage).collect();
        let stages = offers.iter().map(|of| of.iter().map(|offer| offer.alternative.clone()).collect()).collect();
        let choice = Choice { stages, ..model.outline() };
        if choice.stages.iter().map(Vec::len).product::<usize>() > MOST_CHOICES {
            return None;
        }
        let of_kinds = facts_of_kinds(model.problem, facts);
        let class_of = |stage: usize, portion: &Portion| -> (usize, Size) {
            let way = &model.ways[stage][portion.way];
            let variant = &model.problem.stages()[stage].variants[way.variant];
            let (kind, size) = class(model.problem, &of_kinds, variant, &way.configuration);
            (kind, Size { count: way.configuration.replicas, ..size })
        };
        let mut packed = Packed::new(model.problem);
        let sizes: Vec<usize> = choice.stages.iter().map(Vec::len).collect();
        let of_picks = |picks: Vec<usize>| {
            let found = choice.evaluate(&picks)?;
            let picked = picks.iter().enumerate().map(|(stage, &pick)| (stage, &offers[stage][pick]));
            let classes = picked.flat_map(|(stage, of)| of.portions.iter().map(move |portion| (stage, portion)));
            packed.whole(found.accuracy, classes.map(|(stage, portion)| class_of(stage, portion)).collect())
        };
        Some(enumerated::combinations(&sizes).filter_map(of_picks).collect())
    }

    /// Draws problems until so many can be enumerated; returns how many of them have a plan.
    fn on_drawn(
        problems: u32,
        (seed, mixes): (u64, bool),
        mut test: impl FnMut(&mut ChaCha8Rng, &Value, &Facts, &[Whole], &str),
    ) -> u32 {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let (mut tried, mut feasible) = (0, 0);
        let problems = enumerated::draws(problems);
        while tried < problems {
            let (mut value, facts) = drawn(&mut dice);
            value["room"] = json!("pipeline");
            value["stages"] = stages(&mut dice, mixes);
            let problem = with_goal(&value, json!({ "kind": "most-accurate" }));
            let ask = Ask::new(&problem, &facts);
            let model = Model::new(&ask).expect("known");
            let Some(all) = everything(&model, &facts, problem.workload.max_rps.get()) else { continue };
            tried += 1;
            feasible += u32::from(!all.is_empty());
            test(&mut dice, &value, &facts, &all, &format!("problem {tried}: {value}"));
        }
        feasible
    }

    /// The best of each goal, and the frontier, are what enumeration over replicas, and over fleets with an exact packing, finds.
    #[test]
    fn pipelines_on_machines_equal_enumeration() {
        let mut larger = 0;
        let feasible = on_drawn(520, (61, false), |dice, value, facts, all, name| {
            larger += u32::from(enumerated::agrees(&Pipeline, dice, value, facts, all, name) > 1);
        });
        assert!(feasible > 200 && larger > 25, "{feasible} have a plan, {larger} a frontier of several points");
    }

    #[test]
    fn mixtures_on_machines_equal_enumeration() {
        let mut mixed = 0;
        let feasible = on_drawn(60, (64, true), |dice, value, facts, all, name| {
            enumerated::agrees(&Pipeline, dice, value, facts, all, name);
            let problem = with_goal(value, json!({ "kind": "most-accurate" }));
            let ask = Ask::new(&problem, facts);
            let points = Pipeline.open(&ask).and_then(|of| of.frontier(problem.workload.max_rps.get())).expect("known");
            mixed += u32::from(points.iter().any(|point| point.gear.stages[0].lanes.len() > 1));
        });
        assert!(feasible > 25 && mixed > 8, "{feasible} have a plan, {mixed} a frontier with mixtures");
    }

    /// Of every fleet within stock: no choice within it is more accurate than the bound, wherever the bound may stop.
    #[test]
    fn no_fleet_carries_more_than_its_bound() {
        let mut tight = 0;
        let feasible = on_drawn(120, (62, false), |dice, value, facts, all, name| {
            let problem = with_goal(value, json!({ "kind": "most-accurate" }));
            let ask = Ask::new(&problem, facts);
            let model = Model::new(&ask).expect("known");
            let on = model.machines.as_ref().expect("rented");
            let load = problem.workload.max_rps.get();
            let (lazy, whole) = (AtLoad::new(on, &model, load, None), AtLoad::new(on, &model, load, None));
            let kinds: Vec<(u32, f64)> = on.site.kinds().iter().map(|kind| (kind.at_most, kind.price)).collect();
            for (_, fleet) in crate::optimize::fleet::fleets(&kinds) {
                let within = all.iter().filter(|of| of.fleet.iter().zip(&fleet).all(|(own, fleet)| own <= fleet));
                let truth = most(within.map(|of| of.accuracy)).unwrap_or(f64::NEG_INFINITY);
                let floor = dice.random_range(0.0..1.0);
                for bound in [lazy.bound(&fleet, floor), whole.bound(&fleet, f64::NEG_INFINITY)] {
                    assert!(bound >= truth - 1e-12, "{fleet:?}: {truth} is above the bound {bound}, {name}");
                    tight += u32::from(bound <= truth);
                }
            }
        });
        assert!(feasible > 40 && tight > 1000, "{feasible} have a plan, {tight} bounds are tight");
    }
}
