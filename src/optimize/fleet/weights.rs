//! Weights of replicas: sums that nothing exceeds that packs onto a fleet.
//!
//! Replicas on one machine take at most all of its cores *and* all of its memory, side by side. So neither the parts of
//! its cores nor the parts of its memory exceed 1 together, nor does any mean of the two sums; the larger part of each
//! replica, summed up, may. Weighed by what a machine of the kind costs, a choice then weighs no more than its fleet
//! costs, which is a lower bound on its price (linear programming duality; the weights are the prices of the two rows).

use super::FleetKind;
use super::shape::memory_binds;
use crate::optimize::pack::Size;

/// Parts that memory has in a weight, beside cores; the first tells equals apart.
const PARTS_OF_MEMORY: [f64; 3] = [0.0, 0.5, 1.0];

/// What replicas weigh: whatever packs onto a fleet weighs no more than the fleet holds.
///
/// Shown by the test `what_packs_weighs_no_more_than_its_fleet_holds`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Weights {
    /// Weight of one replica of each class.
    of_class: Vec<f64>,
    /// What one machine of each kind holds.
    of_machine: Vec<f64>,
}

impl Weights {
    /// Returns the weights by cores and memory in different parts, for classes that are each on a kind; by cores alone where the
    /// memory of no kind binds.
    pub(crate) fn all(classes: &[(usize, Size)], kinds: &[FleetKind]) -> Vec<Self> {
        // Any weights of kinds are valid. Prices let the sum be compared with a cost, where there are any.
        let is_free = kinds.iter().all(|kind| kind.price <= 0.0);
        let of_machine: Vec<f64> =
            kinds.iter().map(|kind| if is_free { f64::from(kind.space.cores) } else { kind.price }).collect();
        let here = |kind: usize| classes.iter().filter(move |(on, _)| *on == kind).map(|(_, size)| *size);
        let binds: Vec<bool> = kinds.iter().enumerate().map(|(kind, of)| memory_binds(*of, here(kind))).collect();
        let weights = |part_of_memory: &f64| {
            let of_class = classes.iter().map(|&(kind, size)| {
                let space = kinds[kind].space;
                let by_cores = f64::from(size.cores) / f64::from(space.cores);
                let by_memory = size.memory as f64 / space.memory as f64;
                let part = if binds[kind] { *part_of_memory } else { 0.0 };
                of_machine[kind] * (part * by_memory + (1.0 - part) * by_cores)
            });
            Self { of_class: of_class.collect(), of_machine: of_machine.clone() }
        };
        let parts = if binds.contains(&true) { &PARTS_OF_MEMORY[..] } else { &PARTS_OF_MEMORY[..1] };
        parts.iter().map(weights).collect()
    }

    /// Returns what so many replicas of a class weigh.
    pub(crate) fn of(&self, class: usize, count: u32) -> f64 {
        f64::from(count) * self.of_class[class]
    }

    /// Returns what a fleet holds.
    pub(crate) fn held_by(&self, fleet: &[u32]) -> f64 {
        self.of_machine.iter().zip(fleet).map(|(each, &machines)| each * f64::from(machines)).sum()
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::{FleetKind, Weights};
    use crate::base::rounding::keeps_within;
    use crate::optimize::pack::{Size, Space, at_least};

    /// Fills machines one replica after the other, at random, until no class fits any more, and takes some out again.
    fn packed(dice: &mut ChaCha8Rng, classes: &[(usize, Size)], kinds: &[FleetKind], fleet: &[u32]) -> Vec<u32> {
        let mut counts = vec![0; classes.len()];
        for (kind, &machines) in fleet.iter().enumerate() {
            for _ in 0..machines {
                let Space { mut cores, mut memory } = kinds[kind].space;
                loop {
                    let fits = |&class: &usize| {
                        let (on, size) = classes[class];
                        on == kind && size.cores <= cores && size.memory <= memory
                    };
                    let able: Vec<usize> = (0..classes.len()).filter(fits).collect();
                    if able.is_empty() || dice.random_bool(0.02) {
                        break;
                    }
                    let class = able[dice.random_range(0..able.len())];
                    cores -= classes[class].1.cores;
                    memory -= classes[class].1.memory;
                    counts[class] += 1;
                }
            }
        }
        counts
    }

    #[test]
    fn what_packs_weighs_no_more_than_its_fleet_holds() {
        let mut dice = ChaCha8Rng::seed_from_u64(23);
        let mut full = 0;
        for round in 0..3000 {
            let kind = |dice: &mut ChaCha8Rng| FleetKind {
                space: Space {
                    cores: dice.random_range(1..=8),
                    memory: if dice.random_bool(0.7) { dice.random_range(4..=12) } else { u64::MAX },
                },
                at_most: 3,
                price: f64::from(dice.random_range(0..=5)) / 7.0,
            };
            let kinds: Vec<FleetKind> = (0..dice.random_range(1..=3)).map(|_| kind(&mut dice)).collect();
            let class = |dice: &mut ChaCha8Rng| {
                let on = dice.random_range(0..kinds.len());
                (on, Size { cores: dice.random_range(1..=4), memory: dice.random_range(0..=6), count: 0 })
            };
            let classes: Vec<(usize, Size)> = (0..dice.random_range(1..=5)).map(|_| class(&mut dice)).collect();
            let fleet: Vec<u32> = kinds.iter().map(|kind| dice.random_range(0..=kind.at_most)).collect();
            let counts = packed(&mut dice, &classes, &kinds, &fleet);
            for weights in Weights::all(&classes, &kinds) {
                let sum: f64 = counts.iter().enumerate().map(|(class, &count)| weights.of(class, count)).sum();
                assert!(keeps_within(sum, weights.held_by(&fleet)), "round {round}: {counts:?} of {classes:?}");
                full += u32::from(sum > 0.0 && sum >= 0.999 * weights.held_by(&fleet));
            }
            for (index, kind) in kinds.iter().enumerate() {
                let here = classes.iter().zip(&counts).filter(|((on, _), _)| *on == index);
                let sizes: Vec<Size> = here.map(|((_, size), &count)| Size { count, ..*size }).collect();
                assert!(at_least(&sizes, kind.space) <= fleet[index], "round {round}: {sizes:?} pack");
            }
        }
        assert!(full > 500, "{full} sums are as large as they may be");
    }
}
