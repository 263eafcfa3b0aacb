//! What happens next: events in the order of time.
//!
//! Of what is planned at one moment the calendar's come first, in the order of their names, then the others in the order
//! in which they were planned.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::ids::{LaneId, RequestId};
use super::servers::Work;

/// Something that happens at a known time. Arrivals are not here: there is only ever one next arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Something of the calendar.
    Date(Date),
    /// A replica finishes its call.
    Done(Work),
    /// A call of a request has come all the way to a lane.
    Joins(LaneId, RequestId),
    /// The oldest call of a lane has waited for companions long enough.
    HoldOver(LaneId),
}

/// What is planned at most once at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Date {
    /// Counting begins: the warm-up is over.
    Counting,
    /// A window of the report ends.
    WindowEnd,
    /// The replicas of the next gear are up.
    ReplicasUp,
    /// The rate of a switch window is known.
    RateKnown,
}

impl Date {
    const ALL: [Self; 4] = [Self::Counting, Self::WindowEnd, Self::ReplicasUp, Self::RateKnown];
}

/// Planned events. `push` and `pop` take O(log n) for n events under way.
#[derive(Debug)]
pub struct Agenda {
    heap: BinaryHeap<Planned>,
    planned: u64,
    /// Whether the first of the heap has been taken. It leaves when it must: mostly what is planned next takes its place,
    /// as a replica that finishes begins anew.
    vacant: bool,
    /// When each date is; never where it is not planned.
    dates: [u64; Date::ALL.len()],
    /// The first of the dates.
    first_date: u64,
}

impl Default for Agenda {
    fn default() -> Self {
        let dates = [Self::NEVER; Date::ALL.len()];
        Self { heap: BinaryHeap::new(), planned: 0, vacant: false, dates, first_date: Self::NEVER }
    }
}

#[derive(Debug, Clone, Copy)]
struct Planned {
    at: u64,
    order: u64,
    event: Event,
}

impl Planned {
    /// Time and order in one number: one comparison without a branch.
    #[inline]
    const fn key(&self) -> u128 {
        ((self.at as u128) << 64) | self.order as u128
    }
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    /// The greatest is what happens first, as the heap gives the greatest.
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl Agenda {
    /// The time of what is not planned.
    pub const NEVER: u64 = u64::MAX;

    /// Plans an event other than a date.
    #[inline]
    pub fn push(&mut self, at: u64, event: Event) {
        self.planned += 1;
        let planned = Planned { at, order: self.planned, event };
        if std::mem::take(&mut self.vacant)
            && let Some(mut first) = self.heap.peek_mut()
        {
            *first = planned;
        } else {
            self.heap.push(planned);
        }
    }

    /// Plans a date, in place of an earlier plan for it.
    pub fn set(&mut self, at: u64, date: Date) {
        self.dates[date as usize] = at;
        self.first_date = self.dates.into_iter().min().unwrap_or(Self::NEVER);
    }

    /// Returns the time of the next event; `u64::MAX` where there is none.
    #[inline]
    pub fn next_at(&mut self) -> u64 {
        self.next_in_heap().min(self.first_date)
    }

    #[inline]
    fn next_in_heap(&mut self) -> u64 {
        if std::mem::take(&mut self.vacant) {
            self.heap.pop();
        }
        self.heap.peek().map_or(Self::NEVER, |next| next.at)
    }

    /// Takes the next event.
    #[inline]
    pub fn pop(&mut self) -> Option<Event> {
        if self.first_date <= self.next_in_heap() {
            return self.pop_date().map(Event::Date);
        }
        self.vacant = true;
        self.heap.peek().map(|next| next.event)
    }

    fn pop_date(&mut self) -> Option<Date> {
        let date = Date::ALL.into_iter().find(|&date| self.dates[date as usize] == self.first_date)?;
        if self.first_date == Self::NEVER {
            return None;
        }
        self.dates[date as usize] = Self::NEVER;
        self.first_date = self.dates.into_iter().min().unwrap_or(Self::NEVER);
        Some(date)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ids::{BatchId, Id};
    use super::super::servers::Work;
    use super::{Agenda, Date, Event};

    fn done(index: usize) -> Event {
        Event::Done(Work::Many(BatchId::of(index)))
    }

    /// Against a list that is sorted each time.
    #[test]
    fn events_come_in_the_order_of_time_then_of_planning() {
        let mut agenda = Agenda::default();
        let mut list: Vec<(u64, usize)> = Vec::new();
        let mut number = 12_345_u64;
        for planned in 0..2_000 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (number >> 33) % 50;
            agenda.push(at, done(planned));
            list.push((at, planned));
            for _ in 0..(number >> 60) % 3 {
                list.sort_unstable();
                let wanted = (!list.is_empty()).then(|| list.remove(0));
                assert_eq!(agenda.next_at(), wanted.map_or(Agenda::NEVER, |(at, _)| at));
                assert_eq!(agenda.pop(), wanted.map(|(_, planned)| done(planned)));
            }
        }
    }
    #[test]
    fn dates_come_before_what_happens_at_the_same_time() {
        let mut agenda = Agenda::default();
        agenda.push(5, done(0));
        agenda.set(5, Date::RateKnown);
        agenda.set(5, Date::WindowEnd);
        let all: Vec<Event> = std::iter::from_fn(|| agenda.pop()).collect();
        assert_eq!(all, [Event::Date(Date::WindowEnd), Event::Date(Date::RateKnown), done(0)]);
        assert_eq!(agenda.next_at(), Agenda::NEVER);
    }
    #[test]
    fn a_date_that_is_planned_anew_is_no_longer_where_it_was() {
        let mut agenda = Agenda::default();
        agenda.set(5, Date::RateKnown);
        agenda.set(9, Date::RateKnown);
        agenda.push(7, done(0));
        assert_eq!(agenda.next_at(), 7);
        let all: Vec<Event> = std::iter::from_fn(|| agenda.pop()).collect();
        assert_eq!(all, [done(0), Event::Date(Date::RateKnown)]);
    }
}
