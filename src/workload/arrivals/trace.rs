//! Recorded arrivals: rates that hold for a while each, or the arrival times themselves.

use std::path::Path;
use std::time::Duration;

use super::{Arrivals, NS, read};
use crate::base::error::Error;
use crate::stats::Dice;

/// Rates, each of which holds for the same time. Inside that time, arrivals are Poisson.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// The name that reports carry.
    pub name: String,
    /// Requests per second, one number a step.
    pub rates: Vec<f64>,
    /// Time that a rate holds as recorded, mostly a second.
    pub step: Duration,
    /// Every rate is multiplied by this.
    pub scale: f64,
    /// Every step is multiplied by this; the rates stay.
    pub time_scale: f64,
}

/// Recorded arrival times, which are kept to the nanosecond.
#[derive(Debug, Clone, PartialEq)]
pub struct Timestamps {
    /// The name that reports carry.
    pub name: String,
    /// Arrival times in nanoseconds from the start, sorted.
    pub times_ns: Vec<u64>,
    /// Part of the requests that is kept, each decided by itself (thinning); at most 1.
    pub scale: f64,
    /// Every time is multiplied by this; the requests stay.
    pub time_scale: f64,
}

impl Arrivals {
    /// Reads a trace; its header tells whether it holds rates or arrival times. `docs/formats/traces.md` says what it may look like.
    ///
    /// # Errors
    /// Findings for an unreadable, unknown or empty file and for every line that is wrong.
    pub fn of_file(path: &Path) -> Result<Self, Error> {
        read::load(path)
    }

    /// Returns in words what a recording holds as it is played: lines, time, requests and peak; `None` for other laws.
    #[must_use]
    pub fn reading(&self) -> Option<String> {
        let lines = match self {
            Self::Trace(trace) => {
                let rates = format!("{} rates of {} s each", trace.rates.len(), trace.step.as_secs_f64());
                describe(&rates, trace.scale, trace.time_scale)
            }
            Self::Timestamps(times) => {
                describe(&format!("{} arrival times", times.times_ns.len()), times.scale, times.time_scale)
            }
            _ => return None,
        };
        let length_s = self.length_s()?;
        // Four figures: a peak is mostly a count divided by a step.
        let peak = format!("{:.3e}", self.highest_rate(0.0, length_s)).parse::<f64>().unwrap_or_default();
        let requests = self.expected(length_s);
        Some(format!("{lines}: {length_s} s, {requests:.0} requests, peak {peak} requests/s"))
    }

    /// Returns a recording with its rate and its time multiplied; other laws are scaled in their figures and stay.
    #[must_use]
    pub fn scaled(self, rate: f64, time: f64) -> Self {
        match self {
            Self::Trace(t) => Self::Trace(Trace { scale: t.scale * rate, time_scale: t.time_scale * time, ..t }),
            Self::Timestamps(t) => {
                Self::Timestamps(Timestamps { scale: t.scale * rate, time_scale: t.time_scale * time, ..t })
            }
            other => other,
        }
    }
}

impl Trace {
    /// Returns a trace of one rate a second, as recorded.
    #[must_use]
    pub fn new(name: impl Into<String>, rates: Vec<f64>) -> Self {
        Self { name: name.into(), rates, step: Duration::from_secs(1), scale: 1.0, time_scale: 1.0 }
    }

    /// Returns the length of the trace as it is played, in seconds.
    #[must_use]
    pub fn length_s(&self) -> f64 {
        self.rates.len() as f64 * self.step_ns() / NS
    }

    /// Returns the time that a rate holds as the trace is played, in nanoseconds.
    pub(crate) fn step_ns(&self) -> f64 {
        self.step.as_nanos() as f64 * self.time_scale
    }

    /// Returns the highest rate between two times in seconds.
    pub(crate) fn highest_rate(&self, from: f64, to: f64) -> f64 {
        let step = |seconds: f64| seconds * NS / self.step_ns();
        let rates = self.rates.iter().take(step(to).ceil() as usize).skip(step(from) as usize);
        rates.copied().fold(0.0, f64::max) * self.scale
    }

    /// Returns the mean rate over the first `seconds`.
    pub(crate) fn mean_rate(&self, seconds: f64) -> f64 {
        let steps = (seconds * NS / self.step_ns()).min(self.rates.len() as f64);
        let whole: f64 = self.rates[..steps as usize].iter().sum();
        let rest = self.rates.get(steps as usize).map_or(0.0, |rate| rate * steps.fract());
        if steps > 0.0 { (whole + rest) / steps * self.scale } else { 0.0 }
    }
}

impl Timestamps {
    /// Returns sorted arrival times, in nanoseconds from the start, as recorded.
    #[must_use]
    pub fn new(name: impl Into<String>, times_ns: Vec<u64>) -> Self {
        Self { name: name.into(), times_ns, scale: 1.0, time_scale: 1.0 }
    }

    /// Returns the length as it is played, in seconds: as recorded up to the full second after the last arrival.
    #[must_use]
    pub fn length_s(&self) -> f64 {
        let recorded = self.times_ns.last().map_or(0, |last| last / 1_000_000_000 + 1);
        recorded as f64 * self.time_scale
    }

    /// Returns the most arrivals in any whole second between two times in seconds.
    pub(crate) fn highest_rate(&self, from: f64, to: f64) -> f64 {
        let before = |seconds: f64| self.times_ns.partition_point(|&time| (self.played_ns(time) as f64) < seconds * NS);
        let seconds = from.floor() as u64..to.ceil() as u64;
        let counts = seconds.map(|second| before((second + 1) as f64) - before(second as f64));
        counts.max().unwrap_or(0) as f64 * self.scale
    }

    /// Returns the mean rate over the first `seconds`.
    pub(crate) fn mean_rate(&self, seconds: f64) -> f64 {
        let seconds = seconds.min(self.length_s());
        let count = self.times_ns.partition_point(|&time| (self.played_ns(time) as f64) < seconds * NS);
        if seconds > 0.0 { count as f64 * self.scale / seconds } else { 0.0 }
    }

    /// Returns the next arrival that thinning keeps.
    #[inline]
    pub(crate) fn next(&self, next: &mut usize, dice: &mut Dice) -> Option<u64> {
        loop {
            let time = *self.times_ns.get(*next)?;
            *next += 1;
            if self.scale >= 1.0 || dice.unit() < self.scale {
                return Some(self.played_ns(time));
            }
        }
    }

    fn played_ns(&self, time: u64) -> u64 {
        if self.time_scale == 1.0 { time } else { (time as f64 * self.time_scale) as u64 }
    }
}

/// Returns a recording in words, as the report carries it, with what it is multiplied by.
pub fn describe(name: &str, scale: f64, time_scale: f64) -> String {
    let rate = if scale == 1.0 { String::new() } else { format!(" × {scale}") };
    let time = if time_scale == 1.0 { String::new() } else { format!(", time × {time_scale}") };
    format!("{name}{rate}{time}")
}
