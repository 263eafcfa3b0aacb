//! Points of which none reaches further than another in both directions: what dominance between partial choices looks at.

/// A staircase, going right and down.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stairs {
    points: Vec<(f64, f64)>,
}

impl Stairs {
    /// Tells whether some point is at least as far in both directions. O(log points).
    pub(crate) fn reach(&self, (right, up): (f64, f64)) -> bool {
        // Of the points that are as far to the right the first is the highest.
        self.points.get(self.points.partition_point(|point| point.0 < right)).is_some_and(|point| point.1 >= up)
    }

    /// Adds a point that no other reaches, and drops those that it reaches.
    pub(crate) fn add(&mut self, (right, up): (f64, f64)) {
        let above = self.points.partition_point(|point| point.0 < right);
        let from = self.points[..above].partition_point(|point| point.1 > up);
        let until = above + usize::from(self.points.get(above).is_some_and(|point| point.0 <= right));
        self.points.splice(from..until, [(right, up)]);
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::Stairs;

    #[test]
    fn stairs_reach_what_some_point_reaches() {
        let mut dice = ChaCha8Rng::seed_from_u64(31);
        let mut number = move || f64::from(dice.random_range(0..12_u32));
        for _ in 0..200 {
            let (mut stairs, mut all) = (Stairs::default(), Vec::new());
            for _ in 0..20 {
                let point = (number(), number());
                let is_reached = all.iter().any(|other: &(f64, f64)| other.0 >= point.0 && other.1 >= point.1);
                assert_eq!(stairs.reach(point), is_reached, "{point:?} of {all:?}");
                if !is_reached {
                    stairs.add(point);
                }
                all.push(point);
            }
        }
    }
}
