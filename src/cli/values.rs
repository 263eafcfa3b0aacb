//! Values on the command line: text to a checked number, and what is said where it is none.

use std::time::Duration;

use crate::base::units::{Megabytes, Millis, OutOfRange, Share};

pub fn share(text: &str) -> Result<Share, String> {
    quantity(text, Share::new)
}

pub fn millis(text: &str) -> Result<Millis, String> {
    quantity(text, Millis::new)
}

pub fn megabytes(text: &str) -> Result<Megabytes, String> {
    quantity(text, Megabytes::new)
}

pub fn quantity<T>(text: &str, checked: fn(f64) -> Result<T, OutOfRange>) -> Result<T, String> {
    checked(number(text)?).map_err(|error| error.to_string())
}

pub fn seconds(text: &str) -> Result<Duration, String> {
    let time = Duration::try_from_secs_f64(number(text)?).ok().filter(|time| !time.is_zero());
    time.ok_or_else(|| "a time is a positive number of seconds".to_owned())
}

/// A number from 0 to 1, both included.
pub fn part(text: &str) -> Result<f64, String> {
    let number = number(text)?;
    if (0.0..=1.0).contains(&number) { Ok(number) } else { Err(format!("{number} is no part from 0 to 1")) }
}

pub fn positive(text: &str) -> Result<f64, String> {
    let positive = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    positive.ok_or_else(|| format!("`{text}` is no number above 0"))
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}
