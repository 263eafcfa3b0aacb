//! Accuracy against cores, or against cost where cores have a price: the frontier as stairs, others' choices as marks.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::{Circle, DrawingArea, DrawingBackend, LineSeries, PathElement};
use plotters::style::{Color, RGBColor};

use super::chart::{axes, begun, framed};
use super::palette::series;
use super::{Drawn, text};
use crate::page::formatting::{ends, number, objective, rounded};
use crate::rooms::{Chooser, FrontierChoice, Frontiers};

/// The height of the picture in pixels.
pub const HEIGHT: u32 = 560;
const LEGEND: u32 = 200;

/// A picture of frontiers.
#[derive(Debug)]
pub struct Frontier {
    /// What the picture says, in a sentence.
    pub title: String,
    note: String,
    axis: &'static str,
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    name: String,
    is_frontier: bool,
    /// (cores or price, accuracy)
    marks: Vec<(f64, f64)>,
}

impl Frontier {
    /// Returns the lines: a frontier for each load, and others' choices at the last.
    pub fn of(frontiers: &Frontiers) -> Self {
        let choices = &frontiers.choices;
        let priced = choices.iter().any(|choice| choice.cost_usd_per_hour.get() > 0.0);
        let at = |choice: &FrontierChoice| {
            let spent = if priced { choice.cost_usd_per_hour.get() } else { f64::from(choice.cores) };
            (spent, choice.accuracy.get())
        };
        let loads = frontiers.loads();
        let last = loads.last().copied().unwrap_or_default();
        let mut lines: Vec<Line> = Vec::new();
        for choice in choices {
            let load = choice.load_rps.get();
            let is_frontier = choice.by == Chooser::Frontier;
            if !is_frontier && load != last {
                continue;
            }
            let name =
                if is_frontier { format!("{} requests/s", rounded(load)) } else { choice.by.as_str().to_owned() };
            match lines.iter_mut().find(|line| line.name == name) {
                Some(line) => line.marks.push(at(choice)),
                None => lines.push(Line { name, is_frontier, marks: vec![at(choice)] }),
            }
        }
        lines.sort_by_key(|line| !line.is_frontier);
        Self {
            title: title(frontiers, last),
            note: objective(&frontiers.slo),
            axis: if priced { "cost, USD/h" } else { "cores" },
            lines,
        }
    }

    /// Draws the title, the lines and the legend.
    pub fn draw<DB: DrawingBackend>(&self, root: &DrawingArea<DB, Shift>) -> Drawn<DB> {
        let (left, right) = framed(root, (&self.title, &self.note), LEGEND)?;
        self.draw_lines(&left)?;
        self.draw_legend(&right)
    }

    fn draw_lines<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Drawn<DB> {
        let spent = self.range(|mark| mark.0);
        let mut chart = begun(area).build_cartesian_2d(0.0..spent.end, self.range(|mark| mark.1))?;
        axes(&mut chart, self.axis, "accuracy")?;
        for (index, line) in self.lines.iter().enumerate() {
            let (colour, _) = series(index);
            if line.is_frontier {
                chart.draw_series(LineSeries::new(stairs(&line.marks), colour.stroke_width(2)))?;
            }
            let size = if line.is_frontier { 4 } else { 6 };
            chart.draw_series(line.marks.iter().map(|at| Circle::new(*at, size, style(colour, line))))?;
        }
        Ok(())
    }

    fn draw_legend<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Drawn<DB> {
        area.draw_text("line: exact frontier", &text::small(), (8, 14))?;
        area.draw_text("rings: others, at the last load", &text::small(), (8, 32))?;
        let mut y = 60;
        for (index, line) in self.lines.iter().enumerate() {
            let (colour, _) = series(index);
            if line.is_frontier {
                area.draw(&PathElement::new([(8, y), (32, y)], colour.stroke_width(2)))?;
            }
            area.draw(&Circle::new((20, y), 5, style(colour, line)))?;
            area.draw_text(&line.name, &text::label(), (40, y - 7))?;
            y += 22;
        }
        Ok(())
    }

    /// Returns the range of a coordinate over all marks, with a margin.
    fn range(&self, of: impl Fn(&(f64, f64)) -> f64) -> Range<f64> {
        let (low, high) = ends(self.lines.iter().flat_map(|line| &line.marks).map(of)).unwrap_or((0.0, 0.0));
        let margin = (0.06 * (high - low)).max(0.02 * high).max(1e-6);
        low - margin..high + margin
    }
}

fn style(colour: RGBColor, line: &Line) -> plotters::style::ShapeStyle {
    if line.is_frontier { colour.filled() } else { colour.stroke_width(2) }
}

/// Returns the corners between points: more is spent before more is gained.
pub fn stairs(marks: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let corners = marks.windows(2).flat_map(|pair| [pair[0], (pair[1].0, pair[0].1)]);
    corners.chain(marks.last().copied()).collect()
}

fn title(frontiers: &Frontiers, load: f64) -> String {
    let of = |choice: &&FrontierChoice| choice.by == Chooser::Frontier && choice.load_rps.get() == load;
    let mut own = frontiers.choices.iter().filter(of);
    let at = format!("{} at {} requests/s", frontiers.name, rounded(load));
    match (own.next(), own.next_back()) {
        (Some(few), Some(many)) if !few.machines.is_empty() => format!(
            "{at}: machines for {} to {} USD/h buy an accuracy of {:.3} to {:.3}",
            number(few.cost_usd_per_hour.get()),
            number(many.cost_usd_per_hour.get()),
            few.accuracy.get(),
            many.accuracy.get()
        ),
        (Some(only), None) if !only.machines.is_empty() => format!(
            "{at}: machines for {} USD/h give an accuracy of {:.3}, more buy none",
            number(only.cost_usd_per_hour.get()),
            only.accuracy.get()
        ),
        (Some(few), Some(many)) => format!(
            "{at}: {} to {} cores buy an accuracy of {:.3} to {:.3}",
            few.cores,
            many.cores,
            few.accuracy.get(),
            many.accuracy.get()
        ),
        (Some(only), None) => {
            format!("{at}: {} cores give an accuracy of {:.3}, more buy none", only.cores, only.accuracy.get())
        }
        _ => format!("{at}: nothing carries it"),
    }
}
