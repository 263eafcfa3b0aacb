//! Where the models of a plan are, and the samples that requests carry.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::base::error::Error;
use crate::base::finding::{Code, Finding, Findings, Severity};
use crate::facts::Facts;
use crate::measure::engines::{Engine, full_name};
use crate::measure::wiring::Wiring;
use crate::plan::Plan;
use crate::profile::{CertaintyMeasure, Family, ModelFiles, VariantFile};
use crate::simulate::variants_of;

/// The model families that a trial takes its variants and samples from.
#[derive(Debug, Clone)]
pub struct ModelStore {
    families: Vec<Family>,
    certainty: CertaintyMeasure,
}

impl ModelStore {
    /// Returns a store of families that are already in memory.
    #[must_use]
    pub const fn new(families: Vec<Family>) -> Self {
        Self { families, certainty: CertaintyMeasure::TopOneMinusTopTwo }
    }

    /// Loads the families of these model lists.
    ///
    /// # Errors
    /// As [`Family::load`].
    pub fn load(lists: &[PathBuf], models: ModelFiles) -> Result<Self, Error> {
        Ok(Self::new(lists.iter().map(|list| Family::load_from(list, models)).collect::<Result<_, _>>()?))
    }

    /// Returns the same store with another measure of certainty.
    #[must_use]
    pub const fn with_certainty(mut self, certainty: CertaintyMeasure) -> Self {
        self.certainty = certainty;
        self
    }

    /// Returns how the certainty of an answer is measured.
    #[must_use]
    pub const fn certainty(&self) -> CertaintyMeasure {
        self.certainty
    }

    /// Loads the families that the profiles were measured from, found relative to each profile.
    ///
    /// # Errors
    /// As [`Family::load`]; a finding for a profile that names no model list.
    pub fn from_facts(facts: &Facts, models: ModelFiles) -> Result<Self, Error> {
        let mut lists = Vec::new();
        let mut findings = Findings::default();
        for profile in &facts.profiles {
            let list = &profile.document.provenance.models;
            if list.as_os_str().is_empty() {
                let action = "name the model list with --models";
                let finding = Finding::error(Code::Empty, "provenance.models", "no model list is named", action);
                findings.extend(Findings::from(finding).in_file(&profile.path));
            }
            lists.push(profile.path.parent().unwrap_or(Path::new("")).join(list));
        }
        findings.or(())?;
        Self::load(&lists, models)
    }

    /// Returns the names of all variants, in the order of the lists.
    pub fn variants(&self) -> impl Iterator<Item = &str> {
        self.families.iter().flat_map(|family| &family.list.variants).map(|entry| entry.name.as_str())
    }

    /// Returns the family and the entry of a variant.
    #[must_use]
    pub fn find(&self, variant: &str) -> Option<(&Family, &VariantFile)> {
        let entry = |family: &'_ Family| family.list.variants.iter().position(|entry| entry.name == variant);
        self.families.iter().find_map(|family| Some((family, &family.list.variants[entry(family)?])))
    }

    /// Returns the digest of a variant's model file, where it was taken.
    pub(super) fn sha256(&self, variant: &str) -> Option<&str> {
        let (family, _) = self.find(variant)?;
        let mut digests = family.list.variants.iter().zip(&family.model_sha256);
        digests.find(|(entry, _)| entry.name == variant).map(|(_, sha256)| sha256.as_str())
    }

    /// Refuses models of a plan that would end this process where they are opened.
    ///
    /// # Errors
    /// A finding for each of them.
    pub(super) fn vet(&self, plan: &Plan, engine: &dyn Engine) -> Result<(), Error> {
        let mut findings = Findings::default();
        for (family, entry) in variants_of(plan).into_iter().filter_map(|variant| self.find(variant)) {
            match vetted(family, entry, engine) {
                Err(Error::Input(more)) => findings.extend(more),
                other => other?,
            }
        }
        Ok(findings.or(())?)
    }

    /// Returns the number of samples that requests are drawn from: those of the largest family.
    #[must_use]
    pub fn samples(&self) -> u32 {
        let most = self.families.iter().map(|family| family.samples.count()).max().unwrap_or(0);
        u32::try_from(most).unwrap_or(u32::MAX)
    }

    /// Returns a warning for everything in which the models, data and engine differ from those that were profiled: then
    /// a simulation from that profile speaks of something else.
    #[must_use]
    pub fn differences(&self, facts: &Facts, engine: &dyn Engine) -> Findings {
        let mut findings = Findings::default();
        let mut differs = |key: String, cause: String| {
            let action = "measure again with `planner profile`; claims and simulation rest on the old facts";
            findings.push(Finding::error(Code::FactsChanged, key, cause, action).with_severity(Severity::Warning));
        };
        let engine = full_name(engine);
        for fact in facts.variants() {
            if self.find(&fact.name).is_none() {
                continue;
            }
            if !fact.sha256.is_empty() && self.sha256(&fact.name).is_some_and(|sha256| sha256 != fact.sha256) {
                differs(format!("variants.{}", fact.name), "its model file is not the profiled one".to_owned());
            }
            if fact.engine != engine {
                let cause = format!("profiled with {}, replayed with {engine}", fact.engine);
                differs(format!("variants.{}", fact.name), cause);
            }
        }
        findings
    }

    /// Returns an error for every variant of the plan that no family has, and for exits of variants without labels.
    pub(super) fn has_all(&self, plan: &Plan) -> Result<(), Findings> {
        let mut findings = Findings::default();
        let exits = plan.gears.iter().flat_map(|gear| &gear.stages).filter(|stage| stage.exit.is_some());
        let leaves: BTreeSet<&str> = exits.flat_map(|stage| &stage.lanes).map(|lane| lane.variant.as_str()).collect();
        let is_unlabelled = |name: &&str| self.find(name).is_some_and(|(family, _)| family.samples.labels.is_none());
        for variant in leaves.into_iter().filter(is_unlabelled) {
            let cause = format!(
                "requests leave after `{variant}` by the certainty of its answers, and its samples have no labels"
            );
            findings.push(Finding::error(Code::MissingField, "data.labels", cause, "name the labels of the samples"));
        }
        for variant in variants_of(plan).into_iter().filter(|variant| self.find(variant).is_none()) {
            let known: Vec<_> = self.variants().collect();
            let cause = format!("no model list has `{variant}`");
            let action = format!("the lists have {}; name another with --models", known.join(", "));
            findings.push(Finding::error(Code::UnknownName, "placement", cause, action));
        }
        findings.or(())
    }
}

/// Tells that an engine can open a variant here, for the outputs that are read of it.
fn vetted(family: &Family, entry: &VariantFile, engine: &dyn Engine) -> Result<(), Error> {
    let wiring = Wiring::new(family, engine, (entry, entry), &family.samples, CertaintyMeasure::default())?;
    let reads: Vec<&str> = wiring.judge.reads().iter().map(String::as_str).collect();
    engine.vet(&family.folder.join(&entry.file), &reads)
}
