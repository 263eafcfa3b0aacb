//! The oracle: tries everything. For tests and tiny instances only.

use super::{Instance, Solution};

/// Returns the best solution at a load by trying every allotment of every item, or `None` where none is feasible.
///
/// Takes time exponential in the number of items. The first of equals wins, fewest cores first within an item.
#[must_use]
pub fn solve(instance: &Instance, load: f64) -> Option<Solution> {
    let mut cores = vec![0; instance.items.len()];
    let mut best = None;
    descend(instance, load, 0, &mut cores, &mut best);
    best
}

fn descend(instance: &Instance, load: f64, index: usize, cores: &mut Vec<u32>, best: &mut Option<Solution>) {
    let Some(item) = instance.items.get(index) else {
        if let Some(found) = instance.evaluate(cores, load)
            && best.as_ref().is_none_or(|best| found.value > best.value)
        {
            *best = Some(found);
        }
        return;
    };
    for n in std::iter::once(0).chain(item.options.iter().map(|option| option.cores)) {
        cores[index] = n;
        descend(instance, load, index + 1, cores, best);
    }
    cores[index] = 0;
}
