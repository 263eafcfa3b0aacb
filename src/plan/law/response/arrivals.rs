//! Requests that come at random, each with several calls at once.

/// A Poisson stream of requests.
#[derive(Debug, Clone, Copy)]
pub struct Arrivals {
    /// Requests a millisecond.
    pub rate: f64,
    /// The two numbers of calls that a request may make, with their probabilities.
    pub numbers: [(usize, f64); 2],
}

/// Where the rest of a law of counts no longer matters.
const REST: f64 = 1e-9;
/// Where a sum of terms is scaled down.
const LARGE: f64 = 1e200;

impl Arrivals {
    /// Returns the numbers of calls that occur.
    pub fn numbers(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.numbers.iter().copied().filter(|number| number.1 > 0.0)
    }

    /// Returns the mean number of calls of a request.
    pub fn mean(&self) -> f64 {
        self.numbers().map(|(calls, p)| calls as f64 * p).sum()
    }

    /// Returns the most batches that a request's calls may fill.
    pub fn most_batches(&self, batch: usize) -> usize {
        self.numbers().map(|(calls, _)| calls.div_ceil(batch)).max().unwrap_or(1)
    }

    /// Returns the probabilities of 0, 1, … calls within a time, at most so many (Panjer's recursion).
    ///
    /// The first of them is e^−mean, too small a number for a long time: terms are kept as multiples of a scale that grows with
    /// them.
    pub fn counts(&self, ms: f64, most: usize) -> Vec<f64> {
        let mean = self.rate * ms;
        let mut log_scale = -mean;
        let mut counts = vec![1.0];
        let mut sum = 1.0;
        for count in 1..=most {
            let earlier = self.numbers().filter(|number| number.0 <= count);
            let p: f64 = earlier.map(|(calls, p)| calls as f64 * p * counts[count - calls]).sum();
            counts.push(p * mean / count as f64);
            sum += counts[count];
            if sum > LARGE {
                counts.iter_mut().for_each(|p| *p /= LARGE);
                sum /= LARGE;
                log_scale += LARGE.ln();
            }
            if 1.0 - sum * log_scale.exp() < REST {
                break;
            }
        }
        counts.iter_mut().for_each(|p| *p *= log_scale.exp());
        counts
    }

    /// Returns about how long ago the oldest of the last so many calls came, those of one request having come together.
    pub fn age_ms(&self, calls: usize) -> f64 {
        let mean = self.mean();
        (calls as f64 / mean - 1.0 + 1.0 / mean).max(0.0) / self.rate
    }

    /// Returns the probability that the request after so many others comes within a time (Erlang's law).
    pub fn comes_within(&self, others: usize, ms: f64) -> f64 {
        let mean = self.rate * ms;
        let mut p = (-mean).exp();
        let mut fewer = 0.0;
        for count in 0..=others {
            fewer += p;
            p *= mean / (count + 1) as f64;
        }
        (1.0 - fewer).max(0.0)
    }
}
