//! From settings to a load test.

use super::judge::judge;
use super::queue::{Bench, Order};
use super::search::{capacity, search};
use super::settings::Aim;
use super::{Capacity, LoadFormat, LoadProvenance, LoadRun, LoadService, LoadSettings, LoadTest, Scenario, with_crew};
use crate::base::error::Error;
use crate::base::units::{Millis, Rate};
use crate::measure::engines::{Engine, full_name};
use crate::measure::host::fingerprint;
use crate::profile::Family;

/// What was played, and what follows for the capacity.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The runs, in the order of time.
    pub runs: Vec<LoadRun>,
    /// Between which rates the capacity lies, where an SLO asks.
    pub capacity: Option<Capacity>,
}

/// Puts a variant of a family, by its place in the list, under load; `watch` is told of every run when it is over.
///
/// # Errors
/// What keeps the variant from being opened; [`Error::Engine`] where not a single request was answered.
pub fn load_test(
    family: &Family,
    index: usize,
    engine: &dyn Engine,
    settings: &LoadSettings,
    watch: &mut dyn FnMut(&LoadRun),
) -> Result<LoadTest, Error> {
    let host = fingerprint(vec![full_name(engine)], settings.context.thread_variables.clone());
    let query = (settings.samples_per_query, settings.seed);
    let outcome =
        with_crew((family, index), engine, settings.seating, query, |crew| measure_load(crew, settings, watch))?;
    if outcome.runs.iter().all(|run| run.answered == 0) {
        let said = outcome.runs.into_iter().find_map(|run| run.first_error);
        let message = format!("no request was answered: {}", said.unwrap_or_default());
        return Err(Error::Engine { engine: engine.name(), message });
    }
    let entry = &family.list.variants[index];
    Ok(LoadTest {
        format: LoadFormat::V1,
        task: family.list.task.clone(),
        variant: entry.name.clone(),
        file: entry.file.clone(),
        sha256: family.model_sha256[index].clone(),
        engine: full_name(engine),
        device: engine.device(),
        scenario: settings.scenario,
        service: LoadService {
            cores: settings.seating.cores,
            sessions: settings.seating.sessions,
            pinned: settings.seating.pinned,
            batch: settings.batch,
            samples_per_query: settings.samples_per_query,
        },
        slo: settings.slo,
        runs: outcome.runs,
        capacity: outcome.capacity,
        host,
        provenance: provenance(family, settings),
    })
}

fn provenance(family: &Family, settings: &LoadSettings) -> LoadProvenance {
    LoadProvenance {
        tool: settings.context.tool.clone(),
        measured_at: String::new(),
        models: settings.context.models.clone(),
        models_sha256: family.list_sha256.clone(),
        data_sha256: family.samples.sha256.clone(),
        duration_ms: Millis::from(settings.duration),
        fewest_requests: settings.fewest,
        warmup_ms: Millis::from(settings.warmup),
        resolution: match settings.aim {
            Aim::Capacity(resolution) if settings.scenario == Scenario::Server => Some(resolution),
            _ => None,
        },
        seed: settings.seed,
    }
}

/// Plays what the settings ask for on a bench.
///
/// # Errors
/// What keeps the bench from playing.
pub fn measure_load(
    bench: &mut dyn Bench,
    settings: &LoadSettings,
    watch: &mut dyn FnMut(&LoadRun),
) -> Result<Outcome, Error> {
    let (service, sessions) = (bench.service(), bench.sessions());
    let mut play = |order: Order, offered: Option<Rate>| {
        let played = bench.play(order.clone())?;
        let run = judge(&order, &played, offered, settings.samples_per_query, settings.slo);
        watch(&run);
        Ok(run)
    };
    let mut run_at = |rate: Rate| play(settings.at_rate(rate), Some(rate));
    let runs = match (settings.scenario, &settings.aim) {
        (Scenario::Server, Aim::Rates(rates)) => rates.iter().map(|&rate| run_at(rate)).collect::<Result<_, _>>()?,
        (Scenario::Server, Aim::Capacity(resolution)) => search(service, resolution.get(), run_at)?,
        (Scenario::Offline, _) => vec![play(settings.at_once(service, sessions), None)?],
        (Scenario::SingleStream | Scenario::MultiStream, _) => vec![play(settings.in_turn(), None)?],
    };
    let asked = settings.scenario == Scenario::Server && settings.slo.is_some();
    Ok(Outcome { capacity: asked.then(|| capacity(&runs)), runs })
}
