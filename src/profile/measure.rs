//! Measuring a family: what each variant answers, what it costs to load, and how long its calls take.
//!
//! ```text
//! each variant:                 load time, memory, answers, accuracy
//! each variant × cores × batch: pin, open, warm up, call until the median is certain or the budget is spent
//! ```
//!
//! A point is contended where somebody else used the machine: at one thread, the median wall time exceeds 1.2 × CPU time
//! per call; or the kernel took the processor away more often than the engine's own hand-offs explain (see `disturbed`).

use std::path::PathBuf;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use super::engine::{Batch, Engine, Session, bad_model, placed};
use super::host::{Counters, allowed_cores, cpu_time, fingerprint, pin, pin_to, resident};
use super::models::Family;
use super::sample::{is_precise, latency, wilson};
use super::{
    AccuracyFact, Answer, Answers, AnswersFile, CertaintyMeasure, Conditions, Histogram, Point, Profile, ProfileFormat,
    ProfileProvenance, Stopped, Trust, Variant,
};
use crate::error::Error;
use crate::format;
use crate::units::{Accuracy, Megabytes, Millis, Rate, Share};

/// Different inputs that the calls of a point take in turn.
const INPUTS: usize = 4;
/// Samples in one call while answering.
const ANSWER_BATCH: usize = 50;
/// Calls of a point, whatever the budget.
const FEWEST_CALLS: usize = 5;
/// Calls of warm-up, whatever the budget.
const FEWEST_WARMUPS: u64 = 3;

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
    /// Largest time of the calls of one point, warm-up not counted.
    pub budget: Millis,
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
    },
    /// A variant was loaded and has answered every sample.
    Answered(&'a Variant),
    /// A point was measured.
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

/// Measures a family, going on from an earlier profile where one is given.
///
/// # Errors
/// A finding for a model that fails or answers nonsense; [`Error::Unsupported`] for cores that are not allowed or an
/// earlier profile of other settings; whatever the attendant answers.
pub fn measure(
    family: &Family,
    engine: &dyn Engine,
    settings: &Settings,
    earlier: Option<(Profile, Answers)>,
    attendant: &mut dyn Attendant,
) -> Result<(Profile, Answers), Error> {
    let most = settings.co_runners.iter().max().copied().unwrap_or(0);
    for &cores in &settings.cores {
        drop(pin(cores.saturating_mul(1 + most))?);
    }
    let (begin, allowed) = (Counters::now(), allowed_cores());
    let mut profile = empty(family, engine, settings);
    let mut answers = Answers { labels: family.samples.labels.clone(), variants: Vec::new() };
    let earlier = earlier.map(|earlier| agreeing(earlier, &profile)).transpose()?;
    let wanted = wanted(family, settings);
    let kept: Vec<Point> = earlier.iter().flat_map(|(e, _)| reusable(e, family, settings)).collect();
    let present = |name: &str, key: Key| kept.iter().find(|point| point.variant == name && Key::of(point) == key);
    let missing = wanted.iter().filter(|(index, key)| present(&family.list.variants[*index].name, *key).is_none());
    attendant.tell(Event::Begun { points: missing.count(), kept: kept.len() });

    for index in 0..family.list.variants.len() {
        let known = earlier.as_ref().and_then(|(e, a)| known_variant(e, a, family, index));
        let (variant, of_variant) = match known {
            Some(known) => known,
            None => answer(family, engine, settings, index, attendant)?,
        };
        attendant.tell(Event::Answered(&variant));
        profile.variants.push(variant);
        answers.variants.push((family.list.variants[index].name.clone(), of_variant));
    }
    profile.answers = Some(answers_file(settings, &answers));

    let mut opened: Option<(usize, u32, Box<dyn Session>)> = None;
    profile.points.clone_from(&kept);
    for (index, key) in wanted {
        let entry = &family.list.variants[index];
        if present(&entry.name, key).is_some() {
            continue;
        }
        let _pinned = pin(key.cores)?;
        let session = match &mut opened {
            Some((of, on, session)) if (*of, *on) == (index, key.cores) => session,
            slot => {
                let file = family.folder.join(&entry.file);
                &mut slot.insert((index, key.cores, engine.open(&file, entry.output.as_deref(), key.cores)?)).2
            }
        };
        let point = with_neighbours(&allowed, engine, family, index, key, settings.seed, || {
            measure_point(session.as_mut(), family, settings, &entry.name, key)
        })??;
        profile.points.push(placed(engine, point));
        profile.host.steal = steal_since(&begin);
        attendant.save(&profile, &answers)?;
        attendant.tell(Event::Measured(&profile.points[profile.points.len() - 1]));
    }
    sort_points(&mut profile);
    Ok((profile, answers))
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
            seed: settings.seed,
        },
    }
}

/// What is measured of a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    cores: u32,
    batch: u32,
    co_runners: u32,
}

impl Key {
    const fn of(point: &Point) -> Self {
        Self { cores: point.cores, batch: point.batch, co_runners: point.co_runners }
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
fn agreeing(earlier: (Profile, Answers), now: &Profile) -> Result<(Profile, Answers), Error> {
    let (then, new) = (&earlier.0.provenance, &now.provenance);
    let differs = [
        ("data", then.data_sha256 != new.data_sha256),
        ("budget", then.budget_ms != new.budget_ms),
        ("precision", then.precision != new.precision),
        ("seed", then.seed != new.seed),
        ("engine", earlier.0.host.libraries != now.host.libraries),
        ("cpu", earlier.0.host.cpu != now.host.cpu),
        ("thread variables", earlier.0.host.thread_variables != now.host.thread_variables),
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

fn same_model(earlier: &Profile, family: &Family, name: &str) -> bool {
    let index = family.list.variants.iter().position(|entry| entry.name == name);
    index.is_some_and(|index| earlier.variant(name).is_some_and(|then| then.sha256 == family.model_sha256[index]))
}

/// Points of the earlier profile that need not be measured again.
fn reusable(earlier: &Profile, family: &Family, settings: &Settings) -> Vec<Point> {
    let keep = |point: &&Point| {
        same_model(earlier, family, &point.variant) && !(settings.retry_contended && point.conditions.contended)
    };
    earlier.points.iter().filter(keep).cloned().collect()
}

fn known_variant(
    earlier: &Profile,
    answers: &Answers,
    family: &Family,
    index: usize,
) -> Option<(Variant, Vec<Answer>)> {
    let name = &family.list.variants[index].name;
    let of_variant = answers.of(name).filter(|_| same_model(earlier, family, name))?;
    Some((earlier.variant(name)?.clone(), of_variant.to_vec()))
}

/// Loads a variant and lets it answer every sample.
fn answer(
    family: &Family,
    engine: &dyn Engine,
    settings: &Settings,
    index: usize,
    attendant: &mut dyn Attendant,
) -> Result<(Variant, Vec<Answer>), Error> {
    let entry = &family.list.variants[index];
    let file = family.folder.join(&entry.file);
    let cores = settings.cores.first().copied().unwrap_or(1);
    let cost = attendant.footprint(engine, family, index, cores)?;

    let _pinned = pin(cores)?;
    let mut session = engine.open(&file, entry.output.as_deref(), cores)?;
    let samples = family.samples.labels.len();
    let mut answers = Vec::with_capacity(samples);
    for start in (0..samples).step_by(ANSWER_BATCH) {
        let batch = family.samples.batch(start..(start + ANSWER_BATCH).min(samples));
        let run = session.run(&batch)?;
        if run.classes < 2 || run.scores.len() != run.classes * batch.samples() {
            let cause = format!("{} scores for {} samples are no classes", run.scores.len(), batch.samples());
            return Err(bad_model(engine.name(), &file, cause));
        }
        for (offset, scores) in run.scores.chunks_exact(run.classes).enumerate() {
            let judged = judge(scores);
            let cause = || format!("the scores of sample {} are not finite: {scores:?}", start + offset);
            answers.push(judged.ok_or_else(|| bad_model(engine.name(), &file, cause()))?);
        }
    }
    let right = answers.iter().zip(&family.samples.labels).filter(|(a, label)| a.predicted == **label).count();
    let (low, high) = wilson(right as u64, samples as u64);
    let variant = Variant {
        name: entry.name.clone(),
        file: entry.file.clone(),
        sha256: family.model_sha256[index].clone(),
        engine: format!("{} {}", engine.name(), engine.version()),
        accuracy: AccuracyFact {
            value: Accuracy::saturating(right as f64 / samples as f64),
            low,
            high,
            samples: samples as u64,
            trust: Trust::Measured,
        },
        load_time_ms: cost.load_time_ms,
        memory_mb: cost.memory_mb,
    };
    Ok((variant, answers))
}

/// Returns the best class and its lead in probability (softmax), or nothing where a score is not finite.
///
/// The lower class number wins a tie.
pub(crate) fn judge(scores: &[f32]) -> Option<Answer> {
    if scores.iter().any(|score| !score.is_finite()) {
        return None;
    }
    let mut best = 0;
    for (class, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = class;
        }
    }
    let weight = |score: f32| f64::from(score - scores[best]).exp();
    let total: f64 = scores.iter().map(|&score| weight(score)).sum();
    let others = scores.iter().enumerate().filter(|(class, _)| *class != best);
    let second = others.map(|(_, &score)| weight(score)).fold(0.0, f64::max);
    Some(Answer { predicted: best as u32, certainty: ((1.0 - second) / total) as f32 })
}

fn answers_file(settings: &Settings, answers: &Answers) -> AnswersFile {
    AnswersFile {
        file: settings.context.answers.clone(),
        sha256: format::sha256(&answers.to_csv_gz()),
        samples: answers.samples() as u64,
        certainty: CertaintyMeasure::TopOneMinusTopTwo,
    }
}

/// Does some work while neighbours call the same variant on the next cores, from before it begins until it is done.
///
/// # Errors
/// What kept a neighbour from opening or running the model.
fn with_neighbours<T>(
    allowed: &[usize],
    engine: &dyn Engine,
    family: &Family,
    index: usize,
    key: Key,
    seed: u64,
    work: impl FnOnce() -> T,
) -> Result<T, Error> {
    if key.co_runners == 0 {
        return Ok(work());
    }
    let entry = &family.list.variants[index];
    let (file, inputs) = (family.folder.join(&entry.file), inputs(family, seed, key.batch));
    // This thread is pinned to the first of the allowed cores; its neighbours take those after them.
    let (cores, done, ready) = (key.cores as usize, AtomicBool::new(false), Barrier::new(key.co_runners as usize + 1));
    let neighbour = |own: &[usize]| {
        let opened = pin_to(own).and_then(|_pinned| {
            let mut session = engine.open(&file, entry.output.as_deref(), key.cores)?;
            session.run(&inputs[0])?;
            Ok((session, _pinned))
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
        let seats = allowed.chunks_exact(cores).skip(1).take(key.co_runners as usize);
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

fn measure_point(
    session: &mut dyn Session,
    family: &Family,
    settings: &Settings,
    name: &str,
    Key { cores, batch, co_runners }: Key,
) -> Result<Point, Error> {
    let inputs = inputs(family, settings.seed, batch);
    let budget = settings.budget.duration();
    let warmup = warm_up(session, &inputs, budget / 10)?;
    let before = Counters::now();
    let begin = Instant::now();
    let calls = repeat(session, &inputs, budget, settings.precision.get())?;
    let elapsed = begin.elapsed();
    let after = Counters::now();
    let latency = latency(&calls.walls);
    let cpu_ms = calls.cpu.as_secs_f64() * 1e3 / calls.walls.len() as f64;
    let switches = after.involuntary.saturating_sub(before.involuntary);
    let waited = cores == 1 && latency.p50.value_ms.get() > 1.2 * cpu_ms;
    let interrupted = disturbed(switches, cores, &calls.walls);
    let pressure_us = after.pressure_us.zip(before.pressure_us).map(|(after, before)| after - before);
    Ok(Point {
        variant: name.to_owned(),
        batch,
        cores,
        device: super::cpu(),
        co_runners,
        count: calls.walls.len() as u64,
        latency,
        throughput_rps: Rate::saturating(1e3 * f64::from(batch) / latency.mean_ms.get()),
        cpu_ms: (co_runners == 0).then(|| Millis::saturating(cpu_ms)),
        histogram: Some(Histogram::of(&calls.walls)),
        conditions: Conditions {
            warmup,
            stopped: calls.stopped,
            involuntary_switches: switches,
            cpu_pressure: pressure_us.map(|us| Share::saturating(us / (elapsed.as_secs_f64() * 1e6))),
            contended: co_runners == 0 && (waited || interrupted),
        },
    })
}

/// Tells whether others must have been running, from the involuntary switches during some calls.
///
/// An engine that hands each call to a pool on the same pinned core preempts its caller twice a call, on a quiet machine
/// too (seen with rten: 60 switches in 30 calls), and so it may on each further core. Beyond that, half a switch a call is noise, and so is one in 8 ms:
/// sharing a core with another busy thread costs one in each scheduler slice of 4 ms.
fn disturbed(switches: u64, cores: u32, walls: &[Duration]) -> bool {
    let calls = walls.len() as f64;
    let milliseconds = walls.iter().sum::<Duration>().as_secs_f64() * 1e3;
    switches as f64 > 2.0 * f64::from(cores) * calls + (calls / 2.0).max(milliseconds / 8.0)
}

/// Batches of samples drawn with replacement; the same seed and batch size give the same ones.
fn inputs(family: &Family, seed: u64, batch: u32) -> Vec<Batch> {
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ (u64::from(batch) << 32));
    let samples = family.samples.labels.len() as u64;
    let mut draw = || (0..batch).map(|_| (random.next_u64() % samples) as usize).collect::<Vec<_>>();
    (0..INPUTS).map(|_| family.samples.batch(draw())).collect()
}

fn warm_up(session: &mut dyn Session, inputs: &[Batch], budget: Duration) -> Result<u64, Error> {
    let (mut calls, mut spent) = (0, Duration::ZERO);
    while calls < FEWEST_WARMUPS || spent < budget {
        spent += session.run(&inputs[calls as usize % inputs.len()])?.wall;
        calls += 1;
    }
    Ok(calls)
}

struct Calls {
    walls: Vec<Duration>,
    cpu: Duration,
    stopped: Stopped,
}

/// Calls until the median is certain or the budget is spent, in stretches that grow with the number of calls.
///
/// CPU time is read around a stretch, so that neither reading it nor looking at the interval counts as work.
fn repeat(session: &mut dyn Session, inputs: &[Batch], budget: Duration, precision: f64) -> Result<Calls, Error> {
    let mut calls = Calls { walls: Vec::new(), cpu: Duration::ZERO, stopped: Stopped::Budget };
    let mut spent = Duration::ZERO;
    loop {
        let look_at = (calls.walls.len() * 5 / 4).max(super::sample::FEWEST_CALLS);
        let cpu = cpu_time();
        while calls.walls.len() < look_at && (spent < budget || calls.walls.len() < FEWEST_CALLS) {
            let wall = session.run(&inputs[calls.walls.len() % inputs.len()])?.wall;
            spent += wall;
            calls.walls.push(wall);
        }
        calls.cpu += cpu_time().saturating_sub(cpu);
        if is_precise(&calls.walls, precision) {
            return Ok(Calls { stopped: Stopped::Interval, ..calls });
        }
        if spent >= budget {
            return Ok(calls);
        }
    }
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
    use super::{disturbed, judge, repeat};
    use crate::profile::Stopped;
    use crate::profile::engine::{Batch, Engine, Scripted};
    use std::path::Path;
    use std::time::Duration;

    fn scripted(walls: &[u64], budget_ms: u64, precision: f64) -> super::Calls {
        let walls = walls.iter().map(|&ms| Duration::from_millis(ms)).collect();
        let engine = Scripted { walls, scores: vec![0.0, 1.0] };
        let mut session = engine.open(Path::new("any"), None, 1).expect("a script always opens");
        let input = [Batch { shape: vec![1, 1], data: vec![0.0] }];
        repeat(session.as_mut(), &input, Duration::from_millis(budget_ms), precision).expect("a script never fails")
    }

    #[test]
    fn own_hand_offs_are_no_disturbance_and_lost_slices_are() {
        let short = vec![Duration::from_micros(20); 30];
        assert!(!disturbed(60, 1, &short) && disturbed(80, 1, &short));
        let long = vec![Duration::from_millis(80); 5];
        assert!(!disturbed(20, 1, &long) && disturbed(100, 1, &long));
    }

    #[test]
    fn steady_calls_stop_at_the_fewest_that_tell() {
        let calls = scripted(&[5], 1_000_000, 0.02);
        assert_eq!((calls.walls.len(), calls.stopped), (super::super::sample::FEWEST_CALLS, Stopped::Interval));
    }

    #[test]
    fn unsteady_calls_spend_the_budget() {
        let calls = scripted(&[1, 9], 1_000, 0.02);
        assert_eq!((calls.walls.len(), calls.stopped), (200, Stopped::Budget));
    }

    #[test]
    fn slow_calls_are_made_five_times_whatever_the_budget() {
        let calls = scripted(&[1_000], 10, 0.02);
        assert_eq!((calls.walls.len(), calls.stopped), (5, Stopped::Budget));
    }

    #[test]
    fn judges_by_softmax_and_refuses_nonsense() {
        let answer = judge(&[0.0, 3.0_f32.ln(), 0.0]).expect("finite");
        assert_eq!(answer.predicted, 1);
        assert!((answer.certainty - 0.4).abs() < 1e-6, "3/5 − 1/5");
        assert_eq!(judge(&[2.0, 2.0]).expect("finite").predicted, 0);
        assert!(judge(&[1.0, f32::NAN]).is_none() && judge(&[f32::INFINITY, 0.0]).is_none());
    }
}
