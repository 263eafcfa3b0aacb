//! Panels stacked over one axis: step lines over spans of load or of time, with the gears as shaded bands.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::{
    Cartesian2d, ChartBuilder, ChartContext, DashedLineSeries, DrawingArea, DrawingBackend, EmptyElement, LineSeries,
    Rectangle, Text,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, ShapeStyle};

use super::palette::{BAND, FAINT, GRID, INK, LIMIT, LINE};
use super::{Drawn, WIDTH, text};
use crate::page::formatting::{ends, number};

const HEAD: u32 = 62;
const PANEL: u32 = 170;
/// What the name and the ticks of the shared axis take below the last panel.
const FOOT: u32 = 46;
const LEFT: u32 = 72;
/// Keeps the names of vertical axes off the edge.
const EDGE: u32 = 14;
const RIGHT: u32 = 24;

/// A picture of panels over one axis.
#[derive(Debug)]
pub struct Stack {
    /// What the picture says, in a sentence.
    pub title: String,
    /// What a reader must know to read it.
    pub note: String,
    /// Name and unit of the shared axis.
    pub x_label: &'static str,
    /// Where on the axis each value holds.
    pub spans: Vec<Range<f64>>,
    /// Where each gear is at work, with its label.
    pub bands: Vec<(Range<f64>, String)>,
    /// From top to bottom.
    pub panels: Vec<Panel>,
}

/// One quantity over the axis.
#[derive(Debug)]
pub struct Panel {
    /// Name and unit.
    pub label: &'static str,
    /// One value a span; nothing is drawn where there is none.
    pub values: Vec<Option<f64>>,
    /// What it is compared with, drawn thin behind it; empty where there is nothing.
    pub earlier: Vec<Option<f64>>,
    /// A limit, with what it is.
    pub limit: Option<(f64, String)>,
    /// How the vertical axis is laid out.
    pub axis: Axis,
}

/// How a vertical axis is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// From zero to a little above the largest value.
    FromZero,
    /// Around the values, never outside 0 to 1.
    Part,
    /// Whole numbers from zero.
    Whole,
}

type Chart<'a, DB> =
    ChartContext<'a, DB, Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>>;

impl Stack {
    /// Returns the height of the picture in pixels.
    pub fn height(&self) -> u32 {
        HEAD + PANEL * u32::try_from(self.panels.len()).unwrap_or(1) + FOOT
    }

    /// Draws the title and every panel.
    pub fn draw<DB: DrawingBackend>(&self, root: &DrawingArea<DB, Shift>) -> Drawn<DB> {
        root.draw_text(&self.title, &text::title(), (16, 12))?;
        root.draw_text(&self.note, &text::small(), (16, 38))?;
        let (_, mut rest) = root.split_vertically(HEAD);
        for (index, panel) in self.panels.iter().enumerate() {
            let last = index + 1 == self.panels.len();
            let (area, below) = rest.split_vertically(if last { PANEL + FOOT } else { PANEL });
            self.draw_panel(&area, panel, index == 0, last)?;
            rest = below;
        }
        Ok(())
    }

    fn draw_panel<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, Shift>,
        panel: &Panel,
        first: bool,
        last: bool,
    ) -> Drawn<DB> {
        let mut chart = ChartBuilder::on(area)
            .margin_top(16)
            .margin_left(EDGE)
            .margin_right(RIGHT)
            .x_label_area_size(if last { FOOT } else { 0 })
            .y_label_area_size(LEFT)
            .build_cartesian_2d(self.range(), panel.range())?;
        self.draw_bands(&mut chart, panel.range())?;
        draw_mesh(&mut chart, panel, last.then_some(self.x_label))?;
        if first {
            self.draw_band_labels(&mut chart, panel.range().end)?;
        }
        for line in steps(&self.spans, panel.earlier.iter().copied()) {
            chart.draw_series(LineSeries::new(line, FAINT.stroke_width(1)))?;
        }
        let style = LINE.stroke_width(2);
        for line in steps(&self.spans, panel.values.iter().copied()) {
            chart.draw_series(LineSeries::new(line, style))?;
        }
        match &panel.limit {
            Some(limit) => self.draw_limit(&mut chart, limit, panel.range().end),
            None => Ok(()),
        }
    }

    fn range(&self) -> Range<f64> {
        let start = self.spans.first().map_or(0.0, |span| span.start);
        let end = self.spans.last().map_or(1.0, |span| span.end);
        start..if end > start { end } else { start + 1.0 }
    }

    fn draw_bands<DB: DrawingBackend>(&self, chart: &mut Chart<'_, DB>, y: Range<f64>) -> Drawn<DB> {
        let shaded = self.bands.iter().skip(1).step_by(2);
        let rectangle =
            |(x, _): &(Range<f64>, String)| Rectangle::new([(x.start, y.start), (x.end, y.end)], BAND.filled());
        chart.draw_series(shaded.map(rectangle)).map(drop)
    }

    /// Names the bands from left to right; a name that would touch the one before it is left out.
    fn draw_band_labels<DB: DrawingBackend>(&self, chart: &mut Chart<'_, DB>, top: f64) -> Drawn<DB> {
        let range = self.range();
        let pixels = f64::from(WIDTH - EDGE - LEFT - RIGHT) / (range.end - range.start);
        let style = text::small().pos(Pos::new(HPos::Center, VPos::Top));
        let mut free_from = f64::NEG_INFINITY;
        for (band, name) in &self.bands {
            let middle = f64::midpoint(band.start, band.end) * pixels;
            let half = 4.0 * name.chars().count() as f64;
            if middle - half >= free_from {
                free_from = middle + half + 4.0;
                chart.draw_series([Text::new(name.clone(), (middle / pixels, top), style.clone())])?;
            }
        }
        Ok(())
    }

    fn draw_limit<DB: DrawingBackend>(
        &self,
        chart: &mut Chart<'_, DB>,
        (value, name): &(f64, String),
        top: f64,
    ) -> Drawn<DB> {
        let range = self.range();
        let style: ShapeStyle = LIMIT.stroke_width(2);
        chart.draw_series(DashedLineSeries::new([(range.start, *value), (range.end, *value)], 7, 5, style))?;
        // The corner is free: the axis leaves room above both the values and the limit.
        let label = text::small().color(&LIMIT).pos(Pos::new(HPos::Right, VPos::Top));
        let corner = EmptyElement::at((range.end, top)) + Text::new(format!("- - {name}"), (-4, 2), label);
        chart.draw_series([corner]).map(drop)
    }
}

fn draw_mesh<DB: DrawingBackend>(chart: &mut Chart<'_, DB>, panel: &Panel, x_label: Option<&str>) -> Drawn<DB> {
    let tick = |value: &f64| match panel.axis {
        Axis::Whole if value.fract() != 0.0 => String::new(),
        _ => number(*value),
    };
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh()
        .light_line_style(plotters::style::TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(text::small())
        .axis_desc_style(text::label())
        .y_desc(panel.label)
        .y_labels(5)
        .y_label_formatter(&tick)
        .x_label_formatter(&|value| number(*value));
    match x_label {
        Some(name) => mesh.x_desc(name).draw(),
        None => mesh.x_labels(0).draw(),
    }
}

impl Panel {
    /// Returns the range of the vertical axis, with room above for labels.
    fn range(&self) -> Range<f64> {
        let limit = self.limit.iter().map(|(value, _)| *value);
        let values = self.values.iter().chain(&self.earlier).flatten().copied();
        let (low, high) = ends(values.chain(limit)).unwrap_or((0.0, 0.0));
        match self.axis {
            Axis::FromZero if high > 0.0 => 0.0..high * 1.25,
            Axis::FromZero => 0.0..1.0,
            Axis::Whole => 0.0..(high + 0.6).max(1.6),
            Axis::Part => {
                let room = (high - low).max(0.01) * 0.25;
                (low - room).max(0.0)..high + room
            }
        }
    }
}

/// Returns the step lines of values over spans: one line for each unbroken run of values.
pub fn steps(spans: &[Range<f64>], values: impl Iterator<Item = Option<f64>>) -> Vec<Vec<(f64, f64)>> {
    let mut lines = vec![Vec::new()];
    for (span, value) in spans.iter().zip(values) {
        match (value, lines.last_mut()) {
            (Some(value), Some(line)) => line.extend([(span.start, value), (span.end, value)]),
            _ => lines.push(Vec::new()),
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}
