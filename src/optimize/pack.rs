//! Packing: replicas with cores and memory onto as few machines of one kind as possible, exactly.
//!
//! First-fit, the largest first, gives a packing; sums of cores and of memory, and replicas that are larger than half a
//! machine, give a lower bound. Where the two differ, the search fills one machine after another (*bin completion*,
//! Martello and Toth): of equal machines the next one holds the largest replica that is left, and it is filled until
//! nothing more fits, as leaving room never helps. What was left when a number of machines failed is remembered.

use std::collections::BTreeSet;

/// Replicas of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Cores of one.
    pub cores: u32,
    /// Memory of one, in bytes.
    pub memory: u64,
    /// How many.
    pub count: u32,
}

/// What one machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Cores.
    pub cores: u32,
    /// Memory in bytes; `u64::MAX` where unlimited.
    pub memory: u64,
}

impl Space {
    /// Returns how many replicas of a size fit side by side.
    #[must_use]
    pub fn holds(self, size: Size) -> u32 {
        let by_cores = self.cores / size.cores.max(1);
        let by_memory = self.memory.checked_div(size.memory).unwrap_or(u64::MAX);
        by_cores.min(u32::try_from(by_memory).unwrap_or(u32::MAX))
    }

    fn without(self, size: Size, count: u32) -> Self {
        Self { cores: self.cores - count * size.cores, memory: self.memory - u64::from(count) * size.memory }
    }
}

/// Returns what each machine holds, replicas by size, on as few machines as possible; `None` where these are more than
/// `most`.
#[must_use]
pub fn fewest(sizes: &[Size], space: Space, most: u32) -> Option<Vec<Vec<u32>>> {
    let mut order: Vec<usize> = (0..sizes.len()).filter(|&index| sizes[index].count > 0).collect();
    if order.iter().any(|&index| space.holds(sizes[index]) == 0) {
        return None;
    }
    order.sort_by_key(|&index| std::cmp::Reverse((sizes[index].cores, sizes[index].memory)));
    let sorted: Vec<Size> = order.iter().map(|&index| sizes[index]).collect();
    let least = at_least(&sorted, space);
    if least > most {
        return None;
    }
    let packed = first_fit(&sorted, space);
    let known = u32::try_from(packed.len()).unwrap_or(u32::MAX);
    let better =
        (least..known.min(most.saturating_add(1))).find_map(|machines| Search::new(&sorted, space).onto(machines));
    let packed = better.or_else(|| (known <= most).then_some(packed))?;
    let in_order = |machine: Vec<u32>| {
        let mut counts = vec![0; sizes.len()];
        order.iter().zip(machine).for_each(|(&index, count)| counts[index] = count);
        counts
    };
    Some(packed.into_iter().map(in_order).collect())
}

/// Returns a number of machines that is needed at least. Shown by the test `no_packing_takes_fewer_machines`.
#[must_use]
pub fn at_least(sizes: &[Size], space: Space) -> u32 {
    let cores: u64 = sizes.iter().map(|size| u64::from(size.count) * u64::from(size.cores)).sum();
    let memory: u64 =
        sizes.iter().map(|size| u64::from(size.count).saturating_mul(size.memory)).fold(0, u64::saturating_add);
    // No two that take more than half of the same thing share a machine.
    let alone = |is_large: &dyn Fn(&Size) -> bool| -> u64 {
        sizes.iter().filter(|size| is_large(size)).map(|size| u64::from(size.count)).sum()
    };
    let wide = alone(&|size| u64::from(size.cores) * 2 > u64::from(space.cores));
    let heavy = alone(&|size| size.memory > space.memory / 2);
    let by_cores = cores.div_ceil(u64::from(space.cores.max(1)));
    let by_memory = memory.div_ceil(space.memory.max(1));
    u32::try_from(by_cores.max(by_memory).max(wide).max(heavy)).unwrap_or(u32::MAX)
}

fn first_fit(sizes: &[Size], space: Space) -> Vec<Vec<u32>> {
    let mut left: Vec<Space> = Vec::new();
    let mut machines: Vec<Vec<u32>> = Vec::new();
    for (index, &size) in sizes.iter().enumerate() {
        let mut rest = size.count;
        for (left, machine) in left.iter_mut().zip(&mut machines) {
            let taken = left.holds(size).min(rest);
            *left = left.without(size, taken);
            machine[index] = taken;
            rest -= taken;
        }
        while rest > 0 {
            let taken = space.holds(size).min(rest);
            left.push(space.without(size, taken));
            machines.push(vec![0; sizes.len()]);
            machines.last_mut().expect("just pushed")[index] = taken;
            rest -= taken;
        }
    }
    machines
}

/// Tries one number of machines.
struct Search<'a> {
    sizes: &'a [Size],
    space: Space,
    /// Counts that were left for a number of machines when it failed.
    failed: BTreeSet<(u32, Vec<u32>)>,
}

impl<'a> Search<'a> {
    fn new(sizes: &'a [Size], space: Space) -> Self {
        Self { sizes, space, failed: BTreeSet::new() }
    }

    fn onto(mut self, machines: u32) -> Option<Vec<Vec<u32>>> {
        let mut packed = Vec::new();
        let counts = self.sizes.iter().map(|size| size.count).collect();
        self.fill(counts, machines, &mut packed).then_some(packed)
    }

    fn fill(&mut self, counts: Vec<u32>, machines: u32, packed: &mut Vec<Vec<u32>>) -> bool {
        let Some(largest) = counts.iter().position(|count| *count > 0) else { return true };
        let left: Vec<Size> = self.sizes.iter().zip(&counts).map(|(size, &count)| Size { count, ..*size }).collect();
        if at_least(&left, self.space) > machines || self.failed.contains(&(machines, counts.clone())) {
            return false;
        }
        let mut full = Vec::new();
        let mut machine = vec![0; counts.len()];
        machine[largest] = 1;
        complete(&left, self.space.without(left[largest], 1), largest, &mut machine, &mut full);
        for machine in full {
            let rest = counts.iter().zip(&machine).map(|(count, taken)| count - taken).collect();
            packed.push(machine);
            if self.fill(rest, machines - 1, packed) {
                return true;
            }
            packed.pop();
        }
        self.failed.insert((machines, counts));
        false
    }
}

/// Lists every way to fill up a machine from the size `from` on, the fullest with large replicas first.
fn complete(left: &[Size], space: Space, from: usize, machine: &mut Vec<u32>, full: &mut Vec<Vec<u32>>) {
    let Some(&size) = left.get(from) else {
        let fits_more = |(size, taken): (&Size, &u32)| *taken < size.count && space.holds(*size) > 0;
        if !left.iter().zip(machine.iter()).any(fits_more) {
            full.push(machine.clone());
        }
        return;
    };
    let already = machine[from];
    let most = space.holds(size).min(size.count - already.min(size.count));
    for more in (0..=most).rev() {
        machine[from] = already + more;
        complete(left, space.without(size, more), from + 1, machine, full);
    }
    machine[from] = already;
}

#[cfg(test)]
pub(crate) mod by_trying {
    use super::{Size, Space};

    /// The oracle: puts one replica after the other onto any machine; returns the fewest that hold them, up to `most`.
    pub(crate) fn fewest(sizes: &[Size], space: Space, most: u32) -> Option<u32> {
        let one_by_one = |size: &Size| std::iter::repeat_n((size.cores, size.memory), size.count as usize);
        let mut replicas: Vec<(u32, u64)> = sizes.iter().flat_map(one_by_one).collect();
        replicas.sort_unstable_by_key(|replica| std::cmp::Reverse(*replica));
        (0..=most).find(|&machines| fits(&replicas, &mut vec![(space.cores, space.memory); machines as usize]))
    }

    fn fits(replicas: &[(u32, u64)], machines: &mut [(u32, u64)]) -> bool {
        let Some(&(cores, memory)) = replicas.first() else { return true };
        (0..machines.len()).any(|index| {
            let (free_cores, free_memory) = machines[index];
            // One of several machines with the same room is enough to try.
            if free_cores < cores || free_memory < memory || machines[..index].contains(&machines[index]) {
                return false;
            }
            machines[index] = (free_cores - cores, free_memory - memory);
            let fits = fits(&replicas[1..], machines);
            machines[index] = (free_cores, free_memory);
            fits
        })
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::{Size, Space, at_least, by_trying, fewest};

    #[test]
    fn no_packing_takes_fewer_machines() {
        let mut dice = ChaCha8Rng::seed_from_u64(42);
        for round in 0..1500 {
            let space = Space { cores: dice.random_range(1..=9), memory: dice.random_range(4..=12) };
            let size = |dice: &mut ChaCha8Rng| Size {
                cores: dice.random_range(1..=space.cores),
                memory: dice.random_range(0..=space.memory),
                count: dice.random_range(0..=3),
            };
            let sizes: Vec<Size> = (0..dice.random_range(1..=3)).map(|_| size(&mut dice)).collect();
            let least = by_trying::fewest(&sizes, space, 9).expect("one machine each is enough") as usize;
            assert!(at_least(&sizes, space) as usize <= least, "round {round}: {sizes:?} in {space:?}");
            let packed = fewest(&sizes, space, 99).expect("each fits by itself");
            assert_eq!(packed.len(), least, "round {round}: {sizes:?} in {space:?}");
            for (index, size) in sizes.iter().enumerate() {
                assert_eq!(packed.iter().map(|machine| machine[index]).sum::<u32>(), size.count, "round {round}");
            }
            for machine in &packed {
                let sum = |of: fn(&Size) -> u64| -> u64 {
                    sizes.iter().zip(machine).map(|(size, &count)| of(size) * u64::from(count)).sum()
                };
                assert!(sum(|size| u64::from(size.cores)) <= u64::from(space.cores), "round {round}");
                assert!(sum(|size| size.memory) <= space.memory, "round {round}");
            }
            let short = u32::try_from(least).expect("few").checked_sub(1);
            assert!(short.is_none_or(|short| fewest(&sizes, space, short).is_none()), "round {round}");
        }
    }

    #[test]
    fn what_is_larger_than_a_machine_fits_nowhere() {
        let space = Space { cores: 4, memory: u64::MAX };
        assert_eq!(fewest(&[Size { cores: 5, memory: 0, count: 1 }], space, 9), None);
        assert_eq!(fewest(&[Size { cores: 5, memory: 0, count: 0 }], space, 0), Some(Vec::new()));
        // Two of three cores waste a core each: six cores on two machines of four.
        assert_eq!(fewest(&[Size { cores: 3, memory: 0, count: 2 }], space, 9).map(|packed| packed.len()), Some(2));
    }
}
