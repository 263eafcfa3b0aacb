//! One file after the other: what holds, what changed, and what of that fails.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelIterator, IntoParallelRefIterator, ParallelIterator};

use super::compare::{Fast, compare, do_the_same};
use super::files::{Known, load_known};
use super::follow::{Behind, behind};
use super::recomputed::recomputed;
use super::stated::misstated;
use super::{Entry, Manifest, Metric, MetricChange, Review, Revision, of_class};
use crate::base::codec::{Loaded, load};
use crate::base::error::Error;
use crate::base::finding::{Code, Finding, Findings, Severity};
use crate::base::paths::plain;
use crate::facts::{Ask, Facts};
use crate::plan::{self, Gear, InputRole, Plan, Tolerance};
use crate::planners;
use crate::problem::Problem;
use crate::profile::Profile;
use crate::profile::onnx;
use crate::rooms::{self, Answer, Context};
use crate::simulate::{self, Effort, Measured, hold_claims, try_gear};
use crate::workload::RecordedLoad;

/// Independent trials of each gear.
const TRIALS: u32 = 5;
/// What is said of changes that may be none.
const NOISE: &str = "within noise: not so where every latency is at the fast end of its interval";
/// What to do about a plan that is worse.
const ACCEPT: &str = "find out why, or accept it with `planner check --update`";

/// Reviews files, side by side, in the order of their names. `watch` hears of every file that is done.
#[must_use]
pub fn review(
    manifest: &Manifest,
    files: &[PathBuf],
    base: Option<&Revision>,
    watch: &(dyn Fn(&Path) + Sync),
) -> Review {
    let known: Vec<_> = files.par_iter().map(|file| (file, load_known(file))).collect();
    let plans = known.iter().filter_map(|(_, known)| match known {
        Ok(Some(Known::Plan(plan))) => problem_path(plan),
        _ => None,
    });
    let planned: BTreeSet<PathBuf> = plans.collect();
    let judged = known.into_par_iter().filter_map(|(file, known)| {
        let entry = match known {
            Ok(known) => known.map(|known| judge(manifest, file, known, &planned, base)),
            Err(error) => Some(unusable(file, "file", error)),
        };
        watch(file);
        entry
    });
    Review { base: base.map(|base| base.name.clone()), ..Review::of(judged.collect()) }
}

fn judge(
    manifest: &Manifest,
    file: &Path,
    known: Known,
    planned: &BTreeSet<PathBuf>,
    base: Option<&Revision>,
) -> Entry {
    match known {
        Known::Profile(profile) => {
            let mut findings = profile.findings.clone();
            findings.extend(models_are_those_measured(manifest, &profile).in_file(file));
            Entry::of(file.to_owned(), "profile", findings.0)
        }
        Known::Plan(plan) => {
            let entry = Judge { manifest, file }.plan(&plan, base);
            entry.unwrap_or_else(|error| unusable(file, "plan", error))
        }
        Known::Other("problem", findings) if !plain(file).is_ok_and(|path| planned.contains(&path)) => {
            let entry = Judge { manifest, file }.lone_problem(findings, base);
            entry.unwrap_or_else(|error| unusable(file, "problem", error))
        }
        Known::Other(noun, findings) => Entry::of(file.to_owned(), noun, findings.0),
    }
}

fn unusable(file: &Path, noun: &'static str, error: Error) -> Entry {
    let findings = match error {
        Error::Input(findings) => findings,
        other => Finding::error(Code::Unreadable, "", other.to_string(), "").into(),
    };
    Entry::unusable(file.to_owned(), noun, findings.in_file(file).0)
}

/// Returns the absolute path of the problem that a plan was made from.
fn problem_path(plan: &Loaded<Plan>) -> Option<PathBuf> {
    let input = plan.document.provenance.inputs.iter().find(|input| input.role == InputRole::Problem)?;
    plain(&plan.path.parent()?.join(&input.path)).ok()
}

/// Compares the model files that a profile names, where they are there, with those that it measured.
fn models_are_those_measured(manifest: &Manifest, profile: &Loaded<Profile>) -> Findings {
    let mut findings = Findings::default();
    let beside = |path: &Path, named: &Path| path.parent().unwrap_or(Path::new("")).join(named);
    let list = beside(&profile.path, &profile.document.provenance.models);
    for (index, variant) in
        profile.document.variants.iter().enumerate().filter(|(_, variant)| !variant.sha256.is_empty())
    {
        let file = beside(&list, &variant.file);
        if let Some(now) = onnx::digest(&file).ok().filter(|now| *now != variant.sha256) {
            let cause = format!(
                "`{}` was measured as another file than {} is now ({})",
                variant.name,
                file.display(),
                &now[..12]
            );
            let key = format!("variants[{index}].sha256");
            findings.push(of_class(manifest, Code::FactsChanged, key, cause, "profile it again"));
        }
    }
    findings
}

/// What a plan is made from, as it is today.
struct Inputs {
    problem: Option<Loaded<Problem>>,
    facts: Facts,
    from: Option<Loaded<Plan>>,
    /// The recorded day of a plan with periods, and the length of a period in seconds.
    day: Option<(Loaded<RecordedLoad>, f64)>,
    /// Whether the problem is the one that the plan was made from.
    same_problem: bool,
    /// The problem file that the plan names, where it is not there.
    missing_problem: Option<PathBuf>,
}

/// What solving inputs again comes to.
enum Again {
    Plan(Box<Plan>),
    /// There is none, for this reason.
    Nothing(String),
}

impl From<Answer> for Again {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Plan(plan) => Self::Plan(plan),
            Answer::Infeasible(conflict) => Self::Nothing(conflict.to_string()),
        }
    }
}

impl Inputs {
    /// Loads the problem that a plan names, or the one kept in the plan where that is the same or the file is not there; the
    /// profiles that it names; and the plan that it follows, or the day that it is for.
    fn of(plan: &Loaded<Plan>) -> Result<Self, Error> {
        let provenance = &plan.document.provenance;
        let beside = |named: &Path| plan.path.parent().unwrap_or(Path::new("")).join(named);
        let named = |role: InputRole| provenance.inputs.iter().find(move |input| input.role == role);
        let kept = |path: PathBuf, sha256: &str| {
            let document = provenance.problem.clone()?;
            Some(Loaded { document, findings: Findings::default(), path, sha256: sha256.to_owned() })
        };
        let from = named(InputRole::Plan).map(|input| load::<Plan>(&beside(&input.path))).transpose()?;
        let day = named(InputRole::Day).zip(provenance.day).map(|(input, cut)| {
            let load = RecordedLoad::read(&beside(&input.path), cut.scale.get(), f64::INFINITY)?;
            Ok::<_, Error>((load, cut.period_s.get()))
        });
        let day = day.transpose()?;
        let named = named(InputRole::Problem);
        let path = named.map(|input| beside(&input.path));
        if let Some(path) = path.as_ref().filter(|path| path.is_file()) {
            let problem = load::<Problem>(path)?;
            let kept = provenance.problem.as_ref();
            let is_the_same = kept.is_none_or(|kept| asks_the_same(kept, &problem.document))
                && named.is_some_and(|input| input.sha256 == problem.sha256);
            if kept.is_none() || !is_the_same {
                return Ok(Self { same_problem: is_the_same, from, day, ..Self::of_problem(problem)? });
            }
        }
        let missing_problem = path.filter(|path| !path.is_file());
        let problem = kept(
            named.map_or_else(|| plan.path.clone(), |input| beside(&input.path)),
            named.map_or("", |input| &input.sha256),
        );
        let facts = Facts::of_plan(&plan.document, &plan.path)?;
        Ok(Self { problem, facts, from, day, same_problem: true, missing_problem })
    }

    fn of_problem(problem: Loaded<Problem>) -> Result<Self, Error> {
        let facts = Facts::of_problem(&problem.document, problem.path.parent().unwrap_or(Path::new("")))?;
        Ok(Self { facts, problem: Some(problem), from: None, day: None, same_problem: true, missing_problem: None })
    }

    /// Solves the problem, with the capacities that `plan`'s trials left where there is a plan, or its day. `None` where there is no
    /// problem, its room does not plan yet, or the plan does not say what its day was.
    fn solved(&self, facts: &Facts, plan: Option<&Plan>) -> Result<Option<Again>, Error> {
        let Some(problem) = &self.problem else { return Ok(None) };
        let again = match plan.filter(|plan| !plan.periods.is_empty()) {
            Some(_) => self.scheduled(&problem.document, facts)?,
            None => self.planned(&problem.document, facts, plan)?,
        };
        let Some(Again::Plan(mut made)) = again else { return Ok(again) };
        // What trials say is compared with what trials say, and a closed form with a closed form.
        let simulates = |gear: &Gear| gear.claims.latency.is_some_and(|claim| claim.trial.is_some());
        if let Some(effort) = plan.filter(|plan| plan.gears.iter().any(simulates)).and_then(effort_of) {
            hold_claims(&mut made, &Ask::new(&problem.document, facts).facts, effort, &[])?;
        }
        Ok(Some(Again::Plan(made)))
    }

    /// Plans without trials, with the capacities that those of `plan` left.
    fn planned(&self, problem: &Problem, facts: &Facts, plan: Option<&Plan>) -> Result<Option<Again>, Error> {
        let context = Context {
            from: self.from.as_ref().map(|plan| &plan.document),
            capacity_parts: plan.map(|plan| &plan.provenance.capacity_parts),
            ..Context::default()
        };
        match planners::solve(problem, facts, context) {
            Err(Error::Unsupported { .. }) => Ok(None),
            answer => answer.map(|answer| Some(answer.into())),
        }
    }

    /// Plans for the recorded day.
    fn scheduled(&self, problem: &Problem, facts: &Facts) -> Result<Option<Again>, Error> {
        let Some((day, period_s)) = &self.day else { return Ok(None) };
        let plan = planners::schedule(problem, facts, &day.document, *period_s)?;
        let nothing = || Again::Nothing("some period of the day is not carried".to_owned());
        Ok(Some(plan.map_or_else(nothing, |plan| Again::Plan(Box::new(plan)))))
    }
}

/// Tells whether two problems ask the same; where their files lie may differ.
fn asks_the_same(one: &Problem, other: &Problem) -> bool {
    let placeless = |problem: &Problem| {
        let mut problem = problem.clone();
        let name = |path: &mut PathBuf| *path = path.file_name().map(PathBuf::from).unwrap_or_default();
        problem.profiles.iter_mut().chain(&mut problem.workload.trace).for_each(name);
        problem
    };
    placeless(one) == placeless(other)
}

struct Judge<'a> {
    manifest: &'a Manifest,
    file: &'a Path,
}

impl Judge<'_> {
    /// Recomputes a plan's claims, solves it again, compares, and tries it.
    fn plan(&self, plan: &Loaded<Plan>, base: Option<&Revision>) -> Result<Entry, Error> {
        let now = Inputs::of(plan)?;
        let mut findings = plan.findings.clone();
        if now.facts.profiles.is_empty() {
            let cause = "the plan names no profile, so that nothing of it can be recomputed";
            let action = "solve it again from profiles, or check it with `planner check PLAN --profile FILE`";
            findings.push(Finding::error(Code::NotMeasured, "provenance.inputs", cause, action));
            return Ok(Entry::of(self.file.to_owned(), "plan", findings.in_file(self.file).0));
        }
        let fast = now.facts.at_fast_end(self.manifest.noise.get());
        let changed = self.inputs_changed(plan, &now);
        let stale = !changed.0.is_empty();
        findings.extend(changed);
        findings.extend(self.claims(plan, &now, &fast, stale));
        let recomputed = if stale { Vec::new() } else { recomputed(&plan.document, &findings.0) };
        if !findings.has_errors() {
            findings.extend(self.tried(&plan.document, &now.facts, stale.then_some(&fast))?);
        }
        let before = match base {
            None => Some(plan.document.clone()),
            Some(base) => self.before(base, &mut findings)?,
        };
        let (changes, solved_again) = match before {
            Some(before) => self.solved_again(&before, &now, &fast, Some(&plan.document), &mut findings)?,
            None => (Vec::new(), false),
        };
        let entry = Entry::of(self.file.to_owned(), "plan", findings.in_file(self.file).0);
        Ok(Entry { changes, solved_again, recomputed, ..entry })
    }

    /// A problem that no plan here was made from: it must have a plan, no worse than before where there is a revision.
    fn lone_problem(&self, mut findings: Findings, base: Option<&Revision>) -> Result<Entry, Error> {
        let now = Inputs::of_problem(load(self.file)?)?;
        let before = base.map(|base| self.before(base, &mut findings)).transpose()?.flatten();
        let mut changes = Vec::new();
        let mut solved_again = false;
        if let Some(before) = before {
            let fast = now.facts.at_fast_end(self.manifest.noise.get());
            (changes, solved_again) = self.solved_again(&before, &now, &fast, None, &mut findings)?;
        } else if let Some(answer) = now.solved(&now.facts, None)? {
            solved_again = true;
            if let Again::Nothing(why) = answer {
                findings.push(self.infeasible(&why));
            }
        }
        let entry = Entry::of(self.file.to_owned(), "problem", findings.in_file(self.file).0);
        Ok(Entry { changes, solved_again, ..entry })
    }

    /// Returns what this binary makes of the inputs of another revision; `None`, with a finding, where it makes nothing.
    fn before(&self, base: &Revision, findings: &mut Findings) -> Result<Option<Plan>, Error> {
        let mut none = |what: String| {
            findings.push(of_class(self.manifest, Code::OtherPlan, "", what, "nothing to compare with"));
            Ok(None)
        };
        let Some(then) = base.file(self.file)? else { return none(format!("`{}` does not have this file", base.name)) };
        let (inputs, plan) = match load_known(&then)? {
            Some(Known::Plan(plan)) => (Inputs::of(&plan)?, Some(plan.document)),
            _ => (Inputs::of_problem(load(&then)?)?, None),
        };
        match inputs.solved(&inputs.facts, plan.as_ref())? {
            Some(Again::Plan(solved)) => Ok(Some(*solved)),
            Some(Again::Nothing(_)) => none(format!("`{}` had no plan for it either", base.name)),
            // By hand, or of a room that does not plan yet: the file itself is what there was.
            None => Ok(plan),
        }
    }

    /// Tells which inputs are not those that the plan was made from.
    fn inputs_changed(&self, plan: &Loaded<Plan>, now: &Inputs) -> Findings {
        let mut findings = Findings::default();
        for finding in plan::facts_changed(&plan.document, &now.facts).0 {
            findings.push(of_class(self.manifest, finding.code, finding.key, finding.cause, &finding.action));
        }
        if let Some(path) = &now.missing_problem {
            let cause = format!("{} is not there, so that the problem kept in the plan is taken", path.display());
            let action = "restore the file, or solve again from another";
            findings.push(of_class(self.manifest, Code::FactsChanged, "provenance.inputs", cause, action));
        }
        if let Some(problem) = now.problem.as_ref().filter(|_| !now.same_problem) {
            let cause = format!("the plan was made for another problem than {} asks now", problem.path.display());
            findings.push(of_class(self.manifest, Code::FactsChanged, "provenance.inputs", cause, "solve it again"));
        }
        let then = plan.document.provenance.inputs.iter().find(|input| input.role == InputRole::Day);
        if let (Some(then), Some((day, _))) = (then, &now.day)
            && then.sha256 != day.sha256
        {
            let cause = format!("{} has changed since the plan was made", day.path.display());
            findings.push(of_class(self.manifest, Code::FactsChanged, "provenance.inputs", cause, "solve it again"));
        }
        findings
    }

    /// Recomputes the claims. With stale inputs the claims are history, and only limits that are broken now count: not
    /// within noise where they are broken on the fastest facts too.
    fn claims(&self, plan: &Loaded<Plan>, now: &Inputs, fast: &Facts, stale: bool) -> Findings {
        let problem = now.problem.as_ref().map(|problem| &problem.document);
        if !stale {
            return simulate::check(&plan.document, &now.facts, problem, Tolerance::default());
        }
        let recompute = |facts: &Facts| plan::check(&plan.document, facts, problem, Tolerance::default());
        let findings = recompute(&now.facts);
        let at_best = recompute(fast);
        let mut broken = [(Code::Worse, ACCEPT, Vec::new()), (Code::FactsChanged, NOISE, Vec::new())];
        let breaks = |finding: &Finding| matches!(finding.code, Code::LimitBroken | Code::Overloaded);
        let mut kept = Findings::default();
        for finding in findings.0 {
            if breaks(&finding) {
                let for_sure = at_best.0.iter().any(|other| other.code == finding.code && other.key == finding.key);
                broken[usize::from(!for_sure)].2.push(finding);
            } else if finding.code != Code::ClaimRefuted {
                kept.push(finding);
            }
        }
        for (code, action, like) in broken {
            let (Some(first), Some(last)) = (like.first(), like.last()) else { continue };
            let more = match like.len() {
                1 => String::new(),
                count => format!(", and {} more like it, up to {}", count - 1, last.key),
            };
            let cause = format!("on today's facts {}{more}", first.cause);
            kept.push(self.of_class(code, first.key.clone(), cause, action));
        }
        kept
    }

    /// Tries every gear alone at its highest rate, with a fixed seed.
    fn tried(&self, plan: &Plan, facts: &Facts, fast: Option<&Facts>) -> Result<Findings, Error> {
        let mut findings = Findings::default();
        let trial = self.manifest.trial;
        if trial.requests == 0 {
            return Ok(findings);
        }
        let effort = Effort { requests: trial.requests, trials: TRIALS, seed: trial.seed };
        let world = Measured::new(plan, facts)?;
        let best = fast.map(|fast| Measured::new(plan, fast)).transpose()?;
        let allowed = 1.0 - plan.slo.quantile.get();
        for (index, gear) in plan.gears.iter().enumerate() {
            // A gear is refused only where even the lower end of the interval is too much.
            let least = |world: &Measured| {
                let report = try_gear(plan, gear, world, effort);
                report.intervals.map_or(0.0, |intervals| intervals.violation_share.low)
            };
            let late = least(&world);
            if late <= allowed {
                continue;
            }
            let is_noise = best.as_ref().is_some_and(|best| least(best) <= allowed);
            let (code, action) = if is_noise { (Code::FactsChanged, NOISE) } else { (Code::Worse, ACCEPT) };
            let cause = format!(
                "in simulation at least {:.2} % of the requests are late at {:.1} requests/s, {:.2} % are allowed",
                100.0 * late,
                gear.up_to_rps.get(),
                100.0 * allowed
            );
            findings.push(self.of_class(code, format!("gears[{index}]"), cause, action));
        }
        Ok(findings)
    }

    /// Solves today's inputs and compares with the plan before.
    fn solved_again(
        &self,
        before: &Plan,
        now: &Inputs,
        fast: &Facts,
        committed: Option<&Plan>,
        findings: &mut Findings,
    ) -> Result<(Vec<MetricChange>, bool), Error> {
        let after = match now.solved(&now.facts, committed)? {
            None => return Ok((Vec::new(), false)),
            Some(Again::Plan(after)) => after,
            Some(Again::Nothing(why)) => {
                findings.push(self.infeasible(&why));
                return Ok((Vec::new(), true));
            }
        };
        let goal = |plan: &Plan| plan.provenance.problem.as_ref().map(|problem| problem.goal.clone());
        let same_goal =
            now.problem.as_ref().is_none_or(|now| goal(before).is_none_or(|then| then == now.document.goal));
        let allow = &self.manifest.allow;
        let against = |fast: &Fast<'_>| compare(before, &after, fast, same_goal, allow);
        let mut changes = against(&Fast { plan: &after, latency_ms: &|_| None });
        // Whether a change is noise is asked only where there is one: it takes another solution.
        if !changes.is_empty() {
            let best = match now.solved(fast, committed)? {
                Some(Again::Plan(best)) => best,
                _ => after.clone(),
            };
            changes = against(&Fast { plan: &best, latency_ms: &|gear| plan::latency_ms(&after, gear, fast) });
        }
        findings.0.extend(changes.iter().map(|change| self.said(change)));
        // On other facts than it was made from a plan falls behind for that alone, which is told above.
        let is_current =
            now.same_problem && committed.is_some_and(|plan| plan::facts_changed(plan, &now.facts).0.is_empty());
        if let Some(committed) = committed.filter(|_| is_current) {
            let found = if !do_the_same(committed, &after) {
                self.falls_behind(committed, &after, now)?
            } else if committed.provenance.tool == after.provenance.tool {
                misstated(committed, &after)
            } else {
                None
            };
            findings.0.extend(found);
        }
        if changes.is_empty() && !do_the_same(before, &after) {
            let cause = "solving again gives another plan of the same value".to_owned();
            findings.push(of_class(
                self.manifest,
                Code::OtherPlan,
                "gears",
                cause,
                "nothing need be done; `planner diff` shows it",
            ));
        } else if before.provenance.tool != after.provenance.tool {
            let cause = format!("made by {}, this is {}", before.provenance.tool, after.provenance.tool);
            findings.push(of_class(self.manifest, Code::OnlyProvenance, "provenance.tool", cause, ""));
        }
        Ok((changes, true))
    }

    /// Plays the rules that change gear of the committed plan and of the one solved again.
    fn falls_behind(&self, committed: &Plan, again: &Plan, now: &Inputs) -> Result<Option<Finding>, Error> {
        let ask = now.problem.as_ref().map(|problem| Ask::new(&problem.document, &now.facts));
        let facts = ask.as_ref().map_or(&now.facts, |ask| ask.facts.as_ref());
        let Some(Behind { load, late, late_again }) = behind(committed, again, facts)? else { return Ok(None) };
        let cause = format!(
            "{:.2} % of the requests are late while gears change ({load}), {:.2} % of the plan solved again",
            100.0 * late,
            100.0 * late_again
        );
        Ok(Some(self.of_class(Code::Worse, "switch", cause, ACCEPT)))
    }

    fn infeasible(&self, why: &str) -> Finding {
        let cause = format!("there is no plan any more: {why}");
        of_class(self.manifest, Code::InfeasibleNow, "", cause, "change a limit as shown, or what was measured")
    }

    /// Tells a change in words.
    fn said(&self, change: &MetricChange) -> Finding {
        let MetricChange { metric, class, from_rps, to_rps, gears, before, after, allowed } = change;
        let (by, most) = match metric {
            Metric::Objective | Metric::Accuracy => (format!("{:+.4}", after - before), format!("{allowed:.4}")),
            _ => (format!("{:+.1} %", 100.0 * (after / before - 1.0)), format!("{:.1} %", 100.0 * allowed / before)),
        };
        let place = match gears.as_slice() {
            [] => String::new(),
            [one] => format!("; gear {one}, {from_rps:.1} to {to_rps:.1} requests/s"),
            several => format!("; gears {}, {from_rps:.1} to {to_rps:.1} requests/s", runs(several)),
        };
        let (word, action) = match class {
            Code::Worse => ("worse", ACCEPT),
            Code::Better => ("better", "take it with `planner check --update`"),
            _ => ("worse within noise", NOISE),
        };
        let (name, unit) = (metric.as_str(), metric.unit());
        let cause = format!("{name} is {word}: {before:.4} → {after:.4}{unit} ({by}, {most} allowed){place}");
        let key = gears.first().map_or_else(|| "gears".to_owned(), |gear| format!("gears[{gear}]"));
        self.of_class(*class, key, cause, action)
    }

    /// As [`of_class`]; what is within noise is worth no more than a note, unless the manifest says that it fails.
    fn of_class(&self, code: Code, key: impl Into<String>, cause: String, action: &str) -> Finding {
        let finding = of_class(self.manifest, code, key, cause, action);
        let is_noise = action == NOISE && finding.severity == Severity::Warning;
        if is_noise { finding.with_severity(Severity::Note) } else { finding }
    }
}

/// Returns increasing numbers with runs of them put together, like `2, 7, 9 to 12`.
fn runs(numbers: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 >= number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let said = |&(first, last): &(usize, usize)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first} to {last}"),
    };
    runs.iter().map(said).collect::<Vec<_>>().join(", ")
}

/// Returns the effort with which a plan was tried while it was made; `None` where it was not.
fn effort_of(plan: &Plan) -> Option<Effort> {
    let of_gear = |gear: &Gear| {
        let planned = gear.certificate.as_ref().and_then(|certificate| certificate.trial.as_ref());
        planned.map(Effort::from).or_else(|| Some(gear.claims.latency.as_ref()?.trial.as_ref()?.into()))
    };
    plan.gears.iter().find_map(of_gear).filter(|effort| effort.is_feasible())
}

/// Solves a committed plan's problem again, in full and with its trials, or for its day, and returns what should take its place;
/// `None` where its inputs have no plan.
///
/// # Errors
/// [`Error::Input`] where its inputs cannot be used, [`Error::Unsupported`] where nothing says how it was made.
pub fn remake(plan: &Loaded<Plan>, manifest: &Manifest) -> Result<Option<Plan>, Error> {
    let now = Inputs::of(plan)?;
    let problem = now.problem.as_ref().ok_or_else(|| Error::Unsupported {
        what: format!("{} keeps no problem to solve again", plan.path.display()),
        hint: "plans written by hand are updated by hand".to_owned(),
    })?;
    // What a committed plan says of its trials must not weaken those of the next.
    let requests = manifest.trial.solve_requests;
    let effort = (requests > 0).then_some(Effort { requests, trials: TRIALS, seed: manifest.trial.seed });
    let folder = plan.path.parent().unwrap_or(Path::new(""));
    if let (Some((day, _)), Some(cut)) = (&now.day, plan.document.provenance.day) {
        let Some(Again::Plan(mut made)) = now.scheduled(&problem.document, &now.facts)? else { return Ok(None) };
        if let Some(effort) = effort {
            hold_claims(&mut made, &Ask::new(&problem.document, &now.facts).facts, effort, &[])?;
        }
        rooms::record(&mut made, folder, problem, &now.facts, None);
        rooms::record_day(&mut made, folder, day, cut);
        return Ok(Some(*made));
    }
    let from = now.from.as_ref().map(|plan| &plan.document);
    let answer = planners::solve(&problem.document, &now.facts, Context { from, trial: effort, ..Context::default() })?;
    let Answer::Plan(mut made) = answer else { return Ok(None) };
    rooms::record(&mut made, folder, problem, &now.facts, now.from.as_ref());
    Ok(Some(*made))
}
