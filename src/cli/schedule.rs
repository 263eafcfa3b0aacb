//! `planner solve --schedule`: a plan for a known day.

use std::path::Path;

use crate::Error;
use crate::base::codec::{Loaded, to_bytes};
use crate::base::rounding::equal;
use crate::base::units::Factor;
use crate::facts::{Ask, Facts};
use crate::plan::{Day, DayCut, DayTotal, Plan};
use crate::planners;
use crate::problem::Problem;
use crate::rooms;
use crate::simulate::{Effort, hold_claims};
use crate::workload::RecordedLoad;

use super::{Answer, Output, print_text, say_findings, table};

/// What the flags say of the day.
#[derive(Debug, Clone, Copy)]
pub struct Recorded<'a> {
    /// The trace.
    pub trace: &'a Path,
    /// What its rates are multiplied by.
    pub scale: f64,
    /// Length of a period, in seconds.
    pub period_s: f64,
    /// Trials that latency claims are held against; none where there is no effort.
    pub trial: Option<Effort>,
}

/// Works out the plan of a day and writes it; exit 1 where some period cannot be carried.
pub fn write(problem: &Loaded<Problem>, facts: &Facts, day: Recorded<'_>, output: &Output) -> Result<Answer, Error> {
    let load = RecordedLoad::read(day.trace, day.scale, f64::INFINITY)?;
    let Some(mut plan) = planners::schedule(&problem.document, facts, &load.document, day.period_s)? else {
        let peak = load.document.peak_rps();
        print_text(&format!(
            "infeasible: no gear carries the highest rate of every period, up to {peak:.1} requests/s\n"
        ))?;
        return Ok(Answer::No);
    };
    if let Some(effort) = day.trial {
        hold_claims(&mut plan, &Ask::new(&problem.document, facts).facts, effort, &[])?;
    }
    let folder = output.beside();
    rooms::record(&mut plan, folder, problem, facts, None);
    let cut = DayCut { scale: Factor::saturating(day.scale), period_s: Factor::saturating(day.period_s) };
    rooms::record_day(&mut plan, folder, &load, cut);
    say_findings(&plan.transitions(&problem.document).in_file(&problem.path));
    output.write(&to_bytes(&plan))?;
    if !output.is_stdout() {
        print_text(&shown(&plan))?;
    }
    Ok(Answer::Yes)
}

fn shown(plan: &Plan) -> String {
    let mut rows = table(&["from", "periods", "highest rps", "gear", "lanes", "accuracy", "cores"]);
    let mut index = 0;
    while index < plan.periods.len() {
        let first = plan.periods[index];
        let run = plan.periods[index..].iter().take_while(|period| period.gear == first.gear).count();
        let highest =
            plan.periods[index..index + run].iter().map(|period| period.highest_rps.get()).fold(0.0, f64::max);
        let gear = &plan.gears[first.gear];
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
    let named = plan
        .day
        .iter()
        .flat_map(|day| [("schedule", Some(day.total)), ("greedy", Some(day.greedy)), ("one gear", day.one_gear)]);
    for (name, total) in named.filter_map(|(name, total)| Some((name, total?))) {
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
    let by_load = if plan.periods_follow_load() {
        "a higher rate never has a gear that carries less: gears by load can follow this schedule"
    } else {
        "gears by load cannot follow this schedule: like rates have other gears at other times"
    };
    format!("{rows}\n\n{totals}\n{}{by_load}\n", plan.day.map_or_else(String::new, proved))
}

/// Says how much better a plan for the same periods could be.
fn proved(day: Day) -> String {
    let Some(bound) = day.bound else { return String::new() };
    if equal(bound, day.total.value) {
        "proved optimal: no plan for these periods is worth more\n".to_owned()
    } else {
        format!("no plan for these periods is worth more than {bound:.6}, which ignores what changes cost\n")
    }
}
