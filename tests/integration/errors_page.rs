//! `docs/errors.md` explains every finding code, and nothing else.

use planner::Code;

#[test]
fn every_code_has_exactly_one_heading() {
    let page = include_str!("../../docs/errors.md");
    let heading = |line: &'static str| line.strip_prefix("### `")?.strip_suffix('`');
    let explained: Vec<&str> = page.lines().filter_map(heading).collect();
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(explained, codes, "the headings of docs/errors.md, in the order of `Code::ALL`");
}

#[test]
fn every_entry_has_cause_example_and_remedy() {
    let page = include_str!("../../docs/errors.md");
    for entry in page.split("\n### ").skip(1) {
        for part in ["Cause:", "Example:", "What to do:"] {
            assert!(entry.contains(part), "{} lacks `{part}`", entry.lines().next().unwrap_or_default());
        }
    }
}
