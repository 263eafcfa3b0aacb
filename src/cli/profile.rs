//! `planner profile`: measure a family of models on this machine.

use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Error;
use crate::base::codec;
use crate::base::files::{self, write_atomic};
use crate::base::finding::Findings;
use crate::base::paths::relative;
use crate::base::units::{Megabytes, Millis, Share};
use crate::measure::engines::model_files;
use crate::measure::host::usable_cores;
use crate::measure::{
    Apart, Attendant, Block, Earlier, Halves, Limits, MeasureContext, MeasureEvent, MeasureSettings, Wave, measure,
};
use crate::profile::{Answers, AnswersFile, CertaintyMeasure, Curve, Failure, Family, Glimpse, Point, Profile, Spot};

use super::engine::EngineChoice;
use super::measure_less::{Choice, Less};
use super::values::{megabytes, millis, seconds, share};
use super::voice::Progress;
use super::{Answer, Output, print_text, say_findings, table, worker};

/// Variables that change how many threads an engine uses
const THREAD_VARIABLES: [&str; 5] =
    ["MKL_NUM_THREADS", "OMP_NUM_THREADS", "ORT_NUM_THREADS", "RAYON_NUM_THREADS", "RTEN_NUM_THREADS"];

/// Measure latency, accuracy and certainty of every variant of a model list
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  planner profile models/digits/models.toml -o profiles/mine.json --batches 1,8 --cores 1,2")]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// The model list (`planner.models/1`)
    #[arg(required = true)]
    models: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
    /// Samples in one call
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16,32", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batches: Vec<u32>,
    /// Threads of one replica, each pinned to a core of its own [default: 1, 2, 4 and so on up to the cores allowed]
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    cores: Vec<u32>,
    /// Busy neighbours while a point is measured, each on as many cores of its own; 0 is the variant alone
    #[arg(long, value_delimiter = ',', default_value = "0", value_parser = clap::value_parser!(u32).range(..=1024))]
    co_runners: Vec<u32>,
    /// Stop a point when the half-width of the median's interval is within this part of it
    #[arg(long, default_value = "0.02", value_parser = share)]
    precision: Share,
    /// Stop a point only when the same holds of the 99th percentile; it needs 368 calls or more
    #[arg(long, value_name = "PART", value_parser = share)]
    tail_precision: Option<Share>,
    /// Blocks in which each point is measured, in random order among those of all points
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    blocks: u32,
    /// Largest time for one point, over all its blocks
    #[arg(long, value_name = "MS", default_value = "300", value_parser = millis)]
    budget_ms: Millis,
    /// Longest time for one block or load of a variant, which runs in a process of its own
    #[arg(long, value_name = "S", default_value = "600", value_parser = seconds)]
    time_limit_s: Duration,
    /// Most memory that a variant's process may write to [default: what the machine has]
    #[arg(long, value_name = "MB", value_parser = megabytes)]
    memory_limit_mb: Option<Megabytes>,
    #[command(flatten)]
    less: Less,
    #[command(flatten)]
    engine: EngineChoice,
    /// How the certainty of an answer is measured, after a softmax of the scores
    #[arg(long, value_enum, default_value_t)]
    certainty: Certainty,
    /// Seed of the choice of inputs
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Go on with the profile that is there
    #[arg(long)]
    resume: bool,
    /// With --resume, measure contended points again
    #[arg(long, requires = "resume")]
    retry_contended: bool,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Certainty {
    /// Probability of the best class minus that of the second best
    #[default]
    TopOneMinusTopTwo,
    /// Probability of the best class
    MaxProbability,
    /// 1 minus the entropy, as a part of the largest possible
    Entropy,
}

impl From<Certainty> for CertaintyMeasure {
    fn from(certainty: Certainty) -> Self {
        match certainty {
            Certainty::TopOneMinusTopTwo => Self::TopOneMinusTopTwo,
            Certainty::MaxProbability => Self::MaxProbability,
            Certainty::Entropy => Self::Entropy,
        }
    }
}

/// What else is done with profiles.
#[derive(Debug, clap::Subcommand)]
enum Action {
    Compare(super::compare::Args),
    Export(super::export::Args),
    Import(super::import::Args),
    Load(super::load_test::Args),
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    match (&args.action, &args.models) {
        (Some(Action::Compare(args)), _) => super::compare::run(args),
        (Some(Action::Export(args)), _) => super::export::run(args),
        (Some(Action::Import(args)), _) => super::import::run(args),
        (Some(Action::Load(args)), _) => super::load_test::run(args),
        (None, Some(models)) => run_measure(args, models),
        // The command line asks for a model list before it comes to this.
        (None, None) => Err(Error::Unsupported {
            what: "no model list was named".to_owned(),
            hint: "planner profile models.toml -o profile.json".to_owned(),
        }),
    }
}

fn run_measure(args: &Args, models: &Path) -> Result<Answer, Error> {
    check_output(args)?;
    check_cores(args)?;
    let engine = args.engine.open()?;
    let family = Family::load_from(models, model_files(engine.as_ref()))?;
    let journal = Journal::begin(&args.output.output, args.resume && args.output.output.exists())?;
    // Another process may have written it since.
    check_output(args)?;
    let earlier = if args.resume { earlier(&args.output.output)? } else { None };
    let settings = settings(args, models);
    let program = std::env::current_exe().map_err(|error| Error::io("find", Path::new("this program"), error))?;
    let command = |index, cores| worker::command(&program, models, &args.engine, args.memory_limit_mb, (index, cores));
    let limits = Limits { time: args.time_limit_s, memory: args.memory_limit_mb };
    let lab = Apart::new(&family, engine.as_ref(), &command, limits);
    let choice = args.less.chooser(&family, &args.output.output, &engine.device(), args.budget_ms)?;
    let mut desk = Desk { args, notes: Findings::default(), progress: Progress::new(), journal, choice };
    let (mut profile, _) = measure(&family, &lab, &settings, earlier, &mut desk)?;
    let less = desk.choice.as_mut().map(|choice| choice.end(&profile));
    let (skipped, less) = less.unwrap_or_default();
    profile.skipped = skipped;
    desk.save(&profile)?;
    desk.journal.end();
    let mut findings = std::mem::take(&mut desk.notes);
    drop(desk);
    findings.extend(profile.validate());
    say_findings(&findings);
    print_text(&format!("{}{}", summary(&profile), if less.is_empty() { residuals(&profile) } else { less }))?;
    Ok(if profile.failures.is_empty() { Answer::Yes } else { Answer::No })
}

fn check_output(args: &Args) -> Result<(), Error> {
    if args.output.is_stdout() {
        return Err(Error::Unsupported {
            what: "a profile is two files, which stdout cannot take".to_owned(),
            hint: "name the profile: -o profiles/name.json".to_owned(),
        });
    }
    if args.resume {
        return Ok(());
    }
    args.output.check(&args.models)?;
    [answers_path, calibration_path]
        .iter()
        .try_for_each(|path| Output { output: path(&args.output.output), ..args.output.clone() }.check(&args.models))
}

/// A server's cores are its own: points can only carry the number that the user knows.
fn check_cores(args: &Args) -> Result<(), Error> {
    if !args.engine.is_server() || args.cores.len() == 1 {
        return Ok(());
    }
    Err(Error::Unsupported {
        what: "the cores of a server are its own, and cannot be chosen from here".to_owned(),
        hint: "pass as --cores the one number of cores that the server gives to a model".to_owned(),
    })
}

fn settings(args: &Args, models: &Path) -> MeasureSettings {
    let sorted = |numbers: &[u32]| {
        let unique: std::collections::BTreeSet<u32> = numbers.iter().copied().collect();
        unique.into_iter().collect()
    };
    let variables = THREAD_VARIABLES.iter().filter_map(|name| Some(format!("{name}={}", std::env::var(name).ok()?)));
    MeasureSettings {
        batches: sorted(&args.batches),
        cores: if args.cores.is_empty() { powers_of_two(usable_cores().len() as u32) } else { sorted(&args.cores) },
        co_runners: sorted(&args.co_runners),
        precision: args.precision,
        tail_precision: args.tail_precision,
        blocks: args.blocks,
        budget: args.budget_ms,
        certainty: args.certainty.into(),
        seed: args.seed,
        retry_contended: args.retry_contended,
        context: MeasureContext {
            tool: tool(),
            models: relative_to(models, &args.output.output),
            answers: answers_path(&args.output.output).file_name().map(PathBuf::from).unwrap_or_default(),
            calibration: calibration_path(&args.output.output).file_name().map(PathBuf::from).unwrap_or_default(),
            thread_variables: variables.collect(),
        },
    }
}

/// Returns this program and its version, for provenance.
pub fn tool() -> String {
    format!("planner {}{}", env!("CARGO_PKG_VERSION"), if cfg!(debug_assertions) { " (debug build)" } else { "" })
}

fn earlier(path: &Path) -> Result<Option<Earlier>, Error> {
    if !path.exists() {
        return Ok(None);
    }
    let profile = codec::load::<Profile>(path)?.document;
    let read = |file: &AnswersFile| {
        let file = path.with_file_name(&file.file);
        Ok::<_, Error>(Answers::from_csv_gz(&files::read(&file)?, &file)?)
    };
    let test = profile.answers.as_ref().map(read).transpose()?.unwrap_or_default();
    let calibration = profile.calibration.as_ref().map(read).transpose()?;
    Ok(Some(Earlier { profile, answers: Halves { test, calibration }, blocks: Journal::read(path) }))
}

fn powers_of_two(most: u32) -> Vec<u32> {
    (0..u32::BITS).map(|power| 1 << power).take_while(|&cores| cores <= most).collect()
}

/// Tells, keeps and weighs while measuring goes on.
struct Desk<'a> {
    args: &'a Args,
    /// What is said when all is done.
    notes: Findings,
    progress: Progress,
    journal: Journal,
    choice: Option<Choice>,
}

impl Attendant for Desk<'_> {
    fn tell(&mut self, event: MeasureEvent<'_>) {
        if let MeasureEvent::Noted(finding) = event {
            self.notes.push(finding.clone());
        }
        tell(&mut self.progress, &event);
    }

    fn keep_answers(&mut self, answers: &Halves) -> Result<(), Error> {
        let path = &self.args.output.output;
        write_atomic(&answers_path(path), &answers.test.to_csv_gz())?;
        match &answers.calibration {
            Some(calibration) => write_atomic(&calibration_path(path), &calibration.to_csv_gz()),
            None => Ok(()),
        }
    }

    fn save(&mut self, profile: &Profile) -> Result<(), Error> {
        let mut profile = profile.clone();
        profile.provenance.measured_at = rfc3339(SystemTime::now());
        write_atomic(&self.args.output.output, &codec::to_bytes(&profile))
    }

    fn keep(&mut self, block: &Block) -> Result<(), Error> {
        self.journal.add(block)
    }

    fn choose(&mut self, missing: &[Spot], profile: &Profile) -> Result<Wave, Error> {
        match &mut self.choice {
            Some(choice) => choice.next(missing, profile),
            None => Ok(Wave { full: missing.to_vec(), ..Wave::default() }),
        }
    }
}

/// Blocks of points that are not finished, one to a line beside the profile, so that a killed measurement loses no more
/// than the block under way. Its lock keeps a second process from the same profile.
struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Goes on with the journal that is there, or forgets it.
    fn begin(profile: &Path, goes_on: bool) -> Result<Self, Error> {
        let path = journal_path(profile);
        let failed = |error: std::io::Error| Error::io("write", &path, error);
        let mut file = File::options().create(true).append(true).open(&path).map_err(failed)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => failed(error),
            TryLockError::WouldBlock => Error::Unsupported {
                what: format!("another process is writing {}", profile.display()),
                hint: "wait until it is done, or name another output".to_owned(),
            },
        })?;
        // What a kill cut off in the middle of a line must not spoil the next.
        let lines = if goes_on { Self::lines(profile) } else { Vec::new() };
        let kept: String = lines.into_iter().map(|line| line + "\n").collect();
        file.set_len(0).and_then(|()| file.write_all(kept.as_bytes())).map_err(failed)?;
        Ok(Self { path, file })
    }

    fn add(&mut self, block: &Block) -> Result<(), Error> {
        let line = serde_json::to_string(block).map_err(std::io::Error::from).map(|line| line + "\n");
        let written = line.and_then(|line| self.file.write_all(line.as_bytes()));
        written.map_err(|error| Error::io("write", &self.path, error))
    }

    /// The profile is complete.
    fn end(&self) {
        // A journal that stays is ignored by a complete profile.
        let _ = std::fs::remove_file(&self.path);
    }

    fn read(profile: &Path) -> Vec<Block> {
        Self::lines(profile).iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Returns the whole lines; what is after the last that can be read is lost.
    fn lines(profile: &Path) -> Vec<String> {
        let text = files::read(&journal_path(profile))
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .unwrap_or_default();
        let sound = |line: &&str| serde_json::from_str::<Block>(line).is_ok();
        text.lines().take_while(sound).map(str::to_owned).collect()
    }
}

impl Drop for Journal {
    /// Leaves no empty file where nothing was measured.
    fn drop(&mut self) {
        if self.file.metadata().is_ok_and(|file| file.len() == 0) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn journal_path(profile: &Path) -> PathBuf {
    let mut name = profile.file_name().unwrap_or_default().to_owned();
    name.push(".blocks");
    profile.with_file_name(name)
}

/// `name.json` keeps its answers in `name.answers.csv.gz`; any other name is kept whole, so that no two share a file.
fn answers_path(profile: &Path) -> PathBuf {
    beside(profile, ".answers.csv.gz")
}

/// The answers to the samples for calibration are in `name.calibration.csv.gz`.
fn calibration_path(profile: &Path) -> PathBuf {
    beside(profile, ".calibration.csv.gz")
}

fn beside(profile: &Path, ending: &str) -> PathBuf {
    let whole = profile.extension().is_none_or(|extension| extension != "json");
    let mut name = if whole { profile.file_name() } else { profile.file_stem() }.unwrap_or_default().to_owned();
    name.push(ending);
    profile.with_file_name(name)
}

/// Returns the way to a file from the one that names it.
pub fn relative_to(to: &Path, from: &Path) -> PathBuf {
    relative(to, from.parent().unwrap_or(Path::new("")))
}

/// Says what has just happened while measuring.
fn tell(progress: &mut Progress, event: &MeasureEvent<'_>) {
    match event {
        MeasureEvent::Begun { points, kept, blocks } => {
            progress.begin(*blocks as u64);
            progress.tell(format!("{points} points to measure, {kept} already there"));
        }
        MeasureEvent::Answered(variant) => {
            progress.tell(format!("{} answers {} rightly", variant.name, variant.accuracy.value));
        }
        MeasureEvent::Began(block) => {
            progress.advance();
            progress.tell(format!("{} batch {} cores {}", block.variant, block.key.batch, block.key.cores));
        }
        MeasureEvent::Glimpsed(Glimpse { variant, batch, cores, p50, contended, .. }) => {
            progress.advance();
            let contended = if *contended { ", contended" } else { "" };
            let ms = p50.value_ms.get();
            progress.tell(format!("{variant} batch {batch} cores {cores}: {ms:.3} ms at a glimpse{contended}"));
        }
        MeasureEvent::Measured(point) => {
            progress.advance();
            progress.tell(line_of(point));
        }
        // Notes stand together at the end, where they are seen.
        MeasureEvent::Noted(_) => {}
        MeasureEvent::Failed(failure) => progress.tell(line_of_failure(failure)),
    }
}

fn line_of(point: &Point) -> String {
    let contended = if point.conditions.contended { ", contended" } else { "" };
    let p50 = point.latency.p50.value_ms.get();
    let co_runners = if point.co_runners > 0 { format!(", {} co-runners", point.co_runners) } else { String::new() };
    format!("{} batch {} cores {}{co_runners}: {p50:.3} ms{contended}", point.variant, point.batch, point.cores)
}

fn line_of_failure(Failure { variant, point, cause }: &Failure) -> String {
    let at = point.map(|key| format!(" batch {} cores {}", key.batch, key.cores)).unwrap_or_default();
    format!("{variant}{at} failed: {cause}")
}

fn summary(profile: &Profile) -> String {
    let mut table = table(&["variant", "batch", "cores", "p50 ms", "p99 ms", "samples/s", "accuracy", ""]);
    for point in &profile.points {
        let accuracy = profile.variant(&point.variant).map(|variant| format!("{:.4}", variant.accuracy.value.get()));
        table.add_row([
            point.variant.clone(),
            point.batch.to_string(),
            point.cores.to_string(),
            format!("{:.3}", point.latency.p50.value_ms.get()),
            format!("{:.3}", point.latency.p99.value_ms.get()),
            format!("{:.0}", point.throughput_rps.get()),
            accuracy.unwrap_or_else(|| "–".to_owned()),
            match (point.co_runners, point.conditions.contended) {
                (0, false) => String::new(),
                (0, true) => "contended".to_owned(),
                (neighbours, _) => format!("{neighbours} co-runners"),
            },
        ]);
    }
    format!("{table}\n")
}

/// Says how far the curve misses a point that is left out, over all points that have neighbours on both sides.
fn residuals(profile: &Profile) -> String {
    let device = profile.points.first().map_or("cpu", |point| point.device.as_str());
    let curves = profile.variants.iter().filter_map(|variant| Curve::of(profile, &variant.name, device));
    let mut misses: Vec<f64> =
        curves.flat_map(|curve| curve.residuals()).map(|residual| residual.relative.abs()).collect();
    misses.sort_by(f64::total_cmp);
    let Some(worst) = misses.last() else { return String::new() };
    let median = misses[misses.len() / 2];
    format!(
        "interpolation misses a point that is left out by {:.1} % (median of {}), at most {:.1} %\n",
        100.0 * median,
        misses.len(),
        100.0 * worst
    )
}

/// Returns the variables that steer thread counts and are set, `NAME=value`.
pub fn thread_variables() -> Vec<String> {
    let value = |name: &&str| Some(format!("{name}={}", std::env::var(name).ok()?));
    THREAD_VARIABLES.iter().filter_map(value).collect()
}

/// Returns a moment as files carry it.
pub fn moment(moment: SystemTime) -> String {
    rfc3339(moment)
}

/// Returns the moment in UTC, to the second.
fn rfc3339(moment: SystemTime) -> String {
    let seconds = moment.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Hinnant, chrono-compatible low-level date algorithms, `civil_from_days`, for days after 1970.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::rfc3339;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn writes_moments_as_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (1_795_434_000, "2026-11-23T11:40:00Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }
}
