//! The plan in a sentence, its main numbers, and whether it holds.

use super::formatting::{
    UNKNOWN, about, counted, gears_named, length, ms, objective, percent, quantile, range, rounded, rps,
};
use super::{Block, Given, Tone, risks, text};
use crate::plan::{Gear, HoldsUpTo, LatencyTried, Plan};

/// Returns the line under the title.
pub(crate) fn subtitle(given: &Given<'_>) -> String {
    let provenance = &given.plan.provenance;
    let made =
        if provenance.tool == "by hand" { "made by hand".to_owned() } else { format!("made by {}", provenance.tool) };
    format!("room {}, {made}", provenance.room.as_str())
}

pub(crate) fn blocks(given: &Given<'_>) -> Vec<Block> {
    let mut points = vec![slo(given)];
    points.extend(given.simulated.ok().and_then(|trials| trials.worst_window(&given.plan.slo, "simulation")));
    points.extend(given.plan.provenance.holds_up_to.map(reserve));
    points.extend(simulated_claims(given.plan));
    points.extend(proof(given.plan));
    points.push(worst_risks(given));
    vec![text(sentence(given.plan)), Block::Numbers(numbers(given)), Block::Points(points)]
}

fn sentence(plan: &Plan) -> String {
    let asked = format!("{} of the requests within {}", about(plan.slo.quantile.get()), ms(plan.slo.latency_ms.get()));
    let gears = match plan.gears.len() {
        1 => "one gear".to_owned(),
        count => format!("{count} gears, one for each range of load"),
    };
    format!("The plan carries up to {} and must answer {asked}. It has {gears}.", rps(plan.max_rps()))
}

fn numbers(given: &Given<'_>) -> Vec<(String, String)> {
    let plan = given.plan;
    let of =
        |claim: fn(&Gear) -> Option<f64>, write: fn(f64) -> String| range(plan.gears.iter().filter_map(claim), write);
    let simulated = |of: fn(&super::Seen) -> Option<f64>, write: fn(f64) -> String| {
        let seen = given.simulated.ok()?.gears.iter().flatten();
        range(seen.filter_map(of), write)
    };
    let named = |claimed: Option<String>, simulated: Option<String>, name: &str| match (claimed, simulated) {
        (Some(claimed), _) => (claimed, format!("{name}, claimed")),
        (None, Some(simulated)) => (simulated, format!("{name}, simulated")),
        (None, None) => (UNKNOWN.to_owned(), format!("{name}, not claimed")),
    };
    let name = quantile(&plan.slo);
    vec![
        (rounded(plan.max_rps()), "requests/s at the highest load".to_owned()),
        named(
            of(|gear| Some(gear.claims.accuracy?.value.get()), percent),
            simulated(|seen| seen.accuracy, percent).filter(|_| !super::claims::is_pipeline(given)),
            "accuracy",
        ),
        named(
            of(|gear| Some(gear.claims.latency?.value_ms.get()), ms),
            simulated(|seen| seen.latency_ms, ms),
            &format!("{name} at each gear's highest rate"),
        ),
        named(
            of(|gear| gear.claims.cost_usd_per_hour.map(f64::from), rounded),
            simulated(|seen| seen.cost_usd_per_hour, rounded),
            "USD/h",
        ),
    ]
}

fn slo(given: &Given<'_>) -> (Tone, String) {
    let plan = given.plan;
    let asked = objective(&plan.slo);
    match given.simulated {
        Err(why) => (Tone::Warning, format!("Not simulated: {why}.")),
        Ok(trials) => {
            let tried = || (0..plan.gears.len()).filter_map(|index| Some((index, trials.gear(index)?)));
            let late: Vec<usize> = tried().filter(|(_, seen)| seen.broke(&plan.slo)).map(|(index, _)| index).collect();
            let open = tried().filter(|(_, seen)| seen.is_open(&plan.slo)).count();
            let worst = tried().map(|(_, seen)| seen.late).fold(0.0, f64::max);
            let allowed = 1.0 - plan.slo.quantile.get();
            if late.is_empty() && open > 0 {
                let (open, tried) = (counted(open as u64, "gear"), tried().count());
                let how = format!("up to {} late, {} allowed", percent(worst), about(allowed));
                (
                    Tone::Warning,
                    format!("In simulation it is open whether {open} of {tried} keep the SLO, {asked}: {how}."),
                )
            } else if late.is_empty() {
                let gears = match (tried().count(), plan.gears.len()) {
                    (1, 1) => "the gear meets".to_owned(),
                    (tried, all) if tried == all => "every gear meets".to_owned(),
                    (tried, all) => format!("{tried} of {all} gears were simulated and meet"),
                };
                let how = format!("at most {} late, {} allowed", percent(worst), about(allowed));
                (Tone::Good, format!("In simulation {gears} the SLO, {asked}: {how}."))
            } else {
                let gears = gears_named(&late);
                let how = format!("up to {} late, {} allowed", percent(worst), about(allowed));
                (Tone::Bad, format!("In simulation {gears} of {} broke the SLO, {asked}: {how}.", plan.gears.len()))
            }
        }
    }
}

/// Says which latency claims trials made, where no closed form agrees with them.
fn simulated_claims(plan: &Plan) -> Option<(Tone, String)> {
    let claims = || plan.gears.iter().enumerate().filter_map(|(index, gear)| Some((index, gear.claims.latency?)));
    let simulated = || claims().filter_map(|(index, claim)| Some((index, claim.value_ms.get(), claim.trial?)));
    let gears: Vec<usize> = simulated().map(|(index, ..)| index).collect();
    let half = |(_, value, trial): (usize, f64, LatencyTried)| 0.5 * (trial.high_ms.get() - trial.low_ms.get()) / value;
    let widest = simulated().map(half).fold(0.0, f64::max);
    (!gears.is_empty()).then(|| {
        let (who, name) = (gears_named(&gears), quantile(&plan.slo));
        let sure = format!("within ± {} (95\u{a0}% interval)", about(widest));
        (
            Tone::Note,
            format!("The claimed {name} of {who} is simulated, {sure}: no closed form agrees with trials there."),
        )
    })
}

/// Says by how much load and service times may grow.
fn reserve(holds: HoldsUpTo) -> (Tone, String) {
    let is_kept = holds.load.get() > 0.0 && holds.service_times.get() > 0.0;
    let [load, service_times] = holds.in_words();
    let tone = if is_kept { Tone::Good } else { Tone::Warning };
    (tone, format!("In simulation it holds up to {load} load or {service_times} service time."))
}

fn proof(plan: &Plan) -> Option<(Tone, String)> {
    let proved = plan.gears.iter().filter_map(|gear| gear.certificate.as_ref()).count();
    match proved {
        0 => Some((Tone::Note, super::certificate::finding(plan))),
        _ if proved == plan.gears.len() => Some((Tone::Good, super::certificate::finding(plan))),
        _ => Some((Tone::Warning, format!("{proved} of {} have an optimality bound.", length(&plan.gears, "gear")))),
    }
}

fn worst_risks(given: &Given<'_>) -> (Tone, String) {
    let found = risks::of(given);
    let count = |tone| found.iter().filter(|(of, _)| *of == tone).count();
    let (bad, warnings) = (count(Tone::Bad), count(Tone::Warning));
    let counts = |count: usize, noun: &str| counted(count as u64, noun);
    match (bad, warnings) {
        (0, 0) => (Tone::Good, "No claim was refuted and no warning was found.".to_owned()),
        (0, _) => (Tone::Warning, format!("{} (see Risks); no claim was refuted.", counts(warnings, "warning"))),
        _ => (Tone::Bad, format!("{} and {} (see Risks).", counts(bad, "problem"), counts(warnings, "warning"))),
    }
}
