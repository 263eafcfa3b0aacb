//! A bench for tests: given service times on a virtual clock, so that queues can be held against theory.

use std::time::Duration;

use super::queue::{Bench, Call, Played, Pull, Queue, RunSpec};
use super::{Ended, LoadConditions};
use crate::base::error::Error;

/// Sessions that take given times in turn, whatever they serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptedBench {
    /// Times of the calls, in the order in which they begin and from the start again.
    pub walls: Vec<Duration>,
    /// Sessions.
    pub sessions: u32,
    /// Longest time of a call; one that would take longer fails then.
    pub timeout: Duration,
}

/// A session and its own time: of all sessions the one that is free first moves.
struct Scripted<'a> {
    bench: &'a ScriptedBench,
    calls: &'a mut usize,
    now: Duration,
}

impl Bench for ScriptedBench {
    fn sessions(&self) -> u32 {
        self.sessions
    }

    fn service(&self) -> Duration {
        self.walls.iter().sum::<Duration>() / self.walls.len() as u32
    }

    fn play(&mut self, spec: RunSpec) -> Result<Played, Error> {
        let queue = Queue::new(spec);
        let (mut calls, mut begun) = (Vec::<Call>::new(), 0);
        let mut free = vec![Duration::ZERO; self.sessions as usize];
        while let Some(session) = (0..free.len()).min_by_key(|&session| free[session]) {
            let mut pulling = Scripted { bench: self, calls: &mut begun, now: free[session] };
            let Some(call) = queue.step(&mut pulling) else { break };
            free[session] = call.ended;
            calls.push(call);
        }
        let ended: Ended = queue.ended();
        Ok(Played { calls, ended, conditions: LoadConditions::default() })
    }
}

impl Pull for Scripted<'_> {
    fn now(&self) -> Duration {
        self.now
    }

    fn wait_until(&mut self, due: Duration) {
        self.now = self.now.max(due);
    }

    fn serve(&mut self, _: &[(usize, Duration)]) -> Result<(), String> {
        let wall = self.bench.walls[*self.calls % self.bench.walls.len()];
        *self.calls += 1;
        self.now += wall.min(self.bench.timeout);
        if wall > self.bench.timeout { Err("timed out".to_owned()) } else { Ok(()) }
    }
}
