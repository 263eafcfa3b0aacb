//! Colours: Okabe and Ito's eight, which people with any common kind of colour vision can tell apart.

use plotters::style::RGBColor;

/// The background.
pub const PAPER: RGBColor = RGBColor(255, 255, 255);
/// Text and frames.
pub const INK: RGBColor = RGBColor(40, 40, 40);
/// Text that is read second.
pub const FAINT: RGBColor = RGBColor(105, 105, 105);
/// Grid lines.
pub const GRID: RGBColor = RGBColor(222, 222, 222);
/// Every second band.
pub const BAND: RGBColor = RGBColor(240, 243, 247);
/// The line that carries the facts where there is only one.
pub const LINE: RGBColor = SERIES[0];
/// A limit that must be kept.
pub const LIMIT: RGBColor = SERIES[1];

/// One colour a series; Okabe and Ito's yellow is left out because it fades on white.
const SERIES: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// Returns the colour of a series, and whether its marks are filled: the second seven are told apart by hollow marks.
pub const fn series(index: usize) -> (RGBColor, bool) {
    (SERIES[index % SERIES.len()], (index / SERIES.len()).is_multiple_of(2))
}
