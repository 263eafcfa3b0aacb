//! Recomputes every claim of a plan from the facts, in closed form and without solver code.
//!
//! Bounds are the one thing that cannot be recomputed without searching: `check` sees that a certificate agrees with
//! itself and with the goal; `planner solve --verify` proves it a second time.
//!
//! What no closed form covers is reported as such ([`Code::ClaimUnchecked`]), never passed over in silence.

mod accuracy;
mod certificate;
mod missing;

use std::collections::{BTreeMap, BTreeSet};

use crate::base::finding::{Code, Finding, Findings, Severity};
use crate::base::rounding::keeps_within;
use crate::base::units::Millis;
use crate::facts::{Ask, Facts};
use crate::problem::{Problem, RoomName};
use crate::profile::{Service, Trust};

use super::exit;
use super::offered;
use super::packing;
use super::proof;
use super::watch;
use super::{Gear, Lane, LatencyClaim, Plan, Stage};
use crate::base::graph::SeriesParallel;
use crate::plan::law::Turns;
use crate::plan::law::estimate::{Queue, mixture_quantile_ms};
use crate::plan::law::flow::{self, Flow};
use crate::plan::law::response::{self, Station};
use crate::problem::Resource;
use crate::stats::GridDistribution;

/// How far a recomputed number may be from its claim: relative for times and prices, absolute for parts of 1.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// For times and prices.
    pub relative: f64,
    /// For accuracies, shares and utilisations.
    pub absolute: f64,
}

impl Default for Tolerance {
    /// Returns what rounding needs: 1e-4 relative, 1e-6 absolute; the latter only for parts of one.
    fn default() -> Self {
        Self { relative: 1e-4, absolute: 1e-6 }
    }
}

/// Checks a plan against its facts and, where given, its problem. An empty list means that everything was confirmed.
///
/// Claims that were read from trials are [`Code::ClaimUnchecked`] here, below the simulator; [`check`](crate::check) of the library's root makes those trials again.
#[must_use]
pub fn check(plan: &Plan, facts: &Facts, problem: Option<&Problem>, tolerance: Tolerance) -> Findings {
    let Some(problem) = problem else { return checked(plan, facts, None, tolerance) };
    let ask = Ask::new(problem, facts);
    checked(plan, &ask.facts, Some(&ask.problem), tolerance)
}

fn checked(plan: &Plan, facts: &Facts, problem: Option<&Problem>, tolerance: Tolerance) -> Findings {
    let mut findings = plan.validate();
    facts_are_measured(plan, facts, &mut findings);
    if findings.has_errors() {
        return findings;
    }
    for (index, gear) in plan.gears.iter().enumerate() {
        let checker = Checker { plan, gear, facts, problem, tolerance, key: format!("gears[{index}]") };
        checker.accuracy(&mut findings);
        checker.latency(&mut findings);
        checker.cost(&mut findings);
        checker.cores(&mut findings);
        checker.missing(&mut findings);
        packing::check(plan, gear, facts, &checker.key, &mut findings);
        exit::check(gear, &checker.key, facts, &mut findings);
        watch::check(plan, index, facts, tolerance.absolute, &mut findings);
        checker.utilisation(&mut findings);
        offered::check(plan, gear, facts, &checker.key, &mut findings);
        checker.trust(&mut findings);
        checker.certificate(&mut findings);
        if let Some(problem) = problem {
            checker.limits(problem, &mut findings);
        }
    }
    if let Some(problem) = problem {
        packing::kinds_agree(plan, problem, &mut findings);
        load_is_covered(plan, problem, &mut findings);
        proof::check(plan, facts, problem, tolerance, &mut findings);
        objectives_agree(plan, problem, &mut findings);
        findings.extend(plan.transitions(problem));
    }
    missing::problem(plan, &mut findings);
    latencies_were_measured(plan, facts, &mut findings);
    findings
}

/// Returns the response time of a gear at its highest rate and the SLO's quantile, in milliseconds; `None` where no closed
/// form covers the walk or a fact is missing. Infinite where a pool cannot keep up.
///
/// # Panics
/// Where the plan has no gear of that number.
#[must_use]
pub fn latency_ms(plan: &Plan, gear: usize, facts: &Facts) -> Option<f64> {
    let (gear, tolerance) = (&plan.gears[gear], Tolerance::default());
    Checker { plan, gear, facts, problem: None, tolerance, key: String::new() }.expected_latency()
}

/// Returns what a gear can claim of its response time; `None` as for [`latency_ms`], and where that is infinite.
pub(crate) fn latency_claim(plan: &Plan, gear: usize, facts: &Facts) -> Option<LatencyClaim> {
    let (gear, tolerance) = (&plan.gears[gear], Tolerance::default());
    let checker = Checker { plan, gear, facts, problem: None, tolerance, key: String::new() };
    let value = checker.expected_latency().filter(|ms| ms.is_finite())?;
    Some(LatencyClaim { value_ms: Millis::saturating(value), trust: checker.expected_trust(), trial: None })
}

/// Returns the worst trust that a gear's response time rests on, also where no closed form tells it.
pub(crate) fn latency_trust(plan: &Plan, gear: usize, facts: &Facts) -> Trust {
    let (gear, tolerance) = (&plan.gears[gear], Tolerance::default());
    Checker { plan, gear, facts, problem: None, tolerance, key: String::new() }.expected_trust()
}

fn facts_are_measured(plan: &Plan, facts: &Facts, findings: &mut Findings) {
    for (index, gear) in plan.gears.iter().enumerate() {
        for (stage_index, stage) in gear.stages.iter().enumerate() {
            for (lane_index, lane) in stage.lanes.iter().enumerate() {
                let Some(pool) = plan.pool(&lane.pool) else { continue };
                if facts.service_on(plan, pool, &lane.variant, lane.batch).is_none() {
                    let key = format!("gears[{index}].stages[{stage_index}].lanes[{lane_index}]");
                    let cause = format!(
                        "`{}` at batch {} on {} cores of {} was not measured",
                        lane.variant,
                        lane.batch,
                        pool.on.cores(),
                        pool.on.device()
                    );
                    findings.push(Finding::error(Code::NotMeasured, key, cause, "profile it, or name another profile"));
                }
            }
        }
    }
}

fn objectives_agree(plan: &Plan, problem: &Problem, findings: &mut Findings) {
    let (own, asked) = (plan.slo, problem.slo);
    let asks_for_windows = asked.window_s.is_some() && own.window_s != asked.window_s;
    if own.latency_ms > asked.latency_ms || own.quantile < asked.quantile || asks_for_windows {
        let say = |slo: crate::problem::Slo| {
            let window = slo.window_s.map_or_else(String::new, |window| format!(" in every {window} s"));
            format!("p{} within {} ms{window}", 100.0 * slo.quantile.get(), slo.latency_ms)
        };
        let cause = format!("the plan is for {}, the problem asks for {}", say(own), say(asked));
        findings.push(Finding::error(Code::LimitBroken, "slo", cause, "solve again"));
    }
}

/// A plan for a known day carries the rates of its periods, whatever the problem's highest.
fn load_is_covered(plan: &Plan, problem: &Problem, findings: &mut Findings) {
    if !plan.periods.is_empty() {
        return;
    }
    let (asked, carried) = (problem.workload.max_rps.get(), plan.max_rps());
    if !keeps_within(asked, carried) {
        let cause = format!("the last gear carries {carried} of the {asked} requests/s that were asked for");
        findings.push(Finding::error(Code::LimitBroken, "gears", cause, "solve again"));
    }
}

/// Says which latency claims are honest about resting on more than measurements.
fn latencies_were_measured(plan: &Plan, facts: &Facts, findings: &mut Findings) {
    let causes = [
        (Trust::Glimpsed, "rest on a few calls, with a tail like that of measured points".to_owned()),
        (Trust::Interpolated, "rest on points between measured ones".to_owned()),
        (Trust::Extrapolated, format!("use more cores than the {} of the measured host", facts.host_cores())),
    ];
    for (trust, cause) in causes {
        let claims = plan.gears.iter().filter_map(|gear| gear.claims.latency);
        let count = claims.filter(|claim| claim.trust == trust).count();
        if count > 0 {
            let cause = format!("{count} of {} latency claims are {trust}: they {cause}", plan.gears.len());
            let action = "measure what they need, or take replicas to be independent as the claims do";
            let finding = Finding::error(Code::Interpolated, "gears", cause, action);
            findings.push(finding.with_severity(Severity::Note));
        }
    }
}

/// A gear that is checked.
pub(super) struct Checker<'a> {
    pub plan: &'a Plan,
    pub gear: &'a Gear,
    pub facts: &'a Facts,
    pub problem: Option<&'a Problem>,
    pub tolerance: Tolerance,
    pub key: String,
}

/// A lane with what it is given at the gear's highest rate.
struct LaneFlow<'a> {
    lane: &'a Lane,
    /// Times of a full batch.
    service: Service,
    /// Times of batches of 1, 2, … calls; where one was not measured, that of a full batch.
    services: Vec<Service>,
    servers: u32,
    calls: f64,
    share: f64,
}

impl LaneFlow<'_> {
    fn queue(&self) -> Queue<'_> {
        let hold_ms = self.lane.hold_ms.get();
        Queue { service: &self.service.law, servers: self.servers, batch: self.lane.batch, hold_ms }
    }

    fn flow(&self) -> Flow<'_> {
        let Queue { service, servers, batch, hold_ms } = self.queue();
        Flow { service, servers, batch, hold_ms, calls: self.calls, share: self.share }
    }

    /// Returns what it is to the requests of its stage, which come with such a variation.
    fn station(&self, rate_rps: f64, arrivals_scv: f64) -> Station {
        // A part of a stream, drawn by chance, is the closer to Poisson the smaller it is.
        let part = self.share * self.calls.min(1.0);
        Station {
            services: self.services.iter().map(|service| service.law.clone()).collect(),
            servers: self.servers,
            hold_ms: self.lane.hold_ms.get(),
            rate_rps: rate_rps * part,
            calls: self.calls.max(1.0),
            arrivals_scv: part * arrivals_scv + 1.0 - part,
        }
    }

    fn trust(&self) -> Trust {
        self.services.iter().map(|service| service.trust).max().unwrap_or(self.service.trust)
    }
}

impl Checker<'_> {
    fn latency(&self, findings: &mut Findings) {
        let claim = self.gear.claims.latency;
        if let Some(claim) = claim.filter(|claim| claim.trial.is_some()) {
            findings.push(self.unchecked("latency"));
            self.keeps_slo(claim.value_ms.get(), findings);
            return;
        }
        let Some(truth) = self.expected_latency() else {
            if claim.is_some() {
                findings.push(self.unchecked("latency"));
            }
            return;
        };
        if let Some(claim) = claim.map(|claim| claim.value_ms.get())
            && (truth / claim - 1.0).abs() > self.tolerance.relative
        {
            findings.push(self.refuted("latency.value_ms", claim, truth));
        }
        self.keeps_slo(truth, findings);
    }

    /// The closed forms decide, as they do in the search. Where the better estimate is beyond the SLO all the same, a trial is
    /// the last word, and without one that is worth a warning.
    fn keeps_slo(&self, estimate: f64, findings: &mut Findings) {
        let slo = self.plan.slo;
        let most = slo.latency_ms.get() * (1.0 + self.tolerance.relative);
        let broken = |ms: f64, action: &str| {
            let cause = format!("p{} is {ms:.3} ms, the SLO {} ms", 100.0 * slo.quantile.get(), slo.latency_ms);
            Finding::error(Code::LimitBroken, self.key.clone(), cause, action)
        };
        let tried = self.gear.certificate.as_ref().is_some_and(|certificate| certificate.trial.is_some());
        let turns = || self.turns().map(|turns| turns.latency_ms);
        let bound = self.closed_form_latency().or_else(turns).unwrap_or(estimate);
        if bound > most {
            findings.push(broken(bound, "solve again"));
        } else if estimate > most && !tried {
            findings.push(broken(estimate, "solve with trials, which cut it").with_severity(Severity::Warning));
        }
    }

    /// Returns the response time at the SLO's quantile: lanes are mixed by share and stages put together as
    /// distributions.
    fn expected_latency(&self) -> Option<f64> {
        let Some(flows) = self.flows() else { return Some(self.turns()?.latency_ms) };
        let (rate, quantile) = (self.gear.up_to_rps.get(), self.plan.slo.quantile.get());
        let predecessors = self.gear.predecessors();
        let walk = SeriesParallel::from_predecessors(&predecessors)?;
        let on_grid = |span_ms: f64| {
            let (mut stages, mut leaves) = (Vec::new(), Vec::<f64>::new());
            for (lanes, before) in flows.iter().zip(&predecessors) {
                // A request comes when the last of the stages before is done with it; plans list those first.
                let arrivals_scv = before.iter().map(|&stage| leaves[stage]).reduce(f64::max).unwrap_or(1.0);
                let (response, left) = stage_response(lanes, rate, span_ms, arrivals_scv);
                stages.push(response);
                leaves.push(left);
            }
            let of = |stage: usize| stages[stage].clone();
            walk.fold(&of, GridDistribution::then, GridDistribution::beside).interpolated_quantile_ms(quantile, span_ms)
        };
        let undisturbed = |lane: &LaneFlow<'_>| lane.lane.hold_ms.get() + lane.service.law.quantile_ms(quantile);
        let longest = |lanes: &Vec<LaneFlow<'_>>| lanes.iter().map(undisturbed).fold(0.0, f64::max);
        Some(response::quantile_on_its_grid(2.0 * flows.iter().map(longest).sum::<f64>(), on_grid))
    }

    /// Returns the same by the closed forms that decide what keeps the SLO: of a lone stage the mixture of its lanes' tails, of
    /// several the convolved distributions, where it is infinite beyond the SLO.
    fn closed_form_latency(&self) -> Option<f64> {
        let flows = self.flows()?;
        let (rate, slo) = (self.gear.up_to_rps.get(), self.plan.slo);
        if let [flows] = flows.as_slice()
            && flows.iter().all(|flow| flow.calls == 1.0)
        {
            let tails: Vec<_> =
                flows.iter().map(|flow| (flow.share, move |t: f64| flow.queue().tail(flow.share * rate, t))).collect();
            let parts: Vec<_> = tails.iter().map(|(share, tail)| (*share, tail as &dyn Fn(f64) -> f64)).collect();
            return Some(mixture_quantile_ms(&parts, slo.quantile.get()));
        }
        let walk = SeriesParallel::from_predecessors(&self.gear.predecessors())?;
        let span_ms = slo.latency_ms.get();
        let of_stage = |stage: usize| closed_form_responses(&flows[stage], rate, span_ms);
        let whole = walk.fold(&of_stage, GridDistribution::then, GridDistribution::beside);
        Some(whole.upper_quantile_ms(slo.quantile.get(), span_ms).unwrap_or(f64::INFINITY))
    }

    fn cost(&self, findings: &mut Findings) {
        let Some(claim) = self.gear.claims.cost_usd_per_hour else { return };
        match self.expected_cost() {
            None => findings.push(self.unchecked("cost_usd_per_hour")),
            Some(truth) if (truth - claim.get()).abs() <= self.tolerance.relative * truth => {}
            Some(truth) => findings.push(self.refuted("cost_usd_per_hour", claim.get(), truth)),
        }
    }

    /// Returns the price of an hour; `None` where functions are paid by their use.
    fn expected_cost(&self) -> Option<f64> {
        if self.plan.placement.iter().any(|pool| matches!(pool.on, Resource::Function { .. })) {
            return None;
        }
        let cost = |pool: &super::Pool| f64::from(self.gear.replicas_of(pool)) * pool.on.usd_per_hour();
        let own: f64 = self.plan.placement.iter().map(cost).sum();
        Some(own + self.plan.machines_usd_per_hour(self.gear))
    }

    fn cores(&self, findings: &mut Findings) {
        let Some(claim) = self.gear.claims.cores else { return };
        let truth = self.cores_up();
        if truth != claim {
            findings.push(self.refuted("cores", f64::from(claim), f64::from(truth)));
        }
    }

    fn cores_up(&self) -> u32 {
        let owned = |pool: &&super::Pool| matches!(pool.on, Resource::Cores { .. } | Resource::Vm { .. });
        self.plan.placement.iter().filter(owned).map(|pool| self.gear.replicas_of(pool) * pool.on.cores()).sum()
    }

    fn utilisation(&self, findings: &mut Findings) {
        let claims = &self.gear.claims.utilisation;
        if claims.is_empty() {
            return;
        }
        let rate = self.gear.up_to_rps.get();
        let busy: BTreeMap<&str, f64> = if let Some(flows) = self.flows() {
            let flows = flows.iter().flatten();
            flows.map(|flow| (flow.lane.pool.as_str(), flow.flow().busy(rate).get())).collect()
        } else if let Some(turns) = self.turns() {
            turns.busy
        } else {
            findings.push(self.unchecked("utilisation"));
            return;
        };
        for (pool, claim) in claims {
            if self.plan.pool(pool).is_none() {
                let key = format!("{}.claims.utilisation.{pool}", self.key);
                let cause = "the plan has no pool of that name";
                findings.push(Finding::error(Code::UnknownName, key, cause, "remove the claim"));
            }
            let truth = busy.get(pool.as_str()).copied().unwrap_or(0.0);
            if (truth - claim.get()).abs() > self.tolerance.absolute {
                findings.push(self.refuted(&format!("utilisation.{pool}"), claim.get(), truth));
            }
        }
    }

    fn trust(&self, findings: &mut Findings) {
        let Some(claim) = self.gear.claims.latency else { return };
        let worst = self.expected_trust();
        if claim.trust < worst {
            let cause = format!("claims to be {} but rests on a number that is {worst}", claim.trust);
            let key = format!("{}.claims.latency.trust", self.key);
            findings.push(Finding::error(Code::ClaimRefuted, key, cause, "solve again"));
        }
    }

    /// Returns the worst trust that a claim of the latency rests on.
    fn expected_trust(&self) -> Trust {
        let of_flows = |flows: Vec<Vec<LaneFlow<'_>>>| flows.iter().flatten().map(LaneFlow::trust).max();
        let worst = self.flows().and_then(of_flows).or_else(|| Some(self.turns()?.trust));
        let worst = worst.unwrap_or_else(|| self.worst_service());
        self.facts.trust_on(self.plan.cores_side_by_side(self.gear), worst)
    }

    /// Returns the worst trust of the times of any lane's full batch.
    fn worst_service(&self) -> Trust {
        let lanes = self.gear.stages.iter().flat_map(|stage| &stage.lanes);
        let trust = |lane: &Lane| {
            let pool = self.plan.pool(&lane.pool)?;
            Some(self.facts.service_on(self.plan, pool, &lane.variant, lane.batch)?.trust)
        };
        lanes.filter_map(trust).max().unwrap_or(Trust::Measured)
    }

    fn limits(&self, problem: &Problem, findings: &mut Findings) {
        let up = self.cores_up();
        let most = problem.core_budget();
        if up > most {
            let cause = format!("{up} cores are up, {most} may be used");
            findings.push(Finding::error(Code::LimitBroken, self.key.clone(), cause, "solve again"));
        }
        if let Some(allowed) = problem.allowed_variants() {
            for lane in self.gear.stages.iter().flat_map(|stage| &stage.lanes) {
                if !allowed.contains(&lane.variant.as_str()) {
                    let cause = format!("`{}` is none of the variants that may be used", lane.variant);
                    findings.push(Finding::error(Code::LimitBroken, self.key.clone(), cause, "solve again"));
                }
            }
        }
        self.fewest_cores(problem, findings);
        self.meaning(problem, findings);
        if matches!(problem.room.name(), RoomName::VariantSet | RoomName::Pipeline) {
            self.objective(problem, findings);
        }
        if let (Some(least), Some(truth)) = (problem.goal.accuracy_at_least, self.expected_accuracy())
            && truth < least.get() - self.tolerance.absolute
        {
            let cause = format!("accuracy is {truth:.4}, at least {least} was asked for");
            findings.push(Finding::error(Code::LimitBroken, self.key.clone(), cause, "solve again"));
        }
    }

    fn fewest_cores(&self, problem: &Problem, findings: &mut Findings) {
        let fewest = problem.inventory.min_cores_per_variant;
        let lanes = || self.gear.stages.iter().flat_map(|stage| &stage.lanes);
        let variants: BTreeSet<&str> = lanes().map(|lane| lane.variant.as_str()).collect();
        for variant in variants {
            let pools: BTreeSet<&str> =
                lanes().filter(|lane| lane.variant == variant).map(|lane| lane.pool.as_str()).collect();
            let of_pool = |pool: &super::Pool| self.gear.replicas_of(pool) * pool.on.cores();
            let cores: u32 = pools.iter().filter_map(|name| self.plan.pool(name)).map(of_pool).sum();
            if cores < fewest {
                let cause = format!("`{variant}` has {cores} cores, at least {fewest} were asked for");
                findings.push(Finding::error(Code::LimitBroken, self.key.clone(), cause, "solve again"));
            }
        }
    }

    /// Returns the turns of pools that serve several queues, where the closed form for those holds.
    fn turns(&self) -> Option<Turns<'_>> {
        Turns::of(self.plan, self.gear, self.facts)
    }

    /// Tells whether calls may be refused or dropped: then neither waiting nor who answers has a closed form.
    fn turns_away(&self) -> bool {
        let mut lanes = self.gear.stages.iter().flat_map(|stage| &stage.lanes);
        lanes.any(|lane| lane.queue_limit.is_some() || lane.drop_after_ms.is_some())
    }

    /// Returns the lanes of each stage with their flows where the closed form holds: nobody leaves early, dispatch by
    /// share, a pool a lane, several calls of a request in one lane, nothing on the way and nobody turned away. Replicas of
    /// cascades take turns, also in a gear with a queue only: their planner reckons with that.
    fn flows(&self) -> Option<Vec<Vec<LaneFlow<'_>>>> {
        let stages = &self.gear.stages;
        if self.plan.provenance.room == RoomName::Cascade && self.turns().is_some() {
            return None;
        }
        if !self.plan.transfers.is_empty() || self.turns_away() || stages.iter().any(|stage| stage.exit.is_some()) {
            return None;
        }
        let lanes = || stages.iter().flat_map(|stage| &stage.lanes);
        if lanes().any(|lane| lanes().filter(|other| other.pool == lane.pool).count() > 1) {
            return None;
        }
        stages.iter().map(|stage| self.flows_of(stage)).collect()
    }

    fn flows_of<'a>(&'a self, stage: &'a Stage) -> Option<Vec<LaneFlow<'a>>> {
        let calls = stage.calls.get();
        if calls > 1.0 && stage.lanes.len() > 1 {
            return None;
        }
        let flow = |(lane, share): (&'a Lane, f64)| {
            let pool = self.plan.pool(&lane.pool)?;
            let service = self.facts.service_on(self.plan, pool, &lane.variant, lane.batch)?;
            let of = |batch: u32| {
                let measured = self.facts.service_on(self.plan, pool, &lane.variant, batch);
                measured.unwrap_or_else(|| service.clone())
            };
            let services = (1..=lane.batch).map(of).collect();
            Some(LaneFlow { lane, service, services, servers: self.gear.replicas_of(pool), calls, share })
        };
        stage.lanes.iter().zip(stage.shares()?).map(flow).collect()
    }

    fn refuted(&self, claim: &str, claimed: f64, truth: f64) -> Finding {
        self.refuted_at(&format!("claims.{claim}"), claimed, truth)
    }

    fn refuted_at(&self, place: &str, claimed: f64, truth: f64) -> Finding {
        let cause = format!("claims {claimed}, recomputed {truth}");
        let key = format!("{}.{place}", self.key);
        Finding::error(Code::ClaimRefuted, key, cause, "solve again, or correct the claim")
    }

    fn unchecked(&self, claim: &str) -> Finding {
        let is_simulated = self.gear.claims.latency.is_some_and(|claim| claim.trial.is_some()) && claim == "latency";
        let cause = if is_simulated { "it was read from trials" } else { "no closed form covers this walk" };
        let key = format!("{}.claims.{claim}", self.key);
        Finding::error(Code::ClaimUnchecked, key, cause, "try it with `planner simulate`").with_severity(Severity::Note)
    }
}

/// Returns the distribution of a stage's responses, solved numerically, and how evenly requests leave it: the mixture of its lanes'; of
/// none where a request may make no call.
fn stage_response(lanes: &[LaneFlow<'_>], rate: f64, span_ms: f64, arrivals_scv: f64) -> (GridDistribution, f64) {
    let (mut taken, mut leaves) = (0.0, 0.0);
    let mut response = GridDistribution::never(response::STEPS);
    for lane in lanes {
        taken += lane.share;
        let (station, some) = (lane.station(rate, arrivals_scv), lane.calls.min(1.0));
        let of_lane = station.response(span_ms);
        let of_lane = if some < 1.0 { of_lane.or(some, &GridDistribution::at_once(response::STEPS)) } else { of_lane };
        response = of_lane.or((lane.share / taken).min(1.0), &response);
        leaves += lane.share * (some * station.departures_scv() + (1.0 - some) * arrivals_scv);
    }
    (response, leaves)
}

/// Returns the distribution of a stage's responses by the closed forms: the mixture of its lanes'.
fn closed_form_responses(lanes: &[LaneFlow<'_>], rate: f64, span_ms: f64) -> GridDistribution {
    let mut taken = 0.0;
    let mut responses = GridDistribution::never(flow::STEPS);
    for lane in lanes {
        taken += lane.share;
        responses = lane.flow().responses(rate, span_ms).or((lane.share / taken).min(1.0), &responses);
    }
    responses
}
