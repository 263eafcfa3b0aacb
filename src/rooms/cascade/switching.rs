//! When to change gear where a change costs nothing: every model is loaded already, so that gears may follow the load closely.
//!
//! What to fear is the time until a rise is noticed, and requests that pile up meanwhile; what to gain is that accurate gears
//! serve until just below their highest rate. So the rule is tried on the recorded load before it is written down: windows from
//! 100 ms on, changes up and down at several parts of the borders, several dwells. Each is *played*, the rate as it was, what is
//! measured of it with its Poisson scatter, and what comes beyond the highest rate q of a gear as a fluid that piles up:
//!
//! ```text
//! B ← (B + (λ − q_g) Δ)⁺     late: all requests while B ÷ q_g > SLO ÷ 4
//! ```
//!
//! That is on the safe side: devices are not yet always busy at q. A window that is longer than the steps of the recording has
//! them all: its mean would hide the seconds that a gear cannot serve. Which gears are safe depends on how long a jump stays
//! undetected ([`super::survival`]), so each window is played with the gears that survive it. Of the rules that are late in at
//! most half of the cases that the objective allows, that with the highest accuracy over requests is taken. Simulation has
//! the last word.

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::survival::survivors;
use crate::facts::RecordedLoad;
use crate::plan::Switch;
use crate::problem::{Problem, Slo};
use crate::rooms::switch::SEED;
use crate::units::{Millis, Share};

/// Windows that are looked at, in seconds.
const WINDOWS_S: [f64; 9] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0];
/// Changes up, in parts of a gear's highest rate.
const UPS: [f64; 9] = [1.0, 0.97, 0.94, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5];
/// How far below them changes down are.
const BANDS: [f64; 3] = [0.02, 0.06, 0.15];
/// Dwells, in windows; the longer ones only where changes are limited.
const DWELLS: [f64; 8] = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0];
/// Dwells that are looked at where nobody limits the changes.
const FREE_DWELLS: usize = 3;
/// Most steps of a recorded load that are played; a longer one is played in pieces that are spread over it evenly.
const MOST_STEPS: usize = 20_000;
/// Length of such a piece, in steps.
const PIECE: usize = 1_000;
/// Part of the violations that the objective allows which changes of gear may cause.
const LATE: f64 = 0.5;
/// Part of the SLO's time that what piles up may cost before requests count as late.
const SLACK: f64 = 0.25;
/// Accuracy that is not worth more changes.
const ALIKE: f64 = 2e-5;
/// Requests that a window should see where nothing was recorded: their number is then known to about a tenth.
const REQUESTS_TO_TELL_A_RATE: f64 = 100.0;
/// The shortest window, in milliseconds.
const SHORTEST_WINDOW_MS: f64 = 100.0;
/// The longest window, in milliseconds.
const LONGEST_WINDOW_MS: f64 = 30e3;
/// Part of the requests that come within the SLO's time at a gear's highest rate which may be under way: at that rate about half
/// of them are, and when all are, the mean response takes as long as the SLO.
const UNDER_WAY: f64 = 0.75;

/// A gear as the rule sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Runner {
    /// The highest rate that it carries in time (q), in requests a second.
    pub up_to_rps: f64,
    /// The rate at which its devices are always busy (μ), in requests a second.
    pub keeps_up_rps: f64,
    /// Its response time at its highest rate, in milliseconds.
    pub latency_ms: f64,
    /// Part of requests that it answers rightly.
    pub accuracy: f64,
}

/// What is decided together: the gears that stay, and when to change among them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decided {
    /// Gears that stay, in order.
    pub kept: Vec<usize>,
    /// When they change.
    pub rule: Switch,
    /// Part of the requests that each gear answered as the rule was played; absent where there was nothing to play on.
    pub answered: Option<Vec<f64>>,
}

/// Returns the requests under way beyond which the gear after one that carries a rate is called.
pub(super) fn under_way_at_most(up_to_rps: f64, slo: &Slo) -> u32 {
    let within = up_to_rps * slo.latency_ms.get() / 1e3;
    // Few requests scatter much.
    (UNDER_WAY * within + 2.0 * within.sqrt() + 1.0).ceil() as u32
}

/// What playing a rule gave.
#[derive(Debug, Clone, PartialEq)]
struct Played {
    /// Accuracy over requests.
    accuracy: f64,
    /// Part of the requests that were late because of changes.
    late: f64,
    changes_per_hour: f64,
    /// Part of the requests that each gear answered.
    answered: Vec<f64>,
}

/// What a rule has to keep.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits<'a> {
    pub slo: &'a Slo,
    pub changes_per_hour_at_most: Option<f64>,
}

impl<'a> Limits<'a> {
    /// Returns those of a problem.
    pub(super) fn of(problem: &'a Problem) -> Self {
        Self { slo: &problem.slo, changes_per_hour_at_most: problem.goal.changes_per_hour_at_most.map(f64::from) }
    }
}

/// Returns the rule for gears in ascending order of rate, and which of them stay: those that survive the jumps of the recorded
/// load, or all where those are not `enough`.
pub(super) fn decided(
    runners: &[Runner],
    limits: Limits<'_>,
    recorded: Option<&RecordedLoad>,
    enough: impl Fn(&[usize]) -> bool,
) -> Decided {
    let all: Vec<usize> = (0..runners.len()).collect();
    let Some(load) = recorded.filter(|_| runners.len() > 1) else {
        let rule = usual(runners.first().map_or(f64::INFINITY, |runner| runner.up_to_rps));
        return Decided { kept: all, rule, answered: None };
    };
    let slo_ms = limits.slo.latency_ms.get();
    let fits = |window_s: &f64| window_s * 4.0 <= load.length_s();
    let of_window = |window_s: f64| {
        let kept = survivors(runners, load, window_s, slo_ms);
        let kept = if enough(&kept) { kept } else { all.clone() };
        let staying: Vec<Runner> = kept.iter().map(|&gear| runners[gear]).collect();
        best_of(&staying, limits, load, window_s).map(|(played, rule)| (played, rule, kept))
    };
    let played: Vec<_> = WINDOWS_S.into_iter().filter(fits).filter_map(of_window).collect();
    let best = best(played.into_iter(), limits, |(played, ..)| played);
    best.map_or_else(
        || Decided { kept: all.clone(), rule: usual(runners[0].up_to_rps), answered: None },
        |(played, rule, kept)| Decided { kept, rule, answered: Some(played.answered) },
    )
}

/// Returns the best rule with windows of a length.
fn best_of(runners: &[Runner], limits: Limits<'_>, load: &RecordedLoad, window_s: f64) -> Option<(Played, Switch)> {
    let rates = Rates::new(load, window_s);
    let dwells = if limits.changes_per_hour_at_most.is_some() { &DWELLS[..] } else { &DWELLS[..FREE_DWELLS] };
    let all = UPS.iter().flat_map(|&up| BANDS.iter().map(move |&band| (up, band)));
    let rules: Vec<Switch> =
        all.flat_map(|(up, band)| dwells.iter().map(move |&dwell| candidate(window_s, up, up - band, dwell))).collect();
    let played: Vec<_> = rules.par_iter().map(|rule| (rates.play(runners, rule, limits.slo), *rule)).collect();
    best(played.into_iter(), limits, |(played, _)| played)
}

/// Returns the best of what was played.
fn best<T>(of: impl Iterator<Item = T>, limits: Limits<'_>, played: impl Fn(&T) -> &Played) -> Option<T> {
    let most = limits.changes_per_hour_at_most.unwrap_or(f64::INFINITY);
    let late_at_most = LATE * (1.0 - limits.slo.quantile.get());
    let beyond = |played: &Played| ((played.late - late_at_most).max(0.0), (played.changes_per_hour - most).max(0.0));
    let is_better = |one: &Played, other: &Played| {
        if beyond(one) != beyond(other) {
            return beyond(one) < beyond(other);
        }
        if (one.accuracy - other.accuracy).abs() > ALIKE {
            return one.accuracy > other.accuracy;
        }
        one.changes_per_hour < other.changes_per_hour
    };
    of.reduce(|best, next| if is_better(played(&next), played(&best)) { next } else { best })
}

/// Returns windows that see enough requests at the lowest gear's highest rate, and three windows of a low rate before a change
/// down.
fn usual(lowest: f64) -> Switch {
    let window_ms = (1e3 * REQUESTS_TO_TELL_A_RATE / lowest).clamp(SHORTEST_WINDOW_MS, LONGEST_WINDOW_MS);
    Switch {
        window_ms: Millis::saturating(window_ms),
        dwell_ms: Millis::saturating(3.0 * window_ms),
        ..Switch::default()
    }
}

fn candidate(window_s: f64, up: f64, down: f64, dwell: f64) -> Switch {
    Switch {
        window_ms: Millis::saturating(1e3 * window_s),
        up: Share::saturating(up),
        down: Share::saturating(down),
        dwell_ms: Millis::saturating(1e3 * window_s * dwell),
        ..Switch::default()
    }
}

/// A recorded load in windows: the rates as they were, step by step, and that of the window as it may have been measured.
struct Rates {
    window_s: f64,
    step_s: f64,
    seen: Vec<(Vec<f64>, f64)>,
}

impl Rates {
    fn new(load: &RecordedLoad, window_s: f64) -> Self {
        let steps = (window_s / load.step_s()).ceil().max(1.0) as usize;
        let step_s = window_s / steps as f64;
        let rates = load.windows(step_s);
        let all: Vec<(Vec<f64>, f64)> =
            rates.chunks_exact(steps).map(<[f64]>::to_vec).zip(load.play(window_s, SEED)).collect();
        let most = (MOST_STEPS / steps).max(1);
        if all.len() <= most {
            return Self { window_s, step_s, seen: all };
        }
        let pieces: Vec<&[(Vec<f64>, f64)]> = all.chunks((PIECE / steps).max(1)).collect();
        let kept = (MOST_STEPS / PIECE).min(pieces.len());
        let seen = (0..kept).flat_map(|piece| pieces[piece * pieces.len() / kept]).cloned().collect();
        Self { window_s, step_s, seen }
    }

    /// Plays a rule as [`crate::simulate`] does, with requests as a fluid.
    fn play(&self, runners: &[Runner], rule: &Switch, slo: &Slo) -> Played {
        let (up, down) = (rule.up.get(), rule.down.get());
        let dwell = (rule.dwell_ms.get() / rule.window_ms.get()).ceil().max(1.0) as u32;
        let carrying = |rate: f64| runners.partition_point(|gear| gear.up_to_rps < rate).min(runners.len() - 1);
        let first = carrying(self.seen.first().map_or(0.0, |(_, measured)| measured / up));
        let mut fluid = Fluid::new(runners, slo, first);
        let (mut low, mut changes) = (0_u32, 0_u32);
        for (rates, measured) in &self.seen {
            for &rate in rates {
                let called = fluid.step(rate, self.step_s);
                changes += called;
                low = if called > 0 { 0 } else { low };
            }
            let gear = fluid.gear;
            low = if gear > 0 && *measured < down * runners[gear - 1].up_to_rps { low + 1 } else { 0 };
            let next = if *measured > up * runners[gear].up_to_rps {
                carrying(measured / up).max(gear)
            } else if low >= dwell && fluid.backlog <= fluid.limits[gear - 1] {
                gear - 1
            } else {
                gear
            };
            if next != gear {
                (fluid.gear, low, changes) = (next, 0, changes + 1);
            }
        }
        let hours = self.seen.len() as f64 * self.window_s / 3600.0;
        fluid.played(f64::from(changes) / hours)
    }
}

/// Requests as a fluid, served by one gear after another.
struct Fluid<'a> {
    runners: &'a [Runner],
    slo_s: f64,
    /// Requests under way beyond which a gear calls the next.
    limits: Vec<f64>,
    gear: usize,
    backlog: f64,
    /// Requests that came while each gear served.
    answered: Vec<f64>,
    late: f64,
}

impl<'a> Fluid<'a> {
    fn new(runners: &'a [Runner], slo: &Slo, gear: usize) -> Self {
        let limits = runners.iter().map(|gear| f64::from(under_way_at_most(gear.up_to_rps, slo))).collect();
        let slo_s = slo.latency_ms.get() / 1e3;
        Self { runners, slo_s, limits, gear, backlog: 0.0, answered: vec![0.0; runners.len()], late: 0.0 }
    }

    /// Serves a rate for a time, in the middle of which a backlog may call the next gear; returns how often it did.
    fn step(&mut self, rate: f64, step_s: f64) -> u32 {
        let (mut left_s, mut calls) = (step_s, 0);
        while left_s > 0.0 {
            let Runner { up_to_rps, .. } = self.runners[self.gear];
            let grows = rate - up_to_rps;
            // What is under way beside the backlog is what the rate brings in half the SLO's time.
            let room = self.limits[self.gear] - 0.5 * rate * self.slo_s - self.backlog;
            let until_called_s = if self.gear + 1 == self.runners.len() {
                f64::INFINITY
            } else if room <= 0.0 {
                0.0
            } else if grows > 0.0 {
                room / grows
            } else {
                f64::INFINITY
            };
            let here_s = left_s.min(until_called_s);
            self.backlog = (self.backlog + grows * here_s).max(0.0);
            self.answered[self.gear] += rate * here_s;
            if self.backlog > SLACK * self.slo_s * up_to_rps {
                self.late += rate * here_s;
            }
            left_s -= here_s;
            if left_s > 0.0 {
                self.gear += 1;
                calls += 1;
            }
        }
        calls
    }

    fn played(self, changes_per_hour: f64) -> Played {
        let all = self.answered.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        let answered: Vec<f64> = self.answered.iter().map(|requests| requests / all).collect();
        let accuracy = answered.iter().zip(self.runners).map(|(part, gear)| part * gear.accuracy).sum();
        Played { accuracy, late: self.late / all, changes_per_hour, answered }
    }
}

#[cfg(test)]
mod tests {
    use super::{Decided, Limits, Played, Rates, Runner, candidate, decided};
    use crate::facts::RecordedLoad;
    use crate::plan::Switch;
    use crate::problem::Slo;
    use crate::units::{Millis, Share};

    const RUNNERS: [Runner; 2] = [
        Runner { up_to_rps: 1000.0, keeps_up_rps: 1500.0, latency_ms: 100.0, accuracy: 0.9 },
        Runner { up_to_rps: 4000.0, keeps_up_rps: 6000.0, latency_ms: 100.0, accuracy: 0.8 },
    ];

    fn slo() -> Slo {
        Slo { quantile: Share::saturating(0.95), latency_ms: Millis::saturating(200.0) }
    }

    fn found(runners: &[Runner], recorded: Option<&RecordedLoad>, changes_per_hour_at_most: Option<f64>) -> Decided {
        decided(runners, Limits { slo: &slo(), changes_per_hour_at_most }, recorded, |_| true)
    }

    fn played(load: &RecordedLoad, rule: &Switch) -> Played {
        Rates::new(load, rule.window_ms.get() / 1e3).play(&RUNNERS, rule, &slo())
    }

    #[test]
    fn a_load_that_jumps_every_second_is_followed_in_parts_of_one() {
        let load = RecordedLoad::of_rates([500.0, 3000.0].repeat(300), 1.0);
        let best = found(&RUNNERS, Some(&load), None);
        assert!(best.rule.window_ms.get() <= 200.0 && best.kept == [0, 1], "{best:?}");
        let one = played(&load, &best.rule);
        // Half of the seconds are slow: 500 of 3,500 requests are right 0.9 of the time, but for what a window takes to notice.
        let most = (0.9 * 500.0 + 0.8 * 3000.0) / 3500.0;
        assert!(one.accuracy > most - 0.01 && one.late <= 0.025, "{one:?}, at most {most}");
        assert_eq!(best.answered, Some(one.answered));
        // Whoever limits changes gets no more of them.
        let slow = found(&RUNNERS, Some(&load), Some(10.0));
        assert!(slow.kept.len() == 1 || played(&load, &slow.rule).changes_per_hour <= 10.0, "{slow:?}");
    }

    #[test]
    fn a_long_window_has_the_seconds_that_overload_a_gear() {
        // A mean of 750 a second is within the first gear, half of the seconds are not.
        let load = RecordedLoad::of_rates([100.0, 1400.0].repeat(300), 1.0);
        let slow = played(&load, &candidate(30.0, 1.0, 0.9, 1.0));
        let followed = played(&load, &candidate(0.1, 1.0, 0.9, 1.0));
        assert!(slow.answered[1] > 0.3 || slow.late > 0.3, "{slow:?}");
        assert!(followed.late < 0.05, "{followed:?}");
    }

    #[test]
    fn a_backlog_calls_the_next_gear_before_the_window_ends() {
        let load = RecordedLoad::of_rates([vec![500.0; 60], vec![3000.0; 60]].concat(), 1.0);
        // Without a look at the backlog half a minute of 3,000 requests a second would be late, 0.4 of all.
        let slow = played(&load, &candidate(30.0, 0.9, 0.8, 1.0));
        assert!(slow.late < 0.03, "{slow:?}");
    }

    #[test]
    fn a_steady_load_uses_a_gear_nearly_to_its_end() {
        let load = RecordedLoad::of_rates(vec![960.0; 600], 1.0);
        let Decided { rule, .. } = found(&RUNNERS, Some(&load), None);
        assert!(rule.up.get() >= 0.97 && rule.window_ms.get() >= 1e3, "{rule:?}");
        let one = found(&RUNNERS[..1], Some(&load), None);
        assert_eq!((one.rule.window_ms.get(), one.answered), (100.0, None));
        let slow = Runner { up_to_rps: 20.0, ..RUNNERS[0] };
        assert_eq!(found(&[slow], None, None).rule.window_ms.get(), 5000.0);
    }
}
