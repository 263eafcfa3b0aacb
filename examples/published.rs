//! Solves one published decision and prints its optimum.
//!
//! `cargo run --release --example published -- FILE` reads a reference instance (`{"kind": "infadapter" | "ipa", "inputs":
//! …}`) and prints `{"feasible": …, "objective": …, "config": […], "solve_ms": …}`.

use std::time::Instant;

use planner::optimize::fill::at_load;
use planner::rooms::Published;
use planner::rooms::pipeline::PublishedPipeline;
use serde_json::{Value, json};

/// Value of the objective and what is deployed, or nothing where no plan exists.
type Optimum = Option<(f64, Vec<Value>)>;

fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).ok_or_else(|| anyhow::anyhow!("usage: published FILE"))?;
    let mut reference: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    let inputs = reference["inputs"].take();
    let (optimum, solve_ms) = match reference["kind"].as_str() {
        Some("infadapter") => timed(&serde_json::from_value(inputs)?, variant_set),
        Some("ipa") => timed(&serde_json::from_value(inputs)?, pipeline),
        other => anyhow::bail!("{file}: kind is {other:?}; `infadapter` and `ipa` can be solved"),
    };
    let answer = match optimum {
        None => json!({ "feasible": false, "objective": null, "config": [], "solve_ms": solve_ms }),
        Some((objective, config)) => {
            json!({ "feasible": true, "objective": objective, "config": config, "solve_ms": solve_ms })
        }
    };
    #[expect(clippy::print_stdout, reason = "the answer of an example")]
    {
        println!("{answer}");
    }
    Ok(())
}

fn timed<T>(instance: &T, solve: fn(&T) -> Optimum) -> (Optimum, f64) {
    let start = Instant::now();
    let optimum = solve(instance);
    (optimum, start.elapsed().as_secs_f64() * 1e3)
}

fn variant_set(published: &Published) -> Optimum {
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
    Some((solution.value, used.map(entry).collect()))
}

fn pipeline(published: &PublishedPipeline) -> Optimum {
    let decision = published.solve()?;
    let entry = |stage: &planner::rooms::pipeline::Deployed| {
        json!({
            "stage": stage.stage,
            "variant": stage.variant,
            "batch": stage.batch,
            "replicas": stage.replicas,
            "cores_total": stage.cores,
        })
    };
    Some((decision.objective, decision.stages.iter().map(entry).collect()))
}
