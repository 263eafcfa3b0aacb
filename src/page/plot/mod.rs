//! Pictures of profiles, plans and reports, as SVG text, PNG bytes or an HTML page.
//!
//! ```text
//! Plan, Report ──▶ Stack (panels over one axis) ──┐
//! Profile ──▶ Curves (log against log) ───────────┴──▶ any plotters backend ──▶ svg, png; html is a page that holds the svg
//! ```
//!
//! A picture is first plain data and then drawn by one function for all backends. The same input gives the same bytes:
//! text is laid out, and in PNG drawn, with two fonts inside the program, so no font of the machine plays a part.

mod chart;
mod curves;
mod frontier;
mod page;
mod palette;
mod plan;
mod report;
mod stack;
mod text;

use plotters::coord::Shift;
use plotters::drawing::DrawingAreaErrorKind;
use plotters::prelude::{BitMapBackend, DrawingArea, DrawingBackend, IntoDrawingArea};

use super::svg::{Backend, Canvas};
use crate::base::error::Error;
use crate::plan::Plan;
use crate::profile::Profile;
use crate::rooms::Frontiers;
use crate::simulate::Report;

pub(crate) use frontier::stairs;
pub use page::html;
pub(crate) use plan::spans;
pub(crate) use stack::steps;

/// The width of every picture, in pixels.
const WIDTH: u32 = 960;

/// What a drawing function returns.
type Drawn<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// Something that can be drawn.
#[derive(Debug, Clone, Copy)]
pub enum Figure<'a> {
    /// What a plan claims, against load: accuracy, latency, cost.
    PlanOverLoad(&'a Plan),
    /// What two plans claim, against load: the second over the first.
    PlansOverLoad(&'a Plan, &'a Plan),
    /// Latency against throughput for each variant of a profile.
    ProfileCurves(&'a Profile),
    /// Accuracy against cores or cost at one or several loads, with what others would choose.
    Frontiers(&'a Frontiers),
    /// What a trial saw, against time: rate, gear, latency, accuracy, cost.
    ReportOverTime(&'a Report),
}

/// A picture as data, ready for any backend.
enum Scene {
    Stack(stack::Stack),
    Curves(curves::Curves),
    Frontier(frontier::Frontier),
}

impl Scene {
    fn of(figure: Figure<'_>) -> Self {
        match figure {
            Figure::PlanOverLoad(plan) => Self::Stack(plan::over_load(plan)),
            Figure::PlansOverLoad(before, after) => Self::Stack(plan::beside(before, after)),
            Figure::ProfileCurves(profile) => Self::Curves(curves::Curves::of(profile)),
            Figure::Frontiers(frontiers) => Self::Frontier(frontier::Frontier::of(frontiers)),
            Figure::ReportOverTime(report) => Self::Stack(report::over_time(report)),
        }
    }

    fn size(&self) -> (u32, u32) {
        match self {
            Self::Stack(stack) => (WIDTH, stack.height()),
            Self::Curves(_) => (WIDTH, curves::HEIGHT),
            Self::Frontier(_) => (WIDTH, frontier::HEIGHT),
        }
    }

    /// Returns what the picture says.
    fn title(&self) -> &str {
        match self {
            Self::Stack(stack) => &stack.title,
            Self::Curves(curves) => &curves.title,
            Self::Frontier(frontier) => &frontier.title,
        }
    }

    fn draw<DB: DrawingBackend>(&self, root: &DrawingArea<DB, Shift>) -> Drawn<DB> {
        root.fill(&palette::PAPER)?;
        match self {
            Self::Stack(stack) => stack.draw(root)?,
            Self::Curves(curves) => curves.draw(root)?,
            Self::Frontier(frontier) => frontier.draw(root)?,
        }
        root.present()
    }
}

/// Draws a figure as SVG text.
///
/// # Errors
/// [`Error::Plot`] where the backend refuses.
pub fn svg(figure: Figure<'_>) -> Result<String, Error> {
    text::register_fonts()?;
    let scene = Scene::of(figure);
    let (mut canvas, size) = (Canvas::default(), scene.size());
    scene.draw(&Backend { canvas: &mut canvas, size }.into_drawing_area()).map_err(refused)?;
    Ok(canvas.finish_alone(size, scene.title()))
}

/// Draws a figure as the bytes of a PNG file.
///
/// # Errors
/// [`Error::Plot`] where the backend or the encoder refuses.
pub fn png(figure: Figure<'_>) -> Result<Vec<u8>, Error> {
    text::register_fonts()?;
    let scene = Scene::of(figure);
    let (width, height) = scene.size();
    let mut pixels = vec![0; width as usize * height as usize * 3];
    scene.draw(&BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area()).map_err(refused)?;
    encode(&pixels, width, height).map_err(refused)
}

fn encode(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

fn refused(error: impl std::fmt::Display) -> Error {
    Error::Plot(error.to_string())
}

#[cfg(test)]
mod tests;
