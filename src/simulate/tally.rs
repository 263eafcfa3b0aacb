//! What is counted about requests: by gear, by window of arrival, and for the whole.

use super::report::{ResponseTimes, Summary};
use super::times::Times;
use crate::base::units::{Accuracy, Millis, Rate, Share};
use crate::problem::Slo;

/// Why a request leaves without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// A call of it found no place to wait.
    Refused,
    /// A call of it came too late to be served.
    Dropped,
}

/// How many were lost, and why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    pub refused: u64,
    pub dropped: u64,
}

impl Losses {
    /// One more is lost.
    pub fn add(&mut self, why: Lost) {
        match why {
            Lost::Refused => self.refused += 1,
            Lost::Dropped => self.dropped += 1,
        }
    }

    /// Adds what another group lost.
    pub fn absorb(&mut self, other: Self) {
        self.refused += other.refused;
        self.dropped += other.dropped;
    }
}

/// A group of requests.
#[derive(Debug)]
pub struct Tally {
    pub arrived: u64,
    pub answered: u64,
    pub late: u64,
    lost: Losses,
    judged: u64,
    right: u64,
    sum_ns: u128,
    max_ns: u64,
    times: Times,
    reached: Vec<u64>,
    exited: Vec<u64>,
}

impl Tally {
    pub fn new(stages: usize) -> Self {
        Self {
            arrived: 0,
            answered: 0,
            late: 0,
            lost: Losses::default(),
            judged: 0,
            right: 0,
            sum_ns: 0,
            max_ns: 0,
            times: Times::new(),
            reached: vec![0; stages],
            exited: vec![0; stages],
        }
    }

    /// A request gets to a stage.
    #[inline]
    pub fn reaches(&mut self, stage: usize) {
        self.reached[stage] += 1;
    }

    /// A request leaves early after a stage.
    #[inline]
    pub fn exits(&mut self, stage: usize) {
        self.exited[stage] += 1;
    }

    /// A request is answered.
    #[inline]
    pub fn answers(&mut self, took_ns: u64, slo_ns: u64, right: Option<bool>) {
        self.answered += 1;
        self.late += u64::from(took_ns > slo_ns);
        self.judged += u64::from(right.is_some());
        self.right += u64::from(right == Some(true));
        self.sum_ns += u128::from(took_ns);
        self.max_ns = self.max_ns.max(took_ns);
        self.times.saw(took_ns);
    }

    /// A request leaves without an answer.
    pub fn loses(&mut self, why: Lost) {
        self.late += 1;
        self.lost.add(why);
    }

    /// Returns the stages that are counted.
    pub const fn stages(&self) -> usize {
        self.reached.len()
    }

    /// Adds another group; stages are added as far as both count them.
    pub fn absorb(&mut self, other: &Self) {
        self.arrived += other.arrived;
        self.answered += other.answered;
        self.late += other.late;
        self.lost.absorb(other.lost);
        self.judged += other.judged;
        self.right += other.right;
        self.sum_ns += other.sum_ns;
        self.max_ns = self.max_ns.max(other.max_ns);
        self.times.absorb(&other.times);
        for (own, other) in [(&mut self.reached, &other.reached), (&mut self.exited, &other.exited)] {
            own.iter_mut().zip(other).for_each(|(own, other)| *own += other);
        }
    }

    /// Returns the mean response time in milliseconds; 0 where nothing was answered.
    pub fn mean_ms(&self) -> f64 {
        self.sum_ns as f64 / self.answered.max(1) as f64 / 1e6
    }

    /// Returns the part of judged answers that were right.
    pub fn accuracy(&self) -> Option<Accuracy> {
        (self.judged > 0).then(|| Accuracy::saturating(self.right as f64 / self.judged as f64))
    }

    /// Returns a quantile of the response times: the middle of the histogram's cell that holds it.
    pub fn quantile(&self, q: f64) -> Option<Millis> {
        self.times.quantile(q).map(|middle| millis(middle.min(self.max_ns)))
    }

    /// Returns the group as reports show it.
    pub fn summary(&self, slo: &Slo, time_ns: u64) -> Summary {
        let share = |part: u64| Share::saturating(part as f64 / self.arrived.max(1) as f64);
        let allowed = 1.0 - slo.quantile.get();
        let violation_share = share(self.late);
        Summary {
            arrived: self.arrived,
            answered: self.answered,
            unfinished: self.arrived - self.answered - self.lost.refused - self.lost.dropped,
            refused: self.lost.refused,
            dropped: self.lost.dropped,
            throughput_rps: Rate::saturating(self.answered as f64 / time_ns.max(1) as f64 * 1e9),
            latency: self.response_times(slo),
            violations: self.late,
            violation_share,
            // 1 − 0.99 is a little less than 0.01; exactly one in a hundred is allowed.
            slo_met: violation_share.get() <= allowed + 1e-12,
            accuracy: self.accuracy(),
            reach: self.reached.iter().map(|&count| share(count)).collect(),
            exits: self.exited.iter().map(|&count| share(count)).collect(),
        }
    }

    fn response_times(&self, slo: &Slo) -> Option<ResponseTimes> {
        Some(ResponseTimes {
            mean_ms: Millis::saturating(self.mean_ms()),
            p50_ms: self.quantile(0.5)?,
            p90_ms: self.quantile(0.9)?,
            p95_ms: self.quantile(0.95)?,
            p99_ms: self.quantile(0.99)?,
            p999_ms: self.quantile(0.999)?,
            max_ms: millis(self.max_ns),
            at_slo_quantile_ms: self.quantile(slo.quantile.get())?,
        })
    }
}

/// Returns nanoseconds as milliseconds.
pub fn millis(ns: u64) -> Millis {
    Millis::saturating(ns as f64 / 1e6)
}
