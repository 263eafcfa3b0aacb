//! Fewer gears with the least loss: which steps of a staircase to keep.

use super::levels::Levels;

/// Chooses at most `most` of the steps of a falling staircase, the last one among them, so that the least is lost: what a step
/// that is left out is worth less under the next one that is kept, times its width, and what it costs that two steps
/// follow each other (`border`), summed. Returns the steps kept, in order.
///
/// Values have levels: what is lost in the second counts where equally little is lost in the first. A first level that rises
/// gives nothing back: a step may have given some of it away for the second.
///
/// Exact, by dynamic programming over the last step kept: O(most × steps²).
///
/// # Panics
/// Where there are other numbers of values and widths.
#[must_use]
pub fn keep(values: &[Levels], widths: &[f64], most: usize, border: impl Fn(usize, usize) -> Levels) -> Vec<usize> {
    assert_eq!(values.len(), widths.len(), "a width for every value");
    let steps = values.len();
    if steps == 0 {
        return Vec::new();
    }
    // lost[kept][from]: what is lost when the steps from..kept are served by `kept`.
    let lost: Vec<Vec<Levels>> = (0..steps).map(|kept| losses_under(values, widths, kept)).collect();
    // best[kept] = least loss of all steps up to `kept` with so many kept, `kept` the last of them; and the one before.
    let mut best: Vec<(Levels, Option<usize>)> = (0..steps).map(|kept| (lost[kept][0], None)).collect();
    let mut rounds = vec![best.clone()];
    for _ in 1..most.clamp(1, steps) {
        let better = |kept: usize| {
            let with = |before: usize| best[before].0 + lost[kept][before + 1] + border(before, kept);
            let before = (0..kept).map(|before| (with(before), Some(before)));
            before.fold(best[kept], |least, other| if least.0.beats(other.0) { other } else { least })
        };
        let round: Vec<_> = (0..steps).map(better).collect();
        // What one more step does not improve, two more do not either.
        if round == best {
            break;
        }
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

/// Partial choices that are looked at before the best found so far is taken.
const MOST_LOOKS: usize = 100_000;

/// Chooses steps of a staircase, the last one among them, of which any two fit (`fits(lower, higher)`), so that the least is lost.
/// Returns the steps kept, in order.
///
/// Exact, by a search from the highest step down with what is lost where all fit as its bound, unless a hundred thousand partial
/// choices do not suffice: then the best found.
///
/// # Panics
/// As [`keep`].
#[must_use]
pub fn keep_compatible(values: &[Levels], widths: &[f64], fits: impl Fn(usize, usize) -> bool) -> Vec<usize> {
    assert_eq!(values.len(), widths.len(), "a width for every value");
    let Some(last) = values.len().checked_sub(1) else { return Vec::new() };
    let lost: Vec<Vec<Levels>> = (0..=last).map(|kept| losses_under(values, widths, kept)).collect();
    // What is lost at least of all steps up to one that is kept.
    let mut least: Vec<Levels> = Vec::new();
    for (kept, under) in lost.iter().enumerate() {
        let with = |before: usize| least[before] + under[before + 1];
        least.push((0..kept).map(with).fold(under[0], Levels::min));
    }
    let mut search = Compatible { lost: &lost, least: &least, fits, best: None, looks_left: MOST_LOOKS };
    search.descend(&mut vec![last], Levels::default());
    let mut kept = search.best.map_or_else(|| vec![last], |(_, kept)| kept);
    kept.reverse();
    kept
}

struct Compatible<'a, F> {
    lost: &'a [Vec<Levels>],
    least: &'a [Levels],
    fits: F,
    best: Option<(Levels, Vec<usize>)>,
    looks_left: usize,
}

impl<F: Fn(usize, usize) -> bool> Compatible<'_, F> {
    /// Goes on below the steps kept so far, the highest first, above the lowest of which so much is lost.
    fn descend(&mut self, kept: &mut Vec<usize>, lost_above: Levels) {
        let lowest = kept[kept.len() - 1];
        let at_least = lost_above + self.least[lowest];
        if self.looks_left == 0 || self.best.as_ref().is_some_and(|(best, _)| !best.beats(at_least)) {
            return;
        }
        self.looks_left -= 1;
        for next in (0..lowest).rev() {
            if kept.iter().all(|&high| (self.fits)(next, high)) {
                kept.push(next);
                self.descend(kept, lost_above + self.lost[lowest][next + 1]);
                kept.pop();
            }
        }
        let all = lost_above + self.lost[lowest][0];
        if self.best.as_ref().is_none_or(|(best, _)| best.beats(all)) {
            self.best = Some((all, kept.clone()));
        }
    }
}

/// Returns for each step up to `kept` what is lost where the steps from it on are served by `kept`.
fn losses_under(values: &[Levels], widths: &[f64], kept: usize) -> Vec<Levels> {
    let mut lost = vec![Levels::default(); kept + 1];
    for step in (0..kept).rev() {
        let mut less = values[step] - values[kept];
        less.0[0] = less.0[0].max(0.0);
        lost[step] = lost[step + 1] + less * widths[step];
    }
    lost
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::{keep, keep_compatible};
    use crate::optimize::levels::Levels;

    fn lost(values: &[Levels], widths: &[f64], kept: &[usize], border: &[Levels]) -> Levels {
        let serves = |step: usize| kept.iter().copied().find(|&kept| kept >= step).expect("the last is kept");
        let less = |step: usize| {
            let less = values[step] - values[serves(step)];
            Levels([less.0[0].max(0.0), less.0[1], less.0[2]]) * widths[step]
        };
        let lost: Levels = (0..values.len()).map(less).sum();
        lost + kept.windows(2).map(|pair| border[pair[0]] * pair[1] as f64).sum()
    }

    /// A staircase whose first level often ties, where the second tells.
    fn staircase(steps: usize, rng: &mut ChaCha8Rng) -> (Vec<Levels>, Vec<f64>) {
        let (mut first, mut second) = (1.0, 1.0);
        let values = (0..steps).map(|_| {
            if rng.random_bool(0.5) {
                first -= rng.random_range(0.0..0.1);
                second = rng.random_range(0.0..1.0);
            } else {
                second -= rng.random_range(0.0..0.1);
            }
            Levels([first, second, 0.0])
        });
        let values = values.collect();
        (values, (0..steps).map(|_| rng.random_range(0.1..10.0)).collect())
    }

    #[test]
    fn no_choice_loses_less() {
        let mut rng = ChaCha8Rng::seed_from_u64(42);
        let mut kept_for_the_second = 0;
        for _ in 0..400 {
            let steps = rng.random_range(1..=9);
            let (values, widths) = staircase(steps, &mut rng);
            let scale = [0.0, 0.05, 1.0][rng.random_range(0..3)];
            let level = rng.random_range(0..2);
            let mut price = |_| {
                let mut price = Levels::default();
                price.0[level] = scale * rng.random_range(0.0..1.0);
                price
            };
            let border: Vec<Levels> = (0..steps).map(&mut price).collect();
            for most in 1..=steps + 1 {
                let kept = keep(&values, &widths, most, |from, to| border[from] * to as f64);
                assert!(kept.len() <= most && kept.last() == Some(&(steps - 1)) && kept.is_sorted(), "{kept:?}");
                let all = (0..1_u32 << (steps - 1)).filter(|set| (set.count_ones() as usize) < most).map(|set| {
                    let mut kept: Vec<usize> = (0..steps - 1).filter(|step| set >> step & 1 == 1).collect();
                    kept.push(steps - 1);
                    lost(&values, &widths, &kept, &border)
                });
                let least = all.reduce(Levels::min).expect("some");
                let found = lost(&values, &widths, &kept, &border);
                let differs = found.0.iter().zip(least.0).any(|(found, least)| (found - least).abs() > 1e-9);
                assert!(!differs, "{most} of {values:?}: {kept:?}");
                kept_for_the_second +=
                    usize::from(kept.windows(2).any(|pair| values[pair[0]].0[0] == values[pair[1]].0[0]));
            }
        }
        assert!(kept_for_the_second > 300, "{kept_for_the_second}");
    }

    #[test]
    fn no_choice_of_steps_that_fit_loses_less() {
        let mut rng = ChaCha8Rng::seed_from_u64(18);
        for _ in 0..400 {
            let steps = rng.random_range(1..=9);
            let (values, widths) = staircase(steps, &mut rng);
            let allowed: Vec<Vec<bool>> =
                (0..steps).map(|_| (0..steps).map(|_| rng.random_bool(0.6)).collect()).collect();
            let fit = |set: &[usize]| {
                set.iter().enumerate().all(|(place, low)| set[place + 1..].iter().all(|high| allowed[*low][*high]))
            };
            let kept = keep_compatible(&values, &widths, |low, high| allowed[low][high]);
            assert!(kept.last() == Some(&(steps - 1)) && kept.is_sorted() && fit(&kept), "{kept:?}");
            let all = (0..1_u32 << (steps - 1)).map(|set| {
                let mut kept: Vec<usize> = (0..steps - 1).filter(|step| set >> step & 1 == 1).collect();
                kept.push(steps - 1);
                kept
            });
            let free = vec![Levels::default(); steps];
            let losses = all.filter(|kept| fit(kept)).map(|kept| lost(&values, &widths, &kept, &free));
            let least = losses.reduce(Levels::min).expect("the last");
            let found = lost(&values, &widths, &kept, &free);
            let differs = found.0.iter().zip(least.0).any(|(found, least)| (found - least).abs() > 1e-9);
            assert!(!differs, "{kept:?}: {found:?} for {least:?}");
        }
    }
}
