//! What happens next: events in the order of time, ties in the order in which they were planned.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::ids::{LaneId, ServiceId};

/// Something that happens at a known time. Arrivals are not here: there is only ever one next arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// Counting begins: the warm-up is over.
    Counting,
    /// A replica finishes its call.
    Done(ServiceId),
    /// The oldest call of a lane has waited for companions long enough.
    HoldOver(LaneId),
    /// The rate of a switch window is known.
    RateKnown,
    /// The replicas of the next gear are up.
    ReplicasUp,
    /// A window of the report ends.
    WindowEnd,
}

/// Planned events. `push` and `pop` take O(log n) for n events under way.
#[derive(Debug, Default)]
pub struct Agenda {
    heap: BinaryHeap<Reverse<(u64, u64, Event)>>,
    planned: u64,
}

impl Agenda {
    /// Plans an event.
    #[inline]
    pub fn push(&mut self, at: u64, event: Event) {
        self.planned += 1;
        self.heap.push(Reverse((at, self.planned, event)));
    }

    /// Returns the time of the next event.
    #[inline]
    pub fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// Takes the next event.
    #[inline]
    pub fn pop(&mut self) -> Option<Event> {
        self.heap.pop().map(|Reverse((.., event))| event)
    }
}
