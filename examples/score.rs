//! Scores one cascade on a record file.
//!
//! `cargo run --release --example score -- RECORDS.csv.gz MODEL[:THRESHOLD] … MODEL` prints `{"accuracy", "reach": [one a stage, the
//! first 1.0], "n"}`. A sample leaves at the first model whose certainty is at least its threshold, and at the last model in any
//! case, so that one has no threshold. `a+b+c` in place of a model lets those vote.

use std::path::Path;

use anyhow::{Context, bail};
use planner::rooms::cascade::{Member, Records};
use serde_json::json;

const USAGE: &str = "usage: score RECORDS.csv.gz MODEL:THRESHOLD … MODEL";

#[expect(clippy::print_stdout, reason = "the answer of an example")]
fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, stages @ .., last] = arguments.as_slice() else { bail!(USAGE) };
    let mut records = Records::load(Path::new(file)).map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut members = Vec::new();
    for stage in stages {
        // Names of models may hold colons themselves, as those of registries do.
        let (name, threshold) =
            stage.rsplit_once(':').with_context(|| format!("`{stage}` lacks a threshold; {USAGE}"))?;
        let exit_at: f64 = threshold.parse().with_context(|| format!("`{threshold}` in `{stage}` is no threshold"))?;
        if exit_at.is_nan() {
            bail!("`{stage}`: nothing compares with NaN");
        }
        members.push(Member { model: model(&mut records, name)?, exit_at: Some(exit_at) });
    }
    if let Some((name, threshold)) = last.rsplit_once(':').filter(|(_, threshold)| threshold.parse::<f64>().is_ok()) {
        bail!("all samples leave at the last model: name it `{name}`, without `:{threshold}`");
    }
    members.push(Member { model: model(&mut records, last)?, exit_at: None });
    for (place, member) in members.iter().enumerate() {
        if members[..place].iter().any(|before| records.share_a_model(before.model, member.model)) {
            bail!("`{}` stands twice: a model would be asked the same again", records.models[member.model].name);
        }
    }
    let cascade = records.evaluate(&members);
    println!("{}", json!({ "accuracy": cascade.accuracy, "reach": cascade.reach, "n": records.samples() }));
    Ok(())
}

/// Returns the index of a model, or of the vote of several.
fn model(records: &mut Records, name: &str) -> anyhow::Result<usize> {
    let voters: Vec<&str> = name.split('+').collect();
    // A model whose own name holds a plus is meant before a vote.
    if voters.len() == 1 || records.models.iter().any(|record| record.name == name) {
        return records.index_of(name).map_err(|finding| anyhow::anyhow!("{finding}"));
    }
    let models = voters.iter().map(|voter| records.index_of(voter)).collect::<Result<Vec<_>, _>>();
    models.and_then(|models| records.add_ensemble(&models)).map_err(|finding| anyhow::anyhow!("{finding}"))
}
