//! The event loop: takes the next arrival or the next planned event until the time is over.
//!
//! This file follows requests, gears and counting; `lanes` follows calls through queues and replicas.

mod lanes;

use std::collections::VecDeque;
use std::time::Duration;

use super::agenda::{Agenda, Date, Event};
use super::counts::Counts;
use super::drift::Drift;
use super::ids::{BatchId, CellId, GearId, Id, LaneId, PoolId, RequestId, StageId, Table};
use super::pool::Pool;
use super::rent::{Rent, machines};
use super::servers::{Servers, Wake};
use super::tally::Lost;
use super::trial::Trial;
use super::walk::{GearWalk, LaneWalk, StageWalk, Walk, nanos};
use super::{Controller, Settings};
use crate::plan::{GearRule, Plan};
use crate::stats::Dice;
use crate::workload::arrivals::{Arrivals, Source};

/// A trial under way.
pub struct Engine<'a, S> {
    plan: &'a Plan,
    servers: S,
    walk: &'a Walk,
    now: u64,
    end: u64,
    law: &'a Arrivals,
    arrivals: Source<'a>,
    agenda: Agenda,
    dice: Dice,
    seed: u64,
    samples: u32,
    slo_ns: u64,
    gear: GearId,
    /// Requests under way, by the gear under which they arrived.
    live: Table<GearId, u32>,
    /// All of them.
    under_way: u32,
    /// What is watched at the stages of the plan.
    drift: Table<StageId, Drift>,
    requests: Table<RequestId, Request>,
    free_requests: Vec<RequestId>,
    /// For every request slot, `stride` stages; only looked at where a stage joins or fans out.
    progress: Vec<Progress>,
    /// Calls that came too late for the batch just taken.
    late: Vec<RequestId>,
    queues: Table<LaneId, Queue>,
    pools: Table<PoolId, Pool>,
    /// Busy replicas of all pools that are on cores of the machine.
    busy_on_cores: u32,
    batches: Table<BatchId, Batch>,
    free_batches: Vec<BatchId>,
    rule: GearRule,
    /// When the change that is under way was decided.
    decided: u64,
    /// When each replica that was asked for can serve, of every pool in ascending order.
    starting: Table<PoolId, Vec<u64>>,
    rent: Rent,
    controller: Controller,
    counts: Counts,
}

#[derive(Debug, Clone, Copy)]
struct Request {
    arrived: u64,
    sample: u32,
    gear: GearId,
    /// Where it is counted.
    cell: CellId,
    /// The pool that served it last.
    at: Option<PoolId>,
    stages_left: u32,
    /// Calls on the way, waiting or served; a request that left keeps its slot until they are done.
    calls_left: u32,
    /// Whether it has left, with an answer or without.
    gone: bool,
    right: Option<bool>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    waits_for: u32,
    calls_left: u32,
}

#[derive(Debug, Clone, Copy)]
struct Call {
    request: RequestId,
    since: u64,
}

#[derive(Debug, Default)]
struct Queue {
    calls: VecDeque<Call>,
    /// Whether a `HoldOver` is planned.
    armed: bool,
}

#[derive(Debug)]
struct Batch {
    lane: LaneId,
    /// Whose calls are served together.
    calls: Vec<RequestId>,
}

impl<'a, S: Servers> Engine<'a, S> {
    /// Returns a trial of a plan whose walk this is, with a seed in place of that of the settings.
    pub fn new(plan: &'a Plan, walk: &'a Walk, servers: S, settings: &'a Settings, seed: u64) -> Self {
        let warmup = nanos(settings.warmup);
        let end = warmup + nanos(settings.duration);
        let rate = settings.arrivals.initial_rate(plan.switch.window_ms.get() / 1e3);
        let loading = walk.slowest_ready_ns();
        let rule = GearRule::new(plan, rate).with_lead(loading);
        let gear = GearId::of(rule.gear());
        let largest =
            |pool: PoolId| walk.pools[pool].lanes.iter().map(|&lane| walk.lanes[lane].batch).max().unwrap_or(0);
        let pool = |id: PoolId| Pool::new(walk.gears[gear].replicas[id], largest(id), walk.pools[id].on.billing());
        let pools = walk.pools.ids().map(pool).collect();
        Self {
            plan,
            now: 0,
            end,
            law: &settings.arrivals,
            arrivals: settings.arrivals.source(seed),
            agenda: Agenda::default(),
            dice: Dice::new(seed, 2),
            seed,
            samples: servers.samples(),
            servers,
            slo_ns: nanos(plan.slo.latency_ms.duration()),
            gear,
            live: plan.gears.iter().map(|_| 0).collect(),
            under_way: 0,
            drift: walk.stages.ids().map(|_| Drift::default()).collect(),
            requests: Table::new(),
            free_requests: Vec::new(),
            progress: Vec::new(),
            late: Vec::new(),
            queues: walk.lanes.ids().map(|_| Queue::default()).collect(),
            pools,
            busy_on_cores: 0,
            batches: Table::new(),
            free_batches: Vec::new(),
            rule,
            decided: 0,
            starting: walk.pools.ids().map(|_| Vec::new()).collect(),
            rent: Rent::new(&walk.kinds, &machines(&walk.gears, gear, None)),
            controller: Controller::Switch,
            counts: Counts::new(plan, gear, warmup, end),
            walk,
        }
    }

    /// Puts somebody else in charge of the gears, from before the first request.
    pub fn under(mut self, controller: Controller) -> Self {
        self.controller = controller;
        if let Controller::Lookahead(far) = self.controller {
            let first = self.foresee(far);
            self.rule.begin(first, 0);
            self.gear = GearId::of(first);
            self.settle();
        }
        self
    }

    /// Runs to the end; the servers come back, as they know what kept them from serving.
    pub fn run(mut self) -> (Trial<'a>, S) {
        for pool in self.pools.ids() {
            self.servers.hold(pool, self.pools[pool].up());
        }
        self.servers.open();
        self.agenda.set(self.counts.from(), Date::Counting);
        self.agenda.set(self.counts.window_end(), Date::WindowEnd);
        if self.plan.gears.len() > 1 {
            self.agenda.set(self.rule.due(), Date::RateKnown);
        }
        let mut arrival = self.arrivals.next().unwrap_or(u64::MAX);
        loop {
            let planned = self.agenda.next_at();
            let next = planned.min(arrival).min(self.end);
            match self.servers.wait(next) {
                Wake::Reached(_) if next == self.end => break,
                Wake::Reached(now) => {
                    // What was due before the end counts, however late it is looked at.
                    self.now = now.min(self.end);
                    if planned <= arrival {
                        self.happen();
                    } else {
                        self.arrive(arrival);
                        arrival = self.arrivals.next().unwrap_or(u64::MAX);
                    }
                }
                Wake::Done(now, _) | Wake::Up(now) if now >= self.end => {}
                Wake::Done(now, work) => {
                    self.now = now;
                    self.finish(work);
                }
                Wake::Up(now) => {
                    self.now = now;
                    self.change_gear();
                }
                Wake::Failed => break,
            }
        }
        self.close()
    }

    fn happen(&mut self) {
        match self.agenda.pop() {
            Some(Event::Done(work)) => self.finish(work),
            Some(Event::Joins(lane, request)) => self.enqueue(&self.walk.lanes[lane], request),
            Some(Event::HoldOver(lane)) => self.hold_over(&self.walk.lanes[lane]),
            Some(Event::Date(Date::Counting)) => self.begin_counting(),
            Some(Event::Date(Date::WindowEnd)) => self.end_window(),
            Some(Event::Date(Date::ReplicasUp)) => self.change_gear(),
            Some(Event::Date(Date::RateKnown)) => self.rate_known(),
            None => {}
        }
    }

    // Requests.

    /// A request arrives that was meant to arrive at `arrived`, which is not later than now.
    fn arrive(&mut self, arrived: u64) {
        self.live[self.gear] += 1;
        self.under_way += 1;
        let gear = &self.walk.gears[self.gear];
        let id = self.new_request(arrived, gear);
        let (first, others) = gear.first.split_first().expect("the first stage of a gear waits for no other");
        self.start(id, &self.walk.stages[*first]);
        for &stage in others {
            if !self.requests[id].gone {
                self.start(id, &self.walk.stages[stage]);
            }
        }
        if self.controller == Controller::Switch
            && let Some(to) = self.rule.arrive(self.under_way)
        {
            self.prepare(to);
        }
    }

    fn new_request(&mut self, arrived: u64, gear: &GearWalk) -> RequestId {
        let sample = if self.samples > 0 { self.dice.below(self.samples) } else { 0 };
        let request = Request {
            arrived,
            sample,
            gear: self.gear,
            cell: self.counts.arrives(self.gear, gear.stages.len(), arrived),
            at: None,
            stages_left: gear.stages.len() as u32,
            calls_left: 0,
            gone: false,
            right: None,
        };
        let id = if let Some(id) = self.free_requests.pop() {
            self.requests[id] = request;
            id
        } else {
            self.progress.extend(std::iter::repeat_n(Progress::default(), self.walk.stride));
            self.requests.push(request)
        };
        if gear.is_followed {
            let first = id.index() * self.walk.stride;
            for (progress, &stage) in self.progress[first..].iter_mut().zip(&gear.stages) {
                *progress = Progress { waits_for: self.walk.stages[stage].waits_for, calls_left: 0 };
            }
        }
        id
    }

    /// A request gets to a stage and makes its calls there.
    fn start(&mut self, id: RequestId, stage: &'a StageWalk) {
        let request = &mut self.requests[id];
        self.counts.reaches(request.cell, stage.position);
        if stage.fans_out() {
            self.fan_out(id, stage);
        } else {
            request.calls_left += 1;
            self.call(id, stage);
        }
    }

    /// A request makes several calls at a stage, until one of them is refused.
    fn fan_out(&mut self, id: RequestId, stage: &'a StageWalk) {
        let one_more = stage.one_more > 0.0 && self.dice.unit() < stage.one_more;
        let calls = stage.calls + u32::from(one_more);
        if calls == 0 {
            self.pass(id, stage, None);
            return;
        }
        self.requests[id].calls_left += calls;
        self.progress_of(id, stage).calls_left = calls;
        for made in 1..=calls {
            self.call(id, stage);
            if made < calls && self.requests[id].gone {
                self.forget_calls(id, calls - made);
                return;
            }
        }
    }

    /// A request makes one call at a stage.
    #[inline]
    fn call(&mut self, id: RequestId, stage: &StageWalk) {
        let Request { arrived, at: from, .. } = self.requests[id];
        let lane = self.pick(stage, arrived, from);
        match self.walk.transfer_ns(from, lane.pool) {
            0 => self.enqueue(lane, id),
            way => self.agenda.push(self.now + way, Event::Joins(lane.id, id)),
        }
    }

    /// Calls of a request are no more; its slot is free once it has left and none is under way.
    #[inline]
    fn forget_calls(&mut self, id: RequestId, calls: u32) {
        let request = &mut self.requests[id];
        request.calls_left -= calls;
        if calls > 0 && request.gone && request.calls_left == 0 {
            self.free_requests.push(id);
        }
    }

    fn progress_of(&mut self, request: RequestId, stage: &StageWalk) -> &mut Progress {
        &mut self.progress[request.index() * self.walk.stride + stage.position]
    }

    /// A call of a request is done; its answer stands at `position` of what was served together.
    fn call_done(&mut self, id: RequestId, lane: &'a LaneWalk, position: usize) {
        let request = &mut self.requests[id];
        if request.gone {
            self.forget_calls(id, 1);
            return;
        }
        request.calls_left -= 1;
        request.at = Some(lane.pool);
        let stage = &self.walk.stages[lane.stage];
        if stage.fans_out() {
            let progress = self.progress_of(id, stage);
            progress.calls_left -= 1;
            if progress.calls_left > 0 {
                return;
            }
        }
        self.pass(id, stage, Some((lane, position)));
    }

    /// A request has passed a stage: it leaves, or goes on to the stages that waited for this one.
    fn pass(&mut self, id: RequestId, stage: &'a StageWalk, call: Option<(&LaneWalk, usize)>) {
        let request = &mut self.requests[id];
        let answer = call.and_then(|(lane, position)| self.servers.answer(position, lane.variant, request.sample));
        request.stages_left -= 1;
        request.right = answer.map(|(_, right)| right).or(request.right);
        let certain = stage.exit.zip(answer).is_some_and(|(exit, (certainty, _))| exit.releases(certainty));
        if let Some(watch) = stage.watch.as_ref().filter(|_| answer.is_some() && self.now >= self.counts.from()) {
            self.drift[stage.id].sees(watch, !certain);
        }
        if certain || request.stages_left == 0 {
            if request.stages_left > 0 {
                self.counts.exits(request.cell, stage.position);
            }
            self.counts.answers(request.cell, request.arrived, self.now, self.slo_ns, request.right);
            self.leave(id);
            return;
        }
        for &next in &stage.then {
            let next = &self.walk.stages[next];
            if next.joins() {
                let progress = self.progress_of(id, next);
                progress.waits_for -= 1;
                if progress.waits_for > 0 {
                    continue;
                }
            }
            if !self.requests[id].gone {
                self.start(id, next);
            }
        }
    }

    /// A request leaves; calls of it that are under way are served all the same.
    #[inline]
    fn leave(&mut self, id: RequestId) {
        let request = &mut self.requests[id];
        request.gone = true;
        let gear = request.gear;
        if request.calls_left == 0 {
            self.free_requests.push(id);
        }
        self.live[gear] -= 1;
        self.under_way -= 1;
        if self.live[gear] == 0 && gear != self.gear {
            self.settle();
        }
    }

    /// A call is sent away unserved, and its request with it.
    fn lose(&mut self, lane: &LaneWalk, id: RequestId, why: Lost) {
        self.pools[lane.pool].turns_away(why);
        if self.requests[id].gone {
            self.forget_calls(id, 1);
            return;
        }
        let request = &mut self.requests[id];
        request.calls_left -= 1;
        self.counts.loses(request.cell, request.arrived, why);
        self.leave(id);
    }

    // Gears.

    fn rate_known(&mut self) {
        let to = match self.controller {
            Controller::Switch => self.rule.tick(self.now, self.under_way),
            Controller::Lookahead(far) => self.rule.aim(self.now, self.foresee(far)),
        };
        self.agenda.set(self.rule.due(), Date::RateKnown);
        if let Some(to) = to {
            self.prepare(to);
        }
    }

    /// Returns the gear for the highest rate from now until so far ahead, as an oracle would take it.
    fn foresee(&self, far: Duration) -> usize {
        let from = self.now as f64 / 1e9;
        self.rule.gear_for(self.law.highest_rate(from, from + far.as_secs_f64()))
    }

    /// Asks for the replicas that a gear needs in addition; the old gear routes until the slowest is up. Replicas that are starting
    /// for another gear go on as far as this one wants them too, the latest are dropped. The gear that serves needs none.
    fn prepare(&mut self, to: usize) {
        let to = GearId::of(to);
        let starts = |pool: PoolId| self.walk.gears[to].replicas[pool] > self.pools[pool].up();
        let mut up_at = self.now + self.walk.moved_ns(self.gear, to, starts);
        for pool in self.walk.pools.ids() {
            let wanted = self.walk.gears[to].replicas[pool];
            let state = &mut self.pools[pool];
            let missing = wanted.saturating_sub(state.up());
            let starting = &mut self.starting[pool];
            if missing as usize != starting.len() {
                starting.resize(missing as usize, self.now + self.walk.ready_ns(pool, self.gear, to));
                starting.sort_unstable();
            }
            up_at = up_at.max(starting.last().copied().unwrap_or(0));
            state.starts(self.now, missing);
            state.bills(self.now);
            self.servers.hold(pool, wanted.max(state.up()));
        }
        self.decided = self.now;
        self.pay_rent();
        let up_at = if self.next_gear().is_some() { self.servers.up_at(up_at) } else { None };
        self.agenda.set(up_at.unwrap_or(Agenda::NEVER), Date::ReplicasUp);
    }

    fn change_gear(&mut self) {
        let Some(to) = self.next_gear() else { return };
        self.counts.changes_gear(self.gear, to, self.decided, self.now);
        if self.rule.ready(self.now) {
            self.agenda.set(self.rule.due(), Date::RateKnown);
        }
        self.gear = to;
        self.starting.0.iter_mut().for_each(Vec::clear);
        self.settle();
    }

    /// Sets every pool to what the gear wants; a pool that requests of an old gear still need keeps one replica.
    fn settle(&mut self) {
        self.pay_rent();
        let next = self.next_gear();
        for pool in self.walk.pools.ids() {
            let needed = |gear: GearId| self.live[gear] > 0 && self.walk.gears[gear].uses[pool];
            let wanted = self.walk.gears[self.gear].replicas[pool];
            let keeps_one = wanted == 0 && (self.pools[pool].waiting() > 0 || self.walk.gears.ids().any(needed));
            let up = wanted.max(u32::from(keeps_one));
            let state = &mut self.pools[pool];
            if next.is_none() {
                state.starts(self.now, 0);
            }
            state.holds(self.now, up);
            state.bills(self.now);
            let soon = next.map_or(0, |next| self.walk.gears[next].replicas[pool]);
            self.servers.hold(pool, up.max(soon));
            self.serve(pool);
        }
    }

    fn pay_rent(&mut self) {
        let machines = machines(&self.walk.gears, self.gear, self.next_gear());
        self.rent.hold(self.now, &machines);
    }

    /// Returns the gear that a change under way leads to.
    fn next_gear(&self) -> Option<GearId> {
        self.rule.preparing().map(GearId::of)
    }

    // Counting.

    fn begin_counting(&mut self) {
        for pool in &mut self.pools.0 {
            pool.restart(self.now);
        }
        self.rent.restart(self.now);
    }

    fn end_window(&mut self) {
        let cost = self.cost_so_far();
        self.counts.ends_window(self.gear, cost);
        self.pools.0.iter_mut().for_each(Pool::ends_window);
        self.agenda.set(self.counts.window_end(), Date::WindowEnd);
    }

    fn cost_so_far(&self) -> f64 {
        let of_pool = |pool: PoolId| self.pools[pool].cost_so_far_usd(&self.walk.pools[pool], self.now);
        self.pools.ids().map(of_pool).sum::<f64>() + self.rent.so_far(self.now)
    }

    fn close(mut self) -> (Trial<'a>, S) {
        self.now = self.end;
        let cost = self.cost_so_far();
        self.counts.ends_window(self.gear, cost);
        for request in self.requests.0.iter().filter(|request| !request.gone) {
            self.counts.abandons(request.cell, request.arrived, self.slo_ns);
        }
        self.counts.ends(self.gear);
        for pool in &mut self.pools.0 {
            pool.ends_window();
            pool.close(self.end);
        }
        let rent_usd = self.rent.so_far(self.end);
        let Self { counts, drift, pools, walk, servers, .. } = self;
        (Trial { source: S::SOURCE, counts, drift, pools, rent_usd, walk }, servers)
    }
}
