//! Solves one published decision and prints its optimum.
//!
//! `cargo run --release --example published -- FILE` reads a reference instance (`{"kind": "infadapter" | "ipa", "inputs":
//! …}`) and prints `{"feasible": …, "objective": …, "config": […], "solve_ms": …}`. A second argument asks for a published
//! baseline of `ipa` instead: `fa2-low`, `fa2-high`, or `rim:N` with N replicas a stage. Where the instance has a list
//! `"loads_rps"`, it prints a line for each of them. A variant of `infadapter` may have a `"capacity_table"`, a map from cores
//! to requests per second, in place of `"th_slope"` and `"th_intercept"`: it is taken as it stands, and only its core counts
//! can be chosen.

use std::time::Instant;

use planner::optimize::fill::at_load;
use planner::papers::infadapter::InfAdapterInstance;
use planner::papers::ipa::{Adapter, Deployed, IpaInstance};
use serde_json::{Value, json};

/// Value of the objective, average accuracy, and what is deployed; nothing where no plan exists.
type Optimum = Option<(f64, f64, Vec<Value>)>;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or_else(|| anyhow::anyhow!("usage: published FILE [ipa|fa2-low|fa2-high|rim:N]"))?;
    let adapter = arguments.next().map_or(Ok(Adapter::Ipa), |name| adapter(&name))?;
    let mut reference: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    let inputs = reference["inputs"].take();
    match reference["kind"].as_str() {
        Some("infadapter") => say(&serde_json::from_value(inputs)?, variant_set),
        Some("ipa") => {
            let loads: Option<Vec<f64>> = serde_json::from_value(reference["loads_rps"].take())?;
            let instance: IpaInstance = serde_json::from_value(inputs)?;
            for load in loads.unwrap_or_else(|| vec![instance.arrival_rate_rps]) {
                say(&IpaInstance { arrival_rate_rps: load, ..instance.clone() }, |it| pipeline(it, adapter));
            }
        }
        other => anyhow::bail!("{file}: kind is {other:?}; `infadapter` and `ipa` can be solved"),
    }
    Ok(())
}

fn adapter(name: &str) -> anyhow::Result<Adapter> {
    match name {
        "ipa" => Ok(Adapter::Ipa),
        "fa2-low" => Ok(Adapter::Fa2Low),
        "fa2-high" => Ok(Adapter::Fa2High),
        _ => match name.strip_prefix("rim:").map(str::parse) {
            Some(Ok(replicas)) => Ok(Adapter::Rim(replicas)),
            _ => anyhow::bail!("{name} is no adapter; known are ipa, fa2-low, fa2-high and rim:N"),
        },
    }
}

#[expect(clippy::print_stdout, reason = "the answer of an example")]
fn say<T>(instance: &T, solve: impl Fn(&T) -> Optimum) {
    let start = Instant::now();
    let optimum = solve(instance);
    let solve_ms = start.elapsed().as_secs_f64() * 1e3;
    let answer = match optimum {
        None => json!({ "feasible": false, "objective": null, "config": [], "solve_ms": solve_ms }),
        Some((objective, accuracy, config)) => json!({
            "feasible": true, "objective": objective, "accuracy": accuracy, "config": config, "solve_ms": solve_ms
        }),
    };
    println!("{answer}");
}

fn variant_set(published: &InfAdapterInstance) -> Optimum {
    let instance = published.instance();
    let solution = at_load::solve(&instance, published.lambda_rps)?;
    let used = (0..instance.items.len()).filter(|&index| solution.cores[index] > 0);
    let entry = |index: usize| {
        json!({
            "variant": instance.items[index].name,
            "cores": solution.cores[index],
            "quota_rps": solution.quotas[index],
        })
    };
    Some((solution.value, solution.accuracy, used.map(entry).collect()))
}

fn pipeline(published: &IpaInstance, adapter: Adapter) -> Optimum {
    let decision = published.decide(adapter)?;
    let entry = |stage: &Deployed| {
        json!({
            "stage": stage.stage,
            "variant": stage.variant,
            "batch": stage.batch,
            "replicas": stage.replicas,
            "cores_total": stage.cores,
        })
    };
    Some((decision.objective, decision.accuracy, decision.stages.iter().map(entry).collect()))
}
