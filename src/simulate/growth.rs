//! Whether a queue grows for as long as a trial lasts: then its calls come faster than they are served, and the longer the trial,
//! the longer they wait.

/// Standard errors by which a queue must grow from window to window: chance does that in one of a thousand trials.
const SURE: f64 = 3.0;

/// What the second halves of trials saw of a queue, at the end of each window.
#[derive(Debug, Default, Clone, Copy)]
pub struct Growth {
    trials: u32,
    /// Trials in which calls waited at every such end.
    never_empty: u32,
    steps: f64,
    sum: f64,
    squares: f64,
}

impl Growth {
    /// Returns what one trial saw: the calls that waited at the end of each of its windows.
    pub fn of(waiting: &[u32]) -> Self {
        let half = &waiting[waiting.len() / 2..];
        let mut growth = Self { trials: 1, never_empty: u32::from(!half.contains(&0)), ..Self::default() };
        for pair in half.windows(2) {
            let step = f64::from(pair[1]) - f64::from(pair[0]);
            growth.steps += 1.0;
            growth.sum += step;
            growth.squares += step * step;
        }
        growth
    }

    /// Adds what another trial saw.
    pub fn absorb(&mut self, other: Self) {
        self.trials += other.trials;
        self.never_empty += other.never_empty;
        self.steps += other.steps;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    /// Tells whether the queue grows without end: it was never empty in most of the trials, and grew by more than its own ups and
    /// downs explain. Those of a queue that comes to rest take each other back, so that it grows by less than steps by chance.
    pub fn is_endless(&self) -> bool {
        let variance = (self.squares - self.sum * self.sum / self.steps.max(1.0)) / (self.steps - 1.0).max(1.0);
        2 * self.never_empty > self.trials && self.sum > SURE * (self.steps * variance.max(0.0)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::Growth;

    /// A queue of one server at the ends of 60 windows, 40 calls coming in each on average.
    fn trial(utilisation: f64, rng: &mut ChaCha8Rng) -> Growth {
        let (mut waiting, mut ends) = (0_u32, Vec::new());
        for _ in 0..60 {
            for _ in 0..1000 {
                waiting += u32::from(rng.random_bool(0.04));
                waiting -= u32::from(waiting > 0 && rng.random_bool(0.04 / utilisation));
            }
            ends.push(waiting);
        }
        Growth::of(&ends)
    }

    fn endless(utilisation: f64, trials: u32) -> usize {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let of_trials = |_| {
            let mut growth = trial(utilisation, &mut rng);
            (1..trials).for_each(|_| growth.absorb(trial(utilisation, &mut rng)));
            growth.is_endless()
        };
        (0..40).map(of_trials).filter(|endless| *endless).count()
    }

    #[test]
    fn only_a_queue_that_gets_more_than_it_can_serve_grows_without_end() {
        for (utilisation, trials) in [(0.5, 1), (0.9, 1), (0.97, 5)] {
            assert_eq!(endless(utilisation, trials), 0, "{utilisation}");
        }
        for (utilisation, trials) in [(1.3, 1), (1.15, 5), (2.4, 1)] {
            assert!(endless(utilisation, trials) >= 38, "{utilisation}: {}", endless(utilisation, trials));
        }
    }

    #[test]
    fn a_queue_that_nobody_joined_is_at_rest() {
        for waiting in [&[][..], &[0], &[0, 0, 0], &[3, 3, 3, 3]] {
            assert!(!Growth::of(waiting).is_endless(), "{waiting:?}");
        }
    }
}
