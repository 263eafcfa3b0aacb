//! Machines that are rented whole: which fleet (so many machines of each kind) is best for what is to run on it.
//!
//! ```text
//! every fleet within stock, the cheapest first ─▶ may it still win? (bound) ─▶ most accurate choice within it ─▶ best
//!                                                                                (exact, packed exactly)
//! ```
//!
//! What a fleet costs is known before anything is placed on it, and more machines never make a choice less accurate. So
//! every goal comes down to one question, asked of fleets in the order of their cost: *how accurate can it be within
//! this fleet?* The answer comes from [`Within`]: of the room `variant-set` in [`mix`], of the room `pipeline` from
//! [`choice`](super::choice). The enumeration is complete but for fleets that a bound rules out, so the best is proved.

mod machines;
pub mod mix;
pub mod shape;
pub(crate) mod weights;

use super::Objective;
use super::pack::Space;
use crate::base::rounding::{NOISE, ROUNDING, SUMS, keeps_within};

/// A kind of machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FleetKind {
    /// What one machine has.
    pub space: Space,
    /// How many there are.
    pub at_most: u32,
    /// Price of one for an hour.
    pub price: f64,
}

/// What can run within a fleet at the load that is planned for.
pub trait Within {
    /// A choice.
    type Choice;

    /// Returns an accuracy that no choice within the fleet exceeds; −∞ where none carries the load. It need not be tight where
    /// it is below `floor`.
    fn bound(&self, fleet: &[u32], floor: f64) -> f64;

    /// Returns the most accurate choice within the fleet, if its accuracy is at least `floor`.
    fn most_accurate(&self, fleet: &[u32], floor: f64) -> Option<(f64, Self::Choice)>;
}

/// The best choice with its fleet.
#[derive(Debug, Clone, PartialEq)]
pub struct Best<C> {
    /// Value of the objective; higher is better.
    pub value: f64,
    /// Accuracy over requests.
    pub accuracy: f64,
    /// Price of the fleet for an hour.
    pub cost: f64,
    /// Machines of each kind.
    pub fleet: Vec<u32>,
    /// What runs on it.
    pub choice: C,
}

/// Finds the best choice over all fleets within stock, or `None` where none carries the load.
///
/// The objective counts money in place of cores: its resource term is the cost ÷ the price of everything there is. Load
/// times are not weighed. A tolerance in cores is that many at the lowest price of a core. Among equals `MostAccurate` takes the cheapest fleet, `Cheapest` the most accurate choice.
#[must_use]
pub fn best<W: Within>(kinds: &[FleetKind], objective: Objective, within: &W) -> Option<Best<W::Choice>> {
    let all: Vec<u32> = kinds.iter().map(|kind| kind.at_most).collect();
    let whole = cost_of(kinds, &all);
    let part = |cost: f64| if whole > 0.0 { cost / whole } else { 0.0 };
    match objective {
        Objective::Cheapest { accuracy_at_least } => {
            let found = cheapest(kinds, within, accuracy_at_least)?;
            Some(Best { value: -part(found.cost), ..found })
        }
        Objective::MostAccurate => most_accurate(kinds, within, f64::INFINITY),
        Objective::Weighted { accuracy: weight, resource, .. } => {
            let most = within.bound(&all, f64::NEG_INFINITY);
            let noise = NOISE * objective.unit();
            let mut best: Option<Best<W::Choice>> = None;
            for (cost, fleet) in fleets_of(kinds) {
                let known = best.as_ref().map_or(f64::NEG_INFINITY, |best| best.value);
                let value = |accuracy: f64| weight * accuracy - resource * part(cost);
                if value(most) <= known {
                    break;
                }
                let floor = if weight > 0.0 { (known + resource * part(cost)) / weight } else { f64::NEG_INFINITY };
                if value(within.bound(&fleet, floor)) <= known {
                    continue;
                }
                let found =
                    within.most_accurate(&fleet, floor).filter(|(accuracy, _)| value(*accuracy) > known + noise);
                if let Some((accuracy, choice)) = found {
                    best = Some(Best { value: value(accuracy), accuracy, cost, fleet, choice });
                }
            }
            best
        }
        Objective::AccuracyThenCores { tolerance } => {
            let (accuracy, _) = within.most_accurate(&all, f64::NEG_INFINITY)?;
            let found = cheapest(kinds, within, accuracy - tolerance - ROUNDING)?;
            Some(Best { value: -part(found.cost), ..found })
        }
        Objective::CoresThenAccuracy { tolerance } => {
            let fewest = cheapest(kinds, within, f64::NEG_INFINITY)?;
            most_accurate(kinds, within, fewest.cost + f64::from(tolerance) * core_price(kinds))
        }
    }
}

/// Returns the lowest price of a core for an hour.
fn core_price(kinds: &[FleetKind]) -> f64 {
    kinds.iter().map(|kind| kind.price / f64::from(kind.space.cores)).fold(f64::INFINITY, f64::min)
}

/// Returns the most accurate choice that costs no more than this; of those the cheapest.
pub(crate) fn most_accurate<W: Within>(kinds: &[FleetKind], within: &W, cost_at_most: f64) -> Option<Best<W::Choice>> {
    let all: Vec<u32> = kinds.iter().map(|kind| kind.at_most).collect();
    if keeps_within(cost_of(kinds, &all), cost_at_most) {
        let (accuracy, _) = within.most_accurate(&all, f64::NEG_INFINITY)?;
        // As accurate but for rounding is as accurate: a part in 10¹⁰ of the load is worth no machine.
        let found = cheapest(kinds, within, accuracy - ROUNDING)?;
        return Some(Best { value: found.accuracy, ..found });
    }
    let mut best: Option<Best<W::Choice>> = None;
    for (cost, fleet) in fleets_of(kinds).into_iter().take_while(|(cost, _)| keeps_within(*cost, cost_at_most)) {
        let known = best.as_ref().map_or(f64::NEG_INFINITY, |best| best.accuracy + ROUNDING);
        if within.bound(&fleet, known) <= known {
            continue;
        }
        let found = within.most_accurate(&fleet, known).filter(|(accuracy, _)| *accuracy > known);
        if let Some((accuracy, choice)) = found {
            best = Some(Best { value: accuracy, accuracy, cost, fleet, choice });
        }
    }
    best
}

/// Returns the cheapest choice that is accurate enough; of those the most accurate.
fn cheapest<W: Within>(kinds: &[FleetKind], within: &W, accuracy_at_least: f64) -> Option<Best<W::Choice>> {
    let mut best: Option<Best<W::Choice>> = None;
    let mut floor = accuracy_at_least - SUMS;
    for (cost, fleet) in fleets_of(kinds) {
        if best.as_ref().is_some_and(|best| !keeps_within(cost, best.cost)) {
            break;
        }
        if within.bound(&fleet, floor) < floor {
            continue;
        }
        let found = within.most_accurate(&fleet, floor);
        if let Some((accuracy, choice)) = found.filter(|found| best.as_ref().is_none_or(|best| found.0 > best.accuracy))
        {
            floor = floor.max(accuracy);
            best = Some(Best { value: -cost, accuracy, cost, fleet, choice });
        }
    }
    best
}

/// Returns the choices that no fleet as cheap beats in accuracy, the cheapest first; nothing where none carries the load.
///
/// Goes through all fleets within stock but for those that a bound rules out, so every point is proved.
#[must_use]
pub fn frontier<W: Within>(kinds: &[FleetKind], within: &W) -> Vec<Best<W::Choice>> {
    let all: Vec<u32> = kinds.iter().map(|kind| kind.at_most).collect();
    let most = within.bound(&all, f64::NEG_INFINITY);
    let mut points: Vec<Best<W::Choice>> = Vec::new();
    for (cost, fleet) in fleets_of(kinds) {
        let known = points.last().map_or(f64::NEG_INFINITY, |point| point.accuracy);
        if most <= known + ROUNDING {
            break;
        }
        if within.bound(&fleet, known) <= known + ROUNDING {
            continue;
        }
        let found = within.most_accurate(&fleet, known).filter(|(accuracy, _)| *accuracy > known + ROUNDING);
        let Some((accuracy, choice)) = found else { continue };
        // Of fleets at one price the most accurate.
        if points.last().is_some_and(|point| keeps_within(cost, point.cost)) {
            points.pop();
        }
        points.push(Best { value: accuracy, accuracy, cost, fleet, choice });
    }
    points
}

/// Returns what a fleet costs for an hour.
#[must_use]
pub fn cost_of(kinds: &[FleetKind], fleet: &[u32]) -> f64 {
    kinds.iter().zip(fleet).map(|(kind, &machines)| f64::from(machines) * kind.price).sum()
}

fn fleets_of(kinds: &[FleetKind]) -> Vec<(f64, Vec<u32>)> {
    fleets(&kinds.iter().map(|kind| (kind.at_most, kind.price)).collect::<Vec<_>>())
}

/// Returns every fleet with its cost, the cheapest first; of those that cost the same, rounding aside, the smallest first.
///
/// Each kind is how many there are, and the price of one.
pub(crate) fn fleets(kinds: &[(u32, f64)]) -> Vec<(f64, Vec<u32>)> {
    let mut all: Vec<(f64, Vec<u32>)> = vec![(0.0, Vec::new())];
    for &(at_most, price) in kinds {
        let longer = |(cost, fleet): (f64, Vec<u32>)| {
            let with = move |machines| (cost + f64::from(machines) * price, [fleet.clone(), vec![machines]].concat());
            (0..=at_most).map(with)
        };
        all = all.into_iter().flat_map(longer).collect();
    }
    let size = |fleet: &(f64, Vec<u32>)| fleet.1.iter().sum::<u32>();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all.chunk_by_mut(|a, b| keeps_within(b.0, a.0)).for_each(|same| same.sort_by_key(size));
    all
}

#[cfg(test)]
mod tests {
    use super::{FleetKind, Within, best};
    use crate::optimize::Objective;
    use crate::optimize::pack::Space;

    /// The accuracy of one machine and of two.
    struct Accuracies([f64; 2]);

    impl Within for Accuracies {
        type Choice = ();

        fn bound(&self, fleet: &[u32], _: f64) -> f64 {
            fleet[0].checked_sub(1).map_or(f64::NEG_INFINITY, |place| self.0[place as usize])
        }

        fn most_accurate(&self, fleet: &[u32], floor: f64) -> Option<(f64, ())> {
            Some((self.bound(fleet, floor), ())).filter(|(accuracy, ())| *accuracy >= floor)
        }
    }

    #[test]
    fn accuracy_within_rounding_is_worth_no_machine() {
        let kind = FleetKind { space: Space { cores: 4, memory: 0 }, at_most: 2, price: 0.5 };
        for (more, cost) in [(1e-10, 0.5), (1e-6, 1.0)] {
            let within = Accuracies([0.9, 0.9 + more]);
            for goal in [Objective::MostAccurate, Objective::AccuracyThenCores { tolerance: 0.0 }] {
                assert_eq!(best(&[kind], goal, &within).expect("carried").cost, cost, "{more}, {goal:?}");
            }
        }
    }
}
