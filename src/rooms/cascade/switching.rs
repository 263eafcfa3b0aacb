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
//! them all: its mean would hide the seconds that a gear cannot serve. Each window is played with all gears, and with those
//! that survive the jumps which stay undetected for so long ([`super::survival`]). Of what is late in at most half of the cases
//! that the objective allows, that with the highest accuracy over requests is taken; then each gear tries the other windows for
//! itself. Simulation has the last word.

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::survival::survivors;
use crate::base::units::{Millis, Share};
use crate::plan::{GearRule, Plan, RuledGear, Switch};
use crate::problem::{Problem, Slo};
use crate::rooms::switch::SEED;
use crate::workload::RecordedLoad;

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
/// A long recording is played in so many pieces, spread over it evenly.
const PIECES: usize = 20;
/// Length of such a piece, in seconds.
const PIECE_S: f64 = 300.0;
/// Longest tick, in seconds: a backlog counts as late for whole ticks.
const LONGEST_TICK_S: f64 = 1.0;
/// Part of the violations that the objective allows, beside those that nobody can help, which changes of gear may cause.
const LATE: f64 = 0.5;
/// Part of the SLO's time that what piles up may cost before requests count as late.
const SLACK: f64 = 0.25;
/// Accuracy that is not worth more late requests.
const ALIKE: f64 = 2e-5;
/// Part of late requests that is not worth more changes.
const LATE_ALIKE: f64 = 1e-3;
/// Requests that a window should see where nothing was recorded: their number is then known to about a tenth.
const REQUESTS_TO_TELL_A_RATE: f64 = 100.0;
/// The shortest window where nothing was recorded, in seconds.
const SHORTEST_WINDOW_S: f64 = WINDOWS_S[0];
/// The longest window where nothing was recorded, in seconds.
const LONGEST_WINDOW_S: f64 = WINDOWS_S[WINDOWS_S.len() - 1];
/// Part of the requests that come within the SLO's time at a gear's highest rate which may be under way: at that rate about half
/// of them are, and when all are, the mean response takes as long as the SLO.
const UNDER_WAY: f64 = 0.75;

/// A gear as the rule sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Runner {
    /// The rate up to which the plan uses it, in requests a second.
    pub up_to_rps: f64,
    /// The highest rate that it carries in time (q), in requests a second: more than the plan asks of the last gear.
    pub carries_rps: f64,
    /// The rate at which its devices are always busy (μ), in requests a second.
    pub keeps_up_rps: f64,
    /// Its response time at the rate up to which the plan uses it, in milliseconds.
    pub latency_ms: f64,
    /// Part of requests that it answers rightly.
    pub accuracy: f64,
}

/// When gears change.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    /// What holds for all gears.
    pub switch: Switch,
    /// How long each gear looks at the rate, in seconds.
    pub windows_s: Vec<f64>,
}

impl Rule {
    /// Writes the rule into a plan with its gears.
    pub(super) fn write(&self, plan: &mut Plan) {
        plan.switch = self.switch;
        for (gear, window_s) in plan.gears.iter_mut().zip(&self.windows_s) {
            gear.window_ms = Some(Millis::saturating(1e3 * window_s)).filter(|own| *own != self.switch.window_ms);
        }
    }
}

/// What is decided together: the gears that stay, and when to change among them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decided {
    /// Gears that stay, in order.
    pub kept: Vec<usize>,
    /// When they change.
    pub rule: Rule,
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
    /// Part of the requests that were late.
    late: f64,
    changes_per_hour: f64,
    /// Part of the requests that each gear answered.
    answered: Vec<f64>,
}

/// What a rule has to keep.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits<'a> {
    slo: &'a Slo,
    changes_per_hour_at_most: Option<f64>,
    /// Part of the requests that may be late.
    late_at_most: f64,
}

impl<'a> Limits<'a> {
    /// Returns those of a problem.
    pub(super) fn of(problem: &'a Problem) -> Self {
        Self::new(&problem.slo, problem.goal.changes_per_hour_at_most.map(f64::from))
    }

    fn new(slo: &'a Slo, changes_per_hour_at_most: Option<f64>) -> Self {
        Self { slo, changes_per_hour_at_most, late_at_most: LATE * (1.0 - slo.quantile.get()) }
    }

    /// Returns the limits where a part of the requests is late in any case, as nothing carries the load they come with.
    fn beside(self, late: f64) -> Self {
        let left = (1.0 - self.slo.quantile.get() - late).max(0.0);
        Self { late_at_most: late + LATE * left, ..self }
    }

    /// Returns the best of what was played: the first of those that are.
    fn best<T>(self, of: impl IntoIterator<Item = (Played, T)>) -> Option<(Played, T)> {
        of.into_iter().reduce(|best, next| if self.cost(&next.0) < self.cost(&best.0) { next } else { best })
    }

    /// Returns what is to be small, the first first: what goes beyond the limits, then what users feel.
    fn cost(self, played: &Played) -> [f64; 5] {
        let most = self.changes_per_hour_at_most.unwrap_or(f64::INFINITY);
        [
            (played.late - self.late_at_most).max(0.0),
            (played.changes_per_hour - most).max(0.0),
            -(played.accuracy / ALIKE).round(),
            (played.late / LATE_ALIKE).round(),
            played.changes_per_hour,
        ]
    }
}

/// Returns the rule for gears in ascending order of rate, and which of them stay: all, or those that survive the jumps of the
/// recorded load where those are `enough` and do better.
pub(super) fn decided(
    runners: &[Runner],
    limits: Limits<'_>,
    recorded: Option<&RecordedLoad>,
    enough: impl Fn(&[usize]) -> bool,
) -> Decided {
    let Some(load) = recorded.filter(|_| runners.len() > 1) else { return usual(runners) };
    let all: Vec<usize> = (0..runners.len()).collect();
    let windows: Vec<f64> = WINDOWS_S.into_iter().filter(|window_s| window_s * 4.0 <= load.length_s()).collect();
    // Everything is played on the same part of the recording, or its luck would decide.
    let looked_at = load.in_pieces(PIECES, PIECE_S);
    let played_on = PlayedOn { load: &looked_at, pieces: if looked_at == *load { 1 } else { PIECES } };
    let limits = limits.beside(late_without_changes(&runners[runners.len() - 1], limits.slo, played_on));
    let tried = windows.iter().flat_map(|&window_s| {
        let safe = survivors(runners, load, window_s, limits.slo, LATE);
        let sets = [Some(all.clone()), Some(safe).filter(|safe| *safe != all && enough(safe))];
        let ticks = Ticks::new(played_on, window_s);
        sets.into_iter().flatten().filter_map(move |kept| {
            let (played, rule) = best_of(&of(runners, &kept), limits, &ticks, window_s)?;
            Some((played, (rule, kept)))
        })
    });
    let Some((_, (switch, kept))) = limits.best(tried) else { return usual(runners) };
    let (played, windows_s) = each_its_own(&of(runners, &kept), limits, played_on, &switch, &windows);
    Decided { kept, rule: Rule { switch, windows_s }, answered: Some(played.answered) }
}

/// Returns the part of the requests that is late where the gear that carries most serves all the time.
fn late_without_changes(last: &Runner, slo: &Slo, on: PlayedOn<'_>) -> f64 {
    let ticks = Ticks::new(on, LONGEST_TICK_S);
    ticks.play(std::slice::from_ref(last), &[LONGEST_TICK_S], &Switch::default(), slo).late
}

fn of(runners: &[Runner], kept: &[usize]) -> Vec<Runner> {
    kept.iter().map(|&gear| runners[gear]).collect()
}

/// Returns the best rule with windows of one length.
fn best_of(runners: &[Runner], limits: Limits<'_>, ticks: &Ticks, window_s: f64) -> Option<(Played, Switch)> {
    let windows_s = vec![window_s; runners.len()];
    let dwells = if limits.changes_per_hour_at_most.is_some() { &DWELLS[..] } else { &DWELLS[..FREE_DWELLS] };
    let all = UPS.iter().flat_map(|&up| BANDS.iter().map(move |&band| (up, band)));
    let rules: Vec<Switch> =
        all.flat_map(|(up, band)| dwells.iter().map(move |&dwell| candidate(window_s, up, up - band, dwell))).collect();
    let play = |rule: &Switch| (ticks.play(runners, &windows_s, rule, limits.slo), *rule);
    limits.best(rules.par_iter().map(play).collect::<Vec<_>>())
}

/// Returns the window of each gear, in seconds: that of the rule, or another where that is better, one gear after another.
fn each_its_own(
    runners: &[Runner],
    limits: Limits<'_>,
    on: PlayedOn<'_>,
    rule: &Switch,
    windows: &[f64],
) -> (Played, Vec<f64>) {
    // Every window is a whole number of the shortest.
    let ticks = Ticks::new(on, windows[0]);
    let common = vec![rule.window_ms.get() / 1e3; runners.len()];
    let mut best = (ticks.play(runners, &common, rule, limits.slo), common);
    for gear in 0..runners.len() {
        let other = |window_s: &f64| {
            let mut windows_s = best.1.clone();
            windows_s[gear] = *window_s;
            (ticks.play(runners, &windows_s, rule, limits.slo), windows_s)
        };
        let tried: Vec<_> = windows.par_iter().filter(|&&window_s| window_s != best.1[gear]).map(other).collect();
        best = limits.best(std::iter::once(best).chain(tried)).expect("there is one at least");
    }
    best
}

/// Returns, where nothing was recorded, windows that see enough requests at each gear's highest rate, and a low rate for three of
/// the longest before a change down.
fn usual(runners: &[Runner]) -> Decided {
    let window_s = |rate: f64| (REQUESTS_TO_TELL_A_RATE / rate).clamp(SHORTEST_WINDOW_S, LONGEST_WINDOW_S);
    let windows_s: Vec<f64> = runners.iter().map(|runner| window_s(runner.up_to_rps)).collect();
    let longest_ms = 1e3 * windows_s.first().copied().unwrap_or(SHORTEST_WINDOW_S);
    let switch = Switch {
        window_ms: Millis::saturating(longest_ms),
        dwell_ms: Millis::saturating(3.0 * longest_ms),
        ..Switch::default()
    };
    Decided { kept: (0..runners.len()).collect(), rule: Rule { switch, windows_s }, answered: None }
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

/// A recorded load, or what is looked at of it: equally long pieces, one after the other.
#[derive(Debug, Clone, Copy)]
struct PlayedOn<'a> {
    load: &'a RecordedLoad,
    pieces: usize,
}

/// A recorded load in short ticks: the rate of each as it was, and as it may have been measured.
struct Ticks {
    tick_s: f64,
    seen: Vec<(f64, f64)>,
    /// Ticks of a piece of the recording: nothing passes from one to the next.
    piece: usize,
}

impl Ticks {
    /// Cuts a load so that a window is a whole number of ticks, none longer than the recording's steps.
    fn new(PlayedOn { load, pieces }: PlayedOn<'_>, window_s: f64) -> Self {
        let tick_s = window_s / (window_s / load.step_s().min(LONGEST_TICK_S)).ceil().max(1.0);
        let seen: Vec<(f64, f64)> = load.windows(tick_s).into_iter().zip(load.play(tick_s, SEED)).collect();
        let piece = seen.len().div_ceil(pieces).max(1);
        Self { tick_s, seen, piece }
    }

    /// Returns how many ticks a time has, rounding aside.
    fn in_s(&self, seconds: f64) -> u64 {
        (seconds / self.tick_s - 1e-6).ceil().max(1.0) as u64
    }

    /// Plays a rule as [`crate::simulate`] does, with requests as a fluid and a window for each gear. Time is counted in ticks.
    fn play(&self, runners: &[Runner], windows_s: &[f64], switch: &Switch, slo: &Slo) -> Played {
        let gears = runners.iter().zip(windows_s).map(|(runner, &window_s)| RuledGear {
            up_to_rps: runner.up_to_rps,
            window: self.in_s(window_s),
            in_flight_at_most: Some(under_way_at_most(runner.up_to_rps, slo)),
        });
        let rule = GearRule::from_gears(gears, switch, self.in_s(switch.dwell_ms.get() / 1e3));
        let mut fluid = Fluid::new(runners, slo, rule);
        for (piece, seen) in self.seen.chunks(self.piece).enumerate() {
            let mut now = (piece * self.piece) as u64;
            fluid.begin(seen[0].1, now);
            for &(rate, measured) in seen {
                now += 1;
                fluid.step(rate, measured, self.tick_s, now);
            }
        }
        fluid.played(self.seen.len() as f64 * self.tick_s / 3600.0)
    }
}

/// Requests as a fluid, served by one gear after another.
struct Fluid<'a> {
    runners: &'a [Runner],
    slo_s: f64,
    rule: GearRule,
    backlog: f64,
    /// Measured rates of the ticks of the current window, in sum, and how many they are.
    sum: f64,
    ticks: u32,
    /// Requests that came while each gear served.
    answered: Vec<f64>,
    late: f64,
    changes: u32,
}

impl<'a> Fluid<'a> {
    fn new(runners: &'a [Runner], slo: &Slo, rule: GearRule) -> Self {
        let (slo_s, answered) = (slo.latency_ms.get() / 1e3, vec![0.0; runners.len()]);
        Self { runners, slo_s, rule, backlog: 0.0, sum: 0.0, ticks: 0, answered, late: 0.0, changes: 0 }
    }

    /// Begins anew in the gear for a rate, with nothing under way.
    fn begin(&mut self, rate: f64, now: u64) {
        self.rule.begin(self.rule.gear_for(rate), now);
        (self.backlog, self.sum, self.ticks) = (0.0, 0.0, 0);
    }

    /// Serves a rate for a tick that ends now.
    fn step(&mut self, rate: f64, measured: f64, tick_s: f64, now: u64) {
        (self.sum, self.ticks) = (self.sum + measured, self.ticks + 1);
        self.serve(rate, tick_s, now);
        if now < self.rule.due() {
            return;
        }
        let seen = self.sum / f64::from(self.ticks);
        (self.sum, self.ticks) = (0.0, 0);
        if self.rule.window_ends(now, seen, self.backlog.ceil() as u32).is_some() {
            self.change_gear(now);
        }
    }

    /// Serves a rate for a time, in the middle of which a backlog may call the next gear.
    fn serve(&mut self, rate: f64, step_s: f64, now: u64) {
        let mut left_s = step_s;
        while left_s > 0.0 {
            let gear = self.rule.gear();
            let Runner { carries_rps, .. } = self.runners[gear];
            let grows = rate - carries_rps;
            let until_called_s = self.rule.in_flight_at_most().map_or(f64::INFINITY, |most| {
                // What is under way beside the backlog is what the rate brings in half the SLO's time.
                let room = f64::from(most) - 0.5 * rate * self.slo_s - self.backlog;
                match () {
                    () if room <= 0.0 => 0.0,
                    () if grows > 0.0 => room / grows,
                    () => f64::INFINITY,
                }
            });
            let here_s = left_s.min(until_called_s);
            self.backlog = (self.backlog + grows * here_s).max(0.0);
            self.answered[gear] += rate * here_s;
            if self.backlog > SLACK * self.slo_s * carries_rps {
                self.late += rate * here_s;
            }
            left_s -= here_s;
            if left_s > 0.0 && self.rule.overflow(u32::MAX).is_some() {
                self.change_gear(now);
            }
        }
    }

    /// Every model is loaded: what is called serves at once.
    fn change_gear(&mut self, now: u64) {
        self.changes += 1;
        if self.rule.ready(now) {
            (self.sum, self.ticks) = (0.0, 0);
        }
    }

    fn played(self, hours: f64) -> Played {
        let all = self.answered.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        let answered: Vec<f64> = self.answered.iter().map(|requests| requests / all).collect();
        let accuracy = answered.iter().zip(self.runners).map(|(part, gear)| part * gear.accuracy).sum();
        Played { accuracy, late: self.late / all, changes_per_hour: f64::from(self.changes) / hours, answered }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Decided, Limits, PIECE_S, PIECES, Played, PlayedOn, Runner, Ticks, candidate, decided, late_without_changes,
    };
    use crate::base::units::{Millis, Share};
    use crate::plan::Switch;
    use crate::problem::Slo;
    use crate::workload::RecordedLoad;

    const RUNNERS: [Runner; 2] = [
        Runner { up_to_rps: 1000.0, carries_rps: 1000.0, keeps_up_rps: 1500.0, latency_ms: 100.0, accuracy: 0.9 },
        Runner { up_to_rps: 4000.0, carries_rps: 4000.0, keeps_up_rps: 6000.0, latency_ms: 100.0, accuracy: 0.8 },
    ];

    fn slo() -> Slo {
        Slo { quantile: Share::saturating(0.95), latency_ms: Millis::saturating(200.0), window_s: None }
    }

    const fn whole(load: &RecordedLoad) -> PlayedOn<'_> {
        PlayedOn { load, pieces: 1 }
    }

    fn found(runners: &[Runner], recorded: Option<&RecordedLoad>, changes_per_hour_at_most: Option<f64>) -> Decided {
        decided(runners, Limits::new(&slo(), changes_per_hour_at_most), recorded, |_| true)
    }

    fn played(load: &RecordedLoad, rule: &Switch) -> Played {
        let window_s = rule.window_ms.get() / 1e3;
        Ticks::new(whole(load), window_s).play(&RUNNERS, &[window_s; 2], rule, &slo())
    }

    #[test]
    fn a_load_that_jumps_every_second_is_followed_in_parts_of_one() {
        let load = RecordedLoad::of_rates([500.0, 3000.0].repeat(300), 1.0);
        let best = found(&RUNNERS, Some(&load), None);
        assert!(best.rule.switch.window_ms.get() <= 200.0 && best.kept == [0, 1], "{best:?}");
        let one = Ticks::new(whole(&load), 0.1).play(&RUNNERS, &best.rule.windows_s, &best.rule.switch, &slo());
        // Half of the seconds are slow: 500 of 3,500 requests are right 0.9 of the time, but for what a window takes to notice.
        let most = (0.9 * 500.0 + 0.8 * 3000.0) / 3500.0;
        assert!(one.accuracy > most - 0.01 && one.late <= 0.025, "{one:?}, at most {most}");
        assert_eq!(best.answered, Some(one.answered));
        // Whoever limits changes gets no more of them.
        let slow = found(&RUNNERS, Some(&load), Some(10.0));
        let slowly = Ticks::new(whole(&load), 0.1).play(&RUNNERS, &slow.rule.windows_s, &slow.rule.switch, &slo());
        assert!(slow.kept.len() == 1 || slowly.changes_per_hour <= 10.0, "{slow:?}");
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
    fn a_gear_with_few_requests_looks_for_longer() {
        // At ten a second a tenth of a second often has three: only longer windows tell 10 from 25 apart.
        let low = Runner { up_to_rps: 25.0, carries_rps: 25.0, keeps_up_rps: 40.0, ..RUNNERS[0] };
        let load = RecordedLoad::of_rates([vec![10.0; 60], vec![3000.0; 60]].concat().repeat(5), 1.0);
        let both = [low, RUNNERS[1]];
        let Decided { rule, .. } = found(&both, Some(&load), None);
        assert!(rule.windows_s[0] >= 1.0, "{rule:?}");
        // Never worse than windows of one length.
        let slo = slo();
        let limits = Limits::new(&slo, None);
        let ticks = Ticks::new(whole(&load), 0.1);
        let own = ticks.play(&both, &rule.windows_s, &rule.switch, &slo);
        let common = ticks.play(&both, &[rule.switch.window_ms.get() / 1e3; 2], &rule.switch, &slo);
        assert!(limits.cost(&own) <= limits.cost(&common), "{own:?}, {common:?}");
    }

    #[test]
    fn what_nobody_carries_is_not_put_down_to_changes() {
        // A tenth of the seconds bring more than the last gear carries: nearly a quarter of the requests are late whatever the rule.
        let load = RecordedLoad::of_rates([vec![500.0; 9], vec![6000.0]].concat().repeat(30), 1.0);
        let Decided { rule, answered, .. } = found(&RUNNERS, Some(&load), None);
        let steady = late_without_changes(&RUNNERS[1], &slo(), whole(&load));
        assert!(steady > 0.1 && answered.is_some_and(|answered| answered[0] > 0.3), "{steady} {rule:?}");
    }

    #[test]
    fn a_long_load_is_played_in_pieces_from_its_beginning_to_its_end() {
        // A day that rises from 0 to 4,000 requests a second: pieces see its mean, and what lies between them is no change.
        let rates = (0..86_400).map(|second| 4000.0 * f64::from(second) / 86_400.0).collect();
        let load = RecordedLoad::of_rates(rates, 1.0).in_pieces(PIECES, PIECE_S);
        let ticks = Ticks::new(PlayedOn { load: &load, pieces: PIECES }, 0.1);
        let mean = ticks.seen.iter().map(|(rate, _)| rate).sum::<f64>() / ticks.seen.len() as f64;
        assert!((mean / 2000.0 - 1.0).abs() < 0.01 && ticks.seen.len() == 60_000, "{} ticks, {mean}", ticks.seen.len());
        let both = ticks.play(&RUNNERS, &[1.0; 2], &candidate(1.0, 1.0, 0.9, 1.0), &slo());
        assert!(both.answered[0] > 0.03 && both.changes_per_hour < 1.0, "{both:?}");
    }

    #[test]
    fn a_steady_load_uses_a_gear_nearly_to_its_end() {
        let load = RecordedLoad::of_rates(vec![960.0; 600], 1.0);
        let Decided { rule, .. } = found(&RUNNERS, Some(&load), None);
        assert!(rule.switch.up.get() >= 0.97 && rule.windows_s[0] >= 1.0, "{rule:?}");
        let one = found(&RUNNERS[..1], Some(&load), None);
        assert_eq!((one.rule.switch.window_ms.get(), one.answered), (100.0, None));
        let slow = Runner { up_to_rps: 20.0, carries_rps: 20.0, ..RUNNERS[0] };
        assert_eq!(found(&[slow, RUNNERS[1]], None, None).rule.windows_s, [5.0, 0.1]);
    }
}
