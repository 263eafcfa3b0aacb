//! Late requests by windows of fixed length, and the worst of these: a good day may hide a bad minute.
//!
//! A window is judged by the share of late requests that it shows for sure. With one late request of two it shows little, with a
//! hundred of two thousand much, so windows of few requests are not condemned by chance.

use super::report::WorstWindow;
use super::tally::millis;
use crate::base::units::{Seconds, Share};
use crate::problem::Slo;
use crate::stats::sample::clopper_pearson_low;

/// Length of a window where the SLO names none: a minute.
const USUAL_NS: u64 = 60_000_000_000;
/// Most windows that are kept, 69 days of minutes; in a longer trial they are longer.
const MOST_WINDOWS: u64 = 100_000;
/// Probability that any window of a trial is called late by chance, were requests late independently with the allowed probability.
const CHANCE: f64 = 0.05;

/// What each window of a trial saw; requests count where they arrived.
#[derive(Debug)]
pub struct SloWindows {
    from: u64,
    length_ns: u64,
    /// Of all trials together.
    windows: Vec<Window>,
    /// Windows of single trials with their place, where there are several trials: what is bad in one is not made good by the others.
    of_trials: Vec<(usize, Window)>,
    /// The window of the latest request, and when it ends.
    latest: usize,
    latest_ends: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Window {
    arrived: u64,
    late: u64,
}

impl SloWindows {
    /// Returns the empty windows of a trial that counts from one time to another.
    pub fn new(slo: &Slo, from: u64, end: u64) -> Self {
        let asked = slo.window_s.map_or(USUAL_NS, Seconds::nanos).max(1);
        let times = (end - from).div_ceil(asked).div_ceil(MOST_WINDOWS).max(1);
        let length_ns = asked.saturating_mul(times);
        let count = (end - from).div_ceil(length_ns).max(1) as usize;
        let latest_ends = from.saturating_add(length_ns);
        Self { from, length_ns, windows: vec![Window::default(); count], of_trials: Vec::new(), latest: 0, latest_ends }
    }

    /// A request arrives, no earlier than the one before it and before the end. Those of the warm-up are not counted.
    #[inline]
    pub fn arrives(&mut self, at: u64) {
        if at < self.from {
            return;
        }
        if at >= self.latest_ends {
            self.latest = self.of(at);
            self.latest_ends = self.from.saturating_add((self.latest as u64 + 1).saturating_mul(self.length_ns));
        }
        self.windows[self.latest].arrived += 1;
    }

    /// The request that arrived then was not answered in time.
    pub fn is_late(&mut self, arrived: u64) {
        if arrived >= self.from {
            let window = self.of(arrived);
            self.windows[window].late += 1;
        }
    }

    fn of(&self, at: u64) -> usize {
        (((at - self.from) / self.length_ns) as usize).min(self.windows.len() - 1)
    }

    /// Adds what another trial of the same length saw.
    pub fn absorb(&mut self, other: &Self) {
        if self.of_trials.is_empty() {
            self.of_trials = self.seen().collect();
        }
        self.of_trials.extend(other.seen());
        for (own, other) in self.windows.iter_mut().zip(&other.windows) {
            own.arrived += other.arrived;
            own.late += other.late;
        }
    }

    /// Returns the windows in which requests arrived, with their places.
    fn seen(&self) -> impl Iterator<Item = (usize, Window)> {
        self.windows.iter().copied().enumerate().filter(|(_, window)| window.arrived > 0)
    }

    /// Returns the window, of one trial or of all together, with the largest share of late requests that is sure; of equal ones
    /// that with the larger share, then with more requests, then the first. `None` where no request arrived.
    pub fn worst(&self, slo: &Slo) -> Option<WorstWindow> {
        let all = || self.seen().chain(self.of_trials.iter().copied());
        let judged = all().count();
        let mut worst: Option<(usize, Window, [f64; 3])> = None;
        for (index, window) in all() {
            let share = window.late as f64 / window.arrived as f64;
            // What is sure is never more than what was seen.
            let most = [share, share, window.arrived as f64];
            if worst.is_none_or(|(.., worst)| most > worst) {
                // With many windows each must be surer (Bonferroni).
                let sure = clopper_pearson_low(window.late, window.arrived, CHANCE / judged as f64);
                let figures = [sure, share, window.arrived as f64];
                if worst.is_none_or(|(.., worst)| figures > worst) {
                    worst = Some((index, window, figures));
                }
            }
        }
        let (index, window, [sure, share, _]) = worst?;
        Some(WorstWindow {
            start_ms: millis(index as u64 * self.length_ns),
            length_ms: millis(self.length_ns),
            arrived: window.arrived,
            violations: window.late,
            violation_share: Share::saturating(share),
            violation_low: Share::saturating(sure),
            slo_met: sure <= 1.0 - slo.quantile.get() + 1e-12,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_WINDOWS, SloWindows};
    use crate::base::units::{Millis, Seconds, Share};
    use crate::problem::Slo;

    const SECOND: u64 = 1_000_000_000;

    fn slo(window_s: Option<f64>) -> Slo {
        Slo {
            quantile: Share::saturating(0.99),
            latency_ms: Millis::saturating(10.0),
            window_s: window_s.map(Seconds::saturating),
        }
    }

    /// Windows of a second, each with so many requests of which so many are late.
    fn seen(windows: &[(u64, u64)]) -> SloWindows {
        let mut seen = SloWindows::new(&slo(Some(1.0)), 0, windows.len() as u64 * SECOND);
        for (index, &(arrived, late)) in windows.iter().enumerate() {
            (0..arrived).for_each(|_| seen.arrives(index as u64 * SECOND));
            (0..late).for_each(|_| seen.is_late(index as u64 * SECOND));
        }
        seen
    }

    #[test]
    fn the_worst_window_is_the_one_that_is_surely_late_and_not_one_with_few_requests() {
        let slo = slo(Some(1.0));
        for (windows, worst, met) in [
            (&[(1000, 10), (1000, 60), (2, 1)][..], 1, false),
            (&[(1000, 10), (2, 1), (1000, 5)], 1, true),
            (&[(1000, 12), (1000, 14), (500, 0)], 1, true),
            (&[(10, 0), (0, 0), (20, 0)], 2, true),
            (&[(10, 0), (3, 3)], 1, false),
        ] {
            let found = seen(windows).worst(&slo).expect("requests arrived");
            assert_eq!((found.start_ms.get() as usize / 1000, found.slo_met), (worst, met), "{windows:?}: {found:?}");
            assert!(found.violation_low <= found.violation_share);
        }
        assert_eq!(seen(&[(0, 0), (0, 0)]).worst(&slo), None);
    }

    #[test]
    fn the_warm_up_does_not_count_and_trials_add_up() {
        let of_trial = || {
            let mut seen = SloWindows::new(&slo(None), 5 * SECOND, 200 * SECOND);
            for at in [0, 4, 5, 64, 65, 199] {
                seen.arrives(at * SECOND);
                seen.is_late(at * SECOND);
            }
            seen
        };
        let mut all = of_trial();
        all.absorb(&of_trial());
        let counts: Vec<_> = all.windows.iter().map(|window| (window.arrived, window.late)).collect();
        assert_eq!(counts, [(4, 4), (2, 2), (0, 0), (2, 2)]);
    }

    #[test]
    fn a_bad_minute_of_one_trial_is_not_made_good_by_the_others() {
        let slo = slo(Some(1.0));
        let good = || seen(&[(1000, 2), (1000, 2)]);
        let mut all = good();
        (0..8).for_each(|_| all.absorb(&good()));
        assert!(all.worst(&slo).expect("requests arrived").slo_met);
        all.absorb(&seen(&[(1000, 2), (1000, 50)]));
        let found = all.worst(&slo).expect("requests arrived");
        assert_eq!((found.slo_met, found.arrived, found.violations, found.start_ms.get()), (false, 1000, 50, 1000.0));
    }

    #[test]
    fn what_no_trial_shows_for_sure_all_of_them_may() {
        let slo = slo(Some(1.0));
        let trial = || seen(&[(100, 0), (100, 3)]);
        assert!(trial().worst(&slo).expect("requests arrived").slo_met);
        let mut all = trial();
        (0..19).for_each(|_| all.absorb(&trial()));
        let found = all.worst(&slo).expect("requests arrived");
        assert_eq!((found.slo_met, found.arrived), (false, 2000));
    }

    #[test]
    fn a_very_long_trial_has_longer_windows_and_bounded_memory() {
        for seconds in [1, 1_000_000_000, 18_000_000_000] {
            let windows = SloWindows::new(&slo(Some(1e-3)), 0, seconds * SECOND);
            assert!(windows.windows.len() as u64 <= MOST_WINDOWS, "{seconds}");
            assert!(windows.length_ns * windows.windows.len() as u64 >= seconds * SECOND);
        }
    }
}
