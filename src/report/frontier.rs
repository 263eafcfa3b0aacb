//! What accuracy other numbers of cores would have given at the highest load, with what was chosen.

use super::figures::Frame;
use super::svg::{Anchor, Canvas, width};
use super::words::{UNKNOWN, counted, ends, length, listed, percent, rounded, rps};
use super::{Block, Figure, Given, Head, Table, text};
use crate::error::Error;
use crate::facts::Facts;
use crate::plot::text::number;
use crate::problem::Problem;
use crate::rooms::{FrontierPoint, frontier};

const HEIGHT: f64 = 232.0;

/// What the plan's last gear claims.
struct Chosen {
    cores: u32,
    accuracy: f64,
}

pub(super) fn blocks(given: &Given<'_>) -> Vec<Block> {
    let found = match (given.problem, given.facts) {
        (None, _) => Err("the plan keeps no problem to solve again for other numbers of cores".to_owned()),
        (_, Err(why)) => Err(why.to_owned()),
        (Some(problem), Ok(facts)) => solved(given, problem, facts),
    };
    match found {
        Err(why) => vec![text(format!("There is no Pareto frontier here: {why}."))],
        Ok(points) if points.is_empty() => vec![text("Nothing carries the highest load any more.")],
        Ok(points) => drawn(given, &points),
    }
}

fn solved(given: &Given<'_>, problem: &Problem, facts: &Facts) -> Result<Vec<FrontierPoint>, String> {
    let plan = given.plan;
    frontier(problem, facts, &plan.provenance.capacity_parts, plan.max_rps()).map_err(|error| first_line(&error))
}

/// Returns what an error says first, as a part of a sentence.
pub(super) fn first_line(error: &Error) -> String {
    error.to_string().lines().next().unwrap_or_default().trim_end_matches('.').replace('`', "")
}

fn drawn(given: &Given<'_>, points: &[FrontierPoint]) -> Vec<Block> {
    let plan = given.plan;
    let chosen = plan
        .gears
        .last()
        .and_then(|gear| Some(Chosen { cores: gear.claims.cores?, accuracy: gear.claims.accuracy?.value.get() }));
    let intro = format!(
        "Each point is the most accurate choice for its number of cores that carries {} within the SLO, found by solving the \
         problem again; fewer cores than the first carry it no more, and more cores than the last buy no accuracy.",
        rps(plan.max_rps())
    );
    let figure = Figure {
        finding: finding(points, chosen.as_ref()),
        note: String::new(),
        described: format!("{} from {}.", length(points, "point"), described(points)),
        svg: draw(points, chosen.as_ref()),
    };
    let table = Block::Table(table(given, points, chosen.as_ref()));
    // A picture of one point says no more than its row.
    if points.len() == 1 {
        return vec![text(intro), text(format!("{}.", finding(points, chosen.as_ref()))), table];
    }
    vec![text(intro), Block::Figures(vec![figure]), table]
}

fn described(points: &[FrontierPoint]) -> String {
    let point = |point: &FrontierPoint| format!("{} at {}", percent(point.accuracy), counted(point.cores, "core"));
    let ends = [points.first(), points.last()].into_iter().flatten().map(point);
    ends.collect::<Vec<_>>().join(" to ")
}

fn finding(points: &[FrontierPoint], chosen: Option<&Chosen>) -> String {
    let Some(chosen) = chosen else { return "The most accurate choice for each number of cores".to_owned() };
    let here = format!("{} on {}", percent(chosen.accuracy), counted(chosen.cores, "core"));
    match points.iter().find(|point| point.accuracy > chosen.accuracy + 1e-9) {
        Some(next) => format!(
            "The plan takes {here}; the next step up is {} on {}",
            percent(next.accuracy),
            counted(next.cores, "core")
        ),
        None => format!("The plan takes {here}, and nothing that fits the inventory is more accurate"),
    }
}

fn draw(points: &[FrontierPoint], chosen: Option<&Chosen>) -> String {
    let all = || points.iter().map(|point| (f64::from(point.cores), point.accuracy));
    let both = || all().chain(chosen.map(|chosen| (f64::from(chosen.cores), chosen.accuracy)));
    let (few, many) = ends(both().map(|(cores, _)| cores)).unwrap_or((0.0, 1.0));
    let (low, high) = ends(both().map(|(_, accuracy)| accuracy)).unwrap_or((0.0, 1.0));
    let room = 0.2 * (high - low).max(0.01);
    let frame = Frame { x: (few - 1.0).max(0.0)..many + 1.0, y: (low - room).max(0.0)..high + room };
    let mut canvas = Canvas::default();
    frame.draw_axes(&mut canvas, |part| format!("{}\u{a0}%", number(100.0 * part)), ("cores", true));
    canvas.text("", (0.0, 12.0), Anchor::Start, "accuracy");
    canvas.text("faint", (390.0, 12.0), Anchor::End, "chosen");
    canvas.dot("chosen", (390.0 - width("chosen") - 8.0, 8.0), 5.5);
    let mut steps: Vec<(f64, f64)> = Vec::new();
    for (cores, accuracy) in all() {
        if let Some(&(_, before)) = steps.last() {
            steps.push((cores, before));
        }
        steps.push((cores, accuracy));
    }
    let line: Vec<_> = steps.into_iter().map(|(x, y)| frame.at(x, y)).collect();
    canvas.line("claimed", &line);
    for (cores, accuracy) in all() {
        canvas.dot("other", frame.at(cores, accuracy), 4.0);
    }
    if let Some(chosen) = chosen {
        canvas.dot("chosen", frame.at(f64::from(chosen.cores), chosen.accuracy), 6.0);
    }
    canvas.finish(HEIGHT, &finding(points, chosen))
}

fn table(given: &Given<'_>, points: &[FrontierPoint], chosen: Option<&Chosen>) -> Table {
    let price = given.problem.map_or(0.0, |problem| problem.inventory.price_usd_per_core_hour.get());
    let is_chosen = |point: &FrontierPoint| {
        chosen.is_some_and(|chosen| chosen.cores == point.cores && (chosen.accuracy - point.accuracy).abs() < 1e-9)
    };
    let row = |point: &FrontierPoint| {
        let lanes: Vec<String> = point.cores_of.iter().map(|(name, cores)| format!("{name} on {cores}")).collect();
        vec![
            point.cores.to_string(),
            percent(point.accuracy),
            if price > 0.0 { rounded(price * f64::from(point.cores)) } else { UNKNOWN.to_owned() },
            format!("{}{}", listed(&lanes), if is_chosen(point) { " (chosen)" } else { "" }),
        ]
    };
    Table {
        caption: "The frontier: cores of each variant".to_owned(),
        heads: vec![Head::number("cores"), Head::number("accuracy"), Head::number("USD/h"), Head::words("variants")],
        rows: points.iter().map(row).collect(),
    }
}
