//! From settings to a load test.

use super::bench::with_workers;
use super::judge::judge;
use super::queue::{Bench, RunSpec};
use super::search::{capacity, search};
use super::settings::OfferedRates;
use super::{Capacity, LoadFormat, LoadProvenance, LoadRun, LoadSettings, LoadTest, Scenario};
use crate::base::error::Error;
use crate::base::units::{Millis, Rate};
use crate::measure::engines::{Engine, full_name};
use crate::measure::host::fingerprint;
use crate::profile::Family;
use crate::replay::ModelStore;

/// What was played, and what follows for the capacity.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadOutcome {
    /// The runs, in the order of time.
    pub runs: Vec<LoadRun>,
    /// Between which rates the capacity lies, where an SLO asks.
    pub capacity: Option<Capacity>,
}

/// Puts a variant of the store under load; `watch` is told of every run when it is over.
///
/// # Errors
/// What keeps the variant from being opened; a finding where the store lacks it; [`Error::Engine`] where not a single request was answered.
pub fn load_test(
    store: &ModelStore,
    variant: &str,
    engine: &dyn Engine,
    settings: &LoadSettings,
    watch: &mut dyn FnMut(&LoadRun),
) -> Result<LoadTest, Error> {
    let host = fingerprint(vec![full_name(engine)], settings.context.thread_variables.clone());
    let outcome = with_workers(store, variant, engine, settings, |bench| measure_load(bench, settings, watch))?;
    if outcome.runs.iter().all(|run| run.answered == 0) {
        let said = outcome.runs.into_iter().find_map(|run| run.first_error);
        let message = format!("no request was answered: {}", said.unwrap_or_default());
        return Err(Error::Engine { engine: engine.name(), message });
    }
    let (family, entry) = store.find(variant).expect("it was served");
    Ok(LoadTest {
        format: LoadFormat::V1,
        task: family.list.task.clone(),
        variant: entry.name.clone(),
        file: entry.file.clone(),
        sha256: store.sha256(variant).unwrap_or_default().to_owned(),
        engine: full_name(engine),
        device: engine.device(),
        scenario: settings.scenario,
        service: settings.service,
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
        resolution: match settings.rates {
            OfferedRates::Search(resolution) if settings.scenario == Scenario::Server => Some(resolution),
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
) -> Result<LoadOutcome, Error> {
    let (service, sessions) = (bench.service(), bench.sessions());
    let mut play = |spec: RunSpec, offered: Option<Rate>| {
        let played = bench.play(spec.clone())?;
        let run = judge(&spec, &played, offered, settings.service.samples_per_query, settings.slo);
        watch(&run);
        Ok(run)
    };
    let mut run_at = |rate: Rate| play(settings.at_rate(rate), Some(rate));
    let runs = match (settings.scenario, &settings.rates) {
        (Scenario::Server, OfferedRates::Given(rates)) => {
            rates.iter().map(|&rate| run_at(rate)).collect::<Result<_, _>>()?
        }
        (Scenario::Server, OfferedRates::Search(resolution)) => search(service, resolution.get(), run_at)?,
        (Scenario::Offline, _) => vec![play(settings.at_once(service, sessions), None)?],
        (Scenario::SingleStream | Scenario::MultiStream, _) => vec![play(settings.in_turn(), None)?],
    };
    let asked = settings.scenario == Scenario::Server && settings.slo.is_some();
    Ok(LoadOutcome { capacity: asked.then(|| capacity(&runs)), runs })
}
