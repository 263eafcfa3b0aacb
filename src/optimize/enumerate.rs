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

/// Allotments that are looked at before [`every`] gives up, for each that may be listed.
const LOOKS_EACH: usize = 200;

/// Returns every solution at a load that is `worth_it` by its accuracy and its cores, whatever the objective; `None` where there
/// are more than `most`, or too many to look through. What is worth it must stay so with more accuracy and with fewer cores.
#[must_use]
pub fn every(
    instance: &Instance,
    load: f64,
    most: usize,
    worth_it: impl Fn(f64, u32) -> bool,
) -> Option<Vec<Solution>> {
    let mut listing = Listing {
        instance,
        order: instance.by_accuracy(),
        load,
        worth_it,
        looks_left: most.saturating_mul(LOOKS_EACH),
        most,
        found: Vec::new(),
    };
    listing.descend(0, &mut vec![0; instance.items.len()], 0.0, load)?;
    Some(listing.found)
}

struct Listing<'a, F> {
    instance: &'a Instance,
    order: Vec<usize>,
    load: f64,
    worth_it: F,
    looks_left: usize,
    most: usize,
    found: Vec<Solution>,
}

impl<F: Fn(f64, u32) -> bool> Listing<'_, F> {
    /// Goes through the allotments of the items from a position on; `mass` are right answers per second so far, `left` the load
    /// that is still to be carried. `None` ends the search.
    fn descend(&mut self, position: usize, cores: &mut Vec<u32>, mass: f64, left: f64) -> Option<()> {
        self.looks_left = self.looks_left.checked_sub(1)?;
        let used: u32 = cores.iter().sum();
        let Some(&index) = self.order.get(position) else {
            if let Some((accuracy, quotas)) = self.instance.filled(cores, self.load)
                && (self.worth_it)(accuracy, used)
            {
                self.found.push(Solution { value: accuracy, accuracy, cores: cores.clone(), quotas });
            }
            return (self.found.len() <= self.most).then_some(());
        };
        let item = &self.instance.items[index];
        // What is left cannot be answered more accurately than by the next item.
        if !(self.worth_it)((mass + left * item.accuracy) / self.load, used) {
            return Some(());
        }
        self.descend(position + 1, cores, mass, left)?;
        for option in item.options.iter().filter(|option| option.cores <= self.instance.budget - used) {
            let taken = option.capacity.min(left);
            cores[index] = option.cores;
            self.descend(position + 1, cores, mass + taken * item.accuracy, left - taken)?;
            cores[index] = 0;
        }
        Some(())
    }
}
