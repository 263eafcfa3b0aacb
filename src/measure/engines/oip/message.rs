//! What goes to and fro: the protocol's JSON.

use std::fmt;

use serde::de::{DeserializeSeed, Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The only type of numbers that goes to and fro.
pub const FP32: &str = "FP32";

/// What a server says of itself.
#[derive(Deserialize)]
pub struct About {
    pub name: String,
    pub version: String,
}

/// What a server says of a model.
#[derive(Deserialize)]
pub struct Metadata {
    #[serde(default)]
    pub inputs: Vec<Described>,
    #[serde(default)]
    pub outputs: Vec<Described>,
}

#[derive(Deserialize)]
pub struct Described {
    pub name: String,
    pub datatype: String,
}

#[derive(Serialize)]
pub struct Infer<'a> {
    pub inputs: [Sent<'a>; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Wanted<'a>>,
}

#[derive(Serialize)]
pub struct Sent<'a> {
    pub name: &'a str,
    pub shape: &'a [usize],
    pub datatype: &'a str,
    pub data: &'a [f32],
}

#[derive(Serialize)]
pub struct Wanted<'a> {
    pub name: &'a str,
}

#[derive(Deserialize)]
pub struct Inferred {
    pub outputs: Vec<Received>,
}

#[derive(Deserialize)]
pub struct Received {
    pub name: String,
    pub datatype: String,
    pub shape: Vec<usize>,
    pub data: Data,
}

#[derive(Deserialize)]
pub struct Refusal {
    pub error: String,
}

/// A tensor's numbers, row-major. The protocol leaves open whether they come flat or as lists of lists, and servers write
/// a number that is none as `null`.
#[derive(Debug, Default, PartialEq)]
pub struct Data {
    pub values: Vec<f32>,
    /// How many lists the outermost list has, where the numbers come nested.
    pub rows: Option<usize>,
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut data = Self::default();
        data.rows = deserializer.deserialize_seq(Level(&mut data.values))?;
        Ok(data)
    }
}

/// One list of a tensor, whose numbers go behind those that are there; yields how many lists it holds.
struct Level<'a>(&'a mut Vec<f32>);

impl<'de> Visitor<'de> for Level<'_> {
    type Value = Option<usize>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of numbers, or of such lists")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut lists = 0;
        while let Some(is_list) = elements.next_element_seed(Element(self.0))? {
            lists += usize::from(is_list);
        }
        Ok((lists > 0).then_some(lists))
    }
}

/// A number or a list; yields whether it is a list.
struct Element<'a>(&'a mut Vec<f32>);

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number or a list of numbers")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<bool, E> {
        self.0.push(value as f32);
        Ok(false)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<bool, E> {
        self.visit_f64(value as f64)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<bool, E> {
        self.visit_f64(value as f64)
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        self.visit_f64(f64::NAN)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<bool, A::Error> {
        Level(self.0).visit_seq(elements).map(|_| true)
    }
}

/// Returns JSON with `null` for the `NaN`, `Infinity` and `-Infinity` that Python and RapidJSON write and JSON lacks.
/// What stands in strings stays.
pub fn without_literals(text: &str) -> String {
    let (mut clean, mut rest, mut quoted) = (String::with_capacity(text.len()), text, false);
    while let Some(letter) = rest.chars().next() {
        let literal = ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| !quoted && rest.starts_with(word));
        let length = match (literal, letter) {
            (Some(word), _) => word.len(),
            // The letter after a backslash ends no string.
            (None, '\\') => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            (None, letter) => letter.len_utf8(),
        };
        quoted ^= letter == '"';
        clean.push_str(if literal.is_some() { "null" } else { &rest[..length] });
        rest = &rest[length..];
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::{Data, without_literals};

    #[test]
    fn data_is_read_flat_and_nested() {
        let read = |text| serde_json::from_str::<Data>(text);
        for (text, rows) in [("[1,2.5,-3,4]", None), ("[[1,2.5],[-3,4]]", Some(2)), ("[[[1,2.5,-3,4]]]", Some(1))] {
            let data = read(text).expect(text);
            assert_eq!((data.values, data.rows), (vec![1.0, 2.5, -3.0, 4.0], rows), "{text}");
        }
        let none = read("[1,null]").expect("null stands for no number").values;
        assert!(none[0] == 1.0 && none[1].is_nan());
        assert_eq!(read("[]").expect("an empty list"), Data::default());
        for text in ["1", "[\"x\"]", "[true]", "{}", &"[".repeat(100_000)] {
            assert!(read(text).is_err(), "{text:.20}");
        }
    }

    #[test]
    fn literals_become_null_outside_of_strings() {
        for (text, wanted) in [
            ("[NaN,-Infinity,Infinity,1]", "[null,null,null,1]"),
            (r#"{"a NaN":"\"NaN","b":NaN}"#, r#"{"a NaN":"\"NaN","b":null}"#),
            ("é\\", "é\\"),
            ("\\é", "\\é"),
        ] {
            assert_eq!(without_literals(text), wanted);
        }
    }
}
