//! Which models a device holds, and what a cascade carries on a number of devices of each kind and pattern.
//!
//! Only maximal patterns matter: sets of models that fit and to which nothing can be added, as holding more never hurts. A
//! placement is a number of devices for each pattern. A request either *stays* on the device where it began, which must
//! hold all models of its cascade, or *moves* from one to another at every stage:
//!
//! ```text
//! stays    q = Σ_p n_p ρ_p ÷ W                              W = Σ_m φ_m β_m, p over patterns that hold them all, h = 1
//! moves    q = min_S [Σ_{p meets S} n_p ρ_p] ÷ Σ_{m∈S} φ_m β_m      S over all non-empty sets of its models, h = stages
//! ρ_p = 1 − A_p ÷ R_max(h)
//! ```
//!
//! The minimum over sets is max-flow by min-cut (Gale, Hall). On devices of several kinds a call takes different time on
//! different ones; the flow then has gains, and a linear program with a row a model and a pattern tells the rate.

use super::latency::{Device, Speeds};
use crate::base::rounding::SUMS;
use crate::optimize::lp;
use crate::rooms::exits::Cascade;

/// Most models that patterns are enumerated for.
pub(in crate::rooms) const MOST_MODELS: usize = 20;

/// A pattern on a kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rooms) struct Slot {
    /// Index of the device.
    pub device: usize,
    /// The models that it holds, a bit each.
    pub holds: u32,
}

/// Returns every maximal pattern of every kind of device, over the models that `used` names by bits.
pub(in crate::rooms) fn slots(devices: &[Device], memory_mb: &[f64], used: u32) -> Vec<Slot> {
    let mut slots = Vec::new();
    for (index, device) in devices.iter().enumerate() {
        let size =
            |set: u32| memory_mb.iter().enumerate().filter(|(m, _)| set >> m & 1 == 1).map(|(_, mb)| mb).sum::<f64>();
        let fits = |set: u32| size(set) <= device.memory_mb * (1.0 + SUMS);
        let bits = || (0..memory_mb.len()).map(|model| 1_u32 << model).filter(|bit| used & bit != 0);
        let is_maximal = |set: u32| fits(set) && bits().all(|bit| set & bit != 0 || !fits(set | bit));
        // Subsets of `used`, the largest first.
        let mut set = used;
        while set != 0 {
            if is_maximal(set) {
                slots.push(Slot { device: index, holds: set });
            }
            set = (set - 1) & used;
        }
    }
    slots
}

/// A cascade with what devices of each slot carry of it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::rooms) struct Rated {
    /// Index into the list of cascades.
    pub cascade: usize,
    /// Part of requests answered rightly.
    pub accuracy: f64,
    /// Requests a second that stay on one device of each slot; 0 where it does not hold all models.
    pub stays: Vec<f64>,
    /// The same where all that counts is keeping up, however long a turn takes.
    pub keeps_up: Vec<f64>,
    /// What moving requests ask and find; `None` where moving never pays.
    pub moves: Option<Moves>,
    /// For each kind of device, what no device of it exceeds in requests a second, whatever it holds.
    pub ceiling: Vec<f64>,
}

/// What requests ask of devices that move at every stage.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::rooms) struct Moves {
    /// Usable part of a device of each slot (ρ); 0 where it holds none of the models or cannot serve one in time.
    usable: Vec<f64>,
    /// For each member, then for each slot, the device's seconds that one request asks for (φ β); infinite where it is not held.
    work: Vec<Vec<f64>>,
    /// For each member the least of its work over slots.
    least: Vec<f64>,
    /// For each slot the members that it holds, a bit each.
    holds: Vec<u32>,
    /// Whether a member asks the same of every slot that holds it: then cuts tell the rate.
    alike: bool,
}

/// What devices can do for cascades.
pub(in crate::rooms) struct Yard<'a> {
    /// Kinds of devices.
    pub devices: &'a [Device],
    /// Patterns on them.
    pub slots: &'a [Slot],
    /// Speeds for requests that visit 1, 2, … devices.
    pub speeds: &'a [Speeds],
    /// Part of each model's capacity that may be used.
    pub parts: &'a [f64],
}

impl Yard<'_> {
    /// Returns what each slot carries of a cascade, or `None` where no device carries any of it.
    pub(in crate::rooms) fn rate(&self, index: usize, cascade: &Cascade) -> Option<Rated> {
        let members: Vec<(usize, f64)> =
            cascade.members.iter().zip(&cascade.reach).map(|(member, reach)| (member.model, *reach)).collect();
        let part = members.iter().map(|(model, _)| self.parts[*model]).fold(1.0, f64::min);
        let both: Vec<(f64, f64)> = self.slots.iter().map(|slot| self.stays(slot, &members, part)).collect();
        let (stays, keeps_up): (Vec<f64>, Vec<f64>) = both.into_iter().unzip();
        let all = members.iter().fold(0_u32, |set, (model, _)| set | 1 << model);
        let everywhere = self.slots.iter().all(|slot| slot.holds & all == all);
        let moves = if everywhere || members.len() == 1 { None } else { self.moves(&members, part) };
        let mut ceiling = self.ceiling_of_moves(moves.as_ref());
        for (slot, stays) in self.slots.iter().zip(&stays) {
            ceiling[slot.device] = stays.max(ceiling[slot.device]);
        }
        let carries = ceiling.iter().any(|rate| *rate > 0.0);
        carries.then_some(Rated { cascade: index, accuracy: cascade.accuracy, stays, keeps_up, moves, ceiling })
    }

    /// Returns the rate that stays on a device of a slot within the longest turn, and that at which it is always busy.
    fn stays(&self, slot: &Slot, members: &[(usize, f64)], part: f64) -> (f64, f64) {
        let speeds = &self.speeds[0];
        let (mut first, mut work) = (0.0, 0.0);
        for &(model, reach) in members {
            let Some(speed) = speeds.of(slot.device, model).filter(|_| slot.holds >> model & 1 == 1) else {
                return (0.0, 0.0);
            };
            first += speed.visit.first_ms;
            work += reach * speed.each_ms / 1e3;
        }
        (part * (1.0 - first / speeds.turn_ms).max(0.0) / work, part / work)
    }

    fn moves(&self, members: &[(usize, f64)], part: f64) -> Option<Moves> {
        let speeds = self.speeds.get(members.len() - 1)?;
        let held = |slot: &Slot, model: usize| speeds.of(slot.device, model).filter(|_| slot.holds >> model & 1 == 1);
        let usable = |slot: &Slot| {
            let here = members.iter().filter_map(|(model, _)| held(slot, *model));
            let first: Vec<f64> = here.map(|speed| speed.visit.first_ms).collect();
            if first.is_empty() { 0.0 } else { part * (1.0 - first.iter().sum::<f64>() / speeds.turn_ms).max(0.0) }
        };
        let usable: Vec<f64> = self.slots.iter().map(usable).collect();
        let work_on = |slot: &Slot, model: usize, reach: f64| {
            held(slot, model).map_or(f64::INFINITY, |speed| reach * speed.each_ms / 1e3)
        };
        let of_member =
            |&(model, reach): &(usize, f64)| self.slots.iter().map(|slot| work_on(slot, model, reach)).collect();
        let work: Vec<Vec<f64>> = members.iter().map(of_member).collect();
        let is_alike = |row: &Vec<f64>| {
            let mut finite = row.iter().filter(|work| work.is_finite());
            let first = finite.next();
            finite.all(|work| Some(work) == first)
        };
        let least = work.iter().map(|row| row.iter().copied().fold(f64::INFINITY, f64::min)).collect();
        let holds = |slot: usize| {
            (0..work.len()).filter(|member| work[*member][slot].is_finite()).map(|member| 1 << member).sum()
        };
        let holds = (0..self.slots.len()).map(holds).collect();
        Some(Moves { usable, least, holds, alike: work.iter().all(is_alike), work })
    }

    /// Every device gives at most its usable part, and a request asks at least for its fastest service.
    fn ceiling_of_moves(&self, moves: Option<&Moves>) -> Vec<f64> {
        let mut ceiling = vec![0.0; self.devices.len()];
        let Some(moves) = moves else { return ceiling };
        let least: f64 = moves.least.iter().sum();
        for (slot, usable) in self.slots.iter().zip(&moves.usable) {
            ceiling[slot.device] = f64::max(ceiling[slot.device], usable / least);
        }
        ceiling
    }
}

/// Returns the slots that have devices, with their number.
pub(in crate::rooms) fn used(counts: &[u32]) -> Vec<(usize, f64)> {
    counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(slot, &count)| (slot, f64::from(count))).collect()
}

impl Rated {
    /// Returns the highest rate on so many devices of each slot.
    pub(in crate::rooms) fn carries(&self, counts: &[u32]) -> f64 {
        self.carries_on(&used(counts))
    }

    /// Returns the highest rate on slots with so many devices.
    pub(in crate::rooms) fn carries_on(&self, used: &[(usize, f64)]) -> f64 {
        let stays = used.iter().map(|&(slot, count)| self.stays[slot] * count).sum();
        self.moves.as_ref().map_or(stays, |moves| moves.carries(used).max(stays))
    }

    /// Returns the highest rate where requests stay where they began.
    pub(in crate::rooms) fn carries_staying(&self, counts: &[u32]) -> f64 {
        used(counts).iter().map(|&(slot, count)| self.stays[slot] * count).sum()
    }

    /// Returns the highest rate where requests move.
    pub(in crate::rooms) fn carries_moving(&self, counts: &[u32]) -> f64 {
        self.moves.as_ref().map_or(0.0, |moves| moves.carries(&used(counts)))
    }

    /// Returns a rate that is kept up with: the highest at which devices are always busy, or that which is carried in time where
    /// requests move.
    pub(in crate::rooms) fn keeps_up(&self, counts: &[u32]) -> f64 {
        let stays: f64 = used(counts).iter().map(|&(slot, count)| self.keeps_up[slot] * count).sum();
        stays.max(self.carries_moving(counts))
    }

    /// Returns a rate that is not exceeded on so many devices of each kind.
    pub(in crate::rooms) fn at_most(&self, of_device: &[u32]) -> f64 {
        self.ceiling.iter().zip(of_device).map(|(rate, &count)| rate * f64::from(count)).sum()
    }
}

impl Moves {
    fn carries(&self, used: &[(usize, f64)]) -> f64 {
        if self.alike {
            return self.least_cut(used);
        }
        let mut counts = vec![0.0; self.usable.len()];
        used.iter().for_each(|&(slot, count)| counts[slot] = count);
        self.flow_on(&counts).0
    }

    /// Returns the least ratio of capacity to work over all sets of members.
    fn least_cut(&self, used: &[(usize, f64)]) -> f64 {
        let mut least = f64::INFINITY;
        for set in 1_u32..1 << self.work.len() {
            let work: f64 =
                (0..self.work.len()).filter(|member| set >> member & 1 == 1).map(|member| self.least[member]).sum();
            let meets = used.iter().filter(|(slot, _)| self.holds[*slot] & set != 0);
            let capacity: f64 = meets.map(|&(slot, count)| self.usable[slot] * count).sum();
            least = least.min(capacity / work);
        }
        least
    }

    /// Returns what [`Self::flow_on`] does for whole devices.
    pub(in crate::rooms) fn flow(&self, counts: &[u32]) -> (f64, Vec<Vec<f64>>) {
        self.flow_on(&counts.iter().map(|&count| f64::from(count)).collect::<Vec<_>>())
    }

    /// Returns the highest rate and, for each member and slot, the part of the member's calls that goes there.
    ///
    /// Maximises q with, for each member, `q ≤ Σ_p y_mp`, and for each slot `Σ_m y_mp φ_m β_mp ≤ n_p ρ_p`.
    fn flow_on(&self, counts: &[f64]) -> (f64, Vec<Vec<f64>>) {
        let (members, slots) = (self.work.len(), counts.len());
        let pairs: Vec<(usize, usize)> = (0..members)
            .flat_map(|member| (0..slots).map(move |slot| (member, slot)))
            .filter(|&(member, slot)| counts[slot] > 0.0 && self.work[member][slot].is_finite())
            .collect();
        // Work in the unit of the lightest, a power of two, which rounds nothing: the linear program wants numbers near 1.
        let lightest = pairs.iter().map(|&(member, slot)| self.work[member][slot]).fold(f64::INFINITY, f64::min);
        let unit = if lightest > 0.0 && lightest.is_finite() { lightest.log2().floor().exp2() } else { 1.0 };
        let mut rows = vec![vec![0.0; pairs.len() + 1]; members + slots];
        let mut limits = vec![0.0; members + slots];
        for (column, &(member, slot)) in pairs.iter().enumerate() {
            rows[member][column + 1] = -1.0;
            rows[members + slot][column + 1] = self.work[member][slot] / unit;
        }
        rows[..members].iter_mut().for_each(|row| row[0] = 1.0);
        for slot in 0..slots {
            limits[members + slot] = self.usable[slot] * counts[slot];
        }
        let mut prices = vec![0.0; pairs.len() + 1];
        prices[0] = 1.0;
        let (rate, y) = lp::maximise(&prices, &rows, &limits).expect("devices are limited");
        let mut parts = vec![vec![0.0; slots]; members];
        for (&(member, slot), y) in pairs.iter().zip(&y[1..]) {
            parts[member][slot] = *y;
        }
        for row in &mut parts {
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|part| *part = if sum > 0.0 { *part / sum } else { 0.0 });
        }
        (rate / unit, parts)
    }
}
