//! When requests arrive: at a constant rate, as a Poisson process, or along a trace of rates.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

use super::dice::Dice;
use crate::error::Error;
use crate::finding::{Code, Finding, Findings};
use crate::format::read;

/// Nanoseconds in a second.
const NS: f64 = 1e9;

/// The law of arrivals.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrivals {
    /// Evenly spaced.
    Constant {
        /// Requests per second.
        rate_rps: f64,
    },
    /// Independent of each other.
    Poisson {
        /// Requests per second.
        rate_rps: f64,
    },
    /// A Poisson process whose rate changes every second.
    Trace(Trace),
}

/// Requests per second, for each second from the start. Inside a second, arrivals are Poisson.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// The name that reports carry.
    pub name: String,
    /// Requests per second, one number a second.
    pub rates: Vec<f64>,
    /// Every rate is multiplied by this.
    pub scale: f64,
}

impl Arrivals {
    /// Returns the arrivals in words, as the report carries them.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Constant { rate_rps } => format!("constant {rate_rps} rps"),
            Self::Poisson { rate_rps } => format!("poisson {rate_rps} rps"),
            Self::Trace(trace) if trace.scale == 1.0 => trace.name.clone(),
            Self::Trace(trace) => format!("{} × {}", trace.name, trace.scale),
        }
    }

    /// Returns the rate that is expected over the first `seconds`.
    #[must_use]
    pub fn initial_rate(&self, seconds: f64) -> f64 {
        match self {
            Self::Constant { rate_rps } | Self::Poisson { rate_rps } => *rate_rps,
            Self::Trace(trace) => {
                let first = &trace.rates[..trace.rates.len().min((seconds.ceil() as usize).max(1))];
                first.iter().sum::<f64>() / first.len().max(1) as f64 * trace.scale
            }
        }
    }

    /// Returns the requests that are expected in the first `seconds`.
    #[must_use]
    pub fn expected(&self, seconds: f64) -> f64 {
        match self {
            Self::Constant { rate_rps } | Self::Poisson { rate_rps } => rate_rps * seconds,
            Self::Trace(trace) => trace.rates.iter().take(seconds.ceil() as usize).sum::<f64>() * trace.scale,
        }
    }

    /// Returns the highest expected rate between two times in seconds.
    #[must_use]
    pub fn highest_rate(&self, from: f64, to: f64) -> f64 {
        match self {
            Self::Constant { rate_rps } | Self::Poisson { rate_rps } => *rate_rps,
            Self::Trace(trace) => {
                let seconds = trace.rates.iter().take(to.ceil() as usize).skip(from as usize);
                seconds.copied().fold(0.0, f64::max) * trace.scale
            }
        }
    }

    /// Returns the source of arrival times.
    #[must_use]
    pub fn source(&self, seed: u64) -> Source<'_> {
        Source { law: self, dice: Dice::new(seed, 1), at: 0.0 }
    }
}

/// A source of arrival times, in nanoseconds from the start; it never allocates.
#[derive(Debug)]
pub struct Source<'a> {
    law: &'a Arrivals,
    dice: Dice,
    /// Time of the last arrival in nanoseconds; for constant arrivals their number.
    at: f64,
}

impl Iterator for Source<'_> {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        match self.law {
            Arrivals::Constant { rate_rps } | Arrivals::Poisson { rate_rps } if *rate_rps <= 0.0 => None,
            Arrivals::Constant { rate_rps } => {
                self.at += 1.0;
                Some((self.at / rate_rps * NS) as u64)
            }
            Arrivals::Poisson { rate_rps } => {
                self.at += self.dice.exponential() * (NS / rate_rps);
                Some(self.at as u64)
            }
            Arrivals::Trace(trace) => self.next_of(trace),
        }
    }
}

impl<'a> Source<'a> {
    /// Returns the law that it draws from.
    pub const fn law(&self) -> &'a Arrivals {
        self.law
    }

    /// Spends one unit exponential of expected arrivals along the trace (time change of a Poisson process).
    fn next_of(&mut self, trace: &Trace) -> Option<u64> {
        let mut expected = self.dice.exponential();
        let mut second = (self.at / NS) as usize;
        loop {
            let rate = trace.rates.get(second)? * trace.scale;
            let end = (second + 1) as f64 * NS;
            let in_second = (end - self.at) / NS * rate;
            if expected < in_second {
                self.at += expected / rate * NS;
                return Some(self.at as u64);
            }
            expected -= in_second;
            self.at = end;
            second += 1;
        }
    }
}

impl Trace {
    /// Reads a trace: one rate a line, or CSV whose last column is the rate; gzipped where the name ends in `.gz`.
    ///
    /// # Errors
    /// Findings for an unreadable or empty file and for every line that holds no rate.
    pub fn load(path: &Path, scale: f64) -> Result<Self, Error> {
        let mut bytes = read(path)?;
        if path.extension().is_some_and(|extension| extension == "gz") {
            let mut plain = Vec::new();
            GzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).map_err(|error| {
                let finding = Finding::error(Code::Syntax, "", error.to_string(), "the name says gzip");
                Findings::from(finding).in_file(path)
            })?;
            bytes = plain;
        }
        let rates = parse(&String::from_utf8_lossy(&bytes)).map_err(|findings| findings.in_file(path))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { name, rates, scale })
    }

    /// Returns the length of the trace.
    #[must_use]
    pub const fn seconds(&self) -> usize {
        self.rates.len()
    }
}

/// Reads the last column of every line; a first line that is no number is the header.
fn parse(text: &str) -> Result<Vec<f64>, Findings> {
    let mut findings = Findings::default();
    let mut rates = Vec::new();
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    for (position, (index, line)) in lines.enumerate() {
        let cell = line.rsplit(',').next().unwrap_or_default().trim().trim_matches('"');
        let is_header = position == 0 && cell.parse::<f64>().is_err();
        if is_header {
            continue;
        }
        match cell.parse::<f64>() {
            Ok(rate) if rate.is_finite() && rate >= 0.0 => rates.push(rate),
            Ok(rate) => findings.push(bad_line(Code::OutOfRange, index, format!("{rate} is no rate"))),
            Err(_) => findings.push(bad_line(Code::Syntax, index, format!("`{cell}` is no number"))),
        }
    }
    if rates.is_empty() && findings.0.is_empty() {
        findings.push(Finding::error(Code::Empty, "", "the trace has no line with a rate", "one rate a line"));
    }
    findings.or(rates)
}

fn bad_line(code: Code, index: usize, cause: String) -> Finding {
    Finding::error(code, format!("line {}", index + 1), cause, "a finite number of requests per second, at least 0")
}

#[cfg(test)]
mod tests {
    use super::{Arrivals, Trace, parse};

    #[test]
    fn reads_plain_numbers_and_csv() {
        struct Case {
            text: &'static str,
            rates: &'static [f64],
        }
        let cases = [
            Case { text: "1\n2.5\n\n0\n", rates: &[1.0, 2.5, 0.0] },
            Case { text: "queries\n7\n8\n", rates: &[7.0, 8.0] },
            Case { text: "second,queries\n0,7\n1,8\n", rates: &[7.0, 8.0] },
        ];
        for case in cases {
            assert_eq!(parse(case.text).expect(case.text), case.rates, "{}", case.text);
        }
    }

    #[test]
    fn names_every_bad_line() {
        let findings = parse("rps\n1\nx\n-2\nNaN\n").expect_err("three lines are bad");
        let keys: Vec<_> = findings.0.iter().map(|finding| finding.key.as_str()).collect();
        assert_eq!(keys, ["line 3", "line 4", "line 5"]);
        assert!(parse("rps\n").is_err());
    }

    #[test]
    fn a_trace_keeps_its_rates() {
        let trace = Trace { name: "t".into(), rates: vec![1000.0, 0.0, 3000.0], scale: 2.0 };
        let arrivals = Arrivals::Trace(trace);
        let mut seen = [0_u32; 3];
        for at in arrivals.source(7) {
            seen[(at / 1_000_000_000) as usize] += 1;
        }
        assert!((1850..2150).contains(&seen[0]) && seen[1] == 0 && (5750..6250).contains(&seen[2]), "{seen:?}");
    }

    #[test]
    fn constant_arrivals_are_evenly_spaced() {
        let arrivals = Arrivals::Constant { rate_rps: 4.0 };
        let times: Vec<_> = arrivals.source(1).take(3).collect();
        assert_eq!(times, [250_000_000, 500_000_000, 750_000_000]);
    }
}
