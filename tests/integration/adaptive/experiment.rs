//! A full grid, measured once, replayed: only what the chooser asks for is revealed, all else judges its predictions.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use planner::Findings;
use planner::facts::Facts;
use planner::format::{Loaded, load};
use planner::plan::Plan;
use planner::problem::Problem;
use planner::profile::adaptive::{Aim, Chooser, HeldOut, full_grid};
use planner::profile::sample::latency;
use planner::profile::{Histogram, Key, Point, Profile, Seen, Spot, Surface, Variant};
use planner::rooms::{self, Answer, Configuration, Context, relevance};
use planner::units::{Accuracy, Millis, Rate, Share};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Bounds of what was not measured, in calibrated standard deviations.
pub const BOUND: f64 = 3.0;

/// A grid that was measured in full, and a problem that rests on it.
pub struct Bench {
    pub name: &'static str,
    pub profile: Profile,
    pub problem: Problem,
}

/// What measuring less came to.
pub struct Figures {
    pub points: usize,
    pub of: usize,
    pub waves: usize,
    /// Time of the calls of the full grid ÷ those of the points chosen.
    pub time_saved: f64,
    /// |predicted ÷ measured − 1| of the points not chosen: median, mean, worst.
    pub errors: [f64; 3],
    /// Part of the points not chosen that lie in the calibrated 95 % interval.
    pub covered: f64,
    /// What the chooser saw on points that it kept from the surface.
    pub held_out: HeldOut,
    /// By what it raised its doubt.
    pub calibration: f64,
    /// What it expects of the rest.
    pub expected_error: f64,
    /// Part of all loads up to the asked one at which the plan uses the same (variant, cores, replicas, batch).
    pub same_plan: f64,
    /// The same of (variant, cores) alone.
    pub same_cores: f64,
    /// Largest difference of what the two plans claim the goal to be worth, over loads that both carry.
    pub objective_off: f64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |part: f64| format!("{:.1} %", 100.0 * part);
        let [median, mean, worst] = self.errors.map(percent);
        write!(
            f,
            "{} of {} points in {} waves, {:.2} × less time; ",
            self.points, self.of, self.waves, self.time_saved
        )?;
        write!(
            f,
            "not measured: median {median}, mean {mean}, worst {worst}, {} in the interval; ",
            percent(self.covered)
        )?;
        let held_out = &self.held_out;
        write!(
            f,
            "held out: {} points, median {}, mean {}, ",
            held_out.points,
            percent(held_out.median),
            percent(held_out.mean)
        )?;
        write!(f, "{:.2} deviations, {} expected of the rest; ", self.calibration, percent(self.expected_error))?;
        write!(
            f,
            "same plan at {} of loads, same cores at {}, objective off by {:.5}",
            percent(self.same_plan),
            percent(self.same_cores),
            self.objective_off
        )
    }
}

/// How the points are chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Way {
    /// Until the rest is predicted within this error.
    Within(f64),
    /// The same, then what could change the plan.
    WithinAndFor(f64),
    /// Only what could change the plan.
    For,
}

impl Way {
    fn error(self) -> f64 {
        match self {
            Self::Within(error) | Self::WithinAndFor(error) => error,
            Self::For => 0.05,
        }
    }
}

impl Bench {
    pub fn digits() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let profile = load::<Profile>(&root.join("profiles/digits.json")).expect("shipped").document;
        let problem = load::<Problem>(&root.join("problems/digits.toml")).expect("shipped").document;
        Self { name: "digits", profile, problem }
    }

    /// Six variants of a heavier family, 1 to 16 cores and batches of 1 to 128, with steps, roughness and noise.
    pub fn heavier(seed: u64) -> Self {
        let Self { profile: like, mut problem, .. } = Self::digits();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut profile = Profile { variants: Vec::new(), points: Vec::new(), answers: None, ..like.clone() };
        for variant in 0..6u32 {
            let law = Law::draw(variant, &mut rng);
            let accuracy = Accuracy::saturating(0.70 + 0.05 * f64::from(variant));
            let mut fact = like.variants[0].clone();
            fact.name = format!("net_{variant}");
            fact.accuracy.value = accuracy;
            (fact.accuracy.low, fact.accuracy.high) = (accuracy, accuracy);
            for cores in [1, 2, 4, 8, 16] {
                for batch in [1, 2, 4, 8, 16, 32, 64, 128] {
                    let key = Key { cores, batch, co_runners: 0 };
                    profile.points.push(point(&like.points[0], &fact, key, law.ms(key, &mut rng), &mut rng));
                }
            }
            profile.variants.push(fact);
        }
        problem.slo.latency_ms = Millis::saturating(400.0);
        problem.inventory.cores = 32;
        problem.workload.max_rps = Rate::saturating(400.0);
        Self { name: "heavier", profile, problem }
    }

    pub fn grid(&self) -> Vec<Spot> {
        let spread = |of: fn(&Point) -> u32| {
            let mut values: Vec<u32> = self.profile.points.iter().map(of).collect();
            values.sort_unstable();
            values.dedup();
            values
        };
        full_grid(self.profile.variants.len(), &spread(|p| p.cores), &spread(|p| p.batch), &[0])
    }

    fn index(&self, point: &Point) -> usize {
        self.profile.variants.iter().position(|variant| variant.name == point.variant).expect("a known variant")
    }

    fn point(&self, spot: Spot) -> &Point {
        let name = &self.profile.variants[spot.0].name;
        self.profile.points_of(name).find(|point| Key::of(point) == spot.1).expect("the grid is full")
    }

    /// Returns the profile with these points only.
    pub fn revealed(&self, spots: &[Spot]) -> Profile {
        let points = self.profile.points.iter().filter(|point| spots.contains(&(self.index(point), Key::of(point))));
        Profile { points: points.cloned().collect(), ..self.profile.clone() }
    }

    /// Returns the time of the calls of some points, in milliseconds.
    fn time_ms(&self, spots: &[Spot]) -> f64 {
        spots.iter().map(|&spot| self.point(spot)).map(|p| p.count as f64 * p.latency.mean_ms.get()).sum()
    }

    fn plan(&self, profile: &Profile) -> Option<Plan> {
        match rooms::solve(&self.problem, &facts(profile), Context::default()).expect("solves") {
            Answer::Plan(plan) => Some(*plan),
            Answer::Infeasible(_) => None,
        }
    }

    /// Chooses and reveals until the chooser has enough.
    pub fn run(&self, way: Way) -> Figures {
        let grid = self.grid();
        let (error, budget) = (way.error(), self.profile.provenance.budget_ms);
        let mut chooser = Chooser::new(&grid, Aim { error: Share::saturating(error), budget, calls: 100 });
        let (mut chosen, mut waves) = (Vec::new(), 0);
        loop {
            let seen: Vec<Seen> = chosen.iter().map(|&spot: &Spot| Seen::of(spot.0, self.point(spot))).collect();
            let mut wave = if way == Way::For && waves > 0 { Vec::new() } else { chooser.next(&seen, &|_| 1.0) };
            if wave.is_empty() && !matches!(way, Way::Within(_)) {
                // The outcome foretells every point, so that the next measurements judge it.
                let _foretold = chooser.outcome(&seen);
                wave = self.needed(&chosen, BOUND * chooser.calibration());
            }
            if wave.is_empty() {
                return self.judge(&chosen, waves, chooser.outcome(&seen), chooser.calibration());
            }
            chosen.extend(wave);
            waves += 1;
        }
    }

    /// Returns how much less time the points take that the best plan rests on: no way of choosing them can save more.
    pub fn most_saved(&self) -> f64 {
        let plan = self.plan(&self.profile).expect("feasible");
        let names: Vec<&str> = self.profile.variants.iter().map(|variant| variant.name.as_str()).collect();
        let mut rests: Vec<Spot> = Vec::new();
        for lane in plan.gears.iter().flat_map(|gear| &gear.stages).flat_map(|stage| &stage.lanes) {
            let cores = plan.pool(&lane.pool).expect("named").on.cores();
            let variant = names.iter().position(|name| *name == lane.variant).expect("known");
            rests.push((variant, Key { cores, batch: lane.batch, co_runners: 0 }));
        }
        rests.sort_unstable();
        rests.dedup();
        self.time_ms(&self.grid()) / self.time_ms(&rests)
    }

    fn needed(&self, chosen: &[Spot], deviations: f64) -> Vec<Spot> {
        let names: Vec<&str> = self.profile.variants.iter().map(|variant| variant.name.as_str()).collect();
        let asked: Vec<Configuration> = self.grid().iter().map(|spot| (names[spot.0].to_owned(), spot.1)).collect();
        let known = facts(&self.revealed(chosen));
        let found = relevance(&self.problem, &known, (&asked, "cpu"), deviations, Context::default()).expect("solves");
        let index = |name: &str| names.iter().position(|known| *known == name).expect("a known variant");
        found.needed.into_iter().map(|(name, key)| (index(&name), key)).collect()
    }

    fn judge(
        &self,
        chosen: &[Spot],
        waves: usize,
        outcome: planner::profile::adaptive::Outcome,
        calibration: f64,
    ) -> Figures {
        let grid = self.grid();
        let seen: Vec<Seen> = chosen.iter().map(|&spot| Seen::of(spot.0, self.point(spot))).collect();
        let left: Vec<Spot> = grid.iter().filter(|spot| !chosen.contains(spot)).copied().collect();
        let surface = Surface::of(&seen, &left).expect("something was measured");
        let misses: Vec<(f64, f64)> = surface
            .predictions()
            .into_iter()
            .map(|(spot, predicted)| {
                let truth = Seen::of(spot.0, self.point(spot)).median_ms;
                let miss = predicted.median_ms / truth - 1.0;
                (miss.abs(), (predicted.median_ms / truth).ln().abs() / (predicted.spread * calibration))
            })
            .collect();
        let mut errors: Vec<f64> = misses.iter().map(|miss| miss.0).collect();
        errors.sort_by(f64::total_cmp);
        let count = errors.len().max(1) as f64;
        let inside = misses.iter().filter(|miss| miss.1 < 1.96).count() as f64;
        let (same_plan, same_cores, objective_off) = self.compare(&self.revealed(chosen));
        Figures {
            points: chosen.len(),
            of: grid.len(),
            waves,
            time_saved: self.time_ms(&grid) / self.time_ms(chosen),
            errors: [
                errors.get(errors.len() / 2).copied().unwrap_or(0.0),
                errors.iter().sum::<f64>() / count,
                errors.last().copied().unwrap_or(0.0),
            ],
            covered: inside / count,
            held_out: outcome.held_out,
            calibration,
            expected_error: outcome.expected_error,
            same_plan,
            same_cores,
            objective_off,
        }
    }

    /// Returns at which part of all loads two plans use the same lanes, and how far their objectives are apart at most.
    fn compare(&self, partial: &Profile) -> (f64, f64, f64) {
        let (full, less) = (self.plan(&self.profile), self.plan(partial));
        let (Some(full), Some(less)) = (full, less) else { return (0.0, 0.0, f64::INFINITY) };
        let most = self.problem.workload.max_rps.get();
        let loads: Vec<f64> = (1..=1000).map(|step| most * f64::from(step) / 1000.0).collect();
        let same = loads.iter().filter(|&&load| lanes(&full, load) == lanes(&less, load)).count();
        let objective = |plan: &Plan, load: f64| {
            let gear = plan.gears.iter().find(|gear| gear.up_to_rps.get() >= load * (1.0 - 1e-9));
            gear.and_then(|gear| gear.certificate.as_ref()).map_or(f64::NAN, |certificate| certificate.objective)
        };
        let off = loads.iter().map(|&load| (objective(&full, load) - objective(&less, load)).abs());
        let alike = loads.iter().filter(|&&load| cores(&full, load) == cores(&less, load)).count();
        let part = |count: usize| count as f64 / loads.len() as f64;
        (part(same), part(alike), off.fold(0.0, f64::max))
    }
}

/// Returns (pool, batch, replicas) of the lanes that serve a load.
fn lanes(plan: &Plan, load: f64) -> Vec<(String, u32, u32)> {
    let gear = plan.gears.iter().find(|gear| gear.up_to_rps.get() >= load * (1.0 - 1e-9));
    let of = |gear: &planner::plan::Gear| {
        let lanes = gear.stages.iter().flat_map(|stage| &stage.lanes);
        let mut lanes: Vec<_> = lanes
            .map(|lane| {
                let replicas = plan.pool(&lane.pool).map_or(0, |pool| gear.replicas_of(pool));
                (lane.pool.clone(), lane.batch, replicas)
            })
            .collect();
        lanes.sort();
        lanes
    };
    gear.map(of).unwrap_or_default()
}

/// Returns the cores of every variant that serves a load.
fn cores(plan: &Plan, load: f64) -> Vec<(String, u32)> {
    let of = |(name, _, replicas): (String, u32, u32)| {
        let pool = plan.pool(&name).expect("lanes name pools");
        (pool.hosts[0].clone(), replicas * pool.on.cores())
    };
    lanes(plan, load).into_iter().map(of).collect()
}

pub fn facts(profile: &Profile) -> Facts {
    let loaded = Loaded {
        document: profile.clone(),
        findings: Findings::default(),
        path: PathBuf::from("memory.json"),
        sha256: String::new(),
    };
    Facts::of(vec![(loaded, None)]).expect("one profile")
}

/// A variant of the heavier family: overhead, work and serial part, a cache that large batches overflow, and roughness.
struct Law {
    overhead_ms: f64,
    sample_ms: f64,
    serial: f64,
    cores_of_a_sample: f64,
    cache_batch: f64,
    cache_step: f64,
    roughness: Vec<f64>,
}

impl Law {
    fn draw(variant: u32, rng: &mut ChaCha8Rng) -> Self {
        let sample_ms = 1.2 * 2.1f64.powi(variant as i32) * rng.random_range(0.85..1.15);
        Self {
            overhead_ms: rng.random_range(0.3..3.0),
            sample_ms,
            serial: rng.random_range(0.02..0.12),
            cores_of_a_sample: rng.random_range(2.0..6.0),
            cache_batch: 64.0 / 1.6f64.powi(variant as i32),
            cache_step: rng.random_range(0.05..0.20),
            roughness: (0..64).map(|_| 0.02 * normal(rng)).collect(),
        }
    }

    /// The median of one run: the law, and 1 % that a run differs by.
    fn ms(&self, key: Key, rng: &mut ChaCha8Rng) -> f64 {
        let (b, c) = (f64::from(key.batch), f64::from(key.cores));
        let shared = c.min(b * self.cores_of_a_sample);
        let step = 1.0 + if b > self.cache_batch { self.cache_step } else { 0.0 };
        let work = b * self.sample_ms * step * (self.serial + (1.0 - self.serial) / shared);
        let place = (8 * key.cores.ilog2() + key.batch.ilog2()) as usize;
        (self.overhead_ms + work) * (self.roughness[place] + 0.01 * normal(rng)).exp()
    }
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random_range(1e-12..1.0), rng.random_range(0.0..1.0));
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// Makes a point from lognormal calls: 100 of them, or as many as 300 ms allow, at least 5.
fn point(like: &Point, variant: &Variant, key: Key, median_ms: f64, rng: &mut ChaCha8Rng) -> Point {
    let count = ((300.0 / median_ms) as usize).clamp(5, 100);
    let walls: Vec<Duration> =
        (0..count).map(|_| Duration::from_secs_f64(median_ms / 1e3 * (0.04 * normal(rng)).exp())).collect();
    let latency = latency(&walls);
    Point {
        variant: variant.name.clone(),
        batch: key.batch,
        cores: key.cores,
        co_runners: key.co_runners,
        count: count as u64,
        latency,
        throughput_rps: Rate::saturating(1e3 * f64::from(key.batch) / latency.mean_ms.get()),
        histogram: Some(Histogram::of(&walls)),
        ..like.clone()
    }
}
