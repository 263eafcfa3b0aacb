//! What machines that are rented whole have cost, and what is paid for time that is not used.

use super::ids::{GearId, Table};
use super::walk::{GearWalk, KindWalk};
use crate::problem::Billing;

const NS_PER_HOUR: f64 = 3.6e12;

/// When each of what is rented began, the oldest first, and what is paid of it beyond its use.
///
/// Time is paid as it passes; what is given back in the middle of a step, or before the least time is over, pays the rest then.
/// So a rent that goes on beyond the trial is paid as far as the trial goes, and one that ended is paid as its bill says.
#[derive(Debug, Default)]
pub struct Leases {
    /// How time is billed, where not to the moment.
    billing: Option<Billing>,
    begun: Vec<u64>,
    /// Time that was paid and not used since counting began, in nanoseconds.
    unused_ns: u64,
}

impl Leases {
    /// Begins with so many, rented at time 0.
    pub fn new(billing: Option<Billing>, count: u32) -> Self {
        let mut leases = Self { billing, ..Self::default() };
        leases.hold(0, count);
        leases
    }

    /// So many are rented from now on; what was rented last is given back first.
    pub fn hold(&mut self, now: u64, count: u32) {
        let Some(billing) = self.billing else { return };
        for begun in self.begun.drain((count as usize).min(self.begun.len())..) {
            self.unused_ns += billing.paid_ns(now - begun) - (now - begun);
        }
        self.begun.resize(count as usize, now);
    }

    /// Counts from now on.
    pub const fn restart(&mut self) {
        self.unused_ns = 0;
    }

    /// Returns the time that was paid and not used since counting began, in nanoseconds.
    pub const fn unused_ns(&self) -> u64 {
        self.unused_ns
    }
}

/// Rent from the beginning of counting on. Of every kind as many machines are paid as the gear needs; while a change is
/// under way, as many as the one of the two gears that needs more.
#[derive(Debug)]
pub struct Rent {
    kinds: Vec<RentOfKind>,
    usd_per_hour: f64,
    since: u64,
    usd: f64,
}

#[derive(Debug)]
struct RentOfKind {
    usd_per_hour: f64,
    leases: Leases,
}

/// Returns the machines of each kind that are paid in a gear, or while the next one is prepared.
pub fn machines(gears: &Table<GearId, GearWalk>, now: GearId, next: Option<GearId>) -> Vec<u32> {
    let needs = |gear: GearId, kind: usize| gears[gear].machines[kind];
    let most = |kind: usize| next.map_or(0, |next| needs(next, kind)).max(needs(now, kind));
    (0..gears[now].machines.len()).map(most).collect()
}

impl Rent {
    /// Begins with so many machines of each kind, at time 0.
    pub fn new(kinds: &[KindWalk], machines: &[u32]) -> Self {
        let of_kind = |(kind, &count): (&KindWalk, &u32)| RentOfKind {
            usd_per_hour: kind.usd_per_hour,
            leases: Leases::new(kind.billing, count),
        };
        let kinds = kinds.iter().zip(machines).map(of_kind).collect();
        let mut rent = Self { kinds, usd_per_hour: 0.0, since: 0, usd: 0.0 };
        rent.hold(0, machines);
        rent
    }

    /// So many machines of each kind are rented from now on.
    pub fn hold(&mut self, now: u64, machines: &[u32]) {
        self.usd = self.used_usd(now);
        self.since = now;
        self.usd_per_hour = 0.0;
        for (kind, &count) in self.kinds.iter_mut().zip(machines) {
            kind.leases.hold(now, count);
            self.usd_per_hour += f64::from(count) * kind.usd_per_hour;
        }
    }

    /// Counts from now on.
    pub fn restart(&mut self, now: u64) {
        self.usd = 0.0;
        self.since = now;
        self.kinds.iter_mut().for_each(|kind| kind.leases.restart());
    }

    /// Returns what was paid since counting began.
    pub fn so_far(&self, now: u64) -> f64 {
        let unused = |kind: &RentOfKind| kind.usd_per_hour * kind.leases.unused_ns() as f64 / NS_PER_HOUR;
        self.used_usd(now) + self.kinds.iter().map(unused).sum::<f64>()
    }

    fn used_usd(&self, now: u64) -> f64 {
        self.usd + self.usd_per_hour * (now - self.since) as f64 / NS_PER_HOUR
    }
}

#[cfg(test)]
mod tests {
    use super::{Leases, Rent};
    use crate::base::units::Seconds;
    use crate::problem::Billing;
    use crate::simulate::walk::KindWalk;

    const SECOND: u64 = 1_000_000_000;

    fn billing(step_s: f64, least_s: f64) -> Option<Billing> {
        Some(Billing { step_s: Seconds::saturating(step_s), least_s: Seconds::saturating(least_s) })
    }

    #[test]
    fn a_started_step_is_paid_whole() {
        // Of 7 s in steps of 10 s, 3 s are paid and not used; of 20 s none; of 21 s there are 9 s.
        for (lasted, unused) in [(7, 3), (20, 0), (21, 9)] {
            let mut leases = Leases::new(billing(10.0, 0.0), 1);
            leases.hold(lasted * SECOND, 0);
            assert_eq!(leases.unused_ns(), unused * SECOND, "{lasted}");
        }
    }

    #[test]
    fn the_least_time_is_paid_and_what_was_rented_last_goes_first() {
        let mut leases = Leases::new(billing(1.0, 60.0), 1);
        leases.hold(100 * SECOND, 3);
        // The two of 100 s on are given back after 20.5 s and 70.5 s: 39.5 s and half a second are not used.
        leases.hold(120 * SECOND + SECOND / 2, 2);
        leases.hold(170 * SECOND + SECOND / 2, 1);
        assert_eq!(leases.unused_ns(), 40 * SECOND);
        leases.restart();
        leases.hold(171 * SECOND, 0);
        assert_eq!(leases.unused_ns(), 0);
    }

    #[test]
    fn a_rent_adds_what_is_used_and_what_is_not() {
        // A dollar a second, in steps of 10 s.
        let kinds = [KindWalk { usd_per_hour: 3600.0, boot_ns: 0, billing: billing(10.0, 0.0) }];
        let mut rent = Rent::new(&kinds, &[1]);
        rent.hold(12 * SECOND, &[3]);
        rent.hold(25 * SECOND, &[1]);
        // One for 30 s, two for 13 s of which 20 s each are paid.
        assert!((rent.so_far(30 * SECOND) - (30.0 + 2.0 * 20.0)).abs() < 1e-9);
    }
}
