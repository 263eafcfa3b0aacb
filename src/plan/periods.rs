//! A plan for a known day: which gear in which period.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Plan;
use crate::base::finding::{Code, Finding, Findings};
use crate::base::units::{Accuracy, Millis, Rate};

/// A period of a known day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// Start of the period, from the start of the day; the first starts at 0.
    pub from_ms: Millis,
    /// The highest rate in it, which its gear carries.
    pub highest_rps: Rate,
    /// Index of its gear.
    pub gear: usize,
}

/// What a known day comes to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Day {
    /// With the periods of the plan.
    pub total: DayTotal,
    /// With the best gear of each period by itself.
    pub greedy: DayTotal,
    /// With the best gear that carries the whole day; absent where none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_gear: Option<DayTotal>,
    /// No plan for the same periods has a higher value; `total` is proved best where it has this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<f64>,
}

/// The sums of a day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DayTotal {
    /// Value of the goal, less the price of changes; higher is better.
    pub value: f64,
    /// Accuracy over requests.
    pub accuracy: Accuracy,
    /// Core-hours of the gears.
    pub core_hours: f64,
    /// Core-hours of changes on top.
    pub change_core_hours: f64,
    /// Changes of gear.
    pub changes: usize,
}

impl Plan {
    /// Tells whether a higher rate never has a gear that carries less: then gears by load do the same as the periods.
    #[must_use]
    pub fn periods_follow_load(&self) -> bool {
        let mut by_rate: Vec<(f64, usize)> =
            self.periods.iter().map(|period| (period.highest_rps.get(), period.gear)).collect();
        by_rate.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let carries = |gear: usize| self.gears[gear].up_to_rps;
        by_rate.windows(2).all(|pair| match () {
            () if pair[0].0 == pair[1].0 => pair[0].1 == pair[1].1,
            () => carries(pair[0].1) <= carries(pair[1].1),
        })
    }

    /// Returns the plan with its gears changed by the rate, as if no day were known.
    #[must_use]
    pub fn without_periods(&self) -> Self {
        Self { periods: Vec::new(), day: None, ..self.clone() }
    }
}

/// Finds what is wrong with the periods: they start at 0, follow one another, and each has a gear that carries it.
pub(super) fn validate(plan: &Plan, findings: &mut Findings) {
    let mut before = None;
    for (index, period) in plan.periods.iter().enumerate() {
        let key = format!("periods[{index}]");
        let from = period.from_ms.get();
        if before.map_or(from != 0.0, |before| from <= before) {
            let cause = match before {
                None => format!("the first period starts at {from} ms, not at 0"),
                Some(before) => {
                    format!("starts at {from} ms, which is not after {before} ms, the start of the period before")
                }
            };
            let action = "sort the periods by their start; the first starts at 0";
            findings.push(Finding::error(Code::Order, format!("{key}.from_ms"), cause, action));
        }
        before = Some(from);
        match plan.gears.get(period.gear) {
            None => {
                let cause = format!("there is no gear {}", period.gear);
                let action = format!("an index of `gears`, less than {}", plan.gears.len());
                findings.push(Finding::error(Code::UnknownName, format!("{key}.gear"), cause, action));
            }
            Some(gear) if gear.up_to_rps < period.highest_rps => {
                let cause =
                    format!("gear {} carries {} of {} requests/s", period.gear, gear.up_to_rps, period.highest_rps);
                findings.push(Finding::error(Code::LimitBroken, format!("{key}.gear"), cause, "solve again"));
            }
            Some(_) => {}
        }
    }
    if plan.day.is_some() && plan.periods.is_empty() {
        let cause = "there are no periods that it could be the sum of";
        findings.push(Finding::error(Code::NoEffect, "day", cause, "remove it, or add `periods`"));
    }
}
