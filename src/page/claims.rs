//! What the plan claims beside what a simulation and a replay measured.

use super::formatting::{UNKNOWN, percent, quantile, rounded, rps};
use super::{Block, Given, Head, Seen, Table, Trials, text};
use crate::plan::Gear;
use crate::problem::RoomName;
use crate::simulate::Interval;

/// Something that is claimed and seen.
struct Measure {
    name: String,
    write: fn(f64) -> String,
    claimed: fn(&Gear) -> Option<f64>,
    seen: fn(&Seen) -> Option<f64>,
    /// Its interval, where a simulation has one.
    interval: fn(&Seen) -> Option<Interval>,
}

/// Tells whether stages do different tasks, so that the answer of the last one is not the answer of the whole.
pub(crate) fn is_pipeline(given: &Given<'_>) -> bool {
    given.plan.provenance.room == RoomName::Pipeline
}

pub(crate) fn blocks(given: &Given<'_>) -> Vec<Block> {
    let mut blocks = vec![text(
        "The planner computes the claims, the simulation draws from measured service times, and the replay runs real models in \
         real time. Each claim is for a gear's highest rate.",
    )];
    match given.simulated {
        Ok(trials) => blocks.push(text(format!("Simulated: {}", trials.how))),
        Err(why) => blocks.push(text(format!("Not simulated: {why}."))),
    }
    match given.replayed {
        Some(trials) => blocks.push(text(format!("Replayed: {}", trials.how))),
        None => blocks.push(text("Not replayed: pass the report of a replay with --replayed.")),
    }
    if is_pipeline(given) && given.simulated.is_ok() {
        blocks.push(text(
            "Trials do not measure the accuracy of a pipeline: its stages do different tasks, and the answer of the last stage is \
             not the answer of the whole.",
        ));
    }
    blocks.push(Block::Table(table(given)));
    blocks.extend(pools(given).map(Block::Table));
    blocks
}

fn measures(given: &Given<'_>) -> Vec<Measure> {
    let mut measures = vec![
        Measure {
            name: format!("{}, ms", quantile(&given.plan.slo)),
            write: rounded,
            claimed: |gear| Some(gear.claims.latency?.value_ms.get()),
            seen: |seen| seen.latency_ms,
            interval: |seen| seen.latency_interval,
        },
        Measure {
            name: "late".to_owned(),
            write: percent,
            claimed: |_| None,
            seen: |seen| Some(seen.late),
            interval: |seen| seen.late_interval,
        },
        Measure {
            name: "accuracy".to_owned(),
            write: percent,
            claimed: |gear| Some(gear.claims.accuracy?.value.get()),
            seen: |seen| seen.accuracy,
            interval: |_| None,
        },
        Measure {
            name: "USD/h".to_owned(),
            write: rounded,
            claimed: |gear| gear.claims.cost_usd_per_hour.map(f64::from),
            seen: |seen| seen.cost_usd_per_hour,
            interval: |_| None,
        },
    ];
    if is_pipeline(given) {
        measures[2].seen = |_| None;
    }
    measures
}

/// A column of one measure from one source.
struct Column {
    head: Head,
    cells: Vec<Option<String>>,
}

fn columns(given: &Given<'_>, measure: &Measure) -> Vec<Column> {
    let column = |name: &str, cells: Vec<Option<f64>>| Column {
        head: Head { group: measure.name.clone(), ..Head::number(name) },
        cells: cells.into_iter().map(|value| Some((measure.write)(value?))).collect(),
    };
    let gears = &given.plan.gears;
    let seen = |trials: &Trials| -> Vec<Option<f64>> {
        (0..gears.len()).map(|index| (measure.seen)(trials.gear(index)?)).collect()
    };
    let mut columns = vec![column("claimed", gears.iter().map(measure.claimed).collect())];
    columns.extend(given.simulated.ok().map(|trials| column("simulated", seen(trials))));
    columns.extend(given.simulated.ok().map(|trials| {
        let interval = |index: usize| (measure.interval)(trials.gear(index)?);
        let said = |Interval { low, high }: Interval| format!("{} to {}", (measure.write)(low), (measure.write)(high));
        Column {
            head: Head { group: measure.name.clone(), ..Head::number("95\u{a0}% interval") },
            cells: (0..gears.len()).map(|index| interval(index).map(said)).collect(),
        }
    }));
    columns.extend(given.replayed.map(|trials| column("replayed", seen(trials))));
    columns.retain(|column| column.cells.iter().any(Option::is_some));
    columns
}

fn table(given: &Given<'_>) -> Table {
    let measures = measures(given);
    let columns: Vec<Column> = measures.iter().flat_map(|measure| columns(given, measure)).collect();
    let cell = |cell: &Option<String>| cell.clone().unwrap_or_else(|| UNKNOWN.to_owned());
    let row = |(index, gear): (usize, &Gear)| {
        let first = [index.to_string(), rounded(gear.up_to_rps.get())];
        first.into_iter().chain(columns.iter().map(|column| cell(&column.cells[index]))).collect()
    };
    let heads = [Head::number("gear"), Head::number("up to requests/s")];
    Table {
        caption: "Claims and trials of each gear".to_owned(),
        rows: given.plan.gears.iter().enumerate().map(row).collect(),
        heads: heads.into_iter().chain(columns.iter().map(|column| column.head.clone())).collect(),
    }
}

/// Returns how busy each pool is in each gear that uses it; nothing where no source says.
fn pools(given: &Given<'_>) -> Option<Table> {
    let plan = given.plan;
    let sources = [("simulated", given.simulated.ok()), ("replayed", given.replayed)];
    let sources: Vec<(&str, &Trials)> =
        sources.into_iter().filter_map(|(name, trials)| Some((name, trials?))).collect();
    let mut rows = Vec::new();
    for (index, gear) in plan.gears.iter().enumerate() {
        for pool in plan.placement.iter().filter(|pool| gear.replicas_of(pool) > 0) {
            let claimed = gear.claims.utilisation.get(&pool.name).map(|share| share.get());
            let seen = |trials: &Trials| trials.gear(index)?.utilisation.get(&pool.name).copied();
            let values: Vec<Option<f64>> =
                std::iter::once(claimed).chain(sources.iter().map(|(_, trials)| seen(trials))).collect();
            if values.iter().any(Option::is_some) {
                let cells = values.into_iter().map(|value| value.map_or_else(|| UNKNOWN.to_owned(), percent));
                let first = [index.to_string(), pool.name.clone()];
                rows.push(first.into_iter().chain(cells).collect());
            }
        }
    }
    let heads = [Head::number("gear"), Head::words("pool"), Head::number("claimed")];
    let others = sources.iter().map(|(name, _)| Head::number(*name));
    (!rows.is_empty()).then(|| Table {
        caption: format!("Pool utilization at each gear's highest rate, up to {}", rps(plan.max_rps())),
        heads: heads.into_iter().chain(others).collect(),
        rows,
    })
}
