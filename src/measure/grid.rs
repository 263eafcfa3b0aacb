//! Measuring a family: what each variant answers, what it costs to load, and how long its calls take.
//!
//! ```text
//! each variant:                 load time, memory, answers, accuracy
//! each wave of points:          those that the attendant asks for, all that are missing unless it chooses
//!   every variant:              open it, then a few calls for each point of which a glimpse is asked for
//!   each round:                 every variant × cores in random order: open it, then
//!                               a block of calls for each batch × co-runners, in random order
//! ```
//!
//! A variant that fails is told of, and the rest goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::adaptive::{Wave, full_grid};
use super::answering::{Halves, answer_all};
use super::block::{Block, Enough, point_of};
use super::host::{Counters, fingerprint, pin};
use super::lab::{Lab, Visit};
use crate::base::error::Error;
use crate::base::finding::Finding;
use crate::base::units::{Millis, Share};
use crate::measure::engines::{Engine, full_name, placed};
use crate::profile::Family;
use crate::profile::Key;
use crate::profile::Spot;
use crate::profile::{CertaintyMeasure, Failure, Glimpse, Point, Profile, ProfileFormat, ProfileProvenance, Variant};
use crate::stats::sample::calls_to_bound;
use crate::stats::shuffle;

/// Times that a glimpse is taken where others were using the machine.
const TRIES: usize = 3;
/// Order of the visits for glimpses among those that the seed draws.
const GLIMPSES: u64 = 1 << 63;

/// Calls that a 95 % interval of the 99th percentile needs: 0.99^n is below 2.5 % from 367 on, and some are cut as warm-up.
pub const CALLS_FOR_A_TAIL: usize = 400;

/// What to measure, and how exactly.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasureSettings {
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
    pub context: MeasureContext,
}

/// What a profile says about the caller, who alone knows paths, clock and environment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MeasureContext {
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
pub enum MeasureEvent<'a> {
    /// A wave begins: so many points will be measured, so many are there already.
    Begun {
        /// Points to measure.
        points: usize,
        /// Points that are there.
        kept: usize,
        /// Blocks to measure.
        blocks: usize,
    },
    /// Something that somebody should know of a variant.
    Noted(&'a Finding),
    /// A variant was loaded, and it is known how often it is right.
    Answered(&'a Variant),
    /// A block of a point was measured; more of them follow.
    Began(&'a Block),
    /// A few calls of a point were made.
    Glimpsed(&'a Glimpse),
    /// The last block of a point was measured.
    Measured(&'a Point),
    /// A variant or a point could not be measured.
    Failed(&'a Failure),
}

/// What the caller does for a measurement while it goes on.
pub trait Attendant {
    /// Is told of every event.
    fn tell(&mut self, event: MeasureEvent<'_>);

    /// Keeps the answers, before any profile that names them; called once, or never where nothing judges them.
    ///
    /// # Errors
    /// Whatever ends the measurement.
    fn keep_answers(&mut self, _answers: &Halves) -> Result<(), Error> {
        Ok(())
    }

    /// Keeps the profile so far; called after every point.
    ///
    /// # Errors
    /// Whatever ends the measurement.
    fn save(&mut self, profile: &Profile) -> Result<(), Error>;

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
    fn choose(&mut self, missing: &[Spot], _profile: &Profile) -> Result<Wave, Error> {
        Ok(Wave { full: missing.to_vec(), ..Wave::default() })
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
    settings: &MeasureSettings,
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
    let (answers, fixed) = answer_all(family, lab, settings, earlier.as_ref(), &mut profile, attendant)?;
    if profile.answers.is_some() {
        attendant.keep_answers(&answers)?;
    }
    attendant.save(&profile)?;

    let mut bench = Bench::new(family, lab, settings, earlier.as_ref(), (&profile, &fixed));
    profile.points = bench.points();
    profile.glimpses = bench.glimpses();
    let mut waves = 0;
    loop {
        let wave = attendant.choose(&bench.missing(), &profile)?;
        if wave.is_empty() && waves > 0 {
            break;
        }
        waves += 1;
        let left = |point| (settings.blocks as usize).saturating_sub(bench.done(point));
        let blocks = wave.glimpsed.len() + wave.full.iter().map(left).sum::<usize>();
        let points = wave.glimpsed.len() + wave.full.len();
        attendant.tell(MeasureEvent::Begun { points, kept: profile.points.len(), blocks });
        let mut report = |bench: &Bench<'_>, seen: Progress<'_>| {
            match seen {
                Progress::Glimpse(point, block) => {
                    attendant.keep(block)?;
                    attendant.tell(MeasureEvent::Glimpsed(&bench.glimpses[&point]));
                }
                Progress::Failure(failure) => {
                    attendant.tell(MeasureEvent::Failed(&failure));
                    profile.failures.push(failure);
                }
                Progress::Block(point, block) => {
                    attendant.keep(block)?;
                    if bench.done(&point) < settings.blocks as usize {
                        attendant.tell(MeasureEvent::Began(block));
                        return Ok(());
                    }
                    profile.points.push(bench.point(&bench.blocks[&point], bench.best_probe_ns()));
                    profile.host.steal = Counters::now().steal_since(&begin);
                    attendant.save(&profile)?;
                    attendant.tell(MeasureEvent::Measured(&profile.points[profile.points.len() - 1]));
                }
            }
            Ok(())
        };
        bench.take_glimpses(&wave.glimpsed, &mut report)?;
        bench.measure(&wave.full, &mut report)?;
        // Only now it is known how fast the probe can be.
        profile.points = bench.points();
        profile.glimpses = bench.glimpses();
        sort_points(&mut profile);
    }
    Ok((profile, answers))
}

/// Returns the error where it is the variant's own; others end the measurement.
pub(crate) fn of_variant(error: Error) -> Result<Error, Error> {
    match error {
        Error::Input(_) | Error::Engine { .. } => Ok(error),
        other => Err(other),
    }
}

/// Returns what an error says, without the decoration of a finding.
pub(crate) fn cause_of(error: &Error) -> String {
    match error {
        Error::Input(findings) => {
            findings.0.iter().map(|finding| finding.cause.as_str()).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}

/// What a bench has seen.
enum Progress<'a> {
    Glimpse(Spot, &'a Block),
    Block(Spot, &'a Block),
    Failure(Failure),
}

/// Who hears what a bench has seen.
type Report<'r, 'a> = &'r mut dyn FnMut(&Bench<'a>, Progress<'_>) -> Result<(), Error>;

/// A measurement under way.
struct Bench<'a> {
    family: &'a Family,
    lab: &'a dyn Lab,
    settings: &'a MeasureSettings,
    /// Points of an earlier profile that stand.
    kept: Vec<Point>,
    /// Points that are neither kept nor failed.
    wanted: Vec<Spot>,
    blocks: BTreeMap<Spot, Vec<Block>>,
    glimpses: BTreeMap<Spot, Glimpse>,
    failed: BTreeSet<Spot>,
}

/// How closely a point is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Glimpse,
    Block,
}

impl<'a> Bench<'a> {
    fn new(
        family: &'a Family,
        lab: &'a dyn Lab,
        settings: &'a MeasureSettings,
        earlier: Option<&Earlier>,
        (profile, fixed): (&Profile, &[Option<u32>]),
    ) -> Self {
        let kept: Vec<Point> = earlier.into_iter().flat_map(|earlier| reusable(earlier, family, settings)).collect();
        let (device, name) = (lab.engine().device(), |index: usize| &family.list.variants[index].name);
        let is_there = |(index, key): &Spot| {
            let here = |point: &&Point| point.variant == *name(*index) && point.device == device;
            kept.iter().filter(here).any(|point| Key::of(point) == *key)
        };
        let came_up = |point: &Spot| profile.variant(name(point.0)).is_some();
        let grid = full_grid(family.list.variants.len(), &settings.cores, &settings.batches, &settings.co_runners);
        // A model that takes so many at once and no others is measured at that batch alone.
        let first = settings.batches.first().copied();
        let at_fixed = |(index, key): Spot| match fixed.get(index).copied().flatten() {
            Some(batch) => (Some(key.batch) == first).then_some((index, Key { batch, ..key })),
            None => Some((index, key)),
        };
        let grid = grid.into_iter().filter_map(at_fixed);
        let wanted: Vec<_> = grid.filter(|point| came_up(point) && !is_there(point)).collect();
        let mut blocks: BTreeMap<_, Vec<Block>> = BTreeMap::new();
        let mut glimpses = BTreeMap::new();
        let wanted_as = |variant: &str, key: Key| {
            let same = |spot: &&Spot| variant == *name(spot.0) && key == spot.1;
            wanted.iter().find(same).filter(|_| same_model(earlier, family, variant)).copied()
        };
        for glimpse in earlier.into_iter().flat_map(|earlier| &earlier.profile.glimpses) {
            let point = wanted_as(&glimpse.variant, glimpse.key()).filter(|_| glimpse.device == device);
            glimpses.extend(point.map(|point| (point, glimpse.clone())));
        }
        for block in earlier.into_iter().flat_map(|earlier| &earlier.blocks) {
            match wanted_as(&block.variant, block.key) {
                Some(point) if block.glimpse => {
                    glimpses.insert(point, block.glimpse(device.clone(), lab.engine().works_here()));
                }
                Some(point) => blocks.entry(point).or_default().push(block.clone()),
                None => {}
            }
        }
        for of_point in blocks.values_mut() {
            of_point.truncate(settings.blocks as usize);
        }
        Self { family, lab, settings, kept, wanted, blocks, glimpses, failed: BTreeSet::new() }
    }

    fn done(&self, point: &Spot) -> usize {
        self.blocks.get(point).map_or(0, Vec::len)
    }

    fn is_complete(&self, point: &Spot) -> bool {
        self.done(point) >= self.settings.blocks as usize
    }

    /// Returns the points of the grid that are still to be measured.
    fn missing(&self) -> Vec<Spot> {
        let missing = |point: &&Spot| !self.is_complete(point) && !self.failed.contains(point);
        self.wanted.iter().filter(missing).copied().collect()
    }

    /// Makes a few calls of some points, those of a variant in one visit, and reports each.
    fn take_glimpses(&mut self, wave: &[Spot], report: Report<'_, 'a>) -> Result<(), Error> {
        let mut variants: Vec<usize> = wave.iter().map(|point| point.0).collect();
        variants.sort_unstable();
        variants.dedup();
        shuffle(&mut variants, self.settings.seed, GLIMPSES);
        for index in variants {
            let due = |point: &&Spot| point.0 == index && !self.failed.contains(point);
            let mut keys: Vec<Key> = wave.iter().filter(due).map(|point| point.1).collect();
            shuffle(&mut keys, self.settings.seed, GLIMPSES | index as u64);
            // Another number of cores opens the variant anew.
            keys.sort_by_key(|key| key.cores);
            while let Some(first) = keys.last() {
                self.visit((index, first.cores), &mut keys, Look::Glimpse, report)?;
            }
        }
        Ok(())
    }

    /// Measures all blocks of some points, and reports each.
    fn measure(&mut self, wave: &[Spot], report: Report<'_, 'a>) -> Result<(), Error> {
        for round in 0..self.settings.blocks as usize {
            for (index, cores) in self.groups(wave, round) {
                let mut keys = self.due(wave, round, index, cores);
                while !keys.is_empty() {
                    self.visit((index, cores), &mut keys, Look::Block, report)?;
                }
            }
        }
        Ok(())
    }

    /// Returns the points of a wave that a round has work for.
    fn due_all<'w>(&'w self, wave: &'w [Spot], round: usize) -> impl Iterator<Item = &'w Spot> {
        wave.iter().filter(move |point| self.done(point) <= round && !self.failed.contains(point))
    }

    /// Returns every variant × cores that a round has work for, in the order of that round.
    fn groups(&self, wave: &[Spot], round: usize) -> Vec<(usize, u32)> {
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
    fn due(&self, wave: &[Spot], round: usize, index: usize, cores: u32) -> Vec<Key> {
        let here = |point: &&Spot| point.0 == index && point.1.cores == cores;
        let mut keys: Vec<Key> = self.due_all(wave, round).filter(here).map(|&(_, key)| key).collect();
        shuffle(&mut keys, self.settings.seed, (round as u64) << 32 | index as u64);
        keys
    }

    /// Opens a variant and measures a block of each point, until one fails; what is left stays in `keys`.
    fn visit(
        &mut self,
        (index, cores): (usize, u32),
        keys: &mut Vec<Key>,
        look: Look,
        report: Report<'_, 'a>,
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
            let seen = match look {
                Look::Glimpse => self.glimpse(visit.as_mut(), key),
                Look::Block => {
                    let earlier = self.blocks.get(&point).map_or(&[][..], Vec::as_slice);
                    visit.block(key, self.settings.seed, earlier, self.enough(earlier.len()))
                }
            };
            let block = match seen {
                Ok(block) => block,
                Err(error) => return self.fail(point, &cause_of(&of_variant(error)?), report),
            };
            if look == Look::Glimpse {
                let engine = self.lab.engine();
                self.glimpses.insert(point, block.glimpse(engine.device(), engine.works_here()));
                report(self, Progress::Glimpse(point, &block))?;
            } else {
                self.blocks.entry(point).or_default().push(block.clone());
                report(self, Progress::Block(point, &block))?;
            }
        }
        Ok(())
    }

    /// Makes a few calls, again where others were using the machine.
    fn glimpse(&self, visit: &mut dyn Visit, key: Key) -> Result<Block, Error> {
        let mut take = || visit.block(key, self.settings.seed, &[], Enough::glimpse(self.settings.budget.duration()));
        let tells = self.lab.engine().works_here() && key.co_runners == 0;
        let mut block = take()?;
        for _ in 1..TRIES {
            if !tells || !block.is_disturbed() {
                break;
            }
            block = take()?;
        }
        Ok(block)
    }

    /// Gives a point up.
    fn fail(&mut self, point: Spot, cause: &str, report: Report<'_, 'a>) -> Result<(), Error> {
        self.failed.insert(point);
        self.blocks.remove(&point);
        self.glimpses.remove(&point);
        let variant = self.family.list.variants[point.0].name.clone();
        report(self, Progress::Failure(Failure { variant, point: Some(point.1), cause: cause.to_owned() }))
    }

    /// Says what the next block of a point needs to see after so many others.
    fn enough(&self, done: usize) -> Enough {
        let blocks = self.settings.blocks.max(1);
        Enough {
            fewest: CALLS_FOR_A_TAIL.div_ceil(blocks as usize),
            independent: (calls_to_bound(0.99) * (done + 1)).div_ceil(blocks as usize),
            precision: self.settings.precision.get(),
            tail_precision: self.settings.tail_precision.map(Share::get),
            ..Enough::spent(self.settings.budget.duration() / blocks)
        }
    }

    fn best_probe_ns(&self) -> u64 {
        self.blocks.values().flatten().map(|block| block.probe_ns).min().unwrap_or(0)
    }

    fn point(&self, blocks: &[Block], best_probe_ns: u64) -> Point {
        placed(self.lab.engine(), point_of(blocks, best_probe_ns))
    }

    /// Returns the glimpses of points that were not measured to the end.
    fn glimpses(&self) -> Vec<Glimpse> {
        let alone = self.glimpses.iter().filter(|(point, _)| !self.is_complete(point));
        alone.map(|(_, glimpse)| glimpse.clone()).collect()
    }

    /// Returns the points that were kept and those that were measured to the end.
    fn points(&self) -> Vec<Point> {
        let best_probe_ns = self.best_probe_ns();
        let complete = self.blocks.iter().filter(|(point, _)| self.is_complete(point));
        let measured = complete.map(|(_, blocks)| self.point(blocks, best_probe_ns));
        self.kept.iter().cloned().chain(measured).collect()
    }
}

fn empty(family: &Family, engine: &dyn Engine, settings: &MeasureSettings) -> Profile {
    let context = &settings.context;
    let libraries = vec![full_name(engine)];
    Profile {
        format: ProfileFormat::V1,
        task: family.list.task.clone(),
        variants: Vec::new(),
        points: Vec::new(),
        glimpses: Vec::new(),
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

pub(crate) fn same_model(earlier: Option<&Earlier>, family: &Family, name: &str) -> bool {
    let index = family.list.variants.iter().position(|entry| entry.name == name);
    let then = earlier.and_then(|earlier| earlier.profile.variant(name));
    index.zip(then).is_some_and(|(index, then)| then.sha256 == family.model_sha256[index])
}

/// Points of the earlier profile that need not be measured again.
fn reusable(earlier: &Earlier, family: &Family, settings: &MeasureSettings) -> Vec<Point> {
    let keep = |point: &&Point| {
        same_model(Some(earlier), family, &point.variant) && !(settings.retry_contended && point.conditions.contended)
    };
    earlier.profile.points.iter().filter(keep).cloned().collect()
}

/// Puts points in the order of the variants, then by cores and batch, whatever order they were measured in.
fn sort_points(profile: &mut Profile) {
    let names: Vec<_> = profile.variants.iter().map(|variant| variant.name.clone()).collect();
    let place = |name: &str| names.iter().position(|known| known == name);
    profile.points.sort_by_key(|point| (place(&point.variant), Key::of(point)));
}
