//! `planner profile compare`: which points of a profile became slower or faster.

use std::path::{Path, PathBuf};

use crate::Error;
use crate::Findings;
use crate::base::codec::{Loaded, load, to_bytes};
use crate::base::units::Share;
use crate::facts::load_answers;
use crate::profile::compare::{
    AccuracyTest, AccuracyVerdict, Bounds, Comparison, PointChange, Side, VariantChange, Verdict, compare,
};
use crate::profile::{Answers, Profile};
use crate::stats::effect::Ratio;

use super::values::share;
use super::{Answer, Layout, print, print_text, say, say_findings, table};

/// Compare two profiles point by point
///
/// Exit status 1 where a point is significantly slower by more than the threshold, or a variant significantly less
/// accurate.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  planner profile compare profiles/old.json profiles/new.json")]
pub struct Args {
    /// The profile to compare with
    before: PathBuf,
    /// The profile to judge
    after: PathBuf,
    /// Part by which a median must differ to matter; 0.05 is 5 %
    #[arg(long, value_name = "PART", default_value = "0.05", value_parser = share, allow_negative_numbers = true)]
    threshold: Share,
    /// Let points of a disturbed host count as regressions too
    #[arg(long)]
    strict: bool,
    /// List the points that are alike too
    #[arg(long)]
    all: bool,
    /// How to print the comparison
    #[arg(long, value_enum, default_value_t)]
    format: Layout,
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    let (before, after) = (load::<Profile>(&args.before)?, load::<Profile>(&args.after)?);
    let answers = [answers(&before)?, answers(&after)?];
    let bounds = Bounds { threshold: args.threshold, strict: args.strict };
    let sides = [side(&before, answers[0].as_ref()), side(&after, answers[1].as_ref())];
    let comparison = compare(sides[0], sides[1], bounds).map_err(|findings| findings.in_file(&args.after))?;
    match args.format {
        Layout::Json => print(&to_bytes(&comparison))?,
        Layout::Table => {
            say_findings(&Findings(comparison.findings.clone()));
            print_text(&describe(&comparison, args.all))?;
        }
    }
    Ok(if comparison.regression { Answer::No } else { Answer::Yes })
}

fn side<'a>(profile: &'a Loaded<Profile>, answers: Option<&'a Answers>) -> Side<'a> {
    Side { profile: &profile.document, answers }
}

/// Accuracies can be compared without the answers, so that a profile that came alone is good enough.
fn answers(profile: &Loaded<Profile>) -> Result<Option<Answers>, Error> {
    let Some(named) = &profile.document.answers else { return Ok(None) };
    let file = profile.path.parent().unwrap_or(Path::new("")).join(&named.file);
    if file.exists() {
        return load_answers(profile);
    }
    say(format!("{} is not there, so accuracies are compared by their intervals", file.display()));
    Ok(None)
}

fn describe(comparison: &Comparison, all: bool) -> String {
    let mut text = String::new();
    let shown: Vec<_> = comparison.points.iter().filter(|point| all || point.verdict != Verdict::Alike).collect();
    if !shown.is_empty() {
        let mut rows = table(&["point", "p50 ms", "p50", "p99", "P(slower)", "p", "", ""]);
        shown.into_iter().for_each(|point| {
            rows.add_row(point_row(point));
        });
        text += &format!("{rows}\n\n");
    }
    let mut rows = table(&["variant", "accuracy", "", "lost, won", "load time", "memory"]);
    comparison.variants.iter().for_each(|variant| {
        rows.add_row(variant_row(variant));
    });
    text += &format!("{rows}\n\n");
    for (points, place) in [(&comparison.only_before, "first"), (&comparison.only_after, "second")] {
        if let Some(example) = points.first() {
            text += &format!("only in the {place} profile: {example} ({} in all)\n", points.len());
        }
    }
    text + &verdict(comparison) + "\n"
}

fn point_row(point: &PointChange) -> [String; 8] {
    let effect = point.effect.map_or("–".to_owned(), |effect| format!("{:.2}", effect.slower_probability));
    [
        point.key.to_string(),
        format!("{:.3} → {:.3}", point.p50_before_ms, point.p50_after_ms),
        change(point.p50_ratio),
        change(point.p99_ratio),
        effect,
        point.p_value_holm.map_or("–".to_owned(), p_value),
        word(point.verdict).to_owned(),
        if point.contended { "contended".to_owned() } else { String::new() },
    ]
}

fn variant_row(variant: &VariantChange) -> [String; 6] {
    let verdict = match variant.verdict {
        AccuracyVerdict::Lower => "lower",
        AccuracyVerdict::Higher => "higher",
        AccuracyVerdict::Alike => "alike",
        AccuracyVerdict::NotJudged => "declared",
    };
    let samples = match variant.judged_by {
        AccuracyTest::Paired { lost, won, .. } => format!("{lost}, {won}"),
        AccuracyTest::Intervals | AccuracyTest::Declared => "–".to_owned(),
    };
    let ratio = |ratio: Option<f64>| ratio.map_or("–".to_owned(), |ratio| format!("{} %", signed_percent(ratio)));
    [
        variant.variant.clone(),
        format!("{:.4} → {:.4}", variant.accuracy_before.get(), variant.accuracy_after.get()),
        verdict.to_owned(),
        samples,
        ratio(variant.load_time_ratio),
        ratio(variant.memory_ratio),
    ]
}

/// One line that says it all.
fn verdict(comparison: &Comparison) -> String {
    let counts = comparison.counts;
    let contended = match counts.slower_contended {
        0 => String::new(),
        some => format!(" ({some} of them contended)"),
    };
    let mut line = format!(
        "{} of {} points slower by more than {} %{contended}, {} faster, {} alike",
        counts.slower,
        counts.points,
        round(100.0 * comparison.threshold.get()),
        counts.faster,
        counts.alike
    );
    if counts.not_judged > 0 {
        line += &format!(", {} not judged", counts.not_judged);
    }
    if let Some(worst) = comparison.worst() {
        line += &format!("; worst {}: {}", worst.key, change(worst.p50_ratio));
    }
    let lower = comparison.variants.iter().filter(|variant| variant.verdict == AccuracyVerdict::Lower);
    let lower: Vec<_> = lower.map(|variant| variant.variant.as_str()).collect();
    if !lower.is_empty() {
        line += &format!("; less accurate: {}", lower.join(", "));
    }
    line
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Slower => "slower",
        Verdict::Faster => "faster",
        Verdict::Alike => "alike",
        Verdict::NotJudged => "not judged",
    }
}

fn change(ratio: Ratio) -> String {
    let percent = |ratio: f64| round(100.0 * (ratio - 1.0));
    format!("{} % ({} to {})", signed_percent(ratio.value), percent(ratio.low), percent(ratio.high))
}

fn signed_percent(ratio: f64) -> String {
    let text = round(100.0 * (ratio - 1.0));
    if text.starts_with('-') || text == "0" { text } else { format!("+{text}") }
}

/// Two figures, and no minus in front of nothing.
fn round(number: f64) -> String {
    let text = if number.abs() < 9.95 { format!("{number:.1}") } else { format!("{number:.0}") };
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}
