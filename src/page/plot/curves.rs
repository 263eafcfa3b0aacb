//! Latency against throughput: one line a variant, through its batches.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::combinators::{BindKeyPoints, LogCoord, WithKeyPoints};
use plotters::prelude::{
    Circle, DrawingArea, DrawingBackend, EmptyElement, IntoLogRange, LineSeries, PathElement, Text,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, ShapeStyle};

use super::chart::{axes, begun, framed};
use super::palette::{PAPER, series};
use super::{Drawn, text};
use crate::page::formatting::{ends, rounded};
use crate::profile::{Point, Profile};

/// The height of the picture in pixels.
pub const HEIGHT: u32 = 600;
const LEGEND: u32 = 170;

/// A picture of latency against throughput.
#[derive(Debug)]
pub struct Curves {
    /// What the picture says, in a sentence.
    pub title: String,
    note: String,
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    name: String,
    marks: Vec<Mark>,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    throughput: f64,
    latency: f64,
    batch: u32,
}

impl Curves {
    /// Returns the lines of a profile, on the fewest cores that were measured.
    pub fn of(profile: &Profile) -> Self {
        let cores = profile.points.iter().map(|point| point.cores).min().unwrap_or(1);
        let mut lines: Vec<Line> = Vec::new();
        for point in profile.points.iter().filter(|point| point.cores == cores).filter(|point| drawable(point)) {
            let (name, mark) = (name(point), Mark::of(point));
            match lines.iter_mut().find(|line| line.name == name) {
                Some(line) => line.marks.push(mark),
                None => lines.push(Line { name, marks: vec![mark] }),
            }
        }
        for line in &mut lines {
            line.marks.sort_by_key(|mark| mark.batch);
        }
        let on = if cores == 1 { "1 core".to_owned() } else { format!("{cores} cores") };
        Self { title: title(profile, &lines, &on), note: note(profile), lines }
    }

    /// Draws the title, the lines and the legend.
    pub fn draw<DB: DrawingBackend>(&self, root: &DrawingArea<DB, Shift>) -> Drawn<DB> {
        let (left, right) = framed(root, (&self.title, &self.note), LEGEND)?;
        self.draw_lines(&left)?;
        self.draw_legend(&right)
    }

    fn draw_lines<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Drawn<DB> {
        let (x, y) = (self.range(|mark| mark.throughput), self.range(|mark| mark.latency));
        let mut chart = begun(area).build_cartesian_2d(log_axis(x), log_axis(y))?;
        axes(&mut chart, "throughput of one replica, samples/s", "median latency of a call, ms")?;
        for (index, line) in self.lines.iter().enumerate() {
            let (colour, filled) = series(index);
            let at = |mark: &Mark| (mark.throughput, mark.latency);
            chart.draw_series(LineSeries::new(line.marks.iter().map(at), colour.stroke_width(2)))?;
            chart.draw_series(line.marks.iter().map(|mark| dot(at(mark), PAPER.filled())))?;
            chart.draw_series(line.marks.iter().map(|mark| dot(at(mark), outline(colour, filled))))?;
        }
        let label = |mark: &Mark| {
            let (offset, side) = if self.is_crowded(mark) { (-7, HPos::Right) } else { (7, HPos::Left) };
            let style = text::small().pos(Pos::new(side, VPos::Top));
            EmptyElement::at((mark.throughput, mark.latency)) + Text::new(mark.batch.to_string(), (offset, 2), style)
        };
        chart.draw_series(self.marks().map(label)).map(drop)
    }

    /// Tells whether another mark stands where the label to the right of this one would.
    fn is_crowded(&self, mark: &Mark) -> bool {
        self.marks().any(|other| {
            let (right, up) = (other.throughput / mark.throughput, other.latency / mark.latency);
            right > 1.0 && right < 1.25 && (0.8..1.25).contains(&up)
        })
    }

    fn marks(&self) -> impl Iterator<Item = &Mark> {
        self.lines.iter().flat_map(|line| &line.marks)
    }

    fn draw_legend<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Drawn<DB> {
        area.draw_text("variant", &text::small(), (8, 14))?;
        let mut y = 42;
        for (index, line) in self.lines.iter().enumerate() {
            let (colour, filled) = series(index);
            area.draw(&PathElement::new([(8, y), (32, y)], colour.stroke_width(2)))?;
            area.draw(&dot((20, y), PAPER.filled()))?;
            area.draw(&dot((20, y), outline(colour, filled)))?;
            area.draw_text(&line.name, &text::label(), (40, y - 7))?;
            y += 22;
        }
        area.draw_text("numbers: batch", &text::small(), (8, y))
    }

    /// Returns the range of a coordinate over all marks, with a margin that looks even on a log axis.
    fn range(&self, of: impl Fn(&Mark) -> f64) -> Range<f64> {
        ends(self.marks().map(of)).map_or(0.1..10.0, |(low, high)| low / 1.4..high * 1.4)
    }
}

impl Mark {
    fn of(point: &Point) -> Self {
        let (throughput, latency) = (point.throughput_rps.get(), point.latency.p50.value_ms.get());
        Self { throughput, latency, batch: point.batch }
    }
}

fn log_axis(range: Range<f64>) -> WithKeyPoints<LogCoord<f64>> {
    let ticks = log_ticks(&range);
    range.log_scale().with_key_points(ticks)
}

/// Returns the powers of ten inside a range, and where they are few their two- and fivefold too.
fn log_ticks(range: &Range<f64>) -> Vec<f64> {
    let decades = (range.end / range.start).log10();
    let steps: &[f64] = if decades > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let powers = (range.start.log10().floor() as i32)..=(range.end.log10().ceil() as i32);
    let ticks = powers.flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
    ticks.filter(|tick| range.contains(tick)).collect()
}

/// Tells whether a point has a place on log axes.
fn drawable(point: &Point) -> bool {
    point.throughput_rps.get() > 0.0 && point.latency.p50.value_ms.get() > 0.0
}

fn name(point: &Point) -> String {
    if point.device == "cpu" { point.variant.clone() } else { format!("{} on {}", point.variant, point.device) }
}

fn title(profile: &Profile, lines: &[Line], on: &str) -> String {
    let rates = lines.iter().flat_map(|line| &line.marks).map(|mark| mark.throughput);
    let Some((low, high)) = ends(rates) else {
        return format!("{}: nothing was measured", profile.task);
    };
    let variants = if lines.len() == 1 { "1 variant".to_owned() } else { format!("{} variants", lines.len()) };
    format!("{}: {variants}, {} to {} samples/s on {on}", profile.task, rounded(low), rounded(high))
}

fn note(profile: &Profile) -> String {
    let host = &profile.host;
    if host.cpu.is_empty() { profile.provenance.tool.clone() } else { format!("Measured on {}", host.cpu) }
}

fn dot<C>(at: C, style: ShapeStyle) -> Circle<C, i32> {
    Circle::new(at, 4, style)
}

fn outline(colour: plotters::style::RGBColor, filled: bool) -> ShapeStyle {
    if filled { colour.filled() } else { colour.stroke_width(2) }
}
