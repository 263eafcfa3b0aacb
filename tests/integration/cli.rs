//! How the command line feels: help, errors, tables, colours, quiet and events. Texts are kept as reviewed snapshots;
//! `INSTA_UPDATE=always INSTA_FORCE_PASS=1 cargo test --test integration cli` writes them anew.

use std::fs;
use std::path::Path;
use std::process::Output;

use assert_cmd::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Every command that people see.
const COMMANDS: &[&str] = &[
    "",
    "check",
    "completions",
    "diff",
    "explain",
    "init",
    "man",
    "plot",
    "profile",
    "profile compare",
    "profile export",
    "profile import",
    "profile load",
    "replay",
    "report",
    "schema",
    "simulate",
    "solve",
];

/// Runs `planner` in the repository, with nothing in the environment that would change what it says.
fn run_with(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::cargo_bin("planner").expect("the binary is built");
    command.current_dir(ROOT).args(arguments).env("COLUMNS", "100");
    for name in ["NO_COLOR", "CLICOLOR_FORCE", "CLICOLOR", "TERM", "RUST_BACKTRACE", "ORT_DYLIB_PATH"] {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied()).output().expect("it runs")
}

fn run(line: &str) -> Output {
    run_with(&line.split_whitespace().collect::<Vec<_>>(), &[])
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns stdout, then stderr, then the exit code, as a reader of a terminal would see them.
fn seen(line: &str) -> String {
    let output = run(line);
    let code = output.status.code().expect("it was not killed");
    // Tables end their lines with spaces, which reviewers and editors do not see.
    let said = [text(&output.stdout), text(&output.stderr)].concat();
    let said: String = said.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    format!("$ planner {}\n{said}exit {code}\n", line.trim())
}

#[test]
fn help_of_every_command() {
    for command in COMMANDS {
        let name =
            format!("help-{}", if command.is_empty() { "planner".to_owned() } else { command.replace(' ', "-") });
        insta::assert_snapshot!(name, seen(&format!("{command} --help")));
    }
}

/// Manual pages are made from the commands themselves, so they tell whether the list above is whole.
#[test]
fn every_command_has_a_manual_page_and_the_hidden_one_has_none() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = run_with(&["man", "-o", folder.path().to_str().expect("UTF-8")], &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let pages = fs::read_dir(folder.path()).expect("written").map(|entry| entry.expect("listed").file_name());
    let mut pages: Vec<String> = pages.map(|name| name.to_string_lossy().into_owned()).collect();
    pages.sort();
    let page = |command: &&str| format!("planner {command}").trim().replace(' ', "-") + ".1";
    let mut wanted: Vec<String> = COMMANDS.iter().map(page).collect();
    wanted.sort();
    assert_eq!(pages, wanted);
    let solve = fs::read_to_string(folder.path().join("planner-solve.1")).expect("written");
    assert_eq!(solve, text(&run("man solve").stdout));
    assert!(solve.contains(".TH planner-solve 1") && solve.contains("Example:"), "{solve}");
}

#[test]
fn completions_know_the_commands_of_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = text(&run(&format!("completions {shell}")).stdout);
        assert!(script.contains("simulate") && script.contains("overwrite"), "{shell}");
        assert!(!script.contains("worker"), "{shell} completes the hidden command");
    }
}

// One of the messages comes after the engine is found.
#[cfg(feature = "rten")]
#[test]
fn typical_errors() {
    let lines = [
        "slove",
        "solve",
        "solve problems/digits.toml --overwrit",
        "solve problems/digts.toml",
        "solve problem/digits.toml",
        "solve problems/digits.toml --set goal.kind=cheapst",
        "solve problems/digits.toml --set room=variantset",
        "solve problems/digits.toml --set workload.maxrps=5",
        "solve problems/digits.toml --set variants=[\"cnn_x\"]",
        "solve problems/digits.toml -o plans/digits.json",
        "solve problems/digits.toml -o plan/digits.json",
        "solve plans/digits.json",
        "explain plans/digits.json --gear 99",
        "profile models/digits/models.toml",
        "profile load models/digits/models.toml --variant cnn-l --slo-ms 5",
        "profile --json compare profiles/digits.json profiles/absent.json",
        "plot plans/digits.json -o plan.jpg",
        "man slove",
        "schema plans",
        "schema --all",
        "completions csh",
        "init models/digits",
        "init problems",
        "init model",
    ];
    insta::assert_snapshot!(lines.map(seen).join("\n"));
}

/// Tables of what no machine changes: all rest on shipped facts and fixed seeds.
#[test]
fn tables() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let plan = folder.path().join("plan.json");
    let solve =
        run_with(&["solve", "problems/digits.toml", "--trial", "2000", "-o", plan.to_str().expect("UTF-8")], &[]);
    let summary: String = text(&solve.stdout).lines().map(|line| format!("{}\n", line.trim_end())).collect();
    insta::assert_snapshot!("table-solve", summary);
    for (name, line) in [
        ("table-check", "check plans/digits.json"),
        ("table-diff", "diff plans/digits.json plans/cascade-digits.json"),
        ("table-explain", "explain plans/digits.json --gear 2"),
        ("table-simulate", "simulate plans/samples/variant-set.json --duration-s 5"),
        ("table-compare", "profile compare profiles/digits.json profiles/digits.json"),
    ] {
        insta::assert_snapshot!(name, seen(line));
    }
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let escapes = |environment: &[(&str, &str)]| {
        let output = run_with(&["solve", "absent.toml"], environment);
        text(&output.stderr).matches('\u{1b}').count()
    };
    assert_eq!(escapes(&[]), 0, "a pipe is no terminal");
    assert_eq!(escapes(&[("TERM", "xterm-256color")]), 0, "a pipe is no terminal");
    assert!(escapes(&[("CLICOLOR_FORCE", "1")]) > 0, "the user insists");
    assert_eq!(escapes(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]), 0, "the user has said no");
    let help = run_with(&["solve", "--help"], &[]);
    assert!(!text(&help.stdout).contains('\u{1b}'));
}

#[test]
fn quiet_keeps_warnings_and_errors_and_leaves_the_answer_alone() {
    let line = "explain plans/samples/variant-set.json";
    assert_eq!(run(line).stdout, run(&format!("{line} -q")).stdout);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let picture = |extra: &[&str]| {
        let file = folder.path().join("p.svg");
        let line = ["plot", "plans/digits.json", "--overwrite", "-o", file.to_str().expect("UTF-8")];
        text(&run_with(&[&line, extra].concat(), &[]).stderr)
    };
    assert!(picture(&[]).starts_with("wrote "));
    assert_eq!(picture(&["--quiet"]), "");
    assert!(text(&run("-q solve absent.toml").stderr).contains("error[unreadable]"));
}

#[test]
fn events_are_json_and_end_with_the_exit_code() {
    for (line, kinds) in [
        ("check plans/digits.json --json", &["done"][..]),
        ("--json diff plans/digits.json plans/cascade-digits.json", &["done"]),
        ("--json profile compare profiles/digits.json profiles/digits.json", &["done"]),
        ("profile --json compare profiles/digits.json profiles/digits.json", &["done"]),
        ("profile compare profiles/digits.json profiles/digits.json --json", &["done"]),
        ("solve tests/broken/several.toml --json", &["finding", "finding", "finding", "finding", "failed"]),
        ("solve problems/digits.toml -o plans/digits.json --json", &["failed"]),
        ("solve --json", &["failed"]),
    ] {
        let output = run(line);
        let events = text(&output.stderr);
        let events: Vec<serde_json::Value> =
            events.lines().map(|line| serde_json::from_str(line).expect("each line is an event")).collect();
        let seen: Vec<_> = events.iter().filter_map(|event| event["event"].as_str()).collect();
        assert_eq!(seen, kinds, "{line}");
        let last = events.last().expect("at least the end");
        assert_eq!(last["exit"].as_i64(), output.status.code().map(i64::from), "{line}");
    }
    let words = text(&run("solve problems/digits.toml -o plans/digits.json").stderr);
    let output = run("solve problems/digits.toml -o plans/digits.json --json");
    let event: serde_json::Value = serde_json::from_slice(&output.stderr).expect("one event");
    let again = format!(
        "error: {}\n  hint: {}\n",
        event["error"].as_str().expect("text"),
        event["hint"].as_str().expect("text")
    );
    assert_eq!(again, words);
    assert!(run("--json --help").stderr.is_empty());
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("planner"))
        .args(["schema", "plan"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

#[test]
fn results_go_to_stdout_where_asked() {
    let svg = run("plot plans/digits.json -o -");
    assert!(text(&svg.stdout).starts_with("<svg"), "{}", text(&svg.stderr));
    assert!(run("plot plans/digits.json -o - --kind png").stdout.starts_with(b"\x89PNG"));
    assert!(text(&run("schema plan -o -").stdout).contains("planner.plan/1"));
    assert!(text(&run("profile export profiles/digits.json -o -").stdout).lines().count() > 10);
    let refused = run("man -o /nowhere");
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn all_schemas_are_written_or_none() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().to_str().expect("UTF-8");
    let write = |extra: &[&str]| run_with(&[&["schema", "--all", "-o", path], extra].concat(), &[]);
    let plan = folder.path().join("plan.schema.json");
    fs::write(&plan, "mine").expect("writable");
    let refused = write(&[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("plan.schema.json exists already"), "{}", text(&refused.stderr));
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1, "nothing else was written");
    assert!(write(&["--overwrite"]).status.success());
    let shipped = fs::read(Path::new(ROOT).join("docs/schema/plan.schema.json")).expect("shipped");
    assert!(fs::read(&plan).expect("written") == shipped, "another schema than the shipped one");
    assert!(write(&[]).status.success(), "files that stay as they are may stay");
}
