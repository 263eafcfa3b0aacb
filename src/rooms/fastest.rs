//! The goal `fastest`: the shortest SLO within which the highest load is carried as accurately as asked, found by bisection, and
//! the most accurate choices within it.

use std::cell::OnceCell;

use super::{Choice, Opened, Planned, Room};
use crate::base::error::Error;
use crate::base::units::{Millis, Rate};
use crate::facts::Ask;
use crate::optimize::{Highest, Reach};
use crate::plan::{Certificate, Gear};
use crate::problem::{GoalKind, Problem};

/// How exactly the shortest SLO is found.
pub(super) const WITHIN: f64 = 0.01;

const METHOD: &str = "; the shortest SLO that carries the highest load, by bisection to 1 %";

/// The shortest SLO that is kept, and a longest one that is known not to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shortest {
    pub kept_ms: f64,
    pub refused_ms: f64,
}

impl Shortest {
    /// Asks for the shortest SLO within which a load is carried as accurately as a problem asks; `None` where not even its own is
    /// kept.
    pub fn new(opened: &dyn Opened, problem: &Problem, load: f64) -> Result<Option<Self>, Error> {
        let mut moved = with_goal(problem, GoalKind::Cheapest);
        moved.workload.max_rps = Rate::saturating(load);
        let mut reach = |latency_ms: f64| {
            moved.slo.latency_ms = Millis::saturating(latency_ms);
            opened.carries(&moved)
        };
        let mut shortest = Self { kept_ms: problem.slo.latency_ms.get(), refused_ms: 0.0 };
        if reach(shortest.kept_ms)? != Reach::Carried {
            return Ok(None);
        }
        let mut low = 0.0;
        while shortest.kept_ms - low > WITHIN * shortest.kept_ms {
            let middle = 0.5 * (low + shortest.kept_ms);
            match reach(middle)? {
                Reach::Carried => shortest.kept_ms = middle,
                Reach::NotCarried => (low, shortest.refused_ms) = (middle, middle),
                Reach::Unknown => low = middle,
            }
        }
        Ok(Some(shortest))
    }

    /// Returns the problem of the most accurate choices within it.
    pub fn within(self, problem: &Problem) -> Problem {
        let mut moved = with_goal(problem, GoalKind::MostAccurate);
        moved.slo.latency_ms = Millis::saturating(self.kept_ms);
        moved
    }

    fn certify(self, problem: &Problem, gear: &mut Gear) {
        let method = gear.certificate.take().map_or_else(String::new, |certificate| certificate.method);
        let certificate = Certificate::new(-self.kept_ms, -self.refused_ms, format!("{method}{METHOD}"));
        gear.certificate = Some(certificate.stated_for(problem));
    }
}

fn with_goal(problem: &Problem, kind: GoalKind) -> Problem {
    let mut moved = problem.clone();
    moved.goal.kind = kind;
    moved
}

/// A room that is asked for the shortest response time, by the answers that it gives to other goals.
pub(crate) struct Fastest<'a> {
    room: &'a dyn Room,
    ask: &'a Ask<'a>,
    shortest: OnceCell<Option<Shortest>>,
}

impl<'a> Fastest<'a> {
    /// Asks a room, if the goal is this one.
    pub(crate) fn of(room: &'a dyn Room, ask: &'a Ask<'a>) -> Option<Box<dyn Opened + 'a>> {
        let asks = ask.problem.goal.kind == GoalKind::Fastest;
        asks.then(|| Box::new(Self { room, ask, shortest: OnceCell::new() }) as Box<dyn Opened + 'a>)
    }

    fn shortest(&self) -> Result<Option<Shortest>, Error> {
        if let Some(known) = self.shortest.get() {
            return Ok(*known);
        }
        let problem = self.ask.problem.as_ref();
        let found = Shortest::new(self, problem, problem.workload.max_rps.get())?;
        Ok(*self.shortest.get_or_init(|| found))
    }

    /// Asks the room for the most accurate choices within the shortest SLO; `None` where none is kept.
    fn within<T>(
        &self,
        then: impl FnOnce(&dyn Opened, Shortest) -> Result<Option<T>, Error>,
    ) -> Result<Option<T>, Error> {
        let Some(shortest) = self.shortest()? else { return Ok(None) };
        let ask = self.ask.moved(shortest.within(&self.ask.problem));
        then(self.room.open(&ask)?.as_ref(), shortest)
    }

    /// Asks the room what plays no part in how fast a choice is.
    fn asked<T>(
        &self,
        problem: &Problem,
        kind: GoalKind,
        then: impl FnOnce(&dyn Opened, &Problem) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let ask = self.ask.moved(with_goal(problem, kind));
        then(self.room.open(&ask)?.as_ref(), &ask.problem)
    }

    fn valued(&self, choice: Choice, shortest: Shortest) -> Choice {
        let mut valued = Choice { objective: -shortest.kept_ms, ..choice };
        shortest.certify(&self.ask.problem, &mut valued.gear);
        valued
    }
}

impl Opened for Fastest<'_> {
    /// The plan's SLO is the shortest one: trials hold it to that.
    fn plan(&self) -> Result<Planned, Error> {
        let planned = self.within(|opened, shortest| {
            let mut planned = opened.plan()?;
            if let Planned::Plan(plan) = &mut planned {
                plan.gears.iter_mut().for_each(|gear| shortest.certify(&self.ask.problem, gear));
            }
            Ok(Some(planned))
        });
        Ok(planned?.unwrap_or(Planned::NotCarried))
    }

    fn max_load(&self, problem: &Problem) -> Result<Highest, Error> {
        self.asked(problem, GoalKind::Cheapest, |opened, problem| opened.max_load(problem))
    }

    fn carries(&self, problem: &Problem) -> Result<Reach, Error> {
        self.asked(problem, GoalKind::Cheapest, |opened, problem| opened.carries(problem))
    }

    fn best_at(&self, load: f64) -> Result<Option<Choice>, Error> {
        self.within(|opened, shortest| Ok(opened.best_at(load)?.map(|choice| self.valued(choice, shortest))))
    }

    /// One that is as fast.
    fn second_best(&self, best: &Choice, load: f64) -> Result<Option<Choice>, Error> {
        self.within(|opened, shortest| Ok(opened.second_best(best, load)?.map(|choice| self.valued(choice, shortest))))
    }

    fn frontier(&self, load: f64) -> Result<Vec<Choice>, Error> {
        self.asked(&self.ask.problem, GoalKind::MostAccurate, |opened, _| opened.frontier(load))
    }

    fn worth(&self, choice: &Choice) -> f64 {
        choice.objective
    }

    fn gear_with(&self, choice: &Choice, load: f64) -> Result<Option<Gear>, Error> {
        self.asked(&self.ask.problem, GoalKind::MostAccurate, |opened, _| opened.gear_with(choice, load))
    }
}
