//! From trials to a report: one trial alone, or independent ones put together with intervals.

use super::Settings;
use super::counts::Counts;
use super::drift::{self, Drift};
use super::ids::{GearId, Id, PoolId, StageId, Table};
use super::pool::Pool;
use super::report::{DriftReport, Interval, Intervals, PoolReport, Report, ReportFormat, Source};
use super::tally::{Tally, millis};
use super::walk::Walk;
use crate::base::units::{Accuracy, Millis, Usd};
use crate::plan::Plan;
use crate::problem::Slo;

/// What one trial, or several put together, counted.
#[derive(Debug)]
pub struct Trial<'a> {
    pub source: Source,
    pub counts: Counts,
    pub drift: Table<StageId, Drift>,
    pub pools: Table<PoolId, Pool>,
    /// What machines that are paid whole have cost.
    pub rent_usd: f64,
    pub walk: &'a Walk,
}

/// What the intervals are made from.
struct Figures {
    mean_ms: f64,
    quantiles_ms: [f64; 3],
    at_slo_quantile_ms: f64,
    violation_share: f64,
    accuracy: Option<f64>,
    cost_usd_per_hour: f64,
}

impl Trial<'_> {
    /// Returns the report of this trial and others of the same plan and length, in the order of their seeds.
    pub fn report(mut self, others: &[Self], plan: &Plan, settings: &Settings) -> Report {
        let trials = 1 + others.len() as u32;
        let each = std::iter::once(&self).chain(others);
        let figures: Vec<Figures> = each.map(|trial| trial.figures(&plan.slo, trial.counts.time_ns())).collect();
        let changes: usize = std::iter::once(&self).chain(others).map(|trial| trial.counts.changes().len()).sum();
        for other in others {
            self.counts.absorb(&other.counts);
            self.rent_usd += other.rent_usd;
            for pool in self.pools.ids() {
                self.pools[pool].absorb(&other.pools[pool]);
            }
            for stage in self.drift.ids() {
                self.drift[stage].absorb(&other.drift[stage]);
            }
        }
        let time = self.counts.time_ns() * u64::from(trials);
        let mut whole = self.counts.whole().summary(&plan.slo, time);
        let pools: Vec<PoolReport> =
            self.pools.ids().map(|pool| self.pools[pool].report(&self.walk.pools[pool], time)).collect();
        whole.slo_met &= !pools.iter().any(|pool| pool.grows_without_end);
        let worst_window = self.counts.worst_window(&plan.slo);
        whole.slo_met &= plan.slo.window_s.is_none() || worst_window.is_none_or(|worst| worst.slo_met);
        Report {
            format: ReportFormat::V1,
            plan: plan.name.clone(),
            source: self.source,
            arrivals: settings.arrivals.describe(),
            seed: settings.seed,
            replications: trials,
            duration_ms: millis(self.counts.time_ns()),
            slo: plan.slo,
            whole,
            worst_window,
            intervals: intervals(&self.figures(&plan.slo, time), &figures),
            gears: self.counts.gear_reports(plan, trials, |gear| self.drift_of(plan, gear)),
            machines_usd_per_hour: Usd::saturating(self.rent_usd * 3.6e12 / time.max(1) as f64),
            pools,
            gear_changes_per_hour: changes as f64 * 3.6e12 / time.max(1) as f64,
            windows: self.counts.windows(trials),
            changes: self.counts.changes().to_vec(),
        }
    }

    fn drift_of(&self, plan: &Plan, gear: GearId) -> Vec<DriftReport> {
        let stages = self.walk.gears[gear].stages.iter().map(|&stage| &self.drift[stage]);
        drift::reports(&plan.gears[gear.index()], stages)
    }

    /// Returns what was counted in so much time.
    fn figures(&self, slo: &Slo, time_ns: u64) -> Figures {
        let whole = self.counts.whole();
        let time = time_ns.max(1) as f64;
        let quantile = |q: f64| whole.quantile(q).map_or(0.0, Millis::get);
        let cost: f64 = self.pools.ids().map(|pool| self.pools[pool].cost_usd(&self.walk.pools[pool])).sum();
        Figures {
            mean_ms: whole.mean_ms(),
            quantiles_ms: [0.5, 0.95, 0.99].map(quantile),
            at_slo_quantile_ms: quantile(slo.quantile.get()),
            violation_share: whole.late as f64 / whole.arrived.max(1) as f64,
            accuracy: Tally::accuracy(&whole).map(Accuracy::get),
            cost_usd_per_hour: (cost + self.rent_usd) * 3.6e12 / time,
        }
    }
}

/// Returns the intervals of what trials say together, from what each of them says.
fn intervals(pooled: &Figures, each: &[Figures]) -> Option<Intervals> {
    if each.len() < 2 {
        return None;
    }
    let of = |pick: &dyn Fn(&Figures) -> f64| interval(pick(pooled), &each.iter().map(pick).collect::<Vec<_>>());
    let accuracies: Option<Vec<f64>> = each.iter().map(|figures| figures.accuracy).collect();
    Some(Intervals {
        mean_ms: of(&|f| f.mean_ms),
        p50_ms: of(&|f| f.quantiles_ms[0]),
        p95_ms: of(&|f| f.quantiles_ms[1]),
        p99_ms: of(&|f| f.quantiles_ms[2]),
        at_slo_quantile_ms: Some(of(&|f| f.at_slo_quantile_ms)),
        violation_share: of(&|f| f.violation_share),
        accuracy: accuracies.zip(pooled.accuracy).map(|(accuracies, pooled)| interval(pooled, &accuracies)),
        cost_usd_per_hour: of(&|f| f.cost_usd_per_hour),
    })
}

/// Returns the 95 % interval around what trials say together, from what each says by itself; an end below 0 is cut, as nothing here
/// is negative.
///
/// The quantile of all requests is not the mean of the trials' quantiles, which is biased where a trial sees few slow requests.
/// Both vary alike, so the trials' spread is laid around the number that it is the interval of.
fn interval(pooled: f64, numbers: &[f64]) -> Interval {
    let n = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / n;
    let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let half = student_975(numbers.len() - 1) * (variance / n).sqrt();
    Interval { low: (pooled - half).max(0.0), high: pooled + half }
}

/// Returns the 97.5 % quantile of Student's t with some degrees of freedom, from the tables; beyond 30, by the first
/// terms of Cornish and Fisher's expansion, which is right to three decimals there.
fn student_975(freedom: usize) -> f64 {
    const TABLE: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
        2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
    ];
    let z = 1.959_963_984_540_054_f64;
    let beyond = z + (z.powi(3) + z) / (4.0 * freedom as f64);
    TABLE.get(freedom.wrapping_sub(1)).copied().unwrap_or(beyond)
}

#[cfg(test)]
mod tests {
    use super::{interval, student_975};

    #[test]
    fn students_quantiles_are_those_of_the_tables() {
        assert_eq!((student_975(1), student_975(4), student_975(30)), (12.706, 2.776, 2.042));
        assert!((student_975(60) - 2.000).abs() < 1e-3 && (student_975(120) - 1.980).abs() < 1e-3);
    }

    #[test]
    fn an_interval_is_the_spread_of_trials_around_what_they_say_together() {
        let seen = interval(10.5, &[9.0, 10.0, 11.0]);
        assert!((seen.high - (10.5 + 4.303 / 3f64.sqrt())).abs() < 1e-9 && (seen.low + seen.high - 21.0).abs() < 1e-9);
        assert_eq!(interval(0.1, &[0.0, 0.0, 0.3]).low, 0.0);
    }
}
