//! The best choice for every period where changing has a price: a shortest path.

use super::levels::Levels;

/// Returns the value and the choice of each period with the highest sum of values less the price of changes; `None` where some
/// period has no choice. `values[k][o]` is what option `o` is worth in period `k`, `None` where it cannot be chosen, and
/// `price[a][b]` what it costs that `b` follows `a`, `None` where it must not.
///
/// Exact, by dynamic programming over the option of the last period: O(periods × options²). Of equals the first option.
#[must_use]
pub fn best(values: &[Vec<Option<Levels>>], price: &[Vec<Option<Levels>>]) -> Option<(Levels, Vec<usize>)> {
    let (first, later) = values.split_first()?;
    let mut worth: Vec<Option<Levels>> = first.clone();
    let mut ways: Vec<Vec<usize>> = Vec::new();
    for period in later {
        let from: Vec<(Levels, usize)> =
            worth.iter().enumerate().filter_map(|(option, worth)| Some(((*worth)?, option))).collect();
        let reach = |(to, own): (usize, &Option<Levels>)| {
            let own = (*own)?;
            let paid = from.iter().filter_map(|&(worth, option)| Some((worth - price[option][to]?, option)));
            paid.reduce(Levels::better).map(|(worth, option)| (worth + own, option))
        };
        let reached: Vec<Option<(Levels, usize)>> = period.iter().enumerate().map(reach).collect();
        worth = reached.iter().map(|reached| reached.map(|(worth, _)| worth)).collect();
        ways.push(reached.iter().map(|before| before.map_or(0, |(_, option)| option)).collect());
    }
    let ends = worth.iter().enumerate().filter_map(|(option, worth)| Some(((*worth)?, option)));
    let (value, last) = ends.reduce(Levels::better)?;
    let mut chosen = vec![last];
    for way in ways.iter().rev() {
        chosen.push(way[chosen[chosen.len() - 1]]);
    }
    chosen.reverse();
    Some((value, chosen))
}

/// Returns what these choices are worth; `None` where one of them cannot be chosen.
#[must_use]
pub fn worth(values: &[Vec<Option<Levels>>], price: &[Vec<Option<Levels>>], chosen: &[usize]) -> Option<Levels> {
    let own: Levels = values.iter().zip(chosen).map(|(period, &option)| period[option]).sum::<Option<Levels>>()?;
    let paid: Levels = chosen.windows(2).map(|pair| price[pair[0]][pair[1]]).sum::<Option<Levels>>()?;
    Some(own - paid)
}

/// Returns the option of the highest value in each period by itself, whatever changing costs.
#[must_use]
pub fn greedy(values: &[Vec<Option<Levels>>]) -> Option<Vec<usize>> {
    let best = |period: &Vec<Option<Levels>>| {
        let options = period.iter().enumerate().filter_map(|(option, value)| Some(((*value)?, option)));
        options.reduce(Levels::better).map(|(_, option)| option)
    };
    values.iter().map(best).collect()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::{best, greedy, worth};
    use crate::optimize::levels::Levels;

    /// Tries every choice of every period.
    fn enumerated(values: &[Vec<Option<Levels>>], price: &[Vec<Option<Levels>>]) -> Option<Levels> {
        let options = price.len();
        let all = options.pow(values.len() as u32);
        let digits = |mut number: usize| -> Vec<usize> {
            let mut digit = || {
                let digit = number % options;
                number /= options;
                digit
            };
            values.iter().map(|_| digit()).collect()
        };
        let all = (0..all).filter_map(|number| worth(values, price, &digits(number)));
        all.reduce(Levels::max)
    }

    fn is_same(one: Levels, other: Levels) -> bool {
        one.0.iter().zip(other.0).all(|(one, other)| (one - other).abs() < 1e-11)
    }

    #[test]
    fn no_sequence_is_worth_more() {
        let mut rng = ChaCha8Rng::seed_from_u64(42);
        let mut better = 0;
        for _ in 0..400 {
            let (periods, options) = (rng.random_range(1..=6), rng.random_range(1..=4));
            let scale = [0.0, 0.3, 3.0][rng.random_range(0..3)];
            // First levels of few values tie often.
            let coarse = rng.random_bool(0.5);
            let mut value = |_| {
                let first: f64 = rng.random_range(0.0..1.0);
                let first = if coarse { (3.0 * first).round() } else { first };
                rng.random_bool(0.8).then(|| Levels([first, rng.random_range(0.0..1.0), 0.0]))
            };
            let values: Vec<Vec<Option<Levels>>> =
                (0..periods).map(|_| (0..options).map(&mut value).collect()).collect();
            let mut cost = |from: usize, to: usize| {
                let mut cost = Levels::default();
                cost.0[usize::from(coarse)] = if from == to { 0.0 } else { scale * rng.random_range(0.0..1.0) };
                (from == to || rng.random_bool(0.9)).then_some(cost)
            };
            let price: Vec<Vec<Option<Levels>>> =
                (0..options).map(|from| (0..options).map(|to| cost(from, to)).collect()).collect();
            let found = best(&values, &price);
            let truth = enumerated(&values, &price);
            match (&found, truth) {
                (Some((value, chosen)), Some(truth)) => {
                    assert!(is_same(*value, truth), "{values:?} {price:?}: {value:?} {truth:?}");
                    assert!(is_same(worth(&values, &price, chosen).expect("allowed"), *value));
                    let alone = worth(&values, &price, &greedy(&values).expect("every period has one"));
                    assert!(alone.is_none_or(|alone| !alone.beats(*value) || is_same(alone, *value)));
                    better += usize::from(alone.is_none_or(|alone| !is_same(alone, *value)));
                }
                (None, None) => {}
                _ => panic!("{found:?} {truth:?}"),
            }
        }
        assert!(better > 50, "greedy is best nearly always: the instances test nothing");
    }
}
