//! Latency as a function of cores and batch, inside the measured range only.
//!
//! A measured (cores, batch) is answered by its own histogram. Between measured batches the mean is linear in the batch;
//! between measured core counts it is linear in 1 ÷ cores (Amdahl: a serial part plus a part that is shared out). The
//! shape of an interpolated law is that of the next larger measured batch, scaled to the interpolated mean. Outside the
//! range the curve refuses.
//!
//! Where a profile has holes, that is (cores, batch) measured of other variants and not of this one, or only glimpsed, the
//! family's [`Surface`] fills them first, as far as it is sure enough; the shape of such a law is that of the nearest
//! measured one.

use std::collections::BTreeMap;

use super::surface::{Predicted, Seen, Spot, Surface, octaves};
use super::{Glimpse, Key, Point, Profile, Trust};
use crate::stats::Distribution;

/// Largest spread of a hole's logarithm that a plan may rest on: the 95 % interval ends a factor of 1.5 off.
const WIDEST_SPREAD: f64 = 0.2;

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

/// What a latency that was not measured in full is taken for at its best: so many standard deviations below its prediction,
/// and a part more, by which it may be faster without being worth a full measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// Standard deviations of configurations that were glimpsed.
    pub glimpsed: f64,
    /// Of those that were never called.
    pub unseen: f64,
    /// Part of a latency within which two configurations are near ties.
    pub near_tie: f64,
}

impl Bound {
    /// Returns the same bound for all, with no regard to near ties.
    #[must_use]
    pub const fn of(deviations: f64) -> Self {
        Self { glimpsed: deviations, unseen: deviations, near_tie: 0.0 }
    }

    /// Returns the bound whose standard deviations are so many times as large.
    #[must_use]
    pub fn raised(self, by: Calibration) -> Self {
        Self { glimpsed: self.glimpsed * by.glimpsed, unseen: self.unseen * by.unseen, ..self }
    }
}

/// By what predicted standard deviations are to be multiplied to be as sure as they say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// Of configurations that were glimpsed.
    pub glimpsed: f64,
    /// Of those that were never called.
    pub unseen: f64,
}

/// A (cores, batch) that was not measured, as the family's surface predicts it.
#[derive(Debug, Clone, PartialEq)]
pub struct Hole {
    /// The predicted law, and whether it lies between measured points of its own variant.
    pub service: Service,
    /// The prediction of its median.
    pub predicted: Predicted,
    /// Whether a few calls of it were made.
    pub glimpsed: bool,
    /// The shape with the lightest tail among the laws that were measured of the variant, with the predicted median.
    lightest: Distribution,
}

impl Hole {
    fn is_sure(&self) -> bool {
        self.predicted.spread <= WIDEST_SPREAD
    }

    fn scaled(&self, factor: f64) -> Self {
        let Predicted { median_ms, spread } = self.predicted;
        Self {
            service: Service { law: self.service.law.scaled(factor), ..self.service },
            predicted: Predicted { median_ms: factor * median_ms, spread },
            lightest: self.lightest.scaled(factor),
            ..*self
        }
    }

    /// Returns the hole filled with the lightest law so much faster than predicted, taken as sure.
    fn at_best(&self, bound: Bound) -> Self {
        let deviations = if self.glimpsed { bound.glimpsed } else { bound.unseen };
        let median_ms = self.predicted.at_best_ms(deviations) * (1.0 + bound.near_tie);
        let law = self.lightest.scaled(median_ms / self.predicted.median_ms);
        Self {
            service: Service { law, ..self.service },
            predicted: Predicted { median_ms, spread: 0.0 },
            ..self.clone()
        }
    }
}

/// The latency surface of one variant on one device.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    measured: BTreeMap<(u32, u32), Service>,
    holes: BTreeMap<(u32, u32), Hole>,
}

impl Curve {
    /// Returns the curve of a variant on a device, or `None` where nothing was measured.
    #[must_use]
    pub fn of(profile: &Profile, variant: &str, device: &str) -> Option<Self> {
        Self::family(profile, device, &[]).remove(variant)
    }

    /// Returns the curves of all variants with points on a device, by name. Holes are (cores, batch) that were measured of
    /// any variant, and `more` (index of the variant in the profile, and what of it).
    #[must_use]
    pub fn family(profile: &Profile, device: &str, more: &[Spot]) -> BTreeMap<String, Self> {
        let here = |point: &&Point| point.device == device;
        let alone: Vec<&Point> = profile.points.iter().filter(here).filter(|point| point.co_runners == 0).collect();
        let index = |name: &str| profile.variants.iter().position(|variant| variant.name == name);
        let glimpses: BTreeMap<Spot, &Glimpse> = profile
            .glimpses
            .iter()
            .filter(|glimpse| glimpse.device == device)
            .filter_map(|glimpse| Some(((index(&glimpse.variant)?, glimpse.key()), glimpse)))
            .collect();
        let mut curves: Vec<Option<Self>> = Vec::new();
        for (place, variant) in profile.variants.iter().enumerate() {
            let own = alone.iter().filter(|point| point.variant == variant.name);
            let measured: BTreeMap<_, _> = own.map(|point| ((point.cores, point.batch), service_of(point))).collect();
            let is_known = !measured.is_empty() || glimpses.keys().any(|spot| spot.0 == place);
            curves.push(is_known.then_some(Self { measured, holes: BTreeMap::new() }));
        }
        let mut holes = holes(&curves, &alone);
        holes.extend(glimpses.keys().filter(|spot| spot.1.co_runners == 0));
        holes.extend(more.iter().filter(|spot| spot.1.co_runners == 0));
        holes.retain(|(variant, key)| {
            let curve = curves.get(*variant).and_then(Option::as_ref);
            curve.is_some_and(|curve| !curve.measured.contains_key(&(key.cores, key.batch)))
        });
        holes.sort_unstable();
        holes.dedup();
        let mut seen: Vec<Seen> = profile
            .points
            .iter()
            .filter(here)
            .filter_map(|point| Some(Seen::of(index(&point.variant)?, point)))
            .collect();
        let measured: Vec<Spot> = seen.iter().map(|point| point.spot).collect();
        let only = glimpses.iter().filter(|(spot, _)| !measured.contains(spot));
        seen.extend(only.map(|(spot, glimpse)| Seen::at_a_glimpse(spot.0, glimpse)));
        // A full grid asks nothing of the surface.
        let surface = if holes.is_empty() { None } else { Surface::of(&seen, &holes) };
        let family: Vec<Service> = curves.iter().flatten().flat_map(|curve| curve.measured.values()).cloned().collect();
        for ((variant, key), predicted) in surface.iter().flat_map(Surface::predictions) {
            if let Some(curve) = &mut curves[variant] {
                curve.fill(key, predicted, glimpses.contains_key(&(variant, key)), &family);
            }
        }
        let named = profile.variants.iter().zip(curves);
        named.filter_map(|(variant, curve)| Some((variant.name.clone(), curve?))).collect()
    }

    /// Fills a hole with the law of the nearest measured point, scaled to the predicted median. A variant that was only
    /// glimpsed takes the law of the family whose median is nearest.
    fn fill(&mut self, key: Key, predicted: Predicted, glimpsed: bool, family: &[Service]) {
        let place = |&(cores, batch): &(u32, u32)| Key { cores, batch, co_runners: 0 };
        let far = |at: &(u32, u32)| octaves(place(at), key);
        let off = |service: &&Service| (service.law.quantile_ms(0.5) / predicted.median_ms).ln().abs();
        // Among equally near ones the larger: its law has less of the overhead's jitter.
        let own = self.measured.iter().rev().min_by(|a, b| far(a.0).total_cmp(&far(b.0))).map(|(_, service)| service);
        let like = own.or_else(|| family.iter().min_by(|a, b| off(a).total_cmp(&off(b))));
        let constant = Service { law: Distribution::constant(predicted.median_ms), trust: Trust::Measured };
        let like = like.unwrap_or(&constant);
        let within = |of: fn(&(u32, u32)) -> u32, value: u32| {
            let (low, high) = (self.measured.keys().map(of).min(), self.measured.keys().map(of).max());
            low.is_some_and(|low| low <= value) && high.is_some_and(|high| value <= high)
        };
        let trust = if glimpsed {
            Trust::Glimpsed
        } else if within(|at| at.0, key.cores) && within(|at| at.1, key.batch) {
            Trust::Interpolated
        } else {
            Trust::Extrapolated
        };
        let tail = |service: &Service| service.law.quantile_ms(0.99) / service.law.quantile_ms(0.5);
        let all: Vec<&Service> =
            if self.measured.is_empty() { family.iter().collect() } else { self.measured.values().collect() };
        let lightest = all.into_iter().min_by(|a, b| tail(a).total_cmp(&tail(b))).unwrap_or(like);
        let scaled = |service: &Service| service.law.scaled(predicted.median_ms / service.law.quantile_ms(0.5));
        let service = Service { law: scaled(like), trust: trust.max(like.trust) };
        let lightest = scaled(lightest);
        self.holes.insert((key.cores, key.batch), Hole { service, predicted, glimpsed, lightest });
    }

    /// Returns the curve with every hole as fast as it can be: so many standard deviations below its prediction, with the
    /// lightest tail that was measured of the variant.
    #[must_use]
    pub fn at_best(&self, bound: Bound) -> Self {
        let holes = self.holes.iter().map(|(&at, hole)| (at, hole.at_best(bound))).collect();
        Self { measured: self.measured.clone(), holes }
    }

    /// Returns the curve as slow as it may be: every law so many standard deviations of its logarithm above what is known of it.
    /// `spread` is that of a measured (cores, batch), `error` one that all share.
    #[must_use]
    pub fn slower(&self, deviations: f64, error: f64, spread: impl Fn((u32, u32)) -> f64) -> Self {
        let measured = self.times(|at| (deviations * spread(at).hypot(error)).exp()).measured;
        let hole = |hole: &Hole| {
            let factor = (deviations * hole.predicted.spread.hypot(error)).exp();
            Hole { service: Service { law: hole.service.law.scaled(factor), ..hole.service }, ..hole.clone() }
        };
        Self { measured, holes: self.holes.iter().map(|(&at, of)| (at, hole(of))).collect() }
    }

    /// Returns the curve with every law times a factor of its (cores, batch).
    #[must_use]
    pub fn times(&self, factor: impl Fn((u32, u32)) -> f64) -> Self {
        let scaled = |(&at, service): (&(u32, u32), &Service)| {
            (at, Service { law: service.law.scaled(factor(at)), trust: service.trust })
        };
        let holes = self.holes.iter().map(|(&at, hole)| (at, hole.scaled(factor(at))));
        Self { measured: self.measured.iter().map(scaled).collect(), holes: holes.collect() }
    }

    /// Returns what was predicted of (cores, batch) pairs that were not measured, in increasing order.
    #[must_use]
    pub const fn holes(&self) -> &BTreeMap<(u32, u32), Hole> {
        &self.holes
    }

    /// Returns the (cores, batch) pairs that a plan may rest on, in increasing order: those that were measured, and holes
    /// that the family's surface is sure enough of.
    #[must_use]
    pub fn usable(&self) -> Vec<(u32, u32)> {
        let sure = self.holes.iter().filter(|(_, hole)| hole.is_sure()).map(|(&at, _)| at);
        let mut usable: Vec<(u32, u32)> = self.measured().chain(sure).collect();
        usable.sort_unstable();
        usable
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
        if let Some(service) = self.node(cores, batch) {
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
                let mut rest = Self { measured: self.measured.clone(), holes: BTreeMap::new() };
                rest.measured.remove(&(cores, batch));
                let guess = rest.along_batch(cores, batch).or_else(|| rest.along_cores(cores, batch))?;
                let relative = guess.law.mean_ms() / truth.law.mean_ms() - 1.0;
                Some(Residual { cores, batch, relative })
            })
            .collect()
    }

    /// Returns what was measured, or filled in by a surface that is sure enough.
    fn node(&self, cores: u32, batch: u32) -> Option<&Service> {
        let at = (cores, batch);
        let hole = || self.holes.get(&at).filter(|hole| hole.is_sure()).map(|hole| &hole.service);
        self.measured.get(&at).or_else(hole)
    }

    fn along_batch(&self, cores: u32, batch: u32) -> Option<Service> {
        let batches = self.usable().into_iter().filter(|at| at.0 == cores).map(|at| at.1);
        let (below, above): (Vec<u32>, Vec<u32>) = batches.partition(|&b| b < batch);
        let (low, high) = (*below.last()?, *above.iter().find(|&&b| b > batch)?);
        let part = f64::from(batch - low) / f64::from(high - low);
        Some(between(self.node(cores, low)?, self.node(cores, high)?, part))
    }

    fn usable_cores(&self) -> Vec<u32> {
        let mut cores: Vec<u32> = self.usable().into_iter().map(|at| at.0).collect();
        cores.dedup();
        cores
    }

    fn along_cores(&self, cores: u32, batch: u32) -> Option<Service> {
        let on = |candidates: Vec<u32>| {
            candidates.into_iter().find_map(|k| {
                let service = self.node(k, batch).cloned().or_else(|| self.along_batch(k, batch))?;
                Some((k, service))
            })
        };
        let (fewer, more): (Vec<u32>, Vec<u32>) = self.usable_cores().into_iter().partition(|&k| k < cores);
        let (low, slow) = on(fewer.into_iter().rev().collect())?;
        let (high, fast) = on(more.into_iter().filter(|&k| k > cores).collect())?;
        let inverse = |k: u32| 1.0 / f64::from(k);
        let part = (inverse(low) - inverse(cores)) / (inverse(low) - inverse(high));
        Some(between(&slow, &fast, part))
    }
}

/// Returns what was measured of some variant and not of others.
fn holes(curves: &[Option<Curve>], alone: &[&Point]) -> Vec<Spot> {
    let mut keys: Vec<Key> = alone.iter().map(|point| Key::of(point)).collect();
    keys.sort_unstable();
    keys.dedup();
    let known = curves.iter().enumerate().filter(|(_, curve)| curve.is_some());
    known.flat_map(|(variant, _)| keys.iter().map(move |&key| (variant, key))).collect()
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
            .map_or_else(|| Distribution::constant(point.latency.mean_ms.get()), crate::stats::Histogram::distribution),
        trust: if imported { Trust::Imported } else { Trust::Measured },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Curve, Service};
    use crate::profile::Trust;
    use crate::stats::Distribution;

    fn curve(points: &[((u32, u32), f64)]) -> Curve {
        let service = |ms: f64| Service { law: Distribution::constant(ms), trust: Trust::Measured };
        Curve { measured: points.iter().map(|&(key, ms)| (key, service(ms))).collect(), holes: BTreeMap::new() }
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
