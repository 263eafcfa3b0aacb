//! Tests from the outside, one module a theme.

#[path = "integration/adaptive/mod.rs"]
mod adaptive;
#[path = "integration/apart.rs"]
mod apart;
#[path = "integration/arrivals.rs"]
mod arrivals;
#[path = "integration/baselines.rs"]
mod baselines;
#[path = "integration/browser.rs"]
mod browser;
// Two of the messages come from the engine.
#[cfg(feature = "rten")]
#[path = "integration/broken.rs"]
mod broken;
#[path = "integration/carried.rs"]
mod carried;
#[path = "integration/cascade_records.rs"]
mod cascade_records;
#[path = "integration/changes.rs"]
mod changes;
#[path = "integration/choice.rs"]
mod choice;
#[path = "integration/claims.rs"]
mod claims;
#[path = "integration/cli.rs"]
mod cli;
#[path = "integration/compare.rs"]
mod compare;
#[path = "integration/coverage.rs"]
mod coverage;
#[path = "integration/drawn.rs"]
mod drawn;
#[path = "integration/engines/mod.rs"]
mod engines;
#[path = "integration/errors_page.rs"]
mod errors_page;
#[path = "integration/export.rs"]
mod export;
#[path = "integration/frontier.rs"]
mod frontier;
#[path = "integration/gears.rs"]
mod gears;
#[path = "integration/goals.rs"]
mod goals;
#[path = "integration/import.rs"]
mod import;
#[path = "integration/init.rs"]
mod init;
#[path = "integration/layers.rs"]
mod layers;
#[path = "integration/load.rs"]
mod load;
#[path = "integration/machines.rs"]
mod machines;
#[path = "integration/machines_compared.rs"]
mod machines_compared;
#[path = "integration/measure_less.rs"]
mod measure_less;
#[path = "integration/mutations.rs"]
mod mutations;
#[path = "integration/ocr.rs"]
mod ocr;
#[path = "integration/pipeline.rs"]
mod pipeline;
#[path = "integration/pipeline_machines.rs"]
mod pipeline_machines;
#[path = "integration/pipeline_published.rs"]
mod pipeline_published;
#[path = "integration/plans.rs"]
mod plans;
#[path = "integration/plot.rs"]
mod plot;
#[path = "integration/profile.rs"]
mod profile;
#[path = "integration/recorded.rs"]
mod recorded;
#[path = "integration/replay.rs"]
mod replay;
#[path = "integration/report.rs"]
mod report;
#[path = "integration/review.rs"]
mod review;
#[path = "integration/risk.rs"]
mod risk;
#[path = "integration/samples.rs"]
mod samples;
#[path = "integration/schedule.rs"]
mod schedule;
#[path = "integration/schemas.rs"]
mod schemas;
#[path = "integration/theory.rs"]
mod theory;
#[path = "integration/thresholds.rs"]
mod thresholds;
#[path = "integration/units.rs"]
mod units;
#[path = "integration/variant_set.rs"]
mod variant_set;
#[path = "integration/windows.rs"]
mod windows;

/// Returns so many drawn problems, or as many times more as `PLANNER_DRAWS` says: thousands are for `scripts/test --all`.
fn draws(count: u64) -> u64 {
    let times = std::env::var("PLANNER_DRAWS").ok();
    count * times.map_or(1, |times| times.parse::<u64>().expect("PLANNER_DRAWS is a number"))
}
