//! `planner plot` draws every kind of document, the same way every time.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use predicates::str::contains;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/plot").join(name)
}

fn plot(input: &Path, output: &Path) -> Command {
    let mut command = Command::cargo_bin("planner").expect("cargo built the program");
    command.arg("plot").arg(input).arg("-o").arg(output);
    command
}

/// Draws twice, demands the same bytes, and returns them.
fn drawn(name: &str, extension: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let outputs = ["first", "second"].map(|file| folder.path().join(file).with_extension(extension));
    let bytes = outputs.map(|output| {
        plot(&fixture(name), &output).assert().success().stdout("");
        std::fs::read(output).expect("the picture was written")
    });
    assert_eq!(bytes[0], bytes[1], "{name} as {extension}");
    bytes[0].clone()
}

/// Checks that every element that opens closes again, in order.
pub fn assert_well_formed(svg: &str, name: &str) {
    let mut open = Vec::new();
    for tag in svg.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').unwrap_or_else(|| panic!("{name}: `<{tag}` does not end"));
        let element = tag.split_whitespace().next().unwrap_or_default();
        if let Some(closing) = element.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closing), "{name}");
        } else if !tag.ends_with('/') && !tag.starts_with(['?', '!']) {
            open.push(element);
        }
    }
    assert!(open.is_empty(), "{name}: {open:?} stays open");
}

#[test]
fn svg_is_well_formed_and_says_what_it_shows() {
    struct Case {
        name: &'static str,
        texts: &'static [&'static str],
    }
    let cases = [
        Case {
            name: "profile.json",
            texts: &[
                "example: 2 variants, 1,000 to 8,000 samples/s on 1 core",
                "throughput of one replica, samples/s",
                "median latency of a call, ms",
                "small",
                "large",
            ],
        },
        Case {
            name: "plan.json",
            texts: &[
                "example: 3 gears carry 5,000 requests/s, accuracy 0.950 → 0.850",
                "load, requests/s",
                "accuracy",
                "latency, ms",
                "SLO: p99 within 20\u{a0}ms",
                "cores up",
            ],
        },
        Case {
            name: "report.json",
            texts: &[
                "example keeps the SLO: 0.1 % of requests late, accuracy 0.900",
                "time, s",
                "rate, requests/s",
                "gear",
                "p99, ms",
            ],
        },
    ];
    for Case { name, texts } in cases {
        let svg = String::from_utf8(drawn(name, "svg")).expect("SVG is text");
        assert_well_formed(&svg, name);
        for text in texts {
            assert!(svg.contains(text), "{name} lacks `{text}`");
        }
    }
}

#[test]
fn png_decodes_and_is_not_blank() {
    for name in ["profile.json", "plan.json", "report.json"] {
        let bytes = drawn(name, "png");
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("a PNG header");
        let mut pixels = vec![0; reader.output_buffer_size().expect("it fits into memory")];
        let frame = reader.next_frame(&mut pixels).expect("all pixels");
        assert_eq!(frame.width, 960, "{name}");
        assert!(pixels.iter().any(|value| *value < 100), "{name} is blank");
    }
}

#[test]
fn refuses_what_it_cannot_draw() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().join("picture.svg");

    let jpeg = folder.path().join("picture.jpeg");
    plot(&fixture("plan.json"), &jpeg)
        .assert()
        .code(2)
        .stderr(contains("picture.jpeg"))
        .stderr(contains(".svg, .png or .html"));

    let problem = folder.path().join("problem.json");
    std::fs::write(&problem, r#"{ "format": "planner.problem/1" }"#).expect("the folder is writable");
    plot(&problem, &output).assert().code(2).stderr(contains("error[format]")).stderr(contains("planner.problem/1"));

    assert!(!jpeg.exists() && !output.exists(), "nothing half-written is left");
}

#[test]
fn replaces_a_picture_only_when_asked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().join("plan.svg");
    plot(&fixture("plan.json"), &output).assert().success();
    plot(&fixture("plan.json"), &output).assert().code(2).stderr(contains("--overwrite"));
    plot(&fixture("plan.json"), &output).arg("--overwrite").assert().success();
}

#[test]
fn a_page_holds_the_picture_and_the_numbers_and_needs_nothing_else() {
    let page = String::from_utf8(drawn("report.json", "html")).expect("text");
    assert_well_formed(&page, "report.html");
    for part in ["<!doctype html>", "<svg", "Requests, 1\u{a0}trial", ">p99 ms</th>", "Pools"] {
        assert!(page.contains(part), "{part}");
    }
    let outside = page.matches("http").count() - page.matches("http://www.w3.org/").count();
    assert_eq!((outside, page.matches("<script").count(), page.matches("<link").count()), (0, 0, 0));
    let plan = String::from_utf8(drawn("plan.json", "html")).expect("text");
    assert_well_formed(&plan, "plan.html");
}
