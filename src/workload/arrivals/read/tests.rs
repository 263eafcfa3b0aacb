//! Recordings are read as they are meant or refused, and equal an independent count.

use std::path::PathBuf;
use std::time::Duration;

use super::parse;
use crate::base::finding::Findings;
use crate::stats::Dice;
use crate::workload::arrivals::tests::close;
use crate::workload::arrivals::{Arrivals, Trace};

fn rates(text: &str) -> Trace {
    match parse(text.as_bytes(), "t") {
        Ok(Arrivals::Trace(trace)) => trace,
        other => panic!("{text}: {other:?}"),
    }
}

fn times(text: &str) -> Vec<u64> {
    match parse(text.as_bytes(), "t") {
        Ok(Arrivals::Timestamps(times)) => times.times_ns,
        other => panic!("{text}: {other:?}"),
    }
}

fn refused(text: &str) -> Findings {
    parse(text.as_bytes(), "t").expect_err(text)
}

#[test]
fn reads_rates_by_header_or_without() {
    struct Case {
        text: &'static str,
        rates: &'static [f64],
        step_s: u64,
    }
    let cases = [
        Case { text: "1\n2.5\n\n0\n", rates: &[1.0, 2.5, 0.0], step_s: 1 },
        Case { text: "queries\n7\n8\n", rates: &[7.0, 8.0], step_s: 1 },
        Case { text: "\u{feff}second,queries\r\n0,7\r\n1,8\r\n", rates: &[7.0, 8.0], step_s: 1 },
        Case { text: "second,\"load\", who\n5,\"7\",x\n6, 8 ,y\n", rates: &[7.0, 8.0], step_s: 1 },
        Case { text: "hour,invocations\n0,7200\n1,1800\n", rates: &[2.0, 0.5], step_s: 3600 },
        Case { text: "minute,rps\n0,7\n1,8\n", rates: &[7.0, 8.0], step_s: 60 },
        Case { text: "day,hour,calls\n6,23,3600\n7,0,7200\n", rates: &[1.0, 2.0], step_s: 3600 },
    ];
    for case in cases {
        let trace = rates(case.text);
        assert_eq!(trace.rates, case.rates, "{}", case.text);
        assert_eq!(trace.step, Duration::from_secs(case.step_s), "{}", case.text);
    }
}

/// Cells as exports of monitoring write them: the times tell the step, the names whether a number is a rate or a count.
#[test]
fn times_beside_loads_tell_the_step() {
    struct Case {
        text: &'static str,
        rates: &'static [f64],
        step_ms: u64,
    }
    let cases = [
        Case {
            text: "timestamp,requests\n2031-05-04 10:00,120\n2031-05-04 10:01,60\n",
            rates: &[2.0, 1.0],
            step_ms: 60_000,
        },
        Case { text: "Time,hits,zone\n1900000000,5,a\n1900000005,10,b\n", rates: &[1.0, 2.0], step_ms: 5_000 },
        Case { text: "ts,rps\n1900000000000,5\n1900000000500,10\n", rates: &[5.0, 10.0], step_ms: 500 },
        Case { text: "time_s,qps\n0,4\n15,8\n30,8\n", rates: &[4.0, 8.0, 8.0], step_ms: 15_000 },
        Case {
            text: "@timestamp,count()\n2031/05/04 10:00:00,600\n2031/05/04 10:05:00,300\n",
            rates: &[2.0, 1.0],
            step_ms: 300_000,
        },
        Case {
            text: "Timestamp,Sum,Unit\n2031-05-04T10:00:00Z,30.0,Count\n2031-05-04T10:00:10Z,10.0,Count\n",
            rates: &[3.0, 1.0],
            step_ms: 10_000,
        },
        Case {
            text: "timestamp,value\n2031-05-04 10:00:01,9\n2031-05-04 10:00:04,3\n",
            rates: &[3.0, 1.0],
            step_ms: 3_000,
        },
        Case { text: "time (ms),requests per minute\n0,120\n1000,60\n", rates: &[2.0, 1.0], step_ms: 1_000 },
        Case {
            text: "time_local;requests/s\n04/May/2031:10:00:00 +0200;2,5\n04/May/2031:10:00:30 +0200;1\n",
            rates: &[2.5, 1.0],
            step_ms: 30_000,
        },
        Case {
            text: "Timestamp,User Count,Type,Name,Requests/s\n1900000000,5,GET,/v2,1\n1900000000,5,,Aggregated,3\n\
                   1900000001,5,GET,/v2,1\n1900000001,5,,Aggregated,4.5\n",
            rates: &[3.0, 4.5],
            step_ms: 1_000,
        },
        Case {
            text: "sep=;\n\"Series\";\"Time\";\"Value\"\nall;2031-05-04T10:00:00+02:00;4\nall;2031-05-04T10:00:02+02:00;8\n",
            rates: &[2.0, 4.0],
            step_ms: 2_000,
        },
        Case {
            text: "{\"ts\": \"2031-05-04 10:00:00\", \"requests\": 4}\n{\"requests\": 8, \"ts\": \"2031-05-04 10:00:02\"}\n",
            rates: &[2.0, 4.0],
            step_ms: 2_000,
        },
        Case {
            text: "HashOwner,HashApp,HashFunction,Trigger,1,2,3\na,b,c,http,60,0,30\na,b,d,timer,0,120,30\n",
            rates: &[1.0, 2.0, 1.0],
            step_ms: 60_000,
        },
        // Scraped times jitter; the step is their mean.
        Case {
            text: "timestamp_ms,rps\n1900000000000,1\n1900000010020,2\n1900000020000,3\n",
            rates: &[1.0, 2.0, 3.0],
            step_ms: 10_000,
        },
    ];
    for case in cases {
        let trace = rates(case.text);
        assert_eq!(trace.rates, case.rates, "{}", case.text);
        assert_eq!(trace.step, Duration::from_millis(case.step_ms), "{}", case.text);
    }
}

#[test]
fn utf16_and_decimal_commas_are_read() {
    let text = "second\trps\n0\t2,5\n1\t0,125\n";
    let utf16: Vec<u8> = [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let Ok(Arrivals::Trace(trace)) = parse(&utf16, "t") else { panic!("{text}") };
    assert_eq!(trace.rates, [2.5, 0.125]);
}

#[test]
fn reads_arrival_times_by_header() {
    struct Case {
        text: &'static str,
        times: &'static [u64],
    }
    let cases = [
        Case { text: "arrival_ms,prompt_id\n636,4817\n1058.5,2143\n", times: &[636_000_000, 1_058_500_000] },
        Case { text: "id,arrival_s\na,0\nb,0.1\nc,0.1\n", times: &[0, 100_000_000, 100_000_000] },
        Case { text: "time_us\n1.0005\n", times: &[1_000] },
        Case {
            text: "TIMESTAMP,ContextTokens\n2023-11-16 18:17:03.9799600,4808\n2023-11-16 18:17:04.0319600,3180\n",
            times: &[0, 52_000_000],
        },
        Case { text: "2023-11-16T23:59:59Z\n2023-11-17T01:00:01.000000001+01:00\n", times: &[0, 2_000_000_001] },
        Case { text: "2031-05-04 10:00:01,250\n2031-05-04 10:00:01,750\n", times: &[0, 500_000_000] },
        Case { text: "1900000000.5\n1900000001\n", times: &[0, 500_000_000] },
        Case { text: "timeStamp,elapsed\n1900000000001,7\n1900000000003,9\n", times: &[0, 2_000_000] },
        Case { text: "timestamp_s\n1900000000\n1900000001\n", times: &[0, 1_000_000_000] },
        Case {
            text: "{\"arrival_ms\": 5, \"tokens\": [1, 2]}\n\n{\"arrival_ms\": 6.5}\n",
            times: &[5_000_000, 6_500_000],
        },
        Case {
            text: "198.51.100.7 - - [04/May/2031:10:00:00 +0000] \"POST /v2/models/m/infer HTTP/1.1\" 200 312\n\
                   198.51.100.8 - - [04/May/2031:10:00:02 +0000] \"POST /v2/models/m/infer HTTP/1.1\" 200 312\n",
            times: &[0, 2_000_000_000],
        },
    ];
    for case in cases {
        assert_eq!(times(case.text), case.times, "{}", case.text);
    }
}

#[test]
fn names_every_bad_line() {
    struct Case {
        text: &'static str,
        keys: &'static [&'static str],
    }
    let cases = [
        Case { text: "rps\n1\nx\n-2\nNaN\n", keys: &["line 3", "line 4", "line 5"] },
        Case { text: "arrival_ms\n5\n4\n\n-1\nx\n9\n", keys: &["line 3", "line 5", "line 6"] },
        Case { text: "\r\nrps\r\n1\r\n\r\n \r\nx\r\ny", keys: &["line 6", "line 7"] },
        Case { text: "TIMESTAMP\n2023-11-16 18:17:03\n17\n2023-11-16 18:17:02\n", keys: &["line 3", "line 4"] },
        Case { text: "second,queries\n0,1\n2,1\n3\n", keys: &["line 3", "line 4"] },
        Case { text: "second,queries\n0,1\n0,x\n", keys: &["line 3", "line 3"] },
        Case { text: "rps\n", keys: &[""] },
        Case { text: "arrival_ms\n", keys: &[""] },
        Case { text: "", keys: &[""] },
        Case { text: "colour\n1\n", keys: &["line 1"] },
        Case { text: "queries,rps\n1,1\n", keys: &["line 1"] },
        Case { text: "timestamp,queries\n1,1\n", keys: &["line 2"] },
        Case { text: "arrival_s\n0\n1700000000\n", keys: &[""] },
    ];
    for case in cases {
        let findings = refused(case.text);
        let keys: Vec<_> = findings.0.iter().map(|finding| finding.key.as_str()).collect();
        assert_eq!(keys, case.keys, "{}: {findings}", case.text);
    }
}

/// What could mean two things, or nothing that is known, is refused with the place and what would help.
#[test]
fn nothing_is_guessed() {
    struct Case {
        text: &'static str,
        key: &'static str,
        word: &'static str,
    }
    let case = |text, key, word| Case { text, key, word };
    let cases = [
        case("0,7\n1,8\n", "line 1", "known are rates (rps"),
        case("2031-05-04 10:00:00,137,x\n", "line 1", "names nothing that is known"),
        case("requests,2031\n3,4\n", "line 1", "tells how long a line of `requests` holds"),
        case("weekday,requests\nMonday,3\n", "line 1", "tells how long"),
        case("value\n3\n", "line 1", "tells how long"),
        case("start,1,2,3\na,5,6,7\n", "line 1", "names nothing"),
        case("http_requests_total\n5\n", "line 1", "names nothing"),
        case("rps,rps_old\n1,2\n", "line 1", "tells how long"),
        case("hour,timestamp,rps\n0,2031-05-04 10:00:00,2\n", "line 1", "each of `hour`, `timestamp` could be meant"),
        case("second,rps\n0,10,5\n1,12,5\n", "line 2", "cells in this line: 3, in the first: 2"),
        case("hour,minute,requests\n0,58,1\n0,59,1\n2,0,1\n", "line 4", "`hour` 2, `minute` 0 comes 3660 s after"),
        case("minute,requests\n0,1\n2,1\n", "line 3", "the step is 60 s"),
        case(
            "ts,rps\n2031-05-04 10:00,1\n2031-05-04 10:01,1\n2031-05-04 10:03,1\n",
            "line 4",
            "120 s after the line above; the step is 60 s",
        ),
        case("ts,rps\n2031-05-04 10:01,1\n2031-05-04 10:00,1\n", "line 3", "before the line above"),
        case("ts,name,rps\n2031-05-04 10:01,a,1\n2031-05-04 10:01,b,1\n", "line 3", "one series in a file"),
        case("metric_name,timestamp,metric_value\na,1900000000,1\nb,1900000000,2\n", "line 3", "at the same time as"),
        case("ts,rps\n2031-05-04 10:01,1\n", "", "does not tell how long it holds"),
        case("ts,value\n2031-05-04 10:01,1.5\n2031-05-04 10:02,2\n", "line 2", "`rps` or `requests`"),
        case("ts,rps\n2031-05-04 10:00:00Z,1\n2031-05-04 10:00:01,1\n", "line 3", "offset from UTC"),
        case("ts,rps\n04.05.2031 10:00,1\n", "line 2", "no time that is known"),
        case("time,rps\n0,1\n", "line 2", "needs its unit in the name, like timestamp_ms"),
        case(
            "ts,rps\n1677-10-01 00:00:00,1\n2262-01-01 00:00:00,1\n1677-10-01 00:00:00,1\n",
            "line 4",
            "before the line above",
        ),
        case("{\"timestamp\": 0}\n{\"timestamp\": 3000}\n", "line 1", "JSON Lines"),
        case("{\n\"rps\": [1, 2]\n}\n", "line 1", "one JSON document"),
        case("[{\"rps\": 1}]", "line 1", "a JSON list"),
        case(
            "ts,tweets\n2031-05-04 10:00,1\n2031-05-04 10:05,1\n2031-05-04 10:10,2\n",
            "line 1",
            "no column is known to count requests",
        ),
        case("second;rps\n0;1,234\n1;2,345\n", "line 2", "between thousands"),
        case("second;rps\n0;1,5\n1;2.5\n", "line 3", "no number"),
        case("second,rps\n0,\"1,5\"\n", "line 2", "no number"),
        case("second,rps\n0,\n", "line 2", "0 where nothing came"),
        case("second,rps\n0,12 req/s\n", "line 2", "no number"),
    ];
    for Case { text, key, word } in cases {
        let findings = refused(text);
        let first = &findings.0[0];
        assert_eq!(first.key, key, "{text}: {findings}");
        assert!(findings.to_string().contains(word), "{text}: {findings}");
    }
    assert!(parse(b"rps\n1\xe9\n", "t").expect_err("Latin 1").to_string().contains("not UTF-8"));
}

/// Bytes that are changed, taken out and doubled at random: a recording or findings, never a panic.
#[test]
fn damaged_recordings_are_read_or_refused() {
    let sound = [
        "timestamp,requests,zone\n2031-05-04 10:00:00Z,120,a\n2031-05-04 10:01:00Z,60,b\n",
        "hour;minute;rps\n0;58;1,5\n0;59;2,25\n1;0;3\n",
        "sep=;\n\"Time (ms)\";\"Value\"\n1900000000000;4\n1900000001000;8\n",
        "{\"ts\": 1900000000, \"requests\": 4}\n{\"ts\": 1900000001, \"requests\": 8}\n",
        "198.51.100.7 - - [04/May/2031:10:00:00 +0000] \"POST /v2 HTTP/1.1\" 200 312\n",
        "HashOwner,HashApp,HashFunction,Trigger,1,2,3\na,b,c,http,60,0,30\n",
    ];
    let letters = b"\0\t\n\r\"+,-./09:;=TZ[]{}\x80\xef\xff";
    let mut dice = Dice::new(3, 1);
    let mut below = |most: usize| ((dice.unit() * most as f64) as usize).min(most - 1);
    let mut read = 0;
    for _ in 0..6_000 {
        let mut bytes = sound[below(sound.len())].as_bytes().to_vec();
        for _ in 0..1 + below(4) {
            let at = below(bytes.len());
            match below(3) {
                0 => bytes[at] = letters[below(letters.len())],
                1 => drop(bytes.drain(at..(at + 1 + below(8)).min(bytes.len() - 1).max(at))),
                _ => bytes.splice(at..at, bytes[at..(at + 12).min(bytes.len())].to_vec()).for_each(drop),
            }
        }
        read += usize::from(parse(&bytes, "t").is_ok());
    }
    assert!((100..5_900).contains(&read), "{read} of 6000 were read");
}

#[test]
fn says_how_many_more_lines_are_bad() {
    let findings = refused(&format!("rps\n{}", "x\n".repeat(5_000)));
    assert_eq!(findings.0.len(), 21);
    assert_eq!(findings.0[20].cause, "4980 more mistakes of this kind");
}

// The recordings that some machines have beside the checkout; nothing of them is copied here.

/// Returns a recording beside the checkout, or says that there is none.
fn shared(name: &str) -> Option<Arrivals> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/traces")).join(name);
    if !path.exists() {
        use std::io::Write;
        writeln!(std::io::stderr(), "skipped: {} is not on this machine", path.display()).expect("stderr takes text");
        return None;
    }
    Some(Arrivals::of_file(&path).expect(name))
}

#[test]
fn recorded_rates_equal_an_independent_count() {
    struct Case {
        name: &'static str,
        lines: usize,
        step_s: u64,
        /// Sum of the column, counted with Python.
        requests: f64,
        highest: f64,
    }
    let cases = [
        Case { name: "cascadeserve_twitter_1200s.csv", lines: 1_200, step_s: 1, requests: 20_150.0, highest: 80.0 },
        Case {
            name: "twitter_stream_2021_08_per_second.csv.gz",
            lines: 1_899_061,
            step_s: 1,
            requests: 120_774_326.0,
            highest: 388.0,
        },
        Case {
            name: "maf_hourly_invocations.csv",
            lines: 347,
            step_s: 3600,
            requests: 220_132_423.807,
            highest: 714_521.339 / 3600.0,
        },
    ];
    for case in cases {
        let Some(arrivals) = shared(case.name) else { continue };
        let Arrivals::Trace(trace) = &arrivals else { panic!("{}: {}", case.name, arrivals.describe()) };
        assert_eq!((trace.rates.len(), trace.step.as_secs()), (case.lines, case.step_s), "{}", case.name);
        assert_eq!(arrivals.length_s(), Some((case.lines as u64 * case.step_s) as f64));
        close(case.name, trace.rates.iter().sum::<f64>() * case.step_s as f64, case.requests, 1e-9);
        close(case.name, trace.rates.iter().copied().fold(0.0, f64::max), case.highest, 1e-12);
        assert!(arrivals.validate().0.is_empty());
    }
}

#[test]
fn recorded_times_equal_an_independent_count() {
    struct Case {
        name: &'static str,
        requests: usize,
        /// First, last and sum of the times in nanoseconds from the start, counted with Python.
        first: u64,
        last: u64,
        sum: u64,
        seconds: f64,
    }
    let ms = 1_000_000;
    let case = |name, requests, first, last, sum, seconds| Case { name, requests, first, last, sum, seconds };
    let cases = [
        case("azure_llm_2023_code.csv.gz", 8_819, 0, 3_435_948_056_000, 13_327_267_954_592_000, 3_436.0),
        case("azure_llm_2023_conv.csv.gz", 19_366, 0, 3_501_721_937_000, 33_473_340_385_407_000, 3_502.0),
        case("diffserve_maf_1to8qps.csv.gz", 1_633, 636 * ms, 346_175 * ms, 325_162_838 * ms, 347.0),
        case("diffserve_maf_3to40qps.csv.gz", 8_032, 32 * ms, 347_209 * ms, 1_592_433_961 * ms, 348.0),
        case("diffserve_maf_4to32qps.csv.gz", 6_680, 368 * ms, 346_737 * ms, 1_309_271_579 * ms, 347.0),
    ];
    for case in cases {
        let Some(arrivals) = shared(case.name) else { continue };
        let times: Vec<u64> = arrivals.source(1).collect();
        assert_eq!(
            (times.len(), times[0], times[times.len() - 1]),
            (case.requests, case.first, case.last),
            "{}",
            case.name
        );
        assert_eq!(times.iter().sum::<u64>(), case.sum, "{}", case.name);
        assert_eq!(arrivals.length_s(), Some(case.seconds), "{}", case.name);
        assert!(arrivals.validate().0.is_empty());
    }
}

#[test]
fn the_days_load_is_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/traces/day.csv");
    let day = Arrivals::of_file(path.as_ref()).expect("it is in the repository");
    assert_eq!(day.length_s(), Some(600.0));
}
