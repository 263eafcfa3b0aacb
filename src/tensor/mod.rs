//! Inputs of models, and the files that they come from.

mod idx;

pub use idx::{Samples, read_samples};

/// Input samples of one call.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Size in each dimension; the first is the number of samples.
    pub shape: Vec<usize>,
    /// The numbers, row-major.
    pub data: Vec<f32>,
}

impl Batch {
    /// Returns the number of samples.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }
}
