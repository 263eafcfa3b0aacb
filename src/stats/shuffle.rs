//! Orders that chance decides, the same every time.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Puts things in an order that only the seed and the number of the shuffle decide (Fisher and Yates).
pub fn shuffle<T>(things: &mut [T], seed: u64, number: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(number);
    for last in (1..things.len()).rev() {
        things.swap(last, (random.next_u64() % (last as u64 + 1)) as usize);
    }
}

#[cfg(test)]
mod tests {
    use crate::stats::shuffle;

    #[test]
    fn shuffles_are_those_of_their_seed() {
        let shuffled = |seed, number| {
            let mut things: Vec<u32> = (0..20).collect();
            shuffle(&mut things, seed, number);
            things
        };
        assert_eq!(shuffled(1, 2), shuffled(1, 2));
        assert!(shuffled(1, 2) != shuffled(1, 3) && shuffled(1, 2) != shuffled(2, 2));
        let mut sorted = shuffled(1, 2);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..20).collect::<Vec<_>>());
    }
}
