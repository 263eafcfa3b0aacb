//! What a reviewer should know before trusting the plan.

use std::collections::BTreeSet;

use super::formatting::{about, counted, gears_named, length, listed, ms, percent, points, quantile};
use super::{Block, Given, Seen, Tone, Trials};
use crate::base::finding::{Code, Severity};
use crate::facts::Facts;
use crate::plan::{Gear, Lane, Plan, Pool, Tolerance, check, facts_changed};
use crate::problem::Resource;
use crate::profile::Trust;

type Risk = (Tone, String);

/// Part by which a trial may be slower than claimed before that is worth a look.
const SLOWER: f64 = 0.05;

pub(crate) fn blocks(given: &Given<'_>) -> Vec<Block> {
    let mut risks = of(given);
    if risks.is_empty() {
        risks.push((Tone::Good, "No known risk was found.".to_owned()));
    }
    vec![Block::Points(risks)]
}

/// Returns all risks, the worst first.
pub(crate) fn of(given: &Given<'_>) -> Vec<Risk> {
    let plan = given.plan;
    let mut risks = Vec::new();
    risks.extend(late(plan, given.simulated.ok(), "simulation"));
    risks.extend(late(plan, given.replayed, "the replay"));
    risks.extend(endless(plan, given.simulated.ok(), "simulation"));
    risks.extend(endless(plan, given.replayed, "the replay"));
    risks.extend(open(plan, given.simulated.ok(), "simulation"));
    risks.extend(slower(plan, given.simulated.ok(), "simulation"));
    risks.extend(slower(plan, given.replayed, "the replay"));
    risks.extend(bad_window(plan, given.simulated.ok(), "simulation"));
    risks.extend(bad_window(plan, given.replayed, "the replay"));
    match given.facts {
        Ok(facts) => {
            risks.extend(recomputed(given, facts));
            risks.extend(contended(plan, facts));
            risks.extend(neighbours(plan, facts));
            risks.extend(agreements(plan, facts));
        }
        Err(why) => risks.push((Tone::Warning, format!("No claim could be recomputed: {why}."))),
    }
    risks.extend(latency_trust(plan));
    risks.extend(accuracy_trust(plan));
    risks.extend(unclaimed(plan));
    if given.replayed.is_none() {
        risks.push((Tone::Note, "The plan was not replayed with real models.".to_owned()));
    }
    risks.sort_by_key(|(tone, _)| std::cmp::Reverse(*tone));
    risks
}

/// Returns the indices of the gears that something is true of.
fn gears(plan: &Plan, is: impl Fn(usize, &Gear) -> bool) -> Vec<usize> {
    (0..plan.gears.len()).filter(|&index| is(index, &plan.gears[index])).collect()
}

fn late(plan: &Plan, trials: Option<&Trials>, name: &str) -> Option<Risk> {
    let broke = |seen: &&Seen| seen.broke(&plan.slo);
    let late = gears(plan, |index, _| trials.and_then(|trials| trials.gear(index)).as_ref().is_some_and(broke));
    let worst = late.iter().filter_map(|&index| Some(trials?.gear(index)?.late)).fold(0.0, f64::max);
    let (asked, allowed) = (ms(plan.slo.latency_ms.get()), about(1.0 - plan.slo.quantile.get()));
    (!late.is_empty()).then(|| {
        let (who, worst, name_of) = (gears_named(&late), percent(worst), quantile(&plan.slo));
        let cause = format!("up to {worst} of the requests took longer than {asked}; the SLO allows {allowed}");
        (Tone::Bad, format!("In {name} {who} broke the SLO ({name_of}): {cause}."))
    })
}

/// Says where requests were never answered, however few they are.
fn endless(plan: &Plan, trials: Option<&Trials>, name: &str) -> Option<Risk> {
    let queues = |index: usize| trials.and_then(|trials| trials.gear(index)).into_iter().flat_map(|seen| &seen.endless);
    let grow = gears(plan, |index, _| queues(index).next().is_some());
    let pools: BTreeSet<&str> = grow.iter().flat_map(|&index| queues(index)).map(String::as_str).collect();
    let pools: Vec<&str> = pools.into_iter().collect();
    (!grow.is_empty()).then(|| {
        let text = format!(
            "In {name} {} got more calls than {} can serve: the queue grows without end.",
            gears_named(&grow),
            pools.join(", ")
        );
        (Tone::Bad, text)
    })
}

/// Says where the worst window broke the SLO.
fn bad_window(plan: &Plan, trials: Option<&Trials>, name: &str) -> Option<Risk> {
    trials?.worst_window(&plan.slo, name).filter(|(tone, _)| *tone != Tone::Good)
}

/// Says where trials cannot tell whether the SLO is kept, as what it allows lies inside their interval.
fn open(plan: &Plan, trials: Option<&Trials>, name: &str) -> Option<Risk> {
    let is_open =
        |index: usize| trials.and_then(|trials| trials.gear(index)).is_some_and(|seen| seen.is_open(&plan.slo));
    let open = gears(plan, |index, _| is_open(index));
    (!open.is_empty()).then(|| {
        let who = gears_named(&open);
        (Tone::Warning, format!("In {name} too few requests tell whether {who} keeps the SLO: what it allows lies inside the 95\u{a0}% interval."))
    })
}

/// Says where a trial was slower than claimed, though it may have kept the SLO: with the whole of its interval, where it has one.
fn slower(plan: &Plan, trials: Option<&Trials>, name: &str) -> Option<Risk> {
    let excess = |index: usize, gear: &Gear| {
        let seen = trials?.gear(index)?;
        let least = seen.latency_interval.map_or(seen.latency_ms?, |interval| interval.low);
        Some(least / gear.claims.latency?.value_ms.get() - 1.0)
    };
    let slower = gears(plan, |index, gear| excess(index, gear).is_some_and(|excess| excess > SLOWER));
    let most = slower.iter().filter_map(|&index| excess(index, &plan.gears[index])).fold(0.0, f64::max);
    (!slower.is_empty()).then(|| {
        let (quantile, who) = (quantile(&plan.slo), gears_named(&slower));
        (
            Tone::Warning,
            format!("In {name} the {quantile} of {who} exceeded the claim by up to {:.0}\u{a0}%.", 100.0 * most),
        )
    })
}

/// Says what the check of the claims found, a sentence a kind of finding.
fn recomputed(given: &Given<'_>, facts: &Facts) -> Vec<Risk> {
    let mut findings = check(given.plan, facts, given.problem, Tolerance::default());
    findings.extend(facts_changed(given.plan, facts));
    // What rests on interpolation is said of each claim below.
    let kept = findings.0.into_iter().filter(|finding| finding.code != Code::Interpolated);
    let mut kinds: Vec<(Code, Severity, Vec<String>)> = Vec::new();
    for finding in kept {
        let place = if finding.key.is_empty() { String::new() } else { format!("{}: ", finding.key) };
        let cause = format!("{place}{}", finding.cause);
        match kinds.iter_mut().find(|(code, severity, _)| (*code, *severity) == (finding.code, finding.severity)) {
            Some((_, _, causes)) => causes.push(cause),
            None => kinds.push((finding.code, finding.severity, vec![cause])),
        }
    }
    kinds.iter().map(|(code, severity, causes)| (tone(*severity), kind(*code, causes))).collect()
}

const fn tone(severity: Severity) -> Tone {
    match severity {
        Severity::Note => Tone::Note,
        Severity::Warning => Tone::Warning,
        Severity::Error => Tone::Bad,
    }
}

fn kind(code: Code, causes: &[String]) -> String {
    let claims = || counted(causes.len() as u64, "claim");
    let lead = match code {
        Code::ClaimRefuted => format!("{} not confirmed when recomputed from the facts", claims()),
        Code::ClaimUnchecked => {
            format!("{} without a closed form; only trials test them", claims())
        }
        Code::FactsChanged => "The measured facts have changed since the plan was made".to_owned(),
        Code::LimitBroken => "A limit is exceeded".to_owned(),
        Code::Overloaded => "A queue grows without end".to_owned(),
        Code::TransientResources => "Changes of gear need more at once than the inventory has".to_owned(),
        Code::NotMeasured => "The plan needs facts that were not measured".to_owned(),
        other => format!("The check reports `{other}`"),
    };
    let shown: Vec<&str> = causes.iter().take(3).map(String::as_str).collect();
    let more =
        if causes.len() > shown.len() { format!("; and {} more", causes.len() - shown.len()) } else { String::new() };
    format!("{lead}: {}{more}.", shown.join("; "))
}

fn latency_trust(plan: &Plan) -> Vec<Risk> {
    let of = |trust: Trust| gears(plan, |_, gear| gear.claims.latency.is_some_and(|claim| claim.trust == trust));
    let kinds = [
        (
            Trust::Glimpsed,
            Tone::Warning,
            "rest on a pilot measurement of a few calls; the tail is that of measured points",
        ),
        (Trust::Interpolated, Tone::Warning, "lie between measured points"),
        (
            Trust::Extrapolated,
            Tone::Warning,
            "use more cores than the measured host had and assume that replicas do not slow each other down",
        ),
        (Trust::Imported, Tone::Warning, "were measured by another tool"),
        (Trust::Declared, Tone::Warning, "were stated, not measured"),
    ];
    let said = |(trust, tone, why): (Trust, Tone, &str)| {
        let gears = of(trust);
        (!gears.is_empty())
            .then(|| (tone, format!("Latency claims of {} are {trust}: they {why}.", gears_named(&gears))))
    };
    kinds.into_iter().filter_map(said).collect()
}

fn accuracy_trust(plan: &Plan) -> Vec<Risk> {
    let claims = || plan.gears.iter().enumerate().filter_map(|(index, gear)| Some((index, gear.claims.accuracy?)));
    let uncounted: Vec<usize> =
        claims().filter(|(_, claim)| claim.trust != Trust::Measured).map(|(index, _)| index).collect();
    let mut risks = Vec::new();
    if !uncounted.is_empty() {
        let trusts: BTreeSet<Trust> =
            claims().map(|(_, claim)| claim.trust).filter(|of| *of != Trust::Measured).collect();
        let trusts: Vec<String> = trusts.iter().map(ToString::to_string).collect();
        let who = gears_named(&uncounted);
        let how = format!("{}, not measured on labelled samples", listed(&trusts));
        risks.push((Tone::Warning, format!("Accuracy claims of {who} are {how}.")));
    }
    let widest = claims().map(|(_, claim)| claim.high.get() - claim.low.get()).fold(0.0, f64::max);
    if widest > 0.0 {
        let how = "smaller differences between gears may be chance";
        risks.push((Tone::Note, format!("Accuracies are known within ± {}; {how}.", points(0.5 * widest))));
    }
    risks
}

/// Says which claims and bounds are missing, a sentence for the gears that lack the same.
fn unclaimed(plan: &Plan) -> Vec<Risk> {
    let without = |is: fn(&Gear) -> bool| gears(plan, |_, gear| is(gear));
    let cases = [
        (without(|gear| gear.claims.accuracy.is_none()), "no accuracy"),
        (without(|gear| gear.claims.latency.is_none()), "no latency"),
        (without(|gear| gear.certificate.is_none()), "no optimality bound"),
    ];
    let mut alike: Vec<(Vec<usize>, Vec<String>)> = Vec::new();
    for (gears, what) in cases.into_iter().filter(|(gears, _)| !gears.is_empty()) {
        match alike.iter_mut().find(|(known, _)| *known == gears) {
            Some((_, lacks)) => lacks.push(what.to_owned()),
            None => alike.push((gears, vec![what.to_owned()])),
        }
    }
    let said = |(gears, lacks): (Vec<usize>, Vec<String>)| {
        let who = if gears.len() == plan.gears.len() { "every gear".to_owned() } else { gears_named(&gears) };
        (Tone::Warning, format!("For {who} the plan states {}.", listed(&lacks)))
    };
    alike.into_iter().map(said).collect()
}

/// Returns every lane with its pool.
fn lanes(plan: &Plan) -> impl Iterator<Item = (&Lane, &Pool)> {
    let lanes = plan.gears.iter().flat_map(|gear| &gear.stages).flat_map(|stage| &stage.lanes);
    lanes.filter_map(|lane| Some((lane, plan.pool(&lane.pool)?)))
}

fn contended(plan: &Plan, facts: &Facts) -> Option<Risk> {
    let points = facts.profiles.iter().flat_map(|profile| &profile.document.points);
    let used = points.filter(|point| {
        let serves = |(lane, pool): (&Lane, &Pool)| {
            lane.variant == point.variant
                && pool.on.device() == point.device
                && pool.on.cores() == point.cores
                && point.batch <= lane.batch
        };
        point.co_runners == 0 && lanes(plan).any(serves)
    });
    let (disturbed, all): (Vec<bool>, usize) = {
        let flags: Vec<bool> = used.map(|point| point.conditions.contended).collect();
        let count = flags.len();
        (flags.into_iter().filter(|flag| *flag).collect(), count)
    };
    (!disturbed.is_empty()).then(|| {
        let who = counted(disturbed.len() as u64, "measured point");
        (
            Tone::Warning,
            format!("{who} of the {all} that the plan uses were measured while other processes used the machine."),
        )
    })
}

/// Says which variants run beside busy neighbours without a measurement of their interference.
fn neighbours(plan: &Plan, facts: &Facts) -> Option<Risk> {
    let busy = |gear: &Gear| -> u32 {
        let on_cores = plan.placement.iter().filter(|pool| matches!(pool.on, Resource::Cores { .. }));
        on_cores.map(|pool| gear.replicas_of(pool)).sum()
    };
    let most = plan.gears.iter().map(busy).max().unwrap_or(0);
    let is_unknown = |(lane, pool): &(&Lane, &Pool)| {
        matches!(pool.on, Resource::Cores { .. }) && facts.slowdowns_on(plan, pool, &lane.variant).len() < 2
    };
    let variants: BTreeSet<&str> = lanes(plan).filter(is_unknown).map(|(lane, _)| lane.variant.as_str()).collect();
    let variants: Vec<String> = variants.into_iter().map(ToOwned::to_owned).collect();
    (most > 1 && !variants.is_empty()).then(|| {
        let how = "their interference was not measured (planner profile --co-runners)";
        (Tone::Note, format!("Up to {most} replicas run at the same time; for {} {how}.", listed(&variants)))
    })
}

/// Says which accuracies are only agreements with another variant, or rest on few samples.
fn agreements(plan: &Plan, facts: &Facts) -> Option<Risk> {
    let used: BTreeSet<&str> = lanes(plan).map(|(lane, _)| lane.variant.as_str()).collect();
    let agree: Vec<String> = facts
        .variants()
        .filter(|variant| used.contains(variant.name.as_str()))
        .filter_map(|variant| Some(format!("{} with {}", variant.name, variant.accuracy.agrees_with.as_ref()?)))
        .collect();
    (!agree.is_empty()).then(|| {
        let count = length(&agree, "accuracy").replace("accuracys", "accuracies");
        (
            Tone::Warning,
            format!("{count} measured without labels, as agreement with another variant ({}).", agree.join("; ")),
        )
    })
}
