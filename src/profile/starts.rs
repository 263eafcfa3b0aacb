//! How far one start of a variant differs from another, as the blocks of profiles tell: each block was a process of its own, at
//! another time.
//!
//! The calls of one start are fast or slow together: memory layout, clock, neighbours. So the spread of calls says little about the next
//! start, and the spread of blocks does.

use std::collections::BTreeMap;

use super::{Point, Profile};
use crate::stats::effect::{t_quantile, two_sided_t};

/// How many degrees of freedom the spread over all points counts for beside a point's own, which few blocks tell.
const SHARED: f64 = 6.0;

/// The spread of the medians of starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Starts {
    /// Standard deviation of the natural logarithm of a start's median: about its part of the median.
    pub deviation: f64,
    /// Degrees of freedom of that.
    pub freedom: f64,
}

/// What two sets of starts tell of a difference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct StartsApart {
    /// Probability of so large a difference where there is none (two-sided).
    pub p_value: f64,
    /// Half of the 95 % interval of the difference of logarithms.
    pub half: f64,
}

impl Starts {
    /// Returns the spread over all points of some profiles, or `None` where no point has two blocks. Each point counts by its
    /// number of blocks, but for those that were disturbed or had neighbours. The points of a variant on as many cores share their
    /// starts, so that their degrees of freedom are those of one.
    #[must_use]
    pub fn of(profiles: &[&Profile]) -> Option<Self> {
        let (mut squares, mut blocks) = (0.0, 0.0);
        let mut freedom: BTreeMap<(usize, &str, u32), f64> = BTreeMap::new();
        for (place, profile) in profiles.iter().enumerate() {
            let counts = |point: &&Point| !point.conditions.contended && point.co_runners == 0;
            for point in profile.points.iter().filter(counts) {
                let own = spread(point);
                (squares, blocks) = (squares + own.0, blocks + own.1);
                let shared = freedom.entry((place, &point.variant, point.cores)).or_insert(0.0);
                *shared = f64::max(*shared, own.1);
            }
        }
        (blocks > 0.0).then(|| Self { deviation: (squares / blocks).sqrt(), freedom: freedom.into_values().sum() })
    }

    /// Holds the medians of two sets of starts of a point against each other: Student's test with a spread between that of the
    /// point and that of all (Smyth 2004). `None` where a set is empty.
    pub(super) fn apart(self, before: &Point, after: &Point) -> Option<StartsApart> {
        let blocks = [before, after].map(|point| point.block_p50_ms.len() as f64);
        if blocks.contains(&0.0) {
            return None;
        }
        let ((own_before, free_before), (own_after, free_after)) = (spread(before), spread(after));
        let shared = SHARED.min(self.freedom);
        let freedom = shared + free_before + free_after;
        let variance = (shared * self.deviation.powi(2) + own_before + own_after) / freedom;
        let error = (variance * (1.0 / blocks[0] + 1.0 / blocks[1])).sqrt();
        let change = mean_log(after) - mean_log(before);
        let p_value = if change == 0.0 { 1.0 } else { two_sided_t(change / error, freedom) };
        Some(StartsApart { p_value, half: error * t_quantile(freedom) })
    }
}

fn logs(point: &Point) -> impl Iterator<Item = f64> + '_ {
    // A clock tells nanoseconds at best.
    point.block_p50_ms.iter().map(|ms| ms.get().max(1e-6).ln())
}

fn mean_log(point: &Point) -> f64 {
    logs(point).sum::<f64>() / point.block_p50_ms.len() as f64
}

/// Returns the sum of squares of the blocks' logarithms around their mean, and its degrees of freedom.
fn spread(point: &Point) -> (f64, f64) {
    let mean = mean_log(point);
    let squares = logs(point).map(|log| (log - mean).powi(2)).sum();
    (squares, (point.block_p50_ms.len() as f64 - 1.0).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::Starts;
    use crate::base::codec::load;
    use crate::base::units::Millis;
    use crate::profile::{Point, Profile};
    use crate::stats::Dice;
    use rand_distr::Normal;
    use std::path::Path;

    fn shipped() -> Profile {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json");
        load::<Profile>(&path).expect("the shipped profile loads").document
    }

    /// Draws the medians of some starts of every point.
    fn started(starts: usize, deviation: f64, dice: &mut Dice) -> Profile {
        let mut profile = shipped();
        let law = Normal::new(0.0, deviation).expect("a law");
        for point in &mut profile.points {
            let median = point.latency.p50.value_ms.get();
            let drawn = |_| Millis::saturating(median * dice.draw(&law).exp());
            point.block_p50_ms = (0..starts).map(drawn).collect();
        }
        profile
    }

    #[test]
    fn the_spread_of_starts_is_found() {
        let found = Starts::of(&[&started(5, 0.04, &mut Dice::new(1, 0))]).expect("points have blocks");
        assert!((found.deviation - 0.04).abs() < 0.004, "{found:?}");
        // Eight variants on one and on two cores.
        assert_eq!(found.freedom, 4.0 * 16.0);
        let silent =
            Profile { points: vec![Point { block_p50_ms: Vec::new(), ..shipped().points.remove(0) }], ..shipped() };
        assert_eq!(Starts::of(&[&silent]), None);
    }

    /// Of starts that differ by chance one in twenty is told apart at 5 %; of starts that differ by much, nearly all.
    #[test]
    fn starts_are_told_apart_as_often_as_stated() {
        let mut dice = Dice::new(2, 0);
        let (mut alarms, mut seen, mut pairs) = (0, 0, 0);
        for _ in 0..20 {
            let (before, after) = (started(4, 0.05, &mut dice), started(4, 0.05, &mut dice));
            let starts = Starts::of(&[&before, &after]).expect("points have blocks");
            for (old, new) in before.points.iter().zip(&after.points) {
                let slower = |ms: &Millis| Millis::saturating(1.25 * ms.get());
                let slow = Point { block_p50_ms: new.block_p50_ms.iter().map(slower).collect(), ..new.clone() };
                let told = |point: &Point| starts.apart(old, point).expect("both have blocks").p_value < 0.05;
                alarms += u32::from(told(new));
                seen += u32::from(told(&slow));
                pairs += 1;
            }
        }
        assert!((0.03..0.07).contains(&(f64::from(alarms) / f64::from(pairs))), "{alarms} of {pairs}");
        assert!(f64::from(seen) > 0.97 * f64::from(pairs), "{seen} of {pairs}");
    }
}
