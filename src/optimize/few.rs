//! Fewer gears with the least loss: which steps of a staircase to keep.

/// Chooses at most `most` of the steps of a falling staircase, the last one among them, so that the least is lost: what a step
/// that is left out is worth less under the next one that is kept, times its width, and what it costs that two steps
/// follow each other (`border`), summed. Returns the steps kept, in order.
///
/// Exact, by dynamic programming over the last step kept: O(most × steps²).
///
/// # Panics
/// Where there are other numbers of values and widths.
#[must_use]
pub fn keep(values: &[f64], widths: &[f64], most: usize, border: impl Fn(usize, usize) -> f64) -> Vec<usize> {
    assert_eq!(values.len(), widths.len(), "a width for every value");
    let steps = values.len();
    if steps == 0 {
        return Vec::new();
    }
    // Sums of widths, and of values times widths, of all steps before each.
    let mut sums = vec![(0.0, 0.0)];
    for (value, width) in values.iter().zip(widths) {
        let (all, worth) = sums[sums.len() - 1];
        sums.push((all + width, worth + value * width));
    }
    // What is lost when the steps from..kept are served by `kept`.
    let loss = |from: usize, kept: usize| -> f64 {
        let (width, worth) = (sums[kept].0 - sums[from].0, sums[kept].1 - sums[from].1);
        worth - width * values[kept]
    };
    // best[kept] = least loss of all steps up to `kept` with so many kept, `kept` the last of them; and the one before.
    let mut best: Vec<(f64, Option<usize>)> = (0..steps).map(|kept| (loss(0, kept), None)).collect();
    let mut rounds = vec![best.clone()];
    for _ in 1..most.clamp(1, steps) {
        let better = |kept: usize| {
            let with = |before: usize| best[before].0 + loss(before + 1, kept) + border(before, kept);
            let before = (0..kept).map(|before| (with(before), Some(before)));
            before.fold(best[kept], |least, other| if other.0 < least.0 { other } else { least })
        };
        let round: Vec<_> = (0..steps).map(better).collect();
        rounds.push(round.clone());
        best = round;
    }
    let mut kept = vec![steps - 1];
    // A step that was not improved in a round keeps its way from the round before.
    for round in rounds.iter().rev() {
        let last = kept[kept.len() - 1];
        if let Some(before) = round[last].1 {
            kept.push(before);
        }
    }
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::keep;

    fn lost(values: &[f64], widths: &[f64], kept: &[usize], border: &[f64]) -> f64 {
        let serves = |step: usize| kept.iter().copied().find(|&kept| kept >= step).expect("the last is kept");
        let lost: f64 = (0..values.len()).map(|step| widths[step] * (values[step] - values[serves(step)])).sum();
        lost + kept.windows(2).map(|pair| border[pair[0]] * pair[1] as f64).sum::<f64>()
    }

    fn staircase(steps: usize, dice: &mut ChaCha8Rng) -> (Vec<f64>, Vec<f64>) {
        let mut value = 1.0;
        let values = (0..steps).map(|_| {
            value -= dice.random_range(0.0..0.1);
            value
        });
        let values = values.collect();
        (values, (0..steps).map(|_| dice.random_range(0.1..10.0)).collect())
    }

    #[test]
    fn no_choice_loses_less() {
        let mut dice = ChaCha8Rng::seed_from_u64(42);
        for _ in 0..200 {
            let steps = dice.random_range(1..=9);
            let (values, widths) = staircase(steps, &mut dice);
            let scale = [0.0, 0.05, 1.0][dice.random_range(0..3)];
            let border: Vec<f64> = (0..steps).map(|_| scale * dice.random_range(0.0..1.0)).collect();
            for most in 1..=steps + 1 {
                let kept = keep(&values, &widths, most, |from, to| border[from] * to as f64);
                assert!(kept.len() <= most && kept.last() == Some(&(steps - 1)) && kept.is_sorted(), "{kept:?}");
                let all = (0..1_u32 << (steps - 1)).filter(|set| (set.count_ones() as usize) < most).map(|set| {
                    let mut kept: Vec<usize> = (0..steps - 1).filter(|step| set >> step & 1 == 1).collect();
                    kept.push(steps - 1);
                    lost(&values, &widths, &kept, &border)
                });
                let least = all.fold(f64::INFINITY, f64::min);
                assert!(
                    (lost(&values, &widths, &kept, &border) - least).abs() < 1e-9,
                    "{most} of {values:?}: {kept:?}"
                );
            }
        }
    }
}
