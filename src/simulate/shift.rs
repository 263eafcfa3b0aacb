//! When to change gear: up at once, down after the dwell.

use std::time::Duration;

use super::Timetable;
use super::ids::{GearId, Id, Table};
use super::walk::nanos;
use crate::plan::Plan;
use crate::workload::Arrivals;

/// The state of gear changing. While one change is under way no other is decided.
#[derive(Debug)]
pub struct Shift {
    /// Length of the switch window while each gear serves.
    windows_ns: Table<GearId, u64>,
    dwell_ns: u64,
    /// Arrivals in the current switch window.
    pub arrivals: u64,
    /// Start of the first of the latest windows that were all low.
    low_since: Option<u64>,
    /// The next gear and when it was decided.
    next: Option<(GearId, u64)>,
}

impl Shift {
    pub fn new(plan: &Plan) -> Self {
        Self {
            windows_ns: plan.gears.iter().map(|gear| nanos(plan.window_of(gear).duration()).max(1)).collect(),
            dwell_ns: nanos(plan.switch.dwell_ms.duration()),
            arrivals: 0,
            low_since: None,
            next: None,
        }
    }

    /// Returns the length of the window while a gear serves.
    pub fn window_ns(&self, gear: GearId) -> u64 {
        self.windows_ns[gear]
    }

    /// One gear follows another: returns whether a new window begins, as the new gear looks at the rate for another time.
    pub fn looks_anew(&mut self, old: GearId, new: GearId) -> bool {
        let anew = self.windows_ns[old] != self.windows_ns[new];
        if anew {
            self.arrivals = 0;
        }
        anew
    }

    /// Returns the gear to change to at the end of a window. Down goes one gear at a time, each after its own dwell, and not
    /// while more requests are under way than the lower gear allows.
    pub fn decide(&mut self, plan: &Plan, gear: GearId, under_way: u32, now: u64) -> Option<GearId> {
        let window_ns = self.windows_ns[gear];
        let rate = self.arrivals as f64 * 1e9 / window_ns as f64;
        self.arrivals = 0;
        let index = gear.index();
        let switch = &plan.switch;
        let lower = index.checked_sub(1).map(|lower| plan.gears[lower].up_to_rps.get());
        if lower.is_some_and(|lower| rate < switch.down.get() * lower) {
            self.low_since.get_or_insert(now - window_ns);
        } else {
            self.low_since = None;
        }
        if self.next.is_some() {
            return None;
        }
        if rate > switch.up.get() * plan.gears[index].up_to_rps.get() {
            let to = plan.gear_at(rate / switch.up.get());
            return (to > index).then(|| GearId::of(to));
        }
        let rested = self.low_since.is_some_and(|since| now - since >= self.dwell_ns);
        let allows = |lower: usize| plan.gears[lower].under_way_at_most.is_none_or(|most| under_way <= most);
        (rested && allows(index - 1)).then(|| GearId::of(index - 1))
    }

    /// Returns the gear for the highest rate from now until `far` ahead, as an oracle would take it.
    pub fn foresee(&self, plan: &Plan, arrivals: &Arrivals, now: u64, far: Duration) -> GearId {
        let from = now as f64 / 1e9;
        let rate = arrivals.highest_rate(from, from + far.as_secs_f64());
        GearId::of(plan.gear_at(rate / plan.switch.up.get()))
    }

    /// Returns the gear of a timetable that carries most from now until so far ahead; of equals that of the earliest period.
    pub fn of_timetable(&self, plan: &Plan, table: &Timetable, now: u64, ahead_ns: u64) -> GearId {
        let period = |at: u64| (at / nanos(table.period).max(1)) as usize;
        let last = table.gears.len() - 1;
        let (from, to) = (period(now).min(last), period(now.saturating_add(ahead_ns)).min(last));
        let gears = table.gears[from..=to].iter().copied();
        let carries = |gear: usize| plan.gears[gear].up_to_rps;
        let most = gears.reduce(|most, next| if carries(next) > carries(most) { next } else { most });
        GearId::of(most.expect("a timetable has a period"))
    }

    /// A change was decided.
    pub fn begins(&mut self, to: GearId, now: u64) {
        self.next = Some((to, now));
        self.low_since = None;
    }

    /// The replicas are up: returns the gear and when it was decided.
    pub fn ends(&mut self) -> Option<(GearId, u64)> {
        // What was low for the old gear need not be low for the new one.
        self.low_since = None;
        self.next.take()
    }

    /// Returns the gear that a change under way leads to.
    pub fn next_gear(&self) -> Option<GearId> {
        self.next.map(|(gear, _)| gear)
    }

    /// Tells whether no change is under way.
    pub const fn is_quiet(&self) -> bool {
        self.next.is_none()
    }
}
