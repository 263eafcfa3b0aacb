//! Load balancing of SP3: how requests are shared out so that the busiest device is as idle as can be.
//!
//! With identical devices the smallest highest utilisation is `max_S Σ_{m∈S} w_m ÷ |devices that hold any of S|` over sets S of
//! models (max-flow/min-cut), which both the paper and the code approach by lowering a limit in steps until their linear
//! program has no solution. The shares are a flow at that utilisation.

use crate::base::rounding::SUMS;

/// Returns the utilisation of the busiest device under the best shares; infinite where a model is nowhere.
///
/// `work` is what each member of the cascade asks for in device seconds a second; `places[member][device]` tells who holds it.
pub(super) fn utilisation(work: &[f64], places: &[Vec<bool>]) -> f64 {
    let sets = 1_usize..1 << work.len();
    let of_set = |set: usize| {
        let members = || (0..work.len()).filter(move |member| set >> member & 1 == 1);
        let asked: f64 = members().map(|member| work[member]).sum();
        let devices = places.first().map_or(0, Vec::len);
        let may = (0..devices).filter(|&device| members().any(|member| places[member][device])).count();
        if may == 0 { f64::INFINITY } else { asked / may as f64 }
    };
    sets.map(of_set).fold(0.0, f64::max)
}

/// Returns for each member the share of its requests that every device gets, none of which is busier than `limit`.
pub(super) fn shares(work: &[f64], places: &[Vec<bool>], limit: f64) -> Vec<Vec<f64>> {
    let devices = places.first().map_or(0, Vec::len);
    let mut flow = vec![vec![0.0; devices]; work.len()];
    let mut free = vec![limit; devices];
    // What is too little to matter ends the search in spite of rounding.
    let noise = SUMS * limit;
    for (member, &asked) in work.iter().enumerate() {
        let mut left = asked;
        while left > noise {
            let Some(path) = augmenting(&flow, places, &free, member, noise) else { break };
            let ends_free = free[path[path.len() - 1].1];
            let moved = path.windows(2).map(|step| flow[step[1].0][step[0].1]).fold(ends_free.min(left), f64::min);
            for step in path.windows(2) {
                flow[step[1].0][step[0].1] -= moved;
            }
            for &(of, to) in &path {
                flow[of][to] += moved;
            }
            free[path[path.len() - 1].1] -= moved;
            left -= moved;
        }
    }
    flow.into_iter().zip(places).map(|(row, place)| normal(row, place)).collect()
}

/// Returns a shortest way from a member to a device with free time: (member, device) steps, each of which takes over what the
/// next step's member has on this step's device.
fn augmenting(
    flow: &[Vec<f64>],
    places: &[Vec<bool>],
    free: &[f64],
    member: usize,
    noise: f64,
) -> Option<Vec<(usize, usize)>> {
    let mut seen = vec![false; flow.len()];
    let mut ways = std::collections::VecDeque::from([(member, Vec::new())]);
    seen[member] = true;
    while let Some((of, way)) = ways.pop_front() {
        let devices = || (0..free.len()).filter(|&device| places[of][device]);
        let extended = |device: usize| way.iter().copied().chain([(of, device)]).collect::<Vec<_>>();
        let freest = devices().filter(|&device| free[device] > noise).max_by(|&a, &b| free[a].total_cmp(&free[b]));
        if let Some(device) = freest {
            return Some(extended(device));
        }
        for device in devices() {
            for other in 0..flow.len() {
                if !seen[other] && flow[other][device] > noise {
                    seen[other] = true;
                    ways.push_back((other, extended(device)));
                }
            }
        }
    }
    None
}

/// Scales a row to sum to 1; an idle member is shared evenly.
fn normal(row: Vec<f64>, place: &[bool]) -> Vec<f64> {
    let sum: f64 = row.iter().sum();
    let holders = place.iter().filter(|&&held| held).count() as f64;
    let even = place.iter().map(|&held| if held { 1.0 / holders } else { 0.0 });
    if sum > 0.0 { row.into_iter().map(|part| part / sum).collect() } else { even.collect() }
}

#[cfg(test)]
mod tests {
    use super::{shares, utilisation};
    use crate::stats::Dice;

    #[test]
    fn shares_reach_the_smallest_highest_utilisation() {
        let mut dice = Dice::new(5, 9);
        let mut tried = 0;
        for case in 0..2_000 {
            let (members, devices) = (1 + dice.below(4) as usize, 1 + dice.below(5) as usize);
            let work: Vec<f64> = (0..members).map(|_| dice.unit()).collect();
            let places: Vec<Vec<bool>> =
                (0..members).map(|_| (0..devices).map(|_| dice.below(2) == 1).collect()).collect();
            let least = utilisation(&work, &places);
            if least.is_infinite() {
                continue;
            }
            tried += 1;
            let shares = shares(&work, &places, least);
            let busy = |device: usize| (0..members).map(|member| work[member] * shares[member][device]).sum::<f64>();
            let busiest = (0..devices).map(busy).fold(0.0, f64::max);
            assert!((busiest - least).abs() < 1e-9, "case {case}: {busiest} against {least}");
            for (row, place) in shares.iter().zip(&places) {
                assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-9, "case {case}: {row:?}");
                assert!(row.iter().zip(place).all(|(&share, &held)| held || share == 0.0), "case {case}: {row:?}");
            }
        }
        assert!(tried > 1_000, "{tried} cases had a place for every model");
    }
}
