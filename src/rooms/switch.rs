//! When to change gear, from the recorded load: how long to look, how much to keep in hand, how long to stay.
//!
//! The rate of a window is known to about `√(I ÷ (λ·Δ))` of itself, where `I` is the index of dispersion of the requests in
//! windows of length `Δ`, taken over the time that a change needs. A short window sees too few requests, a long one is
//! out of date when it ends: the window with the smallest spread is taken.
//!
//! ```text
//! up   = 1 − z·√(I ÷ (λ·Δ))       what is measured below it is below the gear's highest rate with probability Φ(z)
//! down = up − z·√(I ÷ (λ·Δ))      so that scatter alone does not call the gear back
//! dwell                           the shortest with which the rule changes gear no more often than asked, on the trace, or
//!                                 than the means of 30 s pass borders between gears: so often the load itself asks for it
//! ```

use crate::base::units::{Millis, Share};
use crate::plan::{GearRule, RuledGear, Switch};
use crate::workload::RecordedLoad;

/// Requests that a window should see where nothing was recorded: their number is then known to about a fifth.
const REQUESTS_TO_TELL_A_RATE: f64 = 25.0;
/// Gears below this part of the highest rate need not be told apart: taking a higher one costs little, being late in a burst much.
const TOLD_APART: f64 = 0.1;
/// Longest window: what changes faster is not followed.
const LONGEST_WINDOW_MS: f64 = 30e3;
/// Windows that are looked at, in seconds.
const WINDOWS_S: [f64; 8] = [1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0];
/// Standard deviations that are kept in hand (z): one window in 44 is further off to one side.
const DEVIATIONS: f64 = 2.0;
/// Between these the change up lies, whatever the trace.
const UP: (f64, f64) = (0.5, 0.95);
/// The lowest change down.
const LEAST_DOWN: f64 = 0.3;
/// Dwells that are looked at, in windows.
const DWELLS: [f64; 10] = [1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 40.0, 80.0, 160.0];
/// Rates over so many seconds are what the load asks for; what is faster is scatter and bursts.
const SLOW_S: f64 = 30.0;
/// Seed of the scatter inside a window.
pub(in crate::rooms) const SEED: u64 = 42;

/// Returns the rule for gears that carry these rates. `load_ms` is the longest time that a change needs.
pub(super) fn rule(highest: &[f64], load_ms: f64, recorded: Option<&RecordedLoad>, changes_per_hour: f64) -> Switch {
    match recorded {
        Some(load) => of_trace(highest, load_ms / 1e3, load, changes_per_hour),
        None => usual(highest),
    }
}

/// Returns windows of a second, or so long that some requests tell the rate of the lowest gear that matters, and three windows
/// of a low rate before a change down.
fn usual(highest: &[f64]) -> Switch {
    let usual = Switch::default();
    let (lowest, most) = (highest.first().copied(), highest.last().copied());
    let told = lowest.zip(most).map_or(f64::INFINITY, |(lowest, most)| lowest.max(TOLD_APART * most));
    let window_ms = (1e3 * REQUESTS_TO_TELL_A_RATE / told).clamp(usual.window_ms.get(), LONGEST_WINDOW_MS);
    Switch {
        window_ms: Millis::saturating(window_ms),
        dwell_ms: Millis::saturating(usual.dwell_ms.get().max(3.0 * window_ms)),
        ..usual
    }
}

fn of_trace(highest: &[f64], load_s: f64, load: &RecordedLoad, changes_per_hour: f64) -> Switch {
    let spread = |window_s: f64| {
        let ahead = 1 + (load_s / window_s).round() as usize;
        (load.dispersion_ahead(window_s, ahead) / window_s).sqrt() * load.mean_root_gap()
    };
    let fits = |window_s: &f64| *window_s * 4.0 <= load.length_s();
    let windows = WINDOWS_S.into_iter().filter(fits).map(|window_s| (window_s, spread(window_s)));
    let best = windows.reduce(|best, next| if next.1 < best.1 { next } else { best });
    let (window_s, spread) = best.unwrap_or((WINDOWS_S[0], 0.0));
    let up = (1.0 - DEVIATIONS * spread).clamp(UP.0, UP.1);
    let down = (up - DEVIATIONS * spread).clamp(LEAST_DOWN, up);
    let rule = Switch {
        window_ms: Millis::saturating(1e3 * window_s),
        up: Share::saturating(up),
        down: Share::saturating(down),
        ..Switch::default()
    };
    let rates = load.play(window_s, SEED);
    let needed = passed(highest, up, &load.windows(SLOW_S.max(window_s).min(load.length_s())));
    let allowed = (changes_per_hour * load.length_s() / 3600.0).max(needed as f64);
    with_dwell(highest, rule, &rates, allowed)
}

/// Returns the rule with the shortest dwell with which it changes gear no more often than allowed; where none does, with the
/// shortest of those with which it changes least.
fn with_dwell(highest: &[f64], rule: Switch, rates: &[f64], allowed: f64) -> Switch {
    let mut fewest: Option<(usize, Switch)> = None;
    for windows in DWELLS {
        let rule = Switch { dwell_ms: Millis::saturating(windows * rule.window_ms.get()), ..rule };
        let count = changes(highest, &rule, rates);
        if fewest.as_ref().is_none_or(|(least, _)| count < *least) {
            fewest = Some((count, rule));
        }
        if count as f64 <= allowed {
            break;
        }
    }
    fewest.map_or(rule, |(_, rule)| rule)
}

/// Returns how many borders between gears these rates pass: so many changes the load itself asks for, whatever the dwell.
fn passed(highest: &[f64], up: f64, rates: &[f64]) -> usize {
    let gear = |rate: f64| highest.partition_point(|&end| end < rate / up);
    rates.windows(2).map(|pair| gear(pair[0]).abs_diff(gear(pair[1]))).sum()
}

/// Returns how often the rule changes gear under these rates, one a window, beginning in the gear of the first.
pub(super) fn changes(highest: &[f64], switch: &Switch, rates: &[f64]) -> usize {
    let Some(&first) = rates.first().filter(|_| highest.len() > 1) else { return 0 };
    // Time is counted in windows.
    let dwell = (switch.dwell_ms.get() / switch.window_ms.get()).ceil() as u64;
    let gears = highest.iter().map(|&up_to_rps| RuledGear { up_to_rps, window: 1, in_flight_at_most: None });
    let mut rule = GearRule::from_gears(gears, switch, dwell);
    rule.begin(rule.gear_for(first), 0);
    let mut changes = 0;
    for &rate in rates {
        let now = rule.due();
        if rule.window_ends(now, rate, 0).is_some() {
            rule.ready(now);
            changes += 1;
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::{changes, rule, with_dwell};
    use crate::base::units::Millis;
    use crate::plan::Switch;
    use crate::workload::RecordedLoad;

    #[test]
    fn changes_are_those_of_the_rule() {
        let rule = Switch { dwell_ms: Millis::saturating(3e3), ..Switch::default() };
        // Up at 90 of 100 at once; down when below 80 for three windows.
        let rates = [50.0, 95.0, 79.0, 79.0, 81.0, 79.0, 79.0, 79.0, 50.0];
        assert_eq!(changes(&[100.0, 200.0], &rule, &rates), 2);
        assert_eq!(changes(&[100.0, 200.0], &rule, &rates[..7]), 1);
        // Up over two gears is one change, down goes one at a time.
        assert_eq!(changes(&[10.0, 100.0, 200.0], &rule, &[5.0, 150.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]), 3);
        assert_eq!(changes(&[100.0], &rule, &rates), 0);
    }

    #[test]
    fn more_scatter_asks_for_more_in_hand_and_longer_dwells() {
        let highest = [100.0, 200.0, 400.0];
        let rough = |by: f64| {
            let rate = |k: i32| 150.0 + 100.0 * (f64::from(k) / 300.0).sin() + if k / 17 % 2 == 0 { by } else { -by };
            RecordedLoad::of_rates((0..3600).map(rate).collect(), 1.0)
        };
        let of = |by: f64| rule(&highest, 0.0, Some(&rough(by)), 30.0);
        let (calm, rough) = (of(0.0), of(40.0));
        assert!(rough.up < calm.up || rough.window_ms > calm.window_ms, "{calm:?} {rough:?}");
        for rule in [calm, rough] {
            assert!(rule.down < rule.up && rule.dwell_ms >= rule.window_ms, "{rule:?}");
        }
        // Five windows of a high rate, then five of a low one: a dwell of more than five stays up.
        let rates: Vec<f64> = (0..3600).map(|k| if k / 5 % 2 == 0 { 50.0 } else { 150.0 }).collect();
        let dwell = |allowed: f64| with_dwell(&highest, Switch::default(), &rates, allowed).dwell_ms.get();
        assert_eq!((dwell(1e3), dwell(5.0)), (1e3, 8e3));
    }

    #[test]
    fn without_a_trace_the_rule_is_the_usual_one() {
        assert_eq!(rule(&[1000.0], 0.0, None, 60.0), Switch::default());
        assert_eq!(rule(&[2.5], 0.0, None, 60.0).window_ms.get(), 1e4);
        // A tenth of the highest is what must be told.
        assert_eq!(rule(&[2.5, 50.0], 0.0, None, 60.0).window_ms.get(), 5e3);
        assert_eq!(rule(&[2.5, 300.0], 0.0, None, 60.0).window_ms.get(), 1e3);
    }
}
