//! The rules that hold between the fields of a problem, each a small function.

mod machines;

use std::collections::BTreeSet;

use super::{
    CascadeSettings, Combination, Criterion, GoalKind, InfAdapter, PipelineAccuracy, PipelineSettings, Problem, Risk,
    RoomName, RoomSettings, Slo,
};
use crate::base::finding::{Code, Finding, Findings, Severity};
use crate::base::graph::SeriesParallel;
use crate::base::near;
use crate::base::units::Seconds;

/// Below this the number of gears grows without end.
const LEAST_GEAR_LOSS: f64 = 1e-4;
/// Shortest window of an SLO, in seconds.
const LEAST_WINDOW_S: f64 = 1.0;
/// Most calls that one request makes at a stage.
const MOST_CALLS: f64 = 1000.0;
/// Largest relative error of a forecast or of a profile.
const MOST_ERROR: f64 = 1.0;
/// Most cores at which the published line is fitted.
const MOST_FIT_CORES: u32 = 1024;

impl Problem {
    /// Returns everything that is wrong in the problem itself; facts are looked at when it meets its profiles.
    #[must_use]
    pub fn validate(&self) -> Findings {
        let mut findings = Findings::default();
        lists_are_not_empty(self, &mut findings);
        variants_are_unique(self, &mut findings);
        limits_are_positive(self, &mut findings);
        trace_is_there(self, &mut findings);
        goal_has_its_limits(self, &mut findings);
        levels_have_an_order(self, &mut findings);
        risk_can_be_taken(self, &mut findings);
        cores_fit_the_inventory(self, &mut findings);
        machines::are_sound(self, &mut findings);
        gears_stay_countable(self, &mut findings);
        keys_belong_to_the_room(self, &mut findings);
        match &self.room {
            RoomSettings::VariantSet(settings) => {
                settings.published.iter().for_each(|published| a_line_can_be_fitted(published, &mut findings));
            }
            RoomSettings::Pipeline(settings) => pipeline_settings_work(self, settings, &mut findings),
            RoomSettings::Cascade(settings) => cascade_settings_work(self, settings, &mut findings),
            RoomSettings::Dropout | RoomSettings::Offload => {}
        }
        findings
    }
}

/// Returns the variants that the problem names for a room that chooses among all.
fn named_variants(problem: &Problem) -> Option<&[String]> {
    match &problem.room {
        RoomSettings::VariantSet(settings) => settings.variants.as_deref(),
        RoomSettings::Cascade(settings) => settings.variants.as_deref(),
        RoomSettings::Pipeline(_) | RoomSettings::Dropout | RoomSettings::Offload => None,
    }
}

fn lists_are_not_empty(problem: &Problem, findings: &mut Findings) {
    if problem.profiles.is_empty() {
        let action = "name at least one profile; `planner profile` makes one";
        findings.push(Finding::error(Code::Empty, "profiles", "no profile is named", action));
    }
    if named_variants(problem).is_some_and(<[String]>::is_empty) {
        let action = "name at least one variant, or leave the key out to use all";
        findings.push(Finding::error(Code::Empty, "variants", "no variant may be used", action));
    }
}

fn variants_are_unique(problem: &Problem, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for (index, name) in named_variants(problem).into_iter().flatten().enumerate() {
        if !seen.insert(name) {
            let cause = format!("`{name}` is named twice");
            findings.push(Finding::error(Code::DuplicateName, format!("variants[{index}]"), cause, "name it once"));
        }
    }
}

fn limits_are_positive(problem: &Problem, findings: &mut Findings) {
    let checks = [
        ("workload.max_rps", problem.workload.max_rps.get(), f64::INFINITY, "a rate above 0"),
        ("slo.latency_ms", problem.slo.latency_ms.get(), f64::INFINITY, "a time above 0"),
        ("slo.quantile", problem.slo.quantile.get(), 1.0, "a part between 0 and 1, both excluded, like 0.99"),
    ];
    for (key, value, below, allowed) in checks {
        if value <= 0.0 || value >= below {
            findings.push(Finding::error(Code::OutOfRange, key, format!("{value} asks for nothing"), allowed));
        }
    }
    findings.extend(problem.slo.window_is_long_enough());
}

impl Slo {
    /// Returns what is wrong with the window: in a fraction of a second few requests arrive, which tell nothing.
    pub(crate) fn window_is_long_enough(&self) -> Findings {
        let short = self.window_s.filter(|window| window.get() < LEAST_WINDOW_S);
        let cause = |window: Seconds| format!("`slo.window_s` must be at least {LEAST_WINDOW_S}, found {window}");
        let finding = |window| Finding::error(Code::OutOfRange, "slo.window_s", cause(window), "use a minute: 60");
        short.map(finding).map_or_else(Findings::default, Findings::from)
    }
}

fn trace_is_there(problem: &Problem, findings: &mut Findings) {
    if problem.goal.changes_per_hour_at_most.is_some() && problem.workload.trace.is_none() {
        let cause = "without a trace nobody knows how often gears change";
        let action = "name one as `workload.trace`, or remove the key";
        let finding = Finding::error(Code::NoEffect, "goal.changes_per_hour_at_most", cause, action);
        findings.push(finding.with_severity(Severity::Warning));
    }
    let Some(scale) = problem.workload.trace_scale else { return };
    let key = "workload.trace_scale";
    if problem.workload.trace.is_none() {
        let finding = Finding::error(Code::NoEffect, key, "there is no trace to scale", "name one, or remove the key");
        findings.push(finding.with_severity(Severity::Warning));
    }
    if scale.get() <= 0.0 {
        findings.push(Finding::error(Code::OutOfRange, key, "a factor of 0 leaves no load", "a number above 0"));
    }
}

fn goal_has_its_limits(problem: &Problem, findings: &mut Findings) {
    let goal = &problem.goal;
    let uses = [
        ("goal.weights", goal.weights.is_some(), GoalKind::Weighted, "weighted"),
        ("goal.cores_at_most", goal.cores_at_most.is_some(), GoalKind::MostAccurate, "most-accurate"),
        ("goal.order", !goal.order.is_empty(), GoalKind::Lexicographic, "lexicographic"),
        ("goal.tolerances", goal.tolerances.is_some(), GoalKind::Lexicographic, "lexicographic"),
    ];
    for (key, given, kind, name) in uses {
        let shared = key == "goal.cores_at_most" && goal.kind == GoalKind::Lexicographic;
        if given && goal.kind != kind && !shared {
            let cause = format!("only `kind = \"{name}\"` uses this key");
            findings.push(Finding::error(Code::GoalLimit, key, cause, "remove the key or change the kind"));
        }
    }
    let takes_accuracy = matches!(goal.kind, GoalKind::Cheapest | GoalKind::Fastest);
    if goal.accuracy_at_least.is_some() && !takes_accuracy {
        let cause = "only `kind = \"cheapest\"` uses this key";
        let action = "remove the key or change the kind";
        findings.push(Finding::error(Code::GoalLimit, "goal.accuracy_at_least", cause, action));
    }
    if goal.mean_accuracy_at_least.is_some()
        && (problem.room.name() != RoomName::Cascade || goal.kind == GoalKind::MostAccurate)
    {
        let cause = "only the room `cascade` uses this key, with `kind = \"cheapest\"`";
        let action = "use `accuracy_at_least`, which holds at every load";
        findings.push(Finding::error(Code::GoalLimit, "goal.mean_accuracy_at_least", cause, action));
    }
    let has_reference = problem.cascade().is_some_and(|settings| settings.reference.is_some());
    let has_least = goal.accuracy_at_least.is_some() || goal.mean_accuracy_at_least.is_some() || has_reference;
    if goal.kind == GoalKind::Cheapest && !has_least {
        let action = "say how accurate the plan must be, like `accuracy_at_least = 0.9`";
        findings.push(Finding::error(Code::GoalLimit, "goal.accuracy_at_least", "`cheapest` needs it", action));
    }
}

fn levels_have_an_order(problem: &Problem, findings: &mut Findings) {
    use Criterion::{Accuracy, Cores, Latency};
    const ACTION: &str = "`accuracy` and `cores` in either order, then `latency` where it counts";
    let order = problem.goal.order.as_slice();
    let cause = match order {
        _ if problem.goal.kind != GoalKind::Lexicographic => return,
        [] => "`lexicographic` needs an order",
        [Accuracy | Cores] | [Accuracy, Cores] | [Cores, Accuracy] => return,
        [Accuracy, Cores, Latency] | [Cores, Accuracy, Latency] => return,
        [Latency, ..] | [_, Latency, ..] => "latency changes with every load: only what comes before has exact gears",
        _ => "a criterion is named twice",
    };
    findings.push(Finding::error(Code::GoalLimit, "goal.order", cause, ACTION));
}

fn risk_can_be_taken(problem: &Problem, findings: &mut Findings) {
    let errors =
        [("workload.forecast_error", problem.workload.forecast_error), ("profile_error", problem.profile_error)];
    for (key, error) in errors.into_iter().filter_map(|(key, error)| Some((key, error?))) {
        let takes_facts_as_they_are = match problem.risk {
            Some(risk) => risk == Risk::None,
            None => problem.room.is_published(),
        };
        if takes_facts_as_they_are {
            let finding = Finding::error(Code::NoEffect, key, "facts are taken as they are", "set `risk`, like 0.05");
            findings.push(finding.with_severity(Severity::Warning));
        }
        if error.get() > MOST_ERROR {
            let cause = format!("an error of {error} leaves nothing to plan with");
            findings.push(Finding::error(Code::OutOfRange, key, cause, format!("at most {MOST_ERROR}")));
        }
    }
    let Some(Risk::Share(risk)) = problem.risk else { return };
    if risk.get() <= 0.0 || risk.get() >= 0.5 {
        let action = "a part above 0 and below 0.5, like 0.05, or \"none\"";
        findings.push(Finding::error(Code::OutOfRange, "risk", "nothing is sure, and half is no care", action));
    }
}

fn gears_stay_countable(problem: &Problem, findings: &mut Findings) {
    let loss = problem.goal.gear_loss_at_most.get();
    if loss < LEAST_GEAR_LOSS {
        let cause = format!("{loss} would cut the loads into gears without end");
        let action = format!("at least {LEAST_GEAR_LOSS}");
        findings.push(Finding::error(Code::OutOfRange, "goal.gear_loss_at_most", cause, action));
    }
}

/// Reports the keys of other rooms, and those of a formulation that was not asked for.
fn keys_belong_to_the_room(problem: &Problem, findings: &mut Findings) {
    for foreign in &problem.foreign {
        let cause = format!("only {} uses it", foreign.belongs_to);
        let severity = if foreign.is_error { Severity::Error } else { Severity::Warning };
        let finding =
            Finding::error(Code::NoEffect, foreign.key, cause, "remove it, or change the room or formulation");
        findings.push(finding.with_severity(severity));
    }
}

fn a_line_can_be_fitted(published: &InfAdapter, findings: &mut Findings) {
    let distinct: BTreeSet<u32> = published.fit_cores.iter().copied().collect();
    if distinct.len() < 2 || distinct.iter().any(|cores| !(1..=MOST_FIT_CORES).contains(cores)) {
        let cause = format!("no line goes through {:?}", published.fit_cores);
        let action = format!("two or more different numbers from 1 to {MOST_FIT_CORES}, like [1, 2, 4, 8, 16]");
        findings.push(Finding::error(Code::OutOfRange, "published.fit_cores", cause, action));
    }
    if published.capacity_factor.get() <= 0.0 {
        let cause = "a factor of 0 leaves no capacity";
        findings.push(Finding::error(Code::OutOfRange, "published.capacity_factor", cause, "a part above 0, like 0.8"));
    }
}

fn pipeline_settings_work(problem: &Problem, settings: &PipelineSettings, findings: &mut Findings) {
    if settings.stages.is_empty() {
        let action = "describe each with [[stages]], a name and its variants";
        findings.push(Finding::error(Code::Empty, "stages", "a pipeline has stages", action));
    }
    if settings.published.is_some() {
        published_pipelines_are_the_paper_s(problem, settings, findings);
    }
    stages_are_distinct(settings, findings);
    stages_wait_for_earlier_ones(problem, findings);
    combinations_are_complete(settings, findings);
}

/// IPA's program knows chains of single calls, products of accuracies and one goal.
fn published_pipelines_are_the_paper_s(problem: &Problem, settings: &PipelineSettings, findings: &mut Findings) {
    let mut refuse = |key: String, cause: &str, action: &str| {
        findings.push(Finding::error(Code::NoEffect, key, cause.to_owned(), action));
    };
    if problem.goal.kind != GoalKind::Weighted {
        refuse(
            "goal.kind".to_owned(),
            "the published program is weighted",
            "write \"weighted\", or leave out `formulation`",
        );
    }
    if settings.accuracy.is_some() {
        let cause = "the published program multiplies the stages' accuracies";
        refuse("accuracy".to_owned(), cause, "remove the table, or leave out `formulation`");
    }
    for (index, stage) in settings.stages.iter().enumerate() {
        if stage.calls.get() != 1.0 {
            let cause = "the published program makes one call a stage";
            refuse(format!("stages[{index}].calls"), cause, "leave out `calls` or `formulation`");
        }
        if !stage.after.is_empty() && (index == 0 || stage.after != [settings.stages[index - 1].name.clone()]) {
            let cause = "the published program's stages follow each other";
            refuse(format!("stages[{index}].after"), cause, "leave out `after` or `formulation`");
        }
    }
}

fn cascade_settings_work(problem: &Problem, settings: &CascadeSettings, findings: &mut Findings) {
    if settings.delta.get() <= 0.0 || settings.delta.get() >= 1.0 {
        let cause = format!("{} is no probability of a wrong proof", settings.delta);
        findings.push(Finding::error(Code::OutOfRange, "cascade.delta", cause, "between 0 and 1, like 0.05"));
    }
    if !(1..=4).contains(&settings.max_length) {
        let cause = format!("cascades of {} models are not scored", settings.max_length);
        findings.push(Finding::error(Code::OutOfRange, "cascade.max_length", cause, "1 to 4"));
    }
    the_reference_is_one(problem, settings, findings);
    if settings.published.is_some() {
        published_cascades_are_the_paper_s(problem, findings);
    }
}

fn published_cascades_are_the_paper_s(problem: &Problem, findings: &mut Findings) {
    if !matches!(problem.goal.kind, GoalKind::Cheapest | GoalKind::MostAccurate) {
        let cause = "the published planner looks for the most accurate plan, on all devices or on as few as do";
        let action = "write \"most-accurate\" or \"cheapest\", or leave out `formulation`";
        findings.push(Finding::error(Code::NoEffect, "goal.kind", cause, action));
    }
    if problem.inventory.machines.len() > 1 {
        let action = "leave one kind under `inventory.machines`, or leave out `formulation`";
        findings.push(Finding::error(
            Code::NoEffect,
            "inventory.machines",
            "the paper has one kind of devices",
            action,
        ));
    }
}

fn the_reference_is_one(problem: &Problem, settings: &CascadeSettings, findings: &mut Findings) {
    let Some(reference) = &settings.reference else {
        if settings.loss_at_most.is_some() {
            let action = "name the variant as `cascade.reference`, or remove the key";
            findings.push(Finding::error(Code::NoEffect, "cascade.loss_at_most", "there is no reference", action));
        }
        return;
    };
    if problem.goal.mean_accuracy_at_least.is_some() {
        let cause = "the reference says already how accurate the plan must be";
        let action = "remove it, or `cascade.reference`";
        findings.push(Finding::error(Code::NoEffect, "goal.mean_accuracy_at_least", cause, action));
    }
    if settings.published.is_some() {
        let action = "remove the key, or `formulation`";
        findings.push(Finding::error(Code::NoEffect, "cascade.reference", "the paper has no reference", action));
    }
    if let Some(variants) = settings.variants.as_ref().filter(|variants| !variants.contains(reference)) {
        let cause = format!("`{reference}` is not among `variants`");
        let action = near::hint(reference, variants.iter().map(String::as_str), "name it there too".to_owned());
        findings.push(Finding::error(Code::UnknownName, "cascade.reference", cause, action));
    }
}

fn cores_fit_the_inventory(problem: &Problem, findings: &mut Findings) {
    let inventory = &problem.inventory;
    if inventory.kinds().next().is_none() {
        let action = "a number of cores above 0, [[inventory.machines]] or [[inventory.functions]]";
        findings.push(Finding::error(Code::OutOfRange, "inventory.cores", "nothing to run on", action));
        return;
    }
    let cores = inventory.all_cores();
    if inventory.min_cores_per_variant > cores && inventory.kinds().any(|kind| kind.all_cores() > 0) {
        let cause =
            format!("{} cores for each variant, but the inventory has {cores}", inventory.min_cores_per_variant);
        findings.push(Finding::error(Code::OutOfRange, "inventory.min_cores_per_variant", cause, "ask for fewer"));
    }
    if problem.goal.cores_at_most.is_some_and(|most| most > cores) {
        let cause = format!("the inventory has only {cores} cores");
        findings.push(
            Finding::error(Code::NoEffect, "goal.cores_at_most", cause, "lower it, or raise `inventory.cores`")
                .with_severity(Severity::Warning),
        );
    }
}

fn stages_are_distinct(settings: &PipelineSettings, findings: &mut Findings) {
    let (mut names, mut variants) = (BTreeSet::new(), BTreeSet::new());
    for (index, stage) in settings.stages.iter().enumerate() {
        let key = |of: &str| format!("stages[{index}].{of}");
        if !names.insert(&stage.name) {
            let cause = format!("another stage is called `{}`", stage.name);
            findings.push(Finding::error(Code::DuplicateName, key("name"), cause, "call it something else"));
        }
        if stage.variants.is_empty() {
            findings.push(Finding::error(Code::Empty, key("variants"), "nothing can serve it", "name its variants"));
        }
        for name in stage.variants.iter().filter(|name| !variants.insert(*name)) {
            let cause = format!("`{name}` is named before");
            findings.push(Finding::error(
                Code::DuplicateName,
                key("variants"),
                cause,
                "a variant serves one stage, once",
            ));
        }
        if stage.calls.get() <= 0.0 || stage.calls.get() > MOST_CALLS {
            let cause = format!("{} calls a request", stage.calls);
            let allowed = format!("a number above 0, at most {MOST_CALLS}");
            findings.push(Finding::error(Code::OutOfRange, key("calls"), cause, allowed));
        }
        if !(1..=2).contains(&stage.lanes_at_most) {
            let cause = format!("{} lanes", stage.lanes_at_most);
            let allowed = "1, or 2 for mixtures of two ways";
            findings.push(Finding::error(Code::OutOfRange, key("lanes_at_most"), cause, allowed));
        } else if stage.lanes_at_most > 1 && stage.calls.get() > 1.0 {
            let cause = format!("a request makes {} calls here, which may only go to one lane", stage.calls);
            findings.push(Finding::error(Code::OutOfRange, key("lanes_at_most"), cause, "leave it out"));
        }
    }
}

fn stages_wait_for_earlier_ones(problem: &Problem, findings: &mut Findings) {
    let mut known = true;
    for (index, stage) in problem.stages().iter().enumerate() {
        let earlier: Vec<&str> = problem.stages()[..index].iter().map(|stage| stage.name.as_str()).collect();
        for name in stage.after.iter().filter(|name| !earlier.contains(&name.as_str())) {
            known = false;
            let cause = format!("`{name}` is no stage before this one");
            let action = format!("earlier stages are: {}", earlier.join(", "));
            findings.push(Finding::error(Code::StageOrder, format!("stages[{index}].after"), cause, action));
        }
    }
    if known && !problem.stages().is_empty() && SeriesParallel::from_predecessors(&problem.predecessors()).is_none() {
        let cause = "branches cross: the graph is not series-parallel, so that delays cannot be added up";
        let action = "let a stage wait for all of the stages that the crossing ones wait for";
        findings.push(Finding::error(Code::StageOrder, "stages", cause, action));
    }
}

fn combinations_are_complete(settings: &PipelineSettings, findings: &mut Findings) {
    let Some(PipelineAccuracy::Measured { combinations }) = &settings.accuracy else { return };
    let mut seen = BTreeSet::new();
    for (index, combination) in combinations.iter().enumerate() {
        let key = format!("accuracy.combinations[{index}]");
        let Combination { variants, right, of } = combination;
        let fits = variants.len() == settings.stages.len()
            && settings.stages.iter().zip(variants).all(|(stage, variant)| stage.variants.contains(variant));
        if !fits {
            let cause = format!("[{}] is not one variant of each stage, in order", variants.join(", "));
            findings.push(Finding::error(
                Code::UnknownName,
                format!("{key}.variants"),
                cause,
                "name one of each stage",
            ));
        } else if !seen.insert(variants) {
            let cause = format!("[{}] is there before", variants.join(", "));
            findings.push(Finding::error(Code::DuplicateName, format!("{key}.variants"), cause, "keep one of them"));
        }
        if *of == 0 || right > of {
            let cause = format!("{right} of {of} cannot be right");
            findings.push(Finding::error(Code::OutOfRange, key, cause, "right is at most of, and of at least 1"));
        }
    }
    // Many stages have more combinations than a number holds.
    let all = settings.stages.iter().map(|stage| stage.variants.len()).fold(1, usize::saturating_mul);
    if seen.len() < all && !findings.has_errors() {
        let cause = format!("{} of {all} combinations were measured", seen.len());
        let action = "measure the others too, or leave variants out of their stage";
        findings.push(Finding::error(Code::NotMeasured, "accuracy.combinations", cause, action));
    }
}
