//! What accuracy other numbers of cores would have given at the highest load, with what was chosen.

use super::figures::Frame;
use super::formatting::{UNKNOWN, counted, ends, length, listed, number, percent, rounded, rps, usd};
use super::plot::stairs;
use super::svg::{Anchor, Canvas, width};
use super::{Block, Figure, Given, Head, Table, text};
use crate::base::error::Error;
use crate::base::rounding::{ROUNDING, equal};
use crate::facts::Facts;
use crate::plan::Gear;
use crate::planners::frontier;
use crate::problem::Problem;
use crate::rooms::FrontierPoint;

const HEIGHT: f64 = 232.0;

/// What the plan's last gear claims.
struct Chosen {
    spent: Spent,
    accuracy: f64,
}

/// What a choice takes: cores, or the price of rented machines for an hour.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Spent {
    Cores(u32),
    Usd(f64),
}

impl Spent {
    fn of(point: &FrontierPoint) -> Self {
        point.cost_usd_per_hour.map_or(Self::Cores(point.cores), Self::Usd)
    }

    fn number(self) -> f64 {
        match self {
            Self::Cores(cores) => f64::from(cores),
            Self::Usd(usd) => usd,
        }
    }

    /// Returns what is taken after a preposition.
    fn words(self) -> String {
        match self {
            Self::Cores(cores) => format!("on {}", counted(cores, "core")),
            Self::Usd(price) => format!("for {}", usd(price)),
        }
    }

    fn is(self, other: Self) -> bool {
        equal(self.number(), other.number())
    }
}

pub(crate) fn blocks(given: &Given<'_>) -> Vec<Block> {
    let found = match (given.problem, given.facts) {
        (None, _) => Err("the plan does not contain its problem".to_owned()),
        (_, Err(why)) => Err(why.to_owned()),
        (Some(problem), Ok(facts)) => solved(given, problem, facts),
    };
    match found {
        Err(why) => vec![text(format!("No Pareto frontier: {why}."))],
        Ok(points) if points.is_empty() => vec![text("No configuration carries the highest load.")],
        Ok(points) => drawn(given, &points),
    }
}

fn solved(given: &Given<'_>, problem: &Problem, facts: &Facts) -> Result<Vec<FrontierPoint>, String> {
    let plan = given.plan;
    frontier(problem, facts, &plan.provenance.capacity_parts, plan.max_rps()).map_err(|error| first_line(&error))
}

/// Returns what an error says first, as a part of a sentence.
pub(crate) fn first_line(error: &Error) -> String {
    error.to_string().lines().next().unwrap_or_default().trim_end_matches('.').replace('`', "")
}

fn drawn(given: &Given<'_>, points: &[FrontierPoint]) -> Vec<Block> {
    let plan = given.plan;
    let rented = points.iter().any(|point| point.cost_usd_per_hour.is_some());
    let spent = |gear: &Gear| match rented {
        true => gear.claims.cost_usd_per_hour.map(|usd| Spent::Usd(usd.get())),
        false => gear.claims.cores.map(Spent::Cores),
    };
    let last = plan.gears.last();
    let chosen =
        last.and_then(|gear| Some(Chosen { spent: spent(gear)?, accuracy: gear.claims.accuracy?.value.get() }));
    let load = rps(plan.max_rps());
    let intro = if rented {
        format!(
            "Each point is the most accurate configuration at its price that carries {load} within the SLO; the problem was solved \
             again for each. Cheaper configurations than the first cannot carry the load; more expensive ones than the last \
             are not more accurate."
        )
    } else {
        format!(
            "Each point is the most accurate configuration on its number of cores that carries {load} within the SLO; the problem \
             was solved again for each. Fewer cores than the first cannot carry the load; more cores than the last do not \
             raise the accuracy."
        )
    };
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
    let point = |point: &FrontierPoint| match Spent::of(point) {
        Spent::Cores(cores) => format!("{} at {}", percent(point.accuracy), counted(cores, "core")),
        Spent::Usd(price) => format!("{} at {}", percent(point.accuracy), usd(price)),
    };
    let ends = [points.first(), points.last()].into_iter().flatten().map(point);
    ends.collect::<Vec<_>>().join(" to ")
}

fn finding(points: &[FrontierPoint], chosen: Option<&Chosen>) -> String {
    let Some(chosen) = chosen else { return "The most accurate configuration at each step".to_owned() };
    let here = format!("{} {}", percent(chosen.accuracy), chosen.spent.words());
    match points.iter().find(|point| point.accuracy > chosen.accuracy + ROUNDING) {
        Some(next) => {
            format!("The plan reaches {here}; the next point is {} {}", percent(next.accuracy), Spent::of(next).words())
        }
        None => format!("The plan reaches {here}; no configuration within the inventory is more accurate"),
    }
}

fn draw(points: &[FrontierPoint], chosen: Option<&Chosen>) -> String {
    let all = || points.iter().map(|point| (Spent::of(point).number(), point.accuracy));
    let both = || all().chain(chosen.map(|chosen| (chosen.spent.number(), chosen.accuracy)));
    let (few, many) = ends(both().map(|(spent, _)| spent)).unwrap_or((0.0, 1.0));
    let rented = points.iter().any(|point| point.cost_usd_per_hour.is_some());
    let beside = if rented { 0.2 * (many - few).max(0.05 * many) } else { 1.0 };
    let (low, high) = ends(both().map(|(_, accuracy)| accuracy)).unwrap_or((0.0, 1.0));
    let room = 0.2 * (high - low).max(0.01);
    let frame = Frame { x: (few - beside).max(0.0)..many + beside, y: (low - room).max(0.0)..high + room };
    let axis = if rented { ("USD/h", false) } else { ("cores", true) };
    let mut canvas = Canvas::default();
    frame.draw_axes(&mut canvas, |part| format!("{}\u{a0}%", number(100.0 * part)), axis);
    canvas.text("", (0.0, 12.0), Anchor::Start, "accuracy");
    canvas.text("faint", (390.0, 12.0), Anchor::End, "chosen");
    canvas.dot("chosen", (390.0 - width("chosen") - 8.0, 8.0), 5.5);
    let marks: Vec<_> = all().collect();
    let line: Vec<_> = stairs(&marks).into_iter().map(|(x, y)| frame.at(x, y)).collect();
    canvas.line("claimed", &line);
    for (spent, accuracy) in all() {
        canvas.dot("other", frame.at(spent, accuracy), 4.0);
    }
    if let Some(chosen) = chosen {
        canvas.dot("chosen", frame.at(chosen.spent.number(), chosen.accuracy), 6.0);
    }
    canvas.finish(HEIGHT, &finding(points, chosen))
}

fn table(given: &Given<'_>, points: &[FrontierPoint], chosen: Option<&Chosen>) -> Table {
    let price = given.problem.map_or(0.0, |problem| problem.inventory.price_usd_per_core_hour.get());
    let is_chosen = |point: &FrontierPoint| {
        chosen.is_some_and(|chosen| {
            chosen.spent.is(Spent::of(point)) && (chosen.accuracy - point.accuracy).abs() < ROUNDING
        })
    };
    let row = |point: &FrontierPoint| {
        let lanes: Vec<String> = point.cores_of.iter().map(|(name, cores)| format!("{name} on {cores}")).collect();
        vec![
            point.cores.to_string(),
            percent(point.accuracy),
            match point.cost_usd_per_hour {
                Some(usd) => rounded(usd),
                None if price > 0.0 => rounded(price * f64::from(point.cores)),
                None => UNKNOWN.to_owned(),
            },
            format!("{}{}", listed(&lanes), if is_chosen(point) { " (chosen)" } else { "" }),
        ]
    };
    Table {
        caption: "Pareto frontier: cores of each variant".to_owned(),
        heads: vec![Head::number("cores"), Head::number("accuracy"), Head::number("USD/h"), Head::words("variants")],
        rows: points.iter().map(row).collect(),
    }
}
