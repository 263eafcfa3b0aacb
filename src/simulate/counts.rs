//! Everything that is counted after the warm-up.

use super::ids::{CellId, GearId, Id, Table};
use super::report::{Change, DriftReport, GearReport, Window, WorstWindow};
use super::slo_windows::SloWindows;
use super::tally::{Lost, Tally, millis};
use crate::base::units::{Rate, Share, Usd};
use crate::plan::Plan;
use crate::problem::Slo;

/// Windows that a trial is cut into.
const WINDOWS: u64 = 60;

/// What was counted. Requests that arrive during the warm-up are served but not counted.
#[derive(Debug)]
pub struct Counts {
    from: u64,
    end: u64,
    window_ns: u64,
    slo_windows: SloWindows,
    cells: Table<CellId, Cell>,
    /// Where the latest request that arrived is counted, and when its window ends.
    latest: CellId,
    latest_ends: u64,
    gear_time: Table<GearId, u64>,
    gear_since: u64,
    closed: Vec<Closed>,
    cost_before: f64,
    changes: Vec<Change>,
}

/// The requests that arrived in one window under one gear.
#[derive(Debug)]
struct Cell {
    /// Absent for requests of the warm-up.
    window: Option<u64>,
    gear: GearId,
    tally: Tally,
}

/// What is known about a window when it ends.
#[derive(Debug)]
struct Closed {
    gear: GearId,
    cost_usd: f64,
}

impl Counts {
    /// Returns the empty counts of a trial that begins in a gear.
    pub fn new(plan: &Plan, gear: GearId, from: u64, end: u64) -> Self {
        let mut cells = Table::new();
        let window = (from == 0).then_some(0);
        let latest = cells.push(Cell { window, gear, tally: Tally::new(plan.gears[gear.index()].stages.len()) });
        let window_ns = (end - from).div_ceil(WINDOWS).max(1);
        Self {
            from,
            end,
            window_ns,
            slo_windows: SloWindows::new(&plan.slo, from, end),
            cells,
            latest,
            latest_ends: if from == 0 { window_ns } else { from },
            gear_time: plan.gears.iter().map(|_| 0).collect(),
            gear_since: from,
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

    /// A request arrives, no earlier than the one before it. Returns where it is counted.
    #[inline]
    pub fn arrives(&mut self, gear: GearId, stages: usize, now: u64) -> CellId {
        if now >= self.latest_ends || self.cells[self.latest].gear != gear {
            self.begins_cell(gear, stages, now);
        }
        self.cells[self.latest].tally.arrived += 1;
        self.slo_windows.arrives(now);
        self.latest
    }

    fn begins_cell(&mut self, gear: GearId, stages: usize, now: u64) {
        let window = now.checked_sub(self.from).map(|time| time / self.window_ns);
        self.latest_ends = window.map_or(self.from, |window| self.from + (window + 1) * self.window_ns);
        self.latest = self.cell(window, gear, stages);
    }

    fn cell(&mut self, window: Option<u64>, gear: GearId, stages: usize) -> CellId {
        let same = |id: &CellId| self.cells[*id].window == window && self.cells[*id].gear == gear;
        let known = self.cells.ids().find(same);
        known.unwrap_or_else(|| self.cells.push(Cell { window, gear, tally: Tally::new(stages) }))
    }

    #[inline]
    pub fn reaches(&mut self, cell: CellId, stage: usize) {
        self.cells[cell].tally.reaches(stage);
    }

    #[inline]
    pub fn exits(&mut self, cell: CellId, stage: usize) {
        self.cells[cell].tally.exits(stage);
    }

    /// A request that arrived then is answered now.
    #[inline]
    pub fn answers(&mut self, cell: CellId, arrived: u64, now: u64, slo_ns: u64, right: Option<bool>) {
        self.cells[cell].tally.answers(now - arrived, slo_ns, right);
        if now - arrived > slo_ns {
            self.slo_windows.is_late(arrived);
        }
    }

    /// A request that arrived then leaves without an answer.
    pub fn loses(&mut self, cell: CellId, arrived: u64, why: Lost) {
        self.cells[cell].tally.loses(why);
        self.slo_windows.is_late(arrived);
    }

    /// A request that arrived then is still under way at the end.
    pub fn abandons(&mut self, cell: CellId, arrived: u64, slo_ns: u64) {
        if self.end - arrived > slo_ns {
            self.cells[cell].tally.late += 1;
            self.slo_windows.is_late(arrived);
        }
    }

    pub fn changes_gear(&mut self, from: GearId, to: GearId, asked: u64, now: u64) {
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

    /// Counting is over; `gear` routed requests last.
    pub fn ends(&mut self, gear: GearId) {
        self.gear_time[gear] += self.end - self.gear_since;
    }

    /// Adds what another trial of the same length counted. Windows keep this trial's gears, and changes are this one's.
    pub fn absorb(&mut self, other: &Self) {
        for theirs in &other.cells.0 {
            let own = self.cell(theirs.window, theirs.gear, theirs.tally.stages());
            self.cells[own].tally.absorb(&theirs.tally);
        }
        for gear in self.gear_time.ids() {
            self.gear_time[gear] += other.gear_time[gear];
        }
        self.slo_windows.absorb(&other.slo_windows);
        self.closed.iter_mut().zip(&other.closed).for_each(|(own, other)| own.cost_usd += other.cost_usd);
    }

    /// Returns all requests together.
    pub fn whole(&self) -> Tally {
        self.sum(0, |_| true)
    }

    /// Returns the counted cells that are picked, together.
    fn sum(&self, stages: usize, pick: impl Fn(&Cell) -> bool) -> Tally {
        let mut sum = Tally::new(stages);
        for cell in self.cells.0.iter().filter(|cell| cell.window.is_some() && pick(cell)) {
            sum.absorb(&cell.tally);
        }
        sum
    }

    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Returns what the gears did, over `trials` trials.
    pub fn gear_reports(
        &self,
        plan: &Plan,
        trials: u32,
        drift: impl Fn(GearId) -> Vec<DriftReport>,
    ) -> Vec<GearReport> {
        let time = self.time_ns() * u64::from(trials);
        let report = |gear: GearId| GearReport {
            up_to_rps: plan.gears[gear.index()].up_to_rps,
            time_share: Share::saturating(self.gear_time[gear] as f64 / time.max(1) as f64),
            summary: self.of_gear(plan, gear).summary(&plan.slo, time),
            drift: drift(gear),
        };
        self.gear_time.ids().map(report).collect()
    }

    fn of_gear(&self, plan: &Plan, gear: GearId) -> Tally {
        self.sum(plan.gears[gear.index()].stages.len(), |cell| cell.gear == gear)
    }

    /// Returns the worst window of the SLO's length; `None` where no request arrived.
    pub fn worst_window(&self, slo: &Slo) -> Option<WorstWindow> {
        self.slo_windows.worst(slo)
    }

    /// Returns the windows, over `trials` trials.
    pub fn windows(&self, trials: u32) -> Vec<Window> {
        (0..self.closed.len().min(WINDOWS as usize)).map(|index| self.window(index, trials)).collect()
    }

    fn window(&self, index: usize, trials: u32) -> Window {
        let tally = self.sum(0, |cell| cell.window == Some(index as u64));
        let (closed, start) = (&self.closed[index], index as u64 * self.window_ns);
        let length = (self.window_ns.min(self.time_ns() - start).max(1) * u64::from(trials)) as f64;
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
