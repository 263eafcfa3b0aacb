//! When requests arrive: a law in figures, or a trace of rates or of arrival times.
//!
//! ```text
//! constant                      │ evenly spaced
//! poisson, step, trace, mmpp    │ pieces of time with one rate each ─▶ Poisson within a piece
//! ramp                          │ Poisson at a rate that changes linearly
//! gamma                         │ independent gaps, more or less regular than Poisson
//! timestamps                    │ as recorded
//! ```
//!
//! Random laws begin in equilibrium: the expected rate is the stated one from the first moment on.

mod random;
mod read;
mod trace;

use std::ops::RangeInclusive;

use crate::base::finding::{Code, Finding, Findings};
use crate::stats::Dice;
use random::{GammaGaps, Phases, Piece, Ramping};

pub use random::MmppState;
pub use trace::{Timestamps, Trace};

/// Nanoseconds in a second.
const NS: f64 = 1e9;
/// Highest rate that can be simulated, in requests per second: one in each nanosecond, the grain of the clock.
const MAX_RPS: f64 = 1e9;
/// Shortest and longest stay in a state, ramp or recording, in seconds: a microsecond and 32 years.
const STAY_S: RangeInclusive<f64> = 1e-6..=1e9;
/// Squared coefficients of variation between which gamma gaps stay sound in double precision.
const BURSTINESS: RangeInclusive<f64> = 1e-6..=1e6;
/// Most changes of state that an MMPP may make, on average, until a request arrives.
const MOST_CHANGES: f64 = 1e6;

/// The law of arrivals.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrivals {
    /// Evenly spaced.
    Constant {
        /// Requests per second.
        rate_rps: f64,
    },
    /// Independent of each other.
    Poisson {
        /// Requests per second.
        rate_rps: f64,
    },
    /// Gaps that are independent and gamma distributed (a renewal process in equilibrium).
    Gamma {
        /// Requests per second.
        rate_rps: f64,
        /// Squared coefficient of variation of the gaps: 1 is Poisson, above 1 comes in bursts, near 0 is evenly spaced.
        burstiness: f64,
    },
    /// A Poisson process whose rate follows a Markov chain (Markov-modulated, MMPP).
    ///
    /// A state lasts an exponential time; then any of the others follows, each as likely. The first is drawn from the
    /// stationary law, in which a state is as likely as its mean stay is long.
    Mmpp {
        /// Two states or more.
        states: Vec<MmppState>,
    },
    /// A Poisson process whose rate changes once.
    Step {
        /// Requests per second before the step.
        from_rps: f64,
        /// Requests per second from then on.
        to_rps: f64,
        /// Time of the step, in seconds from the start.
        at_s: f64,
    },
    /// A Poisson process whose rate changes linearly from the start, then stays.
    Ramp {
        /// Requests per second at the start.
        from_rps: f64,
        /// Requests per second at the end of the ramp and from then on.
        to_rps: f64,
        /// Length of the ramp, in seconds.
        over_s: f64,
    },
    /// A Poisson process whose rate follows a recording.
    Trace(Trace),
    /// Recorded arrivals.
    Timestamps(Timestamps),
}

impl Arrivals {
    /// Returns the arrivals in words, as the report carries them.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Constant { rate_rps } => format!("constant {rate_rps} rps"),
            Self::Poisson { rate_rps } => format!("poisson {rate_rps} rps"),
            Self::Gamma { rate_rps, burstiness } => format!("gamma {rate_rps} rps, burstiness {burstiness}"),
            Self::Mmpp { states } => {
                let states: Vec<_> =
                    states.iter().map(|state| format!("{} rps for {} s", state.rate_rps, state.mean_s)).collect();
                format!("mmpp {}", states.join(", "))
            }
            Self::Step { from_rps, to_rps, at_s } => format!("step {from_rps} to {to_rps} rps at {at_s} s"),
            Self::Ramp { from_rps, to_rps, over_s } => format!("ramp {from_rps} to {to_rps} rps over {over_s} s"),
            Self::Trace(trace) => trace::describe(&trace.name, trace.scale, trace.time_scale),
            Self::Timestamps(times) => trace::describe(&times.name, times.scale, times.time_scale),
        }
    }

    /// Returns the rate that is expected over the first `seconds`; a trace that is shorter counts in full.
    #[must_use]
    pub fn initial_rate(&self, seconds: f64) -> f64 {
        match self {
            Self::Constant { rate_rps } | Self::Poisson { rate_rps } | Self::Gamma { rate_rps, .. } => *rate_rps,
            Self::Mmpp { states } => random::mean_rate(states),
            Self::Step { from_rps, to_rps, at_s } => {
                let before = (at_s / seconds).min(1.0);
                from_rps * before + to_rps * (1.0 - before)
            }
            Self::Ramp { from_rps, to_rps, over_s } => {
                let on_ramp = seconds.min(*over_s);
                let middle = from_rps + (to_rps - from_rps) * on_ramp / over_s / 2.0;
                (middle * on_ramp + to_rps * (seconds - on_ramp)) / seconds
            }
            Self::Trace(trace) => trace.mean_rate(seconds),
            Self::Timestamps(times) => times.mean_rate(seconds),
        }
    }

    /// Returns the requests that are expected in the first `seconds`.
    #[must_use]
    pub fn expected(&self, seconds: f64) -> f64 {
        let seconds = self.length_s().map_or(seconds, |length| length.min(seconds));
        self.initial_rate(seconds) * seconds
    }

    /// Returns the highest expected rate between two times in seconds; of recorded arrivals, over whole seconds.
    #[must_use]
    pub fn highest_rate(&self, from: f64, to: f64) -> f64 {
        match self {
            Self::Constant { rate_rps } | Self::Poisson { rate_rps } | Self::Gamma { rate_rps, .. } => *rate_rps,
            Self::Mmpp { states } => states.iter().map(|state| state.rate_rps).fold(0.0, f64::max),
            Self::Step { from_rps, to_rps, at_s } => match () {
                () if to < *at_s => *from_rps,
                () if from >= *at_s => *to_rps,
                () => from_rps.max(*to_rps),
            },
            Self::Ramp { from_rps, to_rps, over_s } => {
                let at = |time: f64| from_rps + (to_rps - from_rps) * (time / over_s).min(1.0);
                at(from).max(at(to))
            }
            Self::Trace(trace) => trace.highest_rate(from, to),
            Self::Timestamps(times) => times.highest_rate(from, to),
        }
    }

    /// Returns the length of a recording as it will be played, in seconds; the other laws have no end.
    #[must_use]
    pub fn length_s(&self) -> Option<f64> {
        match self {
            Self::Trace(trace) => Some(trace.length_s()),
            Self::Timestamps(times) => Some(times.length_s()),
            _ => None,
        }
    }

    /// Returns everything that keeps these arrivals from being simulated.
    #[must_use]
    pub fn validate(&self) -> Findings {
        let mut checks = Checks::default();
        match self {
            Self::Constant { rate_rps } | Self::Poisson { rate_rps } => checks.rate("rate_rps", *rate_rps),
            Self::Gamma { rate_rps, burstiness } => {
                checks.rate("rate_rps", *rate_rps);
                checks.within("burstiness", *burstiness, BURSTINESS);
            }
            Self::Mmpp { states } => checks.mmpp(states),
            Self::Step { from_rps, to_rps, at_s } => {
                checks.rate("from_rps", *from_rps);
                checks.rate("to_rps", *to_rps);
                checks.within("at_s", *at_s, 0.0..=*STAY_S.end());
            }
            Self::Ramp { from_rps, to_rps, over_s } => {
                checks.rate("from_rps", *from_rps);
                checks.rate("to_rps", *to_rps);
                checks.within("over_s", *over_s, STAY_S);
            }
            Self::Trace(trace) => checks.trace(trace),
            Self::Timestamps(times) => checks.timestamps(times),
        }
        checks.0
    }

    /// Returns the source of arrival times. The arrivals must have been validated.
    #[must_use]
    pub fn source(&self, seed: u64) -> Source<'_> {
        let mut dice = Dice::new(seed, 1);
        let process = Process::new(self, &mut dice);
        Source { process, dice, at: 0.0 }
    }
}

/// A source of arrival times, in nanoseconds from the start; it never allocates.
#[derive(Debug)]
pub struct Source<'a> {
    process: Process<'a>,
    dice: Dice,
    /// Time of the last arrival in nanoseconds; of constant arrivals and timestamps, their number.
    at: f64,
}

/// What a source has to know, with everything computed that does not change from one arrival to the next.
#[derive(Debug)]
enum Process<'a> {
    Constant { rate_rps: f64 },
    Pieces { piece: Piece, then: Phases<'a> },
    Gamma(GammaGaps),
    Ramp(Ramping),
    Timestamps { times: &'a Timestamps, next: usize },
}

impl<'a> Process<'a> {
    fn new(law: &'a Arrivals, dice: &mut Dice) -> Self {
        let pieces = |piece, then| Self::Pieces { piece, then };
        match law {
            Arrivals::Constant { rate_rps } => Self::Constant { rate_rps: *rate_rps },
            Arrivals::Poisson { rate_rps } => pieces(Piece::forever(*rate_rps), Phases::None),
            Arrivals::Gamma { rate_rps, burstiness } => match GammaGaps::new(*rate_rps, *burstiness) {
                Some(gaps) => Self::Gamma(gaps),
                None => Self::Constant { rate_rps: 0.0 },
            },
            Arrivals::Mmpp { states } => {
                let (piece, then) = random::first_state(states, dice);
                pieces(piece, then)
            }
            Arrivals::Step { from_rps, to_rps, at_s } => {
                pieces(Piece::until(*from_rps, at_s * NS), Phases::Once(Piece::forever(*to_rps)))
            }
            Arrivals::Ramp { from_rps, to_rps, over_s } => Self::Ramp(Ramping::new(*from_rps, *to_rps, *over_s)),
            Arrivals::Trace(trace) => pieces(Piece::until(0.0, 0.0), Phases::Trace { trace, next: 0 }),
            Arrivals::Timestamps(times) => Self::Timestamps { times, next: 0 },
        }
    }
}

impl Iterator for Source<'_> {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        // One addition and one comparison more than a Poisson process needs, for all that is Poisson by pieces.
        let Process::Pieces { piece, then } = &mut self.process else { return self.next_of_others() };
        let expected = self.dice.exponential();
        let next = self.at + expected * piece.gap_ns;
        self.at = if next < piece.end_ns {
            next
        } else {
            random::over_the_end(self.at, expected, piece, then, &mut self.dice)?
        };
        Some(whole_ns(self.at))
    }
}

impl Source<'_> {
    /// Returns the next arrival of a process that does not go by pieces; apart, so that the other is short.
    #[inline(never)]
    fn next_of_others(&mut self) -> Option<u64> {
        match &mut self.process {
            Process::Pieces { .. } => self.next(),
            Process::Constant { rate_rps } if *rate_rps <= 0.0 => None,
            Process::Constant { rate_rps } => {
                self.at += 1.0;
                Some(whole_ns(self.at / *rate_rps * NS))
            }
            Process::Gamma(gaps) => {
                self.at += gaps.draw(&mut self.dice);
                Some(whole_ns(self.at))
            }
            Process::Ramp(ramp) => {
                self.at = ramp.after(self.at, self.dice.exponential())?;
                Some(whole_ns(self.at))
            }
            Process::Timestamps { times, next } => times.next(next, &mut self.dice),
        }
    }
}

/// Returns whole nanoseconds; by way of `i64`, which takes a third of the instructions and is enough for 292 years.
#[inline]
const fn whole_ns(ns: f64) -> u64 {
    ns as i64 as u64
}

/// Findings about figures, each with the name of its field.
#[derive(Default)]
struct Checks(Findings);

impl Checks {
    fn within(&mut self, key: &str, number: f64, range: RangeInclusive<f64>) {
        if !range.contains(&number) {
            let action = format!("a number from {} to {}", short(*range.start()), short(*range.end()));
            let cause = format!("{} cannot be simulated", short(number));
            self.0.push(Finding::error(Code::OutOfRange, key, cause, action));
        }
    }

    fn rate(&mut self, key: &str, rate_rps: f64) {
        self.within(key, rate_rps, 0.0..=MAX_RPS);
    }

    fn mmpp(&mut self, states: &[MmppState]) {
        if states.len() < 2 {
            let cause = format!("an MMPP with {} of at least 2 states", states.len());
            self.0.push(Finding::error(Code::Empty, "states", cause, "a rate that never changes is Poisson"));
        }
        for (index, state) in states.iter().enumerate() {
            self.rate(&format!("states[{index}].rate_rps"), state.rate_rps);
            self.within(&format!("states[{index}].mean_s"), state.mean_s, STAY_S);
        }
        let changes = random::changes_per_request(states);
        if self.0.0.is_empty() && changes > MOST_CHANGES {
            let cause = format!("{changes:.0} changes of state for each request");
            self.0.push(Finding::error(Code::OutOfRange, "states", cause, "higher rates or longer stays"));
        }
    }

    fn trace(&mut self, trace: &Trace) {
        self.within("scale", trace.scale, 0.0..=f64::MAX);
        let highest = trace.rates.iter().copied().fold(0.0, f64::max) * trace.scale;
        if trace.rates.iter().any(|rate| !rate.is_finite() || *rate < 0.0) || highest > MAX_RPS {
            let cause = format!("rates up to {} rps cannot be simulated", short(highest));
            let action = format!("every rate times the scale is from 0 to {}", short(MAX_RPS));
            self.0.push(Finding::error(Code::OutOfRange, "rates", cause, action));
        }
        self.time(trace.time_scale, trace.length_s(), trace.rates.len());
    }

    fn timestamps(&mut self, times: &Timestamps) {
        if times.scale > 1.0 {
            let cause =
                format!("{} times as many requests as were recorded: nobody knows when they came", short(times.scale));
            let action = "0.5 keeps half of them; `--time-scale 0.5` doubles the rate in half the time";
            self.0.push(Finding::error(Code::OutOfRange, "scale", cause, action));
        } else {
            self.within("scale", times.scale, 0.0..=1.0);
        }
        self.time(times.time_scale, times.length_s(), times.times_ns.len());
    }

    /// Checks how a recording of `lines` lines is stretched to `length_s`.
    fn time(&mut self, time_scale: f64, length_s: f64, lines: usize) {
        let is_sound = time_scale.is_finite() && time_scale > 0.0 && STAY_S.contains(&length_s);
        if lines == 0 {
            self.0.push(Finding::error(Code::Empty, "", "the trace is empty", "at least one line"));
        } else if !is_sound || length_s / (lines as f64) < 1e-9 {
            let cause = format!("{} makes the trace {} s long", short(time_scale), short(length_s));
            let action = "a number above 0 that leaves at least a nanosecond for each line";
            self.0.push(Finding::error(Code::OutOfRange, "time_scale", cause, action));
        }
    }
}

/// Writes very large and very small numbers with an exponent.
fn short(number: f64) -> String {
    let is_plain = number == 0.0 || !number.is_finite() || (1e-3..1e7).contains(&number.abs());
    if is_plain { number.to_string() } else { format!("{number:e}") }
}

#[cfg(test)]
mod tests;
