//! Arrivals answer to closed forms.

use std::time::Duration;

use super::{Arrivals, MmppState, Timestamps, Trace};

const SECOND_NS: u64 = 1_000_000_000;

pub(super) fn close(what: &str, seen: f64, wanted: f64, within: f64) {
    assert!((seen / wanted - 1.0).abs() < within, "{what}: {seen} against {wanted}");
}

/// Counts arrivals from one time to another, in seconds, over `seeds` trials.
fn count(law: &Arrivals, from_s: u64, to_s: u64, seeds: u64) -> f64 {
    let in_time = |seed| {
        law.source(seed).skip_while(|&at| at < from_s * SECOND_NS).take_while(|&at| at < to_s * SECOND_NS).count()
    };
    (0..seeds).map(in_time).sum::<usize>() as f64 / seeds as f64
}

/// Returns mean and index of dispersion of the counts in windows.
fn dispersion(law: &Arrivals, window_ns: u64, windows: usize) -> (f64, f64) {
    let mut counts = vec![0_u32; windows];
    for at in law.source(11) {
        match counts.get_mut((at / window_ns) as usize) {
            Some(count) => *count += 1,
            None => break,
        }
    }
    let mean = counts.iter().map(|&n| f64::from(n)).sum::<f64>() / windows as f64;
    let variance = counts.iter().map(|&n| (f64::from(n) - mean).powi(2)).sum::<f64>() / windows as f64;
    (mean, variance / mean)
}

fn mmpp(states: &[(f64, f64)]) -> Arrivals {
    Arrivals::Mmpp { states: states.iter().map(|&(rate_rps, mean_s)| MmppState { rate_rps, mean_s }).collect() }
}

#[test]
fn gamma_gaps_have_their_mean_and_burstiness() {
    for burstiness in [0.1, 0.5, 1.0, 4.0] {
        let law = Arrivals::Gamma { rate_rps: 1e3, burstiness };
        let times: Vec<u64> = law.source(3).take(2_000_000).collect();
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        close("mean", mean, 1e6, 0.005);
        close("burstiness", variance / mean / mean, burstiness, 0.02);
    }
}

#[test]
fn gamma_arrivals_have_their_rate_from_the_start() {
    // A process that began with a whole gap would see (burstiness − 1) ÷ 2 = 7.5 requests too many (Cox 1962, section 4.2).
    let law = Arrivals::Gamma { rate_rps: 10.0, burstiness: 16.0 };
    close("first second", count(&law, 0, 1, 100_000), 10.0, 0.03);
}

#[test]
fn mmpp_counts_scatter_as_theory_says() {
    struct Case {
        states: &'static [(f64, f64)],
        /// Rate at which the covariance of the rate decays, per second.
        decay: f64,
    }
    // Two states: the sum of the rates of leaving. Three that stay equally long: 3 ÷ 2 of the rate of leaving.
    let cases = [
        Case { states: &[(50.0, 0.1), (500.0, 0.05)], decay: 30.0 },
        Case { states: &[(0.0, 0.2), (400.0, 0.1)], decay: 15.0 },
        Case { states: &[(20.0, 0.05), (200.0, 0.05), (600.0, 0.05)], decay: 30.0 },
    ];
    for Case { states, decay } in cases {
        let total: f64 = states.iter().map(|state| state.1).sum();
        let mean: f64 = states.iter().map(|state| state.0 * state.1 / total).sum();
        let variance: f64 = states.iter().map(|state| (state.0 - mean).powi(2) * state.1 / total).sum();
        // Counts in t: 1 + 2 Var(λ) ÷ (E λ · d) · (1 − (1 − e^(−d t)) ÷ (d t)), with t = 1 s.
        let wanted = 1.0 + 2.0 * variance / (mean * decay) * (1.0 - (1.0 - (-decay).exp()) / decay);
        let law = mmpp(states);
        let (seen_mean, seen) = dispersion(&law, SECOND_NS, 60_000);
        close("mean", seen_mean, mean, 0.01);
        close("index of dispersion", seen, wanted, 0.03);
        close("initial rate", law.initial_rate(1.0), mean, 1e-12);
    }
}

#[test]
fn mmpp_begins_in_equilibrium() {
    let law = mmpp(&[(10.0, 30.0), (1_000.0, 10.0)]);
    close("first second", count(&law, 0, 1, 10_000), 257.5, 0.04);
}

#[test]
fn poisson_counts_scatter_as_their_mean() {
    let (mean, index) = dispersion(&Arrivals::Poisson { rate_rps: 100.0 }, SECOND_NS, 50_000);
    close("mean", mean, 100.0, 0.002);
    close("index of dispersion", index, 1.0, 0.02);
}

#[test]
fn steps_and_ramps_bring_the_requests_that_are_expected() {
    struct Case {
        law: Arrivals,
        /// From, to, and requests expected between.
        expected: &'static [(u64, u64, f64)],
        /// Rate expected in the first 4 seconds.
        initial: f64,
    }
    let step = |from_rps, to_rps, at_s| Arrivals::Step { from_rps, to_rps, at_s };
    let ramp = |from_rps, to_rps, over_s| Arrivals::Ramp { from_rps, to_rps, over_s };
    let cases = [
        Case {
            law: step(100.0, 900.0, 2.5),
            expected: &[(0, 2, 200.0), (2, 3, 500.0), (3, 5, 1800.0)],
            initial: 400.0,
        },
        Case { law: step(500.0, 0.0, 2.0), expected: &[(0, 2, 1000.0), (2, 9, 0.0)], initial: 250.0 },
        Case { law: step(0.0, 300.0, 1.0), expected: &[(0, 1, 0.0), (1, 3, 600.0)], initial: 225.0 },
        Case {
            law: ramp(100.0, 900.0, 8.0),
            expected: &[(0, 4, 1200.0), (4, 8, 2800.0), (8, 9, 900.0)],
            initial: 300.0,
        },
        Case { law: ramp(800.0, 0.0, 2.0), expected: &[(0, 1, 600.0), (1, 2, 200.0), (2, 9, 0.0)], initial: 200.0 },
        Case { law: ramp(0.0, 400.0, 4.0), expected: &[(0, 1, 50.0), (3, 4, 350.0), (4, 5, 400.0)], initial: 200.0 },
        Case { law: ramp(50.0, 50.0, 4.0), expected: &[(0, 8, 400.0)], initial: 50.0 },
    ];
    for case in cases {
        for &(from_s, to_s, expected) in case.expected {
            let seen = count(&case.law, from_s, to_s, 1_000);
            // Five standard deviations of the mean of Poisson counts.
            let within = 5.0 * (expected / 1_000.0).sqrt();
            assert!((seen - expected).abs() <= within, "{:?} {from_s} to {to_s} s: {seen}", case.law);
        }
        close("initial rate", case.law.initial_rate(4.0), case.initial, 1e-12);
    }
}

#[test]
fn laws_without_requests_end() {
    let laws = [
        Arrivals::Constant { rate_rps: 0.0 },
        Arrivals::Poisson { rate_rps: 0.0 },
        Arrivals::Gamma { rate_rps: 0.0, burstiness: 2.0 },
        Arrivals::Step { from_rps: 0.0, to_rps: 0.0, at_s: 1.0 },
        Arrivals::Step { from_rps: 0.0, to_rps: 0.0, at_s: 0.0 },
        Arrivals::Ramp { from_rps: 0.0, to_rps: 0.0, over_s: 1.0 },
        Arrivals::Trace(Trace::new("t", vec![0.0; 3])),
    ];
    for law in laws {
        assert!(law.validate().0.is_empty(), "{law:?}");
        let mut source = law.source(1);
        assert_eq!((source.next(), source.next()), (None, None), "{law:?}");
        assert_eq!(law.initial_rate(1.0), 0.0, "{law:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_arrivals() {
    let laws = [
        Arrivals::Poisson { rate_rps: 100.0 },
        Arrivals::Gamma { rate_rps: 100.0, burstiness: 3.0 },
        mmpp(&[(10.0, 1.0), (100.0, 1.0), (50.0, 2.0)]),
        Arrivals::Step { from_rps: 10.0, to_rps: 100.0, at_s: 1.0 },
        Arrivals::Ramp { from_rps: 10.0, to_rps: 100.0, over_s: 1.0 },
        Arrivals::Trace(Trace::new("t", vec![50.0; 20])),
        Arrivals::Timestamps(Timestamps::new("t", (0..2_000).collect())).scaled(0.5, 1.0),
    ];
    for law in laws {
        let times = |seed| law.source(seed).take(500).collect::<Vec<_>>();
        assert_eq!(times(1), times(1), "{law:?}");
        assert_ne!(times(1), times(2), "{law:?}");
        assert!(times(1).is_sorted(), "{law:?}");
    }
}

#[test]
fn a_trace_keeps_its_rates() {
    let arrivals = Arrivals::Trace(Trace::new("t", vec![1000.0, 0.0, 3000.0])).scaled(2.0, 1.0);
    let mut seen = [0_u32; 3];
    for at in arrivals.source(7) {
        seen[(at / SECOND_NS) as usize] += 1;
    }
    assert!((1850..2150).contains(&seen[0]) && seen[1] == 0 && (5750..6250).contains(&seen[2]), "{seen:?}");
}

#[test]
fn rates_stay_when_a_trace_is_stretched() {
    let trace = Trace { step: Duration::from_secs(60), ..Trace::new("t", vec![40.0, 10.0]) };
    for (rate, time) in [(1.0, 1.0), (2.0, 1.0), (1.0, 0.1), (0.5, 3.0)] {
        let law = Arrivals::Trace(trace.clone()).scaled(rate, time);
        assert_eq!(law.length_s(), Some(120.0 * time));
        let requests = (0..20).map(|seed| law.source(seed).count()).sum::<usize>() as f64 / 20.0;
        close("requests", requests, 3_000.0 * rate * time, 0.03);
        close("initial rate", law.initial_rate(90.0 * time), 30.0 * rate, 1e-9);
        assert_eq!(law.describe().contains("time"), time != 1.0);
    }
}

#[test]
fn constant_arrivals_are_evenly_spaced() {
    let arrivals = Arrivals::Constant { rate_rps: 4.0 };
    let times: Vec<_> = arrivals.source(1).take(3).collect();
    assert_eq!(times, [250_000_000, 500_000_000, 750_000_000]);
}

#[test]
fn recorded_times_are_kept_stretched_and_thinned() {
    let times: Vec<u64> = (0..100_000).map(|n| n * 7_654_321 + n % 3).collect();
    let law = Arrivals::Timestamps(Timestamps::new("t", times.clone()));
    assert!(law.source(5).eq(times.iter().copied()));
    assert_eq!(law.length_s(), Some(766.0));

    let slower = law.clone().scaled(1.0, 2.0);
    assert!(slower.source(5).eq(times.iter().map(|time| 2 * time)));
    close("half the rate", slower.initial_rate(100.0), law.initial_rate(100.0) / 2.0, 0.01);

    let thinner = law.clone().scaled(0.3, 1.0);
    let kept: Vec<u64> = thinner.source(5).collect();
    close("thinned", kept.len() as f64, 30_000.0, 0.02);
    assert!(kept.iter().all(|time| times.binary_search(time).is_ok()));
    close("initial rate", thinner.initial_rate(1e9), 30_000.0 / 766.0, 1e-9);

    let findings = law.scaled(2.0, 1.0).validate();
    assert!(findings.to_string().contains("--time-scale 0.5"), "{findings}");
}

#[test]
fn figures_that_cannot_be_simulated_are_all_named() {
    struct Case {
        law: Arrivals,
        keys: &'static [&'static str],
    }
    let cases = [
        Case { law: Arrivals::Poisson { rate_rps: f64::NAN }, keys: &["rate_rps"] },
        Case { law: Arrivals::Constant { rate_rps: 1e300 }, keys: &["rate_rps"] },
        Case { law: Arrivals::Gamma { rate_rps: -1.0, burstiness: 0.0 }, keys: &["rate_rps", "burstiness"] },
        Case { law: mmpp(&[]), keys: &["states"] },
        Case { law: mmpp(&[(1.0, 1.0)]), keys: &["states"] },
        Case { law: mmpp(&[(-1.0, 1.0), (1.0, 0.0)]), keys: &["states[0].rate_rps", "states[1].mean_s"] },
        Case { law: mmpp(&[(0.0, 1.0), (0.0, 1.0)]), keys: &["states"] },
        Case { law: mmpp(&[(1e-9, 1e-6), (0.0, 1e-6)]), keys: &["states"] },
        Case { law: Arrivals::Step { from_rps: 1.0, to_rps: 1.0, at_s: f64::INFINITY }, keys: &["at_s"] },
        Case { law: Arrivals::Ramp { from_rps: 1.0, to_rps: -1.0, over_s: 0.0 }, keys: &["to_rps", "over_s"] },
        Case { law: Arrivals::Trace(Trace::new("t", vec![1.0])).scaled(1e300, 0.0), keys: &["rates", "time_scale"] },
        Case { law: Arrivals::Trace(Trace::new("t", vec![])), keys: &[""] },
        Case {
            law: Arrivals::Timestamps(Timestamps::new("t", vec![1])).scaled(-1.0, -1.0),
            keys: &["scale", "time_scale"],
        },
    ];
    for Case { law, keys } in cases {
        let findings = law.validate();
        let seen: Vec<_> = findings.0.iter().map(|finding| finding.key.as_str()).collect();
        assert_eq!(seen, keys, "{law:?}: {findings}");
    }
}
