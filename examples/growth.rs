//! How the exact searches grow: `cargo run --release --example growth -- docs/img/growth.svg`.
//!
//! Times one solution, from nothing, for more and more stages, variants, batches and cores, and draws the median and the worst
//! of several instances. The instances are those of the benches `choice` and `variant_set`.

#[path = "../benches/instances/pipelines.rs"]
mod pipelines;
#[path = "../benches/instances/variant_sets.rs"]
mod variant_sets;

use std::time::Instant;

use pipelines::{pipeline_at, size};
use planner::optimize::choice::{ChoiceMetric, labels};
use planner::optimize::fill::at_load;
use plotters::coord::Shift;
use plotters::prelude::{
    ChartBuilder, Circle, DrawingArea, IntoDrawingArea, IntoLogRange, LineSeries, RGBColor, SVGBackend, WHITE,
};
use plotters::style::{Color, FontStyle, register_font};
use variant_sets::{highest, variant_set};

const BLUE: RGBColor = RGBColor(0, 114, 178);
const ORANGE: RGBColor = RGBColor(213, 94, 0);

/// The load of the pipelines, in requests per second.
const LOAD: f64 = 20.0;

/// Times of one size in milliseconds, sorted.
struct Timed {
    size: u32,
    ms: Vec<f64>,
}

struct Panel {
    title: &'static str,
    axis: &'static str,
    points: Vec<Timed>,
}

fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).ok_or_else(|| anyhow::anyhow!("usage: growth FILE.svg"))?;
    let sizes = |size: &[u32], timed: &dyn Fn(u32) -> Vec<f64>| -> Vec<Timed> {
        size.iter().map(|&size| Timed { size, ms: timed(size) }).collect()
    };
    let panels = [
        Panel {
            title: "stages (9 variants, 3 batches, sum)",
            axis: "stages",
            points: sizes(&[2, 3, 5, 9, 14, 20, 28, 40], &|stages| pipelines(stages, 9, 3)),
        },
        Panel {
            title: "variants a stage (9 stages, 3 batches, sum)",
            axis: "variants",
            points: sizes(&[2, 4, 6, 9, 14, 20, 30, 40], &|variants| pipelines(9, variants, 3)),
        },
        Panel {
            title: "batches (9 stages, 9 variants, sum)",
            axis: "batches",
            points: sizes(&[1, 2, 3, 4, 5, 6, 7, 8], &|batches| pipelines(9, 9, batches)),
        },
        Panel {
            title: "cores (12 variants side by side)",
            axis: "cores",
            points: sizes(&[8, 16, 32, 64, 128, 256], &variants_on),
        },
    ];
    for panel in &panels {
        for Timed { size, ms } in &panel.points {
            say(&format!("{},{size},{:.4},{:.4}", panel.axis, ms[ms.len() / 2], ms[ms.len() - 1]));
        }
    }
    draw(&file, &panels).map_err(|error| anyhow::anyhow!("{file}: {error}"))
}

#[expect(clippy::print_stdout, reason = "the numbers are the answer")]
fn say(line: &str) {
    println!("{line}");
}

/// Returns the best of three times of one solution, in milliseconds.
fn timed<T>(solve: impl Fn() -> T) -> f64 {
    let once = || {
        let begin = Instant::now();
        std::hint::black_box(solve());
        begin.elapsed().as_secs_f64() * 1e3
    };
    (0..3).map(|_| once()).fold(f64::INFINITY, f64::min)
}

fn pipelines(stages: u32, variants: u32, batches: u32) -> Vec<f64> {
    let tightness = [0.03, 0.05, 0.1, 0.15, 0.25, 0.4, 0.6];
    let mut ms: Vec<f64> = tightness
        .iter()
        .map(|&tightness| {
            let choice = pipeline_at(LOAD, size(stages, variants, batches), ChoiceMetric::Sum, tightness);
            timed(|| labels::solve(&choice))
        })
        .collect();
    ms.sort_by(f64::total_cmp);
    ms
}

fn variants_on(cores: u32) -> Vec<f64> {
    let instance = variant_set(12, cores);
    let highest = highest(&instance);
    let mut ms: Vec<f64> =
        (1..=25).map(|part| timed(|| at_load::solve(&instance, highest * f64::from(part) / 25.5))).collect();
    ms.sort_by(f64::total_cmp);
    ms
}

fn draw(file: &str, panels: &[Panel]) -> Result<(), Box<dyn std::error::Error>> {
    let font = include_bytes!("../assets/fonts/DejaVuSans.ttf");
    register_font("sans-serif", FontStyle::Normal, font).map_err(|_| "the font cannot be read")?;
    let root = SVGBackend::new(file, (960, 700)).into_drawing_area();
    root.fill(&WHITE)?;
    let title =
        "Solving exactly stays in milliseconds as problems grow: one solution, median (blue) and worst (orange)";
    let below = root.titled(title, ("sans-serif", 17))?;
    for (panel, area) in panels.iter().zip(below.split_evenly((2, 2))) {
        draw_panel(panel, &area)?;
    }
    root.present()?;
    Ok(())
}

fn draw_panel(panel: &Panel, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), Box<dyn std::error::Error>> {
    let worst = |timed: &Timed| timed.ms[timed.ms.len() - 1];
    let median = |timed: &Timed| timed.ms[timed.ms.len() / 2];
    let sizes = || panel.points.iter().map(|timed| f64::from(timed.size));
    let (low, high) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max));
    let least = panel.points.iter().map(median).fold(f64::INFINITY, f64::min);
    let most = panel.points.iter().map(worst).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(panel.title, ("sans-serif", 14))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d((low / 1.2..high * 1.2).log_scale(), (least / 2.0..most * 2.0).log_scale())?;
    chart.configure_mesh().x_desc(panel.axis).y_desc("time of one solution, ms").light_line_style(WHITE).draw()?;
    for (colour, of) in [(BLUE, &median as &dyn Fn(&Timed) -> f64), (ORANGE, &worst)] {
        let points = || panel.points.iter().map(|timed| (f64::from(timed.size), of(timed)));
        chart.draw_series(LineSeries::new(points(), colour.stroke_width(2)))?;
        chart.draw_series(points().map(|at| Circle::new(at, 3, colour.filled())))?;
    }
    Ok(())
}
