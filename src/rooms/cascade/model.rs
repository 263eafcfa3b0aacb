//! A problem with its facts worked in: devices, patterns, and what each cascade asks of them.

use super::envelope::LoadShares;
use super::latency::{Device, Speeds, devices};
use super::placement::{MOST_MODELS, Rated, Slot, Yard, slots};
use super::search::{FoundPlacement, MOST_SCORES, PlacementAim, PlacementSearch};
use crate::base::error::Error;
use crate::base::rounding::SUMS;
use crate::base::units::Accuracy;
use crate::facts::Facts;
use crate::problem::Problem;
use crate::rooms::exits::Cascade;

/// Everything that a placement is scored by.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CascadeModel {
    /// The models, in the order of the facts.
    pub names: Vec<String>,
    /// Kinds of devices.
    pub devices: Vec<Device>,
    /// Patterns of models on them.
    pub slots: Vec<Slot>,
    /// The cascades to choose from.
    pub cascades: Vec<Cascade>,
    /// What devices carry of them, in falling order of accuracy.
    pub rated: Vec<Rated>,
    speeds: Vec<Speeds>,
}

impl CascadeModel {
    /// Works the facts into a problem for these cascades of these models; `parts` tells what part of each model's capacity
    /// may be used.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where there are too many models to enumerate sets of them.
    pub(super) fn new(
        problem: &Problem,
        facts: &Facts,
        names: Vec<String>,
        cascades: Vec<Cascade>,
        parts: &[f64],
    ) -> Result<Self, Error> {
        if names.len() > MOST_MODELS {
            return Err(Error::Unsupported {
                what: format!("{} variants are too many to place: at most {MOST_MODELS}", names.len()),
                hint: "name those that may be used under `variants`".to_owned(),
            });
        }
        let devices = devices(problem);
        let longest = cascades.iter().map(|cascade| cascade.members.len()).max().unwrap_or(1);
        let speeds: Vec<Speeds> =
            (1..=longest).map(|visits| Speeds::new(&problem.slo, &devices, &names, facts, visits)).collect();
        let memory_mb: Vec<f64> = names.iter().map(|name| facts.measured(name).memory_mb.get()).collect();
        let used =
            cascades.iter().flat_map(|cascade| &cascade.members).fold(0_u32, |set, member| set | 1 << member.model);
        let slots = slots(&devices, &memory_mb, used);
        let least = problem.goal.accuracy_at_least.map_or(0.0, Accuracy::get);
        let yard = Yard { devices: &devices, slots: &slots, speeds: &speeds, parts };
        let enough = cascades.iter().enumerate().filter(|(_, cascade)| cascade.accuracy >= least - SUMS);
        let mut rated: Vec<Rated> = enough.filter_map(|(index, cascade)| yard.rate(index, cascade)).collect();
        let work = |rated: &Rated| cascades[rated.cascade].reach.iter().sum::<f64>();
        rated.sort_by(|a, b| b.accuracy.total_cmp(&a.accuracy).then(work(a).total_cmp(&work(b))));
        Ok(Self { names, devices, slots, cascades, rated, speeds })
    }

    /// Returns the best placement for a load; `None` where none keeps all limits.
    pub(super) fn solve(&self, problem: &Problem, load: &LoadShares, aim: PlacementAim) -> Option<FoundPlacement> {
        let devices: Vec<(u32, f64)> = self.devices.iter().map(|device| (device.at_most, device.price)).collect();
        let search = PlacementSearch {
            rated: &self.rated,
            slots: &self.slots,
            devices: &devices,
            load,
            gears_at_most: problem.goal.gears_at_most,
            aim,
            most_scores: MOST_SCORES,
        };
        search.solve()
    }

    /// Returns the largest batch of a model on a device, for requests that visit so many devices.
    pub(super) fn batch(&self, visits: usize, device: usize, model: usize) -> u32 {
        self.speeds[visits - 1].of(device, model).expect("only speeds that are there are used").visit.batch
    }
}
