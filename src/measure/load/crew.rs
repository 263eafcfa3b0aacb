//! The bench with a real engine in real time: one thread for each session.
//!
//! A session that works in this process has cores of its own and waits on them awake: what is asleep wakes up cold, and
//! nobody else needs them. Sessions of another process or machine wait asleep, so as not to take what they measure.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use super::LoadConditions;
use super::queue::{Bench, Call, Order, Played, Queue, Seat};
use super::schedule::sample_of;
use crate::base::error::Error;
use crate::base::units::Share;
use crate::measure::engines::{Engine, Session};
use crate::measure::host::{Counters, allowed_cores, on_time, pin_to};
use crate::profile::Family;

/// Calls that are thrown away before a session counts as open.
const FIRST_CALLS: u64 = 3;
/// Calls after these that tell how long one takes.
const TRIED_CALLS: u64 = 5;
/// Time between an order and its beginning, in which every thread gets hold of it.
const NOTICE: Duration = Duration::from_millis(5);

/// Where sessions sit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seating {
    /// Threads of each.
    pub cores: u32,
    /// How many there are.
    pub sessions: u32,
    /// Whether each is pinned to cores of its own; those of a server are not here.
    pub pinned: bool,
}

/// What the threads of a crew have in common.
#[derive(Clone, Copy)]
struct Work<'a> {
    family: &'a Family,
    index: usize,
    engine: &'a dyn Engine,
    cores: u32,
    samples_per_query: u32,
    seed: u64,
}

/// Sessions that are open, one in each thread.
#[derive(Debug)]
pub struct Crew {
    orders: Vec<Sender<(Arc<Queue>, Instant)>>,
    words: Receiver<Word>,
    service: Duration,
}

/// What a thread says: it is open, and a call takes so long; or it has played an order. Errors end the crew.
type Word = Result<Said, Error>;

#[derive(Debug)]
enum Said {
    Open(Duration),
    Played(Vec<Call>),
}

/// Opens a variant of a family as often as the seating says, works with it, and closes it again.
///
/// # Errors
/// What keeps a session from being opened or the work from being done.
pub fn with_crew<T>(
    (family, index): (&Family, usize),
    engine: &dyn Engine,
    seating: Seating,
    (samples_per_query, seed): (u32, u64),
    work: impl FnOnce(&mut Crew) -> Result<T, Error>,
) -> Result<T, Error> {
    let seats = seats(seating)?;
    engine.vet(&family.folder.join(&family.list.variants[index].file))?;
    let of_all = Work { family, index, engine, cores: seating.cores, samples_per_query, seed };
    std::thread::scope(|scope| work(&mut Crew::hire(scope, of_all, &seats)?))
}

/// Returns the cores of each session; none where they are not here.
fn seats(seating: Seating) -> Result<Vec<Vec<usize>>, Error> {
    if !seating.pinned {
        return Ok(vec![Vec::new(); seating.sessions as usize]);
    }
    let (allowed, wanted) = (allowed_cores(), u64::from(seating.cores) * u64::from(seating.sessions));
    if wanted > allowed.len() as u64 || wanted == 0 {
        return Err(Error::Unsupported {
            what: format!(
                "{} replicas on {} cores each do not fit: this process may use {}",
                seating.sessions,
                seating.cores,
                allowed.len()
            ),
            hint: "lower --cores or --replicas, or widen the affinity mask (taskset)".to_owned(),
        });
    }
    let chunks = allowed.chunks_exact(seating.cores as usize);
    Ok(chunks.take(seating.sessions as usize).map(<[usize]>::to_vec).collect())
}

impl Crew {
    fn hire<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        work: Work<'env>,
        seats: &'env [Vec<usize>],
    ) -> Result<Self, Error> {
        let (tell, words) = channel();
        let mut crew = Self { orders: Vec::new(), words, service: Duration::MAX };
        // One after the other, so that none is timed while others warm up.
        for cores in seats {
            let (orders, receive) = channel();
            let tell = tell.clone();
            scope.spawn(move || attend(work, cores, &receive, &tell));
            crew.orders.push(orders);
            if let Said::Open(service) = crew.hear()? {
                crew.service = crew.service.min(service);
            }
        }
        Ok(crew)
    }

    fn hear(&self) -> Word {
        self.words.recv().unwrap_or_else(|_| {
            Err(Error::Engine { engine: "load", message: "the threads of all sessions have ended".to_owned() })
        })
    }
}

impl Bench for Crew {
    fn sessions(&self) -> u32 {
        self.orders.len() as u32
    }

    fn service(&self) -> Duration {
        self.service
    }

    fn play(&mut self, order: Order) -> Result<Played, Error> {
        let (queue, before, begin) = (Queue::new(order), Counters::now(), Instant::now() + NOTICE);
        for orders in &self.orders {
            // A thread that is gone has said why.
            let _ = orders.send((Arc::clone(&queue), begin));
        }
        let mut calls = Vec::new();
        for _ in &self.orders {
            if let Said::Played(more) = self.hear()? {
                calls.extend(more);
            }
        }
        let conditions = seen(&before, &Counters::now(), begin.elapsed());
        Ok(Played { calls, ended: queue.ended(), conditions })
    }
}

fn seen(before: &Counters, after: &Counters, elapsed: Duration) -> LoadConditions {
    LoadConditions {
        involuntary_switches: after.involuntary_since(before),
        cpu_pressure: after.pressure_us_since(before).map(|us| Share::saturating(us / 1e6 / elapsed.as_secs_f64())),
        steal: after.steal_since(before),
    }
}

/// The life of one thread. An engine that panics has failed: nobody must wait for it.
fn attend(work: Work<'_>, cores: &[usize], orders: &Receiver<(Arc<Queue>, Instant)>, words: &Sender<Word>) {
    let panicked = || Error::Engine { engine: work.engine.name(), message: "it panicked".to_owned() };
    let outcome = catch_unwind(AssertUnwindSafe(|| serve(work, cores, orders, words)));
    if let Err(error) = outcome.unwrap_or_else(|_| Err(panicked())) {
        // Nobody is left to tell where another thread has failed before.
        let _ = words.send(Err(error));
    }
}

fn serve(
    work: Work<'_>,
    cores: &[usize],
    orders: &Receiver<(Arc<Queue>, Instant)>,
    words: &Sender<Word>,
) -> Result<(), Error> {
    let _pinned = if cores.is_empty() { None } else { Some(pin_to(cores)?) };
    let _on_time = on_time();
    let mut session = work.open()?;
    let mut word = Said::Open(work.warm(session.as_mut())?);
    let mut session = Some(session);
    while words.send(Ok(word)).is_ok() {
        let Ok((queue, begin)) = orders.recv() else { break };
        let mut chair = Chair { work, begin, awake: work.engine.works_here(), session: &mut session };
        let mut calls = Vec::new();
        while let Some(call) = queue.step(&mut chair) {
            calls.push(call);
        }
        word = Said::Played(calls);
    }
    Ok(())
}

impl Work<'_> {
    fn open(&self) -> Result<Box<dyn Session>, Error> {
        let entry = &self.family.list.variants[self.index];
        self.engine.open(&self.family.folder.join(&entry.file), entry.output.as_deref(), self.cores)
    }

    /// Warms a session up; returns the median time of the calls after that.
    fn warm(&self, session: &mut dyn Session) -> Result<Duration, Error> {
        let mut times = Vec::new();
        for call in 0..FIRST_CALLS + TRIED_CALLS {
            let begin = Instant::now();
            session.run(&self.family.samples.batch(self.samples(&[(call as usize, Duration::ZERO)])))?;
            if call >= FIRST_CALLS {
                times.push(begin.elapsed());
            }
        }
        times.sort_unstable();
        Ok(times[times.len() / 2])
    }

    /// Returns the numbers of the samples of some requests: those of one place are always the same.
    fn samples(&self, places: &[(usize, Duration)]) -> Vec<usize> {
        let (each, known) = (u64::from(self.samples_per_query), self.family.samples.count());
        let of_place = |&(place, _): &(usize, Duration)| {
            (0..each).map(move |sample| sample_of(place as u64 * each + sample, known, self.seed))
        };
        places.iter().flat_map(of_place).collect()
    }
}

/// A session in its thread, and the clock of one order.
struct Chair<'a, 'work> {
    work: Work<'work>,
    begin: Instant,
    awake: bool,
    /// Absent after a failure that it did not survive.
    session: &'a mut Option<Box<dyn Session>>,
}

impl Chair<'_, '_> {
    fn try_serve(&mut self, places: &[(usize, Duration)]) -> Result<(), Error> {
        let session = match &mut *self.session {
            Some(session) => session,
            slot => slot.insert(self.work.open()?),
        };
        session.run(&self.work.family.samples.batch(self.work.samples(places))).map(|_| ())
    }
}

impl Seat for Chair<'_, '_> {
    fn now(&self) -> Duration {
        Instant::now().saturating_duration_since(self.begin)
    }

    fn wait_until(&mut self, due: Duration) {
        let due = self.begin + due;
        while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            if self.awake {
                std::hint::spin_loop();
            } else {
                std::thread::sleep(left);
            }
        }
    }

    /// Whatever fails may have spoilt the session, so the next call opens it anew.
    fn serve(&mut self, places: &[(usize, Duration)]) -> Result<(), String> {
        self.try_serve(places).map_err(|error| {
            *self.session = None;
            error.to_string()
        })
    }
}
