//! Pictures as SVG text whose colours are classes of the page, so that they follow its light and dark.

use std::fmt::Write;

use super::html::escaped;

/// The width of every picture in its own units: about what a phone shows, so that letters stay readable there.
pub(crate) const WIDTH: f64 = 400.0;
/// Height of ordinary letters.
pub(crate) const LETTERS: f64 = 12.0;
/// Width of a letter ÷ its height, on the safe side for the fonts of common systems.
const LETTER: f64 = 0.62;

/// Where a text stands relative to its point.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A picture that is being drawn.
#[derive(Debug, Default)]
pub(crate) struct Canvas {
    body: String,
}

impl Canvas {
    /// Draws a rectangle, `[x, y, width, height]`.
    pub fn rect(&mut self, class: &str, [x, y, width, height]: [f64; 4], radius: f64) {
        let _ = write!(
            self.body,
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"{}\"/>",
            short(x),
            short(y),
            short(width.max(0.0)),
            short(height.max(0.0)),
            short(radius)
        );
    }

    /// Draws lines through points.
    pub fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{},{}", short(*x), short(*y))).collect();
        let _ = write!(self.body, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "));
    }

    /// Draws a filled shape with these corners.
    pub fn shape(&mut self, class: &str, corners: &[(f64, f64)]) {
        let corners: Vec<String> = corners.iter().map(|(x, y)| format!("{},{}", short(*x), short(*y))).collect();
        let _ = write!(self.body, "<polygon class=\"{class}\" points=\"{}\"/>", corners.join(" "));
    }

    /// Draws a dot.
    pub fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64) {
        let _ = write!(
            self.body,
            "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"{}\"/>",
            short(x),
            short(y),
            short(radius)
        );
    }

    /// Draws an arrow through points; its head is at the last.
    pub fn arrow(&mut self, points: &[(f64, f64)]) {
        let (Some(&(x, y)), Some(&(from_x, from_y))) = (points.last(), points.iter().rev().nth(1)) else { return };
        self.line("wire", points);
        let length = (x - from_x).hypot(y - from_y).max(1e-9);
        let (along_x, along_y) = ((x - from_x) / length, (y - from_y) / length);
        let corner = |side: f64| (x - 7.0 * along_x + side * 3.5 * along_y, y - 7.0 * along_y - side * 3.5 * along_x);
        self.shape("head", &[(x, y), corner(1.0), corner(-1.0)]);
    }

    /// Writes a text on a base line.
    pub fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let _ = write!(
            self.body,
            "<text class=\"{class}\" x=\"{}\" y=\"{}\"{anchor}>{}</text>",
            short(x),
            short(y),
            escaped(text)
        );
    }

    /// Writes a text that is cut where it would be wider than this.
    pub fn fitted(&mut self, class: &str, at: (f64, f64), anchor: Anchor, text: &str, width: f64) {
        self.text(class, at, anchor, &cut(text, width));
    }

    /// Returns the picture; `described` is what it shows, for those who do not see it.
    pub fn finish(self, height: f64, described: &str) -> String {
        format!(
            "<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{}\">{}</svg>",
            short(height),
            escaped(described),
            self.body
        )
    }
}

/// Returns about how wide a text is in ordinary letters.
pub(crate) fn width(text: &str) -> f64 {
    LETTER * LETTERS * text.chars().count() as f64
}

fn cut(text: &str, most: f64) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let letters = (most / (LETTER * LETTERS)).floor().max(2.0) as usize;
    text.chars().take(letters - 1).chain(['…']).collect()
}

/// Returns a coordinate to a tenth, which is finer than any screen shows.
fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), ToOwned::to_owned)
}
