//! What machines that are rented whole have cost.

use super::ids::{GearId, Table};
use super::walk::GearWalk;

const NS_PER_HOUR: f64 = 3.6e12;

/// Rent from the beginning of counting on. Of every kind as many machines are paid as the gear needs; while a change is
/// under way, as many as the one of the two gears that needs more.
#[derive(Debug)]
pub struct Rent {
    usd_per_hour: f64,
    since: u64,
    usd: f64,
}

impl Rent {
    /// Returns what these gears pay together for an hour, at such prices of each kind.
    pub fn of(gears: &Table<GearId, GearWalk>, prices: &[f64], now: GearId, next: Option<GearId>) -> f64 {
        let needs = |gear: GearId, kind: usize| gears[gear].machines[kind];
        let most = |kind: usize| next.map_or(0, |next| needs(next, kind)).max(needs(now, kind));
        prices.iter().enumerate().map(|(kind, price)| f64::from(most(kind)) * price).sum()
    }

    /// Begins with so much for an hour, at time 0.
    pub fn at(usd_per_hour: f64) -> Self {
        Self { usd_per_hour, since: 0, usd: 0.0 }
    }

    /// Pays so much from now on.
    pub fn set(&mut self, now: u64, usd_per_hour: f64) {
        self.usd = self.so_far(now);
        self.since = now;
        self.usd_per_hour = usd_per_hour;
    }

    /// Counts from now on.
    pub fn restart(&mut self, now: u64) {
        self.usd = 0.0;
        self.since = now;
    }

    /// Returns what was paid since counting began.
    pub fn so_far(&self, now: u64) -> f64 {
        self.usd + self.usd_per_hour * (now - self.since) as f64 / NS_PER_HOUR
    }
}
