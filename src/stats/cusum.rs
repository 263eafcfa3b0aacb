//! A cumulative sum that notices when events become more frequent (Page 1954), with the limit that a stated number of trials
//! between false alarms takes.
//!
//! Each trial adds the logarithm of how much likelier it is once the odds of an event have changed by a factor k. Divided by ln k,
//! an event adds 1 − m and any other trial −m, and the sum never falls below 0 (Reynolds and Stoumbos 1999):
//!
//! ```text
//! m = ln(1 + (k − 1) p) ÷ ln k      between p and the part of events after the change
//! ```
//!
//! Where m is a fraction the sum is a Markov chain on its multiples, so the mean number of trials until an alarm is the solution
//! of linear equations: no approximation by normal steps, which is off by a factor of 50 where events are rare.

/// How far the fraction that m is rounded to may be off, in parts of its distance from p.
const ROUNDED: f64 = 0.1;
/// Trials with rarer events than this are taken together: then events come by chance in time, in whichever unit that is counted.
const RARE: f64 = 0.01;
/// Most corrections of the limit; each makes it better by the ratio of what was and what is to be.
const CORRECTIONS: usize = 20;

/// The sum's numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cusum {
    /// What every trial takes from the sum (m); an event adds 1.
    pub reference: f64,
    /// A sum beyond this is an alarm. It is halfway between values that the sum can have, so rounding does not matter.
    pub limit: f64,
}

impl Cusum {
    /// Returns the sum for events of a probability between 0 and 1, both excluded: it is the quickest to see odds that are `odds`
    /// times as high, of all with so many trials until a false alarm, on average.
    #[must_use]
    pub fn new(probability: f64, odds: f64, trials: f64) -> Self {
        let rare = probability.min(1.0 - probability);
        let together = (RARE / rare).max(1.0);
        let is_event_rare = probability <= 0.5;
        let part = if is_event_rare { rare * together } else { 1.0 - rare * together };
        let best = ((odds - 1.0) * part).ln_1p() / odds.ln();
        let chain = Chain::near(best, ROUNDED * (best - part));
        let step = odds.ln() / chain.unit();
        let (wanted, mut limit) = ((trials / together).ln(), 0_usize);
        for _ in 0..CORRECTIONS {
            // The number of trials grows by a factor with each step of the limit, once that is a few events away.
            let off = (wanted - chain.mean_trials(part, limit).ln()) / step;
            let next = (limit as f64 + off).round().max(0.0) as usize;
            if next == limit {
                break;
            }
            limit = next;
        }
        let taken = chain.down as f64 / chain.unit();
        let reference = if is_event_rare { taken / together } else { 1.0 - (1.0 - taken) / together };
        Self { reference, limit: (limit as f64 + 0.5) / chain.unit() }
    }
}

/// A sum in whole numbers: an event adds `up`, any other trial takes `down`.
#[derive(Debug, Clone, Copy)]
struct Chain {
    up: usize,
    down: usize,
}

impl Chain {
    /// Returns the chain of the smallest numbers whose m is at most so far from the given one.
    fn near(reference: f64, off: f64) -> Self {
        let of = |unit: usize| {
            let down = ((reference * unit as f64).round() as usize).clamp(1, unit - 1);
            Self { up: unit - down, down }
        };
        let mut chains = (2..).map(of);
        chains.find(|chain| (chain.down as f64 / chain.unit() - reference).abs() <= off).expect("fractions are dense")
    }

    /// Returns what 1 is in the chain's whole numbers.
    fn unit(self) -> f64 {
        (self.up + self.down) as f64
    }

    /// Returns the mean number of trials until a sum that begins at 0 is beyond a limit, for events of a probability.
    ///
    /// ```text
    /// E(s) = 1 + p E(s + up) + (1 − p) E(max(s − down, 0)),   E = 0 beyond the limit
    /// ```
    ///
    /// Eliminated upwards: every row is left with its mean in terms of those of higher sums. O(limit × up × down).
    fn mean_trials(self, probability: f64, limit: usize) -> f64 {
        let Self { up, down } = self;
        let mut rows: Vec<Row> = Vec::with_capacity(limit + 1);
        for sum in 0..=limit {
            // Weights of the sums from `sum − down` to `sum + up`; below 0 is 0.
            let lowest = sum.saturating_sub(down);
            let mut weights = vec![0.0; sum - lowest + up + 1];
            weights[0] = 1.0 - probability;
            if sum + up <= limit {
                weights[sum - lowest + up] += probability;
            }
            let mut constant = 1.0;
            for below in lowest..sum {
                let weight = weights[below - lowest];
                constant += weight * rows[below].constant;
                for (other, above) in weights[below - lowest + 1..].iter_mut().zip(&rows[below].weights) {
                    *other += weight * above;
                }
            }
            let leaves = 1.0 - weights[sum - lowest];
            let weights = weights[sum - lowest + 1..].iter().map(|weight| weight / leaves).collect();
            rows.push(Row { constant: constant / leaves, weights });
        }
        let mut means = vec![0.0; limit + 1 + up];
        for (sum, row) in rows.iter().enumerate().rev() {
            let above: f64 = row.weights.iter().zip(&means[sum + 1..]).map(|(weight, mean)| weight * mean).sum();
            means[sum] = row.constant + above;
        }
        means[0]
    }
}

/// The mean number of trials from one sum, as a constant and weights of those of the next higher sums.
struct Row {
    constant: f64,
    weights: Vec<f64>,
}

#[cfg(test)]
mod tests {
    use super::{Chain, Cusum};
    use crate::stats::Dice;

    /// A way to the mean without equations: by the chances of every sum, trial by trial.
    fn by_steps(chain: Chain, probability: f64, limit: usize) -> f64 {
        let mut chances = vec![0.0; limit + 1];
        chances[0] = 1.0;
        let mut mean = 0.0;
        loop {
            let still: f64 = chances.iter().sum();
            if still < 1e-12 {
                return mean;
            }
            mean += still;
            let mut next = vec![0.0; limit + 1];
            for (sum, chance) in chances.iter().enumerate() {
                next[sum.saturating_sub(chain.down)] += chance * (1.0 - probability);
                if sum + chain.up <= limit {
                    next[sum + chain.up] += chance * probability;
                }
            }
            chances = next;
        }
    }

    #[test]
    fn the_mean_number_of_trials_is_that_of_following_every_sum() {
        for (up, down, probability, limit) in
            [(1, 1, 0.5, 0), (1, 1, 0.5, 6), (4, 1, 0.15, 17), (5, 6, 0.5, 30), (1, 9, 0.9, 12), (9, 1, 0.05, 4)]
        {
            let chain = Chain { up, down };
            let (exact, followed) = (chain.mean_trials(probability, limit), by_steps(chain, probability, limit));
            assert!((exact / followed - 1.0).abs() < 1e-9, "{up} {down} {limit}: {exact} {followed}");
        }
        // Without a way back up to the limit the first of two events in a row is enough: 1 ÷ p + 1 ÷ p².
        assert!((Chain { up: 1, down: 1 }.mean_trials(0.5, 1) - 6.0).abs() < 1e-12);
    }

    #[test]
    fn false_alarms_are_as_rare_as_stated_however_rare_events_are() {
        for probability in [0.000_3, 0.005, 0.02, 0.2, 0.5, 0.8, 0.98, 0.999] {
            let trials = 2e4_f64.max(30.0 / f64::min(probability, 1.0 - probability));
            let Cusum { reference, limit } = Cusum::new(probability, 1.5, trials);
            assert!(reference > probability && reference < 1.0, "{probability}: {reference}");
            let (mut dice, mut sum, mut alarms) = (Dice::new(31, 0), 0.0_f64, 0);
            let seen = 100.0 * trials;
            for _ in 0..seen as u64 {
                sum = (sum + f64::from(u8::from(dice.unit() < probability)) - reference).max(0.0);
                if sum > limit {
                    alarms += 1;
                    sum = 0.0;
                }
            }
            let between = seen / f64::from(alarms);
            assert!((0.7..1.4).contains(&(between / trials)), "{probability}: {between} of {trials}");
        }
    }
}
