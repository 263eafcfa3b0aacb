//! Lanes and pools: where a call goes, how long it waits, who serves it.

use super::super::agenda::Event;
use super::super::ids::{BatchId, LaneId, PoolId, RequestId};
use super::super::servers::{Servers, Work};
use super::super::tally::Lost;
use super::super::walk::{LaneWalk, StageWalk};
use super::super::world::Start;
use super::{Batch, Call, Engine};
use crate::plan::Dispatch;

impl<'a, S: Servers> Engine<'a, S> {
    /// Returns the lane that a call goes to.
    #[inline]
    pub(super) fn pick(&mut self, stage: &StageWalk, arrived: u64, from: Option<PoolId>) -> &'a LaneWalk {
        let lane = match stage.lanes[..] {
            [only] => only,
            ref lanes => self.pick_of(stage, lanes, arrived, from),
        };
        &self.walk.lanes[lane]
    }

    fn pick_of(&mut self, stage: &StageWalk, lanes: &[LaneId], arrived: u64, from: Option<PoolId>) -> LaneId {
        let index = match stage.dispatch {
            Dispatch::Share => self.by_share(stage),
            Dispatch::Stay => {
                let here = lanes.iter().position(|&lane| Some(self.walk.lanes[lane].pool) == from);
                here.or_else(|| self.by_share(stage))
            }
            Dispatch::Spill => lanes.iter().position(|&lane| self.is_free(self.walk.lanes[lane].pool)),
            Dispatch::Deadline => lanes.iter().position(|&lane| self.is_in_time(lane, arrived, from)),
        };
        lanes[index.unwrap_or(lanes.len() - 1)]
    }

    fn by_share(&mut self, stage: &StageWalk) -> Option<usize> {
        let drawn = self.dice.unit();
        stage.shares.iter().position(|&share| drawn < share)
    }

    fn is_free(&self, pool: PoolId) -> bool {
        let pool = &self.pools[pool];
        pool.has_free() && pool.waiting() == 0
    }

    /// Expects what waits and what is served (in full) to be shared out over the replicas, then one mean call.
    fn is_in_time(&self, id: LaneId, arrived: u64, from: Option<PoolId>) -> bool {
        let lane = &self.walk.lanes[id];
        let pool = &self.pools[lane.pool];
        let free = self.is_free(lane.pool);
        let wait = if free { 0.0 } else { (pool.queued_ns + pool.begun_ns) / f64::from(pool.up().max(1)) };
        let together = (self.queues[id].calls.len() + 1).min(lane.batch as usize);
        let hold = if together < lane.batch as usize { lane.hold_ns as f64 } else { 0.0 };
        let spent = (self.now - arrived + self.walk.transfer_ns(from, lane.pool)) as f64;
        spent + wait.max(hold) + lane.mean_ns[together - 1] <= self.slo_ns as f64
    }

    /// A call comes to a lane: it is served at once, waits, or is refused.
    pub(super) fn enqueue(&mut self, lane: &'a LaneWalk, request: RequestId) {
        let pool = &mut self.pools[lane.pool];
        if lane.hold_ns == 0 && pool.has_free() && pool.waiting() == 0 {
            self.begin_one(lane, request);
            return;
        }
        pool.joins(self.now, lane.work_ns);
        self.queues[lane.id].calls.push_back(Call { request, since: self.now });
        self.arm(lane);
        self.serve(lane.pool);
        if self.queues[lane.id].calls.len() > lane.queue_limit {
            self.queues[lane.id].calls.pop_back();
            self.pools[lane.pool].leave_queue(self.now, 1, lane.work_ns, 0);
            self.lose(lane, request, Lost::Refused);
        }
        self.pools[lane.pool].notes_waiting();
    }

    /// Plans the end of a lane's hold, where it holds and none is planned.
    #[inline]
    fn arm(&mut self, lane: &LaneWalk) {
        if lane.hold_ns > 0 {
            self.plan_hold(lane);
        }
    }

    fn plan_hold(&mut self, lane: &LaneWalk) {
        let queue = &mut self.queues[lane.id];
        if !queue.armed
            && let Some(oldest) = queue.calls.front()
            && oldest.since + lane.hold_ns > self.now
        {
            queue.armed = true;
            self.agenda.push(oldest.since + lane.hold_ns, Event::HoldOver(lane.id));
        }
    }

    pub(super) fn hold_over(&mut self, lane: &LaneWalk) {
        self.queues[lane.id].armed = false;
        self.arm(lane);
        self.serve(lane.pool);
    }

    /// Lets free replicas take what is ready.
    #[inline]
    pub(super) fn serve(&mut self, pool: PoolId) {
        while self.pools[pool].has_free() && self.pools[pool].waiting() > 0 {
            match self.longest_waiting(pool) {
                Some(lane) => self.take(lane),
                None => break,
            }
        }
    }

    /// Returns the ready lane whose oldest call waits longest; ties go to the lane that the plan names first.
    #[inline]
    fn longest_waiting(&self, pool: PoolId) -> Option<&'a LaneWalk> {
        match self.walk.pools[pool].lanes[..] {
            [only] => self.ready(only).map(|(_, lane)| lane),
            ref lanes => {
                let oldest = lanes.iter().filter_map(|&lane| self.ready(lane)).min_by_key(|&(since, _)| since);
                oldest.map(|(_, lane)| lane)
            }
        }
    }

    /// Returns a lane where a replica may take its oldest call, and since when that waits.
    #[inline]
    fn ready(&self, id: LaneId) -> Option<(u64, &'a LaneWalk)> {
        let (lane, queue) = (&self.walk.lanes[id], &self.queues[id].calls);
        let oldest = queue.front()?.since;
        let is_ready = queue.len() >= lane.batch as usize || self.now - oldest >= lane.hold_ns;
        is_ready.then_some((oldest, lane))
    }

    /// A free replica takes up to a batch of calls from a queue; those that come too late are dropped.
    fn take(&mut self, lane: &'a LaneWalk) {
        if lane.batch == 1 {
            self.take_one(lane);
        } else {
            self.take_batch(lane);
        }
        while let Some(request) = self.late.pop() {
            self.lose(lane, request, Lost::Dropped);
        }
    }

    #[inline]
    fn take_one(&mut self, lane: &LaneWalk) {
        let Some(Call { request, since }) = self.queues[lane.id].calls.pop_front() else { return };
        self.pools[lane.pool].leave_queue(self.now, 1, lane.work_ns, self.now - since);
        if self.is_late(lane, request) {
            self.late.push(request);
        } else {
            self.begin_one(lane, request);
        }
    }

    fn take_batch(&mut self, lane: &LaneWalk) {
        let id = self.free_batch(lane);
        let (mut taken, mut waited_ns) = (0, 0);
        while self.batches[id].calls.len() < lane.batch as usize {
            let Some(Call { request, since }) = self.queues[lane.id].calls.pop_front() else { break };
            taken += 1;
            waited_ns += self.now - since;
            let list = if self.is_late(lane, request) { &mut self.late } else { &mut self.batches[id].calls };
            list.push(request);
        }
        self.pools[lane.pool].leave_queue(self.now, taken, lane.work_ns * f64::from(taken), waited_ns);
        if self.batches[id].calls.is_empty() {
            self.free_batches.push(id);
        } else {
            self.begin_batch(lane, id);
        }
        self.arm(lane);
    }

    /// Tells whether a request is too old for this lane.
    #[inline]
    fn is_late(&self, lane: &LaneWalk, request: RequestId) -> bool {
        lane.drop_after_ns < u64::MAX && self.now - self.requests[request].arrived > lane.drop_after_ns
    }

    fn free_batch(&mut self, lane: &LaneWalk) -> BatchId {
        match self.free_batches.pop() {
            Some(id) => {
                self.batches[id].lane = lane.id;
                id
            }
            None => self.batches.push(Batch { lane: lane.id, calls: Vec::new() }),
        }
    }

    /// A free replica begins one call.
    #[inline]
    fn begin_one(&mut self, lane: &LaneWalk, id: RequestId) {
        let work = Work::One(lane.id, id);
        let mean_ns = self.expected_ns(lane, 1);
        let start = self.starts(lane);
        self.pools[lane.pool].begins(self.now, 1, mean_ns);
        let sample = std::iter::once(self.requests[id].sample);
        let time = self.servers.begin(work, lane.variant, lane.pool, sample, start, &mut self.dice);
        self.plan_end(lane, work, time);
    }

    /// A free replica begins a batch.
    fn begin_batch(&mut self, lane: &LaneWalk, id: BatchId) {
        let calls = self.batches[id].calls.len();
        let mean_ns = self.expected_ns(lane, calls);
        let start = self.starts(lane);
        self.pools[lane.pool].begins(self.now, calls as u32, mean_ns);
        let samples = self.batches[id].calls.iter().map(|&request| self.requests[request].sample);
        let work = Work::Many(id);
        let time = self.servers.begin(work, lane.variant, lane.pool, samples, start, &mut self.dice);
        self.plan_end(lane, work, time);
    }

    /// A replica becomes busy; returns what else is.
    #[inline]
    fn starts(&mut self, lane: &LaneWalk) -> Start {
        let neighbours = self.busy_on_cores;
        self.busy_on_cores += u32::from(lane.on_cores);
        Start { now: self.now, busy: self.pools[lane.pool].busy(), neighbours, seed: self.seed }
    }

    /// Returns the mean time of a batch, where anybody looks at it.
    #[inline]
    fn expected_ns(&self, lane: &LaneWalk, calls: usize) -> f64 {
        if self.walk.expects_time { lane.mean_ns[calls - 1] } else { 0.0 }
    }

    /// Plans the end of what has begun, where its time is known.
    #[inline]
    fn plan_end(&mut self, lane: &LaneWalk, work: Work, time: Option<u64>) {
        let Some(mut time) = time else { return };
        if let Some(function) = lane.function {
            let pool = &mut self.pools[lane.pool];
            if !pool.takes_warm(self.now, function.keep_ns) {
                time += function.cold_ns;
            }
            pool.pays(self.walk.pools[lane.pool].on.usd_per_call(time as f64 / 1e6));
        }
        self.agenda.push(self.now + time, Event::Done(work));
    }

    /// A replica finishes its calls and takes the next.
    pub(super) fn finish(&mut self, work: Work) {
        let lane = match work {
            Work::One(lane, request) => {
                let lane = self.ends(lane, 1);
                self.call_done(request, lane, 0);
                lane
            }
            Work::Many(id) => {
                let Batch { lane, ref calls } = self.batches[id];
                let calls = calls.len();
                let lane = self.ends(lane, calls);
                for position in 0..calls {
                    self.call_done(self.batches[id].calls[position], lane, position);
                }
                self.batches[id].calls.clear();
                self.free_batches.push(id);
                lane
            }
        };
        self.serve(lane.pool);
    }

    /// A replica of a lane's pool is free again.
    #[inline]
    fn ends(&mut self, lane: LaneId, calls: usize) -> &'a LaneWalk {
        let lane = &self.walk.lanes[lane];
        let mean_ns = self.expected_ns(lane, calls);
        let pool = &mut self.pools[lane.pool];
        pool.ends(self.now, calls as u32, mean_ns);
        self.busy_on_cores -= u32::from(lane.on_cores);
        if lane.function.is_some() {
            pool.idles(self.now);
        }
        lane
    }
}
