//! IDX, the format of MNIST: a magic of 4 bytes with the element type and the number of dimensions, big-endian sizes, then
//! big-endian numbers. Gzipped where the bytes or the name say so.

use std::path::Path;

use super::{Data, Tensor, elements};
use crate::base::files;
use crate::base::finding::Findings;
use crate::tensor::samples::bad;

const ACTION: &str = "data files are IDX files (magic 00 00, then 08 for unsigned bytes, 09 bytes, 0b 16-bit or 0c 32-bit whole \
                      numbers, 0d 32-bit or 0e 64-bit floats, then the number of dimensions), .npy, .npz, .json as \
                      perf_analyzer takes it, or .safetensors";

/// Reads an IDX file's bytes.
pub fn parse(file: &Path, raw: Vec<u8>) -> Result<Tensor, Findings> {
    let bad = |cause: String| bad(file, cause, ACTION);
    let bytes = files::unpacked(file, raw).map_err(|error| bad(format!("cannot be unpacked: {error}")))?;
    let (kind, dimensions) = match bytes.first_chunk::<4>() {
        Some(&[0, 0, kind @ (0x08 | 0x09 | 0x0b..=0x0e), dimensions @ 1..=8]) => (kind, dimensions),
        _ => return Err(bad(format!("the magic is {:02x?}", &bytes[..bytes.len().min(4)]))),
    };
    let start = 4 + 4 * usize::from(dimensions);
    let header = bytes.get(4..start).ok_or_else(|| bad("the sizes are cut short".into()))?;
    let shape: Vec<usize> =
        header.chunks_exact(4).map(|size| size.iter().fold(0, |size, &byte| (size << 8) | usize::from(byte))).collect();
    let width = match kind {
        0x08 | 0x09 => 1,
        0x0b => 2,
        0x0c | 0x0d => 4,
        _ => 8,
    };
    let body = &bytes[start..];
    if elements(&shape).and_then(|count| count.checked_mul(width)) != Some(body.len()) {
        return Err(bad(format!("{} bytes follow where the sizes {shape:?} promise others", body.len())));
    }
    let data = match kind {
        0x08 => Data::U8(body.to_vec()),
        0x09 => Data::I8(body.iter().map(|&byte| byte.cast_signed()).collect()),
        0x0b => Data::I16(body.as_chunks().0.iter().map(|&bytes| i16::from_be_bytes(bytes)).collect()),
        0x0c => Data::I32(body.as_chunks().0.iter().map(|&bytes| i32::from_be_bytes(bytes)).collect()),
        0x0d => Data::F32(body.as_chunks().0.iter().map(|&bytes| f32::from_be_bytes(bytes)).collect()),
        _ => Data::F64(body.as_chunks().0.iter().map(|&bytes| f64::from_be_bytes(bytes)).collect()),
    };
    Ok(Tensor::new(shape, data).expect("the sizes were held against the bytes"))
}
