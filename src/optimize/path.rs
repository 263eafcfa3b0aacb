//! The best choice for every period where changing has a price: a shortest path.

/// Returns the value and the choice of each period with the highest sum of values less the price of changes; `None` where some
/// period has no choice. `values[k][o]` is what option `o` is worth in period `k`, `None` where it cannot be chosen, and
/// `price[a][b]` what it costs that `b` follows `a`.
///
/// Exact, by dynamic programming over the option of the last period: O(periods × options²). Of equals the first option.
#[must_use]
pub fn best(values: &[Vec<Option<f64>>], price: &[Vec<f64>]) -> Option<(f64, Vec<usize>)> {
    let (first, later) = values.split_first()?;
    let mut worth: Vec<Option<f64>> = first.clone();
    let mut ways: Vec<Vec<usize>> = Vec::new();
    for period in later {
        let from: Vec<(usize, f64)> =
            worth.iter().enumerate().filter_map(|(option, worth)| Some((option, (*worth)?))).collect();
        let reach = |to: usize| {
            let paid = from.iter().map(|&(option, worth)| (option, worth - price[option][to]));
            paid.reduce(|best, next| if next.1 > best.1 { next } else { best })
        };
        let reached: Vec<Option<(usize, f64)>> = (0..period.len()).map(reach).collect();
        worth = period.iter().zip(&reached).map(|(own, before)| Some(own.as_ref()? + before.as_ref()?.1)).collect();
        ways.push(reached.iter().map(|before| before.map_or(0, |(option, _)| option)).collect());
    }
    let ends = worth.iter().enumerate().filter_map(|(option, worth)| Some((option, (*worth)?)));
    let (last, value) = ends.reduce(|best, next| if next.1 > best.1 { next } else { best })?;
    let mut chosen = vec![last];
    for way in ways.iter().rev() {
        chosen.push(way[chosen[chosen.len() - 1]]);
    }
    chosen.reverse();
    Some((value, chosen))
}

/// Returns what these choices are worth; `None` where one of them cannot be chosen.
#[must_use]
pub fn worth(values: &[Vec<Option<f64>>], price: &[Vec<f64>], chosen: &[usize]) -> Option<f64> {
    let own: f64 = values.iter().zip(chosen).map(|(period, &option)| period[option]).sum::<Option<f64>>()?;
    Some(own - chosen.windows(2).map(|pair| price[pair[0]][pair[1]]).sum::<f64>())
}

/// Returns the option of the highest value in each period by itself, whatever changing costs.
#[must_use]
pub fn greedy(values: &[Vec<Option<f64>>]) -> Option<Vec<usize>> {
    let best = |period: &Vec<Option<f64>>| {
        let options = period.iter().enumerate().filter_map(|(option, value)| Some((option, (*value)?)));
        options.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(option, _)| option)
    };
    values.iter().map(best).collect()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::{best, greedy, worth};

    /// Tries every choice of every period.
    fn enumerated(values: &[Vec<Option<f64>>], price: &[Vec<f64>]) -> Option<f64> {
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
        (0..all).filter_map(|number| worth(values, price, &digits(number))).reduce(f64::max)
    }

    #[test]
    fn no_sequence_is_worth_more() {
        let mut dice = ChaCha8Rng::seed_from_u64(42);
        let mut better = 0;
        for _ in 0..400 {
            let (periods, options) = (dice.random_range(1..=6), dice.random_range(1..=4));
            let scale = [0.0, 0.3, 3.0][dice.random_range(0..3)];
            let mut value = |_| dice.random_bool(0.8).then(|| dice.random_range(0.0..1.0));
            let values: Vec<Vec<Option<f64>>> = (0..periods).map(|_| (0..options).map(&mut value).collect()).collect();
            let mut cost = |from: usize, to: usize| if from == to { 0.0 } else { scale * dice.random_range(0.0..1.0) };
            let price: Vec<Vec<f64>> =
                (0..options).map(|from| (0..options).map(|to| cost(from, to)).collect()).collect();
            let found = best(&values, &price);
            let truth = enumerated(&values, &price);
            match (&found, truth) {
                (Some((value, chosen)), Some(truth)) => {
                    assert!((value - truth).abs() < 1e-12, "{values:?} {price:?}: {value} {truth}");
                    assert!((worth(&values, &price, chosen).expect("allowed") - value).abs() < 1e-12);
                    let alone =
                        worth(&values, &price, &greedy(&values).expect("every period has one")).expect("allowed");
                    assert!(alone <= value + 1e-12);
                    better += usize::from(alone < value - 1e-9);
                }
                (None, None) => assert_eq!(greedy(&values), None),
                _ => panic!("{found:?} {truth:?}"),
            }
        }
        assert!(better > 50, "greedy is best nearly always: the instances test nothing");
    }
}
