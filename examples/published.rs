//! Solves one published decision and prints its optimum.
//!
//! `cargo run --release --example published -- FILE` reads a reference instance (`{"kind": "infadapter", "inputs": …}`)
//! and prints `{"feasible": …, "objective": …, "config": […], "solve_ms": …}`.

use std::time::Instant;

use planner::optimize::fill::at_load;
use planner::rooms::Published;
use serde_json::{Value, json};

fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).ok_or_else(|| anyhow::anyhow!("usage: published FILE"))?;
    let reference: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    anyhow::ensure!(reference["kind"] == "infadapter", "{file}: only instances of kind `infadapter` can be solved yet");
    let published: Published = serde_json::from_value(reference["inputs"].clone())?;
    let instance = published.instance();
    let start = Instant::now();
    let solution = at_load::solve(&instance, published.lambda_rps);
    let solve_ms = start.elapsed().as_secs_f64() * 1e3;
    let answer = match solution {
        None => json!({ "feasible": false, "objective": null, "config": [], "solve_ms": solve_ms }),
        Some(solution) => {
            let used = (0..instance.items.len()).filter(|&index| solution.cores[index] > 0);
            let entry = |index: usize| {
                json!({
                    "variant": instance.items[index].name,
                    "cores": solution.cores[index],
                    "quota_rps": solution.quotas[index],
                })
            };
            let config: Vec<Value> = used.map(entry).collect();
            json!({ "feasible": true, "objective": solution.value, "config": config, "solve_ms": solve_ms })
        }
    };
    #[expect(clippy::print_stdout, reason = "the answer of an example")]
    {
        println!("{answer}");
    }
    Ok(())
}
