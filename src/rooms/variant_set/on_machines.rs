//! The room on machines against enumeration.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::VariantSet;
use crate::facts::Facts;
use crate::optimize::pack::Size;
use crate::problem::Problem;
use crate::rooms::configurations::Configuration;
use crate::rooms::enumerated::{self, Packed, Whole, combinations, drawn, draws, with_goal};
use crate::rooms::hardware::{facts_of_kinds, size};

const VARIANTS: [&str; 4] = ["mlp_s", "cnn_s", "cnn_m", "early_exit"];
/// More choices than this are not enumerated.
const MOST_CHOICES: usize = 6000;

/// A variant on a kind of machine, with everything that it may get.
struct Item {
    accuracy: f64,
    kind: usize,
    /// Sizes and capacities.
    options: Vec<(Size, f64)>,
}

fn items(problem: &Problem, facts: &Facts, variants: &[&str]) -> Vec<Item> {
    let mut items = Vec::new();
    for (kind, (machine, facts)) in problem.inventory.machines.iter().zip(facts_of_kinds(problem, facts)).enumerate() {
        for variant in variants {
            let curve = facts.curve(variant, "cpu").expect("measured");
            let mut options = Vec::new();
            for (cores, batch) in curve.usable().into_iter().filter(|(cores, _)| *cores <= machine.cores) {
                for replicas in 1..=machine.all_cores() / cores {
                    let service = curve.at(cores, batch).expect("measured");
                    let way = Configuration::new(service, cores, replicas, batch, &problem.slo);
                    options.push((size(&facts, variant, &way), way.capacity));
                }
            }
            items.push(Item { accuracy: facts.variant(variant).expect("known").accuracy.value.get(), kind, options });
        }
    }
    items.sort_by(|a, b| b.accuracy.total_cmp(&a.accuracy));
    items
}

/// Returns every choice that carries the load within stock, or `None` where there are too many to go through.
fn everything(problem: &Problem, facts: &Facts, variants: &[&str], load: f64) -> Option<Vec<Whole>> {
    let items = items(problem, facts, variants);
    let sizes: Vec<usize> = items.iter().map(|item| item.options.len() + 1).collect();
    if sizes.iter().product::<usize>() > MOST_CHOICES {
        return None;
    }
    let mut packed = Packed::new(problem);
    let of_picks = |picks: Vec<usize>| {
        let (mut left, mut mass) = (load, 0.0);
        let mut classes = Vec::new();
        for (item, option) in items.iter().zip(&picks).filter_map(|(item, pick)| Some((item, pick.checked_sub(1)?))) {
            let (size, capacity) = item.options[option];
            let taken = f64::min(left, capacity);
            left -= taken;
            mass += taken * item.accuracy;
            classes.push((item.kind, size));
        }
        if left > 1e-9 * load { None } else { packed.whole(mass / load, classes) }
    };
    Some(combinations(&sizes).filter_map(of_picks).collect())
}

/// The best of each goal, and the frontier, are what enumeration over replicas, and over fleets with an exact packing, finds.
#[test]
fn variant_sets_on_machines_equal_enumeration() {
    let mut dice = ChaCha8Rng::seed_from_u64(63);
    let (mut tried, mut feasible, mut larger) = (0, 0, 0);
    let problems = draws(520);
    while tried < problems {
        let (mut value, facts) = drawn(&mut dice);
        let first = dice.random_range(0..VARIANTS.len());
        let variants = &VARIANTS[first..(first + dice.random_range(1..=3)).min(VARIANTS.len())];
        value["room"] = json!("variant-set");
        value["variants"] = json!(variants);
        let problem = with_goal(&value, json!({ "kind": "most-accurate" }));
        let load = problem.workload.max_rps.get();
        let Some(all) = everything(&problem, &facts, variants, load) else { continue };
        tried += 1;
        feasible += u32::from(!all.is_empty());
        let name = format!("problem {tried}: {value}");
        larger += u32::from(enumerated::agrees(&VariantSet, &mut dice, &value, &facts, &all, &name) > 1);
    }
    assert!(feasible > 200 && larger > 40, "{feasible} have a plan, {larger} a frontier of several points");
}
