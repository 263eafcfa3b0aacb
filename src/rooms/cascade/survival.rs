//! Surviving a jump of the rate: some accurate gears are unsafe at low load because spikes are steep.
//!
//! While gear g serves, let the rate jump to q⁺ and stay undetected for δ. What the gear cannot serve piles up, and is served by
//! the gear that then comes:
//!
//! ```text
//! (q⁺ − μ_g)⁺ · δ ÷ μ_{g*} + latency of g* at q⁺ ≤ SLO
//! ```
//!
//! `q⁺` is what the rate of the next window exceeds once in a thousand times, given the range of the present one, counted on
//! the trace; `μ` is what a gear serves when all that counts is keeping up. A gear that does not survive is left out: the next
//! one, which carries more, serves its range too.

use super::switching::Runner;
use crate::facts::RecordedLoad;

/// Part of the jumps that must be survived.
const SURVIVED: f64 = 0.999;

/// Returns which gears survive the jumps of a recorded load that stay undetected for a window; the last is always kept.
pub(super) fn survivors(runners: &[Runner], load: &RecordedLoad, window_s: f64, slo_ms: f64) -> Vec<usize> {
    let rates = load.windows(window_s);
    let mut kept: Vec<usize> = Vec::new();
    for (index, runner) in runners.iter().enumerate() {
        let from = kept.last().map_or(0.0, |&gear| runners[gear].up_to_rps);
        let is_last = index + 1 == runners.len();
        if is_last || survives(runner, &runners[index..], jump(&rates, from, runner.up_to_rps), window_s, slo_ms) {
            kept.push(index);
        }
    }
    kept
}

/// Returns what the window after one in a range of rates hardly ever exceeds; 0 where none was in it.
fn jump(rates: &[f64], above: f64, up_to: f64) -> f64 {
    let mut next: Vec<f64> =
        rates.windows(2).filter(|pair| above < pair[0] && pair[0] <= up_to).map(|pair| pair[1]).collect();
    next.sort_by(f64::total_cmp);
    let rank = (SURVIVED * next.len() as f64).ceil() as usize;
    next.get(rank.max(1) - 1).copied().unwrap_or(0.0)
}

/// Returns the response time of a gear at a rate, at most its highest: turns take A ÷ (1 − U), and U rises with the rate.
fn latency_ms(runner: &Runner, rate: f64) -> f64 {
    let free = |rate: f64| 1.0 - rate / runner.keeps_up_rps;
    let (at_most, now) = (free(runner.up_to_rps), free(rate.min(runner.up_to_rps)));
    // Where nobody knows when its devices would always be busy, it is taken to be as slow as at its highest rate.
    if at_most > 0.0 { runner.latency_ms * at_most / now } else { runner.latency_ms }
}

fn survives(runner: &Runner, later: &[Runner], jump: f64, window_s: f64, slo_ms: f64) -> bool {
    let backlog = (jump - runner.keeps_up_rps).max(0.0) * window_s;
    if backlog == 0.0 {
        return true;
    }
    let carries = |other: &&Runner| other.up_to_rps >= jump;
    let rescuer = later.iter().find(carries).unwrap_or(&later[later.len() - 1]);
    1e3 * backlog / rescuer.keeps_up_rps + latency_ms(rescuer, jump) <= slo_ms
}

#[cfg(test)]
mod tests {
    use super::{Runner, survivors};
    use crate::facts::RecordedLoad;

    fn runner(up_to_rps: f64, keeps_up_rps: f64) -> Runner {
        Runner { up_to_rps, keeps_up_rps, latency_ms: 50.0, accuracy: 1.0 - up_to_rps / 1e4 }
    }

    #[test]
    fn a_gear_below_steep_spikes_is_left_out() {
        let runners = [runner(100.0, 120.0), runner(500.0, 600.0), runner(1000.0, 1200.0)];
        let kept = |load: &RecordedLoad| survivors(&runners, load, 1.0, 350.0);
        // From 50 to 900 at once: 780 requests pile up and take 650 ms, beside 33.
        let steep = RecordedLoad::of_rates([50.0, 900.0].repeat(50), 1.0);
        assert_eq!(kept(&steep), [1, 2]);
        // From 50 to 130: ten requests are no trouble.
        let calm = RecordedLoad::of_rates([50.0, 130.0].repeat(50), 1.0);
        assert_eq!(kept(&calm), [0, 1, 2]);
    }
}
