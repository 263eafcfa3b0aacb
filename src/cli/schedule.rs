//! `planner solve --schedule`: which gear in which period of a known day.

use std::path::Path;

use crate::base::codec::to_bytes;
use crate::facts::Facts;
use crate::planners;
use crate::problem::Problem;
use crate::rooms::{DayTotal, Schedule};
use crate::workload::Arrivals;
use crate::workload::RecordedLoad;
use crate::{Code, Error, Finding, Findings};

use super::{Answer, Output, print, table};

/// What the flags say of the day.
#[derive(Debug, Clone, Copy)]
pub struct Day<'a> {
    /// The trace.
    pub trace: &'a Path,
    /// What its rates are multiplied by.
    pub scale: f64,
    /// Length of a period, in seconds.
    pub period_s: f64,
}

/// Works out the schedule of a day and writes it; exit 1 where some period cannot be carried.
pub fn write(problem: &Problem, facts: &Facts, day: Day<'_>, output: &Output) -> Result<Answer, Error> {
    let arrivals = Arrivals::of_file(day.trace)?.scaled(day.scale, 1.0);
    let load = RecordedLoad::of_arrivals(&arrivals).filter(|load| load.peak_rps() > 0.0).ok_or_else(|| {
        let finding = Finding::error(Code::Empty, "", "nobody asks for anything", "a trace with a rate above 0");
        Error::from(Findings::from(finding).in_file(day.trace))
    })?;
    let Some(schedule) = Schedule::of(planners::room_of(problem)?, problem, facts, &load, day.period_s)? else {
        let peak = load.peak_rps();
        print(
            format!("infeasible: no gear carries the highest rate of every period, up to {peak:.1} requests/s\n")
                .as_bytes(),
        )?;
        return Ok(Answer::No);
    };
    if !output.is_stdout() {
        output.write(&to_bytes(&schedule))?;
        print(shown(&schedule).as_bytes())?;
    } else {
        print(&to_bytes(&schedule))?;
    }
    Ok(Answer::Yes)
}

fn shown(schedule: &Schedule) -> String {
    let mut rows = table(&["from", "periods", "highest rps", "gear", "lanes", "accuracy", "cores"]);
    let mut index = 0;
    while index < schedule.periods.len() {
        let first = schedule.periods[index];
        let run = schedule.periods[index..].iter().take_while(|period| period.gear == first.gear).count();
        let highest =
            schedule.periods[index..index + run].iter().map(|period| period.highest_rps.get()).fold(0.0, f64::max);
        let gear = &schedule.gears[first.gear];
        let lanes =
            gear.stages.iter().flat_map(|stage| &stage.lanes).map(|lane| format!("{} on {}", lane.variant, lane.pool));
        rows.add_row([
            format!("{:.0} s", first.from_ms.get() / 1e3),
            run.to_string(),
            format!("{highest:.1}"),
            first.gear.to_string(),
            lanes.collect::<Vec<_>>().join("\n"),
            gear.claims.accuracy.map_or_else(|| "–".to_owned(), |claim| format!("{:.4}", claim.value.get())),
            gear.claims.cores.map_or_else(|| "–".to_owned(), |cores| cores.to_string()),
        ]);
        index += run;
    }
    let mut totals = table(&["", "value", "accuracy", "core-hours", "of changes", "changes"]);
    let named =
        [("schedule", Some(schedule.total)), ("greedy", Some(schedule.greedy)), ("one gear", schedule.one_gear)];
    for (name, total) in named.into_iter().filter_map(|(name, total)| Some((name, total?))) {
        let DayTotal { value, accuracy, core_hours, change_core_hours, changes } = total;
        totals.add_row([
            name.to_owned(),
            format!("{value:.6}"),
            format!("{:.4}", accuracy.get()),
            format!("{core_hours:.4}"),
            format!("{change_core_hours:.6}"),
            changes.to_string(),
        ]);
    }
    let by_load = if schedule.follows_load() {
        "a higher rate never has a gear that carries less: gears by load can follow this schedule"
    } else {
        "gears by load cannot follow this schedule: like rates have other gears at other times"
    };
    format!("{rows}\n\n{totals}\n{by_load}\n")
}
