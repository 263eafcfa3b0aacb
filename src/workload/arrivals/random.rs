//! Random arrivals: Poisson by pieces, gamma gaps, and a rate on a ramp.

use rand_distr::Gamma;

use super::NS;
use super::trace::Trace;
use crate::stats::Dice;

/// A state of a Markov-modulated Poisson process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MmppState {
    /// Requests per second while the state lasts.
    pub rate_rps: f64,
    /// Time that the state lasts on average, in seconds.
    pub mean_s: f64,
}

/// A piece of time with one rate.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    /// Mean time between arrivals, in nanoseconds; infinite where none come.
    pub gap_ns: f64,
    /// End of the piece, in nanoseconds from the start.
    pub end_ns: f64,
}

impl Piece {
    pub fn until(rate_rps: f64, end_ns: f64) -> Self {
        Self { gap_ns: NS / rate_rps, end_ns }
    }

    pub fn forever(rate_rps: f64) -> Self {
        Self::until(rate_rps, f64::INFINITY)
    }
}

/// What follows a piece.
#[derive(Debug)]
pub enum Phases<'a> {
    None,
    Once(Piece),
    Mmpp { states: &'a [MmppState], now: usize },
    Trace { trace: &'a Trace, next: usize },
}

impl Phases<'_> {
    /// Returns the piece that begins at `at`.
    fn next(&mut self, at: f64, dice: &mut Dice) -> Option<Piece> {
        match self {
            Self::None => None,
            Self::Once(piece) => {
                let piece = *piece;
                *self = Self::None;
                Some(piece)
            }
            Self::Mmpp { states, now } => {
                let other = dice.below(states.len() as u32 - 1) as usize;
                *now = other + usize::from(other >= *now);
                Some(stay(&states[*now], at, dice))
            }
            Self::Trace { trace, next } => {
                let rate = trace.rates.get(*next)? * trace.scale;
                *next += 1;
                Some(Piece::until(rate, *next as f64 * trace.step_ns()))
            }
        }
    }
}

/// Returns the time of the next arrival where it lies beyond the piece.
///
/// A unit exponential of expected arrivals is spent along the pieces: the time change of a Poisson process.
#[cold]
#[inline(never)]
pub fn over_the_end(
    mut at: f64,
    mut expected: f64,
    piece: &mut Piece,
    then: &mut Phases<'_>,
    dice: &mut Dice,
) -> Option<f64> {
    loop {
        expected = (expected - (piece.end_ns - at) / piece.gap_ns).max(0.0);
        at = piece.end_ns;
        *piece = then.next(at, dice)?;
        let next = at + expected * piece.gap_ns;
        if next < piece.end_ns {
            return Some(next);
        }
    }
}

/// Draws the first state from the stationary law.
pub fn first_state<'a>(states: &'a [MmppState], dice: &mut Dice) -> (Piece, Phases<'a>) {
    let total: f64 = states.iter().map(|state| state.mean_s).sum();
    let mut left = dice.unit() * total;
    let now = states
        .iter()
        .position(|state| {
            left -= state.mean_s;
            left < 0.0
        })
        .unwrap_or(states.len() - 1);
    (stay(&states[now], 0.0, dice), Phases::Mmpp { states, now })
}

fn stay(state: &MmppState, at: f64, dice: &mut Dice) -> Piece {
    Piece::until(state.rate_rps, at + dice.exponential() * state.mean_s * NS)
}

/// Returns the mean rate of an MMPP in equilibrium, in requests per second.
pub fn mean_rate(states: &[MmppState]) -> f64 {
    let total: f64 = states.iter().map(|state| state.mean_s).sum();
    states.iter().map(|state| state.rate_rps * state.mean_s).sum::<f64>() / total
}

/// Returns the changes of state for each request, on average; infinite where no request ever comes.
pub fn changes_per_request(states: &[MmppState]) -> f64 {
    let requests: f64 = states.iter().map(|state| state.rate_rps * state.mean_s).sum();
    states.len() as f64 / requests
}

/// Gamma gaps with shape 1 ÷ burstiness.
#[derive(Debug)]
pub struct GammaGaps {
    law: Gamma<f64>,
    /// Until the first gap is drawn, a gap as time falls into it: with one more in its shape.
    first: Option<Gamma<f64>>,
}

impl GammaGaps {
    /// Returns the gaps, or nothing where no request comes.
    pub fn new(rate_rps: f64, burstiness: f64) -> Option<Self> {
        let (shape, scale_ns) = (1.0 / burstiness, burstiness * NS / rate_rps);
        let law = Gamma::new(shape, scale_ns).ok()?;
        let first = Gamma::new(shape + 1.0, scale_ns).ok();
        (rate_rps > 0.0).then_some(Self { law, first })
    }

    /// Returns the next gap in nanoseconds.
    ///
    /// A moment falls into a gap in proportion to its length, and anywhere in it: hence the first draw (Cox, *Renewal
    /// Theory*, 1962, section 5.4). So the rate is right from the start.
    pub fn draw(&mut self, dice: &mut Dice) -> f64 {
        match self.first.take() {
            Some(first) => dice.unit() * dice.draw(&first),
            None => dice.draw(&self.law),
        }
    }
}

/// A rate that changes linearly, then stays.
#[derive(Debug)]
pub struct Ramping {
    /// Requests per nanosecond at the start and from the end on.
    from: f64,
    to: f64,
    end_ns: f64,
}

impl Ramping {
    pub fn new(from_rps: f64, to_rps: f64, over_s: f64) -> Self {
        Self { from: from_rps / NS, to: to_rps / NS, end_ns: over_s * NS }
    }

    /// Returns the time at which `expected` arrivals after `at` are expected: `r·x + k·x²/2 = expected`, solved for `x`.
    pub fn after(&self, at: f64, expected: f64) -> Option<f64> {
        let left_ns = self.end_ns - at;
        if left_ns <= 0.0 {
            return self.after_end(at, expected);
        }
        let slope = (self.to - self.from) / self.end_ns;
        let rate = self.from + slope * at;
        let on_ramp = (rate + self.to) / 2.0 * left_ns;
        if expected >= on_ramp {
            return self.after_end(self.end_ns, expected - on_ramp);
        }
        let root = (rate * rate + 2.0 * slope * expected).max(0.0).sqrt();
        Some(at + 2.0 * expected / (rate + root))
    }

    fn after_end(&self, at: f64, expected: f64) -> Option<f64> {
        (self.to > 0.0).then(|| at + expected / self.to)
    }
}
