//! `planner profile load`: one variant under load, and the highest rate that meets an SLO.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::base::codec::to_bytes;
use crate::base::near;
use crate::base::units::{Millis, Rate, Share};
use crate::measure::MeasureContext;
use crate::measure::engines::model_files;
use crate::problem::Slo;
use crate::replay::ModelStore;
use crate::replay::load::{
    Capacity, Ended, LoadRun, LoadService, LoadSettings, LoadTest, MOST_REQUESTS, OfferedRates, Scenario,
    fewest_requests, load_test,
};
use crate::stats::{Latency, Quantile};
use crate::{Code, Error, Finding, Findings};
use clap::ValueEnum;

use super::engine::EngineChoice;
use super::profile::{moment, relative_to, thread_variables, tool};
use super::values::share;
use super::voice::Progress;
use super::{Answer, Layout, Output, print, print_text, say, say_findings, table};

/// Connections to a server where the user does not say.
const IN_FLIGHT: u32 = 32;
/// Quantile of the SLO where the user does not say.
const QUANTILE: f64 = 0.99;
/// Samples in a query of `multi-stream`, as in MLPerf.
const SAMPLES_PER_QUERY: u32 = 8;
/// Rates of one range.
const MOST_RATES: usize = 1_000;

/// Put one variant under load: requests come on their own schedule, and latency counts from when each was meant to come
///
/// Exit status 1 where no rate meets the SLO.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  planner profile load models/digits/models.toml --variant cnn_l --slo-ms 10 -o load.json")]
pub struct Args {
    /// The model list (`planner.models/1`)
    models: PathBuf,
    /// The variant
    #[arg(long, value_name = "NAME")]
    variant: String,
    /// The kind of load, as MLPerf Inference defines it
    #[arg(long, value_enum, default_value_t)]
    scenario: ScenarioName,
    /// With server: offer these rates, in requests per second, like 10,20,40 or 100:500:50
    #[arg(long, value_name = "R,...", allow_hyphen_values = true, conflicts_with = "resolution")]
    rates: Option<String>,
    /// Latency, from the intended arrival to the answer, that the quantile must keep; with server and without --rates,
    /// search the highest rate that does
    #[arg(long, value_name = "MS", allow_negative_numbers = true)]
    slo_ms: Option<f64>,
    /// Part of the requests that must be answered within --slo-ms [default: 0.99; single-stream: 0.9]
    #[arg(long, value_name = "Q", requires = "slo_ms", value_parser = share, allow_negative_numbers = true)]
    quantile: Option<Share>,
    /// End the search when the lowest rate that failed is within this part of the highest that did not [default: 0.05]
    #[arg(long, value_name = "PART", value_parser = share, allow_negative_numbers = true)]
    resolution: Option<Share>,
    /// Threads of one replica, each pinned to a core of its own; of a server, what it gives to a model
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    cores: u32,
    /// Replicas that share one queue, each on cores of its own [default: 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4096))]
    replicas: Option<u32>,
    /// With --engine oip: connections, so requests under way at the same time [default: 32]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    in_flight: Option<u32>,
    /// Most requests that a replica takes from the queue together [default: 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: Option<u32>,
    /// With multi-stream: samples in one query [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    samples_per_query: Option<u32>,
    /// Shortest time of a run, in seconds, the warm-up not counted
    #[arg(long, value_name = "S", default_value_t = 10.0, allow_negative_numbers = true)]
    duration_s: f64,
    /// Fewest requests of a run [default: ten beyond the quantile, at least 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    requests: Option<u64>,
    /// Time at the beginning of each run whose requests do not count, in seconds
    #[arg(long, value_name = "S", default_value_t = 1.0, allow_negative_numbers = true)]
    warm_up_s: f64,
    /// Seed of the arrivals and of the choice of samples
    #[arg(long, default_value_t = 42)]
    seed: u64,
    #[command(flatten)]
    engine: EngineChoice,
    /// How to print the result; a file takes it as JSON
    #[arg(long, value_enum, default_value_t)]
    format: Layout,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum ScenarioName {
    /// One query of one sample after the other
    SingleStream,
    /// One query of several samples after the other
    MultiStream,
    /// Single samples that arrive at random (Poisson), whether or not those before are answered
    #[default]
    Server,
    /// All samples at once
    Offline,
}

impl From<ScenarioName> for Scenario {
    fn from(name: ScenarioName) -> Self {
        match name {
            ScenarioName::SingleStream => Self::SingleStream,
            ScenarioName::MultiStream => Self::MultiStream,
            ScenarioName::Server => Self::Server,
            ScenarioName::Offline => Self::Offline,
        }
    }
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    args.output.check([&args.models])?;
    let settings = settings(args)?;
    let engine = args.engine.open()?;
    let store = ModelStore::load(std::slice::from_ref(&args.models), model_files(engine.as_ref()))?;
    find(&store, &args.variant).map_err(|finding| Findings::from(finding).in_file(&args.models))?;
    if cfg!(debug_assertions) {
        say("this is a debug build, in which the embedded engine takes several times as long");
    }
    say(length(&settings));
    let progress = Progress::new();
    let mut test = load_test(&store, &args.variant, engine.as_ref(), &settings, &mut |run| progress.tell(line(run)))?;
    drop(progress);
    test.provenance.measured_at = moment(SystemTime::now());
    if !args.output.is_stdout() {
        args.output.write(&to_bytes(&test))?;
    }
    say_findings(&test.validate());
    match args.format {
        Layout::Json => print(&to_bytes(&test))?,
        Layout::Table => print_text(&text(&test))?,
    }
    Ok(answer(&test))
}

/// Says beforehand how long runs take: a quantile that is far out needs many requests, whatever --duration-s says.
fn length(settings: &LoadSettings) -> String {
    let fewest = settings.fewest;
    let run_s = |rate: f64| (fewest as f64 / rate).max(settings.duration.as_secs_f64()) + settings.warmup.as_secs_f64();
    match &settings.rates {
        OfferedRates::Given(rates) if settings.scenario == Scenario::Server => {
            let runs = if rates.len() == 1 { "1 run".to_owned() } else { format!("{} runs", rates.len()) };
            let all: f64 = rates.iter().map(|rate| run_s(rate.get())).sum();
            format!("{runs} of at least {fewest} requests: about {all:.0} s, less where the SLO is missed early")
        }
        _ => format!(
            "each run takes at least {fewest} requests and {:.0} s",
            (settings.duration + settings.warmup).as_secs_f64()
        ),
    }
}

/// The answer is no where an SLO was asked for that nothing met.
fn answer(test: &LoadTest) -> Answer {
    let met = test.runs.iter().any(|run| run.judged.is_some_and(|judged| judged.met));
    let none = test.capacity.map_or(!met, |capacity| capacity.met_rps.is_none());
    if test.slo.is_some() && none { Answer::No } else { Answer::Yes }
}

fn find(store: &ModelStore, name: &str) -> Result<(), Finding> {
    let known: Vec<_> = store.variants().collect();
    if known.contains(&name) {
        return Ok(());
    }
    let cause = format!("no variant is called `{name}`");
    let action = near::hint(name, known.iter().copied(), format!("variants are {}", known.join(", ")));
    Err(Finding::error(Code::UnknownName, "--variant", cause, action))
}

fn settings(args: &Args) -> Result<LoadSettings, Error> {
    let mut findings = useless(args);
    let mut keep = |problem: Finding| findings.push(problem);
    let duration = seconds("--duration-s", args.duration_s).map_err(&mut keep).unwrap_or_default();
    let warmup = seconds("--warm-up-s", args.warm_up_s).map_err(&mut keep).unwrap_or_default();
    let slo = slo(args).map_err(&mut keep).unwrap_or_default();
    let rates = offered(args, duration + warmup).map_err(&mut keep).unwrap_or(OfferedRates::Given(Vec::new()));
    let quantile = slo.map_or_else(|| usual_quantile(args), |slo| slo.quantile);
    let multi = args.scenario == ScenarioName::MultiStream;
    let settings = LoadSettings {
        scenario: args.scenario.into(),
        service: LoadService {
            cores: args.cores,
            sessions: if args.engine.is_server() && !Scenario::from(args.scenario).is_closed() {
                args.in_flight.unwrap_or(IN_FLIGHT)
            } else {
                args.replicas.unwrap_or(1)
            },
            pinned: !args.engine.is_server(),
            batch: args.batch.unwrap_or(1),
            samples_per_query: args.samples_per_query.unwrap_or(if multi { SAMPLES_PER_QUERY } else { 1 }),
        },
        rates,
        slo,
        duration,
        fewest: args.requests.unwrap_or_else(|| fewest_requests(quantile)),
        warmup,
        seed: args.seed,
        context: MeasureContext {
            tool: tool(),
            models: if args.output.is_stdout() {
                args.models.clone()
            } else {
                relative_to(&args.models, &args.output.output)
            },
            thread_variables: thread_variables(),
            ..MeasureContext::default()
        },
    };
    Ok(findings.or(settings)?)
}

/// Refuses options that the scenario or the engine would not look at.
fn useless(args: &Args) -> Findings {
    use ScenarioName::{MultiStream, Offline, Server, SingleStream};
    let server = args.engine.is_server();
    let given = [
        ("--rates", args.rates.is_some(), &[Server][..], None),
        ("--resolution", args.resolution.is_some(), &[Server], None),
        ("--slo-ms", args.slo_ms.is_some(), &[Server, SingleStream, MultiStream], None),
        ("--samples-per-query", args.samples_per_query.is_some(), &[MultiStream], None),
        ("--replicas", args.replicas.is_some(), &[Server, Offline], Some(false)),
        ("--in-flight", args.in_flight.is_some(), &[Server, Offline], Some(true)),
        ("--batch", args.batch.is_some(), if server { &[Offline] } else { &[Server, Offline] }, None),
    ];
    let mut findings = Findings::default();
    for (flag, given, scenarios, with_server) in given {
        let engine_fits = with_server.is_none_or(|wanted| wanted == server);
        if given && (!scenarios.contains(&args.scenario) || !engine_fits) {
            let scenario = args.scenario.to_possible_value();
            let word = scenario.as_ref().map_or("", |value| value.get_name());
            let with = if server { "a running server" } else { "an engine on this machine" };
            let cause = format!("does nothing with --scenario {word} and {with}");
            findings.push(Finding::error(Code::NoEffect, flag, cause, format!("leave {flag} away")));
        }
    }
    findings
}

fn usual_quantile(args: &Args) -> Share {
    Share::saturating(if args.scenario == ScenarioName::SingleStream { 0.9 } else { QUANTILE })
}

fn slo(args: &Args) -> Result<Option<Slo>, Finding> {
    let Some(slo_ms) = args.slo_ms else { return Ok(None) };
    let quantile = args.quantile.unwrap_or_else(|| usual_quantile(args));
    if !(0.0..1.0).contains(&quantile.get()) || quantile.get() == 0.0 {
        return Err(bad("--quantile", quantile.get(), "a part above 0 and below 1"));
    }
    let latency_ms = Millis::new(slo_ms).ok().filter(|latency| latency.get() > 0.0);
    let latency_ms = latency_ms.ok_or_else(|| bad("--slo-ms", slo_ms, "a finite number above 0"))?;
    Ok(Some(Slo { quantile, latency_ms, window_s: None }))
}

fn offered(args: &Args, time: Duration) -> Result<OfferedRates, Finding> {
    if let Some(text) = &args.rates {
        let rates = rates(text).map_err(|cause| {
            Finding::error(Code::OutOfRange, "--rates", cause, "rates above 0, like 10,20,40 or 100:500:50")
        })?;
        let highest = rates.iter().map(|rate| rate.get()).fold(0.0, f64::max);
        if highest * time.as_secs_f64() > MOST_REQUESTS {
            return Err(bad("--rates", highest, "at most 1e7 requests in a run: lower the rate or the duration"));
        }
        return Ok(OfferedRates::Given(rates));
    }
    if args.scenario == ScenarioName::Server && args.slo_ms.is_none() {
        let cause = "neither rates nor an SLO are given";
        let action = "pass --rates 10,20,40 to try some, or --slo-ms 15 to search the highest that meets it";
        return Err(Finding::error(Code::MissingField, "--rates", cause, action));
    }
    let resolution = args.resolution.unwrap_or(Share::saturating(0.05));
    if resolution.get() < 0.001 {
        return Err(bad("--resolution", resolution.get(), "a part from 0.001 to 1"));
    }
    Ok(OfferedRates::Search(resolution))
}

/// Reads numbers and ranges `start:end:step`, separated by commas; a range holds its end where a step meets it.
fn rates(text: &str) -> Result<Vec<Rate>, String> {
    let number = |text: &str| text.trim().parse::<f64>().map_err(|_| format!("`{text}` is no number"));
    let mut all = Vec::new();
    for part in text.split(',') {
        let numbers: Vec<f64> = part.split(':').map(number).collect::<Result<_, _>>()?;
        match numbers[..] {
            [one] => all.push(one),
            [start, end, step] if step > 0.0 && end >= start && (end - start) / step < MOST_RATES as f64 => {
                // The end is met in spite of rounding.
                let steps = ((end - start) / step + 1e-9).floor() as u32;
                all.extend((0..=steps).map(|place| start + f64::from(place) * step));
            }
            _ => return Err(format!("`{part}` is no rate, and no range start:end:step of at most {MOST_RATES} rates")),
        }
    }
    let rate = |number: f64| Rate::new(number).ok().filter(|rate| rate.get() > 0.0);
    all.into_iter().map(|number| rate(number).ok_or_else(|| format!("{number} is no rate"))).collect()
}

fn seconds(flag: &str, number: f64) -> Result<Duration, Finding> {
    // A day is far more than any run needs.
    let time = Duration::try_from_secs_f64(number).ok().filter(|time| *time <= Duration::from_secs(86_400));
    time.ok_or_else(|| bad(flag, number, "a time of at least 0 seconds and at most a day"))
}

fn bad(flag: &str, number: f64, action: &str) -> Finding {
    Finding::error(Code::OutOfRange, flag, format!("{number} cannot be played"), action)
}

/// Says how a run went, while others follow.
fn line(run: &LoadRun) -> String {
    let offered = run.offered_rps.map_or(String::new(), |rate| format!("{:.1} rps: ", rate.get()));
    let p99 = run.latency.map_or("no answer".to_owned(), |latency| format!("p99 {:.3} ms", latency.p99.value_ms.get()));
    let judged = run.judged.map_or("", |judged| if judged.met { ", met" } else { ", missed" });
    format!("{offered}{} answered, {p99}{judged}", run.answered)
}

fn text(test: &LoadTest) -> String {
    let server = test.scenario == Scenario::Server;
    let first = if server { "offered rps" } else { "scenario" };
    let mut rows = table(&[
        first, "achieved", "requests", "failed", "p50 ms", "p90 ms", "p95 ms", "p99 ms", "p99.9 ms", "late", "lag ms",
        "",
    ]);
    for run in &test.runs {
        rows.add_row(row(test, run));
    }
    let error = test.runs.iter().find_map(|run| run.first_error.as_ref());
    let error = error.map_or(String::new(), |error| format!("first error: {error}\n"));
    format!("{rows}\n\n{}\n{error}", verdict(test))
}

fn row(test: &LoadTest, run: &LoadRun) -> [String; 12] {
    let at = |quantile: fn(&Latency) -> Quantile| {
        run.latency.as_ref().map_or("–".to_owned(), |latency| figures(quantile(latency).value_ms.get()))
    };
    let interval = run.latency.as_ref().map_or(String::new(), |latency| {
        format!(" ({} to {})", figures(latency.p99.low_ms.get()), figures(latency.p99.high_ms.get()))
    });
    [
        run.offered_rps.map_or(test.scenario.mlperf().to_owned(), |rate| format!("{:.1}", rate.get())),
        format!("{:.1}", run.achieved_rps.get()),
        run.requests.to_string(),
        run.failed.to_string(),
        at(|latency| latency.p50),
        at(|latency| latency.p90),
        at(|latency| latency.p95),
        at(|latency| latency.p99) + &interval,
        at(|latency| latency.p999),
        run.judged.map_or("–".to_owned(), |judged| format!("{:.2} %", 100.0 * judged.late_share.get())),
        figures(run.lag.p99_ms.get()),
        remarks(run),
    ]
}

/// Returns a time with as many figures as its size asks for.
fn figures(ms: f64) -> String {
    let decimals = [(100.0, 0), (10.0, 1), (1.0, 2)].into_iter().find(|(size, _)| ms >= *size).map_or(3, |(_, d)| d);
    format!("{ms:.decimals$}")
}

fn remarks(run: &LoadRun) -> String {
    let mut words = Vec::new();
    if let Some(judged) = run.judged {
        words.push(if judged.met { "met" } else { "missed" });
        words.extend((!judged.certain).then_some("uncertain"));
    }
    words.extend(match run.ended {
        Ended::Complete => run.sustained.filter(|sustained| !sustained).map(|_| "not sustained"),
        Ended::Late => Some("ended early"),
        Ended::Overflow => Some("overflowed"),
        Ended::Failing => Some("failing"),
    });
    words.extend(run.lag.too_much.then_some("generator late"));
    words.join(", ")
}

/// Returns the scenario's metric in one line.
fn verdict(test: &LoadTest) -> String {
    let run = test.runs.last();
    let tail = |name: &str, quantile: fn(&Latency) -> f64| {
        let value =
            run.and_then(|run| run.latency.as_ref()).map_or("none".to_owned(), |l| figures(quantile(l)) + " ms");
        format!("{}: {name} of the latency {value}", test.scenario.mlperf())
    };
    match test.scenario {
        Scenario::SingleStream => tail("p90", |latency| latency.p90.value_ms.get()),
        Scenario::MultiStream => tail("p99", |latency| latency.p99.value_ms.get()),
        Scenario::Offline => format!("Offline: {:.1} samples/s", run.map_or(0.0, |run| run.samples_per_s.get())),
        Scenario::Server => server_verdict(test),
    }
}

fn server_verdict(test: &LoadTest) -> String {
    let Some((slo, capacity)) = test.slo.zip(test.capacity) else {
        let sustained = test.runs.iter().filter(|run| run.sustained == Some(true)).count();
        return format!("Server: {sustained} of {} rates sustained", test.runs.len());
    };
    let within = format!("{} % within {} ms", round(100.0 * slo.quantile.get()), slo.latency_ms.get());
    let rps = |rate: Rate| format!("{:.1}", rate.get());
    let certain = match capacity.certain_rps {
        Some(rate) if capacity.met_rps != Some(rate) => format!("; beyond chance up to {}", rps(rate)),
        Some(_) => String::new(),
        None => "; that may be chance".to_owned(),
    };
    match capacity {
        Capacity { met_rps: Some(met), missed_rps: Some(missed), .. } if generator_at(test, missed) => {
            format!(
                "Server: at least {} rps with {within}; at {} the generator was late{certain}",
                rps(met),
                rps(missed)
            )
        }
        Capacity { met_rps: Some(met), missed_rps: Some(missed), .. } => {
            format!("Server: {} rps with {within}; missed at {}{certain}", rps(met), rps(missed))
        }
        Capacity { met_rps: Some(met), missed_rps: None, .. } => {
            format!("Server: at least {} rps with {within}; no rate missed it{certain}", rps(met))
        }
        Capacity { missed_rps: Some(missed), .. } if generator_at(test, missed) => {
            format!("Server: no rate with {within}, but at {} the generator was late: that says little", rps(missed))
        }
        Capacity { missed_rps: Some(missed), .. } => {
            format!("Server: no rate with {within}; missed at {} already", rps(missed))
        }
        Capacity { .. } => format!("Server: no rate with {within}"),
    }
}

/// Tells whether the generator was late at a rate, so that missing the SLO there says nothing of the server.
fn generator_at(test: &LoadTest, rate: Rate) -> bool {
    test.runs.iter().any(|run| run.offered_rps == Some(rate) && run.lag.too_much)
}

fn round(percent: f64) -> String {
    let text = format!("{percent:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::{figures, rates, round};

    #[test]
    fn rates_are_lists_and_ranges() {
        let read = |text| rates(text).map(|rates| rates.iter().map(|rate| rate.get()).collect::<Vec<_>>());
        assert_eq!(read("10,20.5, 40"), Ok(vec![10.0, 20.5, 40.0]));
        assert_eq!(read("1,100:300:100"), Ok(vec![1.0, 100.0, 200.0, 300.0]));
        assert_eq!(read("0.1:0.3:0.1").map(|rates| rates.len()), Ok(3));
        for bad in ["", "0", "-5", "nan", "inf", "1:2", "3:1:1", "1:2:0", "1:1e9:1", "1:2:-1", "x", "1,,2"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_have_as_many_figures_as_they_need() {
        assert_eq!([0.1234, 1.234, 12.34, 123.4].map(figures), ["0.123", "1.23", "12.3", "123"]);
        assert_eq!([99.0, 99.9, 50.0].map(round), ["99", "99.9", "50"]);
    }
}
