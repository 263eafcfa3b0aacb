//! Measuring a family: what each variant answers, what it costs to load, and how long its calls take.
//!
//! ```text
//! each variant:                 load time, memory, answers, accuracy
//! each wave of points:          those that the attendant asks for, all that are missing unless it chooses
//!   each round:                 every variant × cores in random order: open it, then
//!                               a block of calls for each batch × co-runners, in random order
//! ```
//!
//! A variant that fails is told of, and the rest goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::block::{Block, Enough, Key, point_of};
use super::engine::{Engine, placed};
use super::host::{Counters, fingerprint, pin};
use super::lab::{Answered, Half, Lab};
use super::models::Family;
use super::sample::wilson;
use super::{
    AccuracyFact, Answers, AnswersFile, CertaintyMeasure, Failure, PartOf, Point, Profile, ProfileFormat,
    ProfileProvenance, Trust, Variant,
};
use crate::error::Error;
use crate::finding::Findings;
use crate::format;
use crate::units::{Accuracy, Millis, Share};

/// Calls that a 95 % interval of the 99th percentile needs: 0.99^n is below 2.5 % from 367 on, and some are cut as warm-up.
const CALLS_FOR_A_TAIL: usize = 400;

/// What to measure, and how exactly.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Samples in a call.
    pub batches: Vec<u32>,
    /// Threads, each on a core of its own.
    pub cores: Vec<u32>,
    /// Busy neighbours, each on as many cores of its own; 0 is the variant alone.
    pub co_runners: Vec<u32>,
    /// Half-width of the median's interval relative to the median at which a point is certain enough.
    pub precision: Share,
    /// The same of the 99th percentile; not asked for where absent.
    pub tail_precision: Option<Share>,
    /// Largest time of the calls of one point, over all its blocks.
    pub budget: Millis,
    /// Blocks in which each point is measured, at least 1.
    pub blocks: u32,
    /// How certainty is measured.
    pub certainty: CertaintyMeasure,
    /// Seed of the choice of inputs.
    pub seed: u64,
    /// Whether points of an earlier profile that were contended are measured again.
    pub retry_contended: bool,
    /// What the caller knows of paths, clock and environment.
    pub context: Context,
}

/// What a profile says about the caller, who alone knows paths, clock and environment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Context {
    /// Program and version.
    pub tool: String,
    /// The model list, relative to the profile.
    pub models: PathBuf,
    /// The answers file, relative to the profile.
    pub answers: PathBuf,
    /// The file with the answers to the calibration samples, relative to the profile.
    pub calibration: PathBuf,
    /// Environment variables that steer thread counts, `NAME=value`.
    pub thread_variables: Vec<String>,
}

/// Something that happened while measuring.
#[derive(Debug)]
pub enum Event<'a> {
    /// A wave begins: so many points will be measured, so many are there already.
    Begun {
        /// Points to measure.
        points: usize,
        /// Points that are there.
        kept: usize,
        /// Blocks to measure.
        blocks: usize,
    },
    /// A variant was loaded and has answered every sample.
    Answered(&'a Variant),
    /// A block of a point was measured; more of them follow.
    Began(&'a Block),
    /// The last block of a point was measured.
    Measured(&'a Point),
    /// A variant or a point could not be measured.
    Failed(&'a Failure),
}

/// A point to measure: the place of its variant in the list, and what of it.
pub type Wanted = (usize, Key);

/// What the caller does for a measurement while it goes on.
pub trait Attendant {
    /// Is told of every event.
    fn tell(&mut self, event: Event<'_>);

    /// Keeps the profile so far; called after every point.
    ///
    /// # Errors
    /// Whatever ends the measurement.
    fn save(&mut self, profile: &Profile, answers: &Halves) -> Result<(), Error>;

    /// Keeps a block, so that an interrupted measurement can go on from there.
    ///
    /// # Errors
    /// Whatever ends the measurement.
    fn keep(&mut self, _block: &Block) -> Result<(), Error> {
        Ok(())
    }

    /// Chooses the next points to measure among those of the grid that are missing; an empty list ends the measurement.
    ///
    /// # Errors
    /// Whatever ends the measurement.
    fn choose(&mut self, missing: &[Wanted], _profile: &Profile) -> Result<Vec<Wanted>, Error> {
        Ok(missing.to_vec())
    }
}

/// Answers to the samples that accuracy is stated on, and to those that thresholds are chosen on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Halves {
    /// Accuracy is stated on these.
    pub test: Answers,
    /// Thresholds are chosen on these, where they are kept apart.
    pub calibration: Option<Answers>,
}

impl Halves {
    fn iter_mut(&mut self) -> impl Iterator<Item = (Half, &mut Answers)> {
        let calibration = self.calibration.as_mut().map(|answers| (Half::Calibration, answers));
        std::iter::once((Half::Test, &mut self.test)).chain(calibration)
    }
}

/// What an earlier measurement left.
#[derive(Debug, Clone, PartialEq)]
pub struct Earlier {
    /// Its profile, with the points that were measured to the end.
    pub profile: Profile,
    /// Its answers.
    pub answers: Halves,
    /// Blocks of points that were not.
    pub blocks: Vec<Block>,
}

/// Measures a family in a laboratory, going on from an earlier measurement where one is given.
///
/// A variant that fails is left out and stands in the profile's failures, and so does a point.
///
/// # Errors
/// What every variant has failed with; [`Error::Unsupported`] for cores that are not allowed or an earlier profile of
/// other settings; whatever the attendant answers.
pub fn measure(
    family: &Family,
    lab: &dyn Lab,
    settings: &Settings,
    earlier: Option<Earlier>,
    attendant: &mut dyn Attendant,
) -> Result<(Profile, Halves), Error> {
    let most = settings.co_runners.iter().max().copied().unwrap_or(0);
    for &cores in &settings.cores {
        drop(pin(cores.saturating_mul(1 + most))?);
    }
    let begin = Counters::now();
    let mut profile = empty(family, lab.engine(), settings);
    let earlier = earlier.map(|earlier| agreeing(earlier, &profile, settings.certainty)).transpose()?;
    let answers = answer_all(family, lab, settings, earlier.as_ref(), &mut profile, attendant)?;
    attendant.save(&profile, &answers)?;

    let mut bench = Bench::new(family, lab, settings, earlier.as_ref(), &profile);
    profile.points = bench.points();
    let mut waves = 0;
    loop {
        let wave = attendant.choose(&bench.missing(), &profile)?;
        if wave.is_empty() && waves > 0 {
            break;
        }
        waves += 1;
        let blocks = wave.iter().map(|point| (settings.blocks as usize).saturating_sub(bench.done(point))).sum();
        attendant.tell(Event::Begun { points: wave.len(), kept: profile.points.len(), blocks });
        bench.measure(&wave, &mut |bench, seen| {
            match seen {
                Seen::Failure(failure) => {
                    attendant.tell(Event::Failed(&failure));
                    profile.failures.push(failure);
                }
                Seen::Block(point, block) => {
                    attendant.keep(block)?;
                    if bench.done(&point) < settings.blocks as usize {
                        attendant.tell(Event::Began(block));
                        return Ok(());
                    }
                    profile.points.push(bench.point(&bench.blocks[&point], bench.best_probe_ns()));
                    profile.host.steal = steal_since(&begin);
                    attendant.save(&profile, &answers)?;
                    attendant.tell(Event::Measured(&profile.points[profile.points.len() - 1]));
                }
            }
            Ok(())
        })?;
        // Only now it is known how fast the probe can be.
        profile.points = bench.points();
        sort_points(&mut profile);
    }
    Ok((profile, answers))
}

/// Lets every variant answer, as far as that was not done earlier, and puts it into the profile.
fn answer_all(
    family: &Family,
    lab: &dyn Lab,
    settings: &Settings,
    earlier: Option<&Earlier>,
    profile: &mut Profile,
    attendant: &mut dyn Attendant,
) -> Result<Halves, Error> {
    let mut halves = truth(family, lab, settings, earlier)?;
    let mut errors = Vec::new();
    for (index, entry) in family.list.variants.iter().enumerate() {
        let known = earlier.and_then(|earlier| known_variant(earlier, family, index));
        let outcome = match known {
            Some(known) => Ok(known),
            None => answer(family, lab, settings, &halves, index),
        };
        match outcome {
            Ok((variant, answered)) => {
                attendant.tell(Event::Answered(&variant));
                profile.variants.push(variant);
                for ((_, answers), of_half) in halves.iter_mut().zip(answered) {
                    answers.variants.push((entry.name.clone(), of_half));
                }
            }
            Err(error) => {
                let failure = Failure { variant: entry.name.clone(), point: None, cause: cause_of(&error) };
                errors.push(of_variant(error)?);
                attendant.tell(Event::Failed(&failure));
                profile.failures.push(failure);
            }
        }
    }
    if profile.variants.is_empty() {
        return Err(all_of(errors));
    }
    let file = |file: &Path, answers: &Answers| answers_file(file, settings.certainty, answers);
    profile.answers = Some(file(&settings.context.answers, &halves.test));
    profile.calibration = halves.calibration.as_ref().map(|answers| file(&settings.context.calibration, answers));
    Ok(halves)
}

/// Returns the labels of both halves: the given ones, or what the reference answers.
fn truth(family: &Family, lab: &dyn Lab, settings: &Settings, earlier: Option<&Earlier>) -> Result<Halves, Error> {
    let labels = |half, given: &[u32]| -> Result<Answers, Error> {
        let labels = match (&family.list.data.reference, earlier) {
            (None, _) => given.to_vec(),
            (Some(_), Some(earlier)) => match half {
                Half::Test => earlier.answers.test.labels.clone(),
                Half::Calibration => {
                    earlier.answers.calibration.as_ref().map(|answers| answers.labels.clone()).unwrap_or_default()
                }
            },
            (Some(name), None) => {
                let index = family.list.variants.iter().position(|entry| entry.name == *name).unwrap_or(0);
                let answered = lab.answers(index, first_cores(settings), half, settings.certainty)?;
                answered.answers.iter().map(|answer| answer.predicted).collect()
            }
        };
        Ok(Answers { labels, variants: Vec::new() })
    };
    let calibration = family.calibration.as_ref().map(|samples| labels(Half::Calibration, &samples.labels));
    Ok(Halves { test: labels(Half::Test, &family.samples.labels)?, calibration: calibration.transpose()? })
}

/// Loads a variant and lets it answer every sample; returns its answers to each half.
fn answer(
    family: &Family,
    lab: &dyn Lab,
    settings: &Settings,
    truth: &Halves,
    index: usize,
) -> Result<(Variant, Vec<Vec<super::Answer>>), Error> {
    let entry = &family.list.variants[index];
    let cores = first_cores(settings);
    let cost = lab.footprint(index, cores, &settings.batches)?;
    let half = |half| lab.answers(index, cores, half, settings.certainty);
    let Answered { answers, passes_bytes, receives_bytes } = half(Half::Test)?;
    let right = answers.iter().zip(&truth.test.labels).filter(|(answer, label)| answer.predicted == **label).count();
    let (low, high) = wilson(right as u64, answers.len() as u64);
    let variant = Variant {
        name: entry.name.clone(),
        file: entry.file.clone(),
        sha256: family.model_sha256[index].clone(),
        part_of: entry.part.as_ref().map(|part| PartOf {
            network: part.network.clone(),
            exit: part.exit,
            runs: part.runs,
            receives_bytes,
            passes_bytes,
        }),
        engine: format!("{} {}", lab.engine().name(), lab.engine().version()),
        accuracy: AccuracyFact {
            value: Accuracy::saturating(right as f64 / answers.len() as f64),
            low,
            high,
            samples: answers.len() as u64,
            trust: Trust::Measured,
            agrees_with: family.list.data.reference.clone(),
        },
        load_time_ms: cost.load_time_ms,
        cold_load_time_ms: cost.cold_load_time_ms,
        memory_mb: cost.memory.loaded_mb,
        memory_of_batches: cost.memory.batches,
    };
    let mut halves = vec![answers];
    if truth.calibration.is_some() {
        halves.push(half(Half::Calibration)?.answers);
    }
    Ok((variant, halves))
}

fn first_cores(settings: &Settings) -> u32 {
    settings.cores.first().copied().unwrap_or(1)
}

/// Returns the error where it is the variant's own; others end the measurement.
fn of_variant(error: Error) -> Result<Error, Error> {
    match error {
        Error::Input(_) | Error::Engine { .. } => Ok(error),
        other => Err(other),
    }
}

/// Returns what an error says, without the decoration of a finding.
fn cause_of(error: &Error) -> String {
    match error {
        Error::Input(findings) => {
            findings.0.iter().map(|finding| finding.cause.as_str()).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}

/// Returns one error for a measurement in which everything has failed: all findings, or the first other failure.
fn all_of(errors: Vec<Error>) -> Error {
    let mut findings = Findings::default();
    for error in errors {
        match error {
            Error::Input(more) => findings.extend(more),
            other => return other,
        }
    }
    Error::Input(findings)
}

/// What a bench has seen.
enum Seen<'a> {
    Block(Wanted, &'a Block),
    Failure(Failure),
}

/// A measurement under way.
struct Bench<'a> {
    family: &'a Family,
    lab: &'a dyn Lab,
    settings: &'a Settings,
    /// Points of an earlier profile that stand.
    kept: Vec<Point>,
    /// Points that are neither kept nor failed.
    wanted: Vec<Wanted>,
    blocks: BTreeMap<Wanted, Vec<Block>>,
    failed: BTreeSet<Wanted>,
}

impl<'a> Bench<'a> {
    fn new(
        family: &'a Family,
        lab: &'a dyn Lab,
        settings: &'a Settings,
        earlier: Option<&Earlier>,
        profile: &Profile,
    ) -> Self {
        let kept: Vec<Point> = earlier.into_iter().flat_map(|earlier| reusable(earlier, family, settings)).collect();
        let (device, name) = (lab.engine().device(), |index: usize| &family.list.variants[index].name);
        let is_there = |(index, key): &Wanted| {
            let here = |point: &&Point| point.variant == *name(*index) && point.device == device;
            kept.iter().filter(here).any(|point| Key::of(point) == *key)
        };
        let came_up = |point: &Wanted| profile.variant(name(point.0)).is_some();
        let grid = grid(family, settings).into_iter();
        let wanted: Vec<_> = grid.filter(|point| came_up(point) && !is_there(point)).collect();
        let mut blocks: BTreeMap<_, Vec<Block>> = BTreeMap::new();
        for block in earlier.into_iter().flat_map(|earlier| &earlier.blocks) {
            let same = |(index, key): &&Wanted| block.variant == *name(*index) && block.key == *key;
            let point = wanted.iter().find(same).filter(|_| same_model(earlier, family, &block.variant));
            if let Some(point) = point {
                blocks.entry(*point).or_default().push(block.clone());
            }
        }
        for of_point in blocks.values_mut() {
            of_point.truncate(settings.blocks as usize);
        }
        Self { family, lab, settings, kept, wanted, blocks, failed: BTreeSet::new() }
    }

    fn done(&self, point: &Wanted) -> usize {
        self.blocks.get(point).map_or(0, Vec::len)
    }

    fn is_complete(&self, point: &Wanted) -> bool {
        self.done(point) >= self.settings.blocks as usize
    }

    /// Returns the points of the grid that are still to be measured.
    fn missing(&self) -> Vec<Wanted> {
        let missing = |point: &&Wanted| !self.is_complete(point) && !self.failed.contains(point);
        self.wanted.iter().filter(missing).copied().collect()
    }

    /// Measures all blocks of some points, and reports each.
    fn measure(
        &mut self,
        wave: &[Wanted],
        report: &mut dyn FnMut(&Self, Seen<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for round in 0..self.settings.blocks as usize {
            for (index, cores) in self.groups(wave, round) {
                let mut keys = self.due(wave, round, index, cores);
                while !keys.is_empty() {
                    self.visit((index, cores), &mut keys, report)?;
                }
            }
        }
        Ok(())
    }

    /// Returns the points of a wave that a round has work for.
    fn due_all<'w>(&'w self, wave: &'w [Wanted], round: usize) -> impl Iterator<Item = &'w Wanted> {
        wave.iter().filter(move |point| self.done(point) <= round && !self.failed.contains(point))
    }

    /// Returns every variant × cores that a round has work for, in the order of that round.
    fn groups(&self, wave: &[Wanted], round: usize) -> Vec<(usize, u32)> {
        let mut groups: Vec<(usize, u32)> = Vec::new();
        for point in self.due_all(wave, round) {
            let group = (point.0, point.1.cores);
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        shuffle(&mut groups, self.settings.seed, round as u64);
        groups
    }

    /// Returns what of a variant on so many cores a round has work for, the first to be measured last.
    fn due(&self, wave: &[Wanted], round: usize, index: usize, cores: u32) -> Vec<Key> {
        let here = |point: &&Wanted| point.0 == index && point.1.cores == cores;
        let mut keys: Vec<Key> = self.due_all(wave, round).filter(here).map(|&(_, key)| key).collect();
        shuffle(&mut keys, self.settings.seed, (round as u64) << 32 | index as u64);
        keys
    }

    /// Opens a variant and measures a block of each point, until one fails; what is left stays in `keys`.
    fn visit(
        &mut self,
        (index, cores): (usize, u32),
        keys: &mut Vec<Key>,
        report: &mut dyn FnMut(&Self, Seen<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let lab = self.lab;
        let mut visit = match lab.visit(index, cores) {
            Ok(visit) => visit,
            Err(error) => {
                let cause = cause_of(&of_variant(error)?);
                return keys.drain(..).try_for_each(|key| self.fail((index, key), &cause, report));
            }
        };
        while let Some(key) = keys.pop() {
            let point = (index, key);
            let earlier = self.blocks.get(&point).map_or(&[][..], Vec::as_slice);
            match visit.block(key, self.settings.seed, earlier, self.enough()) {
                Ok(block) => {
                    self.blocks.entry(point).or_default().push(block.clone());
                    report(self, Seen::Block(point, &block))?;
                }
                Err(error) => return self.fail(point, &cause_of(&of_variant(error)?), report),
            }
        }
        Ok(())
    }

    /// Gives a point up.
    fn fail(
        &mut self,
        point: Wanted,
        cause: &str,
        report: &mut dyn FnMut(&Self, Seen<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.failed.insert(point);
        self.blocks.remove(&point);
        let variant = self.family.list.variants[point.0].name.clone();
        report(self, Seen::Failure(Failure { variant, point: Some(point.1), cause: cause.to_owned() }))
    }

    fn enough(&self) -> Enough {
        let blocks = self.settings.blocks.max(1);
        Enough {
            budget: self.settings.budget.duration() / blocks,
            fewest: CALLS_FOR_A_TAIL.div_ceil(blocks as usize),
            precision: self.settings.precision.get(),
            tail_precision: self.settings.tail_precision.map(Share::get),
        }
    }

    fn best_probe_ns(&self) -> u64 {
        self.blocks.values().flatten().map(|block| block.probe_ns).min().unwrap_or(0)
    }

    fn point(&self, blocks: &[Block], best_probe_ns: u64) -> Point {
        placed(self.lab.engine(), point_of(blocks, best_probe_ns))
    }

    /// Returns the points that were kept and those that were measured to the end.
    fn points(&self) -> Vec<Point> {
        let best_probe_ns = self.best_probe_ns();
        let complete = self.blocks.iter().filter(|(point, _)| self.is_complete(point));
        let measured = complete.map(|(_, blocks)| self.point(blocks, best_probe_ns));
        self.kept.iter().cloned().chain(measured).collect()
    }
}

/// Puts things in an order that only the seed and the number of the shuffle decide (Fisher and Yates).
pub(super) fn shuffle<T>(things: &mut [T], seed: u64, number: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(number);
    for last in (1..things.len()).rev() {
        things.swap(last, (random.next_u64() % (last as u64 + 1)) as usize);
    }
}

fn empty(family: &Family, engine: &dyn Engine, settings: &Settings) -> Profile {
    let context = &settings.context;
    let libraries = vec![format!("{} {}", engine.name(), engine.version())];
    Profile {
        format: ProfileFormat::V1,
        task: family.list.task.clone(),
        variants: Vec::new(),
        points: Vec::new(),
        failures: Vec::new(),
        skipped: Vec::new(),
        answers: None,
        calibration: None,
        host: fingerprint(libraries, context.thread_variables.clone()),
        provenance: ProfileProvenance {
            tool: context.tool.clone(),
            measured_at: String::new(),
            models: context.models.clone(),
            models_sha256: family.list_sha256.clone(),
            data_sha256: family.data_sha256(),
            budget_ms: settings.budget,
            precision: settings.precision,
            tail_precision: settings.tail_precision,
            blocks: settings.blocks,
            seed: settings.seed,
        },
    }
}

/// Every variant × cores × batch × co-runners in file order, cores first so that a session serves all its batches.
fn grid(family: &Family, settings: &Settings) -> Vec<Wanted> {
    let mut keys = Vec::new();
    for &cores in &settings.cores {
        for &batch in &settings.batches {
            keys.extend(settings.co_runners.iter().map(|&co_runners| Key { cores, batch, co_runners }));
        }
    }
    (0..family.list.variants.len()).flat_map(|index| keys.iter().map(move |&key| (index, key))).collect()
}

/// Refuses an earlier profile whose numbers would not be comparable.
fn agreeing(earlier: Earlier, now: &Profile, certainty: CertaintyMeasure) -> Result<Earlier, Error> {
    let (then, new) = (&earlier.profile.provenance, &now.provenance);
    let differs = [
        ("data", then.data_sha256 != new.data_sha256),
        ("budget", then.budget_ms != new.budget_ms),
        ("precision", (then.precision, then.tail_precision) != (new.precision, new.tail_precision)),
        ("number of blocks", then.blocks != new.blocks),
        ("seed", then.seed != new.seed),
        ("measure of certainty", earlier.profile.answers.as_ref().is_some_and(|file| file.certainty != certainty)),
        ("engine", earlier.profile.host.libraries != now.host.libraries),
        ("cpu", earlier.profile.host.cpu != now.host.cpu),
        ("thread variables", earlier.profile.host.thread_variables != now.host.thread_variables),
    ];
    let names: Vec<_> = differs.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect();
    if names.is_empty() {
        return Ok(earlier);
    }
    Err(Error::Unsupported {
        what: format!("the profile to resume was measured with another {}", names.join(", ")),
        hint: "pass the same settings, or measure all of it again with --overwrite".to_owned(),
    })
}

fn same_model(earlier: Option<&Earlier>, family: &Family, name: &str) -> bool {
    let index = family.list.variants.iter().position(|entry| entry.name == name);
    let then = earlier.and_then(|earlier| earlier.profile.variant(name));
    index.zip(then).is_some_and(|(index, then)| then.sha256 == family.model_sha256[index])
}

/// Points of the earlier profile that need not be measured again.
fn reusable(earlier: &Earlier, family: &Family, settings: &Settings) -> Vec<Point> {
    let keep = |point: &&Point| {
        same_model(Some(earlier), family, &point.variant) && !(settings.retry_contended && point.conditions.contended)
    };
    earlier.profile.points.iter().filter(keep).cloned().collect()
}

fn known_variant(earlier: &Earlier, family: &Family, index: usize) -> Option<(Variant, Vec<Vec<super::Answer>>)> {
    let name = &family.list.variants[index].name;
    let variant = earlier.profile.variant(name).filter(|_| same_model(Some(earlier), family, name))?;
    let mut halves = vec![earlier.answers.test.of(name)?.to_vec()];
    if family.calibration.is_some() {
        halves.push(earlier.answers.calibration.as_ref()?.of(name)?.to_vec());
    }
    Some((variant.clone(), halves))
}

fn answers_file(file: &Path, certainty: CertaintyMeasure, answers: &Answers) -> AnswersFile {
    let sha256 = format::sha256(&answers.to_csv_gz());
    AnswersFile { file: file.to_owned(), sha256, samples: answers.samples() as u64, certainty }
}

fn steal_since(begin: &Counters) -> Option<Share> {
    let (now, then) = Counters::now().steal.zip(begin.steal)?;
    let ticks = now.1 - then.1;
    (ticks > 0.0).then(|| Share::saturating((now.0 - then.0) / ticks))
}

/// Puts points in the order of the variants, then by cores and batch, whatever order they were measured in.
fn sort_points(profile: &mut Profile) {
    let names: Vec<_> = profile.variants.iter().map(|variant| variant.name.clone()).collect();
    let place = |name: &str| names.iter().position(|known| known == name);
    profile.points.sort_by_key(|point| (place(&point.variant), Key::of(point)));
}

#[cfg(test)]
mod tests {
    use super::shuffle;

    #[test]
    fn shuffles_are_those_of_their_seed() {
        let shuffled = |seed, number| {
            let mut things: Vec<u32> = (0..20).collect();
            shuffle(&mut things, seed, number);
            things
        };
        assert_eq!(shuffled(1, 2), shuffled(1, 2));
        assert!(shuffled(1, 2) != shuffled(1, 3) && shuffled(1, 2) != shuffled(2, 2));
        let mut sorted = shuffled(1, 2);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..20).collect::<Vec<_>>());
    }
}
