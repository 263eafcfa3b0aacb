//! What devices there are, and what a model's visits take on each within a limit on turns.
//!
//! ```text
//! R = A ÷ (1 − U) ≤ R_max = SLO ÷ (2 h)      so      U ≤ 1 − A ÷ R_max
//! ```
//!
//! A latency objective is nothing but a cap on utilisation; `h` counts the devices on a request's way.

use crate::facts::Facts;
use crate::plan::law::cycle::{TURNS, Visit};
use crate::problem::{HardwareKind, Resource};
use crate::problem::{Problem, Slo};

/// Part of the best time a call that a smaller batch may give away: it blocks the replica's other queues for less time.
const WORTH_A_LARGER_BATCH: f64 = 0.05;

/// A kind of device.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Device {
    /// Its name in the inventory.
    pub name: String,
    /// What a replica runs on.
    pub on: Resource,
    /// Memory of one, in megabytes; infinite where nobody said.
    pub memory_mb: f64,
    /// How many there are.
    pub at_most: u32,
    /// Price of one for an hour: dollars, or 1 a core where cores have no price.
    pub price: f64,
}

/// Returns the devices of an inventory: its machines, or its cores one by one where it names none.
pub(crate) fn devices(problem: &Problem) -> Vec<Device> {
    let inventory = &problem.inventory;
    let of = |kind: HardwareKind<'_>| match kind {
        HardwareKind::Cores { .. } => Some(Device {
            name: "core".to_owned(),
            on: kind.whole(),
            memory_mb: f64::INFINITY,
            at_most: problem.core_budget(),
            price: inventory.core_price(),
        }),
        HardwareKind::Machine(machine) | HardwareKind::Device(machine) => Some(Device {
            name: machine.name.clone(),
            on: kind.whole(),
            memory_mb: machine.memory(),
            at_most: machine.at_most,
            price: machine.price_usd_per_hour.get(),
        }),
        HardwareKind::Function(_) => None,
    };
    inventory.kinds().filter_map(of).collect()
}

/// What a model's visits take on a device where a turn may take so long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::rooms) struct Speed {
    /// The line over its times, and its largest batch.
    pub visit: Visit,
    /// Time of a call however many wait: that of a full batch where turns within the limit may fill one.
    pub each_ms: f64,
}

/// Speeds of every model on every device.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::rooms) struct Speeds {
    /// The longest turn, in milliseconds (R_max).
    pub turn_ms: f64,
    /// By device, then by model; `None` where a model cannot be served there in time.
    of: Vec<Vec<Option<Speed>>>,
}

impl Speeds {
    /// Returns the speeds for requests that visit so many devices on their way.
    pub(in crate::rooms) fn new(
        slo: &Slo,
        devices: &[Device],
        models: &[String],
        facts: &Facts,
        visits: usize,
    ) -> Self {
        let turn_ms = slo.latency_ms.get() / (TURNS * visits as f64);
        let on = |device: &Device| models.iter().map(|model| speed(facts, model, &device.on, turn_ms)).collect();
        Self { turn_ms, of: devices.iter().map(on).collect() }
    }

    #[cfg(test)]
    pub(in crate::rooms) const fn given(turn_ms: f64, of: Vec<Vec<Option<Speed>>>) -> Self {
        Self { turn_ms, of }
    }

    /// Returns the speed of a model on a device.
    pub(in crate::rooms) fn of(&self, device: usize, model: usize) -> Option<Speed> {
        self.of[device][model]
    }
}

/// Returns the means of batches 1, 2, … that were measured, or lie between measured ones, of at most so long.
fn means(facts: &Facts, model: &str, on: &Resource, at_most_ms: f64) -> Vec<f64> {
    let Some(curve) = facts.curve(model, on.device()) else { return Vec::new() };
    (1..)
        .map_while(|batch| Some(curve.at(on.cores(), batch)?.law.mean_ms()))
        .take_while(|ms| *ms <= at_most_ms)
        .collect()
}

fn speed(facts: &Facts, model: &str, on: &Resource, turn_ms: f64) -> Option<Speed> {
    let means = means(facts, model, on, turn_ms);
    let measured = facts.curve(model, on.device())?.batches(on.cores());
    let speeds: Vec<(f64, Speed)> = (1..=means.len())
        .filter(|batch| measured.contains(&(*batch as u32)) || *batch == means.len())
        .filter_map(|batch| {
            let visit = Visit::over(&means[..batch]);
            // A batch that fills in a turn takes longer than the turn with the next call: then none ever fills.
            let never_full = visit.full_ms * f64::from(batch as u32) + visit.each_ms >= turn_ms;
            let each_ms = if never_full { visit.each_ms } else { visit.full_ms };
            let left = 1.0 - visit.first_ms / turn_ms;
            (left > 0.0).then_some((left / each_ms, Speed { visit, each_ms }))
        })
        .collect();
    let best = speeds.iter().map(|(rate, _)| *rate).fold(0.0, f64::max);
    let enough = |(rate, _): &&(f64, Speed)| *rate >= best * (1.0 - WORTH_A_LARGER_BATCH);
    speeds.iter().find(enough).map(|(_, speed)| *speed)
}
