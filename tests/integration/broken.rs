//! Deliberately broken inputs: each is answered by a clear message and the right exit code, and leaves nothing behind.
//! Messages are kept as a reviewed snapshot; `INSTA_UPDATE=always cargo test broken` writes it anew.

use std::fmt::Write;

use assert_cmd::Command;

/// Every case: the arguments after `planner`, run in `tests/broken`.
const CASES: &[&str] = &[
    "solve missing-profile.toml",
    "solve wrong-unit.toml",
    "solve nan.toml",
    "solve infinite.toml",
    "solve unknown-field.toml",
    "solve zero-cores.toml",
    "solve negative-rate.toml",
    "solve percent.toml",
    "solve unknown-goal.toml",
    "solve goal-without-limit.toml",
    "solve goal-with-wrong-limit.toml",
    "solve unknown-variant.toml",
    "solve duplicate-variants.toml",
    "solve no-profiles.toml",
    "solve wrong-format.toml",
    "solve text-for-number.toml",
    "solve several.toml",
    "solve impossible-slo.toml",
    "solve not-toml.toml",
    "solve other-room.toml",
    "solve absent.toml",
    "solve several.toml --set workload.max_rps",
    "check plan-share-sum.json",
    "check plan-truncated.json",
    "check plan-unknown-resource.json",
    "simulate ../../plans/samples/variant-set.json --trace empty-trace.csv",
    "simulate ../../plans/samples/variant-set.json --trace bad-trace.csv",
    "simulate ../../plans/samples/variant-set.json --trace bad-times.csv",
    "simulate ../../plans/samples/variant-set.json --trace unknown-trace.csv",
    "simulate ../../plans/samples/variant-set.json --trace not-gzip.csv.gz",
    "simulate ../../plans/samples/variant-set.json --trace ../../traces/day.csv --rps 5",
    "simulate ../../plans/samples/variant-set.json --trace ../../traces/day.csv --scale 0 --time-scale -1",
    "simulate ../../plans/samples/variant-set.json --trace ../../traces/day.csv --time-scale 1e300",
    "simulate ../../plans/samples/variant-set.json --trace times.csv --scale 2",
    "simulate ../../plans/samples/variant-set.json --time-scale 2",
    "simulate ../../plans/samples/variant-set.json --rps NaN",
    "simulate ../../plans/samples/variant-set.json --rps 1e300",
    "simulate ../../plans/samples/variant-set.json --rps 1e9 --duration-s 1",
    "simulate ../../plans/samples/variant-set.json --rps 1e8 --duration-s 1",
    "simulate ../../plans/samples/variant-set.json --rps -5 --arrivals gamma --burstiness -1",
    "simulate ../../plans/samples/variant-set.json --rps 5 --arrivals gamma --burstiness 0",
    "simulate ../../plans/samples/variant-set.json --arrivals gamma",
    "simulate ../../plans/samples/variant-set.json --arrivals constant --burstiness 2",
    "simulate ../../plans/samples/variant-set.json --arrivals mmpp",
    "simulate ../../plans/samples/variant-set.json --arrivals gamma --burstiness 2 --mmpp 1:1,2:2",
    "simulate ../../plans/samples/variant-set.json --mmpp 100:30",
    "simulate ../../plans/samples/variant-set.json --mmpp 100:30,1000",
    "simulate ../../plans/samples/variant-set.json --mmpp -1:30,1000:0",
    "simulate ../../plans/samples/variant-set.json --mmpp 0:1,0:1 --seed 3",
    "simulate ../../plans/samples/variant-set.json --step 1:2:3 --ramp 1:2:3",
    "simulate ../../plans/samples/variant-set.json --step -1:2:inf",
    "simulate ../../plans/samples/variant-set.json --ramp 1:2",
    "simulate ../../plans/samples/variant-set.json --ramp 1:2:0",
    "simulate ../../plans/samples/variant-set.json --ramp 1:2:3 --arrivals constant",
    "simulate ../../plans/samples/variant-set.json --rps 0",
    "simulate ../../plans/samples/variant-set.json --duration-s 1e15 --warmup-s 1",
    "plot plan-truncated.json -o never.svg",
    "profile models-missing-file.toml -o never.json",
    "profile models-labels-mismatch.toml -o never.json",
];

fn listing() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/broken");
    let entries = std::fs::read_dir(folder).expect("the fixtures are here");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("listed").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn answer(arguments: &str) -> String {
    let mut command = Command::cargo_bin("planner").expect("the binary is built");
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/broken")).args(arguments.split(' '));
    let output = command.output().expect("it runs");
    let code = output.status.code().expect("it was not killed");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(code == 1 || code == 2, "{arguments}: exit code {code}");
    assert!(!said.contains("this is a bug"), "{arguments}: {said}");
    assert!(!said.trim().is_empty(), "{arguments}: nothing was said");
    format!("$ planner {arguments}\n{said}exit {code}\n")
}

#[test]
fn broken_inputs_are_answered_in_the_users_words() {
    let before = listing();
    let mut text = String::new();
    for case in CASES {
        writeln!(text, "{}", answer(case)).expect("strings take all bytes");
    }
    assert_eq!(listing(), before, "something was left behind");
    insta::assert_snapshot!(text);
}

#[test]
fn a_file_that_is_no_model_is_named() {
    let before = listing();
    let said = answer("profile models-not-onnx.toml -o never.json");
    assert!(said.contains("not-a-model.onnx"), "{said}");
    assert_eq!(listing(), before, "something was left behind");
}
