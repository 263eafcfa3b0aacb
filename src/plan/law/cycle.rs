//! Replicas that serve several queues in turn, each time all that waits: how long a turn takes and what it carries.
//!
//! With `λ` calls a second at each queue, a visit that serves `b` calls takes at most `α + β·b`, so a turn takes
//! `R = Σ (α + β·λ·R)`, that is `R = A ÷ (1 − U)` with `A = Σ α` and `U = Σ β·λ` (CascadeServe's runtime, as a formula).
//! A call waits for at most one turn and is served within the next. Two things differ from that picture: a visit serves
//! at least one call, so that `A` sums `α + β`; and it serves no more than a batch, so that where batches are full every
//! call takes the time of a full batch ÷ its size.
//!
//! Poisson calls that share a replica in this way respond within 2 `R` about 19 times in 20; the last word has simulation.

/// Turns that a call spends on a pool: one of waiting, one of being served.
pub const TURNS: f64 = 2.0;

/// What visits to one queue take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Visit {
    /// Most calls served together.
    pub batch: u32,
    /// Time of a visit that serves one call, in milliseconds (α + β).
    pub first_ms: f64,
    /// Time of each further call (β).
    pub each_ms: f64,
    /// Time of a call in a full batch.
    pub full_ms: f64,
}

impl Visit {
    /// Returns the line over mean times of batches 1, 2, …, in milliseconds: never below any of them, and touching the curve's
    /// upper hull where it ends.
    ///
    /// # Panics
    /// Where there are no times.
    #[must_use]
    pub fn over(means_ms: &[f64]) -> Self {
        let batch = means_ms.len();
        let last = *means_ms.last().expect("a batch of one at least");
        // The last piece of the upper hull is the flattest line down from its end.
        let slope = |(index, ms): (usize, &f64)| (last - ms) / (batch - 1 - index) as f64;
        let flattest = means_ms[..batch - 1].iter().enumerate().map(slope).fold(f64::INFINITY, f64::min);
        let each_ms = flattest.clamp(0.0, last / batch as f64);
        let start = |(index, ms): (usize, &f64)| ms - each_ms * index as f64;
        let first_ms = means_ms.iter().enumerate().map(start).fold(0.0, f64::max);
        let full_ms = (first_ms + each_ms * (batch - 1) as f64) / batch as f64;
        Self { batch: batch as u32, first_ms, each_ms, full_ms }
    }
}

/// A turn of a replica.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cycle {
    /// How long it takes, in milliseconds (R).
    pub length_ms: f64,
    /// Busy part of the replica at most: as if every call were served alone.
    pub busy: f64,
}

/// Returns the turn of a replica that serves these queues, each with its calls a second; `None` where it cannot keep up.
#[must_use]
pub fn cycle(queues: &[(Visit, f64)]) -> Option<Cycle> {
    let used = || queues.iter().filter(|(_, rate)| *rate > 0.0);
    let first: f64 = used().map(|(visit, _)| visit.first_ms).sum();
    let mut full = vec![false; queues.len()];
    loop {
        let each = |(&(visit, rate), full): (&(Visit, f64), &bool)| {
            rate / 1e3 * if *full { visit.full_ms } else { visit.each_ms }
        };
        let load: f64 = queues.iter().zip(&full).map(each).sum();
        if load >= 1.0 {
            return None;
        }
        let length_ms = first / (1.0 - load);
        let overflows = |(index, (visit, rate)): (usize, &(Visit, f64))| {
            (!full[index] && rate / 1e3 * length_ms > f64::from(visit.batch)).then_some(index)
        };
        let Some(index) = queues.iter().enumerate().find_map(overflows) else {
            let alone = |(visit, rate): &(Visit, f64)| rate / 1e3 * visit.first_ms;
            return Some(Cycle { length_ms, busy: used().map(alone).sum::<f64>().min(1.0) });
        };
        full[index] = true;
    }
}

#[cfg(test)]
mod tests {
    use super::{Visit, cycle};

    #[test]
    fn a_line_is_never_below_the_curve_and_meets_its_end() {
        for means in
            [vec![2.0], vec![2.0, 2.5, 3.5, 4.0], vec![1.0, 1.2, 1.9, 4.0], vec![3.0, 2.9, 2.8], vec![1.0, 2.1, 3.0]]
        {
            let visit = Visit::over(&means);
            for (index, ms) in means.iter().enumerate() {
                let line = visit.first_ms + visit.each_ms * index as f64;
                assert!(line >= ms - 1e-12, "{means:?} at {}: {line}", index + 1);
            }
            assert!(visit.each_ms >= 0.0 && visit.first_ms >= visit.each_ms - 1e-12, "{means:?}: {visit:?}");
        }
        let visit = Visit::over(&[2.0, 2.5, 3.5, 4.0]);
        assert!((visit.first_ms + 3.0 * visit.each_ms - 4.0).abs() < 1e-12, "{visit:?}");
    }

    #[test]
    fn a_turn_is_start_up_time_over_what_is_left_of_capacity() {
        // One queue, calls of 1 ms one at a time at 500/s: R = 1 ÷ (1 − 0.5).
        let single = Visit::over(&[1.0]);
        let turn = cycle(&[(single, 500.0)]).expect("half busy");
        assert!((turn.length_ms - 2.0).abs() < 1e-12 && (turn.busy - 0.5).abs() < 1e-12, "{turn:?}");
        assert_eq!(cycle(&[(single, 1000.0)]), None);
        // Two queues with start-up 4 ms and 1 ms a call: A = 10, U = 0.3.
        let batched = Visit::over(&(1..=64).map(|b| 4.0 + f64::from(b)).collect::<Vec<_>>());
        let turn = cycle(&[(batched, 200.0), (batched, 100.0)]).expect("in time");
        assert!((turn.length_ms - 10.0 / 0.7).abs() < 1e-9, "{turn:?}");
    }

    #[test]
    fn full_batches_cost_their_start_up_again() {
        let small = Visit::over(&[5.0, 6.0]);
        // 300 calls a second in batches of two take 0.9 of the time.
        let turn = cycle(&[(small, 300.0)]).expect("just in time");
        assert!((turn.length_ms - 5.0 / (1.0 - 0.9)).abs() < 1e-9, "{turn:?}");
        assert_eq!(cycle(&[(small, 334.0)]), None, "each call costs 3 ms then");
    }

    #[test]
    fn more_calls_never_shorten_a_turn() {
        let visit = Visit::over(&[2.0, 2.4, 2.9, 3.1]);
        let lengths: Vec<f64> =
            (1..40).filter_map(|tens| cycle(&[(visit, f64::from(tens) * 25.0)])).map(|turn| turn.length_ms).collect();
        assert!(lengths.len() > 20 && lengths.is_sorted(), "{lengths:?}");
    }
}
