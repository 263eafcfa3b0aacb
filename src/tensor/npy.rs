//! NumPy's files: `.npy` holds an array behind a header that is a Python dictionary, `.npz` is a zip archive of them.
//!
//! ```text
//! \x93NUMPY 1 0 <length, 2 or 4 bytes> {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }\n <elements>
//! ```
//!
//! Memory is asked for when bytes have come, never because a header promises them: an array takes what its file holds, and an
//! archive unpacks to at most [`LARGEST_UNPACKED`](crate::base::files::LARGEST_UNPACKED) bytes.

use std::io::{Cursor, Read, Write};
use std::path::Path;

use half::f16;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::{DType, Data, Named, Tensor, elements, map_each};
use crate::base::files::LARGEST_UNPACKED;
use crate::base::finding::Findings;
use crate::tensor::samples::bad;

/// Arrays of one archive at most.
const MOST_ARRAYS: usize = 10_000;

const ACTION: &str = "save it again with numpy.save or numpy.savez from arrays of numbers, truth values or text";

/// Reads the arrays of an `.npz` file's bytes, in the order of their names.
///
/// # Errors
/// A finding with the array that cannot be read.
pub fn read_npz(file: &Path, bytes: &[u8]) -> Result<Vec<Named>, Findings> {
    let broken = |error: &dyn std::fmt::Display| bad(file, format!("cannot be read as a zip archive: {error}"), ACTION);
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| broken(&error))?;
    if archive.len() > MOST_ARRAYS {
        return Err(bad(file, format!("it holds {} files", archive.len()), "an .npz holds at most 10,000 arrays"));
    }
    let (mut arrays, mut left) = (Vec::new(), LARGEST_UNPACKED);
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|error| broken(&error))?;
        let name = entry.name().map_err(|error| broken(&error))?.into_owned();
        let mut unpacked = Vec::new();
        entry.take(left + 1).read_to_end(&mut unpacked).map_err(|error| broken(&error))?;
        left = left.checked_sub(unpacked.len() as u64).ok_or_else(|| {
            bad(file, "it unpacks to more than 1 GiB, the most that is read".to_owned(), "give fewer samples")
        })?;
        let name = name.strip_suffix(".npy").unwrap_or(&name).to_owned();
        let tensor = parse(&unpacked).map_err(|cause| bad(file, format!("array `{name}`: {cause}"), ACTION))?;
        arrays.push(Named::new(name, tensor));
    }
    arrays.sort_by(|a, b| a.name.cmp(&b.name));
    match arrays.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => Err(bad(file, format!("two arrays are called `{}`", pair[0].name), ACTION)),
        None => Ok(arrays),
    }
}

/// Reads an `.npy` file's bytes.
pub fn read_npy(file: &Path, bytes: &[u8]) -> Result<Tensor, Findings> {
    parse(bytes).map_err(|cause| bad(file, cause, ACTION))
}

/// Returns an `.npz` archive of some arrays, not compressed.
///
/// # Panics
/// Never: writing to memory does not fail.
#[must_use]
pub fn to_npz<'a>(arrays: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
    for (name, tensor) in arrays {
        archive.start_file(format!("{name}.npy"), options).expect("memory takes all bytes");
        archive.write_all(&to_npy(tensor)).expect("memory takes all bytes");
    }
    archive.finish().expect("memory takes all bytes").into_inner()
}

/// What the header of an array says.
struct Header {
    element: Descr,
    fortran: bool,
    shape: Vec<usize>,
}

/// What the elements of an array are, as NumPy writes it.
#[derive(Clone, Copy)]
enum Descr {
    /// Numbers or truth values, and whether their bytes stand in big-endian order.
    Number(DType, bool),
    /// Text of at most so many letters of 4 bytes.
    Letters(usize, bool),
    /// Text of at most so many bytes.
    Bytes(usize),
}

impl Descr {
    const fn width(self) -> usize {
        match self {
            Self::Number(dtype, _) => match dtype.bytes() {
                Some(bytes) => bytes,
                None => 0,
            },
            Self::Letters(letters, _) => letters.saturating_mul(4),
            Self::Bytes(bytes) => bytes,
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Tensor, String> {
    let (text, body) = header_of(bytes)?;
    let Header { element, fortran, shape } = header(text)?;
    let wanted = elements(&shape).and_then(|count| count.checked_mul(element.width()));
    if wanted != Some(body.len()) {
        return Err(format!("{} bytes follow where the shape {shape:?} of `{text}` promises others", body.len()));
    }
    let data = match element {
        Descr::Number(dtype, is_big) => numbers(body, dtype, is_big),
        Descr::Letters(letters, is_big) => {
            Data::String(texts(body, &shape, letters * 4, |text| letters_of(text, is_big))?)
        }
        Descr::Bytes(bytes) => Data::String(texts(body, &shape, bytes, |text| String::from_utf8(text.to_vec()).ok())?),
    };
    let data = if fortran { row_major(&data, &shape) } else { data };
    Tensor::new(shape, data).ok_or_else(|| "its shape does not fit its elements".to_owned())
}

/// Takes the header's text and the bytes behind it.
fn header_of(bytes: &[u8]) -> Result<(&str, &[u8]), String> {
    let cut = || "it is cut short within its header".to_owned();
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or("it does not begin as a NumPy array does")?;
    let (&[major, _], rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
    let (length, rest) = match major {
        1 => rest.split_first_chunk::<2>().map(|(length, rest)| (usize::from(u16::from_le_bytes(*length)), rest)),
        2 | 3 => rest.split_first_chunk::<4>().map(|(length, rest)| (u32::from_le_bytes(*length) as usize, rest)),
        _ => return Err(format!("it is of version {major} of the format; 1, 2 and 3 are known")),
    }
    .ok_or_else(cut)?;
    let (text, body) = rest.split_at_checked(length).ok_or_else(cut)?;
    let text = std::str::from_utf8(text).map_err(|_| "its header is not text".to_owned())?;
    Ok((text.trim(), body))
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, the keys in any order.
fn header(text: &str) -> Result<Header, String> {
    let odd = |what: &str| format!("its header `{}` {what}", text.chars().take(200).collect::<String>());
    let value = |key: &str| {
        let quoted = [format!("'{key}'"), format!("\"{key}\"")];
        let after = quoted.iter().find_map(|key| text.split_once(key.as_str()))?.1;
        after.trim_start().strip_prefix(':').map(str::trim_start)
    };
    let descr = value("descr").ok_or_else(|| odd("names no element type"))?;
    let order = value("fortran_order").ok_or_else(|| odd("names no order"))?;
    let shape = value("shape").ok_or_else(|| odd("names no shape"))?;
    let fortran = match () {
        () if order.starts_with("True") => true,
        () if order.starts_with("False") => false,
        () => return Err(odd("has an order that is neither True nor False")),
    };
    let sizes = shape.strip_prefix('(').and_then(|rest| rest.split_once(')')).ok_or_else(|| odd("has no shape"))?.0;
    let sizes = sizes.split(',').map(str::trim).filter(|size| !size.is_empty());
    let size =
        |text: &str| text.trim_end_matches('L').parse::<usize>().map_err(|_| odd("has a size that is no whole number"));
    let shape = sizes.map(size).collect::<Result<Vec<usize>, String>>()?;
    if shape.len() > 64 {
        return Err(odd("has more than 64 dimensions"));
    }
    let quote = descr.chars().next().filter(|quote| matches!(quote, '\'' | '"'));
    let descr = quote.and_then(|quote| descr[1..].split_once(quote)).map(|(descr, _)| descr);
    let descr = descr.ok_or_else(|| odd("has structured elements; an array holds plain numbers or text"))?;
    let element = element(descr).ok_or_else(|| match descr {
        "|O" | "O" => {
            "it holds Python objects (ragged lists become such); pad it to a rectangle and name `lengths`".to_owned()
        }
        _ => format!("its elements are `{descr}`, which no model takes"),
    })?;
    Ok(Header { element, fortran, shape })
}

fn element(descr: &str) -> Option<Descr> {
    let (order, kind) = match descr.chars().next()? {
        order @ ('<' | '>' | '|' | '=') => (order, &descr[1..]),
        _ => ('|', descr),
    };
    let is_big = order == '>';
    let dtype = match kind {
        "f2" => DType::F16,
        "f4" => DType::F32,
        "f8" => DType::F64,
        "i1" => DType::I8,
        "u1" => DType::U8,
        "i2" => DType::I16,
        "u2" => DType::U16,
        "i4" => DType::I32,
        "u4" => DType::U32,
        "i8" => DType::I64,
        "u8" => DType::U64,
        "b1" => DType::Bool,
        _ => {
            let (kind, length) = kind.split_at_checked(1)?;
            let length = length.parse().ok()?;
            return match kind {
                "U" => Some(Descr::Letters(length, is_big)),
                "S" => Some(Descr::Bytes(length)),
                _ => None,
            };
        }
    };
    Some(Descr::Number(dtype, is_big))
}

/// Reads numbers in one byte order or the other.
macro_rules! read_numbers {
    ($body:expr, $is_big:expr, $number:ty) => {{
        let chunks = $body.as_chunks().0.iter();
        if $is_big {
            chunks.map(|&bytes| <$number>::from_be_bytes(bytes)).collect()
        } else {
            chunks.map(|&bytes| <$number>::from_le_bytes(bytes)).collect()
        }
    }};
}

/// Reads numbers of a type from bytes.
pub fn numbers(body: &[u8], dtype: DType, is_big: bool) -> Data {
    match dtype {
        DType::F16 => Data::F16(read_numbers!(body, is_big, f16)),
        DType::BF16 => Data::BF16(read_numbers!(body, is_big, half::bf16)),
        DType::F32 => Data::F32(read_numbers!(body, is_big, f32)),
        DType::F64 => Data::F64(read_numbers!(body, is_big, f64)),
        DType::I8 => Data::I8(body.iter().map(|&byte| byte.cast_signed()).collect()),
        DType::U8 => Data::U8(body.to_vec()),
        DType::I16 => Data::I16(read_numbers!(body, is_big, i16)),
        DType::U16 => Data::U16(read_numbers!(body, is_big, u16)),
        DType::I32 => Data::I32(read_numbers!(body, is_big, i32)),
        DType::U32 => Data::U32(read_numbers!(body, is_big, u32)),
        DType::I64 => Data::I64(read_numbers!(body, is_big, i64)),
        DType::U64 => Data::U64(read_numbers!(body, is_big, u64)),
        DType::Bool => Data::Bool(body.iter().map(|&byte| byte != 0).collect()),
        DType::String => Data::String(Vec::new()),
    }
}

/// Reads texts of so many bytes each, filled up with zeros; of no bytes there are as many empty ones as the shape says, up to
/// a limit, since no byte vouches for them.
fn texts(
    body: &[u8],
    shape: &[usize],
    width: usize,
    read: impl Fn(&[u8]) -> Option<String>,
) -> Result<Vec<String>, String> {
    if width == 0 {
        let count = elements(shape).filter(|&count| count <= 1 << 20);
        return count.map(|count| vec![String::new(); count]).ok_or("it holds too many empty texts".to_owned());
    }
    body.chunks_exact(width)
        .map(|text| read(text).ok_or("it holds text that is not Unicode".to_owned()))
        .map(|text| text.map(|text| text.trim_end_matches('\0').to_owned()))
        .collect()
}

fn letters_of(bytes: &[u8], is_big: bool) -> Option<String> {
    let letter =
        |&bytes: &[u8; 4]| char::from_u32(if is_big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) });
    bytes.as_chunks().0.iter().map(letter).collect()
}

/// Brings elements that stand column by column into rows.
fn row_major(data: &Data, shape: &[usize]) -> Data {
    // Place in the file of the element at each place of the tensor: strides of the first dimension are the smallest.
    let mut strides = Vec::new();
    let mut stride = 1;
    for &size in shape {
        strides.push(stride);
        stride *= size;
    }
    let place = |mut number: usize| {
        let mut place = 0;
        for (size, stride) in shape.iter().zip(&strides).rev() {
            place += number % size * stride;
            number /= size;
        }
        place
    };
    map_each!(data, values => taken(values, (0..values.len()).map(place)))
}

fn taken<T: Clone>(values: &[T], places: impl Iterator<Item = usize>) -> Vec<T> {
    places.map(|place| values[place].clone()).collect()
}

/// Returns an `.npy` file's bytes. NumPy has no bfloat16; it is written as 16-bit whole numbers of the same bits.
///
/// # Panics
/// Never: a header is shorter than 64 KiB.
#[must_use]
pub fn to_npy(tensor: &Tensor) -> Vec<u8> {
    let letters = |texts: &[String]| texts.iter().map(|text| text.chars().count()).max().unwrap_or(0).max(1);
    let descr = match tensor.data() {
        Data::F16(_) => "<f2".to_owned(),
        Data::BF16(_) | Data::U16(_) => "<u2".to_owned(),
        Data::F32(_) => "<f4".to_owned(),
        Data::F64(_) => "<f8".to_owned(),
        Data::I8(_) => "|i1".to_owned(),
        Data::U8(_) => "|u1".to_owned(),
        Data::I16(_) => "<i2".to_owned(),
        Data::I32(_) => "<i4".to_owned(),
        Data::U32(_) => "<u4".to_owned(),
        Data::I64(_) => "<i8".to_owned(),
        Data::U64(_) => "<u8".to_owned(),
        Data::Bool(_) => "|b1".to_owned(),
        Data::String(texts) => format!("<U{}", letters(texts)),
    };
    let sizes: String = tensor.shape().iter().map(|size| format!("{size}, ")).collect();
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}", sizes.trim_end());
    // NumPy aligns the elements to 64 bytes; the line end is part of the header.
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    match tensor.data() {
        Data::String(texts) => {
            let width = letters(texts);
            for text in texts {
                let padded = text.chars().map(u32::from).chain(std::iter::repeat(0)).take(width);
                bytes.extend(padded.flat_map(u32::to_le_bytes));
            }
        }
        data => bytes.extend(to_bytes(data)),
    }
    bytes
}

/// Returns numbers as little-endian bytes; nothing for strings.
pub fn to_bytes(data: &Data) -> Vec<u8> {
    match data {
        Data::F16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Data::BF16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Data::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Data::F64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Data::I8(values) => values.iter().map(|value| value.cast_unsigned()).collect(),
        Data::U8(values) => values.clone(),
        Data::I16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Data::U16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Data::I32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Data::U32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Data::I64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Data::U64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Data::Bool(values) => values.iter().map(|&value| u8::from(value)).collect(),
        Data::String(_) => Vec::new(),
    }
}
