//! Variants side by side within a fleet: the integer program of the room `variant-set`, on machines.
//!
//! An item is a variant on a kind of machine; so a variant may run on several kinds. Items are decided the most accurate
//! first, as that is the order of filling. A **label** is what was decided so far: load carried `l`, right answers per
//! second `m`, and what is taken of every kind.
//!
//! **Dominance.** A label is worthless beside another one with `l' ≥ l`, `m' − a·l' ≥ m − a·l` (`a` being the accuracy of
//! the next item) whose replicas fit wherever those of the first fit ([`shape`](super::shape)).
//!
//! **Bound.** The load row is priced out at μ (Lagrange), cores are counted by kind, packing is left out:
//!
//! ```text
//! W_jk(b) = max over options of items j… on kind k within b cores:  Σ (a − μ)·cap
//! m at the end ≤ m + μ·(λ − l) + Σ_k W_jk(cores of the fleet − cores taken)        for every μ
//! ```
//!
//! **Packing.** A whole choice counts only if its replicas pack ([`pack`]); else the search goes on to the
//! next best, so that no choice that does not pack is ever returned.

mod reach;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::shape::{Shapes, fits_in};
use super::{FleetKind, Within};
use crate::base::rounding::{NOISE, ROUNDING, SUMS};
use crate::optimize::pack::{self, Size};
use crate::optimize::stairs::Stairs;

/// Parts of the gap between bound and floor that are searched, one after the other: few labels reach close to the bound.
const PARTS_OF_GAP: [f64; 3] = [1.0 / 16.0, 1.0 / 4.0, 1.0];
/// Multipliers that are kept for a fleet, those of the lowest bounds.
const PRICES_KEPT: usize = 3;

/// A variant on a kind of machine.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetItem {
    /// Part of its answers that are right.
    pub accuracy: f64,
    /// Index of the kind.
    pub kind: usize,
    /// What it may get; leaving it out is always possible.
    pub options: Vec<Squad>,
}

/// Replicas of one size, and the rate that they carry together within the SLO.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Squad {
    /// Replicas.
    pub size: Size,
    /// Highest rate, in requests per second.
    pub capacity: f64,
}

impl Squad {
    fn cores(&self) -> u32 {
        self.size.cores * self.size.count
    }

    /// Tells whether this carries as much and fits wherever the other fits: each of the other's replicas makes room for
    /// as many of this one's as are no larger in sum.
    fn beats(&self, other: &Self) -> bool {
        let space = pack::Space { cores: other.size.cores, memory: other.size.memory };
        let nested = u64::from(space.holds(self.size)) * u64::from(other.size.count);
        self.capacity >= other.capacity && nested >= u64::from(self.size.count)
    }
}

/// Keeps the options that no other beats, the fewest cores first.
#[must_use]
pub fn worth_keeping<T>(mut all: Vec<(Squad, T)>) -> Vec<(Squad, T)> {
    all.sort_by(|(a, _), (b, _)| a.cores().cmp(&b.cores()).then(b.capacity.total_cmp(&a.capacity)));
    let mut kept: Vec<(Squad, T)> = Vec::new();
    for (option, tag) in all {
        if option.capacity > 0.0 && !kept.iter().any(|(other, _)| other.beats(&option)) {
            kept.push((option, tag));
        }
    }
    kept
}

/// The program for every load and every fleet within stock, with the tables of its bounds.
#[derive(Debug, Clone)]
pub struct Mix {
    items: Vec<FleetItem>,
    kinds: Vec<FleetKind>,
    /// Indices of items, the most accurate first.
    order: Vec<usize>,
    /// Most that the items from a position on carry, by kind and cores.
    carried: Vec<Tables>,
    /// For each multiplier μ of the load row, once it has been asked for.
    priced: OnceLock<Vec<Priced>>,
    shapes: Shapes,
    /// Where the shapes of each item's options begin.
    begins: Vec<usize>,
}

/// `[position][cores]` of one kind.
type Tables = Vec<Vec<f64>>;

/// A multiplier μ of the load row with the tables `W` of every kind.
#[derive(Debug, Clone)]
struct Priced {
    multiplier: f64,
    tables: Vec<Tables>,
}

impl Priced {
    /// Returns the bound on the right answers of a label.
    fn bound(&self, position: usize, mass: f64, load_left: f64, left: &[u32]) -> f64 {
        let gains: f64 = self.tables.iter().zip(left).map(|(tables, &cores)| tables[position][cores as usize]).sum();
        mass + self.multiplier * load_left + gains
    }
}

/// How many labels a search may still look at.
#[derive(Debug, Clone, Copy)]
pub struct Looks(u64);

impl Looks {
    /// A search to the end.
    pub const UNLIMITED: Self = Self(u64::MAX);

    /// A search that looks at so many.
    #[must_use]
    pub const fn at_most(looks: u64) -> Self {
        Self(looks)
    }

    /// Tells whether a search was cut short.
    #[must_use]
    pub const fn are_spent(self) -> bool {
        self.0 == 0
    }

    fn spend(&mut self, looks: usize) {
        self.0 = self.0.saturating_sub(looks as u64);
    }
}

impl Mix {
    /// Works the tables out, up to the cores of all machines.
    #[must_use]
    pub fn new(items: Vec<FleetItem>, kinds: Vec<FleetKind>) -> Self {
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by(|&a, &b| items[b].accuracy.total_cmp(&items[a].accuracy));
        let (shapes, begins) = shapes(&items, &kinds);
        let mix = Self { carried: Vec::new(), priced: OnceLock::new(), items, kinds, order, shapes, begins };
        Self { carried: mix.tables(&|_| 1.0), ..mix }
    }

    /// Returns the tables of every kind where a call of this accuracy is worth so much.
    fn tables(&self, worth: &dyn Fn(f64) -> f64) -> Vec<Tables> {
        (0..self.kinds.len()).map(|kind| tables_of(&self.items, &self.order, &self.kinds, kind, worth)).collect()
    }

    fn priced(&self, multiplier: f64) -> Priced {
        Priced { multiplier, tables: self.tables(&|accuracy| accuracy - multiplier) }
    }

    fn all_priced(&self) -> &[Priced] {
        self.priced.get_or_init(|| prices(&self.items).into_iter().map(|price| self.priced(price)).collect())
    }

    /// Returns the kinds of machines.
    #[must_use]
    pub fn kinds(&self) -> &[FleetKind] {
        &self.kinds
    }

    /// Returns the items, in the order in which they were given.
    #[must_use]
    pub fn items(&self) -> &[FleetItem] {
        &self.items
    }

    /// Returns the program at one load.
    #[must_use]
    pub const fn at(&self, load: f64) -> AtLoad<'_> {
        AtLoad { mix: self, load }
    }

    /// Returns the average accuracy and the rate of each item where these options are picked (0: left out, else the index
    /// plus one), filled the most accurate first; `None` where they do not carry the load.
    #[must_use]
    pub fn evaluate(&self, picks: &[usize], load: f64) -> Option<(f64, Vec<f64>)> {
        let mut quotas = vec![0.0; self.items.len()];
        let (mut left, mut mass) = (load, 0.0);
        for &index in &self.order {
            if let Some(option) = picks[index].checked_sub(1).map(|pick| &self.items[index].options[pick]) {
                quotas[index] = left.min(option.capacity);
                left -= quotas[index];
                mass += self.items[index].accuracy * quotas[index];
            }
        }
        (left <= load * ROUNDING).then(|| (mass / (load - left.max(0.0)), quotas))
    }

    /// Returns what each machine of a kind holds, replicas by item, on as few as possible; `None` where these are more
    /// than `most`.
    #[must_use]
    pub fn packed(&self, picks: &[usize], kind: usize, most: u32) -> Option<Vec<Vec<u32>>> {
        let size = |(item, &pick): (&FleetItem, &usize)| match pick.checked_sub(1) {
            Some(pick) if item.kind == kind => item.options[pick].size,
            _ => Size { cores: 0, memory: 0, count: 0 },
        };
        let sizes: Vec<Size> = self.items.iter().zip(picks).map(size).collect();
        pack::fewest(&sizes, self.kinds[kind].space, most)
    }
}

fn tables_of(
    items: &[FleetItem],
    order: &[usize],
    kinds: &[FleetKind],
    kind: usize,
    worth: &dyn Fn(f64) -> f64,
) -> Tables {
    let cores = (kinds[kind].space.cores * kinds[kind].at_most) as usize;
    let mut tables = vec![vec![0.0; cores + 1]];
    for &index in order.iter().rev() {
        let rest = tables.last().expect("begins with one");
        let mut table = rest.clone();
        let item = &items[index];
        let a_call = worth(item.accuracy);
        if item.kind == kind && a_call > 0.0 {
            for option in item.options.iter().filter(|option| option.cores() as usize <= cores) {
                let (taken, gain) = (option.cores() as usize, a_call * option.capacity);
                for (best, rest) in table[taken..].iter_mut().zip(rest) {
                    *best = f64::max(*best, rest + gain);
                }
            }
        }
        tables.push(table);
    }
    tables.reverse();
    tables
}

/// Returns multipliers of the load row: accuracies where a variant drops out, and below all of them down to where what
/// counts is that the load is carried at all.
fn prices(items: &[FleetItem]) -> Vec<f64> {
    let most = items.iter().map(|item| item.accuracy).fold(0.0, f64::max);
    let mut prices: Vec<f64> = items.iter().map(|item| item.accuracy).collect();
    prices.extend([0.75, 0.5, 0.0, -0.5, -1.0, -2.0, -4.0, -16.0].map(|part| part * most));
    prices.sort_by(f64::total_cmp);
    prices.dedup();
    prices
}

/// Returns the shapes of all options, item after item, and where each item's begin.
fn shapes(items: &[FleetItem], kinds: &[FleetKind]) -> (Shapes, Vec<usize>) {
    let sizes: Vec<(usize, Size)> =
        items.iter().flat_map(|item| item.options.iter().map(|option| (item.kind, option.size))).collect();
    let begins = items.iter().scan(0, |next, item| Some(std::mem::replace(next, *next + item.options.len())));
    (Shapes::new(&sizes, kinds), begins.collect())
}

/// The program at one load.
#[derive(Debug, Clone, Copy)]
pub struct AtLoad<'a> {
    mix: &'a Mix,
    load: f64,
}

/// What was decided so far.
#[derive(Debug, Clone)]
struct Label {
    carried: f64,
    mass: f64,
    /// Cores left, by kind.
    left: Vec<u32>,
    shape: Vec<u32>,
    /// By position, 0: left out, else the index of the option plus one.
    picks: Vec<usize>,
}

impl Within for AtLoad<'_> {
    type Choice = Vec<usize>;

    /// The bound of the module's documentation before anything is decided. Shown by the test `no_fleet_carries_more_than_its_bound`
    /// of the integration tests.
    fn bound(&self, fleet: &[u32], _floor: f64) -> f64 {
        let left = self.mix.cores(fleet);
        if self.mix.carries(0, &left) < self.needed() {
            return f64::NEG_INFINITY;
        }
        let bounds = self.mix.all_priced().iter().map(|priced| priced.bound(0, 0.0, self.load, &left));
        bounds.fold(f64::INFINITY, f64::min) / self.load
    }

    fn most_accurate(&self, fleet: &[u32], floor: f64) -> Option<(f64, Vec<usize>)> {
        let left = self.mix.cores(fleet);
        if self.mix.carries(0, &left) < self.needed() {
            return None;
        }
        let bound = |priced: &Priced| priced.bound(0, 0.0, self.load, &left);
        let mut prices: Vec<&Priced> = self.mix.all_priced().iter().collect();
        prices.sort_by(|a, b| bound(a).total_cmp(&bound(b)));
        prices.truncate(PRICES_KEPT);
        let bound = bound(prices.first()?);
        let lightest = self.mix.items.iter().map(|item| item.accuracy).fold(f64::INFINITY, f64::min);
        // Twice the slack: rounding must not cut off what is accurate enough by the last digit.
        let floor = (floor - 2.0 * SUMS).max(lightest - ROUNDING) * self.load;
        let gap = bound - floor;
        let mut looks = Looks::UNLIMITED;
        let mut search = |part: &f64| self.search(fleet, &prices, bound - part * gap, f64::INFINITY, &mut looks);
        let picks = PARTS_OF_GAP.iter().find_map(&mut search)?;
        let (accuracy, _) = self.mix.evaluate(&picks, self.load)?;
        Some((accuracy, picks))
    }
}

impl AtLoad<'_> {
    fn needed(&self) -> f64 {
        self.load * (1.0 - ROUNDING)
    }

    /// Returns the picks of the best choice above a floor, or of one with so many right answers that it is enough: decides one
    /// item after the other for all labels at once, as long as there are looks left.
    fn search(
        &self,
        fleet: &[u32],
        prices: &[&Priced],
        floor: f64,
        enough: f64,
        looks: &mut Looks,
    ) -> Option<Vec<usize>> {
        let mix = self.mix;
        let noise = NOISE * self.load;
        let mut best: (f64, Option<Vec<usize>>) = (floor - noise, None);
        let mut open = vec![Label {
            carried: 0.0,
            mass: 0.0,
            left: mix.cores(fleet),
            shape: vec![0; mix.shapes.dimensions],
            picks: Vec::new(),
        }];
        for position in 0..mix.order.len() {
            let mut next = Vec::new();
            for label in &open {
                for label in self.decided(position, label) {
                    if label.carried >= self.needed() {
                        if label.mass > best.0 + noise && self.packs(fleet, &label) {
                            best = (label.mass, Some(mix.in_order(&label.picks)));
                            if label.mass >= enough {
                                return best.1;
                            }
                        }
                        continue;
                    }
                    let may_carry = label.carried + mix.carries(position + 1, &label.left) >= self.needed();
                    let rest = self.load - label.carried;
                    let promise = |priced: &&Priced| priced.bound(position + 1, label.mass, rest, &label.left);
                    if may_carry && prices.iter().all(|priced| promise(priced) > best.0 + noise) {
                        next.push(label);
                    }
                }
                looks.spend(mix.items[mix.order[position]].options.len());
                if looks.are_spent() {
                    return best.1;
                }
            }
            let accuracy = mix.order.get(position + 1).map_or(0.0, |&index| mix.items[index].accuracy);
            open = undominated(next, accuracy, noise, looks);
        }
        best.1
    }

    /// Returns the label with each option of the next item, or without it.
    fn decided<'b>(&'b self, position: usize, label: &'b Label) -> impl Iterator<Item = Label> + 'b {
        let index = self.mix.order[position];
        let item = &self.mix.items[index];
        let without = Label { picks: [&label.picks[..], &[0]].concat(), ..label.clone() };
        let fits = move |(_, option): &(usize, &Squad)| option.cores() <= label.left[item.kind];
        let with = item.options.iter().enumerate().filter(fits).map(move |(pick, option)| {
            let taken = option.capacity.min(self.load - label.carried);
            let mut next = Label {
                carried: label.carried + taken,
                mass: label.mass + taken * item.accuracy,
                picks: [&label.picks[..], &[pick + 1]].concat(),
                ..label.clone()
            };
            next.left[item.kind] -= option.cores();
            self.mix.shapes.add(self.mix.begins[index] + pick, option.size.count, &mut next.shape);
            next
        });
        std::iter::once(without).chain(with)
    }

    fn packs(&self, fleet: &[u32], label: &Label) -> bool {
        let picks = self.mix.in_order(&label.picks);
        (0..fleet.len()).all(|kind| self.mix.packed(&picks, kind, fleet[kind]).is_some())
    }
}

impl Mix {
    fn cores(&self, fleet: &[u32]) -> Vec<u32> {
        self.kinds.iter().zip(fleet).map(|(kind, machines)| kind.space.cores * machines).collect()
    }

    /// Returns the most that the items from a position on carry within so many cores of each kind.
    fn carries(&self, position: usize, left: &[u32]) -> f64 {
        self.carried.iter().zip(left).map(|(tables, &cores)| tables[position][cores as usize]).sum()
    }

    fn in_order(&self, by_position: &[usize]) -> Vec<usize> {
        let mut picks = vec![0; self.items.len()];
        self.order.iter().zip(by_position).for_each(|(&index, &pick)| picks[index] = pick);
        picks
    }
}

/// Keeps the labels that no other makes worthless before an item of this accuracy.
///
/// Labels of one shape form a staircase of what they have carried and gained beyond this accuracy; so a label is held against
/// shapes that are no larger, and not against every label.
fn undominated(mut labels: Vec<Label>, accuracy: f64, noise: f64, looks: &mut Looks) -> Vec<Label> {
    let excess = |label: &Label| label.mass - accuracy * label.carried;
    let size = |label: &Label| label.shape.iter().sum::<u32>();
    labels.sort_by(|a, b| {
        let more = b.carried.total_cmp(&a.carried).then(excess(b).total_cmp(&excess(a)));
        size(a).cmp(&size(b)).then(more)
    });
    let mut by_shape: Vec<(Vec<u32>, Stairs)> = Vec::new();
    let mut places: BTreeMap<Vec<u32>, usize> = BTreeMap::new();
    labels.retain(|label| {
        looks.spend(by_shape.len());
        let (carried, excess) = (label.carried, excess(label));
        let beats = |(shape, stairs): &(Vec<u32>, Stairs)| {
            fits_in(shape, &label.shape) && stairs.reach((carried, excess - noise))
        };
        if looks.are_spent() || by_shape.iter().any(beats) {
            return false;
        }
        let place = *places.entry(label.shape.clone()).or_insert(by_shape.len());
        if place == by_shape.len() {
            by_shape.push((label.shape.clone(), Stairs::default()));
        }
        by_shape[place].1.add((carried, excess));
        true
    });
    labels
}
