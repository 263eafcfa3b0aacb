//! The distribution through the percentiles that a tool tells, and numbers that no distribution has.

use super::{Row, Times};
use crate::base::finding::{Code, Finding};
use crate::stats::Histogram;

/// Shares of the percentiles of [`super::QUANTILES`].
const SHARES: [f64; 5] = [0.5, 0.9, 0.95, 0.99, 0.999];
/// Parts in which the histogram of an imported point counts.
const PARTS: f64 = 1e6;
/// How far rounded numbers may miss each other.
const ROUNDING: f64 = 0.05;
/// Least requests in flight, on average, that count as one: a client takes its time between calls, but not as long as a call.
const LEAST_IN_FLIGHT: f64 = 0.55;
/// Most requests in flight, on average, that count as one.
const MOST_IN_FLIGHT: f64 = 1.1;

/// Least part of the calls between two percentiles that takes the longer time: with none, a percentile would not be one.
const LEAST_PART: f64 = 0.01;

/// Times with the share of the calls that are no slower, increasing; the ends are the fastest and the slowest call, or what
/// stands for them.
struct Knots {
    knots: Vec<(f64, f64)>,
    knows_min: bool,
    knows_max: bool,
}

impl Knots {
    fn of(times: Times) -> Option<Self> {
        let known = SHARES.into_iter().zip(times.quantiles).filter_map(|(share, ms)| Some((share, ms?)));
        let mut knots: Vec<(f64, f64)> = known.collect();
        let (&(_, first), &(_, last)) = (knots.first()?, knots.last()?);
        knots.insert(0, (0.0, times.min.unwrap_or(first)));
        knots.push((1.0, times.max.unwrap_or(last)));
        Some(Self { knots, knows_min: times.min.is_some(), knows_max: times.max.is_some() })
    }

    /// Returns the pieces between knots: share of the calls, shortest and longest time.
    fn pieces(&self) -> impl Iterator<Item = (f64, f64, f64)> {
        self.knots.windows(2).map(|pair| (pair[1].0 - pair[0].0, pair[0].1, pair[1].1))
    }

    /// Returns the least and the highest mean of all distributions through the knots.
    fn means(&self) -> (f64, f64) {
        self.pieces().fold((0.0, 0.0), |(low, high), (share, from, to)| (low + share * from, high + share * to))
    }
}

/// Returns the distribution through the percentiles that has the mean, in millionths; `None` where no percentile is known.
///
/// Between two percentiles each call takes one of both times, the same part of the calls everywhere. Of all distributions
/// with these means between the percentiles it is the one that scatters most, so that waiting is not underestimated. An end
/// that is not known moves where the mean asks for it.
pub fn histogram(mean_ms: f64, times: Times) -> Option<Histogram> {
    let mut through = Knots::of(times)?;
    let (low, high) = through.means();
    let last = through.knots.len() - 1;
    let lower = low - (mean_ms - LEAST_PART * high) / (1.0 - LEAST_PART);
    if lower > 0.0 && !through.knows_min {
        through.knots[0].1 = (through.knots[0].1 - lower / through.knots[1].0).max(0.0);
    }
    if mean_ms > high && !through.knows_max {
        through.knots[last].1 += (mean_ms - high) / (1.0 - through.knots[last - 1].0);
    }
    let (low, high) = through.means();
    let part = if high > low { ((mean_ms - low) / (high - low)).clamp(LEAST_PART, 1.0) } else { 1.0 };
    // Rounded numbers may leave the mean just outside.
    let stretch = mean_ms / (low + part * (high - low));
    let mut bins: std::collections::BTreeMap<u64, f64> = std::collections::BTreeMap::new();
    for (share, from, to) in through.pieces() {
        for (ms, share) in [(from, share * (1.0 - part)), (to, share * part)] {
            *bins.entry((ms * stretch * 1e6).round().max(1.0) as u64).or_default() += share;
        }
    }
    let (value_ns, shares): (Vec<u64>, Vec<f64>) = bins.into_iter().filter(|&(_, share)| share * PARTS >= 0.5).unzip();
    Some(Histogram { value_ns, count: shares.iter().map(|share| (share * PARTS).round() as u64).collect() })
}

/// Returns why the numbers of a row cannot be of the same calls.
pub fn contradiction(row: &Row) -> Option<Finding> {
    // Without its batch, a throughput tells nothing of a call; what is missing is asked for first.
    row.batch?;
    let refuse = |cause: String, action: &str| Some(Finding::error(Code::Inconsistent, &row.place, cause, action));
    if let (Some(told), Some(follows)) = (row.times.mean, row.mean_of_throughput()) {
        let in_flight = told / follows;
        if !(LEAST_IN_FLIGHT..=MOST_IN_FLIGHT).contains(&in_flight) {
            let cause = format!(
                "a mean latency of {told} ms and one call every {follows:.4} ms mean {in_flight:.2} requests in flight, not one"
            );
            return refuse(cause, "check --batch; measure with one request in flight");
        }
    }
    let mean = row.mean_ms()?;
    let through = Knots::of(row.times)?;
    if !through.knots.is_sorted_by(|a, b| a.1 <= b.1) {
        return refuse("min, percentiles and max do not increase".to_owned(), "measure again");
    }
    let (low, high) = through.means();
    let least = if through.knows_min { low } else { low - through.knots[0].1 * through.knots[1].0 };
    let last_known = through.knots[through.knots.len() - 2];
    let most = match () {
        () if through.knows_max => high,
        // More than nine of ten calls are not faster than the mean.
        () if last_known.0 >= 0.9 => last_known.1,
        () => f64::INFINITY,
    };
    if mean < least * (1.0 - ROUNDING) || mean > most * (1.0 + ROUNDING) {
        let source = if row.times.mean.is_some() { "is told" } else { "follows from throughput and batch" };
        let cause =
            format!("a mean of {mean:.4} ms {source}; with these percentiles it is from {least:.4} to {most:.4} ms");
        return refuse(cause, "check --batch and the units; measure again");
    }
    None
}
