//! `planner diff`: plans side by side.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::base::codec::{Document, Loaded, load, parse_value, to_bytes};
use crate::base::files::read;
use crate::facts::Facts;
use crate::page::plot::Figure;
use crate::plan::{GearDiff, Plan, PlanDiff, Side, diff_with};
use crate::review::{Revision, find};
use serde::Serialize;

use super::values::part;
use super::{Answer, Layout, Output, figures, plot, print, print_text, table};

/// Compare two plans, or two folders of plans, load by load
///
/// Exit status 1 when they differ.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  planner diff plans/old.json plans/new.json
  planner diff main:plans plans --threshold 0.02")]
pub struct Args {
    /// The first plan or folder, as it is, or as REV:PATH at a git revision
    before: String,
    /// The second plan or folder, likewise
    after: String,
    /// Part of a number by which it may differ and count as the same, where both plans do the same
    #[arg(long, value_name = "PART", default_value_t = 0.0, value_parser = part)]
    threshold: f64,
    /// Two plans: draw both over load into this file (.svg, .png or .html)
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Replace the picture where it exists
    #[arg(long)]
    overwrite: bool,
    /// How to print the difference
    #[arg(long, value_enum, default_value_t)]
    format: Layout,
}

/// The plans of one side.
enum Plans {
    One(Box<Loaded<Plan>>),
    /// By their way from the folder.
    Folder(BTreeMap<PathBuf, Loaded<Plan>>),
}

/// What became of a plan of a folder.
#[derive(Debug, Serialize)]
struct FileDiff {
    file: PathBuf,
    /// Absent where only one side has the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<PlanDiff>,
    /// Why there is no difference to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    only: Option<&'static str>,
}

pub fn run(args: &Args) -> Result<Answer, Error> {
    match (plans(&args.before)?, plans(&args.after)?) {
        (Plans::One(before), Plans::One(after)) => two_plans(args, &before, &after),
        (Plans::Folder(before), Plans::Folder(after)) => two_folders(args, before, &after),
        _ => Err(Error::Unsupported {
            what: format!("of {} and {} one is a plan and one a folder", args.before, args.after),
            hint: "compare two plans, or two folders".to_owned(),
        }),
    }
}

fn two_plans(args: &Args, before: &Loaded<Plan>, after: &Loaded<Plan>) -> Result<Answer, Error> {
    let output = args.plot.clone().map(|output| Output { output, overwrite: args.overwrite });
    if let Some(output) = &output {
        let kind = plot::kind(output)?;
        output.check([&before.path, &after.path])?;
        output.write(&plot::draw(Figure::PlansOverLoad(&before.document, &after.document), kind)?)?;
    }
    let diff = compared(before, after).beyond(args.threshold);
    match args.format {
        Layout::Json => print(&to_bytes(&diff))?,
        Layout::Table => print_text(&describe(&diff))?,
    }
    Ok(if diff.same { Answer::Yes } else { Answer::No })
}

fn two_folders(
    args: &Args,
    mut before: BTreeMap<PathBuf, Loaded<Plan>>,
    after: &BTreeMap<PathBuf, Loaded<Plan>>,
) -> Result<Answer, Error> {
    let mut files = Vec::new();
    for (file, plan) in after {
        let diff = before.remove(file).map(|old| compared(&old, plan).beyond(args.threshold));
        let only = diff.is_none().then_some("after");
        files.push(FileDiff { file: file.clone(), diff, only });
    }
    files.extend(before.into_keys().map(|file| FileDiff { file, diff: None, only: Some("before") }));
    files.sort_by(|a, b| a.file.cmp(&b.file));
    match args.format {
        Layout::Json => print(&to_bytes(&files))?,
        Layout::Table => print_text(&summary(&files))?,
    }
    let same = files.iter().all(|file| file.diff.as_ref().is_some_and(|diff| diff.same));
    Ok(if same { Answer::Yes } else { Answer::No })
}

/// Compares two plans, with load times where the second one's profiles are there.
fn compared(before: &Loaded<Plan>, after: &Loaded<Plan>) -> PlanDiff {
    let facts = Facts::of_plan(&after.document, &after.path).unwrap_or_default();
    let load_ms = |variant: &str| Some(facts.variant(variant)?.load_time_ms.get());
    diff_with(&before.document, &after.document, &load_ms)
}

/// Loads a side: a file or a folder, or REV:PATH where there is none of that name.
fn plans(text: &str) -> Result<Plans, Error> {
    let path = Path::new(text);
    let Some((name, inside)) = text.split_once(':').filter(|_| !path.exists()) else { return loaded(path) };
    let revision = Revision::open(name, Path::new("."))?;
    let missing = || Error::Unsupported {
        what: format!("`{name}` has no {inside}"),
        hint: "the path is taken from the current folder, as it was at that revision".to_owned(),
    };
    if let Some(file) = revision.file(Path::new(inside))? {
        return loaded(&file);
    }
    loaded(&revision.folder(Path::new(inside))?.ok_or_else(missing)?)
}

fn loaded(path: &Path) -> Result<Plans, Error> {
    if !path.is_dir() {
        return Ok(Plans::One(Box::new(load(path)?)));
    }
    let mut plans = BTreeMap::new();
    for file in find(path)?.1 {
        if parse_value(&file, &read(&file)?)?["format"] == Plan::FORMAT {
            let name = file.strip_prefix(path).unwrap_or(&file).to_owned();
            plans.insert(name, load(&file)?);
        }
    }
    Ok(Plans::Folder(plans))
}

fn describe(diff: &PlanDiff) -> String {
    if diff.same {
        return "the plans do and claim the same at every load\n".to_owned();
    }
    let mut text = String::new();
    if diff.ranges.iter().any(|range| !range.same) {
        let mut rows = table(&["rps", "before", "after", "accuracy", "latency ms", "cores", "usd/h", "the move"]);
        for range in diff.ranges.iter().filter(|range| !range.same) {
            rows.add_row(row(range));
        }
        let _ = writeln!(text, "{rows}\n");
    }
    if !diff.ratios.is_empty() {
        let mut rows = table(&["metric", "before", "after", "ratio", "farthest", "at rps"]);
        for ratio in &diff.ratios {
            rows.add_row([
                ratio.metric.to_owned(),
                figures(ratio.before, 4),
                figures(ratio.after, 4),
                format!("{:.3}", ratio.mean),
                format!("{:.3}", ratio.worst),
                figures(ratio.worst_at_rps, 1),
            ]);
        }
        let _ = writeln!(text, "mean over the loads that both carry\n{rows}\n");
    }
    for (word, names) in [("in", &diff.variants_in), ("out", &diff.variants_out)] {
        if !names.is_empty() {
            let _ = writeln!(text, "variants {word}: {}", names.join(", "));
        }
    }
    if !diff.same_rules {
        text += "the SLO, the rules for changing gears or the ways between pools differ\n";
    }
    text
}

fn row(range: &GearDiff) -> [String; 8] {
    let lanes = |side: &Option<Side>| side.as_ref().map_or("not carried".to_owned(), |side| side.lanes.join("\n"));
    let change = |digits: usize, of: &dyn Fn(&Side) -> Option<f64>| match (
        range.before.as_ref().and_then(of),
        range.after.as_ref().and_then(of),
    ) {
        (Some(old), Some(new)) if old == new => figures(old, digits),
        (Some(old), Some(new)) => format!("{} → {}", figures(old, digits), figures(new, digits)),
        _ => "–".to_owned(),
    };
    [
        format!("{} to {}", figures(range.from_rps, 1), figures(range.to_rps, 1)),
        lanes(&range.before),
        lanes(&range.after),
        change(4, &|side| side.accuracy),
        change(2, &|side| side.latency_ms),
        change(0, &|side| side.cores.map(f64::from)),
        change(4, &|side| side.cost_usd_per_hour),
        the_move(range),
    ]
}

/// Tells what starts and what drains, and how long it takes.
fn the_move(range: &GearDiff) -> String {
    let signed = |sign: char, kinds: &BTreeMap<String, u32>| {
        kinds.iter().map(|(name, count)| format!("{sign}{count} {name}")).collect::<Vec<_>>()
    };
    let mut lines = [signed('+', &range.way.started), signed('-', &range.way.drained)].concat();
    lines.extend(range.way.load_ms.map(|ms| format!("{ms:.0} ms to load")));
    lines.join("\n")
}

fn summary(files: &[FileDiff]) -> String {
    let mut rows = table(&["plan", "", "accuracy", "latency", "usd/h", "cores", "variants"]);
    for FileDiff { file, diff, only } in files {
        let Some(diff) = diff else {
            let only = format!("only {}", only.unwrap_or_default());
            rows.add_row([file.display().to_string(), only]);
            continue;
        };
        let ratio = |metric: &str| {
            let found = diff.ratios.iter().find(|ratio| ratio.metric == metric);
            found.filter(|ratio| ratio.worst != 1.0).map_or("=".to_owned(), |ratio| format!("× {:.3}", ratio.mean))
        };
        let signed =
            |sign: char, names: &[String]| names.iter().map(|name| format!("{sign}{name}")).collect::<Vec<_>>();
        rows.add_row([
            file.display().to_string(),
            if diff.same { "same" } else { "differs" }.to_owned(),
            ratio("accuracy"),
            ratio("latency ms"),
            ratio("usd/h"),
            ratio("cores"),
            [signed('+', &diff.variants_in), signed('-', &diff.variants_out)].concat().join(" "),
        ]);
    }
    let differ = files.iter().filter(|file| file.diff.as_ref().is_none_or(|diff| !diff.same)).count();
    format!("{rows}\n\nafter ÷ before, mean over the loads that both carry; {differ} of {} plans differ\n", files.len())
}
