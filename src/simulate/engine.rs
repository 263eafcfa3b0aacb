//! The event loop: takes the next arrival or the next planned event until the time is over.

use std::collections::VecDeque;

use super::agenda::{Agenda, Event};
use super::arrivals::{Arrivals, Source};
use super::counts::Counts;
use super::dice::Dice;
use super::ids::{GearId, Id, LaneId, PoolId, RequestId, ServiceId, StageId, Table};
use super::pool::Pool;
use super::servers::{Servers, Wake};
use super::shift::Shift;
use super::trial::Trial;
use super::walk::{Walk, nanos};
use super::world::World;
use super::{Controller, Settings};
use crate::plan::{Dispatch, Plan};

/// A trial under way.
pub struct Engine<'a, S> {
    plan: &'a Plan,
    servers: S,
    walk: Walk,
    now: u64,
    end: u64,
    law: &'a Arrivals,
    arrivals: Source<'a>,
    agenda: Agenda,
    dice: Dice,
    samples: u32,
    slo_ns: u64,
    gear: GearId,
    /// Requests under way, by the gear under which they arrived.
    live: Table<GearId, u32>,
    requests: Table<RequestId, Request>,
    free_requests: Vec<RequestId>,
    /// For every request slot, `stride` stages.
    progress: Vec<Progress>,
    queues: Table<LaneId, Queue>,
    pools: Table<PoolId, Pool>,
    services: Table<ServiceId, Service>,
    free_services: Vec<ServiceId>,
    shift: Shift,
    controller: Controller,
    counts: Counts,
}

#[derive(Debug, Clone, Copy)]
struct Request {
    arrived: u64,
    sample: u32,
    gear: GearId,
    stages_left: u32,
    /// Calls that wait or are served; a request that left early keeps its slot until they are done.
    calls_left: u32,
    answered: bool,
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
struct Service {
    lane: LaneId,
    calls: Vec<Call>,
}

impl<'a, S: Servers> Engine<'a, S> {
    pub fn new<W: World>(plan: &'a Plan, world: &W, servers: S, settings: &'a Settings) -> Self {
        let walk = Walk::new(plan, world);
        let warmup = nanos(settings.warmup);
        let end = warmup + nanos(settings.duration);
        let rate = settings.arrivals.initial_rate(plan.switch.window_ms.get() / 1e3);
        let gear = GearId::of(plan.gear_at(rate / plan.switch.up.get()));
        let largest =
            |pool: PoolId| walk.pools[pool].lanes.iter().map(|&lane| walk.lanes[lane].batch).max().unwrap_or(0);
        let pools = walk.pools.ids().map(|pool| Pool::new(walk.gears[gear].replicas[pool], largest(pool))).collect();
        Self {
            plan,
            now: 0,
            end,
            law: &settings.arrivals,
            arrivals: settings.arrivals.source(settings.seed),
            agenda: Agenda::default(),
            dice: Dice::new(settings.seed, 2),
            samples: servers.samples(),
            servers,
            slo_ns: nanos(plan.slo.latency_ms.duration()),
            gear,
            live: plan.gears.iter().map(|_| 0).collect(),
            requests: Table::new(),
            free_requests: Vec::new(),
            progress: Vec::new(),
            queues: walk.lanes.ids().map(|_| Queue::default()).collect(),
            pools,
            services: Table::new(),
            free_services: Vec::new(),
            shift: Shift::new(plan),
            controller: Controller::Switch,
            counts: Counts::new(plan, warmup, end),
            walk,
        }
    }

    /// Puts somebody else in charge of the gears, from before the first request.
    pub fn under(mut self, controller: Controller) -> Self {
        self.controller = controller;
        if let Controller::Lookahead(far) = controller {
            self.gear = self.shift.foresee(self.plan, self.law, 0, far);
            self.settle();
        }
        self
    }

    /// Runs to the end; the servers come back, as they know what kept them from serving.
    pub fn run(mut self) -> (Trial, S) {
        for pool in self.pools.ids() {
            self.servers.hold(pool, self.pools[pool].up);
        }
        self.servers.open();
        self.agenda.push(self.counts.from(), Event::Counting);
        self.agenda.push(self.counts.window_end(), Event::WindowEnd);
        if self.plan.gears.len() > 1 {
            self.agenda.push(self.shift.window_ns, Event::RateKnown);
        }
        let mut arrival = self.arrivals.next().unwrap_or(u64::MAX);
        loop {
            let planned = self.agenda.next_at().unwrap_or(u64::MAX);
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
                Wake::Done(now, service) => {
                    self.now = now;
                    self.finish(service);
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
            Some(Event::Done(service)) => self.finish(service),
            Some(Event::HoldOver(lane)) => self.hold_over(lane),
            Some(Event::RateKnown) => self.rate_known(),
            Some(Event::ReplicasUp) => self.change_gear(),
            Some(Event::Counting) => self.begin_counting(),
            Some(Event::WindowEnd) => self.end_window(),
            None => {}
        }
    }

    // Requests.

    /// A request arrives that was meant to arrive at `arrived`, which is not later than now.
    fn arrive(&mut self, arrived: u64) {
        self.shift.arrivals += 1;
        self.counts.arrives(self.gear, arrived);
        self.live[self.gear] += 1;
        let request = self.new_request(arrived);
        for index in 0..self.walk.gears[self.gear].stages.len() {
            let stage = self.walk.gears[self.gear].stages[index];
            if self.walk.stages[stage].waits_for == 0 && !self.requests[request].answered {
                self.start(request, stage);
            }
        }
    }

    fn new_request(&mut self, arrived: u64) -> RequestId {
        let sample = if self.samples > 0 { self.dice.below(self.samples) } else { 0 };
        let stages = &self.walk.gears[self.gear].stages;
        let request = Request {
            arrived,
            sample,
            gear: self.gear,
            stages_left: stages.len() as u32,
            calls_left: 0,
            answered: false,
            right: None,
        };
        let id = if let Some(id) = self.free_requests.pop() {
            self.requests[id] = request;
            id
        } else {
            self.progress.extend(std::iter::repeat_n(Progress::default(), self.walk.stride));
            self.requests.push(request)
        };
        let first = id.index() * self.walk.stride;
        for (progress, &stage) in self.progress[first..].iter_mut().zip(stages) {
            *progress = Progress { waits_for: self.walk.stages[stage].waits_for, calls_left: 0 };
        }
        id
    }

    /// A request gets to a stage and makes its calls there.
    fn start(&mut self, request: RequestId, stage: StageId) {
        let walk = &self.walk.stages[stage];
        let one_more = walk.one_more > 0.0 && self.dice.unit() < walk.one_more;
        let calls = walk.calls + u32::from(one_more);
        let Request { gear, arrived, .. } = self.requests[request];
        self.counts.reaches(gear, walk.position, arrived);
        if calls == 0 {
            self.pass(request, stage, None);
            return;
        }
        self.progress_of(request, stage).calls_left = calls;
        self.requests[request].calls_left += calls;
        for _ in 0..calls {
            let lane = self.pick(stage, arrived);
            self.enqueue(lane, request);
        }
    }

    fn progress_of(&mut self, request: RequestId, stage: StageId) -> &mut Progress {
        &mut self.progress[request.index() * self.walk.stride + self.walk.stages[stage].position]
    }

    /// A call of a request is done; its answer stands at `position` of what was served together.
    fn call_done(&mut self, id: RequestId, lane: LaneId, position: usize) {
        let request = &mut self.requests[id];
        request.calls_left -= 1;
        if request.answered {
            if request.calls_left == 0 {
                self.free_requests.push(id);
            }
            return;
        }
        let stage = self.walk.lanes[lane].stage;
        let progress = self.progress_of(id, stage);
        progress.calls_left -= 1;
        if progress.calls_left == 0 {
            self.pass(id, stage, Some((lane, position)));
        }
    }

    /// A request has passed a stage: it leaves, or goes on to the stages that waited for this one.
    fn pass(&mut self, id: RequestId, stage: StageId, call: Option<(LaneId, usize)>) {
        let answer = call.and_then(|(lane, position)| {
            self.servers.answer(position, self.walk.lanes[lane].variant, self.requests[id].sample)
        });
        let request = &mut self.requests[id];
        request.stages_left -= 1;
        request.right = answer.map(|(_, right)| right).or(request.right);
        let walk = &self.walk.stages[stage];
        let certain = matches!((walk.exit_at, answer), (Some(least), Some((certainty, _))) if certainty >= least);
        if certain || request.stages_left == 0 {
            if request.stages_left > 0 {
                self.counts.exits(request.gear, walk.position, request.arrived);
            }
            self.leave(id);
            return;
        }
        for index in 0..walk.then.len() {
            let next = self.walk.stages[stage].then[index];
            let progress = self.progress_of(id, next);
            progress.waits_for -= 1;
            if progress.waits_for == 0 && !self.requests[id].answered {
                self.start(id, next);
            }
        }
    }

    /// A request is answered.
    fn leave(&mut self, id: RequestId) {
        let request = &mut self.requests[id];
        request.answered = true;
        let Request { gear, arrived, right, calls_left, .. } = *request;
        if calls_left == 0 {
            self.free_requests.push(id);
        }
        self.counts.answers(gear, arrived, self.now, self.slo_ns, right);
        self.live[gear] -= 1;
        if self.live[gear] == 0 && gear != self.gear {
            self.settle();
        }
    }

    // Lanes and pools.

    /// Returns the lane that a call goes to.
    fn pick(&mut self, stage: StageId, arrived: u64) -> LaneId {
        let walk = &self.walk.stages[stage];
        let last = walk.lanes.len() - 1;
        if last == 0 {
            return walk.lanes[0];
        }
        let index = match walk.dispatch {
            Dispatch::Share => {
                let drawn = self.dice.unit();
                walk.shares.iter().position(|&share| drawn < share)
            }
            Dispatch::Spill => walk.lanes.iter().position(|&lane| self.is_free(lane)),
            Dispatch::Deadline => walk.lanes.iter().position(|&lane| self.is_in_time(lane, arrived)),
        };
        walk.lanes[index.unwrap_or(last)]
    }

    fn is_free(&self, lane: LaneId) -> bool {
        let pool = &self.pools[self.walk.lanes[lane].pool];
        pool.has_free() && pool.waiting == 0
    }

    /// Expects what waits and what is served (in full) to be shared out over the replicas, then one mean call.
    fn is_in_time(&self, lane: LaneId, arrived: u64) -> bool {
        let walk = &self.walk.lanes[lane];
        let pool = &self.pools[walk.pool];
        let free = pool.has_free() && pool.waiting == 0;
        let wait = if free { 0.0 } else { (pool.queued_ns + pool.begun_ns) / f64::from(pool.up.max(1)) };
        let together = (self.queues[lane].calls.len() + 1).min(walk.batch as usize);
        let hold = if together < walk.batch as usize { walk.hold_ns as f64 } else { 0.0 };
        let spent = (self.now - arrived) as f64;
        spent + wait.max(hold) + walk.mean_ns[together - 1] <= self.slo_ns as f64
    }

    fn enqueue(&mut self, lane: LaneId, request: RequestId) {
        let walk = &self.walk.lanes[lane];
        let pool = walk.pool;
        self.pools[pool].joins(self.now, work_ns(walk));
        self.queues[lane].calls.push_back(Call { request, since: self.now });
        self.arm(lane);
        self.serve(pool);
    }

    /// Plans the end of a lane's hold, where it holds and none is planned.
    fn arm(&mut self, lane: LaneId) {
        let hold = self.walk.lanes[lane].hold_ns;
        let queue = &mut self.queues[lane];
        if hold == 0 || queue.armed {
            return;
        }
        if let Some(oldest) = queue.calls.front()
            && oldest.since + hold > self.now
        {
            queue.armed = true;
            self.agenda.push(oldest.since + hold, Event::HoldOver(lane));
        }
    }

    fn hold_over(&mut self, lane: LaneId) {
        self.queues[lane].armed = false;
        self.arm(lane);
        self.serve(self.walk.lanes[lane].pool);
    }

    /// Lets free replicas take what is ready.
    fn serve(&mut self, pool: PoolId) {
        while self.pools[pool].has_free() && self.pools[pool].waiting > 0 {
            match self.longest_waiting(pool) {
                Some(lane) => self.begin(lane),
                None => break,
            }
        }
    }

    /// Returns the ready lane whose oldest call waits longest; ties go to the lane that the plan names first.
    fn longest_waiting(&self, pool: PoolId) -> Option<LaneId> {
        let ready = |&lane: &LaneId| {
            let (walk, queue) = (&self.walk.lanes[lane], &self.queues[lane].calls);
            let oldest = queue.front()?.since;
            let is_ready = queue.len() >= walk.batch as usize || self.now - oldest >= walk.hold_ns;
            is_ready.then_some((oldest, lane))
        };
        self.walk.pools[pool].lanes.iter().filter_map(ready).min().map(|(_, lane)| lane)
    }

    /// A replica takes up to a batch of calls.
    fn begin(&mut self, lane: LaneId) {
        let id = self.free_services.pop().unwrap_or_else(|| self.services.push(Service { lane, calls: Vec::new() }));
        let walk = &self.walk.lanes[lane];
        let queue = &mut self.queues[lane].calls;
        let calls = queue.len().min(walk.batch as usize);
        let service = &mut self.services[id];
        service.lane = lane;
        service.calls.extend(queue.drain(..calls));
        let pool = &mut self.pools[walk.pool];
        pool.begins(self.now, calls as u32, work_ns(walk) * calls as f64, walk.mean_ns[calls - 1]);
        let samples = service.calls.iter().map(|call| self.requests[call.request].sample);
        let time = self.servers.begin(id, walk.variant, walk.pool, samples, &mut self.dice);
        let Some(mut time) = time else {
            self.arm(lane);
            return;
        };
        let pool_walk = &self.walk.pools[walk.pool];
        if let Some(function) = pool_walk.function {
            if !pool.takes_warm(self.now, function.keep_ns) {
                time += function.cold_ns;
            }
            pool.pays(pool_walk.on.usd_per_call(time as f64 / 1e6));
        }
        self.agenda.push(self.now + time, Event::Done(id));
        self.arm(lane);
    }

    /// A replica finishes its calls and takes the next.
    fn finish(&mut self, id: ServiceId) {
        let lane = self.services[id].lane;
        let mut calls = std::mem::take(&mut self.services[id].calls);
        let walk = &self.walk.lanes[lane];
        let pool_id = walk.pool;
        let pool = &mut self.pools[pool_id];
        pool.ends(self.now, calls.len() as u32, walk.mean_ns[calls.len() - 1]);
        if self.walk.pools[pool_id].function.is_some() {
            pool.idles(self.now);
        }
        for (position, call) in calls.drain(..).enumerate() {
            self.call_done(call.request, lane, position);
        }
        self.services[id].calls = calls;
        self.free_services.push(id);
        self.serve(pool_id);
    }

    // Gears.

    fn rate_known(&mut self) {
        self.agenda.push(self.now + self.shift.window_ns, Event::RateKnown);
        let to = match self.controller {
            Controller::Switch => self.shift.decide(self.plan, self.gear, self.now),
            Controller::Lookahead(far) => {
                let seen = self.shift.foresee(self.plan, self.law, self.now, far);
                (seen != self.gear && self.shift.is_quiet()).then_some(seen)
            }
        };
        if let Some(to) = to {
            self.prepare(to);
        }
    }

    /// Asks for the replicas that the next gear needs in addition; the old gear routes until the slowest is up.
    fn prepare(&mut self, to: GearId) {
        let mut wait = 0;
        for pool in self.walk.pools.ids() {
            let wanted = self.walk.gears[to].replicas[pool];
            let state = &mut self.pools[pool];
            state.touch(self.now);
            state.starting = wanted.saturating_sub(state.up);
            if state.starting > 0 {
                wait = wait.max(self.walk.pools[pool].ready_ns);
            }
            self.servers.hold(pool, wanted.max(state.up));
        }
        self.shift.begins(to, self.now);
        if let Some(at) = self.servers.up_at(self.now + wait) {
            self.agenda.push(at, Event::ReplicasUp);
        }
    }

    fn change_gear(&mut self) {
        let Some((to, asked)) = self.shift.ends() else { return };
        self.counts.changes_gear(self.gear, to, asked, self.now);
        self.gear = to;
        self.settle();
    }

    /// Sets every pool to what the gear wants; a pool that requests of an old gear still need keeps one replica.
    fn settle(&mut self) {
        for pool in self.walk.pools.ids() {
            let needed = |gear: GearId| self.live[gear] > 0 && self.walk.gears[gear].uses[pool];
            let wanted = self.walk.gears[self.gear].replicas[pool];
            let keeps_one = wanted == 0 && (self.pools[pool].waiting > 0 || self.walk.gears.ids().any(needed));
            let state = &mut self.pools[pool];
            state.touch(self.now);
            if self.shift.is_quiet() {
                state.starting = 0;
            }
            state.up = wanted.max(u32::from(keeps_one));
            let next = self.shift.next_gear().map_or(0, |next| self.walk.gears[next].replicas[pool]);
            self.servers.hold(pool, state.up.max(next));
            self.serve(pool);
        }
    }

    // Counting.

    fn begin_counting(&mut self) {
        for pool in &mut self.pools.0 {
            pool.restart(self.now);
        }
    }

    fn end_window(&mut self) {
        let cost = self.cost_so_far();
        self.counts.ends_window(self.gear, cost);
        self.agenda.push(self.counts.window_end(), Event::WindowEnd);
    }

    fn cost_so_far(&mut self) -> f64 {
        for pool in &mut self.pools.0 {
            pool.touch(self.now);
        }
        self.pools.ids().map(|pool| self.pools[pool].cost_usd(&self.walk.pools[pool])).sum()
    }

    fn close(mut self) -> (Trial, S) {
        self.now = self.end;
        let cost = self.cost_so_far();
        self.counts.ends_window(self.gear, cost);
        for request in self.requests.0.iter().filter(|request| !request.answered) {
            self.counts.abandons(request.gear, request.arrived, self.end, self.slo_ns);
        }
        self.counts.ends(self.gear);
        (Trial { source: S::SOURCE, counts: self.counts, pools: self.pools, walk: self.walk }, self.servers)
    }
}

/// Returns what one call in a full batch asks of a replica.
fn work_ns(lane: &super::walk::LaneWalk) -> f64 {
    lane.mean_ns[lane.batch as usize - 1] / f64::from(lane.batch)
}
