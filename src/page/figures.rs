//! Accuracy, latency, cost and utilisation over load: what each gear claims, and what trials saw at its highest rate.

use std::ops::Range;

use super::formatting::{ends, gears_named, listed, ms, number, percent, quantile, range, rounded, sentence, usd};
use super::plot::{spans, steps};
use super::svg::{Anchor, Canvas, WIDTH, width};
use super::{Block, Figure, Given, Seen, text};
use crate::plan::Gear;

const HEIGHT: f64 = 232.0;
const LEFT: f64 = 54.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 42.0;
const BOTTOM: f64 = 42.0;

/// One quantity over the load.
struct Panel {
    /// What it says.
    finding: String,
    /// Name and unit of the vertical axis.
    name: String,
    /// How its ticks are written.
    write: fn(f64) -> String,
    claimed: Vec<Option<f64>>,
    simulated: Vec<Option<f64>>,
    replayed: Vec<Option<f64>>,
    limit: Option<(f64, String)>,
    from_zero: bool,
}

pub(crate) fn blocks(given: &Given<'_>) -> Vec<Block> {
    let all = [accuracy(given), latency(given), cost(given), utilisation(given)];
    let (drawn, missing): (Vec<Panel>, Vec<Panel>) = all.into_iter().partition(|panel| panel.values().next().is_some());
    let mut blocks = Vec::new();
    if !drawn.is_empty() {
        blocks.push(text(
            "Claims and trials are at each gear's highest rate. Shaded bands are gears, numbered as in the plan.",
        ));
        let spans = spans(given.plan);
        blocks.push(Block::Figures(drawn.iter().map(|panel| panel.figure(&spans)).collect()));
    }
    if !missing.is_empty() {
        let names: Vec<String> = missing.iter().map(|panel| panel.name.clone()).collect();
        blocks.push(text(format!("Neither claimed nor measured: {}.", listed(&names))));
    }
    blocks
}

fn accuracy(given: &Given<'_>) -> Panel {
    let trials = !super::claims::is_pipeline(given);
    let seen = |seen: &Seen| seen.accuracy.filter(|_| trials);
    let claimed = |gear: &Gear| Some(gear.claims.accuracy?.value.get());
    Panel {
        name: "accuracy".to_owned(),
        write: |part| format!("{}\u{a0}%", number(100.0 * part)),
        ..panel(given, claimed, seen, |panel| panel.trend("accuracy", percent))
    }
}

fn latency(given: &Given<'_>) -> Panel {
    let slo = given.plan.slo;
    let (name, asked) = (quantile(&slo), slo.latency_ms.get());
    let finding = |panel: &Panel| {
        let highest = panel.values().fold(0.0, f64::max);
        let late: Vec<usize> = (0..panel.simulated.len()).filter(|&index| panel.is_above(index, asked)).collect();
        match late.as_slice() {
            [] => format!("the {name} is at most {}, the SLO is {}", ms(highest), ms(asked)),
            late => format!("the {name} exceeds the SLO of {} in {}", ms(asked), gears_named(late)),
        }
    };
    let claimed = |gear: &Gear| Some(gear.claims.latency?.value_ms.get());
    Panel {
        name: format!("{name}, ms"),
        limit: Some((asked, format!("SLO {}", ms(asked)))),
        from_zero: true,
        ..panel(given, claimed, |seen| seen.latency_ms, finding)
    }
}

fn cost(given: &Given<'_>) -> Panel {
    let claimed = |gear: &Gear| gear.claims.cost_usd_per_hour.map(f64::from);
    Panel {
        name: "cost, USD/h".to_owned(),
        from_zero: true,
        ..panel(given, claimed, |seen| seen.cost_usd_per_hour, |panel| panel.trend("cost", usd))
    }
}

fn utilisation(given: &Given<'_>) -> Panel {
    let claimed = |gear: &Gear| busiest(gear.claims.utilisation.values().map(|share| share.get()));
    let finding = |panel: &Panel| {
        let busy = range(panel.first().flatten(), |part| format!("{:.0}\u{a0}%", 100.0 * part)).unwrap_or_default();
        format!("The utilization of the busiest pool is {busy}")
    };
    Panel {
        name: "peak utilization".to_owned(),
        write: |part| format!("{}\u{a0}%", number(100.0 * part)),
        from_zero: true,
        ..panel(given, claimed, |seen| busiest(seen.utilisation.values().copied()), finding)
    }
}

fn busiest(parts: impl Iterator<Item = f64>) -> Option<f64> {
    Some(ends(parts)?.1)
}

fn panel(
    given: &Given<'_>,
    claimed: impl Fn(&Gear) -> Option<f64>,
    seen: impl Fn(&Seen) -> Option<f64>,
    finding: impl Fn(&Panel) -> String,
) -> Panel {
    let gears = || 0..given.plan.gears.len();
    let of = |trials: Option<&super::Trials>| -> Vec<Option<f64>> {
        gears().map(|index| seen(trials?.gear(index)?)).collect()
    };
    let mut panel = Panel {
        finding: String::new(),
        name: String::new(),
        write: rounded,
        claimed: given.plan.gears.iter().map(claimed).collect(),
        simulated: of(given.simulated.ok()),
        replayed: of(given.replayed),
        limit: None,
        from_zero: false,
    };
    panel.finding = sentence(&finding(&panel));
    panel
}

impl Panel {
    fn values(&self) -> impl Iterator<Item = f64> {
        self.claimed.iter().chain(&self.simulated).chain(&self.replayed).flatten().copied()
    }

    /// Returns the values of the first source that says anything, which the line follows.
    fn first(&self) -> impl Iterator<Item = Option<f64>> + Clone {
        let lines = [&self.claimed, &self.simulated, &self.replayed];
        let first = lines.into_iter().find(|line| line.iter().any(Option::is_some)).unwrap_or(&self.claimed);
        first.iter().copied()
    }

    /// Says how the values of that source change from the lowest gear to the highest.
    fn trend(&self, what: &str, write: fn(f64) -> String) -> String {
        let values: Vec<f64> = self.first().flatten().collect();
        let (Some(&first), Some(&last), Some((low, high))) =
            (values.first(), values.last(), ends(values.iter().copied()))
        else {
            return what.to_owned();
        };
        let how = if write(low) == write(high) {
            format!("is {} at every load", write(low))
        } else if first == low && last == high {
            format!("rises from {} to {}", write(low), write(high))
        } else if first == high && last == low {
            format!("falls from {} to {}", write(high), write(low))
        } else {
            format!("lies between {} and {}", write(low), write(high))
        };
        format!("{} {what} {how}", self.source())
    }

    fn source(&self) -> &'static str {
        match (self.claimed.iter().any(Option::is_some), self.simulated.iter().any(Option::is_some)) {
            (true, _) => "claimed",
            (false, true) => "simulated",
            (false, false) => "replayed",
        }
    }

    fn is_above(&self, index: usize, limit: f64) -> bool {
        let values = [self.claimed[index], self.simulated[index], self.replayed[index]];
        values.into_iter().flatten().any(|value| value > limit * (1.0 + 1e-4))
    }

    fn figure(&self, spans: &[Range<f64>]) -> Figure {
        Figure {
            finding: self.finding.clone(),
            note: String::new(),
            described: format!("{} of each gear over the load in requests/s.", sentence(&self.name)),
            svg: self.draw(spans),
        }
    }

    fn draw(&self, spans: &[Range<f64>]) -> String {
        let frame = Frame { x: 0.0..spans.last().map_or(1.0, |span| span.end), y: self.range() };
        let mut canvas = Canvas::default();
        draw_bands(&mut canvas, &frame, spans);
        frame.draw_axes(&mut canvas, self.write, ("load, requests/s", false));
        canvas.fitted("", (0.0, 12.0), Anchor::Start, &self.name, 150.0);
        if let Some((limit, name)) = &self.limit {
            canvas.line("limit", &[frame.at(frame.x.start, *limit), frame.at(frame.x.end, *limit)]);
            let (x, y) = frame.at(frame.x.end, *limit);
            canvas.text("limit-text", (x - 4.0, y - 5.0), Anchor::End, name);
        }
        for line in steps(spans, self.first()) {
            let points: Vec<_> = line.into_iter().map(|(x, y)| frame.at(x, y)).collect();
            canvas.line("claimed", &points);
        }
        for (span, value) in spans.iter().zip(&self.simulated) {
            if let Some(value) = value {
                canvas.dot("simulated", frame.at(span.end, *value), 4.5);
            }
        }
        for (span, value) in spans.iter().zip(&self.replayed) {
            if let Some(value) = value {
                diamond(&mut canvas, frame.at(span.end, *value));
            }
        }
        self.draw_legend(&mut canvas);
        canvas.finish(HEIGHT, &self.finding)
    }

    /// Names the marks, from the right.
    fn draw_legend(&self, canvas: &mut Canvas) {
        let mut right = WIDTH - RIGHT;
        let lines = [(&self.replayed, "replayed"), (&self.simulated, "simulated"), (&self.claimed, "claimed")];
        for (_, name) in lines.into_iter().filter(|(values, _)| values.iter().any(Option::is_some)) {
            canvas.text("faint", (right, 12.0), Anchor::End, name);
            let x = right - width(name) - 8.0;
            match name {
                "claimed" => canvas.line("claimed", &[(x - 9.0, 8.0), (x + 5.0, 8.0)]),
                "simulated" => canvas.dot("simulated", (x, 8.0), 4.5),
                _ => diamond(canvas, (x, 8.0)),
            }
            right = x - 16.0;
        }
    }

    /// Returns the range of the vertical axis: from zero, or around the values.
    fn range(&self) -> Range<f64> {
        let limit = self.limit.iter().map(|(value, _)| *value);
        let (low, high) = ends(self.values().chain(limit)).unwrap_or((0.0, 1.0));
        if self.from_zero {
            return 0.0..if high > 0.0 { high * 1.18 } else { 1.0 };
        }
        let room = 0.2 * (high - low).max(0.01);
        (low - room).max(0.0)..high + room
    }
}

fn diamond(canvas: &mut Canvas, (x, y): (f64, f64)) {
    canvas.shape("replayed", &[(x, y - 6.0), (x + 6.0, y), (x, y + 6.0), (x - 6.0, y)]);
}

fn draw_bands(canvas: &mut Canvas, frame: &Frame, spans: &[Range<f64>]) {
    let mut free_from = f64::NEG_INFINITY;
    for (index, span) in spans.iter().enumerate() {
        let ((from, top), (to, bottom)) = (frame.at(span.start, frame.y.end), frame.at(span.end, frame.y.start));
        if index % 2 == 1 {
            canvas.rect("band", [from, top, to - from, bottom - top], 0.0);
        }
        let (middle, half) = (f64::midpoint(from, to), 0.5 * width(&index.to_string()));
        if spans.len() > 1 && middle - half >= free_from && to - from > half {
            canvas.text("faint", (middle, top - 5.0), Anchor::Middle, &index.to_string());
            free_from = middle + half + 2.0;
        }
    }
}

/// The ranges of two axes, and where they lie in the picture.
pub(crate) struct Frame {
    pub x: Range<f64>,
    pub y: Range<f64>,
}

impl Frame {
    /// Returns where a point lies.
    pub fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let part = |value: f64, range: &Range<f64>| (value - range.start) / (range.end - range.start).max(1e-300);
        (LEFT + part(x, &self.x) * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - part(y, &self.y) * (HEIGHT - TOP - BOTTOM))
    }

    /// Draws both axes with their ticks, and the name of the horizontal one, with whether it counts something whole.
    pub fn draw_axes(&self, canvas: &mut Canvas, write: fn(f64) -> String, (x_name, whole): (&str, bool)) {
        for tick in ticks(&self.y, 4) {
            let (x, y) = self.at(self.x.start, tick);
            canvas.line("grid", &[(x, y), self.at(self.x.end, tick)]);
            canvas.text("faint", (x - 6.0, y + 4.0), Anchor::End, &write(tick));
        }
        let (left, bottom) = self.at(self.x.start, self.y.start);
        canvas.line("axis", &[(left, bottom), self.at(self.x.end, self.y.start)]);
        for tick in ticks(&self.x, 4).into_iter().filter(|tick| !whole || tick.fract() == 0.0) {
            let (x, y) = self.at(tick, self.y.start);
            canvas.line("axis", &[(x, y), (x, y + 4.0)]);
            let (name, half) = (number(tick), 0.5 * width(&number(tick)));
            canvas.text("faint", (x.min(WIDTH - half), y + 17.0), Anchor::Middle, &name);
        }
        canvas.text("", (f64::midpoint(left, WIDTH - RIGHT), bottom + 34.0), Anchor::Middle, x_name);
    }
}

/// Returns about so many round numbers in a range.
fn ticks(range: &Range<f64>, about: u32) -> Vec<f64> {
    let rough = (range.end - range.start).max(1e-300) / f64::from(about);
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|by| by * power).find(|step| *step >= 0.7 * rough);
    let step = step.unwrap_or(10.0 * power);
    let (first, last) = ((range.start / step - 1e-9).ceil(), (range.end / step + 1e-9).floor());
    // Multiples, not sums, so that 0.3 is 0.3.
    (0..=(last - first).clamp(0.0, 20.0) as u32).map(|index| (first + f64::from(index)) * step).collect()
}

#[cfg(test)]
mod tests {
    use super::ticks;

    #[test]
    fn ticks_are_round_and_inside() {
        let rounded = |range| ticks(&range, 4).into_iter().map(|tick| format!("{tick:.4}")).collect::<Vec<_>>();
        assert_eq!(rounded(0.0..11.8), ["0.0000", "5.0000", "10.0000"]);
        assert_eq!(rounded(0.931..0.957), ["0.9350", "0.9400", "0.9450", "0.9500", "0.9550"]);
        assert_eq!(rounded(0.0..40_000.0).last().map(String::as_str), Some("40000.0000"));
    }
}
