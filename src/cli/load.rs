//! The load that a plan is tried under: the flags that say when requests arrive.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::plan::Plan;
use crate::simulate::Settings;
use crate::workload::{Arrivals, MmppState};
use crate::{Code, Error, Finding, Findings};
use clap::ValueEnum;

use super::say;

/// Part of the plan's highest rate that is tried where none is given.
const DEFAULT_LOAD: f64 = 0.8;
/// Longest time that can be tried, and warmed up: a hundred years, so that both together fit the clock.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);
/// Most requests of one trial: some ten seconds on a core.
const MOST_REQUESTS: f64 = 2e8;
/// Most requests that may wait at the end of one trial: they take half a gigabyte.
const MOST_WAITING: f64 = 1e7;

/// One of `--rps`, `--mmpp`, `--step`, `--ramp` and `--trace`.
#[derive(Debug, clap::Args)]
pub struct Load {
    /// Offer this many requests per second (default: 80 % of what the plan carries; `simulate` plays the problem's trace
    /// where it names one)
    #[arg(long, value_name = "R", group = "load", allow_negative_numbers = true)]
    rps: Option<f64>,
    /// How arrivals at a rate are spaced (default: poisson)
    #[arg(long, conflicts_with_all = ["step", "ramp", "trace"])]
    #[arg(requires_ifs = [("gamma", "burstiness"), ("mmpp", "mmpp")])]
    arrivals: Option<Spacing>,
    /// Squared coefficient of variation of gamma gaps: 1 is Poisson, more comes in bursts, less is more even
    #[arg(long, value_name = "X", requires = "arrivals", allow_negative_numbers = true)]
    burstiness: Option<f64>,
    /// Change between Poisson rates at random: each state's requests per second and mean stay in seconds, like 100:30,1000:5
    #[arg(long, value_name = "RATE:SECONDS,...", group = "load", value_delimiter = ',', allow_hyphen_values = true)]
    mmpp: Vec<State>,
    /// Change the rate of Poisson arrivals once, from FROM to TO requests per second at AT seconds
    #[arg(long, value_name = "FROM:TO:AT", group = "load", allow_hyphen_values = true)]
    step: Option<Change>,
    /// Change the rate of Poisson arrivals evenly, from FROM to TO requests per second in SECONDS, then stay
    #[arg(long, value_name = "FROM:TO:SECONDS", group = "load", allow_hyphen_values = true)]
    ramp: Option<Change>,
    /// Offer a recording, CSV or JSON Lines: rates, counts or times, as the names of its columns say (docs/formats/traces.md)
    #[arg(long, value_name = "FILE", group = "load")]
    trace: Option<PathBuf>,
    /// Multiply the rate of the trace; of recorded arrival times a part can be kept, up to 1
    #[arg(long, value_name = "X", requires = "trace", default_value_t = 1.0, allow_negative_numbers = true)]
    scale: f64,
    /// Multiply the length of the trace: 2 plays it in twice the time; rates stay, recorded arrivals move apart
    #[arg(long, value_name = "X", requires = "trace", default_value_t = 1.0, allow_negative_numbers = true)]
    time_scale: f64,
    /// Try this long, in seconds (default: the length of the trace, or 60 simulated and 10 replayed; at least twice the
    /// time of --step or --ramp)
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    duration_s: Option<f64>,
    /// Serve this long before counting, in seconds (default: 0 simulated, 1 replayed)
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    warmup_s: Option<f64>,
    /// Seed of everything random
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

/// What a command does where the user asks for nothing else.
#[derive(Debug, Clone)]
pub struct Usual {
    /// The trace that is played, with the factor of its rates.
    pub trace: Option<(PathBuf, f64)>,
    /// Time that is tried.
    pub seconds: f64,
    /// Time before counting.
    pub warmup_s: f64,
}

/// Tells whether a plan turns requests away or drops them, so that no queue grows without end.
fn sheds_load(plan: &Plan) -> bool {
    let mut lanes = plan.gears.iter().flat_map(|gear| &gear.stages).flat_map(|stage| &stage.lanes);
    lanes.any(|lane| lane.queue_limit.is_some() || lane.drop_after_ms.is_some())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Spacing {
    /// Independent of each other
    Poisson,
    /// Evenly spaced
    Constant,
    /// Independent gaps of a given burstiness
    Gamma,
    /// Poisson at rates that change at random
    Mmpp,
}

/// `RATE:SECONDS`.
#[derive(Debug, Clone, Copy)]
struct State(MmppState);

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let [rate_rps, mean_s] = numbers(text).ok_or("write RATE:SECONDS, like 100:30")?;
        Ok(Self(MmppState { rate_rps, mean_s }))
    }
}

/// `FROM:TO:SECONDS`.
#[derive(Debug, Clone, Copy)]
struct Change {
    from_rps: f64,
    to_rps: f64,
    seconds: f64,
}

impl FromStr for Change {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let [from_rps, to_rps, seconds] = numbers(text).ok_or("write three numbers, like 100:500:30")?;
        Ok(Self { from_rps, to_rps, seconds })
    }
}

/// Reads exactly `N` numbers with colons between them.
fn numbers<const N: usize>(text: &str) -> Option<[f64; N]> {
    let numbers: Option<Vec<f64>> = text.split(':').map(|part| part.trim().parse().ok()).collect();
    numbers?.try_into().ok()
}

impl Load {
    /// Returns the recording that is to be played.
    pub const fn trace(&self) -> Option<&PathBuf> {
        self.trace.as_ref()
    }

    /// Returns the trial that the flags ask for.
    ///
    /// # Errors
    /// Findings for flags that cannot be or do nothing.
    pub fn settings(&self, plan: &Plan, usual: &Usual) -> Result<Settings, Error> {
        let arrivals = self.arrivals(plan, usual)?;
        let change = self.step.or(self.ramp).map_or(0.0, |change| 2.0 * change.seconds);
        let seconds = match self.duration_s {
            Some(seconds) => positive("--duration-s", seconds)?,
            None => arrivals.length_s().unwrap_or_else(|| change.max(usual.seconds)),
        };
        let warmup_s = self.warmup_s.unwrap_or(usual.warmup_s);
        let (duration, warmup) = (time("--duration-s", seconds)?, time("--warmup-s", warmup_s)?);
        let expected = arrivals.expected(seconds + warmup_s);
        if expected > MOST_REQUESTS {
            return Err(self.too_many(usual, expected, "in a trial; at most 2e8 can be simulated"));
        }
        let waiting = expected - plan.max_rps() * (seconds + warmup_s);
        if waiting > MOST_WAITING && !sheds_load(plan) {
            return Err(self.too_many(
                usual,
                waiting,
                "in a trial are more than the plan carries; at most 1e7 can wait",
            ));
        }
        Ok(Settings { arrivals, duration, warmup, seed: self.seed })
    }

    fn arrivals(&self, plan: &Plan, usual: &Usual) -> Result<Arrivals, Error> {
        let mut findings = self.useless();
        findings.extend(not_zero("--rps", self.rps));
        findings.extend(not_zero("--scale", Some(self.scale)));
        let arrivals = self.law(plan, usual)?;
        findings.extend(self.in_flags(arrivals.validate()));
        let arrivals = findings.or(arrivals)?;
        if let (Some((path, _)), Some(reading)) = (self.recording(usual), arrivals.reading()) {
            say(format_args!("read {}: {reading}", path.display()));
        }
        Ok(arrivals)
    }

    fn law(&self, plan: &Plan, usual: &Usual) -> Result<Arrivals, Error> {
        if let Some((path, scale)) = self.recording(usual) {
            return Ok(Arrivals::of_file(&path)?.scaled(scale, self.time_scale));
        }
        if let Some(Change { from_rps, to_rps, seconds }) = self.step {
            return Ok(Arrivals::Step { from_rps, to_rps, at_s: seconds });
        }
        if let Some(Change { from_rps, to_rps, seconds }) = self.ramp {
            return Ok(Arrivals::Ramp { from_rps, to_rps, over_s: seconds });
        }
        if !self.mmpp.is_empty() {
            return Ok(Arrivals::Mmpp { states: self.mmpp.iter().map(|state| state.0).collect() });
        }
        let rate_rps = self.rate(plan);
        Ok(match (self.arrivals, self.burstiness) {
            (Some(Spacing::Constant), _) => Arrivals::Constant { rate_rps },
            (Some(Spacing::Gamma), Some(burstiness)) => Arrivals::Gamma { rate_rps, burstiness },
            _ => Arrivals::Poisson { rate_rps },
        })
    }

    /// Returns the trace that is played, with the factor of its rates: the given one, or the usual one where no load is given.
    fn recording(&self, usual: &Usual) -> Option<(PathBuf, f64)> {
        let has_law = self.step.or(self.ramp).is_some() || !self.mmpp.is_empty() || self.rps.is_some();
        match &self.trace {
            Some(path) => Some((path.clone(), self.scale)),
            None if has_law || self.arrivals.is_some() || self.burstiness.is_some() => None,
            None => usual.trace.clone(),
        }
    }

    /// Refuses a load of too many requests, with the key or flag that it comes from.
    fn too_many(&self, usual: &Usual, requests: f64, limit: &str) -> Error {
        let own_trace = self.trace.is_none() && self.recording(usual).is_some();
        let (key, action) = match () {
            () if own_trace => ("workload.trace", "play a part of it with --duration-s, or another load like --rps"),
            () if self.trace.is_some() => ("--trace", "lower --scale, or play a part of it with --duration-s"),
            () if self.step.is_some() => ("--step", "lower the rates or the duration"),
            () if self.ramp.is_some() => ("--ramp", "lower the rates or the duration"),
            () if !self.mmpp.is_empty() => ("--mmpp", "lower the rates or the duration"),
            () => ("--rps", "lower the rate or the duration"),
        };
        let cause = format!("about {requests:.0} requests {limit}");
        Finding::error(Code::OutOfRange, key, cause, action).into()
    }

    fn rate(&self, plan: &Plan) -> f64 {
        self.rps.unwrap_or_else(|| DEFAULT_LOAD * plan.max_rps())
    }

    /// Returns the flags that `--arrivals` leaves without effect.
    fn useless(&self) -> Findings {
        let spacing = self.arrivals.and_then(|spacing| spacing.to_possible_value());
        let named = spacing.as_ref().map_or("poisson", |value| value.get_name());
        let mut findings = Findings::default();
        let mut complain = |flag: &str, needed: &str| {
            let cause = format!("does nothing with `--arrivals {named}`");
            findings.push(Finding::error(Code::NoEffect, flag, cause, format!("it needs `--arrivals {needed}`")));
        };
        if self.burstiness.is_some() && self.arrivals != Some(Spacing::Gamma) {
            complain("--burstiness", "gamma");
        }
        if !self.mmpp.is_empty() && self.arrivals.is_some_and(|spacing| spacing != Spacing::Mmpp) {
            complain("--mmpp", "mmpp");
        }
        findings
    }

    /// Returns findings about a law's fields with the flags that set them.
    fn in_flags(&self, mut findings: Findings) -> Findings {
        for finding in &mut findings.0 {
            finding.key = match finding.key.as_str() {
                "rate_rps" => "--rps".to_owned(),
                "burstiness" => "--burstiness".to_owned(),
                "scale" => "--scale".to_owned(),
                "time_scale" => "--time-scale".to_owned(),
                "rates" => "--trace".to_owned(),
                key if key.starts_with("states") => format!("--mmpp {key}"),
                key if self.step.is_some() => format!("--step {key}"),
                key if self.ramp.is_some() => format!("--ramp {key}"),
                key => key.to_owned(),
            };
        }
        findings
    }
}

/// Refuses a load without requests; all other bad numbers are found with the law.
fn not_zero(flag: &str, number: Option<f64>) -> Findings {
    let finding = || Finding::error(Code::OutOfRange, flag, "no request would come", "a number above 0");
    Findings((number == Some(0.0)).then(finding).into_iter().collect())
}

fn time(name: &str, seconds: f64) -> Result<Duration, Error> {
    let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| *time <= LONGEST);
    time.ok_or_else(|| bad_number(name, seconds, "a time of at least 0 seconds and at most 100 years"))
}

fn positive(name: &str, number: f64) -> Result<f64, Error> {
    let is_positive = number.is_finite() && number > 0.0;
    if is_positive { Ok(number) } else { Err(bad_number(name, number, "a finite number above 0")) }
}

fn bad_number(name: &str, number: f64, action: &str) -> Error {
    Finding::error(Code::OutOfRange, name, format!("{number} cannot be simulated"), action).into()
}
