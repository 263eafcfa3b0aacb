//! Pages are looked at by a real browser: no messages, no outside requests, nothing wider than the window, light and dark.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::report::{PLANS, page_of};

/// Returns the browser, where there is one.
fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("PLANNER_CHROMIUM").map(PathBuf::from);
    named.or_else(|| Some(PathBuf::from("/usr/bin/chromium"))).filter(|program| program.exists())
}

#[test]
#[expect(clippy::print_stderr, reason = "says why a test that passes looked at nothing")]
fn a_browser_finds_nothing_wrong_with_any_page() {
    let Some(program) = chromium() else {
        eprintln!("no page was looked at: there is no /usr/bin/chromium, and PLANNER_CHROMIUM names none");
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pages: Vec<PathBuf> = PLANS.iter().map(|plan| page_of(plan, folder.path())).collect();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/browser-check");
    let seen = Command::new(script).args(&pages).env("PLANNER_CHROMIUM", program).output().expect("python3 runs it");
    let (said, complained) = (String::from_utf8_lossy(&seen.stdout), String::from_utf8_lossy(&seen.stderr));
    // A browser that is there and does not start says nothing about the pages.
    if seen.status.code() == Some(2) {
        eprintln!("no page was looked at: {complained}");
        return;
    }
    assert!(seen.status.success(), "{said}{complained}");
    assert_eq!(said.matches("nothing is wrong").count(), pages.len(), "{said}");
}
