//! How likely it may be that a plan breaks its SLO because facts were wrong.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::base::units::Share;

/// The word for taking facts as they are.
const NONE: &str = "none";

/// The probability that may be left that the SLO is broken at some load because facts were wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Risk {
    /// `"none"`: facts are taken as they are.
    None,
    /// So much.
    Share(Share),
}

impl Serialize for Risk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => NONE.serialize(serializer),
            Self::Share(share) => share.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Risk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrNone)
    }
}

struct NumberOrNone;

impl de::Visitor<'_> for NumberOrNone {
    type Value = Risk;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number from 0 to 1, or \"none\"")
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Risk, E> {
        Share::new(number).map(Risk::Share).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Risk, E> {
        self.visit_f64(number as f64)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Risk, E> {
        if text == NONE { Ok(Risk::None) } else { Err(E::invalid_value(de::Unexpected::Str(text), &self)) }
    }
}

impl JsonSchema for Risk {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Risk".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "number", "minimum": 0.0, "maximum": 1.0 }, { "const": NONE }] })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::{Risk, Share};

    #[test]
    fn a_risk_is_a_share_or_none() {
        for (value, risk) in [(json!("none"), Risk::None), (json!(0.05), Risk::Share(Share::saturating(0.05)))] {
            assert_eq!(from_value::<Risk>(value.clone()).expect("a risk"), risk);
            assert_eq!(serde_json::to_value(risk).expect("plain data"), value);
        }
        for bad in [json!("None"), json!(1.5), json!(true), json!(-1)] {
            assert!(from_value::<Risk>(bad.clone()).is_err(), "{bad}");
        }
    }
}
