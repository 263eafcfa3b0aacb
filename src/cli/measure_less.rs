//! Which points `planner profile` measures: all of them, or those that `--within` and `--for` need.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::base::codec;
use crate::base::codec::Loaded;
use crate::base::units::{Millis, Share};
use crate::facts::{Facts, Serving};
use crate::measure::adaptive::{Aim, Chooser, Known};
use crate::measure::{CALLS_FOR_A_TAIL, Wave};
use crate::planners::relevance;
use crate::problem::Problem;
use crate::profile::{Bound, Family, Key, Profile, Seen, SkippedPoint, Spot};
use crate::rooms::{self, PointKey, Relevance, hopeful};
use crate::{Code, Error, Finding, Findings};

use super::values::share;
use crate::base::paths::plain;

/// Standard deviations below its prediction at which a point is taken to be at its best: one in 44 is beyond two. What was
/// never called is only predicted from others, whose shape it may not have.
const DEVIATIONS: Bound = Bound { glimpsed: 2.0, unseen: 4.0, near_tie: 0.0 };
/// Most glimpses of a wave for a problem: one of so many of the grid, the fastest first, as they may rule out the others.
const GRID_PER_GLANCE: usize = 8;
/// Error within which the rest is predicted where only `--for` is given and `--within` does not say.
const ENOUGH_FOR_A_BOUND: f64 = 0.05;

/// What to measure of the grid.
#[derive(Debug, clap::Args)]
pub struct Less {
    /// Make only as many calls as tell the medians of half of the points that are not measured in full within this part
    #[arg(long, value_name = "PART", value_parser = share)]
    within: Option<Share>,
    /// Measure in full only points that could change the best plan of this problem (`planner.problem/1`)
    #[arg(long = "for", value_name = "PROBLEM")]
    problem: Option<PathBuf>,
    /// With --for: leave out what is, at its best, faster by no more than this part than it would have to be to change the
    /// plan; 0 measures near ties until their order is certain
    #[arg(long, value_name = "PART", value_parser = share, requires = "problem", default_value = "0.03")]
    near_tie: Share,
}

impl Less {
    /// Returns who chooses; nobody where the full grid is asked for.
    ///
    /// # Errors
    /// Findings of the problem; one where it does not rest on this profile.
    pub fn chooser(
        &self,
        family: &Family,
        profile: &Path,
        device: &str,
        budget: Millis,
    ) -> Result<Option<Choice>, Error> {
        if self.within.is_none() && self.problem.is_none() {
            return Ok(None);
        }
        let problem = self.problem.as_deref().map(|path| Asked::load(path, profile)).transpose()?;
        Ok(Some(Choice {
            names: family.list.variants.iter().map(|entry| entry.name.clone()).collect(),
            device: device.to_owned(),
            aim: Aim {
                error: self.within.unwrap_or(Share::saturating(ENOUGH_FOR_A_BOUND)),
                budget,
                calls: CALLS_FOR_A_TAIL as u32,
            },
            predicts: self.within.is_some(),
            near_tie: self.near_tie.get(),
            problem,
            grid: Vec::new(),
            chooser: None,
            found: None,
        }))
    }
}

/// A problem, and the other profiles that it rests on.
struct Asked {
    /// The profile that is being measured.
    profile: PathBuf,
    problem: Problem,
    /// Its profiles in order; nothing stands for the one that is being measured.
    profiles: Vec<Option<Loaded<Profile>>>,
}

impl Asked {
    fn load(path: &Path, profile: &Path) -> Result<Self, Error> {
        let problem = codec::load::<Problem>(path)?.document;
        let folder = path.parent().unwrap_or(Path::new(""));
        let is_this = |named: &Path| {
            let one = plain(named).is_ok_and(|named| plain(profile).is_ok_and(|own| own == named));
            one || named.canonicalize().is_ok_and(|named| profile.canonicalize().is_ok_and(|own| own == named))
        };
        let named: Vec<_> = problem.profiles.iter().map(|named| folder.join(named)).collect();
        if !named.iter().any(|named| is_this(named)) {
            let cause = format!("none of its profiles is {}, which is being measured", profile.display());
            let finding = Finding::error(
                Code::UnknownName,
                "profiles",
                cause,
                "write the profile to a file that the problem names",
            );
            return Err(Findings::from(finding).in_file(path).into());
        }
        let other = |named: &PathBuf| (!is_this(named)).then(|| codec::load::<Profile>(named)).transpose();
        let profiles = named.iter().map(other).collect::<Result<_, _>>()?;
        Ok(Self { profile: profile.to_owned(), problem, profiles })
    }

    /// Tells whether a plan of the problem may use a configuration at all.
    fn admits(&self, names: &[String], (index, key): &Spot) -> bool {
        let wanted = self.problem.allowed_variants();
        wanted.is_none_or(|wanted| wanted.contains(&names[*index].as_str())) && key.cores <= self.problem.core_budget()
    }

    /// Returns the facts of all its profiles, this one as far as it is measured.
    fn facts(&self, profile: &Profile) -> Result<Facts, Error> {
        let this = || Loaded {
            document: profile.clone(),
            findings: Findings::default(),
            path: self.profile.clone(),
            sha256: String::new(),
        };
        let all = self.profiles.iter().map(|other| Ok(other.clone().unwrap_or_else(this)));
        Facts::with_answers(all, &[], Serving::of(&self.problem))
    }
}

/// Chooses wave by wave, and knows afterwards why the rest was left out.
pub struct Choice {
    names: Vec<String>,
    device: String,
    aim: Aim,
    /// Whether the rest must be predicted within the asked error, whatever the problem needs.
    predicts: bool,
    /// Part of a latency within which two configurations are near ties.
    near_tie: f64,
    problem: Option<Asked>,
    grid: Vec<Spot>,
    chooser: Option<Chooser>,
    found: Option<Relevance>,
}

impl Choice {
    /// Returns what to look at next among the missing points.
    pub fn next(&mut self, missing: &[Spot], profile: &Profile) -> Result<Wave, Error> {
        let known = self.known(profile);
        if self.grid.is_empty() {
            self.grid = missing.iter().copied().chain(known.full.iter().map(|point| point.spot)).collect();
            self.grid.sort_unstable();
        }
        let (grid, aim) = (&self.grid, self.aim);
        let first = self.chooser.is_none();
        let chooser = self.chooser.get_or_insert_with(|| Chooser::new(grid, aim));
        // A point that failed is neither measured nor missing.
        let there: BTreeSet<Spot> = missing.iter().copied().chain(known.full.iter().map(|point| point.spot)).collect();
        let admitted =
            |spot: &Spot| self.predicts || self.problem.as_ref().is_none_or(|asked| asked.admits(&self.names, spot));
        let counts = |spot: Spot| f64::from(u8::from(there.contains(&spot) && admitted(&spot)));
        let mut wave = match (self.predicts, first) {
            (true, _) => chooser.next(&known, &counts),
            (false, true) => chooser.begin(&known, &counts),
            (false, false) => Wave::default(),
        };
        wave.retain(|spot| missing.contains(spot));
        if wave.is_empty() && self.problem.is_some() {
            // The outcome foretells every point, so that the next look judges it.
            let _foretold = chooser.outcome(&known);
            wave = self.needed(missing, &known, profile)?;
            wave.retain(|spot| missing.contains(spot));
        }
        Ok(wave)
    }

    /// Returns glimpses of all points that could answer in time, and once they are taken the points that the best plan
    /// rests on and that are not measured in full.
    fn needed(&mut self, missing: &[Spot], known: &Known, profile: &Profile) -> Result<Wave, Error> {
        let Some(asked) = &self.problem else { return Ok(Wave::default()) };
        let raised = self.chooser.as_ref().map(Chooser::calibration);
        let bound = raised.map_or(DEVIATIONS, |raised| DEVIATIONS.raised(raised));
        let named = |spots: &[Spot]| -> Vec<PointKey> {
            spots.iter().map(|&(index, key)| (self.names[index].clone(), key)).collect()
        };
        let place = |name: &String| self.names.iter().position(|known| known == name);
        let spots = |configurations: &[PointKey]| -> Vec<Spot> {
            configurations.iter().filter_map(|(name, key)| Some((place(name)?, *key))).collect()
        };
        let facts = asked.facts(profile)?;
        let glimpsed: BTreeSet<Spot> = known.glimpsed.iter().map(|point| point.spot).collect();
        let unseen: Vec<Spot> = missing.iter().filter(|spot| !glimpsed.contains(spot)).copied().collect();
        let mut worth_a_glimpse = spots(&hopeful(&asked.problem, &facts, (&named(&unseen), &self.device), bound)?);
        worth_a_glimpse.truncate(self.grid.len().div_ceil(GRID_PER_GLANCE));
        if !worth_a_glimpse.is_empty() {
            return Ok(Wave { glimpsed: worth_a_glimpse, ..Wave::default() });
        }
        let all = named(&self.grid);
        let bound = Bound { near_tie: self.near_tie, ..bound };
        let found = relevance(&asked.problem, &facts, (&all, &self.device), bound, rooms::Context::default())?;
        let full = spots(&found.needed);
        self.found = Some(found);
        Ok(Wave { full, ..Wave::default() })
    }

    fn known(&self, profile: &Profile) -> Known {
        let place = |name: &str| self.names.iter().position(|known| known == name);
        let points = profile.points.iter().filter(|point| point.device == self.device);
        let glimpses = profile.glimpses.iter().filter(|glimpse| glimpse.device == self.device);
        Known {
            full: points.filter_map(|point| Some(Seen::of(place(&point.variant)?, point))).collect(),
            glimpsed: glimpses
                .filter_map(|glimpse| Some(Seen::at_a_glimpse(place(&glimpse.variant)?, glimpse)))
                .collect(),
        }
    }

    /// Returns the points that were left out, and why, and says in a few lines what measuring less came to.
    pub fn end(&mut self, profile: &Profile) -> (Vec<SkippedPoint>, String) {
        let known = self.known(profile);
        let Some(chooser) = &mut self.chooser else { return (Vec::new(), String::new()) };
        let outcome = chooser.outcome(&known);
        let reasons: BTreeMap<&PointKey, String> = self
            .found
            .iter()
            .flat_map(|found| &found.skipped)
            .map(|(configuration, reason)| (configuration, reason.to_string()))
            .collect();
        let within = percent(self.aim.error.get());
        let predicted = |glimpsed: bool| {
            let how = if glimpsed { "a few calls and the other points tell it" } else { "the other points tell it" };
            format!("{how} within {within} in the median")
        };
        let failed = |variant: &str, key: Key| {
            let same = |failure: &crate::profile::Failure| failure.variant == variant && failure.point == Some(key);
            profile.failures.iter().any(same)
        };
        let skipped = outcome.left_out.iter().filter_map(|left| {
            let (variant, point) = (self.names[left.spot.0].clone(), left.spot.1);
            let cause = reasons.get(&(variant.clone(), point)).cloned().unwrap_or_else(|| predicted(left.glimpsed));
            let predicted_p50_ms = (point.co_runners == 0).then(|| Millis::saturating(left.predicted.median_ms));
            (!failed(&variant, point)).then_some(SkippedPoint { variant, point, predicted_p50_ms, cause })
        });
        let skipped: Vec<SkippedPoint> = skipped.collect();
        let held_out = &outcome.held_out;
        let glimpsed = outcome.left_out.iter().filter(|left| left.glimpsed).count();
        let mut lines = format!(
            "measured {} of {} points, glimpsed {glimpsed}, never called {}\n",
            outcome.measured,
            self.grid.len(),
            skipped.len().saturating_sub(glimpsed)
        );
        if held_out.points > 0 {
            lines += &format!(
                "{} points drawn by chance and held out were told within {} in the median, {} at worst\n",
                held_out.points,
                percent(held_out.median),
                percent(held_out.worst)
            );
        }
        if held_out.visits > self.aim.error.get() {
            lines += &format!(
                "the machine itself differs by {} in the median from one visit of a point to the next: {within} cannot be told\n",
                percent(held_out.visits)
            );
        }
        (skipped, lines + &by_reason(self.found.as_ref()))
    }
}

/// Counts the points that a problem does not need, by the kind of reason.
fn by_reason(found: Option<&Relevance>) -> String {
    use rooms::Skipped;
    let word = |reason: &Skipped| match reason {
        Skipped::TooSlow { .. } => "even at their best answer nobody in time".to_owned(),
        Skipped::NotBest { .. } => "even at their best are in no best plan".to_owned(),
        other => format!("of which: {other}"),
    };
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (_, reason) in found.iter().flat_map(|found| &found.skipped) {
        *counts.entry(word(reason)).or_default() += 1;
    }
    counts.into_iter().map(|(reason, count)| format!("{count} points {reason}\n")).collect()
}

fn percent(part: f64) -> String {
    format!("{:.1} %", 100.0 * part)
}
