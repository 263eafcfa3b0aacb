//! Every kind of load goes through the command line into the report.

use assert_cmd::Command;
use serde_json::Value;

fn report(flags: &str) -> Value {
    let mut command = Command::cargo_bin("planner").expect("the binary is built");
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/broken"));
    command
        .args(["simulate", "../../plans/samples/variant-set.json", "--format", "json", "--replications", "1"])
        .args(flags.split(' '));
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_some_and(|code| code < 2), "{flags}: {said}");
    serde_json::from_slice(&output.stdout).expect(flags)
}

#[test]
fn loads_of_every_kind_are_simulated() {
    struct Case {
        flags: &'static str,
        arrivals: &'static str,
        /// Requests expected, and how far from that chance may take them.
        requests: std::ops::RangeInclusive<u64>,
        seconds: f64,
    }
    let day = "--trace ../../traces/day.csv --scale 20 --time-scale 0.1";
    let cases = [
        Case {
            flags: "--rps 50 --arrivals gamma --burstiness 4",
            arrivals: "gamma 50 rps, burstiness 4",
            requests: 2_450..=3_550,
            seconds: 60.0,
        },
        Case {
            flags: "--mmpp 10:0.5,90:0.5 --duration-s 100",
            arrivals: "mmpp 10 rps for 0.5 s, 90 rps for 0.5 s",
            requests: 3_500..=6_500,
            seconds: 100.0,
        },
        Case {
            flags: "--step 10:50:40",
            arrivals: "step 10 to 50 rps at 40 s",
            requests: 2_150..=2_650,
            seconds: 80.0,
        },
        Case {
            flags: "--ramp 0:40:20",
            arrivals: "ramp 0 to 40 rps over 20 s",
            requests: 1_780..=2_220,
            seconds: 60.0,
        },
        Case { flags: day, arrivals: "day.csv × 20, time × 0.1", requests: 410..=640, seconds: 60.0 },
        Case { flags: "--trace times.csv", arrivals: "times.csv", requests: 2..=2, seconds: 1.0 },
    ];
    for case in cases {
        let report = report(case.flags);
        assert_eq!(report["arrivals"], case.arrivals, "{}", case.flags);
        let arrived = report["whole"]["arrived"].as_u64().expect("a count");
        assert!(case.requests.contains(&arrived), "{}: {arrived} requests", case.flags);
        assert_eq!(report["duration_ms"].as_f64(), Some(case.seconds * 1e3), "{}", case.flags);
    }
}
