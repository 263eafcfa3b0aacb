//! Letters: fonts that travel with the program, and the styles of texts.

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
