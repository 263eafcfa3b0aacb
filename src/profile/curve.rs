//! Latency as a function of cores and batch, inside the measured range only.
//!
//! A measured (cores, batch) is answered by its own histogram. Between measured batches the mean is linear in the batch;
//! between measured core counts it is linear in 1 ÷ cores (Amdahl: a serial part plus a part that is shared out). The
//! shape of an interpolated law is that of the next larger measured batch, scaled to the interpolated mean. Outside the
//! range the curve refuses.

use std::collections::BTreeMap;

use super::{Distribution, Point, Profile, Trust};

/// The service time of one call: its law, and whether it was measured or interpolated.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Milliseconds of one call of the whole batch.
    pub law: Distribution,
    /// [`Trust::Measured`], [`Trust::Interpolated`] or what the point itself says.
    pub trust: Trust,
}

/// How far the curve is from a measured point when that point is left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Residual {
    /// Cores of the point left out.
    pub cores: u32,
    /// Batch of the point left out.
    pub batch: u32,
    /// (interpolated − measured) ÷ measured mean latency.
    pub relative: f64,
}

/// The latency surface of one variant on one device.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    measured: BTreeMap<(u32, u32), Service>,
}

impl Curve {
    /// Returns the curve of a variant on a device, or `None` where nothing was measured.
    #[must_use]
    pub fn of(profile: &Profile, variant: &str, device: &str) -> Option<Self> {
        let measured: BTreeMap<_, _> = profile
            .points_of(variant)
            .filter(|point| point.device == device && point.co_runners == 0)
            .map(|point| ((point.cores, point.batch), service_of(point)))
            .collect();
        (!measured.is_empty()).then_some(Self { measured })
    }

    /// Returns the measured (cores, batch) pairs in increasing order.
    pub fn measured(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.measured.keys().copied()
    }

    /// Returns the core counts that were measured, in increasing order.
    #[must_use]
    pub fn cores(&self) -> Vec<u32> {
        let mut cores: Vec<u32> = self.measured.keys().map(|&(cores, _)| cores).collect();
        cores.dedup();
        cores
    }

    /// Returns the batches that were measured on that many cores, in increasing order.
    #[must_use]
    pub fn batches(&self, cores: u32) -> Vec<u32> {
        self.measured.keys().filter(|key| key.0 == cores).map(|key| key.1).collect()
    }

    /// Returns the service time of `batch` samples on `cores` cores, or `None` outside the measured range.
    #[must_use]
    pub fn at(&self, cores: u32, batch: u32) -> Option<Service> {
        if let Some(service) = self.measured.get(&(cores, batch)) {
            return Some(service.clone());
        }
        self.along_batch(cores, batch).or_else(|| self.along_cores(cores, batch))
    }

    /// Returns how far the curve misses each interior point when that point is left out, in key order.
    #[must_use]
    pub fn residuals(&self) -> Vec<Residual> {
        self.measured
            .iter()
            .filter_map(|(&(cores, batch), truth)| {
                let mut rest = self.clone();
                rest.measured.remove(&(cores, batch));
                let guess = rest.along_batch(cores, batch).or_else(|| rest.along_cores(cores, batch))?;
                let relative = guess.law.mean_ms() / truth.law.mean_ms() - 1.0;
                Some(Residual { cores, batch, relative })
            })
            .collect()
    }

    fn along_batch(&self, cores: u32, batch: u32) -> Option<Service> {
        let (&(_, low), below) = self.measured.range((cores, 1)..(cores, batch)).next_back()?;
        let (&(_, high), above) = self.measured.range((cores, batch.saturating_add(1))..=(cores, u32::MAX)).next()?;
        let part = f64::from(batch - low) / f64::from(high - low);
        Some(between(below, above, part))
    }

    fn along_cores(&self, cores: u32, batch: u32) -> Option<Service> {
        let on = |candidates: Vec<u32>| {
            candidates.into_iter().find_map(|k| {
                let service = self.measured.get(&(k, batch)).cloned().or_else(|| self.along_batch(k, batch))?;
                Some((k, service))
            })
        };
        let (fewer, more): (Vec<u32>, Vec<u32>) = self.cores().into_iter().partition(|&k| k < cores);
        let (low, slow) = on(fewer.into_iter().rev().collect())?;
        let (high, fast) = on(more.into_iter().filter(|&k| k > cores).collect())?;
        let inverse = |k: u32| 1.0 / f64::from(k);
        let part = (inverse(low) - inverse(cores)) / (inverse(low) - inverse(high));
        Some(between(&slow, &fast, part))
    }
}

fn between(a: &Service, b: &Service, part: f64) -> Service {
    let mean = a.law.mean_ms() + part * (b.law.mean_ms() - a.law.mean_ms());
    Service { law: b.law.scaled(mean / b.law.mean_ms()), trust: Trust::Interpolated.max(a.trust).max(b.trust) }
}

fn service_of(point: &Point) -> Service {
    let imported = point.conditions.stopped == super::Stopped::Imported;
    Service {
        law: point
            .histogram
            .as_ref()
            .map_or_else(|| Distribution::constant(point.latency.mean_ms.get()), super::Histogram::distribution),
        trust: if imported { Trust::Imported } else { Trust::Measured },
    }
}

#[cfg(test)]
mod tests {
    use super::{Curve, Service};
    use crate::profile::{Distribution, Trust};

    fn curve(points: &[((u32, u32), f64)]) -> Curve {
        let service = |ms: f64| Service { law: Distribution::constant(ms), trust: Trust::Measured };
        Curve { measured: points.iter().map(|&(key, ms)| (key, service(ms))).collect() }
    }

    /// A serial part of 2 ms, and 12 ms a sample that are shared out over the cores.
    fn amdahl(cores: u32, batch: u32) -> f64 {
        2.0 + 12.0 * f64::from(batch) / f64::from(cores)
    }

    #[test]
    fn between_points_the_curve_is_linear_in_batch_and_in_one_over_cores() {
        let keys = [(1, 1), (1, 4), (4, 1), (4, 4)];
        let curve = curve(&keys.map(|(cores, batch)| ((cores, batch), amdahl(cores, batch))));
        for (cores, batch) in [(1, 2), (2, 1), (3, 4), (2, 3)] {
            let found = curve.at(cores, batch).expect("inside");
            assert!((found.law.mean_ms() - amdahl(cores, batch)).abs() < 1e-9, "{cores} cores, batch {batch}");
            assert_eq!(found.trust, Trust::Interpolated);
        }
        assert_eq!(curve.at(4, 4).expect("measured").trust, Trust::Measured);
        assert!(curve.at(1, 8).is_none() && curve.at(8, 1).is_none(), "outside it refuses");
    }

    #[test]
    fn residuals_tell_how_far_a_point_is_from_its_neighbours() {
        let seen = curve(&[((1, 1), 1.0), ((1, 2), 4.0), ((1, 3), 3.0)]).residuals();
        assert_eq!(seen.len(), 1, "only the middle one has neighbours on both sides");
        assert_eq!((seen[0].cores, seen[0].batch, seen[0].relative), (1, 2, -0.5));
    }
}
