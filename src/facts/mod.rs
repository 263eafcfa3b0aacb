//! The measured facts that a problem or a plan rests on: its profiles, read once and looked up by name, and its recorded
//! load.

mod ask;
mod risk;
mod served;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::base::codec::{Loaded, load, sha256};
use crate::base::error::Error;
use crate::base::files::read;
use crate::base::finding::{Code, Finding, Findings};
use crate::base::near;
use crate::problem::{GoalKind, Machine, Problem, Resource, RoomName};
use crate::profile::{
    Answers, AnswersFile, Bound, CertaintyMeasure, Curve, Key, Point, Profile, Service, Spot, Trust, Variant,
};
use crate::workload::RecordedLoad;

pub use ask::{Ask, LoadLimit, Margin, Parts, Running, configuration_key, not_measured};
use risk::AtRisk;
pub use served::Serving;
use served::served;

/// Profiles with their answers and curves, and the recorded load.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The profiles, in the order in which they were named.
    pub profiles: Vec<Loaded<Profile>>,
    /// The trace of the workload, scaled; absent where the problem names none.
    pub recorded: Option<Loaded<RecordedLoad>>,
    answers: Vec<Option<Answers>>,
    calibration: Vec<Answers>,
    /// How calls are made.
    pub(crate) serving: Serving,
    /// For each profile its curves, by variant and device: times of calls as a plan makes them.
    pub(crate) curves: Vec<BTreeMap<(String, String), Curve>>,
}

impl Facts {
    /// Loads profiles and, where they name them, their answers, for replicas that host one variant each. The facts of a problem or a plan
    /// are [`Facts::of_problem`] and [`Facts::of_plan`].
    ///
    /// ```
    /// let facts = planner::Facts::load(&["profiles/digits.json".into()])?;
    /// let names: Vec<&str> = facts.variants().map(|variant| variant.name.as_str()).collect();
    /// assert!(!names.is_empty());
    /// # Ok::<(), planner::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Input`] with the findings of every file that cannot be used, or a variant that two profiles name.
    pub fn load(paths: &[PathBuf]) -> Result<Self, Error> {
        Self::load_on(paths, &[], Serving::ALONE)
    }

    /// Loads profiles of these kinds of machines: two may name the same variant where no kind trusts both.
    ///
    /// What is not measured by machine, accuracy and answers, is that of the profile named first.
    ///
    /// # Errors
    /// As [`Facts::load`].
    pub fn load_on(paths: &[PathBuf], kinds: &[Machine], serving: Serving) -> Result<Self, Error> {
        Self::with_answers(paths.iter().map(|path| load::<Profile>(path)), kinds, serving)
    }

    /// Returns facts of profiles with the answers that lie beside them.
    ///
    /// # Errors
    /// As [`Facts::load`].
    pub fn with_answers(
        profiles: impl IntoIterator<Item = Result<Loaded<Profile>, Error>>,
        kinds: &[Machine],
        serving: Serving,
    ) -> Result<Self, Error> {
        let mut facts = Self { serving, ..Self::default() };
        let mut findings = Findings::default();
        let with_answers = |profile| {
            Ok((load_answers(&profile)?, load_named(&profile, profile.document.calibration.as_ref())?, profile))
        };
        for profile in profiles {
            match profile.and_then(with_answers) {
                Ok((answers, calibration, profile)) => {
                    facts.add(profile, answers, kinds, &mut findings);
                    facts.calibration.extend(calibration);
                }
                Err(Error::Input(more)) => findings.extend(more),
                Err(other) => return Err(other),
            }
        }
        findings.or(facts).map_err(Error::from)
    }

    /// Returns facts from profiles that are already in memory; for tests and for callers without files.
    ///
    /// # Errors
    /// Findings where two profiles name the same variant.
    pub fn of(profiles: Vec<(Loaded<Profile>, Option<Answers>)>) -> Result<Self, Findings> {
        Self::of_kinds(profiles, &[], Serving::ALONE)
    }

    /// Returns facts of these kinds of machines from profiles that are already in memory.
    ///
    /// # Errors
    /// Findings where two profiles that one kind trusts name the same variant.
    pub fn of_kinds(
        profiles: Vec<(Loaded<Profile>, Option<Answers>)>,
        kinds: &[Machine],
        serving: Serving,
    ) -> Result<Self, Findings> {
        let mut facts = Self { serving, ..Self::default() };
        let mut findings = Findings::default();
        for (profile, answers) in profiles {
            facts.add(profile, answers, kinds, &mut findings);
        }
        findings.or(facts)
    }

    /// Loads the profiles and the trace that a problem names, found relative to the problem's folder.
    ///
    /// # Errors
    /// As [`Facts::load`], for the trace too.
    pub fn of_problem(problem: &Problem, folder: &Path) -> Result<Self, Error> {
        let profiles: Vec<PathBuf> = problem.profiles.iter().map(|path| folder.join(path)).collect();
        let facts = Self::load_on(&profiles, &problem.inventory.machines, Serving::of(problem))?;
        facts.measured_on(&problem.inventory.machines)?;
        Ok(Self { recorded: recorded_load(problem, folder)?, ..facts })
    }

    /// Finds kinds of machines on whose device no profile that holds there has a measurement.
    fn measured_on(&self, kinds: &[Machine]) -> Result<(), Findings> {
        let measured = |kind: &Machine| {
            let mut held = self.profiles.iter().zip(&self.curves).filter(|(profile, _)| kind.trusts(&profile.path));
            held.any(|(_, curves)| curves.keys().any(|(_, device)| *device == kind.device))
        };
        let mut findings = Findings::default();
        for (index, kind) in kinds.iter().enumerate().filter(|(_, kind)| !measured(kind)) {
            let cause = format!("no profile has a measurement on `{}` for the kind `{}`", kind.device, kind.name);
            let action = "measure it there with `planner profile`, or remove the kind";
            let key = format!("inventory.machines[{index}]");
            findings.push(Finding::error(Code::NotMeasured, key, cause, action));
        }
        findings.or(())
    }

    fn add(&mut self, profile: Loaded<Profile>, answers: Option<Answers>, kinds: &[Machine], findings: &mut Findings) {
        let both = |other: &Path| kinds.iter().any(|kind| kind.trusts(other) && kind.trusts(&profile.path));
        for variant in &profile.document.variants {
            let mut others = self.profiles.iter().filter(|other| other.document.variant(&variant.name).is_some());
            if others.any(|other| kinds.is_empty() || both(&other.path)) {
                let cause = format!("`{}` is also in another profile", variant.name);
                let action = "rename it in one model list, or say in `inventory.machines` which kind has which profile";
                let finding = Finding::error(Code::DuplicateName, "variants", cause, action);
                findings.extend(Findings::from(finding).in_file(&profile.path));
            }
        }
        let glimpsed = profile.document.glimpses.iter().map(|glimpse| glimpse.device.as_str());
        let devices: BTreeSet<&str> =
            profile.document.points.iter().map(|point| point.device.as_str()).chain(glimpsed).collect();
        let mut curves = BTreeMap::new();
        for device in devices {
            curves.extend(self.curves_of(&profile.document, device, &skipped(&profile.document)));
        }
        self.curves.push(curves);
        self.profiles.push(profile);
        self.answers.push(answers);
    }

    /// Returns the curves of a profile on a device, with times of calls as a plan makes them.
    fn curves_of<'a>(
        &self,
        profile: &'a Profile,
        device: &'a str,
        more: &[Spot],
    ) -> impl Iterator<Item = ((String, String), Curve)> + use<'a> {
        let serving = self.serving;
        Curve::family(profile, device, more).into_iter().map(move |(name, curve)| {
            let curve = served(&curve, profile, (&name, device), serving);
            ((name, device.to_owned()), curve)
        })
    }

    /// Returns the facts without the recorded load.
    #[must_use]
    pub fn without_load(&self) -> Self {
        Self { recorded: None, ..self.clone() }
    }

    /// Returns the facts as they would be if every configuration that was not measured were as fast as it can be: so many
    /// standard deviations below its prediction. `asked` names configurations beside those measured of any variant.
    #[must_use]
    pub fn at_best(&self, asked: &[(String, Key)], device: &str, bound: Bound) -> Self {
        let mut facts = self.clone();
        for (curves, profile) in facts.curves.iter_mut().zip(self.profiles.iter().map(|profile| &profile.document)) {
            let index = |name: &String| profile.variants.iter().position(|variant| variant.name == *name);
            let more: Vec<Spot> = asked.iter().filter_map(|(name, key)| Some((index(name)?, *key))).collect();
            curves.extend(self.curves_of(profile, device, &more).map(|(named, curve)| (named, curve.at_best(bound))));
        }
        facts
    }

    /// Returns the facts as fast as they can be without contradicting what was measured: every law at the lower end of its
    /// median's 95 % interval, and a part of it less, by which another run may differ.
    #[must_use]
    pub fn at_fast_end(&self, noise: f64) -> Self {
        let mut facts = self.clone();
        for (curves, profile) in facts.curves.iter_mut().zip(&self.profiles) {
            for point in profile.document.points.iter().filter(|point| point.co_runners == 0) {
                if let Some(curve) = curves.get_mut(&(point.variant.clone(), point.device.clone())) {
                    let factor = (1.0 - noise) * point.latency.p50.low_ms.get() / point.latency.p50.value_ms.get();
                    *curve = curve.times(|at| if at == (point.cores, point.batch) { factor } else { 1.0 });
                }
            }
        }
        facts
    }

    /// Returns the recorded load, or where there is none that in which every rate up to the highest holds equally long.
    #[must_use]
    pub fn load_up_to(&self, max_rps: f64) -> RecordedLoad {
        self.recorded.as_ref().map_or_else(|| RecordedLoad::every_rate_alike(max_rps), |loaded| loaded.document.clone())
    }

    /// Returns how the certainty of all answers was measured.
    ///
    /// # Errors
    /// A finding where profiles differ in it: their thresholds mean different things.
    pub fn certainty(&self) -> Result<CertaintyMeasure, Findings> {
        let files = self.profiles.iter().filter_map(|profile| profile.document.answers.as_ref());
        let measures: Vec<CertaintyMeasure> = files.map(|file| file.certainty).collect();
        let first = measures.first().copied().unwrap_or_default();
        if measures.iter().all(|measure| *measure == first) {
            return Ok(first);
        }
        let cause = format!("certainty was measured in different ways: {measures:?}");
        Err(Finding::error(Code::Inconsistent, "profiles", cause, "profile all variants with one --certainty").into())
    }

    /// Returns every variant, in file order.
    pub fn variants(&self) -> impl Iterator<Item = &Variant> {
        self.profiles.iter().flat_map(|profile| &profile.document.variants)
    }

    /// Returns the variant of that name.
    #[must_use]
    pub fn variant(&self, name: &str) -> Option<&Variant> {
        self.variants().find(|variant| variant.name == name)
    }

    /// Returns a variant that is known to be measured: a room plans only what [`Ask::variants`] found.
    ///
    /// # Panics
    /// Where no profile holds it.
    #[must_use]
    pub fn measured(&self, name: &str) -> &Variant {
        self.variant(name).unwrap_or_else(|| panic!("no profile holds the variant `{name}`, so nothing should plan it"))
    }

    /// Tells that some profile holds each of these variants.
    ///
    /// # Errors
    /// A finding for each that none does.
    pub fn require_variants(&self, variants: &[String]) -> Result<(), Findings> {
        let known: Vec<&str> = self.variants().map(|variant| variant.name.as_str()).collect();
        let mut findings = Findings::default();
        for name in variants.iter().filter(|name| !known.contains(&name.as_str())) {
            let cause = format!("no profile holds `{name}`");
            let action = near::hint(name, known.iter().copied(), format!("the profiles hold {}", known.join(", ")));
            findings.push(Finding::error(Code::UnknownName, "stages", cause, action));
        }
        findings.or(())
    }

    /// Tells that the accuracy of every variant that a problem rests on is known.
    ///
    /// # Errors
    /// A finding for each variant that nobody judged where the problem chooses by accuracy, asks for one, or lets answers leave
    /// by their certainty.
    pub fn require_accuracies(&self, problem: &Problem) -> Result<(), Findings> {
        let goal = &problem.goal;
        let floors = [goal.accuracy_at_least, goal.mean_accuracy_at_least];
        let has_floor = floors.iter().flatten().any(|least| least.get() > 0.0);
        let has_exits = !matches!(problem.room.name(), RoomName::VariantSet | RoomName::Pipeline);
        let allowed = problem.allowed_variants();
        let is_allowed =
            |variant: &&Variant| allowed.as_ref().is_none_or(|allowed| allowed.contains(&variant.name.as_str()));
        let mut findings = Findings::default();
        for profile in &self.profiles {
            let variants: Vec<&Variant> = profile.document.variants.iter().filter(is_allowed).collect();
            let is_choice = variants.len() > 1 && goal.kind != GoalKind::Cheapest;
            for variant in variants.into_iter().filter(|variant| !variant.accuracy.is_known()) {
                if has_floor || has_exits || is_choice {
                    let cause = format!("the accuracy of `{}` is unknown, and the problem chooses by it", variant.name);
                    let action = "profile it with labels and a [judge], say in its model list `accuracy = { right, of, source }`, or \
                                  plan it alone with `variants`";
                    findings.push(Finding::error(Code::NotMeasured, "profiles", cause, action));
                }
            }
        }
        findings.or(())
    }

    /// Tells that variants can stand in for each other.
    ///
    /// # Errors
    /// A finding where their profiles are of different tasks.
    pub fn require_one_task(&self, variants: &[String]) -> Result<(), Findings> {
        let of =
            self.profiles.iter().filter(|profile| variants.iter().any(|name| profile.document.variant(name).is_some()));
        let tasks: BTreeSet<&str> = of.map(|profile| profile.document.task.as_str()).collect();
        if tasks.len() < 2 {
            return Ok(());
        }
        let tasks: Vec<&str> = tasks.into_iter().collect();
        let cause = format!("variants of the tasks {} cannot stand in for each other", tasks.join(", "));
        let action = "name the variants of one task under `variants`, or leave a profile out";
        Err(Finding::error(Code::Inconsistent, "profiles", cause, action).into())
    }

    /// Returns the latency surface of a variant on a device.
    #[must_use]
    pub fn curve(&self, variant: &str, device: &str) -> Option<&Curve> {
        let key = (variant.to_owned(), device.to_owned());
        self.curves.iter().find_map(|curves| curves.get(&key))
    }

    /// Returns the facts that hold on a kind of machine.
    #[must_use]
    pub fn on(&self, kind: &Machine) -> Self {
        let held: Vec<bool> = self.profiles.iter().map(|profile| kind.trusts(&profile.path)).collect();
        fn kept<T: Clone>(all: &[T], held: &[bool]) -> Vec<T> {
            all.iter().zip(held).filter(|(_, held)| **held).map(|(one, _)| one.clone()).collect()
        }
        Self {
            profiles: kept(&self.profiles, &held),
            answers: kept(&self.answers, &held),
            curves: kept(&self.curves, &held),
            calibration: self.calibration.clone(),
            recorded: self.recorded.clone(),
            serving: self.serving,
        }
    }

    /// Returns the service time of one call of `batch` samples on one replica, or `None` where it was not measured.
    #[must_use]
    pub fn service(&self, variant: &str, on: &Resource, batch: u32) -> Option<Service> {
        self.curve(variant, on.device())?.at(on.cores(), batch)
    }

    /// Returns the cores of the smallest host that measured; beyond them nobody saw replicas run side by side.
    #[must_use]
    pub fn host_cores(&self) -> u32 {
        self.profiles.iter().map(|profile| profile.document.host.cores_allowed).min().unwrap_or(0)
    }

    /// Returns the trust of a latency on so many busy cores that rests on a number of this trust.
    #[must_use]
    pub fn trust_on(&self, cores: u32, trust: Trust) -> Trust {
        if cores > self.host_cores() { trust.max(Trust::Extrapolated) } else { trust }
    }

    /// Returns the answers file that holds a variant's answers.
    #[must_use]
    pub fn answers(&self, variant: &str) -> Option<&Answers> {
        self.answers.iter().flatten().find(|answers| answers.of(variant).is_some())
    }

    /// Returns a variant's answers to the samples that are kept apart for choosing thresholds, where there are any.
    #[must_use]
    pub fn calibration(&self, variant: &str) -> Option<&Answers> {
        self.calibration.iter().find(|answers| answers.of(variant).is_some())
    }
}

/// Reads the trace that a problem names, found relative to `folder`; `None` where it names none.
///
/// # Errors
/// [`Error::Input`] where the file cannot be read, or nobody asks for anything in it.
pub(crate) fn recorded_load(problem: &Problem, folder: &Path) -> Result<Option<Loaded<RecordedLoad>>, Error> {
    let Some(path) = &problem.workload.trace else { return Ok(None) };
    let scale = problem.workload.trace_scale.map_or(1.0, f64::from);
    RecordedLoad::read(&folder.join(path), scale, problem.workload.max_rps.get()).map(Some)
}

/// Returns how much longer calls take for each number of busy neighbours from 0 on, as far as that was measured: the geometric
/// mean, over batches, of the ratio of means. Numbers between measured ones are interpolated linearly.
pub(crate) fn slowdowns<'a>(points: impl Iterator<Item = &'a Point>, device: &str, cores: u32) -> Vec<f64> {
    let here: Vec<_> = points.filter(|point| point.device == device && point.cores == cores).collect();
    let mut ratios: BTreeMap<u32, Vec<f64>> = BTreeMap::from([(0, vec![0.0])]);
    for point in here.iter().filter(|point| point.co_runners > 0) {
        let alone = here.iter().find(|other| other.co_runners == 0 && other.batch == point.batch);
        if let Some(alone) = alone {
            let ratio = point.latency.mean_ms.get() / alone.latency.mean_ms.get();
            ratios.entry(point.co_runners).or_default().push(ratio.ln());
        }
    }
    let known: Vec<(u32, f64)> =
        ratios.iter().map(|(&k, logs)| (k, (logs.iter().sum::<f64>() / logs.len() as f64).exp())).collect();
    let mut slowdowns = vec![1.0];
    for pair in known.windows(2) {
        let ((from, low), (to, high)) = (pair[0], pair[1]);
        let part = |k: u32| f64::from(k - from) / f64::from(to - from);
        slowdowns.extend((from + 1..=to).map(|k| low + (high - low) * part(k)));
    }
    slowdowns
}

/// Returns the points that a profile left out on purpose, as holes of its variants' curves.
fn skipped(profile: &Profile) -> Vec<Spot> {
    let index = |name: &String| profile.variants.iter().position(|variant| variant.name == *name);
    profile.skipped.iter().filter_map(|skipped| Some((index(&skipped.variant)?, skipped.point))).collect()
}

/// Loads the answers that a profile names, found relative to the profile's folder; `None` where it names none.
///
/// # Errors
/// [`Error::Input`] where the file cannot be read or is not the one that the profile was written with.
pub fn load_answers(profile: &Loaded<Profile>) -> Result<Option<Answers>, Error> {
    load_named(profile, profile.document.answers.as_ref())
}

fn load_named(profile: &Loaded<Profile>, named: Option<&AnswersFile>) -> Result<Option<Answers>, Error> {
    let Some(named) = named else { return Ok(None) };
    let path = profile.path.parent().unwrap_or(Path::new("")).join(&named.file);
    let bytes = read(&path)?;
    if sha256(&bytes) != named.sha256 {
        let cause = "the answers are not those that the profile was written with";
        let finding = Finding::error(Code::FactsChanged, "", cause, "restore the file or profile again");
        return Err(Findings::from(finding).in_file(&path).into());
    }
    Ok(Some(Answers::from_csv_gz(&bytes, &path)?))
}
