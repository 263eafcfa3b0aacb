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

use super::block::{Block, Enough, MachineUse, measure_block};
use super::energy::Meter;
use super::host::{Pinned, allowed_cores, memory_of_family, pin, pin_to, reset_peak_of_family};
use super::judge::Gathered;
use super::pace::rounds;
use super::wiring::Wiring;
use crate::base::error::Error;
use crate::base::units::Millis;
use crate::measure::engines::{Engine, Session, bad_model};
use crate::profile::onnx;
use crate::profile::{BatchMemory, CertaintyMeasure, Key, SampleAnswer};
use crate::profile::{Family, VariantFile};
use crate::tensor::{Named, Samples, Tensor};

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
    /// Classes that it tells apart, where its answers are classes.
    #[serde(default)]
    pub classes: Option<u64>,
}

/// What is known of a variant before it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surveyed {
    /// Samples in a call, where the model takes no others.
    pub fixed_batch: Option<u32>,
    /// How names and outputs were matched, where that was not told.
    pub notes: Vec<String>,
}

/// Somewhere to run the variants of a family.
pub trait Lab {
    /// Returns the engine that runs them.
    fn engine(&self) -> &dyn Engine;

    /// Returns what somebody should know of how a variant is fed and judged, and how many samples it takes at once where that is
    /// fixed.
    ///
    /// # Errors
    /// Findings where the data do not fit the model, or none of its outputs can be judged.
    fn survey(&self, index: usize) -> Result<Surveyed, Error>;

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

    /// Returns what a variant is fed and how it is judged, with samples of a half.
    fn wiring(&self, index: usize, half: Half, certainty: CertaintyMeasure) -> Result<Wiring<'a>, Error> {
        let first = self.family.stages_before(index).first().copied().unwrap_or(index);
        let (first, entry) = (self.entry(first), self.entry(index));
        Wiring::new(self.family, self.engine, (first, entry), self.half(half), certainty)
    }

    fn plain_wiring(&self, index: usize) -> Result<Wiring<'a>, Error> {
        self.wiring(index, Half::Test, CertaintyMeasure::default())
    }

    fn open(&self, index: usize, wiring: &Wiring<'_>, cores: u32) -> Result<Box<dyn Session>, Error> {
        wiring.open(self.family, self.engine, self.entry(index), cores)
    }

    /// Opens the stages that the input of a variant goes through; none for all but later stages.
    fn open_before(&self, index: usize, cores: u32) -> Result<Vec<Stage>, Error> {
        let open = |stage: usize| {
            let passes = self.entry(stage).part.as_ref().and_then(|part| part.passes.clone()).unwrap_or_default();
            Ok(Stage { session: self.open(stage, &self.plain_wiring(stage)?, cores)?, passes })
        };
        self.family.stages_before(index).into_iter().map(open).collect()
    }

    /// Opens a variant a second time, to be called in between as another one would be: its weights are elsewhere in memory. A real other
    /// one might crash or hang, which is no fault of this one. None where the family has no other, where memory is limited, and where
    /// the file is so large that two may not fit; calls are long there.
    fn open_again(&self, index: usize, wiring: &Wiring<'_>, cores: u32) -> Option<Box<dyn Session>> {
        let variants = &self.family.list.variants;
        let is_limited = getrlimit(Resource::RLIMIT_DATA).is_ok_and(|(now, _)| now != RLIM_INFINITY);
        let file = self.family.folder.join(&variants[index].file);
        let files = [onnx::external_files(&file), vec![file]].concat();
        let sizes = files.iter().map(|file| std::fs::metadata(file).map_or(u64::MAX, |file| file.len()));
        let is_small = sizes.fold(0, u64::saturating_add) <= LARGEST_TO_OPEN_AGAIN;
        let is_whole = variants[index].part.is_none();
        (variants.len() > 1 && is_whole && is_small && !is_limited)
            .then(|| self.open(index, wiring, cores).ok())
            .flatten()
    }

    /// Returns what the variant receives where the network is given some samples.
    fn received(&self, index: usize, before: &mut [Stage], inputs: Vec<Named>) -> Result<Vec<Named>, Error> {
        before.iter_mut().try_fold(inputs, |inputs, stage| {
            let run = stage.session.run(&inputs)?;
            let passed = run.outputs.into_iter().find(|output| output.name == stage.passes);
            let passed = passed.ok_or_else(|| self.nonsense(index, "the stage before it passed nothing on"))?;
            Ok(vec![Named::new("", passed.tensor)])
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
        let inputs = self.plain_wiring(index)?.feeder.batch(&[0]);
        let received = self.received(index, &mut before, inputs)?;
        Ok(received.first().map(|input| input.tensor.shape().iter().skip(1).copied().collect()))
    }

    /// Returns a batch of samples, or of nothing in particular in a shape.
    fn some_batch(&self, wiring: &Wiring<'_>, size: u32, shape: Option<&[usize]>) -> Vec<Named> {
        let (size, count) = (size as usize, self.family.samples.count());
        let Some(of_one) = shape else {
            return wiring.feeder.batch(&(0..size).map(|number| number % count).collect::<Vec<_>>());
        };
        let shape: Vec<usize> = std::iter::once(size).chain(of_one.iter().copied()).collect();
        let data = vec![0.5; shape.iter().product()];
        vec![Named::new("", Tensor::floats(shape, data))]
    }

    /// Brings a variant up and says how long that took.
    ///
    /// # Errors
    /// Whatever keeps the variant from being opened or run.
    pub(crate) fn load_time(&self, index: usize, cores: u32, shape: Option<&[usize]>) -> Result<Millis, Error> {
        let _pinned = pin(cores)?;
        let wiring = self.plain_wiring(index)?;
        let one = self.some_batch(&wiring, 1, shape);
        let begin = Instant::now();
        self.open(index, &wiring, cores)?.run(&one)?;
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
        let wiring = self.plain_wiring(index)?;
        let inputs: Vec<Vec<Named>> = sizes.iter().map(|&size| self.some_batch(&wiring, size, shape)).collect();
        let one = self.some_batch(&wiring, 1, shape);
        let before = memory_of_family();
        let mut session = self.open(index, &wiring, cores)?;
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

    fn survey(&self, index: usize) -> Result<Surveyed, Error> {
        let Wiring { feeder, judge } = self.plain_wiring(index)?;
        let passes = self.entry(index).part.as_ref().and_then(|part| part.passes.as_deref());
        let reads: Vec<&str> = judge.reads().iter().map(String::as_str).chain(passes).collect();
        self.engine.vet(&self.family.folder.join(&self.entry(index).file), &reads)?;
        let fixed_batch = feeder.fixed_batch().and_then(|batch| u32::try_from(batch).ok());
        Ok(Surveyed { fixed_batch, notes: [feeder.notes, judge.notes].concat() })
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
        let wiring = self.wiring(index, half, certainty)?;
        let Wiring { feeder, judge } = &wiring;
        let mut session = self.open(index, &wiring, cores)?;
        let passes = self.entry(index).part.as_ref().and_then(|part| part.passes.as_deref());
        let mut answered = Answered { answers: Vec::new(), passes_bytes: None, receives_bytes: 0, classes: None };
        let mut gathered = judge.program().map(|_| Gathered::default());
        let nonsense = |cause: String| self.nonsense(index, cause);
        let numbers: Vec<usize> = (0..samples.count()).collect();
        for numbers in numbers.chunks(feeder.fixed_batch().unwrap_or(ANSWER_BATCH)) {
            let inputs = self.received(index, &mut before, feeder.batch(numbers))?;
            let run = session.run(&inputs)?;
            answered.receives_bytes = bytes_of_one(inputs.iter().map(|input| &input.tensor), numbers.len());
            answered.passes_bytes =
                passes.and_then(|name| run.output(name)).map(|passed| bytes_of_one([passed], numbers.len()));
            match &mut gathered {
                Some(gathered) => gathered.add(numbers, run.outputs).map_err(nonsense)?,
                None => {
                    answered.classes = judge.classes(&run);
                    answered.answers.extend(judge.answers(&run, numbers).map_err(nonsense)?);
                }
            }
        }
        if let Some((gathered, command)) = gathered.zip(judge.program()) {
            answered.answers =
                gathered.judged_by(command, &self.family.folder, samples.labels.as_ref()).map_err(nonsense)?;
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

/// A stage that the input of a later one goes through.
struct Stage {
    session: Box<dyn Session>,
    /// The output that goes on.
    passes: String,
}

/// Bytes of one sample of a batch.
fn bytes_of_one<'t>(tensors: impl IntoIterator<Item = &'t Tensor>, samples: usize) -> u64 {
    tensors.into_iter().map(Tensor::bytes).sum::<u64>() / samples.max(1) as u64
}

struct VisitHere<'a> {
    lab: Here<'a>,
    index: usize,
    /// Cores that this process may use.
    allowed: Vec<usize>,
    /// Nothing while it is being opened on another number of cores.
    opened: Option<Opened<'a>>,
    meter: Option<Meter>,
}

/// A variant that is open on some cores, with the stages before it.
struct Opened<'a> {
    cores: u32,
    wiring: Wiring<'a>,
    before: Vec<Stage>,
    session: Box<dyn Session>,
    /// The variant again, to be called in between; not looked for yet, or not there.
    other: Option<Option<Box<dyn Session>>>,
    // Last, so that sessions end on their own cores.
    _pinned: Pinned,
}

impl<'a> Opened<'a> {
    fn new(lab: Here<'a>, index: usize, cores: u32) -> Result<Self, Error> {
        let pinned = pin(cores)?;
        let before = lab.open_before(index, cores)?;
        let wiring = lab.plain_wiring(index)?;
        let session = lab.open(index, &wiring, cores)?;
        Ok(Self { cores, wiring, before, session, other: None, _pinned: pinned })
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
        let Opened { wiring, before, session, other, .. } = self.opened.insert(opened);
        let drawn = lab.inputs(wiring, seed, key.batch).into_iter().map(|inputs| lab.received(index, before, inputs));
        let inputs = drawn.collect::<Result<Vec<Vec<Named>>, Error>>()?;
        let (name, meter) = (&lab.entry(index).name, self.meter.as_ref());
        let is_paced = lab.engine.is_real() && key.co_runners == 0 && !enough.is_glimpse();
        if is_paced && other.is_none() {
            *other = Some(lab.open_again(index, wiring, key.cores));
        }
        let mut other = other.as_mut().and_then(Option::as_mut);
        let mut work = || {
            let mut block = lab.with_neighbours((index, wiring), key, &self.allowed, &inputs, || {
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
    fn inputs(&self, wiring: &Wiring<'_>, seed: u64, batch: u32) -> Vec<Vec<Named>> {
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ (u64::from(batch) << 32));
        let samples = &self.family.samples;
        let mut draw = || (0..batch).map(|_| (random.next_u64() % samples.count() as u64) as usize).collect::<Vec<_>>();
        (0..INPUTS).map(|_| wiring.feeder.batch(&draw())).collect()
    }

    /// Does some work while neighbours call the same variant on the next cores, from before it begins until it is done.
    ///
    /// # Errors
    /// What kept a neighbour from opening or running the model.
    fn with_neighbours<T>(
        &self,
        (index, wiring): (usize, &Wiring<'_>),
        key: Key,
        allowed: &[usize],
        inputs: &[Vec<Named>],
        work: impl FnOnce() -> T,
    ) -> Result<T, Error> {
        if key.co_runners == 0 {
            return Ok(work());
        }
        let (done, ready) = (AtomicBool::new(false), Barrier::new(key.co_runners as usize + 1));
        let neighbour = |own: &[usize]| {
            let opened = pin_to(own).and_then(|pinned| {
                let mut session = self.open(index, wiring, key.cores)?;
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
