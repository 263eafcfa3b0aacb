//! How much longer calls take as a plan makes them than one right after the other.
//!
//! In a closed loop caches stay warm and the core awake. A replica sleeps until a request comes, and one that hosts several
//! variants calls another one meanwhile. Both cost a few microseconds, which matters for calls of less than a millisecond.
//!
//! ```text
//! a round    calls in a row, then calls each after a pause, then calls each after another variant's
//! ```
//!
//! Only neighbours in time are compared: a host drifts by more than these differences. A round gives one ratio of medians each.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::base::error::Error;
use crate::measure::engines::Session;
use crate::profile::Pace;
use crate::stats::effect::Ratio;
use crate::tensor::Named;

/// Calls of each kind in a round.
const CALLS: usize = 9;
/// Rounds that an interval needs.
const FEWEST_ROUNDS: usize = 3;
/// Rounds after which more would not matter.
const MOST_ROUNDS: usize = 40;

/// The ratios of one round: the median of such calls ÷ that of calls in a row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// After a pause.
    pub after_pause: f64,
    /// After a call of another variant, where there is one.
    pub after_other: Option<f64>,
}

/// Makes rounds for about so long; none where calls are so long that three rounds would take more. `other` is a session on the same
/// cores that stands for another variant, `call` the time of one call.
///
/// # Errors
/// [`Error::Engine`] where the engine fails.
pub fn rounds(
    session: &mut dyn Session,
    mut other: Option<&mut (dyn Session + '_)>,
    inputs: &[Vec<Named>],
    call: Duration,
    budget: Duration,
) -> Result<Vec<Round>, Error> {
    let begin = Instant::now();
    let mut rounds = Vec::new();
    // Calls of three kinds, and pauses of their length.
    let mut one_round = call * 4 * CALLS as u32;
    if let Some(session) = &mut other {
        let others = session.run(&inputs[0])?.wall * CALLS as u32;
        if (one_round + others) * FEWEST_ROUNDS as u32 > budget {
            other = None;
        } else {
            one_round += others;
        }
    }
    while begin.elapsed() + one_round * (FEWEST_ROUNDS.saturating_sub(rounds.len()).max(1) as u32) <= budget
        && rounds.len() < MOST_ROUNDS
    {
        let mut median = |before: &mut dyn FnMut(usize) -> Result<(), Error>| {
            let mut walls = [Duration::ZERO; CALLS];
            for (number, wall) in walls.iter_mut().enumerate() {
                before(number)?;
                *wall = session.run(&inputs[number % inputs.len()])?.wall;
            }
            walls.sort_unstable();
            Ok::<f64, Error>(walls[CALLS / 2].as_secs_f64())
        };
        let in_a_row = median(&mut |_| Ok(()))?.max(1e-9);
        // Around the length of a call: a queue that is half empty pauses that long.
        let pauses = [0.2, 0.5, 1.0, 1.5, 2.0];
        let after_pause = median(&mut |number| {
            sleep(call.mul_f64(pauses[number % pauses.len()]));
            Ok(())
        })?;
        let after_other =
            other.as_mut().map(|other| median(&mut |number| other.run(&inputs[number % inputs.len()]).map(|_| ())));
        rounds.push(Round {
            after_pause: after_pause / in_a_row,
            after_other: after_other.transpose()?.map(|time| time / in_a_row),
        });
    }
    Ok(rounds)
}

/// Puts the rounds of all blocks of a point together: the geometric means with Student's intervals, never below 1 as nothing makes
/// a call faster than in a row. `None` where there are too few.
#[must_use]
pub fn pace_of<'a>(rounds: impl Iterator<Item = &'a Round> + Clone) -> Option<Pace> {
    let ratio = |of: &dyn Fn(&Round) -> Option<f64>| {
        let logs: Vec<f64> = rounds.clone().filter_map(of).map(f64::ln).collect();
        (logs.len() >= FEWEST_ROUNDS).then(|| Ratio::of_logs(&logs).no_less_than_one())
    };
    Some(Pace { after_pause: ratio(&|round| Some(round.after_pause))?, after_other: ratio(&|round| round.after_other) })
}

#[cfg(test)]
mod tests {
    use super::{CALLS, FEWEST_ROUNDS, Round, pace_of, rounds};
    use crate::measure::engines::{Engine, Scripted};
    use crate::tensor::{Named, Tensor};
    use std::path::Path;
    use std::time::Duration;

    fn made(call_us: u64, budget_ms: u64) -> Vec<Round> {
        let engine = Scripted { walls: vec![Duration::from_micros(call_us)], scores: vec![0.0, 1.0] };
        let open = || engine.open(Path::new("any"), &[], 1).expect("a script always opens");
        let input = [vec![Named::new("", Tensor::floats([1, 1], vec![0.0]))]];
        let (call, budget) = (Duration::from_micros(call_us), Duration::from_millis(budget_ms));
        rounds(open().as_mut(), Some(open().as_mut()), &input, call, budget).expect("a script never fails")
    }

    #[test]
    fn long_calls_are_not_tried_and_steady_ones_have_pace_one() {
        assert!(made(1_000_000, 100).is_empty(), "{CALLS} calls a kind, {FEWEST_ROUNDS} rounds, of a second each");
        let steady = made(10, 100);
        assert!(steady.len() >= FEWEST_ROUNDS);
        let pace = pace_of(steady.iter()).expect("enough rounds");
        assert_eq!((pace.after_pause.value, pace.after_other.map(|other| other.value)), (1.0, Some(1.0)));
    }

    #[test]
    fn rounds_make_a_mean_with_an_interval_and_nothing_is_faster_than_in_a_row() {
        let round = |after_pause: f64| Round { after_pause, after_other: None };
        assert_eq!(pace_of([round(1.1), round(1.2)].iter()), None);
        let pace = pace_of([1.1, 1.21, 1.1, 1.21].map(round).iter()).expect("enough rounds");
        assert!((pace.after_pause.value - (1.1_f64 * 1.21).sqrt()).abs() < 1e-12 && pace.after_other.is_none());
        // Student's with 3 degrees of freedom: 3.182 times half the spread of the logarithms ÷ √3.
        let half = 3.182_446 * (1.1_f64.ln() / 2.0) / 3.0_f64.sqrt();
        assert!((pace.after_pause.high / pace.after_pause.value - half.exp()).abs() < 1e-4, "{pace:?}");
        let faster = pace_of([0.9, 0.8, 0.95].map(round).iter()).expect("enough rounds");
        assert_eq!((faster.after_pause.value, faster.after_pause.low), (1.0, 1.0));
    }
}
