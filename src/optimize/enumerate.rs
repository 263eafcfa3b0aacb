//! The oracle: tries everything. For tests and tiny instances only.

use super::{Instance, Solution};

/// Returns the best solution at a load by trying every allotment of every item, or `None` where none is feasible.
///
/// Takes time exponential in the number of items. The first of equals wins, fewest cores first within an item.
#[must_use]
pub fn solve(instance: &Instance, load: f64) -> Option<Solution> {
    if let Some(first) = instance.first_level() {
        return solve(&instance.second_level(&solve(&first, load)?), load);
    }
    best(instance, load, |_| true)
}

/// Returns the best of the solutions that are allowed.
#[must_use]
pub fn best(instance: &Instance, load: f64, allowed: impl Fn(&Solution) -> bool) -> Option<Solution> {
    let mut best: Option<Solution> = None;
    let mut look_at = |cores: &[u32]| {
        if let Some(found) = instance.evaluate(cores, load).filter(&allowed)
            && best.as_ref().is_none_or(|best| found.value > best.value)
        {
            best = Some(found);
        }
    };
    descend(instance, instance.budget, &mut Vec::new(), &mut look_at);
    best
}

/// Looks at every allotment within the cores that are left.
fn descend(instance: &Instance, left: u32, cores: &mut Vec<u32>, look_at: &mut impl FnMut(&[u32])) {
    let Some(item) = instance.items.get(cores.len()) else { return look_at(cores) };
    let options = item.options.iter().map(|option| option.cores).filter(|cores| *cores <= left);
    for n in std::iter::once(0).chain(options) {
        cores.push(n);
        descend(instance, left - n, cores, look_at);
        cores.pop();
    }
}
