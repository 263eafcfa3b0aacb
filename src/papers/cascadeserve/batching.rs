//! SP4: the trigger of the first model, raised by one until the throughput suffices, and the planner's own simulation.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::{RingInstance, RingSettings};
use crate::rooms::exits::Cascade;

/// Part of the simulated requests that must be answered by the end, else throughput is short.
const ANSWERED: f64 = 0.98;

/// Returns the least trigger under which a rate is served within the latency objective, or `None` where waiting for companions
/// breaks it or no measured batch is large enough.
pub(super) fn trigger(
    instance: &RingInstance<'_>,
    cascade: &Cascade,
    shares: &[Vec<f64>],
    rate: f64,
    settings: &RingSettings,
) -> Option<usize> {
    let slowest = shares[0].iter().copied().filter(|&share| share > 0.0).fold(1.0, f64::min);
    for trigger in 1..=instance.models[cascade.members[0].model].largest() {
        let fill_ms = (trigger - 1) as f64 / (rate * slowest) * 1e3;
        if fill_ms > instance.limit_ms {
            return None;
        }
        if !has_throughput(instance, cascade, shares, rate, trigger) {
            continue;
        }
        let seen = simulate(instance, cascade, shares, rate, trigger, settings);
        if seen.tail_ms <= instance.limit_ms && seen.answered >= ANSWERED {
            return Some(trigger);
        }
        if seen.answered >= ANSWERED {
            return None;
        }
    }
    None
}

/// The released code's test: batches of a second at the trigger, later models with one sample each, take at most the second.
fn has_throughput(
    instance: &RingInstance<'_>,
    cascade: &Cascade,
    shares: &[Vec<f64>],
    rate: f64,
    trigger: usize,
) -> bool {
    let time_ms = |member: usize, batch: usize| instance.models[cascade.members[member].model].time_ms(batch);
    let has = |device: usize| {
        let batches = (rate * shares[0][device] / trigger as f64).ceil();
        let later = (1..shares.len()).filter(|&member| shares[member][device] > 0.0).map(|member| time_ms(member, 1));
        batches * (time_ms(0, trigger) + later.sum::<f64>()) <= 1e3
    };
    (0..instance.devices).all(has)
}

/// What the planner's simulation saw.
pub(super) struct RingTrial {
    /// The objective's quantile of answered requests; those still under way are not counted, as in the released code.
    pub tail_ms: f64,
    /// Part of the requests that were answered.
    pub answered: f64,
}

/// Evenly spaced requests, each to the device that is furthest behind its share; queues are looked at in turn, and a device takes
/// a whole queue once it is as long as the trigger. Certainties cycle through the records.
pub(super) fn simulate(
    instance: &RingInstance<'_>,
    cascade: &Cascade,
    shares: &[Vec<f64>],
    rate: f64,
    trigger: usize,
    settings: &RingSettings,
) -> RingTrial {
    let mut trial = Trial::new(instance, cascade, shares, trigger);
    let (gap_ns, end_ns) = (1e9 / rate, (settings.simulated_s * 1e9) as u64);
    let samples = instance.records.samples().max(1);
    let mut arrived = 0_usize;
    loop {
        let arrival = (arrived as f64 * gap_ns) as u64;
        let done = trial.agenda.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
        if arrival.min(done) >= end_ns {
            break;
        }
        if done <= arrival {
            trial.finish();
        } else {
            trial.join(0, Request { arrived: arrival, sample: arrived % samples }, arrival);
            arrived += 1;
        }
    }
    let answered = trial.times_ns.len() as f64 / arrived.max(1) as f64;
    RingTrial { tail_ms: quantile(trial.times_ns, instance.quantile) as f64 / 1e6, answered }
}

/// Returns the nearest-rank quantile; infinite time where nobody was answered.
fn quantile(mut times: Vec<u64>, quantile: f64) -> u64 {
    if times.is_empty() {
        return u64::MAX;
    }
    let rank = ((quantile * times.len() as f64).ceil() as usize).clamp(1, times.len()) - 1;
    *times.select_nth_unstable(rank).1
}

#[derive(Clone, Copy)]
struct Request {
    arrived: u64,
    sample: usize,
}

struct Trial<'a> {
    instance: &'a RingInstance<'a>,
    cascade: &'a Cascade,
    shares: &'a [Vec<f64>],
    trigger: usize,
    /// For each device and member who waits.
    queues: Vec<Vec<VecDeque<Request>>>,
    /// For each device what it serves, and as which member.
    serves: Vec<Option<(usize, Vec<Request>)>>,
    /// For each device the member whose queue it looks at first.
    turn: Vec<usize>,
    /// For each member how many requests each device got.
    sent: Vec<Vec<u64>>,
    /// When devices are done.
    agenda: BinaryHeap<Reverse<(u64, usize)>>,
    times_ns: Vec<u64>,
}

impl<'a> Trial<'a> {
    fn new(instance: &'a RingInstance<'a>, cascade: &'a Cascade, shares: &'a [Vec<f64>], trigger: usize) -> Self {
        let (devices, members) = (instance.devices, cascade.members.len());
        Self {
            instance,
            cascade,
            shares,
            trigger,
            queues: vec![vec![VecDeque::new(); members]; devices],
            serves: vec![None; devices],
            turn: vec![0; devices],
            sent: vec![vec![0; devices]; members],
            agenda: BinaryHeap::new(),
            times_ns: Vec::new(),
        }
    }

    fn join(&mut self, member: usize, request: Request, now: u64) {
        let (shares, sent) = (&self.shares[member], &mut self.sent[member]);
        let all = sent.iter().sum::<u64>() as f64 + 1.0;
        let behind = |device: usize| shares[device] * all - sent[device] as f64;
        let open = (0..shares.len()).filter(|&device| shares[device] > 0.0);
        let device = open.max_by(|&a, &b| behind(a).total_cmp(&behind(b))).expect("every member has a device");
        sent[device] += 1;
        self.queues[device][member].push_back(request);
        self.serve(device, now);
    }

    fn serve(&mut self, device: usize, now: u64) {
        if self.serves[device].is_some() {
            return;
        }
        let members = self.cascade.members.len();
        let least = |member: usize| if member == 0 { self.trigger } else { 1 };
        let mut turns = (0..members).map(|step| (self.turn[device] + step) % members);
        let ready = |&member: &usize| self.queues[device][member].len() >= least(member);
        let Some(member) = turns.find(ready) else { return };
        let model = &self.instance.models[self.cascade.members[member].model];
        let queue = &mut self.queues[device][member];
        let batch: Vec<Request> = queue.drain(..queue.len().min(model.largest())).collect();
        let time_ns = (model.time_ms(batch.len()) * 1e6) as u64;
        self.serves[device] = Some((member, batch));
        self.turn[device] = member + 1;
        self.agenda.push(Reverse((now + time_ns, device)));
    }

    fn finish(&mut self) {
        let Some(Reverse((now, device))) = self.agenda.pop() else { return };
        let Some((at, batch)) = self.serves[device].take() else { return };
        let member = self.cascade.members[at];
        let certainty = &self.instance.records.models[member.model].certainty;
        for request in batch {
            let leaves = member.exit_at.is_none_or(|least| certainty[request.sample] >= least);
            if leaves {
                self.times_ns.push(now - request.arrived);
            } else {
                self.join(at + 1, request, now);
            }
        }
        self.serve(device, now);
    }
}
