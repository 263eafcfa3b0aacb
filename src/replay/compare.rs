//! Claim, simulation and replay side by side.

use serde::Serialize;

use crate::plan::{Gear, Plan};
use crate::simulate::{PoolReport, Report, ResponseTimes, Summary};
use crate::units::Millis;

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
    /// What the replay saw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<f64>,
}

/// Returns every measure of two trials of one plan, with what the plan claims of it.
///
/// A throughput is claimed of every load up to a gear's highest rate: the claim is the rate that arrived, if not above.
#[must_use]
pub fn compare(plan: &Plan, simulated: &Report, measured: &Report) -> Vec<Row> {
    let seen = |index: &usize| [simulated, measured].iter().any(|report| report.gears[*index].summary.arrived > 0);
    let gears: Vec<usize> = (0..plan.gears.len()).filter(seen).collect();
    let only = if let [only] = gears[..] { Some(&plan.gears[only]) } else { None };
    let mut rows = of_requests("all", plan, only, [&simulated.whole, &measured.whole]);
    rows.insert(3, throughput(plan, simulated, measured));
    for &index in &gears {
        let (gear, name) = (&plan.gears[index], format!("gear {index}"));
        let summaries = [&simulated.gears[index].summary, &measured.gears[index].summary];
        if only.is_none() {
            rows.extend(of_requests(&name, plan, Some(gear), summaries));
        }
        rows.extend(reach(&name, gear, summaries));
    }
    rows.extend(utilisation(only, simulated, measured));
    rows
}

fn throughput(plan: &Plan, simulated: &Report, measured: &Report) -> Row {
    let seconds = measured.duration_ms.get() / 1e3;
    let offered = measured.whole.arrived as f64 / seconds;
    let rate = |report: &Report| Some(report.whole.throughput_rps.get());
    let claim = Some(offered.min(plan.max_rps()));
    row("all", "throughput_rps", claim, [rate(simulated), rate(measured)])
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

fn of_requests(of: &str, plan: &Plan, gear: Option<&Gear>, summaries: [&Summary; 2]) -> Vec<Row> {
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
fn reach(of: &str, gear: &Gear, summaries: [&Summary; 2]) -> Vec<Row> {
    let part = |stage: usize| summaries.map(|s| s.reach.get(stage).map(|share| share.get()));
    let stages = gear.stages.iter().enumerate();
    stages.map(|(index, stage)| row(of, &format!("reach of {}", stage.name), None, part(index))).collect()
}

fn utilisation(gear: Option<&Gear>, simulated: &Report, measured: &Report) -> Vec<Row> {
    let pools = simulated.pools.iter().zip(&measured.pools);
    let of_pool = |(simulated, measured): (&PoolReport, &PoolReport)| {
        let claim = gear.and_then(|gear| gear.claims.utilisation.get(&measured.name)).map(|share| share.get());
        let busy = [simulated, measured].map(|pool| Some(pool.utilisation.get()));
        row(&measured.name, "utilisation", claim, busy)
    };
    pools.map(of_pool).collect()
}

fn row(of: &str, measure: &str, claim: Option<f64>, [simulated, measured]: [Option<f64>; 2]) -> Row {
    Row { of: of.to_owned(), measure: measure.to_owned(), claim, simulated, measured }
}
