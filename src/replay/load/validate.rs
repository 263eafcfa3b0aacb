//! The rules that hold between the fields of a load test, each a small function.

use super::{LoadRun, LoadTest, Scenario};
use crate::base::finding::{Code, Finding, Findings, Severity};
use crate::base::units::Share;
use crate::profile::validate::{histogram_counts, quantiles_increase};

/// Part of the time that others may keep threads of this machine waiting.
const MOST_PRESSURE: f64 = 0.1;
/// Part of the requests that may find all connections to a server busy.
const MOST_QUEUED: f64 = 0.01;

impl LoadTest {
    /// Returns everything that is wrong or doubtful in the load test.
    #[must_use]
    pub fn validate(&self) -> Findings {
        let mut findings = Findings::default();
        if self.runs.is_empty() {
            findings.push(Finding::error(Code::Empty, "runs", "nothing was played", "play it again"));
        }
        for (index, run) in self.runs.iter().enumerate() {
            let key = format!("runs[{index}]");
            rates_are_those_of_a_server(self.scenario, run, &key, &mut findings);
            requests_add_up(run, &key, &mut findings);
            if let Some(latency) = &run.latency {
                quantiles_increase(latency, &key, &mut findings);
            }
            if let Some(histogram) = &run.histogram {
                histogram_counts(histogram, run.answered, &key, &mut findings);
            }
        }
        self.generator_was_on_time(&mut findings);
        self.connections_were_enough(&mut findings);
        self.host_was_quiet(&mut findings);
        findings
    }

    fn generator_was_on_time(&self, findings: &mut Findings) {
        let late = self.runs.iter().filter(|run| run.lag.too_much).count();
        if late > 0 {
            let worst = self.runs.iter().map(|run| run.lag.p99_ms.get()).fold(0.0, f64::max);
            let cause = format!(
                "in {late} of {} runs the generator sent late by more than a twentieth of the p99, up to {worst:.3} ms \
                 (p99): it is part of what was measured",
                self.runs.len()
            );
            let action = "leave the generator cores that nothing else uses, or lower the rate";
            findings.push(warning(Code::Lagged, cause, action.to_owned()));
        }
    }

    /// Requests that wait for one of our connections are late rightly, but not through the server.
    fn connections_were_enough(&self, findings: &mut Findings) {
        let waited = |run: &&LoadRun| run.queued.get() > MOST_QUEUED && run.judged.is_none_or(|judged| judged.met);
        let limited = self.runs.iter().filter(waited).count();
        if !self.service.pinned && self.scenario == Scenario::Server && limited > 0 {
            let sessions = self.service.sessions;
            let cause = format!(
                "in {limited} of {} runs more than 1 % of the requests waited for one of {sessions} connections",
                self.runs.len()
            );
            findings.push(warning(Code::Lagged, cause, "raise --in-flight".to_owned()));
        }
    }

    fn host_was_quiet(&self, findings: &mut Findings) {
        let pressure = |run: &LoadRun| run.conditions.cpu_pressure.map_or(0.0, Share::get);
        let disturbed = self.runs.iter().filter(|run| pressure(run) > MOST_PRESSURE).count();
        if disturbed > 0 {
            let worst = 100.0 * self.runs.iter().map(pressure).fold(0.0, f64::max);
            let cause = format!(
                "in {disturbed} of {} runs threads of this machine waited for a processor, up to {worst:.0} % of the time",
                self.runs.len()
            );
            findings.push(warning(Code::Contended, cause, "measure again on a quiet machine".to_owned()));
        }
    }
}

fn warning(code: Code, cause: String, action: String) -> Finding {
    Finding::error(code, "runs", cause, action).with_severity(Severity::Warning)
}

fn rates_are_those_of_a_server(scenario: Scenario, run: &LoadRun, key: &str, findings: &mut Findings) {
    if (scenario == Scenario::Server) != run.offered_rps.is_some() {
        let cause = format!("a run of {} has {}", scenario.mlperf(), run.offered_rps.map_or("no rate", |_| "a rate"));
        let key = format!("{key}.offered_rps");
        findings.push(Finding::error(Code::Inconsistent, key, cause, "runs of Server, and no others, have one"));
    }
}

fn requests_add_up(run: &LoadRun, key: &str, findings: &mut Findings) {
    let sum = run.answered.saturating_add(run.failed).saturating_add(run.unsent);
    if sum != run.requests || (run.answered == 0) != run.latency.is_none() {
        let cause = format!(
            "{} requests are not {} answered, {} failed and {} unsent, or the latency of the answered is missing",
            run.requests, run.answered, run.failed, run.unsent
        );
        findings.push(Finding::error(Code::Inconsistent, format!("{key}.requests"), cause, "play it again"));
    }
}
