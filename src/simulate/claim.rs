//! What a gear claims of its latency, held against trials at its highest rate.
//!
//! ```text
//! closed form ──┐
//!               ├─ alike ─▶ the closed form is claimed        apart, and the trials are sure ─▶ the trials' number
//! trials ───────┘                                              apart, and they are not        ─▶ the larger one, within their interval
//! ```
//!
//! Trials go on with more and more requests until their interval tells which it is. A claim that is theirs carries their effort
//! and seed, so that [`check`] gets the same number again.

use std::time::Duration;

use super::holds::found_again;
use super::repair::{MOST_REQUESTS, MOST_TRIALS, alone, high};
use super::{Effort, GearTrial, Interval, Measured, Report, Settings, World, replicate, try_gear};
use crate::base::error::Error;
use crate::base::finding::{Code, Finding, Findings};
use crate::base::units::{Millis, Share};
use crate::facts::{Ask, Facts};
use crate::plan::{self, GearTried, LatencyClaim, LatencyTried, Plan, Tolerance, latency_ms, latency_trust};
use crate::problem::{Problem, Slo};
use crate::profile::Trust;
use crate::workload::Arrivals;

/// How far a closed form may be from trials to be what is claimed, relative, half of their interval included.
const AGREES: f64 = 0.08;
/// Half of an interval, relative to what it is of, up to which a closed form in its inner half is what is claimed: where times vary
/// little, a wide interval comes from load near saturation, whose tail closed forms know best.
const FAIR: f64 = 0.35;
/// The same where some call's time has a squared coefficient of variation above [`MUCH`].
const FAIR_OF_HEAVY_TAILS: f64 = 0.1;
/// Variation from which on a tail counts as heavy: twice that of an exponential time.
const MUCH: f64 = 2.0;
/// Requests below which trials contradict no closed form: their intervals are too often narrow by chance.
const FEWEST: u64 = 100_000;
/// The same at which trials know a quantile well enough to claim it.
const NARROW: f64 = 0.04;
/// Rounds of trials, each with [`MORE_REQUESTS`] times as many requests, after which an interval stays as wide as it is.
const ROUNDS: u32 = 3;
/// What each further round of trials has more requests.
const MORE_REQUESTS: u64 = 4;
/// How a gear is tried where nothing says how it was.
const USUAL_EFFORT: Effort = Effort { requests: 200_000, trials: 5, seed: 42 };
/// Half of an interval, relative, beyond which trials alone say nothing.
const TOO_WIDE: f64 = 0.25;

/// What trials say of a response time at the SLO's quantile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuantileTried {
    /// The quantile over all trials, in milliseconds.
    pub value_ms: f64,
    /// Its 95 % interval.
    pub interval: Interval,
}

impl QuantileTried {
    /// Returns what a report of several trials says; `None` where nothing was answered.
    #[must_use]
    pub fn of(report: &Report) -> Option<Self> {
        let value_ms = report.whole.latency?.at_slo_quantile_ms.get();
        Some(Self { value_ms, interval: report.intervals?.at_slo_quantile_ms? })
    }

    /// Returns half of the interval, relative to the quantile.
    fn half(&self) -> f64 {
        0.5 * (self.interval.high - self.interval.low) / self.value_ms
    }

    /// Tells whether what is computed may be claimed: it is near, and both keep the SLO or both break it.
    fn agrees(&self, computed_ms: f64, slo: &Slo, most_apart: f64) -> bool {
        let keeps = |ms: f64| ms <= slo.latency_ms.get();
        keeps(computed_ms) == keeps(self.value_ms) && (computed_ms / self.value_ms - 1.0).abs() <= most_apart
    }

    /// Returns what is claimed where the closed form may not be: what trials say, and where they are not sure the larger of the two,
    /// as far as their interval allows.
    fn claims(&self, computed_ms: Option<f64>) -> f64 {
        let other = computed_ms.filter(|_| self.half() > NARROW);
        other.map_or(self.value_ms, |computed| computed.min(self.interval.high).max(self.value_ms))
    }
}

/// A gear that claims more than its SLO allows, by trials that may be longer than those that it was planned with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateGear {
    /// Its place in the plan.
    pub gear: usize,
    /// What the trials took.
    pub effort: Effort,
}

/// Holds every latency claim of a plan against trials and has the plan carry theirs where the two do not agree; `first` are trials
/// that were made with this effort already. Returns the gears that turn out to be late.
///
/// # Errors
/// [`Error::Input`] for facts that were not measured.
pub fn hold_claims(
    plan: &mut Plan,
    facts: &Facts,
    effort: Effort,
    first: &[GearTrial],
) -> Result<Vec<LateGear>, Error> {
    let world = Measured::new(plan, facts)?;
    let mut late = Vec::new();
    for gear in 0..plan.gears.len() {
        let first = first.get(gear).and_then(|trial| trial.latency);
        let Some((claim, effort)) = held(plan, gear, facts, &world, effort, first) else { continue };
        let is_late = claim.is_some_and(|claim| claim.value_ms > plan.slo.latency_ms);
        plan.gears[gear].claims.latency = claim;
        late.extend((is_late && effort.requests > 0).then_some(LateGear { gear, effort }));
    }
    Ok(late)
}

/// Returns what a gear claims by trials, with the effort that it took; `None` where its own claim may stay.
fn held<W: World + Sync>(
    plan: &Plan,
    index: usize,
    facts: &Facts,
    world: &W,
    mut effort: Effort,
    first: Option<QuantileTried>,
) -> Option<(Option<LatencyClaim>, Effort)> {
    let gear = &plan.gears[index];
    let computed = gear.claims.latency.map(|claim| claim.value_ms.get()).or_else(|| latency_ms(plan, index, facts));
    if computed.is_some_and(f64::is_infinite) {
        return None;
    }
    let most_requests = effort.requests.saturating_mul(MORE_REQUESTS.pow(ROUNDS - 1));
    if computed.is_some() && most_requests < FEWEST {
        return None;
    }
    let fair = if has_heavy_tail(plan, index, facts) { FAIR_OF_HEAVY_TAILS } else { FAIR };
    let mut tried = first.or_else(|| QuantileTried::of(&try_gear(plan, gear, world, effort)))?;
    for _ in 1..ROUNDS {
        let half = tried.half();
        let most_apart = if half <= fair { (AGREES - half).max(0.5 * half) } else { 0.0 };
        if computed.is_some_and(|computed| tried.agrees(computed, &plan.slo, most_apart)) {
            return None;
        }
        if half <= NARROW && effort.requests >= FEWEST {
            break;
        }
        effort.requests = effort.requests.saturating_mul(MORE_REQUESTS);
        tried = QuantileTried::of(&try_gear(plan, gear, world, effort))?;
    }
    let half = tried.half();
    // In the last round the interval is what they may be apart.
    if computed.is_some_and(|computed| tried.agrees(computed, &plan.slo, half.max(AGREES - half))) {
        return None;
    }
    if computed.is_none() && half > TOO_WIDE {
        return Some((None, effort));
    }
    let trust = gear.claims.latency.map_or_else(|| latency_trust(plan, index, facts), |claim| claim.trust);
    let claim = LatencyClaim {
        value_ms: Millis::saturating(tried.claims(computed)),
        trust: trust.max(Trust::Simulated),
        trial: Some(LatencyTried {
            low_ms: Millis::saturating(tried.interval.low),
            high_ms: Millis::saturating(tried.interval.high),
            requests: effort.requests,
            trials: effort.trials,
            seed: effort.seed,
        }),
    };
    Some((Some(claim), effort))
}

fn has_heavy_tail(plan: &Plan, gear: usize, facts: &Facts) -> bool {
    let lanes = plan.gears[gear].stages.iter().flat_map(|stage| &stage.lanes);
    let mut services =
        lanes.filter_map(|lane| facts.service_on(plan, plan.pool(&lane.pool)?, &lane.variant, lane.batch));
    services.any(|service| service.law.scv() > MUCH)
}

/// Checks a plan as [`plan::check`] does, and makes the trials again that latency claims were read from.
///
/// ```
/// use planner::{Facts, Plan, Tolerance, check, load};
///
/// let mut plan = load::<Plan>("plans/digits.json".as_ref())?.document;
/// let facts = Facts::load(&["profiles/digits.json".into()])?;
/// assert!(!check(&plan, &facts, None, Tolerance::default()).has_errors());
/// // A claim that the facts do not bear out is found.
/// plan.gears[0].claims.cores = Some(1_000);
/// assert!(check(&plan, &facts, None, Tolerance::default()).has_errors());
/// # Ok::<(), planner::Error>(())
/// ```
#[must_use]
pub fn check(plan: &Plan, facts: &Facts, problem: Option<&Problem>, tolerance: Tolerance) -> Findings {
    let mut findings = plan::check(plan, facts, problem, tolerance);
    if plan.validate().has_errors() {
        return findings;
    }
    findings.extend(reserve_is_there(plan, facts, problem));
    let ask = problem.map(|problem| Ask::new(problem, facts));
    let facts = ask.as_ref().map_or(facts, |ask| ask.facts.as_ref());
    let Ok(world) = Measured::new(plan, facts) else { return findings };
    for index in 0..plan.gears.len() {
        Retrial { plan, index, facts, world: &world, made: None }.check(tolerance, &mut findings);
    }
    findings
}

/// The trials of a gear that are made again, each effort once.
struct Retrial<'a> {
    plan: &'a Plan,
    index: usize,
    facts: &'a Facts,
    world: &'a Measured,
    made: Option<(Effort, Report)>,
}

impl Retrial<'_> {
    fn check(&mut self, tolerance: Tolerance, findings: &mut Findings) {
        let gear = &self.plan.gears[self.index];
        if let Some(trial) = gear.certificate.as_ref().and_then(|certificate| certificate.trial) {
            self.of_certificate(&trial, findings);
        }
        let key = format!("gears[{}].claims.latency", self.index);
        match gear.claims.latency {
            Some(LatencyClaim { trial: Some(trial), value_ms, .. }) => {
                findings.0.retain(|finding| finding.code != Code::ClaimUnchecked || finding.key != key);
                self.of_claim(value_ms, &trial, tolerance, &key, findings);
            }
            claim if latency_ms(self.plan, self.index, self.facts).is_none() => {
                findings.0.retain(|finding| finding.code != Code::ClaimUnchecked || finding.key != key);
                self.without_formula(claim.map(|claim| claim.value_ms), &key, findings);
            }
            _ => {}
        }
    }

    fn report(&mut self, effort: Effort) -> &Report {
        let made = self.made.take().filter(|(made, _)| *made == effort);
        let make = || (effort, try_gear(self.plan, &self.plan.gears[self.index], self.world, effort));
        &self.made.insert(made.unwrap_or_else(make)).1
    }

    /// What a certificate says of trials must not contradict itself, and the same trials must say it again.
    fn of_certificate(&mut self, trial: &GearTried, findings: &mut Findings) {
        let key = format!("gears[{}].certificate.trial", self.index);
        let allowed = 1.0 - self.plan.slo.quantile.get();
        let margin = Share::saturating(allowed - trial.violation_high.get());
        let [is_inside, is_left] =
            [trial.violation_share <= trial.violation_high, (trial.margin.get() - margin.get()).abs() <= 1e-9];
        if !(is_inside && is_left) {
            let cause = format!(
                "share {}, upper end {} and margin {} contradict each other where {allowed} may be late",
                trial.violation_share, trial.violation_high, trial.margin
            );
            findings.push(Finding::error(Code::Inconsistent, key.clone(), cause, "solve again"));
        }
        if !can_be_made(trial.into(), &key, findings) {
            return;
        }
        let again = self.report(trial.into());
        let (share, most) = (again.whole.violation_share.get(), high(again));
        for (name, claimed, truth) in
            [("violation_share", trial.violation_share, share), ("violation_high", trial.violation_high, most)]
        {
            if (claimed.get() - truth).abs() > 1e-9 {
                findings.push(refuted(format!("{key}.{name}"), claimed.get(), truth));
            }
        }
    }

    fn of_claim(
        &mut self,
        value_ms: Millis,
        trial: &LatencyTried,
        tolerance: Tolerance,
        key: &str,
        findings: &mut Findings,
    ) {
        if !can_be_made(trial.into(), &format!("{key}.trial"), findings) {
            return;
        }
        let formula = latency_ms(self.plan, self.index, self.facts);
        let tried = QuantileTried::of(self.report(trial.into()));
        // Trials that answer nothing refute any claim.
        let [truth, low, high] =
            tried.map_or([f64::INFINITY; 3], |tried| [tried.claims(formula), tried.interval.low, tried.interval.high]);
        for (name, claimed, truth) in
            [("value_ms", value_ms, truth), ("trial.low_ms", trial.low_ms, low), ("trial.high_ms", trial.high_ms, high)]
        {
            let claimed = claimed.get();
            if truth.is_infinite() || (truth - claimed).abs() > tolerance.relative * claimed.max(truth) {
                findings.push(refuted(format!("{key}.{name}"), claimed, truth));
            }
        }
    }

    /// Where no closed form tells the response time, trials tell whether the SLO is kept, and how far a claim is off.
    fn without_formula(&mut self, claimed: Option<Millis>, key: &str, findings: &mut Findings) {
        let slo = self.plan.slo;
        let report = self.report(USUAL_EFFORT);
        let tried = QuantileTried::of(report);
        let late = report.intervals.map_or(report.whole.violation_share.get(), |seen| seen.violation_share.low);
        let allowed = 1.0 - slo.quantile.get();
        if late > allowed + 1e-12 || tried.is_none() {
            let cause = format!(
                "in simulation at least {:.2} % of the requests are late, {:.2} % are allowed",
                100.0 * late,
                100.0 * allowed
            );
            findings.push(Finding::error(Code::LimitBroken, format!("gears[{}]", self.index), cause, "solve again"));
        }
        let (Some(claimed), Some(tried)) = (claimed.map(Millis::get), tried) else { return };
        let (low, high) = (tried.interval.low * (1.0 - AGREES), tried.interval.high * (1.0 + AGREES));
        if !(low..=high).contains(&claimed) {
            findings.push(refuted(format!("{key}.value_ms"), claimed, tried.claims(None)));
        }
    }
}

/// Tells whether trials are few enough to be made again; a finding where they are not.
fn can_be_made(effort: Effort, key: &str, findings: &mut Findings) -> bool {
    let can = effort.is_feasible();
    if !can {
        let cause = format!("{} requests in {} trials cannot be simulated again", effort.requests, effort.trials);
        let action = format!("2 to {MOST_TRIALS} trials of {MOST_REQUESTS} requests at most; solve again");
        findings.push(Finding::error(Code::OutOfRange, key, cause, action));
    }
    can
}

fn refuted(key: String, claimed: f64, truth: f64) -> Finding {
    let cause = format!("claims {claimed}, the same trials say {truth}");
    Finding::error(Code::ClaimRefuted, key, cause, "solve again, or correct the claim")
}

/// Makes the simulations again that say by how much load and service times may grow. Facts that were not measured are told elsewhere.
fn reserve_is_there(plan: &Plan, facts: &Facts, problem: Option<&Problem>) -> Findings {
    let mut findings = Findings::default();
    let Some(said) = plan.provenance.holds_up_to else { return findings };
    let key = "provenance.holds_up_to";
    if let Some(asked) = problem.map(|problem| problem.workload.max_rps).filter(|asked| *asked != said.max_rps) {
        let cause = format!("load grows beyond {} requests/s, the problem asks for {asked}", said.max_rps);
        findings.push(Finding::error(Code::Inconsistent, format!("{key}.max_rps"), cause, "solve again"));
    }
    if !can_be_made(Effort::from(&said), key, &mut findings) {
        return findings;
    }
    let Ok(found) = found_again(plan, facts, &said) else { return findings };
    for (name, claimed, truth) in
        [("load", said.load, found.load), ("service_times", said.service_times, found.service_times)]
    {
        if (claimed.get() - truth.get()).abs() > 1e-9 {
            let cause = format!("claims {claimed}, the same simulations say {truth}");
            findings.push(Finding::error(
                Code::ClaimRefuted,
                format!("{key}.{name}"),
                cause,
                "solve again, or correct the claim",
            ));
        }
    }
    findings
}

/// Part of a trial that warms up, beside what is counted.
const WARMUP: f64 = 0.1;
/// What each further round has more requests.
const MORE: f64 = 3.0;

/// How sure a comparison is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sureness {
    /// Half of the 95 % interval, relative to the quantile, below which nothing more is simulated.
    pub half: f64,
    /// Requests of the first round, over all trials.
    pub least: f64,
    /// Requests after which it ends anyway.
    pub most: f64,
    /// Independent trials, at least 2.
    pub trials: u32,
    /// Seed of the first trial.
    pub seed: u64,
}

impl Default for Sureness {
    /// Returns 4 % to either side or 900,000 requests, by eight trials.
    fn default() -> Self {
        Self { half: 0.04, least: 1e5, most: 9e5, trials: 8, seed: 11 }
    }
}

/// A gear's claim beside trials, with Poisson arrivals as claims are made for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClaimTried {
    /// The rate: the gear's highest.
    pub rate_rps: f64,
    /// What the gear claims of the SLO's quantile, in milliseconds; absent where nothing can be claimed.
    pub claimed_ms: Option<f64>,
    /// What trials say of it, in milliseconds.
    pub simulated_ms: f64,
    /// Its 95 % interval.
    pub interval_ms: Interval,
    /// 95 % interval of the share of late requests.
    pub late: Interval,
}

impl ClaimTried {
    /// Returns by how much the claim is above what was simulated, relative.
    #[must_use]
    pub fn off(&self) -> Option<f64> {
        self.claimed_ms.map(|claimed| claimed / self.simulated_ms - 1.0)
    }

    /// Tells whether the SLO is kept with the interval: `None` where it is open, as the border lies inside.
    #[must_use]
    pub fn keeps(&self, plan: &Plan) -> Option<bool> {
        let allowed = 1.0 - plan.slo.quantile.get() + 1e-12;
        match (self.late.low <= allowed, self.late.high <= allowed) {
            (_, true) => Some(true),
            (false, _) => Some(false),
            _ => None,
        }
    }
}

/// Tries one gear alone at its highest rate, with more and more requests until the interval is narrow.
///
/// # Errors
/// [`Error::Input`] for facts that were not measured; [`Error::Unsupported`] where nothing is answered.
pub fn try_claim(plan: &Plan, gear: usize, facts: &Facts, sure: Sureness) -> Result<ClaimTried, Error> {
    let alone = alone(plan, &plan.gears[gear]);
    let world = Measured::new(&alone, facts)?;
    let rate_rps = plan.gears[gear].up_to_rps.get();
    let claim = plan.gears[gear].claims.latency;
    let claimed_ms = claim.map(|claim| claim.value_ms.get()).or_else(|| latency_ms(plan, gear, facts));
    let trials = sure.trials.max(2);
    let mut requests = sure.least;
    loop {
        let each = requests / f64::from(trials) / rate_rps;
        let settings = Settings {
            arrivals: Arrivals::Poisson { rate_rps },
            duration: Duration::from_secs_f64(each),
            warmup: Duration::from_secs_f64(WARMUP * each),
            seed: sure.seed,
        };
        let report = replicate(&alone, &world, &settings, trials);
        let Some(tried) = QuantileTried::of(&report) else {
            return Err(Error::Unsupported {
                what: format!("gear {gear} answered no request in {requests} requests' time"),
                hint: "try more requests".to_owned(),
            });
        };
        let (simulated_ms, interval_ms) = (tried.value_ms, tried.interval);
        let late = report.intervals.map_or(Interval { low: 0.0, high: 1.0 }, |of| of.violation_share);
        if tried.half() <= sure.half || requests >= sure.most {
            return Ok(ClaimTried { rate_rps, claimed_ms, simulated_ms, interval_ms, late });
        }
        requests *= MORE;
    }
}
