//! Calls as a plan makes them: closed-loop times multiplied by the pace that a profile measured.
//!
//! ```text
//! every plan                          after a pause
//! a replica hosts several variants    after another variant's call, where that is longer
//! replicas side by side on one host   beside as many busy neighbours as fit, where neighbours were measured
//! ```

use super::{Facts, slowdowns};
use crate::base::codec::Loaded;
use crate::problem::{Problem, RoomName};
use crate::profile::{Curve, Pace, Point, Profile};

/// How a plan makes calls, as far as a problem tells before anything is chosen. By default, and by published formulations, calls are
/// as long as measured in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Serving {
    /// Whether a replica pauses between calls.
    pub pauses: bool,
    /// Whether a replica hosts several variants.
    pub hosts_several: bool,
    /// Cores of the host, or of the largest rented machine, on which replicas run side by side; 0 if unknown.
    pub cores: u32,
}

impl Serving {
    /// Replicas that host one variant each, of whose neighbours nothing is known.
    pub const ALONE: Self = Self { pauses: true, hosts_several: false, cores: 0 };

    /// Returns how the plans of a problem make calls.
    #[must_use]
    pub fn of(problem: &Problem) -> Self {
        if problem.room.is_published() {
            return Self::default();
        }
        let of_machines = problem.inventory.machines.iter().map(|machine| machine.cores).max();
        let cores = problem.inventory.cores.max(of_machines.unwrap_or(0));
        Self { pauses: true, hosts_several: problem.room.name() == RoomName::Cascade, cores }
    }

    /// Returns by how much calls are longer after what comes before them.
    fn after(self, pace: &Pace) -> f64 {
        let pause = if self.pauses { pace.after_pause.value } else { 1.0 };
        let other = pace.after_other.filter(|_| self.hosts_several).map_or(1.0, |other| other.value);
        pause.max(other)
    }

    /// Returns by how much calls on so many cores are longer beside as many busy neighbours as fit on the host, given what is known
    /// for each number of them from 0 on.
    pub(crate) fn beside(self, slowdowns: &[f64], cores: u32) -> f64 {
        let neighbours = (self.cores / cores.max(1)).saturating_sub(1) as usize;
        slowdowns.get(neighbours).or(slowdowns.last()).copied().unwrap_or(1.0).max(1.0)
    }
}

/// Returns how many times as long as in a row a plan's calls of a variant take, by (cores, batch). What was not tried takes the factor
/// of the nearest point.
fn factors<'a>(
    profile: &'a Profile,
    (variant, device): (&'a str, &'a str),
    serving: Serving,
) -> impl Fn((u32, u32)) -> f64 + use<'a> {
    let points: Vec<&Point> = profile.points_of(variant).filter(|point| point.device == device).collect();
    let octaves = |a: u32, b: u32| (f64::from(a) / f64::from(b)).ln().abs();
    move |(cores, batch)| {
        let far = |point: &Point| octaves(point.cores, cores) + octaves(point.batch, batch);
        let alone = points.iter().filter(|point| point.co_runners == 0);
        let pace = alone.min_by(|a, b| far(a).total_cmp(&far(b))).and_then(|point| point.pace);
        let after = pace.map_or(1.0, |pace| serving.after(&pace));
        after * serving.beside(&slowdowns(points.iter().copied(), device, cores), cores)
    }
}

/// Returns a curve whose times are those of calls as a plan makes them.
pub(super) fn served(curve: &Curve, profile: &Profile, named: (&str, &str), serving: Serving) -> Curve {
    curve.times(factors(profile, named, serving))
}

impl Facts {
    /// Returns how many times as long as in a row calls are taken to be, the least and the most over all measured points; `None` where
    /// no profile says more than that.
    #[must_use]
    pub fn pace(&self) -> Option<(f64, f64)> {
        let points =
            self.profiles.iter().flat_map(|profile| profile.document.points.iter().map(move |point| (profile, point)));
        let factor = |(profile, point): (&Loaded<Profile>, &Point)| {
            factors(&profile.document, (&point.variant, &point.device), self.serving)((point.cores, point.batch))
        };
        let factors = points.filter(|(_, point)| point.co_runners == 0).map(factor);
        let (least, most) =
            factors.fold((f64::INFINITY, 1.0), |(least, most), factor| (factor.min(least), factor.max(most)));
        (most > 1.0).then_some((least, most))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Serving;
    use crate::base::codec::load;
    use crate::base::units::Millis;
    use crate::facts::Facts;
    use crate::problem::Resource;
    use crate::profile::{Pace, Profile};
    use crate::stats::effect::Ratio;

    fn mean_ms(change: impl Fn(&mut Profile), serving: Serving, cores: u32, batch: u32) -> f64 {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json");
        let mut profile = load::<Profile>(&path).expect("the shipped profile loads");
        change(&mut profile.document);
        let facts = Facts::of_kinds(vec![(profile, None)], &[], serving).expect("one profile");
        let on = Resource::Cores { cores, price_usd_per_core_hour: crate::base::units::Usd::default() };
        facts.service("cnn_s", &on, batch).expect("measured").law.mean_ms()
    }

    fn exactly(value: f64) -> Ratio {
        Ratio { value, low: value, high: value }
    }

    fn paced(profile: &mut Profile) {
        for point in &mut profile.points {
            point.pace = Some(Pace { after_pause: exactly(1.1), after_other: Some(exactly(1.25)) });
        }
    }

    #[test]
    fn calls_are_as_long_as_after_what_comes_before_them() {
        let [alone, several] = [false, true].map(|hosts_several| Serving { pauses: true, hosts_several, cores: 0 });
        let in_a_row = mean_ms(|_| (), several, 1, 4);
        assert!((mean_ms(paced, alone, 1, 4) / in_a_row - 1.1).abs() < 1e-9);
        assert!((mean_ms(paced, several, 1, 4) / in_a_row - 1.25).abs() < 1e-9);
        // Between measured batches the curve lies between the measured ones.
        assert_eq!(mean_ms(paced, Serving::default(), 1, 4), in_a_row);
        assert!((mean_ms(paced, alone, 1, 3) / mean_ms(|_| (), alone, 1, 3) - 1.1).abs() < 1e-9);
    }

    #[test]
    fn replicas_side_by_side_are_as_slow_as_beside_so_many_neighbours() {
        let neighbours = |profile: &mut Profile| {
            let here = profile.points.iter().filter(|point| point.variant == "cnn_s" && point.cores == 1);
            let mut beside: Vec<_> = here.cloned().collect();
            for point in &mut beside {
                point.co_runners = 1;
                point.latency.mean_ms = Millis::saturating(1.5 * point.latency.mean_ms.get());
            }
            profile.points.extend(beside);
        };
        let on = |cores| Serving { pauses: true, hosts_several: false, cores };
        let alone = mean_ms(|_| (), on(0), 1, 4);
        for (cores, times) in [(0, 1.0), (1, 1.0), (2, 1.5), (16, 1.5)] {
            assert!((mean_ms(neighbours, on(cores), 1, 4) / alone - times).abs() < 1e-9, "{cores} cores");
        }
        // One replica on two of two cores has no neighbour.
        assert!((mean_ms(neighbours, on(2), 2, 4) / mean_ms(|_| (), on(2), 2, 4) - 1.0).abs() < 1e-9);
    }
}
