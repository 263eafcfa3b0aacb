//! All replicas as the walk sees them: real time, real calls.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use super::Overhead;
use super::gauge::Gauge;
use super::seats::Seats;
use super::shelf::Shelf;
use super::worker::{Order, Place, Served, Word, Worker, hosts};
use crate::base::error::Error;
use crate::measure::engines::Engine;
use crate::plan::Plan;
use crate::simulate::ids::{Id, PoolId, Table, VariantId};
use crate::simulate::servers::{Servers, Wake, Work};
use crate::simulate::{CallTimes, Source};
use crate::stats::Dice;

/// The replicas of all pools, and the clock of the trial.
pub struct Crew {
    replicas: Table<PoolId, Vec<Replica>>,
    words: Receiver<Word>,
    samples: u32,
    /// Replicas that were told to come up and have not said that they are.
    opening: u32,
    begin: Instant,
    /// Whether to wait out the last microseconds awake.
    own_core: bool,
    /// Answers of the call that was done last.
    answers: Vec<(f32, bool)>,
    failed: Option<Error>,
    gauges: Gauges,
    seen: CallTimes,
}

struct Replica {
    orders: Sender<Order>,
    open: bool,
    busy: bool,
}

struct Gauges {
    lag: Gauge,
    hand_over: Gauge,
    hand_back: Gauge,
}

impl Crew {
    /// Starts the thread of every replica; all are down.
    ///
    /// # Errors
    /// A finding for every variant of the plan that the shelf lacks.
    pub fn hire<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        plan: &'env Plan,
        seats: &'env Seats,
        shelf: &'env Shelf,
        engine: &'env dyn Engine,
        own_core: bool,
    ) -> Result<Self, Error> {
        shelf.has_all(plan)?;
        let (tell, words) = channel();
        let hosts = hosts(plan);
        let hire = |place: Place, cores: &'env [usize]| {
            let (orders, receive) = channel();
            let tell = tell.clone();
            let worker = Worker { place, cores, hosts: hosts[place.0].clone(), shelf, engine, awake: own_core };
            scope.spawn(move || worker.work(&receive, &tell));
            Replica { orders, open: false, busy: false }
        };
        let of_pool = |(pool, seats): (usize, &'env Vec<Vec<usize>>)| {
            seats.iter().enumerate().map(|(index, cores)| hire((PoolId::of(pool), index), cores)).collect()
        };
        Ok(Self {
            replicas: seats.pools.iter().enumerate().map(of_pool).collect(),
            words,
            samples: shelf.samples(),
            opening: 0,
            begin: Instant::now(),
            own_core,
            answers: Vec::new(),
            failed: None,
            seen: CallTimes::new(),
            gauges: Gauges { lag: Gauge::new(), hand_over: Gauge::new(), hand_back: Gauge::new() },
        })
    }

    /// Sends every replica home; says what the bench cost and how long calls took.
    ///
    /// # Errors
    /// What kept a replica from serving.
    pub fn dismiss(self) -> Result<(Overhead, CallTimes), Error> {
        let Gauges { lag, hand_over, hand_back } = &self.gauges;
        let spread = Gauge::spread;
        let overhead = Overhead {
            lag: spread(lag),
            hand_over: spread(hand_over),
            hand_back: spread(hand_back),
            own_core: self.own_core,
        };
        self.failed.map_or(Ok((overhead, self.seen)), Err)
    }

    fn now(&self) -> u64 {
        ns(self.begin.elapsed())
    }

    fn heard(&mut self, word: Word) -> Option<Wake> {
        match word {
            Word::Up => {
                self.opening -= 1;
                (self.opening == 0).then(|| Wake::Up(self.now()))
            }
            Word::Served((pool, replica), served) => {
                self.replicas[pool][replica].busy = false;
                Some(self.done(pool, served))
            }
            Word::Failed(error) => {
                self.failed.get_or_insert(error);
                Some(Wake::Failed)
            }
        }
    }

    fn done(&mut self, pool: PoolId, served: Served) -> Wake {
        self.gauges.hand_over.add(ns(served.began - served.sent));
        self.gauges.hand_back.add(ns(served.ended.elapsed()));
        self.answers = served.answers;
        let key = (served.variant, pool, served.samples);
        self.seen.entry(key).or_default().push(served.sent.elapsed());
        Wake::Done(self.now(), served.work)
    }

    /// Waits for a word, at most so long; awake where the walk has a core to itself.
    fn listen(&self, left: Duration) -> Option<Word> {
        if self.own_core {
            std::hint::spin_loop();
            return None;
        }
        match self.words.recv_timeout(left) {
            Ok(word) => Some(word),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Word::Failed(gone())),
        }
    }
}

impl Servers for Crew {
    const SOURCE: Source = Source::Replay;

    fn samples(&self) -> u32 {
        self.samples
    }

    /// Replicas go down from the last one; one that is serving finishes first.
    fn hold(&mut self, pool: PoolId, replicas: u32) {
        for (index, replica) in self.replicas[pool].iter_mut().enumerate() {
            let wanted = index < replicas as usize;
            if wanted != replica.open {
                replica.open = wanted;
                self.opening += u32::from(wanted);
                // A thread that is gone has said why.
                let _ = replica.orders.send(if wanted { Order::Open } else { Order::Close });
            }
        }
    }

    fn open(&mut self) {
        while self.opening > 0 && self.failed.is_none() {
            let word = self.words.recv().unwrap_or_else(|_| Word::Failed(gone()));
            self.heard(word);
        }
        self.begin = Instant::now();
    }

    /// The plan's facts are set aside: replicas load for as long as they do.
    fn up_at(&mut self, _: u64) -> Option<u64> {
        (self.opening == 0).then(|| self.now())
    }

    fn wait(&mut self, until: u64) -> Wake {
        if self.failed.is_some() {
            return Wake::Failed;
        }
        loop {
            // What is done comes before what is due, so that no replica idles while arrivals are looked at late.
            let word = match self.words.try_recv() {
                Ok(word) => Some(word),
                Err(TryRecvError::Disconnected) => Some(Word::Failed(gone())),
                Err(TryRecvError::Empty) => {
                    let now = self.now();
                    if now >= until {
                        self.gauges.lag.add(now - until);
                        return Wake::Reached(now);
                    }
                    self.listen(Duration::from_nanos(until - now))
                }
            };
            if let Some(wake) = word.and_then(|word| self.heard(word)) {
                return wake;
            }
        }
    }

    fn begin(
        &mut self,
        work: Work,
        variant: VariantId,
        pool: PoolId,
        samples: impl ExactSizeIterator<Item = u32>,
        _: u32,
        _: &mut Dice,
    ) -> Option<u64> {
        let order = Order::Serve { work, variant, samples: samples.collect(), sent: Instant::now() };
        let free = self.replicas[pool].iter_mut().find(|replica| replica.open && !replica.busy);
        let replica = free.expect("the walk begins a call only where fewer replicas are busy than are up");
        replica.busy = true;
        // A thread that is gone has said why.
        let _ = replica.orders.send(order);
        None
    }

    fn answer(&self, position: usize, _: VariantId, _: u32) -> Option<(f32, bool)> {
        self.answers.get(position).copied()
    }
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn gone() -> Error {
    Error::Engine { engine: "replay", message: "the threads of all replicas have ended".to_owned() }
}
