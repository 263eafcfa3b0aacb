//! The facts of a plan: the profiles and the trace that it names, and what holds on the kind of machine of each pool.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::base::error::Error;
use crate::facts::{Facts, Running, Serving, recorded_load, slowdowns};
use crate::plan::{InputRole, Plan, Pool};
use crate::profile::{Point, Service, Variant};

impl Facts {
    /// Loads the profiles and the trace that a plan names in its provenance, found relative to the plan's folder.
    ///
    /// # Errors
    /// As [`Facts::of_problem`].
    pub fn of_plan(plan: &Plan, plan_path: &Path) -> Result<Self, Error> {
        let folder = plan_path.parent().unwrap_or(Path::new(""));
        let profiles = plan.provenance.inputs.iter().filter(|input| input.role == InputRole::Profile);
        let profiles: Vec<PathBuf> = profiles.map(|input| folder.join(&input.path)).collect();
        Self::load_for(plan, &profiles)?.with_load_of(plan, plan_path)
    }

    /// Loads profiles for the calls that a plan makes.
    ///
    /// # Errors
    /// As [`Facts::load`].
    pub fn load_for(plan: &Plan, profiles: &[PathBuf]) -> Result<Self, Error> {
        let hosts_several = plan.placement.iter().any(|pool| pool.hosts.len() > 1);
        let serving =
            plan.provenance.problem.as_ref().map_or(Serving { pauses: true, hosts_several, cores: 0 }, Serving::of);
        Self::load_on(profiles, &plan.machines, serving)
    }

    /// Returns the facts with the recorded load that a plan names.
    ///
    /// # Errors
    /// [`Error::Input`] where its trace cannot be read.
    pub fn with_load_of(self, plan: &Plan, plan_path: &Path) -> Result<Self, Error> {
        let Some(problem) = &plan.provenance.problem else { return Ok(self) };
        let folder = plan_path.parent().unwrap_or(Path::new(""));
        let recorded = recorded_load(problem, folder)?;
        let mut facts = self;
        facts.recorded = recorded;
        Ok(facts)
    }

    /// Returns the facts that hold for a pool of a plan: those of its kind of machine, or all.
    fn held_by<'a>(&'a self, plan: &'a Plan, pool: &'a Pool) -> impl Iterator<Item = usize> + 'a {
        let kind = plan.machine_of(pool);
        let trusts = move |index: &usize| kind.is_none_or(|kind| kind.trusts(&self.profiles[*index].path));
        (0..self.profiles.len()).filter(trusts)
    }

    /// Returns the service time of one call of `batch` samples on one replica of a pool of a plan, by the facts that hold
    /// on its kind of machine; `None` where it was not measured.
    #[must_use]
    pub fn service_on(&self, plan: &Plan, pool: &Pool, variant: &str, batch: u32) -> Option<Service> {
        let key = (variant.to_owned(), pool.on.device().to_owned());
        let curve = self.held_by(plan, pool).find_map(|index| self.curves[index].get(&key))?;
        curve.at(pool.on.cores(), batch)
    }

    /// Returns the variant of that name as it was measured on the kind of machine of a pool.
    #[must_use]
    pub fn variant_on(&self, plan: &Plan, pool: &Pool, name: &str) -> Option<&Variant> {
        self.held_by(plan, pool).find_map(|index| self.profiles[index].document.variant(name))
    }

    /// Returns how many calls in a row on a replica of a pool tell as much as one, by the facts that hold on its kind of machine: the
    /// geometric mean over batches; `None` where it was not measured.
    #[must_use]
    pub fn stretch_on(&self, plan: &Plan, pool: &Pool, variant: &str) -> Option<f64> {
        let points = self.held_by(plan, pool).flat_map(|index| self.profiles[index].document.points_of(variant));
        let on = |point: &&Point| point.device == pool.on.device() && point.cores == pool.on.cores();
        let here = points.filter(on).filter(|point| point.co_runners == 0);
        let logs: Vec<f64> = here.filter_map(|point| Some(f64::from(point.stretch_calls?).ln())).collect();
        (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
    }

    /// Returns how much longer calls take on a pool of a plan for each number of busy neighbours from 0 on, as far as that was
    /// measured, relative to what [`Facts::service_on`] counts in already.
    #[must_use]
    pub fn slowdowns_on(&self, plan: &Plan, pool: &Pool, variant: &str) -> Vec<f64> {
        let held = self.held_by(plan, pool);
        let points = held.flat_map(|index| self.profiles[index].document.points_of(variant));
        let mut slowdowns = slowdowns(points, pool.on.device(), pool.on.cores());
        let counted_in = self.serving.beside(&slowdowns, pool.on.cores());
        slowdowns.iter_mut().for_each(|slowdown| *slowdown /= counted_in);
        slowdowns
    }
}

impl Plan {
    /// Returns what each gear of the plan holds, for a planner that is to follow it.
    #[must_use]
    pub fn running(&self) -> Vec<Running> {
        let mut ranges: Vec<Running> = Vec::new();
        for gear in &self.gears {
            let up_to_rps = gear.up_to_rps.get();
            if ranges.last().is_none_or(|last| last.up_to_rps < up_to_rps) {
                let mut cores = BTreeMap::new();
                for pool in &self.placement {
                    for variant in &pool.hosts {
                        *cores.entry(variant.clone()).or_insert(0) += gear.replicas_of(pool) * pool.on.cores();
                    }
                }
                ranges.push(Running { up_to_rps, cores });
            }
        }
        ranges
    }
}
