//! Tensors, what models take and give, and the files that samples come from.
//!
//! ```text
//! .npz .npy .idx .json .safetensors ──▶ Samples: named arrays, the first dimension of each counts samples
//! model file or engine              ──▶ Signature: named ports with element and shape
//! ```

mod convert;
mod idx;
mod json;
mod npy;
mod safetensors;
mod samples;
mod signature;
#[cfg(test)]
mod tests;

use half::{bf16, f16};

pub use convert::Lossy;
pub use npy::{read_npz, to_npy, to_npz};
pub use samples::{Samples, read_arrays, read_labels, read_samples};
pub use signature::{Element, Port, Signature, Size};

/// What one element of a tensor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is named as ONNX names it")]
pub enum DType {
    F16,
    BF16,
    F32,
    F64,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    Bool,
    String,
}

impl DType {
    /// Every element type.
    pub const ALL: [Self; 14] = [
        Self::F16,
        Self::BF16,
        Self::F32,
        Self::F64,
        Self::I8,
        Self::U8,
        Self::I16,
        Self::U16,
        Self::I32,
        Self::U32,
        Self::I64,
        Self::U64,
        Self::Bool,
        Self::String,
    ];

    /// Returns ONNX's name of it, like `float32`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::I8 => "int8",
            Self::U8 => "uint8",
            Self::I16 => "int16",
            Self::U16 => "uint16",
            Self::I32 => "int32",
            Self::U32 => "uint32",
            Self::I64 => "int64",
            Self::U64 => "uint64",
            Self::Bool => "bool",
            Self::String => "string",
        }
    }

    /// Returns the element type of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// Returns the bytes of one element; nothing for strings, which differ.
    #[must_use]
    pub const fn bytes(self) -> Option<usize> {
        match self {
            Self::I8 | Self::U8 | Self::Bool => Some(1),
            Self::F16 | Self::BF16 | Self::I16 | Self::U16 => Some(2),
            Self::F32 | Self::I32 | Self::U32 => Some(4),
            Self::F64 | Self::I64 | Self::U64 => Some(8),
            Self::String => None,
        }
    }

    /// Tells whether it is a floating-point number.
    #[must_use]
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::BF16 | Self::F32 | Self::F64)
    }

    /// Tells whether it is a whole number.
    #[must_use]
    pub const fn is_integer(self) -> bool {
        !self.is_float() && !matches!(self, Self::Bool | Self::String)
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The elements of a tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each is named as ONNX names it")]
pub enum Data {
    F16(Vec<f16>),
    BF16(Vec<bf16>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    I8(Vec<i8>),
    U8(Vec<u8>),
    I16(Vec<i16>),
    U16(Vec<u16>),
    I32(Vec<i32>),
    U32(Vec<u32>),
    I64(Vec<i64>),
    U64(Vec<u64>),
    Bool(Vec<bool>),
    String(Vec<String>),
}

/// Does the same with the elements of a tensor, whatever they are.
macro_rules! each {
    ($data:expr, $values:ident => $body:expr) => {
        match $data {
            $crate::tensor::Data::F16($values) => $body,
            $crate::tensor::Data::BF16($values) => $body,
            $crate::tensor::Data::F32($values) => $body,
            $crate::tensor::Data::F64($values) => $body,
            $crate::tensor::Data::I8($values) => $body,
            $crate::tensor::Data::U8($values) => $body,
            $crate::tensor::Data::I16($values) => $body,
            $crate::tensor::Data::U16($values) => $body,
            $crate::tensor::Data::I32($values) => $body,
            $crate::tensor::Data::U32($values) => $body,
            $crate::tensor::Data::I64($values) => $body,
            $crate::tensor::Data::U64($values) => $body,
            $crate::tensor::Data::Bool($values) => $body,
            $crate::tensor::Data::String($values) => $body,
        }
    };
}

/// Maps the elements of a tensor to others of the same type.
macro_rules! map_each {
    ($data:expr, $values:ident => $body:expr) => {
        match $data {
            $crate::tensor::Data::F16($values) => $crate::tensor::Data::F16($body),
            $crate::tensor::Data::BF16($values) => $crate::tensor::Data::BF16($body),
            $crate::tensor::Data::F32($values) => $crate::tensor::Data::F32($body),
            $crate::tensor::Data::F64($values) => $crate::tensor::Data::F64($body),
            $crate::tensor::Data::I8($values) => $crate::tensor::Data::I8($body),
            $crate::tensor::Data::U8($values) => $crate::tensor::Data::U8($body),
            $crate::tensor::Data::I16($values) => $crate::tensor::Data::I16($body),
            $crate::tensor::Data::U16($values) => $crate::tensor::Data::U16($body),
            $crate::tensor::Data::I32($values) => $crate::tensor::Data::I32($body),
            $crate::tensor::Data::U32($values) => $crate::tensor::Data::U32($body),
            $crate::tensor::Data::I64($values) => $crate::tensor::Data::I64($body),
            $crate::tensor::Data::U64($values) => $crate::tensor::Data::U64($body),
            $crate::tensor::Data::Bool($values) => $crate::tensor::Data::Bool($body),
            $crate::tensor::Data::String($values) => $crate::tensor::Data::String($body),
        }
    };
}

use map_each;

impl Data {
    /// Returns the number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        each!(self, values => values.len())
    }

    /// Tells whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns what its elements are.
    #[must_use]
    pub const fn dtype(&self) -> DType {
        match self {
            Self::F16(_) => DType::F16,
            Self::BF16(_) => DType::BF16,
            Self::F32(_) => DType::F32,
            Self::F64(_) => DType::F64,
            Self::I8(_) => DType::I8,
            Self::U8(_) => DType::U8,
            Self::I16(_) => DType::I16,
            Self::U16(_) => DType::U16,
            Self::I32(_) => DType::I32,
            Self::U32(_) => DType::U32,
            Self::I64(_) => DType::I64,
            Self::U64(_) => DType::U64,
            Self::Bool(_) => DType::Bool,
            Self::String(_) => DType::String,
        }
    }
}

/// A block of elements in some dimensions.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Size in each dimension; none for a scalar.
    shape: Vec<usize>,
    data: Data,
}

impl Tensor {
    /// Returns a tensor, where there are as many elements as its sizes promise.
    #[must_use]
    pub fn new(shape: Vec<usize>, data: Data) -> Option<Self> {
        (elements(&shape)? == data.len()).then_some(Self { shape, data })
    }

    /// Returns a tensor of 32-bit floats.
    ///
    /// # Panics
    /// Where there are not as many as its sizes promise.
    #[must_use]
    pub fn floats(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Self {
        Self::new(shape.into(), Data::F32(data)).expect("as many numbers as the sizes promise")
    }

    /// Returns the size in each dimension.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the elements, row-major.
    #[must_use]
    pub const fn data(&self) -> &Data {
        &self.data
    }

    /// Returns what its elements are.
    #[must_use]
    pub const fn dtype(&self) -> DType {
        self.data.dtype()
    }

    /// Returns the size of the first dimension, which counts samples; 1 for a scalar.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Returns the bytes that its elements take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match &self.data {
            Data::String(texts) => texts.iter().map(|text| text.len() as u64).sum(),
            data => (data.len() * data.dtype().bytes().unwrap_or(0)) as u64,
        }
    }

    /// Returns the same elements in other dimensions, where there are as many.
    #[must_use]
    pub fn reshaped(self, shape: Vec<usize>) -> Option<Self> {
        Self::new(shape, self.data)
    }

    /// Returns the rows of these numbers along the first dimension.
    ///
    /// # Panics
    /// Where a number is not below the size of that dimension.
    #[must_use]
    pub fn rows(&self, numbers: impl IntoIterator<Item = usize>) -> Self {
        let size: usize = self.shape.iter().skip(1).product();
        let mut count = 0;
        let counted = numbers.into_iter().inspect(|_| count += 1);
        let data = map_each!(&self.data, values => pick(values, size, counted));
        let shape = std::iter::once(count).chain(self.shape.iter().skip(1).copied()).collect();
        Self { shape, data }
    }

    /// Returns the same with the first dimension moved to this place.
    #[must_use]
    pub fn with_first_at(self, place: usize) -> Self {
        if place == 0 || place >= self.shape.len() {
            return self;
        }
        let (count, size) = (self.shape[0], self.shape[1..].iter().product::<usize>());
        let outer: usize = self.shape[1..=place].iter().product();
        let inner = size.checked_div(outer).unwrap_or(0);
        let order = (0..outer).flat_map(|o| (0..count).map(move |c| (c * size + o * inner, inner)));
        let data = map_each!(&self.data, values => {
            order.flat_map(|(start, length)| values[start..start + length].iter().cloned()).collect()
        });
        let mut shape = self.shape[1..].to_vec();
        shape.insert(place, count);
        Self { shape, data }
    }

    /// Returns the elements as 32-bit floats, as they are nearest; nothing for strings.
    #[must_use]
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        Some(match &self.data {
            Data::F32(values) => values.clone(),
            Data::String(_) => return None,
            data => (0..data.len()).map(|place| convert::nearest(data, place) as f32).collect(),
        })
    }

    /// Returns an element as a 64-bit float, as it is nearest; nothing for strings.
    #[must_use]
    pub fn number(&self, place: usize) -> Option<f64> {
        (!matches!(self.data, Data::String(_))).then(|| convert::nearest(&self.data, place))
    }
}

/// Returns how many elements a shape has; nothing where no machine can count them.
#[must_use]
pub fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size))
}

/// Returns tensors one after another along the first dimension; nothing where their other sizes or types differ, or there is
/// none.
#[must_use]
pub fn joined(parts: &[Tensor]) -> Option<Tensor> {
    let (first, others) = parts.split_first()?;
    let mut all = first.clone();
    for part in others {
        if part.shape.len() != all.shape.len() || part.shape.get(1..) != all.shape.get(1..) || all.shape.is_empty() {
            return None;
        }
        all.shape[0] += part.shape[0];
        match (&mut all.data, &part.data) {
            (Data::F16(all), Data::F16(part)) => all.extend_from_slice(part),
            (Data::BF16(all), Data::BF16(part)) => all.extend_from_slice(part),
            (Data::F32(all), Data::F32(part)) => all.extend_from_slice(part),
            (Data::F64(all), Data::F64(part)) => all.extend_from_slice(part),
            (Data::I8(all), Data::I8(part)) => all.extend_from_slice(part),
            (Data::U8(all), Data::U8(part)) => all.extend_from_slice(part),
            (Data::I16(all), Data::I16(part)) => all.extend_from_slice(part),
            (Data::U16(all), Data::U16(part)) => all.extend_from_slice(part),
            (Data::I32(all), Data::I32(part)) => all.extend_from_slice(part),
            (Data::U32(all), Data::U32(part)) => all.extend_from_slice(part),
            (Data::I64(all), Data::I64(part)) => all.extend_from_slice(part),
            (Data::U64(all), Data::U64(part)) => all.extend_from_slice(part),
            (Data::Bool(all), Data::Bool(part)) => all.extend_from_slice(part),
            (Data::String(all), Data::String(part)) => all.extend_from_slice(part),
            _ => return None,
        }
    }
    Some(all)
}

fn pick<T: Clone>(values: &[T], size: usize, numbers: impl Iterator<Item = usize>) -> Vec<T> {
    let mut picked = Vec::new();
    for number in numbers {
        picked.extend_from_slice(&values[number * size..(number + 1) * size]);
    }
    picked
}

/// A tensor with the name that a model or a file gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// The name; empty where there is only one and nobody named it.
    pub name: String,
    /// The tensor.
    pub tensor: Tensor,
}

impl Named {
    /// Returns a named tensor.
    #[must_use]
    pub fn new(name: impl Into<String>, tensor: Tensor) -> Self {
        Self { name: name.into(), tensor }
    }
}
