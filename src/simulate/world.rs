//! What a simulation does not decide itself: how long calls take and what variants answer.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ids::{Id, PoolId, VariantId};
use crate::base::finding::{Code, Finding, Findings};
use crate::facts::Facts;
use crate::plan::Plan;
use crate::problem::Resource;
use crate::profile::Answers;
use crate::stats::{Dice, unit_of};
use crate::stats::{Distribution, Histogram};

/// How long calls take and what variants answer.
pub trait World {
    /// Draws the time of one call of `batch` samples, in nanoseconds.
    fn service_ns(&self, variant: VariantId, pool: PoolId, batch: u32, dice: &mut Dice) -> u64;

    /// Returns the time of a call where slow stretches hang over many calls: those of one stretch take the same quantile. `None` where
    /// every call is drawn by itself.
    fn stretched_ns(&self, _variant: VariantId, _pool: PoolId, _batch: u32, _start: Start) -> Option<u64> {
        None
    }

    /// Returns how many times as long a call takes beside so many busy replicas on the cores of the same machine;
    /// `None` where calls of this variant on this pool do not feel them.
    fn slowdown(&self, _variant: VariantId, _pool: PoolId, _neighbours: u32) -> Option<f64> {
        None
    }

    /// Returns the mean time of one call of `batch` samples, in nanoseconds.
    fn mean_service_ns(&self, variant: VariantId, pool: PoolId, batch: u32) -> f64;

    /// Returns how certain a variant is of its answer to a sample, and whether it is right; `None` where nobody knows.
    fn answer(&self, variant: VariantId, sample: u32) -> Option<(f32, bool)>;

    /// Returns the number of samples that requests are drawn from; 0 where there are none.
    fn samples(&self) -> u32;

    /// Returns the time to bring a variant up, in nanoseconds.
    fn load_ns(&self, variant: VariantId) -> u64;
}

/// How a call finds the machine when it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Nanoseconds since the trial began.
    pub now: u64,
    /// Busy replicas of the same pool.
    pub busy: u32,
    /// Busy replicas on the cores of the same machine.
    pub neighbours: u32,
    /// Seed of the trial.
    pub seed: u64,
}

/// How long calls of each variant on each pool with each batch took.
pub type CallTimes = BTreeMap<(VariantId, PoolId, u32), Vec<Duration>>;

/// Returns the variants that any pool hosts, in the order in which the placement first names them.
#[must_use]
pub fn variants_of(plan: &Plan) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for host in plan.placement.iter().flat_map(|pool| &pool.hosts) {
        if !names.contains(&host.as_str()) {
            names.push(host);
        }
    }
    names
}

/// The world as it was measured: histograms, answers and load times of profiles.
#[derive(Debug)]
pub struct Measured {
    /// For each variant, pool and batch (from 1) the law of a call.
    laws: Vec<Vec<Vec<Law>>>,
    answers: Vec<Option<Vec<(f32, bool)>>>,
    samples: u32,
    load_ns: Vec<u64>,
    /// For each variant and pool how many times as long calls take beside 0, 1, … busy neighbours; empty where
    /// neighbours are not felt.
    slowdowns: Vec<Vec<Vec<f64>>>,
    /// For each variant, pool and batch (from 1) the law of a call in stretches; empty where every call is drawn by itself.
    stretches: Vec<Vec<Vec<Stretches>>>,
}

impl Measured {
    /// Returns the world of a plan, with every law that its lanes can need.
    ///
    /// # Errors
    /// A finding for every call, load time or certainty that the plan needs and nobody measured.
    pub fn new(plan: &Plan, facts: &Facts) -> Result<Self, Findings> {
        let mut findings = Findings::default();
        let variants = variants_of(plan);
        let laws = variants.iter().map(|variant| laws_of(plan, facts, variant, &mut findings)).collect();
        let load_ns = variants.iter().map(|variant| load_of(facts, variant, &mut findings)).collect();
        // Stages of a pipeline do different tasks: the answer of its last stage is not the answer of the whole.
        let is_pipeline = plan.provenance.problem.as_ref().is_some_and(|problem| !problem.stages().is_empty());
        let answer = |variant: &&str| Some(judged(facts.answers(variant).filter(|_| !is_pipeline)?, variant));
        let answers: Vec<_> = variants.iter().map(answer).collect();
        certainties_are_known(plan, facts, &mut findings);
        let samples = answers.iter().flatten().map(Vec::len).max().unwrap_or(0);
        let samples = u32::try_from(samples).unwrap_or(u32::MAX);
        findings.or(Self { laws, answers, samples, load_ns, slowdowns: Vec::new(), stretches: Vec::new() })
    }

    /// Returns the same world where replicas on cores slow each other down as was measured with co-runners; beside more
    /// neighbours than were measured, as much as beside the most that were.
    ///
    /// # Errors
    /// A finding for every lane on cores whose variant was never measured beside a neighbour.
    pub fn with_contention(mut self, plan: &Plan, facts: &Facts) -> Result<Self, Findings> {
        let mut findings = Findings::default();
        let mut of = |variant: &str, (index, pool): (usize, &crate::plan::Pool)| {
            if !matches!(pool.on, Resource::Cores { .. }) || !pool.hosts.iter().any(|host| host == variant) {
                return Vec::new();
            }
            let slowdowns = facts.slowdowns_on(plan, pool, variant);
            if slowdowns.len() < 2 {
                let cause = format!("`{variant}` on {} cores beside a busy neighbour", pool.on.cores());
                let action = "profile it with --co-runners 0,1, or simulate without --contention";
                findings.push(Finding::error(Code::NotMeasured, format!("placement[{index}]"), cause, action));
            }
            slowdowns
        };
        let pools = || plan.placement.iter().enumerate();
        self.slowdowns =
            variants_of(plan).into_iter().map(|variant| pools().map(|pool| of(variant, pool)).collect()).collect();
        findings.or(self)
    }

    /// Returns the same world where slow stretches hang over as many calls as was measured: what begins on a replica within one
    /// stretch takes the same quantile.
    ///
    /// # Errors
    /// A finding for every variant without measured stretches.
    pub fn with_stretches(mut self, plan: &Plan, facts: &Facts) -> Result<Self, Findings> {
        let mut findings = Findings::default();
        let variants = variants_of(plan);
        let mut of_variants: Vec<Vec<Vec<Stretches>>> = vec![Vec::new(); variants.len()];
        for (place, pool) in plan.placement.iter().enumerate() {
            // One length for all that a pool serves: its calls of whatever batch share the core's luck.
            let length_of = |variant: &&str| {
                let calls = facts.stretch_on(plan, pool, variant)?;
                Some(calls * facts.service_on(plan, pool, variant, 1)?.law.mean_ms())
            };
            let hosted = || variants.iter().filter(|variant| pool.hosts.iter().any(|host| host == *variant));
            let length_ms = hosted().filter_map(length_of).fold(0.0, f64::max);
            for ((variant, laws), pools) in variants.iter().zip(&self.laws).zip(&mut of_variants) {
                let batches = laws[place].len() as u32;
                if batches > 0 && facts.stretch_on(plan, pool, variant).is_none() {
                    let cause = format!("how long slow stretches of `{variant}` last on the pool `{}`", pool.name);
                    let action = "profile it again, or simulate without --stretches";
                    findings.push(Finding::error(Code::NotMeasured, format!("placement[{place}]"), cause, action));
                }
                let services = (1..=batches).filter_map(|batch| facts.service_on(plan, pool, variant, batch));
                pools.push(services.map(|service| Stretches::of(&service.law, length_ms)).collect());
            }
        }
        self.stretches = of_variants;
        findings.or(self)
    }

    /// Returns the same world where calls take as long as they were seen to; what was not seen stays.
    #[must_use]
    pub fn with_calls(mut self, calls: &CallTimes) -> Self {
        for (&(variant, pool, batch), walls) in calls {
            let law = &mut self.laws[variant.index()][pool.index()][batch as usize - 1];
            *law = Law::of(&Histogram::of(walls).distribution());
        }
        self
    }

    #[inline]
    fn law(&self, variant: VariantId, pool: PoolId, batch: u32) -> &Law {
        &self.laws[variant.index()][pool.index()][batch as usize - 1]
    }
}

fn laws_of(plan: &Plan, facts: &Facts, variant: &str, findings: &mut Findings) -> Vec<Vec<Law>> {
    let of_pool = |(index, pool): (usize, &crate::plan::Pool)| {
        let lanes = plan.gears.iter().flat_map(|gear| &gear.stages).flat_map(|stage| &stage.lanes);
        let uses = lanes.filter(|lane| lane.variant == variant && lane.pool == pool.name);
        let batches = 1..=uses.map(|lane| lane.batch).max().unwrap_or(0);
        let services: Vec<_> = batches.map(|batch| (batch, facts.service_on(plan, pool, variant, batch))).collect();
        let missing: Vec<u32> = services.iter().filter(|(_, law)| law.is_none()).map(|(batch, _)| *batch).collect();
        if !missing.is_empty() {
            let (cores, device) = (pool.on.cores(), pool.on.device());
            let cause = format!("`{variant}` on {cores} cores of {device} with batch {}", ranges(&missing));
            let action = "profile those, or pass a profile that has them with --profile";
            findings.push(Finding::error(Code::NotMeasured, format!("placement[{index}]"), cause, action));
        }
        services.into_iter().filter_map(|(_, service)| Some(Law::of(&service?.law))).collect()
    };
    plan.placement.iter().enumerate().map(of_pool).collect()
}

/// Returns increasing numbers in words, runs as `3 to 7`.
fn ranges(numbers: &[u32]) -> String {
    let runs = numbers.chunk_by(|a, b| a + 1 == *b).filter_map(|run| Some((run.first()?, run.last()?)));
    let words = runs.map(|(a, b)| if a == b { a.to_string() } else { format!("{a} to {b}") });
    words.collect::<Vec<_>>().join(", ")
}

fn load_of(facts: &Facts, variant: &str, findings: &mut Findings) -> u64 {
    let Some(fact) = facts.variant(variant) else {
        let known: Vec<_> = facts.variants().map(|variant| variant.name.as_str()).collect();
        let action = format!("profiles have: {}", known.join(", "));
        findings.push(Finding::error(Code::NotMeasured, "placement", format!("nobody measured `{variant}`"), action));
        return 0;
    };
    ns(fact.load_time_ms.get())
}

fn judged(answers: &Answers, variant: &str) -> Vec<(f32, bool)> {
    let of_variant = answers.of(variant).unwrap_or_default();
    of_variant.iter().zip(&answers.labels).map(|(a, label)| (a.certainty, a.is_right(*label))).collect()
}

fn certainties_are_known(plan: &Plan, facts: &Facts, findings: &mut Findings) {
    for (index, gear) in plan.gears.iter().enumerate() {
        for (position, stage) in gear.stages.iter().enumerate().filter(|(_, stage)| stage.exit.is_some()) {
            for lane in stage.lanes.iter().filter(|lane| facts.answers(&lane.variant).is_none_or(|a| a.samples() == 0))
            {
                let key = format!("gears[{index}].stages[{position}].exit");
                let cause = format!("nobody measured how certain `{}` is", lane.variant);
                findings.push(Finding::error(Code::NotMeasured, key, cause, "profile it with calibration data"));
            }
        }
    }
}

impl World for Measured {
    #[inline]
    fn service_ns(&self, variant: VariantId, pool: PoolId, batch: u32, dice: &mut Dice) -> u64 {
        self.law(variant, pool, batch).draw(dice)
    }

    fn mean_service_ns(&self, variant: VariantId, pool: PoolId, batch: u32) -> f64 {
        self.law(variant, pool, batch).mean_ns
    }

    #[inline]
    fn stretched_ns(&self, variant: VariantId, pool: PoolId, batch: u32, start: Start) -> Option<u64> {
        let of_variant = self.stretches.get(variant.index())?;
        Some(of_variant[pool.index()][batch as usize - 1].at(pool, start))
    }

    #[inline]
    fn slowdown(&self, variant: VariantId, pool: PoolId, neighbours: u32) -> Option<f64> {
        let slowdowns = self.slowdowns.get(variant.index())?.get(pool.index())?;
        slowdowns.get(neighbours as usize).or(slowdowns.last()).copied()
    }

    /// Variants of another task may have fewer samples; they begin again after the last.
    #[inline]
    fn answer(&self, variant: VariantId, sample: u32) -> Option<(f32, bool)> {
        let answers = self.answers[variant.index()].as_ref()?;
        let sample = sample as usize;
        answers.get(if sample < answers.len() { sample } else { sample % answers.len().max(1) }).copied()
    }

    fn samples(&self) -> u32 {
        self.samples
    }

    fn load_ns(&self, variant: VariantId) -> u64 {
        self.load_ns[variant.index()]
    }
}

/// Returns nanoseconds; by way of `i64`, which takes a third of the instructions and is enough for 292 years.
#[inline]
fn ns(ms: f64) -> u64 {
    (ms * 1e6 + 0.5) as i64 as u64
}

/// A measured law as an alias table: every draw takes one random number and one look (Walker 1977, Vose 1991).
#[derive(Debug)]
struct Law {
    cells: Vec<Cell>,
    mean_ns: f64,
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    own_ns: u64,
    other_ns: u64,
    /// Part of the cell that is its own, of 2^32.
    own: u64,
}

impl Law {
    fn of(law: &Distribution) -> Self {
        let atoms = law.atoms();
        let n = atoms.len() as f64;
        let mut cells: Vec<Cell> =
            atoms.iter().map(|&(ms, _)| Cell { own_ns: ns(ms), other_ns: ns(ms), own: 1 << 32 }).collect();
        let mut weights: Vec<f64> = atoms.iter().map(|&(_, p)| p * n).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..atoms.len()).partition(|&i| weights[i] < 1.0);
        while let (Some(poor), Some(&rich)) = (small.pop(), large.last()) {
            cells[poor].own = (weights[poor] * 4_294_967_296.0) as u64;
            cells[poor].other_ns = cells[rich].own_ns;
            weights[rich] -= 1.0 - weights[poor];
            if weights[rich] < 1.0 {
                large.pop();
                small.push(rich);
            }
        }
        Self { cells, mean_ns: law.mean_ms() * 1e6 }
    }

    #[inline]
    fn draw(&self, dice: &mut Dice) -> u64 {
        let bits = dice.bits();
        let cell = self.cells[(((bits >> 32) * self.cells.len() as u64) >> 32) as usize];
        if (bits & 0xffff_ffff) < cell.own { cell.own_ns } else { cell.other_ns }
    }
}

/// A measured law whose calls come in stretches that are slow or fast. Time is cut into stretches, those of a pool of one length; what
/// begins in one takes the same quantile of its law. Replicas have stretches of their own; which replica it is, the number of those
/// that are busy stands for. So the times of calls keep their law, and slow calls follow each other as long as was measured.
#[derive(Debug, Clone)]
struct Stretches {
    /// Times in increasing order, with the probability of at most each.
    at_most: Vec<(u64, f64)>,
    length_ns: u64,
}

impl Stretches {
    fn of(law: &Distribution, length_ms: f64) -> Self {
        let mut sum = 0.0;
        let at_most = law.atoms().iter().map(|&(ms, p)| {
            sum += p;
            (ns(ms), sum)
        });
        Self { at_most: at_most.collect(), length_ns: ns(length_ms).max(1) }
    }

    fn at(&self, pool: PoolId, start: Start) -> u64 {
        let stretch = start.now / self.length_ns;
        let luck = unit_of([start.seed, pool.index() as u64, u64::from(start.busy), stretch]);
        let place = self.at_most.partition_point(|&(_, at_most)| at_most <= luck);
        self.at_most[place.min(self.at_most.len() - 1)].0
    }
}

/// A world from a queueing textbook, where theory knows the answer. Batches take as long as one call.
#[derive(Debug, Clone)]
pub struct Textbook {
    laws: Vec<TextbookLaw>,
    answers: Vec<Vec<(f32, bool)>>,
    load_ns: u64,
}

/// A law of service times that theory is written about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TextbookLaw {
    /// Always the same.
    Constant {
        /// The time in milliseconds.
        ms: f64,
    },
    /// Exponential.
    Exponential {
        /// Mean in milliseconds.
        mean_ms: f64,
    },
    /// One of two exponentials.
    HyperExponential {
        /// Part of the calls that are of the first kind.
        share: f64,
        /// Mean of the first kind in milliseconds.
        first_ms: f64,
        /// Mean of the second kind in milliseconds.
        second_ms: f64,
    },
}

impl TextbookLaw {
    fn mean_ms(self) -> f64 {
        match self {
            Self::Constant { ms: mean_ms } | Self::Exponential { mean_ms } => mean_ms,
            Self::HyperExponential { share, first_ms, second_ms } => share * first_ms + (1.0 - share) * second_ms,
        }
    }

    #[inline]
    fn draw_ms(self, dice: &mut Dice) -> f64 {
        match self {
            Self::Constant { ms } => ms,
            Self::Exponential { mean_ms } => mean_ms * dice.exponential(),
            Self::HyperExponential { share, first_ms, second_ms } => {
                let mean = if dice.unit() < share { first_ms } else { second_ms };
                mean * dice.exponential()
            }
        }
    }
}

impl Textbook {
    /// Returns the world of a plan whose variants follow these laws.
    ///
    /// # Errors
    /// A finding for every variant without a law.
    pub fn new(plan: &Plan, laws: &BTreeMap<String, TextbookLaw>) -> Result<Self, Findings> {
        let mut findings = Findings::default();
        let mut of_variants = Vec::new();
        for variant in variants_of(plan) {
            match laws.get(variant) {
                Some(law) => of_variants.push(*law),
                None => {
                    let cause = format!("`{variant}` has no law");
                    findings.push(Finding::error(Code::NotMeasured, "placement", cause, "give it one"));
                }
            }
        }
        let answers = vec![Vec::new(); of_variants.len()];
        findings.or(Self { laws: of_variants, answers, load_ns: 0 })
    }

    /// Returns the same world with answers of one variant: for each sample how certain it is and whether it is right.
    #[must_use]
    pub fn with_answers(mut self, variant: usize, answers: Vec<(f32, bool)>) -> Self {
        self.answers[variant] = answers;
        self
    }

    /// Returns the same world where every variant takes this long to come up.
    #[must_use]
    pub fn with_load_ms(mut self, ms: f64) -> Self {
        self.load_ns = ns(ms);
        self
    }
}

impl World for Textbook {
    #[inline]
    fn service_ns(&self, variant: VariantId, _: PoolId, _: u32, dice: &mut Dice) -> u64 {
        ns(self.laws[variant.index()].draw_ms(dice))
    }

    fn mean_service_ns(&self, variant: VariantId, _: PoolId, _: u32) -> f64 {
        self.laws[variant.index()].mean_ms() * 1e6
    }

    #[inline]
    fn answer(&self, variant: VariantId, sample: u32) -> Option<(f32, bool)> {
        self.answers[variant.index()].get(sample as usize).copied()
    }

    fn samples(&self) -> u32 {
        u32::try_from(self.answers.iter().map(Vec::len).max().unwrap_or(0)).unwrap_or(u32::MAX)
    }

    fn load_ns(&self, _: VariantId) -> u64 {
        self.load_ns
    }
}

#[cfg(test)]
mod tests {
    use super::{Dice, Law};
    use crate::stats::Distribution;

    #[test]
    fn an_alias_table_draws_the_law() {
        let law = Law::of(&Distribution::new(vec![(1.0, 0.5), (2.0, 0.3), (10.0, 0.2)]));
        let mut dice = Dice::new(3, 0);
        let mut seen = [0.0_f64; 3];
        for _ in 0..200_000 {
            let drawn = law.draw(&mut dice);
            let index = [1_000_000, 2_000_000, 10_000_000].iter().position(|&ns| ns == drawn);
            seen[index.expect("one of the atoms")] += 1.0 / 200_000.0;
        }
        let wanted = [0.5, 0.3, 0.2];
        for (seen, wanted) in seen.iter().zip(wanted) {
            assert!((seen - wanted).abs() < 0.01, "{seen} for {wanted}");
        }
    }
}
