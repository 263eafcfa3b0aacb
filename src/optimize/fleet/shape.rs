//! When replicas fit wherever others fit: what dominance between partial choices looks at.
//!
//! Where the memory of a kind cannot bind and the cores of its replicas divide each other, like 1, 2, 4, replicas fit
//! wherever others do if for each size they take no more cores in replicas of at least that size: large ones take the
//! places of large ones, and what a place leaves over is used without waste. Where the largest divides the cores of a
//! machine too, nothing is left over, and the sum of cores tells. Else it is enough that there are no more replicas of any
//! size.

use super::FleetKind;
use crate::optimize::pack::Size;

/// What replicas take, dimension by dimension; small enough in all of them, they fit.
#[derive(Debug, Clone, PartialEq)]
pub struct Shapes {
    /// For each size that was given the dimensions that one replica adds to, and how much.
    of: Vec<Vec<(usize, u32)>>,
    /// Number of dimensions.
    pub dimensions: usize,
}

impl Shapes {
    /// Works out the dimensions of all sizes that may occur, each on a kind.
    #[must_use]
    pub fn new(sizes: &[(usize, Size)], kinds: &[FleetKind]) -> Self {
        let mut of = vec![Vec::new(); sizes.len()];
        let mut first = 0;
        for (index, kind) in kinds.iter().enumerate() {
            let here =
                || sizes.iter().enumerate().filter(move |(_, (on, _))| *on == index).map(|(at, (_, size))| (at, *size));
            let memory_binds = memory_binds(*kind, here().map(|(_, size)| size));
            let class = |size: Size| (size.cores, if memory_binds { size.memory } else { 0 });
            let mut classes: Vec<(u32, u64)> = here().map(|(_, size)| class(size)).collect();
            classes.sort_unstable();
            classes.dedup();
            let nest = !memory_binds && classes.windows(2).all(|pair| pair[1].0.is_multiple_of(pair[0].0));
            let fill = nest && classes.last().is_none_or(|largest| kind.space.cores.is_multiple_of(largest.0));
            for (at, size) in here() {
                let place = classes.partition_point(|other| *other < class(size));
                of[at] = if fill {
                    vec![(first, size.cores)]
                } else if nest {
                    (0..=place).map(|dimension| (first + dimension, size.cores)).collect()
                } else {
                    vec![(first + place, 1)]
                };
            }
            first += if fill { 1 } else { classes.len() };
        }
        Self { of, dimensions: first }
    }

    /// Adds so many replicas of the size that was given at this place.
    pub fn add(&self, at: usize, count: u32, to: &mut [u32]) {
        for &(dimension, amount) in &self.of[at] {
            to[dimension] += amount * count;
        }
    }
}

/// Tells whether replicas of these sizes may run out of the memory of a machine before they run out of its cores.
pub(crate) fn memory_binds(kind: FleetKind, sizes: impl IntoIterator<Item = Size>) -> bool {
    // Replicas that fill the cores of a machine take at most so much memory.
    let greed = |size: Size| u128::from(size.memory) * u128::from(kind.space.cores) / u128::from(size.cores.max(1));
    sizes.into_iter().any(|size| greed(size) >= u128::from(kind.space.memory))
}

/// Tells whether what takes this much fits wherever what takes the other does.
#[must_use]
pub fn fits_in(own: &[u32], other: &[u32]) -> bool {
    own.iter().zip(other).all(|(own, other)| own <= other)
}
