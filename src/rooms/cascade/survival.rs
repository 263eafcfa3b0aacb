//! Surviving a jump of the rate: some accurate gears are unsafe at low load because spikes are steep.
//!
//! While gear g serves, let the rate jump to q⁺ and stay undetected for δ. What the gear cannot serve piles up, and is served by
//! the gear that then comes:
//!
//! ```text
//! (q⁺ − μ_g)⁺ · δ ÷ μ_{g*} + latency of g* ≤ SLO
//! ```
//!
//! `q⁺` is what the rate of the next window exceeds once in a thousand times, given the range of the present one, counted on
//! the trace; `μ` is what a gear serves when all that counts is keeping up. A gear that does not survive is left out: the next
//! one, which carries more, serves its range too.

use super::envelope::Step;
use crate::facts::RecordedLoad;

/// Part of the jumps that must be survived.
const SURVIVED: f64 = 0.999;

/// A step with what decides whether it survives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::rooms) struct Runner {
    /// The step of the envelope.
    pub step: Step,
    /// The rate at which its devices are always busy (μ), in requests a second.
    pub keeps_up_rps: f64,
    /// Its response time at its highest rate, in milliseconds.
    pub latency_ms: f64,
}

/// Returns the steps that survive the jumps of a recorded load which stay undetected for a window; the last is always kept.
pub(in crate::rooms) fn survivors(runners: &[Runner], load: &RecordedLoad, window_s: f64, slo_ms: f64) -> Vec<Step> {
    let rates = load.windows(window_s);
    let mut kept: Vec<Step> = Vec::new();
    for (index, runner) in runners.iter().enumerate() {
        let from = kept.last().map_or(0.0, |step| step.up_to);
        let is_last = index + 1 == runners.len();
        if is_last || survives(runner, &runners[index..], jump(&rates, from, runner.step.up_to), window_s, slo_ms) {
            kept.push(runner.step);
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

fn survives(runner: &Runner, later: &[Runner], jump: f64, window_s: f64, slo_ms: f64) -> bool {
    let backlog = (jump - runner.keeps_up_rps).max(0.0) * window_s;
    if backlog == 0.0 {
        return true;
    }
    let carries = |other: &&Runner| other.step.up_to >= jump;
    let rescuer = later.iter().find(carries).unwrap_or(&later[later.len() - 1]);
    1e3 * backlog / rescuer.keeps_up_rps + rescuer.latency_ms <= slo_ms
}

#[cfg(test)]
mod tests {
    use super::{Runner, survivors};
    use crate::facts::RecordedLoad;
    use crate::rooms::cascade::envelope::Step;

    fn runner(up_to: f64, keeps_up_rps: f64) -> Runner {
        let step = Step { rated: 0, up_to, accuracy: 1.0 - up_to / 1e4 };
        Runner { step, keeps_up_rps, latency_ms: 50.0 }
    }

    #[test]
    fn a_gear_below_steep_spikes_is_left_out() {
        let runners = [runner(100.0, 120.0), runner(500.0, 600.0), runner(1000.0, 1200.0)];
        let ends = |load: &RecordedLoad| -> Vec<f64> {
            survivors(&runners, load, 1.0, 350.0).iter().map(|step| step.up_to).collect()
        };
        // From 50 to 900 at once: 780 requests pile up and take 650 ms.
        let steep = RecordedLoad::of_rates([50.0, 900.0].repeat(50), 1.0);
        assert_eq!(ends(&steep), [500.0, 1000.0]);
        // From 50 to 130: ten requests are no trouble.
        let calm = RecordedLoad::of_rates([50.0, 130.0].repeat(50), 1.0);
        assert_eq!(ends(&calm), [100.0, 500.0, 1000.0]);
    }
}
