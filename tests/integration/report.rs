//! `planner report`: one page a plan, the same way every time, whatever is in it or missing.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use planner::base::codec::load;
use planner::base::units::Accuracy;
use planner::facts::Facts;
use planner::plan::Plan;
use planner::planners::{frontier, solve};
use planner::problem::GoalKind;
use planner::rooms::{Answer, Context};
use predicates::str::contains;
use serde_json::Value;

use super::plot::assert_well_formed;

/// Every shipped plan: one that each room made or was written by hand.
pub const PLANS: [&str; 8] = [
    "digits",
    "ocr",
    "cascade-digits",
    "samples/variant-set",
    "samples/pipeline",
    "samples/cascade",
    "samples/dropout",
    "samples/offload",
];

const SECTIONS: [&str; 10] = [
    "Summary",
    "Problem",
    "Performance over load",
    "Gears",
    "Placement",
    "Request path",
    "Alternatives",
    "Claims and trials",
    "Certificate",
    "Risks",
];

fn plan(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("plans").join(name).with_extension("json")
}

fn planner(command: &str, plan: &Path) -> Command {
    let mut planner = Command::cargo_bin("planner").expect("cargo built the program");
    planner.arg(command).arg(plan);
    planner
}

fn report(plan: &Path) -> Command {
    let mut command = planner("report", plan);
    command.args(["--requests", "2000"]);
    command
}

/// Writes the page of a shipped plan into a folder.
pub fn page_of(name: &str, folder: &Path) -> PathBuf {
    let page = folder.join(name.replace('/', "-")).with_extension("html");
    report(&plan(name)).arg("-o").arg(&page).assert().success().stdout("");
    page
}

fn printed(command: &mut Command) -> String {
    String::from_utf8(command.assert().success().get_output().stdout.clone()).expect("a page is text")
}

/// Writes a shipped plan, changed, where its profiles are still found.
fn changed(name: &str, folder: &Path, change: impl FnOnce(&mut Value)) -> PathBuf {
    let mut document: Value =
        serde_json::from_slice(&std::fs::read(plan(name)).expect("it is shipped")).expect("it is JSON");
    let home = plan(name).parent().expect("a folder").to_owned();
    for input in document["provenance"]["inputs"].as_array_mut().expect("a list") {
        input["path"] = home.join(input["path"].as_str().expect("a path")).to_str().expect("UTF-8").into();
    }
    change(&mut document);
    let path = folder.join("plan.json");
    std::fs::write(&path, document.to_string()).expect("the folder is writable");
    path
}

#[test]
fn every_plan_has_a_page_with_every_section_twice_the_same() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in PLANS {
        let html = std::fs::read_to_string(page_of(name, folder.path())).expect("it was written");
        assert_well_formed(&html, name);
        assert_eq!(html, printed(report(&plan(name)).args(["--format", "html"])), "{name}");
        let outside = ["http", "<script", "<link", "@import", "url("].map(|what| html.matches(what).count());
        assert_eq!(outside, [0; 5], "{name} needs something else");
        let markdown = printed(&mut report(&plan(name)));
        assert_eq!(markdown, printed(&mut report(&plan(name))), "{name}");
        for section in SECTIONS {
            assert!(html.contains(&format!("<h2>{section}</h2>")), "{name}: {section}");
            assert!(markdown.contains(&format!("\n## {section}\n")), "{name}: {section}");
        }
        assert!(html.matches("<svg").count() >= 4, "{name} lacks pictures");
        assert!(!html.contains("NaN") && !html.contains("inf "), "{name} holds a number that is none");
    }
}

#[test]
fn a_page_says_what_its_plan_is_for() {
    let markdown = printed(&mut report(&plan("digits")));
    for text in [
        "maximize 1 × accuracy − 0.02 × share of the cores in use",
        "19\u{a0}gears are within 0.021 % of the best possible",
        "The plan reaches 93.89\u{a0}% on 8\u{a0}cores",
        "The runner-up is",
        "binds",
        "extrapolated",
    ] {
        assert!(markdown.contains(text), "{text}");
    }
    let markdown = printed(&mut report(&plan("ocr")));
    for text in
        ["measured end to end for 9\u{a0}combinations", "imported", "det\\_v6s on 1 and rec\\_v6s on 3 (chosen)"]
    {
        assert!(markdown.contains(text), "{text}");
    }
    let markdown = printed(&mut report(&plan("samples/offload")));
    assert!(markdown.contains("No Pareto frontier: the plan does not contain its problem"));
}

#[test]
fn text_of_a_plan_stays_text() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let nasty = "<script>alert(\"1\")</script>|*x*";
    let plan = changed("samples/cascade", folder.path(), |plan| {
        plan["name"] = nasty.into();
        plan["placement"][0]["name"] = nasty.into();
        for gear in plan["gears"].as_array_mut().expect("a list") {
            for stage in gear["stages"].as_array_mut().expect("a list") {
                stage["name"] = format!("{}\"><img src=x>", stage["name"].as_str().expect("a name")).into();
                stage["lanes"][0]["pool"] = nasty.into();
            }
        }
    });
    let html = printed(report(&plan).args(["--format", "html"]));
    assert_well_formed(&html, "nasty");
    assert!(html.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;"));
    assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("alert(\""));
    let markdown = printed(&mut report(&plan));
    assert!(!markdown.contains("<script") && !markdown.contains("<img"));
    assert!(markdown.contains("\\|\\*x\\*"));
}

#[test]
fn what_is_missing_is_said_and_stops_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let lost = folder.path().join("plan.json");
    std::fs::copy(plan("digits"), &lost).expect("the folder is writable");
    let markdown = printed(&mut report(&lost));
    for text in ["Not simulated: ", "The measured facts are unknown", "No claim could be recomputed"] {
        assert!(markdown.contains(text), "{text}");
    }
    let markdown = printed(planner("report", &plan("digits")).args(["--requests", "0"]));
    assert!(markdown.contains("Not simulated: --requests is 0."));
    // Profiles that the user names must be there.
    report(&lost).args(["--profile", "nowhere.json"]).assert().code(2).stderr(contains("nowhere.json"));
}

#[test]
fn risks_name_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let late = changed("samples/variant-set", folder.path(), |plan| plan["slo"]["latency_ms"] = 1.0.into());
    let markdown = printed(&mut report(&late));
    assert!(markdown.contains("- **problem** In simulation gear 0 broke the SLO"), "{markdown}");
    let refuted = changed("digits", folder.path(), |plan| {
        plan["gears"][2]["claims"]["accuracy"]["value"] = 0.955.into();
        plan["provenance"]["inputs"][1]["sha256"] = "0".repeat(64).into();
    });
    let markdown = printed(&mut report(&refuted));
    assert!(markdown.contains("- **problem** 1\u{a0}claim not confirmed when recomputed"), "{markdown}");
    assert!(markdown.contains("- **warning** The measured facts have changed since the plan was made"), "{markdown}");
}

#[test]
fn reports_of_trials_stand_beside_the_claims() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let trial = folder.path().join("trial.json");
    let mut simulate = planner("simulate", &plan("digits"));
    simulate.args(["--rps", "1000", "--duration-s", "5", "-o"]).arg(&trial).assert().success();
    let beside = |flag: &str| printed(planner("report", &plan("digits")).arg(flag).arg(&trial));
    assert!(beside("--simulated").contains("Simulated: digits, poisson 1000"), "{}", beside("--simulated"));
    let replayed = beside("--replayed");
    assert!(replayed.contains("Replayed: digits, poisson 1000") && replayed.contains("p99, ms, replayed"));
    planner("report", &plan("ocr")).arg("--replayed").arg(&trial).assert().code(2).stderr(contains("trial.json"));
}

#[test]
fn the_kind_of_page_is_told_and_files_are_kept() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let page = folder.path().join("page.md");
    let write = |page: &Path| report(&plan("samples/dropout")).arg("-o").arg(page).assert();
    write(&page).success();
    assert!(std::fs::read_to_string(&page).expect("it was written").starts_with("# Plan digits-dropout\n"));
    write(&page).code(2).stderr(contains("--overwrite"));
    write(&folder.path().join("page.pdf")).code(2).stderr(contains(".html or .md"));
}

/// An independent truth: the fewest cores for the accuracy of each point, by the planner of the room.
#[test]
fn every_point_of_a_frontier_is_the_cheapest_for_its_accuracy() {
    for name in ["digits", "ocr"] {
        let path = plan(name);
        let plan = load::<Plan>(&path).expect("it is shipped").document;
        let facts = Facts::of_plan(&plan, &path).expect("it is shipped");
        let mut problem = plan.provenance.problem.clone().expect("solve keeps it");
        let parts = &plan.provenance.capacity_parts;
        let points = frontier(&problem, &facts, parts, plan.max_rps()).expect("the room plans");
        assert!(points.windows(2).all(|pair| pair[0].cores < pair[1].cores && pair[0].accuracy < pair[1].accuracy));
        problem.goal.kind = GoalKind::Cheapest;
        problem.goal.weights = None;
        for point in points {
            problem.goal.accuracy_at_least = Some(Accuracy::saturating(point.accuracy - 1e-9));
            let context = Context { capacity_parts: Some(parts), ..Context::default() };
            let Answer::Plan(best) = solve(&problem, &facts, context).expect("the room plans") else {
                panic!("{name}: nothing is as accurate as {}", point.accuracy);
            };
            let last = best.gears.last().expect("a plan has a gear");
            assert_eq!(last.claims.cores, Some(point.cores), "{name} at {}", point.accuracy);
        }
    }
}
