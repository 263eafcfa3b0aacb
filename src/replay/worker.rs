//! The thread of one replica: opens its models, does its tasks, and tells when they are done.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use super::load::{Call, Pull, Queries, Queue};
use super::waiting::Waiting;
use super::worker_pool::Equipment;
use crate::base::error::Error;
use crate::measure::engines::{Run, Session, bad_model};
use crate::measure::host::{on_time, pin_to};
use crate::measure::judge::class_labels;
use crate::measure::wiring::Wiring;
use crate::plan::{Plan, Pool};
use crate::profile::{Family, SampleAnswer, VariantFile};
use crate::simulate::ids::{Id, PoolId, Table, VariantId};
use crate::simulate::servers::Work;
use crate::simulate::variants_of;

/// What a replica is told to do.
#[derive(Debug)]
pub enum Task {
    /// Come up: open every hosted model and answer one sample with each.
    Open,
    /// Go down: close all models.
    Close,
    /// Serve these samples together; they were pushed here by the walk.
    Serve { work: Work, variant: VariantId, samples: Vec<u32>, sent: Instant },
    /// Pull requests from a queue that replicas share, until it has none left; its time counts from `begin`.
    Pull { queue: Arc<Queue>, begin: Instant, queries: Queries },
}

/// Which replica of which pool.
pub type Place = (PoolId, usize);

/// What a replica tells.
#[derive(Debug)]
pub enum Message {
    /// It is up.
    Up(Place),
    /// It has served a call that was pushed.
    Served(Place, Served),
    /// It has made these calls; the queue is empty.
    Pulled(Vec<Call>),
    /// It cannot go on.
    Failed(Error),
}

/// A call that was served.
#[derive(Debug)]
pub struct Served {
    pub work: Work,
    pub variant: VariantId,
    /// When the task was given.
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

/// One replica: its cores and what it hosts.
pub struct Worker<'a> {
    pub place: Place,
    /// None where the work is done elsewhere.
    pub cores: &'a [usize],
    /// Threads of each session.
    pub threads: u32,
    pub hosts: Vec<(VariantId, &'a str)>,
    pub equipment: Equipment<'a>,
}

/// An entry of a model list, with its family.
type Model<'a> = (&'a Family, &'a VariantFile);

/// A variant that a replica has opened.
struct Opened<'a> {
    variant: VariantId,
    model: Model<'a>,
    wiring: Wiring<'a>,
    /// The class of each sample, where answers are judged.
    labels: Vec<u32>,
    session: Box<dyn Session>,
}

impl<'a> Worker<'a> {
    /// Works until no more tasks can come. An engine that panics has failed: the trial must not wait for it.
    pub fn work(&self, tasks: &Receiver<Task>, messages: &Sender<Message>) {
        let panicked = || Error::Engine { engine: self.equipment.engine.name(), message: "it panicked".to_owned() };
        let outcome = catch_unwind(AssertUnwindSafe(|| self.do_tasks(tasks, messages)));
        if let Err(error) = outcome.unwrap_or_else(|_| Err(panicked())) {
            // No receiver is left when the trial has ended.
            let _ = messages.send(Message::Failed(error));
        }
    }

    fn do_tasks(&self, tasks: &Receiver<Task>, messages: &Sender<Message>) -> Result<(), Error> {
        // Sessions start threads, which inherit the cores of this one.
        let _pinned = if self.cores.is_empty() { None } else { Some(pin_to(self.cores)?) };
        let _on_time = on_time();
        let mut sessions: Vec<Opened<'_>> = Vec::new();
        while let Some(task) = self.next(tasks, !sessions.is_empty()) {
            if self.do_task(task, &mut sessions)?.is_some_and(|message| messages.send(message).is_err()) {
                break;
            }
        }
        Ok(())
    }

    fn do_task(&self, task: Task, sessions: &mut Vec<Opened<'a>>) -> Result<Option<Message>, Error> {
        Ok(Some(match task {
            Task::Close => {
                sessions.clear();
                return Ok(None);
            }
            Task::Open => {
                *sessions = self.open_all()?;
                Message::Up(self.place)
            }
            Task::Serve { work, variant, samples, sent } => {
                let began = Instant::now();
                let opened = sessions
                    .iter_mut()
                    .find(|opened| opened.variant == variant)
                    .expect("a replica is opened before it serves, and lanes name only what their pool hosts");
                let answers = self.answers(opened, &samples)?;
                let (ended, samples) = (Instant::now(), samples.len() as u32);
                Message::Served(self.place, Served { work, variant, sent, began, ended, samples, answers })
            }
            Task::Pull { queue, begin, queries } => {
                let mut puller = Puller { worker: self, begin, queries, sessions };
                Message::Pulled(std::iter::from_fn(|| queue.step(&mut puller)).collect())
            }
        }))
    }

    /// Waits for a task. A replica that is up may spin where no other thread needs its cores: what sleeps wakes up cold,
    /// and the profile was measured warm.
    fn next(&self, tasks: &Receiver<Task>, up: bool) -> Option<Task> {
        let waiting = if up { self.equipment.waiting } else { Waiting::Sleep };
        waiting.receive(tasks).ok()
    }

    /// Opens every hosted model. Until a model has answered once it is not up: engines put work off until then.
    fn open_all(&self) -> Result<Vec<Opened<'a>>, Error> {
        let mut sessions = self.hosts.iter().map(|&host| self.open(host)).collect::<Result<Vec<_>, _>>()?;
        for opened in &mut sessions {
            opened.run(&[0])?;
        }
        Ok(sessions)
    }

    fn open(&self, (variant, name): (VariantId, &str)) -> Result<Opened<'a>, Error> {
        let Equipment { store, engine, .. } = self.equipment;
        let model = store.find(name).expect("a trial begins only where the store has every variant");
        let (family, entry) = model;
        let wiring = Wiring::new(family, engine, (entry, entry), &family.samples, store.certainty())?;
        let judges = wiring.judge.judges_calls() && family.samples.labels.is_some();
        let labels = if judges { class_labels(&family.list.judge_settings(), &family.samples) } else { Ok(Vec::new()) };
        let labels = labels.map_err(|cause| bad_model(engine.name(), &family.folder.join(&entry.file), cause))?;
        let session = wiring.open(family, engine, entry, self.threads)?;
        Ok(Opened { variant, model, wiring, labels, session })
    }

    fn answers(&self, opened: &mut Opened<'_>, samples: &[u32]) -> Result<Vec<(f32, bool)>, Error> {
        let run = opened.run(samples)?;
        let (family, entry) = opened.model;
        if opened.labels.is_empty() {
            return Ok(Vec::new());
        }
        let bad = |cause| bad_model(self.equipment.engine.name(), &family.folder.join(&entry.file), cause);
        let numbers: Vec<usize> = samples.iter().map(|&sample| number(family, sample)).collect();
        let answers = opened.wiring.judge.answers(&run, &numbers).map_err(bad)?;
        let judged =
            |(answer, &sample): (SampleAnswer, &usize)| (answer.certainty, answer.is_right(opened.labels[sample]));
        Ok(answers.into_iter().zip(&numbers).map(judged).collect())
    }
}

impl Opened<'_> {
    fn run(&mut self, samples: &[u32]) -> Result<Run, Error> {
        let family = self.model.0;
        let numbers: Vec<usize> = samples.iter().map(|&sample| number(family, sample)).collect();
        self.session.run(&self.wiring.feeder.batch(&numbers))
    }
}

/// Returns the number of a sample in a family: one with fewer samples than another begins again after its last.
fn number(family: &Family, sample: u32) -> usize {
    sample as usize % family.samples.count()
}

/// A replica that pulls requests for the first variant that it hosts.
struct Puller<'a, 'env> {
    worker: &'a Worker<'env>,
    begin: Instant,
    queries: Queries,
    /// Empty after a failure.
    sessions: &'a mut Vec<Opened<'env>>,
}

impl Puller<'_, '_> {
    fn try_serve(&mut self, places: &[(usize, Duration)]) -> Result<(), Error> {
        if self.sessions.is_empty() {
            self.sessions.push(self.worker.open(self.worker.hosts[0])?);
        }
        let opened = &mut self.sessions[0];
        let samples = self.queries.samples(places, opened.model.0.samples.count());
        opened.run(&samples).map(|_| ())
    }
}

impl Pull for Puller<'_, '_> {
    fn now(&self) -> Duration {
        Instant::now().saturating_duration_since(self.begin)
    }

    /// Sessions of another process or machine wait asleep, so as not to take what they measure.
    fn wait_until(&mut self, due: Duration) {
        Waiting::spin_if(self.worker.equipment.engine.works_here()).until(self.begin + due);
    }

    /// Whatever fails may have spoilt the session, so the next call opens it anew.
    fn serve(&mut self, places: &[(usize, Duration)]) -> Result<(), String> {
        self.try_serve(places).map_err(|error| {
            self.sessions.clear();
            error.to_string()
        })
    }
}

/// Returns the variants that each pool hosts, with their indices.
pub fn hosts(plan: &Plan) -> Table<PoolId, Vec<(VariantId, &str)>> {
    let names = variants_of(plan);
    let find = |host: &String| names.iter().position(|name| name == host).map(|at| (VariantId::of(at), names[at]));
    let of_pool = |pool: &Pool| pool.hosts.iter().filter_map(find).collect();
    plan.placement.iter().map(of_pool).collect()
}
