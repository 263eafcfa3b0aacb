//! Where variants are run: the trait, and the laboratory in this process.
//!
//! [`Here`] does the work. [`Apart`](super::Apart) lets a child process do it with a `Here` of its own, so that a model
//! that crashes takes nobody along.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use super::answering::judge_all;
use super::block::{Block, Enough, MachineUse, measure_block};
use super::energy::Meter;
use super::host::{Pinned, allowed_cores, memory_of_family, pin, pin_to, reset_peak_of_family};
use super::pace::rounds;
use crate::base::error::Error;
use crate::base::units::Millis;
use crate::measure::engines::{Engine, Session, bad_model};
use crate::profile::{BatchMemory, CertaintyMeasure, Key, SampleAnswer};
use crate::profile::{Family, VariantFile};
use crate::tensor::Batch;
use crate::tensor::Samples;

/// Different inputs that the calls of a point take in turn.
const INPUTS: usize = 4;
/// Samples in one call while answering.
const ANSWER_BATCH: usize = 50;
/// Part of a block's budget that may go to calls after pauses and after another variant: one in so many.
const PART_FOR_PACE: u32 = 3;
/// Largest model file that is opened a second time, in bytes.
const LARGEST_TO_OPEN_AGAIN: u64 = 1 << 28;
/// Calls of each batch before its memory is read.
const MEMORY_CALLS: usize = 3;

/// What bringing a variant up costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Footprint {
    /// Time to read the file, build the session and answer the first call; the file comes from the page cache.
    pub load_time_ms: Millis,
    /// The same with the file from the disk, where that was tried.
    pub cold_load_time_ms: Option<Millis>,
    /// Resident memory that the process has gained by then, and then batch by batch.
    pub memory: Memory,
}

/// Resident memory that a process gains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// By bringing a variant up.
    pub loaded_mb: crate::base::units::Megabytes,
    /// By serving batches.
    pub batches: Vec<BatchMemory>,
}

/// Which samples are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Half {
    /// Those that accuracy is stated on.
    Test,
    /// Those that thresholds are chosen on.
    Calibration,
}

/// What a variant answered to all samples of a half.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// One answer a sample.
    pub answers: Vec<SampleAnswer>,
    /// Bytes of one sample that a stage passes on.
    pub passes_bytes: Option<u64>,
    /// Bytes of one sample as it is received.
    pub receives_bytes: u64,
}

/// Somewhere to run the variants of a family.
pub trait Lab {
    /// Returns the engine that runs them.
    fn engine(&self) -> &dyn Engine;

    /// Says what bringing a variant up on so many cores costs, and serving batches of these sizes.
    ///
    /// # Errors
    /// Whatever keeps the variant from being opened or run.
    fn footprint(&self, index: usize, cores: u32, batches: &[u32]) -> Result<Footprint, Error>;

    /// Lets a variant answer all samples of a half.
    ///
    /// # Errors
    /// Whatever keeps the variant from being opened or run; a finding where its answers are nonsense.
    fn answers(&self, index: usize, cores: u32, half: Half, certainty: CertaintyMeasure) -> Result<Answered, Error>;

    /// Opens a variant on so many cores for some blocks.
    ///
    /// # Errors
    /// Whatever keeps the variant from being opened.
    fn visit(&self, index: usize, cores: u32) -> Result<Box<dyn Visit + '_>, Error>;
}

/// An opened variant whose calls are measured.
pub trait Visit {
    /// Measures a block of calls on inputs that the seed draws; `earlier` are the blocks of the same point. For another
    /// number of cores than before the variant is opened anew.
    ///
    /// # Errors
    /// Whatever keeps the variant, or one of its neighbours, from running.
    fn block(&mut self, key: Key, seed: u64, earlier: &[Block], enough: Enough) -> Result<Block, Error>;
}

/// The laboratory in this process.
#[derive(Clone, Copy)]
pub struct Here<'a> {
    family: &'a Family,
    engine: &'a dyn Engine,
}

impl<'a> Here<'a> {
    /// Returns a laboratory for the variants of a family.
    #[must_use]
    pub const fn new(family: &'a Family, engine: &'a dyn Engine) -> Self {
        Self { family, engine }
    }

    fn entry(&self, index: usize) -> &'a VariantFile {
        &self.family.list.variants[index]
    }

    fn open(&self, index: usize, cores: u32) -> Result<Box<dyn Session>, Error> {
        let entry = self.entry(index);
        let file = self.family.folder.join(&entry.file);
        let output = entry.output.as_deref();
        match entry.part.as_ref().and_then(|part| part.passes.as_deref()) {
            Some(passes) => self.engine.open_stage(&file, output, passes, cores),
            None => self.engine.open(&file, output, cores),
        }
    }

    /// Opens the stages that the input of a variant goes through; none for all but later stages.
    fn open_before(&self, index: usize, cores: u32) -> Result<Vec<Box<dyn Session>>, Error> {
        self.family.stages_before(index).into_iter().map(|stage| self.open(stage, cores)).collect()
    }

    /// Opens a variant a second time, to be called in between as another one would be: its weights are elsewhere in memory. A real other
    /// one might crash or hang, which is no fault of this one. None where the family has no other, where memory is limited, and where
    /// the file is so large that two may not fit; calls are long there.
    fn open_again(&self, index: usize, cores: u32) -> Option<Box<dyn Session>> {
        let variants = &self.family.list.variants;
        let is_limited = getrlimit(Resource::RLIMIT_DATA).is_ok_and(|(now, _)| now != RLIM_INFINITY);
        let file = std::fs::metadata(self.family.folder.join(&variants[index].file));
        let is_small = file.is_ok_and(|file| file.len() <= LARGEST_TO_OPEN_AGAIN);
        let is_whole = variants[index].part.is_none();
        (variants.len() > 1 && is_whole && is_small && !is_limited).then(|| self.open(index, cores).ok()).flatten()
    }

    /// Returns what the variant receives where the network is given some samples.
    fn received(&self, index: usize, before: &mut [Box<dyn Session>], input: Batch) -> Result<Batch, Error> {
        before.iter_mut().try_fold(input, |input, stage| {
            let passed = stage.run(&input)?.passed;
            passed.ok_or_else(|| self.nonsense(index, "the stage before it passed nothing on"))
        })
    }

    fn nonsense(&self, index: usize, cause: impl std::fmt::Display) -> Error {
        bad_model(self.engine.name(), &self.family.folder.join(&self.entry(index).file), cause)
    }

    /// Returns the shape in which a later stage receives one sample, for who brings it up without the stages before it;
    /// nothing for all else, which receives samples.
    ///
    /// # Errors
    /// Whatever keeps the stages before it from running.
    pub(crate) fn received_shape(&self, index: usize, cores: u32) -> Result<Option<Vec<usize>>, Error> {
        let mut before = self.open_before(index, cores)?;
        if before.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.received(index, &mut before, self.family.samples.batch([0]))?.shape[1..].to_vec()))
    }

    /// Returns a batch of samples, or of nothing in particular in a shape.
    fn some_batch(&self, size: u32, shape: Option<&[usize]>) -> Batch {
        let (size, count) = (size as usize, self.family.samples.count());
        let Some(of_one) = shape else { return self.family.samples.batch((0..size).map(|number| number % count)) };
        let shape: Vec<usize> = std::iter::once(size).chain(of_one.iter().copied()).collect();
        Batch { data: vec![0.5; shape.iter().product()], shape }
    }

    /// Brings a variant up and says how long that took.
    ///
    /// # Errors
    /// Whatever keeps the variant from being opened or run.
    pub(crate) fn load_time(&self, index: usize, cores: u32, shape: Option<&[usize]>) -> Result<Millis, Error> {
        let _pinned = pin(cores)?;
        let one = self.some_batch(1, shape);
        let begin = Instant::now();
        self.open(index, cores)?.run(&one)?;
        Ok(begin.elapsed().into())
    }

    /// Brings a variant up and serves some batches of each size, the smallest first.
    ///
    /// # Errors
    /// Whatever keeps the variant from being opened or run.
    pub(crate) fn memory(
        &self,
        index: usize,
        cores: u32,
        batches: &[u32],
        shape: Option<&[usize]>,
    ) -> Result<Memory, Error> {
        let _pinned = pin(cores)?;
        let mut sizes = batches.to_vec();
        sizes.sort_unstable();
        // Prepared first, so that making them is not counted.
        let inputs: Vec<Batch> = sizes.iter().map(|&size| self.some_batch(size, shape)).collect();
        let one = self.some_batch(1, shape);
        let before = memory_of_family();
        let mut session = self.open(index, cores)?;
        session.run(&one)?;
        let loaded_mb = memory_of_family().gained_since(before).resident;
        let mut batches = Vec::new();
        for (&batch, input) in sizes.iter().zip(&inputs) {
            reset_peak_of_family();
            for _ in 0..MEMORY_CALLS {
                session.run(input)?;
            }
            let gained = memory_of_family().gained_since(before);
            batches.push(BatchMemory { batch, steady_mb: gained.resident, peak_mb: gained.peak });
        }
        Ok(Memory { loaded_mb, batches })
    }

    fn half(&self, half: Half) -> &'a Samples {
        match half {
            Half::Test => &self.family.samples,
            Half::Calibration => self.family.calibration.as_ref().unwrap_or(&self.family.samples),
        }
    }
}

impl Lab for Here<'_> {
    fn engine(&self) -> &dyn Engine {
        self.engine
    }

    /// In this process what was loaded before lends a variant memory, and the file was read before.
    fn footprint(&self, index: usize, cores: u32, batches: &[u32]) -> Result<Footprint, Error> {
        let shape = self.received_shape(index, cores)?;
        let load_time_ms = self.load_time(index, cores, shape.as_deref())?;
        let memory = self.memory(index, cores, batches, shape.as_deref())?;
        Ok(Footprint { load_time_ms, cold_load_time_ms: None, memory })
    }

    fn answers(&self, index: usize, cores: u32, half: Half, certainty: CertaintyMeasure) -> Result<Answered, Error> {
        let _pinned = pin(cores)?;
        let samples = self.half(half);
        let mut before = self.open_before(index, cores)?;
        let mut session = self.open(index, cores)?;
        let mut answered = Answered { answers: Vec::new(), passes_bytes: None, receives_bytes: 0 };
        for start in (0..samples.count()).step_by(ANSWER_BATCH) {
            let numbers = start..(start + ANSWER_BATCH).min(samples.count());
            let input = self.received(index, &mut before, samples.batch(numbers.clone()))?;
            let run = session.run(&input)?;
            answered.receives_bytes = bytes_of_one(&input);
            answered.passes_bytes = run.passed.as_ref().map(bytes_of_one);
            let judged = judge_all(&run, numbers, certainty);
            answered.answers.extend(judged.map_err(|cause| self.nonsense(index, cause))?);
        }
        Ok(answered)
    }

    fn visit(&self, index: usize, cores: u32) -> Result<Box<dyn Visit + '_>, Error> {
        let allowed = allowed_cores();
        let opened = Opened::new(*self, index, cores)?;
        let meter = Meter::of(&self.engine.device());
        Ok(Box::new(VisitHere { lab: *self, index, allowed, opened: Some(opened), meter }))
    }
}

/// Bytes of one sample of a batch of 32-bit floats.
fn bytes_of_one(batch: &Batch) -> u64 {
    (batch.data.len() * size_of::<f32>() / batch.samples().max(1)) as u64
}

struct VisitHere<'a> {
    lab: Here<'a>,
    index: usize,
    /// Cores that this process may use.
    allowed: Vec<usize>,
    /// Nothing while it is being opened on another number of cores.
    opened: Option<Opened>,
    meter: Option<Meter>,
}

/// A variant that is open on some cores, with the stages before it.
struct Opened {
    cores: u32,
    before: Vec<Box<dyn Session>>,
    session: Box<dyn Session>,
    /// The variant again, to be called in between; not looked for yet, or not there.
    other: Option<Option<Box<dyn Session>>>,
    // Last, so that sessions end on their own cores.
    _pinned: Pinned,
}

impl Opened {
    fn new(lab: Here<'_>, index: usize, cores: u32) -> Result<Self, Error> {
        let pinned = pin(cores)?;
        let before = lab.open_before(index, cores)?;
        let session = lab.open(index, cores)?;
        Ok(Self { cores, before, session, other: None, _pinned: pinned })
    }
}

impl Visit for VisitHere<'_> {
    fn block(&mut self, key: Key, seed: u64, earlier: &[Block], enough: Enough) -> Result<Block, Error> {
        let (lab, index) = (self.lab, self.index);
        // The old pin must be gone before the new one looks at which cores are allowed.
        let opened = match self.opened.take().filter(|opened| opened.cores == key.cores) {
            Some(opened) => opened,
            None => Opened::new(lab, index, key.cores)?,
        };
        let Opened { before, session, other, .. } = self.opened.insert(opened);
        let drawn = lab.inputs(seed, key.batch).into_iter().map(|input| lab.received(index, before, input));
        let inputs = drawn.collect::<Result<Vec<Batch>, Error>>()?;
        let (name, meter) = (&lab.entry(index).name, self.meter.as_ref());
        let is_paced = lab.engine.is_real() && key.co_runners == 0 && !enough.is_glimpse();
        if is_paced && other.is_none() {
            *other = Some(lab.open_again(index, key.cores));
        }
        let mut other = other.as_mut().and_then(Option::as_mut);
        let mut work = || {
            let mut block = lab.with_neighbours(index, key, &self.allowed, &inputs, || {
                measure_block(session.as_mut(), &inputs, (name, key), earlier, enough, meter)
            })??;
            if is_paced {
                let other = other.as_mut().map(|other| &mut ***other as &mut dyn Session);
                let call = block.median();
                block.pace = rounds(session.as_mut(), other, &inputs, call, enough.budget / PART_FOR_PACE)?;
            }
            Ok(block)
        };
        let (block, machine) = MachineUse::during(&mut work);
        block.map(|block: Block| Block { machine, ..block })
    }
}

impl Here<'_> {
    /// Returns batches of samples drawn with replacement; the same seed and batch size give the same ones.
    fn inputs(&self, seed: u64, batch: u32) -> Vec<Batch> {
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ (u64::from(batch) << 32));
        let samples = &self.family.samples;
        let mut draw = || (0..batch).map(|_| (random.next_u64() % samples.count() as u64) as usize).collect::<Vec<_>>();
        (0..INPUTS).map(|_| samples.batch(draw())).collect()
    }

    /// Does some work while neighbours call the same variant on the next cores, from before it begins until it is done.
    ///
    /// # Errors
    /// What kept a neighbour from opening or running the model.
    fn with_neighbours<T>(
        &self,
        index: usize,
        key: Key,
        allowed: &[usize],
        inputs: &[Batch],
        work: impl FnOnce() -> T,
    ) -> Result<T, Error> {
        if key.co_runners == 0 {
            return Ok(work());
        }
        let (done, ready) = (AtomicBool::new(false), Barrier::new(key.co_runners as usize + 1));
        let neighbour = |own: &[usize]| {
            let opened = pin_to(own).and_then(|pinned| {
                let mut session = self.open(index, key.cores)?;
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
            let seats = allowed.chunks_exact(key.cores as usize).skip(1).take(key.co_runners as usize);
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
}
