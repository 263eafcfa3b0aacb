//! Scores one cascade on a record file.
//!
//! `cargo run --release --example score -- RECORDS.csv.gz MODEL[:THRESHOLD] … MODEL` prints `{"accuracy", "reach": [one a stage, the
//! first 1.0], "n"}`. A sample leaves at the first model whose certainty is at least its threshold, and at the last model in any
//! case, so that one has no threshold. `a+b+c` in place of a model lets those vote.

use std::path::Path;

use anyhow::{Context, bail};
use planner::rooms::exits::{Member, Record, Records};
use planner::{Code, Finding};
use serde_json::json;

const USAGE: &str = "usage: score RECORDS.csv.gz MODEL:THRESHOLD … MODEL";

#[expect(clippy::print_stdout, reason = "the answer of an example")]
fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, stages @ .., last] = arguments.as_slice() else { bail!(USAGE) };
    let mut records = Records::load(Path::new(file)).map_err(|error| anyhow::anyhow!("{error}"))?;
    let (mut members, mut asked): (Vec<Member>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut add = |records: &mut Records, name: &str, exit_at| -> anyhow::Result<()> {
        let (model, voters) = model(records, name)?;
        if voters.iter().any(|voter| asked.contains(voter)) {
            bail!("`{}` stands twice: a model would be asked the same again", records.models[model].name);
        }
        asked.extend(voters);
        members.push(Member { model, exit_at });
        Ok(())
    };
    for stage in stages {
        // Names of models may hold colons themselves, as those of registries do.
        let (name, threshold) =
            stage.rsplit_once(':').with_context(|| format!("`{stage}` lacks a threshold; {USAGE}"))?;
        let exit_at: f64 = threshold.parse().with_context(|| format!("`{threshold}` in `{stage}` is no threshold"))?;
        if exit_at.is_nan() {
            bail!("`{stage}`: nothing compares with NaN");
        }
        add(&mut records, name, Some(exit_at))?;
    }
    if let Some((name, threshold)) = last.rsplit_once(':').filter(|(_, threshold)| threshold.parse::<f64>().is_ok()) {
        bail!("all samples leave at the last model: name it `{name}`, without `:{threshold}`");
    }
    add(&mut records, last, None)?;
    let cascade = records.evaluate(&members);
    println!("{}", json!({ "accuracy": cascade.accuracy, "reach": cascade.reach, "n": records.samples() }));
    Ok(())
}

/// Returns the index of a model, or of the vote of several, and the models that are asked.
fn model(records: &mut Records, name: &str) -> anyhow::Result<(usize, Vec<usize>)> {
    let voters: Vec<&str> = name.split('+').collect();
    // A model whose own name holds a plus is meant before a vote.
    if voters.len() == 1 || records.models.iter().any(|record| record.name == name) {
        let model = records.index_of(name).map_err(|finding| anyhow::anyhow!("{finding}"))?;
        return Ok((model, vec![model]));
    }
    let models = voters.iter().map(|voter| records.index_of(voter)).collect::<Result<Vec<_>, _>>();
    let voted = models.and_then(|models| Ok((vote(records, name, &models)?, models)));
    let (vote, models) = voted.map_err(|finding| anyhow::anyhow!("{finding}"))?;
    records.models.push(vote);
    Ok((records.models.len() - 1, models))
}

/// Lets models vote: the plurality answers, and its share of the votes is the certainty. Among classes with equally many votes, that of
/// the model named first wins.
fn vote(records: &Records, name: &str, models: &[usize]) -> Result<Record, Finding> {
    let refuse = |code, cause: &str, action: &str| Err(Finding::error(code, name, cause, action));
    if (1..models.len()).any(|place| models[..place].contains(&models[place])) {
        return refuse(Code::Inconsistent, "these do not make a vote", "name two or more models, each once");
    }
    let voters: Vec<&Record> = models.iter().map(|&model| &records.models[model]).collect();
    if voters.iter().any(|voter| voter.predicted.len() != voter.right.len()) {
        let action = "use records with `<model>_pred`, not `<model>_correct`";
        return refuse(Code::NotMeasured, "who answered what was not recorded, only who was right", action);
    }
    let mut vote = Record { name: name.to_owned(), ..Record::default() };
    for sample in 0..records.samples() {
        let votes = |of: &Record| voters.iter().filter(|other| other.predicted[sample] == of.predicted[sample]).count();
        // The last of equals is what `max_by_key` returns.
        let chosen = voters.iter().rev().max_by_key(|voter| votes(voter)).expect("two or more vote");
        vote.right.push(chosen.right[sample]);
        vote.predicted.push(chosen.predicted[sample]);
        vote.certainty.push(votes(chosen) as f64 / voters.len() as f64);
    }
    Ok(vote)
}
