//! A full grid, measured once, replayed: only what the chooser asks for is revealed, all else judges its predictions. A
//! glimpse is a few calls drawn from the point's histogram, all of them off by the luck of a visit.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use planner::Findings;
use planner::base::codec::{Loaded, load};
use planner::base::units::{Accuracy, Millis, Rate, Share};
use planner::facts::Facts;
use planner::measure::Wave;
use planner::measure::adaptive::{Aim, Chooser, HeldOut, Known, full_grid};
use planner::plan::Plan;
use planner::planners;
use planner::planners::relevance;
use planner::problem::Problem;
use planner::profile::{Bound, Calibration, Glimpse, Key, Point, Profile, Seen, Spot, Variant};
use planner::rooms::{Answer, Context, PointKey, hopeful};
use planner::stats::Histogram;
use planner::stats::sample::latency;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Bounds of what was not measured in full, in calibrated standard deviations.
pub const BOUND: Bound = Bound { glimpsed: 2.0, unseen: 4.0, near_tie: 0.0 };
/// What is left out as a near tie, by default.
pub const NEAR_TIE: f64 = 0.03;
/// Standard deviation, relative to the median, of what one visit differs by from another.
const LUCK: f64 = 0.02;

/// A grid that was measured in full, and a problem that rests on it.
pub struct Bench {
    pub name: &'static str,
    pub profile: Profile,
    pub problem: Problem,
    /// Which draw of all glimpses.
    pub draw: u64,
}

/// What measuring less came to.
pub struct Figures {
    /// Points measured in full.
    pub points: usize,
    /// Points that were glimpsed and no more.
    pub glimpsed: usize,
    pub of: usize,
    pub waves: usize,
    /// Time of the calls of the full grid ÷ that of the calls made.
    pub time_saved: f64,
    /// |predicted ÷ measured − 1| of the points not measured in full: median, mean, worst.
    pub errors: [f64; 3],
    /// Part of these that lie in the calibrated 95 % interval.
    pub covered: f64,
    /// What the chooser saw on points that it kept from the surface.
    pub held_out: HeldOut,
    /// By what it raised its doubt.
    pub calibration: Calibration,
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
            "{} and {} glimpses of {} points in {} waves, {:.2} × less time; ",
            self.points, self.glimpsed, self.of, self.waves, self.time_saved
        )?;
        write!(
            f,
            "the rest: median {median}, mean {mean}, worst {worst}, {} in the interval; ",
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
        let Calibration { glimpsed, unseen } = self.calibration;
        write!(f, "{glimpsed:.2} and {unseen:.2} deviations, {} expected; ", percent(self.expected_error))?;
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
    /// Only what could change the plan, near ties within this part left out.
    For(f64),
}

impl Way {
    fn near_tie(self) -> f64 {
        if let Self::For(near_tie) = self { near_tie } else { NEAR_TIE }
    }

    fn error(self) -> f64 {
        match self {
            Self::Within(error) | Self::WithinAndFor(error) => error,
            Self::For(_) => 0.05,
        }
    }
}

impl Bench {
    pub fn digits() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let profile = load::<Profile>(&root.join("profiles/digits.json")).expect("shipped").document;
        let problem = load::<Problem>(&root.join("problems/digits.toml")).expect("shipped").document;
        Self { name: "digits", profile, problem, draw: 0 }
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
        Self { name: "heavier", profile, problem, draw: 0 }
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

    /// Returns the profile with these points only, and glimpses of others.
    pub fn revealed(&self, full: &[Spot], glimpsed: &[Spot]) -> Profile {
        let points = self.profile.points.iter().filter(|point| full.contains(&(self.index(point), Key::of(point))));
        let glimpses = glimpsed.iter().filter(|spot| !full.contains(spot)).map(|&spot| self.glimpse(spot));
        Profile { points: points.cloned().collect(), glimpses: glimpses.collect(), ..self.profile.clone() }
    }

    /// Draws a glimpse of a point; the same one every time.
    pub fn glimpse(&self, (variant, key): Spot) -> Glimpse {
        let point = self.point((variant, key));
        let seed = self.draw << 50 | (variant as u64) << 40 | u64::from(key.cores) << 20 | u64::from(key.batch);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let luck = (LUCK * normal(&mut rng)).exp();
        let law = point.histogram.as_ref().expect("measured").distribution();
        let mut call = || Duration::from_secs_f64(luck * law.quantile_ms(rng.random_range(0.0..1.0)) / 1e3);
        let walls: Vec<Duration> = (1..glimpse_calls(point)).map(|_| call()).collect();
        Glimpse {
            variant: point.variant.clone(),
            batch: key.batch,
            cores: key.cores,
            device: point.device.clone(),
            co_runners: 0,
            count: walls.len() as u64,
            p50: latency(&walls).p50,
            contended: false,
        }
    }

    /// Returns the time of the calls that measuring some points in full takes by default, in milliseconds: in three blocks,
    /// three calls to begin with, then for 100 ms, no more than 134 and no fewer than 5.
    fn time_ms(&self, full: &[Spot]) -> f64 {
        let of = |point: &Point| {
            let mean = point.latency.mean_ms.get();
            3.0 * (3.0 + (100.0 / mean).clamp(5.0, 134.0)) * mean
        };
        full.iter().map(|&spot| of(self.point(spot))).sum()
    }

    /// Returns the same of glimpses.
    fn glimpses_ms(&self, glimpsed: &[Spot]) -> f64 {
        let of = |point: &Point| glimpse_calls(point) as f64 * point.latency.mean_ms.get();
        glimpsed.iter().map(|&spot| of(self.point(spot))).sum()
    }

    /// Returns what a chooser is told of.
    pub fn known(&self, full: &[Spot], glimpsed: &[Spot]) -> Known {
        let glimpses = glimpsed.iter().filter(|spot| !full.contains(spot));
        Known {
            full: full.iter().map(|&spot| Seen::of(spot.0, self.point(spot))).collect(),
            glimpsed: glimpses.map(|&spot| Seen::at_a_glimpse(spot.0, &self.glimpse(spot))).collect(),
        }
    }

    fn plan(&self, profile: &Profile) -> Option<Plan> {
        match planners::solve(&self.problem, &facts(profile), Context::default()).expect("solves") {
            Answer::Plan(plan) => Some(*plan),
            Answer::Infeasible(_) => None,
        }
    }

    /// Chooses and reveals until the chooser has enough.
    pub fn run(&self, way: Way) -> Figures {
        let grid = self.grid();
        let (error, budget) = (way.error(), self.profile.provenance.budget_ms);
        let mut chooser = Chooser::new(&grid, Aim { error: Share::saturating(error), budget, calls: 400 });
        let (mut full, mut glimpsed, mut waves) = (Vec::new(), Vec::new(), 0);
        loop {
            let known = self.known(&full, &glimpsed);
            let mut wave = match way {
                Way::For(_) if waves == 0 => chooser.begin(&known, &|_| 1.0),
                Way::For(_) => Wave::default(),
                _ => chooser.next(&known, &|_| 1.0),
            };
            if wave.is_empty() && !matches!(way, Way::Within(_)) {
                // The outcome foretells every point, so that the next look judges it.
                let _foretold = chooser.outcome(&known);
                wave = self.needed((&full, &glimpsed), chooser.calibration(), way.near_tie());
            }
            if wave.is_empty() {
                return self.judge((&full, &glimpsed), waves, &mut chooser);
            }
            glimpsed.extend(wave.glimpsed);
            full.extend(wave.full);
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

    fn needed(&self, (full, glimpsed): (&[Spot], &[Spot]), raised: Calibration, near_tie: f64) -> Wave {
        let names: Vec<&str> = self.profile.variants.iter().map(|variant| variant.name.as_str()).collect();
        let named =
            |spots: &[Spot]| -> Vec<PointKey> { spots.iter().map(|spot| (names[spot.0].to_owned(), spot.1)).collect() };
        let index = |name: &str| names.iter().position(|known| *known == name).expect("a known variant");
        let spots = |configurations: Vec<PointKey>| -> Vec<Spot> {
            configurations.into_iter().map(|(name, key)| (index(&name), key)).collect()
        };
        let bound = BOUND.raised(raised);
        let known = facts(&self.revealed(full, glimpsed));
        let grid = self.grid();
        let unseen: Vec<Spot> =
            grid.iter().filter(|spot| !full.contains(spot) && !glimpsed.contains(spot)).copied().collect();
        let mut worth_a_glimpse = hopeful(&self.problem, &known, (&named(&unseen), "cpu"), bound).expect("known room");
        worth_a_glimpse.truncate(grid.len().div_ceil(8));
        if !worth_a_glimpse.is_empty() {
            return Wave { glimpsed: spots(worth_a_glimpse), full: Vec::new() };
        }
        let bound = Bound { near_tie, ..bound };
        let found =
            relevance(&self.problem, &known, (&named(&grid), "cpu"), bound, Context::default()).expect("solves");
        Wave { glimpsed: Vec::new(), full: spots(found.needed) }
    }

    fn judge(&self, (full, glimpsed): (&[Spot], &[Spot]), waves: usize, chooser: &mut Chooser) -> Figures {
        let grid = self.grid();
        let outcome = chooser.outcome(&self.known(full, glimpsed));
        let misses: Vec<(f64, f64)> = outcome
            .left_out
            .iter()
            .map(|left| {
                let off = left.predicted.median_ms / Seen::of(left.spot.0, self.point(left.spot)).median_ms;
                ((off - 1.0).abs(), off.ln().abs() / left.predicted.spread)
            })
            .collect();
        let mut errors: Vec<f64> = misses.iter().map(|miss| miss.0).collect();
        errors.sort_by(f64::total_cmp);
        let count = errors.len().max(1) as f64;
        let inside = misses.iter().filter(|miss| miss.1 < 1.96).count() as f64;
        let (same_plan, same_cores, objective_off) = self.compare(&self.revealed(full, glimpsed));
        Figures {
            points: full.len(),
            glimpsed: glimpsed.iter().filter(|spot| !full.contains(spot)).count(),
            of: grid.len(),
            waves,
            time_saved: self.time_ms(&grid) / (self.time_ms(full) + self.glimpses_ms(glimpsed)),
            errors: [
                errors.get(errors.len() / 2).copied().unwrap_or(0.0),
                errors.iter().sum::<f64>() / count,
                errors.last().copied().unwrap_or(0.0),
            ],
            covered: inside / count,
            held_out: outcome.held_out,
            calibration: outcome.calibration,
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

/// Returns the calls of a glimpse by default: one to begin with, then for 10 ms, no more than 15 and no fewer than 6.
fn glimpse_calls(point: &Point) -> usize {
    1 + (5.0 / point.latency.mean_ms.get()).ceil().clamp(6.0, 200.0) as usize
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
