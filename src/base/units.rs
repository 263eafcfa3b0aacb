//! Checked numbers: a value of one of these types is finite and inside its range, wherever it came from.
//!
//! Files carry the unit in the key (`latency_ms`, `rate_rps`); the type carries the range. The JSON Schemas state the
//! same ranges, because both are made from the one table at the end of this file.

use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A number that is not allowed where it stands.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{value} is not allowed: {what} is a finite number {range}")]
pub struct OutOfRange {
    /// The number that was given.
    pub value: f64,
    /// The name of the quantity, as the user knows it.
    pub what: &'static str,
    /// The allowed range, in words.
    pub range: &'static str,
}

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $what:literal, $min:literal ..= $max:expr, $range:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            /// The smallest allowed value.
            pub const ZERO: Self = Self(0.0);

            /// Returns the checked quantity.
            ///
            /// # Errors
            /// [`OutOfRange`] where `value` is not finite or lies outside the range.
            pub fn new(value: f64) -> Result<Self, OutOfRange> {
                let max: Option<f64> = $max;
                if value.is_finite() && value >= $min && max.is_none_or(|max| value <= max) {
                    Ok(Self(value))
                } else {
                    Err(OutOfRange { value, what: $what, range: $range })
                }
            }

            /// Returns the nearest allowed value; for results of arithmetic that rounding may push over an edge.
            #[must_use]
            pub fn saturating(value: f64) -> Self {
                let max: Option<f64> = $max;
                let value = if value.is_nan() { $min } else { value.max($min) };
                Self(value.min(max.unwrap_or(f64::MAX)))
            }

            /// Returns the plain number, in the unit of the type.
            #[must_use]
            pub const fn get(self) -> f64 {
                self.0
            }
        }

        impl TryFrom<f64> for $name {
            type Error = OutOfRange;
            fn try_from(value: f64) -> Result<Self, OutOfRange> {
                Self::new(value)
            }
        }

        impl From<$name> for f64 {
            fn from(quantity: $name) -> f64 {
                quantity.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let max: Option<f64> = $max;
                match max {
                    Some(max) => json_schema!({ "type": "number", "minimum": $min, "maximum": max }),
                    None => json_schema!({ "type": "number", "minimum": $min }),
                }
            }
        }
    };
}

quantity!(
    /// A request rate, in requests per second.
    Rate, "a rate", 0.0 ..= None, "of at least 0"
);
quantity!(
    /// A part of a whole, 0 to 1.
    Share, "a share", 0.0 ..= Some(1.0), "from 0 to 1"
);
quantity!(
    /// The part of requests answered rightly, 0 to 1.
    Accuracy, "an accuracy", 0.0 ..= Some(1.0), "from 0 to 1"
);
quantity!(
    /// How sure a variant is of one answer, 0 to 1 (top-1 minus top-2 probability unless said otherwise).
    Certainty, "a certainty", 0.0 ..= Some(1.0), "from 0 to 1"
);
quantity!(
    /// Time in milliseconds, as files carry it; [`Millis::duration`] leads to the clock's type.
    Millis, "a time in milliseconds", 0.0 ..= None, "of at least 0"
);
quantity!(
    /// Time in seconds, for what is slow.
    Seconds, "a time in seconds", 0.0 ..= None, "of at least 0"
);
quantity!(
    /// Memory in megabytes (10^6 bytes).
    Megabytes, "an amount of memory", 0.0 ..= None, "of at least 0"
);
quantity!(
    /// Money in US dollars.
    Usd, "an amount of money", 0.0 ..= None, "of at least 0"
);
quantity!(
    /// Energy in joules.
    Joules, "an amount of energy", 0.0 ..= None, "of at least 0"
);
quantity!(
    /// A weight, factor or margin without a unit.
    Factor, "a factor", 0.0 ..= None, "of at least 0"
);

impl Millis {
    /// Returns the time as the clock's type, rounded to nanoseconds.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::try_from_secs_f64(self.0 / 1e3).unwrap_or(Duration::MAX)
    }
}

impl Seconds {
    /// Returns the time in nanoseconds, as clocks and simulations count it.
    #[must_use]
    pub fn nanos(self) -> u64 {
        (self.0 * 1e9).round() as u64
    }
}

impl From<Duration> for Millis {
    fn from(duration: Duration) -> Self {
        Self(duration.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::{Millis, Rate, Share};
    use std::time::Duration;

    #[test]
    fn refuses_what_is_not_finite_or_out_of_range() {
        for bad in [f64::NAN, f64::INFINITY, -0.1] {
            assert!(Rate::new(bad).is_err(), "{bad}");
        }
        assert!(Share::new(1.0 + 1e-9).is_err());
        assert_eq!(Share::saturating(1.0 + 1e-9).get(), 1.0);
        assert_eq!(Share::saturating(f64::NAN).get(), 0.0);
    }

    #[test]
    fn says_what_is_allowed() {
        let message = Share::new(1.5).expect_err("1.5 is no share").to_string();
        assert_eq!(message, "1.5 is not allowed: a share is a finite number from 0 to 1");
    }

    #[test]
    fn millis_and_durations_agree() {
        let time = Duration::from_micros(1_250);
        assert_eq!(Millis::from(time).duration(), time);
        assert_eq!(Millis::new(1.25).expect("positive").duration(), time);
    }
}
