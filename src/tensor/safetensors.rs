//! Safetensors: a length of 8 bytes, a JSON object that names each tensor's type, shape and place, then the tensors' bytes.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::npy::numbers;
use super::{DType, Named, Tensor, elements};
use crate::base::finding::Findings;
use crate::tensor::samples::bad;

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// Reads the tensors of a file's bytes, in the order of their names.
pub fn parse(file: &Path, bytes: &[u8]) -> Result<Vec<Named>, Findings> {
    let bad = |cause: String| bad(file, cause, "save it again with safetensors' save_file");
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(|| bad("it is cut short".to_owned()))?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let (header, body) =
        rest.split_at_checked(length).ok_or_else(|| bad("it is cut short within its header".to_owned()))?;
    let entries: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(header).map_err(|error| bad(format!("its header cannot be read: {error}")))?;
    let tensor = |(name, entry): (String, serde_json::Value)| {
        let bad = |cause: &str| bad(format!("tensor `{name}` {cause}"));
        let Entry { dtype, shape, data_offsets: [begin, end] } =
            serde_json::from_value(entry).map_err(|error| bad(&format!("cannot be understood: {error}")))?;
        let kind = element(&dtype).ok_or_else(|| bad(&format!("has elements `{dtype}`, which no model takes")))?;
        let within = body.get(begin..end).ok_or_else(|| bad("lies outside the file"))?;
        let wanted = elements(&shape).zip(kind.bytes()).and_then(|(count, width)| count.checked_mul(width));
        if wanted != Some(within.len()) {
            return Err(bad(&format!("has {} bytes where its shape {shape:?} promises others", within.len())));
        }
        let tensor = Tensor::new(shape, numbers(within, kind, false)).ok_or_else(|| bad("has another shape"))?;
        Ok(Named::new(name, tensor))
    };
    entries.into_iter().filter(|(name, _)| name != "__metadata__").map(tensor).collect()
}

fn element(name: &str) -> Option<DType> {
    Some(match name {
        "F16" => DType::F16,
        "BF16" => DType::BF16,
        "F32" => DType::F32,
        "F64" => DType::F64,
        "I8" => DType::I8,
        "U8" => DType::U8,
        "I16" => DType::I16,
        "U16" => DType::U16,
        "I32" => DType::I32,
        "U32" => DType::U32,
        "I64" => DType::I64,
        "U64" => DType::U64,
        "BOOL" => DType::Bool,
        _ => return None,
    })
}
