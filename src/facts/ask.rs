//! What a planner is asked: a problem, and the facts that its answer may rest on.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{AtRisk, Facts};
use crate::base::error::Error;
use crate::base::finding::{Code, Finding, Findings};
use crate::base::near;
use crate::base::units::{Factor, Share};
use crate::base::watch::Watch;
use crate::problem::Problem;
use crate::profile::Variant;

/// Part of each variant's capacity that may be used, or of one configuration's ([`configuration_key`]); all of it where neither is
/// named.
pub type Parts = BTreeMap<String, f64>;

/// Returns the name under which [`Parts`] hold one way to run a variant: its pool with so many replicas, like `cnn_s-1c x 2`.
#[must_use]
pub fn configuration_key(pool: &str, replicas: u32) -> String {
    format!("{pool} x {replicas}")
}

/// What runs now, for the loads up to one.
#[derive(Debug, Clone, PartialEq)]
pub struct Running {
    /// The highest load that it serves.
    pub up_to_rps: f64,
    /// Cores that each variant holds then.
    pub cores: BTreeMap<String, u32>,
}

/// A problem with the facts that answer it, at the bounds of the asked risk: planners and their rivals see the same.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// What is asked; its risk is worked in already.
    pub problem: Cow<'a, Problem>,
    /// The measured facts, as slow as the risk makes them.
    pub facts: Cow<'a, Facts>,
    /// What trials left of each variant's capacity.
    pub parts: Cow<'a, Parts>,
    /// What runs now, the lowest loads first; empty where nothing does.
    pub running: Cow<'a, [Running]>,
    /// What the risk did; absent where facts are taken as they are.
    pub margin: Option<Margin>,
    /// What may be loaded; everything where there is no limit.
    pub limit: Option<LoadLimit>,
    /// The only variants that may run; all of the problem's where none are named.
    pub only: Option<Vec<String>>,
    /// Where long searches report their steps.
    pub watch: Watch<'a>,
}

/// A limit on what may start or resize: variants that load for longer keep the cores that they hold.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadLimit {
    /// The longest load, in milliseconds.
    pub most_ms: f64,
    /// Cores that each variant holds now.
    pub held: BTreeMap<String, u32>,
}

/// What facts were multiplied by because they may be wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Margin {
    /// The probability that is left that the SLO is broken at some load.
    pub risk: Share,
    /// Whether the problem does not say how much.
    pub is_default: bool,
    /// How much another profile is taken to differ, as a standard deviation: the largest of all profiles.
    pub profile_error: Factor,
    /// The highest load.
    pub peak_factor: f64,
    /// The distributions of each variant: the largest factor of its points.
    pub latency_factors: BTreeMap<String, f64>,
}

impl<'a> Ask<'a> {
    /// Returns what a problem asks of these facts. This is the one door at which a risk is worked in.
    #[must_use]
    pub fn new(problem: &'a Problem, facts: &'a Facts) -> Self {
        let (problem, facts, margin) = match AtRisk::of(problem, facts) {
            None => (Cow::Borrowed(problem), Cow::Borrowed(facts), None),
            Some(AtRisk { problem, facts, margin }) => (Cow::Owned(problem), Cow::Owned(facts), Some(margin)),
        };
        let (parts, running) = (Cow::Owned(Parts::new()), Cow::Owned(Vec::new()));
        Self { problem, facts, parts, running, margin, limit: None, only: None, watch: Watch::default() }
    }

    /// Returns the same with only these parts of the variants' capacities.
    #[must_use]
    pub fn with_parts(self, parts: &'a Parts) -> Self {
        Self { parts: Cow::Borrowed(parts), ..self }
    }

    /// Returns the same while this runs.
    #[must_use]
    pub fn with_running(self, running: Vec<Running>) -> Self {
        Self { running: Cow::Owned(running), ..self }
    }

    /// Returns the same with long searches reporting their steps.
    #[must_use]
    pub fn with_watch(self, watch: Watch<'a>) -> Self {
        Self { watch, ..self }
    }

    /// Returns the same facts for a problem that was moved, like one with a limit loosened.
    #[must_use]
    pub fn moved(&self, problem: Problem) -> Ask<'_> {
        Ask {
            problem: Cow::Owned(problem),
            facts: Cow::Borrowed(self.facts.as_ref()),
            parts: Cow::Borrowed(self.parts.as_ref()),
            running: Cow::Borrowed(self.running.as_ref()),
            margin: self.margin.clone(),
            limit: self.limit.clone(),
            only: self.only.clone(),
            watch: self.watch,
        }
    }

    /// Returns the same where only these variants may run: what a rival without the freedom to choose among them sees.
    #[must_use]
    pub fn only(&self, names: &[String]) -> Ask<'_> {
        Ask { only: Some(names.to_vec()), ..self.moved(self.problem.as_ref().clone()) }
    }

    /// Returns the same without the recorded load: every rate counts alike.
    #[must_use]
    pub fn without_load(&self) -> Ask<'_> {
        Ask { facts: Cow::Owned(self.facts.without_load()), ..self.moved(self.problem.as_ref().clone()) }
    }

    /// Returns the part of a variant's capacity that may be used.
    #[must_use]
    pub fn part(&self, variant: &str) -> f64 {
        self.parts.get(variant).copied().unwrap_or(1.0)
    }

    /// Tells whether a variant may run on so many cores in all.
    #[must_use]
    pub fn may_run(&self, variant: &str, cores: u32) -> bool {
        let stays = self.limit.as_ref().is_some_and(|limit| limit.held.get(variant) == Some(&cores));
        self.may_start(variant) || stays && self.is_allowed(variant)
    }

    /// Tells whether a variant may run at all.
    #[must_use]
    pub fn is_allowed(&self, variant: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|name| name == variant))
    }

    /// Tells whether a variant may be brought up.
    #[must_use]
    pub fn may_start(&self, variant: &str) -> bool {
        let loads_in = |most_ms: f64| self.load_time_ms(variant).is_ok_and(|own| own <= most_ms);
        self.is_allowed(variant) && self.limit.as_ref().is_none_or(|limit| loads_in(limit.most_ms))
    }

    /// Returns a variant's accuracy, 0 to 1.
    ///
    /// # Errors
    /// A finding where no profile holds the variant.
    pub fn accuracy(&self, variant: &str) -> Result<f64, Error> {
        let found = self.facts.variant(variant).ok_or_else(|| not_measured(variant, "accuracy"))?;
        Ok(found.accuracy.value.get())
    }

    /// Returns how long a variant takes to load, in milliseconds.
    ///
    /// # Errors
    /// A finding where no profile holds the variant.
    pub fn load_time_ms(&self, variant: &str) -> Result<f64, Error> {
        let found = self.facts.variant(variant).ok_or_else(|| not_measured(variant, "load time"))?;
        Ok(found.load_time_ms.get())
    }

    /// Returns the variants that may be used, in the order of the facts; each stands once, whatever the number of profiles.
    ///
    /// # Errors
    /// A finding for each name that no profile holds, and where variants do different tasks.
    pub fn variants(&self) -> Result<Vec<String>, Error> {
        let mut known: Vec<String> = Vec::new();
        // A later stage of a network answers nothing by itself.
        for variant in self.facts.variants().filter(|variant| variant.is_whole()) {
            if !known.contains(&variant.name) {
                known.push(variant.name.clone());
            }
        }
        let Some(wanted) = self.problem.allowed_variants() else {
            self.facts.require_one_task(&known)?;
            return Ok(known);
        };
        let mut findings = Findings::default();
        for (index, name) in wanted.iter().enumerate().filter(|(_, name)| !known.iter().any(|known| known == **name)) {
            findings.push(self.not_usable(name, &known, format!("variants[{index}]")));
        }
        findings.or(())?;
        let used: Vec<String> = known.into_iter().filter(|name| wanted.contains(&name.as_str())).collect();
        if self.problem.stages().is_empty() {
            self.facts.require_one_task(&used)?;
        }
        Ok(used)
    }

    /// Says why a name is none of the variants that may be used: a stage of a network by itself, or nothing that is known.
    fn not_usable(&self, name: &str, known: &[String], key: String) -> Finding {
        let Some(part) = self.facts.variant(name).and_then(|variant| variant.part_of.as_ref()) else {
            let all = format!("the profiles hold {}", known.join(", "));
            let action = near::hint(name, known.iter().map(String::as_str), all);
            return Finding::error(Code::UnknownName, key, format!("no profile holds `{name}`"), action);
        };
        let is_of_network = |variant: &&Variant| {
            variant.is_whole() && variant.part_of.as_ref().is_some_and(|other| other.network == part.network)
        };
        let whole: Vec<String> =
            self.facts.variants().filter(is_of_network).map(|variant| format!("`{}`", variant.name)).collect();
        let cause =
            format!("`{name}` is a stage of the network `{}` that runs alone: it answers no request", part.network);
        let action = format!("use what runs from the input to an exit: {}", whole.join(", "));
        Finding::error(Code::Inconsistent, key, cause, action)
    }
}

/// Says that a fact is missing.
#[must_use]
pub fn not_measured(variant: &str, what: &str) -> Error {
    let cause = format!("no profile has {what} of `{variant}`");
    Finding::error(Code::NotMeasured, "profiles", cause, "measure it with `planner profile`, or leave it out").into()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Ask, Facts};
    use crate::base::codec::{from_value, load};
    use crate::problem::Problem;
    use crate::profile::{PartOf, Profile, Runs};

    #[test]
    fn a_stage_that_runs_alone_is_told_from_a_name_that_is_unknown() {
        let mut profile =
            load::<Profile>(&Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/digits.json")).expect("shipped");
        for (name, exit, runs) in [("cnn_s", 0, Runs::Through), ("cnn_m", 1, Runs::Alone), ("cnn_l", 1, Runs::Through)]
        {
            let variant =
                profile.document.variants.iter_mut().find(|variant| variant.name == name).expect("a digits variant");
            variant.part_of = Some(PartOf { network: "net".into(), exit, runs, receives_bytes: 1, passes_bytes: None });
        }
        let facts = Facts::of(vec![(profile, None)]).expect("one profile");
        let value = serde_json::json!({
            "format": "planner.problem/1", "name": "test", "room": "cascade", "profiles": ["x"],
            "variants": ["cnn_s", "cnn_m", "cnn_x"], "workload": { "max_rps": 10.0 },
            "slo": { "quantile": 0.95, "latency_ms": 10.0 },
            "inventory": { "cores": 1, "price_usd_per_core_hour": 1.0 }, "goal": { "kind": "most-accurate" }
        });
        let problem: Problem = from_value(value).expect("a good problem").0;
        let told = Ask::new(&problem, &facts).variants().expect_err("two cannot be used").to_string();
        for part in ["`cnn_m` is a stage of the network `net`", "an exit: `cnn_s`, `cnn_l`", "no profile holds `cnn_x`"]
        {
            assert!(told.contains(part), "{told}");
        }
    }
}
