//! Measuring a family: what each variant answers, what it costs to load, and how long its calls take.
//!
//! ```text
//! each variant:                 load time, memory, answers, accuracy
//! each round:                   every variant × cores in random order: pin, open, then
//!                               a block of calls for each batch × co-runners, in random order
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use super::answering::answer;
use super::block::{Block, Enough, Key, measure_block, point_of};
use super::engine::{Batch, Engine, placed};
use super::host::{Counters, allowed_cores, fingerprint, pin, pin_to, resident};
use super::models::Family;
use super::{
    Answer, Answers, AnswersFile, CertaintyMeasure, Point, Profile, ProfileFormat, ProfileProvenance, Variant,
};
use crate::error::Error;
use crate::format;
use crate::units::{Megabytes, Millis, Share};

/// Different inputs that the calls of a point take in turn.
const INPUTS: usize = 4;
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
    /// Environment variables that steer thread counts, `NAME=value`.
    pub thread_variables: Vec<String>,
}

/// Something that happened while measuring.
#[derive(Debug)]
pub enum Event<'a> {
    /// So many points will be measured, so many are there already.
    Begun {
        /// Points to measure.
        points: usize,
        /// Points taken over from the earlier profile.
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
}

/// What the caller does for a measurement while it goes on.
pub trait Attendant {
    /// Is told of every event.
    fn tell(&mut self, event: Event<'_>);

    /// Keeps the profile so far; called after every point.
    ///
    /// # Errors
    /// Whatever ends the measurement.
    fn save(&mut self, profile: &Profile, answers: &Answers) -> Result<(), Error>;

    /// Keeps a block, so that an interrupted measurement can go on from there.
    ///
    /// # Errors
    /// Whatever ends the measurement.
    fn keep(&mut self, _block: &Block) -> Result<(), Error> {
        Ok(())
    }

    /// Says what bringing a variant up costs. In this process what was loaded before lends it memory; a caller that can
    /// start a process of its own for it knows better.
    ///
    /// # Errors
    /// Whatever keeps the variant from being opened or run.
    fn footprint(
        &mut self,
        engine: &dyn Engine,
        family: &Family,
        index: usize,
        cores: u32,
    ) -> Result<Footprint, Error> {
        footprint(engine, family, index, cores)
    }
}

/// What an earlier measurement left.
#[derive(Debug, Clone, PartialEq)]
pub struct Earlier {
    /// Its profile, with the points that were measured to the end.
    pub profile: Profile,
    /// Its answers.
    pub answers: Answers,
    /// Blocks of points that were not.
    pub blocks: Vec<Block>,
}

/// What bringing a variant up costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Footprint {
    /// Time to read the file, build the session and answer the first call.
    pub load_time_ms: Millis,
    /// Resident memory that the process has gained by then.
    pub memory_mb: Megabytes,
}

/// Brings a variant of a family up in this process, on that many cores, and says what it cost.
///
/// # Errors
/// A finding where the file is no model; [`Error::Unsupported`] for cores that are not allowed; [`Error::Engine`].
pub fn footprint(engine: &dyn Engine, family: &Family, index: usize, cores: u32) -> Result<Footprint, Error> {
    let entry = &family.list.variants[index];
    let file = family.folder.join(&entry.file);
    let _pinned = pin(cores)?;
    let one = family.samples.batch([0]);
    let before = resident();
    let begin = Instant::now();
    let mut session = engine.open(&file, entry.output.as_deref(), cores)?;
    session.run(&one)?;
    let load_time_ms = begin.elapsed().into();
    Ok(Footprint { load_time_ms, memory_mb: Megabytes::saturating(resident().get() - before.get()) })
}

/// Measures a family, going on from an earlier measurement where one is given.
///
/// # Errors
/// A finding for a model that fails or answers nonsense; [`Error::Unsupported`] for cores that are not allowed or an
/// earlier profile of other settings; whatever the attendant answers.
pub fn measure(
    family: &Family,
    engine: &dyn Engine,
    settings: &Settings,
    earlier: Option<Earlier>,
    attendant: &mut dyn Attendant,
) -> Result<(Profile, Answers), Error> {
    let most = settings.co_runners.iter().max().copied().unwrap_or(0);
    for &cores in &settings.cores {
        drop(pin(cores.saturating_mul(1 + most))?);
    }
    let begin = Counters::now();
    let mut profile = empty(family, engine, settings);
    let mut answers = Answers { labels: family.samples.labels.clone(), variants: Vec::new() };
    let earlier = earlier.map(|earlier| agreeing(earlier, &profile, settings.certainty)).transpose()?;
    let mut bench = Bench::new(family, engine, settings, earlier.as_ref());
    let missing = bench.missing.len();
    let blocks = missing * settings.blocks as usize - bench.blocks.values().map(Vec::len).sum::<usize>();
    attendant.tell(Event::Begun { points: missing, kept: bench.kept.len(), blocks });

    for index in 0..family.list.variants.len() {
        let known = earlier.as_ref().and_then(|earlier| known_variant(earlier, family, index));
        let (variant, of_variant) = match known {
            Some(known) => known,
            None => answer(family, engine, settings, index, attendant)?,
        };
        attendant.tell(Event::Answered(&variant));
        profile.variants.push(variant);
        answers.variants.push((family.list.variants[index].name.clone(), of_variant));
    }
    profile.answers = Some(answers_file(settings, &answers));
    attendant.save(&profile, &answers)?;

    profile.points.clone_from(&bench.kept);
    for round in 0..settings.blocks as usize {
        for (index, cores) in bench.groups(round) {
            bench.visit(round, index, cores, &mut |bench, index, key| {
                let blocks = &bench.blocks[&(index, key)];
                let block = &blocks[blocks.len() - 1];
                attendant.keep(block)?;
                if round + 1 < settings.blocks as usize {
                    attendant.tell(Event::Began(block));
                    return Ok(());
                }
                profile.points.push(bench.point(blocks, bench.best_probe_ns()));
                profile.host.steal = steal_since(&begin);
                attendant.save(&profile, &answers)?;
                attendant.tell(Event::Measured(&profile.points[profile.points.len() - 1]));
                Ok(())
            })?;
        }
    }
    // Only now it is known how fast the probe can be.
    profile.points = bench.points();
    sort_points(&mut profile);
    Ok((profile, answers))
}

/// A measurement under way.
struct Bench<'a> {
    family: &'a Family,
    engine: &'a dyn Engine,
    settings: &'a Settings,
    /// Cores that this process may use.
    allowed: Vec<usize>,
    /// Points of an earlier profile that stand.
    kept: Vec<Point>,
    /// Points to measure: index of the variant, and what of it.
    missing: Vec<(usize, Key)>,
    blocks: BTreeMap<(usize, Key), Vec<Block>>,
}

impl<'a> Bench<'a> {
    fn new(family: &'a Family, engine: &'a dyn Engine, settings: &'a Settings, earlier: Option<&Earlier>) -> Self {
        let kept: Vec<Point> = earlier.into_iter().flat_map(|earlier| reusable(earlier, family, settings)).collect();
        let (device, name) = (engine.device(), |index: usize| &family.list.variants[index].name);
        let is_there = |(index, key): &(usize, Key)| {
            let here = |point: &&Point| point.variant == *name(*index) && point.device == device;
            kept.iter().filter(here).any(|point| Key::of(point) == *key)
        };
        let missing: Vec<_> = wanted(family, settings).into_iter().filter(|point| !is_there(point)).collect();
        let mut blocks: BTreeMap<_, Vec<Block>> = BTreeMap::new();
        for block in earlier.into_iter().flat_map(|earlier| &earlier.blocks) {
            let same = |(index, key): &&(usize, Key)| block.variant == *name(*index) && block.key == *key;
            let point = missing.iter().find(same).filter(|_| same_model(earlier, family, &block.variant));
            if let Some(point) = point {
                blocks.entry(*point).or_default().push(block.clone());
            }
        }
        for of_point in blocks.values_mut() {
            of_point.truncate(settings.blocks as usize);
        }
        Self { family, engine, settings, allowed: allowed_cores(), kept, missing, blocks }
    }

    fn done(&self, point: &(usize, Key)) -> usize {
        self.blocks.get(point).map_or(0, Vec::len)
    }

    /// Returns every variant × cores that a round has work for, in the order of that round.
    fn groups(&self, round: usize) -> Vec<(usize, u32)> {
        let mut groups: Vec<(usize, u32)> = Vec::new();
        for point in self.missing.iter().filter(|point| self.done(point) <= round) {
            let group = (point.0, point.1.cores);
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        shuffle(&mut groups, self.settings.seed, round as u64);
        groups
    }

    /// Measures a block of every point of one variant on so many cores, and reports each.
    fn visit(
        &mut self,
        round: usize,
        index: usize,
        cores: u32,
        report: &mut dyn FnMut(&Self, usize, Key) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let here = |point: &&(usize, Key)| point.0 == index && point.1.cores == cores && self.done(point) <= round;
        let mut keys: Vec<Key> = self.missing.iter().filter(here).map(|&(_, key)| key).collect();
        shuffle(&mut keys, self.settings.seed, (round as u64) << 32 | index as u64);
        let entry = &self.family.list.variants[index];
        let file = self.family.folder.join(&entry.file);
        let _pinned = pin(cores)?;
        let mut session = self.engine.open(&file, entry.output.as_deref(), cores)?;
        for key in keys {
            let inputs = inputs(self.family, self.settings.seed, key.batch);
            let earlier = self.blocks.get(&(index, key)).map_or(&[][..], Vec::as_slice);
            let block = self.with_neighbours(index, key, &inputs, || {
                measure_block(session.as_mut(), &inputs, (&entry.name, key), earlier, self.enough())
            })??;
            self.blocks.entry((index, key)).or_default().push(block);
            report(self, index, key)?;
        }
        Ok(())
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

    /// Does some work while neighbours call the same variant on the next cores, from before it begins until it is done.
    ///
    /// # Errors
    /// What kept a neighbour from opening or running the model.
    fn with_neighbours<T>(
        &self,
        index: usize,
        key: Key,
        inputs: &[Batch],
        work: impl FnOnce() -> T,
    ) -> Result<T, Error> {
        if key.co_runners == 0 {
            return Ok(work());
        }
        let entry = &self.family.list.variants[index];
        let file = self.family.folder.join(&entry.file);
        let (done, ready) = (AtomicBool::new(false), Barrier::new(key.co_runners as usize + 1));
        let neighbour = |own: &[usize]| {
            let opened = pin_to(own).and_then(|pinned| {
                let mut session = self.engine.open(&file, entry.output.as_deref(), key.cores)?;
                session.run(&inputs[0])?;
                Ok((session, pinned))
            });
            ready.wait();
            let (mut session, _pinned) = opened?;
            for input in inputs.iter().cycle() {
                session.run(input)?;
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
            Ok::<(), Error>(())
        };
        std::thread::scope(|scope| {
            // This thread is pinned to the first of the allowed cores; its neighbours take those after them.
            let seats = self.allowed.chunks_exact(key.cores as usize).skip(1).take(key.co_runners as usize);
            let neighbours: Vec<_> = seats.map(|own| scope.spawn(|| neighbour(own))).collect();
            ready.wait();
            let seen = work();
            done.store(true, Ordering::Relaxed);
            for neighbour in neighbours {
                neighbour.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            }
            Ok(seen)
        })
    }

    fn best_probe_ns(&self) -> u64 {
        self.blocks.values().flatten().map(|block| block.probe_ns).min().unwrap_or(0)
    }

    fn point(&self, blocks: &[Block], best_probe_ns: u64) -> Point {
        placed(self.engine, point_of(blocks, best_probe_ns))
    }

    /// Returns the points that were kept and those that were measured.
    fn points(&self) -> Vec<Point> {
        let best_probe_ns = self.best_probe_ns();
        let measured = self.blocks.values().map(|blocks| self.point(blocks, best_probe_ns));
        self.kept.iter().cloned().chain(measured).collect()
    }
}

/// Puts things in an order that only the seed and the number of the shuffle decide (Fisher and Yates).
fn shuffle<T>(things: &mut [T], seed: u64, number: u64) {
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
        answers: None,
        host: fingerprint(libraries, context.thread_variables.clone()),
        provenance: ProfileProvenance {
            tool: context.tool.clone(),
            measured_at: String::new(),
            models: context.models.clone(),
            models_sha256: family.list_sha256.clone(),
            data_sha256: family.samples.sha256.clone(),
            budget_ms: settings.budget,
            precision: settings.precision,
            tail_precision: settings.tail_precision,
            blocks: settings.blocks,
            seed: settings.seed,
        },
    }
}

/// Every variant × cores × batch × co-runners in file order, cores first so that a session serves all its batches.
fn wanted(family: &Family, settings: &Settings) -> Vec<(usize, Key)> {
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

fn known_variant(earlier: &Earlier, family: &Family, index: usize) -> Option<(Variant, Vec<Answer>)> {
    let name = &family.list.variants[index].name;
    let of_variant = earlier.answers.of(name).filter(|_| same_model(Some(earlier), family, name))?;
    Some((earlier.profile.variant(name)?.clone(), of_variant.to_vec()))
}

fn answers_file(settings: &Settings, answers: &Answers) -> AnswersFile {
    AnswersFile {
        file: settings.context.answers.clone(),
        sha256: format::sha256(&answers.to_csv_gz()),
        samples: answers.samples() as u64,
        certainty: settings.certainty,
    }
}

/// Batches of samples drawn with replacement; the same seed and batch size give the same ones.
fn inputs(family: &Family, seed: u64, batch: u32) -> Vec<Batch> {
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ (u64::from(batch) << 32));
    let samples = family.samples.labels.len() as u64;
    let mut draw = || (0..batch).map(|_| (random.next_u64() % samples) as usize).collect::<Vec<_>>();
    (0..INPUTS).map(|_| family.samples.batch(draw())).collect()
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
