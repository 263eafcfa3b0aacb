//! The one writer of SVG. Pictures of the page carry classes, whose colours follow light, dark and paper; pictures of their own
//! carry colours, and plotters draws them through [`Backend`].

use std::convert::Infallible;
use std::fmt::Write;

use crate::base::text::shown;
use plotters::prelude::DrawingBackend;
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{FontStyle, FontTransform};
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingErrorKind};

/// The width of every picture of the page in its own units: about what a phone shows, so that letters stay readable there.
pub(crate) const WIDTH: f64 = 400.0;
/// Height of ordinary letters.
pub(crate) const LETTERS: f64 = 12.0;
/// Width of a letter ÷ its height, on the safe side for the fonts of common systems.
const LETTER: f64 = 0.62;
/// What plotters calls the size of a font ÷ what SVG does.
const FONT_SCALE: f64 = 1.24;

/// Where a text stands relative to its point.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// The attributes of an element.
type Attributes<'a> = &'a [(&'a str, String)];

/// A picture that is being drawn.
#[derive(Debug, Default)]
pub(crate) struct Canvas {
    body: String,
}

impl Canvas {
    /// Draws a rectangle, `[x, y, width, height]`.
    pub fn rect(&mut self, class: &str, [x, y, width, height]: [f64; 4], radius: f64) {
        self.element(
            "rect",
            &[
                ("class", class.to_owned()),
                ("x", short(x)),
                ("y", short(y)),
                ("width", short(width.max(0.0))),
                ("height", short(height.max(0.0))),
                ("rx", short(radius)),
            ],
        );
    }

    /// Draws lines through points.
    pub fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        self.element("polyline", &[("class", class.to_owned()), ("points", joined(points.iter().copied()))]);
    }

    /// Draws a filled shape with these corners.
    pub fn shape(&mut self, class: &str, corners: &[(f64, f64)]) {
        self.element("polygon", &[("class", class.to_owned()), ("points", joined(corners.iter().copied()))]);
    }

    /// Draws a dot.
    pub fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64) {
        self.element(
            "circle",
            &[("class", class.to_owned()), ("cx", short(x)), ("cy", short(y)), ("r", short(radius))],
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
        let mut attributes = vec![("class", class.to_owned()), ("x", short(x)), ("y", short(y))];
        attributes.extend(anchor.attribute());
        self.words(&attributes, text);
    }

    /// Writes a text that is cut where it would be wider than this.
    pub fn fitted(&mut self, class: &str, at: (f64, f64), anchor: Anchor, text: &str, width: f64) {
        self.text(class, at, anchor, &cut(text, width));
    }

    /// Returns a picture of the page; `described` is what it shows, for those who do not see it.
    pub fn finish(self, height: f64, described: &str) -> String {
        format!("<svg viewBox=\"0 0 {WIDTH} {}\" {}>{}</svg>", short(height), role(described), self.body)
    }

    /// Returns a picture of its own, in pixels.
    pub fn finish_alone(self, (width, height): (u32, u32), described: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" {}>\n{}</svg>\n",
            role(described),
            self.body
        )
    }

    fn element(&mut self, name: &str, attributes: Attributes<'_>) {
        self.open(name, attributes);
        self.body += "/>";
    }

    fn words(&mut self, attributes: Attributes<'_>, text: &str) {
        self.open("text", attributes);
        let _ = write!(self.body, ">{}</text>", escaped(text));
    }

    fn open(&mut self, name: &str, attributes: Attributes<'_>) {
        let _ = write!(self.body, "<{name}");
        for (key, value) in attributes {
            let _ = write!(self.body, " {key}=\"{}\"", escaped(value));
        }
    }
}

impl Anchor {
    fn attribute(self) -> Option<(&'static str, String)> {
        match self {
            Self::Start => None,
            Self::Middle => Some(("text-anchor", "middle".to_owned())),
            Self::End => Some(("text-anchor", "end".to_owned())),
        }
    }
}

/// What plotters draws on.
pub(crate) struct Backend<'a> {
    /// The picture.
    pub canvas: &'a mut Canvas,
    /// Width and height in pixels.
    pub size: (u32, u32),
}

/// What a drawing of [`Backend`] returns: writing to memory does not fail.
type Drawn = Result<(), DrawingErrorKind<Infallible>>;

impl DrawingBackend for Backend<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, color: BackendColor) -> Drawn {
        self.draw_rect((x, y), (x + 1, y + 1), &color, true)
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        self.draw_path([from, to], style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        (left, top): BackendCoord,
        (right, bottom): BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let place = [("x", left), ("y", top), ("width", right - left), ("height", bottom - top)];
        self.painted("rect", Vec::from(place.map(|(key, value)| (key, value.to_string()))), style, fill)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn {
        self.painted("polyline", vec![("points", joined(path.into_iter().map(float)))], style, false)
    }

    fn draw_circle<S: BackendStyle>(&mut self, (x, y): BackendCoord, radius: u32, style: &S, fill: bool) -> Drawn {
        let place = vec![("cx", x.to_string()), ("cy", y.to_string()), ("r", radius.to_string())];
        self.painted("circle", place, style, fill)
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, corners: I, style: &S) -> Drawn {
        self.painted("polygon", vec![("points", joined(corners.into_iter().map(float)))], style, true)
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, (x, y): BackendCoord) -> Drawn {
        let anchor = match style.anchor().h_pos {
            HPos::Left => Anchor::Start,
            HPos::Center => Anchor::Middle,
            HPos::Right => Anchor::End,
        };
        let down = match style.anchor().v_pos {
            VPos::Top => "0.76em",
            VPos::Center => "0.5ex",
            VPos::Bottom => "-0.5ex",
        };
        let mut attributes = vec![("x", x.to_string()), ("y", y.to_string()), ("dy", down.to_owned())];
        attributes.extend(anchor.attribute());
        attributes.push(("font-size", short(style.size() / FONT_SCALE)));
        attributes.push(("fill", hex(style.color())));
        if matches!(style.style(), FontStyle::Bold) {
            attributes.push(("font-weight", "bold".to_owned()));
        }
        let turn = match style.transform() {
            FontTransform::None => None,
            FontTransform::Rotate90 => Some(90),
            FontTransform::Rotate180 => Some(180),
            FontTransform::Rotate270 => Some(270),
        };
        attributes.extend(turn.map(|turn| ("transform", format!("rotate({turn} {x} {y})"))));
        self.canvas.words(&attributes, text);
        self.canvas.body.push('\n');
        Ok(())
    }
}

impl Backend<'_> {
    /// Draws an element in the colour of a style, filled or as a line; nothing where the colour cannot be seen.
    fn painted<S: BackendStyle>(
        &mut self,
        name: &str,
        mut attributes: Vec<(&'static str, String)>,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let color = style.color();
        if color.alpha == 0.0 {
            return Ok(());
        }
        if fill {
            attributes.push(("fill", hex(color)));
        } else {
            let width = ("stroke-width", style.stroke_width().to_string());
            attributes.extend([("fill", "none".to_owned()), ("stroke", hex(color)), width]);
        }
        if color.alpha < 1.0 {
            attributes.push(("opacity", color.alpha.to_string()));
        }
        self.canvas.element(name, &attributes);
        self.canvas.body.push('\n');
        Ok(())
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

/// Returns a text as HTML and SVG carry it, also inside an attribute.
pub(crate) fn escaped(text: &str) -> String {
    shown(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn role(described: &str) -> String {
    format!("role=\"img\" aria-label=\"{}\"", escaped(described))
}

fn joined(points: impl Iterator<Item = (f64, f64)>) -> String {
    points.map(|(x, y)| format!("{},{}", short(x), short(y))).collect::<Vec<_>>().join(" ")
}

fn float((x, y): BackendCoord) -> (f64, f64) {
    (f64::from(x), f64::from(y))
}

fn hex(BackendColor { rgb: (red, green, blue), .. }: BackendColor) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Returns a coordinate to a tenth, which is finer than any screen shows.
fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), ToOwned::to_owned)
}
