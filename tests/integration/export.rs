//! Exporting: one row a point, the units in the header, and the same numbers.

use std::path::Path;

use planner::base::codec::load;
use planner::profile::Profile;
use planner::profile::export::to_csv;
use predicates::str::{contains, starts_with};

fn shipped() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json").to_str().expect("plain").to_owned()
}

fn planner(arguments: &[&str]) -> assert_cmd::assert::Assert {
    assert_cmd::Command::cargo_bin("planner").expect("built").args(arguments).assert()
}

#[test]
fn every_point_is_a_row_with_its_own_numbers() {
    let profile = load::<Profile>(shipped().as_ref()).expect("the shipped profile loads").document;
    let bytes = to_csv(&profile);
    let mut csv = csv::Reader::from_reader(bytes.as_slice());
    let header = csv.headers().expect("a header").clone();
    let at = |name: &str| header.iter().position(|column| column == name).unwrap_or_else(|| panic!("no {name}"));
    let rows: Vec<csv::StringRecord> = csv.records().collect::<Result<_, _>>().expect("rows of one length");
    assert_eq!(rows.len(), profile.points.len());
    for (row, point) in rows.iter().zip(&profile.points) {
        let number = |name: &str| row[at(name)].parse::<f64>().expect("a number");
        let variant = profile.variant(&point.variant).expect("named");
        assert_eq!((&row[at("variant")], &row[at("device")]), (point.variant.as_str(), "cpu"));
        assert_eq!(number("batch"), f64::from(point.batch));
        assert_eq!(number("p99_high_ms"), point.latency.p99.high_ms.get());
        assert_eq!(number("throughput_rps"), point.throughput_rps.get());
        assert_eq!(number("accuracy_low"), variant.accuracy.low.get());
        assert_eq!(&row[at("contended")], "false");
        assert_eq!(&row[at("engine")], variant.engine);
        assert_eq!(&row[at("host_cpu")], profile.host.cpu);
    }
}

#[test]
fn what_was_not_measured_is_empty() {
    let mut profile = load::<Profile>(shipped().as_ref()).expect("the shipped profile loads").document;
    profile.points.truncate(1);
    profile.points[0].cpu_ms = None;
    let text = String::from_utf8(to_csv(&profile)).expect("text");
    assert!(text.lines().nth(1).expect("a row").contains(",,interval,"), "{text}");
}

#[test]
fn a_name_is_no_formula_to_a_spreadsheet() {
    let mut profile = load::<Profile>(shipped().as_ref()).expect("the shipped profile loads").document;
    profile.points.truncate(1);
    profile.points[0].variant = "=1+1".to_owned();
    profile.variants[0].name = "=1+1".to_owned();
    let text = String::from_utf8(to_csv(&profile)).expect("text");
    assert!(text.lines().nth(1).expect("a row").starts_with("'=1+1,"), "{text}");
}

#[test]
fn an_input_is_never_written_over() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let copy = folder.path().join("p.csv");
    std::fs::copy(shipped(), &copy).expect("writable");
    let [copy, link] = [copy, folder.path().join("link.csv")].map(|path| path.to_str().expect("plain").to_owned());
    std::os::unix::fs::symlink(&copy, &link).expect("writable");
    for output in [&copy, &link] {
        let run = planner(&["profile", "export", &copy, "-o", output, "--overwrite"]);
        run.code(2).stderr(contains("is an input"));
    }
    let plan = folder.path().join("plan.json").to_str().expect("plain").to_owned();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/samples/variant-set.json");
    std::fs::copy(shipped, &plan).expect("writable");
    planner(&["check", &plan, "--format", &format!("junit={plan}")]).code(2);
    let kept = std::fs::read_to_string(&plan).expect("readable");
    assert!(kept.starts_with('{'), "{kept}");
}

#[test]
fn the_name_of_the_file_says_what_it_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| folder.path().join(name).to_str().expect("plain").to_owned();
    let shipped = shipped();
    planner(&["profile", "export", &shipped])
        .code(0)
        .stdout(starts_with("variant,batch,cores,device,co_runners,count,"));
    planner(&["profile", "export", &shipped, "-o", &file("p.csv")]).code(0).stdout("");
    planner(&["profile", "export", &shipped, "-o", &file("p.csv")]).code(2).stderr(contains("exists already"));
    planner(&["profile", "export", &shipped, "-o", &file("p.txt")]).code(2).stderr(contains("neither .csv nor"));
    let written = std::fs::read_to_string(file("p.csv")).expect("written");
    assert_eq!(written.lines().count(), 97);
    if !cfg!(feature = "polars") {
        let refused = planner(&["profile", "export", &shipped, "-o", &file("p.parquet")]).code(2);
        refused.stderr(contains("--features polars"));
    }
}
