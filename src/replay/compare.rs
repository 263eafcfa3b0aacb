//! Claim, simulation and replay side by side.

use serde::Serialize;

use crate::base::units::Millis;
use crate::plan::{Gear, Plan};
use crate::simulate::{PoolReport, Report, ResponseTimes, Summary};

/// One measure of a trial. Fractions are 0 to 1; the unit of a time or rate stands in the name of the measure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What it is about: `all`, a gear or a pool.
    pub of: String,
    /// What was measured, like `p95_ms` or `reach of second`.
    pub measure: String,
    /// What the plan claims, which it does at the gear's highest rate; absent where it claims nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<f64>,
    /// What the simulation saw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simulated: Option<f64>,
    /// What a simulation saw whose calls took as long as those of the replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_served: Option<f64>,
    /// What the replay saw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<f64>,
}

/// Three reports of one plan: simulated on the profile, simulated on the calls of the replay, measured.
pub type Reports<'a> = [&'a Report; 3];

/// Returns every measure of the trials of one plan, with what the plan claims of it.
///
/// A throughput is claimed of every load up to a gear's highest rate: the claim is the rate that arrived, if not above.
#[must_use]
pub fn compare(plan: &Plan, reports: Reports<'_>) -> Vec<Row> {
    let seen = |index: &usize| reports.iter().any(|report| report.gears[*index].summary.arrived > 0);
    let gears: Vec<usize> = (0..plan.gears.len()).filter(seen).collect();
    let only = if let [only] = gears[..] { Some(&plan.gears[only]) } else { None };
    let mut rows = of_requests("all", plan, only, reports.map(|report| &report.whole));
    rows.insert(3, throughput(plan, reports));
    for &index in &gears {
        let (gear, name) = (&plan.gears[index], format!("gear {index}"));
        let summaries = reports.map(|report| &report.gears[index].summary);
        if only.is_none() {
            rows.extend(of_requests(&name, plan, Some(gear), summaries));
        }
        rows.extend(reach(&name, gear, summaries));
    }
    rows.extend(utilisation(only, reports));
    rows
}

fn throughput(plan: &Plan, reports: Reports<'_>) -> Row {
    let measured = reports[2];
    let seconds = measured.duration_ms.get() / 1e3;
    let offered = measured.whole.arrived as f64 / seconds;
    let rate = |report: &Report| Some(report.whole.throughput_rps.get());
    let claim = Some(offered.min(plan.max_rps()));
    row("all", "throughput_rps", claim, reports.map(rate))
}

/// A response time that is compared.
struct Quantile {
    name: &'static str,
    at: f64,
    of: fn(&ResponseTimes) -> Millis,
}

const QUANTILES: [Quantile; 3] = [
    Quantile { name: "p50_ms", at: 0.5, of: |times| times.p50_ms },
    Quantile { name: "p95_ms", at: 0.95, of: |times| times.p95_ms },
    Quantile { name: "p99_ms", at: 0.99, of: |times| times.p99_ms },
];

fn of_requests(of: &str, plan: &Plan, gear: Option<&Gear>, summaries: [&Summary; 3]) -> Vec<Row> {
    let claimed = gear.and_then(|gear| gear.claims.latency).map(|claim| claim.value_ms.get());
    let asked = |quantile: &Quantile| (plan.slo.quantile.get() - quantile.at).abs() < 1e-9;
    let times =
        |pick: fn(&ResponseTimes) -> Millis| summaries.map(|s| s.latency.as_ref().map(|times| pick(times).get()));
    let of_quantile = |q: &Quantile| row(of, q.name, claimed.filter(|_| asked(q)), times(q.of));
    let mut rows: Vec<Row> = QUANTILES.iter().map(of_quantile).collect();
    if !QUANTILES.iter().any(asked) {
        let name = format!("p{}_ms", plan.slo.quantile.get() * 100.0);
        rows.push(row(of, &name, claimed, times(|times| times.at_slo_quantile_ms)));
    }
    let accuracy = gear.and_then(|gear| gear.claims.accuracy).map(|claim| claim.value.get());
    rows.push(row(of, "accuracy", accuracy, summaries.map(|s| s.accuracy.map(f64::from))));
    rows
}

/// Nothing is claimed of the reach by itself.
fn reach(of: &str, gear: &Gear, summaries: [&Summary; 3]) -> Vec<Row> {
    let part = |stage: usize| summaries.map(|s| s.reach.get(stage).map(|share| share.get()));
    let stages = gear.stages.iter().enumerate();
    stages.map(|(index, stage)| row(of, &format!("reach of {}", stage.name), None, part(index))).collect()
}

fn utilisation(gear: Option<&Gear>, reports: Reports<'_>) -> Vec<Row> {
    let of_pool = |(index, pool): (usize, &PoolReport)| {
        let claim = gear.and_then(|gear| gear.claims.utilisation.get(&pool.name)).map(|share| share.get());
        row(&pool.name, "utilisation", claim, reports.map(|report| Some(report.pools[index].utilisation.get())))
    };
    reports[2].pools.iter().enumerate().map(of_pool).collect()
}

fn row(of: &str, measure: &str, claim: Option<f64>, [simulated, as_served, measured]: [Option<f64>; 3]) -> Row {
    Row { of: of.to_owned(), measure: measure.to_owned(), claim, simulated, as_served, measured }
}
