//! Everything that is counted after the warm-up, and the report made from it.

use super::Settings;
use super::ids::{GearId, Id, Table};
use super::report::{Change, GearReport, PoolReport, Report, ReportFormat, Source, Window};
use super::tally::{Tally, millis};
use crate::plan::Plan;
use crate::units::{Rate, Share, Usd};

/// Windows that a trial is cut into.
const WINDOWS: u64 = 60;

/// What was counted. Requests that arrive during the warm-up are served but not counted.
#[derive(Debug)]
pub struct Counts {
    from: u64,
    end: u64,
    window_ns: u64,
    gears: Table<GearId, Tally>,
    gear_time: Table<GearId, u64>,
    gear_since: u64,
    windows: Vec<Tally>,
    closed: Vec<Closed>,
    cost_before: f64,
    changes: Vec<Change>,
}

/// What is known about a window when it ends.
#[derive(Debug)]
struct Closed {
    gear: GearId,
    cost_usd: f64,
}

impl Counts {
    pub fn new(plan: &Plan, from: u64, end: u64) -> Self {
        Self {
            from,
            end,
            window_ns: (end - from).div_ceil(WINDOWS).max(1),
            gears: plan.gears.iter().map(|gear| Tally::new(gear.stages.len())).collect(),
            gear_time: plan.gears.iter().map(|_| 0).collect(),
            gear_since: from,
            windows: (0..WINDOWS).map(|_| Tally::new(0)).collect(),
            closed: Vec::new(),
            cost_before: 0.0,
            changes: Vec::new(),
        }
    }

    pub const fn from(&self) -> u64 {
        self.from
    }

    pub const fn time_ns(&self) -> u64 {
        self.end - self.from
    }

    /// Returns when the current window ends.
    pub const fn window_end(&self) -> u64 {
        self.from + (self.closed.len() as u64 + 1) * self.window_ns
    }

    #[inline]
    fn window_of(&mut self, arrived: u64) -> &mut Tally {
        &mut self.windows[((arrived - self.from) / self.window_ns) as usize]
    }

    #[inline]
    pub fn arrives(&mut self, gear: GearId, now: u64) {
        if now >= self.from {
            self.gears[gear].arrived += 1;
            self.window_of(now).arrived += 1;
        }
    }

    #[inline]
    pub fn reaches(&mut self, gear: GearId, stage: usize, arrived: u64) {
        if arrived >= self.from {
            self.gears[gear].reaches(stage);
        }
    }

    #[inline]
    pub fn answers(&mut self, gear: GearId, arrived: u64, now: u64, slo_ns: u64, right: Option<bool>) {
        if arrived >= self.from {
            self.gears[gear].answers(now - arrived, slo_ns, right);
            self.window_of(arrived).answers(now - arrived, slo_ns, right);
        }
    }

    /// A request is still under way at the end.
    pub fn abandons(&mut self, gear: GearId, arrived: u64, end: u64, slo_ns: u64) {
        if arrived >= self.from && end - arrived > slo_ns {
            self.gears[gear].late += 1;
            self.window_of(arrived).late += 1;
        }
    }

    pub fn changes(&mut self, from: GearId, to: GearId, asked: u64, now: u64) {
        if now < self.from {
            return;
        }
        self.gear_time[from] += now - self.gear_since;
        self.gear_since = now;
        self.changes.push(Change {
            at_ms: millis(now - self.from),
            from: from.index() as u32,
            to: to.index() as u32,
            waited_ms: millis(now - asked),
        });
    }

    pub fn ends_window(&mut self, gear: GearId, cost_usd: f64) {
        self.closed.push(Closed { gear, cost_usd: cost_usd - self.cost_before });
        self.cost_before = cost_usd;
    }

    pub fn report(
        mut self,
        plan: &Plan,
        settings: &Settings,
        source: Source,
        gear: GearId,
        pools: Vec<PoolReport>,
    ) -> Report {
        self.gear_time[gear] += self.end - self.gear_since;
        let time = self.time_ns();
        let mut whole = Tally::new(0);
        for gear in &self.gears.0 {
            whole.add(gear);
        }
        Report {
            format: ReportFormat::V1,
            plan: plan.name.clone(),
            source,
            arrivals: settings.arrivals.describe(),
            seed: settings.seed,
            duration_ms: millis(time),
            slo: plan.slo,
            whole: whole.summary(&plan.slo, time),
            gears: self.gears.ids().map(|gear| self.gear_report(plan, gear)).collect(),
            pools,
            windows: (0..self.closed.len().min(self.windows.len())).map(|index| self.window(index)).collect(),
            changes: self.changes,
        }
    }

    fn gear_report(&self, plan: &Plan, gear: GearId) -> GearReport {
        let time = self.time_ns();
        GearReport {
            up_to_rps: plan.gears[gear.index()].up_to_rps,
            time_share: Share::saturating(self.gear_time[gear] as f64 / time.max(1) as f64),
            summary: self.gears[gear].summary(&plan.slo, time),
        }
    }

    fn window(&self, index: usize) -> Window {
        let (tally, closed) = (&self.windows[index], &self.closed[index]);
        let start = index as u64 * self.window_ns;
        let length = self.window_ns.min(self.time_ns() - start).max(1) as f64;
        Window {
            start_ms: millis(start),
            rate_rps: Rate::saturating(tally.arrived as f64 * 1e9 / length),
            gear: closed.gear.index() as u32,
            p99_ms: tally.quantile(0.99),
            violations: tally.late,
            accuracy: tally.accuracy(),
            cost_usd_per_hour: Usd::saturating(closed.cost_usd * 3.6e12 / length),
        }
    }
}
