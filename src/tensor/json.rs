//! The JSON that perf_analyzer takes: an entry for each sample, which names its inputs.
//!
//! ```json
//! {"data": [{"INPUT": [1, 2, 3]}, {"INPUT": {"content": [4, 5, 6], "shape": [3]}}]}
//! ```
//!
//! A list without `shape` has one dimension, or as many as its lists are nested. Whole numbers become int64, numbers with a
//! fraction float64; they are converted to what a model takes where nothing is lost.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{Data, Named, Tensor, elements};
use crate::base::finding::Findings;
use crate::tensor::samples::bad;

const ACTION: &str = r#"write {"data": [{"INPUT": [1, 2, 3]}, {"INPUT": {"content": [4, 5, 6], "shape": [3]}}]}"#;

/// Lists within lists of one value at most.
const MOST_NESTED: usize = 16;

#[derive(Deserialize)]
struct File {
    data: Vec<Value>,
}

/// The shape and the values of one sample's input.
type Sample = (Vec<usize>, Vec<Value>);

/// Reads the inputs of a file's bytes, in the order of their names; the first dimension of each counts the entries.
pub fn parse(file: &Path, bytes: &[u8]) -> Result<Vec<Named>, Findings> {
    let bad = |cause: String| bad(file, cause, ACTION);
    let File { data } = serde_json::from_slice(bytes).map_err(|error| bad(format!("cannot be read: {error}")))?;
    let mut inputs: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    let entries = data.len();
    for (number, entry) in data.into_iter().enumerate() {
        let bad = |cause: String| bad(format!("entry {number} of `data` {cause}"));
        // Entries in a list of their own are the steps of one sequence, which perf_analyzer sends one after another.
        let Value::Object(entry) = entry else { return Err(bad("is no object of inputs".to_owned())) };
        for (name, value) in entry {
            let sample = sample(value).map_err(|cause| bad(format!("has an input `{name}` that {cause}")))?;
            inputs.entry(name).or_default().push(sample);
        }
    }
    let tensor = |(name, samples): (String, Vec<Sample>)| {
        let bad = |cause: String| bad(format!("input `{name}` {cause}"));
        if samples.len() != entries {
            return Err(bad(format!("stands in {} of {entries} entries", samples.len())));
        }
        let shape = samples[0].0.clone();
        if let Some(number) = samples.iter().position(|sample| sample.0 != shape) {
            let cause = format!("has shape {:?} in entry {number} and {shape:?} in entry 0", samples[number].0);
            return Err(bad(cause + "; pad them to one length"));
        }
        let values: Vec<Value> = samples.into_iter().flat_map(|sample| sample.1).collect();
        let data = elements_of(&values).ok_or_else(|| bad("mixes numbers, text and truth values".to_owned()))?;
        let shape = std::iter::once(entries).chain(shape).collect();
        let tensor =
            Tensor::new(shape, data).ok_or_else(|| bad("has another number of values than its shape".to_owned()))?;
        Ok(Named::new(name.clone(), tensor))
    };
    inputs.into_iter().map(tensor).collect()
}

/// Returns the shape and the values of one sample's input.
fn sample(value: Value) -> Result<Sample, String> {
    let (content, shape) = match value {
        Value::Object(mut object) => {
            let content = object.remove("content").ok_or("has no `content`")?;
            let shape = object.remove("shape").map(serde_json::from_value::<Vec<usize>>).transpose();
            (content, shape.map_err(|error| format!("has a `shape` that is none: {error}"))?)
        }
        list @ Value::Array(_) => (list, None),
        _ => return Err("is neither a list nor an object with `content`".to_owned()),
    };
    let mut values = Vec::new();
    let nested = flatten(content, MOST_NESTED, &mut values)?;
    let shape = shape.unwrap_or(nested);
    if elements(&shape) != Some(values.len()) {
        return Err(format!("has {} values where its shape {shape:?} promises others", values.len()));
    }
    Ok((shape, values))
}

/// Takes lists within lists apart and returns their shape.
fn flatten(value: Value, nested: usize, values: &mut Vec<Value>) -> Result<Vec<usize>, String> {
    let Value::Array(items) = value else {
        values.push(value);
        return Ok(Vec::new());
    };
    if nested == 0 {
        return Err(format!("nests more than {MOST_NESTED} lists"));
    }
    let count = items.len();
    let mut within = None;
    for item in items {
        let shape = flatten(item, nested - 1, values)?;
        if *within.get_or_insert_with(|| shape.clone()) != shape {
            return Err("has lists of different lengths".to_owned());
        }
    }
    Ok(std::iter::once(count).chain(within.unwrap_or_default()).collect())
}

/// Returns values as the narrowest of int64, uint64 and float64 that holds them, text, or truth values.
fn elements_of(values: &[Value]) -> Option<Data> {
    fn all<T>(values: &[Value], read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
        values.iter().map(read).collect()
    }
    None.or_else(|| all(values, Value::as_i64).map(Data::I64))
        .or_else(|| all(values, Value::as_u64).map(Data::U64))
        .or_else(|| all(values, Value::as_f64).map(Data::F64))
        .or_else(|| all(values, Value::as_bool).map(Data::Bool))
        .or_else(|| all(values, |value| value.as_str().map(str::to_owned)).map(Data::String))
}
