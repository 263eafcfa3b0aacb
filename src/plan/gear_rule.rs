//! When to change gear, as a state machine: whole numbers of time, no clock, no input or output.
//!
//! Whoever serves the requests drives it, a simulator as well as a runtime:
//!
//! ```text
//! arrive(in flight)      one more request: more in flight than the gear allows call the next gear at once
//! tick(now, in flight)   at `due`, requests or not: the window ends, and its rate or the clock says which gear comes
//! ready(now)             what the next gear needs is up: it serves from now on
//! ```
//!
//! The first two answer the gear to prepare, where that changes. The old gear serves until `ready`. Meanwhile the rule goes on
//! deciding, as if the gear that is being prepared served already: it may answer another gear, or the one that serves, which
//! abandons the change. Of the replicas that are starting, those that the answered gear wants too go on, the others are dropped.
//! At one moment `ready` comes before `tick`, and `tick` before `arrive`.
//!
//! Up: at once, over several gears where the rate asks for them. Down: one gear at a time, each after its own dwell, and not
//! while more requests are in flight than the lower gear allows. A plan with periods goes by the clock instead.

use std::time::Duration;

use super::{Plan, Switch};

/// A gear as the rule sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RuledGear {
    /// The highest rate that it carries, in requests a second.
    pub up_to_rps: f64,
    /// Length of the measurement window while it serves.
    pub window: u64,
    /// Requests in flight beyond which the next gear is called; no limit where absent.
    pub in_flight_at_most: Option<u32>,
}

/// The rule that changes gears, and where it stands.
///
/// Time is in nanoseconds. Who plays recorded rates may count in any other unit and call [`GearRule::window_ends`], as only
/// [`GearRule::tick`] makes a rate of a count.
#[derive(Debug, Clone)]
pub struct GearRule {
    gears: Vec<Limits>,
    up: f64,
    dwell: u64,
    clock: Option<Clock>,
    gear: usize,
    /// Requests that arrived in the current window.
    arrived: u64,
    /// End of the current window.
    due: u64,
    /// Start of the first of the latest windows that were all low.
    low_since: Option<u64>,
    /// The gear that is wanted: the one that serves, or that is being prepared.
    wanted: usize,
}

/// What a gear is held to.
#[derive(Debug, Clone, Copy)]
struct Limits {
    up_to_rps: f64,
    window: u64,
    /// The rate beyond which a higher gear is called.
    up_rps: f64,
    /// The rate below which a window is low.
    down_rps: f64,
    in_flight_at_most: u32,
}

/// Which gear serves from which time on.
#[derive(Debug, Clone)]
struct Clock {
    periods: Vec<(u64, usize)>,
    /// Longest time that a gear needs to come up.
    lead: u64,
}

impl GearRule {
    /// Returns the rule of a plan, which must have been validated, at time 0: in the gear for a first rate, or in that of the
    /// first period.
    #[must_use]
    pub fn new(plan: &Plan, first_rps: f64) -> Self {
        let gears = plan.gears.iter().map(|gear| RuledGear {
            up_to_rps: gear.up_to_rps.get(),
            window: nanos(plan.window_of(gear).duration()).max(1),
            in_flight_at_most: gear.under_way_at_most,
        });
        let mut rule = Self::from_gears(gears, &plan.switch, nanos(plan.switch.dwell_ms.duration()));
        let first = match plan.periods.first() {
            None => rule.gear_for(first_rps),
            Some(period) => {
                let periods = plan.periods.iter().map(|period| (nanos(period.from_ms.duration()), period.gear));
                rule.clock = Some(Clock { periods: periods.collect(), lead: 0 });
                period.gear
            }
        };
        rule.begin(first, 0);
        rule
    }

    /// Returns the rule for gears in increasing order of load, in the lowest at time 0. Of the switch only `up` and `down`
    /// count: the windows of the gears and the dwell are in one unit of time.
    #[must_use]
    pub fn from_gears(gears: impl IntoIterator<Item = RuledGear>, switch: &Switch, dwell: u64) -> Self {
        let (up, down) = (switch.up.get(), switch.down.get());
        let mut lower_rps = f64::NEG_INFINITY;
        let limits = |gear: RuledGear| {
            let down_rps = down * std::mem::replace(&mut lower_rps, gear.up_to_rps);
            Limits {
                up_to_rps: gear.up_to_rps,
                window: gear.window,
                up_rps: up * gear.up_to_rps,
                down_rps,
                in_flight_at_most: gear.in_flight_at_most.unwrap_or(u32::MAX),
            }
        };
        let mut gears: Vec<Limits> = gears.into_iter().map(limits).collect();
        // Below the first gear there is none to call, nor above the last.
        if let Some(first) = gears.first_mut() {
            first.down_rps = f64::NEG_INFINITY;
        }
        if let Some(last) = gears.last_mut() {
            last.in_flight_at_most = u32::MAX;
        }
        let due = gears.first().map_or(u64::MAX, |first| first.window);
        Self { gears, up, dwell, clock: None, gear: 0, arrived: 0, due, low_since: None, wanted: 0 }
    }

    /// Returns the rule where gears need as long as this to come up: a clock looks so far ahead.
    #[must_use]
    pub fn with_lead(mut self, lead: u64) -> Self {
        if let Some(clock) = &mut self.clock {
            clock.lead = lead;
        }
        self
    }

    /// Begins anew in a gear, with nothing measured.
    pub fn begin(&mut self, gear: usize, now: u64) {
        self.gear = gear;
        self.arrived = 0;
        self.due = now.saturating_add(self.gears[gear].window);
        self.low_since = None;
        self.wanted = gear;
    }

    /// Returns the gear that serves.
    #[inline]
    #[must_use]
    pub const fn gear(&self) -> usize {
        self.gear
    }

    /// Returns the gear that is being prepared.
    #[inline]
    #[must_use]
    pub const fn preparing(&self) -> Option<usize> {
        if self.wanted == self.gear { None } else { Some(self.wanted) }
    }

    /// Returns when the current window ends.
    #[inline]
    #[must_use]
    pub const fn due(&self) -> u64 {
        self.due
    }

    /// Returns the requests in flight beyond which the gear that serves calls the next one.
    #[inline]
    #[must_use]
    pub fn in_flight_at_most(&self) -> Option<u32> {
        Some(self.gears[self.gear].in_flight_at_most).filter(|most| *most < u32::MAX)
    }

    /// Returns the gear for a rate: the first that carries the rate ÷ `up`, else the last.
    #[must_use]
    pub fn gear_for(&self, rate_rps: f64) -> usize {
        let rate = rate_rps / self.up;
        self.gears.iter().position(|gear| gear.up_to_rps >= rate).unwrap_or(self.gears.len().saturating_sub(1))
    }

    /// One request arrives; those in flight count it. Returns the gear to prepare, where that changes.
    #[inline]
    pub fn arrive(&mut self, in_flight: u32) -> Option<usize> {
        self.arrived += 1;
        self.overflow(in_flight)
    }

    /// Returns the next gear where more requests are in flight than the one that serves allows, whatever the rate; where the one
    /// that is being prepared is lower, than that one allows. While a higher one is being prepared, the rate says whether it is enough.
    #[inline]
    pub fn overflow(&mut self, in_flight: u32) -> Option<usize> {
        let is_over = self.wanted <= self.gear && in_flight > self.gears[self.wanted].in_flight_at_most;
        if is_over && self.clock.is_none() { self.prepare(self.wanted + 1) } else { None }
    }

    /// The window is over, at [`GearRule::due`] or as soon after it as somebody looked. Returns the gear to prepare, where that
    /// changes.
    pub fn tick(&mut self, now: u64, in_flight: u32) -> Option<usize> {
        let window = self.gears[self.gear].window;
        if let Some(clock) = &self.clock {
            // What comes before the end of the next window must be asked for now.
            let wanted = self.most_within(clock, now, now.saturating_add(window).saturating_add(clock.lead));
            return self.aim(now, wanted);
        }
        let rate = self.arrived as f64 * 1e9 / window as f64;
        self.window_ends(now, rate, in_flight)
    }

    /// A window with this rate is over. Returns the gear to prepare, where that changes.
    pub fn window_ends(&mut self, now: u64, rate_rps: f64, in_flight: u32) -> Option<usize> {
        let window = self.gears[self.gear].window;
        let Limits { up_rps, down_rps, .. } = self.gears[self.wanted];
        self.next_window(now, window);
        if rate_rps < down_rps {
            self.low_since.get_or_insert(now.saturating_sub(window));
        } else {
            self.low_since = None;
        }
        if rate_rps > up_rps {
            let to = self.gear_for(rate_rps);
            return if to > self.wanted { self.prepare(to) } else { None };
        }
        let rested = self.low_since.is_some_and(|since| now - since >= self.dwell);
        // A window is low only where there is a lower gear.
        if rested && in_flight <= self.gears[self.wanted - 1].in_flight_at_most {
            return self.prepare(self.wanted - 1);
        }
        None
    }

    /// A window is over, and something else than its rate asks for a gear: the clock, or an oracle. Returns the gear if that
    /// changes what is to be prepared.
    pub fn aim(&mut self, now: u64, gear: usize) -> Option<usize> {
        self.next_window(now, self.gears[self.gear].window);
        if gear == self.wanted { None } else { self.prepare(gear) }
    }

    /// What the next gear needs is up: it serves from now on. Returns whether a new window begins, as it looks at the rate for
    /// another time than the gear before.
    pub fn ready(&mut self, now: u64) -> bool {
        let (before, after) = (self.gears[self.gear].window, self.gears[self.wanted].window);
        self.gear = self.wanted;
        if before != after {
            self.next_window(now, after);
        }
        before != after
    }

    fn prepare(&mut self, gear: usize) -> Option<usize> {
        // What was low for another gear need not be low for this one.
        self.low_since = None;
        self.wanted = gear;
        Some(gear)
    }

    fn next_window(&mut self, now: u64, window: u64) {
        self.arrived = 0;
        self.due = now.saturating_add(window);
    }

    /// Returns the gear that carries most of those that the clock has in this time; of equals the earliest.
    fn most_within(&self, clock: &Clock, from: u64, to: u64) -> usize {
        let at = |time: u64| clock.periods.partition_point(|(begin, _)| *begin <= time).max(1) - 1;
        let gears = clock.periods[at(from)..=at(to)].iter().map(|(_, gear)| *gear);
        let carries = |gear: usize| self.gears[gear].up_to_rps;
        gears
            .reduce(|most, next| if carries(next) > carries(most) { next } else { most })
            .expect("a clock has a period")
    }
}

/// Returns a time in nanoseconds.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Clock, GearRule, RuledGear};
    use crate::base::units::Share;
    use crate::plan::Switch;
    use crate::stats::Dice;

    const SECOND: u64 = 1_000_000_000;

    /// Gears up to 100, 200 and 400 requests a second, with windows of a second; up at 90 %, down below 80 % for 3 s.
    fn three_gears() -> GearRule {
        with_windows([1, 1, 1])
    }

    fn with_windows(seconds: [u64; 3]) -> GearRule {
        let gears = [100.0, 200.0, 400.0].into_iter().zip(seconds).map(|(up_to_rps, seconds)| RuledGear {
            up_to_rps,
            window: seconds * SECOND,
            in_flight_at_most: Some((up_to_rps / 10.0) as u32),
        });
        let switch = Switch { up: Share::saturating(0.9), down: Share::saturating(0.8), ..Switch::default() };
        GearRule::from_gears(gears, &switch, 3 * SECOND)
    }

    /// Lets requests arrive in one window, with as many in flight, and ends it.
    fn window(rule: &mut GearRule, arrivals: u32, in_flight: u32) -> Option<usize> {
        for _ in 0..arrivals {
            assert_eq!(rule.arrive(0), None);
        }
        rule.tick(rule.due(), in_flight)
    }

    /// As [`window`], with a gear that is up at once.
    fn changes(rule: &mut GearRule, arrivals: u32) -> usize {
        if window(rule, arrivals, 0).is_some() {
            rule.ready(rule.due() - SECOND);
        }
        rule.gear()
    }

    #[test]
    fn a_high_rate_calls_the_gear_that_carries_it_at_once() {
        let mut rule = three_gears();
        assert_eq!(changes(&mut rule, 90), 0, "at the border");
        assert_eq!(changes(&mut rule, 91), 1);
        assert_eq!(rule.due(), 3 * SECOND);
        assert_eq!(changes(&mut rule, 5000), 2, "beyond the last gear");
        assert_eq!(changes(&mut rule, 5000), 2);
        let mut rule = three_gears();
        assert_eq!(changes(&mut rule, 181), 2, "over two gears: the second carries 180 / 0.9");
    }

    #[test]
    fn a_low_rate_calls_one_gear_at_a_time_each_after_its_dwell() {
        let mut rule = three_gears();
        rule.begin(2, 0);
        let gears: Vec<usize> = (0..7).map(|_| changes(&mut rule, 10)).collect();
        assert_eq!(gears, [2, 2, 1, 1, 1, 0, 0]);
        // One window that is not low begins the dwell anew: 160 is no less than 80 % of 200.
        rule.begin(2, 0);
        let gears: Vec<usize> = [159, 159, 160, 159, 159, 159].map(|arrivals| changes(&mut rule, arrivals)).to_vec();
        assert_eq!(gears, [2, 2, 2, 2, 2, 1]);
    }

    #[test]
    fn requests_in_flight_call_the_next_gear_in_mid_window_and_keep_the_lower_one_away() {
        let mut rule = three_gears();
        assert_eq!((rule.in_flight_at_most(), rule.arrive(10)), (Some(10), None));
        assert_eq!(rule.arrive(11), Some(1));
        assert_eq!((rule.arrive(99), rule.preparing(), rule.gear()), (None, Some(1), 0), "a change is under way");
        assert!(!rule.ready(SECOND / 2), "windows are equally long");
        assert_eq!((rule.gear(), rule.preparing(), rule.due()), (1, None, SECOND));
        // Low for three windows, but more are in flight than the lower gear allows.
        assert_eq!([0; 3].map(|_| window(&mut rule, 10, 11)), [None; 3]);
        assert_eq!(window(&mut rule, 10, 10), Some(0));
        // The last gear has none to call.
        rule.begin(2, 0);
        assert_eq!((rule.in_flight_at_most(), rule.arrive(1000)), (None, None));
    }

    #[test]
    fn a_gear_with_its_own_window_begins_one_when_it_serves() {
        let mut rule = with_windows([2, 1, 1]);
        assert_eq!(window(&mut rule, 190, 0), Some(1), "95 a second in two");
        assert!(rule.ready(5 * SECOND / 2));
        assert_eq!(rule.due(), 7 * SECOND / 2);
        // Requests before the new window do not count in it.
        rule.begin(0, 0);
        (0..150).for_each(|_| assert_eq!(rule.arrive(1), None));
        assert_eq!(rule.overflow(11), Some(1));
        assert!(rule.ready(SECOND / 4));
        assert_eq!(rule.due(), 5 * SECOND / 4);
        assert_eq!(window(&mut rule, 100, 0), None, "100 a second, not 250");
        // Windows of one length go on: those before the change count.
        assert_eq!(rule.overflow(21), Some(2));
        assert!(!rule.ready(rule.due() - SECOND));
    }

    /// By hand: 95 a second call the second gear at 1 s; 300 the third at 2 s; 185 are low for neither; 150 are low for the third
    /// from 3 s on, so at 6 s the second is enough; 75 are low for that from 6 s on, so at 9 s the change is abandoned.
    #[test]
    fn a_change_under_way_leads_to_where_the_rate_asks() {
        let mut rule = three_gears();
        let mut wanted = Vec::new();
        for rate in [95, 300, 185, 150, 150, 150, 75, 75, 75, 75] {
            wanted.push((window(&mut rule, rate, 0), rule.preparing(), rule.gear()));
        }
        let goes_on = |gear| (None, Some(gear), 0);
        let asks = |gear| (Some(gear), Some(gear), 0);
        let here = (None, None, 0);
        assert_eq!(
            wanted,
            [
                asks(1),
                asks(2),
                goes_on(2),
                goes_on(2),
                goes_on(2),
                asks(1),
                goes_on(1),
                goes_on(1),
                (Some(0), None, 0),
                here
            ]
        );
        assert_eq!((rule.ready(rule.due() - SECOND), rule.gear()), (false, 0), "nothing is prepared any more");
    }

    #[test]
    fn a_change_down_is_abandoned_as_soon_as_more_comes() {
        let down = || {
            let mut rule = three_gears();
            rule.begin(2, 0);
            assert_eq!([0; 3].map(|_| window(&mut rule, 10, 0)), [None, None, Some(1)]);
            rule
        };
        let mut rule = down();
        assert_eq!((window(&mut rule, 181, 0), rule.preparing(), rule.gear()), (Some(2), None, 2), "by its rate");
        let mut rule = down();
        assert_eq!(
            (rule.arrive(20), rule.arrive(21), rule.preparing()),
            (None, Some(2), None),
            "by requests in flight"
        );
        // The next gear down is called after a dwell of its own, whether the first is up or not.
        let mut rule = down();
        assert_eq!([0; 3].map(|_| window(&mut rule, 10, 0)), [None, None, Some(0)]);
        assert!(!rule.ready(rule.due() - SECOND));
        assert_eq!((rule.gear(), rule.preparing()), (0, None));
    }

    #[test]
    fn requests_in_flight_do_not_climb_while_a_higher_gear_is_being_prepared() {
        let mut rule = three_gears();
        assert_eq!((rule.arrive(11), rule.arrive(500), rule.preparing()), (Some(1), None, Some(1)));
        assert_eq!(window(&mut rule, 300, 500), Some(2), "the rate does");
    }

    /// A constant load under a border: changes are no more than one up and one down in a dwell, and far fewer where the margin
    /// between the border and the rate is a few standard deviations of a window.
    #[test]
    fn a_constant_load_changes_gear_seldom() {
        const HOURS: u64 = 3;
        let changes = |rate: f64| {
            let (mut rule, mut arrivals) = (three_gears(), PoissonCounts::new(rate));
            let mut changes = 0;
            for _ in 0..HOURS * 3600 {
                changes += u64::from(changes_with(&mut rule, arrivals.next()));
            }
            changes
        };
        // Up at 90, down below 80 for 3 s, from a mean of 79: many windows are beyond either.
        let most = HOURS * 3600 * 2 / 4;
        assert!((100..=most).contains(&changes(79.0)), "{}", changes(79.0));
        // At 60 about one window in 7,000 has more than 90; each costs one change up and one down.
        assert!(changes(60.0) <= 2 * 6, "{}", changes(60.0));
    }

    /// Lets a window have so many requests; returns whether the gear changed, which is up at once.
    fn changes_with(rule: &mut GearRule, arrivals: u32) -> bool {
        let before = rule.gear();
        changes(rule, arrivals) != before
    }

    /// Numbers of requests in a second, at a constant rate.
    struct PoissonCounts {
        dice: Dice,
        rate: f64,
    }

    impl PoissonCounts {
        fn new(rate: f64) -> Self {
            Self { dice: Dice::new(17, 0), rate }
        }

        fn next(&mut self) -> u32 {
            let (mut count, mut time) = (0, 0.0);
            loop {
                time -= self.dice.unit().ln();
                if time > self.rate {
                    return count;
                }
                count += 1;
            }
        }
    }

    #[test]
    fn a_clock_brings_up_what_carries_more_before_its_period_and_what_carries_less_in_it() {
        let mut rule = three_gears();
        rule.clock = Some(Clock { periods: vec![(0, 0), (10 * SECOND, 2), (20 * SECOND, 1)], lead: 0 });
        let mut rule = rule.with_lead(2 * SECOND);
        assert_eq!(rule.arrive(1000), None, "a clock does not look at requests");
        let mut changes = Vec::new();
        for second in 1..40 {
            if let Some(to) = rule.tick(rule.due(), 1000) {
                changes.push((second, to));
                rule.ready(rule.due() - SECOND);
            }
        }
        // Two seconds to come up and a window before the tenth second; down in the twentieth.
        assert_eq!(changes, [(7, 2), (20, 1)]);
    }

    #[test]
    fn an_oracle_may_aim_at_any_gear() {
        let mut rule = three_gears();
        assert_eq!(rule.aim(SECOND, 2), Some(2));
        assert_eq!((rule.aim(2 * SECOND, 1), rule.due()), (Some(1), 3 * SECOND), "another than the one on its way");
        rule.ready(2 * SECOND);
        assert_eq!((rule.aim(3 * SECOND, 1), rule.aim(4 * SECOND, 0)), (None, Some(0)));
        assert_eq!((rule.aim(5 * SECOND, 1), rule.preparing()), (Some(1), None), "abandoned");
    }
}
