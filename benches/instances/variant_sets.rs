//! Variant sets that the bench `variant_set` and `examples/growth` time.

use planner::optimize::{Allotment, Instance, Item, Objective};

/// Variants like InfAdapter's ResNets: dearer ones are more accurate and scale worse.
pub fn variant_set(variants: u32, budget: u32) -> Instance {
    let item = |index: u32| {
        let weight = f64::from(index + 1);
        let capacity = |cores: u32| f64::from(cores) * 25.0 / weight - 0.37 * weight;
        Item {
            name: format!("m{index}"),
            accuracy: 0.65 + 0.3 * weight / f64::from(variants + 1),
            load_time: 6.0 + 0.5 * weight,
            current_cores: if index == 1 { 4 } else { 0 },
            options: (1..=budget)
                .map(|cores| Allotment { cores, capacity: capacity(cores) })
                .filter(|option| option.capacity > 0.0)
                .collect(),
        }
    };
    let objective = Objective::Weighted { accuracy: 1.0, resource: 0.05, loading: 0.001 };
    Instance { items: (0..variants).map(item).collect(), budget, objective }
}

/// The highest load: all cores for the lightest variant.
pub fn highest(instance: &Instance) -> f64 {
    instance.items[0].options.last().map_or(0.0, |option| option.capacity)
}
