//! What a model takes and gives.

use std::fmt;

use super::DType;

/// The inputs and outputs of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// What a caller hands over; weights are no inputs.
    pub inputs: Vec<Port>,
    /// What comes back.
    pub outputs: Vec<Port>,
}

/// One input or output: `input float32[N, 1, 28, 28]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name in the file.
    pub name: String,
    /// What one element is.
    pub element: Element,
    /// Its size in each dimension; nothing where nobody says.
    pub shape: Option<Vec<Size>>,
}

/// What a port carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Element {
    /// A tensor of these.
    Tensor(DType),
    /// Something that is not a tensor of a known type, like `sequence` or `complex64`.
    Other(String),
}

/// Size of one dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Size {
    /// Always so many.
    Fixed(u64),
    /// As many as there are, under this name.
    Named(String),
    /// As many as there are.
    Unknown,
}

impl Size {
    /// Returns the size where it is always the same.
    #[must_use]
    pub const fn fixed(&self) -> Option<u64> {
        match self {
            Self::Fixed(size) => Some(*size),
            Self::Named(_) | Self::Unknown => None,
        }
    }
}

impl Element {
    /// Returns the type of a tensor's elements.
    #[must_use]
    pub const fn dtype(&self) -> Option<DType> {
        match self {
            Self::Tensor(dtype) => Some(*dtype),
            Self::Other(_) => None,
        }
    }
}

impl Port {
    /// Returns how many samples it takes at once, where that is fixed: the first dimension is the batch.
    #[must_use]
    pub fn fixed_batch(&self) -> Option<u64> {
        self.shape.as_deref()?.first()?.fixed()
    }

    /// Returns the sizes of one sample, nothing where the file does not say all of them.
    #[must_use]
    pub fn sample(&self) -> Option<Vec<u64>> {
        self.shape.as_deref()?.get(1..)?.iter().map(Size::fixed).collect()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.element)?;
        let Some(shape) = &self.shape else { return f.write_str(" of unknown shape") };
        let sizes: Vec<String> = shape.iter().map(Size::to_string).collect();
        write!(f, "[{}]", sizes.join(", "))
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tensor(dtype) => dtype.fmt(f),
            Self::Other(kind) => f.write_str(kind),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => size.fmt(f),
            Self::Named(name) => f.write_str(name),
            Self::Unknown => f.write_str("?"),
        }
    }
}
