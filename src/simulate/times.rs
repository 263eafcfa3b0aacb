//! How often a time was seen, on a grid of 128 cells for each power of two.
//!
//! The cells are those of an HDR histogram with two significant figures. Its crate takes 65 instructions to record a
//! time, these 15, and the simulator records one for every request.

/// Cells for each power of two.
const CELLS: u64 = 128;
/// Cells that are cleared together: four powers of two.
const BLOCK: usize = 4 * CELLS as usize;
/// Longer times count as this: the end of the cells for 2^42 ns, 1.2 hours or more.
const LONGEST_NS: u64 = (1 << 43) - 1;

/// How often each time was seen; a time is known within 1 / 128. Holds only the blocks between the shortest and the
/// longest time: a trial counts many groups, and what is not held need not be cleared, summed or fetched.
#[derive(Debug, Clone, Default)]
pub struct Times {
    /// The cell that the counts begin with.
    from: usize,
    counts: Vec<u64>,
}

impl Times {
    pub const fn new() -> Self {
        Self { from: 0, counts: Vec::new() }
    }

    /// A time was seen.
    #[inline]
    pub fn saw(&mut self, ns: u64) {
        let cell = cell(ns.min(LONGEST_NS));
        // Below `from` the difference wraps around, far beyond the end.
        match self.counts.get_mut(cell.wrapping_sub(self.from)) {
            Some(count) => *count += 1,
            None => self.saw_outside(cell),
        }
    }

    #[cold]
    fn saw_outside(&mut self, cell: usize) {
        self.widen(cell, cell + 1);
        self.counts[cell - self.from] += 1;
    }

    /// Makes room for the cells `from..end`, to whole blocks.
    fn widen(&mut self, from: usize, end: usize) {
        let (from, end) = (from / BLOCK * BLOCK, end.next_multiple_of(BLOCK));
        if self.counts.is_empty() {
            // Room for all is asked for once; what is never cleared costs no memory.
            self.counts.reserve_exact((cell(LONGEST_NS) + 1).next_multiple_of(BLOCK));
            self.from = from;
        }
        if from < self.from {
            self.counts.splice(0..0, std::iter::repeat_n(0, self.from - from));
            self.from = from;
        }
        if end > self.from + self.counts.len() {
            self.counts.resize(end - self.from, 0);
        }
    }

    /// Adds what others saw.
    pub fn absorb(&mut self, other: &Self) {
        if other.counts.is_empty() {
            return;
        }
        self.widen(other.from, other.from + other.counts.len());
        let own = &mut self.counts[other.from - self.from..];
        own.iter_mut().zip(&other.counts).for_each(|(own, other)| *own += other);
    }

    /// Returns the middle of the cell that holds a quantile: the time of rank ⌈q × n⌉; `None` where nothing was seen.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let seen: u64 = self.counts.iter().sum();
        let rank = ((q * seen as f64).ceil() as u64).clamp(1, seen.max(1));
        let mut below = 0;
        let holds = |&count: &u64| {
            below += count;
            below >= rank
        };
        self.counts.iter().position(holds).map(|cell| middle(self.from + cell))
    }
}

/// Returns the cell of a time: below 256 ns its own, above by its eight leading bits.
#[inline]
const fn cell(ns: u64) -> usize {
    let shift = ((ns | CELLS).ilog2() - CELLS.ilog2()) as u64;
    (shift * CELLS + (ns >> shift)) as usize
}

/// Returns the middle of a cell.
const fn middle(cell: usize) -> u64 {
    let cell = cell as u64;
    let shift = (cell / CELLS).saturating_sub(1);
    let start = (cell - shift * CELLS) << shift;
    start + (1 << shift) / 2
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;

    use super::{LONGEST_NS, Times, cell, middle};
    use crate::stats::Dice;

    #[test]
    fn cells_follow_each_other_and_hold_their_middle() {
        let mut last = 0;
        for ns in (0..100_000).chain((17..43).flat_map(|bits| [(1 << bits) - 1, 1 << bits, (1 << bits) + (1 << 15)])) {
            let at = cell(ns);
            assert!(at >= last && at - last <= if ns < 100_000 { 1 } else { 128 }, "{ns}");
            assert_eq!(cell(middle(at)), at, "{ns}");
            assert!((middle(at) as f64 - ns as f64).abs() <= ns as f64 / 256.0, "{ns}");
            last = at;
        }
        assert_eq!(cell(LONGEST_NS) % 128, 127);
    }

    /// The oracle is the HDR histogram with two figures.
    #[test]
    fn quantiles_are_those_of_an_hdr_histogram() {
        let mut oracle = Histogram::<u64>::new_with_bounds(1, LONGEST_NS, 2).expect("sound bounds");
        let (mut times, mut other) = (Times::new(), Times::new());
        assert_eq!(times.quantile(0.5), None);
        let mut dice = Dice::new(1, 0);
        for _ in 0..100_000 {
            let ns = (dice.exponential().powi(3) * 1e6) as u64 + 1;
            if dice.unit() < 0.5 {
                times.saw(ns)
            } else {
                other.saw(ns)
            }
            oracle.record(ns).expect("within bounds");
        }
        times.absorb(&other);
        for q in [0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let wanted = oracle.value_at_quantile(q);
            assert_eq!(times.quantile(q).map(cell), Some(cell(wanted)), "quantile {q}");
        }
    }
}
