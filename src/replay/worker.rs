//! The thread of one replica: opens its models, serves what it is given, and says when it is done.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::Instant;

use super::shelf::Shelf;
use crate::base::error::Error;
use crate::measure::answering::judge_all;
use crate::measure::engines::{Engine, Session, bad_model};
use crate::measure::host::pin_to;
use crate::plan::{Plan, Pool};
use crate::profile::{Answer, Family, VariantFile};
use crate::simulate::ids::{Id, PoolId, Table, VariantId};
use crate::simulate::servers::Work;
use crate::simulate::variants_of;

/// What a replica is told.
#[derive(Debug)]
pub enum Order {
    /// Come up: open every hosted model and answer one sample with each.
    Open,
    /// Go down: close all models.
    Close,
    /// Serve these samples together.
    Serve { work: Work, variant: VariantId, samples: Vec<u32>, sent: Instant },
}

/// Which replica of which pool.
pub type Place = (PoolId, usize);

/// What a replica says.
#[derive(Debug)]
pub enum Word {
    /// It is up.
    Up,
    /// It has served a call.
    Served(Place, Served),
    /// It cannot go on.
    Failed(Error),
}

/// A call that was served.
#[derive(Debug)]
pub struct Served {
    pub work: Work,
    pub variant: VariantId,
    /// When the order was given.
    pub sent: Instant,
    /// When the replica took it up.
    pub began: Instant,
    /// When it had the answers.
    pub ended: Instant,
    /// Samples that were served together.
    pub samples: u32,
    /// For each sample the certainty and whether the answer is right; nothing where there are no labels.
    pub answers: Vec<(f32, bool)>,
}

/// One replica: where it sits and what it hosts.
pub struct Worker<'a> {
    pub place: Place,
    pub cores: &'a [usize],
    pub hosts: Vec<(VariantId, &'a str)>,
    pub shelf: &'a Shelf,
    pub engine: &'a dyn Engine,
    /// Whether it may keep its cores busy while it waits.
    pub awake: bool,
}

/// An entry of a model list, with its family.
type Model<'a> = (&'a Family, &'a VariantFile);

/// A variant that a replica has opened.
struct Opened<'a> {
    variant: VariantId,
    model: Model<'a>,
    session: Box<dyn Session>,
}

impl Worker<'_> {
    /// Works until nobody gives orders any more. An engine that panics has failed: the trial must not wait for it.
    pub fn work(&self, orders: &Receiver<Order>, words: &Sender<Word>) {
        let panicked = || Error::Engine { engine: self.engine.name(), message: "it panicked".to_owned() };
        let outcome = catch_unwind(AssertUnwindSafe(|| self.serve(orders, words)));
        if let Err(error) = outcome.unwrap_or_else(|_| Err(panicked())) {
            // Nobody is left to tell when the trial has ended.
            let _ = words.send(Word::Failed(error));
        }
    }

    fn serve(&self, orders: &Receiver<Order>, words: &Sender<Word>) -> Result<(), Error> {
        // Sessions start threads, which inherit the cores of this one.
        let _pinned = pin_to(self.cores)?;
        let mut sessions: Vec<Opened<'_>> = Vec::new();
        while let Some(order) = self.next(orders, !sessions.is_empty()) {
            let word = match order {
                Order::Close => {
                    sessions.clear();
                    continue;
                }
                Order::Open => {
                    sessions = self.open()?;
                    Word::Up
                }
                Order::Serve { work, variant, samples, sent } => {
                    let began = Instant::now();
                    let opened = sessions
                        .iter_mut()
                        .find(|opened| opened.variant == variant)
                        .expect("a replica is opened before it serves, and lanes name only what their pool hosts");
                    let answers = self.answers(opened.model, opened.session.as_mut(), &samples)?;
                    let (ended, samples) = (Instant::now(), samples.len() as u32);
                    Word::Served(self.place, Served { work, variant, sent, began, ended, samples, answers })
                }
            };
            if words.send(word).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Waits for an order; awake while the replica is up, where nobody else needs its cores: what is asleep wakes up cold,
    /// and the profile was measured warm.
    fn next(&self, orders: &Receiver<Order>, up: bool) -> Option<Order> {
        if !(up && self.awake) {
            return orders.recv().ok();
        }
        loop {
            match orders.try_recv() {
                Err(TryRecvError::Empty) => std::hint::spin_loop(),
                order => return order.ok(),
            }
        }
    }

    fn open(&self) -> Result<Vec<Opened<'_>>, Error> {
        let open = |&(variant, name): &(VariantId, &str)| {
            let model = self.shelf.find(name).expect("a replay begins only where the shelf has every variant");
            let (family, entry) = model;
            let file = family.folder.join(&entry.file);
            let mut session = self.engine.open(&file, entry.output.as_deref(), self.cores.len() as u32)?;
            // Until a model has answered once it is not up: engines put work off until then.
            self.answers(model, session.as_mut(), &[0])?;
            Ok(Opened { variant, model, session })
        };
        self.hosts.iter().map(open).collect()
    }

    /// Serves samples. A family with fewer samples than another begins again after its last.
    fn answers(
        &self,
        (family, entry): Model<'_>,
        session: &mut dyn Session,
        samples: &[u32],
    ) -> Result<Vec<(f32, bool)>, Error> {
        let labels = &family.samples.labels;
        let number = |&sample: &u32| sample as usize % family.samples.count();
        let run = session.run(&family.samples.batch(samples.iter().map(number)))?;
        if labels.is_empty() {
            return Ok(Vec::new());
        }
        let answers = judge_all(&run, samples.iter().map(|&sample| sample as usize), self.shelf.certainty());
        let bad = |cause| bad_model(self.engine.name(), &family.folder.join(&entry.file), cause);
        let told = |(answer, sample): (Answer, &u32)| (answer.certainty, answer.predicted == labels[number(sample)]);
        Ok(answers.map_err(bad)?.into_iter().zip(samples).map(told).collect())
    }
}

/// Returns the variants that each pool hosts, with their indices.
pub fn hosts(plan: &Plan) -> Table<PoolId, Vec<(VariantId, &str)>> {
    let names = variants_of(plan);
    let find = |host: &String| names.iter().position(|name| name == host).map(|at| (VariantId::of(at), names[at]));
    let of_pool = |pool: &Pool| pool.hosts.iter().filter_map(find).collect();
    plan.placement.iter().map(of_pool).collect()
}
