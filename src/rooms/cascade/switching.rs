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
//! That is on the safe side: devices are not yet always busy at q. Of the rules that are late in at most half of the cases that
//! the objective allows, that with the highest accuracy over requests is taken. Simulation has the last word.

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::envelope::Step;
use crate::facts::RecordedLoad;
use crate::plan::Switch;
use crate::problem::Slo;
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
/// Most windows of a recorded load that are played; a longer one is played in pieces that are spread over it evenly.
const MOST_WINDOWS: usize = 20_000;
/// Length of such a piece, in windows.
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
    /// The highest rate that it carries in time (q).
    pub up_to_rps: f64,
    /// Part of requests that it answers rightly.
    pub accuracy: f64,
}

impl Runner {
    /// Returns a step of the envelope.
    pub(super) const fn of(step: &Step) -> Self {
        Self { up_to_rps: step.up_to, accuracy: step.accuracy }
    }

    /// Returns the requests under way beyond which the next gear is called.
    pub(super) fn under_way_at_most(&self, slo: &Slo) -> u32 {
        let within = self.up_to_rps * slo.latency_ms.get() / 1e3;
        // Few requests scatter much.
        (UNDER_WAY * within + 2.0 * within.sqrt() + 1.0).ceil() as u32
    }
}

/// What playing a rule gave.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Played {
    /// Accuracy over requests.
    accuracy: f64,
    /// Part of the requests that were late because of changes.
    late: f64,
    changes_per_hour: f64,
}

/// Returns the rule for gears in ascending order of rate.
pub(super) fn rule(
    runners: &[Runner],
    slo: &Slo,
    recorded: Option<&RecordedLoad>,
    changes_per_hour_at_most: Option<f64>,
) -> Switch {
    match recorded {
        Some(load) if runners.len() > 1 => of_trace(runners, slo, load, changes_per_hour_at_most),
        _ => usual(runners.first().map_or(f64::INFINITY, |runner| runner.up_to_rps)),
    }
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

fn of_trace(runners: &[Runner], slo: &Slo, load: &RecordedLoad, changes_per_hour_at_most: Option<f64>) -> Switch {
    let fits = |window_s: &&f64| **window_s * 4.0 <= load.length_s();
    let dwells = if changes_per_hour_at_most.is_some() { &DWELLS[..] } else { &DWELLS[..FREE_DWELLS] };
    let of_window = |&window_s: &f64| {
        let rates = Rates::new(load, window_s);
        let all = UPS.iter().flat_map(|&up| BANDS.iter().map(move |&band| (up, band)));
        let rules: Vec<Switch> = all
            .flat_map(|(up, band)| dwells.iter().map(move |&dwell| candidate(window_s, up, up - band, dwell)))
            .collect();
        rules.par_iter().map(|rule| (rates.play(runners, rule, slo), *rule)).collect::<Vec<_>>()
    };
    let played: Vec<(Played, Switch)> = WINDOWS_S.iter().filter(fits).flat_map(of_window).collect();
    let most = changes_per_hour_at_most.unwrap_or(f64::INFINITY);
    let late_at_most = LATE * (1.0 - slo.quantile.get());
    let is_better = |(one, _): &(Played, Switch), (other, _): &(Played, Switch)| {
        let rank = |played: &Played| ((played.late - late_at_most).max(0.0), (played.changes_per_hour - most).max(0.0));
        if rank(one) != rank(other) {
            return rank(one) < rank(other);
        }
        if (one.accuracy - other.accuracy).abs() > ALIKE {
            return one.accuracy > other.accuracy;
        }
        one.changes_per_hour < other.changes_per_hour
    };
    let best = played.into_iter().reduce(|best, next| if is_better(&next, &best) { next } else { best });
    best.map_or_else(|| usual(runners[0].up_to_rps), |(_, rule)| rule)
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

/// How a window ended.
struct Ended {
    gear: usize,
    /// Accuracy over its requests.
    accuracy: f64,
    /// Part of its requests that are late.
    late: f64,
}

/// A recorded load in windows: the rates as they were, and as they may have been measured.
struct Rates {
    window_s: f64,
    seen: Vec<(f64, f64)>,
}

impl Rates {
    fn new(load: &RecordedLoad, window_s: f64) -> Self {
        let (rates, measured) = (load.windows(window_s), load.play(window_s, SEED));
        let all: Vec<(f64, f64)> = rates.into_iter().zip(measured).collect();
        if all.len() <= MOST_WINDOWS {
            return Self { window_s, seen: all };
        }
        let pieces: Vec<&[(f64, f64)]> = all.chunks(PIECE).collect();
        let kept = MOST_WINDOWS / PIECE;
        let seen = (0..kept).flat_map(|piece| pieces[piece * pieces.len() / kept]).copied().collect();
        Self { window_s, seen }
    }

    /// Plays a rule as [`crate::simulate`] does, with requests as a fluid.
    fn play(&self, runners: &[Runner], rule: &Switch, slo: &Slo) -> Played {
        let (up, down) = (rule.up.get(), rule.down.get());
        let dwell = (rule.dwell_ms.get() / rule.window_ms.get()).ceil().max(1.0) as u32;
        let slo_s = slo.latency_ms.get() / 1e3;
        let carrying = |rate: f64| runners.partition_point(|gear| gear.up_to_rps < rate).min(runners.len() - 1);
        let limits: Vec<f64> = runners.iter().map(|gear| f64::from(gear.under_way_at_most(slo))).collect();
        let mut gear = carrying(self.seen.first().map_or(0.0, |(_, measured)| measured / up));
        let (mut backlog, mut low, mut changes) = (0.0_f64, 0_u32, 0_u32);
        let (mut all, mut right, mut late) = (0.0, 0.0, 0.0);
        for &(rate, measured) in &self.seen {
            let requests = rate * self.window_s;
            let ended = self.window(runners, &limits, gear, rate, &mut backlog, slo_s);
            changes += u32::from(ended.gear != gear);
            if ended.gear != gear {
                low = 0;
            }
            all += requests;
            right += requests * ended.accuracy;
            late += requests * ended.late;
            gear = ended.gear;
            low = if gear > 0 && measured < down * runners[gear - 1].up_to_rps { low + 1 } else { 0 };
            let next = if measured > up * runners[gear].up_to_rps {
                carrying(measured / up).max(gear)
            } else if low >= dwell && backlog <= limits[gear - 1] {
                gear - 1
            } else {
                gear
            };
            if next != gear {
                (gear, low, changes) = (next, 0, changes + 1);
            }
        }
        let hours = self.seen.len() as f64 * self.window_s / 3600.0;
        let all = f64::max(all, f64::MIN_POSITIVE);
        Played { accuracy: right / all, late: late / all, changes_per_hour: f64::from(changes) / hours }
    }

    /// Plays one window, in the middle of which a backlog may call the next gear.
    fn window(
        &self,
        runners: &[Runner],
        limits: &[f64],
        mut gear: usize,
        rate: f64,
        backlog: &mut f64,
        slo_s: f64,
    ) -> Ended {
        let mut left_s = self.window_s;
        let (mut accuracy, mut late) = (0.0, 0.0);
        while left_s > 0.0 {
            let Runner { up_to_rps, .. } = runners[gear];
            let grows = rate - up_to_rps;
            // What is under way beside the backlog is what the rate brings in half the SLO's time.
            let room = limits[gear] - 0.5 * rate * slo_s - *backlog;
            let until_called_s = if gear + 1 == runners.len() {
                f64::INFINITY
            } else if room <= 0.0 {
                0.0
            } else if grows > 0.0 {
                room / grows
            } else {
                f64::INFINITY
            };
            let here_s = left_s.min(until_called_s);
            *backlog = (*backlog + grows * here_s).max(0.0);
            let part = here_s / self.window_s;
            accuracy += runners[gear].accuracy * part;
            late += if *backlog > SLACK * slo_s * up_to_rps { part } else { 0.0 };
            left_s -= here_s;
            if left_s > 0.0 {
                gear += 1;
            }
        }
        Ended { gear, accuracy, late }
    }
}

#[cfg(test)]
mod tests {
    use super::{Rates, Runner, candidate, rule};
    use crate::facts::RecordedLoad;
    use crate::problem::Slo;
    use crate::units::{Millis, Share};

    const RUNNERS: [Runner; 2] =
        [Runner { up_to_rps: 1000.0, accuracy: 0.9 }, Runner { up_to_rps: 4000.0, accuracy: 0.8 }];

    fn slo() -> Slo {
        Slo { quantile: Share::saturating(0.95), latency_ms: Millis::saturating(200.0) }
    }

    #[test]
    fn a_load_that_jumps_every_second_is_followed_in_parts_of_one() {
        let load = RecordedLoad::of_rates([500.0, 3000.0].repeat(300), 1.0);
        let found = rule(&RUNNERS, &slo(), Some(&load), None);
        assert!(found.window_ms.get() <= 200.0, "{found:?}");
        let best = Rates::new(&load, found.window_ms.get() / 1e3).play(&RUNNERS, &found, &slo());
        // Half of the seconds are slow: 500 of 3,500 requests are right 0.9 of the time, but for what a window takes to notice.
        let most = (0.9 * 500.0 + 0.8 * 3000.0) / 3500.0;
        assert!(best.accuracy > most - 0.01 && best.late <= 0.025, "{best:?}, at most {most}");
        // Whoever limits changes gets no more of them.
        let slow = rule(&RUNNERS, &slo(), Some(&load), Some(10.0));
        let played = Rates::new(&load, slow.window_ms.get() / 1e3).play(&RUNNERS, &slow, &slo());
        assert!(played.changes_per_hour <= 10.0, "{played:?}");
    }

    #[test]
    fn a_backlog_calls_the_next_gear_before_the_window_ends() {
        let load = RecordedLoad::of_rates([vec![500.0; 60], vec![3000.0; 60]].concat(), 1.0);
        let slow = candidate(30.0, 0.9, 0.8, 1.0);
        let played = Rates::new(&load, 30.0).play(&RUNNERS, &slow, &slo());
        // Without a look at the backlog half a minute of 3,000 requests a second would be late, 0.4 of all.
        assert!(played.late < 0.03, "{played:?}");
    }

    #[test]
    fn a_steady_load_uses_a_gear_nearly_to_its_end() {
        let load = RecordedLoad::of_rates(vec![960.0; 600], 1.0);
        let found = rule(&RUNNERS, &slo(), Some(&load), None);
        assert!(found.up.get() >= 0.97 && found.window_ms.get() >= 1e3, "{found:?}");
        let one = rule(&RUNNERS[..1], &slo(), Some(&load), None);
        assert_eq!(one.window_ms.get(), 100.0);
        assert_eq!(rule(&[Runner { up_to_rps: 20.0, ..RUNNERS[0] }], &slo(), None, None).window_ms.get(), 5000.0);
    }
}
