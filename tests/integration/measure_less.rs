//! `planner profile --within` and `--for`, with a program as the engine whose times are a law.

use std::fs;
use std::path::Path;

use planner::profile::{Key, Profile};

/// Milliseconds of a call: an overhead, and a part of the work that cores share. The model file holds both numbers.
const ENGINE: &str = r#"
import json, sys
for line in sys.stdin:
    ask = json.loads(line)
    if "about" in ask:
        answer = {"about": {"name": "law", "version": "1"}}
    elif "open" in ask:
        overhead, work = map(float, open(ask["open"]["model"]).read().split())
        cores = ask["open"]["cores"]
        answer = {"opened": {}}
    else:
        samples = ask["run"]["shape"][0]
        ms = overhead + samples * work * (0.1 + 0.9 / cores)
        # Sample 0 is of class 0 and heavier models see that.
        scores = [x for pixel in ask["run"]["data"] for x in ((0.0, 1.0) if pixel > 0.5 or work < 1 else (1.0, 0.0))]
        answer = {"scores": scores, "classes": 2, "wall_ms": ms}
    print(json.dumps(answer), flush=True)
"#;

/// The configurations and medians of a profile's points.
fn medians(profile: &Profile) -> Vec<((String, Key), f64)> {
    let of =
        |point: &planner::profile::Point| ((point.variant.clone(), Key::of(point)), point.latency.p50.value_ms.get());
    profile.points.iter().map(of).collect()
}

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).expect("writable");
        write("engine.py", ENGINE.as_bytes());
        write("images", &[0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 255]);
        write("labels", &[0, 0, 8, 1, 0, 0, 0, 2, 0, 1]);
        let mut list =
            "format = \"planner.models/1\"\ntask = \"t\"\n[data]\nimages = \"images\"\nlabels = \"labels\"\n"
                .to_owned();
        for (name, numbers) in [("light", "1 0.5"), ("middle", "2 1.5"), ("heavy", "3 6")] {
            write(name, numbers.as_bytes());
            list += &format!("[[variants]]\nname = \"{name}\"\nfile = \"{name}\"\n");
        }
        write("models.toml", list.as_bytes());
        for profile in ["full", "part"] {
            let problem = format!(
                "format = \"planner.problem/1\"\nrisk = \"none\"\nroom = \"variant-set\"\nprofiles = [\"{profile}.json\"]\nname = \"{profile}\"\n[workload]\nmax_rps = 400\n[slo]\nquantile = 0.99\nlatency_ms = 40\n[inventory]\ncores = 4\n\
                 [goal]\nkind = \"most-accurate\"\n"
            );
            write(&format!("{profile}.toml"), problem.as_bytes());
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn planner(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = assert_cmd::Command::cargo_bin("planner").expect("built");
        let output = command.current_dir(self.folder.path()).args(arguments).output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    fn profile(&self, file: &str, extra: &[&str]) -> (Profile, String) {
        let fixed = ["profile", "models.toml", "-o", file, "--overwrite", "--engine", "command", "--command"];
        let measured = [
            "python3 engine.py",
            "--cores",
            "1,2",
            "--batches",
            "1,2,3,4,6,8,12,16",
            "--blocks",
            "1",
            "--budget-ms",
            "60",
        ];
        let (code, stdout, stderr) = self.planner(&[&fixed[..], &measured, extra].concat());
        assert_eq!(code, 0, "{stderr}");
        (serde_json::from_slice(&fs::read(self.path(file)).expect("written")).expect("a profile"), stdout)
    }

    /// Returns the gears of the plan that a profile leads to, without claims and provenance.
    fn plan(&self, problem: &str) -> Vec<String> {
        let (code, stdout, stderr) = self.planner(&["solve", problem]);
        assert_eq!(code, 0, "{stderr}");
        let plan: planner::plan::Plan = serde_json::from_str(&stdout).expect("a plan");
        plan.gears.iter().map(|gear| format!("{:?}", gear.stages)).collect()
    }
}

#[test]
fn fewer_points_predict_the_rest_and_lead_to_the_same_plan() {
    if planner::measure::host::allowed_cores().len() < 2 {
        return;
    }
    let bench = Bench::new();
    let (full, _) = bench.profile("full.json", &[]);
    assert_eq!((full.points.len(), full.skipped.len()), (48, 0));
    let truth = medians(&full);
    let plan = bench.plan("full.toml");

    let (part, said) = bench.profile("part.json", &["--within", "0.05"]);
    assert!(part.points.len() <= 24, "{} points: {said}", part.points.len());
    assert_eq!(part.points.len() + part.skipped.len(), 48);
    let misses = part.skipped.iter().map(|skipped| {
        let of = |(variant, key): &&((String, Key), f64)| {
            variant.0 == skipped.variant && variant.1 == skipped.point && *key > 0.0
        };
        let (_, truth) = truth.iter().find(of).expect("the grid is full");
        (skipped.predicted_p50_ms.expect("predicted").get() / truth - 1.0).abs()
    });
    let mut misses: Vec<f64> = misses.collect();
    misses.sort_by(f64::total_cmp);
    assert!(misses[misses.len() / 2] <= 0.05, "{misses:?}");

    let (part, said) = bench.profile("part.json", &["--for", "part.toml", "--near-tie", "0"]);
    assert!(part.points.len() <= 30, "{} points: {said}", part.points.len());
    assert!(part.skipped.iter().any(|skipped| skipped.cause.contains("in no best plan")), "{:?}", part.skipped);
    assert_eq!(bench.plan("part.toml"), plan, "what was skipped does not change the plan");
}

#[test]
fn a_problem_on_other_profiles_is_refused() {
    let bench = Bench::new();
    let fixed = ["profile", "models.toml", "-o", "other.json", "--engine", "command", "--command", "python3 engine.py"];
    let (code, _, stderr) = bench.planner(&[&fixed[..], &["--for", "part.toml"]].concat());
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("part.toml: profiles: none of its profiles is other.json"), "{stderr}");
    assert!(!Path::new(&bench.path("other.json")).exists(), "nothing is left behind");
}
