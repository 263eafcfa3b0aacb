//! `planner check` over a folder, as a team's CI runs it: a committed baseline, and what may happen to it.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use planner::base::codec::{load, sha256, to_bytes};
use planner::base::units::{Accuracy, Millis, Rate, Share};
use planner::plan::{Input, InputRole, Plan};
use planner::profile::{Point, Profile};
use serde_json::Value;

/// A repository with one profile, one problem and the plan that was solved from them.
struct Team {
    folder: tempfile::TempDir,
}

/// What `planner` answered.
struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Said {
    /// Returns the codes of all findings of the one plan, with their severities.
    fn of_plan(&self) -> Vec<(String, String)> {
        let review: Value =
            serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout));
        let entry = review["entries"].as_array().expect("entries").iter().find(|entry| entry["noun"] == "plan");
        let findings = entry.expect("a plan")["findings"].as_array().expect("findings").clone();
        let word = |finding: &Value, key: &str| finding[key].as_str().expect("a word").to_owned();
        findings.iter().map(|finding| (word(finding, "code"), word(finding, "severity"))).collect()
    }

    /// Returns the same but for notes, and warnings of what changes of gear need at once.
    fn beside_transitions(&self) -> Vec<(String, String)> {
        let counts = |(code, severity): &(String, String)| code != "transient-resources" && severity != "note";
        self.of_plan().into_iter().filter(counts).collect()
    }

    fn has(&self, code: &str, severity: &str) -> bool {
        self.of_plan().contains(&(code.to_owned(), severity.to_owned()))
    }
}

impl Team {
    /// Commits a baseline: three variants of the shipped family, on at most 4 cores.
    fn new() -> Self {
        let team = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        for folder in ["profiles", "problems", "plans"] {
            fs::create_dir(team.path(folder)).expect("writable");
        }
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json");
        let mut profile = load::<Profile>(&shipped).expect("valid").document;
        let keep = ["cnn_s", "cnn_m", "cnn_l"];
        profile.variants.retain(|variant| keep.contains(&variant.name.as_str()));
        profile.points.retain(|point| keep.contains(&point.variant.as_str()));
        (profile.answers, profile.calibration) = (None, None);
        // No model lies where this one looks for it, so that only `another_model_file` compares models.
        profile.provenance.models = "nowhere/models.toml".into();
        team.write("profiles/family.json", &to_bytes(&profile));
        team.write(
            "problems/family.toml",
            b"format = \"planner.problem/1\"\nrisk = \"none\"\nname = \"family\"\nroom = \"variant-set\"\nprofiles = [\"../profiles/family.json\"]\n\
              [workload]\nmax_rps = 4000\n[slo]\nquantile = 0.99\nlatency_ms = 20\n\
              [inventory]\ncores = 4\nprice_usd_per_core_hour = 0.04\n[goal]\nkind = \"weighted\"\n",
        );
        team.write(
            "planner.ci.toml",
            b"format = \"planner.ci/1\"\nprofiles = [\"profiles\"]\nproblems = [\"problems\"]\nplans = [\"plans\"]\n",
        );
        let solved = team.planner(&["solve", "problems/family.toml", "-o", "plans/family.json", "--trial", "20000"]);
        assert_eq!(solved.code, 0, "{}{}", solved.stdout, solved.stderr);
        team
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("writable");
    }

    fn planner(&self, arguments: &[&str]) -> Said {
        let mut command = assert_cmd::Command::cargo_bin("planner").expect("built");
        let output = command.current_dir(self.folder.path()).args(arguments).output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { code: output.status.code().unwrap_or(-1), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    fn check(&self, more: &[&str]) -> Said {
        self.planner(&[&["check", ".", "--format", "json"], more].concat())
    }

    fn git(&self, arguments: &[&str]) {
        let name = ["-c", "user.name=t", "-c", "user.email=t@t"];
        let done =
            Command::new("git").current_dir(self.folder.path()).args(name).args(arguments).output().expect("git");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// Measures the profile anew: every time of some variants times a factor.
    fn profile(&self, change: impl FnOnce(&mut Profile)) {
        let mut profile = load::<Profile>(&self.path("profiles/family.json")).expect("valid").document;
        change(&mut profile);
        self.write("profiles/family.json", &to_bytes(&profile));
    }

    fn slower(&self, factor: f64) {
        self.profile(|profile| profile.points.iter_mut().for_each(|point| slow(point, factor)));
    }

    /// Edits the plan by hand.
    fn plan(&self, change: impl FnOnce(&mut Plan)) {
        let mut plan = load::<Plan>(&self.path("plans/family.json")).expect("valid").document;
        change(&mut plan);
        self.write("plans/family.json", &to_bytes(&plan));
    }
}

fn slow(point: &mut Point, factor: f64) {
    let latency = &mut point.latency;
    let moments = [&mut latency.mean_ms, &mut latency.std_ms, &mut latency.min_ms, &mut latency.max_ms];
    let quantiles = [&mut latency.p50, &mut latency.p90, &mut latency.p95, &mut latency.p99, &mut latency.p999];
    let ends = quantiles.map(|quantile| [&mut quantile.value_ms, &mut quantile.low_ms, &mut quantile.high_ms]);
    for ms in moments.into_iter().chain(ends.into_iter().flatten()) {
        *ms = Millis::saturating(ms.get() * factor);
    }
    point.throughput_rps = Rate::saturating(point.throughput_rps.get() / factor);
    for ns in point.histogram.iter_mut().flat_map(|histogram| &mut histogram.value_ns) {
        *ns = (*ns as f64 * factor).round() as u64;
    }
}

/// What this repository ships holds, by its own manifest; other lists and reports under `docs` are not looked at.
#[test]
fn the_shipped_files_hold() {
    let mut command = assert_cmd::Command::cargo_bin("planner").expect("built");
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["check", "."]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.lines().filter(|line| line.contains(" yes ")).count() >= 2, "two plans are solved again: {said}");
}

#[test]
fn nothing_changed() {
    let said = Team::new().check(&[]);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{}", said.stdout);
    let severe: Vec<_> = said.of_plan().into_iter().filter(|(_, severity)| severity != "note").collect();
    assert_eq!(severe, [], "{}", said.stdout);
}

#[test]
fn a_fifth_slower_fails_and_names_gears_and_cost() {
    let team = Team::new();
    team.slower(1.2);
    let said = team.check(&[]);
    assert_eq!(said.code, 1, "{}", said.stdout);
    assert!(said.has("worse", "error") && said.has("facts-changed", "warning"), "{}", said.stdout);
    let table = team.planner(&["check", "."]).stdout;
    let cost = table.lines().find(|line| line.contains("error[worse]") && line.contains("cost is worse: 0."));
    assert!(cost.is_some_and(|line| line.contains("gear")), "{table}");
    assert!(table.contains("on today's facts p99"), "{table}");

    // Accepting it makes the next check quiet.
    let updated = team.planner(&["check", ".", "--update"]);
    assert_eq!(updated.code, 0, "{}", updated.stdout);
    assert!(updated.stderr.contains("wrote plans/family.json"), "{}", updated.stderr);
    assert!(!team.check(&[]).stdout.contains("facts-changed"));
}

#[test]
fn three_hundredths_slower_is_noise_with_a_note() {
    let team = Team::new();
    team.slower(1.03);
    let said = team.check(&[]);
    assert_eq!(said.code, 0, "{}", said.stdout);
    assert!(said.has("facts-changed", "note"), "{}", said.stdout);
    assert!(said.stdout.contains("within noise") && !said.has("worse", "error"), "{}", said.stdout);
    // Without any noise allowed, it is not.
    let strict = fs::read_to_string(team.path("planner.ci.toml")).expect("written") + "noise = 0.0\n";
    team.write("planner.ci.toml", strict.as_bytes());
    let said = team.check(&[]);
    assert_eq!(said.code, 1, "{}", said.stdout);
}

#[test]
fn a_rule_that_looks_too_seldom_falls_behind_its_own_load() {
    let team = Team::new();
    team.plan(|plan| plan.switch.window_ms = Millis::saturating(45_000.0));
    let said = team.check(&[]);
    assert_eq!(said.code, 1, "{}", said.stdout);
    assert!(said.has("worse", "error") && said.stdout.contains("late while gears change"), "{}", said.stdout);
}

#[test]
fn trials_that_never_were_and_those_that_contradict_themselves_are_refuted() {
    let tried = |change: fn(&mut planner::plan::GearTried)| {
        let team = Team::new();
        team.plan(|plan| {
            let certificate = plan.gears[0].certificate.as_mut().expect("solved");
            let trial = planner::plan::GearTried {
                requests: 20_000,
                trials: 5,
                seed: 7,
                violation_share: Share::ZERO,
                violation_high: Share::ZERO,
                margin: Share::saturating(1.0 - plan.slo.quantile.get()),
            };
            change(certificate.trial.insert(trial));
        });
        team.check(&[])
    };
    let too_many = tried(|trial| trial.trials = 4_000_000_000);
    assert!(too_many.has("out-of-range", "error"), "{}", too_many.stdout);
    let at_odds = tried(|trial| trial.margin = Share::saturating(0.5));
    assert!(at_odds.has("inconsistent", "error"), "{}", at_odds.stdout);
    let invented = tried(|trial| {
        trial.violation_share = Share::saturating(0.003);
        trial.violation_high = Share::saturating(0.004);
        trial.margin = Share::saturating(trial.margin.get() - 0.004);
    });
    assert!(invented.has("claim-refuted", "error"), "{}", invented.stdout);
}

#[test]
fn a_plan_is_held_against_the_problem_it_names() {
    let team = Team::new();
    team.plan(|plan| plan.provenance.problem.as_mut().expect("kept").workload.max_rps = Rate::saturating(17.0));
    let said = team.check(&[]);
    assert!(said.stdout.contains("made for another problem than"), "{}", said.stdout);

    let team = Team::new();
    team.plan(|plan| {
        let named = plan.provenance.inputs.iter_mut().find(|input| input.role == planner::plan::InputRole::Problem);
        named.expect("named").path = "../problems/gone.toml".into();
    });
    let said = team.check(&["--fail-on", "facts-changed"]);
    assert_eq!(said.code, 1, "{}", said.stdout);
    assert!(said.stdout.contains("gone.toml is not there"), "{}", said.stdout);

    let team = Team::new();
    team.plan(|plan| plan.provenance.inputs.retain(|input| input.role != planner::plan::InputRole::Profile));
    let said = team.check(&[]);
    assert_eq!(said.code, 1, "{}", said.stdout);
    assert!(said.has("not-measured", "error"), "{}", said.stdout);
}

#[test]
fn a_key_that_stands_twice_and_a_folder_that_holds_itself() {
    let team = Team::new();
    let path = team.path("plans/family.json");
    let text = fs::read_to_string(&path).expect("written");
    team.write("plans/family.json", text.replacen('{', "{ \"name\": \"other\",", 1).as_bytes());
    let said = team.planner(&["check", "plans/family.json"]);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("the key `name` comes twice"), "{}", said.stderr);

    let team = Team::new();
    std::os::unix::fs::symlink("..", team.path("plans/up")).expect("a link can be made");
    let folder = team.path("plans");
    let said = team.planner(&["check", folder.to_str().expect("text")]);
    let entries = said.stdout.lines().filter(|line| line.contains("family.json  ") && line.contains(" plan ")).count();
    assert_eq!(entries, 1, "{}", said.stdout);
}

/// Nobody can tell what a plan is for where it keeps no problem or names no file, or names several.
#[test]
fn a_plan_says_what_it_was_solved_for_and_says_it_once() {
    let team = Team::new();
    let solved = fs::read(team.path("plans/family.json")).expect("just solved");
    let role = |role: InputRole| move |input: &Input| input.role != role;
    team.plan(|plan| plan.provenance.problem = None);
    assert!(team.check(&[]).has("missing-field", "warning"), "no problem kept");
    team.write("plans/family.json", &solved);
    team.plan(|plan| plan.provenance.inputs.retain(role(InputRole::Problem)));
    assert!(team.check(&[]).has("missing-field", "warning"), "no problem file named");
    team.plan(|plan| plan.provenance.problem = None);
    assert!(team.check(&[]).has("missing-field", "warning"), "neither");
    for (place, name) in [(0, "the problem"), (1, "the profile")] {
        team.write("plans/family.json", &solved);
        team.plan(|plan| plan.provenance.inputs.push(plan.provenance.inputs[place].clone()));
        let twice = team.check(&[]);
        assert_eq!(twice.code, 2, "{name} twice");
        let key = "provenance.inputs[2]: ";
        let said = team.planner(&["check", "."]);
        assert!(said.stdout.contains("error[duplicate-name]") && said.stdout.contains(key), "{name}: {}", said.stdout);
    }
}

/// Other tools keep files of their own in a repository; a broken file of ours is not among them.
#[test]
fn files_of_others_are_passed_over_and_broken_ones_of_ours_are_not() {
    let team = Team::new();
    let count = |said: &Said| said.stdout.lines().last().unwrap_or_default().to_owned();
    let before = count(&team.planner(&["check", "plans"]));
    team.write("plans/tsconfig.json", b"{ // with a comment\n \"strict\": true, }\n");
    team.write("plans/broken.toml", b"[tool\nname = ");
    team.write("plans/other.json", b"{\"name\": \"x\"}");
    team.write("plans/bytes.json", &[0xff, 0x00, 0x80]);
    let said = team.planner(&["check", "plans"]);
    assert_eq!((said.code, count(&said)), (0, before), "{}", said.stdout);
    let merged = b"{\n<<<<<<< ours\n \"format\": \"planner.plan/1\",\n=======\n";
    let utf16: Vec<u8> = String::from_utf8_lossy(merged).encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, bytes) in [("merged", &merged[..]), ("merged in UTF-16", &utf16), ("empty", b"")] {
        team.write("plans/ours.json", bytes);
        let said = team.planner(&["check", "plans"]);
        assert_eq!(said.code, 2, "{name}: {}", said.stdout);
        assert!(said.stdout.contains("plans/ours.json") && said.stdout.contains("syntax"), "{name}: {}", said.stdout);
    }
}

#[test]
fn an_overstated_accuracy_is_refuted() {
    let team = Team::new();
    team.plan(|plan| {
        let claim = plan.gears[0].claims.accuracy.as_mut().expect("a claim");
        claim.value = Accuracy::saturating(claim.value.get() + 0.002);
        claim.high = Accuracy::saturating(claim.high.get().max(claim.value.get()));
    });
    let said = team.check(&[]);
    assert_eq!(said.code, 1, "{}", said.stdout);
    assert!(said.has("claim-refuted", "error") && said.has("worse", "error"), "{}", said.stdout);
}

#[test]
fn another_host_is_told() {
    let team = Team::new();
    team.profile(|profile| profile.host.cpu = "Another CPU".to_owned());
    let said = team.check(&[]);
    assert_eq!(said.code, 0, "{}", said.stdout);
    assert!(said.stdout.contains("the plan is for") && said.stdout.contains("Another CPU"), "{}", said.stdout);
    assert_eq!(team.check(&["--fail-on", "facts-changed"]).code, 1);
}

#[test]
fn a_corrupt_file_cannot_be_judged() {
    let team = Team::new();
    let whole = fs::read(team.path("plans/family.json")).expect("written");
    team.write("plans/family.json", &whole[..whole.len() / 2]);
    let said = team.check(&[]);
    assert_eq!(said.code, 2, "{}", said.stdout);
    assert!(said.stdout.contains("\"syntax\"") && said.stdout.contains("unusable"), "{}", said.stdout);
}

#[test]
fn another_plan_of_the_same_value_is_a_note() {
    let team = Team::new();
    // A twin of every variant, under another name: either is as good.
    team.profile(|profile| {
        let twin = |name: &str| format!("{name}_twin");
        let variants: Vec<_> = profile.variants.clone();
        profile.variants.extend(variants.into_iter().map(|mut variant| {
            variant.name = twin(&variant.name);
            variant
        }));
        let points: Vec<_> = profile.points.clone();
        profile.points.extend(points.into_iter().map(|mut point| {
            point.variant = twin(&point.variant);
            point
        }));
    });
    assert_eq!(team.planner(&["check", ".", "--update"]).code, 0);
    let text = fs::read_to_string(team.path("plans/family.json")).expect("written");
    // What solves to one of the twins is edited to be the other throughout.
    let swapped = |name: &str, text: &str| {
        let mark = "\u{0}";
        text.replace(&format!("{name}_twin"), mark).replace(name, &format!("{name}_twin")).replace(mark, name)
    };
    let text = ["cnn_s", "cnn_m", "cnn_l"].iter().fold(text, |text, name| swapped(name, &text));
    team.write("plans/family.json", text.as_bytes());
    let said = team.check(&[]);
    assert_eq!(said.code, 0, "{}", said.stdout);
    assert!(said.has("other-plan", "note"), "{}", said.stdout);
}

#[test]
fn another_model_file_is_told() {
    let team = Team::new();
    team.profile(|profile| profile.variants[0].sha256 = sha256(b"another"));
    let said = team.check(&[]);
    assert_eq!(said.code, 0, "{}", said.stdout);
    assert!(said.stdout.contains("is another model file than the plan was made with"), "{}", said.stdout);

    // A profile of a file that is not the one that lies there now.
    fs::create_dir(team.path("models")).expect("writable");
    team.profile(|profile| {
        profile.provenance.models = "../models/models.toml".into();
        profile.variants[0].file = "a.onnx".into();
    });
    team.write("models/a.onnx", b"something else");
    let said = team.check(&[]);
    assert!(said.stdout.contains("was measured as another file"), "{}", said.stdout);
}

#[test]
fn a_goal_that_cannot_be_reached_any_more_fails() {
    let team = Team::new();
    let problem = fs::read_to_string(team.path("problems/family.toml")).expect("written");
    team.write("problems/family.toml", problem.replace("latency_ms = 20", "latency_ms = 0.01").as_bytes());
    let said = team.check(&[]);
    assert_eq!(said.code, 1, "{}", said.stdout);
    assert!(said.has("infeasible-now", "error") && said.has("facts-changed", "warning"), "{}", said.stdout);
    assert!(said.stdout.contains("slo.latency_ms = 0.01  would have to be"), "{}", said.stdout);
}

#[test]
fn a_revision_is_solved_in_place_of_a_stale_baseline() {
    let team = Team::new();
    team.git(&["init", "-q"]);
    team.git(&["add", "."]);
    team.git(&["commit", "-qm", "baseline"]);
    let said = team.check(&["--base", "HEAD"]);
    assert_eq!(said.code, 0, "{}", said.stdout);
    // The committed plan is stale: what the revision's inputs give counts.
    team.plan(|plan| plan.gears.iter_mut().for_each(|gear| gear.claims.cores = None));
    team.slower(1.2);
    let said = team.check(&["--base", "HEAD"]);
    assert_eq!(said.code, 1, "{}", said.stdout);
    assert!(said.stdout.contains("cost is worse"), "{}", said.stdout);
    let said = team.check(&["--base", "nowhere"]);
    assert!(said.code == 2 && said.stderr.contains("has no revision `nowhere`"), "{}", said.stderr);

    // The same two plans, and the same two folders, side by side.
    let diff = team.planner(&["diff", "HEAD:plans/family.json", "plans/family.json"]);
    assert_eq!(diff.code, 1, "{}", diff.stderr);
    assert_eq!(team.planner(&["check", ".", "--update"]).code, 0);
    let diff = team.planner(&["diff", "HEAD:plans", "plans", "--plot", "x.svg"]);
    assert!(diff.code == 1 && diff.stdout.contains("1 of 1 plans differ"), "{}{}", diff.stdout, diff.stderr);
    let diff = team.planner(&["diff", "HEAD:plans/family.json", "plans/family.json", "--plot", "x.svg"]);
    assert!(diff.code == 1 && diff.stdout.contains("ms to load"), "{}{}", diff.stdout, diff.stderr);
    assert!(fs::read_to_string(team.path("x.svg")).expect("drawn").starts_with("<svg"));
    let diff = team.planner(&["diff", "plans/family.json", "plans/family.json"]);
    assert_eq!(diff.code, 0);
}

/// Plans that share a profile bring it from the revision at the same time; none may take it from another.
#[test]
fn many_plans_of_one_profile_are_compared_with_a_revision_every_time() {
    let team = Team::new();
    let plan = fs::read(team.path("plans/family.json")).expect("just solved");
    for copy in 0..6 {
        team.write(&format!("plans/copy{copy}.json"), &plan);
    }
    // What is asked here is who brings files, not what trials say.
    team.write(
        "planner.ci.toml",
        b"format = \"planner.ci/1\"\nprofiles = [\"profiles\"]\nproblems = [\"problems\"]\nplans = [\"plans\"]\n[trial]\nrequests = 0\n",
    );
    team.git(&["init", "--quiet", "."]);
    team.git(&["add", "."]);
    team.git(&["commit", "--quiet", "-m", "baseline"]);
    for round in 0..20 {
        let mut command = assert_cmd::Command::cargo_bin("planner").expect("built");
        command.current_dir(team.folder.path()).env("RAYON_NUM_THREADS", "2");
        let output = command.args(["check", ".", "--base", "HEAD"]).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "round {round}: {said}");
    }
}

#[test]
fn a_plan_that_is_gone_is_told() {
    let team = Team::new();
    team.git(&["init", "-q"]);
    team.git(&["add", "."]);
    team.git(&["commit", "-qm", "baseline"]);
    fs::remove_file(team.path("plans/family.json")).expect("it is there");
    let said = team.check(&["--base", "HEAD"]);
    assert!(said.has("other-plan", "warning"), "{}", said.stdout);
    assert!(said.stdout.contains("`HEAD` has this plan, it is gone now"), "{}", said.stdout);
    assert!(said.stdout.contains("plans/family.json"), "{}", said.stdout);
}

#[test]
fn what_is_stated_and_not_what_the_inputs_give_is_refuted() {
    type Change = fn(&mut Plan);
    let changes: [(&str, Change); 5] = [
        ("gears[0].certificate.bound", |plan| {
            let certificate = plan.gears[0].certificate.as_mut().expect("solved");
            (certificate.bound, certificate.gap) = (certificate.bound + 0.1, certificate.gap + 0.1);
        }),
        ("placement[0].on.price_usd_per_core_hour", |plan| plan.placement[0].on = cheaper(&plan.placement[0].on)),
        ("placement[0].hosts[1]", |plan| {
            let hosts = plan.placement[0].hosts.clone();
            plan.placement[0].hosts.extend(hosts);
        }),
        ("gears[0].claims.utilisation", |plan| plan.gears[0].claims.utilisation.clear()),
        ("gears[0].claims.accuracy", |plan| plan.gears[0].claims.accuracy = None),
    ];
    let team = Team::new();
    let path = team.path("plans/family.json");
    let solved = fs::read(&path).expect("written");
    for (key, change) in changes {
        team.plan(change);
        let said = team.check(&[]);
        assert_eq!(said.code, 1, "{key}: {}", said.stdout);
        assert!(said.stdout.contains(key), "{key}: {}", said.stdout);
        fs::write(&path, &solved).expect("writable");
    }
}

fn cheaper(resource: &planner::problem::Resource) -> planner::problem::Resource {
    let mut value = serde_json::to_value(resource).expect("JSON");
    value["price_usd_per_core_hour"] = 0.02.into();
    serde_json::from_value(value).expect("a resource")
}

#[test]
fn what_was_recomputed_is_counted() {
    let team = Team::new();
    let gears = load::<Plan>(&team.path("plans/family.json")).expect("valid").document.gears.len();
    let all =
        ["latency claims", "accuracies", "costs", "core counts"].map(|claim| format!("{gears} of {gears} {claim}"));
    for arguments in [&["check", "."][..], &["check", "plans/family.json"]] {
        let said = team.planner(arguments);
        assert!(said.stdout.contains(&format!("; recomputed {}", all.join(", "))), "{}", said.stdout);
    }
    team.plan(|plan| plan.gears[0].claims.cores = None);
    let said = team.planner(&["check", "plans/family.json"]);
    assert!(
        said.code == 1 && said.stdout.contains(&format!("{} of {gears} core counts", gears - 1)),
        "{}",
        said.stdout
    );
}

#[test]
fn what_the_manifest_names_must_be_there() {
    let team = Team::new();
    team.write("planner.ci.toml", b"format = \"planner.ci/1\"\nplans = [\"plan\"]\nfail_on = [\"syntax\"]\n");
    let said = team.check(&[]);
    assert!(said.code == 2 && said.stderr.contains("fail_on[0]"), "{}", said.stderr);
    team.write("planner.ci.toml", b"format = \"planner.ci/1\"\nplans = [\"plan\"]\n");
    let said = team.check(&[]);
    assert!(said.code == 2 && said.stderr.contains("plans[0]: there is no plan"), "{}", said.stderr);
}

/// Reads one of other people's schemas.
fn schema(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemas").join(name);
    let mut text = String::new();
    let file = fs::File::open(path).expect("committed");
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("gzip");
    // One pattern of the published SARIF schema has a bracket too many, which JavaScript's expressions forgive.
    let text = text.replace("[a-zA-Z]{2}]?$", "[a-zA-Z]{2}?$");
    serde_json::from_str(&text).expect("JSON")
}

fn is_valid(schema_name: &str, value: &Value) {
    let validator = jsonschema::validator_for(&schema(schema_name)).expect("a schema");
    let errors: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

/// Renders a summary: a heading, a table of three columns, lists that fold away, and no HTML but what folds them.
fn is_rendered_whole(markdown: &str) {
    use pulldown_cmark::{Event, Options, Parser, Tag};
    let events: Vec<Event<'_>> = Parser::new_ext(markdown, Options::ENABLE_TABLES).collect();
    let count = |is: &dyn Fn(&Tag<'_>) -> bool| {
        events.iter().filter(|event| matches!(event, Event::Start(tag) if is(tag))).count()
    };
    assert_eq!(count(&|tag| matches!(tag, Tag::Heading { .. })), 1, "{markdown}");
    assert_eq!(count(&|tag| matches!(tag, Tag::Table(columns) if columns.len() == 3)), 1, "{markdown}");
    let rows = count(&|tag| matches!(tag, Tag::TableRow | Tag::TableHead));
    assert_eq!(count(&|tag| matches!(tag, Tag::TableCell)), 3 * rows, "{markdown}");
    assert!(count(&|tag| matches!(tag, Tag::Item)) > 3, "{markdown}");
    let html = events.iter().filter_map(|event| match event {
        Event::Html(html) | Event::InlineHtml(html) => Some(html.to_string()),
        _ => None,
    });
    let html = html.collect::<String>();
    let folds = ["<details open>", "<details>", "</details>", "<summary>", "</summary>"];
    let left = folds.iter().fold(html.clone(), |left, fold| left.replace(fold, ""));
    assert!(!left.contains('<'), "{html}");
    assert_eq!(html.matches("<details").count(), html.matches("</details>").count());
}

#[test]
#[expect(clippy::print_stderr, reason = "says why a test that passes compared nothing")]
fn every_form_is_what_its_readers_expect() {
    let team = Team::new();
    team.slower(1.2);
    // Names that XML, URIs, workflow commands and Markdown would trip over.
    fs::rename(team.path("plans/family.json"), team.path("plans/a, <b> & `c`:|%.json")).expect("renamed");
    let forms = ["table", "json", "junit=r.xml", "sarif=r.sarif", "github=r.txt", "markdown=r.md"];
    let arguments: Vec<&str> = forms.iter().flat_map(|form| ["--format", form]).collect();
    let said = team.planner(&[&["check", "."], &arguments[..]].concat());
    assert_eq!(said.code, 1, "{}{}", said.stdout, said.stderr);
    let written = |name: &str| fs::read_to_string(team.path(name)).expect("written");

    is_valid("sarif-2.1.0.json.gz", &serde_json::from_str(&written("r.sarif")).expect("JSON"));
    for line in written("r.txt").lines() {
        let (head, message) = line.strip_prefix("::").and_then(|rest| rest.split_once("::")).expect("a command");
        assert!(["error ", "warning ", "notice "].iter().any(|level| head.starts_with(level)), "{line}");
        assert!(head.split(',').all(|property| property.contains('=')) && !message.is_empty(), "{line}");
    }
    let markdown = written("r.md");
    assert!(markdown.starts_with("## ❌ planner check: 3 files: 1 failed"), "{markdown}");
    is_rendered_whole(&markdown);
    let xsd = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemas/junit-10.xsd");
    match Command::new("xmllint").arg("--noout").arg("--schema").arg(xsd).arg(team.path("r.xml")).output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => eprintln!("skipped: no xmllint here to hold the JUnit report against its schema"),
    }
}

/// Reads one of the examples under `docs/ci/`.
fn example(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ci").join(name);
    serde_norway::from_str(&fs::read_to_string(path).expect("committed")).expect("YAML")
}

impl Team {
    /// Runs a shell script of a CI system in the repository, with `planner` on the path.
    fn shell(&self, script: &str, variables: &[(&str, &str)]) -> Said {
        let binary = assert_cmd::cargo::cargo_bin("planner");
        let path = format!("{}:{}", binary.parent().expect("a folder").display(), std::env::var("PATH").expect("set"));
        let mut command = Command::new("bash");
        command.current_dir(self.folder.path()).arg("-c").arg(script).env("PATH", path).envs(variables.iter().copied());
        let output = command.output().expect("bash");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { code: output.status.code().unwrap_or(-1), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

#[test]
fn the_github_action_checks_and_sums_up() {
    is_valid("github-actions.json.gz", &example("action.yml"));
    is_valid("github-workflows.json.gz", &example("github-workflow.yml"));
    let script = example("action.yml")["runs"]["steps"][0]["run"].as_str().expect("a script").to_owned();
    let team = Team::new();
    let run = |base: &str| {
        for file in ["out", "summary"] {
            team.write(file, b"");
        }
        let files =
            [("CHECK_PATH", "."), ("CHECK_BASE", base), ("GITHUB_OUTPUT", "out"), ("GITHUB_STEP_SUMMARY", "summary")];
        let said = team.shell(&script, &files);
        (
            said,
            fs::read_to_string(team.path("out")).expect("there"),
            fs::read_to_string(team.path("summary")).expect("there"),
        )
    };
    let (said, out, summary) = run("");
    assert_eq!((said.code, out.as_str()), (0, "code=0\n"), "{}{}", said.stdout, said.stderr);
    assert!(summary.starts_with("## ✅ planner check"), "{summary}");

    team.git(&["init", "-q"]);
    team.git(&["add", "."]);
    team.git(&["commit", "-qm", "baseline"]);
    team.slower(1.2);
    let (said, out, summary) = run("HEAD");
    assert_eq!((said.code, out.as_str()), (1, "code=1\n"), "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("::error file=plans/family.json"), "{}", said.stdout);
    assert!(summary.starts_with("## ❌ planner check") && summary.contains("`HEAD`"), "{summary}");
    for file in ["junit.xml", "planner.sarif", "summary.md", "review.json"] {
        assert!(team.path("planner-check").join(file).is_file(), "{file}");
    }
    // The workflow's own steps: what installs does nothing where `planner` is there.
    let steps = example("github-workflow.yml")["jobs"]["check"]["steps"].clone();
    let install = steps.as_array().expect("steps").iter().find(|step| step["name"] == "Install planner");
    assert_eq!(team.shell(install.expect("a step")["run"].as_str().expect("a script"), &[]).code, 0);
}

#[test]
fn gitlab_and_pre_commit_run_the_check() {
    let gitlab = example("gitlab-ci.yml");
    is_valid("gitlab-ci.json.gz", &gitlab);
    let team = Team::new();
    team.git(&["init", "-q"]);
    team.git(&["add", "."]);
    team.git(&["commit", "-qm", "baseline"]);
    let script = |key: &str| {
        let lines = gitlab["plans"][key].as_array().expect("lines").iter().map(|line| line.as_str().expect("a line"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let hook =
        example("pre-commit-config.yaml")["repos"][0]["hooks"][0]["entry"].as_str().expect("an entry").to_owned();
    for (factor, code) in [(1.0, 0), (1.2, 1)] {
        team.slower(factor);
        let said = team.shell(&format!("set -e\n{}\n{}", script("before_script"), script("script")), &[]);
        assert_eq!(said.code, code, "{}{}", said.stdout, said.stderr);
        assert!(team.path("planner.xml").is_file() && team.path("planner.md").is_file());
        assert_eq!(team.shell(&hook, &[]).code, code);
    }
}

/// A trace of four rates, each of which holds for a minute.
fn day(rates: [u32; 4]) -> Vec<u8> {
    let line = |second: usize| format!("{second},{}\n", rates[second / 60]);
    format!("second,rate_rps\n{}", (0..240).map(line).collect::<String>()).into_bytes()
}

/// A plan for a known day is solved again, and made again where its inputs give another.
#[test]
fn a_plan_for_a_known_day_is_made_again() {
    let team = Team::new();
    team.write("day.csv", &day([400, 3000, 900, 2200]));
    let solve = [
        "solve",
        "problems/family.toml",
        "--schedule",
        "day.csv",
        "--schedule-scale",
        "1.2",
        "-o",
        "plans/family.json",
        "--overwrite",
    ];
    let solved = team.planner(&solve);
    assert_eq!(solved.code, 0, "{}{}", solved.stdout, solved.stderr);
    let made = fs::read(team.path("plans/family.json")).expect("written");
    let fresh = team.planner(&["check", ".", "--format", "json"]);
    assert_eq!((fresh.code, fresh.beside_transitions().len()), (0, 0), "{}", fresh.stdout);
    // Nothing is written where nothing changed.
    let kept = team.planner(&["check", ".", "--update", "--format", "json"]);
    assert_eq!((kept.code, fs::read(team.path("plans/family.json")).expect("there")), (0, made), "{}", kept.stderr);
    // Another day is another plan, which is written with its day.
    team.write("day.csv", &day([400, 3000, 900, 1200]));
    let stale = team.planner(&["check", ".", "--format", "json"]);
    assert!(stale.has("facts-changed", "warning"), "{}", stale.stdout);
    let updated = team.planner(&["check", ".", "--update", "--format", "json"]);
    assert!(updated.stderr.contains("wrote"), "{}", updated.stderr);
    assert!(updated.beside_transitions().is_empty(), "{}", updated.stdout);
    let plan = load::<Plan>(&team.path("plans/family.json")).expect("valid").document;
    assert_eq!(plan.periods.last().expect("four").highest_rps.get(), 1440.0);
    // A day that nothing carries keeps its plan.
    team.write("day.csv", &day([400, 3000000, 900, 1200]));
    let kept = team.planner(&["check", ".", "--update", "--format", "json"]);
    assert!(kept.stderr.contains("kept") && kept.code == 1, "{}{}", kept.stdout, kept.stderr);
}
