//! A recorded load: how often each rate is asked for, how much counts scatter, and how rates follow each other.

use std::collections::BTreeMap;
use std::path::Path;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Poisson};

use crate::base::codec::{Loaded, sha256};
use crate::base::error::Error;
use crate::base::files::read;
use crate::base::finding::{Code, Finding, Findings, Severity};
use crate::workload::{Arrivals, Timestamps, Trace};

/// Rates that stand for all where none was recorded.
const STEPS: u32 = 200;

/// Rates that follow each other, each of which holds for the same time.
///
/// A trace of arrival times becomes the requests of each second. What is read here is what the simulator plays: inside a
/// step of a trace of rates, arrivals are Poisson.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedLoad {
    rates: Vec<f64>,
    step_s: f64,
    /// Part of the Poisson scatter that comes on top of the rates: 1, or 0 where they are counts of arrivals themselves.
    scatter: f64,
}

impl RecordedLoad {
    /// Returns a recorded load of rates in requests per second, each of which holds for `step_s` seconds.
    #[must_use]
    pub fn of_rates(rates: Vec<f64>, step_s: f64) -> Self {
        Self { rates, step_s, scatter: 1.0 }
    }

    /// Returns the load that is assumed where none was recorded: every rate up to the highest holds for an equal part of the
    /// time.
    #[must_use]
    pub fn every_rate_alike(max_rps: f64) -> Self {
        let rate = |step: u32| max_rps * f64::from(step) / f64::from(STEPS);
        Self::of_rates((1..=STEPS).map(rate).collect(), 1.0)
    }

    /// Returns pieces of the load about that long, whole steps around middles that are evenly spread, one after the other; all of it
    /// where that is no more.
    #[must_use]
    pub fn in_pieces(&self, count: usize, piece_s: f64) -> Self {
        let (all, steps) = (self.rates.len(), (piece_s / self.step_s).round().max(1.0) as usize);
        if count * steps >= all {
            return self.clone();
        }
        let piece = |index: usize| {
            let middle = (2 * index + 1) * all / (2 * count);
            let from = middle.saturating_sub(steps / 2).min(all - steps);
            &self.rates[from..from + steps]
        };
        Self { rates: (0..count).flat_map(piece).copied().collect(), ..*self }
    }

    /// Returns the recorded load that these arrivals play; `None` where they are a law in figures.
    #[must_use]
    pub fn of_arrivals(arrivals: &Arrivals) -> Option<Self> {
        match arrivals {
            Arrivals::Trace(Trace { rates, step, scale, time_scale, .. }) => {
                let rates = rates.iter().map(|rate| rate * scale).collect();
                Some(Self::of_rates(rates, step.as_secs_f64() * time_scale))
            }
            Arrivals::Timestamps(Timestamps { times_ns, scale, time_scale, .. }) => {
                let second = |time: &u64| (*time as f64 * time_scale / 1e9) as usize;
                let mut rates = vec![0.0; times_ns.last().map_or(0, |last| second(last) + 1)];
                times_ns.iter().for_each(|time| rates[second(time)] += scale);
                Some(Self { rates, step_s: 1.0, scatter: 0.0 })
            }
            _ => None,
        }
    }

    /// Reads a trace and multiplies its rates by `scale`; warns where it asks for more than `max_rps`.
    ///
    /// # Errors
    /// [`Error::Input`] where the file cannot be read, or nobody asks for anything in it.
    pub fn read(path: &Path, scale: f64, max_rps: f64) -> Result<Loaded<Self>, Error> {
        let bytes = read(path)?;
        let recorded = Self::of_arrivals(&Arrivals::of_file(path)?.scaled(scale, 1.0));
        let document = recorded.filter(|recorded| recorded.peak_rps() > 0.0).ok_or_else(|| {
            let finding = Finding::error(Code::Empty, "", "nobody asks for anything", "a trace with a rate above 0");
            Findings::from(finding).in_file(path)
        })?;
        let findings = document.is_within(max_rps).in_file(path);
        Ok(Loaded { document, findings, path: path.to_owned(), sha256: sha256(&bytes) })
    }

    /// Warns where the load goes beyond what is planned for.
    fn is_within(&self, max_rps: f64) -> Findings {
        let peak = self.peak_rps();
        if peak <= max_rps {
            return Findings::default();
        }
        let cause = format!("the trace asks for up to {peak:.1} requests/s, the plan is for {max_rps}");
        let action = "raise `workload.max_rps`, or lower `workload.trace_scale`";
        let finding = Finding::error(Code::OutOfRange, "workload.trace", cause, action);
        Findings::from(finding.with_severity(Severity::Warning))
    }

    /// Returns the rates in requests per second, in order; each holds for [`Self::step_s`].
    #[must_use]
    pub fn rates(&self) -> &[f64] {
        &self.rates
    }

    /// Returns the time that a rate holds, in seconds.
    #[must_use]
    pub const fn step_s(&self) -> f64 {
        self.step_s
    }

    /// Returns the rate of every whole second.
    pub fn per_second(&self) -> impl Iterator<Item = f64> {
        let seconds = self.length_s().floor() as usize;
        (0..seconds).map(|second| self.rate_at(second as f64))
    }

    /// Returns the rate at a time in seconds; that of the last step after the end.
    ///
    /// # Panics
    /// Where the load has no step; loads that were read have.
    #[must_use]
    pub fn rate_at(&self, seconds: f64) -> f64 {
        // A whole number of steps may come out a little below it.
        let step = (seconds / self.step_s + 1e-9) as usize;
        self.rates[step.min(self.rates.len() - 1)]
    }

    /// Returns the length of the recording in seconds.
    #[must_use]
    pub fn length_s(&self) -> f64 {
        self.rates.len() as f64 * self.step_s
    }

    /// Returns the highest rate.
    #[must_use]
    pub fn peak_rps(&self) -> f64 {
        self.rates.iter().copied().fold(0.0, f64::max)
    }

    /// Returns the mean rate over time.
    #[must_use]
    pub fn mean_rps(&self) -> f64 {
        self.rates.iter().sum::<f64>() / self.rates.len() as f64
    }

    /// Returns every rate above 0 with the part of the requests that came while it held, the lowest first.
    #[must_use]
    pub fn histogram(&self) -> Vec<(f64, f64)> {
        let all: f64 = self.rates.iter().sum();
        // Rates are not negative, so their bits sort as they do.
        let mut times: BTreeMap<u64, u32> = BTreeMap::new();
        for rate in self.rates.iter().filter(|rate| **rate > 0.0) {
            *times.entry(rate.to_bits()).or_default() += 1;
        }
        let part = |(bits, times): (u64, u32)| {
            let rate = f64::from_bits(bits);
            (rate, rate * f64::from(times) / all)
        };
        times.into_iter().map(part).collect()
    }

    /// Returns the part of the requests in each range of rates, given the highest rate of each; rates beyond the last range
    /// count in it.
    #[must_use]
    pub fn requests_in(&self, highest: &[f64]) -> Vec<f64> {
        let mut parts = vec![0.0; highest.len()];
        for (rate, part) in self.histogram() {
            if let Some(sum) = parts.get_mut(range_of(highest, rate)) {
                *sum += part;
            }
        }
        parts
    }

    /// Counts how often a rate of one range (row) is followed by one of another (column), from step to step; ranges are
    /// given by the highest rate of each, and rates beyond the last range count in it.
    #[must_use]
    pub fn transitions(&self, highest: &[f64]) -> Vec<Vec<u64>> {
        let mut counts = vec![vec![0; highest.len()]; highest.len()];
        for pair in self.rates.windows(2) {
            if !highest.is_empty() {
                counts[range_of(highest, pair[0])][range_of(highest, pair[1])] += 1;
            }
        }
        counts
    }

    /// Returns the mean rate in each window of a length, as the simulator would see it on average.
    #[must_use]
    pub fn windows(&self, window_s: f64) -> Vec<f64> {
        let count = (self.length_s() / window_s + 1e-9).floor().max(1.0) as usize;
        let mut sums = Vec::with_capacity(self.rates.len() + 1);
        sums.push(0.0);
        for rate in &self.rates {
            sums.push(sums[sums.len() - 1] + rate * self.step_s);
        }
        let until = |seconds: f64| {
            let steps = (seconds / self.step_s).min(self.rates.len() as f64);
            let whole = steps as usize;
            sums[whole] + self.rates.get(whole).map_or(0.0, |rate| rate * self.step_s * (steps - whole as f64))
        };
        let length = window_s.min(self.length_s());
        (0..count).map(|k| (until((k + 1) as f64 * length) - until(k as f64 * length)) / length).collect()
    }

    /// Returns the index of dispersion of the requests in windows of a length: variance ÷ mean, 1 for Poisson.
    ///
    /// The variance is half the mean square of the difference of neighbouring windows (Allan's), so that a slow rise and
    /// fall does not count: that is what gears follow. Poisson scatter inside a step of rates is added.
    #[must_use]
    pub fn dispersion(&self, window_s: f64) -> f64 {
        self.dispersion_ahead(window_s, 1)
    }

    /// As [`Self::dispersion`], where a window is compared with the one so many later.
    #[must_use]
    pub fn dispersion_ahead(&self, window_s: f64, windows: usize) -> f64 {
        let counts: Vec<f64> = self.windows(window_s).iter().map(|rate| rate * window_s).collect();
        let mean = counts.iter().sum::<f64>() / counts.len() as f64;
        let later = counts.get(windows..).unwrap_or_default();
        let squares: f64 = counts.iter().zip(later).map(|(now, later)| (later - now).powi(2)).sum();
        let seen = if mean > 0.0 { squares / (2.0 * later.len().max(1) as f64 * mean) } else { 0.0 };
        seen + self.scatter
    }

    /// Returns the mean of `1 ÷ √rate` over requests: by how much, with an index of dispersion, the rate is uncertain that
    /// was measured when a request came.
    #[must_use]
    pub fn mean_root_gap(&self) -> f64 {
        self.histogram().iter().map(|(rate, part)| part / rate.sqrt()).sum()
    }

    /// Returns the rate of each window of a length as it may come out: with Poisson scatter where the load is one of rates.
    #[must_use]
    pub fn play(&self, window_s: f64, seed: u64) -> Vec<f64> {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let mut drawn = |rate: f64| {
            let law = Poisson::new(rate * window_s).ok().filter(|_| self.scatter > 0.0);
            law.map_or(rate, |law| law.sample(&mut dice) / window_s)
        };
        self.windows(window_s).into_iter().map(&mut drawn).collect()
    }
}

fn range_of(highest: &[f64], rate: f64) -> usize {
    highest.partition_point(|&end| end < rate).min(highest.len().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, Poisson};

    use super::RecordedLoad;
    use crate::workload::{Arrivals, Timestamps, Trace};

    #[test]
    fn requests_weigh_rates_and_not_time() {
        let load = RecordedLoad::of_rates(vec![10.0, 30.0, 0.0, 10.0, 50.0], 2.0);
        assert_eq!(load.histogram(), [(10.0, 0.2), (30.0, 0.3), (50.0, 0.5)]);
        assert_eq!(load.requests_in(&[10.0, 40.0]), [0.2, 0.8]);
        assert_eq!(load.transitions(&[10.0, 40.0, 60.0]), [[1, 1, 1], [1, 0, 0], [0, 0, 0]]);
        assert_eq!((load.peak_rps(), load.mean_rps(), load.length_s()), (50.0, 20.0, 10.0));
        assert_eq!(load.per_second().take(4).collect::<Vec<_>>(), [10.0, 10.0, 30.0, 30.0]);
        assert_eq!(load.windows(5.0), [16.0, 24.0]);
    }

    #[test]
    fn traces_are_scaled_and_arrival_times_counted() {
        let trace = Trace { scale: 3.0, ..Trace::new("t", vec![1.0, 2.0]) };
        let load = RecordedLoad::of_arrivals(&Arrivals::Trace(trace)).expect("a recording");
        assert_eq!(load.rates(), [3.0, 6.0]);
        let times = Timestamps::new("t", vec![0, 1, 1_500_000_000, 2_999_999_999]);
        let load = RecordedLoad::of_arrivals(&Arrivals::Timestamps(times)).expect("a recording");
        assert_eq!(load.rates(), [2.0, 1.0, 1.0]);
        assert_eq!(RecordedLoad::of_arrivals(&Arrivals::Poisson { rate_rps: 1.0 }), None);
    }

    #[test]
    fn dispersion_tells_poisson_from_bursts_and_forgets_slow_change() {
        let mut dice = ChaCha8Rng::seed_from_u64(42);
        // A day's rise and fall of the rate, counted second by second.
        let rate = |k: i32| 200.0 + 150.0 * (f64::from(k) / 3000.0).sin();
        let mut count = |k| Poisson::new(rate(k)).expect("above 0").sample(&mut dice);
        let counts: Vec<f64> = (0..20_000).map(&mut count).collect();
        let load = RecordedLoad { scatter: 0.0, ..RecordedLoad::of_rates(counts, 1.0) };
        for window_s in [1.0, 4.0] {
            let index = load.dispersion(window_s);
            // Four standard errors of such an index of Poisson counts: √(3 ÷ windows) each.
            let error = (3.0 * window_s / 20_000.0).sqrt();
            assert!((index - 1.0).abs() < 4.0 * error, "windows of {window_s} s: {index}");
        }
        // Rates that are known need only their own scatter.
        assert!((RecordedLoad::of_rates(vec![50.0; 100], 1.0).dispersion(2.0) - 1.0).abs() < 1e-12);
        // Alternating 100 and 300 in a second: half of 200² over a mean of 200, and Poisson on top.
        let bursts = (0..1000).map(|k| if k % 2 == 0 { 100.0 } else { 300.0 }).collect();
        assert!((RecordedLoad::of_rates(bursts, 1.0).dispersion(1.0) - 101.0).abs() < 1e-9);
    }
}
