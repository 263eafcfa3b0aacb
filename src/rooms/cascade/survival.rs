//! Surviving a jump of the rate: some accurate gears are unsafe at low load because spikes are steep.
//!
//! While gear g serves, let the rate jump to q⁺ and stay undetected for δ. What the gear cannot serve piles up, and is served by
//! the gear that then comes:
//!
//! ```text
//! (q⁺ − μ_g)⁺ · δ ÷ μ_{g*} + latency of g* at q⁺ ≤ SLO
//! ```
//!
//! `q⁺` is what the rate of the next window hardly ever exceeds, given the range of the present one, counted on the trace: of
//! windows as small a part as requests may be late. Windows with a jump have more requests than others, so that more of those
//! may be late: playing the rule ([`super::switching`]) counts them. `μ` is what a gear serves when all that counts is keeping
//! up. A gear that does not survive is left out: the next one, which carries more, serves its range too.

use super::switching::Runner;
use crate::problem::Slo;
use crate::workload::RecordedLoad;

/// Returns which gears survive the jumps of a recorded load that stay undetected for a window, but for as many windows as a
/// part of the requests that the objective lets be late; the last is always kept.
pub(super) fn survivors(
    runners: &[Runner],
    load: &RecordedLoad,
    window_s: f64,
    slo: &Slo,
    part_of_late: f64,
) -> Vec<usize> {
    let rates = load.windows(window_s);
    let survived = 1.0 - part_of_late * (1.0 - slo.quantile.get());
    let slo_ms = slo.latency_ms.get();
    let mut kept: Vec<usize> = Vec::new();
    for (index, runner) in runners.iter().enumerate() {
        let from = kept.last().map_or(0.0, |&gear| runners[gear].up_to_rps);
        let is_last = index + 1 == runners.len();
        let jump = jump(&rates, from, runner.up_to_rps, survived);
        if is_last || survives(runner, &runners[index..], jump, window_s, slo_ms) {
            kept.push(index);
        }
    }
    kept
}

/// Returns what a part of the windows after one in a range of rates do not exceed; 0 where none was in it.
fn jump(rates: &[f64], above: f64, up_to: f64, survived: f64) -> f64 {
    let mut next: Vec<f64> =
        rates.windows(2).filter(|pair| above < pair[0] && pair[0] <= up_to).map(|pair| pair[1]).collect();
    next.sort_by(f64::total_cmp);
    let rank = (survived * next.len() as f64).ceil() as usize;
    next.get(rank.max(1) - 1).copied().unwrap_or(0.0)
}

/// Returns the response time of a gear at a rate, at most what it carries: turns take A ÷ (1 − U), and U rises with the rate.
fn latency_ms(runner: &Runner, rate: f64) -> f64 {
    let free = |rate: f64| 1.0 - rate / runner.keeps_up_rps;
    let (planned, now) = (free(runner.up_to_rps), free(rate.min(runner.carries_rps)));
    // Where nobody knows when its devices would always be busy, it is taken to be as slow as at its highest rate.
    let known = runner.keeps_up_rps > runner.carries_rps;
    if known { runner.latency_ms * planned / now } else { runner.latency_ms }
}

fn survives(runner: &Runner, later: &[Runner], jump: f64, window_s: f64, slo_ms: f64) -> bool {
    let backlog = (jump - runner.keeps_up_rps).max(0.0) * window_s;
    if backlog == 0.0 {
        return true;
    }
    let carries = |other: &&Runner| other.carries_rps >= jump;
    let rescuer = later.iter().find(carries).unwrap_or(&later[later.len() - 1]);
    1e3 * backlog / rescuer.keeps_up_rps + latency_ms(rescuer, jump) <= slo_ms
}

#[cfg(test)]
mod tests {
    use super::{Runner, survivors};
    use crate::base::units::{Millis, Share};
    use crate::problem::Slo;
    use crate::workload::RecordedLoad;

    fn runner(up_to_rps: f64, keeps_up_rps: f64) -> Runner {
        Runner { up_to_rps, carries_rps: up_to_rps, keeps_up_rps, latency_ms: 50.0, accuracy: 1.0 - up_to_rps / 1e4 }
    }

    fn slo(quantile: f64) -> Slo {
        Slo { quantile: Share::saturating(quantile), latency_ms: Millis::saturating(350.0), window_s: None }
    }

    #[test]
    fn a_gear_below_steep_spikes_is_left_out() {
        let runners = [runner(100.0, 120.0), runner(500.0, 600.0), runner(1000.0, 1200.0)];
        let kept = |load: &RecordedLoad| survivors(&runners, load, 1.0, &slo(0.99), 0.5);
        // From 50 to 900 at once: 780 requests pile up and take 650 ms, beside 33.
        let steep = RecordedLoad::of_rates([50.0, 900.0].repeat(50), 1.0);
        assert_eq!(kept(&steep), [1, 2]);
        // From 50 to 130: ten requests are no trouble.
        let calm = RecordedLoad::of_rates([50.0, 130.0].repeat(50), 1.0);
        assert_eq!(kept(&calm), [0, 1, 2]);
    }

    #[test]
    fn a_rescuer_whose_limit_nobody_knows_is_as_slow_as_at_its_highest_rate() {
        // From 50 to 130: ten requests take the rescuer 20 ms, beside the 50 of its turns.
        let load = RecordedLoad::of_rates([50.0, 130.0].repeat(50), 1.0);
        let kept = |slo_ms: f64| {
            let slo = Slo { latency_ms: Millis::saturating(slo_ms), ..slo(0.99) };
            survivors(&[runner(100.0, 120.0), runner(500.0, 500.0)], &load, 1.0, &slo, 0.5)
        };
        assert_eq!(kept(60.0), [1]);
        assert_eq!(kept(80.0), [0, 1]);
    }

    #[test]
    fn as_many_jumps_need_not_be_survived_as_may_be_late() {
        let runners = [runner(100.0, 120.0), runner(500.0, 600.0), runner(1000.0, 1200.0)];
        // One window in fifty jumps from 50 to 900.
        let load = RecordedLoad::of_rates([vec![50.0; 49], vec![900.0]].concat().repeat(10), 1.0);
        let kept = |quantile: f64| survivors(&runners, &load, 1.0, &slo(quantile), 0.5);
        assert_eq!(kept(0.95), [0, 1, 2]);
        assert_eq!(kept(0.99), [1, 2]);
    }
}
