//! Letters and numbers: fonts that travel with the program, and numbers as people write them.

use std::sync::OnceLock;

use plotters::style::{FontDesc, FontFamily, FontStyle, RGBColor, TextStyle, register_font};

use super::palette::{FAINT, INK};
use crate::base::error::Error;

/// Registers the embedded fonts under the name that the SVG carries too.
///
/// # Errors
/// [`Error::Plot`] where a font cannot be read.
pub fn register_fonts() -> Result<(), Error> {
    static DONE: OnceLock<bool> = OnceLock::new();
    let register = |style, bytes| register_font("sans-serif", style, bytes).is_ok();
    let done = *DONE.get_or_init(|| {
        register(FontStyle::Normal, include_bytes!("../../../assets/fonts/DejaVuSans.ttf").as_slice())
            && register(FontStyle::Bold, include_bytes!("../../../assets/fonts/DejaVuSans-Bold.ttf").as_slice())
    });
    if done { Ok(()) } else { Err(Error::Plot("an embedded font cannot be read".to_owned())) }
}

/// Returns the style of the one sentence that a picture says.
pub fn title() -> TextStyle<'static> {
    FontDesc::new(FontFamily::SansSerif, 18.0, FontStyle::Bold).color(&INK)
}

/// Returns the style of axis names and of what a reader looks for.
pub fn label() -> TextStyle<'static> {
    plain(13.0, INK)
}

/// Returns the style of ticks and notes.
pub fn small() -> TextStyle<'static> {
    plain(12.0, FAINT)
}

fn plain(size: f64, colour: RGBColor) -> TextStyle<'static> {
    FontDesc::new(FontFamily::SansSerif, size, FontStyle::Normal).color(&colour)
}

/// Returns a number with a comma between thousands and without needless zeros.
pub fn number(value: f64) -> String {
    let digits = format!("{:.6}", value.abs());
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let sign = if value < 0.0 { "−" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}", grouped(whole))
}

/// Returns a number as text carries it: whole from 100 up, otherwise three significant digits.
pub fn rounded(value: f64) -> String {
    if value == 0.0 || value.abs() >= 100.0 {
        return number(value.round());
    }
    let scale = 10f64.powf(2.0 - value.abs().log10().floor());
    number((value * scale).round() / scale)
}

fn grouped(whole: &str) -> String {
    let mut text = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
