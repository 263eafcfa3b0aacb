//! Watching a stage: whether as many requests go on as the plan expects.

use super::report::DriftReport;
use crate::base::units::Share;
use crate::plan::{Gear, Watch};

/// What was seen at a stage, and the alarms that it raised.
#[derive(Debug, Clone, Copy, Default)]
pub struct Drift {
    requests: u64,
    went_on: u64,
    /// Of the current window.
    in_window: (u32, u32),
    windows: u64,
    window_alarms: u64,
    sums: (f64, f64),
    sum_alarms: u64,
}

impl Drift {
    /// One more request has passed the stage.
    pub fn sees(&mut self, watch: &Watch, went_on: bool) {
        self.requests += 1;
        self.went_on += u64::from(went_on);
        let (seen, onward) = &mut self.in_window;
        (*seen, *onward) = (*seen + 1, *onward + u32::from(went_on));
        if *seen >= watch.requests {
            self.windows += 1;
            self.window_alarms += u64::from(!watch.expects(*onward));
            self.in_window = (0, 0);
        }
        self.sums = watch.sums(self.sums, went_on);
        if watch.alarms(self.sums) {
            self.sum_alarms += 1;
            self.sums = (0.0, 0.0);
        }
    }

    /// Adds what another trial saw.
    pub fn absorb(&mut self, other: &Self) {
        self.requests += other.requests;
        self.went_on += other.went_on;
        self.windows += other.windows;
        self.window_alarms += other.window_alarms;
        self.sum_alarms += other.sum_alarms;
    }

    fn report(&self, stage: &str, watch: &Watch) -> DriftReport {
        let onward = (self.requests > 0).then(|| Share::saturating(self.went_on as f64 / self.requests as f64));
        DriftReport {
            stage: stage.to_owned(),
            expected: watch.onward,
            onward,
            windows: self.windows,
            window_alarms: self.window_alarms,
            sum_alarms: self.sum_alarms,
        }
    }
}

/// Returns what was seen at the watched stages of a gear.
pub fn reports<'a>(gear: &Gear, of_stage: impl Iterator<Item = &'a Drift>) -> Vec<DriftReport> {
    let watched = gear.stages.iter().zip(of_stage);
    watched.filter_map(|(stage, drift)| Some(drift.report(&stage.name, stage.watch.as_ref()?))).collect()
}
