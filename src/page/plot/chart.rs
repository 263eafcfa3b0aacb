//! What pictures of one chart share: title and note above, the legend to the right, and the look of the axes.

use plotters::chart::ChartContext;
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::{ChartBuilder, DrawingArea, DrawingBackend};

use super::palette::{GRID, INK};
use super::{Drawn, WIDTH, text};
use crate::page::formatting::number;

const HEAD: u32 = 62;

/// The areas of a chart and of its legend.
type Areas<DB> = (DrawingArea<DB, Shift>, DrawingArea<DB, Shift>);

/// Writes title and note, and returns the area of the chart and that of the legend, which is so wide.
pub fn framed<DB: DrawingBackend>(
    root: &DrawingArea<DB, Shift>,
    (title, note): (&str, &str),
    legend: u32,
) -> Result<Areas<DB>, plotters::drawing::DrawingAreaErrorKind<DB::ErrorType>> {
    root.draw_text(title, &text::title(), (16, 12))?;
    root.draw_text(note, &text::small(), (16, 38))?;
    let (_, below) = root.split_vertically(HEAD);
    Ok(below.split_horizontally(WIDTH - legend))
}

/// Begins a chart with room for the numbers and names of its axes.
pub fn begun<'a, 'b, DB: DrawingBackend>(area: &'a DrawingArea<DB, Shift>) -> ChartBuilder<'a, 'b, DB> {
    let mut builder = ChartBuilder::on(area);
    builder.margin(10).x_label_area_size(46).y_label_area_size(74);
    builder
}

/// Draws grid, axes and their names.
pub fn axes<DB, X, Y>(chart: &mut ChartContext<'_, DB, Cartesian2d<X, Y>>, x_name: &str, y_name: &str) -> Drawn<DB>
where
    DB: DrawingBackend,
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .light_line_style(plotters::style::TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(text::small())
        .axis_desc_style(text::label())
        .x_desc(x_name)
        .y_desc(y_name)
        .x_label_formatter(&|value| number(*value))
        .y_label_formatter(&|value| number(*value))
        .draw()
}
