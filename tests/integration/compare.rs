//! Comparing profiles: the same is alike, a scaled copy is slower, noise is no news, and a real change is found.

use std::path::{Path, PathBuf};
use std::time::Duration;

use planner::base::codec::{load, to_bytes};
use planner::base::files::write_atomic;
use planner::base::units::{Millis, Rate, Share};
use planner::profile::compare::{AccuracyTest, AccuracyVerdict, Bounds, Comparison, Side, Verdict, compare};
use planner::profile::{Answers, Point, Profile};
use planner::stats::Dice;
use planner::stats::{Histogram, Latency, sample};
use predicates::str::contains;
use rand_distr::LogNormal;

fn shipped_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json")
}

fn shipped() -> Profile {
    load::<Profile>(&shipped_path()).expect("the shipped profile loads").document
}

fn answers() -> Answers {
    let file = shipped_path().with_file_name("digits.answers.csv.gz");
    Answers::from_csv_gz(&std::fs::read(&file).expect("shipped"), &file).expect("sound")
}

fn bounds(threshold: f64) -> Bounds {
    Bounds { threshold: Share::new(threshold).expect("a share"), strict: false }
}

fn alone(profile: &Profile) -> Side<'_> {
    Side { profile, answers: None }
}

fn compared(before: &Profile, after: &Profile, bounds: Bounds) -> Comparison {
    compare(alone(before), alone(after), bounds).expect("one task and the same points")
}

/// Returns the profile with every time multiplied.
fn scaled(profile: &Profile, factor: f64) -> Profile {
    let mut profile = profile.clone();
    for point in &mut profile.points {
        scale(point, factor);
    }
    profile
}

fn scale(point: &mut Point, factor: f64) {
    let Latency { mean_ms, std_ms, min_ms, max_ms, p50, p90, p95, p99, p999 } = &mut point.latency;
    let moments = [mean_ms, std_ms, min_ms, max_ms];
    let quantiles = [p50, p90, p95, p99, p999].map(|q| [&mut q.value_ms, &mut q.low_ms, &mut q.high_ms]);
    for ms in moments.into_iter().chain(quantiles.into_iter().flatten()) {
        *ms = Millis::saturating(ms.get() * factor);
    }
    point.throughput_rps = Rate::saturating(1e3 * f64::from(point.batch) / point.latency.mean_ms.get());
    for ns in point.histogram.iter_mut().flat_map(|histogram| &mut histogram.value_ns) {
        *ns = (*ns as f64 * factor).round() as u64;
    }
}

/// Returns a profile whose points are `calls` draws each from one lognormal law with this median.
fn drawn(points: u32, calls: impl Fn(u32) -> usize, median_ms: f64, dice: &mut Dice) -> Profile {
    let law = LogNormal::new(median_ms.ln(), 0.2).expect("a law");
    let mut profile = shipped();
    profile.points.truncate(1);
    let model = profile.points.remove(0);
    for batch in 1..=points {
        let draw = |_| Duration::from_secs_f64(dice.draw(&law) / 1e3);
        let walls: Vec<_> = (0..calls(batch)).map(draw).collect();
        let latency = sample::latency(&walls);
        profile.points.push(Point {
            batch,
            count: walls.len() as u64,
            throughput_rps: Rate::saturating(1e3 * f64::from(batch) / latency.mean_ms.get()),
            latency,
            histogram: Some(Histogram::of(&walls)),
            ..model.clone()
        });
    }
    profile
}

#[test]
fn a_profile_is_like_itself() {
    let (profile, answers) = (shipped(), answers());
    let side = Side { profile: &profile, answers: Some(&answers) };
    let seen = compare(side, side, bounds(0.0)).expect("comparable");
    assert!(!seen.regression);
    assert_eq!((seen.counts.alike, seen.counts.points), (96, 96));
    assert!(seen.points.iter().all(|point| point.p50_ratio.value == 1.0 && point.p_value_holm == Some(1.0)));
    assert!(seen.variants.iter().all(|variant| variant.verdict == AccuracyVerdict::Alike));
    assert!(
        seen.only_before.is_empty() && seen.only_after.is_empty() && seen.findings.is_empty(),
        "{:?}",
        seen.findings
    );
}

#[test]
fn a_scaled_profile_is_slower_everywhere_and_its_mirror_faster() {
    let (before, after) = (shipped(), scaled(&shipped(), 1.3));
    assert!(!after.validate().has_errors(), "{}", after.validate());
    let seen = compared(&before, &after, bounds(0.05));
    assert!(seen.regression);
    assert_eq!(seen.counts.slower, 96, "{:?}", seen.counts);
    assert!(seen.points.iter().all(|point| (point.p50_ratio.value - 1.3).abs() < 1e-9));
    let mirror = compared(&after, &before, bounds(0.05));
    assert!(!mirror.regression);
    assert_eq!(mirror.counts.faster, 96);
    let tolerant = compared(&before, &after, bounds(0.5));
    assert_eq!((tolerant.regression, tolerant.counts.alike), (false, 96), "30 % is within 50 %");
}

/// Without a threshold only the test of significance stands between noise and news.
#[test]
fn noise_of_one_law_is_no_news() {
    const PAIRS: u32 = 200;
    let calls = |batch: u32| [14, 27, 53, 100, 100, 378][batch as usize % 6];
    let mut dice = Dice::new(11, 0);
    let mut alarms = 0;
    let mut covered = [0, 0];
    for _ in 0..PAIRS {
        let (before, after) = (drawn(12, calls, 2.0, &mut dice), drawn(12, calls, 2.0, &mut dice));
        let seen = compared(&before, &after, bounds(0.0));
        alarms += u32::from(seen.counts.alike < 12);
        for point in &seen.points {
            let ratio = point.p50_ratio;
            covered[0] += u32::from(ratio.low <= 1.0 && 1.0 <= ratio.high);
            covered[1] += 1;
        }
    }
    let share = f64::from(alarms) / f64::from(PAIRS);
    assert!(share <= 0.05 + 2.0 * (0.05 * 0.95 / f64::from(PAIRS)).sqrt(), "{share} of the pairs raised an alarm");
    let coverage = f64::from(covered[0]) / f64::from(covered[1]);
    assert!(coverage >= 0.95, "the interval of the ratio held 1 in {coverage} of the points");
}

/// Returns a profile whose points had some starts of 500 calls each, whose medians differ by a lognormal law.
fn started(points: u32, starts: usize, deviation: f64, dice: &mut Dice) -> Profile {
    let between = LogNormal::new(0.0, deviation).expect("a law");
    let within = LogNormal::new(0.0, 0.05).expect("a law");
    let mut profile = drawn(points, |_| 1, 2.0, dice);
    for point in &mut profile.points {
        let mut walls = Vec::new();
        for _ in 0..starts {
            let median_ms = 2.0 * dice.draw(&between);
            let mut block: Vec<f64> = (0..500).map(|_| median_ms * dice.draw(&within)).collect();
            block.sort_by(f64::total_cmp);
            point.block_p50_ms.push(Millis::saturating(block[250]));
            walls.extend(block.into_iter().map(|ms| Duration::from_secs_f64(ms / 1e3)));
        }
        point.latency = sample::latency(&walls);
        point.histogram = Some(Histogram::of(&walls));
    }
    profile
}

/// Starts that differ by 8 % are no news, however many calls each has, and a point that is half as slow again is.
#[test]
fn starts_that_differ_are_no_news() {
    const PAIRS: u32 = 100;
    let mut dice = Dice::new(13, 0);
    let (mut alarms, mut by_calls, mut found, mut beyond) = (0, 0, 0, 0);
    for _ in 0..PAIRS {
        let (before, mut after) = (started(12, 3, 0.08, &mut dice), started(12, 3, 0.08, &mut dice));
        let seen = compared(&before, &after, bounds(0.0));
        alarms += u32::from(seen.counts.alike < 12);
        by_calls +=
            u32::from(seen.points.iter().any(|point| point.effect.is_some_and(|effect| effect.p_value < 0.001)));
        beyond += seen.points.iter().filter(|point| point.p50_ratio.low > 1.0 || point.p50_ratio.high < 1.0).count();
        scale(&mut after.points[3], 1.5);
        after.points[3].block_p50_ms.iter_mut().for_each(|ms| *ms = Millis::saturating(1.5 * ms.get()));
        found += u32::from(compared(&before, &after, bounds(0.05)).points[3].verdict == Verdict::Slower);
    }
    let share = f64::from(alarms) / f64::from(PAIRS);
    assert!(share <= 0.05 + 2.0 * (0.05 * 0.95 / f64::from(PAIRS)).sqrt(), "{share} of the pairs raised an alarm");
    assert!(by_calls > 9 * PAIRS / 10, "calls alone would raise an alarm in all but few: {by_calls}");
    assert!(f64::from(beyond as u32) < 0.06 * 12.0 * f64::from(PAIRS), "{beyond} intervals miss the truth");
    assert!(found >= 9 * PAIRS / 10, "found in {found} of {PAIRS}");
}

#[test]
fn a_tenth_slower_is_found_with_a_thousand_calls() {
    const PAIRS: u32 = 100;
    let mut dice = Dice::new(12, 0);
    let mut found = 0;
    for _ in 0..PAIRS {
        let before = drawn(8, |_| 1000, 2.0, &mut dice);
        let mut after = drawn(8, |_| 1000, 2.0, &mut dice);
        scale(&mut after.points[3], 1.1);
        let seen = compared(&before, &after, bounds(0.05));
        let slower: Vec<_> = seen.points.iter().filter(|point| point.verdict == Verdict::Slower).collect();
        found += u32::from(slower.len() == 1 && slower[0].key.batch == 4 && seen.regression);
    }
    assert!(found >= PAIRS - 1, "found in {found} of {PAIRS}");
}

#[test]
fn contended_points_are_marked_and_count_only_when_strict() {
    let before = shipped();
    let mut after = before.clone();
    scale(&mut after.points[7], 2.0);
    after.points[7].conditions.contended = true;
    let seen = compared(&before, &after, bounds(0.05));
    assert!(!seen.regression && seen.points[7].contended);
    assert_eq!((seen.counts.slower, seen.counts.slower_contended), (1, 1));
    assert_eq!(seen.worst().map(|point| point.key.to_string()).as_deref(), Some("linear batch 2 cores 2"));
    assert!(compared(&before, &after, Bounds { strict: true, ..bounds(0.05) }).regression);
}

/// Lets a variant answer some samples wrongly that it answered rightly.
fn spoiled(answers: &Answers, variant: &str, samples: usize) -> Answers {
    let mut answers = answers.clone();
    let Answers { labels, variants } = &mut answers;
    let (_, given) = variants.iter_mut().find(|(name, _)| name == variant).expect("a variant");
    let right = given.iter_mut().zip(labels).filter(|(answer, label)| answer.predicted == **label);
    for (answer, label) in right.take(samples) {
        answer.predicted = *label + 1;
    }
    answers
}

#[test]
fn accuracy_is_compared_sample_by_sample_where_answers_are_there() {
    let (profile, before) = (shipped(), answers());
    for (wrong, verdict) in [(3, AccuracyVerdict::Alike), (30, AccuracyVerdict::Lower)] {
        let after = spoiled(&before, "cnn_l", wrong);
        let side = |answers| Side { profile: &profile, answers: Some(answers) };
        let seen = compare(side(&before), side(&after), bounds(0.05)).expect("comparable");
        let change = seen.variants.iter().find(|change| change.variant == "cnn_l").expect("in both");
        assert_eq!(change.verdict, verdict, "{wrong} samples: {change:?}");
        assert!(matches!(change.judged_by, AccuracyTest::Paired { lost, won: 0, .. } if lost == wrong as u64));
        assert_eq!(seen.regression, verdict == AccuracyVerdict::Lower);
        let back = compare(side(&after), side(&before), bounds(0.05)).expect("comparable");
        assert!(!back.regression, "more accurate is no regression");
    }
}

#[test]
fn accuracy_is_compared_by_intervals_otherwise_and_declared_ones_not_at_all() {
    let before = shipped();
    let mut after = before.clone();
    let (value, (low, high)) = (planner::base::units::Accuracy::saturating(0.90), sample::wilson(1800, 2000));
    let fact = &mut after.variants[5].accuracy;
    (fact.value, fact.low, fact.high) = (value, low, high);
    let seen = compared(&before, &after, bounds(0.05));
    assert_eq!(seen.variants[5].judged_by, AccuracyTest::Intervals);
    assert!(seen.variants[5].verdict == AccuracyVerdict::Lower && seen.regression);
    after.variants[5].accuracy.samples = 0;
    let seen = compared(&before, &after, bounds(0.05));
    assert!(seen.variants[5].verdict == AccuracyVerdict::NotJudged && !seen.regression);
}

#[test]
fn what_makes_the_comparison_say_less_is_told() {
    let before = shipped();
    let mut after = before.clone();
    after.host.cpu = "Another".into();
    after.variants[0].engine = "ort 1.25".into();
    after.variants[1].sha256 = "0".into();
    after.points[0].histogram = None;
    after.points.remove(95);
    let seen = compared(&before, &after, bounds(0.05));
    let keys: Vec<_> = seen.findings.iter().map(|finding| finding.key.as_str()).collect();
    assert_eq!(keys, ["host.cpu", "variants.engine", "variants.sha256", "points.histogram"]);
    assert_eq!((seen.counts.not_judged, seen.counts.points), (1, 95));
    assert_eq!(seen.only_before.len(), 1);
    assert!(seen.only_after.is_empty());

    after.task = "letters".into();
    let error = compare(alone(&before), alone(&after), bounds(0.05)).expect_err("other tasks").to_string();
    assert!(error.contains("`digits` and `letters` are different tasks"), "{error}");
    after.task = before.task.clone();
    after.points.iter_mut().for_each(|point| point.cores += 7);
    let error = compare(alone(&before), alone(&after), bounds(0.05)).expect_err("no common point").to_string();
    assert!(error.contains("--batches"), "{error}");
}

fn planner(arguments: &[&str]) -> assert_cmd::assert::Assert {
    assert_cmd::Command::cargo_bin("planner").expect("built").args(arguments).assert()
}

#[test]
fn the_command_answers_by_exit_code_and_one_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shipped_path = shipped_path();
    let [old, new] = ["old.json", "new.json"].map(|name| folder.path().join(name));
    let mut after = shipped();
    scale(&mut after.points[63], 1.23);
    write_atomic(&new, &to_bytes(&after)).expect("writable");
    write_atomic(&old, &to_bytes(&scaled(&after, 0.5))).expect("writable");
    let [shipped, old, new] = [&shipped_path, &old, &new].map(|path| path.to_str().expect("plain"));

    let same = "0 of 96 points slower by more than 5 %, 0 faster, 96 alike\n";
    planner(&["profile", "compare", shipped, shipped]).code(0).stdout(contains(same)).stderr("");
    let line = "1 of 96 points slower by more than 5 %, 0 faster, 95 alike; worst cnn_l batch 8 cores 1: +23 % (";
    planner(&["profile", "compare", shipped, new]).code(1).stdout(contains(line)).stderr(contains("intervals"));
    planner(&["profile", "compare", shipped, new, "--threshold", "0.3"]).code(0);
    planner(&["profile", "compare", new, old]).code(0).stdout(contains("96 faster"));
    planner(&["profile", "compare", shipped, "absent.json"]).code(2).stderr(contains("error[unreadable]"));
    planner(&["profile", "compare", shipped, new, "--threshold", "5"]).code(2).stderr(contains("from 0 to 1"));
    let json = planner(&["profile", "compare", shipped, new, "--format", "json"]).code(1);
    let json: serde_json::Value = serde_json::from_slice(&json.get_output().stdout).expect("JSON");
    assert_eq!(json["regression"], true);
    assert_eq!(json["points"][63]["verdict"], "slower");
    assert_eq!(json["points"][63]["variant"], "cnn_l");
}

#[test]
fn profile_without_a_subcommand_still_asks_for_models() {
    planner(&["profile"]).code(2).stderr(contains("<MODELS>"));
    planner(&["profile", "absent.toml", "-o", "-"]).code(2).stderr(contains("stdout cannot take"));
}
